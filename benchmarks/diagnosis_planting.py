"""What the causes of the benchmark of the diagnosis share: their registry, how they are dealt to halves, helpers."""

import hashlib
import inspect
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnosis_data import Samples, halves
from diagnosis_models import MODELS, fits

__all__ = [
    *("CAUSES", "CLASSES", "NOT_TABLES", "Cause", "add_noise", "cause", "cause_halves", "main_direction", "noisy"),
    *("replanted", "skewed", "spread", "thin", "wrong"),
]

KINDS = ("images", "series", "tables", "spectra")
NOT_TABLES = ("images", "series", "spectra")
CLASSES = ("binary", "multiclass")
TASKS = (*CLASSES, "regression", "multilabel")
Plant = Callable[[Samples, Any, np.random.Generator], dict[str, Any] | None]
Base = Callable[[Samples, np.random.Generator], dict[str, Any] | None]


@dataclass(frozen=True)
class Cause:
    """A cause to plant.

    Attributes
    ----------
    codes : set of str
        Findings that name it; several where several say the same.
    plant : callable
        Changes samples, given a strength of the `ladder`; returns settings of the estimator, if it changes any.
    on, kinds, tasks, needs
        Models, kinds and tasks that it is for, and what it asks of samples.
    family : str
        Variants of the same cause, which are dealt to both halves.
    leak : bool
        Whether it raises the test score above what is true, rather than lowering it.
    base : callable or None
        Changes made to the samples in any case, with the cause or without it, so that there is something to lose.
    curable : bool
        Whether parameters cure it.
    """

    name: str
    codes: frozenset[str]
    plant: Plant
    ladder: tuple[Any, ...]
    on: tuple[str, ...]
    kinds: tuple[str, ...]
    tasks: tuple[str, ...]
    family: str
    leak: bool
    base: Base | None
    curable: bool
    needs: Callable[[Samples], bool] | None

    def rng(self, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(self.name.encode())])

    def digest(self) -> str:
        """Return what tells versions of this cause apart: the source of what plants it, helpers included."""
        functions = [one for one in (self.plant, self.base) if one is not None]
        return hashlib.sha256("".join(sorted(sources_of(functions))).encode()).hexdigest()[:12]

    def applies(self, samples: Samples, model: str) -> bool:
        fitting = samples.kind in self.kinds and samples.task in self.tasks and fits(model, samples.task)
        return fitting and model in self.on and (self.needs is None or self.needs(samples))


def sources_of(functions: Sequence[Callable]) -> set[str]:
    """Return the sources of these functions and of those of the benchmark that they call."""
    found: set[str] = set()
    waiting = list(functions)
    while waiting:
        function = waiting.pop()
        source = inspect.getsource(function)
        if source in found:
            continue
        found.add(source)
        used = inspect.getclosurevars(function)
        for name, value in {**used.globals, **used.nonlocals}.items():
            if inspect.isfunction(value) and value.__module__.startswith("diagnosis_"):
                waiting.append(value)
            elif isinstance(value, str | int | float | tuple):
                found.add(f"{name} = {value!r}")
    return found


CAUSES: dict[str, Cause] = {}


def cause(
    name: str,
    codes: set[str],
    ladder: Sequence[Any],
    *,
    on: Sequence[str] = MODELS,
    kinds: Sequence[str] = KINDS,
    tasks: Sequence[str] = TASKS,
    family: str = "",
    leak: bool = False,
    base: Base | None = None,
    curable: bool = False,
    needs: Callable[[Samples], bool] | None = None,
) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        lists = (tuple(ladder), tuple(on), tuple(kinds), tuple(tasks))
        CAUSES[name] = Cause(name, frozenset(codes), plant, *lists, family or name, leak, base, curable, needs)
        return plant

    return register


def cause_halves() -> tuple[list[str], list[str]]:
    """Deal the causes, families evenly."""
    return halves(list(CAUSES), lambda name: CAUSES[name].family, 16)


# Helpers --------------------------------------------------------------------------------------------------------------


def spread(X: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, or of each channel."""
    return X.std(axis=tuple(range(X.ndim - 1)))


def add_noise(X: np.ndarray, scale: float, of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise of `scale` times the spread of samples `of`."""
    return X + rng.normal(size=X.shape) * scale * spread(of)


def noisy(samples: Samples, rng: np.random.Generator) -> None:
    """Add noise to all samples, so that no model is without errors."""
    of = samples.X
    samples.every(lambda X: add_noise(X, 0.5 if samples.kind in ("tables", "spectra") else 0.9, of, rng))


def thin(X: np.ndarray, y: np.ndarray, n_rare: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Keep so many samples of the last class."""
    rare = np.flatnonzero(y == y.max())
    kept = np.sort(np.concatenate([np.flatnonzero(y != y.max()), rng.permutation(rare)[:n_rare]]))
    return X[kept], y[kept]


def skewed(samples: Samples, rng: np.random.Generator) -> None:
    """Make the last class a tenth of the others' size and add noise."""
    noisy(samples, rng)
    for part in ("", "_test", "_fresh"):
        X, y = getattr(samples, f"X{part}"), getattr(samples, f"y{part}")
        n_rare = max(8, int(np.bincount(y)[:-1].mean() / 10))
        X, y = thin(X, y, n_rare, rng)
        setattr(samples, f"X{part}", X)
        setattr(samples, f"y{part}", y)


def wrong(y: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return targets with other ones at these rows: another class, turned labels, or the target of another sample."""
    y = y.copy()
    if y.ndim > 1:
        turned = rng.uniform(size=(len(rows), y.shape[1])) < 0.5
        y[rows] = np.where(turned, 1 - y[rows], y[rows])
    elif y.dtype.kind in "iu":
        classes = np.unique(y)
        place = np.searchsorted(classes, y[rows])
        y[rows] = classes[(place + rng.integers(1, len(classes), len(rows))) % len(classes)]
    else:
        y[rows] = rng.permutation(y)[: len(rows)]
    return y


def main_direction(X: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Place of each sample along the first principal component of the standardised samples `of`."""
    flat, of = X.reshape(len(X), -1), of.reshape(len(of), -1)
    scale = np.where(of.std(axis=0) > 0, of.std(axis=0), 1)
    axis = np.linalg.svd((of - of.mean(axis=0)) / scale, full_matrices=False)[2][0]
    return (flat - of.mean(axis=0)) / scale @ axis


def replanted(
    samples: Samples, copies: Callable[[np.ndarray, int], np.ndarray], n_each: int, rng: np.random.Generator
) -> None:
    """Make training and test samples anew: so many copies of each of some samples, split at random.

    The fresh samples are a copy of each of others. Groups are kept: the number of the sample copied.
    """
    X, y = samples.both()
    rows = rng.permutation(len(y))[: len(y) // n_each]
    made = np.stack([copies(X[rows], i) for i in range(n_each)], axis=1).reshape(-1, *X.shape[1:])
    groups, targets = np.repeat(np.arange(len(rows)), n_each), np.repeat(y[rows], n_each, axis=0)
    chosen = rng.permutation(len(targets))
    train, test = np.sort(chosen[: len(samples.y)]), np.sort(chosen[len(samples.y) :])
    samples.X, samples.y, samples.groups = made[train], targets[train], groups[train]
    samples.X_test, samples.y_test, samples.groups_test = made[test], targets[test], groups[test]
    samples.X_fresh = copies(samples.X_fresh, 0)

"""The two searches: pipelines, grids and the record of their scores."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np
from imblearn import over_sampling, under_sampling
from imblearn.pipeline import Pipeline
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ParameterGrid,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.preprocessing import StandardScaler

from skcnn._command.console import DataError
from skcnn._command.tasks import N_FOLDS, Task
from skcnn._sklearn.checks import nearest
from skcnn.estimators import CNNClassifier, CNNRegressor
from skcnn.model_selection import check_grid
from skcnn.networks import Backbone, Plain
from skcnn.sampling import NDSampler

__all__ = [
    "Grid",
    "Record",
    "cures",
    "failures",
    "make_pipeline",
    "make_search",
    "n_epochs",
    "of_network",
    "plain_sizes",
    "read_grid",
    "settings_of",
]

BALANCED = 1.5  # the largest class at most this many times the smallest: nothing to balance
REGULARISATION: dict[str, list[Any]] = {"cnn__l2": [0.0, 0.1], "cnn__dropout": [0.0, 0.5]}
SAMPLERS = {name: getattr(module, name) for module in (over_sampling, under_sampling) for name in module.__all__}

Grid = list[dict[str, list[Any]]]

# Estimators and grids ---------------------------------------------------------------------------------------------


def plain_sizes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return three sizes of network: a block for each halving of a sample down to about 4 positions, two to five.

    Images get more, down to the 8 positions that `Plain` averages: without, the output layer would have a weight for
    each of the many values that are left.
    """
    side = max(shape[:-1]) if len(shape) > 1 else shape[0]
    n_blocks = min(5, max(2, ceil(log2(max(side, 2) / 4))))
    while len(shape) > 2 and side >> n_blocks > Plain.LAST:
        n_blocks += 1
    return [tuple(min(128, width * 2**block) for block in range(n_blocks)) for width in (4, 8, 16)]


def make_pipeline(task: Task, epochs: int, seed: int) -> Pipeline:
    """Return scaling, a place for a sampler, and the network."""
    table = task.X_train.ndim == 2
    kind = CNNRegressor if task.kind == "regression" else CNNClassifier
    # No early stopping: its inner split would not know the groups.
    cnn = kind(Plain(), epochs=epochs, early_stopping=False, random_state=seed)
    steps = [("scale", StandardScaler())] if table else []
    balance = [] if task.kind == "regression" else [("balance", "passthrough")]
    return Pipeline([*steps, *balance, ("cnn", cnn)])


def n_epochs(n_samples: int) -> int:
    """Return fewer epochs for more samples, so that a fit takes about as many steps."""
    return min(60, max(10, 60_000 // n_samples))


def cures(task: Task, network: Mapping[str, Any], seed: int, *, always_balanced: bool = False) -> Grid:
    """Return the grid of cures of a network: for imbalance, where there is any, and for overfitting.

    No candidate has weights after a sampler: they would favour the rare class twice or, computed on the resampled
    samples, do nothing.
    """
    common: dict[str, list[Any]] = {**{name: [value] for name, value in network.items()}, **REGULARISATION}
    if task.kind == "regression":
        return [common]
    counts = Counter(task.y_train.tolist())
    rarest = min(counts.values())
    if max(counts.values()) <= BALANCED * rarest:
        return [common]
    samplers = [over_sampling.RandomOverSampler(random_state=seed)]
    if rarest * (N_FOLDS - 1) // N_FOLDS > 3:
        samplers.append(over_sampling.SMOTE(k_neighbors=3, random_state=seed))
    return [
        {"balance": ["passthrough"], "cnn__class_weight": [None, "balanced"][always_balanced:], **common},
        {"balance": [NDSampler(sampler) for sampler in samplers], **common},
    ]


def read_grid(text: str, seed: int) -> Grid:
    """Return a grid from JSON, or from a file that holds it.

    Lists within the lists become tuples; ``balance`` takes names of imbalanced-learn's samplers.
    """
    if not text.lstrip().startswith(("{", "[")):
        try:
            if not Path(text).is_file():
                raise ValueError("no regular file")
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise DataError(f"--grid {text}: neither JSON nor a file that can be read.") from error
    try:
        given = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f'--grid is no JSON: {error}. Expected such as {{"cnn__l2": [0, 0.01]}}.') from error
    parts = given if isinstance(given, list) else [given]
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        raise DataError('--grid: expected names and lists of values, such as {"cnn__l2": [0, 0.01]}.')
    for part in parts:
        for name, values in part.items():
            if not isinstance(values, list) or not values:
                raise DataError(f"--grid: {name!r} has {values!r}; expected a list of values, such as [0, 0.01].")
    return [{name: [_value(name, value, seed) for value in part[name]] for name in part} for part in parts]


def of_network(grid: Grid, network: Mapping[str, Any]) -> Grid:
    """Return a grid whose candidates have this network, where it does not choose one itself."""
    chosen = {name: [value] for name, value in network.items()}
    return [part if any(name.startswith("cnn__network") for name in part) else {**part, **chosen} for part in grid]


def _value(name: str, value: Any, seed: int) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if name != "balance" or value in ("passthrough", None):
        return value
    if value not in SAMPLERS:
        raise DataError(
            f"--grid: 'balance' has {value!r}, which is no sampler of imbalanced-learn{nearest(str(value), SAMPLERS)}"
        )
    sampler = SAMPLERS[value]()
    return NDSampler(sampler.set_params(random_state=seed) if "random_state" in sampler.get_params() else sampler)


def settings_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Name what a candidate does, briefly; class weights that stand for a sampler are named in its place."""
    found = {name.removeprefix("cnn__").removeprefix("network__"): _named(value) for name, value in params.items()}
    if found.get("balance") == "none" and found.get("class_weight") == "balanced":
        found["balance"] = "class weights"
        del found["class_weight"]
    return found


def _named(value: Any) -> str:
    if hasattr(value, "sampler"):
        return type(value.sampler).__name__
    if isinstance(value, Backbone):
        return f"pretrained {Path(value.application).name}"
    if value is None or value == "passthrough":
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


# Searching --------------------------------------------------------------------------------------------------------


class Record:
    """Scores of a search as they come, so that an interrupted one can be reported.

    Parameters
    ----------
    grid : list of dict
        Grid of the search.
    scorers : dict of str to callable
        The first is the one to choose by.
    n_folds : int, default=N_FOLDS
        Scores that a candidate has in the end.

    Attributes
    ----------
    candidates : list of dict
        All candidates of the grid.
    scores : list of list of dict
        For each candidate its scores so far by name, one dict per fold.
    """

    def __init__(self, grid: Grid, scorers: Mapping[str, Any], n_folds: int = N_FOLDS) -> None:
        self.grid = grid
        self.n_folds = n_folds
        self.candidates = list(ParameterGrid(grid))
        self.scorers = dict(scorers)
        self.scores: list[list[dict[str, float]]] = [[] for _ in self.candidates]
        self._held: list[dict[str, str]] = []  # of each candidate, what its settings are once they are set
        self.tick: Callable[[int | None], None] = lambda candidate: None
        self._lock = threading.Lock()

    @property
    def n_fits(self) -> int:
        """Fits of the search, the final one on all samples included."""
        return self.n_folds * len(self.candidates) + 1

    def __call__(self, estimator: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Score a fitted candidate, as the ``scoring`` of a search."""
        found = check_scoring(estimator, scoring=self.scorers)(estimator, X, y)  # predicts once for all scorers
        with self._lock:
            candidate = self._place(estimator)
            self.scores[candidate].append(found)
        self.tick(candidate)
        return found

    def _place(self, estimator: Any) -> int:
        """Return the candidate that an estimator is: that with the most settings, all of which it holds."""
        if not self._held:
            for one in self.candidates:
                params = clone(estimator).set_params(**one).get_params()
                self._held.append({name: repr(params[name]) for name in one})
        ours = {name: repr(value) for name, value in estimator.get_params().items()}
        fitting = [i for i, held in enumerate(self._held) if held.items() <= ours.items()]
        return max(fitting, key=lambda i: len(self._held[i]), default=0)


class BoundedSearch(GridSearchCV):
    """A grid search that may end before its last candidates.

    Attributes
    ----------
    at_once : int
        Candidates that are tried together, so that all jobs have a fit.
    goes_on : callable
        Is given the numbers of the next candidates, and returns whether to try them; the first are tried anyway.
    """

    at_once = 1
    goes_on: Callable[[range], bool] = staticmethod(lambda candidates: True)

    def _run_search(self, evaluate_candidates: Callable[[list[dict[str, Any]]], Any]) -> None:
        candidates = list(ParameterGrid(self.param_grid))
        for first in range(0, len(candidates), self.at_once):
            numbers = range(len(candidates))[first : first + self.at_once]
            if first and not self.goes_on(numbers):
                break
            evaluate_candidates([candidates[i] for i in numbers])


def make_search(task: Task, record: Record, epochs: int, seed: int, *, bounded: bool = False) -> Any:
    """Return the unfitted search over the grid of a record, which is checked; a `BoundedSearch` if asked for.

    Raises
    ------
    DataError
        If a name or value in the grid is wrong.
    """
    kind = BoundedSearch if bounded else GridSearchCV
    pipe, cv = make_pipeline(task, epochs, seed), _folds(task, record.n_folds, seed)
    search = kind(pipe, record.grid, scoring=record, refit=next(iter(record.scorers)), cv=cv)
    try:
        return check_grid(search)
    except ValueError as error:
        raise DataError(*(f"--grid: {line.removeprefix('- ')}" for line in str(error).splitlines()[1:])) from error


def _folds(task: Task, n_folds: int, seed: int) -> Any:
    if task.kind == "regression":
        grouped, plain = GroupKFold, KFold
    else:
        grouped, plain = StratifiedGroupKFold, StratifiedKFold
    return (plain if task.groups_train is None else grouped)(n_folds, shuffle=True, random_state=seed)


def failures(messages: Iterable[str]) -> list[str]:
    """Return the last lines of the tracebacks that scikit-learn quotes when fits fail, each once."""
    found = [line for text in messages for line in re.findall(r"^\w*(?:Error|Exception): .*$", text, re.M)]
    return list(dict.fromkeys(found))

"""What `fit` is given, checked and in the form that the network takes."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from skcnn._engine.memory import Need
from skcnn._fit.targets import Target
from skcnn._lazy import LazySamples, blocks, largest

__all__ = ["Layout", "Samples", "as_inputs", "standard_units"]

STATISTICS_BYTES = 2**21  # of float64 at a time; what stays in the processor's cache takes half the time


class Layout(NamedTuple):
    """Shape and names of X in `fit`, which prediction expects again.

    Attributes
    ----------
    sample_shape : tuple of int
        ``X.shape[1:]``.
    input_shape : tuple of int
        Shape in which the network receives a sample, channels last.
    n_features : int
        Size of the second axis, as scikit-learn counts features.
    feature_names : ndarray of str or None
        Column names, if X had them.
    """

    sample_shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    n_features: int
    feature_names: np.ndarray | None

    def attributes(self) -> dict[str, Any]:
        """Return the public attributes that follow from it."""
        names = {} if self.feature_names is None else {"feature_names_in_": self.feature_names}
        return {"n_features_in_": self.n_features, "input_shape_": self.input_shape} | names


@dataclass(frozen=True)
class Samples:
    """Checked samples with their targets, weights and groups.

    Attributes
    ----------
    X : ndarray or LazySamples of shape (n, *input_shape)
        Samples as the network takes them.
    y : ndarray
        Targets as given.
    encoded : ndarray
        Class codes, indicators, or targets in columns, see `Target.encode`.
    target : Target
        What y means.
    weight : ndarray of shape (n,) or None
        Sample weights.
    groups : ndarray of shape (n,) or None
        Group of each sample, which stays on one side of a split.
    indices : ndarray of int
        Indices of the samples to train on.
    layout : Layout
        Shape and names of X.
    need : Need
        Memory that a fit on them requires, as far as it is known.
    """

    X: np.ndarray | LazySamples
    y: np.ndarray
    encoded: np.ndarray
    target: Target
    weight: np.ndarray | None
    groups: np.ndarray | None
    indices: np.ndarray
    layout: Layout
    need: Need

    def chosen(self, indices: np.ndarray) -> "Samples":
        """Return the same samples, with these as the ones to train on."""
        return replace(self, indices=indices)

    def taken(self, indices: np.ndarray) -> "Samples":
        """Return these samples only."""

        def part(values: Any) -> Any:
            return None if values is None else values[indices]

        parts = {name: part(getattr(self, name)) for name in ("X", "y", "encoded", "weight", "groups")}
        return replace(self, **parts, indices=np.arange(len(indices)))

    def as_given(self) -> Any:
        """Return X in its original shape."""
        return self.X.reshape(len(self.X), *self.layout.sample_shape)


def as_inputs(X: Any, input_shape: tuple[int, ...], dtype: str, name: str = "X") -> Any:
    """Return X as (n, *input_shape), in the type in which it is sent to the device; lazy samples stay lazy.

    That is ``uint8`` for ``uint8``, which takes a quarter of the memory of float32, and `dtype` for all else.

    Raises
    ------
    ValueError
        If a value does not fit into `dtype`.
    """
    if X.dtype != np.uint8:
        narrows = X.dtype.kind == "f" and X.dtype.itemsize > np.dtype(dtype).itemsize
        with np.errstate(over="ignore"):
            converted = X.astype(dtype, copy=False)
            fits = not narrows or all(np.isfinite(block).all() for block in blocks(converted))
        if not fits:
            raise ValueError(
                f"{name} holds values too large for {dtype} (largest magnitude {largest(X):g}). Scale {name}, "
                "e.g. with StandardScaler, or choose dtype='float64'."
            )
        X = converted
    return X.reshape(len(X), *input_shape)


def standard_units(
    X: np.ndarray | LazySamples, indices: np.ndarray, weight: np.ndarray | None, per: str, dtype: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of some samples, as `StandardScaler` would.

    Samples are read once, in blocks, so that they are never copied as a whole. Sums are those of the differences from
    the mean of the first block, which keeps their squares small (Chan, Golub and LeVeque 1983).

    Parameters
    ----------
    X : ndarray or LazySamples of shape (n, ..., channels)
        Samples of any real type.
    indices : ndarray of int
        Indices of the samples to use.
    weight : ndarray of shape (n,) or None
        Weights of all samples.
    per : {"channel", "position"}
        Statistics of shape (channels,) or (..., channels).
    dtype : {"float32", "float64"}, default="float64"
        Type in which samples are divided by the scale; a scale that is denormal in it is treated as 0.

    Raises
    ------
    ValueError
        If squares of values overflow in float64.
    """
    shape = X.shape[1:] if per == "position" else X.shape[-1:]
    n_values = prod(X.shape[1:])
    size = max(1, STATISTICS_BYTES // (8 * n_values))
    origin: Any = 0.0
    sums, count = np.zeros((2, *shape)), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            w = np.ones(len(part)) if weight is None else weight[part]
            differences = np.asarray(X[part]).astype(np.float64)
            if start == 0:
                origin = differences.reshape(-1, *shape).mean(axis=0)
            differences -= origin
            for power, values in enumerate((differences, differences**2)):
                total = np.tensordot(w, values, axes=1)
                sums[power] += total if per == "position" else total.reshape(-1, *shape).sum(axis=0)
            count += w.sum()
        mean, square = sums / (count * (1 if per == "position" else n_values // X.shape[-1]))
        scale = np.sqrt(np.maximum(square - mean**2, 0))
        mean += origin
    if not np.isfinite(scale).all():
        raise ValueError(f"X holds values too large to standardize (largest magnitude {largest(X):g}). Scale X.")
    # As in StandardScaler, what differs by no more than rounding is constant, and only centred.
    constant = scale <= np.maximum(10 * np.finfo(np.float64).eps * np.abs(mean), np.finfo(dtype).tiny)
    return mean, np.where(constant, 1.0, scale)

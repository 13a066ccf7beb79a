"""Checks of X and y, before any work is done, and the inner split that early stopping validates on."""

from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils.validation import validate_data

__all__ = ["as_rows", "check_X", "check_X_y", "inner_split", "resolve_input_shape"]

MAX_NDIM = 5


def check_X_y(estimator: Any, X: Any, y: Any, *, reset: bool, numeric: bool) -> tuple[np.ndarray, np.ndarray]:
    """Check training data as scikit-learn does, with X of up to 5 dimensions; record names and number of features."""
    X, y = validate_data(
        estimator, X, y, reset=reset, allow_nd=True, multi_output=True, y_numeric=numeric, dtype="numeric"
    )
    _check_row_shape(estimator, X, reset=reset)
    if y.ndim == 2 and y.shape[1] == 1:
        from sklearn.utils import column_or_1d

        y = column_or_1d(y, warn=True)
    return X, y


def check_X(estimator: Any, X: Any) -> np.ndarray:
    """Check rows to predict: as many features, and the very shape of row, that the estimator was fitted on."""
    X = validate_data(estimator, X, reset=False, allow_nd=True, dtype="numeric")
    _check_row_shape(estimator, X, reset=False)
    return X


def _check_row_shape(estimator: Any, X: np.ndarray, *, reset: bool) -> None:
    if X.ndim > MAX_NDIM:
        raise ValueError(
            f"X has {X.ndim} dimensions (shape {X.shape}); expected at most {MAX_NDIM}: "
            "(n, depth, height, width, channels)."
        )
    if reset:
        estimator._row_shape = X.shape[1:]
    elif X.shape[1:] != estimator._row_shape:
        raise ValueError(
            f"X has rows of shape {X.shape[1:]}, but {type(estimator).__name__} was fitted on rows of shape "
            f"{estimator._row_shape}."
        )


def resolve_input_shape(input_shape: Any, row_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape, channels last, in which the network sees a row of `row_shape`."""
    if input_shape is None:
        return (*row_shape, 1) if len(row_shape) == 1 else tuple(row_shape)
    shape = tuple(int(size) for size in input_shape)
    if not 2 <= len(shape) <= MAX_NDIM - 1 or min(shape) < 1:
        raise ValueError(
            f"input_shape={input_shape!r}; expected positive sizes, channels last: (steps, channels), "
            "(height, width, channels) or (depth, height, width, channels)."
        )
    if np.prod(shape) != np.prod(row_shape):
        raise ValueError(
            f"input_shape={input_shape!r} has {np.prod(shape)} values, but the rows of X have shape {row_shape}, "
            f"{np.prod(row_shape)} values. Expected an input_shape with as many values as a row."
        )
    return shape


def as_rows(X: np.ndarray, input_shape: tuple[int, ...], dtype: str, name: str = "X") -> np.ndarray:
    """Return X as (n, *input_shape) in the type in which it goes to the device: uint8 as it is, else `dtype`.

    Raises
    ------
    ValueError
        If a value does not fit into `dtype`.
    """
    if X.dtype != np.uint8:
        with np.errstate(over="ignore"):
            converted = X.astype(dtype, copy=False)
        if X.dtype.kind == "f" and X.dtype.itemsize > converted.dtype.itemsize and not np.isfinite(converted).all():
            raise ValueError(
                f"{name} holds values too large for {dtype} (largest magnitude {np.abs(X).max():g}). Scale {name}, "
                "e.g. with StandardScaler, or choose dtype='float64'."
            )
        X = converted
    return X.reshape(len(X), *input_shape)


def inner_split(
    strata: np.ndarray | None, n_rows: int, fraction: float, groups: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and validation rows.

    Parameters
    ----------
    strata : ndarray of shape (n_rows,) or None
        Class of each row, to be kept in equal shares.
    n_rows : int
        Number of rows.
    fraction : float in (0, 1)
        Share of the validation rows.
    groups : ndarray of shape (n_rows,) or None
        Rows of one group stay on one side.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    train, validation : ndarrays of int
        Sorted row indices.
    """
    rows = np.zeros(n_rows)
    splitter: Any
    if groups is not None:
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
    elif strata is not None:
        splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed)
    else:
        splitter = ShuffleSplit(1, test_size=fraction, random_state=seed)
    train, validation = next(splitter.split(rows, strata, groups))
    return np.sort(train), np.sort(validation)

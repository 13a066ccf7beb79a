"""Checks of X, y and what comes with them, before any work is done; statistics of the training rows."""

import inspect
import math
import operator
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import validate_data

__all__ = [
    "KnownArguments",
    "as_rows",
    "check_X",
    "check_X_y",
    "check_groups",
    "is_frame",
    "naming",
    "nearest",
    "plain_array",
    "resolve_input_shape",
    "standard_units",
]

MAX_NDIM = 5
REAL = "biuf"  # kinds of NumPy's types
_ADVICE = dict.fromkeys("Mm", " Make numbers of dates and times, such as days since the first one.")
STATISTICS_BYTES = 16 * 2**20  # of float64 at a time


def check_X_y(
    estimator: Any, X: Any, y: Any, *, reset: bool, numeric: bool, names: tuple[str, str] = ("X", "y")
) -> tuple[np.ndarray, np.ndarray]:
    """Check training data as scikit-learn does, with X of up to 5 dimensions; record names and number of features."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires {names[1]} to be passed, but the target "
            f"{names[1]} is None."
        )
    rows = check_X(estimator, X, reset=reset, name=names[0])
    targets = _check_targets(estimator, y, numeric=numeric, name=names[1])
    if len(targets) != len(rows):
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {names[0]} has {len(rows)} rows, {names[1]} "
            f"{len(targets)}; expected as many."
        )
    return rows, targets


def check_X(estimator: Any, X: Any, *, reset: bool = False, name: str = "X") -> np.ndarray:
    """Check rows: real numbers, and after fit as many features, and the very shape of row, that it was fitted on."""
    with naming(name):
        rows = plain_array(X, name)
        rows = check_array(rows, dtype="numeric", allow_nd=True, estimator=estimator, input_name=name)
        if rows.dtype.kind not in REAL:
            raise TypeError(f"{name} holds {rows.dtype}; expected real numbers.{_ADVICE.get(rows.dtype.kind, '')}")
        if 0 in rows.shape:
            raise ValueError(
                f"{name} has shape {rows.shape} without any values; expected (n, ..., channels) with at least one "
                "position and one channel. Drop the empty axis."
            )
        validate_data(estimator, X if is_frame(X) else rows, reset=reset, skip_check_array=True)
        _check_row_shape(estimator, rows, reset=reset, name=name)
    return rows


def _check_targets(estimator: Any, y: Any, *, numeric: bool, name: str) -> np.ndarray:
    with naming(name):
        targets: np.ndarray = check_array(
            plain_array(y, name), dtype=None, ensure_2d=False, estimator=estimator, input_name=name
        )
        if numeric:
            if targets.dtype.kind not in REAL + "O":
                advice = _ADVICE.get(targets.dtype.kind, "")
                raise TypeError(f"{name} holds {targets.dtype}; expected numbers to predict.{advice}")
            targets = targets.astype(np.float64, copy=False)
            if not np.isfinite(targets).all():
                raise ValueError(f"{name} holds values too large for float64; expected finite numbers. Scale {name}.")
        if 0 in targets.shape:
            raise ValueError(f"{name} has shape {targets.shape}; expected (n,) or (n, n_outputs), at least one each.")
        return column_or_1d(targets, warn=True) if targets.ndim == 2 and targets.shape[1] == 1 else targets


@contextmanager
def naming(name: str, *, theirs: bool = False) -> Iterator[None]:
    """Let an error of this block name the argument that it is about, whatever library it comes from.

    Parameters
    ----------
    name : str
        Of the argument.
    theirs : bool, default=False
        Whether the block runs code of the user, who then sees where it failed; errors of other kinds than those of
        bad values are theirs, too. Otherwise the block converts to an array, which may raise anything.
    """
    try:
        yield
    except (OverflowError, TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) and not isinstance(error, ValueError) else ValueError
        if isinstance(error, kind) and re.search(rf"\b{name}\b", str(error)):
            raise
        raise kind(f"{name}: {error}") from (error if theirs else None)
    except Exception as error:
        if theirs or isinstance(error, MemoryError):
            raise
        raise ValueError(f"{name} cannot be used ({type(error).__name__}: {error}).") from None


def is_frame(X: Any) -> bool:
    """Tell whether this is a data frame, of any library, that holds its values."""
    return hasattr(X, "shape") and hasattr(X, "columns")


def plain_array(values: Any, name: str) -> Any:
    """Return values as they are, but refuse those whose meaning NumPy drops without a word.

    Raises
    ------
    ValueError
        If values are masked: the array below the mask has numbers that are not meant.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        n = int(np.ma.getmaskarray(values).sum())
        raise ValueError(
            f"{name} is a masked array with {n} masked of {np.size(values)} values; expected values everywhere. Fill "
            f"them in ({name}.filled(...)), or leave these rows out."
        )
    return values


def _check_row_shape(estimator: Any, X: np.ndarray, *, reset: bool, name: str) -> None:
    if X.ndim > MAX_NDIM:
        raise ValueError(
            f"{name} has {X.ndim} dimensions (shape {X.shape}); expected at most {MAX_NDIM}: "
            "(n, depth, height, width, channels)."
        )
    if reset:
        estimator._row_shape = X.shape[1:]
    elif X.shape[1:] != estimator._row_shape:
        raise ValueError(
            f"{name} has rows of shape {X.shape[1:]}, but {type(estimator).__name__} was fitted on rows of shape "
            f"{estimator._row_shape}."
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the valid name that is most like `name`, or a full stop if none is."""
    close = get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


class KnownArguments:
    """Has an argument of ``__init__`` that does not exist refused with the nearest that does, as in `set_params`.

    Python itself does so from 3.13 on.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        known = inspect.signature(cls.__init__).parameters
        unknown = [name for name in kwargs if name not in known]
        if unknown and not any(one.kind is one.VAR_KEYWORD for one in known.values()):
            raise TypeError(f"{cls.__name__} got an unexpected argument {unknown[0]!r}{nearest(unknown[0], known)}")
        return super().__new__(cls)


def resolve_input_shape(input_shape: Any, row_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape, channels last, in which the network sees a row of `row_shape`."""
    if input_shape is None:
        return (*row_shape, 1) if len(row_shape) == 1 else tuple(row_shape)
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except (TypeError, ValueError):
        shape = ()
    if not 2 <= len(shape) <= MAX_NDIM - 1 or min(shape) < 1:
        raise ValueError(
            f"input_shape={input_shape!r}; expected positive sizes, channels last: (steps, channels), "
            "(height, width, channels) or (depth, height, width, channels)."
        )
    if math.prod(shape) != math.prod(row_shape):
        raise ValueError(
            f"input_shape={input_shape!r} has {math.prod(shape)} values, but the rows of X have shape {row_shape}, "
            f"{math.prod(row_shape)} values. {_shapes_that_fit(shape, row_shape)}"
        )
    return shape


def _shapes_that_fit(shape: tuple[int, ...], row_shape: tuple[int, ...]) -> str:
    """Name shapes of as many values as a row has, nearest first to the one that was given."""
    n_values = math.prod(row_shape)
    fitting = [tuple(row_shape)] if 2 <= len(row_shape) <= MAX_NDIM - 1 else []
    rank = len(shape) - 1
    for axis in range(rank + 1):  # one size another, the others as they are
        others = math.prod(shape) // shape[axis]
        if n_values % others == 0:
            fitting.append((*shape[:axis], n_values // others, *shape[axis + 1 :]))
    for channels in dict.fromkeys([shape[-1], 1, 3]):
        side = round((n_values / channels) ** (1 / rank))
        if channels * side**rank == n_values:  # equal sides: squares and cubes
            fitting.append((*[side] * rank, channels))
    fitting.append((n_values, 1))
    shapes = ", ".join(map(str, list(dict.fromkeys(fitting))[:4]))
    return f"Expected an input_shape with as many values as a row, such as {shapes}."


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


def check_groups(groups: Any, n_rows: int) -> np.ndarray | None:
    """Return groups as an array of shape (n_rows,), or None for None."""
    if groups is None:
        return None
    with naming("groups"):
        groups = np.asarray(plain_array(groups, "groups"))
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups.shape == {groups.shape}, expected ({n_rows},): one group per row of X. A sampler in an earlier "
            "step of the pipeline changes the rows but not the groups; give the sampler to the estimator instead "
            "(sampler=...), which resamples after the inner split."
        )
    try:
        np.unique(groups)
    except TypeError as error:
        raise ValueError(
            f"groups holds values that cannot be ordered ({error}); expected all numbers or all strings."
        ) from error
    return groups


def standard_units(
    X: np.ndarray, rows: np.ndarray, weight: np.ndarray | None, per: str, dtype: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of some rows of X, as scikit-learn's `StandardScaler` would, without copying them all.

    Parameters
    ----------
    X : ndarray of shape (n, ..., channels)
        Rows of any real type.
    rows : ndarray of int
        Rows to look at.
    weight : ndarray of shape (n,) or None
        Weights of all rows.
    per : {"channel", "position"}
        Shape of the results: (channels,) or (..., channels).
    dtype : {"float32", "float64"}, default="float64"
        Type in which rows are divided by the scale: one that it has in part alone, a denormal, is taken for 0.

    Raises
    ------
    ValueError
        If the squares of values are beyond float64.
    """
    shape = X.shape[1:] if per == "position" else X.shape[-1:]
    size = max(1, STATISTICS_BYTES // max(1, 8 * X[:1].size))
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]

    def mean_of(values: Any) -> np.ndarray:
        total, count = np.zeros(shape), 0.0
        for block in blocks:
            w = np.ones(len(block)) if weight is None else weight[block]
            sums = np.tensordot(w, values(X[block].astype(np.float64)), axes=1)
            total += sums if per == "position" else sums.reshape(-1, X.shape[-1]).sum(axis=0)
            count += w.sum()
        return total / (count * (1 if per == "position" else X[0].size // X.shape[-1]))

    mean = mean_of(lambda x: x)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.sqrt(mean_of(lambda x: (x - mean) ** 2))
    if not np.isfinite(scale).all():
        raise ValueError(f"X holds values too large to standardize (largest magnitude {np.abs(X).max():g}). Scale X.")
    constant = scale <= np.maximum(10 * np.finfo(np.float64).eps * np.abs(mean), np.finfo(dtype).tiny)
    return mean, np.where(constant, 1.0, scale)

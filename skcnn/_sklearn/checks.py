"""Checks of X, y and what comes with them, before any work is done."""

import inspect
import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import validate_data

from skcnn._engine.signals import signals_held
from skcnn._lazy import LazySamples, blocks

__all__ = [
    "KnownArguments",
    "check_X",
    "check_groups",
    "check_layout",
    "check_samples",
    "check_y",
    "hint_at_layout",
    "is_frame",
    "naming",
    "nearest",
    "plain_array",
    "resolve_input_shape",
]

MAX_NDIM = 5
FAR_SHORTER, SMALLEST_IMAGE = 8, 8  # from which `hint_at_layout` takes axes for those of another layout
REAL = "biuf"  # kinds of NumPy's types
_ADVICE = dict.fromkeys("Mm", " Make numbers of dates and times, such as days since the first one.")


def check_X(estimator: Any, X: Any, *, sample_shape: tuple[int, ...] | None = None, name: str = "X") -> Any:
    """Check samples: real numbers in up to 5 dimensions, of the shape seen in `fit`.

    Lazy samples stay lazy. They are read, in blocks, only if they may hold NaN.

    Parameters
    ----------
    estimator : estimator
        Whose X it is. Its names and number of features are checked, or recorded if `sample_shape` is None.
    X : array-like
        What is checked.
    sample_shape : tuple of int, default=None
        Shape of the samples that it was fitted on.
    name : str, default="X"
        Of the argument.
    """
    values = _check_lazy(estimator, X, name) if isinstance(X, LazySamples) else check_samples(estimator, X, name=name)
    if values.dtype.kind not in REAL:
        raise TypeError(f"{name} holds {values.dtype}; expected real numbers.{_ADVICE.get(values.dtype.kind, '')}")
    if values.ndim > MAX_NDIM:
        raise ValueError(
            f"{name} has {values.ndim} dimensions (shape {values.shape}); expected at most {MAX_NDIM}: "
            "(n, depth, height, width, channels)."
        )
    check_layout(estimator, X if is_frame(X) else values, sample_shape, name)
    return values


def _check_lazy(estimator: Any, X: LazySamples, name: str) -> LazySamples:
    check_samples(estimator, np.asarray(X[:1]), name=name)  # for the errors about the shape
    if X.dtype.kind == "f":
        for block in blocks(X):
            check_samples(estimator, block, name=name)
    return X


def check_samples(
    estimator: Any, X: Any, *, dtype: Any = "numeric", finite: bool = True, name: str = "X"
) -> np.ndarray:
    """Check that samples of any shape are a dense array, copied only if needed.

    Parameters
    ----------
    estimator : estimator
        Named in the messages.
    X : array-like of shape (n, ...)
        What is checked.
    dtype : {None, "numeric"}, default="numeric"
        ``None`` keeps what is there; ``"numeric"`` makes floats of Python objects and refuses strings.
    finite : bool, default=True
        Whether NaN and infinity are refused. Other checks do not look at the values.
    name : str, default="X"
        Of the argument.
    """
    with naming(name), _explaining_nan(X):
        _refuse_what_is_no_array(X, name)
        values: np.ndarray = check_array(
            plain_array(X, name),
            dtype=dtype,
            allow_nd=True,
            ensure_all_finite=finite,
            estimator=estimator,
            input_name=name,
        )
    if 0 in values.shape:
        raise ValueError(
            f"{name} has shape {values.shape} without any values; expected (n, ..., channels) with at least one "
            "position and one channel. Drop the empty axis."
        )
    return values


@contextmanager
def _explaining_nan(X: Any) -> Iterator[None]:
    """Add to an error about missing values what to do in series, where they are often padding."""
    try:
        yield
    except ValueError as error:
        if "contains NaN" not in str(error) or np.ndim(X) < 3:
            raise
        raise ValueError(
            f"{str(error).rstrip()}\nWhere NaN is padding, replace it, np.nan_to_num(X), and start a custom network "
            "with keras.layers.Masking()."
        ) from None


def _refuse_what_is_no_array(X: Any, name: str) -> None:
    """Refuse what other libraries train on, and say how to train on it here."""
    kind = type(X).__name__
    if isinstance(X, Mapping) and not is_frame(X):
        raise TypeError(
            f"{name} is a {kind} with the keys {list(X)[:5]}; expected one array (n, ..., channels). Join inputs along "
            f"the channels, np.concatenate(list({name}.values()), axis=-1), and let a custom network take them apart."
        )
    if isinstance(X, Iterator) or hasattr(X, "element_spec") or hasattr(X, "on_epoch_end"):
        raise TypeError(
            f"{name} is a {kind}, which gives samples bit by bit; expected an array (n, ..., channels). Call "
            "partial_fit(X_batch, y_batch) for each of its batches, or join them with np.concatenate."
        )
    lengths = _lengths(X)
    if len(lengths) > 1:
        raise ValueError(
            f"{name} holds samples of {min(lengths)} to {max(lengths)} steps; expected an array, whose samples are of "
            f"one length. Pad them, keras.utils.pad_sequences({name}, dtype='float32', padding='post'), and start a "
            "custom network with keras.layers.Masking()."
        )


def _lengths(X: Any) -> set[int]:
    """Return the lengths of samples that are in no array, as series in a list."""
    if hasattr(X, "row_lengths"):  # tf.RaggedTensor
        return set(np.asarray(X.row_lengths()).tolist())
    loose = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype.kind == "O" and X.ndim == 1)
    if not loose:
        return set()
    shapes = (getattr(sample, "shape", (len(sample),) if isinstance(sample, (list, tuple)) else ()) for sample in X)
    return {int(shape[0]) for shape in shapes if isinstance(shape, tuple) and shape}


def check_layout(estimator: Any, X: Any, sample_shape: tuple[int, ...] | None, name: str = "X") -> None:
    """Check names and shape of samples, or record them if `sample_shape` is None."""
    shape = tuple(X.shape[1:])
    # scikit-learn's own check compares the first of these axes alone, but says more where there is no other.
    if sample_shape is not None and shape != sample_shape and max(len(shape), len(sample_shape)) > 1:
        raise ValueError(
            f"{name} has samples of shape {shape}, but {type(estimator).__name__} was fitted on samples of shape "
            f"{sample_shape}: pass an array of shape (n, {', '.join(map(str, sample_shape))}), or fit again."
        )
    with naming(name):
        validate_data(estimator, X, reset=sample_shape is None, skip_check_array=True)


def check_y(estimator: Any, y: Any, n_samples: int, *, numeric: bool, name: str = "y") -> np.ndarray:
    """Check targets: one or several for each of `n_samples`."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires {name} to be passed, but the target {name} is None."
        )
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
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
    if len(targets) != n_samples:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {name.replace('y', 'X', 1)} has {n_samples} "
            f"samples, {name} {len(targets)}; expected as many."
        )
    return targets


@contextmanager
def naming(name: str, *, theirs: bool = False) -> Iterator[None]:
    """Let an error of this block name the argument that it is about.

    Parameters
    ----------
    name : str
        Of the argument.
    theirs : bool, default=False
        Whether the block runs code of the user, who then sees where it failed; errors of other kinds than those of
        bad values are theirs, too. Otherwise the block converts to an array, which may raise anything.
    """
    with nullcontext() if theirs else signals_held():  # or the exception of a handler would pass for one about values
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
    """Return values as they are, but refuse masked ones, whose mask NumPy drops.

    Raises
    ------
    ValueError
        If values are masked: the array below the mask has numbers that are not meant.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        n = int(np.ma.getmaskarray(values).sum())
        raise ValueError(
            f"{name} is a masked array with {n} masked of {np.size(values)} values; expected values everywhere. Fill "
            f"them in ({name}.filled(...)), or leave these samples out."
        )
    return values


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the nearest valid name, or a full stop."""
    close = get_close_matches(name, list(valid), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


class KnownArguments:
    """Refuse unknown arguments of ``__init__``, and name the nearest that exist.

    Python itself does so from 3.13 on.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        known = inspect.signature(cls.__init__).parameters
        unknown = [name for name in kwargs if name not in known]
        if unknown and not any(one.kind is one.VAR_KEYWORD for one in known.values()):
            raise TypeError(f"{cls.__name__} got an unexpected argument {unknown[0]!r}{nearest(unknown[0], known)}")
        return super().__new__(cls)


def hint_at_layout(sample_shape: tuple[int, ...]) -> str | None:
    """Return what samples of this shape look like, if that is another layout than channels last."""
    *positions, channels = sample_shape
    silence = f"If it is meant, pass input_shape={sample_shape}."
    square = len(set(sample_shape[-2:])) == 1 and channels >= SMALLEST_IMAGE
    if len(positions) == 1 and square:
        return (
            f"Samples of X have shape {sample_shape}: {channels} steps of {channels} channels. If they are images "
            f"without a channel axis, pass input_shape=({channels}, {channels}, 1). {silence}"
        )
    first = positions[0]
    if first * FAR_SHORTER <= channels or (len(positions) == 2 and first in (1, 3) and square):
        moved = (*sample_shape[1:], first)
        return (
            f"Samples of X have shape {sample_shape}: {channels} channels, which are last, and {first} along the first "
            f"axis. If channels are first, pass np.moveaxis(X, 1, -1), with samples of shape {moved}. {silence}"
        )
    return None


def resolve_input_shape(input_shape: Any, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape, channels last, in which the network sees a sample."""
    if input_shape is None:
        return (*sample_shape, 1) if len(sample_shape) == 1 else tuple(sample_shape)
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except (TypeError, ValueError):
        shape = ()
    if not 2 <= len(shape) <= MAX_NDIM - 1 or min(shape) < 1:
        raise ValueError(
            f"input_shape={input_shape!r}; expected positive sizes, channels last: (steps, channels), "
            "(height, width, channels) or (depth, height, width, channels)."
        )
    if math.prod(shape) != math.prod(sample_shape):
        raise ValueError(
            f"input_shape={input_shape!r} has {math.prod(shape)} values, but the samples of X have shape "
            f"{sample_shape}, {math.prod(sample_shape)} values. {_shapes_that_fit(shape, sample_shape)}"
        )
    return shape


def _shapes_that_fit(shape: tuple[int, ...], sample_shape: tuple[int, ...]) -> str:
    """Name shapes of as many values as a sample, nearest to the given one first."""
    n_values = math.prod(sample_shape)
    fitting = [tuple(sample_shape)] if 2 <= len(sample_shape) <= MAX_NDIM - 1 else []
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
    return f"Expected an input_shape with as many values as a sample, such as {shapes}."


def check_groups(groups: Any, n_samples: int) -> np.ndarray | None:
    """Return groups as an array of shape (n_samples,), or None for None."""
    if groups is None:
        return None
    with naming("groups"):
        groups = np.asarray(plain_array(groups, "groups"))
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups.shape == {groups.shape}, expected ({n_samples},): one group per sample of X. A sampler in an "
            "earlier step of the pipeline changes the samples but not the groups; give the sampler to the estimator "
            "instead (sampler=...), which resamples after the inner split."
        )
    try:
        np.unique(groups)
    except TypeError as error:
        raise ValueError(
            f"groups holds values that cannot be ordered ({error}); expected all numbers or all strings."
        ) from error
    return groups

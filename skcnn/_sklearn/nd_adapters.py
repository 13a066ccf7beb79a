"""What the adapters of transformers and of samplers to arrays of any shape share."""

from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, get_tags
from sklearn.utils.metadata_routing import process_routing

from skcnn._sklearn.checks import naming, plain_array
from skcnn._sklearn.internals import routing_enabled

__all__ = ["check_nd_array", "copy_tags", "routed"]

COPIED = ("allow_nan", "categorical", "pairwise", "positive_only", "string")


def check_nd_array(
    X: ArrayLike, estimator: BaseEstimator, *, dtype: str | None = None, finite: bool = False
) -> NDArray[Any]:
    """Check that ``X`` is a dense array of samples of any shape, without copying it if it is one.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Samples of any shape.
    estimator : estimator
        Named in the messages.
    dtype : {None, "numeric"}, default=None
        ``None`` keeps what is there; ``"numeric"`` makes floats of Python objects and refuses strings.
    finite : bool, default=False
        Whether NaN and infinity are refused. Other checks do not look at the values.

    Returns
    -------
    X : ndarray of shape (n, ...)
        The array itself where ``X`` is one.

    Raises
    ------
    ValueError
        If ``X`` has fewer than two axes, no samples, complex values, an axis of length zero, or values that are
        not finite though they should be.
    TypeError
        If ``X`` is sparse.
    """
    with naming("X"):
        array: NDArray[Any] = check_array(
            plain_array(X, "X"),
            dtype=dtype,
            allow_nd=True,
            ensure_all_finite=finite,
            estimator=estimator,
            input_name="X",
        )
    if 0 in array.shape:
        raise ValueError(
            f"Found array X of shape {array.shape} without any values. {type(estimator).__name__} expects shape "
            "(n, ..., channels) with at least one position and one channel: drop the empty axis."
        )
    return array


def copy_tags(tags: Any, adapted: Any) -> Any:
    """Add what the adapted estimator says of its input to an adapter's tags; return its tags, or None if none."""
    tags.input_tags.three_d_array = True
    if isinstance(adapted, type) or not hasattr(adapted, "__sklearn_tags__"):
        return None
    copied = get_tags(adapted)
    for name in COPIED:
        setattr(tags.input_tags, name, getattr(copied.input_tags, name))
    tags.non_deterministic = copied.non_deterministic
    return copied


def routed(adapter: Any, parameter: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata for a method of the adapted estimator: what it requests if routing is enabled, else all."""
    return process_routing(adapter, method, **params)[parameter][method] if routing_enabled() else params

"""What the adapters of transformers and of samplers to arrays of any shape share."""

from typing import Any

from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import process_routing

from skcnn._sklearn.internals import routing_enabled

__all__ = ["copy_tags", "routed"]

COPIED = ("allow_nan", "categorical", "pairwise", "positive_only", "string")


def copy_tags(tags: Any, adapted: Any) -> Any:
    """Copy tags of the adapted estimator to an adapter's; return the former, or None."""
    tags.input_tags.three_d_array = True
    if isinstance(adapted, type) or not hasattr(adapted, "__sklearn_tags__"):
        return None
    copied = get_tags(adapted)
    for name in COPIED:
        setattr(tags.input_tags, name, getattr(copied.input_tags, name))
    tags.non_deterministic = copied.non_deterministic
    return copied


def routed(adapter: Any, parameter: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return metadata for the adapted estimator: what it requests, or all of it."""
    return process_routing(adapter, method, **params)[parameter][method] if routing_enabled() else params

"""The note of versions with which estimators are saved."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from skcnn import _version
from skcnn.exceptions import InconsistentVersionWarning, warn

__all__ = ["VersionNote"]


class VersionNote:
    """Mixin, left of `BaseEstimator`, that notes versions and warns if they differ.

    scikit-learn does the same, but only for its own classes.
    """

    # What decides the meaning of the saved attributes. scikit-learn notes its own version where its objects are inside.
    _noted: tuple[str, ...] = ("skcnn",)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return state | {"_saved_with": {name: _installed(name) for name in self._noted}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.get("_saved_with", {})
        versions = [(name, saved.get(name, "unknown"), _installed(name)) for name in self._noted]
        changed = [one for one in versions if one[1] != one[2]]
        if changed:
            warn(InconsistentVersionWarning(type(self).__name__, changed))
        super().__setstate__({name: value for name, value in state.items() if name != "_saved_with"})  # type: ignore[misc]


def _installed(name: str) -> str:
    """Return the version of a distribution without importing it."""
    return _version.__version__ if name == "skcnn" else _distributed(name)


@cache
def _distributed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # installed under another name, such as a nightly build
        return "unknown"

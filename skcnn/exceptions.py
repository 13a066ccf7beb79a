"""Warnings of skcnn, each of a class of its own so that it can be filtered."""

import inspect
import warnings

__all__ = [
    "CheckpointWarning",
    "DoubleBalancingWarning",
    "InconsistentVersionWarning",
    "InnerSplitWarning",
    "ThreadsWarning",
]

# Their frames lie between a warning and the line of the user that it is about.
_PASSED_THROUGH = {"contextlib", "imblearn", "joblib", "skcnn", "sklearn"}


class CheckpointWarning(UserWarning):
    """What ``memory=`` keeps cannot be read or written; training goes on without."""


class DoubleBalancingWarning(UserWarning):
    """Classes are balanced twice, which favours the rare ones more than asked for."""


class InconsistentVersionWarning(UserWarning):
    """What is loaded was saved with other versions; it may fail or predict something else.

    Parameters
    ----------
    estimator_name : str
        Class of what is loaded.
    changed : list of (str, str, str)
        Name of a package, its version when saved, and its version now.
    """

    def __init__(self, estimator_name: str, changed: list[tuple[str, str, str]]) -> None:
        self.estimator_name = estimator_name
        self.changed = changed
        super().__init__(estimator_name, changed)

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {saved} (now {present})" for name, saved, present in self.changed)
        same = " ".join(f"{name}=={saved}" for name, saved, _ in self.changed if saved != "unknown")
        install = f", or install {same}" if same else ""
        return (
            f"{self.estimator_name} was saved with {versions}. It may fail, or predict something else without saying "
            f"so: fit it again{install}. To ship a network to where versions differ, use skcnn.export."
        )


class InnerSplitWarning(UserWarning):
    """The inner validation split cannot hold what it should, such as a row of every class."""


class ThreadsWarning(UserWarning):
    """TensorFlow was started with fewer threads than a fit could use."""


def warn(warning: Warning) -> None:
    """Warn at the line of the user's code: the first outside of this package and of the libraries that call it."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED_THROUGH:
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level + 1)

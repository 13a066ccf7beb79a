"""Warnings of skcnn, one class for each so that it can be filtered."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

__all__ = [
    "CheckpointWarning",
    "DoubleBalancingWarning",
    "ImageFolderWarning",
    "InconsistentVersionWarning",
    "InnerSplitWarning",
    "LayoutWarning",
    "LazySamplesWarning",
    "OneHotWarning",
    "PruningWarning",
    "ScaleWarning",
    "ThreadsWarning",
]

# Packages whose frames lie between a warning and the line of the user that it is about.
_PASSED_THROUGH = {"contextlib", "imblearn", "joblib", "skcnn", "sklearn"}


class CheckpointWarning(UserWarning):
    """Files of ``memory=`` cannot be read or written; training continues without them."""


class DoubleBalancingWarning(UserWarning):
    """Classes are balanced twice, which favours rare classes more than intended."""


class ImageFolderWarning(UserWarning):
    """Some images of a folder are not in the array as they are in their files."""


class InconsistentVersionWarning(UserWarning):
    """An estimator was saved with other versions and may fail or predict differently.

    Parameters
    ----------
    estimator_name : str
        Class of the estimator.
    changed : list of (str, str, str)
        For each package that differs: its name, its version when saved, and its version now.
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
            f"{self.estimator_name} was saved with {versions}. It may fail, or predict differently without notice: fit "
            f"it again{install}. To use a network where versions differ, export it with skcnn.export."
        )


class InnerSplitWarning(UserWarning):
    """The inner validation split lacks samples that it should have, as of some class."""


class LayoutWarning(UserWarning):
    """The axes of X look like those of another layout, as of images with their channels first."""


class LazySamplesWarning(UserWarning):
    """Lazy samples are read into memory, all at once."""


class OneHotWarning(UserWarning):
    """Classes are given as an indicator matrix, which is trained as independent labels."""


class PruningWarning(UserWarning):
    """A trial was pruned, and a cross-validation has gone on."""


class ScaleWarning(UserWarning):
    """Values of X are not on the scale that a pretrained network expects."""


class ThreadsWarning(UserWarning):
    """The threads or processes that TensorFlow was started with are not the fastest for a fit or a search."""


def warn(warning: Warning) -> None:
    """Warn at the line of the user's code.

    That is the first line outside of this package and of the libraries that call it.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED_THROUGH:
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level + 1)


def listed(items: Sequence[Any], n_shown: int = 6) -> str:
    """Return the first few items, and how many there are more."""
    shown = ", ".join(map(str, items[:n_shown]))
    return shown if len(items) <= n_shown else f"{shown} and {len(items) - n_shown} more"

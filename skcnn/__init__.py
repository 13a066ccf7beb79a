"""Convolutional networks as first-class scikit-learn estimators.

Names are loaded when they are used: ``import skcnn`` imports neither scikit-learn nor TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skcnn._version import __version__

if TYPE_CHECKING:
    from skcnn import (
        augmentation,
        datasets,
        diagnosis,
        displays,
        exceptions,
        inspection,
        model_selection,
        networks,
        persistence,
        preprocessing,
        sampling,
        scikeras,
    )
    from skcnn._engine.gpus import set_gpus
    from skcnn._engine.threads import set_threads
    from skcnn._show_versions import show_versions
    from skcnn.diagnosis import diagnose
    from skcnn.estimators import CNNClassifier, CNNRegressor
    from skcnn.model_selection import check_grid
    from skcnn.persistence import export

_MODULE_OF = {
    "CNNClassifier": "skcnn.estimators",
    "CNNRegressor": "skcnn.estimators",
    "check_grid": "skcnn.model_selection",
    "diagnose": "skcnn.diagnosis",
    "export": "skcnn.persistence",
    "set_gpus": "skcnn._engine.gpus",
    "set_threads": "skcnn._engine.threads",
    "show_versions": "skcnn._show_versions",
}

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "__version__",
    "augmentation",
    "check_grid",
    "datasets",
    "diagnose",
    "diagnosis",
    "displays",
    "exceptions",
    "export",
    "inspection",
    "model_selection",
    "networks",
    "persistence",
    "preprocessing",
    "sampling",
    "scikeras",
    "set_gpus",
    "set_threads",
    "show_versions",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    if name in __all__:
        return import_module(f"skcnn.{name}")
    raise AttributeError(f"module 'skcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""Convolutional networks as first-class scikit-learn estimators.

Names are loaded when they are used: ``import skcnn`` imports neither scikit-learn nor TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skcnn import (
        augmentation,
        datasets,
        diagnosis,
        displays,
        inspection,
        networks,
        persistence,
        preprocessing,
        sampling,
    )
    from skcnn.diagnosis import diagnose
    from skcnn.estimators import CNNClassifier, CNNRegressor
    from skcnn.exporting import export
    from skcnn.grids import check_grid
    from skcnn.training.gpus import set_gpus
    from skcnn.training.threads import set_threads

__version__ = "0.1.0"

_MODULE_OF = {
    "CNNClassifier": "skcnn.estimators",
    "CNNRegressor": "skcnn.estimators",
    "check_grid": "skcnn.grids",
    "diagnose": "skcnn.diagnosis",
    "export": "skcnn.exporting",
    "set_gpus": "skcnn.training.gpus",
    "set_threads": "skcnn.training.threads",
}
_SUBMODULES = (
    "augmentation",
    "datasets",
    "diagnosis",
    "displays",
    "inspection",
    "networks",
    "persistence",
    "preprocessing",
    "sampling",
)

__all__ = [
    "CNNClassifier",
    "CNNRegressor",
    "augmentation",
    "check_grid",
    "datasets",
    "diagnose",
    "diagnosis",
    "displays",
    "export",
    "inspection",
    "networks",
    "persistence",
    "preprocessing",
    "sampling",
    "set_gpus",
    "set_threads",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    if name in _SUBMODULES:
        return import_module(f"skcnn.{name}")
    raise AttributeError(f"module 'skcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

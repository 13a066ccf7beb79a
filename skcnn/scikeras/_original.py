"""scikeras itself, imported without its effect on Keras, and its private names.

Importing scikeras replaces how models, losses, metrics and optimizers are pickled and copied, for the whole process.
Keras has long pickled them itself, so its own way is restored, unless the user had imported scikeras already and may
rely on it.

The private names are those of scikeras 0.13, its last version, which has no public way to build a model without
training it. `BaseWrapper` also overrides private methods of scikeras' class of this name: it exists to repair them.
"""

import sys
from typing import Any

from skcnn._engine.greetings import import_keras_in_workers

import_keras_in_workers()

import keras  # noqa: E402

_PATCHED = (keras.Model, keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer)


def _import_scikeras() -> None:
    before = {(cls, name): vars(cls).get(name) for cls in _PATCHED for name in ("__reduce__", "__deepcopy__")}
    import scikeras  # noqa: F401

    for (cls, name), method in before.items():
        if method is not None:
            setattr(cls, name, method)
        elif name in vars(cls):
            delattr(cls, name)


if "scikeras" not in sys.modules:
    _import_scikeras()

from scikeras._utils import accepts_kwargs, has_param, route_params  # noqa: E402

__all__ = [
    "built_model",
    "compiled_with",
    "fit_callbacks",
    "needs_data",
    "route_params",
]


def needs_data(estimator: Any) -> bool:
    """Tell whether the model function may look at what is known of the data."""
    function = estimator._check_model_param()
    return has_param(function, "meta") or accepts_kwargs(function)


def built_model(estimator: Any) -> Any:
    """Return the Keras model that an estimator builds, without seeding TensorFlow."""
    estimator._random_state = None
    return estimator._build_keras_model()


def compiled_with(model: Any, estimator: Any) -> tuple[Any, Any]:
    """Return optimizer and loss of the compiled model, else of the estimator."""
    if model is not None and model.compiled:
        return model.optimizer, model.loss
    settings = estimator._get_compile_kwargs()
    return settings["optimizer"], settings["loss"]


def fit_callbacks(estimator: Any) -> list[Any]:
    """Return the callbacks that an estimator trains with, those within lists too."""
    estimator._initialize_callbacks()
    return [one for given in estimator._fit_callbacks for one in (given if isinstance(given, list) else [given])]

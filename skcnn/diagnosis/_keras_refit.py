"""A plain Keras model trained again from scratch, with its own settings or with others."""

import copy
import random
import sys
from typing import Any

import numpy as np

__all__ = ["settings_of", "trained_again"]

RATES = {"adam": 1e-3, "adamw": 1e-3, "sgd": 1e-2, "rmsprop": 1e-3, "nadam": 1e-3, "lion": 1e-3}  # Keras' defaults


def _penalties(model: Any) -> list[float]:
    regularizers = (getattr(layer, "kernel_regularizer", None) for layer in model.layers)
    strengths = (getattr(one, "l2", None) for one in regularizers)
    return [float(strength) for strength in strengths if strength is not None]


def settings_of(model: Any, n_samples: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the last training that are known, under skcnn's names, and the usual value of each.

    Parameters
    ----------
    model : keras.Model
        Trained; `fit` leaves the number of epochs and of batches in ``model.history.params``.
    n_samples : int
        Training samples, which give the size of a batch.
    """
    params = getattr(getattr(model, "history", None), "params", None) or {}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not params.get("epochs") or not params.get("steps"):
        return {}, {}
    found: dict[str, Any] = {"epochs": int(params["epochs"])}
    found["batch_size"] = max(1, round(n_samples / int(params["steps"])))
    usual: dict[str, Any] = {"epochs": found["epochs"], "batch_size": 32}
    rate = optimizer.get_config().get("learning_rate")
    if isinstance(rate, float):  # no schedule; a callback that lowers the rate logs it
        found["learning_rate"] = float(model.history.history.get("learning_rate", [rate])[0])
        usual["learning_rate"] = RATES.get(type(optimizer).__name__.lower(), 1e-3)
    rates = [float(layer.rate) for layer in model.layers if "Dropout" in type(layer).__name__]
    for name, values in (("dropout", rates), ("l2", _penalties(model))):
        if values:
            found[name], usual[name] = max(values), 0.0
    return found, usual


def _copied(model: Any, settings: dict[str, Any]) -> Any:
    """Return a copy of a model with fresh weights, other dropout rates and other penalties."""
    keras = sys.modules["keras"]

    def layer_like(layer: Any) -> Any:
        config = layer.get_config()
        if "dropout" in settings and "Dropout" in type(layer).__name__:
            config["rate"] = settings["dropout"]
        if "l2" in settings and config.get("kernel_regularizer") is not None:
            config["kernel_regularizer"] = keras.regularizers.L2(settings["l2"])
        return type(layer).from_config(config)

    state = random.getstate()  # which Keras draws the seeds of its initializers from
    random.seed(0)
    try:
        return keras.models.clone_model(model, clone_function=layer_like)
    finally:
        random.setstate(state)


def _stretched(compiled: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return settings of `compile` with a schedule over as many times the steps."""
    rate = compiled["optimizer"]["config"].get("learning_rate")
    schedule = rate.get("config", {}) if isinstance(rate, dict) else {}
    if "decay_steps" in schedule:
        schedule["decay_steps"] = round(schedule["decay_steps"] * factor)
    return compiled


def trained_again(view: Any, settings: dict[str, Any], X: Any, y: np.ndarray) -> Any:
    """Return a view like `view` of a copy of its model that is trained from scratch; None if that tells nothing.

    A model with layers that do not learn has weights from elsewhere, which a copy would lack.

    Parameters
    ----------
    view : KerasModel
        Of a trained model, which stays as it is.
    settings : dict
        Values by the names of `settings_of`; the others stay as they were.
    X, y : ndarray
        Training samples, and their targets as numbers.
    """
    model = view.model
    if not view.get_params() or any(layer.weights and not layer.trainable for layer in model.layers):
        return None
    settings = {**view.get_params(), **settings}
    changed = {name: value for name, value in settings.items() if value != view.get_params()[name]}
    copied = _copied(model, changed)
    copied.compile_from_config(_stretched(model.get_compile_config(), settings["epochs"] / view.get_params()["epochs"]))
    if "learning_rate" in settings:
        copied.optimizer.learning_rate = settings["learning_rate"]
    is_class = view.target == "classes" and view.n_outputs > 1
    targets = np.eye(view.n_outputs)[y] if is_class and "sparse" not in view.loss_name else y
    copied.fit(np.asarray(X), targets, epochs=settings["epochs"], batch_size=settings["batch_size"], verbose=0)
    again = copy.copy(view)
    again.model, again.history_, again._settings = copied, copied.history, settings
    return again

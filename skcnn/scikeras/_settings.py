"""Keras' optimizers and losses as parameters of skcnn, if they have an equivalent."""

from typing import Any

import keras
import numpy as np
from scikeras.utils import loss_name

from skcnn._engine.keras_internals import function_options

__all__ = ["NotCarried", "loss_settings", "new_optimizer", "optimizer_settings", "wanted_ending"]

# What is fixed in each of skcnn's update rules; learning rate, momentum and clipnorm are its parameters.
_FIXED: dict[str, dict[str, Any]] = {
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "sgd": {},
    "rmsprop": {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
}
_OPTIMIZERS = {keras.optimizers.Adam: "adam", keras.optimizers.SGD: "sgd", keras.optimizers.RMSprop: "rmsprop"}
# Read below, or, the last two, without an effect as use_ema is False.
_READ = ("name", "learning_rate", "clipnorm", "momentum", "nesterov", "ema_momentum", "ema_overwrite_frequency")

# Name of the loss in Keras, and the final activation whose logits it is computed from.
_ENDINGS = {
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}
_REGRESSION = {
    "mean_squared_error": "squared_error",
    "mean_absolute_error": "absolute_error",
    "huber": "huber",
}
_LOSS_OPTIONS: dict[str, Any] = {"delta": 1.0, "axis": -1, "ignore_class": None}


class NotCarried(ValueError):
    """Something that skcnn has no equivalent for; the message names it."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be carried: {why}")


def new_optimizer(optimizer: Any) -> Any:
    """Return an untrained optimizer of the same settings, or the name or class."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    return type(optimizer).from_config(optimizer.get_config())


def optimizer_settings(optimizer: Any) -> dict[str, Any]:
    """Return the parameters of a skcnn estimator that train as a Keras optimizer does.

    Parameters
    ----------
    optimizer : str or keras.optimizers.Optimizer
        Name or instance.

    Raises
    ------
    NotCarried
        If skcnn has no such optimizer or setting.
    """
    optimizer = keras.optimizers.get(optimizer)
    rule = _OPTIMIZERS.get(type(optimizer))
    if rule is None:
        raise NotCarried(
            f"optimizer {type(optimizer).__name__}", "skcnn has Adam, SGD and RMSprop. Choose one of them first."
        )
    config = optimizer.get_config()
    if not isinstance(config["learning_rate"], (int, float)):
        schedule = config["learning_rate"]["class_name"]
        raise NotCarried(
            f"learning_rate={schedule}(...)", "it is no number. Set a number, and schedule='cosine' afterwards."
        )
    for name, value in config.items():
        fixed = _FIXED[rule].get(name)
        fits = value == fixed if name in _FIXED[rule] else name in _READ or value in (None, False)
        if not fits:
            what = f"{type(optimizer).__name__}({name}={value!r})"
            raise NotCarried(what, f"skcnn's {rule} has {name}={fixed!r} only.")
    settings = {"optimizer": rule, "learning_rate": _short(config["learning_rate"]), "clipnorm": config["clipnorm"]}
    if rule == "sgd":
        settings |= {"momentum": config["momentum"], "nesterovs_momentum": config["nesterov"]}
    return settings


def _short(value: float) -> float:
    """Return the number that the user wrote, of which Keras keeps the nearest float32."""
    return float(str(np.float32(value)))


def loss_settings(loss: Any) -> dict[str, Any]:
    """Return the parameters of a skcnn estimator that stand for a Keras loss.

    Parameters
    ----------
    loss : str, function or keras.losses.Loss
        As it is given to ``Model.compile``.

    Raises
    ------
    NotCarried
        If skcnn has no such loss or setting.
    """
    name, config = _name_and_config(loss)
    if name not in _ENDINGS and name not in _REGRESSION:
        raise NotCarried(f"loss {name!r}", f"skcnn has the losses {[*_ENDINGS, *_REGRESSION]}.")
    if config.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
        raise NotCarried(f"{name}(reduction={config['reduction']!r})", "skcnn takes the mean over the batch.")
    for option, fixed in _LOSS_OPTIONS.items():
        if config.get(option, fixed) != fixed:
            raise NotCarried(f"{name}({option}={config[option]!r})", f"skcnn's has {option}={fixed!r} only.")
    if name in _REGRESSION:
        return {"loss": _REGRESSION[name]}
    return {"loss": "log_loss", "label_smoothing": float(config.get("label_smoothing", 0.0))}


def wanted_ending(loss: Any, target_type: str, n_units: int) -> str | None:
    """Return the final activation that a model must have for its loss, or None.

    Raises
    ------
    NotCarried
        If skcnn trains on such targets with another loss.
    """
    name, config = _name_and_config(loss)
    if name in _REGRESSION:
        return None
    ending = _ENDINGS[name]
    fits = {"binary": ending == "sigmoid" or n_units == 2, "multiclass": ending == "softmax"}
    if not fits.get(target_type, ending == "sigmoid"):
        raise NotCarried(
            f"loss {name!r} for {target_type} targets",
            "skcnn trains binary and multilabel targets with sigmoids, multiclass targets with a softmax. Labels that "
            "are one-hot are passed as labels, y.argmax(axis=1).",
        )
    return None if config.get("from_logits") else ending


def _name_and_config(loss: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of a loss in snake case, and its settings."""
    if isinstance(loss, list) and len(loss) == 1:
        loss = loss[0]
    if not isinstance(loss, str) and not callable(loss):
        raise NotCarried(f"loss {loss!r}", "skcnn trains a model with one loss.")
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    config |= function_options(loss)  # delta of Huber is nowhere else
    return loss_name(loss), config

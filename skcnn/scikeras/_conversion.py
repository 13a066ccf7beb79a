"""`convert`: from a scikeras estimator to the skcnn estimator that trains alike."""

import copy
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from scikeras import wrappers
from sklearn.base import clone
from sklearn.utils import check_random_state

from skcnn._engine.blueprint import building
from skcnn._engine.loop import Progress
from skcnn._engine.structure import structure_of
from skcnn._fit.fitted import Fitted
from skcnn._fit.samples import Layout
from skcnn._fit.targets import ClassTarget
from skcnn._sklearn.checks import resolve_input_shape
from skcnn.scikeras._converted import ConvertedClassifier, ConvertedRegressor, ModelFunction, UnscaledTarget
from skcnn.scikeras._original import built_model, compiled_with, fit_callbacks, needs_data
from skcnn.scikeras._settings import NotCarried, loss_settings, new_optimizer, optimizer_settings
from skcnn.scikeras._wrappers import KerasClassifier, KerasRegressor

__all__ = ["convert"]

_CLASSIFIERS = (KerasClassifier, wrappers.KerasClassifier)
_REGRESSORS = (KerasRegressor, wrappers.KerasRegressor)

ALL_SAMPLES = 2**31 - 1  # a batch size of at least any number of samples
KERAS_BATCH = 32  # what batch_size=None means

FIT_PARAMS = ("epochs", "batch_size", "validation_split", "shuffle", "callbacks", "verbose", "validation_batch_size")
COMPILE_PARAMS = ("optimizer", "loss", "metrics", "weighted_metrics", "run_eagerly", "jit_compile")
MONITORS = {"val_loss": "loss", "val_accuracy": "accuracy", "val_acc": "accuracy"}


def convert(estimator: Any) -> ConvertedClassifier | ConvertedRegressor:
    """Return the skcnn estimator that trains as a scikeras estimator does.

    It takes over the model function with the parameters that are routed to it, optimizer, loss, epochs, batch size,
    class weights, seed, `warm_start`, and early stopping that keeps the best weights; of a fitted estimator its weights
    too, so that both predict the same. A new fit starts from scratch, as in scikeras.

    What changes no weight is left out: metrics, ``run_eagerly`` and how Keras predicts in batches. Two things differ by
    design: the validation split is stratified instead of the last samples, and sample weights are scaled to mean 1.

    Parameters
    ----------
    estimator : KerasClassifier or KerasRegressor
        Of ``scikeras.wrappers`` or of `skcnn.scikeras`, fitted or not. Its model has one input and one output.

    Returns
    -------
    ConvertedClassifier or ConvertedRegressor
        A `CNNClassifier` or `CNNRegressor` with the model function as its network. Parameters of the model function
        are tuned as ``network__estimator__model__...``, all else by its names in skcnn (``learning_rate``, ...); other
        parameters of the scikeras estimator are no longer read, and to set them raises an error.

    Raises
    ------
    TypeError
        If `estimator` is something else.
    ValueError
        If something has no equivalent in skcnn; the message names it.

    Examples
    --------
    >>> import keras
    >>> from sklearn.datasets import load_iris
    >>> from skcnn.scikeras import KerasClassifier, convert
    >>> def model(hidden, meta):
    ...     layers = keras.layers.Dense(hidden, "relu"), keras.layers.Dense(meta["n_classes_"], "softmax")
    ...     return keras.Sequential([keras.Input(meta["X_shape_"][1:]), *layers])
    >>> loss = "sparse_categorical_crossentropy"
    >>> clf = KerasClassifier(model, loss=loss, optimizer="adam", model__hidden=8, verbose=0)
    >>> converted = convert(clf)
    >>> converted.learning_rate, converted.batch_size
    (0.001, 32)
    >>> X, y = load_iris(return_X_y=True)
    >>> converted.set_params(epochs=50, learning_rate=0.01, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """
    if not isinstance(estimator, (*_CLASSIFIERS, *_REGRESSORS)):
        raise TypeError(
            f"convert got {type(estimator).__name__}; expected a KerasClassifier or KerasRegressor of "
            "scikeras.wrappers or skcnn.scikeras. Of a pipeline or a search, convert the step that is one."
        )
    is_classifier = isinstance(estimator, _CLASSIFIERS)
    _check_overrides(estimator)
    compiled = _compiled_settings(estimator)
    if (compiled["loss"] == "log_loss") != is_classifier:
        raise NotCarried(
            f"loss={compiled['loss']!r} in {type(estimator).__name__}",
            "skcnn's classifiers have cross-entropies, its regressors squared, absolute and Huber errors.",
        )
    settings = compiled | _training_settings(estimator)
    if is_classifier:
        settings["class_weight"] = estimator.class_weight
    network = ModelFunction(_unfitted(estimator), carried=compiled)
    converted = (ConvertedClassifier if is_classifier else ConvertedRegressor)(network, **settings)
    if estimator.initialized_:
        _carry_weights(estimator, converted)
    return converted


def _unfitted(estimator: Any) -> Any:
    """Return a clone, also where the optimizer has trained, which Keras cannot copy."""
    same = copy.copy(estimator)
    same.optimizer = new_optimizer(estimator.optimizer)
    return clone(same)


# Optimizer and loss --------------------------------------------------------------------------------------------------


def _compiled_settings(estimator: Any) -> dict[str, Any]:
    """Return what the optimizer and the loss of the model are, as parameters of skcnn.

    Where the model function needs to see data, the estimator's settings are read; the function is checked against
    them later.
    """
    unfitted, model = _unfitted(estimator), None
    if estimator.initialized_:
        model = estimator.model_
    elif not needs_data(unfitted):
        model = built_model(unfitted)
    if model is not None and (len(model.inputs) != 1 or len(model.outputs) != 1):
        raise NotCarried(
            f"a model with {len(model.inputs)} inputs and {len(model.outputs)} outputs", "skcnn has one of each."
        )
    optimizer, loss = compiled_with(model, estimator)  # no clone of it: Keras' Huber forgets its delta
    if loss is None:
        loss = "binary_crossentropy" if isinstance(estimator, _CLASSIFIERS) else "mean_squared_error"
    return optimizer_settings(optimizer) | loss_settings(loss)


# Training ------------------------------------------------------------------------------------------------------------


def _training_settings(estimator: Any) -> dict[str, Any]:
    """Return how the estimator trains, as parameters of skcnn."""
    params = estimator.get_params()
    _check_names(params)
    given = {name: params.get(f"fit__{name}", params[name]) for name in FIT_PARAMS}
    batch_size = KERAS_BATCH if given["batch_size"] is None else given["batch_size"]
    if given["shuffle"] is not True and batch_size != -1:
        raise NotCarried(
            f"shuffle={given['shuffle']!r}", "skcnn shuffles before each epoch. Set shuffle=True, or batch_size=-1."
        )
    settings = {
        "epochs": given["epochs"],
        "batch_size": ALL_SAMPLES if batch_size == -1 else batch_size,
        "schedule": "constant",
        "standardize": None,
        "warm_start": estimator.warm_start,
        "random_state": estimator.random_state,
        "verbose": 2 * int(given["verbose"] not in (0, False)),
        "dtype": keras.config.floatx(),
    }
    return settings | _early_stopping(estimator, given["validation_split"])


def _check_names(params: dict[str, Any]) -> None:
    """Refuse routed parameters that have no equivalent."""
    allowed = {"fit": FIT_PARAMS, "compile": COMPILE_PARAMS, "score": ()}
    for name, value in params.items():
        prefix, *rest = name.split("__")
        if rest and prefix in allowed and rest[0] not in allowed[prefix]:
            raise NotCarried(f"{name}={value!r}", "skcnn has no such parameter. Leave it out first.")


def _early_stopping(estimator: Any, validation_split: float) -> dict[str, Any]:
    """Return what stands for the callbacks and the validation split."""
    stops, nan = keras.callbacks.EarlyStopping, keras.callbacks.TerminateOnNaN
    callbacks = [one for one in fit_callbacks(_unfitted(estimator)) if not isinstance(one, nan)]  # skcnn always does
    for kind in (type(callback) for callback in callbacks if not isinstance(callback, stops)):
        raise NotCarried(f"callback {kind.__name__}", "leave it out, and set callbacks= of what convert returns.")
    if not callbacks and not validation_split:
        return {"early_stopping": False}
    if len(callbacks) != 1 or not validation_split:
        raise NotCarried(
            f"validation_split={validation_split} with {len(callbacks)} EarlyStopping callbacks",
            "skcnn splits validation samples off for early stopping, and for nothing else. Set both or none.",
        )
    return _patience(callbacks[0]) | {"early_stopping": True, "validation_fraction": validation_split}


def _patience(callback: Any) -> dict[str, Any]:
    name = type(callback).__name__
    if callback.monitor not in MONITORS:
        raise NotCarried(f"{name}(monitor={callback.monitor!r})", f"skcnn monitors one of {[*MONITORS]}.")
    for setting, value in {"restore_best_weights": True, "baseline": None, "start_from_epoch": 0}.items():
        if getattr(callback, setting) != value:
            what = f"{name}({setting}={getattr(callback, setting)!r})"
            raise NotCarried(what, f"skcnn stops as with {setting}={value!r}. Set it so first.")
    return {
        "scoring": MONITORS[callback.monitor],
        "n_iter_no_change": max(1, callback.patience),
        "tol": abs(float(callback.min_delta)),
    }


def _check_overrides(estimator: Any) -> None:
    """Refuse subclasses that change what the network sees or how it is judged."""
    for name in ("target_encoder", "feature_encoder", "scorer"):
        owner = next(cls for cls in type(estimator).__mro__ if name in vars(cls))
        if owner.__module__.split(".")[0] not in ("scikeras", "skcnn"):
            raise NotCarried(
                f"{name} of {owner.__name__}",
                "skcnn has no such hook. Put the encoder into a pipeline step before the network, and pass a scorer to "
                "scikit-learn's scoring.",
            )


# Weights -------------------------------------------------------------------------------------------------------------


def _carry_weights(estimator: Any, converted: Any) -> None:
    """Make the skcnn estimator a fitted one, with the weights of the Keras model."""
    shape = tuple(estimator.X_shape_[1:])
    names = getattr(estimator, "feature_names_in_", None)
    layout = Layout(shape, resolve_input_shape(None, shape), estimator.n_features_in_, names)
    target = _target_of(estimator)
    strengths = converted._strengths()
    topology = converted._topology(target, layout, strengths)
    with building(topology.dtype):  # refuses what does not fit now rather than at the first prediction
        topology = replace(topology, structure=structure_of(topology.build()))
    weights = [np.asarray(weight) for weight in estimator.model_.weights]
    history = {name: list(map(float, values)) for name, values in getattr(estimator, "history_", {}).items()}
    epochs = len(history.get("loss", ()))
    seed = int(check_random_state(None).randint(2**31 - 1))
    progress = Progress(weights=weights, history=history, epoch=epochs, best_epoch=epochs)
    converted._become(Fitted(layout, target, topology, strengths, seed, np.zeros(topology.n_outputs), progress))


def _target_of(estimator: Any) -> Any:
    if not isinstance(estimator, _CLASSIFIERS):
        n_outputs = estimator.n_outputs_
        return UnscaledTarget(np.zeros(n_outputs), np.ones(n_outputs), estimator.y_ndim_ == 1)
    kinds = {"binary": "binary", "multiclass": "multiclass", "multilabel-indicator": "multilabel"}
    if estimator.target_type_ not in kinds:
        raise NotCarried(f"{estimator.target_type_} targets", f"skcnn has {[*kinds]}.")
    return ClassTarget(kinds[estimator.target_type_], np.asarray(estimator.classes_))

"""Keras callbacks at the beginning and end of epochs: what they see and change."""

import copy
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from skcnn._engine.blueprint import building
from skcnn._engine.keras_internals import forget_model, model_of, traces_batches
from skcnn._engine.loop import Plan, Progress
from skcnn._engine.program import Program
from skcnn._engine.threads import start_tensorflow

__all__ = ["KerasCallbacks", "check_copyable", "copy_callbacks"]

# Hooks that Keras calls between the beginning and the end of an epoch, where skcnn is inside a compiled graph.
INSIDE = [f"on_{part}_{edge}" for part in ("batch", "train_batch", "test_batch", "test") for edge in ("begin", "end")]
# Callbacks of Keras that have such hooks but do not use them with these arguments.
AT_EPOCHS = {
    "ModelCheckpoint": ("save_freq='epoch'", lambda callback: callback.save_freq == "epoch"),
    "TensorBoard": (
        "update_freq='epoch' and profile_batch=0",
        lambda callback: callback.update_freq == "epoch" and not traces_batches(callback),
    ),
}
INSTEAD = {
    "BackupAndRestore": "Set memory=, which keeps the state of training and continues from it.",
    "ProgbarLogger": "Set verbose=2, which prints each epoch, or scikit-learn's ProgressBar.",
    "SwapEMAWeights": "Set ema_momentum=, which averages the weights and predicts with the averages.",
    "TerminateOnNaN": "Leave it out: a loss that is not finite always ends a fit with a FloatingPointError.",
}


def copy_callbacks(callbacks: Sequence[Any] | None) -> list[Any]:
    """Return copies of Keras callbacks for one fit, without an earlier model.

    Raises
    ------
    TypeError
        If one is not a Keras callback, or cannot be copied.
    ValueError
        If one acts on batches.
    """
    if not callbacks:
        return []
    for i, callback in enumerate(callbacks):
        _check(f"callbacks[{i}]", callback)
    try:
        return [copy.deepcopy(callback, {id(model_of(callback)): None}) for callback in callbacks]
    except Exception:
        check_copyable(callbacks)
        raise


def check_copyable(callbacks: Sequence[Any] | None) -> None:
    """Raise a TypeError that names the callback that cannot be copied, if any."""
    for i, callback in enumerate(callbacks or ()):
        try:
            copy.deepcopy(callback)
        except Exception as error:
            raise TypeError(
                f"callbacks[{i}], {type(callback).__name__}, cannot be copied ({error}), but each fit and each clone "
                "requires its own copy. After Keras' fit has used it, a callback may hold an open file or a module: "
                "pass a new one."
            ) from error


def _check(name: str, callback: Any) -> None:
    """Refuse what is not a Keras callback, and what acts on batches."""
    _, keras = start_tensorflow()
    kind = type(callback).__name__
    if not isinstance(callback, keras.callbacks.Callback):
        got = f"the class {callback.__name__}" if isinstance(callback, type) else f"{callback!r}"
        hint = " Set scikit-learn's callbacks with set_callbacks(...)." if hasattr(callback, "setup") else ""
        raise TypeError(f"{name} is {got}; expected an instance of keras.callbacks.Callback.{hint}")
    for hook in INSIDE:
        owner = _owner(callback, hook)
        if owner is keras.callbacks.Callback:
            continue
        needed, at_epochs = AT_EPOCHS.get(owner.__name__, ("", lambda _: False))
        if not at_epochs(callback):
            advice = f"Set {needed}." if needed else INSTEAD.get(owner.__name__, "Use on_epoch_begin and on_epoch_end.")
            raise ValueError(
                f"{name}, {kind}, has the hook {hook}, which would never be called: an epoch runs inside a compiled "
                f"graph, and callbacks are only called at the beginning and end of epochs and of training. {advice}"
            )


def _owner(callback: Any, hook: str) -> type:
    """Return the class that defines a hook."""
    if hook in vars(callback):  # as in LambdaCallback
        return type(callback)
    return next(one for one in type(callback).__mro__ if hook in vars(one))


class KerasCallbacks:
    """Calls Keras callbacks during training.

    They are given a separate Keras model with the current weights, and with an optimizer that has the learning rate and
    the number of steps. Changes to weights, learning rate and ``stop_training`` take effect.

    Parameters
    ----------
    callbacks : list of keras.callbacks.Callback
        Copies for this fit only.
    model : keras.Model
        The network, for this fit only.
    program : Program
        The program that is trained.
    plan : Plan
        How to train it.
    """

    def __init__(self, callbacks: list[Any], model: Any, program: Program, plan: Plan) -> None:
        _, keras = start_tensorflow()
        self.callbacks = callbacks
        self.model = model
        self.program = program
        self.plan = plan
        self._n_weights = len(model.weights)
        rules = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
        with building(program.topology.dtype):  # other rules are forms of SGD
            model.optimizer = rules.get(program.topology.optimizer, keras.optimizers.SGD)(plan.learning_rate)
        model.stop_training = False
        for callback in callbacks:
            if isinstance(callback, (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)):
                self._check_rate_is_free(f"The Keras callback {type(callback).__name__} sets the learning rate")

    def start(self, progress: Progress) -> None:
        """Set the model of the callbacks and call ``on_train_begin``."""
        params = {"epochs": self.plan.epochs, "batch_size": self.plan.batch_size, "verbose": 0}
        self._show(progress, self._weights())
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(self.model)
        self._call("on_train_begin", progress)

    def begin(self, progress: Progress) -> None:
        """Call ``on_epoch_begin``."""
        self._call("on_epoch_begin", progress, progress.epoch)

    def end(self, progress: Progress) -> bool:
        """Call ``on_epoch_end`` and return whether to stop.

        What callbacks add to the logs becomes part of the history.
        """
        logs = {name: values[-1] for name, values in progress.history.items() if not np.isnan(values[-1])}
        self._show(progress, self._weights())
        self._call("on_epoch_end", progress, progress.epoch - 1, logs)
        for name in [name for name, value in logs.items() if isinstance(value, Real)]:
            values = progress.history.setdefault(name, [])
            values += [np.nan] * (progress.epoch - len(values))
            if np.isnan(values[-1]):  # else a value of the fit itself, which stays
                values[-1] = float(logs[name])
        return bool(self.model.stop_training)

    def finish(self, progress: Progress) -> None:
        """Call ``on_train_end`` with the weights to keep, which callbacks may change."""
        self._show(progress, progress.weights)
        for callback in self.callbacks:
            callback.on_train_end({name: values[-1] for name, values in progress.history.items()})
            forget_model(callback)  # so that the fitted estimator holds no Keras model
        changed = self._changed_weights()
        if changed is not None:
            progress.weights = changed

    def _weights(self) -> list[np.ndarray]:
        with self.program.predicting():
            return self.program.weights()

    def _show(self, progress: Progress, weights: list[np.ndarray]) -> None:
        """Update model and optimizer to the state of training."""
        self._shown = weights
        self.model.set_weights(weights[: self._n_weights])
        self.model.optimizer.iterations.assign(progress.step)

    def _changed_weights(self) -> list[np.ndarray] | None:
        """Return the weights of the model if a callback has changed them."""
        weights = [*self.model.get_weights(), *self._shown[self._n_weights :]]
        same = all(np.array_equal(one, other) for one, other in zip(weights, self._shown, strict=True))
        return None if same else weights

    def _call(self, hook: str, progress: Progress, *arguments: Any) -> None:
        """Call a hook of all callbacks and apply what they set."""
        optimizer, plan = self.model.optimizer, self.plan
        shown = np.float32(self._rate(progress))  # as a Keras optimizer holds it
        optimizer.learning_rate = float(shown)
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)
        rate = np.asarray(optimizer.learning_rate, np.float32)
        if rate != shown:
            self._check_rate_is_free(f"A Keras callback has set the learning rate to {float(rate):g}")
            progress.rate_factor = float(rate) / plan.learning_rate
        changed = self._changed_weights()
        if changed is not None:
            if self.program.blueprint.averaged:
                raise ValueError(
                    "A Keras callback has set the weights, but with ema_momentum it sees their averages, not the "
                    "weights that are trained. Leave the callback out, or set ema_momentum=0."
                )
            self.program.load_weights(changed)
            self._shown = changed

    @property
    def _settled(self) -> bool:
        return self.plan.schedule == "constant" and not self.plan.warmup_epochs

    def _check_rate_is_free(self, happened: str) -> None:
        if not self._settled:
            raise ValueError(
                f"{happened}, but so do schedule={self.plan.schedule!r} and warmup_epochs={self.plan.warmup_epochs:g}. "
                "Leave the callback out, or set schedule='constant' and warmup_epochs=0."
            )

    def _rate(self, progress: Progress) -> float:
        """Return the current learning rate; that of the last epoch if a schedule sets it."""
        if self._settled or not progress.epoch:
            return self.plan.learning_rate * progress.rate_factor
        return progress.history["learning_rate"][-1]

"""Keras callbacks at the beginning and end of epochs: what they see and change."""

from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from skcnn._engine.blueprint import building
from skcnn._engine.keras_internals import forget_model, maximize, traces_batches
from skcnn._engine.loop import Plan, Progress
from skcnn._engine.program import Program
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.callback_copies import copy_state

__all__ = ["KerasCallbacks", "copy_callbacks"]

# Hooks that Keras calls between the beginning and the end of an epoch, where skcnn is inside a compiled graph.
INSIDE = [f"on_{part}_{edge}" for part in ("batch", "train_batch", "test_batch", "test") for edge in ("begin", "end")]
# Callbacks that have such hooks but do not use them with these arguments, by package and class.
AT_EPOCHS = {
    "keras.ModelCheckpoint": ("save_freq='epoch'", lambda callback: callback.save_freq == "epoch"),
    "keras.TensorBoard": (
        "update_freq='epoch' and profile_batch=0",
        lambda callback: callback.update_freq == "epoch" and not traces_batches(callback),
    ),
    "mlflow.MlflowCallback": ("log_every_epoch=True", lambda callback: callback.log_every_epoch),
    "tqdm.TqdmCallback": ("verbose=0", lambda callback: not callback.verbose),
    "wandb.WandbMetricsLogger": ("log_freq='epoch'", lambda callback: not callback.logging_batch_wise),
    "wandb.WandbModelCheckpoint": ("save_freq='epoch'", lambda callback: callback.save_freq == "epoch"),
}
INSTEAD = {
    "BackupAndRestore": "Set memory=, which keeps the state of training and continues from it.",
    "ProgbarLogger": "Set verbose=2, which prints each epoch, or scikit-learn's ProgressBar.",
    "SwapEMAWeights": "Set ema_momentum=, which averages the weights and predicts with the averages.",
    "TerminateOnNaN": "Leave it out: a loss that is not finite always ends a fit with a FloatingPointError.",
}


def copy_callbacks(callbacks: Sequence[Any] | None, fit: int) -> list[Any]:
    """Return copies of Keras callbacks for one fit, see `copy_state`.

    Raises
    ------
    TypeError
        If one is not a Keras callback.
    ValueError
        If one acts on batches.
    """
    for i, callback in enumerate(callbacks or ()):
        _check(f"callbacks[{i}]", callback)
    return list(copy_state(callbacks or [], fit))


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
        package = owner.__module__.partition(".")[0]
        needed, at_epochs = AT_EPOCHS.get(f"{package}.{owner.__name__}", ("", lambda _: False))
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


def _logs_read_by(callback: Any) -> list[str]:
    """Return the names of logs that a callback of Keras, or one derived from it, requires."""
    _, keras = start_tensorflow()
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        fields = [field for _, field, _, _ in Formatter().parse(callback.filepath) if field not in (None, "epoch")]
        return [*fields, callback.monitor] if callback.save_best_only else fields
    monitors = isinstance(callback, (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau))
    return [callback.monitor] if monitors else []


def _may_add_logs(callback: Any) -> bool:
    """Tell whether a callback has code of its own at the end of an epoch, when logs can be added."""
    hook = "on_epoch_end"
    return hook in vars(callback) or _owner(callback, hook).__module__.partition(".")[0] != "keras"


def _evaluate(model: Any, loss: str, *arguments: Any, **settings: Any) -> Any:
    """Evaluate a model once a callback has compiled it."""
    if model.compiled:
        return type(model).evaluate(model, *arguments, **settings)
    functions = {"sigmoid": "BinaryCrossentropy", "softmax": "SparseCategoricalCrossentropy"}
    with_loss, outputs = "'mse'", "predictions in the unit of y"
    if loss in functions:
        with_loss, outputs = f"keras.losses.{functions[loss]}(from_logits=True)", "logits"
    raise ValueError(
        "A Keras callback has called model.evaluate, which requires a compiled model; skcnn trains without. "
        f"Call self.model.compile(self.model.optimizer, loss={with_loss}) in on_train_begin, or score what "
        f"self.model.predict(X) returns, which are {outputs}."
    )


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
    scores : sequence of str or None
        Names under which the score of the validation samples is logged, the higher the better; None without such
        samples.
    fit : int
        Number of the fit, which callbacks find in their ``params``.
    """

    def __init__(
        self, callbacks: list[Any], model: Any, program: Program, plan: Plan, scores: Sequence[str] | None, fit: int
    ) -> None:
        _, keras = start_tensorflow()
        self.callbacks = callbacks
        self.model = model
        self.program = program
        self.plan = plan
        self.fit = fit
        self._scores = tuple(scores or ())
        self._n_weights = len(model.weights)
        rules = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
        with building(program.topology.dtype):  # other rules are forms of SGD
            model.optimizer = rules.get(program.topology.optimizer, keras.optimizers.SGD)(plan.learning_rate)
        model.stop_training = False
        model.evaluate = partial(_evaluate, model, program.topology.loss)
        self._check_logs(["learning_rate", "loss", *(() if scores is None else ("val_loss", *scores))])
        for callback in callbacks:
            if isinstance(callback, (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)):
                self._check_rate_is_free(f"The Keras callback {type(callback).__name__} sets the learning rate")

    def start(self, progress: Progress) -> None:
        """Set the model of the callbacks and call ``on_train_begin``."""
        _, keras = start_tensorflow()
        params = {"epochs": self.plan.epochs, "batch_size": self.plan.batch_size, "verbose": 0, "fit": self.fit}
        self._show(progress, self._weights())
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger) and "://" not in callback.filename:
                Path(callback.filename).parent.mkdir(parents=True, exist_ok=True)  # as other callbacks of Keras do
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
        logs = self._logs(progress)
        self._show(progress, self._weights())
        self._call("on_epoch_end", progress, progress.epoch - 1, logs)
        for name in [name for name, value in logs.items() if isinstance(value, Real) and name not in self._scores]:
            values = progress.history.setdefault(name, [])
            values += [np.nan] * (progress.epoch - len(values))
            if np.isnan(values[-1]):  # else a value of the fit itself, which stays
                values[-1] = float(logs[name])
        return bool(self.model.stop_training)

    def finish(self, progress: Progress) -> None:
        """Call ``on_train_end`` with the weights to keep, which callbacks may change."""
        self._show(progress, progress.weights)
        for callback in self.callbacks:
            callback.on_train_end(self._logs(progress))
            forget_model(callback)  # so that the fitted estimator holds no Keras model
        progress.weights = self._changed_weights() or progress.weights

    def _logs(self, progress: Progress) -> dict[str, Any]:
        """Return the values of the last epoch, that of the score under each of its names."""
        ended = {name: values[-1] for name, values in progress.history.items() if values and not np.isnan(values[-1])}
        return {name: ended["val_score"] for name in self._scores if "val_score" in ended} | ended

    def _check_logs(self, known: list[str]) -> None:
        """Refuse callbacks that require logs that nobody makes; those that monitor scores maximise them."""
        adds = False
        for i, callback in enumerate(self.callbacks):
            adds |= _may_add_logs(callback)
            required = _logs_read_by(callback)
            missing = [name for name in required if name not in known]
            if missing and not adds:
                raise ValueError(
                    f"callbacks[{i}], {type(callback).__name__}, requires the log {missing[0]!r}; expected one of "
                    f"{known}. Logs of validation samples, such as 'val_loss' and, with scoring='accuracy', "
                    "'val_accuracy', require early_stopping=True or X_val and y_val; any other log is added by an "
                    "earlier callback in its on_epoch_end."
                )
            if getattr(callback, "monitor", None) in self._scores and callback.monitor in required:
                maximize(callback)

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
    def _rate_is_free(self) -> bool:
        return self.plan.schedule == "constant" and not self.plan.warmup_epochs

    def _check_rate_is_free(self, happened: str) -> None:
        if not self._rate_is_free:
            raise ValueError(
                f"{happened}, but so do schedule={self.plan.schedule!r} and warmup_epochs={self.plan.warmup_epochs:g}. "
                "Leave the callback out, or set schedule='constant' and warmup_epochs=0."
            )

    def _rate(self, progress: Progress) -> float:
        """Return the current learning rate; that of the last epoch if a schedule sets it."""
        if self._rate_is_free or not progress.epoch:
            return self.plan.learning_rate * progress.rate_factor
        return progress.history["learning_rate"][-1]

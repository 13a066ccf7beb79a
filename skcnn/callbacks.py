"""Callbacks of scikit-learn's kind (1.9): a trial of Optuna that is told of each epoch."""

from collections.abc import Mapping
from threading import Lock, get_ident
from typing import Any

from skcnn._fit.estimator import BaseCNN
from skcnn.exceptions import PruningWarning, warn

__all__ = ["OptunaPruning"]


class OptunaPruning:
    """Report each epoch to a trial of Optuna, and end the training of a trial that its study prunes.

    Set it on the outermost estimator, ``pipeline.set_callbacks(OptunaPruning(trial))``; it reaches the networks inside.
    Clones share it, so that the folds of `cross_val_score` report to one trial, one after the other or on threads.

    Parameters
    ----------
    trial : optuna.trial.Trial
        Of the objective that fits the estimator.
    monitor : str, default=None
        Name in ``history_`` of what is reported, such as "val_loss". With None the score of the validation samples or,
        without such samples, the training loss.

    Raises
    ------
    optuna.TrialPruned
        By `fit`, for Optuna to catch: in `cross_val_score` and other cross-validations set ``error_score="raise"``,
        since they take it for a failure of one fold otherwise, which a warning tells.
    KeyError
        By `fit`, if ``history_`` has no such name.
    TypeError
        If `trial` is no trial, or if it is sent to another process while the study lies in memory, where the trial
        would be a copy.

    Notes
    -----
    Steps count epochs from 0 on, over all folds of one process. A second training, of ``refit_full=True``, is not
    reported. Losses are reported with a minus sign in a study that is maximised, all else so in one that is minimised.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_val_score
    >>> from skcnn import CNNClassifier
    >>> from skcnn.callbacks import OptunaPruning
    >>> def objective(trial):
    ...     X, y = load_digits(return_X_y=True)
    ...     cnn = CNNClassifier(input_shape=(8, 8, 1), learning_rate=trial.suggest_float("rate", 1e-4, 1e-1, log=True))
    ...     cnn.set_callbacks(OptunaPruning(trial))
    ...     return cross_val_score(cnn, X, y, cv=3, error_score="raise").mean()

    Then ``optuna.create_study(direction="maximize").optimize(objective, n_trials=20)``.
    """

    max_propagation_depth = None  # as deep as there are estimators

    def __init__(self, trial: Any, *, monitor: str | None = None) -> None:
        if not (hasattr(trial, "report") and hasattr(trial, "should_prune")):
            raise TypeError(
                f"trial is of type {type(trial).__name__}; expected the trial that Optuna passes to the objective."
            )
        self.trial = trial
        self.monitor = monitor
        self._lock = Lock()
        self._step = 0
        self._pruned_in: int | None = None  # thread

    def setup(self, estimator: Any, context: Any) -> None:
        """Refuse a fit after the trial has been pruned."""
        if self._pruned_in is not None:
            if self._pruned_in == get_ident():
                self._pruned_in = 0  # so that it is told once
                warn(
                    PruningWarning(
                        "The trial was pruned, and a further fit has begun: TrialPruned was taken for a failure of one "
                        'fold. Pass error_score="raise" to the cross-validation.'
                    )
                )
            self._prune()

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
        """Report the epoch that has ended."""
        if not isinstance(fitted_estimator, BaseCNN) or context.task_name != "epoch":
            return
        if context.parent is None or context.parent.task_name != "train-on-all-samples":
            self._report({name: values[-1] for name, values in fitted_estimator.history_.items()})

    def to_keras(self) -> Any:
        """Return a Keras callback that does the same, for ``callbacks=`` with scikit-learn before 1.9."""
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_end=self._on_epoch_end)

    def _on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._report(logs)

    def _report(self, logs: Mapping[str, float]) -> None:
        name = self.monitor or ("val_score" if "val_score" in logs else "loss")
        if name not in logs:
            raise KeyError(f"monitor={name!r} is not in history_; expected one of {list(logs)}.")
        study = getattr(self.trial, "study", None)
        is_maximized = study is not None and study.direction.name == "MAXIMIZE"
        sign = 1 if is_maximized != ("loss" in name) else -1
        with self._lock:
            if self._pruned_in is not None:
                self._prune()
            self.trial.report(sign * float(logs[name]), self._step)
            self._step += 1
            if self.trial.should_prune():
                self._pruned_in = get_ident()
                self._prune()

    def _prune(self) -> None:
        from optuna import TrialPruned

        raise TrialPruned(f"Pruned after {self._step} epochs.")

    def __getstate__(self) -> dict[str, Any]:
        if type(getattr(self.trial, "storage", None)).__name__ == "InMemoryStorage":
            raise TypeError(
                "OptunaPruning cannot be sent to another process: its study lies in memory, and would be a copy there. "
                'Fit on threads (joblib.parallel_config("threading")), or keep the study in a database '
                '(optuna.create_study(storage="sqlite:///study.db")).'
            )
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = Lock()

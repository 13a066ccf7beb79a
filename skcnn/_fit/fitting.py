"""`Fit`: one call of fit, from rows and weights to a trained state, anew or from what ``memory=`` keeps."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring

from skcnn._engine.blueprint import Topology
from skcnn._engine.checkpoints import Checkpoints, memory_folder, surroundings
from skcnn._engine.fingerprint import fingerprint, object_key
from skcnn._engine.loop import Plan, Progress, Watcher, train
from skcnn._engine.memory import Need
from skcnn._engine.pool import pool
from skcnn._engine.program import Program
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.batches import Batches
from skcnn._fit.keras_callbacks import KerasCallbacks
from skcnn._fit.printing import Printer
from skcnn._fit.targets import ClassTarget
from skcnn._fit.weights import class_shares, prior_shift, row_weights
from skcnn._sklearn.callback_tasks import FitTasks, follows_epochs
from skcnn._sklearn.checks import as_rows, naming, standard_units

__all__ = ["Fit", "HeldOut"]

# What of `Batches` decides the rows of each epoch, besides the sampler.
_ROWS = ("X", "y", "weight", "rows", "seed", "every_epoch", "share")


class HeldOut(NamedTuple):
    """Validation rows, their targets and weights, as the user has them."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None


class Fit:
    """One call of fit: what is the same in training on the training part and in training again on all rows."""

    def __init__(
        self,
        estimator: Any,
        target: Any,
        topology: Topology,
        strengths: dict[str, float],
        seed: int,
        wanted: np.ndarray | None,
        resumed: Progress | None,
        tasks: FitTasks | None = None,
        callbacks: Sequence[Any] = (),
        need: Need | None = None,
    ) -> None:
        self.estimator = estimator
        self.target = target
        self.topology = topology
        self.strengths = strengths
        self.seed = seed
        self.wanted = wanted
        self.resumed = resumed
        self.need = need or Need("fit", 0, 0)
        self.tasks = tasks
        self.callbacks = callbacks
        self.reached = Progress()  # where the last training has come to; no weights before it has begun
        self._first: str | None = None  # fingerprint of the first of two trainings

    def set_rows(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, rows: np.ndarray) -> None:
        """Choose the training rows, and find what follows from them: units, weights and class shares."""
        if self.resumed is None:
            self.target = self.estimator._settle(self.target, y[rows], None if weight is None else weight[rows])
        encoded = _cast(self.target.encode(y), self.topology.dtype)
        self.batches = Batches(
            X, encoded, weight, rows, self._weigh, self.seed, **self.estimator._sampling(self.target)
        )
        per, self.units = self.topology.standardize, None
        if per is not None:
            self.units = standard_units(X, rows, weight, per, self.topology.dtype)
        # What is taken from the logits to predict for the class shares of the training rows, and for those wanted.
        self.to_train = self.to_wanted = np.zeros(self.topology.n_outputs)
        if isinstance(self.target, ClassTarget):
            _, y, w, order = self.batches.at(0)
            trained = class_shares(self.target, y[order], w[order])
            shares = class_shares(self.target, encoded[rows], None if weight is None else weight[rows])
            self.to_train = prior_shift(trained, shares)
            if self.wanted is not None:
                self.to_wanted = prior_shift(trained, self.wanted)

    def _weigh(self, y: np.ndarray, weight: np.ndarray | None, order: np.ndarray) -> np.ndarray:
        seen = None if weight is None else weight[order]
        per_class = self.estimator._class_weights(self.target, y[order], seen)
        return row_weights(y, per_class, weight, order).astype(self.topology.dtype)

    def train(self, epochs: int, stop_early: bool, held_out: HeldOut | None) -> None:
        """Train up to `epochs` more."""
        progress = Progress() if self.resumed is None else self.resumed.resumed()
        self._train(self._plan(progress.epoch + epochs, stop_early), progress, held_out)

    def train_again(self, epochs: int) -> None:
        """Train from the start for as long as was best, at the learning rates of then."""
        chosen = self.reached
        plan = self._plan(chosen.best_epoch, False)
        plan.horizon = int(epochs)
        if plan.schedule == "plateau" or self.callbacks:  # both lower the rate of whole epochs, on top of the warm-up
            rates = enumerate(chosen.history["learning_rate"])
            plan.rate_factors = [rate / plan.learning_rate if i >= plan.warmup_epochs else 1.0 for i, rate in rates]
        self._train(plan, Progress(), None)
        self.reached.history = chosen.history

    def _plan(self, epochs: int, stop_early: bool) -> Plan:
        """Return how to train, from the parameters of the estimator."""
        estimator = self.estimator
        return Plan(
            epochs=int(epochs),
            batch_size=self.batches.batch_size(int(estimator.batch_size)),
            seed=self.seed,
            learning_rate=float(estimator.learning_rate),
            schedule=estimator.schedule,
            warmup_epochs=float(estimator.warmup_epochs),
            strengths=self.strengths,
            patience=int(estimator.n_iter_no_change),
            tol=float(estimator.tol),
            stop_early=stop_early,
        )

    def _train(self, plan: Plan, progress: Progress, held_out: HeldOut | None) -> None:
        """Train on a program from the pool, from `progress` or from the furthest checkpoint of this run."""
        with pool.lend(self.topology) as program:
            program.reset(self.seed)
            if self.units is not None:
                program.set_units(*self.units)
            checkpoints = self._checkpoints(plan, program, held_out)
            if checkpoints is not None:
                like = Progress(program.weights(), program.optimizer_state())
                progress = checkpoints.furthest(plan.epochs, like) or progress
            _load(program, progress)
            validate = None if held_out is None else self._validator(held_out)
            watchers = self._watchers(plan, program, progress)
            self.reached = progress
            self._know_step(program)
            with self.need.step():
                train(program, self.batches, plan, progress, validate, watchers, checkpoints)

    def _know_step(self, program: Program) -> None:
        tf, _ = start_tensorflow()
        if not tf.config.list_logical_devices("GPU"):  # a card has memory of its own, and raises by itself
            self.need.step_row_bytes = program.blueprint.step_row_bytes
            self.need.gradient_bytes = program.blueprint.gradient_bytes

    def _watchers(self, plan: Plan, program: Program, progress: Progress) -> list[Watcher]:
        """Return who is told of the epochs; Keras callbacks are not told of training again."""
        rows = self.batches.rows
        first = 0 if self.resumed is None else self.resumed.epoch
        watchers: list[Watcher] = []
        if self.tasks is not None:
            watchers += self.tasks.training(rows, plan.epochs - first, first, partial(self._as_of, program))
        if self.callbacks and plan.rate_factors is None:
            model = self._as_of(program, progress).to_keras()
            watchers.append(KerasCallbacks(list(self.callbacks), model, program, plan))
        if self.estimator.verbose:
            watchers.append(Printer(int(self.estimator.verbose), plan, len(rows)))
        return watchers

    def _as_of(self, program: Program, progress: Progress) -> Any:
        """Return the estimator as if training had stopped now, with weights of its own."""
        estimator = self.become(copy.copy(self.estimator))
        history = {name: list(values) for name, values in progress.history.items()}
        with program.averaged():
            weights = program.weights()
        now = replace(progress, weights=weights, best_epoch=progress.epoch, history=history)
        estimator._record(now, keep_optimizer=False)
        return estimator

    def _checkpoints(self, plan: Plan, program: Program, held_out: HeldOut | None) -> Checkpoints | None:
        """Return where this run is kept; None if nothing is to be kept, or could not be found again."""
        folder = memory_folder(self.estimator.memory)
        found_again = self.resumed is None and isinstance(self.estimator.random_state, Integral)
        objects = [self.topology.network, *map(object_key, self._objects(held_out))]
        watched = bool(self.callbacks) or follows_epochs(self.estimator)  # what callbacks do is in no fingerprint
        if folder is None or watched or not found_again or not all(isinstance(key, str) for key in objects):
            return None
        return Checkpoints(folder, self._fingerprint(plan, program, held_out, objects))

    def _objects(self, held_out: HeldOut | None) -> list[Any]:
        """Parameters that are objects with code of their own."""
        return [self.batches.sampler, self.estimator.scoring if held_out is not None else None]

    def _fingerprint(self, plan: Plan, program: Program, held_out: HeldOut | None, objects: list[Any]) -> str:
        """Digest all that decides the state after an epoch, which the number of epochs does not.

        The weights that a program starts with tell pretrained ones, units and what a seed has drawn.
        """
        apart = ("build", "knobs", "transformations")
        topology = {key: value for key, value in vars(self.topology).items() if key not in apart}
        how = {key: value for key, value in vars(plan).items() if key not in ("epochs", "horizon", "rate_factors")}
        if plan.schedule in ("cosine", "one_cycle"):
            how["horizon"] = plan.horizon or plan.epochs
        if not plan.stop_early and plan.schedule != "plateau":
            del how["patience"], how["tol"]
        rows = {key: value for key, value in vars(self.batches).items() if key in _ROWS}
        class_weight = getattr(self.estimator, "class_weight", None)
        classes = self.target.classes if isinstance(self.target, ClassTarget) else None
        judged: list[Any] = []
        if held_out is not None:
            judged = [*held_out, self.target.encode(held_out.y), self.to_train]
            if self.estimator.scoring != "loss":  # scorers see the probabilities that the user will
                judged += [self.to_wanted, getattr(self.estimator, "priors", None)]
        elif plan.rate_factors is not None:  # a plateau found by the first of two trainings
            judged = [self._first]
        found = fingerprint(
            surroundings(),
            topology,
            how,
            *rows.values(),
            class_weight,
            classes,
            *objects,
            *judged,
            *program.weights(),
        )
        self._first = found
        return found

    def _validator(self, held_out: HeldOut) -> Callable[[Program], dict[str, float]]:
        """Return the function that judges the network on the validation rows after each epoch."""
        estimator = self.estimator
        with naming("y_val"):
            encoded = _cast(self.target.encode(held_out.y, "y_val"), estimator.dtype)
        rows = as_rows(held_out.X, self.topology.input_shape, estimator.dtype, "X_val")
        view = self.become(copy.copy(estimator))  # what scorers see: this estimator with the weights of the moment
        vars(view).pop("feature_names_in_", None)  # checked rows have no names any more
        with naming("scoring", theirs=True):
            scorer = None if estimator.scoring == "loss" else check_scoring(estimator, estimator.scoring)
        weights = {} if held_out.weight is None else {"sample_weight": held_out.weight}

        def validate(program: Program) -> dict[str, float]:
            z = program.predict(rows) - self.to_train
            values = {"val_loss": _mean_loss(self.topology, encoded, z, held_out.weight)}
            if scorer is not None:
                view._lent = program
                with naming("scoring", theirs=True):
                    values["val_score"] = float(scorer(view, held_out.X, held_out.y, **weights))
            return values

        return validate

    def become(self, estimator: Any) -> Any:
        """Give an estimator what is known of the fit before training."""
        estimator._target = self.target
        estimator._topology = self.topology
        estimator._seed = self.seed
        estimator._fitted_strengths = self.strengths
        estimator._shift = self.to_wanted if self.wanted is not None else self._shift_of(estimator)
        estimator.input_shape_ = self.topology.input_shape
        estimator.n_outputs_ = self.topology.n_outputs
        if isinstance(self.target, ClassTarget):
            estimator.classes_ = self.target.classes
        return estimator

    def _shift_of(self, estimator: Any) -> np.ndarray:
        corrected = isinstance(getattr(estimator, "priors", None), str)
        return self.to_train if corrected else np.zeros(self.topology.n_outputs)


def _load(program: Program, progress: Progress) -> None:
    """Load where a run stands; an optimizer that has changed since starts anew."""
    if progress.weights:
        if not _fit_together(progress.weights, program.weights()):
            raise ValueError(
                "warm_start=True goes on from the weights of the last fit, but they are not those of the network that "
                "the parameters describe now. Set warm_start=False, or leave network, input_shape and standardize as "
                "they were."
            )
        program.load_weights(progress.weights)
    if progress.optimizer_state and _fit_together(progress.optimizer_state, program.optimizer_state()):
        program.load_optimizer_state(progress.optimizer_state)


def _fit_together(kept: list[np.ndarray], now: list[np.ndarray]) -> bool:
    return [value.shape for value in kept] == [value.shape for value in now]


def _cast(encoded: np.ndarray, dtype: str) -> np.ndarray:
    """Class codes stay integers, all else is of the type of the network."""
    return encoded if encoded.dtype.kind == "i" else encoded.astype(dtype)


def _mean_loss(topology: Topology, encoded: np.ndarray, z: np.ndarray, weight: np.ndarray | None) -> float:
    from skcnn._engine.losses import row_losses

    losses = row_losses(topology.loss, encoded, z.astype(topology.dtype)).numpy().mean(axis=1)
    return float(np.average(losses.astype(np.float64), weights=weight))

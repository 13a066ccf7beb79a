"""`Run`: the training, or training and refit, of one call of `fit`."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring

from skcnn._engine.checkpoints import Checkpoints, surroundings
from skcnn._engine.feature_store import features_for
from skcnn._engine.fingerprint import fingerprint, object_key
from skcnn._engine.loop import Epochs, Plan, Progress, Told, Watcher, train
from skcnn._engine.pool import pool
from skcnn._engine.program import Program
from skcnn._engine.signals import signals_held
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.callback_copies import new_fit_number
from skcnn._fit.fitted import Fitted
from skcnn._fit.keras_callbacks import KerasCallbacks, copy_callbacks
from skcnn._fit.printing import Printer
from skcnn._fit.recipe import Prepared, Recipe
from skcnn._fit.samples import Samples
from skcnn._lazy import LazySamples
from skcnn._sklearn.callback_tasks import FitTasks
from skcnn._sklearn.checks import naming
from skcnn._sklearn.internals import scorer_name

__all__ = ["Run"]


class _Part(NamedTuple):
    """Data of one training."""

    samples: Samples
    prepared: Prepared
    held_out: Samples | None


class _OnFeatures:
    """Epochs whose samples are replaced by their features, if the network has a frozen part."""

    def __init__(self, epochs: Epochs, program: Program, folder: Path | None) -> None:
        self._epochs, self._program, self._folder = epochs, program, folder
        self._latest: tuple[Any, Any] = None, None  # samples, and what stands for them

    def at(self, epoch: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
        """Return what the epochs give, with the very same features again for the same samples."""
        X, y, w, order = self._epochs.at(epoch)
        if X is not self._latest[0]:
            self._latest = X, features_for(self._program, X, self._folder)
        return self._latest[1], y, w, order


class Run:
    """The training, or training and refit, of one call of `fit`.

    Parameters
    ----------
    estimator : BaseCNN
        Scorers and callbacks are given copies of it.
    recipe : Recipe
        How to train.
    tasks : FitTasks or None
        What calls scikit-learn's callbacks.
    """

    def __init__(self, estimator: Any, recipe: Recipe, tasks: FitTasks | None) -> None:
        self.estimator = estimator
        self.recipe = recipe
        self.tasks = tasks
        self._fit_number = new_fit_number()
        self._callbacks = tuple(copy_callbacks(estimator.callbacks, self._fit_number))
        self._kept: tuple[_Part, Progress] | None = None
        self._fingerprint = ""  # of the latest training, on which a refit depends

    @property
    def fitted(self) -> Fitted | None:
        """What has been trained so far, even if interrupted; None without any weights."""
        if self._kept is None or not self._kept[1].weights:
            return None
        part, progress = self._kept
        state = progress.optimizer_state if self.recipe.keeps_optimizer else []
        kept = replace(progress, best_weights=None, optimizer_state=state)
        return replace(self.recipe.fitted(part.samples, part.prepared, kept, None), callbacks=self._callbacks)

    def train(self, samples: Samples, held_out: Samples | None) -> None:
        """Train on the chosen samples and validate on those held out."""
        earlier = self.recipe.earlier
        progress = Progress() if earlier is None else earlier.progress.resumed()
        part = _Part(samples, self.recipe.prepare(samples), held_out)
        self._train(part, self.recipe.plan_for(part.prepared.batches, progress.epoch), progress, first=True)

    def refit(self, samples: Samples) -> None:
        """Refit on all samples for the best number of epochs, at the same learning rates."""
        assert self._kept is not None
        chosen = self._kept[1]
        part = _Part(samples, self.recipe.prepare(samples), None)
        plan = self.recipe.plan_for(part.prepared.batches)
        rates = None
        if plan.schedule == "plateau" or self._callbacks:  # both change whole epochs
            used = enumerate(chosen.history["learning_rate"])
            rates = [rate / plan.learning_rate if i >= plan.warmup_epochs else 1.0 for i, rate in used]
        plan = replace(plan, epochs=chosen.best_epoch, horizon=plan.epochs, stop_early=False, rate_factors=rates)
        progress = self._train(part, plan, Progress(), first=False)
        # Only now, so that an interrupt keeps the first training.
        self._kept = part, replace(progress, history=chosen.history)

    def _train(self, part: _Part, plan: Plan, progress: Progress, *, first: bool) -> Progress:
        """Train from `progress`, or from the furthest checkpoint.

        Keras callbacks follow the first training only; a refit repeats the learning rates that they set.
        """
        with pool.lend(self.recipe.topology) as program:
            self.recipe = replace(self.recipe, topology=program.topology)  # now it is known what the network builds
            program.reset(plan.seed)
            if part.prepared.units is not None:
                program.set_units(*part.prepared.units)
            keeper = self._checkpoints(part, plan, program)
            if keeper is not None:
                like = Progress(program.weights(), program.optimizer_state())
                progress = keeper.furthest(plan.epochs, like) or progress
            _load(program, progress)
            validate = None if part.held_out is None else self._validator(part, part.held_out, program)
            watchers = self._watchers(part, plan, program, progress, keras=first)
            if first:
                self._kept = part, progress
            need = part.samples.need
            tf, _ = start_tensorflow()
            if not tf.config.list_logical_devices("GPU"):  # a graphics card has its own memory, and raises itself
                built = program.blueprint
                need = replace(need, step_bytes=built.step_sample_bytes, gradient_bytes=built.gradient_bytes)
            epochs = self._epochs(part, plan, program, progress)
            with need.explained(), need.step():
                train(program, epochs, plan, progress, Told(validate, watchers, keeper))
        return progress

    def _epochs(self, part: _Part, plan: Plan, program: Program, progress: Progress) -> Epochs:
        """Return the epochs, of features where the frozen part of the network sees each sample as it is."""
        batches = part.prepared.batches
        if program.topology.varies_samples or progress.ended(plan):
            return batches
        epochs = _OnFeatures(batches, program, self.recipe.folder)
        epochs.at(progress.epoch)  # before training, whose interrupt would compute them to the end
        return epochs

    def _watchers(self, part: _Part, plan: Plan, program: Program, progress: Progress, *, keras: bool) -> list[Watcher]:
        """Return what is notified of each epoch."""
        indices, earlier = part.samples.indices, self.recipe.earlier
        first = 0 if earlier is None else earlier.progress.epoch
        watchers: list[Watcher] = []
        if self.tasks is not None:
            now = partial(self._estimator_now, part, program)
            watchers += self.tasks.training(indices, plan.epochs - first, first, now)
        if self._callbacks and keras:
            model = self._now(part, program, progress).to_keras()
            scores = None if part.held_out is None else self._score_names()
            watchers.append(KerasCallbacks(list(self._callbacks), model, program, plan, scores, self._fit_number))
        if self.estimator.verbose:
            watchers.append(Printer(int(self.estimator.verbose), plan, len(indices)))
        return watchers

    def _score_names(self) -> list[str]:
        """Return the names under which Keras callbacks find the score of the validation samples."""
        if self.recipe.scoring == "loss":
            return []
        name = scorer_name(self.recipe.scoring)
        return ["val_score"] if name is None else ["val_score", f"val_{name}"]

    def _now(self, part: _Part, program: Program, progress: Progress) -> Fitted:
        """Return what an estimator would know if training stopped now."""
        with program.predicting():
            weights = program.weights()
        now = replace(progress.resumed(), weights=weights, optimizer_state=[], best_epoch=progress.epoch)
        return self.recipe.fitted(part.samples, part.prepared, now, None)

    def _estimator_now(self, part: _Part, program: Program, progress: Progress) -> Any:
        return self.estimator._as(self._now(part, program, progress))

    def _validator(self, part: _Part, held_out: Samples, program: Program) -> Callable[[Program], dict[str, float]]:
        """Return the function that validates the network after each epoch."""
        from skcnn._engine.losses import sample_losses

        topology, target, scoring = self.recipe.topology, part.prepared.target, self.recipe.scoring
        encoded = target.scaled(held_out.encoded, topology.dtype)
        with naming("scoring", theirs=True):
            scorer = None if scoring == "loss" else check_scoring(self.estimator, scoring)
        # Scorers are given the estimator with the current weights. Checked samples no longer have feature names.
        nameless = replace(held_out, layout=held_out.layout._replace(feature_names=None))
        view = self.estimator._as(self.recipe.fitted(nameless, part.prepared, Progress(), program))
        # Label smoothing and focal gamma are for training alone, but the quantile says what is predicted.
        quantile = {name: value for name, value in self.recipe.plan.strengths.items() if name == "alpha"}
        weights = {} if held_out.weight is None else {"sample_weight": held_out.weight}

        judged = cache(partial(features_for, program, held_out.X, self.recipe.folder))

        def validate(program: Program) -> dict[str, float]:
            z = program.predict(judged()) - part.prepared.judging_shift
            with signals_held():
                losses = sample_losses(topology.loss, encoded, z.astype(topology.dtype), **quantile).numpy()
            losses = losses.mean(axis=1)
            values = {"val_loss": float(np.average(losses.astype(np.float64), weights=held_out.weight))}
            if scorer is not None:
                with naming("scoring", theirs=True):
                    values["val_score"] = float(scorer(view, held_out.as_given(), held_out.y, **weights))
                if np.isnan(values["val_score"]):
                    raise ValueError(
                        f"scoring={scoring!r} gave NaN on the {len(held_out.X)} validation samples; expected a number, "
                        "by which the best epoch is found. Choose a score that is defined for them, or pass X_val and "
                        "y_val that have all classes."
                    )
            return values

        return validate

    # What is kept on disk -----------------------------------------------------------------------------------------

    def _checkpoints(self, part: _Part, plan: Plan, program: Program) -> Checkpoints | None:
        """Return where this training is kept; None if a later fit could not find it."""
        recipe = self.recipe
        scoring = recipe.scoring if part.held_out is not None else None
        objects = [recipe.topology.network, object_key(recipe.balancing.sampler), object_key(scoring)]
        # An object that cannot be pickled has a key of this process only.
        if recipe.memory is None or not all(isinstance(key, str) for key in objects):
            return None
        deciding = [*self._deciding(part, plan), *self._judged(part, plan), *program.weights()]
        self._fingerprint = fingerprint(surroundings(), *objects, *deciding)
        return Checkpoints(recipe.memory, self._fingerprint)

    def _deciding(self, part: _Part, plan: Plan) -> list[Any]:
        """List what decides the state after an epoch, so all but the number of epochs.

        Pretrained weights, units and the seed show in the weights that a program starts with.
        """
        balancing, batches = self.recipe.balancing, part.prepared.batches
        apart = ("build", "certain", "knobs", "transformations")  # which follow from the rest, and from the strengths
        topology = {key: value for key, value in vars(self.recipe.topology).items() if key not in apart}
        how = {key: value for key, value in vars(plan).items() if key not in ("epochs", "horizon", "rate_factors")}
        if plan.schedule in ("cosine", "one_cycle"):
            how["horizon"] = plan.horizon or plan.epochs
        if not plan.stop_early and plan.schedule != "plateau":
            del how["patience"], how["tol"]
        samples = _content(batches.X), batches.y, batches.weight, batches.indices, batches.target.attributes()
        return [topology, how, *samples, balancing.class_weight, balancing.every_epoch, balancing.share]

    def _judged(self, part: _Part, plan: Plan) -> list[Any]:
        """List what decides validation scores, and learning rates that depend on them."""
        if part.held_out is None:
            return [] if plan.rate_factors is None else [self._fingerprint]
        held_out, prepared = part.held_out, part.prepared
        judged = [_content(held_out.X), held_out.y, held_out.weight, held_out.encoded, prepared.judging_shift]
        if self.recipe.scoring != "loss":  # scorers see the same probabilities as the user
            judged += [prepared.shift, self.recipe.balancing.priors]
        return judged


def _content(X: Any) -> Any:
    """Return what tells samples from others: an array itself, and of lazy samples the digests."""
    return [str(X.dtype), X.shape, X.digests()] if isinstance(X, LazySamples) else X


def _load(program: Program, progress: Progress) -> None:
    """Load the state of a run; an optimizer that has changed starts from scratch."""
    if progress.weights:
        if not _alike(progress.weights, program.weights()):
            raise ValueError(
                "warm_start=True continues from the weights of the previous fit, but the parameters now describe a "
                "network with other weights. Set warm_start=False, or leave network, input_shape and standardize as "
                "they were."
            )
        program.load_weights(progress.weights)
    if progress.optimizer_state and _alike(progress.optimizer_state, program.optimizer_state()):
        program.load_optimizer_state(progress.optimizer_state)


def _alike(kept: list[np.ndarray], now: list[np.ndarray]) -> bool:
    return [value.shape for value in kept] == [value.shape for value in now]

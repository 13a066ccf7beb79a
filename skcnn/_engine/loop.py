"""The epochs of a fit: what Python sees between two calls of the graph."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from skcnn._engine.ahead import block_size, read_ahead
from skcnn._engine.program import Program, Typical
from skcnn._engine.signals import signals_held, uninterrupted
from skcnn._engine.threads import start_tensorflow
from skcnn._lazy import LazySamples

__all__ = ["Epochs", "Keeper", "Plan", "Progress", "Told", "Watcher", "train"]

CALL_SECONDS = 1.0  # a longer epoch comes back to Python about this often, so that an interrupt is heard
FIRST_CALL_STEPS = 8  # steps of the first call of a fit, from which the length of the next is judged
ALIGNMENT = 64  # bytes, what TensorFlow's kernels may count on
STATISTICS_SAMPLES = 1024  # at most that many samples of an epoch give the statistics of batch normalisation
PLATEAU_FACTOR = 0.2  # as scikit-learn's learning_rate="adaptive"
# One cycle as in fastai and PyTorch: up from 1/25 in the first 30% of the run, and down to a 10,000th of that.
ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 25.0, 1e4


class Epochs(Protocol):
    """What gives the samples of each epoch."""

    def at(self, epoch: int) -> tuple[np.ndarray | LazySamples, np.ndarray, np.ndarray, np.ndarray]:
        """Return samples, targets and weights of an epoch, and the order in which it trains on them.

        A function of `epoch` alone, so that a run can go on from any epoch; the same arrays again where nothing
        changed, so that they are sent to the device once.

        Returns
        -------
        X : ndarray or LazySamples of shape (n, *input_shape)
            Samples, in the type in which they are to lie on the device. An array is sent there as a whole; lazy samples
            are read and sent in blocks, in the order of each epoch.
        y : ndarray of shape (n,) or (n, n_outputs)
            Class codes for softmax, else the targets of each output.
        w : ndarray of shape (n, 1) or (n, n_outputs)
            Weights.
        order : ndarray of int
            Indices of the samples that the epoch trains on.
        """


class Watcher(Protocol):
    """What follows the training of a network: printing, callbacks."""

    def start(self, progress: "Progress") -> None:
        """Hear that a run starts, or goes on."""

    def begin(self, progress: "Progress") -> None:
        """Hear that an epoch begins, before its learning rate is settled."""

    def end(self, progress: "Progress") -> bool:
        """Hear that an epoch has ended, when the history is complete, and return whether training is to stop."""

    def finish(self, progress: "Progress") -> None:
        """Hear that the run is over; `progress` has the weights to keep, also after an interrupt."""


class Keeper(Protocol):
    """What writes a run down as it goes, see `skcnn._engine.checkpoints.Checkpoints`."""

    def is_due(self, ended: bool) -> bool:
        """Tell whether to write at the end of this epoch."""

    def write(self, progress: "Progress", ended: bool) -> None:
        """Write the state at the end of an epoch."""


@dataclass(frozen=True)
class Told:
    """Who is asked and told between two epochs.

    Attributes
    ----------
    validate : callable or None
        Called after each epoch with the program; returns values for the history, of which ``"val_score"`` or else the
        negative ``"val_loss"`` is the score.
    watchers : sequence of Watcher
        They are told of each epoch, and may stop training.
    keeper : Keeper or None
        Writes the state at the end of an epoch down, when it is due.
    """

    validate: Callable[[Program], dict[str, float]] | None = None
    watchers: Sequence[Watcher] = ()
    keeper: Keeper | None = None


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes
    ----------
    epochs : int
        Epoch after which the run ends, counted from its very start.
    batch_size : int
        Samples per step.
    seed : int
        Seed of initial weights and dropout masks.
    learning_rate : float
        Learning rate before the schedule.
    schedule : {"constant", "cosine", "one_cycle", "plateau"}
        How it changes.
    warmup_epochs : float
        Epochs in which it rises to where the schedule begins.
    strengths : dict of str to float
        Values of the topology's knobs.
    patience, tol : int, float
        See `Progress.judge`.
    stop_early : bool
        Whether a validation score that no longer improves ends the run and the best weights are kept.
    horizon : int
        Epoch at which schedules that have an end do; 0 for that at which the run ends.
    rate_factors : list of float or None
        What to multiply the learning rate by in each epoch, in place of the schedule.
    settles : bool
        Whether networks are validated and kept with statistics of batch normalisation that are those of their weights
        on training samples, as they are when predicting, in place of moving averages.
    least_samples : int
        Samples that such statistics are of at least; what an epoch lacks, earlier statistics make up for.
    """

    epochs: int
    batch_size: int
    seed: int
    learning_rate: float
    schedule: str
    strengths: dict[str, float]
    patience: int
    tol: float
    stop_early: bool
    warmup_epochs: float = 0.0
    horizon: int = 0
    rate_factors: list[float] | None = None
    settles: bool = False
    least_samples: int = 0


@dataclass
class Progress:
    """All that a run needs to go on as if it had never stopped; plain arrays, numbers and lists.

    Attributes
    ----------
    weights, optimizer_state : list of ndarray
        As the program gives them; `weights` are the last epoch's until `train` ends and the best after.
    epoch, step : int
        Epochs and steps done.
    history : dict of str to list of float
        One value per epoch.
    best_score : float
        Highest score so far; a score is a negative loss or a scorer's value.
    best_epoch : int
        Epoch of the weights that are kept, counted from 1.
    best_weights : list of ndarray or None
        Its weights, if training stops early.
    stalled : int
        Epochs in a row without an improvement by more than ``tol``.
    rate_factor : float
        What the plateau schedule has made of the learning rate.
    rate_stalled : int
        Like `stalled`, since that schedule last lowered the rate.
    """

    weights: list[np.ndarray] = field(default_factory=list)
    optimizer_state: list[np.ndarray] = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    best_score: float = -np.inf
    best_epoch: int = 0
    best_weights: list[np.ndarray] | None = None
    stalled: int = 0
    rate_factor: float = 1.0
    rate_stalled: int = 0

    def ended(self, plan: Plan) -> bool:
        """Tell whether nothing is left to train."""
        return self.epoch >= plan.epochs or (plan.stop_early and self.stalled >= plan.patience)

    def resumed(self) -> "Progress":
        """Return a copy from which training goes on, and scores are judged from scratch."""
        history = {name: list(values) for name, values in self.history.items()}
        return replace(self, history=history, best_score=-np.inf, best_weights=None, stalled=0, rate_stalled=0)

    def record(self, **values: float) -> None:
        """Append one epoch's values to the history; what was not recorded in earlier epochs is NaN there."""
        for name in dict.fromkeys([*self.history, *values]):
            recorded = self.history.setdefault(name, [])
            recorded += [np.nan] * (self.epoch - 1 - len(recorded)) + [values.get(name, np.nan)]

    def drop_unfinished(self) -> None:
        """Forget an epoch that an interrupt has left half recorded."""
        n = min(map(len, self.history.values()), default=0)
        self.epoch = min(self.epoch, n)
        self.history = {name: values[:n] for name, values in self.history.items()}

    def judge(self, score: float, tol: float, patience: int, plateau: bool) -> bool:
        """Take note of an epoch's score and return whether it is the best so far.

        The rule is that of scikit-learn's multi-layer perceptron: an epoch counts as improvement if it beats the best
        score by `tol`, but the best weights are those of the highest score.
        """
        improved = score > self.best_score + tol
        self.stalled = 0 if improved else self.stalled + 1
        self.rate_stalled = 0 if improved else self.rate_stalled + 1
        if plateau and self.rate_stalled >= max(1, patience // 2):
            self.rate_factor *= PLATEAU_FACTOR
            self.rate_stalled = 0
        return score > self.best_score


def train(program: Program, data: Epochs, plan: Plan, progress: Progress, told: Told = Told()) -> None:
    """Train; `progress` ends with the weights to keep, also when an interrupt is raised.

    Parameters
    ----------
    program : Program
        Lent by the pool, reset or loaded by the caller.
    data : Epochs
        Training samples.
    plan : Plan
        How to train.
    progress : Progress
        Where the run stands; changed in place.
    told : Told, default=Told()
        Who validates, watches and keeps.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    KeyboardInterrupt
        If interrupted.
    """
    run = _Run(program, data, plan, progress, told)
    try:
        run.train()
        run.finish()
    except KeyboardInterrupt:
        run.finish()
        raise
    finally:
        program.settle_on()


class _Run:
    """One call of `train`."""

    def __init__(self, program: Program, data: Epochs, plan: Plan, progress: Progress, told: Told) -> None:
        self.program, self.data, self.plan, self.progress, self.told = program, data, plan, progress, told
        self._parts: list[Any] = []  # samples, targets and weights of the latest epoch
        self._tensors: tuple[Any, ...] = ()
        self._call_steps = FIRST_CALL_STEPS
        self._unfinished = list(told.watchers)

    def train(self) -> None:
        """Train epoch by epoch, until the plan or a watcher ends it."""
        progress, told = self.progress, self.told
        for watcher in told.watchers:
            watcher.start(progress)
        ended = progress.ended(self.plan)
        while not ended:
            for watcher in told.watchers:
                watcher.begin(progress)
            self._train_epoch()
            stops = [watcher.end(progress) for watcher in told.watchers]  # all of them hear of the epoch
            ended = any(stops) or progress.ended(self.plan)
            if told.keeper is not None and told.keeper.is_due(ended):
                progress.weights, progress.optimizer_state = self.program.weights(), self.program.optimizer_state()
                told.keeper.write(progress, ended)

    def finish(self) -> None:
        """Take what is to be kept out of the program, and tell the watchers that are left; may be done again."""
        progress, program = self.progress, self.program
        progress.drop_unfinished()
        if not self._parts:  # nothing left to train
            X, _, _, order = self.data.at(max(0, progress.epoch - 1))
            self._settle_on(X, order)
        progress.optimizer_state = program.optimizer_state()
        if progress.best_weights is not None and self.plan.stop_early:
            progress.weights = progress.best_weights
        else:
            with program.predicting():
                progress.weights = program.weights()
            progress.best_epoch = progress.epoch
        if not all(np.isfinite(weight).all() for weight in progress.weights):  # the last step can overflow unseen
            self._check_finite(np.nan, "weights", self.plan.learning_rate)
        while self._unfinished:
            self._unfinished[0].finish(progress)
            del self._unfinished[0]

    def _train_epoch(self) -> None:
        """Train one epoch, validate, and take note of both."""
        plan, progress, program = self.plan, self.progress, self.program
        X, y, w, order = self.data.at(progress.epoch)
        parts: list[Any] = [X, y, w]
        if not self._parts or any(part is not old for part, old in zip(parts, self._parts, strict=True)):
            stays = isinstance(X, LazySamples)
            self._parts, self._tensors = parts, () if stays else tuple(_on_device(part) for part in parts)
        rates = _rates(plan, progress, -(-len(order) // plan.batch_size))
        loss = self._run_steps(order, rates)
        values = {"loss": loss, "learning_rate": float(rates[0])}
        self._settle_on(X, order)
        # Statistics of batch normalisation cost a forward pass; nobody needs it who looks at the training loss alone.
        with program.predicting() if plan.stop_early or self.told.validate is not None else nullcontext():
            if self.told.validate is not None:
                values |= self.told.validate(program)
                self._check_finite(values["val_loss"], "validation loss", rates[-1])
            progress.epoch += 1
            progress.step += len(rates)
            progress.record(**values)
            score = values["val_score"] if "val_score" in values else -values.get("val_loss", loss)
            plateau = plan.schedule == "plateau" and progress.epoch > plan.warmup_epochs
            if progress.judge(score, plan.tol, plan.patience, plateau):
                weights = program.weights() if plan.stop_early else None
                # Together, for an interrupt comes between two calls.
                progress.best_score, progress.best_epoch, progress.best_weights = score, progress.epoch, weights

    def _run_steps(self, order: np.ndarray, rates: np.ndarray) -> float:
        """Run the steps of an epoch and return the mean loss."""
        tf, _ = start_tensorflow()
        with signals_held():
            total = tf.constant(0.0, tf.float64)
        with closing(self._blocks(order)) as blocks:
            done = 0
            for data, chosen in blocks:
                n_steps = -(-len(chosen) // self.plan.batch_size)
                total = self._run_block(data, chosen, rates[done : done + n_steps], done, total)
                done += n_steps
        return float(total) / len(order)

    def _blocks(self, order: np.ndarray) -> Generator[tuple[tuple[Any, ...], np.ndarray]]:
        """Yield samples, targets and weights on the device, and the indices in which an epoch goes through them.

        Each block is of whole batches. There is one block of all that is in memory.
        """
        if self._tensors:
            yield self._tensors, order
            return
        size = block_size(self._parts[0], self.plan.batch_size)

        def read(i: int) -> tuple[Any, ...]:
            chosen = order[i * size : (i + 1) * size]
            return tuple(_on_device(np.asarray(part[chosen])) for part in self._parts)

        with closing(read_ahead(read, -(-len(order) // size))) as blocks:
            for data in blocks:
                yield data, np.arange(len(data[0]))

    def _run_block(self, data: tuple[Any, ...], order: np.ndarray, rates: np.ndarray, done: int, total: Any) -> Any:
        """Run the steps of a block, in calls of the graph of about a second.

        Parameters
        ----------
        data : tuple of tensors
            Samples, targets and weights.
        order : ndarray of int
            Indices of the samples to train on.
        rates : ndarray
            Learning rate of each step.
        done : int
            Steps of the epoch before this block.
        total : float64 tensor
            Sum of the losses of these steps.

        Returns
        -------
        float64 tensor
            `total` plus the losses of this block.
        """
        tf, _ = start_tensorflow()
        dtype = self.program.topology.dtype
        with signals_held():
            inputs = {
                "order": tf.constant(order, tf.int32),
                "batch_size": tf.constant(min(self.plan.batch_size, len(order)), tf.int32),
                "rates": tf.constant(rates, dtype),
                "seed": tf.constant(self.plan.seed, tf.int32),
                "clock": tf.constant(self.progress.step + done, tf.int32),
                **{name: tf.constant(value, dtype) for name, value in self.plan.strengths.items()},
            }
        first = 0
        while first < len(rates):
            last = min(len(rates), first + self._call_steps)
            start = time.perf_counter()
            with signals_held():
                total = self.program.steps(data, inputs, first, last, total)
                summed = float(total)  # which waits for a card to finish
            self._check_finite(summed, "loss", rates[last - 1])
            seconds = max(time.perf_counter() - start, 1e-9)
            self._call_steps = max(1, int((last - first) * CALL_SECONDS / seconds))
            first = last
        return total

    def _settle_on(self, X: np.ndarray | LazySamples, order: np.ndarray) -> None:
        """Let the first samples of an epoch, which are in random order, decide the statistics of prediction."""
        if self.plan.settles:
            chosen = order[:STATISTICS_SAMPLES]
            n_earlier = max(0, self.plan.least_samples - len(chosen))
            self.program.settle_on(Typical(X, chosen, self.plan.batch_size, n_earlier))

    def _check_finite(self, value: float, what: str, rate: float) -> None:
        if not np.isfinite(value):
            raise FloatingPointError(
                f"Training diverged: the {what} became {value} in epoch {self.progress.epoch + 1} at learning rate "
                f"{rate:g}. Try a lower learning_rate (a tenth), clipnorm=1.0, and inputs scaled by StandardScaler."
            )


@uninterrupted
def _on_device(values: np.ndarray) -> Any:
    """Return a tensor of its own memory. TensorFlow itself makes two copies of an array, this makes one."""
    tf, _ = start_tensorflow()
    if tf.config.list_logical_devices("GPU"):
        return tf.convert_to_tensor(values)
    memory = np.empty(values.nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    aligned = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    aligned[...] = values
    return tf.experimental.dlpack.from_dlpack(aligned.__dlpack__())


def _rates(plan: Plan, progress: Progress, n_steps: int) -> np.ndarray:
    """Learning rate of each step of the coming epoch."""
    steps, end = np.arange(n_steps), plan.horizon or plan.epochs
    warm = np.ones(n_steps)
    if plan.warmup_epochs:  # Goyal et al. 2017, section 2.2
        warm = np.minimum(1, (progress.epoch + (steps + 1) / n_steps) / plan.warmup_epochs)
    done = progress.epoch + steps / n_steps - plan.warmup_epochs
    done = np.clip(done / max(end - plan.warmup_epochs, 1e-9), 0, 1)
    factor: Any = progress.rate_factor
    if plan.rate_factors is not None:
        factor = plan.rate_factors[progress.epoch]
    elif plan.schedule == "cosine":  # Loshchilov and Hutter 2017, equation 5, one cycle, per step
        factor = _cosine(1, 0, done)
    elif plan.schedule == "one_cycle":  # Smith and Topin 2018, with a cosine for each of its two lines
        rise, fall = done / ONE_CYCLE_RISE, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
        first, last = 1 / ONE_CYCLE_START, 1 / ONE_CYCLE_START / ONE_CYCLE_END
        factor = np.where(rise < 1, _cosine(first, 1, rise), _cosine(1, last, fall))
    return plan.learning_rate * warm * factor


def _cosine(first: float, last: float, done: np.ndarray) -> np.ndarray:
    """Go from one value to another along half a cosine."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * done))

"""`Recipe`: everything that parameters and data decide before training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skcnn._engine.blueprint import Topology
from skcnn._engine.loop import Plan, Progress
from skcnn._engine.program import Program
from skcnn._fit.balancing import Balancing
from skcnn._fit.batches import Batches
from skcnn._fit.fitted import Fitted
from skcnn._fit.samples import Samples, standard_units
from skcnn._fit.splitting import inner_split, last_split
from skcnn._fit.targets import Target
from skcnn.networks import NetworkBuilder

__all__ = ["Prepared", "Recipe"]

# Samples from which those of one call of `partial_fit` alone decide the statistics of batch normalisation. Digits in
# calls of 10: accuracy 0.84 with earlier ones, 0.80 without; in calls of 50: 0.90 and 0.93.
STREAM_SAMPLES = 64


@dataclass(frozen=True)
class Prepared:
    """Data to train on, and what follows from it.

    Attributes
    ----------
    target : Target
        What y means, with mean and scale of the training targets.
    batches : Batches
        Samples of each epoch, with targets and weights.
    units : tuple of ndarray or None
        Mean and scale by which to standardise samples.
    judging_shift, shift : ndarray
        What to subtract from the outputs for validation and for prediction, see `Balancing.shifts`.
    """

    target: Target
    batches: Batches
    units: tuple[np.ndarray, np.ndarray] | None
    judging_shift: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """Everything that parameters and data decide before training.

    Attributes
    ----------
    topology : Topology
        The network and its loss.
    plan : Plan
        How to train; its epochs are those of this fit only.
    balancing : Balancing
        How classes are balanced, and which class shares to predict for.
    validation_fraction : float
        Fraction of the samples in the inner validation split; 0 for none.
    shuffles_validation : bool
        Whether that split is random, or the last samples.
    scoring : str or callable
        Score of the validation samples.
    refits : bool
        Whether to refit on all samples for the best number of epochs.
    earlier : Fitted or None
        The previous fit, if this one continues it.
    keeps_optimizer : bool
        Whether a later fit may continue this one.
    memory : Path or None
        Folder that keeps the state of training, if a later fit could find it.
    folder : Path or None
        Folder in which processes share features of samples.
    """

    topology: Topology
    plan: Plan
    balancing: Balancing
    validation_fraction: float
    shuffles_validation: bool
    scoring: str | Callable[..., float]
    refits: bool
    earlier: Fitted | None
    keeps_optimizer: bool
    memory: Path | None
    folder: Path | None

    def for_one_epoch(self) -> "Recipe":
        """Return the recipe of `partial_fit`; nobody knows where a schedule with an end would end."""
        least = STREAM_SAMPLES if self.earlier else 0
        schedule = "constant" if self.plan.schedule in ("cosine", "one_cycle") else self.plan.schedule
        plan = replace(self.plan, epochs=1, schedule=schedule, stop_early=False, least_samples=least)
        return replace(self, plan=plan, validation_fraction=0.0, refits=False, keeps_optimizer=True)

    def split(self, samples: Samples, held_out: Samples | None) -> tuple[Samples, Samples | None]:
        """Return the samples with a training part chosen, and those to validate on."""
        if not self.validation_fraction:
            return samples, held_out
        indices, target, fraction = samples.indices, samples.target, self.validation_fraction
        strata = target.strata(samples.encoded[indices], fraction)
        groups = None if samples.groups is None else samples.groups[indices]
        if self.shuffles_validation:
            X = samples.X if len(indices) == len(samples.X) else samples.X[indices]  # no copy, if all have a weight
            train, val = inner_split(X, strata, fraction, groups, self.plan.seed, classes=target.has_classes)
        else:
            train, val = last_split(strata, fraction, groups, classes=target.has_classes)
        return samples.chosen(indices[train]), samples.taken(indices[val])

    def prepare(self, samples: Samples) -> Prepared:
        """Weight, resample and standardise the samples to train on."""
        indices, weight, dtype = samples.indices, samples.weight, self.topology.dtype
        seen = None if weight is None else weight[indices]
        # A fit that continues another keeps its unit of y, in which the weights were learnt.
        target = samples.target if self.earlier else samples.target.settled(samples.encoded[indices], seen)
        y = target.scaled(samples.encoded, dtype)
        batches = Batches(samples.X, y, weight, indices, target, self.balancing, self.plan.seed, dtype)
        units = None
        if self.topology.standardize is not None:
            units = standard_units(samples.X, indices, weight, self.topology.standardize, dtype)
        # The shares of the first epoch stand for those of all, which differ by chance at most.
        _, drawn, w, order = batches.at(0)
        trained = target.class_shares(drawn[order], w[order])
        shifts = self.balancing.shifts(trained, target.class_shares(y[indices], seen))
        return Prepared(target, batches, units, *shifts)

    def plan_for(self, batches: Batches, first: int = 0) -> Plan:
        """Return the plan for these batches, from epoch `first` on."""
        return replace(self.plan, epochs=first + self.plan.epochs, batch_size=batches.batch_size(self.plan.batch_size))

    def fitted(self, samples: Samples, prepared: Prepared, progress: Progress, program: Program | None) -> Fitted:
        """Return what an estimator knows at this state of training."""
        topology = self.topology
        if isinstance(topology.build, NetworkBuilder):
            topology = replace(topology, build=topology.build.without_weights())
        return Fitted(
            layout=samples.layout,
            target=prepared.target,
            topology=topology,
            strengths=self.plan.strengths,
            seed=self.plan.seed,
            shift=prepared.shift,
            progress=progress,
            program=program,
        )

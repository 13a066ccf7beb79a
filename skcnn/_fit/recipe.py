"""`Recipe`: all that parameters and data decide before training."""

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
from skcnn._fit.splitting import inner_split
from skcnn._fit.targets import Target

__all__ = ["Prepared", "Recipe"]


@dataclass(frozen=True)
class Prepared:
    """What a network is trained on, and what follows from it.

    Attributes
    ----------
    target : Target
        What y means, with the unit of the training targets.
    batches : Batches
        Samples, targets and weights of each epoch.
    units : tuple of ndarray or None
        Mean and scale by which samples are standardised.
    judging_shift, shift : ndarray
        What is subtracted from the outputs to judge them on the class shares of the training samples, and to predict.
    """

    target: Target
    batches: Batches
    units: tuple[np.ndarray, np.ndarray] | None
    judging_shift: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """All that parameters and data decide before training.

    Attributes
    ----------
    topology : Topology
        The network and its losses.
    plan : Plan
        How to train, for as many epochs as `epochs` says.
    balancing : Balancing
        How classes are balanced, and which shares are predicted for.
    validation_fraction : float
        Share of the samples in the inner validation split; 0 for none.
    scoring : str or callable
        What judges the validation samples.
    refits : bool
        Whether to train again, on all samples, for the number of epochs that was best.
    earlier : Fitted or None
        The last fit, from which this one goes on.
    keeps_optimizer : bool
        Whether a later fit may go on from this one.
    memory : Path or None
        Folder that keeps where training stands, if it could be found again.
    """

    topology: Topology
    plan: Plan
    balancing: Balancing
    validation_fraction: float
    scoring: str | Callable[..., float]
    refits: bool
    earlier: Fitted | None
    keeps_optimizer: bool
    memory: Path | None

    def for_one_epoch(self) -> "Recipe":
        """Return the recipe of `partial_fit`."""
        plan = replace(self.plan, epochs=1, stop_early=False)
        return replace(self, plan=plan, validation_fraction=0.0, refits=False, keeps_optimizer=True)

    def split(self, samples: Samples, held_out: Samples | None) -> tuple[Samples, Samples | None]:
        """Return samples of which the training part is chosen, and those to validate on."""
        if not self.validation_fraction:
            return samples, held_out
        rows, target = samples.rows, samples.target
        strata = target.strata(samples.encoded[rows], self.validation_fraction)
        X = samples.X if len(rows) == len(samples.X) else samples.X[rows]
        groups = None if samples.groups is None else samples.groups[rows]
        train, val = inner_split(
            X, strata, self.validation_fraction, groups, self.plan.seed, classes=target.has_classes
        )
        return samples.chosen(rows[train]), samples.taken(rows[val])

    def prepare(self, samples: Samples) -> Prepared:
        """Weigh, resample and standardise: return what follows from the samples to train on."""
        rows, weight, dtype = samples.rows, samples.weight, self.topology.dtype
        seen = None if weight is None else weight[rows]
        # A later fit keeps the unit of the first, in which the weights were learnt.
        target = samples.target if self.earlier else samples.target.settled(samples.encoded[rows], seen)
        y = target.scaled(samples.encoded)
        y = y if y.dtype.kind == "i" else y.astype(dtype)
        batches = Batches(samples.X, y, weight, rows, target, self.balancing, self.plan.seed, dtype)
        units = None
        if self.topology.standardize is not None:
            units = standard_units(samples.X, rows, weight, self.topology.standardize, dtype)
        _, drawn, w, order = batches.at(0)
        trained = target.class_shares(drawn[order], w[order])
        shifts = self.balancing.shifts(trained, target.class_shares(y[rows], seen))
        return Prepared(target, batches, units, *shifts)

    def plan_for(self, batches: Batches, first: int = 0) -> Plan:
        """Return the plan with the batch size that `batches` allow, ending so many epochs after `first`."""
        return replace(self.plan, epochs=first + self.plan.epochs, batch_size=batches.batch_size(self.plan.batch_size))

    def fitted(self, samples: Samples, prepared: Prepared, progress: Progress, program: Program | None) -> Fitted:
        """Return what an estimator knows where training stands."""
        return Fitted(
            layout=samples.layout,
            target=prepared.target,
            topology=self.topology,
            strengths=self.plan.strengths,
            seed=self.plan.seed,
            shift=prepared.shift,
            progress=progress,
            program=program,
        )

"""What ``python -m skcnn`` is to do, as data and options decide it."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.model_selection import ParameterGrid

from skcnn._command import reporting
from skcnn._command.console import paragraph
from skcnn._command.planning import as_grid, by_worth, one_by_one
from skcnn._command.pretrained import backbone
from skcnn._command.reading import Data, read
from skcnn._command.scores import scorers_of
from skcnn._command.searching import (
    Grid,
    Record,
    cures,
    make_search,
    n_epochs,
    of_network,
    plain_sizes,
    read_grid,
)
from skcnn._command.tasks import N_FOLDS, Task, make_task
from skcnn.datasets import load_rare_digit
from skcnn.networks import Backbone, Plain

__all__ = ["Job", "prepare"]

TEST_SHARE = 0.25
DIGITS_TEST_SHARE = 0.85  # with more to learn from, digits are so easy that nothing goes wrong
QUICK_FOLDS = 2
QUICK_EPOCHS = 0.5  # of those that would be


@dataclass(frozen=True)
class Job:
    """What is searched for.

    Attributes
    ----------
    task : Task
        Samples to learn from and to compare on.
    scorers : dict of str to callable
        The first is the one to choose by.
    grid : list of dict or None
        Grid that the user gave.
    pretrained : Backbone or None
        Network that the user gave.
    epochs, n_folds, jobs, seed : int
        Of each fit; of each candidate; networks at a time; of folds, samplers and networks.
    quick : bool
        Whether to try one network, and each cure alone.
    minutes : float or None
        Time that there is.
    started : float
        When the command began, by `time.perf_counter`.
    out : str
        File for the page of the diagnosis.
    is_demo : bool
        Whether the data are scikit-learn's digits.
    """

    task: Task
    scorers: Mapping[str, Any]
    grid: Grid | None
    pretrained: Backbone | None
    epochs: int
    n_folds: int
    jobs: int
    seed: int
    quick: bool
    minutes: float | None
    started: float
    out: str
    is_demo: bool

    @property
    def networks(self) -> Grid:
        """Grid of networks: three sizes, or a pretrained one and one that is not; with a budget in order of worth."""
        small, usual, large = plain_sizes(self.task.X_train.shape[1:])
        if self.pretrained is not None:
            return [{"cnn__network": [self.pretrained] if self.quick else [self.pretrained, Plain(usual)]}]
        sizes = [small, usual, large] if self.minutes is None else [usual, large, small]
        return [{"cnn__network__filters": [usual] if self.quick else sizes}]

    def every_cure(self, network: Mapping[str, Any]) -> Grid:
        """Return the grid of cures for a network."""
        if self.grid is not None:
            return of_network(self.grid, network)
        # Average precision is blind to the threshold, which is what balancing moves; the digits show what that does.
        return cures(self.task, network, self.seed, always_balanced=self.is_demo)

    def cures(self, network: Mapping[str, Any]) -> Grid:
        """Return what is tried of the grid of cures; with a budget in order of worth."""
        grid = self.every_cure(network)
        if self.quick:
            grid = as_grid(one_by_one(list(ParameterGrid(grid))))
        return grid if self.minutes is None else as_grid(by_worth(list(ParameterGrid(grid))))

    def record(self, grid: Grid) -> Record:
        """Return the empty record of a search over a grid."""
        return Record(grid, self.scorers, self.n_folds)


def prepare(options: argparse.Namespace) -> Job:
    """Read and check everything, and say what it is, which takes no TensorFlow and so no waiting.

    Raises
    ------
    DataError
        If data or options are wrong.
    """
    reporting.check_out(options.out)
    is_demo, seed, quick = options.data is None, options.seed, options.quick
    names = {"target": options.target, "shape": options.shape, "skip_unreadable": options.skip_unreadable}
    if is_demo:
        digits = load_rare_digit(random_state=seed)
        data, test = Data(digits.images, digits.target_names[digits.target]), DIGITS_TEST_SHARE
    else:
        data, test = read(options.data, groups=options.groups, **names), options.test or TEST_SHARE
    if isinstance(test, str):
        test = read(test, groups=None if os.path.isdir(test) else options.groups, like=data, **names)
    task = make_task(data, test, options.regression, seed)
    usual = n_epochs(len(task.X_train))
    job = Job(
        task=task,
        scorers=scorers_of(options.scoring, task),
        grid=None if options.grid is None else read_grid(options.grid, seed),
        pretrained=None if options.pretrained is None else backbone(options.pretrained, task),
        epochs=options.epochs or (max(1, round(QUICK_EPOCHS * usual)) if quick else usual),
        n_folds=QUICK_FOLDS if quick else N_FOLDS,
        jobs=options.jobs,
        seed=seed,
        quick=quick,
        minutes=options.budget,
        started=options.started,
        out=options.out,
        is_demo=is_demo,
    )
    [network, *_] = ParameterGrid(job.networks)
    make_search(task, job.record(job.cures(network)), job.epochs, seed)  # checks the grid
    paragraph(reporting.describe("scikit-learn's digits, 8 or not" if is_demo else options.data, data, task))
    if quick:
        paragraph(_cuts(job, network, options.epochs or usual))
    return job


def _cuts(job: Job, network: Mapping[str, Any], usual: int) -> str:
    """Say what --quick leaves out."""
    n_all, n_tried = (len(ParameterGrid(grid(network))) for grid in (job.every_cure, job.cures))
    epochs = f"{job.epochs} epochs instead of {usual}, " if job.epochs != usual else ""
    networks = "the pretrained network alone" if job.pretrained is not None else "1 size of network instead of 3"
    return (
        f"--quick: {job.n_folds} folds instead of {N_FOLDS}, {epochs}{networks}, and no two cures together: {n_tried} "
        f"of {n_all} candidates. Without it the answer takes longer and is surer."
    )

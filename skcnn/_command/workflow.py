"""The job of ``python -m skcnn``: search without and with cures, compare both on held-out samples, diagnose."""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import joblib

import skcnn
from skcnn._command import reporting
from skcnn._command.console import DataError, Progress, complain, duration, number, one_line, paragraph
from skcnn._command.reading import Data, read
from skcnn._command.scores import compare, effects, equal_alarms, scorers_of
from skcnn._command.searching import (
    Grid,
    Record,
    cures,
    failures,
    make_search,
    n_epochs,
    of_size,
    plain_sizes,
    read_grid,
)
from skcnn._command.tasks import Task, make_task
from skcnn.datasets import load_rare_digit

__all__ = ["Job", "prepare", "run"]

TEST_SHARE = 0.25
DIGITS_TEST_SHARE = 0.85  # with more to learn from, digits are so easy that nothing goes wrong


@dataclass(frozen=True)
class Job:
    """What is searched for, as data and options decide it.

    Attributes
    ----------
    task : Task
        Samples to learn from and to compare on.
    scorers : dict of str to callable
        The first is the one to choose by.
    grid : list of dict or None
        Grid that the user gave.
    epochs, jobs, seed : int
        Of each fit; networks at a time; of folds, samplers and networks.
    out : str
        File for the page of the diagnosis.
    is_demo : bool
        Whether the data are scikit-learn's digits.
    """

    task: Task
    scorers: Mapping[str, Any]
    grid: Grid | None
    epochs: int
    jobs: int
    seed: int
    out: str
    is_demo: bool

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """Sizes of network to try."""
        return plain_sizes(self.task.X_train.shape[1:])

    def cures(self, filters: tuple[int, ...]) -> Grid:
        """Return the grid of cures for a size of network."""
        if self.grid is not None:
            return of_size(self.grid, filters)
        # Average precision is blind to the threshold, which is what balancing moves; the digits show what that does.
        return cures(self.task, filters, self.seed, always_balanced=self.is_demo)


def prepare(options: argparse.Namespace) -> Job:
    """Read and check everything, and say what it is, which takes no TensorFlow and so no waiting.

    Raises
    ------
    DataError
        If data or options are wrong.
    """
    reporting.check_out(options.out)
    is_demo, seed = options.data is None, options.seed
    names = {"target": options.target, "shape": options.shape, "skip_unreadable": options.skip_unreadable}
    if is_demo:
        digits = load_rare_digit(random_state=seed)
        data, test = Data(digits.images, digits.target_names[digits.target]), DIGITS_TEST_SHARE
    else:
        data, test = read(options.data, groups=options.groups, **names), options.test or TEST_SHARE
    if isinstance(test, str):
        test = read(test, groups=None if os.path.isdir(test) else options.groups, like=data, **names)
    task = make_task(data, test, options.regression, seed)
    scorers = scorers_of(options.scoring, task)
    grid = None if options.grid is None else read_grid(options.grid, seed)
    epochs = options.epochs or n_epochs(len(task.X_train))
    job = Job(task, scorers, grid, epochs, options.jobs, seed, options.out, is_demo)
    make_search(task, Record(job.cures(job.sizes[0]), scorers), epochs, seed)  # checks the grid
    paragraph(reporting.describe("scikit-learn's digits, 8 or not" if is_demo else options.data, data, task))
    return job


def run(job: Job) -> bool:
    """Search sizes without cures, then cures; report both on the held-out samples; diagnose.

    Returns
    -------
    bool
        Whether every part of the report could be made and written.

    Raises
    ------
    DataError
        If no candidate can be trained.
    KeyboardInterrupt
        After the scores so far have been reported.
    """
    start, plain = time.perf_counter(), None
    record = Record([{"cnn__network__filters": job.sizes}], job.scorers)
    try:
        with joblib.parallel_config("threading", n_jobs=job.jobs):
            score = next(iter(job.scorers))
            plain = _searched(job, record, f"Without cures: which size of network has the best {score}?")
            losses = plain.best_estimator_[-1].history_["loss"]
            paragraph(f"The training loss of the chosen network went from {losses[0]:.2g} to {losses[-1]:.1g}.")
            record = Record(job.cures(plain.best_params_["cnn__network__filters"]), job.scorers)
            cured = _searched(job, record, "With cures: is that better?")
    except (KeyboardInterrupt, DataError) as error:
        stopped = "Interrupted" if isinstance(error, KeyboardInterrupt) else "Failed"
        if stopped == "Interrupted" or plain is not None:
            _report_so_far(job, record, plain, stopped)
        raise
    try:
        parts = [
            _attempted("comparison", lambda: _compare(job, plain, cured, record)),
            _attempted("diagnosis", lambda: _diagnose(job, plain if job.is_demo else cured)),
        ]
    finally:  # whatever happens to the report, this is what the hours were for
        paragraph("The estimator that the search with cures chose, to continue with in Python:")
        print(f"\n{cured.best_estimator_!r}\n\n{duration(time.perf_counter() - start)} in all.")
    if job.is_demo:
        print("Your own data: python -m skcnn DATA, see --help.")
    return all(parts)


def _attempted(part: str, make: Callable[[], None]) -> bool:
    """Make a part of the report; if it fails, say why and return False, so that the others are made."""
    try:
        make()
    except OSError as error:
        complain(one_line(error))
    except Exception as error:
        complain(f"the {part} failed: {type(error).__name__}: {one_line(error)}")
    else:
        return True
    return False


def _searched(job: Job, record: Record, title: str) -> Any:
    """Run a search, say in a line why fits failed, if any did, and print the grid."""
    search = make_search(job.task, record, job.epochs, job.seed)
    with warnings.catch_warnings(record=True) as caught, Progress(title, record.n_fits) as record.tick:
        warnings.simplefilter("always")
        try:
            search.fit(job.task.X_train, job.task.y_train, groups=job.task.groups_train)
        except Exception as error:
            raise DataError(*(failures([str(error)]) or [one_line(error) or type(error).__name__])) from error
        record.tick()  # the final fit, which is not scored
    for note in failures(str(warning.message) for warning in caught):
        paragraph(f"Some fits failed: {note}")
    reporting.print_grid(record, search)
    return search


def _compare(job: Job, plain: Any, cured: Any, record: Record) -> None:
    """Print what the held-out samples say about both searches."""
    paragraph("On the held-out samples, with 95% bootstrap intervals (the same resamples for both):")
    comparisons = compare(job.task, plain, cured, {**job.scorers, **equal_alarms(job.task, cured)}, job.seed)
    reporting.print_scores(comparisons, ("without cures", "with cures"))
    if repr(cured.best_estimator_) == repr(plain.best_estimator_):
        paragraph("The search with cures chose none of them.")
    else:
        score = next(iter(job.scorers))
        found = effects(cured, [reporting.settings_of(params) for params in record.candidates], score)
        paragraph(reporting.verdict(job.task, score, comparisons, found))


def _diagnose(job: Job, search: Any) -> None:
    """Print what is wrong with a search: of the digits with the one that went wrong, else with the better one."""
    task, call = job.task, "skcnn.diagnose(search, X, y, X_test, y_test)"
    paragraph(
        f"Why does it go wrong without cures? {call} of the first search says:"
        if job.is_demo
        else f"What is left to improve? {call} of the search with cures says:"
    )
    data = task.X_train, task.y_train, task.X_test, task.y_test
    groups: dict[str, Any] = {"groups_train": task.groups_train, "groups_test": task.groups_test}
    diagnosis = skcnn.diagnose(search, *data, **groups, fast=True, random_state=job.seed)
    try:
        reporting.print_diagnosis(diagnosis, job.out)
    finally:
        suggestion = diagnosis.suggest()
        if suggestion.param_grid and not suggestion.steps and not job.is_demo:
            print(f"\nThe next grid, for the same command:\n--grid '{json.dumps(suggestion.param_grid, default=str)}'")


def _report_so_far(job: Job, record: Record, plain: Any, stopped: str) -> None:
    """Report what is there after an interrupt or a failure."""
    n_done = sum(len(scores) for scores in record.scores)
    paragraph(f"{stopped} after {n_done} of {record.n_fits} fits.{' Scores so far:' if n_done else ''}")
    if n_done:
        reporting.print_grid(record)
    if plain is not None:
        known = [
            f"{name} {number(scorer(plain, job.task.X_test, job.task.y_test))}" for name, scorer in job.scorers.items()
        ]
        chosen = ", ".join(f"{name} {value}" for name, value in reporting.settings_of(plain.best_params_).items())
        paragraph(f"The best without cures, {chosen}, on the held-out samples: {', '.join(known)}.")

"""The job of ``python -m skcnn``: search without and with cures, compare both on held-out samples, diagnose."""

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import joblib
from sklearn.model_selection import ParameterGrid

import skcnn
from skcnn._command import reporting
from skcnn._command.console import DataError, complain, duration, number, one_line, paragraph
from skcnn._command.jobs import Job
from skcnn._command.planning import Budget, as_grid
from skcnn._command.progress import Progress
from skcnn._command.scores import compare, effects, equal_alarms
from skcnn._command.searching import Record, failures, make_pipeline, make_search, settings_of
from skcnn._command.timing import Costs

__all__ = ["run"]

DIAGNOSE = "skcnn.diagnose(search, X, y, X_test, y_test)"


class Searches:
    """The searches of a job, one after the other.

    Parameters
    ----------
    job : Job
        What is searched for.

    Attributes
    ----------
    record : Record
        Of the latest search.
    plain : fitted search or None
        That without cures, once it is done.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.record = job.record(job.networks)
        self.plain: Any = None
        pipe = make_pipeline(job.task, job.epochs, job.seed)
        self.costs = Costs(job.task, pipe, job.n_folds, job.jobs)
        self.budget: Budget | None = None

    def plan(self) -> None:
        """Time some steps, choose what there is time for, and say how long it takes."""
        networks = self.record.candidates
        cures = [list(ParameterGrid(self.job.cures(network))) for network in networks]
        self.costs.measure(networks + cures[0])
        after = self.costs.afterwards()
        if self.job.minutes is not None:
            self.budget = Budget(self.job.minutes, self.job.started, after)
            chosen = self.budget.networks(networks, [candidates[0] for candidates in cures], self.costs)
            self.record, cures = self.job.record(as_grid(chosen)), [cures[networks.index(one)] for one in chosen]
            if len(chosen) < len(networks):
                paragraph(f"--budget {self.job.minutes:g} has time for {len(chosen)} of {len(networks)} networks.")
            networks = chosen
        first = self.costs.forecast(networks).left()
        seconds = [self.costs.forecast(candidates).left() for candidates in cures]
        if self.budget is not None:  # of which as many are tried as there is time for
            seconds = [min(one, max(0.0, self.budget.room - first)) for one in seconds]
        second, most = (duration(one) for one in (min(seconds), max(seconds)))
        span = second if second == most else f"{second} to {most}, by the size chosen,"
        paragraph(
            f"Going by some timed steps, this takes about {duration(first)} without cures, {span} with cures, and "
            f"{duration(after)} for what follows."
        )

    def without_cures(self) -> Any:
        """Search over networks."""
        score, networks = next(iter(self.job.scorers)), self.record.candidates
        kind = "size of network" if self.job.pretrained is None else "network"
        question = "how good is the network?" if len(networks) == 1 else f"which {kind} has the best {score}?"
        self.plain = self._run(f"Without cures: {question}")
        losses = self.plain.best_estimator_[-1].history_["loss"]
        paragraph(f"The training loss of the chosen network went from {losses[0]:.2g} to {losses[-1]:.1g}.")
        return self.plain

    def with_cures(self) -> Any:
        """Search over cures for the network that was chosen."""
        grid = self.job.cures(self.plain.best_params_)
        if self.budget is not None:
            candidates = list(ParameterGrid(grid))
            chosen = self.budget.cures(candidates, self.costs)
            if len(chosen) < len(candidates):
                paragraph(f"--budget {self.job.minutes:g} has time for {len(chosen)} of {len(candidates)} candidates.")
            grid = as_grid(chosen)
        self.record = self.job.record(grid)
        return self._run("With cures: is that better?")

    def _run(self, title: str) -> Any:
        """Run a search, say in a line why fits failed, if any did, and print the grid."""
        job, record = self.job, self.record
        search = make_search(job.task, record, job.epochs, job.seed, bounded=self.budget is not None)
        forecast = self.costs.forecast(record.candidates)
        if self.budget is not None:
            self.budget.bound(search, forecast)
        with warnings.catch_warnings(record=True) as caught, Progress(title, record.n_fits, forecast) as record.tick:
            warnings.simplefilter("always")
            try:
                search.fit(job.task.X_train, job.task.y_train, groups=job.task.groups_train)
            except Exception as error:
                raise DataError(*(failures([str(error)]) or [one_line(error) or type(error).__name__])) from error
            record.tick(None)  # the final fit, which is not scored
        self.costs.learn(record.candidates, forecast)
        for note in failures(str(warning.message) for warning in caught):
            paragraph(f"Some fits failed: {note}")
        n_tried = len(search.cv_results_["params"])
        if n_tried < len(record.candidates):
            paragraph(f"Stopped after {n_tried} of {len(record.candidates)} candidates: the time of --budget is over.")
        reporting.print_grid(record, search)
        return search


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
    searches = Searches(job)
    try:
        with joblib.parallel_config("threading", n_jobs=job.jobs):
            searches.plan()
            plain = searches.without_cures()
            cured = searches.with_cures()
    except (KeyboardInterrupt, DataError) as error:
        stopped = "Interrupted" if isinstance(error, KeyboardInterrupt) else "Failed"
        if stopped == "Interrupted" or searches.plain is not None:
            _report_so_far(job, searches.record, searches.plain, stopped)
        raise
    try:
        parts = [_attempted("comparison", lambda: _compare(job, plain, cured))]
        if searches.budget is None or searches.budget.left > 0:
            parts.append(_attempted("diagnosis", lambda: _diagnose(job, plain if job.is_demo else cured)))
        else:
            paragraph(f"No diagnosis, since the time of --budget is over; in Python: {DIAGNOSE}")
    finally:  # whatever happens to the report, this is what the hours were for
        paragraph("The estimator that the search with cures chose, to continue with in Python:")
        print(f"\n{cured.best_estimator_!r}\n\n{duration(time.perf_counter() - job.started)} in all.")
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


def _compare(job: Job, plain: Any, cured: Any) -> None:
    """Print what the held-out samples say about both searches."""
    paragraph("On the held-out samples, with 95% bootstrap intervals (the same resamples for both):")
    comparisons = compare(job.task, plain, cured, {**job.scorers, **equal_alarms(job.task, cured)}, job.seed)
    reporting.print_scores(comparisons, ("without cures", "with cures"))
    if repr(cured.best_estimator_) == repr(plain.best_estimator_):
        paragraph("The search with cures chose none of them.")
    else:
        score = next(iter(job.scorers))
        found = effects(cured, [settings_of(params) for params in cured.cv_results_["params"]], score)
        paragraph(reporting.verdict(job.task, score, comparisons, found))


def _diagnose(job: Job, search: Any) -> None:
    """Print what is wrong with a search: of the digits with the one that went wrong, else with the better one."""
    task = job.task
    paragraph(
        f"Why does it go wrong without cures? {DIAGNOSE} of the first search says:"
        if job.is_demo
        else f"What is left to improve? {DIAGNOSE} of the search with cures says:"
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
        chosen = ", ".join(f"{name} {value}" for name, value in settings_of(plain.best_params_).items())
        paragraph(f"The best without cures, {chosen}, on the held-out samples: {', '.join(known)}.")

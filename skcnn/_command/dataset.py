"""``python -m skcnn DATA``: a search without and with cures on the user's own data, and its report."""

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import joblib
import numpy as np

import skcnn
from skcnn._command.console import DataError, Progress, duration, number, paragraph
from skcnn._command.demo import Comparison
from skcnn._command.digits import print_diagnosis, print_scores
from skcnn._command.reading import Data
from skcnn._command.scores import compare
from skcnn._command.searching import Grid, Record, failures, make_pipeline, make_search
from skcnn._command.tasks import Task

__all__ = ["describe", "run"]

MAX_NAMED = 8  # classes, or candidates of an interrupted search


def describe(name: str, data: Data, task: Task) -> str:
    """Say what was read: rows, their shape, classes and parts."""
    n_test = len(task.X_test)
    text = f"{name}: {len(task.X_train):,} {_rows(task.X_train.shape[1:])} to learn from, {n_test:,} held out"
    if task.groups_train is not None and task.groups_test is not None:
        text += f", in {len(np.unique(task.groups_train))} and {len(np.unique(task.groups_test))} groups"
    if task.kind == "regression":
        return f"{text}. Targets from {data.y.min():.4g} to {data.y.max():.4g}."
    counts = Counter(data.y.tolist()).most_common()
    named = ", ".join(f"{label} {n / len(data.y):.1%}" for label, n in counts[:MAX_NAMED])
    more = f" and {len(counts) - MAX_NAMED} more" if len(counts) > MAX_NAMED else ""
    text += f". {len(counts)} classes: {named}{more}."
    return text if task.to_find is None else f"{text} The one to find is {task.to_find}, called 1 below."


def _rows(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        side = round(shape[0] ** 0.5)
        flat = f" (if these are images: --shape {side}x{side}x1)" if side * side == shape[0] and side >= 8 else ""
        return f"rows of {shape[0]} columns{flat}"
    if len(shape) == 2:
        image = f" (if these are images: --shape {shape[0]}x{shape[1]}x1)" if min(shape) >= 8 else ""
        return f"series of {shape[0]} steps, {shape[1]} channels{image}"
    return f"{'images' if len(shape) == 3 else 'volumes'} of {'x'.join(map(str, shape))}"


def run(
    task: Task,
    sizes: Sequence[tuple[int, ...]],
    make_grid: Callable[[tuple[int, ...]], Grid],
    scorers: Mapping[str, Any],
    *,
    epochs: int,
    jobs: int,
    seed: int,
    out: str,
) -> int:
    """Search sizes without cures, then cures; report both on the held-out rows; diagnose the winner.

    Returns
    -------
    int
        0, or 130 after an interrupt, of which the scores so far are reported.

    Raises
    ------
    DataError
        If no candidate can be trained.
    """
    start = time.perf_counter()
    score = next(iter(scorers))
    plain = cured = None
    record = Record([{"cnn__network__filters": list(sizes)}], scorers)
    try:
        _try(task, sizes[0], seed)
        with joblib.parallel_config("threading", n_jobs=jobs):
            title = f"As the data come: no weights, no regularisation; which size of network has the best {score}?"
            plain = _searched(task, record, title, epochs, seed)
            print_grid(record, plain)
            record = Record(make_grid(plain.best_params_["cnn__network__filters"]), scorers)
            cured = _searched(task, record, "With cures: is that better?", epochs, seed)
            print_grid(record, cured)
    except KeyboardInterrupt:
        return _interrupted(record, plain, task, scorers)
    paragraph("On the held-out rows, with 95% bootstrap intervals (the same resamples for both):")
    comparisons = compare(task, plain, cured, scorers, seed)
    print_scores(comparisons, ("as they come", "with cures"))
    chose_none = repr(cured.best_estimator_) == repr(plain.best_estimator_)
    paragraph("The search with cures chose none of them." if chose_none else _verdict(score, comparisons[score]))
    paragraph("What is left to mend? skcnn.diagnose(search, X, y, X_test, y_test) of the search with cures says:")
    diagnosis = skcnn.diagnose(
        cured,
        task.X_train,
        task.y_train,
        task.X_test,
        task.y_test,
        groups_train=task.groups_train,
        groups_test=task.groups_test,
        fast=True,
        random_state=seed,
    )
    print_diagnosis(diagnosis, out)
    suggestion = diagnosis.suggest()
    if suggestion.param_grid and not suggestion.steps:
        print(f"\nThe next grid, for the same command:\n--grid '{json.dumps(suggestion.param_grid, default=str)}'")
    paragraph("The estimator that the search chose, to go on with in Python:")
    print(f"\n{cured.best_estimator_!r}\n\n{duration(time.perf_counter() - start)}")
    return 0


def _try(task: Task, filters: tuple[int, ...], seed: int) -> None:
    """Train one epoch, so that what cannot be trained at all is said at once."""
    pipe = make_pipeline(task, 1, seed).set_params(cnn__network__filters=filters)
    try:
        pipe.fit(task.X_train, task.y_train)
    except (ValueError, TypeError, FloatingPointError, MemoryError) as error:
        raise DataError(f"A network cannot be trained on these data: {' '.join(str(error).split())}") from error


def _searched(task: Task, record: Record, title: str, epochs: int, seed: int) -> Any:
    """Run a search, and say in a line what failed or was warned of in it."""
    search = make_search(task, record, epochs, seed)
    with warnings.catch_warnings(record=True) as caught, Progress(title, record.n_fits) as record.tick:
        warnings.simplefilter("always")
        try:
            search.fit(task.X_train, task.y_train, groups=task.groups_train)
        except (ValueError, FloatingPointError, MemoryError) as error:
            raise DataError(*(failures([str(error)]) or [" ".join(str(error).split())])) from error
        record.tick()  # the final fit, which is not scored
    messages = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    for note in dict.fromkeys(failures(messages)):
        paragraph(f"Some fits failed: {note}")
    return search


def print_grid(record: Record, search: Any = None) -> None:
    """Print the candidates with a score, best first; those that lack folds are marked."""
    settings = [settings_of(params) for params in record.candidates]
    every = list(dict.fromkeys(name for one in settings for name in one))
    names = [name for name in every if len({one.get(name) for one in settings}) > 1] or every
    width = {name: 2 + max(len(name), *(len(one.get(name, "")) for one in settings)) for name in names}
    rows = [(float(np.mean(scores)), i) for i, scores in enumerate(record.scores) if scores]
    print("\n  " + "".join(f"{name:{width[name]}}" for name in names) + f"{next(iter(record.scorers)):>20}")
    for mean, i in sorted(rows, key=lambda row: -row[0]):
        cells = "".join(f"{settings[i].get(name, ''):{width[name]}}" for name in names)
        scores, chosen = record.scores[i], search is not None and i == search.best_index_
        folds = "" if len(scores) == record.n_folds else f"  {len(scores)} of {record.n_folds} folds"
        print(f"{'*' if chosen else ' '} {cells}{number(mean):>12} ± {number(float(np.std(scores)))}{folds}")
    print(f"\n  {'* chosen; ' if search is not None else ''}± is the standard deviation over the folds")


def settings_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Name what a candidate does, briefly."""
    found = {}
    for name, value in params.items():
        short = name.removeprefix("cnn__").removeprefix("network__")
        sampler = getattr(value, "sampler", None)
        if sampler is not None:
            found[short] = type(sampler).__name__
        elif value is None or value == "passthrough":
            found[short] = "none"
        else:
            found[short] = f"{value:g}" if isinstance(value, float) else str(value)
    return found


def _verdict(score: str, comparison: Comparison) -> str:
    value, low, high = (number(one, "+") for one in comparison.difference)
    says = {1: "The cures help", 0: "That the cures help, or harm, is not shown", -1: "The cures harm"}
    return (
        f"{says[comparison.difference.sign]}: {score} differs by {value} [{low}, {high}]. The interval is for the "
        "choice of test rows alone; --seed N splits and trains anew, which differs more."
    )


def _interrupted(record: Record, plain: Any, task: Task, scorers: Mapping[str, Any]) -> int:
    """Report what is there after an interrupt."""
    n_done = sum(len(scores) for scores in record.scores)
    paragraph(f"Interrupted after {n_done} of {record.n_fits} fits.{' Scores so far:' if n_done else ''}")
    if n_done:
        print_grid(record)
    if plain is not None:
        known = {name: number(scorer(plain, task.X_test, task.y_test)) for name, scorer in scorers.items()}
        listed = ", ".join(f"{name} {value}" for name, value in known.items())
        chosen = ", ".join(f"{name} {value}" for name, value in settings_of(plain.best_params_).items())
        paragraph(f"The best without cures, {chosen}, on the held-out rows: {listed}.")
    return 130

"""What is printed: the data, grids with their scores, the comparison on held-out samples and the diagnosis."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from skcnn._command.console import DataError, number, one_line
from skcnn._command.reading import GROUPS, NO_GROUPS, Data
from skcnn._command.scores import Comparison, Effect
from skcnn._command.searching import Record, settings_of
from skcnn._command.tasks import Task
from skcnn._engine.kept_files import in_place_of
from skcnn._statistics import Estimate
from skcnn.exceptions import listed

__all__ = ["check_out", "describe", "print_diagnosis", "print_grid", "print_scores", "verdict"]

PAGE_START = 8192  # bytes that tell a page of a diagnosis from other files


def describe(name: str, data: Data, task: Task) -> str:
    """Say what was read: samples, their shape, classes and parts."""
    n_test = len(task.X_test)
    text = f"{name}: {len(task.X_train):,} {_samples(task.X_train.shape[1:])} to learn from, {n_test:,} held out"
    if task.groups_train is not None and task.groups_test is not None:
        text += f", in {len(np.unique(task.groups_train))} and {len(np.unique(task.groups_test))} groups"
        if data.groups_found:
            text += f", as the array {GROUPS!r} of the file says ({NO_GROUPS.rstrip('.')})"
    if task.kind == "regression":
        return f"{text}. Targets from {data.y.min():.4g} to {data.y.max():.4g}."
    counts = Counter(data.y.tolist()).most_common()
    text += f". {len(counts)} classes: {listed([f'{label} {n / len(data.y):.1%}' for label, n in counts])}."
    if task.kind == "binary":
        label = "1" if task.to_find is None else f"{task.to_find}, called 1 below"
        text += f" The class to find is {label}: {task.y_train.sum()} to learn from, {task.y_test.sum()} held out."
    return text


def _samples(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        side = round(shape[0] ** 0.5)
        flat = f" (if these are images: --shape {side}x{side}x1)" if side * side == shape[0] and side >= 8 else ""
        return f"samples of {shape[0]} features{flat}"
    if len(shape) == 2:
        image = f" (if these are images: --shape {shape[0]}x{shape[1]}x1)" if min(shape) >= 8 else ""
        return f"series of {shape[0]} steps, {shape[1]} channels{image}"
    return f"{'images' if len(shape) == 3 else 'volumes'} of {'x'.join(map(str, shape))}"


# Tables -----------------------------------------------------------------------------------------------------------


def print_grid(record: Record, search: Any = None) -> None:
    """Print the candidates with a score, best first; those that lack folds are marked."""
    settings = [settings_of(params) for params in record.candidates]
    every = list(dict.fromkeys(name for one in settings for name in one))
    names = [name for name in every if len({one.get(name) for one in settings}) > 1] or every
    rows = []
    for i, found in enumerate(record.scores):
        scores = [[one[name] for one in found] for name in record.scorers]
        means = [float(np.mean(column)) for column in scores if column]
        if means:
            name, *more = [settings[i].get(name, "") for name in names]
            chosen = "*" if search is not None and i == search.best_index_ else " "
            spread, *others = number(float(np.std(scores[0]))), *map(number, means[1:])
            folds = "" if len(found) == record.n_folds else f"{len(found)} of {record.n_folds} folds"
            cells = [f"{chosen} {name}", *more, f"{number(means[0])} ± {spread}", *others, folds]
            rows.append((means[0], cells))
    rows.sort(key=lambda row: -row[0])
    _print_table([[f"  {names[0]}", *names[1:], *record.scorers, ""], *(cells for _, cells in rows)], len(names))
    print(f"\n  {'* chosen; ' if search is not None else ''}± is the standard deviation over the folds")


def print_scores(comparisons: Mapping[str, Comparison], titles: Sequence[str]) -> None:
    """Print the scores of both searches on the held-out samples, and their difference."""
    rows = [["", *titles, "difference"]]
    for name, (plain, cured, difference) in comparisons.items():
        rows.append([f"  {name}", interval(plain), interval(cured), interval(difference, "+")])
    _print_table(rows, 1)


def _print_table(rows: Sequence[Sequence[str]], n_left: int) -> None:
    """Print cells below each other; the first columns are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        cells = [f"{cell:{'<' if i < n_left else '>'}{widths[i]}}" for i, cell in enumerate(row)]
        print("   ".join(cells).rstrip())


# Words ------------------------------------------------------------------------------------------------------------


def interval(estimate: Estimate, sign: str = "") -> str:
    """Return an estimate with its bounds."""
    return f"{number(estimate.value, sign)} [{number(estimate.low, sign)}, {number(estimate.high, sign)}]"


def verdict(task: Task, score: str, comparisons: Mapping[str, Comparison], found: Sequence[Effect]) -> str:
    """Say in a paragraph what held-out samples and grid show, and no more than they show.

    Parameters
    ----------
    task : Task
        What was learnt.
    score : str
        The score that both searches chose by.
    comparisons : dict of str to Comparison
        What `scores.compare` returned.
    found : list of Effect
        What `scores.effects` returned.
    """
    sentences, told = [], dict.fromkeys([score, "recall"] if task.kind == "binary" else [score])
    for name in told:
        plain, cured, difference = comparisons[name]
        differs = {1: "significantly better", 0: "not significantly different", -1: "significantly worse"}
        sentences.append(
            f"With cures {name} is {differs[difference.sign]}: {number(cured.value)} against {number(plain.value)}, a "
            f"difference of {interval(difference, '+')}."
        )
    worse = [
        f"{name} by {interval(one.difference, '+')}"
        for name, one in comparisons.items()
        if name not in told and one.difference.sign < 0
    ]
    sentences.append(
        f"But significantly worse: {' and '.join(worse)}." if worse else "No other score shown is significantly worse."
    )
    if task.kind == "binary":
        accuracy = comparisons["accuracy"]
        sentences += [
            _cause(comparisons["recall"].difference, comparisons["recall_at_equal_alarms"].difference),
            f"Accuracy is {number(accuracy.cured.value)} against {number(accuracy.plain.value)}; finding none would "
            f"have {number(1 - task.y_test.mean())}.",
        ]
    if found:
        largest = max(found, key=lambda effect: abs(effect.difference.value))
        luck = "" if largest.difference.sign else ", which is not significant"
        sentences.append(
            f"Of the settings in the grid, {largest.setting} instead of {largest.instead_of} changed the "
            f"cross-validated {score} most, by {interval(largest.difference, '+')}{luck}."
        )
    sentences.append(
        "The intervals of held-out scores cover the choice of these samples alone; --seed N splits and trains again, "
        "which differs more."
    )
    return " ".join(sentences)


def _cause(recall: Estimate, equal_alarms: Estimate) -> str:
    """Divide a difference in recall into what the threshold and what the ranking of the samples does."""
    text = f"At thresholds with equally many alarms the difference in recall is {interval(equal_alarms, '+')}"
    if not recall.sign:
        return f"{text}."
    kind = "gain" if recall.sign > 0 else "loss"
    by_ranking, by_threshold = equal_alarms.value, recall.value - equal_alarms.value
    if by_threshold * recall.sign >= by_ranking * recall.sign:
        return f"{text}: most of the {kind}, {number(by_threshold, '+')}, is the threshold, which balancing moves."
    return f"{text}: most of the {kind} is the ranking, not the threshold."


def print_diagnosis(diagnosis: Any, out: str) -> None:
    """Print a diagnosis, and write its page: elsewhere, if its place is gone or full.

    Raises
    ------
    OSError
        If it could not be written to `out`; the message says where it is.
    """
    print(f"\n{diagnosis}")
    page = diagnosis.to_html()
    try:
        check_out(out)  # it may have become another file meanwhile
        with in_place_of(Path(os.path.realpath(out))) as unfinished:  # a link stays one
            unfinished.write_text(page, encoding="utf-8", errors="replace")
    except (OSError, DataError) as error:
        raise OSError(_saved_elsewhere(page, out, error)) from error
    print(f"\nThe same as a page, with charts (--out chooses another file):\n{os.path.abspath(out)}")


def _saved_elsewhere(page: str, out: str, error: Exception) -> str:
    """Write a page to a new temporary file, and return the message that says so."""
    why = f"--out {out!r} could not be written ({getattr(error, 'strerror', None) or one_line(error)})"
    try:
        with NamedTemporaryFile("w", encoding="utf-8", errors="replace", suffix=".html", delete=False) as file:
            file.write(page)
    except OSError:
        return f"{why}, nor the folder for temporary files; the diagnosis is printed alone."
    return f"{why}; the page is in {file.name}"


def check_out(out: str) -> None:
    """Refuse a place for the page that cannot be written to, or holds anything but such a page.

    Raises
    ------
    DataError
        If it is so.
    """
    path = Path(out)
    try:
        folder = Path(os.path.realpath(path)).parent  # where a link leads
        there = os.path.lexists(path)
        may_write = os.access(folder, os.W_OK) and (not there or os.access(path, os.W_OK))
        fits = folder.is_dir() and not path.is_dir() and may_write
        is_other = there and fits and not _is_page(path)
    except (OSError, ValueError):  # such as a name that is too long, or has a null
        fits = is_other = False
    if is_other:
        raise DataError(
            f"--out {out!r} exists and is no page of a diagnosis, so that it is not overwritten. Remove it, or choose "
            "another name."
        )
    if not fits:
        raise DataError(f"--out {out!r} cannot be written; expected a file in a folder that is there.")


def _is_page(path: Path) -> bool:
    """Tell whether a file, or what a link leads to, is the page of a diagnosis."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(PAGE_START)
    return start.startswith(b"<!DOCTYPE html>") and b"<title>Diagnosis" in start and b"skcnn" in start

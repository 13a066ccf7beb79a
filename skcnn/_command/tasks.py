"""What is to be learnt: the kind of target, samples to learn from and samples held out."""

import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils.multiclass import type_of_target

from skcnn._command.console import DataError
from skcnn._command.reading import GROUPS, NO_GROUPS, Data
from skcnn.exceptions import listed

__all__ = ["N_FOLDS", "Task", "make_task"]

N_FOLDS = 3


@dataclass(frozen=True)
class Task:
    """Samples to learn from and samples held out.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n, ...)
        Samples.
    y_train, y_test : ndarray of shape (n,)
        Targets; of two classes 1 is the one to find, else labels as they were read.
    groups_train, groups_test : ndarray of shape (n,) or None
        Group of each sample.
    kind : {"binary", "multiclass", "regression"}
        What is to be learnt.
    to_find : str or None
        Of two classes the label that 1 stands for, if the labels are others than 0 and 1.
    """

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    groups_train: np.ndarray | None
    groups_test: np.ndarray | None
    kind: str
    to_find: str | None = None


def make_task(data: Data, test: Data | float, regression: bool, seed: int) -> Task:
    """Decide what is to be learnt, and hold samples out.

    Raises
    ------
    DataError
        If there is nothing to learn, or there are too few samples or groups for it.
    """
    kind = "regression" if regression else _kind_of(data.y)
    if kind == "regression":
        data, test = _quantities(data), _quantities(test) if isinstance(test, Data) else test
        _check_quantities(data, test)
    else:
        _check_classes(data, test)
    train, held = (data, test) if isinstance(test, Data) else _split(data, test, seed, stratify=kind != "regression")
    y_train, y_test, to_find = train.y, held.y, None
    if kind == "regression":
        y_train, y_test = y_train.astype(float), y_test.astype(float)
    elif kind == "binary":
        labels, counts = np.unique(y_train, return_counts=True)
        label = 1 if labels.tolist() == [0, 1] else labels[np.argmin(counts)]
        y_train, y_test = (y_train == label).astype(int), (y_test == label).astype(int)
        to_find = None if labels.dtype.kind != "U" and label == 1 else str(label)
    return Task(train.X, held.X, y_train, y_test, train.groups, held.groups, kind, to_find)


def _kind_of(y: np.ndarray) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many classes, which is an error here if it is one
        kind = str(type_of_target(y))
    return "regression" if kind == "continuous" else "binary" if len(np.unique(y)) == 2 else "multiclass"


def _quantities(data: Data) -> Data:
    """Return data with targets as numbers if they are, which 007 is as a quantity and not as a label."""
    with suppress(ValueError):
        return replace(data, y=data.y.astype(float)) if data.y.dtype.kind == "U" else data
    return data


def _check_quantities(data: Data, test: Data | float) -> None:
    """Check that there are numbers that differ, in enough samples or groups for every split."""
    if any(one.y.dtype.kind not in "biuf" for one in (data, test) if isinstance(one, Data)):
        raise DataError(f"--regression needs numbers to predict; the first target is {data.y[0]!s}.")
    if np.ptp(data.y) == 0:
        raise DataError(f"All targets are {data.y[0]:g}; there is nothing to learn.")
    n_units = len(data.X) if data.groups is None else len(np.unique(data.groups))
    if n_units <= N_FOLDS:
        raise DataError(
            f"There are {n_units} {_units(data)}; {N_FOLDS} folds and a test set need {N_FOLDS + 1} at least."
            f"{_groups_hint(data)}"
        )


def _check_classes(data: Data, test: Data | float) -> None:
    """Check that each class stands in enough samples, or groups, to be in every part of the splits."""
    numeric = data.y.dtype.kind in "if"
    hint = " If the target is a quantity and no class, say --regression." if numeric else ""
    labels = np.unique(data.y)
    if len(labels) < 2:
        raise DataError(f"All {len(data.y)} samples are of class {labels[0]!s}; there is nothing to tell apart.{hint}")
    n_needed = N_FOLDS + (not isinstance(test, Data))  # a sample of each class in each part
    units = np.arange(len(data.y)) if data.groups is None else data.groups
    counts = {label: len(np.unique(units[data.y == label])) for label in labels.tolist()}
    few = [f"{label} ({n})" for label, n in counts.items() if n < n_needed]
    if few:
        raise DataError(
            f"Classes in fewer than {n_needed} {_units(data)}, which folds and test set need: {listed(few)}.{hint}"
            f"{_groups_hint(data)}"
        )
    unseen = sorted(set(test.y.tolist()) - set(labels.tolist()), key=str) if isinstance(test, Data) else []
    if unseen:
        raise DataError(f"The test samples have classes that the training samples lack: {listed(unseen)}.")


def _units(data: Data) -> str:
    return "samples" if data.groups is None else "groups"


def _groups_hint(data: Data) -> str:
    return f" The groups are the array {GROUPS!r} of the file; {NO_GROUPS}" if data.groups_found else ""


def _split(data: Data, share: float, seed: int, *, stratify: bool) -> tuple[Data, Data]:
    """Hold a share of the samples, or groups, out."""
    X, y, groups = data.X, data.y, data.groups
    splitter: Any
    if groups is not None and stratify:
        splitter = StratifiedGroupKFold(max(2, round(1 / share)), shuffle=True, random_state=seed)
    else:
        kind = GroupShuffleSplit if groups is not None else StratifiedShuffleSplit if stratify else ShuffleSplit
        splitter = kind(1, test_size=share, random_state=seed)
    try:
        train, held = next(splitter.split(np.zeros(len(y)), y, groups))
    except ValueError as error:
        raise DataError(f"--test {share:g}: {error}") from error
    if stratify and not len(np.unique(y)) == len(np.unique(y[train])) == len(np.unique(y[held])):
        raise DataError(f"--test {share:g}: not every class is in both parts; too few samples, or groups, have one.")
    one, other = (Data(X[part], y[part], None if groups is None else groups[part]) for part in (train, held))
    return one, other

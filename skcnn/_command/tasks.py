"""What is to be learnt from the user's own data: the kind of target, and rows held out."""

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
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
from skcnn._command.reading import Data

__all__ = ["N_FOLDS", "Task", "make_task"]

N_FOLDS = 3


@dataclass(frozen=True)
class Task:
    """Rows to learn from and rows held out.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n, ...)
        Rows.
    y_train, y_test : ndarray of shape (n,)
        Targets; of two classes 1 is the one to find, else labels as they were read.
    groups_train, groups_test : ndarray of shape (n,) or None
        Group of each row.
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
    """Decide what is to be learnt, and hold rows out.

    Raises
    ------
    DataError
        If there is nothing to learn, or there are too few rows or groups for it.
    """
    data, test = _whole(data), _whole(test) if isinstance(test, Data) else test
    kind = "regression" if regression else _kind_of(data.y)
    if kind == "regression":
        return _regression_task(data, test, seed)
    n_needed = N_FOLDS + (not isinstance(test, Data))  # a row of each class in each part
    _check_classes(data, n_needed, numeric=data.y.dtype.kind in "if")
    if isinstance(test, Data):
        unseen = sorted(set(test.y.tolist()) - set(data.y.tolist()), key=str)
        if unseen:
            raise DataError(f"The test rows have classes that the rows to learn from have not: {_labels(unseen)}.")
        parts = data, test
    else:
        parts = _split(data, test, seed)
    y_train, y_test, to_find = parts[0].y, parts[1].y, None
    if kind == "binary":
        to_find = _to_find(y_train)
        y_train, y_test = ((y == to_find).astype(int) for y in (y_train, y_test))
    train, held = parts
    shown = None if to_find is None or _is_one(to_find) else str(to_find)
    return Task(train.X, held.X, y_train, y_test, train.groups, held.groups, kind, shown)


def _whole(data: Data) -> Data:
    """Return data whose targets are integers if they are whole numbers."""
    y = data.y.astype(np.float64) if data.y.dtype.kind == "f" else data.y
    if y.dtype.kind == "b" or (y.dtype.kind == "f" and (y == np.trunc(y)).all() and np.abs(y).max() < 2**53):
        y = y.astype(int)
    return Data(data.X, y, data.groups, data.columns)


def _kind_of(y: np.ndarray) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many classes, which is an error here if it is one
        kind = str(type_of_target(y))
    return "regression" if kind == "continuous" else "binary" if len(np.unique(y)) == 2 else "multiclass"


def _regression_task(data: Data, test: Data | float, seed: int) -> Task:
    given = [data, test] if isinstance(test, Data) else [data]
    if any(one.y.dtype.kind not in "biuf" for one in given):
        raise DataError(f"--regression needs numbers to predict; the first target is {given[0].y[0]!s}.")
    if np.ptp(data.y) == 0:
        raise DataError(f"All targets are {data.y[0]:g}; there is nothing to learn.")
    n_groups = len(data.X) if data.groups is None else len(np.unique(data.groups))
    if n_groups <= N_FOLDS:
        kind = "rows" if data.groups is None else "groups"
        raise DataError(f"There are {n_groups} {kind}; {N_FOLDS} folds and a test set need {N_FOLDS + 1} at least.")
    train, held = (data, test) if isinstance(test, Data) else _split(data, test, seed)
    y_train, y_test = (one.y.astype(float) for one in (train, held))
    return Task(train.X, held.X, y_train, y_test, train.groups, held.groups, "regression")


def _to_find(y: np.ndarray) -> Any:
    """Return the label to find: 1 of 0 and 1, else the rarer one."""
    labels, counts = np.unique(y, return_counts=True)
    return labels[1] if _is_one(labels[1]) and labels[0] == 0 else labels[np.argmin(counts)]


def _is_one(label: Any) -> bool:
    return not isinstance(label, str) and label == 1


def _check_classes(data: Data, n_needed: int, numeric: bool) -> None:
    """Check that each class stands in enough rows, or groups, to be in every part of the splits."""
    hint = " If the target is a quantity and no class, say --regression." if numeric else ""
    labels = np.unique(data.y)
    if len(labels) < 2:
        raise DataError(f"All {len(data.y)} rows are of class {labels[0]!s}; there is nothing to tell apart.{hint}")
    units = np.arange(len(data.y)) if data.groups is None else data.groups
    counts = {label: len(np.unique(units[data.y == label])) for label in labels.tolist()}
    few = {label: n for label, n in counts.items() if n < n_needed}
    if few:
        unit = "rows" if data.groups is None else "groups"
        named = ", ".join(f"{label} ({n})" for label, n in list(few.items())[:6])
        more = f" and {len(few) - 6} more" if len(few) > 6 else ""
        raise DataError(f"Classes in fewer than {n_needed} {unit}, which folds and test set need: {named}{more}.{hint}")


def _split(data: Data, share: float, seed: int) -> tuple[Data, Data]:
    """Hold a share of the rows, or groups, out."""
    X, y, groups = data.X, data.y, data.groups
    stratify = _kind_of(y) != "regression" and Counter(y.tolist()).most_common()[-1][1] > 1
    if groups is None:
        splitter = StratifiedShuffleSplit if stratify else ShuffleSplit
        splits = splitter(1, test_size=share, random_state=seed).split(np.zeros(len(y)), y)
    elif stratify:
        n_parts = max(2, round(1 / share))
        splits = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed).split(np.zeros(len(y)), y, groups)
    else:
        splits = GroupShuffleSplit(1, test_size=share, random_state=seed).split(np.zeros(len(y)), y, groups)
    try:
        train, held = next(splits)
    except ValueError as error:
        raise DataError(f"--test {share:g}: {error}") from error
    if stratify and not len(np.unique(y)) == len(np.unique(y[train])) == len(np.unique(y[held])):
        raise DataError(f"--test {share:g}: not every class is in both parts; too few rows, or groups, have one.")
    one, other = (Data(X[part], y[part], None if groups is None else groups[part]) for part in (train, held))
    return one, other


def _labels(labels: Iterable[Any]) -> str:
    shown = [str(label) for label in labels]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")

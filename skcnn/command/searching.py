"""The two searches on the user's own data, and what the held-out rows say about their winners."""

import json
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np
from imblearn import over_sampling, under_sampling
from imblearn.pipeline import Pipeline
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ParameterGrid,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from skcnn.command.console import DataError
from skcnn.command.reading import Data
from skcnn.demo import Comparison, Estimate
from skcnn.estimators import CNNClassifier, CNNRegressor
from skcnn.grids import check_grid
from skcnn.networks import Plain
from skcnn.sampling import NDSampler
from skcnn.validation import nearest

__all__ = ["Record", "Task", "compare", "cures", "make_search", "make_task", "plain_sizes", "read_grid", "scorers_of"]

N_FOLDS = 3
N_RESAMPLES = 400  # of the bootstrap: each calls every scorer twice
BALANCED = 1.5  # the largest class at most this many times the smallest: nothing to balance
REGULARISATION: dict[str, list[Any]] = {"cnn__l2": [0.0, 0.1], "cnn__dropout": [0.0, 0.5]}
SAMPLERS = {name: getattr(module, name) for module in (over_sampling, under_sampling) for name in module.__all__}

Grid = list[dict[str, list[Any]]]


# The task ---------------------------------------------------------------------------------------------------------


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


# Estimators and grids ---------------------------------------------------------------------------------------------


def plain_sizes(row_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return three sizes of network: a block for each halving of a row down to about 4 positions, two to five."""
    side = max(row_shape[:-1]) if len(row_shape) > 1 else row_shape[0]
    n_blocks = min(5, max(2, ceil(log2(max(side, 2) / 4))))
    return [tuple(min(128, width * 2**block) for block in range(n_blocks)) for width in (4, 8, 16)]


def make_pipeline(task: Task, epochs: int, seed: int) -> Pipeline:
    """Return scaling, a place for a sampler, and the network."""
    table = task.X_train.ndim == 2
    kind = CNNRegressor if task.kind == "regression" else CNNClassifier
    # The learning rate ends at 0, because at a constant one the last steps leave the threshold to chance. No early
    # stopping: its inner split would not know the groups.
    cnn = kind(
        Plain(),
        epochs=epochs,
        schedule="cosine",
        early_stopping=False,
        standardize=None if table else "channel",  # in the graph: no copy of the images in floating point
        random_state=seed,
    )
    steps = [("scale", StandardScaler())] if table else []
    balance = [] if task.kind == "regression" else [("balance", "passthrough")]
    return Pipeline([*steps, *balance, ("cnn", cnn)])


def n_epochs(n_rows: int) -> int:
    """Return fewer epochs for more rows, so that a fit takes about as many steps."""
    return min(60, max(10, 60_000 // n_rows))


def cures(task: Task, filters: Sequence[int], seed: int) -> Grid:
    """Return the grid of cures: for imbalance, where there is any, and for overfitting."""
    common: dict[str, list[Any]] = {"cnn__network__filters": [tuple(filters)], **REGULARISATION}
    if task.kind == "regression":
        return [common]
    counts = Counter(task.y_train.tolist())
    rarest = min(counts.values())
    if max(counts.values()) <= BALANCED * rarest:
        return [common]
    samplers = [over_sampling.RandomOverSampler(random_state=seed)]
    if rarest * (N_FOLDS - 1) // N_FOLDS > 3:
        samplers.append(over_sampling.SMOTE(k_neighbors=3, random_state=seed))
    return [
        {"balance": ["passthrough"], "cnn__class_weight": [None, "balanced"], **common},
        {"balance": [NDSampler(sampler) for sampler in samplers], **common},
    ]


def read_grid(text: str, task: Task, seed: int) -> Grid:
    """Return a grid from JSON, or from a file that holds it.

    Lists within the lists become tuples; ``balance`` takes names of imbalanced-learn's samplers.
    """
    if not text.lstrip().startswith(("{", "[")):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise DataError(f"--grid {text}: neither JSON nor a file that can be read.") from error
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f'--grid is no JSON: {error.msg} at character {error.pos}. Expected such as {{"cnn__l2": [0, 0.01]}}.'
        ) from error
    except RecursionError as error:
        raise DataError("--grid: lists too deep within each other.") from error
    parts = given if isinstance(given, list) else [given]
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        raise DataError('--grid: expected names and lists of values, such as {"cnn__l2": [0, 0.01]}.')
    for part in parts:
        for name, values in part.items():
            if not isinstance(values, list) or not values:
                raise DataError(f"--grid: {name!r} has {values!r}; expected a list of values, such as [0, 0.01].")
    return [{name: [_value(name, value, seed) for value in part[name]] for name in part} for part in parts]


def of_size(grid: Grid, filters: Sequence[int]) -> Grid:
    """Return a grid whose networks have these filters, where it does not choose a network itself."""
    size = {"cnn__network__filters": [tuple(filters)]}
    return [part if any(name.startswith("cnn__network") for name in part) else {**part, **size} for part in grid]


def _value(name: str, value: Any, seed: int) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if name != "balance" or value in ("passthrough", None):
        return value
    if value not in SAMPLERS:
        raise DataError(
            f"--grid: 'balance' has {value!r}, which is no sampler of imbalanced-learn{nearest(str(value), SAMPLERS)}"
        )
    sampler = SAMPLERS[value]()
    return NDSampler(sampler.set_params(random_state=seed) if "random_state" in sampler.get_params() else sampler)


# Scores -----------------------------------------------------------------------------------------------------------


def scorers_of(scoring: str | None, task: Task) -> dict[str, Any]:
    """Return the scorer to choose by, first, and others worth knowing; each is tried on a constant prediction.

    Raises
    ------
    DataError
        If there is no such scorer, or it cannot score this target.
    """
    usual = {
        "binary": ["average_precision", "balanced_accuracy", "recall", "accuracy"],
        "multiclass": ["balanced_accuracy", "accuracy"],
        "regression": ["r2", "neg_mean_absolute_error"],
    }[task.kind]
    names = list(dict.fromkeys([scoring or usual[0], *usual]))
    if names[0] not in get_scorer_names():
        close = nearest(names[0], get_scorer_names())
        raise DataError(
            f"--scoring {names[0]}: scikit-learn has no such score{close} Such as {', '.join(usual)} fit these targets."
        )
    scorers = {name: get_scorer(name) for name in names}
    dummy = DummyRegressor() if task.kind == "regression" else DummyClassifier()
    for rows, y in [("rows to learn from", task.y_train), ("test rows", task.y_test)]:
        blank = np.zeros((len(y), 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                value = scorers[names[0]](dummy.fit(np.zeros((len(task.y_train), 1)), task.y_train), blank, y)
            except (ValueError, AttributeError, TypeError) as error:
                raise DataError(f"--scoring {names[0]} does not fit: {_first_sentence(error)}") from error
        if not np.isfinite(value):
            raise DataError(f"--scoring {names[0]} is not defined on the {rows}; is a class missing there?")
    return scorers


def _first_sentence(error: object) -> str:
    return " ".join(str(error).split()).partition(". ")[0]


def _knows(name: str) -> Callable[["Known"], bool]:
    return lambda known: name in known._outputs


class Known(BaseEstimator):
    """Outputs of a fitted estimator on known rows, asked for by their numbers: resampling predicts once.

    Parameters
    ----------
    estimator : fitted estimator
        Whose outputs.
    X : ndarray of shape (n, ...)
        Rows.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        self.estimator = estimator
        self.X = X
        names = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(estimator, name)]
        self._outputs: dict[str, np.ndarray] = {name: getattr(estimator, name)(X) for name in names}
        if is_classifier(estimator):
            self.classes_ = estimator.classes_

    @available_if(_knows("predict"))
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the predictions of rows with these numbers."""
        return self._outputs["predict"][rows]

    @available_if(_knows("predict_proba"))
    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """Return the probabilities of rows with these numbers."""
        return self._outputs["predict_proba"][rows]

    @available_if(_knows("decision_function"))
    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """Return the decisions on rows with these numbers."""
        return self._outputs["decision_function"][rows]

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.estimator)


def compare(task: Task, plain: Any, cured: Any, scorers: Mapping[str, Any], seed: int) -> dict[str, Comparison]:
    """Score two fitted searches on the held-out rows, with paired 95% bootstrap percentile intervals.

    Classes are resampled apart and keep their numbers, as the split keeps them; with groups, whole groups are drawn.
    """
    known = [Known(search, task.X_test) for search in (plain, cured)]
    draws = _resamples(task, np.random.default_rng(seed))
    scores = np.full((len(scorers), 2, len(draws)), np.nan)
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # scores that are not defined on a resample are left out
        for i, scorer in enumerate(scorers.values()):
            for k, rows in enumerate(draws):
                for j, one in enumerate(known):
                    scores[i, j, k] = _score(scorer, one, rows, task.y_test[rows])
        return {
            name: Comparison(*(_estimate(one) for one in (wrong, right, right - wrong)))
            for name, (wrong, right) in zip(scorers, scores, strict=True)
        }


def _score(scorer: Any, known: Known, rows: np.ndarray, y: np.ndarray) -> float:
    try:
        return float(scorer(known, rows, y))
    except ValueError:  # a class is missing in a resample of groups
        return np.nan


def _estimate(scores: np.ndarray) -> Estimate:
    low, high = np.nanquantile(scores[1:], [0.025, 0.975])
    return Estimate(float(scores[0]), float(low), float(high))


def _resamples(task: Task, rng: np.random.Generator) -> list[np.ndarray]:
    """Return all test rows, and then resamples of them."""
    every = np.arange(len(task.y_test))
    if task.groups_test is not None:
        members = [np.flatnonzero(task.groups_test == group) for group in np.unique(task.groups_test)]
        draws = (rng.integers(len(members), size=len(members)) for _ in range(N_RESAMPLES))
        return [every, *(np.concatenate([members[i] for i in draw]) for draw in draws)]
    strata = (
        [every] if task.kind == "regression" else [np.flatnonzero(task.y_test == c) for c in np.unique(task.y_test)]
    )
    return [every, *(np.concatenate([rng.choice(rows, len(rows)) for rows in strata]) for _ in range(N_RESAMPLES))]


# Searching --------------------------------------------------------------------------------------------------------


class Record:
    """Scores of a search as they come, so that an interrupted one can be reported.

    Parameters
    ----------
    grid : list of dict
        Grid of the search.
    scorers : dict of str to callable
        The first is the one to choose by.

    Attributes
    ----------
    n_folds : int
        Scores that a candidate has in the end.
    candidates : list of dict
        All candidates of the grid.
    scores : list of list of float
        For each candidate its scores so far, one per fold.
    """

    n_folds = N_FOLDS

    def __init__(self, grid: Grid, scorers: Mapping[str, Any]) -> None:
        self.grid = grid
        self.candidates = list(ParameterGrid(grid))
        self.scorers = scorers
        self.scores: list[list[float]] = [[] for _ in self.candidates]
        self.tick: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    @property
    def n_fits(self) -> int:
        """Fits of the search, the final one on all rows included."""
        return self.n_folds * len(self.candidates) + 1

    def __call__(self, estimator: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """Score a fitted candidate, as the ``scoring`` of a search."""
        found = {name: float(scorer(estimator, X, y)) for name, scorer in self.scorers.items()}
        params = estimator.get_params()
        with self._lock:
            self.scores[self._place(params)].append(next(iter(found.values())))
        self.tick()
        return found

    def _place(self, params: Mapping[str, Any]) -> int:
        """Return the candidate that these parameters are of: that with the most settings, all of which they hold."""

        def n_settings(i: int) -> int:
            candidate = self.candidates[i]
            return len(candidate) if all(repr(params.get(k)) == repr(v) for k, v in candidate.items()) else -1

        return max(range(len(self.candidates)), key=n_settings)


def make_search(task: Task, record: Record, epochs: int, seed: int) -> GridSearchCV:
    """Return the unfitted search over the grid of a record, which is checked.

    Raises
    ------
    DataError
        If a name or value in the grid is wrong.
    """
    pipe = make_pipeline(task, epochs, seed)
    search = GridSearchCV(pipe, record.grid, scoring=record, refit=next(iter(record.scorers)), cv=_folds(task, seed))
    try:
        return check_grid(search)
    except ValueError as error:
        raise DataError(*(f"--grid: {line.removeprefix('- ')}" for line in str(error).splitlines()[1:])) from error


def _folds(task: Task, seed: int) -> Any:
    if task.kind == "regression":
        grouped, plain = GroupKFold, KFold
    else:
        grouped, plain = StratifiedGroupKFold, StratifiedKFold
    return (plain if task.groups_train is None else grouped)(N_FOLDS, shuffle=True, random_state=seed)


def failures(messages: Iterable[str]) -> list[str]:
    """Return the last lines of the tracebacks that scikit-learn quotes when fits fail, each once."""
    found = [line for text in messages for line in re.findall(r"^\w*(?:Error|Exception): .*$", text, re.M)]
    return list(dict.fromkeys(found))

"""What the held-out rows say about the winners of two searches."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from skcnn._command.console import DataError
from skcnn._command.demo import Comparison, Estimate
from skcnn._command.tasks import Task
from skcnn._sklearn.checks import nearest

__all__ = ["compare", "scorers_of"]

N_RESAMPLES = 400  # of the bootstrap: each calls every scorer twice


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

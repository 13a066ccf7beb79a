"""What folds and held-out samples say about the winners of two searches."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from skcnn._command.console import DataError
from skcnn._command.tasks import Task
from skcnn._sklearn.checks import nearest
from skcnn._statistics import Estimate, resampled_difference

__all__ = ["Comparison", "Effect", "compare", "effects", "equal_alarms", "scorers_of"]

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
    dummy.fit(np.zeros((len(task.y_train), 1)), task.y_train)
    for samples, y in [("samples to learn from", task.y_train), ("test samples", task.y_test)]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                value = scorers[names[0]](dummy, np.zeros((len(y), 1)), y)
            except (ValueError, AttributeError, TypeError) as error:
                first_sentence = " ".join(str(error).split()).partition(". ")[0]
                raise DataError(f"--scoring {names[0]} does not fit: {first_sentence}") from error
        if not np.isfinite(value):
            raise DataError(f"--scoring {names[0]} is not defined on the {samples}; is a class missing there?")
    return scorers


# Held-out samples -------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A score of both searches on the held-out samples, and cured minus plain on the same samples."""

    plain: Estimate
    cured: Estimate
    difference: Estimate


def _knows(name: str) -> Callable[["Known"], bool]:
    return lambda known: name in known._outputs


class Known(BaseEstimator):
    """Outputs of a fitted estimator on known samples, asked for by their numbers: resampling predicts once.

    Parameters
    ----------
    estimator : fitted estimator
        Whose outputs.
    X : ndarray of shape (n, ...)
        Samples.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        self.estimator = estimator
        self.X = X
        names = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(estimator, name)]
        self._outputs: dict[str, np.ndarray] = {name: getattr(estimator, name)(X) for name in names}
        if is_classifier(estimator):
            self.classes_ = estimator.classes_

    @available_if(_knows("predict"))
    def predict(self, indices: np.ndarray) -> np.ndarray:
        """Return the predictions of samples with these numbers."""
        return self._outputs["predict"][indices]

    @available_if(_knows("predict_proba"))
    def predict_proba(self, indices: np.ndarray) -> np.ndarray:
        """Return the probabilities of samples with these numbers."""
        return self._outputs["predict_proba"][indices]

    @available_if(_knows("decision_function"))
    def decision_function(self, indices: np.ndarray) -> np.ndarray:
        """Return the decisions on samples with these numbers."""
        return self._outputs["decision_function"][indices]

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.estimator)


def compare(
    task: Task, plain: Any, cured: Any, scorers: Mapping[str, Any], seed: int, n_resamples: int = N_RESAMPLES
) -> dict[str, Comparison]:
    """Score two fitted searches on the held-out samples, with paired 95% bootstrap percentile intervals.

    Classes are resampled apart and keep their numbers, as the split keeps them; with groups, whole groups are drawn.
    """
    known = [Known(search, task.X_test) for search in (plain, cured)]
    draws = _resamples(task, np.random.default_rng(seed), n_resamples)
    scores = np.full((len(scorers), 2, len(draws)), np.nan)
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # scores that are not defined on a resample are left out
        for k, indices in enumerate(draws):
            y = task.y_test[indices]
            for i, scorer in enumerate(scorers.values()):
                scores[i, :, k] = [_score(scorer, one, indices, y) for one in known]
        return {
            name: Comparison(*map(Estimate.of_resamples, (a, b, b - a)))
            for name, (a, b) in zip(scorers, scores, strict=True)
        }


def equal_alarms(task: Task, cured: Any) -> dict[str, Any]:
    """Return the recall at a threshold that raises as many alarms as the cured search does, for two classes."""
    if task.kind != "binary":
        return {}
    n_alarms = int(np.sum(cured.predict(task.X_test)))

    def recall(estimator: Any, X: Any, y: np.ndarray) -> float:
        return float(y[np.argsort(-estimator.decision_function(X))[:n_alarms]].sum() / y.sum())

    return {"recall_at_equal_alarms": recall}


def _score(scorer: Any, known: Known, indices: np.ndarray, y: np.ndarray) -> float:
    try:
        return float(scorer(known, indices, y))
    except ValueError:  # a class is missing in a resample of groups
        return np.nan


def _resamples(task: Task, rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Return all test samples, and then resamples of them."""
    every = np.arange(len(task.y_test))
    if task.groups_test is not None:
        members = [np.flatnonzero(task.groups_test == group) for group in np.unique(task.groups_test)]
        draws = (rng.integers(len(members), size=len(members)) for _ in range(n))
        return [every, *(np.concatenate([members[i] for i in draw]) for draw in draws)]
    classes: Any = [] if task.kind == "regression" else np.unique(task.y_test)
    strata = [np.flatnonzero(task.y_test == label) for label in classes] or [every]
    return [every, *(np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata]) for _ in range(n))]


# Folds ------------------------------------------------------------------------------------------------------------


class Effect(NamedTuple):
    """What a setting of the grid adds to a cross-validated score, compared with another, all else alike."""

    setting: str
    instead_of: str
    difference: Estimate


def effects(search: Any, settings: Sequence[Mapping[str, str]], score: str) -> list[Effect]:
    """Compare each setting of a grid with the first of its kind, averaged over all other settings.

    Parameters
    ----------
    search : fitted GridSearchCV
        Whose folds.
    settings : list of dict of str to str
        For each candidate its settings by kind.
    score : str
        Which of the scores of the search.

    Returns
    -------
    list of Effect
        Of settings that can be exchanged, all else alike; with t intervals that allow for the overlap of the folds.
    """
    n_folds = search.n_splits_
    scores = np.column_stack([search.cv_results_[f"split{fold}_test_{score}"] for fold in range(n_folds)])
    found = []
    for kind in dict.fromkeys(kind for one in settings for kind in one):
        first, *others = dict.fromkeys(one[kind] for one in settings if kind in one)
        for level in others:
            pairs = [
                (i, settings.index({**one, kind: first}))
                for i, one in enumerate(settings)
                if one.get(kind) == level and {**one, kind: first} in settings
            ]
            if not pairs:
                continue
            by_fold = np.mean([scores[i] - scores[j] for i, j in pairs], axis=0)
            if np.isfinite(by_fold).all():
                found.append(Effect(f"{kind} {level}", first, resampled_difference(by_fold, 1 / (n_folds - 1))))
    return found

"""What folds and held-out samples say about the winners of two searches."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer, get_scorer_names

from skcnn._command.console import DataError, one_line
from skcnn._command.tasks import Task
from skcnn._sklearn.checks import nearest
from skcnn._statistics import Estimate, resampled_difference

__all__ = ["Comparison", "Effect", "compare", "effects", "equal_alarms", "scorers_of"]

N_RESAMPLES = 1000  # of the bootstrap


def scorers_of(scoring: str | None, task: Task) -> dict[str, Any]:
    """Return the scorer to choose by, first, and others worth knowing; the first is tried on a constant prediction.

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
    chosen = scoring or usual[0]
    if chosen not in get_scorer_names():
        close = nearest(chosen, get_scorer_names())
        raise DataError(
            f"--scoring {chosen}: scikit-learn has no such score{close} Such as {', '.join(usual)} fit these targets."
        )
    scorers = {name: get_scorer(name) for name in dict.fromkeys([chosen, *usual])}
    dummy = DummyRegressor() if task.kind == "regression" else DummyClassifier()
    dummy.fit(task.y_train, task.y_train)
    for samples, y in [("training", task.y_train), ("held-out", task.y_test)]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                value = scorers[chosen](dummy, y, y)
            except (ValueError, AttributeError, TypeError) as error:
                first_sentence = one_line(error).partition(". ")[0]
                raise DataError(f"--scoring {chosen} does not fit: {first_sentence}") from error
        if not np.isfinite(value):
            raise DataError(f"--scoring {chosen} is not defined on the {samples} samples; is a class missing there?")
    return scorers


# Held-out samples -------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A score of both searches on the held-out samples, and cured minus plain on the same samples."""

    plain: Estimate
    cured: Estimate
    difference: Estimate


class Known:
    """Outputs of a fitted estimator for known samples, asked for by their numbers: resampling predicts once.

    Parameters
    ----------
    estimator : fitted estimator
        Whose outputs.
    X : ndarray of shape (n, ...)
        Samples.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        self.__sklearn_tags__ = estimator.__sklearn_tags__
        for name in ("predict", "predict_proba", "decision_function"):
            if hasattr(estimator, name):
                setattr(self, name, _by_number(name, getattr(estimator, name)(X)))
        if is_classifier(estimator):
            self.classes_ = estimator.classes_


def _by_number(name: str, outputs: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def of_samples(indices: np.ndarray) -> np.ndarray:
        return outputs[indices]

    of_samples.__name__ = name  # scorers ask for it
    return of_samples


def _average_precision(known: Any, X: Any, y: np.ndarray) -> Any:
    """Return the mean, over the samples to find, of the precision at the threshold that just finds each."""
    decisions = known.decision_function(X)
    all_sorted, found = np.sort(decisions), np.sort(decisions[y == 1])
    n_found = len(found) - np.searchsorted(found, found)
    return np.mean(n_found / (len(y) - np.searchsorted(all_sorted, found)))


Score = Callable[[Any, Any, np.ndarray], Any]

# What scikit-learn's scorers return, without the checks of each call, which take many times longer.
QUICK: dict[str, Score] = {
    "balanced_accuracy": lambda known, X, y: np.mean([np.mean(known.predict(X)[y == k] == k) for k in np.unique(y)]),
    "accuracy": lambda known, X, y: np.mean(known.predict(X) == y),
}
QUICK_BINARY: dict[str, Score] = {
    "average_precision": _average_precision,
    "recall": lambda known, X, y: np.mean(known.predict(X)[y == 1]),
}


def compare(
    task: Task, plain: Any, cured: Any, scorers: Mapping[str, Any], seed: int, n_resamples: int = N_RESAMPLES
) -> dict[str, Comparison]:
    """Score two fitted searches on the held-out samples, with paired 95% bootstrap percentile intervals.

    Classes are resampled apart and keep their numbers, as the split keeps them; with groups, whole groups are drawn.
    """
    known = [Known(search, task.X_test) for search in (plain, cured)]
    quick = {**scorers, **QUICK, **(QUICK_BINARY if task.kind == "binary" else {})}
    scores: dict[str, list[list[float]]] = {name: [] for name in scorers}
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # scores that are not defined on a resample are left out
        for indices in _resamples(task, np.random.default_rng(seed), n_resamples):
            y = task.y_test[indices]
            for name in scorers:
                scores[name].append([_score(quick[name], one, indices, y) for one in known])
        pairs = {name: np.transpose(found) for name, found in scores.items()}
        return {name: Comparison(*map(Estimate.of_resamples, (a, b, b - a))) for name, (a, b) in pairs.items()}


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


def _resamples(task: Task, rng: np.random.Generator, n: int) -> Iterator[np.ndarray]:
    """Yield all held-out samples, and then resamples of them."""
    yield np.arange(len(task.y_test))
    if task.groups_test is not None:
        members = [np.flatnonzero(task.groups_test == group) for group in np.unique(task.groups_test)]
        for _ in range(n):
            yield np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
    else:
        labels = np.zeros(len(task.y_test)) if task.kind == "regression" else task.y_test
        strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        for _ in range(n):
            yield np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata])


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
            by_fold = np.mean([scores[i] - scores[j] for i, j in pairs], axis=0) if pairs else np.full(n_folds, np.nan)
            if np.isfinite(by_fold).all():  # a fit that failed has no score
                found.append(Effect(f"{kind} {level}", first, resampled_difference(by_fold, 1 / (n_folds - 1))))
    return found

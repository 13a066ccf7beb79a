"""The problem of the project on real data: a rare class, learned the way that goes wrong and the right way.

The data are scikit-learn's digits as 8x8 images, one digit against the rest. That digit is made rare, and most rows are
held out, so that there are few rare rows to learn from and many to judge by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline
from scipy.special import stdtrit
from sklearn.metrics import accuracy_score, average_precision_score, recall_score
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler

from skcnn.datasets import load_rare_digit
from skcnn.estimators import CNNClassifier
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler

__all__ = [
    "Comparison",
    "Effect",
    "Estimate",
    "Problem",
    "compare",
    "effects",
    "fit_counts",
    "rare_digit",
    "right_way",
    "settings",
    "verdict",
    "weighted_scores",
    "wrong_way",
]

# Both ways train the same network for as long, so that only the cures differ. After this many epochs the training loss
# of an unregularised network is gone. The learning rate ends at 0, because at a constant one the last steps of
# a fit on few rows leave the threshold to chance.
TRAINING: dict[str, Any] = {"epochs": 60, "schedule": "cosine"}
SIZES = {"network__filters": [(4, 8), (8, 16), (16, 32)]}
REGULARISATION = {"cnn__l2": [0.0, 0.1], "cnn__dropout": [0.0, 0.5]}


@dataclass(frozen=True)
class Problem:
    """A binary problem with its test set, which no search sees.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n, 8, 8, 1)
        Images in grey values from 0 to 16.
    y_train, y_test : ndarray of shape (n,)
        1 for the rare digit, else 0.
    """

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


def rare_digit(digit: int = 8, share: float = 0.05, train_share: float = 0.15, random_state: int = 0) -> Problem:
    """Thin one of the ten digits until it is rare, and hold a stratified test set out.

    Parameters
    ----------
    digit : int, default=8
        The digit to find. Eights are among the hardest: they resemble ones, threes and nines.
    share : float, default=0.05
        Share of this digit in the rows that are kept, in training and test set alike.
    train_share : float, default=0.15
        Share of the rows to learn from. With many more, digits are so easy that nothing goes wrong.
    random_state : int, default=0
        Seed of thinning and split.

    Returns
    -------
    Problem
    """
    images, y = load_rare_digit(digit, share=share, random_state=random_state, return_X_y=True)
    return Problem(*train_test_split(images, y, train_size=train_share, stratify=y, random_state=random_state))


# Two ways to search -----------------------------------------------------------------------------------------------


def wrong_way(problem: Problem, tick: Callable[[], None] = lambda: None, random_state: int = 0) -> GridSearchCV:
    """Search as one is tempted to: raw pixels, no weights, no regularisation, the size by accuracy.

    Parameters
    ----------
    problem : Problem
        What to learn.
    tick : callable, default=does nothing
        Called after each fit, on the thread that fitted.
    random_state : int, default=0
        Seed of folds and networks.

    Returns
    -------
    GridSearchCV
        Fitted on the training rows.
    """
    cnn = CNNClassifier(Plain(), random_state=random_state, **TRAINING)
    return _search(cnn, SIZES, "accuracy", problem, tick, random_state)


def right_way(
    problem: Problem, filters: Sequence[int], tick: Callable[[], None] = lambda: None, random_state: int = 0
) -> GridSearchCV:
    """Search over ways to balance and to regularise, inside a pipeline, by average precision.

    Parameters
    ----------
    problem : Problem
        What to learn.
    filters : sequence of int
        Size of the network: that of the wrong way, so that size is not what differs.
    tick : callable, default=does nothing
        Called after each fit, on the thread that fitted.
    random_state : int, default=0
        Seed of folds, samplers and networks.

    Returns
    -------
    GridSearchCV
        Fitted on the training rows.
    """
    # One mean and scale for all pixels: per pixel, those at the rim, hardly ever set, would be blown up.
    scale = NDTransformer(StandardScaler(), per="channel")
    cnn = CNNClassifier(Plain(filters), random_state=random_state, **TRAINING)
    pipe = Pipeline([("scale", scale), ("balance", "passthrough"), ("cnn", cnn)])
    return _search(pipe, _cures(random_state), "average_precision", problem, tick, random_state)


def _cures(random_state: int) -> list[dict[str, list[Any]]]:
    """Return the grid of the right way, in which every candidate is balanced exactly once.

    Weights after a sampler would favour the rare class twice (or, "balanced" on the resampled rows, do nothing). Not to
    balance is no candidate: average precision is blind to the threshold, which is what balancing moves.
    """
    samplers = RandomOverSampler(random_state=random_state), SMOTE(k_neighbors=3, random_state=random_state)
    return [
        {"balance": ["passthrough"], "cnn__class_weight": ["balanced"], **REGULARISATION},
        {"balance": [NDSampler(sampler) for sampler in samplers], "cnn__class_weight": [None], **REGULARISATION},
    ]


def _folds(random_state: int) -> StratifiedKFold:
    return StratifiedKFold(3, shuffle=True, random_state=random_state)


def fit_counts() -> tuple[int, int]:
    """Return how many fits the wrong and the right way take, each with the final one on all training rows."""
    n_folds = _folds(0).get_n_splits()
    wrong, right = len(ParameterGrid(SIZES)), len(ParameterGrid(_cures(0)))
    return wrong * n_folds + 1, right * n_folds + 1


def _search(
    estimator: Any, grid: Any, refit: str, problem: Problem, tick: Callable[[], None], random_state: int
) -> GridSearchCV:
    def scores(fitted: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
        decision = fitted.decision_function(X)
        tick()
        return {
            "accuracy": accuracy_score(y, decision > 0),
            "recall": recall_score(y, decision > 0),
            "average_precision": average_precision_score(y, decision),
        }

    search = GridSearchCV(estimator, grid, scoring=scores, refit=refit, cv=_folds(random_state), error_score="raise")
    search.fit(problem.X_train, problem.y_train)
    tick()  # the final fit, which is not scored
    return search


# What the grid says -----------------------------------------------------------------------------------------------


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


class Effect(NamedTuple):
    """What a setting of the grid adds to a cross-validated score, compared with another, all else alike."""

    setting: str
    instead_of: str
    difference: Estimate


def settings(params: Mapping[str, Any]) -> dict[str, str]:
    """Name what a candidate of the right way does, by kind of cure.

    Parameters
    ----------
    params : dict
        One of ``cv_results_["params"]``.

    Returns
    -------
    dict of str to str
    """
    sampler = params["balance"]
    return {
        "balance": "class weights" if sampler == "passthrough" else type(sampler.sampler).__name__,
        "l2": f"{params['cnn__l2']:g}",
        "dropout": f"{params['cnn__dropout']:g}",
    }


def effects(search: GridSearchCV, score: str = "average_precision") -> list[Effect]:
    """Compare each setting of the right way's grid with the first of its kind, averaged over all other settings.

    Parameters
    ----------
    search : GridSearchCV
        What `right_way` returned.
    score : str, default="average_precision"
        Which of its scores.

    Returns
    -------
    list of Effect
        With t intervals over the folds. Their variance allows for the overlap of the training rows: it is that between
        folds times ``1 / n_folds + n_test / n_train`` (Nadeau and Bengio 2003, Inference for the generalization
        error, section 3).
    """
    n_folds = search.n_splits_
    scores = np.column_stack([search.cv_results_[f"split{fold}_test_{score}"] for fold in range(n_folds)])
    candidates = [settings(params) for params in search.cv_results_["params"]]
    found = []
    for kind in candidates[0]:
        levels = np.array([candidate[kind] for candidate in candidates])
        first, *others = dict.fromkeys(levels.tolist())
        for level in others:
            by_fold = scores[levels == level].mean(axis=0) - scores[levels == first].mean(axis=0)
            mean, variance = by_fold.mean(), by_fold.var(ddof=1) * (1 / n_folds + 1 / (n_folds - 1))
            half = stdtrit(n_folds - 1, 0.975) * np.sqrt(variance)
            name = level if kind == "balance" else f"{kind} {level}"
            found.append(Effect(name, first, Estimate(float(mean), float(mean - half), float(mean + half))))
    return found


# What the test set says -------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A score of both ways on the test set, and right minus wrong on the same rows."""

    wrong: Estimate
    right: Estimate
    difference: Estimate


def compare(
    y: np.ndarray, wrong: np.ndarray, right: np.ndarray, n_resamples: int = 2000, random_state: int = 0
) -> dict[str, Comparison]:
    """Score two classifiers on the same test rows, with 95% bootstrap percentile intervals.

    The bootstrap is stratified, as the split is: rare rows and others are resampled apart and keep their numbers.
    Both classifiers, and so their difference, are scored on the same resamples.

    Parameters
    ----------
    y : ndarray of shape (n,)
        1 for the rare class, else 0.
    wrong, right : ndarray of shape (n,)
        Decision values; above 0 is an alarm.
    n_resamples : int, default=2000
        Bootstrap samples.
    random_state : int, default=0
        Their seed.

    Returns
    -------
    dict of str to Comparison
        By the names of `weighted_scores`, where "equal alarms" are as many as `right` raises.
    """
    rng = np.random.default_rng(random_state)
    weights = np.ones((1 + n_resamples, len(y)))  # the first row is the test set itself
    for label in (0, 1):
        rows = np.flatnonzero(y == label)
        weights[1:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=n_resamples)
    n_alarms = int(np.sum(right > 0))
    a, b = (weighted_scores(y, decision, weights, n_alarms) for decision in (wrong, right))
    return {name: Comparison(*map(_estimate, (a[name], b[name], b[name] - a[name]))) for name in a}


def _estimate(scores: np.ndarray) -> Estimate:
    low, high = np.quantile(scores[1:], [0.025, 0.975])
    return Estimate(float(scores[0]), float(low), float(high))


def weighted_scores(y: np.ndarray, decision: np.ndarray, weights: np.ndarray, n_alarms: int) -> dict[str, np.ndarray]:
    """Score one classifier under many weightings of the same rows at once.

    Parameters
    ----------
    y : ndarray of shape (n,)
        1 for the rare class, else 0.
    decision : ndarray of shape (n,)
        Decision values; above 0 is an alarm.
    weights : ndarray of shape (n_weightings, n)
        How often each row counts.
    n_alarms : int
        Number of alarms for "recall at equal alarms".

    Returns
    -------
    dict of str to ndarray of shape (n_weightings,)
        "recall", "balanced accuracy", "average precision" and "accuracy" as in scikit-learn, and "recall at equal
        alarms": the recall if the threshold were such that `n_alarms` rows, those ranked highest, raise an alarm.
    """
    rare, right = y == 1, (decision > 0) == y
    recall = weights[:, rare & right].sum(axis=1) / weights[:, rare].sum(axis=1)
    specificity = weights[:, ~rare & right].sum(axis=1) / weights[:, ~rare].sum(axis=1)

    order = np.argsort(-decision, kind="stable")
    starts = np.flatnonzero(np.diff(decision[order], prepend=np.inf))  # rows of one decision value rank together
    alarms = np.add.reduceat(weights[:, order], starts, axis=1)
    hits = np.add.reduceat(weights[:, order] * rare[order], starts, axis=1) / weights[:, rare].sum(axis=1)[:, None]
    n_before = np.cumsum(alarms, axis=1) - alarms
    n_rare = weights[:, rare].sum(axis=1)[:, None]
    precision = np.cumsum(hits, axis=1) * n_rare / np.maximum(n_before + alarms, 1)
    raised = np.clip((n_alarms - n_before) / np.maximum(alarms, 1), 0, 1)
    return {
        "recall": recall,
        "balanced accuracy": (recall + specificity) / 2,
        "average precision": (hits * precision).sum(axis=1),
        "recall at equal alarms": (hits * raised).sum(axis=1),
        "accuracy": weights[:, right].sum(axis=1) / weights.sum(axis=1),
    }


# What made the difference -----------------------------------------------------------------------------------------

# By the sign of the difference in average precision.
RANKING = {
    1: "the right way ranks the images better",
    0: "that one of them ranks the images better is not shown",
    -1: "the right way ranks the images worse",
}


def verdict(comparisons: Mapping[str, Comparison], found: Sequence[Effect], n_rare: int, n_test: int) -> str:
    """Say in a paragraph what the test set and the grid show, and no more than they show.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        What `compare` returned.
    found : sequence of Effect
        What `effects` returned.
    n_rare, n_test : int
        Rare rows in the test set, and all.

    Returns
    -------
    str
    """
    recall, ranking, accuracy = (comparisons[name] for name in ("recall", "average precision", "accuracy"))
    more = {1: "more", 0: "neither more nor fewer, as far as can be shown,", -1: "fewer"}[recall.difference.sign]
    largest = max(found, key=lambda effect: abs(effect.difference.value))
    luck = "" if largest.difference.sign else ", which may be the luck of the folds"
    return (
        f"The right way finds {more} of the {n_rare} rare images: recall {recall.right.value:.2f} against "
        f"{recall.wrong.value:.2f}, a difference of {_interval(recall.difference)}. Average precision, which ignores "
        f"the threshold, differs by {_interval(ranking.difference)}: {RANKING[ranking.difference.sign]}. "
        f"{_cause(recall.difference, comparisons['recall at equal alarms'].difference)} Of the settings in the grid, "
        f"{largest.setting} instead of {largest.instead_of} changed the cross-validated average precision most, by "
        f"{_interval(largest.difference)}{luck}. Accuracy, by which the wrong way was chosen, is "
        f"{accuracy.right.value:.3f} against {accuracy.wrong.value:.3f}; calling no image rare would have "
        f"{1 - n_rare / n_test:.3f}."
    )


def _cause(recall: Estimate, equal_alarms: Estimate) -> str:
    """Divide a difference in recall into what the threshold and what the ranking of the images does."""
    text = f"At thresholds with equally many alarms the difference in recall is {_interval(equal_alarms)}"
    if not recall.sign:
        return f"{text}."
    kind = "gain" if recall.sign > 0 else "loss"
    by_ranking, by_threshold = equal_alarms.value, recall.value - equal_alarms.value
    if by_threshold * recall.sign >= by_ranking * recall.sign:
        return f"{text}: most of the {kind}, {by_threshold:+.2f}, is the threshold, which balancing moves."
    return f"{text}: most of the {kind} is the ranking, not the threshold."


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"

"""What several checks measure with simple models: without some training samples, without columns, by other folds."""

from typing import Any

import numpy as np

from skcnn._statistics import EFFECT_LEVEL, STRICT, Estimate, bootstrap, grouped_mean, weighted_mean
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = [
    *("COMPARABLE", "by_folds", "like_the_estimator", "r2_gain", "random_rows", "rest_of", "simple_quality"),
    "without_rows",
]

COMPARABLE = 0.1  # of the test samples must be left, to compare with


def rest_of(seen: Observations, concerned: np.ndarray) -> Observations | None:
    """Return the observations without the test samples concerned, if enough others are left."""
    return seen.changed(keep=~concerned) if (~concerned).mean() >= COMPARABLE else None


def simple_quality(
    seen: Observations, rows: Any = slice(None), columns: Any = slice(None), model: Any = None
) -> np.ndarray:
    """Return how good the predictions of the simple model are for the test samples `test.chosen`.

    Parameters
    ----------
    seen : Observations
        Training and test samples.
    rows, columns : slice, ndarray of bool or ndarray of int
        Training samples, of `train.chosen`, and features to fit on.
    model : estimator, default=None
        Unfitted; by default the best simple model.
    """
    predicted = seen.reference.predicted_for(seen.test.flat, rows, columns, model)
    return seen.quality(seen.test.targets[seen.test.chosen], predicted)


def without_rows(seen: Observations, keep: np.ndarray, against: Any = slice(None), model: Any = None) -> Estimate:
    """Return the test score of the simple model fitted on the training samples to keep, minus that on others.

    Parameters
    ----------
    seen : Observations
        Training and test samples.
    keep : ndarray of bool
        Of the training samples `train.chosen`.
    against : slice, ndarray of bool or ndarray of int
        What the other model is fitted on; by default all.
    model : estimator, default=None
        Unfitted; by default the best simple model.
    """
    y = seen.reference.y[keep]
    if len(y) < 30 or (seen.has_classes and len(np.unique(y)) < 2):
        raise NotApplicable(f"{len(y)} training samples are left, too few to compare with")
    gain = simple_quality(seen, keep, model=model) - simple_quality(seen, against, model=model)
    return weighted_mean(gain, seen.test.weight[seen.test.chosen], EFFECT_LEVEL)


def random_rows(seen: Observations, like: np.ndarray, salt: int, first: np.ndarray | None = None) -> np.ndarray:
    """Return as many training samples of each class as `like` has, drawn from all, those of `first` first."""
    rng = seen.rng(salt)
    strata = seen.reference.y if seen.has_classes else np.zeros(len(like), dtype=int)
    drawn = np.zeros(len(like), dtype=bool)
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        if first is not None:
            rows = rows[np.argsort(~first[rows], kind="stable")]
        drawn[rows[: int(like[rows].sum())]] = True
    return drawn


def like_the_estimator(seen: Observations) -> Any:
    """Return the simple model, unfitted, whose predictions for test samples are most like those of the estimator.

    A model that knows its training samples by heart gains by a leak, a linear one hardly does.
    """
    reference, ours = seen.reference, seen.test.predicted[seen.test.chosen]

    def apart(model: Any) -> float:
        theirs = reference.predicted_for(seen.test.flat, model=model)
        return float(((theirs != ours) if seen.kind != "regression" else (theirs - ours) ** 2).mean())

    return min(reference.models.values(), key=apart)


def by_folds(seen: Observations, groups: np.ndarray) -> Estimate:
    """Return the out-of-fold score of a simple model with folds that keep groups together, minus that by chance.

    Both kinds of folds hold equally many samples of each class.

    Parameters
    ----------
    seen : Observations
        Training samples.
    groups : ndarray of int
        Group of each of the training samples `train.chosen`.
    """
    reference, rng = seen.reference, seen.rng(19)
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < 2 * reference.FOLDS:
        raise NotApplicable(f"{len(names)} groups are too few to compare folds")
    together = (rng.permutation(len(names)) % reference.FOLDS)[place]
    apart = together.copy()
    strata = reference.y if seen.has_classes else np.zeros(len(groups), dtype=int)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        apart[rows] = rng.permutation(together[rows])
    model = like_the_estimator(seen)
    quality = [reference.quality(reference.out_of_fold(model, folds=folds)) for folds in (together, apart)]
    return grouped_mean(quality[0] - quality[1], seen.weights(reference.y), place, EFFECT_LEVEL)


def r2_gain(seen: Observations, mended: Observations, kept: np.ndarray | None = None) -> Estimate:
    """Return R² of mended test samples minus that of the present ones, with a bootstrap interval.

    R² is a ratio of sums: with heavy tails its bootstrap is steadier than the mean of what each sample adds to it.

    Parameters
    ----------
    seen, mended : Observations
        With the same test samples.
    kept : ndarray of bool, default=None
        Test samples that count among the mended ones; by default all.
    """
    center = np.median(seen.train.targets, axis=0)
    tiny = np.finfo(np.float64).tiny

    def r2(side: Any, rows: np.ndarray) -> float:
        errors, spread = (np.square(side.targets[rows] - of).sum() for of in (side.predicted[rows], center))
        return float(1 - errors / max(spread, tiny))

    left = np.arange(len(seen.test.y)) if kept is None else np.flatnonzero(kept)
    others = np.setdiff1d(np.arange(len(seen.test.y)), left)  # they are known: none of the samples drawn by chance

    def change(drawn: np.ndarray) -> float:
        rows = left[drawn]
        return r2(mended.test, rows) - r2(seen.test, np.r_[rows, others])

    return bootstrap(change, len(left), seen.rng(31)).at(EFFECT_LEVEL, given=STRICT)

"""Estimates with their intervals, as displays, the diagnosis and the command line use them.

One diagnosis looks at some fifty intervals. Each has the level 99.9%, so that all of them hold together in 95% of the
diagnoses (Bonferroni): a check that fires when the whole interval lies beyond its threshold needs no correction of its
own. Intervals that are shown rather than tested have the usual 95%.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata

__all__ = [
    "ALPHA",
    "STRICT",
    "Estimate",
    "auc",
    "balanced_accuracy",
    "bootstrap",
    "difference",
    "grouped_mean",
    "mean_difference",
    "paired_difference",
    "proportion",
    "resampled_difference",
    "weighted_mean",
    "wilson_interval",
]

ALPHA = 0.05 / 50
STRICT = 1 - ALPHA


class Estimate(NamedTuple):
    """A number with its interval and, where it is known, the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int | None = None

    def __str__(self) -> str:
        text = f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"
        return text if self.n is None else f"{text}, n = {self.n}"

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    @classmethod
    def around(cls, value: Any, half: Any, n: int | None = None) -> "Estimate":
        """Return the estimate whose interval reaches equally far to both sides."""
        return cls(float(value), float(value - half), float(value + half), n)

    @classmethod
    def of_resamples(cls, scores: np.ndarray) -> "Estimate":
        """Return the first score with the 95% percentile interval of the others, its resamples; NaN are left out."""
        low, high = np.nanquantile(scores[1:], [0.025, 0.975])
        return cls(float(scores[0]), float(low), float(high))


def wilson_interval(successes: Any, n: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the score interval of a binomial share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    It stays within [0, 1] and keeps its level for small n and shares near 0 or 1, where the normal interval collapses.

    Parameters
    ----------
    successes, n : array-like of int
        Successes, and trials. The interval of no trial is NaN.
    level : float, default=0.95
        Share of intervals that cover the true share.

    Returns
    -------
    lower, upper : ndarray
        Bounds.

    Examples
    --------
    >>> from skcnn._statistics import wilson_interval
    >>> lower, upper = wilson_interval(9, 10)
    >>> print(round(float(lower), 3), round(float(upper), 3))
    0.596 0.982
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; expected a share between 0 and 1, such as 0.95.")
    successes, n = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    n = np.where(n > 0, n, np.nan)
    share, z = successes / n, _z(level)
    center = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    lower, upper = (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    # At the ends rounding alone would part the bound from the share.
    return np.where(successes == 0, 0 * n, lower), np.where(successes == n, 1 + 0 * n, upper)


def proportion(hits: np.ndarray, level: float = STRICT) -> Estimate:
    """Return the share of True with Wilson's interval; of nothing, NaN within [0, 1]."""
    k, n = int(np.sum(hits)), len(hits)
    if not n:
        return Estimate(np.nan, 0.0, 1.0, 0)
    low, high = wilson_interval(k, n, level)
    return Estimate(k / n, float(low), float(high), n)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b for independent proportions (Newcombe 1998, method 10).

    See https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I; the recipe holds for any
    two independent estimates with intervals of one level (Zou and Donner 2008, https://doi.org/10.1002/sim.3095).
    """
    value = a.value - b.value
    low = value - np.hypot(a.value - a.low, b.high - b.value)
    high = value + np.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, float(low), float(high), None if a.n is None or b.n is None else min(a.n, b.n))


def paired_difference(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Return the difference of two proportions on the same samples (Agresti and Min 2005).

    Wald's interval after half a sample is added to each of the four cells, https://doi.org/10.1002/sim.1781.
    """
    n = len(a)
    only_a, only_b = int(np.sum(a & ~b)) + 0.5, int(np.sum(b & ~a)) + 0.5
    middle = (only_a - only_b) / (n + 2)
    half = _z(STRICT) * np.sqrt(only_a + only_b - (only_a - only_b) ** 2 / (n + 2)) / (n + 2)
    return Estimate(float(a.mean() - b.mean()), float(middle - half), float(middle + half), n)


def weighted_mean(values: np.ndarray, weight: np.ndarray, level: float = STRICT) -> Estimate:
    """Return the weighted mean of independent values with a t interval.

    Its variance is ``sum((w * (x - mean))**2)``, as for a linear statistic, for weights that add up to 1. Half a value
    is added one unit above and one unit below the mean, as Agresti and Min (2005, https://doi.org/10.1002/sim.1781) do
    for binary values, so that values that are all equal keep an interval.

    Parameters
    ----------
    values, weight : ndarray of shape (n,)
        Values, whose unit is that of a score, and their weights.
    level : float
        Share of intervals that cover the true mean.
    """
    weight = weight / weight.sum()
    mean = float(weight @ values)
    effective = 1 / float(np.square(weight).sum())
    variance = float(np.square(weight * (values - mean)).sum()) * effective / max(effective - 1, 1e-9)
    half = stdtrit(max(effective - 1, 1), (1 + level) / 2) * np.sqrt(variance + 1 / (effective + 2) ** 2)
    return Estimate.around(mean, half, len(values))


def grouped_mean(values: np.ndarray, weight: np.ndarray, groups: np.ndarray | None, level: float = STRICT) -> Estimate:
    """Return the weighted mean with a t interval over groups, whose values depend on each other; None: no groups."""
    if groups is None:
        return weighted_mean(values, weight, level)
    _, place = np.unique(groups, return_inverse=True)
    total = np.bincount(place, weight)
    used = total > 0
    means = np.bincount(place, weight * values)[used] / total[used]
    return weighted_mean(means, total[used], level)


def mean_difference(a: np.ndarray, b: np.ndarray, level: float = STRICT) -> Estimate:
    """Return the mean of `a` minus that of `b`, which are independent, with a t interval (Welch)."""
    ours, theirs = (weighted_mean(values, np.ones(len(values)), level) for values in (a, b))
    return difference(ours, theirs)


def balanced_accuracy(codes: np.ndarray, predicted: np.ndarray) -> Estimate:
    """Return the mean recall over the classes that occur, its interval from those of the recalls."""
    value, low, high = np.transpose([proportion(predicted[codes == k] == k)[:3] for k in np.unique(codes)])
    below, above = (np.sqrt(np.square(side).sum()) / len(value) for side in (value - low, high - value))
    return Estimate(float(value.mean()), float(value.mean() - below), float(value.mean() + above), len(codes))


def auc(positive: np.ndarray, score: np.ndarray) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval (https://doi.org/10.2307/2531595)."""
    positive = np.asarray(positive, dtype=bool)
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    of_positive = (ranks[positive] - rankdata(score[positive])) / n
    of_negative = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    value = float(of_positive.mean())
    # The variance of a separable sample is 0; half a pair on the wrong side keeps an interval.
    floor = 0.25 / (m * n)
    variance = of_positive.var(ddof=1) / m + of_negative.var(ddof=1) / n if min(m, n) > 1 else 0.25
    half = _z(STRICT) * np.sqrt(max(variance, floor))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), m + n)


def bootstrap(
    statistic: Callable[[np.ndarray], float], n: int, rng: np.random.Generator, n_resamples: int = 200
) -> Estimate:
    """Return ``statistic(indices)`` with a normal 99.9% interval from its bootstrap standard error."""
    value = statistic(np.arange(n))
    spread = np.std([statistic(rng.integers(0, n, n)) for _ in range(n_resamples)], ddof=1)
    return Estimate.around(value, _z(STRICT) * spread, n)


def resampled_difference(differences: np.ndarray, ratio: float, level: float = 0.95) -> Estimate:
    """Return the mean difference over folds with an interval that allows for overlapping training parts.

    The corrected resampled t interval (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366).

    Parameters
    ----------
    differences : ndarray of shape (n_folds,)
        Difference of two candidates in each fold.
    ratio : float
        Samples of a test part per sample of a training part: ``1 / (n_folds - 1)`` in a cross-validation.
    level : float, default=0.95
        Share of intervals that cover the true difference.
    """
    n = len(differences)
    half = stdtrit(n - 1, (1 + level) / 2) * np.sqrt((1 / n + ratio) * differences.var(ddof=1))
    return Estimate.around(differences.mean(), half, n)


def _z(level: float) -> float:
    return float(ndtri((1 + level) / 2))

"""Estimates with their intervals, as all checks use them.

One run looks at some fifty intervals. Each has level 0.1%, so that all of them hold together in 95% of the runs
(Bonferroni): a check that fires when the whole interval lies beyond its threshold needs no correction of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import binomtest, rankdata

__all__ = [
    "LEVEL",
    "Estimate",
    "auc",
    "balanced_accuracy",
    "bootstrap",
    "difference",
    "paired_difference",
    "proportion",
    "resampled_difference",
]

LEVEL = 0.05 / 50
Z = float(-ndtri(LEVEL / 2))


class Estimate(NamedTuple):
    """A number with its interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}], n = {self.n}"


def proportion(k: int, n: int) -> Estimate:
    """Return a proportion with Wilson's interval (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    if not n:
        return Estimate(np.nan, 0.0, 1.0, 0)
    interval = binomtest(int(k), int(n)).proportion_ci(1 - LEVEL, method="wilson")
    return Estimate(k / n, float(interval.low), float(interval.high), int(n))


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b for independent proportions (Newcombe 1998, method 10).

    See https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I; the recipe holds for any
    two independent estimates with intervals (Zou and Donner 2008, https://doi.org/10.1002/sim.3095).
    """
    value = a.value - b.value
    low = value - np.hypot(a.value - a.low, b.high - b.value)
    high = value + np.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, float(low), float(high), min(a.n, b.n))


def paired_difference(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Return the difference of two proportions on the same rows (Agresti and Min 2005).

    Wald's interval after half a row is added to each of the four cells, https://doi.org/10.1002/sim.1781.
    """
    n = len(a)
    only_a, only_b = int(np.sum(a & ~b)) + 0.5, int(np.sum(b & ~a)) + 0.5
    middle = (only_a - only_b) / (n + 2)
    half = Z * np.sqrt(only_a + only_b - (only_a - only_b) ** 2 / (n + 2)) / (n + 2)
    return Estimate(float(a.mean() - b.mean()), float(middle - half), float(middle + half), n)


def balanced_accuracy(codes: np.ndarray, predicted: np.ndarray) -> Estimate:
    """Return the mean recall over the classes that occur, its interval from those of the recalls."""
    recalls = [proportion(int(np.sum(predicted[codes == k] == k)), int(np.sum(codes == k))) for k in np.unique(codes)]
    below = np.sqrt(sum((recall.value - recall.low) ** 2 for recall in recalls)) / len(recalls)
    above = np.sqrt(sum((recall.high - recall.value) ** 2 for recall in recalls)) / len(recalls)
    value = float(np.mean([recall.value for recall in recalls]))
    return Estimate(value, float(value - below), float(value + above), len(codes))


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
    half = Z * np.sqrt(max(variance, floor))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), m + n)


def bootstrap(
    statistic: Callable[[np.ndarray], float], n: int, rng: np.random.Generator, n_resamples: int = 200
) -> Estimate:
    """Return ``statistic(rows)`` with a normal interval from its bootstrap standard error."""
    value = statistic(np.arange(n))
    spread = np.std([statistic(rng.integers(0, n, n)) for _ in range(n_resamples)], ddof=1)
    return Estimate(float(value), float(value - Z * spread), float(value + Z * spread), n)


def resampled_difference(differences: np.ndarray, ratio: float) -> Estimate:
    """Return the mean difference over folds with a 95% interval for overlapping training rows.

    The corrected resampled t interval (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366).

    Parameters
    ----------
    differences : ndarray of shape (n_folds,)
        Difference of two candidates in each fold.
    ratio : float
        Rows of a test part per row of a training part.
    """
    from scipy.stats import t

    n = len(differences)
    half = t.ppf(0.975, n - 1) * np.sqrt((1 / n + ratio) * differences.var(ddof=1))
    return Estimate(float(differences.mean()), float(differences.mean() - half), float(differences.mean() + half), n)

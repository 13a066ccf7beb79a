"""Estimates and their intervals agree with independent computations."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_1samp
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from skcnn._statistics import (
    Estimate,
    auc,
    balanced_accuracy,
    difference,
    proportion,
    resampled_difference,
    wilson_interval,
)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (1, 1), (3, 10), (999, 1000)])
def test_wilson_interval_is_scipys(successes, n, level):
    expected = binomtest(successes, n).proportion_ci(level, method="wilson")
    assert np.allclose(wilson_interval(successes, n, level), (expected.low, expected.high), atol=1e-12)


def test_wilson_interval_of_nothing_is_unknown():
    assert np.isnan(wilson_interval([0], [0])).all()
    with pytest.raises(ValueError, match="level=95; expected a share between 0 and 1"):
        wilson_interval(1, 2, level=95)


def test_proportion_of_nothing_may_be_all():
    found = proportion(np.zeros(0, dtype=bool))
    assert np.isnan(found.value)
    assert found[1:] == (0, 1, 0)


def test_auc_has_the_interval_of_a_bootstrap(rng):
    y, score = rng.integers(0, 2, 200), rng.normal(size=200).round(1)
    found = auc(y == 1, score)
    assert found.value == pytest.approx(roc_auc_score(y, score))
    draws = [roc_auc_score(y[rows], score[rows]) for rows in rng.integers(0, 200, (500, 200))]
    assert (found.high - found.low) / 2 / 3.29 == pytest.approx(np.std(draws), rel=0.12)


def test_difference_by_hand():
    # Newcombe (1998), table II, example (a): 56/70 - 48/80 is 0.2 [0.0524, 0.3339] at 95%.
    a, b = (proportion(np.arange(n) < k, level=0.95) for k, n in ((56, 70), (48, 80)))
    assert difference(a, b)[:3] == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_balanced_accuracy_is_sklearns(rng):
    y, predicted = rng.integers(0, 2, (2, 200))
    assert balanced_accuracy(y, predicted).value == pytest.approx(balanced_accuracy_score(y, predicted))


def test_balanced_accuracy_of_few_that_are_all_right_is_that_of_the_few():
    """Of the recall of 13 alone Wilson's lower limit is 0.55; with 243 others it counts half."""
    codes = np.repeat([0, 1], [243, 13])
    found = balanced_accuracy(codes, codes)
    alone = (1 + wilson_interval(13, 13, 0.999)[0]) / 2
    assert found.high == pytest.approx(1)
    assert alone - 0.1 < found.low < alone


def test_interval_over_folds_is_wider_than_of_independent_folds():
    gains = np.array([0.2, 0.3, 0.4, 0.3])
    independent = ttest_1samp(gains, 0).confidence_interval()
    # 4 folds: Nadeau and Bengio's variance is (1/4 + 1/3) / (1/4) times that of independent folds.
    wider = np.sqrt(7 / 3)
    found = resampled_difference(gains, ratio=1 / 3)
    assert found[:3] == pytest.approx(
        (0.3, 0.3 - (0.3 - independent.low) * wider, 0.3 + (independent.high - 0.3) * wider)
    )


def test_estimate_of_resamples_has_their_percentiles():
    found = Estimate.of_resamples(np.r_[0.5, np.arange(1, 102), np.nan])
    assert found == (0.5, 3.5, 98.5, None)
    assert (found.sign, str(found)) == (1, "0.5 [3.5, 98.5]")


def test_an_interval_at_another_level_is_that_of_a_normal():
    low, high = norm.interval(0.95, 0.3, 0.1)
    strict = Estimate(0.3, low, high, 7).at(0.999, given=0.95)
    assert strict[1:3] == pytest.approx(norm.interval(0.999, 0.3, 0.1))
    assert (strict.value, strict.n) == (0.3, 7)

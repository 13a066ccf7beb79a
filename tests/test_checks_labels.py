"""Checks of split, leaks and labels: a cause on a planted fault with the effect that it has, nothing on clean data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine, make_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skcnn import CNNClassifier
from skcnn._statistics import Estimate, grouped_mean, weighted_mean
from skcnn.diagnosis import CHECKS, diagnose
from skcnn.diagnosis._check import Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._drift import change_point
from skcnn.diagnosis.checks._labels import confident_errors
from skcnn.diagnosis.checks._leaks import lone_scores
from skcnn.diagnosis.checks._overlaps import overlapping_windows
from skcnn.diagnosis.checks._targets import beyond_any_tail
from skcnn.diagnosis.checks._test_labels import misfit
from skcnn.networks import Plain

CHECK_OF = {check.code: check for check in CHECKS}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def split(X, y, seed=0):
    classes = y.ndim == 1 and y.dtype.kind in "iu"
    return train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y if classes else None)


def problem(seed=0, n=600, **settings):
    options = {"n_features": 10, "n_informative": 6, "n_redundant": 0, "class_sep": 2.0, "n_clusters_per_class": 1}
    return split(*make_classification(n, flip_y=0, random_state=seed, **{**options, **settings}))


@pytest.fixture(scope="module")
def data():
    return problem()


@pytest.fixture(scope="module")
def four():
    """Four classes."""
    return problem(n_classes=4)


@pytest.fixture(scope="module")
def hard():
    """Two classes that only close neighbours tell apart."""
    return problem(class_sep=0.3, n_clusters_per_class=3)


@pytest.fixture(scope="module")
def numbers():
    """A regression."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6))
    return split(X, X[:, 0] * 2 + X[:, 1] + 0.5 * rng.normal(size=500))


@pytest.fixture(scope="module")
def several():
    """Four labels per sample."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 8))
    return split(X, (X @ rng.normal(size=(8, 4)) + 0.5 * rng.normal(size=(600, 4)) > 0.3).astype(int))


def look(code, model, X, y, X_test=None, y_test=None, *, fast=True, refits=0, **settings):
    return CHECK_OF[code]().look(Observations(model, X, y, X_test, y_test, fast=fast, refits=refits, **settings))


def cause(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, Finding), answer
    assert answer.is_cause, (answer.what, answer.effect, answer.measured)
    assert answer.measured
    return answer


def note(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, Finding), answer
    assert not answer.is_cause, answer.effect
    return answer


def silent(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, str), answer.what


def nearest():
    return KNeighborsClassifier(1)


# Copies -----------------------------------------------------------------------------------------------------------


def questionnaire(seed=0, n=600):
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=n)
    answers = np.clip(np.round(3 + 0.7 * trait[:, None] + 0.6 * rng.normal(size=(n, 5))), 1, 5)
    return split(answers, (trait + rng.normal(size=n) > 0).astype(int))


def test_duplicates(hard):
    X, X_test, y, y_test = hard
    mixed, labels = np.vstack([X_test, X[:90]]), np.r_[y_test, y[:90]]
    model = nearest().fit(X, y)
    found = cause("duplicates", model, X, y, mixed, labels)
    assert found.effect.value == pytest.approx(model.score(X_test, y_test) - model.score(mixed, labels), abs=0.05)
    assert len(found.mended.test.y) == 180
    silent("duplicates", model, X, y, X_test, y_test)
    silent("near_duplicates", model, X, y, mixed, labels)
    note("duplicates", LogisticRegression().fit(X, y), X, y, mixed, labels)


def test_duplicates_of_every_sample(hard):
    X, _, y, _ = hard
    model = nearest().fit(X, y)
    assert cause("duplicates", model, X, y, X[:200], y[:200]).mended is None


def test_equal_answers_are_no_duplicates():
    X, X_test, y, y_test = questionnaire()
    model = RandomForestClassifier(30, random_state=0).fit(X, y)
    silent("duplicates", model, X, y, X_test, y_test)
    silent("conflicting_labels", model, X, y, X_test, y_test)


def test_near_duplicates(hard, rng):
    X, X_test, y, y_test = hard
    model = nearest().fit(X, y)
    copies = X[:60] + rng.normal(scale=0.01, size=(60, 10))
    found = cause("near_duplicates", model, X, y, np.vstack([X_test, copies]), np.r_[y_test, y[:60]])
    assert len(found.mended.test.y) == 180
    silent("near_duplicates", model, X, y, X_test, y_test)


def test_copies_made_before_the_split_are_near_duplicates(rng):
    """A tenth of the samples has a noisy copy, on either side of the split: the training part is as full of them."""
    X, y = make_classification(1000, 10, n_informative=6, n_redundant=0, class_sep=0.3, flip_y=0, random_state=0)
    X, y = np.vstack([X, X[:250] + rng.normal(scale=0.01, size=(250, 10))]), np.r_[y, y[:250]]
    X, X_test, y, y_test = split(X, y)
    cause("near_duplicates", nearest().fit(X, y), X, y, X_test, y_test)


def test_unmarked_groups_by_gaps_between_neighbours(rng):
    X, y = make_classification(120, 12, n_informative=6, class_sep=0.4, flip_y=0, random_state=0)
    X, y = np.repeat(X, 4, axis=0) + 0.1 * rng.normal(size=(480, 12)), np.repeat(y, 4)
    X, X_test, y, y_test = split(X, y)
    assert cause("unmarked_groups", nearest().fit(X, y), X, y, X_test, y_test).effect.value < -0.1


@pytest.mark.parametrize("load", [load_digits, load_iris, load_wine])
def test_no_unmarked_groups_in_ordinary_data(load):
    X, X_test, y, y_test = split(*load(return_X_y=True))
    silent("unmarked_groups", nearest().fit(X, y), X, y, X_test, y_test)


def test_overlapping_windows(rng):
    recording = np.cumsum(rng.normal(size=500))
    windows = np.stack([recording[start : start + 64] for start in range(0, 400, 16)])[:, :, None]
    scaled = (windows - windows.mean(axis=1, keepdims=True)) / windows.std(axis=1, keepdims=True)
    for X in (windows, scaled):
        pairs = {tuple(sorted(pair)) for pair in overlapping_windows(X).tolist()}
        assert {(i, i + 1) for i in range(24)} <= pairs
        assert max(b - a for a, b in pairs) <= 3
    assert not len(overlapping_windows(rng.normal(size=(200, 64, 1))))
    assert not len(overlapping_windows(np.tile(np.eye(2), (30, 32))[:, :, None]))  # few values, alike by nature
    assert not len(overlapping_windows(np.sin(np.pi / 8 * (np.arange(64) + rng.integers(0, 16, (60, 1))))[:, :, None]))


# Groups and times -------------------------------------------------------------------------------------------------


def test_groups(rng):
    group = np.repeat(np.arange(60), 10)
    y = rng.integers(0, 2, 60)[group]
    X = rng.normal(size=(60, 10))[group] + 0.5 * rng.normal(size=(600, 10)) + 0.3 * y[:, None]
    rows, others = train_test_split(np.arange(600), test_size=0.3, random_state=0)
    model = RandomForestClassifier(30, random_state=0).fit(X[rows], y[rows])
    data = X[rows], y[rows], X[others], y[others]
    found = cause("groups", model, *data, groups_train=group[rows], groups_test=group[others])
    assert found.effect.value < -0.1
    silent("groups", model, *data, groups_train=group[rows], groups_test=100 + group[others])
    with pytest.raises(NotApplicable, match="no groups"):
        look("groups", model, *data)


def test_times(rng):
    time = np.arange(600)
    y = time // 40 % 2
    X = np.c_[time, rng.normal(size=(600, 3))]
    rows, others = train_test_split(time, test_size=0.3, random_state=0)
    model = RandomForestClassifier(30, random_state=0).fit(X[rows], y[rows])
    data = X[rows], y[rows], X[others], y[others]
    cause("times", model, *data, times_train=rows, times_test=others)
    silent("times", model, *data, times_train=rows, times_test=600 + others)


def test_small_test_is_a_note(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    note("small_test", model, X, y, X_test[:12], y_test[:12])
    silent("small_test", model, X, y, X_test, y_test)


@pytest.mark.parametrize(("half", "fits"), [(0.08, True), (0.06, False)])
def test_labels_fit_unless_the_simple_model_is_worse_at_the_strict_level(rng, half, fits):
    X = rng.normal(size=(80, 2))
    seen = Observations(Ridge().fit(X, X[:, 0]), X, X[:, 0], X, X[:, 0])
    seen.both.__dict__["misfit"] = Estimate.around(0.09, half)  # at 99%, significant in both cases
    assert (misfit(seen) is None) == fits


# Leaks ------------------------------------------------------------------------------------------------------------


def test_leak_column(rng):
    X, X_test, y, y_test = problem(class_sep=0.7)
    leaky, leaky_test = (np.c_[a, b + 0.05 * rng.normal(size=len(b))] for a, b in ((X, y), (X_test, y_test)))
    model = RandomForestClassifier(50, random_state=0).fit(leaky, y)
    found = cause("leak_column", model, leaky, y, leaky_test, y_test)
    assert np.flatnonzero(found.facts["columns"]).tolist() == [10]
    assert found.sign == -1
    assert found.effect.value < -0.1
    leaky_test[:, -1] = rng.permutation(leaky_test[:, -1])
    found = cause("leak_column", model, leaky, y, leaky_test, y_test)
    assert found.sign == 1
    silent("leak_column", model.fit(X, y), X, y, X_test, y_test)
    noise, targets = np.random.default_rng(0).normal(size=(100, 4)), np.random.default_rng(1).normal(size=100)
    silent("leak_column", Ridge().fit(noise, targets), noise, targets, noise, targets)  # none is better than guessing


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_a_best_feature_among_good_ones_is_no_leak(load):
    X, X_test, y, y_test = split(*load(return_X_y=True))
    silent("leak_column", RandomForestClassifier(30, random_state=0).fit(X, y), X, y, X_test, y_test)


@pytest.mark.parametrize("seed", range(3))
def test_a_feature_that_the_target_depends_on_is_no_leak(seed):
    """Given the target, it goes with the others that the target depends on; what is made of the target does not."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(600, 6))
    y = 3 * X[:, 0] + X[:, 1] + 0.1 * rng.normal(size=600)
    X, X_test, y, y_test = split(X, y)
    silent("leak_column", Ridge().fit(X, y), X, y, X_test, y_test)
    made, made_test = (np.c_[one[:, 1:], 3 * t + rng.normal(size=len(t))] for one, t in ((X, y), (X_test, y_test)))
    cause("leak_column", Ridge().fit(made, y), made, y, made_test, y_test)


def test_lone_scores_by_hand():
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5, dtype=float)
    assert lone_scores(X, X[:, 0].astype(int), X, X[:, 0].astype(int)).tolist() == [1, 0]
    assert lone_scores(X, X[:, 1], X, X[:, 1]).tolist() == [0, 1]


def test_selection_before_split_is_a_question(rng):
    X, y = rng.normal(size=(120, 20000)), np.arange(120) % 2
    apart = np.abs(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0))
    X, X_test, y, y_test = split(X[:, np.argsort(apart)[-40:]], y)
    note("selection_before_split", LogisticRegression().fit(X, y), X, y, X_test, y_test)


# Training labels --------------------------------------------------------------------------------------------------


def test_no_signal(data, rng):
    X, X_test, y, y_test = data
    shuffled = rng.permutation(y)
    found = cause("no_signal", LogisticRegression().fit(X, shuffled), X, shuffled, X_test, y_test)
    assert found.effect.value > 0.2
    silent("no_signal", LogisticRegression().fit(X, y), X, y, X_test, y_test)
    noise, noise_test = rng.normal(size=(1000, 3)), rng.normal(size=(200, 3))
    labels, labels_test = rng.integers(0, 2, 1000), rng.integers(0, 2, 200)
    note("no_signal", LogisticRegression().fit(noise, labels), noise, labels, noise_test, labels_test)


def test_no_signal_of_a_regression_and_of_labels(numbers, several, rng):
    for X, X_test, y, y_test in (numbers, several):
        shuffled = rng.permutation(y)
        model = RandomForestRegressor(20, random_state=0) if y.ndim == 1 else RandomForestClassifier(20, random_state=0)
        cause("no_signal", model.fit(X, shuffled), X, shuffled, X_test, y_test)
        silent("no_signal", model.fit(X, y), X, y, X_test, y_test)


def test_suspicious_labels(data, rng):
    X, X_test, y, y_test = data
    wrong = rng.choice(len(y), 105, replace=False)
    noisy = y.copy()
    noisy[wrong] = 1 - noisy[wrong]
    found = cause("suspicious_labels", nearest().fit(X, noisy), X, noisy, X_test, y_test, refits=1)
    assert np.isin(found.facts["rows"], wrong).mean() > 0.9
    gain = nearest().fit(X, y).score(X_test, y_test) - nearest().fit(X, noisy).score(X_test, y_test)
    assert 0.1 < found.effect.value <= gain  # not every wrong label is found
    note("suspicious_labels", LogisticRegression().fit(X, noisy), X, noisy)
    silent("suspicious_labels", LogisticRegression().fit(X, y), X, y, X_test, y_test)


@pytest.mark.parametrize("side", ["train", "test"])
def test_one_class_labelled_as_another(side, rng):
    """Found by what samples of the other side look like; not where a class is only rarer than there."""
    X, X_test, y, y_test = problem(n=1500, n_classes=5, n_informative=8)
    labels = {"train": y.copy(), "test": y_test.copy()}
    of_class = np.flatnonzero(labels[side] == 0)
    wrong = of_class[rng.random(len(of_class)) < (0.7 if side == "train" else 0.25)]
    labels[side][wrong] = 1
    code = "suspicious_labels" if side == "train" else "concept_drift"
    model = KNeighborsClassifier().fit(X, labels["train"])
    found = cause(code, model, X, labels["train"], X_test, labels["test"])
    assert "look like 0" in found.what
    assert np.isin(found.facts["rows"], wrong).mean() > 0.9
    sound = KNeighborsClassifier().fit(X, y).score(X_test, y_test)
    lost = sound - model.score(X_test, labels["test"])
    assert found.effect.value == pytest.approx(lost, abs=0.03)
    rare = (y != 0) | (rng.random(len(y)) < 0.3)
    silent(code, KNeighborsClassifier().fit(X[rare], y[rare]), X[rare], y[rare], X_test, y_test)


def test_suspicious_targets_of_a_regression(rng):
    X = rng.normal(size=(1200, 4))
    X, X_test, y, y_test = split(X, X[:, 0] + X[:, 1] + 0.1 * rng.normal(size=1200))
    noisy = np.where(np.arange(len(y)) % 3 == 0, rng.permutation(y), y)
    model = RandomForestRegressor(30, random_state=0)
    cause("suspicious_labels", model.fit(X, noisy), X, noisy, X_test, y_test, refits=1)
    silent("suspicious_labels", model.fit(X, y), X, y, X_test, y_test, refits=1)


@pytest.mark.parametrize("seed", range(3))
def test_overlapping_classes_are_no_wrong_labels(seed):
    rng = np.random.default_rng(seed)
    y = np.arange(500) % 2
    X, X_test, y, y_test = split(rng.normal(size=(500, 5)) + 0.5 * y[:, None], y)
    silent("suspicious_labels", nearest().fit(X, y), X, y, X_test, y_test, refits=1)


def test_confident_errors_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]])
    # Class 0 usually has (0.9 + 0.8 + 0.05) / 3 = 0.58, class 1 (0.9 + 0.7) / 2 = 0.8.
    assert confident_errors(np.array([0, 0, 1, 1, 0]), probabilities).tolist() == [False] * 4 + [True]


def test_conflicting_labels(data):
    X, X_test, y, y_test = data
    twice, labels = np.vstack([X, X[:140]]), np.r_[y, 1 - y[:140]]
    model = RandomForestClassifier(20, random_state=0, bootstrap=False).fit(twice, labels)
    found = look("conflicting_labels", model, twice, labels, X_test, y_test, refits=1)
    assert "280 of 740" in found.what
    assert found.effect is not None
    gain = cause("conflicting_labels", nearest().fit(twice, labels), twice, labels, X_test, y_test, refits=1).effect
    assert gain.value > 0.01
    assert found.mended is not None
    same = np.r_[y, y[:140]]
    silent("conflicting_labels", model.fit(twice, same), twice, same, X_test, y_test)


# Targets ----------------------------------------------------------------------------------------------------------


def test_missing_classes(four):
    X, X_test, y, y_test = four
    known = y < 3
    model = LogisticRegression().fit(X[known], y[known])
    found = cause("missing_classes", model, X[known], y[known], X_test, y_test)
    assert "label 3" in found.what
    kept = y_test < 3
    gain = model.score(X_test[kept], y_test[kept]) - model.score(X_test, y_test)
    assert found.effect.value == pytest.approx(gain)
    silent("missing_classes", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_one_hot_target(rng):
    X, X_test, y, y_test = split(*load_digits(return_X_y=True))
    hot, hot_test = np.eye(10, dtype=int)[y], np.eye(10, dtype=int)[y_test]
    model = RandomForestClassifier(20, max_depth=6, random_state=0).fit(X, hot)
    found = cause("one_hot_target", model, X, hot, X_test, hot_test)
    now = (model.predict(X_test) == hot_test).all(axis=1).mean()
    assert found.effect.value == pytest.approx((found.mended.test.predicted == hot_test).all(axis=1).mean() - now)
    free = (rng.random((len(X), 10)) < 0.4).astype(int)
    silent("one_hot_target", KNeighborsClassifier().fit(X, free), X, free)


def test_target_outliers(numbers):
    X, X_test, y, y_test = numbers
    spoilt = y.copy()
    spoilt[:3] *= 1e5
    found = cause("target_outliers", Ridge().fit(X, spoilt), X, spoilt, X_test, y_test, refits=1)
    assert "3 training" in found.what
    spoilt = y_test.copy()
    spoilt[:2] *= 1e5
    found = cause("target_outliers", Ridge().fit(X, y), X, y, X_test, spoilt)
    assert found.effect.value == pytest.approx(0.9, abs=0.15)
    silent("target_outliers", Ridge().fit(X, y), X, y, X_test, y_test)


def test_heavy_tails_have_no_outliers(rng):
    for n in (50, 1000, 5000):
        samples = [rng.standard_t(3, n), rng.lognormal(size=n), rng.exponential(size=n), np.zeros(n)]
        assert not any(beyond_any_tail(one).any() for one in samples)
    assert beyond_any_tail(np.r_[rng.normal(size=500), -999.0])[-1]


# Test labels ------------------------------------------------------------------------------------------------------

OF_TEST_LABELS = ("label_encoding", "row_order", "concept_drift", "test_labels")


def test_test_labels_fit_on_clean_data(data, four, several, numbers):
    for X, X_test, y, y_test in (data, four, several, numbers):
        model = RandomForestRegressor(20, random_state=0) if y.dtype.kind == "f" else nearest()
        for code in OF_TEST_LABELS[y.dtype.kind == "f" :]:
            silent(code, model.fit(X, y), X, y, X_test, y_test)
    silent("target_unit", model, X, y, X_test, y_test)


def test_label_encoding(four, data):
    X, X_test, y, y_test = four
    model = LogisticRegression().fit(X, y)
    now = model.score(X_test, y_test)
    for order in ([1, 0, 2, 3], [1, 2, 3, 0], [1, 2, 3, 4]):
        labels = np.array(order)[y_test]
        found = cause("label_encoding", model, X, y, X_test, labels)
        assert found.effect.value == pytest.approx(now - model.score(X_test, labels), abs=0.02)
        assert np.array_equal(found.mended.test.y, y_test)
    X, X_test, y, y_test = data
    cause("label_encoding", LogisticRegression().fit(X, y), X, y, X_test, 1 - y_test)


def test_label_encoding_of_several_columns(several):
    X, X_test, y, y_test = several
    model = RandomForestClassifier(20, random_state=0).fit(X, y)
    found = cause("label_encoding", model, X, y, X_test, y_test[:, [2, 0, 1, 3]])
    assert np.array_equal(found.mended.test.y, y_test)


def test_row_order(four, numbers, several, rng):
    for X, X_test, y, y_test in (four, numbers, several):
        model = RandomForestRegressor(20, random_state=0) if y.dtype.kind == "f" else nearest()
        model.fit(X, y)
        for moved in (np.roll(y_test, 2, axis=0), y_test[::-1]):
            assert np.array_equal(cause("row_order", model, X, y, X_test, moved).mended.test.y, y_test)
        shuffled = rng.permutation(y_test)
        assert "by chance" in cause("row_order", model, X, y, X_test, shuffled).what
        silent("test_labels", model, X, y, X_test, shuffled)


def test_target_unit(numbers):
    X, X_test, y, y_test = numbers
    y, y_test = y + 40, y_test + 40
    model = Ridge().fit(X, y)
    for other in (y_test * 1.8 + 32, y_test / 1000, np.log(y_test), y_test - 10, -y_test):
        found = cause("target_unit", model, X, y, X_test, other)
        assert np.abs(found.mended.test.y - y_test).mean() < 0.3


def test_test_labels(four, rng):
    X, X_test, y, y_test = four
    model = LogisticRegression().fit(X, y)
    noisy = y_test.copy()
    noisy[rng.permutation(len(noisy))[:45]] += 1
    noisy %= 4
    found = cause("test_labels", model, X, y, X_test, noisy)
    assert found.effect.value == pytest.approx(0.25, abs=0.06)
    assert (noisy != y_test)[found.facts["rows"]].mean() > 0.8
    silent("concept_drift", model, X, y, X_test, noisy)


@pytest.mark.parametrize("sign", ["learned again", "in order"])
def test_concept_drift(sign, four):
    X, X_test, y, y_test = four
    model = LogisticRegression().fit(X, y)
    changed = y_test.copy()
    concerned = np.arange(len(changed)) >= 120 if sign == "in order" else y_test == 2
    changed[concerned] = (changed[concerned] + 1) % 4
    found = cause("concept_drift", model, X, y, X_test, changed)
    assert sign in found.facts["signs"]
    with pytest.raises(NotApplicable, match="concept_drift"):
        look("test_labels", model, X, y, X_test, changed)


def test_drift_of_a_regression_in_a_region(numbers, rng):
    X, X_test, y, y_test = numbers
    model = Ridge().fit(X, y)
    region = X_test[:, 2] > np.quantile(X_test[:, 2], 0.85)
    found = cause("concept_drift", model, X, y, X_test, y_test + 1.5 * y.std() * region)
    assert found.effect.value == pytest.approx(1.5**2 * 0.15, abs=0.15)  # of the variance of the targets, at most
    anywhere = rng.permutation(region)  # the same change, of samples by chance
    silent("concept_drift", model, X, y, X_test, y_test + 1.5 * y.std() * anywhere)
    silent("concept_drift", model, X, y, X_test, y_test)


def test_change_point_by_hand(rng):
    place, p = change_point(np.r_[np.zeros(60), np.ones(40)], rng)
    assert (place, p) == (60, 0.001)
    assert change_point(rng.normal(size=100), rng)[1] > 0.01


def test_samples_of_one_group_count_as_one(rng):
    values, weight = rng.normal(size=100), rng.random(100)
    assert grouped_mean(values, weight, np.arange(100)) == pytest.approx(weighted_mean(values, weight))
    twice = grouped_mean(np.r_[values, values], np.r_[weight, weight], np.r_[np.arange(100), np.arange(100)])
    assert twice == pytest.approx(weighted_mean(values, weight))


# Loss -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_model():
    import keras

    def make(units, ending, loss, X, y, epochs=0):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(units, activation=ending)]
        model = keras.Sequential([keras.Input(X.shape[1:]), *layers])
        model.compile("adam", loss)
        if epochs:
            model.fit(X, y, epochs=epochs, verbose=0)
        return model

    return make


def found(*args):
    answer = look("loss_mismatch", *args)
    assert isinstance(answer, Finding), answer
    return answer.what


# Keras itself warns of one of these since version 3.
@pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:keras.*")
def test_loss_mismatch(data, numbers, keras_model):
    import keras

    X, X_test, y, y_test = data
    stuck = cause("loss_mismatch", keras_model(1, "softmax", "binary_crossentropy", X, y), X, y, X_test, y_test)
    assert "softmax over one unit" in stuck.what
    assert stuck.effect.value > 0.3  # what a simple model gets
    twice = keras_model(1, "sigmoid", keras.losses.BinaryCrossentropy(from_logits=True), X, y)
    assert "applies it again" in found(twice, X, y, X_test, y_test)
    logits = keras_model(1, None, "binary_crossentropy", X, y)
    assert "takes them for probabilities" in found(logits, X, y, X_test, y_test)
    hot = np.eye(3)[np.arange(len(y)) % 3]
    assert "question of its own" in found(keras_model(3, "softmax", "binary_crossentropy", X, hot), X, hot)
    silent("loss_mismatch", keras_model(1, "sigmoid", "binary_crossentropy", X, y), X, y, X_test, y_test)
    silent("loss_mismatch", keras_model(2, "softmax", "sparse_categorical_crossentropy", X, y), X, y, X_test, y_test)
    with pytest.raises(NotApplicable, match="not a plain Keras model"):
        look("loss_mismatch", LogisticRegression().fit(X, y), X, y)


def test_loss_mismatch_of_numbers_and_labels(numbers, several, keras_model):
    X, X_test, y, y_test = numbers
    assert "a sigmoid can return" in found(keras_model(1, "sigmoid", "mse", X, y), X, y, X_test, y_test)
    silent("loss_mismatch", keras_model(1, None, "mse", X, y), X, y, X_test, y_test)
    X, X_test, y, y_test = several
    model = keras_model(4, "softmax", "binary_crossentropy", X, y)
    assert "several labels" in found(model, X, y, X_test, y_test)
    silent("loss_mismatch", keras_model(4, "sigmoid", "binary_crossentropy", X, y), X, y, X_test, y_test)


def test_numbers_of_classes_are_no_amounts():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = split(X[:800], y[:800])
    answer = cause("loss_mismatch", RandomForestRegressor(30, random_state=0).fit(X, y), X, y, X_test, y_test)
    assert "number classes" in answer.what
    assert answer.effect.value > 0.3
    # Grades are numbers, too, but in an order.
    grades, grades_test = (np.digitize(digits.sum(axis=1), [250, 280, 310, 340, 370]) for digits in (X, X_test))
    graded = RandomForestRegressor(30, random_state=0).fit(X, grades)
    with pytest.raises(NotApplicable):
        look("loss_mismatch", graded, X, grades, X_test, grades_test)


def test_a_keras_model_is_diagnosed_as_it_predicts(data, keras_model):
    X, X_test, y, y_test = data
    model = keras_model(1, "sigmoid", "binary_crossentropy", X, y, epochs=30)
    diagnosis = diagnose(model, X, y, X_test, y_test, fast=True)
    right = (model.predict(X_test, verbose=0)[:, 0] > 0.5) == y_test
    assert diagnosis.scores["test accuracy"].value == pytest.approx(right.mean())
    assert [outcome.text for outcome in diagnosis.outcomes if outcome.state == "could not run"] == []


def squashing(input_shape, n_outputs):
    import keras

    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(n_outputs)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Rescaling(1.0)(keras.ops.sigmoid(x)))


def test_squashed_twice(digits):
    X, y = digits[0][:400], (digits[1][:400] > 4).astype(int)
    twice = CNNClassifier(squashing, epochs=2, random_state=0).fit(X[:200], y[:200])
    assert cause("squashed_twice", twice, X[:200], y[:200], X[200:], y[200:]).effect.value > 0.05
    silent(
        "squashed_twice", CNNClassifier(Plain((2,)), epochs=2, random_state=0).fit(X[:200], y[:200]), X[:200], y[:200]
    )

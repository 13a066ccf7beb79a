"""The inner validation split: shares by hand and as scikit-learn's, groups, duplicates, and what cannot be split."""

import time
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, StratifiedShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import CNNClassifier, CNNRegressor
from skcnn._fit.splitting import inner_split, last_split
from skcnn._fit.targets import ClassTarget, RegressionTarget
from skcnn.exceptions import InnerSplitWarning
from skcnn.networks import Plain

NETWORK = Plain(filters=(4,), normalization=None)
FIXED = {"network": NETWORK, "epochs": 1, "early_stopping": True, "random_state": 0}
classifier, regressor = partial(CNNClassifier, **FIXED), partial(CNNRegressor, **FIXED)


def split(y, fraction, *, X=None, groups=None, seed=0, target=ClassTarget):
    """The inner split of samples that are all different unless given."""
    X = np.arange(len(y), dtype=float)[:, None] if X is None else X
    meaning = target.of(y)
    labels = meaning.strata(meaning.encode(y), fraction)
    return inner_split(X, labels, fraction, groups, seed)


@pytest.fixture
def validated():
    """A scorer that keeps the first feature of the samples it is given, and what it kept."""
    samples = []

    def score(estimator, X, y):
        samples.append(X.reshape(len(X), -1)[:, 0].astype(int))
        return 0.0

    return score, samples


def numbered(n, n_features=3):
    """Samples that are told apart by their first feature."""
    X = np.random.default_rng(0).normal(size=(n, n_features)).astype("float32")
    X[:, 0] = np.arange(n)
    return X


# Shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "fraction", "expected"),
    [
        ([50, 30, 20], 0.2, [10, 6, 4]),
        ([90, 10], 0.1, [9, 1]),
        ([60, 40], 0.5, [30, 20]),
        # 10 to choose, 5.5 and 3.3 and 1.2 exactly: the largest remainder goes up.
        ([55, 33, 12], 0.1, [6, 3, 1]),
        # A class below one sample in exact shares has one all the same ...
        ([96, 2, 2], 0.1, [8, 1, 1]),
        # ... if there are as many samples to choose as classes; otherwise the largest classes have it.
        ([50, 30, 20], 0.02, [1, 1, 0]),
        ([18, 2], 0.9, [17, 1]),
    ],
)
def test_classes_are_held_in_equal_shares(samples, fraction, expected):
    y = np.random.default_rng(0).permutation(np.repeat(np.array(["a", "b", "c"])[: len(samples)], samples))
    for seed in range(5):
        train, validation = split(y, fraction, seed=seed)
        counts = [int((y[validation] == label).sum()) for label in "abc"[: len(samples)]]
        assert counts == expected
        assert len(train) + len(validation) == len(y)


def test_counts_are_those_of_scikit_learn(rng):
    for _ in range(20):
        y = rng.choice(4, size=rng.integers(60, 200), p=[0.4, 0.3, 0.2, 0.1])
        n_wanted = round(0.2 * len(y))
        _, theirs = next(StratifiedShuffleSplit(1, test_size=n_wanted, random_state=0).split(y, y))
        _, ours = split(y, 0.2)
        assert len(ours) == n_wanted
        difference = np.bincount(y[ours], minlength=4) - np.bincount(y[theirs], minlength=4)
        assert np.abs(difference).max() <= 1  # where remainders are equal, either class may have the sample


def test_labels_are_held_in_shares_as_near_as_can_be(rng):
    y = (rng.random((300, 4)) < [0.5, 0.2, 0.1, 0.04]).astype(int)
    y[:, 3] &= y[:, 2]  # labels that come together
    wanted = 0.2 * y.sum(axis=0)
    deviations = []
    for seed in range(10):
        _, validation = split(y, 0.2, seed=seed)
        assert abs(len(validation) - 60) <= 2
        deviations.append(np.abs(y[validation].sum(axis=0) - wanted).max())
    by_chance = [np.abs(y[rng.permutation(300)[:60]].sum(axis=0) - wanted).max() for _ in range(100)]
    assert max(deviations) <= 2
    assert np.mean(deviations) < np.mean(by_chance) / 3


def test_a_regression_is_held_in_shares_by_quantile(rng):
    y = rng.lognormal(sigma=2, size=200)
    _, validation = split(y, 0.1, target=RegressionTarget)
    tenth = y.argsort().argsort() // 20
    assert np.bincount(tenth[validation], minlength=10).tolist() == [2] * 10
    # Too few samples for ten bins: as many as reach into the validation part.
    _, validation = split(y[:40], 0.1, target=RegressionTarget)
    quarter = y[:40].argsort().argsort() // 10
    assert np.bincount(quarter[validation], minlength=4).tolist() == [1] * 4


def test_several_targets_are_held_by_the_first(rng):
    y = rng.normal(size=(200, 2))
    _, validation = split(y, 0.1, target=RegressionTarget)
    tenth = y[:, 0].argsort().argsort() // 20
    assert np.bincount(tenth[validation], minlength=10).tolist() == [2] * 10


# Seeds ------------------------------------------------------------------------------------------------------------


def test_seeded_and_shuffled(rng):
    y = rng.integers(0, 3, 90)
    splits = [split(y, 0.2, seed=seed)[1] for seed in (0, 0, 1, 2)]
    np.testing.assert_array_equal(splits[0], splits[1])
    assert not np.array_equal(splits[0], splits[2])
    assert not np.array_equal(splits[2], splits[3])
    chosen = np.mean([np.isin(np.arange(90), split(y, 0.2, seed=seed)[1]) for seed in range(300)], axis=0)
    # Every sample is as likely as any other: 0.2, four standard errors of 300 draws are 0.09.
    assert np.abs(chosen - 0.2).max() < 0.11


def test_the_values_of_X_do_not_matter(rng):
    X, y = rng.normal(size=(90, 3)), rng.integers(0, 3, 90)
    groups = rng.integers(0, 30, 90)
    for others in ({}, {"groups": groups}):
        reference = split(y, 0.2, X=X, **others)[1]
        for same_samples in (2 * X, X.astype("float32"), rng.normal(size=(90, 3))):
            np.testing.assert_array_equal(split(y, 0.2, X=same_samples, **others)[1], reference)


def test_bytes_and_floats_are_split_alike(few_digits):
    X, y = few_digits
    pixels = (X * 16).astype("uint8")
    as_bytes, as_floats = (classifier(epochs=2).fit(Z, y) for Z in (pixels, pixels.astype("float32")))
    assert as_bytes.history_ == as_floats.history_


# Groups and duplicates --------------------------------------------------------------------------------------------


def crossing(names, train, validation):
    """What stands on both sides."""
    return set(names[train]) & set(names[validation])


@pytest.mark.parametrize("names", [np.arange(20), np.array([f"patient {i}" for i in range(20)])], ids=["int", "str"])
def test_a_group_stays_on_one_side(names, rng):
    y, groups = rng.integers(0, 2, 100), rng.permutation(np.repeat(names, 5))
    for seed in range(10):
        train, validation = split(y, 0.2, groups=groups, seed=seed)
        assert not crossing(groups, train, validation)
        assert len(validation) in (15, 20, 25)
        assert abs(y[validation].mean() - y.mean()) < 0.15
    assert crossing(groups, *split(y, 0.2))


@pytest.mark.parametrize("sizes", [[90, 10], [50, 40, 10], [40, 40, 12, 8]], ids=str)
def test_few_groups_leave_the_large_ones_to_training(sizes, rng):
    y, groups = rng.integers(0, 2, 100), np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(20):
        _, validation = split(y, 0.1, groups=groups, seed=seed)
        assert len(validation) in (8, 10, 12)


def test_duplicates_stay_on_one_side(rng):
    original = rng.permutation(np.r_[np.arange(60), rng.integers(0, 10, 60)])
    X = rng.normal(size=(60, 2, 2, 1))[original]
    y = (original < 10).astype(int)
    for seed in range(10):
        train, validation = split(y, 0.2, X=X, seed=seed)
        assert not crossing(original, train, validation)
        assert abs(len(validation) - 24) <= 6  # half of the most frequent sample
        assert set(y[train]) == set(y[validation]) == {0, 1}


def test_groups_and_duplicates_chain():
    """Samples 1 and 2 are equal, and so are 3 and 4: groups a, b and c stay together, though no sample is in two."""
    groups = np.array([*"aabbcc", *(f"other {i}" for i in range(12))])
    X = np.arange(18.0)[:, None]
    X[2], X[4] = X[1], X[3]
    y = np.tile([0, 1], 9)
    sides = []
    for seed in range(30):
        train, _ = split(y, 0.4, X=X, groups=groups, seed=seed)
        in_train = np.isin(np.arange(6), train)
        assert in_train.all() or not in_train.any()
        sides.append(in_train[0])
    assert len(set(sides)) == 2, "the chain is on the same side whatever the seed, so that nothing was tested"


def whole_groups(validation, samples, groups):
    """Whether some of these samples are all that there is of their groups."""
    inside = np.isin(groups[samples], groups[validation])
    return set(samples[inside]) == set(validation)


@pytest.mark.parametrize("through", ["GridSearchCV", "cross_validate"])
def test_groups_are_routed_to_folds_and_inner_split(through, validated, rng):
    score, samples = validated
    X, y, groups = numbered(80), rng.integers(0, 2, 80), rng.permutation(np.repeat(np.arange(16), 5))
    folds = list(GroupKFold(2).split(X, y, groups))
    for routed in (True, False):
        samples.clear()
        with config_context(enable_metadata_routing=True):
            cnn = classifier(scoring=score, validation_fraction=0.2).set_fit_request(groups=routed)
            pipe = make_pipeline(FunctionTransformer(), cnn)
            if through == "GridSearchCV":
                search = GridSearchCV(pipe, {"cnnclassifier__l2": [0.01]}, cv=GroupKFold(2), refit=False)
                search.fit(X, y, groups=groups)
            else:
                cross_validate(pipe, X, y, params={"groups": groups}, cv=GroupKFold(2))
        assert len(samples) == 2
        for (train, _), validation in zip(folds, samples, strict=True):
            assert len(validation) == 8 if not routed else len(validation) in (5, 10)
            assert set(validation) < set(train)
            assert whole_groups(validation, train, groups) == routed


def test_duplicates_of_an_upstream_sampler_stay_on_one_side(validated, rng):
    score, samples = validated
    X, y = numbered(120), (np.arange(120) % 8 == 0).astype(int)
    sampler = RandomOverSampler(random_state=0)
    pipe = make_imbalanced_pipeline(sampler, classifier(scoring=score, validation_fraction=0.25))
    cross_validate(pipe, X, y, cv=StratifiedKFold(2))
    assert len(samples) == 2
    for (train, _), validation in zip(StratifiedKFold(2).split(X, y), samples, strict=True):
        resampled = sampler.fit_resample(X[train], y[train])[0][:, 0].astype(int)
        copies = np.bincount(resampled, minlength=120)
        assert copies.max() > 1
        kept = np.bincount(validation, minlength=120)
        assert set(kept[validation] - copies[validation]) == {0}
        assert 0.2 < len(validation) / len(resampled) < 0.3
        assert 0.35 < y[validation].mean() < 0.65


# What is asked of the estimator ----------------------------------------------------------------------------------


def test_the_share_wanted_and_no_sample_without_weight(validated):
    score, samples = validated
    X, y, weight = numbered(100), np.tile([0, 1], 50), np.tile([1.0, 2.0, 3.0, 0.0], 25)
    classifier(scoring=score, validation_fraction=0.2).fit(X, y)
    assert len(samples[-1]) == 20

    def weighted_score(estimator, X, y, sample_weight):
        np.testing.assert_array_equal(sample_weight, weight[X[:, 0].astype(int)])
        return score(estimator, X, y)

    classifier(scoring=weighted_score, validation_fraction=0.2).fit(X, y, sample_weight=weight)
    assert len(samples[-1]) == 15
    assert weight[samples[-1]].all()


def test_a_class_of_one_sample_warns_and_is_trained_on():
    X, y = numbered(40, 4), np.tile(["a", "b"], 20).astype(object)
    X[:, 0] /= 40
    X[7], y[7] = 3.0, "rare"
    model = classifier(epochs=40, n_iter_no_change=100, learning_rate=0.05)
    with pytest.warns(InnerSplitWarning, match="1 of the 3 classes .* samples that must all stay together") as caught:
        model.fit(X, y)
    assert caught[0].filename == __file__  # where the user called fit
    assert model.predict(X[7:8]) == "rare"
    labels = []
    with pytest.warns(InnerSplitWarning):
        classifier(scoring=lambda estimator, X, y: labels.extend(y) or 0.0).fit(X, y)
    assert set(labels) == {"a", "b"}


def test_a_label_of_one_sample_warns_and_is_trained_on(rng):
    y = (rng.random((40, 3)) < 0.4).astype(int)
    y[:, 2] = np.arange(40) == 11
    for seed in range(5):
        with pytest.warns(InnerSplitWarning, match="1 of the 3 classes"):
            train, validation = split(y, 0.2, seed=seed)
        assert 11 in train
        assert len(validation) in (7, 8, 9)


def test_a_class_of_one_group_stays_in_the_training_part():
    """The group that holds all of "rare" is wanted in the validation part for the samples of "b" that it has, too."""
    y = np.array([*["rare"] * 5, "b", "b", *["a"] * 20])
    groups = np.array([*[0] * 6, 1, *range(2, 22)])
    for seed in range(20):
        with pytest.warns(InnerSplitWarning, match="1 of the 3 classes"):
            train, validation = split(y, 0.3, groups=groups, seed=seed)
        assert set(y[train]) == {"a", "b", "rare"}
        assert len(validation)


def test_a_regression_has_no_classes_to_warn_of(rng):
    """A target that is zero but in one sample: a bin with one sample is no class that could be missed."""
    X, y = rng.normal(size=(60, 3)), np.zeros(60)
    y[5] = 7.0
    assert regressor().fit(X, y).n_iter_ == 1
    assert regressor().fit(X, X[:, 0], groups=np.digitize(X[:, 0], [-1, 0, 1])).n_iter_ == 1


@pytest.mark.filterwarnings("ignore::skcnn.exceptions.InnerSplitWarning")
@pytest.mark.parametrize(
    ("X", "y", "groups", "message"),
    [
        (
            np.ones((10, 2)),
            np.tile([0, 1], 5),
            None,
            "10 samples cannot be split for early stopping.* pass X_val and y_val",
        ),
        (np.eye(10), np.tile([0, 1], 5), np.zeros(10), "10 samples cannot be split for early stopping"),
        (np.eye(4), np.arange(4), None, "4 samples cannot be split for early stopping"),
        (np.eye(8), np.repeat([0, 1], 4), np.repeat([0, 1], 4), "8 samples cannot be split for early stopping"),
    ],
    ids=["equal samples", "one group", "one sample per class", "one group per class"],
)
def test_what_cannot_be_split(X, y, groups, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, y, groups=groups)


# Any input --------------------------------------------------------------------------------------------------------


def random_problem(seed):
    """Samples, labels, groups and a fraction of any kind, duplicates among them."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 120))
    X = rng.normal(size=(n, 2))
    if rng.random() < 0.4:
        X = X[rng.integers(0, n, n)]
    groups = rng.integers(0, rng.integers(2, n), n) if rng.random() < 0.4 else None
    kind = rng.choice(["classes", "labels", "values"])
    if kind == "classes":
        y = rng.choice(rng.integers(2, 6), size=n)
        y[:2] = 0, 1
    elif kind == "labels":
        y = (rng.random((n, 4)) < rng.random(4)).astype(int)
    else:
        y = rng.normal(size=n) ** 3
        y[rng.random(n) < 0.3] = 0.0
    return X, y, groups, float(rng.choice([0.05, 0.1, 0.2, 0.3, 0.5])), kind


@pytest.mark.filterwarnings("ignore::skcnn.exceptions.InnerSplitWarning")
@pytest.mark.parametrize("block", range(4))
def test_whatever_comes_in(block):
    n_refused = 0
    for seed in range(100 * block, 100 * block + 100):
        X, y, groups, fraction, kind = random_problem(seed)
        target = RegressionTarget if kind == "values" else ClassTarget
        try:
            train, validation = split(y, fraction, X=X, groups=groups, seed=seed, target=target)
        except ValueError:
            n_refused += 1
            continue
        assert (np.diff(train) > 0).all()
        assert (np.diff(validation) > 0).all()
        np.testing.assert_array_equal(np.sort(np.r_[train, validation]), np.arange(len(X)))
        assert len(train)
        assert len(validation)
        _, sample = np.unique(X, axis=0, return_inverse=True)
        assert not crossing(sample, train, validation)
        if groups is not None:
            assert not crossing(groups, train, validation)
        if kind == "classes":
            assert set(y[train]) == set(y)
        if kind == "labels":
            assert (y[train].any(axis=0) == y.any(axis=0)).all()
        # As near to the share as the largest part that stays together, and one sample per class, allow.
        largest = largest_part(sample, groups)
        assert abs(len(validation) - fraction * len(X)) <= largest + 5
    assert n_refused < 10


def largest_part(sample, groups):
    """Samples of the largest part that stays together, by joining until nothing changes."""
    part = np.arange(len(sample))
    for _ in range(len(sample)):
        before = part.copy()
        for names in (sample,) if groups is None else (sample, groups):
            for name in np.unique(names):
                part[names == name] = part[names == name].min()
        if np.array_equal(part, before):
            break
    return np.bincount(part).max()


def test_many_samples(rng):
    """20,000 samples with labels and groups take well under a second; anything quadratic would take minutes."""
    n = 20_000
    X, y = rng.normal(size=(n, 8)).astype("float32"), (rng.random((n, 20)) < 0.05).astype(int)
    groups = rng.integers(0, 8_000, n)
    train, validation = split(y, 0.1, X=X, groups=groups)
    assert not crossing(groups, train, validation)
    assert abs(len(validation) - n / 10) < n / 100
    shares = y[validation].sum(axis=0) / y.sum(axis=0)
    assert np.abs(shares - 0.1).max() < 0.02
    assert all(len(part) for part in pairwise([train, validation, train]))


@pytest.mark.parametrize("n_twice", [1, 5000])
def test_many_samples_of_which_some_are_twice(n_twice, rng):
    n = 100_000
    X = rng.integers(0, 2**31, (n, 2))
    X[-n_twice:] = X[:n_twice]
    codes = rng.choice(3, n, p=[0.69, 0.3, 0.01])
    labels = codes[:, None] == np.arange(3)
    start = time.process_time()
    inner_split(rng.permutation(n)[:, None], labels, 0.2, None, 0)
    alone, start = time.process_time() - start, time.process_time()
    train, val = inner_split(X, labels, 0.2, None, 0)
    assert time.process_time() - start < 3 * alone + 0.5
    assert sorted([*train, *val]) == list(range(n))
    side = np.zeros(n, bool)
    side[val] = True
    np.testing.assert_array_equal(side[-n_twice:], side[:n_twice])
    np.testing.assert_allclose(np.bincount(codes[val]) / np.bincount(codes), 0.2, atol=0.03)


def test_groups_that_cannot_be_ordered():
    X, y = numbered(4), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="groups holds values that cannot be ordered"):
        classifier().fit(X, y, groups=np.array([1, "x", None, 2], dtype=object))


def one_label_each(codes):
    return codes[:, None] == np.unique(codes)


@pytest.mark.parametrize("kind", ["duplicate", "groups of two", "mixed groups"])
@pytest.mark.parametrize(("n_classes", "per_class", "least", "most"), [(100, 4, 30, 50), (200, 3, 40, 80)])
def test_classes_of_few_samples_are_spread(rng, kind, n_classes, per_class, least, most):
    codes = np.repeat(np.arange(n_classes), per_class)
    X = rng.normal(size=(len(codes), 3))
    groups = None
    if kind == "duplicate":
        X[1] = X[0]
    elif kind == "groups of two":
        groups = np.arange(len(codes)) // 2
    else:
        groups = rng.permutation(len(codes)) // 2
    train, validation = inner_split(X, one_label_each(codes), 0.1, groups, 0)
    assert least <= len(validation) <= most
    assert set(codes[train]) == set(codes)
    assert len(set(train) | set(validation)) == len(codes)
    if groups is not None:
        assert not set(groups[train]) & set(groups[validation])
    # Spread: no class gives all that it has to give before others give any.
    assert np.bincount(codes[validation]).max() <= 2


def test_a_split_far_from_what_was_asked_warns(rng):
    X, codes = rng.normal(size=(100, 3)), np.arange(100) % 2
    groups = np.where(np.arange(100) < 60, 0, 1)
    with pytest.warns(InnerSplitWarning, match="has 40 of the 100 samples, and 10 were asked for"):
        inner_split(X, one_label_each(codes), 0.1, groups, 0)


def test_the_last_samples_validate_where_asked(few_digits):
    X, y = few_digits
    seen = []

    def score(estimator, X, y, sample_weight=None):
        seen.append(X)
        return 0.0

    settings = {"network": Plain(filters=(2,)), "epochs": 1, "random_state": 0}
    clf = CNNClassifier(**settings, early_stopping=True, shuffle_validation=False, scoring=score)
    weight = np.ones(200)
    weight[-50:] = 0  # samples that are left out do not count
    clf.set_params(validation_fraction=0.2).fit(X, y, weight)
    np.testing.assert_array_equal(seen[0], X[120:150])
    alone = CNNClassifier(**settings).fit(X[:120], y[:120])
    assert clf.history_["loss"][0] == pytest.approx(alone.history_["loss"][0], 0.2)


def test_last_split_refuses_and_warns_where_sides_share_or_lack():
    codes = np.repeat([0, 1], [8, 2])
    with pytest.warns(InnerSplitWarning, match="1 of the 2 classes"):
        train, validation = last_split(one_label_each(codes), 0.2, None)
    assert (len(train), len(validation)) == (8, 2)
    labels = one_label_each(np.arange(10) % 2)
    with pytest.raises(ValueError, match=r"The groups \[2\] have samples among the first 8 and among the last 2"):
        last_split(labels, 0.2, np.arange(10) // 3)
    last_split(labels, 0.2, np.arange(10) // 2)

"""What each epoch trains on: resampled, in balanced batches, with the weights that belong to the samples."""

import warnings
from functools import partial

import common
import numpy as np
import pytest
from common import same_model, weights_of
from imblearn import FunctionSampler
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import EditedNearestNeighbours, RandomUnderSampler
from sklearn.base import clone
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight

import skcnn._fit.run
from skcnn._fit.batches import balanced_order
from skcnn.exceptions import DoubleBalancingWarning
from skcnn.networks import Plain
from skcnn.sampling import NDSampler

NETWORK = Plain(filters=(4,), normalization=None)
LABELS = np.array(["a", "b", "c"])


classifier = partial(common.classifier, network=NETWORK, epochs=2)


def make_samples(counts=(60, 20, 10), n_features=4):
    """Samples told apart by their first feature, and labels a, b and c."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.normal(codes[:, None], size=(len(codes), n_features)).astype("float32")
    X[:, 0] = np.arange(len(codes))
    return X, LABELS[codes]


@pytest.fixture
def trained(monkeypatch):
    """What the epochs of the fits are trained on: for each training run its samples and its plan."""
    runs = []
    train = skcnn._fit.run.train

    def recorded(program, data, plan, *rest):
        runs.append((data, plan))
        return train(program, data, plan, *rest)

    monkeypatch.setattr(skcnn._fit.run, "train", recorded)
    return runs


@pytest.fixture
def validated():
    """A scorer that keeps the samples it is given, and what it kept."""
    samples = []

    def score(estimator, X, y):
        samples.append(X.copy())
        return 0.0

    return score, samples


def epoch(run, number):
    """Samples, class codes, weights and indices of an epoch, in the order of training."""
    X, y, w, order = run[0].at(number)
    codes = y if y.ndim == 1 else y[:, 0].astype(int)
    return X[order].reshape(len(order), -1), codes[order], w[order], order


# Balanced batches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_an_order_of_balanced_batches(seed):
    rng = np.random.default_rng(seed)
    n_classes, share = int(rng.integers(2, 6)), int(rng.integers(1, 5))
    codes = rng.permutation(np.repeat(np.arange(n_classes), rng.integers(1, 50, n_classes)))
    order = balanced_order(codes, share, rng)
    batches = codes[order].reshape(-1, share * n_classes)
    for batch in batches:
        assert np.bincount(batch, minlength=n_classes).tolist() == [share] * n_classes
    assert set(order) == set(range(len(codes)))
    seen = np.bincount(order)
    for code in range(n_classes):
        assert np.ptp(seen[codes == code]) <= 1
    largest = np.bincount(codes).max()
    assert len(batches) == -(-largest // share)  # no longer than it takes to see the largest class


@pytest.mark.parametrize("counts", [(60, 20, 10), (70, 20)], ids=["multiclass", "binary"])
def test_every_batch_has_every_class_in_equal_share(counts, trained):
    X, y = make_samples(counts)
    n_classes = len(counts)
    classifier(balanced_batches=True, batch_size=16, epochs=3).fit(X, y)
    [run] = trained
    size = 16 // n_classes * n_classes
    assert run[1].batch_size == size
    orders = []
    for number in range(3):
        _, codes, _, order = epoch(run, number)
        assert len(order) % size == 0
        for batch in codes.reshape(-1, size):
            assert np.bincount(batch, minlength=n_classes).tolist() == [size // n_classes] * n_classes
        assert set(order) == set(range(len(y)))
        orders.append(order)
    assert not np.array_equal(orders[0], orders[1])


def test_balanced_batches_hold_training_samples_only(trained, validated, rng):
    score, validated_samples = validated
    X, y = make_samples()
    groups = rng.permutation(np.repeat(np.arange(30), 3))
    model = classifier(balanced_batches=True, early_stopping=True, validation_fraction=0.3, scoring=score)
    model.fit(X, y, groups=groups)
    validation = validated_samples[0][:, 0].astype(int)
    seen = epoch(trained[0], 0)[0][:, 0].astype(int)
    assert set(seen) | set(validation) == set(range(90))
    assert not set(groups[seen]) & set(groups[validation])


def test_balanced_batches_require_a_sample_of_each_class():
    X, y = make_samples()
    with pytest.raises(ValueError, match="batch_size of at least the number of classes, 3; got batch_size=2"):
        classifier(balanced_batches=True, batch_size=2).fit(X, y)
    assert classifier(balanced_batches=True, batch_size=3).fit(X, y).n_iter_ == 2


@pytest.mark.parametrize("balancing", [{"balanced_batches": True}, {"sampler": RandomOverSampler()}], ids=str)
def test_multilabel_is_refused(balancing, rng):
    with pytest.raises(ValueError, match=f"{next(iter(balancing))} is not supported for multilabel.* use class_weight"):
        classifier(**balancing).fit(rng.normal(size=(20, 3)), rng.integers(0, 2, (20, 3)))


@pytest.mark.parametrize(
    "balancing",
    [{"balanced_batches": True}, {"sampler": RandomOverSampler()}, {"sampler": SMOTE(), "resample": "epoch"}],
    ids=str,
)
def test_balancing_raises_recall_of_the_rare_class(balancing, digits):
    X, y = digits
    rare = (y == 8).astype(int)
    keep = np.r_[np.flatnonzero(rare == 0)[:600], np.flatnonzero(rare)[:80]]
    train, test = keep[::2], keep[1::2]
    recall = [
        recall_score(rare[test], classifier(**parameters, batch_size=64).fit(X[train], rare[train]).predict(X[test]))
        for parameters in ({}, balancing)
    ]
    assert recall[1] > recall[0] + 0.3


# Sampling ---------------------------------------------------------------------------------------------------------

SAMPLERS = [RandomOverSampler(), RandomUnderSampler(), SMOTE(k_neighbors=3)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_resampled_once_or_again_for_each_epoch(sampler, trained):
    X, y = make_samples()
    for resample in ("once", "epoch"):
        trained.clear()
        for seed in (0, 0, 1):
            classifier(sampler=sampler, resample=resample, random_state=seed).fit(X, y)
        epochs = [[np.sort(epoch(run, number)[0], axis=0) for number in range(2)] for run in trained]
        first, again, other = epochs
        for one, same in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, same)
        assert np.array_equal(*first) == (resample == "once")
        assert not np.array_equal(first[0], other[0])
        for run in trained:
            for number in range(2):
                wanted = 10 if isinstance(sampler, RandomUnderSampler) else 60
                assert np.bincount(epoch(run, number)[1]).tolist() == [wanted] * 3


def test_an_epoch_resamples_whatever_the_seed_of_the_sampler(trained):
    X, y = make_samples()
    for resample, same in (("once", True), ("epoch", False)):
        classifier(sampler=RandomUnderSampler(random_state=3), resample=resample).fit(X, y)
        first, second = (set(epoch(trained[-1], number)[3]) for number in range(2))
        assert (first == second) == same
    # Resampling once, with a seed that the user has set, is what the sampler does alone.
    alone = RandomUnderSampler(random_state=3).fit(X, y)
    alone.fit_resample(X, y)
    assert set(epoch(trained[0], 0)[3]) == set(alone.sample_indices_)


@pytest.mark.parametrize("sampler", [SMOTE(k_neighbors=3, random_state=0), RandomOverSampler(random_state=0)], ids=str)
def test_the_sampler_is_applied_to_the_training_part(sampler, trained, validated):
    score, validated_samples = validated
    X, y = make_samples()
    classifier(sampler=sampler, early_stopping=True, validation_fraction=0.2, scoring=score, epochs=1).fit(X, y)
    validation = validated_samples[0][:, 0].astype(int)
    train = np.setdiff1d(np.arange(90), validation)
    assert len(validation) == 18
    expected, labels = sampler.fit_resample(X[train], y[train])
    samples, codes, _, order = epoch(trained[0], 0)
    by_sample = np.argsort(order, kind="stable") if isinstance(sampler, SMOTE) else np.lexsort(samples.T)
    in_order = np.arange(len(expected)) if isinstance(sampler, SMOTE) else np.lexsort(expected.T)
    np.testing.assert_array_equal(samples[by_sample], expected[in_order])
    np.testing.assert_array_equal(LABELS[codes][by_sample], labels[in_order])
    assert np.bincount(codes).tolist() == [48] * 3  # 60 - 12 samples of the largest class


class SpySampler(SMOTE):
    """Keeps what it is given."""

    seen = []

    def fit_resample(self, X, y, **params):
        self.seen.append((X.copy(), np.array(y)))
        return super().fit_resample(X, y, **params)


@pytest.mark.parametrize("resample", ["once", "epoch"])
def test_the_sampler_sees_the_training_part_alone(resample, validated):
    score, validated_samples = validated
    X, y = make_samples()
    groups = np.arange(90) // 3
    model = classifier(sampler=SpySampler(k_neighbors=2), resample=resample, early_stopping=True, scoring=score)
    model.set_params(validation_fraction=0.3)
    SpySampler.seen.clear()
    model.fit(X, y, groups=groups)
    assert len(SpySampler.seen) == (2 if resample == "epoch" else 1)
    validation = validated_samples[0][:, 0].astype(int)
    for samples, _ in SpySampler.seen:
        numbers = samples[:, 0].astype(int)
        np.testing.assert_array_equal(np.sort(np.r_[numbers, validation]), np.arange(90))
        assert not set(groups[numbers]) & set(groups[validation])
    for samples in validated_samples:  # and the validation samples are the original ones, in their shares
        np.testing.assert_array_equal(samples, X[validation])


def test_the_sampler_is_given_the_users_labels(trained):
    X, y = make_samples()
    classifier(sampler=RandomOverSampler(sampling_strategy={"b": 45})).fit(X, y)
    assert np.bincount(epoch(trained[-1], 0)[1]).tolist() == [60, 45, 10]
    ages = np.where(y == "a", 1, np.where(y == "b", 2, 3))  # codes 0, 1 and 2 would be other classes
    classifier(sampler=RandomUnderSampler(sampling_strategy={1: 15, 2: 10})).fit(X, ages)
    assert np.bincount(epoch(trained[-1], 0)[1]).tolist() == [15, 10, 10]
    drop = FunctionSampler(func=lambda X, y: (X[y != "a"], y[y != "a"]), validate=False)
    classifier(sampler=make_pipeline(drop)).fit(X, y)
    assert set(epoch(trained[-1], 0)[1]) == {1, 2}


def test_images_keep_type_and_memory(trained):
    X = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 2), dtype=np.uint8)
    y = np.repeat([0, 1], [30, 10])
    for sampler in (RandomOverSampler(), NDSampler(RandomOverSampler()), SMOTE(), NDSampler(SMOTE())):
        classifier(sampler=sampler).fit(X, y)
        samples = trained[-1][0].at(0)[0]
        assert samples.dtype == np.uint8
        assert samples.shape[1:] == (4, 4, 2)
        selects = "Random" in str(sampler)
        assert np.shares_memory(samples, X) == selects  # samples that are selected are indices, not copies
        if not selects:
            np.testing.assert_array_equal(samples[:40], X)


def test_epochs_that_are_resampled_go_on_to_the_bit(trained):
    X, y = make_samples()
    parameters = {"sampler": SMOTE(k_neighbors=3), "resample": "epoch"}
    whole = classifier(**parameters, epochs=4).fit(X, y)
    warm = classifier(**parameters, warm_start=True).fit(X, y).fit(X, y)
    assert same_model(whole, warm)
    balanced = classifier(balanced_batches=True, epochs=4).fit(X, y)
    warm = classifier(balanced_batches=True, warm_start=True).fit(X, y).fit(X, y)
    assert same_model(balanced, warm)


def test_the_sampler_is_tuned_and_left_alone():
    X, y = make_samples()
    sampler = SMOTE(k_neighbors=3)
    grid = {"sampler__k_neighbors": [1, 4], "resample": ["once", "epoch"]}
    search = GridSearchCV(classifier(sampler=sampler, epochs=1), grid, cv=2, scoring="neg_log_loss", refit=False)
    search.fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert not hasattr(sampler, "sampling_strategy_")
    assert sampler.random_state is None


# Weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resample", ["once", "epoch"])
@pytest.mark.parametrize("sampler", SAMPLERS[:2], ids=str)
def relative(values, codes):
    """Values over the mean of their class."""
    return values / (np.bincount(codes, values) / np.bincount(codes))[codes]


@pytest.mark.parametrize("resample", ["once", "epoch"])
@pytest.mark.parametrize("sampler", SAMPLERS[:2], ids=str)
def test_selected_samples_keep_their_weight_within_their_class(sampler, resample, trained, rng):
    X, y = make_samples()
    weight = rng.uniform(0.5, 3, 90)
    weight[::7] = 0
    classifier(sampler=sampler, resample=resample).fit(X, y, sample_weight=weight)
    for number in range(2):
        samples, codes, w, _ = epoch(trained[0], number)
        given = weight[samples[:, 0].astype(int)]
        np.testing.assert_allclose(relative(w[:, 0], codes), relative(given, codes), rtol=1e-6)
        np.testing.assert_allclose(np.bincount(codes, w[:, 0]), len(w) / 3, rtol=1e-6)
        assert given.all()  # no sample without weight is trained on


def test_new_samples_get_the_mean_weight_of_their_class(trained, rng):
    X, y = make_samples()
    weight = rng.uniform(0.5, 3, 90)
    weight[::7] = 0
    classifier(sampler=SMOTE(k_neighbors=3)).fit(X, y, sample_weight=weight)
    _, codes, w, order = epoch(trained[0], 0)
    kept = np.flatnonzero(weight)
    expected = np.empty(len(order))
    for i, (number, code) in enumerate(zip(order, codes, strict=True)):
        of_class = y[kept] == LABELS[code]
        expected[i] = weight[kept][number] if number < len(kept) else weight[kept][of_class].mean()
    assert len(order) > len(kept)
    np.testing.assert_allclose(w[:, 0], relative(expected, codes), rtol=1e-6)


BALANCINGS = [
    {"balanced_batches": True},
    {"sampler": RandomOverSampler()},
    {"sampler": RandomUnderSampler()},
    {"sampler": SMOTE(k_neighbors=3)},
    {"sampler": RandomOverSampler(sampling_strategy="minority")},
    {"sampler": RandomUnderSampler(sampling_strategy={"a": 30})},
]


@pytest.mark.parametrize("balancing", BALANCINGS, ids=str)
@pytest.mark.parametrize("heavy", ["a", "b", "c", "some"])
def test_weight_two_is_the_sample_twice_also_where_classes_are_balanced(balancing, heavy, trained):
    """Shares of the classes, and of the heavy samples within theirs, in expectation over epochs."""
    X, y = make_samples((60, 25, 10))  # so that the order of the classes stays
    weight = np.where(np.arange(95) % 3 == 0 if heavy == "some" else y == heavy, 2, 1)
    again = np.repeat(np.arange(95), weight)
    classifier(**balancing, resample="epoch").fit(X, y, sample_weight=weight.astype(float))
    classifier(**balancing, resample="epoch").fit(X[again], y[again])
    shares = []
    for run in trained:
        drawn = np.zeros((3, 2))
        for number in range(60):
            samples, codes, w, _ = epoch(run, number)
            is_heavy = (weight[np.clip(samples[:, 0].round().astype(int), 0, 94)] == 2).astype(int)
            np.add.at(drawn, (codes, is_heavy), w[:, 0] / w.sum())
        shares.append(drawn / 60)
    np.testing.assert_allclose(shares[0].sum(axis=1), shares[1].sum(axis=1), atol=0.02)
    if "SMOTE" not in str(balancing):  # whose new samples lie between two
        np.testing.assert_allclose(*shares, atol=0.03)


def test_duplicates_of_different_weights_keep_their_weight(trained):
    X, y = make_samples()
    X[:3] = X[3:6]
    y[:3] = y[3:6]
    weight = np.arange(1.0, 91)
    classifier(sampler=SMOTE(k_neighbors=3)).fit(X, y, sample_weight=weight)
    _, codes, w, order = epoch(trained[0], 0)
    by_sample, of_class = w[np.argsort(order), 0][:90], codes[np.argsort(order)][:90]
    np.testing.assert_allclose(relative(by_sample, of_class), relative(weight, of_class), rtol=1e-5)


def test_cleaned_samples_keep_their_weight(trained):
    """A pipeline of samplers does not tell which samples are left: they are found by their values."""
    X, y = make_samples()
    weight = np.arange(1.0, 91)
    classifier(sampler=make_pipeline(EditedNearestNeighbours())).fit(X, y, sample_weight=weight)
    samples, _, w, _ = epoch(trained[0], 0)
    assert 10 < len(samples) < 90
    given = weight[samples[:, 0].astype(int)]
    np.testing.assert_allclose(w[:, 0], given / given.mean(), rtol=1e-6)


def test_balanced_batches_keep_weights_within_classes(trained, rng):
    X, y = make_samples()
    weight = rng.uniform(0.5, 3, 90)
    classifier(balanced_batches=True).fit(X, y, sample_weight=weight)
    for number in range(2):
        samples, codes, w, _ = epoch(trained[0], number)
        factors = w[:, 0] / weight[samples[:, 0].astype(int)]
        np.testing.assert_allclose(factors, (np.bincount(codes, factors) / np.bincount(codes))[codes], rtol=1e-6)
        np.testing.assert_allclose(np.bincount(codes, w[:, 0]) / np.bincount(codes), 1, atol=0.1)


def test_balanced_is_computed_on_the_samples_that_are_trained_on(trained):
    X, y = make_samples()
    weight = np.where(y == "b", 2.0, 1.0)
    groups = np.where(y == "a", np.arange(90) % 5, np.arange(90))  # "a" is split by fifths, the others by samples
    model = classifier(class_weight="balanced", early_stopping=True, validation_fraction=0.1)
    model.fit(X, y, sample_weight=weight, groups=groups)
    samples, codes, w, _ = epoch(trained[0], 0)
    given = weight[samples[:, 0].astype(int)]
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(codes, given.astype(int)))
    expected = balanced[codes] * given
    np.testing.assert_allclose(w[:, 0], expected / expected.mean(), rtol=1e-6)
    of_all = compute_class_weight("balanced", classes=LABELS, y=np.repeat(y, weight.astype(int)))
    assert not np.allclose(of_all / of_all[0], balanced / balanced[0], rtol=0.02), "the split changed no share"


@pytest.mark.parametrize("balancing", [{"balanced_batches": True}, {"sampler": RandomOverSampler()}], ids=str)
def test_balanced_weights_of_balanced_samples_are_one(balancing):
    X, y = make_samples()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubleBalancingWarning)
        models = [classifier(**balancing, class_weight=each).fit(X, y) for each in (None, "balanced")]
    for one, other in zip(*map(weights_of, models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("balancing", [{"balanced_batches": True}, {"sampler": RandomOverSampler()}], ids=str)
def test_balancing_twice_warns(balancing):
    X, y = make_samples()
    name = next(iter(balancing))
    with pytest.warns(DoubleBalancingWarning, match=f"weights classes that {name} already balances") as caught:
        weighted = classifier(**balancing, class_weight={"c": 9}).fit(X, y)
    assert caught[0].filename == __file__  # where the user called fit
    assert weighted.predict(X).tolist().count("c") > classifier(**balancing).fit(X, y).predict(X).tolist().count("c")
    assert classifier(class_weight={"c": 9}).fit(X, y).n_iter_ == 2  # once is no warning


def test_weights_of_classes_that_a_part_does_not_hold():
    """partial_fit sees some classes at a time; the dict is for all of them."""
    X, y = make_samples()
    model = classifier(class_weight={"a": 1, "b": 2, "c": 5})
    model.partial_fit(X[y != "c"], y[y != "c"], classes=LABELS).partial_fit(X, y)
    assert model.n_iter_ == 2
    with pytest.raises(ValueError, match=r"weights for the classes \['d'\]"):
        clone(model).set_params(class_weight={"d": 1}).partial_fit(X, y, classes=LABELS)


# An upstream sampler ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sample_weight", "groups"])
def test_what_no_longer_fits_after_an_upstream_sampler_names_the_cure(name):
    X, y = make_samples()
    pipe = make_pipeline(RandomOverSampler(random_state=0), classifier(early_stopping=True))
    message = rf"{name}.shape == \(90,\), expected \(180,\).* A sampler in an earlier step .* \(sampler=\.\.\.\)"
    with pytest.raises(ValueError, match=message):
        pipe.fit(X, y, **{f"cnnclassifier__{name}": np.ones(90)})
    model = classifier(early_stopping=True, sampler=RandomOverSampler(random_state=0))
    assert model.fit(X, y, **{name: np.arange(90) // 3 + 1}).n_iter_ == 2

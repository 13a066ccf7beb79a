"""Probabilities for the right class shares, standard units in the graph, and the refit on all samples."""

import pickle
import tracemalloc
from functools import partial

import common
import keras
import numpy as np
import pytest
from common import same_weights, weights_of
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as ImbalancedPipeline
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy.special import expit, log_softmax, logit, softmax
from scipy.stats import multivariate_normal
from sklearn import config_context
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import skcnn._fit.samples
from skcnn import CNNClassifier, CNNRegressor
from skcnn._fit.targets import ClassTarget
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer

NETWORK = Plain(filters=(4,), normalization=None)
EXACT = {"network": NETWORK, "dtype": "float64", "batch_size": 1000}


classifier = partial(common.classifier, network=NETWORK, epochs=2)


def make_samples(counts=(60, 30, 10), n_features=4):
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    X = rng.normal(codes[:, None], size=(len(codes), n_features)).astype("float32")
    return X, np.array(["a", "b", "c"])[codes]


# Shares by hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balancing", "trained"),
    [
        ({"class_weight": {"a": 1, "b": 2, "c": 12}}, [60 / 240, 60 / 240, 120 / 240]),
        ({"class_weight": "balanced"}, [1 / 3] * 3),
        ({"sampler": RandomOverSampler()}, [1 / 3] * 3),
        ({"sampler": SMOTE(sampling_strategy="minority")}, [60 / 150, 30 / 150, 60 / 150]),
        ({"balanced_batches": True}, [1 / 3] * 3),
        ({}, [0.6, 0.3, 0.1]),
    ],
    ids=str,
)
def test_logits_shift_by_the_logarithm_of_the_shares(balancing, trained):
    X, y = make_samples()
    none, train, array = (
        classifier(**balancing, priors=priors).fit(X, y) for priors in (None, "train", [0.2, 0.3, 0.5])
    )
    z = none.decision_function(X)
    np.testing.assert_allclose(train.decision_function(X), z - np.log(np.divide(trained, [0.6, 0.3, 0.1])), atol=1e-6)
    np.testing.assert_allclose(array.decision_function(X), z - np.log(np.divide(trained, [0.2, 0.3, 0.5])), atol=1e-6)
    # Bayes: each posterior times the new share over the old, normalised.
    expected = none.predict_proba(X) * [0.2, 0.3, 0.5] / trained
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(array.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_allclose(np.exp(array.predict_log_proba(X)), expected, rtol=1e-6)
    np.testing.assert_array_equal(array.predict(X), array.classes_[expected.argmax(axis=1)])
    assert (array.predict(X) != none.predict(X)).any()
    assert same_weights(none, array)  # training itself is not touched


def test_shares_of_weighted_samples():
    """Sample weights are part of the shares that samples have; class weights come on top and are undone."""
    X, y = make_samples((60, 40))
    weight = np.where(y == "b", 3.0, 1.0)  # shares 60 : 120
    none, train, array = (
        classifier(class_weight={"b": 5}, priors=priors).fit(X, y, sample_weight=weight)
        for priors in (None, "train", [0.6, 0.4])
    )
    z = none.decision_function(X)
    assert z.shape == (100,)
    np.testing.assert_allclose(train.decision_function(X), z - np.log(5), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array.decision_function(X), z - np.log(600 / 60) + np.log(0.4 / 0.6), rtol=1e-5)
    np.testing.assert_allclose(array.predict_proba(X)[:, 1], expit(array.decision_function(X)), rtol=1e-12)
    np.testing.assert_array_equal(array.predict(X) == "b", array.decision_function(X) > 0)


def test_shares_of_labels(rng):
    X = rng.normal(size=(80, 4))
    y = (X[:, :3] + rng.normal(size=(80, 3)) > [0, 0.5, 1]).astype(int)
    positive = y.mean(axis=0)
    per_label = [{0: 1, 1: 1}, {0: 1, 1: 4}, {0: 2, 1: 10}]
    none, train, array = (
        classifier(class_weight=per_label, priors=priors).fit(X, y) for priors in (None, "train", [0.9, 0.5, 0.01])
    )
    z = none.decision_function(X)
    np.testing.assert_allclose(train.decision_function(X), z - np.log([1, 4, 5]), atol=5e-6)
    weighted = logit(positive) + np.log([1, 4, 5])
    expected = z - weighted + logit([0.9, 0.5, 0.01])  # which need not sum to one
    np.testing.assert_allclose(array.decision_function(X), expected, atol=5e-6)
    np.testing.assert_allclose(array.predict_proba(X), expit(expected), rtol=1e-5)
    np.testing.assert_array_equal(array.predict(X), (expected > 0).astype(int))
    np.testing.assert_allclose(array.to_keras()(X[:, :, None]), expected, rtol=1e-4, atol=1e-5)


def test_shares_of_many_labels_are_not_rounded(rng):
    """Sums of 200,000 weights in the type of the network would be off in the fourth digit."""
    y, weight = rng.random((200_000, 2)) < [0.5, 0.01], rng.uniform(0.2, 0.5, 200_000)
    target = ClassTarget.of(y.astype(int))
    as_trained = target.class_shares(y.astype("float32"), weight.astype("float32")[:, None])
    expected = (y * weight[:, None]).sum(axis=0) / weight.sum()
    np.testing.assert_allclose(as_trained[:, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("priors", [None, "train", [0.2, 0.3, 0.5]], ids=str)
@pytest.mark.parametrize("standardize", [None, "channel"])
def test_to_keras_outputs_the_corrected_logits(priors, standardize):
    X, y = make_samples()
    model = classifier(class_weight="balanced", priors=priors, standardize=standardize, dropout=0.1).fit(X, y)
    outputs = model.to_keras()(X[:, :, None])
    np.testing.assert_allclose(outputs, model.decision_function(X), rtol=1e-5, atol=1e-5)
    two = classifier(class_weight="balanced", priors=None if priors is None else "train", standardize=standardize)
    two.fit(X, y == "c")
    outputs = two.to_keras()(X[:, :, None])
    np.testing.assert_allclose(outputs[:, 0], two.decision_function(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "balancing",
    [{"sampler": RandomOverSampler()}, {"balanced_batches": True}, {"class_weight": "balanced"}],
    ids=str,
)
@pytest.mark.parametrize("priors", [None, [0.2, 0.3, 0.5]], ids=str)
def test_early_stopping_monitors_the_shares_of_the_training_samples(balancing, priors):
    """Whatever the network was trained on, and whatever population it is to predict for."""
    X, y = make_samples()
    X_val, y_val = make_samples((12, 6, 2))
    model = classifier(**balancing, epochs=1, priors=priors).fit(X, y, X_val=X_val, y_val=y_val)
    predicted_for = np.array([1 / 3] * 3 if priors is None else priors)
    corrected = softmax(model.decision_function(X_val) - np.log(predicted_for / [0.6, 0.3, 0.1]), axis=1)
    np.testing.assert_allclose(model.history_["val_loss"][0], log_loss(y_val, corrected), rtol=1e-5)
    uncorrected = softmax(model.decision_function(X_val), axis=1)
    assert abs(model.history_["val_loss"][0] - log_loss(y_val, uncorrected)) > 0.01
    # A scorer judges what is predicted, for the shares that are predicted for.
    scored = classifier(**balancing, epochs=1, priors=priors, scoring="neg_log_loss").fit(
        X, y, X_val=X_val, y_val=y_val
    )
    np.testing.assert_allclose(
        scored.history_["val_score"][0], -log_loss(y_val, scored.predict_proba(X_val)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ([0.5, 0.5], r"priors=\[0.5, 0.5\]; expected 'train' or 3 shares .* order of classes_, \['a', 'b', 'c'\]"),
        ([0.5, 0.5, 0.5], "sum to 1.5; expected class shares that sum to 1"),
        ([0.5, 0.5, 0.0], "expected 'train' or 3 shares between 0 and 1"),
        ([1.2, -0.4, 0.2], "expected 'train' or 3 shares between 0 and 1"),
        ([0.5, 0.4, np.nan], "expected 'train' or 3 shares between 0 and 1"),
        ([[0.5, 0.3, 0.2]], "expected 'train' or 3 shares between 0 and 1"),
        ({"a": 0.5, "b": 0.3, "c": 0.2}, "expected 'train' or 3 shares between 0 and 1"),
        (["a", "b", "c"], "expected 'train' or 3 shares between 0 and 1"),
        ("balanced", "'priors' parameter of CNNClassifier must be a str among {'train'}"),
    ],
    ids=str,
)
def test_refused_priors(priors, message):
    X, y = make_samples()
    with pytest.raises(ValueError, match=message):
        classifier(priors=priors).fit(X, y)


def test_refused_priors_of_labels(rng):
    y = rng.integers(0, 2, (20, 2))
    with pytest.raises(ValueError, match=r"2 shares between 0 and 1, one per label .* \[0, 1\]"):
        classifier(priors=[0.5, 1.0]).fit(rng.normal(size=(20, 3)), y)


# Calibration where the posterior is known -------------------------------------------------------------------------

MEANS = np.array([[0.0, 0.0], [1.5, -1.0], [-1.0, 1.5]])
SHARES = np.array([0.9, 0.1])


def linear(input_shape, n_outputs):
    """The network whose logits are those of Gaussian classes of one covariance."""
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs, name="logits")]
    )


LINEAR = {
    "network": linear,
    "epochs": 12,
    "batch_size": 200,
    "learning_rate": 0.1,
    "schedule": "cosine",
    "random_state": 0,
}


def gaussian_classes(n, shares, seed):
    rng = np.random.default_rng(seed)
    y = rng.choice(len(shares), size=n, p=shares)
    return (MEANS[y] + rng.normal(size=(n, 2))).astype("float32"), y


def posterior(X, shares):
    joint = np.column_stack([multivariate_normal(mean).pdf(X) * p for mean, p in zip(MEANS, shares, strict=False)])
    return joint / joint.sum(axis=1, keepdims=True)


BALANCING = [
    {"class_weight": "balanced"},
    {"class_weight": {1: 30}},
    {"sampler": RandomOverSampler()},
    {"sampler": RandomUnderSampler(), "resample": "epoch"},
    {"sampler": SMOTE()},
    {"balanced_batches": True},
]


@pytest.mark.parametrize("balancing", BALANCING, ids=str)
def test_balanced_training_gives_the_posterior_back(balancing):
    X, y = gaussian_classes(4000, SHARES, seed=0)
    X_test, y_test = gaussian_classes(4000, SHARES, seed=1)
    truth = posterior(X_test, SHARES)[:, 1]
    model = CNNClassifier(**LINEAR, **balancing, priors="train").fit(X, y)
    p = model.predict_proba(X_test)[:, 1]
    assert np.abs(p - truth).mean() < 0.015
    for low, high in [(0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1)]:
        inside = (p >= low) & (p < high)
        standard_error = np.sqrt(p[inside].mean() * (1 - p[inside].mean()) / inside.sum())
        assert inside.sum() > 80
        assert abs(y_test[inside].mean() - p[inside].mean()) < 4 * standard_error + 0.02
    uncorrected = CNNClassifier(**LINEAR, **balancing).fit(X, y)
    assert np.abs(uncorrected.predict_proba(X_test)[:, 1] - truth).mean() > 0.1
    # What is predicted follows: the optimal error is that of the posterior.
    assert (model.predict(X_test) == y_test).mean() > (uncorrected.predict(X_test) == y_test).mean() + 0.03
    assert (model.predict(X_test) == (truth > 0.5)).mean() > 0.98


@pytest.mark.parametrize("steps", [[], [RandomOverSampler(random_state=0)], [SMOTE(random_state=0)]], ids=str)
def test_known_shares_of_another_population(steps):
    """Trained on one share of class 1, with or without a sampler that nobody tells of, and tested on another."""
    X, y = gaussian_classes(4000, SHARES, seed=0)
    population = np.array([0.6, 0.4])
    X_test, y_test = gaussian_classes(4000, population, seed=1)
    truth = posterior(X_test, population)[:, 1]
    losses = []
    for priors in (population, SHARES, None):
        pipe = make_pipeline(*steps, CNNClassifier(**LINEAR, priors=priors)).fit(X, y)
        losses.append(log_loss(y_test, pipe.predict_proba(X_test)))
        if priors is population:
            assert np.abs(pipe.predict_proba(X_test)[:, 1] - truth).mean() < 0.03
    assert losses[0] < log_loss(y_test, truth) + 0.01
    assert losses[1] > losses[0] + 0.1
    assert losses[2] > losses[0] + (0.01 if steps else 0.1)  # a sampler makes 1 : 1, which is nearer to 6 : 4


def test_three_classes():
    shares, population = np.array([0.8, 0.15, 0.05]), np.array([0.2, 0.2, 0.6])
    X, y = gaussian_classes(6000, shares, seed=0)
    X_test, _ = gaussian_classes(2000, population, seed=1)
    for priors, wanted in (("train", shares), (population, population)):
        model = CNNClassifier(**LINEAR, class_weight="balanced", priors=priors).fit(X, y)
        assert np.abs(model.predict_proba(X_test) - posterior(X_test, wanted)).mean() < 0.02


# Weights in the focal loss ----------------------------------------------------------------------------------------


def focal_by_hand(y, z, gamma):
    """Loss of each sample, or of each sample and label (Lin et al. 2017, equation 4)."""
    if z.ndim == 2 and y.ndim == 1:
        log_p = log_softmax(z, axis=1)[np.arange(len(y)), y]
    else:
        log_p = -np.logaddexp(0, np.where(y == 1, -z, z))
    return -((1 - np.exp(log_p)) ** gamma) * log_p


@pytest.mark.parametrize("loss", ["focal", "log_loss"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_weighted_losses_by_hand(loss, kind, rng):
    """The loss of one full batch at a learning rate of nothing is that of the network as it comes out."""
    X, weight = rng.normal(size=(60, 4)), rng.uniform(0, 3, 60)
    y = {"binary": X[:, 0] > 1, "multiclass": rng.integers(0, 3, 60), "multilabel": X[:, :2] > 0.5}[kind].astype(int)
    class_weight = [{0: 1, 1: 5}, {0: 0.5, 1: 2}] if kind == "multilabel" else {1: 6}
    still = EXACT | {"epochs": 1, "learning_rate": 1e-30}
    model = classifier(**still, loss=loss, focal_gamma=1.5, class_weight=class_weight).fit(X, y, sample_weight=weight)
    losses = focal_by_hand(y, model.decision_function(X), 1.5 if loss == "focal" else 0.0)
    if kind == "multilabel":
        w = weight[:, None] * np.where(y == 1, [5, 2], [1, 0.5])
    else:
        w = weight * np.where(y == 1, 6, 1)
    np.testing.assert_allclose(model.history_["loss"][0], np.sum(w * losses) / np.sum(w), rtol=1e-7)


# Standard units in the graph --------------------------------------------------------------------------------------


def make_images(dtype="uint8", n=80):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    X = rng.normal([30, 200], [20, 3], size=(n, 5, 4, 2)) + 10 * y[:, None, None, None]
    X = X.clip(0, 255).astype("uint8")
    X[:, 2, 1, 0] = 17  # a position that never changes
    return X.astype(dtype), y


@pytest.mark.parametrize(
    ("per", "dtype"), [("channel", "uint8"), ("channel", "float64"), ("position", "int16"), ("position", "float32")]
)
def test_standard_units_are_those_of_the_scaler(per, dtype):
    X, y = make_images(dtype)
    scaled = NDTransformer(StandardScaler(), per=per).fit_transform(X.astype("float64"))
    ours, theirs = classifier(epochs=6, standardize=per).fit(X, y), classifier(epochs=6).fit(scaled, y)
    np.testing.assert_allclose(ours.history_["loss"], theirs.history_["loss"], rtol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(scaled), rtol=1e-3, atol=1e-5)
    exact = [
        classifier(dtype="float64", standardize=unit).fit(Z, y).predict_proba(Z)
        for unit, Z in ((per, X), (None, scaled))
    ]
    np.testing.assert_allclose(*exact, rtol=1e-9)
    raw = classifier(epochs=6).fit(X, y)
    assert raw.history_["loss"][0] > 3 * ours.history_["loss"][0], "the units made no difference"


@pytest.mark.parametrize("sample_shape", [(4,), (2, 2), (2, 2, 1)], ids=str)
def test_standard_units_of_any_samples_in_a_regression(sample_shape):
    X = make_samples()[0] * [1, 1000, 10, 0.01]
    target, samples = 7 * X[:, 0], X.reshape(-1, *sample_shape)
    scaled = StandardScaler().fit_transform(X).reshape(samples.shape)
    ours = CNNRegressor(**EXACT, standardize="position", random_state=0).fit(samples, target)
    theirs = CNNRegressor(**EXACT, random_state=0).fit(scaled, target)
    np.testing.assert_allclose(ours.history_["loss"], theirs.history_["loss"], rtol=1e-9)


def units(model):
    """Mean and scale of a fitted estimator."""
    return weights_of(model)[-2:]


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("balancing", [{}, {"sampler": RandomOverSampler()}, {"balanced_batches": True}], ids=str)
def test_units_are_those_of_the_training_part(balancing, refit):
    X, y = make_images()
    X[:20] += 50
    groups = (np.arange(80) < 20).astype(int)  # the smaller group is the validation part
    model = classifier(
        standardize="channel", early_stopping=True, validation_fraction=0.25, refit_full=refit, **balancing
    )
    model.fit(X, y, groups=groups)
    samples = X if refit else X[20:]
    scaler = StandardScaler().fit(samples.reshape(-1, 2))
    np.testing.assert_allclose(units(model)[0], scaler.mean_, rtol=1e-6)
    np.testing.assert_allclose(units(model)[1], scaler.scale_, rtol=1e-6)


@pytest.mark.parametrize("per", ["channel", "position"])
def test_units_count_a_weighted_sample_as_often(per, rng):
    X, y = make_images()
    weight = rng.integers(0, 4, 80)
    weighted = classifier(**EXACT, standardize=per, epochs=5).fit(X, y, sample_weight=weight)
    repeated = classifier(**EXACT, standardize=per, epochs=5).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    for one, other in zip(units(weighted), units(repeated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-8)
    unweighted = classifier(**EXACT, standardize=per, epochs=5).fit(X, y)
    assert not np.allclose(units(weighted)[0], units(unweighted)[0], rtol=1e-4)


@pytest.mark.parametrize(("per", "unit"), [("channel", 1.0), ("position", 1.0), ("position", 1e-9), ("channel", 1e12)])
def test_to_keras_takes_samples_as_they_are(per, unit, tmp_path):
    X, y = make_images()
    X = X * unit if unit != 1 else X
    model = classifier(standardize=per, network=Plain(filters=(4,), normalization="batch"), dropout=0.2).fit(X, y)
    network = model.to_keras()
    np.testing.assert_allclose(network.predict(X, verbose=0), model.decision_function(X), rtol=1e-3, atol=1e-4)
    if unit == 1:
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), network.predict(X, verbose=0))


def test_units_go_with_the_estimator():
    X, y = make_images()
    whole = classifier(standardize="position", epochs=4).fit(X, y)
    pickled = pickle.loads(pickle.dumps(whole))
    np.testing.assert_array_equal(pickled.predict_proba(X), whole.predict_proba(X))
    warm = classifier(standardize="position", warm_start=True).fit(X, y).fit(X, y)
    assert same_weights(warm, whole)
    part = classifier(standardize="position").partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    assert same_weights(part, classifier(standardize="position").fit(X, y))
    # Continuing with other samples keeps the units in which the weights were learnt.
    before = units(warm)
    brighter = np.minimum(X, 200) + np.uint8(50)
    for one, other in zip(units(warm.fit(brighter, y)), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(units(classifier(standardize="position").fit(brighter, y))[0], before[0])


@pytest.mark.parametrize("per", ["channel", "position"])
def test_units_of_bytes_take_no_copy_in_floating_point(per, monkeypatch):
    X = np.random.default_rng(0).integers(0, 256, (2000, 24, 24, 3), dtype=np.uint8)
    monkeypatch.setattr(skcnn._fit.samples, "STATISTICS_BYTES", 2**20)
    samples = np.arange(0, 2000, 2)
    tracemalloc.start()
    mean, scale = skcnn._fit.samples.standard_units(X, samples, None, per)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20 < X[samples].size * 8 / 1.5
    axes = (0, 1, 2) if per == "channel" else 0
    np.testing.assert_allclose(mean, X[samples].mean(axis=axes))
    np.testing.assert_allclose(scale, X[samples].std(axis=axes))


@pytest.mark.parametrize("per", ["channel", "position"])
def test_units_of_samples_far_from_zero_and_in_order(per):
    spread = np.sort(np.random.default_rng(0).normal(size=(5000, 8, 10)), axis=0)  # blocks differ
    axes = (0, 1) if per == "channel" else 0
    mean, scale = skcnn._fit.samples.standard_units(1e9 + spread, np.arange(5000), None, per)
    np.testing.assert_allclose(scale, spread.std(axis=axes), rtol=1e-6)  # 1e9 itself has steps of 1e-7
    np.testing.assert_allclose(mean - 1e9, spread.mean(axis=axes), atol=1e-6)


# Refit on all samples ---------------------------------------------------------------------------------------------


def script(scores):
    """A scorer that gives these scores, one for each epoch, so that the best epoch is known."""
    scores = iter(scores)
    return lambda estimator, X, y: next(scores)


SCORES = [0.5, 0.2, 0.3, 0.9, 0.1, 0.1, 0.1, 0.1]  # the best epoch is the fourth


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"dropout": 0.3, "optimizer": "rmsprop", "standardize": "channel", "class_weight": "balanced"},
        {"sampler": RandomOverSampler(), "resample": "epoch", "priors": "train"},
    ],
    ids=["plain", "regularised", "resampled"],
)
def test_a_refit_is_training_on_all_samples_for_the_best_number_of_epochs(parameters):
    X, y = make_images()
    split = {"early_stopping": True, "validation_fraction": 0.25, "epochs": 8, "n_iter_no_change": 10}
    again = classifier(**parameters, **split, scoring=script(SCORES), refit_full=True).fit(X, y)
    assert again.best_iter_ == 4
    assert again.history_["val_score"] == SCORES  # of the training that has shown it
    whole = classifier(**parameters, epochs=4).fit(X, y)
    assert same_weights(again, whole)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    part = classifier(**parameters, **split, scoring=script(SCORES)).fit(X, y)
    assert part.history_ == again.history_
    assert not same_weights(part, again)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_training_again_has_the_rates_that_were_best(schedule):
    """Not a schedule squeezed into as many epochs: the one that has shown the best epoch, up to there."""
    X, y = make_images()
    parameters = {"schedule": schedule, "early_stopping": True, "epochs": 8, "n_iter_no_change": 4}
    again = classifier(**parameters, scoring=script(SCORES), refit_full=True, validation_fraction=0.25).fit(X, y)
    assert again.best_iter_ == 4
    assert len(set(again.history_["learning_rate"][:4])) > 1
    # A run on all samples that is judged by the same scores, and keeps its fourth epoch.
    expected = classifier(**parameters, scoring=script(SCORES)).fit(X, y, X_val=X, y_val=y)
    assert expected.best_iter_ == 4
    assert expected.history_["learning_rate"] == again.history_["learning_rate"]
    assert same_weights(again, expected)


def test_training_again_of_a_regression():
    X, _ = make_samples()
    target = 100 * X[:, 0] + 1000
    target[:5] += 10_000
    same = {"network": NETWORK, "schedule": "constant", "random_state": 0}
    split = {"early_stopping": True, "validation_fraction": 0.25, "epochs": 8, **same}
    again = CNNRegressor(**split, scoring=script(SCORES), refit_full=True).fit(X, target)
    whole = CNNRegressor(epochs=4, **same).fit(X, target)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))


def test_without_an_inner_split_there_is_nothing_to_train_again():
    X, y = make_images()
    assert same_weights(classifier(refit_full=True).fit(X, y), classifier().fit(X, y))
    given = {"X_val": X[60:], "y_val": y[60:]}
    one, other = (
        classifier(refit_full=refit, epochs=4, scoring=script([0, 1, 0, 0])).fit(X[:60], y[:60], **given)
        for refit in (True, False)
    )
    assert same_weights(one, other)


def test_a_refit_leaves_no_sample_to_validate_on_with_warm_start():
    X, y = make_images()
    model = classifier(refit_full=True, warm_start=True, early_stopping=True)
    with pytest.raises(ValueError, match=r"refit_full=True .* warm_start=True"):
        model.fit(X, y).fit(X, y)


# Validation samples through imbalanced-learn's Pipeline -----------------------------------------------------------


def test_validation_samples_pass_a_sampler_by_way_of_a_passthrough_step():
    """A sampler directly before the network has no transform for X_val; a step "passthrough" between them has."""
    X, y = make_samples((90, 30))
    X_val, y_val = make_samples((20, 20))
    X_val += 1
    weight = np.linspace(0.5, 2, 40)
    cnn = classifier(early_stopping=True, epochs=4)
    scale, balance = StandardScaler(), RandomOverSampler(random_state=0)
    with config_context(enable_metadata_routing=True):
        routed = cnn.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        steps = [("scale", scale), ("balance", balance), ("gap", "passthrough"), ("cnn", routed)]
        pipe = ImbalancedPipeline(steps, transform_input=["X_val"])
        pipe.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    scaler = StandardScaler().fit(X)
    direct = classifier(early_stopping=True, epochs=4).fit(
        *balance.fit_resample(scaler.transform(X), y),
        X_val=scaler.transform(X_val),
        y_val=y_val,
        sample_weight_val=weight,
    )
    assert pipe[-1].history_ == direct.history_
    assert same_weights(pipe[-1], direct)
    np.testing.assert_array_equal(pipe.predict_proba(X_val), direct.predict_proba(scaler.transform(X_val)))

"""`augmentation`, `mixup`, `cutmix` and `ema_momentum` in the estimators: who sees them, seeds, graphs, refusals."""

import pickle

import keras
import numpy as np
import pytest
from common import SMALL, classifier, same_weights
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import CNNClassifier, CNNRegressor
from skcnn._engine.blueprint import trace_count
from skcnn.augmentation import augment
from skcnn.networks import Plain

VARIED = {
    "names": {"augmentation": ["translation", "rotation", "noise"]},
    "Keras layers": {"augmentation": [keras.layers.RandomRotation(0.1), keras.layers.GaussianNoise(0.1)]},
    "both": {"augmentation": ("cutout", keras.layers.RandomZoom(0.2))},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "average": {"ema_momentum": 0.9},
}


@pytest.mark.parametrize("params", VARIED.values(), ids=VARIED)
def test_fits_repeat_to_the_bit_and_differ_from_plain_ones_and_other_seeds(params, few_digits):
    X, y = few_digits
    first = classifier(**params).fit(X, y)
    n_traces = trace_count()
    classifier(random_state=1, **params).fit(X, y)
    again = clone(pickle.loads(pickle.dumps(first))).fit(X, y)
    assert same_weights(first, again)
    assert trace_count() == n_traces
    assert not same_weights(first, classifier().fit(X, y))


@pytest.mark.parametrize(
    ("name", "value", "params"),
    [
        ("augmentation_strength", 0.5, VARIED["names"]),
        ("mixup", 0.1, VARIED["mixup"]),
        ("cutmix", 0.5, VARIED["cutmix"]),
        ("ema_momentum", 0.5, VARIED["average"]),
    ],
)
def test_strengths_are_tuned_without_a_new_graph(name, value, params, few_digits):
    X, y = few_digits
    estimator = classifier(**params).fit(X, y)
    n_traces = trace_count()
    other = clone(estimator).set_params(**{name: value}).fit(X, y)
    assert trace_count() == n_traces
    assert not same_weights(estimator, other)
    off = clone(estimator).set_params(**{name: 0.0}).fit(X, y)
    assert same_weights(off, classifier().fit(X, y))


class Blind(keras.layers.Layer):
    """Hides the samples."""

    def call(self, inputs, training=False):
        return keras.ops.zeros_like(inputs)


def test_only_training_samples_are_varied(few_digits):
    X, y = few_digits
    # A rate that changes nothing leaves the initial weights, which both judge.
    still = SMALL | {"learning_rate": 1e-30, "network": Plain((4,), normalization=None)}
    plain = CNNClassifier(**still).fit(X, y, X_val=X[:50], y_val=y[:50])
    blind = CNNClassifier(**still, augmentation=Blind()).fit(X, y, X_val=X[:50], y_val=y[:50])
    np.testing.assert_array_equal(plain.history_["val_loss"], blind.history_["val_loss"])
    np.testing.assert_array_equal(plain.predict_proba(X), blind.predict_proba(X))
    # The training loss of a network without biases that sees nothing is that of even odds.
    assert blind.history_["loss"] == pytest.approx([np.log(10)] * 3, rel=1e-6)
    assert abs(plain.history_["loss"][0] - np.log(10)) > 1e-3


def test_a_network_learns_what_augmentation_teaches(digits):
    X, y = digits
    chosen = np.isin(y, (0, 1, 4, 7))
    X, y = X[chosen], y[chosen]
    settings = SMALL | {"network": Plain((16,)), "epochs": 12}
    shifted = np.roll(X[300:], 2, axis=2)
    plain, moved = (
        CNNClassifier(**settings, augmentation=names, augmentation_strength=2.0).fit(X[:300], y[:300])
        for names in (None, "translation")
    )
    assert moved.score(shifted, y[300:]) > plain.score(shifted, y[300:]) + 0.1
    assert moved.score(X[300:], y[300:]) > 0.9


def test_series_regression_and_searches(rng):
    X = rng.normal(size=(80, 20, 2))
    y = X[:, :, 0].max(axis=1)
    estimator = CNNRegressor(
        Plain((4,)), epochs=2, random_state=0, augmentation=["time_warping", "jitter"], mixup=0.2, ema_momentum=0.5
    )
    grid = {"augmentation": [None, "jitter", ["scaling", "time_shift"]], "augmentation_strength": [0.0, 1.0]}
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(3, 2)
    assert len(set(scores[:, 0])) == 1  # nothing is nothing
    assert len(set(scores.ravel())) == 3


def test_mixing_of_regression_targets_and_multilabel(rng):
    X, y = rng.normal(size=(60, 12)), rng.normal(size=(60, 2))
    for estimator, target in (
        (CNNRegressor(Plain((4,)), epochs=2, loss="huber", mixup=1.0), y),
        (CNNClassifier(Plain((4,)), epochs=2, cutmix=1.0, class_weight=[{0: 1, 1: 3}] * 2), (y > 0).astype(int)),
    ):
        assert np.isfinite(estimator.set_params(random_state=0).fit(X, target).history_["loss"]).all()


def test_augment_shows_what_training_sees(few_digits):
    X, _ = few_digits
    seen = augment(X, ["rotation", "noise"], strength=0.5, random_state=3)
    assert seen.dtype == np.float32
    assert seen.shape == X.shape
    np.testing.assert_array_equal(seen, augment(X, ["rotation", "noise"], strength=0.5, random_state=3))
    assert not np.array_equal(seen, augment(X, ["rotation", "noise"], strength=0.5, random_state=4))
    series = X.reshape(len(X), 64).astype("float64")
    assert augment(series, "time_warping").shape == series.shape
    assert augment(series, "time_warping").dtype == np.float64
    np.testing.assert_array_equal(augment(X, None), X)
    np.testing.assert_array_equal(augment(X, Blind()), 0)
    with pytest.raises(ValueError, match="is for images"):
        augment(series, "flip")


def refused(params, error, few_digits):
    with pytest.raises(error) as caught:
        classifier(**params).fit(*few_digits)
    return str(caught.value)


class Halved(keras.layers.Layer):
    def call(self, inputs, training=False):
        return inputs[:, ::2]


def test_what_is_refused_says_what_fits(few_digits):
    unknown = refused({"augmentation": ["rotatoin"]}, ValueError, few_digits)
    assert "unknown name 'rotatoin'; did you mean 'rotation'?" in unknown
    series = refused({"augmentation": "time_shift"}, ValueError, few_digits)
    assert "'augmentation' parameter" in series or "time_shift' is for series (steps, channels)" in series
    images = refused({"augmentation": "flip", "input_shape": (64, 1)}, ValueError, few_digits)
    assert "is for images (height, width, channels), but the samples have shape (64, 1)" in images
    assert "'jitter'" in images
    assert "'rotation'" not in images
    assert "expected names among" in refused({"augmentation": [3]}, TypeError, few_digits)
    assert "'augmentation' parameter" in refused({"augmentation": 3}, ValueError, few_digits)
    assert "Halved turns samples of shape (8, 8, 1) into (4, 8, 1)" in refused(
        {"augmentation": Halved()}, ValueError, few_digits
    )


class Forgetful(keras.layers.Layer):
    """Its configuration lacks an argument."""

    def __init__(self, amount, **settings):
        super().__init__(**settings)
        self.amount = amount

    def get_config(self):
        return super().get_config()


def test_a_layer_that_cannot_be_copied_is_named(few_digits):
    estimator = classifier(augmentation=["rotation", Forgetful(0.1, name="mine")])
    for action in (lambda: estimator.fit(*few_digits), lambda: clone(estimator)):
        with pytest.raises(ValueError, match=r"(?s)layer Forgetful \('mine'\) cannot be copied.* let get_config\(\)"):
            action()


def test_memory_keeps_varied_runs_apart_and_goes_on_to_the_bit(few_digits, tmp_path):
    X, y = few_digits
    settings = SMALL | {
        "augmentation": ["rotation", keras.layers.RandomZoom(0.1)],
        "mixup": 0.3,
        "ema_momentum": 0.8,
        "memory": tmp_path,
    }
    CNNClassifier(**settings).fit(X, y)
    longer = CNNClassifier(**settings | {"epochs": 4}).fit(X, y)
    assert same_weights(longer, CNNClassifier(**settings | {"epochs": 4, "memory": None}).fit(X, y))
    files = {path.name.split("-")[0] for path in tmp_path.rglob("*.npz")}
    assert len(files) == 1
    CNNClassifier(**settings | {"augmentation": ["rotation", keras.layers.RandomZoom(0.2)]}).fit(X, y)
    assert len({path.name.split("-")[0] for path in tmp_path.rglob("*.npz")}) == 2

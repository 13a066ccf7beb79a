"""Statistics with which batch normalisation predicts: those of the kept weights on the training samples."""

import keras
import numpy as np
import pytest
from common import classifier, dropout_network, regressor, same_model, weights_of
from sklearn.ensemble import AdaBoostClassifier
from sklearn.metrics import log_loss

from skcnn import CNNClassifier
from skcnn.networks import Plain

L = keras.layers


def custom(input_shape, n_outputs):
    """Keras' own layer, with its momentum of 0.99."""
    inputs = keras.Input(input_shape)
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, use_bias=False)(inputs)))
    return keras.Model(inputs, L.Dense(n_outputs)(L.Flatten()(L.MaxPooling2D()(x))))


def first(input_shape, n_outputs):
    """Batch normalisation of the samples themselves."""
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, L.Dense(n_outputs)(L.Flatten()(L.BatchNormalization()(inputs))))


def dense(input_shape, n_outputs):
    """Batch normalisation of features, after dropout of Keras' own."""
    inputs = keras.Input(input_shape)
    x = L.BatchNormalization(name="inner")(L.Dense(16)(L.Dropout(0.5)(L.Flatten()(inputs))))
    return keras.Model(inputs, L.Dense(n_outputs)(L.ReLU()(x)))


def statistics_of(estimator):
    """Return mean and variance of each batch normalisation in the fitted network, also in nested ones."""
    layers = estimator.to_keras()._flatten_layers(include_self=False)
    found = [layer for layer in layers if isinstance(layer, L.BatchNormalization)]
    return [(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in found]


def assert_settled(estimator, X, rtol=1e-4):
    """Assert that the network predicts as one that normalises with the moments of X itself, in one batch."""
    model = estimator.to_keras()
    predicted = model(X, training=False).numpy()
    np.testing.assert_allclose(predicted, model(X, training=True), rtol=rtol, atol=rtol * np.abs(predicted).max())


@pytest.mark.parametrize(
    ("network", "n", "epochs", "least"), [("plain", 50, 10, 0.95), ("plain", 200, 3, 0.95), (custom, 200, 15, 0.95)]
)
def test_a_network_predicts_what_it_has_trained(few_digits, network, n, epochs, least):
    X, y = (part[:n] for part in few_digits)
    settings = {"epochs": epochs, "schedule": "constant", "random_state": 0}
    clf = CNNClassifier(network, **settings).fit(X, y)
    assert clf.score(X, y) >= least
    loss = log_loss(y, clf.predict_proba(X), labels=clf.classes_)
    assert loss < clf.history_["loss"][-1] + 0.05
    moving = CNNClassifier(network, **settings, batch_statistics="moving").fit(X, y)
    assert log_loss(y, moving.predict_proba(X), labels=clf.classes_) > loss + 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [16, 64])
def test_statistics_are_means_of_those_of_batches(few_digits, rng, batch_size, dtype):
    X, y = few_digits[0][:45].astype(dtype), few_digits[1][:45]
    clf = classifier(network=first, batch_size=batch_size, dtype=dtype).fit(X, y)
    ((mean, variance),) = statistics_of(clf)
    np.testing.assert_allclose(mean, X.mean(axis=(0, 1, 2)), rtol=1e-5)
    if batch_size == 64:
        np.testing.assert_allclose(variance, X.var(axis=(0, 1, 2)), rtol=1e-5)
    else:  # each batch varies about its own mean
        parts = [np.array_split(rng.permutation(X), 3) for _ in range(200)]
        drawn = [np.mean([part.var() for part in three]) for three in parts]
        assert min(drawn) <= variance[0] <= max(drawn)
        assert variance[0] < X.var()


def test_samples_are_those_of_training_as_prediction_sees_them(few_digits):
    X, y = few_digits
    X = (255 * X).astype("uint8")
    settings = {"network": first, "augmentation": ["noise", "rotation"], "mixup": 0.5, "standardize": "channel"}
    clf = classifier(**settings)
    weight = np.where(np.arange(200) < 100, 0.0, np.linspace(0.5, 2, 200))
    ((mean, variance),) = statistics_of(clf.fit(X, y, weight))
    # Of the samples that are trained on, whatever their weight.
    seen = X[100:].astype(float)
    offset, scale = (part.item() for part in weights_of(clf)[-2:])
    np.testing.assert_allclose(mean, (seen.mean() - offset) / scale, atol=1e-5)
    batches = (seen.var() / scale**2) * np.array([0.95, 1.0])
    assert batches[0] < variance[0] < batches[1]


def test_dropout_is_off_and_leaves_random_numbers_alone(few_digits):
    """The inner layer has the moments of what it is given in prediction; training itself goes on as without it."""
    X, y = few_digits
    settings = {"network": dense, "batch_size": 256, "early_stopping": True, "epochs": 4}
    final, moving = (classifier(**settings, batch_statistics=kind).fit(X, y) for kind in ("final", "moving"))
    for ours, theirs in zip(final.to_keras().get_weights(), moving.to_keras().get_weights(), strict=True):
        assert ours.ndim == 1 or np.array_equal(ours, theirs)
    assert final.history_["loss"] == moving.history_["loss"]

    clf = classifier(network=dense, batch_size=256).fit(X, y)
    model = clf.to_keras()
    given = keras.Model(model.inputs[0], model.get_layer("inner").input)(X, training=False).numpy()
    ((mean, variance),) = statistics_of(clf)
    np.testing.assert_allclose(mean, given.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, given.var(axis=0), rtol=1e-4)


def test_moving_statistics_are_those_of_keras(few_digits):
    X, y = few_digits
    ((mean, variance),) = statistics_of(classifier(network=first, batch_size=200, batch_statistics="moving").fit(X, y))
    left = 0.99**3
    np.testing.assert_allclose(mean, (1 - left) * X.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(variance, left + (1 - left) * X.var(axis=(0, 1, 2)), rtol=1e-4)


class Inference(keras.layers.Layer):
    """A layer of the user's that never lets its batch normalisation train."""

    def __init__(self):
        super().__init__()
        self.inner = L.BatchNormalization()

    def call(self, x):
        return self.inner(x, training=False)


def pretrained(input_shape, n_outputs):
    """Frozen layers, in a nested model and in a layer of the user's, and one that trains and is called twice."""
    body = keras.Sequential([keras.Input((*input_shape[:-1], 4)), L.BatchNormalization(name="frozen")])
    body.trainable = False
    shared = L.BatchNormalization(name="shared")
    x = inputs = keras.Input(input_shape)
    x = shared(L.Conv2D(4, 1)(x))
    x = Inference()(body(shared(L.ReLU()(x))))
    model = keras.Model(inputs, L.Dense(n_outputs)(L.Flatten()(x)))
    layer = body.get_layer("frozen")
    layer.set_weights([value + i for i, value in enumerate(layer.get_weights())])
    return model


def test_frozen_layers_keep_their_statistics(few_digits):
    X, y = few_digits
    found = sorted(statistics_of(classifier(network=pretrained, batch_size=64).fit(X, y)), key=lambda pair: pair[0][0])
    settled = [pair for pair in found if not np.isin(pair[0], (0, 2)).all()]
    kept = [pair for pair in found if np.isin(pair[0], (0, 2)).all()]
    assert len(settled) == 1
    assert [mean.tolist() for mean, _ in kept] == [[0] * 4, [2] * 4]
    assert [variance.tolist() for _, variance in kept] == [[1] * 4, [4] * 4]


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_validation_uses_the_statistics_that_are_kept(few_digits, scoring):
    X, y = few_digits
    clf = classifier(network=custom, early_stopping=True, epochs=8, n_iter_no_change=3, scoring=scoring)
    clf.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    best = {name: values[clf.best_iter_ - 1] for name, values in clf.history_.items()}
    assert best["val_loss"] == pytest.approx(log_loss(y[150:], clf.predict_proba(X[150:]), labels=clf.classes_), 1e-5)
    if scoring == "accuracy":
        assert best["val_score"] == clf.score(X[150:], y[150:])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"network": custom},
        {"ema_momentum": 0.8},
        {"early_stopping": True, "refit_full": True},
        {"warm_start": True},
        {"optimizer": "sgd", "l2": 1e-2},
    ],
    ids=["default", "custom", "ema", "early_stopping", "warm_start", "sgd"],
)
def test_each_way_to_train_ends_in_settled_statistics(few_digits, parameters):
    X, y = few_digits
    clf = classifier(**{"batch_size": 256} | parameters).fit(X, y)
    if "warm_start" in parameters:
        clf.fit(X, y)
    assert_settled(clf, X)


def test_regressor_is_settled(few_digits):
    X, y = few_digits
    assert_settled(regressor(batch_size=256).fit(X, y.astype(float)), X)


class Interrupting(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_fit_is_settled(few_digits):
    X, y = few_digits
    clf = classifier(batch_size=256, callbacks=[Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.n_iter_ == 2
    assert_settled(clf, X)


def test_callbacks_see_the_statistics_that_predict(few_digits):
    X, y = few_digits

    class Watching(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            out = [self.model(X, training=mode).numpy() for mode in (False, True)]
            logs["gap"] = float(np.abs(out[0] - out[1]).max())

    clf = classifier(batch_size=256, callbacks=[Watching()]).fit(X, y)
    assert len(clf.history_["gap"]) == 3
    assert max(clf.history_["gap"]) < 1e-4


def test_a_continued_fit_is_the_same_to_the_bit(few_digits, tmp_path):
    X, y = few_digits
    settings = {"network": custom, "epochs": 4, "early_stopping": True, "n_iter_no_change": 9}
    whole = classifier(**settings).fit(X, y)
    classifier(**settings | {"epochs": 2}, memory=tmp_path).fit(X, y)
    continued, found = (classifier(**settings, memory=tmp_path).fit(X, y) for _ in range(2))
    assert same_model(whole, continued)
    assert same_model(whole, found)
    without = {**settings, "early_stopping": False}
    whole = classifier(**without).fit(X, y)
    classifier(**without | {"epochs": 2}, memory=tmp_path).fit(X, y)
    assert same_model(whole, classifier(**without, memory=tmp_path).fit(X, y))
    assert same_model(whole, classifier(**without, memory=tmp_path).fit(X, y))
    moving = classifier(**without, memory=tmp_path, batch_statistics="moving").fit(X, y)
    assert same_model(moving, classifier(**without, batch_statistics="moving").fit(X, y))
    assert not same_model(moving, whole)


def test_partial_fit_predicts_and_outlives_a_call_with_one_sample(digits):
    X, y = digits
    clf = CNNClassifier(random_state=0)
    for start in range(0, 500, 50):
        clf.partial_fit(X[start : start + 50], y[start : start + 50], classes=np.arange(10))
    assert clf.score(X[1000:], y[1000:]) > 0.85
    one = CNNClassifier(dense, random_state=0, learning_rate=0.003)
    for _ in range(20):
        one.partial_fit(X[:200], y[:200], classes=np.arange(10))
    before = one.score(X[:200], y[:200])
    assert before > 0.9
    assert one.partial_fit(X[:1], y[:1]).score(X[:200], y[:200]) > before - 0.05


def test_boosting_over_short_fits(few_digits):
    X, y = few_digits
    boosted = AdaBoostClassifier(CNNClassifier(input_shape=(8, 8, 1), epochs=3, random_state=0), n_estimators=5)
    assert boosted.fit(X.reshape(200, -1), y).score(X.reshape(200, -1), y) > 0.95


def test_one_sample_per_batch(few_digits):
    X, y = (part[:30] for part in few_digits)
    clf = CNNClassifier(batch_size=1, epochs=5, random_state=0).fit(X, y)
    assert clf.score(X, y) > 0.6


@pytest.mark.parametrize("network", [Plain(filters=(4,), normalization="layer"), dropout_network])
def test_networks_without_batch_normalisation_are_the_same(few_digits, network):
    X, y = few_digits
    final, moving = (
        classifier(network=network, early_stopping=True, batch_statistics=kind).fit(X, y)
        for kind in ("final", "moving")
    )
    assert same_model(final, moving)

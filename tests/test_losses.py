"""Losses against Keras, NumPy by hand and finite values where naive formulas fail."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance

from skcnn._engine.losses import sample_losses


@pytest.fixture
def logits(rng):
    return rng.normal(scale=2, size=(20, 4))


@pytest.fixture
def codes(rng):
    return rng.integers(0, 4, 20).astype("int32")


@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_softmax_equals_keras(logits, codes, smoothing):
    ours = sample_losses("softmax", codes, logits, label_smoothing=smoothing).numpy()[:, 0]
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing or 0, reduction=None)
    np.testing.assert_allclose(ours, theirs(np.eye(4)[codes], logits), rtol=1e-5)
    if smoothing is None:
        np.testing.assert_allclose(ours, -log_softmax(logits, axis=1)[np.arange(20), codes])


@pytest.mark.parametrize("smoothing", [None, 0.2])
def test_sigmoid_equals_keras(logits, codes, smoothing):
    y = np.eye(4)[codes]
    ours = sample_losses("sigmoid", y, logits, label_smoothing=smoothing).numpy().mean(axis=1)
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing or 0, reduction=None)
    np.testing.assert_allclose(ours, theirs(y, logits), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_equals_lin_et_al(logits, codes, gamma):
    log_p = log_softmax(logits, axis=1)[np.arange(20), codes]
    by_hand = -((1 - np.exp(log_p)) ** gamma) * log_p
    np.testing.assert_allclose(sample_losses("softmax", codes, logits, focal_gamma=gamma).numpy()[:, 0], by_hand)
    y, p = np.eye(4)[codes], expit(logits)
    by_hand = np.where(y == 1, -((1 - p) ** gamma) * np.log(p), -(p**gamma) * np.log(1 - p))
    np.testing.assert_allclose(sample_losses("sigmoid", y, logits, focal_gamma=gamma), by_hand)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_gradient_is_finite_for_certain_predictions(loss, gamma):
    z = tf.constant([[100.0, -100.0], [-100.0, 100.0]])
    y = np.array([0, 0], "int32") if loss == "softmax" else np.array([[1.0, 0.0], [1.0, 0.0]], "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_sum(sample_losses(loss, y, z, focal_gamma=tf.constant(gamma)))
    assert np.isfinite(tape.gradient(total, z)).all()
    assert np.isfinite(total)


@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber"])
def test_regression_losses_equal_keras(logits, rng, name):
    y = rng.normal(size=logits.shape)
    theirs = {"squared_error": "MeanSquaredError", "absolute_error": "MeanAbsoluteError", "huber": "Huber"}[name]
    expected = getattr(keras.losses, theirs)(reduction=None, dtype="float64")(y, logits)
    np.testing.assert_allclose(sample_losses(name, y, logits).numpy().mean(axis=1), expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_pinball_loss_equals_scikit_learn(rng, alpha):
    y, z = rng.normal(size=(2, 30, 2))
    ours = sample_losses("quantile", tf.constant(y), tf.constant(z), alpha=alpha)
    assert np.mean(ours) == pytest.approx(mean_pinball_loss(y, z, alpha=alpha))


def test_poisson_loss_is_half_the_deviance_up_to_a_constant(rng):
    y, z = rng.poisson(3, 40).astype(float)[:, None], rng.normal(size=(2, 40, 1))
    ours = [np.mean(sample_losses("poisson", tf.constant(y), tf.constant(one))) for one in z]
    theirs = [mean_poisson_deviance(y, np.exp(one)) / 2 for one in z]
    assert ours[0] - ours[1] == pytest.approx(theirs[0] - theirs[1])

"""Layers against those of Keras that they stand for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from skcnn._engine.layers import BatchNormalization, Dropout, SpatialDropout, StochasticDepth, step_inputs


@pytest.mark.parametrize("shape", [(8, 3), (8, 5, 3), (8, 5, 4, 3), (4, 5, 4, 3, 2), (1, 1, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalization_equals_keras(shape, dtype):
    """Keras' own in float64: in float32 both lose digits where the gradient's terms cancel, Keras' layer more."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(2, 3, shape) for _ in range(2)]
    results = []
    for kind, its_dtype in ((keras.layers.BatchNormalization, "float64"), (BatchNormalization, dtype)):
        x, u = (tf.constant(values, its_dtype) for values in samples)
        layer = kind(momentum=0.9, dtype=its_dtype)
        layer.build(shape)
        layer.gamma.assign(1 + np.arange(shape[-1]))
        layer.beta.assign(0.1 * np.arange(shape[-1]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            trained = layer(x, training=True)
            loss = tf.reduce_sum(trained * u)
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        results.append([trained, *gradients, *layer.weights, layer(x, training=False)])
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for expected, ours in zip(*(map(np.asarray, values) for values in results), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


def test_frozen_batch_normalization_keeps_its_statistics():
    layer = BatchNormalization()
    layer.trainable = False
    x = tf.random.stateless_normal([8, 4, 3], seed=[0, 0])
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1 + layer.epsilon), rtol=1e-6)
    assert not layer.moving_mean.numpy().any()


def dropped(layer, shape, rate, seed=0):
    x = tf.ones(shape)
    layer.build(shape)
    with step_inputs(seed=tf.constant([seed, 0]), **{layer.strength: tf.constant(rate)}):
        return layer(x, training=True).numpy()


@pytest.mark.parametrize(
    ("kind", "share", "together"),
    [(Dropout, 1.0, ()), (SpatialDropout, 1.0, (1, 2)), (StochasticDepth, 0.5, (1, 2, 3))],
)
def test_dropouts_drop_what_belongs_together_and_keep_the_mean(kind, share, together):
    layer = kind(0.5) if share == 1 else kind(0.5, share=share)
    rate = 0.4 * share
    out = dropped(layer, (500, 4, 3, 5), 0.4)
    np.testing.assert_allclose(np.unique(out), [0, 1 / (1 - rate)], rtol=1e-6)
    if together:
        assert (out.max(axis=together) == out.min(axis=together)).all()
    free = out if not together else out.max(axis=together)
    assert 0.3 * rate < free.std() < 1.5  # not all samples or channels alike
    n = free.size
    assert abs((free == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / n)
    assert not np.array_equal(out, dropped(layer, (500, 4, 3, 5), 0.4, seed=1))
    np.testing.assert_array_equal(layer(tf.ones((2, 4, 3, 5)), training=False), 1)


def test_a_noise_shape_holds_in_a_training_program_too():
    layer = Dropout(0.5, noise_shape=(None, 1, 5))
    out = dropped(layer, (500, 4, 5), 0.4)
    assert (out.max(axis=1) == out.min(axis=1)).all()
    assert abs((out == 0).mean() - 0.4) < 4 * np.sqrt(0.4 * 0.6 / 2500)
    assert len(np.unique(out[:, 0], axis=0)) > 20  # samples and channels are dropped each for itself
    plain = layer.plain({"dropout": 0.4})
    assert (plain.rate, plain.noise_shape) == (0.4, (None, 1, 5))


@pytest.mark.parametrize(("kind", "keras_kind"), [(SpatialDropout, keras.layers.SpatialDropout2D)])
def test_plain_layers_drop_as_keras_own(kind, keras_kind):
    layer = kind(0.5)
    layer.build((None, 4, 3, 5))
    plain = layer.plain({"spatial_dropout": 0.25})
    out = plain(tf.ones((50, 4, 3, 5)), training=True).numpy()
    np.testing.assert_allclose(np.unique(out), [0, 1 / 0.75], rtol=1e-6)
    same = keras_kind(0.25)(tf.ones((50, 4, 3, 5)), training=True).numpy()
    for values in (out, same):
        assert (values.max(axis=(1, 2)) == values.min(axis=(1, 2))).all()

"""Layers against those of Keras that they stand for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from skcnn.layers import BatchNormalization


@pytest.mark.parametrize("shape", [(8, 3), (8, 5, 3), (8, 5, 4, 3), (4, 5, 4, 3, 2), (1, 1, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalization_equals_keras(shape, dtype):
    rng = np.random.default_rng(0)
    x, u = (tf.constant(rng.normal(2, 3, shape), dtype) for _ in range(2))
    results = []
    for kind in (keras.layers.BatchNormalization, BatchNormalization):
        layer = kind(momentum=0.9, dtype=dtype)
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
    for keras_value, own_value in zip(*results, strict=True):
        np.testing.assert_allclose(own_value, keras_value, rtol=tolerance, atol=tolerance)


def test_frozen_batch_normalization_keeps_its_statistics():
    layer = BatchNormalization()
    layer.trainable = False
    x = tf.random.stateless_normal([8, 4, 3], seed=[0, 0])
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1 + layer.epsilon), rtol=1e-6)
    assert not layer.moving_mean.numpy().any()

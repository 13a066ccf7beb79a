"""Keras layers as a training program wants them: strengths as inputs of the step, few and fused operations.

Inside a training program `Dropout` reads rate and random seed from the step that runs, so that one compiled program
serves every rate and every seed. `to_keras` puts the Keras layer that each descends from in its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

__all__ = ["BatchNormalization", "Dropout", "step_inputs"]

_step: ContextVar[dict[str, Any] | None] = ContextVar("step", default=None)


@contextmanager
def step_inputs(**inputs: Any) -> Iterator[None]:
    """Give the layers called inside this block the tensors of one training step.

    Parameters
    ----------
    **inputs : tensors
        ``seed``, an integer tensor of shape (2,) that differs from step to step, and one scalar per strength.
    """
    token = _step.set(inputs)
    try:
        yield
    finally:
        _step.reset(token)


@keras.saving.register_keras_serializable(package="skcnn")
class Dropout(keras.layers.Dropout):
    """Keras' dropout; in a training program its rate is the step's ``dropout`` and its mask a function of the seed.

    TensorFlow's and Keras' generators keep a state that other fits would advance; a mask drawn from seed, step and
    layer is the same whatever ran before.
    """

    stream = 0  # tells the masks of several such layers of one network apart; numbered by the program

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units of `inputs` while training."""
        step = _step.get()
        if step is None or not training:
            return super().call(inputs, training=training)
        seed = step["seed"] + tf.constant([self.stream, 0], step["seed"].dtype)
        return tf.nn.experimental.stateless_dropout(inputs, rate=step["dropout"], seed=seed)

    def plain(self, strengths: dict[str, float]) -> keras.layers.Layer:
        """Return the Keras layer that this one stands for, at the rate of a fit."""
        return keras.layers.Dropout(strengths.get("dropout", 0.0), name=self.name, dtype=self.dtype_policy)


@keras.saving.register_keras_serializable(package="skcnn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation of the last axis, in TensorFlow's fused kernel (Ioffe and Szegedy 2015, algorithm 1).

    Keras lays a dozen broadcasts and reductions. The kernel takes four-dimensional float32 alone, so other ranks are
    reshaped and other types left to Keras.
    """

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Normalise `inputs` with the batch's moments while training, with the moving ones otherwise."""
        if inputs.dtype != tf.float32 or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        training = bool(training and self.trainable)
        shape, channels = tf.shape(inputs), inputs.shape[-1]
        n = tf.cast(tf.reduce_prod(shape[:-1]), inputs.dtype)
        # With moving averages the kernel wants the unbiased variance; Keras keeps the biased one, by hand therefore.
        moving = (tf.constant([]),) * 2 if training else (self.moving_mean.value, self.moving_variance.value)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(inputs, [shape[0], -1, 1, channels]),
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=moving[0],
            variance=moving[1],
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for average, value in (
                (self.moving_mean.value, mean),
                (self.moving_variance.value, variance * ((n - 1) / n)),
            ):
                average.assign_sub((average - value) * (1 - self.momentum))
        return tf.reshape(y, shape)

    def plain(self, strengths: dict[str, float]) -> keras.layers.Layer:
        """Return the Keras layer that this one stands for."""
        return keras.layers.BatchNormalization.from_config(self.get_config())

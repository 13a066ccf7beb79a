"""Keras layers whose strength is an input of the training step instead of a constant of its graph.

Inside a training program they read rate and random seed from the step that runs, so that one compiled program serves
every rate and every seed; anywhere else they behave as the Keras layer that they descend from.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Dropout", "step_inputs"]

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

    def plain(self, rate: float) -> keras.layers.Layer:
        """Return the Keras layer that this one stands for, at `rate`."""
        return keras.layers.Dropout(rate, name=self.name, dtype=self.dtype_policy)

"""Keras layers as a training program wants them: strengths as inputs of the step, few and fused operations.

Inside a training program the dropout layers read rate and random seed from the step that runs, so that one compiled
program serves every rate and every seed. `to_keras` puts the Keras layer that each descends from in its place.

A network calls `spatial_dropout` and `stochastic_depth` wherever they belong; they add nothing while the estimator's
parameter of that name is 0.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import keras
import tensorflow as tf

__all__ = [
    "BatchNormalization",
    "Dropout",
    "MaxPooling3D",
    "SpatialDropout",
    "StochasticDepth",
    "collecting",
    "normalising_calls",
    "rates",
    "spatial_dropout",
    "step_inputs",
    "stochastic_depth",
]

_step: ContextVar[dict[str, Any] | None] = ContextVar("step", default=None)
_rates: ContextVar[dict[str, float]] = ContextVar("rates")


def step_inputs(**inputs: Any) -> AbstractContextManager[None]:
    """Pass the tensors of one training step to the layers called inside this block.

    Parameters
    ----------
    **inputs : tensors
        ``seed``, an integer tensor of shape (2,) that differs from step to step, and one scalar per strength.
    """
    return _holding(_step, inputs)


def rates(**given: float) -> AbstractContextManager[None]:
    """Set the rates of the layers that are built inside this block, by the name of the estimator's parameter."""
    return _holding(_rates, given)


@contextmanager
def _holding(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def spatial_dropout(x: Any) -> Any:
    """Add spatial dropout after a feature map, if the estimator's `spatial_dropout` is on.

    Parameters
    ----------
    x : keras.KerasTensor of shape (None, ..., channels)
        Feature map.

    Returns
    -------
    keras.KerasTensor of the same shape
    """
    rate = _rates.get({}).get("spatial_dropout", 0.0)
    return SpatialDropout(rate)(x) if rate else x


def stochastic_depth(x: Any, share: float = 1.0) -> Any:
    """Add stochastic depth to a residual branch, if the estimator's `stochastic_depth` is on.

    Parameters
    ----------
    x : keras.KerasTensor
        Output of the branch, before it is added to the shortcut.
    share : float, default=1.0
        Share of the rate at this branch: l / L for block l of L, so that later blocks are dropped more often (Huang et
        al. 2016, equation 4).

    Returns
    -------
    keras.KerasTensor of the same shape
    """
    rate = _rates.get({}).get("stochastic_depth", 0.0)
    return StochasticDepth(rate, share=share)(x) if rate else x


@keras.saving.register_keras_serializable(package="skcnn")
class Dropout(keras.layers.Dropout):
    """Keras' dropout; in a training program its rate is the step's ``dropout`` and its mask a function of the seed.

    TensorFlow's and Keras' generators keep a state that other fits would advance; a mask drawn from seed, step and
    layer is the same whatever ran before.
    """

    stream = 0  # tells the masks of several such layers of one network apart; numbered by the program
    strength = "dropout"  # parameter of the estimator
    share = 1.0  # of that rate, here

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units of `inputs` while training."""
        step = _step.get()
        if step is None or not training:
            return super().call(inputs, training=training)
        seed = step["seed"] + tf.constant([self.stream, 0], step["seed"].dtype)
        rate, shape = self.share * step[self.strength], None
        if self.noise_shape is not None:  # sizes of the mask, None where it has that of the inputs
            sizes = tf.shape(inputs)
            shape = tf.stack([sizes[i] if size is None else size for i, size in enumerate(self.noise_shape)])
        return tf.nn.experimental.stateless_dropout(inputs, rate=rate, seed=seed, noise_shape=shape)

    def plain(self, strengths: dict[str, float]) -> keras.layers.Layer:
        """Return the Keras layer that this one stands for, at the rate of a fit."""
        rate = self.share * strengths.get(self.strength, 0.0)
        return keras.layers.Dropout(rate, noise_shape=self.noise_shape, name=self.name, dtype=self.dtype_policy)


@keras.saving.register_keras_serializable(package="skcnn")
class SpatialDropout(Dropout):
    """Dropout of whole channels of a feature map (Tompson et al. 2015, section 3.2)."""

    strength = "spatial_dropout"

    def __init__(self, rate: float, **settings: Any) -> None:
        super().__init__(rate, **settings)
        self.built = False  # Keras 3.8 takes a dropout for built from the start

    def build(self, input_shape: Any) -> None:
        """Share the mask among the positions of a channel."""
        self.noise_shape = (None, *(1,) * (len(input_shape) - 2), input_shape[-1])
        super().build(input_shape)


@keras.saving.register_keras_serializable(package="skcnn")
class StochasticDepth(Dropout):
    """Dropout of a whole residual branch, sample by sample (Huang et al. 2016).

    Branches that survive are divided by their probability to survive while training, instead of multiplied by it when
    predicting as in the paper: the expectations are the same, and prediction needs no layer.
    """

    strength = "stochastic_depth"

    def __init__(self, rate: float, share: float = 1.0, **settings: Any) -> None:
        super().__init__(rate, **settings)
        self.share = share
        self.built = False  # as in `SpatialDropout`

    def build(self, input_shape: Any) -> None:
        """Share the mask among all values of a sample."""
        self.noise_shape = (None, *(1,) * (len(input_shape) - 1))
        super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        return super().get_config() | {"share": self.share}


@keras.saving.register_keras_serializable(package="skcnn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation of the last axis, in TensorFlow's fused kernel (Ioffe and Szegedy 2015, algorithm 1).

    Keras uses a dozen broadcasts and reductions. The kernel takes only four-dimensional float32, so other ranks are
    reshaped and other types left to Keras.
    """

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Normalise `inputs` with the batch's moments while training, with the moving ones otherwise."""
        if inputs.dtype != tf.float32 or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        training = bool(training and self.trainable)
        shape, channels = tf.shape(inputs), inputs.shape[-1]
        n = tf.cast(tf.reduce_prod(shape[:-1]), inputs.dtype)
        # With moving averages the kernel keeps the unbiased variance, but Keras the biased one: so they are kept here.
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
            statistics = (self.moving_mean.value, mean), (self.moving_variance.value, variance * ((n - 1) / n))
            for average, value in statistics:
                if isinstance(self.momentum, float):
                    average.assign_sub((average - value) * (1 - self.momentum))
                else:  # `collecting`, where nothing of the old average may be left, not even its rounding
                    average.assign(average * self.momentum + value * (1 - self.momentum))
        return tf.reshape(y, shape)

    def plain(self, strengths: dict[str, float]) -> keras.layers.Layer:
        """Return the Keras layer that this one stands for."""
        return keras.layers.BatchNormalization.from_config(self.get_config())


@contextmanager
def normalising_calls(layers: Sequence[Any]) -> Iterator[list[list[bool]]]:
    """Note for each batch normalisation which of its calls in this block normalise with the batch's moments.

    A layer may be called several times, and a layer of the user's may call one with ``training=False``.
    """
    calls: list[list[bool]] = [[] for _ in layers]

    def noting(found: list[bool], call: Callable[..., Any], inputs: Any, **options: Any) -> Any:
        found.append(bool(options.get("training")))
        return call(inputs, **options)

    with _calling(layers, [partial(noting, found) for found in calls]):
        yield calls


@contextmanager
def collecting(layers: Sequence[Any], calls: Sequence[Sequence[bool]], momentum: Any) -> Iterator[None]:
    """Let a model that predicts in this block normalise with the moments of its batch, and average them.

    All but batch normalisation predicts: no unit is dropped, and no random number drawn.

    Parameters
    ----------
    layers : sequence of keras.layers.BatchNormalization
        Those of the model.
    calls : sequence of sequence of bool
        What `normalising_calls` has noted for each while the model was trained.
    momentum : scalar tensor
        Share of the averages so far.
    """

    def normalising(left: Iterator[bool], call: Callable[..., Any], inputs: Any, **options: Any) -> Any:
        return call(inputs, **options | {"training": True} if next(left) else options)

    earlier = [(layer.momentum, getattr(layer, "renorm_momentum", None)) for layer in layers]
    try:
        for layer in layers:
            layer.momentum = tf.cast(momentum, keras.backend.result_type(layer.compute_dtype, "float32"))
            layer.renorm_momentum = 1.0  # what training itself normalises with stays
        with _calling(layers, [partial(normalising, iter(found)) for found in calls]):
            yield
    finally:
        for layer, (own_momentum, renorm_momentum) in zip(layers, earlier, strict=True):
            layer.momentum, layer.renorm_momentum = own_momentum, renorm_momentum


@contextmanager
def _calling(layers: Sequence[Any], functions: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Put functions in place of the calls of layers; each is given the call that it replaces."""
    try:
        for layer, function in zip(layers, functions, strict=True):
            layer.call = partial(function, layer.call)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)


@keras.saving.register_keras_serializable(package="skcnn")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """Keras' max-pooling of volumes in two poolings that TensorFlow has for float64 too, which it lacks for volumes.

    The maximum over a box is the maximum over depth of the maxima over height and width. Windows do not overlap, and
    positions that fill none are left out, as by Keras' defaults.
    """

    def call(self, inputs: Any) -> Any:
        """Return the maxima."""
        deep, high, wide = self.pool_size
        shape, channels = tf.shape(inputs), inputs.shape[-1]
        flat = tf.reshape(inputs, [-1, shape[2], shape[3], channels])
        flat = tf.nn.max_pool2d(flat, (high, wide), (high, wide), "VALID")
        rest = tf.shape(flat)
        lines = tf.reshape(flat, [shape[0], shape[1], rest[1] * rest[2], channels])
        lines = tf.nn.max_pool2d(lines, (deep, 1), (deep, 1), "VALID")
        return tf.reshape(lines, [shape[0], tf.shape(lines)[1], rest[1], rest[2], channels])

"""From samples to predictions in Keras' layers: scalers and network as one model."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from skcnn._engine.threads import start_tensorflow
from skcnn._fit.estimator import BaseCNN
from skcnn._fit.targets import ClassTarget
from skcnn._sklearn.steps import fitted_steps
from skcnn.preprocessing import ChannelsLast, NDTransformer, StandardNormalVariate

__all__ = ["in_float32", "known_steps", "labels_of", "whole_model"]

KNOWN = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, StandardNormalVariate, ChannelsLast)
SMALL_VARIANCE = 1e-12  # of a sample, below which `StandardNormalVariate` in a file takes it for constant


def known_steps(estimator: Any) -> tuple[list[Any], Any]:
    """Return the steps before the network, all of which have layers, and the fitted network.

    Raises
    ------
    TypeError
        If there is no such network, or something else before or around it.
    """
    steps, cnn = fitted_steps(estimator, BaseCNN)
    for step in steps:
        inner = step
        while type(inner) is NDTransformer:
            inner = inner.transformer_
        if type(inner) not in KNOWN:
            raise TypeError(
                f"The step {step!r} has no counterpart in an exported file. Expected StandardScaler, MinMaxScaler, "
                "MaxAbsScaler, RobustScaler, alone or in NDTransformer, StandardNormalVariate or ChannelsLast. Export "
                "the network alone, pipeline[-1], and apply this step before it, or export to .onnx."
            )
    return steps, cnn._as(cnn._fitted)  # which another fit does not change


def in_float32(cnn: Any) -> Any:
    """Return a fitted network that computes in float32."""
    if cnn._fitted.topology.dtype == "float32":
        return cnn
    cnn.to_keras()  # raises if the network has changed, which cannot be seen of one in another type
    return cnn._as(replace(cnn._fitted, topology=replace(cnn._fitted.topology, dtype="float32", structure="")))


def whole_model(steps: list[Any], cnn: Any, dtype: str) -> Any:
    """Return the Keras model of scalers and network, from samples to logits and to probabilities or predictions."""
    _, keras = start_tensorflow()
    fitted = cnn._fitted
    wide = "float64" if dtype == "float64" else fitted.topology.dtype
    x = samples = keras.Input(_shape_before(steps, fitted.layout.sample_shape), dtype=dtype, name="X")
    if dtype == "uint8":
        x = keras.layers.Rescaling(1.0)(x)
    for step in steps:
        for layer in _layers(step, wide, len(x.shape) - 1):
            x = layer(x)
    if tuple(x.shape[1:]) != cnn.input_shape_:
        x = keras.layers.Reshape(cnn.input_shape_, dtype=wide)(x)
    z = cnn.to_keras()(x)
    kind = fitted.target.kind
    if kind == "binary":
        sides = [keras.layers.Activation("sigmoid")(side) for side in (keras.layers.Rescaling(-1.0)(z), z)]
        outputs = keras.layers.Concatenate(name="probabilities")(sides)
    elif kind == "regression":
        outputs = keras.layers.Identity(name="prediction")(z)
    else:
        ending = {"multiclass": "softmax", "multilabel": "sigmoid"}[kind]
        outputs = keras.layers.Activation(ending, name="probabilities")(z)
    return keras.Model(samples, [z, outputs])


def labels_of(z: Any, target: ClassTarget, *, codes: bool = False) -> Any:
    """Decode logits as `ClassTarget.decode` does, in TensorFlow, or return the codes of the classes."""
    tf, _ = start_tensorflow()
    if target.kind == "multilabel":
        return tf.cast(z > 0, tf.int64)
    found = tf.cast(z[:, 0] > 0, tf.int64) if target.kind == "binary" else tf.argmax(z, axis=1)
    classes = target.classes
    if codes:
        return found
    return tf.gather(tf.constant(classes if classes.dtype.kind in "biuf" else [str(label) for label in classes]), found)


def _shape_before(steps: list[Any], sample_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a sample before the first step, of those that the network is given."""
    shape = sample_shape
    for step in reversed(steps):
        while type(step) is NDTransformer:
            step = step.transformer_
        shape = step.sample_shape_ if type(step) is ChannelsLast else shape
    return tuple(shape)


def _layers(step: Any, dtype: str, rank: int) -> list[Any]:
    """Return the layers that do what a fitted step does with samples of `rank` axes."""
    _, keras = start_tensorflow()
    if type(step) is NDTransformer:
        inner = _layers(step.transformer_, dtype, 1)
        if step.per == "channel" or len(step.sample_shape_) == 1:  # layers work on the last axis
            return inner
        flat, back = (keras.layers.Reshape(shape, dtype=dtype) for shape in ((-1,), step.sample_shape_))
        return [flat, *inner, back]
    if type(step) is StandardNormalVariate:
        axes = list(range(1, rank + 1))
        return [keras.layers.LayerNormalization(axes, epsilon=SMALL_VARIANCE, center=False, scale=False, dtype=dtype)]
    if type(step) is ChannelsLast:
        return [keras.layers.Permute((*range(2, rank + 1), 1), dtype=dtype)] if rank > 1 else []
    return _scaler_layers(step, dtype)


def _scaler_layers(scaler: Any, dtype: str) -> list[Any]:
    """Return the layers of a scaler of scikit-learn."""
    _, keras = start_tensorflow()

    def wide(values: Any) -> np.ndarray:  # scalers that were fitted on float32 hold float32
        return np.asarray(values, np.float64)

    def plus(by: Any) -> Any:
        return keras.layers.Rescaling(1.0, by, dtype=dtype)

    def times(by: Any) -> Any:
        return keras.layers.Rescaling(by, 0.0, dtype=dtype)

    def clip(low: float, high: float) -> list[Any]:
        return [plus(-low), keras.layers.ReLU(max_value=high - low, dtype=dtype), plus(low)]

    # Center and factor are two layers: in one, their product would lose digits.
    if type(scaler) is MinMaxScaler:
        low, high = map(float, scaler.feature_range)
        layers = [plus(-wide(scaler.data_min_)), times(wide(scaler.scale_)), plus(low)]
        return [*layers, *clip(low, high)] if scaler.clip else layers
    if type(scaler) is MaxAbsScaler:
        layers = [times(1 / wide(scaler.scale_))]
        return [*layers, *clip(-1.0, 1.0)] if getattr(scaler, "clip", False) else layers
    center = scaler.center_ if type(scaler) is RobustScaler else (scaler.mean_ if scaler.with_mean else None)
    layers = [] if center is None else [plus(-wide(center))]
    return layers if scaler.scale_ is None else [*layers, times(1 / wide(scaler.scale_))]

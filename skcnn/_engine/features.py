"""Outputs of a layer in a network, as features of samples."""

from collections.abc import Callable
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from skcnn._engine.blueprint import BUILDING, building
from skcnn._engine.keras_internals import calls_of, flat, operations_of, output_shape_of
from skcnn._engine.program import CHUNK_BYTES, in_parts
from skcnn._engine.signals import uninterrupted
from skcnn._engine.threads import start_tensorflow

__all__ = ["FeatureNetwork", "kept_for", "with_features"]

# Samples at once, always as many, with zeros for those that lack: a sample's result depends on the number, by rounding.
# MobileNetV2 on 96x96 was fastest with 12 to 36 (2.3 to 2.8 s for 576 samples on 2 cores; 9 to 12 s with 72 to 288).
SAMPLES = (24, 12)


def with_features(model: Any, wanted: Any) -> Any:
    """Return a model on the same weights that also returns the output of a layer, maybe of a model within it."""
    _, keras = start_tensorflow()
    features = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer is not wanted and wanted in operations_of(layer):
            maps, outputs = with_features(layer, wanted)(*args, **kwargs)
        else:
            maps = outputs = layer(*args, **kwargs)
        if layer is wanted or maps is not outputs:
            features.append(maps)
        return outputs

    if isinstance(model, keras.Sequential):
        inputs = outputs = keras.Input(model.input_shape[1:], dtype=model.input_dtype)
        for layer in model.layers:
            outputs = call(layer, outputs)
        return keras.Model(inputs, [features[-1], outputs])
    copied = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return keras.Model(copied.inputs, [features[-1], copied.outputs[0]])


class FeatureNetwork:
    """A network up to one of its layers, on the weights of the network.

    Parameters
    ----------
    model : keras.Model
        The network.
    layer : int or str
        Number of a layer among ``model.layers``, or name of a layer, also of a model within.
    pooling : {"avg", "max", None}
        What is made of outputs with positions: the mean or maximum of each channel, or all values.
    units : sequence of ndarray, default=()
        Mean and scale by which samples are standardised first; none if they are not.

    Attributes
    ----------
    input_shape : tuple of int or None
        Shape of a sample of the network; None where any size fits.
    dtype : str
        Type to which samples are converted, unless they are ``uint8``.

    Raises
    ------
    ValueError
        If the network is no graph of layers with one input, or has no such layer.
    """

    def __init__(self, model: Any, layer: int | str, pooling: str | None, units: Any = ()) -> None:
        _, keras = start_tensorflow()
        self._units = tuple(units)
        with building(model.dtype_policy.name):
            _check_graph(model)
            wanted = _layer_of(model, layer)
            features = model.inputs[0]
            if not isinstance(wanted, keras.layers.InputLayer):
                model = with_features(model, wanted)
                features = model.outputs[0]
            self._model = keras.Model(model.inputs[0], flat(features, pooling))
        self._graphs: dict[Any, tuple[Any, int]] = {}
        self.input_shape = tuple(self._model.input_shape[1:])
        dtype = self._model.inputs[0].dtype
        self.dtype = dtype if dtype in ("float32", "float64") else "float32"

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the features of samples of the network's shape, ``(n, n_features)``, a part of them at a time."""
        graph, size = self._graph(X.shape[1:], X.dtype)
        out = np.empty((len(X), graph.output_shapes[-1]), graph.output_dtypes.as_numpy_dtype)
        return in_parts(graph, X, size, out)

    def n_features(self, sample_shape: tuple[int, ...]) -> int:
        """Return the number of features of samples of this shape."""
        graph, _ = self._graph(sample_shape, np.dtype(self.dtype))
        return int(graph.output_shapes[-1])

    @uninterrupted
    def _graph(self, sample_shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Any, int]:
        """Return the function for samples of this kind, traced at the first call, and how many it is given at once."""
        tf, _ = start_tensorflow()
        key = sample_shape, dtype
        with BUILDING:
            if key not in self._graphs:
                spec = tf.TensorSpec((None, *sample_shape), dtype)
                graph = tf.function(self._features, autograph=False).get_concrete_function(spec)
                sample_bytes = _largest_output(graph)
                fitting = [size for size in SAMPLES if size * sample_bytes <= CHUNK_BYTES]
                self._graphs[key] = graph, (fitting or SAMPLES[-1:])[0]
            return self._graphs[key]

    def _features(self, X: Any) -> Any:
        tf, _ = start_tensorflow()
        if self._units:
            X = tf.cast(X, self.dtype)
            X = (X - self._units[0]) / self._units[1]
        features = self._model(tf.cast(X, self._model.inputs[0].dtype), training=False)
        return features if features.dtype in (tf.float32, tf.float64) else tf.cast(features, tf.float32)


_kept: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def kept_for(owner: Any, key: Any, make: Callable[[], Any]) -> Any:
    """Return what `make` returned for this owner and key at the first call; it is kept for as long as the owner is."""
    with BUILDING:
        made = _kept.setdefault(owner, {})
        if key not in made:
            made[key] = make()
        return made[key]


def _check_graph(model: Any) -> None:
    if calls_of(model) is None or not model.built:
        raise ValueError(
            f"The network {model.name!r} is no graph of layers, so that none of its layers can be found. Write it as "
            "keras.Model(inputs, outputs), or as a keras.Sequential that starts with a keras.Input."
        )
    if len(model.inputs) != 1:
        raise ValueError(
            f"The network {model.name!r} has {len(model.inputs)} inputs; expected one. Join them along the channels, "
            "and let the network take them apart."
        )


def _layer_of(model: Any, wanted: int | str) -> Any:
    """Find a layer by its number in the model, or by its name there or in a model within."""
    layers = list(model.layers)
    if isinstance(wanted, str):
        layers += [one for one in operations_of(model) if one not in layers]
        found = [layer for layer in layers if layer.name == wanted]
    else:
        found = [layers[wanted]] if -len(layers) <= wanted < len(layers) else []
    if not found:
        names = [layer.name for layer in layers]
        raise ValueError(f"layer={wanted!r}; expected the number or name of one of {len(layers)} layers: {names}.")
    if not output_shape_of(found[0]):
        raise ValueError(f"The layer {found[0].name!r} returns several tensors; expected a layer that returns one.")
    return found[0]


def _largest_output(graph: Any) -> int:
    """Return the bytes that the largest output of an operation has for one sample."""
    outputs = [one for operation in graph.graph.get_operations() for one in operation.outputs]
    known = [one for one in outputs if one.shape.rank and one.shape[0] is None]  # whose first axis is that of samples
    return max((prod(size or 1 for size in one.shape[1:]) * (one.dtype.size or 4) for one in known), default=0)

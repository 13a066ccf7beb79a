"""Private names of Keras, in the one place that uses them, and what is done with its layers everywhere.

Seen in Keras 3.8 to 3.15. Keras is not imported with this module: whoever has a Keras object has imported Keras.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import get_ident
from typing import Any

import numpy as np

from skcnn._engine.signals import uninterrupted

__all__ = [
    "all_layers",
    "calls_of",
    "copy_of_layer",
    "download_folder",
    "final_activation",
    "flat",
    "forget_model",
    "free_name",
    "function_options",
    "has_mask",
    "laid_on",
    "maximize",
    "model_of",
    "operations_of",
    "output_shape_of",
    "own_variables",
    "seeds_from",
    "traces_batches",
    "unseeded_initializers",
    "wiring_of",
]


# Layers -------------------------------------------------------------------------------------------------------------


def all_layers(model: Any) -> list[Any]:
    """Return all layers in a model, also those in other layers, as multi-head attention has them, in any order.

    The public ``layers`` are only those directly in a model.
    """
    return list(model._flatten_layers(include_self=False))


def operations_of(model: Any) -> list[Any]:
    """Return the operations of a model in order, with those of a model within it in its place."""
    inner = getattr(model, "operations", None) or getattr(model, "layers", None)
    return [operation for one in inner for operation in operations_of(one)] if inner else [model]


def free_name(name: str, model: Any) -> str:
    """Return a name for a layer that is added to a model: with a number, if it has one of that name."""
    taken = {one.name for one in getattr(model, "operations", None) or model.layers}
    return next(one for i in count() if (one := f"{name}_{i}" if i else name) not in taken)


def calls_of(model: Any) -> list[Any] | None:
    """Return the calls of operations in the order of computation, or None for a model that is no graph of layers.

    A model's public ``operations`` neither tell which tensors they are called with nor that they are called twice. A
    sequential model keeps its graph in ``_functional``.
    """
    by_depth = getattr(getattr(model, "_functional", None) or model, "_nodes_by_depth", None)
    return None if by_depth is None else [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def has_mask(tensor: Any) -> bool:
    """Tell whether a symbolic tensor comes with a mask of steps, which layers pass on beside it."""
    return getattr(tensor, "_keras_mask", None) is not None


def wiring_of(model: Any) -> list[tuple[Any, Any]]:
    """Return operations with what they are called with, tensors by number; of a model that is no graph its layers."""
    import keras

    numbers: dict[int, int] = {}

    def numbered(value: Any) -> Any:
        return ("tensor", numbers.get(id(value), -1)) if isinstance(value, keras.KerasTensor) else value

    found: list[tuple[Any, Any]] = []
    calls = calls_of(model)
    for call in calls or ():
        given = call.arguments
        arguments = [keras.tree.map_structure(numbered, part) for part in (list(given.args), dict(given.kwargs))]
        found.append((call.operation, arguments))
        for output in call.outputs:
            numbers[id(output)] = len(numbers)
    return [(layer, None) for layer in all_layers(model)] if calls is None else found


def output_shape_of(layer: Any) -> tuple[int | None, ...]:
    """Return the output shape of a layer where it was first called; empty if it was not or has several outputs."""
    return tuple(getattr(getattr(layer, "output", None), "shape", ()))


def final_activation(model: Any) -> tuple[str | None, Any]:
    """Return the name of the sigmoid or softmax that a model ends in, and its operation; None, None without one."""
    last = operations_of(model)[-1]
    name = getattr(getattr(last, "activation", None), "__name__", type(last).__name__).lower()
    return (name, last) if name in ("sigmoid", "softmax") else (None, None)


@uninterrupted
def copy_of_layer(layer: Any) -> Any:
    """Return a new layer with the configuration of this one.

    Raises
    ------
    ValueError
        If Keras cannot build it, such as `RandomShear(0.1)`, whose configuration Keras 3.15 does not accept back.
    """
    try:
        return type(layer).from_config(layer.get_config())
    except Warning:  # that the user has made an error
        raise
    except Exception as error:  # whatever a layer raises
        raise ValueError(
            f"The layer {type(layer).__name__} ({layer.name!r}) cannot be copied, since Keras cannot build it from its "
            f"get_config() ({type(error).__name__}: {error}). Give a range as a pair, as in RandomShear((0, 0.1)), or "
            "let get_config() of a custom layer return all arguments of its __init__."
        ) from error


def laid_on(model: Any, x: Any, layer_for: Callable[[Any], Any] = lambda layer: layer) -> Any:
    """Return the output of a model for another input, of its own layers or of what `layer_for` returns for each."""
    import keras

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            x = layer_for(layer)(x)
        return x
    outputs: list[Any] = []

    def lay(layer: Any, *arguments: Any, **settings: Any) -> Any:
        outputs.append(layer(*arguments, **settings))
        return outputs[-1]

    # What is cloned has inputs of its own; the layers that it was laid of, the output last, go on from `x`.
    keras.models.clone_model(model, input_tensors=x, clone_function=layer_for, call_function=lay)
    return outputs[-1]


def flat(features: Any, pooling: str | None) -> Any:
    """Return features without positions: the mean ("avg") or maximum ("max") of each channel, or all values."""
    from keras import layers

    rank = len(features.shape) - 2
    if rank > 0 and pooling is not None:
        kind = {"avg": "GlobalAveragePooling", "max": "GlobalMaxPooling"}[pooling]
        return getattr(layers, f"{kind}{rank}D")(data_format="channels_last")(features)
    return features if rank == 0 else layers.Flatten(data_format="channels_last")(features)


# Initial weights ----------------------------------------------------------------------------------------------------


def own_variables(layer: Any) -> list[Any]:
    """Return the weights of a layer without those of layers in it, which the public ``weights`` have too."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def unseeded_initializers(layer: Any) -> list[Any]:
    """Return the random initializers of a layer that got no seed; the public ``seed`` is then one that Keras drew."""
    return [value for value in vars(layer).values() if getattr(value, "_init_seed", 0) is None]


class _Seeds:
    """Stands for Python's ``random`` where Keras draws unset seeds: one thread draws from a generator of its own."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator
        self._thread = get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator if get_ident() == self._thread else random, name)


@contextmanager
def seeds_from(seed: str) -> Iterator[None]:
    """Have Keras draw the unset seeds of this thread from a generator with this seed, and leave Python's as it is.

    No public setting chooses where Keras draws them: from Python's ``random``, which all threads share, and in
    ``keras.random`` from a generator that each thread has of its own.
    """
    from keras.src.backend.common import global_state
    from keras.src.random import seed_generator

    drawn_from, name = seed_generator.python_random, "global_seed_generator"
    generator = global_state.get_global_attribute(name)
    try:
        seed_generator.python_random = _Seeds(random.Random(seed))  # noqa: S311 (as Keras draws them)
        global_state.set_global_attribute(name, None)  # so that Keras makes another when one is asked for
        yield
    finally:
        seed_generator.python_random = drawn_from
        global_state.set_global_attribute(name, generator)


def download_folder() -> str:
    """Return the folder in which Keras keeps the weights that it has downloaded."""
    from keras.src.backend import config

    return os.path.join(config.keras_home(), "models")


# Callbacks and losses -----------------------------------------------------------------------------------------------


def model_of(callback: Any) -> Any:
    """Return the model of a callback as it is kept; the public ``model`` may be another, wrapped one.

    A callback whose ``__init__`` does not call that of Keras has none before training sets it.
    """
    return getattr(callback, "_model", None)


def forget_model(callback: Any) -> None:
    """Take the model from a callback; the public ``model`` cannot be set."""
    callback._model = None


def maximize(callback: Any) -> None:
    """Let a callback that finds out by the name of what it monitors whether more of it is better know that it is."""
    if not hasattr(callback, "mode"):  # ModelCheckpoint of Keras 3.8, which has decided when it was made
        callback.monitor_op = np.greater
        callback.best = -np.inf if callback.best == np.inf else callback.best
    elif callback.mode == "auto":
        callback.mode = "max"


def traces_batches(tensorboard: Any) -> bool:
    """Tell whether a TensorBoard callback profiles some batches, which it keeps of ``profile_batch``."""
    return bool(tensorboard._should_trace)


def function_options(loss: Any) -> dict[str, Any]:
    """Return the options of a Keras loss that its function takes, such as Huber's delta; its config leaves them out."""
    options: dict[str, Any] = getattr(loss, "_fn_kwargs", {})
    return options

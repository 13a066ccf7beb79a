"""What the seed of a fit decides in a network besides its training: initial weights, and Keras' seed generators."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import all_layers, own_variables, unseeded_initializers
from skcnn._engine.threads import start_tensorflow

__all__ = ["drawn_again", "generator_states", "random_weights"]


def random_weights(model: Any) -> list[tuple[int, Any]]:
    """Find the weights that an initializer without a seed has drawn: their index and that initializer.

    An initializer drawn once gives the same values when called again, so a weight that differs from what the layer's
    initializers give was set afterwards (pretrained) or has no random start, and is kept as it came.
    """
    index_of = {id(variable): i for i, variable in enumerate(model.weights)}
    found = []
    for layer in all_layers(model):
        unseeded = unseeded_initializers(layer)
        for variable in own_variables(layer) if unseeded else ():
            value = variable.numpy()
            variants = chain.from_iterable(_variants(one, value.ndim) for one in unseeded)
            drawn_by = next((one for one in variants if _draws(one, value)), None)
            if drawn_by is not None:
                found.append((index_of[id(variable)], drawn_by))
    return sorted(found, key=lambda pair: pair[0])


def drawn_again(drawn: list[tuple[int, Any]], model: Any, again: Any) -> list[tuple[int, Any]]:
    """Return those of the weights that differ in a model built with other seeds; what is equal was loaded.

    A weight that both models share says nothing.
    """
    if len(model.weights) != len(again.weights):
        return drawn
    pairs = list(zip(model.weights, again.weights, strict=True))
    return [(i, by) for i, by in drawn if pairs[i][0] is pairs[i][1] or not _are_equal(*pairs[i])]


def _are_equal(one: Any, other: Any) -> bool:
    return np.array_equal(one.numpy(), other.numpy())


def _variants(initializer: Any, rank: int) -> Iterator[Any]:
    """Yield an initializer, and those of other fans that a layer may have made of it, as EinsumDense does."""
    yield initializer
    config = initializer.get_config()
    if "input_axes" in config:
        for n_inputs in range(1, rank):
            axes = {"input_axes": list(range(n_inputs)), "output_axes": list(range(n_inputs, rank))}
            yield type(initializer).from_config(config | axes | {"seed": initializer.seed})


def _draws(initializer: Any, value: np.ndarray) -> bool:
    try:
        return np.array_equal(value, np.asarray(initializer(value.shape, dtype=value.dtype.name)))
    except (TypeError, ValueError):  # made for another shape, as Orthogonal for vectors
        return False


def generator_states(parts: Iterable[Any]) -> list[tuple[Any, list[int] | None]]:
    """Find the states of Keras' seed generators in a model and layers.

    Returns
    -------
    list of (tf.Variable, list of int or None)
        Each state, and its first value if the user gave the seed.
    """
    _, keras = start_tensorflow()
    found = []
    for part in parts:
        values = chain.from_iterable(vars(layer).values() for layer in [part, *all_layers(part)])
        generators = (value for value in values if isinstance(value, keras.random.SeedGenerator))
        seeded = {id(one.state) for one in generators if one.get_config()["seed"] is not None}
        weights = {id(variable) for variable in part.weights}
        for state in part.variables:
            if id(state) not in weights:
                found.append((state.value, state.numpy().tolist() if id(state) in seeded else None))
    return found

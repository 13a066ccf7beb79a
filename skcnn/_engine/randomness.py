"""What the seed of a fit decides in a network besides its training: initial weights, and Keras' seed generators."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import all_layers, own_variables, unseeded_initializers
from skcnn._engine.threads import start_tensorflow

__all__ = ["are_all_known", "changing_weights", "generator_states", "random_weights"]


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


def are_all_known(drawn: list[tuple[int, Any]], model: Any) -> bool:
    """Tell whether all weights but those that are drawn start at zero or at one, as biases and statistics do."""
    by_index = dict(drawn)
    return all(i in by_index or _is_zero_or_one(weight.numpy()) for i, weight in enumerate(model.weights))


def _is_zero_or_one(value: np.ndarray) -> bool:
    return not value.size or (value.min() == value.max() and value.max() in (0, 1))


def changing_weights(model: Any, again: Any) -> set[int]:
    """Return the indices of weights that are others in another build of a model, or of which that says nothing.

    These are weights that both share, and all weights of models of which each has another number.
    """
    if len(model.weights) != len(again.weights):
        return set(range(len(model.weights)))
    pairs = enumerate(zip(model.weights, again.weights, strict=True))
    return {i for i, (one, other) in pairs if one is other or not np.array_equal(one.numpy(), other.numpy())}


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

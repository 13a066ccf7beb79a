"""The frozen part of a network: the layers before the first that is trained, whose outputs no step changes."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from skcnn._engine.keras_internals import all_layers, calls_of, has_mask
from skcnn._engine.structure import behaviour_of_model
from skcnn._engine.threads import start_tensorflow

__all__ = ["Frozen", "frozen_part"]

OWN_MODULES = ("keras.", "skcnn.")  # whose layers do the same each time unless they have variables, such as seeds


@dataclass(frozen=True, eq=False)
class Frozen:
    """A network in two parts, on its own layers and weights.

    Attributes
    ----------
    part : keras.Model
        From samples to features. It predicts, whatever the network does: frozen dropout drops nothing.
    rest : keras.Model
        From features to the outputs of the network.
    shape : tuple of int
        Shape of the features of a sample, which no sample has.
    dtype : str
        Their type.
    indices : list of int
        Which of the network's weights are those of the part.
    key : str
        What it computes, apart from its weights.
    """

    part: Any
    rest: Any
    shape: tuple[int, ...]
    dtype: str
    indices: list[int]
    key: str

    def has(self, X: Any) -> bool:
        """Tell whether X are features, not samples."""
        return bool(X.shape[1:] == self.shape)

    @property
    def sample_bytes(self) -> int:
        """Bytes of the features of a sample."""
        return math.prod(self.shape) * (8 if self.dtype == "float64" else 4)


def frozen_part(model: Any, sample_shape: tuple[int, ...]) -> Frozen | None:
    """Split a network where all that follows depends on one tensor alone, as late as nothing is trained before.

    Returns
    -------
    Frozen or None
        None if no layer with weights is frozen there, or the features could be taken for samples.
    """
    _, keras = start_tensorflow()
    features = _last_bottleneck(model)
    if features is None or features.dtype not in ("float32", "float64") or has_mask(features):
        return None
    shape = tuple(features.shape[1:])
    if None in shape or shape == tuple(sample_shape):
        return None
    part = keras.Model(model.inputs[0], features)
    if not part.weights:
        return None
    index_of = {id(weight): i for i, weight in enumerate(model.weights)}
    indices = [index_of[id(weight)] for weight in part.weights]
    key = behaviour_of_model(part) or uuid4().hex  # of settings that Python does not show nothing can be said
    return Frozen(part, keras.Model(features, model.outputs[0]), shape, features.dtype, indices, key)


def _last_bottleneck(model: Any) -> Any:
    """Return the last tensor on all ways to the output before which nothing is trained or random; None without one."""
    calls = calls_of(model) or []
    left = Counter(id(tensor) for call in calls for tensor in call.input_tensors)  # how often each is used
    alive, found = set(), None
    for call in calls[:-1]:
        if not _does_the_same(call.operation):
            break
        for tensor in call.input_tensors:
            left[id(tensor)] -= 1
            if not left[id(tensor)]:
                alive.discard(id(tensor))
        alive.update(id(output) for output in call.outputs)
        if len(alive) == 1 and not call.is_input:
            found = call.outputs[0]
    return found


def _does_the_same(operation: Any) -> bool:
    """Tell whether an operation makes the same of a sample in each step of training, if it predicts."""
    _, keras = start_tensorflow()
    if not isinstance(operation, keras.Layer):  # an operation of keras.ops
        return True
    if operation.trainable_variables:
        return False
    if not operation.trainable:  # which the user has frozen
        return True
    layers = [operation, *all_layers(operation)]
    known = all(type(one).__module__.startswith(OWN_MODULES) for one in layers)
    return known and not operation.variables and not any(isinstance(one, keras.layers.Lambda) for one in layers)

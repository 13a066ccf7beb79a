"""What a built Keras model computes, apart from its weights: the same digest means the same function of the weights."""

from typing import Any

from skcnn._engine.behaviour import behaviour_of, without_number
from skcnn._engine.keras_internals import all_layers, wiring_of

__all__ = ["behaviour_of_model", "check_unchanged", "structure_of"]


def structure_of(model: Any) -> str:
    """Return a digest of the operations of a model, their settings and how they are connected."""
    # Of settings that Python does not show nothing can be said.
    return behaviour_of_model(model) or str(behaviour_of(_weights(model)).key)


def behaviour_of_model(model: Any) -> str | None:
    """Return that digest, or None for a model with settings that Python does not show."""
    classes = [type(layer) for layer in all_layers(model)]
    return behaviour_of([_described(model), classes, _weights(model)]).key


def _weights(model: Any) -> list[Any]:
    return [(tuple(weight.shape), weight.dtype, weight.trainable) for weight in model.weights]


def check_unchanged(structure: str, model: Any) -> None:
    """Refuse a model that is not what was built before, if that is known.

    Raises
    ------
    ValueError
        If its structure is another.
    """
    if structure and structure_of(model) != structure:
        raise ValueError(
            "The network builds another model than when this estimator was fitted, to which the fitted weights do not "
            "belong. Fit again, or restore the function, class or files that build the network."
        )


def _described(model: Any) -> list[Any]:
    return [[_operation(one), without_number(arguments)] for one, arguments in wiring_of(model)]


def _operation(one: Any) -> list[Any]:
    if hasattr(one, "layers"):  # a model within the model
        return [type(one).__name__, _described(one)]
    try:
        settings = one.get_config()
    except Exception:  # of a custom layer that does not tell its own
        plain = {name: value for name, value in vars(one).items() if isinstance(value, (int, float, str, tuple))}
        settings = {name: value for name, value in plain.items() if not name.endswith("_path")}  # with Keras' numbers
    return [type(one), without_number(settings)]

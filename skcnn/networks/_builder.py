"""`build_model`: a network, named or custom, as a Keras model that fits the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skcnn._engine.keras_internals import final_activation
from skcnn.networks._applications import MissingFileError
from skcnn.networks._network import Network

__all__ = ["NetworkBuilder", "build_model"]


def build_model(
    network: Any, input_shape: tuple[int, ...], n_outputs: int, rates: Mapping[str, float] | None = None
) -> Any:
    """Build the Keras model of a network and check that it fits the data.

    Parameters
    ----------
    network : Network or callable
        The network.
    input_shape, n_outputs : tuple of int, int
        Shape of a sample, channels last, and number of outputs.
    rates : mapping of str to float, default=None
        Rates of the dropout layers that are on, see `Network.build`.

    Raises
    ------
    TypeError
        If the network does not return a Keras model.
    ValueError
        If the network cannot take `input_shape`, has another number of outputs, or ends in a sigmoid or softmax.
    """
    import keras

    name = getattr(network, "__name__", type(network).__name__)
    if isinstance(network, keras.Layer):  # a model is one, too
        kind = "model" if isinstance(network, keras.Model) else "layer"
        raise TypeError(
            f"network is a Keras {kind} ({network.name!r}); expected a function (input_shape, n_outputs) -> "
            "keras.Model that builds a new one for every fit. Move the code that builds it there."
        )
    try:
        model = network.build(input_shape, n_outputs, **rates) if rates else network(input_shape, n_outputs)
    except (Warning, MissingFileError):  # the former an error by choice of the user; the network is not to blame
        raise
    except Exception as error:
        raise ValueError(
            f"The network {name} could not be built for input_shape={input_shape} and n_outputs={n_outputs}: {error} "
            "Change the network, or the input_shape of the estimator (channels last)."
        ) from error
    if not isinstance(model, keras.Model):
        raise TypeError(f"The network {name} returned {type(model).__name__}; expected a keras.Model.")
    _check_model(model, name, input_shape, n_outputs)
    found = {getattr(layer, "strength", None) for layer in model.layers}
    for rate in rates or ():
        if rate not in found:
            raise ValueError(
                f"{rate} has no place in the network {name}, which has no {_PLACES[rate]}. Leave {rate} at 0, or use "
                "another network."
            )
    return model


@dataclass(frozen=True)
class NetworkBuilder:
    """`build_model` with its arguments: plain data, so that fitted estimators are saved without a function in them.

    Attributes
    ----------
    network : Network or callable
        What is built.
    input_shape : tuple of int
        Shape of a sample, channels last.
    n_outputs : int
        Number of outputs.
    rates : mapping of str to float
        Rates of the dropout layers that are on.
    """

    network: Any
    input_shape: tuple[int, ...]
    n_outputs: int
    rates: Mapping[str, float] = field(default_factory=dict)

    def without_weights(self) -> "NetworkBuilder":
        """Return a builder of the same model that reads no weights, which it will be given."""
        return replace(self, network=self.network._without_weights()) if isinstance(self.network, Network) else self

    def __call__(self) -> Any:
        """Return a new Keras model."""
        return build_model(self.network, self.input_shape, self.n_outputs, self.rates)


_PLACES = {
    "dropout": "skcnn.networks.Dropout",
    "spatial_dropout": "skcnn.networks.spatial_dropout after its convolutions",
    "stochastic_depth": "residual branches with skcnn.networks.stochastic_depth",
}


def _check_model(model: Any, name: str, input_shape: tuple[int, ...], n_outputs: int) -> None:
    import keras

    if not hasattr(model, "operations") and not isinstance(model, keras.Sequential):
        raise ValueError(
            f"The network {name} returned a keras.Model with its own call(), whose layers cannot be seen. Write it as "
            "keras.Model(inputs, outputs), or as a keras.Sequential with a keras.Input."
        )
    if not model.built:
        model.build((None, *input_shape))
    inputs, outputs = model.input_shape, model.output_shape
    if not isinstance(inputs, tuple) or not isinstance(outputs, tuple):
        raise ValueError(f"The network {name} has several inputs or outputs; expected one of each.")
    sizes = zip(inputs[1:], input_shape, strict=False)
    if len(inputs) != len(input_shape) + 1 or any(size not in (None, given) for size, given in sizes):
        raise ValueError(
            f"The network {name} takes samples of shape {inputs[1:]}, but X has samples of shape {input_shape}. Use "
            "the input_shape that the function is given, or change input_shape of the estimator."
        )
    if outputs[1:] != (n_outputs,):
        raise ValueError(
            f"The network {name} has outputs of shape {outputs[1:]}, expected ({n_outputs},): one logit for two "
            "classes, else one per class, label or target. End it with Dense(n_outputs)."
        )
    ending, _ = final_activation(model)
    if ending:
        raise ValueError(
            f"The network {name} ends in {ending}; expected logits, since the loss applies {ending} itself. End the "
            "network with Dense(n_outputs) without activation."
        )

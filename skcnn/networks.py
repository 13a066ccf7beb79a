"""Networks as objects with parameters, so that they are tuned like any nested estimator.

``CNNClassifier(network=Plain(filters=(16, 32)))`` makes ``network__filters`` a parameter of a grid.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from skcnn.diagram import DiagramMixin

__all__ = ["NETWORKS", "Network", "Plain", "build_model", "resolve_network"]


class Network(DiagramMixin, BaseEstimator):
    """Base class of networks: a subclass writes `features`, the rest is the same for all.

    The arguments of ``__init__`` become tunable parameters (``network__...``). A network is also a function
    ``(input_shape, n_outputs) -> keras.Model``.

    Examples
    --------
    >>> import keras
    >>> from skcnn.networks import Network
    >>> class Wide(Network):
    ...     def __init__(self, units=64):
    ...         self.units = units
    ...     def features(self, x):
    ...         return keras.layers.Dense(self.units, activation="relu")(keras.layers.Flatten()(x))
    >>> Wide(units=8)((4, 4, 1), 3).count_params()
    163
    """

    _parameter_constraints: dict[str, list[Any]] = {}

    def features(self, x: Any) -> Any:
        """Lay the layers from the input to the features; the output layer is added by `build`.

        Parameters
        ----------
        x : keras.KerasTensor of shape (None, *input_shape)
            Input, channels last.

        Returns
        -------
        keras.KerasTensor of shape (None, n_features)
        """
        raise NotImplementedError(f"{type(self).__name__} must define features(self, x).")

    def build(
        self,
        input_shape: Sequence[int],
        n_outputs: int,
        dropout: float = 0.0,
        spatial_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
    ) -> Any:
        """Return the network as a Keras model whose outputs are logits.

        Parameters
        ----------
        input_shape : sequence of int
            Shape of one row, channels last: (steps, channels), (height, width, channels) or
            (depth, height, width, channels).
        n_outputs : int
            Number of outputs.
        dropout : float in [0, 1), default=0.0
            Share of the features that is dropped before the output layer while training.
        spatial_dropout : float in [0, 1), default=0.0
            Share of the channels that `skcnn.layers.spatial_dropout` drops, wherever the network lays it.
        stochastic_depth : float in [0, 1), default=0.0
            How often `skcnn.layers.stochastic_depth` leaves the last residual branch out, if the network lays it.

        Returns
        -------
        keras.Model
        """
        import keras

        from skcnn.layers import Dropout, rates

        inputs = keras.Input(tuple(input_shape), dtype=keras.config.dtype_policy().compute_dtype)
        with rates(spatial_dropout=spatial_dropout, stochastic_depth=stochastic_depth):
            x = self.features(inputs)
        if dropout:
            x = Dropout(dropout, name="dropout")(x)
        return keras.Model(inputs, keras.layers.Dense(n_outputs, name="logits")(x))

    def __call__(self, input_shape: Sequence[int], n_outputs: int) -> Any:
        """Return the network as a Keras model, see `build`."""
        return self.build(input_shape, n_outputs)


class Plain(Network):
    """Blocks of convolution, normalisation, activation and pooling; for series, images and volumes.

    For each entry of `filters`: convolution (same padding), normalisation if any, activation, max-pooling by 2 of every
    axis that still has at least 2 positions, spatial dropout if the estimator's is on. Then `pooling`, then one dense
    layer per entry of `dense_units`.

    Parameters
    ----------
    filters : tuple of int, default=(32, 64)
        Filters of each convolution.
    kernel_size : int, default=3
        Length of the kernels along each axis.
    pooling : {"avg", "max", None}, default=None
        What is made of the last feature map: the mean or the maximum of each channel, or with None all of it
        (flattened), as in Keras Applications. Small inputs need their positions, so None is the default.
    dense_units : tuple of int, default=()
        Units of each dense layer between feature map and output.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation between convolution and activation. The convolution before it has no bias, which the
        normalisation would cancel. "batch" is the default because it learns from small data and unscaled inputs.

    Examples
    --------
    >>> from skcnn.networks import Plain
    >>> model = Plain(filters=(8, 16))((8, 8, 1), 10)
    >>> model.output_shape
    (None, 10)
    """

    # Half-life of the moving statistics is about 7 steps: Keras' 0.99 (69 steps) lags behind the weights for
    # the whole of a short fit, so that a network predicts with statistics that it no longer has.
    batch_momentum = 0.9

    _parameter_constraints: dict[str, list[Any]] = {
        "filters": ["array-like"],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"avg", "max"}), None],
        "dense_units": ["array-like"],
        "activation": [str],
        "normalization": [StrOptions({"batch", "layer"}), None],
    }

    def __init__(
        self,
        filters: Sequence[int] = (32, 64),
        *,
        kernel_size: int = 3,
        pooling: str | None = None,
        dense_units: Sequence[int] = (),
        activation: str = "relu",
        normalization: str | None = "batch",
    ) -> None:
        self.filters = filters
        self.kernel_size = kernel_size
        self.pooling = pooling
        self.dense_units = dense_units
        self.activation = activation
        self.normalization = normalization

    def features(self, x: Any) -> Any:
        """Lay the blocks, the pooling and the dense layers, see the class."""
        from keras import layers

        from skcnn.layers import BatchNormalization, spatial_dropout

        self._validate_params()
        for name in ("filters", "dense_units"):
            _check_sizes(self, name)
        rank = len(x.shape) - 2
        if rank not in (1, 2, 3):
            raise ValueError(
                f"Plain takes rows of shape (steps, channels), (height, width, channels) or (depth, height, width, "
                f"channels); got {tuple(x.shape[1:])}."
            )
        convolution = getattr(layers, f"Conv{rank}D")
        pool = getattr(layers, f"MaxPooling{rank}D")
        last = {"data_format": "channels_last"}
        for filters in self.filters:
            x = convolution(
                int(filters), int(self.kernel_size), padding="same", use_bias=self.normalization is None, **last
            )(x)
            if self.normalization == "batch":
                x = BatchNormalization(momentum=self.batch_momentum)(x)
            elif self.normalization == "layer":
                x = layers.LayerNormalization()(x)
            x = layers.Activation(self.activation)(x)
            sizes = tuple(2 if size >= 2 else 1 for size in x.shape[1:-1])
            if max(sizes) > 1:
                x = pool(sizes, **last)(x)
            x = spatial_dropout(x)
        if self.pooling is None:
            x = layers.Flatten(**last)(x)
        else:
            kind = {"avg": "Average", "max": "Max"}[self.pooling]
            x = getattr(layers, f"Global{kind}Pooling{rank}D")(**last)(x)
        for units in self.dense_units:
            x = layers.Dense(int(units), activation=self.activation)(x)
        return x


def _check_sizes(network: Network, name: str) -> None:
    """Check that a parameter is a sequence of positive integers."""
    sizes = getattr(network, name)
    if any(not isinstance(size, Integral) or isinstance(size, bool) or size < 1 for size in sizes):
        raise ValueError(
            f"The {name!r} parameter of {type(network).__name__} must be a sequence of positive integers, one per "
            f"layer. Got {sizes!r} instead."
        )


NETWORKS: dict[str, type[Network]] = {"plain": Plain}


def resolve_network(network: Any) -> Any:
    """Return a network with its defaults for a name, and anything else as it is."""
    return NETWORKS[network]() if isinstance(network, str) else network


def build_model(
    network: Any, input_shape: tuple[int, ...], n_outputs: int, rates: Mapping[str, float] | None = None
) -> Any:
    """Build the Keras model of a network and check that it fits the data.

    Parameters
    ----------
    network : Network or callable
        The network.
    input_shape, n_outputs : tuple of int, int
        What it must take and put out.
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
    if isinstance(network, keras.Model):
        raise TypeError(
            f"network is a Keras model ({network.name!r}); expected a function (input_shape, n_outputs) -> keras.Model "
            "that builds a new one, so that every fold can start anew. Move the lines that build the model into one."
        )
    try:
        model = network.build(input_shape, n_outputs, **rates) if rates else network(input_shape, n_outputs)
    except Exception as error:
        raise ValueError(
            f"The network {name} could not be built for input_shape={input_shape} and n_outputs={n_outputs}: {error} "
            "Change the network, or the input_shape of the estimator (channels last)."
        ) from error
    if not isinstance(model, keras.Model):
        raise TypeError(f"The network {name} returned {type(model).__name__}; expected a keras.Model.")
    _check_model(model, name, input_shape, n_outputs)
    laid = {getattr(layer, "strength", None) for layer in model.layers}
    for rate in rates or ():
        if rate not in laid:
            raise ValueError(
                f"{rate} has no place in the network {name}, {_PLACES[rate]}. Leave {rate} at 0, or take "
                "another network."
            )
    return model


_PLACES = {
    "dropout": "which has no skcnn.layers.Dropout",
    "spatial_dropout": "which lays no skcnn.layers.spatial_dropout after its convolutions",
    "stochastic_depth": "which has no residual branches with skcnn.layers.stochastic_depth",
}


def _check_model(model: Any, name: str, input_shape: tuple[int, ...], n_outputs: int) -> None:
    if not model.built:
        model.build((None, *input_shape))
    inputs, outputs = model.input_shape, model.output_shape
    if not isinstance(inputs, tuple) or not isinstance(outputs, tuple):
        raise ValueError(f"The network {name} has several inputs or outputs; expected one of each.")
    if len(inputs) != len(input_shape) + 1 or any(
        size not in (None, given) for size, given in zip(inputs[1:], input_shape, strict=True)
    ):
        raise ValueError(
            f"The network {name} takes rows of shape {inputs[1:]}, but the rows have shape {input_shape}. Use the "
            "input_shape that the function is given, or change input_shape of the estimator."
        )
    if outputs[1:] != (n_outputs,):
        raise ValueError(
            f"The network {name} has outputs of shape {outputs[1:]}, expected ({n_outputs},): one logit for two "
            "classes, one logit a class or label for more, one value per target in regression. End it with "
            "Dense(n_outputs)."
        )
    ending = _ending(model)
    if ending:
        raise ValueError(
            f"The network {name} ends in {ending}; expected logits, since the loss applies it itself and applying it "
            "twice flattens the gradient. End the network with Dense(n_outputs) without activation."
        )


def _ending(model: Any) -> str | None:
    """Name the sigmoid or softmax that a model ends in, looking through its last layers."""
    layer = model
    while getattr(layer, "layers", None):
        operations = getattr(layer, "operations", None) or layer.layers
        layer = operations[-1]
    name = getattr(getattr(layer, "activation", None), "__name__", type(layer).__name__).lower()
    return name if name in ("sigmoid", "softmax") else None

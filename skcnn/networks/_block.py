"""`Block`: the layers that networks are laid of, for series, images and volumes alike."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from skcnn._sklearn.internals import Interval, StrOptions
from skcnn.networks._network import Network

__all__ = ["BLOCK_CONSTRAINTS", "DEEPEST", "SIZE", "Block", "check_sizes"]

AXES = {1: "(steps, channels)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}

# Beyond these a slip of the keyboard is more likely than a network, which would be built until memory is full.
LARGEST, DEEPEST = 2**16, 1000
SIZE = Interval(Integral, 1, LARGEST, closed="both")

BLOCK_CONSTRAINTS: dict[str, list[Any]] = {
    "activation": [str],
    "normalization": [StrOptions({"batch", "layer"}), None],
}


class Block:
    """Lays layers for inputs of one rank, in the style of one network.

    Parameters
    ----------
    network : Network
        Whose `activation`, `normalization` and `batch_momentum` are used.
    x : keras.KerasTensor
        Input of the network.
    ranks : sequence of int, default=(1, 2, 3)
        Which numbers of axes besides the channels the network takes.
    why : str, default=""
        Why it takes no others, and what to do.
    """

    # Half-life of the moving statistics is about 7 steps: Keras' 0.99 (69 steps) lags behind the weights for
    # the whole of a short fit, so that a network predicts with statistics that it no longer has.
    batch_momentum = 0.9

    def __init__(self, network: Any, x: Any, ranks: Sequence[int] = (1, 2, 3), why: str = "") -> None:
        _check_activation(network)
        self.network = network
        self.rank = len(x.shape) - 2
        if self.rank not in ranks:
            shapes = [AXES[rank] for rank in ranks]
            expected = " or ".join(filter(None, [", ".join(shapes[:-1]), shapes[-1]]))
            raise ValueError(
                f"{type(network).__name__} takes rows of shape {expected}; got {tuple(x.shape[1:])}.{why and ' ' + why}"
            )

    def of(self, name: str, *arguments: Any, **settings: Any) -> Any:
        """Return Keras' layer of this rank, channels last: ``of("Conv", 8, 3)`` is `keras.layers.Conv2D` for images."""
        from keras import layers

        return getattr(layers, f"{name}{self.rank}D")(*arguments, data_format="channels_last", **settings)

    def convolve(self, x: Any, filters: int, kernel_size: int, strides: int = 1, bias: bool = True) -> Any:
        """Convolve, same padding. The bias is left out where a normalisation follows, which would cancel it."""
        bias = bias and self.network.normalization is None
        return self.of("Conv", int(filters), int(kernel_size), strides=strides, padding="same", use_bias=bias)(x)

    def normalize(self, x: Any) -> Any:
        """Normalise as the network says."""
        from keras import layers

        from skcnn._engine.layers import BatchNormalization

        if self.network.normalization == "batch":
            return BatchNormalization(momentum=self.batch_momentum)(x)
        return x if self.network.normalization is None else layers.LayerNormalization()(x)

    def activate(self, x: Any) -> Any:
        """Apply the activation of the network."""
        from keras import layers

        return layers.Activation(self.network.activation)(x)

    def halve(self, x: Any) -> Any:
        """Take the maxima of two positions of every axis that has at least two."""
        from skcnn._engine.layers import MaxPooling3D

        sizes = tuple(2 if size >= 2 else 1 for size in x.shape[1:-1])
        if max(sizes) == 1:
            return x
        if self.rank == 3 and x.dtype == "float64":
            return MaxPooling3D(sizes, data_format="channels_last")(x)
        return self.of("MaxPooling", sizes)(x)

    def add(self, shortcut: Any, residual: Any, share: float) -> Any:
        """Add a residual, with the estimator's stochastic depth at this `share` of its rate, and activate."""
        from keras import layers

        from skcnn._engine.layers import stochastic_depth

        return self.activate(layers.Add()([shortcut, stochastic_depth(residual, share)]))

    def average(self, x: Any) -> Any:
        """Return the mean of each channel."""
        return self.of("GlobalAveragePooling")(x)


def _check_activation(network: Network) -> None:
    from keras import activations

    name = network.get_params()["activation"]
    try:
        activations.get(name)
    except (TypeError, ValueError):
        raise ValueError(
            f"The 'activation' parameter of {type(network).__name__} must be the name of a Keras activation, such as "
            f"'relu' or 'gelu'. Got {name!r} instead."
        ) from None


def check_sizes(network: Network, name: str, length: int | None = None) -> None:
    """Check that a parameter is a sequence of positive integers.

    Parameters
    ----------
    network : Network
        Whose parameter it is.
    name : str
        Its name.
    length : int, default=None
        How many there must be; any number with None.

    Raises
    ------
    ValueError
        If it is not.
    """
    sizes = getattr(network, name)
    if not _are_sizes(sizes):
        raise ValueError(
            f"The {name!r} parameter of {type(network).__name__} must be a sequence of positive integers, one per "
            f"layer, none above {LARGEST:,}. Got {sizes!r} instead."
        )
    if length is not None and len(sizes) != length:
        raise ValueError(
            f"The {name!r} parameter of {type(network).__name__} must have {length} entries, one per layer. "
            f"Got {sizes!r} instead."
        )


def _are_sizes(values: Any) -> bool:
    try:
        sizes = list(values)
    except TypeError:  # an array without axes
        return False
    return len(sizes) <= DEEPEST and all(SIZE.is_satisfied_by(size) and not isinstance(size, bool) for size in sizes)

"""`ConvolutionalNetwork`: what the named networks share, for series, images and volumes alike."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from skcnn._sklearn.internals import Interval, StrOptions
from skcnn.networks._network import Network

__all__ = ["DEEPEST", "SIZE", "ConvolutionalNetwork"]

AXES = {1: "(steps, channels)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}

# Beyond these a slip of the keyboard is more likely than a network, which would be built until memory is full.
LARGEST, DEEPEST = 2**16, 1000
SIZE = Interval(Integral, 1, LARGEST, closed="both")

# Half-life of the moving statistics is about 7 steps: Keras' 0.99 (69 steps) lags behind the weights for the whole of a
# short fit, so that a network predicts with statistics that it no longer has.
BATCH_MOMENTUM = 0.9


@dataclass(eq=False, repr=False, kw_only=True)
class ConvolutionalNetwork(Network):
    """Base class of the named networks, which write `_features`; layers are of the rank of their input, channels last.

    Parameters are the fields of a dataclass. Sequences among them, declared as "array-like", are sizes.
    """

    activation: str = "relu"
    normalization: str | None = "batch"

    _series_only = False

    # Of all parameters that several networks have, and mean the same by.
    _parameter_constraints = {
        "activation": [str],
        "filters": ["array-like"],
        "kernel_size": [SIZE],
        "kernel_sizes": ["array-like"],
        "normalization": [StrOptions({"batch", "layer"}), None],
    }

    def _check_values(self) -> None:
        super()._check_values()
        for name, value in self.get_params(deep=False).items():
            if isinstance(value, str):  # such as "auto", which has been checked
                continue
            if "array-like" in self._parameter_constraints.get(name, ()) and not _are_sizes(value):
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must be a sequence of positive integers, one per "
                    f"layer, none above {LARGEST:,}. Got {value!r} instead."
                )

    def features(self, x: Any) -> Any:
        """Add the layers from the input to the features, see the class."""
        self._check_values()
        self._check_activation()
        shape = tuple(x.shape[1:])
        takes = {1: AXES[1]} if self._series_only else AXES
        if len(shape) - 1 not in takes:
            why = " Its kernels are meant for series: for others use ImageResNet()." if self._series_only else ""
            expected = " or ".join(takes.values())
            raise ValueError(f"{type(self).__name__} takes samples of shape {expected}; got {shape}.{why}")
        return self._features(x)

    def _check_activation(self) -> None:
        """Refuse what only Keras, which `check_grid` does not start, knows to be no name of an activation."""
        from keras import activations

        try:
            activations.get(self.activation)
        except (TypeError, ValueError):
            raise ValueError(
                f"The 'activation' parameter of {type(self).__name__} must be the name of a Keras activation, such as "
                f"'relu' or 'gelu'. Got {self.activation!r} instead."
            ) from None

    def _features(self, x: Any) -> Any:
        raise NotImplementedError

    # Layers ---------------------------------------------------------------------------------------------------------

    def _layer(self, x: Any, name: str, *arguments: Any, **settings: Any) -> Any:
        """Return Keras' layer of the rank of `x`: ``"Conv", 8, 3`` is `keras.layers.Conv2D` for images."""
        from keras import layers

        kind = getattr(layers, f"{name}{len(x.shape) - 2}D")
        return kind(*arguments, data_format="channels_last", **settings)

    def _convolve(self, x: Any, filters: int, kernel_size: int, strides: int = 1, bias: bool = True) -> Any:
        """Convolve, same padding. The bias is left out where a normalisation follows, which would cancel it."""
        bias = bias and self.normalization is None
        sizes = int(filters), int(kernel_size)
        return self._layer(x, "Conv", *sizes, strides=strides, padding="same", use_bias=bias)(x)

    def _normalize(self, x: Any) -> Any:
        from keras import layers

        from skcnn._engine.layers import BatchNormalization

        if self.normalization == "batch":
            return BatchNormalization(momentum=BATCH_MOMENTUM)(x)
        return x if self.normalization is None else layers.LayerNormalization()(x)

    def _activate(self, x: Any) -> Any:
        from keras import layers

        return layers.Activation(self.activation)(x)

    def _block(self, x: Any, filters: int, kernel_size: int, strides: int = 1) -> Any:
        """Convolve, normalise and activate."""
        return self._activate(self._normalize(self._convolve(x, filters, kernel_size, strides)))

    def _halve(self, x: Any) -> Any:
        """Take the maxima of two positions of every axis that has at least two."""
        from skcnn._engine.layers import MaxPooling3D

        sizes = tuple(2 if size >= 2 else 1 for size in x.shape[1:-1])
        if max(sizes) == 1:
            return x
        if len(sizes) == 3 and x.dtype == "float64":
            return MaxPooling3D(sizes, data_format="channels_last")(x)
        return self._layer(x, "MaxPooling", sizes)(x)

    def _add(self, shortcut: Any, residual: Any, share: float) -> Any:
        """Add a residual, with the estimator's stochastic depth at this `share` of its rate, and activate."""
        from keras import layers

        from skcnn._engine.layers import stochastic_depth

        return self._activate(layers.Add()([shortcut, stochastic_depth(residual, share)]))

    def _drop_channels(self, x: Any) -> Any:
        """Apply the estimator's spatial dropout."""
        from skcnn._engine.layers import spatial_dropout

        return spatial_dropout(x)

    def _average(self, x: Any) -> Any:
        """Return the mean of each channel."""
        return self._layer(x, "GlobalAveragePooling")(x)


def _are_sizes(values: Any) -> bool:
    try:
        sizes = list(values)
    except TypeError:  # an array without axes
        return False
    return len(sizes) <= DEEPEST and all(SIZE.is_satisfied_by(size) and not isinstance(size, bool) for size in sizes)

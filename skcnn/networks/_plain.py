"""`Plain`: blocks of convolution and pooling."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from skcnn._sklearn.internals import StrOptions
from skcnn.networks._convolutional import ConvolutionalNetwork

__all__ = ["Plain"]


@dataclass(eq=False, repr=False)
class Plain(ConvolutionalNetwork):
    """Blocks of convolution, normalisation, activation and pooling; for series, images and volumes.

    For each entry of `filters`: convolution (same padding), normalisation if any, activation, max-pooling by 2 of every
    axis that still has at least 2 positions, spatial dropout if the estimator's is on. Then `pooling`, then one dense
    layer per entry of `dense_units`.

    Parameters
    ----------
    filters : tuple of int, default=(32, 64)
        Filters of each convolution.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation between convolution and activation. The convolution before it has no bias, which the
        normalisation would cancel. "batch" is the default because it learns from small data and unscaled inputs.
    kernel_size : int, default=3
        Length of the kernels along each axis.
    pooling : {"avg", "max", None}, default=None
        What is made of the last feature map: the mean or the maximum of each channel, or with None all of it
        (flattened), as in Keras Applications. Small inputs need their positions, so None is the default.
    dense_units : tuple of int, default=()
        Units of each dense layer between feature map and output.

    Examples
    --------
    >>> from skcnn.networks import Plain
    >>> model = Plain(filters=(8, 16))((8, 8, 1), 10)
    >>> model.output_shape
    (None, 10)
    """

    _parameter_constraints = {
        **ConvolutionalNetwork._parameter_constraints,
        "pooling": [StrOptions({"avg", "max"}), None],
        "dense_units": ["array-like"],
    }

    filters: Sequence[int] = (32, 64)
    _: KW_ONLY
    kernel_size: int = 3
    pooling: str | None = None
    dense_units: Sequence[int] = ()

    def _features(self, x: Any) -> Any:
        from keras import layers

        for filters in self.filters:
            x = self._drop_channels(self._halve(self._block(x, filters, self.kernel_size)))
        if self.pooling is None:
            x = layers.Flatten(data_format="channels_last")(x)
        else:
            x = self._layer(x, {"avg": "GlobalAveragePooling", "max": "GlobalMaxPooling"}[self.pooling])(x)
        for units in self.dense_units:
            x = layers.Dense(int(units), activation=self.activation)(x)
        return x

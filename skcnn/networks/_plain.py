"""`Plain`: blocks of convolution and pooling."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from skcnn._engine.keras_internals import flat
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
    filters : tuple of int or "auto", default="auto"
        Filters of each convolution. "auto": 32, then 64 for each further block, of which there are as many as halve
        the longest axis to at most 8 positions, and at least two; so what a feature sees grows with the input.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation between convolution and activation. The convolution before it has no bias, which the
        normalisation would cancel. "batch" is the default because it learns from small data and unscaled inputs.
    kernel_size : int, default=3
        Length of the kernels along each axis.
    pooling : {"auto", "avg", "max", None}, default="auto"
        What is made of the last feature map: the mean or the maximum of each channel, or with None all of it
        (flattened), as in Keras Applications. "auto": the mean if two or more blocks leave at most 8 positions of the
        longest axis, each of which then sees much of the input, else all of it.
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
        "filters": ["array-like", StrOptions({"auto"})],
        "pooling": [StrOptions({"auto", "avg", "max"}), None],
        "dense_units": ["array-like"],
    }

    filters: Sequence[int] | Literal["auto"] = "auto"
    _: KW_ONLY
    kernel_size: int = 3
    pooling: Literal["auto", "avg", "max"] | None = "auto"
    dense_units: Sequence[int] = ()

    # Positions along the longest axis of the last feature map that "auto" aims at, at most.
    LAST = 8

    def filters_for(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Return the filters of each convolution for samples of a shape.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of a sample, channels last.

        Returns
        -------
        tuple of int
            Filters of each block.
        """
        if not isinstance(self.filters, str):
            return tuple(self.filters)
        size, filters = max(input_shape[:-1]) // 4, [32, 64]
        while size > self.LAST:
            size //= 2
            filters.append(64)
        return tuple(filters)

    def _features(self, x: Any) -> Any:
        from keras import layers

        blocks = self.filters_for(x.shape[1:])
        for filters in blocks:
            x = self._drop_channels(self._halve(self._block(x, filters, self.kernel_size)))
        pooling = self.pooling
        if pooling == "auto":
            pooling = "avg" if len(blocks) > 1 and max(x.shape[1:-1]) <= self.LAST else None
        x = flat(x, pooling)
        for units in self.dense_units:
            x = layers.Dense(int(units), activation=self.activation)(x)
        return x

"""Residual networks: `ResNet` for series and `ImageResNet` for images and volumes."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

from skcnn._sklearn.internals import Interval
from skcnn.networks._convolutional import DEEPEST, SIZE, ConvolutionalNetwork

__all__ = ["ImageResNet", "ResNet"]


@dataclass(eq=False, repr=False)
class ResNet(ConvolutionalNetwork):
    """Residual network of Wang, Yan and Oates [1]_, for series. For images and volumes see `ImageResNet`.

    A block per entry of `filters`: convolutions with `kernel_sizes` (same padding), each with normalisation, and
    activations between them; the block's input is added, normalised too, through a convolution of length 1 if it has
    other channels, and the sum is activated. Then the mean of each channel.

    Parameters
    ----------
    filters : tuple of int, default=(64, 128, 128)
        Filters of the convolutions of each block.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation after each convolution and of each block's input before it is added; the paper's is "batch".
    kernel_sizes : tuple of int, default=(8, 5, 3)
        Lengths of the kernels of the convolutions in a block.

    Notes
    -----
    The estimator's ``stochastic_depth`` skips the last block with that probability, and the l-th of L with l/L of it.

    References
    ----------
    .. [1] Z. Wang, W. Yan and T. Oates, "Time series classification from scratch with deep neural networks: a strong
       baseline", IJCNN 2017, https://arxiv.org/abs/1611.06455, figure 1c.

    Examples
    --------
    >>> from skcnn.networks import ResNet
    >>> ResNet()((150, 1), 2).count_params()
    505666
    """

    _series_only = True

    filters: Sequence[int] = (64, 128, 128)
    _: KW_ONLY
    kernel_sizes: Sequence[int] = (8, 5, 3)

    def _features(self, x: Any) -> Any:
        for number, filters in enumerate(self.filters, 1):
            shortcut = x if x.shape[-1] == filters else self._convolve(x, filters, 1)
            for i, kernel_size in enumerate(self.kernel_sizes):
                x = self._normalize(self._convolve(self._activate(x) if i else x, filters, kernel_size))
            x = self._drop_channels(self._add(self._normalize(shortcut), x, number / len(self.filters)))
        return self._average(x)


@dataclass(eq=False, repr=False)
class ImageResNet(ConvolutionalNetwork):
    """Residual network of He, Zhang, Ren and Sun [1]_ in its small form for CIFAR; images, volumes, and series too.

    A convolution with `filters` filters, then three stages of ``(depth - 2) / 6`` blocks of two convolutions, with 1, 2
    and 4 times `filters` filters; the second and third stage begin with stride 2. To each block its input is added:
    where the stage changes, those of its positions that the strided kernels are centred at, with zeros for the new
    channels, so that no shortcut has weights (option A of the paper). Then the mean of each channel.

    Parameters
    ----------
    depth : int, default=20
        Layers with weights: 8, 14, 20, 26, 32, ..., that is 6 n + 2.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation after each convolution; the paper's is "batch".
    filters : int, default=16
        Filters of the first stage.
    kernel_size : int, default=3
        Length of the kernels along each axis.

    Notes
    -----
    On colour images with 10 classes it has 0.27 million weights at depth 20, 0.46 at 32, 0.66 at 44, 0.85 at 56 and 1.7
    at 110, as in table 6 of the paper. The estimator's ``stochastic_depth`` skips the last block with that
    probability, and the l-th of L with l/L of it.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Deep residual learning for image recognition", CVPR 2016,
       https://arxiv.org/abs/1512.03385, section 4.2.

    Examples
    --------
    >>> from skcnn.networks import ImageResNet
    >>> ImageResNet(depth=8)((32, 32, 3), 10).count_params()
    75770
    """

    _parameter_constraints = {
        **ConvolutionalNetwork._parameter_constraints,
        "depth": [Interval(Integral, 8, DEEPEST, closed="both")],
        "filters": [SIZE],
    }

    depth: int = 20
    _: KW_ONLY
    filters: int = 16
    kernel_size: int = 3

    def _check_values(self) -> None:
        super()._check_values()
        if self.depth % 6 != 2:
            below = self.depth - (self.depth - 2) % 6
            raise ValueError(
                f"The 'depth' parameter of ImageResNet must be 6 n + 2 (one layer, three stages of n blocks of two "
                f"layers, the output). Got {self.depth}; the nearest are {below} and {below + 6}."
            )

    def _features(self, x: Any) -> Any:
        x = self._block(x, self.filters, self.kernel_size)
        n_blocks = (self.depth - 2) // 6
        for number in range(3 * n_blocks):
            stage, begins = number // n_blocks, number % n_blocks == 0
            filters, strides = self.filters * 2**stage, 2 if stage and begins else 1
            shortcut = _every_second(x, filters) if strides == 2 else x
            x = self._block(x, filters, self.kernel_size, strides)
            x = self._normalize(self._convolve(x, filters, self.kernel_size))
            x = self._drop_channels(self._add(shortcut, x, (number + 1) / (3 * n_blocks)))
        return self._average(x)


def _every_second(x: Any, filters: int) -> Any:
    """Take every second position of each axis, and put zeros into the channels that are new.

    With same padding Keras centres the first strided kernel of length 3 at position 0 if the size is odd, at 1 if it
    is even.
    """
    import keras

    positions = tuple(slice(1 - size % 2, None, 2) for size in x.shape[1:-1])
    x = x[(slice(None), *positions, slice(None))]
    return keras.ops.pad(x, [*([[0, 0]] * (len(x.shape) - 1)), [0, int(filters) - x.shape[-1]]])

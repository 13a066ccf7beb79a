"""`FCN`: the fully convolutional network for series."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from skcnn.networks._convolutional import ConvolutionalNetwork

__all__ = ["FCN"]


@dataclass(eq=False, repr=False)
class FCN(ConvolutionalNetwork):
    """Fully convolutional network of Wang, Yan and Oates [1]_, for series; images and volumes work too.

    For each entry of `filters`: convolution (same padding), normalisation, activation; then the mean of each channel.
    Nothing is pooled in between, so that the network sees as many steps as its kernels add up to: 14 with the defaults.

    Parameters
    ----------
    filters : tuple of int, default=(128, 256, 128)
        Filters of each convolution.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation between convolution and activation; the paper's is "batch". The convolution before it has no bias,
        which the normalisation would cancel.
    kernel_sizes : tuple of int, default=(8, 5, 3)
        Length of its kernels along each axis.

    Notes
    -----
    For series of one channel and n outputs it has 265,216 parameters and 129 n more. Published code has a bias for each
    filter besides, 512 more, which the normalisation cancels.

    References
    ----------
    .. [1] Z. Wang, W. Yan and T. Oates, "Time series classification from scratch with deep neural networks: a strong
       baseline", IJCNN 2017, https://arxiv.org/abs/1611.06455, figure 1b.

    Examples
    --------
    >>> from skcnn.networks import FCN
    >>> FCN()((150, 1), 2).count_params()
    265474
    """

    filters: Sequence[int] = (128, 256, 128)
    _: KW_ONLY
    kernel_sizes: Sequence[int] = (8, 5, 3)

    def _check_values(self) -> None:
        super()._check_values()
        if len(self.kernel_sizes) != len(self.filters):
            raise ValueError(
                f"The 'kernel_sizes' parameter of FCN must have {len(self.filters)} entries, one per layer. "
                f"Got {self.kernel_sizes!r} instead."
            )

    def _features(self, x: Any) -> Any:
        for filters, kernel_size in zip(self.filters, self.kernel_sizes, strict=True):
            x = self._drop_channels(self._block(x, filters, kernel_size))
        return self._average(x)

"""`Inception`: the network of which InceptionTime is an ensemble."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

from skcnn._sklearn.internals import Interval
from skcnn.networks._convolutional import DEEPEST, SIZE, ConvolutionalNetwork

__all__ = ["Inception"]


@dataclass(eq=False, repr=False)
class Inception(ConvolutionalNetwork):
    """Inception network of Ismail Fawaz et al. [1]_, for series.

    `depth` modules. A module reduces its input to `bottleneck` channels (a convolution of length 1; not if the input
    has one channel) and convolves the result with each of `kernel_sizes`, and the maxima over 3 steps of its input with
    kernels of length 1; the `filters` channels of each are concatenated, normalised and activated. The input of every
    three modules is added to their output, through a convolution of length 1 with normalisation, and the sum is
    activated. Then the mean of each channel.

    Parameters
    ----------
    depth : int, default=6
        Number of modules.
    activation : str, default="relu"
        Name of a Keras activation.
    normalization : {"batch", "layer", None}, default="batch"
        Normalisation of each module; the paper's is "batch".
    filters : int, default=32
        Filters of each of a module's convolutions; the module has ``filters * (len(kernel_sizes) + 1)`` channels.
    kernel_sizes : tuple of int, default=(40, 20, 10)
        Lengths of the parallel kernels.
    bottleneck : int or None, default=32
        Channels that the long kernels see; None: all of them.

    Notes
    -----
    The paper's InceptionTime is five of these, which differ in their seeds and whose probabilities are averaged::

        five = [(str(seed), CNNClassifier("inception", random_state=seed)) for seed in range(5)]
        VotingClassifier(five, voting="soft")

    The estimator's ``stochastic_depth`` skips the last three modules with that probability, and the l-th three of L
    with l/L of it.

    References
    ----------
    .. [1] H. Ismail Fawaz et al., "InceptionTime: finding AlexNet for time series classification", Data Mining and
       Knowledge Discovery 34, 2020, https://doi.org/10.1007/s10618-020-00710-y.

    Examples
    --------
    >>> from skcnn.networks import Inception
    >>> Inception()((150, 1), 2).count_params()
    422498
    """

    _series_only = True

    _parameter_constraints = {
        **ConvolutionalNetwork._parameter_constraints,
        "depth": [Interval(Integral, 1, DEEPEST, closed="both")],
        "filters": [SIZE],
        "bottleneck": [SIZE, None],
    }

    depth: int = 6
    _: KW_ONLY
    filters: int = 32
    kernel_sizes: Sequence[int] = (40, 20, 10)
    bottleneck: int | None = 32

    def _features(self, x: Any) -> Any:
        start = x
        for number in range(1, self.depth + 1):
            x = self._module(x)
            if number % 3 == 0:
                shortcut = self._normalize(self._convolve(start, x.shape[-1], 1))
                x = self._add(shortcut, x, number / (self.depth // 3 * 3))
            x = self._drop_channels(x)
            start = x if number % 3 == 0 else start
        return self._average(x)

    def _module(self, x: Any) -> Any:
        from keras import layers

        seen = x
        if self.bottleneck is not None and x.shape[-1] > 1:
            seen = self._convolve(x, self.bottleneck, 1, bias=False)
        maxima = self._layer(x, "MaxPooling", 3, strides=1, padding="same")(x)
        sides = [self._convolve(seen, self.filters, size) for size in self.kernel_sizes]
        sides.append(self._convolve(maxima, self.filters, 1))
        return self._activate(self._normalize(layers.Concatenate()(sides)))

"""Augmentation and mixing of samples in the graph of a training step; names are in `skcnn.augmentation`.

Every transformation is a function ``(X, strength, seed) -> X`` of a batch of floating-point samples, and draws for each
sample. `strength` multiplies how far it goes; 0 leaves the samples unchanged. `seed` alone decides what is drawn.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.interpolate import CubicSpline

__all__ = ["augment", "mix"]

Tensor = Any

# Seeds of the transformations of one step lie this far from those of its dropout layers.
_FIRST_STREAM = 1_000_000

# How far each goes at strength 1; a flip applies to half of the samples.
TRANSLATION = 0.1  # of height and width
ROTATION = 0.05  # of a full turn, 18 degrees
ZOOM = 0.1
CONTRAST = 0.2
BRIGHTNESS = 0.2  # of the batch's standard deviation, as all that is added
NOISE = 0.1
CUTOUT = 0.3  # of each side
SCALING = 0.1
TIME_SHIFT = 0.1  # of the length
WINDOW = 0.1  # of the length is cut off
WARPING = 0.2  # standard deviation of the curve
N_KNOTS = 6  # of a curve, its ends included


def augment(X: Tensor, transformations: Sequence[Any], strength: Tensor | None, seed: Tensor) -> Tensor:
    """Apply transformations, one after the other.

    Parameters
    ----------
    X : tensor of shape (n, *input_shape)
        Samples as the network sees them.
    transformations : sequence of str or keras.Layer
        Keys of `skcnn.augmentation.AUGMENTATIONS`, of which neighbours that move pixels are one resampling, or Keras
        layers.
    strength : scalar tensor or None
        Multiplies how far named transformations go; None if there are none.
    seed : int tensor of shape (2,)
        Differs from step to step.

    Returns
    -------
    tensor of the same shape
    """
    moves: list[str] = []
    for i, one in enumerate([*transformations, None]):
        if one in _MOVES:
            moves.append(one)
            continue
        if moves:
            X = _move(X, moves, strength, _stream(seed, i - 1))
            moves = []
        if isinstance(one, str):
            X = _FUNCTIONS[one](X, strength, _stream(seed, i))
        elif one is not None:
            X = one(X, training=True)
    return X


def _stream(seed: Tensor, i: int) -> Tensor:
    return seed + tf.constant([_FIRST_STREAM + 10 * i, 0], seed.dtype)


def _uniform(X: Tensor, seed: Tensor, i: int = 0, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Draw one number for each sample."""
    seed = seed + tf.constant([i, 0], seed.dtype)
    return tf.random.stateless_uniform(tf.shape(X)[:1], seed, low, high, X.dtype)


def _per_sample(values: Tensor, X: Tensor) -> Tensor:
    return tf.reshape(values, [-1, *[1] * (len(X.shape) - 1)])


# Images: what moves pixels is one affine map of each image, so that they are interpolated once ----------------------

_MOVES = ("flip", "vertical_flip", "translation", "rotation", "zoom")


def _move(X: Tensor, names: Sequence[str], strength: Tensor, seed: Tensor) -> Tensor:
    matrices = _affine(X, names, strength, seed)
    moved = keras.ops.image.affine_transform(X, matrices, "bilinear", "nearest", data_format="channels_last")
    return tf.cast(moved, X.dtype)


def _affine(X: Tensor, names: Sequence[str], strength: Tensor, seed: Tensor) -> Tensor:
    """Return where each image's pixels come from, as `keras.ops.image.affine_transform` wants it, (n, 8).

    About the centre, the pixel at p comes from R diag(zoom) p + shift, R being the rotation, and an axis that is
    flipped has its zoom negative.
    """
    height, width = (tf.constant(size, X.dtype) for size in X.shape[1:3])
    zero = tf.zeros(tf.shape(X)[:1], X.dtype)
    along = {"x": zero + 1, "y": zero + 1}
    angle = dx = dy = zero
    if "zoom" in names:
        zoom = 1 + ZOOM * strength * _uniform(X, seed, 0)
        along = {"x": zoom, "y": zoom}
    for i, (name, axis) in enumerate((("flip", "x"), ("vertical_flip", "y"))):
        if name in names:
            along[axis] *= tf.where(_uniform(X, seed, 1 + i) < 0, -tf.ones_like(zero), tf.ones_like(zero))
    if "rotation" in names:
        angle = 2 * math.pi * ROTATION * strength * _uniform(X, seed, 3)
    if "translation" in names:
        dx = width * TRANSLATION * strength * _uniform(X, seed, 4)
        dy = height * TRANSLATION * strength * _uniform(X, seed, 5)
    a, b = tf.cos(angle) * along["x"], -tf.sin(angle) * along["y"]
    c, d = tf.sin(angle) * along["x"], tf.cos(angle) * along["y"]
    x, y = (width - 1) / 2, (height - 1) / 2
    return tf.stack([a, b, x + dx - (a * x + b * y), c, d, y + dy - (c * x + d * y), zero, zero], axis=1)


# Samples of any kind ------------------------------------------------------------------------------------------------


def _spread(X: Tensor) -> Tensor:
    """Return the standard deviation of each channel over the batch, so that strengths do not depend on the unit."""
    return tf.math.reduce_std(X, axis=list(range(len(X.shape) - 1)), keepdims=True)


def _contrast(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Stretch each channel of a sample about its mean, as `keras.layers.RandomContrast` does, without clipping."""
    mean = tf.reduce_mean(X, axis=list(range(1, len(X.shape) - 1)), keepdims=True)
    return mean + (X - mean) * _per_sample(1 + CONTRAST * strength * _uniform(X, seed), X)


def _brightness(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    return X + _spread(X) * _per_sample(BRIGHTNESS * strength * _uniform(X, seed), X)


def _noise(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    return X + _spread(X) * NOISE * strength * tf.random.stateless_normal(tf.shape(X), seed, dtype=X.dtype)


def _scaling(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Multiply each channel of a sample by a number near 1 (Um et al. 2017)."""
    shape = tf.concat([tf.shape(X)[:1], [1] * (len(X.shape) - 2), tf.shape(X)[-1:]], 0)
    return X * (1 + SCALING * strength * tf.random.stateless_normal(shape, seed, dtype=X.dtype))


def _cutout(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Replace a box with the batch's mean (DeVries and Taylor 2017)."""
    side = tf.fill(tf.shape(X)[:1], tf.minimum(CUTOUT * strength, tf.constant(1, X.dtype)))
    mean = tf.reduce_mean(X, axis=list(range(len(X.shape) - 1)), keepdims=True)
    return tf.where(_boxes(X, side, seed), mean, X)


def _boxes(X: Tensor, side: Tensor, seed: Tensor) -> Tensor:
    """Tell which positions lie in a box about a random one, (n, ..., 1); it is cut off at the edges.

    `side` is the share that it takes of each axis that has more than one position.
    """
    inside = tf.ones([tf.shape(X)[0], *[1] * (len(X.shape) - 1)], tf.bool)
    if all(size == 1 for size in X.shape[1:-1]):
        inside = tf.logical_not(inside)
    for axis, size in enumerate(X.shape[1:-1]):
        if size > 1:
            centre = _uniform(X, seed, axis, 0, 1) * size
            positions = tf.range(size, dtype=X.dtype) + 0.5
            near = tf.abs(positions - centre[:, None]) < side[:, None] * size / 2
            shape = [-1, *[size if other == axis else 1 for other in range(len(X.shape) - 2)], 1]
            inside = tf.logical_and(inside, tf.reshape(near, shape))
    return inside


# Series: each is a curve of factors, or of the times that values are taken from -------------------------------------


def _curves(X: Tensor, sd: Tensor, seed: Tensor) -> Tensor:
    """Return a smooth random curve about 1 for each sample, a cubic spline through normal numbers (Um et al. 2017)."""
    length = X.shape[1]
    basis = CubicSpline(np.linspace(0, 1, N_KNOTS), np.eye(N_KNOTS))(np.linspace(0, 1, length))
    knots = 1 + sd * tf.random.stateless_normal([tf.shape(X)[0], N_KNOTS], seed, dtype=X.dtype)
    return tf.linalg.matmul(knots, tf.constant(basis.T, X.dtype))


def _at(X: Tensor, times: Tensor) -> Tensor:
    """Take values at times in steps, (n, length), by linear interpolation; beyond the ends those of the ends."""
    last = X.shape[1] - 1
    times = tf.clip_by_value(times, 0, last)
    before = tf.cast(tf.floor(times), tf.int32)
    after = tf.minimum(before + 1, last)
    part = (times - tf.cast(before, X.dtype))[:, :, None]
    values = [tf.gather(X, index, axis=1, batch_dims=1) for index in (before, after)]
    return values[0] * (1 - part) + values[1] * part


def _steps(X: Tensor) -> Tensor:
    return tf.range(X.shape[1], dtype=X.dtype)


def _time_shift(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    return _at(X, _steps(X) + (TIME_SHIFT * strength * X.shape[1] * _uniform(X, seed))[:, None])


def _window_slicing(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Stretch a part of a series to the length of the whole (Le Guennec et al. 2016)."""
    cut = tf.minimum(WINDOW * strength, tf.constant(0.9, X.dtype))
    start = _uniform(X, seed, 0, 0, 1) * cut * (X.shape[1] - 1)
    return _at(X, start[:, None] + _steps(X) * (1 - cut))


def _magnitude_warping(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Multiply a series by a smooth curve (Um et al. 2017)."""
    return X * _curves(X, WARPING * strength, seed)[:, :, None]


def _time_warping(X: Tensor, strength: Tensor, seed: Tensor) -> Tensor:
    """Change the speed of time smoothly between the first step and the last (Um et al. 2017)."""
    speed = tf.maximum(_curves(X, WARPING * strength, seed), tf.constant(0.1, X.dtype))
    passed = tf.cumsum(speed, axis=1) - speed[:, :1]
    return _at(X, tf.math.divide_no_nan(passed, passed[:, -1:]) * (X.shape[1] - 1))


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "contrast": _contrast,
    "brightness": _brightness,
    "noise": _noise,
    "cutout": _cutout,
    "jitter": _noise,
    "scaling": _scaling,
    "time_shift": _time_shift,
    "window_slicing": _window_slicing,
    "magnitude_warping": _magnitude_warping,
    "time_warping": _time_warping,
}


# Mixing -------------------------------------------------------------------------------------------------------------


def mix(
    X: Tensor, seed: Tensor, mixup: Tensor | None = None, cutmix: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Mix each sample of a batch with another one.

    Parameters
    ----------
    X : tensor of shape (n, *input_shape)
        Samples.
    seed : int tensor of shape (2,)
        Differs from step to step.
    mixup : scalar tensor or None
        :math:`\alpha` of mixup: :math:`\lambda x + (1 - \lambda) x'` with :math:`\lambda \sim Beta(\alpha, \alpha)`
        (Zhang et al. 2018, section 2).
    cutmix : scalar tensor or None
        :math:`\alpha` of CutMix: a box of :math:`x'` that takes the share :math:`1 - \lambda` of the positions is put
        into x; :math:`\lambda` is then what is left of x, since edges cut boxes off (Yun et al. 2019, section 3.1).
        With both, each sample is mixed in one of the two ways.

    Returns
    -------
    mixed : tensor of shape (n, *input_shape)
        The samples.
    partner : int tensor of shape (n,)
        Index of the other sample.
    share : tensor of shape (n, 1)
        :math:`\lambda`, by which the losses of the two targets are to be mixed.
    """
    seed = _stream(seed, -1)
    partner = tf.argsort(_uniform(X, seed, 0))
    other = tf.gather(X, partner)
    mixed, share = X, tf.ones(tf.shape(X)[:1], X.dtype)
    if mixup is not None:
        share = _beta(X, mixup, seed, 1)
        mixed = _per_sample(share, X) * X + (1 - _per_sample(share, X)) * other
    if cutmix is not None:
        rank = max(1, sum(size > 1 for size in X.shape[1:-1]))
        boxes = _boxes(X, (1 - _beta(X, cutmix, seed, 2)) ** (1 / rank), seed + tf.constant([3, 0], seed.dtype))
        cut, left = tf.where(boxes, other, X), 1 - tf.reduce_mean(tf.cast(boxes, X.dtype), range(1, len(X.shape)))
        chosen = tf.ones_like(share, tf.bool) if mixup is None else _uniform(X, seed, 7) < 0
        mixed, share = tf.where(_per_sample(chosen, X), cut, mixed), tf.where(chosen, left, share)
    return mixed, partner, share[:, None]


def _beta(X: Tensor, alpha: Tensor, seed: Tensor, i: int) -> Tensor:
    """Draw from Beta(alpha, alpha), one number for each sample.

    G1 / (G1 + G2) of two gamma variables, in logarithms, since those of a small alpha underflow: a gamma variable of
    shape alpha is one of shape alpha + 1 times U^(1 / alpha) (Marsaglia and Tsang 2000, section 6).
    """
    logs = []
    for j in (10 * i, 10 * i + 1):
        own_seed = seed + tf.constant([j, 1], seed.dtype)
        gamma = tf.random.stateless_gamma(tf.shape(X)[:1], own_seed, alpha + 1, dtype=X.dtype)
        u = _uniform(X, own_seed, 5, np.finfo(X.dtype.as_numpy_dtype).tiny, 1)
        logs.append(tf.math.log(gamma) + tf.math.log(u) / alpha)
    return tf.sigmoid(logs[0] - logs[1])

"""Losses of logits, per sample and output; used in the training graph and, on validation samples, outside of it."""

from typing import Any

import tensorflow as tf

__all__ = ["sample_losses"]

Tensor = Any


def sample_losses(
    loss: str,
    y: Tensor,
    z: Tensor,
    *,
    label_smoothing: Tensor | None = None,
    focal_gamma: Tensor | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    r"""Return the loss of each sample, ``(n, 1)``, or of each sample and output, ``(n, n_outputs)``.

    Parameters
    ----------
    loss : {"sigmoid", "softmax", "squared_error", "absolute_error", "huber", "quantile", "poisson"}
        ``"softmax"`` and ``"sigmoid"`` are cross-entropies of the logits `z`. ``"poisson"`` is the negative log
        likelihood of counts with the logarithm `z` of their mean, up to what does not depend on it.
    y : tensor
        Class codes ``(n,)`` for ``"softmax"``; otherwise ``(n, n_outputs)``.
    z : tensor of shape (n, n_outputs)
        Outputs of the network: logits, or predictions in regression.
    label_smoothing : scalar tensor or None
        Share :math:`\epsilon` of the target that is spread evenly over the classes, as in Keras: one-hot targets become
        :math:`(1-\epsilon)\,y + \epsilon/K` with K classes (K = 2 for sigmoids). Szegedy et al. 2016, section 7.
    alpha : scalar tensor or None
        Quantile of ``"quantile"``, in (0, 1).
    focal_gamma : scalar tensor or None
        Exponent of the focal loss :math:`-\sum_k y_k (1-p_k)^\gamma \log p_k`. Lin et al. 2017, equation 4.
    """
    if loss == "softmax":
        return _softmax(y, z, label_smoothing, focal_gamma)
    if loss == "sigmoid":
        return _sigmoid(y, z, label_smoothing, focal_gamma)
    if loss == "poisson":
        return tf.exp(z) - y * z
    error = z - y
    if loss == "quantile" and alpha is not None:  # Koenker and Bassett 1978, equation 1.1
        return tf.maximum(-alpha * error, (1 - alpha) * error)
    if loss == "squared_error":
        return tf.square(error)
    size = tf.abs(error)
    if loss == "absolute_error":
        return size
    return tf.where(size <= 1, 0.5 * tf.square(error), size - 0.5)  # Huber 1964 with delta = 1, as in Keras


def _softmax(y: Tensor, z: Tensor, smoothing: Tensor | None, gamma: Tensor | None) -> Tensor:
    if smoothing is None and gamma is None:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)[:, None]
    n_classes = z.shape[-1]
    target = tf.one_hot(y, n_classes, dtype=z.dtype)
    if smoothing is not None:
        target = target * (1 - smoothing) + smoothing / n_classes
    if gamma is None:
        return tf.nn.softmax_cross_entropy_with_logits(labels=target, logits=z)[:, None]
    log_p = tf.nn.log_softmax(z)
    return -tf.reduce_sum(target * _modulation(1 - tf.exp(log_p), gamma) * log_p, axis=-1, keepdims=True)


def _sigmoid(y: Tensor, z: Tensor, smoothing: Tensor | None, gamma: Tensor | None) -> Tensor:
    if smoothing is not None:
        y = y * (1 - smoothing) + smoothing / 2
    if gamma is None:
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)
    positive = _modulation(tf.sigmoid(-z), gamma) * tf.nn.softplus(-z)
    negative = _modulation(tf.sigmoid(z), gamma) * tf.nn.softplus(z)
    return y * positive + (1 - y) * negative


def _modulation(rest: Tensor, gamma: Tensor) -> Tensor:
    """Return (1 - p)^gamma with a finite gradient where p rounds to 1, for every gamma from 0 upwards."""
    return tf.pow(tf.maximum(rest, tf.constant(1e-7, rest.dtype)), gamma)

"""Update rules as TensorFlow's fused kernels on plain variables, equal to Keras' optimizers of the same name.

A Keras optimizer object makes a dozen small operations of each update and leaves megabytes behind when it is dropped;
one fused kernel per weight does neither. Constants are Keras' defaults.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

__all__ = ["RULES", "Rule"]

Tensor = Any


class Rule(NamedTuple):
    """An update rule: how many slots it keeps per weight, and the update itself."""

    n_slots: int
    update: Callable[..., None]


def _adam(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, step: Tensor, momentum: Tensor | None) -> None:
    """Adam (Kingma and Ba 2015, algorithm 1, with the bias correction in the step size, section 2)."""
    first, second = slots
    beta_1, beta_2, one = (tf.constant(value, var.dtype) for value in (0.9, 0.999, 1.0))
    count = tf.cast(step, var.dtype) + one
    tf.raw_ops.ResourceApplyAdam(
        var=var.handle,
        m=first.handle,
        v=second.handle,
        beta1_power=tf.pow(beta_1, count),
        beta2_power=tf.pow(beta_2, count),
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.constant(1e-7, var.dtype),
        grad=grad,
    )


def _sgd(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, step: Tensor, momentum: Tensor | None) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(var=var.handle, alpha=rate, delta=grad)


def _momentum(
    var: Tensor,
    slots: list[Tensor],
    grad: Tensor,
    rate: Tensor,
    step: Tensor,
    momentum: Tensor | None,
    nesterov: bool = False,
) -> None:
    """Momentum, or Nesterov's (Sutskever et al. 2013, equations 1 to 4, in Keras' form)."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=var.handle, accum=slots[0].handle, lr=rate, grad=grad, momentum=momentum, use_nesterov=nesterov
    )


def _rmsprop(
    var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, step: Tensor, momentum: Tensor | None
) -> None:
    """RMSprop (Hinton 2012, lecture 6e)."""
    tf.raw_ops.ResourceApplyRMSProp(
        var=var.handle,
        ms=slots[0].handle,
        mom=slots[1].handle,
        lr=rate,
        rho=tf.constant(0.9, var.dtype),
        momentum=tf.constant(0.0, var.dtype),
        epsilon=tf.constant(1e-7, var.dtype),
        grad=grad,
    )


RULES = {
    "adam": Rule(2, _adam),
    "sgd": Rule(0, _sgd),
    "momentum": Rule(1, _momentum),
    "nesterov": Rule(1, partial(_momentum, nesterov=True)),
    "rmsprop": Rule(2, _rmsprop),
}

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
    """An update rule: how many slots it keeps per weight, and the update itself.

    The update is given the weight, its slots, its gradient and the learning rate; ``step``, the steps done before, and
    ``momentum``, if it is on.
    """

    n_slots: int
    update: Callable[..., None]


def _adam(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, *, step: Tensor, **_: Tensor) -> None:
    """Adam (Kingma and Ba 2015, algorithm 1, with the bias correction in the step size, section 2)."""
    beta_1, beta_2, one = (tf.constant(value, var.dtype) for value in (0.9, 0.999, 1.0))
    count = tf.cast(step, var.dtype) + one
    tf.raw_ops.ResourceApplyAdam(
        var=var.handle,
        m=slots[0].handle,
        v=slots[1].handle,
        beta1_power=tf.pow(beta_1, count),
        beta2_power=tf.pow(beta_2, count),
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.constant(1e-7, var.dtype),
        grad=grad,
    )


def _sgd(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, **_: Tensor) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(var=var.handle, alpha=rate, delta=grad)


def _momentum(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, **given: Tensor) -> None:
    """Momentum, or Nesterov's (Sutskever et al. 2013, equations 1 to 4, in Keras' form)."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=var.handle,
        accum=slots[0].handle,
        lr=rate,
        grad=grad,
        momentum=given["momentum"],
        use_nesterov=given.get("nesterov", False),
    )


def _rmsprop(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, **_: Tensor) -> None:
    """RMSprop (Hinton 2012, lecture 6e)."""
    rho, momentum, epsilon = (tf.constant(value, var.dtype) for value in (0.9, 0.0, 1e-7))
    tf.raw_ops.ResourceApplyRMSProp(
        var=var.handle,
        ms=slots[0].handle,
        mom=slots[1].handle,
        lr=rate,
        rho=rho,
        momentum=momentum,
        epsilon=epsilon,
        grad=grad,
    )


RULES = {
    "adam": Rule(2, _adam),
    "sgd": Rule(0, _sgd),
    "momentum": Rule(1, _momentum),
    "nesterov": Rule(1, partial(_momentum, nesterov=True)),
    "rmsprop": Rule(2, _rmsprop),
}

"""Update rules as TensorFlow's fused kernels on plain variables, equal to Keras' optimizers of the same name.

A Keras optimizer object makes a dozen small operations of each update and leaves megabytes behind when it is dropped;
one fused kernel per weight does neither. Constants are Keras' defaults.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

__all__ = ["RULES"]

Tensor = Any


def _adam(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, *, step: Tensor, **_: Tensor) -> None:
    """Adam (Kingma and Ba 2015, algorithm 1, with the bias correction in the step size, section 2)."""
    beta_1, beta_2, epsilon = (tf.constant(value, rate.dtype) for value in (0.9, 0.999, 1e-7))
    count = tf.cast(step, rate.dtype) + 1
    tf.raw_ops.ResourceApplyAdam(
        var=var,
        m=slots[0],
        v=slots[1],
        beta1_power=tf.pow(beta_1, count),
        beta2_power=tf.pow(beta_2, count),
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=grad,
    )


def _sgd(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, **_: Tensor) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(var=var, alpha=rate, delta=grad)


def _momentum(
    var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, *, momentum: Tensor, nesterov: bool, **_: Tensor
) -> None:
    """Momentum, or Nesterov's (Sutskever et al. 2013, equations 1 to 4, in Keras' form)."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=var, accum=slots[0], lr=rate, grad=grad, momentum=momentum, use_nesterov=nesterov
    )


def _rmsprop(var: Tensor, slots: list[Tensor], grad: Tensor, rate: Tensor, **_: Tensor) -> None:
    """RMSprop (Hinton 2012, lecture 6e)."""
    rho, momentum, epsilon = (tf.constant(value, rate.dtype) for value in (0.9, 0.0, 1e-7))
    tf.raw_ops.ResourceApplyRMSProp(
        var=var, ms=slots[0], mom=slots[1], lr=rate, rho=rho, momentum=momentum, epsilon=epsilon, grad=grad
    )


# How many slots a rule keeps per weight, and the update. It is given handles of the weight and its slots, the gradient
# and the learning rate; `step`, the steps done before, and `momentum`, if it is on.
RULES: dict[str, tuple[int, Callable[..., None]]] = {
    "adam": (2, _adam),
    "sgd": (0, _sgd),
    "momentum": (1, partial(_momentum, nesterov=False)),
    "nesterov": (1, partial(_momentum, nesterov=True)),
    "rmsprop": (2, _rmsprop),
}

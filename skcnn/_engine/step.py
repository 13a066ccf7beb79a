"""One step of training, as TensorFlow traces it: the loss of a batch, its gradient, and the update of the weights."""

from typing import Any

import keras
import tensorflow as tf

from skcnn._engine.keras_internals import all_layers
from skcnn._engine.layers import step_inputs
from skcnn._engine.losses import sample_losses
from skcnn._engine.optimizers import RULES
from skcnn._engine.transformations import augment, mix

__all__ = ["TrainingStep"]

Tensor = Any
Batch = tuple[Tensor, Tensor, Tensor]
Strengths = dict[str, Tensor]


class TrainingStep:
    """The step of a network, with the variables that it changes besides the weights.

    Parameters
    ----------
    topology : Topology
        What decides the step.
    model : keras.Model
        The network.

    Attributes
    ----------
    layers : list of keras.Layer
        Those that augment.
    trained : list of tf.Variable
        Weights that have a gradient.
    averaged : list of int
        Indices of the weights that are averaged over the steps.
    variables : list of tf.Variable
        Slots of the update rule, then the averages of weights and the sum of their shares if there are any.
    """

    def __init__(self, topology: Any, model: keras.Model) -> None:
        self._topology, self._model = topology, model
        self._transformations = [_copy_of_layer(one) for one in topology.transformations]
        self.layers = [one for one in self._transformations if not isinstance(one, str)]
        for layer in self.layers:
            _check_shape(layer, topology.input_shape)
        for stream, layer in enumerate(layer for layer in all_layers(model) if hasattr(layer, "stream")):
            layer.stream = stream
        self._rule = RULES[topology.optimizer]
        self.trained = [variable.value for variable in model.trainable_variables]
        self._slots = [[_zeros_like(weight) for _ in range(self._rule.n_slots)] for weight in self.trained]
        self.averaged = _moving_weights(model) if "ema_momentum" in topology.knobs else []
        self._moving = [model.weights[i].value for i in self.averaged]
        self._averages = [_zeros_like(weight) for weight in self._moving]
        self._shares = [tf.Variable(tf.zeros([], topology.dtype), trainable=False)] if self.averaged else []
        self.variables = [*(slot for slots in self._slots for slot in slots), *self._averages, *self._shares]

    def __call__(self, batch: Batch, strengths: Strengths, seed: Tensor, rate: Tensor, clock: Tensor) -> Tensor:
        """Add a step to the graph and return its loss.

        Parameters
        ----------
        batch : tuple of tensors
            Samples as the network sees them, targets and weights.
        strengths : dict of str to scalar tensor
            Those that are on.
        seed : int tensor of shape (2,)
            Differs from step to step.
        rate, clock : scalar tensor
            Learning rate, and steps done before.
        """
        X, targets = self._vary(batch, strengths, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape, step_inputs(seed=seed, **strengths):
            tape.watch(self.trained)
            z = self._model(X, training=True)
            options = {name: strengths.get(name) for name in ("label_smoothing", "focal_gamma")}
            losses = [weight * sample_losses(self._topology.loss, y, z, **options) for y, weight in targets]
            loss = tf.reduce_mean(tf.add_n(losses))
            objective = tf.add_n([loss, *self._model.losses])  # a custom network may bring regularisers of its own
        gradients = tape.gradient(objective, self.trained)
        for weight, slots, gradient in zip(self.trained, self._slots, gradients, strict=True):
            if gradient is not None:  # else a weight that the output does not depend on
                self._update(weight, slots, tf.convert_to_tensor(gradient), strengths, rate, clock)
        self._average(strengths)
        return loss

    def _update(
        self, weight: Any, slots: list[Any], gradient: Tensor, strengths: Strengths, rate: Tensor, clock: Tensor
    ) -> None:
        """Penalise and clip the gradient of a weight, decay the weight, and apply the update rule."""
        on_kernel = strengths if len(weight.shape) > 1 else {}
        if "l1" in on_kernel:
            gradient += strengths["l1"] * tf.sign(weight)
        if "l2" in on_kernel:
            gradient += 2 * strengths["l2"] * weight
        if "clipnorm" in strengths:
            gradient = tf.clip_by_norm(gradient, strengths["clipnorm"])
        if "weight_decay" in on_kernel:
            weight.assign_sub(rate * strengths["weight_decay"] * weight)
        self._rule.update(weight, slots, gradient, rate, step=clock, momentum=strengths.get("momentum"))

    def _vary(self, batch: Batch, strengths: Strengths, seed: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Augment and mix a batch; return its samples, and their targets with weights, whose losses add up."""
        X, y, w = batch
        if self._transformations:
            X = augment(X, self._transformations, strengths.get("augmentation_strength"), seed)
        mixes = {name: strengths[name] for name in ("mixup", "cutmix") if name in strengths}
        if not mixes:
            return X, [(y, w)]
        X, partner, share = mix(X, seed, **mixes)
        other, w_other = tf.gather(y, partner), tf.gather(w, partner)
        if self._topology.loss in ("softmax", "sigmoid"):  # linear in the target, which may be a code
            return X, [(y, share * w), (other, (1 - share) * w_other)]
        return X, [(share * y + (1 - share) * other, share * w + (1 - share) * w_other)]

    def _average(self, strengths: Strengths) -> None:
        """Add the weights after a step to their exponential moving averages, see `Program.averaged`."""
        for weight, average in zip(self._moving, self._averages, strict=True):
            average.assign_add((1 - strengths["ema_momentum"]) * (weight - average))
        for shares in self._shares:
            shares.assign_add((1 - strengths["ema_momentum"]) * (1 - shares))


def _zeros_like(weight: Any) -> Any:
    return tf.Variable(tf.zeros_like(weight), trainable=False)


def _copy_of_layer(one: Any) -> Any:
    """Return a new layer with the arguments of this one, or a name as it is."""
    return one if isinstance(one, str) else type(one).from_config(one.get_config())


def _check_shape(layer: Any, input_shape: tuple[int, ...]) -> None:
    """Refuse a layer that changes the shape of samples."""
    shape = tuple(layer(keras.KerasTensor((None, *input_shape)), training=True).shape[1:])
    if shape != tuple(input_shape):
        raise ValueError(
            f"The augmentation layer {type(layer).__name__} turns samples of shape {tuple(input_shape)} into {shape}; "
            "expected a layer that keeps the shape. Put it into the network, or transform the data first."
        )


def _moving_weights(model: Any) -> list[int]:
    """Find the weights that training changes: those that are trained, and the statistics of layers not frozen."""
    frozen = {id(weight) for layer in all_layers(model) if not layer.trainable for weight in layer.weights}
    return [
        i for i, weight in enumerate(model.weights) if id(weight) not in frozen and weight.dtype.startswith("float")
    ]

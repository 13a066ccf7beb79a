"""What TensorFlow traces: predictions, and steps of training with the loss of a batch, its gradient and the update."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from skcnn._engine.frozen import frozen_part
from skcnn._engine.keras_internals import all_layers, copy_of_layer
from skcnn._engine.layers import collecting, normalising_calls, step_inputs
from skcnn._engine.losses import sample_losses
from skcnn._engine.optimizers import RULES
from skcnn._engine.transformations import augment, mix

__all__ = ["Computation"]

Tensor = Any
Batch = tuple[Tensor, Tensor, Tensor]
Strengths = dict[str, Tensor]


class Computation:
    """The predictions and training steps of a network, with the variables that they use besides its weights.

    Parameters
    ----------
    topology : Topology
        What decides them.
    model : keras.Model
        The network.

    Attributes
    ----------
    frozen : Frozen or None
        The part of the network before all that is trained; samples may be given as its outputs, see `Program.features`.
    layers : list of keras.Layer
        Those that augment.
    units : list of tf.Variable
        Mean and scale, if samples are standardised.
    trained : list of tf.Variable
        Weights that have a gradient.
    normalising : list of keras.layers.BatchNormalization
        Layers that are not frozen, whose statistics `collect` replaces.
    averaged : list of int
        Indices of the weights that are averaged over the steps.
    variables : list of tf.Variable
        Slots of the update rule, then the averages of weights and the sum of their shares if there are any.
    """

    def __init__(self, topology: Any, model: keras.Model) -> None:
        self._topology, self._model = topology, model
        self.frozen = frozen_part(model, topology.input_shape)
        self._trainable = self.frozen.rest if self.frozen else model
        self._transformations = [
            one if isinstance(one, str) else copy_of_layer(one) for one in topology.transformations
        ]
        self.layers = [one for one in self._transformations if not isinstance(one, str)]
        for layer in self.layers:
            _check_shape(layer, topology.input_shape)
        for stream, layer in enumerate(layer for layer in all_layers(model) if hasattr(layer, "stream")):
            layer.stream = stream
        n_slots, self._rule = RULES[topology.optimizer]
        shape = topology.input_shape if topology.standardize == "position" else topology.input_shape[-1:]
        units = (np.zeros, np.ones) if topology.standardize else ()
        self.units = [tf.Variable(value(shape, topology.dtype)) for value in units]
        self.trained = [variable.value for variable in model.trainable_variables]
        self._slots = [[_zeros_like(weight) for _ in range(n_slots)] for weight in self.trained]
        self.normalising = _normalising_layers(model)
        self._calls: list[list[bool]] | None = None  # of these layers while training
        self.averaged = _moving_weights(model) if "ema_momentum" in topology.knobs else []
        self._moving = [model.weights[i].value for i in self.averaged]
        self._averages = [_zeros_like(weight) for weight in self._moving]
        self._shares = [tf.Variable(tf.zeros([], topology.dtype), trainable=False)] if self.averaged else []
        self.variables = [*(slot for slots in self._slots for slot in slots), *self._averages, *self._shares]

    def features(self, X: Tensor) -> Tensor:
        """Return the outputs of the frozen part for samples."""
        return self.frozen.part(self._inputs(X), training=False)  # type: ignore[union-attr]

    def predict(self, X: Tensor, size: Tensor) -> Tensor:
        """Return the outputs of the network for samples, in chunks of `size`."""

        def chunk(i: Tensor, out: Any) -> tuple[Tensor, Any]:
            samples = self._inputs(X[i * size : (i + 1) * size])
            return i + 1, out.write(i, self._outputs(samples, training=False))

        n_chunks = tf.shape(X)[0] // size
        shape = (None, self._topology.n_outputs)
        out = tf.TensorArray(self._topology.dtype, size=n_chunks, element_shape=shape, infer_shape=False)
        _, out = tf.while_loop(lambda i, _: i < n_chunks, chunk, [0, out], parallel_iterations=1)
        return out.concat()

    def steps(self, data: Batch, inputs: dict[str, Tensor], first: Tensor, last: Tensor, total: Tensor) -> Tensor:
        """Train, and return the sum of the losses, see `Program.steps`."""
        order, size = inputs["order"], inputs["batch_size"]
        strengths = {name: inputs[name] for name in self._topology.knobs}

        def step(i: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            chosen = order[i * size : (i + 1) * size]
            X, y, w = (tf.gather(part, chosen) for part in data)
            clock = inputs["clock"] + i
            seed = tf.stack([inputs["seed"], clock])
            loss = self._step((self._inputs(X), y, w), strengths, seed, inputs["rates"][i], clock)
            return i + 1, total + tf.cast(loss, tf.float64) * tf.cast(tf.shape(chosen)[0], tf.float64)

        return tf.while_loop(lambda i, _: i < last, step, [first, total], parallel_iterations=1)[1]

    def collect(self, X: Tensor, momentum: Tensor) -> None:
        """Move the statistics of batch normalisation to those of a batch, see `Program.predicting`.

        `momentum` is the share that is left of what they were.
        """
        if self._calls is None:  # nothing is trained: traced for its calls alone
            tf.function(self._trained, autograph=False).get_concrete_function(self._inputs(X))
        with collecting(self.normalising, self._calls or [], momentum):
            self._outputs(self._inputs(X), training=False)

    def _trained(self, X: Tensor) -> Tensor:
        """Return the outputs of the network while it is trained."""
        with normalising_calls(self.normalising) as self._calls:
            return self._outputs(X, training=True)

    def _outputs(self, X: Tensor, training: bool) -> Tensor:
        """Return the outputs of the network for samples as it sees them; its frozen part predicts in any case."""
        if self.frozen is not None and not self.frozen.has(X):
            X = self.frozen.part(X, training=False)
        return self._trainable(X, training=training)

    def _inputs(self, X: Tensor) -> Tensor:
        """Return samples as the network sees them."""
        if self.frozen is not None and self.frozen.has(X):
            return X
        X = tf.cast(X, self._topology.dtype)
        return (X - self.units[0]) / self.units[1] if self.units else X

    def _step(self, batch: Batch, strengths: Strengths, seed: Tensor, rate: Tensor, clock: Tensor) -> Tensor:
        """Train on a batch of samples as the network sees them, and return its loss; `seed` differs from step to step.

        `clock` are the steps done before.
        """
        X, targets = self._vary(batch, strengths, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape, step_inputs(seed=seed, **strengths):
            tape.watch(self.trained)
            z = self._trained(X)
            options = {name: strengths.get(name) for name in ("label_smoothing", "focal_gamma", "alpha")}
            losses = [weight * sample_losses(self._topology.loss, y, z, **options) for y, weight in targets]
            loss = tf.reduce_mean(tf.add_n(losses))
            objective = tf.add_n([loss, *self._trainable.losses])  # a custom network may bring regularisers of its own
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
        handles = [slot.handle for slot in slots]
        self._rule(weight.handle, handles, gradient, rate, step=clock, momentum=strengths.get("momentum"))

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


def _normalising_layers(model: Any) -> list[Any]:
    """Find the batch normalisations that are not frozen, each once."""
    found = {id(layer): layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)}
    return [layer for layer in found.values() if layer.trainable]


def _zeros_like(weight: Any) -> Any:
    return tf.Variable(tf.zeros_like(weight), trainable=False)


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

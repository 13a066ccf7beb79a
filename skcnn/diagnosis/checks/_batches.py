"""Check of batch normalisation: whether the network predicts with the statistics that it trained with."""

import copy
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import all_layers
from skcnn._statistics import EFFECT_LEVEL, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._components import KerasModel
from skcnn.diagnosis._observations import Observations

__all__ = ["BatchStatistics"]


def normalizations(model: Any) -> list[Any]:
    """Return the layers that normalise by batches while training; frozen ones always take their moving statistics."""
    found = [layer for layer in all_layers(model) if hasattr(layer, "moving_mean")]
    return [layer for layer in found if layer.trainable and hasattr(layer, "moving_variance")]


def take_statistics(model: Any, X: np.ndarray) -> None:
    """Set the moving statistics of a model to those of samples X, layer by layer, in one pass over them.

    All else works as it does in prediction: nothing is dropped, nothing augmented. The model should be a copy.
    """
    ops = sys.modules["keras"].ops  # a model exists, so Keras is loaded already
    layers = normalizations(model)
    plain = [layer.call for layer in layers]

    def statistics_first(layer: Any, call: Any) -> Any:
        def normalized(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            axis = layer.axis % len(inputs.shape)
            axes = [i for i in range(len(inputs.shape)) if i != axis]
            mean, variance = ops.moments(ops.cast(inputs, layer.moving_mean.dtype), axes)
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
            return call(inputs, training=False)

        return normalized

    for layer, call in zip(layers, plain, strict=True):
        layer.call = statistics_first(layer, call)
    try:
        model(X, training=False)
    finally:
        for layer, call in zip(layers, plain, strict=True):
            layer.call = call


class BatchStatistics(Check):
    """A network that predicts with other batch statistics than it trained with.

    Batch normalisation trains with the mean and variance of each batch and predicts with moving averages of them. After
    few steps those still hold their start of 0 and 1 (0.99 of it is left after one step, 0.37 after a hundred at Keras'
    momentum); with tiny batches, or a learning rate too high, they lag behind the weights. The same training samples
    are predicted as they are and with statistics taken from themselves, layer by layer, in one large batch; dropout and
    augmentation are off in both.

    Threshold: significantly more of the training samples are then right, and by 0.02 at best estimate. The effect is
    what the test score gains by the same statistics.
    """

    code, cause = "batch_statistics", "fit"
    title = "Predicts with other batch statistics than it trained with"
    question = "Do the moving statistics of batch normalisation fit the weights?"
    why = "What the network has learned is there, but its predictions do not show it: not even on its training samples."
    do = (
        "Take the statistics again after training (skcnn: batch_statistics='final'), train for more steps, lower the "
        "momentum of BatchNormalization (0.9), or take larger batches."
    )
    cures = ("statistics",)
    threshold = 0.02
    SAMPLES = 1000
    VALUES = 4_000_000  # of the samples in the one batch, for the sake of memory
    LEAST_SAMPLES = 16

    def look(self, seen: Observations) -> Finding | str:
        """Predict with statistics of the training samples."""
        model = seen.need_keras_model()
        layers = normalizations(model)
        if not layers:
            raise NotApplicable("the network has no batch normalisation that learns")
        rows = self._rows(seen)
        final = self._final(seen, model, seen.train.inputs[rows])
        predicts = None if final is None else seen.components.with_final(final)
        if predicts is None:
            raise NotApplicable("the network cannot be taken out of what is around it")
        mended = seen.changed(predicts=predicts)
        with_them = seen.quality(seen.train.targets[rows], mended.train.predicted[rows])
        gained = weighted_mean(with_them - seen.train.quality[rows], seen.train.weight[rows], EFFECT_LEVEL)
        text = (
            f"With statistics of the training samples in its {len(layers)} layers of batch normalisation, the network "
            f"would have {gained.value:+.3f} {seen.score_name} on them."
        )
        if gained.low <= 0 or gained.value < self.threshold:
            return text
        evidence = {"gain on the training samples": gained}
        if not seen.has_test:
            return self.finding(text, evidence, measured="Without test samples its effect on them is not known.")
        how = "The test samples, predicted with statistics taken from the training samples."
        return self.finding(text, evidence, effect=seen.gain(mended), measured=how, mended=mended)

    def _rows(self, seen: Observations) -> np.ndarray:
        """Return training samples, as many as fit one batch."""
        size = max(1, int(np.prod(seen.train.inputs.shape[1:])))
        most = min(self.SAMPLES, max(self.LEAST_SAMPLES, self.VALUES // size))
        return np.sort(seen.rng(13).permutation(seen.train.chosen)[:most])

    @staticmethod
    def _final(seen: Observations, model: Any, X: np.ndarray) -> Any:
        """Return a copy of the final step that predicts with statistics of X; None if it cannot be copied."""
        final, keras = seen.components.final, sys.modules["keras"]
        fitted = getattr(final, "_fitted", None)
        if fitted is not None and hasattr(final, "to_keras"):  # one of skcnn's: `model` is a copy already
            before = model.get_weights()
            weights = fitted.weights
            if not all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(before, weights, strict=False)):
                return None
            take_statistics(model, X.astype(model.compute_dtype, copy=False))
            weights = [*model.get_weights(), *weights[len(before) :]]
            return final._as(replace(fitted, progress=replace(fitted.progress, weights=weights)))
        copied = keras.models.clone_model(model)
        copied.set_weights(model.get_weights())
        take_statistics(copied, X.astype(model.compute_dtype, copy=False))
        again = copy.copy(final)
        if isinstance(final, KerasModel):
            copied.loss, again.model = model.loss, copied
        else:
            again.model_ = copied
        return again

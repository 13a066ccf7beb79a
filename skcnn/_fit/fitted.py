"""`Fitted`: everything that a fitted estimator knows, in one immutable value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._engine.blueprint import Topology, building, shares_weights
from skcnn._engine.feature_store import features_for
from skcnn._engine.keras_internals import copy_of_layer, free_name, laid_on
from skcnn._engine.loop import Progress
from skcnn._engine.memory import Need
from skcnn._engine.pool import pool
from skcnn._engine.program import Program
from skcnn._engine.structure import check_unchanged
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.samples import Layout, as_inputs
from skcnn._fit.targets import Target
from skcnn._lazy import LazySamples, largest

__all__ = ["Fitted"]


@dataclass(frozen=True, eq=False)  # its arrays do not compare to one answer
class Fitted:
    """Result of training: what prediction, export and further training require.

    Attributes
    ----------
    layout : Layout
        Shape and names of X in `fit`.
    target : Target
        What y means, and its unit.
    topology : Topology
        The network.
    strengths : mapping of str to float
        Strengths that were on, such as dropout rates.
    seed : int
        Seed of all random numbers of the fit.
    shift : ndarray
        What to subtract from the outputs to correct them for class shares.
    progress : Progress
        State of training, with the weights; no longer changed.
    callbacks : tuple
        Keras callbacks that were used; none in a pickle.
    program : Program or None
        During training, the program that holds the current weights in place of `progress`.
    """

    layout: Layout
    target: Target
    topology: Topology
    strengths: Mapping[str, float]
    seed: int
    shift: np.ndarray
    progress: Progress
    callbacks: tuple[Any, ...] = ()
    program: Program | None = None

    @property
    def weights(self) -> list[np.ndarray]:
        """Weights in the order of ``model.weights``, then any mean and scale of samples."""
        return self.progress.weights

    def attributes(self) -> dict[str, Any]:
        """Return the public attributes of a fitted estimator."""
        return {
            **self.layout.attributes(),
            **self.target.attributes(),
            "n_outputs_": self.topology.n_outputs,
            "history_": self.progress.history,
            "n_iter_": self.progress.epoch,
            "best_iter_": self.progress.best_epoch,
            "callbacks_": list(self.callbacks),
        }

    def outputs(self, X: np.ndarray | LazySamples, folder: Path | None) -> np.ndarray:
        """Return the outputs for checked samples in float64, corrected for class shares.

        Features of samples are kept in the folder, if there is any.

        Raises
        ------
        ValueError
            If the network overflows.
        MemoryError
            If memory runs out; the message says how many samples would fit.
        """
        topology = self.topology
        with Need.of("prediction", X, topology.dtype).explained():
            inputs = as_inputs(X, topology.input_shape, topology.dtype)
            if self.program is not None:  # training itself checks that its loss is finite
                inputs = features_for(self.program, inputs, folder)
                return self.program.predict(inputs).astype(np.float64) - self.shift
            with pool.lend(topology, self.weights) as program:
                outputs = program.predict(features_for(program, inputs, folder))
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"X holds values up to {largest(inputs):g}, at which the network overflows; expected samples "
                "on the scale of those that it was fitted on. Scale X in the same way."
            )
        return outputs.astype(np.float64) - self.shift

    def to_keras(self) -> Any:
        """Return a Keras model from samples to logits, or to predictions in the unit of y.

        Raises
        ------
        ValueError
            If the network now builds another model than when it was fitted.
        """
        _, keras = start_tensorflow()
        with building(self.topology.dtype):
            model = self.topology.build()
            check_unchanged(self.topology.structure, model)
            if self.topology.standardize:
                model = self._on_standardized(model)
            else:
                shared = not self.topology.certain and shares_weights(model, self.topology.build())
                if shared or any(hasattr(layer, "plain") for layer in model.layers):
                    model = keras.models.clone_model(model, clone_function=self._plain_layer)
            model.set_weights(self.weights[: len(model.weights)])
            return self._with_units_of_y(model)

    def network(self) -> tuple[Any, list[np.ndarray]]:
        """Return the network with its fitted weights as it was built, and any mean and scale of samples.

        Its layers are those that the user wrote, in their order, without what `to_keras` adds around them.

        Raises
        ------
        ValueError
            If the network now builds another model than when it was fitted.
        """
        _, keras = start_tensorflow()
        with building(self.topology.dtype):
            model = self.topology.build()
            check_unchanged(self.topology.structure, model)
            model = keras.models.clone_model(model, clone_function=self._plain_layer)  # whose weights nobody shares
            model.set_weights(self.weights[: len(model.weights)])
        return model, self.weights[len(model.weights) :]

    def _on_standardized(self, model: Any) -> Any:
        """Return copies of the layers of a model, after two that standardise its inputs."""
        _, keras = start_tensorflow()
        mean, scale = self.weights[-2:]
        inputs = keras.Input(self.topology.input_shape, dtype=self.topology.dtype)
        # Not keras.layers.Normalization, which raises scales below 1e-7 to 1e-7.
        x = keras.layers.Rescaling(np.ones_like(mean), -mean, name=free_name("center", model))(inputs)
        x = keras.layers.Rescaling(1 / scale, np.zeros_like(mean), name=free_name("scale", model))(x)
        return keras.Model(inputs, laid_on(model, x, self._plain_layer))

    def _plain_layer(self, layer: Any) -> Any:
        """Return Keras' layer in place of one of skcnn's, and a copy of any other layer."""
        return layer.plain(self.strengths) if hasattr(layer, "plain") else copy_of_layer(layer)

    def _with_units_of_y(self, model: Any) -> Any:
        """Add the correction of outputs as Keras layers."""
        _, keras = start_tensorflow()
        inputs, outputs = model.inputs[0], model.outputs[0]
        if self.target.logarithmic:
            outputs = keras.layers.Activation("exponential", name=free_name("exponential", model))(outputs)
        scale, offset = self.target.output_units()
        offset = offset - self.shift
        if np.any(scale != 1) or np.any(offset):
            ones = np.ones(self.topology.n_outputs)
            outputs = keras.layers.Rescaling(scale * ones, offset * ones, name=free_name("units", model))(outputs)
        return keras.Model(inputs, outputs)

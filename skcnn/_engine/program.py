"""A training program: the state of one fit at a time, and the compiled functions that change it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from skcnn._engine.blueprint import Blueprint, Topology
from skcnn._engine.threads import start_tensorflow

__all__ = ["Program"]

# Samples per call of the prediction graph; fewer are padded to the smallest size that holds them. A sample's result
# depends on the block of rows that a matrix kernel computes it in. Those of AVX2 take 6 rows at a time and compute a
# remainder otherwise, those of AVX-512 agree from 2 rows upwards; in multiples of 12 all samples agree to the bit.
CHUNKS = (12, 72, 288)
CHUNK_BYTES = 256 * 2**20  # bound on the largest activation of one chunk
BLOCK_BYTES = 64 * 2**20  # bound on the input handed to TensorFlow at once while predicting


class Program:
    """Weights, slots and seeds of a network, lent by the pool to one fit at a time; `reset` or `load_weights` first.

    Parameters
    ----------
    topology : Topology
        What it computes.
    blueprint : Blueprint, default=None
        That of another program of the topology; with None a new one, whose variables this program takes for its own.
    """

    def __init__(self, topology: Topology, blueprint: Blueprint | None = None) -> None:
        self.topology = topology
        self.blueprint = blueprint or Blueprint(topology)
        self.loaded: object = None  # the list of weights that is loaded, so that predicting twice loads it once
        self._variables = self.blueprint.copy_of_variables() if blueprint else self.blueprint.variables
        n_weights, n_slots = self.blueprint.n_weights, self.blueprint.n_slots
        self._weights = self._variables[:n_weights]
        self._slots = self._variables[n_weights : n_weights + n_slots]
        self._seeds = self._variables[n_weights + n_slots :]
        bytes_per_sample = self.blueprint.largest_activation
        self._chunks = [size for size in CHUNKS if size * bytes_per_sample <= CHUNK_BYTES] or [CHUNKS[0]]

    # State ------------------------------------------------------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Start again: weights drawn from `seed`, slots zero, nothing left of an earlier fit."""
        self.loaded = None  # first, for an interrupt may come between any two assignments
        blueprint = self.blueprint
        for variable, value in zip(self._variables, blueprint.initial, strict=True):
            variable.assign(value)
        sequence = np.random.SeedSequence(seed).generate_state(len(blueprint.random) + len(self._seeds)) >> 1
        for (index, initializer), drawn in zip(
            blueprint.random, sequence[: len(blueprint.random)].tolist(), strict=True
        ):
            config = initializer.get_config() | {"seed": drawn}
            weight = self._weights[index]
            weight.assign(type(initializer).from_config(config)(tuple(weight.shape), dtype=self.topology.dtype))
        for variable, first, drawn in zip(
            self._seeds, blueprint.seeds, sequence[len(blueprint.random) :].tolist(), strict=True
        ):
            variable.assign([drawn, 0] if first is None else first)

    def set_units(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Set what samples are standardised with."""
        for variable, value in zip(self._weights[-2:], (mean, scale), strict=True):
            variable.assign(value)

    def weights(self) -> list[np.ndarray]:
        """Copy the weights out, in the order of ``model.weights``; then mean and scale, if samples are standardised."""
        return [weight.numpy() for weight in self._weights]

    def load_weights(self, weights: list[np.ndarray]) -> None:
        """Load weights, unless it is this very list that is loaded; the slots stay."""
        if self.loaded is weights:
            return
        self.loaded = None
        for variable, value in zip(self._weights, weights, strict=True):
            variable.assign(value)
        self.loaded = weights

    @contextmanager
    def averaged(self) -> Iterator[None]:
        r"""Hold the averages of the weights inside this block, if the topology averages them, then those trained last.

        After t steps with momentum m the average is :math:`\sum_i m^{t-i} w_i / \sum_i m^{t-i}`; unlike Keras', it
        has no share of the weights before the first step.
        """
        indices = self.blueprint.averaged
        values = [variable.numpy() for variable in self._slots[self.blueprint.n_slots - len(indices) - 1 :]]
        if not indices or values[-1] == 0:
            yield
            return
        last = [self._weights[i].numpy() for i in indices]
        self.loaded = None
        for i, value in zip(indices, values[:-1], strict=True):
            self._weights[i].assign(value / values[-1])
        try:
            yield
        finally:
            for i, value in zip(indices, last, strict=True):
                self._weights[i].assign(value)

    def optimizer_state(self) -> list[np.ndarray]:
        """Copy the optimizer's slots, the averages, and the states of Keras' seed generators out."""
        return [variable.numpy() for variable in [*self._slots, *self._seeds]]

    def load_optimizer_state(self, state: list[np.ndarray]) -> None:
        """Load what `optimizer_state` gave."""
        for variable, value in zip([*self._slots, *self._seeds], state, strict=True):
            variable.assign(value)

    # Compiled functions -----------------------------------------------------------------------------------------

    def steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any], first: int, last: int, total: Any) -> Any:
        """Run the steps from `first` up to `last` of one epoch inside the graph.

        Parameters
        ----------
        data : tuple of tensors
            Samples, their targets and their weights, all of the data set.
        inputs : dict of tensors
            ``order``, the indices of the epoch's samples; ``batch_size``; ``rates``, the learning rate of each step;
            ``seed``; ``clock``, the steps done before this epoch; and the strengths that are on.
        first, last : int
            Steps to run.
        total : float64 tensor
            Sum of losses before this call.

        Returns
        -------
        float64 tensor
            `total` plus the losses of the samples of these steps.
        """
        tf, _ = start_tensorflow()
        self.loaded = None
        graph = self.blueprint.steps(data, inputs)
        return graph(self._variables, data, inputs, tf.constant(first, tf.int32), tf.constant(last, tf.int32), total)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs of the network for samples of shape ``input_shape``, ``(n, n_outputs)``."""
        tf, _ = start_tensorflow()
        graph = self.blueprint.predict(X.dtype)
        out = np.empty((len(X), self.topology.n_outputs), self.topology.dtype)
        full = self._chunks[-1]
        at_once = max(1, BLOCK_BYTES // max(1, X[:1].nbytes * full)) * full
        whole = len(X) // full * full
        for start in range(0, whole, at_once):
            stop = min(start + at_once, whole)
            out[start:stop] = graph(self._variables, tf.constant(X[start:stop]), tf.constant(full, tf.int32)).numpy()
        if whole < len(X):
            rest = X[whole:]
            size = next(size for size in self._chunks if size >= len(rest))
            padded = np.zeros((size, *X.shape[1:]), X.dtype)
            padded[: len(rest)] = rest
            out[whole:] = graph(self._variables, tf.constant(padded), tf.constant(size, tf.int32)).numpy()[: len(rest)]
        return out

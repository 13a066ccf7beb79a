"""A training program: the state of one fit at a time, and the compiled functions that change it."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from skcnn._engine.ahead import block_size, read_ahead
from skcnn._engine.blueprint import Blueprint, Graph, Topology
from skcnn._engine.signals import signals_held, uninterrupted
from skcnn._engine.threads import start_tensorflow
from skcnn._lazy import LazySamples

__all__ = ["CHUNK_BYTES", "Program", "Typical", "in_parts"]

# Samples per call of the prediction graph; fewer are padded to the smallest size that holds them. A sample's result
# depends on the block of rows that a matrix kernel computes it in. Those of AVX2 take 6 rows at a time and compute a
# remainder otherwise, those of AVX-512 agree from 2 rows upwards; in multiples of 12 all samples agree to the bit.
CHUNKS = (12, 72, 288)
CHUNK_BYTES = 256 * 2**20  # bound on the largest activation of one chunk


class Typical(NamedTuple):
    """Samples whose statistics batch normalisation predicts with.

    Attributes
    ----------
    X : ndarray or LazySamples of shape (n, *input_shape)
        Samples, or their features.
    chosen : ndarray of int
        Indices of those to use.
    batch_size : int
        Samples per batch, at most.
    n_earlier : int
        Number of samples that the statistics so far count as.
    """

    X: np.ndarray | LazySamples
    chosen: np.ndarray
    batch_size: int
    n_earlier: int


class Program:
    """Weights, slots and seeds of a network, lent by the pool to one fit at a time; `reset` or `load_weights` first.

    Parameters
    ----------
    topology : Topology
        What it computes.
    blueprint : Blueprint, default=None
        One of the topology; None builds it. The first program takes its variables for its own, unless they belong to
        layers that the user made.
    """

    @uninterrupted
    def __init__(self, topology: Topology, blueprint: Blueprint | None = None) -> None:
        tf, _ = start_tensorflow()
        self.blueprint = blueprint or Blueprint(topology)
        self.topology = self.blueprint.topology
        self.loaded: object = None  # the list of weights that is loaded, so that predicting twice loads it once
        self._typical: Typical | None = None  # what `settle_on` was given
        self._settled = False  # whether the statistics are those of the present weights
        self._frozen_digest: str | None = None  # if it is known
        self._variables = self.blueprint.variables
        if self.blueprint.taken:
            self._variables = [tf.Variable(value, trainable=False) for value in self.blueprint.initial]
        self.blueprint.taken = True
        n_weights, n_slots = self.blueprint.n_weights, self.blueprint.n_slots
        self._weights = self._variables[:n_weights]
        self._slots = self._variables[n_weights : n_weights + n_slots]
        self._seeds = self._variables[n_weights + n_slots :]
        bytes_per_sample = self.blueprint.largest_activation
        self._chunks = [size for size in CHUNKS if size * bytes_per_sample <= CHUNK_BYTES] or [CHUNKS[0]]

    # State ------------------------------------------------------------------------------------------------------

    @uninterrupted
    def _assign(self, variables: list[Any], values: Iterable[Any]) -> None:
        """Change variables; an interrupt may leave it half done, so nothing counts as loaded from here on."""
        self.loaded, self._settled, self._frozen_digest = None, False, None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    @uninterrupted
    def reset(self, seed: int) -> None:
        """Start again: weights drawn from `seed`, slots zero, nothing left of an earlier fit."""
        blueprint, n_random = self.blueprint, len(self.blueprint.random)
        self._assign(self._variables, blueprint.initial)
        for index, value in blueprint.start(seed).items():
            self._weights[index].assign(value)
        sequence = (np.random.SeedSequence(seed).generate_state(n_random + len(self._seeds)) >> 1).tolist()
        for (index, initializer), drawn in zip(blueprint.random, sequence[:n_random], strict=True):
            weight = self._weights[index]
            seeded = type(initializer).from_config(initializer.get_config() | {"seed": drawn})
            weight.assign(seeded(tuple(weight.shape), dtype=self.topology.dtype))
        states = zip(blueprint.seeds, sequence[n_random:], strict=True)
        self._assign(self._seeds, ([drawn, 0] if first is None else first for first, drawn in states))

    def set_units(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Set what samples are standardised with."""
        self._assign(self._weights[-2:], (mean, scale))

    @uninterrupted
    def weights(self) -> list[np.ndarray]:
        """Copy the weights out, in the order of ``model.weights``; then mean and scale, if samples are standardised."""
        return [weight.numpy() for weight in self._weights]

    def load_weights(self, weights: list[np.ndarray]) -> None:
        """Load weights, unless it is this very list that is loaded; the slots stay."""
        if self.loaded is not weights:
            self._assign(self._weights, weights)
            self.loaded = weights

    @contextmanager
    def averaged(self) -> Iterator[None]:
        r"""Hold the averages of the weights inside this block, if the topology averages them, then those trained last.

        After t steps with momentum m the average is :math:`\sum_i m^{t-i} w_i / \sum_i m^{t-i}`; unlike Keras', it
        has no share of the weights before the first step.
        """
        averaged = [self._weights[i] for i in self.blueprint.averaged]
        # The last slots are the averages and the sum of their shares.
        with signals_held():
            slots = self._slots[-len(averaged) - 1 :]
            *averages, shares = [variable.numpy() for variable in slots] if averaged else [0]
        if shares == 0:
            yield
            return
        with signals_held():
            last = [weight.numpy() for weight in averaged]
        try:
            self._assign(averaged, (average / shares for average in averages))
            yield
        finally:
            self._assign(averaged, last)

    def settle_on(self, typical: Typical | None = None) -> None:
        """Let the statistics of batch normalisation be those of these samples, see `predicting`; None as trained."""
        self._typical = typical if self.blueprint.has_statistics else None
        self._settled = False

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Hold the weights that predict: averages, if there are any, and statistics of the samples of `settle_on`.

        Statistics that training has moved are those of earlier weights and, after few steps, of the initial values. In
        this block they are what the present weights make of the samples (Wu and Johnson 2021, section 3,
        https://arxiv.org/abs/2105.07576).
        """
        with self.averaged():
            if self._typical is not None and not self._settled:
                self._settle(self._typical)
            yield

    @uninterrupted
    def _settle(self, typical: Typical) -> None:
        """Replace the statistics by the means of those of batches, of equal size, give or take one.

        A variance is the mean of the batches' variances, as a moving average is, not that about the mean of all: the
        weights were trained on batches each scaled by its own, so that with few samples per batch it predicts better
        (dense layers, digits in batches of 3: log loss 0.58, against 0.64 and, of one batch of all samples, 0.70).
        """
        tf, _ = start_tensorflow()
        self.loaded = None
        X, chosen, batch_size, n_before = typical
        graph = self.blueprint.collect(X)
        for part in np.array_split(chosen, -(-len(chosen) // min(batch_size, self._chunks[-1]))):
            momentum = n_before / (n_before + len(part))
            graph(self._variables, tf.constant(np.asarray(X[part])), tf.constant(momentum, tf.float64))
            n_before += len(part)
        self._settled = True

    @uninterrupted
    def optimizer_state(self) -> list[np.ndarray]:
        """Copy the optimizer's slots, the averages, and the states of Keras' seed generators out."""
        return [variable.numpy() for variable in [*self._slots, *self._seeds]]

    def load_optimizer_state(self, state: list[np.ndarray]) -> None:
        """Load what `optimizer_state` gave."""
        self._assign([*self._slots, *self._seeds], state)

    # Compiled functions -----------------------------------------------------------------------------------------

    @uninterrupted
    def steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any], first: int, last: int, total: Any) -> Any:
        """Run the steps from `first` up to `last` of one epoch inside the graph.

        Parameters
        ----------
        data : tuple of tensors
            Samples or their features, their targets and their weights: all of the data set, or a block of it.
        inputs : dict of tensors
            ``order``, the indices of the samples; ``batch_size``; ``rates``, the learning rate of each step;
            ``seed``; ``clock``, the steps done before; and the strengths that are on.
        first, last : int
            Steps to run, of those that `order` and ``rates`` are for.
        total : float64 tensor
            Sum of losses before this call.

        Returns
        -------
        float64 tensor
            `total` plus the losses of the samples of these steps.
        """
        tf, _ = start_tensorflow()
        self.loaded, self._settled = None, False  # first, as in `_assign`
        graph = self.blueprint.steps(data, inputs)
        return graph(self._variables, data, inputs, tf.constant(first, tf.int32), tf.constant(last, tf.int32), total)

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs of the frozen part of the network for samples of shape ``input_shape``."""
        frozen, graph = self.blueprint.frozen, self.blueprint.features(X)
        assert frozen is not None
        out = np.empty((len(X), *frozen.shape), frozen.dtype)
        return in_parts(lambda samples: graph(self._variables, samples), X, CHUNKS[0], out)

    @uninterrupted
    def frozen_digest(self) -> str:
        """Return a digest of the weights of the frozen part, and of any mean and scale of samples."""
        if self._frozen_digest is None:
            frozen = self.blueprint.frozen
            indices = frozen.indices if frozen else []
            parts = [self._weights[i] for i in indices] + (self._weights[-2:] if self.topology.standardize else [])
            digest = blake2b(digest_size=16)  # at once, which takes a tenth of the time of joblib's for many arrays
            for value in (part.numpy() for part in parts):
                digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
            self._frozen_digest = digest.hexdigest()
        return self._frozen_digest

    def predict(self, X: np.ndarray | LazySamples) -> np.ndarray:
        """Return the outputs of the network for samples of shape ``input_shape``, or features, ``(n, n_outputs)``."""
        graph = self.blueprint.predict(X)
        out = np.empty((len(X), self.topology.n_outputs), self.topology.dtype)
        full = self._chunks[-1]
        at_once = block_size(X, full)
        whole = len(X) // full * full
        bounds = [(start, min(start + at_once, whole)) for start in range(0, whole, at_once)]
        bounds += [(whole, len(X))] if whole < len(X) else []
        with closing(_parts(X, bounds)) as parts:
            for (start, stop), samples in zip(bounds, parts, strict=True):
                size, n = full, stop - start
                if n % full:
                    size = next(size for size in self._chunks if size >= n)
                    rest, samples = samples, np.zeros((size, *X.shape[1:]), X.dtype)
                    samples[:n] = rest
                out[start:stop] = self._outputs(graph, samples, size)[:n]
        return out

    @uninterrupted
    def _outputs(self, graph: Graph, X: np.ndarray, size: int) -> Any:
        tf, _ = start_tensorflow()
        return graph(self._variables, tf.constant(X), tf.constant(size, tf.int32)).numpy()


def in_parts(graph: Callable[[Any], Any], X: np.ndarray, size: int, out: np.ndarray) -> np.ndarray:
    """Fill `out` with what a graph makes of samples, always of `size` at once, zeros in place of those that lack."""
    tf, _ = start_tensorflow()
    part = np.zeros((size, *X.shape[1:]), X.dtype)
    for start in range(0, len(X), size):
        n = min(size, len(X) - start)
        part[:n], part[n:] = X[start : start + n], 0
        with signals_held():
            out[start : start + n] = graph(tf.constant(part)).numpy()[:n]
    return out


def _parts(X: np.ndarray | LazySamples, bounds: list[tuple[int, int]]) -> Generator[np.ndarray]:
    """Yield the samples between bounds; lazy ones are read ahead."""
    if isinstance(X, np.ndarray):
        yield from (X[start:stop] for start, stop in bounds)
        return
    with closing(read_ahead(lambda i: np.asarray(X[slice(*bounds[i])]), len(bounds))) as parts:
        yield from parts

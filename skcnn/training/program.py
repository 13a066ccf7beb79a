"""A training program: one Keras network with its optimizer's slots and compiled functions, used by many fits."""

import itertools
import random
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import numpy as np

from skcnn.training.threads import start_tensorflow

__all__ = ["BUILDING", "Program", "Topology", "building", "trace_count"]

# Keras' builders and TensorFlow's tracers share state between threads: one program is built or traced at a time.
BUILDING = RLock()

# Rows per call of the prediction graph. A row's result depends on the shape of its batch alone, and TensorFlow's
# kernels agree to the bit from 2 rows upwards, so rows are padded to the smallest size that holds them.
CHUNKS = (8, 64, 256)
CHUNK_BYTES = 256 * 2**20  # bound on the largest activation of one chunk
BLOCK_BYTES = 64 * 2**20  # bound on the input handed to TensorFlow at once while predicting

_traces = itertools.count()
_n_traces = 0


def trace_count() -> int:
    """Return how many graphs have been traced in this process; a fit of a known topology adds none."""
    return _n_traces


def _count_trace() -> None:
    global _n_traces  # under BUILDING
    _n_traces += 1


@dataclass(frozen=True)
class Topology:
    """All that decides a graph, and so the key of its program. What a search varies beside it is an input.

    Attributes
    ----------
    network : hashable
        What tells one network from another.
    input_shape : tuple of int
        Shape of a row, channels last.
    n_outputs : int
        Number of outputs of the network.
    loss : str
        Name of a loss, see `skcnn.losses.row_losses`.
    optimizer : str
        Name of an update rule, see `skcnn.training.optimizers`.
    dtype : {"float32", "float64"}
        Type of weights and arithmetic.
    knobs : frozenset of str
        The strengths that are on, among ``l1``, ``l2``, ``dropout``, ``weight_decay``, ``label_smoothing``,
        ``focal_gamma``, ``clipnorm`` and ``momentum``. On or off changes the graph, their values do not.
    build : callable
        ``build()`` returns the Keras model; not part of the key.
    standardize : {"channel", "position", None}
        Whether rows are standardised in the graph, with a mean and scale per channel or per position and channel.
    """

    network: Hashable
    input_shape: tuple[int, ...]
    n_outputs: int
    loss: str
    optimizer: str
    dtype: str
    knobs: frozenset[str]
    build: Callable[[], Any] = field(compare=False, repr=False)
    standardize: str | None = None


@contextmanager
def building(dtype: str) -> Iterator[None]:
    """Build Keras objects one at a time, in `dtype`, leaving Python's random state and Keras' policy as they were.

    Keras draws unset seeds from Python's ``random`` module. They are redrawn from the fit's own seed wherever Keras
    lets us reach them; the fixed seed here makes the others repeatable.
    """
    _, keras = start_tensorflow()
    with BUILDING:
        policy, state = keras.config.dtype_policy(), random.getstate()
        keras.config.set_dtype_policy(dtype)
        random.seed(0)
        try:
            yield
        finally:
            random.setstate(state)
            keras.config.set_dtype_policy(policy)


class Program:
    """A compiled topology. Lent by the pool to one fit at a time; `reset` or `load` first.

    Parameters
    ----------
    topology : Topology
        What to build.
    """

    def __init__(self, topology: Topology) -> None:
        tf, _ = start_tensorflow()
        self.topology = topology
        self.owner: object = None  # whose weights are loaded, so that predicting twice loads them once
        self._graphs: dict[Hashable, Any] = {}
        with building(topology.dtype):
            self.model = topology.build()
            self._weights = [variable.value for variable in self.model.weights]
            self._units = []
            if topology.standardize:
                shape = topology.input_shape if topology.standardize == "position" else topology.input_shape[-1:]
                self._units = [tf.Variable(value(shape, topology.dtype)) for value in (np.zeros, np.ones)]
            self._weights += self._units
            self._trained = [variable.value for variable in self.model.trainable_variables]
            self._random = _random_weights(self.model)
            self._initial = [weight.numpy() for weight in self._weights]
            self._seeds = _seed_states(self.model)
            for stream, layer in enumerate(_layers_with_rate(self.model)):
                layer.stream = stream
            from skcnn.training.optimizers import RULES

            self._rule = RULES[_rule_name(topology)]
            self._slots = [
                [tf.Variable(tf.zeros_like(weight), trainable=False) for _ in range(self._rule.n_slots)]
                for weight in self._trained
            ]
        largest = max(int(np.prod(shape)) for shape in _activation_shapes(self.model))
        bytes_per_row = largest * self._dtype.size
        self._chunks = [size for size in CHUNKS if size * bytes_per_row <= CHUNK_BYTES] or [CHUNKS[0]]

    @property
    def _dtype(self) -> Any:
        tf, _ = start_tensorflow()
        return tf.as_dtype(self.topology.dtype)

    # State ------------------------------------------------------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Start anew: weights drawn from `seed`, slots zero, nothing left of an earlier fit."""
        for weight, value in zip(self._weights, self._initial, strict=True):
            weight.assign(value)
        sequence = np.random.SeedSequence(seed).generate_state(len(self._random) + len(self._seeds)) >> 1
        for (index, initializer), drawn in zip(self._random, sequence[: len(self._random)].tolist(), strict=True):
            config = initializer.get_config() | {"seed": drawn}
            weight = self._weights[index]
            weight.assign(type(initializer).from_config(config)(tuple(weight.shape), dtype=self.topology.dtype))
        for (variable, first), drawn in zip(self._seeds, sequence[len(self._random) :].tolist(), strict=True):
            variable.assign([drawn, 0] if first is None else first)
        for slot in itertools.chain.from_iterable(self._slots):
            slot.assign(np.zeros(slot.shape, self.topology.dtype))
        self.owner = None

    def set_units(self, mean: np.ndarray, scale: np.ndarray) -> None:
        """Set what rows are standardised with."""
        for variable, value in zip(self._units, (mean, scale), strict=True):
            variable.assign(value)

    def weights(self) -> list[np.ndarray]:
        """Copy the weights out, in the order of ``model.weights``; then mean and scale, if rows are standardised."""
        return [weight.numpy() for weight in self._weights]

    def load_weights(self, weights: list[np.ndarray]) -> None:
        """Load weights; the slots stay."""
        for variable, value in zip(self._weights, weights, strict=True):
            variable.assign(value)
        self.owner = None

    def optimizer_state(self) -> list[np.ndarray]:
        """Copy the optimizer's slots and the states of Keras' seed generators out."""
        variables = [*itertools.chain.from_iterable(self._slots), *(variable for variable, _ in self._seeds)]
        return [variable.numpy() for variable in variables]

    def load_optimizer_state(self, state: list[np.ndarray]) -> None:
        """Load what `optimizer_state` gave."""
        variables = [*itertools.chain.from_iterable(self._slots), *(variable for variable, _ in self._seeds)]
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)

    # Compiled functions -----------------------------------------------------------------------------------------

    def steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any], first: int, last: int, total: Any) -> Any:
        """Run the steps from `first` up to `last` of one epoch inside the graph.

        Parameters
        ----------
        data : tuple of tensors
            Rows, targets and row weights, all of the data set.
        inputs : dict of tensors
            ``order``, the indices of the epoch's rows; ``batch_size``; ``rates``, the learning rate of each step;
            ``seed``; ``clock``, the steps done before this epoch; and the strengths that are on.
        first, last : int
            Steps to run.
        total : float64 tensor
            Sum of losses before this call.

        Returns
        -------
        float64 tensor
            `total` plus the losses of the rows of these steps.
        """
        tf, _ = start_tensorflow()
        X, y, w = data
        self.owner = None
        graph = self._graph(
            ("steps", X.dtype, y.dtype, w.shape[1]),
            self._run_steps,
            lambda: (
                tuple(tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in data),
                {name: tf.TensorSpec([None] * len(t.shape), t.dtype) for name, t in inputs.items()},
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([], tf.float64),
            ),
        )
        return graph(data, inputs, tf.constant(first, tf.int32), tf.constant(last, tf.int32), total)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs of the network for rows of shape ``input_shape``, ``(n, n_outputs)``."""
        tf, _ = start_tensorflow()
        graph = self._graph(
            ("predict", X.dtype.name),
            self._run_predict,
            lambda: (tf.TensorSpec([None, *X.shape[1:]], X.dtype), tf.TensorSpec([], tf.int32)),
        )
        out = np.empty((len(X), self.topology.n_outputs), self.topology.dtype)
        full = self._chunks[-1]
        rows_at_once = max(1, BLOCK_BYTES // max(1, X[:1].nbytes * full)) * full
        whole = len(X) // full * full
        for start in range(0, whole, rows_at_once):
            stop = min(start + rows_at_once, whole)
            out[start:stop] = graph(tf.constant(X[start:stop]), tf.constant(full, tf.int32)).numpy()
        if whole < len(X):
            rest = X[whole:]
            size = next(size for size in self._chunks if size >= len(rest))
            padded = np.zeros((size, *X.shape[1:]), X.dtype)
            padded[: len(rest)] = rest
            out[whole:] = graph(tf.constant(padded), tf.constant(size, tf.int32)).numpy()[: len(rest)]
        return out

    def _graph(self, key: Hashable, function: Callable[..., Any], specs: Callable[[], tuple[Any, ...]]) -> Any:
        """Return the compiled form of `function` for one kind of input, tracing it at the first call."""
        if key not in self._graphs:
            tf, _ = start_tensorflow()
            with BUILDING:
                _count_trace()
                self._graphs[key] = tf.function(function, autograph=False).get_concrete_function(*specs())
        return self._graphs[key]

    def _inputs(self, X: Any) -> Any:
        """Rows as the network takes them."""
        tf, _ = start_tensorflow()
        rows = tf.cast(X, self._dtype)
        return (rows - self._units[0]) / self._units[1] if self._units else rows

    def _run_predict(self, X: Any, size: Any) -> Any:
        tf, _ = start_tensorflow()
        dtype, shape = self._dtype, (None, self.topology.n_outputs)

        def chunk(i: Any, out: Any) -> tuple[Any, Any]:
            rows = self._inputs(X[i * size : (i + 1) * size])
            return i + 1, out.write(i, self.model(rows, training=False))

        n_chunks = tf.shape(X)[0] // size
        out = tf.TensorArray(dtype, size=n_chunks, element_shape=shape, infer_shape=False)
        _, out = tf.while_loop(lambda i, _: i < n_chunks, chunk, [0, out], parallel_iterations=1)
        return out.concat()

    def _run_steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any], first: Any, last: Any, total: Any) -> Any:
        tf, _ = start_tensorflow()
        order, size = inputs["order"], inputs["batch_size"]

        def step(i: Any, total: Any) -> tuple[Any, Any]:
            rows = order[i * size : (i + 1) * size]
            clock = inputs["clock"] + i
            loss = self._step([tf.gather(part, rows) for part in data], inputs, inputs["rates"][i], clock)
            return i + 1, total + tf.cast(loss, tf.float64) * tf.cast(tf.shape(rows)[0], tf.float64)

        return tf.while_loop(lambda i, _: i < last, step, [first, total], parallel_iterations=1)[1]

    def _step(self, batch: list[Any], inputs: dict[str, Any], rate: Any, clock: Any) -> Any:
        """Lay one training step: the loss of a batch, its gradient, the penalties' gradients, the update."""
        tf, _ = start_tensorflow()
        from skcnn.layers import step_inputs
        from skcnn.losses import row_losses

        X, y, w = batch
        on = self.topology.knobs
        strengths = {name: inputs[name] for name in on}
        seed = tf.stack([inputs["seed"], clock])
        with tf.GradientTape(watch_accessed_variables=False) as tape, step_inputs(seed=seed, **strengths):
            tape.watch(self._trained)
            z = self.model(self._inputs(X), training=True)
            losses = row_losses(
                self.topology.loss,
                y,
                z,
                label_smoothing=strengths.get("label_smoothing"),
                focal_gamma=strengths.get("focal_gamma"),
            )
            loss = tf.reduce_mean(losses * w)
            objective = tf.add_n([loss, *self.model.losses])  # an own network may bring regularisers of its own
        gradients = tape.gradient(objective, self._trained)
        for weight, slots, gradient in zip(self._trained, self._slots, gradients, strict=True):
            if gradient is None:  # a weight that the output does not depend on
                continue
            gradient = tf.convert_to_tensor(gradient)
            is_kernel = len(weight.shape) > 1
            if is_kernel and "l1" in on:
                gradient += strengths["l1"] * tf.sign(weight)
            if is_kernel and "l2" in on:
                gradient += 2 * strengths["l2"] * weight
            if "clipnorm" in on:
                gradient = tf.clip_by_norm(gradient, strengths["clipnorm"])
            if is_kernel and "weight_decay" in on:
                weight.assign_sub(rate * strengths["weight_decay"] * weight)
            self._rule.update(weight, slots, gradient, rate, clock, strengths.get("momentum"))
        return loss


def _rule_name(topology: Topology) -> str:
    return "nesterov" if topology.optimizer == "sgd" and "momentum" in topology.knobs else topology.optimizer


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _layers_with_rate(model: Any) -> list[Any]:
    return [layer for layer in _layers(model) if hasattr(layer, "stream")]


def _activation_shapes(model: Any) -> Iterator[tuple[int, ...]]:
    """Shapes of what each layer of the model puts out for one row, as far as Keras knows them."""
    yield tuple(size or 1 for size in model.input_shape[1:])
    for layer in model.layers:
        shape = getattr(getattr(layer, "output", None), "shape", None) if layer._inbound_nodes else None
        if shape:
            yield tuple(size or 1 for size in shape[1:])


def _random_weights(model: Any) -> list[tuple[int, Any]]:
    """Find the weights that an initialiser without a seed has drawn: their index and that initialiser.

    An initialiser drawn once gives the same values when called again, so a weight that differs from what the layer's
    initialisers give was set afterwards (pretrained) or has no random start, and is kept as it came.
    """
    index_of = {id(variable): i for i, variable in enumerate(model.weights)}
    found = []
    for layer in _layers(model):
        candidates = [
            value for value in vars(layer).values() if hasattr(value, "_init_seed") and value._init_seed is None
        ]
        for variable in candidates and [*layer._trainable_variables, *layer._non_trainable_variables]:
            value = variable.numpy()
            for initializer in candidates:
                again = _drawn_again(initializer, variable)
                if again is not None and np.array_equal(value, again):
                    found.append((index_of[id(variable)], initializer))
                    break
    return sorted(found, key=lambda pair: pair[0])


def _drawn_again(initializer: Any, variable: Any) -> np.ndarray | None:
    try:
        return np.asarray(initializer(tuple(variable.shape), dtype=variable.dtype))
    except (TypeError, ValueError):  # made for another shape, as Orthogonal for vectors
        return None


def _seed_states(model: Any) -> list[tuple[Any, list[int] | None]]:
    """Find the states of Keras' seed generators: the variable, and its first value if the user gave the seed."""
    known: dict[int, bool] = {}
    for layer in [model, *_layers(model)]:
        for value in vars(layer).values():
            if hasattr(value, "_initial_seed") and hasattr(value, "state"):
                known[id(value.state)] = value._initial_seed is None
    weights = {id(variable) for variable in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]
    return [
        (variable.value, None if known.get(id(variable), True) else variable.numpy().tolist()) for variable in states
    ]

"""What programs of one topology share: the Keras network and the graphs traced from it."""

import itertools
import math
import random
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import numpy as np

from skcnn._engine.threads import start_tensorflow

__all__ = ["BUILDING", "Blueprint", "Graph", "Topology", "building", "trace_count"]

# Keras' builders and TensorFlow's tracers share state between threads: one network is built or traced at a time.
BUILDING = RLock()

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
        Name of a loss, see `skcnn._engine.losses.row_losses`.
    optimizer : str
        Name of an update rule, a key of `skcnn._engine.optimizers.RULES`.
    dtype : {"float32", "float64"}
        Type of weights and arithmetic.
    knobs : tuple of str
        The strengths that are on, sorted, among ``l1``, ``l2``, ``dropout``, ``spatial_dropout``, ``stochastic_depth``,
        ``weight_decay``, ``label_smoothing``, ``mixup``, ``cutmix``, ``augmentation_strength``, ``focal_gamma``,
        ``clipnorm``, ``momentum`` and ``ema_momentum``. On or off changes the graph, their values do not.
    build : callable
        ``build()`` returns the Keras model; not part of the key.
    standardize : {"channel", "position", None}
        Whether rows are standardised in the graph, with a mean and scale per channel or per position and channel.
    augmentation : tuple of hashable
        What tells the transformations of training rows from others, in their order.
    transformations : tuple of str or keras.Layer
        The transformations; not part of the key.
    """

    network: Hashable
    input_shape: tuple[int, ...]
    n_outputs: int
    loss: str
    optimizer: str
    dtype: str
    knobs: tuple[str, ...]
    build: Callable[[], Any] = field(compare=False, repr=False)
    standardize: str | None = None
    augmentation: tuple[Hashable, ...] = ()
    transformations: tuple[Any, ...] = field(default=(), compare=False, repr=False)


@contextmanager
def building(dtype: str) -> Iterator[None]:
    """Build Keras objects one at a time, in `dtype`, leaving Python's random state and Keras' policy as they were.

    Keras draws unset seeds from Python's ``random`` module. They are redrawn from the fit's own seed wherever Keras
    lets us reach them; the fixed seed here makes the others repeatable.
    """
    tf, keras = start_tensorflow()
    with BUILDING, tf.variable_creator_scope(_under_one_name):
        policy, state = keras.config.dtype_policy(), random.getstate()
        keras.config.set_dtype_policy(dtype)
        random.seed(0)
        try:
            yield
        finally:
            random.setstate(state)
            keras.config.set_dtype_policy(policy)


def _under_one_name(create: Callable[..., Any], **settings: Any) -> Any:
    """Create a variable under a name that all share; Keras has its own names beside TensorFlow's.

    For each name that is new, as those of Keras' numbered layers are, TensorFlow keeps 35 KiB until the process ends.
    """
    return create(**settings | {"name": "variable/"})  # the slash leaves the scopes of the layers


class Graph:
    """A compiled function that is called with the variables of any program of its topology.

    TensorFlow compiles a graph once, and the variables that it reads and writes are inputs as others are.

    Parameters
    ----------
    concrete : tf.ConcreteFunction
        What was traced, on the variables of the blueprint.
    variables : list of tf.Variable
        Those variables.
    """

    def __init__(self, concrete: Any, variables: list[Any]) -> None:
        index_of = {id(variable.handle): i for i, variable in enumerate(variables)}
        self._concrete = concrete
        self._captured = [index_of.get(id(captured), captured) for captured in concrete.captured_inputs]

    def __call__(self, variables: list[Any], *arguments: Any) -> Any:
        """Run on `variables`, in the order of the blueprint's.

        `tf.raw_ops.StatefulPartitionedCall` does the same, but keeps 1.5 MiB of each graph that is no longer used.
        """
        tf, _ = start_tensorflow()
        captured = [variables[one].handle if isinstance(one, int) else one for one in self._captured]
        return self._concrete._call_flat(tf.nest.flatten(arguments), captured)


class Blueprint:
    """A network, the variables on which it was built, and the graphs traced from it so far.

    Parameters
    ----------
    topology : Topology
        What to build.

    Attributes
    ----------
    model : keras.Model
        The network.
    variables : list of tf.Variable
        Weights in the order of ``model.weights``, then mean and scale if rows are standardised, the slots of the update
        rule, the averages of weights and the sum of their shares if there are any, and the states of Keras' seed
        generators.
    n_weights, n_slots : int
        How many of them are weights (with mean and scale), and how many are slots.
    averaged : list of int
        Indices of the weights that are averaged over the steps, in the order of the averages.
    initial : list of ndarray
        Their values when built.
    random : list of (int, initializer)
        Weights that an initialiser without a seed draws, by their index.
    seeds : list of (list of int or None)
        For each seed generator its first state, if the user gave its seed.
    largest_activation, step_row_bytes, gradient_bytes : int
        Bytes of the largest that a layer puts out for one row, of what a training step takes for each of its rows, and
        of the gradient.
    """

    def __init__(self, topology: Topology) -> None:
        tf, _ = start_tensorflow()
        self.topology = topology
        self._graphs: dict[Hashable, Graph] = {}
        with building(topology.dtype):
            self.model = topology.build()
            weights = [variable.value for variable in self.model.weights]
            self._units = []
            if topology.standardize:
                shape = topology.input_shape if topology.standardize == "position" else topology.input_shape[-1:]
                self._units = [tf.Variable(value(shape, topology.dtype)) for value in (np.zeros, np.ones)]
            self._trained = [variable.value for variable in self.model.trainable_variables]
            self._transformations = [_copy_of_layer(one) for one in topology.transformations]
            _check_shapes(self._transformations, topology.input_shape)
            self.random = _random_weights(self.model)
            layers = [one for one in self._transformations if not isinstance(one, str)]
            seeds = [pair for part in (self.model, *layers) for pair in _seed_states(part)]
            self.seeds = [first for _, first in seeds]
            for stream, layer in enumerate(_layers_with_rate(self.model)):
                layer.stream = stream
            from skcnn._engine.optimizers import RULES

            self._rule = RULES[topology.optimizer]
            self._slots = [
                [tf.Variable(tf.zeros_like(weight), trainable=False) for _ in range(self._rule.n_slots)]
                for weight in self._trained
            ]
            self.averaged = _moving_weights(self.model) if "ema_momentum" in topology.knobs else []
            self._averages = [tf.Variable(tf.zeros_like(weights[i]), trainable=False) for i in self.averaged]
            if self.averaged:
                self._averages.append(tf.Variable(tf.zeros([], topology.dtype), trainable=False))
        slots = [*itertools.chain.from_iterable(self._slots), *self._averages]
        self.variables = [*weights, *self._units, *slots, *(variable for variable, _ in seeds)]
        self.n_weights, self.n_slots = len(weights) + len(self._units), len(slots)
        # Slots start at zero, which takes no memory here.
        self.initial = [
            np.broadcast_to(np.zeros((), topology.dtype), variable.shape)
            if self.n_weights <= i < self.n_weights + self.n_slots
            else variable.numpy()
            for i, variable in enumerate(self.variables)
        ]
        self.dtype = tf.as_dtype(topology.dtype)
        sizes = [math.prod(topology.input_shape), *map(_output_size, self.model.layers)]
        self.largest_activation = max(sizes) * self.dtype.size
        self.step_row_bytes = max(_held_for_gradient(self.model), 2 * max(sizes)) * self.dtype.size
        self.gradient_bytes = sum(math.prod(weight.shape) for weight in self._trained) * self.dtype.size

    def copy_of_variables(self) -> list[Any]:
        """Return variables of the same types and shapes for one more program."""
        tf, _ = start_tensorflow()
        return [tf.Variable(value, trainable=False) for value in self.initial]

    def steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any]) -> Graph:
        """Return the graph that trains on data and inputs of these types, see `Program.steps`."""
        tf, _ = start_tensorflow()
        X, y, w = data
        return self._graph(
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

    def predict(self, dtype: np.dtype[Any]) -> Graph:
        """Return the graph that predicts for rows of this type, in chunks."""
        tf, _ = start_tensorflow()
        rows = (None, *self.topology.input_shape)
        return self._graph(
            ("predict", dtype.name),
            self._run_predict,
            lambda: (tf.TensorSpec(rows, dtype), tf.TensorSpec([], tf.int32)),
        )

    def _graph(self, key: Hashable, function: Callable[..., Any], specs: Callable[[], tuple[Any, ...]]) -> Graph:
        """Return the compiled form of `function` for one kind of input, tracing it at the first call."""
        graph = self._graphs.get(key)
        if graph is None:
            tf, _ = start_tensorflow()
            with BUILDING:
                if key not in self._graphs:
                    _count_trace()
                    concrete = tf.function(function, autograph=False).get_concrete_function(*specs())
                    self._graphs[key] = Graph(concrete, self.variables)
                graph = self._graphs[key]
        return graph

    # What is traced -------------------------------------------------------------------------------------------------

    def _inputs(self, X: Any) -> Any:
        """Rows as the network takes them."""
        tf, _ = start_tensorflow()
        rows = tf.cast(X, self.dtype)
        return (rows - self._units[0]) / self._units[1] if self._units else rows

    def _run_predict(self, X: Any, size: Any) -> Any:
        tf, _ = start_tensorflow()
        dtype, shape = self.dtype, (None, self.topology.n_outputs)

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
        from skcnn._engine.layers import step_inputs
        from skcnn._engine.losses import row_losses

        X, y, w = batch
        on = self.topology.knobs
        strengths = {name: inputs[name] for name in on}
        seed = tf.stack([inputs["seed"], clock])
        X, targets = self._vary(self._inputs(X), y, w, strengths, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape, step_inputs(seed=seed, **strengths):
            tape.watch(self._trained)
            z = self.model(X, training=True)
            loss = tf.reduce_mean(
                tf.add_n(
                    [
                        weight
                        * row_losses(
                            self.topology.loss,
                            target,
                            z,
                            label_smoothing=strengths.get("label_smoothing"),
                            focal_gamma=strengths.get("focal_gamma"),
                        )
                        for target, weight in targets
                    ]
                )
            )
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
        self._average(strengths.get("ema_momentum"))
        return loss

    def _vary(self, X: Any, y: Any, w: Any, strengths: dict[str, Any], seed: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """Augment and mix a batch; return its rows, and their targets with weights, whose losses add up."""
        mixes = {name: strengths[name] for name in ("mixup", "cutmix") if name in strengths}
        if not self._transformations and not mixes:
            return X, [(y, w)]
        tf, _ = start_tensorflow()
        from skcnn._engine.transformations import augment, mix

        X = augment(X, self._transformations, strengths.get("augmentation_strength"), seed)
        if not mixes:
            return X, [(y, w)]
        X, partner, share = mix(X, seed, **mixes)
        other, w_other = tf.gather(y, partner), tf.gather(w, partner)
        if self.topology.loss in ("softmax", "sigmoid"):  # linear in the target, which may be a code
            return X, [(y, share * w), (other, (1 - share) * w_other)]
        return X, [(share * y + (1 - share) * other, share * w + (1 - share) * w_other)]

    def _average(self, momentum: Any) -> None:
        """Take the weights after a step into their exponential moving averages, see `Program.averaged`."""
        if not self.averaged:
            return
        *averages, shares = self._averages
        for i, average in zip(self.averaged, averages, strict=True):
            average.assign_add((1 - momentum) * (self.variables[i] - average))
        shares.assign_add((1 - momentum) * (1 - shares))


def _copy_of_layer(one: Any) -> Any:
    """Return a new layer with the arguments of this one, or a name as it is."""
    return one if isinstance(one, str) else type(one).from_config(one.get_config())


def _check_shapes(transformations: list[Any], input_shape: tuple[int, ...]) -> None:
    """Refuse layers that change the shape of rows."""
    _, keras = start_tensorflow()
    for layer in transformations:
        if not isinstance(layer, str):
            shape = tuple(layer(keras.KerasTensor((None, *input_shape)), training=True).shape[1:])
            if shape != tuple(input_shape):
                raise ValueError(
                    f"The augmentation layer {type(layer).__name__} turns rows of shape {tuple(input_shape)} into "
                    f"{shape}; expected a layer that keeps the shape. Put it into the network, or into the data."
                )


def _moving_weights(model: Any) -> list[int]:
    """Find the weights that training changes: those that are trained, and the statistics of layers not frozen."""
    frozen = {id(weight) for layer in _layers(model) if not layer.trainable for weight in layer.weights}
    return [
        i for i, weight in enumerate(model.weights) if id(weight) not in frozen and weight.dtype.startswith("float")
    ]


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _layers_with_rate(model: Any) -> list[Any]:
    return [layer for layer in _layers(model) if hasattr(layer, "stream")]


def _output_size(layer: Any) -> int:
    """Values that a layer puts out for one row, as far as Keras knows."""
    shape = getattr(getattr(layer, "output", None), "shape", None) if layer._inbound_nodes else None
    return math.prod(size or 1 for size in shape[1:]) if shape else 0


def _held_for_gradient(model: Any) -> int:
    """Values for one row that a step keeps for the gradient: what all layers put out from the first trained one on."""
    layers = itertools.dropwhile(lambda layer: not layer.trainable_variables, model.layers)
    return sum(map(_output_size, layers))


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
            for initializer in itertools.chain.from_iterable(_variants(one, value.ndim) for one in candidates):
                again = _drawn_again(initializer, variable)
                if again is not None and np.array_equal(value, again):
                    found.append((index_of[id(variable)], initializer))
                    break
    return sorted(found, key=lambda pair: pair[0])


def _variants(initializer: Any, rank: int) -> Iterator[Any]:
    """Yield an initializer, and those of other fans that a layer may have made of it, as EinsumDense does."""
    yield initializer
    config = initializer.get_config()
    if "input_axes" in config:
        for n_inputs in range(1, rank):
            axes = {"input_axes": list(range(n_inputs)), "output_axes": list(range(n_inputs, rank))}
            yield type(initializer).from_config(config | axes | {"seed": initializer.seed})


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

"""What programs of one topology share: the Keras network, its variables and the graphs traced from it."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import output_shape_of, seeds_from
from skcnn._engine.randomness import are_all_known, changing_weights, generator_states, random_weights
from skcnn._engine.signals import signals_held
from skcnn._engine.structure import check_unchanged, structure_of
from skcnn._engine.tensorflow_internals import call_flat
from skcnn._engine.threads import start_tensorflow

__all__ = ["BUILDING", "Blueprint", "Graph", "Topology", "building", "shares_weights", "trace_count"]

# Keras' builders and TensorFlow's tracers share state between threads: one network is built or traced at a time.
BUILDING = RLock()

_n_traces = 0


def trace_count() -> int:
    """Return how many graphs have been traced in this process; a fit of a known topology adds none."""
    return _n_traces


@dataclass(frozen=True)
class Topology:
    """All that decides a graph, and so the key of its program; what else a search varies is an input.

    Attributes
    ----------
    network : hashable
        What identifies the network.
    input_shape : tuple of int
        Shape of a sample, channels last.
    n_outputs : int
        Number of outputs of the network.
    loss : str
        Name of a loss, see `skcnn._engine.losses.sample_losses`.
    optimizer : str
        Name of an update rule, a key of `skcnn._engine.optimizers.RULES`.
    dtype : {"float32", "float64"}
        Type of weights and arithmetic.
    knobs : tuple of str
        The strengths that are on, sorted, among ``l1``, ``l2``, ``dropout``, ``spatial_dropout``, ``stochastic_depth``,
        ``weight_decay``, ``label_smoothing``, ``mixup``, ``cutmix``, ``augmentation_strength``, ``focal_gamma``,
        ``alpha``, ``clipnorm``, ``momentum`` and ``ema_momentum``. On or off changes the graph, their values do not.
    build : callable
        ``build()`` returns the Keras model; not part of the key.
    standardize : {"channel", "position", None}
        Whether samples are standardised in the graph, with a mean and scale per channel or per position and channel.
    augmentation : tuple of hashable
        What identifies the transformations of training samples, in their order.
    transformations : tuple of str or keras.Layer
        The transformations; not part of the key.
    certain : bool
        Whether `network` tells all that decides what is built, see `skcnn._engine.behaviour`; not part of the key.
    structure : str
        Digest of the model that was built, see `skcnn._engine.structure`; empty before.
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
    certain: bool = field(default=True, compare=False, repr=False)
    structure: str = ""

    @property
    def varies_samples(self) -> bool:
        """Whether training samples are changed at random before the network."""
        return bool(self.transformations) or not {"mixup", "cutmix"}.isdisjoint(self.knobs)


@contextmanager
def building(dtype: str, stream: int = 0) -> Iterator[None]:
    """Build Keras objects one at a time, in `dtype`, with Keras' policy and Python's random state as they were.

    Seeds that are not set are drawn from `stream`, the same each time. They are redrawn from the fit's own seed
    wherever Keras lets us reach them, and repeatable elsewhere.
    """
    tf, keras = start_tensorflow()
    seeds = seeds_from(f"skcnn, stream {stream}")
    with BUILDING, signals_held(), tf.variable_creator_scope(_under_one_name), seeds:
        policy = keras.config.dtype_policy()
        try:
            keras.config.set_dtype_policy(dtype)
            yield
        finally:
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
        """Run on `variables`, in the order of the blueprint's."""
        tf, _ = start_tensorflow()
        captured = [variables[one].handle if isinstance(one, int) else one for one in self._captured]
        return call_flat(self._concrete, tf.nest.flatten(arguments), captured)


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
        Weights in the order of ``model.weights``, then mean and scale if samples are standardised, the slots of the
        update rule, the averages of weights and the sum of their shares if there are any, and the states of Keras' seed
        generators.
    n_weights, n_slots : int
        How many of them are weights (with mean and scale), and how many are slots.
    averaged : list of int
        Indices of the weights that are averaged over the steps, in the order of the averages.
    frozen : Frozen or None
        The part of the network before all that is trained.
    has_statistics : bool
        Whether there is batch normalisation that is not frozen.
    initial : list of ndarray
        Their values when built.
    random : list of (int, initializer)
        Weights that an initializer without a seed draws, by their index.
    built_again : list of int
        Weights that depend on unset seeds in a way that no initializer shows; a fit takes them from a build of its own.
    taken : bool
        Whether its variables are those of a program, or of layers that the user made once for all networks.
    seeds : list of (list of int or None)
        For each seed generator its first state, if the user gave its seed.
    largest_activation, step_sample_bytes, gradient_bytes : int
        Bytes of a layer's largest output for one sample, of what a training step takes for each of its samples, and of
        the gradient.
    """

    def __init__(self, topology: Topology) -> None:
        start_tensorflow()
        from skcnn._engine.computation import Computation  # imports TensorFlow

        self._graphs: dict[Hashable, Graph] = {}
        self.taken = False
        with building(topology.dtype):
            self.model = topology.build()
            check_unchanged(topology.structure, self.model)
            self.topology = replace(topology, structure=topology.structure or structure_of(self.model))
            self._computation = Computation(topology, self.model)
            self.random = random_weights(self.model)
            generators = generator_states([self.model, *self._computation.layers])
        self.built_again: list[int] = []
        if not (topology.certain and are_all_known(self.random, self.model)):
            self._compare_builds()
        self.averaged = self._computation.averaged
        self.frozen = self._computation.frozen
        self.has_statistics = bool(self._computation.normalising)
        weights = [*(variable.value for variable in self.model.weights), *self._computation.units]
        slots, states = self._computation.variables, [state for state, _ in generators]
        self.variables = [*weights, *slots, *states]
        self.n_weights, self.n_slots = len(weights), len(slots)
        zero = np.zeros((), topology.dtype)  # slots start at zero, which takes no memory here
        self.initial = [variable.numpy() for variable in weights]
        self.initial += [np.broadcast_to(zero, slot.shape) for slot in slots]
        self.initial += [state.numpy() for state in states]
        self.seeds = [first for _, first in generators]
        sizes = [math.prod(topology.input_shape), *map(_output_size, self.model.layers)]
        size = zero.itemsize
        self.largest_activation = max(sizes) * size
        self.step_sample_bytes = max(_held_for_gradient(self.model), 2 * max(sizes)) * size
        self.gradient_bytes = sum(math.prod(weight.shape) for weight in self._computation.trained) * size

    def _compare_builds(self) -> None:
        """Find what depends on unset seeds: what differs in a build with others. What is equal was loaded or set."""
        again = self._build(stream=1)
        changing = changing_weights(self.model, again)
        self.random = [(i, by) for i, by in self.random if i in changing]
        if others := changing.difference(i for i, _ in self.random):
            self.built_again = sorted(others - changing_weights(self.model, self._build()))
        self.taken = shares_weights(self.model, again)

    def _build(self, stream: int = 0) -> Any:
        with building(self.topology.dtype, stream):
            return self.topology.build()

    def start(self, seed: int) -> dict[int, np.ndarray]:
        """Return the values of `built_again` for a seed."""
        if not self.built_again:
            return {}
        model = self._build(stream=seed)
        check_unchanged(self.topology.structure, model)
        return {i: model.weights[i].numpy() for i in self.built_again}

    def is_current(self, build: Callable[[], Any]) -> bool:
        """Tell whether what is built now is the same network, with the same weights but those that are drawn."""
        with building(self.topology.dtype):
            model = build()
        drawn = {*self.built_again, *(i for i, _ in self.random)}
        return structure_of(model) == self.topology.structure and all(
            i in drawn or np.array_equal(weight.numpy(), value)
            for i, (weight, value) in enumerate(zip(model.weights, self.initial, strict=False))
        )

    def steps(self, data: tuple[Any, Any, Any], inputs: dict[str, Any]) -> Graph:
        """Return the graph that trains on data and inputs of these types, see `Program.steps`."""
        tf, _ = start_tensorflow()
        samples = tuple(tf.TensorSpec([None, *t.shape[1:]], t.dtype) for t in data)
        settings = {name: tf.TensorSpec([None] * len(t.shape), t.dtype) for name, t in inputs.items()}
        first = last = tf.TensorSpec([], tf.int32)
        return self._graph(self._computation.steps, samples, settings, first, last, tf.TensorSpec([], tf.float64))

    def features(self, X: Any) -> Graph:
        """Return the graph of the frozen part for samples such as these."""
        return self._graph(self._computation.features, _spec_of(X))

    def predict(self, X: Any) -> Graph:
        """Return the graph that predicts for samples such as these, or features, in chunks."""
        tf, _ = start_tensorflow()
        return self._graph(self._computation.predict, _spec_of(X), tf.TensorSpec([], tf.int32))

    def collect(self, X: Any) -> Graph:
        """Return the graph that moves the statistics of batch normalisation to those of a batch such as this."""
        tf, _ = start_tensorflow()
        return self._graph(self._computation.collect, _spec_of(X), tf.TensorSpec([], tf.float64))

    def _graph(self, function: Callable[..., Any], *specs: Any) -> Graph:
        """Return the compiled form of `function` for inputs of these kinds, tracing it at the first call."""
        global _n_traces
        tf, _ = start_tensorflow()
        key = function.__name__, *tf.nest.flatten(specs)
        if key not in self._graphs:  # asked before the lock, too, which another network may hold for seconds
            with BUILDING, signals_held():
                if key not in self._graphs:
                    _n_traces += 1
                    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
                    self._graphs[key] = Graph(concrete, self.variables)
        return self._graphs[key]


def _spec_of(X: Any) -> Any:
    tf, _ = start_tensorflow()
    return tf.TensorSpec((None, *X.shape[1:]), X.dtype)


def shares_weights(model: Any, other: Any) -> bool:
    """Tell whether two models have a variable in common."""
    return not {id(weight) for weight in model.weights}.isdisjoint(map(id, other.weights))


def _output_size(layer: Any) -> int:
    """Return how many values a layer outputs for one sample, as far as Keras knows."""
    shape = output_shape_of(layer)
    return math.prod(size or 1 for size in shape[1:]) if shape else 0


def _held_for_gradient(model: Any) -> int:
    """Return how many values a step keeps of one sample: the outputs of all layers from the first trained one on."""
    layers = itertools.dropwhile(lambda layer: not layer.trainable_variables, model.layers)
    return sum(map(_output_size, layers))

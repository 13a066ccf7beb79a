"""How large a network is, and how far it sees, told before any training."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from skcnn.networks._builder import build_model
from skcnn.networks._names import resolve_network

__all__ = ["LayerSize", "Summary", "receptive_field", "summary"]

# Layers that look at all positions at once.
SEE_ALL = ("Flatten", "LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "Attention")
# Layers whose weights of several axes are no kernels.
NO_KERNELS = ("Normalization", "PReLU", "Embedding")


@dataclass(frozen=True)
class LayerSize:
    """What one layer takes.

    Attributes
    ----------
    name, kind : str
        Its name in the network, and its class.
    output_shape : tuple of int
        Shape of what it puts out for one row.
    parameters : int
        Number of its weights.
    multiply_adds : int
        Multiplications with its kernels for one row; additions, biases, normalisation and activations are not counted.
    receptive_field : tuple of int
        Positions of the input that one of its outputs depends on, along each axis; empty where all are seen.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """The size of a network for rows of one shape.

    Attributes
    ----------
    name : str
        Of the network.
    input_shape : tuple of int
        Shape of a row, channels last.
    n_outputs : int
        Number of outputs.
    parameters : int
        Number of weights, moving statistics of normalisations included, as ``keras.Model.count_params``.
    trainable_parameters : int
        Those that training changes.
    multiply_adds : int
        Multiplications with kernels for one row, see `LayerSize`. Training takes about three times as many.
    receptive_field : tuple of int
        Positions of the input that one value of the last feature map depends on, along each axis.
    sees_all : bool
        Whether a layer after the last feature map looks at all its positions, as dense and recurrent layers do;
        global pooling does not.
    layers : tuple of LayerSize
        Each layer.
    """

    name: str
    input_shape: tuple[int, ...]
    n_outputs: int
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...]
    sees_all: bool
    layers: tuple[LayerSize, ...]

    def __repr__(self) -> str:
        sizes = self.input_shape[:-1]
        field = " x ".join(map(str, self.receptive_field))
        seen = f"{field} of {' x '.join(map(str, sizes))} positions"
        if self.sees_all:
            seen += "; the layers after it see all"
        elif any(one < size for one, size in zip(self.receptive_field, sizes, strict=True)):
            seen += "; nothing longer can be recognised"
        return (
            f"{self.name} for rows of shape {self.input_shape} and {self.n_outputs} outputs\n"
            f"  parameters       {self.parameters:,} ({self.trainable_parameters:,} trained)\n"
            f"  multiply-adds    {self.multiply_adds:,} a row\n"
            f"  receptive field  {seen}"
        )

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row per layer."""
        import pandas as pd

        return pd.DataFrame([vars(layer) for layer in self.layers]).set_index("name")


def summary(network: Any, input_shape: tuple[int, ...], n_outputs: int) -> Summary:
    """Count the parameters and multiply-adds of a network, and find how far its features see.

    Far more parameters than rows ask for regularisation or a smaller network; a receptive field that is short of what
    tells the classes apart asks for more blocks, longer kernels or, in `Plain`, ``pooling=None``.

    Parameters
    ----------
    network : str, Network or callable
        As the estimators take it.
    input_shape : tuple of int
        Shape of a row, channels last.
    n_outputs : int
        Number of outputs: 1 for two classes, one a class or label for more, one a target.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If the network cannot be built for these rows, or is no graph of layers.

    Examples
    --------
    >>> from skcnn.networks import summary
    >>> summary("plain", (28, 28, 1), 10)
    Plain for rows of shape (28, 28, 1) and 10 outputs
      parameters       50,474 (50,282 trained)
      multiply-adds    3,869,824 a row
      receptive field  10 x 10 of 28 x 28 positions; the layers after it see all
    """
    network, input_shape = resolve_network(network), tuple(input_shape)
    state = random.getstate()  # Keras draws unset seeds from it
    try:
        model = build_model(network, input_shape, n_outputs)
    finally:
        random.setstate(state)
    found = receptive_field(model)
    if found is None or None in model.input_shape[1:]:
        raise ValueError(
            f"The network {model.name!r} is no graph of layers of known shapes, so that nothing can be counted. Write "
            "it with Keras' functional API (keras.Input of the input_shape that it is given) or keras.Sequential."
        )
    layers = tuple(_layer_sizes(model))
    return Summary(
        getattr(network, "__name__", type(network).__name__),
        input_shape,
        int(n_outputs),
        int(model.count_params()),
        sum(prod(weight.shape) for weight in model.trainable_weights),
        sum(layer.multiply_adds for layer in layers),
        *found,
        layers,
    )


def receptive_field(model: Any) -> tuple[tuple[int, ...], bool] | None:
    """Return how many positions of each axis a value of the last feature map sees, and if later layers see all.

    Each layer adds ``(kernel - 1) * dilation`` steps of the size that the strides before it have made; where branches
    meet, the longest counts (Araujo, Norris and Sim 2019, https://doi.org/10.23915/distill.00021).

    Parameters
    ----------
    model : keras.Model
        Told from its attributes: Keras is not imported.

    Returns
    -------
    tuple of int, bool, or None
        None for a model that is no graph of layers.
    """
    if not hasattr(_graph(model), "_nodes_by_depth"):
        return None
    views = [view for _, view in _walk(model)]
    maps = [view.field for view in views if view.field] or [()]
    return maps[-1], views[-1].all


@dataclass(frozen=True)
class _View:
    """What a tensor sees: positions and their distance along each axis, and if it sees all."""

    field: tuple[int, ...] = ()
    step: tuple[int, ...] = ()
    all: bool = False


def _graph(model: Any) -> Any:
    """Return the graph of layers of a functional or sequential model."""
    return getattr(model, "_functional", None) or model


def _walk(model: Any, start: _View | None = None) -> Iterator[tuple[Any, _View]]:
    """Yield the calls of layers in order, inner models' too, each with what its output sees."""
    graph = _graph(model)
    views: dict[int, _View] = {}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            operation, inputs = node.operation, [views[id(one)] for one in node.input_tensors if id(one) in views]
            view = _View()
            if not inputs:
                rank = len(node.output_tensors[0].shape) - 2
                view = start or _View((1,) * rank, (1,) * rank)
                yield node, view
            elif hasattr(_graph(operation), "_nodes_by_depth"):
                for inner in _walk(operation, _merge(inputs)):
                    view = inner[1]
                    yield inner
            else:
                view = _look(operation, node, _merge(inputs))
                yield node, view
            views.update((id(one), view) for one in node.output_tensors)


def _merge(views: list[_View]) -> _View:
    """What a layer sees that takes several tensors."""
    maps = [view for view in views if view.field] or [_View()]
    return _View(
        tuple(map(max, zip(*(view.field for view in maps), strict=True))),
        tuple(map(max, zip(*(view.step for view in maps), strict=True))),
        any(view.all for view in views),
    )


def _look(layer: Any, node: Any, before: _View) -> _View:
    """What the output of one layer sees."""
    kind, rank = type(layer).__name__, len(node.output_tensors[0].shape) - 2
    if any(name in kind for name in SEE_ALL):
        return _View(before.field if rank > 0 else (), before.step, True)
    if rank <= 0 or not before.field:
        return _View((), (), before.all)
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if kernel is None or not ("Conv" in kind or "Pooling" in kind):
        return before
    axes = range(len(before.field))
    sizes, strides, dilation = (
        _per_axis(value, len(before.field))
        for value in (kernel, getattr(layer, "strides", None) or 1, getattr(layer, "dilation_rate", None) or 1)
    )
    if "Transpose" in kind:  # its strides make steps smaller
        step = tuple(max(1, before.step[i] // strides[i]) for i in axes)
        return _View(tuple(before.field[i] + (sizes[i] - 1) * step[i] for i in axes), step, before.all)
    field = tuple(before.field[i] + (sizes[i] - 1) * dilation[i] * before.step[i] for i in axes)
    return _View(field, tuple(before.step[i] * strides[i] for i in axes), before.all)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (int(value),) * rank if isinstance(value, int) else tuple(int(one) for one in value)


def _layer_sizes(model: Any) -> Iterator[LayerSize]:
    counted: set[int] = set()
    for node, view in _walk(model):
        layer, shape = node.operation, tuple(node.output_tensors[0].shape[1:])
        weights = list(getattr(layer, "weights", []))
        parameters = sum(prod(weight.shape) for weight in weights if id(weight) not in counted)
        counted.update(id(weight) for weight in weights)
        kernels = [] if any(name in type(layer).__name__ for name in NO_KERNELS) else weights
        per_position = sum(prod(weight.shape) for weight in kernels if len(weight.shape) > 1)
        work = per_position * _positions(layer, node) if per_position else 0
        yield LayerSize(layer.name, type(layer).__name__, shape, parameters, work, () if view.all else view.field)


def _positions(layer: Any, node: Any) -> int:
    """Number of positions that the kernels of a layer are applied to."""
    kind = type(layer).__name__
    recurrent = any(name in kind for name in ("LSTM", "GRU", "RNN", "Bidirectional"))
    given = node.input_tensors[0] if recurrent or "Transpose" in kind else node.output_tensors[0]
    return prod(given.shape[1:-1])

"""The size of a network and how far its features see, before any training."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from skcnn._engine.blueprint import building
from skcnn._engine.keras_internals import calls_of
from skcnn.networks._builder import build_model
from skcnn.networks._names import resolve_network

__all__ = ["LayerSize", "Summary", "receptive_field", "summary"]

RECURRENT = ("LSTM", "GRU", "RNN", "Bidirectional")
# Layers that look at all positions at once.
SEE_ALL = ("Flatten", "Attention", *RECURRENT)
# Layers whose weights of several axes are no kernels.
NO_KERNELS = ("Normalization", "PReLU", "Embedding")


@dataclass(frozen=True)
class LayerSize:
    """The size of one layer.

    Attributes
    ----------
    name, kind : str
        Its name in the network, and its class.
    output_shape : tuple of int
        Shape of its output for one sample.
    parameters : int
        Number of its weights.
    multiply_adds : int
        Multiplications with its kernels for one sample; additions, biases, normalisation and activations are left out.
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
    """The size of a network for samples of one shape.

    Attributes
    ----------
    name : str
        Of the network.
    input_shape : tuple of int
        Shape of a sample, channels last.
    n_outputs : int
        Number of outputs.
    parameters : int
        Number of weights, moving statistics of normalisations included, as ``keras.Model.count_params``.
    trainable_parameters : int
        Those that training changes.
    multiply_adds : int
        Multiplications with kernels for one sample, see `LayerSize`. Training takes about three times as many.
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
            f"{self.name} for samples of shape {self.input_shape} and {self.n_outputs} outputs\n"
            f"  parameters       {self.parameters:,} ({self.trainable_parameters:,} trained)\n"
            f"  multiply-adds    {self.multiply_adds:,} per sample\n"
            f"  receptive field  {seen}"
        )

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row per layer."""
        import pandas as pd

        return pd.DataFrame([vars(layer) for layer in self.layers]).set_index("name")


def summary(network: Any, input_shape: tuple[int, ...], n_outputs: int) -> Summary:
    """Count the parameters and multiply-adds of a network, and find how far its features see.

    With far more parameters than samples, regularise or use a smaller network. With a receptive field shorter than what
    tells the classes apart, use more blocks, longer kernels or, in `Plain`, ``pooling=None``.

    Parameters
    ----------
    network : str, Network or callable
        As the estimators take it.
    input_shape : tuple of int
        Shape of a sample, channels last.
    n_outputs : int
        Number of outputs: 1 for two classes, one per class or label for more, one per target.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If the network cannot be built for these samples, or is no graph of layers.

    Examples
    --------
    >>> from skcnn.networks import summary
    >>> summary("plain", (28, 28, 1), 10)
    Plain for samples of shape (28, 28, 1) and 10 outputs
      parameters       19,754 (19,562 trained)
      multiply-adds    3,839,104 per sample
      receptive field  10 x 10 of 28 x 28 positions; nothing longer can be recognised
    """
    network, input_shape = resolve_network(network), tuple(input_shape)
    with building("float32"):
        model = build_model(network, input_shape, n_outputs)
    found = receptive_field(model)
    if found is None or None in model.input_shape[1:]:
        raise ValueError(
            f"The network {model.name!r} is no graph of layers of known shapes, so that nothing can be counted. Start "
            "it with keras.Input(input_shape)."
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
    if calls_of(model) is None:
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


def _walk(model: Any, start: _View | None = None) -> Iterator[tuple[Any, _View]]:
    """Yield the calls of layers in order, inner models' too, each with what its output sees."""
    views: dict[int, _View] = {}
    for call in calls_of(model) or ():
        inputs = [views[id(one)] for one in call.input_tensors if id(one) in views]
        if not inputs:
            rank = len(call.output_tensors[0].shape) - 2
            found = [(call, start or _View((1,) * rank, (1,) * rank))]
        elif calls_of(call.operation) is not None:
            found = list(_walk(call.operation, _merge(inputs)))
        else:
            found = [(call, _look(call, _merge(inputs)))]
        yield from found
        views.update((id(one), found[-1][1]) for one in call.output_tensors)


def _merge(views: list[_View]) -> _View:
    """Return what a layer sees that takes several tensors."""
    maps = [(view.field, view.step) for view in views if view.field] or [((), ())]
    field, step = (tuple(map(max, zip(*sizes, strict=True))) for sizes in zip(*maps, strict=True))
    return _View(field, step, any(view.all for view in views))


def _look(call: Any, before: _View) -> _View:
    """Return what the output of one layer sees."""
    layer, rank = call.operation, len(call.output_tensors[0].shape) - 2
    kind = type(layer).__name__
    if any(name in kind for name in SEE_ALL):
        return _View(before.field if rank > 0 else (), before.step, True)
    if rank <= 0 or not before.field:
        return _View(all=before.all)
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if kernel is None or not ("Conv" in kind or "Pooling" in kind):
        return before
    step = np.array(before.step)
    strides, dilation = (np.array(getattr(layer, name, None) or 1) for name in ("strides", "dilation_rate"))
    if "Transpose" in kind:  # its strides make steps smaller
        step, strides, dilation = np.maximum(1, step // strides), np.array(1), np.array(1)
    field = before.field + (np.array(kernel) - 1) * dilation * step
    return _View(tuple(field.tolist()), tuple((step * strides).tolist()), before.all)


def _layer_sizes(model: Any) -> Iterator[LayerSize]:
    counted: set[int] = set()
    for call, view in _walk(model):
        layer, shape = call.operation, tuple(call.output_tensors[0].shape[1:])
        weights = list(getattr(layer, "weights", []))
        parameters = sum(prod(weight.shape) for weight in weights if id(weight) not in counted)
        counted.update(id(weight) for weight in weights)
        kernels = [] if any(name in type(layer).__name__ for name in NO_KERNELS) else weights
        per_position = sum(prod(weight.shape) for weight in kernels if len(weight.shape) > 1)
        work = per_position * _positions(call) if per_position else 0
        yield LayerSize(layer.name, type(layer).__name__, shape, parameters, work, () if view.all else view.field)


def _positions(call: Any) -> int:
    """Return the number of positions that the kernels of a layer are applied to."""
    over_inputs = any(name in type(call.operation).__name__ for name in (*RECURRENT, "Transpose"))
    tensors = call.input_tensors if over_inputs else call.output_tensors
    return prod(tensors[0].shape[1:-1])

"""What a fitted estimator is made of: search, pipeline, final step, and the Keras network in it if there is one."""

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.utils.multiclass import type_of_target

from skcnn._engine.keras_internals import function_options
from skcnn._fit.parameters import Parameters, auto_epochs
from skcnn._sklearn.steps import is_pipeline, is_search, unwrap
from skcnn.diagnosis._keras_refit import settings_of
from skcnn.networks import resolve_network

__all__ = [
    "SQUASHING",
    "Components",
    "KerasModel",
    "Layer",
    "activation",
    "is_keras_model",
    "is_number",
    "keras_target",
    "layers_of",
    "take_apart",
    "values_of",
]

SAMPLES_AT_ONCE = 256
SQUASHING = ("sigmoid", "softmax")  # activations that make probabilities of logits


class KerasModel:
    """A plain Keras model, seen as a fitted scikit-learn estimator.

    Labels are the sorted labels of the training samples; outputs that are not probabilities go through the sigmoid or
    softmax that the model lacks, or is told of by ``from_logits``.
    """

    def __init__(self, model: Any, y: np.ndarray) -> None:
        self.model = model
        self.target = keras_target(model, y)
        labels, n_outputs = np.unique(y), int(np.prod(model.output_shape[1:]))
        if labels.dtype.kind in "iu" and labels[0] >= 0 and len(labels) < n_outputs and labels[-1] < n_outputs:
            labels = np.arange(n_outputs)  # some class has no sample
        self.classes_, self.n_outputs = labels, n_outputs
        self.history_ = getattr(model, "history", None)
        self._settings, self.usual = settings_of(model, len(y))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings of the training that are known: epochs, batch_size, learning_rate, dropout, l2."""
        return dict(self._settings)

    @property
    def loss_name(self) -> str:
        """Name of the loss it was compiled with, in lower case."""
        return keras_loss(self.model)

    @property
    def from_logits(self) -> bool:
        """Whether the loss applies a sigmoid or softmax itself."""
        loss = getattr(self.model, "loss", None)
        return bool(getattr(loss, "from_logits", function_options(loss).get("from_logits")))

    @property
    def ending(self) -> str:
        """Name of the last activation."""
        layers = layers_of(self.model)
        return layers[-1].activation if layers else ""

    def outputs(self, X: Any) -> np.ndarray:
        """Outputs of the model, (n, n_outputs)."""
        return np.asarray(self.model.predict(np.asarray(X), verbose=0)).reshape(len(X), -1).astype(float)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (n, n_classes)."""
        out = self.outputs(X)
        squashed = self.ending in SQUASHING and not self.from_logits
        if out.shape[1] == 1:
            positive = np.clip(out if squashed else expit(out), 0, 1)
            return np.hstack([1 - positive, positive])
        if not squashed:
            return softmax(out, axis=1)
        return out / np.maximum(out.sum(axis=1, keepdims=True), 1e-12)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class, the labels, or the targets of a regression."""
        if self.target == "classes":
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        out = self.outputs(X)
        if self.target == "multilabel":
            squashed = self.ending in SQUASHING and not self.from_logits
            return (out > (0.5 if squashed else 0.0)).astype(int)
        return out[:, 0] if out.shape[1] == 1 else out


@dataclass(frozen=True)
class Components:
    """A fitted estimator taken apart.

    Attributes
    ----------
    whole : estimator
        What predicts.
    search : search or None
        The outermost search.
    pipeline : Pipeline or None
        The innermost pipeline around the final step.
    final : estimator
        The last step.
    prefix : str
        Before the names of the final step's parameters in a grid over `unfitted`.
    """

    whole: Any
    search: Any
    pipeline: Any
    final: Any
    prefix: str

    @property
    def unfitted(self) -> Any:
        """An unfitted copy of what predicts, without its searches; None for a plain Keras model."""
        return None if isinstance(self.final, KerasModel) else _unfitted(self.whole)

    def with_final(self, final: Any) -> Any:
        """Return what predicts with another final step, fitted already; None where something else is around it."""
        best = self.whole.best_estimator_ if self.search is self.whole else self.whole
        if best is self.final:
            return final
        if best is not self.pipeline:
            return None
        pipeline = copy.copy(self.pipeline)
        pipeline.steps = [*self.pipeline.steps[:-1], (self.pipeline.steps[-1][0], final)]
        return pipeline

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Named steps before the final one that do something."""
        if self.pipeline is None:
            return []
        return [(name, step) for name, step in self.pipeline.steps[:-1] if step is not None and step != "passthrough"]

    @property
    def history(self) -> dict[str, list[float]]:
        """Training loss, and validation loss or score, by epoch; empty if the final step keeps none."""
        recorded = getattr(self.final, "history_", None)
        recorded = getattr(recorded, "history", recorded)
        if isinstance(recorded, Mapping):
            return {name: list(map(float, values)) for name, values in recorded.items() if np.ndim(values) == 1}
        curve = getattr(self.final, "loss_curve_", None)
        if curve is None:
            return {}
        history = {"loss": list(map(float, curve))}
        scores = getattr(self.final, "validation_scores_", None)
        return history if scores is None else {**history, "val_score": list(map(float, scores))}

    @property
    def samplers(self) -> list[tuple[str, Any]]:
        """Named steps that resample."""
        return [(name, step) for name, step in self.steps if hasattr(step, "fit_resample")]

    def transform(self, X: Any) -> np.ndarray:
        """Return samples after all transformers of the pipeline."""
        for _, step in self.steps:
            if hasattr(step, "transform"):
                X = step.transform(X)
        return X.toarray() if hasattr(X, "toarray") else np.asarray(X)

    @cached_property
    def params(self) -> dict[str, Any]:
        """All parameters of the final step, nested ones too; for "auto" what it stood for."""
        params = self.given
        if params.get("epochs") == "auto":
            params["epochs"] = self.final.n_iter_
        return params | self.filters()

    @property
    def given(self) -> dict[str, Any]:
        """All parameters of the final step as they were set."""
        return self.final.get_params(deep=True) if hasattr(self.final, "get_params") else {}

    def filters(self, network: Any = None) -> dict[str, tuple[int, ...]]:
        """Return the filters that this network, or that of the final step, has in each block, if it chooses them."""
        network = resolve_network(self.given.get("network")) if network is None else network
        if not hasattr(network, "filters_for"):
            return {}
        return {"network__filters": network.filters_for(self.final.input_shape_)}

    def auto_epochs(self, n_samples: int) -> int:
        """Return the epochs that "auto" stands for with so many samples, 0 if the final step does not know it."""
        return auto_epochs(self.final, n_samples) if isinstance(self.final, Parameters) else 0

    @property
    def is_network(self) -> bool:
        """Whether the final step is trained by gradient descent, so that the scale of its inputs matters."""
        return bool(self.history) or hasattr(self.final, "to_keras") or isinstance(self.final, KerasModel)

    @property
    def keras_model(self) -> Any:
        """The Keras model of the final step, or None."""
        if isinstance(self.final, KerasModel):
            return self.final.model
        if hasattr(self.final, "to_keras"):
            return self.final.to_keras()
        model = getattr(self.final, "model_", None)
        return model if hasattr(model, "layers") else None


def keras_loss(model: Any) -> str:
    """Return the name of the loss that a Keras model was compiled with, in lower case."""
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(name).lower()


def keras_target(model: Any, y: Any) -> str:
    """Say what the targets of a plain Keras model are, by its loss, its outputs and `y`.

    Returns
    -------
    {"regression", "multilabel", "one-hot", "classes", ""}
        Empty for anything but a plain Keras model.
    """
    if not is_keras_model(model):
        return ""
    y, loss = np.asarray(y), keras_loss(model)
    if any(part in loss for part in ("squared", "absolute", "mse", "mae", "huber", "cosh", "poisson", "mape", "msle")):
        return "regression"
    several = y.ndim == 2 and y.shape[1] > 1
    if several and np.isin(y, (0, 1)).all():
        one_each = bool((y.sum(axis=1) == 1).all())
        return "one-hot" if one_each or "categorical" in loss else "multilabel"
    return "regression" if several or type_of_target(y).startswith("continuous") else "classes"


def is_keras_model(estimator: Any) -> bool:
    """Whether this is a plain Keras model, told without importing Keras."""
    return hasattr(estimator, "layers") and hasattr(estimator, "predict") and not hasattr(estimator, "get_params")


def take_apart(estimator: Any, y: np.ndarray) -> Components:
    """Find search, pipeline and final step of a fitted estimator, however they are nested.

    Raises
    ------
    TypeError
        If it cannot predict.
    """
    if not hasattr(estimator, "predict"):
        raise TypeError(
            f"Cannot diagnose {type(estimator).__name__}: it has no predict. Expected a fitted classifier or "
            "regressor, a pipeline or search that ends in one, or a trained Keras model."
        )
    if is_keras_model(estimator) or isinstance(estimator, KerasModel):
        view = estimator if isinstance(estimator, KerasModel) else KerasModel(estimator, y)
        return Components(view, None, None, view, "")
    search = pipeline = None
    prefix = ""
    for name, final in unwrap(estimator):
        prefix += f"{name}__" if name else ""
        if is_search(final):
            search = final if search is None else search
        elif is_pipeline(final):
            pipeline = final
        elif not hasattr(final, "best_threshold_"):  # other kinds of estimators may change samples or outputs
            break
    return Components(estimator, search, pipeline, final, prefix)


def _unfitted(estimator: Any) -> Any:
    """Return an unfitted copy in which the best estimator that a search has found stands in place of the search."""
    if is_search(estimator):
        return _unfitted(estimator.best_estimator_)
    unfitted = clone(estimator)
    if is_pipeline(estimator):
        name, last = estimator.steps[-1]
        return unfitted.set_params(**{name: _unfitted(last)})
    if hasattr(estimator, "best_threshold_"):
        return unfitted.set_params(estimator=_unfitted(estimator.estimator_))
    return unfitted


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a parameter is a number, which a search can take larger or smaller."""
    return isinstance(value, Real) and not isinstance(value, bool)


class Layer(NamedTuple):
    """What the checks need to know of a Keras layer, and the model that owns it."""

    kind: str
    activation: str
    layer: Any
    owner: Any


def activation(layer: Any) -> str:
    """Return the name of the activation of a Keras layer or operation, or its own, such as softmax or relu."""
    return getattr(getattr(layer, "activation", None), "__name__", "") or type(layer).__name__.lower()


def layers_of(model: Any) -> list[Layer]:
    """Return the layers of a Keras model in order, those of models within it too."""
    found: list[Layer] = []
    for layer in getattr(model, "layers", []):
        inner = getattr(layer, "layers", None)
        found += layers_of(layer) if inner else [Layer(type(layer).__name__, activation(layer), layer, model)]
    return found


def values_of(tensors: list[Any], model: Any, owner: Any, X: np.ndarray) -> list[np.ndarray]:
    """Return values, for samples X, of tensors of `owner`, which is `model` or a model within it."""
    probe = sys.modules["keras"].Model(owner.inputs[0], tensors)  # a model exists, so Keras is loaded already
    # The graph of a model within another starts at its own inputs.
    before = []  # what stands before the owner, such as the scaling of the inputs
    if model is not owner:
        before = [layer for layer in model.layers[: model.layers.index(owner)] if type(layer).__name__ != "InputLayer"]
    blocks = []
    for start in range(0, len(X), SAMPLES_AT_ONCE):
        x = X[start : start + SAMPLES_AT_ONCE]
        for layer in before:
            x = layer(x)
        out = probe(x, training=False)
        blocks.append([np.asarray(one) for one in (out if isinstance(out, list | tuple) else [out])])
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

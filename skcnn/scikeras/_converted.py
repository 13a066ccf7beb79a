"""skcnn's estimators with a network that a model function of scikeras builds."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from inspect import signature
from typing import Any, Self

import keras
import numpy as np
from sklearn.base import BaseEstimator, clone

from skcnn._engine.blueprint import Topology
from skcnn._engine.fingerprint import fingerprint, object_key
from skcnn._engine.keras_internals import final_activation
from skcnn._fit.samples import Layout
from skcnn._fit.targets import ClassTarget, RegressionTarget
from skcnn.estimators import CNNClassifier, CNNRegressor
from skcnn.networks import NetworkBuilder
from skcnn.scikeras._original import built_model, compiled_with
from skcnn.scikeras._repaired import BaseWrapper
from skcnn.scikeras._settings import NotCarried, loss_settings, optimizer_settings, wanted_ending

__all__ = ["ConvertedClassifier", "ConvertedRegressor", "ModelFunction", "UnscaledTarget"]


class ModelFunction(BaseEstimator):
    """The model function of a scikeras estimator as a network of skcnn.

    Called with ``(input_shape, n_outputs)``, it returns a ``keras.Model``.

    The function gets the routed parameters and ``meta``, ``compile_kwargs`` and ``params`` as in scikeras. A final
    sigmoid or softmax is removed, since skcnn's losses take logits; of a softmax over two classes the difference of its
    logits remains.

    Parameters
    ----------
    estimator : KerasClassifier or KerasRegressor
        Estimator with the model function. Its optimizer and loss must be those that `convert` has read from it; later
        only the parameters of the model function are read: tune ``network__estimator__model__...``.
    carried : dict or None, default=None
        Optimizer and loss settings that `convert` has set on the skcnn estimator. A function that compiles its model
        with others raises an error.

    Examples
    --------
    >>> import keras
    >>> from skcnn.scikeras import KerasRegressor, ModelFunction
    >>> def model(meta):
    ...     return keras.Sequential([keras.Input(meta["X_shape_"][1:]), keras.layers.Dense(1)])
    >>> ModelFunction(KerasRegressor(model, loss="mse"))((3, 1), 1).input_shape
    (None, 3, 1)
    """

    def __init__(self, estimator: Any, carried: dict[str, Any] | None = None) -> None:
        self.estimator = estimator
        self.carried = carried

    _meta: dict[str, Any] | None = None  # what is known of the data of one fit

    @property
    def __name__(self) -> str:
        """Name of the model function."""
        model = self.estimator.model
        return getattr(model, "__name__", type(model).__name__)

    def __call__(self, input_shape: tuple[int, ...], n_outputs: int) -> Any:
        """Return the network as a Keras model.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of a sample, as skcnn passes it to the network.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        keras.Model
        """
        meta = self._meta or self._guess(input_shape, n_outputs)
        builder = clone(self.estimator)
        vars(builder).update(meta)
        model = built_model(builder)
        loss = self._check_compiled(model, builder)
        if not model.built:
            model.build((None, *meta["X_shape_"][1:]))
        return _fed_with(_with_logits(model, loss, meta["target_type_"]), input_shape)

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the model function.

        Parameters
        ----------
        **params : dict
            Parameters by name, such as ``estimator__model__units``.

        Returns
        -------
        self : ModelFunction
            This object.

        Raises
        ------
        ValueError
            If one of the scikeras estimator would change that is no longer read, such as its number of epochs.
        """
        for name, instead in ignored_names(params, "estimator", params.get("estimator", self.estimator)).items():
            raise ValueError(
                f"Invalid parameter {name!r} for ModelFunction, which reads the parameters of the model function only. "
                f"Set {instead!r} of the skcnn estimator in its place, if it has that."
            )
        return super().set_params(**params)

    def told(self, meta: dict[str, Any]) -> "ModelFunction":
        """Return a copy that passes `meta` to the model function."""
        copy = clone(self)  # what is set later on the estimator must not change a fitted network
        copy._meta = meta
        return copy

    def _guess(self, input_shape: tuple[int, ...], n_outputs: int) -> dict[str, Any]:
        """Return ``meta`` for a network that is built by itself, without data."""
        sample_shape = input_shape[:1] if input_shape[1:] == (1,) else input_shape
        if hasattr(self.estimator, "predict_proba"):
            kind = "binary" if n_outputs == 1 else "multiclass"
            return meta_of(sample_shape, ClassTarget(kind, np.arange(max(2, n_outputs))))
        return meta_of(sample_shape, UnscaledTarget(np.zeros(n_outputs), np.ones(n_outputs), n_outputs == 1))

    def _check_compiled(self, model: Any, builder: Any) -> Any:
        """Return the loss of the model; refuse settings that are not those carried."""
        optimizer, loss = compiled_with(model, builder)
        if loss is None:
            raise ValueError("neither the model function nor the estimator sets a loss; set loss= of the estimator.")
        if self.carried is None:
            return loss
        found = optimizer_settings(optimizer) | loss_settings(loss)
        different = [name for name in found if found[name] != self.carried.get(name)]
        if different:
            name = different[0]
            raise ValueError(
                f"the model function compiles its model with {name}={found[name]!r}, but the estimator says "
                f"{name}={self.carried.get(name)!r}, which convert has carried. Convert an estimator that knows its "
                "data, convert(estimator.initialize(X, y)), or set optimizer and loss on the estimator alone."
            )
        return loss

    def key(self) -> Hashable:
        """Return what tells this network from others, see `object_key`."""
        params = self.estimator.get_params() | {"type": type(self.estimator)}
        parts = {name: _identity(value) for name, value in params.items()}
        digest = fingerprint(parts, self._meta)
        return digest if all(isinstance(part, str) for part in parts.values()) else ("object", digest)


# What counts in place of a parameter of scikeras, where its name is another one.
INSTEAD = {
    "optimizer__nesterov": "nesterovs_momentum",
    "validation_split": "validation_fraction",
    "callbacks__patience": "n_iter_no_change",
    "callbacks__min_delta": "tol",
}
PREFIXES = ("fit__", "compile__", "optimizer__", "loss__", "callbacks__")  # of parameters with the same name


def ignored_names(params: dict[str, Any], prefix: str, estimator: Any) -> dict[str, str]:
    """Return which parameters would set something of a scikeras estimator that nobody reads, and what counts instead.

    Setting a parameter to the value that it has changes nothing, and is what ``set_params(**get_params())`` does.
    """
    now = estimator.get_params()
    of_training = {*signature(BaseWrapper.__init__).parameters, "class_weight"} - {"model", "build_fn"}
    ignored = {}
    for name, value in params.items():
        inner = name.removeprefix(f"{prefix}__")
        first = inner.partition("__")[0]
        read = inner == name or first == "model" or first not in of_training | {"fit", "compile", "predict", "score"}
        if read or (inner in now and (now[inner] is value or _identity(now[inner]) == _identity(value))):
            continue
        plain = inner
        for one in PREFIXES:
            plain = plain if plain in INSTEAD else plain.removeprefix(one)
        ignored[name] = INSTEAD.get(plain, plain)
    return ignored


def meta_of(sample_shape: tuple[int, ...], target: Any) -> dict[str, Any]:
    """Return scikeras' ``meta`` for such samples and targets; their number is None."""
    meta: dict[str, Any] = {
        "n_features_in_": sample_shape[0],
        "X_shape_": (None, *sample_shape),
        "X_dtype_": np.dtype(keras.config.floatx()),
        "n_outputs_expected_": 1,
    }
    if isinstance(target, ClassTarget):
        multilabel = target.kind == "multilabel"
        kind = "multilabel-indicator" if multilabel else target.kind
        classes = {"classes_": target.classes, "n_classes_": len(target.classes)}
        return meta | classes | {"target_type_": kind, "y_ndim_": 1 + multilabel, "n_outputs_": 1}
    kind = "continuous" if target.n_outputs == 1 else "continuous-multioutput"
    return meta | {"target_type_": kind, "y_ndim_": 1 if target.flat else 2, "n_outputs_": target.n_outputs}


def _identity(value: Any) -> Hashable:
    """Return the same for equal values, also of Keras, whose pickles hold the time."""
    if isinstance(value, keras.Model):
        return fingerprint(value.to_json(), value.get_weights())
    if hasattr(value, "get_config") and not isinstance(value, type):
        return repr((type(value), value.get_config()))
    return object_key(value)


# The final layer -----------------------------------------------------------------------------------------------------


def _with_logits(model: Any, loss: Any, target_type: str) -> Any:
    """Return the model without its final sigmoid or softmax, if its loss is one for this kind of target."""
    ending, layer = final_activation(model)
    wanted = wanted_ending(loss, target_type, model.output_shape[-1])
    if ending != wanted:
        raise NotCarried(
            f"a model that ends in {ending or 'no activation'}",
            f"its loss on {target_type} targets expects {wanted or 'no activation'}, from which skcnn's loss starts.",
        )
    if layer is not None and hasattr(layer, "activation"):
        layer.activation = keras.activations.linear
    elif layer is not None:  # a Softmax layer
        model = keras.Model(model.inputs, layer.input)
    if target_type == "binary" and model.output_shape[-1] == 2:
        logits = model.outputs[0]
        model = keras.Model(model.inputs, keras.ops.subtract(logits[:, 1:], logits[:, :1]))
    return model


def _fed_with(model: Any, input_shape: tuple[int, ...]) -> Any:
    """Return the model for samples of `input_shape`, reshaped if it takes flat ones."""
    takes = model.input_shape[1:]
    same = len(takes) == len(input_shape) and all(
        size in (None, given) for size, given in zip(takes, input_shape, strict=True)
    )
    if same or None in takes or np.prod(takes) != np.prod(input_shape):
        return model  # what does not fit is refused by the caller, who knows how to say it
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, model(keras.layers.Reshape(takes)(inputs)))


# The estimators ------------------------------------------------------------------------------------------------------


class UnscaledTarget(RegressionTarget):
    """Targets that the network is trained on as they are, as Keras does."""

    def settled(self, encoded: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Return the target as it is."""
        return self


class _Converted:
    """Tells the model function what is known of the data of a fit."""

    network: Any
    get_params: Callable[..., dict[str, Any]]

    def _check_names(self, params: dict[str, Any]) -> None:
        network = params.get("network", self.network)
        if isinstance(network, ModelFunction):
            wrapped = params.get("network__estimator", network.estimator)
            for name, instead in ignored_names(params, "network__estimator", wrapped).items():
                known = instead in self.get_params(deep=False)
                hint = f"; did you mean {instead!r}?" if known else ", and there is no such parameter. Leave it out."
                raise ValueError(f"Invalid parameter {name!r} for {type(self).__name__}, which does not read it{hint}")
        super()._check_names(params)  # type: ignore[misc]

    def _topology(self, target: Any, layout: Layout, strengths: dict[str, float]) -> Topology:
        topology: Topology = super()._topology(target, layout, strengths)  # type: ignore[misc]
        if not isinstance(self.network, ModelFunction):
            return topology
        network = self.network.told(meta_of(layout.sample_shape, target))
        build = NetworkBuilder(network, topology.input_shape, topology.n_outputs)
        return replace(topology, network=network.key(), build=build)


class ConvertedClassifier(_Converted, CNNClassifier):
    """`CNNClassifier` with a model function of scikeras; made by `convert`."""


class ConvertedRegressor(_Converted, CNNRegressor):
    """`CNNRegressor` with a model function of scikeras; made by `convert`.

    It is trained on the targets as they are, as by Keras.
    """

    def _make_target(self, y: np.ndarray, classes: Any) -> RegressionTarget:
        return UnscaledTarget.of(y)

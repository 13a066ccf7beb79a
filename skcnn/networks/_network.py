"""`Network`, the base class of all networks."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from skcnn._engine.keras_internals import free_name
from skcnn._lazy import LazySamples
from skcnn._sklearn.checks import KnownArguments
from skcnn._sklearn.diagram import DiagramMixin

__all__ = ["Network"]


class Network(DiagramMixin, KnownArguments, BaseEstimator):
    """Base class of networks; a subclass defines `features`.

    The arguments of ``__init__`` become tunable parameters (``network__...``). A network is also a function
    ``(input_shape, n_outputs) -> keras.Model``.

    Examples
    --------
    >>> import keras
    >>> from skcnn.networks import Network
    >>> class Wide(Network):
    ...     def __init__(self, units=64):
    ...         self.units = units
    ...     def features(self, x):
    ...         return keras.layers.Dense(self.units, activation="relu")(keras.layers.Flatten()(x))
    >>> Wide(units=8)((4, 4, 1), 3).count_params()
    163
    """

    _parameter_constraints: dict[str, list[Any]] = {}

    # Whether it expects values on a scale of its own, so that the estimators do not standardise them by default.
    _own_scale = False

    def _check_values(self) -> None:
        """Raise for parameters that no network of this kind can have; `features` and `check_grid` call it."""
        self._validate_params()

    def _check_inputs(self, X: np.ndarray | LazySamples, standardize: str | None) -> None:
        """Raise or warn for samples that no network of this kind expects, with how they are to be standardised."""

    def _identity(self) -> dict[str, Any]:
        """Return what tells it from other networks: its parameters, by contents where these lie elsewhere."""
        parameters: dict[str, Any] = self.get_params(deep=False)
        return parameters

    def _without_weights(self) -> Self:
        """Return a network that builds the same model but reads no weights, for one that will get the fitted ones."""
        return self

    def features(self, x: Any) -> Any:
        """Add the layers from the input to the features; `build` adds the output layer.

        Parameters
        ----------
        x : keras.KerasTensor of shape (None, ...), as `input_shape`
            Input, channels last.

        Returns
        -------
        keras.KerasTensor of shape (None, n_features)
        """
        raise NotImplementedError(f"{type(self).__name__} must define features(self, x).")

    def build(
        self,
        input_shape: Sequence[int],
        n_outputs: int,
        dropout: float = 0.0,
        spatial_dropout: float = 0.0,
        stochastic_depth: float = 0.0,
    ) -> Any:
        """Return the network as a Keras model whose outputs are logits.

        Parameters
        ----------
        input_shape : sequence of int
            Shape of one sample, channels last: (steps, channels), (height, width, channels) or
            (depth, height, width, channels).
        n_outputs : int
            Number of outputs.
        dropout : float in [0, 1), default=0.0
            Share of the features that is dropped before the output layer while training.
        spatial_dropout : float in [0, 1), default=0.0
            Share of the channels that `skcnn.networks.spatial_dropout` drops, wherever the network has it.
        stochastic_depth : float in [0, 1), default=0.0
            Probability with which `skcnn.networks.stochastic_depth` drops the last residual branch.

        Returns
        -------
        keras.Model
        """
        import keras

        from skcnn._engine.layers import Dropout, rates

        inputs = keras.Input(tuple(input_shape), dtype=keras.config.dtype_policy().compute_dtype)
        with rates(spatial_dropout=spatial_dropout, stochastic_depth=stochastic_depth):
            x = self.features(inputs)
        features = keras.Model(inputs, x)
        if dropout:
            x = Dropout(dropout, name=free_name("dropout", features))(x)
        return keras.Model(inputs, keras.layers.Dense(n_outputs, name=free_name("logits", features))(x))

    def __call__(self, input_shape: Sequence[int], n_outputs: int) -> Any:
        """Return the network as a Keras model, see `build`."""
        return self.build(input_shape, n_outputs)

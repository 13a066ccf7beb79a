"""`NetworkFeatures`: a network that was trained before, up to one of its layers, as a transformer."""

import copy
from functools import partial
from math import prod
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skcnn._engine.features import FeatureNetwork, kept_for
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.estimator import BaseCNN
from skcnn._fit.samples import as_inputs
from skcnn._sklearn.checks import check_X
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions, fit_context
from skcnn._sklearn.steps import fitted_steps
from skcnn._sklearn.version_note import VersionNote

__all__ = ["NetworkFeatures"]


class NetworkFeatures(DiagramMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, VersionNote, BaseEstimator):
    """Turn samples into the features that a trained network has learnt.

    The outputs of one of its layers are the columns of a table for any other model: transfer to a task with few
    samples, an embedding to cluster, a network before gradient boosting. The network is not trained, so that nothing
    leaks from one fold to another, unless it was trained on these very samples.

    Parameters
    ----------
    network : keras.Model or fitted CNNClassifier or CNNRegressor
        The network, maybe pretrained, which is neither changed nor copied: clones of the transformer have the same. An
        estimator may be the best one of a search. Among the values of a grid, which scikit-learn clones, put an
        estimator into a :class:`~sklearn.frozen.FrozenEstimator`.
    layer : int or str, default=-2
        Whose outputs are the features: number of a layer in the network that the user wrote, as in ``model.layers``,
        or its name, also that of a layer in a model within. The default is the one before the last.
    pooling : {"avg", "max", None}, default="avg"
        What is made of outputs with positions: the mean or the maximum of each channel (channels last), or with None
        all values, one feature for each position and channel.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of a sample of the `X` seen in `fit`.
    n_features_in_ : int
        `X.shape[1]` of the `X` seen in `fit`, as scikit-learn defines it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`, if `X` was a data frame whose column names are all strings.

    See Also
    --------
    skcnn.CNNClassifier.to_keras : The whole fitted network as a Keras model.

    Notes
    -----
    Samples have the shape that the network takes, or are flat with as many values. What an estimator does with samples
    before its network (`standardize`) is done here, too. A Keras model is given the values as they are: scale them
    first if it was trained on scaled ones.

    A sample has the same features, to the bit, alone and among others. Memory beyond `X` and the output is bounded: 24
    samples pass through the network at a time. `transform` does not need `fit`, which learns nothing but names and
    shape.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn import CNNClassifier
    >>> from skcnn.preprocessing import NetworkFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> few = y < 5
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=5, random_state=0).fit(X[few], y[few])
    >>> others = make_pipeline(NetworkFeatures(cnn, layer=-3), LogisticRegression(max_iter=1000))
    >>> others.fit(X[~few], y[~few])[0].transform(X[:2]).shape
    (2, 64)
    """

    _noted = ("skcnn", "keras")

    _parameter_constraints: dict[str, list[Any]] = {
        "network": [HasMethods(["predict"])],
        "layer": [Interval(Integral, None, None, closed="neither"), str],
        "pooling": [StrOptions({"avg", "max"}), None],
    }

    def __init__(self, network: Any, *, layer: int | str = -2, pooling: Literal["avg", "max"] | None = "avg") -> None:
        self.network = network
        self.layer = layer
        self.pooling = pooling

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Check that samples and network fit; nothing is learnt.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples.
        y : None
            Ignored.

        Returns
        -------
        self : NetworkFeatures
            This object.

        Raises
        ------
        ValueError
            If the network has no such layer, is no graph of layers, or takes samples of another shape.
        TypeError
            If `network` is neither a Keras model nor an estimator of skcnn.
        NotFittedError
            If `network` is an estimator that is not fitted.
        """
        values = check_X(self, X)
        self._inputs(values)
        self.sample_shape_: tuple[int, ...] = tuple(values.shape[1:])
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the features of samples.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples.

        Returns
        -------
        X_new : ndarray of shape (n, n_features_out)
            Outputs of the layer, in float64 for a network in float64, else in float32.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As `fit` does, and if the shape of the samples is not the one seen in `fit`.
        """
        shape = vars(self).get("sample_shape_")
        seen = copy.copy(self) if shape is None else self  # the check records what an unfitted one has seen
        features, inputs = self._inputs(check_X(seen, X, sample_shape=shape))
        return features(inputs)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, without those of the network, which is trained already.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        params : dict
            Parameters by their names.
        """
        params: dict[str, Any] = super().get_params(deep=False)
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the transformer.

        Parameters
        ----------
        **params : dict
            Parameters by their names.

        Returns
        -------
        self : NetworkFeatures
            This object.

        Raises
        ------
        ValueError
            If a parameter does not exist, or is one of the network.
        """
        inner = [name for name in params if name.startswith("network__")]
        if inner:
            raise ValueError(
                f"{inner[0]!r} is a parameter of a network that is trained already, and would change nothing. Train "
                "networks with other parameters first, and set network to one of them."
            )
        super().set_params(**params)
        return self

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.network = None  # a clone of a fitted estimator would not be fitted
        cloned: Self = super(NetworkFeatures, bare).__sklearn_clone__()
        cloned.network = self.network
        return cloned

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        shape = self.sample_shape_  # an AttributeError before `fit`, by which scikit-learn knows
        features, shapes = self._features()
        return features.n_features(_fitting_shape(features.input_shape, shape, shapes))

    def _inputs(self, values: np.ndarray) -> tuple[FeatureNetwork, np.ndarray]:
        """Return the network and samples in the form that it takes."""
        features, shapes = self._features()
        shape = _fitting_shape(features.input_shape, tuple(values.shape[1:]), shapes)
        return features, as_inputs(values, shape, features.dtype)

    def _features(self) -> tuple[FeatureNetwork, tuple[tuple[int, ...], ...]]:
        """Return the network up to the layer, and shapes of samples that are reshaped to its own."""
        self._validate_params()
        network = self.network.estimator if isinstance(self.network, FrozenEstimator) else self.network
        _, keras = start_tensorflow()
        how = self.layer, self.pooling
        if isinstance(network, keras.Model):
            return kept_for(network, how, partial(FeatureNetwork, network, *how)), ()
        fitted = _fitted_network(network)._fitted

        def cut() -> FeatureNetwork:
            model, units = fitted.network()
            return FeatureNetwork(model, *how, units)

        return kept_for(fitted, how, cut), (fitted.layout.sample_shape,)


def _fitted_network(network: Any) -> BaseCNN:
    """Return the fitted estimator of skcnn."""
    try:
        steps, cnn = fitted_steps(network, BaseCNN)
    except NotFittedError as error:
        raise NotFittedError(
            f"network is a {type(network).__name__} that is not fitted; expected a trained network. Fit it first. If "
            "it was, scikit-learn has cloned it as a value of a grid: put it into sklearn.frozen.FrozenEstimator."
        ) from error
    except TypeError as error:
        raise TypeError(
            f"network is a {type(network).__name__}; expected a keras.Model, a fitted CNNClassifier or CNNRegressor, "
            "or a search that found one."
        ) from error
    if steps:
        raise TypeError(
            f"network is a {type(network).__name__} with transformers before the network; expected the network alone, "
            "pipeline[-1]. Apply pipeline[:-1], in a FrozenEstimator if it is to stay as fitted, in a step before this."
        )
    return cnn


def _fitting_shape(
    expected: tuple[int | None, ...], shape: tuple[int, ...], others: tuple[tuple[int, ...], ...]
) -> tuple[int, ...]:
    """Return the shape, one that the network takes, to which samples are reshaped."""
    for fitting in (shape, (*shape, 1)):
        pairs = zip(expected, fitting, strict=False)
        if len(fitting) == len(expected) and all(size in (None, given) for size, given in pairs):
            return fitting
    if None not in expected and (len(shape) == 1 or shape in others) and prod(expected) == prod(shape):  # type: ignore[arg-type]
        return expected  # type: ignore[return-value]
    sizes = ", ".join("any" if size is None else str(size) for size in expected)
    raise ValueError(
        f"X has samples of shape {shape}, but the network takes samples of shape ({sizes}): pass an array of shape "
        f"(n, {sizes}), or flat samples with as many values."
    )

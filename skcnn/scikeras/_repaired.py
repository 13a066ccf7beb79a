"""`BaseWrapper`: what scikeras' estimators share, without its faults."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, Self

import keras
import numpy as np
from scikeras import wrappers
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _num_samples, validate_data

from skcnn._engine.greetings import is_worker, quiet_start
from skcnn._engine.tensorflow_internals import ops_are_deterministic
from skcnn._fit.splitting import inner_split
from skcnn._fit.targets import RegressionTarget
from skcnn._fit.weights import check_sample_weight
from skcnn._sklearn.version_note import VersionNote
from skcnn.scikeras._original import route_params
from skcnn.scikeras._settings import new_optimizer

__all__ = ["BaseWrapper"]

ROUTED = ("model", "fit", "compile", "predict", "optimizer", "loss", "metrics", "callbacks", "score")


def _without(cls: type, dropped: Iterable[str]) -> Any:
    """Return a class like `cls`, a child of BaseEstimator, without some attributes.

    scikit-learn refuses every class with `_more_tags` among its ancestors, so that inheriting does not repair it.
    """
    kept = {name: value for name, value in vars(cls).items() if name not in {*dropped, "__dict__", "__weakref__"}}
    return type(cls.__name__, (BaseEstimator,), kept)


class BaseWrapper(
    VersionNote,
    _without(wrappers.BaseWrapper, ["_more_tags", "_tags", "set_params", "__repr__", "__doc__"]),  # type: ignore[misc]
):
    """A Keras model as an estimator of any kind: drop-in replacement of scikeras' BaseWrapper.

    Subclass it for what is neither a classifier nor a regressor, such as an autoencoder that transforms. Building,
    compiling and routing are scikeras' own; what differs is listed at `KerasClassifier`. Mixins of scikit-learn count
    on either side of it: scikeras' guide writes them to the right, where scikit-learn does not find them.

    Parameters
    ----------
    model : callable, keras.Model or None, default=None
        A function that returns a model, compiled or not. It gets the parameters that are routed to it
        (``model__...``) and, if it has arguments of these names, ``meta`` (what is known of the data),
        ``compile_kwargs`` and ``params``. By default the method ``_keras_build_fn`` of the subclass.
    build_fn : callable, keras.Model or None, default=None
        Former name of `model`.
    warm_start : bool, default=False
        Whether `fit` goes on with the model of the last fit.
    random_state : int, RandomState instance or None, default=None
        Seed of Keras and TensorFlow while the model is built and trained, and of the validation split.
    optimizer : str, keras.optimizers.Optimizer or class, default="rmsprop"
        Optimizer; a name or a class takes ``optimizer__...``.
    loss : str, keras.losses.Loss, class or None, default=None
        Loss; a name or a class takes ``loss__...``.
    metrics : list or None, default=None
        Metrics to report.
    batch_size : int or None, default=None
        Samples of a batch, -1 for all.
    validation_batch_size : int or None, default=None
        Samples of a batch while validating.
    verbose : int, default=1
        How much Keras prints.
    callbacks : list, callback or None, default=None
        Callbacks; classes take ``callbacks__...``.
    validation_split : float, default=0.0
        Share of the training samples that Keras validates on.
    shuffle : bool, default=True
        Whether to shuffle before each epoch.
    run_eagerly : bool, default=False
        Whether to run without a graph.
    epochs : int, default=1
        Passes over the training samples.
    **kwargs : dict
        Routed parameters (``model__...``, ``fit__...``, ...) and arguments of the model function.

    Attributes
    ----------
    model_ : keras.Model
        Fitted model.
    history_ : dict of str to list
        What Keras reports of each epoch.
    n_features_in_ : int
        Size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if `X` had them.

    Examples
    --------
    >>> import keras
    >>> from sklearn.base import TransformerMixin
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.scikeras import BaseWrapper
    >>> class AutoEncoder(TransformerMixin, BaseWrapper):
    ...     def _keras_build_fn(self, encoding_dim, meta):
    ...         n_features = meta["n_features_in_"]
    ...         layers = keras.layers.Dense(encoding_dim, "relu"), keras.layers.Dense(n_features, "sigmoid")
    ...         return keras.Sequential([keras.Input((n_features,)), *layers])
    ...     def fit(self, X, y=None):
    ...         return super().fit(X, X)
    ...     def transform(self, X):
    ...         return keras.Sequential(self.model_.layers[:1]).predict(X, verbose=0)
    >>> X, _ = load_digits(return_X_y=True)
    >>> AutoEncoder(encoding_dim=8, loss="binary_crossentropy", verbose=0).fit_transform(X / 16).shape
    (1797, 8)
    """

    _noted = ("skcnn", "scikeras", "keras")

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also routed ones (``model__...``) that were not given before.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self : object
        """
        for name, value in params.items():
            if "__" in name and name.split("__")[0] in ROUTED:
                setattr(self, name, value)
            else:
                super().set_params(**{name: value})
        return self

    def _get_param_names(self) -> list[str]:
        """Return the names, which messages list; scikeras returns a generator, of which they would show the address."""
        return sorted(super()._get_param_names())

    # Fit --------------------------------------------------------------------------------------------------------

    def _initialize(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        X, y = self._validate_data(X, y, reset=True)
        self._set_up(X, y)
        return X, y

    def _set_up(self, X: Any, y: Any) -> None:
        """Fit the encoders, and build the model from what they have learned."""
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):  # scikeras: always 0
            seed = int(seed.randint(2**31 - 1))
        self._random_state = seed
        # scikeras asks whether TensorFlow is deterministic after it has set the environment variable that says so, and
        # then never ends it: later unseeded fits of the process fail. Asked once before, TensorFlow keeps the answer.
        with quiet_start() if is_worker() else nullcontext():
            ops_are_deterministic()
        for name, values in (("target_encoder", y), ("feature_encoder", X)):
            encoder = getattr(self, name).fit(values)
            self.__dict__.update({f"{name}_": encoder} | getattr(encoder, "get_metadata", dict)())
        self.model_ = self._build_keras_model()
        self._initialize_callbacks()

    def _get_compile_kwargs(self) -> dict[str, Any]:
        """Let each model train a new optimizer: a used one fits no other model."""
        settings = super()._get_compile_kwargs()
        return settings | {"optimizer": new_optimizer(settings["optimizer"])}

    def _fit(self, X: Any, y: Any, sample_weight: Any, warm_start: bool, **kwargs: Any) -> None:
        """Weigh, validate, build, split, encode, train; `kwargs` go to ``Model.fit``."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        weight = self._weights_of(y, sample_weight)  # bad ones are refused before the model is built
        if (self.warm_start or warm_start) and self.initialized_:
            X, y = self._validate_data(X, y)
        else:
            X, y = self._initialize(X, y)  # scikeras' guide overrides it
        self._ensure_compiled_model()

        chosen = np.arange(len(y)) if weight is None else np.flatnonzero(weight)
        chosen, held_out = self._split(X, y, chosen, kwargs)
        if held_out is not None:
            kwargs["validation_data"] = self._encoded(X, y, weight, held_out)
        X, y, weight = self._encoded(X, y, weight, chosen)
        self._check_model_compatibility(y)
        self._fit_keras_model(X, y, sample_weight=weight, warm_start=warm_start, **kwargs)

    def _weights_of(self, y: Any, sample_weight: Any) -> np.ndarray | None:
        return check_sample_weight(sample_weight, _num_samples(y))

    def _split(
        self, X: Any, y: np.ndarray, chosen: np.ndarray, kwargs: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Split stratified and shuffled; Keras would take the last samples."""
        routed = getattr(self, "fit__validation_split", self.validation_split)
        fraction = kwargs.get("validation_split", routed)
        given = kwargs.get("validation_data", getattr(self, "fit__validation_data", None))
        if not fraction or given is not None:
            return chosen, None
        kwargs["validation_split"] = 0.0
        numeric = not is_classifier(self) and y.dtype.kind in "biuf"
        labels = _labels(y[chosen], fraction, numeric)
        distinct = np.arange(len(chosen))[:, None] if issparse(X) else X[chosen]
        seed = int(check_random_state(self._random_state).randint(2**31 - 1))
        train, val = inner_split(distinct, labels, fraction, None, seed, classes=not numeric)
        return chosen[train], chosen[val]

    def _encoded(self, X: Any, y: np.ndarray, weight: np.ndarray | None, chosen: np.ndarray) -> tuple[Any, ...]:
        """Return some samples as the model takes them: X, y, and weights or None."""
        if len(chosen) != len(y):  # else without a copy
            X, y = X[chosen], y[chosen]
        if weight is not None:
            weight = weight[chosen].astype(keras.config.floatx())
        return self.feature_encoder_.transform(X), self.target_encoder_.transform(y), weight

    def _validate_data(self, X: Any, y: Any = None, reset: bool = False) -> tuple[Any, Any]:
        """Check samples and targets as scikit-learn does, and record their layout."""
        # Of Python objects "numeric" makes float64, whatever Keras computes in.
        dtype = keras.config.floatx() if _holds_objects(X) else "numeric"
        how: dict[str, Any] = {"allow_nd": True, "accept_sparse": "csr", "dtype": dtype, "reset": reset}
        if y is None:
            X = validate_data(self, X, **how)
        else:
            X, y = validate_data(self, X, y, multi_output=True, y_numeric=is_regressor(self), **how)
        if reset:
            self.X_dtype_, self.X_shape_ = X.dtype, X.shape
            if y is not None:
                self.target_type_ = self._type_of_target(y)
                self.y_dtype_, self.y_ndim_ = y.dtype, y.ndim
        elif X.shape[1:] != self.X_shape_[1:]:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on samples of shape "
                f"{self.X_shape_[1:]}."
            )
        elif y is not None and y.ndim != self.y_ndim_:
            raise ValueError(
                f"y has {y.ndim} dimensions, but {type(self).__name__} was fitted on y of {self.y_ndim_} dimensions."
            )
        if y is not None and is_classifier(self) and y.shape[1:] == (1,):
            y = column_or_1d(y, warn=True)
        return X, y

    # Outputs ----------------------------------------------------------------------------------------------------

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions by `scorer`: accuracy, or R² in regression.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        float
        """
        settings = route_params(self.get_params(), destination="score", pass_filter=set())
        return self.scorer(y, self.predict(X), sample_weight=sample_weight, **settings)

    def __sklearn_is_fitted__(self) -> bool:
        return self.initialized_

    def __sklearn_tags__(self) -> Any:
        tags = _tags_of_mixins_at_the_right(type(self)) or super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = True
        return tags


def _tags_of_mixins_at_the_right(cls: type) -> Any:
    """Return the tags of scikit-learn's mixins that stand after BaseEstimator, which does not ask them, or None."""
    after = cls.__mro__[cls.__mro__.index(BaseEstimator) + 1 :]
    mixins = [mixin for mixin in after if mixin.__module__ == "sklearn.base" and hasattr(mixin, "__sklearn_tags__")]
    return type("Mixed", (*mixins, BaseEstimator), {})().__sklearn_tags__() if mixins else None


def _holds_objects(X: Any) -> bool:
    """Tell whether samples are Python objects, or a column of a data frame is."""
    dtypes = [X.dtype] if hasattr(X, "dtype") else getattr(X, "dtypes", None)
    return np.dtype(object) in ([np.asarray(X).dtype] if dtypes is None else list(dtypes))


def _labels(y: np.ndarray, fraction: float, numeric: bool) -> np.ndarray:
    """Return what the split stratifies by: classes of each column of y, or bins."""
    columns = y.reshape(len(y), -1)
    if numeric:
        return RegressionTarget.of(columns).strata(columns.astype(np.float64), fraction)
    return np.hstack([column[:, None] == np.unique(column) for column in columns.T])

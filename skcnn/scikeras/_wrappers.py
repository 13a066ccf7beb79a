"""`KerasClassifier` and `KerasRegressor`, as in scikeras but without its faults."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, Literal, Self

import keras
import numpy as np
from scikeras import wrappers
from scikeras.utils.transformers import ClassifierLabelEncoder, RegressorTargetEncoder
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target

from skcnn._fit.weights import check_sample_weight
from skcnn.scikeras._repaired import BaseWrapper

__all__ = ["KerasClassifier", "KerasRegressor"]


class KerasClassifier(ClassifierMixin, BaseWrapper):
    """A Keras model as a classifier: drop-in replacement of scikeras' KerasClassifier.

    What differs from scikeras: scikit-learn recognises it as a classifier, so that folds are stratified and scorers,
    voting, stacking and threshold tuning work; `class_weight` leaves the caller's weights alone; a single sample has
    probabilities of shape ``(1, n_classes)``; each draw from a `RandomState` is another seed; `validation_split` is
    stratified, shuffled and keeps equal samples together; the shape and the column names of `X` are checked when
    predicting; `classes_` stay known when `warm_start` continues.

    Parameters
    ----------
    model : callable, keras.Model or None, default=None
        A function that returns a model, compiled or not. It gets the parameters that are routed to it
        (``model__...``) and, if it has arguments of these names, ``meta`` (what is known of the data),
        ``compile_kwargs`` and ``params``.
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
    class_weight : dict, "balanced" or None, default=None
        Weights by class label.
    **kwargs : dict
        Routed parameters (``model__...``, ``fit__...``, ...) and arguments of the model function.

    Attributes
    ----------
    model_ : keras.Model
        Fitted model.
    history_ : dict of str to list
        What Keras reports of each epoch.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if `X` had them.

    Examples
    --------
    >>> import keras
    >>> from sklearn.datasets import load_iris
    >>> from skcnn.scikeras import KerasClassifier
    >>> def model(hidden, meta):
    ...     layers = keras.layers.Dense(hidden, "relu"), keras.layers.Dense(meta["n_classes_"], "softmax")
    ...     return keras.Sequential([keras.Input(meta["X_shape_"][1:]), *layers])
    >>> loss = "sparse_categorical_crossentropy"
    >>> clf = KerasClassifier(model, loss=loss, model__hidden=8, optimizer__learning_rate=0.1, verbose=0)
    >>> X, y = load_iris(return_X_y=True)
    >>> clf.fit(X, y).predict_proba(X[:1]).shape
    (1, 3)
    """

    def __init__(
        self,
        model: Any = None,
        *,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        self.class_weight = class_weight

    # scikeras looks for its default of `loss` there, editors for the names.
    __init__.__signature__ = signature(wrappers.KerasClassifier.__init__)  # type: ignore[attr-defined]

    score = BaseWrapper.score  # the mixin's does not use `scorer`
    scorer = staticmethod(accuracy_score)
    _fit_kwargs = BaseWrapper._fit_kwargs - {"class_weight"}  # it becomes part of the sample weights

    @property
    def target_encoder(self) -> Any:
        """Transformer of labels and of outputs back to labels; override for other targets."""
        # scikeras makes labels one-hot for this loss, but does not know it by its class.
        one_hot = self.loss is keras.losses.CategoricalCrossentropy
        categories = "auto" if self.classes_ is None else [self.classes_]
        return _LabelEncoder(loss="categorical_crossentropy" if one_hot else self.loss, categories=categories)

    def initialize(self, X: Any, y: Any) -> Self:
        """Build the model without training it.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, ...)
            Samples.
        y : array-like of shape (n,) or (n, n_outputs)
            Labels.

        Returns
        -------
        self : object
        """
        self.classes_: Any = None
        return super().initialize(X, y)

    def _fit(self, X: Any, y: Any, sample_weight: Any, warm_start: bool, classes: Any = None, **kwargs: Any) -> None:
        known = getattr(self, "classes_", None) if warm_start else None
        self.classes_ = known if classes is None else np.unique(classes)
        super()._fit(X, y, sample_weight, warm_start, **kwargs)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None, **kwargs: Any) -> Self:
        """Train one more epoch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, ...)
            Samples.
        y : array-like of shape (n,) or (n, n_outputs)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur, in the first call; by default those in `y`.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.
        **kwargs : dict
            More arguments of ``Model.fit``.

        Returns
        -------
        self : object
        """
        return super().partial_fit(X, y, sample_weight=sample_weight, classes=classes, **kwargs)

    def predict_proba(self, X: Any, **kwargs: Any) -> np.ndarray:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, ...)
            Samples.
        **kwargs : dict
            More arguments of ``Model.predict``.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probability of each class, in the order of `classes_`.
        """
        outputs = self._predict_raw(X, **kwargs)
        return self.target_encoder_.inverse_transform(outputs, return_proba=True)

    def _type_of_target(self, y: np.ndarray) -> str:
        kind = type_of_target(y, input_name="y")
        known = kind == "binary" and self.classes_ is not None  # of more classes y may hold two
        return type_of_target(self.classes_) if known else kind

    def _weights_of(self, y: Any, sample_weight: Any) -> np.ndarray | None:
        weight = super()._weights_of(y, sample_weight)
        if self.class_weight is None:
            return weight
        per_class = compute_sample_weight(self.class_weight, y)
        product = per_class if weight is None else per_class * weight
        return check_sample_weight(product, len(product), "class_weight times sample_weight")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class KerasRegressor(RegressorMixin, BaseWrapper):
    """A Keras model as a regressor: drop-in replacement of scikeras' KerasRegressor.

    What differs from scikeras is listed at `KerasClassifier`.

    Parameters
    ----------
    model : callable, keras.Model or None, default=None
        A function that returns a model, compiled or not. It gets the parameters that are routed to it
        (``model__...``) and, if it has arguments of these names, ``meta`` (what is known of the data),
        ``compile_kwargs`` and ``params``.
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
    >>> from sklearn.datasets import load_diabetes
    >>> from skcnn.scikeras import KerasRegressor
    >>> def model(meta):
    ...     return keras.Sequential([keras.Input(meta["X_shape_"][1:]), keras.layers.Dense(1)])
    >>> X, y = load_diabetes(return_X_y=True)
    >>> KerasRegressor(model, loss="mse", verbose=0).fit(X, y).predict(X[:1]).shape
    (1,)
    """

    score = BaseWrapper.score  # the mixin's does not use `scorer`
    scorer = staticmethod(r2_score)

    @property
    def target_encoder(self) -> Any:
        """Transformer of targets and of outputs back; override it for other targets."""
        return _TargetEncoder(dtype=self.X_dtype_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _LabelEncoder(ClassifierLabelEncoder):
    """scikeras' encoder of labels, which refuses a single class and squeezes nothing."""

    def fit(self, y: np.ndarray) -> Self:
        super().fit(y)
        if self.n_classes_ == 1:
            raise ValueError(
                f"Classifier can't train when only one class is present: y holds only {self.classes_.tolist()}. "
                "Expected at least two classes; check the filter or the split that made y."
            )
        return self

    def inverse_transform(self, y: np.ndarray, return_proba: bool = False) -> np.ndarray:
        labels_or_squeezed = super().inverse_transform(y, return_proba=return_proba)
        if not return_proba or not isinstance(y, np.ndarray):
            return labels_or_squeezed
        if self._target_type == "binary" and y.size == len(y):
            return np.column_stack([1 - y, y])
        return y


class _TargetEncoder(RegressorTargetEncoder):
    """scikeras' encoder of targets, but predictions for float64 samples are float64, as those of MLPRegressor."""

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def inverse_transform(self, y: np.ndarray) -> np.ndarray:
        predictions = super().inverse_transform(y)
        return predictions.astype(np.float64) if self.dtype == np.float64 else predictions

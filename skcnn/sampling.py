"""Any imbalanced-learn sampler over arrays of images, series and volumes."""

from math import prod
from typing import Any, Self

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_array, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skcnn._sklearn.callback_tasks import fit_task
from skcnn._sklearn.checks import check_layout, check_samples, naming, plain_array
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import HasMethods, fit_context
from skcnn._sklearn.nd_adapters import copy_tags, routed
from skcnn._sklearn.version_note import VersionNote

__all__ = ["NDSampler", "Pipeline"]


class NDSampler(DiagramMixin, MetaEstimatorMixin, VersionNote, BaseSampler):
    """Run an imbalanced-learn sampler over arrays with more than two axes.

    imbalanced-learn's samplers take tables. This one resamples images, series or volumes as the given sampler resamples
    them flattened: the same samples, in the same order, with the same random state. It is a sampler itself: in
    imbalanced-learn's Pipeline it is applied in `fit` alone, to the training samples of each fold.

    Parameters
    ----------
    sampler : sampler
        Any imbalanced-learn sampler, or a pipeline of samplers; it is cloned, and itself never fitted.

    Attributes
    ----------
    sampler_ : sampler
        The fitted clone of `sampler`.
    sampling_strategy_ : dict
        Class label to number of samples, as the sampler has it.
    sample_indices_ : ndarray of shape (n_new,)
        For each sample returned, the index of the sample of `X` that it is or, for a smoothed bootstrap, that it was
        drawn around. Exists if the sampler has it.
    sample_shape_ : tuple of int
        Shape of one sample of the `X` seen in `fit`, which is `X.shape[1:]`.
    n_features_in_ : int
        `X.shape[1]` of the `X` seen in `fit`, as scikit-learn defines it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`, if `X` was a data frame whose column names are all strings.

    See Also
    --------
    skcnn.preprocessing.NDTransformer : The same for scikit-learn's transformers.

    Notes
    -----
    What is done to the values depends on the sampler:

    - :class:`~imblearn.under_sampling.RandomUnderSampler` and, without `shrinkage`,
      :class:`~imblearn.over_sampling.RandomOverSampler` look at `y` alone. They are given indices in place of `X`, of
      which nothing but the selected samples is ever copied.
    - Other samplers that select samples (those with `sample_indices_`) see `X` flattened, in its own dtype.
    - Samplers that make new samples (SMOTE and its variants, a smoothed bootstrap) see integers as floats, because
      they interpolate in the dtype they are given, and differences of `uint8` wrap around. Integers up to 16 bits
      become `float32`, others `float64`. What comes back is rounded, and clipped to the range of the dtype of `X`.

    Values that are not finite are accepted where the sampler's tags say so. Data frames are passed to it as they are,
    except that integer columns are treated as above; the frame that comes back has the same columns and dtypes.

    As the sampler is cloned in each call, a `RandomState` instance as its `random_state` gives the same samples each
    time.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.over_sampling import SMOTE
    >>> from skcnn.sampling import NDSampler
    >>> images = np.random.default_rng(0).integers(0, 256, size=(30, 8, 8, 3), dtype=np.uint8)
    >>> labels = np.repeat(["cat", "dog"], [20, 10])
    >>> X, y = NDSampler(SMOTE(random_state=0)).fit_resample(images, labels)
    >>> X.shape, X.dtype
    ((40, 8, 8, 3), dtype('uint8'))
    >>> np.unique(y, return_counts=True)[1]
    array([20, 20])
    """

    _parameter_constraints: dict[str, list[Any]] = {"sampler": [HasMethods(["fit", "fit_resample"])]}

    def __init__(self, sampler: BaseEstimator) -> None:
        self.sampler = sampler

    @property
    def sampling_strategy_(self) -> Any:
        """Class label to number of samples, as the fitted sampler has it."""
        return self.sampler_.sampling_strategy_

    @property
    def sample_indices_(self) -> NDArray[np.intp]:
        """Samples of ``X`` that the returned ones come from, if the sampler has them."""
        return self.sampler_.sample_indices_

    # The given sampler is validated by its own fit.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> Self:
        """Check the data and find the sampling strategy, without resampling.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples.
        y : array-like of shape (n,) or one-hot of shape (n, classes)
            Class labels of any type.
        **params : dict
            Metadata for the sampler's `fit`; with metadata routing enabled, what it requests.

        Returns
        -------
        self : NDSampler
            The fitted object.

        Raises
        ------
        ValueError, TypeError
            As `fit_resample` does.
        """
        sampler, samples, params = self._prepared("fit", X, y, params)
        table = samples if _is_frame(samples) else _table_for(sampler, samples)
        with naming("sampler", theirs=True):
            self.sampler_ = sampler.fit(table, y, **params)
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def fit_resample(self, X: ArrayLike, y: ArrayLike, **params: Any) -> tuple[Any, Any]:
        """Resample the samples.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples.
        y : array-like of shape (n,) or one-hot of shape (n, classes)
            Class labels of any type.
        **params : dict
            Metadata for the sampler's `fit_resample`; with metadata routing enabled, what it requests.

        Returns
        -------
        X_resampled : ndarray of shape (n_new, ..., channels), data frame or list
            Resampled samples in the container and dtype of `X`.
        y_resampled : array-like of shape (n_new,) or (n_new, classes)
            Their labels, as the sampler returns them.

        Raises
        ------
        ValueError
            If `X` has fewer than two axes or an empty one, if `X` and `y` differ in length, if the sampler refuses the
            values or the classes, or if it changes the number of columns.
        TypeError
            If `X` is sparse, or `sampler` is a class or not an estimator.
        """
        sampler, samples, params = self._prepared("fit_resample", X, y, params)
        resample = self._resample_frame if _is_frame(samples) else self._fit_resample
        with naming("sampler", theirs=True):
            X_resampled, y_resampled = resample(samples, y, sampler, **params)
        self.sampler_ = sampler
        return X_resampled.tolist() if isinstance(X, list) else X_resampled, y_resampled

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the names of the columns, which resampling leaves as they are.

        Parameters
        ----------
        input_features : array-like of str of shape (`n_features_in_`,), default=None
            Names to use where `X` had none in `fit`.

        Returns
        -------
        names : ndarray of str of shape (`n_features_in_`,)
            One name per feature.

        Raises
        ------
        ValueError
            If `fit` saw samples of more than one axis, or if `input_features` are not the names seen in `fit`.
        """
        check_is_fitted(self)
        if len(self.sample_shape_) > 1:
            raise ValueError(
                f"{type(self).__name__} was fitted on samples of shape {self.sample_shape_}, which have no feature "
                "names. Only X of shape (n, features) has."
            )
        return super().get_feature_names_out(input_features)

    def get_metadata_routing(self) -> MetadataRouter:
        """Route what `fit` and `fit_resample` are given to the sampler.

        Returns
        -------
        routing : MetadataRouter
            Which metadata goes to which method.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit").add(caller="fit_resample", callee="fit_resample")
        return MetadataRouter(owner=self).add(sampler=self.sampler, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        if copy_tags(tags, self.sampler) is not None:
            tags.sampler_tags.sample_indices = _has_sample_indices(self.sampler)
            if getattr(self.sampler, "shrinkage", None) is not None:
                # A smoothed bootstrap computes with the values, though RandomOverSampler's tags do not say so.
                tags.input_tags.allow_nan = tags.input_tags.string = False
        return tags

    def _prepared(
        self, method: str, X: ArrayLike, y: ArrayLike, params: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Return a clone of the sampler, the checked samples and its metadata.

        Of ``y`` the length alone is checked here: what its labels are is the sampler's to check.
        """
        with naming("sampler", theirs=True):
            sampler = clone(self.sampler)
        params = routed(self, "sampler", method, params)
        samples: Any = X
        if not _is_frame(X):
            takes = get_tags(self).input_tags
            samples = check_samples(self, X, dtype=None if takes.string else "numeric", finite=not takes.allow_nan)
        check_layout(self, samples, None)
        if y is not None:  # which the sampler refuses
            with naming("y"):
                check_array(plain_array(y, "y"), dtype=None, ensure_2d=False, estimator=self, input_name="y")
                check_consistent_length(samples, y)
        self.sample_shape_ = tuple(samples.shape[1:])
        return sampler, samples, params

    def _fit_resample(
        self, X: NDArray[Any], y: ArrayLike, sampler: BaseEstimator, /, **params: Any
    ) -> tuple[NDArray[Any], Any]:
        """Resample an array of any shape."""
        resampled, y_resampled = sampler.fit_resample(_table_for(sampler, X), y, **params)
        if looks_at_labels_alone(sampler):
            return X[sampler.sample_indices_], y_resampled
        self._check_columns(resampled, sampler)
        return _cast(np.asarray(resampled), X.dtype).reshape(-1, *self.sample_shape_), y_resampled

    def _resample_frame(self, X: Any, y: ArrayLike, sampler: BaseEstimator, /, **params: Any) -> tuple[Any, Any]:
        """Resample a data frame, rounding new values that would be truncated."""
        if any(dtype.name == "category" for dtype in X.dtypes) and _interpolates(sampler):
            raise ValueError(
                f"X has columns of categories, between which {type(sampler).__name__} would interpolate. Encode them "
                "first, e.g. with OneHotEncoder, or use SMOTENC or a sampler that selects samples."
            )
        dtypes = {} if selects_rows(sampler) else {i: dtype for i, dtype in enumerate(X.dtypes) if _is_integer(dtype)}
        widened = X.copy(deep=False)
        for i, dtype in dtypes.items():
            widened.isetitem(i, X.iloc[:, i].astype(_widened(dtype)))
        resampled, y_resampled = sampler.fit_resample(widened, y, **params)
        self._check_columns(resampled, sampler)
        for i, dtype in dtypes.items():
            resampled.isetitem(i, _cast(resampled.iloc[:, i].to_numpy(), dtype))
        return resampled, y_resampled

    def _check_columns(self, resampled: Any, sampler: BaseEstimator) -> None:
        shape, n_columns = np.shape(resampled), prod(self.sample_shape_)
        if shape[1:] != (n_columns,):
            raise ValueError(
                f"{type(sampler).__name__} returned shape {shape} for a table of {n_columns} columns, which "
                f"{type(self).__name__} had made of samples of shape {self.sample_shape_}: use a sampler that keeps "
                "the number of columns."
            )


class Pipeline(SamplingPipeline):
    """imbalanced-learn's pipeline, passing scikit-learn's callbacks to its last step.

    imbalanced-learn's own (0.14) takes callbacks, also from a search around it, and calls none. Everything else is as
    there. The steps before the last one are told of no callbacks. Before scikit-learn 1.9, which has none, both are
    the same.

    Parameters
    ----------
    steps : list of (str, estimator)
        Transformers, samplers and the final estimator, by name.
    transform_input : list of str, default=None
        Metadata to transform before it is passed on, such as ``["X_val"]``.
    memory : str or joblib.Memory, default=None
        Where fitted transformers and samplers are kept.
    verbose : bool, default=False
        Whether to print how long each step takes.

    See Also
    --------
    skcnn.CNNClassifier : Its `sampler` needs no such pipeline.

    Examples
    --------
    >>> from imblearn.over_sampling import SMOTE
    >>> from sklearn.callback import ScoringMonitor
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skcnn import CNNClassifier
    >>> from skcnn.sampling import Pipeline
    >>> X, y = load_digits(return_X_y=True)
    >>> monitor = ScoringMonitor(scoring="accuracy")
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=2).set_callbacks(monitor)
    >>> search = GridSearchCV(Pipeline([("balance", SMOTE()), ("cnn", cnn)]), {"cnn__l2": [0, 1e-3]}, cv=2)
    >>> search = search.fit(X[:300], y[:300] == 8)
    >>> len([row for row in monitor.get_logs().data if row["task_name"] == "epoch"])  # 5 fits of 2 epochs
    10
    """

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the steps one after the other, as imbalanced-learn's pipeline does.

        Parameters
        ----------
        X : array-like
            Training samples, as the first step takes them.
        y : array-like, default=None
            Targets.
        **params : dict
            Parameters of the steps' `fit`; with metadata routing enabled, what they request.

        Returns
        -------
        self : Pipeline
            The fitted pipeline.
        """
        last = self.steps[-1][1]
        with fit_task(self, last if hasattr(last, "fit") else None, "fit-final-estimator"):
            # Without the checks and the end of callbacks around imbalanced-learn's own fit, which are around this one.
            SamplingPipeline.fit.__wrapped__(self, X, y, **params)
        return self


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")  # pandas, the one kind that imbalanced-learn restores


def _has_sample_indices(sampler: BaseEstimator) -> bool:
    sampler_tags = getattr(get_tags(sampler), "sampler_tags", None)
    return sampler_tags is not None and sampler_tags.sample_indices


def selects_rows(sampler: BaseEstimator) -> bool:
    """Tell whether each sample returned is one of ``X``; smoothing adds noise."""
    return _has_sample_indices(sampler) and getattr(sampler, "shrinkage", None) is None


def _interpolates(sampler: BaseEstimator) -> bool:
    # SMOTENC and SMOTEN know categories; of a pipeline nothing is known.
    return not (selects_rows(sampler) or hasattr(sampler, "categorical_encoder") or hasattr(sampler, "steps"))


def looks_at_labels_alone(sampler: BaseEstimator) -> bool:
    # Not isinstance: a child class may well look at X.
    return type(sampler) in (RandomOverSampler, RandomUnderSampler) and selects_rows(sampler)


def _table_for(sampler: BaseEstimator, X: NDArray[Any]) -> NDArray[Any]:
    """Reshape ``X`` to the table for ``sampler``, a view where possible."""
    if looks_at_labels_alone(sampler):
        return np.arange(len(X)).reshape(-1, 1)
    table = X.reshape(len(X), -1)
    return table if selects_rows(sampler) else table.astype(_widened(X.dtype), copy=False)


def _is_integer(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "bui"


def _widened(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to interpolate in: integers would wrap around or be truncated."""
    return np.promote_types(dtype, np.float32) if _is_integer(dtype) else dtype


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Cast to ``dtype``; floats become integers by rounding and clipping."""
    if values.dtype.kind == "f" and _is_integer(dtype):
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        values = np.rint(values.astype(np.promote_types(dtype, values.dtype), copy=False))
        # The largest 64-bit integer is no float: rounded up, it would be out of range.
        top = values.dtype.type(high)
        np.clip(values, low, top if int(top) <= high else np.nextafter(top, 0), out=values)
    return values.astype(dtype, copy=False)

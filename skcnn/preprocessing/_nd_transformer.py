"""`NDTransformer`: any scikit-learn transformer over images, series and volumes."""

from collections.abc import Callable
from math import prod
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skcnn._sklearn.callback_tasks import CallbackSupportMixin, fit_task
from skcnn._sklearn.checks import check_layout, check_samples, is_frame, naming, plain_array
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import HasMethods, StrOptions, fit_context
from skcnn._sklearn.nd_adapters import copy_tags, routed
from skcnn._sklearn.version_note import VersionNote

__all__ = ["NDTransformer"]


def _transformer_has(name: str) -> Callable[["NDTransformer"], bool]:
    """Return a check for ``available_if``: the transformer has this attribute."""

    def check(self: "NDTransformer") -> bool:
        getattr(getattr(self, "transformer_", self.transformer), name)  # its AttributeError says what is missing
        return True

    return check


class NDTransformer(
    DiagramMixin,
    CallbackSupportMixin,
    TransformerMixin,
    MetaEstimatorMixin,
    VersionNote,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # the transformer wraps its own output, which is a table
):
    """Run a scikit-learn transformer over arrays with more than two axes.

    scikit-learn's transformers take tables. This one reshapes images, series or volumes to a table, applies the given
    transformer to it, and gives the result the original shape back. It is fitted as the transformer is: inside a
    pipeline, on the training samples of each fold.

    Parameters
    ----------
    transformer : transformer
        Any scikit-learn transformer; it is cloned, and itself never fitted.
    per : {"position", "channel"}, default="position"
        What a column of the table is:

        - `"position"`: one column per position and channel, in C order; one row per sample of `X`. A
          :class:`~sklearn.preprocessing.StandardScaler` then has a mean for each pixel.
        - `"channel"`: one column per channel; one row per sample of `X` *and* position. A
          :class:`~sklearn.preprocessing.StandardScaler` then has a mean for each channel.

        For two-dimensional `X` both are the same: one column per feature.

    Attributes
    ----------
    transformer_ : transformer
        The fitted clone of `transformer`.
    sample_shape_ : tuple of int
        Shape of one sample of the `X` seen in `fit`, which is `X.shape[1:]`.
    n_features_in_ : int
        `X.shape[1]` of the `X` seen in `fit`, as scikit-learn defines it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`, if `X` was a data frame whose column names are all strings.

    See Also
    --------
    skcnn.sampling.NDSampler : The same for imbalanced-learn's samplers.

    Notes
    -----
    The dtype of the output is what the transformer returns. Values that are not finite are the transformer's to accept
    (:class:`~sklearn.impute.SimpleImputer`) or refuse. Data frames are passed to it as they are.

    With `per="channel"`, `y` and all metadata with one entry per sample (`sample_weight`) are repeated for each
    position.

    Where the N-D shape is restored, the output is a dense array even if the transformer returns sparse matrices, or
    data frames because of `set_output`: neither has more than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcnn.preprocessing import NDTransformer
    >>> images = np.random.default_rng(0).integers(0, 256, size=(20, 8, 8, 3), dtype=np.uint8)
    >>> scaler = NDTransformer(StandardScaler(), per="channel").fit(images)
    >>> scaler.transformer_.mean_.shape
    (3,)
    >>> scaler.transform(images).shape
    (20, 8, 8, 3)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "transformer": [HasMethods(["fit", "transform"])],
        "per": [StrOptions({"position", "channel"})],
    }

    def __init__(self, transformer: BaseEstimator, *, per: Literal["position", "channel"] = "position") -> None:
        self.transformer = transformer
        self.per = per

    # The given transformer is validated by its own fit.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Fit a clone of the transformer.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples to learn from.
        y : array-like of shape (n,) or (n, outputs), default=None
            Targets, for transformers that use them.
        **params : dict
            Metadata for the transformer's `fit`, such as `sample_weight` of shape (n,); with metadata routing enabled,
            what it requests.

        Returns
        -------
        self : NDTransformer
            The fitted object.

        Raises
        ------
        ValueError
            If `X` has fewer than two axes or an empty one, or if the transformer refuses its values.
        TypeError
            If `X` is sparse, or `transformer` is a class or not a scikit-learn estimator.
        """
        self._fit("fit", X, y, params)
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Any:
        """Fit a clone of the transformer and transform the same samples.

        The transformer's own `fit_transform` is used if it has one.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples to learn from.
        y : array-like of shape (n,) or (n, outputs), default=None
            Targets, for transformers that use them.
        **params : dict
            Metadata for the transformer, as in `fit`.

        Returns
        -------
        X_new : ndarray, sparse matrix or data frame
            As from `transform`.

        Raises
        ------
        ValueError, TypeError
            As `fit` and `transform` do.
        """
        if not hasattr(self.transformer, "fit_transform"):
            return self.fit(X, y, **params).transform(X)
        return self._restore(*self._fit("fit_transform", X, y, params))

    def transform(self, X: ArrayLike) -> Any:
        """Transform samples and give them their shape back.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples of the shape seen in `fit`.

        Returns
        -------
        X_new : ndarray, sparse matrix or data frame
            Two-dimensional `X`: what the transformer returns. Otherwise an array of the shape of `X`; with
            `per="channel"` the last axis has as many channels as the transformer returns, with `per="position"` a
            transformer that changes the number of columns gives shape (n, columns).

        Raises
        ------
        ValueError
            If the shape of the samples is not the one seen in `fit`, or if the transformer refuses the values or
            changes the number of rows.
        TypeError
            If `X` is sparse.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        with naming("transformer", theirs=True):
            output = self.transformer_.transform(table)
        return self._restore(output, table)

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X: ArrayLike) -> Any:
        """Undo `transform`, if the transformer can.

        Parameters
        ----------
        X : array-like of the shape that `transform` returned
            Transformed samples; with `per="position"` they may be flat.

        Returns
        -------
        X_original : ndarray of shape (n, ..., channels) or (n, features)
            Samples in the shape seen in `fit`.

        Raises
        ------
        ValueError
            If the positions are not those seen in `fit`, or if the transformer refuses the values.
        """
        check_is_fitted(self)
        table = X if len(self.sample_shape_) == 1 else self._transformed_table(X)
        with naming("transformer", theirs=True):
            output = self.transformer_.inverse_transform(table)
        return output if len(self.sample_shape_) == 1 else self._restore(output, table)

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the names of the columns that the transformer returns.

        Parameters
        ----------
        input_features : array-like of str of shape (columns,), default=None
            Names of the table's columns: one per position and channel in C order, or one per channel. For N-D samples
            any other number of names is ignored: a pipeline passes those of the previous step, which has other columns.

        Returns
        -------
        names : ndarray of str of shape (columns_out,)
            What the transformer calls its columns.
        """
        check_is_fitted(self)
        if len(self.sample_shape_) > 1 and np.asarray(input_features).shape != (self._n_columns(self.sample_shape_),):
            input_features = None
        return self.transformer_.get_feature_names_out(input_features)

    @available_if(_transformer_has("set_output"))
    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """Set the container of two-dimensional output of `transform`.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            As in scikit-learn. `None` changes nothing.

        Returns
        -------
        self : NDTransformer
            This object.
        """
        for transformer in (self.transformer, getattr(self, "transformer_", None)):
            if transformer is not None:
                transformer.set_output(transform=transform)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Route what `fit` and `fit_transform` are given to the transformer.

        Returns
        -------
        routing : MetadataRouter
            Which metadata goes to which method.
        """
        callee = "fit_transform" if hasattr(self.transformer, "fit_transform") else "fit"
        mapping = MethodMapping().add(caller="fit", callee="fit").add(caller="fit_transform", callee=callee)
        return MetadataRouter(owner=self).add(transformer=self.transformer, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        copied = copy_tags(tags, self.transformer)
        if copied is not None:
            tags.target_tags = copied.target_tags
            tags.transformer_tags = copied.transformer_tags or tags.transformer_tags
        return tags

    def _fit(self, method: str, X: ArrayLike, y: ArrayLike | None, params: dict[str, Any]) -> tuple[Any, Any]:
        """Fit a clone of the transformer by a method; return its output and the table."""
        with fit_task(self):
            table, y, params = self._training_table(X, y, params, method=method)
            with naming("transformer", theirs=True):
                transformer = clone(self.transformer)
                output = getattr(transformer, method)(table, y, **params)
            self.transformer_ = transformer
        return output, table

    def _n_columns(self, sample_shape: tuple[int, ...]) -> int:
        return sample_shape[-1] if self.per == "channel" else prod(sample_shape)

    def _table(self, X: ArrayLike, *, reset: bool) -> Any:
        """Check ``X`` and reshape it to the transformer's table, a view where possible."""
        # The transformer alone knows what to do with the names and dtypes of a data frame's columns.
        samples: Any = X if is_frame(X) else check_samples(self, X, dtype=None, finite=False)
        check_layout(self, samples, None if reset else self.sample_shape_)
        if reset:
            self.sample_shape_: tuple[int, ...] = tuple(samples.shape[1:])
        return samples if is_frame(X) else samples.reshape(-1, self._n_columns(self.sample_shape_))

    def _transformed_table(self, X: ArrayLike) -> NDArray[Any]:
        """Check transformed N-D samples and reshape them to the table for the inverse."""
        samples = check_samples(self, X, dtype=None, finite=False)
        if self.per == "channel":
            fits = samples.shape[1:-1] == self.sample_shape_[:-1]
        else:
            fits = samples.ndim == 2 or samples.shape[1:] == self.sample_shape_
        if not fits:
            raise ValueError(
                f"X has shape {samples.shape}, but {type(self).__name__} with per={self.per!r} was fitted on samples "
                f"of shape {self.sample_shape_}: pass an array of the shape that transform returned for such samples."
            )
        return samples.reshape(-1, self._n_columns(samples.shape[1:]))

    def _training_table(
        self, X: ArrayLike, y: ArrayLike | None, params: dict[str, Any], *, method: str
    ) -> tuple[Any, ArrayLike | None, dict[str, Any]]:
        """Reshape ``X`` to a table; repeat ``y`` and metadata to match its rows."""
        params = routed(self, "transformer", method, params)
        table = self._table(X, reset=True)
        n_positions = prod(self.sample_shape_[:-1]) if self.per == "channel" else 1
        if n_positions == 1:
            return table, y, params
        with naming("X, y and sample_weight"):
            check_consistent_length(X, y, params.get("sample_weight"))
        n_samples = len(table) // n_positions

        def repeated(value: Any) -> Any:
            per_sample = np.ndim(value) > 0 and len(value) == n_samples
            return np.repeat(np.asarray(value), n_positions, axis=0) if per_sample else value

        with naming("y"):
            y = repeated(plain_array(y, "y"))
        return table, y, {name: repeated(value) for name, value in params.items()}

    def _restore(self, output: Any, table: Any) -> Any:
        """Give what the transformer made of ``table`` the shape that the samples had."""
        shape = np.shape(output)
        if len(shape) < 2 or shape[0] != len(table):
            raise ValueError(
                f"{type(self.transformer_).__name__} returned shape {shape} for a table of shape {table.shape}, which "
                f"{type(self).__name__} with per={self.per!r} had made of samples of shape {self.sample_shape_}. It "
                "must return a table with as many rows: use a transformer that keeps the number of rows."
            )
        if len(self.sample_shape_) == 1:
            return output
        if self.per == "position" and shape[1:] != (prod(self.sample_shape_),):
            return output  # the new columns belong to no position
        output = output.toarray() if issparse(output) else np.asarray(output)
        channels = self.sample_shape_[-1] if self.per == "position" else shape[1]
        return output.reshape(-1, *self.sample_shape_[:-1], channels)

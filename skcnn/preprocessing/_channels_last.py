"""`ChannelsLast`: from the layout of other libraries to that of Keras."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skcnn._sklearn.checks import check_layout, check_samples, is_frame
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import fit_context
from skcnn._sklearn.version_note import VersionNote

__all__ = ["ChannelsLast"]


class ChannelsLast(DiagramMixin, OneToOneFeatureMixin, TransformerMixin, VersionNote, BaseEstimator):
    """Move the channels from the second axis to the last.

    aeon, sktime and mne keep series as ``(n, channels, time)``, PyTorch images as ``(n, channels, height, width)``;
    Keras and skcnn expect channels last. In a pipeline their transformers come before this step, skcnn's after it;
    those of sktime 1.2 in `skcnn.sampling.Pipeline`, since they fail in the pipeline of scikit-learn 1.9.
    Values are not looked at, and nothing is learnt but the shape.

    Attributes
    ----------
    sample_shape_ : tuple of int
        Shape of a sample of the `X` seen in `fit`, channels first.
    n_features_in_ : int
        `X.shape[1]` of the `X` seen in `fit`, as scikit-learn defines it: the number of channels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`, if `X` was a data frame whose column names are all strings.

    See Also
    --------
    skcnn.exceptions.LayoutWarning : What the estimators warn of where channels look to be first.

    Notes
    -----
    Two-dimensional `X` has no channels and stays as it is. The type of the values does, too.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.preprocessing import ChannelsLast
    >>> X = np.zeros((10, 3, 100))  # three channels, 100 steps
    >>> series = ChannelsLast().fit(X)
    >>> series.transform(X).shape
    (10, 100, 3)
    >>> series.inverse_transform(series.transform(X)).shape
    (10, 3, 100)
    """

    _parameter_constraints: dict[str, list[Any]] = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Remember the shape of the samples.

        Parameters
        ----------
        X : array-like of shape (n, channels, ...) or (n, features)
            Samples.
        y : None
            Ignored.

        Returns
        -------
        self : ChannelsLast
            This object.
        """
        values = check_samples(self, X, finite=False)
        check_layout(self, X if is_frame(X) else values, None)
        self.sample_shape_: tuple[int, ...] = tuple(values.shape[1:])
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Move the channels to the last axis.

        Parameters
        ----------
        X : array-like of shape (n, channels, ...) or (n, features)
            Samples of the shape seen in `fit`.

        Returns
        -------
        X_new : ndarray of shape (n, ..., channels) or (n, features)
            A view where `X` is an array.

        Raises
        ------
        ValueError
            If the shape of the samples is not the one seen in `fit`.
        """
        check_is_fitted(self)
        values = check_samples(self, X, finite=False)
        check_layout(self, X if is_frame(X) else values, self.sample_shape_)
        return np.moveaxis(values, 1, -1)

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Move the channels back to the second axis.

        Parameters
        ----------
        X : array-like of shape (n, ..., channels) or (n, features)
            Samples of the shape that `transform` returned.

        Returns
        -------
        X_original : ndarray of shape (n, channels, ...) or (n, features)
            A view where `X` is an array.

        Raises
        ------
        ValueError
            If the shape of the samples is not that of transformed ones.
        """
        check_is_fitted(self)
        values = check_samples(self, X, finite=False)
        channels, *positions = self.sample_shape_
        if values.shape[1:] != (*positions, channels):
            raise ValueError(
                f"X has samples of shape {values.shape[1:]}, but {type(self).__name__} was fitted on samples of shape "
                f"{self.sample_shape_}, which become {(*positions, channels)}: pass an array of shape (n, "
                f"{', '.join(map(str, (*positions, channels)))})."
            )
        return np.moveaxis(values, -1, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

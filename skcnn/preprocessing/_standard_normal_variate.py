"""`StandardNormalVariate`: each sample by its own mean and scale."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from skcnn._sklearn.checks import check_layout, check_samples, is_frame
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import fit_context
from skcnn._sklearn.version_note import VersionNote

__all__ = ["StandardNormalVariate"]


class StandardNormalVariate(DiagramMixin, OneToOneFeatureMixin, TransformerMixin, VersionNote, BaseEstimator):
    """Subtract the mean of each sample from it and divide it by its standard deviation.

    This takes out what differs from one measurement to the next as a whole, such as offset and gain of a sensor or the
    scatter of light in a spectrum (Barnes, Dhanoa and Lister 1989, https://doi.org/10.1366/0003702894202201). Samples
    do not depend on each other, so that nothing is learnt in `fit` and nothing leaks.

    Attributes
    ----------
    n_features_in_ : int
        `X.shape[1]` of the `X` seen in `fit`, as scikit-learn defines it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names seen in `fit`, if `X` was a data frame whose column names are all strings.

    See Also
    --------
    skcnn.CNNClassifier : Its `standardize` is by channel or position, over all training samples.

    Notes
    -----
    Mean and standard deviation (of the population, as in :class:`~sklearn.preprocessing.StandardScaler`) are over all
    axes but that of the samples. A constant sample becomes 0. float32 stays float32; other types become float64.

    Examples
    --------
    >>> from skcnn.preprocessing import StandardNormalVariate
    >>> StandardNormalVariate().fit_transform([[1.0, 2.0, 3.0], [10.0, 30.0, 50.0], [7.0, 7.0, 7.0]]).round(2)
    array([[-1.22,  0.  ,  1.22],
           [-1.22,  0.  ,  1.22],
           [ 0.  ,  0.  ,  0.  ]])
    """

    _parameter_constraints: dict[str, list[Any]] = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Check samples; nothing is learnt.

        Parameters
        ----------
        X : array-like of shape (n, features) or (n, ..., channels)
            Samples.
        y : None
            Ignored.

        Returns
        -------
        self : StandardNormalVariate
            This object.
        """
        values = check_samples(self, X)
        check_layout(self, X if is_frame(X) else values, None)
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Standardise each sample.

        Parameters
        ----------
        X : array-like of shape (n, features) or (n, ..., channels)
            Samples.

        Returns
        -------
        X_new : ndarray of the same shape
            Samples with mean 0 and standard deviation 1.
        """
        values = check_samples(self, X)
        check_layout(self, X if is_frame(X) else values, tuple(values.shape[1:]))
        dtype = values.dtype if values.dtype in (np.float32, np.float64) else np.float64
        flat = values.reshape(len(values), -1).astype(np.float64)
        mean = flat.mean(axis=1, keepdims=True)
        flat -= mean
        largest = np.abs(flat).max(axis=1, keepdims=True)
        # A deviation of the size of rounding is none, as in StandardScaler; its square may overflow, so in units of it.
        constant = largest <= 10 * np.finfo(dtype).eps * np.abs(mean)
        flat /= np.where(constant, np.inf, largest)
        scale = np.sqrt(np.square(flat).mean(axis=1, keepdims=True))
        return (flat / np.where(scale > 0, scale, 1.0)).reshape(values.shape).astype(dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

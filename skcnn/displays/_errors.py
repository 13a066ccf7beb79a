"""`ErrorsDisplay`: the most confident errors of a classifier."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_consistent_length

from skcnn.displays._drawing import aspect_of, label_of, limits_of, panels, sample_shape_of, show_sample

__all__ = ["ErrorsDisplay"]

WIDTH = 20  # letters above a picture


@dataclass(eq=False, repr=False)
class ErrorsDisplay:
    """The most confident errors, as pictures.

    Mislabelled samples, and what the network does not see, show here first.

    Use `from_estimator` or `from_predictions` to make one, `compute` for the numbers alone.

    Parameters
    ----------
    X : ndarray of shape (n_shown, ..., channels)
        Samples, in the shape in which they are shown.
    y_true, y_pred : ndarray of shape (n_shown,)
        Their true and predicted labels.
    confidence : ndarray of shape (n_shown,)
        How sure the classifier was of the predicted label; the samples are sorted by it.
    indices : ndarray of shape (n_shown,)
        Indices of the samples in the data.
    n_errors, n_samples : int
        Errors in all, and samples.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        Axes of the pictures.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skcnn.displays import ErrorsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = GaussianNB().fit(X[:1000], y[:1000])
    >>> display = ErrorsDisplay.from_estimator(clf, X[1000:], y[1000:], n_shown=4, input_shape=(8, 8, 1))
    >>> display.X.shape
    (4, 8, 8, 1)
    """

    COLUMNS = 6

    X: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    confidence: np.ndarray
    indices: np.ndarray
    _: KW_ONLY
    n_errors: int
    n_samples: int

    def plot(self, ax: Any = None) -> Self:
        """Draw the samples: series as lines, images, middle slices of volumes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        self : ErrorsDisplay
        """
        n_columns = max(1, min(self.COLUMNS, len(self.X)))
        n_rows = max(1, -(-len(self.X) // n_columns))
        size = (max(4.0, 1.5 * n_columns), 0.6 + n_rows * (0.5 + 1.35 * aspect_of(self.X)))
        self.figure_, axes = panels(type(self).__name__, ax, (n_rows, n_columns), size=size)
        self.ax_ = axes.ravel()
        limits = limits_of(self.X)
        for panel in self.ax_[len(self.X) :]:
            panel.set_axis_off()
        shown = zip(self.ax_, self.X, self.y_true, self.y_pred, self.confidence, self.indices, strict=False)
        for panel, sample, true, predicted, sure, index in shown:
            show_sample(panel, sample, limits)
            panel.set_title(f"{_mistake(true, predicted)}\n{sure:.3g} (sample {index})", fontsize=8)
        which = "none" if not len(self.X) else f"the {len(self.X)} most confident"
        caption = f"{self.n_errors} errors in {self.n_samples} samples; {which}"
        if ax is None:
            self.figure_.suptitle(caption, fontsize=10)
        else:
            ax.set_title(caption, fontsize=10, pad=28)
        return self

    @classmethod
    def compute(
        cls,
        X: Any,
        y_true: Any,
        y_pred: Any,
        confidence: Any,
        *,
        n_shown: int = 12,
        input_shape: Any = None,
    ) -> Self:
        """Return the display without drawing it.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., channels)
            Samples.
        y_true, y_pred : array-like of shape (n,)
            True and predicted labels.
        confidence : array-like of shape (n,)
            How sure the classifier was of each predicted label.
        n_shown : int, default=12
            Errors to show, at most.
        input_shape : tuple of int, default=None
            Shape, channels last, in which a sample is shown; with None as it is, a flat sample as a series.

        Returns
        -------
        ErrorsDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        X, y_true, y_pred, confidence = map(np.asarray, (X, y_true, y_pred, confidence))
        check_consistent_length(X, y_true, y_pred, confidence)
        if y_true.ndim != 1 or y_pred.ndim != 1 or confidence.ndim != 1:
            raise ValueError(
                f"y_true, y_pred and confidence have shapes {y_true.shape}, {y_pred.shape} and {confidence.shape}; "
                "expected one label and one number per sample. Show one label of many at a time."
            )
        wrong = np.flatnonzero(y_true != y_pred)
        chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:n_shown]
        samples = X[chosen].reshape(len(chosen), *sample_shape_of(X, input_shape))
        labels = y_true[chosen], y_pred[chosen]
        return cls(samples, *labels, confidence[chosen], chosen, n_errors=len(wrong), n_samples=len(X))

    @classmethod
    def from_predictions(
        cls, X: Any, y_true: Any, y_pred: Any, confidence: Any, *, ax: Any = None, **options: Any
    ) -> Self:
        """Draw the most confident errors among predictions.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., channels)
            Samples.
        y_true, y_pred : array-like of shape (n,)
            True and predicted labels.
        confidence : array-like of shape (n,)
            How sure the classifier was of each predicted label.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.
        **options
            `n_shown` and `input_shape` of `compute`.

        Returns
        -------
        ErrorsDisplay
        """
        return cls.compute(X, y_true, y_pred, confidence, **options).plot(ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, n_shown: int = 12, input_shape: Any = None, ax: Any = None
    ) -> Self:
        """Draw the most confident errors of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier
            Its confidence is the probability of the predicted class or, without `predict_proba`, the decision function.
        X : array-like of shape (n, n_features) or (n, ..., channels)
            Samples that it was not trained on.
        y : array-like of shape (n,)
            Their labels.
        n_shown : int, default=12
            Errors to show, at most.
        input_shape : tuple of int, default=None
            Shape, channels last, in which a sample is shown. With None as it is; a flat sample as the network in
            `estimator` sees it, or as a series.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        ErrorsDisplay
        """
        shape = sample_shape_of(np.asarray(X), input_shape, estimator)
        predicted = estimator.predict(X)
        confidence = _confidence(estimator, X, predicted)
        return cls.from_predictions(X, y, predicted, confidence, n_shown=n_shown, input_shape=shape, ax=ax)


def _mistake(true: Any, predicted: Any) -> str:
    """Name the true and the predicted label, on two lines if one is too long."""
    text = f"{label_of(true)}, not {label_of(predicted)}"
    return text if len(text) <= WIDTH else f"{label_of(true, WIDTH)}\nnot {label_of(predicted, WIDTH - 4)}"


def _confidence(estimator: Any, X: Any, predicted: np.ndarray) -> np.ndarray:
    """Return what speaks for the predicted class of each sample."""
    if predicted.ndim > 1:  # several labels, which are refused
        return np.zeros(len(predicted))
    has_probabilities = hasattr(estimator, "predict_proba")
    values = np.asarray(estimator.predict_proba(X) if has_probabilities else estimator.decision_function(X))
    if values.ndim == 1:  # of two classes, for the second
        values = np.stack([-values, values], axis=1)
    return values[np.arange(len(values)), np.searchsorted(estimator.classes_, predicted)]

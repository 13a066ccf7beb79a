"""`ReliabilityDisplay`: whether 80% of what is predicted at 80% is true."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_consistent_length

from skcnn._statistics import wilson_interval
from skcnn.displays._drawing import ink, label_of, panels

__all__ = ["ReliabilityDisplay"]


@dataclass(eq=False, repr=False)
class ReliabilityDisplay:
    """Reliability diagram with intervals, and the number of samples behind each point.

    Use `from_estimator` or `from_predictions` to make one, `compute` for the numbers alone. scikit-learn's
    `CalibrationDisplay` shows the same points; the intervals tell how far each can be relied on.

    Parameters
    ----------
    prob_true, prob_pred : ndarray of shape (n_bins,)
        Share of positives and mean probability of each bin that holds a sample, as
        `sklearn.calibration.calibration_curve` gives them.
    lower, upper : ndarray of shape (n_bins,)
        Wilson interval of `prob_true`.
    counts : ndarray of shape (n_bins,)
        Samples in each of these bins.
    edges : ndarray of shape (n_bins, 2)
        Lower and upper end of each of these bins.
    pos_label : object, default=None
        Class of which the probabilities are; with None they are those of the predicted class (top-label calibration,
        Gupta and Ramdas 2022, https://arxiv.org/abs/2107.08353: here without their bins per class).
    level : float, default=0.95
        Level of the interval.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        Axes of the diagram and of the histogram below it.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcnn.displays import ReliabilityDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = LogisticRegression(max_iter=10_000).fit(X, y)
    >>> display = ReliabilityDisplay.from_estimator(clf, X, y, n_bins=5)
    >>> int(display.counts.sum())
    569
    """

    prob_true: np.ndarray
    prob_pred: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray
    edges: np.ndarray
    _: KW_ONLY
    pos_label: Any = None
    level: float = 0.95

    def plot(self, ax: Any = None) -> Self:
        """Draw the diagram and the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        self : ReliabilityDisplay
        """
        name = type(self).__name__
        self.figure_, axes = panels(name, ax, (2, 1), size=(5.2, 6.2), ratios=(4, 1), share=True)
        curve, histogram = self.ax_ = axes[:, 0]
        # Rounding may put a bound on the wrong side of a share of 0 or 1.
        reach = np.maximum(0, [self.prob_true - self.lower, self.upper - self.prob_true])
        curve.plot([0, 1], [0, 1], ":", color=ink(), label="perfectly calibrated")
        observed = f"observed, {self.level:.0%} interval (n = {self.counts.sum()})"
        style = {"fmt": "o-", "markersize": 5, "capsize": 3, "linewidth": 1}
        curve.errorbar(self.prob_pred, self.prob_true, yerr=reach, label=observed, **style)
        top = self.pos_label is None
        label = label_of(self.pos_label, 20)
        curve.set(ylabel="share that is right" if top else f"share of class {label}", ylim=(-0.03, 1.03))
        curve.grid(alpha=0.3)
        curve.legend(loc="best", fontsize="small")
        left, right = self.edges.T
        histogram.bar(left, self.counts, width=right - left, align="edge", edgecolor="white")
        # A bin with one sample must still be seen beside one with a thousand.
        histogram.set(yscale="log", ylim=(0.7, 2 * max(self.counts)), ylabel="samples", xlim=(-0.03, 1.03))
        histogram.set_xlabel("probability of the predicted class" if top else f"predicted probability of class {label}")
        return self

    @classmethod
    def compute(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        classes: Any = None,
        pos_label: Any = None,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        level: float = 0.95,
    ) -> Self:
        """Return the display without drawing it.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels.
        y_prob : array-like of shape (n,) or (n, n_classes)
            Probability of `pos_label`, or of each class.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns of `y_prob`; with None the sorted labels of `y_true`.
        pos_label : object, default=None
            Class to look at, against all others. With None the second of two classes; of more than two the predicted
            class of each sample, whose probability should be the share of samples that are predicted correctly.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equally many samples.
        level : float, default=0.95
            Level of the interval.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If shapes, labels or probabilities do not fit.
        """
        y_true, y_prob = np.asarray(y_true), np.asarray(y_prob, dtype=np.float64)
        check_consistent_length(y_true, y_prob)
        labels = np.unique(y_true) if classes is None else np.asarray(classes)
        happened, probability, pos_label = _one_event(y_true, y_prob, labels, pos_label)
        if not np.isfinite(probability).all() or probability.min() < 0 or probability.max() > 1:
            raise ValueError(
                f"y_prob holds values from {probability.min():g} to {probability.max():g}; expected probabilities in "
                "[0, 1], as from predict_proba."
            )
        if strategy not in ("uniform", "quantile"):
            raise ValueError(f"strategy={strategy!r}; expected 'uniform' or 'quantile'.")
        steps = np.linspace(0, 1, n_bins + 1)
        edges = steps if strategy == "uniform" else np.percentile(probability, steps * 100)
        index = np.searchsorted(edges[1:-1], probability)
        counts = np.bincount(index, minlength=n_bins)
        kept = counts > 0
        n = counts[kept]
        positives = np.bincount(index, weights=happened, minlength=n_bins)[kept]
        mean = np.bincount(index, weights=probability, minlength=n_bins)[kept] / n
        lower, upper = wilson_interval(positives, n, level)
        bins = np.stack([edges[:-1], edges[1:]], axis=1)[kept]
        return cls(positives / n, mean, lower, upper, n, bins, pos_label=pos_label, level=level)

    @classmethod
    def from_predictions(cls, y_true: Any, y_prob: Any, *, ax: Any = None, **options: Any) -> Self:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            True labels.
        y_prob : array-like of shape (n,) or (n, n_classes)
            Probability of `pos_label`, or of each class.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.
        **options
            `classes`, `pos_label`, `n_bins`, `strategy` and `level` of `compute`.

        Returns
        -------
        ReliabilityDisplay
        """
        return cls.compute(y_true, y_prob, **options).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **options: Any) -> Self:
        """Draw the reliability of a fitted classifier's probabilities.

        Parameters
        ----------
        estimator : fitted classifier
            With `predict_proba`.
        X : array-like of shape (n, ...)
            Samples that it was not trained on.
        y : array-like of shape (n,)
            Their labels.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.
        **options
            `pos_label`, `n_bins`, `strategy` and `level` of `compute`.

        Returns
        -------
        ReliabilityDisplay
        """
        return cls.from_predictions(y, estimator.predict_proba(X), classes=estimator.classes_, ax=ax, **options)


def _one_event(
    y_true: np.ndarray, y_prob: np.ndarray, labels: np.ndarray, pos_label: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return whether the event happened in each sample, its probability, its class."""
    if y_true.ndim != 1:
        raise ValueError(
            f"y has shape {y_true.shape}; expected labels of shape (n,). Show one label of many at a time."
        )
    if y_prob.ndim == 2 and y_prob.shape[1] != len(labels):
        raise ValueError(
            f"y_prob has {y_prob.shape[1]} columns for the {len(labels)} classes {labels.tolist()}. Expected one "
            "column per class; pass their labels as classes."
        )
    if pos_label is None and len(labels) == 2:
        pos_label = labels[1]
    if pos_label is None and y_prob.ndim == 2:
        return labels[y_prob.argmax(axis=1)] == y_true, y_prob.max(axis=1), None
    if pos_label not in labels.tolist():
        raise ValueError(f"pos_label={pos_label!r} is not among the classes {labels.tolist()}. Expected one of them.")
    column = y_prob if y_prob.ndim == 1 else y_prob[:, labels.tolist().index(pos_label)]
    return y_true == pos_label, column, pos_label

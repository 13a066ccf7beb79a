"""`ClassScoresDisplay`: precision, recall and F1 of each class, with intervals."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import multilabel_confusion_matrix
from sklearn.utils.multiclass import unique_labels

from skcnn._statistics import wilson_interval
from skcnn.displays._drawing import ink, label_of, panels

__all__ = ["ClassScoresDisplay"]


@dataclass(eq=False, repr=False)
class ClassScoresDisplay:
    """Precision, recall and F1 of each class, with intervals and sample counts.

    Use `from_estimator` or `from_predictions` to make one, `compute` for the numbers alone.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Labels.
    scores, lower, upper : dict of str to ndarray of shape (n_classes,)
        ``"precision"``, ``"recall"`` and ``"f1"`` as scikit-learn's `precision_recall_fscore_support` gives them, and
        the bounds of their intervals. NaN where there is nothing to divide by.
    support : ndarray of shape (n_classes,)
        Samples of each class.
    level : float, default=0.95
        Level of the intervals.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes.
    figure_ : matplotlib Figure
        Figure that holds them.

    Notes
    -----
    Precision and recall are shares, with Wilson's interval. F1 is not one, but ``F1 = 2 * F / (1 + F)`` for the share F
    of true positives among the samples that are of the class or predicted to be (Hand, Christen and Kirielle 2021,
    https://doi.org/10.1007/s10994-021-05964-1), and since that rises with F, so do the bounds.

    Examples
    --------
    >>> from skcnn.displays import ClassScoresDisplay
    >>> display = ClassScoresDisplay.from_predictions(["a", "a", "a", "b"], ["a", "a", "b", "b"])
    >>> print(display.scores["recall"].round(2), display.support)
    [0.67 1.  ] [3 1]
    """

    NAMES = ("precision", "recall", "f1")

    classes: np.ndarray
    scores: dict[str, np.ndarray]
    lower: dict[str, np.ndarray]
    upper: dict[str, np.ndarray]
    support: np.ndarray
    _: KW_ONLY
    level: float = 0.95

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per class.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; with None those of a new figure.

        Returns
        -------
        self : ClassScoresDisplay
        """
        n = len(self.classes)
        self.figure_, axes = panels(type(self).__name__, ax, (1, 1), size=(6.4, 1.2 + 0.42 * n))
        self.ax_ = axes[0, 0]
        for place, name in enumerate(self.NAMES):
            score = self.scores[name]
            reach = np.maximum(0, [score - self.lower[name], self.upper[name] - score])
            heights = np.arange(n) + 0.22 * (place - 1)
            style = {"fmt": "osD"[place], "markersize": 4, "capsize": 2, "linewidth": 1}
            self.ax_.errorbar(score, heights, xerr=reach, label=name.replace("f", "F"), **style)
        labels = [f"{label_of(label)}  (n = {count})" for label, count in zip(self.classes, self.support, strict=True)]
        self.ax_.set_yticks(np.arange(n), labels)
        self.ax_.set(xlim=(-0.02, 1.02), ylim=(n - 0.5, -0.5), xlabel=f"score with {self.level:.0%} interval")
        self.ax_.grid(axis="x", alpha=0.3)
        for height in np.arange(n - 1) + 0.5:
            self.ax_.axhline(height, color=ink(), alpha=0.15, linewidth=0.8)
        self.ax_.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(self.NAMES), frameon=False)
        return self

    @classmethod
    def compute(cls, y_true: Any, y_pred: Any, *, classes: Any = None, level: float = 0.95) -> Self:
        """Return the display without drawing it.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,), or 0/1 of shape (n, n_labels)
            True and predicted labels.
        classes : array-like of shape (n_classes,), default=None
            Classes to show, in this order; with None all that occur.
        level : float, default=0.95
            Level of the intervals.

        Returns
        -------
        ClassScoresDisplay
        """
        labels = unique_labels(y_true, y_pred) if classes is None else np.asarray(classes)
        table = multilabel_confusion_matrix(y_true, y_pred, labels=labels)
        positive, missed, wrong = table[:, 1, 1], table[:, 1, 0], table[:, 0, 1]
        of = {"precision": positive + wrong, "recall": positive + missed, "f1": positive + wrong + missed}
        scores, lower, upper = {}, {}, {}
        for name, n in of.items():
            share = positive / np.where(n > 0, n, np.nan)
            values = [share, *wilson_interval(positive, n, level)]
            if name == "f1":
                values = [2 * value / (1 + value) for value in values]
            scores[name], lower[name], upper[name] = values
        return cls(labels, scores, lower, upper, of["recall"], level=level)

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, ax: Any = None, **options: Any) -> Self:
        """Draw the scores of predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,), or 0/1 of shape (n, n_labels)
            True and predicted labels.
        ax : matplotlib Axes, default=None
            Axes to draw on; with None those of a new figure.
        **options
            `classes` and `level` of `compute`.

        Returns
        -------
        ClassScoresDisplay
        """
        return cls.compute(y_true, y_pred, **options).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, **options: Any) -> Self:
        """Draw the scores of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier
            With `predict`.
        X : array-like of shape (n, ...)
            Samples that it was not trained on.
        y : array-like of shape (n,) or (n, n_labels)
            Their labels.
        ax : matplotlib Axes, default=None
            Axes to draw on; with None those of a new figure.
        **options
            `classes` and `level` of `compute`.

        Returns
        -------
        ClassScoresDisplay
        """
        return cls.from_predictions(y, estimator.predict(X), ax=ax, **options)

"""`HistoryDisplay`: how training went, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import zip_longest
from typing import Any, Self

import numpy as np

from skcnn._sklearn.steps import unwrap
from skcnn.displays._drawing import ink, panels

__all__ = ["HistoryDisplay"]


@dataclass(eq=False, repr=False)
class HistoryDisplay:
    """Loss and validation score of each epoch, and the epoch whose weights were kept.

    Use `from_estimator`, `from_estimators` or `from_cv_results` to make one. Training is drawn as dashed, validation as
    full lines; several fits, such as the folds of a cross-validation, as thin lines, their mean over those still
    training as a thick one.

    Parameters
    ----------
    histories : list of dict of str to list of float
        For each fit, its `history_`.
    best_iters : list of int or None, default=None
        For each fit, the epoch (from 1) of the weights that were kept.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
        Axes of the losses and, if there are any, of the scores.
    figure_ : matplotlib Figure
        Figure that holds them.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn import CNNClassifier
    >>> from skcnn.displays import HistoryDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=3, early_stopping=True, random_state=0).fit(X / 16, y)
    >>> display = HistoryDisplay.from_estimator(cnn)
    >>> display.losses
    ['loss', 'val_loss']
    """

    TRAINING, VALIDATION = "C0", "C1"
    _NOT_SCORES = ("learning_rate", "lr")  # how it was trained, not how well

    histories: Sequence[Mapping[str, Sequence[float]]]
    _: KW_ONLY
    best_iters: Sequence[int] | None = None

    @property
    def losses(self) -> list[str]:
        """Recorded losses: ``"loss"`` and, with validation samples, ``"val_loss"``."""
        return [name for name in self._recorded if name.endswith("loss")]

    @property
    def scores(self) -> list[str]:
        """Scores that were recorded, such as ``"val_score"``."""
        return [name for name in self._recorded if not name.endswith("loss") and name not in self._NOT_SCORES]

    @property
    def _recorded(self) -> list[str]:
        return list(dict.fromkeys(name for history in self.histories for name in history))

    def mean(self, name: str) -> np.ndarray:
        """Return the mean of a recorded value in each epoch over the fits that got as far."""
        series = [history[name] for history in self.histories if name in history]
        return np.nanmean([*zip_longest(*series, fillvalue=np.nan)], axis=1)

    def plot(self, ax: Any = None) -> Self:
        """Draw the losses and, below them, the scores if there are any.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        self : HistoryDisplay
        """
        groups = [group for group in (self.losses, self.scores) if group]
        size = (6.4, 2.4 + 2.4 * len(groups))
        self.figure_, axes = panels(type(self).__name__, ax, (len(groups), 1), size=size, share=True)
        self.ax_ = axes[:, 0]
        for panel, group in zip(self.ax_, groups, strict=True):
            for name in group:
                self._draw(panel, name)
            self._mark_best(panel, group)
            panel.set_ylabel("loss" if group is groups[0] and self.losses else "score")
            panel.grid(alpha=0.3)
            panel.legend(loc="best")
        self.ax_[-1].set_xlabel("epoch")
        self.ax_[-1].xaxis.get_major_locator().set_params(integer=True)
        if all(len(values) < 2 for history in self.histories for values in history.values()):
            self.ax_[-1].set_xticks([1])  # the locator has whole numbers from two on alone
        return self

    def _draw(self, panel: Any, name: str) -> None:
        validation = name.startswith("val_")
        style = {"color": self.VALIDATION if validation else self.TRAINING, "linestyle": "-" if validation else "--"}
        label = f"validation {name[4:]}" if validation else f"training {name}"
        series = [history[name] for history in self.histories if name in history]
        several = len(series) > 1
        if max(map(len, series)) == 1:
            style["marker"] = "."  # a line needs two points
        for values in series:
            thin = {"linewidth": 0.8, "alpha": 0.5} if several else {"label": label}
            panel.plot(np.arange(1, len(values) + 1), values, **style, **thin)
        if several:
            mean = self.mean(name)
            panel.plot(np.arange(1, len(mean) + 1), mean, **style, linewidth=2, label=f"{label}, mean of {len(series)}")

    def _mark_best(self, panel: Any, group: list[str]) -> None:
        """Mark where the weights were kept, on the validation curve if there is one."""
        label = "weights kept"
        for history, best in zip(self.histories, self.best_iters or [], strict=False):
            values = history.get(group[-1], ())
            if 1 <= best <= len(values):
                panel.plot(best, values[best - 1], "o", color=ink(), markersize=5, label=label, zorder=3)
                label = "_"  # one entry in the legend

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
            With a `history_`: itself, as last step of a pipeline, or as best estimator of a search.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If the estimator has no `history_`.
        """
        return cls.from_estimators([estimator], ax=ax)

    @classmethod
    def from_estimators(cls, estimators: Sequence[Any], *, ax: Any = None) -> Self:
        """Draw the training of several fitted estimators.

        Parameters
        ----------
        estimators : list of fitted estimators
            Each as in `from_estimator`.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        HistoryDisplay
        """
        fitted = [unwrap(estimator)[-1][1] for estimator in estimators]
        for estimator in fitted:
            if not getattr(estimator, "history_", None):
                raise ValueError(
                    f"{type(estimator).__name__} has no history_, a dict with a list of values per epoch; expected a "
                    "fitted estimator that is trained in epochs, such as CNNClassifier. Call fit first."
                )
        best = [getattr(estimator, "best_iter_", 0) for estimator in fitted]
        return cls([dict(estimator.history_) for estimator in fitted], best_iters=best).plot(ax)

    @classmethod
    def from_cv_results(cls, cv_results: Mapping[str, Any], *, ax: Any = None) -> Self:
        """Draw the training of each fold.

        Parameters
        ----------
        cv_results : dict
            From `sklearn.model_selection.cross_validate` with ``return_estimator=True``.
        ax : matplotlib Axes, default=None
            Bounds within which to draw; with None a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        ValueError
            If `cv_results` holds no estimators.
        """
        if "estimator" not in cv_results:
            raise ValueError(
                f"cv_results has {sorted(cv_results)}, but no 'estimator'. "
                "Pass return_estimator=True to cross_validate."
            )
        return cls.from_estimators(cv_results["estimator"], ax=ax)

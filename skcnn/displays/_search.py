"""`SearchDisplay`: how a score depends on one or two parameters of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, Self

import numpy as np

from skcnn.displays._drawing import ink, label_of, panels

__all__ = ["SearchDisplay"]

LETTER = 0.085  # inches that one takes below an axis
Axis = tuple[list[Any], np.ndarray]  # values along an axis, and for each candidate the index of its value


@dataclass(eq=False, repr=False)
class SearchDisplay:
    """Scores of a search by one or two of its parameters, with standard errors.

    Use `from_cv_results` to make one, `compute` for the numbers alone. One parameter is drawn as a line with error
    bars, two as a map; where a search drew its candidates at random, as points.

    Parameters
    ----------
    params : list of str
        Names of the one or two parameters.
    values : list of list
        For each candidate shown, the values of these parameters.
    mean, error : ndarray of shape (n_shown,)
        Mean of the test scores of each candidate, and its standard error.
    n_candidates, n_folds : int
        Candidates of the search in all, and folds.
    score_name : str, default="score"
        What is measured.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes.
    figure_ : matplotlib Figure
        Figure that holds them.

    Notes
    -----
    Of candidates that differ only in other parameters, the best is shown. The standard error is
    ``std(ddof=1) / sqrt(n_folds)``. Folds share training samples, so the true error is larger (Nadeau and Bengio 2003,
    https://doi.org/10.1023/A:1024068626366): candidates that differ by less than one or two errors are not told apart.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from skcnn.displays import SearchDisplay
    >>> search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}).fit(*load_iris(return_X_y=True))
    >>> SearchDisplay.from_cv_results(search.cv_results_).params
    ['C', 'gamma']
    """

    params: Sequence[str]
    values: Sequence[Sequence[Any]]
    mean: np.ndarray
    error: np.ndarray
    _: KW_ONLY
    n_candidates: int
    n_folds: int
    score_name: str = "score"

    def plot(self, ax: Any = None) -> Self:
        """Draw a line for one parameter, a map or points for two.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; with None those of a new figure.

        Returns
        -------
        self : SearchDisplay
        """
        axes = [_different(column) for column in zip(*self.values, strict=True)]
        shape = [len(values) for values, _ in axes]
        is_map = len(shape) == 2 and 2 * len(self.values) > np.prod(shape)
        size = (max(4.8, 2.2 + 1.05 * shape[0]), max(2.8, 1.4 + 0.62 * shape[1])) if is_map else (6.4, 4.8)
        self.figure_, panel = panels(type(self).__name__, ax, (1, 1), size=size)
        self.ax_ = panel[0, 0]
        draw = self._draw_line if len(axes) == 1 else self._draw_map if is_map else self._draw_points
        draw(*axes)
        shown, others = len(self.values), self.n_candidates - len(self.values)
        note = f"{shown} candidates" if not others else f"best of {self.n_candidates} candidates for each of {shown}"
        what = f"mean ± standard error of {self.n_folds} folds" if self.n_folds > 1 else "one fold"
        self.ax_.set_title(f"{what}\n{note}", fontsize=9)
        self.ax_.set(xlabel=self.params[0], ylabel=[*self.params, self.score_name][1])
        return self

    def _draw_line(self, axis: Axis) -> None:
        values, codes = axis
        places = _places(values, self.ax_.set_xscale)
        x = np.asarray(places)[codes]
        order = np.argsort(x)
        self.ax_.errorbar(x[order], self.mean[order], yerr=self.error[order], fmt="o-", linewidth=1, capsize=3)
        self._mark_best(x[self._best], self.mean[self._best])
        self._label_x(places, values)
        self.ax_.minorticks_off()
        self.ax_.grid(alpha=0.3)

    def _draw_map(self, x_axis: Axis, y_axis: Axis) -> None:
        (x_values, x), (y_values, y) = x_axis, y_axis
        table = np.full((len(y_values), len(x_values)), np.nan)
        table[y, x] = self.mean
        low, high = self._color_limits()
        image = self.ax_.imshow(table, aspect="auto", cmap="viridis", origin="lower", vmin=low, vmax=high)
        self.figure_.colorbar(image, ax=self.ax_, label=self.score_name)
        for i, (mean, error) in enumerate(zip(self.mean, self.error, strict=True)):
            spread = f"\n±{error:.2g}" if np.isfinite(error) else ""
            text, color = "no score", ink()
            if np.isfinite(mean):
                text, color = f"{mean:.3g}{spread}", "w" if image.norm(mean) < 0.6 else "k"
            weight = "bold" if i == self._best else "normal"
            self.ax_.text(x[i], y[i], text, ha="center", va="center", color=color, weight=weight, fontsize=8.5)
        frame = 0.46 * np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]])
        self.ax_.plot(x[self._best] + frame[0], y[self._best] + frame[1], "r-")
        self._label_x(range(len(x_values)), x_values)
        self.ax_.set_yticks(range(len(y_values)), [label_of(value) for value in y_values])

    def _draw_points(self, x_axis: Axis, y_axis: Axis) -> None:
        (x_values, x_codes), (y_values, y_codes) = x_axis, y_axis
        x_places, y_places = _places(x_values, self.ax_.set_xscale), _places(y_values, self.ax_.set_yscale)
        x, y = np.asarray(x_places)[x_codes], np.asarray(y_places)[y_codes]
        low, high = self._color_limits()
        style = {"cmap": "viridis", "vmin": low, "vmax": high, "s": 60, "edgecolor": "k", "linewidth": 0.5}
        points = self.ax_.scatter(x, y, c=self.mean, **style)
        errors = self.error[np.isfinite(self.error)]
        spread = f" (± {np.median(errors):.2g})" if len(errors) else ""
        self.figure_.colorbar(points, ax=self.ax_, label=f"{self.score_name}{spread}")
        failed = np.isnan(self.mean)
        if failed.any():
            self.ax_.plot(x[failed], y[failed], "x", color=ink(), label="no score")
        self._mark_best(x[self._best], y[self._best])
        if x_places != x_values:
            self.ax_.set_xticks(x_places, [label_of(value) for value in x_values])
        if y_places != y_values:
            self.ax_.set_yticks(y_places, [label_of(value) for value in y_values])
        self.ax_.grid(alpha=0.3)

    def _label_x(self, places: Sequence[float], values: list[Any]) -> None:
        """Write values below the axis, askew if they would run into each other."""
        labels = [label_of(value) for value in values]
        width = self.ax_.get_window_extent().width / self.figure_.dpi
        askew: dict[str, Any] = {}
        if len(labels) * max(map(len, labels)) * LETTER > width:
            askew = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"}
        self.ax_.set_xticks(places, labels, **askew)

    def _color_limits(self) -> tuple[float, float]:
        """Return a range of at least four standard errors, so that noise looks like noise."""
        low, high = np.nanmin(self.mean), np.nanmax(self.mean)
        errors = self.error[np.isfinite(self.error)]
        lacking = max(0.0, (4 * np.median(errors) if len(errors) else 0.0) - (high - low)) / 2
        return low - lacking, high + lacking

    @property
    def _best(self) -> int:
        return int(np.nanargmax(self.mean))

    def _mark_best(self, x: float, y: float) -> None:
        self.ax_.plot(x, y, "o", markersize=14, markerfacecolor="none", markeredgecolor="r", label="best")
        self.ax_.legend(loc="best", markerscale=0.7)

    @classmethod
    def compute(
        cls, cv_results: Mapping[str, Any], *, params: Sequence[str] | None = None, metric: str = "score"
    ) -> Self:
        """Return the display without drawing it.

        Parameters
        ----------
        cv_results : dict
            The `cv_results_` of a fitted search.
        params : list of one or two str, default=None
            Parameters to show; with None the first two of which the search tried several values.
        metric : str, default="score"
            Name of the metric, for a search with several.

        Returns
        -------
        SearchDisplay

        Raises
        ------
        ValueError
            If the search has no such parameter or metric, or every fit failed.
        """
        names = [key.removeprefix("param_") for key in cv_results if key.startswith("param_")]
        metrics = [key.removeprefix("mean_test_") for key in cv_results if key.startswith("mean_test_")]
        if metric not in metrics:
            raise ValueError(f"metric={metric!r} is not in cv_results; it has {metrics}. Pass one of them.")
        columns = {name: [candidate.get(name) for candidate in cv_results["params"]] for name in names}
        if params is None:
            varied = [name for name in names if len(_different(columns[name])[0]) > 1]
            params = (varied or names)[:2]
        unknown = [name for name in params if name not in names]
        if unknown or not 1 <= len(params) <= 2:
            raise ValueError(f"params={list(params)!r}; expected one or two of the search's parameters {names}.")
        splits = sorted(key for key in cv_results if key.startswith("split") and key.endswith(f"_test_{metric}"))
        table = np.stack([np.asarray(cv_results[key], np.float64) for key in splits], axis=1)
        mean = table.mean(axis=1)
        if np.isnan(mean).all():
            raise ValueError("Every candidate has a fold without a score (nan); expected at least one that was fitted.")
        error = table.std(axis=1, ddof=1) / np.sqrt(len(splits)) if len(splits) > 1 else np.full(len(table), np.nan)
        chosen = _best_of_each([[columns[name][i] for name in params] for i in range(len(table))], mean)
        values = [[columns[name][i] for name in params] for i in chosen]
        size = {"n_candidates": len(table), "n_folds": len(splits)}
        return cls(list(params), values, mean[chosen], error[chosen], score_name=metric, **size)

    @classmethod
    def from_cv_results(cls, cv_results: Mapping[str, Any], *, ax: Any = None, **options: Any) -> Self:
        """Draw the scores of a search.

        Parameters
        ----------
        cv_results : dict
            The `cv_results_` of a fitted search.
        ax : matplotlib Axes, default=None
            Axes to draw on; with None those of a new figure.
        **options
            `params` and `metric` of `compute`.

        Returns
        -------
        SearchDisplay
        """
        return cls.compute(cv_results, **options).plot(ax)


def _best_of_each(values: list[list[Any]], mean: np.ndarray) -> list[int]:
    """Return the index of the best candidate of each combination of values."""
    best: dict[str, int] = {}
    for i, row in enumerate(values):
        j = best.setdefault(repr(row), i)  # values need be neither hashable nor comparable
        if mean[i] > mean[j] or np.isnan(mean[j]):
            best[repr(row)] = i
    return list(best.values())


def _different(values: Sequence[Any]) -> Axis:
    """Return the different values, numbers sorted, and the index of each in them."""
    different = list({repr(value): value for value in values}.values())
    if _are_numbers(different):
        different.sort()
    index = {repr(value): i for i, value in enumerate(different)}
    return different, np.array([index[repr(value)] for value in values])


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, Real) and not isinstance(value, bool) for value in values)


def _places(values: list[Any], set_scale: Any) -> list[float]:
    """Return where values stand on an axis: numbers at their value unless crowded.

    Others stand side by side. The scale is logarithmic for positive numbers that span decades.
    """
    if _are_numbers(values):
        if min(values) > 0 and max(values) >= 30 * min(values):
            set_scale("log")
            return [float(value) for value in values]
        if len(values) < 2 or len(values) > 12 or min(np.diff(values)) > 0.04 * (max(values) - min(values)):
            return [float(value) for value in values]
    return [float(place) for place in range(len(values))]

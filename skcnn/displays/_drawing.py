"""What the displays share: axes, and samples as pictures."""

from typing import Any

import numpy as np

from skcnn._sklearn.checks import resolve_input_shape
from skcnn._sklearn.internals import check_matplotlib_support
from skcnn._sklearn.steps import unwrap

__all__ = [
    "aspect_of",
    "ink",
    "label_of",
    "limits_of",
    "panels",
    "sample_shape_of",
    "show_sample",
]


def sample_shape_of(X: np.ndarray, input_shape: Any, estimator: Any = None) -> tuple[int, ...]:
    """Return the shape in which a sample of `X` is shown.

    As given, as the network in `estimator` sees it, or as it is.

    Raises
    ------
    ValueError
        If `input_shape` has not as many values as a sample.
    """
    if input_shape is None and X.ndim == 2:
        input_shape = getattr(unwrap(estimator)[-1][1], "input_shape_", None)
        if input_shape is not None and np.prod(input_shape) != X.shape[1]:
            input_shape = None  # a step before has changed the number of columns
    return resolve_input_shape(input_shape, X.shape[1:])


def label_of(value: Any, longest: int = 28) -> str:
    """Return a short label for a class or a parameter value."""
    text = f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def ink() -> Any:
    """Return the colour of text, which stands out on light and dark backgrounds."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def panels(
    caller: str,
    ax: Any,
    shape: tuple[int, int],
    *,
    size: tuple[float, float] = (6.4, 4.8),
    ratios: tuple[float, ...] | None = None,
    share: bool = False,
) -> tuple[Any, np.ndarray]:
    """Return figure and axes of panels, in a new figure or within given axes.

    Parameters
    ----------
    caller : str
        Named in the message when matplotlib is missing.
    ax : matplotlib Axes or None
        Bounds, as in scikit-learn's `PartialDependenceDisplay`; None makes a figure.
    shape : (int, int)
        Rows and columns of panels.
    size : (float, float)
        Size of a new figure in inches.
    ratios : tuple of float, default=None
        Heights of the rows, relative to each other.
    share : bool, default=False
        Whether panels above each other share the x axis.

    Raises
    ------
    ValueError
        If `ax` is no subplot and several panels are needed.
    """
    check_matplotlib_support(f"{caller}.plot")
    from matplotlib import pyplot as plt
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    if ax is None:
        figure = plt.figure(figsize=size, layout="constrained")
        return figure, figure.subplots(*shape, squeeze=False, sharex=share, height_ratios=ratios)
    if shape == (1, 1):
        return ax.figure, np.array([[ax]])
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            f"{caller} draws several panels within the bounds of ax, which is no subplot. Make it with plt.subplots or "
            "Figure.add_subplot, or pass ax=None for a new figure."
        )
    ax.set_axis_off()
    grid = GridSpecFromSubplotSpec(*shape, subplot_spec=spec, height_ratios=ratios)
    grid.figure = ax.figure  # not known where the grid of ax was made without a figure
    return ax.figure, grid.subplots(squeeze=False, sharex=share)


def show_sample(ax: Any, sample: np.ndarray, limits: tuple[float, float]) -> None:
    """Draw a sample: a series as lines, an image, or the middle slice of a volume.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    sample : ndarray of shape (steps, channels), (height, width, channels) or (depth, height, width, channels)
        One sample of X.
    limits : (float, float)
        Smallest and largest value of the samples that are shown side by side, which share a scale.
    """
    ax.set(xticks=[], yticks=[])
    if sample.ndim == 2:
        margin = 0.05 * ((limits[1] - limits[0]) or 1.0)
        ax.plot(sample, linewidth=1)
        ax.set(ylim=(limits[0] - margin, limits[1] + margin), xlim=(0, max(1, len(sample) - 1)))
        return
    ax.imshow(_as_picture(sample, limits), cmap="gray", vmin=0, vmax=1)


def _as_picture(sample: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return an image in [0, 1]: three channels as colours, otherwise their mean."""
    image = sample[len(sample) // 2] if sample.ndim == 4 else sample
    low, high = (0.0, 255.0) if sample.dtype == np.uint8 else limits
    image = np.clip((image.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1)
    return image if image.shape[-1] == 3 else image.mean(axis=-1)


def aspect_of(X: np.ndarray) -> float:
    """Return height by width of a panel for one sample; series are drawn in squares."""
    return min(2.0, max(0.5, X.shape[-3] / X.shape[-2])) if X.ndim > 3 else 1.0


def limits_of(X: np.ndarray) -> tuple[float, float]:
    """Return smallest and largest value; [0, 1] for samples within it."""
    low, high = (float(np.nanmin(X)), float(np.nanmax(X))) if X.size else (0.0, 1.0)
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)

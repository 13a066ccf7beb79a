"""What the displays share: axes, and rows of X as pictures."""

from typing import Any

import numpy as np

from skcnn._sklearn.internals import check_matplotlib_support
from skcnn._sklearn.steps import unwrap

__all__ = [
    "as_picture",
    "aspect_of",
    "ink",
    "label_of",
    "limits_of",
    "panels",
    "row_shape_of",
    "show_row",
]


def row_shape_of(X: np.ndarray, input_shape: Any, estimator: Any = None) -> tuple[int, ...]:
    """Return the shape in which a row of `X` is shown: as given, as it is, or as the network sees it.

    Raises
    ------
    ValueError
        If `input_shape` has not as many values as a row.
    """
    if input_shape is None and X.ndim == 2:
        input_shape = getattr(unwrap(estimator)[1], "input_shape_", None)
        if input_shape is not None and np.prod(input_shape) != X.shape[1]:
            input_shape = None  # a step before has changed the number of columns
    if input_shape is None:
        return (X.shape[1], 1) if X.ndim == 2 else X.shape[1:]
    shape = tuple(int(size) for size in input_shape)
    if np.prod(shape) != np.prod(X.shape[1:]):
        raise ValueError(
            f"input_shape={input_shape!r} has {np.prod(shape)} values, but the rows of X have shape {X.shape[1:]}, "
            f"{np.prod(X.shape[1:])} values. Expected an input_shape with as many values as a row."
        )
    return shape


def label_of(value: Any, longest: int = 28) -> str:
    """Return a short label for a class or a parameter value."""
    text = f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def ink() -> Any:
    """Return the colour of text, which stands out from the background, be that light or dark."""
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
    """Return figure and axes of some panels: in a new figure, or within the bounds of given axes.

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
        figure, axes = plt.subplots(
            *shape,
            figsize=size,
            squeeze=False,
            sharex=share,
            layout="constrained",
            gridspec_kw={"height_ratios": ratios},
        )
        return figure, axes
    if shape == (1, 1):
        return ax.figure, np.array([[ax]])
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            f"{caller} draws several panels within the bounds of ax, which is no subplot. Make it with plt.subplots or "
            "Figure.add_subplot, or pass ax=None for a figure of its own."
        )
    ax.set_axis_off()
    grid = GridSpecFromSubplotSpec(*shape, subplot_spec=spec, height_ratios=ratios)
    axes = np.empty(shape, object)
    for i, j in np.ndindex(shape):
        panel = ax.figure.add_subplot(grid[i, j], sharex=axes[0, j] if share and i else None)
        panel.tick_params(labelbottom=not share or i == shape[0] - 1)
        axes[i, j] = panel
    return ax.figure, axes


def show_row(ax: Any, row: np.ndarray, limits: tuple[float, float]) -> None:
    """Draw one row: a series as lines, an image as a picture, a volume as its middle slice.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    row : ndarray of shape (steps, channels), (height, width, channels) or (depth, height, width, channels)
        One row of X.
    limits : (float, float)
        Smallest and largest value of the rows that are shown side by side, which share a scale.
    """
    ax.set(xticks=[], yticks=[])
    if row.ndim == 2:
        ax.plot(row, linewidth=1)
        ax.set(ylim=_with_margin(limits), xlim=(0, max(1, len(row) - 1)))
        return
    ax.imshow(as_picture(row, limits), cmap="gray", vmin=0, vmax=1)


def as_picture(row: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return an image in [0, 1], (height, width, 3) or (height, width): three channels are colours, else their mean."""
    image = row[len(row) // 2] if row.ndim == 4 else row
    low, high = (0.0, 255.0) if row.dtype == np.uint8 else limits
    image = np.clip((image.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1)
    return image if image.shape[-1] == 3 else image.mean(axis=-1)


def aspect_of(rows: np.ndarray) -> float:
    """Return height by width of a panel for one of these rows; series are drawn in squares."""
    return min(2.0, max(0.5, rows.shape[-3] / rows.shape[-2])) if rows.ndim > 3 else 1.0


def limits_of(rows: np.ndarray) -> tuple[float, float]:
    """Return smallest and largest value; [0, 1] for rows within it."""
    low, high = (float(np.nanmin(rows)), float(np.nanmax(rows))) if rows.size else (0.0, 1.0)
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _with_margin(limits: tuple[float, float]) -> tuple[float, float]:
    margin = 0.05 * ((limits[1] - limits[0]) or 1.0)
    return limits[0] - margin, limits[1] + margin

"""Charts of findings: as SVG, whose colours come from the page around it, and with matplotlib."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from skcnn._sklearn.internals import check_matplotlib_support
from skcnn.diagnosis._check import Chart

__all__ = ["draw", "svg"]

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 44
MOST_BARS = 24


def svg(chart: Chart) -> str:
    """Return a chart as an SVG element; series have the classes ``s0``, ``s1``, ...

    Parameters
    ----------
    chart : Chart
        What to draw.
    """
    values = [value for series in chart.series.values() for value in series if np.isfinite(value)]
    ticks = _ticks(*_range(values, from_zero=chart.kind == "bars"))

    def height(value: float) -> float:
        return float(np.interp(value, ticks[[0, -1]], (HEIGHT - BOTTOM, TOP)))

    title = escape(chart.title)
    parts = [f'<text class="title" x="{LEFT}" y="14">{title}</text>', *_legend(chart)]
    for tick in ticks:
        y = height(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{tick:.3g}", "end"))
    parts += (_bars if chart.kind == "bars" else _lines)(chart, height)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, chart.x_label))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _range(values: Sequence[float], from_zero: bool) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if from_zero or 0 <= low < (high - low):
        low = min(0.0, low)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, whole: bool = False) -> np.ndarray:
    """Return four to eight round numbers that reach from below `low` to above `high`."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min(factor for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    step = max(1.0, step) if whole else step
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return step * np.arange(first, last + 1)


def _legend(chart: Chart) -> list[str]:
    parts, x = [], float(LEFT)
    if len(chart.series) == 1:  # the title says it
        return []
    for i, name in enumerate(chart.series):
        parts.append(f'<rect class="s{i % 4}" x="{x:.0f}" y="20" width="10" height="10"/>')
        parts.append(f'<text x="{x + 14:.0f}" y="29">{escape(name)}</text>')
        x += 30 + 6.2 * len(name)
    return parts


def _bars(chart: Chart, height: Callable[[float], float]) -> list[str]:
    labels = [str(label) for label in chart.x][:MOST_BARS]
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    width = 0.8 * slot / len(chart.series)
    parts = []
    for i, values in enumerate(chart.series.values()):
        for j, value in enumerate(list(values)[:MOST_BARS]):
            x, y = LEFT + (j + 0.1) * slot + i * width, height(value)
            size = f'width="{width:.1f}" height="{HEIGHT - BOTTOM - y:.1f}"'
            parts.append(f'<rect class="s{i % 4}" x="{x:.1f}" y="{y:.1f}" {size}/>')
    shown = [label if len(label) <= 12 else f"{label[:11]}…" for label in labels]
    return parts + [_text(LEFT + (j + 0.5) * slot, HEIGHT - BOTTOM + 14, label) for j, label in enumerate(shown)]


def _lines(chart: Chart, height: Callable[[float], float]) -> list[str]:
    x = np.asarray(chart.x, dtype=np.float64)
    ends, borders = (x.min(), max(x.max(), x.min() + 1e-12)), (LEFT, WIDTH - RIGHT)
    parts = []
    for i, values in enumerate(chart.series.values()):
        pairs = zip(np.interp(x, ends, borders), values, strict=True)
        points = " ".join(f"{place:.1f},{height(value):.1f}" for place, value in pairs if np.isfinite(value))
        parts.append(f'<polyline class="s{i % 4}" points="{points}"/>')
    ticks = _ticks(*ends, whole=np.array_equal(x, x.round()))
    for tick in ticks[(ticks >= x.min()) & (ticks <= x.max())]:
        parts.append(_text(float(np.interp(tick, ends, borders)), HEIGHT - BOTTOM + 14, f"{tick:.3g}"))
    return parts


def draw(charts: Sequence[Chart]) -> Any:
    """Draw charts with matplotlib, one below the other, and return the figure.

    Parameters
    ----------
    charts : sequence of Chart
        What to draw.
    """
    check_matplotlib_support("Diagnosis.plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.8 * max(1, len(charts))), layout="constrained")
    if not charts:
        figure.text(0.5, 0.5, "No finding has a chart.", ha="center", va="center")
        return figure
    for chart, axes in zip(charts, figure.subplots(len(charts), squeeze=False)[:, 0], strict=True):
        bars, width = chart.kind == "bars", 0.8 / len(chart.series)
        for i, (name, values) in enumerate(chart.series.items()):
            if bars:
                axes.bar(np.arange(len(values)) + (i - (len(chart.series) - 1) / 2) * width, values, width, label=name)
            else:
                axes.plot(chart.x, values, marker=".", label=name)
        if bars:
            axes.set_xticks(range(len(chart.x)), [str(label) for label in chart.x])
        axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
        if len(chart.series) > 1:
            axes.legend()
    return figure

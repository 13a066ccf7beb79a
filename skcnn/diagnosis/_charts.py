"""Charts of findings: as SVG, whose colours come from the page around it, and with matplotlib."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

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
    low, high = ticks[0], ticks[-1]
    parts = [f'<text class="title" x="{LEFT}" y="14">{escape(chart.title)}</text>', *_legend(chart)]
    for tick in ticks:
        y = _y(tick, low, high)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:.3g}</text>')
    parts += _bars(chart, low, high) if chart.kind == "bars" else _lines(chart, low, high)
    if chart.x_label:
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>')
    label = escape(chart.title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


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


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _legend(chart: Chart) -> list[str]:
    parts, x = [], float(LEFT)
    if len(chart.series) == 1:  # the title says it
        return []
    for i, name in enumerate(chart.series):
        parts.append(f'<rect class="s{i % 4}" x="{x:.0f}" y="20" width="10" height="10"/>')
        parts.append(f'<text x="{x + 14:.0f}" y="29">{escape(name)}</text>')
        x += 30 + 6.2 * len(name)
    return parts


def _bars(chart: Chart, low: float, high: float) -> list[str]:
    labels = list(chart.x)[:MOST_BARS]
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    width = 0.8 * slot / len(chart.series)
    parts = []
    for i, values in enumerate(chart.series.values()):
        for j, value in enumerate(list(values)[:MOST_BARS]):
            x, y = LEFT + j * slot + 0.1 * slot + i * width, _y(value, low, high)
            height = HEIGHT - BOTTOM - y
            parts.append(f'<rect class="s{i % 4}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
    for j, label in enumerate(labels):
        text = str(label) if len(str(label)) <= 12 else str(label)[:11] + "…"
        x = LEFT + (j + 0.5) * slot
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{escape(text)}</text>')
    return parts


def _lines(chart: Chart, low: float, high: float) -> list[str]:
    x = np.asarray(chart.x, dtype=np.float64)
    span = max(float(np.ptp(x)), 1e-12)
    places = LEFT + (x - x.min()) / span * (WIDTH - LEFT - RIGHT)
    parts = []
    for i, values in enumerate(chart.series.values()):
        points = " ".join(
            f"{place:.1f},{_y(value, low, high):.1f}"
            for place, value in zip(places, values, strict=True)
            if np.isfinite(value)
        )
        parts.append(f'<polyline class="l{i % 4}" points="{points}"/>')
    whole = bool(np.array_equal(x, x.round()))
    for value in _ticks(float(x.min()), float(x.min()) + span, whole):
        if not x.min() <= value <= x.max():
            continue
        place = LEFT + (value - x.min()) / span * (WIDTH - LEFT - RIGHT)
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{value:.3g}</text>')
    return parts


def draw(charts: Sequence[Chart]) -> Any:
    """Draw charts with matplotlib, one below the other, and return the figure.

    Parameters
    ----------
    charts : sequence of Chart
        What to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Diagnosis.plot needs matplotlib: pip install skcnn[plot].") from error
    figure = Figure(figsize=(6.4, 2.8 * max(1, len(charts))), layout="constrained")
    if not charts:
        figure.text(0.5, 0.5, "No finding has a chart.", ha="center", va="center")
        return figure
    for chart, axes in zip(charts, figure.subplots(len(charts), squeeze=False)[:, 0], strict=True):
        places = np.arange(len(chart.x)) if chart.kind == "bars" else np.asarray(chart.x)
        for i, (name, values) in enumerate(chart.series.items()):
            if chart.kind == "bars":
                width = 0.8 / len(chart.series)
                axes.bar(places + (i - (len(chart.series) - 1) / 2) * width, values, width, label=name)
            else:
                axes.plot(places, values, marker=".", label=name)
        if chart.kind == "bars":
            axes.set_xticks(places, [str(label) for label in chart.x])
        axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
        if len(chart.series) > 1:
            axes.legend()
    return figure

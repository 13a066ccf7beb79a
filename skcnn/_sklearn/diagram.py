"""Parameters explained, and training as a chart, in scikit-learn's HTML diagram.

The tables of the diagram have no public interface, so that private names are used here and nowhere else:
`_get_params_html` (scikit-learn 1.7), `_get_fitted_attr_html` (1.9) and `_html_repr` of what both return.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from math import isfinite
from typing import Any

import numpy as np

from skcnn._version import GUIDE

__all__ = ["DiagramMixin", "sparkline"]

WIDTH, HEIGHT, MARGIN = 240, 44, 4
COLORS = {"loss": "#1f6feb", "val_loss": "#d9822b"}  # distinct on light and on dark backgrounds
_LINK = re.compile(r'\s+rel="noreferrer"\s+target="_blank"\s+href="#[^"]*"')
_PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=\n\n[^\n]+\n---|\Z)", re.DOTALL | re.MULTILINE)


class DiagramMixin:
    """Show documentation of parameters and the training history in the diagram.

    scikit-learn (from 1.9) shows documentation only for estimators that have a page to link to.
    """

    _doc_link_module = "skcnn"  # custom networks have no page
    _doc_link_template = f"{GUIDE}/api/{{page}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        public = takewhile(lambda part: not part.startswith("_"), type(self).__module__.split("."))
        module = ".".join(public).removesuffix(".estimators")
        return {"page": f"{module}.{type(self).__name__}"}

    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        params = super()._get_params_html(*args, **kwargs)  # type: ignore[misc]
        outer = list(dict.fromkeys(name.partition("__")[0] for name in params if "__" in name))
        _mark_changed(params, outer)
        if hasattr(params, "estimator_class"):  # scikit-learn 1.9
            _document_nested(params, outer)
        chart = sparkline(vars(self).get("history_", {}), vars(self).get("best_iter_", 0))
        return _explained(params, chart)

    def _get_fitted_attr_html(self, *args: Any, **kwargs: Any) -> Any:
        return _explained(super()._get_fitted_attr_html(*args, **kwargs))  # type: ignore[misc]


def _mark_changed(params: Any, outer: list[str]) -> None:
    """Mark nested parameters as changed only if they are, and sort the changed first."""
    changed = [name for name in params.non_default if "__" not in name]
    for one in outer:
        inner = params[one]
        names = inner._get_params_html().non_default if hasattr(inner, "_get_params_html") else inner.get_params()
        changed += [f"{one}__{name}" for name in names]
    params.non_default = tuple(changed)
    params.data = dict(sorted(params.data.items(), key=lambda item: item[0] not in changed))


def _document_nested(params: Any, outer: list[str]) -> None:
    """Document parameters of parameters by the classes that they are parameters of."""
    doc = inspect.getdoc(params.estimator_class) or ""
    for one in outer:
        section, inner = _PARAMETERS.search(doc), _PARAMETERS.search(inspect.getdoc(params[one]) or "")
        if section and inner:
            named = re.sub(r"^(\w+) : ", rf"{one}__\1 : ", inner[1], flags=re.MULTILINE)
            doc = f"{doc[: section.end()]}\n{named}{doc[section.end() :]}"
    params.estimator_class = type(params.estimator_class.__name__, (), {"__doc__": doc})


def _explained(table: Any, before: str = "") -> Any:
    """Let a table show documentation without a page to link to."""
    draw = table._html_repr
    if getattr(table, "doc_link", None) == "":  # before scikit-learn 1.9 tables have no documentation
        table.doc_link = "#"
    table._html_repr = lambda: before + _LINK.sub("", draw())
    return table


def sparkline(history: Mapping[str, Sequence[float]], best: int) -> str:
    """Return the losses of each epoch as a small chart in HTML; empty without losses.

    Parameters
    ----------
    history : mapping of str to sequence of float
        As in `history_`.
    best : int
        Epoch whose weights were kept, counted from 1.
    """
    series = {name: list(history[name]) for name in COLORS if any(map(isfinite, history.get(name, [])))}
    if not series:
        return ""
    n = max(map(len, series.values()))
    finite = [value for values in series.values() for value in values if isfinite(value)]
    low, span = min(finite), max(finite) - min(finite) or 1.0

    def x(epoch: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * epoch / max(1, n - 1)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / span

    shown = np.unique(np.linspace(0, n - 1, min(n, WIDTH)).astype(int)).tolist()
    parts, words = [], []
    for name, values in series.items():
        points = [(x(i), y(values[i])) for i in shown if i < len(values) and isfinite(values[i])]
        line = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLORS[name]}" stroke-width="1.5"/>')
        kept = values[best - 1] if 1 <= best <= len(values) else np.nan
        if isfinite(kept):
            parts.append(f'<circle cx="{x(best - 1):.1f}" cy="{y(kept):.1f}" r="3" fill="{COLORS[name]}"/>')
            words.append(f'<span style="color: {COLORS[name]}">&#9679;</span> {name} {kept:.4g}')
    text = ", ".join([f"epoch {best} of {n}" if words else f"{n} epochs", *words])
    frame = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    chart = f'<svg {frame} aria-label="Losses of each epoch">{"".join(parts)}</svg>' if n > 1 else ""
    style = "display: flex; flex-wrap: wrap; gap: 0 1em; align-items: center; padding: .3em .7em; text-align: left"
    return f'<div class="skcnn-history" style="{style}">{chart}<span>{text}</span></div>'

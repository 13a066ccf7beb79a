"""The diagnosis as a page: one file without outside resources or scripts, in light and dark."""

from collections.abc import Iterable
from html import escape
from typing import Any

from skcnn.diagnosis._charts import svg
from skcnn.diagnosis._check import SEVERITIES, Finding

__all__ = ["body", "effect_of", "page"]

STYLE = """
.skcnn { --back: #fff; --ink: #1d232b; --soft: #5b6673; --line: #d9dee4; --panel: #f5f7f9;
  --c0: #1f6feb; --c1: #d9822b; --c2: #2e8b57; --c3: #8b5fbf; --high: #b42318; --medium: #b25e09; --low: #44546a;
  color: var(--ink); background: var(--back); font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto;
  padding: 1rem; }
@media (prefers-color-scheme: dark) { .skcnn { --back: #14181d; --ink: #e6eaef; --soft: #a0abb8; --line: #343c46;
  --panel: #1d232a; --c0: #6aa5ff; --c1: #f0a35e; --c2: #63c08c; --c3: #b794e6; --high: #ff8a80; --medium: #ffb867;
  --low: #a9b8cc; } }
.skcnn h1 { font-size: 1.4rem; margin: 0 0 .3rem; } .skcnn h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
.skcnn h3 { font-size: 1.05rem; margin: 0; } .skcnn p { margin: .4rem 0; }
.skcnn .soft { color: var(--soft); }
.skcnn code, .skcnn .outcomes td:first-child { font-family: ui-monospace, monospace; font-size: .92em; }
.skcnn article { background: var(--panel); border: 1px solid var(--line); border-left: 5px solid var(--mark);
  border-radius: 6px; padding: .8rem 1rem; margin: .8rem 0; }
.skcnn .high { --mark: var(--high); } .skcnn .medium { --mark: var(--medium); } .skcnn .low { --mark: var(--low); }
.skcnn .badge { color: var(--mark); border: 1px solid; border-radius: 1em; padding: 0 .55em; margin-left: .6em;
  font-size: .75rem; font-weight: 600; white-space: nowrap; }
.skcnn table { border-collapse: collapse; margin: .5rem 0; width: 100%; font-size: .92em; color: inherit; }
.skcnn th, .skcnn td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0;
  border-bottom: 1px solid var(--line); background: none; color: inherit; }
.skcnn .evidence th:nth-child(2) { width: 14%; } .skcnn .evidence th:nth-child(3) { width: 22%; }
.skcnn .evidence th:nth-child(4) { width: 9%; }
.skcnn .evidence td + td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.skcnn svg { max-width: 34rem; width: 100%; height: auto; margin: .4rem 0; }
.skcnn svg text { fill: var(--ink); font: 11px system-ui, sans-serif; } .skcnn svg .title { font-weight: 600; }
.skcnn svg .grid { stroke: var(--line); } .skcnn polyline { fill: none; stroke: currentColor; stroke-width: 2; }
.skcnn rect { fill: currentColor; } .skcnn .s0 { color: var(--c0); } .skcnn .s1 { color: var(--c1); }
.skcnn .s2 { color: var(--c2); } .skcnn .s3 { color: var(--c3); }
.skcnn pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  overflow-x: auto; color: inherit; } .skcnn summary { cursor: pointer; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Diagnosis</title>
<style>body {{ margin: 0; background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14181d; }} }}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(diagnosis: Any) -> str:
    """Return a whole page."""
    return PAGE.format(body=body(diagnosis))


def body(diagnosis: Any) -> str:
    """Return the diagnosis as one element with its style, as notebooks show it."""
    causes = "".join(_article(diagnosis, finding) for finding in diagnosis.causes)
    chart = "" if diagnosis.budget is None else svg(diagnosis.budget)
    summary = escape(f"{diagnosis.subject}. {diagnosis.summary}")
    notes = _table("evidence", ("note", "what was seen", "effect"), map(_note, diagnosis.notes))
    notes = f"<h2>Notes</h2><p>No effect of these on the test score was shown.</p>{notes}" if diagnosis.notes else ""
    grid = f"<h2>The next grid</h2><pre>{escape(str(diagnosis.suggest()))}</pre>" if diagnosis.answered else ""
    return (
        f'<div class="skcnn"><style>{STYLE}</style><h1>Diagnosis: {diagnosis.verdict.lower()}</h1>'
        f'<p class="soft">{summary}</p>{chart}{causes}{notes}{grid}{_outcomes(diagnosis)}</div>'
    )


def effect_of(finding: Finding) -> str:
    """Return the effect of a finding with its interval, nothing if it was not measured."""
    effect = finding.effect
    return "" if effect is None else f"{effect.value:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"


def _note(finding: Finding) -> tuple[str, str, str]:
    return finding.title, finding.what, effect_of(finding) or finding.measured


def _article(diagnosis: Any, finding: Finding) -> str:
    severity, effect, rows = SEVERITIES[finding.severity], finding.effect, []
    if effect is not None:
        interval, n = f"{effect.low:+.3g} to {effect.high:+.3g}", "" if effect.n is None else str(effect.n)
        rows.append((f"effect on the test score. {finding.measured}", f"{effect.value:+.3f}", interval, n))
    for one in finding.evidence:
        interval = "" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}"
        rows.append((one.name, f"{one.value:.4g}", interval, "" if one.n is None else str(one.n)))
    table = _table("evidence", ("evidence", "value", "interval", "n"), rows)
    after = diagnosis.consequences(finding.code)
    explains = "".join(f"<li>{escape(other.title)}: {escape(other.what)}</li>" for other in after)
    return (
        f'<article class="{severity}"><h3>{escape(finding.title)}<span class="badge">{severity}</span></h3>'
        f'<p class="soft"><code>{escape(finding.code)}</code>, {escape(finding.cause)}</p>'
        f"<p>{escape(finding.what)}</p>{table}{'' if finding.chart is None else svg(finding.chart)}"
        f"<p><strong>Why it matters.</strong> {escape(finding.why)}</p>"
        f"<p><strong>What to do.</strong> {escape(finding.do)}</p>"
        + (f"<details><summary>It explains {len(after)} more</summary><ul>{explains}</ul></details>" if after else "")
        + "</article>"
    )


def _outcomes(diagnosis: Any) -> str:
    rows = [(one.check.code, one.check.question, one.state, one.text) for one in diagnosis.outcomes]
    table = _table("outcomes", ("check", "question", "state", "what was seen"), rows)
    return f"<h2>All checks</h2><details><summary>{escape(diagnosis.counts)}</summary>{table}</details>"


def _table(kind: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{"".join(f"<th>{name}</th>" for name in header)}</tr>{cells}</table>'

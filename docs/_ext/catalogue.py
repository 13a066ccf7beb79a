"""The catalogue of checks, made from their classes and from the rates in ``benchmarks/RESULTS.md``."""

import inspect
import re
from collections.abc import Iterable, Mapping

from skcnn.diagnosis import CHECKS, Check

__all__ = ["catalogue", "rates"]

INTRODUCTION = """\
Catalogue of checks
===================

The questions that ``skcnn.diagnose`` asks, by kind of cause: how each is answered, with its thresholds and their
sources, why it matters and what to do. A finding is a cause only if its effect on the test score is significant, in the
expected direction, and at least 0.01; else it is a note. ``diagnose(..., ignore=[code])`` leaves a check out. What was
measured is from one run of ``benchmarks/diagnosis.py``; the guide says what has changed since.

"""
NO_RATES = """\
How often each check names a planted cause, and accuses a clean fit, has not been measured yet on the half of data and
causes that judges (``benchmarks/diagnosis.py``).

"""


def catalogue(checks: Iterable[type[Check]] = CHECKS, results: str = "") -> str:
    """Return the page as reStructuredText, with the text of ``RESULTS.md`` for measured rates."""
    checks = list(checks)
    measured = rates(results)
    parts = [INTRODUCTION if measured else INTRODUCTION + NO_RATES]
    for cause in dict.fromkeys(check.cause for check in checks):
        parts.append(_heading(cause[:1].upper() + cause[1:], "-"))
        parts += [_entry(check, measured.get(check.code, [])) for check in checks if check.cause == cause]
    return "".join(parts)


def rates(results: str) -> Mapping[str, list[str]]:
    """Return by code what the tables of the section on the diagnosis say of it: ``header: value``."""
    section = results.partition("<!-- begin diagnosis -->")[2].partition("<!-- end diagnosis -->")[0]
    found: dict[str, list[str]] = {}
    header: list[str] = []
    for line in section.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not header:
            header = cells
        elif not set(line) <= set("|-: "):
            pairs = (f"{name}: {value}" for name, value in zip(header[1:], cells[1:], strict=False) if name and value)
            found.setdefault(cells[0].strip("`"), []).extend(pairs)
    return found


def _entry(check: type[Check], measured: list[str]) -> str:
    expected = "rises" if check.sign > 0 else "falls, since what it finds is a leak"
    fields = {
        "Code": f"``{check.code}``",
        "Question": _escaped(check.question),
        "Found how": "\n" + inspect.getdoc(check),
        "Why it matters": _escaped(check.why),
        "What to do": _escaped(check.do),
        "Without it": f"the score {expected}; severity medium from {check.grades[0]:g}, high from {check.grades[1]:g}.",
        "Measured": _escaped("; ".join(measured)),
    }
    shown = "\n".join(f"**{name}**\n{_indented(text)}\n" for name, text in fields.items() if text.strip())
    return f".. _check-{check.code.replace('_', '-')}:\n\n{_heading(check.title, '^')}{shown}\n"


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _indented(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.strip("\n").splitlines())


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)

"""`Diagnosis`: findings and outcomes as text, frame, page and plot."""

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np

from skcnn._statistics import Estimate
from skcnn.diagnosis._charts import draw
from skcnn.diagnosis._check import SEVERITIES, Chart, Finding, Outcome, State
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._page import body, effect_of, page
from skcnn.diagnosis._suggestions import Suggestion, suggest

__all__ = ["SPENT", "Diagnosis"]

SPENT = "These test samples have now been looked at. Judge what is chosen with their help on others."


class Diagnosis:
    """What `diagnose` found.

    Parameters
    ----------
    seen : skcnn.diagnosis._observations.Observations
        Estimator, data and predictions, which the next grid is made for.
    outcomes : list of Outcome
        How each check ended.

    Attributes
    ----------
    causes : list of Finding
        Findings whose removal changes the test score significantly, most costly first.
    notes : list of Finding
        Findings of which that was not shown.
    findings : list of Finding
        Causes, notes, then consequences of causes (those with `explained_by`).
    outcomes : list of Outcome
        How each check ended: its state and why.
    scores : dict of str to Estimate
        Accuracy (balanced where a class is rare), share of right labels or R² on training and, if there are any, test
        samples, with 99.9% intervals; empty if the estimator cannot predict one of them.
    subject, summary, verdict, counts : str
        What was diagnosed; the budget of the lost score; the number of causes; how many checks ended in which state.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skcnn import diagnose
    >>> X, y = load_iris(return_X_y=True)
    >>> diagnosis = diagnose(DecisionTreeClassifier(random_state=0).fit(X, y), X, y, X[::2], y[::2], fast=True)
    >>> print(str(diagnosis)[:75])
    Diagnosis of DecisionTreeClassifier, 150 training samples, 75 test samples.
    >>> next(finding.what for finding in diagnosis.findings if finding.code == "duplicates")
    '75 of 75 test samples are equal to a training sample.'
    """

    def __init__(self, seen: Observations, outcomes: list[Outcome]) -> None:
        self._seen = seen
        self.outcomes = outcomes
        found = [outcome.finding for outcome in outcomes if outcome.finding is not None]
        independent = [finding for finding in found if finding.explained_by is None]
        self.causes: list[Finding] = sorted((one for one in independent if one.is_cause), key=_rank, reverse=True)
        self.notes: list[Finding] = [one for one in independent if not one.is_cause]
        self.findings = [*self.causes, *self.notes, *(one for one in found if one.explained_by is not None)]
        self.scores = self._scores()

    def _scores(self) -> dict[str, Estimate]:
        seen = self._seen
        try:
            return {f"{name} {seen.score_name}": side.score for name, side in seen.sides.items()}
        except Exception:  # an estimator that cannot predict these samples; checks say so one by one
            return {}

    def consequences(self, code: str) -> list[Finding]:
        """Return the findings that follow from the one with this code."""
        return [finding for finding in self.findings if finding.explained_by == code]

    @property
    def subject(self) -> str:
        """What was diagnosed, in words."""
        seen = self._seen
        names = [type(part).__name__ for part in (seen.components.search, seen.components.pipeline) if part is not None]
        final = seen.components.final
        names.append(type(getattr(final, "model", final)).__name__)
        n_test = len(seen.test.y) if seen.has_test else "no"
        return f"{' of '.join(dict.fromkeys(names))}, {len(seen.train.y)} training samples, {n_test} test samples"

    @property
    def summary(self) -> str:
        """The budget of the lost score: what the test score is, what it could be, and what each cause costs."""
        scores = "; ".join(
            f"{name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" for name, score in self.scores.items()
        )
        scores = f"{scores[:1].upper()}{scores[1:]}." if scores else ""
        return " ".join(filter(None, [f"{self.verdict}.", self._budget(), scores]))

    def _budget(self) -> str:
        if not self.causes and self._ahead:
            return f"But {self._ahead[0].what[0].lower()}{self._ahead[0].what[1:]}"
        test = self.scores.get(f"test {self._seen.score_name}")
        if test is None or not self.causes:
            return ""
        rise, fall = (sum(_cost(one) for one in self.causes if one.sign == sign) for sign in (1, -1))
        parts = [f"test {self._seen.score_name} {test.value:.2f}"]
        if fall:
            parts.append(f"honestly about {test.value - fall:.2f}")
        if rise:
            parts.append(f"about {min(1.0, test.value - fall + rise):.2f} within reach")
        effects = ((one.code, one.effect) for one in self.causes if one.effect is not None)
        costs = ", ".join(f"{code} {one.value:+.2f} [{one.low:.2f}, {one.high:.2f}]" for code, one in effects)
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}: {costs}."

    @property
    def budget(self) -> Chart | None:
        """The test score, and what it comes to as the causes are removed one after the other; None without a cause."""
        test = self.scores.get(f"test {self._seen.score_name}")
        if test is None or not self.causes:
            return None
        steps = [test.value, *(one.sign * _cost(one) for one in self.causes)]
        heights = np.clip(np.cumsum(steps), 0, 1).tolist()
        labels = ["test", *(f"- {one.code}" for one in self.causes)]
        return Chart("bars", "Score as causes are removed", labels, {self._seen.score_name: heights}, "")

    @property
    def verdict(self) -> str:
        """How many causes were found, in words."""
        n = len(self.causes)
        return {0: "No cause found", 1: "One cause"}.get(n, f"{n} causes")

    @property
    def counts(self) -> str:
        """How many checks ended in which state."""
        states = Counter(outcome.state for outcome in self.outcomes)
        names = {state: f"{states[state]} {state}" for state in get_args(State) if states[state]}
        if states["finding"] > 1:
            names["finding"] += "s"
        return f"{len(self.outcomes)} checks: {', '.join(names.values())}"

    @property
    def answered(self) -> list[Finding]:
        """What the next grid is made for: the causes; without any, a network that is behind a simple model."""
        return self.causes or [note for note in self._ahead if note.cures]

    @property
    def _ahead(self) -> list[Finding]:
        """The note that a simple model does better, if there is one."""
        return [note for note in self.notes if note.code == "baseline"]

    def suggest(self, max_candidates: int = 12) -> Suggestion:
        """Return the next grid, and the steps to add.

        Parameters
        ----------
        max_candidates : int, default=12
            Bound of the number of candidates.

        Returns
        -------
        Suggestion
            Goes into a search as
            ``GridSearchCV(suggestion.estimator, suggestion.param_grid, scoring=suggestion.scoring)``.
        """
        return suggest(self._seen, self.answered, max_candidates)

    def to_frame(self) -> Any:
        """Return all checks as a pandas data frame, findings first.

        Returns
        -------
        pandas.DataFrame
            One row per check: code, cause, state, kind ("cause", "note" or "consequence"), effect on the test score
            with the ends of its interval (low, high), severity, title, text, explained_by, seconds.
        """
        import pandas as pd

        rank = {finding.code: i for i, finding in enumerate(self.findings)}
        rows = [
            {
                "code": outcome.check.code,
                "cause": outcome.check.cause,
                "state": outcome.state,
                **_columns(outcome.finding),
                "title": outcome.check.title,
                "text": outcome.text,
                "seconds": outcome.seconds,
            }
            for outcome in sorted(self.outcomes, key=lambda outcome: rank.get(outcome.check.code, len(rank)))
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        lines = [f"Diagnosis of {self.subject}.", *textwrap.wrap(self.summary, 103)]
        for number, finding in enumerate(self.causes, 1):
            severity = SEVERITIES[finding.severity]
            lines += ["", f"{number}. {finding.title} ({finding.code}, {finding.cause}, severity {severity})"]
            lines += _wrapped(finding.what)
            lines += [f"     effect on the test score: {effect_of(finding)}", *_wrapped(finding.measured, 5)]
            lines += [f"     {evidence}" for evidence in finding.evidence]
            lines += _wrapped(f"Why it matters: {finding.why}")
            lines += _wrapped(f"What to do: {finding.do}")
            after = [f"{other.title} ({other.code})" for other in self.consequences(finding.code)]
            if after:
                lines += _wrapped(f"It explains: {'; '.join(after)}.")
        if self.notes:
            lines += ["", "Notes, of which no effect on the test score was shown:"]
            for finding in self.notes:
                lines += _wrapped(f"- {finding.title} ({finding.code}): {finding.what} {_tried(finding)}".rstrip(), 2)
        if self.answered:
            lines += ["", "Next grid:", *(f"  {line}" for line in str(self.suggest()).splitlines())]
        if self._seen.has_test:
            lines += ["", SPENT]
        return "\n".join([*lines, "", f"{self.counts}."])

    def __repr__(self) -> str:
        return f"<Diagnosis of {self.subject}: {[finding.code for finding in self.causes]}>"

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the diagnosis as a page of its own: no outside resources, readable in light and dark.

        Parameters
        ----------
        path : str or Path, default=None
            Where to write it, too.

        Returns
        -------
        str
        """
        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        return body(self)

    def plot(self) -> Any:
        """Draw the charts of all findings with matplotlib, one below the other.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        charts = [chart for chart in (self.budget, *(one.chart for one in self.findings)) if chart is not None]
        return draw([chart for i, chart in enumerate(charts) if chart not in charts[:i]])


def _wrapped(text: str, indent: int = 3) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * indent, subsequent_indent=" " * max(indent, 4))


def _cost(finding: Finding) -> float:
    return abs(finding.effect.value) if finding.effect is not None else 0.0


def _rank(finding: Finding) -> tuple[bool, float]:
    """Return what causes are sorted by: the effect, those of low severity after the others whatever it is."""
    return finding.severity > 1, _cost(finding)


def _tried(finding: Finding) -> str:
    """Return in words what the effect of a note was, and how it was measured."""
    effect = f"Effect {effect_of(finding)}." if finding.effect is not None else ""
    return f"{effect} {finding.measured}".strip()


def _columns(finding: Finding | None) -> dict[str, Any]:
    """Return what a frame says of a finding beyond its text."""
    if finding is None:
        return dict.fromkeys(("kind", "effect", "low", "high", "severity", "explained_by"))
    kind = "consequence" if finding.explained_by else "cause" if finding.is_cause else "note"
    value, low, high = finding.effect[:3] if finding.effect is not None else (None, None, None)
    numbers = {"effect": value, "low": low, "high": high}
    return {"kind": kind, **numbers, "severity": SEVERITIES[finding.severity], "explained_by": finding.explained_by}

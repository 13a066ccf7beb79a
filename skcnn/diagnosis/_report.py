"""`Diagnosis`: findings and outcomes as text, frame, page and plot."""

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from skcnn._statistics import Estimate
from skcnn.diagnosis._check import Finding, Outcome, State
from skcnn.diagnosis._observations import Case
from skcnn.diagnosis._suggestions import Suggestion, suggest

__all__ = ["Diagnosis"]

SEVERITIES = {3: "high", 2: "medium", 1: "low"}


class Diagnosis:
    """What `diagnose` found.

    Attributes
    ----------
    findings : list of Finding
        Causes first, most serious first, then their consequences (those with `explained_by`).
    causes : list of Finding
        The findings that no other explains.
    outcomes : list of Outcome
        How each check ended: its state and why.
    scores : dict of str to Estimate
        Accuracy or R² on training and, if there are any, test rows, with 99.9% intervals.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skcnn import diagnose
    >>> X, y = load_iris(return_X_y=True)
    >>> diagnosis = diagnose(DecisionTreeClassifier(random_state=0).fit(X, y), X, y, X[::2], y[::2], fast=True)
    >>> print(str(diagnosis)[:69])
    Diagnosis of DecisionTreeClassifier, 150 training rows, 75 test rows.
    >>> diagnosis.causes[0].what
    '75 of 75 test rows are equal to a training row.'
    """

    def __init__(self, case: Case, outcomes: list[Outcome]) -> None:
        self._case = case
        self.outcomes = outcomes
        order = {outcome.check.code: i for i, outcome in enumerate(outcomes)}
        found = [outcome.finding for outcome in outcomes if outcome.finding is not None]
        self.findings: list[Finding] = sorted(
            found, key=lambda f: (f.explained_by is not None, -f.severity, order[f.code])
        )
        self.scores = self._scores()

    def _scores(self) -> dict[str, Estimate]:
        case = self._case
        try:
            scores = {f"training {case.score_name}": case.score_train}
            return {**scores, f"test {case.score_name}": case.score_test} if case.has_test else scores
        except Exception:  # an estimator that cannot predict these rows; checks say so one by one
            return {}

    @property
    def causes(self) -> list[Finding]:
        """The findings that no other explains, most serious first."""
        return [finding for finding in self.findings if finding.explained_by is None]

    def consequences(self, code: str) -> list[Finding]:
        """Return the findings that follow from the one with this code."""
        return [finding for finding in self.findings if finding.explained_by == code]

    @property
    def subject(self) -> str:
        """What was diagnosed, in words."""
        case = self._case
        names = [type(part).__name__ for part in (case.parts.search, case.parts.pipeline) if part is not None]
        final = case.parts.final
        names.append(type(getattr(final, "model", final)).__name__)
        rows = f"{len(case.y_train)} training rows"
        tested = f"{len(case.y_test)} test rows" if case.y_test is not None else "no test rows"
        return f"{' of '.join(dict.fromkeys(names))}, {rows}, {tested}"

    @property
    def summary(self) -> str:
        """Number of causes and scores, in one sentence each."""
        scores = "; ".join(
            f"{name} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" for name, score in self.scores.items()
        )
        return f"{self.verdict}. {scores[:1].upper()}{scores[1:]}." if scores else f"{self.verdict}."

    @property
    def verdict(self) -> str:
        """How many causes were found, in words."""
        n = len(self.causes)
        return {0: "No finding", 1: "One cause"}.get(n, f"{n} causes")

    @property
    def counts(self) -> str:
        """How many checks ended in which state."""
        states = Counter(outcome.state for outcome in self.outcomes)
        kinds: tuple[State, ...] = get_args(State)
        named = {kind: f"{states[kind]} {kind}" for kind in kinds}
        if states["finding"] != 1:
            named["finding"] += "s"
        return f"{len(self.outcomes)} checks: " + ", ".join(named[kind] for kind in kinds if states[kind])

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
        return suggest(self._case, self.causes, max_candidates)

    def to_frame(self) -> Any:
        """Return all checks as a pandas data frame, findings first.

        Returns
        -------
        pandas.DataFrame
            One row per check: code, cause, state, severity, title, text, explained_by, seconds.
        """
        import pandas as pd

        rank = {finding.code: i for i, finding in enumerate(self.findings)}
        rows = [
            {
                "code": outcome.check.code,
                "cause": outcome.check.cause,
                "state": outcome.state,
                "severity": SEVERITIES[outcome.finding.severity] if outcome.finding else None,
                "title": outcome.check.title,
                "text": outcome.text,
                "explained_by": outcome.finding.explained_by if outcome.finding else None,
                "seconds": outcome.seconds,
            }
            for outcome in sorted(self.outcomes, key=lambda outcome: rank.get(outcome.check.code, len(rank)))
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        lines = [f"Diagnosis of {self.subject}.", self.summary]
        for number, finding in enumerate(self.causes, 1):
            lines += [
                "",
                f"{number}. {finding.title} ({finding.code}, {finding.cause}, severity {SEVERITIES[finding.severity]})",
            ]
            lines += _wrapped(finding.what, "   ")
            lines += [f"     {evidence}" for evidence in finding.evidence]
            lines += _wrapped(f"Why it matters: {finding.why}", "   ")
            lines += _wrapped(f"What to do: {finding.do}", "   ")
            after = self.consequences(finding.code)
            if after:
                lines += _wrapped(
                    "It explains: " + "; ".join(f"{other.title} ({other.code})" for other in after) + ".", "   "
                )
        if self.causes:
            lines += ["", "Next grid:", *(f"  {line}" for line in str(self.suggest()).splitlines())]
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
        from skcnn.diagnosis._page import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from skcnn.diagnosis._page import body

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
        from skcnn.diagnosis._charts import draw

        charts = [finding.chart for finding in self.findings if finding.chart is not None]
        return draw([chart for i, chart in enumerate(charts) if chart not in charts[:i]])


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=indent, subsequent_indent=indent)

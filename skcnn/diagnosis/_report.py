"""`Diagnosis`: findings and outcomes as text, frame, page and plot."""

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from skcnn._statistics import Estimate
from skcnn.diagnosis._charts import draw
from skcnn.diagnosis._check import SEVERITIES, Finding, Outcome, State
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._page import body, page
from skcnn.diagnosis._suggestions import Suggestion, suggest

__all__ = ["Diagnosis"]


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
    findings : list of Finding
        Causes first, most serious first, then their consequences (those with `explained_by`).
    causes : list of Finding
        The findings that no other explains.
    outcomes : list of Outcome
        How each check ended: its state and why.
    scores : dict of str to Estimate
        Accuracy or R² on training and, if there are any, test samples, with 99.9% intervals; empty if the estimator
        cannot predict one of them.
    subject, summary, verdict, counts : str
        What was diagnosed; causes and scores; the number of causes; how many checks ended in which state.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skcnn import diagnose
    >>> X, y = load_iris(return_X_y=True)
    >>> diagnosis = diagnose(DecisionTreeClassifier(random_state=0).fit(X, y), X, y, X[::2], y[::2], fast=True)
    >>> print(str(diagnosis)[:75])
    Diagnosis of DecisionTreeClassifier, 150 training samples, 75 test samples.
    >>> diagnosis.causes[0].what
    '75 of 75 test samples are equal to a training sample.'
    """

    def __init__(self, seen: Observations, outcomes: list[Outcome]) -> None:
        self._seen = seen
        self.outcomes = outcomes
        order = {outcome.check.code: i for i, outcome in enumerate(outcomes)}
        found = [outcome.finding for outcome in outcomes if outcome.finding is not None]
        self.findings: list[Finding] = sorted(
            found, key=lambda f: (f.explained_by is not None, -f.severity, order[f.code])
        )
        self.scores = self._scores()

    def _scores(self) -> dict[str, Estimate]:
        seen = self._seen
        try:
            return {f"{name} {seen.score_name}": side.score for name, side in seen.sides.items()}
        except Exception:  # an estimator that cannot predict these samples; checks say so one by one
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
        seen = self._seen
        names = [type(part).__name__ for part in (seen.components.search, seen.components.pipeline) if part is not None]
        final = seen.components.final
        names.append(type(getattr(final, "model", final)).__name__)
        n_test = len(seen.test.y) if seen.has_test else "no"
        return f"{' of '.join(dict.fromkeys(names))}, {len(seen.train.y)} training samples, {n_test} test samples"

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
        names = {state: f"{states[state]} {state}" for state in get_args(State) if states[state]}
        if states["finding"] > 1:
            names["finding"] += "s"
        return f"{len(self.outcomes)} checks: {', '.join(names.values())}"

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
        return suggest(self._seen, self.causes, max_candidates)

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
            severity = SEVERITIES[finding.severity]
            lines += ["", f"{number}. {finding.title} ({finding.code}, {finding.cause}, severity {severity})"]
            lines += _wrapped(finding.what)
            lines += [f"     {evidence}" for evidence in finding.evidence]
            lines += _wrapped(f"Why it matters: {finding.why}")
            lines += _wrapped(f"What to do: {finding.do}")
            after = [f"{other.title} ({other.code})" for other in self.consequences(finding.code)]
            if after:
                lines += _wrapped(f"It explains: {'; '.join(after)}.")
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
        charts = [finding.chart for finding in self.findings if finding.chart is not None]
        return draw([chart for i, chart in enumerate(charts) if chart not in charts[:i]])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="   ", subsequent_indent="   ")

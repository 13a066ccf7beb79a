"""What a check is and what it says: one class per question, one state per run."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from skcnn._statistics import Estimate

__all__ = [
    *("SEVERITIES", "SYMPTOMS", "Chart", "Check", "Evidence", "Finding", "NotApplicable", "Outcome", "State"),
    *("after", "run_check"),
]

SEVERITIES = {3: "high", 2: "medium", 1: "low"}
State = Literal["finding", "passed", "not applicable", "ignored", "could not run"]


# Symptoms from cause to consequence: each explains those that stand after it.
PREDICTS_BADLY = (
    *("loss_blew_up", "loss_never_fell", "loss_falling", "underfit", "threshold", "majority_collapse"),
    *("majority_baseline", "dummy", "baseline", "recall_spread", "prediction_drift", "calibration"),
)
LEARNED_BY_HEART = (
    *("suspicious_labels", "few_rows", "val_turned", "gap", "parameters", "baseline", "saturated", "calibration"),
)
SYMPTOMS = (*PREDICTS_BADLY, *LEARNED_BY_HEART, "dead_units")


def after(code: str) -> tuple[str, ...]:
    """Return the symptoms that follow from this one."""
    chains = [chain for chain in (PREDICTS_BADLY, LEARNED_BY_HEART) if code in chain]
    return tuple(later for chain in chains for later in chain[chain.index(code) + 1 :])


class NotApplicable(Exception):  # it is an answer, not an error
    """The question does not arise here; the message says why."""


@dataclass(frozen=True)
class Evidence:
    """One number that speaks for a finding.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        The estimate.
    low, high : float or None
        Its 99.9% interval; None for counts and settings, which are exact.
    n : int or None
        Samples behind it.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, name: str, value: Estimate | float) -> "Evidence":
        """Name an estimate, or a number that is exact."""
        return cls(name, *value) if isinstance(value, Estimate) else cls(name, value)

    def __str__(self) -> str:
        text = f"{self.name}: {self.value:.4g}"
        if self.low is not None and self.high is not None:
            text += f" [{self.low:.3g}, {self.high:.3g}]"
        return text if self.n is None else f"{text}, n = {self.n}"


@dataclass(frozen=True)
class Chart:
    """What to draw: bars over labels or lines over x; drawn as SVG in the page and with matplotlib by ``plot``.

    Attributes
    ----------
    kind : {"bars", "lines"}
        What to draw.
    title : str
        What is shown.
    x : sequence
        Labels of bars, or numbers.
    series : dict of str to sequence of float
        Heights by name.
    x_label, y_label : str
        Names of the axes.
    """

    kind: Literal["bars", "lines"]
    title: str
    x: Sequence[Any]
    series: Mapping[str, Sequence[float]]
    x_label: str = ""
    y_label: str = ""


@dataclass
class Finding:
    """A cause, or a consequence of one, with its evidence and what to do.

    Attributes
    ----------
    code, title, cause : str
        Of the check that found it; `cause` is the group it belongs to.
    severity : {1, 2, 3}
        3: the test score does not mean what it seems to, or the model cannot work. 2: it explains a bad score.
        1: good to know.
    what : str
        What was found, in numbers.
    why : str
        Why it matters.
    do : str
        What to do.
    evidence : list of Evidence
        The numbers.
    cures : tuple of str
        Names of cures in `skcnn.diagnosis._suggestions`.
    facts : dict
        Values that cures need, such as class shares.
    chart : Chart or None
        A picture of it.
    explained_by : str or None
        Code of the finding that this one follows from.
    """

    code: str
    title: str
    cause: str
    severity: int
    what: str
    why: str
    do: str
    evidence: list[Evidence] = field(default_factory=list)
    cures: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    chart: Chart | None = None
    explained_by: str | None = None


@dataclass
class Outcome:
    """How a check ended: in exactly one state, with its reason in words.

    Attributes
    ----------
    check : Check
        The check that was run.
    state : {"finding", "passed", "not applicable", "ignored", "could not run"}
        How it ended.
    text : str
        What was found or seen, why it does not apply, or the error that it raised.
    seconds : float
        How long it took.
    finding : Finding or None
        What was found, where the state is "finding".
    """

    check: "Check"
    state: State
    text: str
    seconds: float = 0.0
    finding: Finding | None = None


class Check:
    """Base class of checks: a subclass sets the texts and writes `look`.

    Its docstring states the thresholds, each with its source. Those without one are what few would accept in their own
    work; all were tried on the data that benchmarks/diagnosis.py sets aside for it, and judged on others.

    Attributes
    ----------
    code : str
        Short name, as in ``diagnose(..., ignore=[code])``.
    title, question : str
        The finding in a few words; what the check asks.
    cause : str
        Group of causes.
    severity : {1, 2, 3}
        See `Finding`.
    why, do : str
        Why a finding matters, what to do about it.
    cures : tuple of str
        Names of cures in `skcnn.diagnosis._suggestions`.
    explains : tuple of str
        Codes of findings that are consequences of this one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcnn.diagnosis import Check, diagnose
    >>> class FewColumns(Check):
    ...     code, title, question = "few_columns", "Few columns", "Are there enough columns?"
    ...     cause, severity = "my own", 1
    ...     def look(self, seen):
    ...         n = seen.train.flat.shape[1]
    ...         return self.finding(f"There are {n} columns.") if n < 10 else f"{n} columns."
    >>> X, y = load_iris(return_X_y=True)
    >>> diagnosis = diagnose(LogisticRegression(max_iter=1000).fit(X, y), X, y, fast=True, checks=[FewColumns()])
    >>> [finding.code for finding in diagnosis.findings]
    ['few_columns']
    """

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    question: ClassVar[str] = ""
    cause: ClassVar[str] = ""
    severity: ClassVar[int] = 2
    why: ClassVar[str] = ""
    do: ClassVar[str] = ""
    cures: ClassVar[tuple[str, ...]] = ()
    explains: ClassVar[tuple[str, ...]] = ()

    def look(self, seen: Any) -> Finding | str:
        """Look at what there is.

        Parameters
        ----------
        seen : skcnn.diagnosis._observations.Observations
            Estimator, data and predictions.

        Returns
        -------
        Finding or str
            What is wrong; or in words what was seen where nothing is.

        Raises
        ------
        NotApplicable
            If the question does not arise.
        """
        raise NotImplementedError(f"{type(self).__name__} must define look(self, seen).")

    def finding(
        self,
        what: str,
        evidence: Mapping[str, Any] | Iterable[Evidence] = (),
        *,
        cures: tuple[str, ...] | None = None,
        severity: int | None = None,
        chart: Chart | None = None,
        **facts: Any,
    ) -> Finding:
        """Return a finding of this check; what is not given are the texts of the class.

        Evidence is estimates and exact numbers by name, or objects of Evidence where an exact number has an n.
        """
        if isinstance(evidence, Mapping):
            evidence = [Evidence.of(name, value) for name, value in evidence.items()]
        return Finding(
            self.code,
            self.title,
            self.cause,
            self.severity if severity is None else severity,
            what,
            self.why,
            self.do,
            list(evidence),
            self.cures if cures is None else cures,
            facts,
            chart,
        )


def run_check(check: Check, seen: Any) -> Outcome:
    """Run one check to exactly one state; nothing that it raises gets out, but for an interrupt."""
    start = time.perf_counter()
    try:
        with np.errstate(all="ignore"):
            answer = check.look(seen)
    except NotApplicable as reason:
        return Outcome(check, "not applicable", str(reason), time.perf_counter() - start)
    except Exception as error:  # a check may meet any estimator and any data
        text = f"{type(error).__name__}: {error}"
        return Outcome(check, "could not run", text, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    if isinstance(answer, Finding):
        return Outcome(check, "finding", answer.what, seconds, answer)
    return Outcome(check, "passed", answer, seconds)

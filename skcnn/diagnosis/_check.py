"""What a check is and what it says: one class per question, one state per run."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from skcnn._statistics import Estimate

__all__ = [
    *("SEVERITIES", "Chart", "Check", "Evidence", "Finding", "NotApplicable", "Outcome", "State", "run_check"),
]

SEVERITIES = {3: "high", 2: "medium", 1: "low"}
State = Literal["finding", "passed", "not applicable", "ignored", "could not run"]


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
    """A cause, a note, or a consequence of a cause, with its evidence and what to do.

    A finding is a cause if its removal changes the test score significantly, in the direction that the check expects:
    upwards for a fault, downwards for a leak, without which the score falls to what it is honestly worth.

    Attributes
    ----------
    code, title, cause : str
        Of the check that found it; `cause` is the group it belongs to.
    what : str
        What was found, in numbers.
    why : str
        Why it matters.
    do : str
        What to do.
    evidence : list of Evidence
        The numbers.
    effect : Estimate or None
        How much the test score changes without it, with its 95% interval, or 99% where the pattern is common
        on sound data; None if that was not measured.
    measured : str
        How the effect was measured, or why it could not be.
    sign : {1, -1}
        Whether the score is expected to rise or to fall without it.
    cures : tuple of str
        Names of cures in `skcnn.diagnosis._suggestions`.
    facts : dict
        Values that cures need, such as class shares.
    chart : Chart or None
        A picture of it.
    grades : tuple of float
        Sizes of the effect from which a cause is of medium and of high severity.
    explained_by : str or None
        Code of the cause without which this is no longer found.
    mended : Observations or None
        What is diagnosed, without it; None once the diagnosis is made.
    """

    code: str
    title: str
    cause: str
    what: str
    why: str
    do: str
    evidence: list[Evidence] = field(default_factory=list)
    effect: Estimate | None = None
    measured: str = ""
    sign: int = 1
    cures: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    chart: Chart | None = None
    grades: tuple[float, float] = (0.02, 0.05)
    explained_by: str | None = None
    mended: Any = field(default=None, repr=False)  # observations without it, while the diagnosis is made

    LEAST: ClassVar[float] = 0.01

    @property
    def is_cause(self) -> bool:
        """Whether its effect is significant, in the direction expected, and at least a hundredth."""
        effect = self.effect
        return effect is not None and effect.sign == self.sign and abs(effect.value) >= self.LEAST

    @property
    def severity(self) -> int:
        """3 for a cause that costs at least 0.05 of the score, 2 from 0.02 on (or `grades`), else 1, as of notes."""
        if not self.is_cause or self.effect is None:
            return 1
        return 1 + sum(abs(self.effect.value) >= grade for grade in self.grades)


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
    sign : {1, -1}
        Whether the score rises (1, a fault) or falls (-1, a leak) without what the check finds.
    grades : tuple of float
        Sizes of the effect from which a cause is of medium and of high severity.
    why, do : str
        Why a finding matters, what to do about it.
    cures : tuple of str
        Names of cures in `skcnn.diagnosis._suggestions`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcnn.diagnosis import Check, diagnose
    >>> class FewColumns(Check):
    ...     code, title, question = "few_columns", "Few columns", "Are there enough columns?"
    ...     cause = "my own"
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
    sign: ClassVar[int] = 1
    grades: ClassVar[tuple[float, float]] = (0.02, 0.05)
    why: ClassVar[str] = ""
    do: ClassVar[str] = ""
    cures: ClassVar[tuple[str, ...]] = ()

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
        effect: Estimate | None = None,
        measured: str = "",
        mended: Any = None,
        cures: tuple[str, ...] | None = None,
        chart: Chart | None = None,
        **facts: Any,
    ) -> Finding:
        """Return a finding of this check; what is not given are the texts of the class.

        Evidence is estimates and exact numbers by name, or objects of Evidence where an exact number has an n. With an
        `effect` that is significant the finding is a cause, without one a note; checks that follow look at `mended`,
        the observations without this cause, if they are given.
        """
        if isinstance(evidence, Mapping):
            evidence = [Evidence.of(name, value) for name, value in evidence.items()]
        return Finding(
            self.code,
            self.title,
            self.cause,
            what,
            self.why,
            self.do,
            list(evidence),
            effect,
            measured,
            self.sign,
            self.cures if cures is None else cures,
            facts,
            chart,
            self.grades,
            mended=mended,
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

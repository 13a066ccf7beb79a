"""`diagnose`: every check to exactly one state, causes removed one after the other as they are found."""

import sys
import warnings
from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from skcnn._sklearn.checks import naming
from skcnn.diagnosis._check import Check, Outcome, run_check
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._report import Diagnosis
from skcnn.diagnosis.checks import CHECKS

__all__ = ["diagnose"]


def diagnose(
    estimator: Any,
    X_train: Any,
    y_train: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    groups_train: Any = None,
    groups_test: Any = None,
    times_train: Any = None,
    times_test: Any = None,
    checks: Sequence[Check] = (),
    ignore: Iterable[str] = (),
    fast: bool = False,
    refits: int = 6,
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Diagnosis:
    """Say why a fitted estimator fails on the test set, and what to try next.

    A finding is a cause if the test score changes significantly once it is removed: put right in the test samples,
    left out of a simple model that is fitted with and without it, or changed in the estimator, which is fitted again
    for that, at most `refits` times. Causes are removed one after the other; what is no longer found then is a
    consequence of the cause removed before. Everything else that is found is a note.

    What was chosen by looking at the test samples, as the suggested grid is, must be judged on others.

    Parameters
    ----------
    estimator : estimator
        A fitted scikit-learn classifier or regressor, a pipeline or search that ends in one, or a trained Keras model.
        Checks of the training history look at ``history_`` (or ``loss_curve_``) of its last step.
    X_train : array-like of shape (n, ...)
        The samples that it was trained on, as its `fit` took them.
    y_train : array-like of shape (n,)
        Their targets.
    X_test : array-like of shape (n_test, ...), default=None
        Samples that it was not trained on. Without them, checks that need them do not apply.
    y_test : array-like of shape (n_test,), default=None
        Their targets.
    groups_train, groups_test : array-like, default=None
        Group of each sample (patient, film, device).
    times_train, times_test : array-like, default=None
        Time of each sample.
    checks : sequence of Check, default=()
        More checks: your own, or those that are run on demand, `LearningCurve()` and `Memorises()`.
    ignore : iterable of str, default=()
        Codes of checks to leave out.
    fast : bool, default=False
        Whether to look at no more than 1,200 samples, to grow a smaller simple model, and never to fit the estimator
        again: what only that could measure stays a note.
    refits : int, default=6
        How often the estimator may be fitted again, each time with one or a few parameters changed, on all training
        samples. Each takes about as long as its fit; where the training was too short, several times that.
    random_state : int, RandomState instance or None, default=0
        Seed of all that is drawn.
    n_jobs : int, default=None
        Processors for the simple model and for distances.
    verbose : int, default=0
        Whether to name each check on standard error when it ends.

    Returns
    -------
    Diagnosis
        Causes, most costly first, notes, how each check ended, and the next grid.

    Raises
    ------
    TypeError
        If the estimator cannot predict, or a check is not a Check object.
    ValueError
        If a code in `ignore` is not that of a check; if samples, targets and estimator do not fit each other.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn import diagnose
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> model = LogisticRegression(max_iter=1000).fit(X_train, y_train)
    >>> diagnose(model, X_train, y_train, X_test, y_test, fast=True).causes
    []
    >>> [finding.title for finding in diagnose(model, X_train, y_train, 16 * X_test, y_test, fast=True).causes][:1]
    ['Test samples are scaled differently']
    """
    with naming("checks"):
        every = [kind() for kind in CHECKS] + _checked(checks)
    with naming("ignore"):
        codes = _ignored(ignore, every)
    seen = Observations(
        estimator,
        X_train,
        y_train,
        X_test,
        y_test,
        groups_train=groups_train,
        groups_test=groups_test,
        times_train=times_train,
        times_test=times_test,
        fast=fast,
        refits=0 if fast else _number_of(refits),
        random_state=random_state,
        n_jobs=n_jobs,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the simple models, about what the checks say themselves
        outcomes = examine(seen, every, codes, verbose)
        return Diagnosis(seen, outcomes)


def examine(seen: Observations, checks: Sequence[Check], ignored: Container[str], verbose: int = 0) -> list[Outcome]:
    """Run checks in order, each on what the causes before it leave, and note which finding follows from which cause.

    Parameters
    ----------
    seen : Observations
        What is diagnosed.
    checks : sequence of Check
        In the order in which a sample travels: what goes wrong early shows late.
    ignored : container of str
        Codes of checks to leave out.
    verbose : int
        Whether to name each check on standard error when it ends.
    """
    outcomes = []
    stages: list[tuple[str, Observations]] = [("", seen)]  # the cause that was removed, and what is left
    for number, check in enumerate(checks, 1):
        if check.code in ignored:
            outcome = Outcome(check, "ignored", "as asked for")
        else:
            outcome = run_check(check, stages[-1][1])
            if outcome.finding is None and len(stages) > 1:
                outcome = _consequence(check, stages) or outcome
        finding = outcome.finding
        if finding is not None:
            if finding.is_cause and finding.explained_by is None and finding.mended is not None:
                stages.append((finding.code, finding.mended))
            finding.mended = None
        outcomes.append(outcome)
        if verbose:
            line = f"{number:3}/{len(checks)} {check.code}: {outcome.state}, {outcome.seconds:.1f} s"
            print(line, file=sys.stderr, flush=True)
    return outcomes


def _consequence(check: Check, stages: Sequence[tuple[str, Observations]]) -> Outcome | None:
    """Return what a check finds before causes were removed, and the cause without which it no longer does."""
    outcome = found = None
    for cause, seen in stages:
        before = run_check(check, seen.without_refits())
        if before.finding is None:
            if found is not None:
                found.explained_by, found.effect, found.mended = cause, None, None
            return outcome
        outcome, found = before, before.finding
    return None  # found without refits, silent with them: not a consequence


def _number_of(refits: Any) -> int:
    if isinstance(refits, bool) or not isinstance(refits, int | np.integer) or refits < 0:
        raise ValueError(f"refits={refits!r}; expected a whole number, 0 or larger.")
    return int(refits)


def _checked(checks: Sequence[Check]) -> list[Check]:
    for check in checks:
        if not isinstance(check, Check):
            made = " Make an object of the class, with ()." if isinstance(check, type) else ""
            raise TypeError(f"checks holds {check!r}; expected objects of subclasses of skcnn.diagnosis.Check.{made}")
    return list(checks)


def _ignored(ignore: Iterable[str], every: Sequence[Check]) -> set[str]:
    if isinstance(ignore, str):
        raise ValueError(f"ignore={ignore!r}; expected a list of codes, such as [{ignore!r}].")
    codes = {check.code for check in every}
    unknown = sorted(set(ignore) - codes)
    if unknown:
        raise ValueError(f"ignore holds {unknown}, which are not codes of checks; these are {sorted(codes)}.")
    return set(ignore)

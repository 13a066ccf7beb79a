"""`diagnose`: every check to exactly one state, and which findings follow from which."""

import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

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
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Diagnosis:
    """Say why a fitted estimator fails on the test set, and what to try next.

    The estimator is never fitted again, unless `checks` holds a check that says so. A simple model (logistic regression
    or a forest) is fitted on the training samples as a yardstick.

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
        More checks: your own, or those that refit, `LearningCurve()` (twice) and `Memorises()` (once).
    ignore : iterable of str, default=()
        Codes of checks to leave out.
    fast : bool, default=False
        Whether to look at no more than 1,200 samples and to grow a smaller simple model.
    random_state : int, RandomState instance or None, default=0
        Seed of all that is drawn.
    n_jobs : int, default=None
        Processors for the simple model and for distances.
    verbose : int, default=0
        Whether to name each check on standard error when it ends.

    Returns
    -------
    Diagnosis
        Findings, most serious first; how each check ended; the next grid.

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
    >>> diagnose(model, X_train, y_train, X_test, y_test, fast=True).findings
    []
    >>> [finding.title for finding in diagnose(model, X_train, y_train, 16 * X_test, y_test, fast=True).findings][:1]
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
        random_state=random_state,
        n_jobs=n_jobs,
    )
    outcomes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the simple models, about what the checks say themselves
        for number, check in enumerate(every, 1):
            ignored = check.code in codes
            outcome = Outcome(check, "ignored", "as asked for") if ignored else run_check(check, seen)
            outcomes.append(outcome)
            if verbose:
                line = f"{number:3}/{len(every)} {check.code}: {outcome.state}, {outcome.seconds:.1f} s"
                print(line, file=sys.stderr, flush=True)
        explain(outcomes)
        return Diagnosis(seen, outcomes)


def explain(outcomes: Sequence[Outcome]) -> None:
    """Note for each finding from which other it follows: the first check in order that explains it, and its cause."""
    found = [(outcome.check, outcome.finding) for outcome in outcomes if outcome.finding is not None]
    for _, finding in found:
        path = [finding.code]  # from consequence to cause; checks of the user may explain each other in a circle
        while True:
            causes = (check.code for check, _ in found if check.code not in path and path[-1] in check.explains)
            cause = next(causes, None)
            if cause is None:
                break
            path.append(cause)
            finding.explained_by = cause


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

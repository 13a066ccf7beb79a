"""Private names of scikit-learn, in the one place that uses them.

scikit-learn's developer guide recommends the declared constraints of parameters and ``_fit_context`` to third-party
estimators, but keeps them private. Seen in scikit-learn 1.7 to 1.9; what has moved or changed since is mended here.
"""

from typing import Any

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metadata_routing import _routing_enabled as routing_enabled
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_partial_fit_first_call

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_matplotlib_support",
    "check_partial_fit_first_call",
    "fit_context",
    "invalid_values",
    "routing_enabled",
    "safe_indexing",
    "scorer_name",
    "threshold_of",
]


def invalid_values(estimator: Any) -> list[str]:
    """Return which parameters violate the declared constraints, as messages."""
    constraints = {} if isinstance(estimator, type) else getattr(estimator, "_parameter_constraints", {})
    found = []
    for name, value in estimator.get_params(deep=False).items() if constraints else ():
        try:
            validate_parameter_constraints(constraints, {name: value}, type(estimator).__name__)
        except InvalidParameterError as error:
            found.append(str(error))
    return found


def scorer_name(scoring: Any) -> str | None:
    """Return the name of a scorer, or that of the function that it calls; None if that has none."""
    name = scoring if isinstance(scoring, str) else getattr(getattr(scoring, "_score_func", scoring), "__name__", "")
    return name if name.isidentifier() else None


def threshold_of(classifier: Any) -> tuple[str, float, int]:
    """Return what a fitted classifier with a decision threshold does: method, threshold, index of the positive class.

    A sample is of the positive class if the method's value for that class is not below the threshold.
    """
    tuned = hasattr(classifier, "best_threshold_")
    methods = classifier._get_response_method()
    names = [methods] if isinstance(methods, str) else methods
    method = next(name for name in names if hasattr(classifier.estimator_, name))
    label = classifier._curve_scorer._get_pos_label() if tuned else classifier.pos_label
    threshold = classifier.best_threshold_ if tuned else classifier.threshold
    if threshold == "auto":
        threshold = 0.5 if method == "predict_proba" else 0.0
    return method, float(threshold), 1 if label is None else list(classifier.classes_).index(label)

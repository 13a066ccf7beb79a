"""The network at the end of a pipeline or a search, and the fitted steps before it."""

from typing import Any

from sklearn.utils.validation import check_is_fitted

from skcnn._fit.estimator import BaseCNN

__all__ = ["fitted_steps"]


def fitted_steps(estimator: Any) -> tuple[list[Any], BaseCNN]:
    """Return the fitted transformers before the network, in their order, and the fitted network itself.

    Samplers, which work in `fit` alone, and steps that pass through are left out.

    Parameters
    ----------
    estimator : fitted estimator
        A `CNNClassifier` or `CNNRegressor`: itself, as last step of a pipeline, or as best estimator of a search.

    Raises
    ------
    TypeError
        If there is none.
    """
    if hasattr(estimator, "best_estimator_"):
        return fitted_steps(estimator.best_estimator_)
    if hasattr(estimator, "steps"):
        before = [step for _, one in estimator.steps[:-1] for step in _flat(one)]
        more, network = fitted_steps(estimator.steps[-1][1])
        return before + more, network
    if not isinstance(estimator, BaseCNN):
        raise TypeError(
            f"Got {type(estimator).__name__}; expected a fitted CNNClassifier or CNNRegressor, a pipeline whose last "
            "step is one, or a search that found one."
        )
    check_is_fitted(estimator)
    return [], estimator


def _flat(step: Any) -> list[Any]:
    """Return the transformers of a step that may itself be a pipeline, pass through or be a sampler."""
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
        return []
    return [one for _, inner in step.steps for one in _flat(inner)] if hasattr(step, "steps") else [step]

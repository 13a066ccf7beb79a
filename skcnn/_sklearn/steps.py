"""What is around the estimator that predicts: searches, pipelines, their steps."""

from typing import Any, TypeVar

from sklearn.utils.validation import check_is_fitted

__all__ = ["fitted_steps", "flat_steps", "is_pipeline", "is_search", "unwrap"]

Final = TypeVar("Final")


def is_search(estimator: Any) -> bool:
    """Tell whether this is a search that has found its best estimator."""
    return hasattr(estimator, "best_estimator_")


def is_pipeline(estimator: Any) -> bool:
    """Tell whether this is a pipeline of scikit-learn or imbalanced-learn."""
    return hasattr(estimator, "named_steps")


def unwrap(estimator: Any) -> list[tuple[str, Any]]:
    """Return a fitted estimator and those in it by which it predicts, outermost first.

    Each has the name of its parameters in the one around it (``name__...``), which is empty for the best estimator of
    a search: a grid names its parameters as they are.
    """
    found = [("", estimator)]
    while True:
        _, estimator = found[-1]
        if is_search(estimator):
            found.append(("", estimator.best_estimator_))
        elif is_pipeline(estimator):
            found.append(estimator.steps[-1])
        elif hasattr(estimator, "estimator_"):  # such as TunedThresholdClassifierCV
            found.append(("estimator", estimator.estimator_))
        else:
            return found


def fitted_steps(estimator: Any, final: type[Final]) -> tuple[list[Any], Final]:
    """Return the fitted transformers before the network, and the fitted network.

    Samplers, which work in `fit` alone, and steps that pass through are left out.

    Parameters
    ----------
    estimator : fitted estimator
        A `CNNClassifier` or `CNNRegressor`: itself, as last step of a pipeline, or as best estimator of a search.
    final : type
        Class of which the network must be.

    Raises
    ------
    TypeError
        If there is none.
    """
    steps: list[Any] = []
    for _, one in unwrap(estimator):
        if is_pipeline(one):
            steps += [inner for _, step in one.steps[:-1] for inner in flat_steps(step)]
        elif not is_search(one):  # what another kind of estimator does with the outputs would be lost
            break
    if not isinstance(one, final):
        raise TypeError(
            f"Got {type(one).__name__}; expected a fitted CNNClassifier or CNNRegressor, a pipeline whose last step is "
            "one, or a search that found one."
        )
    check_is_fitted(one)
    return steps, one


def flat_steps(step: Any) -> list[Any]:
    """Return what predicts in a step: itself, or the steps of a pipeline; no samplers, nothing that passes through."""
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
        return []
    return [one for _, inner in step.steps for one in flat_steps(inner)] if is_pipeline(step) else [step]

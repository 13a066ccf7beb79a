"""What is around the estimator that predicts: searches, pipelines and the steps in them."""

from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar

from sklearn.utils.validation import check_is_fitted

__all__ = ["Wrapper", "fitted_steps", "unwrap"]

Final = TypeVar("Final")


class Wrapper(NamedTuple):
    """A fitted estimator that predicts by another one inside it.

    Attributes
    ----------
    kind : {"search", "tuner", "pipeline", "threshold", "meta"}
        A search with `cv_results_`, one without (Optuna's), a pipeline, an estimator that tunes the threshold, and any
        other that keeps one fitted estimator.
    estimator : estimator
        The wrapper itself.
    name : str
        Before the names of the parameters of the estimator inside, ``name__...``.
    """

    kind: str
    estimator: Any
    name: str


def unwrap(
    estimator: Any, through: Collection[str] = ("search", "tuner", "pipeline", "threshold", "meta")
) -> tuple[list[Wrapper], Any]:
    """Return what is around a fitted estimator, the outermost first, and the estimator that predicts itself.

    Parameters
    ----------
    estimator : fitted estimator
        An estimator, or pipelines and searches around it, however they are nested.
    through : collection of str
        Kinds of wrappers to look into; one of another kind is returned as the estimator that predicts.
    """
    wrappers = []
    while (found := _inside(estimator)) is not None and found[0] in through:
        kind, name, inner = found
        wrappers.append(Wrapper(kind, estimator, name))
        estimator = inner
    return wrappers, estimator


def _inside(estimator: Any) -> tuple[str, str, Any] | None:
    """Return the kind of a wrapper, the prefix of the parameters of what it has fitted, and this; else None."""
    if hasattr(estimator, "best_estimator_"):
        kind = "search" if hasattr(estimator, "cv_results_") else "tuner"
        return kind, "estimator", estimator.best_estimator_
    if hasattr(estimator, "steps") and hasattr(estimator, "named_steps"):
        return "pipeline", *estimator.steps[-1]
    if hasattr(estimator, "estimator_"):
        return "threshold" if hasattr(estimator, "best_threshold_") else "meta", "estimator", estimator.estimator_
    return None


def fitted_steps(estimator: Any, final: type[Final]) -> tuple[list[Any], Final]:
    """Return the fitted transformers before the network, in their order, and the fitted network itself.

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
    wrappers, network = unwrap(estimator, ("search", "tuner", "pipeline"))
    if not isinstance(network, final):
        raise TypeError(
            f"Got {type(network).__name__}; expected a fitted CNNClassifier or CNNRegressor, a pipeline whose last "
            "step is one, or a search that found one."
        )
    check_is_fitted(network)
    pipelines = [wrapper.estimator for wrapper in wrappers if wrapper.kind == "pipeline"]
    return [one for pipeline in pipelines for _, step in pipeline.steps[:-1] for one in _flat(step)], network


def _flat(step: Any) -> list[Any]:
    """Return the transformers of a step that may itself be a pipeline, pass through or be a sampler."""
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
        return []
    return [one for _, inner in step.steps for one in _flat(inner)] if hasattr(step, "steps") else [step]

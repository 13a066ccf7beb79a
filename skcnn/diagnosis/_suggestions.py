"""The next grid: cures for findings, as parameters of the user's own pipeline and as steps to add."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from numbers import Integral
from typing import Any

from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.diagnosis._check import Finding
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations
from skcnn.networks import resolve_network
from skcnn.preprocessing import NDTransformer

__all__ = ["CURES", "Step", "Suggestion", "suggest"]

Grid = dict[str, list[Any]]


@dataclass(frozen=True)
class Step:
    """A step to add to the pipeline, before the final one, and the finding that it answers."""

    name: str
    transformer: Any
    finding: str


@dataclass
class Suggestion:
    """What to search next; ``GridSearchCV(suggestion.estimator, suggestion.param_grid, scoring=suggestion.scoring)``.

    Attributes
    ----------
    estimator : estimator or None
        An unfitted copy of what was diagnosed, with the steps added; None for a plain Keras model.
    param_grid : dict of str to list
        Values by parameter of `estimator`. The first value of each is the present one, unless that is the fault.
    steps : list of Step
        Steps that were added.
    scoring : str or None
        Score to choose by, where the estimator's own would not see the finding.
    reasons : dict of str to list of str
        For each parameter and step the codes of the findings that it answers.
    advice : dict of str to str
        For each finding what to do, also where no parameter helps.
    """

    estimator: Any
    param_grid: Grid = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scoring: str | None = None
    reasons: dict[str, list[str]] = field(default_factory=dict)
    advice: dict[str, str] = field(default_factory=dict)

    @property
    def n_candidates(self) -> int:
        """Candidates in the grid."""
        return prod(len(values) for values in self.param_grid.values())

    def __str__(self) -> str:
        grid = self.param_grid.items()
        lines = [f"{name}: {_readable(values)}  ({', '.join(self.reasons[name])})" for name, values in grid]
        lines += [f"add step {step.name!r}: {step.transformer}  ({step.finding})" for step in self.steps]
        if not lines:
            return "Nothing to search: " + ("no finding." if not self.advice else "no parameter answers the findings.")
        if self.scoring:
            lines.append(f"scoring={self.scoring!r}")
        return "\n".join(lines)


def _readable(value: Any) -> str:
    """Return values of a grid as text, numbers to four digits."""
    if isinstance(value, list):
        return f"[{', '.join(map(_readable, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


# Cures ------------------------------------------------------------------------------------------------------------
# Each takes the parameters of the final step, the facts of the finding and the observations, and returns a grid of the
# final step's parameters; one that its estimator does not have is left out.

Cure = Callable[[Mapping[str, Any], Mapping[str, Any], Observations], Grid]


def _numbers(params: Mapping[str, Any], name: str, *values: float) -> Grid:
    """Return the present value and others, if the estimator has this parameter and it is a number."""
    present = params.get(name)
    return {name: list(dict.fromkeys([present, *values]))} if is_number(present) else {}


def _scaled(params: Mapping[str, Any], name: str, *factors: float) -> Grid:
    """Return the present value and multiples of it, which are whole only if value and factor are."""
    present = params.get(name)
    multiples = [present * factor for factor in factors] if is_number(present) else []
    return _numbers(params, name, *(int(v) if isinstance(v, Integral) else float(f"{v:.3g}") for v in multiples))


def _rates(params: Mapping[str, Any], *factors: float) -> Grid:
    names = ("learning_rate", "learning_rate_init")
    return next(filter(None, (_scaled(params, name, *factors) for name in names)), {})


def regularise(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Augment, penalise, drop, or prune, whichever the estimator knows."""
    if is_number(params.get("l2")):
        l2 = _numbers(params, "l2", max(0.01, 10 * float(params["l2"])))
        return {**_augmentation(params, seen), **l2, **_numbers(params, "dropout", 0.5)}
    return (
        _scaled(params, "alpha", 100, 10_000)
        or _scaled(params, "C", 0.1, 0.01)
        or _numbers(params, "min_samples_leaf", 5, 20)
    )


def _augmentation(params: Mapping[str, Any], seen: Observations) -> Grid:
    """Return what keeps the class of most samples, by their kind; columns of a table have no order."""
    if params.get("augmentation", "") is not None:
        return {}
    names = {2: ["time_shift", "scaling", "jitter"], 3: ["translation", "rotation", "zoom"]}
    return {"augmentation": [None, names.get(len(seen.sample_shape), ["scaling", "noise"])]}


def slower(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Factors of ten down, without the present value, which is the fault."""
    # A step of ten may still be too long where the loss blew up, so that two more are tried.
    return {name: values[1:] for name, values in _rates(params, 0.1, 0.01, 0.001).items()}


def _filters(params: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the parameter that says how wide a network is, and its value: a number, or one for each layer."""
    for name in ("network__filters", "hidden_layer_sizes"):
        if params.get(name) is not None:
            return name, params[name]
    if isinstance(params.get("network"), str):
        return "network__filters", resolve_network(params["network"]).filters
    return None


def _resized(params: Mapping[str, Any], *factors: float) -> Grid:
    found = _filters(params)
    if found is None:
        return {}
    name, sizes = found
    if isinstance(sizes, Integral):
        return {name: [sizes, *(max(1, round(int(sizes) * factor)) for factor in factors)]}
    return {name: [tuple(sizes), *(tuple(max(1, round(size * factor)) for size in sizes) for factor in factors)]}


def deeper(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """One layer more, twice as wide."""
    found = _filters(params)
    if found is None or isinstance(found[1], Integral):
        return {}
    name, sizes = found
    return {name: [tuple(sizes), (*sizes, 2 * sizes[-1])]}


def balance(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Move the threshold, by priors if there are any, by weights if not."""
    if "priors" in params:
        n_classes = len(seen.classes)
        return {"priors": [params["priors"], [1 / n_classes] * n_classes]}
    return {"class_weight": [params["class_weight"], "balanced"]} if "class_weight" in params else {}


def priors(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Predict for the class shares of the test samples."""
    shares = facts.get("shares")
    if shares is None or "priors" not in params or not (shares > 0).all():
        return {}
    return {"priors": [[float(share) for share in shares / shares.sum()]]}


def scale(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Standardise in the graph, where the samples are images; tables get a step of the pipeline."""
    return {"standardize": ["channel"]} if "standardize" in params and len(seen.sample_shape) > 1 else {}


CURES: dict[str, Cure] = {
    "regularise": regularise,
    "learning_rate": lambda params, *_: _rates(params, 0.1, 10),
    "slower": slower,
    "longer": lambda params, *_: {
        **(_scaled(params, "epochs", 5) or _scaled(params, "max_iter", 5)),
        **_scaled(params, "learning_rate", 3),
    },
    "stop_early": lambda params, *_: (
        {"early_stopping": [params["early_stopping"], True]} if params.get("early_stopping") in (False, "auto") else {}
    ),
    "larger": lambda params, *_: _resized(params, 4, 16),
    "smaller": lambda params, *_: _resized(params, 0.5),
    "deeper": deeper,
    "balance": balance,
    # Of two cures for imbalance the sampler stays.
    "balance_once": lambda params, *_: {"class_weight": [None]} if params.get("class_weight") is not None else {},
    "priors": priors,
    "smooth_labels": lambda params, *_: _numbers(params, "label_smoothing", 0.1),
    "scale": scale,
}

# Scores that see what a finding is about; accuracy hardly does.
SCORES = {"class_shares", "majority_collapse", "majority_baseline", "recall_spread", "metric_unfit", "threshold"}


def suggest(seen: Observations, findings: list[Finding], max_candidates: int) -> Suggestion:
    """Collect the cures of the findings, those of the most serious first, up to a number of candidates.

    Parameters
    ----------
    seen : Observations
        What was diagnosed.
    findings : list of Finding
        Most serious first. Consequences ask for nothing of their own.
    max_candidates : int
        Bound of the grid; a parameter that would go beyond it keeps fewer values, or is left out.
    """
    components = seen.components
    suggestion = Suggestion(None, advice={finding.code: finding.do for finding in findings})
    model = components.unfitted
    if model is None:
        return suggestion
    suggestion.steps = steps = _steps(seen, findings)
    suggestion.estimator, prefix = _with_steps(model, steps, components.prefix)
    suggestion.reasons = {step.name: [step.finding] for step in steps}
    for finding in findings:
        for name, values in _grid(seen, finding, prefix).items():
            _add(suggestion, name, values, finding.code, max_candidates)
    if seen.has_classes and SCORES & {finding.code for finding in findings}:
        suggestion.scoring = "balanced_accuracy"
    return suggestion


def _grid(seen: Observations, finding: Finding, prefix: str) -> Grid:
    """Return the cures of one finding, by parameters of the estimator to search."""
    grid: Grid = {}
    for name in finding.cures:
        if name in CURES:
            for parameter, values in CURES[name](seen.components.params, finding.facts, seen).items():
                grid.setdefault(prefix + parameter, values)
    if "beyond" in finding.cures:
        around = prefix.removesuffix(seen.components.prefix) + seen.components.search_prefix
        grid[around + finding.facts["parameter"]] = [finding.facts["best"], finding.facts["further"]]
    if "sampler_inside" in finding.cures and "sampler" in seen.components.params:
        outside = seen.components.samplers
        if len(outside) == 1:
            (name, sampler), stem = outside[0], prefix[: -len(prefix.split("__")[-2]) - 2]
            grid |= {f"{stem}{name}": ["passthrough"], f"{prefix}sampler": [clone(sampler)]}
    return grid


def _add(suggestion: Suggestion, name: str, values: list[Any], code: str, max_candidates: int) -> None:
    """Add a parameter to the grid as far as there is room."""
    grid = suggestion.param_grid
    if name in grid:
        suggestion.reasons[name].append(code)
        return
    room = max_candidates // suggestion.n_candidates
    if room < 2 and len(values) > 1:
        return
    grid[name] = values[: max(1, room)]
    suggestion.reasons[name] = [code]


def _steps(seen: Observations, findings: list[Finding]) -> list[Step]:
    """Return the steps that findings ask for."""
    asked = {cure: finding.code for finding in reversed(findings) for cure in finding.cures}
    transformers = {"impute": SimpleImputer(), "scale": StandardScaler()}
    if getattr(seen.train.X, "ndim", 2) > 2:
        transformers = {name: NDTransformer(one, per="channel") for name, one in transformers.items()}
    if scale(seen.components.params, {}, seen):  # in the network
        del transformers["scale"]
    return [Step(name, transformer, asked[name]) for name, transformer in transformers.items() if name in asked]


def _with_steps(model: Any, steps: list[Step], prefix: str) -> tuple[Any, str]:
    """Put steps before a model, or into it before its samplers and final step if it is a pipeline."""
    if not steps:
        return model, prefix
    if isinstance(model, Pipeline):  # imbalanced-learn's, too
        taken = {name for name, _ in model.steps}
        named = [(step.name if step.name not in taken else f"{step.name}_2", step.transformer) for step in steps]
        # Before samplers: those that interpolate need finite values of one scale.
        at = next((i for i, (_, old) in enumerate(model.steps) if hasattr(old, "fit_resample")), len(model.steps) - 1)
        model.steps = [*model.steps[:at], *named, *model.steps[at:]]
        return model, prefix
    name = type(model).__name__.lower()
    return Pipeline([*((step.name, step.transformer) for step in steps), (name, model)]), f"{name}__{prefix}"

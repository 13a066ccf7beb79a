"""The next grid: cures for findings, as parameters of the user's own pipeline and as steps to add."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.diagnosis._check import Finding
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._strengths import REGULARISERS, augmenting, defaults_of, differing, excessive, rate_name, width_of
from skcnn.diagnosis.checks._imbalance import balancing
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
    cv : splitter or None
        How to split in the search, where samples belong to groups or to times: ``GridSearchCV(..., cv=suggestion.cv)``.
    cost : float
        How many times as long as the present fit all candidates take, each fitted once, by epochs and multiply-adds;
        a cross-validation takes that about as often as it has folds.
    """

    estimator: Any
    param_grid: Grid = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scoring: str | None = None
    reasons: dict[str, list[str]] = field(default_factory=dict)
    advice: dict[str, str] = field(default_factory=dict)
    cv: Any = None
    cost: float = 1.0

    @property
    def n_candidates(self) -> int:
        """Candidates in the grid."""
        return prod(len(values) for values in self.param_grid.values())

    def __str__(self) -> str:
        grid = self.param_grid.items()
        lines = [f"{name}: {_readable(values)}  ({', '.join(self.reasons[name])})" for name, values in grid]
        lines += [f"add step {step.name!r}: {step.transformer}  ({step.finding})" for step in self.steps]
        if not lines and self.cv is None:
            return "Nothing to search: " + ("no finding." if not self.advice else "no parameter answers the findings.")
        if self.scoring:
            lines.append(f"scoring={self.scoring!r}")
        if self.cv is not None:
            given = ", and groups=... to fit" if isinstance(self.cv, GroupKFold) else ""
            lines.append(f"cv={self.cv}{given}")
        if self.param_grid:
            n = self.n_candidates
            lines.append(f"{n} candidate{'s' * (n > 1)}: each fold takes about {self.cost:.2g} times the present fit.")
        return "\n".join(lines)


def _readable(value: Any) -> str:
    """Return values of a grid as text, numbers to four digits."""
    if isinstance(value, list):
        return f"[{', '.join(map(_readable, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


# Cures ------------------------------------------------------------------------------------------------------------
# Each takes the parameters of the final step, the facts of the finding and the observations, and returns a grid of the
# final step's parameters, likely values first; one that its estimator does not have is left out.

Cure = Callable[[Mapping[str, Any], Mapping[str, Any], Observations], Grid]

# Values that are usual for a parameter, beside its default.
USUAL: dict[str, tuple[Any, ...]] = {
    "learning_rate": (1e-3, 1e-2),
    "learning_rate_init": (1e-3, 1e-2),
    "dropout": (0.0, 0.3),
    "l2": (0.0, 1e-3),
    "C": (1.0, 10.0),
    "n_neighbors": (5, 15),
    "min_samples_leaf": (1, 5),
}
TIMES_LONGER = 4
LEAST_STEPS = 300  # below which training is short, whatever its epochs
WEIGHTS_PER_SAMPLE = 100


def _numbers(params: Mapping[str, Any], name: str, *values: float) -> Grid:
    """Return the present value and others, if the estimator has this parameter and it is a number."""
    present = params.get(name)
    return {name: _unique([present, *values])} if is_number(present) else {}


def _unique(values: Iterable[Any]) -> list[Any]:
    """Return values once each, in order; they need not be hashable."""
    found: list[Any] = []
    for value in values:
        if not any(value is one or (type(value) is type(one) and value == one) for one in found):
            found.append(value)
    return found


def _scaled(params: Mapping[str, Any], name: str, *factors: float) -> Grid:
    """Return the present value and multiples of it, which are whole only if value and factor are."""
    present = params.get(name)
    multiples = [present * factor for factor in factors] if is_number(present) else []
    return _numbers(params, name, *(int(v) if isinstance(v, Integral) else float(f"{v:.3g}") for v in multiples))


def regularise(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Augment and penalise, or drop, or prune, whichever the estimator knows."""
    if is_number(params.get("l2")):
        l2 = _numbers(params, "l2", 1e-3 if params["l2"] < 1e-3 else 0.0)
        # On clean fits of six data sets dropout of 0.3 alone gained -0.023 to +0.014, -0.007 on average.
        other = _augmentation(params, seen) or _numbers(params, "dropout", 0.3 if params["dropout"] < 0.3 else 0.0)
        return {**other, **l2}
    return (
        _scaled(params, "alpha", 100, 10_000)
        or _scaled(params, "C", 0.1, 0.01)
        or _numbers(params, "min_samples_leaf", 5, 20)
        or _numbers(params, "n_neighbors", 5, 15)
    )


def _augmentation(params: Mapping[str, Any], seen: Observations) -> Grid:
    return {} if params.get("augmentation", "") is not None else {"augmentation": [None, augmenting(seen)]}


def rates(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """The default and what is usual; the present learning rate only if it is near them."""
    name = rate_name(params)
    if not name or not seen.components.is_network:
        return {}
    usual = defaults_of(seen.components).get(name)
    values = [usual] if is_number(usual) else []
    near = 1e-4 <= params[name] <= 3e-2
    return {name: _unique([params[name]] * near + values + list(USUAL[name]))}


def slower(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Learning rates below the present one, which is the fault: the default, usual ones, and factors of ten down."""
    name = rate_name(params)
    if not name:
        return {}
    usual = [defaults_of(seen.components).get(name), *USUAL[name]]
    below = [rate for rate in usual if is_number(rate) and rate < params[name] / 2]
    return {name: _unique(below + [float(f"{params[name] * factor:.3g}") for factor in (0.1, 0.01)])}


def longer(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """The default where that is more epochs; or four times as many, or more where that would still be few steps."""
    if _is_short(params, seen):
        return {"epochs": [params["epochs"], "auto"]}
    times, size = TIMES_LONGER, params.get("batch_size")
    if is_number(size) and is_number(params.get("epochs")):
        steps = params["epochs"] * -(-len(seen.train.y) // size)
        times = int(np.clip(-(-LEAST_STEPS // max(1, steps)), times, 16))
    return _scaled(params, "epochs", times) or (_scaled(params, "max_iter", times) if "max_iter" in params else {})


def _is_short(params: Mapping[str, Any], seen: Observations) -> bool:
    """Whether there were fewer epochs than by default."""
    return is_number(params.get("epochs")) and params["epochs"] < seen.components.auto_epochs(len(seen.train.y))


def larger(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Twice and four times as wide, within the bound of weights; not if that was tried already, or was done before."""
    found = width_of(params)
    if found is None or any(tried.startswith(f"{found[0]}=") for tried in seen.refits.seconds):
        return {}
    usual = defaults_of(seen.components).get(found[0])
    if usual is not None and _weights_of(found[1]) > _weights_of(usual):
        return {}
    n_weights, most = _n_weights(seen), WEIGHTS_PER_SAMPLE * len(seen.train.y)
    return _resized(found, *(factor for factor in (2, 4) if factor**2 * n_weights <= most))


def _n_weights(seen: Observations) -> int:
    coefficients = getattr(seen.components.final, "coefs_", None)
    if isinstance(coefficients, list):  # scikit-learn's multilayer perceptron
        return sum(array.size for array in coefficients)
    model = seen.components.keras_model
    return 0 if model is None else int(model.count_params())


def _weights_of(sizes: Any) -> float:
    """Return about how many weights layers of these sizes have between them."""
    sizes = np.atleast_1d(sizes).astype(float)
    return float(sizes[0] + (sizes[1:] * sizes[:-1]).sum())


def _resized(found: tuple[str, Any] | None, *factors: float) -> Grid:
    if found is None or not factors:
        return {}
    name, sizes = found
    if isinstance(sizes, Integral):
        return {name: [sizes, *(max(1, round(int(sizes) * factor)) for factor in factors)]}
    return {name: [tuple(sizes), *(tuple(max(1, round(size * factor)) for size in sizes) for factor in factors)]}


def deeper(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """One layer more, twice as wide."""
    found = width_of(params)
    if found is None or isinstance(found[1], Integral):
        return {}
    name, sizes = found
    return {name: [tuple(sizes), (*sizes, 2 * sizes[-1])]}


def back(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Parameters beyond their range, back to the default and around it."""
    asked = facts.get("params") or excessive(seen)
    return {name: _unique([value, *USUAL.get(name, ())]) for name, value in asked.items()}


def statistics(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Those of the final weights; of a short training more steps, too."""
    final = {"batch_statistics": ["final"]} if params.get("batch_statistics") == "moving" else {}
    return {**final, **(longer(params, facts, seen) if _is_short(params, seen) else {})}


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


def standardize(params: Mapping[str, Any], facts: Mapping[str, Any], seen: Observations) -> Grid:
    """Standardise in the graph or not, where nothing before the network does."""
    if params.get("standardize", "") is not None or seen.components.steps:
        return {}
    return {"standardize": [None, "channel" if len(seen.sample_shape) > 1 else "position"]}


CURES: dict[str, Cure] = {
    "regularise": regularise,
    "rates": rates,
    "slower": slower,
    "longer": longer,
    "stop_early": lambda params, *_: (
        {"early_stopping": [params["early_stopping"], True]} if params.get("early_stopping") in (False, "auto") else {}
    ),
    "standardize": standardize,
    "larger": larger,
    "smaller": lambda params, *_: _resized(width_of(params), 0.5),
    "deeper": deeper,
    "back": back,
    "statistics": statistics,
    "balance": balance,
    # Of two cures for imbalance the sampler stays.
    "balance_once": lambda params, *_: {"class_weight": [None]} if params.get("class_weight") is not None else {},
    "priors": priors,
    "smooth_labels": lambda params, *_: _numbers(params, "label_smoothing", 0.1),
    "scale": scale,
}
OF_LENGTH = {"longer", "statistics"}  # a training that was too short is no candidate
# Where training or size is to blame, what is cheap and usual is searched beside the cure, in this order.
OF_TRAINING = {"regularise", "rates", "slower", "longer", "larger", "deeper", "back", "statistics"}
BESIDE = ("longer", "standardize", "rates")

# Scores that see what a finding is about; accuracy hardly does.
SCORES = {"class_shares", "majority_collapse", "majority_baseline", "recall_spread", "metric_unfit", "threshold"}
MOST_COST = 40.0  # of a grid, in present fits; or as many as it may have candidates, in fits of default length


def suggest(seen: Observations, findings: list[Finding], max_candidates: int) -> Suggestion:
    """Collect the cures of the findings, those of the most serious first, up to a number of candidates and a cost.

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
    suggestion = Suggestion(
        None, advice={finding.code: finding.do for finding in findings}, cv=_splitter(seen, findings)
    )
    model = components.unfitted
    if model is None:
        return suggestion
    suggestion.steps = steps = _steps(seen, findings)
    suggestion.estimator, prefix = _with_steps(model, steps, components.prefix)
    suggestion.reasons = {step.name: [step.finding] for step in steps}
    for wishes in (_proven, _cured, _beside):
        for finding in findings:
            _add(suggestion, wishes(seen, finding, prefix), prefix, finding.code, max_candidates, seen)
    if seen.skewed or (seen.has_classes and SCORES & {finding.code for finding in findings}):
        suggestion.scoring = "balanced_accuracy"
    return suggestion


def _proven(seen: Observations, finding: Finding, prefix: str) -> Grid:
    """Return the parameters by which another fit has raised the score, with what is usual beside them."""
    proven = finding.facts.get("params", {})
    return {prefix + name: _unique([value, *USUAL.get(name, ())]) for name, value in proven.items()}


def _cured(seen: Observations, finding: Finding, prefix: str) -> Grid:
    """Return the cures of one finding, and the defaults of regularisation that differs from them."""
    grid: Grid = {}
    params = seen.components.params
    proven = finding.facts.get("params", {})
    names = list(finding.cures)
    if OF_TRAINING & set(finding.cures):
        usual, beyond = differing(seen.components), excessive(seen)
        for name in (*REGULARISERS, "batch_size", "gamma", "max_depth"):
            if name in usual and name not in proven:
                grid[prefix + name] = [usual[name]] if name in beyond else [usual[name], params[name]]
        if seen.skewed and seen.has_probabilities and not balancing(seen):
            names.insert(0, "balance")
    for name in filter(CURES.get, names) if not proven else ():
        for parameter, values in CURES[name](params, finding.facts, seen).items():
            values = ["auto"] if name in OF_LENGTH and "auto" in values else values
            grid.setdefault(prefix + parameter, values)
    if "sampler_inside" in finding.cures and "sampler" in params:
        outside = seen.components.samplers
        if len(outside) == 1:
            (name, sampler), stem = outside[0], prefix[: -len(prefix.split("__")[-2]) - 2]
            grid |= {f"{stem}{name}": ["passthrough"], f"{prefix}sampler": [clone(sampler)]}
    return grid


def _beside(seen: Observations, finding: Finding, prefix: str) -> Grid:
    """Return what is cheap and usual, where training or size is to blame."""
    grid: Grid = {}
    if OF_TRAINING & set(finding.cures) and seen.components.is_network:
        names = (*BESIDE, *finding.cures) if finding.facts.get("params") else BESIDE
        for name in filter(CURES.get, names):
            for parameter, values in CURES[name](seen.components.params, finding.facts, seen).items():
                grid.setdefault(prefix + parameter, values)
    return grid


def _add(suggestion: Suggestion, wishes: Grid, prefix: str, code: str, max_candidates: int, seen: Observations) -> None:
    """Add parameters to the grid as far as there is room, in candidates and in cost."""
    grid, usual = suggestion.param_grid, seen.components.auto_epochs(len(seen.train.y))
    epochs = seen.components.params.get("epochs")
    most = max(MOST_COST, max_candidates * usual / epochs) if is_number(epochs) else MOST_COST
    for name, values in wishes.items():
        if name in grid:
            if code not in suggestion.reasons[name]:
                suggestion.reasons[name].append(code)
            continue
        present = seen.components.params.get(name.removeprefix(prefix))
        costs = [_relative_cost(name, usual if isinstance(value, str) else value, present) for value in values]
        room = max(1, max_candidates // suggestion.n_candidates)
        while room > 1 and suggestion.cost * sum(costs[:room]) > most:
            room -= 1
        if room == 1 < len(values) and _is_first(values, present):
            continue
        grid[name] = values[:room]
        suggestion.cost *= sum(costs[:room])
        suggestion.reasons[name] = [code]


def _is_first(values: list[Any], present: Any) -> bool:
    """Whether the first value is the present one, which alone would change nothing."""
    return bool(np.array_equal(np.asarray(values[0], dtype=object), np.asarray(present, dtype=object)))


def _relative_cost(name: str, value: Any, present: Any) -> float:
    """Return how many times as long as the present fit one with this value takes, by epochs and multiply-adds."""
    last = name.rpartition("__")[2]
    if last in ("epochs", "max_iter", "n_estimators") and is_number(value) and is_number(present):
        return float(value) / max(float(present), 1e-9)
    if last in ("filters", "hidden_layer_sizes") and present is not None:
        return _weights_of(value) / _weights_of(present)
    return 1.0


def _splitter(seen: Observations, findings: list[Finding]) -> Any:
    """Return how to split in the search, where samples are not independent of each other."""
    codes = {finding.code for finding in findings}
    if {"groups", "unmarked_groups"} & codes or (findings and "groups_train" in seen.beside):
        return GroupKFold(n_splits=5)
    return TimeSeriesSplit(n_splits=5) if "times" in codes else None


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

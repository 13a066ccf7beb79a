"""What is known of parameters: their defaults, and from where on a strength is far beyond its useful range."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from skcnn.diagnosis._components import Components, is_number
from skcnn.networks import resolve_network

__all__ = [
    "REGULARISERS",
    "augmenting",
    "defaults_of",
    "differing",
    "excessive",
    "far_from_default",
    "rate_name",
    "width_of",
]

# Values at or beyond which few would set a parameter on purpose: at most the first, at least the second.
RANGES: dict[str, tuple[float, float]] = {
    "dropout": (-1, 0.8),
    "spatial_dropout": (-1, 0.8),
    "stochastic_depth": (-1, 0.8),
    "l1": (-1, 0.01),
    "l2": (-1, 0.1),
    "weight_decay": (-1, 0.1),
    "mixup": (-1, 2.0),
    "label_smoothing": (-1, 0.5),
    "augmentation_strength": (-1, 3.0),
    "focal_gamma": (-1, 8.0),
    "momentum": (-1, 0.99),
    "clipnorm": (1e-3, np.inf),
    "C": (1e-3, np.inf),
    "min_impurity_decrease": (-1, 0.01),
    "min_weight_fraction_leaf": (-1, 0.1),
    "ccp_alpha": (-1, 0.02),
    "l2_regularization": (-1, 100.0),
    "max_leaf_nodes": (3, np.inf),
}
REGULARISERS = (
    *("dropout", "spatial_dropout", "stochastic_depth", "l1", "l2", "weight_decay", "mixup", "cutmix"),
    *("label_smoothing", "augmentation", "augmentation_strength", "ema_momentum", "alpha", "C"),
)
# Beyond these, a default says nothing of what is usual.
NO_STRENGTHS = {
    *("epochs", "cache_size", "max_fun", "validation_fraction", "epsilon", "beta_1", "beta_2", "batch_size"),
    *("intercept_scaling", "coef0", "degree"),
}
FACTOR = 100.0
OF_REGULARISERS = 30.0


def defaults_of(components: Components) -> dict[str, Any]:
    """Return the default of each parameter of the final step, by the signature of its class; nested ones too."""
    final = components.final
    usual = getattr(final, "usual", None)
    if usual is not None:
        return dict(usual)
    defaults = _signature(final)
    network = resolve_network(components.params.get("network"))
    if hasattr(network, "get_params"):
        defaults |= {f"network__{name}": value for name, value in _signature(network).items()}
        if hasattr(network, "filters_for"):
            defaults |= components.filters(type(network)())
    return defaults


def _signature(estimator: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(estimator)).parameters
    known = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    return {name: one.default for name, one in parameters.items() if name in known and one.default is not one.empty}


def differing(components: Components) -> dict[str, Any]:
    """Return the defaults of those parameters of the final step that have another value."""
    params, given, found = components.params, components.given, {}
    for name, default in defaults_of(components).items():
        same = _same(params.get(name, default), default) or _same(given.get(name, default), default)
        if name not in ("random_state", "input_shape", "verbose", "n_jobs") and not same:
            found[name] = default
    return found


def _same(value: Any, default: Any) -> bool:
    try:
        return bool(value is default or np.array_equal(value, default))
    except (TypeError, ValueError):
        return False


def excessive(seen: Any) -> dict[str, Any]:
    """Return the defaults of those parameters whose values lie far beyond their useful range."""
    params, usual = seen.components.params, differing(seen.components)
    found = {name: usual[name] for name in usual if name in RANGES and _beyond(params[name], *RANGES[name])}
    for names in (_rate, _stopping, _batch, _time, _leaves, _weights, _kernel):
        found |= {name: usual[name] for name in names(params, seen) if name in usual}
    return found


def _beyond(value: Any, low: float, high: float) -> bool:
    return is_number(value) and not low < value < high


def _rate(params: Mapping[str, Any], seen: Any) -> list[str]:
    """Learning rates of networks; 0.1 is usual for plain gradient descent."""
    if not seen.components.is_network:
        return []
    plain = "sgd" in (params.get("optimizer"), params.get("solver"))
    names = ("learning_rate", "learning_rate_init")
    return [name for name in names if _beyond(params.get(name), 1e-5, 1.0 if plain else 0.1)]


def _stopping(params: Mapping[str, Any], seen: Any) -> list[str]:
    """Stops at the first epoch that is not much better."""
    if not seen.components.is_network or not is_number(params.get("tol")):
        return []
    patience = params.get("n_iter_no_change", 10)
    at_once = params["tol"] >= 0.05 or (patience <= 2 and params["tol"] >= 0.01)
    return ["tol", "n_iter_no_change"] if at_once else []


def _batch(params: Mapping[str, Any], seen: Any) -> list[str]:
    size = params.get("batch_size")
    return ["batch_size"] if is_number(size) and size <= 4 else []


def _time(params: Mapping[str, Any], seen: Any) -> list[str]:
    """Averages and warm-ups over more steps than there were."""
    n_epochs, size = len(seen.components.history.get("loss", [])), params.get("batch_size")
    found = []
    if n_epochs and is_number(size) and _beyond(params.get("ema_momentum"), -1, 0.5):
        steps = n_epochs * -(-len(seen.train.y) // size)
        if 1 / max(1 - params["ema_momentum"], 1e-12) > steps / 2:
            found.append("ema_momentum")
    if n_epochs and _beyond(params.get("warmup_epochs"), -1, max(1.0, n_epochs / 2)):
        found.append("warmup_epochs")
    return found


def _leaves(params: Mapping[str, Any], seen: Any) -> list[str]:
    """Leaves and neighbourhoods that hold a large share of all samples; tiny subsamples."""
    n, found = len(seen.train.y), []
    for name, share in (("min_samples_leaf", 0.05), ("min_samples_split", 0.1), ("n_neighbors", 0.1)):
        value = params.get(name)
        if is_number(value) and (value >= share if isinstance(value, float) else value >= max(20, share * n)):
            found.append(name)
    for name in ("subsample", "max_samples"):
        value = params.get(name)
        if is_number(value) and (value <= 0.05 if isinstance(value, float) else value <= 0.05 * n):
            found.append(name)
    return found


def _inverted_weights(params: Mapping[str, Any], seen: Any) -> bool:
    """Whether the most frequent class weighs several times as much as the rarest."""
    weights = params.get("class_weight")
    if not isinstance(weights, dict) or not seen.has_classes:
        return False
    counts = seen.counts(seen.train.codes)
    present = np.flatnonzero(counts)
    most, rarest = (present[order(counts[present])] for order in (np.argmax, np.argmin))
    return bool(weights.get(seen.classes[most], 1.0) >= 3 * weights.get(seen.classes[rarest], 1.0))


def _weights(params: Mapping[str, Any], seen: Any) -> list[str]:
    found = ["class_weight"] if _inverted_weights(params, seen) else []
    shares = params.get("priors")
    if shares is not None and not isinstance(shares, str) and np.max(shares) >= 20 * max(np.min(shares), 1e-12):
        found.append("priors")
    return found


def _kernel(params: Mapping[str, Any], seen: Any) -> list[str]:
    """A kernel a hundred times narrower or wider than by scikit-learn's rule."""
    gamma = params.get("gamma")
    if not is_number(gamma) or gamma <= 0:
        return []
    flat = seen.train.flat
    ratio = gamma * flat.shape[1] * max(float(flat.var()), 1e-300)
    return [] if 1 / FACTOR < ratio < FACTOR else ["gamma"]


def far_from_default(seen: Any) -> dict[str, Any]:
    """Return the defaults of those parameters that are orders of magnitude from them, or hold back any fit.

    A regulariser is one if it is 30 times as strong as by default, or if there is none by default.
    Whether that is too far depends on the data: it is worth a look only where the fit is bad.
    """
    params, usual = seen.components.params, differing(seen.components)
    found: dict[str, Any] = {}
    for name, default in usual.items():
        value = params[name]
        if name in NO_STRENGTHS or not is_number(value):
            continue
        if name in REGULARISERS:
            if is_number(default) and _stronger(name, float(value), float(default)):
                found[name] = default
            continue
        if name == "max_iter" and seen.components.is_network:  # how long to train is asked of the loss
            continue
        whole = isinstance(default, int)
        if is_number(default) and default > 0 < value:
            factor = 10 if whole and value < default else 20 if name == "learning_rate" else FACTOR
            if not 1 / factor < value / default < FACTOR:
                found[name] = default
        elif name in ("max_depth", "max_leaf_nodes") and default is None:
            found[name] = default
    if params.get("max_depth") == 1 and "max_depth" in usual:
        found["max_depth"] = usual["max_depth"]
    return found


def _stronger(name: str, value: float, default: float) -> bool:
    if name == "C":  # the smaller, the stronger
        value, default = 1 / max(value, 1e-300), 1 / max(default, 1e-300)
    return value > OF_REGULARISERS * default


def width_of(params: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the parameter that says how wide a network is, and its value: a number, or one for each layer."""
    for name in ("network__filters", "hidden_layer_sizes"):
        if params.get(name) is not None:
            return name, params[name]
    return None


def rate_name(params: Mapping[str, Any]) -> str:
    """Return the name of the parameter that holds the learning rate, or nothing."""
    names = ("learning_rate_init", "learning_rate")
    return next((name for name in names if isinstance(params.get(name), float | int)), "")


def augmenting(seen: Any) -> list[str]:
    """Return what keeps the class of most samples, by their kind; columns of a table have no order."""
    names = {2: ["time_shift", "scaling", "jitter"], 3: ["translation", "rotation", "zoom"]}
    return names.get(len(seen.sample_shape), ["scaling", "noise"])

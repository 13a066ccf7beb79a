"""Causes that lie in the settings of the estimator, and in networks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from diagnosis_data import Samples
from diagnosis_planting import CLASSES, NOT_TABLES, cause, noisy, skewed, spread
from imblearn.over_sampling import RandomOverSampler
from keras import initializers, losses

Rng = np.random.Generator
OURS = ("cnn", "custom")
TOO_SHORT = {"loss_falling", "underfit", "overdone"}
TOO_WEAK = {"underfit", "overdone"}


def unnormalised(samples: Samples, rng: Rng) -> dict[str, Any]:
    """Return the settings of a network without normalisation, which would undo the cause."""
    return {"normalization": None}


def constant_rate(samples: Samples, rng: Rng) -> dict[str, Any]:
    return {"normalization": None, "schedule": "constant"}


def setting(
    name: str, codes: set[str], ladder: Sequence[Any], parameters: Callable[[Any], dict[str, Any]], **more: Any
) -> None:
    """Register a cause that is nothing but settings."""

    def plant(samples: Samples, strength: Any, rng: Rng) -> dict[str, Any]:
        return parameters(strength)

    cause(name, codes, ladder, **{"curable": True, **more})(plant)


# Too short, too slow, too fast ----------------------------------------------------------------------------------------

setting("few epochs", TOO_SHORT, (40, 12, 4, 1), lambda s: {"epochs": s}, on=(*OURS, "keras"), family="epochs")
setting(
    "large batches",
    TOO_SHORT,
    (40, 20, 8, 3),
    lambda s: {"epochs": s, "batch_size": 200},
    on=(*OURS, "keras"),
    family="epochs",
)
setting(
    "a tiny learning rate",
    {*TOO_SHORT, "loss_never_fell"},
    (1e-4, 3e-5, 1e-5, 1e-7),
    lambda s: {"learning_rate": s},
    on=(*OURS, "keras"),
    family="rate",
)
setting(
    "a huge learning rate",
    {"loss_blew_up", "loss_never_fell", "dead_units", "overdone"},
    (0.03, 0.1, 0.5, 5.0),
    lambda s: {"learning_rate": s},
    on=["cnn"],
    base=constant_rate,
    family="rate",
)
setting(
    "few iterations",
    TOO_SHORT,
    (30, 10, 3),
    lambda s: {"max_iter": s},
    on=["mlp"],
    family="epochs",
)
setting(
    "a tiny learning rate of the perceptron",
    {*TOO_SHORT, "loss_never_fell"},
    (1e-4, 3e-5, 1e-6),
    lambda s: {"learning_rate_init": s},
    on=["mlp"],
    family="rate",
)
setting(
    "few or slow trees",
    {*TOO_WEAK, "loss_falling"},
    (0.02, 0.005, 0.001),
    lambda s: {"learning_rate": s},
    on=["boosting"],
    family="rate",
)
setting(
    "impatience",
    TOO_SHORT,
    (0.02, 0.1, 0.5),
    lambda s: {"early_stopping": True, "n_iter_no_change": 1, "tol": s},
    on=OURS,
    family="overdone",
)

# Too small ------------------------------------------------------------------------------------------------------------

setting(
    "too few filters",
    {"underfit", "receptive_field", "overdone"},
    ((3,), (2,), (1,)),
    lambda s: {"filters": s, "pooling": "avg"},
    on=["cnn"],
    family="small",
)
setting(
    "kernels of one step",
    {"receptive_field", "underfit"},
    ((8, 16), (8,), (2,)),
    lambda s: {"filters": s, "kernel_size": 1, "pooling": "avg"},
    on=["cnn"],
    kinds=NOT_TABLES,
    family="small",
)
setting(
    "shallow trees",
    TOO_WEAK,
    (4, 2, 1),
    lambda s: {"max_depth": s},
    on=["forest"],
    family="small",
)
setting(
    "dead units",
    {"dead_units", "underfit", "loss_never_fell", "loss_falling"},
    (-2.0, -5.0, -20.0),
    lambda s: {"bias": initializers.Constant(s)},
    on=["custom", "keras"],
    family="small",
    curable=False,
)


# Overdone -------------------------------------------------------------------------------------------------------------

OVERDONE: dict[str, tuple[tuple[Any, ...], Callable[[Any], dict[str, Any]], dict[str, Any]]] = {
    "dropout": ((0.8, 0.95, 0.995), lambda s: {"dropout": s}, {"on": ("cnn", "keras")}),
    "spatial dropout": ((0.5, 0.8, 0.95), lambda s: {"spatial_dropout": s}, {"on": ["cnn"]}),
    "an l2 penalty": ((0.03, 0.1, 0.3, 3.0), lambda s: {"l2": s}, {"on": ["cnn"], "base": unnormalised}),
    "an l1 penalty": ((0.003, 0.01, 0.03, 0.3), lambda s: {"l1": s}, {"on": ["cnn"], "base": unnormalised}),
    "weight decay": ((1.0, 5.0, 30.0), lambda s: {"weight_decay": s}, {"on": ["cnn"], "base": unnormalised}),
    "augmentation": (
        (4, 8, 15),
        lambda s: {"augmentation": ["scaling", "noise"], "augmentation_strength": s},
        {"on": OURS},
    ),
    "warped images": (
        (3, 6, 15),
        lambda s: {"augmentation": ["translation", "rotation"], "augmentation_strength": s},
        {"on": OURS, "kinds": ["images"]},
    ),
    "averaging of weights": ((0.999, 0.9995, 0.9999), lambda s: {"ema_momentum": s}, {"on": OURS}),
    "label smoothing": ((0.8, 0.95, 0.999), lambda s: {"label_smoothing": s}, {"on": OURS, "tasks": CLASSES}),
    "mixup": ((2, 20, 200), lambda s: {"mixup": s}, {"on": OURS, "tasks": CLASSES}),
    "clipping": ((1e-7, 1e-8, 1e-9), lambda s: {"clipnorm": s}, {"on": OURS}),
    "momentum": (
        (0.999, 0.9995, 0.9999),
        lambda s: {"optimizer": "sgd", "momentum": s, "learning_rate": 0.01},
        {"on": OURS},
    ),
    "the focal loss": ((10, 30, 100), lambda s: {"loss": "focal", "focal_gamma": s}, {"on": OURS, "tasks": CLASSES}),
    "C of the linear model": ((1e-3, 1e-4, 1e-6), lambda s: {"C": s}, {"on": ["linear"], "tasks": CLASSES}),
    "alpha of the ridge": ((300, 1e3, 1e4), lambda s: {"alpha": s}, {"on": ["linear"], "tasks": ["regression"]}),
    "C of the support vectors": ((0.05, 0.01, 1e-4), lambda s: {"C": s}, {"on": ["svm"]}),
    "samples in each leaf": ((20, 60, 150), lambda s: {"min_samples_leaf": s}, {"on": ["forest", "boosting"]}),
    "alpha of the perceptron": ((30, 100, 1000), lambda s: {"alpha": s}, {"on": ["mlp"]}),
    "the penalty of the trees": ((300, 3e3, 3e4), lambda s: {"l2_regularization": s}, {"on": ["boosting"]}),
}
for what, (ladder, parameters, more) in OVERDONE.items():
    setting(f"overdone: {what}", TOO_WEAK, ladder, parameters, **{"family": "overdone", **more})

setting(
    "a kernel that sees one sample",
    {"overdone", "gap"},
    (3.0, 10.0, 100.0),
    lambda s: {"gamma": s},
    on=["svm"],
    family="overdone",
)
setting(
    "batches of two under batch normalisation",
    {"batch_statistics", "overdone"},
    (8, 4, 2),
    lambda s: {"batch_size": s, "epochs": 10},
    on=OURS,
    family="batch",
)
setting(
    "batch statistics that lag",
    {"batch_statistics"},
    (0.999, 0.9995, 0.9999),
    lambda s: {"bn_momentum": s, "batch_statistics": "moving"},
    on=["custom", "keras"],
    family="batch",
    curable=False,
)
setting(
    "batch statistics after few steps",
    {"batch_statistics"},
    (12, 6, 3),
    lambda s: {"epochs": s, "learning_rate": 0.01, "batch_statistics": "moving"},
    on=["custom", "keras"],
    family="batch",
)


@cause(
    "a search among useless values",
    {"underfit", "overdone", "edge"},
    (1e-2, 1e-3, 1e-4),
    on=["search"],
    tasks=CLASSES,
    family="overdone",
    curable=True,
)
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    return {"grid": [strength / 100, strength / 10, strength]}


# Classes and thresholds -----------------------------------------------------------------------------------------------


@cause(
    "inverted class weights",
    {"overdone", "threshold", "class_shares", "majority_collapse"},
    (3, 10, 100),
    on=[*OURS, "linear", "forest", "svm"],
    tasks=CLASSES,
    base=noisy,
    curable=True,
)
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    classes = np.unique(samples.y).tolist()
    return {"class_weight": {label: float(strength) if label == classes[0] else 1.0 for label in classes}}


@cause(
    "priors of another population",
    {"threshold", "majority_collapse", "overdone"},
    (0.2, 0.01, 1e-5),
    on=OURS,
    tasks=CLASSES,
    base=noisy,
    curable=True,
)
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    shares = np.full(len(np.unique(samples.y)), strength)
    shares[0] = max(1.0, strength)
    return {"priors": (shares / shares.sum()).tolist()}


@cause(
    "balanced twice",
    {"balanced_twice", "threshold", "overdone"},
    (5, 20, 100),
    on=OURS,
    tasks=CLASSES,
    base=skewed,
    curable=True,
)
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    last = int(samples.y.max())
    weights = {label: float(strength) if label == last else 1.0 for label in np.unique(samples.y).tolist()}
    return {"class_weight": weights, "sampler": RandomOverSampler(random_state=0)}


# Keras ----------------------------------------------------------------------------------------------------------------


@cause("class numbers as a quantity", {"loss_mismatch"}, (1.0, 0.3, 0.1), on=["keras"], tasks=["multiclass"])
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    return {"loss": "mse", "n_outputs": 1, "ending": "linear", "epochs": max(3, round(100 * strength))}


@cause("a softmax of one output", {"loss_mismatch", "majority_collapse"}, (1,), on=["keras"], tasks=["binary"])
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    return {"ending": "softmax"}


@cause("softmax and then from_logits", {"squashed_twice"}, (30, 10, 4, 2), on=["keras"], tasks=["multiclass"])
def _(samples: Samples, strength: float, rng: Rng) -> dict[str, Any]:
    return {"loss": losses.SparseCategoricalCrossentropy(from_logits=True), "epochs": strength}


@cause(
    "outputs of the wrong range",
    {"loss_mismatch", "squashed_twice", "dead_units"},
    ("relu", "sigmoid"),
    on=["keras"],
    tasks=["regression"],
)
def _(samples: Samples, strength: str, rng: Rng) -> dict[str, Any]:
    return {"ending": strength}


# Scale of the inputs --------------------------------------------------------------------------------------------------


def unscaled(samples: Samples, rng: Rng) -> dict[str, Any]:
    """Scale all samples by the training samples, for an estimator that does not."""
    middle, scale = samples.X.mean(axis=0), np.where(samples.X.std(axis=0) > 0, samples.X.std(axis=0), 1)
    samples.every(lambda X: (X - middle) / scale)
    return {"standardize": None, "normalization": None, "scaled": False, "normalize": False, "bn_momentum": 0}


SCALED = {"input_scale", "loss_blew_up", "loss_never_fell", "loss_falling"}


@cause("large inputs", SCALED, (10, 100, 1e4), on=["cnn", "keras", "svm", "mlp"], base=unscaled, family="inputs")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.every(lambda X: X * strength)


@cause("small inputs", SCALED, (0.1, 0.01, 1e-4), on=["cnn", "keras", "svm", "mlp"], base=unscaled, family="inputs")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.every(lambda X: X * strength)


@cause("inputs far from zero", SCALED, (5, 30, 300), on=["cnn", "keras", "mlp"], base=unscaled, family="inputs")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    offset = strength * spread(samples.X)
    samples.every(lambda X: X + offset)


@cause(
    "columns of unequal scales",
    {*SCALED, "underfit"},
    (10, 100, 1e4),
    on=["cnn", "keras", "svm", "mlp"],
    base=unscaled,
    family="inputs",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    flat = samples.X.reshape(len(samples.X), -1)
    factors = np.where(rng.uniform(size=flat.shape[1]) < 0.3, strength, 1.0).reshape(samples.X.shape[1:])
    samples.every(lambda X: X * factors)

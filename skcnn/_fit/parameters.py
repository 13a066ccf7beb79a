"""Parameters that classifier and regressor share: names, constraints, copies, and what needs no data to be known."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from skcnn._engine.keras_internals import copy_of_layer
from skcnn._fit.callback_copies import copy_state
from skcnn._sklearn.checks import KnownArguments, nearest
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions
from skcnn.augmentation import AUGMENTATIONS, check_augmentation, listed
from skcnn.networks import NETWORKS, Network, resolve_network

__all__ = ["PENALTY", "RATE", "Parameters", "auto_epochs", "epochs_for"]

MANY = 2**63 - 1  # the largest integer that the graphs can hold
RATE = Interval(Real, 0, 1, closed="left")
PENALTY = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")

# What other libraries call the losses, each without "mean", "loss" and underscores.
_KINDS = ("binary", "categorical", "sparsecategorical")
_LOSS_NAMES = {
    "squared_error": ("mse", "squarederror", "l2"),
    "absolute_error": ("mae", "absoluteerror", "l1"),
    "huber": ("smoothl1", "logcosh"),
    "quantile": ("pinball",),
    "poisson": ("poissondeviance", "poissonnll"),
    "log_loss": ("bce", "nll", "log", "crossentropy", *(f"{kind}crossentropy" for kind in _KINDS)),
    "focal": tuple(f"{kind}focalcrossentropy" for kind in _KINDS),
}


def _name_of_loss(loss: Any) -> str | None:
    """Return what a loss of Keras, by its name or as an object or function, is called here; None if it is unknown."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    plain = name.lower().replace("_", "").replace("mean", "").replace("loss", "")
    return next((ours for ours, theirs in _LOSS_NAMES.items() if plain in (ours.replace("_", ""), *theirs)), None)


def auto_epochs(cnn: "Parameters", n_samples: int) -> int:
    """Return what epochs="auto" stands for with so many samples."""
    fewest, most = cnn.AUTO_EPOCHS
    return int(np.clip(-(-cnn.AUTO_STEPS // -(-n_samples // cnn.batch_size)), fewest, most))


def epochs_for(cnn: "Parameters", n_samples: int) -> int:
    """Return how often an estimator passes over so many samples."""
    return auto_epochs(cnn, n_samples) if isinstance(cnn.epochs, str) else int(cnn.epochs)


@dataclass(eq=False, repr=False)
class Parameters(KnownArguments, BaseEstimator):
    """Parameters of both estimators; a dataclass writes the __init__ that only assigns."""

    # epochs="auto" makes this number of steps, within these numbers of epochs.
    AUTO_STEPS = 1000
    AUTO_EPOCHS = (30, 150)
    DROPOUTS = ("dropout", "spatial_dropout", "stochastic_depth")

    _parameter_constraints = {
        "network": [StrOptions(set(NETWORKS)), Network, callable],
        "input_shape": ["array-like", None],
        "l1": [PENALTY],
        "l2": [PENALTY],
        "dropout": [RATE],
        "spatial_dropout": [RATE],
        "stochastic_depth": [RATE],
        "weight_decay": [PENALTY],
        "mixup": [PENALTY],
        "cutmix": [PENALTY],
        "augmentation": [StrOptions(set(AUGMENTATIONS)), list, tuple, HasMethods(["call", "get_config"]), None],
        "augmentation_strength": [PENALTY],
        "optimizer": [StrOptions({"adam", "sgd", "rmsprop"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "momentum": [RATE],
        "nesterovs_momentum": ["boolean"],
        "schedule": [StrOptions({"constant", "cosine", "one_cycle", "plateau"})],
        "warmup_epochs": [PENALTY],
        "clipnorm": [Interval(Real, 0, None, closed="neither"), None],
        "ema_momentum": [RATE],
        "batch_statistics": [StrOptions({"final", "moving"})],
        "batch_size": [COUNT],
        "epochs": [COUNT, StrOptions({"auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable],
        "refit_full": ["boolean"],
        "standardize": [StrOptions({"auto", "channel", "position"}), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "shuffle_validation": ["boolean"],
        "n_iter_no_change": [COUNT],
        "tol": [PENALTY],
        "warm_start": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"})],
        "memory": [str, PathLike, Memory, None],
        "callbacks": [list, tuple, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    network: str | Network | Callable[..., Any] = "plain"
    _: KW_ONLY
    input_shape: Sequence[int] | None = None
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    spatial_dropout: float = 0.0
    stochastic_depth: float = 0.0
    weight_decay: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    augmentation: Any = None
    augmentation_strength: float = 1.0
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: float = 0.003
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    schedule: Literal["constant", "cosine", "one_cycle", "plateau"] = "cosine"
    warmup_epochs: float = 0.0
    clipnorm: float | None = None
    ema_momentum: float = 0.0
    batch_statistics: Literal["final", "moving"] = "final"
    batch_size: int = 32
    epochs: int | Literal["auto"] = "auto"
    early_stopping: bool | Literal["auto"] = "auto"
    scoring: str | Callable[..., float] = "loss"
    validation_fraction: float = 0.1
    shuffle_validation: bool = True
    refit_full: bool = False
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    standardize: Literal["auto", "channel", "position"] | None = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    memory: str | PathLike[str] | Memory | None = None
    callbacks: Sequence[Any] | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the estimator and of its network (``network__filters=...``).

        A network given by its name is replaced by the object that it stands for when one of its parameters is set.
        """
        network = params.get("network", self.network)
        if isinstance(network, str) and network in NETWORKS and any(name.startswith("network__") for name in params):
            params["network"] = resolve_network(network)
        self._check_names(params)
        return super().set_params(**params)

    def _check_names(self, params: dict[str, Any]) -> None:
        """Refuse parameters that do not exist, and name what was probably meant."""
        own = self.get_params(deep=False)
        for name in params:
            head, nested, rest = name.partition("__")
            known, of = list(own), ""
            if nested and head in own:
                inner = params.get(head, own[head])
                if isinstance(inner, type) or not hasattr(inner, "get_params"):
                    raise ValueError(
                        f"Invalid parameter {name!r} for {type(self).__name__}: {head}={inner!r} has no parameters. "
                        f"Set {head} to an object that has, such as an estimator or a skcnn.networks.Network."
                    )
                known, of = [f"{head}__{one}" for one in inner.get_params()], f" of {head}={type(inner).__name__}"
                head = f"{head}__{rest.partition('__')[0]}"
            if head not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}{nearest(name, known)} "
                    f"Valid parameters{of} are: {known}."
                )

    def _validate_params(self) -> None:
        try:
            super()._validate_params()
        except ValueError as error:
            hint = _name_of_loss(getattr(self, "loss", None))
            if hint is None or "'loss' parameter" not in str(error):
                raise
            raise type(error)(f"{error} The name here is {hint!r}: set loss={hint!r}.") from None

    def _check_values(self) -> None:
        """Refuse values that the parameter constraints let pass, whatever the data.

        Both `fit` and `check_grid` call it.
        """
        for name, value in self.get_params(deep=False).items():
            largest: Any = MANY if isinstance(value, Integral) else float(np.finfo(self.dtype).max)
            if isinstance(value, Real) and value > largest:
                got = f"about 2**{int(value).bit_length() - 1}" if isinstance(value, Integral) else f"{value:.3g}"
                raise ValueError(
                    f"{name} is {got}; expected at most {largest:.3g}, the largest number of its kind with "
                    f"dtype={self.dtype!r}. Pass a smaller one."
                )
        check_augmentation(self.augmentation)
        sampler = getattr(self, "sampler", None)
        if isinstance(sampler, type):
            name = sampler.__name__
            raise TypeError(f"sampler is the class {name}; expected an instance of it, such as {name}().")

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.callbacks = None  # scikit-learn would copy all that they refer to
        try:
            cloned: Self = super(Parameters, bare).__sklearn_clone__()
        except Exception:
            for layer in listed(self.augmentation):
                if not isinstance(layer, str):
                    copy_of_layer(layer)  # raises an error that names the layer, if it is the reason
            raise
        cloned.callbacks = copy_state(self.callbacks)
        return cloned

    def _strengths(self) -> dict[str, float]:
        """Return the strengths that are on, by name; `l2` always is.

        A search with 0 among its values of `l2` then needs one graph instead of two, at hardly any cost.
        """
        dropouts = [name for name in self.DROPOUTS if getattr(self, name)]
        if dropouts and not isinstance(self.network, (str, Network)):
            raise ValueError(
                f"{dropouts[0]}={getattr(self, dropouts[0])} cannot be applied to a custom network function, which "
                "defines its own layers. Add keras.layers.Dropout in the function, or write a subclass of "
                "skcnn.networks.Network."
            )
        names = ["l1", *dropouts, "weight_decay", "mixup", "cutmix", "clipnorm", "ema_momentum"]
        names += self._more_strengths()
        if self.optimizer == "sgd":
            names.append("momentum")
        if any(isinstance(one, str) for one in listed(self.augmentation)):
            names.append("augmentation_strength")
        on = {name: float(getattr(self, name)) for name in names if getattr(self, name)}
        return {"l2": float(self.l2)} | on

    def _more_strengths(self) -> list[str]:
        return []

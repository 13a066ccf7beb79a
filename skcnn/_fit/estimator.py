"""`BaseCNN`: the parameters, fit and outputs that classifier and regressor share."""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from joblib import Memory
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._engine.behaviour import behaviour_of
from skcnn._engine.blueprint import Topology
from skcnn._engine.checkpoints import memory_folder
from skcnn._engine.feature_store import shared_folder
from skcnn._engine.greetings import is_worker, quiet_start
from skcnn._engine.keras_internals import copy_of_layer
from skcnn._engine.loop import Plan
from skcnn._engine.memory import Need, free_bytes
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.balancing import Balancing
from skcnn._fit.callback_copies import copy_state
from skcnn._fit.fitted import Fitted
from skcnn._fit.recipe import Recipe
from skcnn._fit.run import Run
from skcnn._fit.samples import Layout, Samples, as_inputs
from skcnn._fit.targets import Target
from skcnn._fit.weights import check_sample_weight
from skcnn._lazy import LazySamples
from skcnn._sklearn.callback_tasks import CallbackSupportMixin, FitTasks, follows_epochs, shows_bars
from skcnn._sklearn.checks import (
    KnownArguments,
    check_groups,
    check_X,
    check_y,
    hint_at_layout,
    naming,
    nearest,
    resolve_input_shape,
)
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions, fit_context
from skcnn._sklearn.version_note import VersionNote
from skcnn.augmentation import AUGMENTATIONS, check_augmentation, layer_key, listed
from skcnn.exceptions import LayoutWarning, warn
from skcnn.networks import NETWORKS, Network, NetworkBuilder, resolve_network

__all__ = ["PENALTY", "RATE", "BaseCNN", "epochs_for"]

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


def epochs_for(cnn: "BaseCNN", n_samples: int) -> int:
    """Return how often an estimator passes over so many samples."""
    return cnn._auto_epochs(n_samples) if isinstance(cnn.epochs, str) else int(cnn.epochs)


@dataclass(eq=False, repr=False)
class BaseCNN(DiagramMixin, CallbackSupportMixin, VersionNote, KnownArguments, BaseEstimator):
    """Base of classifier and regressor: checks, fit, and outputs of the network."""

    # Keras rebuilds the network from its description for prediction, so its version matters too.
    _noted = ("skcnn", "keras")
    # Above this, early_stopping="auto" is on, as in scikit-learn's HistGradientBoostingClassifier.
    AUTO_EARLY_STOPPING_SAMPLES = 10_000
    # epochs="auto" makes this number of steps, within these numbers of epochs.
    AUTO_STEPS = 1000
    AUTO_EPOCHS = (30, 150)
    # Any rate in (0, 1) stands for "on" when a network is built; the actual rates are inputs of each step.
    DROPOUT_ON = 0.5
    # A memory map of more bytes than that, or than this share of free memory, is read in blocks as lazy samples are.
    LAZY_BYTES = 2**30
    LAZY_SHARE = 0.25
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

    # Parameters of both estimators; a dataclass writes the __init__ that only assigns.
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

    # Fit --------------------------------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like or LazySamples of shape (n, n_features) or (n, ..., n_channels)
            Training samples, up to 5-D, channels last. ``uint8`` stays ``uint8`` until it is on the device. What is in
            a file (`skcnn.datasets.LazySamples`, and memory maps larger than 1 GiB or a quarter of the free memory) is
            read in blocks, in the order of each epoch.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weight of each sample; 2 is equivalent to repeating the sample, 0 to leaving it out.
        groups : array-like of shape (n,), default=None
            Group of each sample; samples of one group stay on the same side of the inner validation split.
        X_val, y_val : array-like, default=None
            Validation samples and targets for early stopping, in place of an inner validation split.
        sample_weight_val : array-like, default=None
            Weights of the validation samples.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are invalid, before any training.
        FloatingPointError
            If the loss becomes infinite or NaN.
        MemoryError
            If memory runs out, or is certain to; the message says what would fit.
        KeyboardInterrupt
            If interrupted; the estimator is left fitted with the best weights so far.
        """
        earlier = self._fitted if self.warm_start and self.__sklearn_is_fitted__() else None
        samples = self._check_samples(X, y, sample_weight, groups, earlier)
        with samples.need.explained():
            held_out = self._check_validation_samples(samples, X_val, y_val, sample_weight_val)
            recipe = self._recipe(samples, held_out, earlier)
            trainings = 2 if recipe.refits else 1
            tasks = FitTasks(self, X, samples.y, samples.weight, recipe.plan.epochs, trainings)
            self._train(recipe, samples, held_out, tasks)
        tasks.end()
        return self

    def _train(
        self, recipe: Recipe, samples: Samples, held_out: Samples | None = None, tasks: FitTasks | None = None
    ) -> None:
        """Split, weight, build, train, record; an interrupt keeps what has been trained."""
        training, held_out = recipe.split(samples, held_out)
        run = Run(self, recipe, tasks)
        try:
            run.train(training, held_out)
            self._become(run.fitted)
            if recipe.refits:
                run.refit(samples)
                self._become(run.fitted)
        except KeyboardInterrupt:
            self._become(run.fitted)
            raise

    def _train_one_epoch(self, samples: Samples, earlier: Fitted | None) -> Self:
        with samples.need.explained():
            self._train(self._recipe(samples, None, earlier).for_one_epoch(), samples)
        return self

    # Validate ---------------------------------------------------------------------------------------------------

    def _check_samples(
        self, X: Any, y: Any, sample_weight: Any, groups: Any, earlier: Fitted | None, classes: Any = None
    ) -> Samples:
        """Check training samples, against an earlier fit if this one continues it."""
        self._check_values()
        X, layout = self._check_layout(X, earlier)
        y = check_y(self, y, len(X), numeric=self._numeric_target)
        weight = check_sample_weight(sample_weight, len(X))
        groups = check_groups(groups, len(X))
        with naming("y"):
            target = earlier.target if earlier else self._make_target(y, classes)
            encoded = target.encode(y)
        need = Need.of("fit", X, self.dtype, int(self.batch_size))
        with need.explained():
            need.check_copies()
            inputs = as_inputs(X, layout.input_shape, self.dtype)
        if isinstance(self.network, Network):
            self.network._check_inputs(inputs, self._standardization(layout))
        indices = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
        return Samples(inputs, y, encoded, target, weight, groups, indices, layout, need)

    def _check_layout(self, X: Any, earlier: Fitted | None) -> tuple[Any, Layout]:
        seen: Any = copy.copy(self)  # scikit-learn's check sets attributes of its estimator
        X = check_X(seen, self._lazily(X), sample_shape=earlier.layout.sample_shape if earlier else None)
        input_shape = resolve_input_shape(self.input_shape, X.shape[1:])
        hint = hint_at_layout(X.shape[1:]) if earlier is None and self.input_shape is None and X.ndim > 2 else None
        if hint is not None:
            warn(LayoutWarning(hint))
        return X, Layout(X.shape[1:], input_shape, seen.n_features_in_, getattr(seen, "feature_names_in_", None))

    def _lazily(self, X: Any) -> Any:
        """Return a memory map that is too large to be held as lazy samples, and all else as it is."""
        if isinstance(X, LazySamples):
            return X.keeping_digests()
        if not isinstance(X, np.memmap) or X.ndim < 2 or X.dtype.kind not in "biuf":
            return X
        is_large = X.nbytes > min(self.LAZY_BYTES, self.LAZY_SHARE * free_bytes())
        return LazySamples(X).keeping_digests() if is_large else X

    def _check_validation_samples(
        self, samples: Samples, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> Samples | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is given without X_val and y_val; pass all three.")
            return None
        if X_val is None or y_val is None:
            missing, given = ("X_val", "y_val") if X_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} is given without {missing}; pass both, or neither for an inner split.")
        if self.early_stopping is False:
            raise ValueError(
                "X_val and y_val are given with early_stopping=False, which would not use them. Set early_stopping to "
                "'auto' or True, or leave them out."
            )
        seen = self._as_seen(samples.layout)
        X = check_X(seen, self._lazily(X_val), sample_shape=samples.layout.sample_shape, name="X_val")
        y = check_y(self, y_val, len(X), numeric=self._numeric_target, name="y_val")
        weight = check_sample_weight(sample_weight_val, len(X), "sample_weight_val")
        with naming("y_val"):
            encoded = samples.target.encode(y, "y_val")
        inputs = as_inputs(X, samples.layout.input_shape, self.dtype, "X_val")
        indices = np.arange(len(X))
        return replace(samples, X=inputs, y=y, encoded=encoded, weight=weight, groups=None, indices=indices)

    def _check_one_epoch(self) -> None:
        if self.early_stopping is True:
            raise ValueError("partial_fit trains one epoch without validation; set early_stopping to 'auto' or False.")
        if self.callbacks:
            raise ValueError(
                "partial_fit trains one epoch and calls no callbacks; set callbacks to None, and do between two calls "
                "what they would do."
            )

    # Decide -----------------------------------------------------------------------------------------------------

    def _recipe(self, samples: Samples, held_out: Samples | None, earlier: Fitted | None) -> Recipe:
        """Return everything that parameters and data decide before training."""
        if self.refit_full and self.warm_start:
            raise ValueError(
                "refit_full=True and warm_start=True cannot be combined: after a refit on all samples, none is left to "
                "validate on when training continues. Set one of them to False."
            )
        strengths = self._strengths()
        balancing = self._balancing(samples.target)
        memory = memory_folder(self.memory)
        # TensorFlow's messages would break the bars, and each worker of a search would repeat them.
        with quiet_start() if shows_bars(self) or is_worker() else nullcontext():
            start_tensorflow(math.prod(samples.layout.input_shape[:-1]))
        stops_early = bool(self.early_stopping)
        if self.early_stopping == "auto":
            stops_early = held_out is not None or len(samples.X) > self.AUTO_EARLY_STOPPING_SAMPLES
        splits = stops_early and held_out is None
        plan = Plan(
            epochs=epochs_for(self, len(samples.indices)),
            batch_size=int(self.batch_size),
            seed=earlier.seed if earlier else int(check_random_state(self.random_state).randint(2**31 - 1)),
            learning_rate=float(self.learning_rate),
            schedule=self.schedule,
            warmup_epochs=float(self.warmup_epochs),
            strengths=strengths,
            patience=int(self.n_iter_no_change),
            tol=float(self.tol),
            stop_early=stops_early,
            settles=self.batch_statistics == "final",
        )
        # No fingerprint knows what callbacks do, and a fit without a seed cannot be repeated.
        found_again = earlier is None and isinstance(self.random_state, Integral)
        watched = bool(self.callbacks) or follows_epochs(self)
        return Recipe(
            topology=self._topology(samples.target, samples.layout, strengths),
            plan=plan,
            balancing=balancing,
            validation_fraction=self.validation_fraction if splits else 0.0,
            shuffles_validation=bool(self.shuffle_validation),
            scoring=self.scoring,
            refits=self.refit_full and splits,
            earlier=earlier,
            keeps_optimizer=self.warm_start,
            memory=memory if found_again and not watched else None,
            folder=memory,
        )

    def _auto_epochs(self, n_samples: int) -> int:
        """Return what epochs="auto" stands for with so many samples."""
        fewest, most = self.AUTO_EPOCHS
        return int(np.clip(-(-self.AUTO_STEPS // -(-n_samples // self.batch_size)), fewest, most))

    def _standardization(self, layout: Layout) -> str | None:
        """Return along which axes inputs are standardised: features of 2-D X may have units of their own.

        A function that builds a network may have a scale in mind, such as that of pretrained weights.
        """
        if self.standardize != "auto":
            return self.standardize
        if not isinstance(self.network, (str, Network)) or getattr(self.network, "_own_scale", False):
            return None
        return "position" if len(layout.sample_shape) == 1 and self.input_shape is None else "channel"

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

    def _topology(self, target: Any, layout: Layout, strengths: dict[str, float]) -> Topology:
        input_shape = layout.input_shape
        network = self.network
        # A copy, so that the fitted network stays as it is when parameters of the network are set later.
        network = resolve_network(copy.deepcopy(network) if isinstance(network, Network) else network)
        optimizer: str = self.optimizer
        if "momentum" in strengths:
            optimizer = "nesterov" if self.nesterovs_momentum else "momentum"
        transformations = check_augmentation(self.augmentation, input_shape)
        if "augmentation_strength" not in strengths:  # at strength 0 named augmentations change nothing
            transformations = tuple(one for one in transformations if not isinstance(one, str))
        rates = {name: self.DROPOUT_ON for name in self.DROPOUTS if name in strengths}
        behaviour = behaviour_of(network)
        return Topology(
            network=behaviour.key or ("object", id(network)),
            input_shape=input_shape,
            n_outputs=target.n_outputs,
            loss=self._loss_name(target),
            optimizer=optimizer,
            dtype=self.dtype,
            knobs=tuple(sorted(strengths)),
            standardize=self._standardization(layout),
            augmentation=tuple(map(layer_key, transformations)),
            transformations=transformations,
            build=NetworkBuilder(network, input_shape, target.n_outputs, rates),
            certain=behaviour.certain,
        )

    # Record -----------------------------------------------------------------------------------------------------

    def _become(self, fitted: Fitted | None) -> None:
        """Set what is fitted, in one assignment.

        No interrupt or thread can then see parts of two fits.
        """
        if fitted is None:
            return
        earlier = vars(self).get("_fitted")
        outdated = earlier.attributes() if earlier else {}
        kept = {name: value for name, value in vars(self).items() if name not in outdated}
        self.__dict__ = kept | fitted.attributes() | {"_fitted": fitted}

    def _as(self, fitted: Fitted) -> Self:
        """Return a copy of the estimator with this fit."""
        copied = copy.copy(self)
        copied._become(fitted)
        return copied

    def _as_seen(self, layout: Layout) -> Self:
        """Return a copy with the layout of X, to which scikit-learn's check compares."""
        seen = copy.copy(self)
        seen.__dict__.pop("feature_names_in_", None)
        seen.__dict__.update(layout.attributes())
        return seen

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if state.get("callbacks_"):  # used callbacks may hold open files
            return state | {"callbacks_": [], "_fitted": replace(state["_fitted"], callbacks=())}
        return state

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.callbacks = None  # scikit-learn would copy all that they refer to
        try:
            cloned: Self = super(BaseCNN, bare).__sklearn_clone__()
        except Exception:
            for layer in listed(self.augmentation):
                if not isinstance(layer, str):
                    copy_of_layer(layer)  # raises an error that names the layer, if it is the reason
            raise
        cloned.callbacks = copy_state(self.callbacks)
        return cloned

    # Outputs ----------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> tuple[Any, np.ndarray]:
        """Return the fitted target and the outputs for X, (n, n_outputs) in float64."""
        check_is_fitted(self)
        fitted = self._fitted  # once, since another thread may fit
        seen = self._as_seen(fitted.layout)
        X = check_X(seen, self._lazily(X), sample_shape=fitted.layout.sample_shape)
        return fitted.target, fitted.outputs(X, shared_folder(self.memory))

    def to_keras(self) -> Any:
        """Return the fitted network as a separate Keras model.

        Its inputs have shape ``(n, *input_shape_)``. It outputs logits for a classifier (see `decision_function`) and
        predictions in the unit of `y` for a regressor.

        Returns
        -------
        keras.Model
        """
        check_is_fitted(self)
        return self._fitted.to_keras()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # What classifier and regressor do differently -----------------------------------------------------------------

    _numeric_target = False

    def _make_target(self, y: np.ndarray, classes: Any) -> Target:
        raise NotImplementedError

    def _loss_name(self, target: Any) -> str:
        raise NotImplementedError

    def _balancing(self, target: Any) -> Balancing:
        """Return how classes are balanced."""
        return Balancing()

    def _more_strengths(self) -> list[str]:
        return []

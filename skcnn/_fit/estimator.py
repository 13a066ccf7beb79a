"""`BaseCNN`: the fit that classifier and regressor share, read top-down in `_fit`."""

import copy
import math
import os
from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, Self

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._engine.blueprint import Topology, building
from skcnn._engine.checkpoints import memory_folder
from skcnn._engine.fingerprint import object_key
from skcnn._engine.greetings import quiet_start
from skcnn._engine.loop import Progress
from skcnn._engine.memory import Need
from skcnn._engine.pool import pool
from skcnn._engine.program import Program
from skcnn._engine.threads import start_for, start_tensorflow
from skcnn._fit.fitting import Fit, HeldOut
from skcnn._fit.keras_callbacks import check_copyable, copy_callbacks
from skcnn._fit.splitting import inner_split, labels_to_stratify
from skcnn._fit.weights import check_row_weights
from skcnn._sklearn.callback_tasks import CallbackSupportMixin, FitTasks, shows_bars
from skcnn._sklearn.checks import (
    KnownArguments,
    as_rows,
    check_groups,
    check_X,
    check_X_y,
    naming,
    nearest,
    resolve_input_shape,
)
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions, fit_context
from skcnn._sklearn.version_note import VersionNote
from skcnn.augmentation import AUGMENTATIONS, check_augmentation, check_known, layer_key, listed
from skcnn.networks import NETWORKS, Network, NetworkBuilder, resolve_network

__all__ = ["PENALTY", "RATE", "BaseCNN"]

MANY = 2**63 - 1  # the largest whole number of the graphs
RATE = Interval(Real, 0, 1, closed="left")
PENALTY = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")


class BaseCNN(DiagramMixin, CallbackSupportMixin, VersionNote, KnownArguments, BaseEstimator):
    """What classifier and regressor share: checks, the fit, and the outputs of the network."""

    # Keras builds the network again from its description when it predicts.
    _noted = ("skcnn", "keras")
    # With early_stopping="auto", as in scikit-learn's HistGradientBoostingClassifier.
    AUTO_EARLY_STOPPING_ROWS = 10_000
    # Any rate in (0, 1) stands for "is on" while a network is built: the rates themselves are inputs of each step.
    DROPOUT_ON = 0.5
    DROPOUTS = ("dropout", "spatial_dropout", "stochastic_depth")

    _parameter_constraints: dict[str, list[Any]] = {
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
        "batch_size": [COUNT],
        "epochs": [COUNT],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable],
        "refit_full": ["boolean"],
        "standardize": [StrOptions({"channel", "position"}), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [COUNT],
        "tol": [PENALTY],
        "warm_start": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"})],
        "memory": [str, os.PathLike, joblib.Memory, None],
        "callbacks": [list, tuple, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of the network (``network__filters=...``), and return the estimator.

        A network given by its name is replaced by the object that it stands for when one of its parameters is set.
        """
        network = params.get("network", self.network)
        if isinstance(network, str) and network in NETWORKS and any(name.startswith("network__") for name in params):
            params["network"] = resolve_network(network)
        self._check_names(params)
        return super().set_params(**params)

    def _check_names(self, params: dict[str, Any]) -> None:
        """Refuse parameters that do not exist, and name what was probably meant."""
        valid = self.get_params(deep=False) | params
        for name in params:
            head, nested, rest = name.partition("__")
            if head not in self._get_param_names():
                known = self._get_param_names()
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}{nearest(name, known)} "
                    f"Valid parameters are: {known}."
                )
            inner = valid[head]
            if nested and (isinstance(inner, type) or not hasattr(inner, "get_params")):
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}: {head}={inner!r} has no parameters. "
                    f"Set {head} to an object that has, such as an estimator or a subclass of skcnn.networks.Network."
                )
            if nested and rest.partition("__")[0] not in inner.get_params(deep=False):
                known = [f"{head}__{one}" for one in inner.get_params(deep=True)]
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}{nearest(name, known)} "
                    f"Valid parameters of {head}={type(inner).__name__} are: {known}."
                )

    def _check_values(self) -> None:
        """Refuse what the constraints of single parameters let pass, whatever the data: for `fit` and `check_grid`."""
        for name, value in self.get_params(deep=False).items():
            largest: Any = MANY if isinstance(value, Integral) else float(np.finfo(self.dtype).max)
            if isinstance(value, Real) and value > largest:
                got = f"about 2**{int(value).bit_length() - 1}" if isinstance(value, Integral) else f"{value:.3g}"
                raise ValueError(
                    f"{name} is {got}; expected at most {largest:.3g}, the largest number of its kind with "
                    f"dtype={self.dtype!r}. Give a smaller one."
                )
        check_known(self.augmentation)
        sampler = getattr(self, "sampler", None)
        if isinstance(sampler, type):
            name = sampler.__name__
            raise TypeError(f"sampler is the class {name}; expected an object made from it, such as {name}().")

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
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Training rows, up to 5-D, channels last. ``uint8`` stays ``uint8`` until it is on the device.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row; 2 means the same as the row twice, 0 the same as no such row.
        groups : array-like of shape (n,), default=None
            Rows of one group stay on one side of the inner validation split.
        X_val, y_val : array-like, default=None
            Validation rows for early stopping, instead of an inner split.
        sample_weight_val : array-like, default=None
            Their weights.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data do not fit, before any training.
        FloatingPointError
            If the loss is no longer finite.
        MemoryError
            If memory runs out, or would for certain; it says what would fit.
        KeyboardInterrupt
            If interrupted; the estimator is then fitted with the best weights so far.
        """
        if self.refit_full and self.warm_start:
            raise ValueError(
                "refit_full=True and warm_start=True do not go together: after training on all rows, no row is left to "
                "validate on when training goes on. Leave one of them out."
            )
        resume = self.warm_start and self.__sklearn_is_fitted__()
        given = X
        X, y = check_X_y(self, X, y, reset=not resume, numeric=self._numeric_target)
        held_out = self._check_validation_data(X_val, y_val, sample_weight_val)
        groups = check_groups(groups, len(X))
        stop_early = self._stops_early(len(X), held_out is not None)
        trainings = 2 if self.refit_full and stop_early and held_out is None else 1
        tasks = FitTasks(self, given, y, check_row_weights(sample_weight, len(y)), self.epochs, trainings)
        need = self._need("fit", X)
        with need.explained():
            self._fit(
                X,
                y,
                sample_weight,
                groups,
                held_out,
                need,
                epochs=self.epochs,
                stop_early=stop_early,
                resume=resume,
                keep_optimizer=self.warm_start,
                tasks=tasks,
            )
        tasks.end()
        return self

    def _fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: Any,
        groups: np.ndarray | None,
        held_out: HeldOut | None,
        need: Need,
        *,
        epochs: int,
        stop_early: bool,
        resume: bool,
        keep_optimizer: bool,
        classes: Any = None,
        tasks: FitTasks | None = None,
    ) -> None:
        """Validate, split, weigh, build, train, record."""
        self._check_values()
        need.check_rows()
        strengths = self._strengths()
        memory_folder(self.memory)  # refuses a file
        weight = check_row_weights(sample_weight, len(X))
        kept = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
        with naming("y"):
            target = self._target if resume else self._make_target(y, weight, classes)
            target.encode(y)  # refuses what does not fit, such as other labels than at first
        self._check_balancing(target)
        wanted = self._wanted_shares(target)
        input_shape = resolve_input_shape(self.input_shape, self._row_shape)
        X_rows = as_rows(X, input_shape, self.dtype)
        with quiet_start() if shows_bars(self) else nullcontext():  # its greetings would tear the bars
            start_for(math.prod(input_shape[:-1]))
        seed = self._seed if resume else int(check_random_state(self.random_state).randint(2**31 - 1))
        rows, splits = kept, stop_early and held_out is None
        if splits:
            rows, val = self._inner_split(X_rows, target.encode(y), kept, groups, seed)
            held_out = HeldOut(X[val], y[val], None if weight is None else weight[val])

        topology = self._topology_for(target, input_shape, strengths)
        resumed = self._progress if resume else None
        fit = Fit(self, target, topology, strengths, seed, wanted, resumed, tasks, copy_callbacks(self.callbacks), need)
        fit.set_rows(X_rows, y, weight, rows)
        try:
            fit.train(epochs, stop_early, held_out)
            self._take(fit, keep_optimizer)
        except KeyboardInterrupt:
            if fit.reached.weights:
                self._take(fit, keep_optimizer)
            raise
        if splits and self.refit_full:  # an interrupt of it leaves what the first training has come to
            fit.set_rows(X_rows, y, weight, kept)
            fit.train_again(epochs)
            try:
                self._take(fit, keep_optimizer)
            except KeyboardInterrupt:
                self._take(fit, keep_optimizer)
                raise

    def _take(self, fit: Fit, keep_optimizer: bool) -> None:
        """Become what a fit has come to; may be done again."""
        fit.become(self)
        self._record(fit.reached, keep_optimizer=keep_optimizer)
        self.callbacks_ = list(fit.callbacks)

    def _fit_one_epoch(self, X: np.ndarray, y: np.ndarray, weight: Any, resume: bool, classes: Any = None) -> Self:
        need = self._need("fit", X)
        how = {"epochs": 1, "stop_early": False, "resume": resume, "keep_optimizer": True, "classes": classes}
        with need.explained():
            self._fit(X, y, weight, None, None, need, **how)
        return self

    def _need(self, what: str, X: np.ndarray) -> Need:
        """Return what memory a fit on these rows, or a prediction for them, takes as far as it is known yet."""
        dtype = np.dtype(np.uint8 if X.dtype == np.uint8 else self.dtype)
        sent = math.prod(X.shape[1:]) * dtype.itemsize
        batch_size = int(self.batch_size) if what == "fit" else 0
        return Need(what, len(X), sent, 0 if X.dtype == dtype else sent, batch_size)

    def _check_one_epoch(self) -> None:
        if self.early_stopping is True:
            raise ValueError("partial_fit trains one epoch on what it is given; set early_stopping to 'auto' or False.")
        if self.callbacks:
            raise ValueError(
                "partial_fit trains one epoch on what it is given and calls no callbacks; set callbacks to None and do "
                "between two calls what they would do."
            )

    def _check_validation_data(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> HeldOut | None:
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is given without X_val and y_val; give all three.")
            return None
        if X_val is None or y_val is None:
            missing, given = ("X_val", "y_val") if X_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} is given without {missing}; give both, or none for an inner split.")
        if self.early_stopping is False:
            raise ValueError(
                "X_val and y_val are given with early_stopping=False, which would not use them. Set early_stopping to "
                "'auto' or True, or leave them out."
            )
        X_val, y_val = check_X_y(
            self, X_val, y_val, reset=False, numeric=self._numeric_target, names=("X_val", "y_val")
        )
        return HeldOut(X_val, y_val, check_row_weights(sample_weight_val, len(X_val), "sample_weight_val"))

    def _stops_early(self, n_rows: int, validation_given: bool) -> bool:
        if self.early_stopping == "auto":
            return validation_given or n_rows > self.AUTO_EARLY_STOPPING_ROWS
        return bool(self.early_stopping)

    def _inner_split(
        self, X: np.ndarray, encoded: np.ndarray, kept: np.ndarray, groups: np.ndarray | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        labels = labels_to_stratify(encoded[kept], self.validation_fraction)
        kept_groups = None if groups is None else groups[kept]
        rows = X if len(kept) == len(X) else X[kept]
        train_rows, val_rows = inner_split(
            rows, labels, self.validation_fraction, kept_groups, seed, classes=not self._numeric_target
        )
        return kept[train_rows], kept[val_rows]

    def _strengths(self) -> dict[str, float]:
        """Return the strengths that are on, by the name of their knob; `l2` always is.

        A search that has 0 among its values of `l2` then needs one graph, not two, and adding nothing costs little.
        """
        dropouts = [name for name in self.DROPOUTS if getattr(self, name)]
        if dropouts and not isinstance(resolve_network(self.network), Network):
            raise ValueError(
                f"{dropouts[0]}={getattr(self, dropouts[0])} has no place in an own network function, which decides on "
                "its layers itself. Put keras.layers.Dropout into the function, or write it as a subclass of "
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

    def _topology_for(self, target: Any, input_shape: tuple[int, ...], strengths: dict[str, float]) -> Topology:
        network = copy.deepcopy(resolve_network(self.network)) if isinstance(self.network, Network) else self.network
        network = resolve_network(network)
        rates = {name: self.DROPOUT_ON for name in self.DROPOUTS if name in strengths}
        optimizer = self.optimizer
        if "momentum" in strengths:
            optimizer = "nesterov" if self.nesterovs_momentum else "momentum"
        transformations = check_augmentation(self.augmentation, input_shape)
        if "augmentation_strength" not in strengths:
            transformations = tuple(one for one in transformations if not isinstance(one, str))
        return Topology(
            network=object_key(network),
            input_shape=input_shape,
            n_outputs=target.n_outputs,
            loss=self._loss_name(target),
            optimizer=optimizer,
            dtype=self.dtype,
            knobs=tuple(sorted(strengths)),
            standardize=self.standardize,
            augmentation=tuple(map(layer_key, transformations)),
            transformations=transformations,
            build=NetworkBuilder(network, input_shape, target.n_outputs, rates),
        )

    def _record(self, progress: Progress, keep_optimizer: bool) -> None:
        self._weights = progress.weights
        self.history_ = progress.history
        self.n_iter_ = progress.epoch
        self.best_iter_ = progress.best_epoch
        progress.best_weights = None
        if not keep_optimizer:
            progress.optimizer_state = []
        self._progress = progress

    # Copies ------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if state.get("callbacks_"):  # used ones hold open files and the like
            return state | {"callbacks_": []}
        return state

    def __sklearn_clone__(self) -> Self:
        try:
            return super().__sklearn_clone__()
        except Exception:
            check_copyable(self.callbacks)
            raise

    # Outputs ----------------------------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_weights")

    def _outputs(self, X: Any) -> np.ndarray:
        """Return what the network puts out for each row, (n, n_outputs) in float64."""
        lent: Program | None = self.__dict__.get("_lent")
        if lent is None:
            check_is_fitted(self)
        X = check_X(self, X)
        with self._need("prediction", X).explained():
            rows = as_rows(X, self.input_shape_, self._topology.dtype)
            if lent is not None:  # a scorer predicts while training runs
                return lent.predict(rows).astype(np.float64) - self._shift
            with pool.lend(self._topology, owner=self._weights) as program:
                if program.owner is not self._weights:
                    program.load_weights(self._weights)
                    program.owner = self._weights
                outputs = program.predict(rows)
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"X holds values up to {np.abs(rows).max():g}, at which the network overflows. Expected rows scaled as "
                "those that it was fitted on."
            )
        return outputs.astype(np.float64) - self._shift

    def to_keras(self) -> Any:
        """Return the fitted network as a Keras model of its own.

        Its inputs have shape ``(n, *input_shape_)``. It puts out logits for a classifier (`decision_function`) and
        predictions in the unit of y for a regressor.

        Returns
        -------
        keras.Model
        """
        check_is_fitted(self)
        _, keras = start_tensorflow()
        with building(self._topology.dtype):
            model = self._topology.build()
            if any(hasattr(layer, "plain") for layer in model.layers):
                model = keras.models.clone_model(model, clone_function=self._plain_layer)
            n_weights = len(model.weights)
            model.set_weights(self._weights[:n_weights])
            return self._with_units(model, self._weights[n_weights:])

    def _with_units(self, model: Any, units: list[np.ndarray]) -> Any:
        """Put what stands before and after the network in the graph into Keras layers of their own."""
        _, keras = start_tensorflow()
        inputs = x = keras.Input(self.input_shape_, dtype=self._topology.dtype)
        if units:  # not keras.layers.Normalization, which takes scales below 1e-7 for 1e-7
            mean, factor = units[0], 1 / units[1]
            x = keras.layers.Rescaling(np.ones_like(mean), -mean, name="center")(x)
            x = keras.layers.Rescaling(factor, np.zeros_like(mean), name="scale")(x)
        scale, offset = self._output_units()
        outputs = model(x) if units else model.outputs[0]
        if scale is not None or np.any(offset):
            ones = np.ones(self.n_outputs_) if scale is None else scale
            outputs = keras.layers.Rescaling(ones, np.asarray(offset), name="units")(outputs)
        return keras.Model(inputs if units else model.inputs[0], outputs)

    def _plain_layer(self, layer: Any) -> Any:
        """Return Keras' own layer for one of skcnn's, at the fitted strength, and a copy of any other."""
        if hasattr(layer, "plain"):
            return layer.plain(self._fitted_strengths)
        return type(layer).from_config(layer.get_config())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # What classifier and regressor do differently -----------------------------------------------------------------

    _numeric_target = False
    _shift: Any = 0.0  # what is taken from the outputs to correct them for class shares

    def _more_strengths(self) -> list[str]:
        return []

    def _make_target(self, y: np.ndarray, weight: np.ndarray | None, classes: Any) -> Any:
        raise NotImplementedError

    def _settle(self, target: Any, y: np.ndarray, weight: np.ndarray | None) -> Any:
        """Return the target with what it takes from the training rows alone."""
        return target

    def _loss_name(self, target: Any) -> str:
        raise NotImplementedError

    def _check_balancing(self, target: Any) -> None: ...

    def _wanted_shares(self, target: Any) -> np.ndarray | None:
        """Class shares to predict for, if they are given."""
        return None

    def _class_weights(self, target: Any, encoded: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        return None

    def _sampling(self, target: Any) -> dict[str, Any]:
        """Return how the training rows are resampled, see `skcnn._fit.batches.Batches`."""
        return {}

    def _output_units(self) -> tuple[np.ndarray | None, Any]:
        """Scale, if any, and offset of what the network puts out."""
        return None, -np.asarray(self._shift)

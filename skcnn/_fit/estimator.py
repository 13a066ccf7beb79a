"""`BaseCNN`: the fit and outputs that classifier and regressor share."""

import copy
import math
from contextlib import nullcontext
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcnn._engine.behaviour import behaviour_of
from skcnn._engine.blueprint import Topology
from skcnn._engine.checkpoints import memory_folder
from skcnn._engine.feature_store import shared_folder
from skcnn._engine.greetings import is_worker, quiet_start
from skcnn._engine.loop import Plan
from skcnn._engine.memory import Need, free_bytes
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.balancing import Balancing
from skcnn._fit.fitted import Fitted
from skcnn._fit.parameters import Parameters, epochs_for
from skcnn._fit.recipe import Recipe
from skcnn._fit.run import Run
from skcnn._fit.samples import Layout, Samples, as_inputs
from skcnn._fit.targets import Target
from skcnn._fit.weights import check_sample_weight
from skcnn._lazy import LazySamples
from skcnn._sklearn.callback_tasks import CallbackSupportMixin, FitTasks, follows_epochs, shows_bars
from skcnn._sklearn.checks import check_groups, check_X, check_y, hint_at_layout, naming, resolve_input_shape
from skcnn._sklearn.diagram import DiagramMixin
from skcnn._sklearn.internals import fit_context
from skcnn._sklearn.version_note import VersionNote
from skcnn.augmentation import check_augmentation, layer_key
from skcnn.exceptions import LayoutWarning, warn
from skcnn.networks import Network, NetworkBuilder, resolve_network

__all__ = ["BaseCNN"]


class BaseCNN(DiagramMixin, CallbackSupportMixin, VersionNote, Parameters):
    """Base of classifier and regressor: parameters, checks, fit, and outputs of the network."""

    # Keras rebuilds the network from its description for prediction, so its version matters too.
    _noted = ("skcnn", "keras")
    # Above this, early_stopping="auto" is on, as in scikit-learn's HistGradientBoostingClassifier.
    AUTO_EARLY_STOPPING_SAMPLES = 10_000
    # Any rate in (0, 1) stands for "on" when a network is built; the actual rates are inputs of each step.
    DROPOUT_ON = 0.5
    # A memory map of more bytes than that, or than this share of free memory, is read in blocks as lazy samples are.
    LAZY_BYTES = 2**30
    LAZY_SHARE = 0.25

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
        is_map = isinstance(X, np.memmap) and X.ndim >= 2 and X.dtype.kind in "biuf"
        if is_map and X.nbytes > min(self.LAZY_BYTES, self.LAZY_SHARE * free_bytes()):
            X = LazySamples(X)
        return X.keeping_digests() if isinstance(X, LazySamples) else X

    def _check_as_in_fit(self, X: Any, layout: Layout, name: str = "X") -> Any:
        """Return X, checked to be as it was in `fit`."""
        seen = copy.copy(self)  # with the layout to which scikit-learn's check compares
        seen.__dict__.pop("feature_names_in_", None)
        seen.__dict__.update(layout.attributes())
        return check_X(seen, self._lazily(X), sample_shape=layout.sample_shape, name=name)

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
        X = self._check_as_in_fit(X_val, samples.layout, "X_val")
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

    def _standardization(self, layout: Layout) -> str | None:
        """Return along which axes inputs are standardised: features of 2-D X may have units of their own.

        A function that builds a network may have a scale in mind, such as that of pretrained weights.
        """
        if self.standardize != "auto":
            return self.standardize
        if not isinstance(self.network, (str, Network)) or getattr(self.network, "_own_scale", False):
            return None
        return "position" if len(layout.sample_shape) == 1 and self.input_shape is None else "channel"

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

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if state.get("callbacks_"):  # used callbacks may hold open files
            return state | {"callbacks_": [], "_fitted": replace(state["_fitted"], callbacks=())}
        return state

    # Outputs ----------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> tuple[Any, np.ndarray]:
        """Return the fitted target and the outputs for X, (n, n_outputs) in float64."""
        check_is_fitted(self)
        fitted = self._fitted  # once, since another thread may fit
        X = self._check_as_in_fit(X, fitted.layout)
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

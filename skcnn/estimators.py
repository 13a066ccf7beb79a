"""`CNNClassifier` and `CNNRegressor`: a Keras network as a scikit-learn estimator."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from skcnn._engine.greetings import import_keras_in_workers
from skcnn._fit.balancing import Balancing
from skcnn._fit.estimator import BaseCNN
from skcnn._fit.fitted import Fitted
from skcnn._fit.parameters import PENALTY, RATE
from skcnn._fit.recipe import Recipe
from skcnn._fit.samples import Samples
from skcnn._fit.targets import ClassTarget, RegressionTarget
from skcnn._fit.weights import check_priors
from skcnn._lazy import LazySamples
from skcnn._sklearn.checks import naming
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions, check_partial_fit_first_call, fit_context
from skcnn.exceptions import DoubleBalancingWarning, LazySamplesWarning, OneHotWarning, warn

__all__ = ["CNNClassifier", "CNNRegressor"]

import_keras_in_workers()  # here, since this is imported just before an estimator's custom network is unpickled


@dataclass(eq=False, repr=False)
class CNNClassifier(ClassifierMixin, BaseCNN):
    """Convolutional network classifier.

    Parameters
    ----------
    network : str, Network or callable, default="plain"
        The network: a name, an object from `skcnn.networks` (its parameters are tuned as ``network__...``), or a
        function ``(input_shape, n_outputs) -> keras.Model`` for a custom network, whose last layer has no activation.
        Names: "plain" for samples of any kind, "fcn", "resnet" and "inception" for series, "image_resnet" for images
        and volumes.
    input_shape : tuple of int, default=None
        Shape to which each sample is reshaped, channels last, so that a pipeline can work on flat samples. If None,
        samples of N-D `X` keep their shape and 2-D `X` is treated as sequences with one channel.
    l1 : float, default=0.0
        L1 penalty on kernels: ``l1 * sum(abs(kernel))`` is added to the loss.
    l2 : float, default=0.0
        L2 penalty on kernels: ``l2 * sum(kernel ** 2)`` is added to the loss.
    dropout : float, default=0.0
        Fraction of the features dropped before the output layer during training, in [0, 1).
    spatial_dropout : float, default=0.0
        Fraction of the channels dropped from feature maps during training, in [0, 1), in networks that provide for it,
        such as `Plain` after each block (Tompson et al. 2015).
    stochastic_depth : float, default=0.0
        Probability of dropping the last residual branch during training, in [0, 1); earlier branches proportionally
        less (Huang et al. 2016). Only for networks with residual branches.
    weight_decay : float, default=0.0
        Decoupled weight decay: each step subtracts ``learning_rate * weight_decay * kernel`` from each kernel
        (Loshchilov and Hutter 2019).
    mixup : float, default=0.0
        Alpha of mixup: training samples are mixed in pairs, with shares lambda and 1 - lambda where lambda is drawn
        from Beta(alpha, alpha), and so are their losses or, in regression, their targets (Zhang et al. 2018). 0.2 is
        usual; 0 turns it off.
    cutmix : float, default=0.0
        Alpha of CutMix: a box of each training sample is replaced with the same box of another, and their losses or, in
        regression, their targets are mixed by the share that the box covers (Yun et al. 2019). 1 is usual; 0 turns it
        off. If `mixup` is on too, each sample is mixed in one of the two ways.
    augmentation : str, keras.Layer, list of them or None, default=None
        Random transformations of the training samples, drawn again in every step; validation and prediction use samples
        as they are. Names: "flip" (left to right), "vertical_flip", "translation", "rotation" and "zoom" for images;
        "time_shift", "window_slicing", "magnitude_warping" and "time_warping" for series; "contrast", "brightness",
        "noise" ("jitter"), "scaling" and "cutout" for samples of any kind. Keras layers such as
        ``keras.layers.GaussianDropout(0.1)`` are applied to what the network would receive.
    augmentation_strength : float, default=1.0
        Factor that scales all named augmentations. At 1: translation and time shift 10% of the size, rotation 18
        degrees, zoom 10%, contrast 20%, brightness 20% and noise 10% of the batch's standard deviation, cutout 30% of
        each side, scaling 10%, a window of 90%, and warping by curves with a standard deviation of 20%.
    optimizer : {"adam", "sgd", "rmsprop"}, default="adam"
        Update rule: that of the Keras optimizer of the same name, with its default constants.
    learning_rate : float, default=0.003
        Initial learning rate. It is three times Keras' default, since a fit on a few hundred samples takes few steps.
    momentum : float, default=0.9
        Momentum, in [0, 1); 0 is plain gradient descent. Only used with ``optimizer="sgd"``.
    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum. Only used with ``optimizer="sgd"`` and ``momentum > 0``.
    schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="cosine"
        How the learning rate changes. "cosine" decreases it to 0 at the last epoch (Loshchilov and Hutter 2017);
        "one_cycle" starts at a 25th of `learning_rate`, reaches it after 30% of the epochs and then decreases to almost
        0 (Smith and Topin 2018); "plateau" divides it by 5 whenever the monitored score has not improved for
        ``n_iter_no_change // 2`` epochs. With "constant", a fit that continues another (`warm_start`, `memory`) ends as
        one that was as long from the start. `partial_fit` trains at a constant rate where a schedule would end.
    warmup_epochs : float, default=0.0
        Number of epochs in which the learning rate rises linearly from 0 to `learning_rate` before the schedule begins
        (Goyal et al. 2017).
    clipnorm : float or None, default=None
        If set, the gradient of each weight is clipped so that its norm is no higher than this value.
    ema_momentum : float, default=0.0
        Momentum of an exponential moving average of the weights over the training steps, in [0, 1). The averages are
        validated, kept and used for prediction in place of the weights themselves (Polyak and Juditsky 1992). 0 turns
        it off.
    batch_statistics : {"final", "moving"}, default="final"
        Mean and variance with which batch normalisation validates and predicts. "final": those of the final weights on
        the training samples, at most 1,024 of them, without augmentation and dropout (Wu and Johnson 2021). "moving":
        moving averages over the training steps as in Keras, which are wrong after few steps. Frozen layers keep theirs.
    batch_size : int, default=32
        Number of samples per training step.
    epochs : int or "auto", default="auto"
        Maximum number of passes over the training samples. "auto": as many as make 1,000 training steps, at least 30
        and at most 150.
    early_stopping : bool or "auto", default="auto"
        Whether to stop training when the validation score is no longer improving, and to keep the weights of the best
        epoch. "auto" enables it with `X_val` or more than 10,000 samples, as in `HistGradientBoostingClassifier`.
    scoring : str or callable, default="loss"
        Score that early stopping monitors: "loss", the validation loss of probabilities corrected for the class
        weights, or a scikit-learn scorer.
    validation_fraction : float, default=0.1
        Fraction of the samples to set aside as the inner validation split for early stopping. The split is stratified
        and seeded; samples of one group (see `fit`) and exact duplicates stay on the same side.
    shuffle_validation : bool, default=True
        Whether the inner validation split is drawn at random. If False, the last `validation_fraction` of the samples
        validate, in the order of `X`, as for samples that are ordered in time; batches are shuffled all the same.
    refit_full : bool, default=False
        Whether to refit on all samples for the number of epochs that gave the best validation score. `history_` remains
        that of the training that was validated.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops early.
    tol : float, default=1e-4
        Smallest improvement of the score that counts.
    warm_start : bool, default=False
        Whether `fit` continues from the previous fit, for `epochs` more epochs.
    standardize : {"auto", "channel", "position"} or None, default="auto"
        Whether to standardise samples by the mean and standard deviation of each channel, or of each position and
        channel, as `StandardScaler` does. "auto": by position for 2-D `X` without `input_shape`, whose features may
        have units of their own, else by channel; not before a custom network function, which may scale itself. Fitted
        on the training samples only and applied in the graph, so that ``uint8`` images need no copy in floating point.
    dtype : {"float32", "float64"}, default="float32"
        Data type of weights and computations.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the state of training is kept, so that nothing is trained twice: a fit that differs from an
        earlier one, even an interrupted one, only in `epochs` continues from its furthest epoch, with the same result
        as from scratch. Requires an integer `random_state`. The folder takes at most 2 GiB; what has not been used for
        longest is removed first. Not used with `callbacks`, whose effects are unknown. Features of frozen layers are
        kept there, too, whatever `random_state` and `callbacks`, in at most 2 GiB more.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Keras callbacks, called at the beginning and end of training and of each epoch. They are given a Keras model
        with the current weights, which predicts what that of `to_keras` does, and logs with the values of `history_`,
        the validation score also by its name ("val_accuracy" with ``scoring="accuracy"``); changes to the weights, the
        learning rate (with ``schedule="constant"``) and ``model.stop_training`` take effect. Each fit and each clone
        has copies with state of their own: lists, tuples, dicts, sets, arrays, random number generators and callbacks
        within callbacks. Every other object (a trial, a queue, a connection) is shared by all of them, in one process.
        ``{fit}`` in their paths becomes a number that no other fit has, also in ``params["fit"]``. To set
        scikit-learn's callbacks, use `set_callbacks` (scikit-learn 1.9).
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, shuffling, dropout and the inner split. Pass an int for the same fitted model, to the
        bit, across calls.
    verbose : int, default=0
        Verbosity: 1 prints a summary of training, 2 also prints each epoch.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over the classes, in [0, 1).
    loss : {"auto", "log_loss", "focal"}, default="auto"
        "auto" is "log_loss": sigmoid cross-entropy for binary and multilabel targets, softmax cross-entropy for
        multiclass targets. "focal" is the focal loss (Lin et al. 2017).
    focal_gamma : float, default=2.0
        Exponent of the focal loss; 0 gives the log loss. Only used with ``loss="focal"``.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights by class label. "balanced" uses ``n_samples / (n_classes * np.bincount(y))``, computed on the samples
        that are trained on. For multilabel targets, a list with one dict ``{0: ..., 1: ...}`` per label.
    sampler : sampler or None, default=None
        An imbalanced-learn sampler, applied only to the training part, after the inner validation split. Selected
        samples keep their sample weight; new samples get the mean weight of their class.
    resample : {"once", "epoch"}, default="once"
        When to apply `sampler`: once before training, or before each epoch with another random state.
    balanced_batches : bool, default=False
        Whether every batch holds the same number of samples of each class, ``batch_size // n_classes``. An epoch ends
        when all samples have been seen; those of the rarer classes are then seen more often.
    priors : "train", array-like of shape (n_classes,) or None, default=None
        Class shares that probabilities and predictions are for. None: those that the network was trained on, after
        weighting and resampling. "train": those of the training samples, which undoes the effect of `class_weight`,
        `sampler` and `balanced_batches`. Array: known shares in the population to predict for, in the order of
        `classes_`; for multilabel targets the share of each label. The logits are corrected by Bayes' rule (Saerens et
        al. 2002), which presumes that weights and samplers had their whole effect on them. On a network that learns its
        training samples by heart they have less, so that "train" overshoots: the rare class is predicted too seldom.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; for multilabel targets the indices of the labels.
    n_features_in_ : int
        Number of features seen during `fit`: the size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if `X` had names.
    input_shape_ : tuple of int
        Shape in which the network receives a sample.
    n_outputs_ : int
        Number of logits.
    history_ : dict of str to list of float
        Per epoch: "loss" (weighted data loss, without penalties), "learning_rate", and with early stopping "val_loss"
        and, if `scoring` is a scorer, "val_score".
    n_iter_ : int
        Number of epochs trained.
    best_iter_ : int
        Epoch whose weights were kept, unless a Keras callback has set others.
    callbacks_ : list of keras.callbacks.Callback
        Copies of `callbacks` that were used, without their model; empty in a pickle.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn import CNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = CNNClassifier(input_shape=(8, 8, 1), epochs=5, random_state=0).fit(X / 16, y)
    >>> clf.predict_proba(X[:1] / 16).shape
    (1, 10)
    """

    _parameter_constraints = {
        **BaseCNN._parameter_constraints,
        "label_smoothing": [RATE],
        "loss": [StrOptions({"auto", "log_loss", "focal"})],
        "focal_gamma": [PENALTY],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "sampler": [HasMethods(["fit_resample"]), None],
        "resample": [StrOptions({"once", "epoch"})],
        "balanced_batches": ["boolean"],
        "priors": [StrOptions({"train"}), "array-like", None],
    }

    _: KW_ONLY
    label_smoothing: float = 0.0
    loss: Literal["auto", "log_loss", "focal"] = "auto"
    focal_gamma: float = 2.0
    class_weight: Mapping[Any, float] | list[Mapping[int, float]] | Literal["balanced"] | None = None
    sampler: Any = None
    resample: Literal["once", "epoch"] = "once"
    balanced_batches: bool = False
    priors: Literal["train"] | Sequence[float] | None = None

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on these samples, continuing from earlier calls.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.
        y : array-like of shape (n,) or (n, n_labels)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All class labels across all calls to `partial_fit`. Required in the first call.
        sample_weight : array-like of shape (n,), default=None
            Weight of each sample.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            With ``class_weight="balanced"``, which requires all samples at once, with ``early_stopping=True`` or with
            `callbacks`.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which sees only some samples at a time. "
                "Compute weights on all labels with sklearn.utils.class_weight.compute_class_weight and pass them as a "
                "dict."
            )
        self._check_one_epoch()
        seen = copy.copy(self)  # scikit-learn's check sets the classes of its estimator
        with naming("classes"):
            first = check_partial_fit_first_call(seen, classes)
        earlier = None if first or not self.__sklearn_is_fitted__() else self._fitted
        samples = self._check_samples(X, y, sample_weight, None, earlier, seen.classes_)
        return self._train_one_epoch(samples, earlier)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits of the network.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.

        Returns
        -------
        ndarray of shape (n,) for binary, else (n, n_classes)
            Logits; for binary targets those of the second class.
        """
        target, outputs = self._outputs(X)
        return target.decision(outputs)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class of each sample.

        For multilabel targets, predict every label with a probability above one half.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.

        Returns
        -------
        ndarray of shape (n,) or (n, n_labels)
            Predicted labels.
        """
        target, outputs = self._outputs(X)
        return target.decode(outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probability of each class, in the order of `classes_`; for multilabel targets of each label.
        """
        target, outputs = self._outputs(X)
        return target.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of class probabilities.

        They are computed from the logits, so that they do not underflow.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Logarithm of what `predict_proba` returns.
        """
        target, outputs = self._outputs(X)
        return target.log_probabilities(outputs)

    def _more_strengths(self) -> list[str]:
        return ["label_smoothing", "focal_gamma"] if self.loss == "focal" else ["label_smoothing"]

    def _make_target(self, y: np.ndarray, classes: Any) -> ClassTarget:
        return ClassTarget.of(y, classes)

    def _loss_name(self, target: ClassTarget) -> str:
        return target.loss

    def _recipe(self, samples: Samples, held_out: Samples | None, earlier: Fitted | None) -> Recipe:
        recipe = super()._recipe(samples, held_out, earlier)
        if isinstance(samples.X, LazySamples) and recipe.balancing.check_lazy():
            replace(samples.need, n_samples=len(samples.indices)).check_copies()
            warn(
                LazySamplesWarning(
                    f"sampler={self.sampler!r} selects samples by their values, so that all training samples are read "
                    "into memory for it. RandomOverSampler and RandomUnderSampler look at the labels alone."
                )
            )
        y, target = samples.encoded, samples.target
        multilabel = isinstance(target, ClassTarget) and target.kind == "multilabel"
        if multilabel and earlier is None and (y.sum(axis=1) == 1).all():
            warn(
                OneHotWarning(
                    f"y is an indicator matrix of shape {y.shape} with a single 1 for each sample. It is trained as "
                    f"{y.shape[1]} independent labels, of which none or several may be predicted. If they are classes "
                    "that exclude each other, pass y.argmax(axis=1)."
                )
            )
        return recipe

    def _balancing(self, target: ClassTarget) -> Balancing:
        balancing = [name for name in ("sampler", "balanced_batches") if getattr(self, name)]
        if balancing and target.kind == "multilabel":
            raise ValueError(
                f"{balancing[0]} is not supported for multilabel targets; use class_weight with a dict per label."
            )
        n_classes = len(target.classes)
        if self.balanced_batches and self.batch_size < n_classes:
            raise ValueError(
                f"balanced_batches=True needs a batch_size of at least the number of classes, {n_classes}; "
                f"got batch_size={self.batch_size}."
            )
        if balancing and isinstance(self.class_weight, Mapping):
            warn(
                DoubleBalancingWarning(
                    f"class_weight={self.class_weight!r} weights classes that {balancing[0]} already balances, so that "
                    "rare classes count twice. Leave one of them out."
                )
            )
        given = self.priors is not None and not isinstance(self.priors, str)
        return Balancing(
            class_weight=self.class_weight,
            sampler=self.sampler,
            every_epoch=self.resample == "epoch",
            share=self.batch_size // n_classes if self.balanced_batches else 0,
            priors=check_priors(self.priors, target) if given else self.priors,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@dataclass(eq=False, repr=False)
class CNNRegressor(RegressorMixin, BaseCNN):
    """Convolutional network regressor.

    The network is trained on targets standardised over the training samples, so that learning rate and penalties mean
    the same whatever the unit of `y`; predictions are in the unit of `y`.

    Parameters
    ----------
    network : str, Network or callable, default="plain"
        The network: a name, an object from `skcnn.networks` (its parameters are tuned as ``network__...``), or a
        function ``(input_shape, n_outputs) -> keras.Model`` for a custom network, whose last layer has no activation.
        Names: "plain" for samples of any kind, "fcn", "resnet" and "inception" for series, "image_resnet" for images
        and volumes.
    input_shape : tuple of int, default=None
        Shape to which each sample is reshaped, channels last, so that a pipeline can work on flat samples. If None,
        samples of N-D `X` keep their shape and 2-D `X` is treated as sequences with one channel.
    l1 : float, default=0.0
        L1 penalty on kernels: ``l1 * sum(abs(kernel))`` is added to the loss.
    l2 : float, default=0.0
        L2 penalty on kernels: ``l2 * sum(kernel ** 2)`` is added to the loss.
    dropout : float, default=0.0
        Fraction of the features dropped before the output layer during training, in [0, 1).
    spatial_dropout : float, default=0.0
        Fraction of the channels dropped from feature maps during training, in [0, 1), in networks that provide for it,
        such as `Plain` after each block (Tompson et al. 2015).
    stochastic_depth : float, default=0.0
        Probability of dropping the last residual branch during training, in [0, 1); earlier branches proportionally
        less (Huang et al. 2016). Only for networks with residual branches.
    weight_decay : float, default=0.0
        Decoupled weight decay: each step subtracts ``learning_rate * weight_decay * kernel`` from each kernel
        (Loshchilov and Hutter 2019).
    mixup : float, default=0.0
        Alpha of mixup: training samples are mixed in pairs, with shares lambda and 1 - lambda where lambda is drawn
        from Beta(alpha, alpha), and so are their losses or, in regression, their targets (Zhang et al. 2018). 0.2 is
        usual; 0 turns it off.
    cutmix : float, default=0.0
        Alpha of CutMix: a box of each training sample is replaced with the same box of another, and their losses or, in
        regression, their targets are mixed by the share that the box covers (Yun et al. 2019). 1 is usual; 0 turns it
        off. If `mixup` is on too, each sample is mixed in one of the two ways.
    augmentation : str, keras.Layer, list of them or None, default=None
        Random transformations of the training samples, drawn again in every step; validation and prediction use samples
        as they are. Names: "flip" (left to right), "vertical_flip", "translation", "rotation" and "zoom" for images;
        "time_shift", "window_slicing", "magnitude_warping" and "time_warping" for series; "contrast", "brightness",
        "noise" ("jitter"), "scaling" and "cutout" for samples of any kind. Keras layers such as
        ``keras.layers.GaussianDropout(0.1)`` are applied to what the network would receive.
    augmentation_strength : float, default=1.0
        Factor that scales all named augmentations. At 1: translation and time shift 10% of the size, rotation 18
        degrees, zoom 10%, contrast 20%, brightness 20% and noise 10% of the batch's standard deviation, cutout 30% of
        each side, scaling 10%, a window of 90%, and warping by curves with a standard deviation of 20%.
    optimizer : {"adam", "sgd", "rmsprop"}, default="adam"
        Update rule: that of the Keras optimizer of the same name, with its default constants.
    learning_rate : float, default=0.003
        Initial learning rate. It is three times Keras' default, since a fit on a few hundred samples takes few steps.
    momentum : float, default=0.9
        Momentum, in [0, 1); 0 is plain gradient descent. Only used with ``optimizer="sgd"``.
    nesterovs_momentum : bool, default=True
        Whether to use Nesterov's momentum. Only used with ``optimizer="sgd"`` and ``momentum > 0``.
    schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="cosine"
        How the learning rate changes. "cosine" decreases it to 0 at the last epoch (Loshchilov and Hutter 2017);
        "one_cycle" starts at a 25th of `learning_rate`, reaches it after 30% of the epochs and then decreases to almost
        0 (Smith and Topin 2018); "plateau" divides it by 5 whenever the monitored score has not improved for
        ``n_iter_no_change // 2`` epochs. With "constant", a fit that continues another (`warm_start`, `memory`) ends as
        one that was as long from the start. `partial_fit` trains at a constant rate where a schedule would end.
    warmup_epochs : float, default=0.0
        Number of epochs in which the learning rate rises linearly from 0 to `learning_rate` before the schedule begins
        (Goyal et al. 2017).
    clipnorm : float or None, default=None
        If set, the gradient of each weight is clipped so that its norm is no higher than this value.
    ema_momentum : float, default=0.0
        Momentum of an exponential moving average of the weights over the training steps, in [0, 1). The averages are
        validated, kept and used for prediction in place of the weights themselves (Polyak and Juditsky 1992). 0 turns
        it off.
    batch_statistics : {"final", "moving"}, default="final"
        Mean and variance with which batch normalisation validates and predicts. "final": those of the final weights on
        the training samples, at most 1,024 of them, without augmentation and dropout (Wu and Johnson 2021). "moving":
        moving averages over the training steps as in Keras, which are wrong after few steps. Frozen layers keep theirs.
    batch_size : int, default=32
        Number of samples per training step.
    epochs : int or "auto", default="auto"
        Maximum number of passes over the training samples. "auto": as many as make 1,000 training steps, at least 30
        and at most 150.
    early_stopping : bool or "auto", default="auto"
        Whether to stop training when the validation score is no longer improving, and to keep the weights of the best
        epoch. "auto" enables it with `X_val` or more than 10,000 samples, as in `HistGradientBoostingRegressor`.
    scoring : str or callable, default="loss"
        Score that early stopping monitors: "loss", the validation loss, or a scikit-learn scorer.
    validation_fraction : float, default=0.1
        Fraction of the samples to set aside as the inner validation split for early stopping. The split is stratified
        and seeded; samples of one group (see `fit`) and exact duplicates stay on the same side.
    shuffle_validation : bool, default=True
        Whether the inner validation split is drawn at random. If False, the last `validation_fraction` of the samples
        validate, in the order of `X`, as for samples that are ordered in time; batches are shuffled all the same.
    refit_full : bool, default=False
        Whether to refit on all samples for the number of epochs that gave the best validation score. `history_` remains
        that of the training that was validated.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops early.
    tol : float, default=1e-4
        Smallest improvement of the score that counts; for "loss" in units of the standardised target.
    warm_start : bool, default=False
        Whether `fit` continues from the previous fit, for `epochs` more epochs.
    standardize : {"auto", "channel", "position"} or None, default="auto"
        Whether to standardise samples by the mean and standard deviation of each channel, or of each position and
        channel, as `StandardScaler` does. "auto": by position for 2-D `X` without `input_shape`, whose features may
        have units of their own, else by channel; not before a custom network function, which may scale itself. Fitted
        on the training samples only and applied in the graph, so that ``uint8`` images need no copy in floating point.
    dtype : {"float32", "float64"}, default="float32"
        Data type of weights and computations.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the state of training is kept, so that nothing is trained twice: a fit that differs from an
        earlier one, even an interrupted one, only in `epochs` continues from its furthest epoch, with the same result
        as from scratch. Requires an integer `random_state`. The folder takes at most 2 GiB; what has not been used for
        longest is removed first. Not used with `callbacks`, whose effects are unknown. Features of frozen layers are
        kept there, too, whatever `random_state` and `callbacks`, in at most 2 GiB more.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Keras callbacks, called at the beginning and end of training and of each epoch. They are given a Keras model
        with the current weights, which predicts what that of `to_keras` does, and logs with the values of `history_`,
        the validation score also by its name ("val_accuracy" with ``scoring="accuracy"``); changes to the weights, the
        learning rate (with ``schedule="constant"``) and ``model.stop_training`` take effect. Each fit and each clone
        has copies with state of their own: lists, tuples, dicts, sets, arrays, random number generators and callbacks
        within callbacks. Every other object (a trial, a queue, a connection) is shared by all of them, in one process.
        ``{fit}`` in their paths becomes a number that no other fit has, also in ``params["fit"]``. To set
        scikit-learn's callbacks, use `set_callbacks` (scikit-learn 1.9).
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, shuffling, dropout and the inner split. Pass an int for the same fitted model, to the
        bit, across calls.
    verbose : int, default=0
        Verbosity: 1 prints a summary of training, 2 also prints each epoch.
    loss : {"auto", "squared_error", "absolute_error", "huber", "quantile", "poisson"}, default="auto"
        "auto" is "squared_error". "huber" is quadratic up to one unit of the targets and linear beyond. "quantile"
        predicts the quantile `alpha` (Koenker and Bassett 1978). "poisson" is for counts and rates of at least 0: the
        network learns the logarithm of their mean. For "huber", "absolute_error" and "quantile" targets are trained in
        a unit that a few wild ones do not change: 1.4826 times the median absolute deviation from the median, which is
        the standard deviation where targets are normal.
    alpha : float, default=0.5
        Quantile to predict, in (0, 1). Only used with ``loss="quantile"``.
    target_scale : {"column", "common"}, default="column"
        Whether each column of `y` is standardised for training by its own mean and scale, or all by those of all.
        "common" is for networks whose outputs share weights, as at the positions of a series.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen during `fit`: the size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during `fit`, if `X` had names.
    input_shape_ : tuple of int
        Shape in which the network receives a sample.
    n_outputs_ : int
        Number of targets.
    history_ : dict of str to list of float
        Per epoch: "loss" (of standardised targets, without penalties), "learning_rate", and with early stopping
        "val_loss" and, if `scoring` is a scorer, "val_score".
    n_iter_ : int
        Number of epochs trained.
    best_iter_ : int
        Epoch whose weights were kept, unless a Keras callback has set others.
    callbacks_ : list of keras.callbacks.Callback
        Copies of `callbacks` that were used, without their model; empty in a pickle.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from skcnn import CNNRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> CNNRegressor(epochs=5, random_state=0).fit(scale(X), y).predict(scale(X)).shape
    (442,)
    """

    _numeric_target = True
    _parameter_constraints = {
        **BaseCNN._parameter_constraints,
        "loss": [StrOptions({"auto", "squared_error", "absolute_error", "huber", "quantile", "poisson"})],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "target_scale": [StrOptions({"column", "common"})],
    }

    _: KW_ONLY
    loss: Literal["auto", "squared_error", "absolute_error", "huber", "quantile", "poisson"] = "auto"
    alpha: float = 0.5
    target_scale: Literal["column", "common"] = "column"

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these samples, continuing from earlier calls.

        Targets are standardised with the mean and scale of the first call.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weight of each sample.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        self._check_one_epoch()
        earlier = self._fitted if self.__sklearn_is_fitted__() else None
        return self._train_one_epoch(self._check_samples(X, y, sample_weight, None, earlier), earlier)

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Samples.

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
            Predictions, in the unit of `y`.
        """
        target, outputs = self._outputs(X)
        return target.decode(outputs)

    def _make_target(self, y: np.ndarray, classes: Any) -> RegressionTarget:
        how = {"robust": self.loss in ("absolute_error", "huber", "quantile"), "logarithmic": self.loss == "poisson"}
        return RegressionTarget.of(y, **how, common=self.target_scale == "common")

    def _more_strengths(self) -> list[str]:
        return ["alpha"] if self.loss == "quantile" else []

    def _loss_name(self, target: RegressionTarget) -> str:
        return "squared_error" if self.loss == "auto" else self.loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

"""`CNNClassifier` and `CNNRegressor`: a Keras network as a scikit-learn estimator."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from skcnn._fit.balancing import Balancing
from skcnn._fit.estimator import PENALTY, RATE, BaseCNN
from skcnn._fit.targets import ClassTarget, RegressionTarget
from skcnn._fit.weights import check_priors
from skcnn._sklearn.checks import naming
from skcnn._sklearn.internals import HasMethods, StrOptions, check_partial_fit_first_call, fit_context
from skcnn.exceptions import DoubleBalancingWarning, warn

__all__ = ["CNNClassifier", "CNNRegressor"]


@dataclass(eq=False, repr=False)
class CNNClassifier(ClassifierMixin, BaseCNN):
    """Convolutional network classifier.

    Parameters
    ----------
    network : str, Network or callable, default="plain"
        The network: a name, an object from `skcnn.networks` (whose parameters are tuned as ``network__...``), or a
        function ``(input_shape, n_outputs) -> keras.Model`` that puts out logits. Names: "plain" for rows of any kind,
        "fcn", "resnet" and "inception" for series, "image_resnet" for images and volumes.
    input_shape : tuple of int, default=None
        Shape, channels last, to which each row is reshaped, so that flat pipelines work. With None, rows of N-D `X`
        keep their shape and 2-D `X` is taken as sequences of one channel.
    l1 : float, default=0.0
        L1 penalty on kernels: ``l1 * sum(abs(kernel))`` is added to the loss.
    l2 : float, default=0.0
        L2 penalty on kernels: ``l2 * sum(kernel ** 2)`` is added to the loss.
    dropout : float, default=0.0
        Share of the features dropped before the output layer while training, in [0, 1).
    spatial_dropout : float, default=0.0
        Share of the channels of feature maps dropped while training, in [0, 1), where the network has a place for it:
        after each block of `Plain` (Tompson et al. 2015).
    stochastic_depth : float, default=0.0
        How often the last residual branch of a network that has such branches is left out while training, in [0, 1);
        earlier ones less often in proportion (Huang et al. 2016).
    weight_decay : float, default=0.0
        Decoupled weight decay: each step takes ``learning_rate * weight_decay`` of the kernels away (Loshchilov and
        Hutter 2019).
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over the classes, in [0, 1).
    mixup : float, default=0.0
        Alpha of mixup: training rows are mixed in pairs, lambda of one and 1 - lambda of the other, with lambda from
        Beta(alpha, alpha), and so are their losses (Zhang et al. 2018). 0.2 is usual; 0 is off.
    cutmix : float, default=0.0
        Alpha of CutMix: a box of another row is put into each training row, and their losses are mixed by the share
        that it covers (Yun et al. 2019). 1 is usual; 0 is off. With `mixup` too, each row is mixed in one of
        the two ways.
    augmentation : str, keras.Layer, list of them or None, default=None
        How training rows are varied, anew in every step; validation and prediction see rows as they are. Names: "flip"
        (left to right), "vertical_flip", "translation", "rotation" and "zoom" for images; "time_shift",
        "window_slicing", "magnitude_warping" and "time_warping" for series; "contrast", "brightness", "noise"
        ("jitter"), "scaling" and "cutout" for rows of any kind. Keras layers such as
        ``keras.layers.GaussianDropout(0.1)`` see what the network would.
    augmentation_strength : float, default=1.0
        Multiplies how far named augmentations go. At 1: translation and time shift 10% of the size, rotation 18
        degrees, zoom 10%, contrast 20%, brightness 20% and noise 10% of the batch's standard deviation, cutout 30% of
        each side, scaling 10%, a window of 90%, and warping by curves with a standard deviation of 20%.
    loss : {"auto", "log_loss", "focal"}, default="auto"
        "auto" is "log_loss": sigmoid cross-entropy for binary and multilabel, softmax cross-entropy for multiclass.
    focal_gamma : float, default=2.0
        Exponent of the focal loss; 0 is the log loss. Used with ``loss="focal"`` only.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights by class label; "balanced" is ``n / (n_classes * rows of the class)`` on the rows that are trained on.
        For multilabel a list with a dict ``{0: ..., 1: ...}`` per label.
    sampler : sampler or None, default=None
        An imbalanced-learn sampler, applied to the training part alone, after the inner validation split. Selected rows
        keep their sample weight, new rows get the mean weight of their class.
    resample : {"once", "epoch"}, default="once"
        When `sampler` is applied: before training, or before each epoch with a random state of its own.
    balanced_batches : bool, default=False
        Whether every batch holds equally many rows of each class, ``batch_size // n_classes``. An epoch ends when all
        rows have been seen; those of the rarer classes are then seen more often.
    priors : "train", array-like of shape (n_classes,) or None, default=None
        Class shares that probabilities and predictions are for. None: those that the network was trained on, after
        weighting and resampling. "train": those of the training rows, which undoes what `class_weight`, `sampler` and
        `balanced_batches` did. An array: known shares of the population to predict for, in the order of `classes_`; for
        multilabel the share of each label. See `skcnn._fit.weights.prior_shift` for the formula.
    optimizer : {"adam", "sgd", "rmsprop"}, default="adam"
        Keras' update rule of that name, with Keras' constants.
    learning_rate : float, default=0.003
        Learning rate at the start. Three times Keras' default, since a fit on a few hundred rows takes few steps.
    momentum : float, default=0.9
        Momentum, used with ``optimizer="sgd"`` only; 0 is plain gradient descent.
    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.
    schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="constant"
        "cosine" goes down to 0 at the last epoch; "one_cycle" starts at a 25th of `learning_rate`, reaches it after 30%
        of the epochs, and goes down to nearly 0 (Smith and Topin 2018); "plateau" divides the rate by 5 whenever the
        monitored score has not improved for half of `n_iter_no_change` epochs.
    warmup_epochs : float, default=0.0
        Epochs in which the rate rises from 0 to `learning_rate` before the schedule begins (Goyal et al. 2017).
    clipnorm : float or None, default=None
        Largest norm of each weight's gradient.
    ema_momentum : float, default=0.0
        Momentum of an exponential moving average of the weights over the steps, in [0, 1), which validates, predicts
        and is kept in place of the weights themselves (Polyak and Juditsky 1992); 0 is off.
    batch_size : int, default=32
        Rows per training step.
    epochs : int, default=30
        Passes over the training rows, at most.
    early_stopping : bool or "auto", default="auto"
        Whether to stop when the validation score no longer improves, and keep the best epoch's weights. "auto" is
        True with `X_val` or more than 10,000 rows, as in `HistGradientBoostingClassifier`.
    scoring : str or callable, default="loss"
        What early stopping monitors: "loss", the validation loss of probabilities corrected for the class weights, or a
        scikit-learn scorer.
    validation_fraction : float, default=0.1
        Share of the rows in the inner validation split. It is stratified and seeded; rows of one group (see `fit`), and
        rows that are equal to the bit, stay on one side.
    refit_full : bool, default=False
        Whether to train again, on all rows, for as long as the inner validation split has shown to be best. `history_`
        is that of the training that has shown it.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    tol : float, default=1e-4
        Improvement of the score that counts.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit, for `epochs` more.
    standardize : {"channel", "position"} or None, default=None
        Whether to subtract the mean and divide by the standard deviation, per channel or per position and channel, as
        `StandardScaler` does; fitted on the training part alone, applied in the graph, so that ``uint8`` images need no
        copy in floating point.
    dtype : {"float32", "float64"}, default="float32"
        Type of weights and arithmetic.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder that keeps where training stands, so that nothing is trained twice: a fit that differs from an earlier,
        or interrupted, one in `epochs` alone goes on from its furthest epoch, with the result that it would have had
        anyway. Needs an integer `random_state`. The folder takes 2 GiB at most; what was not used for longest is
        removed first. Not used with `callbacks`, whose effects it cannot know.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Keras callbacks, called at the beginning and end of training and of each epoch. Each fit uses copies, see
        `callbacks_`. They see a Keras model with the weights of the moment and, in the logs, what `history_` has; what
        they set of weights, learning rate (with ``schedule="constant"``) and ``model.stop_training`` counts.
        scikit-learn's callbacks are set by `set_callbacks` (scikit-learn 1.9).
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, shuffling, dropout and the inner split. An int gives the same fitted model to the bit.
    verbose : int, default=0
        With 1, print how training went; with 2 each epoch, too.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; for multilabel the numbers of the labels.
    n_features_in_ : int
        Size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if `X` had them.
    input_shape_ : tuple of int
        Shape in which the network sees a row.
    n_outputs_ : int
        Number of logits.
    history_ : dict of str to list of float
        Per epoch: "loss" (weighted data loss, without penalties), "learning_rate", and with early stopping "val_loss"
        and, if `scoring` is a scorer, "val_score".
    n_iter_ : int
        Epochs trained.
    best_iter_ : int
        Epoch of the weights that were kept, if no Keras callback has set others.
    callbacks_ : list of keras.callbacks.Callback
        The copies of `callbacks` that were used, without their model; empty in a pickle.

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
        """Train one epoch on these rows, going on from earlier calls.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Rows.
        y : array-like of shape (n,) or (n, n_labels)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; needed in the first call.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If ``class_weight="balanced"``, which needs all rows at once, ``early_stopping=True``, or with `callbacks`.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which sees only some rows at a time. "
                "Compute weights on all labels with sklearn.utils.class_weight.compute_class_weight and pass them as a "
                "dict."
            )
        self._check_one_epoch()
        seen = copy.copy(self)  # scikit-learn's check writes the classes into its estimator
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
            Rows.

        Returns
        -------
        ndarray of shape (n,) for binary, else (n, n_classes)
            Logits; for binary of the second class.
        """
        target, outputs = self._outputs(X)
        return target.decision(outputs)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class, or for multilabel every label with a probability above one half.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Rows.

        Returns
        -------
        ndarray of shape (n,) or (n, n_labels)
            Predicted labels.
        """
        target, outputs = self._outputs(X)
        return target.decode(outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probability of each class, in the order of `classes_`; for multilabel of each label.
        """
        target, outputs = self._outputs(X)
        return target.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of probabilities, computed from the logits so that they do not underflow.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Rows.

        Returns
        -------
        ndarray of shape (n, n_classes)
        """
        target, outputs = self._outputs(X)
        return target.log_probabilities(outputs)

    def _more_strengths(self) -> list[str]:
        return ["label_smoothing", "focal_gamma"] if self.loss == "focal" else ["label_smoothing"]

    def _make_target(self, y: np.ndarray, classes: Any) -> ClassTarget:
        return ClassTarget.of(y, classes)

    def _loss_name(self, target: ClassTarget) -> str:
        return target.loss

    def _balancing(self, target: ClassTarget) -> Balancing:
        balancing = [name for name in ("sampler", "balanced_batches") if getattr(self, name)]
        if balancing and target.kind == "multilabel":
            raise ValueError(
                f"{balancing[0]} does not work for multilabel targets; use class_weight, a dict per label."
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
                    f"class_weight={self.class_weight!r} weighs classes that {balancing[0]} balances already, so that "
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

    The network is trained on targets standardised over the training rows, so that learning rate and penalties mean the
    same whatever the unit of `y`; predictions come in the unit of `y`.

    Parameters
    ----------
    network : str, Network or callable, default="plain"
        The network: a name, an object from `skcnn.networks` (whose parameters are tuned as ``network__...``), or a
        function ``(input_shape, n_outputs) -> keras.Model``. Names: "plain" for rows of any kind,
        "fcn", "resnet" and "inception" for series, "image_resnet" for images and volumes.
    input_shape : tuple of int, default=None
        Shape, channels last, to which each row is reshaped. With None, rows of N-D `X` keep their shape and 2-D `X` is
        taken as sequences of one channel.
    l1 : float, default=0.0
        L1 penalty on kernels: ``l1 * sum(abs(kernel))`` is added to the loss.
    l2 : float, default=0.0
        L2 penalty on kernels: ``l2 * sum(kernel ** 2)`` is added to the loss.
    dropout : float, default=0.0
        Share of the features dropped before the output layer while training, in [0, 1).
    spatial_dropout : float, default=0.0
        Share of the channels of feature maps dropped while training, in [0, 1), where the network has a place for it:
        after each block of `Plain` (Tompson et al. 2015).
    stochastic_depth : float, default=0.0
        How often the last residual branch of a network that has such branches is left out while training, in [0, 1);
        earlier ones less often in proportion (Huang et al. 2016).
    weight_decay : float, default=0.0
        Decoupled weight decay: each step takes ``learning_rate * weight_decay`` of the kernels away (Loshchilov and
        Hutter 2019).
    mixup : float, default=0.0
        Alpha of mixup: training rows are mixed in pairs, lambda of one and 1 - lambda of the other, with lambda from
        Beta(alpha, alpha), and so are their targets (Zhang et al. 2018). 0.2 is usual; 0 is off.
    cutmix : float, default=0.0
        Alpha of CutMix: a box of another row is put into each training row, and their targets are mixed by the share
        that it covers (Yun et al. 2019). 1 is usual; 0 is off. With `mixup` too, each row is mixed in one of
        the two ways.
    augmentation : str, keras.Layer, list of them or None, default=None
        How training rows are varied, anew in every step; validation and prediction see rows as they are. Names: "flip"
        (left to right), "vertical_flip", "translation", "rotation" and "zoom" for images; "time_shift",
        "window_slicing", "magnitude_warping" and "time_warping" for series; "contrast", "brightness", "noise"
        ("jitter"), "scaling" and "cutout" for rows of any kind. Keras layers such as
        ``keras.layers.GaussianDropout(0.1)`` see what the network would.
    augmentation_strength : float, default=1.0
        Multiplies how far named augmentations go. At 1: translation and time shift 10% of the size, rotation 18
        degrees, zoom 10%, contrast 20%, brightness 20% and noise 10% of the batch's standard deviation, cutout 30% of
        each side, scaling 10%, a window of 90%, and warping by curves with a standard deviation of 20%.
    loss : {"auto", "squared_error", "absolute_error", "huber"}, default="auto"
        "auto" is "squared_error"; "huber" is quadratic up to one standard deviation of the targets, linear beyond.
    optimizer : {"adam", "sgd", "rmsprop"}, default="adam"
        Keras' update rule of that name, with Keras' constants.
    learning_rate : float, default=0.003
        Learning rate at the start. Three times Keras' default, since a fit on a few hundred rows takes few steps.
    momentum : float, default=0.9
        Momentum, used with ``optimizer="sgd"`` only; 0 is plain gradient descent.
    nesterovs_momentum : bool, default=True
        Whether it is Nesterov's.
    schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="constant"
        "cosine" goes down to 0 at the last epoch; "one_cycle" starts at a 25th of `learning_rate`, reaches it after 30%
        of the epochs, and goes down to nearly 0 (Smith and Topin 2018); "plateau" divides the rate by 5 whenever the
        monitored score has not improved for half of `n_iter_no_change` epochs.
    warmup_epochs : float, default=0.0
        Epochs in which the rate rises from 0 to `learning_rate` before the schedule begins (Goyal et al. 2017).
    clipnorm : float or None, default=None
        Largest norm of each weight's gradient.
    ema_momentum : float, default=0.0
        Momentum of an exponential moving average of the weights over the steps, in [0, 1), which validates, predicts
        and is kept in place of the weights themselves (Polyak and Juditsky 1992); 0 is off.
    batch_size : int, default=32
        Rows per training step.
    epochs : int, default=30
        Passes over the training rows, at most.
    early_stopping : bool or "auto", default="auto"
        Whether to stop when the validation score no longer improves, and keep the best epoch's weights. "auto" is
        True with `X_val` or more than 10,000 rows, as in `HistGradientBoostingRegressor`.
    scoring : str or callable, default="loss"
        What early stopping monitors: "loss" or a scikit-learn scorer.
    validation_fraction : float, default=0.1
        Share of the rows in the inner validation split. It is stratified and seeded; rows of one group (see `fit`), and
        rows that are equal to the bit, stay on one side.
    refit_full : bool, default=False
        Whether to train again, on all rows, for as long as the inner validation split has shown to be best. `history_`
        is that of the training that has shown it.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    tol : float, default=1e-4
        Improvement of the score that counts; for "loss" in units of the standardised target.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit, for `epochs` more.
    standardize : {"channel", "position"} or None, default=None
        Whether to subtract the mean and divide by the standard deviation, per channel or per position and channel, as
        `StandardScaler` does; fitted on the training part alone, applied in the graph, so that ``uint8`` images need no
        copy in floating point.
    dtype : {"float32", "float64"}, default="float32"
        Type of weights and arithmetic.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder that keeps where training stands, so that nothing is trained twice: a fit that differs from an earlier,
        or interrupted, one in `epochs` alone goes on from its furthest epoch, with the result that it would have had
        anyway. Needs an integer `random_state`. The folder takes 2 GiB at most; what was not used for longest is
        removed first. Not used with `callbacks`, whose effects it cannot know.
    callbacks : list of keras.callbacks.Callback or None, default=None
        Keras callbacks, called at the beginning and end of training and of each epoch. Each fit uses copies, see
        `callbacks_`. They see a Keras model with the weights of the moment and, in the logs, what `history_` has; what
        they set of weights, learning rate (with ``schedule="constant"``) and ``model.stop_training`` counts.
        scikit-learn's callbacks are set by `set_callbacks` (scikit-learn 1.9).
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, shuffling, dropout and the inner split. An int gives the same fitted model to the bit.
    verbose : int, default=0
        With 1, print how training went; with 2 each epoch, too.

    Attributes
    ----------
    n_features_in_ : int
        Size of the second axis of `X`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if `X` had them.
    input_shape_ : tuple of int
        Shape in which the network sees a row.
    n_outputs_ : int
        Number of targets.
    history_ : dict of str to list of float
        Per epoch: "loss" (of standardised targets, without penalties), "learning_rate", and with early stopping
        "val_loss" and, if `scoring` is a scorer, "val_score".
    n_iter_ : int
        Epochs trained.
    best_iter_ : int
        Epoch of the weights that were kept, if no Keras callback has set others.
    callbacks_ : list of keras.callbacks.Callback
        The copies of `callbacks` that were used, without their model; empty in a pickle.

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
        "loss": [StrOptions({"auto", "squared_error", "absolute_error", "huber"})],
    }

    _: KW_ONLY
    loss: Literal["auto", "squared_error", "absolute_error", "huber"] = "auto"

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows, going on from earlier calls.

        The targets are standardised with mean and scale of the first call.

        Parameters
        ----------
        X : array-like of shape (n, n_features) or (n, ..., n_channels)
            Rows.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.

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
            Rows.

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
            Predictions, in the unit of y.
        """
        target, outputs = self._outputs(X)
        return target.decode(outputs)

    def _make_target(self, y: np.ndarray, classes: Any) -> RegressionTarget:
        return RegressionTarget.of(y)

    def _loss_name(self, target: RegressionTarget) -> str:
        return "squared_error" if self.loss == "auto" else self.loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

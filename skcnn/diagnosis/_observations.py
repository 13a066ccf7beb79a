"""What checks look at: estimator, data and predictions; each computed once, when first asked for."""

import copy
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.multiclass import type_of_target

from skcnn._lazy import sample_digests
from skcnn._sklearn.checks import naming
from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import EFFECT_LEVEL, Estimate, difference, weighted_mean
from skcnn.diagnosis._arguments import check_data, check_labels, check_predicts, seed_of
from skcnn.diagnosis._both_sides import BothSides
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._components import Components, KerasModel, keras_target, take_apart
from skcnn.diagnosis._reference import Reference
from skcnn.diagnosis._refits import Refits
from skcnn.diagnosis._side import Side

__all__ = ["Observations"]


class Observations:
    """A fitted estimator with its training samples and, if there are any, its test samples.

    Parameters
    ----------
    estimator : estimator
        Fitted classifier or regressor, pipeline, search or Keras model.
    X_train, y_train, X_test, y_test : array-like
        Samples and targets as the estimator was given them; the test samples may be None.
    fast : bool
        Whether to look at fewer samples and grow fewer trees.
    refits : int
        How often the estimator may be fitted again.
    random_state : int, RandomState instance or None
        Seed of all that is drawn.
    n_jobs : int or None
        For the simple models.
    **beside : array-like or None
        Group and time of each sample: groups_train, groups_test, times_train, times_test.
    """

    LIMIT = 3000  # that distances and simple models are computed on
    FAST_LIMIT = 1200

    def __init__(
        self,
        estimator: Any,
        X_train: Any,
        y_train: Any,
        X_test: Any = None,
        y_test: Any = None,
        *,
        fast: bool = False,
        refits: int = 0,
        random_state: Any = 0,
        n_jobs: int | None = None,
        **beside: Any,
    ) -> None:
        check_data(X_train, y_train, X_test, y_test, beside)
        self.one_hot = keras_target(estimator, y_train) == "one-hot"
        # The salts draw the samples of each side independently of each other.
        self.train = Side(self, X_train, _labels(y_train, self.one_hot), 2)
        self.test: Any = None if X_test is None else Side(self, X_test, _labels(y_test, self.one_hot), 3)
        self.refits = Refits(refits)
        self.components: Components = take_apart(estimator, self.train.y)
        self.estimator = self.components.whole
        self.beside = {name: np.asarray(values) for name, values in beside.items() if values is not None}
        self.fast = fast
        self.seed = seed_of(random_state)
        self.n_jobs = n_jobs
        with naming("y_train"):
            classes = self.classes if self.has_classes else None
        check_labels(self.train.y, None if self.test is None else self.test.y, classes)
        check_predicts(estimator, self.train.X)

    @property
    def sides(self) -> dict[str, Side]:
        """Training and, if there are any, test samples by name."""
        return {"training": self.train, **({} if self.test is None else {"test": self.test})}

    # Without a cause ------------------------------------------------------------------------------------------------

    def changed(
        self,
        *,
        X_train: Any = None,
        X_test: Any = None,
        y_test: np.ndarray | None = None,
        keep: np.ndarray | None = None,
        estimator: Any = None,
        predicts: Any = None,
    ) -> "Observations":
        """Return these observations with something put right; what does not change is not computed again.

        Parameters
        ----------
        X_train, X_test, y_test : array-like, default=None
            Other training samples, other test samples, or other targets of them.
        keep : ndarray of bool or int, default=None
            Test samples to keep.
        estimator : fitted estimator, default=None
            Diagnosed instead.
        predicts : fitted estimator, default=None
            Predicts instead, while parameters, steps and history stay those of the estimator.
        """
        other = copy.copy(self)
        for name in ("both", "digests"):
            other.__dict__.pop(name, None)
        if estimator is not None:
            other.components = take_apart(estimator, self.train.y)
            predicts = other.components.whole
        if predicts is not None:
            other.estimator = predicts
        same = predicts is None
        same_steps = estimator is None or not (self.components.steps or other.components.steps)
        X = self.train.X if X_train is None else X_train
        if X is not self.train.X:
            for name in ("reference", "sample_shape"):
                other.__dict__.pop(name, None)
        other.train = self.train.of(other, X, self.train.y, same, same_steps)
        if self.test is not None:
            X, y = self.test.X if X_test is None else X_test, self.test.y if y_test is None else y_test
            if keep is not None:
                X, y = safe_indexing(X, keep), y[keep]
                other.beside = {k: v[keep] if k.endswith("_test") else v for k, v in self.beside.items()}
            other.test = self.test.of(other, X, y, same, same_steps)
        return other

    def gain(self, other: "Observations", level: float = EFFECT_LEVEL) -> Estimate:
        """Return the test score of `other` minus that here, paired by test samples."""
        return weighted_mean(other.test.quality - self.test.quality, self.test.weight, level)

    def without(self, concerned: np.ndarray) -> Estimate:
        """Return what the test score changes by if the samples concerned are left out.

        They are compared with the other test samples of their classes, so that a class that is harder to predict does
        not pass for an effect. Their difference counts as often as there are samples concerned.

        Raises
        ------
        NotApplicable
            If fewer than five other samples are left to compare with, or fewer than five are concerned.
        """
        strata = np.unique(self.test.codes if self.has_classes else np.zeros(len(concerned)), return_inverse=True)[1]
        counts = np.stack([np.bincount(strata[rows], minlength=strata.max() + 1) for rows in (~concerned, concerned)])
        comparable = counts.min(axis=0)[strata] > 0
        these, others = concerned & comparable, ~concerned & comparable
        if these.sum() < 5 or others.sum() < 5:
            raise NotApplicable(f"{these.sum()} test samples are concerned, {others.sum()} are comparable with them")
        like = (counts[1] / np.maximum(counts[0], 1))[strata[others]]
        quality = self.test.quality
        apart = difference(
            weighted_mean(quality[others], like, EFFECT_LEVEL),
            weighted_mean(quality[these], np.ones(these.sum()), EFFECT_LEVEL),
        )
        share = float(concerned.mean())
        return Estimate(share * apart.value, share * apart.low, share * apart.high, int(concerned.sum()))

    def refitted(
        self,
        rows: np.ndarray | None = None,
        *,
        X: tuple[Any, Any] | None = None,
        before: Any = None,
        **params: Any,
    ) -> "Observations | None":
        """Return the observations of the estimator fitted again with other parameters of its final step.

        None if it may not be fitted again, cannot be, does not have one of the parameters, or its fit failed.

        Parameters
        ----------
        rows : ndarray of int or bool, default=None
            Training samples to fit on; by default all.
        X : tuple of array-like, default=None
            Other training and test samples (None without a test set), to fit on and to predict.
        before : transformer, default=None
            Put before the final step.
        **params : object
            By names of the final step's parameters, nested ones with double underscores.
        """
        X_train, X_test = (None, None) if X is None else X
        samples = self.train.X if X is None else X_train
        fitted = self.refits.fit(self.components, params, samples, self.train.y, rows, before)
        return None if fitted is None else self.changed(estimator=fitted, X_train=X_train, X_test=X_test)

    def without_refits(self) -> "Observations":
        """Return the same observations of an estimator that is not fitted again."""
        other = copy.copy(self)  # shares what was computed for its sides
        other.refits, other.both = Refits(0), self.both.of(other)
        return other

    # What kind of problem it is ------------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> str:
        """One of "binary", "multiclass", "multilabel", "regression"."""
        final, target = self.components.final, type_of_target(self.train.y)
        if isinstance(final, KerasModel):
            if final.target in ("regression", "multilabel"):
                return final.target
            target = "multiclass"
        elif is_regressor(final):
            return "regression"
        if target.startswith("continuous") and not is_classifier(final):
            return "regression"
        if target == "multilabel-indicator":
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def has_test(self) -> bool:
        """Whether test samples were given."""
        return self.test is not None

    def need(self, *what: str) -> None:
        """Raise NotApplicable unless all of this is there: "test", "classes", "probabilities" or "search"."""
        for one in what:
            if one == "test" and not self.has_test:
                raise NotApplicable("no test samples were given")
            if one in ("classes", "probabilities") and not self.has_classes:
                raise NotApplicable(f"asks for one class label per sample; this is {self.kind}")
            if one == "probabilities" and not self.has_probabilities:
                raise NotApplicable("the estimator returns no probabilities")
            if one == "search" and self.components.search is None:
                raise NotApplicable("there is no search")

    @property
    def has_classes(self) -> bool:
        """Whether each sample has one label."""
        return self.kind in ("binary", "multiclass")

    @property
    def has_probabilities(self) -> bool:
        """Whether the estimator predicts probabilities."""
        return hasattr(self.estimator, "predict_proba")

    def need_history(self, name: str = "loss", least_epochs: int = 1) -> np.ndarray:
        """Return a curve of the training history, or raise NotApplicable."""
        if name not in self.components.history:
            raise NotApplicable(f"the final step keeps no {name!r} by epoch")
        curve = np.array(self.components.history[name])
        if len(curve) < least_epochs:
            raise NotApplicable("there is one epoch")
        return curve

    def need_keras_model(self) -> Any:
        """Return the Keras model of the final step, or raise NotApplicable."""
        model = self.components.keras_model
        if model is None:
            raise NotApplicable("the final step has no Keras network")
        return model

    def rng(self, salt: int = 0) -> np.random.Generator:
        """Return a generator of the seed."""
        return np.random.default_rng([self.seed, salt])

    # Labels -------------------------------------------------------------------------------------------------------

    @cached_property
    def classes(self) -> np.ndarray:
        """Labels that the estimator knows, sorted."""
        known = getattr(self.estimator, "classes_", None)
        return np.unique(self.train.y) if known is None or np.ndim(known) != 1 else np.asarray(known)

    def codes(self, y: np.ndarray) -> np.ndarray:
        """Return the place of each label in `classes`, -1 for one that is not there."""
        order = np.argsort(self.classes, kind="stable")  # estimators of other libraries may keep classes unsorted
        place = np.clip(np.searchsorted(self.classes, y, sorter=order), 0, len(order) - 1)
        found = order[place]
        return np.where(self.classes[found] == y, found, -1)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Return class codes, labels as they are, or the targets of a regression as float64."""
        if self.has_classes:
            return self.codes(y)
        return np.asarray(y, dtype=np.float64) if self.kind == "regression" else np.asarray(y)

    def counts(self, codes: np.ndarray) -> np.ndarray:
        """Return the number of samples of each class."""
        return np.bincount(codes[codes >= 0], minlength=len(self.classes))

    def shares(self, codes: np.ndarray) -> np.ndarray:
        """Return the share of each class."""
        return self.counts(codes) / len(codes)

    # Scores -------------------------------------------------------------------------------------------------------

    @property
    def score_name(self) -> str:
        """What the scores are."""
        if self.kind == "regression":
            return "R²"
        if self.kind == "multilabel":
            return "label accuracy"
        return "balanced accuracy" if self.skewed else "accuracy"

    @cached_property
    def skewed(self) -> bool:
        """Whether some class has five times the training samples of another, so that accuracy hides the rare one."""
        if not self.has_classes:
            return False
        counts = self.counts(self.train.codes)
        return bool(counts.max() >= 5 * max(1, counts[counts > 0].min()))

    def quality(self, targets: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Return how good each prediction is: right or not, the share of right labels, or its part of R²."""
        if self.has_classes:
            return (predicted == targets).astype(np.float64)
        if self.kind == "multilabel":
            return (np.asarray(predicted) == targets).mean(axis=1)
        errors, from_mean = self.squares(targets, predicted)
        return 1 - errors / max(from_mean.mean(), np.finfo(np.float64).tiny)

    def squares(self, targets: np.ndarray, predicted: np.ndarray) -> list[np.ndarray]:
        """Return squared errors of a regression, and squared distances from the mean of the training targets."""
        centers = predicted, np.mean(self.train.targets, axis=0)
        return [((targets - center) ** 2).reshape(len(targets), -1).mean(axis=1) for center in centers]

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """Return the weight of each sample in the score."""
        if not self.skewed:
            return np.full(len(targets), 1 / len(targets))
        _, place, counts = np.unique(targets, return_inverse=True, return_counts=True)
        return 1 / (len(counts) * counts[place])

    # Samples as they arrive at the network ---------------------------------------------------------------------------

    @cached_property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample as its owner has it: one number for a table, though a network takes that for a series."""
        asked = getattr(self.components.final, "input_shape", None)
        return tuple(asked or self.components.transform(safe_indexing(self.train.X, [0])).shape[1:])

    @cached_property
    def digests(self) -> tuple[np.ndarray, np.ndarray]:
        """A digest of each training sample and of each test sample; samples are equal to the bit if theirs are."""
        raw = [np.asarray(side.X) for side in self.sides.values()]
        if any(X.dtype.kind not in "biuf" for X in raw):  # objects have no bits to compare; what they become has
            raw = [side.inputs for side in self.sides.values()]
        common = np.result_type(*raw)
        digests = [sample_digests(X.astype(common, copy=False)) for X in raw]
        return digests[0], digests[1] if self.has_test else digests[0][:0]

    @cached_property
    def reference(self) -> Reference:
        """Simple models on the samples `train.chosen`."""
        return Reference(self)

    @cached_property
    def both(self) -> BothSides:
        """What holds of training and test samples together."""
        return BothSides(self)

    def unfitted(self) -> Any:
        """Return an unfitted copy of what predicts; raises NotApplicable for a plain Keras model."""
        unfitted = self.components.unfitted
        if unfitted is None:
            raise NotApplicable("a plain Keras model cannot be refitted")
        return unfitted


def _labels(y: Any, one_hot: bool) -> np.ndarray:
    """Return y as an array; one-hot rows, as Keras has them, become the number of their column."""
    array = np.asarray(y)
    if one_hot:
        return array.argmax(axis=1)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array

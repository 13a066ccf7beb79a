"""What checks look at: estimator, data and predictions; each computed once, when first asked for."""

import copy
import warnings
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2_contingency
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.multiclass import type_of_target

from skcnn._fit.batches import sample_digests
from skcnn._sklearn.checks import is_frame, naming
from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import (
    ALPHA,
    Estimate,
    balanced_accuracy,
    difference,
    explained_variance,
    grouped_mean,
    proportion,
    weighted_mean,
)
from skcnn.diagnosis._arguments import check_data, check_labels, check_predicts, seed_of
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._components import Components, KerasModel, keras_target, take_apart
from skcnn.diagnosis._reference import Reference
from skcnn.diagnosis._refits import Refits
from skcnn.diagnosis._two_samples import neighbours_of_own_part

__all__ = ["CAREFUL_LEVEL", "EFFECT_LEVEL", "Observations", "Side"]

EFFECT_LEVEL = 0.95  # of the intervals of effects, where a pattern that is rare on sound data was seen before
CAREFUL_LEVEL = 0.99  # and where the pattern is common, or the effect the best of several

# What is computed from both sides, and no longer holds once one of them changes.
OF_BOTH_SIDES = (
    *("digests", "reference_test", "reference_folds", "test_within", "lead", "moved", "misfit", "contradicted"),
    *("muddled", "last_third", "held_back", "strata"),
)


class Side:
    """Training or test samples, as the estimator sees and predicts them; each value is computed when first asked for.

    Parameters
    ----------
    seen : Observations
        What they belong to.
    X, y : array-like
        Samples and targets.
    salt : int
        Of the choice of the samples that are looked at closely.
    """

    def __init__(self, seen: "Observations", X: Any, y: np.ndarray, salt: int) -> None:
        self.seen = seen
        self.X = X if is_frame(X) else np.asarray(X)
        self.y = y
        self.salt = salt

    @cached_property
    def codes(self) -> np.ndarray:
        """Class codes; -1 for a class that the estimator does not know."""
        return self.seen.codes(self.y)

    @cached_property
    def proba(self) -> np.ndarray:
        """Probabilities."""
        return self.ask("predict_proba").astype(np.float64, copy=False)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted class codes, or targets."""
        predicted = self.ask("predict")
        return self.seen.codes(predicted) if self.seen.has_classes else predicted

    def ask(self, method: str) -> np.ndarray:
        """Return what a method of the estimator predicts; missing values are more than it may know how to take."""
        try:
            return np.asarray(getattr(self.seen.estimator, method)(self.X))
        except ValueError:
            table = np.asarray(self.X)
            if table.dtype.kind == "f" and not np.isfinite(table).all():
                raise NotApplicable("the estimator predicts no samples with values that are not finite") from None
            raise

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each sample is predicted right; a class that the estimator does not know never is."""
        return self.predicted == self.codes

    @cached_property
    def targets(self) -> np.ndarray:
        """Class codes, labels of a multilabel problem, or the targets of a regression as float64."""
        return self.seen.targets(self.y)

    @cached_property
    def quality(self) -> np.ndarray:
        """How good each prediction is: the score is the mean of it, weighted by `weight`."""
        return self.seen.quality(self.targets, self.predicted)

    @cached_property
    def weight(self) -> np.ndarray:
        """Weight of each sample in the score; they add up to 1."""
        return self.seen.weights(self.targets)

    @cached_property
    def score(self) -> Estimate:
        """Accuracy, balanced accuracy, share of right labels or R²: see `Observations.score_name`."""
        if self.seen.kind == "regression":
            return self.seen.r2(np.asarray(self.y, dtype=np.float64), self.predicted)
        if self.seen.kind == "multilabel":
            return weighted_mean(self.quality, self.weight)
        return self.balanced if self.seen.skewed else proportion(self.right)

    @cached_property
    def balanced(self) -> Estimate:
        """Balanced accuracy."""
        return balanced_accuracy(self.codes, self.predicted)

    @property
    def by_guessing(self) -> float:
        """Balanced accuracy of a guess."""
        return 1 / len(np.unique(self.codes))

    @cached_property
    def inputs(self) -> np.ndarray:
        """The samples as they arrive at the final step, in the shape in which it sees them."""
        X = self.seen.components.transform(self.X)
        shape = getattr(self.seen.components.final, "input_shape_", None)
        return X if shape is None else X.reshape(len(X), *shape)

    @cached_property
    def chosen(self) -> np.ndarray:
        """Indices of the samples that are looked at closely: of all, or of some drawn at random."""
        n, limit = len(self.y), self.seen.FAST_LIMIT if self.seen.fast else self.seen.LIMIT
        return np.arange(n) if n <= limit else np.sort(self.seen.rng(self.salt).choice(n, limit, replace=False))

    @cached_property
    def flat(self) -> np.ndarray:
        """The samples of `chosen` as they arrive at the final step, flattened.

        What is not finite becomes the median of its column over the training samples, or 0 where there is none.
        """
        flat = self.inputs[self.chosen].reshape(len(self.chosen), -1).astype(np.float64)
        if np.isfinite(flat).all():
            return flat
        known = flat if self is self.seen.train else self.seen.train.flat
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns without a finite value
            medians = np.nanmedian(np.where(np.isfinite(known), known, np.nan), axis=0)
        return np.where(np.isfinite(flat), flat, np.nan_to_num(medians))

    def of(self, seen: "Observations", X: Any, y: np.ndarray, same_estimator: bool) -> "Side":
        """Return the side with other samples or targets, of other observations; what does not change is kept."""
        other = Side(seen, X, y, self.salt)
        kept = ["inputs", "chosen", "flat"] * (X is self.X) + ["codes", "targets", "weight"] * (y is self.y)
        kept += ["proba", "predicted"] * (X is self.X and same_estimator)
        if X is self.X and y is self.y and same_estimator:
            kept += ["right", "quality", "score", "balanced"]
        other.__dict__ |= {name: self.__dict__[name] for name in kept if name in self.__dict__}
        return other


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
        for name in OF_BOTH_SIDES:
            other.__dict__.pop(name, None)
        if estimator is not None:
            other.components = take_apart(estimator, self.train.y)
            predicts = other.components.whole
        if predicts is not None:
            other.estimator = predicts
        same = predicts is None
        X = self.train.X if X_train is None else X_train
        if X is not self.train.X:
            for name in ("reference", "sample_shape"):
                other.__dict__.pop(name, None)
        other.train = self.train.of(other, X, self.train.y, same)
        if self.test is not None:
            X, y = self.test.X if X_test is None else X_test, self.test.y if y_test is None else y_test
            if keep is not None:
                rows = np.flatnonzero(keep) if keep.dtype == bool else keep
                X, y = safe_indexing(X, rows), y[rows]
                other.beside = {k: v[rows] if k.endswith("_test") else v for k, v in self.beside.items()}
            other.test = self.test.of(other, X, y, same)
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
        strata = self.test.codes if self.has_classes else np.zeros(len(concerned), dtype=int)
        n_strata = int(strata.max()) + 2
        counts = np.stack([np.bincount(strata[rows] + 1, minlength=n_strata) for rows in (~concerned, concerned)])
        comparable = np.isin(strata + 1, np.flatnonzero(counts.min(axis=0)))
        these, others = concerned & comparable, ~concerned & comparable
        if these.sum() < 5 or others.sum() < 5:
            raise NotApplicable(f"{these.sum()} test samples are concerned, {others.sum()} are comparable with them")
        like = (counts[1] / np.maximum(counts[0], 1))[strata + 1][others]
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

    @cached_property
    def last_third(self) -> tuple["Observations", np.ndarray] | None:
        """The estimator fitted on two thirds of the training samples, and the others' indices.

        Groups, and blocks of samples that follow each other, are not torn apart. None if it may not be fitted again.
        """
        fold = np.full(len(self.train.y), -1)
        fold[self.train.chosen] = self.reference.folds
        other = self.refitted(np.flatnonzero(np.not_equal(fold, 0)))
        return None if other is None else (other, np.flatnonzero(np.equal(fold, 0)))

    @cached_property
    def held_back(self) -> Estimate | None:
        """What the estimator, fitted on two thirds of the training samples, loses from the last third to the test set.

        The same fit predicts both, so that fewer samples to learn from are no loss. Samples of the last third weigh as
        often as their class occurs in the test samples. None if the estimator may not be fitted again.
        """
        self.need("test")
        if self.last_third is None:
            return None
        other, rows = self.last_third
        third = Side(other, safe_indexing(self.train.X, rows), self.train.y[rows], self.train.salt)
        groups = self.beside.get("groups_train")
        return self._loss(
            (third.targets, third.quality, None if groups is None else groups[rows]),
            (self.test.targets, other.test.quality, self.beside.get("groups_test")),
        )

    def _loss(self, ours: tuple[Any, ...], theirs: tuple[Any, ...], level: float = EFFECT_LEVEL) -> Estimate:
        """Return the score of known samples minus that of test samples, each as targets, quality and groups.

        Known samples weigh as often as their class occurs in the test samples; groups count as one value each.
        """
        (targets, quality, groups), (test_targets, test_quality, test_groups) = ours, theirs
        known, weight = np.ones(len(test_targets), dtype=bool), np.ones(len(targets))
        if self.has_classes:
            counts = np.stack([self.counts(targets), self.counts(test_targets)])
            known = np.isin(test_targets, np.flatnonzero(counts[0]))
            weight = (counts[1] / np.maximum(counts[0], 1))[targets]
        if not known.any():
            raise NotApplicable("no test sample is of a class that has training samples")
        test_groups = None if test_groups is None else test_groups[known]
        return difference(
            grouped_mean(quality, weight, groups, level),
            grouped_mean(test_quality[known], np.ones(known.sum()), test_groups, level),
        )

    def without_refits(self) -> "Observations":
        """Return the same observations of an estimator that is not fitted again."""
        other = copy.copy(self)  # shares what was computed for its sides
        other.refits = Refits(0)
        return other

    @cached_property
    def lead(self) -> Estimate:
        """Test score of the simple model minus that of the estimator: what is within reach at least."""
        self.need("test")
        rows = self.test.chosen
        simple = self.quality(self.test.targets[rows], self.reference_test)
        return weighted_mean(simple - self.test.quality[rows], self.test.weight[rows], CAREFUL_LEVEL)

    @cached_property
    def moved(self) -> float:
        """How far test samples stand from training samples, in standard deviations of a permutation test.

        On clean data it was at most 1.6 in some hundred trials, under shifts 4 to 80. The permutations keep the class
        shares of both parts (fifths of the targets of a regression), so that other shares alone move nothing.
        """
        self.need("test")
        groups = None
        if {"groups_train", "groups_test"} <= set(self.beside):
            sides = zip((self.beside["groups_train"], self.beside["groups_test"]), self.sides.values(), strict=True)
            groups = np.concatenate([values[side.chosen] for values, side in sides])
        strata = np.concatenate(self.strata)
        return neighbours_of_own_part(self.train.flat, self.test.flat, self.rng(7), groups, strata, self.n_jobs)

    @cached_property
    def strata(self) -> tuple[np.ndarray, np.ndarray]:
        """Class of each sample of `chosen`, or fifth of the targets of a regression: for training, for test samples."""
        train, test = (side.targets[side.chosen] for side in (self.train, self.test))
        if self.kind == "multilabel":
            return np.zeros(len(train), dtype=int), np.zeros(len(test), dtype=int)
        if self.kind == "regression":
            train, test = (targets.reshape(len(targets), -1).mean(axis=1) for targets in (train, test))
            edges = np.quantile(np.concatenate([train, test]), [0.2, 0.4, 0.6, 0.8])
            train, test = (np.searchsorted(edges, targets) for targets in (train, test))
        return train, test

    @cached_property
    def misfit(self) -> Estimate:
        """Score of the simple model out of fold on training samples minus its score on test samples.

        Models of the same folds predict both. Training samples weigh as often as their class occurs in the test
        samples, so that other class shares are no misfit. What is left is samples from elsewhere, or labels that do not
        fit. Samples of one group count as one.
        """
        self.need("test")
        reference, rows = self.reference, self.test.chosen
        targets, test_groups = self.test.targets[rows], self.beside.get("groups_test")
        tested = [self.quality(targets, reference.labels(out)) for out in self.reference_folds]
        return self._loss(
            (reference.y, reference.quality(reference.oof), reference.groups),
            (targets, np.mean(tested, axis=0), None if test_groups is None else test_groups[rows]),
            CAREFUL_LEVEL,
        )

    @cached_property
    def reference_folds(self) -> list[np.ndarray]:
        """What the models of the folds predict for the test samples `test.chosen`, as they do out of fold."""
        return self.reference.by_folds_for(self.test.flat)

    @cached_property
    def contradicted(self) -> Estimate:
        """What `misfit` is if labels are wrong at random: known better, since few errors are made with confidence.

        Errors are compared within fifths of the confidence that the simple model has out of fold. Wrong labels add as
        many to each, but where hardly any are made by nature these tell most. NotApplicable without classes.
        """
        self.need("test", "classes")
        reference, targets = self.reference, self.test.targets[self.test.chosen]
        if "groups_test" in self.beside:
            return self.misfit
        sure = reference.oof.max(axis=1)
        edges = np.quantile(sure, [0.2, 0.4, 0.6, 0.8])
        place = np.searchsorted(edges, sure)
        wrong = 1 - reference.quality(reference.oof)
        weight = self._like_test(reference.y, targets)
        theirs = [np.searchsorted(edges, out.max(axis=1)) for out in self.reference_folds]
        errors = [1 - self.quality(targets, reference.labels(out)) for out in self.reference_folds]
        n, k = (np.bincount(place, values, minlength=5) for values in (weight, weight * wrong))
        n_eff = n**2 / np.maximum(np.bincount(place, weight**2, minlength=5), 1e-12)
        m, j = (
            np.mean([np.bincount(at, values, minlength=5) for at, values in zip(theirs, counted, strict=True)], axis=0)
            for counted in ([np.ones(len(at)) for at in theirs], errors)
        )
        usual, now = (k + 0.5) / (n + 1), (j + 0.5) / (m + 1)
        variance = usual * (1 - usual) / np.maximum(n_eff, 1) + now * (1 - now) / np.maximum(m, 1)
        n_classes = max(2, len(np.unique(reference.y)))
        share = np.clip(1 - usual * n_classes / (n_classes - 1), 0.05, 1)  # of the wrong labels that add an error
        known = (m > 0) & (n > 0)
        precision = share[known] ** 2 / variance[known]
        value = ((j / np.maximum(m, 1) - k / np.maximum(n, 1e-12)) / share)[known] @ precision / precision.sum()
        scale = float(share[known] @ m[known] / m[known].sum())
        half = ndtri((1 + CAREFUL_LEVEL) / 2) / np.sqrt(precision.sum())
        return Estimate.around(scale * value, scale * half, len(targets))

    def _like_test(self, codes: np.ndarray, test_codes: np.ndarray) -> np.ndarray:
        """Return weights of training samples with which classes are as frequent as among test samples."""
        counts = np.stack([self.counts(codes), self.counts(test_codes)])
        weight = (counts[1] / np.maximum(counts[0], 1))[codes]
        return np.asarray(weight * len(codes) / max(weight.sum(), 1e-12))

    @cached_property
    def test_within(self) -> np.ndarray:
        """How well each of the test samples `test.chosen` is predicted by the simple model of others of them."""
        return self._within(self.test, np.arange(len(self.test.chosen)), None)

    def _within(self, side: Side, rows: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
        """Return how well samples, of `chosen`, are predicted out of fold by the simple model of each other."""
        turned = self.changed()
        turned.train, turned.beside = side, {}
        within = Reference(turned)
        within.X, within.y = side.flat[rows], side.targets[side.chosen][rows]
        within.groups = None if groups is None else groups[side.chosen][rows]
        return within.quality(within.out_of_fold(self.reference.model))

    @cached_property
    def muddled(self) -> Estimate:
        """Score of the simple model within the test samples, minus that within as many training samples of each class.

        Above 0 if training labels say less of training samples than test labels of test samples: some are wrong.
        """
        self.need("test")
        sides = {name: self.beside.get(f"groups_{name}") for name in ("train", "test")}
        means = []
        for rows, (name, groups) in zip(self._as_many(), sides.items(), strict=True):
            side = getattr(self, name)
            if len(rows) < len(side.chosen):
                quality = self._within(side, rows, groups)
            else:
                quality = self.test_within if name == "test" else self.reference.quality(self.reference.oof)
            of_rows = None if groups is None else groups[side.chosen][rows]
            means.append(grouped_mean(quality, np.ones(len(rows)), of_rows, CAREFUL_LEVEL))
        return difference(means[1], means[0])

    def _as_many(self) -> list[np.ndarray]:
        """Return samples of `chosen`, training and test, of which there are about as many of each class."""
        sides = [side.targets[side.chosen] for side in (self.train, self.test)]
        rng, least = self.rng(47), min(map(len, sides))
        counts = np.stack([self.counts(codes) for codes in sides]) if self.has_classes else np.zeros((2, 0))
        counts = counts[:, counts.all(axis=0)]
        if counts.shape[1] < 2 or chi2_contingency(counts).pvalue > ALPHA:
            return [np.sort(rng.permutation(len(targets))[:least]) for targets in sides]
        most = np.stack([self.counts(codes) for codes in sides]).min(axis=0)
        return [
            np.sort(np.concatenate([rng.permutation(np.flatnonzero(codes == c))[:n] for c, n in enumerate(most)]))
            for codes in sides
        ]

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
        from_mean = ((targets - np.mean(self.train.targets, axis=0)) ** 2).reshape(len(targets), -1).mean(axis=1)
        errors = ((targets - predicted) ** 2).reshape(len(targets), -1).mean(axis=1)
        return 1 - errors / max(from_mean.mean(), np.finfo(np.float64).tiny)

    def weights(self, targets: np.ndarray) -> np.ndarray:
        """Return the weight of each sample in the score."""
        if not self.skewed:
            return np.full(len(targets), 1 / len(targets))
        _, place, counts = np.unique(targets, return_inverse=True, return_counts=True)
        return 1 / (len(counts) * counts[place])

    def r2(self, y: np.ndarray, predicted: np.ndarray) -> Estimate:
        """R² against the mean of the training targets."""
        from_mean = ((y - np.mean(self.train.y, axis=0)) ** 2).reshape(len(y), -1).mean(axis=1)
        return explained_variance(((y - predicted) ** 2).reshape(len(y), -1).mean(axis=1), from_mean)

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
    def reference_test(self) -> np.ndarray:
        """Class codes, labels or targets that the simple model predicts for the test samples `test.chosen`."""
        return self.reference.predicted_for(self.test.flat)

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

"""Training and test samples beside each other: what simple models, and a fit on a part, say of both."""

import copy
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2_contingency
from sklearn.base import clone

from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import ALPHA, CAREFUL_LEVEL, EFFECT_LEVEL, Estimate, difference, grouped_mean, weighted_mean
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._reference import Reference
from skcnn.diagnosis._side import Side
from skcnn.diagnosis._two_samples import neighbours_of_own_part

__all__ = ["BothSides"]


class BothSides:
    """What holds of training and test samples together, and no longer once one of them changes.

    Each value is computed when first asked for.

    Parameters
    ----------
    seen : Observations
        What is diagnosed.
    """

    def __init__(self, seen: Any) -> None:
        self.seen = seen

    def of(self, seen: Any) -> "BothSides":
        """Return the same for observations of the same samples and estimator."""
        other = copy.copy(self)
        other.seen = seen
        return other

    @cached_property
    def reference_test(self) -> np.ndarray:
        """Class codes, labels or targets that the simple model predicts for the test samples `test.chosen`."""
        return self.seen.reference.predicted_for(self.seen.test.flat)

    @cached_property
    def reference_quality(self) -> np.ndarray:
        """How well the simple model predicts each of the test samples `test.chosen`."""
        return self.seen.quality(self.seen.test.targets[self.seen.test.chosen], self.reference_test)

    @cached_property
    def last_third(self) -> tuple[Any, np.ndarray] | None:
        """The estimator fitted on two thirds of the training samples, and the others' indices.

        Groups, and blocks of samples that follow each other, are not torn apart. None if it may not be fitted again.
        """
        fold = np.full(len(self.seen.train.y), -1)
        fold[self.seen.train.chosen] = self.seen.reference.folds
        other = self.seen.refitted(fold != 0)
        return None if other is None else (other, np.flatnonzero(fold == 0))

    @cached_property
    def held_back(self) -> Estimate | None:
        """What the estimator, fitted on two thirds of the training samples, loses from the last third to the test set.

        The same fit predicts both, so that fewer samples to learn from are no loss. Samples of the last third weigh as
        often as their class occurs in the test samples. None if the estimator may not be fitted again.
        """
        self.seen.need("test")
        if self.last_third is None:
            return None
        other, rows = self.last_third
        third = Side(other, safe_indexing(self.seen.train.X, rows), self.seen.train.y[rows], self.seen.train.salt)
        groups = self.seen.beside.get("groups_train")
        return self._loss(
            (third.targets, third.quality, None if groups is None else groups[rows]),
            (self.seen.test.targets, other.test.quality, self.seen.beside.get("groups_test")),
        )

    def _loss(self, ours: tuple[Any, ...], theirs: tuple[Any, ...], level: float = EFFECT_LEVEL) -> Estimate:
        """Return the score of known samples minus that of test samples, each as targets, quality and groups.

        Known samples weigh as often as their class occurs in the test samples; groups count as one value each.
        """
        (targets, quality, groups), (test_targets, test_quality, test_groups) = ours, theirs
        known, weight = np.ones(len(test_targets), dtype=bool), np.ones(len(targets))
        if self.seen.has_classes:
            known, weight = np.isin(test_targets, targets), self._like_test(targets, test_targets)
        if not known.any():
            raise NotApplicable("no test sample is of a class that has training samples")
        test_groups = None if test_groups is None else test_groups[known]
        return difference(
            grouped_mean(quality, weight, groups, level),
            grouped_mean(test_quality[known], np.ones(known.sum()), test_groups, level),
        )

    @cached_property
    def lead(self) -> Estimate:
        """Test score of the simple model minus that of the estimator: what is within reach at least."""
        self.seen.need("test")
        test, rows = self.seen.test, self.seen.test.chosen
        return weighted_mean(self.reference_quality - test.quality[rows], test.weight[rows], CAREFUL_LEVEL)

    @cached_property
    def moved(self) -> float:
        """How far test samples stand from training samples, in standard deviations of a permutation test.

        On clean data it was at most 1.6 in some hundred trials, under shifts 4 to 80. The permutations keep the class
        shares of both parts (fifths of the targets of a regression), so that other shares alone move nothing.
        """
        self.seen.need("test")
        groups = None
        if {"groups_train", "groups_test"} <= self.seen.beside.keys():
            sides = ((self.seen.beside[f"groups_{name}"], getattr(self.seen, name)) for name in ("train", "test"))
            groups = np.concatenate([values[side.chosen] for values, side in sides])
        strata = np.concatenate(self.strata)
        return neighbours_of_own_part(
            self.seen.train.flat, self.seen.test.flat, self.seen.rng(7), groups, strata, self.seen.n_jobs
        )

    @property
    def elsewhere(self) -> bool:
        """Whether the test samples stand apart from the training samples: `moved` as under shifts."""
        return self.moved > 4

    @cached_property
    def strata(self) -> tuple[np.ndarray, np.ndarray]:
        """Class of each sample of `chosen`, or fifth of the targets of a regression: for training, for test samples."""
        train, test = (side.targets[side.chosen] for side in (self.seen.train, self.seen.test))
        if self.seen.kind == "multilabel":
            return np.zeros(len(train), dtype=int), np.zeros(len(test), dtype=int)
        if self.seen.kind == "regression":
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
        self.seen.need("test")
        reference, rows = self.seen.reference, self.seen.test.chosen
        targets, test_groups = self.seen.test.targets[rows], self.seen.beside.get("groups_test")
        tested = [self.seen.quality(targets, reference.labels(out)) for out in self.reference_folds]
        return self._loss(
            (reference.y, reference.quality(reference.oof), reference.groups),
            (targets, np.mean(tested, axis=0), None if test_groups is None else test_groups[rows]),
            CAREFUL_LEVEL,
        )

    @cached_property
    def reference_folds(self) -> list[np.ndarray]:
        """What the models of the folds predict for the test samples `test.chosen`, as they do out of fold."""
        return self.seen.reference.by_folds_for(self.seen.test.flat)

    @cached_property
    def contradicted(self) -> Estimate:
        """What `misfit` is if labels are wrong at random: known better, since few errors are made with confidence.

        Errors are compared within fifths of the confidence that the simple model has out of fold. Wrong labels add as
        many to each, but where hardly any are made by nature these tell most. NotApplicable without classes.
        """
        self.seen.need("test", "classes")
        reference, targets = self.seen.reference, self.seen.test.targets[self.seen.test.chosen]
        if "groups_test" in self.seen.beside:
            return self.misfit
        sure = reference.oof.max(axis=1)
        edges = np.quantile(sure, [0.2, 0.4, 0.6, 0.8])
        place = np.searchsorted(edges, sure)
        wrong = 1 - reference.quality(reference.oof)
        weight = self._like_test(reference.y, targets)
        weight *= len(weight) / max(weight.sum(), 1e-12)
        theirs = [np.searchsorted(edges, out.max(axis=1)) for out in self.reference_folds]
        errors = [1 - self.seen.quality(targets, reference.labels(out)) for out in self.reference_folds]
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
        return np.asarray((self.seen.counts(test_codes) / np.maximum(self.seen.counts(codes), 1))[codes])

    @cached_property
    def test_by_test(self) -> np.ndarray:
        """Labels that the simple model of others of the test samples `test.chosen` predicts for each of them."""
        groups, rows = self.seen.beside.get("groups_test"), self.seen.test.chosen
        return self._within(self.seen.test, np.arange(len(rows)), None if groups is None else groups[rows])[1]

    @cached_property
    def train_by_test(self) -> np.ndarray:
        """Labels that the simple model of the test samples `test.chosen` predicts for training samples."""
        reference, test = self.seen.reference, self.seen.test
        fitted = clone(reference.model).fit(test.flat, test.targets[test.chosen])
        return reference.labels(reference.predict(fitted, reference.X))

    @cached_property
    def test_within(self) -> np.ndarray:
        """How well each of the test samples `test.chosen` is predicted by the simple model of others of them."""
        return self.seen.quality(self.seen.test.targets[self.seen.test.chosen], self.test_by_test)

    def _within(self, side: Side, rows: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return targets of samples, of `chosen`, and what the simple model of each other predicts out of fold."""
        within = Reference(self.seen)
        within.X, within.y, within.groups = side.flat[rows], side.targets[side.chosen][rows], groups
        return within.y, within.labels(within.out_of_fold(self.seen.reference.model))

    @cached_property
    def muddled(self) -> Estimate:
        """Score of the simple model within the test samples, minus that within as many training samples of each class.

        Above 0 if training labels say less of training samples than test labels of test samples: some are wrong.
        """
        self.seen.need("test")
        means = []
        for name, rows in zip(("train", "test"), self._as_many(), strict=True):
            side, groups = getattr(self.seen, name), self.seen.beside.get(f"groups_{name}")
            groups = None if groups is None else groups[side.chosen][rows]
            if len(rows) < len(side.chosen):
                quality = self.seen.quality(*self._within(side, rows, groups))
            else:
                quality = self.test_within if name == "test" else self.seen.reference.quality(self.seen.reference.oof)
            means.append(grouped_mean(quality, np.ones(len(rows)), groups, CAREFUL_LEVEL))
        return difference(means[1], means[0])

    def _as_many(self) -> list[np.ndarray]:
        """Return samples of `chosen`, training and test, of which there are about as many of each class."""
        sides = [side.targets[side.chosen] for side in (self.seen.train, self.seen.test)]
        rng, least = self.seen.rng(47), min(map(len, sides))
        counts = np.stack([self.seen.counts(codes) for codes in sides]) if self.seen.has_classes else np.zeros((2, 0))
        in_both = counts[:, counts.all(axis=0)]
        if in_both.shape[1] < 2 or chi2_contingency(in_both).pvalue > ALPHA:
            return [np.sort(rng.permutation(len(targets))[:least]) for targets in sides]
        most = counts.min(axis=0)
        return [
            np.sort(np.concatenate([rng.permutation(np.flatnonzero(codes == c))[:n] for c, n in enumerate(most)]))
            for codes in sides
        ]

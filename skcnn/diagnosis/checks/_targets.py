"""Checks of what the targets are: classes never trained, one-hot rows, values beyond any unit of spread."""

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from skcnn._statistics import EFFECT_LEVEL, Estimate, proportion, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._effects import r2_gain, without_rows

__all__ = ["MissingClasses", "OneHotTarget", "TargetOutliers", "beyond_any_tail"]


class MissingClasses(Check):
    """Classes of the test samples that no training sample has. No threshold: each is always wrong.

    Effect: the score without these samples, which is certain: their own is 0.
    """

    code, cause = "missing_classes", "split"
    title = "Classes that training never saw"
    question = "Does every class of the test samples have training samples?"
    why = "A classifier can only predict classes that it was trained on: these test samples are all wrong."
    do = "Split with stratify=y, or collect samples of these classes; or leave them out of the test set and say so."

    def look(self, seen: Observations) -> Finding | str:
        """Compare the labels."""
        seen.need("test", "classes")
        missing = ~np.isin(seen.test.y, np.unique(seen.train.y))
        if not missing.any():
            return f"All {len(np.unique(seen.test.y))} classes of the test samples have training samples."
        labels = np.unique(seen.test.y[missing]).tolist()
        what = f"No training sample has the label{'s' if len(labels) > 1 else ''} {', '.join(map(str, labels))}."
        evidence = {"share of test samples of such a class": proportion(missing)}
        if missing.all():
            return self.finding(what, evidence, measured="Not measured: no other test sample is left.")
        others = seen.changed(keep=~missing)
        share = float(seen.test.weight[missing].sum())
        known = proportion(others.test.right, EFFECT_LEVEL)
        scale = others.test.quality @ others.test.weight / max(known.value, 1e-9)  # accuracy, or balanced accuracy
        value, low, high = (share * scale * one for one in (known.value, known.low, known.high))
        effect = Estimate(value, low, high, known.n)
        measured = "The score without these samples, of which each is wrong."
        return self.finding(what, evidence, effect=effect, measured=measured, mended=others)


class _OneLabel:
    """Predicts one label per sample, the most probable, by an estimator of several labels."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each label."""
        proba = self.estimator.predict_proba(X)
        if isinstance(proba, list):  # as of scikit-learn's forests: probabilities of 0 and 1 for each label
            proba = np.stack([one[:, -1] for one in proba], axis=1)
        return np.asarray(proba)

    def predict(self, X: Any) -> np.ndarray:
        """Return one-hot rows."""
        proba = self.predict_proba(X)
        return np.eye(proba.shape[1], dtype=int)[proba.argmax(axis=1)]


class OneHotTarget(Check):
    """One-hot rows that are treated as several labels per sample: each row of y adds up to 1.

    Effect: predicting the most probable label of each sample, where now each label is predicted by itself, on the share
    of samples of which all labels are right, which is what the accuracy of classes would be. No
    threshold: that each sample has exactly one label is no chance on 20 samples or more.
    """

    code, cause = "one_hot_target", "labels"
    title = "One-hot rows are treated as several labels"
    question = "Does each sample have exactly one label?"
    why = "The estimator asks of each class by itself, and may predict none or several of them for a sample."
    do = "Pass y.argmax(axis=1), one label per sample: then it is a problem of classes, with a softmax."
    least_samples = 20

    def look(self, seen: Observations) -> Finding | str:
        """Add up the rows."""
        if seen.kind != "multilabel":
            raise NotApplicable(f"asks for rows of labels; this is {seen.kind}")
        y = np.concatenate([np.asarray(side.y) for side in seen.sides.values()])
        one = proportion(y.sum(axis=1) == 1)
        text = f"{one.value:.1%} of the samples have exactly one of {y.shape[1]} labels."
        if one.value < 1 or len(y) < self.least_samples or y.shape[1] < 2:
            return text
        if not seen.has_test or not seen.has_probabilities:
            return self.finding(text, measured="Not measured: no test samples, or no probabilities.")
        mended = seen.changed(predicts=_OneLabel(seen.estimator))
        measured = "Predicting the most probable label of each sample; of samples with all labels right."
        right = [(side.predicted == side.targets).all(axis=1).astype(float) for side in (mended.test, seen.test)]
        effect = weighted_mean(right[0] - right[1], np.ones(len(right[0])), EFFECT_LEVEL)
        return self.finding(text, effect=effect, measured=measured, mended=mended)


def beyond_any_tail(y: np.ndarray) -> np.ndarray:
    """Whether each value is farther from the median than a heavy tail gives in so many samples.

    In units of the median absolute deviation; the limit is the largest that Student's t with 3 degrees of freedom and
    the lognormal distribution with sigma = 1 exceed once in twenty samples of this size, and twice that.
    """
    y = np.asarray(y, dtype=np.float64)
    middle = np.median(y)
    unit = np.median(np.abs(y - middle))
    if unit == 0:
        return np.zeros(len(y), dtype=bool)
    p = 1 - 0.05 / (2 * len(y))
    of_t = stdtrit(3, p) / stdtrit(3, 0.75)
    of_lognormal = (np.exp(ndtri(p)) - 1) / 0.599  # median absolute deviation of the lognormal
    return np.asarray(np.abs(y - middle) > 2 * unit * max(of_t, of_lognormal))


class TargetOutliers(Check):
    """Targets of a regression beyond any unit of spread: another unit in a few samples, a code for a missing value.

    Effect: the estimator fitted again without those in training (a simple model, if it may not be), and the test score
    without those in the test set.

    Threshold: `beyond_any_tail`, or at least three test targets half as far again from the median as any of training
    (which the largest of a heavy tail often are, but hardly three of them); no more than 5% of the samples.
    """

    code, cause = "target_outliers", "labels"
    title = "Targets far beyond all others"
    question = "Are there targets beyond any unit of spread?"
    why = "The squared error is theirs alone: the fit follows a few samples, and the score is decided by them."
    do = "Look at these samples: correct the unit, drop missing values, or predict the logarithm."
    most = 0.05
    farther = 1.5
    least_farther = 3
    shown = 5

    def look(self, seen: Observations) -> Finding | str:
        """Look for them on both sides."""
        if seen.kind != "regression":
            raise NotApplicable(f"asks for a regression; this is {seen.kind}")
        y = np.concatenate([side.targets.reshape(len(side.y), -1) for side in seen.sides.values()])
        far = np.any([beyond_any_tail(column) for column in y.T], axis=0)
        train, test = far[: len(seen.train.y)], far[len(seen.train.y) :]
        if seen.has_test:
            test |= self._farther(seen)
            far = np.concatenate([train, test])
        text = f"{train.sum()} training and {test.sum()} test samples have targets far beyond all others."
        if not far.any() or far.mean() > self.most:
            return text
        values = ", ".join(f"{value:.4g}" for value in y[far].ravel()[: self.shown])
        effect, measured, mended = self._effect(seen, train, test)
        evidence = {"share of samples": proportion(far), "largest distance in deviations": self._largest(y)}
        return self.finding(f"{text} Such as {values}.", evidence, effect=effect, measured=measured, mended=mended)

    def _farther(self, seen: Observations) -> np.ndarray:
        """Return test targets far beyond those of training, if there are several."""
        ours, theirs = (side.targets.reshape(len(side.y), -1) for side in (seen.train, seen.test))
        middle = np.median(ours, axis=0)
        found = (np.abs(theirs - middle) > self.farther * np.abs(ours - middle).max(axis=0)).any(axis=1)
        return found & (found.sum() >= self.least_farther)

    @staticmethod
    def _largest(y: np.ndarray) -> float:
        away = np.abs(y - np.median(y, axis=0))
        return float((away.max(axis=0) / np.maximum(np.median(away, axis=0), 1e-300)).max())

    @staticmethod
    def _effect(
        seen: Observations, train: np.ndarray, test: np.ndarray
    ) -> tuple[Estimate | None, str, Observations | None]:
        if not seen.has_test:
            return None, "Not measured: no test samples were given.", None
        mended: Observations = seen
        if train.any():
            refitted = seen.refitted(rows=~train)
            if refitted is None and not test.any():
                effect = without_rows(seen, ~train[seen.train.chosen])
                return effect, "A simple model without these samples, minus one with them.", None
            mended = refitted or seen
        kept = ~test
        gain = r2_gain(seen, mended, kept)
        measured = "The test score without these samples in training (fitted again) and in the test set."
        return gain, measured, mended.changed(keep=kept) if test.any() else mended

"""Decisions moved: another threshold, or other weights of classes, over what the estimator already predicts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from skcnn._statistics import CAREFUL_LEVEL, STRICT, Estimate, auc, weighted_mean
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = ["Moved", "MovedEstimator", "moved_decisions"]

LEAST_PER_CLASS = 10


class MovedEstimator:
    """An estimator whose probabilities of classes are weighted, or whose scores are moved by an offset."""

    def __init__(self, seen: Observations, log_weights: np.ndarray, offset: float = 0.0) -> None:
        self._estimator, self.classes_ = seen.estimator, seen.classes
        self._log_weights, self._offset = log_weights, offset
        if seen.has_probabilities:
            self.predict_proba = self._proba

    def _proba(self, X: Any) -> np.ndarray:
        weighted = np.asarray(self._estimator.predict_proba(X), dtype=np.float64) * np.exp(self._log_weights)
        return weighted / np.maximum(weighted.sum(axis=1, keepdims=True), 1e-300)

    def predict(self, X: Any) -> np.ndarray:
        """Predict by weighted probabilities, or by the moved score."""
        if hasattr(self, "predict_proba"):
            return self.classes_[self._proba(X).argmax(axis=1)]
        return self.classes_[(np.asarray(self._estimator.decision_function(X)) > self._offset).astype(int)]


@dataclass(frozen=True)
class Moved:
    """What moved decisions gain, at 99% and at 99.9%, how that was measured, and the observations with them."""

    effect: Estimate
    strict: Estimate
    measured: str
    mended: Observations


def moved_decisions(seen: Observations) -> Moved:
    """Return what the test score gains where decisions are moved.

    Raises
    ------
    NotApplicable
        If nothing can be moved, there are too few test samples of a class, or the ranking is no better than chance.
    """
    if seen.kind != "binary":
        return _class_weights(seen)
    chosen = _threshold(seen)
    if not (seen.skewed and seen.has_probabilities):
        return chosen
    # Half of the rare class says little of where the threshold belongs; but not all probabilities mean what they say.
    return max(chosen, _class_weights(seen), key=lambda moved: moved.effect.value)


def _score(seen: Observations) -> np.ndarray:
    """Return the log odds of the second class, or the decision function."""
    if seen.has_probabilities:
        return logit(np.clip(seen.test.proba[:, 1], 1e-12, 1 - 1e-12))
    if not hasattr(seen.estimator, "decision_function"):
        raise NotApplicable("the estimator returns neither probabilities nor scores")
    return seen.test.ask("decision_function").astype(np.float64)


def _best(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the threshold above which the second class is predicted with most weight right."""
    order = np.argsort(score)
    signed = np.where(y[order] == 0, weight[order], -weight[order])
    gained = np.concatenate([[0.0], np.cumsum(signed)])  # of calling the first i samples the first class
    ranked = np.concatenate([[score[order[0]] - 1e-6], score[order]])
    ends = np.append(np.diff(ranked[1:]) > 0, True)  # a threshold cannot part equal scores
    gained[1:][~ends] = -np.inf
    best = int(gained.argmax())
    return float(ranked[best] if best in (0, len(score)) else (ranked[best] + ranked[best + 1]) / 2)


def _threshold(seen: Observations) -> Moved:
    """Choose a threshold on one half of the test samples and judge it on the other, both ways."""
    score, y = _score(seen), seen.test.codes
    counts = np.bincount(y[y >= 0], minlength=2)
    if counts.min() < LEAST_PER_CLASS:
        raise NotApplicable(f"one class has {counts.min()} test samples; at least {LEAST_PER_CLASS} are needed")
    if auc(y[y >= 0] == 1, score[y >= 0]).low <= 0.5:
        raise NotApplicable("the ranking is no better than chance, as far as these samples can tell")
    half = np.zeros(len(y), dtype=int)
    for code in (0, 1):
        half[seen.rng(9).permutation(np.flatnonzero(y == code))[::2]] = 1
    at = [_best(score[half != one], y[half != one], seen.test.weight[half != one]) for one in (0, 1)]
    right = ((score > np.take(at, half)).astype(int) == y).astype(np.float64)
    gained, weight = right - seen.test.quality, seen.test.weight
    effect, strict = (weighted_mean(gained, weight, level) for level in (CAREFUL_LEVEL, STRICT))
    middle = float(np.mean(at))
    how = "A threshold that was chosen on one half of the test samples and judged on the other, both ways."
    if seen.has_probabilities:
        how = f"{how} It is a probability of about {expit(middle):.2g} for class {seen.classes[1]}."
    moved = MovedEstimator(seen, np.array([0.0, -middle]), middle)
    return Moved(effect, strict, how, seen.changed(predicts=moved))


def _class_weights(seen: Observations) -> Moved:
    """Divide by the class shares where a class is rare, else put the mean probabilities back to the shares."""
    seen.need("probabilities")
    shares = np.maximum(seen.shares(seen.train.codes), 1e-6)
    if seen.skewed:
        how = "Probabilities divided by the class shares of the training samples."
        log_weights = -np.log(shares)
    else:
        how = "Probabilities weighted so that they have the class shares of the training samples on these."
        log_weights = np.log(shares / np.maximum(seen.train.proba.mean(axis=0), 1e-6))
    mended = seen.changed(predicts=MovedEstimator(seen, log_weights))
    return Moved(seen.gain(mended, CAREFUL_LEVEL), seen.gain(mended, STRICT), how, mended)

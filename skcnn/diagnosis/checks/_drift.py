"""Checks of test labels that do not fit and cannot be put right: another rule, or wrong labels."""

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict

from skcnn._statistics import CAREFUL_LEVEL, EFFECT_LEVEL, Estimate, difference, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._pairs import CONFUSED, Mistaken, mistaken
from skcnn.diagnosis.checks._test_labels import DO_NOT_FIT, MISFIT, misfit, shuffled

__all__ = ["ConceptDrift", "TestLabels"]

LEAST_WITHIN = 60  # test samples to learn from
N_PERMUTATIONS = 999
RELEARNED = (
    "The simple model on test samples, with what it is off by learned from others of them, minus the same learned from "
    "training samples."
)


def _left(seen: Observations) -> tuple[Estimate | None, str]:
    """Return how little the test labels fit, or None and the reason why that is no matter of labels."""
    lost = misfit(seen)
    if lost is None:
        return None, f"The simple model is as good on the test samples as out of fold ({-seen.both.misfit.value:+.3f})."
    text = f"The simple model is {lost.value:.3f} worse on the test samples than out of fold"
    if seen.both.elsewhere:
        return None, f"{text}, but the test samples come from elsewhere, which may explain it."
    if seen.kind == "regression" and not _ranks_fall(seen):
        return None, f"{text}, but orders them as well: a few values far away."
    if not _agreed(seen, lost):
        return None, f"{text}, but the estimator is not."
    if shuffled(seen):
        return None, f"{text}: the test labels are in another order."
    return lost, f"{text}, though they are like training samples"


def _agreed(seen: Observations, lost: Estimate) -> bool:
    """Whether the estimator contradicts the labels that the simple model contradicts with confidence."""
    reference, rows = seen.reference, seen.test.chosen
    if not seen.has_classes:
        best = max(float(reference.quality(reference.oof).mean()), float(seen.train.quality.mean()))
        return float(seen.test.quality.mean()) <= best - lost.value / 2
    sure = np.mean([out.max(axis=1) for out in seen.both.reference_folds], axis=0) > np.median(
        reference.oof.max(axis=1)
    )
    contradicted = sure & (seen.both.reference_test != seen.test.targets[rows])
    return bool(seen.test.quality[rows][contradicted].mean() < 0.5) if contradicted.any() else False


def _ranks_fall(seen: Observations) -> bool:
    """Whether the rank correlation of predictions and targets is significantly lower on the test samples."""
    sides = (seen.reference.oof, seen.reference.y), (seen.both.reference_test, seen.test.targets[seen.test.chosen])
    spearman = []
    for predicted, targets in sides:
        pairs = zip(predicted.reshape(len(predicted), -1).T, targets.reshape(len(targets), -1).T, strict=True)
        spearman.append(np.mean([np.corrcoef(rankdata(p), rankdata(t))[0, 1] for p, t in pairs]))
    apart = np.arctanh(np.clip(spearman[0], -0.999, 0.999)) - np.arctanh(np.clip(spearman[1], -0.999, 0.999))
    # Bonett and Wright (2000) for the variance of Fisher's z of a rank correlation.
    spread = np.sqrt(sum((1 + r**2 / 2) / max(len(t) - 3, 1) for r, (_, t) in zip(spearman, sides, strict=True)))
    return bool(apart > 2.58 * spread)


def _relearned(seen: Observations) -> Estimate | None:
    """Return how much better the test samples are predicted by others of them than by the training samples."""
    if len(seen.test.chosen) < LEAST_WITHIN:
        return None
    gain = seen.both.test_within - seen.both.reference_quality
    return weighted_mean(gain, np.ones(len(gain)), EFFECT_LEVEL)


def _corrected(seen: Observations) -> Estimate | None:
    """Return how much better a regression is on the test samples with what it is off by learned from others of them.

    Beyond what the same gains that is learned out of fold on training samples: a simple model may be off there, too.
    """
    rows, reference = seen.test.chosen, seen.reference
    if seen.kind != "regression" or len(rows) < LEAST_WITHIN or seen.both.elsewhere:
        return None
    targets, predicted = seen.test.targets[rows], seen.both.reference_test
    forest = clone(reference.forest).set_params(min_samples_leaf=5)
    within = cross_val_predict(forest, seen.test.flat, targets - predicted, cv=KFold(5, shuffle=True, random_state=0))
    own = forest.fit(reference.X, reference.y - reference.oof).predict(seen.test.flat)
    gain = seen.quality(targets, predicted + within) - seen.quality(targets, predicted + own)
    return weighted_mean(gain, np.ones(len(gain)), CAREFUL_LEVEL)


def _wrongness(seen: Observations) -> np.ndarray:
    """Return how bad each prediction of the simple model is for the test samples, class by class around its mean."""
    bad = 1 - seen.both.reference_quality
    if not seen.has_classes:
        return np.asarray(rankdata(bad) / len(bad) - 0.5)
    targets = seen.test.targets[seen.test.chosen]
    mean = np.bincount(targets + 1, bad) / np.maximum(np.bincount(targets + 1), 1)
    return np.asarray(bad - mean[targets + 1])


def change_point(values: np.ndarray, rng: np.random.Generator) -> tuple[int, float]:
    """Return after how many values their mean changes most, and the p-value by permutations (Page 1954).

    Parameters
    ----------
    values : ndarray of shape (n,)
        In order.
    rng : Generator
        Of the permutations.
    """
    n = len(values)
    place = np.arange(1, n)
    scale = np.sqrt(place * (n - place) / n)

    def largest(one: np.ndarray) -> np.ndarray:
        return np.abs(np.cumsum(one)[:-1] - place * one.mean()) / scale

    observed = largest(values)
    edge = max(5, n // 20)  # a few values at an end are no change
    inner = slice(edge, n - edge)
    reached = [largest(rng.permutation(values))[inner].max() for _ in range(N_PERMUTATIONS)]
    p = (1 + np.sum(np.array(reached) >= observed[inner].max())) / (1 + N_PERMUTATIONS)
    return int(observed[inner].argmax()) + edge + 1, float(p)


def _by_class(seen: Observations) -> tuple[str, float] | None:
    """Return the class whose labels fit least, and its share of all that does not fit, if it is most of it."""
    if not seen.has_classes or len(seen.classes) < 3:
        return None
    y, targets = seen.reference.y, seen.test.targets[seen.test.chosen]
    trained, tested = seen.reference.quality(seen.reference.oof), seen.both.reference_quality
    lost = {}
    for code in np.unique(targets[targets >= 0]):
        own, others = trained[y == code], tested[targets == code]
        if min(len(own), len(others)) < 10:
            continue
        fall = difference(*(weighted_mean(one, np.ones(len(one)), EFFECT_LEVEL) for one in (own, others)))
        lost[code] = (float((targets == code).mean()) * fall.value, fall.low)
    total = sum(max(0.0, value) for value, _ in lost.values())
    if not lost or not total:
        return None
    code = max(lost, key=lambda one: lost[one][0])
    share = lost[code][0] / total
    few = (targets == code).mean()
    return (str(seen.classes[code]), share) if lost[code][1] > 0 and share > max(0.6, 2 * few) else None


def _of_a_pair(found: Mistaken) -> str:
    return (
        f"{len(found.rows)} test samples labelled {found.label} look like {found.looks} in the training set "
        f"({found.share:.1%} of those with that label; of the training samples with it, {found.by_chance:.1%} do)"
    )


def drift(seen: Observations, lost: Estimate) -> dict[str, Any]:
    """Return signs that the rule has changed: by name, in words; `lost` is what the simple model loses."""
    signs: dict[str, Any] = {}
    again = _corrected(seen) if seen.kind == "regression" else _relearned(seen)
    if again is not None and again.low > 0 and again.value >= ConceptDrift.least_gain:
        signs["learned again"] = f"learned from test samples alone, they are predicted better ({again.value:+.3f})"
    values = _wrongness(seen)
    if "times_test" in seen.beside:
        values = values[np.argsort(seen.beside["times_test"][seen.test.chosen], kind="stable")]
    place, p = change_point(values, seen.rng(43))
    if p <= ConceptDrift.p_value:
        start, end = values[:place].mean(), values[place:].mean()
        half = "until" if start > end else "from"
        signs["in order"] = f"it is in the samples {half} test sample {seen.test.chosen[place]} (p = {p:.2g})"
    found = mistaken(seen, "test")
    if found is not None and found.cost.value >= lost.value / 2:
        signs["of a pair"] = _of_a_pair(found)
    of_class = _by_class(seen)
    if of_class is not None:
        signs["of a class"] = f"{of_class[1]:.0%} of it is in class {of_class[0]}"
    return signs


class ConceptDrift(Check):
    """Test samples like those of training, under another rule: for a class, in a region, from a time on.

    The simple model is worse on the test samples than out of fold (as of `test_labels`), though these are like training
    samples, and the disagreement has an order that labels wrong at random do not have: test samples are predicted
    better by others of them than by the many training samples; or it starts or ends at a place in order or time; or it
    is in one class; or in samples of one class that are labelled as another (`mistaken`), which are enough by
    themselves. Of a regression it is enough that what the simple model is off by can be learned from test samples,
    beyond what can be learned of it from training samples.

    Effect: what the simple model loses between training and test samples; of a regression otherwise, what it gains once
    that is learned; of one class labelled as another by itself, the test samples that the estimator seems to take for
    it, more than the other way round.

    Threshold: predicted better significantly (of a regression at 99%) and by 0.03; p <= 0.002 of a change point; 60% of
    it in one class, and twice as much as the class has samples; those of `mistaken`.
    """

    code, cause = "concept_drift", "test labels"
    title = "The rule has changed between training and test set"
    question = "Do test labels follow the rule of the training labels?"
    why = "The model learned a rule that no longer holds for some samples."
    do = (
        "Look at the samples in question with someone who knows the labels: if the rule has changed, train on recent "
        "samples; if labels were recorded wrongly there, correct them. The data alone cannot tell one from the other."
    )
    least_gain = 0.03
    p_value = 0.002

    def look(self, seen: Observations) -> Finding | str:
        """Look for an order in what does not fit."""
        lost, text = _left(seen)
        found = mistaken(seen, "test") if lost is None else None
        if found is not None:
            share = {"share of the test samples with that label": found.share, "by chance": found.by_chance}
            what = f"{_of_a_pair(found)}. The rule has changed, or labels are wrong there."
            return self.finding(what, share, effect=found.cost, measured=CONFUSED, rows=found.rows)
        if lost is None:
            off = _corrected(seen)
            if off is None or off.low <= 0 or off.value < self.least_gain:
                return text
            what = (
                "What a simple model is off by in test samples can be learned from them, and not from training samples."
            )
            return self.finding(what, {"gain once it is learned": off}, effect=off, measured=RELEARNED)
        signs = drift(seen, lost)
        if not signs:
            return f"{text}, but without an order: not by class, place or features."
        what = f"{text}: {'; '.join(signs.values())}. The rule has changed, or labels are wrong there."
        evidence = {"simple model, out of fold minus test": lost}
        return self.finding(what, evidence, effect=lost, measured=MISFIT, signs=list(signs))


class TestLabels(Check):
    """Test labels of which a part is wrong, without an order that would say which.

    The simple model is worse on the test samples than out of fold on training samples, significantly (99.9%) and by
    0.05, or in errors that it makes with confidence, significantly (99%) and by 0.03, though both are alike (nearest
    neighbours stand in their own part by less than 4 standard deviations), no relabelling, move or unit mends it, and
    it is not in one class, place or region.

    Effect: what the simple model loses between training and test samples.
    """

    __test__ = False  # no test of pytest
    code, cause = "test_labels", "test labels"
    title = "A part of the test labels is wrong"
    question = "Are the test labels as right as the training labels?"
    why = DO_NOT_FIT
    do = (
        "Look at the test samples named, on which the simple model contradicts the label most; where did their labels "
        "come from? If they are right, the rule has changed."
    )
    shown = 10

    def look(self, seen: Observations) -> Finding | str:
        """Look at what is left."""
        lost, text = _left(seen)
        if lost is None:
            return text
        if drift(seen, lost):
            raise NotApplicable("what does not fit has an order: see concept_drift")
        rows = seen.test.chosen[np.argsort(self._agreement(seen), kind="stable")[: self.shown]]
        what = f"{text}, and without an order. Labels that are contradicted: test samples {', '.join(map(str, rows))}."
        evidence = {"simple model, out of fold minus test": lost}
        return self.finding(what, evidence, effect=lost, measured=MISFIT, rows=rows)

    @staticmethod
    def _agreement(seen: Observations) -> np.ndarray:
        """Return how far the simple model agrees with each test label: least where it is confident of another."""
        reference, targets = seen.reference, seen.test.targets[seen.test.chosen]
        if not seen.has_classes:
            return seen.both.reference_quality
        fitted = clone(reference.model).fit(reference.X, reference.y)
        proba = reference.predict(fitted, seen.test.flat)
        own = np.where(targets >= 0, proba[np.arange(len(proba)), targets], 0)
        return np.asarray(own - proba.max(axis=1))

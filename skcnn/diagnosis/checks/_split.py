"""Checks of the split by groups and times, and of what so few test samples can tell."""

from collections.abc import Callable

import numpy as np

from skcnn._statistics import EFFECT_LEVEL, Estimate, proportion, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._effects import by_folds, random_rows, rest_of, simple_quality

__all__ = ["TOO_GOOD", "Groups", "SmallTest", "Times"]

TOO_GOOD = "The test score is too good: on these samples it measures memory, and says little of new samples."


def _beside(seen: Observations, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what was given beside the training and the test samples."""
    seen.need("test")
    sides = f"{name}_train", f"{name}_test"
    if not set(sides) <= set(seen.beside):
        raise NotApplicable(f"no {name} were given ({', '.join(sides)})")
    return seen.beside[sides[0]], seen.beside[sides[1]]


class Groups(Check):
    """Groups with samples on both sides of the split.

    Effect: the score on the test samples of other groups, compared by class; or a simple model, the one that predicts
    most like the estimator, out of fold on the training samples with folds that keep groups together against folds at
    random. Of both the one that is known better.

    Threshold: 1% of the test samples, below which they cannot move a score by more than that.
    """

    code, cause, sign = "groups", "split", -1
    title = "Groups that stand on both sides of the split"
    question = "Did the split keep groups together?"
    why = "Samples of one group (patient, film, device) are alike: " + TOO_GOOD[0].lower() + TOO_GOOD[1:]
    do = "Split by groups: GroupShuffleSplit, StratifiedGroupKFold; and fit(..., groups=...) for the inner split."
    threshold = 0.01

    def look(self, seen: Observations) -> Finding | str:
        """Count test samples whose group has training samples."""
        train, test = _beside(seen, "groups")
        again = np.isin(test, train)
        share = proportion(again)
        text = f"{again.sum()} of {len(again)} test samples belong to a group with training samples."
        if share.value < self.threshold:
            return text
        effect, measured = self._effect(seen, again, train[seen.train.chosen])
        name = "share of test samples of a group with training samples"
        return self.finding(text, {name: share}, effect=effect, measured=measured, mended=rest_of(seen, again))

    @staticmethod
    def _effect(seen: Observations, again: np.ndarray, groups: np.ndarray) -> tuple[Estimate | None, str]:
        ways: list[tuple[Callable[[], Estimate], str]] = [
            (lambda: seen.without(again), "The score on test samples of other groups, class by class."),
            (
                lambda: by_folds(seen, groups),
                "A simple model out of fold: folds that keep groups together against folds at random.",
            ),
        ]
        found, reasons = [], []
        for measure, how in ways:
            try:
                found.append((measure(), how))
            except NotApplicable as reason:
                reasons.append(str(reason))
        if not found:
            return None, f"Not measured: {reasons[0]}."
        return min(found, key=lambda one: one[0].high - one[0].low)


class Times(Check):
    """Training samples that are later than test samples.

    Effect: a simple model fitted on what is earlier than the median of the test samples' times predicts the test
    samples from then on; it is compared with one that is fitted on as many training samples of all times.

    Threshold: 1% of the training samples.
    """

    code, cause, sign = "times", "split", -1
    title = "Training samples from after the test samples"
    question = "Did the split respect the order of time?"
    why = "The model was trained on what it will not know when it is used: the test score is too good."
    do = "Split by time: the test samples last, TimeSeriesSplit within a search."
    threshold = 0.01
    least_samples = 30

    def look(self, seen: Observations) -> Finding | str:
        """Count training samples later than the first test sample."""
        train, test = _beside(seen, "times")
        late = train > test.min()
        share = proportion(late)
        text = f"{late.sum()} of {len(late)} training samples are later than the first test sample."
        if share.value < self.threshold:
            return text
        effect, measured = self._effect(seen, train[seen.train.chosen], test[seen.test.chosen])
        evidence = {"share of training samples from after the first test sample": share}
        return self.finding(text, evidence, effect=effect, measured=measured)

    def _effect(self, seen: Observations, train: np.ndarray, test: np.ndarray) -> tuple[Estimate | None, str]:
        middle = np.sort(test)[len(test) // 2]
        past, later = train < middle, test >= middle
        y = seen.reference.y[past]
        few = min(past.sum(), later.sum()) < self.least_samples
        if few or (seen.has_classes and len(np.unique(y)) < len(np.unique(seen.reference.y))):
            return None, "Not measured: too few training samples are earlier than half of the test samples."
        gain = simple_quality(seen, past) - simple_quality(seen, random_rows(seen, past, 17))
        effect = weighted_mean(gain[later], seen.test.weight[seen.test.chosen][later], EFFECT_LEVEL)
        return effect, "A simple model fitted on earlier samples alone against one fitted on as many of all times."


class SmallTest(Check):
    """Too few test samples for the score to tell anything: a note, which says how far to trust the score.

    Threshold: the 99.9% interval of the score is longer than 0.3 (about ± 0.09 at 95%, which some 80 samples give for
    an accuracy), or a class of the test samples has fewer than 5 of them, too few for its recall to have one digit.
    """

    code, cause = "small_test", "split"
    title = "A test set too small to tell"
    question = "Are there enough test samples?"
    why = "With so few samples the score is mostly chance, and so is any comparison by it."
    do = "Use repeated cross-validation (RepeatedStratifiedKFold, RepeatedKFold), or hold out more samples."
    threshold = 0.3
    least_samples = 5

    def look(self, seen: Observations) -> Finding | str:
        """Look at the length of the interval, and at the rarest class."""
        seen.need("test")
        score = seen.test.score
        length = score.high - score.low
        text = f"The {seen.score_name} on {score.n} test samples is known to ± {length / 2:.2f}."
        rare = ""
        if seen.has_classes:
            labels, counts = np.unique(seen.test.y, return_counts=True)
            if counts.min() < self.least_samples:
                rare = f" Class {labels[counts.argmin()]} has {counts.min()} of them."
        if length <= self.threshold and not rare:
            return text
        measured = "It costs no score: it says how far to trust it."
        return self.finding(text + rare, {f"test {seen.score_name}": score}, measured=measured)

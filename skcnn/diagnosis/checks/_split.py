"""Checks of the split: what training and test samples wrongly share, and what the test samples cannot tell."""

import numpy as np
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors

from skcnn._statistics import ALPHA, Estimate, difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = ["CHECKS"]

TOO_GOOD = "The test score is too good: on these samples it measures memory, and says little of new samples."


class Duplicates(Check):
    """Test samples that are equal, to the bit, to a training sample.

    Threshold: 1% of the test samples, and three samples. Kapoor and Narayanan (2023,
    https://doi.org/10.1016/j.patter.2023.100804) count duplicates across the split among the leaks (type 1.4) whatever
    their number; below 1% they cannot move a score by more than that.
    """

    code, cause = "duplicates", "split"
    title = "The same samples in training and test set"
    question = "Are test samples among the training samples?"
    why = TOO_GOOD
    do = "Remove duplicates before the split, or split by groups of equal samples (GroupShuffleSplit)."
    threshold = 0.01
    least_samples = 3

    def look(self, seen: Observations) -> Finding | str:
        """Compare digests of all samples."""
        seen.need("test")
        train, test = seen.digests
        again = np.isin(test, train)
        share = proportion(again)
        text = f"{again.sum()} of {len(again)} test samples are equal to a training sample."
        if share.value < self.threshold or again.sum() < self.least_samples:
            return text
        return self.finding(text, {"share of test samples that are training samples": share, **_by_kind(seen, again)})


def _by_kind(seen: Observations, again: np.ndarray) -> dict[str, Estimate]:
    """Accuracy on test samples that were seen in training, and on the others."""
    if not seen.has_classes:
        return {}
    sides = {"accuracy on these samples": again, "accuracy on the other test samples": ~again}
    return {name: proportion(seen.test.right[side]) for name, side in sides.items() if side.any()}


class NearDuplicates(Check):
    """Test samples that lie on top of a training sample, though not to the bit: copies with noise, frames of one film.

    Such a sample is far nearer to one training sample than to its fifth nearest. In a locally uniform density of
    intrinsic dimension d, the ratio of these distances is below c with probability ``1 - (1 - c**d)**4``; d is
    estimated from the median ratio of the first two distances among the training samples (Facco et al. 2017,
    https://doi.org/10.1038/s41598-017-11873-y).

    The same share among the training samples, each against the others, is what the population itself has.

    Threshold: c = 0.2, below which hardly any two patches of one photograph fall, while most of their noisy copies do
    (benchmarks/diagnosis.py); 2% of the test samples, significantly more than that probability, and significantly more
    than among the training samples; or 10%, if the training samples are as full of copies.
    """

    code, cause = "near_duplicates", "split"
    title = "Nearly the same samples in training and test set"
    question = "Do test samples lie on top of training samples?"
    why = TOO_GOOD
    do = (
        "Find out where the copies come from (augmentation before the split, frames of one film, repeated "
        "measurements) and split by their origin: GroupShuffleSplit or StratifiedGroupKFold."
    )
    threshold = 0.02
    ratio = 0.2
    many = 0.1
    neighbour = 5

    def look(self, seen: Observations) -> Finding | str:
        """Compare the nearest training sample with the fifth nearest."""
        seen.need("test")
        if len(seen.train.flat) <= 2 * self.neighbour:
            raise NotApplicable(f"{len(seen.train.flat)} training samples are too few for distances")
        neighbours = NearestNeighbors(n_neighbors=self.neighbour, n_jobs=seen.n_jobs).fit(seen.train.flat)
        train, _ = neighbours.kneighbors()
        distinct = train[:, 0] > 0
        if distinct.sum() < self.neighbour:
            raise NotApplicable("hardly any training sample differs from all others")
        spread = np.median(np.log(train[distinct, 1] / train[distinct, 0]))
        dimension = np.log(2) / max(spread, 1e-9)
        by_chance = float(1 - (1 - min(1.0, self.ratio**dimension)) ** (self.neighbour - 1))
        test, _ = neighbours.kneighbors(seen.test.flat)
        # Those that are equal to the bit are the question of another check.
        exact = np.isin(seen.digests[1][seen.test.chosen], seen.digests[0])
        near = (test[:, 0] < self.ratio * test[:, -1]) & ~exact
        share = proportion(near[~exact])
        text = f"{near.sum()} of {share.n} test samples lie on a training sample ({by_chance:.2g} of them by chance)."
        significant = share.n and binomtest(int(near.sum()), share.n, by_chance, alternative="greater").pvalue < ALPHA
        among = proportion(train[distinct, 0] < self.ratio * train[distinct, -1])
        own = difference(share, among).low <= 0 and share.value < self.many
        if share.value < self.threshold or not significant or own:
            return text
        again = np.isin(np.arange(len(seen.test.y)), seen.test.chosen[near])
        evidence = [
            Evidence.of("share of test samples on top of a training sample", share),
            Evidence.of("share among the training samples themselves", among),
            Evidence("share expected by chance", by_chance),
            Evidence("intrinsic dimension", dimension, n=int(distinct.sum())),
            *(Evidence.of(name, value) for name, value in _by_kind(seen, again).items()),
        ]
        return self.finding(text, evidence)


class ConflictingLabels(Check):
    """Equal samples with different labels, among training and test samples together.

    Threshold: 0.5% of all samples, and three samples. Each pair is a certain error of at least one label, which bounds
    every score from above (Northcutt, Athalye and Mueller 2021, https://arxiv.org/abs/2103.14749, find 3.3% label
    errors on average in ten test sets that are widely used).
    """

    code, cause = "conflicting_labels", "labels"
    title = "Equal samples with different labels"
    question = "Do equal samples have equal labels?"
    why = "No model can be right on both: training pulls in two directions, and the best score possible is below 1."
    do = "Look at these samples; correct the labels, remove the samples, or add the columns that tell them apart."
    threshold = 0.005
    least_samples = 3

    def look(self, seen: Observations) -> Finding | str:
        """Compare the labels of samples with equal digests."""
        seen.need("classes")
        _, groups = np.unique(np.concatenate(seen.digests), return_inverse=True)
        _, labels = np.unique(np.concatenate([side.y for side in seen.sides.values()]), return_inverse=True)
        n_labels = np.bincount(np.unique([groups, labels], axis=1)[0])  # of each group of equal samples
        torn = n_labels[groups] > 1
        text = f"{torn.sum()} of {len(torn)} samples have an equal sample with another label."
        if torn.sum() < max(self.least_samples, self.threshold * len(torn)):
            return text
        return self.finding(text, {"share of samples with an equal sample of another label": proportion(torn)})


def _beside(seen: Observations, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what was given beside the training and the test samples."""
    seen.need("test")
    sides = f"{name}_train", f"{name}_test"
    if not set(sides) <= set(seen.beside):
        raise NotApplicable(f"no {name} were given ({', '.join(sides)})")
    return seen.beside[sides[0]], seen.beside[sides[1]]


class Groups(Check):
    """Groups with samples on both sides of the split. Threshold: 1% of the test samples, as for duplicates."""

    code, cause = "groups", "split"
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
        name = "share of test samples of a group with training samples"
        return self.finding(text, {name: share, **_by_kind(seen, again)})


class Times(Check):
    """Training samples that are later than test samples. Threshold: 1% of the training samples."""

    code, cause = "times", "split"
    title = "Training samples from after the test samples"
    question = "Did the split respect the order of time?"
    why = "The model was trained on what it will not know when it is used: the test score is too good."
    do = "Split by time: the test samples last, TimeSeriesSplit within a search."
    threshold = 0.01

    def look(self, seen: Observations) -> Finding | str:
        """Count training samples later than the first test sample."""
        train, test = _beside(seen, "times")
        late = train > test.min()
        share = proportion(late)
        text = f"{late.sum()} of {len(late)} training samples are later than the first test sample."
        if share.value < self.threshold:
            return text
        return self.finding(text, {"share of training samples from after the first test sample": share})


class MissingClasses(Check):
    """Classes of the test samples that no training sample has. No threshold: each is always wrong."""

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
        return self.finding(what, {"share of test samples of such a class": proportion(missing)})


class SmallTest(Check):
    """Too few test samples for the score to tell anything.

    Threshold: the 99.9% interval of the accuracy is longer than 0.3 (about ± 0.09 at 95%, which some 80 samples give),
    or a class of the test samples has fewer than 5 of them, too few for its recall to have one digit.
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
        return self.finding(text + rare, {f"test {seen.score_name}": score})


CHECKS = [Groups, Times, Duplicates, NearDuplicates, ConflictingLabels, MissingClasses, SmallTest]

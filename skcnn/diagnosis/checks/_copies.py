"""Checks of copies across the split: equal samples, samples nearly equal, and samples of one subject or recording."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import betainc
from scipy.stats import binomtest, rankdata
from sklearn.neighbors import NearestNeighbors

from skcnn._lazy import sample_digests
from skcnn._statistics import ALPHA, Estimate, difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._effects import COMPARABLE, by_folds, like_the_estimator, random_rows, rest_of, without_rows
from skcnn.diagnosis.checks._overlaps import overlapping_windows
from skcnn.diagnosis.checks._split import TOO_GOOD

__all__ = ["Duplicates", "NearDuplicates", "UnmarkedGroups", "by_nature"]


def crowded(distance: np.ndarray, copies: np.ndarray) -> bool:
    """Whether copies stand where samples stand close together anyway, as they do by nature where values are discrete.

    Copies that something made (a join, an oversampling, an augmentation) are copies of any samples: the distance to the
    nearest samples beyond the copy is as large as for others. Equal answers to a questionnaire are the frequent ones,
    among others that differ in one answer.

    Parameters
    ----------
    distance : ndarray of shape (n,)
        To a sample beyond the copy.
    copies : ndarray of bool
        Which samples have one.
    """
    these, others = int(copies.sum()), int((~copies).sum())
    if min(these, others) < 5:
        return False
    ranks = rankdata(distance)[copies].mean()
    nearer = (ranks - (these + 1) / 2) / others  # area under the ROC curve: 1/2 if as far
    spread = np.sqrt((these + others + 1) / (12 * these * others))
    return bool(nearer < 0.5 - max(0.1, 2 * spread))


def without_copies(seen: Observations, test: np.ndarray, train: np.ndarray) -> tuple[Estimate | None, str]:
    """Return what the test score changes by without copies, and how that was measured.

    Parameters
    ----------
    seen : Observations
        Training and test samples.
    test, train : ndarray of bool
        Samples that have a copy on the other side.
    """
    try:
        if (~test).mean() >= COMPARABLE:
            return seen.without(test), "The score on the other test samples, class by class."
        keep = ~train[seen.train.chosen]
        with_them = random_rows(seen, keep, 23, first=~keep)
        effect = without_rows(seen, keep, with_them, like_the_estimator(seen))
        return effect, "A simple model without the copies in training against one with them, on as many samples."
    except NotApplicable as reason:
        return None, f"Not measured: {reason}."


def _distinct(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different samples, and the place of each sample among them."""
    _, first, place = np.unique(sample_digests(X), return_index=True, return_inverse=True)
    return X[first], place


def by_nature(train: np.ndarray, samples: np.ndarray, copies: np.ndarray) -> bool:
    """Whether samples are equal to others because their values are discrete.

    Parameters
    ----------
    train, samples : ndarray of shape (n, n_features)
        Training samples, and those of which some have an equal one.
    copies : ndarray of bool
        Which of them have one.
    """
    distinct, _ = _distinct(train)
    # Where some feature has a value of its own in most samples, no two samples are equal by chance.
    if not copies.any() or (np.diff(np.sort(distinct, axis=0), axis=0) > 0).mean(axis=0).max(initial=0) > 0.5:
        return False
    distance, index = NearestNeighbors(n_neighbors=min(2, len(distinct))).fit(distinct).kneighbors(samples)
    # The first beyond the sample itself, which is at distance 0.
    rows, beyond = np.arange(len(samples)), (distance[:, 0] == 0) * (distance.shape[1] - 1)
    differ = (distinct[index[rows, beyond]] != samples).sum(axis=1)[copies]
    few = max(2.0, 0.1 * samples.shape[1])  # answers, or columns of one-hot, in which neighbours differ
    return bool(np.median(differ) <= few) or crowded(distance[rows, beyond], copies)


class Duplicates(Check):
    """Test samples that are equal, to the bit, to a training sample.

    Where values are discrete (answers, counts, one-hot columns) equal samples are common by nature: then they occur
    as often within the training part, and stand where samples stand close together anyway (`crowded`), or beside
    samples that differ in one or two features, or a tenth of them.

    Threshold: 1% of the test samples, and three samples. Kapoor and Narayanan (2023,
    https://doi.org/10.1016/j.patter.2023.100804) count duplicates across the split among the leaks (type 1.4) whatever
    their number; below 1% they cannot move a score by more than that.
    """

    code, cause, sign = "duplicates", "split", -1
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
        _, place, counts = np.unique(train, return_inverse=True, return_counts=True)
        among = proportion(counts[place] > 1)
        if difference(share, among).low <= 0 and by_nature(seen.train.flat, seen.test.flat, again[seen.test.chosen]):
            return f"{text} That is common among the training samples too ({among.value:.3f} of them): by nature."
        evidence = {
            "share of test samples that are training samples": share,
            "share of training samples that are equal to another": among,
        }
        effect, measured = without_copies(seen, again, np.isin(train, test))
        return self.finding(text, evidence, effect=effect, measured=measured, mended=rest_of(seen, again))


class NearDuplicates(Check):
    """Test samples that lie on top of a training sample, though not to the bit: copies with noise, frames of one film.

    Such a sample is far nearer to one training sample than to its fifth nearest. In a locally uniform density of
    intrinsic dimension d, the ratio of these distances is below c with probability ``1 - (1 - c**d)**4``; d is
    estimated from the median ratio of the first two distances among the training samples (Facco et al. 2017,
    https://doi.org/10.1038/s41598-017-11873-y).

    Where as many training samples lie on top of each other, that may be the nature of the data: then only samples
    count that do not stand where samples stand close together anyway (`crowded`).

    Threshold: c = 0.2, below which hardly any two patches of one photograph fall, while most of their noisy copies do;
    2% of the test samples, and significantly more than that probability.
    """

    code, cause, sign = "near_duplicates", "split", -1
    title = "Nearly the same samples in training and test set"
    question = "Do test samples lie on top of training samples?"
    why = TOO_GOOD
    do = (
        "Find out where the copies come from (augmentation before the split, frames of one film, repeated "
        "measurements) and split by their origin: GroupShuffleSplit or StratifiedGroupKFold."
    )
    threshold = 0.02
    ratio = 0.2
    neighbour = 5

    def look(self, seen: Observations) -> Finding | str:
        """Compare the nearest training sample with the fifth nearest."""
        seen.need("test")
        distinct, place = _distinct(seen.train.flat)
        if len(distinct) <= 2 * self.neighbour:
            raise NotApplicable(f"{len(distinct)} different training samples are too few for distances")
        neighbours = NearestNeighbors(n_neighbors=self.neighbour, n_jobs=seen.n_jobs).fit(distinct)
        train, _ = neighbours.kneighbors()
        dimension = np.log(2) / max(float(np.median(np.log(train[:, 1] / train[:, 0]))), 1e-9)
        by_chance = float(1 - (1 - min(1.0, self.ratio**dimension)) ** (self.neighbour - 1))
        test, index = neighbours.kneighbors(seen.test.flat)
        # Those that are equal to the bit are the question of another check.
        exact = np.isin(seen.digests[1][seen.test.chosen], seen.digests[0])
        near = (test[:, 0] < self.ratio * test[:, -1]) & ~exact
        share = proportion(near[~exact])
        text = f"{near.sum()} of {share.n} test samples lie on a training sample ({by_chance:.2g} of them by chance)."
        significant = share.n and binomtest(int(near.sum()), share.n, by_chance, alternative="greater").pvalue < ALPHA
        if not significant or share.value < self.threshold:
            return text
        among = proportion(train[:, 0] < self.ratio * train[:, -1])
        if difference(share, among).low <= 0 and crowded(test[~exact, -1], near[~exact]):
            return f"{text} So do {among.value:.3f} of the training samples on each other: by nature."
        again = np.isin(np.arange(len(seen.test.y)), seen.test.chosen[near])
        evidence = [
            Evidence.of("share of test samples on top of a training sample", share),
            Evidence.of("share among the training samples themselves", among),
            Evidence("share expected by chance", by_chance),
            Evidence("intrinsic dimension", dimension, n=len(distinct)),
        ]
        on_top = np.isin(place, index[near, 0])
        concerned = np.isin(np.arange(len(seen.train.y)), seen.train.chosen[on_top])
        effect, measured = without_copies(seen, again, concerned)
        return self.finding(text, evidence, effect=effect, measured=measured, mended=rest_of(seen, again))


class UnmarkedGroups(Check):
    """Several samples of one subject or recording, or augmented copies, on both sides, though no groups were given.

    Three patterns, which link samples to groups: windows of one recording that overlap (the end of one is the start of
    another, whatever their offset and scale); samples that are mirror images of each other; samples with k close
    neighbours, k = 1, 2, 3, 4, 8, after which there is a gap: the distance to the k-th is at most c times that to the
    2k-th. In a locally uniform density of dimension d, this has the probability ``I(c**d; k, k)`` (a regularised
    incomplete beta function, as ratios of volumes of uniform samples are; d is the median of estimates at these k). For
    k = 1 that is c**d: c is 0.7, or what makes it 1% where that is less. On 25 data sets without groups up to 7% of the
    samples had such a gap, on samples of four copies with noise most of them.

    Effect: a simple model, the one that predicts most like the estimator, out of fold on the training samples, with
    folds that keep linked samples together against folds at random.

    Threshold: 20% of the training samples are linked to another, and of the neighbours, significantly and by 0.2
    more than by chance; no group has more than a tenth of the samples.
    """

    code, cause, sign = "unmarked_groups", "split", -1
    title = "Samples that belong together stand on both sides of the split"
    question = "Are there several samples of one subject or recording, without groups given?"
    why = "Samples of one origin are alike: " + TOO_GOOD[0].lower() + TOO_GOOD[1:]
    do = (
        "Find out which samples come from one subject, recording or original, pass groups_train and groups_test, and "
        "split by them: GroupShuffleSplit or StratifiedGroupKFold."
    )
    ratio = 0.7
    by_chance = 0.01
    least_share = 0.2
    largest = 0.1
    sizes = (1, 2, 3, 4, 8)

    def look(self, seen: Observations) -> Finding | str:
        """Link samples, and compare folds."""
        seen.need("test")
        if "groups_train" in seen.beside:
            raise NotApplicable("groups were given")
        if len(seen.train.flat) < 60:
            raise NotApplicable(f"{len(seen.train.flat)} training samples are too few")
        found = self._linked(seen)
        if found is None:
            return "Samples are not linked: no overlapping windows, no mirror images, no gap between neighbours."
        how, place, across = found
        counts = np.bincount(place)
        linked = proportion(counts[place] > 1)
        text = f"{linked.value:.0%} of the training samples are {how} of others: {len(counts)} groups of samples."
        if counts.max() > self.largest * len(place) or across.value < 0.05:
            return text
        effect: Estimate | None = None
        measured = "A simple model out of fold: folds that keep linked samples together against folds at random."
        try:
            effect = by_folds(seen, place)
        except NotApplicable as reason:
            measured = f"Not measured: {reason}."
        evidence = {"share of training samples that are linked": linked, "share of test samples linked to one": across}
        return self.finding(text, evidence, effect=effect, measured=measured)

    def _linked(self, seen: Observations) -> tuple[str, np.ndarray, Estimate] | None:
        """Return how samples are linked, the group of each training sample, and the share of test samples linked."""
        n = len(seen.train.flat)
        for how, find in (
            ("windows that overlap with those", self._windows),
            ("mirror images", self._mirrored),
            ("close neighbours, before a gap,", self._neighbours),
        ):
            links = find(seen)
            if links is None or not len(links):
                continue
            size = n + len(seen.test.flat)
            graph = coo_matrix((np.ones(len(links)), links.T), shape=(size, size))
            _, label = connected_components(graph, directed=False)
            _, place, counts = np.unique(label[:n], return_inverse=True, return_counts=True)
            if (counts[place] > 1).mean() >= self.least_share:
                return how, place, proportion(np.isin(label[n:], label[:n]))
        return None

    @staticmethod
    def _windows(seen: Observations) -> np.ndarray | None:
        """Return pairs of windows of one recording, or None where samples are no series."""
        series = [side.inputs[side.chosen] for side in seen.sides.values()]
        if series[0].ndim < 2 or (series[0].ndim > 3):
            return None
        X = np.concatenate([one.reshape(*one.shape[:2], -1) for one in series]).astype(np.float64)
        return overlapping_windows(X) if X.shape[1] >= 24 else None

    @staticmethod
    def _mirrored(seen: Observations) -> np.ndarray | None:
        """Return pairs of images that are mirror images of each other, or None where samples are no images."""
        inputs = np.concatenate([side.inputs[side.chosen] for side in seen.sides.values()])
        if inputs.ndim not in (3, 4) or min(inputs.shape[1:3]) < 4:
            return None
        own, pairs = sample_digests(np.ascontiguousarray(inputs)), []
        for axis in (1, 2):
            mirrored = sample_digests(np.ascontiguousarray(np.flip(inputs, axis)))
            order = np.argsort(own)
            place = np.clip(np.searchsorted(own[order], mirrored), 0, len(own) - 1)
            twin = order[place]
            rows = np.flatnonzero((own[twin] == mirrored) & (own != mirrored))
            pairs.append(np.stack([rows, twin[rows]], axis=1))
        return np.concatenate(pairs)

    def _neighbours(self, seen: Observations) -> np.ndarray | None:
        """Return pairs of neighbours before a gap, or None where there are no more gaps than by chance."""
        X = np.concatenate([side.flat for side in seen.sides.values()])
        distinct, place = _distinct(X)
        scale = distinct.std(axis=0)
        distinct = distinct / np.where(scale > 0, scale, 1)
        if len(distinct) < 60 or len(distinct) < 0.8 * len(X):
            return None  # discrete values, or copies that another check counts
        distance, index = (
            NearestNeighbors(n_neighbors=2 * self.sizes[-1], n_jobs=seen.n_jobs).fit(distinct).kneighbors()
        )
        k = np.array(self.sizes)
        ratios = distance[:, k - 1] / np.maximum(distance[:, 2 * k - 1], 1e-300)
        dimension = float(np.median(np.log(2) / -np.log(np.median(np.clip(ratios, 1e-9, 1 - 1e-9), axis=0))))
        ratio = min(self.ratio, self.by_chance ** (1 / dimension))
        gaps = ratios < ratio
        by_chance = betainc(k, k, ratio**dimension)
        clear = gaps.mean(axis=0) - np.minimum(1, by_chance) >= self.least_share
        if not clear.any():
            return None
        pairs = []
        for i in np.flatnonzero(clear):
            rows = np.flatnonzero(gaps[:, i])
            pairs.append(np.stack([np.repeat(rows, k[i]), index[rows, : k[i]].ravel()], axis=1))
        linked = np.concatenate(pairs)
        there, back = linked @ [len(distinct), 1], linked[:, ::-1] @ [len(distinct), 1]
        linked = linked[np.isin(back, there)]
        first = np.full(len(distinct), -1)
        first[place[::-1]] = np.arange(len(X))[::-1]
        same = np.stack([np.arange(len(X)), first[place]], axis=1)
        return np.concatenate([first[linked], same])

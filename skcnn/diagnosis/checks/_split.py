"""Checks of the split: what training and test rows share that they should not, and what the test rows cannot tell."""

import numpy as np
from scipy.stats import binomtest

from skcnn._statistics import ALPHA, difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Case

__all__ = [
    "CHECKS",
    "ConflictingLabels",
    "Duplicates",
    "Groups",
    "MissingClasses",
    "NearDuplicates",
    "SmallTest",
    "Times",
]

TOO_GOOD = "The test score is too good: on these rows it measures memory, and says little of new rows."


class Duplicates(Check):
    """Test rows that are equal, to the bit, to a training row.

    Threshold: 1% of the test rows, and three rows. Kapoor and Narayanan (2023,
    https://doi.org/10.1016/j.patter.2023.100804) count duplicates across the split among the leaks (type 1.4) whatever
    their number; below 1% they cannot move a score by more than that.
    """

    code, cause, severity = "duplicates", "split", 3
    title = "The same rows in training and test set"
    question = "Are test rows among the training rows?"
    why = TOO_GOOD
    do = (
        "Remove duplicates before the split, or split by groups of equal rows (GroupShuffleSplit, StratifiedGroupKFold "
        "with the row's number after np.unique as its group)."
    )
    explains = ("near_duplicates",)
    threshold = 0.01
    least_rows = 3

    def look(self, case: Case) -> Finding | str:
        """Compare digests of all rows."""
        case.need_test()
        train, test = case.digests
        again = np.isin(test, train)
        share = proportion(again)
        if share.value < self.threshold or again.sum() < self.least_rows:
            return f"{again.sum()} of {len(again)} test rows are equal to a training row."
        evidence = [Evidence.of("share of test rows that are training rows", share)]
        return self.finding(
            f"{again.sum()} of {len(again)} test rows are equal to a training row.", evidence + _by_kind(case, again)
        )


def _by_kind(case: Case, again: np.ndarray) -> list[Evidence]:
    """Accuracy on test rows that were seen in training, and on the others."""
    if case.kind not in ("binary", "multiclass"):
        return []
    parts = {"accuracy on these rows": again, "accuracy on the other test rows": ~again}
    return [Evidence.of(name, proportion(case.right_test[rows])) for name, rows in parts.items() if rows.any()]


class NearDuplicates(Check):
    """Test rows that lie on top of a training row, though not to the bit: copies with noise, frames of one film.

    Such a row is far nearer to one training row than to its fifth nearest. In a locally uniform density of intrinsic
    dimension d, the ratio of these distances is below c with probability ``1 - (1 - c**d)**4``; d is estimated from the
    median ratio of the first two distances among the training rows (Facco et al. 2017,
    https://doi.org/10.1038/s41598-017-11873-y).

    The same share among the training rows, each against the others, is what the population itself has.

    Threshold: c = 0.2, below which hardly any two patches of one photograph fall, while most of their noisy copies do
    (benchmarks/diagnosis.py); 2% of the test rows, significantly more than that probability, and surely more than among
    the training rows; or 10%, if the training rows are as full of copies.
    """

    code, cause, severity = "near_duplicates", "split", 3
    title = "Nearly the same rows in training and test set"
    question = "Do test rows lie on top of training rows?"
    why = TOO_GOOD
    do = (
        "Find out where the copies come from (augmentation before the split, frames of one film, repeated "
        "measurements) "
        "and split by their origin: GroupShuffleSplit or StratifiedGroupKFold."
    )
    threshold = 0.02
    ratio = 0.2
    many = 0.1
    neighbour = 5

    def look(self, case: Case) -> Finding | str:
        """Compare the nearest training row with the fifth nearest."""
        case.need_test()
        if len(case.flat_train) <= 2 * self.neighbour:
            raise NotApplicable(f"{len(case.flat_train)} training rows are too few for distances")
        train, _ = case.neighbours.kneighbors(n_neighbors=self.neighbour)
        distinct = train[:, 0] > 0
        if distinct.sum() < self.neighbour:
            raise NotApplicable("hardly any training row differs from all others")
        spread = np.median(np.log(train[distinct, 1] / train[distinct, 0]))
        dimension = np.log(2) / max(spread, 1e-9)
        by_chance = float(1 - (1 - min(1.0, self.ratio**dimension)) ** (self.neighbour - 1))
        test, _ = case.neighbours.kneighbors(case.flat_test, n_neighbors=self.neighbour)
        exact = np.isin(case.digests[1][case.rows_test], case.digests[0])
        near = (test[:, 0] < self.ratio * test[:, -1]) & ~exact
        share = proportion(near[~exact])
        text = f"{near.sum()} of {share.n} test rows lie on top of a training row ({by_chance:.2g} of them by chance)."
        surely = share.n and binomtest(int(near.sum()), share.n, by_chance, alternative="greater").pvalue < ALPHA
        among = proportion(train[distinct, 0] < self.ratio * train[distinct, -1])
        own = difference(share, among).low <= 0 and share.value < self.many
        if share.value < self.threshold or not surely or own:
            return text
        evidence = [
            Evidence.of("share of test rows on top of a training row", share),
            Evidence.of("share among the training rows themselves", among),
            Evidence("share expected by chance", by_chance),
            Evidence("intrinsic dimension", dimension, n=int(distinct.sum())),
        ]
        again = np.zeros(len(case.right_test), dtype=bool) if case.kind != "regression" else np.zeros(0, dtype=bool)
        if len(again):
            again[case.rows_test[near]] = True
        return self.finding(text, evidence + _by_kind(case, again))


class ConflictingLabels(Check):
    """Equal rows with different labels, among training and test rows together.

    Threshold: 0.5% of all rows, and three rows. Each pair is a certain error of at least one label, which bounds every
    score from above (Northcutt, Athalye and Mueller 2021, https://arxiv.org/abs/2103.14749, find 3.3% label errors on
    average in ten test sets that are widely used).
    """

    code, cause, severity = "conflicting_labels", "labels", 2
    title = "Equal rows with different labels"
    question = "Do equal rows have equal labels?"
    why = "No model can be right on both: training pulls in two directions, and the best score possible is below 1."
    do = "Look at these rows; correct the labels, remove the rows, or add the columns that tell them apart."
    explains = ("suspicious_labels", "duplicates", "calibration")
    threshold = 0.005
    least_rows = 3

    def look(self, case: Case) -> Finding | str:
        """Compare the labels of rows with equal digests."""
        case.need_classes()
        digests = np.concatenate(case.digests)
        labels = case.y_train if case.y_test is None else np.concatenate([case.y_train, case.y_test])
        _, rows, sizes = np.unique(digests, return_inverse=True, return_counts=True)
        _, codes = np.unique(labels, return_inverse=True)
        least, most = np.full(len(sizes), codes.max()), np.zeros(len(sizes), dtype=int)
        np.minimum.at(least, rows, codes)
        np.maximum.at(most, rows, codes)
        torn = (least < most)[rows]
        text = f"{torn.sum()} of {len(rows)} rows have an equal row with another label."
        if torn.sum() < max(self.least_rows, self.threshold * len(rows)):
            return text
        share = proportion(torn)
        return self.finding(text, [Evidence.of("share of rows with an equal row of another label", share)])


class Groups(Check):
    """Groups with rows on both sides of the split. Threshold: 1% of the test rows, as for duplicates."""

    code, cause, severity = "groups", "split", 3
    title = "Groups that stand on both sides of the split"
    question = "Did the split keep groups together?"
    why = "Rows of one group (patient, film, device) are alike: " + TOO_GOOD[0].lower() + TOO_GOOD[1:]
    do = "Split by groups: GroupShuffleSplit, StratifiedGroupKFold; and fit(..., groups=...) for the inner split."
    explains = ("near_duplicates", "duplicates")
    threshold = 0.01

    def look(self, case: Case) -> Finding | str:
        """Count test rows whose group has training rows."""
        case.need_test()
        if case.groups_train is None or case.groups_test is None:
            raise NotApplicable("no groups were given (groups_train, groups_test)")
        again = np.isin(case.groups_test, case.groups_train)
        share = proportion(again)
        text = f"{again.sum()} of {len(again)} test rows belong to a group with training rows."
        if share.value < self.threshold:
            return text
        evidence = [Evidence.of("share of test rows of a group with training rows", share)]
        return self.finding(text, evidence + _by_kind(case, again))


class Times(Check):
    """Training rows that are later than test rows. Threshold: 1% of the training rows."""

    code, cause, severity = "times", "split", 3
    title = "Training rows from after the test rows"
    question = "Did the split respect the order of time?"
    why = "The model was trained on what it will not know when it is used: the test score is too good."
    do = "Split by time: the test rows last, TimeSeriesSplit within a search."
    explains = ("near_duplicates",)
    threshold = 0.01

    def look(self, case: Case) -> Finding | str:
        """Count training rows later than the first test row."""
        case.need_test()
        if case.times_train is None or case.times_test is None:
            raise NotApplicable("no times were given (times_train, times_test)")
        late = case.times_train > case.times_test.min()
        share = proportion(late)
        text = f"{late.sum()} of {len(late)} training rows are later than the first test row."
        if share.value < self.threshold:
            return text
        return self.finding(text, [Evidence.of("share of training rows from after the first test row", share)])


class MissingClasses(Check):
    """Classes of the test rows that no training row has. No threshold: each such row is wrong for certain."""

    code, cause, severity = "missing_classes", "split", 3
    title = "Classes that training never saw"
    question = "Does every class of the test rows have training rows?"
    why = "A classifier can only predict classes that it was trained on: these test rows are all wrong."
    do = "Split with stratify=y, or collect rows of these classes; or leave them out of the test set and say so."
    explains = (
        *("label_shift", "covariate_shift", "recall_spread", "gap", "calibration", "baseline", "prediction_drift"),
        *("class_shares", "few_rows", "threshold"),
    )

    def look(self, case: Case) -> Finding | str:
        """Compare the labels."""
        case.need_test()
        case.need_classes()
        missing = ~np.isin(case.y_test, np.unique(case.y_train))
        if not missing.any():
            return f"All {len(np.unique(case.y_test))} classes of the test rows have training rows."
        labels = np.unique(case.y_test[missing]).tolist() if case.y_test is not None else []
        share = proportion(missing)
        what = f"No training row has the label{'s' if len(labels) > 1 else ''} {', '.join(map(str, labels))}."
        return self.finding(what, [Evidence.of("share of test rows of such a class", share)])


class SmallTest(Check):
    """Too few test rows for the score to tell anything.

    Threshold: the 99.9% interval of the accuracy is longer than 0.3 (about ± 0.09 at 95%, which some 80 rows give), or
    a class of the test rows has fewer than 5 of them, too few for its recall to have one digit.
    """

    code, cause, severity = "small_test", "split", 1
    title = "A test set too small to tell"
    question = "Are there enough test rows?"
    why = "With so few rows the score is mostly chance, and so is any comparison by it."
    do = (
        "Use cross-validation with repeats (RepeatedStratifiedKFold; RepeatedKFold for a regression) instead of one "
        "split, or hold out more rows."
    )
    threshold = 0.3
    least_rows = 5

    def look(self, case: Case) -> Finding | str:
        """Look at the length of the interval, and at the rarest class."""
        case.need_test()
        score = case.score_test
        length = score.high - score.low
        text = f"The {case.score_name} on {score.n} test rows is known to ± {length / 2:.2f}."
        rare = None
        if case.kind in ("binary", "multiclass"):
            labels, counts = np.unique(case.y_test, return_counts=True)
            if counts.min() < self.least_rows:
                rare = f" Class {labels[counts.argmin()]} has {counts.min()} of them."
        if length <= self.threshold and rare is None:
            return text
        return self.finding(text + (rare or ""), [Evidence.of(f"test {case.score_name}", score)])


CHECKS = [Groups, Times, Duplicates, NearDuplicates, ConflictingLabels, MissingClasses, SmallTest]

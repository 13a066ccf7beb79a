"""Checks of test labels that can be put right: classes numbered otherwise, rows in another order, another unit."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2_contingency, ks_2samp, theilslopes

from skcnn._statistics import ALPHA, CAREFUL_LEVEL, EFFECT_LEVEL, STRICT, Estimate, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._effects import r2_gain

__all__ = ["DO_NOT_FIT", "MISFIT", "LabelEncoding", "RowOrder", "TargetUnit", "misfit", "shuffled"]

LEAST_MISFIT = 0.05  # 26 of 26 such faults, none of 32 clean cases in a trial
LEAST_CONTRADICTED = 0.03
DO_NOT_FIT = "The score compares predictions with labels that are not those of the samples."
MISFIT = "The simple model out of fold on training samples, minus the same on test samples."


def misfit(seen: Observations) -> Estimate | None:
    """Return how much better the simple model is out of fold than on the test samples, if that is significant.

    By its score, or by the errors that it makes with confidence. The score out of fold is that of the best of several
    models, and so a little too good: 99% accused 1% to 2% of clean splits, most of those with a weak signal.
    """
    seen.need("test")
    if len(seen.reference.y) < 40 or len(seen.test.chosen) < 20:
        raise NotApplicable("there are too few training or test samples to compare the simple model on both")
    estimate = seen.both.misfit
    if estimate.at(STRICT, given=CAREFUL_LEVEL).low > 0 and estimate.value >= LEAST_MISFIT:
        return estimate
    if not seen.has_classes or "groups_test" in seen.beside:
        return None
    sure = seen.both.contradicted
    return sure if sure.low > 0 and sure.value >= LEAST_CONTRADICTED else None


def _fits(seen: Observations) -> str:
    return f"The simple model is as good on the test samples as out of fold ({-seen.both.misfit.value:+.3f})."


def _halves(seen: Observations, n: int) -> np.ndarray:
    return seen.rng(37).permutation(n) % 2 == 0


def _mean_gain(before: np.ndarray, after: np.ndarray) -> Estimate:
    return weighted_mean(after - before, np.ones(len(before)), EFFECT_LEVEL)


class LabelEncoding(Check):
    """Classes of the test samples that are numbered in another order, or labels in columns of another order.

    The one-to-one relabelling with which most predictions of the simple model are right (Kuhn's assignment; two
    samples in favour of each label as it is) is found on each half of the test samples and judged on the other.

    Effect: the estimator's test score with labels changed so, minus that now.

    Threshold: the simple model's score rises significantly, by 0.05, and by half of what lies between its out-of-fold
    score and its test score. Unless labels are unknown to the estimator, its test score is significantly lower by 0.05
    than its out-of-fold score.
    """

    code, cause = "label_encoding", "test labels"
    title = "Classes are numbered differently in the test set"
    question = "Do labels mean the same in training and test set?"
    why = DO_NOT_FIT
    do = "Encode both with one LabelEncoder or OrdinalEncoder, fitted on the training labels."
    share_mended = 0.5
    bonus = 2.0

    def look(self, seen: Observations) -> Finding | str:
        """Look for a better relabelling."""
        seen.need("test")
        targets = seen.test.targets
        if not seen.has_classes and targets.ndim < 2:
            raise NotApplicable("there is one target per sample")
        unknown = seen.has_classes and (targets < 0).any()
        if len(seen.test.chosen) < 20 or (not unknown and misfit(seen) is None):
            return _fits(seen)
        rows, predicted = seen.test.chosen, seen.both.reference_test
        labels, place = np.unique(seen.test.y, return_inverse=True) if seen.has_classes else (None, targets)
        half = _halves(seen, len(rows))
        maps = [self._best(seen, predicted[part], place[rows][part], labels) for part in (half, ~half)]
        crossed = np.where(half, *(self._mapped(place[rows], best).T for best in maps[::-1])).T
        before, after = seen.both.reference_quality, seen.quality(crossed, predicted)
        gain = _mean_gain(before, after)
        lost = seen.reference.quality(seen.reference.oof).mean() - before.mean()
        text = f"The best relabelling changes the simple model's test score by {gain.value:+.3f}."
        if gain.low <= 0 or gain.value < max(LEAST_MISFIT, self.share_mended * lost):
            return text
        whole = y = self._mapped(place, self._best(seen, predicted, place[rows], labels))
        if seen.has_classes:
            whole = np.where(whole < 0, targets, whole)
            y = np.where(whole < 0, seen.test.y, seen.classes[whole])
        mended = seen.changed(y_test=y)
        effect = seen.gain(mended)
        what = f"{text} {self._named(seen, place, whole, labels)}"
        measured = "The test score with labels changed so; found on one half of the samples, judged on the other."
        evidence = {"gain of the simple model on the other half": gain}
        return self.finding(what, evidence, effect=effect, measured=measured, mended=mended)

    def _best(
        self, seen: Observations, predicted: np.ndarray, place: np.ndarray, labels: np.ndarray | None
    ) -> np.ndarray:
        """Return the class of each test label, or the column of y for each column."""
        if labels is None:
            columns = range(place.shape[1])
            if seen.kind == "multilabel":
                good = [[float((predicted[:, i] == place[:, j]).sum()) for j in columns] for i in columns]
            else:
                spread = np.maximum(seen.train.targets.var(axis=0), 1e-300)
                good = [
                    [-float(np.square(predicted[:, i] - place[:, j]).sum() / spread[i]) for j in columns]
                    for i in columns
                ]
            return np.asarray(linear_sum_assignment(-np.array(good) - self.bonus * np.eye(len(good)))[1])
        own = seen.codes(labels)
        agree = np.zeros((len(seen.classes), len(labels)))
        np.add.at(agree, (predicted, place), 1)
        agree[own[own >= 0], np.flatnonzero(own >= 0)] += self.bonus
        of, label = linear_sum_assignment(-agree)
        code = np.full(len(labels), -1)  # a label too many is that of no class
        code[label] = of
        return code

    @staticmethod
    def _mapped(place: np.ndarray, best: np.ndarray) -> np.ndarray:
        return place[:, best] if place.ndim == 2 else best[place]

    @staticmethod
    def _named(seen: Observations, place: np.ndarray, whole: np.ndarray, labels: np.ndarray | None) -> str:
        if labels is None:
            columns = [j for j in range(place.shape[1]) if not np.array_equal(place[:, j], whole[:, j])]
            return f"Columns {', '.join(map(str, columns[:10]))} of y_test stand for others."
        pairs = {(labels[a], seen.classes[b]) for a, b in zip(place, whole, strict=True) if b >= 0}
        moved = [f"{a} for {b}" for a, b in sorted(pairs, key=str) if a != b]
        return f"In the test set, {', '.join(moved[:10])}."


def shuffled(seen: Observations) -> bool:
    """Whether test labels go with the samples no more than by chance, while training labels do, in equal shares.

    Threshold: a correlation of predictions and targets of 0.3 out of fold, of which significantly no more than half is
    left.
    """
    reference, rows = seen.reference, seen.test.chosen
    out = reference.labels(reference.oof)
    trained, _ = _correlation(seen, out, reference.y)
    tested, spread = _correlation(seen, seen.both.reference_test, seen.test.targets[rows])
    return trained >= 0.3 and tested + 2.58 * spread <= 0.5 * trained and _same_shares(seen)


def _correlation(seen: Observations, predicted: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Return the correlation of predictions and targets, of all columns together, and its spread by chance."""

    def columns(values: np.ndarray) -> np.ndarray:
        if seen.has_classes:
            values = (values[:, None] == np.arange(len(seen.classes))).astype(float)
        values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        return np.asarray(values - values.mean(axis=0))

    a, b = columns(predicted), columns(targets)
    scale = max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-300)
    rng = seen.rng(41)
    by_chance = [float((a * b[rng.permutation(len(b))]).sum()) / scale for _ in range(100)]
    return float((a * b).sum()) / scale, float(np.std(by_chance))


def _same_shares(seen: Observations) -> bool:
    if seen.has_classes:
        counts = np.stack([seen.counts(seen.train.codes), seen.counts(seen.test.codes)])
        return bool(chi2_contingency(counts[:, counts.any(axis=0)]).pvalue > ALPHA)
    return bool(_apart(seen, seen.test.targets).pvalue > ALPHA)


def _apart(seen: Observations, targets: np.ndarray) -> Any:
    """Return Kolmogorov and Smirnov's test of targets against those of training."""
    return ks_2samp(np.ravel(seen.train.targets), np.ravel(targets))


class RowOrder(Check):
    """Test labels that stand beside other samples: moved by some rows, in reverse, or shuffled.

    Moves by up to 50 rows and the reverse order are tried on one half of the test samples, the best judged on the
    other. Shuffled are labels that go with the samples no more than by chance, though their shares are the same.

    Effect: the estimator's test score with the labels moved back. For a shuffle: the simple model
    out of fold on the training samples against the test samples.

    Threshold: the simple model's test score is significantly lower by 0.05 than its out-of-fold score; the move brings
    half of it back, significantly; of a shuffle, significantly no more than half of the correlation is left.
    """

    code, cause = "row_order", "test labels"
    title = "Test labels stand beside the wrong samples"
    question = "Are test samples and test labels in the same order?"
    why = DO_NOT_FIT
    do = "Join samples and labels by their key, and shuffle or sort both together (sklearn.utils.shuffle)."
    farthest = 50
    share_mended = 0.5

    def look(self, seen: Observations) -> Finding | str:
        """Move the labels."""
        lost = misfit(seen)
        if lost is None:
            return _fits(seen)
        moved = self._moved_back(seen, lost)
        if moved is not None:
            return moved
        text = f"No move of the labels by up to {self.farthest} rows mends the simple model's {-lost.value:+.3f}."
        if seen.both.elsewhere:
            return f"{text} Test samples come from elsewhere, which may explain it."
        if not shuffled(seen):
            return f"{text} They are no random order either."
        what = "Test labels go with the test samples no more than by chance, though their shares are those of training."
        return self.finding(what, {"simple model, out of fold minus test": lost}, effect=lost, measured=MISFIT)

    def _moved_back(self, seen: Observations, lost: Estimate) -> Finding | None:
        n, rows, predicted = len(seen.test.y), seen.test.chosen, seen.both.reference_test
        places = {f"by {d:+d} rows": (np.arange(n) + d) % n for d in range(-self.farthest, self.farthest + 1) if d}
        places["in reverse"] = np.arange(n)[::-1]
        half, targets = _halves(seen, len(rows)), seen.test.targets
        found = {how: seen.quality(targets[place[rows]], predicted) for how, place in places.items()}
        best = max(found, key=lambda how: float(found[how][half].mean()))
        gain = _mean_gain(seen.both.reference_quality[~half], found[best][~half])
        if gain.low <= 0 or gain.value < self.share_mended * lost.value:
            return None
        mended = seen.changed(y_test=seen.test.y[places[best]])
        effect = seen.gain(mended)
        what = f"The test labels moved {best} fit: the simple model's test score changes by {gain.value:+.3f}."
        measured = "The test score with labels moved so."
        evidence = {"gain of the simple model on the other half": gain}
        return self.finding(what, evidence, effect=effect, measured=measured, mended=mended)


class TargetUnit(Check):
    """Test targets of a regression in another unit, from another zero, or in logarithms.

    A robust line (Theil and Sen) from predictions of the simple model to test targets, to their logarithm and to their
    exponential is compared with that on training samples out of fold, so that predictions that shrink to the mean are
    no change of unit. It is found on one half of the test samples, and judged on the other; of line and curves, that
    counts after which targets are distributed most like those of training.

    Effect: the estimator's test score with targets put back, minus that now.

    Threshold: the slope is beyond 0.7 to 1.4, or the targets move by half a deviation; at least 0.7 of the correlation
    out of fold is there; and put back, the targets are distributed more like those of training, by 0.05 in Kolmogorov
    and Smirnov's distance, from which they now differ significantly (but for another sign, where they need not).
    Where the inputs have moved instead, they are not.
    """

    code, cause = "target_unit", "test labels"
    title = "Test targets are in another unit"
    question = "Are training and test targets in the same unit?"
    why = "The score compares predictions in one unit with targets in another."
    do = "Convert both targets to one unit, before the split; put transformations into TransformedTargetRegressor."
    slopes = (0.7, 1.4)
    offset = 0.5
    closer = 0.05
    correlation = 0.7
    least_correlation = 0.3
    most_pairs = 400

    def look(self, seen: Observations) -> Finding | str:
        """Look for a line."""
        seen.need("test")
        if seen.kind != "regression":
            raise NotApplicable(f"asks for a regression; this is {seen.kind}")
        rows, y, predicted = seen.test.chosen, seen.test.targets, seen.both.reference_test
        if len(rows) < 20 or len(seen.reference.y) < 40:
            raise NotApplicable("there are too few training or test samples to compare the simple model on both")
        half, candidates = _halves(seen, len(rows)), {}
        for name, curve in (("", np.asarray), ("logarithm", np.exp), ("exponential", np.log)):
            with np.errstate(all="ignore"):
                values = np.asarray(curve(y), dtype=np.float64)
            if np.isfinite(values).all() and np.ptp(values) > 0:
                crossed = self._crossed(seen, values[rows], half)
                there = _correlation(seen, predicted, crossed)[0]
                candidates[name] = (-_apart(seen, crossed).statistic, there, values, crossed)
        if not candidates:
            return "The test targets are all equal."
        name = max(candidates, key=lambda one: candidates[one][0])
        return self._judged(seen, name, *candidates[name][1:])

    def _judged(
        self, seen: Observations, name: str, there: float, values: np.ndarray, crossed: np.ndarray
    ) -> Finding | str:
        rows, predicted = seen.test.chosen, seen.both.reference_test
        trained = _correlation(seen, seen.reference.oof, seen.reference.y)[0]
        if trained < self.least_correlation or there < self.correlation * trained:
            return f"No line brings test targets to predictions (correlation {there:.2f}, out of fold {trained:.2f})."
        lines = self._lines(seen, values[rows], predicted)
        told = self._told(name, lines)
        text = f"The best line, {told}, is no other unit."
        spread = np.std(seen.train.targets, axis=0)
        moved = np.abs(np.median(crossed - seen.test.targets[rows], axis=0)) > self.offset * spread
        slopes = np.array([slope for _, slope in lines])
        far = (slopes < self.slopes[0]) | (slopes > self.slopes[1]) | moved
        now, then = _apart(seen, seen.test.targets[rows]), _apart(seen, crossed)
        closer = now.pvalue <= ALPHA and then.statistic < now.statistic - self.closer
        flipped = (slopes < 0).any() and then.pvalue > ALPHA
        if (not name and not far.any()) or not (closer or flipped):
            return text
        mended = seen.changed(y_test=self._put_back(values, lines))
        what = f"Test targets in the unit of training are {told}."
        measured = "The test score with targets put back; the line was judged on other samples than it was found on."
        evidence = {"correlation with predictions then": there, "and out of fold": trained}
        return self.finding(what, evidence, effect=r2_gain(seen, mended), measured=measured, mended=mended)

    @staticmethod
    def _told(name: str, lines: list[tuple[float, float]]) -> str:
        of = {"": "y_test", "logarithm": "exp(y_test)", "exponential": "log(y_test)"}[name]
        return "; ".join(f"{offset:.3g} + {slope:.3g} * {of}" for offset, slope in lines[:3])

    def _crossed(self, seen: Observations, values: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Return values put back by the line of the other half."""
        predicted, out = seen.both.reference_test, values.copy()
        for part in (half, ~half):
            out[~part] = self._put_back(values[~part], self._lines(seen, values[part], predicted[part]))
        return out

    def _lines(self, seen: Observations, values: np.ndarray, predicted: np.ndarray) -> list[tuple[float, float]]:
        """Return offset and slope from values to the unit of training, for each output."""
        n = len(values)
        reference, lines = seen.reference, []
        for a, p, y, oof in zip(
            values.reshape(n, -1).T,
            predicted.reshape(n, -1).T,
            reference.y.reshape(len(reference.y), -1).T,
            reference.oof.reshape(len(reference.y), -1).T,
            strict=True,
        ):
            few = slice(None, self.most_pairs)  # of pairs there are as many as the square of it
            slope, offset = theilslopes(p[few], a[few])[:2] if np.ptp(a[few]) > 0 else (0.0, 0.0)
            own_slope, own_offset = theilslopes(oof[few], y[few])[:2] if np.ptp(y[few]) > 0 else (1.0, 0.0)
            own_slope = own_slope if abs(own_slope) > 1e-9 else 1.0
            lines.append((float((offset - own_offset) / own_slope), float(slope / own_slope)))
        return lines

    @staticmethod
    def _put_back(values: np.ndarray, lines: list[tuple[float, float]]) -> np.ndarray:
        offset, slope = np.transpose(lines)
        back = offset + slope * values.reshape(len(values), -1)
        return np.asarray(back.reshape(values.shape))

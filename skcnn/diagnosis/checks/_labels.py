"""Checks of training labels: whether they can be learned, are wrong, or contradict each other."""

import numpy as np
from scipy.special import ndtri
from sklearn.base import clone

from skcnn._statistics import ALPHA, EFFECT_LEVEL, Estimate, auc, balanced_accuracy, proportion, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._copies import by_nature
from skcnn.diagnosis.checks._effects import without_rows
from skcnn.diagnosis.checks._pairs import CONFUSED, mistaken

__all__ = ["ConflictingLabels", "NoSignal", "SuspiciousLabels", "confident_errors"]

LEARNED_WITHIN = (
    "A simple model out of fold within the test samples, minus the best on them that training samples gave."
)


def learned_within(seen: Observations) -> Estimate:
    """Return the score of a simple model out of fold within the test samples, minus that of the estimator there.

    Or minus that of the same model fitted on the training samples, if that is better than the estimator.
    """
    rows = seen.test.chosen
    weight = seen.test.weight[rows]
    best = max(seen.test.quality[rows], seen.both.reference_quality, key=lambda quality: float(weight @ quality))
    return weighted_mean(seen.both.test_within - best, weight, EFFECT_LEVEL)


class NoSignal(Check):
    """Labels of which the inputs say nothing: shuffled, joined by the wrong key, sorted apart from their samples.

    Effect: a simple model out of fold within the test samples, minus the estimator there, or minus the same model
    fitted on the training samples if that is better. If it is above 0, the test samples hold what the training samples
    do not: the labels of these are wrong. If not, nothing can be learned: a note.

    Threshold: out of fold, the best simple model is significantly no more than 0.2 better than guessing, of balanced
    accuracy or area under the ROC curve, or 0.3 of correlation; where it may be better, there are too few samples.
    """

    code, cause = "no_signal", "labels"
    title = "The inputs say nothing of the labels"
    question = "Can anything be learned from the training samples?"
    why = "Whatever is fitted learns by heart: no setting of the network helps."
    do = "Check that samples and labels still belong together: joins, sorting, shuffling one without the other."
    least_samples = 60
    no_more = 0.2
    no_more_correlated = 0.3

    def look(self, seen: Observations) -> Finding | str:
        """Ask whether the simple model is better than guessing, on training and within test samples."""
        reference = seen.reference
        if len(reference.y) < self.least_samples:
            raise NotApplicable(f"{len(reference.y)} training samples are too few to tell")
        score, by_guessing, name = self._score(seen)
        text = f"Out of fold, {reference.name} has {name} {score.value:.3f}, guessing {by_guessing:.3f}."
        if score.low > by_guessing:
            return text
        margin = self.no_more if seen.has_classes else self.no_more_correlated
        if score.high > by_guessing + margin:
            raise NotApplicable(f"{name} may be {score.high:.2f}, guessing is {by_guessing:.2f}: too few samples")
        evidence = {f"{name} of the simple model": score, "by guessing": by_guessing}
        if not seen.has_test or len(seen.test.chosen) < self.least_samples:
            return self.finding(text, evidence, measured="Not measured: there are too few test samples to learn from.")
        return self.finding(text, evidence, effect=learned_within(seen), measured=LEARNED_WITHIN)

    @staticmethod
    def _score(seen: Observations) -> tuple[Estimate, float, str]:
        """Return the score of the simple model, that of guessing, and its name."""
        y, out = seen.reference.y, seen.reference.oof
        if seen.kind == "binary":
            return auc(y == 1, out[:, 1]), 0.5, "area under the ROC curve"
        if seen.has_classes:
            # Against the class shares: a forest that names a large class only may yet know a rare one when it sees it.
            shares = np.bincount(y, minlength=out.shape[1]) / len(y)
            score = balanced_accuracy(y, (out / np.maximum(shares, 1e-12)).argmax(axis=1))
            return score, 1 / len(np.unique(y)), "balanced accuracy"
        pairs = zip(np.asarray(y, float).reshape(len(y), -1).T, out.reshape(len(y), -1).T, strict=True)
        r = float(np.mean([np.corrcoef(a, b)[0, 1] if np.ptp(a) and np.ptp(b) else 0.0 for a, b in pairs]))
        half = ndtri(1 - ALPHA / 2) / np.sqrt(max(len(y) - 3, 1))  # Fisher's z
        low, high = np.tanh(np.arctanh(np.clip(r, -0.999, 0.999)) + np.array([-half, half]))
        return Estimate(r, float(low), float(high), len(y)), 0.0, "correlation"


def confident_errors(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Whether each label is likely wrong by confident learning.

    A sample is counted for a class whose probability is at least the mean of that class's own samples; if that class is
    not the label, the label is suspicious (Northcutt, Jiang and Chuang 2021, section 3.1,
    https://doi.org/10.1613/jair.1.12125).

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Class codes as given.
    probabilities : ndarray of shape (n, n_classes)
        Out of fold.
    """
    usual = np.full(probabilities.shape[1], np.inf)
    for code in np.unique(codes):
        usual[code] = probabilities[codes == code, code].mean()
    likely = np.where(probabilities >= usual, probabilities, -1.0)
    return (likely.max(axis=1) > 0) & (likely.argmax(axis=1) != codes)


class SuspiciousLabels(Check):
    """Training labels, or targets, that contradict what the other samples say.

    Three patterns. One looks at training samples alone: where classes overlap, the samples of which the simple model is
    most confident are far from the border, and hardly ever contradict it: 4 to 9% of the most confident fifth do. Wrong
    labels stand everywhere: with 30% shuffled, 19 to 33% do, nearly as many as among all samples. The other compares
    with the test samples, where these are like training samples: if a simple model is better within the test samples
    than within as many training samples, training labels say less than test labels do. The third is samples of one
    class that are labelled as another (`mistaken`): a simple model of the test samples takes more training samples with
    a label for another class than test samples with that label.

    Which labels are suspicious is told by confident learning on out-of-fold probabilities, if the own label has less
    than half of the probability of the other; of a regression, by residuals of three deviations (by their median).

    Effect: the estimator fitted again without the suspicious samples, on the test samples; if it may not be fitted
    again, the simple model with and without them. Wrong labels of samples that are alike are not suspicious: then it is
    what a simple model learns within the test samples beyond the best that the training samples gave. Of one class
    labelled as another, the test samples of it that the estimator takes for the other, more than the other way round.

    Threshold: of the most confident fifth 8% contradict, significantly more than 4%, and at least 0.65 times as
    many as of all; fewer than a tenth of the samples are equal to others by nature, which then differ in what was not
    recorded; the simple model is, out of fold, at least 0.3 of the way from guessing to perfect, and not significantly
    worse than the estimator on the test samples by 0.02. Or: significantly (99%) better within the test samples, by
    0.03. Or: those of `mistaken`. Test sets in wide use have 3.3% wrong labels on average (Northcutt, Athalye and
    Mueller 2021, https://arxiv.org/abs/2103.14749).
    """

    code, cause = "suspicious_labels", "labels"
    title = "Labels that are probably wrong"
    question = "Do the labels agree with what the other samples say?"
    why = "A network that is large enough learns wrong labels by heart, and is wrong around them."
    do = "Look at the samples named and correct them; until then regularise, and do not train to the last."
    cures = ("regularise", "stop_early", "smooth_labels")
    threshold = 0.08
    usual = 0.04
    ratio = 0.65
    most_equal = 0.1
    least_known = 0.3
    no_worse = 0.02
    times = 2.0
    deviations = 3.0
    better_within = 0.03
    least_samples = 100
    shown = 10

    def look(self, seen: Observations) -> Finding | str:
        """Look at the most confident samples, and within the test samples; then fit without the suspicious ones."""
        if len(seen.reference.y) < self.least_samples:
            raise NotApplicable(f"{len(seen.reference.y)} training samples are too few to tell")
        wrong, doubt = self._suspicious(seen)
        text = f"{wrong.sum()} of {len(wrong)} training labels contradict the other samples."
        torn, text = self._torn(seen, text) if seen.has_classes else (None, text)
        of_one_class = self._of_one_class(seen) if torn is None else None
        if of_one_class is not None:
            return of_one_class
        muddled = self._muddled(seen)
        if torn is None and muddled is None:
            return text
        share = {"share of suspicious labels": proportion(wrong)}
        if torn is not None:
            share["share among the most confident"] = torn
        if muddled is not None:
            share["simple model within the test samples, minus within training samples"] = muddled
            text += (
                f" Within the test samples the simple model is {muddled.value:.3f} better than within training samples."
            )
        rows = seen.train.chosen[wrong][np.argsort(-doubt[wrong], kind="stable")]
        what = f"{text} Most of all the training samples {', '.join(map(str, rows[: self.shown]))}."
        effect, measured, mended = self._effect(seen, wrong)
        if muddled is not None and (effect is None or effect.sign <= 0):
            within = learned_within(seen)
            if effect is None or within.sign > 0:
                effect, measured, mended = within, LEARNED_WITHIN, None
        return self.finding(what, share, effect=effect, measured=measured, mended=mended, rows=rows)

    def _of_one_class(self, seen: Observations) -> Finding | None:
        """Return samples of one class that are labelled as another."""
        found = mistaken(seen, "train")
        if found is None:
            return None
        what = (
            f"{len(found.rows)} training samples labelled {found.label} look like {found.looks} in the test set: "
            f"{found.share:.1%} of those with that label; of the test samples with it, {found.by_chance:.1%} do."
        )
        evidence = {"share of the training samples with that label": found.share, "by chance": found.by_chance}
        return self.finding(what, evidence, effect=found.cost, measured=CONFUSED, rows=found.rows[: self.shown])

    def _suspicious(self, seen: Observations) -> tuple[np.ndarray, np.ndarray]:
        """Return which training labels are suspicious, and how much each is."""
        y, out = seen.reference.y, seen.reference.oof
        if seen.has_classes:
            own = out[np.arange(len(y)), y]
            return confident_errors(y, out) & (out.max(axis=1) > self.times * own), out.max(axis=1) - own
        away = np.abs(np.asarray(y, float) - out).reshape(len(y), -1)
        away = (away / np.maximum(1.4826 * np.median(away, axis=0), 1e-300)).max(axis=1)
        limit = self.deviations if seen.kind == "regression" else np.inf
        return away > limit, away

    def _torn(self, seen: Observations, text: str) -> tuple[Estimate | None, str]:
        """Return how many of the most confident samples contradict, if so many that labels are wrong."""
        codes, out = seen.reference.y, seen.reference.oof
        errors = out.argmax(axis=1) != codes
        confident = np.argsort(-out.max(axis=1), kind="stable")[: len(codes) // 5]
        torn = proportion(errors[confident], EFFECT_LEVEL)
        text = f"{text[:-1]}; of the most confident fifth {torn.value:.3f} do, of all {errors.mean():.3f}."
        if torn.value < self.threshold or torn.low < self.usual or torn.value < self.ratio * errors.mean():
            return None, text
        guess = np.bincount(codes).max() / len(codes)
        if 1 - errors.mean() < guess + self.least_known * (1 - guess):
            return None, f"{text} The simple model is too weak to tell wrong labels from hard ones."
        if seen.has_test and seen.both.lead.high < -self.no_worse:
            return None, f"{text} The estimator knows better than the simple model."
        if self._discrete(seen):
            return None, f"{text} Equal samples are common: what tells their labels apart may not be recorded."
        return torn, text

    def _muddled(self, seen: Observations) -> Estimate | None:
        """Return how much better the simple model is within the test samples, if that is significant."""
        if not seen.has_test or len(seen.test.chosen) < self.least_samples or seen.both.elsewhere:
            return None
        muddled = seen.both.muddled
        return muddled if muddled.low > 0 and muddled.value >= self.better_within else None

    def _discrete(self, seen: Observations) -> bool:
        """Whether many training samples are equal by nature."""
        _, place, counts = np.unique(seen.digests[0], return_inverse=True, return_counts=True)
        twins = (counts[place] > 1)[seen.train.chosen]
        return bool(twins.mean() >= self.most_equal) and by_nature(seen.train.flat, seen.train.flat, twins)

    @staticmethod
    def _effect(seen: Observations, wrong: np.ndarray) -> tuple[Estimate | None, str, Observations | None]:
        if not seen.has_test:
            return None, "Not measured: no test samples were given.", None
        if not wrong.any():
            return None, "Not measured: no sample is suspicious by itself.", None
        keep = np.ones(len(seen.train.y), dtype=bool)
        keep[seen.train.chosen[wrong]] = False
        refitted = seen.refitted(rows=keep)
        if refitted is not None:
            return seen.gain(refitted), "The estimator, fitted again without the suspicious samples.", refitted
        try:
            return without_rows(seen, ~wrong), "A simple model with and without the suspicious samples.", None
        except NotApplicable as reason:
            return None, f"Not measured: {reason}.", None


class ConflictingLabels(Check):
    """Equal samples with different labels, among training and test samples together.

    Effect: the estimator (or a simple model) fitted again with only that label of equal samples which a simple model of
    the other samples finds likeliest, minus that with all of them, on the test samples. Where values are
    discrete (answers, counts, one-hot columns) equal samples of different classes are natural, and no effect is seen.

    Threshold: 0.5% of all samples, and three samples. Each pair is an error of at least one label, or of the features,
    which bounds every score from above.
    """

    code, cause = "conflicting_labels", "labels"
    title = "Equal samples with different labels"
    question = "Do equal samples have equal labels?"
    why = "No model can be right on both: training pulls in two directions, and the best score possible is below 1."
    do = "Look at these samples; correct the labels, remove the samples, or add the columns that tell them apart."
    threshold = 0.005
    least_samples = 3
    least_others = 30

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
        train = torn[: len(seen.train.y)]
        if by_nature(seen.train.flat, seen.train.flat, train[seen.train.chosen]):
            return f"{text} Equal samples are common among these: by nature."
        effect, measured, mended = self._effect(seen, train)
        share = {"share of samples with an equal sample of another label": proportion(torn)}
        return self.finding(text, share, effect=effect, measured=measured, mended=mended)

    def _effect(self, seen: Observations, torn: np.ndarray) -> tuple[Estimate | None, str, Observations | None]:
        if not seen.has_test or not torn.any():
            return None, "Not measured: no test samples were given, or no training sample is concerned.", None
        keep = ~torn
        keep[seen.train.chosen[self._likely(seen, torn[seen.train.chosen])]] = True
        refitted = seen.refitted(rows=keep)
        if refitted is not None:
            how = "The estimator, fitted again with that label of equal samples which a simple model prefers."
            return seen.gain(refitted), how, refitted
        try:
            effect = without_rows(seen, keep[seen.train.chosen])
        except NotApplicable as reason:
            return None, f"Not measured: {reason}.", None
        how = (
            "A simple model with the likelier label of equal samples, minus one with all of them, on the test samples."
        )
        return effect, how, None

    def _likely(self, seen: Observations, torn: np.ndarray) -> np.ndarray:
        """Return those training samples, of `train.chosen`, whose label is the likeliest of their equals."""
        reference = seen.reference
        y = reference.y[~torn]
        if len(y) < self.least_others or len(np.unique(y)) < 2:
            return np.zeros(0, dtype=int)
        rows = np.flatnonzero(torn)
        fitted = clone(reference.model).fit(reference.X[~torn], y)
        own = reference.predict(fitted, reference.X[rows])[np.arange(len(rows)), reference.y[rows]]
        _, group = np.unique(seen.digests[0][seen.train.chosen][rows], return_inverse=True)
        best = np.zeros(group.max() + 1)
        np.maximum.at(best, group, own)
        return rows[own >= best[group]]

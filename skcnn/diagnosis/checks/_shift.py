"""Checks of shift: whether the test samples come from where the training samples come from."""

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from skcnn._statistics import ALPHA, EFFECT_LEVEL, Estimate, mean_difference, weighted_mean
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._decisions import MovedEstimator

__all__ = ["CovariateShift", "LabelShift"]


class LabelShift(Check):
    """Class shares, or targets, that differ between training and test samples.

    Pattern: chi-squared test at level 0.1% and 0.05 in total variation, which is how much accuracy the shift can cost.
    What it costs is what the same probabilities score once they are corrected for the shares of the test set, taken
    from one half of it and judged on the other; or, where that is not significant, what the score would be with the
    recalls that there are and the shares of training, as after a stratified split.

    For a regression: Kolmogorov and Smirnov's test at that level, and a distance of 0.2; the cost is what a simple
    model loses, unless the samples differ more than their targets explain (`moved` above 4).
    """

    code, cause = "label_shift", "shift"
    title = "Class shares differ between training and test samples"
    question = "Do training and test samples have the same class shares?"
    why = "The model expects the shares that it was trained on; its threshold is wrong for others."
    do = "Split with stratify=y; or, if the population has changed, pass its shares as priors=..., without refitting."
    cures = ("priors",)
    threshold = 0.05
    distance = 0.2

    def look(self, seen: Observations) -> Finding | str:
        """Compare shares."""
        seen.need("test")
        if seen.kind == "regression":
            return self._targets(seen)
        seen.need("classes")
        known = seen.test.codes[seen.test.codes >= 0]
        if not len(known):
            raise NotApplicable("no test sample is of a class that the estimator knows")
        counts = np.stack([seen.counts(seen.train.codes), seen.counts(known)])
        occurs = counts.any(axis=0)
        counts = counts[:, occurs]
        shares = counts / counts.sum(axis=1, keepdims=True)
        p = float(chi2_contingency(counts).pvalue)
        apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
        text = f"Class shares of training and test samples are {apart:.3f} apart in total variation (p = {p:.2g})."
        if p > ALPHA or apart < self.threshold:
            return text
        n_train, n_test = map(int, counts.sum(axis=1))
        evidence = [Evidence.of("total variation", _between(apart, n_train, n_test)), Evidence("p-value", p, n=n_test)]
        series = {"training": shares[0].tolist(), "test": shares[1].tolist()}
        chart = Chart("bars", "Class shares", list(map(str, seen.classes[occurs])), series, "class", "share")
        effect, measured, mended = self._cost(seen)
        return self.finding(
            text,
            evidence,
            effect=effect,
            measured=measured,
            mended=mended,
            chart=chart,
            shares=seen.shares(seen.test.codes),
        )

    def _cost(self, seen: Observations) -> tuple[Estimate, str, Observations | None]:
        """Return effect, how it was measured, and the observations without the shift if there are any."""
        if seen.has_probabilities and seen.test.proba.shape[1] == len(seen.classes):
            effect = self._corrected(seen)
            if effect.sign > 0:
                mended = seen.changed(predicts=MovedEstimator(seen, np.log(_factor(seen, seen.test.codes))))
                return effect, "The score with probabilities corrected for the shares of the other half.", mended
        if seen.skewed:  # each class counts the same whatever its share
            return seen.gain(seen), "The score is balanced accuracy, on which class shares have no direct effect.", None
        ours, codes = seen.shares(seen.train.codes), seen.test.codes
        weight = np.where(codes >= 0, (ours / np.maximum(seen.counts(codes), 1))[codes], 0.0)
        apart = weight / weight.sum() - 1 / len(codes)
        # A difference of two weighted means of the same values: its variance is that of one linear statistic.
        value = float(apart @ seen.test.quality)
        parts = len(codes) * apart * (seen.test.quality - seen.test.quality.mean())
        spread = weighted_mean(parts, np.ones(len(codes)), EFFECT_LEVEL)
        half = (spread.high - spread.low) / 2
        return (
            Estimate.around(value, half, len(codes)),
            "The score with the recalls there are and training shares.",
            None,
        )

    @staticmethod
    def _corrected(seen: Observations) -> Estimate:
        """Return what the correction for shares gains, with shares from one half judged on the other."""
        half = seen.rng(15).permutation(len(seen.test.y)) % 2 == 0
        corrected = np.empty(len(half), dtype=int)
        for mine in (half, ~half):
            corrected[mine] = (seen.test.proba[mine] * _factor(seen, seen.test.codes[~mine])).argmax(axis=1)
        # Columns of probabilities and class codes have one order.
        gained = seen.quality(seen.test.codes, corrected) - seen.test.quality
        return weighted_mean(gained, seen.test.weight, EFFECT_LEVEL)

    def _targets(self, seen: Observations) -> Finding | str:
        test = ks_2samp(np.ravel(seen.train.y), np.ravel(seen.test.y))
        distance = _between(float(test.statistic), np.size(seen.train.y), np.size(seen.test.y))
        text = f"Distributions of y are {distance.value:.2f} apart (Kolmogorov and Smirnov, p = {test.pvalue:.2g})."
        if test.pvalue > ALPHA or distance.value < self.distance:
            return text
        evidence = {"distance of the distributions": distance}
        if seen.both.elsewhere:
            measured = "not measured: the samples differ by more than their targets do."
            return self.finding(text, evidence, measured=measured, cures=())
        measured = "What a simple model loses from training samples, out of fold, to the test samples."
        return self.finding(text, evidence, effect=seen.both.misfit, measured=measured, cures=())


def _factor(seen: Observations, codes: np.ndarray) -> np.ndarray:
    """Return by what to multiply probabilities: shares of classes among `codes`, over those of training.

    As of Saerens, Latinne and Decaestecker (2002, https://doi.org/10.1162/089976602753284446).
    """
    ours, theirs = seen.counts(seen.train.codes) + 0.5, seen.counts(codes) + 0.5
    return np.asarray((theirs / theirs.sum()) / (ours / ours.sum()))


class CovariateShift(Check):
    """Test samples that stand apart from the training samples of their classes.

    Pattern: nearest neighbours of samples stand in their own part, training or test, by more than four standard
    deviations more often than under permutations of the parts (`moved`: at most 1.6 on clean data, 4 to 80 under
    shifts). The inputs are looked at, not the features of a network, which separate any samples that it was trained on
    from others. Permutations keep class shares, and groups whole where they are given.

    What it costs: the estimator, fitted on two thirds of the training samples, scored on the last third less the score
    on the test set; without a further fit, what the simple model loses from training to test samples, or the
    estimator's own loss where that is smaller.
    """

    code, cause = "covariate_shift", "shift"
    title = "Test samples come from elsewhere"
    question = "Do test samples stand among the training samples of their classes?"
    why = "The model is asked about samples that it was not trained for; a score on them says little of it."
    do = (
        "Find out what differs (device, time, preprocessing, population). Train on samples like those to predict for, "
        "or augment towards them."
    )
    cures = ("regularise",)
    least_samples = 20

    def look(self, seen: Observations) -> Finding | str:
        """Compare the parts, and the scores on them."""
        seen.need("test")
        if min(len(seen.train.y), len(seen.test.y)) < self.least_samples:
            raise NotApplicable(f"fewer than {self.least_samples} samples on one side")
        moved = seen.both.moved
        text = f"Test samples stand apart from training samples by {moved:.1f} standard deviations of chance."
        if not seen.both.elsewhere:
            return text
        evidence = [Evidence("distance in standard deviations of a permutation test", moved, n=len(seen.test.chosen))]
        if "groups_train" not in seen.beside:
            text += " Are they other subjects, or another time? If so, compare with a split by these."
        effect, measured = self._cost(seen)
        return self.finding(text, evidence, effect=effect, measured=measured)

    @staticmethod
    def _cost(seen: Observations) -> tuple[Estimate, str]:
        if (held_back := seen.both.held_back) is not None:
            how = "The score of the estimator on a third of the training samples held back, less the test score."
            return held_back, how
        own = mean_difference(seen.train.quality, seen.test.quality, EFFECT_LEVEL)
        if own.value < seen.both.misfit.value:
            return own, "The score of the estimator on training samples, less that on test samples."
        return seen.both.misfit, "What a simple model loses from training samples, out of fold, to the test samples."


def _between(distance: float, *n: int) -> Estimate:
    """Return a distance of empirical distributions with McDiarmid's bound for samples of sizes `n`.

    One sample of n moves the total variation, and the distance of Kolmogorov and Smirnov, by 1 / n at most (McDiarmid
    1989, https://doi.org/10.1017/CBO9781107359949.008).
    """
    half = float(np.sqrt(np.log(2 / ALPHA) / 2 * sum(1 / one for one in n)))
    return Estimate(distance, max(0.0, distance - half), min(1.0, distance + half), n[-1])

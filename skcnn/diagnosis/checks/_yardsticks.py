"""Checks against yardsticks: a dummy, a simple model, and the simple model on fewer samples."""

from dataclasses import replace
from typing import Any

import numpy as np

from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import CAREFUL_LEVEL, Estimate, auc, difference, paired_difference, weighted_mean
from skcnn.diagnosis._check import Chart, Check, Finding, NotApplicable
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._strengths import REGULARISERS, differing, rate_name, width_of
from skcnn.diagnosis.checks._trials import SYMPTOM, by_lead, history_chart, tried

__all__ = ["Baseline", "Dummy", "FewRows", "LearningCurve", "Underfit", "behind_on_training", "wider"]


def behind_on_training(seen: Observations) -> Estimate:
    """Return the score of the simple model out of fold on training samples, minus the estimator's on these samples."""
    rows, reference = seen.train.chosen, seen.reference
    simple = reference.quality(reference.oof)
    return weighted_mean(simple - seen.train.quality[rows], seen.train.weight[rows])


def wider(seen: Observations) -> dict[str, Any]:
    """Return a network that is four times as wide, if its width is a parameter."""
    found = width_of(seen.components.params)
    if found is None:
        return {}
    name, sizes = found
    return {name: 4 * sizes if is_number(sizes) else tuple(4 * int(size) for size in sizes)}


class Underfit(Check):
    """A model that does not fit even its training samples.

    Threshold: its score on training samples is significantly lower than that of a simple model out of fold, and by 0.05
    at best estimate. A model that names one class only and yet ranks the samples (mean area under the ROC curves of
    0.9) has a threshold to blame. The effect is what the test score gains where all strengths that differ from their
    defaults are set to them, where the network is four times as wide, or at ten times the learning rate; of a network
    that none of them helps, the lead of the simple model. The owner of any other estimator has chosen its kind on
    purpose.
    """

    code, cause = "underfit", "capacity"
    title = "Does not fit even its training samples (underfitting)"
    question = "Does the model fit its training samples?"
    why = "A simple model is better on samples that it has not seen than this one on samples that it was trained on."
    do = "Regularise less, train longer or at another learning rate, take a larger network or another kind of model."
    cures = ("longer", "scale", "rates", "larger")
    threshold = 0.05

    def look(self, seen: Observations) -> Finding | str:
        """Compare the training score with the simple model's out-of-fold score."""
        ahead, name = behind_on_training(seen), seen.score_name
        text = (
            f"On training samples the model has {name} {seen.train.score.value:.3f}; {seen.reference.name}, out of "
            f"fold, has {ahead.value:+.3f} beyond that."
        )
        if ahead.low < 0 or ahead.value < self.threshold:
            return text
        if seen.has_classes and self._ranks(seen):
            return f"{text} But it ranks them."
        trial = tried(seen, *self._candidates(seen), lead=False)
        if not trial.raised and seen.components.is_network:
            lead = by_lead(seen, self.threshold)
            trial = lead if lead.raised else trial
        evidence = {f"{name} of the simple model out of fold, minus the model's on its own samples": ahead}
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)

    @staticmethod
    def _candidates(seen: Observations) -> list[dict[str, object]]:
        usual, params = differing(seen.components), seen.components.params
        rate = rate_name(params)
        known = (*REGULARISERS, rate, "max_depth", "min_samples_leaf", "max_leaf_nodes", "gamma", "n_neighbors")
        back = {name: value for name, value in usual.items() if name in known}
        faster = {rate: 10 * float(params[rate])} if rate and params[rate] <= 1e-3 and not back else {}
        return [back, wider(seen), faster]

    @staticmethod
    def _ranks(seen: Observations) -> bool:
        """Whether a model that names one class only ranks the training samples well."""
        if seen.shares(seen.train.predicted).max() < 0.95 or not seen.has_probabilities:
            return False
        present = np.unique(seen.train.codes)
        areas = [auc(seen.train.codes == code, seen.train.proba[:, code]).value for code in present]
        return float(np.mean(areas)) > 0.9


class FewRows(Check):
    """Too few samples: the simple model still gets much better with more of them.

    Errors of a learner fall like a power of the number of samples, mostly with exponents of 0.35 to 1 (Viering and Loog
    2022, https://doi.org/10.1109/TPAMI.2022.3220744). Out of three folds the simple model has learned from a third and
    from two thirds of the samples; by an exponent of 0.75, as many samples again as there are would bring 0.44
    times what that doubling brought.

    Threshold: that is significant and at least 0.03; the model's test score is at least 0.1 from the best possible, no
    better than where the curve leads, and significantly lower than its training score: it learns what it is shown, and
    not from enough. Fewer than 10 training samples in the median class are a note in any case. Nearly every model gains
    some hundredths by twice as many samples, and nothing is wrong with it: below 0.15 the severity is low.
    """

    code, cause = "few_rows", "fit"
    title = "Too few training samples"
    question = "Would more samples help?"
    why = "What is missing is in samples that are not there; no setting of the model replaces them."
    do = "Collect or augment samples; a small, regularised network loses least with few."
    for_images = "Or begin with a network that has seen other images before: network=skcnn.networks.Backbone()."
    cures = ("regularise", "smaller", "stop_early")
    grades = (0.15, 0.3)
    threshold = 0.03
    ceiling = 0.9
    samples_per_class = 10
    NEXT, HALVED = 3.0**-0.75, 2.0**-0.75

    def look(self, seen: Observations) -> Finding | str:
        """Extrapolate the learning curve of the simple model."""
        found = self._looked(seen)
        if isinstance(found, str) or len(seen.sample_shape) != 3:
            return found
        return replace(found, do=f"{found.do} {self.for_images}")

    def _looked(self, seen: Observations) -> Finding | str:
        if len(seen.train.chosen) < len(seen.train.y):
            return f"{len(seen.train.y)} samples are many."
        seen.need("test")
        reference = seen.reference
        whole, half = reference.quality(reference.oof), reference.quality(reference.half_oof)
        doubled = weighted_mean(whole - half, seen.train.weight[seen.train.chosen], CAREFUL_LEVEL)
        value, low, high = (self.NEXT * one for one in doubled[:3])
        gain = Estimate(value, low, high, doubled.n)
        text = (
            f"Out of fold, {reference.name} gains {doubled.value:+.3f} {seen.score_name} by twice as many samples; "
            f"beyond all {len(whole)} that would be {gain.value:+.3f} more."
        )
        rising = gain.low > 0 and gain.value >= self.threshold and self._within_reach(seen, gain.value)
        if not rising and not self._very_few(seen):
            return text
        evidence = {f"gain of {reference.name} by as many samples again, extrapolated": gain}
        if not rising:
            return self.finding(text, evidence, measured="Too few samples per class to tell what more would bring.")
        how = f"The learning curve of {reference.name} on the training samples, extrapolated to twice as many."
        own = self._own_gain(seen)
        if own is not None:
            gain, how = own, "Fitted again on half of the samples, and extrapolated to twice as many."
        if gain.value < self.threshold:
            return f"{text} The model itself would gain {gain.value:+.3f}."
        return self.finding(text, evidence, effect=gain, measured=how)

    def _own_gain(self, seen: Observations) -> Estimate | None:
        """Return what the model itself would gain by as many samples again, from a fit on half of them."""
        codes = seen.train.codes if seen.has_classes else np.zeros(len(seen.train.y), dtype=int)
        order = seen.rng(5).permutation(len(codes))
        order = order[np.argsort(codes[order], kind="stable")]
        fewer = seen.refitted(rows=np.sort(order[::2]))  # half of each class
        if fewer is None:
            return None
        gain = fewer.gain(seen, CAREFUL_LEVEL)
        value, low, high = (self.HALVED * one for one in gain[:3])
        return Estimate(value, low, high, gain.n)

    def _within_reach(self, seen: Observations, gain: float) -> bool:
        """Whether the model is as far from the best score as the curve says, because it has learned from too few."""
        score, reference = seen.test.score, seen.reference
        simple = float(seen.train.weight[seen.train.chosen] @ reference.quality(reference.oof))
        ahead = difference(seen.train.score, score)
        return score.value <= min(self.ceiling, simple + 2 * gain) and ahead.low > 0

    def _very_few(self, seen: Observations) -> bool:
        if not seen.has_classes:
            return False
        counts = seen.counts(seen.train.codes)
        return float(np.median(counts[counts > 0])) < self.samples_per_class


class Dummy(Check):
    """A model that is no better than a dummy: a symptom, and therefore a note.

    Threshold: the whole 99.9% interval of the balanced accuracy (or R²) lies less than 0.1 above guessing; that it is
    not significantly above would be no evidence where test samples are few. For two classes with probabilities the
    area under the ROC curve must lie below 0.6 likewise.
    """

    code, cause = "dummy", "fit"
    title = "No better than a dummy"
    question = "Is the model better than one that never looks at X?"
    why = "As far as the test samples can tell, the model has learned nothing that holds for new samples."
    do = "Check labels and split first, then learning rate and scale of the inputs."
    margin = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Compare with guessing."""
        seen.need("test")
        if seen.kind == "regression":
            score, by_guessing, name = seen.test.score, 0.0, "R²"
        else:
            seen.need("classes")
            score, by_guessing, name = seen.test.balanced, seen.test.by_guessing, "balanced accuracy"
            if by_guessing == 1:
                raise NotApplicable("the test samples are of one class")
        text = f"Test {name} is {score.value:.3f} [{score.low:.3f}, {score.high:.3f}], guessing has {by_guessing:.3f}."
        evidence: dict[str, Estimate | float] = {f"test {name}": score, "by guessing": by_guessing}
        if score.high > by_guessing + self.margin:
            return text
        if seen.kind == "binary" and seen.has_probabilities:
            ranking = auc(seen.test.codes == 1, seen.test.proba[:, 1])
            if ranking.high > 0.5 + self.margin:
                return f"{text} The area under the ROC curve is {ranking.value:.3f}."
            evidence["area under the ROC curve"] = ranking
        return self.finding(text, evidence, measured=SYMPTOM)


class Baseline(Check):
    """A simple model that does better, where no cause before has explained it: a symptom, and therefore a note.

    That much is within reach at least, but not by what: a setting of this model, another kind, or more samples. Where
    nothing else was found for a network the next grid is made for it. The owner of any other estimator has chosen its
    kind on purpose.

    Threshold: significantly better (99%) on the test samples, by 0.02.
    """

    code, cause = "baseline", "fit"
    title = "A simple model does better"
    question = "Is the model at least as good as a simple one?"
    why = "The data give more than the model takes from them: it is the model or its training, not the data."
    do = "Tune epochs, scaling, learning rate and size, in this order; or use the simple model."
    cures = ("longer", "scale", "rates", "larger")
    threshold = 0.02

    def look(self, seen: Observations) -> Finding | str:
        """Compare on the same test samples."""
        seen.need("test")
        lead = seen.both.lead
        text = f"On the test samples {seen.reference.name} is {lead.value:+.3f} {seen.score_name} ahead of the model."
        if lead.low <= 0 or lead.value < self.threshold:
            return text
        how = "That much is within reach at least; whether by a setting of this model or by another kind is not known."
        cures = self.cures if seen.components.is_network else ()
        return self.finding(text, {"lead of the simple model": lead}, measured=how, cures=cures)


class LearningCurve(Check):
    """Whether more samples would help, by refitting: on demand, ``checks=[LearningCurve()]``.

    Refits the estimator itself on a quarter and on half of the training samples, once each, and compares test scores.
    Threshold: all samples give significantly more than half of them, by 0.02 at best estimate.
    """

    code, cause = "learning_curve", "fit"
    title = "More samples would help"
    question = "Does the model itself get better with more samples?"
    why = "What is missing is in samples that are not there."
    do = "Collect or augment samples."
    cures = ("regularise", "smaller")
    threshold = 0.02

    def look(self, seen: Observations) -> Finding | str:
        """Refit twice."""
        seen.need("test", "classes")
        order = seen.rng(5).permutation(len(seen.train.y))
        sizes = [round(share * len(order)) for share in (0.25, 0.5, 1)]
        right = []
        for size in sizes[:2]:
            rows = np.sort(order[:size])
            refitted = seen.unfitted().fit(safe_indexing(seen.train.X, rows), seen.train.y[rows])
            right.append(np.asarray(refitted.predict(seen.test.X)) == seen.test.y)
        gain = paired_difference(seen.test.right, right[1])
        scores = [*(float(one.mean()) for one in right), seen.test.score.value]
        shown = ", ".join(f"{score:.3f}" for score in scores)
        text = f"Test accuracy from a quarter, half and all of the samples: {shown}."
        if gain.low < 0 or gain.value < self.threshold:
            return text
        chart = Chart("lines", "Learning curve", sizes, {"test accuracy": scores}, "training samples", "accuracy")
        return self.finding(text, {"gain by twice the samples": gain}, chart=chart)

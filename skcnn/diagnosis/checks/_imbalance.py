"""Checks of class imbalance: what rare classes suffer, and cures that undo each other."""

import numpy as np

from skcnn._statistics import Estimate, difference, proportion
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._decisions import moved_decisions
from skcnn.diagnosis.checks._trials import SYMPTOM, tried

__all__ = ["BalancedTwice", "ClassShares", "MajorityBaseline", "MajorityCollapse", "MetricUnfit", "RecallSpread"]

ABOUT_CURES = (
    "Move the threshold: priors with equal shares, TunedThresholdClassifierCV, or class_weight='balanced'. The first "
    "two leave the network as it is; weights and samplers hardly do more, and do not make a network rank better "
    "(benchmarks/RESULTS.md). For better ranking: more samples of the rare class."
)


def _recall_chart(seen: Observations) -> Chart:
    recalls = _recalls(seen)
    present = list(recalls)
    series = {
        "recall on the test samples": [recall.value for recall in recalls.values()],
        "share of the training samples": seen.shares(seen.train.codes)[present].tolist(),
    }
    return Chart("bars", "Recall and share of each class", list(map(str, seen.classes[present])), series, "class")


def _recalls(seen: Observations) -> dict[int, Estimate]:
    """Return the recall of each known class that has test samples, by its code."""
    codes = seen.test.codes
    return {code: proportion(seen.test.right[codes == code]) for code in np.unique(codes[codes >= 0]).tolist()}


class ClassShares(Check):
    """A rare class that the model misses.

    Rarity alone is no fault, so that it is a finding only if the recall of the rarest class is lower than that on the
    other samples, significantly and by more than 0.1. The effect is what the score gains where decisions are moved: see
    "threshold".

    Threshold: 5 times as many samples in the largest class as in the rarest. The repository KEEL counts data as
    imbalanced from 1.5 times on, as highly imbalanced from 9 times on (https://sci2s.ugr.es/keel/imbalanced.php).
    """

    code, cause = "class_shares", "imbalance"
    title = "A rare class is missed"
    question = "Is a class rare, and does it suffer?"
    why = "At a threshold of one half a false alarm costs as much as a miss: a rare class loses most doubtful samples."
    do = ABOUT_CURES
    cures = ("balance",)
    threshold = 5.0
    least_difference = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Compare the recall of the rarest class with that on all other samples."""
        seen.need("classes")
        counts = seen.counts(seen.train.codes)
        rarest = int(np.where(counts, counts, counts.max()).argmin())  # of those that have samples
        label, n, few = seen.classes[rarest], int(counts.sum()), int(counts[rarest])
        ratio = counts.max() / few
        text = f"Class {label} has {few} of {n} training samples, the largest class {ratio:.3g} times as many."
        if ratio < self.threshold:
            return text
        seen.need("test")
        of_rarest = seen.test.codes == rarest
        if not of_rarest.any():
            raise NotApplicable(f"no test sample is of the rarest class, {label}")
        rest = proportion(seen.test.right[~of_rarest])
        recall = proportion(seen.test.right[of_rarest])
        behind = difference(rest, recall)
        if behind.low < self.least_difference:
            return f"{text} Its recall, {recall.value:.2f}, is not significantly lower than that of the others."
        evidence = [
            Evidence("largest class, times the rarest", ratio, n=n),
            Evidence.of(f"recall of class {label}", recall),
            Evidence.of("recall on all other test samples, minus that", behind),
        ]
        text += f" Its recall is {recall.value:.2f}, that of the others {rest.value:.2f}."
        try:
            moved = moved_decisions(seen)
        except NotApplicable as reason:
            how = f"Moved decisions were not tried: {reason}."
            return self.finding(text, evidence, chart=_recall_chart(seen), measured=how, rare=label)
        return self.finding(
            text,
            evidence,
            effect=moved.effect,
            measured=moved.measured,
            mended=moved.mended,
            cures=("regularise",) if balancing(seen) else self.cures,
            chart=_recall_chart(seen),
            rare=label,
        )


class MajorityCollapse(Check):
    """Predictions of one class alone: a symptom, and therefore a note.

    Threshold: 99.5% of the test samples are predicted to be of one class, and at least 2% and three samples are of
    others.
    """

    code, cause = "majority_collapse", "imbalance"
    title = "Predicts one class only"
    question = "Does the model predict more than one class?"
    why = "Such a model has learned nothing but the largest class, or its threshold is beyond all of its outputs."
    do = "Look at what explains it. If the ranking is good, move the threshold; if not, check scale, rate and labels."
    threshold = 0.995
    least_others = 0.02

    def look(self, seen: Observations) -> Finding | str:
        """Count predictions of the class predicted most."""
        seen.need("classes")
        side = seen.test if seen.has_test else seen.train
        most = seen.counts(side.predicted).argmax()
        share, others = proportion(side.predicted == most), proportion(side.codes != most)
        text = f"{share.value:.1%} of {share.n} samples are predicted to be of class {seen.classes[most]}."
        if share.value < self.threshold or others.value < self.least_others or (side.codes != most).sum() < 3:
            return text
        evidence = {"share predicted to be of one class": share, "share of samples that are of other classes": others}
        return self.finding(f"{text[:-1]}, but {1 - others.value:.1%} are of it.", evidence, measured=SYMPTOM)


class RecallSpread(Check):
    """A class that is recognised far worse than the rest: a symptom, and therefore a note.

    Threshold: its recall is significantly lower than that on all other samples, by more than 0.2.
    """

    code, cause = "recall_spread", "imbalance"
    title = "One class is recognised far worse than the others"
    question = "Are all classes recognised about as well?"
    why = "A mean over samples hides a class on which the model fails."
    do = "Look at the samples of this class and what they are taken for: labels, too few samples, or a class like it."
    threshold = 0.2

    def look(self, seen: Observations) -> Finding | str:
        """Compare the class of lowest recall with all other samples."""
        seen.need("test", "classes")
        recalls = _recalls(seen)
        if len(recalls) < 2:
            raise NotApplicable("the test samples are of one class")
        worst = min(recalls, key=lambda code: recalls[code].high)
        rest = seen.test.codes != worst
        behind = difference(proportion(seen.test.right[rest]), recalls[worst])
        label = seen.classes[worst]
        text = f"Class {label} has the lowest recall, {recalls[worst].value:.2f}; the others have {behind.value:+.2f}."
        if behind.low < self.threshold:
            return text
        evidence = {f"recall of class {label}": recalls[worst], "recall on all other test samples, minus that": behind}
        return self.finding(text, evidence, chart=_recall_chart(seen), measured=SYMPTOM)


class MajorityBaseline(Check):
    """An accuracy that looks good and is not better than naming the largest class: a note, on how to read it.

    Threshold: the largest class has 70% of the test samples, and the whole 99.9% interval of the accuracy lies less
    than 0.02 above that. (Below 70% such an accuracy does not look good.) A model that names the largest class less
    often than it occurs has chosen to.
    """

    code, cause = "majority_baseline", "imbalance"
    title = "Accuracy is that of naming the largest class"
    question = "Is the accuracy better than that of always naming the largest class?"
    why = "The accuracy seems high only because one class is large."
    do = "Judge by balanced accuracy, average precision or recall; " + ABOUT_CURES[0].lower() + ABOUT_CURES[1:]
    threshold = 0.7
    margin = 0.02

    def look(self, seen: Observations) -> Finding | str:
        """Compare the accuracy with the share of the largest class."""
        seen.need("test", "classes")
        shares = seen.shares(seen.test.codes)
        if shares.max() < self.threshold:
            return f"The largest class has {shares.max():.0%} of the test samples."
        accuracy = proportion(seen.test.right)
        names_it = seen.shares(seen.test.predicted)[shares.argmax()]
        text = f"Accuracy is {accuracy.value:.3f}, naming the largest class has {shares.max():.3f}."
        if accuracy.high > shares.max() + self.margin or names_it < shares.max():
            return text
        evidence = {
            "accuracy": accuracy,
            "share of the largest class": proportion(seen.test.codes == shares.argmax()),
            "balanced accuracy": seen.test.balanced,
        }
        return self.finding(text, evidence, measured="It says how to read the accuracy.")


class MetricUnfit(Check):
    """A search that chose by accuracy among skewed classes. Threshold: the largest class has 80% of the samples."""

    code, cause = "metric_unfit", "imbalance"
    title = "Chosen by accuracy, though one class is large"
    question = "Does the score by which the search chose fit the class shares?"
    why = "Accuracy hardly moves when a rare class is missed, so that the search chose by what is left: chance."
    do = "Search with scoring='average_precision', 'balanced_accuracy' or a cost of your own."
    threshold = 0.8

    def look(self, seen: Observations) -> Finding | str:
        """Look at the score of the search."""
        seen.need("classes", "search")
        search = seen.components.search
        metric = search.refit if isinstance(search.refit, str) else search.scoring or "accuracy"
        if not isinstance(metric, str):
            raise NotApplicable("the score of the search is a function of its own")
        share = proportion(seen.train.codes == seen.counts(seen.train.codes).argmax())
        text = f"The search chose by {metric}; the largest class has {share.value:.0%} of the samples."
        how = "What another score would have chosen, only another search can tell."
        if metric != "accuracy" or share.value < self.threshold:
            return text
        return self.finding(text, {"share of the largest class": share}, measured=how)


def balancing(seen: Observations) -> list[str]:
    """Return everything that balances classes, by the name of its parameter or step."""
    components = seen.components
    inner = [name for name in ("sampler", "class_weight", "balanced_batches") if components.params.get(name)]
    return [name for name, _ in components.samplers] + [f"{components.prefix}{name}" for name in inner]


class BalancedTwice(Check):
    """Two cures for imbalance at once, each of which is enough.

    No threshold. The effect is what the test score gains without class weights, by another fit.
    """

    code, cause = "balanced_twice", "imbalance"
    title = "Classes are balanced twice"
    question = "Is at most one cure for imbalance at work?"
    why = "Weights on resampled data favour the rare class twice; 'balanced' ones are then all 1 and do nothing."
    do = "Keep one of them."
    cures = ("balance_once",)

    def look(self, seen: Observations) -> Finding | str:
        """List what balances."""
        seen.need("classes")
        found = balancing(seen)
        if len(found) < 2:
            return f"{found[0]} alone balances." if found else "Nothing balances the classes."
        what = f"{' and '.join(found)} both balance the classes."
        weighted = seen.components.params.get("class_weight") is not None
        trial = tried(seen, {"class_weight": None} if weighted else {}, lead=False)
        return self.finding(what, {"cures at work": len(found)}, **trial.facts)

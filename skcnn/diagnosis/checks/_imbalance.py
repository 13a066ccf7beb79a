"""Checks of class imbalance: what rare classes suffer, and cures that undo each other."""

import numpy as np

from skcnn._statistics import balanced_accuracy, difference, proportion
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Case

__all__ = [
    "CHECKS",
    "BalancedTwice",
    "ClassShares",
    "MajorityBaseline",
    "MajorityCollapse",
    "MetricUnfit",
    "RecallSpread",
]

ABOUT_CURES = (
    "Move the threshold: priors with equal shares, TunedThresholdClassifierCV, or "
    "class_weight='balanced'. Of these the "
    "first two leave the network as it is; weights and samplers do hardly more than move the threshold, "
    "too, and do not "
    "make a network rank better (benchmarks/RESULTS.md). For better ranking: more rows of the rare class."
)


def _recall_chart(case: Case) -> Chart:
    present = [code for code in range(len(case.classes)) if (case.codes_test == code).any()]
    recalls = [float(case.right_test[case.codes_test == code].mean()) for code in present]
    shares = case.shares(case.codes_train)[present].tolist()
    labels = [str(label) for label in case.classes[present]]
    series = {"recall on the test rows": recalls, "share of the training rows": shares}
    return Chart("bars", "Recall and share of each class", labels, series, "class")


class ClassShares(Check):
    """A rare class that the model misses.

    Rarity alone is no fault, so that it is a finding only if the recall of the rarest class is lower than that on the
    other rows, by at least 0.1 for certain.

    Threshold: 5 times as many rows in the largest class as in the rarest. The repository KEEL counts data as imbalanced
    from 1.5 times on, as highly imbalanced from 9 times on (https://sci2s.ugr.es/keel/imbalanced.php).
    """

    code, cause, severity = "class_shares", "imbalance", 2
    title = "A rare class is missed"
    question = "Is a class rare, and does it suffer?"
    why = (
        "A threshold of one half is right for those who pay as much for a false alarm as for a miss; a rare class then "
        "loses nearly every doubtful row."
    )
    do = ABOUT_CURES
    cures = ("balance",)
    explains = (
        *("majority_collapse", "majority_baseline", "recall_spread", "metric_unfit", "threshold", "calibration"),
        *("gap", "few_rows", "parameters", "dummy", "baseline", "underfit", "small_test", "saturated"),
    )
    threshold = 5.0
    least_difference = 0.1

    def look(self, case: Case) -> Finding | str:
        """Compare the recall of the rarest class with that on all other rows."""
        case.need_classes()
        counts = np.bincount(case.codes_train, minlength=len(case.classes))
        rarest, ratio = int(counts.argmin()), counts.max() / max(1, counts.min())
        label = case.classes[rarest]
        text = (
            f"Class {label} has {counts[rarest]} of {counts.sum()} training rows, the largest {ratio:.3g} "
            "times as many."
        )
        if ratio < self.threshold:
            return text
        case.need_test()
        of_rarest = case.codes_test == rarest
        if not of_rarest.any():
            raise NotApplicable(f"no test row is of the rarest class, {label}")
        rest = proportion(case.right_test[~of_rarest])
        recall = proportion(case.right_test[of_rarest])
        behind = difference(rest, recall)
        if behind.low < self.least_difference:
            return f"{text} Its recall, {recall.value:.2f}, is not surely lower than that of the others."
        evidence = [
            Evidence("largest class, times the rarest", ratio, n=int(counts.sum())),
            Evidence.of(f"recall of class {label}", recall),
            Evidence.of("recall on all other test rows, minus that", behind),
        ]
        cures = self.cures if not case.balancing else ("regularise",)
        chart = _recall_chart(case)
        return self.finding(
            f"{text} Its recall is {recall.value:.2f}, that of the others {rest.value:.2f}.",
            evidence,
            chart=chart,
            cures=cures,
            rare=label,
        )


class MajorityCollapse(Check):
    """Predictions of one class alone.

    Threshold: 99.5% of the test rows are predicted to be of one class, and at least 2% and three rows are of others.
    """

    code, cause, severity = "majority_collapse", "imbalance", 3
    title = "Predicts one class only"
    question = "Does the model predict more than one class?"
    why = "Such a model has learned nothing but the largest class, or its threshold is beyond all it puts out."
    do = "Look at what explains it. If the ranking is good, move the threshold; if not, check scale, rate and labels."
    cures = ("balance", "learning_rate")
    explains = (
        *("majority_baseline", "recall_spread", "dummy", "baseline", "metric_unfit", "calibration"),
        *("prediction_drift", "saturated"),
    )
    threshold = 0.995
    least_others = 0.02

    def look(self, case: Case) -> Finding | str:
        """Count predictions of the class predicted most."""
        case.need_classes()
        codes, predicted = (
            (case.codes_test, case.predicted_test) if case.has_test else (case.codes_train, case.predicted_train)
        )
        most = np.bincount(predicted, minlength=len(case.classes)).argmax()
        share = proportion(predicted == most)
        others = proportion(codes != most)
        text = f"{share.value:.1%} of {share.n} rows are predicted to be of class {case.classes[most]}."
        if share.value < self.threshold or others.value < self.least_others or (codes != most).sum() < 3:
            return text
        evidence = [
            Evidence.of("share predicted to be of one class", share),
            Evidence.of("share of rows that are of other classes", others),
        ]
        return self.finding(f"{text[:-1]}, but {1 - others.value:.1%} are of it.", evidence)


class RecallSpread(Check):
    """A class that is recognised far worse than the rest.

    Threshold: its recall is lower than that on all other rows by at least 0.2, for certain.
    """

    code, cause, severity = "recall_spread", "imbalance", 2
    title = "One class is recognised far worse than the others"
    question = "Are all classes recognised about as well?"
    why = "A mean over rows hides a class on which the model fails."
    do = "Look at the rows of this class and at what they are taken for: labels, too few rows, or a class like it."
    cures = ("balance",)
    threshold = 0.2

    def look(self, case: Case) -> Finding | str:
        """Compare the class of lowest recall with all other rows."""
        case.need_test()
        case.need_classes()
        present = [code for code in range(len(case.classes)) if (case.codes_test == code).any()]
        if len(present) < 2:
            raise NotApplicable("the test rows are of one class")
        recalls = {code: proportion(case.right_test[case.codes_test == code]) for code in present}
        worst = min(recalls, key=lambda code: recalls[code].high)
        rest = case.codes_test != worst
        behind = difference(proportion(case.right_test[rest]), recalls[worst])
        label = case.classes[worst]
        text = f"Class {label} has the lowest recall, {recalls[worst].value:.2f}; the others have {behind.value:+.2f}."
        if behind.low < self.threshold:
            return text
        evidence = [
            Evidence.of(f"recall of class {label}", recalls[worst]),
            Evidence.of("recall on all other test rows, minus that", behind),
        ]
        return self.finding(text, evidence, chart=_recall_chart(case))


class MajorityBaseline(Check):
    """An accuracy that looks good and is not better than naming the largest class.

    Threshold: the largest class has 70% of the test rows, and the accuracy is not surely above its share. (Below 70%
    such an accuracy does not look good.) A model that names the largest class less often than it occurs has chosen to.
    """

    code, cause, severity = "majority_baseline", "imbalance", 2
    title = "Accuracy is that of naming the largest class"
    question = "Is the accuracy better than that of always naming the largest class?"
    why = "The accuracy seems high only because one class is large."
    do = "Judge by balanced accuracy, average precision or recall; " + ABOUT_CURES[0].lower() + ABOUT_CURES[1:]
    cures = ("balance",)
    explains = ("metric_unfit", "dummy")
    threshold = 0.7

    def look(self, case: Case) -> Finding | str:
        """Compare the accuracy with the share of the largest class."""
        case.need_test()
        case.need_classes()
        shares = case.shares(case.codes_test)
        if shares.max() < self.threshold:
            return f"The largest class has {shares.max():.0%} of the test rows."
        accuracy, balanced = case.score_test, balanced_accuracy(case.codes_test, case.predicted_test)
        names_it = case.shares(case.predicted_test)[shares.argmax()]
        text = f"Accuracy is {accuracy.value:.3f}, naming the largest class has {shares.max():.3f}."
        if accuracy.low > shares.max() or names_it < shares.max():
            return text
        evidence = [
            Evidence.of("accuracy", accuracy),
            Evidence.of("share of the largest class", proportion(case.codes_test == shares.argmax())),
            Evidence.of("balanced accuracy", balanced),
        ]
        return self.finding(text, evidence)


class MetricUnfit(Check):
    """A search that chose by accuracy among skewed classes. Threshold: the largest class has 80% of the rows."""

    code, cause, severity = "metric_unfit", "imbalance", 2
    title = "Chosen by accuracy, though one class is large"
    question = "Does the score by which the search chose fit the class shares?"
    why = "Accuracy hardly moves when a rare class is missed, so that the search chose by what is left: chance."
    do = "Search with scoring='average_precision', 'balanced_accuracy' or a cost of your own."
    threshold = 0.8

    def look(self, case: Case) -> Finding | str:
        """Look at the score of the search."""
        case.need_classes()
        if case.parts.search is None:
            raise NotApplicable("there is no search")
        metric, of_largest = case.refit_metric, case.codes_train == case.shares(case.codes_train).argmax()
        share = of_largest.mean()
        if metric is None:
            raise NotApplicable("the score of the search is a function of its own")
        if metric != "accuracy" or share < self.threshold:
            return f"The search chose by {metric}; the largest class has {share:.0%} of the rows."
        evidence = [Evidence.of("share of the largest class", proportion(of_largest))]
        return self.finding(f"The search chose by accuracy; one class has {share:.0%} of the rows.", evidence)


class BalancedTwice(Check):
    """Two cures for imbalance at once, each of which is enough. No threshold."""

    code, cause, severity = "balanced_twice", "imbalance", 2
    title = "Classes are balanced twice"
    question = "Is at most one cure for imbalance at work?"
    why = (
        "Weights on resampled rows favour the rare class twice, so that false alarms are cheap; 'balanced' weights on "
        "rows that are balanced already are all 1 and do nothing."
    )
    do = "Keep one of them."
    cures = ("balance_once",)
    explains = ("recall_spread", "threshold", "prediction_drift", "calibration", "class_shares")

    def look(self, case: Case) -> Finding | str:
        """List what balances."""
        case.need_classes()
        if len(case.balancing) < 2:
            return f"{case.balancing[0]} alone balances." if case.balancing else "Nothing balances the classes."
        what = f"{' and '.join(case.balancing)} both balance the classes."
        return self.finding(what, [Evidence("cures at work", len(case.balancing))], balancing=case.balancing)


CHECKS = [BalancedTwice, ClassShares, MajorityCollapse, MajorityBaseline, RecallSpread, MetricUnfit]

"""Checks of overfitting and underfitting: what was learned, what could have been, and how training went."""

import numpy as np
from scipy.stats import spearmanr, theilslopes
from sklearn.base import clone

from skcnn._statistics import (
    Estimate,
    auc,
    balanced_accuracy,
    difference,
    paired_difference,
    proportion,
)
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Case

__all__ = [
    "CHECKS",
    "Baseline",
    "Dummy",
    "FewRows",
    "Gap",
    "LearningCurve",
    "LossBlewUp",
    "LossFalling",
    "LossNeverFell",
    "Underfit",
    "ValidationTurned",
]


def history_chart(case: Case) -> Chart | None:
    """Return the curves of the training history."""
    history = case.parts.history
    names = [name for name in ("loss", "val_loss") if name in history]
    if not names:
        return None
    epochs = list(range(1, len(history[names[0]]) + 1))
    return Chart("lines", "Loss by epoch", epochs, {name: history[name] for name in names}, "epoch", "loss")


class LossNeverFell(Check):
    """A training loss that never went down.

    Threshold: the mean of the last tenth of the epochs is above 90% of the first epoch's loss, and the model is wrong
    on a fifth of the training rows or more (R² below 0.5). One epoch already takes what is easy, hence not 100%. Or,
    for classes: the last loss is no lower than 95% of the entropy of the class shares, which one gets without X, and
    the balanced accuracy on the training rows is not surely above guessing. A loss that falls slowly but steadily (rank
    correlation with the epoch below -0.9, and by 2%) is that of a short training.
    """

    code, cause, severity = "loss_never_fell", "fit", 3
    title = "The training loss never fell"
    question = "Did the training loss fall?"
    why = "The network has not learned even its training rows: nothing else about it can be judged."
    do = (
        "Try learning rates a factor of ten apart, down and up; check the scale of the inputs, the labels and the loss."
    )
    cures = ("learning_rate",)
    explains = (
        *("underfit", "dummy", "baseline", "majority_collapse", "majority_baseline", "recall_spread", "calibration"),
        *("loss_falling", "threshold", "prediction_drift", "edge", "noise"),
    )
    threshold = 0.9

    def look(self, case: Case) -> Finding | str:
        """Compare first and last epochs."""
        loss = np.array(case.need_history())
        if len(loss) < 2:
            raise NotApplicable("there is one epoch")
        last = float(loss[-max(1, len(loss) // 10) :].mean())
        text = f"The training loss went from {loss[0]:.3g} to {last:.3g} in {len(loss)} epochs."
        learned = case.score_train.value > (0.5 if case.kind == "regression" else 0.8)
        steady = spearmanr(np.arange(len(loss)), loss).statistic < -0.9 and last < 0.98 * loss[0]
        if learned or steady or not (last >= self.threshold * loss[0] or self._like_guessing(case, last)):
            return text
        evidence = [
            Evidence("loss of the first epoch", loss[0], n=len(case.y_train)),
            Evidence("loss of the last epochs", last, n=len(case.y_train)),
            Evidence.of(f"training {case.score_name}", case.score_train),
        ]
        return self.finding(text, evidence, chart=history_chart(case))

    def _like_guessing(self, case: Case, last: float) -> bool:
        if case.kind not in ("binary", "multiclass"):
            return False
        shares = case.shares(case.codes_train)
        entropy = float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
        score = balanced_accuracy(case.codes_train, case.predicted_train)
        return bool(last > 0.95 * entropy and score.low <= 1 / np.count_nonzero(shares))


class LossBlewUp(Check):
    """A training loss far above that of guessing: steps so long that they threw the weights away.

    Threshold: in some epoch ten times the loss of naming the class shares whatever X is (their entropy), which every
    network can have from its first epoch on. Medium if the model is right on 80% of the training rows all the same:
    networks of ReLUs now and then come back, with dead units and saturated outputs.
    """

    code, cause, severity = "loss_blew_up", "fit", 3
    title = "The training loss blew up"
    question = "Did the training loss stay near what guessing costs, or below?"
    why = "Steps that long throw the weights away: units die, outputs saturate, and what is learned then is luck."
    do = "Lower the learning rate by a factor of ten or more, clip the gradients (clipnorm=1), scale the inputs."
    cures = ("slower",)
    explains = ("loss_never_fell", *LossNeverFell.explains, "dead_units", "saturated", "gap")
    threshold = 10.0
    learned = 0.8

    def look(self, case: Case) -> Finding | str:
        """Compare the highest loss with the entropy of the class shares."""
        loss = np.array(case.need_history())
        case.need_classes()
        shares = case.shares(case.codes_train)
        guessing = float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
        worst = int(loss.argmax())
        text = f"The training loss was highest in epoch {worst + 1}: {loss[worst]:.3g}; guessing costs {guessing:.3g}."
        if loss[worst] < self.threshold * guessing:
            return text
        evidence = [
            Evidence("highest training loss, times that of guessing", loss[worst] / guessing, n=len(case.y_train)),
            Evidence.of(f"training {case.score_name}", case.score_train),
        ]
        severity = 2 if case.score_train.value > self.learned else 3
        return self.finding(text, evidence, chart=history_chart(case), severity=severity)


class LossFalling(Check):
    """A training loss that was still falling when training ended.

    The fall is that of the median slope over the last third of the epochs (Theil and Sen; Sen 1968,
    https://doi.org/10.1080/01621459.1968.10480934), so that one lucky epoch decides nothing.

    Threshold: per fifth of the training, 8% of the whole fall so far, and 1% of what the loss was at first, while more
    than 20% of that is left. Of a loss that decays exponentially and falls by 8% of its whole fall in the last fifth,
    another sixth is to come; along a straight line the last fifth has 20%. With early stopping the validation loss must
    still fall, too.
    """

    code, cause, severity = "loss_falling", "fit", 2
    title = "Training ended while the loss was falling"
    question = "Had the training loss settled when training ended?"
    why = (
        "The network would have learned more: a bad score says that training was short, not that the network is wrong."
    )
    do = "Train for more epochs (with early_stopping=True they are an upper bound), or at a higher learning rate."
    cures = ("longer",)
    explains = (
        *("underfit", "dummy", "baseline", "majority_collapse", "majority_baseline", "recall_spread", "calibration"),
        *("threshold", "prediction_drift", "edge", "noise"),
    )
    threshold = 0.08
    least = 0.01
    left = 0.2

    def look(self, case: Case) -> Finding | str:
        """Measure the fall at the end."""
        loss = np.array(case.need_history())
        if len(loss) < 2:
            raise NotApplicable("there is one epoch")
        fall, left = self._fall(loss)
        text = (
            f"When training ended, after {len(loss)} epochs, the loss was falling by {fall:.1%} of its first value per "
            f"fifth of the training; {left:.0%} of that value was left."
        )
        val = case.parts.history.get("val_loss")
        settled = fall < max(self.least, self.threshold * (1 - left))
        if settled or left < self.left or (val and self._fall(np.array(val))[0] < self.least / 2):
            return text
        evidence = [
            Evidence("fall per fifth of the epochs, share of the first loss", fall, n=len(case.y_train)),
            Evidence("share of the first loss that is left", left, n=len(case.y_train)),
            Evidence("epochs", len(loss)),
        ]
        return self.finding(text, evidence, chart=history_chart(case))

    @staticmethod
    def _fall(loss: np.ndarray) -> tuple[float, float]:
        start = loss[: max(1, len(loss) // 10)].mean()
        end = loss[-max(3, len(loss) // 3) :]
        slope = theilslopes(end).slope
        return float(-slope * len(loss) / 5 / start), float(np.median(end) + slope * (len(end) - 1) / 2) / float(start)


class ValidationTurned(Check):
    """A validation loss that turned long before training ended, with the last weights kept.

    Threshold: the lowest validation loss lies in the first two thirds of training, the last is 20% higher, many times
    the few percent at which rules of early stopping stop (Prechelt 1998,
    https://doi.org/10.1016/S0893-6080(98)00010-0).
    """

    code, cause, severity = "val_turned", "fit", 2
    title = "Training went on after the validation loss turned"
    question = "Were the weights kept at which the validation loss was lowest?"
    why = "From the turn on the network has learned its training rows by heart."
    do = "Set early_stopping=True, or train for fewer epochs; regularise if the turn comes early."
    cures = ("stop_early", "regularise")
    explains = ("gap", "calibration", "parameters", "saturated")
    threshold = 1.2

    def look(self, case: Case) -> Finding | str:
        """Compare the last validation loss with the lowest."""
        loss = np.array(case.need_history("val_loss"))
        best = int(loss.argmin())
        kept = int(getattr(case.parts.final, "best_iter_", len(loss)))
        text = f"The validation loss was lowest in epoch {best + 1} of {len(loss)}: {loss[best]:.3g}."
        if kept != len(loss):
            return f"{text} The weights of epoch {kept} were kept."
        if loss[-1] < self.threshold * loss[best] or best + 1 > 2 / 3 * len(loss):
            return text
        evidence = [Evidence("lowest validation loss", loss[best]), Evidence("last validation loss", loss[-1])]
        return self.finding(f"{text} At the end it was {loss[-1]:.3g}.", evidence, chart=history_chart(case))


class Dummy(Check):
    """A model that is no better than a dummy.

    Threshold: none but certainty. Balanced accuracy is not surely above that of guessing and, for two classes with
    probabilities, the area under the ROC curve not surely above one half; for a regression, R² not surely above 0. An
    interval longer than 0.5 tells nothing.
    """

    code, cause, severity = "dummy", "fit", 3
    title = "No better than a dummy"
    question = "Is the model better than one that never looks at X?"
    why = "As far as the test rows can tell, the model has learned nothing that holds for new rows."
    do = "Check labels and split first, then learning rate and scale of the inputs."
    cures = ("learning_rate",)
    explains = ("baseline", "recall_spread", "calibration", "gap")
    widest = 0.5

    def look(self, case: Case) -> Finding | str:
        """Compare with guessing."""
        case.need_test()
        if case.kind == "regression":
            score, by_guessing, name = case.score_test, 0.0, "R²"
        else:
            case.need_classes()
            present = len(np.unique(case.codes_test))
            if present < 2:
                raise NotApplicable("the test rows are of one class")
            score, by_guessing, name = case.balanced_test, 1 / present, "balanced accuracy"
        text = f"Test {name} is {score.value:.3f} [{score.low:.3f}, {score.high:.3f}], guessing has {by_guessing:.3f}."
        evidence = [Evidence.of(f"test {name}", score), Evidence("by guessing", by_guessing)]
        if score.low > by_guessing:
            return text
        if score.high - score.low > self.widest:
            raise NotApplicable(f"{score.n} test rows are too few to tell: {text}")
        if case.kind == "binary" and hasattr(case.estimator, "predict_proba") and len(np.unique(case.codes_test)) == 2:
            ranking = auc(case.codes_test == 1, case.proba_test[:, 1])
            if ranking.low > 0.5:
                return f"{text} But it ranks: the area under the ROC curve is {ranking.value:.3f}."
            evidence.append(Evidence.of("area under the ROC curve", ranking))
        return self.finding(text, evidence)


class Gap(Check):
    """A test score below the training score.

    Threshold: for certain at least 0.1 of accuracy (or R²) below. Every network is somewhat better on rows that it was
    trained on; a tenth of all rows is what few would accept.
    """

    code, cause, severity = "gap", "fit", 2
    title = "Learned its training rows by heart (overfitting)"
    question = "Does the score on the training rows hold on the test rows?"
    why = "What was learned holds for the training rows and not for new ones."
    do = "Regularise (l2, dropout, weight_decay), stop early, augment, take a smaller network or more rows."
    cures = ("regularise", "stop_early")
    explains = ("calibration", "parameters", "baseline", "saturated")
    threshold = 0.1

    def look(self, case: Case) -> Finding | str:
        """Compare training and test score."""
        case.need_test()
        gap = difference(case.score_train, case.score_test)
        name = case.score_name
        text = (
            f"{name[0].upper()}{name[1:]} is {case.score_train.value:.3f} on training and "
            f"{case.score_test.value:.3f} on test rows."
        )
        if gap.low < self.threshold:
            return text
        evidence = [
            Evidence.of(f"training {name}", case.score_train),
            Evidence.of(f"test {name}", case.score_test),
            Evidence.of("difference", gap),
        ]
        chart = history_chart(case)
        bare = [name for name in ("l1", "l2", "dropout", "weight_decay") if case.parts.params.get(name) == 0]
        if len(bare) == 4:
            text += " The network is not regularised (l1, l2, dropout and weight_decay are 0)."
        return self.finding(text, evidence, chart=chart)


class FewRows(Check):
    """Too few rows: the simple model still gets much better with more of them.

    The simple model, not the network, is trained on all and on half of the training rows, so that nothing long is
    fitted; where the network is surely better on the test rows than the simple model, that says nothing of the network.
    Threshold: all rows surely give more accuracy out of fold than half of them, by 0.04 at best estimate; or fewer than
    10 training rows in the median class.
    """

    code, cause, severity = "few_rows", "fit", 2
    title = "Too few training rows"
    question = "Would more rows help?"
    why = "What is missing is in rows that are not there; no setting of the network replaces them."
    do = "Collect or augment rows; a small, regularised network loses least with few."
    cures = ("regularise", "smaller", "stop_early")
    explains = ("gap", "parameters", "calibration", "baseline", "val_turned", "recall_spread", "saturated")
    threshold = 0.04
    rows_per_class = 10
    fits_well = 0.97

    def look(self, case: Case) -> Finding | str:
        """Compare the simple model on all and on half of the rows."""
        case.need_classes()
        per_class = np.bincount(case.codes_train, minlength=len(case.classes))
        median = float(np.median(per_class[per_class > 0]))
        reference = case.reference
        if len(case.rows_train) < len(case.y_train):
            return f"{len(case.y_train)} rows are many."
        codes = case.codes_train[case.rows_train]
        whole, half = (out.argmax(axis=1) == codes for out in (reference.oof, reference.half_oof))
        gain = paired_difference(whole, half)
        text = (
            f"Out of fold, {reference.name} has accuracy {whole.mean():.3f} from the {len(codes)} training rows and "
            f"{half.mean():.3f} from half of them."
        )
        rising = gain.low > 0 and gain.value >= self.threshold and not self._surpassed(case)
        if not rising and median >= self.rows_per_class:
            return text
        if case.has_test and case.score_test.value > self.fits_well:
            return f"{text} But the test score is {case.score_test.value:.3f}."
        evidence = [
            Evidence.of("gain of the simple model by twice the rows", gain),
            Evidence("rows of the median class", median),
        ]
        return self.finding(text, evidence)

    @staticmethod
    def _surpassed(case: Case) -> bool:
        """Whether the model is surely better than the simple one."""
        if not case.has_test:
            return False
        its_right = case.reference_test == case.codes_test[case.rows_test]
        return paired_difference(case.right_test[case.rows_test], its_right).low > 0


class Baseline(Check):
    """A simple model that does better than the network.

    Threshold: surely better, and by 0.05 of accuracy (or R²) at best estimate.
    """

    code, cause, severity = "baseline", "fit", 2
    title = "A simple model does better"
    question = "Is the network at least as good as a simple model?"
    why = "The data give more than the network takes from them: it is the network or its training, not the data."
    do = (
        "Tune learning rate, epochs and size, in this order (there is no sure gap between training and test score that "
        "regularisation could close); or use the simple model."
    )
    cures = ("learning_rate", "longer", "larger")
    explains = ("calibration",)
    threshold = 0.05

    def look(self, case: Case) -> Finding | str:
        """Compare on the same test rows."""
        case.need_test()
        reference, rows = case.reference, case.rows_test
        if case.kind == "regression":
            y = np.asarray(case.y_test, dtype=np.float64)[rows]
            ours, theirs = case.r2(y, case.predicted_test[rows]), case.r2(y, case.reference_test)
            better = difference(theirs, ours)
            mine, its = ours.value, theirs.value
        else:
            right = case.right_test[rows]
            its_right = case.reference_test == case.codes_test[rows]
            better = paired_difference(its_right, right)
            mine, its = float(right.mean()), float(its_right.mean())
        text = f"On the test rows {reference.name} has {case.score_name} {its:.3f}, the model {mine:.3f}."
        if better.low < 0 or better.value < self.threshold:
            return text
        return self.finding(text, [Evidence.of(f"{case.score_name} of the simple model, minus the model's", better)])


class Underfit(Check):
    """A model that does not fit even its training rows.

    Threshold: its accuracy (or R²) on training rows is surely lower than that of a simple model out of fold, and by
    0.05 at best estimate. A model that names one class only and yet ranks the rows (mean area under the ROC curves of
    0.9) has a threshold to blame.
    """

    code, cause, severity = "underfit", "capacity", 3
    title = "Does not fit even its training rows (underfitting)"
    question = "Does the model fit its training rows?"
    why = "A simple model is better on rows that it has not seen than this one on rows that it was trained on."
    do = "Take a larger network, train longer or at another learning rate, regularise less."
    cures = ("larger", "learning_rate", "longer")
    explains = (
        "dummy",
        "majority_collapse",
        "threshold",
        "baseline",
        "majority_baseline",
        "recall_spread",
        "calibration",
        "dead_units",
        "prediction_drift",
    )
    threshold = 0.05

    def look(self, case: Case) -> Finding | str:
        """Compare the training score with the simple model's out-of-fold score."""
        reference, rows = case.reference, case.rows_train
        if case.kind == "regression":
            y = np.asarray(case.y_train, dtype=np.float64)[rows]
            ours, theirs = case.r2(y, case.predicted_train[rows]), case.r2(y, reference.oof)
            behind = difference(theirs, ours)
            mine, its = ours.value, theirs.value
        else:
            right = case.right_train[rows]
            its_right = reference.oof.argmax(axis=1) == case.codes_train[rows]
            behind = paired_difference(its_right, right)
            mine, its = float(right.mean()), float(its_right.mean())
        text = (
            f"On the training rows the model has {case.score_name} {mine:.3f}; {reference.name} has {its:.3f} on rows "
            "that it has not seen."
        )
        if behind.low < 0 or behind.value < self.threshold:
            return text
        if case.kind in ("binary", "multiclass") and self._ranks(case):
            return f"{text} But it ranks them."
        evidence = [
            Evidence.of(f"{case.score_name} of the simple model out of fold, minus the model's on its own rows", behind)
        ]
        return self.finding(text, evidence, chart=history_chart(case))

    @staticmethod
    def _ranks(case: Case) -> bool:
        """Whether a model that names one class only ranks the training rows well."""
        if case.shares(case.predicted_train).max() < 0.95 or not hasattr(case.estimator, "predict_proba"):
            return False
        present = np.unique(case.codes_train)
        areas = [auc(case.codes_train == code, case.proba_train[:, code]).value for code in present]
        return float(np.mean(areas)) > 0.9


class LearningCurve(Check):
    """Whether more rows would help, by refitting: on demand, ``checks=[LearningCurve()]``.

    Refits the estimator itself on a quarter and on half of the training rows, once each, and compares test scores.
    Threshold: all rows give surely more than half of them, by 0.02 at best estimate.
    """

    code, cause, severity = "learning_curve", "fit", 2
    title = "More rows would help"
    question = "Does the model itself get better with more rows?"
    why = "What is missing is in rows that are not there."
    do = "Collect or augment rows."
    cures = ("regularise", "smaller")
    threshold = 0.02

    def look(self, case: Case) -> Finding | str:
        """Refit twice."""
        case.need_test()
        case.need_classes()
        if case.parts.to_search is None:
            raise NotApplicable("a plain Keras model cannot be fitted anew")
        model = getattr(case.parts.search, "best_estimator_", case.estimator)
        order = case.rng(5).permutation(len(case.y_train))
        right = {}
        for share in (0.25, 0.5):
            rows = np.sort(order[: round(share * len(order))])
            refitted = clone(model).fit(case.take_train(rows), case.y_train[rows])
            right[share] = np.asarray(refitted.predict(case.X_test)) == case.y_test
        gain = paired_difference(case.right_test, right[0.5])
        scores = [float(right[0.25].mean()), float(right[0.5].mean()), case.score_test.value]
        text = (
            f"Test accuracy from a quarter, half and all of the rows: {', '.join(f'{score:.3f}' for score in scores)}."
        )
        if gain.low < 0 or gain.value < self.threshold:
            return text
        chart = Chart(
            "lines",
            "Learning curve",
            [round(share * len(order)) for share in (0.25, 0.5, 1)],
            {"test accuracy": scores},
            "training rows",
            "accuracy",
        )
        return self.finding(text, [Evidence.of("gain by twice the rows", gain)], chart=chart)


def refitted_on_noise(case: Case) -> Estimate:
    """Return the training accuracy of the model refitted on shuffled labels."""
    model = getattr(case.parts.search, "best_estimator_", case.estimator)
    shuffled = case.rng(6).permutation(case.y_train)
    right = np.asarray(clone(model).fit(case.X_train, shuffled).predict(case.X_train)) == shuffled
    return proportion(right)


CHECKS = [LossBlewUp, LossNeverFell, LossFalling, FewRows, ValidationTurned, Dummy, Gap, Baseline]

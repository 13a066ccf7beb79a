"""Checks of overfitting and underfitting: what was learned, what could have been, and how training went."""

import numpy as np
from scipy.stats import entropy, spearmanr, theilslopes

from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import Estimate, auc, difference, paired_difference
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations, Side

__all__ = ["CHECKS", "LearningCurve", "Underfit"]


def history_chart(seen: Observations) -> Chart | None:
    """Return the curves of the training history."""
    history = seen.components.history
    series = {name: values for name, values in history.items() if name in ("loss", "val_loss")}
    if not series:
        return None
    epochs = list(range(1, len(next(iter(series.values()))) + 1))
    return Chart("lines", "Loss by epoch", epochs, series, "epoch", "loss")


def _guessing_loss(seen: Observations) -> float:
    """Return the loss of predicting the class shares whatever X is: their entropy."""
    return float(entropy(seen.shares(seen.train.codes)))


class LossNeverFell(Check):
    """A training loss that never went down.

    Threshold: the mean of the last tenth of the epochs is above 90% of the first epoch's loss, and the model is wrong
    on a fifth of the training samples or more (R² below 0.5). One epoch already takes what is easy, hence not 100%. Or,
    for classes: the last loss is no lower than 95% of the entropy of the class shares, which one gets without X, and
    the balanced accuracy on the training samples is not significantly above guessing. A loss that falls slowly but
    steadily (rank correlation with the epoch below -0.9, and by 2%) is that of a short training.
    """

    code, cause = "loss_never_fell", "fit"
    title = "The training loss never fell"
    question = "Did the training loss fall?"
    why = "The network has not learned even its training samples: nothing else about it can be judged."
    do = "Try learning rates ten times lower and higher; check the scale of the inputs, the labels and the loss."
    cures = ("learning_rate",)
    threshold = 0.9

    def look(self, seen: Observations) -> Finding | str:
        """Compare first and last epochs."""
        loss = seen.need_history(least_epochs=2)
        last = float(loss[-max(1, len(loss) // 10) :].mean())
        text = f"The training loss went from {loss[0]:.3g} to {last:.3g} in {len(loss)} epochs."
        learned = seen.train.score.value > (0.5 if seen.kind == "regression" else 0.8)
        steady = spearmanr(np.arange(len(loss)), loss).statistic < -0.9 and last < 0.98 * loss[0]
        if learned or steady or not (last >= self.threshold * loss[0] or self._like_guessing(seen, last)):
            return text
        evidence = [
            Evidence("loss of the first epoch", loss[0], n=len(seen.train.y)),
            Evidence("loss of the last epochs", last, n=len(seen.train.y)),
            Evidence.of(f"training {seen.score_name}", seen.train.score),
        ]
        return self.finding(text, evidence, chart=history_chart(seen))

    def _like_guessing(self, seen: Observations, last: float) -> bool:
        if not seen.has_classes:
            return False
        return last > 0.95 * _guessing_loss(seen) and seen.train.balanced.low <= seen.train.by_guessing


class LossBlewUp(Check):
    """A training loss far above that of guessing: steps so long that they threw the weights away.

    Threshold: in some epoch ten times the loss of naming the class shares whatever X is (their entropy), which every
    network can have from its first epoch on. Medium if the model is right on 80% of the training samples all the same:
    networks of ReLUs now and then come back, with dead units and saturated outputs.
    """

    code, cause = "loss_blew_up", "fit"
    title = "The training loss blew up"
    question = "Did the training loss stay near what guessing costs, or below?"
    why = "Steps that long throw the weights away: units die, outputs saturate, and what is learned then is luck."
    do = "Lower the learning rate by a factor of ten or more, clip the gradients (clipnorm=1), scale the inputs."
    cures = ("slower",)
    threshold = 10.0
    learned = 0.8

    def look(self, seen: Observations) -> Finding | str:
        """Compare the highest loss with the entropy of the class shares."""
        loss = seen.need_history()
        seen.need("classes")
        guessing = _guessing_loss(seen)
        worst = int(loss.argmax())
        text = f"The training loss was highest in epoch {worst + 1}: {loss[worst]:.3g}; guessing costs {guessing:.3g}."
        if loss[worst] < self.threshold * guessing:
            return text
        evidence = [
            Evidence("highest training loss, times that of guessing", loss[worst] / guessing, n=len(seen.train.y)),
            Evidence.of(f"training {seen.score_name}", seen.train.score),
        ]
        return self.finding(text, evidence, chart=history_chart(seen))


class LossFalling(Check):
    """A training loss that was still falling when training ended.

    The fall is that of the median slope over the last third of the epochs (Theil and Sen; Sen 1968,
    https://doi.org/10.1080/01621459.1968.10480934), so that one lucky epoch decides nothing.

    Threshold: per fifth of the training, 8% of the whole fall so far, and 1% of what the loss was at first, while more
    than 20% of that is left. Of a loss that decays exponentially and falls by 8% of its whole fall in the last fifth,
    another sixth is to come; along a straight line the last fifth has 20%. With early stopping the validation loss must
    still fall, too.
    """

    code, cause = "loss_falling", "fit"
    title = "Training ended while the loss was falling"
    question = "Had the training loss settled when training ended?"
    why = "The network would have learned more: a bad score shows short training, not an unfit network."
    do = "Train for more epochs (with early_stopping=True they are an upper bound), or at a higher learning rate."
    cures = ("longer",)
    threshold = 0.08
    least = 0.01
    left = 0.2

    def look(self, seen: Observations) -> Finding | str:
        """Measure the fall at the end."""
        loss = seen.need_history(least_epochs=2)
        fall, left = self._fall(loss)
        text = (
            f"When training ended, after {len(loss)} epochs, the loss was falling by {fall:.1%} of its first value per "
            f"fifth of the training; {left:.0%} of that value was left."
        )
        val = seen.components.history.get("val_loss")
        settled = fall < max(self.least, self.threshold * (1 - left))
        if settled or left < self.left or (val and self._fall(np.array(val))[0] < self.least / 2):
            return text
        evidence = [
            Evidence("fall per fifth of the epochs, share of the first loss", fall, n=len(seen.train.y)),
            Evidence("share of the first loss that is left", left, n=len(seen.train.y)),
            Evidence("epochs", len(loss)),
        ]
        return self.finding(text, evidence, chart=history_chart(seen))

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

    code, cause = "val_turned", "fit"
    title = "Training went on after the validation loss turned"
    question = "Were the weights kept at which the validation loss was lowest?"
    why = "From the turn on the network has learned its training samples by heart."
    do = "Set early_stopping=True, or train for fewer epochs; regularise if the turn comes early."
    cures = ("stop_early", "regularise")
    threshold = 1.2

    def look(self, seen: Observations) -> Finding | str:
        """Compare the last validation loss with the lowest."""
        loss = seen.need_history("val_loss")
        best = int(loss.argmin())
        kept = int(getattr(seen.components.final, "best_iter_", len(loss)))
        text = f"The validation loss was lowest in epoch {best + 1} of {len(loss)}: {loss[best]:.3g}."
        if kept != len(loss):
            return f"{text} The weights of epoch {kept} were kept."
        if loss[-1] < self.threshold * loss[best] or best + 1 > 2 / 3 * len(loss):
            return text
        evidence = {"lowest validation loss": loss[best], "last validation loss": loss[-1]}
        return self.finding(f"{text} At the end it was {loss[-1]:.3g}.", evidence, chart=history_chart(seen))


class Dummy(Check):
    """A model that is no better than a dummy.

    Threshold: none but certainty. Balanced accuracy is not significantly above that of guessing and, for two classes
    with probabilities, the area under the ROC curve not significantly above one half; for a regression, R² not
    significantly above 0. An interval longer than 0.5 tells nothing.
    """

    code, cause = "dummy", "fit"
    title = "No better than a dummy"
    question = "Is the model better than one that never looks at X?"
    why = "As far as the test samples can tell, the model has learned nothing that holds for new samples."
    do = "Check labels and split first, then learning rate and scale of the inputs."
    cures = ("learning_rate",)
    widest = 0.5

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
        if score.low > by_guessing:
            return text
        if score.high - score.low > self.widest:
            raise NotApplicable(f"{score.n} test samples are too few to tell: {text}")
        if seen.kind == "binary" and seen.has_probabilities and len(np.unique(seen.test.codes)) == 2:
            ranking = auc(seen.test.codes == 1, seen.test.proba[:, 1])
            if ranking.low > 0.5:
                return f"{text} But it ranks: the area under the ROC curve is {ranking.value:.3f}."
            evidence["area under the ROC curve"] = ranking
        return self.finding(text, evidence)


class Gap(Check):
    """A test score below the training score.

    Threshold: significantly more than 0.1 of accuracy (or R²) below. Every network is somewhat better on samples that
    it was trained on; a tenth of all samples is what few would accept.
    """

    code, cause = "gap", "fit"
    title = "Learned its training samples by heart (overfitting)"
    question = "Does the score on the training samples hold on the test samples?"
    why = "What was learned holds for the training samples and not for new ones."
    do = "Regularise (l2, dropout, weight_decay), stop early, augment, take a smaller network or more samples."
    cures = ("regularise", "stop_early")
    threshold = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Compare training and test score."""
        seen.need("test")
        train, test, name = seen.train.score, seen.test.score, seen.score_name
        gap = difference(train, test)
        text = f"Training {name} is {train.value:.3f}, test {name} {test.value:.3f}."
        if gap.low < self.threshold:
            return text
        evidence = {f"training {name}": train, f"test {name}": test, "difference": gap}
        if all(seen.components.params.get(name) == 0 for name in ("l1", "l2", "dropout", "weight_decay")):
            text += " The network is not regularised (l1, l2, dropout and weight_decay are 0)."
        return self.finding(text, evidence, chart=history_chart(seen))


class FewRows(Check):
    """Too few samples: the simple model still gets much better with more of them.

    The simple model, not the network, is trained on all and on half of the training samples, so that nothing long is
    fitted; where the network is significantly better on the test samples than the simple model, that says nothing of
    the network. Threshold: all samples significantly give more accuracy out of fold than half of them, by 0.04 at best
    estimate; or fewer than 10 training samples in the median class.
    """

    code, cause = "few_rows", "fit"
    title = "Too few training samples"
    question = "Would more samples help?"
    why = "What is missing is in samples that are not there; no setting of the network replaces them."
    do = "Collect or augment samples; a small, regularised network loses least with few."
    cures = ("regularise", "smaller", "stop_early")
    threshold = 0.04
    samples_per_class = 10
    fits_well = 0.97

    def look(self, seen: Observations) -> Finding | str:
        """Compare the simple model on all and on half of the samples."""
        seen.need("classes")
        counts, reference = seen.counts(seen.train.codes), seen.reference
        median = float(np.median(counts[counts > 0]))
        if len(seen.train.chosen) < len(seen.train.y):
            return f"{len(seen.train.y)} samples are many."
        whole, half = (out.argmax(axis=1) == reference.y for out in (reference.oof, reference.half_oof))
        gain = paired_difference(whole, half)
        text = (
            f"Out of fold, {reference.name} has accuracy {whole.mean():.3f} from the {len(whole)} training samples and "
            f"{half.mean():.3f} from half of them."
        )
        rising = gain.low > 0 and gain.value >= self.threshold and not self._surpassed(seen)
        if not rising and median >= self.samples_per_class:
            return text
        if seen.has_test and seen.test.score.value > self.fits_well:
            return f"{text} But the test score is {seen.test.score.value:.3f}."
        evidence = {"gain of the simple model by twice the samples": gain, "samples of the median class": median}
        return self.finding(text, evidence)

    @staticmethod
    def _surpassed(seen: Observations) -> bool:
        """Whether the model is significantly better than the simple one."""
        if not seen.has_test:
            return False
        its_right = seen.reference_test == seen.test.codes[seen.test.chosen]
        return paired_difference(seen.test.right[seen.test.chosen], its_right).low > 0


class Baseline(Check):
    """A simple model that does better than the network.

    Threshold: significantly better, and by 0.05 of accuracy (or R²) at best estimate.
    """

    code, cause = "baseline", "fit"
    title = "A simple model does better"
    question = "Is the network at least as good as a simple model?"
    why = "The data give more than the network takes from them: it is the network or its training, not the data."
    do = "Tune learning rate, epochs and size, in this order (regularisation helps little); or use the simple model."
    cures = ("learning_rate", "longer", "larger")
    threshold = 0.05

    def look(self, seen: Observations) -> Finding | str:
        """Compare on the same test samples."""
        seen.need("test")
        ahead, mine, its = _ahead(seen, seen.test, seen.reference_test)
        text = f"On the test samples {seen.reference.name} has {seen.score_name} {its:.3f}, the model {mine:.3f}."
        if ahead.low < 0 or ahead.value < self.threshold:
            return text
        return self.finding(text, {f"{seen.score_name} of the simple model, minus the model's": ahead})


def _ahead(seen: Observations, side: Side, simple: np.ndarray) -> tuple[Estimate, float, float]:
    """Return how far the simple model is ahead on the samples `side.chosen`, the model's score and its own."""
    y, predicted = seen.targets(side.y)[side.chosen], side.predicted[side.chosen]
    if seen.kind == "regression":
        ours, theirs = seen.r2(y, predicted), seen.r2(y, simple)
        return difference(theirs, ours), ours.value, theirs.value
    return paired_difference(simple == y, predicted == y), float(np.mean(predicted == y)), float(np.mean(simple == y))


class Underfit(Check):
    """A model that does not fit even its training samples.

    Threshold: its accuracy (or R²) on training samples is significantly lower than that of a simple model out of fold,
    and by 0.05 at best estimate. A model that names one class only and yet ranks the samples (mean area under the ROC
    curves of 0.9) has a threshold to blame.
    """

    code, cause = "underfit", "capacity"
    title = "Does not fit even its training samples (underfitting)"
    question = "Does the model fit its training samples?"
    why = "A simple model is better on samples that it has not seen than this one on samples that it was trained on."
    do = "Take a larger network, train longer or at another learning rate, regularise less."
    cures = ("larger", "learning_rate", "longer")
    threshold = 0.05

    def look(self, seen: Observations) -> Finding | str:
        """Compare the training score with the simple model's out-of-fold score."""
        reference, name = seen.reference, seen.score_name
        ahead, mine, its = _ahead(seen, seen.train, reference.labels(reference.oof))
        text = f"On training samples the model has {name} {mine:.3f}; {reference.name}, out of fold, has {its:.3f}."
        if ahead.low < 0 or ahead.value < self.threshold:
            return text
        if seen.has_classes and self._ranks(seen):
            return f"{text} But it ranks them."
        evidence = {f"{name} of the simple model out of fold, minus the model's on its own samples": ahead}
        return self.finding(text, evidence, chart=history_chart(seen))

    @staticmethod
    def _ranks(seen: Observations) -> bool:
        """Whether a model that names one class only ranks the training samples well."""
        if seen.shares(seen.train.predicted).max() < 0.95 or not seen.has_probabilities:
            return False
        present = np.unique(seen.train.codes)
        areas = [auc(seen.train.codes == code, seen.train.proba[:, code]).value for code in present]
        return float(np.mean(areas)) > 0.9


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


CHECKS = [LossBlewUp, LossNeverFell, LossFalling, FewRows, ValidationTurned, Dummy, Gap, Baseline]

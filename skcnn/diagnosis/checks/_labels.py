"""Checks of labels, and of whether loss and output fit them."""

from collections.abc import Iterator

import numpy as np

from skcnn._statistics import auc, balanced_accuracy, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import SQUASHING, KerasModel, activation
from skcnn.diagnosis._observations import Observations

__all__ = ["CHECKS", "confident_errors"]


def _out_of_fold(seen: Observations, least_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class codes of the training samples, and the simple model's out-of-fold probabilities for them."""
    seen.need("classes")
    codes = seen.train.codes[seen.train.chosen]
    if len(codes) < least_samples:
        raise NotApplicable(f"{len(codes)} training samples are too few to tell")
    return codes, seen.reference.oof


class NoSignal(Check):
    """Labels of which the inputs say nothing: shuffled, joined by the wrong key, sorted apart from their samples.

    Threshold: a simple model, out of fold on the training samples, is not significantly better than guessing and
    significantly no more than 0.2 of balanced accuracy better (else there are too few samples to tell), and the model
    on the test samples is not significantly better by 0.1.
    """

    code, cause = "no_signal", "labels"
    title = "The inputs say nothing of the labels"
    question = "Can anything be learned from the training samples?"
    why = "Whatever is fitted learns by heart: no setting of the network helps."
    do = "Check that samples and labels still belong together: joins, sorting, shuffling one without the other."
    least_samples = 60
    clearly = 0.1
    no_more = 0.2

    def look(self, seen: Observations) -> Finding | str:
        """Ask whether the simple model, or the model itself, is better than guessing."""
        codes, out = _out_of_fold(seen, self.least_samples)
        # Against the class shares: a forest that names a large class only may yet know a rare one when it sees it.
        shares = np.bincount(codes, minlength=out.shape[1]) / len(codes)
        score = balanced_accuracy(codes, (out / np.maximum(shares, 1e-12)).argmax(axis=1))
        by_guessing = 1 / len(np.unique(codes))
        name = seen.reference.name
        text = f"Out of fold, {name} has balanced accuracy {score.value:.3f}, guessing {by_guessing:.3f}."
        ranks = seen.kind == "binary" and auc(codes == 1, out[:, 1]).low > 0.5
        if score.low > by_guessing or ranks:
            return text
        if score.high > by_guessing + self.no_more:
            raise NotApplicable(f"balanced accuracy may be {score.high:.2f}: too few samples of some class to tell")
        # Chance alone can lift a model that has learned shuffled labels a little above guessing.
        if seen.has_test and seen.test.balanced.low > seen.test.by_guessing + self.clearly:
            return f"{text} But the model itself does better."
        return self.finding(text, {"balanced accuracy of the simple model": score, "by guessing": by_guessing})


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
    """Labels that contradict what the rest of the training samples says.

    Confident learning on out-of-fold probabilities of the simple model. A class that is merely hard has neighbours of
    both labels; a wrong label stands among confident samples of another class. A sample is counted if, beyond that
    rule, its own label has less than half of the probability of the other.

    Threshold: significantly more than 5% of the training samples. Test sets in wide use have 3.3% on average
    (Northcutt, Athalye and Mueller 2021, https://arxiv.org/abs/2103.14749).
    """

    code, cause = "suspicious_labels", "labels"
    title = "Labels that are probably wrong"
    question = "Do the labels agree with what the other samples say?"
    why = "A network that is large enough learns wrong labels by heart, and is wrong around them."
    do = "Look at the samples named and correct them; until then regularise, and do not train to the last."
    cures = ("regularise", "stop_early", "smooth_labels")
    threshold = 0.05
    times = 2.0
    least_samples = 60
    shown = 10

    def look(self, seen: Observations) -> Finding | str:
        """Count them."""
        codes, out = _out_of_fold(seen, self.least_samples)
        own = out[np.arange(len(codes)), codes]
        wrong = confident_errors(codes, out) & (out.max(axis=1) > self.times * own)
        share = proportion(wrong)
        text = f"{wrong.sum()} of {len(wrong)} training labels contradict the other samples."
        if share.low < self.threshold:
            return text
        rows = seen.train.chosen[wrong][np.argsort((own - out.max(axis=1))[wrong], kind="stable")]
        most = ", ".join(map(str, rows[: self.shown]))
        what = f"{text} Most of all the training samples {most}."
        return self.finding(what, {"share of suspicious labels": share}, rows=rows)


class LossMismatch(Check):
    """Loss, output layer and labels of a Keras model that do not fit each other. No threshold: each is certain."""

    code, cause = "loss_mismatch", "labels"
    title = "Loss and output do not fit the labels"
    question = "Do loss, last layer and labels of the Keras model fit each other?"
    why = "The loss measures something else than it says: so networks 'converge only with binary cross-entropy'."
    do = (
        "Two classes: Dense(1), binary_crossentropy, labels 0 and 1. More: Dense(n_classes), with "
        "sparse_categorical_crossentropy for labels 0 to n_classes - 1, or categorical_crossentropy for one-hot rows. "
        "Either an activation at the end or from_logits=True, not both, not neither. CNNClassifier does this itself."
    )

    def look(self, seen: Observations) -> Finding | str:
        """Compare them."""
        if not isinstance(seen.components.final, KerasModel):
            raise NotApplicable("not a plain Keras model; scikit-learn's estimators choose their loss by the labels")
        seen.need("classes")
        reasons = list(self._reasons(seen, seen.components.final))
        if not reasons:
            return f"{seen.components.final.loss_name or 'The loss'} fits."
        return self.finding(" ".join(reasons), {"contradictions": len(reasons)})

    @staticmethod
    def _reasons(seen: Observations, model: KerasModel) -> Iterator[str]:
        loss, ending = model.loss_name, model.ending
        n_outputs = int(np.prod(model.model.output_shape[1:]))
        n_classes = len(seen.classes)
        squashed = ending in SQUASHING
        categorical = "categorical_crossentropy" in loss
        if ending == "softmax" and n_outputs == 1:
            yield "The model ends in a softmax over one unit, which is always 1."
        if categorical and n_outputs == 1:
            yield f"{loss} with one output unit is always 0: there is nothing to tell classes apart by."
        if "sparse" in loss and 1 < n_outputs < n_classes:
            yield f"{n_outputs} output units for {n_classes} classes."
        if "sparse" in loss and seen.train.y.dtype.kind in "iu" and seen.train.y.max() >= n_outputs > 1:
            yield f"The largest label is {seen.train.y.max()}; the {n_outputs} outputs stand for 0 to {n_outputs - 1}."
        if loss == "categorical_crossentropy" and n_outputs > 1 and not seen.one_hot:
            yield "categorical_crossentropy expects one-hot rows, but y holds one label per sample."
        if loss == "binary_crossentropy" and n_outputs == 1 and not set(np.unique(seen.train.y)) <= {0, 1}:
            yield f"binary_crossentropy expects labels 0 and 1, but y holds {np.unique(seen.train.y)[:5].tolist()}."
        if loss == "binary_crossentropy" and ending == "softmax" and n_outputs > 2:
            yield (
                "binary_crossentropy on a softmax takes each class for a question of its own; Keras' 'accuracy' then "
                "counts right zeros too, and is near 1 whatever the model does."
            )
        if squashed and model.from_logits:
            yield f"The model ends in a {ending}, and from_logits=True applies it again."
        if not squashed and "crossentropy" in loss and not model.from_logits:
            yield f"The model returns logits (it ends in {ending}), but {loss} takes them for probabilities."


class SquashedTwice(Check):
    """A network whose logits are probabilities already: a sigmoid or softmax before the loss that has its own.

    No threshold but rounding: all outputs lie between 0 and 1, on at least 20 samples, and either add up to 1 in each
    sample, or the network has a sigmoid or softmax among its last three operations. (The logits of a network that has
    learned little may happen to lie there, too.)
    """

    code, cause = "squashed_twice", "labels"
    title = "The network outputs probabilities where logits belong"
    question = "Are the network's outputs logits?"
    why = "The loss applies a sigmoid itself: after two, probabilities stay in 0.5 to 0.73, gradients are flat."
    do = "End the network with Dense(n_outputs) without activation."
    least_samples = 20

    def look(self, seen: Observations) -> Finding | str:
        """Look at the range of the outputs."""
        seen.need("classes")
        final = seen.components.final
        if not hasattr(final, "to_keras"):
            raise NotApplicable("the final step does not show its logits")
        # A few hundred samples show the range of the outputs.
        rows, model = seen.train.chosen[:500], seen.need_keras_model()
        if len(rows) < self.least_samples:
            raise NotApplicable(f"{len(rows)} samples are too few")
        logits = np.asarray(model(seen.train.inputs[rows].astype("float32")))
        text = f"The outputs range from {logits.min():.3g} to {logits.max():.3g}."
        softmax = logits.shape[1] > 1 and np.allclose(logits.sum(axis=1), 1, atol=1e-4)
        last = getattr(model, "operations", model.layers)[-3:]
        squashes = any(activation(operation) in SQUASHING for operation in last)
        if logits.min() < 0 or logits.max() > 1 or not (softmax or squashes):
            return text
        ends = {"lowest output": logits.min(), "highest output": logits.max()}
        return self.finding(text, [Evidence(name, float(value), n=len(rows)) for name, value in ends.items()])


CHECKS = [LossMismatch, SquashedTwice, NoSignal, SuspiciousLabels]

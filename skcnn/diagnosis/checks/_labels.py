"""Checks of labels, and of whether loss and output fit them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from skcnn._statistics import auc, balanced_accuracy, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import KerasModel
from skcnn.diagnosis._observations import Case
from skcnn.diagnosis.checks._inputs import MODEL_FAILS

__all__ = ["CHECKS", "LossMismatch", "NoSignal", "SquashedTwice", "SuspiciousLabels", "confident_errors"]


def _out_of_fold(case: Case, least_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class codes of the training rows, and the simple model's out-of-fold probabilities for them."""
    case.need_classes()
    codes = case.codes_train[case.rows_train]
    if len(codes) < least_rows:
        raise NotApplicable(f"{len(codes)} training rows are too few to tell")
    return codes, case.reference.oof


class NoSignal(Check):
    """Labels of which the inputs say nothing: shuffled, joined by the wrong key, sorted apart from their rows.

    Threshold: a simple model, out of fold on the training rows, is not surely better than guessing and surely no more
    than 0.2 of balanced accuracy better (else there are too few rows to tell), and the model on the test rows is not
    surely 0.1 better.
    """

    code, cause, severity = "no_signal", "labels", 3
    title = "The inputs say nothing of the labels"
    question = "Can anything be learned from the training rows?"
    why = "Whatever is fitted learns by heart: no setting of the network helps."
    do = "Check that rows and labels still belong together: joins, sorting, shuffling one without the other."
    explains = (*MODEL_FAILS, "class_shares", "edge", "noise", "metric_unfit")
    least_rows = 60
    clearly = 0.1
    no_more = 0.2

    def look(self, case: Case) -> Finding | str:
        """Ask whether the simple model, or the model itself, is better than guessing."""
        codes, out = _out_of_fold(case, self.least_rows)
        # Against the class shares: a forest that names a large class only may yet know a rare one when it sees it.
        shares = np.bincount(codes, minlength=out.shape[1]) / len(codes)
        score = balanced_accuracy(codes, (out / np.maximum(shares, 1e-12)).argmax(axis=1))
        by_guessing = 1 / len(np.unique(codes))
        text = (
            f"Out of fold, {case.reference.name} has balanced accuracy {score.value:.3f}, guessing {by_guessing:.3f}."
        )
        ranks = case.kind == "binary" and auc(codes == 1, out[:, 1]).low > 0.5
        if score.low > by_guessing or ranks:
            return text
        if score.high > by_guessing + self.no_more:
            raise NotApplicable(f"balanced accuracy may be up to {score.high:.2f}: too few rows of some class to tell")
        # Chance alone can lift a model that has learned shuffled labels a little above guessing.
        if case.has_test and case.balanced_test.low > 1 / len(np.unique(case.codes_test)) + self.clearly:
            return f"{text} But the model itself does better."
        return self.finding(
            text, [Evidence.of("balanced accuracy of the simple model", score), Evidence("by guessing", by_guessing)]
        )


def confident_errors(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Whether each label is likely wrong by confident learning.

    A row is counted for a class whose probability is at least the mean of that class's own rows; if that class is not
    the label, the label is suspicious (Northcutt, Jiang and Chuang 2021, section 3.1,
    https://doi.org/10.1613/jair.1.12125).

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Class codes as given.
    probabilities : ndarray of shape (n, n_classes)
        Out of fold.
    """
    usual = np.array(
        [
            probabilities[codes == code, code].mean() if (codes == code).any() else np.inf
            for code in range(probabilities.shape[1])
        ]
    )
    likely = np.where(probabilities >= usual, probabilities, -1.0)
    return (likely.max(axis=1) > 0) & (likely.argmax(axis=1) != codes)


class SuspiciousLabels(Check):
    """Labels that contradict what the rest of the training rows says.

    Confident learning on out-of-fold probabilities of the simple model. A class that is merely hard has neighbours of
    both labels; a wrong label stands among confident rows of another class. A row is counted if, beyond that rule, its
    own label has less than half of the probability of the other.

    Threshold: surely 5% of the training rows. Test sets in wide use have 3.3% on average (Northcutt, Athalye and
    Mueller 2021, https://arxiv.org/abs/2103.14749).
    """

    code, cause, severity = "suspicious_labels", "labels", 2
    title = "Labels that are probably wrong"
    question = "Do the labels agree with what the other rows say?"
    why = "A network that is large enough learns wrong labels by heart, and is wrong around them."
    do = "Look at the rows named and correct them; until then regularise, and do not train to the last."
    cures = ("regularise", "stop_early", "smooth_labels")
    explains = (
        "gap",
        "calibration",
        "few_rows",
        "parameters",
        "val_turned",
        "baseline",
        "recall_spread",
        "threshold",
        "loss_falling",
        "saturated",
    )
    threshold = 0.05
    times = 2.0
    least_rows = 60
    shown = 10

    def look(self, case: Case) -> Finding | str:
        """Count them."""
        codes, out = _out_of_fold(case, self.least_rows)
        own = out[np.arange(len(codes)), codes]
        wrong = confident_errors(codes, out) & (out.max(axis=1) > self.times * own)
        share = proportion(wrong)
        text = f"{wrong.sum()} of {len(wrong)} training labels contradict the other rows."
        if share.low < self.threshold:
            return text
        rows = case.rows_train[wrong][np.argsort((own - out.max(axis=1))[wrong], kind="stable")]
        most = ", ".join(map(str, rows[: self.shown]))
        return self.finding(
            f"{text} Most of all the training rows {most}.",
            [Evidence.of("share of suspicious labels", share)],
            rows=rows,
        )


class LossMismatch(Check):
    """Loss, output layer and labels of a Keras model that do not fit each other. No threshold: each is certain."""

    code, cause, severity = "loss_mismatch", "labels", 3
    title = "Loss and output do not fit the labels"
    question = "Do loss, last layer and labels of the Keras model fit each other?"
    why = (
        "The loss then measures something else than it says. This is the usual reason for a network that "
        "'converges only "
        "with binary cross-entropy', which hardly ever complains."
    )
    do = (
        "Two classes: Dense(1), binary_crossentropy, labels 0 and 1. More: Dense(n_classes), "
        "sparse_categorical_crossentropy with labels 0 to n_classes - 1, or categorical_crossentropy with "
        "one-hot rows. "
        "And either an activation at the end or from_logits=True, not both, not neither. CNNClassifier "
        "does this itself."
    )
    explains = (*MODEL_FAILS, "squashed_twice", "class_shares", "no_signal")

    def look(self, case: Case) -> Finding | str:
        """Compare them."""
        if not isinstance(case.parts.final, KerasModel):
            raise NotApplicable("not a plain Keras model; scikit-learn's estimators choose their loss by the labels")
        case.need_classes()
        reasons = list(self._reasons(case, case.parts.final))
        if not reasons:
            return f"{case.parts.final.loss_name or 'The loss'} fits."
        return self.finding(" ".join(reasons), [Evidence("contradictions", len(reasons))])

    @staticmethod
    def _reasons(case: Case, model: KerasModel) -> Iterator[str]:
        loss, ending = model.loss_name, model.ending
        n_outputs = int(np.prod(model.model.output_shape[1:]))
        n_classes = len(case.classes)
        squashed = ending in ("sigmoid", "softmax")
        categorical = "categorical_crossentropy" in loss
        if ending == "softmax" and n_outputs == 1:
            yield "The model ends in a softmax over one unit, which is always 1."
        if categorical and n_outputs == 1:
            yield f"{loss} with one output unit is always 0: there is nothing to tell classes apart by."
        if "sparse" in loss and 1 < n_outputs < n_classes:
            yield f"{n_outputs} output units for {n_classes} classes."
        if "sparse" in loss and case.y_train.dtype.kind in "iu" and case.y_train.max() >= n_outputs > 1:
            yield (
                f"The largest label is {case.y_train.max()}, but the {n_outputs} outputs stand for 0 to "
                f"{n_outputs - 1}."
            )
        if loss == "categorical_crossentropy" and n_outputs > 1 and not case.one_hot:
            yield "categorical_crossentropy expects one-hot rows, but y holds one label per row."
        if loss == "binary_crossentropy" and n_outputs == 1 and not set(np.unique(case.y_train)) <= {0, 1}:
            yield f"binary_crossentropy expects labels 0 and 1, but y holds {np.unique(case.y_train)[:5].tolist()}."
        if loss == "binary_crossentropy" and ending == "softmax" and n_outputs > 2:
            yield (
                "binary_crossentropy on a softmax takes each class for a question of its own; Keras' "
                "'accuracy' then counts "
                "right zeros too, and is near 1 whatever the model does."
            )
        if squashed and model.from_logits:
            yield f"The model ends in a {ending}, and from_logits=True applies it again."
        if not squashed and "crossentropy" in loss and not model.from_logits:
            yield (
                f"The model puts out logits (it ends in {ending or 'no activation'}), but {loss} takes them "
                "for probabilities."
            )


class SquashedTwice(Check):
    """A network whose logits are probabilities already: a sigmoid or softmax before the loss that has its own.

    No threshold but rounding: all outputs lie between 0 and 1, on at least 20 rows, and either add up to 1 in each row,
    or the network has a sigmoid or softmax among its last three operations. (The logits of a network that has learned
    little may happen to lie there, too.)
    """

    code, cause, severity = "squashed_twice", "labels", 3
    title = "The network puts out probabilities where logits belong"
    question = "Are the network's outputs logits?"
    why = (
        "The loss applies a sigmoid itself: after two of them probabilities stay between 0.5 and 0.73, "
        "gradients are flat."
    )
    do = "End the network with Dense(n_outputs) without activation."
    explains = (*MODEL_FAILS, "class_shares")
    least_rows = 20
    ENDINGS = ("sigmoid", "softmax")

    def look(self, case: Case) -> Finding | str:
        """Look at the range of the outputs."""
        case.need_classes()
        final = case.parts.final
        if not hasattr(final, "to_keras"):
            raise NotApplicable("the final step does not show its logits")
        rows = case.rows_train[:500]
        if len(rows) < self.least_rows:
            raise NotApplicable(f"{len(rows)} rows are too few")
        logits = np.asarray(case.keras_model(case.inputs_train[rows].astype("float32")))
        text = f"The outputs range from {logits.min():.3g} to {logits.max():.3g}."
        softmax = logits.shape[1] > 1 and np.allclose(logits.sum(axis=1), 1, atol=1e-4)
        if logits.min() < 0 or logits.max() > 1 or not (softmax or self._squashes(case.keras_model)):
            return text
        return self.finding(
            text,
            [
                Evidence("lowest output", float(logits.min()), n=len(rows)),
                Evidence("highest output", float(logits.max()), n=len(rows)),
            ],
        )

    def _squashes(self, model: Any) -> bool:
        """Whether one of the last operations of a Keras model is a sigmoid or softmax."""
        last = getattr(model, "operations", getattr(model, "layers", []))[-3:]
        names = {type(operation).__name__.lower() for operation in last}
        names |= {getattr(getattr(operation, "activation", None), "__name__", "") for operation in last}
        return bool(names & set(self.ENDINGS))


CHECKS = [LossMismatch, SquashedTwice, NoSignal, SuspiciousLabels]

"""Checks of a network's loss, output layer and targets: whether they fit each other."""

from collections.abc import Iterator

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier as ForestOfClasses
from sklearn.ensemble import ExtraTreesRegressor as ForestOfNumbers
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from skcnn._statistics import Estimate, paired_difference
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import SQUASHING, KerasModel, activation
from skcnn.diagnosis._observations import Observations

__all__ = ["LossMismatch", "SquashedTwice"]

RANGES = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf), "softplus": (0, np.inf)}
NUMBERED = "The targets are whole numbers without an order: they number classes, which a regression takes for amounts."
LEAST_OUTSIDE = 0.01  # share of the targets that the last activation cannot return


def _within_reach(seen: Observations) -> tuple[Estimate | None, str]:
    """Return how much better a simple model is on the test samples."""
    if not seen.has_test:
        return None, "Not measured: no test samples were given."
    measured = "What a simple model gets on the test samples and this one does not: at least so much is lost."
    return seen.both.lead, measured


def _as_classes(seen: Observations) -> tuple[Estimate, Estimate] | None:
    """Return how much oftener a forest of classes is right than rounded predictions: on training, on test samples.

    None if the targets of a regression are no whole numbers from 0 or 1 on, 3 to 30 different ones. On training samples
    forests of both kinds are compared out of fold, on test samples the estimator with the forest of classes.
    """
    y, tested = (np.asarray(side.y, dtype=np.float64) for side in (seen.train, seen.test))
    values = np.unique(y)
    if (
        y.ndim > 1
        or not 3 <= len(values) <= 30
        or not np.array_equal(values, np.arange(len(values)) + min(1, values[0]))
    ):
        return None
    forests = [kind(100, min_samples_leaf=2, random_state=seen.seed) for kind in (ForestOfClasses, ForestOfNumbers)]
    X, y = seen.train.flat, y[seen.train.chosen]
    if np.bincount(y.astype(int))[-len(values) :].min() < 3:
        return None
    folds = StratifiedKFold(3, shuffle=True, random_state=seen.seed)
    classes, numbers = (np.rint(cross_val_predict(one, X, y, cv=folds)) == y for one in forests)
    own = np.rint(np.ravel(seen.test.predicted))[seen.test.chosen] == tested[seen.test.chosen]
    theirs = forests[0].fit(X, y).predict(seen.test.flat) == tested[seen.test.chosen]
    return paired_difference(classes, numbers), paired_difference(theirs, own)


class LossMismatch(Check):
    """Loss, output layer and labels that do not fit each other.

    Of a Keras model: contradictions, which need no threshold. Of a regression: targets that are numbers of classes,
    without an order that a number could follow. Then a forest of classes hits the very number oftener than the rounded
    prediction of a forest of numbers, out of fold, significantly and by 0.15 (at most 0.11 with grades and counts, 0.29
    to 0.50 with numbered classes); the effect is how much oftener it hits than the estimator, on the test samples.
    """

    code, cause = "loss_mismatch", "labels"
    title = "Loss and output do not fit the labels"
    question = "Do loss, last layer and labels of the Keras model fit each other?"
    why = "The loss measures something else than it says: so networks 'converge only with binary cross-entropy'."
    do = (
        "Two classes: Dense(1), binary_crossentropy, labels 0 and 1. More: Dense(n_classes), with "
        "sparse_categorical_crossentropy for labels 0 to n_classes - 1, or categorical_crossentropy for one-hot rows. "
        "Either an activation at the end or from_logits=True, not both, not neither. CNNClassifier does this itself."
    )
    least_hits = 0.15

    def look(self, seen: Observations) -> Finding | str:
        """Compare them."""
        hits = _as_classes(seen) if seen.kind == "regression" and seen.has_test else None
        if hits is not None and hits[0].low > 0 and hits[0].value >= self.least_hits:
            evidence = [Evidence.of("hits of a forest of classes beyond those of a forest of numbers", hits[0])]
            measured = "How much oftener a forest of classes is right than the rounded predictions; not in R²."
            return self.finding(NUMBERED, evidence, effect=hits[1], measured=measured)
        model = seen.components.final
        if not isinstance(model, KerasModel):
            raise NotApplicable("not a plain Keras model; scikit-learn's estimators choose their loss by the labels")
        by_kind = self._of_classes if seen.has_classes else self._of_numbers
        reasons = [*by_kind(seen, model), *self._of_logits(model)]
        if not reasons:
            return f"{model.loss_name or 'The loss'} fits."
        effect, measured = _within_reach(seen)
        contradictions = {"contradictions": len(reasons)}
        return self.finding(" ".join(reasons), contradictions, effect=effect, measured=measured)

    @staticmethod
    def _of_numbers(seen: Observations, model: KerasModel) -> Iterator[str]:
        """Contradictions of a regression, or of labels of which a sample has several."""
        ending, y = model.ending, np.asarray(seen.train.y)
        n_outputs, n_targets = model.n_outputs, int(np.prod(y.shape[1:]))
        if n_outputs != n_targets:
            yield f"The model has {n_outputs} outputs for {n_targets} target{'s' if n_targets > 1 else ''} per sample."
        if seen.kind == "multilabel":
            if ending == "softmax":
                yield "The model ends in a softmax, whose outputs add up to 1, but a sample may have several labels."
            return
        low, high = RANGES.get(ending, (-np.inf, np.inf))
        outside = (y < low) | (y > high)
        if ending == "softmax" and n_outputs == 1:
            yield "The model ends in a softmax over one unit, which is always 1."
        elif outside.mean() > LEAST_OUTSIDE:
            yield f"{outside.mean():.0%} of the targets lie outside of what a {ending} can return, {low:g} to {high:g}."

    @staticmethod
    def _of_classes(seen: Observations, model: KerasModel) -> Iterator[str]:
        loss, ending = model.loss_name, model.ending
        n_outputs, n_classes = model.n_outputs, len(seen.classes)
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

    @staticmethod
    def _of_logits(model: KerasModel) -> Iterator[str]:
        """Contradictions between the last activation and from_logits."""
        loss, ending = model.loss_name, model.ending
        squashed = ending in SQUASHING
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
        if seen.kind == "regression":
            raise NotApplicable("a regression has no logits")
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
        effect, measured = _within_reach(seen)
        evidence = [Evidence(name, float(value), n=len(rows)) for name, value in ends.items()]
        return self.finding(text, evidence, effect=effect, measured=measured)

"""Checks of capacity: what the network can see and express, units that do nothing, and what it learns by heart."""

from itertools import groupby
from typing import Any

import numpy as np

from skcnn._statistics import difference, proportion
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import is_number, layers_of, values_of
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._strengths import differing, rate_name, width_of
from skcnn.diagnosis.checks._trials import tried
from skcnn.diagnosis.checks._yardsticks import Underfit, behind_on_training
from skcnn.networks._summary import receptive_field

__all__ = ["DeadUnits", "Memorises", "ReceptiveField"]


class ReceptiveField(Check):
    """A network in which no feature sees half of the input, and nothing after them looks at where they are.

    Threshold: half of some axis; and a training score significantly below that of a simple model out of fold, by 0.05.
    The effect is what the test score gains with two layers more.
    """

    code, cause = "receptive_field", "capacity"
    title = "No feature sees the whole"
    question = "Do the features see enough of the input?"
    why = "What is longer than the receptive field cannot be recognised, and global pooling throws positions away."
    do = "Add blocks (each doubles what is seen), take larger kernels, or pooling=None."
    cures = ("deeper",)
    threshold = 0.5

    def look(self, seen: Observations) -> Finding | str:
        """Add up kernels and strides."""
        model = seen.need_keras_model()
        if not any("Conv" in layer.kind for layer in layers_of(model)):
            raise NotApplicable("the network has no convolution")
        found = receptive_field(model)
        if found is None:
            raise NotApplicable("the network is no graph of layers")
        fields, dense = found
        if not fields:
            raise NotApplicable("the samples have no axes that a feature could see a part of")
        sizes = seen.train.inputs.shape[1:-1] or seen.train.inputs.shape[-1:]
        field, longest = min(zip(fields, sizes, strict=False), key=lambda pair: pair[0] / pair[1])
        text = f"A feature sees {field} of {longest} positions."
        if dense or field >= self.threshold * longest:
            return text + (" A dense layer sees them all." if dense else "")
        behind = behind_on_training(seen)
        if behind.low < 0 or behind.value < Underfit.threshold:
            return f"{text} But the model fits its training samples."
        trial = tried(seen, self._deeper(seen))
        if trial.refitted and not trial.raised:
            return f"{text} But with two layers more the test score is no better."
        evidence = [
            Evidence("share of the axis", field / longest),
            Evidence.of("score of the simple model out of fold, minus the model's on its own samples", behind),
        ]
        return self.finding(text, evidence, **trial.facts)

    @staticmethod
    def _deeper(seen: Observations) -> dict[str, Any]:
        found = width_of(seen.components.params)
        if found is None or not np.ndim(found[1]):
            return {}
        return {found[0]: (*found[1], 2 * found[1][-1], 2 * found[1][-1])}


class DeadUnits(Check):
    """Units that output 0 for every training sample.

    Threshold: half of the channels of some layer with ReLU. A dead unit gets no gradient and stays dead (Lu et al.
    2020, https://arxiv.org/abs/1903.06733). The effect is what the test score gains at the default
    learning rate or a tenth of the present one, or with batch normalisation where the network can have it.
    """

    code, cause = "dead_units", "capacity"
    title = "Dead units"
    question = "Do all units do something?"
    why = "They are lost to the network, which is smaller than it seems; the learning rate has killed them."
    do = "Lower the learning rate, normalise (normalization='batch'), scale the inputs."
    cures = ("slower",)
    threshold = 0.5
    rows = 256
    KINDS = ("relu", "relu6")

    def look(self, seen: Observations) -> Finding | str:
        """Run training samples through the layers."""
        model = seen.need_keras_model()
        layers = [layer for layer in layers_of(model) if layer.activation in self.KINDS]
        if not layers:
            raise NotApplicable("no layer has a ReLU")
        rows = seen.rng(10).permutation(seen.train.chosen)[: self.rows]
        X, outputs = seen.train.inputs[rows].astype("float32"), []
        for owner, own in groupby(layers, key=lambda layer: layer.owner):
            outputs += values_of([layer.layer.output for layer in own], model, owner, X)
        dead = {
            f"ReLU {number}": float((out.reshape(-1, out.shape[-1]) <= 0).all(axis=0).mean())
            for number, out in enumerate(outputs, 1)  # Keras' own names count on from model to model
        }
        worst = max(dead, key=lambda name: dead[name])
        text = f"In layer {worst} {dead[worst]:.0%} of the units are 0 on all of {len(rows)} training samples."
        if dead[worst] < self.threshold:
            return text
        trial = tried(seen, *self._alive(seen), lead=False)
        if trial.refitted and not trial.raised:
            return f"{text} But with more of them alive the test score is no better."
        chart = Chart("bars", "Dead units", list(dead), {"share": list(dead.values())}, "layer")
        evidence = [Evidence(f"share of dead units in {worst}", dead[worst], n=len(rows))]
        return self.finding(text, evidence, chart=chart, **trial.facts)

    @staticmethod
    def _alive(seen: Observations) -> list[dict[str, Any]]:
        """Return a lower learning rate, and normalisation where there is none."""
        params = seen.components.params
        normal = {"network__normalization": "batch"} if params.get("network__normalization", "") is None else {}
        rate = rate_name(params)
        if not rate:
            return [normal]
        usual = differing(seen.components).get(rate)
        slower = usual if is_number(usual) and usual < params[rate] else params[rate] / 10
        return [{rate: float(slower)}, normal]


class Memorises(Check):
    """Whether the model learns random labels, by refitting once: on demand, ``checks=[Memorises()]``.

    Threshold: an accuracy of 0.9 on shuffled labels of its training samples (Zhang et al. 2017,
    https://arxiv.org/abs/1611.03530), with a significantly lower score on test samples than on training samples, by
    0.1.
    """

    code, cause = "memorises", "capacity"
    title = "Large enough to learn random labels"
    question = "Can the model learn labels that mean nothing?"
    why = "Nothing in its size or regularisation keeps it from learning by heart."
    do = "Regularise until it can no longer learn shuffled labels."
    cures = ("regularise", "smaller")
    threshold = 0.9
    gap = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Refit on shuffled labels."""
        seen.need("test", "classes")
        shuffled = seen.rng(6).permutation(seen.train.y)
        refitted = seen.unfitted().fit(seen.train.X, shuffled)
        learned = proportion(np.asarray(refitted.predict(seen.train.X)) == shuffled)
        text = f"Of shuffled labels it learns {learned.value:.0%}."
        gap = difference(seen.train.score, seen.test.score)
        if learned.value < self.threshold or gap.low < self.gap:
            return text
        return self.finding(text, {"accuracy on shuffled labels": learned, "gap": gap})

"""Checks of capacity: the size of the network against samples and inputs, and units that do nothing."""

import numpy as np

from skcnn._statistics import difference, proportion
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import layers_of, values_of
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._learning import Underfit
from skcnn.networks._summary import receptive_field

__all__ = ["CHECKS", "Memorises"]


class Parameters(Check):
    """Far more parameters than samples, in a network that overfits.

    Parameters alone are no fault: large networks generalise (Belkin et al. 2019,
    https://doi.org/10.1073/pnas.1903070116). So this is a finding only with a gap between training and test score.

    Threshold: 100 parameters per training sample and output; and a gap significantly above 0.1.
    """

    code, cause = "parameters", "capacity"
    title = "Far more parameters than samples"
    question = "Does the network have a size that fits the number of samples?"
    why = "Such a network can learn every sample by heart, and this one has."
    do = "Halve the filters, or pool (pooling='avg') before the output layer, where most parameters stand."
    cures = ("smaller", "regularise")
    threshold = 100.0
    gap = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Count parameters per sample and output."""
        n_parameters = self._count(seen)
        per_sample = n_parameters / len(seen.train.y)
        text = f"{n_parameters} parameters for {len(seen.train.y)} samples, {per_sample:.3g} a sample."
        if per_sample < self.threshold:
            return text
        seen.need("test")
        gap = difference(seen.train.score, seen.test.score)
        if gap.low < self.gap:
            return f"{text} But it does not overfit."
        evidence = [Evidence("parameters per sample", per_sample, n=len(seen.train.y)), Evidence.of("gap", gap)]
        return self.finding(text, evidence)

    @staticmethod
    def _count(seen: Observations) -> int:
        coefficients = getattr(seen.components.final, "coefs_", None)
        if isinstance(coefficients, list):  # scikit-learn's multilayer perceptron
            return sum(array.size for array in [*coefficients, *seen.components.final.intercepts_])
        return int(seen.need_keras_model().count_params())


class ReceptiveField(Check):
    """A network in which no feature sees half of the input, and nothing after them looks at where they are.

    Threshold: half of some axis; and a training score below that of a simple model, as in "underfit".
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
        sizes = seen.train.inputs.shape[1:-1] or seen.train.inputs.shape[-1:]
        field, longest = min(zip(fields, sizes, strict=False), key=lambda pair: pair[0] / pair[1])
        text = f"A feature sees {field} of {longest} positions."
        if dense or field >= self.threshold * longest:
            return text + (" A dense layer sees them all." if dense else "")
        behind = Underfit().look(seen)
        if isinstance(behind, str):
            return f"{text} {behind}"
        return self.finding(text, [Evidence("share of the axis", field / longest), *behind.evidence])


class DeadUnits(Check):
    """Units that output 0 for every training sample.

    Threshold: half of the channels of some layer with ReLU. A dead unit gets no gradient and stays dead (Lu et al.
    2020, https://arxiv.org/abs/1903.06733).
    """

    code, cause = "dead_units", "capacity"
    title = "Dead units"
    question = "Do all units do something?"
    why = "They are lost to the network, which is smaller than it seems; the learning rate has killed them."
    do = "Lower the learning rate, normalise (normalization='batch'), scale the inputs."
    cures = ("learning_rate",)
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
        tensors, X = [layer.layer.output for layer in layers], seen.train.inputs[rows].astype("float32")
        outputs = values_of(tensors, model, layers[0].owner, X)
        dead = {
            f"ReLU {number}": float((out.reshape(-1, out.shape[-1]) <= 0).all(axis=0).mean())
            for number, out in enumerate(outputs, 1)  # Keras' own names count on from model to model
        }
        worst = max(dead, key=lambda name: dead[name])
        text = f"In layer {worst} {dead[worst]:.0%} of the units are 0 on all of {len(rows)} training samples."
        if dead[worst] < self.threshold:
            return text
        chart = Chart("bars", "Dead units", list(dead), {"share": list(dead.values())}, "layer")
        return self.finding(text, [Evidence(f"share of dead units in {worst}", dead[worst], n=len(rows))], chart=chart)


class Saturated(Check):
    """Outputs that are certain, and wrong.

    Threshold: significantly more than a tenth of the test samples are predicted wrong with a probability of at least
    0.999, which should happen to one in a thousand.
    """

    code, cause = "saturated", "capacity"
    title = "Certain and wrong"
    question = "Are predictions that claim certainty right?"
    why = "The outputs are saturated: no gradient is left to correct them with, and no probability to choose by."
    do = "Stop early, regularise or smooth the labels (label_smoothing=0.1)."
    cures = ("stop_early", "regularise", "smooth_labels")
    threshold = 0.1
    certain = 0.999

    def look(self, seen: Observations) -> Finding | str:
        """Count certain predictions that are wrong."""
        seen.need("test", "probabilities")
        wrong = (seen.test.proba.max(axis=1) >= self.certain) & ~seen.test.right
        share = proportion(wrong)
        text = f"{wrong.sum()} of {len(wrong)} test samples are wrong at a probability of {self.certain} or more."
        if share.low < self.threshold:
            return text
        return self.finding(text, {"share of certain and wrong predictions": share})


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


CHECKS = [ReceptiveField, Underfit, DeadUnits, Parameters, Saturated]

"""Checks of probabilities: whether they mean what they say, and whether the threshold is where it should be."""

import numpy as np

from skcnn._statistics import bootstrap
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._decisions import moved_decisions

__all__ = ["Calibration", "Threshold", "calibration_error"]


def _bins(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Number bins of about equally many samples."""
    edges = np.quantile(confidence, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, confidence, side="right")


def calibration_error(confidence: np.ndarray, right: np.ndarray, n_bins: int = 10) -> float:
    """Return the expected calibration error over bins of equally many samples.

    ``sum(n_bin / n * abs(accuracy - mean confidence))`` (Naeini, Cooper and Hauskrecht 2015,
    https://doi.org/10.1609/aaai.v29i1.9602).
    """
    bins = _bins(confidence, n_bins)
    return float(np.abs(np.bincount(bins, weights=right - confidence, minlength=n_bins)).sum() / len(right))


class Calibration(Check):
    """Probabilities that do not come true as often as they say.

    The calibration error of a perfect model is not 0 on finitely many samples; labels drawn from the predicted
    probabilities say what it is (consistency resampling, Bröcker and Smith 2007, https://doi.org/10.1175/WAF993.1).
    Also stated: Brier score of "the prediction is right" into reliability, resolution and uncertainty (Murphy 1973).

    Threshold: significantly more than 0.1 beyond the mean of a perfect model. Uncalibrated image networks mostly have
    0.03 to 0.17 (Guo et al. 2017, table 1, https://arxiv.org/abs/1706.04599).
    """

    code, cause = "calibration", "probabilities"
    title = "Probabilities are not to be believed"
    question = "Do predicted probabilities come true as often as they say?"
    why = "Costs, thresholds and rankings across classes that are computed from them are wrong."
    do = "CalibratedClassifierCV around the estimator; early stopping or regularisation if it is too sure of itself."
    cures = ("stop_early", "regularise")
    threshold = 0.1
    n_bins = 10
    n_draws = 100

    def look(self, seen: Observations) -> Finding | str:
        """Measure the error of the probability of the predicted class."""
        seen.need("test", "probabilities")
        confidence, right = seen.test.proba.max(axis=1), seen.test.right.astype(float)
        rng = seen.rng(8)
        error = bootstrap(lambda rows: calibration_error(confidence[rows], right[rows], self.n_bins), len(right), rng)
        drawn = rng.uniform(size=(self.n_draws, len(right))) < confidence
        perfect = float(np.mean([calibration_error(confidence, draw.astype(float), self.n_bins) for draw in drawn]))
        text = f"The expected calibration error is {error.value:.3f}; a perfect model would have {perfect:.3f}."
        # The bootstrap repeats samples, which raises an absolute error: its spread is used around the value itself.
        if error.low - perfect < self.threshold:
            return text
        _, bins, counts = np.unique(_bins(confidence, self.n_bins), return_inverse=True, return_counts=True)
        mean_confidence, accuracy = (np.bincount(bins, weights=values) / counts for values in (confidence, right))
        share, rate = counts / len(right), right.mean()
        squares = (confidence - right) ** 2
        evidence = [
            Evidence.of("expected calibration error", error),
            Evidence("that of a perfect model", perfect, n=len(right)),
            Evidence.of("Brier score", bootstrap(lambda rows: squares[rows].mean(), len(right), rng)),
            Evidence("its reliability", float((share * (mean_confidence - accuracy) ** 2).sum()), n=len(right)),
            Evidence("its resolution", float((share * (accuracy - rate) ** 2).sum()), n=len(right)),
            Evidence("its uncertainty", float(rate * (1 - rate)), n=len(right)),
        ]
        too = "too sure" if confidence.mean() > rate else "not sure enough"
        series = {"accuracy": accuracy.tolist(), "perfect": mean_confidence.tolist()}
        chart = Chart("lines", "Reliability", mean_confidence.round(4).tolist(), series, "mean probability", "accuracy")
        how = "It says how far to trust probabilities; decisions, and the score, do not change by it."
        return self.finding(f"{text} The model is {too} of itself.", evidence, chart=chart, measured=how)


class Threshold(Check):
    """Decisions that a fixed change of threshold or class weights would make better.

    For two classes the threshold is chosen on one half of the test samples and judged on the other, and the other way
    round, so that it owes nothing to its choice. For more classes probabilities are divided by the class shares of the
    training samples, where a class is rare, or scaled so that they have these shares on the training samples; nothing
    is chosen there.

    Threshold: the ranking is significantly better than chance, and the test score gains 0.02, at 99.9%.
    """

    code, cause = "threshold", "probabilities"
    title = "The threshold is in the wrong place"
    question = "Is the decision threshold about where it should be?"
    why = "The model ranks the samples better than its decisions show."
    do = (
        "priors (a share for each class) or, of two classes, TunedThresholdClassifierCV move the threshold without "
        "retraining; class weights move it, too."
    )
    cures = ("balance",)
    least_gain = 0.02

    def look(self, seen: Observations) -> Finding | str:
        """Move the decisions."""
        seen.need("test", "classes")
        moved = moved_decisions(seen)
        text = f"Another threshold would change {seen.score_name} by {moved.effect.value:+.3f}."
        if moved.strict.low <= 0 or moved.effect.value < self.least_gain:
            return text
        gain = {f"gain in {seen.score_name}": moved.effect}
        return self.finding(text, gain, effect=moved.effect, measured=moved.measured, mended=moved.mended)

"""What a cause costs, by fitting the estimator again; or at least, by how far a simple model is ahead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from skcnn._statistics import CAREFUL_LEVEL, Estimate
from skcnn.diagnosis._check import Chart, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = ["SYMPTOM", "SimpleModel", "Trial", "by_lead", "history_chart", "tried"]

LEAST_LEAD = 0.02
SYMPTOM = "It is a symptom: what causes it is among the causes, or not known."
UNKNOWN = "What it costs would take another fit of the estimator. Does the score rise without it?"


@dataclass(frozen=True)
class Trial:
    """What was gained without a cause: arguments of `Check.finding`.

    Attributes
    ----------
    effect : Estimate or None
        How much the test score rose.
    measured : str
        How that was measured.
    mended : Observations or None
        Those without the cause.
    params : dict
        Parameters that were changed.
    """

    effect: Estimate | None
    measured: str
    mended: Observations | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def raised(self) -> bool:
        """Whether the score rose significantly, and by enough to speak of a cause."""
        return self.effect is not None and self.effect.low > 0 and self.effect.value >= Finding.LEAST

    @property
    def refitted(self) -> bool:
        """Whether the estimator was fitted again."""
        return bool(self.params)

    @property
    def facts(self) -> dict[str, Any]:
        """Arguments of a finding; parameters only where they raised the score."""
        params = {"params": dict(self.params)} if self.raised and self.params else {}
        return {"effect": self.effect, "measured": self.measured, "mended": self.mended, **params}


class SimpleModel:
    """The simple model in place of the estimator: what is within reach at least."""

    def __init__(self, seen: Observations) -> None:
        self._seen = seen
        self._fitted = clone(seen.reference.model).fit(seen.reference.X, seen.reference.y)
        if seen.has_classes:
            self.classes_ = seen.classes
            self.predict_proba = self._raw

    def _raw(self, X: Any) -> np.ndarray:
        flat = self._seen.components.transform(X).reshape(len(X), -1).astype(np.float64)
        return self._seen.reference.predict(self._fitted, flat)

    def predict(self, X: Any) -> np.ndarray:
        """Predict as the simple model does."""
        labels = self._seen.reference.labels(self._raw(X))
        return self._seen.classes[labels] if self._seen.has_classes else labels


def by_lead(seen: Observations, least: float = LEAST_LEAD) -> Trial:
    """Return how far the simple model is ahead on the test samples, as a lower bound of what can be gained."""
    if not seen.has_test:
        return Trial(None, "Without test samples its effect on their score cannot be measured.")
    try:
        lead = seen.both.lead
    except NotApplicable:
        return Trial(None, UNKNOWN)
    if lead.low <= 0 or lead.value < least:
        return Trial(None, UNKNOWN)
    how = f"By how far {seen.reference.name} is ahead on the test samples: that much is within reach at least."
    return Trial(lead, how, seen.changed(predicts=SimpleModel(seen)))


def tried(seen: Observations, *candidates: Mapping[str, Any], least: float = Finding.LEAST, lead: bool = True) -> Trial:
    """Fit the estimator with each candidate's parameters until one raises the test score, and say what that gains.

    Parameters
    ----------
    seen : Observations
        What is diagnosed.
    *candidates : mapping
        Parameters of the final step, most likely ones first. An empty one is skipped.
    least : float
        Gain from which a candidate is taken.
    lead : bool
        Whether the lead of the simple model counts, where the estimator could not be fitted again.
    """
    best: Trial | None = None
    for params in filter(None, candidates):
        other = seen.refitted(**params) if seen.has_test else None
        if other is None:
            continue
        gain = seen.gain(other, CAREFUL_LEVEL)
        shown = ", ".join(f"{name}={_short(value)}" for name, value in params.items())
        trial = Trial(gain, f"Fitted again with {shown}.", other, params)
        if best is None or best.effect is None or gain.value > best.effect.value:
            best = trial
        if trial.raised and gain.value >= least:
            return trial
    if best is None:
        return by_lead(seen) if lead else Trial(None, UNKNOWN)
    if best.raised and best.effect is not None:  # significant, but too little to speak of a cause
        return Trial(None, f"{best.measured} The test score rose by {best.effect.value:.3f} only.", params=best.params)
    return Trial(best.effect, best.measured, params=best.params)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def history_chart(seen: Observations) -> Chart | None:
    """Return the curves of the training history."""
    history = seen.components.history
    series = {name: values for name, values in history.items() if name in ("loss", "val_loss")}
    if not series:
        return None
    epochs = list(range(1, len(next(iter(series.values()))) + 1))
    return Chart("lines", "Loss by epoch", epochs, series, "epoch", "loss")

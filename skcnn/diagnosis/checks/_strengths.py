"""Checks of strengths: parameters far beyond their useful range, and too little of what keeps from overfitting."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectFdr, f_classif, f_regression

from skcnn._statistics import CAREFUL_LEVEL, difference
from skcnn.diagnosis._check import Check, Finding
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._strengths import augmenting, differing, excessive, far_from_default
from skcnn.diagnosis.checks._trials import Trial, history_chart, tried
from skcnn.diagnosis.checks._yardsticks import behind_on_training

__all__ = ["Gap", "Overdone", "regularised"]


class Overdone(Check):
    """A parameter far from what is usual, without which the model is better.

    Few would set it so on purpose: a dropout of 0.8 or more, l2 of 0.1, l1 of 0.01, label smoothing of 0.5,
    augmentation three times as strong as usual, C of 0.001, learning rates of a network of at most 1e-5 or at least
    0.1, batches of at most 4, an average over more steps than there were, leaves of a twentieth of all samples, weights
    that favour the largest class. Where the model is bad on its training samples, or a simple model leads on the test
    samples, any number that is a hundred times its default or a hundredth of it counts, too, any regulariser that is
    thirty times as strong as by default, or that is not used by default, and any bound on the depth or leaves of trees
    that have none by default.

    Threshold: none on the value alone. The estimator is fitted again with that one parameter at its default, at most
    three of them one after the other, then with all; the effect is what the test score gains.
    """

    code, cause = "overdone", "fit"
    title = "A parameter far from what is usual"
    question = "Are all parameters within their useful range?"
    why = "It leaves the model no room to learn what the data hold."
    do = "Set it to its default, and search around that."
    cures = ("back",)
    MOST = 3

    def look(self, seen: Observations) -> Finding | str:
        """Put each parameter back to its default."""
        usual = excessive(seen)
        if not usual and self._is_bad(seen):
            usual = far_from_default(seen)
        if not usual:
            return "No parameter is far beyond its useful range."
        params = seen.components.params
        named = ", ".join(f"{name}={params[name]!r} (default {value!r})" for name, value in usual.items())
        singles = [{name: value} for name, value in usual.items()]
        if {"tol", "n_iter_no_change"} <= usual.keys():  # they work together
            pair = {name: usual[name] for name in ("tol", "n_iter_no_change")}
            singles = [pair, *(single for single in singles if not single.keys() <= pair.keys())]
        trial = tried(seen, *singles[: self.MOST], *([usual] if len(singles) > 1 else []))
        if trial.refitted and not trial.raised:
            return f"{named}: far beyond what is usual, but without it the test score is no better."
        if trial.raised and trial.params:
            named = ", ".join(f"{name}={params[name]!r} (default {usual[name]!r})" for name in trial.params)
        what = f"The model is better without {named}." if trial.raised else f"Far beyond its useful range: {named}."
        return self.finding(what, chart=history_chart(seen), **trial.facts)

    @staticmethod
    def _is_bad(seen: Observations) -> bool:
        if behind_on_training(seen).low > 0.02:
            return True
        return seen.has_test and seen.both.lead.low > 0 and seen.both.lead.value >= 0.02


def regularised(seen: Observations) -> list[dict[str, Any]]:
    """Return parameters that keep the estimator from overfitting: what is usual, and only what it has.

    Nothing for a forest, whose trees fit their training samples by intent.
    """
    params = seen.components.params
    if "dropout" in params and is_number(params.get("l2", 0.0)):
        more: dict[str, Any] = {"dropout": max(0.3, float(params["dropout"]))}
        if "l2" in params:
            more["l2"] = max(1e-3, float(params["l2"]))
        if params.get("augmentation", "") is None and len(seen.sample_shape) > 1:
            more["augmentation"] = augmenting(seen)
        smaller = {name: value for name, value in differing(seen.components).items() if name == "network"}
        return [more, smaller]
    if "hidden_layer_sizes" in params and is_number(params["alpha"]):
        return [{"early_stopping": True}, {"alpha": max(1.0, 100 * float(params["alpha"]))}]
    if is_number(params.get("C")):
        gamma = {"gamma": "scale"} if is_number(params.get("gamma")) else {}
        return [gamma, {"C": min(1.0, float(params["C"]) / 100), **gamma}]
    if is_number(params.get("n_neighbors")):
        return [{"n_neighbors": max(5, 4 * int(params["n_neighbors"]))}] if params["n_neighbors"] < 5 else []
    if "max_leaf_nodes" in params and "max_iter" in params:  # boosting by histograms
        return [{"min_samples_leaf": 50, "max_leaf_nodes": 8}]
    if "splitter" in params:
        return [{"min_samples_leaf": 10}]
    if is_number(params.get("alpha")) and seen.kind == "regression":
        return [{"alpha": 100 * float(params["alpha"])}]
    return []


class Gap(Check):
    """A test score below the training score, which regularisation raises.

    A training score above the test score is no fault by itself: every forest has it, and large networks that learn
    their training samples by heart generalise (Belkin et al. 2019, https://doi.org/10.1073/pnas.1903070116).

    Threshold: the test score is significantly more than 0.05 below; and the estimator, fitted again with usual
    regularisation (dropout, l2 and augmentation of a network; early stopping; a smaller C; larger leaves), has a test
    score that is significantly higher, by 0.02; or of ten columns or more, fitted again without those that go neither
    with the target (at a false discovery rate of 5%) nor with any other column (by four standard errors), if a fifth of
    them do not. Many a sound fit gains some hundredths by another strength: below 0.05 the severity is low.
    """

    code, cause = "gap", "fit"
    title = "Learned its training samples by heart (overfitting)"
    question = "Does the score on the training samples hold on the test samples?"
    why = "What was learned holds for the training samples and not for new ones."
    do = "Regularise (l2, dropout, weight_decay), stop early, augment, take a smaller network or more samples."
    cures = ("regularise", "stop_early")
    grades = (0.05, 0.1)
    threshold = 0.05
    least_gain = 0.02
    many_columns = 10

    def look(self, seen: Observations) -> Finding | str:
        """Compare training and test score, then regularise."""
        seen.need("test")
        train, test, name = seen.train.score, seen.test.score, seen.score_name
        gap = difference(train, test)
        text = f"Training {name} is {train.value:.3f}, test {name} {test.value:.3f}."
        if gap.low < self.threshold:
            return text
        candidates = regularised(seen)
        trial = tried(seen, *candidates, least=self.least_gain, lead=False)
        fewer = self._fewer_columns(seen) if not trial.raised and self._wide(seen) else None
        if not any(candidates) and fewer is None:
            return f"{text} Such estimators fit their training samples by intent."
        if fewer is not None and fewer.raised:
            trial = fewer
        if not trial.raised and (trial.refitted or fewer is not None):
            return f"{text} With more regularisation, or fewer columns, the test score is no better."
        evidence = {f"training {name}": train, f"test {name}": test, "difference": gap}
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)

    def _wide(self, seen: Observations) -> bool:
        """Whether samples are of so many columns that a selection of them may help."""
        return (
            len(seen.sample_shape) == 1 and seen.sample_shape[0] >= self.many_columns and seen.train.targets.ndim == 1
        )

    @staticmethod
    def _fewer_columns(seen: Observations) -> Trial | None:
        """Fit again without columns of noise, if there are several and it may be."""
        X, y = seen.train.flat, seen.reference.y
        useful = SelectFdr(f_classif if seen.has_classes else f_regression).fit(X, y).get_support()
        related = np.abs(np.corrcoef(X, rowvar=False)) - np.eye(X.shape[1])
        useful |= np.nan_to_num(related).max(axis=0) > 4 / np.sqrt(len(X))
        if useful.mean() > 0.8 or not useful.any():
            return None
        keep = ColumnTransformer([("useful", "passthrough", np.flatnonzero(useful))])
        other = seen.refitted(before=keep)
        if other is None:
            return None
        how = f"Fitted again without {(~useful).sum()} columns that go neither with the target nor with another column."
        return Trial(seen.gain(other, CAREFUL_LEVEL), how, other)

"""Checks of the values that arrive at the final step: missing, standing for missing, constant, scaled."""

from collections import Counter
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from skcnn._sklearn.checks import is_frame
from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import CAREFUL_LEVEL, EFFECT_LEVEL, Estimate, weighted_mean
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import layers_of
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._mending import numbers, with_numbers
from skcnn.diagnosis.checks._trials import by_lead

__all__ = ["ConstantInputs", "InputScale", "NonFinite", "ScalerOutside", "SentinelValues"]


class NonFinite(Check):
    """Missing or infinite values at the final step.

    Pattern: any. What they cost is the score on the other test samples less that on these; samples that the estimator
    cannot predict count as wrong. If hardly any test sample is without them: what the estimator, fitted on two thirds
    of the training samples, loses on the last third where these lack the values that test samples lack. If a network
    was trained on some, it is fitted again without them.
    """

    code, cause = "non_finite", "preprocessing"
    title = "Values that are not finite"
    question = "Are all inputs finite?"
    why = "One such value makes a network's loss, and then all of its weights, not a number."
    do = "Impute inside the pipeline (SimpleImputer, NDTransformer(SimpleImputer())), or remove the samples."
    cures = ("impute",)

    def look(self, seen: Observations) -> Finding | str:
        """Count them, in training and test samples."""
        affected = {name: _not_finite(side) for name, side in seen.sides.items()}
        counts = {name: int(rows.sum()) for name, rows in affected.items()}
        if not any(counts.values()):
            return "All inputs are finite."
        where = " and ".join(f"{count} {name} samples" for name, count in counts.items() if count)
        evidence = [
            Evidence(f"{name} samples with such values", counts[name], n=len(side.y))
            for name, side in seen.sides.items()
        ]
        what = f"{where} hold values that are not finite."
        learned = counts["training"] and seen.has_test and seen.components.is_network
        if learned and (other := seen.refitted(~affected["training"])) is not None:
            measured = "The test score of the estimator fitted again without such training samples, less that before."
            return self.finding(what, evidence, effect=seen.gain(other), measured=measured, mended=other)
        if not counts.get("test"):
            measured = "not measured: no test sample has such values. Does the estimator know what they mean?"
            return self.finding(what, evidence, measured=measured)
        effect, measured = self._cost(seen, affected["test"])
        mended = None if affected["test"].all() else seen.changed(keep=~affected["test"])
        return self.finding(what, evidence, effect=effect, measured=measured, mended=mended)

    @staticmethod
    def _cost(seen: Observations, affected: np.ndarray) -> tuple[Estimate | None, str]:
        """Return what the affected test samples cost, or why that is not known."""
        try:
            effect: Estimate | None = seen.without(affected)
        except NotApplicable as reason:
            try:
                _ = seen.test.predicted
            except NotApplicable:
                return _refused(seen, affected) if not affected.all() else (None, f"not measured: {reason}")
            effect = _as_in_test(seen)
            if effect is None:
                return None, f"not measured: {reason}"
            return effect, "What the estimator loses on training samples held back, without the values that test lacks."
        return effect, "The score on test samples without such values, less that on all; matched by class."


def _refused(seen: Observations, affected: np.ndarray) -> tuple[Estimate, str]:
    """Return what is lost where the estimator predicts no sample with such values."""
    others = seen.changed(keep=~affected).test
    quality = np.zeros(len(affected))
    quality[~affected] = others.quality
    weight = np.full(len(quality), 1 / len(quality))
    lost = weighted_mean(np.where(affected, others.quality.mean(), 0.0), weight, EFFECT_LEVEL)
    return lost, "The score on the other test samples, if these, which it cannot predict, count as wrong."


def _as_in_test(seen: Observations) -> Estimate | None:
    """Return what is lost where training samples held back lack what test samples lack; None without another fit."""
    if seen.both.last_third is None:
        return None
    other, rows = seen.both.last_third
    values, lacking = numbers(seen.train.X)[rows], ~np.isfinite(numbers(seen.test.X))
    if values.shape[1:] != lacking.shape[1:] or not np.isfinite(values).all():
        return None
    samples, y = safe_indexing(seen.train.X, rows), seen.train.y[rows]
    pattern = lacking[seen.rng(53).integers(0, len(lacking), len(rows))]
    whole, holed = (
        seen.changed(predicts=other.estimator, X_test=X, y_test=y).test.quality
        for X in (samples, with_numbers(samples, np.where(pattern, np.nan, values)))
    )
    return weighted_mean(whole - holed, np.ones(len(rows)), EFFECT_LEVEL)


def _not_finite(side: Any) -> np.ndarray:
    """Whether each sample has values at the final step that are not finite; as given, if no step lets them pass."""
    try:
        X = side.inputs
    except ValueError:
        X = numbers(side.X)
    return ~np.isfinite(X.reshape(len(side.y), -1).astype(np.float64)).all(axis=1)


class SentinelValues(Check):
    """Numbers that stand for missing values, such as -999.

    Pattern: in columns with more than 20 values, one value, the least or the largest, lies further from the rest than
    five times the range of the rest, and is repeated, in all columns together, five times and as often as 1% of the
    samples. Borders of images, zeros and counts do not.

    If training samples have none, or hardly any, the test samples' are replaced by the training medians. Otherwise the
    estimator is fitted again with medians in their place; without that, the lead of the simple model is what is within
    reach. A forest copes: there the effect is none.
    """

    code, cause = "sentinel_values", "preprocessing"
    title = "Numbers that stand for missing values"
    question = "Is no value a stand-in for a missing one, such as -999?"
    why = (
        "A value far outside pulls scales, weights and distances towards it, though it says only that nothing is known."
    )
    do = (
        "Name it in the pipeline: SimpleImputer(missing_values=-999), with add_indicator=True if missing has a meaning."
    )
    share = 0.01
    least = 5
    n_values = 20
    far = 5.0

    def look(self, seen: Observations) -> Finding | str:
        """Look for them, and put medians in their place."""
        raw = [numbers(side.X) for side in seen.sides.values()]
        if raw[0].ndim > 3:
            raise NotApplicable("samples are images")
        tables = [X.reshape(-1, X.shape[-1]) if X.ndim > 2 else X.reshape(len(X), -1) for X in raw]
        values = self._values(np.concatenate(tables))
        if not values:
            return "No value stands far outside and is often repeated."
        held = [np.stack([table[:, column] == value for column, value in values.items()], axis=1) for table in tables]
        shares = [float(one.any(axis=1).mean()) for one in held]
        if self._imputed(seen, held[0]):
            return "Values that stand for missing ones are replaced within the pipeline."
        named = ", ".join(f"{value:g}" for value in sorted(set(values.values()))[:3])
        what = f"{named} stands far outside and often in {len(values)} columns, as if for missing values."
        evidence = [
            Evidence(f"share of {name} samples, or steps, with it", share, n=len(table))
            for name, share, table in zip(seen.sides, shares, tables, strict=True)
        ]
        if not seen.has_test:
            return self.finding(what, evidence, measured="not measured: no test samples were given.")
        effect, measured, mended = self._without(seen, raw, values, shares)
        return self.finding(what, evidence, effect=effect, measured=measured, mended=mended)

    def _values(self, X: np.ndarray) -> dict[int, float]:
        """Return such a value for each column that has one."""
        found: dict[int, float] = {}
        times: Counter[float] = Counter()
        for column in range(X.shape[1]):
            known = X[np.isfinite(X[:, column]), column]
            if not len(known):
                continue
            low, high = known.min(), known.max()
            for value in (low, high):
                here = known == value
                if value == 0 or here.sum() > 0.9 * len(known):
                    continue
                rest = known[~here]
                away = rest.min() - value if value == low else value - rest.max()
                if away > self.far * np.ptp(rest) and len(np.unique(rest[:1000])) > self.n_values:
                    found[column] = float(value)
                    times[float(value)] += int(here.sum())
        often = max(self.least, self.share * len(X))
        return {column: value for column, value in found.items() if times[value] >= often}

    @staticmethod
    def _imputed(seen: Observations, held: np.ndarray) -> bool:
        """Whether the steps before the final one have removed what was found."""
        if not seen.components.steps or len(held) != len(seen.train.y):
            return False
        inputs = seen.train.inputs
        flat = inputs.reshape(len(inputs), -1).astype(np.float64)
        rows = held.any(axis=1)
        if not rows.any() or rows.all():
            return False
        outside = np.abs(flat - np.nanmedian(flat[~rows], axis=0)) > 3 * np.maximum(np.ptp(flat[~rows], axis=0), 1e-12)
        return not outside[rows].any()

    def _without(
        self, seen: Observations, raw: list[np.ndarray], values: dict[int, float], shares: list[float]
    ) -> tuple[Estimate | None, str, Observations | None]:
        """Return effect, how it was measured, and the observations with medians in their place."""
        medians = {
            column: np.nanmedian(raw[0][..., column][raw[0][..., column] != value]) for column, value in values.items()
        }
        filled = []
        for X, side in zip(raw, seen.sides.values(), strict=True):
            X = X.copy()
            for column, value in values.items():
                part = X[..., column]
                part[part == value] = medians[column]
            filled.append(with_numbers(side.X, X))
        if shares[0] < 0.2 * shares[1]:
            mended = seen.changed(X_test=filled[1])
            return seen.gain(mended), "The test score with training medians in their place, less that before.", mended
        if (other := seen.refitted(X=(filled[0], filled[1]))) is not None:
            how = "The test score of the estimator fitted again with training medians in their place, less that before."
            return seen.gain(other), how, other
        how = "The lead of a simple model over the estimator, which was not fitted again: within reach, for any reason."
        return seen.both.lead, how, None


class ConstantInputs(Check):
    """Channels or columns that never change: in training, or in the test samples alone.

    Pattern: any channel of N-D samples, or half of the columns of flat samples, that is constant in training: a note,
    since what never changes carries nothing. If they change in more than half of the test samples, these are put back;
    where that does not help, the cost is what the model could not learn of them, by a simple model within the test
    samples with them and without.
    Channels or columns that are constant in the test samples alone, where in training the value is frequent in no more
    than half of the samples, have failed; the estimator is fitted again without them, or the simple model says what the
    test set loses.
    """

    code, cause = "constant_inputs", "preprocessing"
    title = "Inputs that never change"
    question = "Do all inputs vary, over the training samples and over the test samples?"
    why = "A constant input carries nothing; constant on one side only, it misleads."
    do = "Find out why (an empty file, a broken sensor, a mask); drop it with VarianceThreshold, in the pipeline."
    threshold = 0.5
    awake = 0.5
    least_samples = 20
    least_within = 60

    def look(self, seen: Observations) -> Finding | str:
        """Look for channels and columns without spread."""
        train = _by_column(numbers(seen.train.X))
        constant = _constant(train)
        kind = "channels" if train.shape[1] > 1 else "columns"
        n, count = len(constant), int(constant.sum())
        text = f"{count} of {n} {kind} are constant in the training samples."
        evidence = [Evidence(f"{kind} that are constant in training", count, n=len(train))]
        if seen.has_test and len(seen.test.y) >= self.least_samples:
            test = _by_column(numbers(seen.test.X))
            woke = constant & ((test != train[0, 0]).any(axis=1).mean(axis=0) > self.awake)
            if woke.any():
                return self._woke(seen, woke, train[0, 0], evidence, kind)
            dead = _constant(test) & ~constant
            dead &= (train == test[0, 0]).mean(axis=(0, 1)) <= self.awake
            if dead.any():
                return self._dead(seen, dead, test[0, 0], kind)
        if not constant.all() and (count >= self.threshold * n or (count and kind == "channels")):
            return self.finding(text, evidence, measured="What never changes carries nothing, and costs time only.")
        return text

    def _woke(
        self, seen: Observations, woke: np.ndarray, value: np.ndarray, evidence: list[Evidence], kind: str
    ) -> Finding:
        mended = seen.changed(X_test=_with(seen.test.X, woke, value))
        what = f"{woke.sum()} {kind} are constant in the training samples, but change in the test samples."
        gain = seen.gain(mended)
        if gain.sign > 0 or len(seen.test.chosen) < self.least_within:
            measured = f"The test score with the training value in these {kind}, less that before."
            return self.finding(what, evidence, effect=gain, measured=measured, mended=mended)
        told = seen.both.test_within - mended.both.test_within
        effect = weighted_mean(told, seen.test.weight[seen.test.chosen], EFFECT_LEVEL)
        measured = f"What these {kind} tell: a simple model within the test samples, with them less without."
        return self.finding(what, evidence, effect=effect, measured=measured, mended=mended)

    def _dead(self, seen: Observations, dead: np.ndarray, value: np.ndarray, kind: str) -> Finding:
        what = f"{dead.sum()} {kind} are constant in the test samples, though not in the training samples."
        evidence = [Evidence(f"{kind} that are constant in the test samples alone", int(dead.sum()), n=len(dead))]
        other = seen.refitted(X=(_with(seen.train.X, dead, value), seen.test.X))
        if other is not None and (gain := seen.gain(other)).sign > 0:
            measured = f"The test score of the estimator fitted again without these {kind}, less that before."
            return self.finding(what, evidence, effect=gain, measured=measured, mended=other)
        measured = "What a simple model loses from training samples, out of fold, to the test samples."
        return self.finding(what, evidence, effect=seen.both.misfit, measured=measured, mended=other)


def _by_column(X: np.ndarray) -> np.ndarray:
    """Return samples as (n, positions, channels), those of a table as (n, 1, columns)."""
    return X.reshape(len(X), -1, X.shape[-1]) if X.ndim > 2 and X.shape[-1] > 1 else X.reshape(len(X), 1, -1)


def _constant(X: np.ndarray) -> np.ndarray:
    return np.asarray((X[0, 0] == X).all(axis=(0, 1)))


def _with(X: Any, columns: np.ndarray, value: np.ndarray) -> Any:
    """Return samples with one value in some columns or channels."""
    values = numbers(X)
    return with_numbers(X, np.where(columns, value, _by_column(values)).reshape(values.shape))


class InputScale(Check):
    """Inputs far from zero mean and unit spread where the network meets them.

    Pattern: a root mean square above 3 or below 0.3; a mean of more than 3 spreads, in the median channel or column; or
    columns of a table whose spreads differ by 20 times. Initial weights are made for inputs of zero mean and unit
    variance (Glorot and Bengio 2010; LeCun et al. 1998, section 4.3, https://doi.org/10.1007/978-3-642-35289-8_3).
    Passed if the network normalises within its first layers. The estimator is fitted again on standardised inputs;
    without that, the lead of a simple model is what is within reach.
    """

    code, cause = "input_scale", "preprocessing"
    title = "Inputs far from unit scale"
    question = "Do the inputs have about zero mean and unit spread where the network meets them?"
    why = "Rates, penalties and initial weights are made for unit scale; otherwise training crawls or blows up."
    do = "Scale inside the pipeline: StandardScaler, or NDTransformer(StandardScaler(), per='channel')."
    cures = ("scale",)
    large = 3.0
    small = 0.3
    off_centre = 3.0
    columns = 20.0
    NORMALISING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "Rescaling")

    def look(self, seen: Observations) -> Finding | str:
        """Measure level and spread, of each channel or each column."""
        if not seen.components.is_network:
            raise NotApplicable("the final step is no network")
        if seen.components.params.get("standardize"):
            return "The estimator standardises its inputs."
        X = seen.train.flat
        rms, off, spread = self._scales(seen, X)
        text = f"The root mean square of the inputs is {rms:.3g}, their mean {off:.2g} spreads from 0."
        if self.small <= rms <= self.large and off <= self.off_centre and spread <= self.columns:
            return text
        first = [one.layer for one in layers_of(seen.components.keras_model)[:4] if one.kind in self.NORMALISING]
        # Columns of other spreads need a layer that has a number for each of them.
        of_columns = any(weight.shape and max(weight.shape) == X.shape[1] for one in first for weight in one.weights)
        if of_columns or (first and spread <= self.columns):
            return f"{text} The network normalises within its first layers."
        if spread > self.columns:
            text += f" The spreads of its columns differ by {spread:.3g} times."
        evidence = [
            Evidence("root mean square", rms, n=len(X)),
            Evidence("distance of the mean from 0, in spreads", off, n=len(X)),
            Evidence("largest spread of a column, times the smallest", spread, n=len(X)),
        ]
        if not seen.has_test:
            return self.finding(text, evidence, measured="not measured: no test samples were given.")
        other = self._standardised(seen)
        if other is not None:
            measured = "The test score of the estimator fitted again on standardised inputs, less that before."
            return self.finding(text, evidence, effect=seen.gain(other, CAREFUL_LEVEL), measured=measured, mended=other)
        return self.finding(text, evidence, **by_lead(seen).facts)

    @staticmethod
    def _scales(seen: Observations, X: np.ndarray) -> tuple[float, float, float]:
        """Return root mean square, the median distance of means from 0, and how much spreads of columns differ."""
        is_table = len(seen.sample_shape) == 1
        n_channels = 1 if is_table else seen.sample_shape[-1]
        values = X if is_table or X.shape[1] % n_channels else X.reshape(-1, n_channels)
        level, scale = values.mean(axis=0), values.std(axis=0)
        varies = scale > 1e-12 * np.maximum(np.abs(level), 1)
        rms = float(np.sqrt(np.mean(X**2)))
        if not varies.any():
            return rms, 0.0, 1.0
        level, scale = level[varies], scale[varies]
        spread = float(np.quantile(scale, 0.95) / np.quantile(scale, 0.05)) if is_table else 1.0
        return rms, float(np.median(np.abs(level) / scale)), spread

    @staticmethod
    def _standardised(seen: Observations) -> Observations | None:
        if "standardize" not in seen.components.params:
            return seen.refitted(before=StandardScaler()) if seen.train.inputs.ndim == 2 else None
        how = "position" if len(seen.sample_shape) == 1 else "channel"
        return seen.refitted(standardize=how)


class ScalerOutside(Check):
    """Samples that were scaled before they were split, which shows in the numbers.

    Pattern: training and test samples together have mean 0 and standard deviation 1, or range from 0 to 1, in every
    column, to rounding, and the training samples alone do not. Columns with few values, such as answers and counts,
    have a range by nature and are left out. A note: an estimator that was fitted on samples scaled by slightly other
    numbers predicts the same, or nearly.
    """

    code, cause = "scaler_outside", "preprocessing"
    title = "Scaled before the split"
    question = "Was the scaler fitted on training samples alone?"
    why = "Test samples have had a say in the scale: a leak, small for a scaler, large for anything that looks at y."
    do = "Give raw samples, and put the scaler into the pipeline."
    cures = ("scale",)
    tolerance = 2e-3
    least_columns = 4
    n_values = 20

    def look(self, seen: Observations) -> Finding | str:
        """Look at the columns of the samples as they were given."""
        seen.need("test")
        if not is_frame(seen.train.X) and seen.train.X.dtype.kind in "iu":
            return "The samples are not scaled: they are integers."
        train, test = (numbers(side.X).reshape(len(side.y), -1) for side in (seen.train, seen.test))
        whole = np.concatenate([train, test])
        ordered = np.sort(whole, axis=0)
        varies = ((np.diff(ordered, axis=0) > 0).sum(axis=0) >= self.n_values) & np.isfinite(whole).all(axis=0)
        if varies.sum() < self.least_columns:
            raise NotApplicable(
                f"{varies.sum()} columns have a scale; at least {self.least_columns} are needed to tell"
            )
        train, whole = train[:, varies], whole[:, varies]
        for name, fits in (("mean 0 and standard deviation 1", self._standard), ("range 0 to 1", self._range)):
            if fits(whole) and not fits(train):
                evidence = [Evidence(f"columns with {name} over all samples", int(varies.sum()), n=len(whole))]
                return self.finding(
                    f"Training and test samples together have {name} in every column.",
                    evidence,
                    measured="not measured: the scale of the training samples alone gives nearly the same predictions. "
                    "Was anything else fitted on all samples, such as a selection of features by y?",
                )
        return "The samples show no sign of it."

    def _standard(self, X: np.ndarray) -> bool:
        near = self.tolerance / np.sqrt(len(X))
        return bool((np.abs(X.mean(axis=0)) < near).all() and (np.abs(X.std(axis=0) - 1) < near).all())

    def _range(self, X: np.ndarray) -> bool:
        return bool((np.abs(X.min(axis=0)) < 1e-6).all() and (np.abs(X.max(axis=0) - 1) < 1e-6).all())

"""Checks of test samples that were scaled, or measured, otherwise than the training samples."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2_contingency

from skcnn._statistics import ALPHA
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._mending import Transform, best_of, numbers

__all__ = ["Columns", "TestScale"]


@dataclass(frozen=True)
class Columns:
    """Level and spread of columns, by values pulled in to the 5% and 95% quantiles, so that tails have little say.

    Attributes
    ----------
    level, spread : ndarray of shape (n_columns,)
        Mean and standard deviation of the values that were pulled in.
    level_error, spread_error : ndarray of shape (n_columns,)
        Standard errors of the level, and of the logarithm of the spread.
    varies : ndarray of shape (n_columns,) of bool
        Whether the 10% and 90% quantiles differ.
    """

    level: np.ndarray
    spread: np.ndarray
    level_error: np.ndarray
    spread_error: np.ndarray
    varies: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> "Columns":
        """Measure columns; one that hardly varies between the quantiles is taken whole."""
        low, high = np.quantile(X, [0.05, 0.95], axis=0)
        held = np.where(high > low, np.clip(X, low, high), X)
        level, spread = held.mean(axis=0), held.std(axis=0)
        safe = np.where(spread > 0, spread, 1)
        kurtosis = np.mean(((held - level) / safe) ** 4, axis=0)
        n = len(X)
        # Pulling in a tenth of the values lets the errors look smaller by that part (Tukey and McLaughlin 1963).
        spread_error = np.sqrt(np.maximum(kurtosis - 1, 0.5) / (4 * n)) / 0.9
        varies = np.ptp(np.quantile(X, [0.1, 0.9], axis=0), axis=0) > 0
        return cls(level, spread, spread / np.sqrt(n) / 0.9, spread_error, varies)


class TestScale(Check):
    """Test samples on another scale than the training samples: scaled by other numbers, in other units, or not at all.

    Pattern: a column that significantly differs (level 0.1% over all columns) by 1.15 times in spread or by 0.3
    spreads in level; or all columns together by 1.1 times or 0.15 spreads, at four standard errors of the means of
    samples. Columns with no more than 20 values, all of which occur in training, have no scale, nor do those of which
    nine tenths of the values are equal, such as corners of pictures. Both are lower bounds
    only: what decides is whether the score rises after the test samples are matched to the training samples, by one
    factor, one offset, both, both for each channel, for the columns that differ, or for every column.
    """

    __test__ = False  # not a test of pytest's
    code, cause = "test_scale", "preprocessing"
    title = "Test samples are scaled differently"
    question = "Are training and test samples on the same scale?"
    why = "The model sees values that it was not trained on: the test score says nothing of the model."
    do = "Put the scaler into the pipeline, which fits it on training samples and applies it to both; compare units."
    ratio = 1.15
    shift = 0.3
    ratio_of_all = 1.1
    shift_of_all = 0.15
    errors = 4.0
    least_samples = 20
    most_samples = 1000
    n_values = 20
    UNITS = (10.0, 100.0, 1000.0, 255.0, 256.0)
    near_unit = 0.1

    def look(self, seen: Observations) -> Finding | str:
        """Compare columns, and put the test samples on the scale of the training samples."""
        seen.need("test")
        train, test = numbers(seen.train.X)[self._like_test(seen)], numbers(seen.test.X)[seen.test.chosen]
        train, test = train[: self.most_samples], test[: self.most_samples]
        if min(len(train), len(test)) < self.least_samples:
            raise NotApplicable(f"fewer than {self.least_samples} samples on one side")
        shape = train.shape[1:]
        flat, flat_test = _finite(train.reshape(len(train), -1)), _finite(test.reshape(len(test), -1))
        ours, theirs = Columns.of(flat), Columns.of(flat_test)
        scaled = (ours.spread > 1e-12) & (theirs.spread > 1e-12) & ~self._discrete(flat, flat_test)
        scaled &= ours.varies & theirs.varies
        if not scaled.any():
            raise NotApplicable("no column has a scale")
        differs = self._differ(ours, theirs, scaled)
        ratio = float(np.median(theirs.spread[scaled] / ours.spread[scaled]))
        shift = float(np.median((theirs.level - ours.level)[scaled] / ours.spread[scaled]))
        text = (
            f"Spreads in the test samples are {ratio:.3g} times those in the training samples (median over columns), "
            f"levels lie {shift:.2g} spreads apart; {differs.sum()} of {scaled.sum()} columns differ."
        )
        far = not 1 / self.ratio_of_all < ratio < self.ratio_of_all or abs(shift) > self.shift_of_all
        if not differs.any() and not (far and self._certain(flat[:, scaled], flat_test[:, scaled], ours, scaled)):
            return text
        how, mended, effect = best_of(seen, self._ways(ours, theirs, scaled, differs, shape), 4)
        evidence = [
            Evidence("spread in test samples, times that in training samples", ratio, n=len(test)),
            Evidence("distance of levels in spreads", shift, n=len(test)),
            Evidence("columns that differ", int(differs.sum()), n=int(scaled.sum())),
        ]
        measured = f"The score after the test samples were matched to the training samples by {how}, less that before."
        return self.finding(text, evidence, effect=effect, measured=measured, mended=mended)

    @staticmethod
    def _like_test(seen: Observations) -> np.ndarray:
        """Return training samples to compare with: where class shares differ, as many of each class as in the test."""
        ours, theirs = seen.both.strata
        names = np.unique(np.concatenate([ours, theirs]))
        counts = np.stack([(side[:, None] == names).sum(axis=0) for side in (ours, theirs)])
        both = counts.all(axis=0)
        if both.sum() < 2 or chi2_contingency(counts[:, both]).pvalue > ALPHA:
            return seen.train.chosen
        wanted = counts[1, both] / counts[1, both].sum()
        size = int((counts[0, both] / wanted).min())  # as many as there are without drawing any twice
        if size < TestScale.least_samples:
            return seen.train.chosen
        rng = seen.rng(4)
        rows = [
            rng.permutation(np.flatnonzero(ours == name))[: round(size * share)]
            for name, share in zip(names[both], wanted, strict=True)
        ]
        return seen.train.chosen[rng.permutation(np.concatenate(rows))]

    def _discrete(self, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Whether columns have few values, all known: answers and counts have no scale that could be wrong."""
        found = np.zeros(train.shape[1], dtype=bool)
        ordered = np.sort(train, axis=0)
        for column in np.flatnonzero((np.diff(ordered, axis=0) > 0).sum(axis=0) < self.n_values):
            found[column] = np.isin(test[:, column], ordered[:, column]).all()
        return found

    def _differ(self, ours: Columns, theirs: Columns, scaled: np.ndarray) -> np.ndarray:
        """Whether columns differ significantly, and by enough."""
        ratio, shift = np.log(_over(theirs.spread, ours.spread)), _over(theirs.level - ours.level, ours.spread)
        z = ndtri(1 - ALPHA / (4 * max(1, scaled.sum())))
        by_ratio = np.abs(ratio) > np.maximum(np.log(self.ratio), z * np.hypot(ours.spread_error, theirs.spread_error))
        error = _over(np.hypot(ours.level_error, theirs.level_error), ours.spread)
        return scaled & (by_ratio | (np.abs(shift) > np.maximum(self.shift, z * error)))

    def _certain(self, train: np.ndarray, test: np.ndarray, ours: Columns, scaled: np.ndarray) -> bool:
        """Whether means of samples, or of their squares, differ by four standard errors."""
        sides = [np.clip((X - ours.level[scaled]) / ours.spread[scaled], -5, 5) for X in (train, test)]
        for power in (1, 2):
            a, b = ((side**power).mean(axis=1) for side in sides)
            error = np.sqrt(a.var() / len(a) + b.var() / len(b))
            if abs(a.mean() - b.mean()) > self.errors * error:
                return True
        return False

    def _ways(
        self, ours: Columns, theirs: Columns, scaled: np.ndarray, differs: np.ndarray, shape: tuple[int, ...]
    ) -> dict[str, Transform]:
        """Return how to match test samples to training samples, the simplest ways first."""
        factors = np.where(scaled, _over(ours.spread, theirs.spread), 1.0)
        one = np.full(len(factors), self._unit(float(np.median(factors[scaled]))))
        nothing = np.zeros(len(factors))

        def offsets(factor: np.ndarray, among: np.ndarray) -> np.ndarray:
            return np.full(len(factor), np.median((ours.level - factor * theirs.level)[among]))

        ways = {
            f"the factor {one[0]:.3g}": (one, nothing),
            "one offset": (np.ones(len(factors)), offsets(np.ones(len(factors)), scaled)),
            "one factor and offset": (one, offsets(one, scaled)),
        }
        if len(shape) > 1 and 1 < shape[-1] <= 64:
            channel = np.arange(len(factors)) % shape[-1]
            factor, offset = np.ones(len(factors)), np.zeros(len(factors))
            for number in range(shape[-1]):
                among = scaled & (channel == number)
                if among.any():
                    factor[channel == number] = np.median(factors[among])
                    offset[channel == number] = offsets(factor, among)[0]
            ways["a factor and offset for each channel"] = factor, offset
        if differs.any():
            ways[f"a factor and offset for each of {differs.sum()} columns"] = self._each(ours, theirs, differs)
        ways["a factor and offset for every column"] = self._each(ours, theirs, scaled)
        return {name: _linear(*way, shape) for name, way in ways.items()}

    def _each(self, ours: Columns, theirs: Columns, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a factor and offset for each column; no offset where a factor alone explains the levels."""
        ratio = np.log(_over(ours.spread, theirs.spread))
        certain = np.abs(ratio) > 3 * np.hypot(ours.spread_error, theirs.spread_error)
        factor = np.array([self._unit(one) for one in np.where(among & certain, np.exp(ratio), 1.0)])
        offset = ours.level - factor * theirs.level
        small = np.abs(offset) < 3 * np.hypot(ours.level_error, factor * theirs.level_error)
        return factor, np.where(among & ~small, offset, 0.0)

    def _unit(self, factor: float) -> float:
        """Return the factor of a usual change of units, if this one is near it."""
        units = np.array([*self.UNITS, *(1 / unit for unit in self.UNITS), 1.0])
        nearest = units[np.abs(np.log(units / factor)).argmin()]
        return float(nearest) if abs(np.log(nearest / factor)) < self.near_unit and nearest != 1 else factor


def _linear(factor: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]) -> Transform:
    return lambda X: X * factor.reshape(shape) + offset.reshape(shape)


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(a), 1e-300) / np.maximum(b, 1e-300) * np.where(a < 0, -1, 1)


def _finite(X: np.ndarray) -> np.ndarray:
    """Return columns with the median in place of what is not finite."""
    if np.isfinite(X).all():
        return X
    finite = np.where(np.isfinite(X), X, np.nan)
    medians = np.nan_to_num(np.nanmedian(finite, axis=0))
    return np.where(np.isnan(finite), medians, finite)

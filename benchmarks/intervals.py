"""Measure how often each interval of the diagnosis leaves out the true value.

    python benchmarks/intervals.py            # writes its section of RESULTS.md; about three minutes
    python benchmarks/intervals.py --quick    # a tenth of the repetitions, prints only

Each repetition draws samples of a population whose true value is known, in closed form or from four million samples,
and asks the function that the diagnosis uses for its interval.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from report import markdown_table, parse_quick, publish
from scipy.stats import norm
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score

from skcnn._statistics import (
    Estimate,
    auc,
    balanced_accuracy,
    difference,
    explained_variance,
    paired_difference,
    proportion,
    resampled_difference,
    weighted_mean,
    wilson_interval,
)

QUESTION = "How often do the intervals that the diagnosis states leave out the true value?"
REPETITIONS = 4000
Case = tuple[str, str, float, Callable[[np.random.Generator], tuple[float, Estimate]], int]
CASES: list[Case] = []


def case(name: str, setting: str, level: float, every: int = 1) -> Callable[[Any], Any]:
    """Register a function that draws samples and returns the true value and its estimate; `every` thins repetitions."""

    def register(draw: Callable[[np.random.Generator], tuple[float, Estimate]]) -> Any:
        CASES.append((name, setting, level, draw, every))
        return draw

    return register


def shares() -> None:
    for n, p in ((20, 0.9), (200, 0.95), (1000, 0.5)):

        @case("share of samples (accuracy)", f"{n} samples, {p:.0%}", 0.999)
        def _(rng: np.random.Generator, n: int = n, p: float = p) -> tuple[float, Estimate]:
            return p, proportion(rng.uniform(size=n) < p)

        @case("difference of two shares (gap)", f"{n} and {n} samples, 98% and {p:.0%}", 0.999)
        def _(rng: np.random.Generator, n: int = n, p: float = p) -> tuple[float, Estimate]:
            return 0.98 - p, difference(proportion(rng.uniform(size=n) < 0.98), proportion(rng.uniform(size=n) < p))

    for k, n in ((3, 20), (50, 10)):

        @case("balanced accuracy", f"{k} classes of {n} samples, recall 90%", 0.999)
        def _(rng: np.random.Generator, k: int = k, n: int = n) -> tuple[float, Estimate]:
            codes = np.repeat(np.arange(k), n)
            return 0.9, balanced_accuracy(codes, np.where(rng.uniform(size=k * n) < 0.9, codes, -1))

    @case("balanced accuracy", "243 and 13 samples, recalls 99% and 95%", 0.999)
    def _(rng: np.random.Generator) -> tuple[float, Estimate]:
        codes = np.repeat([0, 1], [243, 13])
        return 0.97, balanced_accuracy(
            codes, np.where(rng.uniform(size=256) < np.array([0.99, 0.95])[codes], codes, -1)
        )

    @case("lowest recall of 50 classes, corrected for 50", "20 samples each, recall 90%", 0.999)
    def _(rng: np.random.Generator) -> tuple[float, Estimate]:
        hits = int(rng.binomial(20, 0.9, 50).min())
        low, high = wilson_interval(hits, 20, 1 - 0.001 / 50)
        return 0.9, Estimate(hits / 20, float(low), float(high))


def effects() -> None:
    for n, mended, broken in ((60, 0.05, 0.0), (200, 0.05, 0.02), (200, 0.15, 0.03), (1000, 0.02, 0.01)):
        text = f"{n} samples, {mended:.0%} mended, {broken:.0%} broken"

        @case("effect of a cause, accuracy", text, 0.99)
        def _(rng: Any, n: int = n, up: float = mended, down: float = broken) -> tuple[float, Estimate]:
            change = rng.choice([1.0, -1.0, 0.0], n, p=[up, down, 1 - up - down])
            return up - down, weighted_mean(change, np.ones(n), 0.99)

        @case("paired difference of shares", text, 0.999)
        def _(rng: Any, n: int = n, up: float = mended, down: float = broken) -> tuple[float, Estimate]:
            change = rng.choice([1, -1, 0], n, p=[up, down, 1 - up - down])
            return up - down, paired_difference(change > 0, change < 0)

    @case("effect of a cause, balanced accuracy", "20 and 300 samples, 20% and 2% mended", 0.99)
    def _(rng: Any) -> tuple[float, Estimate]:
        change = (rng.uniform(size=320) < np.repeat([0.2, 0.02], [20, 300])).astype(float)
        return 0.11, weighted_mean(change, np.repeat([1 / 40, 1 / 600], [20, 300]), 0.99)


def areas() -> None:
    for m, n in ((5, 95), (5, 995), (20, 200), (100, 400)):
        for apart in (0.0, 2.0):

            @case("area under the ROC curve", f"{m} and {n} samples, {norm.cdf(apart / np.sqrt(2)):.2f}", 0.999)
            def _(rng: Any, m: int = m, n: int = n, apart: float = apart) -> tuple[float, Estimate]:
                score = np.concatenate([rng.normal(apart, 1, m), rng.normal(size=n)])
                return float(norm.cdf(apart / np.sqrt(2))), auc(np.arange(m + n) < m, score)


def _regression(kind: str, rng: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    signal = rng.normal(size=n)
    if kind == "normal errors":
        return signal + rng.normal(size=n), signal
    if kind == "errors of Student's t, 3 degrees":
        return signal + rng.standard_t(3, n) / np.sqrt(3), signal
    if kind == "lognormal errors":
        return signal + (rng.lognormal(size=n) - np.exp(0.5)) / 2.16, signal
    y = np.exp(signal + rng.normal(scale=0.5, size=n))
    return y - np.exp(0.625), np.exp(signal + 0.125) - np.exp(0.625)


def regressions() -> None:
    kinds = ("normal errors", "errors of Student's t, 3 degrees", "lognormal errors", "lognormal targets")
    for kind in kinds:
        y, predicted = _regression(kind, np.random.default_rng(0), 4_000_000)
        true = float(1 - np.mean((y - predicted) ** 2) / np.mean(y**2))
        for n in (60, 600):

            @case("R²", f"{n} samples, {kind}", 0.999)
            def _(rng: Any, kind: str = kind, n: int = n, true: float = true) -> tuple[float, Estimate]:
                y, predicted = _regression(kind, rng, n)
                return true, explained_variance((y - predicted) ** 2, y**2)


def searches() -> None:
    @case("difference over 5 folds (edge, noise)", "two ridge models, equal in expectation", 0.95, every=10)
    def _(rng: Any) -> tuple[float, Estimate]:
        X = rng.normal(size=(200, 6))
        y = X.sum(axis=1) + rng.normal(size=200)
        folds = KFold(5, shuffle=True, random_state=0)
        a, b = (cross_val_score(Ridge(), X[:, rows], y, cv=folds) for rows in (slice(5), slice(1, 6)))
        return 0.0, resampled_difference(a - b, 1 / 4)


def measure(repetitions: int) -> str:
    """Return the table."""
    for register in (shares, effects, areas, regressions, searches):
        register()
    rows = []
    for number, (name, setting, level, draw, every) in enumerate(CASES):
        rng, n = np.random.default_rng([0, number]), max(50, repetitions // every)
        missed = 0
        for _ in range(n):
            true, found = draw(rng)
            missed += not found.low <= true <= found.high
        low, high = wilson_interval(missed, n)
        rows.append([name, setting, f"{1 - level:.1%}", f"{missed / n:.2%} [{low:.2%}, {high:.2%}]"])
    return markdown_table(["interval", "population", "stated", "left out [95%]"], sorted(rows, key=lambda row: row[0]))


def main() -> None:
    quick = parse_quick(__doc__)
    table = measure(REPETITIONS // 10 if quick else REPETITIONS)
    publish("intervals", "Intervals", QUESTION, table, only_print=quick)


if __name__ == "__main__":
    main()

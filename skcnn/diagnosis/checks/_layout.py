"""Checks of the layout of samples: order of axes, of channels, of columns, of time."""

from collections.abc import Iterator
from functools import partial
from itertools import permutations
from math import isqrt

import numpy as np
from scipy.optimize import linear_sum_assignment

from skcnn._statistics import difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import layers_of
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._mending import Transform, best_of, numbers

__all__ = ["Layout", "layouts"]


class Layout(Check):
    """Test samples in another layout than training samples, or channels that are not on the last axis.

    Of the test samples: axes transposed, flipped or rotated, channels or columns in another order, time reversed, moved
    along an axis by up to six steps, flattened or reshaped in another order, in all samples or in a part of them.
    Pattern: the score is lower than on training samples by 0.02, which every such mistake costs that is worth naming,
    and either the samples stand apart (`moved` above 2: at most 1.6 on clean data) or the simple model does
    significantly worse on them; then the estimator is asked for the samples in each layout that their shape allows. In
    a part of them: test samples stand apart from training samples (`moved` above 4) and significantly more of them than
    of training samples, by 0.03, lie nearer to (other) training samples in the other layout.

    Of the training samples: the second axis has a quarter of the last one's length at most, or is 1 to 4 before two
    equal ones of at least 8, or two equal axes of at least 8 have no channel axis; or neighbours along the last axis of
    a series are correlated by 0.3 more than along the second (series of several channels: by 0.3 to 1.2 less). The
    estimator is fitted again with axes moved, if it may.
    """

    code, cause = "layout", "preprocessing"
    title = "Axes, channels or columns in another order"
    question = "Are the samples laid out as the estimator takes them, training and test samples alike?"
    why = "A convolution over the wrong axis, or channels and columns in each other's place, see nothing of the data."
    do = (
        "Samples are (n, steps, channels) or (n, height, width, channels): move axes with np.moveaxis, add a channel "
        "axis with X[..., np.newaxis]; read training and test files by the same code."
    )
    gap = 0.02
    least_moved = 2.0
    part = 0.03
    most_samples = 500
    least_side = 8
    times_longer = 4
    smoother = 0.3

    def look(self, seen: Observations) -> Finding | str:
        """Try the test samples in other layouts, then look at the shape of the training samples."""
        of_test = self._test(seen) if seen.has_test else None
        if of_test is not None and of_test.is_cause:
            return of_test
        return self._training(seen) or "The samples seem to be laid out alike, with channels last."

    def _test(self, seen: Observations) -> Finding | None:
        if seen.train.weight @ seen.train.quality - seen.test.weight @ seen.test.quality < self.gap:
            return None
        if seen.both.moved < self.least_moved and seen.both.misfit.low <= 0:
            return None
        try:
            train, test = (numbers(side.X)[side.chosen] for side in (seen.train, seen.test))
        except NotApplicable:
            return None
        ways = dict(layouts(train.shape[1:]))
        if train.ndim == 2 and _is_smooth(train):
            ways |= dict(_rolled(train.shape[1:]))
        matched = _matched(train, test)
        if matched is not None:
            ways[f"{train.shape[-1]} columns in the order of their distributions"] = matched
        if train.ndim > 2 and seen.both.elsewhere:
            ways |= self._partly(train[: self.most_samples], test[: self.most_samples], ways)
        if not ways or len(seen.test.y) < 20:
            return None
        how, mended, effect = best_of(seen, ways, 5)
        evidence = [Evidence("layouts tried", len(ways), n=len(seen.test.y))]
        return self.finding(
            f"The test samples fit the training samples better with {how}.",
            evidence,
            effect=effect,
            measured="The score of the test samples so laid out, chosen on one half and judged on the other.",
            mended=mended,
        )

    def _partly(self, train: np.ndarray, test: np.ndarray, ways: dict[str, Transform]) -> dict[str, Transform]:
        """Return the layout that most test samples need beyond what training samples do, if any does."""
        nearer = {name: _Nearer(train, way) for name, way in ways.items()}
        shares = {name: (proportion(one.of(test)), proportion(one.of_train())) for name, one in nearer.items()}
        most = max(shares, key=lambda name: shares[name][0].value - shares[name][1].value)
        apart = difference(*shares[most])
        if apart.low <= 0 or apart.value < self.part:
            return {}
        return {f"{most} in {shares[most][0].value:.0%} of the samples": nearer[most].put_back}

    def _training(self, seen: Observations) -> Finding | None:
        """Move the axes of both parts and fit again."""
        if not seen.components.is_network:
            return None
        shape = seen.train.inputs.shape[1:]
        how = self._odd(shape) or ("move" if self._smooth_along_last(seen.train.inputs) else None)
        if how is None or not any("Conv" in layer.kind for layer in layers_of(seen.components.keras_model)):
            return None
        sides, other = [side.X for side in seen.sides.values()], None
        free = seen.components.params.get("input_shape", shape) is None and not seen.components.steps
        if free and seen.has_test and all(isinstance(X, np.ndarray) for X in sides):
            train, test = (X[..., np.newaxis] if how == "add" else np.moveaxis(X, 1, -1) for X in sides)
            other = seen.refitted(X=(train, test))
        what = {
            "add": f"Samples of shape {shape} look like images without a channel axis: each column is a channel.",
            "move": f"Samples of shape {shape} look as if their channels were first; the last axis is taken for them.",
        }[how]
        if other is None:
            why_not = "not measured: the estimator was not fitted again with the axes in the other order. Are they?"
            return self.finding(what, measured=why_not)
        measured = "The test score of the estimator fitted again with the axes so, less that before."
        return self.finding(what, effect=seen.gain(other), measured=measured, mended=other)

    def _odd(self, shape: tuple[int, ...]) -> str | None:
        if len(shape) == 3 and shape[0] <= 4 and shape[1] == shape[2] >= self.least_side:
            return "move"
        if len(shape) != 2 or shape[1] < self.least_side:
            return None
        if shape[0] == shape[1]:
            return "add"
        return "move" if self.times_longer * shape[0] <= shape[1] else None

    def _smooth_along_last(self, X: np.ndarray) -> bool:
        """Whether neighbours along the last axis of series are alike as those along time are, and others are not."""
        if X.ndim != 3 or min(X.shape[1:]) < 2:
            return False
        rows = X[: self.most_samples].astype(float)
        spread = rows.std(axis=0)
        Z = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
        return bool((Z[..., 1:] * Z[..., :-1]).mean() - (Z[:, 1:] * Z[:, :-1]).mean() > self.smoother)


def layouts(shape: tuple[int, ...]) -> Iterator[tuple[str, Transform]]:
    """Yield how samples of a shape may have to be put back, by name: what it does to an array (n, *shape)."""
    if len(shape) == 1:
        if shape[0] > 1:
            yield "columns in reverse order", lambda X: X[:, ::-1]
        for n_channels in (1, 3):
            side = isqrt(shape[0] // n_channels)
            if side >= 4 and side * side * n_channels == shape[0]:
                image = (side, side, n_channels) if n_channels > 1 else (side, side)
                for name, way in layouts(image):
                    yield f"images of {side} x {side} pixels, {name}", _reshaped(way, image)
        return
    spatial = len(shape) - 1 if len(shape) > 2 or shape[0] != shape[1] else 2
    yield from _moved_axes(shape, spatial)
    yield from _rolled(shape[:spatial])
    n_channels = shape[-1]
    if spatial == len(shape) - 1 and n_channels > 1:
        reverse = tuple(range(n_channels))[::-1]
        orders = list(permutations(range(n_channels)))[1:] if n_channels <= 4 else [reverse]
        for order in sorted(orders, key=lambda order: order != reverse):
            yield f"channels in the order {', '.join(map(str, order[:8]))}", _taken(order)
        yield (
            "channels first as they were reshaped",
            lambda X: np.moveaxis(X.reshape(len(X), shape[-1], *shape[:-1]), 1, -1),
        )
    if len(set(shape)) > 1 and len(shape) > 2:
        back = (0, *range(len(shape), 0, -1))
        yield "values in the order of Fortran", lambda X: X.reshape(len(X), *shape[::-1]).transpose(back)


def _moved_axes(shape: tuple[int, ...], spatial: int) -> Iterator[tuple[str, Transform]]:
    if spatial == 1:
        yield "time reversed", lambda X: X[:, ::-1]
        return
    square = shape[0] == shape[1]
    if square:
        yield "height and width exchanged", lambda X: X.swapaxes(1, 2)
    yield "up and down exchanged", lambda X: X[:, ::-1]
    yield "left and right exchanged", lambda X: X[:, :, ::-1]
    yield "half a turn", lambda X: X[:, ::-1, ::-1]
    if square:
        yield "a quarter turn to the left", lambda X: np.rot90(X, 1, (1, 2))
        yield "a quarter turn to the right", lambda X: np.rot90(X, 3, (1, 2))
        yield "the other diagonal as mirror", lambda X: X[:, ::-1, ::-1].swapaxes(1, 2)


def _rolled(sides: tuple[int, ...]) -> Iterator[tuple[str, Transform]]:
    names = ("steps",) if len(sides) == 1 else ("rows", "columns", "planes")
    for axis, (name, side) in enumerate(zip(names, sides, strict=False), 1):
        steps = (1, 2, 3, 4, 5, 6) if len(sides) == 1 else (1, 2)
        for step in (sign * step for step in steps for sign in (1, -1) if 8 * step <= side):
            yield f"{name} moved by {step:+d}", partial(np.roll, shift=step, axis=axis)


def _taken(order: tuple[int, ...]) -> Transform:
    return lambda X: X[..., list(order)]


def _reshaped(way: Transform, image: tuple[int, ...]) -> Transform:
    return lambda X: way(X.reshape(len(X), *image)).reshape(len(X), -1)


def _is_smooth(X: np.ndarray) -> bool:
    """Whether columns are alike to the next, as the steps of a series or spectrum are."""
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return bool((Z[:, 1:] * Z[:, :-1]).mean() > 0.5)


def _matched(train: np.ndarray, test: np.ndarray) -> Transform | None:
    """Return columns, or channels, in the order in which their distributions match best, if some do not as they are.

    Only columns whose quantiles lie 0.3 standard deviations apart, on average, are moved.
    """
    n_columns = train.shape[-1]
    if not 2 < n_columns <= 500 or min(len(train), len(test)) < 20:
        return None
    quantiles = np.linspace(0.05, 0.95, 10)
    ours, theirs = (np.nanquantile(X.reshape(-1, n_columns), quantiles, axis=0).T for X in (train, test))
    scale = np.nanstd(train.reshape(-1, n_columns), axis=0)
    usual = np.where(scale > 0, scale, max(float(np.nanmean(scale)), 1e-12))
    odd = np.flatnonzero(np.abs(ours - theirs).mean(axis=1) > 0.3 * usual)
    if len(odd) < 2:
        return None
    cost = np.abs(ours[odd, None] - theirs[None, odd]).mean(axis=2) / usual[odd, None]
    order = np.arange(n_columns)
    order[odd] = odd[linear_sum_assignment(np.minimum(np.nan_to_num(cost), 1e3))[1]]
    return None if (order == np.arange(n_columns)).all() else _taken(tuple(order))


class _Nearer:
    """Which samples lie nearer to training samples in another layout."""

    def __init__(self, train: np.ndarray, way: Transform) -> None:
        self.way = way
        self.train = train
        self.flat = train.reshape(len(train), -1)

    def of(self, X: np.ndarray) -> np.ndarray:
        """Say it of samples that are not in training."""
        return self._nearest(self.way(X)) < self._nearest(X)

    def of_train(self) -> np.ndarray:
        """Say it of training samples, by the others."""
        return self._nearest(self.way(self.train), True) < self._nearest(self.train, True)

    def put_back(self, X: np.ndarray) -> np.ndarray:
        """Lay out otherwise those samples that need it."""
        needs = self.of(X).reshape(-1, *[1] * (X.ndim - 1))
        return np.where(needs, self.way(X), X)

    def _nearest(self, X: np.ndarray, by_others: bool = False) -> np.ndarray:
        flat = np.ascontiguousarray(X).reshape(len(X), -1)
        squares = (flat**2).sum(axis=1)[:, None] - 2 * flat @ self.flat.T + (self.flat**2).sum(axis=1)
        if by_others:
            np.fill_diagonal(squares, np.inf)
        return squares.min(axis=1)

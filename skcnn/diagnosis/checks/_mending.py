"""Test samples put right: samples as numbers, and which of several ways of putting them right raises the score."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from skcnn._sklearn.checks import is_frame
from skcnn._statistics import CAREFUL_LEVEL, Estimate, weighted_mean
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = ["Transform", "best_of", "numbers", "with_numbers"]

Transform = Callable[[np.ndarray], np.ndarray]

SCREENED = 400  # test samples on which candidates are compared
LEAST_SAMPLES = 20
WORSE = 0.005  # of the score, that a simpler candidate may be worse by


def numbers(X: Any) -> np.ndarray:
    """Return samples as they were given, as float64: of a frame the columns that are numbers."""
    if is_frame(X):
        if not hasattr(X, "select_dtypes"):
            raise NotApplicable("samples are a frame of a library whose columns cannot be replaced here")
        columns = X.select_dtypes("number")
        if not columns.shape[1]:
            raise NotApplicable("no column is of numbers")
        return np.asarray(columns.to_numpy(dtype=np.float64, na_value=np.nan))
    X = np.asarray(X)
    if X.dtype.kind not in "biuf":
        raise NotApplicable("samples are not numbers")
    return X.astype(np.float64)


def with_numbers(X: Any, values: np.ndarray) -> Any:
    """Return samples like `X` with other numbers, in its type where that can hold them."""
    if is_frame(X):
        frame = X.copy()
        for column, replaced in zip(X.select_dtypes("number").columns, values.T, strict=True):
            frame[column] = replaced
        return frame
    dtype = np.asarray(X).dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = np.isfinite(values).all() and (values == np.round(values)).all()
        fits = whole and values.min() >= limits.min and values.max() <= limits.max
        return values.astype(dtype) if fits else values
    return values.astype(dtype) if dtype.kind == "f" else values


def best_of(seen: Observations, transforms: Mapping[str, Transform], salt: int) -> tuple[str, Observations, Estimate]:
    """Return which transform of the test samples raises the score most, what it leads to, and by how much it does.

    The transform is chosen on one half of the test samples and judged on the other, and the other way round, so that
    the best of several does not win by chance. Of nearly equal ones the first is taken.

    Raises
    ------
    NotApplicable
        If there are fewer than 20 test samples.
    """
    n = len(seen.test.y)
    if n < LEAST_SAMPLES:
        raise NotApplicable(f"{n} test samples are too few to choose by")
    order = seen.rng(salt).permutation(n)
    halves = order[: n // 2], order[n // 2 :]
    names = list(transforms)
    scores = np.stack([_scores(seen, transforms, half[: SCREENED // 2]) for half in halves])
    applied: dict[int, Observations] = {}

    def apply(index: int) -> Observations:
        if index not in applied:
            values = transforms[names[index]](numbers(seen.test.X))
            applied[index] = seen.changed(X_test=with_numbers(seen.test.X, values))
        return applied[index]

    quality = np.empty(n)
    for other, half in enumerate(halves[::-1]):
        quality[half] = apply(_first_of_best(scores[other])).test.quality[half]
    chosen = _first_of_best(scores.mean(axis=0))
    effect = weighted_mean(quality - seen.test.quality, seen.test.weight, CAREFUL_LEVEL)
    return names[chosen], apply(chosen), effect


def _scores(seen: Observations, transforms: Mapping[str, Transform], rows: np.ndarray) -> np.ndarray:
    """Return the score on some test samples after each transform."""
    part = seen.changed(keep=rows)
    values = numbers(part.test.X)
    weight = part.test.weight
    after = [
        part.changed(X_test=with_numbers(part.test.X, transform(values))).test.quality
        for transform in transforms.values()
    ]
    return np.array([weight @ quality for quality in after])


def _first_of_best(scores: np.ndarray) -> int:
    return int(np.argmax(scores >= scores.max() - WORSE))

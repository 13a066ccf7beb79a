"""Which rows each epoch trains on: shuffled, resampled or in balanced batches; always training rows alone."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from sklearn.base import clone

from skcnn._sklearn.checks import naming

__all__ = ["Batches", "balanced_order", "row_digests"]


@dataclass
class Batches:
    """The training rows of a fit, drawn anew for each epoch as a function of seed and epoch alone.

    Attributes
    ----------
    X : ndarray of shape (n, ...)
        All rows, in the type in which they go to the device.
    y : ndarray of shape (n,) or (n, n_outputs)
        Encoded targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    rows : ndarray of int
        The rows to train on.
    weigh : callable
        ``weigh(y, weight, order)`` returns the weights, (n, 1) or (n, n_outputs), of mean 1 over the rows in ``order``.
    seed : int
        Seed of shuffling and resampling.
    sampler : sampler or None
        Resamples the training rows.
    every_epoch : bool
        Whether it does so before each epoch or once.
    share : int
        Rows of each class in a batch, 0 for batches as they come.
    classes : ndarray or None
        Labels of the classes, by which the sampler knows them.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    rows: np.ndarray
    weigh: Callable[[np.ndarray, np.ndarray | None, np.ndarray], np.ndarray]
    seed: int
    sampler: Any = None
    every_epoch: bool = False
    share: int = 0
    classes: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._drawn: tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] | None = None

    def at(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, targets and weights, and the order in which `epoch` trains on them."""
        draw = epoch if self.every_epoch else 0
        if self._drawn is None or self._drawn[0] != draw:
            self._drawn = draw, self._draw(draw)
        X, y, w, rows = self._drawn[1]
        rng = np.random.default_rng([self.seed, epoch])
        order = balanced_order(_codes(y[rows]), self.share, rng) if self.share else rng.permutation(len(rows))
        return X, y, w, rows[order]

    def batch_size(self, wanted: int) -> int:
        """Return the rows of a batch: as wanted, or as many as a balanced batch has of each class."""
        return self.share * len(np.unique(_codes(self.y[self.rows]))) if self.share else wanted

    def _draw(self, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        X, y, weight, rows = self.X, self.y, self.weight, self.rows
        if self.sampler is not None:
            X, y, weight, rows = self._resample(draw)
        seen = rows
        if self.share:
            seen = rows[balanced_order(_codes(y[rows]), self.share, np.random.default_rng(0))]
        return X, y, self.weigh(y, weight, seen), rows

    def _resample(self, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """Resample the training rows: as indices where rows are selected, as new arrays where rows are made."""
        from skcnn.sampling import NDSampler, selects_rows

        assert self.classes is not None
        X, codes = self.X[self.rows], _codes(self.y[self.rows])
        with naming("sampler", theirs=True):
            sampler = clone(self.sampler.sampler if isinstance(self.sampler, NDSampler) else self.sampler)
            seed = int(np.random.SeedSequence([self.seed, draw]).generate_state(1)[0] >> 1)
            unseeded = {
                name: seed
                for name, value in sampler.get_params().items()
                if name.split("__")[-1] == "random_state" and (self.every_epoch or value is None)
            }
            resampling = NDSampler(sampler.set_params(**unseeded))
            made, made_labels = resampling.fit_resample(X, self.classes[codes])
        if selects_rows(resampling.sampler_):
            return self.X, self.y, self.weight, self.rows[resampling.sample_indices_]
        made_codes = np.searchsorted(self.classes, made_labels)
        y = made_codes.astype(self.y.dtype) if self.y.ndim == 1 else made_codes.astype(self.y.dtype)[:, None]
        weight = None if self.weight is None else _inherited(made, made_codes, X, codes, self.weight[self.rows])
        return made, y, weight, np.arange(len(made))


def balanced_order(codes: np.ndarray, share: int, rng: np.random.Generator) -> np.ndarray:
    """Return an order in which every ``share * n_classes`` rows hold `share` of each class.

    Every row occurs; rows of the smaller classes come again, each as often as the others of its class but for one.
    """
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    share = min(share, max(map(len, members)))  # one batch of all rows, however large batches may be
    n_batches = -(-max(map(len, members)) // share)
    columns = []
    for rows in members:
        rounds = -(-n_batches * share // len(rows))
        drawn = np.concatenate([rng.permutation(rows) for _ in range(rounds)])[: n_batches * share]
        columns.append(drawn.reshape(n_batches, share))
    return np.concatenate(columns, axis=1).ravel()


def row_digests(X: np.ndarray) -> np.ndarray:
    """Return a digest of 16 bytes for each row; rows are equal to the bit if theirs are."""
    rows = np.ascontiguousarray(X).reshape(len(X), -1)
    return np.array([blake2b(row.tobytes(), digest_size=16).digest() for row in rows], dtype="S16")


def _codes(y: np.ndarray) -> np.ndarray:
    return y if y.ndim == 1 else y[:, 0].astype(np.int32)


def _inherited(
    made: np.ndarray, made_codes: np.ndarray, X: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Weights after resampling: a row that was there keeps its own, a new one takes the mean weight of its class.

    Of equal rows with different weights the first to come back takes the weight of the first, and so on.
    """
    means = np.bincount(codes, weights=weight) / np.maximum(np.bincount(codes), 1)
    own: dict[bytes, deque[float]] = {}
    for row, value in zip(row_digests(X), weight, strict=True):
        own.setdefault(row, deque()).append(value)

    def weight_of(row: bytes, code: int) -> float:
        values = own.get(row)
        return means[code] if not values else values.popleft() if len(values) > 1 else values[0]

    return np.array([weight_of(row, code) for row, code in zip(row_digests(made), made_codes, strict=True)])

"""Which samples each epoch trains on: shuffled, resampled or in balanced batches."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from skcnn._fit.balancing import Balancing
from skcnn._fit.weights import combined_weights
from skcnn._lazy import LazySamples, sample_digests
from skcnn._sklearn.checks import naming

__all__ = ["Batches", "balanced_order"]

_X = np.ndarray | LazySamples


@dataclass
class Batches:
    """Training samples of a fit, drawn for each epoch.

    What is drawn depends on seed and epoch only, so that a run can be continued from any epoch.

    Attributes
    ----------
    X : ndarray or LazySamples of shape (n, ...)
        All samples, in the type in which they are sent to the device.
    y : ndarray of shape (n,) or (n, n_outputs)
        Targets as the network is trained on them.
    weight : ndarray of shape (n,) or None
        Sample weights.
    indices : ndarray of int
        Indices of the samples to train on.
    target : Target
        What y means; a `ClassTarget` where classes are balanced.
    balancing : Balancing
        How classes are balanced.
    seed : int
        Seed of shuffling and resampling.
    dtype : {"float32", "float64"}
        Type of the network.
    """

    X: _X
    y: np.ndarray
    weight: np.ndarray | None
    indices: np.ndarray
    target: Any
    balancing: Balancing
    seed: int
    dtype: str

    def __post_init__(self) -> None:
        self._drawn: tuple[int, tuple[_X, np.ndarray, np.ndarray, np.ndarray]] | None = None

    def at(self, epoch: int) -> tuple[_X, np.ndarray, np.ndarray, np.ndarray]:
        """Return samples, targets, weights, and the order in which `epoch` uses them."""
        # The very same arrays unless each epoch resamples, so that they are sent to the device once.
        draw = epoch if self.balancing.every_epoch else 0
        if self._drawn is None or self._drawn[0] != draw:
            self._drawn = draw, self._draw(draw)
        X, y, w, indices = self._drawn[1]
        rng = np.random.default_rng([self.seed, epoch])
        order = self._balanced(y, indices, rng) if self.balancing.share else indices[rng.permutation(len(indices))]
        return X, y, w, order

    def batch_size(self, wanted: int) -> int:
        """Return the batch size: as wanted, or that of balanced batches."""
        share = self.balancing.share
        return share * len(np.unique(self.y[self.indices])) if share else wanted

    def _balanced(self, y: np.ndarray, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return indices[balanced_order(y[indices].ravel(), self.balancing.share, rng)]

    def _draw(self, draw: int) -> tuple[_X, np.ndarray, np.ndarray, np.ndarray]:
        X, y, weight, indices = self.X, self.y, self.weight, self.indices
        if self.balancing.sampler is not None:
            X, y, weight, indices = self._resampled(draw)
        # Weights are scaled over one balanced order, which stands for those of all epochs.
        order = indices
        if self.balancing.share:
            order = self._balanced(y, indices, np.random.default_rng(0))
            chosen = np.ones(len(self.target.classes), dtype=bool)
            weight = _evened(weight, order, self.target.codes(y[order]), chosen, of_kept=False)
        w = combined_weights(self.target, self.balancing.class_weight, y, weight, order)
        return X, y, w.astype(self.dtype), indices

    def _resampled(self, draw: int) -> tuple[_X, np.ndarray, np.ndarray | None, np.ndarray]:
        """Resample the training samples: selected ones as indices, new ones as arrays."""
        from skcnn.sampling import NDSampler, looks_at_labels_alone, selects_rows  # imbalanced-learn takes a second

        target, codes = self.target, self.target.codes(self.y[self.indices])
        with naming("sampler", theirs=True):
            sampler = self._seeded(self.balancing.inner_sampler, draw)
            blind = looks_at_labels_alone(sampler)
            X = np.arange(len(codes))[:, None] if blind else np.asarray(self.X[self.indices])
            resampling = NDSampler(sampler)
            made, made_labels = resampling.fit_resample(X, target.classes[codes])
        chosen, of_kept = self._chosen(resampling.sampler_)
        if selects_rows(resampling.sampler_):
            indices = self.indices[resampling.sample_indices_]
            weight = _evened(self.weight, indices, target.codes(self.y[indices]), chosen, of_kept=of_kept)
            return self.X, self.y, weight, indices
        y = target.encode(made_labels).astype(self.y.dtype)
        weight = None if self.weight is None else _inherited(made, target.codes(y), X, codes, self.weight[self.indices])
        indices = np.arange(len(made))
        return made, y, _evened(weight, indices, target.codes(y), chosen, of_kept=of_kept), indices

    def _chosen(self, sampler: Any) -> tuple[np.ndarray, bool]:
        """Tell of which classes a sampler chooses the number of samples, and whether after that of other classes.

        What cleans takes single samples, and of a pipeline nothing is known.
        """
        from imblearn.over_sampling.base import BaseOverSampler
        from imblearn.under_sampling.base import BaseUnderSampler

        knows = isinstance(sampler, (BaseOverSampler, BaseUnderSampler))
        labels = list(sampler.sampling_strategy_) if knows else []
        of_kept = not isinstance(getattr(sampler, "sampling_strategy", None), Mapping)
        return np.isin(self.target.classes, labels), of_kept

    def _seeded(self, sampler: Any, draw: int) -> Any:
        """Return a clone of the sampler with a seed for this draw.

        A seed that the user has set is kept, unless every epoch resamples: it would draw the same each time.
        """
        sampler = clone(sampler)
        seed = int(np.random.SeedSequence([self.seed, draw]).generate_state(1)[0] >> 1)  # below 2**31, which any takes
        unseeded = {
            name: seed
            for name, value in sampler.get_params().items()
            if name.split("__")[-1] == "random_state" and (self.balancing.every_epoch or value is None)
        }
        return sampler.set_params(**unseeded)


def balanced_order(codes: np.ndarray, share: int, rng: np.random.Generator) -> np.ndarray:
    """Return an order whose batches hold `share` samples of each class.

    A batch is ``share * n_classes`` samples. Every sample occurs; those of the smaller classes are repeated, all of a
    class equally often, give or take one.
    """
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    share = min(share, max(map(len, members)))  # one batch of all samples, however large batches may be
    n_batches = -(-max(map(len, members)) // share)
    columns = []
    for indices in members:
        rounds = -(-n_batches * share // len(indices))
        drawn = np.concatenate([rng.permutation(indices) for _ in range(rounds)])[: n_batches * share]
        columns.append(drawn.reshape(n_batches, share))
    return np.concatenate(columns, axis=1).ravel()


def _inherited(
    made: np.ndarray, made_codes: np.ndarray, X: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return the weights of resampled samples.

    A sample that was there before keeps its weight, a new one gets the mean weight of its class. Of duplicates with
    different weights, the first to be selected gets the weight of the first, and so on.
    """
    # By value, for samplers that make new samples do not tell which of the others they kept.
    means = np.bincount(codes, weights=weight) / np.maximum(np.bincount(codes), 1)
    given: dict[bytes, deque[float]] = {}
    for digest, value in zip(sample_digests(X), weight, strict=True):
        given.setdefault(digest, deque()).append(value)

    def weight_of(digest: bytes, code: int) -> float:
        values = given.get(digest)
        return means[code] if not values else values.popleft() if len(values) > 1 else values[0]

    return np.array([weight_of(digest, code) for digest, code in zip(sample_digests(made), made_codes, strict=True)])


def _evened(
    weight: np.ndarray | None, indices: np.ndarray, codes: np.ndarray, chosen: np.ndarray, *, of_kept: bool
) -> np.ndarray | None:
    """Return weights with which a sample of weight 2 stands for two, also where the size of its class is chosen.

    Were it there twice, its class would still get that size. So weights say how much samples of such a class count
    against each other, and the class as a whole counts by its size.

    Parameters
    ----------
    weight : ndarray of shape (n,) or None
        Weights of samples.
    indices : ndarray of int
        Indices of those that are trained on.
    codes : ndarray of int
        Their classes.
    chosen : ndarray of bool, shape (n_classes,)
        Classes whose size is chosen.
    of_kept : bool
        Whether it is chosen to be that of a class that stays as it is, in units of whose weights it then is.
    """
    if weight is None:
        return None
    sizes = np.bincount(codes, minlength=len(chosen))
    means = np.bincount(codes, weights=weight[indices], minlength=len(chosen)) / np.maximum(sizes, 1)
    factors = np.ones(len(chosen))
    kept = ~chosen & (sizes > 0) & of_kept
    for code in np.flatnonzero(chosen & (means > 0)):
        models = kept & (sizes == sizes[code]) if (sizes[kept] == sizes[code]).any() else kept
        factors[code] = (means[models].mean() if models.any() else 1.0) / means[code]
    evened = weight.copy()
    evened[indices] = weight[indices] * factors[codes]
    return evened

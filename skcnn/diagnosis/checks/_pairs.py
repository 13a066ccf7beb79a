"""Samples of one class that are labelled as another, on one side of the split."""

from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from skcnn._statistics import CAREFUL_LEVEL, Estimate, weighted_mean
from skcnn.diagnosis._observations import Observations

__all__ = ["CONFUSED", "Mistaken", "mistaken"]

CONFUSED = "Test samples of one class that are predicted as the other, more than the other way round."
LEAST_SAMPLES = 5
LEAST_SHARE = 0.05  # of the samples with that label


class Mistaken(NamedTuple):
    """Samples of one class with the label of another.

    Attributes
    ----------
    label, looks : object
        The class that samples are labelled as, and the one that they look like.
    rows : ndarray of int
        Which samples, of the whole side.
    share, by_chance : float
        Of the samples with that label, on this side and on the other.
    cost : Estimate
        Test samples that the estimator takes for one class instead of the other, more than the other way round.
    """

    label: object
    looks: object
    rows: np.ndarray
    share: float
    by_chance: float
    cost: Estimate


def mistaken(seen: Observations, name: str) -> Mistaken | None:
    """Return the samples of one class that are labelled as another in the training or in the test set, if there are.

    A simple model of the other side takes more samples with a label for another class than it does, out of fold, among
    the samples of its own side with that label. Given the label, this does not depend on the class shares.

    Threshold: significant by Fisher's exact test, at 1% over the number of pairs; 5 samples, and 5% of those with
    that label; and the estimator confuses the two classes in the direction that this predicts, significantly.

    Parameters
    ----------
    seen : Observations
        Training and test samples.
    name : {"train", "test"}
        Side whose labels are asked for.
    """
    if not seen.has_classes or not seen.has_test or "groups_test" in seen.beside or seen.both.elsewhere:
        return None
    train, test = seen.reference.y, seen.test.targets[seen.test.chosen]
    if (test < 0).any() or min(len(np.unique(train)), len(np.unique(test))) < 2 or min(len(train), len(test)) < 40:
        return None
    n = len(seen.classes)
    sides = {"train": (train, seen.both.train_by_test), "test": (test, seen.both.reference_test)}
    own = {"train": (test, seen.both.test_by_test), "test": (train, seen.reference.labels(seen.reference.oof))}
    here, there = (np.bincount(n * y + out, minlength=n * n).reshape(n, n) for y, out in (sides[name], own[name]))
    labelled = [counts.sum(axis=1, keepdims=True) for counts in (here, there)]
    excess = here / np.maximum(labelled[0], 1) - there / np.maximum(labelled[1], 1)
    excess[(here < LEAST_SAMPLES) | (labelled[1] < LEAST_SAMPLES)] = 0
    np.fill_diagonal(excess, 0)
    label, looks = np.unravel_index(excess.argmax(), excess.shape)
    if excess[label, looks] < LEAST_SHARE:
        return None
    table = [[counts[label, looks], counts[label].sum() - counts[label, looks]] for counts in (here, there)]
    if fisher_exact(table, alternative="greater")[1] > (1 - CAREFUL_LEVEL) / (n * (n - 1)):
        return None
    # Wrong training labels make the estimator take one class for the other, wrong test labels seem to.
    real, taken = (looks, label) if name == "train" else (label, looks)
    codes, predicted = seen.test.codes, seen.test.predicted
    errors = ((codes == real) & (predicted == taken)) * 1.0 - ((codes == taken) & (predicted == real))
    cost = weighted_mean(errors, seen.test.weight, CAREFUL_LEVEL)
    if cost.low <= 0:
        return None
    y, out = sides[name]
    rows = getattr(seen, name).chosen[(y == label) & (out == looks)]
    share, by_chance = (float(counts[label, looks] / counts[label].sum()) for counts in (here, there))
    return Mistaken(seen.classes[label], seen.classes[looks], rows, share, by_chance, cost)

"""Inner validation split: stratified, seeded, keeping groups and duplicates whole."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcnn._lazy import LazySamples, sample_digests
from skcnn.exceptions import InnerSplitWarning, warn

__all__ = ["inner_split", "last_split"]

MOST_LOOPED = 10_000  # single samples that are looked at one by one for the sake of some that stay together


def inner_split(
    X: np.ndarray | LazySamples,
    labels: np.ndarray,
    fraction: float,
    groups: np.ndarray | None,
    seed: int,
    *,
    classes: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Split samples into a training and a validation part.

    Samples of one group, and exact duplicates, stay on the same side.

    Parameters
    ----------
    X : ndarray or LazySamples of shape (n, ...)
        Samples.
    labels : ndarray of bool, shape (n, n_labels)
        Labels whose shares both parts keep, see `ClassTarget.strata`.
    fraction : float in (0, 1)
        Fraction of the samples in the validation part.
    groups : ndarray of shape (n,) or None
        Group of each sample.
    seed : int
        Seed of the shuffle.
    classes : bool, default=True
        Whether labels are classes, each of which keeps a training sample, rather than bins of a regression target.

    Returns
    -------
    train, validation : ndarrays of int
        Sorted sample indices.

    Raises
    ------
    ValueError
        If all samples, or all of each class, must stay together, so that one part would be empty.

    Warns
    -----
    InnerSplitWarning
        If all samples of a label must stay together: they go to the training part, and the validation part has none. If
        the validation part has less than half of the samples that it should have, or more than twice as many.
    """
    units = _units(X, groups)
    n_units = units.max() + 1
    if n_units < 2:
        raise ValueError(
            f"The {len(X)} samples cannot be split for early stopping, as all are of one group or equal. Expected at "
            "least two groups of samples; pass X_val and y_val, or set early_stopping=False."
        )
    rng = np.random.default_rng([seed, 1])
    sizes = np.bincount(units)
    counts = np.zeros((n_units, labels.shape[1]), dtype=np.int64)
    np.add.at(counts, units, labels)
    if classes:
        _warn_of_lonely(counts)
    if n_units == len(X) and (labels.sum(axis=1) == 1).all():
        chosen = _choose_samples(counts.argmax(axis=1), labels.shape[1], fraction, classes, rng)
    elif (sizes == 1).sum() > MOST_LOOPED and (labels.sum(axis=1) == 1).all():
        chosen = _choose_many(counts, sizes, fraction, classes, rng)
    else:
        chosen = _choose_units(counts, sizes, fraction, classes, rng)
        chosen = _topped_up(chosen, counts, sizes, fraction, classes, rng)
    if not chosen.any():
        raise ValueError(
            f"The {len(X)} samples cannot be split for early stopping, as each class has one sample, or samples that "
            "must all stay together. Expected at least two groups of samples in a class; pass X_val and y_val, or set "
            "early_stopping=False."
        )
    _warn_of_size(sizes[chosen].sum(), fraction, sizes)
    return np.flatnonzero(~chosen[units]), np.flatnonzero(chosen[units])


def last_split(
    labels: np.ndarray, fraction: float, groups: np.ndarray | None, *, classes: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Split samples in their order: the last ones validate, as where samples are ordered in time.

    Parameters are those of `inner_split`.

    Raises
    ------
    ValueError
        If there is but one sample, or a group has samples on both sides.

    Warns
    -----
    InnerSplitWarning
        If some labels are only those of validation samples.
    """
    n = len(labels)
    if n < 2:
        raise ValueError(f"{n} sample cannot be split for early stopping. Expected at least two samples of a weight.")
    first = n - min(max(1, round(fraction * n)), n - 1)
    if groups is not None:
        both = np.intersect1d(groups[:first], groups[first:])
        if len(both):
            raise ValueError(
                f"The groups {both[:5].tolist()} have samples among the first {first} and among the last {n - first}, "
                "which validate with shuffle_validation=False. Sort the samples so that each group is on one side, or "
                "pass no groups."
            )
    unseen = labels[first:].any(axis=0) & ~labels[:first].any(axis=0)
    if classes and unseen.any():
        warn(
            InnerSplitWarning(
                f"{unseen.sum()} of the {labels.shape[1]} classes (or labels) are only among the last {n - first} "
                "samples, which validate with shuffle_validation=False, so that training sees none of them."
            )
        )
    return np.arange(first), np.arange(first, n)


def _units(X: np.ndarray | LazySamples, groups: np.ndarray | None) -> np.ndarray:
    """Number the sets of samples that must stay together."""
    units = _numbered(X.digests() if isinstance(X, LazySamples) else sample_digests(X))
    if groups is None:
        return units
    _, codes = np.unique(groups, return_inverse=True)
    # Samples joined through a group or a duplicate, however many steps away, are one component of this graph.
    n_units, n_nodes = units.max() + 1, units.max() + codes.max() + 2
    edges = coo_array((np.ones(len(X)), (units, n_units + codes)), shape=(n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1]
    return _numbered(component[units])


def _numbered(values: np.ndarray) -> np.ndarray:
    """Number distinct values by their first occurrence, whatever the values are."""
    _, first, codes = np.unique(values, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes.ravel()]


def _warn_of_lonely(counts: np.ndarray) -> None:
    lonely = np.flatnonzero((counts > 0).sum(axis=0) == 1)
    if len(lonely):
        warn(
            InnerSplitWarning(
                f"{len(lonely)} of the {counts.shape[1]} classes (or labels) have one sample, or samples that must all "
                "stay together. They stay in the training part, so that early stopping does not see these classes."
            )
        )


def _warn_of_size(n_chosen: int, fraction: float, sizes: np.ndarray) -> None:
    wanted = fraction * sizes.sum()
    if n_chosen < np.floor(wanted / 2) or n_chosen > np.ceil(2 * wanted):
        warn(
            InnerSplitWarning(
                f"The inner validation split has {n_chosen} of the {sizes.sum()} samples, and {wanted:.0f} were asked "
                f"for: samples that must stay together (groups and exact duplicates) are up to {sizes.max()}, and each "
                "class keeps a training sample. Pass X_val and y_val, or smaller groups."
            )
        )


def _choose_samples(
    codes: np.ndarray, n_labels: int, fraction: float, classes: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose single samples of one label each, by the largest remainder method."""
    members = np.bincount(codes, minlength=n_labels)
    n_wanted = min(max(1, round(fraction * len(codes))), len(codes) - 1)
    room = np.maximum(members - 1, 0) if classes else members  # every class keeps a training sample
    exact = n_wanted * members / len(codes)
    # A validation sample of every class, if there is room for all.
    least = (room > 0) & (classes and n_wanted >= (room > 0).sum())
    quota = np.minimum(np.maximum(np.floor(exact).astype(int), least), room)
    ties = rng.uniform(0, 1e-9, n_labels)  # broken at random, or the first classes would always win
    while quota.sum() > n_wanted:
        quota[np.where(quota > least, exact - quota + ties, np.inf).argmin()] -= 1
    while quota.sum() < n_wanted and (quota < room).any():
        quota[np.where(quota < room, exact - quota + ties, -np.inf).argmax()] += 1
    chosen = np.zeros(len(codes), dtype=bool)
    shuffled = rng.permutation(len(codes))
    for code, n in enumerate(quota):
        chosen[shuffled[codes[shuffled] == code][:n]] = True
    return chosen


def _choose_many(
    counts: np.ndarray, sizes: np.ndarray, fraction: float, classes: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose among many single samples of one label each, and some units of several.

    Of these each is in the validation part with probability `fraction`, as long as it does not take more than the
    share of a label; single samples fill up the rest.
    """
    chosen = np.zeros(len(sizes), dtype=bool)
    room = fraction * counts.sum(axis=0)
    for unit in rng.permutation(np.flatnonzero(sizes > 1)):
        if rng.random() < fraction and (counts[unit] <= room).all():
            chosen[unit] = True
            room -= counts[unit]
    single = np.flatnonzero(sizes == 1)
    left = (fraction * sizes.sum() - sizes[chosen].sum()) / len(single)
    if left > 0:
        chosen[single] = _choose_samples(counts[single].argmax(axis=1), counts.shape[1], min(left, 1.0), classes, rng)
    return chosen


def _choose_units(
    counts: np.ndarray, sizes: np.ndarray, fraction: float, classes: bool, rng: np.random.Generator
) -> np.ndarray:
    """Choose units of samples, rarest label first (Sechidis et al. 2011, section 3)."""
    total = counts.sum(axis=0)
    wanted = np.stack([(1 - fraction) * total, fraction * total])
    samples_wanted = np.array([1 - fraction, fraction]) * sizes.sum()
    n_left = (counts > 0).sum(axis=0)  # units that can still become the training unit of a label that has none
    has_training = np.zeros(len(total), dtype=bool)
    chosen = np.zeros(len(sizes), dtype=bool)
    left = np.ones(len(sizes), dtype=bool)
    shuffled = rng.permutation(len(sizes))
    for label in [*np.argsort(total, kind="stable"), None]:
        of_label = left if label is None else left & (counts[:, label] > 0)
        for unit in shuffled[of_label[shuffled]]:
            has = counts[unit] > 0
            need = samples_wanted if label is None else wanted[:, label]
            # With a unit twice as large as what validation lacks, it would miss its share by more than without.
            fits = need[1] >= (sizes[unit] if label is None else counts[unit, label]) / 2
            last = classes and (has & ~has_training & (n_left == 1)).any()
            side = int(fits and not last and need[1] / fraction > need[0] / (1 - fraction))
            chosen[unit] = side == 1
            has_training |= has & (side == 0)
            n_left -= has
            wanted[side] -= counts[unit]
            samples_wanted[side] -= sizes[unit]
            left[unit] = False
    if not chosen.any():  # every unit is large: the smallest that no class needs
        n_units = (counts > 0).sum(axis=0)
        spare = np.flatnonzero(((counts == 0) | (n_units > 1)).all(axis=1) | (not classes))
        chosen[spare[sizes[spare].argsort()[:1]]] = True
    return chosen


def _topped_up(
    chosen: np.ndarray, counts: np.ndarray, sizes: np.ndarray, fraction: float, classes: bool, rng: np.random.Generator
) -> np.ndarray:
    """Add units to a validation part that is too small, of the labels that lack most.

    Of a class with few samples, no unit is as small as the part of a sample that validation should have, so that all
    stay in training; but of many such classes some can validate. Each gives one unit before any gives a second.
    """
    chosen = chosen.copy()
    total, training = counts.sum(axis=0), counts[~chosen].sum(axis=0)
    short = fraction * sizes.sum() - sizes[chosen].sum()
    added = True
    while added:
        added, given = False, np.zeros(counts.shape[1], dtype=bool)
        lacking = counts @ (fraction * total - (total - training)) / sizes
        left = rng.permutation(np.flatnonzero(~chosen & (sizes / 2 <= short)))
        for unit in left[np.argsort(-lacking[left], kind="stable")]:
            has = counts[unit] > 0
            needed = classes and (training[has] == counts[unit, has]).any()
            if sizes[unit] / 2 <= short and not needed and not given[has].any():
                chosen[unit], added = True, True
                given |= has
                training -= counts[unit]
                short -= sizes[unit]
    return chosen

"""The inner split that early stopping validates on: stratified, seeded, and honest about groups and duplicates."""

import warnings

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcnn.batches import row_digests
from skcnn.exceptions import InnerSplitWarning

__all__ = ["inner_split", "labels_to_stratify"]

QUANTILES = 10  # bins of a regression target, fewer if a bin would not reach into the validation part


def labels_to_stratify(encoded: np.ndarray, fraction: float) -> np.ndarray:
    """Return what to hold in equal shares, as a 0/1 matrix (n, n_labels): classes, labels, or bins of a regression.

    Parameters
    ----------
    encoded : ndarray
        Class codes (n,); or 0/1 (n, n_labels); or regression targets (n, n_outputs), of which the first is binned at
        its quantiles.
    fraction : float
        Share of the validation rows.
    """
    if encoded.ndim == 2 and np.isin(encoded, (0, 1)).all():
        return np.hstack([encoded == 0, encoded == 1]) if encoded.shape[1] == 1 else encoded == 1
    codes = encoded
    if encoded.ndim == 2:
        n_bins = max(1, min(QUANTILES, int(len(encoded) * fraction)))
        inner = np.quantile(encoded[:, 0], np.linspace(0, 1, n_bins + 1)[1:-1])
        codes = np.searchsorted(inner, encoded[:, 0])
    return codes[:, None] == np.unique(codes)


def inner_split(
    X: np.ndarray, labels: np.ndarray, fraction: float, groups: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into training and validation rows.

    Rows of one group, and rows that are equal to the bit, stay on one side.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        Rows.
    labels : ndarray of bool, shape (n, n_labels)
        What to hold in equal shares, see `labels_to_stratify`.
    fraction : float in (0, 1)
        Share of the validation rows.
    groups : ndarray of shape (n,) or None
        Group of each row.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    train, validation : ndarrays of int
        Sorted row indices.

    Raises
    ------
    ValueError
        If all rows belong together, so that one side would be empty.

    Warns
    -----
    InnerSplitWarning
        If a label has rows that all belong together: they stay in the training part, the validation part has none.
    """
    units = _units(X, groups)
    n_units = units.max() + 1
    if n_units < 2:
        raise ValueError(
            f"The {len(X)} rows cannot be split for early stopping, as all are of one group or equal. Expected at "
            "least two groups of rows; give X_val and y_val, or set early_stopping=False."
        )
    rng = np.random.default_rng([seed, 1])
    sizes = np.bincount(units)
    counts = np.zeros((n_units, labels.shape[1]), dtype=np.int64)
    np.add.at(counts, units, labels)
    _warn_of_lonely(counts)
    if n_units == len(X) and (labels.sum(axis=1) == 1).all():
        chosen = _choose_rows(counts.argmax(axis=1), labels.shape[1], fraction, rng)
    else:
        chosen = _choose_units(counts, sizes, fraction, rng)
    return np.flatnonzero(~chosen[units]), np.flatnonzero(chosen[units])


def _units(X: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Number the sets of rows that must stay together."""
    _, units = np.unique(row_digests(X), return_inverse=True)
    if groups is None:
        return units
    _, codes = np.unique(groups, return_inverse=True)
    # Rows joined through a group or a duplicate, however many steps away, are one component of this graph.
    n_units, n_nodes = units.max() + 1, units.max() + codes.max() + 2
    edges = coo_array((np.ones(len(X)), (units, n_units + codes)), shape=(n_nodes, n_nodes))
    component = connected_components(edges, directed=False)[1]
    return np.unique(component[units], return_inverse=True)[1]


def _warn_of_lonely(counts: np.ndarray) -> None:
    lonely = np.flatnonzero((counts > 0).sum(axis=0) == 1)
    if len(lonely):
        warnings.warn(
            f"{len(lonely)} of the {counts.shape[1]} classes (or labels) have one row, or rows that all belong "
            "together. They stay in the training part, so that early stopping does not see these classes.",
            InnerSplitWarning,
            stacklevel=6,
        )


def _choose_rows(codes: np.ndarray, n_classes: int, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose single rows of one class each: the shares rounded to the largest remainders."""
    members = np.bincount(codes, minlength=n_classes)
    n_wanted = min(max(1, round(fraction * len(codes))), len(codes) - 1)
    room = np.maximum(members - 1, 0)  # every class keeps a training row
    exact = n_wanted * members / len(codes)
    quota = np.minimum(np.floor(exact).astype(int), room)
    if n_wanted >= (room > 0).sum():  # every class that can has a validation row
        quota = np.maximum(quota, room > 0)
    priority = exact - quota + rng.uniform(0, 1e-9, n_classes)
    while quota.sum() < n_wanted and (quota < room).any():
        best = np.where(quota < room, priority, -np.inf).argmax()
        quota[best] += 1
        priority[best] -= 1
    chosen = np.zeros(len(codes), dtype=bool)
    shuffled = rng.permutation(len(codes))
    for code, n in enumerate(quota):
        chosen[shuffled[codes[shuffled] == code][:n]] = True
    return chosen


def _choose_units(counts: np.ndarray, sizes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose units of several rows or labels, rarest label first (Sechidis, Tsoumakas and Vlahavas 2011, section 3)."""
    total = counts.sum(axis=0)
    wanted = np.stack([(1 - fraction) * total, fraction * total])
    rows_wanted = np.array([1 - fraction, fraction]) * sizes.sum()
    chosen = np.zeros(len(sizes), dtype=bool)
    left = np.ones(len(sizes), dtype=bool)
    shuffled = rng.permutation(len(sizes))
    for label in [*np.argsort(total, kind="stable"), None]:
        of_label = left if label is None else left & (counts[:, label] > 0)
        for unit in shuffled[of_label[shuffled]]:
            need = rows_wanted if label is None else wanted[:, label]
            # A unit larger than what validation still wants would take it beyond its share.
            fits = need[1] >= (sizes[unit] if label is None else counts[unit, label]) / 2
            side = int(fits and need[1] / fraction > need[0] / (1 - fraction))
            chosen[unit] = side == 1
            wanted[side] -= counts[unit]
            rows_wanted[side] -= sizes[unit]
            left[unit] = False
    if not chosen.any():
        chosen[sizes.argmin()] = True
    return chosen

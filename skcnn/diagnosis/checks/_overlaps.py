"""Windows of one recording that overlap: the start of one is found within another."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["overlapping_windows"]

N_PROJECTIONS = 3
DIGITS = 4


def overlapping_windows(X: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Return pairs of windows of which one starts within the other, whatever the offset and scale of each.

    The start of each window, standardised, is looked for at every place of the others by a few random projections,
    equal to four digits: as a certain hash, but for rounding.

    Parameters
    ----------
    X : ndarray of shape (n, steps, channels)
        Windows.
    share : float
        Length of the start, as a share of the steps; windows that overlap by less are not found.

    Returns
    -------
    ndarray of shape (n_pairs, 2)
        Numbers of windows.
    """
    steps = X.shape[1]
    length = max(8, round(share * steps))
    # One channel tells: that which varies most from step to step.
    varied = np.abs(np.diff(X, axis=1)).mean(axis=(0, 1)) / np.maximum(X.std(axis=(0, 1)), 1e-300)
    signal = X[:, :, int(varied.argmax())]
    blocks = sliding_window_view(signal, length, axis=1)  # (n, places, length)
    weights = np.random.default_rng(0).normal(size=(length, N_PROJECTIONS))
    weights -= weights.mean(axis=0)  # an offset of the block has no part in it
    spread = np.sqrt(np.maximum((blocks**2).mean(axis=2) - blocks.mean(axis=2) ** 2, 0))
    values = np.einsum("npl,lk->npk", blocks, weights)
    rough = np.abs(np.diff(blocks, n=2, axis=2)).mean(axis=2)
    scale = np.median(signal.std(axis=1))
    # Flat and straight blocks, and those of few values, are alike by nature.
    telling = (spread > 0.05 * scale) & (rough > 1e-3 * scale)
    telling &= (np.diff(np.sort(blocks, axis=2), axis=2) > 0).mean(axis=2) > 0.7
    with np.errstate(divide="ignore", invalid="ignore"):
        keys = np.nan_to_num(values / spread[:, :, None], posinf=0, neginf=0)
    return _matches(np.round(keys, DIGITS), telling)


def _matches(keys: np.ndarray, telling: np.ndarray) -> np.ndarray:
    """Return pairs of windows: the key of the first place of one is that of a later place of the other."""
    coded = np.ascontiguousarray(keys + 0.0).view([("", keys.dtype)] * keys.shape[2])[:, :, 0]
    window, place = np.nonzero(telling)
    flat = coded[window, place]
    order = np.argsort(flat)
    starts = np.flatnonzero(telling[:, 0])
    left = np.searchsorted(flat[order], coded[starts, 0], "left")
    right = np.searchsorted(flat[order], coded[starts, 0], "right")
    pairs = []
    for start, low, high in zip(starts, left, right, strict=True):
        found = order[low : min(high, low + 50)]
        others = np.unique(window[found[place[found] > 0]])
        pairs += [(start, other) for other in others if other != start]
    return np.array(pairs, dtype=int).reshape(-1, 2)

"""Windows of one recording that overlap: the start of one is found within another."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["overlapping_windows"]

N_PROJECTIONS = 3
SCALE = 10_000  # of the projections, which are compared as whole numbers
MOST_STEPS = 3_000_000  # of all windows together
SHARE = 0.2  # of the steps, that windows overlap by at least
LONGEST = 24  # steps of a start, which are enough


def overlapping_windows(X: np.ndarray) -> np.ndarray:
    """Return pairs of windows of which one starts within the other, whatever the offset and scale of each.

    The start of each window, standardised, is looked for at every place of the others by a few random projections,
    equal to four digits: as a certain hash, but for rounding.

    Parameters
    ----------
    X : ndarray of shape (n, steps, channels)
        Windows.

    Returns
    -------
    ndarray of shape (n_pairs, 2)
        Numbers of windows.
    """
    n, steps = X.shape[:2]
    # One channel tells: that which varies most from step to step.
    varied = np.abs(np.diff(X, axis=1)).mean(axis=(0, 1)) / np.maximum(X.std(axis=(0, 1)), 1e-300)
    signal = X[:, :, int(varied.argmax())]
    length = min(LONGEST, max(8, round(SHARE * steps)))
    signal = signal[:, : max(2 * length, MOST_STEPS // n)]
    starts = signal[:, :length]
    # Flat and straight starts, and those of few values, are alike by nature.
    usual = np.median(signal.std(axis=1))
    rough = np.abs(np.diff(starts, n=2, axis=1)).mean(axis=1)
    different = (np.diff(np.sort(starts, axis=1), axis=1) > 0).mean(axis=1)
    telling = np.flatnonzero((starts.std(axis=1) > 0.05 * usual) & (rough > 1e-3 * usual) & (different > 0.7))
    keys = _hashes(signal, length)
    order = telling[np.argsort(keys[telling, 0], kind="stable")]
    sought = keys[order, 0]
    if not len(sought):
        return np.zeros((0, 2), dtype=int)
    place = np.clip(np.searchsorted(sought, keys[:, 1:]), 0, len(sought) - 1)
    window, at = np.nonzero(sought[place] == keys[:, 1:])
    pairs = np.stack([order[place[window, at]], window], axis=1)
    within = np.unique(pairs[pairs[:, 0] == pairs[:, 1], 0])  # periodic: their start returns in themselves
    return np.unique(pairs[~np.isin(pairs, within).any(axis=1)], axis=0)


def _hashes(signal: np.ndarray, length: int) -> np.ndarray:
    """Return a whole number for the standardised block of `length` steps at each place of each window."""
    blocks = sliding_window_view(signal - signal.mean(axis=1, keepdims=True), length, axis=1)  # (n, places, length)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(length, N_PROJECTIONS))
    weights -= weights.mean(axis=0)  # an offset of the block has no part in it
    weights = np.hstack([weights, np.full((length, 1), 1 / length)])
    projected = blocks @ weights
    variance = np.einsum("npl,npl->np", blocks, blocks) / length - projected[:, :, -1] ** 2
    spread = np.sqrt(np.maximum(variance, 1e-300))
    whole = np.rint(np.clip(projected[:, :, :-1] / spread[:, :, None], -1e6, 1e6) * SCALE).astype(np.int64)
    return np.asarray(whole @ np.array([1, 2_000_003, 4_000_037_000_003], dtype=np.int64))

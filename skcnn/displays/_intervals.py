"""How far a share that was counted may be from the true one."""

from typing import Any

import numpy as np
from scipy.special import ndtri

__all__ = ["wilson_interval"]


def wilson_interval(successes: Any, n: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the score interval of a binomial share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    It stays within [0, 1] and keeps its level for small n and shares near 0 or 1, where the normal interval collapses.

    Parameters
    ----------
    successes, n : array-like of int
        Successes, and trials. The interval of no trial is NaN.
    level : float, default=0.95
        Share of intervals that cover the true share.

    Returns
    -------
    lower, upper : ndarray
        Bounds.

    Examples
    --------
    >>> from skcnn.displays._intervals import wilson_interval
    >>> lower, upper = wilson_interval(9, 10)
    >>> print(round(float(lower), 3), round(float(upper), 3))
    0.596 0.982
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}; expected a share between 0 and 1, such as 0.95.")
    successes, n = np.asarray(successes, np.float64), np.asarray(n, np.float64)
    n = np.where(n > 0, n, np.nan)
    share, z = successes / n, ndtri((1 + level) / 2)
    center = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    lower, upper = (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    # At the ends rounding alone would part the bound from the share.
    return np.where(successes == 0, 0 * n, lower), np.where(successes == n, 1 + 0 * n, upper)

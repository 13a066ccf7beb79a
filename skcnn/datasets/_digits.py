"""Scikit-learn's digits, of which one is rare."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

__all__ = ["load_rare_digit"]


def load_rare_digit(digit: int = 8, *, share: float = 0.05, random_state: int = 0, return_X_y: bool = False) -> Any:
    """Load scikit-learn's digits as a binary problem with a rare class: one digit, thinned, against the rest.

    Parameters
    ----------
    digit : int, default=8
        The digit to find. Eights are among the hardest: they resemble ones, threes and nines.
    share : float, default=0.05
        Share of this digit in the samples that are kept, in (0, 0.1).
    random_state : int, default=0
        Seed of the thinning.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    Bunch
        ``images``: ndarray of shape (n, 8, 8, 1), grey values from 0 to 16; ``data``: the same as flat samples;
        ``target``: ndarray of shape (n,), 1 for the rare digit, else 0; ``target_names``: ndarray of str;
        ``digits``: ndarray of shape (n,), which digit each image shows.

    Raises
    ------
    ValueError
        If `digit` is none, or `share` more than there are.

    Examples
    --------
    >>> from skcnn.datasets import load_rare_digit
    >>> X, y = load_rare_digit(return_X_y=True)
    >>> X.shape, int(y.sum())
    ((1708, 8, 8, 1), 85)
    """
    X, digits = load_digits(return_X_y=True)
    rare, rest = np.flatnonzero(digits == digit), np.flatnonzero(digits != digit)
    n_rare = round(len(rest) * share / (1 - share)) if 0 < share < 1 else 0
    if not len(rare) or not 0 < n_rare <= len(rare):
        most = len(rare) / len(X) or 0.1
        raise ValueError(
            f"digit={digit!r}, share={share!r}; expected a digit from 0 to 9 and a share above 0, at most {most:.3f}."
        )
    kept = np.random.default_rng(random_state).choice(rare, n_rare, replace=False)
    X, digits = (array[np.sort(np.concatenate([kept, rest]))] for array in (X, digits))
    target, images = (digits == digit).astype(int), X.reshape(-1, 8, 8, 1)
    if return_X_y:
        return images, target
    names = np.array([f"not {digit}", str(digit)])
    return Bunch(data=X, target=target, target_names=names, images=images, digits=digits)

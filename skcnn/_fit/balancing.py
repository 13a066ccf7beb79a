"""How classes are balanced, and which class shares are predicted for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._fit.targets import Target
from skcnn._fit.weights import combined_weights, prior_shift

__all__ = ["Balancing"]


@dataclass(frozen=True)
class Balancing:
    """What a classifier says of class imbalance; a regressor says nothing.

    Attributes
    ----------
    class_weight : None, "balanced", dict or list of dict
        Weights by class.
    sampler : sampler or None
        Resamples the training samples.
    every_epoch : bool
        Whether it does so before each epoch or once.
    share : int
        Samples of each class in a batch, 0 for batches as they come.
    priors : "train", ndarray or None
        Class shares to predict for, as in `ClassTarget.class_shares`: those of the training samples, given ones, or
        None for those that the network was trained on.
    """

    class_weight: Any = None
    sampler: Any = None
    every_epoch: bool = False
    share: int = 0
    priors: Any = None

    def weigh(self, target: Target, y: np.ndarray, weight: np.ndarray | None, order: np.ndarray) -> np.ndarray:
        """Return the weights of samples, of mean 1 over those in `order`, see `combined_weights`."""
        return combined_weights(target, self.class_weight, y, weight, order)

    def shifts(self, trained: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what to subtract from the logits to judge them on the training shares, and to predict.

        Parameters
        ----------
        trained : ndarray
            Class shares that the network was trained on, after weighting and resampling.
        shares : ndarray
            Class shares of the training samples.
        """
        to_shares = prior_shift(trained, shares)
        if self.priors is None:
            return to_shares, np.zeros_like(to_shares)
        return to_shares, to_shares if isinstance(self.priors, str) else prior_shift(trained, self.priors)

"""How classes are balanced, and which class shares are predicted for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._fit.weights import prior_shift

__all__ = ["Balancing"]


@dataclass(frozen=True)
class Balancing:
    """How a classifier handles class imbalance; a regressor keeps the defaults.

    Attributes
    ----------
    class_weight : None, "balanced", dict or list of dict
        Weights by class.
    sampler : sampler or None
        What resamples the training samples.
    every_epoch : bool
        Whether to resample before each epoch, or once.
    share : int
        Samples of each class in a batch; 0 for batches that are not balanced.
    priors : "train", ndarray or None
        Class shares to predict for, see `ClassTarget.class_shares`: those of the training samples, known ones, or with
        None those that the network was trained on.
    """

    class_weight: Any = None
    sampler: Any = None
    every_epoch: bool = False
    share: int = 0
    priors: Any = None

    @property
    def inner_sampler(self) -> Any:
        """The sampler itself, without an adapter for N-D samples around it."""
        from skcnn.sampling import NDSampler  # imbalanced-learn takes a second to import

        return self.sampler.sampler if isinstance(self.sampler, NDSampler) else self.sampler

    def check_lazy(self) -> bool:
        """Refuse lazy samples for a sampler that makes samples, and return whether it looks at their values.

        Raises
        ------
        ValueError
            If the sampler does not select samples.
        """
        if self.sampler is None:
            return False
        from skcnn.sampling import looks_at_labels_alone, selects_rows

        sampler = self.inner_sampler
        if not selects_rows(sampler):
            raise ValueError(
                f"sampler={self.sampler!r} makes new samples, and lazy samples stay where they are; expected a sampler "
                "that selects samples, such as RandomOverSampler. Or pass np.asarray(X), if X fits into memory, or "
                "balance by class_weight or balanced_batches."
            )
        return not looks_at_labels_alone(sampler)

    def shifts(self, trained: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what to subtract from the logits for validation, and for prediction.

        Validation is on the class shares of the training samples: without a correction the validation loss of balanced
        training hardly ever starts to rise. Prediction is for `priors`.

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

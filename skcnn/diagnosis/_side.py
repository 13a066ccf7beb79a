"""Training or test samples, as the estimator that is diagnosed sees and predicts them."""

import warnings
from functools import cached_property
from typing import Any

import numpy as np

from skcnn._sklearn.checks import is_frame
from skcnn._statistics import Estimate, balanced_accuracy, explained_variance, proportion, weighted_mean
from skcnn.diagnosis._check import NotApplicable

__all__ = ["Side"]


class Side:
    """Training or test samples, as the estimator sees and predicts them; each value is computed when first asked for.

    Parameters
    ----------
    seen : Observations
        What they belong to.
    X, y : array-like
        Samples and targets.
    salt : int
        Of the choice of the samples that are looked at closely.
    """

    def __init__(self, seen: Any, X: Any, y: np.ndarray, salt: int) -> None:
        self.seen = seen
        self.X = X if is_frame(X) else np.asarray(X)
        self.y = y
        self.salt = salt

    @cached_property
    def codes(self) -> np.ndarray:
        """Class codes; -1 for a class that the estimator does not know."""
        return self.seen.codes(self.y)

    @cached_property
    def proba(self) -> np.ndarray:
        """Probabilities."""
        return self.ask("predict_proba").astype(np.float64, copy=False)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Predicted class codes, or targets."""
        predicted = self.ask("predict")
        return self.seen.codes(predicted) if self.seen.has_classes else predicted

    def ask(self, method: str) -> np.ndarray:
        """Return what a method of the estimator predicts; missing values are more than it may know how to take."""
        try:
            return np.asarray(getattr(self.seen.estimator, method)(self.X))
        except ValueError:
            table = np.asarray(self.X)
            if table.dtype.kind == "f" and not np.isfinite(table).all():
                raise NotApplicable("the estimator predicts no samples with values that are not finite") from None
            raise

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each sample is predicted right; a class that the estimator does not know never is."""
        return self.predicted == self.codes

    @cached_property
    def targets(self) -> np.ndarray:
        """Class codes, labels of a multilabel problem, or the targets of a regression as float64."""
        return self.seen.targets(self.y)

    @cached_property
    def quality(self) -> np.ndarray:
        """How good each prediction is: the score is the mean of it, weighted by `weight`."""
        return self.seen.quality(self.targets, self.predicted)

    @cached_property
    def weight(self) -> np.ndarray:
        """Weight of each sample in the score; they add up to 1."""
        return self.seen.weights(self.targets)

    @cached_property
    def score(self) -> Estimate:
        """Accuracy, balanced accuracy, share of right labels or R²: see `Observations.score_name`."""
        if self.seen.kind == "regression":
            return explained_variance(*self.seen.squares(self.targets, self.predicted))
        if self.seen.kind == "multilabel":
            return weighted_mean(self.quality, self.weight)
        return self.balanced if self.seen.skewed else proportion(self.right)

    @cached_property
    def balanced(self) -> Estimate:
        """Balanced accuracy."""
        return balanced_accuracy(self.codes, self.predicted)

    @property
    def by_guessing(self) -> float:
        """Balanced accuracy of a guess."""
        return 1 / len(np.unique(self.codes))

    @cached_property
    def inputs(self) -> np.ndarray:
        """The samples as they arrive at the final step, in the shape in which it sees them."""
        X = self.seen.components.transform(self.X)
        shape = getattr(self.seen.components.final, "input_shape_", None)
        return X if shape is None else X.reshape(len(X), *shape)

    @cached_property
    def chosen(self) -> np.ndarray:
        """Indices of the samples that are looked at closely: of all, or of some drawn at random."""
        n, limit = len(self.y), self.seen.FAST_LIMIT if self.seen.fast else self.seen.LIMIT
        return np.arange(n) if n <= limit else np.sort(self.seen.rng(self.salt).choice(n, limit, replace=False))

    @cached_property
    def flat(self) -> np.ndarray:
        """The samples of `chosen` as they arrive at the final step, flattened.

        What is not finite becomes the median of its column over the training samples, or 0 where there is none.
        """
        flat = self.inputs[self.chosen].reshape(len(self.chosen), -1).astype(np.float64)
        if np.isfinite(flat).all():
            return flat
        known = flat if self is self.seen.train else self.seen.train.flat
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns without a finite value
            medians = np.nanmedian(np.where(np.isfinite(known), known, np.nan), axis=0)
        return np.where(np.isfinite(flat), flat, np.nan_to_num(medians))

    def of(self, seen: Any, X: Any, y: np.ndarray, same_estimator: bool, same_steps: bool) -> "Side":
        """Return the side with other samples or targets, of other observations; what does not change is kept."""
        other = Side(seen, X, y, self.salt)
        kept = ["chosen"] * (X is self.X) + ["codes", "targets", "weight"] * (y is self.y)
        kept += ["inputs", "flat"] * (X is self.X and same_steps)
        kept += ["proba", "predicted"] * (X is self.X and same_estimator)
        if X is self.X and y is self.y and same_estimator:
            kept += ["right", "quality", "score", "balanced"]
        other.__dict__ |= {name: self.__dict__[name] for name in kept if name in self.__dict__}
        return other

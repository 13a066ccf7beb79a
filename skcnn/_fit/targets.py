"""What y means: how targets are encoded for the network, and outputs decoded.

Both kinds of target have the same methods, so that no later code depends on the kind.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target

__all__ = ["ClassTarget", "RegressionTarget", "Target"]

MAD_TO_SD = 1.4826  # of a normal distribution (Rousseeuw and Croux 1993, equation 1.3)
QUANTILES = 10  # bins of a regression target; fewer if a bin has less than one validation sample


class Target:
    """Base of both kinds of target; by default, targets and outputs stay as they are."""

    #: Whether the strata of a split are classes, each of which keeps a training sample.
    has_classes: ClassVar[bool] = True

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Return checked targets as codes, indicators or columns, if they fit."""
        raise NotImplementedError

    def strata(self, encoded: np.ndarray, fraction: float) -> np.ndarray:
        """Return the labels by which to stratify a split, as an indicator matrix."""
        raise NotImplementedError

    def settled(self, encoded: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Return the target with what it learns from the training samples."""
        return self

    def scaled(self, encoded: np.ndarray, dtype: str = "float64") -> np.ndarray:
        """Return encoded targets as the network is trained on them, in `dtype` unless they are class codes."""
        return encoded if encoded.dtype.kind == "i" else encoded.astype(dtype)

    def class_shares(self, encoded: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the share of each class in the total weight; 1 for numbers."""
        return np.ones(1)

    #: Whether outputs are logarithms, before `output_units`.
    logarithmic: bool = False

    def output_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and offset that take outputs to the unit of y."""
        return np.ones(1), np.zeros(1)

    def attributes(self) -> dict[str, Any]:
        """Return the public attributes that follow from it."""
        return {}

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return predictions in the form of y from outputs of the network."""
        raise NotImplementedError


@dataclass(frozen=True)
class ClassTarget(Target):
    """Target of a classifier: labels.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel"}
        Binary has one logit, multiclass one logit per class, multilabel one logit per label.
    classes : ndarray of shape (n_classes,)
        Sorted class labels; for multilabel the indices of the labels.
    """

    kind: str
    classes: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None) -> Self:
        """Return the target of labels `y`; `classes` are all labels, if known beforehand."""
        kind = type_of_target(y, input_name="y")
        if kind == "unknown" and y.dtype.kind == "O":
            found = sorted({type(label).__name__ for label in y.flat})
            raise ValueError(
                f"Unknown label type: y holds objects of the types {found}; expected labels that are all numbers or "
                "all strings, such as y.astype(int) or y.astype(str)."
            )
        check_classification_targets(y)
        if kind == "multilabel-indicator":
            return cls("multilabel", np.arange(y.shape[1]))
        if kind == "multiclass-multioutput":
            raise ValueError(
                f"y has shape {y.shape} and more than two values in a column: multiclass-multioutput targets are not "
                "supported. Expected labels of shape (n,) or a 0/1 indicator matrix; fit one classifier per column, "
                "e.g. with MultiOutputClassifier."
            )
        classes = np.unique(y if classes is None else classes)
        if len(classes) < 2:
            raise ValueError(
                f"Classifier can't train when only one class is present: y holds only {classes.tolist()}. Expected at "
                "least two classes; check the filter or the split that made y."
            )
        return cls("binary" if len(classes) == 2 else "multiclass", classes)

    @property
    def n_outputs(self) -> int:
        """Number of logits."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def loss(self) -> str:
        """Name of the activation in the cross-entropy of these logits."""
        return "softmax" if self.kind == "multiclass" else "sigmoid"

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Return class codes (n,) for multiclass, else zeros and ones (n, n_outputs)."""
        if self.kind == "multilabel":
            if y.ndim != 2 or y.shape[1] != len(self.classes) or not np.isin(y, (0, 1)).all():
                raise ValueError(
                    f"{name} has shape {y.shape}; expected a 0/1 indicator matrix with {len(self.classes)} columns, "
                    "as in the first fit."
                )
            return y.astype(np.float64)
        if y.ndim != 1:
            raise ValueError(f"{name} has shape {y.shape}; expected labels of shape (n,), as in the first fit.")
        codes = np.searchsorted(self.classes, y)
        found = self.classes[np.minimum(codes, len(self.classes) - 1)] == y
        if not np.all(found):
            raise ValueError(
                f"{name} holds labels that are not among the classes: {np.unique(y[~found]).tolist()}. The classes "
                f"are {self.classes.tolist()}."
            )
        return codes.astype(np.int32) if self.kind == "multiclass" else codes[:, None].astype(np.float64)

    def codes(self, encoded: np.ndarray) -> np.ndarray:
        """Return the class codes (n,) of encoded labels, binary or multiclass."""
        return encoded if encoded.ndim == 1 else encoded[:, 0].astype(np.int32)

    def strata(self, encoded: np.ndarray, fraction: float) -> np.ndarray:
        """Return the labels to stratify by as an indicator matrix: classes, or labels."""
        if self.kind == "multilabel":
            return encoded == 1
        codes = self.codes(encoded)
        return codes[:, None] == np.unique(codes)

    def class_shares(self, encoded: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return each class's share of the total weight, or that of each label's 0 and 1.

        Parameters
        ----------
        encoded : ndarray
            Encoded labels.
        weight : ndarray of shape (n,), (n, 1) or (n, n_labels), or None
            Weights of the samples.

        Returns
        -------
        ndarray of shape (n_classes,), or (n_labels, 2) for multilabel
        """
        weights = np.ones((len(encoded), 1)) if weight is None else weight.reshape(len(encoded), -1).astype(np.float64)
        if self.kind == "multilabel":
            positive = np.average(encoded.astype(np.float64), axis=0, weights=np.broadcast_to(weights, encoded.shape))
            return np.stack([1 - positive, positive], axis=1)
        counts = np.bincount(self.codes(encoded), weights=weights[:, 0], minlength=len(self.classes))
        return counts / counts.sum()

    def attributes(self) -> dict[str, Any]:
        """Return the class labels."""
        return {"classes_": self.classes}

    def decision(self, z: np.ndarray) -> np.ndarray:
        """Return logits of shape (n,) for binary, else (n, n_outputs)."""
        return z[:, 0] if self.kind == "binary" else z

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """Return probabilities (n, n_classes), for multilabel those of each label."""
        if self.kind == "binary":
            return np.hstack([expit(-z), expit(z)])
        return softmax(z, axis=1) if self.kind == "multiclass" else expit(z)

    def log_probabilities(self, z: np.ndarray) -> np.ndarray:
        """Return the logarithms of `probabilities`, without underflow."""
        if self.kind == "binary":
            return np.hstack([-np.logaddexp(0, z), -np.logaddexp(0, -z)])
        return log_softmax(z, axis=1) if self.kind == "multiclass" else -np.logaddexp(0, -z)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return labels (n,), or an indicator matrix (n, n_labels) for multilabel."""
        if self.kind == "multilabel":
            return (z > 0).astype(int)
        codes = (z[:, 0] > 0).astype(int) if self.kind == "binary" else z.argmax(axis=1)
        return self.classes[codes]


@dataclass(frozen=True)
class RegressionTarget(Target):
    """Target of a regressor: numbers, standardised for training.

    The network is trained on targets of mean 0 and variance 1 over the (weighted) training samples, so that learning
    rate and penalties mean the same whatever the unit of y; predictions are in the unit of y.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_outputs,)
        Centre and scale of the training targets: mean and standard deviation, or median and 1.4826 times the median
        absolute deviation; the scale of a constant target is 1.
    flat : bool
        Whether y was one-dimensional.
    robust : bool
        Whether a few wild targets are to leave centre and scale as they are.
    common : bool
        Whether all columns have one centre and scale.
    logarithmic : bool
        Whether the network predicts the logarithm of the target over its mean, which is then the scale.
    """

    has_classes: ClassVar[bool] = False
    kind: ClassVar[str] = "regression"

    mean: np.ndarray
    scale: np.ndarray
    flat: bool
    robust: bool = False
    common: bool = False
    logarithmic: bool = False

    @classmethod
    def of(cls, y: np.ndarray, **how: bool) -> Self:
        """Return the target of `y`, not yet standardised, see `settled`; `how` are the flags of the class."""
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        return cls(np.zeros(n_outputs), np.ones(n_outputs), y.ndim == 1, **how)

    def settled(self, encoded: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Return the target with centre and scale of the training targets."""
        n_outputs = encoded.shape[1]
        if self.common and n_outputs > 1:
            weight = None if weight is None else np.repeat(weight, n_outputs)
            encoded = encoded.reshape(-1, 1)
        mean, scale = _centre_and_scale(encoded, weight)
        if self.logarithmic:
            mean, scale = np.zeros_like(mean), np.where(mean > 0, mean, 1.0)
        if self.robust:
            mean, scale = _robust_centre_and_scale(encoded, weight, scale)
        return replace(self, mean=np.resize(mean, n_outputs), scale=np.resize(scale, n_outputs))

    @property
    def n_outputs(self) -> int:
        """Number of targets of a sample."""
        return len(self.mean)

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Return targets in the unit of y, (n, n_outputs)."""
        if (y.ndim == 1) != self.flat or (not self.flat and y.shape[1] != self.n_outputs):
            raise ValueError(
                f"{name} has shape {y.shape}; expected {'(n,)' if self.flat else f'(n, {self.n_outputs})'}, as in fit."
            )
        if self.logarithmic and (y < 0).any():
            raise ValueError(
                f"{name} holds negative values (smallest {y.min():g}); expected counts or rates of at least 0 for "
                "loss='poisson'. Choose another loss."
            )
        return y.reshape(len(y), -1).astype(np.float64)

    def scaled(self, encoded: np.ndarray, dtype: str = "float64") -> np.ndarray:
        """Return encoded targets as the network is trained on them: standardised."""
        return ((encoded - self.mean) / self.scale).astype(dtype)

    def strata(self, encoded: np.ndarray, fraction: float) -> np.ndarray:
        """Return bins of the first target's quantiles to stratify by, as indicators."""
        n_bins = max(1, min(QUANTILES, int(len(encoded) * fraction)))
        inner = np.quantile(encoded[:, 0], np.linspace(0, 1, n_bins + 1)[1:-1])
        codes = np.searchsorted(inner, encoded[:, 0])
        return codes[:, None] == np.unique(codes)

    def output_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and offset that take outputs to the unit of y."""
        return self.scale, self.mean

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return predictions in the unit and shape of y."""
        prediction = (np.exp(z) if self.logarithmic else z) * self.scale + self.mean
        return prediction[:, 0] if self.flat else prediction


def _centre_and_scale(columns: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of columns; the scale of a constant one is 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.average(columns, axis=0, weights=weight)
        deviations = columns - mean
    if not np.isfinite(deviations).all():
        raise ValueError(
            f"y holds values too large to take their mean (largest magnitude {np.abs(columns).max():g}). Scale y, "
            "e.g. with TransformedTargetRegressor."
        )
    # In units of the largest deviation, whose square may overflow in float64.
    unit = np.abs(deviations).max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    scale = unit * np.sqrt(np.average((deviations / unit) ** 2, axis=0, weights=weight))
    # A deviation of the size of rounding is none: the target is constant.
    tiny = 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > tiny, scale, 1.0)


def _robust_centre_and_scale(
    columns: np.ndarray, weight: np.ndarray | None, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return median and scaled median absolute deviation of columns, or `scale` where more than half are equal."""
    centre = _median(columns, weight)
    deviation = MAD_TO_SD * _median(np.abs(columns - centre), weight)
    tiny = 10 * np.finfo(np.float64).eps * np.abs(centre)
    return centre, np.where(deviation > tiny, deviation, scale)


def _median(columns: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the median of each column, of which a sample of weight 2 is two."""
    if weight is None:
        return np.median(columns, axis=0)
    order = np.argsort(columns, axis=0)
    passed = np.cumsum(weight[order], axis=0)
    half = passed[-1] / 2
    # The middle, or the mean of the two in the middle, as np.median has it.
    middle = [(passed < half).sum(axis=0), (passed <= half).sum(axis=0)]
    values = np.take_along_axis(columns, order, axis=0)
    ends = [np.take_along_axis(values, np.minimum(i, len(columns) - 1)[None], axis=0)[0] for i in middle]
    return ends[0] + (ends[1] - ends[0]) / 2

"""What y means: how labels become what the network is trained on, and how its outputs become labels again.

Both kinds of target answer the same questions, so that nothing after them asks which kind it is.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target

__all__ = ["ClassTarget", "RegressionTarget", "Target"]

QUANTILES = 10  # bins of a regression target, fewer if a bin would not reach into the validation part


@dataclass(frozen=True)
class ClassTarget:
    """Labels of a classification.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel"}
        Binary is one logit, multiclass one logit a class, multilabel one logit a label.
    classes : ndarray of shape (n_classes,)
        Sorted labels; for multilabel the numbers of the labels.
    """

    #: Whether strata of the inner split are classes, each of which keeps a training sample.
    has_classes: ClassVar[bool] = True

    kind: str
    classes: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None) -> Self:
        """Tell what kind of classification `y` is; `classes` are all labels, if they are known beforehand."""
        kind = type_of_target(y, input_name="y")
        if kind == "unknown" and y.dtype.kind == "O":
            found = sorted({type(label).__name__ for label in y.flat})
            raise ValueError(
                f"Unknown label type: y holds objects of the types {found}; expected labels that are numbers or texts, "
                "such as y.astype(int) or y.astype(str)."
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
        """Name of the cross-entropy of these logits."""
        return "softmax" if self.kind == "multiclass" else "sigmoid"

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Class codes of shape (n,) for multiclass, else 0/1 of shape (n, n_outputs)."""
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

    def settled(self, encoded: np.ndarray, weight: np.ndarray | None) -> Self:
        """Return the target with what it takes from the training samples alone: nothing."""
        return self

    def scaled(self, encoded: np.ndarray) -> np.ndarray:
        """Return what the network is trained on: codes and indicators as they are."""
        return encoded

    def codes(self, encoded: np.ndarray) -> np.ndarray:
        """Return the class codes of encoded labels of one kind, (n,)."""
        return encoded if encoded.ndim == 1 else encoded[:, 0].astype(np.int32)

    def strata(self, encoded: np.ndarray, fraction: float) -> np.ndarray:
        """Return what to hold in equal shares in a split, as a 0/1 matrix: classes, or labels of multilabel."""
        if self.kind == "multilabel":
            return encoded == 1
        codes = self.codes(encoded)
        return codes[:, None] == np.unique(codes)

    def class_shares(self, encoded: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return each class's share of the total weight, ``(n_classes,)``, or each label's of 0 and 1.

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

    def output_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and offset of the outputs: logits stay as they are."""
        return np.ones(self.n_outputs), np.zeros(self.n_outputs)

    def attributes(self) -> dict[str, Any]:
        """Return what a fitted estimator shows of it."""
        return {"classes_": self.classes}

    def decision(self, z: np.ndarray) -> np.ndarray:
        """Logits in scikit-learn's shape: (n,) for binary, else (n, n_outputs)."""
        return z[:, 0] if self.kind == "binary" else z

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """Probabilities (n, n_classes); for multilabel of each label."""
        if self.kind == "binary":
            return np.hstack([expit(-z), expit(z)])
        return softmax(z, axis=1) if self.kind == "multiclass" else expit(z)

    def log_probabilities(self, z: np.ndarray) -> np.ndarray:
        """Logarithms of `probabilities`, without underflow."""
        if self.kind == "binary":
            return np.hstack([-np.logaddexp(0, z), -np.logaddexp(0, -z)])
        return log_softmax(z, axis=1) if self.kind == "multiclass" else -np.logaddexp(0, -z)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Labels of shape (n,), or a 0/1 matrix (n, n_labels) for multilabel."""
        if self.kind == "multilabel":
            return (z > 0).astype(int)
        codes = (z[:, 0] > 0).astype(int) if self.kind == "binary" else z.argmax(axis=1)
        return self.classes[codes]


@dataclass(frozen=True)
class RegressionTarget:
    """Targets of a regression, standardised for training.

    The network is trained on targets of mean 0 and variance 1 over the (weighted) training rows, so that learning rate
    and penalties mean the same whatever the unit of y; predictions come in the unit of y.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_outputs,)
        Of the training targets; a constant target has scale 1.
    flat : bool
        Whether y was one-dimensional.
    """

    has_classes: ClassVar[bool] = False
    kind: ClassVar[str] = "regression"

    mean: np.ndarray
    scale: np.ndarray
    flat: bool

    @classmethod
    def of(cls, y: np.ndarray) -> Self:
        """Return a target of as many columns, in the unit of y until it is `settled`."""
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        return cls(np.zeros(n_outputs), np.ones(n_outputs), y.ndim == 1)

    def settled(self, encoded: np.ndarray, weight: np.ndarray | None = None) -> Self:
        """Return the target with mean and scale of the training targets."""
        columns = encoded
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(columns, axis=0, weights=weight)
            deviations = columns - mean
        if not np.isfinite(deviations).all():
            raise ValueError(
                f"y holds values too large to take their mean (largest magnitude {np.abs(columns).max():g}). Scale y, "
                "e.g. with TransformedTargetRegressor."
            )
        # In units of the largest deviation, whose square may be no number of float64 any more.
        unit = np.abs(deviations).max(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        scale = unit * np.sqrt(np.average((deviations / unit) ** 2, axis=0, weights=weight))
        tiny = 10 * np.finfo(np.float64).eps * np.abs(mean)
        return replace(self, mean=mean, scale=np.where(scale > tiny, scale, 1.0))

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return len(self.mean)

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Targets in their own unit as columns (n, n_outputs)."""
        if (y.ndim == 1) != self.flat or (not self.flat and y.shape[1] != self.n_outputs):
            raise ValueError(
                f"{name} has shape {y.shape}; expected {'(n,)' if self.flat else f'(n, {self.n_outputs})'}, as in fit."
            )
        return y.reshape(len(y), -1).astype(np.float64)

    def scaled(self, encoded: np.ndarray) -> np.ndarray:
        """Return what the network is trained on: standardised columns."""
        return (encoded - self.mean) / self.scale

    def strata(self, encoded: np.ndarray, fraction: float) -> np.ndarray:
        """Return what to hold in equal shares in a split, as a 0/1 matrix: bins of the first column's quantiles."""
        n_bins = max(1, min(QUANTILES, int(len(encoded) * fraction)))
        inner = np.quantile(encoded[:, 0], np.linspace(0, 1, n_bins + 1)[1:-1])
        codes = np.searchsorted(inner, encoded[:, 0])
        return codes[:, None] == np.unique(codes)

    def class_shares(self, encoded: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the whole as the share of one class, from which no prior shift follows."""
        return np.ones(1)

    def output_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and offset from outputs of the network to the unit of y."""
        return self.scale, self.mean

    def attributes(self) -> dict[str, Any]:
        """Return what a fitted estimator shows of it."""
        return {}

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Predictions in the unit and shape of y."""
        prediction = z * self.scale + self.mean
        return prediction[:, 0] if self.flat else prediction


Target = ClassTarget | RegressionTarget

"""What y means: how labels become what the network is trained on, and how its outputs become labels again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target

__all__ = ["ClassTarget", "RegressionTarget"]


@dataclass
class ClassTarget:
    """Labels of a classification.

    Attributes
    ----------
    kind : {"binary", "multiclass", "multilabel"}
        Binary is one logit, multiclass one logit a class, multilabel one logit a label.
    classes : ndarray of shape (n_classes,)
        Sorted labels; for multilabel the numbers of the labels.
    """

    kind: str
    classes: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None) -> "ClassTarget":
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


@dataclass
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

    mean: np.ndarray
    scale: np.ndarray
    flat: bool

    @classmethod
    def of(cls, y: np.ndarray, weight: np.ndarray | None = None) -> "RegressionTarget":
        """Take mean and scale from the training targets."""
        columns = y.reshape(len(y), -1).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.average(columns, axis=0, weights=weight)
            deviations = columns - mean
        if not np.isfinite(deviations).all():
            raise ValueError(
                f"y holds values too large to take their mean (largest magnitude {np.abs(y).max():g}). Scale y, e.g. "
                "with TransformedTargetRegressor."
            )
        # In units of the largest deviation, whose square may be no number of float64 any more.
        unit = np.abs(deviations).max(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        scale = unit * np.sqrt(np.average((deviations / unit) ** 2, axis=0, weights=weight))
        tiny = 10 * np.finfo(np.float64).eps * np.abs(mean)
        return cls(mean, np.where(scale > tiny, scale, 1.0), y.ndim == 1)

    @property
    def n_outputs(self) -> int:
        """Number of columns of y."""
        return len(self.mean)

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Standardised targets (n, n_outputs)."""
        if (y.ndim == 1) != self.flat or (not self.flat and y.shape[1] != self.n_outputs):
            raise ValueError(
                f"{name} has shape {y.shape}; expected {'(n,)' if self.flat else f'(n, {self.n_outputs})'}, as in fit."
            )
        return (y.reshape(len(y), -1) - self.mean) / self.scale

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Predictions in the unit and shape of y."""
        prediction = z * self.scale + self.mean
        return prediction[:, 0] if self.flat else prediction

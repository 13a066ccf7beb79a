"""Class weights, sample weights, and the class shares that they amount to."""

import sys
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from skcnn._fit.targets import ClassTarget
from skcnn._sklearn.checks import REAL, naming, plain_array
from skcnn._sklearn.internals import Interval

__all__ = ["check_priors", "check_sample_weight", "class_weights", "combined_weights", "prior_shift"]

WEIGHT = Interval(Real, 0, sys.float_info.max, closed="both")


def check_sample_weight(weight: Any, n_samples: int, name: str = "sample_weight") -> np.ndarray | None:
    """Return weights as a new float64 array of shape (n_samples,), or None for None.

    Raises
    ------
    ValueError
        If the shape does not fit, a weight is negative or not finite, or all are zero.
    """
    if weight is None:
        return None
    if isinstance(weight, (int, float, np.number)):
        weight = np.full(n_samples, weight)
    with naming(name):
        checked = np.asarray(plain_array(weight, name))
        if checked.dtype.kind not in REAL + "O":
            raise TypeError(f"{name} holds {checked.dtype}; expected real numbers.")
        checked = np.array(checked, dtype=np.float64)
    if checked.shape != (n_samples,):
        raise ValueError(
            f"{name}.shape == {checked.shape}, expected ({n_samples},): one weight per sample of X. A sampler in an "
            "earlier step of the pipeline changes the samples but not the weights; pass the sampler to the estimator "
            "instead (sampler=...), which resamples the weights as well."
        )
    bad = checked[~(np.isfinite(checked) & (checked >= 0))]
    if len(bad):
        raise ValueError(
            f"{name} holds {bad[0]} (and {len(bad) - 1} more such values); expected finite weights of at least 0."
        )
    if not checked.any():
        raise ValueError(
            f"All entries of {name} are zero, so no sample is left to train on. Expected at least one above 0."
        )
    with np.errstate(over="ignore"):
        if not np.isfinite(checked.sum()):
            raise ValueError(f"{name} holds {checked.max():g}; the sum over the samples overflows. Scale {name}.")
    return checked


def class_weights(class_weight: Any, target: ClassTarget, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the weight of each class, or for multilabel of each label's 0 and 1.

    Parameters
    ----------
    class_weight : None, "balanced", dict, or list of dict for multilabel
        As in scikit-learn; "balanced" is ``n / (n_classes * n_of_the_class)``, counted with sample weights.
    target : ClassTarget
        Kind and classes.
    y : ndarray
        Encoded training targets.
    weight : ndarray of shape (n,) or None
        Sample weights.

    Returns
    -------
    ndarray of shape (n_classes,), or (n_labels, 2) for multilabel

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if some are for classes that are not in y while classes in y have none,
        or if the form does not fit `target`.
    """
    if target.kind != "multilabel":
        if class_weight is not None and not isinstance(class_weight, (str, Mapping)):
            raise ValueError(
                f"class_weight={class_weight!r}; expected None, 'balanced' or a dict of weights by class label."
            )
        return _of_one(class_weight, target.classes, target.codes(y), weight)
    n_labels = len(target.classes)
    alike = class_weight is None or isinstance(class_weight, str)
    per_label = [class_weight] * n_labels if alike else class_weight
    if isinstance(per_label, Mapping) or len(per_label) != n_labels:
        raise ValueError(
            f"class_weight={class_weight!r}; for multilabel targets expected None, 'balanced' or a list of "
            f"{n_labels} dicts such as {{0: 1, 1: 5}}, one per label."
        )
    pairs = [
        _of_one(one, np.array([0, 1]), column.astype(np.int32), weight)
        for one, column in zip(per_label, y.T, strict=True)
    ]
    return np.stack(pairs)


def _of_one(class_weight: Any, classes: np.ndarray, codes: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    present = np.unique(codes if weight is None else codes[weight > 0])
    weights = np.ones(len(classes))
    if class_weight is None:
        return weights
    if isinstance(class_weight, str):
        weights[present] = compute_class_weight(
            class_weight, classes=classes[present], y=classes[codes], sample_weight=weight
        )
        return weights
    labels = classes.tolist()
    surplus = [label for label in class_weight if label not in labels]
    missing = [label for label in labels if label not in class_weight]
    if surplus and missing:  # as in scikit-learn: a fold may lack a class that has a weight, but this is a mistake
        raise ValueError(
            f"class_weight has weights for the classes {surplus}, which are not in y, and none for {missing}, which "
            f"are; expected weights for classes of {labels}."
        )
    for label, value in class_weight.items():
        if not WEIGHT.is_satisfied_by(value):
            raise ValueError(f"class_weight[{label!r}] is {value!r}; expected a finite weight of at least 0.")
        if label in labels:
            weights[labels.index(label)] = value
    if not weights[present].any():
        raise ValueError(
            f"class_weight={class_weight!r} gives every sample the weight 0; expected at least one above 0."
        )
    return weights


def combined_weights(
    target: Any, class_weight: Any, y: np.ndarray, weight: np.ndarray | None, order: np.ndarray
) -> np.ndarray:
    """Return class weight times sample weight, scaled to mean 1 over an epoch.

    The scaling keeps the effective learning rate the same with and without weights.

    Parameters
    ----------
    target : Target
        What y means; a `ClassTarget` if there are class weights.
    class_weight : None, "balanced", dict, or list of dict for multilabel
        See `class_weights`.
    y : ndarray
        Encoded targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    order : ndarray of int
        Samples of an epoch.

    Returns
    -------
    ndarray of shape (n, 1), or (n, n_labels) if class weights differ by label
    """
    weights = np.ones((len(y), 1)) if weight is None else weight[:, None].copy()
    if class_weight is not None:
        per_class = class_weights(class_weight, target, y[order], None if weight is None else weight[order])
        if per_class.ndim == 2:
            weights = weights * np.where(y > 0, per_class[:, 1], per_class[:, 0])
        else:
            weights *= per_class[target.codes(y)][:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = weights[order].mean()
    if not 0 < mean < np.inf:
        raise ValueError(
            f"class_weight times sample_weight has mean {mean:g} over the training samples; expected a mean above 0 "
            "that is finite. Scale the weights, or set some above 0."
        )
    return weights / mean


def prior_shift(trained: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return by how much logits trained on other class shares are too high.

    By Bayes' rule a posterior for class shares q becomes one for shares p when it is multiplied by p / q and normalised
    (Saerens, Latinne and Decaestecker 2002, equation 2.4, https://doi.org/10.1162/089976602753284446): the logits fall
    by log(q / p), the logit of a binary network by the difference of the two classes. Class weights change the shares
    as resampling does (Elkan 2001, theorem 2). A class with share 0 in p or q is not shifted.

    Parameters
    ----------
    trained : ndarray of shape (n_classes,) or (n_labels, 2)
        Shares q that the network was trained on.
    wanted : ndarray of the same shape
        Shares p to predict for.

    Returns
    -------
    ndarray of shape (n_outputs,)
    """
    known = (trained > 0) & (wanted > 0)
    shift = np.log(np.where(known, trained, 1.0) / np.where(known, wanted, 1.0))
    if shift.ndim == 2:
        return shift[:, 1] - shift[:, 0]
    return shift[1:] - shift[:1] if len(shift) == 2 else shift


def check_priors(priors: Any, target: ClassTarget) -> np.ndarray:
    """Return checked `priors` in the form of `ClassTarget.class_shares`.

    Raises
    ------
    ValueError
        If there is not one share in (0, 1) per class or label, or if class shares do not sum to 1.
    """
    try:
        shares = np.asarray(priors, dtype=np.float64)
    except (TypeError, ValueError):
        shares = np.empty(0)
    n_classes = len(target.classes)
    kind = "label" if target.kind == "multilabel" else "class"
    if shares.shape != (n_classes,) or not ((shares > 0) & (shares < 1)).all():
        raise ValueError(
            f"priors={priors!r}; expected 'train' or {n_classes} shares between 0 and 1, one per {kind} in the order "
            f"of classes_, {target.classes.tolist()}."
        )
    if target.kind == "multilabel":
        return np.stack([1 - shares, shares], axis=1)
    if not np.isclose(shares.sum(), 1, atol=1e-6):
        raise ValueError(f"priors={priors!r} sum to {shares.sum():g}; expected class shares that sum to 1.")
    return shares

"""What `diagnose` refuses, before any check: arguments of which every check would only say that it could not run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, check_random_state

from skcnn._sklearn.checks import naming, plain_array
from skcnn._sklearn.internals import safe_indexing

__all__ = ["check_data", "check_labels", "check_predicts", "seed_of"]


def check_data(X_train: Any, y_train: Any, X_test: Any, y_test: Any, beside: Mapping[str, Any]) -> None:
    """Check that samples and targets are there, as many of each, of one shape.

    Parameters
    ----------
    X_train, y_train, X_test, y_test : array-like
        As `diagnose` takes them.
    beside : mapping of str to array-like or None
        Groups and times by name, which ends in "_train" or "_test".

    Raises
    ------
    ValueError
        If they do not fit.
    """
    if (X_test is None) != (y_test is None):
        missing, given = ("y_test", "X_test") if y_test is None else ("X_test", "y_test")
        raise ValueError(f"{given} is given without {missing}; give both, or none of them.")
    every = {"X_train": X_train, "y_train": y_train, "X_test": X_test, "y_test": y_test, **beside}
    arrays = {
        name: _array(values, name)
        for name, values in every.items()
        if values is not None or name in ("X_train", "y_train")
    }
    for name, array in arrays.items():
        samples = f"X_{name.rpartition('_')[2]}"
        if samples in arrays and (n := len(arrays[samples])) != len(array):
            raise ValueError(f"{samples} has {n} samples, but {name} has {len(array)}; expected as many.")
    train, test = (arrays.get(name, arrays["X_train"]).shape[1:] for name in ("X_train", "X_test"))
    if train != test:
        raise ValueError(
            f"Samples of X_train have shape {train}, those of X_test {test}; expected both as the estimator's fit took "
            "them."
        )


def _array(values: Any, name: str) -> np.ndarray:
    """Return values as an array with an entry for each sample; samples may have missing values, targets not."""
    with naming(name):
        array: np.ndarray = check_array(
            plain_array(values, name),
            dtype=None,
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite=name.startswith("y_"),
            ensure_min_samples=2 if name == "X_train" else 1,
            input_name=name,
        )
    return array


def check_labels(y_train: np.ndarray, y_test: np.ndarray | None, classes: np.ndarray | None) -> None:
    """Check that targets are whole, of one kind, and those that a classifier was trained on.

    Parameters
    ----------
    y_train, y_test : ndarray
        Targets; `y_test` may be None.
    classes : ndarray or None
        Labels that the estimator knows, None for a regression or where each sample has several labels.

    Raises
    ------
    ValueError
        If they are not.
    """
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y is None:
            continue
        if y.dtype.kind in "SV":
            raise TypeError(f"{name} holds {y.dtype}; expected real numbers, or labels that are numbers or texts.")
        with naming(name):
            np.unique(y)  # refuses what has no order, such as texts and numbers, or values that are missing
    if y_test is not None and _is_text(y_train) != _is_text(y_test):
        raise ValueError(
            f"y_train holds {y_train[:1].tolist()}, y_test {y_test[:1].tolist()}; expected labels of one kind, texts "
            "or numbers."
        )
    if classes is None:
        return
    known = np.unique(y_train)
    if _is_text(y_train) != _is_text(classes) or not np.isin(known, classes).all():
        raise ValueError(
            f"y_train holds the labels {known[:5].tolist()}, but the estimator was trained on {classes[:5].tolist()}; "
            "expected X_train and y_train as its fit took them."
        )
    if len(known) < 2:
        raise ValueError(f"All of y_train has the label {known.tolist()[0]!r}; there is nothing to tell apart.")


def check_predicts(estimator: Any, X_train: Any) -> None:
    """Check that an estimator is fitted, and predicts samples like those of `X_train`.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If it cannot predict the first samples without missing values.
    """
    name = type(estimator).__name__
    table = np.asarray(X_train)
    usable = np.ones(len(table), dtype=bool)
    if table.dtype.kind == "f":
        usable = np.isfinite(table.reshape(len(table), -1)).all(axis=1)
    rows = np.flatnonzero(usable)[:2]
    try:
        if len(rows):
            estimator.predict(safe_indexing(X_train, rows))
    except NotFittedError as error:
        raise NotFittedError(
            f"diagnose takes a fitted estimator, and this {name} is not: call its fit first."
        ) from error
    except Exception as error:
        raise ValueError(
            f"{name} cannot predict samples of X_train, of shape {np.shape(X_train)[1:]}: {error} Expected samples as "
            "its fit took them."
        ) from error


def seed_of(random_state: Any) -> int:
    """Return a seed: an int as it is, otherwise one that is drawn, as in scikit-learn."""
    with naming("random_state"):
        generator = check_random_state(random_state)  # refuses what is no seed
    return int(random_state) if isinstance(random_state, int | np.integer) else int(generator.randint(2**31 - 1))


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "US" or (values.dtype.kind == "O" and isinstance(values.flat[0], str))

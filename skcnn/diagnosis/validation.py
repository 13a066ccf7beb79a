"""What `diagnose` refuses, before any check: arguments of which every check would only say that it could not run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples

__all__ = ["check_data", "check_labels", "check_predicts", "seed_of"]


def check_data(X_train: Any, y_train: Any, X_test: Any, y_test: Any, beside: Mapping[str, Any]) -> None:
    """Check that rows and targets are there, as many of each, of one shape.

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
    for side, X, y, least in (("train", X_train, y_train, 2), ("test", X_test, y_test, 1)):
        if X is None and side == "test":
            continue
        if X is None or y is None:
            raise ValueError(f"{'X' if X is None else 'y'}_{side} is None; expected the rows that it was trained on.")
        n = _num_samples(X)
        if n < least:
            raise ValueError(f"X_{side} has {n} rows; expected {least} at least.")
        others = {"y": y, **{name.removesuffix(f"_{side}"): values for name, values in beside.items() if side in name}}
        for name, values in others.items():
            if values is not None and _num_samples(values) != n:
                raise ValueError(
                    f"X_{side} has {n} rows, but {name}_{side} has {_num_samples(values)}; expected as many."
                )
    if X_test is not None and np.shape(X_train)[1:] != np.shape(X_test)[1:]:
        raise ValueError(
            f"Rows of X_train have shape {np.shape(X_train)[1:]}, those of X_test {np.shape(X_test)[1:]}; expected "
            "both as the estimator's fit took them."
        )


def check_labels(y_train: np.ndarray, y_test: np.ndarray | None, classes: np.ndarray | None) -> None:
    """Check that targets are whole, of one kind, and those that a classifier was trained on.

    Parameters
    ----------
    y_train, y_test : ndarray
        Targets; `y_test` may be None.
    classes : ndarray or None
        Labels that the estimator knows, None for a regression or where each row has several labels.

    Raises
    ------
    ValueError
        If they are not.
    """
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y is not None and y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(y))} values that are not finite; remove these rows.")
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
        raise ValueError(f"All rows of y_train have the label {known.tolist()[0]!r}; there is nothing to tell apart.")


def check_predicts(estimator: Any, X_train: Any) -> None:
    """Check that an estimator is fitted, and predicts rows like those of `X_train`.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If it cannot predict the first rows without missing values.
    """
    name = type(estimator).__name__
    table = np.asarray(X_train)
    rows = np.arange(min(2, len(table)))
    if table.dtype.kind == "f":
        rows = np.flatnonzero(np.isfinite(table.reshape(len(table), -1)).all(axis=1))[:2]
    try:
        if len(rows):
            estimator.predict(_safe_indexing(X_train, rows))
    except NotFittedError as error:
        raise NotFittedError(
            f"diagnose takes a fitted estimator, and this {name} is not: call its fit first."
        ) from error
    except Exception as error:
        raise ValueError(
            f"{name} cannot predict rows of X_train, of shape {np.shape(X_train)[1:]}: {error} Expected rows as "
            "its fit took them."
        ) from error


def seed_of(random_state: Any) -> int:
    """Return a seed: an int as it is, otherwise one that is drawn, as in scikit-learn."""
    generator = check_random_state(random_state)  # refuses what is no seed
    return int(random_state) if isinstance(random_state, int | np.integer) else int(generator.randint(2**31 - 1))


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "US" or (values.dtype.kind == "O" and isinstance(values.flat[0], str))

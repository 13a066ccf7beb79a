"""The case that checks look at: estimator, data and predictions; each computed once, when first asked for."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.multiclass import type_of_target

from skcnn._fit.batches import row_digests
from skcnn._sklearn.checks import is_frame, naming
from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import Estimate, balanced_accuracy, bootstrap, proportion
from skcnn.diagnosis._arguments import check_data, check_labels, check_predicts, seed_of
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._components import KerasModel, Parts, is_keras_model, take_apart, unread_features
from skcnn.diagnosis._reference import Reference

__all__ = ["Case"]


class Case:
    """A fitted estimator with its training rows and, if there are any, its test rows.

    Parameters
    ----------
    estimator : estimator
        Fitted classifier or regressor, pipeline, search or Keras model.
    X_train, y_train, X_test, y_test : array-like
        Rows and targets as the estimator was given them; the test rows may be None.
    groups_train, groups_test, times_train, times_test : array-like or None
        Group and time of each row.
    fast : bool
        Whether to look at fewer rows and grow fewer trees.
    random_state : int, RandomState instance or None
        Seed of all that is drawn.
    n_jobs : int or None
        For the simple models.
    """

    MAX_ROWS = 3000  # that distances and simple models are computed on
    FAST_ROWS = 1200

    def __init__(
        self,
        estimator: Any,
        X_train: Any,
        y_train: Any,
        X_test: Any = None,
        y_test: Any = None,
        *,
        groups_train: Any = None,
        groups_test: Any = None,
        times_train: Any = None,
        times_test: Any = None,
        fast: bool = False,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        beside = {
            "groups_train": groups_train,
            "groups_test": groups_test,
            "times_train": times_train,
            "times_test": times_test,
        }
        check_data(X_train, y_train, X_test, y_test, beside)
        one_hot = is_keras_model(estimator) and np.ndim(y_train) == 2 and np.shape(y_train)[1] > 1
        self.one_hot = one_hot
        self.y_train = _labels(y_train, one_hot)
        self.y_test: Any = None if y_test is None else _labels(y_test, one_hot)
        self.parts: Parts = take_apart(estimator, self.y_train)
        self.estimator = self.parts.whole
        self.X_train = X_train if is_frame(X_train) else np.asarray(X_train)
        self.X_test = X_test if X_test is None or is_frame(X_test) else np.asarray(X_test)
        self.groups_train, self.groups_test = _array(groups_train), _array(groups_test)
        self.times_train, self.times_test = _array(times_train), _array(times_test)
        self.fast = fast
        self.seed = seed_of(random_state)
        self.n_jobs = n_jobs
        with naming("y_train"):
            classes = self.classes if self.kind in ("binary", "multiclass") else None
        check_labels(self.y_train, self.y_test, classes)
        check_predicts(estimator, self.X_train)

    # What kind of case it is --------------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> str:
        """One of "binary", "multiclass", "multilabel", "regression"."""
        target = type_of_target(self.y_train)
        final = None if isinstance(self.parts.final, KerasModel) else self.parts.final
        if final is not None and is_regressor(final):
            return "regression"
        if target.startswith("continuous") and (final is None or not is_classifier(final)):
            return "regression"
        if target == "multilabel-indicator":
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def has_test(self) -> bool:
        """Whether test rows were given."""
        return self.X_test is not None

    def need_test(self) -> None:
        """Raise NotApplicable without test rows."""
        if not self.has_test:
            raise NotApplicable("no test rows were given")

    def need_classes(self) -> None:
        """Raise NotApplicable unless each row has one label."""
        if self.kind not in ("binary", "multiclass"):
            raise NotApplicable(f"asks for one class label per row; this is {self.kind}")

    def need_history(self, name: str = "loss") -> list[float]:
        """Return a curve of the training history, or raise NotApplicable."""
        if name not in self.parts.history:
            raise NotApplicable(f"the final step keeps no {name!r} by epoch")
        return self.parts.history[name]

    def need_probabilities(self) -> None:
        """Raise NotApplicable if the estimator gives none."""
        self.need_classes()
        if not hasattr(self.estimator, "predict_proba"):
            raise NotApplicable("the estimator gives no probabilities")

    def rng(self, salt: int = 0) -> np.random.Generator:
        """Return a generator of this case's seed."""
        return np.random.default_rng([self.seed, salt])

    # Labels -------------------------------------------------------------------------------------------------------

    @cached_property
    def classes(self) -> np.ndarray:
        """Labels that the estimator knows, sorted."""
        known = getattr(self.estimator, "classes_", None)
        return np.unique(self.y_train) if known is None or np.ndim(known) != 1 else np.asarray(known)

    def codes(self, y: np.ndarray) -> np.ndarray:
        """Return the place of each label in `classes`, -1 for one that is not there."""
        order = np.argsort(self.classes, kind="stable")
        place = np.clip(np.searchsorted(self.classes, y, sorter=order), 0, len(order) - 1)
        found = order[place]
        return np.where(self.classes[found] == y, found, -1)

    @cached_property
    def codes_train(self) -> np.ndarray:
        """Class codes of the training rows."""
        return self.codes(self.y_train)

    @cached_property
    def codes_test(self) -> np.ndarray:
        """Class codes of the test rows; -1 for a class that the estimator does not know."""
        return self.codes(self.y_test)

    def shares(self, codes: np.ndarray) -> np.ndarray:
        """Return the share of each class."""
        return np.bincount(codes[codes >= 0], minlength=len(self.classes)) / max(1, len(codes))

    # Predictions --------------------------------------------------------------------------------------------------

    @cached_property
    def proba_train(self) -> np.ndarray:
        """Probabilities of the training rows."""
        return self._proba(self.X_train)

    @cached_property
    def proba_test(self) -> np.ndarray:
        """Probabilities of the test rows."""
        return self._proba(self.X_test)

    @cached_property
    def decision_test(self) -> np.ndarray:
        """What `decision_function` says of the test rows."""
        return np.asarray(self._ask(self.estimator.decision_function, self.X_test), dtype=np.float64)

    def _proba(self, X: Any) -> np.ndarray:
        return np.asarray(self._ask(self.estimator.predict_proba, X), dtype=np.float64)

    @cached_property
    def predicted_train(self) -> np.ndarray:
        """Predicted class codes, or targets, of the training rows."""
        return self._predict(self.X_train)

    @cached_property
    def predicted_test(self) -> np.ndarray:
        """Predicted class codes, or targets, of the test rows."""
        return self._predict(self.X_test)

    def _predict(self, X: Any) -> np.ndarray:
        predicted = np.asarray(self._ask(self.estimator.predict, X))
        return self.codes(predicted) if self.kind in ("binary", "multiclass") else predicted

    @staticmethod
    def _ask(method: Callable[[Any], Any], X: Any) -> Any:
        """Call a method of the estimator; it predicts rows like these, but perhaps none with missing values."""
        try:
            return method(X)
        except ValueError:
            table = np.asarray(X)
            if table.dtype.kind == "f" and not np.isfinite(table).all():
                raise NotApplicable("the estimator predicts no rows with values that are not finite") from None
            raise

    @cached_property
    def right_train(self) -> np.ndarray:
        """Whether each training row is predicted right."""
        return self.predicted_train == self.codes_train

    @cached_property
    def right_test(self) -> np.ndarray:
        """Whether each test row is predicted right; a class that the estimator does not know never is."""
        return self.predicted_test == self.codes_test

    @cached_property
    def score_train(self) -> Estimate:
        """Accuracy or R² on the training rows."""
        return self._score(self.y_train, self.predicted_train)

    @cached_property
    def score_test(self) -> Estimate:
        """Accuracy or R² on the test rows."""
        return self._score(self.y_test, self.predicted_test)

    @property
    def score_name(self) -> str:
        """What `score_train` and `score_test` are."""
        return "R²" if self.kind == "regression" else "accuracy"

    def _score(self, y: np.ndarray, predicted: np.ndarray) -> Estimate:
        if self.kind == "regression":
            return self.r2(np.asarray(y, dtype=np.float64), predicted)
        right = (predicted == y).all(axis=1) if self.kind == "multilabel" else predicted == self.codes(y)
        return proportion(right)

    def r2(self, y: np.ndarray, predicted: np.ndarray) -> Estimate:
        """R² against the mean of the training targets, with a bootstrap interval."""
        from_mean = ((y - np.mean(self.y_train, axis=0)) ** 2).reshape(len(y), -1).mean(axis=1)
        errors = ((y - predicted) ** 2).reshape(len(y), -1).mean(axis=1)
        floor = np.finfo(np.float64).tiny
        return bootstrap(lambda rows: 1 - errors[rows].sum() / max(from_mean[rows].sum(), floor), len(y), self.rng(1))

    @cached_property
    def balanced_test(self) -> Estimate:
        """Balanced accuracy on the test rows."""
        return balanced_accuracy(self.codes_test, self.predicted_test)

    # Rows as they arrive at the network ---------------------------------------------------------------------------

    def at_network(self, X: Any) -> np.ndarray:
        """Return rows after all transformers of the pipeline, in the shape in which the final step sees them."""
        X = self._handed_on(X)
        shape = getattr(self.parts.final, "input_shape_", None)
        return X if shape is None else X.reshape(len(X), *shape)

    def _handed_on(self, X: Any) -> np.ndarray:
        for _, step in self.parts.steps:
            if hasattr(step, "transform"):
                X = step.transform(X)
        return X.toarray() if hasattr(X, "toarray") else np.asarray(X)

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row as its owner has it: one number for a table, which a network takes for series all the same."""
        asked = getattr(self.parts.final, "input_shape", None)
        return tuple(asked or self._handed_on(safe_indexing(self.X_train, [0])).shape[1:])

    @cached_property
    def inputs_train(self) -> np.ndarray:
        """Training rows as they arrive at the final step."""
        return self.at_network(self.X_train)

    @cached_property
    def inputs_test(self) -> np.ndarray:
        """Test rows as they arrive at the final step."""
        return self.at_network(self.X_test)

    @property
    def row_limit(self) -> int:
        """Most rows for distances and simple models."""
        return self.FAST_ROWS if self.fast else self.MAX_ROWS

    def _sample(self, n: int, salt: int) -> np.ndarray:
        if n <= self.row_limit:
            return np.arange(n)
        return np.sort(self.rng(salt).choice(n, self.row_limit, replace=False))

    @cached_property
    def rows_train(self) -> np.ndarray:
        """Training rows that are looked at closely: all, or a sample."""
        return self._sample(len(self.y_train), 2)

    @cached_property
    def rows_test(self) -> np.ndarray:
        """Test rows that are looked at closely."""
        assert self.y_test is not None
        return self._sample(len(self.y_test), 3)

    @cached_property
    def flat_train(self) -> np.ndarray:
        """Training rows `rows_train` as they arrive at the final step, flattened."""
        return self._flat(self.inputs_train[self.rows_train])

    @cached_property
    def flat_test(self) -> np.ndarray:
        """Test rows `rows_test` as they arrive at the final step, flattened."""
        return self._flat(self.inputs_test[self.rows_test])

    @staticmethod
    def _flat(X: np.ndarray) -> np.ndarray:
        flat = X.reshape(len(X), -1).astype(np.float64)
        if not np.isfinite(flat).all():
            raise NotApplicable("inputs are not finite")
        return flat

    @cached_property
    def unread_features(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The network's features of the rows of `flat_train` and `flat_test`, less what its output layer reads."""
        model = self.parts.keras_model
        if model is None:
            return None
        rows = self.inputs_train[self.rows_train], self.inputs_test[self.rows_test]
        train, test = (unread_features(model, X.astype("float32")) for X in rows)
        return None if train is None or test is None else (train, test)

    @cached_property
    def digests(self) -> tuple[np.ndarray, np.ndarray]:
        """A digest of each training row and of each test row; rows are equal to the bit if theirs are."""
        raw = [np.asarray(X) for X in (self.X_train, self.X_test) if X is not None]
        if any(X.dtype.kind not in "biuf" for X in raw):
            raw = [self.inputs_train, *([self.inputs_test] if self.has_test else [])]
        common = np.result_type(*raw)
        digests = [row_digests(X.astype(common, copy=False)) for X in raw]
        return digests[0], digests[1] if self.has_test else digests[0][:0]

    @cached_property
    def neighbours(self) -> Any:
        """Index of the nearest training rows among `flat_train`."""
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(n_neighbors=3, n_jobs=self.n_jobs).fit(self.flat_train)

    @cached_property
    def reference(self) -> Reference:
        """Simple models on the rows `rows_train`."""
        if self.kind == "multilabel":
            raise NotApplicable("simple models are not fitted for multilabel targets")
        y = self.codes_train if self.kind != "regression" else np.asarray(self.y_train, dtype=np.float64)
        if y.ndim > 1:
            raise NotApplicable("simple models are not fitted for several outputs")
        n_classes = 0 if self.kind == "regression" else len(self.classes)
        return Reference(self.flat_train, y[self.rows_train], n_classes, self.fast, self.seed, self.n_jobs)

    @cached_property
    def reference_test(self) -> np.ndarray:
        """Class codes, or targets, that the simple model predicts for the test rows `rows_test`."""
        predicted = self.reference.predict(self.reference.fitted, self.flat_test)
        return predicted.argmax(axis=1) if self.reference.n_classes else predicted

    # How it was trained -------------------------------------------------------------------------------------------

    @cached_property
    def samplers(self) -> list[tuple[str, Any]]:
        """Samplers in the pipeline and in the final step, by the name of their parameter."""
        found = [(name, step) for name, step in self.parts.steps if hasattr(step, "fit_resample")]
        inner = self.parts.param("sampler")
        if inner is not None and hasattr(inner, "fit_resample"):
            found.append((f"{self.parts.prefix}sampler", inner))
        return found

    @cached_property
    def balancing(self) -> list[str]:
        """Everything that balances classes, by the name of its parameter."""
        prefix, param = self.parts.prefix, self.parts.param
        named = [f"{prefix}{name}" for name in ("class_weight", "balanced_batches") if param(name)]
        return [name for name, _ in self.samplers] + named

    @cached_property
    def refit_metric(self) -> str | None:
        """Name of the score by which the search chose, None without a search or if it cannot be told."""
        search = self.parts.search
        if search is None:
            return None
        if isinstance(search.refit, str):
            return search.refit
        if search.scoring is None:
            return "R²" if self.kind == "regression" else "accuracy"
        return search.scoring if isinstance(search.scoring, str) else None

    @cached_property
    def keras_model(self) -> Any:
        """The Keras model of the final step; raises NotApplicable without one."""
        model = self.parts.keras_model
        if model is None:
            raise NotApplicable("the final step has no Keras network")
        return model

    def take_train(self, rows: np.ndarray) -> Any:
        """Return training rows as the estimator takes them."""
        return safe_indexing(self.X_train, rows)


def _labels(y: Any, one_hot: bool) -> np.ndarray:
    """Return y as an array; one-hot rows, as Keras has them, become the number of their column."""
    array = np.asarray(y)
    if one_hot:
        return array.argmax(axis=1)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array


def _array(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values)

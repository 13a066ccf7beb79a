"""What checks look at: estimator, data and predictions; each computed once, when first asked for."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.multiclass import type_of_target

from skcnn._fit.batches import sample_digests
from skcnn._sklearn.checks import is_frame, naming
from skcnn._sklearn.internals import safe_indexing
from skcnn._statistics import Estimate, balanced_accuracy, bootstrap, proportion
from skcnn.diagnosis._arguments import check_data, check_labels, check_predicts, seed_of
from skcnn.diagnosis._check import NotApplicable
from skcnn.diagnosis._components import Components, KerasModel, is_keras_model, take_apart
from skcnn.diagnosis._reference import Reference

__all__ = ["Observations"]


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

    def __init__(self, seen: "Observations", X: Any, y: np.ndarray, salt: int) -> None:
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
    def score(self) -> Estimate:
        """Accuracy or R²."""
        if self.seen.kind == "regression":
            return self.seen.r2(np.asarray(self.y, dtype=np.float64), self.predicted)
        return proportion((self.predicted == self.y).all(axis=1) if self.seen.kind == "multilabel" else self.right)

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
        """The samples of `chosen` as they arrive at the final step, flattened."""
        flat = self.inputs[self.chosen].reshape(len(self.chosen), -1).astype(np.float64)
        if not np.isfinite(flat).all():
            raise NotApplicable("inputs are not finite")
        return flat


class Observations:
    """A fitted estimator with its training samples and, if there are any, its test samples.

    Parameters
    ----------
    estimator : estimator
        Fitted classifier or regressor, pipeline, search or Keras model.
    X_train, y_train, X_test, y_test : array-like
        Samples and targets as the estimator was given them; the test samples may be None.
    fast : bool
        Whether to look at fewer samples and grow fewer trees.
    random_state : int, RandomState instance or None
        Seed of all that is drawn.
    n_jobs : int or None
        For the simple models.
    **beside : array-like or None
        Group and time of each sample: groups_train, groups_test, times_train, times_test.
    """

    LIMIT = 3000  # that distances and simple models are computed on
    FAST_LIMIT = 1200

    def __init__(
        self,
        estimator: Any,
        X_train: Any,
        y_train: Any,
        X_test: Any = None,
        y_test: Any = None,
        *,
        fast: bool = False,
        random_state: Any = 0,
        n_jobs: int | None = None,
        **beside: Any,
    ) -> None:
        check_data(X_train, y_train, X_test, y_test, beside)
        self.one_hot = is_keras_model(estimator) and np.ndim(y_train) == 2 and np.shape(y_train)[1] > 1
        # The salts draw the samples of each side independently of each other.
        self.train = Side(self, X_train, _labels(y_train, self.one_hot), 2)
        self.test: Any = None if X_test is None else Side(self, X_test, _labels(y_test, self.one_hot), 3)
        self.sides: dict[str, Side] = {"training": self.train, **({} if self.test is None else {"test": self.test})}
        self.components: Components = take_apart(estimator, self.train.y)
        self.estimator = self.components.whole
        self.beside = {name: np.asarray(values) for name, values in beside.items() if values is not None}
        self.fast = fast
        self.seed = seed_of(random_state)
        self.n_jobs = n_jobs
        with naming("y_train"):
            classes = self.classes if self.has_classes else None
        check_labels(self.train.y, None if self.test is None else self.test.y, classes)
        check_predicts(estimator, self.train.X)

    # What kind of problem it is ------------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> str:
        """One of "binary", "multiclass", "multilabel", "regression"."""
        target = type_of_target(self.train.y)
        final = None if isinstance(self.components.final, KerasModel) else self.components.final
        if final is not None and is_regressor(final):
            return "regression"
        if target.startswith("continuous") and (final is None or not is_classifier(final)):
            return "regression"
        if target == "multilabel-indicator":
            return "multilabel"
        return "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def has_test(self) -> bool:
        """Whether test samples were given."""
        return self.test is not None

    def need(self, *what: str) -> None:
        """Raise NotApplicable unless all of this is there: "test", "classes", "probabilities" or "search"."""
        for one in what:
            if one == "test" and not self.has_test:
                raise NotApplicable("no test samples were given")
            if one in ("classes", "probabilities") and not self.has_classes:
                raise NotApplicable(f"asks for one class label per sample; this is {self.kind}")
            if one == "probabilities" and not self.has_probabilities:
                raise NotApplicable("the estimator returns no probabilities")
            if one == "search" and self.components.search is None:
                raise NotApplicable("there is no search")

    @property
    def has_classes(self) -> bool:
        """Whether each sample has one label."""
        return self.kind in ("binary", "multiclass")

    @property
    def has_probabilities(self) -> bool:
        """Whether the estimator predicts probabilities."""
        return hasattr(self.estimator, "predict_proba")

    def need_history(self, name: str = "loss", least_epochs: int = 1) -> np.ndarray:
        """Return a curve of the training history, or raise NotApplicable."""
        if name not in self.components.history:
            raise NotApplicable(f"the final step keeps no {name!r} by epoch")
        curve = np.array(self.components.history[name])
        if len(curve) < least_epochs:
            raise NotApplicable("there is one epoch")
        return curve

    def need_keras_model(self) -> Any:
        """Return the Keras model of the final step, or raise NotApplicable."""
        model = self.components.keras_model
        if model is None:
            raise NotApplicable("the final step has no Keras network")
        return model

    def rng(self, salt: int = 0) -> np.random.Generator:
        """Return a generator of the seed."""
        return np.random.default_rng([self.seed, salt])

    # Labels -------------------------------------------------------------------------------------------------------

    @cached_property
    def classes(self) -> np.ndarray:
        """Labels that the estimator knows, sorted."""
        known = getattr(self.estimator, "classes_", None)
        return np.unique(self.train.y) if known is None or np.ndim(known) != 1 else np.asarray(known)

    def codes(self, y: np.ndarray) -> np.ndarray:
        """Return the place of each label in `classes`, -1 for one that is not there."""
        order = np.argsort(self.classes, kind="stable")  # estimators of other libraries may keep classes unsorted
        place = np.clip(np.searchsorted(self.classes, y, sorter=order), 0, len(order) - 1)
        found = order[place]
        return np.where(self.classes[found] == y, found, -1)

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Return class codes, or the targets of a regression as float64."""
        return np.asarray(y, dtype=np.float64) if self.kind == "regression" else self.codes(y)

    def counts(self, codes: np.ndarray) -> np.ndarray:
        """Return the number of samples of each class."""
        return np.bincount(codes[codes >= 0], minlength=len(self.classes))

    def shares(self, codes: np.ndarray) -> np.ndarray:
        """Return the share of each class."""
        return self.counts(codes) / len(codes)

    # Scores -------------------------------------------------------------------------------------------------------

    @property
    def score_name(self) -> str:
        """What the scores are."""
        return "R²" if self.kind == "regression" else "accuracy"

    def r2(self, y: np.ndarray, predicted: np.ndarray) -> Estimate:
        """R² against the mean of the training targets, with a bootstrap interval."""
        from_mean = ((y - np.mean(self.train.y, axis=0)) ** 2).reshape(len(y), -1).mean(axis=1)
        errors = ((y - predicted) ** 2).reshape(len(y), -1).mean(axis=1)
        floor = np.finfo(np.float64).tiny  # a resample may hold one target only, the mean itself
        return bootstrap(lambda rows: 1 - errors[rows].sum() / max(from_mean[rows].sum(), floor), len(y), self.rng(1))

    # Samples as they arrive at the network ---------------------------------------------------------------------------

    @cached_property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample as its owner has it: one number for a table, though a network takes that for a series."""
        asked = getattr(self.components.final, "input_shape", None)
        return tuple(asked or self.components.transform(safe_indexing(self.train.X, [0])).shape[1:])

    @cached_property
    def digests(self) -> tuple[np.ndarray, np.ndarray]:
        """A digest of each training sample and of each test sample; samples are equal to the bit if theirs are."""
        raw = [np.asarray(side.X) for side in self.sides.values()]
        if any(X.dtype.kind not in "biuf" for X in raw):  # objects have no bits to compare; what they become has
            raw = [side.inputs for side in self.sides.values()]
        common = np.result_type(*raw)
        digests = [sample_digests(X.astype(common, copy=False)) for X in raw]
        return digests[0], digests[1] if self.has_test else digests[0][:0]

    @cached_property
    def reference(self) -> Reference:
        """Simple models on the samples `train.chosen`."""
        if self.kind == "multilabel":
            raise NotApplicable("simple models are not fitted for multilabel targets")
        y = self.targets(self.train.y)
        if y.ndim > 1:
            raise NotApplicable("simple models are not fitted for several outputs")
        n_classes = 0 if self.kind == "regression" else len(self.classes)
        return Reference(self.train.flat, y[self.train.chosen], n_classes, self.fast, self.seed, self.n_jobs)

    @cached_property
    def reference_test(self) -> np.ndarray:
        """Class codes, or targets, that the simple model predicts for the test samples `test.chosen`."""
        return self.reference.predicted_for(self.test.flat)

    def unfitted(self) -> Any:
        """Return an unfitted copy of what predicts; raises NotApplicable for a plain Keras model."""
        unfitted = self.components.unfitted
        if unfitted is None:
            raise NotApplicable("a plain Keras model cannot be refitted")
        return unfitted


def _labels(y: Any, one_hot: bool) -> np.ndarray:
    """Return y as an array; one-hot rows, as Keras has them, become the number of their column."""
    array = np.asarray(y)
    if one_hot:
        return array.argmax(axis=1)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array

"""Simple models that show what the data can give: the yardstick for the network, and its own learning curve."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["Reference"]


class Reference:
    """The best of nearest neighbours, a linear model and a forest by out-of-fold predictions on training samples.

    Labels of a multilabel problem are regressed on, and taken for 1 above one half.

    Parameters
    ----------
    seen : Observations
        What is diagnosed: its training samples as they arrive at the final step, flattened.

    Attributes
    ----------
    X : ndarray of shape (n, n_features)
        Samples.
    y : ndarray of shape (n,) or (n, n_outputs)
        Class codes, labels, or targets of a regression.
    """

    FOLDS = 3
    TREES = 150
    FAST_TREES = 60
    BLOCKS = 3  # of neighbouring samples that each fold takes from each class

    def __init__(self, seen: Any) -> None:
        rows = seen.train.chosen
        self.X = seen.train.flat
        self.y = seen.train.targets[rows]
        self.kind = seen.kind
        self.quality_of = seen.quality
        self.n_classes = len(seen.classes) if seen.has_classes else 0
        groups = seen.beside.get("groups_train")
        self.groups = None if groups is None else groups[rows]
        self.steps = 100 if seen.fast else 300
        self.rng = np.random.default_rng([seen.seed, 11])
        forest = ExtraTreesClassifier if self.n_classes else ExtraTreesRegressor
        n_trees = self.FAST_TREES if seen.fast else self.TREES
        # A third of the features, as is usual, where there are many: trees of a regression take long over all of them.
        few = {} if self.n_classes else {"max_features": float(np.clip(30 / self.X.shape[1], 1 / 3, 1))}
        self.forest = forest(n_trees, min_samples_leaf=2, random_state=seen.seed, n_jobs=seen.n_jobs, **few)

    @cached_property
    def folds(self) -> np.ndarray:
        """Fold of each sample: groups stay whole; without groups, blocks of samples that follow each other do.

        Neighbours in time or space, which often follow each other, are then mostly in one fold. Classes, or tenths of
        the targets, are spread evenly.
        """
        if self.groups is not None and len(np.unique(self.groups)) >= self.FOLDS:
            names, place = np.unique(self.groups, return_inverse=True)
            order = self.rng.permutation(len(names))
            return (order % self.FOLDS)[place]
        codes = self.y
        if not self.n_classes:
            first = self.y if self.y.ndim == 1 else self.y.sum(axis=1)
            codes = np.searchsorted(np.quantile(first, np.linspace(0, 1, 11)[1:-1]), first)
        fold = np.empty(len(codes), dtype=int)
        n_blocks = self.FOLDS * self.BLOCKS
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            block = np.arange(len(rows)) * n_blocks // max(len(rows), n_blocks)
            fold[rows] = (block + self.rng.integers(self.FOLDS)) % self.FOLDS
        return fold

    @cached_property
    def models(self) -> dict[str, Any]:
        """Unfitted models by name."""
        if len(self.y) < 30:
            return {"a forest": self.forest}
        # Beyond a hundred principal components a linear model of so few samples gains little and takes long.
        n_most = min(100, len(self.y) // 4)  # a learning curve fits on a third of the samples
        few = [PCA(n_most, random_state=0)] if min(self.X.shape[1], len(self.y) // 2) > 100 else []
        nearest, linear, name = KNeighborsRegressor(10), RidgeCV(np.logspace(-3, 3, 7)), "ridge regression"
        if self.n_classes:
            nearest, linear = KNeighborsClassifier(10), LogisticRegression(max_iter=self.steps)
            name = "logistic regression"
        return {
            name: make_pipeline(StandardScaler(), *few, linear),
            "a forest": self.forest,
            "10 nearest neighbours": make_pipeline(StandardScaler(), nearest),
        }

    def out_of_fold(
        self, model: Any, share: float = 1.0, folds: np.ndarray | None = None, kept: list[Any] | None = None
    ) -> np.ndarray:
        """Predict each sample by a model that has not seen it, trained on a share of the other folds.

        Parameters
        ----------
        model : estimator
            Unfitted.
        share : float
            Of the samples of the other folds.
        folds : ndarray of int, default=None
            Fold of each sample, if not `folds`.
        kept : list, default=None
            To which the fitted models are added.

        Returns
        -------
        ndarray of shape (n, n_classes), (n,) or (n, n_outputs)
            Probabilities, or predictions of a regression.
        """
        out = np.zeros((len(self.y), self.n_classes) if self.n_classes else self.y.shape)
        folds = self.folds if folds is None else folds
        for fold in np.unique(folds):
            test, train = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            if share < 1:
                train = np.sort(self.rng.permutation(train)[: max(2, round(share * len(train)))])
            fitted = clone(model).fit(self.X[train], self.y[train])
            out[test] = self.predict(fitted, self.X[test])
            if kept is not None:
                kept.append(fitted)
        return out

    def predict(self, fitted: Any, X: np.ndarray) -> np.ndarray:
        """Return probabilities with a column for each class, or predictions of a regression."""
        if not self.n_classes:
            return fitted.predict(X)
        out = np.zeros((len(X), self.n_classes))
        out[:, fitted.classes_] = fitted.predict_proba(X)
        return out

    def labels(self, predicted: np.ndarray) -> np.ndarray:
        """Return the most probable class codes, the labels, or the predictions of a regression as they are."""
        if self.kind == "multilabel":
            return predicted > 0.5
        return predicted.argmax(axis=1) if self.n_classes else predicted

    def quality(self, predicted: np.ndarray) -> np.ndarray:
        """Return how good each out-of-fold prediction is, as `Observations.quality` says."""
        return self.quality_of(self.y, self.labels(predicted))

    @cached_property
    def name(self) -> str:
        """Which model is best."""
        return max(self._out_of_fold, key=lambda name: float(self.quality(self._out_of_fold[name][0]).mean()))

    @cached_property
    def _out_of_fold(self) -> dict[str, tuple[np.ndarray, list[Any]]]:
        kept: dict[str, list[Any]] = {name: [] for name in self.models}
        return {name: (self.out_of_fold(model, kept=kept[name]), kept[name]) for name, model in self.models.items()}

    @property
    def model(self) -> Any:
        """The best model, unfitted."""
        return self.models[self.name]

    @property
    def oof(self) -> np.ndarray:
        """Out-of-fold predictions of the best model."""
        return self._out_of_fold[self.name][0]

    @cached_property
    def half_oof(self) -> np.ndarray:
        """Out-of-fold predictions of its like trained on half of the samples."""
        return self.out_of_fold(self.model, share=0.5)

    def by_folds_for(self, X: np.ndarray) -> list[np.ndarray]:
        """Return what the models of the folds, of which each has seen a part of the samples, predict for others.

        They are as good on others as out of fold, while a model of all samples is better.
        """
        return [self.predict(fitted, X) for fitted in self._out_of_fold[self.name][1]]

    def predicted_for(
        self, X: np.ndarray, rows: Any = slice(None), columns: Any = slice(None), model: Any = None
    ) -> np.ndarray:
        """Return class codes, labels or targets that a simple model predicts after a fit on training samples.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples to predict.
        rows, columns : slice, ndarray of bool or ndarray of int
            Training samples and features to fit on; by default all.
        model : estimator, default=None
            Unfitted; by default the best.
        """
        fitted = clone(self.model if model is None else model).fit(self.X[rows][:, columns], self.y[rows])
        return self.labels(self.predict(fitted, X[:, columns]))

"""Simple models that show what the data can give: the yardstick for the network, and its own learning curve."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["Reference"]


class Reference:
    """The best of nearest neighbours, a linear model and a forest by out-of-fold predictions on training samples.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Training samples as they arrive at the network, flattened.
    y : ndarray of shape (n,)
        Class codes, or targets of a regression.
    n_classes : int
        0 for a regression.
    fast : bool
        Whether to leave the linear model out and grow fewer trees.
    seed : int
        Seed of folds and trees.
    n_jobs : int or None
        For the trees.
    """

    FOLDS = 3
    TREES = 150
    FAST_TREES = 60

    def __init__(self, X: np.ndarray, y: np.ndarray, n_classes: int, fast: bool, seed: int, n_jobs: int | None) -> None:
        self.X = X
        self.y = y
        self.n_classes = n_classes
        self.fast = fast
        self.rng = np.random.default_rng([seed, 11])
        forest = ExtraTreesClassifier if n_classes else ExtraTreesRegressor
        n_trees = self.FAST_TREES if fast else self.TREES
        self.forest = forest(n_trees, min_samples_leaf=2, random_state=seed, n_jobs=n_jobs)

    @cached_property
    def folds(self) -> np.ndarray:
        """Fold of each sample, stratified as far as a class has samples."""
        codes = self.y if self.n_classes else np.zeros(len(self.y), dtype=int)
        fold = np.empty(len(codes), dtype=int)
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            fold[self.rng.permutation(rows)] = (np.arange(len(rows)) + self.rng.integers(self.FOLDS)) % self.FOLDS
        return fold

    @cached_property
    def models(self) -> dict[str, Any]:
        """Unfitted models by name."""
        if len(self.y) < 30:
            return {"a forest": self.forest}
        nearest, linear, name = KNeighborsRegressor(10), RidgeCV(np.logspace(-3, 3, 7)), "ridge regression"
        if self.n_classes:
            nearest, linear, name = KNeighborsClassifier(10), LogisticRegression(max_iter=300), "logistic regression"
        models = {} if self.fast else {name: make_pipeline(StandardScaler(), linear)}
        return {**models, "a forest": self.forest, "10 nearest neighbours": make_pipeline(StandardScaler(), nearest)}

    def out_of_fold(self, model: Any, share: float = 1.0) -> np.ndarray:
        """Predict each sample by a model that has not seen it, trained on a share of the other folds.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n,)
            Probabilities, or predictions of a regression.
        """
        out = np.zeros((len(self.y), self.n_classes) if self.n_classes else len(self.y))
        for fold in range(self.FOLDS):
            test, train = np.flatnonzero(self.folds == fold), np.flatnonzero(self.folds != fold)
            if share < 1:
                train = np.sort(self.rng.permutation(train)[: max(2, round(share * len(train)))])
            fitted = clone(model).fit(self.X[train], self.y[train])
            out[test] = self.predict(fitted, self.X[test])
        return out

    def predict(self, fitted: Any, X: np.ndarray) -> np.ndarray:
        """Return probabilities with a column for each class, or predictions of a regression."""
        if not self.n_classes:
            return fitted.predict(X)
        out = np.zeros((len(X), self.n_classes))
        out[:, fitted.classes_] = fitted.predict_proba(X)
        return out

    def labels(self, predicted: np.ndarray) -> np.ndarray:
        """Return the most probable class codes, or the predictions of a regression as they are."""
        return predicted.argmax(axis=1) if self.n_classes else predicted

    @cached_property
    def name(self) -> str:
        """Which model is best."""

        def skill(name: str) -> float:
            predicted = self.labels(self._out_of_fold[name])
            return float(np.mean(predicted == self.y) if self.n_classes else -np.mean((predicted - self.y) ** 2))

        return max(self._out_of_fold, key=skill)

    @cached_property
    def _out_of_fold(self) -> dict[str, np.ndarray]:
        return {name: self.out_of_fold(model) for name, model in self.models.items()}

    @property
    def oof(self) -> np.ndarray:
        """Out-of-fold predictions of the best model."""
        return self._out_of_fold[self.name]

    @cached_property
    def half_oof(self) -> np.ndarray:
        """Out-of-fold predictions of its like trained on half of the samples."""
        return self.out_of_fold(self.models[self.name], share=0.5)

    def predicted_for(self, X: np.ndarray) -> np.ndarray:
        """Return class codes, or targets, that the best model predicts after a fit on all training samples."""
        return self.labels(self.predict(clone(self.models[self.name]).fit(self.X, self.y), X))

"""Checks of shift: whether the test samples come from where the training samples come from."""

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp, rankdata
from sklearn.utils.extmath import randomized_svd

from skcnn._statistics import ALPHA, Estimate, auc
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import unread_features
from skcnn.diagnosis._observations import Observations, Side

__all__ = ["CHECKS"]


class LabelShift(Check):
    """Class shares that differ between training and test samples.

    Threshold: chi-squared test at level 0.1% and 0.1 in total variation, which is how much accuracy the shift can cost.
    For a regression: Kolmogorov and Smirnov's test at that level, and a distance of 0.2.
    """

    code, cause = "label_shift", "shift"
    title = "Class shares differ between training and test samples"
    question = "Do training and test samples have the same class shares?"
    why = "The model expects the shares that it was trained on; its threshold is wrong for others."
    do = "Split with stratify=y; or, if the population has changed, pass its shares as priors=..., without refitting."
    cures = ("priors",)
    threshold = 0.1
    distance = 0.2

    def look(self, seen: Observations) -> Finding | str:
        """Compare shares."""
        seen.need("test")
        if seen.kind == "regression":
            test = ks_2samp(np.ravel(seen.train.y), np.ravel(seen.test.y))
            distance = _between(float(test.statistic), np.size(seen.train.y), np.size(seen.test.y))
            text = f"Distributions of y are {distance.value:.2f} apart (Kolmogorov and Smirnov, p = {test.pvalue:.2g})."
            if test.pvalue > ALPHA or distance.value < self.distance:
                return text
            return self.finding(text, {"distance of the distributions": distance}, cures=())
        seen.need("classes")
        known = seen.test.codes[seen.test.codes >= 0]
        if not len(known):
            raise NotApplicable("no test sample is of a class that the estimator knows")
        counts = np.stack([seen.counts(seen.train.codes), seen.counts(known)])
        occurs = counts.any(axis=0)
        counts = counts[:, occurs]
        shares = counts / counts.sum(axis=1, keepdims=True)
        p = float(chi2_contingency(counts).pvalue)
        apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
        text = f"Class shares of training and test samples are {apart:.3f} apart in total variation (p = {p:.2g})."
        if p > ALPHA or apart < self.threshold:
            return text
        n_train, n_test = map(int, counts.sum(axis=1))
        evidence = [Evidence.of("total variation", _between(apart, n_train, n_test)), Evidence("p-value", p, n=n_test)]
        series = {"training": shares[0].tolist(), "test": shares[1].tolist()}
        chart = Chart("bars", "Class shares", list(map(str, seen.classes[occurs])), series, "class", "share")
        return self.finding(text, evidence, chart=chart, shares=seen.shares(seen.test.codes))


class CovariateShift(Check):
    """Test samples that can be told from training samples without their labels.

    A ridge classifier on the first principal components and their squares is asked which samples are test samples, by
    leave-one-out, in closed form; the p-value comes from 199 permutations of the answer, refitted each time (Ojala and
    Garriga 2010, https://jmlr.org/papers/v11/ojala10a.html; for two-sample tests by classifiers Lopez-Paz and
    Oquab 2017, https://arxiv.org/abs/1610.06545).

    Of a network its own features are looked at, those before the output layer, because what it does not see cannot
    harm it; of any other estimator the inputs. What the output layer reads of the features is left out: there, and only
    there, a network that knows its training samples by heart tells them from test samples without any shift.

    Threshold: area under the ROC curve of 0.65, and 0.1 beyond the largest of the permutations
    (benchmarks/diagnosis.py).
    """

    code, cause = "covariate_shift", "shift"
    title = "Test samples come from elsewhere"
    question = "Can test samples be told from training samples?"
    why = "The model is asked about samples that it was not trained for; a score on them says little of it."
    do = (
        "Find out what differs (device, time, preprocessing). Split at random if both belong together; if not, train "
        "on samples like those to predict for, or augment towards them."
    )
    cures = ("regularise",)
    threshold = 0.65
    beyond = 0.1
    n_permutations = 199
    n_permutations_fast = 49
    least_samples = 20

    def look(self, seen: Observations) -> Finding | str:
        """Train the domain classifier."""
        seen.need("test")
        if min(len(seen.train.flat), len(seen.test.flat)) < self.least_samples:
            raise NotApplicable(f"fewer than {self.least_samples} samples on one side")
        looked_at, (train, test) = self._features(seen)
        n_permutations = self.n_permutations_fast if seen.fast else self.n_permutations
        observed, permuted = domain_auc(train, test, seen.rng(7), n_permutations)
        p = (1 + np.sum(permuted >= observed.value)) / (1 + len(permuted))
        text = (
            f"By the {looked_at}, a classifier tells test from training samples with an area under the ROC curve of "
            f"{observed.value:.3f} (permutation p = {p:.2g})."
        )
        if observed.value < self.threshold or observed.value < permuted.max() + self.beyond:
            return text
        largest = Evidence(f"largest of {len(permuted)} permutations", float(permuted.max()), n=observed.n)
        return self.finding(text, [Evidence.of("area under the ROC curve", observed), largest])

    @staticmethod
    def _features(seen: Observations) -> tuple[str, list[np.ndarray]]:
        """Return what the samples are told apart by: its name, and its values for training and test samples."""
        sides = seen.train, seen.test
        inputs = (side.inputs[side.chosen].astype("float32") for side in sides)
        train, test = (unread_features(seen.components.keras_model, X) for X in inputs)
        if train is not None and test is not None:
            return "network's features", [train, test]
        both = np.concatenate([side.flat for side in sides])  # columns may have units of their own
        mean, scale = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-9)
        return "inputs", [(side.flat - mean) / scale for side in sides]


def domain_auc(
    train: np.ndarray, test: np.ndarray, rng: np.random.Generator, n_permutations: int
) -> tuple[Estimate, np.ndarray]:
    """Return how well test samples are told from training samples, and the same after permutations of which is which.

    Parameters
    ----------
    train, test : ndarray of shape (n, n_columns)
        Samples.
    rng : Generator
        Of the principal components, which are found by random projection, and of the permutations.
    n_permutations : int
        How many.

    Returns
    -------
    Estimate, ndarray of shape (n_permutations,)
        Areas under the ROC curve.
    """
    X = np.concatenate([train, test])
    X = X - X.mean(axis=0)
    n_components = int(min(20, X.shape[1], len(X) // 10))  # ten samples for each, or the classifier overfits
    left, values, _ = randomized_svd(X, n_components, random_state=int(rng.integers(2**31)))
    Z = np.clip(np.sqrt(len(X)) * left[:, values > 1e-9 * values[0]], -5, 5)  # components of unit variance
    Z = np.hstack([Z, Z**2])
    Z -= Z.mean(axis=0)
    # The leave-one-out prediction of ridge regression follows from its hat matrix, so that nothing is fitted again.
    hat = Z @ np.linalg.solve(Z.T @ Z + 0.01 * len(Z) * np.eye(Z.shape[1]), Z.T)
    own = np.diag(hat) + 1 / len(Z)
    labels = np.repeat([-1.0, 1.0], [len(train), len(test)])
    Y = np.stack([labels] + [rng.permutation(labels) for _ in range(n_permutations)], axis=1)
    mean = Y.mean(axis=0)
    left_out = Y - (Y - mean - hat @ (Y - mean)) / (1 - own)[:, None]
    ranks, n_test = rankdata(left_out, axis=0), len(test)
    areas = ((ranks * (Y > 0)).sum(axis=0) - n_test * (n_test + 1) / 2) / (n_test * len(train))
    return auc(labels > 0, left_out[:, 0]), areas[1:]


class PredictionDrift(Check):
    """Predictions on the test samples that are shared out otherwise than the test labels.

    Threshold: 0.15 in total variation beyond what the errors on training samples explain.
    """

    code, cause = "prediction_drift", "shift"
    title = "Predicts other class shares than there are"
    question = "Are classes predicted about as often as they occur?"
    why = "The model favours some classes: a threshold, weights or shift."
    do = "Look at what explains it; priors=... sets the shares that predictions are for."
    cures = ("balance",)
    threshold = 0.15

    def look(self, seen: Observations) -> Finding | str:
        """Compare predicted with true shares on both sides."""
        seen.need("test", "classes")
        train, test = (self._apart(seen, side) for side in (seen.train, seen.test))
        text = f"Predicted and true class shares of the test samples are {test.value:.3f} apart in total variation."
        if test.low < self.threshold:
            return text
        evidence = {"total variation on test samples": test, "total variation on training samples": train}
        return self.finding(text, evidence)

    @staticmethod
    def _apart(seen: Observations, side: Side) -> Estimate:
        """Return the total variation of predicted and true class shares."""
        apart = np.abs(seen.shares(side.predicted) - seen.shares(side.codes)).sum() / 2
        return _between(float(apart), len(side.codes))


def _between(distance: float, *n: int) -> Estimate:
    """Return a distance of empirical distributions with McDiarmid's bound for samples of sizes `n`.

    One sample of n moves the total variation, and the distance of Kolmogorov and Smirnov, by 1 / n at most (McDiarmid
    1989, https://doi.org/10.1017/CBO9781107359949.008).
    """
    half = float(np.sqrt(np.log(2 / ALPHA) / 2 * sum(1 / one for one in n)))
    return Estimate(distance, max(0.0, distance - half), min(1.0, distance + half), n[-1])


CHECKS = [CovariateShift, LabelShift, PredictionDrift]

"""Checks of shift: whether the test rows come from where the training rows come from."""

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp, rankdata
from sklearn.utils.extmath import randomized_svd

from skcnn._statistics import ALPHA, Estimate, auc
from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._observations import Case

__all__ = ["CHECKS", "CovariateShift", "LabelShift", "PredictionDrift", "domain_auc"]


class LabelShift(Check):
    """Class shares that differ between training and test rows.

    Threshold: chi-squared test at level 0.1% and 0.1 in total variation, which is how much accuracy the shift can cost.
    For a regression: Kolmogorov and Smirnov's test at that level, and a distance of 0.2.
    """

    code, cause, severity = "label_shift", "shift", 3
    title = "Class shares differ between training and test rows"
    question = "Do training and test rows have the same class shares?"
    why = "The model expects the shares that it was trained on; its threshold is wrong for others."
    do = (
        "Split with stratify=y if the split is yours; if the population has really changed, tell the model its shares "
        "(priors=...), which needs no new training."
    )
    cures = ("priors",)
    explains = (
        "prediction_drift",
        "calibration",
        "threshold",
        "gap",
        "covariate_shift",
        "majority_baseline",
        "recall_spread",
        "class_shares",
        "baseline",
    )
    threshold = 0.1
    distance = 0.2

    def look(self, case: Case) -> Finding | str:
        """Compare shares."""
        case.need_test()
        if case.kind == "regression":
            test = ks_2samp(np.ravel(case.y_train), np.ravel(case.y_test))
            text = (
                f"The targets' distributions are {test.statistic:.2f} apart (Kolmogorov and Smirnov, p = "
                f"{test.pvalue:.2g})."
            )
            if test.pvalue > ALPHA or test.statistic < self.distance:
                return text
            distance = _between(float(test.statistic), np.size(case.y_train), np.size(case.y_test))
            return self.finding(text, [Evidence.of("distance of the distributions", distance)], cures=())
        case.need_classes()
        known = case.codes_test[case.codes_test >= 0]
        if not len(known):
            raise NotApplicable("no test row is of a class that the estimator knows")
        counts = np.stack([np.bincount(codes, minlength=len(case.classes)) for codes in (case.codes_train, known)])
        counts = counts[:, counts.sum(axis=0) > 0]
        shares = counts / counts.sum(axis=1, keepdims=True)
        p = float(chi2_contingency(counts).pvalue)
        apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
        text = f"Class shares of training and test rows are {apart:.3f} apart in total variation (p = {p:.2g})."
        if p > ALPHA or apart < self.threshold:
            return text
        n_train, n_test = map(int, counts.sum(axis=1))
        evidence = [Evidence.of("total variation", _between(apart, n_train, n_test)), Evidence("p-value", p, n=n_test)]
        present = case.classes[
            np.bincount(case.codes_train, minlength=len(case.classes)) + np.bincount(known, minlength=len(case.classes))
            > 0
        ]
        series = {"training": shares[0].tolist(), "test": shares[1].tolist()}
        chart = Chart("bars", "Class shares", [str(label) for label in present], series, "class", "share")
        return self.finding(text, evidence, chart=chart, shares=case.shares(case.codes_test))


class CovariateShift(Check):
    """Test rows that can be told from training rows without their labels.

    A ridge classifier on the first principal components and their squares is asked which rows are test rows, by
    leave-one-out, in closed form; the p-value comes from 199 permutations of the answer, refitted each time (Ojala and
    Garriga 2010, https://jmlr.org/papers/v11/ojala10a.html; for two-sample tests by classifiers Lopez-Paz and
    Oquab 2017, https://arxiv.org/abs/1610.06545).

    Of a network its own features are looked at, those before the output layer, because what it does not see cannot
    harm it; of any other estimator the inputs. What the output layer reads of the features is left out: there, and only
    there, a network that knows its training rows by heart tells them from test rows without any shift.

    Threshold: area under the ROC curve of 0.65, and 0.1 beyond the largest of the permutations
    (benchmarks/diagnosis.py).
    """

    code, cause, severity = "covariate_shift", "shift", 3
    title = "Test rows come from elsewhere"
    question = "Can test rows be told from training rows?"
    why = "The model is asked about rows that it was not trained for; a score on them says little of it."
    do = (
        "Find out what differs (device, time, preprocessing). Split at random if both belong together; if not, train "
        "on rows like those to predict for, or augment towards them."
    )
    cures = ("regularise",)
    explains = (
        "constant_inputs",
        "gap",
        "calibration",
        "prediction_drift",
        "recall_spread",
        "threshold",
        "baseline",
        "majority_collapse",
        "class_shares",
        "dummy",
        "majority_baseline",
        "saturated",
    )
    threshold = 0.65
    beyond = 0.1
    n_permutations = 199
    n_permutations_fast = 49
    least_rows = 20

    def look(self, case: Case) -> Finding | str:
        """Train the domain classifier."""
        case.need_test()
        if min(len(case.flat_train), len(case.flat_test)) < self.least_rows:
            raise NotApplicable(f"fewer than {self.least_rows} rows on one side")
        features = case.unread_features
        seen = "inputs" if features is None else "network's features"
        train, test = features or _standardised(case.flat_train, case.flat_test)
        n_permutations = self.n_permutations_fast if case.fast else self.n_permutations
        observed, permuted = domain_auc(train, test, case.rng(7), n_permutations)
        p = (1 + np.sum(permuted >= observed.value)) / (1 + len(permuted))
        text = (
            f"By the {seen}, a classifier tells test from training rows with an area under the ROC curve of "
            f"{observed.value:.3f} (permutation p = {p:.2g})."
        )
        if observed.value < self.threshold or observed.value < permuted.max() + self.beyond:
            return text
        evidence = [
            Evidence.of("area under the ROC curve", observed),
            Evidence(f"largest of {len(permuted)} permutations", float(permuted.max()), n=observed.n),
        ]
        return self.finding(text, evidence)


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring columns, which may have units of their own, to one scale."""
    both = np.concatenate([train, test])
    mean, scale = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-9)
    return (train - mean) / scale, (test - mean) / scale


def domain_auc(
    train: np.ndarray, test: np.ndarray, rng: np.random.Generator, n_permutations: int
) -> tuple[Estimate, np.ndarray]:
    """Return how well test rows are told from training rows, and the same after permutations of which is which.

    Parameters
    ----------
    train, test : ndarray of shape (n, n_columns)
        Rows.
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
    n_components = int(min(20, X.shape[1], len(X) // 10))
    left, values, _ = randomized_svd(X, n_components, random_state=int(rng.integers(2**31)))
    Z = np.clip(np.sqrt(len(X)) * left[:, values > 1e-9 * values[0]], -5, 5)  # components of unit variance
    Z = np.hstack([Z, Z**2])
    Z -= Z.mean(axis=0)
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
    """Predictions on the test rows that are shared out otherwise than the test labels.

    Threshold: 0.15 in total variation beyond what the errors on training rows explain.
    """

    code, cause, severity = "prediction_drift", "shift", 1
    title = "Predicts other class shares than there are"
    question = "Are classes predicted about as often as they occur?"
    why = "The model favours some classes: a threshold, weights or shift."
    do = "Look at what explains it; priors=... sets the shares that predictions are for."
    cures = ("balance",)
    threshold = 0.15

    def look(self, case: Case) -> Finding | str:
        """Compare predicted with true shares on both sides."""
        case.need_test()
        case.need_classes()
        test = _apart(case.shares(case.predicted_test), case.shares(case.codes_test), len(case.codes_test))
        train = _apart(case.shares(case.predicted_train), case.shares(case.codes_train), len(case.codes_train))
        text = f"Predicted and true class shares of the test rows are {test.value:.3f} apart in total variation."
        if test.low < self.threshold:
            return text
        evidence = [
            Evidence.of("total variation on test rows", test),
            Evidence.of("total variation on training rows", train),
        ]
        return self.finding(text, evidence)


def _apart(a: np.ndarray, b: np.ndarray, n: int) -> Estimate:
    """Return the total variation of two vectors of shares, with McDiarmid's bound at the level of all checks."""
    return _between(float(np.abs(a - b).sum() / 2), max(1, n))


def _between(distance: float, *n: int) -> Estimate:
    """Return a distance of empirical distributions with McDiarmid's bound for rows from samples of sizes `n`.

    One row of n moves the total variation, and the distance of Kolmogorov and Smirnov, by 1 / n at most (McDiarmid
    1989, https://doi.org/10.1017/CBO9781107359949.008).
    """
    half = float(np.sqrt(np.log(2 / ALPHA) / 2 * sum(1 / one for one in n)))
    return Estimate(distance, max(0.0, distance - half), min(1.0, distance + half), n[-1])


CHECKS = [CovariateShift, LabelShift, PredictionDrift]

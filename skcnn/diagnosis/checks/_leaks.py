"""Checks of features that give the answer away."""

import copy

import numpy as np
from scipy.stats import f_oneway, rankdata
from sklearn.ensemble import ExtraTreesRegressor

from skcnn._statistics import EFFECT_LEVEL, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._reference import Reference
from skcnn.diagnosis.checks._effects import simple_quality

__all__ = ["LeakColumn", "SelectionBeforeSplit", "lone_scores"]

N_BINS = 20


def lone_scores(X: np.ndarray, y: np.ndarray, X_new: np.ndarray, y_new: np.ndarray) -> np.ndarray:
    """Return for each feature how well it alone predicts: 0 by guessing, 1 without error.

    Each feature is cut at quantiles, and each bin predicts its most frequent class, or the mean of its targets.

    Parameters
    ----------
    X, y : ndarray
        Samples and class codes (int) or targets (float) to learn from.
    X_new, y_new : ndarray
        To predict.
    """
    n_features = X.shape[1]
    bins = np.empty((len(X_new), n_features), dtype=int)
    fitted = np.empty((len(X), n_features), dtype=int)
    for j in range(n_features):
        values = np.unique(X[:, j])
        edges = np.unique(np.quantile(X[:, j], np.linspace(0, 1, N_BINS + 1)[1:-1]))
        if len(values) <= N_BINS:
            edges = (values[1:] + values[:-1]) / 2
        fitted[:, j], bins[:, j] = np.searchsorted(edges, X[:, j]), np.searchsorted(edges, X_new[:, j])
    cell, cell_new = (one + N_BINS * np.arange(n_features) for one in (fitted, bins))
    size = N_BINS * n_features
    if y.dtype.kind == "f":
        total = np.bincount(cell.ravel(), np.repeat(y, n_features), size)
        count = np.bincount(cell.ravel(), minlength=size)
        mean = np.where(count > 0, total / np.maximum(count, 1), y.mean())
        errors = np.square(mean[cell_new] - y_new[:, None]).mean(axis=0)
        return np.asarray(1 - errors / max(float(np.square(y_new - y.mean()).mean()), 1e-300))
    counts = np.stack([np.bincount(cell[y == code].ravel(), minlength=size) for code in range(int(y.max()) + 1)])
    guess = np.bincount(y[y >= 0]).argmax()
    label = np.where(counts.any(axis=0), counts.argmax(axis=0), guess)
    by_guessing = (y_new == guess).mean()
    return np.asarray(((label[cell_new] == y_new[:, None]).mean(axis=0) - by_guessing) / max(1 - by_guessing, 1e-9))


class LeakColumn(Check):
    """One feature, pixel or channel that alone predicts the target far better than any other does.

    Features are cut into bins that each predict; learned on one half of the training samples and judged on the other.
    Its twins (features in the same order of samples) and, for series, its channel are left out with it.

    Effect: the simple model without it, minus with it, on the test samples. If it predicts in training alone, the test
    score rises without it.

    Threshold: on training samples it makes a third of the errors of the next best feature, its twins aside.
    What is made from the target goes with the other features by way of the target alone: they predict less than a tenth
    of the variance that the target leaves of it. A feature that the target depends on goes with them, given the target,
    be it that they are related, be it that they share in the target; so does one of several measures of the same thing.
    If it does not predict on test samples, the others do as out of fold, but for 0.1 (so that it is no matter of the
    test labels).
    """

    code, cause, sign = "leak_column", "leak", -1
    title = "A feature that gives the answer away"
    question = "Does one feature alone predict the target almost perfectly?"
    why = "Such a feature is mostly the target itself, or made from it; when the model is used, it will not be there."
    do = "Find out where the feature comes from, and when its value is known; leave it out unless it is known in time."
    ratio = 1 / 3
    related = 0.1
    apart = 0.1
    most_features = 5000
    least_samples = 40

    def look(self, seen: Observations) -> Finding | str:
        """Find the best feature, and train without it."""
        seen.need("test")
        X, y = seen.train.flat, self.target(seen, seen.reference.y)
        if len(X) < self.least_samples or X.shape[1] < 2:
            raise NotApplicable(f"{len(X)} samples of {X.shape[1]} features are too few")
        if X.shape[1] > self.most_features:
            raise NotApplicable(f"{X.shape[1]} features are too many to look at each")
        half = np.zeros(len(X), dtype=bool)
        half[seen.rng(29).permutation(len(X))[: len(X) // 2]] = True
        lone = (
            lone_scores(X[half], y[half], X[~half], y[~half]) + lone_scores(X[~half], y[~half], X[half], y[half])
        ) / 2
        best = int(lone.argmax())
        if lone[best] <= 0:
            return "No feature alone predicts the target better than guessing."
        targets = self.target(seen, seen.test.targets[seen.test.chosen])
        on_test = float(lone_scores(X[:, [best]], y, seen.test.flat[:, [best]], targets)[0])
        left_out = self._left_out(seen, best, lone)
        if left_out.all():
            return "All features predict alike."
        after = max(0.0, float(lone[~left_out].max()))
        text = (
            f"Feature {best} alone is {lone[best]:.2f} of the way from guessing to perfect on training samples, "
            f"{on_test:.2f} on test samples; the next best {after:.2f}."
        )
        if 1 - lone[best] > self.ratio * (1 - after):
            return text
        related = _related(seen, best, ~left_out)
        if related > self.related:
            return f"{text} The others predict {related:.2f} of what the target leaves of it."
        return self._judged(seen, text, left_out, on_test > (lone[best] + after) / 2)

    def _judged(self, seen: Observations, text: str, left_out: np.ndarray, in_both: bool) -> Finding | str:
        reference = seen.reference
        with_it, rest = reference.quality(reference.oof).mean(), simple_quality(seen, columns=~left_out)
        without_it = reference.quality(_out_of_fold(seen, ~left_out)).mean()
        if not in_both and rest.mean() < without_it - self.apart:
            return f"{text} Without it, the others do not predict test samples either: it is not the feature."
        gain = rest - seen.both.reference_quality
        effect = weighted_mean(gain, seen.test.weight[seen.test.chosen], EFFECT_LEVEL)
        where = ", ".join(map(str, np.flatnonzero(left_out)[:5])) + (", ..." if left_out.sum() > 5 else "")
        scores = f"the simple model has {without_it:.3f} out of fold, with it {with_it:.3f}."
        what = f"{text} Without it (feature {where}) {scores}"
        what += "" if in_both else " On the test samples it does not predict: it leaks in training alone."
        measured = "The simple model without the feature, minus with it, on the test samples."
        mended = None if in_both else _without_features(seen, left_out)
        found = self.finding(what, effect=effect, measured=measured, mended=mended, columns=left_out)
        found.sign = -1 if in_both else 1
        return found

    @staticmethod
    def target(seen: Observations, y: np.ndarray) -> np.ndarray:
        """Return class codes, or one target; the label or output with most variance of several."""
        if seen.has_classes:
            return y
        y = np.asarray(y, dtype=np.float64)
        return y if y.ndim == 1 else y[:, int(np.var(np.asarray(seen.reference.y, float), axis=0).argmax())]

    @staticmethod
    def _left_out(seen: Observations, best: int, lone: np.ndarray) -> np.ndarray:
        """Return the feature, its twins, and its channel if that gives the answer away at several steps."""
        X = seen.train.flat
        near = np.flatnonzero(lone >= lone[best] / 2)
        ranks = np.stack([rankdata(X[:, j]) for j in near])
        ranks -= ranks.mean(axis=1, keepdims=True)
        own = ranks[int(np.flatnonzero(near == best)[0])]
        correlation = np.abs(ranks @ own) / np.maximum(np.sqrt((ranks**2).sum(axis=1) * (own @ own)), 1e-300)
        left_out = np.zeros(X.shape[1], dtype=bool)
        left_out[near[correlation > 0.99]] = True
        shape = seen.train.inputs.shape[1:]
        if len(shape) > 1 and shape[-1] > 1 and left_out.sum() > 1:
            channel = np.arange(X.shape[1]) % shape[-1] == best % shape[-1]
            if left_out[channel].mean() > 0.5 or not left_out[~channel].any():
                left_out |= channel
        return left_out


def _related(seen: Observations, feature: int, others: np.ndarray) -> float:
    """Return which share of a feature's variance, of what the target leaves of it, the others predict out of fold."""
    reference = seen.reference
    target = LeakColumn.target(seen, reference.y)
    place = target if seen.has_classes else np.searchsorted(np.quantile(target, np.linspace(0, 1, 11)[1:-1]), target)
    left = rankdata(reference.X[:, feature])
    for part in np.unique(place):  # within classes, or along the target within tenths of it
        rows = np.flatnonzero(place == part)
        slope = np.zeros(len(rows)) if seen.has_classes else target[rows]
        design = np.stack([np.ones(len(rows)), slope], axis=1)
        left[rows] -= design @ np.linalg.lstsq(design, left[rows], rcond=None)[0]
    simple = Reference(seen)
    simple.__dict__["folds"] = reference.folds
    simple.X, simple.y, simple.n_classes, simple.kind = reference.X[:, others], left, 0, "regression"
    simple.forest = ExtraTreesRegressor(simple.FAST_TREES, min_samples_leaf=2, random_state=seen.seed)
    out = [simple.out_of_fold(model) for model in simple.models.values()]
    return max(float(1 - np.square(left - one).mean() / max(left.var(), 1e-300)) for one in out)


def _out_of_fold(seen: Observations, columns: np.ndarray) -> np.ndarray:
    """Return out-of-fold predictions of the simple model from some of the features."""
    reference = seen.reference
    other = copy.copy(reference)
    other.X = reference.X[:, columns]
    return other.out_of_fold(reference.model)


def _without_features(seen: Observations, left_out: np.ndarray) -> Observations:
    """Return the observations in which simple models and distances do not see some of the features."""
    other = seen.changed()
    other.__dict__.pop("reference", None)
    for side, own in zip(other.sides.values(), seen.sides.values(), strict=True):
        side.__dict__["flat"] = own.flat[:, ~left_out]
    return other


class SelectionBeforeSplit(Check):
    """Few samples, many features that all go with the target, and a score that looks untouched: a question only.

    Neither a selection of features by all samples nor an encoding of categories by their mean target can be told from
    the data alone. Where features were selected, all of them go with the target, on training and test samples.

    Threshold: at most 200 training samples, at least 20 features and as many as a quarter of the samples, 80% of them
    with p < 0.05 by analysis of variance (or correlation), and a test score of at least 0.98.
    """

    code, cause = "selection_before_split", "leak"
    title = "Were features selected, or categories encoded, before the split?"
    question = "Is the score on few samples with many features too good?"
    why = "What was chosen with the help of the test samples' targets predicts them well, and new samples badly."
    do = "If so, put the selection (SelectKBest, TargetEncoder) into the pipeline, and split the raw samples."
    most_samples = 200
    least_features = 20
    score = 0.98
    p_value = 0.05
    most_of_them = 0.8

    def look(self, seen: Observations) -> Finding | str:
        """Look for what a selection leaves."""
        seen.need("test")
        X, y = seen.train.flat, seen.reference.y
        n, n_features = X.shape
        text = f"{n} training samples of {n_features} features, test score {seen.test.score.value:.3f}."
        few = n <= self.most_samples and n_features >= max(self.least_features, n / 4)
        if not few or seen.test.score.value < self.score or y.ndim > 1:
            return text
        varied = X.std(axis=0) > 0
        if seen.has_classes:
            p = f_oneway(*(X[y == code][:, varied] for code in np.unique(y))).pvalue
        else:
            r = np.abs([np.corrcoef(column, y)[0, 1] for column in X[:, varied].T])
            p = np.where(r > 2 / np.sqrt(n), 0.0, 1.0)
        if (np.asarray(p) < self.p_value).mean() < self.most_of_them:
            return text
        what = f"{text} The features go with the target each by itself."
        return self.finding(what, measured="Not measured: it would take the features that were left out.")

"""Nothing leaks: what is fitted, resampled and validated on which samples, each test failing if it were otherwise."""

from itertools import product
from typing import ClassVar

import numpy as np
import pytest
from common import SMALL, classifier, regressor, same_model
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import Pipeline as ImbalancedPipeline
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    PredefinedSplit,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler


def make_images(n=96):
    """Images that are told apart by their first pixel, a quarter of them of class 1."""
    X = np.random.default_rng(0).normal(size=(n, 4, 4, 2)).astype("float32")
    y = (np.arange(n) % 4 == 0).astype(int)
    X[:, 1, 1, 0] += 2 * y
    X[:, 0, 0, 0] = np.arange(n)
    return X, y


# Spies ------------------------------------------------------------------------------------------------------------

LOG: list[tuple[str, np.ndarray]] = []  # who saw which samples, in the order of events


def note(name, X):
    LOG.append((name, X.reshape(len(X), -1)[:, 0].astype(int)))


class SpyTransformer(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        note("transformer fit", X)
        self.fitted_ = True
        return self

    def transform(self, X):
        note("transform", X)
        return X


class SpySampler(RandomOverSampler):
    def fit_resample(self, X, y, **params):
        note("resample", X)
        return super().fit_resample(X, y, **params)


class SpyCNN(CNNClassifier):
    def fit(self, X, y, sample_weight=None):
        note("fit", X)
        super().fit(X, y, sample_weight)
        note("fitted", X)
        return self

    def predict(self, X):
        note("predict", X)
        return super().predict(X)


def spied_fits():
    """The events of each fit of the pipeline and of the predictions after it."""
    starts = [i for i, (name, _) in enumerate(LOG) if name == "transformer fit"]
    return [LOG[start:end] for start, end in zip(starts, [*starts[1:], len(LOG)], strict=True)]


@pytest.mark.parametrize("inside", [False, True], ids=["imbalanced-learn's Pipeline", "scikit-learn's Pipeline"])
def test_samples_that_each_step_of_a_search_sees(inside):
    X, y = make_images(120)
    X, y, X_new = X[:96], y[:96], X[96:]
    parameters = SMALL | {"early_stopping": True, "validation_fraction": 0.25, "scoring": "accuracy"}
    scale = ("scale", NDTransformer(SpyTransformer()))
    if inside:
        pipe = Pipeline([scale, ("cnn", SpyCNN(**parameters, sampler=SpySampler()))])
    else:
        pipe = ImbalancedPipeline([scale, ("balance", NDSampler(SpySampler())), ("cnn", SpyCNN(**parameters))])
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    LOG.clear()
    search = GridSearchCV(pipe, {"cnn__l2": [1e-4, 1e-2]}, cv=folds, return_train_score=True).fit(X, y)
    everything = (np.arange(96), np.arange(0))
    for events, (train, test) in zip(spied_fits(), [*folds, *folds, everything], strict=True):
        names = [name for name, _ in events]
        end = names.index("fitted")
        before, after = dict(events[:end]), events[end + 1 :]
        np.testing.assert_array_equal(before["transformer fit"], train)
        validation = [samples for name, samples in events[:end] if name == "predict"]
        assert len(validation) == parameters["epochs"]
        assert names.count("resample") == 1
        seen, resampled, validated = set(train), before["resample"], validation[0]
        if inside:
            np.testing.assert_array_equal(before["fit"], train)
            assert set(resampled) == seen - set(validated)
            assert len(validated) == len(train) // 4
        else:
            np.testing.assert_array_equal(resampled, train)
            assert set(before["fit"]) == seen
            assert np.bincount(y[before["fit"]]).tolist() == [72 if len(test) == 0 else 48] * 2
            copies, kept = np.bincount(before["fit"], minlength=96), np.bincount(validated, minlength=96)
            np.testing.assert_array_equal(kept[validated], copies[validated])  # no copy of them is trained on
        # Scoring and predicting: every sample once, in its order, never through the sampler.
        expected = [("transform", test), ("predict", test), ("transform", train), ("predict", train)]
        for (name, seen), (expected_name, expected_samples) in zip(after, expected if len(test) else [], strict=True):
            assert name == expected_name
            np.testing.assert_array_equal(seen, expected_samples)
    LOG.clear()
    assert len(search.predict(X_new)) == len(search.predict_proba(X_new)) == 24
    assert [name for name, _ in LOG] == ["transform", "predict", "transform"]
    assert all(np.array_equal(samples, np.arange(96, 120)) for _, samples in LOG)


# Random labels ----------------------------------------------------------------------------------------------------

MEMORISING = {
    "network": Plain(filters=(16,), dense_units=(32,), normalization=None),
    "input_shape": (4, 4, 1),
    "epochs": 40,
    "learning_rate": 0.01,
    "random_state": 0,
}
WATCHING = {"early_stopping": True, "n_iter_no_change": 1000, "validation_fraction": 0.4}


def make_noise(seed):
    """Samples and labels that have nothing to do with each other, one in five of class 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(120, 16)).astype("float32"), rng.permutation(np.repeat([0, 1], [96, 24]))


def variance_by_chance(X, y):
    """Variance of the area under the ROC curve if scores are independent of labels; copies of a sample count once.

    Of m and n different samples it is (1/m + 1/n + 1/mn) / 12 (Mann and Whitney 1947). Where samples are repeated, 1/m
    becomes the sum of squares of their shares.
    """
    shares = []
    for label in (0, 1):
        copies = np.unique(X[y == label].reshape(np.sum(y == label), -1), axis=0, return_counts=True)[1]
        shares.append(np.square(copies / copies.sum()).sum())
    return (shares[0] + shares[1] + shares[0] * shares[1]) / 12


def standard_errors_above_chance(areas, variances):
    return (np.mean(areas) - 0.5) / np.sqrt(np.sum(variances) / len(areas) ** 2)


class AreaOnLastRows:
    """A scorer whose areas and variances, one of each for the last epoch of a fit, outlive the clones it is in."""

    found: ClassVar[list[tuple[float, float]]] = []

    def __call__(self, estimator, X, y):
        area = roc_auc_score(y, estimator.decision_function(X))
        self.found.append((area, variance_by_chance(X, y)))
        return area


def inner_validation(pipe, **fit):
    """Area and variance at the last epoch, without choosing an epoch, and whether the samples were memorised."""
    last = []
    for seed in range(6):
        X, y = make_noise(seed)
        AreaOnLastRows.found.clear()
        pipe.fit(X, y)
        last.append(AreaOnLastRows.found[-1])
    return last


@pytest.mark.parametrize(
    ("upstream", "balancing"),
    [
        ([RandomOverSampler(random_state=0)], {}),
        ([], {"sampler": RandomOverSampler()}),
        ([], {"sampler": SMOTE(k_neighbors=2)}),
        ([], {"balanced_batches": True}),
    ],
    ids=["sampler in the pipeline", "sampler=", "SMOTE", "balanced batches"],
)
def test_random_labels_are_at_chance_in_the_inner_validation(upstream, balancing):
    cnn = CNNClassifier(**MEMORISING, **WATCHING, **balancing, scoring=AreaOnLastRows())
    pipe = ImbalancedPipeline([*((str(i), sampler) for i, sampler in enumerate(upstream)), ("cnn", cnn)])
    areas, variances = zip(*inner_validation(pipe), strict=True)
    assert abs(standard_errors_above_chance(areas, variances)) < 3.5
    assert pipe[-1].history_["loss"][-1] < 0.1, "nothing was memorised, so that a leak would not show"


def test_that_chance_would_tell_of_copies_on_both_sides():
    """The test above on a split of oversampled samples that does not know copies."""
    found = []
    for seed in range(6):
        X, y = RandomOverSampler(random_state=0).fit_resample(*make_noise(seed))
        X, X_val, y, y_val = train_test_split(X, y, test_size=0.4, stratify=y, random_state=seed)
        AreaOnLastRows.found.clear()
        CNNClassifier(**MEMORISING, early_stopping=True, n_iter_no_change=1000, scoring=AreaOnLastRows()).fit(
            X, y, X_val=X_val, y_val=y_val
        )
        found.append(AreaOnLastRows.found[-1])
    assert standard_errors_above_chance(*zip(*found, strict=True)) > 6


def outer_folds(pipe, resampled_before):
    areas, variances = [], []
    for seed in range(4):
        X, y = make_noise(seed)
        if resampled_before:
            X, y = RandomOverSampler(random_state=0).fit_resample(X, y)
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
        areas += cross_val_score(pipe, X, y, cv=cv, scoring="roc_auc").tolist()
        variances += [variance_by_chance(X[test], y[test]) for _, test in cv.split(X, y)]
    return standard_errors_above_chance(areas, variances)


def test_random_labels_are_at_chance_in_the_outer_folds():
    cnn = CNNClassifier(**MEMORISING)
    pipe = ImbalancedPipeline([("balance", RandomOverSampler(random_state=0)), ("cnn", cnn)])
    assert abs(outer_folds(pipe, resampled_before=False)) < 3.5
    assert outer_folds(cnn, resampled_before=True) > 6, "the common mistake goes unnoticed"


# Samples that are not trained on change nothing -------------------------------------------------------------------

EVERYTHING_ON = SMALL | {
    "network": Plain(filters=(4,), normalization="batch"),
    "dropout": 0.2,
    "class_weight": "balanced",
    "sampler": SMOTE(k_neighbors=2),
    "resample": "epoch",
    "standardize": "position",
    "priors": "train",
    "early_stopping": True,
    "validation_fraction": 0.25,
}


@pytest.mark.parametrize(
    "steps",
    [
        lambda: [CNNClassifier(**EVERYTHING_ON)],
        lambda: [NDTransformer(StandardScaler()), CNNClassifier(**EVERYTHING_ON, refit_full=True)],
        lambda: [
            NDTransformer(StandardScaler(), per="channel"),
            NDSampler(SMOTE(random_state=0)),
            classifier(),
        ],
    ],
    ids=["estimator", "scaled, refit", "sampled upstream"],
)
def test_a_feature_of_test_samples_only_changes_nothing(steps):
    X, y = make_images()
    fold = PredefinedSplit(np.where(np.arange(96) % 3 == 0, 0, -1))
    test = np.arange(96) % 3 == 0
    X[:, 2, 3, 1] = 0
    other = X.copy()
    other[test, 2, 3, 1] = np.random.default_rng(1).normal(5, 100, test.sum())
    results = []
    for samples in (X, other):
        pipe = ImbalancedPipeline([(str(i), step) for i, step in enumerate(steps())])
        results.append(cross_validate(pipe, samples, y, cv=fold, return_estimator=True, scoring="neg_log_loss"))
    (one,), (two,) = (result["estimator"] for result in results)
    assert same_model(one[-1], two[-1])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert results[0]["test_score"] != results[1]["test_score"], "the feature was never used, so that nothing is shown"


def test_validation_samples_change_nothing_in_training():
    """Neither units, nor sampler, nor weights, nor class shares come from them: the losses of training are the same."""
    X, y = make_images()
    groups = np.isin(np.arange(96) % 16, (0, 1, 5, 9, 13)).astype(int)  # the smaller group is the validation part
    inside = groups == 1
    parameters = EVERYTHING_ON | {"validation_fraction": 0.3}
    reference = CNNClassifier(**parameters).fit(X, y, groups=groups)
    other, labels = X.copy(), y.copy()
    other[inside] = np.random.default_rng(1).normal(7, 50, X[inside].shape)
    labels[inside] = np.random.default_rng(2).permutation(y[inside])
    assert (labels != y).any()
    changed = CNNClassifier(**parameters).fit(other, labels, groups=groups)
    assert changed.history_["loss"] == reference.history_["loss"]
    assert changed.history_["val_loss"] != reference.history_["val_loss"]


def test_validation_targets_change_nothing_in_training():
    """Mean and scale of the targets of a regression are those of the training part."""
    X, _ = make_images()
    y = X[:, 1, 1, 0].copy()
    groups = (np.arange(96) % 4 == 1).astype(int)
    parameters = SMALL | {"early_stopping": True, "validation_fraction": 0.25}
    reference = CNNRegressor(**parameters).fit(X, y, groups=groups)
    changed = CNNRegressor(**parameters).fit(X, np.where(groups == 1, 100 * y + 7, y), groups=groups)
    assert changed.history_["loss"] == reference.history_["loss"]
    assert changed.history_["val_loss"] != reference.history_["val_loss"]
    given = regressor().fit(X[groups == 0], y[groups == 0], X_val=X[groups == 1], y_val=y[groups == 1])
    assert given.history_["val_loss"] == reference.history_["val_loss"]  # as if they had been given apart


# Order does not matter --------------------------------------------------------------------------------------------


def scores_by_candidate(search):
    """Scores of the folds, by candidate."""
    results = search.cv_results_
    n_folds = search.n_splits_
    return {
        str(sorted(parameters.items(), key=str)): [results[f"split{i}_test_score"][k] for i in range(n_folds)]
        for k, parameters in enumerate(results["params"])
    }


def test_the_order_of_candidates_and_folds_changes_nothing():
    X, y = make_images()
    momentum = CNNClassifier(**SMALL | {"optimizer": "sgd", "dropout": 0.3, "early_stopping": True})
    grid = [
        {"l2": [1e-4], "dropout": [0.3, 0.6]},
        {"sampler": [RandomOverSampler()], "resample": ["epoch", "once"]},
        {"class_weight": ["balanced"], "priors": [None, "train"], "standardize": ["channel"]},
    ]
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    searched = [
        scores_by_candidate(GridSearchCV(momentum, candidates, cv=cv, scoring="neg_log_loss", refit=False).fit(X, y))
        for candidates, cv in product((grid, grid[::-1]), (folds, folds[::-1]))
    ]
    reference, other_folds, other_candidates, both = searched
    assert other_candidates == reference
    assert {name: scores[::-1] for name, scores in other_folds.items()} == reference
    assert {name: scores[::-1] for name, scores in both.items()} == reference
    assert len({tuple(scores) for scores in reference.values()}) == len(reference) == 6


def test_a_fold_is_fitted_as_if_alone():
    X, y = make_images()
    pipe = make_pipeline(NDTransformer(StandardScaler()), CNNClassifier(**EVERYTHING_ON))
    folds = list(StratifiedKFold(3).split(X, y))
    together = cross_validate(pipe, X, y, cv=folds, return_estimator=True)["estimator"]
    for (train, _), fitted in zip(reversed(folds), reversed(together), strict=True):
        alone = make_pipeline(NDTransformer(StandardScaler()), CNNClassifier(**EVERYTHING_ON)).fit(X[train], y[train])
        assert same_model(alone[-1], fitted[-1])

"""Inside scikit-learn's and imbalanced-learn's pipelines, searches and meta-estimators."""

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline as ImbalancedPipeline
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier
from skcnn.networks import Plain


@pytest.fixture(scope="module")
def rows(digits):
    X, y = digits
    return X[:240].reshape(240, -1), y[:240]


@pytest.fixture(scope="module")
def binary(rows):
    X, y = rows
    return X, (y > 4).astype(int)


def classifier(**parameters):
    defaults = {"network": Plain(filters=(6,)), "input_shape": (8, 8, 1), "epochs": 6, "learning_rate": 0.01}
    return CNNClassifier(**defaults | {"random_state": 0} | parameters)


@pytest.mark.parametrize(
    "combine",
    [
        lambda cnn: VotingClassifier([("cnn", cnn), ("linear", LogisticRegression())], voting="soft"),
        lambda cnn: StackingClassifier([("cnn", cnn)], LogisticRegression(), cv=2),
        lambda cnn: BaggingClassifier(cnn, n_estimators=2, random_state=0),
        lambda cnn: CalibratedClassifierCV(cnn, cv=2),
        lambda cnn: TunedThresholdClassifierCV(cnn, cv=2),
        lambda cnn: OneVsRestClassifier(cnn),
        lambda cnn: make_pipeline(StandardScaler(), cnn),
        lambda cnn: ImbalancedPipeline([("balance", RandomOverSampler(random_state=0)), ("cnn", cnn)]),
    ],
    ids=["Voting", "Stacking", "Bagging", "Calibrated", "TunedThreshold", "OneVsRest", "Pipeline", "imblearn"],
)
def test_meta_estimators(combine, binary):
    X, y = binary
    assert combine(classifier()).fit(X[:160], y[:160]).score(X[160:], y[160:]) > 0.7


@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "neg_log_loss"])
def test_search_scores_are_real(scoring, binary):
    search = GridSearchCV(classifier(), {"l2": [1e-4, 1e-2]}, scoring=scoring, cv=2).fit(*binary)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    chance = {"roc_auc": 0.5, "average_precision": binary[1].mean(), "neg_log_loss": np.log(0.5)}[scoring]
    assert (scores > chance + 0.1).all()


def test_folds_are_stratified(binary):
    X, y = binary
    order = np.argsort(y, kind="stable")  # sorted labels: plain folds would hold one class only
    searched = GridSearchCV(classifier(), {"l2": [1e-4]}, cv=3).fit(X[order], y[order])
    expected = cross_validate(classifier(l2=1e-4), X[order], y[order], cv=StratifiedKFold(3))["test_score"]
    splits = [searched.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    np.testing.assert_array_equal(splits, expected)


def test_cross_val_predict_gives_every_class_a_column(rows):
    X, y = rows
    probabilities = cross_val_predict(classifier(epochs=15), X, y, cv=3, method="predict_proba")
    assert probabilities.shape == (240, 10)
    assert (probabilities.argmax(axis=1) == y).mean() > 0.7


def test_every_epoch_runs_inside_a_search(binary):
    result = cross_validate(classifier(epochs=7), *binary, cv=2, return_estimator=True)
    assert [estimator.n_iter_ for estimator in result["estimator"]] == [7, 7]


def test_parallel_workers_give_the_same_scores(binary):
    import joblib

    grid = {"l2": [1e-4, 1e-2], "dropout": [0.2]}
    serial = GridSearchCV(classifier(), grid, cv=2).fit(*binary)
    with joblib.parallel_config("threading", n_jobs=2):
        threads = GridSearchCV(classifier(), grid, cv=2).fit(*binary)
    processes = GridSearchCV(classifier(), grid, cv=2, n_jobs=2).fit(*binary)
    for other in (threads, processes):
        np.testing.assert_array_equal(other.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(processes.predict_proba(binary[0]), serial.predict_proba(binary[0]))


def test_weights_are_routed_and_matter(binary):
    X, y = binary
    weight = np.where(y == 1, 20.0, 1.0)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, classifier(epochs=1).set_fit_request(sample_weight=True))
        weighted = pipe.fit(X, y, sample_weight=weight).predict(X).mean()
        plain = make_pipeline(StandardScaler(), classifier(epochs=1)).fit(X, y).predict(X).mean()
    assert weighted > plain + 0.1


def test_validation_rows_pass_through_the_pipeline(binary):
    X, y = binary
    with config_context(enable_metadata_routing=True):
        cnn = classifier(early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipe = make_pipeline(StandardScaler(), cnn, transform_input=["X_val"])
        pipe.fit(X[:160], y[:160], X_val=X[160:], y_val=y[160:])
    scaler = StandardScaler().fit(X[:160])
    direct = classifier(early_stopping=True).fit(
        scaler.transform(X[:160]), y[:160], X_val=scaler.transform(X[160:]), y_val=y[160:]
    )
    assert pipe[-1].history_ == direct.history_

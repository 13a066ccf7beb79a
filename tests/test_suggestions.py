"""The next grid: likely values first, strengths lowered, cost bounded and said."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, TimeSeriesSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcnn import CNNClassifier
from skcnn.diagnosis._check import Finding
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._suggestions import CURES, MOST_COST, suggest
from skcnn.networks import Plain


@pytest.fixture(scope="module")
def images():
    X, y = load_digits(return_X_y=True)
    return (X[:300] / 16).reshape(-1, 8, 8, 1).astype("float32"), y[:300]


def finding(code="overdone", cures=("back",), **facts):
    return Finding(code, "title", "cause", "what", "why", "do", cures=cures, facts=facts)


def grid_for(model, X, y, *findings, **beside):
    seen = Observations(model.fit(X, y), X, y, fast=True, **beside)
    suggestion = suggest(seen, list(findings), 12)
    assert suggestion.n_candidates <= 12
    epochs = model.get_params().get("epochs")
    brevity = seen.components.auto_epochs(len(y)) / epochs if isinstance(epochs, int) else 0
    assert suggestion.cost <= max(MOST_COST, 12 * brevity) or suggestion.n_candidates == 1
    if suggestion.estimator is not None:
        suggestion.estimator.set_params(**{name: values[0] for name, values in suggestion.param_grid.items()})
    return suggestion


@pytest.mark.parametrize("rate", [1e-5, 1e-7])
def test_a_tiny_learning_rate_gets_the_default_and_usual_ones(images, rate):
    cnn = CNNClassifier(Plain((2,)), learning_rate=rate, epochs=1, random_state=0)
    for cause in (finding(params={"learning_rate": 0.003}), finding("loss_never_fell", ("rates",))):
        values = grid_for(cnn, *images, cause).param_grid["learning_rate"]
        assert values[0] == 0.003
        assert set(values) == {0.003, 0.001, 0.01}


def test_strengths_are_lowered_and_nothing_is_widened_beside_them(images):
    cnn = CNNClassifier(Plain((2,)), dropout=0.95, l2=1.0, epochs=5, random_state=0)
    grid = grid_for(cnn, *images, finding(params={"dropout": 0.0, "l2": 0.0})).param_grid
    assert grid["dropout"][0] == 0.0
    assert max(grid["dropout"]) < 0.5
    assert grid["l2"][0] == 0.0
    assert "network__filters" not in grid
    # Found without a refit, or under another name: the default all the same.
    grid = grid_for(cnn, *images, finding("underfit", ("longer", "larger"))).param_grid
    assert grid["dropout"] == [0.0]
    assert grid["l2"] == [0.0]


def test_what_is_cheap_comes_before_size_and_cost_is_said(images):
    cnn = CNNClassifier(Plain((2,)), standardize=None, epochs=5, random_state=0)
    suggestion = grid_for(cnn, *images, finding("underfit", ("longer", "standardize", "rates", "larger")))
    names = list(suggestion.param_grid)
    assert names[0] == "epochs"
    assert "standardize" in names
    assert f"{suggestion.n_candidates} candidates: each fold takes about" in str(suggestion)


def test_no_network_is_offered_with_more_weights_than_samples_times_a_hundred(images):
    X, y = images
    large = CNNClassifier(Plain((8, 16), pooling=None), epochs=1, random_state=0).fit(X, y)
    seen = Observations(large, X[:60], y[:60], fast=True)
    assert CURES["larger"](large.get_params(), {}, seen) == {}
    seen = Observations(large, X, y, fast=True)
    offered = CURES["larger"](large.get_params(), {}, seen)["network__filters"]
    assert offered[1:] == [(16, 32)]
    widened = CNNClassifier(Plain((64, 64), pooling=None), epochs=1, random_state=0).fit(X, y)
    assert CURES["larger"](widened.get_params(), {}, Observations(widened, X, y, fast=True)) == {}
    seen.refits.seconds["network__filters=(32, 64)"] = 1.0  # tried, and not what raised the score
    assert CURES["larger"](large.get_params(), {}, seen) == {}


def test_the_value_that_raised_the_score_is_the_first_candidate(images):
    X, y = images
    flat = X.reshape(len(X), -1)
    suggestion = grid_for(SVC(C=1e-4), flat, y, finding(params={"C": 1.0}))
    assert suggestion.param_grid == {"C": [1.0, 10.0]}
    mlp = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=5))
    with pytest.warns(match="converged"):
        suggestion = grid_for(mlp, flat, y, finding("loss_falling", ("longer",), params={"max_iter": 20}))
    assert suggestion.param_grid["mlpclassifier__max_iter"] == [20]


def test_a_training_shorter_than_by_default_gets_the_default(images):
    short = CNNClassifier(Plain((2,)), batch_statistics="moving", epochs=3, random_state=0)
    grid = grid_for(short, *images, finding("batch_statistics", ("statistics",))).param_grid
    assert grid["epochs"] == ["auto"]
    assert grid["batch_statistics"] == ["final"]
    nearly = CNNClassifier(Plain((2,)), epochs=90, random_state=0)
    assert grid_for(nearly, *images, finding("gap", ("regularise",))).param_grid["epochs"] == [90, "auto"]
    long = CNNClassifier(Plain((2,)), epochs=150, random_state=0)
    assert grid_for(long, *images, finding("loss_falling", ("longer",))).param_grid["epochs"] == [150, 600]


def test_a_very_short_training_gets_more_epochs_beside_a_larger_network(images):
    brief = CNNClassifier(Plain((2, 4)), epochs=1, random_state=0)
    grid = grid_for(brief, *images, finding("underfit", ("larger",), params={"network__filters": (4, 8)})).param_grid
    assert grid["network__filters"] == [(4, 8)]
    assert "auto" in grid["epochs"]


def test_where_classes_are_skewed_priors_are_searched_by_balanced_accuracy(images):
    X, y = images
    few = (y != 0) | (np.cumsum(y == 0) <= 4)
    cnn = CNNClassifier(Plain((2,)), epochs=1, random_state=0)
    suggestion = grid_for(cnn, X[few], y[few], finding("few_rows", ("regularise",)))
    assert suggestion.scoring == "balanced_accuracy"
    assert suggestion.param_grid["priors"] == [None, [0.1] * 10]
    balanced = CNNClassifier(Plain((2,)), class_weight="balanced", epochs=1, random_state=0)
    assert "priors" not in grid_for(balanced, X[few], y[few], finding("few_rows", ("regularise",))).param_grid
    assert grid_for(cnn, X, y, finding("few_rows", ("regularise",))).scoring is None


def test_groups_and_times_get_a_splitter(images):
    X, y = images[0].reshape(300, -1), images[1]
    suggestion = grid_for(LogisticRegression(C=0.01, max_iter=300), X, y, finding("groups", ()))
    assert isinstance(suggestion.cv, GroupKFold)
    assert "cv=GroupKFold" in str(suggestion)
    assert "groups=..." in str(suggestion)
    assert isinstance(
        grid_for(LogisticRegression(C=0.01, max_iter=300), X, y, finding("times", ())).cv, TimeSeriesSplit
    )
    assert grid_for(LogisticRegression(C=0.01, max_iter=300), X, y).cv is None
    assert str(grid_for(LogisticRegression(C=0.01, max_iter=300), X, y)) == "Nothing to search: no finding."


def test_overfitting_on_few_samples_has_a_cure(images):
    cnn = CNNClassifier(Plain((2,)), epochs=2, random_state=0)
    grid = grid_for(cnn, *images, finding("few_rows", ("regularise", "smaller", "stop_early"))).param_grid
    assert {"augmentation", "l2", "dropout"} & set(grid)


def test_whole_numbers_stay_whole_only_where_no_fraction_is_meant(images):
    """Rounded, a strength of 1 would become 0."""
    X, y = images[0].reshape(300, -1), images[1]
    seen = Observations(LogisticRegression(max_iter=300).fit(X, y), X, y, fast=True)
    assert CURES["regularise"]({"C": 1}, {}, None) == {"C": [1, 0.1, 0.01]}
    (epochs,) = CURES["longer"]({"epochs": 12_345}, {}, seen).values()
    assert epochs == [12_345, 49_380]
    assert all(type(n) is int for n in epochs)


def test_a_search_over_the_grid_beats_one_over_an_uninformed_grid(images):
    X, y = images
    cnn = CNNClassifier(Plain((4,)), learning_rate=1e-6, epochs=4, random_state=0)
    suggestion = suggest(Observations(cnn.fit(X[:150], y[:150]), X[:150], y[:150], fast=True), [finding()], 4)
    informed = GridSearchCV(suggestion.estimator, suggestion.param_grid, cv=2).fit(X[:150], y[:150])
    blind = GridSearchCV(cnn, {"learning_rate": [1e-7, 1e-5], "l2": [0.0, 1e-3]}, cv=2).fit(X[:150], y[:150])
    assert informed.score(X[150:], y[150:]) > blind.score(X[150:], y[150:]) + 0.2
    assert np.isfinite(informed.best_score_)

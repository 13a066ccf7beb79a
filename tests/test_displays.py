import itertools

import numpy as np
import pytest
from common import printed_by
from matplotlib import pyplot as plt
from scipy.stats import binomtest, loguniform
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcnn import CNNClassifier
from skcnn.displays import ClassScoresDisplay, ErrorsDisplay, HistoryDisplay, ReliabilityDisplay, SearchDisplay
from skcnn.networks import Plain


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def flat(digits):
    X, y = digits
    return X.reshape(len(X), -1), y


@pytest.fixture(scope="module")
def logistic(flat):
    X, y = flat
    return LogisticRegression(C=0.01).fit(X[:200], y[:200])


@pytest.fixture(scope="module")
def folds(few_digits):
    X, y = few_digits
    cnn = CNNClassifier(Plain(filters=(4,)), epochs=3, early_stopping=True, scoring="accuracy", random_state=0)
    return cross_validate(cnn, X, y, cv=2, return_estimator=True)


@pytest.fixture(scope="module")
def grid(flat):
    X, y = flat
    params = {"C": [1.0, 0.01], "class_weight": [None, "balanced"], "fit_intercept": [True, False]}
    return GridSearchCV(LogisticRegression(), params, cv=3).fit(X[:150], y[:150] == 8)


# History ------------------------------------------------------------------------------------------------------------


def test_history_shows_what_was_recorded(folds):
    cnn = folds["estimator"][0]
    display = HistoryDisplay.from_estimator(make_pipeline("passthrough", cnn))
    losses, scores = display.ax_
    assert display.losses == ["loss", "val_loss"]
    assert display.scores == ["val_score"]
    assert np.array_equal(losses.lines[0].get_ydata(), cnn.history_["loss"])
    assert np.array_equal(scores.lines[0].get_xdata(), [1, 2, 3])
    best = scores.lines[-1]
    assert best.get_xdata() == [cnn.best_iter_]
    assert best.get_ydata() == [max(cnn.history_["val_score"])]


def test_history_of_folds_and_their_mean(folds):
    display = HistoryDisplay.from_cv_results(folds)
    first, second = (cnn.history_["val_loss"] for cnn in folds["estimator"])
    assert np.allclose(display.mean("val_loss"), (np.array(first) + second) / 2)
    labels = [text.get_text() for text in display.ax_[0].get_legend().get_texts()]
    assert labels == ["training loss, mean of 2", "validation loss, mean of 2", "weights kept"]


def test_history_mean_is_over_the_fits_that_got_as_far():
    display = HistoryDisplay([{"loss": [4.0, 2.0, 1.0]}, {"loss": [2.0]}])
    assert display.mean("loss").tolist() == [3, 2, 1]
    assert len(display.plot().ax_) == 1


def test_history_reaches_through_a_search():
    class Fitted:
        history_ = {"loss": [1.0], "learning_rate": [0.1]}

    class Search:
        best_estimator_ = make_pipeline("passthrough", Fitted())

    assert HistoryDisplay.from_estimator(Search()).histories == [Fitted.history_]


def test_history_says_what_is_missing(logistic):
    with pytest.raises(ValueError, match="LogisticRegression has no history_"):
        HistoryDisplay.from_estimator(logistic)
    with pytest.raises(ValueError, match="Pass return_estimator=True"):
        HistoryDisplay.from_cv_results({"test_score": [1]})


# Reliability --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_reliability_of_two_classes_is_scikit_learns_curve(flat, strategy):
    X, y = flat
    clf = LogisticRegression(C=0.01).fit(X[:200], y[:200] == 8)
    display = ReliabilityDisplay.from_estimator(clf, X[200:], y[200:] == 8, strategy=strategy, n_bins=7)
    probability = clf.predict_proba(X[200:])[:, 1]
    true, predicted = calibration_curve(y[200:] == 8, probability, strategy=strategy, n_bins=7)
    assert np.allclose(display.prob_true, true)
    assert np.allclose(display.prob_pred, predicted)
    assert display.pos_label is np.True_
    assert display.counts.sum() == len(y) - 200
    assert ((display.lower <= display.prob_true) & (display.prob_true <= display.upper)).all()
    inside = (display.edges[:, 0] <= display.prob_pred) & (display.prob_pred <= display.edges[:, 1])
    assert inside.all()


def test_reliability_of_one_class_against_all_others(flat, logistic):
    X, y = flat
    display = ReliabilityDisplay.from_estimator(logistic, X, y, pos_label=3)
    true, predicted = calibration_curve(y == 3, logistic.predict_proba(X)[:, 3], n_bins=10)
    assert np.allclose(display.prob_true, true)
    assert np.allclose(display.prob_pred, predicted)
    assert "class 3" in display.ax_[0].get_ylabel()


def test_reliability_of_the_predicted_class(flat, logistic):
    X, y = flat
    display = ReliabilityDisplay.from_estimator(logistic, X, y, n_bins=4)
    probabilities = logistic.predict_proba(X)
    right = logistic.predict(X) == y
    true, predicted = calibration_curve(right, probabilities.max(axis=1), n_bins=4)
    assert np.allclose(display.prob_true, true)
    assert np.allclose(display.prob_pred, predicted)
    bars = [bar.get_height() for bar in display.ax_[1].patches]
    assert bars == display.counts.tolist()


def test_reliability_interval_by_hand():
    display = ReliabilityDisplay.compute([0, 1, 1, 1], [0.1, 0.9, 0.9, 0.9], n_bins=2)
    expected = binomtest(3, 3).proportion_ci(method="wilson")
    assert display.prob_true.tolist() == [0, 1]
    assert np.allclose([display.lower[1], display.upper[1]], [expected.low, expected.high])
    assert display.counts.tolist() == [1, 3]


def test_reliability_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"from -1 to 2; expected probabilities in \[0, 1\]"):
        ReliabilityDisplay.compute([0, 1], [-1.0, 2.0])
    with pytest.raises(ValueError, match="3 columns for the 2 classes"):
        ReliabilityDisplay.compute([0, 1], np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="pos_label='c' is not among the classes"):
        ReliabilityDisplay.compute(["a", "b"], [0.5, 0.5], pos_label="c")
    with pytest.raises(ValueError, match="strategy='even'"):
        ReliabilityDisplay.compute([0, 1], [0.5, 0.5], strategy="even")
    with pytest.raises(ValueError, match="one label of many at a time"):
        ReliabilityDisplay.compute(np.eye(2), np.eye(2))


# Errors -------------------------------------------------------------------------------------------------------------


def test_errors_are_the_most_confident_ones(flat, logistic):
    X, y = flat
    display = ErrorsDisplay.from_estimator(logistic, X, y, n_shown=5, input_shape=(8, 8, 1))
    probabilities, predicted = logistic.predict_proba(X), logistic.predict(X)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(probabilities[wrong].max(axis=1))[::-1][:5]]
    assert display.indices.tolist() == worst.tolist()
    assert np.allclose(display.confidence, probabilities[worst].max(axis=1))
    assert np.array_equal(display.X.reshape(5, -1), X[worst])
    assert (display.n_errors, display.n_samples) == (len(wrong), len(X))
    assert np.allclose(display.ax_[0].images[0].get_array(), X[worst[0]].reshape(8, 8))
    assert f"{y[worst[0]]}, not {predicted[worst[0]]}" in display.ax_[0].get_title()


def test_errors_of_a_classifier_without_probabilities(flat):
    X, y = flat
    svc = SVC().fit(X[:100], y[:100] > 4)
    display = ErrorsDisplay.from_estimator(svc, X, y > 4, n_shown=3)
    assert np.allclose(display.confidence, np.abs(svc.decision_function(X[display.indices])))
    assert len(display.ax_[0].lines) == 1  # a flat row is a series


def test_errors_take_the_shape_of_the_network(flat, folds):
    X, y = flat
    cnn = folds["estimator"][0]
    images = X.reshape(-1, 8, 8, 1)
    assert ErrorsDisplay.from_estimator(cnn, images, y, n_shown=2).X.shape == (2, 8, 8, 1)
    flat_cnn = CNNClassifier(Plain(filters=(2,)), input_shape=(8, 8, 1), epochs=1, random_state=0).fit(X[:50], y[:50])
    assert ErrorsDisplay.from_estimator(make_pipeline("passthrough", flat_cnn), X, y, n_shown=2).X.shape[1:] == (
        8,
        8,
        1,
    )


@pytest.mark.parametrize("shape", [(6, 2), (4, 4, 1), (4, 4, 3), (4, 4, 2), (3, 4, 4, 1)])
def test_errors_draw_every_kind_of_row(rng, shape):
    X = rng.normal(size=(4, *shape))
    display = ErrorsDisplay.from_predictions(X, [0, 0, 0, 0], [1, 1, 0, 1], [0.5, 0.9, 1.0, 0.7])
    assert display.indices.tolist() == [1, 3, 0]
    picture = display.ax_[0].images
    assert len(picture) == (len(shape) > 2)
    if picture:
        shown = picture[0].get_array()
        assert shown.shape[:2] == (4, 4)
        assert shown.ndim == (3 if shape[-1] == 3 else 2)


def test_no_errors_are_an_empty_display():
    display = ErrorsDisplay.from_predictions(np.zeros((2, 3)), [0, 1], [0, 1], [1.0, 1.0])
    assert (len(display.X), display.n_errors) == (0, 0)
    assert "0 errors in 2 samples" in display.figure_.get_suptitle()


def test_errors_refuse_what_does_not_fit(logistic, flat):
    X, y = flat
    with pytest.raises(ValueError, match=r"\(8, 9, 1\) has 72 values, but the samples of X have shape \(64,\)"):
        ErrorsDisplay.from_estimator(logistic, X, y, input_shape=(8, 9, 1))
    with pytest.raises(ValueError, match="one label of many at a time"):
        ErrorsDisplay.compute(np.zeros((2, 3)), np.eye(2), np.eye(2), np.eye(2))
    labels = np.stack([y > 4, y % 2], axis=1)
    with pytest.raises(ValueError, match="one label of many at a time"):
        ErrorsDisplay.from_estimator(OneVsRestClassifier(LogisticRegression()).fit(X, labels), X, labels)


# Class scores -------------------------------------------------------------------------------------------------------


def test_class_scores_are_scikit_learns(flat, logistic):
    X, y = flat
    display = ClassScoresDisplay.from_estimator(logistic, X, y)
    expected = precision_recall_fscore_support(y, logistic.predict(X))
    for name, values in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        assert np.allclose(display.scores[name], values)
        assert ((display.lower[name] <= values) & (values <= display.upper[name])).all()
    assert np.array_equal(display.support, expected[3])
    assert display.ax_.get_yticklabels()[0].get_text() == f"0  (n = {(y == 0).sum()})"


def test_class_scores_of_labels_and_where_nothing_can_be_divided_by(flat):
    X, y = flat
    targets = np.stack([y == 8, y % 2 == 0], axis=1).astype(int)
    clf = OneVsRestClassifier(LogisticRegression(C=0.01)).fit(X, targets)
    display = ClassScoresDisplay.from_estimator(clf, X, targets)
    expected = precision_recall_fscore_support(targets, clf.predict(X), zero_division=np.nan)
    assert np.allclose(display.scores["precision"], expected[0], equal_nan=True)
    never = ClassScoresDisplay.from_estimator(DummyClassifier().fit(X, y == 8), X, y == 8)
    assert np.isnan(never.scores["precision"][1])
    assert never.scores["recall"][1] == 0


def test_the_interval_of_f1_covers_as_often_as_it_says(rng):
    truth = rng.random(200_000) < 0.3
    guess = np.where(rng.random(200_000) < 0.8, truth, ~truth)
    true_f1 = ClassScoresDisplay.compute(truth, guess).scores["f1"][1]
    covered = []
    for rows in np.split(rng.permutation(200_000), 1000):
        display = ClassScoresDisplay.compute(truth[rows], guess[rows], level=0.9)
        covered.append(display.lower["f1"][1] <= true_f1 <= display.upper["f1"][1])
    assert abs(np.mean(covered) - 0.9) < 0.03


# Search -------------------------------------------------------------------------------------------------------------


def test_search_shows_the_best_of_each_pair_with_its_standard_error(grid):
    display = SearchDisplay.from_cv_results(grid.cv_results_)
    assert display.params == ["C", "class_weight"]
    assert display.n_candidates == 8
    assert len(display.values) == 4
    table = {}
    for i, params in enumerate(grid.cv_results_["params"]):
        scores = [grid.cv_results_[f"split{k}_test_score"][i] for k in range(3)]
        key = (params["C"], params["class_weight"])
        table[key] = max(table.get(key, (0, 0)), (np.mean(scores), np.std(scores, ddof=1) / np.sqrt(3)))
    for values, mean, error in zip(display.values, display.mean, display.error, strict=True):
        assert np.isclose(mean, table[tuple(values)][0])
        if sum(np.isclose(mean, m) for m, _ in table.values()) == 1:
            assert np.isclose(error, table[tuple(values)][1])
    assert display.mean.max() == grid.best_score_
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0.01", "1"]  # numbers are sorted
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["None", "balanced"]


def test_search_over_one_parameter_is_a_line(grid):
    display = SearchDisplay.from_cv_results(grid.cv_results_, params=["C"])
    line = display.ax_.containers[0].lines[0]
    assert line.get_xdata().tolist() == [0.01, 1]
    assert display.ax_.get_xscale() == "log"
    by_value = dict(zip([row[0] for row in display.values], display.mean, strict=True))
    assert line.get_ydata().tolist() == [by_value[0.01], by_value[1.0]]


def test_random_search_is_points(flat):
    X, y = flat
    space = {"C": loguniform(1e-3, 1e3), "gamma": loguniform(1e-3, 1)}
    search = RandomizedSearchCV(SVC(), space, n_iter=5, cv=2, random_state=0).fit(X[:100], y[:100] > 4)
    display = SearchDisplay.from_cv_results(search.cv_results_)
    x, y = display.ax_.collections[0].get_offsets().T
    assert np.allclose(x, [params["C"] for params in search.cv_results_["params"]])
    assert np.allclose(y, [params["gamma"] for params in search.cv_results_["params"]])


def test_search_keeps_values_apart_that_python_holds_for_equal():
    results = {"params": [{"a": True}, {"a": 1}, {"a": [0.5, 0.5]}], "param_a": [], "mean_test_score": []}
    for k in range(2):
        results[f"split{k}_test_score"] = [0.1, 0.2, 0.3 + k / 10]
    display = SearchDisplay.from_cv_results(results)
    assert display.values == [[True], [1], [[0.5, 0.5]]]
    assert np.allclose(display.error, [0, 0, 0.05])


def test_search_refuses_what_is_not_there(grid):
    with pytest.raises(ValueError, match=r"params=\['D'\]; expected one or two of the search's parameters \['C'"):
        SearchDisplay.compute(grid.cv_results_, params=["D"])
    with pytest.raises(ValueError, match=r"metric='auc' is not in cv_results; it has \['score'\]"):
        SearchDisplay.compute(grid.cv_results_, metric="auc")


# All ----------------------------------------------------------------------------------------------------------------


# What is looked at ---------------------------------------------------------------------------------------------------


def results_of(params, mean):
    """Results of a search as scikit-learn has them; ``mean`` holds a score per candidate and fold."""
    scores = np.asarray(mean, float)
    columns = {f"param_{name}": [one[name] for one in params] for name in params[0]}
    splits = {f"split{i}_test_score": column for i, column in enumerate(scores.T)}
    return {"params": params, "mean_test_score": scores.mean(axis=1), **columns, **splits}


PAIRS = [{"a": a, "b": b} for a in (1, 2) for b in (3, 4)]


def assert_apart(texts, renderer):
    boxes = [text.get_window_extent(renderer) for text in texts]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_everything_stands_out_from_a_dark_background(flat, logistic):
    X, y = flat
    with plt.style.context("dark_background"):
        history = HistoryDisplay([{"loss": [2.0, 1.0]}], best_iters=[2]).plot()
        reliability = ReliabilityDisplay.from_estimator(logistic, X[200:], y[200:])
        classes = ClassScoresDisplay.from_estimator(logistic, X[200:], y[200:])
        scores = SearchDisplay.from_cv_results(results_of(PAIRS, [[0.5, 0.6], [np.nan, 0.5], [0.7, 0.7], [0.6, 0.6]]))
    lines = [*history.ax_[0].lines, *reliability.ax_[0].lines, *classes.ax_.lines]
    assert len(lines) > 10
    missing = [text for text in scores.ax_.texts if text.get_text() == "no score"]
    assert len(missing) == 1
    for drawn in [*lines, *missing]:
        assert max(plt.matplotlib.colors.to_rgb(drawn.get_color())) > 0.5, drawn


def test_long_labels_do_not_run_into_each_other(rng):
    labels = np.array(["a cat that sleeps on the sofa", "a bird of paradise, male"])
    display = ErrorsDisplay.from_predictions(rng.random((8, 6, 9, 3)), labels[[0, 1] * 4], labels[[1, 0] * 4], range(8))
    display.figure_.canvas.draw()
    assert_apart([panel.title for panel in display.ax_[:6]], display.figure_.canvas.get_renderer())
    assert display.ax_[0].get_title() == "a bird of paradise,…\nnot a cat that slee…\n7 (sample 7)"

    filters = [(16, 32), (32, 64, 128, 256), (8, 8, 16, 16, 32, 32), (64, 64, 128, 128)]
    params = [{"filters": one} for one in filters]
    display = SearchDisplay.from_cv_results(results_of(params, rng.random((4, 3))))
    assert {label.get_rotation() for label in display.ax_.get_xticklabels()} == {20}
    short = SearchDisplay.from_cv_results(results_of(PAIRS, rng.random((4, 3))))
    assert {label.get_rotation() for label in short.ax_.get_xticklabels()} == {0}

    proba = rng.random(50)
    display = ReliabilityDisplay.from_predictions(labels[[0, 1] * 25], proba, pos_label=labels[0])
    assert display.ax_[0].get_ylabel() == "share of class a cat that sleeps o…"


def test_one_fold_one_epoch_and_candidates_without_a_score(rng):
    one = SearchDisplay.from_cv_results(results_of(PAIRS, rng.random((4, 1))))
    assert one.ax_.get_title().startswith("one fold\n")
    assert not any("nan" in text.get_text() or "±" in text.get_text() for text in one.ax_.texts)
    scattered = [{"a": float(x), "b": float(y)} for x, y in rng.random((9, 2))]
    points = SearchDisplay.from_cv_results(results_of(scattered, [[np.nan]] + [[0.5]] * 8))
    cross = next(line for line in points.ax_.lines if line.get_label() == "no score")
    assert cross.get_xydata().tolist() == [list(scattered[0].values())]
    epoch = HistoryDisplay([{"loss": [1.0]}], best_iters=[1]).plot()
    assert epoch.ax_[0].get_xticks().tolist() == [1]
    assert epoch.ax_[0].lines[0].get_marker() == "."


def test_displays_draw_within_the_bounds_of_axes(flat, logistic, folds, grid):
    X, y = flat
    figure, axes = plt.subplots(2, 3, figsize=(18, 10), layout="constrained")
    displays = [
        HistoryDisplay.from_estimator(folds["estimator"][0], ax=axes[0, 0]),
        ReliabilityDisplay.from_estimator(logistic, X, y, ax=axes[0, 1]),
        ErrorsDisplay.from_estimator(logistic, X, y, ax=axes[0, 2]),
        ClassScoresDisplay.from_estimator(logistic, X, y, ax=axes[1, 0]),
        SearchDisplay.from_cv_results(grid.cv_results_, ax=axes[1, 1]),
    ]
    assert all(display.figure_ is figure for display in displays)
    assert plt.get_fignums() == [figure.number]
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match="which is no subplot"):
        ReliabilityDisplay.from_estimator(logistic, X, y, ax=figure.add_axes((0, 0, 1, 1)))


def test_displays_work_in_a_pipeline(flat):
    X, y = flat
    pipe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(X[:200], y[:200])
    assert ReliabilityDisplay.from_estimator(pipe, X, y).counts.sum() == len(X)
    assert ErrorsDisplay.from_estimator(pipe, X, y).n_samples == len(X)
    assert ClassScoresDisplay.from_estimator(pipe, X, y).support.sum() == len(X)


def test_displays_import_neither_keras_nor_matplotlib():
    code = "import sys, skcnn.displays; print(*[n for n in ('keras', 'tensorflow', 'matplotlib') if n in sys.modules])"
    assert printed_by(code) == []

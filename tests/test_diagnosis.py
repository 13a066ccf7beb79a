"""What `diagnose` takes and returns: input of any kind, states, ranking, reports and the grid it suggests."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from common import printed_by
from imblearn.pipeline import Pipeline
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skcnn
from skcnn import CNNClassifier, CNNRegressor, diagnose
from skcnn.diagnosis import Check, NotApplicable
from skcnn.diagnosis._components import take_apart
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def rare():
    """Images of which one kind is rare: pipeline, data."""
    X, y = load_digits(return_X_y=True)
    rows = np.r_[np.flatnonzero(y != 8), np.flatnonzero(y == 8)[:60]]
    images, labels = X[rows].reshape(-1, 8, 8, 1), np.where(y[rows] == 8, "eight", "another")
    X, X_test, y, y_test = train_test_split(images, labels, train_size=300, random_state=0, stratify=labels)
    cnn = CNNClassifier(Plain((4,)), epochs=15, random_state=0)
    pipe = Pipeline([("scale", NDTransformer(StandardScaler(), per="channel")), ("cnn", cnn)]).fit(X, y)
    return pipe, X, y, X_test, y_test


@pytest.fixture(scope="module")
def diagnosis(rare):
    return diagnose(*rare, fast=True)


def scaled_logistic():
    """A model that is fitted at once; without the scaler it takes hundreds of times as many steps."""
    return make_pipeline(StandardScaler(), LogisticRegression())


# Input ------------------------------------------------------------------------------------------------------------


def failures(diagnosis):
    return {one.check.code: one.text for one in diagnosis.outcomes if one.state == "could not run"}


def test_every_check_ends_in_one_state(diagnosis):
    states = {"finding", "passed", "not applicable", "ignored", "could not run"}
    assert {one.state for one in diagnosis.outcomes} <= states
    assert all(one.text for one in diagnosis.outcomes)
    assert failures(diagnosis) == {}
    assert len({one.check.code for one in diagnosis.outcomes}) == len(diagnosis.outcomes) > 40


@pytest.mark.parametrize("with_test", [True, False])
def test_any_estimator_is_diagnosed(cancer, with_test):
    X, X_test, y, y_test = cancer
    rows = (X_test, y_test) if with_test else ()
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    mlp = MLPClassifier((8,), max_iter=500, early_stopping=True, random_state=0)
    for estimator in (
        RandomForestClassifier(20, random_state=0),
        TunedThresholdClassifierCV(scaled),
        GridSearchCV(make_pipeline(StandardScaler(), mlp), {"mlpclassifier__alpha": [1e-4, 1e-2, 1.0]}, cv=2),
    ):
        found = diagnose(estimator.fit(X, y), X, y, *rows, fast=True)
        assert failures(found) == {}
        assert list(found.scores) == (["training accuracy", "test accuracy"] if with_test else ["training accuracy"])


def test_regression_multilabel_and_frames(cancer):
    X, y = load_diabetes(return_X_y=True)
    ridge = LinearRegression().fit(X[:300], y[:300])
    found = diagnose(ridge, X[:300], y[:300], X[300:], y[300:], fast=True)
    assert found.scores["test R²"].value == pytest.approx(
        1 - np.sum((y[300:] - ridge.predict(X[300:])) ** 2) / np.sum((y[300:] - y[:300].mean()) ** 2)
    )
    cnn = CNNRegressor(Plain((2,)), epochs=3, random_state=0).fit(X[:300], y[:300])
    assert failures(diagnose(cnn, X[:300], y[:300], X[300:], y[300:], fast=True)) == {}
    X, y = make_multilabel_classification(300, 8, random_state=0)
    forest = RandomForestClassifier(10, random_state=0).fit(X[:200], y[:200])
    assert failures(diagnose(forest, X[:200], y[:200], X[200:], y[200:], fast=True)) == {}
    X, X_test, y, y_test = cancer
    frames = [pd.DataFrame(rows, columns=[f"c{i}" for i in range(30)]) for rows in (X, X_test)]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frames[0], pd.Series(y))
    found = diagnose(model, frames[0], pd.Series(y), frames[1], pd.Series(y_test), fast=True)
    assert failures(found) == {}
    assert found.findings == []


def test_the_same_seed_gives_the_same_diagnosis(rare, diagnosis):
    again = diagnose(*rare, fast=True)
    assert [one.text for one in again.outcomes] == [one.text for one in diagnosis.outcomes]


def test_jobs_do_not_change_the_diagnosis_and_reach_the_simple_models(cancer, monkeypatch):
    X, X_test, y, y_test = cancer
    used = []

    def neighbours(**settings):
        used.append(settings["n_jobs"])
        return NearestNeighbors(**settings)

    monkeypatch.setattr("skcnn.diagnosis._two_samples.NearestNeighbors", neighbours)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    alone, both = (diagnose(model, X, y, X_test, y_test, fast=True, n_jobs=n_jobs) for n_jobs in (None, 2))
    assert [one.text for one in alone.outcomes] == [one.text for one in both.outcomes]
    assert both._seen.reference.forest.n_jobs == 2
    assert used == [None, None, 2, 2]  # by two distances


def test_parts_are_found_however_they_are_nested(cancer):
    X, _, y, _ = cancer
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(TunedThresholdClassifierCV(inner), {"estimator__logisticregression__C": [1.0]}, cv=2).fit(
        X, y
    )
    parts = take_apart(search, y)
    assert type(parts.final) is LogisticRegression
    assert f"{parts.prefix}C" in search.param_grid
    assert [name for name, _ in parts.steps] == ["standardscaler"]


def test_names_fit_what_is_searched_next_where_a_search_is_inside_a_pipeline(cancer):
    X, _, y, _ = cancer
    search = GridSearchCV(scaled_logistic(), {"logisticregression__C": [0.5, 2.0]}, cv=2)
    parts = take_apart(make_pipeline(SimpleImputer(), search).fit(X, y), y)
    assert type(parts.final) is LogisticRegression
    again = parts.unfitted
    assert [type(step) for _, step in again.steps[:-1]] == [SimpleImputer]
    assert again.get_params()[f"{parts.prefix}C"] in (0.5, 2.0)
    again.set_params(**{f"{parts.prefix}C": 3.0}).fit(X, y)


def test_a_search_without_a_table_of_results_is_looked_into(cancer):
    X, X_test, y, y_test = cancer
    search = GridSearchCV(scaled_logistic(), {"logisticregression__C": [0.5, 2.0]}, cv=2).fit(X, y)
    del search.cv_results_  # Optuna's search has none
    parts = take_apart(search, y)
    assert type(parts.final) is LogisticRegression
    assert parts.prefix == "logisticregression__"
    found = diagnose(search, X, y, X_test, y_test, fast=True)
    edge = next(one for one in found.outcomes if one.check.code == "edge")
    assert (edge.state, "no cv_results_" in edge.text) == ("not applicable", True)


class Breaks(Check):
    code, title, question, cause = "breaks", "It breaks", "Does it break?", "my own"

    def look(self, seen):
        raise KeyError("nothing there")


class Never(Breaks):
    code = "never"

    def look(self, seen):
        raise NotApplicable("never asked")


def test_own_checks_ignored_checks_and_crashes(cancer, capsys):
    X, X_test, y, y_test = cancer
    model = scaled_logistic().fit(X, y)
    found = diagnose(model, X, y, X_test, y_test, checks=[Breaks(), Never()], ignore=["gap"], fast=True, verbose=1)
    states = {one.check.code: (one.state, one.text) for one in found.outcomes}
    assert states["breaks"] == ("could not run", "KeyError: 'nothing there'")
    assert states["never"] == ("not applicable", "never asked")
    assert states["gap"][0] == "ignored"
    assert "gap: ignored" in capsys.readouterr().err


def test_wrong_arguments_say_what_to_do(cancer):
    X, X_test, y, _ = cancer
    model = scaled_logistic().fit(X, y)
    with pytest.raises(ValueError, match=r"\['gaps'\], which are not codes"):
        diagnose(model, X, y, ignore=["gaps"])
    with pytest.raises(ValueError, match=r"expected a list of codes, such as \['gap'\]"):
        diagnose(model, X, y, ignore="gap")
    with pytest.raises(TypeError, match="Make an object of the class"):
        diagnose(model, X, y, checks=[Breaks])
    with pytest.raises(ValueError, match="X_test is given without y_test"):
        diagnose(model, X, y, X_test)
    with pytest.raises(TypeError, match="it has no predict"):
        diagnose(StandardScaler(), X, y)


def test_what_cannot_be_diagnosed_is_refused_before_any_check(cancer):
    X, X_test, y, y_test = cancer
    model = scaled_logistic().fit(X, y)
    names = np.array(["benign", "malignant"])
    with pytest.raises(NotFittedError, match="call its fit first"):
        diagnose(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match=r"cannot predict samples of X_train, of shape \(5,\)"):
        diagnose(model, X[:, :5], y)
    with pytest.raises(ValueError, match=r"shape \(30,\), those of X_test \(5,\)"):
        diagnose(model, X, y, X_test[:, :5], y_test)
    with pytest.raises(ValueError, match="X_train has 426 samples, but y_train has 3"):
        diagnose(model, X, y[:3])
    with pytest.raises(ValueError, match="but groups_test has 1"):
        diagnose(model, X, y, X_test, y_test, groups_test=[0])
    with pytest.raises(ValueError, match=r"X_test: Found array with 0 sample\(s\)"):
        diagnose(model, X, y, X_test[:0], y_test[:0])
    with pytest.raises(ValueError, match="y_test contains NaN"):
        diagnose(model, X, y, X_test, np.where(np.arange(len(y_test)) == 0, np.nan, y_test))
    with pytest.raises(ValueError, match="expected labels of one kind"):
        diagnose(model, X, y, X_test, names[y_test])
    with pytest.raises(
        ValueError, match=r"labels \['benign', 'malignant'\], but the estimator was trained on \[0, 1\]"
    ):
        diagnose(model, X, names[y])
    with pytest.raises(ValueError, match="nothing to tell apart"):
        diagnose(model, X[y == 1], y[y == 1])
    with pytest.raises(ValueError, match="Seed must be"):
        diagnose(model, X, y, random_state=-1)


def test_string_labels_one_class_and_missing_values_end_in_the_right_state(cancer):
    X, X_test, y, y_test = cancer
    names = np.array(["benign", "malignant"])
    model = scaled_logistic().fit(X, names[y])
    assert diagnose(model, X, names[y], X_test, names[y_test], fast=True, random_state=None).causes == []
    only = y_test == 1
    found = diagnose(model, X, names[y], X_test[only], names[y_test[only]], fast=True)
    assert "label_shift" in [finding.code for finding in found.findings]  # all of it is predicted right already
    assert found.causes == []
    assert failures(found) == {}
    holes = X_test.copy()
    holes[:20, 0] = np.nan
    found = diagnose(model, X, names[y], holes, names[y_test], fast=True)
    assert [finding.code for finding in found.causes] == ["non_finite"]
    assert failures(found) == {}


def test_nothing_is_changed_and_nothing_heavy_imported(cancer):
    X, X_test, y, y_test = cancer
    before = X.copy(), y.copy()
    diagnose(scaled_logistic().fit(X, y), X, y, X_test, y_test, fast=True)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    code = (
        "import sys, numpy as np; from sklearn.linear_model import LogisticRegression; from skcnn import diagnose;"
        "X = np.random.default_rng(0).normal(size=(100, 3)); y = (X[:, 0] > 0).astype(int);"
        "print(diagnose(LogisticRegression().fit(X, y), X, y, fast=True));"
        "print([name for name in ('keras', 'tensorflow', 'matplotlib') if name in sys.modules])"
    )
    assert printed_by(code)[-1] == "[]"


# Result -----------------------------------------------------------------------------------------------------------


def test_causes_are_ranked_and_consequences_follow_their_cause(cancer, diagnosis):
    assert diagnosis.causes[0].code == "class_shares"
    codes = {finding.code for finding in diagnosis.causes}
    for finding in diagnosis.findings[len(diagnosis.causes) + len(diagnosis.notes) :]:
        assert finding.explained_by in codes
    costs = [abs(finding.effect.value) for finding in diagnosis.causes]
    assert costs == sorted(costs, reverse=True)
    X, X_test, y, y_test = cancer
    scaled = diagnose(scaled_logistic().fit(X, y), X, y, 5 * X_test, y_test, fast=True)
    assert [finding.code for finding in scaled.causes] == ["test_scale"]
    assert "covariate_shift" in [finding.code for finding in scaled.consequences("test_scale")]


def test_text_frame_and_repr_agree(diagnosis):
    text, frame = str(diagnosis), diagnosis.to_frame()
    assert "1. A rare class is missed (class_shares, imbalance, severity high)" in text
    assert re.search(r"effect on the test score: \+0\.\d+ \[\+0\.\d+, \+0\.\d+\]", text)
    assert re.search(r"recall of class eight: 0(\.\d+)? \[0\.?\d*, 0\.\d+\], n = \d+", text)
    assert "have now been looked at" in text
    assert frame["code"].iloc[0] == "class_shares"
    assert frame["kind"].iloc[0] == "cause"
    assert (frame["state"] == "finding").sum() == len(diagnosis.findings)
    assert "'class_shares'" in repr(diagnosis)
    assert re.search(r"\d+ checks: \d+ findings, \d+ passed", diagnosis.counts)


class Page(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_escaped_and_needs_nothing_from_outside(rare, tmp_path):
    pipe, X, y, X_test, y_test = rare
    evil = "<script>alert('x')</script>"
    y, y_test = (np.where(labels == "eight", evil, labels) for labels in (y, y_test))
    pipe = skcnn.CNNClassifier(Plain((4,)), epochs=15, standardize="channel", random_state=0).fit(X, y)
    found = diagnose(pipe, X, y, X_test, y_test, fast=True)
    html = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    parser = Page()
    parser.feed(html)
    assert parser.open == []
    tags = [tag for tag, _ in parser.seen]
    assert "svg" in tags
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not [value for _, attributes in parser.seen for name, value in attributes.items() if name in ("src", "href")]
    assert "url(" not in html
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html
    assert found._repr_html_() in html


def test_plot_draws_each_chart(diagnosis):
    figure = diagnosis.plot()
    charts = [diagnosis.budget, *(finding.chart for finding in diagnosis.findings if finding.chart)]
    assert [axes.get_title() for axes in figure.axes] == list(dict.fromkeys(chart.title for chart in charts))
    bars = [bar.get_height() for bar in figure.axes[0].containers[0]]
    assert bars == pytest.approx(diagnosis.budget.series["balanced accuracy"])


# The next grid ----------------------------------------------------------------------------------------------------


def test_suggestion_goes_straight_into_a_search_and_cures(rare, diagnosis):
    _, X, y, X_test, y_test = rare
    suggestion = diagnosis.suggest()
    assert suggestion.param_grid["cnn__priors"] == [None, [0.5, 0.5]]
    assert suggestion.reasons["cnn__priors"] == ["class_shares"]
    assert suggestion.scoring == "balanced_accuracy"
    search = GridSearchCV(suggestion.estimator, suggestion.param_grid, scoring=suggestion.scoring, cv=2).fit(X, y)
    from sklearn.metrics import balanced_accuracy_score

    before = balanced_accuracy_score(y_test, rare[0].predict(X_test))
    assert balanced_accuracy_score(y_test, search.predict(X_test)) > before + 0.05
    assert diagnosis.suggest(max_candidates=1).n_candidates == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_suggestion_adds_a_scaler_and_keeps_names_right(cancer):
    X, X_test, y, y_test = cancer
    mlp = MLPClassifier((16,), max_iter=80, random_state=0)
    bare = mlp.fit(1000 * X, y)
    suggestion = diagnose(bare, 1000 * X, y, 1000 * X_test, y_test, fast=True).suggest()
    assert [(step.name, step.finding) for step in suggestion.steps] == [("scale", "input_scale")]
    assert [name for name, _ in suggestion.estimator.steps] == ["scale", "mlpclassifier"]
    assert set(suggestion.param_grid) <= set(suggestion.estimator.get_params())
    search = GridSearchCV(suggestion.estimator, suggestion.param_grid, cv=2)
    assert search.fit(1000 * X, y).score(1000 * X_test, y_test) > 0.9


def test_nothing_is_suggested_without_causes(cancer):
    X, X_test, y, y_test = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    suggestion = diagnose(model, X, y, X_test, y_test, fast=True).suggest()
    assert suggestion.param_grid == {}
    assert str(suggestion) == "Nothing to search: no finding."


def test_a_network_behind_a_simple_model_is_told_so_and_gets_a_grid(rng):
    X = rng.normal(size=(800, 50))
    y = (X[:, :2].sum(axis=1) > 0).astype(int)
    model = MLPClassifier((50,), max_iter=500, random_state=0).fit(X[:300], y[:300])
    found = diagnose(model, X[:300], y[:300], X[300:], y[300:], fast=True)
    assert not found.causes
    assert re.match("No cause found. But on the test samples .* is [+]0", found.summary)
    assert found.suggest().param_grid
    assert "Next grid:" in str(found)
    assert "The next grid" in found.to_html()

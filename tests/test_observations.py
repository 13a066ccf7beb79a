"""What checks look at: scores, effects of removing a cause, refits, and causes removed one after another."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcnn._statistics import Estimate
from skcnn.diagnosis import Check, NotApplicable
from skcnn.diagnosis._diagnose import examine
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._report import Diagnosis


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return train_test_split(X, y, random_state=0, stratify=y)


@pytest.fixture
def seen(iris):
    X, X_test, y, y_test = iris
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    return Observations(model, X, y, X_test, y_test, fast=True)


# Scores and effects -----------------------------------------------------------------------------------------------


def test_quality_and_weight_give_the_score(iris):
    X, X_test, y, y_test = iris
    seen = Observations(LogisticRegression(max_iter=1000).fit(X, y), X, y, X_test, y_test, fast=True)
    assert seen.score_name == "accuracy"
    assert seen.test.weight @ seen.test.quality == pytest.approx(seen.test.score.value)
    rare = np.r_[np.flatnonzero(y != 2), np.flatnonzero(y == 2)[:6]]
    seen = Observations(LogisticRegression(max_iter=1000).fit(X[rare], y[rare]), X[rare], y[rare], X_test, y_test)
    assert (seen.score_name, seen.skewed) == ("balanced accuracy", True)
    expected = balanced_accuracy_score(y_test, seen.estimator.predict(X_test))
    assert seen.test.weight @ seen.test.quality == pytest.approx(expected)
    assert seen.test.score.value == pytest.approx(expected)


def test_quality_of_a_regression_is_its_part_of_r2(iris):
    X, X_test, _, _ = iris
    y, y_test = X[:, 3] + X[:, 0] ** 2, X_test[:, 3] + X_test[:, 0] ** 2
    seen = Observations(Ridge().fit(X, y), X, y, X_test, y_test, fast=True)
    against_training_mean = 1 - np.sum((y_test - seen.test.predicted) ** 2) / np.sum((y_test - y.mean()) ** 2)
    assert seen.test.quality.mean() == pytest.approx(against_training_mean)
    assert seen.test.score.value == pytest.approx(r2_score(y_test, seen.test.predicted), abs=0.02)


def test_quality_of_several_labels_is_their_share():
    X, Y = make_multilabel_classification(200, 6, n_classes=4, random_state=0)
    seen = Observations(
        DecisionTreeClassifier(random_state=0).fit(X[:100], Y[:100]), X[:100], Y[:100], X[100:], Y[100:]
    )
    assert seen.score_name == "label accuracy"
    assert seen.test.score.value == pytest.approx(np.mean(seen.test.predicted == Y[100:]))
    assert seen.both.reference_test.shape == Y[100:].shape  # simple models know several labels


def test_gain_is_what_putting_right_gains(seen):
    broken = seen.changed(X_test=seen.test.X * np.array([1, 1, 3, 1]))
    gain = broken.gain(seen)
    assert gain.value == pytest.approx(seen.test.score.value - broken.test.score.value)
    assert gain.sign == 1
    assert seen.changed(keep=np.arange(5)).test.score.n == 5
    assert seen.test.score.n == 38  # not changed itself


def test_without_compares_within_classes():
    """Copies that are predicted perfectly raise the score; a class that is hard to predict does not count as theirs."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, train_size=150, test_size=300, random_state=0, stratify=y)
    copies = np.r_[X_test, X[:60]], np.r_[y_test, y[:60]]
    seen = Observations(DecisionTreeClassifier(random_state=0).fit(X, y), X, y, *copies, fast=True)
    effect = seen.without(np.arange(360) >= 300)
    honest = np.mean(seen.test.right[:300])
    assert effect.value == pytest.approx(honest - seen.test.score.value, abs=0.02)
    assert effect.sign == -1
    of_one_class = copies[1] == 8
    with pytest.raises(NotApplicable, match="0 test samples are concerned, 0 are comparable"):
        seen.without(of_one_class)


def test_misfit_sees_labels_that_do_not_fit_and_no_other_shares(iris):
    X, X_test, y, y_test = iris
    model = LogisticRegression(max_iter=1000).fit(X, y)
    fits = Observations(model, X, y, X_test, y_test, fast=True)
    assert fits.both.misfit.low < 0 < fits.both.misfit.high
    swapped = fits.changed(y_test=np.array([0, 2, 1])[y_test])
    assert swapped.both.misfit.low > 0.2
    others = fits.changed(keep=np.r_[np.flatnonzero(y_test == 1), np.flatnonzero(y_test == 0)[:3]])
    assert others.both.misfit.low < 0 < others.both.misfit.high


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_of_a_part_are_contradicted_in_test_and_muddled_in_training(seed):
    rng = np.random.default_rng(seed)
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, train_size=400, test_size=400, random_state=seed)
    wrong = np.where(np.arange(400) < 40, (y_test + rng.integers(1, 10, 400)) % 10, y_test)
    model = ExtraTreesClassifier(10, random_state=0).fit(X, y)
    sound = Observations(model, X, y, X_test, y_test, fast=True)
    assert sound.both.contradicted.low < 0 < sound.both.contradicted.high
    assert sound.both.muddled.low < 0 < sound.both.muddled.high
    assert sound.changed(y_test=wrong).both.contradicted.value == pytest.approx(0.1, abs=0.04)
    assert sound.changed(y_test=wrong).both.contradicted.low > 0
    noisy = np.where(np.arange(400) < 120, rng.permutation(y), y)
    muddled = Observations(model, X, noisy, X_test, y_test, fast=True).both.muddled
    assert muddled.low > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_moved_is_small_by_chance_and_large_for_a_shift(seed, rng):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, train_size=300, test_size=300, random_state=seed)
    seen = Observations(ExtraTreesClassifier(10, random_state=0).fit(X, y), X, y, X_test, y_test, fast=True)
    assert seen.both.moved < 3
    noisy = seen.changed(X_test=np.clip(X_test + rng.normal(scale=0.15, size=X_test.shape), 0, 1))
    assert noisy.both.moved > 6


def test_moved_takes_groups_as_a_whole(rng):
    """Subjects differ from each other; that the test samples come from other subjects is no shift."""
    group = np.repeat(np.arange(20), 20)
    X = rng.normal(size=(20, 8))[group] + 0.3 * rng.normal(size=(400, 8))
    y = np.arange(400) % 2
    test = group >= 14
    model = LogisticRegression().fit(X[~test], y[~test])
    groups = {"groups_train": group[~test], "groups_test": group[test]}
    given = Observations(model, X[~test], y[~test], X[test], y[test], fast=True, **groups)
    unknown = Observations(model, X[~test], y[~test], X[test], y[test], fast=True)
    assert given.both.moved < 4 < unknown.both.moved


def test_samples_are_predicted_within_the_test_set_by_those_of_other_groups(rng):
    group = np.tile(np.arange(60), 8)
    X = rng.normal(size=(60, 8))[group] + 0.1 * rng.normal(size=(480, 8))
    y = rng.integers(0, 2, 60)[group]  # what a subject's samples look like says nothing of its label
    test = group >= 30
    model = LogisticRegression().fit(X[~test], y[~test])
    groups = {"groups_train": group[~test], "groups_test": group[test]}
    within = [
        Observations(model, X[~test], y[~test], X[test], y[test], **given).both.test_within.mean()
        for given in ({}, groups)
    ]
    assert within[0] > 0.9
    assert within[1] < 0.75


def test_folds_of_the_simple_model_keep_groups_and_spread_classes(iris):
    X, _, y, _ = iris
    model = LogisticRegression(max_iter=1000).fit(X, y)
    folds = Observations(model, X, y, fast=True).reference.folds
    counts = np.array([np.bincount(y[folds == fold], minlength=3) for fold in range(3)])
    assert counts.max() - counts.min() <= 3
    groups = np.arange(len(y)) % 10
    folds = Observations(model, X, y, fast=True, groups_train=groups).reference.folds
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(10))
    assert len(np.unique(folds)) == 3


# Fits with other parameters ---------------------------------------------------------------------------------------


def test_refits_are_bounded_kept_and_never_touch_the_estimator(iris):
    X, X_test, y, y_test = iris
    stump = DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, y)
    seen = Observations(stump, X, y, X_test, y_test, refits=2)
    deep = seen.refitted(max_depth=None)
    assert seen.gain(deep).sign == 1
    assert (stump.max_depth, stump.get_depth()) == (1, 1)
    assert deep.components.params["max_depth"] is None
    assert seen.refitted(max_depth=None).estimator is deep.estimator
    assert seen.refits.left == 1
    assert seen.refitted(no_such_parameter=1) is None
    assert seen.refits.left == 1
    few = seen.refitted(rows=np.flatnonzero(y < 2), max_depth=None)
    assert set(few.test.predicted) <= {0, 1}
    assert seen.refitted(max_depth=3) is None  # no fit is left
    assert list(seen.refits.seconds) == ["max_depth=None"]


def test_inputs_are_those_of_the_steps_that_were_fitted_again(iris):
    X, X_test, y, y_test = iris
    seen = Observations(LogisticRegression(max_iter=1000).fit(X, y), X, y, X_test, y_test, refits=1)
    assert seen.train.inputs.std() > 1.5
    np.testing.assert_allclose(seen.refitted(before=StandardScaler()).train.inputs.std(axis=0), 1)


def test_a_refit_that_fails_is_no_refit(iris):
    X, X_test, y, y_test = iris
    seen = Observations(DecisionTreeClassifier().fit(X, y), X, y, X_test, y_test, refits=3)
    assert seen.refitted(max_depth=-1) is None


# One cause after another ------------------------------------------------------------------------------------------


class Scaled(Check):
    code, title, question, cause = "scaled", "Scaled", "Is it scaled?", "toy"

    def look(self, seen):
        if seen.test.X.max() < 20:
            return "No."
        mended = seen.changed(X_test=seen.test.X / 3)
        return self.finding("Yes.", effect=seen.gain(mended), mended=mended)


class Bad(Check):
    code, title, question, cause = "bad", "Bad", "Is it bad?", "toy"

    def look(self, seen):
        score = seen.test.score.value
        return self.finding(f"Score {score:.2f}.") if score < 0.9 else f"Score {score:.2f}."


class Odd(Check):
    code, title, question, cause = "odd", "Odd", "Is it odd?", "toy"

    def look(self, seen):
        return self.finding("It is.", measured="Nobody can tell what it costs.")


class Leak(Check):
    code, title, question, cause, sign = "leak", "Leak", "Does it leak?", "toy", -1

    def look(self, seen):
        return self.finding("It does.", effect=Estimate(-0.2, -0.3, -0.1))


class Rises(Leak):
    code, sign = "rises", 1


def test_consequences_vanish_with_their_cause(seen):
    broken = seen.changed(X_test=3 * seen.test.X)
    found = Diagnosis(broken, examine(broken, [Scaled(), Bad(), Odd()], ()))
    assert [one.code for one in found.causes] == ["scaled"]
    assert [(one.code, one.explained_by) for one in found.consequences("scaled")] == [("bad", "scaled")]
    assert [one.code for one in found.notes] == ["odd"]
    assert [one.code for one in found.findings] == ["scaled", "odd", "bad"]
    assert "It explains: Bad (bad)." in str(found)
    assert "- Odd (odd): It is. Nobody can tell what it costs." in str(found)
    assert f"accuracy {broken.test.score.value:.2f}; about {seen.test.score.value:.2f} within reach: scaled +" in str(
        found
    )
    assert all(one.mended is None for one in found.findings)
    alone = Diagnosis(broken, examine(broken, [Bad()], ()))
    assert (alone.causes, [one.code for one in alone.notes]) == ([], ["bad"])


def test_an_effect_must_have_the_sign_that_its_cause_predicts(seen):
    found = Diagnosis(seen, examine(seen, [Leak(), Rises()], ()))
    assert [(one.code, one.severity) for one in found.causes] == [("leak", 3)]
    assert [(one.code, one.severity) for one in found.notes] == [("rises", 1)]
    assert f"honestly about {seen.test.score.value - 0.2:.2f}: leak -0.20 [-0.30, -0.10]" in found.summary
    frame = found.to_frame().set_index("code")
    assert frame.loc["leak", ["kind", "effect", "low", "high"]].tolist() == ["cause", -0.2, -0.3, -0.1]
    assert found.budget.series["accuracy"] == pytest.approx([seen.test.score.value, seen.test.score.value - 0.2])

"""scikit-learn's callbacks on a network: what they hear and see, and how they stop it."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from common import USERS_ENVIRONMENT, classifier, run_python, same_weights
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler, Pipeline

callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")


class Spy:
    """Notes what it is told of tasks, of all of them if it is set on an estimator around."""

    max_propagation_depth = None

    def __init__(self, stop_after=None, interrupt_in=None):
        self.begun, self.ended, self.open = [], [], 0
        self.stop_after = stop_after
        self.interrupt_in = interrupt_in

    def setup(self, estimator, context):
        self.open += 1

    def teardown(self, estimator, context):
        self.open -= 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.estimator_name, context.task_name, context.task_id, context.max_subtasks))
        if context.task_name == "epoch" and context.task_id == self.interrupt_in:
            raise KeyboardInterrupt
        return context.task_name == "epoch" and context.task_id == self.stop_after

    def epochs(self):
        return [task_id for _, name, task_id, _ in self.ended if name == "epoch"]


class Look:
    """Keeps what it is shown at the beginning and end of each epoch."""

    def __init__(self):
        self.begun, self.ended = [], []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.begun.append(fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.ended.append((X, y, metadata, fitted_estimator))


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:120], y[:120] % 3


@pytest.fixture(scope="module")
def plain_fit(few):
    return classifier().fit(*few)


def test_each_epoch_is_a_task_and_every_task_that_begins_ends(few, plain_fit):
    spy = Spy()
    model = classifier().set_callbacks(spy).fit(*few)
    assert spy.begun == [("CNNClassifier", "fit", 0, 3), *(("CNNClassifier", "epoch", i, 0) for i in range(3))]
    assert sorted(spy.ended) == sorted(spy.begun)
    assert spy.open == 0
    assert same_weights(model, plain_fit)
    assert model.history_ == plain_fit.history_
    assert not any(name.startswith(("_callback", "_parent")) for name in vars(model))


def test_an_early_end_is_reported(few):
    spy = Spy()
    model = classifier(epochs=50, early_stopping=True, n_iter_no_change=1, tol=10.0).set_callbacks(spy).fit(*few)
    assert model.n_iter_ == 2
    assert spy.epochs() == [0, 1]
    assert sorted(spy.ended) == sorted(spy.begun)


def test_a_callback_stops_training(few):
    model = classifier(epochs=50).set_callbacks(Spy(stop_after=1)).fit(*few)
    assert model.n_iter_ == 2
    assert same_weights(model, classifier(epochs=2).fit(*few))


def test_callbacks_see_the_estimator_as_if_training_had_stopped(few, plain_fit):
    X, y = few
    look = Look()
    classifier().set_callbacks(look).fit(X, y)
    assert len(look.begun) == 3
    assert len(look.ended) == 4  # the last is the fit itself
    for epoch, (seen_X, seen_y, metadata, seen) in enumerate(look.ended[:3], 1):
        np.testing.assert_array_equal(seen_X, X)
        np.testing.assert_array_equal(seen_y, y)
        assert metadata is None
        assert seen.n_iter_ == epoch
        np.testing.assert_array_equal(seen.predict_proba(X), classifier(epochs=epoch).fit(X, y).predict_proba(X))
    for before, (_, _, _, after) in zip(look.begun[1:], look.ended, strict=False):
        assert same_weights(before, after)
    assert same_weights(look.ended[-1][-1], plain_fit)
    assert pickle.loads(pickle.dumps(look.ended[0][-1])).score(X, y) == look.ended[0][-1].score(X, y)


def test_callbacks_see_the_samples_that_are_trained_on_as_they_were_given(few):
    X, y = few
    X = pd.DataFrame(X.reshape(len(X), -1)).rename(columns="x{}".format)
    labels, weight = np.array(["a", "b", "c"])[y], np.arange(len(y)) + 1.0
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = classifier(input_shape=(8, 8, 1), early_stopping=True, validation_fraction=0.25, scoring="accuracy")
    look = Look()
    model.set_callbacks(look, monitor).fit(X, labels, sample_weight=weight)  # a warning about names would be an error
    seen_X, seen_y, metadata, _ = look.ended[0]
    assert len(seen_X) == 90
    rows = seen_X.index
    pd.testing.assert_frame_equal(seen_X, X.loc[rows])
    np.testing.assert_array_equal(seen_y, labels[rows])
    np.testing.assert_array_equal(metadata["sample_weight"], weight[rows])
    scores = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    expected = [seen.score(X.loc[rows], labels[rows], weight[rows]) for *_, seen in look.ended[:-1]]
    assert [row["accuracy"] for row in scores] == expected
    assert len(set(expected)) > 1


def test_scoring_monitor_scores_validation_data_by_a_function(few):
    X, y = few
    monitor = callback.ScoringMonitor(scoring=lambda est, X_train, y_train: {"valid": est.score(X[80:], y[80:])})
    model = classifier().set_callbacks(monitor).fit(X[:80], y[:80])
    scores = [row["valid"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == model.score(X[80:], y[80:])


def test_a_refit_on_all_samples_is_a_separate_task(few):
    spy = Spy()
    model = classifier(epochs=4, early_stopping=True, n_iter_no_change=2, refit_full=True).set_callbacks(spy).fit(*few)
    trainings = [task for task in spy.begun if task[1].startswith("train")]
    assert spy.begun[0] == ("CNNClassifier", "fit", 0, 2)
    assert [task[1:] for task in trainings] == [("train", 0, 4), ("train-on-all-samples", 1, model.best_iter_)]
    assert spy.epochs() == [*range(len(model.history_["loss"])), *range(model.best_iter_)]
    assert sorted(spy.ended) == sorted(spy.begun)


def test_an_interrupt_leaves_a_fitted_estimator_and_ends_the_callbacks(few):
    spy = Spy(interrupt_in=1)
    model = classifier(epochs=50).set_callbacks(spy)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*few)
    assert spy.open == 0
    assert same_weights(model, classifier(epochs=2).fit(*few))


def test_warm_start_tells_of_the_new_epochs_and_partial_fit_of_none(few):
    spy = Spy()
    model = classifier(warm_start=True).set_callbacks(spy).fit(*few).fit(*few)
    assert spy.epochs() == [0, 1, 2] * 2
    model.partial_fit(*few)
    assert len(spy.epochs()) == 6


class TestInASearch:
    GRID = {"cnnclassifier__l2": [0.0, 0.1]}

    @pytest.fixture(scope="class")
    @classmethod
    def quiet(cls, few):
        return cls.search().fit(*few)

    @classmethod
    def search(cls, **params):
        steps = make_pipeline(NDTransformer(StandardScaler(), per="channel"), classifier(epochs=2))
        return GridSearchCV(steps, cls.GRID, cv=2, **params)

    @staticmethod
    def assert_same(search, quiet):
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], quiet.cv_results_["mean_test_score"])
        assert same_weights(search.best_estimator_[-1], quiet.best_estimator_[-1])

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_each_fold_has_its_epochs(self, few, quiet, n_jobs):
        spy = Spy()
        with joblib.parallel_config("threading", n_jobs=n_jobs):
            search = self.search().set_callbacks(spy).fit(*few)
        assert sorted(spy.epochs()) == [0] * 5 + [1] * 5
        assert {task[0] for task in spy.ended} == {"GridSearchCV", "Pipeline", "NDTransformer", "CNNClassifier"}
        assert sorted(spy.ended) == sorted(spy.begun)
        self.assert_same(search, quiet)

    def test_progress_bars_of_processes_are_shown(self, few, quiet, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "150")
        with joblib.parallel_config("loky", n_jobs=2):
            search = self.search().set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(*few)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("GridSearchCV - fit ")
        assert sum("| CNNClassifier - fit" in line for line in lines) == 5
        assert sum("| Pipeline - fit" in line for line in lines) == 5
        assert all("100%" in line for line in lines)
        self.assert_same(search, quiet)

    def test_pipeline_with_samplers_hands_callbacks_on(self, few, recwarn):
        steps = [("balance", NDSampler(RandomOverSampler(random_state=0))), ("cnn", classifier(epochs=2))]
        spy = Spy()
        search = GridSearchCV(Pipeline(steps), {"cnn__l2": [0.0, 0.1]}, cv=2).set_callbacks(spy).fit(*few)
        assert len(spy.epochs()) == 10
        assert sorted(spy.ended) == sorted(spy.begun)
        assert spy.open == 0
        quiet = GridSearchCV(Pipeline(steps), {"cnn__l2": [0.0, 0.1]}, cv=2).fit(*few)
        assert same_weights(search.best_estimator_[-1], quiet.best_estimator_[-1])
        assert not recwarn.list

    def test_pipeline_without_a_network_fits_as_ever(self, few):
        X = few[0].reshape(120, -1)
        for last in (StandardScaler(), "passthrough"):
            pipe = Pipeline([("scale", StandardScaler()), ("last", last)]).set_callbacks(Spy())
            assert pipe.fit(X).transform(X).shape == X.shape


def test_memory_goes_with_progress_bars_but_not_with_callbacks_that_look(few, tmp_path, capsys):
    model = classifier(memory=tmp_path).fit(*few)
    longer = clone(model).set_params(epochs=4, verbose=1)
    longer.set_callbacks(Spy()).fit(*few)
    assert "Fit 4 epochs on" in capsys.readouterr().out
    longer.set_callbacks(callback.ProgressBar()).fit(*few)
    output = capsys.readouterr().out
    assert "Fit 1 epoch after 3 trained earlier" in output
    assert "100%" in output


def test_greetings_of_tensorflow_do_not_tear_the_bars():
    code = """
import numpy as np
from sklearn.callback import ProgressBar
from skcnn import CNNClassifier
CNNClassifier(epochs=1, random_state=0).set_callbacks(ProgressBar()).fit(np.zeros((4, 6)), [0, 1, 0, 1])
"""
    job = run_python("-c", code, env=USERS_ENVIRONMENT)
    assert "CNNClassifier - fit" in job.stdout
    assert job.stderr == ""

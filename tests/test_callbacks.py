"""scikit-learn's and Keras' callbacks on a network: what they hear, see and may change."""

import copy
import csv
import pickle

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler, Pipeline

callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")


def cnn(**params):
    return CNNClassifier(Plain(filters=(4,)), random_state=0, **{"epochs": 3, **params})


def assert_same_weights(a, b):
    for x, y in zip(a._weights, b._weights, strict=True):
        np.testing.assert_array_equal(x, y)


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
    return cnn().fit(*few)


# scikit-learn's --------------------------------------------------------------------------------------------------


def test_each_epoch_is_a_task_and_every_task_that_begins_ends(few, plain_fit):
    spy = Spy()
    model = cnn().set_callbacks(spy).fit(*few)
    assert spy.begun == [("CNNClassifier", "fit", 0, 3), *(("CNNClassifier", "epoch", i, 0) for i in range(3))]
    assert sorted(spy.ended) == sorted(spy.begun)
    assert spy.open == 0
    assert_same_weights(model, plain_fit)
    assert model.history_ == plain_fit.history_
    assert not any(name.startswith(("_callback", "_parent")) for name in vars(model))


def test_an_early_end_is_reported(few):
    spy = Spy()
    model = cnn(epochs=50, early_stopping=True, n_iter_no_change=1, tol=10.0).set_callbacks(spy).fit(*few)
    assert model.n_iter_ == 2
    assert spy.epochs() == [0, 1]
    assert sorted(spy.ended) == sorted(spy.begun)


def test_a_callback_stops_training(few):
    model = cnn(epochs=50).set_callbacks(Spy(stop_after=1)).fit(*few)
    assert model.n_iter_ == 2
    assert_same_weights(model, cnn(epochs=2).fit(*few))


def test_callbacks_see_the_estimator_as_if_training_had_stopped(few, plain_fit):
    X, y = few
    look = Look()
    cnn().set_callbacks(look).fit(X, y)
    assert len(look.begun) == 3
    assert len(look.ended) == 4  # the last is the fit itself
    for epoch, (seen_X, seen_y, metadata, seen) in enumerate(look.ended[:3], 1):
        np.testing.assert_array_equal(seen_X, X)
        np.testing.assert_array_equal(seen_y, y)
        assert metadata is None
        assert seen.n_iter_ == epoch
        np.testing.assert_array_equal(seen.predict_proba(X), cnn(epochs=epoch).fit(X, y).predict_proba(X))
    for before, (_, _, _, after) in zip(look.begun[1:], look.ended, strict=False):
        assert_same_weights(before, after)
    assert_same_weights(look.ended[-1][-1], plain_fit)
    assert pickle.loads(pickle.dumps(look.ended[0][-1])).score(X, y) == look.ended[0][-1].score(X, y)


def test_callbacks_see_the_rows_that_are_trained_on_as_they_were_given(few):
    X, y = few
    X = pd.DataFrame(X.reshape(len(X), -1)).rename(columns="x{}".format)
    labels, weight = np.array(["a", "b", "c"])[y], np.arange(len(y)) + 1.0
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = cnn(input_shape=(8, 8, 1), early_stopping=True, validation_fraction=0.25, scoring="accuracy")
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
    model = cnn().set_callbacks(monitor).fit(X[:80], y[:80])
    scores = [row["valid"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert scores[-1] == model.score(X[80:], y[80:])


def test_training_again_on_all_rows_is_a_task_of_its_own(few):
    spy = Spy()
    model = cnn(epochs=4, early_stopping=True, n_iter_no_change=2, refit_full=True).set_callbacks(spy).fit(*few)
    trainings = [task for task in spy.begun if task[1].startswith("train")]
    assert spy.begun[0] == ("CNNClassifier", "fit", 0, 2)
    assert [task[1:] for task in trainings] == [("train", 0, 4), ("train-on-all-rows", 1, model.best_iter_)]
    assert spy.epochs() == [*range(len(model.history_["loss"])), *range(model.best_iter_)]
    assert sorted(spy.ended) == sorted(spy.begun)


def test_an_interrupt_leaves_a_fitted_estimator_and_ends_the_callbacks(few):
    spy = Spy(interrupt_in=1)
    model = cnn(epochs=50).set_callbacks(spy)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*few)
    assert spy.open == 0
    assert_same_weights(model, cnn(epochs=2).fit(*few))


def test_warm_start_tells_of_the_new_epochs_and_partial_fit_of_none(few):
    spy = Spy()
    model = cnn(warm_start=True).set_callbacks(spy).fit(*few).fit(*few)
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
        steps = make_pipeline(NDTransformer(StandardScaler(), per="channel"), cnn(epochs=2))
        return GridSearchCV(steps, cls.GRID, cv=2, **params)

    @staticmethod
    def assert_same(search, quiet):
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], quiet.cv_results_["mean_test_score"])
        assert_same_weights(search.best_estimator_[-1], quiet.best_estimator_[-1])

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
        steps = [("balance", NDSampler(RandomOverSampler(random_state=0))), ("cnn", cnn(epochs=2))]
        spy = Spy()
        search = GridSearchCV(Pipeline(steps), {"cnn__l2": [0.0, 0.1]}, cv=2).set_callbacks(spy).fit(*few)
        assert len(spy.epochs()) == 10
        assert sorted(spy.ended) == sorted(spy.begun)
        assert spy.open == 0
        quiet = GridSearchCV(Pipeline(steps), {"cnn__l2": [0.0, 0.1]}, cv=2).fit(*few)
        assert_same_weights(search.best_estimator_[-1], quiet.best_estimator_[-1])
        assert not recwarn.list

    def test_pipeline_without_a_network_fits_as_ever(self, few):
        X = few[0].reshape(120, -1)
        for last in (StandardScaler(), "passthrough"):
            pipe = Pipeline([("scale", StandardScaler()), ("last", last)]).set_callbacks(Spy())
            assert pipe.fit(X).transform(X).shape == X.shape


def test_memory_goes_with_progress_bars_but_not_with_callbacks_that_look(few, tmp_path, capsys):
    model = cnn(memory=tmp_path).fit(*few)
    longer = clone(model).set_params(epochs=4, verbose=1)
    longer.set_callbacks(Spy()).fit(*few)
    assert "Fit 4 epochs on" in capsys.readouterr().out
    longer.set_callbacks(callback.ProgressBar()).fit(*few)
    output = capsys.readouterr().out
    assert "Fit 1 epochs after 3 trained earlier" in output
    assert "100%" in output
    longer.set_callbacks().set_params(epochs=5, callbacks=[keras.callbacks.History()]).fit(*few)
    assert "Fit 5 epochs on" in capsys.readouterr().out


# Keras' ----------------------------------------------------------------------------------------------------------


def test_keras_callbacks_see_logs_and_weights_and_change_nothing(few, plain_fit, tmp_path):
    X, y = few
    given = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.weights.h5"), "loss", save_weights_only=True),
        keras.callbacks.History(),
    ]
    model = cnn(callbacks=given).fit(X, y)
    assert_same_weights(model, plain_fit)
    assert model.history_ == plain_fit.history_ == model.callbacks_[-1].history
    with open(tmp_path / "log.csv", newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == model.history_["loss"]
    for epochs in (1, 3):
        kept = keras.models.load_model(tmp_path / f"{epochs}.keras").predict(X, verbose=0)
        np.testing.assert_allclose(kept, cnn(epochs=epochs).fit(X, y).decision_function(X), rtol=1e-5, atol=1e-5)
    network = model.to_keras()
    network.set_weights([np.zeros_like(weight) for weight in network.get_weights()])
    network.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_allclose(network.predict(X, verbose=0), model.decision_function(X), rtol=1e-5, atol=1e-5)
    assert [one._model for one in (*given, *model.callbacks_)] == [None] * 8
    assert pickle.loads(pickle.dumps(model)).callbacks_ == []
    assert [type(one) for one in clone(model).fit(X, y).callbacks_] == [type(one) for one in given]


def test_keras_models_of_a_regressor_predict_in_its_unit(few, tmp_path):
    X, y = few
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "net.keras"))
    model = CNNRegressor(Plain(filters=(4,)), epochs=1, standardize="channel", callbacks=[save], random_state=0)
    model.fit(X, 100.0 + y)
    kept = keras.models.load_model(tmp_path / "net.keras").predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(kept, model.predict(X), rtol=1e-5)


def test_the_learning_rate_that_a_callback_sets_counts(few):
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 1 else rate / 2)
    model = cnn(callbacks=[halve], learning_rate=0.004).fit(*few)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.004, 0.002, 0.001], rtol=1e-6)
    by_hand = cnn(epochs=1, warm_start=True)
    for rate in (0.004, 0.002, 0.001):
        by_hand.set_params(learning_rate=float(np.float32(rate))).fit(*few)
    assert_same_weights(model, by_hand)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    rates = cnn(callbacks=[plateau], learning_rate=0.004).fit(*few).history_["learning_rate"]
    np.testing.assert_allclose(rates, [0.004, 0.004, 0.002], rtol=1e-6)
    with pytest.raises(ValueError, match="but so do schedule='cosine' and warmup_epochs=0"):
        cnn(callbacks=[halve], schedule="cosine").fit(*few)


def test_training_again_on_all_rows_repeats_the_learning_rates(few):
    class Rates(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.004 / 2**epoch

    params = {"epochs": 2, "early_stopping": True, "refit_full": True, "tol": 0.0}
    model = cnn(callbacks=[Rates()], **params).fit(*few)
    assert model.best_iter_ == 2
    assert_same_weights(model, cnn(epochs=2, callbacks=[Rates()]).fit(*few))


def test_keras_early_stopping_stops_and_restores(few):
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=2, restore_best_weights=True)
    model = cnn(epochs=50, callbacks=[stop]).fit(*few)
    assert model.n_iter_ == 3
    assert model.callbacks_[0].best_epoch == 0
    assert_same_weights(model, cnn(epochs=1).fit(*few))


def test_weights_that_a_callback_sets_are_trained_on_and_kept(few):
    class Bias(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = self.model.get_weights()
            self.model.set_weights([*self.before[:-1], self.before[-1] + 100.0])

        def on_epoch_end(self, epoch, logs=None):
            self.change = self.model.get_weights()[-1] - self.before[-1]

    model = cnn(epochs=2, callbacks=[Bias()], standardize="channel").fit(*few)
    np.testing.assert_allclose(model.callbacks_[0].change, 100.0, atol=1.0)
    np.testing.assert_allclose(model._weights[-3], 200.0, atol=2.0)  # before mean and scale
    np.testing.assert_array_equal(model.to_keras().get_weights()[-1], model._weights[-3])


def test_callbacks_see_averaged_weights_and_cannot_set_them(few, tmp_path):
    X, y = few

    class Reset(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.set_weights([np.zeros_like(weight) for weight in self.model.get_weights()])

    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    look = Look()
    cnn(epochs=2, ema_momentum=0.9, callbacks=[save]).set_callbacks(look).fit(X, y)
    expected = cnn(epochs=1, ema_momentum=0.9).fit(X, y).decision_function(X)
    np.testing.assert_array_equal(look.ended[0][-1].decision_function(X), expected)
    kept = keras.models.load_model(tmp_path / "1.keras").predict(X, verbose=0)
    np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="with ema_momentum it sees their averages"):
        cnn(ema_momentum=0.9, callbacks=[Reset()]).fit(X, y)


def test_what_a_callback_adds_to_the_logs_is_monitored_and_recorded(few):
    class Own(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs |= {"loss": 7.0, "note": "text"} | ({"own": epoch} if epoch else {})

    stop = keras.callbacks.EarlyStopping("own", mode="min", patience=1)
    with pytest.warns(UserWarning, match="`own` which is not available"):
        model = cnn(epochs=9, callbacks=[Own(), stop]).fit(*few)
    np.testing.assert_array_equal(model.history_["own"], [np.nan, 1.0, 2.0])
    assert 7.0 not in model.history_["loss"]
    assert set(model.history_) == {"loss", "learning_rate", "own"}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: keras.callbacks.TerminateOnNaN(), "TerminateOnNaN, has the hook on_batch_end, .* FloatingPointError"),
        (lambda: keras.callbacks.BackupAndRestore("x"), "memory= keeps where training stands"),
        (lambda: keras.callbacks.ModelCheckpoint("a.keras", save_freq=5), "Set save_freq='epoch'"),
        (lambda: keras.callbacks.TensorBoard("x", update_freq=1), "Set update_freq='epoch'"),
        (lambda: keras.callbacks.SwapEMAWeights(), "the hook on_test_begin, .* ema_momentum="),
        (lambda: keras.callbacks.LambdaCallback(on_train_batch_end=print), "the hook on_train_batch_end, .* Use on_ep"),
    ],
)
def test_callbacks_that_act_on_batches_are_refused(few, made, message):
    with pytest.raises(ValueError, match=message):
        cnn(callbacks=[made()]).fit(*few)


def test_what_is_no_keras_callback_is_refused(few):
    with pytest.raises(TypeError, match=r"callbacks\[1\] is the class EarlyStopping; expected an instance of keras"):
        cnn(callbacks=[keras.callbacks.History(), keras.callbacks.EarlyStopping]).fit(*few)
    with pytest.raises(TypeError, match="scikit-learn's callbacks are set with set_callbacks"):
        cnn(callbacks=[Spy()]).fit(*few)
    with pytest.raises(ValueError, match="calls no callbacks"):
        cnn(callbacks=[keras.callbacks.History()]).partial_fit(*few, classes=[0, 1, 2])


def test_a_used_callback_is_copied_without_its_model_or_refused(few, tmp_path):
    X, y = few
    network = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    network.fit(X, y, epochs=2, callbacks=[stop, log], verbose=0)
    model = clone(cnn(epochs=9, callbacks=[stop])).fit(X, y)
    assert model.n_iter_ == 2
    assert stop.model is network
    used = cnn(callbacks=[stop, log])
    for use in (clone, copy.deepcopy, lambda model: model.fit(X, y)):
        with pytest.raises(TypeError, match="cannot pickle" if use is copy.deepcopy else r"callbacks\[1\], CSVLogger"):
            use(used)


def test_the_callbacks_of_a_fit_are_its_own_also_on_threads(few):
    X, y = few
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=1)
    search = GridSearchCV(cnn(epochs=9, callbacks=[stop]), {"l2": [0.0, 0.1]}, cv=2)
    with joblib.parallel_config("threading", n_jobs=2):
        search.fit(X, y)
    again = GridSearchCV(cnn(epochs=2), {"l2": [0.0, 0.1]}, cv=2).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"])
    assert_same_weights(search.best_estimator_, again.best_estimator_)
    assert search.best_estimator_.callbacks_[0] is not stop

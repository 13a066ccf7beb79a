"""Keras' callbacks on a network: what they see and may change."""

import copy
import csv
import pickle

import joblib
import keras
import numpy as np
import pytest
from common import classifier, same_weights, weights_of
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import CNNRegressor
from skcnn.networks import Plain


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:120], y[:120] % 3


@pytest.fixture(scope="module")
def plain_fit(few):
    return classifier().fit(*few)


def test_keras_callbacks_see_logs_and_weights_and_change_nothing(few, plain_fit, tmp_path):
    X, y = few
    given = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.weights.h5"), "loss", save_weights_only=True),
        keras.callbacks.History(),
    ]
    model = classifier(callbacks=given).fit(X, y)
    assert same_weights(model, plain_fit)
    assert model.history_ == plain_fit.history_ == model.callbacks_[-1].history
    with open(tmp_path / "log.csv", newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == model.history_["loss"]
    for epochs in (1, 3):
        kept = keras.models.load_model(tmp_path / f"{epochs}.keras").predict(X, verbose=0)
        np.testing.assert_allclose(kept, classifier(epochs=epochs).fit(X, y).decision_function(X), rtol=1e-5, atol=1e-5)
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
    model = classifier(callbacks=[halve], learning_rate=0.004).fit(*few)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.004, 0.002, 0.001], rtol=1e-6)
    by_hand = classifier(epochs=1, warm_start=True)
    for rate in (0.004, 0.002, 0.001):
        by_hand.set_params(learning_rate=float(np.float32(rate))).fit(*few)
    assert same_weights(model, by_hand)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    rates = classifier(callbacks=[plateau], learning_rate=0.004).fit(*few).history_["learning_rate"]
    np.testing.assert_allclose(rates, [0.004, 0.004, 0.002], rtol=1e-6)
    with pytest.raises(ValueError, match="but so do schedule='cosine' and warmup_epochs=0"):
        classifier(callbacks=[halve], schedule="cosine").fit(*few)
    later = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=50)
    early = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: pytest.fail("trained before the error"))
    with pytest.raises(ValueError, match="ReduceLROnPlateau sets the learning rate, but so do schedule='cosine'"):
        classifier(callbacks=[early, later], schedule="cosine").fit(*few)


def test_a_refit_on_all_samples_repeats_the_learning_rates(few):
    class Rates(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.004 / 2**epoch

    params = {"epochs": 2, "early_stopping": True, "refit_full": True, "tol": 0.0}
    model = classifier(callbacks=[Rates()], **params).fit(*few)
    assert model.best_iter_ == 2
    assert same_weights(model, classifier(epochs=2, callbacks=[Rates()]).fit(*few))


def test_keras_early_stopping_stops_and_restores(few):
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=2, restore_best_weights=True)
    model = classifier(epochs=50, callbacks=[stop]).fit(*few)
    assert model.n_iter_ == 3
    assert model.callbacks_[0].best_epoch == 0
    assert same_weights(model, classifier(epochs=1).fit(*few))


def test_weights_that_a_callback_sets_are_trained_on_and_kept(few):
    class Bias(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = self.model.get_weights()
            self.model.set_weights([*self.before[:-1], self.before[-1] + 100.0])

        def on_epoch_end(self, epoch, logs=None):
            self.change = self.model.get_weights()[-1] - self.before[-1]

    model = classifier(epochs=2, callbacks=[Bias()], standardize="channel").fit(*few)
    np.testing.assert_allclose(model.callbacks_[0].change, 100.0, atol=1.0)
    np.testing.assert_allclose(weights_of(model)[-3], 200.0, atol=2.0)  # before mean and scale
    np.testing.assert_array_equal(model.to_keras().get_weights()[-1], weights_of(model)[-3])


def test_callbacks_see_averaged_weights_and_cannot_set_them(few, tmp_path):
    X, y = few

    class Reset(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.set_weights([np.zeros_like(weight) for weight in self.model.get_weights()])

    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    classifier(epochs=2, ema_momentum=0.9, callbacks=[save]).fit(X, y)
    expected = classifier(epochs=1, ema_momentum=0.9).fit(X, y).decision_function(X)
    kept = keras.models.load_model(tmp_path / "1.keras").predict(X, verbose=0)
    np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="with ema_momentum it sees their averages"):
        classifier(ema_momentum=0.9, callbacks=[Reset()]).fit(X, y)


def test_what_a_callback_adds_to_the_logs_is_monitored_and_recorded(few):
    class Custom(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs |= {"loss": 7.0, "note": "text"} | ({"custom": epoch} if epoch else {})

    stop = keras.callbacks.EarlyStopping("custom", mode="min", patience=1)
    with pytest.warns(UserWarning, match="`custom` which is not available"):
        model = classifier(epochs=9, callbacks=[Custom(), stop]).fit(*few)
    np.testing.assert_array_equal(model.history_["custom"], [np.nan, 1.0, 2.0])
    assert 7.0 not in model.history_["loss"]
    assert set(model.history_) == {"loss", "learning_rate", "custom"}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: keras.callbacks.TerminateOnNaN(), "TerminateOnNaN, has the hook on_batch_end, .* FloatingPointError"),
        (lambda: keras.callbacks.BackupAndRestore("x"), "Set memory=, which keeps the state of training"),
        (lambda: keras.callbacks.ModelCheckpoint("a.keras", save_freq=5), "Set save_freq='epoch'"),
        (lambda: keras.callbacks.TensorBoard("x", update_freq=1), "Set update_freq='epoch'"),
        (lambda: keras.callbacks.SwapEMAWeights(), "the hook on_test_begin, .* ema_momentum="),
        (lambda: keras.callbacks.LambdaCallback(on_train_batch_end=print), "the hook on_train_batch_end, .* Use on_ep"),
    ],
)
def test_callbacks_that_act_on_batches_are_refused(few, made, message):
    with pytest.raises(ValueError, match=message):
        classifier(callbacks=[made()]).fit(*few)


def test_what_is_no_keras_callback_is_refused(few):
    class ForScikitLearn:
        def setup(self, estimator, context): ...

    with pytest.raises(TypeError, match=r"callbacks\[1\] is the class EarlyStopping; expected an instance of keras"):
        classifier(callbacks=[keras.callbacks.History(), keras.callbacks.EarlyStopping]).fit(*few)
    with pytest.raises(TypeError, match="Set scikit-learn's callbacks with set_callbacks"):
        classifier(callbacks=[ForScikitLearn()]).fit(*few)
    with pytest.raises(ValueError, match="calls no callbacks"):
        classifier(callbacks=[keras.callbacks.History()]).partial_fit(*few, classes=[0, 1, 2])


def test_a_used_callback_is_copied_without_its_model_or_refused(few, tmp_path):
    X, y = few
    network = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    network.fit(X, y, epochs=2, callbacks=[stop, log], verbose=0)
    model = clone(classifier(epochs=9, callbacks=[stop])).fit(X, y)
    assert model.n_iter_ == 2
    assert stop.model is network
    used = classifier(callbacks=[stop, log])
    for use in (clone, copy.deepcopy, lambda model: model.fit(X, y)):
        with pytest.raises(TypeError, match="cannot pickle" if use is copy.deepcopy else r"callbacks\[1\], CSVLogger"):
            use(used)


def test_the_callbacks_of_a_fit_are_its_own_also_on_threads(few):
    X, y = few
    stop = keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=1)
    search = GridSearchCV(classifier(epochs=9, callbacks=[stop]), {"l2": [0.0, 0.1]}, cv=2)
    with joblib.parallel_config("threading", n_jobs=2):
        search.fit(X, y)
    again = GridSearchCV(classifier(epochs=2), {"l2": [0.0, 0.1]}, cv=2).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"])
    assert same_weights(search.best_estimator_, again.best_estimator_)
    assert search.best_estimator_.callbacks_[0] is not stop


def test_memory_is_not_used_with_callbacks_whose_effects_it_cannot_know(few, tmp_path, capsys):
    model = classifier(memory=tmp_path).fit(*few)
    model.set_params(epochs=4, verbose=1, callbacks=[keras.callbacks.History()]).fit(*few)
    assert "Fit 4 epochs on" in capsys.readouterr().out
    model.set_params(callbacks=None).fit(*few)
    assert "Fit 1 epoch after 3 trained earlier" in capsys.readouterr().out

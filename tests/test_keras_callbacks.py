"""Keras' callbacks on a network: what they see and may change."""

import csv
import pickle
import re

import joblib
import keras
import numpy as np
import pytest
from common import classifier, regressor, same_weights, weights_of
from sklearn.base import clone
from sklearn.metrics import f1_score, log_loss, make_scorer, mean_squared_error
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


class Told(keras.callbacks.Callback):
    """Keeps the logs of each epoch and of the end."""

    def __init__(self):
        self.epochs = []  # without Keras' own __init__, which Keras' fit does not need either

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))

    def on_train_end(self, logs=None):
        self.end = logs


STOPS = {"early_stopping": True, "validation_fraction": 0.3}


def own_score(estimator, X, y):
    return estimator.score(X, y)


@pytest.mark.parametrize(
    ("scoring", "name"),
    [
        ("accuracy", "val_accuracy"),
        ("neg_log_loss", "val_neg_log_loss"),
        (make_scorer(f1_score, average="macro"), "val_f1_score"),
        (own_score, "val_own_score"),
        (lambda estimator, X, y: estimator.score(X, y), "val_score"),
    ],
)
def test_the_validation_score_is_logged_under_its_name(few, scoring, name):
    model = classifier(scoring=scoring, callbacks=[Told()], **STOPS).fit(*few)
    logs = model.callbacks_[0].epochs
    assert [one[name] for one in logs] == [one["val_score"] for one in logs] == model.history_["val_score"]
    assert model.callbacks_[0].end == logs[-1]
    assert set(model.history_) == {"loss", "learning_rate", "val_loss", "val_score"}
    assert set(classifier(callbacks=[Told()], **STOPS).fit(*few).callbacks_[0].epochs[0]) == {
        "loss", "learning_rate", "val_loss"
    }  # fmt: skip


def test_scores_are_maximised_without_being_told_to(few, tmp_path):
    scores = iter([0.1, 0.3, 0.2, 0.1, 0.0])
    params = {"scoring": lambda estimator, X, y: next(scores), "epochs": 5, "n_iter_no_change": 9, **STOPS}
    stop = keras.callbacks.EarlyStopping("val_score", patience=2)
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"), "val_score", save_best_only=True)
    halve = keras.callbacks.ReduceLROnPlateau("val_score", factor=0.5, patience=1)
    model = classifier(callbacks=[stop, save, halve], learning_rate=0.004, **params).fit(*few)
    assert model.n_iter_ == 4
    assert model.callbacks_[0].best == 0.3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "2.keras"]
    np.testing.assert_allclose(model.history_["learning_rate"], [0.004, 0.004, 0.004, 0.002], rtol=1e-6)
    scores = iter([0.3, 0.2, 0.1])
    least = keras.callbacks.EarlyStopping("val_score", mode="min", patience=1)
    assert classifier(callbacks=[least], **params | {"epochs": 3}).fit(*few).n_iter_ == 3


class NoTraining(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        pytest.fail("trained before the error")


@pytest.mark.parametrize(
    ("made", "params", "message"),
    [
        (lambda: keras.callbacks.EarlyStopping(), {}, r"log 'val_loss'; expected one of \['learning_rate', 'loss'\]"),
        (lambda: keras.callbacks.EarlyStopping("val_acc"), {"scoring": "accuracy", **STOPS}, "'val_score', 'val_acc"),
        (lambda: keras.callbacks.ReduceLROnPlateau("accuracy"), {}, r"callbacks\[1\], ReduceLROnPlateau, requires"),
        (lambda: keras.callbacks.ModelCheckpoint("a.keras", save_best_only=True), {}, "requires the log 'val_loss'"),
        (lambda: keras.callbacks.ModelCheckpoint("{epoch}-{val_loss:.2f}.keras"), {}, "requires the log 'val_loss'"),
    ],
)
def test_a_log_that_does_not_exist_is_refused_before_training(few, made, params, message):
    with pytest.raises(ValueError, match=message):
        classifier(callbacks=[NoTraining(), made()], **params).fit(*few)


def test_what_an_earlier_callback_or_a_derived_one_adds_can_be_monitored(few):
    class Stop(keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs | {"own": 1.0})

    add = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(own=1.0))
    stop = keras.callbacks.EarlyStopping("own", mode="min", patience=2)
    assert classifier(epochs=9, callbacks=[add, stop]).fit(*few).n_iter_ == 3
    assert classifier(epochs=9, callbacks=[Stop("own", mode="min", patience=2)]).fit(*few).n_iter_ == 3
    with pytest.raises(ValueError, match=r"callbacks\[0\], EarlyStopping, requires the log 'own'"):
        classifier(callbacks=[stop, add]).fit(*few)


class Evaluated(Told):
    def __init__(self, X, y, loss=None):
        super().__init__()
        self.samples, self.loss = (X, y), loss

    def on_train_begin(self, logs=None):
        if self.loss is not None:
            self.model.compile(self.model.optimizer, loss=self.loss)

    def on_epoch_end(self, epoch, logs=None):
        self.predicted = self.model.predict(self.samples[0], verbose=0)
        super().on_epoch_end(epoch, logs | {"evaluated": self.model.evaluate(*self.samples, verbose=0)})


@pytest.mark.parametrize(
    ("n_classes", "loss"), [(2, "BinaryCrossentropy(from_logits"), (3, "SparseCategoricalCrossentropy(from_logits")]
)
def test_a_callback_predicts_logits_and_evaluates_what_it_has_compiled(few, n_classes, loss):
    X, y = few[0], few[1] % n_classes
    with pytest.raises(ValueError, match=f"model.evaluate.*{re.escape(loss)}.*which are logits"):
        classifier(callbacks=[Evaluated(X, y)]).fit(X, y)
    function = getattr(keras.losses, loss.partition("(")[0])(from_logits=True)
    model = classifier(callbacks=[Evaluated(X, y, function)]).fit(X, y)
    assert same_weights(model, classifier().fit(X, y))
    logits = model.callbacks_[0].predicted if n_classes > 2 else model.callbacks_[0].predicted[:, 0]
    np.testing.assert_allclose(logits, model.decision_function(X), rtol=1e-5, atol=1e-5)
    evaluated = model.callbacks_[0].epochs[-1]["evaluated"]
    np.testing.assert_allclose(evaluated, log_loss(y, model.predict_proba(X)), rtol=1e-5)


def test_a_regressor_evaluates_in_the_unit_of_y(few):
    X, y = few
    with pytest.raises(ValueError, match=r"loss='mse'.*predictions in the unit of y"):
        regressor(callbacks=[Evaluated(X, y)]).fit(X, y)
    model = regressor(callbacks=[Evaluated(X, 10.0 * y, "mse")]).fit(X, 10.0 * y)
    expected = mean_squared_error(10.0 * y, model.predict(X))
    np.testing.assert_allclose(model.callbacks_[0].epochs[-1]["evaluated"], expected, rtol=1e-5)


def of_package(package, name):
    """Return the class of a tracker that acts on batches only if it is told to, as mlflow's and wandb's do."""

    class Tracker(Told):
        def __init__(self, **settings):
            super().__init__()
            vars(self).update(settings)

        def on_batch_end(self, batch, logs=None):
            pytest.fail("no batch ends in Python")

        on_train_batch_end = on_batch_end

    Tracker.__module__, Tracker.__name__ = f"{package}.callbacks", name
    return Tracker


@pytest.mark.parametrize(
    ("package", "name", "at_epochs", "at_batches", "message"),
    [
        ("mlflow", "MlflowCallback", {"log_every_epoch": True}, {"log_every_epoch": False}, "Set log_every_epoch=True"),
        ("wandb", "WandbMetricsLogger", {"logging_batch_wise": 0}, {"logging_batch_wise": 1}, "Set log_freq='epoch'"),
        ("wandb", "WandbModelCheckpoint", {"save_freq": "epoch"}, {"save_freq": 5}, "Set save_freq='epoch'"),
        ("tqdm", "TqdmCallback", {"verbose": 0}, {"verbose": 1}, "Set verbose=0"),
    ],
)
def test_trackers_are_accepted_where_they_log_epochs(few, package, name, at_epochs, at_batches, message):
    tracker = of_package(package, name)
    model = classifier(callbacks=[tracker(**at_epochs)]).fit(*few)
    assert [one["loss"] for one in model.callbacks_[0].epochs] == model.history_["loss"]
    with pytest.raises(ValueError, match=message):
        classifier(callbacks=[tracker(**at_batches)]).fit(*few)
    with pytest.raises(ValueError, match="Use on_epoch_begin and on_epoch_end"):
        classifier(callbacks=[of_package("elsewhere", name)(**at_epochs)]).fit(*few)


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


def test_callbacks_that_keras_has_used_are_used_again_without_its_model(few, tmp_path):
    X, y = few
    network = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    network.fit(X, y, epochs=3, callbacks=[stop, log], verbose=0)
    model = clone(classifier(epochs=9, callbacks=[stop, log])).fit(X, y)
    assert model.n_iter_ == 2
    assert stop.model is network
    with open(tmp_path / "log.csv", newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == model.history_["loss"]


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

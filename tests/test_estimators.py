"""What the estimators promise beyond scikit-learn's checks: effects, exact repeats, hostile input."""

import pickle
import re
import signal
import threading
from functools import partial

import common
import keras
import numpy as np
import pandas as pd
import pytest
from common import same_model, weights_of
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss, mean_pinball_loss, recall_score
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier, CNNRegressor
from skcnn._engine.blueprint import trace_count
from skcnn.networks import Plain

NETWORK = Plain(filters=(6,))
classifier, regressor = (partial(kind, network=NETWORK) for kind in (common.classifier, common.regressor))


@pytest.fixture(scope="module")
def fitted(few_digits):
    return classifier(epochs=8).fit(*few_digits)


# Shapes, types and labels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "input_shape", "expected"),
    [
        ((12,), None, (12, 1)),
        ((12,), (4, 3), (4, 3)),
        ((12,), (2, 3, 2), (2, 3, 2)),
        ((8, 2), None, (8, 2)),
        ((6, 5, 2), None, (6, 5, 2)),
        ((6, 5, 2), (30, 2), (30, 2)),
        ((4, 4, 4, 1), None, (4, 4, 4, 1)),
        ((1,), None, (1, 1)),
    ],
)
def test_every_rank_learns(shape, input_shape, expected, rng):
    X = rng.normal(size=(80, *shape))
    y = np.where(X.reshape(80, -1)[:, 0] > 0, "up", "down")
    model = classifier(input_shape=input_shape, epochs=60).fit(X, y)
    assert model.input_shape_ == expected
    assert model.score(X, y) > 0.9
    target = X.reshape(80, -1)[:, 0]
    assert regressor(input_shape=input_shape, epochs=60).fit(X, target).score(X, target) > 0.8


def test_input_shape_reshapes_samples_only(few_digits):
    X, y = few_digits
    flat = classifier(input_shape=(8, 8, 1)).fit(X.reshape(len(X), -1), y)
    assert same_model(flat, classifier().fit(X, y))


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [True, False], [-1, 1], [0.0, 1.0], ["a", "b", "c"], [10, 20, 30]], ids=str
)
@pytest.mark.parametrize("as_object", [False, True])
def test_label_types(labels, as_object, few_digits):
    X, digit = few_digits
    y = np.array(labels, dtype=object if as_object and isinstance(labels[0], str) else None)[digit % len(labels)]
    model = classifier().fit(X, y)
    assert model.classes_.tolist() == sorted(labels)
    assert model.predict(X).dtype == y.dtype
    assert set(model.predict(X)) <= set(labels)
    expected = (len(X),) if len(labels) == 2 else (len(X), len(labels))
    assert model.decision_function(X).shape == expected
    assert model.predict_proba(X[:1]).shape == (1, len(labels))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X), rtol=1e-6)


def test_multilabel(rng):
    X, Y = make_multilabel_classification(120, 10, n_classes=3, random_state=0)
    model = classifier(epochs=40).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert (model.predict(X) == Y).mean() > 0.85
    assert model.predict_proba(X[:1]).shape == (1, 3)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    weighted = classifier(epochs=40, class_weight=[{0: 1, 1: 20}, {0: 1, 1: 1}, {0: 20, 1: 1}]).fit(X, Y)
    more = weighted.predict(X).mean(axis=0) - model.predict(X).mean(axis=0)
    assert more[0] > 0.02
    assert more[2] < -0.02


def test_regression_shapes_and_units(rng):
    X = rng.normal(size=(100, 5))
    y = np.column_stack([1e4 + 300 * X[:, 0], 1e-3 * X[:, 1]])
    model = regressor(epochs=80).fit(X, y)
    assert model.predict(X).shape == (100, 2)
    assert model.score(X, y) > 0.9
    assert model.predict(X[:1]).shape == (1, 2)
    one = regressor().fit(X, y[:, 0])
    assert one.predict(X).shape == (100,)
    # The unit of y changes the unit of the predictions, and nothing else.
    other_unit = regressor().fit(X, 7 * y[:, 0] + 2)
    np.testing.assert_allclose(other_unit.predict(X), 7 * one.predict(X) + 2, rtol=1e-6)


def test_regression_losses_and_robustness(rng):
    X = rng.normal(size=(150, 3))
    clean = X[:, 0]
    y = clean.copy()
    y[::15] += 50
    errors = {
        loss: np.abs(regressor(loss=loss, epochs=60).fit(X, y).predict(X) - clean).mean()
        for loss in ("squared_error", "absolute_error", "huber")
    }
    assert errors["absolute_error"] < errors["squared_error"] / 2
    assert errors["huber"] < errors["squared_error"]


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype("float16"),
        lambda X: X.astype("float64"),
        lambda X: X.astype(">f4"),
        lambda X: np.asfortranarray(X),
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.tolist(),
        lambda X: pd.DataFrame(X, columns=[f"p{i}" for i in range(X.shape[1])]),
    ],
    ids=["float16", "float64", "big-endian", "fortran", "strided", "list", "DataFrame"],
)
def test_containers_and_types_give_the_same_fit(convert, few_digits):
    X, y = few_digits
    X = X.reshape(len(X), -1)  # sixteenths, exact in float16
    reference = classifier(input_shape=(8, 8, 1)).fit(X, y)
    model = classifier(input_shape=(8, 8, 1)).fit(convert(X), y)
    assert same_model(model, reference)
    np.testing.assert_array_equal(model.predict_proba(convert(X)), reference.predict_proba(X))


def test_uint8_stays_and_equals_float(few_digits):
    X, y = few_digits
    pixels = (X * 16).astype("uint8")
    model = classifier().fit(pixels, y)
    assert same_model(model, classifier().fit(pixels.astype("float32"), y))
    np.testing.assert_array_equal(model.predict_proba(pixels), model.predict_proba(pixels.astype("float64")))


def test_read_only_and_memory_mapped_input_is_not_changed(few_digits, tmp_path):
    X, y = few_digits
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    weight = np.ones(len(y))
    labels = y.copy()
    for array in (weight, labels):
        array.setflags(write=False)
    model = classifier(class_weight="balanced").fit(mapped, labels, sample_weight=weight)
    assert same_model(model, classifier(class_weight="balanced").fit(X, y))
    np.testing.assert_array_equal(weight, np.ones(len(y)))


# Repeats ----------------------------------------------------------------------------------------------------------


def test_same_seed_same_model_whatever_ran_before(few_digits):
    X, y = few_digits
    parameters = {"dropout": 0.3, "class_weight": "balanced"}
    first = classifier(**parameters).fit(X, y)
    classifier(**parameters, l2=0.1).fit(X[:50], y[:50] % 3)
    regressor().fit(X[:60], y[:60])
    classifier(**parameters | {"random_state": 7}).fit(X, y)
    assert same_model(first, classifier(**parameters).fit(X, y))
    assert same_model(first, pickle.loads(pickle.dumps(classifier(**parameters))).fit(X, y))
    assert same_model(first, clone(first).fit(X, y))
    other = classifier(**parameters | {"random_state": 7}).fit(X, y)
    assert not same_model(first, other)


def test_threads_at_once_equal_one_after_another(few_digits):
    X, y = few_digits
    makers = [
        lambda: classifier(dropout=0.3),
        lambda: classifier(dropout=0.3, random_state=1),
        lambda: classifier(network=Plain(filters=(3, 3))),
        lambda: classifier(dropout=0.3, random_state=2),
    ]
    expected = [make().fit(X, y) for make in makers]
    models = [make() for make in makers]
    threads = [threading.Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_model(a, b) for a, b in zip(models, expected, strict=True))


def test_no_seed_gives_different_models_and_a_generator_advances(few_digits):
    X, y = few_digits
    unseeded = [classifier(random_state=None, epochs=1).fit(X, y) for _ in range(2)]
    assert not same_model(*unseeded)
    generator = np.random.RandomState(0)
    advanced = [classifier(random_state=generator, epochs=1).fit(X, y) for _ in range(2)]
    assert not same_model(*advanced)


def test_a_search_traces_each_topology_once(few_digits):
    X, y = few_digits
    search = GridSearchCV(
        classifier(network=Plain(filters=(5,), kernel_size=2), dropout=0.1, l1=1e-5, l2=1e-5, weight_decay=1e-5),
        [
            {"l2": [1e-4, 1e-2], "l1": [1e-4, 1e-3]},
            {"dropout": [0.2, 0.5], "weight_decay": [1e-4, 1e-2]},
            {"learning_rate": [1e-3, 1e-2], "class_weight": [None, "balanced"], "random_state": [1, 2]},
            {"epochs": [1, 4], "batch_size": [16, 50]},
        ],
        cv=2,
    )
    before = trace_count()
    search.fit(X, y)
    search.predict(X[:17])
    assert trace_count() - before == 3  # graphs that train, take batch statistics, and predict
    smoothed = GridSearchCV(clone(search.estimator).set_params(label_smoothing=0.1), {"label_smoothing": [0.1, 0.2]})
    smoothed.fit(X, y)
    assert trace_count() - before == 6


# Regularisation, weights and early stopping have their effect -----------------------------------------------------


def test_penalties_shrink_kernels(few_digits):
    X, y = few_digits

    def kernels(**parameters):
        model = classifier(network=Plain(filters=(6,), normalization=None), epochs=10, **parameters).fit(X, y)
        return np.concatenate([weight.ravel() for weight in weights_of(model) if weight.ndim > 1])

    plain = kernels()
    assert np.square(kernels(l2=0.05)).sum() < np.square(plain).sum() / 2
    assert np.square(kernels(weight_decay=5.0)).sum() < np.square(plain).sum() / 2
    near_zero = 0.02  # Adam steps of 0.01 circle around zero
    assert (np.abs(kernels(l1=0.01)) < near_zero).mean() > (np.abs(plain) < near_zero).mean() + 0.5


def test_label_smoothing_lowers_confidence(few_digits):
    X, y = few_digits
    sure = classifier(epochs=30).fit(X, y).predict_proba(X).max(axis=1).mean()
    smooth = classifier(epochs=30, label_smoothing=0.3).fit(X, y).predict_proba(X).max(axis=1).mean()
    assert smooth < sure - 0.1


def test_class_weight_raises_recall_of_the_rare_class(digits):
    X, y = digits
    rare = (y == 8).astype(int)
    keep = np.r_[np.flatnonzero(rare == 0), np.flatnonzero(rare)[:40]]
    X_train, X_test, y_train, y_test = train_test_split(
        X[keep], rare[keep], test_size=0.5, stratify=rare[keep], random_state=0
    )
    recall = [
        recall_score(
            y_test, classifier(class_weight=weight, epochs=2, batch_size=64).fit(X_train, y_train).predict(X_test)
        )
        for weight in (None, "balanced")
    ]
    assert recall[1] > recall[0] + 0.2


def test_weight_two_repeats_a_sample(few_digits, rng):
    X, y = few_digits
    weight = rng.integers(0, 3, len(y))
    exact = {"network": Plain(filters=(4,), normalization=None), "dtype": "float64", "batch_size": 1000, "epochs": 10}
    for parameters in ({}, {"class_weight": "balanced"}, {"loss": "focal"}):
        weighted = classifier(**exact, **parameters).fit(X, y, sample_weight=weight)
        repeated = classifier(**exact, **parameters).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
        np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
        np.testing.assert_allclose(weighted.history_["loss"], repeated.history_["loss"], rtol=1e-9)


def test_early_stopping_stops_and_keeps_the_best_weights(digits):
    X, y = digits
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random(400) < 0.4, rng.integers(0, 10, 400), y[:400])
    model = classifier(epochs=200, early_stopping=True, n_iter_no_change=5, network=Plain(filters=(16, 32)))
    model.fit(X[:400], noisy, X_val=X[400:600], y_val=y[400:600])
    losses = model.history_["val_loss"]
    assert model.n_iter_ < 200
    assert model.n_iter_ == len(losses) == len(model.history_["loss"])
    assert model.best_iter_ == int(np.argmin(losses)) + 1
    np.testing.assert_allclose(log_loss(y[400:600], model.predict_proba(X[400:600])), min(losses), rtol=1e-5)


def test_scoring_is_monitored_on_the_validation_samples(few_digits, digits):
    X, y = digits
    model = classifier(epochs=6, early_stopping=True, scoring="accuracy")
    model.fit(X[:300], y[:300], X_val=X[300:400], y_val=y[300:400])
    scores = model.history_["val_score"]
    assert model.best_iter_ == int(np.argmax(scores)) + 1
    assert model.score(X[300:400], y[300:400]) == max(scores)


def test_validation_loss_is_corrected_for_class_weights(digits):
    X, y = digits
    rare = (y == 8).astype(int)
    model = classifier(epochs=1, class_weight={0: 1, 1: 30}, early_stopping=True)
    model.fit(X[:500], rare[:500], X_val=X[500:800], y_val=rare[500:800])
    z = model.decision_function(X[500:800])
    corrected = 1 / (1 + np.exp(-(z - np.log(30))))
    np.testing.assert_allclose(model.history_["val_loss"][0], log_loss(rare[500:800], corrected), rtol=1e-5)
    assert model.history_["val_loss"][0] < log_loss(rare[500:800], 1 / (1 + np.exp(-z)))


def test_auto_early_stopping_and_the_inner_split(rng):
    X, y = rng.normal(size=(10_001, 2)).astype("float32"), rng.integers(0, 2, 10_001)
    large = classifier(epochs=1, batch_size=512).fit(X, y)
    assert "val_loss" in large.history_
    assert "val_loss" not in classifier(epochs=1, batch_size=512).fit(X[:-1], y[:-1]).history_


@pytest.mark.parametrize(("n", "batch_size", "epochs"), [(20, 32, 150), (300, 32, 100), (400, 8, 30), (300, 300, 150)])
def test_auto_epochs_make_a_thousand_steps(n, batch_size, epochs, rng):
    X, y = rng.normal(size=(n, 2)).astype("float32"), rng.integers(0, 2, n)
    network = Plain(filters=(1,), normalization=None)
    assert CNNClassifier(network, batch_size=batch_size).fit(X, y).n_iter_ == epochs


def test_auto_standardises_columns_of_tables_and_channels_of_shapes(few_digits):
    images, y = few_digits
    rows = images.reshape(len(images), -1).astype(float)
    spread = rows.std(axis=0)
    units = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    auto, none = (classifier(standardize=one, dtype="float64") for one in ("auto", None))
    table = auto.fit(rows * 1e4, y).predict_proba(rows * 1e4)
    np.testing.assert_allclose(table, none.fit(units, y).predict_proba(units), atol=1e-8)
    for X, shape in ((rows, (8, 8, 1)), (images, None)):
        auto, channel = (classifier(standardize=one, input_shape=shape).fit(X, y) for one in ("auto", "channel"))
        assert same_model(auto, channel)


def test_plateau_lowers_the_rate(few_digits):
    X, y = few_digits
    model = classifier(schedule="plateau", n_iter_no_change=2, tol=10.0, epochs=4, learning_rate=0.01).fit(X, y)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.01, 0.01, 0.002, 0.0004])


def test_plateau_lowers_the_rate_after_the_warm_up_only(few_digits):
    X, y = few_digits
    settings = {"schedule": "plateau", "warmup_epochs": 2, "n_iter_no_change": 2, "tol": 10.0, "learning_rate": 0.01}
    model = classifier(**settings, epochs=4, batch_size=50).fit(X, y)
    np.testing.assert_allclose(model.history_["learning_rate"], [0.00125, 0.00625, 0.01, 0.002])  # of the first step


def test_warm_start_with_other_parameters_keeps_the_weights_where_they_fit(few_digits):
    X, y = few_digits
    warm = classifier(epochs=3, warm_start=True).fit(X, y)
    loss = warm.history_["loss"][-1]
    for change in ({"optimizer": "sgd", "learning_rate": 0.01}, {"ema_momentum": 0.5}, {"augmentation": "noise"}):
        warm.set_params(**change).fit(X, y)
        assert warm.history_["loss"][-1] < loss  # each continues from the one before
        loss = warm.history_["loss"][-1]
    assert warm.n_iter_ == 12
    with pytest.raises(ValueError, match=r"warm_start=True continues .* but the parameters now describe a network"):
        warm.set_params(network__kernel_size=2).fit(X, y)


def test_warm_start_goes_on_to_the_bit(few_digits):
    X, y = few_digits
    whole = classifier(epochs=6, dropout=0.2).fit(X, y)
    warm = classifier(epochs=3, dropout=0.2, warm_start=True).fit(X, y)
    warm.fit(X, y)
    assert same_model(whole, warm)
    assert warm.n_iter_ == 6


def test_partial_fit_equals_fit_epoch_by_epoch(few_digits):
    X, y = few_digits
    whole = classifier(epochs=3).fit(X, y)
    part = classifier()
    for _ in range(3):
        part.partial_fit(X, y, classes=np.arange(10))
    assert same_model(whole, part)
    part.partial_fit(X[y == 3], y[y == 3])
    assert part.n_iter_ == 4
    endless = classifier(schedule="cosine")  # nobody knows where its end would be
    for _ in range(3):
        endless.partial_fit(X, y, classes=np.arange(10))
    assert same_model(whole, endless)
    again = regressor().partial_fit(X, y).partial_fit(X, y)
    assert same_model(again, regressor(epochs=2).fit(X, y))


def test_to_keras_is_the_fitted_network(few_digits, tmp_path):
    X, y = few_digits
    model = classifier(dropout=0.3).fit(X, y)
    network = model.to_keras()
    assert isinstance(network, keras.Model)
    np.testing.assert_allclose(network.predict(X, verbose=0), model.decision_function(X), rtol=1e-5, atol=1e-5)
    assert [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)] == [0.3]
    assert not any("skcnn" in type(layer).__module__ for layer in network.layers)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), network.predict(X, verbose=0))
    values = np.column_stack([1000.0 + y, -y])
    in_units = regressor().fit(X, values)
    np.testing.assert_allclose(in_units.to_keras().predict(X, verbose=0), in_units.predict(X), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["scale", "units"])
def test_to_keras_leaves_the_names_of_a_network_alone(few_digits, name):
    X, y = few_digits

    def network(input_shape, n_outputs):
        layers = [keras.layers.Flatten(), keras.layers.Dense(4, name=name), keras.layers.Dense(n_outputs)]
        return keras.Sequential([keras.Input(input_shape), *layers])

    model = regressor(network=network, epochs=1, standardize="channel").fit(X, 100.0 + y)
    whole = model.to_keras()
    assert isinstance(whole.get_layer(name), keras.layers.Dense)
    np.testing.assert_allclose(whole.predict(X, verbose=0)[:, 0], model.predict(X), rtol=1e-5)


# Failures ---------------------------------------------------------------------------------------------------------


def test_interrupt_leaves_a_fitted_estimator_and_propagates(few_digits):
    X, y = few_digits
    classifier().fit(X, y)  # what is timed below is training, not building
    model = classifier(epochs=5_000)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with SIGINT ignored
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, handler)
    assert 0 < model.n_iter_ < 5_000
    assert len(model.history_["loss"]) == model.n_iter_
    assert model.score(X, y) > 0.5
    again = classifier().fit(X, y)  # the program that was interrupted serves the next fit as if new
    assert same_model(again, classifier().fit(X, y))


def test_divergence_scores_one_candidate_only(few_digits):
    X, y = few_digits
    values = y.astype(float)
    grid = {"learning_rate": [0.01, 1e12]}
    search = GridSearchCV(
        regressor(optimizer="sgd", network=Plain(filters=(4,), normalization=None)), grid, cv=2, error_score=-99.0
    )
    with pytest.warns(FitFailedWarning, match="diverged"):
        search.fit(X, values)
    scores = search.cv_results_["mean_test_score"]
    assert scores[1] == -99.0
    assert search.best_params_ == {"learning_rate": 0.01}
    alone = GridSearchCV(clone(search.estimator), {"learning_rate": [0.01]}, cv=2).fit(X, values)
    assert alone.cv_results_["mean_test_score"][0] == scores[0]


@pytest.mark.parametrize(
    ("parameters", "fit", "error", "message"),
    [
        ({"input_shape": (7, 7, 1)}, {}, ValueError, r"input_shape=\(7, 7, 1\) has 49 values.*\(8, 8, 1\), 64 values"),
        ({"input_shape": (64,)}, {}, ValueError, "channels last"),
        ({"dropout": 1.0}, {}, ValueError, "'dropout' parameter of CNNClassifier must be a float in the range"),
        ({"network": "resnet50"}, {}, ValueError, "'network' parameter of CNNClassifier"),
        ({"epochs": 0}, {}, ValueError, "'epochs' parameter"),
        ({"scoring": "acuracy"}, {}, ValueError, "'scoring' parameter"),
        ({"early_stopping": False}, {"X_val": 1, "y_val": 1}, ValueError, "given with early_stopping=False"),
        ({}, {"X_val": 1}, ValueError, "X_val is given without y_val"),
        ({}, {"sample_weight_val": 1}, ValueError, "sample_weight_val is given without X_val"),
        ({"class_weight": {99: 1}}, {}, ValueError, r"weights for the classes \[99\]"),
    ],
)
def test_refused_before_training(parameters, fit, error, message, few_digits):
    X, y = few_digits
    real = {"X_val": X, "y_val": y, "sample_weight_val": np.ones(len(y))}
    with pytest.raises(error, match=message):
        classifier(**parameters).fit(X, y, **{name: real[name] for name in fit})


def test_refused_samples(fitted, few_digits):
    X, y = few_digits
    with pytest.raises(ValueError, match=r"samples of shape \(8, 4, 2\).*fitted on samples of shape \(8, 8, 1\)"):
        fitted.predict(X.reshape(-1, 8, 4, 2))
    with pytest.raises(ValueError, match="X has 6 dimensions"):
        classifier().fit(X.reshape(-1, 2, 2, 2, 8, 1), y)
    with pytest.raises(ValueError, match="too large for float32"):
        classifier().fit(X.astype("float64") * 1e300, y)
    assert classifier(dtype="float64", epochs=1).fit(X.astype("float64") * 1e30, y).n_iter_ == 1
    with pytest.raises(ValueError, match=r"labels that are not among the classes: \[77\]"):
        classifier(early_stopping=True).fit(X, y, X_val=X, y_val=np.where(y == 3, 77, y))


def test_a_failed_fit_leaves_the_old_model(few_digits):
    X, y = few_digits
    model = regressor(optimizer="sgd", network=Plain(filters=(4,), normalization=None)).fit(X, y)
    before = model.predict(X)
    with pytest.raises(FloatingPointError):
        model.set_params(learning_rate=1e12).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_partial_fit_refuses_what_requires_all_samples(few_digits):
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        classifier(class_weight="balanced").partial_fit(*few_digits, classes=np.arange(10))
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(*few_digits)


def test_verbose_prints_how_training_went_or_each_epoch_and_silence_is_the_default(few_digits, capsys):
    classifier().fit(*few_digits)
    assert capsys.readouterr().out == ""
    model = classifier(verbose=1).fit(*few_digits)
    assert re.fullmatch(r"Fit 3 epochs on 200 samples in \d+\.\d+ s, best epoch: 3\n", capsys.readouterr().out)
    model.set_params(verbose=2, warm_start=True, early_stopping=True).fit(*few_digits)
    *lines, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Fit 3 epochs after 3 trained earlier on 180 samples in ")
    assert [line.split()[0] for line in lines] == ["[4/6]", "[5/6]", "[6/6]"]
    values = [f"{name}: {values[-1]:.5g}" for name, values in model.history_.items()]
    assert re.fullmatch(re.escape(f"[6/6] {', '.join(values)}, in ") + r"\d+\.\d+s", lines[-1])


# Targets that are hard to scale ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_losses_outlive_wild_targets(rng, loss):
    X = rng.normal(size=(300, 8))
    y = X @ rng.normal(size=8)
    wild = y.copy()
    wild[:15] += 1000
    network = Plain(filters=(8,), normalization=None)
    model = CNNRegressor(network, loss=loss, epochs=60, learning_rate=0.01, random_state=0).fit(X, wild)
    assert model.score(X[15:], y[15:]) > 0.9


def test_outputs_that_share_weights_learn_a_common_scale(rng):
    def shared(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Flatten()(keras.layers.Dense(1)(inputs)))

    X = rng.normal(size=(200, 5, 3)) * np.array([1, 2, 3, 4, 5])[:, None]
    y = X @ [1.0, -2.0, 3.0] + 7
    settings = {"network": shared, "epochs": 100, "learning_rate": 0.02, "schedule": "cosine", "random_state": 0}
    common = CNNRegressor(**settings, target_scale="common").fit(X, y)
    assert common.score(X, y) > 0.999
    assert CNNRegressor(**settings).fit(X, y).score(X, y) < 0.95
    np.testing.assert_allclose(common.to_keras()(X).numpy(), common.predict(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scoring", ["roc_auc", lambda estimator, X, y: np.nan], ids=["one class", "callable"])
@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_a_score_that_is_nan_is_named(few_digits, scoring):
    X, y = few_digits
    y = (y == 8).astype(int)
    clf = classifier(early_stopping=True, scoring=scoring)
    with pytest.raises(ValueError, match=r"scoring=.* gave NaN on the 20 validation samples"):
        clf.fit(X, y, X_val=X[y == 0][:20], y_val=y[y == 0][:20])


def test_quantiles_cover_what_was_asked(rng):
    X = rng.uniform(-1, 1, size=(600, 6))
    y = X[:, 0] * 50 + rng.normal(scale=10 * (1.5 + X[:, 1]))
    settings = {
        "network": Plain(filters=(8,), normalization=None),
        "epochs": 80,
        "schedule": "cosine",
        "random_state": 0,
    }
    low, high = (CNNRegressor(**settings, loss="quantile", alpha=alpha).fit(X, y) for alpha in (0.1, 0.9))
    for model, alpha in ((low, 0.1), (high, 0.9)):
        assert np.mean(y <= model.predict(X)) == pytest.approx(alpha, abs=0.04)
    assert (low.predict(X) < high.predict(X)).mean() > 0.95
    held_out = high.set_params(epochs=3).fit(X, y, X_val=X[:50], y_val=y[:50])
    loss = mean_pinball_loss(y[:50], held_out.predict(X[:50]), alpha=0.9) / held_out._fitted.target.scale[0]
    assert held_out.history_["val_loss"][held_out.best_iter_ - 1] == pytest.approx(loss, rel=1e-4)


def test_counts_are_predicted_by_their_mean(rng):
    X = rng.uniform(-1, 1, size=(600, 6))
    rate = 200 * np.exp(X[:, 0] - X[:, 1])
    y = rng.poisson(rate)
    model = CNNRegressor(Plain(filters=(8,), normalization=None), loss="poisson", epochs=60, random_state=0).fit(X, y)
    assert (model.predict(X) > 0).all()
    assert np.corrcoef(np.log(model.predict(X)), np.log(rate))[0, 1] > 0.98
    assert model.predict(X).mean() == pytest.approx(y.mean(), rel=0.05)
    np.testing.assert_allclose(model.to_keras()(X[:, :, None]).numpy()[:, 0], model.predict(X), rtol=1e-4)
    with pytest.raises(ValueError, match=r"y holds negative values .*loss='poisson'"):
        model.fit(X, y - 1000)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "squared_error"),
        (keras.losses.MeanSquaredError(), "squared_error"),
        (keras.losses.mean_absolute_error, "absolute_error"),
        (keras.losses.Huber, "huber"),
        ("pinball_loss", "quantile"),
    ],
)
def test_a_loss_of_keras_is_refused_with_its_name_here(loss, name):
    with pytest.raises(ValueError, match=f"'loss' parameter of CNNRegressor must be .* set loss='{name}'"):
        regressor(loss=loss).fit(np.zeros((4, 3)), np.arange(4.0))

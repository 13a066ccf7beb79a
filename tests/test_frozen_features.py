"""What is frozen runs once for each sample: counted where it runs, and the same results as running it in each step."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf
from common import run_python, same_model, weights_of
from sklearn.model_selection import GridSearchCV

from skcnn import CNNClassifier
from skcnn._engine import feature_store
from skcnn._engine.feature_store import FeatureFiles, FeatureStore
from skcnn.datasets import LazySamples
from skcnn.exceptions import CheckpointWarning
from skcnn.networks import Backbone

FAST = {"epochs": 3, "learning_rate": 0.01, "batch_size": 16, "random_state": 0}
IDENTITY = keras.layers.Identity()  # an augmentation that changes nothing, with which all layers run in each step


class Noting(keras.layers.Layer):
    """Returns what it is given, and writes a line into a file for each sample that is not the zeros of a padding."""

    def __init__(self, place, **settings):
        super().__init__(**settings)
        self.place = place

    def get_config(self):
        return super().get_config() | {"place": self.place}

    def call(self, x):
        out = tf.numpy_function(self._note, [x], x.dtype)
        out.set_shape(x.shape)
        return out

    def _note(self, x):
        lines = [md5(one.tobytes(), usedforsecurity=False).hexdigest() for one in x if one.any()]
        with open(self.place, "a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
        return x


class Passed:
    """The samples that have passed since they were last asked for."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def __call__(self):
        lines = self.path.read_text(encoding="utf-8").split()
        self.path.write_text("", encoding="utf-8")
        return lines


@pytest.fixture(autouse=True)
def store(monkeypatch):
    store = FeatureStore()
    monkeypatch.setattr(feature_store, "store", store)
    return store


@pytest.fixture
def passed(tmp_path):
    return Passed(tmp_path / "passed.txt")


def base_on(path, seed=0):
    """A network with batch normalisation, dropout and a residual block, that notes what passes."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(Noting(str(path))(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.5, name="half")(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(8, 3, padding="same", name="branch")(x)])
    x = keras.layers.Conv2D(16, 3, activation="relu", name="last")(x)
    return keras.Model(inputs, x)


@pytest.fixture
def base(passed):
    return base_on(passed.path)


@pytest.fixture(scope="module")
def few(digits):
    return digits[0][:90], digits[1][:90]


def n_unequal(lines):
    return len(lines), len(set(lines))


# How often -----------------------------------------------------------------------------------------------------------


def test_a_search_passes_each_sample_once(few, base, passed):
    cnn = CNNClassifier(Backbone(base), early_stopping=True, scoring="accuracy", **FAST)
    search = GridSearchCV(cnn, {"learning_rate": [0.1, 0.01], "dropout": [0.0, 0.2]}, cv=3).fit(*few)
    search.predict_proba(few[0])
    assert n_unequal(passed()) == (90, 90)
    changed = few[0].copy()
    changed[0, 0, 0] += 1
    before = search.predict_proba(few[0])
    after = search.predict_proba(changed)
    assert len(passed()) == 1
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [0]
    changed[5] *= 2  # in place
    search.predict_proba(changed)
    assert len(passed()) == 1


def test_what_is_not_trained_below_what_is(few, base, passed):
    """With three layers trained, the last bottleneck is before the residual block."""
    cnn = CNNClassifier(Backbone(base, trainable=3), **FAST).fit(*few)
    assert n_unequal(passed()) == (90, 90)
    again = CNNClassifier(Backbone(base, trainable=3), augmentation=IDENTITY, **FAST).fit(*few)
    assert len(passed()) == 3 * 90
    changed = [not np.array_equal(*pair) for pair in zip(base.get_weights(), weights_of(cnn), strict=False)]
    assert [one for one, there in zip(base.weights, changed, strict=True) if there] == base.weights[-4:]
    for one, other in zip(weights_of(cnn), weights_of(again), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_varies_passes_in_each_step(few, base, passed):
    for setting in ({"augmentation": "noise"}, {"mixup": 0.2}, {"cutmix": 1.0}):
        CNNClassifier(Backbone(base), **FAST, **setting).fit(*few)
        assert len(passed()) == 3 * 90
    CNNClassifier(Backbone(base), augmentation="noise", augmentation_strength=0, **FAST).fit(*few)
    assert len(passed()) == 90
    CNNClassifier(Backbone(base, trainable=True), **FAST).fit(*few)
    assert len(passed()) == 3 * 90


def copied(layer):
    return type(layer).from_config(layer.get_config())


def network_on(base, *before):
    def network(input_shape, n_outputs):
        inputs = x = keras.Input(input_shape)
        for layer in before:
            x = copied(layer)(x)
        frozen = keras.models.clone_model(base, clone_function=copied)
        frozen.set_weights(base.get_weights())
        frozen.trainable = False
        x = keras.layers.BatchNormalization()(keras.layers.Flatten()(frozen(x)))
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))

    return network


def test_custom_networks(few, base, passed):
    CNNClassifier(network_on(base, keras.layers.Rescaling(2.0)), **FAST).fit(*few)
    assert n_unequal(passed()) == (90, 90)
    for before in (keras.layers.GaussianNoise(0.1), keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization()):
        CNNClassifier(network_on(base, before), batch_statistics="moving", **FAST).fit(*few)
        assert len(passed()) == 3 * 90


def test_sequential_networks(few, passed):
    def network(input_shape, n_outputs):
        frozen = [Noting(str(passed.path), trainable=False), keras.layers.Conv2D(4, 3, trainable=False)]
        end = [keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dense(n_outputs)]
        return keras.Sequential([keras.Input(input_shape), *frozen, *end])

    cnn = CNNClassifier(network, **FAST).fit(*few)
    assert n_unequal(passed()) == (90, 90)
    np.testing.assert_allclose(cnn.to_keras()(few[0]), cnn.decision_function(few[0]), rtol=1e-4, atol=1e-5)


def test_threads_share_the_work(few, base, passed, store):
    store.PART = 12
    cnn = CNNClassifier(Backbone(base), **FAST)
    with joblib.parallel_config("threading", n_jobs=3):
        GridSearchCV(cnn, {"learning_rate": [0.1, 0.01, 0.001]}, cv=3).fit(*few)
    assert n_unequal(passed()) == (90, 90)


def test_threads_wait_for_one_another(store):
    """All ask for the same; while one computes a part, others compute other parts."""
    digests = np.array([b"%015d" % i for i in range(60)], "S16")
    store.PART, n_at_once, most, computed = 10, 0, 0, []
    together = threading.Barrier(3, timeout=10)

    def compute(chosen):
        nonlocal n_at_once, most
        n_at_once += 1
        most = max(most, n_at_once)
        time.sleep(0.05)
        computed.extend(chosen)
        n_at_once -= 1
        return np.array(chosen, "float32")[:, None]

    def ask(_):
        out = np.empty((60, 1), "float32")
        together.wait()
        store.fill(out, "key", digests, compute, None)
        return out.ravel().tolist()

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(ask, range(3)))
    assert found == [list(range(60))] * 3
    assert sorted(computed) == list(range(60))
    assert most > 1


def test_an_interrupt_leaves_nothing_claimed(store):
    digests, out = np.array([b"a" * 16, b"b" * 16]), np.empty((2, 1), "float32")

    def interrupted(chosen):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.fill(out, "key", digests, interrupted, None)
    store.fill(out, "key", digests, lambda chosen: np.array(chosen, "float32")[:, None] + 1, None)
    assert out.ravel().tolist() == [1, 2]


# The same results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [{}, {"early_stopping": True}, {"ema_momentum": 0.9}, {"standardize": "channel"}])
def test_results_are_those_of_running_it_in_each_step(few, base, passed, setting):
    found = CNNClassifier(Backbone(base), **FAST, **setting).fit(*few)
    assert len(passed()) <= 96  # with those that fill up a block, which are no zeros if they are standardised
    expected = CNNClassifier(Backbone(base), augmentation=IDENTITY, **FAST, **setting).fit(*few)
    assert len(passed()) >= 3 * 80
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(found.predict_proba(few[0]), expected.predict_proba(few[0]), atol=1e-5)
    np.testing.assert_allclose(found.to_keras()(few[0]), found.decision_function(few[0]), rtol=1e-4, atol=1e-5)


def test_batch_normalisation_after_it_settles_on_features(few, base):
    found = CNNClassifier(network_on(base), **FAST).fit(*few)
    expected = CNNClassifier(network_on(base), augmentation=IDENTITY, **FAST).fit(*few)
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    frozen = weights_of(found)[: len(base.weights)]
    assert all(map(np.array_equal, frozen, base.get_weights()))
    plain = keras.Model(base.inputs[0], keras.layers.Flatten()(base.outputs[0]))(few[0]).numpy()
    moving_mean = weights_of(found)[len(base.weights) + 2]
    np.testing.assert_allclose(moving_mean, plain.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_partial_fit_and_warm_starts_go_on(few, base, passed):
    X, y = few
    whole = CNNClassifier(Backbone(base), schedule="constant", **FAST).fit(X, y)
    parts = CNNClassifier(Backbone(base), schedule="constant", warm_start=True, **FAST | {"epochs": 1})
    for _ in range(3):
        parts.fit(X, y)
    assert all(map(np.array_equal, weights_of(whole), weights_of(parts)))
    assert len(passed()) == 90
    stream = CNNClassifier(Backbone(base), schedule="constant", **FAST)
    for _ in range(3):
        stream.partial_fit(X, y, classes=np.unique(y))
    assert all(map(np.array_equal, weights_of(whole), weights_of(stream)))
    tuned = parts.set_params(network__trainable=True).fit(X, y)
    assert not np.array_equal(weights_of(tuned)[0], weights_of(whole)[0])


def test_other_weights_have_other_features(few, passed):
    fits = [CNNClassifier(Backbone(base_on(passed.path, seed)), **FAST).fit(*few) for seed in (0, 1, 0)]
    assert len(passed()) == 2 * 90
    assert same_model(fits[0], fits[2])
    assert not np.allclose(fits[0].predict_proba(few[0]), fits[1].predict_proba(few[0]), atol=1e-3)


def test_a_mask_is_not_lost():
    """Features are single tensors; what goes along with them would be left behind."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 6, 2)), np.arange(40) % 2
    X[:, 3:] = 0

    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        x = keras.layers.LSTM(3, return_sequences=True, trainable=False)(keras.layers.Masking()(inputs))
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(keras.layers.LSTM(3)(x)))

    found = CNNClassifier(network, **FAST).fit(X, y)
    np.testing.assert_allclose(found.to_keras()(X)[:, 0], found.decision_function(X), rtol=1e-4, atol=1e-5)
    expected = CNNClassifier(network, augmentation=IDENTITY, **FAST).fit(X, y)
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_lazy_samples(few, base, passed, tmp_path):
    X, y = few
    np.save(tmp_path / "X.npy", X)
    in_memory = CNNClassifier(Backbone(base), early_stopping=True, **FAST).fit(X, y)
    lazy = CNNClassifier(Backbone(base), early_stopping=True, **FAST).fit(LazySamples(tmp_path / "X.npy"), y)
    assert same_model(in_memory, lazy)
    assert np.array_equal(lazy.predict_proba(LazySamples(tmp_path / "X.npy")), in_memory.predict_proba(X))
    assert n_unequal(passed()) == (90, 90)


# Bounds --------------------------------------------------------------------------------------------------------------


def test_memory_is_bounded(few, base, passed, monkeypatch):
    X, y = few
    features = Backbone(base)((8, 8, 1), 10).layers[-2].output.shape[1]
    row = 4 * features + FeatureStore.ROW_BYTES
    store = FeatureStore()
    store.MAX_BYTES = 60 * row
    monkeypatch.setattr(feature_store, "store", store)
    cnn = CNNClassifier(Backbone(base), **FAST).fit(X[:50], y[:50])
    assert len(passed()) == 50
    cnn.predict(X[50:80])
    assert len(store._rows) == 60
    assert store._bytes == 60 * row
    cnn.predict(X[20:80])  # of which the first 20 to 30 are gone
    assert len(passed()) == 30
    assert len(store._rows) == 60
    cnn.predict(X[40:80])
    assert len(passed()) == 0


def test_more_than_the_bound_runs_in_each_step(few, base, passed, monkeypatch, tmp_path):
    kept = CNNClassifier(Backbone(base), **FAST).fit(*few)
    passed()
    store = FeatureStore()
    store.MAX_BYTES = 1000
    monkeypatch.setattr(feature_store, "store", store)
    np.save(tmp_path / "X.npy", few[0])
    other = CNNClassifier(Backbone(base), **FAST).fit(*few)
    assert len(passed()) == 3 * 90
    assert not store._rows
    for one, two in zip(weights_of(kept), weights_of(other), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    lazy = CNNClassifier(Backbone(base), **FAST).fit(LazySamples(tmp_path / "X.npy"), few[1])
    assert same_model(other, lazy)


# Processes -----------------------------------------------------------------------------------------------------------

IN_TWO_PROCESSES = """
import os, sys
from pathlib import Path
import numpy as np
from test_frozen_features import FAST, Backbone, CNNClassifier, Passed, base_on, n_unequal
path, memory = sys.argv[1:]
passed = Passed(Path(path).with_name("passed.txt"))
for part in (slice(0, 60), slice(30, 90)):
    if not os.fork():
        with np.load(path) as file:
            X, y = file["X"][part], file["y"][part]
        cnn = CNNClassifier(Backbone(base_on(passed.path)), memory=memory, **FAST).fit(X, y)
        print(*n_unequal(passed()), cnn.predict_proba(X[-30:]).tobytes().hex())
        sys.exit()
    assert os.wait()[1] == 0
"""


def test_processes_share_what_lies_in_memory(few, passed, tmp_path):
    path = tmp_path / "few.npz"
    np.savez(path, X=few[0], y=few[1])
    here = os.path.dirname(__file__)
    options = {"env": os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}}
    first, other = run_python("-c", IN_TWO_PROCESSES, path, tmp_path / "memory", **options).stdout.splitlines()
    assert first.startswith("60 60 ")
    assert other.startswith("30 30 ")
    for found, part in ((first, slice(0, 60)), (other, slice(30, 90))):
        found = np.frombuffer(bytes.fromhex(found.split()[-1]))
        cnn = CNNClassifier(Backbone(base_on(passed.path)), **FAST).fit(few[0][part], few[1][part])
        np.testing.assert_allclose(cnn.predict_proba(few[0][part][-30:]).ravel(), found, atol=1e-5)


def test_predictions_are_shared_where_a_fit_has_made_the_folder(few, base, passed, tmp_path, monkeypatch):
    X, y = few
    cnn = CNNClassifier(Backbone(base), memory=tmp_path / "memory", **FAST).fit(X[:60], y[:60])
    cnn.predict(X[60:])
    passed()
    monkeypatch.setattr(feature_store, "store", FeatureStore())  # as in another process
    cnn.predict(X)
    assert not passed()
    elsewhere = cnn.set_params(memory=tmp_path / "elsewhere")
    elsewhere.predict(X)
    assert not (tmp_path / "elsewhere").exists()


def test_files_that_cannot_be_read_or_written(few, base, passed, tmp_path, monkeypatch):
    X, y = few
    cnn = CNNClassifier(Backbone(base), memory=tmp_path / "memory", **FAST | {"random_state": None})
    cnn.fit(X, y)
    (file,) = (tmp_path / "memory/skcnn/features").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    passed()
    monkeypatch.setattr(feature_store, "store", FeatureStore())
    with pytest.warns(CheckpointWarning, match=r"features in .* cannot be read \(.*\); they are computed again"):
        cnn.fit(X, y)
    assert len(passed()) == 90
    (tmp_path / "full").write_text("no folder")
    monkeypatch.setattr(feature_store, "store", FeatureStore())
    monkeypatch.setattr(feature_store, "FOLDER", "../../full/features")
    with pytest.warns(CheckpointWarning, match=r"features .* cannot be written"):
        cnn.fit(X, y)


def test_files_are_bounded(tmp_path, monkeypatch):
    rows = np.zeros((10, 100), "float32")
    names = [b"k" * 32 + b"%016d" % i for i in range(10)]
    monkeypatch.setattr(FeatureFiles, "MAX_BYTES", 15_000)  # of three files of 4,000 and some bytes
    for i in range(6):
        files = FeatureFiles(tmp_path, "k" * 32, rows[:0])
        files.write(names, rows + i)
        for place, path in enumerate(sorted((tmp_path / "features").iterdir(), key=os.path.getmtime)):
            os.utime(path, (place, place))
    left = list((tmp_path / "features").iterdir())
    assert len(left) == 3
    found = dict(FeatureFiles(tmp_path, "k" * 32, rows[:0]).read(set(names)))
    assert len(found) == 10
    assert min(row.min() for row in found.values()) >= 3  # the latest

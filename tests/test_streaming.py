"""Fits and predictions of samples that stay where they are: to the bit those of the same samples in memory."""

import pickle
import signal
import threading
import traceback

import numpy as np
import pytest
from common import TINY, classifier, regressor, same_model, same_weights
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler, TomekLinks
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict, train_test_split

import skcnn._fit.samples
import skcnn._lazy
from skcnn import CNNClassifier
from skcnn._engine import ahead
from skcnn._engine.program import Program
from skcnn.datasets import LazySamples
from skcnn.exceptions import LazySamplesWarning, ScaleWarning
from skcnn.networks import Backbone
from skcnn.sampling import NDSampler

N = 150
BATCH = 16
MOST = 3 * BATCH  # samples that are read at once

pytestmark = pytest.mark.usefixtures("programs_stay")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of two batches of ``uint8``, and of one of all else."""
    monkeypatch.setattr(ahead, "BLOCK_BYTES", 1300)
    monkeypatch.setattr(skcnn._lazy, "BLOCK_BYTES", 1300)
    monkeypatch.setattr(skcnn._fit.samples, "STATISTICS_BYTES", 10_000)


@pytest.fixture(autouse=True)
def no_reader_is_left():
    yield
    assert [one for one in threading.enumerate() if one.name == "skcnn-reader"] == []


@pytest.fixture
def reads(monkeypatch):
    """How many samples were read at once, time after time."""
    found, read = [], LazySamples.__array__

    def recording(self, dtype=None, copy=None):
        found.append(len(self))
        return read(self, dtype, copy)

    monkeypatch.setattr(LazySamples, "__array__", recording)
    return found


def images(dtype="uint8", n=N, sample_shape=(6, 6, 1)):
    rng = np.random.default_rng(0)
    y = np.array(["rare", "usual", "usual", "common", "common", "common"])[np.arange(n) % 6]
    X = rng.integers(0, 200, (n, *sample_shape)) + 20 * (np.arange(n) % 3).reshape(-1, *[1] * len(sample_shape))
    X[n // 2] = X[0]  # a duplicate
    return (X % 2 if dtype == "bool" else X).astype(dtype), y


def in_file(X, folder):
    np.save(folder / "cells.npy", X)
    return LazySamples(folder / "cells.npy")


WEIGHT = np.r_[np.zeros(7), np.linspace(0.1, 2, N - 7)]

CLASSIFIERS = {
    "plain": {},
    "standardized": {"standardize": "channel"},
    "by position": {"standardize": "position"},
    "class weights": {"class_weight": "balanced", "weight": WEIGHT, "standardize": "channel"},
    "balanced batches": {"balanced_batches": True, "weight": WEIGHT},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "weight": WEIGHT},
    "scorer": {"early_stopping": True, "scoring": "balanced_accuracy", "validation_fraction": 0.3},
    "last samples": {"early_stopping": True, "shuffle_validation": False},
    "refit": {"early_stopping": True, "refit_full": True, "standardize": "channel", "schedule": "plateau"},
    "moving statistics": {"batch_statistics": "moving"},
    "augmentation": {"augmentation": ["flip", "noise"], "mixup": 0.2, "cutmix": 1.0, "dropout": 0.3},
    "averages": {"ema_momentum": 0.9, "optimizer": "sgd", "schedule": "one_cycle", "warmup_epochs": 1},
    "oversampled": {"sampler": RandomOverSampler(), "weight": WEIGHT},
    "undersampled": {"sampler": NDSampler(RandomUnderSampler()), "resample": "epoch"},
    "one batch": {"batch_size": 1000},
}


def fitted(parameters, X, y):
    parameters = {"batch_size": BATCH} | parameters
    weight = parameters.pop("weight", None)
    return classifier(**parameters).fit(X, y, weight)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_fit_is_that_of_the_array(name, reads, tmp_path):
    X, y = images()
    lazy = in_file(X, tmp_path)
    expected, model = (fitted(CLASSIFIERS[name], samples, y) for samples in (X, lazy))
    assert same_model(model, expected)
    assert sum(reads) > N
    assert max(reads) <= (N if name == "one batch" else MOST)
    np.testing.assert_array_equal(model.predict_proba(lazy), expected.predict_proba(X))
    assert model.score(lazy, y) == expected.score(X, y)


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f8", "float16", "uint16", "int8", "bool"])
def test_samples_of_any_type(dtype, reads, tmp_path):
    X, y = images(dtype)
    of_network = "float64" if dtype in ("int8", "float64") else "float32"
    model = classifier(early_stopping=True, standardize="channel", batch_size=BATCH, dtype=of_network)
    expected = clone(model).fit(X, y)
    assert same_model(model.fit(in_file(X, tmp_path), y), expected)
    assert 0 < max(reads) <= MOST


@pytest.mark.parametrize("sample_shape", [(36,), (12, 3), (2, 3, 3, 2)])
def test_samples_of_any_shape(sample_shape, tmp_path):
    X, y = images(sample_shape=sample_shape)
    model = classifier(batch_size=BATCH, early_stopping=True, input_shape=(6, 6, 1), scoring="accuracy")
    expected = clone(model).fit(X, y)
    lazy = in_file(X, tmp_path)
    assert same_model(model.fit(lazy, y), expected)
    assert model.input_shape_ == (6, 6, 1)
    np.testing.assert_array_equal(model.predict_proba(lazy), expected.predict_proba(X))


def test_regressions_and_labels(tmp_path):
    X, _ = images()
    lazy = in_file(X, tmp_path)
    y = X.reshape(N, -1)[:, :2] @ np.array([[1.0, -1], [0.5, 2]])
    of_labels = {"class_weight": [{0: 1, 1: 5}, {0: 2, 1: 1}]}
    for model, targets in ((regressor(early_stopping=True), y), (classifier(**of_labels), (y > np.median(y)) * 1)):
        expected = clone(model).set_params(batch_size=BATCH).fit(X, targets, sample_weight=WEIGHT)
        model.set_params(batch_size=BATCH).fit(lazy, targets, sample_weight=WEIGHT)
        assert same_model(model, expected)
        np.testing.assert_array_equal(model.predict(lazy), expected.predict(X))


def test_validation_samples_are_read_too(reads, tmp_path):
    X, y = images()
    lazy = in_file(X, tmp_path)
    groups = np.arange(N) // 5
    for given, of_file in (
        ({"X_val": X[100:], "y_val": y[100:]}, {"X_val": lazy[100:], "y_val": y[100:]}),
        ({"groups": groups[:100]}, {"groups": groups[:100]}),
    ):
        model = classifier(early_stopping=True, batch_size=BATCH)
        expected = clone(model).fit(X[:100], y[:100], **given)
        reads.clear()
        assert same_model(model.fit(lazy[:100], y[:100], **of_file), expected)
        assert max(reads) <= 50  # a prediction reads in chunks of up to 288 samples


def test_predictions_are_read_in_blocks(reads, tmp_path):
    X, y = images(n=1000)
    lazy = in_file(X, tmp_path)
    model = classifier(batch_size=BATCH, epochs=1).fit(X[:N], y[:N])
    np.testing.assert_array_equal(model.decision_function(lazy), model.decision_function(X))
    assert reads == [1, 288, 288, 288, 136]
    assert model.predict_proba(lazy[:5]).shape == (5, 3)


def test_fits_that_go_on(tmp_path):
    X, y = images()
    lazy = in_file(X, tmp_path)
    warm, cold = (classifier(warm_start=True, batch_size=BATCH) for _ in range(2))
    assert same_model(warm.fit(lazy, y).fit(lazy[:90], y[:90]), cold.fit(X, y).fit(X[:90], y[:90]))
    parts = [slice(0, 50), slice(50, 100), slice(100, N)]
    one, other = (classifier(batch_size=BATCH) for _ in range(2))
    for part in parts:
        one.partial_fit(lazy[part], y[part], classes=np.unique(y))
        other.partial_fit(X[part], y[part], classes=np.unique(y))
    assert same_model(one, other)


# Memory maps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_large_memory_maps_are_read_in_blocks(mode, reads, monkeypatch, tmp_path):
    X, y = images()
    np.save(tmp_path / "cells.npy", X)
    mapped = np.load(tmp_path / "cells.npy", mmap_mode=mode)
    model = classifier(batch_size=BATCH, early_stopping=True)
    expected = clone(model).fit(X, y)
    assert same_model(clone(model).fit(mapped, y), expected)
    assert reads == []
    monkeypatch.setattr(CNNClassifier, "LAZY_BYTES", 1000)
    assert same_model(clone(model).fit(mapped, y), expected)
    assert 0 < max(reads) <= MOST
    reads.clear()
    assert same_model(
        clone(model).fit(X[50:], y[50:], X_val=mapped[:50], y_val=y[:50]),
        clone(model).fit(X[50:], y[50:], X_val=X[:50], y_val=y[:50]),
    )
    assert reads
    np.testing.assert_array_equal(expected.predict_proba(mapped[::-1]), expected.predict_proba(X[::-1]))
    monkeypatch.undo()
    monkeypatch.setattr(CNNClassifier, "LAZY_SHARE", 0)
    assert len(reads) < len([*reads, clone(model).fit(mapped, y)])


# Samplers -------------------------------------------------------------------------------------------------------------


def test_samplers_that_look_at_values_read_all_of_them_and_say_so(reads, tmp_path):
    X, y = images()
    model = classifier(sampler=TomekLinks(sampling_strategy="all"), batch_size=BATCH)
    expected = clone(model).fit(X, y)
    with pytest.warns(LazySamplesWarning, match="TomekLinks.* all training samples are read"):
        assert same_model(model.fit(in_file(X, tmp_path), y), expected)
    assert max(reads) == N


@pytest.mark.parametrize("sampler", [SMOTE(), NDSampler(SMOTE()), RandomOverSampler(shrinkage=0.5)])
def test_samplers_that_make_samples_are_refused_first(sampler, reads, tmp_path):
    X, y = images()
    model, lazy = classifier(sampler=sampler), in_file(X, tmp_path)
    for fit in (lambda: model.fit(lazy, y), lambda: model.partial_fit(lazy, y, classes=np.unique(y))):
        with pytest.raises(ValueError, match=r"sampler=.* makes new samples.*RandomOverSampler.*np\.asarray\(X\)"):
            fit()
    assert reads == [1, 1]  # the first sample, for the checks of its shape


# Searches -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_searches_and_cross_validation(backend, tmp_path):
    import joblib

    X, y = images()
    lazy, groups = in_file(X, tmp_path), np.arange(N) // 3
    cv = StratifiedGroupKFold(2)
    search = GridSearchCV(CNNClassifier(**TINY, early_stopping=True), {"l2": [0, 0.1]}, cv=cv, n_jobs=2)
    with joblib.parallel_config(backend):
        model, expected = (clone(search).fit(samples, y, groups=groups) for samples in (lazy, X))
        predicted = [
            cross_val_predict(search.estimator, samples, y, groups=groups, cv=cv, method="predict_proba", n_jobs=2)
            for samples in (lazy, X)
        ]
    assert same_model(model.best_estimator_, expected.best_estimator_)
    scores = [one.cv_results_["mean_test_score"].tolist() for one in (model, expected)]
    assert scores[0] == scores[1]
    np.testing.assert_array_equal(*predicted)
    train, test, y_train, _ = train_test_split(lazy, y, stratify=y, random_state=0)
    assert clone(search.estimator).fit(train, y_train).predict(test).shape == (len(test),)


# memory= --------------------------------------------------------------------------------------------------------------


def test_checkpoints_are_found_by_content(reads, monkeypatch, tmp_path):
    X, y = images()
    model = classifier(memory=tmp_path / "kept", early_stopping=True, batch_size=BATCH)
    first = clone(model).fit(in_file(X, tmp_path), y)
    lazy, steps = LazySamples(tmp_path / "cells.npy"), []
    monkeypatch.setattr(Program, "steps", lambda *arguments: steps.append(arguments))
    assert same_model(clone(model).fit(lazy, y), first)
    assert steps == []
    n_read = sum(reads)
    assert same_model(clone(model).fit(lazy, y), first)  # by the digests that were kept
    assert sum(reads) - n_read < N
    monkeypatch.undo()
    X[3] += 1
    lazy = in_file(X, tmp_path)
    changed = clone(model).fit(lazy, y)
    assert same_model(changed, clone(model).set_params(memory=None).fit(X, y))
    assert not same_weights(changed, first)


def test_a_file_that_changes_has_other_digests(tmp_path):
    X, _ = images()
    mapped = np.lib.format.open_memmap(tmp_path / "cells.npy", "w+", X.dtype, X.shape)
    mapped[:] = X
    mapped.flush()
    lazy = LazySamples(tmp_path / "cells.npy")
    before = lazy[:9].digests()
    np.testing.assert_array_equal(lazy.digests()[:9], before)
    np.testing.assert_array_equal(lazy[[8, 8, 2]].digests(), before[[8, 8, 2]])
    assert len(np.unique(lazy.digests())) == N - 1
    assert not np.array_equal(lazy.astype("float32").digests(), lazy.digests())
    del mapped
    changed = np.load(tmp_path / "cells.npy", mmap_mode="r+")
    changed[4] += 1
    changed.flush()
    assert (lazy[:9].digests() != before).tolist() == [False] * 4 + [True] + [False] * 4
    unknown = LazySamples(changed).keeping_digests()  # which does not tell when it changes
    assert pickle.loads(pickle.dumps(unknown))._digests is None
    assert pickle.loads(pickle.dumps(lazy))._digests == {}


# Errors and interrupts ------------------------------------------------------------------------------------------------


class Reader:
    """Returns samples by their number, until it comes to a bad one."""

    def __init__(self, X, bad=None, act=None):
        self.X, self.bad, self.act = X, bad, act

    def __call__(self, i):
        if i == self.bad and self.act is not None:
            self.act()
        return self.X[i]


def fail():
    raise OSError("the disk is gone")


def test_an_error_of_a_reader_is_raised_where_the_user_is():
    X, y = images()
    reader = Reader(X, 77)
    lazy = LazySamples(list(range(N)), reader)
    model = classifier(batch_size=BATCH).fit(lazy, y)
    reader.act = fail
    for act in (lambda: clone(model).fit(lazy, y), lambda: model.predict(lazy)):
        with pytest.raises(OSError, match="the disk is gone") as caught:
            act()
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names[-2:] == ["__call__", "fail"]
        assert names.index("work") > 2
    reader.act = None
    assert same_model(clone(model).fit(lazy, y), model)


def test_ctrl_c_while_samples_are_read_leaves_a_whole_model():
    X, y = images()
    epochs = []

    def interrupt():
        epochs.append(1)
        if len(epochs) == 2:
            signal.raise_signal(signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        model = classifier(batch_size=BATCH, epochs=5, standardize=None)
        lazy = LazySamples(list(range(N)), Reader(X, 77, interrupt))
        with pytest.raises(KeyboardInterrupt):
            model.fit(lazy, y)
    finally:
        signal.signal(signal.SIGINT, old)
    assert model.n_iter_ in (0, 1, 2)
    assert len(model.history_["loss"]) == model.n_iter_
    assert model.predict(X).shape == (N,)


def test_a_fit_that_diverges_ends_its_reader(tmp_path):
    X, y = images("float32")
    with pytest.raises(FloatingPointError, match="Training diverged"):
        classifier(optimizer="sgd", learning_rate=1e30, batch_size=BATCH, epochs=9).fit(in_file(X, tmp_path), y)


@pytest.mark.parametrize("change", ["nan", "inf", "large", "no feature", "complex"])
def test_bad_values_are_refused_in_the_same_words(change, tmp_path):
    X, y = images("float64")
    if change == "no feature":
        X = X[:, 0, 0, 0]
    elif change == "complex":
        X = X + 1j
    else:
        X[77, 2, 1] = {"nan": np.nan, "inf": np.inf, "large": 1e300}[change]
    messages = []
    for samples in (X, in_file(X, tmp_path)):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            classifier(batch_size=BATCH).fit(samples, y)
        messages.append(str(caught.value).splitlines()[0])
    assert messages[0] == messages[1]


def test_no_and_other_samples_are_refused_when_predicting(tmp_path):
    X, y = images()
    lazy = in_file(X, tmp_path)
    model = classifier(batch_size=BATCH).fit(lazy, y)
    with pytest.raises(ValueError, match=r"Found array with 0 sample"):
        model.predict(lazy[:0])
    with pytest.raises(ValueError, match=r"samples of shape \(6, 5, 1\), but"):
        model.predict(in_file(X[:, :, :5], tmp_path))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(lazy[:9], y)


def test_blocks_are_read_ahead_and_no_further():
    asked, allowed = [], threading.Semaphore(0)

    def read(i):
        asked.append(i)
        allowed.release()
        return i

    blocks = ahead.read_ahead(read, 9)
    assert next(blocks) == 0
    for _ in range(3):
        assert allowed.acquire(timeout=10)
    assert asked == [0, 1, 2]
    assert [*blocks] == list(range(1, 9))
    assert asked == list(range(9))
    blocks = ahead.read_ahead(read, 9)
    next(blocks)
    blocks.close()
    assert asked[9:] in ([0], [0, 1], [0, 1, 2])


def test_a_backbone_sees_the_scale_of_samples_in_a_file(tmp_path):
    X, y = images("float32", n=20, sample_shape=(32, 32, 3))
    cnn = CNNClassifier(Backbone("MobileNet", weights=None, pooling="max"), batch_size=4, epochs=1, random_state=0)
    lazy = in_file(X, tmp_path)
    expected, model = (clone(cnn).fit(samples, y) for samples in (X, lazy))
    np.testing.assert_array_equal(model.predict_proba(lazy), expected.predict_proba(X))
    with pytest.warns(ScaleWarning, match="values from 0 to 1"):
        clone(cnn).fit(in_file(X / X.max(), tmp_path), y)

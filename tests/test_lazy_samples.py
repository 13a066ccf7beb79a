"""Samples that stay in files: what they are, how they are divided, and that nothing is read before it is asked for."""

import copy
import os
import pickle

import h5py
import joblib
import numpy as np
import pytest
from common import SMALL, same_model
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_validate,
    train_test_split,
)

from skcnn import CNNClassifier
from skcnn.datasets import LazySamples, load_image_folder

N = 20


class Recorder:
    """Reads images, and records which."""

    def __init__(self):
        self.read = []

    def __call__(self, path):
        self.read.append(os.path.basename(path))
        return np.asarray(Image.open(path))[..., None]


class Slices:
    """An array that has slices alone, as other libraries' data sets do."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.asked = array, array.shape, array.dtype, []

    def __getitem__(self, key):
        assert isinstance(key, slice)
        self.asked.append((key.start, key.stop))
        return self.array[key]


@pytest.fixture
def array(rng):
    return rng.integers(0, 256, (N, 6, 4, 1)).astype(np.uint8)


def of_files(array, folder):
    paths = [str(folder / f"{i:02}.png") for i in range(len(array))]
    for path, pixels in zip(paths, array, strict=True):
        Image.fromarray(pixels[..., 0]).save(path)
    return paths


def of_hdf(array, folder):
    with h5py.File(folder / "cells.h5", "w") as file:
        file["some/cells"] = array
    return h5py.File(folder / "cells.h5", "r")["some/cells"]


def of_npy(array, folder):
    np.save(folder / "cells.npy", array)
    return folder / "cells.npy"


MAKE = {
    "path": lambda array, folder: LazySamples(of_npy(array, folder)),
    "text": lambda array, folder: LazySamples(str(of_npy(array, folder))),
    "fortran": lambda array, folder: LazySamples(of_npy(np.asfortranarray(array), folder)),
    "memmap": lambda array, folder: LazySamples(np.load(of_npy(array, folder), mmap_mode="r")),
    "writeable": lambda array, folder: LazySamples(np.load(of_npy(array, folder), mmap_mode="r+")),
    "part": lambda array, folder: LazySamples(
        np.load(of_npy(np.concatenate([array, array, array])[:-7], folder), mmap_mode="r")[N:][:N]
    ),
    "steps": lambda array, folder: LazySamples(np.load(of_npy(np.repeat(array, 2, 0), folder), mmap_mode="r")[::2]),
    "copy on write": lambda array, folder: LazySamples(np.load(of_npy(array, folder), mmap_mode="c")),
    "array": lambda array, folder: LazySamples(array),
    "hdf": lambda array, folder: LazySamples(of_hdf(array, folder)),
    "slices": lambda array, folder: LazySamples(Slices(array)),
    "files": lambda array, folder: LazySamples(of_files(array, folder), Recorder()),
    "view": lambda array, folder: LazySamples(np.repeat(array, 2, 0))[1::2],
}


@pytest.fixture(params=MAKE)
def lazy(request, array, tmp_path):
    return MAKE[request.param](array, tmp_path)


def same(lazy, array):
    return lazy.shape == array.shape and lazy.dtype == array.dtype and np.array_equal(np.asarray(lazy), array)


KEYS = [
    slice(None),
    slice(3, 9),
    slice(None, None, -3),
    slice(5, 5),
    [4, 4, -1, 0],
    np.array([7, 3]),
    np.array([7, 3], np.uint8),
    [],
    np.arange(N) % 3 == 0,
    [True, False] * (N // 2),
    (np.array([2, 1]), Ellipsis),
    (slice(2, 4), Ellipsis),
]


def test_it_has_what_the_array_has(lazy, array):
    assert same(lazy, array)
    assert len(lazy) == N
    assert f"LazySamples ({N}, 6, 4, 1) of uint8 in " in repr(lazy)
    for key in KEYS:
        view = lazy[key]
        assert isinstance(view, LazySamples)
        assert same(view, array[key])
        assert same(view[::-1][:2], array[key][::-1][:2])
    for key in (0, -1, np.int64(3), (5, Ellipsis)):
        np.testing.assert_array_equal(lazy[key], array[key])
    np.testing.assert_array_equal(list(lazy), array)
    assert np.asarray(lazy, np.float32).dtype == np.float32
    assert np.array(lazy).flags.writeable
    with pytest.raises(ValueError, match="have to be read into a new array"):
        lazy.__array__(copy=False)


def test_pickles_hold_where_the_samples_are(lazy, array):
    view = lazy[[3, 1, 2]]
    for again in (pickle.loads(pickle.dumps(view)), copy.deepcopy(view)):
        assert same(again, array[[3, 1, 2]])
    assert same(view, array[[3, 1, 2]])


@pytest.mark.parametrize("kind", ["path", "memmap", "part", "hdf"])
def test_pickles_of_files_are_small_and_reach_other_processes(kind, rng, tmp_path):
    array = rng.integers(0, 256, (N, 60, 40, 1)).astype(np.uint8)
    lazy = MAKE[kind](array, tmp_path)
    assert len(pickle.dumps(lazy)) < 2_000
    results = joblib.Parallel(2)(joblib.delayed(np.asarray)(lazy[rows]) for rows in ([5, 3], [1, 19]))
    np.testing.assert_array_equal(results, [array[[5, 3]], array[[1, 19]]])


@pytest.mark.parametrize("kind", ["path", "memmap"])
def test_a_file_that_was_changed_is_no_longer_the_same(kind, array, tmp_path):
    lazy = MAKE[kind](array, tmp_path)
    pickled = pickle.dumps(lazy)
    np.save(tmp_path / "other.npy", 255 - array)
    os.utime(tmp_path / "other.npy", ns=(0, 0))
    os.replace(tmp_path / "other.npy", tmp_path / "cells.npy")
    with pytest.raises(ValueError, match=r"cells\.npy' was changed since"):
        np.asarray(pickle.loads(pickled))
    assert same(lazy, array)  # this process still has the file that it opened


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (N, f"Index {N} is out of range; there are {N} samples"),
        (-N - 1, "out of range"),
        ([0, N], f"Index {N} is out of range"),
        (np.array([0, -N - 1]), "out of range"),
        (np.ones(N - 1, bool), "mask has 19 entries, expected one for each of 20"),
        (1.0, "is no index of samples"),
        ([0.0, 1.0], "is no index"),
        ("a", "is no index"),
        (None, "is no index"),
        (True, "is no index"),
        ((0, 0), "numpy.asarray reads the samples"),
        ((slice(None), slice(None)), "is no index"),
        (([0], Ellipsis, 0), "is no index"),
        ([[0, 1]], "is no index"),
    ],
)
def test_what_is_no_index_is_refused(key, message, array):
    with pytest.raises(IndexError, match=message):
        LazySamples(array)[key]
    with pytest.raises(IndexError, match=message):
        LazySamples(np.repeat(array, 2, 0))[:N][key]  # not what lies in the source beyond the view


@pytest.mark.parametrize(
    ("source", "reader", "message"),
    [
        (["a.png"], None, "type list; expected the path of a .npy file, .* with reader="),
        ("cells.npz", None, "expected the path of a .npy file"),
        (np.array(3), None, r"shape \(\)"),
        (np.zeros((0, 3)), None, r"shape \(0, 3\)"),
        (np.array(["a"]), None, "holds <U1; expected numbers"),
        (np.array([None]), None, "holds object; expected numbers"),
        ([], len, "an empty list"),
        ("cells.npy", len, "expected a list of files and a callable"),
        (["a.png"], "reader", "expected a list of files and a callable"),
    ],
)
def test_what_is_no_source_is_refused(source, reader, message):
    with pytest.raises(ValueError, match=message):
        LazySamples(source, reader)


def test_files_whose_samples_differ_are_named(array, tmp_path):
    paths = of_files(array, tmp_path)
    Image.new("L", (9, 9)).save(paths[7])
    lazy = LazySamples(paths, Recorder())
    assert np.asarray(lazy[:7]).shape == (7, 6, 4, 1)
    with pytest.raises(ValueError, match=r"07\.png has a sample of shape \(9, 9, 1\) and type uint8, the first file"):
        np.asarray(lazy)


def test_data_sets_are_read_in_runs_of_neighbours(array):
    source = Slices(array)
    assert same(LazySamples(source)[[9, 3, 4, 5, 9, 0]], array[[9, 3, 4, 5, 9, 0]])
    assert source.asked == [(0, 1), (3, 6), (9, 10)]


class Reads(ClassifierMixin, BaseEstimator):
    """Keeps the type of what it is given, and reads two samples of it."""

    def __init__(self, constant=0):
        self.constant = constant

    def fit(self, X, y):
        assert isinstance(X, LazySamples)
        self.classes_, self.first_ = np.unique(y), np.asarray(X[:1])
        return self

    def predict(self, X):
        assert isinstance(X, LazySamples)
        assert np.asarray(X[-1:]).shape == (1, 6, 4, 1)
        return np.full(len(X), self.constant)


def test_scikit_learn_divides_it_without_reading_it(array, tmp_path):
    recorder = Recorder()
    lazy, y, groups = LazySamples(of_files(array, tmp_path), recorder), np.arange(N) % 2, np.arange(N) // 2
    recorder.read.clear()
    train, test, indices, others = train_test_split(lazy, np.arange(N), stratify=y, random_state=0)
    list(StratifiedGroupKFold(5).split(lazy, y, groups))
    assert recorder.read == []
    assert same(train, array[indices])
    assert same(test, array[others])
    recorder.read.clear()
    cv = StratifiedGroupKFold(5)
    search = GridSearchCV(Reads(), {"constant": [0, 1]}, cv=cv, refit=False).fit(lazy, y, groups=groups)
    assert search.cv_results_["mean_test_score"].tolist() == [0.5, 0.5]
    assert len(recorder.read) == 2 * 5 * 2  # what the estimator reads, a sample in fit and one in predict
    assert cross_val_predict(Reads(1), lazy, y, groups=groups, cv=cv).tolist() == [1] * N
    assert len(recorder.read) == 3 * 5 * 2
    DummyClassifier().fit(lazy, y).predict(lazy)
    assert len(recorder.read) == 3 * 5 * 2


def test_estimators_that_take_arrays_read_it(array, tmp_path):
    y = (array.mean(axis=(1, 2, 3)) > np.median(array.mean(axis=(1, 2, 3)))).astype(int)
    lazy = MAKE["path"](array, tmp_path)
    cnn = CNNClassifier(**SMALL)
    assert same_model(copy.deepcopy(cnn).fit(lazy, y), cnn.fit(array, y))
    np.testing.assert_array_equal(cnn.predict_proba(lazy[3:9]), cnn.predict_proba(array[3:9]))
    flat = LazySamples(array.reshape(N, -1))
    scores = [cross_validate(LogisticRegression(), X, y, cv=4)["test_score"].tolist() for X in (flat, np.asarray(flat))]
    assert scores[0] == scores[1]


def test_the_images_of_a_folder_that_lie_in_a_file(array, tmp_path):
    for kind in ("a", "b"):
        (tmp_path / "images" / kind).mkdir(parents=True)
        of_files(array, tmp_path / "images" / kind)
    bunch = load_image_folder(tmp_path / "images", cache=tmp_path / "cells.npy")
    for lazy in (LazySamples(bunch.images), LazySamples(tmp_path / "cells.npy")):
        assert same(pickle.loads(pickle.dumps(lazy)), np.concatenate([array, array]))
    assert len(pickle.dumps(LazySamples(bunch.data))) < 2_000

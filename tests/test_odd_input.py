"""Odd inputs that must be taken, and mean the same to the bit as the plain arrays that they stand for."""

import re
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
from common import TINY, same_weights
from hostile import digest
from hostile_things import Protocol, read_only
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcnn import CNNClassifier, CNNRegressor, diagnose
from skcnn._sklearn.checks import hint_at_layout
from skcnn.exceptions import LayoutWarning, OneHotWarning
from skcnn.networks import Plain
from skcnn.preprocessing import NDTransformer

pytestmark = pytest.mark.usefixtures("programs_stay")

NUMBERS = np.random.default_rng(0).integers(0, 100, (12, 6)).astype("f4")  # which every type holds
NAMES = [f"x{i}" for i in range(6)]
LABELS = np.arange(12) % 3


def on_disk(array, mode="r"):
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, mode, shape=array.shape)


def every_second(array):
    wide = np.full((2 * len(array), 2 * array.shape[1]), np.nan, array.dtype)
    wide[::2, ::2] = array
    return wide[::2, ::2]


REAL = ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "O"]
BIG_ENDIAN = [">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8"]
ODD = {f"type {dtype}": lambda a, dtype=dtype: a.astype(dtype) for dtype in REAL + BIG_ENDIAN}
ODD |= {
    "read-only": lambda a: read_only(a.copy()),
    "memory-mapped": on_disk,
    "memory-mapped float64": lambda a: on_disk(a.astype("f8"), "c"),
    "memory-mapped big-endian": lambda a: on_disk(a.astype(">f4")),
    "strided": every_second,
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "all backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "all backwards uint8": lambda a: a.astype("u1")[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "Fortran float64": lambda a: np.asfortranarray(a, dtype="f8"),
    "not aligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view("f4").reshape(a.shape),
    "lists": lambda a: a.tolist(),
    "lists of integers": lambda a: a.astype(int).tolist(),
    "tuples": lambda a: tuple(map(tuple, a.tolist())),
    "list of arrays": list,
    "masked without a mask": np.ma.array,
    "pandas": pd.DataFrame,
    "pandas with names": lambda a: pd.DataFrame(a, columns=NAMES),
    "pandas of several types": lambda a: pd.DataFrame(
        {
            name: column.astype(dtype)
            for name, column, dtype in zip(NAMES, a.T, ["f8", "i2", "u1", "f2", "O", "f4"], strict=True)
        }
    ),
    "pandas, nullable": lambda a: pd.DataFrame(a).astype("Int64"),
    "pandas, other index": lambda a: pd.DataFrame(a, index=pd.date_range("2020-01-01", periods=12)),
    "pandas, numbers as categories": lambda a: pd.DataFrame(a).astype("category"),
    "pandas, columns of two levels": lambda a: pd.DataFrame(a, columns=pd.MultiIndex.from_product([[0, 1], [0, 1, 2]])),
    "polars": lambda a: pl.DataFrame(a, schema=NAMES),
    "polars of several types": lambda a: pl.DataFrame(
        {"x0": a[:, 0].astype(int), **dict(zip(NAMES[1:], a.T[1:], strict=True))}
    ),
    "tensor": tf.constant,
    "variable": tf.Variable,
    "tensor of integers": lambda a: tf.constant(a, tf.int32),
    "other library": Protocol,
}
SHAPES = {
    "one feature": lambda a: a[:, :1],
    "one step": lambda a: a.reshape(12, 1, 6),
    "one channel": lambda a: a.reshape(12, 6, 1),
    "one pixel": lambda a: a[:, :3].reshape(12, 1, 1, 3),
    "a line": lambda a: a.reshape(12, 1, 6, 1),
    "a volume": lambda a: a.reshape(12, 1, 2, 3, 1),
    "two rows": lambda a: a[:2],
}
VALUES = {
    "constant columns": lambda a: np.where(np.arange(6) < 3, 7, a).astype("f4"),
    "constant": lambda a: np.full_like(a, 7),
    "zeros": np.zeros_like,
    "equal rows": lambda a: a[:1].repeat(12, axis=0),
    "denormal": lambda a: (1e-42 * a.astype("f8")).astype("f4"),
}


# Both kinds read rows with the same code.
@pytest.mark.parametrize(("odd", "kind"), [*((odd, CNNClassifier) for odd in ODD), ("all backwards", CNNRegressor)])
def test_rows_are_as_plain_ones(odd, kind):
    rows = ODD[odd](NUMBERS)
    before = digest(rows)
    plain, part, held_out = plain_ones(kind)
    fitted = kind(**TINY).fit(rows, LABELS)
    assert same_weights(fitted, plain)
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(plain, method):
            np.testing.assert_array_equal(getattr(fitted, method)(rows), getattr(plain, method)(NUMBERS))
    assert fitted.score(rows, LABELS) == plain.score(NUMBERS, LABELS)
    classes = [[0, 1, 2]] if kind is CNNClassifier else []
    np.testing.assert_array_equal(kind(**TINY).partial_fit(rows, LABELS, *classes).predict(rows), part.predict(NUMBERS))
    assert kind(**TINY).fit(NUMBERS, LABELS, X_val=without_names(rows), y_val=LABELS).history_ == held_out.history_
    assert digest(rows) == before


@cache
def plain_ones(kind):
    classes = [[0, 1, 2]] if kind is CNNClassifier else []
    plain, part, held_out = (kind(**TINY) for _ in range(3))
    part.partial_fit(NUMBERS, LABELS, *classes)
    return plain.fit(NUMBERS, LABELS), part, held_out.fit(NUMBERS, LABELS, X_val=NUMBERS, y_val=LABELS)


def without_names(rows):
    """Names that the training rows do not have are an error, as in scikit-learn."""
    return rows.to_numpy() if hasattr(rows, "columns") else rows


def test_booleans_are_zeros_and_ones():
    rows = NUMBERS > 50
    fitted, plain = (CNNClassifier(**TINY).fit(one, LABELS) for one in (rows, rows.astype("f4")))
    np.testing.assert_array_equal(fitted.predict_proba(rows), plain.predict_proba(rows.astype("f4")))


@pytest.mark.parametrize(
    ("shape", "standardize"), [*((one, "position") for one in SHAPES | VALUES), *((one, None) for one in VALUES)]
)
def test_shapes_and_values(shape, standardize):
    """Fitted, finite, and equal for every type and layout; `standardize` is what could divide by nothing."""
    rows = (SHAPES | VALUES)[shape](NUMBERS)
    y = np.arange(len(rows)) % 2
    cnn, other = (CNNClassifier(**TINY, standardize=standardize) for _ in range(2))
    expected = cnn.fit(rows, y).predict_proba(rows)
    assert np.isfinite(expected).all()
    odd = np.asfortranarray(rows.astype(">f8"))[::-1][::-1]
    np.testing.assert_array_equal(other.fit(odd, y).predict_proba(odd), expected)


@pytest.mark.parametrize("odd", ODD)
def test_adapters_and_diagnosis_take_the_same_rows(odd):
    rows = ODD[odd](NUMBERS)
    before = digest(rows)
    scaled = np.asarray(NDTransformer(StandardScaler()).fit_transform(rows), dtype=np.float64)
    expected = StandardScaler().fit_transform(NUMBERS.astype("f8"))
    np.testing.assert_allclose(scaled, expected, atol=2e-3 if odd.endswith("f2") else 1e-5)
    assert digest(rows) == before


def test_values_too_large_to_standardize_are_refused():
    with pytest.raises(ValueError, match="X holds values too large to standardize"):
        CNNClassifier(**TINY, standardize="channel", dtype="float64").fit(1e300 * NUMBERS.astype("f8"), LABELS)


def test_rows_at_which_a_network_overflows_are_refused():
    network = Plain(filters=(4,), activation="exponential", normalization=None)
    cnn = CNNRegressor(network, epochs=1, random_state=0).fit(NUMBERS / 100, LABELS)
    with pytest.raises(ValueError, match=r"X holds values up to 9.*e\+06, at which the network overflows"):
        cnn.predict(1e5 * np.where(np.arange(6) % 2, NUMBERS, -NUMBERS))


LABELS_OF_ANY_KIND = {
    "texts": (np.array(["cat", "dog", "ü"]), None),
    "wide texts": (np.array(["a", "a much longer name", "b"]), None),
    "objects": (np.array(["cat", "dog", "ü"], dtype=object), None),
    "list of texts": (np.array(["a", "b", "c"]), list),
    "booleans": (np.array([False, True]), None),
    "negative": (np.array([-9, -2, 4]), None),
    "far apart": (np.array([-(2**62), 0, 2**62]), None),
    "bytes of numbers": (np.array([3, 200], dtype="u1"), None),
    "small integers": (np.array([-128, 127], dtype="i1"), None),
    "unsigned": (np.array([0, 2**63], dtype="u8"), None),
    "big-endian": (np.array([-9, -2, 4], dtype=">i4"), None),
    "whole floats": (np.array([0.0, 1.0, 5.0]), None),
    "half precision": (np.array([-1.0, 2.0], dtype="f2"), None),
    "series": (np.array([1, 2, 3]), pd.Series),
    "series of texts": (np.array(["a", "b"]), pd.Series),
    "categories": (np.array(["a", "b"]), lambda y: pd.Series(y).astype("category")),
    "nullable": (np.array([1, 2, 3]), lambda y: pd.Series(y).astype("Int64")),
    "nullable booleans": (np.array([False, True]), lambda y: pd.Series(y).astype("boolean")),
    "polars texts": (np.array(["a", "b"]), lambda y: pl.Series("y", y.tolist())),
    "polars numbers": (np.array([4, 7]), lambda y: pl.Series("y", y)),
    "tensor": (np.array([4, 7, 9]), tf.constant),
    "read-only": (np.array([4, 7, 9]), read_only),
    "backwards": (np.array([4, 7, 9]), lambda y: y[::-1].copy()[::-1]),
    "masked without a mask": (np.array([4, 7, 9]), np.ma.array),
}


@pytest.mark.parametrize("kind", LABELS_OF_ANY_KIND)
def test_labels_of_any_kind(kind):
    classes, container = LABELS_OF_ANY_KIND[kind]
    codes = np.arange(12) % len(classes)
    y = classes[codes] if container is None else container(classes[codes])
    before = digest(y)
    cnn, plain = CNNClassifier(**TINY).fit(NUMBERS, y), CNNClassifier(**TINY).fit(NUMBERS, codes)
    np.testing.assert_array_equal(cnn.predict_proba(NUMBERS), plain.predict_proba(NUMBERS))
    np.testing.assert_array_equal(cnn.classes_.tolist(), classes.tolist())
    assert cnn.predict(NUMBERS).tolist() == classes[plain.predict(NUMBERS)].tolist()
    assert cnn.score(NUMBERS, y) == plain.score(NUMBERS, codes)
    held_out = CNNClassifier(**TINY).fit(NUMBERS, y, X_val=NUMBERS, y_val=y)
    assert held_out.history_ == CNNClassifier(**TINY).fit(NUMBERS, codes, X_val=NUMBERS, y_val=codes).history_
    assert digest(y) == before


@pytest.mark.parametrize("classes", [[3, 5, 8], [False, True], [0.5, "a"]])
def test_objects_that_are_no_texts_are_no_labels(classes):
    """As for scikit-learn, whose scores do not take them."""
    y = np.array(classes, dtype=object)[np.arange(12) % len(classes)]
    with pytest.raises(ValueError, match=r"y holds objects .* expected labels that are all numbers or .*astype"):
        CNNClassifier(**TINY).fit(NUMBERS, y)


@pytest.mark.parametrize("dtype", REAL + BIG_ENDIAN)
def test_targets_of_a_regression(dtype):
    y = np.arange(12) * 5.0
    np.testing.assert_array_equal(
        CNNRegressor(**TINY).fit(NUMBERS, y.astype(dtype)).predict(NUMBERS),
        CNNRegressor(**TINY).fit(NUMBERS, y).predict(NUMBERS),
    )


@pytest.mark.parametrize("unit", [2.0**-700, 2.0**-70, 2.0**70, 2.0**700])
def test_regression_does_not_depend_on_the_unit(unit):
    """Units are powers of two, so that every number on the way is the same but for its exponent."""
    y = np.random.default_rng(0).normal(size=12)
    plain, scaled = CNNRegressor(**TINY).fit(NUMBERS, y), CNNRegressor(**TINY).fit(NUMBERS, y * unit)
    np.testing.assert_array_equal(scaled.predict(NUMBERS), plain.predict(NUMBERS) * unit)


WEIGHTS = {
    "integers": lambda w: w.astype(int),
    "big-endian": lambda w: w.astype(">f8"),
    "list": lambda w: w.tolist(),
    "series": pd.Series,
    "polars": lambda w: pl.Series("w", w),
    "tensor": tf.constant,
    "objects": lambda w: w.astype(object),
    "read-only": lambda w: read_only(w.copy()),
    "backwards": lambda w: w[::-1].copy()[::-1],
    "largest": lambda w: w * 2.0**1000,
    "smallest": lambda w: w * 2.0**-1000,
}


@pytest.mark.parametrize("odd", WEIGHTS)
def test_sample_weights_of_any_kind(odd):
    weight = np.arange(12.0) % 4
    one, other = (CNNClassifier(**TINY).fit(NUMBERS, LABELS, w) for w in (weight, WEIGHTS[odd](weight)))
    np.testing.assert_array_equal(one.predict_proba(NUMBERS), other.predict_proba(NUMBERS))


def test_diagnosis_of_odd_rows_is_that_of_plain_ones():
    model = DecisionTreeClassifier(max_depth=1, random_state=0)
    plain = diagnose(model.fit(NUMBERS, LABELS), NUMBERS, LABELS, NUMBERS[:8], LABELS[:8], fast=True)
    for odd in ("all backwards", "lists", "other library"):
        rows = ODD[odd](NUMBERS)
        found = diagnose(model.fit(rows, LABELS), rows, LABELS, ODD[odd](NUMBERS[:8]), LABELS[:8], fast=True)
        assert [(one.check.code, one.state, one.text) for one in found.outcomes] == [
            (one.check.code, one.state, one.text) for one in plain.outcomes
        ], odd


# What is taken for something else, or not at all --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (1, 100), (9, 128), (3, 16, 16), (1, 28, 28), (3, 32, 48)])
def test_axes_in_another_order_are_named(shape):
    assert hint_at_layout(shape).startswith(f"Samples of X have shape {shape}")


def test_axes_in_another_order_are_named_unless_they_are_meant():
    shape = (3, 128)
    X = np.random.default_rng(0).normal(size=(12, *shape))
    with pytest.warns(LayoutWarning, match=re.escape(f"Samples of X have shape {shape}")):
        CNNClassifier(**TINY).fit(X, LABELS)
    CNNClassifier(**TINY, input_shape=shape).fit(X, LABELS)  # as meant: no warning, which would be an error here


@pytest.mark.parametrize("shape", [(30, 20), (50, 12), (128, 9), (8, 8, 1), (32, 32, 3), (100, 1), (4, 4), (3, 8)])
def test_axes_as_they_should_be_are_not(shape):
    assert hint_at_layout(shape) is None


def test_one_hot_classes_are_named():
    X = np.random.default_rng(0).normal(size=(12, 6))
    with pytest.warns(OneHotWarning, match=r"shape \(12, 3\) with a single 1 .* pass y.argmax\(axis=1\)"):
        CNNClassifier(**TINY).fit(X, np.eye(3, dtype=int)[LABELS])
    labels = np.eye(3, dtype=int)[LABELS]
    labels[0] = 1
    CNNClassifier(**TINY).fit(X, labels)


SERIES = [np.ones((n, 2)) for n in (3, 5, 4)] * 4


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (tf.data.Dataset.from_tensor_slices(NUMBERS).batch(4), "partial_fit"),
        ((batch for batch in NUMBERS), "X is a generator.*partial_fit"),
        ({"a": NUMBERS, "b": NUMBERS}, r"X is a dict with the keys \['a', 'b'\].*Join inputs"),
        (SERIES, "3 to 5 steps.*pad_sequences.*Masking"),
        (np.array(SERIES, dtype=object), "3 to 5 steps"),
        (tf.ragged.constant([[1.0], [1.0, 2.0]] * 6), "1 to 2 steps"),
        (np.full((12, 5, 2), np.nan), "NaN.*Masking"),
    ],
    ids=["tf.data", "generator", "dict", "list", "object", "RaggedTensor", "NaN"],
)
def test_what_is_no_array_gets_a_way_out(X, message):
    with pytest.raises((TypeError, ValueError), match=re.compile(message, re.DOTALL)):
        CNNClassifier(**TINY).fit(X, LABELS)


def test_shapes_are_named_where_samples_have_another():
    model = CNNClassifier(**TINY).fit(NUMBERS.reshape(12, 3, 2), LABELS)
    with pytest.raises(ValueError, match=r"samples of shape \(6,\), but CNNClassifier .* samples of shape \(3, 2\)"):
        model.predict(NUMBERS)

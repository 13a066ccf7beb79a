"""What is given for arrays in tests of hostile input: arrays of any kind, what holds one, what holds none; targets."""

import warnings
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from hostile import digest
from hypothesis import strategies as st


class Thing:
    """Something that is given for an array.

    Attributes
    ----------
    how : str
        What it is, in words.
    value : object
        The thing.
    plain : ndarray or None
        The contiguous array of float64 (or labels) that it means; None if it means none.
    """

    def __init__(self, how, value, plain=None):
        self.how, self.value, self.plain = how, value, plain

    def __repr__(self):
        return f"{self.how} {digest(self.value)}"

    @property
    def is_bad(self):
        """Whether no estimator may take it."""
        return (
            self.plain is None
            or not 2 <= self.plain.ndim <= 5
            or not self.plain.size
            or not np.isfinite(self.plain).all()
        )

    @property
    def is_good(self):
        """Whether every estimator must take it."""
        return not self.is_bad and len(self.plain) > 1 and np.abs(self.plain).max() < 1e6

    @property
    def value_is_whole(self):
        dtype = getattr(self.value, "dtype", None)
        return isinstance(dtype, np.dtype) and dtype.kind in "biu"

    @property
    def n_rows(self):
        return 12 if self.plain is None or self.plain.ndim == 0 else len(self.plain)


class Protocol:
    """An array of another library, as NumPy sees it."""

    def __init__(self, array):
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype=dtype)


class Broken:
    """Claims to be an array, and is none."""

    shape = (12, 6)

    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return 12

    def __array__(self, dtype=None, copy=None):
        if self.kind is Exception:
            return "no array"
        raise self.kind("the device is gone")


def itself():
    endless = []
    endless.append(endless)
    return endless


SHAPES = [(6,), (6,), (6,), (3, 2), (1,), (2, 2, 1), (2, 1, 1, 2), (1, 1), (0,), (3, 0), (2, 0, 1), (), (2, 1, 1, 1, 1)]
VALUES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "small integers": lambda rng, shape: rng.integers(0, 100, shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, 7.0),
    "zero": lambda rng, shape: np.zeros(shape),
    "a nan": lambda rng, shape: with_one(rng, shape, np.nan),
    "an infinity": lambda rng, shape: with_one(rng, shape, -np.inf),
    "denormal": lambda rng, shape: 1e-42 * rng.integers(0, 100, shape),
    "1e38": lambda rng, shape: 1e38 * rng.uniform(-1, 1, shape),
    "1e300": lambda rng, shape: 1e300 * rng.uniform(0.1, 1, shape),
}
REAL = ["f4", "f8", "f2", "g", ">f4", ">f8", ">i2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "O"]
UNREAL = ["c8", "c16", "U", "S", "M8[s]", "m8[s]", "structured", "V4"]
LAYOUTS = {
    "contiguous": lambda array: array,
    "Fortran": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=0)[::2],
    "reversed": lambda array: np.ascontiguousarray(array[::-1])[::-1],
    "read-only": lambda array: read_only(array.copy()),
}


def with_one(rng, shape, value):
    values = rng.normal(size=shape)
    if values.size:
        values.flat[values.size // 2] = value
    return values


def read_only(array):
    array.flags.writeable = False
    return array


def of_type(values, dtype):
    with np.errstate(all="ignore"):
        if dtype == "structured":
            array = np.zeros(values.shape, [("a", "f4"), ("b", "i4")])
            array["a"] = values
            return array
        if dtype in ("U", "S", "V4", "M8[s]", "m8[s]"):
            whole = np.nan_to_num(values, posinf=0, neginf=0).clip(-1e6, 1e6).astype("i4")
            return whole.astype("U") if dtype == "U" else whole.view("V4") if dtype == "V4" else whole.astype(dtype)
        if np.dtype(dtype).kind in "iu":
            info = np.iinfo(dtype)
            values = np.clip(np.nan_to_num(values, posinf=0, neginf=0), float(info.min), float(info.max) / 2)
        return values.astype(dtype)


@st.composite
def arrays(draw, dtypes=(*REAL, *UNREAL), rows=(0, 1, 2, 11, 12, 12, 12)):
    """Arrays of any shape, type, layout and kind of values."""
    n, tail = draw(st.sampled_from(rows)), draw(st.sampled_from(SHAPES))
    kind, dtype = draw(st.sampled_from(sorted(VALUES))), draw(st.sampled_from(list(dtypes)))
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    array = LAYOUTS[layout](of_type(VALUES[kind](rng, (n, *tail)), dtype))
    return Thing(f"{layout} array of {kind}, {dtype}, {array.shape}", array, plain_of(array))


def plain_of(array):
    """Return the contiguous float64 array of the same numbers, None if they are none."""
    if array.dtype.kind not in "biufO":
        return None
    return np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)


CONTAINERS = {
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "list of arrays": list,
    "object array": lambda a: a.astype(object),
    "masked without a mask": np.ma.array,
    "data frame": pd.DataFrame,
    "data frame with names": lambda a: pd.DataFrame(a, columns=[f"x{i}" for i in range(a.shape[1])]),
    "data frame of several types": lambda a: pd.DataFrame(
        {f"x{i}": c.astype(["f4", "f8"][i % 2]) for i, c in enumerate(a.T)}
    ),
    "nullable data frame": lambda a: pd.DataFrame(a).astype("Float64"),
    "categories that are numbers": lambda a: pd.DataFrame(a).astype("category"),
    "polars": lambda a: pl.DataFrame(np.ascontiguousarray(a), schema=[f"x{i}" for i in range(a.shape[1])]),
    "array protocol": Protocol,
    "tensor": lambda a: tensorflow().constant(a),
    "variable": lambda a: tensorflow().Variable(a),
}
NO_ARRAYS = {
    "nothing": lambda a: None,
    "text": lambda a: "hello",
    "bytes": lambda a: b"hello",
    "number": lambda a: 3.5,
    "dict": lambda a: {"a": [1, 2]},
    "set": lambda a: {1, 2},
    "generator": lambda a: (row for row in a),
    "function": lambda a: len,
    "class": lambda a: np.ndarray,
    "ragged lists": lambda a: [[1.0, 2.0], [3.0]] * 6,
    "ragged array": lambda a: np.array([np.zeros(2), np.zeros(3)] * 6, dtype=object),
    "list within itself": lambda a: itself(),
    "Nones": lambda a: np.full(a.shape, None),
    "huge integers": lambda a: [[10**400] * 6] * 12,
    "masked": lambda a: np.ma.array(a, mask=a > 0),
    "matrix": lambda a: matrix(a),
    "CSR matrix": sp.csr_matrix,
    "COO array": sp.coo_array,
    "CSC array": sp.csc_array,
    "sparse data frame": lambda a: pd.DataFrame(a).astype(pd.SparseDtype(float, 0.0)),
    "categories": lambda a: pd.DataFrame({"a": pd.Categorical(list("ab") * 6), "b": 1.0}),
    "missing values": lambda a: pd.DataFrame(a).mask(a > 0),
    "missing nullable values": lambda a: pd.DataFrame(a).astype("Float64").mask(a > 0),
    "dates": lambda a: pd.DataFrame({"a": pd.date_range("2020-01-01", periods=12)}),
    "periods": lambda a: pd.DataFrame({"a": pd.period_range("2020-01-01", periods=12)}),
    "columns of one name": lambda a: pd.DataFrame(a[:, :2], columns=["a", "a"]),
    "names of two types": lambda a: pd.DataFrame(a[:, :2], columns=["a", 1]),
    "series": lambda a: pd.Series(a[:, 0]),
    "polars nulls": lambda a: pl.DataFrame({"a": [1.0, None] * 6}),
    "polars texts": lambda a: pl.DataFrame({"a": ["x", "y"] * 6}),
    "polars dates": lambda a: pl.DataFrame({"a": [date(2020, 1, 1)] * 12}),
    "polars lists": lambda a: pl.DataFrame({"a": [[1.0, 2.0]] * 12}),
    "polars, lazy": lambda a: pl.DataFrame({"a": [1.0, 2.0] * 6}).lazy(),
    "polars series": lambda a: pl.Series("a", [1.0, 2.0] * 6),
    "ragged tensor": lambda a: tensorflow().ragged.constant([[1.0, 2.0], [3.0]] * 6),
    "sparse tensor": lambda a: tensorflow().sparse.from_dense(a),
    "tensor of texts": lambda a: tensorflow().constant([["a", "b"]] * 12),
    "tensor of bfloat16": lambda a: tensorflow().cast(a, "bfloat16"),
    "symbolic tensor": lambda a: keras().Input((6,)),
    "data set": lambda a: tensorflow().data.Dataset.from_tensor_slices(a),
    "broken protocol, RuntimeError": lambda a: Broken(RuntimeError),
    "broken protocol, AttributeError": lambda a: Broken(AttributeError),
    "broken protocol, KeyError": lambda a: Broken(KeyError),
    "protocol without an array": lambda a: Broken(Exception),
}


def matrix(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asmatrix(table)


def tensorflow():
    import tensorflow as tf

    return tf


def keras():
    import keras

    return keras


@st.composite
def containers(draw):
    """Things that hold a table of numbers, and mean it."""
    kind = draw(st.sampled_from(sorted(CONTAINERS)))
    table = np.random.default_rng(draw(st.integers(0, 9))).normal(size=(12, draw(st.sampled_from([6, 6, 1, 4]))))
    return Thing(kind, CONTAINERS[kind](table), table)


@st.composite
def no_arrays(draw):
    """Things that hold no rows of numbers."""
    kind = draw(st.sampled_from(sorted(NO_ARRAYS)))
    table = np.random.default_rng(draw(st.integers(0, 9))).normal(size=(12, 6))
    return Thing(kind, NO_ARRAYS[kind](table))


def things():
    """All of them."""
    return arrays() | containers() | no_arrays()


# Targets of n rows, and what is none.
JUNK_LABELS = {
    "integers": lambda n: np.arange(n) % 3,
    "negative integers": lambda n: -(np.arange(n) % 3) - 5,
    "booleans": lambda n: np.arange(n) % 2 == 0,
    "texts": lambda n: np.array(["b", "a", "ü"])[np.arange(n) % 3],
    "bytes": lambda n: np.array([b"b", b"a"])[np.arange(n) % 2],
    "objects": lambda n: np.array(["b", "a", "ü"], dtype=object)[np.arange(n) % 3],
    "whole floats": lambda n: (np.arange(n) % 3).astype(float),
    "small floats": lambda n: (np.arange(n) % 2).astype("f2"),
    "big-endian": lambda n: (np.arange(n) % 3).astype(">i4"),
    "one column": lambda n: (np.arange(n) % 3)[:, None],
    "indicators": lambda n: np.stack([np.arange(n) % 2, np.arange(n) % 3 == 0], axis=1).astype(int),
    "list": lambda n: (np.arange(n) % 3).tolist(),
    "list of texts": lambda n: ["ab"[i % 2] for i in range(n)],
    "series": lambda n: pd.Series(np.arange(n) % 3),
    "categories": lambda n: pd.Series(np.array(["b", "a"])[np.arange(n) % 2], dtype="category"),
    "nullable": lambda n: pd.Series(np.arange(n) % 2, dtype="Int64"),
    "polars": lambda n: pl.Series("y", ["ab"[i % 2] for i in range(n)]),
    "data frame": lambda n: pd.DataFrame({"y": np.arange(n) % 3}),
    "one class": lambda n: np.zeros(n),
    "a class a row": np.arange,
    "fractions": lambda n: np.arange(n) / 7,
    "tiny fractions": lambda n: np.arange(n) * 1e-20,
    "large numbers": lambda n: np.arange(n) * 1e30 + 0.5,
    "too large numbers": lambda n: np.arange(n) * 1e300 + 0.5,
    "denormal": lambda n: np.arange(n) * 1e-310,
    "half precision": lambda n: (np.arange(n) * 5000.25).astype("f2"),
    "a nan": lambda n: np.r_[np.nan, np.arange(n - 1) % 2],
    "an infinity": lambda n: np.r_[np.inf, np.arange(n - 1) % 2],
    "nan among objects": lambda n: np.array([np.nan, *["ab"[i % 2] for i in range(n - 1)]], dtype=object),
    "None among objects": lambda n: np.array([None, *["ab"[i % 2] for i in range(n - 1)]], dtype=object),
    "mixed types": lambda n: np.array(["a", 1, 2.5] * n, dtype=object)[:n],
    "missing": lambda n: pd.Series([1, None, 0] * n, dtype="Int64")[:n],
    "masked": lambda n: np.ma.array(np.arange(n) % 2, mask=np.arange(n) == 3),
    "complex": lambda n: (np.arange(n) % 2).astype(complex),
    "dates": lambda n: np.datetime64("2020-01-01") + np.arange(n) % 2,
    "spans": lambda n: np.arange(n).astype("m8[s]"),
    "structured": lambda n: np.zeros(n, [("a", int)]),
    "multiclass in columns": lambda n: np.stack([np.arange(n) % 3, np.arange(n) % 4], axis=1),
    "three axes": lambda n: np.zeros((n, 2, 1)),
    "no columns": lambda n: np.zeros((n, 0)),
    "sparse": lambda n: sp.csr_matrix(np.eye(n, 3)),
    "scalar": lambda n: 1,
    "text": lambda n: "target",
    "nothing": lambda n: None,
    "dict": lambda n: dict.fromkeys(range(n), 1),
    "sets": lambda n: [{1}, {2, 3}] * (n // 2),
    "ragged": lambda n: [[1, 2], [1]] * (n // 2),
    "lists": lambda n: np.array([[], [1]] * (n // 2), dtype=object),
    "huge integers": lambda n: [10**400, 1] * (n // 2),
    "generator": lambda n: (i for i in range(n)),
}

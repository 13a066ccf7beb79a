"""Rows, targets and what comes with them, of any kind: a right result, or an error that names the argument."""

import importlib
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from common import TINY, same_weights
from hostile import N_CASES, cases, judge, refused
from hostile_things import JUNK_LABELS, Thing, arrays, things
from hypothesis import strategies as st

from skcnn import CNNClassifier, CNNRegressor

X = np.random.default_rng(0).normal(size=(12, 6))
Y = np.arange(12) % 2
pytestmark = pytest.mark.usefixtures("programs_stay")
classifier, regressor = partial(CNNClassifier, **TINY), partial(CNNRegressor, **TINY)


def judged_rows(thing, call, *names, good=True):
    """Judge a call with rows, and say whether it was refused, as bad rows must be and good ones must not."""
    result = judge(lambda: call(thing.value), *names, given=[thing.value], diverges=True)
    assert not (refused(result) and good and thing.is_good), result
    assert refused(result) or not thing.is_bad, "was taken"
    return result


# Rows ---------------------------------------------------------------------------------------------------------------


@cases(250, least=220, thing=things(), kind=st.sampled_from([classifier, classifier, regressor]))
def test_fit(thing, kind):
    y = np.arange(thing.n_rows) % 2
    result = judged_rows(thing, lambda rows: kind().fit(rows, y), "X", *["y"] * (len(y) < 2))
    if refused(result):
        return
    same = kind().fit(thing.plain, y)
    np.testing.assert_array_equal(result.predict(thing.value), same.predict(thing.plain))
    assert same_weights(result, same)


@cases(120, thing=things(), kind=st.sampled_from([classifier, regressor]))
def test_partial_fit(thing, kind):
    y = np.arange(thing.n_rows) % 2
    more = {"classes": [0, 1]} if kind is classifier else {}
    result = judged_rows(thing, lambda rows: kind().partial_fit(rows, y, **more), "X")
    if not refused(result):
        same = kind().partial_fit(thing.plain, y, **more)
        np.testing.assert_array_equal(result.predict(thing.value), same.predict(thing.plain))


FITTED = {}


def fitted(kind, shape):
    """Return an estimator fitted on rows of this shape."""
    if (kind, shape) not in FITTED:
        rows = np.random.default_rng(1).normal(size=(12, *shape))
        FITTED[kind, shape] = kind().fit(rows, Y)
    return FITTED[kind, shape]


@cases(
    500,
    thing=things(),
    kind=st.sampled_from([classifier, regressor]),
    method=st.sampled_from(["predict", "predict_proba", "decision_function", "predict_log_proba", "score"]),
)
def test_predict(thing, kind, method):
    kind = kind if method in ("predict", "score") else classifier
    estimator = fitted(kind, (6,) if thing.is_bad else thing.plain.shape[1:])
    more = [np.arange(thing.n_rows) % 2] if method == "score" else []
    result = judged_rows(thing, lambda rows: getattr(estimator, method)(rows, *more), "X")
    if not refused(result):
        np.testing.assert_array_equal(result, getattr(estimator, method)(thing.plain, *more))
        assert np.isfinite(result).all()


@cases(60, thing=arrays(dtypes=["f4", "i2", "O"]), kind=st.sampled_from([classifier, regressor]))
def test_rows_of_another_shape(thing, kind):
    estimator = fitted(kind, (6,))
    result = judged_rows(thing, estimator.predict, "X", good=False)
    assert refused(result) == (thing.is_bad or thing.plain.shape[1:] != (6,) or refused(result))
    unfitted = judge(lambda: kind().predict(thing.value), "fitted")
    assert refused(unfitted)


# Targets ------------------------------------------------------------------------------------------------------------

BAD_LABELS = [  # for a classifier
    *("one class", "fractions", "large numbers", "too large numbers", "a nan", "an infinity"),
    *(
        "nan among objects",
        "None among objects",
        "mixed types",
        "missing",
        "masked",
        "complex",
        "multiclass in columns",
    ),
    *("three axes", "no columns", "sparse", "scalar", "text", "nothing", "dict", "sets", "ragged", "generator"),
    *("structured", "lists", "tiny fractions", "denormal", "bytes", "huge integers"),
]
BAD_NUMBERS = [  # for a regressor
    *("texts", "objects", "list of texts", "categories", "polars", "a nan", "an infinity", "bytes"),
    *("nan among objects", "None among objects", "mixed types", "missing", "masked", "complex", "dates", "spans"),
    *("structured", "three axes", "no columns", "sparse", "scalar", "text", "nothing", "dict", "sets", "ragged"),
    *("generator", "lists", "huge integers"),
]
# Targets that stand for these, but for the numbers behind them.
EQUAL = {
    "negative integers": lambda n: 2 - np.arange(n) % 3,
    "booleans": lambda n: (np.arange(n) % 2 == 0).astype(int),
    "texts": lambda n: np.array([1, 0, 2])[np.arange(n) % 3],
    "objects": lambda n: np.array([1, 0, 2])[np.arange(n) % 3],
    "categories": lambda n: 1 - np.arange(n) % 2,
    "list of texts": lambda n: np.arange(n) % 2,
    "polars": lambda n: np.arange(n) % 2,
    "small floats": lambda n: np.arange(n) % 2,
    "nullable": lambda n: np.arange(n) % 2,
}
EQUAL |= dict.fromkeys(
    ["whole floats", "big-endian", "one column", "list", "series", "data frame"], JUNK_LABELS["integers"]
)


@st.composite
def targets(draw, rows=(12, 12, 12, 10, 14)):
    """Targets of any kind, for 12 rows."""
    kind, n = draw(st.sampled_from(sorted(JUNK_LABELS))), draw(st.sampled_from(rows))
    return Thing(f"{kind} of {n}", JUNK_LABELS[kind](n), np.empty(n))


def kind_of(thing):
    return thing.how.rpartition(" of ")[0]


@cases(180, thing=targets(), regression=st.booleans(), partial=st.booleans())
def test_targets(thing, regression, partial):
    estimator = regressor() if regression else classifier()
    fit, kind = estimator.partial_fit if partial else estimator.fit, kind_of(thing)
    more = {"classes": [0, 1, 2]} if partial and not regression else {}
    result = judge(lambda: fit(X, thing.value, **more), "y", given=[X, thing.value])
    bad = kind in (BAD_NUMBERS if regression else BAD_LABELS) or thing.n_rows != 12
    if refused(result):
        assert bad or more, result
        return
    assert not bad or (more and kind in ("one class", "a nan")), kind
    assert np.shape(result.predict(X))[0] == 12
    if kind in EQUAL and not regression and not partial:
        codes = EQUAL[kind](12)
        same = classifier().fit(X, codes)
        np.testing.assert_array_equal(result.predict_proba(X), same.predict_proba(X))
        np.testing.assert_array_equal(result.classes_[same.predict(X)], result.predict(X))
    elif regression:
        numbers = np.asarray(thing.value, dtype=np.float64)
        same = regressor().fit(X, numbers[:, 0] if kind == "one column" or kind == "data frame" else numbers)
        np.testing.assert_array_equal(result.predict(X), same.predict(X))
        assert np.isfinite(result.predict(X)).all()


@cases(60, thing=targets(), regression=st.booleans())
def test_targets_to_score(thing, regression):
    """What they are is for scikit-learn's metrics to judge; they are handed over as they are, and stay so."""
    estimator = fitted(regressor if regression else classifier, (6,))
    if kind_of(thing) not in ("generator", "text", "sets", "dict", "lists", "scalar", "structured"):
        before = repr(thing)
        with np.errstate(all="ignore"), suppress(ValueError, TypeError):
            estimator.score(X, thing.value)
        assert repr(thing) == before


@cases(120, X_val=things(), y_val=targets(rows=(12, 12, 5)), regression=st.booleans(), which=st.sampled_from("Xyb"))
def test_validation_data(X_val, y_val, regression, which):
    X_given = X_val if which in "Xb" else Thing("rows", X, X)
    y_given = y_val if which in "yb" else Thing("labels of 12", (np.arange(X_given.n_rows) % 3))
    fit = (regressor() if regression else classifier()).fit
    y = np.arange(12) % 3
    names = ["X_val"] * (which in "Xb") + ["y_val"] * (which in "yb")
    result = judge(
        lambda: fit(X, y, X_val=X_given.value, y_val=y_given.value),
        *names,
        given=[X, y, X_given.value, y_given.value],
        diverges=True,
    )
    if not refused(result):
        assert not X_given.is_bad
        assert X_given.plain.shape[1:] == (6,)
        assert np.isfinite(result.history_["val_loss"]).all()
    elif which == "X":
        assert X_given.is_bad or not X_given.is_good or X_given.plain.shape[1:] != (6,), result


# What comes with them -----------------------------------------------------------------------------------------------

BESIDE = {
    **JUNK_LABELS,
    "negative": lambda n: np.arange(n) - 1.0,
    "zeros": np.zeros,
    "one": lambda n: 1.5,
    "true": lambda n: True,
    "huge": lambda n: np.full(n, 1e308),
    "denormal weights": lambda n: np.full(n, 5e-324),
    "column": lambda n: np.ones((n, 1)),
    "tensor": lambda n: __import__("tensorflow").ones(n),
    "decimals": lambda n: np.array([__import__("decimal").Decimal(1)] * n),
}


@cases(
    220,
    kind=st.sampled_from(sorted(BESIDE)),
    n=st.sampled_from([12, 12, 11, 0]),
    name=st.sampled_from(["sample_weight", "groups", "sample_weight_val", "classes"]),
)
def test_what_comes_with_the_rows(kind, n, name):
    try:
        value = BESIDE[kind](n)
    except (ValueError, IndexError):  # of no rows
        return
    more = {name: value} | ({"X_val": X, "y_val": Y} if name.endswith("_val") else {})
    estimator = classifier(early_stopping=name == "groups" or "auto")
    fit = estimator.partial_fit if name == "classes" else estimator.fit
    names = (name, "y") if name == "classes" else (name, "early")
    result = judge(lambda: fit(X, Y, **more), *names, given=[X, Y, value])
    if not refused(result) and name.startswith("sample_weight"):
        weight = np.broadcast_to(np.asarray(value, dtype=float), 12) if kind != "nothing" else None
        same = classifier(early_stopping="auto").fit(X, Y, **more | {name: weight})
        np.testing.assert_array_equal(result.predict_proba(X), same.predict_proba(X))


def test_there_are_enough_cases():
    """Each property asserts that it has run as many as it declares."""
    for others in ("parameters", "adapters", "command"):
        importlib.import_module(f"test_hostile_{others}")
    assert sum(N_CASES.values()) >= 2000
    assert len({name.partition(".")[0] for name in N_CASES}) == 4

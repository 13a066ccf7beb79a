"""Every parameter out of its range, of another type, or huge: a fitted network, or an error that names it."""

import contextlib
import io
import os
import resource
from datetime import date
from decimal import Decimal
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from hostile import cases, judge, refused
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE, RandomOverSampler

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import FCN, ImageResNet, Inception, Plain, ResNet

X = np.random.default_rng(0).normal(size=(12, 6))
Y = np.arange(12) % 2
KINDS = {"classifier": CNNClassifier, "regressor": CNNRegressor}
HUGE = 10**12


class Duck:
    """Has every method that a parameter is asked for, and does nothing right."""

    def fit(self, *args, **params):
        return self

    fit_resample = transform = call = get_config = fit

    def __repr__(self):
        return "Duck()"


class Text(os.PathLike):
    def __fspath__(self):
        return b"bytes"


JUNK = {
    "-1": -1,
    "-0.5": -0.5,
    "0": 0,
    "1": 1,
    "1.5": 1.5,
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "1e38": 1e38,
    "1e300": 1e300,
    "10**400": 10**400,
    "huge": HUGE,
    "np.float64(-1)": np.float64(-1),
    "np.float32(nan)": np.float32("nan"),
    "np.array(1)": np.array(1),
    "np.array([1, 2])": np.array([1, 2]),
    "Decimal": Decimal("0.5"),
    "complex": 1j,
    "True": True,
    "None": None,
    "empty text": "",
    "text": "nonsense",
    "null byte": "a\0b",
    "bytes": b"plain",
    "list": [],
    "list of numbers": [1, 2.5],
    "list of texts": ["a", "b"],
    "list of lists": [[1], [2, 3]],
    "list of None": [None],
    "tuple": (),
    "nested tuple": ((6, 1), (2,)),
    "fractions": (2.5, 1.0),
    "negative sizes": (-6, -1),
    "huge sizes": (2**32, 2**32, 6),
    "dict": {},
    "dict of texts": {0: "a", 1: "b"},
    "dict of nan": {0: np.nan},
    "dict of None": {0: None, 1: 1},
    "dict of other labels": {"cat": 1},
    "dict of huge": {0: 1e308, 1: 1e308},
    "dict of zeros": {0: 0, 1: 0},
    "set": {0.5},
    "range": range(2),
    "slice": slice(2),
    "ellipsis": Ellipsis,
    "missing": pd.NA,
    "date": date(2020, 1, 1),
    "generator": np.random.default_rng(0),
    "object": Duck(),
    "function": len,
    "class": RandomOverSampler,
    "network class": Plain,
    "type": int,
    "path of bytes": Text(),
    "estimator": RandomOverSampler(),
    "bad sampler": SMOTE(k_neighbors=100),
    "layer": keras.layers.Flatten(),
    "model": keras.Sequential([keras.Input((6, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]),
}
PARAMS = [(kind, name) for kind in KINDS for name in sorted(KINDS[kind]().get_params(deep=False))]
# Of these, no parameter may take any.
BAD = ["nan", "np.float32(nan)", "-inf", "inf", "10**400", "complex", "Decimal", "bytes", "ellipsis", "slice", "date"]
BAD += ["np.float64(-1)", "np.array(1)", "missing", "set"]


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory, programs_stay):
    """A folder for what `memory` is given."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("memory"))
    yield
    os.chdir(here)


def tiny(kind, **params):
    base = {"network": Plain(filters=(2,)), "batch_size": 8, "random_state": 0, "n_iter_no_change": 1}
    # So that huge numbers of epochs end, and every parameter of early stopping counts.
    base |= {"epochs": 2, "early_stopping": True, "tol": 1e30}
    return KINDS[kind](**base | params)


def tried(kind, name, value, bad, **judged):
    """Fit with a value of a parameter; it must be taken and right, or be refused in words that name it."""
    estimator = tiny(kind, **{name: value})
    result = judge(lambda: estimator.fit(X, Y), name, given=[X, Y], **judged)
    assert estimator.get_params(deep=False)[name] is value
    if not refused(result):
        assert not bad, f"{name}={value!r} was taken"
        assert np.isfinite(result.predict_proba(X) if kind == "classifier" else result.predict(X)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_with_every_value(kind, capsys):
    names = sorted(KINDS[kind]().get_params(deep=False))
    shared, n_tried = CNNClassifier().get_params(deep=False) if kind == "regressor" else (), 0
    for i, name in enumerate(names):
        for j, value in enumerate(JUNK):
            if name in shared and (i + j) % 3:
                continue  # the same code as of the classifier, to which all values are given
            if name == "scoring" and value in ("layer", "model"):
                continue  # it is code of the user, who is shown where it fails
            bad = value in BAD and (name, value) != ("verbose", "10**400")
            tried(kind, name, JUNK[value], bad, diverges=value in ("1e38", "huge"))
            n_tried += 1
    assert n_tried > (700 if shared else 2000)


NUMBERS = (
    st.floats() | st.integers() | st.floats(width=16) | st.sampled_from([2.0**-149, 5e-324, 1 - 1e-16, 2**63, 2**31])
)


@cases(300, param=st.sampled_from(PARAMS), value=NUMBERS | st.text() | st.lists(st.integers(-2, 7), max_size=4))
def test_numbers_and_texts(param, value):
    kind, name = param
    if name == "memory" and isinstance(value, str):
        value = value.replace("/", "_").replace(".", "_")  # stays in its folder
    with contextlib.redirect_stdout(io.StringIO()):  # of verbose
        tried(kind, name, value, isinstance(value, float) and not np.isfinite(value), diverges=True)


NETWORKS = [
    Plain(filters=(2,)),
    FCN(filters=(2,), kernel_sizes=(3,)),
    ResNet(filters=(2,), kernel_sizes=(3,)),
    Inception(depth=1, filters=2, kernel_sizes=(3,)),
    ImageResNet(filters=2),
]
NESTED = [(i, name) for i, network in enumerate(NETWORKS) for name in sorted(network.get_params())]


@cases(200, param=st.sampled_from(NESTED), value=st.sampled_from(sorted(JUNK)))
def test_parameters_of_networks(param, value):
    network, name = NETWORKS[param[0]], param[1]
    rows = X if param[0] < 4 else np.zeros((12, 4, 4, 1)) + np.arange(12)[:, None, None, None]
    cnn = tiny("classifier", network=type(network)(**network.get_params() | {name: JUNK[value]}))
    names = (name, "kernel_sizes") if name == "filters" else (name,)  # as many of the one as of the other
    result = judge(lambda: cnn.fit(rows, Y), *names, given=[rows, Y], diverges=True)
    assert refused(result) or value not in BAD, "was taken"


# Huge ---------------------------------------------------------------------------------------------------------------


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("params", [{}, {"balanced_batches": True}, {"balanced_batches": True, "resample": "epoch"}])
def test_huge_batches_are_one_batch(params):
    small, huge = (tiny("classifier", **params | {"batch_size": size}) for size in (12, HUGE))
    np.testing.assert_array_equal(huge.fit(X, Y).predict_proba(X), small.fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "plateau"])
def test_huge_numbers_of_epochs_take_no_memory(schedule):
    tiny("classifier", schedule=schedule).fit(X, Y)
    before = peak_mib()
    cnn = tiny("classifier", schedule=schedule, epochs=2**63 - 1, n_iter_no_change=3).fit(X, Y)
    assert cnn.n_iter_ == 4
    assert peak_mib() - before < 50


class Impatient(keras.callbacks.Callback):
    """Presses Ctrl-C."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("params", [{"early_stopping": False}, {"n_iter_no_change": HUGE}])
def test_huge_numbers_of_epochs_are_interrupted(params):
    cnn = tiny("classifier", epochs=HUGE, callbacks=[Impatient()], **params)
    with pytest.raises(KeyboardInterrupt):
        cnn.fit(X, Y)
    assert cnn.n_iter_ == 3
    assert cnn.predict(X).shape == (12,)

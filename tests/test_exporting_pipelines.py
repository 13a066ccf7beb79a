"""What skl2onnx knows is exported whole, with the network inside, if the file answers as the estimator does."""

import json
import sys

import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from common import classifier, regressor
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
)

from skcnn import CNNClassifier, export
from skcnn.persistence import register_skl2onnx
from skcnn.preprocessing import ChannelsLast, NDTransformer, StandardNormalVariate
from skcnn.sampling import Pipeline
from skcnn.scikeras import KerasClassifier, KerasRegressor, convert

# Of skl2onnx, whose voting adds a value that nobody reads, and of scikit-learn, which it calls in old ways.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning")

NAMES = [f"p{i}" for i in range(64)]
WORDS = np.array(["three", "one", "two"])


def flat(**parameters):
    return classifier(input_shape=(8, 8, 1), **parameters)


def gelu(input_shape, n_outputs):
    layers = [keras.layers.Conv2D(4, 3, activation="gelu"), keras.layers.Flatten(), keras.layers.Dense(n_outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


def lstm(input_shape, n_outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.LSTM(4), keras.layers.Dense(n_outputs)])


def scikeras_model(meta):
    binary = meta["target_type_"] == "binary"
    ending = [keras.layers.Dense(1, "sigmoid" if binary else None)]
    return keras.Sequential([keras.Input(meta["X_shape_"][1:]), keras.layers.Dense(4, "tanh"), *ending])


def by_columns():
    halves = [("a", StandardScaler(), NAMES[:32]), ("b", PowerTransformer(), NAMES[32:])]
    return make_pipeline(ColumnTransformer(halves), flat())


def mixed():
    kinds = [("number", make_pipeline(SimpleImputer(), PowerTransformer()), ["a", "b"])]
    kinds += [("word", OneHotEncoder(), ["word"]), ("count", OneHotEncoder(), ["count"])]
    return make_pipeline(ColumnTransformer(kinds), classifier())


def thresholded(threshold=0.2, **parameters):
    return FixedThresholdClassifier(flat(), threshold=threshold, **parameters)


def of(X, y):
    """Each case: an estimator, samples and targets."""
    rows, binary = X.reshape(len(X), -1), (y > 1).astype(int)
    gaps = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    frame = pd.DataFrame(rows, columns=NAMES)
    table = pd.DataFrame({"a": gaps[:, 20], "word": WORDS[y % 3], "b": rows[:, 30], "count": y % 2})
    scikeras = {"optimizer": "adam", "epochs": 2, "verbose": 0, "random_state": 0}
    steps = [("scale", PowerTransformer()), ("sampler", RandomOverSampler(random_state=0)), ("cnn", flat())]
    voters = [("a", flat()), ("b", LogisticRegression())]
    stacked = [("a", make_pipeline(PowerTransformer(), flat())), ("b", Pipeline(steps))]
    return {
        "power": (make_pipeline(PowerTransformer(), flat()), rows, y),
        "double": (make_pipeline(PowerTransformer(), flat(dtype="float64")), rows.astype("float64"), y),
        "PCA, words": (make_pipeline(PCA(16), classifier(priors=[0.2, 0.3, 0.5])), rows[y < 3], WORDS[y[y < 3]]),
        "imputer": (make_pipeline(SimpleImputer(), StandardScaler(), flat()), gaps, y),
        "frame": (make_pipeline(PowerTransformer(), flat()), frame, y),
        "columns by number": (
            make_pipeline(
                ColumnTransformer([("a", MinMaxScaler(), slice(32)), ("b", "passthrough", slice(32, 64))]), flat()
            ),
            rows,
            y,
        ),
        "columns by name": (by_columns(), frame, y),
        "mixed columns": (mixed(), table, y),
        "search": (GridSearchCV(by_columns(), {"cnnclassifier__l2": [1e-3]}, cv=2), frame, y),
        "sampler": (Pipeline(steps), rows, WORDS[binary]),
        "search with a sampler": (
            GridSearchCV(make_imbalanced_pipeline(*(step for _, step in steps)), {"cnnclassifier__l1": [0.0]}, cv=2),
            rows,
            y,
        ),
        "sigmoid": (CalibratedClassifierCV(flat(), cv=2), rows, y),
        "sigmoid, two classes": (make_pipeline(PowerTransformer(), CalibratedClassifierCV(flat(), cv=2)), rows, binary),
        "calibrated pipeline": (CalibratedClassifierCV(make_pipeline(StandardScaler(), flat()), cv=2), rows, y),
        "calibrated sampler": (CalibratedClassifierCV(Pipeline(steps), cv=2), rows, binary),
        "soft votes": (VotingClassifier(voters, voting="soft", flatten_transform=False), rows, y),
        "hard votes": (VotingClassifier(voters, flatten_transform=False), rows, WORDS[binary]),
        "stacked": (StackingClassifier(stacked, cv=2), rows, WORDS[y % 3]),
        "stacked regressors": (StackingRegressor([("a", regressor()), ("b", Ridge())], cv=2), rows, y * 3.0),
        "one by one": (OneVsRestClassifier(flat()), rows, y),
        "threshold": (thresholded(), rows, binary),
        "threshold for the first class": (thresholded(0.9, pos_label="three"), rows, WORDS[binary]),
        "threshold of logits": (
            make_pipeline(PowerTransformer(), thresholded(-1.0, response_method="decision_function")),
            rows,
            binary,
        ),
        "tuned threshold": (TunedThresholdClassifierCV(flat(), cv=2, scoring="recall"), rows, (y > 2).astype(int)),
        "gelu": (make_pipeline(PowerTransformer(), classifier(network=gelu, input_shape=(8, 8, 1))), rows, y),
        "LSTM": (make_pipeline(PowerTransformer(), classifier(network=lstm, input_shape=(8, 8))), rows, y),
        "multilabel": (make_pipeline(PowerTransformer(), flat()), rows, np.c_[y > 1, y % 2].astype(int)),
        "regression": (make_pipeline(PowerTransformer(), regressor()), rows, np.c_[y + 0.5, y * 1e-6]),
        "by position": (make_pipeline(NDTransformer(PowerTransformer()), classifier()), X, y),
        "by channel": (
            make_pipeline(NDTransformer(PolynomialFeatures(include_bias=False), per="channel"), classifier()),
            X,
            y,
        ),
        "other columns": (make_pipeline(NDTransformer(PCA(16)), classifier(input_shape=(4, 4, 1))), X, y),
        "channels first": (
            make_pipeline(ChannelsLast(), NDTransformer(PowerTransformer()), StandardNormalVariate(), classifier()),
            np.moveaxis(X, -1, 1),
            y,
        ),
        "variate": (make_pipeline(StandardNormalVariate(), PowerTransformer(), flat()), rows, y),
        "converted": (
            make_pipeline(PowerTransformer(), convert(KerasClassifier(scikeras_model, **scikeras))),
            rows,
            binary,
        ),
        "converted regressor": (
            make_pipeline(PowerTransformer(), convert(KerasRegressor(scikeras_model, loss="mse", **scikeras))),
            rows,
            y * 1.0,
        ),
    }


def layered(X, y):
    """Cases that need no skl2onnx: gelu, LSTM and channels first as Keras' layers."""
    series = X[..., 0]
    return {
        "gelu alone": (classifier(network=gelu), X, y),
        "LSTM alone": (make_pipeline(NDTransformer(StandardScaler()), classifier(network=lstm)), series, y),
        "channels first alone": (
            make_pipeline(ChannelsLast(), NDTransformer(StandardScaler(), per="channel"), classifier()),
            np.moveaxis(X, -1, 1),
            y,
        ),
    }


EMPTY = np.zeros((4, 8, 8, 1)), np.arange(4)


@pytest.fixture(scope="module")
def four(digits):
    X, y = digits
    chosen = np.flatnonzero(y < 4)[:300]
    return X[chosen], y[chosen]


def fed(session, samples):
    names = [one.name for one in session.get_inputs()]
    if names == ["X"]:
        return {"X": np.asarray(samples).astype("float32")}
    columns = {name: np.asarray(samples[name])[:, None] for name in names}
    return {name: one.astype("float32") if one.dtype.kind in "fi" else one for name, one in columns.items()}


def assert_answers(model, path, samples):
    """Compare a file with its estimator, by code of its own."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, fed(session, samples)), strict=True))
    if not hasattr(model, "classes_"):
        expected = model.predict(samples).reshape(len(samples), -1)
        largest = np.abs(expected).max(axis=0)
        np.testing.assert_allclose(found.pop("prediction") / largest, expected / largest, rtol=0, atol=1e-5)
    else:
        np.testing.assert_array_equal(found.pop("label"), model.predict(samples))
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(found.pop("probabilities"), model.predict_proba(samples), rtol=0, atol=1e-5)
        assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(model.classes_)
    assert not found


@pytest.mark.parametrize("case", [*of(*EMPTY), *layered(*EMPTY)])
def test_whole_estimators(case, four, tmp_path):
    model, X, y = (of(*four) | layered(*four))[case]
    model.fit(X[:200], y[:200])
    path = export(model, tmp_path / "model.onnx", X=X[200:])
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    assert_answers(model, path, X[:100])
    assert_answers(model, path, X[100:101])


def test_a_threshold_changes_labels(four, tmp_path):  # so that the cases above would see it dropped
    X, y = four
    rows, binary = X.reshape(len(X), -1), (y > 1).astype(int)
    for model in (thresholded(), thresholded(0.9, pos_label=0)):
        model.fit(rows, binary)
        assert (model.predict(rows) != model.estimator_.predict(rows)).sum() > 10

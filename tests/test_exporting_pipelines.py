"""What skl2onnx knows is exported whole, with the network inside, if the file answers as the estimator does."""

import json
import sys

import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from common import classifier, printed_by, regressor
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
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

from skcnn import export
from skcnn.persistence import register_skl2onnx
from skcnn.preprocessing import ChannelsLast, NDTransformer, StandardNormalVariate
from skcnn.sampling import Pipeline
from skcnn.scikeras import KerasClassifier, KerasRegressor, convert

# Of skl2onnx, whose voting adds a value that nobody reads, and of scikit-learn, which it calls in old ways.
pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning"),
    pytest.mark.usefixtures("programs_stay"),
]

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


def converted(kind, loss):
    wrapper = kind(scikeras_model, loss=loss, optimizer="adam", epochs=2, verbose=0, random_state=0)
    return make_pipeline(PowerTransformer(), convert(wrapper))


def by_columns():
    halves = [("a", StandardScaler(), NAMES[:32]), ("b", PowerTransformer(), NAMES[32:])]
    return make_pipeline(ColumnTransformer(halves), flat())


def mixed():
    kinds = [("number", make_pipeline(SimpleImputer(), PowerTransformer()), ["a", "b"])]
    kinds += [("word", OneHotEncoder(), ["word"]), ("count", OneHotEncoder(), ["count"])]
    return make_pipeline(ColumnTransformer(kinds), classifier())


def thresholded(threshold, **parameters):
    return FixedThresholdClassifier(flat(), threshold=threshold, **parameters)


def of(X, y):
    """Each case: an estimator, samples and targets."""
    rows, binary = X.reshape(len(X), -1), (y > 1).astype(int)
    gaps = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    frame = pd.DataFrame(rows, columns=NAMES)
    table = pd.DataFrame({"a": gaps[:, 20], "word": WORDS[y % 3], "b": rows[:, 30], "count": y % 2})
    steps = [("scale", PowerTransformer()), ("sampler", RandomOverSampler(random_state=0)), ("cnn", flat())]
    voters = [("a", flat()), ("b", LogisticRegression())]
    stacked = [("a", make_pipeline(PowerTransformer(), LogisticRegression())), ("b", Pipeline(steps))]
    return {
        "double": (make_pipeline(PowerTransformer(), flat(dtype="float64")), rows.astype("float64"), y),
        "PCA, words": (make_pipeline(PCA(16), classifier(priors=[0.2, 0.3, 0.5])), rows[y < 3], WORDS[y[y < 3]]),
        "frame": (make_pipeline(PowerTransformer(), flat()), frame, y),
        "columns by number": (
            make_pipeline(
                ColumnTransformer([("a", MinMaxScaler(), slice(32)), ("b", "passthrough", slice(32, 64))]), flat()
            ),
            rows,
            y,
        ),
        "mixed columns": (mixed(), table, y),
        "search": (GridSearchCV(by_columns(), {"cnnclassifier__l2": [1e-3]}, cv=2), frame, y),
        "sampler": (Pipeline(steps), rows, WORDS[binary]),
        "search with a sampler": (
            GridSearchCV(make_imbalanced_pipeline(*(step for _, step in steps)), {"cnnclassifier__l1": [0.0]}, cv=2),
            rows,
            y,
        ),
        "sigmoid, two classes": (make_pipeline(PowerTransformer(), CalibratedClassifierCV(flat(), cv=2)), rows, binary),
        "calibrated pipeline": (CalibratedClassifierCV(make_pipeline(StandardScaler(), flat()), cv=2), rows, y),
        "calibrated afterwards": (
            CalibratedClassifierCV(FrozenEstimator(make_pipeline(PowerTransformer(), flat()).fit(rows, binary))),
            rows,
            binary,
        ),
        "calibrated sampler": (CalibratedClassifierCV(Pipeline(steps), cv=2), rows, binary),
        "soft votes": (VotingClassifier(voters, voting="soft", flatten_transform=False), rows, y),
        "hard votes": (VotingClassifier(voters, flatten_transform=False), rows, WORDS[binary]),
        "stacked": (StackingClassifier(stacked, cv=2), rows, WORDS[y % 3]),
        "stacked regressors": (StackingRegressor([("a", regressor()), ("b", Ridge())], cv=2), rows, y * 3.0),
        "one by one": (OneVsRestClassifier(flat()), rows, y % 3),
        "threshold for the first class": (thresholded(0.9, pos_label="one"), rows, WORDS[binary]),
        "threshold of logits": (
            make_pipeline(PowerTransformer(), thresholded(-1.0, response_method="decision_function")),
            rows,
            binary,
        ),
        "threshold over columns": (FixedThresholdClassifier(by_columns(), threshold=0.2), frame, binary),
        "tuned threshold": (TunedThresholdClassifierCV(flat(), cv=2, scoring="recall"), rows, (y > 2).astype(int)),
        "LSTM": (make_pipeline(PowerTransformer(), classifier(network=lstm, input_shape=(8, 8))), rows, y),
        "multilabel": (make_pipeline(PowerTransformer(), flat()), rows, np.c_[y > 1, y % 2].astype(int)),
        "regression": (make_pipeline(PowerTransformer(), regressor()), rows, np.c_[y + 0.5, y * 1e-6]),
        "by channel": (
            make_pipeline(NDTransformer(PolynomialFeatures(include_bias=False), per="channel"), classifier()),
            X,
            y,
        ),
        "other columns": (make_pipeline(NDTransformer(PCA(16)), classifier(input_shape=(4, 4, 1))), X, y),
        "channels first": (
            make_pipeline(ChannelsLast(), NDTransformer(PowerTransformer()), StandardNormalVariate(), classifier()),
            np.moveaxis(X.reshape(-1, 8, 4, 2), -1, 1),
            y,
        ),
        "variate": (make_pipeline(StandardNormalVariate(), PowerTransformer(), flat()), rows, y),
        "converted": (converted(KerasClassifier, "binary_crossentropy"), rows, binary),
        "converted regressor": (converted(KerasRegressor, "mse"), rows, y * 1.0),
    }


def layered(X, y):
    """Cases that need no skl2onnx: gelu, LSTM and channels first as Keras' layers."""
    series = X[..., 0]
    return {
        "gelu alone": (classifier(network=gelu), X, y),
        "LSTM alone": (
            make_pipeline(NDTransformer(StandardScaler()), classifier(network=lstm, input_shape=(8, 8))),
            series,
            y,
        ),
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


@pytest.fixture(scope="module")
def cases(four):
    return of(*four) | layered(*four)


@pytest.mark.parametrize("case", [*of(*EMPTY), *layered(*EMPTY)])
def test_whole_estimators(case, cases, tmp_path):
    model, X, y = cases[case]
    model.fit(X[:200], y[:200])
    path = export(model, tmp_path / "model.onnx", X=X[200:])
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    assert_answers(model, path, X[:100])
    assert_answers(model, path, X[100:101])


def test_a_threshold_changes_labels(cases):  # so that the cases above would see it dropped
    for case in ("threshold over columns", "threshold for the first class"):
        model, X, y = cases[case]
        model.fit(X, y)
        assert (model.predict(X) != model.estimator_.predict(X)).sum() > 10


# What is refused ----------------------------------------------------------------------------------------------------


def halved(X):
    return X / 2


def refused(X, y):
    """Each case: an estimator that skl2onnx does not know, or gets wrong without a word, and words of the error."""
    isotonic = CalibratedClassifierCV(flat(), cv=2, method="isotonic")
    voters = VotingClassifier([("a", flat())], voting="soft")
    return {
        "isotonic": (isotonic, r"than the estimator, (by 0\.\d|in \d+ of 100 labels).* skl2onnx converts some"),
        "function": (make_pipeline(FunctionTransformer(halved), flat()), r"cannot write this.*FunctionTransformer"),
        "votes": (voters, r"cannot write this .* flatten_transform"),
    }


@pytest.mark.parametrize("case", refused(*EMPTY))
def test_what_skl2onnx_cannot_do_is_not_kept(case, four, tmp_path):
    model, message = refused(*four)[case]
    X, y = four[0].reshape(len(four[0]), -1), four[1]
    model.fit(X[:200], y[:200])
    (tmp_path / "model.onnx").write_text("from before")
    with pytest.raises(ValueError, match=message):
        export(model, tmp_path / "model.onnx", X=X[200:])
    assert (tmp_path / "model.onnx").read_text() == "from before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture(scope="module")
def power(four):
    X, y = four
    return make_pipeline(PowerTransformer(), flat()).fit(X.reshape(len(X), -1), y)


def test_labels_that_differ_are_refused(four, tmp_path):
    class Other(type(flat())):
        def predict(self, X):
            labels = super().predict(X)
            return np.where(labels == 3, 2, labels)

    X, y = four
    model = Other(network=gelu, epochs=1, random_state=0).fit(X, y)
    n = (model.predict(X) != model.predict_proba(X).argmax(axis=1)).sum()
    with pytest.raises(ValueError, match=f"otherwise than the estimator, in {n} of {len(X)} labels, and was not kept"):
        export(model, tmp_path / "model.onnx", X=X)
    assert list(tmp_path.iterdir()) == []


def test_samples_show_what_float32_loses(four, tmp_path):
    X, y = four
    far = X.reshape(len(X), -1) * 7 + np.linspace(1e5, 1e6, 64)
    model = make_pipeline(StandardScaler(), flat()).fit(far, y)
    for name in ("model.keras", "model.onnx"):
        with pytest.raises(ValueError, match=r"predicts otherwise .* set dtype='float64'"):
            export(model, tmp_path / name, X=far)
        export(model, tmp_path / name, X=far, dtype="float64")


def test_what_is_missing_is_said_first(power, four, monkeypatch, tmp_path):
    path, X = tmp_path / "model.onnx", four[0].reshape(len(four[0]), -1)
    with pytest.raises(ValueError, match=r"X is None; Pipeline is written by skl2onnx, .* such as X=X_test"):
        export(power, path)
    with pytest.raises(ValueError, match="X has no samples"):
        export(power, path, X=X[:0])
    with pytest.raises(ValueError, match="63 features"):
        export(power, path, X=X[:, 1:])
    with pytest.raises(ValueError, match="dtype='float64'; expected 'float32' or None for Pipeline, which skl2onnx"):
        export(power, path, X=X, dtype="float64")
    with pytest.raises(NotFittedError):
        export(thresholded(0.2), path, X=X)
    with pytest.raises(TypeError, match=r"has no counterpart.*or export to \.onnx"):
        export(power, tmp_path / "model.keras", X=X)
    with pytest.raises(TypeError, match="Got LogisticRegression; expected a fitted CNNClassifier"):
        export(LogisticRegression().fit(X, four[1]), path, X=X)
    with pytest.raises(TypeError, match="Got LogisticRegression; expected a fitted CNNClassifier"):
        export(make_pipeline(StandardNormalVariate(), LogisticRegression()).fit(X, four[1]), path, X=X)
    with pytest.raises(TypeError, match="Got StandardScaler; expected a fitted CNNClassifier"):
        export(StandardScaler().fit(X), path, X=X)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r'needs skl2onnx; install it with pip install "skcnn\[export\]"'):
        export(power, path, X=X)
    with pytest.raises(ImportError, match=r'skl2onnx.* pip install "skcnn\[export\]"'):
        register_skl2onnx()
    assert list(tmp_path.iterdir()) == []


# skl2onnx itself ----------------------------------------------------------------------------------------------------


def test_skl2onnx_knows_networks_once_they_are_registered(power, four):
    import skl2onnx

    register_skl2onnx()
    X = four[0].reshape(len(four[0]), -1).astype("float32")
    written = skl2onnx.to_onnx(power, X[:1])
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(None, {"X": X})
    assert labels.tolist() == power.predict(X).tolist()
    found = [[row[label] for label in power.classes_] for row in probabilities]
    np.testing.assert_allclose(found, power.predict_proba(X), rtol=0, atol=1e-5)


def test_other_converters_of_skl2onnx_stay(power):
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common._registration import _converter_pool

    before = _converter_pool["SklearnPipeline"], _converter_pool["SklearnCalibratedClassifierCV"]
    register_skl2onnx()
    assert before == (_converter_pool["SklearnPipeline"], _converter_pool["SklearnCalibratedClassifierCV"])
    ours = [kind for kind, alias in sklearn_operator_name_map.items() if str(alias).startswith("Skcnn")]
    foreign = {kind.__name__ for kind in ours if kind.__module__.startswith("sklearn.")}
    assert foreign == {"FixedThresholdClassifier", "FrozenEstimator", "TunedThresholdClassifierCV"}


def test_skl2onnx_is_started_by_export_alone():
    code = "import sys, skcnn.persistence, skcnn.estimators; print(*{'skl2onnx', 'onnx', 'imblearn'} & {*sys.modules})"
    assert printed_by(code) == []

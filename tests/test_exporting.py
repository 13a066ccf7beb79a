"""Exported files predict what the estimator does, where neither skcnn nor scikit-learn is."""

import json
import sys
import zipfile

import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from common import classifier, regressor, run_python
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from skcnn import CNNClassifier, export
from skcnn.networks import ImageResNet
from skcnn.preprocessing import NDTransformer, StandardNormalVariate
from skcnn.sampling import NDSampler

NUMPY = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(uint8)": "uint8"}


def own_network(input_shape, n_outputs):
    layers = [keras.layers.Flatten(), keras.layers.Dense(5, "tanh"), keras.layers.Dense(n_outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


def search():
    pipe = make_imbalanced_pipeline(NDTransformer(MinMaxScaler()), NDSampler(SMOTE(random_state=0)), classifier())
    return GridSearchCV(pipe, {"cnnclassifier__l2": [1e-3]}, cv=2)


def of(X, y):
    """Each case: an estimator, samples, targets and the type of the samples in the file."""
    flat = X.reshape(len(X), -1)
    far = flat * 7 + np.linspace(1e5, 1e6, 64)  # float32 would keep two digits
    return {
        "names, two classes": (
            make_pipeline(StandardScaler(), classifier(class_weight="balanced", priors=[0.9, 0.1])),
            pd.DataFrame(flat, columns=[f"p{i}" for i in range(64)]),
            np.where(y > 7, "rare", "usual"),
            None,
        ),
        "bool, clipped": (
            make_pipeline(MinMaxScaler((-0.5, 1), clip=True), StandardScaler(with_std=False), classifier(dropout=0.1)),
            flat,
            y > 4,
            None,
        ),
        "float64, far from 0": (
            make_pipeline(StandardScaler(), RobustScaler(with_centering=False), classifier(dtype="float64")),
            far,
            y.astype(float),
            "float64",
        ),
        "float32, far from 0": (make_pipeline(RobustScaler(), classifier()), far, y, "float64"),
        "multilabel, own network": (classifier(network=own_network), X, np.c_[y > 4, y % 2].astype(int), None),
        "residual": (
            classifier(
                network=ImageResNet(8, filters=4),
                stochastic_depth=0.2,
                dropout=0.1,
                spatial_dropout=0.1,
                augmentation="noise",
            ),
            X,
            y,
            None,
        ),
        "volumes, float64": (classifier(dtype="float64"), X.reshape(-1, 4, 4, 4, 1), y, None),
        "uint8": (classifier(standardize="position"), (X * 16).astype("uint8"), y, "uint8"),
        "targets, float64": (
            make_pipeline(NDTransformer(MaxAbsScaler()), regressor(standardize="channel", dtype="float64")),
            X,
            np.c_[y + 0.5, y * 1e-6],
            None,
        ),
        "variate, flat": (make_pipeline(StandardNormalVariate(), classifier(input_shape=(8, 8, 1))), flat, y, None),
        "variate, counts": (
            make_pipeline(
                StandardNormalVariate(),
                NDTransformer(StandardScaler(), per="channel"),
                regressor(loss="poisson"),
            ),
            X,
            y * 20,
            None,
        ),
        "search with a sampler": (search(), X[:, :6], (y > 6).astype(int), None),
    }


CASES = list(of(np.zeros((3, 8, 8, 1)), np.zeros(3)))


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    cases = of(X[:200], y[:200])
    return {name: (model.fit(given, target), given, dtype) for name, (model, given, target, dtype) in cases.items()}


def expected_of(model, samples):
    expected = model.predict_proba(samples) if hasattr(model, "predict_proba") else model.predict(samples)
    return expected.reshape(len(samples), -1)


def assert_same(found, expected):
    assert found.shape == expected.shape
    largest = np.abs(expected).max(axis=0)  # of each class or target
    np.testing.assert_allclose(found / largest, expected / largest, rtol=0, atol=1e-5)


# Files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_onnx_predicts_the_same(case, fitted, tmp_path):
    model, samples, dtype = fitted[case]
    path = export(model, tmp_path / "model.onnx", dtype=dtype)
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    assert (given.name, NUMPY[given.type]) == ("X", dtype or "float32")
    samples = samples[:7]
    values = np.asarray(samples).astype(NUMPY[given.type])
    *label, outputs = session.run(None, {"X": values})
    assert_same(outputs, expected_of(model, samples))
    np.testing.assert_array_equal(session.run(None, {"X": values[:1]})[-1].shape, outputs[:1].shape)
    names = [output.name for output in session.get_outputs()]
    if not label:
        assert names == ["prediction"]
    else:
        assert names == ["label", "probabilities"]
        np.testing.assert_array_equal(label[0], model.predict(samples))
        assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == model.classes_.tolist()


WITHOUT_SKCNN = """
import sys
sys.modules["skcnn"] = sys.modules["sklearn"] = None
import json, keras, numpy as np
for name in json.loads(sys.argv[1]):
    samples = np.load(f"{name}.npy")
    np.save(f"{name}-found.npy", keras.saving.load_model(f"{name}.keras")(samples))
"""


def test_keras_predicts_the_same_where_skcnn_is_not(fitted, tmp_path):
    numbers = {name: str(i) for i, name in enumerate(fitted)}
    for name, (model, samples, dtype) in fitted.items():
        path = export(model, tmp_path / f"{numbers[name]}.keras", dtype=dtype)
        np.save(path.with_suffix(".npy"), np.asarray(samples)[:7])
        with zipfile.ZipFile(path) as file:
            config = file.read("config.json").decode()
        assert "skcnn" not in config
        assert "Lambda" not in config
    run_python("-c", WITHOUT_SKCNN, json.dumps(list(numbers.values())), cwd=tmp_path)
    for name, (model, samples, _) in fitted.items():
        assert_same(np.load(tmp_path / f"{numbers[name]}-found.npy"), expected_of(model, samples[:7]))


def test_a_float64_file_is_exact(fitted, tmp_path):
    model, samples, _ = fitted["targets, float64"]
    samples = samples.astype("float64")  # in which scikit-learn's scalers then work, too
    found = keras.saving.load_model(export(model, tmp_path / "model.keras"))(samples).numpy()
    np.testing.assert_allclose(found, model.predict(samples), rtol=1e-12)


def test_what_is_known_of_the_samples_stands_in_the_file(fitted, tmp_path):
    model, _, _ = fitted["names, two classes"]
    with zipfile.ZipFile(export(model, tmp_path / "model.keras")) as file:
        about = json.loads(file.read("skcnn.json"))
    assert about["classes"] == ["rare", "usual"]
    assert about["task"] == "binary"
    assert about["features"][:2] == ["p0", "p1"]
    metadata = onnxruntime.InferenceSession(export(model, tmp_path / "model.onnx")).get_modelmeta().custom_metadata_map
    assert metadata["task"] == "binary"
    assert json.loads(metadata["features"]) == about["features"]


def test_float32_samples_lose_the_digits_that_the_documentation_says(fitted, tmp_path):
    model, samples, _ = fitted["float32, far from 0"]
    found = keras.saving.load_model(export(model, tmp_path / "model.keras"))(samples).numpy()
    assert np.abs(found - model.predict_proba(samples)).max() > 1e-4


# What cannot be exported --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.h5", "ends in .keras or .onnx"),
        ("model", "ends in .keras or .onnx"),
        ("folder.onnx", "is a folder"),
        ("nowhere/model.keras", "does not exist; create"),
    ],
)
def test_a_path_that_does_not_do_is_refused_first(name, message, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ValueError, match=message):
        export(CNNClassifier(), tmp_path / name)  # not fitted, which would come next


def test_a_link_is_followed(few_digits, tmp_path):
    model = classifier(epochs=1).fit(*few_digits)
    for folder in ("models", "links"):
        (tmp_path / folder).mkdir()
    link, file = tmp_path / "links" / "latest.keras", tmp_path / "models" / "1.keras"
    link.symlink_to(file)
    for _ in range(2):
        assert export(model, link) == link
        assert link.is_symlink()
        assert zipfile.is_zipfile(file)
    assert sorted(path.name for path in tmp_path.rglob("*.keras")) == ["1.keras", "latest.keras"]


def test_another_dtype_is_refused(fitted, tmp_path):
    with pytest.raises(ValueError, match="dtype='int8'; expected 'float32'"):
        export(fitted["uint8"][0], tmp_path / "model.keras", dtype="int8")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "tf2onnx"])
def test_missing_packages_are_named(missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'needs {missing}; install it with pip install "skcnn\[export\]"'):
        export(CNNClassifier(), tmp_path / "model.onnx")


def test_other_steps_and_estimators_are_named(few_digits, tmp_path):
    X, y = few_digits
    flat = X.reshape(len(X), -1)
    pipe = make_pipeline(PCA(9, random_state=0), classifier(epochs=1)).fit(flat, y)
    with pytest.raises(TypeError, match=r"The step PCA\(n_components=9.* has no counterpart.*pipeline\[-1\]"):
        export(pipe, tmp_path / "model.keras")
    export(pipe[-1], tmp_path / "model.keras")
    with pytest.raises(TypeError, match="Got LogisticRegression; expected a fitted CNNClassifier"):
        export(LogisticRegression(), tmp_path / "model.keras")


def with_lambda(input_shape, n_outputs):
    return keras.Sequential([own_network(input_shape, n_outputs), keras.layers.Lambda(lambda z: 2 * z)])


def with_own_layer(input_shape, n_outputs):
    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    return keras.Sequential([own_network(input_shape, n_outputs), Own()])


@pytest.mark.parametrize("network", [with_lambda, with_own_layer])
def test_what_cannot_be_loaded_is_not_kept(network, few_digits, tmp_path):
    X, y = few_digits
    model = classifier(network=network, epochs=1).fit(X, y)
    (tmp_path / "model.keras").write_text("from before")
    with pytest.raises(ValueError, match=r"can be loaded again\. Register custom layers"):
        export(model, tmp_path / "model.keras")
    assert (tmp_path / "model.keras").read_text() == "from before"
    assert len(list(tmp_path.iterdir())) == 1
    session = onnxruntime.InferenceSession(export(model, tmp_path / "model.onnx"))  # which holds no layers
    assert_same(session.run(["probabilities"], {"X": X[:5]})[0], model.predict_proba(X[:5]))


def noisy(input_shape, n_outputs):
    inputs = keras.Input(input_shape)
    z = own_network(input_shape, n_outputs)(inputs)
    return keras.Model(inputs, keras.layers.GaussianNoise(1.0)(z, training=True))


def with_erfinv(input_shape, n_outputs):
    inputs = keras.Input(input_shape)
    z = own_network(input_shape, n_outputs)(inputs)
    return keras.Model(inputs, keras.ops.erfinv(keras.ops.tanh(z)))


@pytest.mark.parametrize(
    ("network", "message"), [(noisy, "predicts otherwise .* by"), (with_erfinv, r"no counterpart in ONNX; try \.keras")]
)
def test_what_onnx_cannot_do_is_not_kept(network, message, few_digits, tmp_path):
    X, y = few_digits
    model = classifier(network=network, epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=message):
        export(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

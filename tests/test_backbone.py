"""Backbone: pretrained weights as they were loaded, what is trained, and what is said where something does not fit."""

import os
import pickle
import urllib.request

import keras
import numpy as np
import pytest
from common import run_python, weights_of
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skcnn import CNNClassifier, CNNRegressor, check_grid
from skcnn._engine.behaviour import behaviour_of
from skcnn._engine.blueprint import trace_count
from skcnn._engine.fingerprint import object_key
from skcnn.exceptions import ScaleWarning
from skcnn.networks import Backbone, Plain, build_model, summary
from skcnn.networks._applications import PREPROCESSING, preprocessed

FAST = {"epochs": 2, "learning_rate": 0.01, "random_state": 0}


@pytest.fixture(scope="module")
def halves(digits):
    """Digits below five, and the others."""
    X, y = digits
    return (X[y < 5], y[y < 5]), (X[y >= 5], y[y >= 5])


@pytest.fixture(scope="module")
def pretrained(halves):
    """The features that a network has learnt from the digits below five."""
    cnn = CNNClassifier(Plain(filters=(16, 32), pooling=None), epochs=15, random_state=0).fit(*halves[0])
    model = cnn.to_keras()
    return keras.Model(model.inputs[0], model.layers[-2].output, name="pretrained")


@pytest.fixture(scope="module")
def saved(pretrained, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "pretrained.keras"
    pretrained.save(path)
    return path


@pytest.fixture(scope="module")
def mobile():
    """A small network of keras.applications, with statistics as of a trained one."""
    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNet(input_shape=(32, 32, 3), include_top=False, weights=None, alpha=1.0)
    rng = np.random.default_rng(0)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [rng.uniform(0.8, 1.2, shape), *rng.normal(0, 0.1, (2, *shape)), rng.uniform(1, 2, shape)]
            )
    return base


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 32, 32, 3)).astype("uint8"), np.arange(12) % 3


def moved(estimator, model):
    """Tell which weights of the pretrained model are others in the fitted network."""
    found = weights_of(estimator)
    return [not np.array_equal(*pair) for pair in zip(model.get_weights(), found, strict=False)]


# What is trained ------------------------------------------------------------------------------------------------------


def test_frozen_weights_are_those_that_were_loaded_whatever_the_seed(halves, pretrained, saved):
    X, y = halves[1]
    first = CNNClassifier(Backbone(pretrained), **FAST).fit(X[:60], y[:60])
    other = CNNClassifier(Backbone(pretrained), **FAST | {"random_state": 1}).fit(X[:60], y[:60])
    loaded = CNNClassifier(Backbone(saved), **FAST).fit(X[:60], y[:60])
    assert not any(moved(first, pretrained))
    assert not any(moved(other, pretrained))
    assert not np.array_equal(weights_of(first)[-2], weights_of(other)[-2])
    assert np.array_equal(weights_of(first)[-2], weights_of(loaded)[-2])
    kernel, bias = weights_of(first)[-2:]
    assert np.allclose(pretrained(X).numpy() @ kernel + bias, first.decision_function(X), rtol=1e-4, atol=1e-4)


def test_which_layers_are_trained(halves, pretrained):
    X, y = halves[1]
    names = [weight.path.split("/")[-2:] for weight in pretrained.weights]
    normalised = ["batch_normalization" in layer for layer, _ in names]
    all_of_them = moved(CNNClassifier(Backbone(pretrained, trainable=True), **FAST).fit(X[:60], y[:60]), pretrained)
    assert all_of_them == [not one for one in normalised]
    # The last layers: convolution, normalisation, activation, pooling, flattening.
    last = moved(CNNClassifier(Backbone(pretrained, trainable=5), **FAST).fit(X[:60], y[:60]), pretrained)
    convolutions = [i for i, one in enumerate(normalised) if not one]
    assert np.flatnonzero(last).tolist() == convolutions[-1:]
    assert all(layer.trainable for layer in pretrained.layers)  # whose copy was frozen


def test_a_random_start_trains_all():
    model = Backbone("MobileNet", weights=None, trainable=True)((32, 32, 3), 2)
    statistics = [weight for weight in model.weights if "moving" in weight.path]
    assert len(model.trainable_weights) == len(model.weights) - len(statistics)  # scales and offsets as well


def test_regressions_float64_and_any_samples(halves, pretrained):
    X, y = halves[1]
    cnn = CNNRegressor(Backbone(pretrained), **FAST).fit(X[:60], y[:60])
    assert cnn.predict(X[:3]).shape == (3,)
    flat = CNNClassifier(Backbone(pretrained), input_shape=(8, 8, 1), **FAST).fit(X[:60].reshape(60, -1), y[:60])
    image = CNNClassifier(Backbone(pretrained), **FAST).fit(X[:60], y[:60])
    assert np.array_equal(flat.predict_proba(X[:5].reshape(5, -1)), image.predict_proba(X[:5]))
    series = keras.Sequential([keras.Input((None, 1)), keras.layers.Conv1D(4, 3, activation="relu")])
    assert CNNClassifier(Backbone(series), **FAST).fit(X[:60].reshape(60, -1), y[:60]).n_outputs_ == 5
    with pytest.raises(ValueError, match=r"'pretrained' is in float32, .* dtype='float64'"):
        CNNClassifier(Backbone(pretrained), dtype="float64", **FAST).fit(X[:60], y[:60])


def test_a_model_within_a_model_and_one_that_was_built_by_a_call(halves):
    X, y = halves[1]
    inner = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.ReLU()])
    inner(X[:2])
    nested = keras.Sequential([keras.Input((8, 8, 1)), inner, keras.layers.Flatten()])
    for model in (inner, nested):
        cnn = CNNClassifier(Backbone(model, pooling=None), **FAST).fit(X[:60], y[:60])
        kernel, bias = weights_of(cnn)[-2:]
        expected = model(X[:5]).numpy().reshape(5, -1) @ kernel + bias
        assert np.allclose(cnn.decision_function(X[:5]), expected, rtol=1e-4, atol=1e-5)


def test_names_of_layers_that_a_model_has_already(halves):
    X, y = halves[1]
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(4, name="logits")(keras.layers.Dropout(0.1, name="dropout")(keras.layers.Flatten()(inputs)))
    cnn = CNNClassifier(Backbone(keras.Model(inputs, x)), dropout=0.2, **FAST).fit(X[:60], y[:60])
    assert [layer.name for layer in cnn.to_keras().layers[-2:]] == ["dropout_1", "logits_1"]


# Applications ---------------------------------------------------------------------------------------------------------


def test_an_application_computes_what_keras_does(photos, mobile, tmp_path):
    X = photos[0].astype("float32")
    mobile.save_weights(tmp_path / "mobilenet.weights.h5")
    mobile.save(tmp_path / "mobilenet_no_top.h5")  # in the format of the files that Keras downloads
    converted = keras.applications.mobilenet.preprocess_input(X.copy())
    maps = mobile(converted).numpy()
    assert np.abs(maps).max() > 0.1
    for network, given, expected in [
        (Backbone("MobileNet", weights=tmp_path / "mobilenet.weights.h5"), X, maps.mean(axis=(1, 2))),
        (Backbone("MobileNet", weights=tmp_path / "mobilenet_no_top.h5", pooling=None), X, maps.reshape(12, -1)),
        (
            Backbone("MobileNet", weights=tmp_path / "mobilenet_no_top.h5", pooling="max", preprocess=False),
            converted,
            maps.max(axis=(1, 2)),
        ),
    ]:
        model = network((32, 32, 3), 5)
        found = keras.Model(model.inputs[0], model.layers[-2].output)(given)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_preprocessing_is_that_of_keras():
    applications = keras.applications
    makers = [getattr(applications, name) for name in dir(applications) if name[0].isupper()]
    modules = {make.__module__.rpartition(".")[2] for make in makers}
    assert len(modules) >= 14
    assert set(PREPROCESSING) <= modules
    X = np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 3)).astype("float32")
    for module in modules:
        inputs = keras.Input((4, 5, 3))
        model = keras.Model(inputs, keras.layers.Identity()(preprocessed(inputs, module)))
        expected = getattr(applications, module).preprocess_input(X.copy())
        np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-4)


def test_networks_that_convert_by_themselves():
    shape = (32, 32, 3)
    model = Backbone("MobileNetV3Small", weights=None)(shape, 2)
    assert any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers)
    model = Backbone("MobileNetV3Small", weights=None, preprocess=False)(shape, 2)
    assert not any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers)
    with pytest.raises(ValueError, match="EfficientNetB0 converts values from 0 to 255 itself"):
        build_model(Backbone("EfficientNetB0", weights=None, preprocess=False), shape, 2)


def test_summary_counts_the_layers(photos):
    found = summary(Backbone("MobileNet", weights=None), (32, 32, 3), 3)
    assert found.trainable_parameters == 1024 * 3 + 3
    assert found.parameters > 3e6


# Which network it is --------------------------------------------------------------------------------------------------


def test_the_contents_of_files_and_models_tell_networks_apart(pretrained, saved, tmp_path):
    other = keras.models.clone_model(pretrained)  # drawn again
    keys = [object_key(Backbone(model)) for model in (pretrained, pretrained, other)]
    assert keys[0] == keys[1] != keys[2]
    assert all(behaviour_of(Backbone(model)).certain for model in (pretrained, saved))
    copied = tmp_path / "copied.keras"
    copied.write_bytes(saved.read_bytes())
    assert object_key(Backbone(copied)) == object_key(Backbone(saved))
    weights = tmp_path / "now.weights.h5"
    pretrained.save_weights(weights)
    before = object_key(Backbone(saved, weights=weights))
    assert object_key(Backbone(saved, weights=weights)) == before
    other.save_weights(weights)
    assert object_key(Backbone(saved, weights=weights)) != before
    assert object_key(Backbone(pretrained, trainable=2)) != keys[0]


def test_a_file_with_other_weights_is_another_network(halves, pretrained, tmp_path):
    X, y = halves[1]
    path = tmp_path / "now.weights.h5"
    pretrained.save_weights(path)
    cnn = CNNClassifier(Backbone(pretrained, weights=path), memory=tmp_path, **FAST).fit(X[:60], y[:60])
    other = keras.models.clone_model(pretrained)
    other.save_weights(path)
    again = clone(cnn).fit(X[:60], y[:60])
    assert not any(moved(cnn, pretrained))
    assert not any(moved(again, other))


def test_a_fitted_network_does_not_need_its_file(halves, saved, pretrained, tmp_path):
    X, y = halves[1]
    path, weights = tmp_path / "model.keras", tmp_path / "some.weights.h5"
    path.write_bytes(saved.read_bytes())
    pretrained.save_weights(weights)
    cnn = CNNClassifier(Backbone(path, weights=weights), **FAST).fit(X[:60], y[:60])
    path.unlink()
    weights.unlink()
    logits = cnn.decision_function(X)
    assert np.allclose(cnn.to_keras()(X), logits, rtol=1e-4, atol=1e-5)
    state = tmp_path / "fitted.pickle"
    state.write_bytes(pickle.dumps((cnn, X[:20], logits[:20])))
    code = "import pickle, sys; cnn, X, z = pickle.load(open(sys.argv[1], 'rb'))"
    code += "; print(abs(cnn.decision_function(X) - z).max())"
    assert float(run_python("-c", code, state).stdout.split()[-1]) < 1e-5


def test_applications_are_rebuilt_as_they_were_fitted(photos, mobile, tmp_path):
    X, y = photos
    path = tmp_path / "some.weights.h5"
    mobile.save_weights(path)
    cnn = CNNClassifier(Backbone("MobileNet", weights=path, trainable=3), **FAST).fit(X, y)
    path.unlink()
    assert np.allclose(cnn.to_keras()(X), cnn.decision_function(X), rtol=1e-4, atol=1e-5)


def test_searches_build_one_network_per_topology(halves, pretrained):
    X, y = halves[1]
    cnn = CNNClassifier(Backbone(pretrained), **FAST)
    assert clone(cnn).network.application is pretrained
    GridSearchCV(cnn, {"learning_rate": [0.1], "network__trainable": [False, 5]}, cv=2).fit(X[:60], y[:60])
    before = trace_count()
    grid = {"learning_rate": [0.01, 0.1], "network__trainable": [False, 5]}
    search = GridSearchCV(cnn, grid, cv=2).fit(X[:60], y[:60])
    assert trace_count() == before
    assert search.best_estimator_.network.application is pretrained
    check_grid(search)
    with pytest.raises(ValueError, match="'trainable' parameter"):
        check_grid(GridSearchCV(cnn, {"network__trainable": [0]}))
    with pytest.raises(ValueError, match=r"weights='none\.h5' is no file"):
        check_grid(GridSearchCV(cnn, {"network__weights": ["none.h5"]}))


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    """Connections fail at once, as without a network."""
    earlier = urllib.request._opener
    proxies = dict.fromkeys(("http", "https"), "http://127.0.0.1:9")
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler(proxies)))
    yield
    urllib.request.install_opener(earlier)


def test_weights_that_cannot_be_downloaded(offline):
    X = np.zeros((4, 160, 160, 3), "uint8")  # of a size for which Keras has weights, so that it does not warn
    with pytest.raises(FileNotFoundError) as caught:
        CNNClassifier(Backbone("MobileNet"), epochs=1).fit(X, [0, 1, 0, 1])
    message = str(caught.value)
    assert "mobilenet_1_0_160_tf_no_top.h5 from https://" in message
    assert f"{os.sep}models, or pass its path as weights" in message


def test_scale_and_standardize(photos, halves, pretrained):
    X, y = photos
    # All is said before the network is built, for which there is no file.
    cnn = CNNClassifier(Backbone("MobileNet", weights="none.h5"), epochs=1)
    for wrong in (X / 255, X / 127.5 - 1):
        with pytest.warns(ScaleWarning, match=r"expects values from 0 to 255.* preprocess=False"), no_file():
            clone(cnn).fit(wrong, y)
    with pytest.raises(ValueError, match=r"standardize='channel' with Backbone\(preprocess=True\)"):
        clone(cnn).set_params(standardize="channel").fit(X, y)
    for right in (X, X.astype("float32"), X // 255):
        with no_file():  # and without a warning
            clone(cnn).fit(right, y)
    with no_file():
        clone(cnn).set_params(network__preprocess=False, standardize="channel").fit(X / 255, y)
    X, y = halves[1]
    cnn = CNNClassifier(Backbone(pretrained), **FAST).fit(X[:60], y[:60])
    assert cnn._fitted.topology.standardize is None


def no_file():
    return pytest.raises(FileNotFoundError, match=r"'none\.h5' is no file")


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")  # of Keras, before it raises
@pytest.mark.parametrize(
    ("network", "shape", "error", "message"),
    [
        (lambda _: Backbone("MobilNet", weights=None), (32, 32, 3), ValueError, "did you mean 'MobileNet'"),
        (lambda _: Backbone("MobileNet", weights=None), (32, 3), ValueError, r"shape \(height, width, channels\)"),
        (lambda _: Backbone("MobileNet", weights=None), (16, 16, 3), ValueError, "at least 32x32"),
        (lambda _: Backbone("MobileNet"), (32, 32, 1), ValueError, r"3 channels; .* np\.repeat\(X, 3, axis=-1\)"),
        (lambda _: Backbone("ResNet50", weights=None), (32, 32, 1), ValueError, "3 channels"),
        (lambda _: Backbone("MobileNet", weights="none.h5"), (32, 32, 3), FileNotFoundError, "'none.h5' is no file"),
        (lambda _: Backbone("none.keras"), (32, 32, 3), FileNotFoundError, "'none.keras' is no file"),
        (lambda path: Backbone(path), (32, 32, 3), ValueError, r"samples of shape \(8, 8, 1\); X has .* \(32, 32, 3\)"),
        (lambda path: Backbone("MobileNet", weights=path), (32, 32, 3), ValueError, "cannot be loaded into 'mobilenet"),
        (lambda _: Backbone("MobileNet", weights=None, trainable=0), (32, 32, 3), ValueError, "'trainable' parameter"),
        (lambda _: Backbone("MobileNet", pooling="mean"), (32, 32, 3), ValueError, "'pooling' parameter"),
    ],
)
def test_what_does_not_fit_is_said(network, shape, error, message, saved):
    X, y = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype("uint8"), np.arange(6) % 2
    with pytest.raises(error, match=message):
        CNNClassifier(network(saved), epochs=1).fit(X, y)


def test_a_damaged_file_is_said(tmp_path, photos):
    path = tmp_path / "damaged.keras"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"damaged\.keras' cannot be loaded as a Keras model"):
        CNNClassifier(Backbone(path), epochs=1).fit(*photos)

"""NetworkFeatures: the outputs of the user's own layers, frozen, as scikit-learn's transformers give them."""

import gc
import json
import pickle
import weakref

import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from common import TINY, classifier, dropout_network, regressor
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from skcnn import CNNClassifier, CNNRegressor
from skcnn._engine.features import _kept
from skcnn.networks import ImageResNet, Plain
from skcnn.persistence import TRUSTED_TYPES
from skcnn.preprocessing import NetworkFeatures


class Steady(keras.Model):
    """Keras' own pickles hold the time, which scikit-learn's suite takes for a change of the parameter."""

    def __reduce__(self):
        # As one string: a pickle of a dict depends on which of its equal strings are the same object.
        return _restored, (json.dumps(self.get_config()), self.get_weights())


def _restored(config, weights):
    model = Steady.from_config(json.loads(config))
    model.set_weights(weights)
    return model


def any_length():
    """A network of series of any length, as flat samples of one channel are."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, 1))
    x = keras.layers.Conv1D(3, 2, padding="same", activation="tanh", name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling1D(name="means")(x)
    return Steady(inputs, keras.layers.Dense(2, name="last")(x))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(50, 8, 6, 2)).astype("float32")


@pytest.fixture(scope="module")
def inner():
    """A network with a model within, in front of a layer of its own."""
    eyes = keras.Sequential(
        [keras.Input((8, 6, 2)), keras.layers.Conv2D(4, 3, name="edges"), keras.layers.Conv2D(5, 3, name="corners")],
        name="eyes",
    )
    x = inputs = keras.Input((8, 6, 2))
    x = keras.layers.Flatten(name="flat")(eyes(x))
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(x))


@estimator_checks.parametrize_with_checks([NetworkFeatures(any_length()), NetworkFeatures(any_length(), layer="maps")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_transformer_get_feature_names_out,
        estimator_checks.check_transformer_get_feature_names_out_pandas,
        estimator_checks.check_set_output_transform,
        estimator_checks.check_set_output_transform_pandas,
        estimator_checks.check_global_output_transform_pandas,
    ],
)
def test_scikit_learn_checks_of_its_own_transformers(check):
    check("NetworkFeatures", NetworkFeatures(any_length()))


# Which layer ----------------------------------------------------------------------------------------------------------


def test_layers_of_a_keras_model_by_number_and_name(images, inner):
    eyes = inner.get_layer("eyes")
    edges = eyes.get_layer("edges")(images).numpy()
    corners = eyes(images).numpy()
    last = inner(images).numpy()

    def features(layer, pooling="avg"):
        return NetworkFeatures(inner, layer=layer, pooling=pooling).fit_transform(images)

    for layer, expected in [
        ("edges", edges.mean(axis=(1, 2))),
        ("corners", corners.mean(axis=(1, 2))),
        ("eyes", corners.mean(axis=(1, 2))),
        (1, corners.mean(axis=(1, 2))),
        (-2, corners.reshape(50, -1)),
        ("last", last),
        (-1, last),
        (0, images.mean(axis=(1, 2))),
    ]:
        np.testing.assert_allclose(features(layer), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features("edges", "max"), edges.max(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features("edges", None), edges.reshape(50, -1), rtol=1e-5, atol=1e-6)


def test_layers_of_a_sequential_model(images):
    model = keras.Sequential(
        [keras.Input((8, 6, 2)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    expected = model.layers[0](images).numpy()
    np.testing.assert_allclose(NetworkFeatures(model).transform(images), expected.reshape(50, -1), rtol=1e-5, atol=1e-6)
    found = NetworkFeatures(model, layer=0).transform(images)
    np.testing.assert_allclose(found, expected.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def custom(input_shape, n_outputs):
    inputs = keras.Input(input_shape)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, name="maps")(inputs))
    x = keras.layers.GlobalMaxPooling2D(name="largest")(keras.layers.Activation("relu", name="rectified")(x))
    return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))


@pytest.mark.parametrize(
    ("make", "standardize"), [(classifier, "channel"), (classifier, None), (regressor, "position")]
)
def test_layers_of_a_fitted_estimator_are_those_that_the_user_wrote(few_digits, make, standardize):
    X, y = few_digits
    X = 5 + 300 * X
    cnn = make(network=custom, standardize=standardize, loss="poisson" if make is regressor else "log_loss").fit(X, y)
    model = cnn.to_keras()  # which has other layers before and after
    outputs = [model.get_layer(name).output for name in ("largest", "rectified")]
    largest, rectified = (one.numpy() for one in keras.Model(model.inputs[0], outputs)(X))
    for layer in (-2, 4, "largest"):
        assert np.allclose(NetworkFeatures(cnn, layer=layer).transform(X), largest, rtol=1e-4, atol=1e-4)
    found = NetworkFeatures(cnn, layer=3, pooling=None).transform(X)
    assert np.allclose(found, rectified.reshape(200, -1), rtol=1e-4, atol=1e-4)
    assert NetworkFeatures(cnn, layer=0).transform(X).shape == (200, 1)


def test_the_layer_before_the_last_gives_the_outputs_back(few_digits):
    X, y = few_digits
    cnn = CNNClassifier(Plain(filters=(4, 6), pooling="avg"), epochs=3, dropout=0.3, random_state=0).fit(X, y)
    kernel, bias = cnn.to_keras().layers[-1].get_weights()
    features = NetworkFeatures(cnn).fit_transform(X)
    assert features.shape == (200, 6)
    assert np.allclose(features @ kernel + bias, cnn.decision_function(X), rtol=1e-4, atol=1e-5)
    assert NetworkFeatures(cnn).fit(X).get_feature_names_out().tolist() == [f"networkfeatures{i}" for i in range(6)]


def test_float64_and_whole_numbers(few_digits):
    X, y = few_digits
    cnn = classifier(dtype="float64").fit(X, y)
    assert NetworkFeatures(cnn).transform(X).dtype == np.float64
    model = keras.Sequential([keras.Input((8,), dtype="int32"), keras.layers.Embedding(20, 3), keras.layers.Flatten()])
    tokens = np.arange(40).reshape(5, 8) % 20
    found = NetworkFeatures(model, layer=0, pooling="max").transform(tokens)
    assert np.array_equal(found, model.layers[0].get_weights()[0][tokens].max(axis=1))
    bytes_ = (X * 255).astype("uint8")
    small = classifier().fit(bytes_, y)
    assert np.array_equal(NetworkFeatures(small).transform(bytes_), NetworkFeatures(small).transform(bytes_ * 1.0))


def test_padding_does_not_count_where_it_is_masked():
    series = np.zeros((6, 9, 2), "float32")
    lengths = np.array([1, 3, 9, 4, 5, 2])
    for one, n in zip(series, lengths, strict=True):
        one[:n] = np.random.default_rng(n).normal(size=(n, 2))
    model = keras.Sequential([keras.Input((9, 2)), keras.layers.Masking(), keras.layers.Dense(3), keras.layers.GRU(2)])
    found = NetworkFeatures(model).transform(series)
    kernel, bias = model.layers[1].get_weights()
    expected = [(one[:n] @ kernel + bias).mean(axis=0) for one, n in zip(series, lengths, strict=True)]
    assert np.allclose(found, expected, atol=1e-5)


# Frozen ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 5, 12, 13, 24, 25, 49])
def test_a_sample_has_the_same_features_alone_and_among_others(images, n):
    pointwise = keras.Sequential(
        [
            keras.Input((8, 6, 2)),
            keras.layers.Conv2D(16, (8, 6), activation="relu"),
            keras.layers.Conv2D(32, 1),  # a matrix product of as many rows as samples
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    features = NetworkFeatures(pointwise)
    assert np.array_equal(features.transform(images)[:n], features.transform(images[:n]))


def test_clone_keeps_the_fitted_network_and_pipelines_do_not_train_it(few_digits):
    X, y = few_digits
    cnn = classifier().fit(X[:150], y[:150])
    expected = NetworkFeatures(cnn).transform(X)
    features = NetworkFeatures(cnn, pooling=None).set_output(transform="pandas")
    copied = clone(features)
    assert copied.network is cnn
    assert copied.pooling is None
    assert isinstance(copied.fit(X).transform(X), pd.DataFrame)
    pipe = make_pipeline(NetworkFeatures(cnn), StandardScaler(), LogisticRegression(max_iter=500))
    search = GridSearchCV(pipe, {"networkfeatures__layer": [-2, -1], "logisticregression__C": [0.1, 1]}, cv=2)
    assert search.fit(X, y).best_score_ > 0.5
    assert np.array_equal(NetworkFeatures(cnn).transform(X), expected)


def test_networks_among_the_values_of_a_grid(few_digits):
    X, y = few_digits
    few, many = (classifier(network=Plain(filters=(n,), pooling="avg"), epochs=10).fit(X, y) for n in (1, 16))
    pipe = make_pipeline(NetworkFeatures(few), LogisticRegression(max_iter=500))
    frozen = {"networkfeatures__network": [FrozenEstimator(few), FrozenEstimator(many)]}
    search = GridSearchCV(pipe, frozen, cv=2).fit(X, y)
    assert search.best_params_["networkfeatures__network"].estimator is many
    with pytest.raises(NotFittedError, match=r"cloned it as a value of a grid.*FrozenEstimator"):
        GridSearchCV(pipe, {"networkfeatures__network": [few]}, cv=2, error_score="raise").fit(X, y)


def test_folds_trace_one_graph_and_none_outlives_its_network(images):
    class Counting(keras.layers.Layer):
        traced = 0

        def call(self, inputs):
            Counting.traced += 1
            return inputs

    model = keras.Sequential([keras.Input((8, 6, 2)), Counting(), keras.layers.Flatten(), keras.layers.Dense(2)])
    pipe = make_pipeline(NetworkFeatures(model), LogisticRegression())
    pipe[0].fit(images)
    Counting.traced = 0
    cross_val_score(pipe, images, np.arange(50) % 2, cv=5)
    assert Counting.traced == 1
    gone, n = weakref.ref(model), len(_kept)
    del model, pipe
    gc.collect()
    assert gone() is None
    assert len(_kept) < n


def test_a_network_that_is_trained_further_gives_its_new_features(images):
    model = any_length()
    features = NetworkFeatures(model, layer="maps")
    X = images.reshape(50, -1)
    before = features.transform(X)
    model.get_layer("maps").set_weights([2 * weight for weight in model.get_layer("maps").get_weights()])
    assert not np.allclose(features.transform(X), before)
    y = np.arange(50) % 2
    cnn = classifier(network=Plain(filters=(4,)), warm_start=True).fit(images, y)
    features = NetworkFeatures(cnn)
    before = features.transform(images)
    cnn.fit(images, y)
    assert not np.allclose(features.transform(images), before)


@pytest.mark.parametrize("network", ["keras", "estimator"])
def test_pickles(images, inner, network):
    cnn = inner if network == "keras" else classifier(network=ImageResNet(depth=8)).fit(images, np.arange(50) % 2)
    features = NetworkFeatures(cnn).fit(images)
    again = pickle.loads(pickle.dumps(features))
    assert np.array_equal(again.transform(images), features.transform(images))
    assert again.get_feature_names_out().tolist() == features.get_feature_names_out().tolist()


def test_skops_files_hold_a_fitted_estimator(few_digits):
    X, y = few_digits
    features = NetworkFeatures(CNNClassifier(**TINY).fit(X, y)).fit(X)
    saved = skops.io.dumps(features)
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)
    assert np.array_equal(skops.io.loads(saved, trusted=TRUSTED_TYPES).transform(X), features.transform(X))


# Samples --------------------------------------------------------------------------------------------------------------


def test_flat_samples_are_reshaped(few_digits):
    X, y = few_digits
    flat = X.reshape(200, -1)
    cnn = classifier(input_shape=(8, 8, 1)).fit(flat, y)
    expected = NetworkFeatures(cnn).transform(flat)
    assert np.array_equal(NetworkFeatures(cnn).transform(X), expected)
    assert np.array_equal(NetworkFeatures(cnn).transform(X[..., 0]), expected)
    odd = classifier(input_shape=(8, 8, 1)).fit(X.reshape(200, 4, 16), y)
    assert NetworkFeatures(odd).transform(X.reshape(200, 4, 16)).shape == (200, 64)
    with pytest.raises(ValueError, match=r"X has samples of shape \(4, 16\).* samples of shape \(8, 8, 1\)"):
        NetworkFeatures(cnn).fit(X.reshape(200, 4, 16))


def test_the_shape_seen_in_fit(images):
    features = NetworkFeatures(any_length())
    with pytest.raises(NotFittedError):
        features.get_feature_names_out()
    features.transform(images.reshape(50, -1))
    assert not hasattr(features, "n_features_in_")
    features.fit(images.reshape(50, -1))
    with pytest.raises(ValueError, match="40 features"):
        features.transform(np.zeros((3, 40)))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def two_inputs():
    a, b = keras.Input((3,)), keras.Input((3,))
    return keras.Model([a, b], keras.layers.Add()([a, b]))


def two_outputs_of_a_layer():
    x, *state = keras.layers.LSTM(2, return_state=True, name="lstm")(inputs := keras.Input((5, 1)))
    return keras.Model(inputs, keras.layers.Concatenate()([x, *state]))


def fitted_pipeline():
    X = np.random.default_rng(0).normal(size=(20, 5))
    return make_pipeline(StandardScaler(), CNNClassifier(**TINY)).fit(X, np.arange(20) % 2)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda X: NetworkFeatures(any_length(), layer=7).fit(X), ValueError, r"layer=7; .* 4 layers: \['input"),
        (lambda X: NetworkFeatures(any_length(), layer="mean").fit(X), ValueError, "layer='mean'; .*'means'"),
        (lambda X: NetworkFeatures(any_length(), pooling="mean").transform(X), ValueError, "'pooling' parameter"),
        (lambda X: NetworkFeatures(Subclassed()).fit(X), ValueError, "is no graph of layers.* keras.Model"),
        (lambda X: NetworkFeatures(keras.Sequential([keras.layers.Dense(2)])).fit(X), ValueError, "with a keras.Input"),
        (lambda X: NetworkFeatures(two_inputs()).fit(X), ValueError, "has 2 inputs; expected one"),
        (lambda X: NetworkFeatures(two_outputs_of_a_layer()).fit(X), ValueError, "lstm.* several tensors; expected"),
        (lambda X: NetworkFeatures(CNNClassifier()).fit(X), NotFittedError, "network is a CNNClassifier that is not"),
        (
            lambda X: NetworkFeatures(LogisticRegression()).fit(X),
            TypeError,
            "LogisticRegression; expected a keras",
        ),
        (lambda X: NetworkFeatures(fitted_pipeline()).fit(X), TypeError, r"with transformers .* pipeline\[-1\]"),
        (lambda X: NetworkFeatures("MobileNet").fit(X), ValueError, "'network' parameter"),
        (lambda X: NetworkFeatures(CNNRegressor()).set_params(network__l2=1), ValueError, "'network__l2' .* trained"),
        (lambda X: NetworkFeatures(any_length()).fit(X * np.nan), ValueError, "contains NaN"),
        (lambda X: NetworkFeatures(any_length()).fit(X.astype(str)), (TypeError, ValueError), "X"),
    ],
)
def test_errors_say_what_to_do(act, error, message):
    with pytest.raises(error, match=message):
        act(np.random.default_rng(0).normal(size=(20, 5)))


def test_layers_shared_by_all_builds_stay_as_they_are(few_digits):
    X, y = few_digits
    shared = keras.layers.Dense(4, name="shared")

    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(shared(keras.layers.Flatten()(inputs))))

    cnn = classifier(network=network).fit(X, y)
    before = [weight.copy() for weight in shared.get_weights()]
    kernel, bias = cnn.to_keras().layers[-1].get_weights()
    features = NetworkFeatures(cnn, layer="shared").transform(X)
    assert np.allclose(features @ kernel + bias, cnn.decision_function(X), rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(*pair) for pair in zip(before, shared.get_weights(), strict=True))


def test_nothing_is_dropped(few_digits):
    X, y = few_digits
    cnn = classifier(network=dropout_network).fit(X, y)
    assert np.array_equal(NetworkFeatures(cnn, layer=-2).transform(X), X.reshape(200, -1))

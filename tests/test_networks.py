"""`Plain` layer by layer, custom networks, and what is refused."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.base import clone

from skcnn import CNNClassifier
from skcnn._engine.blueprint import trace_count
from skcnn._engine.layers import stochastic_depth
from skcnn.networks import Network, Plain, build_model


def test_layers_of_custom_networks_are_reachable_after_import_skcnn_alone():
    names = ["networks.Dropout", "networks.spatial_dropout", "networks.stochastic_depth", "networks.Plain"]
    names += ["exceptions.ThreadsWarning", "model_selection.check_grid", "scikeras.convert"]
    code = "import skcnn; print(" + ", ".join(f"skcnn.{name}.__name__" for name in names) + ")"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [name.rpartition(".")[2] for name in names]


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_plain_is_laid_as_documented():
    model = Plain(filters=(4, 6), kernel_size=5, dense_units=(7,), pooling="max").build((9, 8, 2), 3, dropout=0.5)
    block = ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"]
    assert kinds(model) == [*block, *block, "GlobalMaxPooling2D", "Dense", "Dropout", "Dense"]
    kernels = (5 * 5 * 2 * 4) + (5 * 5 * 4 * 6) + (6 * 7 + 7) + (7 * 3 + 3)
    norms = 4 * 4 + 4 * 6
    assert model.count_params() == kernels + norms
    assert [layer.output.shape[1:] for layer in model.layers if "Pool" in type(layer).__name__] == [
        (4, 4, 4),
        (2, 2, 6),
        (6,),
    ]


@pytest.mark.parametrize(
    ("shape", "filters"),
    [
        ((1, 1), (32, 64)),
        ((8, 8, 1), (32, 64)),
        ((35, 2), (32, 64)),
        ((36, 2), (32, 64, 64)),
        ((20, 28, 28, 1), (32, 64)),
        ((20, 90, 3), (32, 64, 64, 64)),
    ],
)
def test_plain_halves_until_few_positions_are_left_and_averages_them(shape, filters):
    assert Plain().filters_for(shape) == filters
    model = Plain()(shape, 3)
    assert [layer.filters for layer in model.layers if hasattr(layer, "filters")] == list(filters)
    last, pooling = model.layers[-3:-1]
    assert max(last.output.shape[1:-1]) <= 8
    assert type(pooling).__name__.startswith("GlobalAveragePooling")


@pytest.mark.parametrize(
    ("shape", "filters", "ending"),
    [((8, 8, 1), (4,), "Flatten"), ((36, 1), (4, 4), "Flatten"), ((35, 1), (4, 4), "GlobalAveragePooling1D")],
)
def test_plain_averages_only_what_sees_much_of_the_input(shape, filters, ending):
    assert kinds(Plain(filters)(shape, 2))[-2] == ending


@pytest.mark.parametrize(
    ("shape", "pools"),
    [((1, 1), 0), ((2, 3), 1), ((3, 1, 1), 1), ((1, 1, 2), 0), ((4, 1, 2, 1), 2), ((5, 5), 2)],
)
def test_plain_pools_axes_while_they_have_two_positions(shape, pools):
    model = Plain(filters=(2, 2), normalization=None)(shape, 2)
    assert sum(name.startswith("MaxPooling") for name in kinds(model)) == pools
    assert model.output_shape == (None, 2)


def test_plain_without_normalisation_has_biases_and_with_it_none():
    with_bias = [
        layer.use_bias for layer in Plain(normalization=None)((8, 8, 1), 2).layers if hasattr(layer, "filters")
    ]
    without = [layer.use_bias for layer in Plain()((8, 8, 1), 2).layers if hasattr(layer, "filters")]
    assert with_bias == [True, True]
    assert without == [False, False]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filters": (4, 0)}, "'filters' parameter of Plain must be a sequence of positive integers"),
        ({"dense_units": (2.5,)}, "'dense_units' parameter of Plain must be a sequence"),
        ({"kernel_size": 0}, "'kernel_size' parameter of Plain must be an int"),
        ({"pooling": "mean"}, "'pooling' parameter of Plain must be a str among"),
        ({"activation": "rellu"}, "rellu"),
    ],
)
def test_refused_parameters_of_plain(parameters, message, few_digits):
    with pytest.raises(ValueError, match=message):
        CNNClassifier(Plain(**parameters)).fit(*few_digits)


def test_parameters_of_a_network_are_nested():
    estimator = CNNClassifier(Plain(filters=(4,)))
    assert estimator.get_params()["network__filters"] == (4,)
    twin = clone(estimator).set_params(network__filters=(5, 6), network__pooling="avg")
    assert twin.network.filters == (5, 6)
    assert estimator.network.filters == (4,)
    named = CNNClassifier("plain").set_params(network__filters=(3,))
    assert isinstance(named.network, Plain)
    assert named.network.filters == (3,)


class Wide(Network):
    def __init__(self, units=4):
        self.units = units

    def features(self, x):
        return keras.layers.Dense(self.units)(keras.layers.Flatten()(x))


def test_own_subclass_is_tuned_and_gets_dropout(few_digits):
    X, y = few_digits
    estimator = CNNClassifier(Wide(), dropout=0.4, epochs=1, standardize=None, random_state=0)
    small = estimator.fit(X, y).to_keras()
    large = estimator.set_params(network__units=9).fit(X, y).to_keras()
    assert small.layers[2].units == 4
    assert large.layers[2].units == 9
    assert large.layers[3].rate == 0.4


def model_of(*layers, shape=None):
    return lambda input_shape, n_outputs: keras.Sequential([keras.Input(shape or input_shape), *layers])


FLATTEN = keras.layers.Flatten


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        (
            model_of(FLATTEN(), keras.layers.Dense(10, activation="softmax")),
            ValueError,
            "ends in softmax; expected log",
        ),
        (model_of(FLATTEN(), keras.layers.Dense(10), keras.layers.Softmax()), ValueError, "ends in softmax"),
        (model_of(FLATTEN(), keras.layers.Dense(10), keras.layers.Activation("sigmoid")), ValueError, "in sigmoid"),
        (model_of(FLATTEN(), keras.layers.Dense(9)), ValueError, r"outputs of shape \(9,\), expected \(10,\)"),
        (model_of(keras.layers.Dense(10)), ValueError, r"outputs of shape \(8, 8, 10\)"),
        (model_of(FLATTEN(), keras.layers.Dense(10), shape=(28, 28, 1)), ValueError, r"samples of shape \(28, 28, 1\)"),
        (lambda shape, n: keras.layers.Conv2D(4, 99)(keras.Input(shape)), ValueError, "could not be built"),
        (lambda shape, n: "model", TypeError, "returned str; expected a keras.Model"),
        (keras.Sequential([keras.Input((8, 8, 1)), FLATTEN()]), TypeError, "expected a function"),
    ],
)
def test_refused_networks(network, error, message, few_digits):
    with pytest.raises(error, match=message):
        CNNClassifier(network).fit(*few_digits)


def test_nested_softmax_is_found():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    with pytest.raises(ValueError, match="ends in softmax"):
        build_model(lambda s, n: keras.Sequential([keras.Input(s), FLATTEN(), inner]), (2, 2), 3)


def test_dropout_on_a_custom_function_is_refused(few_digits):
    with pytest.raises(ValueError, match=r"dropout=0.5 cannot be applied.*keras.layers.Dropout"):
        CNNClassifier(model_of(FLATTEN(), keras.layers.Dense(10)), dropout=0.5).fit(*few_digits)


def test_builds_are_equal_to_keras_by_hand(rng):
    """A network, written out in Keras, gives the same outputs from the same weights."""
    ours = Plain(filters=(3, 5), pooling=None)((8, 8, 1), 4)
    layers = keras.layers
    by_hand = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (3, 5):
        by_hand.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        by_hand.add(layers.BatchNormalization())
        by_hand.add(layers.ReLU())
        by_hand.add(layers.MaxPooling2D())
    by_hand.add(layers.Flatten())
    by_hand.add(layers.Dense(4))
    by_hand.set_weights(ours.get_weights())
    X = rng.normal(size=(5, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(ours(X), by_hand(X))


def test_samples_of_float64_are_not_rounded(few_digits):
    X, y = few_digits
    net = CNNClassifier(Plain(filters=(2,)), epochs=1, dtype="float64", random_state=0).fit(X, y)
    ones = np.ones((2, 8, 8, 1))
    for outputs in (net.decision_function, net.to_keras()):  # Keras' own `predict` rounds to float32
        assert (np.asarray(outputs(ones)) != np.asarray(outputs(ones + 1e-10))).all()


class Residual(Network):
    """Two residual blocks, the second of which is left out twice as often as the first."""

    def features(self, x):
        for block in (1, 2):
            branch = keras.layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")(x)
            x = keras.layers.Add()([x, stochastic_depth(branch, share=block / 2)])
        return keras.layers.Flatten()(x)


@pytest.mark.parametrize(
    ("network", "name", "rates"),
    [("plain", "spatial_dropout", [0.2, 0.2]), (Residual(), "stochastic_depth", [0.1, 0.2])],
)
def test_dropouts_of_feature_maps_change_the_fit_but_not_the_graph(network, name, rates, few_digits):
    X, y = few_digits
    estimator = CNNClassifier(network, epochs=2, random_state=0, **{name: 0.2}).fit(X, y)
    n_traces = trace_count()
    stronger = clone(estimator).set_params(**{name: 0.6}).fit(X, y)
    assert trace_count() == n_traces
    without = clone(estimator).set_params(**{name: 0.0}).fit(X, y)
    losses = [fitted.history_["loss"][-1] for fitted in (without, estimator, stronger)]
    assert losses == sorted(losses)
    model = estimator.to_keras()
    laid = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    np.testing.assert_allclose([layer.rate for layer in laid], rates)
    np.testing.assert_allclose(model(X[:5]), estimator.decision_function(X[:5]), atol=1e-5)


def test_dropouts_without_a_place_are_refused(few_digits):
    with pytest.raises(ValueError, match=r"stochastic_depth has no place in the network Plain, which has no residual"):
        CNNClassifier(stochastic_depth=0.1).fit(*few_digits)
    with pytest.raises(ValueError, match=r"spatial_dropout=0\.1 cannot be applied to a custom network function"):
        CNNClassifier(lambda input_shape, n_outputs: None, spatial_dropout=0.1).fit(*few_digits)


def any_layers(input_shape, n_outputs):
    """Layers that draw weights or noise in ways of their own; no seed is set."""
    layers = keras.layers
    inputs = keras.Input(input_shape)
    x = layers.SeparableConv1D(4, 3, padding="same", depthwise_regularizer="l2")(inputs)
    x = layers.LayerNormalization()(layers.GaussianNoise(0.3)(x))
    x = layers.SpatialDropout1D(0.2)(x + layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x))
    x = layers.Bidirectional(layers.GRU(3, dropout=0.2, recurrent_dropout=0.2))(layers.GaussianDropout(0.1)(x))
    return keras.Model(inputs, layers.Dense(n_outputs, kernel_regularizer="l1")(layers.Dropout(0.2)(x)))


def test_any_keras_layer_trains_and_draws_from_the_random_state(few_digits):
    X, y = few_digits
    X = X[:60, :, :, 0]

    def fitted(seed):
        return CNNClassifier(any_layers, input_shape=(8, 8), epochs=2, random_state=seed).fit(X, y[:60])

    first = fitted(0)
    start = clone(first).set_params(learning_rate=1e-30, epochs=1).fit(X, y[:60]).to_keras()
    other, again = fitted(1), fitted(0)
    model, another = first.to_keras(), other.to_keras()
    for a, b, c in zip(model.weights, another.weights, again.to_keras().weights, strict=True):
        np.testing.assert_array_equal(a, c)
        assert not np.array_equal(a, b), a.path
    assert not any(np.array_equal(a, b) for a, b in zip(model.weights, start.weights, strict=True))
    np.testing.assert_allclose(model(X), first.decision_function(X), atol=1e-5)


def test_any_initial_weight_is_drawn_from_the_random_state(few_digits):
    X, y = few_digits
    X = X[:60, :, :, 0]
    models = [
        CNNClassifier(any_layers, input_shape=(8, 8), epochs=1, learning_rate=1e-12, random_state=seed)
        .fit(X, y[:60])
        .to_keras()
        for seed in (0, 1)
    ]
    for a, b in zip(*(model.weights for model in models), strict=True):
        drawn = np.unique(np.abs(np.round(a, 5))).size > 2  # not a bias, scale or offset
        assert drawn != np.allclose(a, b, atol=1e-6), a.path

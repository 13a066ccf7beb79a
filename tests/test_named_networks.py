"""The named networks: their layers, sizes, any shape of input, and training through the estimator."""

import keras
import numpy as np
import pytest

from skcnn import CNNClassifier
from skcnn.networks import FCN, NETWORKS, ImageResNet, Inception, Plain, ResNet, build_model

L = keras.layers
SMALL = {
    "plain": Plain((3, 4)),
    "fcn": FCN((3, 4, 3)),
    "resnet": ResNet((2, 3, 3)),
    "inception": Inception(depth=3, filters=2, bottleneck=2),
    "image_resnet": ImageResNet(8, filters=2),
}


def norm(channels):
    return 4 * channels


def test_fcn_has_the_parameters_of_the_paper():
    by_hand = 8 * 1 * 128 + norm(128) + 5 * 128 * 256 + norm(256) + 3 * 256 * 128 + norm(128) + 128 * 4 + 4
    assert FCN()((50, 1), 4).count_params() == by_hand


def test_resnet_has_the_parameters_of_the_paper():
    def block(given, filters, shortcut):
        kernels = 8 * given * filters + 5 * filters * filters + 3 * filters * filters
        return kernels + 3 * norm(filters) + (given * filters if shortcut else 0) + norm(filters)

    by_hand = block(1, 64, True) + block(64, 128, True) + block(128, 128, False) + 128 * 4 + 4
    assert ResNet()((50, 1), 4).count_params() == by_hand


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_has_the_parameters_of_the_paper(channels):
    def module(given):
        seen = 32 if given > 1 else 1
        return (given * 32 if given > 1 else 0) + (40 + 20 + 10) * seen * 32 + given * 32 + norm(128)

    by_hand = module(channels) + 5 * module(128) + channels * 128 + norm(128) + 128 * 128 + norm(128) + 128 * 4 + 4
    assert Inception()((50, channels), 4).count_params() == by_hand


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66)])
def test_image_resnet_has_the_parameters_of_table_6(depth, millions):
    model = ImageResNet(depth)((32, 32, 3), 10)
    n = (depth - 2) // 6
    layers = [(3, 16), *[(16, 16)] * (2 * n), (16, 32), *[(32, 32)] * (2 * n - 1), (32, 64), *[(64, 64)] * (2 * n - 1)]
    assert len(layers) + 1 == depth
    assert model.count_params() == sum(9 * a * b + norm(b) for a, b in layers) + 64 * 10 + 10
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert round(trained / 1e6, 2) == millions


def convolution(x, filters, size):
    return L.BatchNormalization()(L.Conv1D(filters, size, padding="same", use_bias=False)(x))


def resnet_by_hand(inputs):
    x = inputs
    for filters in (2, 3, 3):
        start, given = x, x.shape[-1]
        shortcut = L.Conv1D(filters, 1, padding="same", use_bias=False)(start) if given != filters else start
        for size in (8, 5):
            x = L.ReLU()(convolution(x, filters, size))
        x = L.ReLU()(L.BatchNormalization()(shortcut) + convolution(x, filters, 3))
    return x


def inception_by_hand(inputs):
    x = start = inputs
    for number in range(3):
        seen = L.Conv1D(2, 1, use_bias=False)(x) if number else x
        sides = [L.Conv1D(2, size, padding="same", use_bias=False)(seen) for size in (40, 20, 10)]
        sides.append(L.Conv1D(2, 1, use_bias=False)(L.MaxPooling1D(3, strides=1, padding="same")(x)))
        x = L.ReLU()(L.BatchNormalization()(L.Concatenate()(sides)))
    return L.ReLU()(convolution(start, 8, 1) + x)


@pytest.mark.parametrize(("name", "by_hand"), [("resnet", resnet_by_hand), ("inception", inception_by_hand)])
def test_builds_are_equal_to_keras_by_hand(name, by_hand, rng):
    """The weights of both models are matched by their shapes, layer by layer in the order of the graph."""
    ours = SMALL[name]((12, 1), 2)
    inputs = keras.Input((12, 1))
    theirs = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(by_hand(inputs))))
    left = [layer for layer in ours.layers if layer.weights]
    for layer in (layer for layer in theirs.layers if layer.weights):
        shapes = [weight.shape for weight in layer.weights]
        match = next(one for one in left if [weight.shape for weight in one.weights] == shapes)
        left.remove(match)
        values = [rng.uniform(0.1, 1, shape).astype("float32") for shape in shapes]
        match.set_weights(values)
        layer.set_weights(values)
    assert not left
    X = rng.normal(size=(5, 12, 1)).astype("float32")
    np.testing.assert_allclose(ours(X), theirs(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_shortcut_takes_the_positions_that_the_strided_kernels_are_centred_at(size, rank, rng):
    model = ImageResNet(8, filters=1, normalization=None, activation="linear")((size,) * rank + (1,), 2)
    for layer in model.layers:  # each convolution takes its central position alone: all branches see the same
        if hasattr(layer, "kernel_size"):
            kernel = np.zeros(layer.kernel.shape, "float32")
            kernel[(1,) * rank] = np.eye(*kernel.shape[-2:])
            layer.set_weights([kernel, np.zeros(kernel.shape[-1:], "float32")])
    strided = next(layer for layer in model.layers if 2 in getattr(layer, "strides", ()))
    added = [layer for layer in model.layers if isinstance(layer, L.Add)]
    probe = keras.Model(model.inputs[0], [strided.output, added[0].output, added[1].output])
    X = rng.normal(size=(2,) + (size,) * rank + (1,)).astype("float32")
    branch, before, after = (np.asarray(out) for out in probe(X))
    np.testing.assert_allclose(before, 2 * X, rtol=1e-6)
    np.testing.assert_allclose(after[..., :1], 2 * branch[..., :1], rtol=1e-6)
    assert not after[..., 1:].any()  # zeros for the new channels


SHAPES = {
    1: [(1, 1), (2, 1), (3, 2), (7, 1)],
    2: [(1, 1, 1), (2, 3, 1), (7, 5, 2)],
    3: [(1, 1, 1, 1), (3, 2, 1, 1), (5, 4, 3, 2)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_size_from_one_upwards(name):
    for rank, shapes in SHAPES.items():
        for shape in shapes:
            if rank > 1 and name in ("resnet", "inception"):
                with pytest.raises(ValueError, match=r"takes samples of shape \(steps, channels\); got .* ImageResNet"):
                    SMALL[name](shape, 3)
                break
            assert np.isfinite(np.asarray(SMALL[name](shape, 3)(np.ones((2, *shape), "float32")))).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_normalisation_is_the_one_that_is_asked_for(name):
    def count(normalization, kind):
        network = type(SMALL[name])(**SMALL[name].get_params() | {"normalization": normalization})
        layers = network((9, 1), 2).layers
        biased = {layer.use_bias for layer in layers if hasattr(layer, "kernel_size")}
        return sum(isinstance(layer, kind) for layer in layers), biased

    n_batch, without_bias = count("batch", L.BatchNormalization)
    n_layer, _ = count("layer", L.LayerNormalization)
    assert n_batch == n_layer > 0
    assert without_bias == {False}
    assert count(None, (L.BatchNormalization, L.LayerNormalization))[0] == 0
    assert True in count(None, L.Layer)[1]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (ImageResNet(9), r"'depth' parameter of ImageResNet must be 6 n \+ 2 .* Got 9; the nearest are 8 and 14"),
        (FCN(kernel_sizes=(8, 5)), r"'kernel_sizes' parameter of FCN must have 3 entries, one per layer. Got \(8, 5\)"),
        (ResNet(filters=(0,)), "'filters' parameter of ResNet must be a sequence of positive integers"),
        (ResNet(filters=np.array([1.5, 2.0])), "'filters' parameter of ResNet must be a sequence of positive integers"),
        (Inception(bottleneck=0), "'bottleneck' parameter of Inception must be"),
        (Plain((2,)), "Plain takes samples of shape"),
    ],
)
def test_refused_parameters(network, message):
    with pytest.raises(ValueError, match=message):
        build_model(network, (1, 1, 1, 1, 1) if isinstance(network, Plain) else (9, 1), 2)


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 16, 1)).astype("float32")
    X[y == 1, 4:8] += 2
    return X, y


@pytest.mark.parametrize("name", NETWORKS)
def test_names_train_and_come_back_as_keras_models(name, series):
    X, y = series
    settings = {f"network__{key}": value for key, value in SMALL[name].get_params().items()}
    estimator = CNNClassifier(name, epochs=25, learning_rate=0.01, spatial_dropout=0.1, random_state=0)
    estimator.set_params(**settings).fit(X, y)
    assert type(estimator.network) is NETWORKS[name]
    assert estimator.score(X, y) > 0.75
    model = estimator.to_keras()
    assert not any(type(layer).__module__.startswith("skcnn") for layer in model.layers)
    np.testing.assert_allclose(np.asarray(model(X))[:, 0], estimator.decision_function(X), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shares"), [("resnet", [1 / 3, 2 / 3, 1]), ("inception", [1]), ("image_resnet", [1 / 3, 2 / 3, 1])]
)
def test_stochastic_depth_skips_later_blocks_more_often(name, shares):
    model = SMALL[name].build((8, 1), 2, stochastic_depth=0.6)
    branches = [layer for layer in model.layers if getattr(layer, "strength", "") == "stochastic_depth"]
    np.testing.assert_allclose([layer.share for layer in branches], shares)


def test_volumes_in_float64(rng):
    """TensorFlow has no max-pooling of volumes in float64."""
    X, y = rng.normal(size=(12, 5, 4, 3, 1)), np.arange(12) % 3
    networks = [
        CNNClassifier(Plain((2, 3)), epochs=2, dtype=dtype, random_state=0).fit(X, y)
        for dtype in ("float32", "float64")
    ]
    assert networks[1].predict_proba(X).shape == (12, 3)
    model = networks[1].to_keras()
    model.set_weights([weight.astype("float64") for weight in networks[0].to_keras().get_weights()])
    np.testing.assert_allclose(np.asarray(model(X)), networks[0].decision_function(X), atol=1e-4)

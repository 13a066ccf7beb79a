import keras
import numpy as np
import pytest
import tensorflow as tf
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
from matplotlib import pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier, CNNRegressor
from skcnn.inspection import SaliencyDisplay, grad_cam, saliency
from skcnn.networks import Plain


def smooth(input_shape, n_outputs):
    """No kinks, and inputs that Keras does not round to float32, as it does by default."""
    convolution = getattr(keras.layers, f"Conv{len(input_shape) - 1}D")
    inputs = keras.Input(input_shape, dtype=keras.config.dtype_policy().compute_dtype)
    x = keras.layers.BatchNormalization()(convolution(4, 2, use_bias=False)(inputs))
    x = convolution(3, 2, activation="tanh")(keras.layers.Activation("tanh")(x))
    return keras.Model(inputs, keras.layers.Dense(n_outputs)(keras.layers.Flatten()(x)))


FAST = {"network": smooth, "epochs": 2, "dtype": "float64", "random_state": 0}
SHAPES = [(6, 2), (6, 5, 2), (3, 4, 4, 1)]


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def samples_of(shape, n=30, n_classes=3):
    rng = np.random.default_rng(0)
    return 5 + 20 * rng.normal(size=(n, *shape)), rng.permutation(np.arange(n) % n_classes)


def differences(function, X, h=1e-4):
    """Central differences of a function of one value per sample, with respect to each value of the sample."""
    found = np.empty(X.shape)
    for place in np.ndindex(X.shape[1:]):
        step = np.zeros(X.shape[1:])
        step[place] = h
        found[(slice(None), *place)] = (function(X + step) - function(X - step)) / (2 * h)
    return found


@pytest.fixture(scope="module")
def three():
    """A classifier of images that standardises by itself, and its samples."""
    X, y = samples_of(SHAPES[1])
    return CNNClassifier(standardize="channel", **FAST).fit(X, np.array(["a", "b", "c"])[y]), X


# Saliency -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("standardize", ["position", None])
def test_saliency_is_the_slope_of_the_predicted_logit(shape, standardize):
    X, y = samples_of(shape)
    cnn = CNNClassifier(standardize=standardize, **FAST).fit(X, y)
    top = cnn.decision_function(X[:3]).argmax(axis=1)
    expected = differences(lambda X: cnn.decision_function(X)[np.arange(3), top], X[:3])
    found = saliency(cnn, X[:3])
    assert np.abs(expected).max() > 1e-4
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_saliency_of_a_class_one_for_all_or_one_for_each_sample(three):
    cnn, X = three
    z = [differences(lambda X, k=k: cnn.decision_function(X)[:, k], X[:2]) for k in range(3)]
    assert np.allclose(saliency(cnn, X[:2], "b"), z[1], rtol=1e-5, atol=1e-8)
    assert np.allclose(saliency(cnn, X[:2], ["c", "a"]), [z[2][0], z[0][1]], rtol=1e-5, atol=1e-8)


def test_saliency_of_two_classes_has_opposite_signs():
    X, y = samples_of(SHAPES[0], n_classes=2)
    cnn = CNNClassifier(class_weight={0: 1, 1: 5}, priors="train", **FAST).fit(X, y)
    expected = differences(cnn.decision_function, X)
    assert np.allclose(saliency(cnn, X, 1), expected, rtol=1e-5, atol=1e-8)
    assert np.array_equal(saliency(cnn, X, 0), -saliency(cnn, X, 1))
    sign = np.where(cnn.predict(X) == 1, 1, -1)[:, None, None]
    assert np.array_equal(saliency(cnn, X), sign * saliency(cnn, X, 1))


def test_saliency_of_a_regressor_is_in_the_unit_of_y():
    X, _ = samples_of(SHAPES[0])
    y = 1000 * np.stack([X.sum(axis=(1, 2)), X[:, 0, 0]], axis=1)
    one, two = CNNRegressor(**FAST).fit(X, y[:, 0]), CNNRegressor(**FAST).fit(X, y)
    assert np.allclose(saliency(one, X[:4]), differences(one.predict, X[:4]), rtol=1e-5, atol=1e-5)
    expected = differences(lambda X: two.predict(X)[:, 1], X[:4])
    assert np.allclose(saliency(two, X[:4], 1), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="the network has 2 targets; expected the number of one"):
        saliency(two, X)


def test_saliency_of_labels():
    X, y = samples_of(SHAPES[0])
    labels = np.eye(3, dtype=int)[y]
    labels[0] = 1  # samples may have several
    cnn = CNNClassifier(**FAST).fit(X, labels)
    expected = differences(lambda X: cnn.decision_function(X)[:, 2], X[:3])
    assert np.allclose(saliency(cnn, X[:3], 2), expected, rtol=1e-5, atol=1e-8)


def test_saliency_in_a_pipeline_is_of_what_the_network_is_given():
    X, y = samples_of((12,))
    cnn = CNNClassifier(input_shape=(4, 3, 1), **FAST)
    pipe = SamplingPipeline([("scale", StandardScaler()), ("more", RandomOverSampler(random_state=0)), ("cnn", cnn)])
    search = GridSearchCV(pipe, {"cnn__l2": [0.01]}, cv=2).fit(X, y)
    fitted = search.best_estimator_
    scaled = fitted["scale"].transform(X[:70])
    assert saliency(search, X[:70]).shape == (30, 4, 3, 1)
    assert np.array_equal(saliency(search, X), saliency(fitted["cnn"], scaled))


def test_samples_are_looked_at_one_by_one(three):
    cnn, X = three
    many = np.tile(X, (5, 1, 1, 1))  # more than fit into one block
    assert np.allclose(saliency(cnn, many)[-1], saliency(cnn, X[-1:])[0], rtol=1e-9)
    assert np.allclose(grad_cam(cnn, many, "a")[-1], grad_cam(cnn, X[-1:], "a")[0], rtol=1e-9)


# Grad-CAM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_grad_cam_is_the_paper_by_hand(shape):
    X, y = samples_of(shape)
    cnn = CNNClassifier(**FAST | {"network": Plain(filters=(4, 3))}).fit(X, y)
    model = cnn.to_keras()
    activations = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    head = model.layers[model.layers.index(activations[-1]) + 1 :]
    maps = keras.Model(model.inputs[0], activations[-1].output)(X[:4])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        z = maps
        for layer in head:
            z = layer(z)
        logit = tf.reduce_sum(z[:, 1])
    positions = tuple(range(1, X.ndim - 1))
    alpha = tape.gradient(logit, maps).numpy().mean(axis=positions)
    expected = np.maximum(np.einsum("n...k,nk->n...", maps.numpy(), alpha), 0)
    found = grad_cam(cnn, X[:4], 1, resize=False)
    assert expected.max() > 0
    assert np.allclose(found, expected)
    assert grad_cam(cnn, X[:4], 1).shape == X[:4].shape[:-1]


def test_grad_cam_of_the_first_convolution_through_the_networks_own_units(three):
    cnn, X = three
    found = grad_cam(cnn, X[:4], "a", layer=0, resize=False)
    model = cnn.to_keras()
    before_pooling = next(layer for layer in model.layers if isinstance(layer, keras.layers.Activation))
    twin = keras.Model(model.inputs[0], [before_pooling.output, model.outputs[0]])
    with tf.GradientTape() as tape:
        maps, z = twin(tf.Variable(X[:4]))
        logit = tf.reduce_sum(z[:, 0])
    alpha = tape.gradient(logit, maps).numpy().mean(axis=(1, 2))
    expected = np.maximum(np.einsum("nhwk,nk->nhw", maps.numpy(), alpha), 0)
    assert expected.max() > 0
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-8)

    def logit_of_maps(z):
        for layer in model.layers[model.layers.index(before_pooling) + 1 :]:
            z = layer(z)
        return np.asarray(z)[:, 0]

    by_differences = differences(logit_of_maps, maps.numpy()).mean(axis=(1, 2))
    assert np.allclose(alpha, by_differences, rtol=1e-5, atol=1e-8)


def test_maps_are_interpolated_to_the_borders_of_the_input():
    X, y = samples_of((8, 8, 1))
    cnn = CNNClassifier(Plain(filters=(2, 2)), epochs=1, random_state=0).fit(X, y)
    small, large = grad_cam(cnn, X, 0, resize=False), grad_cam(cnn, X, 0)
    assert (small.shape, large.shape) == ((30, 4, 4), (30, 8, 8))
    expected = tf.image.resize(small[..., None], (8, 8), "bilinear").numpy()[..., 0]
    assert np.allclose(large, expected, atol=1e-6)


def two_in_one(input_shape, n_outputs):
    eyes = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Conv2D(2, 3, activation="relu", name="eyes", trainable=False)]
    )
    layers = [eyes, keras.layers.Flatten(), keras.layers.Dense(n_outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


def no_convolution(input_shape, n_outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])


def test_grad_cam_looks_into_models_within_own_networks():
    X, y = samples_of(SHAPES[1])
    cnn = CNNClassifier(**FAST | {"network": two_in_one}).fit(X, y)
    assert grad_cam(cnn, X, 0, resize=False).shape == (30, 4, 3)
    assert np.array_equal(grad_cam(cnn, X, 0), grad_cam(cnn, X, 0, layer="eyes"))
    assert grad_cam(cnn, X, 0).max() > 0


def test_grad_cam_finds_the_corner_that_tells_the_classes_apart():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 8, 8, 1)), np.arange(200) % 2
    X[y == 1, :3, :3] += 2
    settings = {"schedule": "constant", "standardize": None, "random_state": 0}
    cnn = CNNClassifier(Plain(filters=(8,)), epochs=8, **settings).fit(X, y)
    heat = grad_cam(cnn, X[y == 1], 1).mean(axis=0)
    assert heat[:3, :3].mean() > 2 * heat[4:, 4:].mean()
    slope = np.abs(saliency(cnn, X[y == 1], 1)).mean(axis=0)
    assert slope[:3, :3].mean() > 2 * slope[4:, 4:].mean()


# Errors and display -------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_said(three):
    cnn, X = three
    with pytest.raises(TypeError, match="Got LogisticRegression; expected a fitted CNNClassifier or CNNRegressor"):
        saliency(make_pipeline(StandardScaler(), LogisticRegression()), X)
    with pytest.raises(ValueError, match=r"target holds 'd'; expected one of \['a', 'b', 'c'\]"):
        saliency(cnn, X, "d")
    with pytest.raises(ValueError, match=r"target has shape \(2,\); expected one label, or one for each"):
        saliency(cnn, X, ["a", "b"])
    with pytest.raises(ValueError, match="layer='nose'; expected the number of one of the network's 2 convolutions"):
        grad_cam(cnn, X, layer="nose")
    with pytest.raises(ValueError, match="method='shap'; expected 'saliency' or 'grad_cam'"):
        SaliencyDisplay.from_estimator(cnn, X, method="shap")
    flat = CNNClassifier(**FAST | {"network": no_convolution}).fit(X, np.arange(30) % 2)
    with pytest.raises(ValueError, match="layer=-1; expected the number of one of the network's 0 convolutions"):
        grad_cam(flat, X)


@pytest.mark.parametrize("shape", SHAPES)
def test_display_draws_samples_and_maps(shape):
    X, y = samples_of(shape)
    cnn = CNNClassifier(**FAST).fit(X, y)
    display = SaliencyDisplay.from_estimator(cnn, X, n_shown=3)
    assert np.allclose(display.maps, np.abs(saliency(cnn, X[:3])).max(axis=-1))
    assert display.ax_.shape == (2, 3)
    assert display.titles == [str(label) for label in cnn.predict(X[:3])]
    drawn = display.ax_[1, 0].images[-1].get_array()
    expected = display.maps[0] / display.maps[0].max()
    assert np.allclose(np.squeeze(drawn), expected[1] if expected.ndim == 3 else expected)
    display = SaliencyDisplay.from_estimator(cnn, X, y, method="grad_cam", n_shown=2)
    assert np.array_equal(display.maps, grad_cam(cnn, X[:2], y[:2]))
    assert display.titles[0].endswith(f"map of {y[0]}")

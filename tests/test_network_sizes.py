"""`summary` against counts by hand, Keras' own, and the gradient, which shows what a feature really sees."""

import random

import keras
import numpy as np
import pytest

from skcnn.networks import FCN, ImageResNet, Inception, Plain, ResNet, summary
from skcnn.networks._summary import receptive_field

L = keras.layers


def functional(lay):
    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, L.Dense(n_outputs)(lay(inputs)))

    return network


def test_plain_by_hand():
    found = summary(Plain((4, 6), pooling=None, dense_units=(5,)), (9, 8, 2), 3)
    convolutions = [9 * 2 * 4, 9 * 4 * 6]
    dense = [2 * 2 * 6 * 5, 5 * 3]
    assert found.parameters == sum(convolutions) + 4 * (4 + 6) + sum(dense) + 5 + 3
    assert found.trainable_parameters == found.parameters - 2 * (4 + 6)
    assert found.multiply_adds == convolutions[0] * 9 * 8 + convolutions[1] * 4 * 4 + sum(dense)
    assert found.receptive_field == (1 + 2 + 1 + 4 + 2,) * 2
    assert found.sees_all
    assert not summary(Plain((4, 6), pooling="avg"), (9, 8, 2), 3).sees_all


@pytest.mark.parametrize(
    ("network", "shape", "multiply_adds", "field"),
    [
        (FCN(), (10, 1), 10 * (8 * 128 + 5 * 128 * 256 + 3 * 256 * 128) + 128, 8 + 4 + 2),
        (ResNet((2, 2)), (10, 1), 10 * (8 * 2 + 20 + 12 + 2 + 32 + 20 + 12) + 2, 1 + 2 * (7 + 4 + 2)),
        (Inception(depth=2, filters=1), (10, 1), 10 * (70 + 1 + 4 * 32 + 70 * 32 + 4) + 4, 1 + 2 * 39),
        (ImageResNet(8, filters=1), (8, 8, 1), 64 * 27 + 16 * (18 + 36) + 4 * (72 + 144) + 4, 1 + 3 * 2 + 6 + 12),
    ],
)
def test_named_networks_by_hand(network, shape, multiply_adds, field):
    found = summary(network, shape, 1)
    assert found.multiply_adds == multiply_adds
    assert found.receptive_field == (field,) * (len(shape) - 1)
    assert found.parameters == network(shape, 1).count_params() == sum(layer.parameters for layer in found.layers)


@pytest.mark.parametrize(
    ("lay", "shape", "parameters", "multiply_adds", "field", "sees_all"),
    [
        (lambda x: L.LSTM(5)(x), (7, 3), 4 * 5 * (3 + 5 + 1), 7 * 4 * 5 * (3 + 5), (1,), True),
        (lambda x: L.Flatten()(L.SeparableConv1D(4, 5)(x)), (9, 3), 15 + 12 + 4, 5 * (15 + 12), (5,), True),
        (
            lambda x: L.GlobalMaxPooling2D()(L.DepthwiseConv2D(3, strides=2)(x)),
            (9, 7, 2),
            18 + 2,
            12 * 18,
            (3, 3),
            False,
        ),
        (lambda x: L.GlobalMaxPooling1D()(L.Conv1D(2, 3, dilation_rate=4)(x)), (20, 1), 8, 12 * 6, (9,), False),
        (lambda x: L.GlobalMaxPooling1D()(L.Conv1D(2, 3, groups=2)(x)), (5, 4), 14, 3 * 12, (3,), False),
        (
            lambda x: L.GlobalMaxPooling2D()(L.Conv2DTranspose(2, 3, strides=2)(x)),
            (4, 4, 1),
            20,
            16 * 18,
            (3, 3),
            False,
        ),
        (
            lambda x: L.GlobalAveragePooling1D()(
                keras.Sequential([L.Conv1D(2, 3), L.MaxPooling1D(), L.Conv1D(2, 3)])(x)
            ),
            (12, 1),
            8 + 14,
            10 * 6 + 3 * 12,
            (3 + 1 + 4,),
            False,
        ),
    ],
)
def test_own_layers_by_hand(lay, shape, parameters, multiply_adds, field, sees_all):
    found = summary(functional(lay), shape, 1)
    dense = found.layers[-1]
    assert found.parameters - dense.parameters == parameters
    assert found.multiply_adds - dense.multiply_adds == multiply_adds
    assert (found.receptive_field, found.sees_all) == (field, sees_all)


def test_shared_weights_are_counted_once_and_work_twice():
    shared = L.Conv1D(3, 3, padding="same")
    found = summary(functional(lambda x: L.Flatten()(shared(shared(x)))), (6, 3), 1)
    assert found.parameters == 3 * 3 * 3 + 3 + 18 + 1
    assert found.multiply_adds == 2 * 6 * 27 + 18
    assert found.receptive_field == (5,)


@pytest.mark.parametrize(
    "network", [FCN((2, 2, 2)), ResNet((2, 2)), Inception(depth=1, filters=1), ImageResNet(8, filters=1)]
)
def test_receptive_field_is_what_the_gradient_reaches(network):
    """Positions with a gradient of one value of the last feature map, with positive weights so that none cancels."""
    import tensorflow as tf

    shape = (61, 61, 1) if isinstance(network, ImageResNet) else (121, 1)
    network.set_params(normalization=None)
    model = network(shape, 1)
    model.set_weights([np.full(weight.shape, 0.01, "float32") for weight in model.get_weights()])
    pooling = next(layer for layer in model.layers if "Global" in type(layer).__name__)
    probe = keras.Model(model.inputs[0], pooling.input)
    X = tf.constant(np.random.default_rng(0).uniform(0.5, 1, (1, *shape)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(X)
        features = probe(X)
        middle = tuple(size // 2 for size in features.shape[1:-1])
        value = features[(0, *middle, 0)]
    reached = np.abs(tape.gradient(value, X).numpy()[0, ..., 0]) > 0
    along = reached.any(axis=1) if reached.ndim == 2 else reached
    positions = np.flatnonzero(along)
    field = summary(network, shape, 1).receptive_field[0]
    # Maxima pass a gradient to one position of three, so that a field with pooling reaches at most that far.
    assert len(positions) == positions[-1] - positions[0] + 1
    assert len(positions) == field


def test_representation_frame_and_nothing_global():
    state = random.getstate()
    found = summary("fcn", (30, 1), 2)
    assert random.getstate() == state
    assert repr(found).splitlines() == [
        "FCN for samples of shape (30, 1) and 2 outputs",
        "  parameters       265,474 (264,450 trained)",
        "  multiply-adds    7,895,296 per sample",
        "  receptive field  14 of 30 positions; nothing longer can be recognised",
    ]
    assert "the layers after it see all" in repr(summary(Plain((4, 6), pooling=None), (30, 1), 2))
    frame = found.to_frame()
    assert frame["multiply_adds"].sum() == found.multiply_adds
    assert list(frame["kind"])[-2:] == ["GlobalAveragePooling1D", "Dense"]


class Subclassed(keras.Model):
    def __init__(self, n_outputs):
        super().__init__()
        self.dense = L.Dense(n_outputs)

    def call(self, x):
        return self.dense(x[:, :, 0])


def test_models_without_a_graph_are_refused():
    assert receptive_field(Subclassed(2)) is None
    with pytest.raises(ValueError, match=r"keras\.Model with its own call\(\), whose layers cannot be seen"):
        summary(lambda input_shape, n_outputs: Subclassed(n_outputs), (4, 1), 2)
    unknown = functional(lambda x: L.GlobalMaxPooling1D()(L.Conv1D(2, 3)(x)))
    with pytest.raises(ValueError, match="no graph of layers of known shapes"):
        summary(lambda input_shape, n_outputs: unknown((None, 1), n_outputs), (4, 1), 2)

"""Data, network and training that the benchmarks give to skcnn and its peers.

Each builder returns an unfitted scikit-learn estimator and the grid of a search in its names. The network: convolutions
of 3 x 3 with ReLU, each before a max-pooling by 2, then dropout and a dense layer; Adam at 0.001, batches of 32,
softmax cross-entropy. No normalisation, so that all frameworks compute the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import zoom
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits, load_sample_images

__all__ = ["FUSED", "PROBLEMS", "Problem", "digits", "keras_model", "keras_wrappers", "scikeras", "skcnn", "skorch"]

RATE = 0.001
BATCH = 32
L2, DROPOUT = (0.0, 0.001), (0.0, 0.3)
FUSED = {"module__channels_last": True, "optimizer__fused": True}  # settings of skorch on processors


@dataclass(frozen=True)
class Problem:
    """Images in [0, 1] with labels, and the network and number of epochs for them."""

    name: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    shape: tuple[int, int, int]
    filters: tuple[int, ...]
    epochs: int
    n_classes: int


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).reshape(-1, 8, 8, 1).astype("float32"), y


def _large_digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = digits()
    return zoom(X, (1, 3.5, 3.5, 1), order=1).astype("float32"), y


def _patches() -> tuple[np.ndarray, np.ndarray]:
    """Patches of scikit-learn's photographs; a class is one half of one of them."""
    X, y = [], []
    for i, image in enumerate(load_sample_images().images):
        for top in range(0, image.shape[0] - 32, 24):
            for left in range(0, image.shape[1] - 32, 26):
                X.append(image[top : top + 32, left : left + 32])
                y.append(2 * i + (left > image.shape[1] // 2))
    return np.stack(X).astype("float32") / 255, np.array(y)


PROBLEMS = {
    "digits": Problem("digits 8x8x1, filters 32-64, 10 epochs", digits, (8, 8, 1), (32, 64), 10, 10),
    "medium": Problem("digits zoomed to 28x28x1, filters 16-32, 4 epochs", _large_digits, (28, 28, 1), (16, 32), 4, 10),
    "large": Problem("photographs 32x32x3, filters 32-64-128, 3 epochs", _patches, (32, 32, 3), (32, 64, 128), 3, 4),
}


def skcnn(problem: Problem, epochs: int | None = None, **params: Any) -> tuple[BaseEstimator, dict[str, Sequence[Any]]]:
    from skcnn import CNNClassifier
    from skcnn.networks import Plain

    network = Plain(filters=problem.filters, normalization=None, pooling=None)
    same = {"schedule": "constant", "standardize": None, "learning_rate": RATE, "batch_size": BATCH}
    estimator = CNNClassifier(network, epochs=epochs or problem.epochs, random_state=0, **same | params)
    return estimator, {"l2": L2, "dropout": DROPOUT}


def keras_model(problem: Problem, l2: float, dropout: float, flat: bool = False, **settings: Any) -> Any:
    import keras
    from keras import layers

    x = inputs = keras.Input((int(np.prod(problem.shape)),) if flat else problem.shape)
    if flat:
        x = layers.Reshape(problem.shape)(x)
    penalty = keras.regularizers.L2(l2) if l2 else None
    for filters in problem.filters:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=penalty)(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(problem.n_classes, activation="softmax", kernel_regularizer=penalty)(x)
    model = keras.Model(inputs, outputs)
    loss = "categorical_crossentropy" if flat else "sparse_categorical_crossentropy"  # Keras' wrapper encodes y
    model.compile(keras.optimizers.Adam(RATE), loss, **settings)
    return model


def scikeras(
    problem: Problem, epochs: int | None = None, **compile_settings: Any
) -> tuple[BaseEstimator, dict[str, Sequence[Any]]]:
    from scikeras.wrappers import KerasClassifier

    def build(l2: float = 0.0, dropout: float = 0.0) -> Any:
        return keras_model(problem, l2, dropout, **compile_settings)

    estimator = KerasClassifier(build, epochs=epochs or problem.epochs, batch_size=BATCH, verbose=0, random_state=0)
    return estimator.set_params(model__l2=0.0, model__dropout=0.0), {"model__l2": L2, "model__dropout": DROPOUT}


def keras_wrappers(problem: Problem) -> tuple[BaseEstimator, dict[str, Sequence[Any]]]:
    """Return Keras' own wrapper.

    It takes flat samples only, and `clone` loses the number of epochs, so that a search trains one.
    """
    from keras.wrappers import SKLearnClassifier

    def build(X: Any, y: Any, l2: float, dropout: float) -> Any:
        return keras_model(problem, l2, dropout, flat=True)

    settings = [{"l2": l2, "dropout": dropout} for l2 in L2 for dropout in DROPOUT]
    estimator = SKLearnClassifier(
        build, model_kwargs=settings[0], fit_kwargs={"epochs": problem.epochs, "batch_size": BATCH, "verbose": 0}
    )
    return estimator, {"model_kwargs": settings}


def skorch(problem: Problem, **settings: Any) -> tuple[BaseEstimator, dict[str, Sequence[Any]]]:
    import torch
    from peers_torch import Network
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    estimator = NeuralNetClassifier(
        Network,
        module__problem=(problem.shape, problem.filters, problem.n_classes),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=RATE,
        batch_size=BATCH,
        max_epochs=problem.epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
        **settings,
    )
    decay = [2 * l2 for l2 in L2]  # the gradient of l2 * sum(w ** 2)
    return estimator, {"optimizer__weight_decay": decay, "module__dropout": DROPOUT}

"""Estimators of the benchmark of the diagnosis: networks of skcnn and Keras beside those of scikit-learn.

`fit` trains one of `MODELS` on samples, with settings that differ from the sound ones where a cause says so.
"""

from functools import partial
from typing import Any

import numpy as np
from diagnosis_data import Samples
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
from keras import Input, Model, Sequential, callbacks, layers, losses, optimizers, regularizers, utils
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from tensorflow.data import Dataset

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import Plain

__all__ = ["MODELS", "NETWORKS", "fit", "fits", "predict", "score"]

NETWORKS = ("cnn", "custom", "keras")
MODELS = (*NETWORKS, "forest", "linear", "boosting", "svm", "mlp", "search", "sampling")
STEPS = 1500


def fits(model: str, task: str) -> bool:
    """Whether this model can learn this task."""
    if task == "multilabel":
        return model in (*NETWORKS, "forest", "mlp")
    return task != "regression" or model != "sampling"


def epochs_for(n: int, batch_size: int) -> int:
    return -(-STEPS // -(-n // batch_size))


# Networks -------------------------------------------------------------------------------------------------------------


def convolutions(x: Any, momentum: float, filters: tuple[int, ...], bias: Any) -> Any:
    """Return blocks of convolution, batch normalisation and ReLU, with pooling between them."""
    n_axes = len(x.shape) - 2
    convolution, pool = (layers.Conv1D, layers.MaxPooling1D) if n_axes == 1 else (layers.Conv2D, layers.MaxPooling2D)
    for i, n_filters in enumerate(filters):
        x = convolution(n_filters, 3, padding="same")(x)
        if momentum:
            x = layers.BatchNormalization(momentum=momentum)(x)
        if bias is not None:
            x = layers.Dense(n_filters, bias_initializer=bias)(x)
        x = layers.ReLU()(x)
        if i < len(filters) - 1 and min(x.shape[1:-1]) > 1:
            x = pool(2)(x)
    return layers.Flatten()(x)


def custom_network(
    input_shape: tuple[int, ...],
    n_outputs: int,
    bn_momentum: float = 0.99,
    filters: tuple[int, ...] = (8, 16),
    bias: Any = None,
) -> Model:
    """Return the kind of network that people write for `CNNClassifier(network=...)`."""
    inputs = Input(input_shape)
    return Model(inputs, layers.Dense(n_outputs)(convolutions(inputs, bn_momentum, filters, bias)))


def cnn(samples: Samples, seed: int, custom: bool, settings: dict[str, Any]) -> Any:
    """Return an unfitted `CNNClassifier` or `CNNRegressor` with a small network."""
    settings = {name: value for name, value in settings.items() if name not in ("scaled", "normalize")}
    own = {name: settings.pop(name) for name in ("bn_momentum", "filters", "bias") if name in settings}
    plain = {"filters": (8, 16), **{name: settings.pop(name) for name in PLAIN if name in settings}}
    plain |= {"filters": own["filters"]} if "filters" in own and not custom else {}
    batch_size = settings.get("batch_size", 32)
    sound = {
        "network": partial(custom_network, **own) if custom else Plain(**plain),
        "epochs": epochs_for(len(samples.y), batch_size),
        "standardize": "position" if samples.X.ndim == 2 else "channel",  # also before custom networks
        "random_state": seed,
    }
    kind = CNNRegressor if samples.task == "regression" else CNNClassifier
    return kind(**{**sound, **settings})


OF_NETWORKS = ("standardize", "normalization", "normalize", "bn_momentum")  # of causes that all models have
PLAIN = ("normalization", "kernel_size", "pooling", "dense_units", "activation")


def keras_model(samples: Samples, seed: int, settings: dict[str, Any]) -> Any:
    """Return a plain Keras model, trained as its guides have it."""
    settings = dict(settings)
    utils.set_random_seed(seed)
    X = samples.X.reshape(*samples.X.shape, 1) if samples.X.ndim == 2 else samples.X
    n_classes = samples.y.shape[1] if samples.y.ndim > 1 else len(np.unique(samples.y))
    n_outputs = {"binary": 1, "regression": 1}.get(samples.task, n_classes)
    ending = {"regression": "linear", "multiclass": "softmax"}.get(samples.task, "sigmoid")
    loss = {"regression": "mse", "multiclass": "sparse_categorical_crossentropy"}.get(
        samples.task, "binary_crossentropy"
    )
    n_outputs, ending = settings.get("n_outputs", n_outputs), settings.get("ending", ending)
    inputs = Input(samples.X.shape[1:])
    x = layers.Reshape(X.shape[1:])(inputs)
    if settings.get("normalize", True):
        scale = layers.Normalization(axis=(1, 2) if samples.X.ndim == 2 else -1)  # columns have units of their own
        scale.adapt(X)
        x = scale(x)
    filters, momentum = settings.get("filters", (8, 16)), settings.get("bn_momentum", 0.99)
    x = convolutions(x, momentum, filters, settings.get("bias"))
    if settings.get("dropout"):
        x = layers.Dropout(settings["dropout"], seed=seed)(x)
    penalty = regularizers.L2(settings["l2"]) if settings.get("l2") else None
    model = Model(inputs, layers.Dense(n_outputs, activation=ending, kernel_regularizer=penalty)(x))
    batch_size = settings.get("batch_size", 32)
    epochs = settings.get("epochs", epochs_for(len(X), batch_size))
    rate = optimizers.schedules.CosineDecay(settings.get("learning_rate", 3e-3), epochs * -(-len(X) // batch_size))
    model.compile(optimizers.Adam(rate), loss=settings.get("loss", loss), jit_compile=False)
    y = np.unique(samples.y, return_inverse=True)[1] if samples.classifies else samples.y
    # One endless stream: a new one for each of many short epochs would take most of the time.
    stream = Dataset.from_tensor_slices((samples.X.astype("float32"), y)).cache().shuffle(len(X), seed=seed)
    stream = stream.batch(batch_size).repeat()
    model.fit(stream, epochs=epochs, steps_per_epoch=-(-len(X) // batch_size), verbose=0)
    model.history = recorded(model.history.history)
    return model


def recorded(history: dict[str, list[float]]) -> callbacks.History:
    """Return a history without its model, which a pickle keeps."""
    kept = callbacks.History()
    kept.history = history
    return kept


# scikit-learn ---------------------------------------------------------------------------------------------------------


def estimator(model: str, samples: Samples, seed: int, settings: dict[str, Any]) -> Any:
    """Return an unfitted estimator of scikit-learn or imbalanced-learn, with sound settings."""
    settings = {name: value for name, value in settings.items() if name not in OF_NETWORKS}
    scaled = settings.pop("scaled", True)
    grid = settings.pop("grid", None)
    classifies = samples.task != "regression"
    if model == "forest":
        kind = RandomForestClassifier if classifies else RandomForestRegressor
        return kind(**{"n_estimators": 200, "random_state": seed, **settings})
    if model == "boosting":
        kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
        return kind(**{"random_state": seed, "max_iter": 60, "max_leaf_nodes": 8, **settings})
    if model == "svm":
        final = SVC(**settings) if classifies else SVR(**settings)
    elif model == "mlp":
        kind = MLPClassifier if classifies else MLPRegressor
        final = kind(**{"hidden_layer_sizes": (64,), "alpha": 3.0, "max_iter": 600, "random_state": seed, **settings})
    elif classifies:
        final = LogisticRegression(**{"C": 0.1, "max_iter": 3000, **settings})
    else:
        final = Ridge(**{"alpha": 3.0, **settings})
    if model == "sampling":
        return SamplingPipeline(
            [("scale", StandardScaler()), ("balance", RandomOverSampler(random_state=seed)), ("final", final)]
        )
    whole = make_pipeline(StandardScaler(), final) if scaled else make_pipeline(final)
    if model != "search":
        return whole
    name, values = ("logisticregression__C", [0.01, 0.1, 1.0]) if classifies else ("ridge__alpha", [0.1, 3.0, 100.0])
    return GridSearchCV(whole, {name: grid or values}, cv=3)


def fit(model: str, samples: Samples, seed: int, **settings: Any) -> Any:
    """Train one of `MODELS` on training samples (flat ones unless it is a network)."""
    if model == "keras":
        return keras_model(samples, seed, settings)
    made = (
        cnn(samples, seed, model == "custom", settings)
        if model in NETWORKS
        else estimator(model, samples, seed, settings)
    )
    return made.fit(samples.X, samples.y)


# Scores ---------------------------------------------------------------------------------------------------------------


def predict(fitted: Any, X: np.ndarray, samples: Samples) -> np.ndarray:
    """Predict targets, those of a plain Keras model as its users would read them."""
    if not isinstance(fitted, Model | Sequential):
        return np.asarray(fitted.predict(X))
    out = np.asarray(fitted.predict(X, verbose=0))
    if samples.task == "regression":
        return out[:, 0]
    if samples.task == "multilabel":
        return (out > 0.5).astype(int)
    classes = np.unique(samples.y)
    if out.shape[1] > 1:
        return classes[out.argmax(axis=1)]
    if samples.task == "multiclass":  # one output trained on class numbers
        return classes[np.clip(np.round(out[:, 0]), 0, len(classes) - 1).astype(int)]
    from_logits = getattr(fitted.loss, "from_logits", False) if isinstance(fitted.loss, losses.Loss) else False
    middle = 0.0 if from_logits and fitted.layers[-1].activation.__name__ == "linear" else 0.5
    return classes[(out[:, 0] > middle).astype(int)]


def score(y_train: np.ndarray, y: np.ndarray, predicted: np.ndarray, task: str) -> float:
    """Return accuracy (balanced where training classes are skewed 5 to 1), R2, or the mean accuracy of labels.

    Rows that tell classes one-hot are right if all of them is.
    """
    if not np.isfinite(np.asarray(predicted, float)).all():
        predicted = np.nan_to_num(np.asarray(predicted, float))
    if task == "regression":
        return float(r2_score(y, predicted))
    if task == "multilabel":
        return float((y == predicted).mean())
    if y.ndim > 1:
        return float((y == predicted).all(axis=1).mean())
    counts = np.unique(y_train, return_counts=True)[1] if y_train.ndim == 1 else y_train.sum(axis=0)
    if counts.max() >= 5 * counts.min():
        return float(balanced_accuracy_score(y, predicted))
    return float((y == predicted).mean())

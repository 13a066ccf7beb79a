"""How each library of ``contracts.py`` wraps an MLP and a small CNN."""

from typing import Any

import numpy as np

__all__ = ["COSTED", "EXACT", "FAST", "LIBRARIES", "NETWORKS", "Library", "Unsupported"]

NETWORKS = ("MLP", "CNN")
EXACT: dict[str, Any] = {"epochs": 10, "batch_size": 100_000, "rate": 0.1}
FAST: dict[str, Any] = {"epochs": 10, "batch_size": 32, "rate": 0.01, "dtype": "float32"}


class Unsupported(Exception):
    """The library has no such setting."""


def keras_model(meta: dict[str, Any], network: str, rate: float, dtype: str) -> Any:
    """Return the network as scikeras' documentation would write it."""
    import keras

    layers, losses = keras.layers, keras.losses
    units, activation, loss = {
        "binary": (1, "sigmoid", losses.BinaryCrossentropy),
        "multilabel-indicator": (meta["n_classes_"], "sigmoid", losses.BinaryCrossentropy),
        "multiclass": (meta["n_classes_"], "softmax", losses.SparseCategoricalCrossentropy),
        "one-hot": (meta["n_classes_"], "softmax", losses.CategoricalCrossentropy),
    }[meta["target_type_"]]
    inputs = x = keras.Input(meta["X_shape_"][1:], dtype=dtype)
    if network == "CNN":
        x = x if len(x.shape) == 4 else layers.Reshape((-1, 1), dtype=dtype)(x)
        convolution = layers.Conv1D if len(x.shape) == 3 else layers.Conv2D
        x = convolution(8, 3, padding="same", activation="relu", dtype=dtype)(x)
    x = layers.Flatten(dtype=dtype)(x)
    if network == "MLP":
        x = layers.Dense(16, "relu", dtype=dtype)(x)
    model = keras.Model(inputs, layers.Dense(units, activation, dtype=dtype)(x))
    exact = {"epsilon": 1e-30} if dtype == "float64" else {}
    model.compile(keras.optimizers.Adam(rate, **exact), loss(dtype=dtype))
    return model


class Library:
    """How one library wraps the networks; a child says how an estimator is made."""

    title = ""
    package = ""
    rate = "learning_rate"
    takes_images = True

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        """Return a classifier with this network, to be trained by Adam at this rate."""
        raise NotImplementedError

    def grid(self, estimator: Any, rates: list[float]) -> dict[str, list[Any]]:
        """Return a grid over the learning rate of an estimator from `make`."""
        return {self.rate: rates}

    def validation_labels(self, estimator: Any, X: Any, y: Any) -> Any:
        """Return the labels that training is validated on; Keras takes the last samples."""
        import keras

        seen: list[Any] = []
        fit = keras.Model.fit

        def watched(model: Any, x: Any, y: Any, *, validation_split: float = 0.0, **kwargs: Any) -> Any:
            held_out = kwargs.get("validation_data")
            seen.append(y[int(len(y) * (1 - validation_split)) :] if held_out is None else held_out[1])
            return fit(model, x, y, validation_split=validation_split, **kwargs)

        keras.Model.fit = watched
        try:
            estimator.fit(X, y)
        finally:
            keras.Model.fit = fit
        return np.unique(np.asarray(seen[0]), axis=0)


class Scikeras(Library):
    title = package = "scikeras"
    rate = "model__rate"

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        routed = {"model__network": network, "model__rate": rate, "model__dtype": dtype}
        return self.classifier()(keras_model, verbose=0, **routed, **settings)

    def classifier(self) -> type:
        from scikeras.wrappers import KerasClassifier

        return KerasClassifier


class Bridge(Scikeras):
    title, package = "skcnn.scikeras", "skcnn"

    def classifier(self) -> type:
        from skcnn.scikeras import KerasClassifier

        return KerasClassifier


class Converted(Bridge):
    title = "converted"
    rate = "learning_rate"

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        import keras

        from skcnn.scikeras import convert

        source = self.classifier()(
            keras_model_of, optimizer=keras.optimizers.Adam(rate), model__network=network, verbose=0, **settings
        )
        return convert(source).set_params(dtype=dtype)


def keras_model_of(meta: dict[str, Any], compile_kwargs: dict[str, Any], network: str) -> Any:
    model = keras_model(meta, network, 0.1, "float32")
    model.compile(compile_kwargs["optimizer"], model.loss)
    return model


def keras_wrapper_model(X: Any, y: Any, **settings: Any) -> Any:
    one_hot = y.ndim == 2 and y.shape[1] > 1
    n_classes = y.shape[1] if one_hot else 2
    meta = {"X_shape_": X.shape, "target_type_": "one-hot" if one_hot else "binary", "n_classes_": n_classes}
    return keras_model(meta, **settings)


class KerasWrapper(Library):
    title, package = "keras.wrappers", "keras"
    takes_images = False

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        from keras.wrappers import SKLearnClassifier

        settings.pop("random_state", None)
        if "class_weight" in settings:
            raise Unsupported("class_weight in the user's labels")
        model = {"network": network, "rate": rate, "dtype": dtype}
        return SKLearnClassifier(keras_wrapper_model, model_kwargs=model, fit_kwargs={"verbose": 0, **settings})

    def grid(self, estimator: Any, rates: list[float]) -> dict[str, list[Any]]:
        return {"model_kwargs": [estimator.model_kwargs | {"rate": rate} for rate in rates]}


class Skorch(Library):
    title = package = "skorch"
    rate = "lr"

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        import torch
        from contracts_torch import ClassCounter, Network
        from skorch import NeuralNetClassifier

        if "class_weight" in settings:
            raise Unsupported("class_weight in the user's labels")
        seed = settings.pop("random_state", None)
        if isinstance(seed, int):
            torch.manual_seed(seed)
        split = {} if settings.pop("validation_split", 0) else {"train_split": None}
        return NeuralNetClassifier(
            Network,
            module__network=network,
            module__dtype=dtype,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=rate,
            max_epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            callbacks=[ClassCounter],
            verbose=0,
            **split,
        )

    def validation_labels(self, estimator: Any, X: Any, y: Any) -> Any:
        return np.unique([label for _, label in estimator.get_split_datasets(X, y)[1]])


class Skcnn(Library):
    title = package = "skcnn"

    def make(self, network: str, rate: float, dtype: str = "float64", **settings: Any) -> Any:
        from skcnn import CNNClassifier
        from skcnn.networks import Plain

        body = {"filters": (8,)} if network == "CNN" else {"filters": (), "dense_units": (16,)}
        split = settings.pop("validation_split", 0)
        if split:
            settings |= {"validation_fraction": split, "early_stopping": True}
        plain = Plain(**body, normalization=None, pooling=None)
        same = {"schedule": "constant", "standardize": None, "early_stopping": False}
        return CNNClassifier(plain, learning_rate=rate, dtype=dtype, **same | settings)

    def validation_labels(self, estimator: Any, X: Any, y: Any) -> Any:
        seen: list[Any] = []

        def scorer(estimator: Any, X: Any, y: Any) -> float:
            seen.append(y)
            return 0.0

        estimator.set_params(scoring=scorer).fit(X, y)
        return np.unique(seen[0])


LIBRARIES: tuple[Library, ...] = (Scikeras(), KerasWrapper(), Skorch(), Bridge(), Skcnn())
COSTED: tuple[Library, ...] = (Scikeras(), KerasWrapper(), Skorch(), Bridge(), Converted(), Skcnn())

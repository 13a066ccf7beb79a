"""A custom Keras network in a grid, and its features for other models. ``python -m skcnn.examples.custom_network``."""

from typing import Any

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skcnn import CNNClassifier
from skcnn.networks import Network


class Separable(Network):
    """Depthwise separable convolutions; what ``__init__`` takes can be tuned as ``network__...``."""

    def __init__(self, filters: int = 16, depth: int = 2) -> None:
        self.filters = filters
        self.depth = depth

    def features(self, x: Any) -> Any:
        """Add the layers up to the features; the output layer (and the estimator's dropout) are added to them."""
        for _ in range(self.depth):
            x = keras.layers.SeparableConv2D(self.filters, 3, padding="same", activation="relu")(x)
        return keras.layers.GlobalMaxPooling2D(name="features")(x)


def main() -> tuple[float, float]:
    """Tune the network, then let a nearest-neighbour classifier work on its features."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8, 1)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=600, stratify=y, random_state=0)
    cnn = CNNClassifier(Separable(), epochs=25, learning_rate=0.01, random_state=0)
    search = GridSearchCV(cnn, {"network__filters": [16, 48]}, cv=3).fit(X_train, y_train)
    print(f"Best: {search.best_params_}, accuracy {search.score(X_test, y_test):.3f} on other images.")

    model = search.best_estimator_.to_keras()  # a plain keras.Model with the fitted weights; cut it where you like
    embed = keras.Model(model.inputs, model.get_layer("features").output)
    neighbours = KNeighborsClassifier().fit(embed.predict(X_train, verbose=0), y_train)
    of_features = neighbours.score(embed.predict(X_test, verbose=0), y_test)
    print(f"Nearest neighbours on its {embed.output_shape[1]} features: {of_features:.3f}.")
    return search.score(X_test, y_test), of_features


if __name__ == "__main__":
    main()

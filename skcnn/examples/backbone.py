"""A network that has seen other images, on few of ours, in a search. ``python -m skcnn.examples.backbone``."""

import time

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier
from skcnn.networks import Backbone, Plain


def main() -> tuple[float, float]:
    """Learn the digits from 5 to 9 from eight images each, after many images of the others."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8, 1)
    others, ours = y < 5, y >= 5
    X_train, X_test, y_train, y_test = train_test_split(
        X[ours], y[ours], train_size=40, stratify=y[ours], random_state=0
    )

    import keras  # the same with Backbone("EfficientNetV2B0"), whose weights Keras downloads, for images of 3 channels

    model = CNNClassifier(Plain((32, 64)), epochs=30, random_state=0).fit(X[others], y[others]).to_keras()
    seen = keras.Model(model.inputs[0], model.layers[-2].output)  # all but its output layer

    # The backbone is frozen, so that its features are computed once for the whole search: memory= shares them with
    # other processes and later searches.
    cnn = CNNClassifier(Backbone(seen), random_state=0)
    grid = {"learning_rate": [0.003, 0.01, 0.03], "dropout": [0.0, 0.2], "l2": [0.0, 1e-3]}
    start = time.perf_counter()
    search = GridSearchCV(cnn, grid, cv=4).fit(X_train, y_train)
    print(f"{len(search.cv_results_['params'])} candidates in {time.perf_counter() - start:.1f} s.")
    transferred = search.score(X_test, y_test)
    from_scratch = CNNClassifier(random_state=0).fit(X_train, y_train).score(X_test, y_test)
    print(f"Accuracy on {len(y_test)} other images: {transferred:.3f}, from scratch {from_scratch:.3f}.")
    return transferred, from_scratch


if __name__ == "__main__":
    main()

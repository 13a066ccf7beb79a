"""A network that has seen other images, on few of ours, in a search. ``python -m skcnn.examples.backbone``."""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier
from skcnn.networks import Backbone


def main() -> GridSearchCV:
    """Learn the digits from 5 to 9 from twenty images each, after many images of the others."""
    import keras  # the same with Backbone("EfficientNetV2B0"), whose weights Keras downloads, for images of 3 channels

    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8, 1)
    others, ours = y < 5, y >= 5
    X_train, X_test, y_train, y_test = train_test_split(
        X[ours], y[ours], train_size=100, stratify=y[ours], random_state=0
    )
    model = CNNClassifier(epochs=30, random_state=0).fit(X[others], y[others]).to_keras()
    seen = keras.Model(model.inputs[0], model.layers[-2].output)  # all but its output layer

    # The backbone is frozen, so that its features are computed once for the whole search; memory= shares them with
    # other processes and later searches.
    cnn = CNNClassifier(Backbone(seen, pooling=None), random_state=0)
    search = GridSearchCV(cnn, {"learning_rate": [0.003, 0.01, 0.03], "l2": [0.0, 1e-3]}, cv=5).fit(X_train, y_train)
    n_fits = len(search.cv_results_["params"]) * search.n_splits_ + 1
    print(f"{n_fits} fits, in which each image passed the backbone once: {search.best_params_}")
    print(f"Accuracy on {len(y_test)} other images: {search.score(X_test, y_test):.3f}.")
    return search


if __name__ == "__main__":
    main()

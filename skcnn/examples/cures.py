"""The question behind the project, "it fits the training set and fails on the test set", and its usual answers.

Three snippets that are often given, and what to write instead. ``python -m skcnn.examples.cures``.
"""

from imblearn.pipeline import Pipeline
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier
from skcnn.datasets import load_rare_digit
from skcnn.preprocessing import NDTransformer


def main() -> GridSearchCV:
    """Search over the three cures at once, each inside the folds."""
    X, y = load_rare_digit(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=0.25, stratify=y, random_state=0)

    # 1. Weighted cross-entropy. Often: loss=BinaryCrossentropy(weight=...), an argument that Keras' losses do not have,
    #    or weights computed once on all samples. Here they are computed on the training samples.
    weights = {"cnn__class_weight": [None, "balanced"]}

    # 2. L2. Often: Conv2D(..., kernel_regularizer=l2(0.01)), a constant deep inside the network, in every layer.
    #    Here it is a number of the estimator: its values are tried with one and the same compiled network.
    penalties = {"cnn__l2": [0.0, 0.01]}

    # 3. Scaling and augmentation. Often: scaler.fit_transform(X) before the split, and a generator that augments the
    #    validation samples, too. In a pipeline the scaler is fitted on the training samples of each fold; the
    #    network augments its training samples alone.
    scale = NDTransformer(StandardScaler(), per="channel")
    variations = {"cnn__augmentation": [None, ["translation", "rotation"]]}

    cnn = CNNClassifier(epochs=20, schedule="cosine", random_state=0)
    pipe = Pipeline([("scale", scale), ("cnn", cnn)])
    search = GridSearchCV(pipe, weights | penalties | variations, scoring="balanced_accuracy", cv=3)
    search.fit(X_train, y_train)
    print(f"Best: {search.best_params_}, balanced accuracy {search.best_score_:.3f} in cross-validation.")
    print(f"On {len(X_test)} other images: {search.score(X_test, y_test):.3f}.")
    return search


if __name__ == "__main__":
    main()

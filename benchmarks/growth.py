"""Measure how time and memory grow with samples and with fits.

    python benchmarks/growth.py            # writes its section of RESULTS.md
    python benchmarks/growth.py --quick    # smaller, prints only

Time per sample, for one epoch on a compiled network, from 1,000 to 100,000 samples. Time and memory per fit over many
fits, of one topology and of more topologies in turn than the pool keeps compiled. Peak memory of a fit over the size of
its data, each in a separate process that has fitted the network on a few samples before; the caller's array is
allocated already and not counted.
"""

import gc
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from report import do_part, in_own_process, markdown_table, parse_quick, publish

import skcnn
from skcnn import CNNClassifier
from skcnn._engine.pool import pool
from skcnn.networks import Plain

QUESTION = "What grows with the number of samples, and with the number of fits?"
MIB = 2**20
SHAPE = (16, 16, 3)


def images(n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    return (X if dtype == "uint8" else X.astype("float32") / 255), rng.integers(0, 4, n)


def network(filters: tuple[int, ...] = (8,), **params: Any) -> CNNClassifier:
    return CNNClassifier(Plain(filters=filters), epochs=1, early_stopping=False, random_state=0, **params)


def resident() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / MIB


def samples_table(sizes: list[int], rounds: int) -> str:
    data = {n: images(n, "uint8") for n in sizes}
    network().fit(*data[sizes[0]])
    times: dict[int, list[float]] = {n: [] for n in sizes}
    for _ in range(rounds):
        for n in sizes:
            start = time.perf_counter()
            network().fit(*data[n])
            times[n].append(time.perf_counter() - start)
    medians = {n: statistics.median(values) for n, values in times.items()}
    rows = [
        [
            f"{n:,}",
            f"{medians[n]:.2f}",
            f"{1e6 * medians[n] / n:.0f}",
            f"{medians[n] / n * sizes[0] / medians[sizes[0]]:.2f}",
        ]
        for n in sizes
    ]
    return markdown_table(["samples", "seconds", "microseconds a sample", f"over that of {sizes[0]:,} samples"], rows)


def fits_table(n_fits: int, n_rotating: int) -> str:
    """Return memory and time per fit, after a warm-up.

    The warm-up is the first 20 fits; for topologies in turn, two rounds through all.
    """
    X, y = images(200, "float32")
    rows = []
    n_topologies = pool.capacity + 2
    for name, count, warm, filters in (
        ("one topology", n_fits, 20, lambda i: (8,)),
        (f"{n_topologies} topologies in turn, {pool.capacity} kept", n_rotating, 20, lambda i: (4 + i % n_topologies,)),
    ):
        seconds, memory = [], []
        for i in range(count):
            start = time.perf_counter()
            network(filters(i)).fit(X, y)
            seconds.append(time.perf_counter() - start)
            if i + 1 in (warm, count):
                memory.append(resident())
        early, late = (statistics.median(part) for part in (seconds[warm : warm + 20], seconds[-20:]))
        rows.append(
            [
                name,
                str(count),
                f"{(memory[1] - memory[0]) / (count - warm):.3f}",
                f"{1e3 * early:.0f}",
                f"{1e3 * late:.0f}",
            ]
        )
    header = ["", "fits", "MiB a fit after the first 20", "ms a fit at first", "ms a fit at last"]
    return markdown_table(header, rows)


def peak(dtype: str, n: int) -> dict[str, float]:
    """Fit in this process; return MiB of the data and of the rise in peak (Linux)."""
    X, y = images(n, dtype)
    network().fit(X[:2000].copy(), y[:2000])
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    network().fit(X, y)
    lines = Path("/proc/self/status").read_text().splitlines()
    highest = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return {"data": X.nbytes / MIB, "rise": highest - before}


def peaks_table(sizes: list[int]) -> str:
    rows = []
    for dtype in ("uint8", "float32"):
        found = [in_own_process(__file__, "--peak", dtype, str(n)) for n in sizes]
        small, large = found[0], found[-1]
        slope = (large["rise"] - small["rise"]) / (large["data"] - small["data"])
        constant = small["rise"] - slope * small["data"]
        measured = ", ".join(f"{one['rise']:.0f} for {one['data']:.0f}" for one in found)
        rows.append([dtype, measured, f"{slope:.2f}", f"{constant:.0f}"])
    header = ["", "MiB that a fit takes at its peak, for MiB of data", "copies of the data", "MiB besides"]
    return markdown_table(header, rows)


def main() -> None:
    skcnn.set_threads(1)
    do_part(peak=lambda dtype, n: peak(dtype, int(n)))
    quick = parse_quick(__doc__)
    fits = fits_table(60, 30) if quick else fits_table(500, 200)
    samples = samples_table([1000, 10_000], 1) if quick else samples_table([1000, 10_000, 100_000], 3)
    peaks = peaks_table([50_000, 100_000] if quick else [100_000, 200_000, 400_000])
    body = f"""
Images of 16x16x3, `Plain(filters=(8,))`, one thread.

### Fits

{fits}

### Samples

{samples}

### Peak memory

{peaks}
"""
    publish("growth", "Growth", QUESTION, body, only_print=quick, packages=("skcnn", "tensorflow", "keras", "numpy"))


if __name__ == "__main__":
    main()

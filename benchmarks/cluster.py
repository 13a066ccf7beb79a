"""Measure a search over several processes: time, bytes sent, and a model of both.

    python benchmarks/cluster.py            # writes its section of RESULTS.md
    python benchmarks/cluster.py --quick    # one round with one and two workers, prints only

The model: each process starts TensorFlow and traces every topology for itself, fits are shared out, and each task costs
something to send. As many workers as there are cores work at once; more of them only start and trace more.

    work              = processes * (begin + start + topologies * trace) + fits * (fit + task)
    processor seconds = work + workers * upkeep * seconds
    seconds           = work / (lanes - workers * upkeep)

`upkeep` is what a backend takes per worker while they work (dask monitors them); `lanes` is the number of workers, at
most that of cores; threads are one process. The pieces are measured in processes that search nothing: one fits four
times per topology, one per backend runs tasks that do nothing. All are processor time, of this process and those that
it started, so that what else runs on the machine counts little; the seconds of the model are those of a machine with
nothing else to do. Each search runs in a separate process, in turns, with one thread per worker and without refit.
"First" is a search whose workers have not started TensorFlow (dask's are up already, as on a cluster), "again" the same
once more, on the same workers. With one worker joblib searches in this process, whatever the backend.

What is sent is counted where dask writes to its connections, in all processes, and for loky by what this process has
written (Linux).
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
from report import ONE_THREAD, do_part, in_own_process, markdown_table, parse_quick, publish
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from skcnn import CNNClassifier
from skcnn.networks import Plain

QUESTION = "What does a search cost over several processes, what travels to them, and how does it grow?"
BACKENDS = ("threading", "loky", "dask")
ALONE = "one process"
DROPOUT = (0.0, 0.3)  # off and on: two topologies
GRID = {"dropout": DROPOUT, "l2": [1e-4, 1e-3], "learning_rate": [1e-3, 3e-3]}
FOLDS = 3
N_FITS = FOLDS * 8
CORES = joblib.cpu_count()


def problem() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).reshape(-1, 8, 8, 1).astype("float32"), y


def network(**params: Any) -> CNNClassifier:
    return CNNClassifier(Plain(filters=(16, 32)), **{"epochs": 5, "random_state": 0} | params)


def search(grid: dict[str, Any] = GRID, folds: int = FOLDS, **params: Any) -> GridSearchCV:
    return GridSearchCV(network(**params), grid, cv=folds, refit=False, error_score="raise")


@contextmanager
def cluster(n_workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    settings = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(n_workers=n_workers, **settings) as one, Client(one) as client:
        yield client


# Time ---------------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds, and processor seconds of this process and its children, since creation."""

    def __init__(self) -> None:
        self.begun, self.used = time.perf_counter(), self._used()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.begun, self._used() - self.used

    @staticmethod
    def _used() -> float:
        total = 0.0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def pieces() -> dict[str, float]:
    """Measure what starting, tracing and fitting take, in this fresh process."""
    clock = Clock()
    import keras  # noqa: F401
    import tensorflow as tf

    tf.constant(0)
    start = clock.read()[1]
    X, y = problem()
    rows = len(X) * (FOLDS - 1) // FOLDS
    first, later = [], []
    for dropout in DROPOUT:
        for times in (first, later, later, later):
            clock = Clock()
            network(dropout=dropout).fit(X[:rows], y[:rows]).score(X[rows:], y[rows:])
            times.append(clock.read()[1])
    fit = statistics.median(later)
    return {"start": start, "trace": statistics.mean(first) - fit, "fit": fit}


def look_at(estimator: Any, seconds: float) -> None:
    """Import what a task requires, and do nothing else."""
    time.sleep(seconds)


def tasks(backend: str) -> dict[str, float]:
    """Measure tasks that do nothing: the first, one of many, and two that sleep."""
    estimator, n = network(), 200
    with workers(backend, 2):

        def used(n_tasks: int, seconds: float) -> tuple[float, float]:
            clock = Clock()
            joblib.Parallel(batch_size=1)(joblib.delayed(look_at)(estimator, seconds) for _ in range(n_tasks))
            return clock.read()

        first, resting, many = used(2, 1), used(2, 5), used(n, 0)
    upkeep = resting[1] / resting[0]
    begin, task = ((part[1] - upkeep * part[0]) / count for part, count in ((first, 2), (many, n)))
    return {"begin": max(begin, 0.0), "task": max(task, 0.0), "upkeep": upkeep / 2}


@contextmanager
def workers(backend: str, n: int) -> Iterator[None]:
    if backend == "dask":
        with cluster(n), joblib.parallel_config("dask"):
            yield
    else:
        with joblib.parallel_config("threading" if backend == ALONE else backend, n_jobs=n):
            yield


def searched(backend: str, n: str) -> dict[str, Any]:
    """Search twice on the same workers, in this process."""
    X, y = problem()
    found: dict[str, Any] = {"scores": []}
    with workers(backend, int(n)):
        for when in ("first", "again"):
            clock = Clock()
            scores = search().fit(X, y).cv_results_["mean_test_score"]
            found[when] = clock.read()
            found["scores"].append(scores.tolist())
    return found


def foretold(backend: str, n: int, when: str, known: dict[str, Any], seconds: float) -> tuple[float, float]:
    """Return seconds on an idle machine, and processor seconds, by the model."""
    one, other = known["pieces"], known.get(backend, {"begin": 0.0, "task": 0.0, "upkeep": 0.0})
    processes = n if backend in ("loky", "dask") else 1
    work = N_FITS * (one["fit"] + other["task"])
    if when == "first":
        work += processes * (other["begin"] + one["start"] + len(DROPOUT) * one["trace"])
    upkeep = n * other["upkeep"]
    return work / (min(n, CORES) - upkeep), work + upkeep * seconds


def time_tables(numbers: list[int], rounds: int) -> str:
    ways = [(ALONE, 1), *((backend, n) for n in numbers for backend in BACKENDS)]
    measured: dict[tuple[str, int], list[dict[str, Any]]] = {way: [] for way in ways}
    known: list[dict[str, Any]] = []
    for _ in range(rounds):
        known.append({"pieces": own("--pieces")} | {backend: own("--tasks", backend) for backend in BACKENDS})
        for (backend, n), runs in measured.items():
            runs.append(own("--search", backend, str(n)))
            print(backend, n, {key: runs[-1][key] for key in ("first", "again")}, file=sys.stderr, flush=True)
    if len({str(scores) for runs in measured.values() for run in runs for scores in run["scores"]}) > 1:
        raise RuntimeError("the scores are not the same everywhere")
    rows = []
    for when in ("first", "again"):
        for (backend, n), runs in measured.items():
            model = [foretold(backend, n, when, one, run[when][0]) for one, run in zip(known, runs, strict=True)]
            row = [when, backend, str(n)]
            for i in (1, 0):
                pairs = [(run[when][i], one[i]) for run, one in zip(runs, model, strict=True)]
                medians = [f"{statistics.median(column):.1f}" for column in zip(*pairs, strict=True)]
                row += [*medians, f"{statistics.median(a / b for a, b in pairs):.2f}"]
            rows.append(row)
    header = ["search", "", "workers", "processor seconds", "model", "ratio", "seconds", "model", "ratio"]
    found = [
        ["start TensorFlow", *spread([one["pieces"]["start"] for one in known])],
        ["trace a topology", *spread([one["pieces"]["trace"] for one in known])],
        ["a fit and its score", *spread([one["pieces"]["fit"] for one in known])],
    ]
    for backend in BACKENDS:
        for name, key in (("begin", "begin"), ("a task", "task"), ("upkeep of a worker, of a second", "upkeep")):
            found.append([f"{backend}: {name}", *spread([one[backend][key] for one in known])])
    return "\n\n".join(
        [
            "### The pieces, in processor seconds",
            markdown_table(["", "median", "range"], found),
            f"### {N_FITS} fits of {len(DROPOUT)} topologies",
            markdown_table(header, rows),
            "Mean test scores are the same to the bit in all of them.",
        ]
    )


def spread(values: list[float]) -> tuple[str, str]:
    return f"{statistics.median(values):.4f}", f"{min(values):.4f} to {max(values):.4f}"


def own(*arguments: str) -> Any:
    return in_own_process(__file__, *arguments, environment=ONE_THREAD)


# Bytes --------------------------------------------------------------------------------------------------------------


def written_to_dask() -> int:
    """Count what this process writes to others of the cluster, and return it."""
    from distributed.comm.tcp import TCP

    if not hasattr(TCP, "n_written"):
        TCP.n_written, write = 0, TCP.write

        async def counted(self: Any, *args: Any, **kwargs: Any) -> int:
            n: int = await write(self, *args, **kwargs)
            TCP.n_written += n
            return n

        TCP.write = counted
    return int(TCP.n_written)


def written_by_this_process() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def bytes_of(backend: str) -> list[list[str]]:
    """Count what searches of more and more tasks write, with few and many samples."""
    X, y = problem()
    X, y = np.tile(X, (4, 1, 1, 1)), np.tile(y, 4)
    found: list[list[str]] = []
    with cluster(2) if backend == "dask" else joblib.parallel_config(backend, n_jobs=2) as client:

        def total() -> int:
            if backend != "dask":
                return written_by_this_process()
            return written_to_dask() + sum(client.run(written_to_dask).values())

        def count(name: str, what: Any, n_tasks: int, rows: tuple[np.ndarray, np.ndarray], **settings: Any) -> None:
            before = total()
            with joblib.parallel_config("dask", **settings) if backend == "dask" else nullcontext():
                what.fit(*rows)
            sent = total() - before
            of_rows = sum(part.nbytes for part in rows)
            found.append([name, str(n_tasks), f"{of_rows:,}", f"{sent:,}", f"{sent / of_rows:.1f}"])

        def grid(n: int) -> dict[str, Any]:
            return {"l2": np.geomspace(1e-5, 1e-2, n).tolist()}

        search(grid(2), 2, epochs=1).fit(X[:100], y[:100])  # imports and the like are sent before anything is counted
        for rows in ((X[:400], y[:400]), (X, y)):
            for n in (8, 32):
                count(f"{backend}, a grid", search(grid(n), 2, epochs=1), 2 * n, rows)
        if backend == "dask":
            rungs: dict[str, Any] = {"resource": "epochs", "min_resources": 1, "max_resources": 4, "factor": 2}
            halving = HalvingGridSearchCV(network(), grid(8), cv=2, refit=False, **rungs)
            count("dask, halving in three rungs", halving, 2 * (8 + 4 + 2), (X, y))
            count("the same with scatter=[X, y]", halving, 2 * (8 + 4 + 2), (X, y), scatter=[X, y])
    return found


def main() -> None:
    do_part(pieces=pieces, tasks=tasks, search=searched, bytes=bytes_of)
    quick = parse_quick(__doc__)
    times = time_tables([2] if quick else [2, 4], 1 if quick else 3)
    header = ["", "tasks", "bytes of samples", "bytes written", "times the samples"]
    travelled = markdown_table(header, [*own("--bytes", "dask"), *own("--bytes", "loky")])
    load = os.getloadavg()[2]
    body = f"""
{times}

### What travels, two workers

{travelled}

Bytes on every way: for dask to the scheduler, from there to a worker, and from one worker to another. {CORES} cores,
with {load:.1f} processes on them on average while this ran.
"""
    packages = ("skcnn", "scikit-learn", "joblib", "dask", "distributed", "tensorflow", "keras")
    publish("cluster", "From laptop to cluster", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

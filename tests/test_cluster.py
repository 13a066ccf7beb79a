"""Searches over processes: a dask cluster of two workers on this machine."""

import logging
import os
import signal
from itertools import chain
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from common import classifier, same_weights
from distributed import Client, LocalCluster, WorkerPlugin
from distributed.comm.tcp import TCP
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, StratifiedKFold

import skcnn
from skcnn._engine.blueprint import trace_count
from skcnn._engine.checkpoints import Checkpoints
from skcnn._engine.threads import n_threads
from skcnn.networks import Plain

N_STEPS = 300  # long rows, for which one thread is chosen in a worker alone


class OneCardEach(WorkerPlugin):
    """The README's: what each worker calls when it starts, also one that takes the place of a dead one."""

    def setup(self, worker):
        worker.cards = skcnn.set_gpus(memory_limit=4096)


class Judge:
    """Accuracy, with a line in a file for each epoch; at the given line it sends a signal, once."""

    def __init__(self, folder, at=None, signal=signal.SIGKILL, pid=None):
        self.folder, self.at, self.signal, self.pid = folder, at, signal, pid
        self.home = os.getpid()

    def __call__(self, estimator, X, y):
        with open(self.folder / "epochs", "a") as file:
            file.write("one\n")
        if self.at is not None and self.count() >= self.at:
            try:
                (self.folder / "sent").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                if self.pid is None and os.getpid() == self.home:
                    raise RuntimeError("the search runs here and not on a worker, which would have been killed")
                os.kill(self.pid or os.getpid(), self.signal)
        return estimator.score(X, y)

    def count(self):
        return len((self.folder / "epochs").read_text().splitlines())


def keep_each_epoch():
    Checkpoints.FIRST_SECONDS, Checkpoints.WRITE_SHARE = 0.0, float("inf")


def count_bytes():
    """Have this process count what it writes to others of the cluster."""
    if not hasattr(TCP, "n_written"):
        TCP.n_written, write = 0, TCP.write

        async def counted(self, *args, **kwargs):
            n = await write(self, *args, **kwargs)
            TCP.n_written += n
            return n

        TCP.write = counted
    return TCP.n_written


def own_network():
    """Return a function that is sent by value, as those of notebooks are."""

    def network(input_shape, n_outputs):
        layers = keras.layers.Conv1D(4, 3), keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(n_outputs)
        return keras.Sequential([keras.Input(input_shape), *layers])

    return network


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    return (rng.normal(size=(90, N_STEPS)) + np.sin(np.arange(N_STEPS) * (1 + y[:, None]) / 9)).astype("float32"), y


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(OneCardEach())
        yield client


def same(a, b):
    """Compare two fitted searches to the bit."""
    splits = [key for key in a.cv_results_ if key.startswith("split")]
    assert splits
    for key in splits:
        np.testing.assert_array_equal(a.cv_results_[key], b.cv_results_[key])
    assert same_weights(a.best_estimator_, b.best_estimator_)


def test_searches_equal_those_of_one_process_and_reuse_programs(client, rows):
    networks = [Plain(filters=(4,)), own_network()]
    grid = GridSearchCV(
        classifier(), {"network": networks, "learning_rate": [1e-3, 1e-2]}, cv=3, scoring="neg_log_loss"
    )
    rungs = {"resource": "epochs", "min_resources": 1, "max_resources": 2, "factor": 2}
    halving = HalvingGridSearchCV(classifier(), grid.param_grid, cv=3, scoring="neg_log_loss", **rungs)
    for search in (grid, halving):
        with joblib.parallel_config("dask"):
            over_processes = clone(search).fit(*rows)
        same(over_processes, search.fit(*rows))
    # Thirty fits of two networks: each worker traces their training, statistics and prediction once.
    counts = client.run(trace_count).values()
    assert len(counts) == 2
    assert all(3 <= count <= 6 for count in counts)
    assert list(client.run(n_threads).values()) == [1, 1]


def test_rows_travel_once(client, rows):
    X, y = np.tile(rows[0], (10, 1)), np.tile(rows[1], 10)
    search = GridSearchCV(classifier(epochs=1), {"l2": np.logspace(-5, -2, 8).tolist()}, cv=2, refit=False)
    before = count_bytes() + sum(client.run(count_bytes).values())
    with joblib.parallel_config("dask"):
        search.fit(X, y)
    travelled = count_bytes() + sum(client.run(count_bytes).values()) - before
    # To the scheduler, from there to one worker, from there to the other. With each of the tasks it would be 32 times.
    assert X.nbytes < travelled < 4 * X.nbytes


@pytest.fixture
def interruptible():
    """Python's own answer to an interrupt, which what a shell starts in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_stops_the_search_and_leaves_the_cluster_usable(client, rows, tmp_path):
    judge = Judge(tmp_path, 3, signal.SIGINT, os.getpid())
    net = classifier(epochs=5, early_stopping=True, scoring=judge)
    search = GridSearchCV(net, {"l2": np.logspace(-5, -2, 8).tolist()}, cv=2, refit=False)
    with joblib.parallel_config("dask"):
        with pytest.raises(KeyboardInterrupt):
            search.fit(*rows)
        again = GridSearchCV(classifier(), {"l2": [1e-4]}, cv=2).fit(*rows)
    assert judge.count() < 16 * 5  # what had not begun was called off
    same(again, GridSearchCV(classifier(), {"l2": [1e-4]}, cv=2).fit(*rows))


def search_with_memory(folder, judge, cv):
    net = classifier(epochs=4, early_stopping=True, n_iter_no_change=9, scoring=judge, memory=folder)
    return GridSearchCV(net, {"learning_rate": [1e-3, 1e-2]}, cv=cv, error_score="raise")


def whole(folder):
    """Every file in the folder is whole: none is unfinished, each holds its arrays."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    for path in files:
        assert path.suffix == ".npz"
        with np.load(path) as arrays:
            assert all(arrays[name] is not None for name in arrays.files)
    return len([path for path in files if "between" not in path.name])


def test_a_killed_worker_is_replaced_and_nothing_trained_twice(client, rows, tmp_path):
    folds = list(StratifiedKFold(3).split(*rows))
    judge = Judge(tmp_path, 10)
    search = search_with_memory(tmp_path / "memory", judge, folds)
    client.wait_for_workers(2)
    workers = set(client.run(os.getpid).values())
    client.run(keep_each_epoch)
    client.amm.stop()  # which would leave one copy of what was sent to all
    with joblib.parallel_config("dask", scatter=[*rows, *chain(*folds)]):
        search.fit(*rows)
    client.wait_for_workers(2)
    assert len(workers & set(client.run(os.getpid).values())) == 1
    assert list(client.run(lambda dask_worker: dask_worker.cards).values()) == [[], []]
    # Six fits and one on all rows, four epochs each; the one that was judged when the signal came is judged again.
    assert judge.count() == 7 * 4 + 1
    assert whole(tmp_path / "memory") == 7
    same(search, search_with_memory(None, Judge(tmp_path), folds).fit(*rows))

"""What goes wrong from outside: divergence, interrupts, no memory, killed workers, threads."""

import copy
import itertools
import os
import re
import resource
import signal
import sys
import textwrap
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from common import classifier, dropout_network, regressor, run_python, same_model
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

import skcnn._engine.loop
import skcnn._fit.estimator
import skcnn._fit.parameters
from skcnn import CNNRegressor
from skcnn._engine.blueprint import building
from skcnn._engine.memory import free_bytes
from skcnn.networks import Plain

LINEAR = Plain(filters=(4,), normalization=None, activation="linear")  # no dead unit holds a divergence up


@pytest.fixture(scope="module")
def few(few_digits):
    X, y = few_digits
    return X[:100], y[:100] % 3


# A loss that is no longer finite ---------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"schedule": "cosine", "dtype": "float64"}])
def test_divergence_says_when_at_which_rate_and_what_to_try(params, few):
    rate = 1e300 if "dtype" in params else 1e30
    model = classifier(network=LINEAR, optimizer="sgd", learning_rate=rate, **params)
    rule = r"loss became (nan|inf) in epoch 1 at learning rate [\d.e+]+\. Try a lower learning_rate .* clipnorm=1.0"
    with pytest.raises(FloatingPointError, match=rule):
        model.fit(*few)
    assert not model.__sklearn_is_fitted__()


def test_a_candidate_that_diverges_leaves_the_others_as_they_are_to_the_bit(few):
    model = classifier(network=LINEAR, optimizer="sgd", early_stopping=True)
    searches = {}
    for name, rates in {"all": [0.01, 1e30, 0.1], "without": [0.01, 0.1]}.items():
        for n_jobs in (1, 2):
            search = GridSearchCV(
                model, {"learning_rate": rates}, cv=2, scoring="neg_log_loss", error_score=np.nan, n_jobs=n_jobs
            )
            with warnings.catch_warnings(record=True) as caught, joblib.parallel_config("threading"):
                warnings.simplefilter("always")
                searches[name, n_jobs] = search.fit(*few)
            messages = [str(one.message) for one in caught if one.category is FitFailedWarning]
            assert len(messages) == (name == "all")
            assert all("2 fits failed" in text and "FloatingPointError: Training diverged" in text for text in messages)
    expected = searches["without", 1]
    for (name, _), search in searches.items():
        kept = [0, 2] if name == "all" else [0, 1]
        for fold in (0, 1):
            scores, wanted = (one.cv_results_[f"split{fold}_test_score"] for one in (search, expected))
            np.testing.assert_array_equal(scores[kept], wanted)
            assert np.isnan(scores).sum() == (name == "all")
        assert same_model(search.best_estimator_, expected.best_estimator_)


# Interrupts ------------------------------------------------------------------------------------------------------


class Interrupt(keras.callbacks.Callback):
    """Raises at the beginning or at the end of an epoch."""

    def __init__(self, epoch, when):
        super().__init__()
        self.epoch, self.when = epoch, when

    def get_config(self):
        return {"epoch": self.epoch, "when": self.when}

    def on_epoch_begin(self, epoch, logs=None):
        if (epoch, "begin") == (self.epoch, self.when):
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, "end") == (self.epoch, self.when):
            raise KeyboardInterrupt


@pytest.mark.parametrize(("epoch", "when"), [(0, "end"), (2, "begin"), (2, "end"), (4, "begin"), (4, "end")])
def test_an_interrupt_at_any_epoch_leaves_the_model_of_the_epochs_so_far(epoch, when, few):
    model = classifier(epochs=5, callbacks=[Interrupt(epoch, when)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(*few)
    assert same_model(model, classifier(epochs=epoch + (when == "end")).fit(*few))


def test_an_interrupt_leaves_the_best_weights_so_far(few):
    X, y = few
    settings = {"learning_rate": 0.3, "batch_statistics": "moving"}  # so that the loss turns before it
    model = classifier(epochs=6, early_stopping=True, callbacks=[Interrupt(5, "begin")], **settings)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    losses = model.history_["val_loss"]
    assert len(losses) == model.n_iter_ == 5
    assert model.best_iter_ == np.argmin(losses) + 1 < 5
    best = clone(model).set_params(callbacks=None, epochs=model.best_iter_).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), best.predict_proba(X))


class _Lines:
    """Counts the lines run in the modules that train, and interrupts at one of them, as Ctrl-C would."""

    MODULES = (skcnn._engine.loop, skcnn._fit.estimator, skcnn._fit.parameters, skcnn._fit.run)
    FILES = tuple(module.__file__ for module in MODULES)

    def __init__(self, at):
        self.at, self.count, self.an_epoch_ended = at, 0, False

    def _line(self, frame, event, arg):
        if event == "line":
            self.count += 1
            self.an_epoch_ended |= frame.f_code.co_name == "judge"
            if self.count == self.at:
                raise KeyboardInterrupt
        return self._line

    def _call(self, frame, event, arg):
        return self._line if frame.f_code.co_filename in self.FILES else None

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *exception):
        sys.settrace(None)


@pytest.mark.parametrize(
    "model",
    [
        classifier(epochs=2, early_stopping=True, batch_size=64),
        regressor(epochs=2, early_stopping=True, refit_full=True),
    ],
    ids=["classifier", "refit on all rows"],
)
def test_an_interrupt_at_any_line_leaves_one_whole_model(model, few):
    X, y = few
    old = clone(model).set_params(epochs=1, random_state=1).fit(X, y)
    whole = [old, *(clone(model).set_params(epochs=n, refit_full=False).fit(X, y) for n in (1, 2))]
    whole.append(clone(model).fit(X, y))
    n_interrupted = 0
    for at in itertools.count(1, 13):  # some of the lines; test_interrupts.py has more
        interrupted = copy.deepcopy(old).set_params(**model.get_params(deep=False))
        try:
            with _Lines(at) as lines:
                interrupted.fit(X, y)
            break
        except KeyboardInterrupt:
            n_interrupted += 1
        assert len(interrupted.history_.get("loss", [])) == interrupted.n_iter_
        predicted = interrupted.predict(X)
        assert not lines.an_epoch_ended or any(np.array_equal(predicted, one.predict(X)) for one in whole), at
    assert n_interrupted > 20
    assert same_model(clone(model).fit(X, y), whole[-1])  # and the programs serve the next fit as if new


# Memory ----------------------------------------------------------------------------------------------------------

LIMITED = """
    import re, resource
    import numpy as np
    import skcnn
    skcnn.set_threads(1)
    from skcnn import CNNClassifier
    from skcnn.networks import Plain

    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (10_000, 32, 32, 3), dtype="uint8"), np.arange(10_000) % 2
    values = X[:6000].astype("float64")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    def network(dense_units=()):
        net = Plain((8,), dense_units=dense_units)
        return CNNClassifier(net, standardize=None, epochs=1, random_state=0)

    def within(mib, action, *data):
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + mib * 2**20, hard))
        try:
            action(*data)
        except MemoryError as error:
            print(error)
            return str(error).partition("What would fit: ")[2]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        print("worked")

    fitted = network().fit(X[:64], y[:64])
    old = fitted.predict_proba(X[:64])
    fits = within(20, fitted.fit, X, y)
    assert (fitted.predict_proba(X[:64]) == old).all()
    n_rows = int(re.match("([0-9,]+) samples at once", fits)[1].replace(",", ""))
    within(20, fitted.fit, X[:n_rows], y[:n_rows])
    within(60, fitted.fit, values, y[:6000])
    fits = within(60, fitted.predict, values)
    n_rows = int(re.search("such as ([0-9,]+)", fits)[1].replace(",", ""))
    within(60, fitted.predict, values[:n_rows])
    fits = within(500, network().set_params(batch_size=10_000).fit, X, y)
    model = network().set_params(batch_size=int(re.match("batch_size=([0-9]+)", fits)[1]))
    within(500, model.fit, X, y)
    within(500, model.fit, X, y)
    within(500, network(dense_units=(65_536,)).fit, X[:64], y[:64])
"""


def test_out_of_memory_says_what_would_fit_and_that_fits():
    """Of a process whose addresses end so many MiB above those it has (RLIMIT_AS)."""
    job = run_python("-W", "ignore", "-c", textwrap.dedent(LIMITED))
    rows, less, converted, predicted, fewer, batch, smaller, again, weights = job.stdout.splitlines()
    assert re.match(
        r"The fit ran out of memory \(Unable to allocate 29.3 MiB.* 29 MiB for copies of 10,000 samples", rows
    )
    assert re.match(
        r"The fit would run out of memory\. It needs about 141 MiB for copies of 6,000 samples; \d+ MiB are free",
        converted,
    )
    assert re.match(
        r"The prediction ran out of memory \(Unable to allocate 70.3 MiB .* fewer samples at once", predicted
    )
    assert re.match(r"The fit ran out of memory \(OOM when allocating tensor with shape\[2048,65536\]", weights)
    assert "What would fit: a smaller network" in weights
    assert re.match(r"The fit would run .* and 1.1 GiB for steps of 10,000 samples; \d+ MiB are free", batch)
    assert less == fewer == smaller == again == "worked"


def test_free_memory_is_that_of_the_container(tmp_path):
    """Files as Linux has them, of control groups of version 2 and 1."""
    (tmp_path / "proc").mkdir()
    group = tmp_path / "sys" / "fs" / "cgroup"
    (group / "memory").mkdir(parents=True)
    assert free_bytes(tmp_path) == np.inf
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\nSwapFree: 1000 kB\n")
    assert free_bytes(tmp_path) == 5000 * 1024
    (group / "memory.current").write_text("3000000\n")
    (group / "memory.stat").write_text("anon 1000000\ninactive_file 500000\n")
    for limit, free in (("max", 5000 * 1024), ("4000000", 1_500_000), ("1000000", 0)):
        (group / "memory.max").write_text(limit + "\n")
        assert free_bytes(tmp_path) == free
    (group / "memory.max").unlink()
    old = {"limit_in_bytes": "2000000", "usage_in_bytes": "1900000", "stat": "cache 1\ntotal_inactive_file 7"}
    for name, text in old.items():
        (group / "memory" / f"memory.{name}").write_text(text)
    assert free_bytes(tmp_path) == 100_007
    assert 0 < free_bytes() < np.inf


def resident():
    """Bytes that this process has in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_layers_that_are_built_again_and_again_take_no_memory():
    """TensorFlow keeps 35 KiB for each new name of a variable, and Keras numbers its layers."""
    before = 0
    for i in range(400):
        if i == 100:
            before = resident()
        with building("float32"):
            keras.layers.Dense(2).build((None, 2))
    assert resident() - before < 300 * 2 * 35_000 / 3


# Workers and threads ---------------------------------------------------------------------------------------------


def runs_kept(folder):
    """Return the furthest epoch that is kept of each run."""
    kept = {}
    for path in (folder / "skcnn").glob("*.npz"):
        run, epoch = re.match(r"(\w+)-(\d+)", path.name).groups()
        kept[run] = max(int(epoch), kept.get(run, 0))
    return kept


def score_or_die(marker, estimator, X, y):
    """Negative log loss; the first worker that comes by with l2 = 0.1 is killed, as a system short of memory does.

    It waits for what the other worker has begun before, so that what is kept by then is certain.
    """
    if estimator.l2 == 0.1 and not marker.exists():
        end = time.monotonic() + 60
        while len(runs_kept(marker.parent)) < 5 and time.monotonic() < end:
            time.sleep(0.05)
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return -log_loss(y, estimator.predict_proba(X), labels=estimator.classes_)


def test_a_killed_worker_is_an_error_and_what_it_trained_is_kept(few, tmp_path, capsys):
    model = classifier(epochs=4, verbose=2)
    scorer = partial(score_or_die, tmp_path / "killed")
    grid = {"l2": [0.0, 0.01, 0.1, 1.0]}
    search = GridSearchCV(model.set_params(memory=tmp_path), grid, cv=2, scoring=scorer, n_jobs=2, refit=False)
    with warnings.catch_warnings(), joblib.parallel_config("loky"):
        warnings.simplefilter("ignore")  # of the workers' start
        with pytest.raises(TerminatedWorkerError, match="SIGKILL"):
            search.fit(*few)
    assert not hasattr(search, "cv_results_")
    for path in (tmp_path / "skcnn").glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert all(np.isfinite(file[name]).all() for name in file.files if name != "about")
    kept = runs_kept(tmp_path)
    assert len(kept) >= 5  # of eight; those of l2 = 0.1 come in the middle

    capsys.readouterr()
    again = search.set_params(n_jobs=None).fit(*few)
    assert capsys.readouterr().out.count("learning_rate: ") == 8 * 4 - sum(kept.values())
    fresh = clone(again).set_params(estimator__memory=None).fit(*few)
    for fold in (0, 1):
        name = f"split{fold}_test_score"
        np.testing.assert_array_equal(again.cv_results_[name], fresh.cv_results_[name])


def test_eight_threads_fit_and_predict_as_one_after_another_to_the_bit(few):
    X, y = few
    kinds = [
        classifier(network=Plain(filters=(3, 5)), dropout=0.3),
        classifier(network=dropout_network, early_stopping=True),
        CNNRegressor(Plain(filters=(6,)), epochs=2),
        classifier(network=Plain(filters=(3,)), augmentation="flip", batch_size=16),
    ]
    jobs = [clone(kinds[i % 4]).set_params(random_state=i) for i in range(24)]
    shared = clone(kinds[0]).fit(X, y)  # all threads predict with it

    def work(model):
        before = shared.predict_proba(X[:7])
        model.fit(X, y)
        return model, model.predict(X[::-1]), before, shared.predict_proba(X[:7])

    barrier, done = threading.Barrier(8), [None] * len(jobs)

    def thread(first):
        barrier.wait(60)
        for i in range(first, len(jobs), 8):  # neighbours train other topologies
            done[i] = work(jobs[i])

    threads = [threading.Thread(target=thread, args=(first,)) for first in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for job, result in zip(jobs, done, strict=True):
        alone, *expected = work(clone(job))
        assert same_model(result[0], alone)
        assert all(map(np.array_equal, result[1:], expected))


FORKED = """
    import os, pickle, sys
    import numpy as np
    from skcnn import CNNClassifier, CNNRegressor
    from skcnn.networks import Plain

    X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
    models = [CNNClassifier(Plain(filters=(2,)), epochs=1).fit(X, y) for _ in range(2)]
    actions = {
        "predict": lambda: models[1].predict(X),
        "predict with other weights": lambda: models[0].predict(X),
        "predict with a loaded model": lambda: pickle.loads(pickle.dumps(models[0])).predict(X),
        "fit": lambda: CNNRegressor().fit(X, y),
        "partial_fit": lambda: models[0].partial_fit(X, y),
        "to_keras": lambda: models[0].to_keras(),
    }
    for name, action in actions.items():
        child = os.fork()
        if not child:
            try:
                action()
            except RuntimeError as error:
                print(name, "loky" in str(error) and "was forked" in str(error), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    models[0].predict(X)
"""


def test_a_fork_of_a_process_that_has_trained_says_so_whatever_is_asked_of_it():
    job = run_python("-W", "ignore", "-c", textwrap.dedent(FORKED), timeout=120)
    names = ["predict", "predict with other weights", "predict with a loaded model", "fit", "partial_fit", "to_keras"]
    assert job.stdout.splitlines() == [f"{name} True" for name in names]

"""Copies of Keras callbacks: what a fit has of its own, what all fits share, and the number in their paths."""

import collections
import itertools
import pathlib
import random
import threading
import warnings

import joblib
import keras
import numpy as np
import pytest
from common import classifier
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn._fit.callback_copies import copy_state


@pytest.fixture(scope="module")
def few(digits):
    X, y = digits
    return X[:120], y[:120] % 3


class Pruned(Exception):
    pass


class Trial:
    """As a trial of Optuna in memory: a deep copy of it belongs to another study."""

    def __init__(self, most=99):
        self.most = most
        self.reported = []

    def report(self, value, step):
        self.reported.append((step, value))

    def should_prune(self):
        return len(self.reported) > self.most


class Pruning(keras.callbacks.Callback):
    """As Optuna's callback of that kind."""

    def __init__(self, trial, monitor):
        super().__init__()
        self._trial, self._monitor = trial, monitor

    def on_epoch_end(self, epoch, logs=None):
        self._trial.report(logs[self._monitor], step=epoch)
        if self._trial.should_prune():
            raise Pruned(f"pruned at epoch {epoch}")


def test_a_fit_prunes_the_trial_that_its_callback_was_given(few):
    trial = Trial(most=2)
    with pytest.raises(Pruned, match="pruned at epoch 2"):
        clone(classifier(epochs=9, callbacks=[Pruning(trial, "loss")])).fit(*few)
    losses = classifier().fit(*few).history_["loss"]
    assert trial.reported == list(enumerate(losses))


def test_all_folds_report_to_one_trial_also_in_a_pipeline_on_threads(few):
    trial = Trial()
    pipe = make_pipeline(FunctionTransformer(), classifier(epochs=2, callbacks=[Pruning(trial, "loss")]))
    with joblib.parallel_config("threading", n_jobs=2):
        cross_validate(pipe, *few, cv=3, error_score="raise")
    assert sorted(step for step, _ in trial.reported) == [0, 0, 0, 1, 1, 1]


class Holder(keras.callbacks.Callback):
    """Has state of every kind, some of which cannot be copied at all."""

    def __init__(self):
        super().__init__()
        self.rows = [[], {"inner": []}]
        self.same = self.rows
        self.rows.append(self.rows)
        self.pair = ([], Trial())
        self.counts = collections.defaultdict(list, a=[1])
        self.last = collections.deque([[0]], maxlen=2)
        self.names = {"a"}
        self.sums = np.zeros(2)
        self.stop = keras.callbacks.EarlyStopping("loss")
        self.random = random.Random(0), np.random.default_rng(0), np.random.RandomState(0)
        self.hook = self.note
        self.trial, self.lock, self.file, self.module = Trial(), threading.Lock(), open(__file__), np  # noqa: SIM115

    def note(self):
        self.rows[0].append("noted")


def test_plain_state_is_copied_and_all_else_shared():
    given = Holder()
    given.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    given.net = given.model
    copied = clone(classifier(callbacks=[given, given])).callbacks[0]
    assert [one is copied for one in clone(classifier(callbacks=(given,) * 2)).callbacks] == [False, False]
    copied.hook()
    copied.rows[1]["inner"].append(1)
    copied.pair[0].append(1)
    copied.counts["a"].append(1)
    copied.last[0].append(1)
    copied.names.add("b")
    copied.sums += 1
    copied.stop.wait = 7
    drawn = copied.random[0].random(), copied.random[1].random(), copied.random[2].random()
    assert (given.rows[:2], copied.rows[:2]) == ([[], {"inner": []}], [["noted"], {"inner": [1]}])
    assert copied.same is copied.rows is copied.rows[2]
    assert (given.pair[0], given.counts, list(given.last), given.names) == ([], {"a": [1]}, [[0]], {"a"})
    assert copied.last.maxlen == 2
    assert copied.counts["new"] == []
    assert given.sums.tolist() == [0, 0]
    assert given.stop.wait == 0
    assert drawn == (given.random[0].random(), given.random[1].random(), given.random[2].random())
    assert copied.pair[1] is given.pair[1]
    assert all(getattr(copied, name) is getattr(given, name) for name in ("trial", "lock", "file", "module"))
    assert (copied.model, copied.net) == (None, None)
    assert given.model is given.net
    given.file.close()


def test_a_callback_that_says_itself_how_it_is_copied_is_copied_so(few):
    class Shared(keras.callbacks.Callback):
        fits = 0

        def __deepcopy__(self, memo):
            return self

        def on_train_end(self, logs=None):
            self.fits += 1

    given = Shared()
    cross_validate(classifier(epochs=1, callbacks=[given]), *few, cv=3, error_score="raise")
    assert given.fits == 3


# The number of a fit ------------------------------------------------------------------------------------------------


class Note(keras.callbacks.Callback):
    """Writes its number and process where its path says."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs=None):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(str(self.params["fit"]))


def with_paths(folder, **params):
    run = str(folder / "{fit}")
    callbacks = [
        keras.callbacks.CSVLogger(f"{run}/log.csv"),
        keras.callbacks.ModelCheckpoint(f"{run}/{{epoch:02d}}.weights.h5", save_weights_only=True),
        Note(pathlib.Path(run, "note.txt")),
    ]
    return classifier(callbacks=callbacks, **{"epochs": 2, **params})


def check_runs(folder, n):
    """Check that so many fits have written, each all of its own and nothing else."""
    runs = sorted(folder.iterdir())
    assert len(runs) == n
    for run in runs:
        names = {path.name for path in run.iterdir()}
        assert names == {"log.csv", "01.weights.h5", "02.weights.h5", "note.txt"}
        assert len((run / "log.csv").read_text().splitlines()) == 3
        assert (run / "note.txt").read_text() == run.name


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_each_fit_of_a_search_has_its_own_number(few, tmp_path, backend):
    search = GridSearchCV(clone(with_paths(tmp_path)), {"l2": [0.0, 0.1]}, cv=2)
    with joblib.parallel_config(backend, n_jobs=2):
        search.fit(*few)
    check_runs(tmp_path, 5)
    best = search.best_estimator_
    assert pathlib.Path(best.callbacks_[0].filename).parent.name == str(best.callbacks_[0].params["fit"])
    assert best.callbacks[0].filename == f"{tmp_path}/{{fit}}/log.csv"


def test_fits_in_processes_have_their_own_numbers(few, tmp_path):
    with warnings.catch_warnings(), joblib.parallel_config("loky"):
        warnings.simplefilter("ignore")  # of the workers' start
        GridSearchCV(with_paths(tmp_path), {"l2": [0.0, 0.1]}, cv=2, n_jobs=2).fit(*few)
    check_runs(tmp_path, 5)
    numbers = sorted(int(run.name) for run in tmp_path.iterdir())
    assert sum(later - earlier > 1000 for earlier, later in itertools.pairwise(numbers)) == 2  # 3 processes


def test_all_strings_and_paths_of_callbacks_have_the_number():
    board, note = keras.callbacks.TensorBoard("a/{fit}/b"), Note(pathlib.Path("{fit:03d}", "{epoch}"))
    board.inner, board.rows = note, ["{fit}"]
    copied = copy_state([board], fit=7)[0]
    assert (copied.log_dir, copied.inner.path, copied.rows) == ("a/7/b", pathlib.Path("007", "{epoch}"), ["{fit}"])
    assert board.log_dir == clone(classifier(callbacks=[board])).callbacks[0].log_dir == "a/{fit}/b"


def test_a_number_is_formatted_like_any_other(few, tmp_path):
    log = keras.callbacks.CSVLogger(str(tmp_path / "{fit:021d}-{fit}.csv"))
    model = classifier(epochs=1, callbacks=[log]).fit(*few)
    number = model.callbacks_[0].params["fit"]
    assert [path.name for path in tmp_path.iterdir()] == [f"{number:021d}-{number}.csv"]

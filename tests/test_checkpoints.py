"""``memory=``: nothing is trained twice, and what comes out is what training from scratch gives, to the bit."""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from common import dropout_network, run_python, same_model
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

import skcnn._engine.checkpoints
import skcnn._fit.run
from skcnn import CNNClassifier, CNNRegressor
from skcnn._engine.checkpoints import Checkpoints, memory_folder, surroundings
from skcnn._engine.loop import Progress
from skcnn.exceptions import CheckpointWarning
from skcnn.networks import Plain

NET = Plain(filters=(4,))


def macro_recall(y, predicted):
    return recall_score(y, predicted, average="macro")


@pytest.fixture
def epochs_printed(capsys):
    """Return how many epochs have been trained since the last call; needs ``verbose=2``."""

    def count():
        return capsys.readouterr().out.count("learning_rate: ")

    return count


@pytest.fixture
def unbalanced(few_digits):
    X, y = few_digits
    return X[:120], (y[:120] == 3).astype(int)


CONFIGURATIONS = {
    "plain": CNNClassifier(NET, schedule="constant"),
    "penalties": CNNClassifier(
        NET,
        schedule="constant",
        l1=1e-4,
        l2=1e-3,
        dropout=0.3,
        weight_decay=1e-3,
        clipnorm=1.0,
        label_smoothing=0.1,
    ),
    "sgd": CNNClassifier(NET, schedule="constant", optimizer="sgd", learning_rate=0.01),
    "rmsprop": CNNClassifier(NET, schedule="constant", optimizer="rmsprop", dtype="float64"),
    "early stopping": CNNClassifier(NET, schedule="constant", early_stopping=True, validation_fraction=0.2),
    "scorer": CNNClassifier(NET, schedule="constant", early_stopping=True, scoring="roc_auc", priors=[0.5, 0.5]),
    "custom scorer": CNNClassifier(NET, schedule="constant", early_stopping=True, scoring=make_scorer(macro_recall)),
    "resampled": CNNClassifier(NET, schedule="constant", sampler=RandomOverSampler(), resample="epoch"),
    "balanced": CNNClassifier(NET, schedule="constant", balanced_batches=True, standardize="channel"),
    "plateau": CNNClassifier(NET, schedule="plateau", early_stopping=True, n_iter_no_change=4, tol=1.0),
    "custom network": CNNClassifier(dropout_network, schedule="constant"),
    "regression": CNNRegressor(NET, schedule="constant"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_more_epochs_go_on_from_fewer(name, unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    fresh = clone(CONFIGURATIONS[name]).set_params(random_state=0, verbose=2)
    kept = clone(fresh).set_params(memory=tmp_path)
    for epochs, trained in ((2, 2), (5, 3), (5, 0), (2, 0)):
        expected = clone(fresh).set_params(epochs=epochs).fit(X, y)
        epochs_printed()
        assert same_model(clone(kept).set_params(epochs=epochs).fit(X, y), expected)
        # With early stopping a run may end before; what it has trained is never trained again.
        assert epochs_printed() in ({trained} if expected.n_iter_ == epochs else range(trained + 1))


def test_a_run_that_stopped_early_is_finished_for_any_number_of_epochs(unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    stops = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0}
    net = CNNClassifier(NET, schedule="constant", **stops, random_state=0, memory=tmp_path, verbose=2)
    first = clone(net).set_params(epochs=20).fit(X, y)
    assert first.n_iter_ == epochs_printed() < 20
    assert same_model(clone(net).set_params(epochs=30).fit(X, y), first)
    assert epochs_printed() == 0


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_refit_on_all_samples_is_kept_too(schedule, unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    fresh = CNNClassifier(
        NET, early_stopping=True, refit_full=True, schedule=schedule, epochs=4, random_state=0, n_iter_no_change=2
    )
    expected = clone(fresh).fit(X, y)
    kept = clone(fresh).set_params(memory=tmp_path, verbose=2)
    for _ in range(2):
        assert same_model(clone(kept).fit(X, y), expected)
    assert epochs_printed() == expected.n_iter_ + len(expected.history_["loss"])


def test_cosine_schedules_of_different_length_are_different_runs(unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="cosine", random_state=0, verbose=2)
    for epochs in (2, 4):
        kept = clone(net).set_params(epochs=epochs, memory=tmp_path).fit(X, y)
        assert epochs_printed() == epochs
        assert same_model(kept, clone(net).set_params(epochs=epochs).fit(X, y))
        epochs_printed()


@pytest.mark.parametrize(
    "change",
    [
        {"l2": 0.1},
        {"learning_rate": 0.01},
        {"random_state": 1},
        {"class_weight": "balanced"},
        {"batch_size": 16},
        {"network": Plain(filters=(4,), activation="tanh")},
        {"sampler": RandomOverSampler()},
        "X",
        "y",
        "sample_weight",
    ],
    ids=str,
)
def test_another_run_is_not_taken_for_this_one(change, unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=1, random_state=0, memory=tmp_path, verbose=2).fit(X, y)
    weight = np.ones(len(X))
    if isinstance(change, dict):
        net.set_params(**change)
    elif change == "X":
        X = X.copy()
        X[0, 0, 0] += 1e-3
    elif change == "y":
        y = y.copy()
        y[:2] = 1 - y[:2]
    else:
        weight[0] = 2.0
    epochs_printed()
    net.fit(X, y, sample_weight=weight)
    assert epochs_printed() == 1


def test_other_validation_samples_are_another_run(unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=1, random_state=0, memory=tmp_path, verbose=2)
    for held_out in (X[:40], X[40:80], X[:40]):
        net.fit(X[80:], y[80:], X_val=held_out, y_val=np.arange(40) % 2)
    assert epochs_printed() == 2


def test_other_versions_threads_or_processors_are_another_run(unbalanced, tmp_path, epochs_printed, monkeypatch):
    net = CNNClassifier(NET, schedule="constant", epochs=1, random_state=0, memory=tmp_path, verbose=2).fit(*unbalanced)
    versions, *others, n_threads = surroundings()
    assert skcnn.__version__ in versions
    assert n_threads == 1  # as conftest has chosen
    for other in ((versions, *others, 2), (("0", *versions[1:]), *others, n_threads)):
        monkeypatch.setattr(skcnn._fit.run, "surroundings", lambda other=other: other)
        net.fit(*unbalanced)
    assert epochs_printed() == 3


def test_a_second_training_takes_the_rates_of_its_own_first(unbalanced, tmp_path):
    """Both train on all samples with the same seed; only the rates that the first training has found differ."""
    X, y = unbalanced
    fresh = CNNClassifier(NET, early_stopping=True, refit_full=True, schedule="plateau", epochs=6, random_state=0)
    for tol in (1.0, 0.0):  # the rate goes down at once, and hardly ever
        expected = clone(fresh).set_params(tol=tol, n_iter_no_change=6).fit(X, y)
        assert same_model(clone(expected).set_params(memory=tmp_path).fit(X, y), expected)


def test_class_shares_to_predict_for_need_no_training(unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=2, random_state=0, memory=tmp_path, verbose=2)
    search = GridSearchCV(net, {"priors": [None, "train", [0.5, 0.5]]}, cv=2, refit=False).fit(X, y)
    assert epochs_printed() == 2 * 2
    assert len(search.cv_results_["params"]) == 3


@pytest.mark.parametrize(("grid", "trained"), [([1, 2, 4], 4), ([4, 2, 1], 7), ([2, 4, 1], 5)])
def test_a_grid_over_epochs_trains_the_longest_alone(grid, trained, unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", random_state=0, verbose=2)
    plain = GridSearchCV(net, {"epochs": grid}, cv=2, refit=False, scoring="neg_log_loss").fit(X, y)
    epochs_printed()
    kept = clone(plain).set_params(estimator__memory=tmp_path).fit(X, y)
    assert epochs_printed() == 2 * trained
    np.testing.assert_array_equal(kept.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


def test_halving_goes_on_from_the_last_rung(unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", random_state=0, verbose=2)
    plain = HalvingGridSearchCV(
        net,
        {"l2": [0, 1e-3, 0.1, 1.0]},
        resource="epochs",
        min_resources=1,
        max_resources=4,
        factor=2,
        cv=2,
        refit=False,
    ).fit(X, y)
    assert epochs_printed() == 2 * (4 * 1 + 2 * 2 + 1 * 4)
    kept = clone(plain).set_params(estimator__memory=tmp_path).fit(X, y)
    assert epochs_printed() == 2 * (4 * 1 + 2 * 1 + 1 * 2)
    np.testing.assert_array_equal(kept.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


# What switches it on and off -----------------------------------------------------------------------------------


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)], ids=["None", "RandomState"])
def test_unrepeatable_runs_are_not_kept(random_state, unbalanced, tmp_path):
    CNNClassifier(NET, schedule="constant", epochs=1, random_state=random_state, memory=tmp_path).fit(*unbalanced)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_network_that_cannot_be_pickled_is_not_kept(unbalanced, tmp_path):
    unpicklable = (value for value in ())

    def network(input_shape, n_outputs):
        list(unpicklable)
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])

    CNNClassifier(network, schedule="constant", epochs=1, random_state=0, memory=tmp_path).fit(*unbalanced)
    assert not list(tmp_path.rglob("*.npz"))


def test_training_on_is_not_taken_for_a_run_of_its_own(unbalanced, tmp_path):
    X, y = unbalanced
    kept = CNNClassifier(NET, schedule="constant", epochs=2, warm_start=True, random_state=0, memory=tmp_path)
    fresh = clone(kept).set_params(memory=None)
    for _ in range(2):
        assert same_model(kept.fit(X, y), fresh.fit(X, y))
    assert same_model(kept.partial_fit(X, y), fresh.partial_fit(X, y))
    assert same_model(clone(kept).set_params(epochs=6).fit(X, y), clone(fresh).set_params(epochs=6).fit(X, y))


def test_locations(unbalanced, tmp_path):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=1, random_state=0)
    for location in (str(tmp_path / "path"), joblib.Memory(tmp_path / "path", verbose=0)):
        net.set_params(memory=location).fit(X, y)
    assert len(list((tmp_path / "path" / "skcnn").iterdir())) == 1
    assert memory_folder(joblib.Memory(None)) is None
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file or no path; give the path of a folder"):
        net.set_params(memory=tmp_path / "file").fit(X, y)
    with pytest.raises(ValueError, match="'memory' parameter"):
        net.set_params(memory=3).fit(X, y)


# Faults ---------------------------------------------------------------------------------------------------------


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_one_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def another_run(path):
    np.savez(path, about=np.array('{"fingerprint": "another"}'))


def with_a_pickle(path):
    np.savez(path, about=np.array([print], dtype=object), allow_pickle=True)


def other_shapes(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays["weights-0"] = np.zeros((3, 3))
    np.savez(path, **arrays)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_one_byte, another_run, with_a_pickle, other_shapes, empty])
def test_a_damaged_or_foreign_file_is_ignored_and_replaced(damage, unbalanced, tmp_path, epochs_printed):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=2, random_state=0, memory=tmp_path, verbose=2)
    first = clone(net).fit(X, y)
    (path,) = tmp_path.rglob("*.npz")
    damage(path)
    epochs_printed()
    with pytest.warns(CheckpointWarning, match="cannot be read .* trained again"):
        assert same_model(clone(net).fit(X, y), first)
    assert epochs_printed() == 2
    assert same_model(clone(net).fit(X, y), first)
    assert epochs_printed() == 0


def test_a_full_disk_warns_and_training_goes_on(unbalanced, tmp_path):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=2, random_state=0, memory=tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.warns(CheckpointWarning, match="cannot be written .* Training goes on"):
            kept = clone(net).fit(X, y)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same_model(kept, clone(net).set_params(memory=None).fit(X, y))
    assert not list((tmp_path / "skcnn").iterdir())


def test_the_folder_stays_small_and_keeps_what_was_used_last(unbalanced, tmp_path, epochs_printed, monkeypatch):
    X, y = unbalanced
    net = CNNClassifier(NET, schedule="constant", epochs=1, memory=tmp_path, verbose=2)
    clone(net).set_params(random_state=0).fit(X, y)
    (first,) = tmp_path.rglob("*.npz")
    monkeypatch.setattr(Checkpoints, "MAX_BYTES", 2.5 * first.stat().st_size)
    clone(net).set_params(random_state=1).fit(X, y)
    for path in tmp_path.rglob("*.npz"):  # as if written a minute ago, the first before the other
        os.utime(path, (time.time() - 60 - (path == first),) * 2)
    for seed in (0, 2):
        clone(net).set_params(random_state=seed).fit(X, y)
    assert first.exists()
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    epochs_printed()
    for seed, trained in ((0, 0), (2, 0), (1, 1)):
        clone(net).set_params(random_state=seed).fit(X, y)
        assert epochs_printed() == trained


def test_files_that_are_no_checkpoints_are_never_removed(unbalanced, tmp_path, monkeypatch):
    folder = tmp_path / "skcnn"
    folder.mkdir()
    names = ["data.npz", "notes.tmp", "0" * 32 + ".npz", "0" * 32 + "-1.npz", "copy-" + "0" * 32 + "-000001.npz"]
    mine = [folder / name for name in names]
    for path in mine:
        path.write_text("not a checkpoint")
        os.utime(path, (0, 0))
    left_behind = folder / f"{'0' * 32}-000001-{'1' * 32}.tmp"  # by a process that was killed while it wrote
    left_behind.write_text("half a checkpoint")
    os.utime(left_behind, (0, 0))
    monkeypatch.setattr(Checkpoints, "MAX_BYTES", 1)
    CNNClassifier(NET, schedule="constant", epochs=1, random_state=0, memory=tmp_path).fit(*unbalanced)
    assert all(path.exists() for path in mine)
    assert not left_behind.exists()
    assert len(list(folder.iterdir())) == len(mine) + 1


READING = """
    import os, sys
    import joblib
    import numpy as np
    import skcnn
    from skcnn import CNNClassifier
    from skcnn.networks import Plain

    skcnn.set_threads(1)
    folder, data = sys.argv[1], np.load(sys.argv[1] + "/data.npz")
    model = CNNClassifier(Plain(filters=(4,)), schedule="constant", random_state=0)
    model.set_params(epochs=1, memory=folder + "/first")  # imports and looks up what may be where others may not read
    model.fit(data["X"], data["y"])
    if os.getuid() == 0:  # who may do anything
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for memory, epochs in [("kept", 2), ("kept", 3), ("closed/kept", 2)]:
        try:
            model.set_params(memory=f"{folder}/{memory}", epochs=epochs, verbose=1).fit(data["X"], data["y"])
            print(joblib.hash(model.predict_proba(data["X"])))
        except ValueError as error:
            print(error)
"""


def test_what_can_only_be_read_is_used(unbalanced):
    """In a process of a user who may read a folder but not write there, and not even read another."""
    X, y = unbalanced
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(folder, 0o755)
        np.savez(folder / "data.npz", X=X, y=y)
        first = CNNClassifier(NET, schedule="constant", epochs=2, random_state=0, memory=folder / "kept").fit(X, y)
        (folder / "closed").mkdir(mode=0)
        places = [folder / "kept" / "skcnn", *folder.glob("kept/skcnn/*")]
        try:
            for place in places:
                os.chmod(place, 0o555)
            job = run_python("-W", "always", "-c", textwrap.dedent(READING), name)
        finally:
            for place in (*places, folder / "closed"):
                os.chmod(place, 0o755)
        told, outputs, more, _, refused = job.stdout.splitlines()
        assert outputs == joblib.hash(first.predict_proba(X))
        assert "Fit 0 epochs after 2" in told
        assert "Fit 1 epoch after 2" in more
        assert "closed/kept' is in a folder that this user may not read" in refused
        assert job.stderr.count("cannot be written (this user may only read there). Training goes on without") == 1
        assert len(list((folder / "kept").rglob("*"))) == len(places)


def test_many_files_cost_no_more_than_few(tmp_path, monkeypatch):
    folder = tmp_path / "skcnn"
    folder.mkdir()
    for i in range(3000):
        (folder / f"{i:032x}-000001.npz").touch()
    looks = []
    for name in ("listdir", "scandir"):
        look = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *path, look=look: looks.append(path) or look(*path))
    keeper = Checkpoints(folder, "f" * 32)
    progress = Progress([np.zeros(3)], [], epoch=1, history={"loss": [1.0]})
    for _ in range(20):
        keeper.write(progress, ended=True)
        assert keeper.furthest(100, progress) is not None
        assert keeper.furthest(10**9, progress) is not None  # which has the folder listed, as the only one
    assert len(looks) <= 20 + 1


@pytest.mark.parametrize("setting", ["TF_ENABLE_ONEDNN_OPTS", "determinism"])
def test_settings_that_change_bits_are_another_run(setting, monkeypatch):
    before = surroundings()
    if setting == "determinism":
        monkeypatch.setattr("skcnn._engine.checkpoints.ops_are_deterministic", lambda: True)
    else:
        monkeypatch.setenv(setting, "0")
    assert surroundings() != before


def interrupted_score(estimator, X, y):
    """Accuracy, with a KeyboardInterrupt at the fourth call; a count among the globals would be part of its key."""
    os.environ["CALLS_LEFT"] = str(int(os.environ["CALLS_LEFT"]) - 1)
    if os.environ["CALLS_LEFT"] == "0":
        raise KeyboardInterrupt
    return float(estimator.score(X, y))


def test_an_interrupted_fit_goes_on_from_its_last_checkpoint(unbalanced, tmp_path, epochs_printed, monkeypatch):
    monkeypatch.setattr(Checkpoints, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(Checkpoints, "WRITE_SHARE", np.inf)  # after every epoch
    X, y = unbalanced
    net = CNNClassifier(
        NET, schedule="constant", early_stopping=True, scoring=interrupted_score, epochs=5, random_state=0, verbose=2
    )
    kept = clone(net).set_params(memory=tmp_path)
    monkeypatch.setenv("CALLS_LEFT", "4")
    with pytest.raises(KeyboardInterrupt):
        kept.fit(X, y)
    assert epochs_printed() == 3
    (path,) = tmp_path.rglob("*.npz")  # each has replaced the one before
    assert path.name.endswith("-000003-between.npz")
    again = clone(kept).fit(X, y)
    assert epochs_printed() == 2
    assert same_model(again, net.fit(X, y))


SEARCH = """
    import os, sys
    import keras, skcnn
    skcnn.set_threads(1)
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from skcnn import CNNClassifier
    from skcnn.networks import Plain
    from skcnn._engine.checkpoints import Checkpoints

    class Own(Plain):
        pass

    if __name__ == "__main__":
        Checkpoints.FIRST_SECONDS, Checkpoints.WRITE_SHARE = 0.0, float("inf")
        X, y = (array[:300] for array in load_digits(return_X_y=True))
        net = CNNClassifier(Own(filters=(8,)), schedule="constant", input_shape=(8, 8, 1), random_state=0)
        folder, *others = sys.argv[1:]  # each for a process of its own
        net.set_params(verbose=2, memory=folder)
        for other in others:
            if not os.fork():
                net.set_params(verbose=0, memory=other)
                break
        grid = {"epochs": [5, 30], "l2": [0.0, 0.01]}
        search = GridSearchCV(net, grid, cv=2, refit=False, scoring="neg_log_loss").fit(X, y)
        print(search.cv_results_["mean_test_score"].tolist())
"""


def run_search(tmp_path, *folders):
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(SEARCH))
    return subprocess.Popen(
        [sys.executable, "-u", script, *folders], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def test_a_killed_search_repeats_nothing_and_two_at_once_do_not_disturb_each_other(tmp_path):
    memory, both = tmp_path / "memory", tmp_path / "both"
    killed = run_search(tmp_path, memory)
    lines = [killed.stdout.readline() for _ in range(50)]  # in the middle of the first long fit
    killed.send_signal(signal.SIGKILL)
    rest, _ = killed.communicate()
    trained = "".join([*lines, rest]).count("learning_rate: ")
    assert 45 <= trained < 120

    output = run_search(tmp_path, memory, both, both).communicate()[0]
    scores = re.findall(r"\[-[-.\d, ]+\]", output)
    # At most the epoch that was running when the signal came, and the file that was being written, are repeated.
    assert 120 <= trained + output.count("learning_rate: ") <= 122
    assert len(scores) == 3
    assert len(set(scores)) == 1
    assert not list(both.rglob("*.tmp"))
    assert len([path for path in both.rglob("*.npz") if "between" not in path.name]) == 8

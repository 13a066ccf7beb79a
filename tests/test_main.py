"""``python -m skcnn`` as a user sees it, and what its numbers and words are made of."""

import io
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from common import USERS_ENVIRONMENT, run_python
from scipy.stats import bootstrap, ttest_1samp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, get_scorer, recall_score

from skcnn.__main__ import main, make_parser
from skcnn._command.console import Output, duration
from skcnn._command.jobs import prepare
from skcnn._command.progress import Forecast, Progress
from skcnn._command.reporting import verdict
from skcnn._command.scores import QUICK, QUICK_BINARY, Comparison, Effect, Known, compare, effects, equal_alarms
from skcnn._command.searching import settings_of
from skcnn._command.tasks import Task
from skcnn._statistics import Estimate

NAMES = ["recall", "balanced_accuracy", "average_precision", "recall_at_equal_alarms", "accuracy"]


# As a user has it: without the settings that conftest.py makes.


def test_main_job_from_the_command_line(tmp_path):
    page = tmp_path / "page.html"
    job = run_python("-m", "skcnn", "--out", str(page), env=USERS_ENVIRONMENT)
    assert job.stderr == ""
    asked = prepare(make_parser().parse_args([]))
    plain = asked.record(asked.networks).candidates
    cured = asked.record(asked.cures(plain[0])).candidates
    for tried in (plain, cured):
        n = 3 * len(tried) + 1
        assert f"fit {n} of {n}" in job.stdout
    assert len(re.findall(r"^[* ] \(\d+, \d+\) +[\d.]+ ± [\d.]+", job.stdout, re.M)) == len(plain)
    candidates = re.findall(r"^([* ]) (\w.*?) +([\d.e-]+) +([\d.]+) +([\d.]+) ± ", job.stdout, re.M)
    assert len(candidates) == len(cured)
    averages = [float(average) for *_, average in candidates]
    assert averages == sorted(averages, reverse=True)
    assert [chosen for chosen, *_ in candidates].count("*") == 1
    assert candidates[0][0] == "*"
    interval = r"([+-]?\d\.\d{3}) \[([+-]?\d\.\d{3}), ([+-]?\d\.\d{3})\]"
    for name in NAMES:
        row = re.search(rf"^  {name} +{interval} +{interval} +{interval}$", job.stdout, re.M)
        assert row, name
        value = [float(number) for number in row.groups()]
        for estimate, low, high in (value[:3], value[3:6], value[6:]):
            assert low <= estimate <= high
        assert value[6] == pytest.approx(value[3] - value[0], abs=2e-3)
    assert "With cures recall is significantly better: 0." in " ".join(job.stdout.split())
    # The diagnosis of the search without cures, and its page.
    assert "Diagnosis of GridSearchCV of Pipeline of CNNClassifier, 256" in job.stdout
    assert re.search(r"^1\. A rare class is missed \(class_shares", job.stdout, re.M)
    assert "priors: [None, [0.5, 0.5]]" in job.stdout
    assert str(page) in job.stdout
    assert "<h3>A rare class is missed<span" in page.read_text()


def test_the_problem_is_as_described_and_the_test_set_apart(capsys):
    task, other = (prepare(make_parser().parse_args(["--seed", seed])).task for seed in "01")
    assert task.y_train.mean() == pytest.approx(0.05, abs=0.01)
    assert task.y_test.mean() == pytest.approx(0.05, abs=0.01)
    train = {sample.tobytes() for sample in task.X_train}
    assert not any(sample.tobytes() in train for sample in task.X_test)
    assert set(map(bytes, task.X_train)) != set(map(bytes, other.X_train))


def test_the_problem_is_told_before_tensorflow_is_waited_for():
    code = """
import sys
from skcnn.__main__ import make_parser
from skcnn._command.jobs import prepare
prepare(make_parser().parse_args([]))
print("tensorflow" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "256 images of 8x8x1 to learn from, 1,452 held out" in said
    assert "The class to find is 8, called 1 below: 13 to learn from, 72 held out." in " ".join(said.split())
    assert said.endswith("\nFalse\n")


class Ranked(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose decision values are a column of X."""

    def __init__(self, column):
        self.column = column
        self.classes_ = np.array([0, 1])

    def decision_function(self, X):
        return X[:, self.column]

    def predict(self, X):
        return (X[:, self.column] > 0).astype(int)

    def __sklearn_is_fitted__(self):
        return True


def compared(y, one, other, names, n_resamples=100):
    """Compare two classifiers with these decision values."""
    X = np.column_stack([one, other])
    task = Task(X, X, y, y, None, None, "binary")
    scorers = {name: get_scorer(name) for name in names} | equal_alarms(task, Ranked(1))
    return compare(task, Ranked(0), Ranked(1), scorers, 0, n_resamples)


@pytest.fixture
def scored(rng):
    y = np.r_[np.ones(30, int), np.zeros(170, int)]
    return y, rng.normal(size=200) + y, rng.normal(size=200) + 2 * y - 0.5


def test_scores_are_those_of_scikit_learn(scored, rng):
    y, *decisions = scored
    decisions = [decision.round(1) for decision in decisions]  # with ties
    found = compared(y, *decisions, ["recall", "balanced_accuracy", "average_precision", "accuracy"])
    for i, decision in enumerate(decisions):
        assert found["recall"][i].value == pytest.approx(recall_score(y, decision > 0))
        assert found["balanced_accuracy"][i].value == pytest.approx(balanced_accuracy_score(y, decision > 0))
        assert found["average_precision"][i].value == pytest.approx(average_precision_score(y, decision))
        assert found["accuracy"][i].value == pytest.approx(accuracy_score(y, decision > 0))
        known = Known(Ranked(0), decision[:, None])
        for indices in rng.integers(200, size=(3, 200)):
            drawn, alarms = y[indices], decision[indices] > 0
            quick = {name: score(known, indices, drawn) for name, score in (QUICK | QUICK_BINARY).items()}
            assert quick["recall"] == pytest.approx(recall_score(drawn, alarms))
            assert quick["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(drawn, alarms))
            assert quick["average_precision"] == pytest.approx(average_precision_score(drawn, decision[indices]))
            assert quick["accuracy"] == pytest.approx(accuracy_score(drawn, alarms))


def test_scores_of_several_classes_are_those_of_scikit_learn(rng):
    y, X = rng.choice(list("abc"), 90), rng.normal(size=(90, 1))
    known = Known(DummyClassifier(strategy="stratified", random_state=0).fit(X, y), X)
    for indices in [np.arange(90), *rng.integers(90, size=(3, 90))]:
        for name, score in QUICK.items():
            assert score(known, indices, y[indices]) == pytest.approx(get_scorer(name)(known, indices, y[indices]))


def test_recall_at_equal_alarms_is_that_of_the_highest_ranks(scored):
    y, one, other = scored
    top = np.argsort(-one)[: np.sum(other > 0)]
    found = compared(y, one, other, [])["recall_at_equal_alarms"]
    assert found.plain.value == pytest.approx(y[top].sum() / y.sum())
    assert found.cured.value == pytest.approx(recall_score(y, other > 0))


def both_rates(rare, others, axis=-1):
    return ((rare > 0).mean(axis=axis) + (others <= 0).mean(axis=axis)) / 2


def ranking(rare, others):
    return average_precision_score(np.r_[np.ones(len(rare)), np.zeros(len(others))], np.r_[rare, others])


@pytest.mark.parametrize(
    ("name", "statistic", "vectorized", "n_resamples"),
    [("balanced_accuracy", both_rates, True, 20_000), ("average_precision", ranking, False, 3000)],
)
def test_intervals_are_those_of_scipy(scored, name, statistic, vectorized, n_resamples):
    """SciPy resamples two samples apart, which is the stratified bootstrap."""
    y, decision, other = scored
    samples, settings = (decision[y == 1], decision[y == 0]), {"n_resamples": n_resamples, "method": "percentile"}
    theirs = bootstrap(samples, statistic, vectorized=vectorized, rng=np.random.default_rng(1), **settings)
    ours = compared(y, decision, other, [name], n_resamples)[name].plain
    low, high = theirs.confidence_interval
    # The standard error of a 2.5% quantile of a normal sample is 2.7 standard deviations over the root of its size.
    noise = 4 * 2.7 * theirs.standard_error * np.sqrt(2 / n_resamples)
    assert ours.value == pytest.approx(float(statistic(*samples)))
    assert ours.low == pytest.approx(low, abs=noise)
    assert ours.high == pytest.approx(high, abs=noise)
    assert noise < (high - low) / 10


def test_interval_of_a_difference_is_paired(scored):
    y, plain, cured = scored
    ours = compared(y, plain, cured, ["recall"], 20_000)["recall"].difference
    differences = (cured[y == 1] > 0) * 1.0 - (plain[y == 1] > 0)
    theirs = bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    step = 1 / 30  # of a recall; a quantile that falls between two steps may take either
    assert ours.value == pytest.approx(differences.mean())
    assert ours.low == pytest.approx(theirs.low, abs=1.01 * step)
    assert ours.high == pytest.approx(theirs.high, abs=1.01 * step)
    same = compared(y, plain, plain, ["average_precision"])["average_precision"].difference
    assert same == Estimate(0, 0, 0)


def searched(scores):
    """Stand-in for the search with cures: average precision by candidate and fold."""
    params = [
        {"balance": "passthrough", "cnn__class_weight": "balanced", "cnn__l2": l2, "cnn__dropout": dropout}
        for l2 in (0.0, 0.1)
        for dropout in (0.0, 0.5)
    ]
    results = {f"split{fold}_test_average_precision": column for fold, column in enumerate(np.transpose(scores))}
    return SimpleNamespace(n_splits_=np.shape(scores)[1], cv_results_={"params": params, **results})


def test_effect_of_a_setting_is_its_mean_over_all_others():
    l2, dropout = np.array([0.2, 0.3, 0.4, 0.3]), np.array([0.1, -0.1, 0.1, -0.1])
    search = searched([0 * l2, dropout, l2, l2 + dropout])
    settings = [settings_of(params) for params in search.cv_results_["params"]]
    found = effects(search, settings, "average_precision")
    assert [(effect.setting, effect.instead_of) for effect in found] == [("l2 0.1", "0"), ("dropout 0.5", "0")]
    ttest = ttest_1samp(l2, 0).confidence_interval()
    # 4 folds: Nadeau and Bengio's variance is (1/4 + 1/3) / (1/4) times that of independent folds.
    wider = np.sqrt(7 / 3)
    assert found[0].difference[:3] == pytest.approx(
        (0.3, 0.3 - (0.3 - ttest.low) * wider, 0.3 + (ttest.high - 0.3) * wider)
    )
    assert [effect.difference.sign for effect in found] == [1, 0]


def estimate(value):
    return Estimate(value, value - 0.05, value + 0.05)


def said(recall, average_precision, equal_alarms, grid=0.01):
    """Return the verdict on planted differences, each known to ± 0.05."""

    def comparison(difference):
        return Comparison(estimate(0.5), estimate(0.5 + difference), estimate(difference))

    planted = {name: comparison(0.0) for name in NAMES}
    planted |= {"recall": comparison(recall), "average_precision": comparison(average_precision)}
    planted |= {"recall_at_equal_alarms": comparison(equal_alarms)}
    found = [Effect("balance SMOTE", "class weights", estimate(0.005)), Effect("l2 0.1", "0", estimate(grid))]
    y = np.repeat([1, 0], [20, 380])
    return verdict(Task(y, y, y, y, None, None, "binary"), "average_precision", planted, found)


BETTER, SAME, WORSE = "significantly better", "not significantly different", "significantly worse"


@pytest.mark.parametrize(
    ("differences", "recall", "score", "cause"),
    [
        ((0.3, 0.2, 0.2), BETTER, BETTER, "most of the gain is the ranking"),
        ((0.3, 0.2, 0.1), BETTER, BETTER, "gain, +0.200, is the threshold"),
        ((0.3, 0.0, 0.0), BETTER, SAME, "gain, +0.300, is the threshold"),
        ((0.3, -0.2, -0.1), BETTER, WORSE, "gain, +0.400, is the threshold"),
        ((0.0, 0.2, 0.0), SAME, BETTER, "in recall is +0.000 [-0.050, +0.050]."),
        ((0.0, 0.0, 0.0), SAME, SAME, "in recall is +0.000 [-0.050, +0.050]."),
        ((-0.3, 0.2, 0.1), WORSE, BETTER, "loss, -0.400, is the threshold"),
        ((-0.3, -0.2, -0.2), WORSE, WORSE, "most of the loss is the ranking"),
    ],
)
def test_verdict_follows_the_numbers(differences, recall, score, cause):
    text = said(*differences)
    assert cause in text
    assert ("most of the" in text) == (differences[0] != 0)
    for name, words, value in [("recall", recall, differences[0]), ("average_precision", score, differences[1])]:
        by = f"a difference of {value:+.3f} [{value - 0.05:+.3f}, {value + 0.05:+.3f}]."
        assert f"With cures {name} is {words}: {0.5 + value:.3f} against 0.500, {by}" in text
    assert "finding none would have 0.950" in text


def test_verdict_names_every_other_score_that_got_worse():
    def text(accuracy, balanced):
        planted = {"accuracy": accuracy, "balanced_accuracy": balanced, "f1_macro": 0.0}
        found = {name: Comparison(estimate(0.5), estimate(0.5 + by), estimate(by)) for name, by in planted.items()}
        y = np.repeat(["a", "b", "c"], 10)
        return verdict(Task(y, y, y, y, None, None, "multiclass"), "balanced_accuracy", found, [])

    said_first = text(-0.078, 0.054)
    assert "balanced_accuracy is significantly better: 0.554 against 0.500, a difference of +0.054 [" in said_first
    assert "]. But significantly worse: accuracy by -0.078 [-0.128, -0.028]." in said_first
    assert "No other score" not in said_first
    for by in (0.078, -0.03):
        assert "]. No other score shown is significantly worse." in text(by, 0.054)
    assert "balanced_accuracy is significantly worse" in text(-0.078, -0.054)
    assert "But significantly worse: accuracy by -0.078" in text(-0.078, -0.054)


def test_verdict_names_the_setting_that_mattered_most_and_whether_it_did():
    assert "l2 0.1 instead of 0 changed the cross-validated" in said(0.3, 0.2, 0.2)
    assert "by +0.010 [-0.040, +0.060], which is not significant." in said(0.3, 0.2, 0.2, grid=0.01)
    assert "by +0.200 [+0.150, +0.250]." in said(0.3, 0.2, 0.2, grid=0.2)


def evenly(n):
    """Return the forecast of a search over one candidate whose fits take a second each."""
    return Forecast([[1.0] * n], 0.0, 1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Progress("Title", 3, evenly(3)) as tick:
        for _ in range(3):
            tick(0)
    written = sys.stdout.getvalue()
    assert written.startswith("\nTitle 3 fits, about 3 s.\n")
    assert re.search(r"fit 3 of 3 .*━", written)
    assert re.search(r"fit [01] of 3 .*━.*about \d s left", written)
    assert written.endswith("\n\x1b[?25h")  # the cursor, shown again


@pytest.mark.parametrize("n_written", [0, 2])
def test_progress_on_a_terminal_that_goes_is_no_fault(n_written, monkeypatch):
    class Gone(Terminal):
        def write(self, text):
            nonlocal n_written
            n_written -= 1
            if n_written < 0:
                raise OSError(5, "Input/output error")
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Output(Gone()))
    n_done = 0
    with Progress("Title", 3, evenly(3)) as tick:
        for _ in range(3):
            tick(0)
            n_done += 1
    assert n_done == 3


def test_progress_without_rich_is_a_log_on_a_terminal_too(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setitem(sys.modules, "rich", None)
    with Progress("Title", 3, evenly(3)) as tick:
        for _ in range(3):
            tick(0)
    title, *lines = sys.stdout.getvalue().strip("\n").split("\n")
    assert title == "Title 3 fits, about 3 s."
    assert [line.split(",")[0].strip() for line in lines] == [f"fit {i} of 3" for i in (1, 2, 3)]
    assert ["left" in line for line in lines] == [True, True, False]


def test_progress_is_a_sparse_log_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with Progress("Title", 50, evenly(50)) as tick:
        for _ in range(50):
            tick(0)
    lines = sys.stdout.getvalue().split("\n")[2:-1]
    assert [line.split(",")[0].strip() for line in lines] == [f"fit {i} of 50" for i in (13, 25, 38, 50)]


def test_fits_that_end_after_an_interrupt_are_silent(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(KeyboardInterrupt), Progress("Title", 3, evenly(3)) as tick:
        raise KeyboardInterrupt
    shown = sys.stdout.getvalue()
    tick(0)
    assert sys.stdout.getvalue() == shown
    assert "fit 1" not in shown


def test_times_are_said_in_words():
    assert [duration(t) for t in (0.2, 119, 121, 5000, 9000)] == ["0 s", "119 s", "2 min", "83 min", "2.5 h"]


@pytest.mark.parametrize("fails", [False, True])
def test_greetings_of_compiled_code_are_shown_only_with_an_error(fails):
    code = f"""
import os
from skcnn._engine.greetings import held_stderr
with held_stderr():
    os.system("echo 'I0000 00:00:1795645668.433285   14739 port.cc:153] welcome' >&2; echo another thread >&2")
    os.system("echo '2024-11-25 01:02:03.4: I tensorflow/core/util/port.cc:153] welcome' >&2")
    {"raise RuntimeError('real')" if fails else ""}
os.system("echo after >&2")
"""
    job = run_python("-c", code, check=False)
    assert job.returncode == fails
    if fails:
        assert job.stderr.count("welcome") == 2
        assert "another thread" in job.stderr
        assert "RuntimeError: real" in job.stderr
    else:
        assert job.stderr == "another thread\nafter\n"


def test_without_standard_error_nothing_is_held_back():
    code = "from skcnn._engine.greetings import held_stderr\nwith held_stderr():\n    print('done')"
    job = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code], capture_output=True, text=True, check=True
    )
    assert job.stdout == "done\n"


def test_help_and_unknown_arguments(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    assert "rare digit" in capsys.readouterr().out
    with pytest.raises(SystemExit) as failed:
        main(["--sed"])
    assert failed.value.code == 2


def test_an_interrupt_while_training_ends_with_one_line():
    # A background job hands "ignore interrupts" down to its children, a terminal does not.
    as_from_a_terminal = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("skcnn", run_name="__main__", alter_sys=True)
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", as_from_a_terminal], env=USERS_ENVIRONMENT, **pipes) as job:
        while "  fit " not in job.stdout.readline():
            assert job.poll() is None
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=120)
    assert job.returncode == 130
    assert errors == "Interrupted.\n"

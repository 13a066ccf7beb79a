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
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, recall_score

from skcnn.__main__ import main
from skcnn._command import demo
from skcnn._command.console import Progress, duration
from skcnn._command.demo import Comparison, Effect, Estimate

NAMES = ["recall", "balanced accuracy", "average precision", "recall at equal alarms", "accuracy"]


# As a user has it: without the settings that conftest.py makes.


def test_main_job_from_the_command_line(tmp_path):
    page = tmp_path / "page.html"
    job = run_python("-m", "skcnn", "--out", str(page), env=USERS_ENVIRONMENT)
    assert job.stderr == ""
    wrong, right = demo.fit_counts()
    for n in (wrong, right):
        assert f"fit {n} of {n}" in job.stdout
    candidates = re.findall(r"^([* ]) (\w.*?) +([\d.e-]+) +([\d.]+) +([\d.]+) ± ", job.stdout, re.M)
    assert len(candidates) == (right - 1) // 3
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
    assert "The right way finds" in job.stdout
    # The diagnosis of the wrong way, and its page.
    assert "Diagnosis of GridSearchCV of CNNClassifier" in job.stdout
    assert re.search(r"^1\. A rare class is missed \(class_shares", job.stdout, re.M)
    assert "priors: [None, [0.5, 0.5]]" in job.stdout
    assert str(page) in job.stdout
    assert "<h3>A rare class is missed<span" in page.read_text()


def test_the_problem_is_as_described_and_the_test_set_apart():
    problem = demo.rare_digit()
    assert problem.y_train.mean() == pytest.approx(0.05, abs=0.01)
    assert problem.y_test.mean() == pytest.approx(0.05, abs=0.01)
    train = {row.tobytes() for row in problem.X_train}
    assert not any(row.tobytes() in train for row in problem.X_test)
    assert set(map(bytes, problem.X_train)) != set(map(bytes, demo.rare_digit(random_state=1).X_train))


def test_the_problem_is_told_before_tensorflow_is_waited_for():
    code = "import sys; from skcnn._command.digits import introduce; introduce(0); print('tensorflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "256 images to learn from, 13 of them 8s" in said
    assert said.endswith("\nFalse\n")


@pytest.fixture
def scored(rng):
    y = np.r_[np.ones(30, int), np.zeros(170, int)]
    return y, rng.normal(size=200) + y, rng.normal(size=200) + 2 * y - 0.5


def test_scores_are_those_of_scikit_learn(scored, rng):
    y, decision, _ = scored
    decision = decision.round(1)  # with ties
    weights = np.vstack([np.ones(200), rng.multinomial(200, np.full(200, 1 / 200), size=3)])
    scores = demo.weighted_scores(y, decision, weights, 30)
    for i, weight in enumerate(weights):
        given = {"sample_weight": weight}
        assert scores["recall"][i] == pytest.approx(recall_score(y, decision > 0, **given))
        assert scores["balanced accuracy"][i] == pytest.approx(balanced_accuracy_score(y, decision > 0, **given))
        assert scores["average precision"][i] == pytest.approx(average_precision_score(y, decision, **given))
        assert scores["accuracy"][i] == pytest.approx(accuracy_score(y, decision > 0, **given))


def test_recall_at_equal_alarms_is_that_of_the_highest_ranks(scored):
    y, decision, _ = scored
    top = np.argsort(-decision)[:25]
    scores = demo.weighted_scores(y, decision, np.ones((1, 200)), 25)
    assert scores["recall at equal alarms"][0] == pytest.approx(y[top].sum() / y.sum())


def both_rates(rare, others, axis=-1):
    return ((rare > 0).mean(axis=axis) + (others <= 0).mean(axis=axis)) / 2


def ranking(rare, others):
    return average_precision_score(np.r_[np.ones(len(rare)), np.zeros(len(others))], np.r_[rare, others])


@pytest.mark.parametrize(
    ("name", "statistic", "vectorized", "n_resamples"),
    [("balanced accuracy", both_rates, True, 20_000), ("average precision", ranking, False, 3000)],
)
def test_intervals_are_those_of_scipy(scored, name, statistic, vectorized, n_resamples):
    """SciPy resamples two samples apart, which is the stratified bootstrap."""
    y, decision, other = scored
    samples, settings = (decision[y == 1], decision[y == 0]), {"n_resamples": n_resamples, "method": "percentile"}
    theirs = bootstrap(samples, statistic, vectorized=vectorized, rng=np.random.default_rng(1), **settings)
    ours = demo.compare(y, decision, other, n_resamples=n_resamples)[name].wrong
    low, high = theirs.confidence_interval
    # The standard error of a 2.5% quantile of a normal sample is 2.7 standard deviations over the root of its size.
    noise = 4 * 2.7 * theirs.standard_error * np.sqrt(2 / n_resamples)
    assert ours.value == pytest.approx(float(statistic(*samples)))
    assert ours.low == pytest.approx(low, abs=noise)
    assert ours.high == pytest.approx(high, abs=noise)
    assert noise < (high - low) / 10


def test_interval_of_a_difference_is_paired(scored):
    y, wrong, right = scored
    ours = demo.compare(y, wrong, right, n_resamples=20_000)["recall"].difference
    differences = (right[y == 1] > 0) * 1.0 - (wrong[y == 1] > 0)
    theirs = bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    step = 1 / 30  # of a recall; a quantile that falls between two steps may take either
    assert ours.value == pytest.approx(differences.mean())
    assert ours.low == pytest.approx(theirs.low, abs=1.01 * step)
    assert ours.high == pytest.approx(theirs.high, abs=1.01 * step)
    same = demo.compare(y, wrong, wrong, n_resamples=100)["average precision"].difference
    assert same == Estimate(0, 0, 0)


def searched(scores):
    """Stand-in for the search of the right way: average precision by candidate and fold."""
    params = [
        {"balance": "passthrough", "cnn__class_weight": "balanced", "cnn__l2": l2, "cnn__dropout": dropout}
        for l2 in (0.0, 0.1)
        for dropout in (0.0, 0.5)
    ]
    results = {f"split{fold}_test_average_precision": column for fold, column in enumerate(np.transpose(scores))}
    return SimpleNamespace(n_splits_=np.shape(scores)[1], cv_results_={"params": params, **results})


def test_effect_of_a_setting_is_its_mean_over_all_others():
    l2, dropout = np.array([0.2, 0.3, 0.4, 0.3]), np.array([0.1, -0.1, 0.1, -0.1])
    found = demo.effects(searched([0 * l2, dropout, l2, l2 + dropout]))
    assert [(effect.setting, effect.instead_of) for effect in found] == [("l2 0.1", "0"), ("dropout 0.5", "0")]
    ttest = ttest_1samp(l2, 0).confidence_interval()
    # 4 folds: Nadeau and Bengio's variance is (1/4 + 1/3) / (1/4) times that of independent folds.
    wider = np.sqrt(7 / 3)
    assert found[0].difference == pytest.approx(
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
    planted |= {"recall": comparison(recall), "average precision": comparison(average_precision)}
    planted |= {"recall at equal alarms": comparison(equal_alarms)}
    effects = [Effect("SMOTE", "class weights", estimate(0.005)), Effect("l2 0.1", "0", estimate(grid))]
    return demo.verdict(planted, effects, 20, 400)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        (
            (0.3, 0.2, 0.2),
            ["finds more of the 20", "right way ranks the images better", "most of the gain is the ranking"],
        ),
        ((0.3, 0.2, 0.1), ["finds more", "right way ranks the images better", "gain, +0.20, is the threshold"]),
        ((0.3, 0.0, 0.0), ["finds more", "ranks the images better is not shown", "gain, +0.30, is the threshold"]),
        ((0.3, -0.2, -0.1), ["finds more", "right way ranks the images worse", "gain, +0.40, is the threshold"]),
        ((0.0, 0.2, 0.0), ["finds neither more nor fewer", "right way ranks the images better"]),
        ((0.0, 0.0, 0.0), ["finds neither more nor fewer", "ranks the images better is not shown"]),
        ((-0.3, 0.2, 0.1), ["finds fewer", "right way ranks the images better", "loss, -0.40, is the threshold"]),
        ((-0.3, -0.2, -0.2), ["finds fewer", "right way ranks the images worse", "most of the loss is the ranking"]),
    ],
)
def test_verdict_follows_the_numbers(differences, expected):
    text = said(*differences)
    for words in expected:
        assert words in text
    assert ("most of the" in text) == (differences[0] != 0)
    assert f"a difference of {differences[0]:+.2f} [{differences[0] - 0.05:+.2f}" in text
    assert "no image rare would have 0.950" in text


def test_verdict_names_the_setting_that_mattered_most_and_whether_it_did():
    assert "l2 0.1 instead of 0 changed the cross-validated" in said(0.3, 0.2, 0.2)
    assert "by +0.01 [-0.04, +0.06], which may be the luck of the folds." in said(0.3, 0.2, 0.2, grid=0.01)
    assert "by +0.20 [+0.15, +0.25]." in said(0.3, 0.2, 0.2, grid=0.2)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_rewrites_one_line_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    with Progress("Title", 3) as tick:
        for _ in range(3):
            tick()
    title, *written = sys.stdout.getvalue().strip("\n").split("\r")
    assert title == "Title\n"
    assert [part.split(",")[0].strip() for part in written] == [f"fit {i} of 3" for i in (1, 2, 3)]
    assert ["left" in part for part in written] == [True, True, False]


def test_progress_is_a_sparse_log_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with Progress("Title", 50) as tick:
        for _ in range(50):
            tick()
    lines = sys.stdout.getvalue().split("\n")[2:-1]
    assert [line.split(",")[0].strip() for line in lines] == [f"fit {i} of 50" for i in (13, 25, 38, 50)]


def test_fits_that_end_after_an_interrupt_are_silent(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(KeyboardInterrupt), Progress("Title", 3) as tick:
        raise KeyboardInterrupt
    tick()
    assert "fit" not in sys.stdout.getvalue()


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

"""``python -m skcnn`` as a user sees it, and what its numbers and words are made of."""

import re
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score, recall_score

from skcnn import demo
from skcnn.__main__ import main
from skcnn.demo import Comparison, Estimate

NAMES = ["recall", "balanced accuracy", "average precision", "recall at equal alarms", "accuracy"]


def test_main_job_from_the_command_line():
    job = subprocess.run([sys.executable, "-m", "skcnn"], capture_output=True, text=True, check=False)
    assert job.returncode == 0, job.stderr
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


def test_the_problem_is_as_described_and_the_test_set_apart():
    problem = demo.rare_digit()
    assert problem.y_train.mean() == pytest.approx(0.05, abs=0.01)
    assert problem.y_test.mean() == pytest.approx(0.05, abs=0.01)
    train = {row.tobytes() for row in problem.X_train}
    assert not any(row.tobytes() in train for row in problem.X_test)
    assert set(map(bytes, problem.X_train)) != set(map(bytes, demo.rare_digit(random_state=1).X_train))


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


def test_intervals_are_those_of_scipy(scored):
    """Within strata the recall is a mean, whose bootstrap SciPy can do."""
    y, wrong, right = scored
    ours = demo.compare(y, wrong, right, n_resamples=20_000)["recall"]
    for estimate, values in (
        (ours.wrong, wrong[:30] > 0),
        (ours.right, right[:30] > 0),
        (ours.difference, (right[:30] > 0) * 1.0 - (wrong[:30] > 0)),
    ):
        theirs = bootstrap(
            (values.astype(float),), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
        ).confidence_interval
        assert estimate.value == pytest.approx(values.mean())
        assert estimate.low == pytest.approx(theirs.low, abs=0.035)  # a step of 1/30 either way
        assert estimate.high == pytest.approx(theirs.high, abs=0.035)


def planted(recall, equal):
    def comparison(difference):
        low, high = {1: (0.1, 0.3), 0: (-0.1, 0.1), -1: (-0.3, -0.1)}[difference]
        middle = Estimate((low + high) / 2, low, high)
        return Comparison(Estimate(0.5, 0.4, 0.6), Estimate(0.5 + middle.value, 0.4, 0.6), middle)

    found = {name: comparison(0) for name in NAMES}
    return found | {"recall": comparison(recall), "recall at equal alarms": comparison(equal)}


@pytest.mark.parametrize(
    ("recall", "equal", "expected"),
    [
        (1, 1, ["finds more of the 20", "the network itself is better"]),
        (1, 0, ["finds more of the 20", "that the network ranks better is not shown"]),
        (0, 0, ["finds about as many of the 20", "neither the threshold nor the network"]),
        (-1, -1, ["finds fewer of the 20", "the network itself is worse"]),
    ],
)
def test_verdict_follows_the_numbers(recall, equal, expected):
    text = demo.verdict(planted(recall, equal), 20, 400)
    for words in expected:
        assert words in text
    assert "no image rare would have 0.950" in text


def test_help_and_unknown_arguments(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    assert "rare digit" in capsys.readouterr().out
    with pytest.raises(SystemExit) as failed:
        main(["--sed"])
    assert failed.value.code == 2


def test_an_interrupt_ends_with_one_line(capsys, monkeypatch):
    def interrupted(seed):
        raise KeyboardInterrupt

    monkeypatch.setattr("skcnn.__main__.run", interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"

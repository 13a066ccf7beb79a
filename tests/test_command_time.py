"""How long ``python -m skcnn`` says it takes, and what it leaves out when it is to take less."""

import re

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid

from skcnn.__main__ import main, make_parser
from skcnn._command.console import DataError
from skcnn._command.jobs import prepare
from skcnn._command.planning import Budget, as_grid, by_worth, one_by_one
from skcnn._command.progress import Forecast, makespan
from skcnn._command.searching import BoundedSearch, Record, cures, make_pipeline, make_search, plain_sizes
from skcnn._command.tasks import Task
from skcnn._command.timing import Costs, Timed
from skcnn._engine.blueprint import trace_count
from skcnn.networks import summary
from skcnn.sampling import NDSampler


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("skcnn._command.progress.time.perf_counter", clock)
    return clock


# Forecast -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "jobs", "expected"),
    [([], 2, 0), ([3, 1, 1, 1], 2, 3), ([1, 1, 1, 3], 2, 4), ([1, 1, 1, 3], 1, 6), ([1, 2, 3], 8, 3)],
)
def test_fits_run_side_by_side_in_their_order(seconds, jobs, expected):
    assert makespan(seconds, jobs) == expected


def test_time_left_is_not_that_of_small_networks(clock):
    """By the mean of the fits that have ended, the small ones, it would be 6 s after three of them."""
    forecast = Forecast([[1.0] * 3, [4.0] * 3, [16.0] * 3], 20.0, 1)
    assert forecast.left() == pytest.approx(83)
    forecast.start()
    for clock.now in (1, 2, 3):
        forecast.end(0)
    assert forecast.pace == pytest.approx(1)
    assert forecast.left() == pytest.approx(80)
    clock.now = 5  # two seconds of the next fit are over
    assert forecast.left() == pytest.approx(78)
    assert forecast.of([2]) == pytest.approx(48)


def test_time_left_follows_what_fits_took(clock):
    forecast = Forecast([[1.0] * 8], 1.0, 1)
    forecast.start()
    for clock.now in (3, 6, 9, 12):
        forecast.end(0)
    # Four fits at three seconds, and the expectation, which counts as a fit: (12 + 1) / 5 seconds each.
    assert forecast.left() == pytest.approx(5 * 13 / 5)
    for clock.now in (15, 18, 21, 24):
        forecast.end(0)
    assert forecast.left() == pytest.approx(25 / 9)


def test_time_left_counts_the_fits_of_each_thread(clock, monkeypatch):
    forecast = Forecast([[2.0] * 8], 0.0, 2)
    forecast.start()
    for clock.now in (2, 4):  # two threads, which end fits at the same time
        for thread in (1, 2):
            monkeypatch.setattr("skcnn._command.progress.threading.get_ident", lambda thread=thread: thread)
            forecast.end(0)
    assert forecast.pace == pytest.approx(1)
    assert forecast.left() == pytest.approx(4)


# Costs --------------------------------------------------------------------------------------------------------------


def task_of(X, y):
    return Task(X, X, y, y, None, None, "binary")


@pytest.fixture
def rare(rng):
    """A task of 72 images of 8x8, of which 12 are to be found."""
    y = np.repeat([0, 1], [60, 12])
    return task_of(rng.integers(0, 255, (72, 8, 8, 1)).astype(np.uint8), y)


def sized(*filters):
    return [{"cnn__network__filters": one} for one in filters]


def test_fits_cost_steps_times_what_a_step_of_such_a_network_costs(rare):
    costs = Costs(rare, make_pipeline(rare, 10, 0), 3, 1)
    low, middle, high = (
        summary(costs._set(one)[-1].network, (8, 8, 1), 1).multiply_adds for one in sized((4, 8), (8, 16), (16, 32))
    )
    costs._timed["Plain"] = {low: Timed(1.0, 0.5, 0.01), high: Timed(3.0, 0.5, 0.05)}
    share = (middle - low) / (high - low)
    step = 0.01 + 0.04 * share
    forecast = costs.forecast(sized((8, 16)))
    # Each fold trains on 48 samples in 2 steps for 10 epochs, and predicts 24, a third of a step for each 32.
    fit = 0.5 + step * (20 + 24 / 32 / 3)
    assert forecast.of([0]) == pytest.approx(3 * fit + 1 + 2 * share)  # and compiles once
    assert forecast.refit == pytest.approx(0.5 + step * 30)
    costs.learn(sized((8, 16)), forecast)
    twice, longer, wide = {"cnn__l2": 0.1}, {"cnn__epochs": 20, "cnn__l2": 0.0}, {"cnn__dropout": 0.5}
    first, *others = [{**sized((8, 16))[0], **more} for more in ({}, twice, longer, wide)]
    assert costs.forecast([first]).of([0]) == pytest.approx(3 * fit)
    known, more_epochs, dropout = (costs.forecast([one]).of([0]) for one in others)
    assert known == pytest.approx(3 * fit)
    assert more_epochs == pytest.approx(3 * (fit + 20 * step))
    assert dropout == pytest.approx(3 * fit + 1 + 2 * share)  # is compiled, once
    assert costs.forecast(others[-1:] * 2).of([1]) == pytest.approx(3 * fit)


@pytest.mark.parametrize("sampler", [RandomOverSampler(), SMOTE(k_neighbors=3), RandomUnderSampler()])
def test_samplers_change_the_number_of_steps(rare, sampler):
    costs = Costs(rare, make_pipeline(rare, 1, 0), 3, 1)
    n = len(sampler.fit_resample(rare.X_train.reshape(72, -1), rare.y_train)[0])
    assert costs._growth(costs._set({"balance": NDSampler(sampler)})) * 72 == pytest.approx(n)


def test_steps_are_timed_and_what_was_compiled_for_it_serves_the_search(rare):
    costs, sizes = Costs(rare, make_pipeline(rare, 2, 0), 3, 2), sized((3, 5), (4, 6), (64, 128))
    costs.measure(sizes)
    small, large = (costs._timed["Plain"][size] for size in sorted(costs._timed["Plain"]))
    assert len(costs._timed["Plain"]) == 2  # that between them is not trained
    assert 0 < small.step < large.step
    assert small.build > 0
    forecast = costs.forecast(sizes)
    assert forecast.of([0]) < forecast.of([2])
    n_before = trace_count()
    for ends in ([0, 2], [1]):
        search = make_search(rare, Record(as_grid([sizes[i] for i in ends]), {"accuracy": "accuracy"}), 2, 0)
        search.fit(rare.X_train, rare.y_train)
        assert (trace_count() == n_before) == (len(ends) == 2)


# Fewer candidates ---------------------------------------------------------------------------------------------------


def test_worth_is_the_usual_first_then_one_cure_alone(rare):
    candidates = list(ParameterGrid(cures(rare, {"cnn__network__filters": (4, 8)}, 0)))
    assert len(candidates) == 16
    ordered = by_worth(candidates)
    assert sorted(map(repr, ordered)) == sorted(map(repr, candidates))
    first, *alone = one_by_one(candidates)
    assert ordered[: 1 + len(alone)] == [first, *alone]
    assert (first["cnn__l2"], first["cnn__dropout"], first["cnn__class_weight"]) == (0, 0, None)

    def changed(one):
        balanced = one["balance"] != "passthrough" or one["cnn__class_weight"] is not None
        return balanced + (one["cnn__l2"] > 0) + (one["cnn__dropout"] > 0)

    assert [changed(one) for one in alone] == [1] * 5
    assert [changed(one) for one in ordered] == [0] + [1] * 5 + [2] * 7 + [3] * 3


@pytest.mark.parametrize(("at_once", "n_tried"), [(1, 3), (2, 4), (9, 6)])
def test_a_bounded_search_ends_before_candidates_without_time(rng, at_once, n_tried):
    X, y, asked = rng.normal(size=(40, 2)), np.arange(40) % 2, []
    search = BoundedSearch(LogisticRegression(), as_grid([{"C": 0.1 * i} for i in range(1, 7)]), cv=2)
    search.at_once = at_once

    def goes_on(numbers):
        asked.extend(numbers)
        return numbers.stop <= n_tried

    search.goes_on = goes_on
    search.fit(X, y)
    assert [params["C"] for params in search.cv_results_["params"]] == [0.1 * i for i in range(1, n_tried + 1)]
    assert asked[:1] == ([at_once] if at_once < 6 else [])
    assert search.predict(X).shape == (40,)


class Planted:
    """Costs that are seconds of each candidate, a second more for the final fit."""

    def forecast(self, candidates):
        return Forecast([[one["s"]] for one in candidates], 1.0, 1)


def test_a_budget_takes_in_order_of_worth_what_it_has_time_for(clock):
    def networks(seconds, budget, cures=2.0):
        first = [{"s": cures}] * len(seconds)
        chosen = Budget(budget / 60, 0.0, after=5.0).networks([{"s": s} for s in seconds], first, Planted())
        return [one["s"] for one in chosen]

    clock.now = 10.0
    # 10 s are over and 5 s kept for the end; half of what is left is for networks, and 3 s at least for cures.
    assert networks([10, 20, 5], 15 + 2 * 36) == [10, 20, 5]
    assert networks([10, 20, 5], 15 + 2 * 31) == [10, 20]
    assert networks([10, 20, 5], 15 + 2 * 16) == [10, 5]
    assert networks([10, 20, 5], 15 + 14) == [10]
    assert networks([10, 20, 5], 15 + 9) == [5]
    with pytest.raises(
        DataError, match=r"^--budget 0\.383333: the least, .* takes about 24 s in all\. Expected --budget 0\.4 "
    ):
        networks([10, 20, 5], 23)
    budget = Budget(45 / 60, 0.0, after=5.0)
    assert len(budget.cures([{"s": 8}] * 6, Planted())) == 3
    clock.now = 44.0
    assert len(budget.cures([{"s": 8}] * 6, Planted())) == 1
    assert budget.left == pytest.approx(1)


# The whole ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A file of 8x8 images in groups of four, a sixth of which have a bright corner."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "images.npz"
    y = np.repeat(["plain", "spot"], [80, 16])
    X = rng.integers(0, 120, (96, 8, 8, 1)).astype(np.uint8)
    X[80:, :3, :3] += 100
    np.savez(path, X=X, y=y, groups=np.arange(96) // 2)
    return str(path)


GRID = ["--grid", '{"cnn__l2": [0.0, 0.01], "balance": ["passthrough", "SMOTE"]}']


def test_a_quick_search_says_what_it_leaves_out(grouped, tmp_path, capsys, monkeypatch):
    import skcnn

    given, diagnose = {}, skcnn.diagnose
    monkeypatch.setattr("skcnn.diagnose", lambda *args, **kwargs: given.update(kwargs) or diagnose(*args, **kwargs))
    assert main([grouped, "--quick", "--epochs", "4", "--out", str(tmp_path / "page.html"), *GRID]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    words = " ".join(out.split())
    assert "in 36 and 12 groups, as the array 'groups' of the file says (--groups '' leaves them aside" in words
    assert "--quick: 2 folds instead of 3, 1 size of network instead of 3, and no two cures together: 3 of 4" in words
    assert re.search(r"Going by some timed steps, this takes about \d+ s without cures, \d+ s with cures, and", words)
    assert "Without cures: how good is the network? 3 fits, about" in words
    assert "With cures: is that better? 7 fits, about" in words
    assert len(re.findall(r"^[* ] (?:SMOTE|none) +0", out, re.M)) == 3
    assert len(np.unique(given["groups_train"])) == 36
    assert not set(given["groups_train"]) & set(given["groups_test"])


def test_quick_halves_epochs_that_nobody_chose(grouped, capsys):
    job = prepare(make_parser().parse_args([grouped, "--quick", "--groups", ""]))
    assert (job.epochs, job.n_folds, job.task.groups_train) == (30, 2, None)
    assert "2 folds instead of 3, 30 epochs instead of 60, 1 size" in " ".join(capsys.readouterr().out.split())
    assert job.networks == [{"cnn__network__filters": [(8, 16)]}]


def test_a_budget_stops_with_what_it_has(grouped, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Forecast, "of", lambda forecast, candidates: np.inf)  # all fits turn out slow
    arguments = [grouped, "--budget", "60", "--epochs", "4", "--jobs", "1", "--out", str(tmp_path / "page.html")]
    assert main([*arguments, *GRID]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Stopped after 1 of 3 candidates: the time of --budget is over." in out
    assert "Stopped after 1 of 4 candidates: the time of --budget is over." in out
    assert re.search(r"^\* \(8, 16\) ", out, re.M)
    assert len(re.findall(r"^[* ] \(\d+, \d+\) ", out, re.M)) == 1
    assert "Diagnosis of BoundedSearch of Pipeline" in out


def test_a_budget_that_is_too_small_is_told_the_least(grouped, tmp_path, capsys):
    assert main([grouped, "--budget", "0.01", "--epochs", "4", "--out", str(tmp_path / "page.html"), *GRID]) == 2
    out, err = capsys.readouterr()
    told = re.fullmatch(
        r"skcnn: --budget 0\.01: the least, a search over one network and one candidate of the cures, takes about "
        r"(\d+) s in all\. Expected --budget ([\d.]+) or more\. \(--help .*\)\n",
        err,
    )
    assert told, err
    assert float(told[2]) == pytest.approx(int(told[1]) / 60, abs=0.11)
    assert "Without cures" not in out
    for wrong in ("0", "-1", "x", "nan", "inf"):
        with pytest.raises(SystemExit):
            main([grouped, f"--budget={wrong}"])
        assert f"argument --budget: '{wrong}'; expected minutes" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(64, 64, 3), (224, 160, 3), (300, 513, 1), (1123, 794, 1), (72, 64, 9, 1)])
def test_networks_for_large_images_do_not_flatten(shape):
    from skcnn.networks import Plain

    for filters in plain_sizes(shape):
        kinds = {type(layer).__name__ for layer in Plain(filters)(shape, 3).layers}
        assert "Flatten" not in kinds
        assert any(kind.startswith("GlobalAveragePooling") for kind in kinds)

"""Time the same grid search with skcnn and with its peers.

    python benchmarks/grid_search.py            # three sizes, writes its section of RESULTS.md
    python benchmarks/grid_search.py --quick    # digits alone, once, prints only

Four candidates (l2 x dropout), three folds and a refit of the same network, on the same samples for the same number
of epochs. Each search runs in a separate process that does nothing else; timed is ``search.fit``, including all that is
built and compiled in it, but without imports. Contenders take turns, and the table gives medians.

"As it comes" is ``GridSearchCV(estimator, grid, cv=3)`` and nothing else. At its best is the fastest of what a user can
set: two jobs, one thread for each of them, for Keras several steps per call of the graph and no XLA, for PyTorch
weights with their channels last and the fused Adam. The mean test score beside shows that nobody wins by training less;
`keras.wrappers` does, since its `clone` loses the epochs.

Peers require ``pip install skorch jax`` after a CPU build of PyTorch; those not installed are left out.
"""

import statistics
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import peers
from joblib import parallel_config
from peers import FUSED
from report import SINGLE_THREADED, do_part, in_own_process, markdown_table, parse_quick, publish
from sklearn.model_selection import GridSearchCV, StratifiedKFold

QUESTION = "How long does the same grid search take with skcnn and with its peers?"
CHEAP = {"steps_per_execution": 16, "jit_compile": False}
COME = "as it comes"
ROUNDS = {"digits": 3, "medium": 2, "large": 2}


@dataclass(frozen=True)
class Contender:
    """One way to run the search: a peer, how it is set, and with how many jobs."""

    peer: str
    way: str
    jobs: int | None = None
    backend: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    requires: str = "skcnn"
    problems: tuple[str, ...] = tuple(peers.PROBLEMS)


CONTENDERS = [
    Contender("skcnn", COME),
    Contender("skcnn", "threading, 2 jobs", 2, "threading"),
    Contender("skcnn", "loky, 2 jobs", 2),
    Contender("scikeras", COME, requires="scikeras"),
    Contender("scikeras", "one thread, 2 jobs", 2, None, SINGLE_THREADED, {}, "scikeras"),
    Contender("scikeras", "one thread, 2 jobs, 16 steps a call", 2, None, SINGLE_THREADED, CHEAP, "scikeras"),
    Contender("keras_wrappers", COME, requires="keras"),
    Contender("skorch", COME, requires="skorch"),
    Contender("skorch", "one thread, 2 jobs", 2, None, SINGLE_THREADED, requires="skorch"),
    Contender("skorch", "two threads, channels last, fused Adam", 2, "threading", SINGLE_THREADED, FUSED, "skorch"),
    *(
        Contender("scikeras", f"on {name}", None, None, {"KERAS_BACKEND": backend}, {}, backend, ("digits",))
        for backend, name in (("jax", "JAX"), ("torch", "PyTorch"))
    ),
    # With one job, which was nowhere faster than two; on digits alone, to show it.
    Contender("scikeras", "one thread, 16 steps a call", None, None, SINGLE_THREADED, CHEAP, "scikeras", ("digits",)),
    Contender("skorch", "one thread", None, None, SINGLE_THREADED, {}, "skorch", ("digits",)),
]


def run(name: str, number: str) -> dict[str, float]:
    """Run the search of one contender in this process."""
    problem, contender = peers.PROBLEMS[name], CONTENDERS[int(number)]
    X, y = problem.load()
    estimator, grid = getattr(peers, contender.peer)(problem, **contender.settings)
    if contender.peer == "keras_wrappers":
        X = X.reshape(len(X), -1)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)  # given, since scikeras is not known as a classifier
    search = GridSearchCV(estimator, grid, cv=folds, scoring="accuracy", n_jobs=contender.jobs, error_score="raise")
    _import(contender.peer)
    start = time.perf_counter()
    with parallel_config(contender.backend) if contender.backend else nullcontext():
        search.fit(X, y)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "score": float(search.cv_results_["mean_test_score"].mean())}


def _import(peer: str) -> None:
    """Import what the peer requires, so that no import is timed."""
    for module in ["torch"] if peer == "skorch" else ["tensorflow", "keras"]:
        __import__(module)


def table(name: str, results: dict[int, list[dict[str, float]]]) -> tuple[str, dict[str, dict[str, float]]]:
    """Return the table of one problem, and the median seconds by peer and way."""
    medians = {i: statistics.median(run["seconds"] for run in runs) for i, runs in results.items()}
    by_peer: dict[str, dict[str, float]] = {}
    for i, seconds in medians.items():
        by_peer.setdefault(CONTENDERS[i].peer, {})[CONTENDERS[i].way] = seconds
    fastest = min(by_peer["skcnn"].values())
    rows = []
    for i, runs in results.items():
        spread = " to ".join(f"{extreme(run['seconds'] for run in runs):.1f}" for extreme in (min, max))
        score = statistics.median(run["score"] for run in runs)
        rows.append(
            [
                CONTENDERS[i].peer.replace("_", "."),
                CONTENDERS[i].way,
                f"{medians[i]:.1f}",
                spread,
                f"{medians[i] / fastest:.1f}",
                f"{medians[i] / by_peer['skcnn'][COME]:.1f}",
                f"{score:.3f}",
            ]
        )
    header = ["", "way", "seconds", "range", "times skcnn's best", "times skcnn as it comes", "mean test accuracy"]
    return f"### {name}\n\n{markdown_table(header, rows)}", by_peer


def in_words(problem: str, by_peer: dict[str, dict[str, float]]) -> str:
    """State the ratios that the project has set itself."""
    ours, words = by_peer["skcnn"], []
    best = min(ours.values())
    for peer in [peer for peer in by_peer if peer != "skcnn"]:
        come, theirs = by_peer[peer][COME], min(by_peer[peer].values())
        words.append(
            f"{peer.replace('_', '.')} as it comes takes {come / best:.1f} times as long as skcnn at its best and "
            f"{come / ours[COME]:.1f} times as long as skcnn as it comes; at its best {theirs / best:.1f} and "
            f"{theirs / ours[COME]:.1f} times."
        )
    return "\n".join(f"- {PREFIX[problem]}{word}" for word in words)


PREFIX = {"digits": "Digits: ", "medium": "28x28x1: ", "large": "32x32x3: "}


def results_of(problem: str, rounds: int) -> dict[int, list[dict[str, float]]]:
    """Run all contenders that are installed in turns."""
    results: dict[int, list[dict[str, float]]] = {
        i: [] for i, one in enumerate(CONTENDERS) if problem in one.problems and find_spec(one.requires)
    }
    for _ in range(rounds):
        for i in results:
            results[i].append(in_own_process(__file__, "--one", problem, str(i), environment=CONTENDERS[i].environment))
            print(
                f"{problem}: {CONTENDERS[i].peer}, {CONTENDERS[i].way}: {results[i][-1]}", file=sys.stderr, flush=True
            )
    return results


def answer(results: dict[str, dict[int, list[dict[str, float]]]]) -> str:
    tables, words = [], []
    for problem, found in results.items():
        drawn, by_peer = table(peers.PROBLEMS[problem].name, found)
        tables.append(drawn)
        words.append(in_words(problem, by_peer))
    missing = sorted({one.requires for one in CONTENDERS if not find_spec(one.requires)})
    left_out = f"Not installed and left out: {', '.join(missing)}." if missing else ""
    return "\n\n".join([*tables, "### In words", "\n".join(words), left_out])


def main() -> None:
    do_part(one=run)
    quick = parse_quick(__doc__)
    results = {name: results_of(name, 1 if quick else ROUNDS[name]) for name in (["digits"] if quick else ROUNDS)}
    body = answer(results)
    packages = ["skcnn", "scikit-learn", "joblib", "numpy", "tensorflow", "keras", "scikeras"]
    packages += ["skorch", "torch"] if find_spec("skorch") else []
    publish("grid_search", "Grid search", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

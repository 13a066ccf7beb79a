"""Time a grid over epochs with ``memory=``, without it, and with scikeras.

    python benchmarks/epochs_grid.py            # writes its section of RESULTS.md
    python benchmarks/epochs_grid.py --quick    # once and without scikeras, prints only

Digits, three folds and a refit, in the order in which `GridSearchCV` takes the candidates. Each search runs in a
separate process, in turns, with one thread and a new folder; timed is ``search.fit``. "Again" is the same search once
more on the folder that the first has filled, as after a crash in its last fit.
"""

import statistics
import tempfile
import time

import peers
from report import ONE_THREAD, do_part, in_own_process, markdown_table, parse_quick, publish
from sklearn.model_selection import GridSearchCV, StratifiedKFold

QUESTION = "What does a grid over the number of epochs cost with `memory=`, without it, and with scikeras?"
GRID = [5, 10, 20, 40]
WAYS = {
    "skcnn, the longest alone": ("skcnn", GRID[-1:], False),
    "skcnn with memory": ("skcnn", GRID, True),
    "skcnn without memory": ("skcnn", GRID, False),
    "scikeras": ("scikeras", GRID, False),
}


def run(way: str) -> dict[str, float]:
    """Run the search of one way in this process, and with memory a second time."""
    import tensorflow  # noqa: F401  (not timed for anybody)

    peer, epochs, memory = WAYS[way]
    problem = peers.PROBLEMS["digits"]
    X, y = problem.load()
    with tempfile.TemporaryDirectory() as folder:
        estimator, _ = getattr(peers, peer)(problem, **({"memory": folder} if memory else {}))
        folds = StratifiedKFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(estimator, {"epochs": epochs}, cv=folds, scoring="accuracy", error_score="raise")
        seconds = []
        for _ in range(2 if memory else 1):
            start = time.perf_counter()
            search.fit(X, y)
            seconds.append(time.perf_counter() - start)
    scores = search.cv_results_["mean_test_score"]
    return {"seconds": seconds[0], "again": seconds[-1], "score": float(scores.mean()), "last": float(scores[-1])}


def main() -> None:
    do_part(one=run)
    quick = parse_quick(__doc__)
    ways = [way for way in WAYS if not (quick and way == "scikeras")]
    results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(1 if quick else 3):
        for way in ways:
            results[way].append(in_own_process(__file__, "--one", way, environment=ONE_THREAD))
    medians = {
        way: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for way, runs in results.items()
    }
    medians["skcnn with memory, again"] = {
        **medians["skcnn with memory"],
        "seconds": medians["skcnn with memory"]["again"],
    }
    alone = medians["skcnn, the longest alone"]["seconds"]
    rows = [
        [
            way,
            f"{values['seconds']:.1f}",
            f"{values['seconds'] / alone:.2f}",
            f"{values['score']:.4f}",
            f"{values['last']:.4f}",
        ]
        for way, values in medians.items()
    ]
    grid = ", ".join(map(str, GRID))
    header = ["", "seconds", "over the longest alone", "mean test accuracy", f"at {GRID[-1]} epochs"]
    body = f"""
Epochs {grid}; medians.

{markdown_table(header, rows)}
"""
    packages = ("skcnn", "scikit-learn", "tensorflow", "keras", "scikeras")
    publish("epochs_grid", "A grid over epochs", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

"""Time the first fit of a fresh process, and TensorFlow's share of it.

    python benchmarks/startup.py            # writes its section of RESULTS.md
    python benchmarks/startup.py --quick    # once, prints only

Each round starts a new process for skcnn, for Keras itself and for scikeras, in turns. All train the same network on
digits for one epoch and predict 100 samples; "another" is the first fit of a second network. One thread.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from report import ONE_THREAD, do_part, in_own_process, markdown_table, parse_quick, publish

QUESTION = "What does the first fit of a fresh process cost, and how much of it is TensorFlow's?"
WHO = ("skcnn", "keras", "scikeras")


class Clock:
    """Keeps the seconds that each named step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, function: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = function()
        self.seconds[name] = time.perf_counter() - start
        return result


def run(who: str) -> dict[str, float]:
    """Take the steps in this process."""
    clock = Clock()
    if who == "skcnn":
        clock("import skcnn", lambda: __import__("skcnn"))
    clock("import scikit-learn", lambda: __import__("sklearn.model_selection"))
    if who == "skcnn":
        clock("import the estimators", lambda: __import__("skcnn.estimators"))
    clock("import tensorflow", lambda: __import__("tensorflow"))
    clock("import keras", lambda: __import__("keras"))
    if who == "scikeras":
        clock("import the estimators", lambda: __import__("scikeras.wrappers"))
    import peers

    problem = peers.PROBLEMS["digits"]
    X, y = problem.load()

    def fit(l2: float = 0.0) -> Any:
        if who == "keras":
            model = peers.keras_model(problem, l2, 0.0)
            model.fit(X, y, batch_size=peers.BATCH, verbose=0)
            return model
        return getattr(peers, who)(problem, 1)[0].fit(X, y)

    model = clock("first fit", fit)
    clock("second fit", fit)
    predict = (lambda: model.predict(X[:100], verbose=0)) if who == "keras" else (lambda: model.predict(X[:100]))
    clock("first predict", predict)
    clock("second predict", predict)
    problem = peers.Problem(problem.name, problem.load, problem.shape, (24, 48), 1, problem.n_classes)
    clock("first fit of another", fit)
    return clock.seconds


def main() -> None:
    do_part(one=run)
    quick = parse_quick(__doc__)
    results: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
    for _ in range(1 if quick else 5):
        for who in WHO:
            results[who].append(in_own_process(__file__, "--one", who, environment=ONE_THREAD))
    steps = results["skcnn"][0]
    cells = {
        who: [f"{statistics.median(run[step] for run in runs):.3f}" if step in runs[0] else "" for step in steps]
        for who, runs in results.items()
    }
    body = f"""
Seconds, medians.

{markdown_table(["", *WHO], [[step, *(cells[who][i] for who in WHO)] for i, step in enumerate(steps)])}
"""
    packages = ("skcnn", "scikit-learn", "tensorflow", "keras", "scikeras")
    publish("startup", "Start of a process", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

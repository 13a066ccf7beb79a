"""Measure what a process that fits and predicts for long keeps: memory, threads.

    python benchmarks/soak.py            # writes its section of RESULTS.md
    python benchmarks/soak.py --quick    # shorter, prints only

1,000 fits and 100,000 predictions in one process, in rounds of 20 fits and 2,000 predictions: clones of six
estimators in turn, and two searches, one of them on threads. The first rounds warm up and are not judged. Then fits of
more topologies in turn than the pool keeps compiled, each of which is built, traced and dropped again.

A slope is that of a straight line through the rounds, with a 95% interval that allows for correlated errors
(Newey and West 1987, doi:10.2307/1913610). It is called flat if the whole interval is below a bound, and growing if it
is above 0 but not below the bound. Time is that of the processor, which tells of other work on the machine less than
the clock does; of each round the median is taken.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import joblib
import keras
import numpy as np
import psutil
from growth import resident
from report import markdown_table, parse_quick, publish
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skcnn
from skcnn import CNNClassifier, CNNRegressor
from skcnn._engine.pool import pool
from skcnn.networks import Plain

QUESTION = "Does a process that fits and predicts for long stay as it is?"
N_ROUNDS, N_WARM = 50, 8
FITS_A_ROUND, PREDICTIONS_A_ROUND = 20, 2000
# Bounds of a slope per 100 fits: a hundredth of the memory of such a process over 1,000 fits, a tenth of the time.
FLAT = {"MiB of memory": 0.7, "ms a fit": 0.01, "ms a prediction": 0.01, "file handles": 0.0, "threads": 0.0}


class Reading(NamedTuple):
    """Readings after a round; milliseconds are medians of processor time."""

    memory: float
    fit: float
    prediction: float
    handles: int
    threads: int


class Slope(NamedTuple):
    """Change per round, and half of its 95% interval."""

    value: float
    margin: float


def own_network(input_shape: tuple[int, ...], n_outputs: int) -> keras.Model:
    inputs = keras.Input(input_shape)
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 8, 8, 1)).astype("float32"), rng.integers(0, 4, n)


def estimators() -> list[Any]:
    """Six topologies, of which the pool keeps all."""
    return [
        CNNClassifier(Plain(filters=(8,)), epochs=2),
        CNNClassifier(Plain(filters=(4, 8)), epochs=2, dropout=0.2, optimizer="sgd"),
        CNNClassifier(own_network, epochs=2, early_stopping=True),
        CNNRegressor(Plain(filters=(8,)), epochs=2),
        CNNRegressor(Plain(filters=(4,)), epochs=2, dtype="float64", standardize="channel"),
        CNNClassifier(Plain(filters=(6,)), epochs=2, augmentation="translation", mixup=0.2),
    ]


def milliseconds(action: Callable[[], Any]) -> float:
    start = time.process_time()
    action()
    return 1e3 * (time.process_time() - start)


def one_round(number: int, X: np.ndarray, y: np.ndarray, n_predictions: int) -> Reading:
    """Fit ten clones and two searches of five fits each, and predict with the clones."""
    kinds = estimators()
    models = [clone(kinds[i % len(kinds)]).set_params(random_state=10 * number + i) for i in range(10)]
    fits = [milliseconds(lambda model=model: model.fit(X, y)) for model in models]
    search = GridSearchCV(kinds[0], {"l2": [0.0, 1e-3]}, cv=2)
    models += [search.fit(X, y), clone(search)]
    with joblib.parallel_config("threading", n_jobs=2):
        models[-1].fit(X, y)
    sizes = (1, 8, 30, 64)
    predictions = [
        milliseconds(lambda i=i: models[i // 20 % len(models)].predict(X[: sizes[i % 4]])) for i in range(n_predictions)
    ]
    process = psutil.Process()
    return Reading(resident(), np.median(fits), np.median(predictions), process.num_fds(), process.num_threads())


def slope(values: np.ndarray) -> Slope:
    """Fit a line by least squares, with the standard error of Newey and West.

    Lags go up to the square root of n.
    """
    n = len(values)
    x = np.arange(n) - (n - 1) / 2
    value = float(x @ values / (x @ x))
    scores = x * (values - values.mean() - value * x)
    lags = int(np.sqrt(n))
    variance = scores @ scores + 2 * sum(
        (1 - lag / (lags + 1)) * (scores[lag:] @ scores[:-lag]) for lag in range(1, lags + 1)
    )
    error = np.sqrt(max(variance, 0) * n / (n - 2)) / (x @ x)
    return Slope(value, float(stats.t.ppf(0.975, n - 2) * error))


def judged(name: str, values: np.ndarray, per_value: int, n_shown: int) -> list[str]:
    """Return a row of the table: `per_value` fits lie between two values."""
    value, margin = (100 / per_value * part for part in slope(values))
    bound = FLAT[name] * (values.mean() if name.startswith("ms") else 1)
    flat = "flat" if value + margin <= bound else "grows" if value > margin else "undecided"
    first, last = np.median(values[:n_shown]), np.median(values[-n_shown:])
    return [name, f"{first:.4g}", f"{last:.4g}", f"{value:+.3g} ± {margin:.2g}", f"{bound:.2g}", flat]


def soak_table(readings: list[Reading], n_warm: int) -> str:
    """Judge each quantity after the warm-up."""
    columns = np.array(readings, float)[n_warm:].T
    rows = [judged(name, values, FITS_A_ROUND, 5) for name, values in zip(FLAT, columns, strict=True)]
    return markdown_table(["", "first 5 rounds", "last 5 rounds", "per 100 fits [95%]", "bound", ""], rows)


def rebuilding_table(n_fits: int, n_warm: int, X: np.ndarray, y: np.ndarray) -> str:
    """Return memory and time where no fit finds its topology compiled."""
    n_topologies = pool.capacity + 2
    memory, fits = [], []
    for i in range(n_fits):
        model = CNNClassifier(Plain(filters=(10 + i % n_topologies,)), epochs=1, random_state=i)
        fits.append(milliseconds(lambda model=model: model.fit(X, y)))
        memory.append(resident())
    rows = [
        judged(name, np.array(values[n_warm:]), 1, 20)
        for name, values in (("MiB of memory", memory), ("ms a fit", fits))
    ]
    return markdown_table(["", "first 20 fits", "last 20 fits", "per 100 fits [95%]", "bound", ""], rows)


def main() -> None:
    quick = parse_quick(__doc__)
    skcnn.set_threads(1)
    X, y = images(120)
    n_rounds, n_warm = (12, 4) if quick else (N_ROUNDS, N_WARM)
    n_predictions = PREDICTIONS_A_ROUND // (10 if quick else 1)
    n_rebuilt, n_rebuilt_warm = (60, 20) if quick else (300, 100)
    readings = [one_round(i, X, y, n_predictions) for i in range(n_rounds)]
    soak = soak_table(readings, n_warm)
    rebuilding = rebuilding_table(n_rebuilt, n_rebuilt_warm, X, y)
    body = f"""
120 images of 8x8x1, one thread. Milliseconds are of the processor.

### {n_rounds * FITS_A_ROUND:,} fits and {n_rounds * n_predictions:,} predictions, {len(estimators())} topologies

After {n_warm * FITS_A_ROUND} fits and {n_warm * n_predictions:,} predictions that warm up.

{soak}

### {n_rebuilt} fits of {pool.capacity + 2} topologies in turn, {pool.capacity} kept compiled

After {n_rebuilt_warm} fits that warm up.

{rebuilding}
"""
    packages = ("skcnn", "tensorflow", "keras", "scikit-learn", "numpy")
    publish("soak", "Soak", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

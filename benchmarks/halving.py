"""Compare halving over the number of epochs, which trains nothing twice, with the full grid.

    python benchmarks/halving.py            # five data sets, writes its section of RESULTS.md
    python benchmarks/halving.py --quick    # one data set, prints only

27 candidates (learning rate x l2 x dropout), three folds and a refit. The grid trains all of them for 27 epochs;
``HalvingGridSearchCV(resource="epochs", max_resources=27)`` all for one, the best third for three, and so on, each from
where it stood (``memory=``, and a schedule that does not depend on the last epoch). Each search runs in a separate
process on one thread with a new folder; the seconds are the processor's, of ``search.fit``. The score is that of the
search's choice, trained on all training samples for 27 epochs, on the fresh samples of the set.
"""

import tempfile
import time

import numpy as np
from diagnosis_data import available, samples_of
from report import ONE_THREAD, do_part, in_own_process, markdown_table, parse_quick, publish
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from skcnn import CNNClassifier, CNNRegressor

QUESTION = 'What does `HalvingGridSearchCV(resource="epochs")` with `memory=` cost and find, beside the full grid?'
DATA = ("digits", "signs", "pulses", "mixtures", "discs")
GRID = {"learning_rate": [1e-4, 1e-3, 1e-2], "l2": [0.0, 1e-3, 1e-1], "dropout": [0.0, 0.3, 0.6]}
EPOCHS = 27
WAYS = ("grid", "halving", "halving without memory")


def run(name: str, way: str, seed: int) -> dict[str, float]:
    """Run one search in this process, and score what it chose."""
    import tensorflow  # noqa: F401  (not timed for anybody)

    data = samples_of(name, seed)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"schedule": "constant", "random_state": seed, "memory": None if "without" in way else folder}
        cnn = (CNNClassifier if data.classifies else CNNRegressor)(epochs=EPOCHS, **settings)
        if way == "grid":
            search = GridSearchCV(cnn.set_params(memory=None), GRID, cv=3)
        else:
            halving = {"resource": "epochs", "max_resources": EPOCHS, "min_resources": 1, "factor": 3}
            search = HalvingGridSearchCV(cnn, GRID, cv=3, random_state=seed, **halving)
        start = time.process_time()
        search.fit(data.X, data.y)
        seconds = time.process_time() - start
    return {"seconds": seconds, "score": float(search.score(data.X_fresh, data.y_fresh))}


def answer(results: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """Return the table of medians, and what halving saves."""
    rows, shares, gains = [], [], []
    for name in dict.fromkeys(name for name, _ in results):
        grid = results[name, "grid"]
        for way in WAYS:
            ours = results[name, way]
            share = np.median([a["seconds"] / b["seconds"] for a, b in zip(ours, grid, strict=True)])
            gain = np.mean([a["score"] - b["score"] for a, b in zip(ours, grid, strict=True)])
            if way == "halving":
                shares.append(share)
                gains.append(gain)
            seconds, score = np.median([one["seconds"] for one in ours]), np.mean([one["score"] for one in ours])
            rows.append([name, way, f"{seconds:.1f}", f"{share:.0%}", f"{score:.3f}", f"{gain:+.3f}"])
    header = ["data", "search", "s", "of the grid's time", "score on fresh samples", "against grid"]
    n = len(next(iter(results.values())))
    return (
        f"{markdown_table(header, rows)}\n\nHalving with memory takes {min(shares):.0%} to {max(shares):.0%} of the "
        f"grid's time; its choice scores {min(gains):+.3f} to {max(gains):+.3f} against the grid's (means of {n} "
        "seeds; R2 for discs, else accuracy)."
    )


def main() -> None:
    do_part(one=lambda name, way, seed: run(name, way, int(seed)))
    quick = parse_quick(__doc__)
    names, seeds = (DATA[:1], 1) if quick else (available(DATA), 3)
    results: dict[tuple[str, str], list[dict[str, float]]] = {(name, way): [] for name in names for way in WAYS}
    for seed in range(seeds):
        for name, way in results:
            done = in_own_process(__file__, "--one", name, way, str(seed), environment=ONE_THREAD)
            print(f"{name}, {way}, seed {seed}: {done['seconds']:.1f} s, {done['score']:.3f}", flush=True)
            results[name, way].append(done)
    text = answer(results)
    publish("halving", "Halving", QUESTION, text, only_print=quick)


if __name__ == "__main__":
    main()

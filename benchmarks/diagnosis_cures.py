"""The cure: a search over what the diagnosis suggests against one of equal size that knows nothing of the fault.

    python benchmarks/diagnosis_cures.py --set              # the half that cures are set on; prints only
    python benchmarks/diagnosis_cures.py                    # the half that judges; writes its section of RESULTS.md

Cases are those of ``diagnosis.py`` whose cause parameters can cure, at the strongest cost of each cell. Both searches
have as many candidates and folds, and are judged on fresh samples, paired: the interval of each difference is a
bootstrap over these, at 5% over the number of searches; that of the mean is a bootstrap over cells.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from diagnosis import arguments, chosen
from diagnosis_cases import MEMORY, cells_of, climbed, load, of_sources, version_of
from diagnosis_data import JUDGED, SET, Samples, available
from diagnosis_models import predict, score
from diagnosis_planting import CAUSES, cause_halves
from joblib import Parallel, delayed
from report import markdown_table, publish
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, ParameterSampler, StratifiedKFold
from threadpoolctl import threadpool_limits

from skcnn import diagnose
from skcnn.networks import Plain

QUESTION = "Does the suggested grid raise the score on fresh samples more than an uninformed one of equal size?"
MOST = 6
SEARCHED = ("cnn", "custom")  # the uninformed grid is over their parameters


def uninformed(fitted: Any, samples: Samples) -> dict[str, list[Any]]:
    """Return what one searches who does not know the fault."""
    epochs = fitted.epochs
    grid = {
        "learning_rate": [3e-4, 3e-3, 1e-2],
        "l2": [0.0, 1e-3, 1e-2],
        "epochs": sorted({max(1, epochs // 3), epochs, 3 * epochs, 100}),
        "standardize": [None, "channel", "position"],
    }
    if isinstance(fitted.network, Plain):
        grid |= {"dropout": [0.0, 0.3, 0.5], "network__filters": [(8,), (8, 16), (16, 32)]}
    counts = np.unique(samples.y, return_counts=True)[1] if samples.classifies else np.ones(1)
    return grid | ({"priors": [None, "train"]} if counts.max() >= 5 * counts.min() else {})


def searched(estimator: Any, grid: Any, samples: Samples, seed: int, scoring: Any = None) -> np.ndarray:
    """Return predictions of fresh samples by the best candidate."""
    counts = np.unique(samples.y, return_counts=True)[1] if samples.classifies else np.zeros(1)
    kind = StratifiedKFold if counts.min() >= 2 else KFold
    search = GridSearchCV(estimator, grid, scoring=scoring, cv=kind(2, shuffle=True, random_state=seed))
    return predict(search.fit(samples.X, samples.y), samples.X_fresh, samples)


@MEMORY.cache
def cured(key: tuple[str, str, str, Any, int], version: str, diagnosis: str, fast: bool) -> dict[str, Any]:
    """Search the suggested grid and an uninformed one; `version` and `diagnosis` tell versions of the code apart."""
    data, name, model, strength, seed = key
    samples, fitted = load(key)
    record = {"data": data, "cause": name, "model": model, "strength": strength, "seed": seed}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = diagnose(fitted, samples.X, samples.y, samples.X_test, samples.y_test, fast=fast)
        suggestion = result.suggest(max_candidates=MOST)
        before = informed = predict(fitted, samples.X_fresh, samples)
        if suggestion.param_grid:
            informed = searched(suggestion.estimator, suggestion.param_grid, samples, seed, suggestion.scoring)
        n = max(2, suggestion.n_candidates)
        drawn = ParameterSampler(uninformed(fitted, samples), n, random_state=seed)
        blind = searched(
            clone(fitted), [{name: [value] for name, value in one.items()} for one in drawn], samples, seed
        )

    def value(predicted: np.ndarray, rows: Any = slice(None)) -> float:
        return score(samples.y, samples.y_fresh[rows], predicted[rows], samples.task)

    rng = np.random.default_rng(0)
    resamples = rng.integers(0, len(samples.y_fresh), (2000, len(samples.y_fresh)))
    differences = [value(informed, rows) - value(blind, rows) for rows in resamples]
    scores = {"before": value(before), "informed": value(informed), "blind": value(blind)}
    grid = {name: list(map(str, values)) for name, values in suggestion.param_grid.items()}
    return {**record, **scores, "n": suggestion.n_candidates, "grid": grid, "differences": sorted(differences)}


def cure(name: str, data: str, model: str, seed: int, fast: bool) -> list[dict[str, Any]]:
    """Cure the case of a cell that costs most, if it costs anything."""
    costly = [record for record in climbed(name, data, model, seed) if record["bucket"] in ("medium", "strong")]
    if not costly:
        return []
    worst = max(costly, key=lambda record: record["cost"])
    return [cured((data, name, model, worst["strength"], seed), version_of(name), of_sources("diagnosis"), fast)]


def answer(records: list[dict[str, Any]]) -> str:
    frame = pd.DataFrame(records)
    gain, extra = frame["informed"] - frame["before"], frame["informed"] - frame["blind"]
    level = 0.05 / len(frame)
    worse = sum(np.quantile(values, 1 - level / 2) < 0 for values in frame["differences"])
    better = sum(np.quantile(values, level / 2) > 0 for values in frame["differences"])
    means = []
    for values in (gain, extra):
        cells = values.groupby([frame["cause"], frame["data"], frame["model"]]).mean().to_numpy()
        drawn = cells[np.random.default_rng(0).integers(0, len(cells), (5000, len(cells)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        means.append(f"{cells.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    head = (
        f"{len(frame)} searches. Suggested minus before: {means[0]}; suggested minus uninformed: {means[1]}; "
        f"significantly better in {better}, worse in {worse}."
    )
    rows = [
        [
            one["cause"],
            f"{one['data']} {one['model']}",
            *(f"{one[k]:.3f}" for k in ("before", "blind", "informed")),
            str(one["n"]),
            "; ".join(f"{k} {', '.join(v)}" for k, v in one["grid"].items())[:160],
        ]
        for one in records
    ]
    header = ["planted", "cell", "before", "uninformed", "suggested", "candidates", "suggested grid"]
    return f"{head}\n\n{markdown_table(header, rows)}"


def main() -> None:
    given = arguments(__doc__)
    half = 0 if given.set else 1
    data = available(chosen("data", given.data, (SET, JUDGED)[half]))
    models = chosen("model", given.models, list(SEARCHED))
    jobs = [
        delayed(cure)(name, *pair, seed, given.fast)
        for name in chosen("cause", given.causes, cause_halves()[half])
        if CAUSES[name].curable
        for pair in cells_of(name, data, models, given.cells)
        for seed in range(given.seeds)
    ]
    records = []
    for done in Parallel(n_jobs=given.jobs, return_as="generator_unordered")(jobs):
        records += done
        for one in done:
            print({name: value for name, value in one.items() if name != "differences"}, flush=True)
    some = given.set or given.causes or given.data or given.models
    publish("diagnosis_cures", "Cures", QUESTION, answer(records), only_print=some)


if __name__ == "__main__":
    main()

"""Cases of the benchmark of the diagnosis: planted, trained and diagnosed, each kept once it is done."""

import hashlib
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import diagnosis_causes  # noqa: F401 - it registers causes
import diagnosis_data
import diagnosis_models
import diagnosis_settings  # noqa: F401 - it registers causes
import keras
import numpy as np
from diagnosis_data import DATA, Samples, data_of, samples_of
from diagnosis_models import NETWORKS, fit, fits, predict, score
from diagnosis_planting import CAUSES
from joblib import Memory
from threadpoolctl import threadpool_limits

import skcnn
from skcnn import diagnose

__all__ = [
    *("BUCKETS", "MEMORY", "bucket_of", "cell", "cells_of", "clean_cell", "clean_cells", "climbed", "load"),
    *("of_sources", "version_of"),
]

BUCKETS = {"weak": (0.01, 0.035), "medium": (0.035, 0.10), "strong": (0.10, np.inf)}
AIMS = {"weak": 0.02, "medium": 0.05, "strong": 0.15}
MORE = 3  # strengths tried beside those of the ladder
WEIGHABLE = ("cnn", "custom", "forest", "linear", "boosting", "svm", "search")
MEMORY = Memory(Path(tempfile.gettempdir()) / "skcnn-benchmark-diagnosis", verbose=0)
Key = tuple[str, str, str, Any, int]  # data, cause ("" for none), model, strength (None for none), seed

skcnn.set_threads(1)  # before TensorFlow starts, once in each process


@cache
def of_sources(part: str) -> str:
    """Return a digest of the code that cases are trained with (`part` "fits"), or of the diagnosis."""
    root = Path(skcnn.__file__).parent
    if part == "diagnosis":
        files = [*sorted((root / "diagnosis").rglob("*.py")), root / "_statistics.py"]
    else:
        folders = ("_engine", "_fit", "_sklearn", "networks")
        files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
        files += [root / f"{name}.py" for name in ("estimators", "augmentation", "sampling")]
        files += [Path(module.__file__) for module in (diagnosis_data, diagnosis_models)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def version_of(cause: str) -> str:
    return f"{of_sources('fits')} {CAUSES[cause].digest() if cause else ''}"


def bucket_of(cost: float) -> str:
    return next((name for name, (low, high) in BUCKETS.items() if low <= cost < high), "harmless")


# Training -------------------------------------------------------------------------------------------------------------


@MEMORY.cache
def trained(key: Key, version: str) -> dict[str, Any]:
    """Plant the cause, train, and predict test and fresh samples; `version` tells versions of the code apart."""
    data, name, model, strength, seed = key
    samples = samples_of(data, seed)
    settings = dict(data_of(data).settings)
    if name:
        cause = CAUSES[name]
        settings |= (cause.base and cause.base(samples, cause.rng(seed))) or {}
        if strength is not None:
            settings |= cause.plant(samples, strength, cause.rng(seed + 1)) or {}
    if model not in NETWORKS:
        samples = samples.flat()
    start = time.perf_counter()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fit(model, samples, seed, **settings)
        predicted = {part: predict(fitted, getattr(samples, f"X_{part}"), samples) for part in ("test", "fresh")}
    history = fitted.history.history if isinstance(fitted, keras.Model) else None
    seconds = time.perf_counter() - start
    return {"samples": samples, "fitted": fitted, "history": history, "predicted": predicted, "seconds": seconds}


def load(key: Key) -> tuple[Samples, Any]:
    """Return samples and fitted estimator of a case."""
    kept = trained(key, version_of(key[1]))
    if kept["history"] is not None:  # a user has it, too, after `Model.fit`; a pickle drops it
        model = kept["fitted"]
        model.history = diagnosis_models.recorded(kept["history"])
        epochs = len(kept["history"]["loss"])
        model.history.params = {"epochs": epochs, "steps": int(model.optimizer.iterations) // epochs}
    return kept["samples"], kept["fitted"]


@MEMORY.cache
def cost_of(key: Key, version: str) -> dict[str, float]:
    """Measure what a cause costs in test score, or how far a leak raises it, and the standard error of that."""
    data, name, model, _, seed = key
    planted = trained(key, version)
    samples = planted["samples"]
    leak, task = CAUSES[name].leak, samples.task
    ours = (samples.y_test, planted["predicted"]["test"])
    if leak:
        theirs = (samples.y_fresh, planted["predicted"]["fresh"])
    else:
        sound = trained((data, name if CAUSES[name].base else "", model, None, seed), version_without(name))
        theirs = (sound["samples"].y_test, sound["predicted"]["test"])

    def costs(rows: np.ndarray | slice, others: np.ndarray | slice) -> float:
        mine = score(samples.y, ours[0][rows], ours[1][rows], task)
        other = score(samples.y, theirs[0][others], theirs[1][others], task)
        return mine - other if leak else other - mine

    rng, n, m = np.random.default_rng(0), len(ours[0]), len(theirs[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that a resample lacks
        again = []
        for _ in range(100):
            rows = rng.integers(0, n, n)
            again.append(costs(rows, rows if not leak and n == m else rng.integers(0, m, m)))
    test = score(samples.y, *ours, task)
    every = slice(None)
    return {"test": test, "cost": costs(every, every), "error": float(np.std(again)), "fit s": planted["seconds"]}


def version_without(name: str) -> str:
    return version_of(name if CAUSES[name].base else "")


# Diagnosis ------------------------------------------------------------------------------------------------------------


def told(finding: Any) -> dict[str, Any]:
    """Return what the tables need of a finding."""
    effect = None if finding.effect is None else float(finding.effect.value)
    return {"code": finding.code, "severity": finding.severity, "effect": effect}


@MEMORY.cache
def diagnosed(key: Key, version: str, diagnosis: str, fast: bool) -> dict[str, Any]:
    """Diagnose a trained case; `version` and `diagnosis` tell versions of the code apart."""
    samples, fitted = load(key)
    given = {
        name: getattr(samples, name.removesuffix("_train")) if name.endswith("_train") else getattr(samples, name)
        for name in ("groups_train", "groups_test", "times_train", "times_test")
    }
    start = time.perf_counter()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = diagnose(fitted, samples.X, samples.y, samples.X_test, samples.y_test, fast=fast, **given)
    return {
        "found": [told(finding) for finding in result.causes],
        "notes": [told(finding) for finding in result.notes],
        "consequences": [finding.code for finding in result.findings if finding.explained_by],
        "could not run": [one.check.code for one in result.outcomes if one.state == "could not run"],
        "seconds": time.perf_counter() - start,
    }


# Cells ----------------------------------------------------------------------------------------------------------------


def cells_of(name: str, data: list[str], models: list[str], n: int) -> list[tuple[str, str]]:
    """Choose so many pairs of data and model for a cause, as different as there are, the same ones in every run."""
    cause = CAUSES[name]
    pairs = [(one, model) for one in data for model in models if one in DATA and cause.applies(of(one), model)]
    rng = cause.rng(0)
    waiting = [pairs[i] for i in rng.permutation(len(pairs))]
    chosen: list[tuple[str, str]] = []
    while waiting and len(chosen) < n:
        used = [part for pair in chosen for part in pair]
        best = min(waiting, key=lambda pair: used.count(pair[0]) + used.count(pair[1]))  # the first of those
        waiting.remove(best)
        chosen.append(best)
    return chosen


@cache
def of(data: str) -> Samples:
    return samples_of(data, 0)


def between(lower: Any, upper: Any) -> Any:
    """Return the geometric mean of two numbers of one sign, a whole one of whole ones; None if there is none."""
    numbers = all(isinstance(value, int | float) for value in (lower, upper))
    if not numbers or lower * upper <= 0:
        return None
    middle = float(np.copysign(np.sqrt(lower * upper), lower))
    if isinstance(lower, int) and isinstance(upper, int):
        middle = round(middle)
    return middle if middle not in (lower, upper) else None


def weaker(lower: Any, upper: Any) -> Any:
    """Return what stands before these two in a row of constant ratio, within what the two allow."""
    numbers = all(isinstance(value, int | float) for value in (lower, upper))
    if not numbers or lower * upper <= 0 or isinstance(lower, int):
        return None
    return lower * lower / upper


def measured(name: str, data: str, model: str, seed: int, strength: Any) -> dict[str, Any]:
    """Return what a cause costs at one strength, and the bucket of that."""
    record = {"data": data, "cause": name, "model": model, "strength": strength, "seed": seed}
    try:
        record |= cost_of((data, name, model, strength, seed), version_of(name))
    except Exception as error:  # such as a class too small for a sampler
        return {**record, "bucket": "failed", "error": f"{type(error).__name__}: {error}"[:200]}
    significant = record["cost"] > 2 * record["error"]
    return {**record, "bucket": bucket_of(record["cost"]) if significant else "harmless"}


def climbed(name: str, data: str, model: str, seed: int) -> list[dict[str, Any]]:
    """Measure from the weakest strength on until one is strong, then what lies between for buckets without a case."""
    ladder, records = CAUSES[name].ladder, []
    for strength in ladder:
        records.append(measured(name, data, model, seed, strength))
        if records[-1].get("cost", 0) > AIMS["strong"]:
            break
    for _ in range(MORE):
        costs = [record["cost"] for record in records if record["bucket"] != "failed"]
        wanted = [aim for bucket, aim in AIMS.items() if bucket not in {record["bucket"] for record in records}]
        if not wanted or len(costs) < len(records) or max(costs) < wanted[-1]:
            break
        aim = wanted[-1]
        i = next(i for i, cost in enumerate(costs) if cost > aim)
        if i:
            strength = between(records[i - 1]["strength"], records[i]["strength"])
        else:
            strength = weaker(ladder[0], ladder[1]) if len(ladder) > 1 else None
            ladder = (strength, ladder[0])
        if strength is None:
            break
        records.insert(i, measured(name, data, model, seed, strength))
    return records


def cell(name: str, data: str, model: str, seed: int, fast: bool, only_costs: bool) -> list[dict[str, Any]]:
    """Diagnose the case of each bucket whose cost comes nearest to what the bucket stands for."""
    records, version = climbed(name, data, model, seed), version_of(name)
    if only_costs:
        return records
    for bucket, aim in AIMS.items():
        inside = [record for record in records if record["bucket"] == bucket]
        if inside:
            nearest = min(inside, key=lambda record: abs(record["cost"] - aim))
            key = (data, name, model, nearest["strength"], seed)
            nearest |= diagnosed(key, version, of_sources("diagnosis"), fast)
    return records


def clean_cells(data: list[str], models: list[str]) -> list[tuple[str, str]]:
    pairs = [(one, model) for one in data for model in models if fits(model, data_of(one).task)]
    return [(one, model) for one, model in pairs if not data_of(one).settings or model in WEIGHABLE]


def clean_cell(data: str, model: str, seed: int, fast: bool, only_costs: bool) -> list[dict[str, Any]]:
    """Diagnose a model that nothing is wrong with."""
    key = (data, "", model, None, seed)
    record = {"data": data, "cause": "", "model": model, "seed": seed, "bucket": "clean"}
    kept = trained(key, version_of(""))
    record["test"] = score(kept["samples"].y, kept["samples"].y_test, kept["predicted"]["test"], kept["samples"].task)
    return [record if only_costs else {**record, **diagnosed(key, version_of(""), of_sources("diagnosis"), fast)}]

"""Count how often a clean split is accused of a leak, of wrong labels or of a shift.

    python benchmarks/clean_splits.py --set     # the half that thresholds are set on; prints only
    python benchmarks/clean_splits.py           # the half that judges; writes its section of RESULTS.md

These checks compare simple models on both sides of a split, whatever estimator is diagnosed: a split that is unlike by
chance has all of them accused. So this counts splits: many of each data set of benchmarks/diagnosis.py, at three sizes,
with one linear model (of several labels a forest), by the checks of data, labels and split.
"""

import argparse
import warnings
from collections import Counter
from typing import Any

import numpy as np
from diagnosis_data import JUDGED, SET, Samples, available, data_of, samples_of
from joblib import Parallel, delayed
from report import markdown_table, publish
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skcnn import diagnose
from skcnn.diagnosis import CHECKS

QUESTION = "How often is a clean split accused of a leak, of wrong labels or of a shift?"
SIZES = (400, 200, 100)
GROUPS = ("leak", "labels", "test labels", "split", "shift", "preprocessing")
ASKED = {check.code for check in CHECKS if check.cause in GROUPS}


def samples_at(name: str, seed: int, n: int) -> Samples | None:
    """Return a split with at most so many samples on each side, or None if a class has hardly any of them."""
    samples = samples_of(name, seed).flat()
    for part in ("X", "y", "groups"):
        for side in (part, f"{part}_test"):
            values = getattr(samples, side)
            setattr(samples, side, None if values is None else values[:n])
    if not samples.classifies:
        return samples
    counts = np.unique(samples.y, return_counts=True)[1]
    return samples if counts.min() >= 5 and len(counts) == len(np.unique(samples.y_test)) else None


def accused(name: str, seed: int, n: int) -> dict[str, Any] | None:
    """Return of what a split is accused with severity medium or high."""
    samples = samples_at(name, seed, n)
    if samples is None:
        return None
    models = {
        "regression": make_pipeline(StandardScaler(), Ridge(3.0)),
        "multilabel": RandomForestClassifier(50, random_state=0),
    }
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = models.get(samples.task, linear).fit(samples.X, samples.y)
        found = diagnose(
            model,
            *(samples.X, samples.y, samples.X_test, samples.y_test),
            groups_train=samples.groups,
            groups_test=samples.groups_test,
            ignore={check.code for check in CHECKS} - ASKED,
            refits=0,
        )
    codes = [one.code for one in found.causes if one.severity > 1]
    failed = [one.check.code for one in found.outcomes if one.state == "could not run"]
    return {"data": name, "n": n, "codes": codes, "failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="store_true", help="the half that thresholds are set on; prints only")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=100, help="first seed (those of diagnosis.py begin at 0)")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    names = [name for name in available(SET if given.set else JUDGED) if not data_of(name).settings]
    jobs = [delayed(accused)(name, given.first + k, n) for k in range(given.seeds) for n in SIZES for name in names]
    results = []
    for one in Parallel(given.jobs, return_as="generator_unordered")(jobs):
        if one is not None:
            results.append(one)
            if one["codes"] or one["failed"]:
                print(one, flush=True)
    rows = []
    for n in SIZES:
        of = [one for one in results if one["n"] == n]
        wrongly = sum(bool(one["codes"]) for one in of)
        by_code = Counter((code, one["data"]) for one in of for code in one["codes"])
        named = ", ".join(f"{code} on {data} {k}" for (code, data), k in by_code.most_common())
        rows.append([str(n), f"{wrongly} of {len(of)} ({wrongly / len(of):.1%})", named])
    failed = sum(len(one["failed"]) for one in results)
    table = markdown_table(["samples on a side", "splits accused", "of what"], rows)
    text = f"{table}\n\nChecks that could not run: {failed}."
    publish("clean_splits", "Clean splits", QUESTION, text, only_print=given.set)


if __name__ == "__main__":
    main()

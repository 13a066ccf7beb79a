"""Ask the peers of the cases that judge the diagnosis: cleanlab's Datalab and the checks of skore.

    python benchmarks/diagnosis_peers.py --set          # the half that thresholds are set on; prints only
    python benchmarks/diagnosis_peers.py                # the half that judges; writes its section of RESULTS.md

Both are read generously: a report names a cause if any of the codes in ``MEANS`` is one of the cause's. Whatever they
report of a clean fit accuses it. Datalab is asked of the training samples (with a forest's predictions out of fold), of
the test samples (with the model's), and of both together; an issue of single samples counts where at least 5% of them
have it, one of the whole set where there is any. skore fits a clone and reports issues, and tips that say that
something is wrong; its slow checks, which refit on each column, are asked of estimators of scikit-learn with up to 100
columns. What a peer cannot take names nothing and accuses nobody; how often is in the table. Requires
``pip install "cleanlab[datalab]" skore``.

deepchecks is left out: it needs a scikit-learn older than any that skcnn runs with.
"""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
import pandas as pd
from diagnosis import arguments, codes, jobs_of, share
from diagnosis_cases import MEMORY, Key, load, version_of
from diagnosis_data import Samples
from diagnosis_models import NETWORKS, predict
from diagnosis_planting import CAUSES
from joblib import Parallel, delayed
from report import markdown_table, publish
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

QUESTION = "How many of the planted causes do other tools name, and how many clean fits do they accuse?"
LABELS = {"suspicious_labels", "test_labels", "label_encoding", "row_order", "concept_drift", "target_outliers"}
COPIES = {"duplicates", "near_duplicates", "unmarked_groups", "groups", "sampler_before_split", "conflicting_labels"}
SHIFTS = {"covariate_shift", "test_scale", "layout", "sentinel_values", "constant_inputs", "label_shift", "times"}
IMBALANCE = {"class_shares", "majority_collapse", "recall_spread", "threshold", "missing_classes", "label_shift"}
TOO_LITTLE = {"underfit", "overdone", "loss_falling", "loss_never_fell", "input_scale", "dead_units", "loss_mismatch"}
MEANS = {
    "label": LABELS | {"conflicting_labels", "no_signal", "target_unit"},
    "outlier": SHIFTS | {"input_scale", "target_outliers"},
    "near_duplicate": COPIES,
    "non_iid": SHIFTS | COPIES | {"row_order", "concept_drift"},
    "class_imbalance": IMBALANCE,
    "underperforming_group": {"recall_spread", "concept_drift", "test_labels", *SHIFTS},
    "null": {"non_finite"},
    "SKD001": {"gap", "few_rows", "overdone", "noise", "epochs_past_best", *SHIFTS, *LABELS, "batch_statistics"},
    "SKD002": TOO_LITTLE | {"no_signal", "majority_collapse", "squashed_twice", "batch_statistics"},
    "SKD004": IMBALANCE,
    "SKD005": IMBALANCE,
    "SKD009": TOO_LITTLE | {"baseline", "batch_statistics", "squashed_twice", "few_rows"},
    "SKD011": {"leak_column"},
    "SKD014": {"edge"},
}
OF_SETS = {"non_iid", "class_imbalance", "underperforming_group"}
LEAST_SHARE = 0.05
PEERS = ("Datalab", "skore")


def datalab(y: Any, task: str, X: np.ndarray, predicted: np.ndarray | None) -> set[str]:
    """Return the kinds of issues that Datalab finds in some samples."""
    from cleanlab import Datalab

    of = {"regression": "regression", "multilabel": "multilabel"}.get(task, "classification")
    lab = Datalab({"y": y}, label_name="y", task=of, verbosity=0)
    lab.find_issues(features=X, pred_probs=predicted)
    told = lab.get_issue_summary()
    counts = zip(told["issue_type"], told["num_issues"], strict=True)
    return {kind for kind, n in counts if n >= (1 if kind in OF_SETS else LEAST_SHARE * len(X))}


def asked_datalab(samples: Samples, fitted: Any) -> set[str]:
    """Return what Datalab finds in the training samples, the test samples, and both."""
    scaler = StandardScaler().fit(samples.X.reshape(len(samples.X), -1))
    X, X_test = (scaler.transform(one.reshape(len(one), -1)) for one in (samples.X, samples.X_test))
    y, y_test = samples.y, samples.y_test
    if samples.classifies:
        y, y_test = (np.searchsorted(np.unique(samples.y), one) for one in (y, y_test))
    forest = (RandomForestClassifier if samples.classifies else RandomForestRegressor)(random_state=0)
    answers = cross_val_predict(forest, X, y, method="predict_proba" if samples.classifies else "predict")
    if not samples.classifies:  # of labels a forest's means are probabilities
        theirs = predict(fitted, samples.X_test, samples)
    elif hasattr(fitted, "predict_proba"):
        theirs = np.asarray(fitted.predict_proba(samples.X_test))
    else:
        theirs = forest.fit(X, y).predict_proba(X_test)
    if samples.task == "multilabel":
        y, y_test = ([np.flatnonzero(row).tolist() for row in one] for one in (y, y_test))
    found = datalab(y, samples.task, X, answers) | datalab(y_test, samples.task, X_test, theirs)
    together = datalab([*y, *y_test], samples.task, np.r_[X, X_test], None)
    return found | (together - {"label"})


def asked_skore(samples: Samples, fitted: Any, model: str) -> set[str]:
    """Return the codes of the issues and warning tips of skore."""
    from skore import EstimatorReport

    estimator = clone(fitted)
    if model in NETWORKS and samples.X.ndim > 2:  # which take flat samples, too, as skore wants them
        estimator.set_params(input_shape=samples.X.shape[1:])
    flat = samples.flat()
    report = EstimatorReport(estimator, X_train=flat.X, y_train=flat.y, X_test=flat.X_test, y_test=flat.y_test)
    quick = model in NETWORKS or flat.X.shape[1] > 100
    every = {check.code for check in report._checks_registry}
    found, errors = set(), []
    for code in sorted(every & set(MEANS)):  # one by one, since one that fails ends all
        try:
            told = report.checks.summarize(ignore=sorted(every - {code}), fast_mode=quick).frame()
        except Exception as error:
            errors.append(error)
            continue
        row = told[told["code"] == code].iloc[0]
        worse = "significantly worse" in str(row["explanation"])
        if row["section"] == "issue" or (row["section"] == "tip" and (worse or code == "SKD011")):
            found.add(code)
    if len(errors) == len(every & set(MEANS)):
        raise errors[0]
    return found


@MEMORY.cache
def asked(key: Key, version: str, peer: str) -> set[str] | None:
    """Return what a peer reports of a case; None if it cannot take it."""
    samples, fitted = load(key)
    try:
        with threadpool_limits(1), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            if peer == "skore":
                return asked_skore(samples, fitted, key[2])
            return asked_datalab(samples, fitted)
    except Exception as error:
        print(f"{peer} cannot take {key}: {type(error).__name__}: {str(error)[:150]}", flush=True)
        return None


def records_of(job: tuple[Any, tuple[Any, ...], Any]) -> list[dict[str, Any]]:
    """Return the diagnosed cases of a cell, with what peers report of them."""
    function, given, _ = job
    found = []
    for record in function(*given):
        if record.get("found") is None:
            continue
        key = (record["data"], record["cause"], record["model"], record.get("strength"), record["seed"])
        found.append(record | {peer: asked(key, version_of(record["cause"]), peer) for peer in PEERS})
    return found


def answer(frame: pd.DataFrame) -> str:
    """Return the table: hits and false alarms of each tool on the same cases."""
    meant = {
        "skcnn.diagnose": frame["found"].map(lambda found: set(codes(found))),
        "skcnn.diagnose, severity 2 and 3": frame["found"].map(
            lambda found: {one["code"] for one in found if one["severity"] > 1}
        ),
    }
    for peer in PEERS:
        meant[peer] = frame[peer].map(lambda found: set().union(*(MEANS.get(code, {code}) for code in found or ())))
    meant["both peers together"] = pd.Series([a | b for a, b in zip(*(meant[peer] for peer in PEERS), strict=True)])
    causes = [CAUSES[name].codes if name else None for name in frame["cause"]]
    rows = []
    for tool, found in meant.items():
        hit = [bool(wanted & one) if wanted else bool(one) for wanted, one in zip(causes, found, strict=True)]
        with_hits = frame.assign(hit=hit)
        costly = with_hits[with_hits["bucket"].isin(["medium", "strong"])]
        missing = f"{frame[tool].isna().sum()}" if tool in frame else ""
        rows.append([tool, share(costly, "hit"), share(with_hits[with_hits["bucket"] == "clean"], "hit"), missing])
    header = ["", "causes of medium and strong cost that it names [95%]", "clean fits that it accuses [95%]"]
    return markdown_table([*header, "cases that it cannot take"], rows)


def main() -> None:
    given = arguments(__doc__)
    records: list[dict[str, Any]] = []
    for done in Parallel(n_jobs=given.jobs, return_as="generator_unordered")(
        delayed(records_of)(job) for job in jobs_of(given)
    ):
        records += done
        for one in done:
            place = f"{one['cause'] or 'clean'} | {one['data']} {one['model']}"
            print(f"{place} | {codes(one['found'])} | {[one[peer] for peer in PEERS]}", flush=True)
    publish(
        "diagnosis_peers",
        "Diagnosis and its peers",
        QUESTION,
        answer(pd.DataFrame(records)),
        only_print=bool(given.set or given.causes or given.data or given.models or given.only),
        packages=("skcnn", "scikit-learn", "cleanlab", "skore"),
    )


if __name__ == "__main__":
    main()

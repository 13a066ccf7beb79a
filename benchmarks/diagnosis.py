"""Count how often the diagnosis names the causes that were planted, and causes where there are none.

    python benchmarks/diagnosis.py --set                    # the half that thresholds are set on; prints only
    python benchmarks/diagnosis.py --set --causes a,b --data x,y --models cnn --jobs 2
    python benchmarks/diagnosis.py                          # the half that judges; writes its section of RESULTS.md
    python benchmarks/diagnosis.py --later                  # clean fits of neither half; writes a section of its own

Data sets and causes are dealt once to two halves: thresholds, cures and defaults are set on one, and judged on the
other. A cause is planted in data and settings at several strengths; each case stands for what the cause costs there:
the test score of the same estimator without the cause minus that with it or, for a leak, the test score minus the score
on fresh samples. Weak: 1 to 3.5 points, medium: to 10, strong: above. Of each cell (cause, data, estimator) the case
nearest to 2, 5 and 15 points is diagnosed; a cost below 1 point, or below two standard errors, is no cause, and is not
counted. The score is accuracy (balanced, if the largest class has five times the samples of the rarest), R2 or the mean
accuracy of labels.

A cause counts as named if one of its codes is among the causes found, and as named first if one is the first. Intervals
are percentiles of a bootstrap over cells, those of clean fits over data sets.

Data of packages that are not installed is left out (extra ``bench-data``). Finished cases are kept in the folder for
temporary files: trained ones until the code changes that trains them, diagnoses until that of the diagnosis does.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from diagnosis_cases import cell, cells_of, clean_cell, clean_cells
from diagnosis_data import CLEAN_ONLY, DATA, JUDGED, LATER, SET, available
from diagnosis_models import MODELS
from diagnosis_planting import CAUSES, cause_halves
from joblib import Parallel, delayed
from report import markdown_table, publish

from skcnn.diagnosis import CHECKS

QUESTION = "Does the diagnosis name the cause that was planted, and nothing on clean data?"
OF_LATER = "Does the diagnosis find nothing on clean data that were added when both halves had been looked at?"
LABELS = {"suspicious_labels", "test_labels", "label_encoding", "row_order", "concept_drift", "conflicting_labels"}
LEAKS = {code for cause in CAUSES.values() if cause.leak for code in cause.codes}


# Tables ---------------------------------------------------------------------------------------------------------------


def share(frame: pd.DataFrame, column: str) -> str:
    """Return the share of cases with a 95% interval from a bootstrap over cells or, if all are clean, over data."""
    if not len(frame):
        return "none"
    by = ["data"] if (frame["bucket"] == "clean").all() else ["cause", "data", "model"]
    cells = frame.groupby(by)[column].agg(["sum", "count"]).to_numpy(float)
    drawn = cells[np.random.default_rng(0).integers(0, len(cells), (2000, len(cells)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return f"{frame[column].mean():.0%} [{low:.0%}, {high:.0%}] of {len(frame)}"


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [one["code"] for one in found]


def shown(found: Any) -> str:
    """Return findings as text: code, severity, effect."""
    if not isinstance(found, list):
        return "not diagnosed"
    effects = (f"{one['effect']:+.3f}" if one["effect"] is not None else "" for one in found)
    return (
        " ".join(f"{one['code']}{one['severity']}{effect}" for one, effect in zip(found, effects, strict=True)) or "-"
    )


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """Add to the planted cases that were diagnosed whether the cause was named, first, and beside how many others."""
    frame = frame[frame["found"].map(lambda found: isinstance(found, list))].copy()
    pairs = list(zip(frame["cause"], frame["found"].map(codes), strict=True))
    frame["named"] = [bool(CAUSES[name].codes & set(found)) for name, found in pairs]
    frame["first"] = [bool(CAUSES[name].codes & set(found[:1])) for name, found in pairs]
    frame["others"] = [len(set(found) - CAUSES[name].codes) for name, found in pairs]
    return frame


def by_bucket(frame: pd.DataFrame) -> str:
    groups = {name: frame[frame["bucket"] == name] for name in ("weak", "medium", "strong")}
    groups["medium and strong"] = frame[frame["bucket"] != "weak"]
    rows = [
        [name, share(group, "named"), share(group, "first"), f"{group['others'].mean():.1f}"]
        for name, group in groups.items()
    ]
    return markdown_table(["cost", "named [95%]", "first [95%]", "other causes found"], rows)


def by_cause(frame: pd.DataFrame) -> str:
    rows = []
    for name, group in frame.groupby("cause", sort=False):
        counts = []
        for bucket in ("weak", "medium", "strong"):
            of = group[group["bucket"] == bucket]
            counts.append(f"{of['named'].sum()} / {of['first'].sum()} of {len(of)}" if len(of) else "")
        missed = group[~group["named"]]["found"].map(codes)
        instead = Counter(code for found in missed for code in found or ["nothing"])
        others = ", ".join(f"{code} {k}" for code, k in instead.most_common(4))
        rows.append([str(name), *counts, others])
    return markdown_table(["planted", "weak", "medium", "strong", "found where it was missed"], rows)


def by_column(frame: pd.DataFrame, column: str) -> str:
    rows = [[str(name), share(group, "named"), share(group, "first")] for name, group in frame.groupby(column)]
    return markdown_table([column, "named [95%]", "first [95%]"], rows)


def accused(clean: pd.DataFrame) -> pd.Series:
    """Return the codes that each clean fit is accused of with severity medium or high."""
    return clean["found"].map(lambda found: {one["code"] for one in found if one["severity"] > 1})


def in_clean(clean: pd.DataFrame) -> str:
    of = accused(clean)
    wrongly = of.map(lambda found: bool(found & (LEAKS | LABELS))).sum()
    shares = share(clean.assign(accused=of.map(bool)), "accused")
    return f"Accused with severity medium or high: {shares}; of a leak or wrong labels: {wrongly}."


def by_data(clean: pd.DataFrame) -> str:
    """Return for each data set how many clean fits are accused, and of what."""
    rows = []
    for data, group in clean.groupby("data", sort=False):
        of = accused(group)
        counts = Counter(code for found in of for code in found)
        named = ", ".join(f"{code} {k}" for code, k in counts.most_common())
        rows.append([str(data), f"{of.map(bool).sum()} of {len(group)}", named])
    return markdown_table(["data", "clean fits accused", "of what"], rows)


def by_check(planted: pd.DataFrame, clean: pd.DataFrame) -> str:
    """Return for each check in how many cases it names the cause itself, and how many clean fits it accuses."""
    planted = planted[planted["bucket"] != "weak"]
    wrongly = Counter(code for found in accused(clean) for code in found)
    rows = []
    for code in sorted(check.code for check in CHECKS):
        of = planted[planted["cause"].map(lambda cause, code=code: code in CAUSES[cause].codes)]
        named = of["found"].map(lambda found, code=code: code in codes(found)).sum()
        rows.append([code, f"{named} of {len(of)}" if len(of) else "", f"{wrongly[code]} of {len(clean)}"])
    return markdown_table(["check", "names causes of medium and strong cost", "accuses clean fits"], rows)


def answer(frame: pd.DataFrame, half: str) -> str:
    """Return all tables of a half."""
    parts = []
    clean, planted = frame[frame["bucket"] == "clean"], frame[frame["bucket"] != "clean"]
    if len(planted):
        counts = planted["bucket"].value_counts()
        left_out = f"harmless and left out: {counts.get('harmless', 0)}; failed: {counts.get('failed', 0)}"
        parts.append(f"{planted['cause'].nunique()} causes of the {half} half, {len(planted)} cases; {left_out}.")
    if "found" in frame and len(planted) and len(planted := judged(planted)):
        seconds = planted["seconds"].quantile([0.5, 0.9])
        failed = Counter(code for missing in planted["could not run"] for code in missing)
        parts += [
            f"A diagnosis takes {seconds[0.5]:.1f} s (median; 90%: {seconds[0.9]:.1f} s). "
            f"Checks that could not run: {dict(failed) or 'none'}.",
            by_bucket(planted),
            by_cause(planted),
            by_column(planted, "model"),
            by_column(planted, "data"),
        ]
    if "found" in frame and len(clean):
        parts += [f"### Clean\n\n{in_clean(clean)}"] if len(planted) else [in_clean(clean), by_data(clean)]
        if len(planted):
            alone = "Most causes may be named by one of several checks; here each stands for itself."
            parts += ["### By check", alone, by_check(planted, clean)]
    return "\n\n".join(parts)


# Runs -----------------------------------------------------------------------------------------------------------------


def listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def chosen(what: str, names: list[str], among: list[str]) -> list[str]:
    """Return those of `among` that were asked for (a part of the name is enough), all if none were."""
    found = [name for name in among if not names or any(asked in name for asked in names)]
    if not found:
        raise SystemExit(f"No {what} of this half is like {names}; there are {among}.")
    return found


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--set", action="store_true", help="the half that thresholds are set on; prints only")
    which.add_argument("--later", action="store_true", help="clean fits on data of neither half")
    for name in ("causes", "data", "models"):
        parser.add_argument(f"--{name}", type=listed, default=[], help="only these, parts of names, comma between")
    parser.add_argument("--only", choices=("planted", "clean"), help="leave the others out")
    parser.add_argument("--cells", type=int, default=4, help="pairs of data and model for each cause")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--clean-seeds", type=int, help="default: 1, or 2 in the half that judges")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="diagnose with fast=True")
    parser.add_argument("--costs", action="store_true", help="train and measure costs, do not diagnose")
    given = parser.parse_args()
    given.clean_seeds = given.clean_seeds or (1 if given.set or given.later else 2)
    return given


def jobs_of(given: argparse.Namespace) -> list[Any]:
    """Return the cells to run, as joblib has them."""
    half = 0 if given.set else 1
    data = available(chosen("data", given.data, list(LATER) if given.later else (SET, JUDGED)[half]))
    models = chosen("model", given.models, list(MODELS))
    jobs = []
    if given.only != "clean" and not given.later:
        for name in chosen("cause", given.causes, cause_halves()[half]):
            jobs += [
                delayed(cell)(name, *pair, seed, given.fast, given.costs)
                for pair in cells_of(name, data, models, given.cells)
                for seed in range(given.seeds)
            ]
    if given.only != "planted" and not given.causes:
        jobs += [
            delayed(clean_cell)(*pair, seed, given.fast, given.costs)
            for pair in clean_cells(data, models)
            for seed in range(given.clean_seeds)
        ]
    return jobs


def line(record: dict[str, Any]) -> str:
    """Return a case in one line."""
    place = f"{record['cause'] or 'clean'} | {record['data']} {record['model']} {record['seed']}"
    if record["bucket"] == "failed":
        return f"{place} | {record['strength']} failed: {record['error']}"
    if record["bucket"] != "clean":
        place += f" | {record['strength']} costs {record['cost']:+.3f} ({record['bucket']})"
    notes = f" | notes: {shown(record['notes'])}" if record.get("notes") else ""
    found = record.get("found")
    named = "" if not isinstance(found, list) or not record["cause"] else ("NAMED " if named_in(record) else "MISSED ")
    return f"{place} | test {record['test']:.3f} | {named}{shown(found)}{notes} | {record.get('seconds', 0):.1f} s"


def named_in(record: dict[str, Any]) -> bool:
    return bool(CAUSES[record["cause"]].codes & set(codes(record["found"])))


def main() -> None:
    given = arguments(__doc__)
    half = "set" if given.set else "later" if given.later else "judged"
    missing = [name for name in (*DATA, *CLEAN_ONLY, *LATER) if name not in available([name])]
    if missing:
        print(f"Left out, since their packages are not installed: {', '.join(missing)}.", flush=True)
    jobs, records, start = jobs_of(given), [], time.perf_counter()
    print(f"{len(jobs)} cells.", flush=True)
    for done in Parallel(n_jobs=given.jobs, return_as="generator_unordered")(jobs):
        records += done
        for record in done:
            print(line(record), flush=True)
    kept = Path(tempfile.gettempdir()) / f"skcnn-benchmark-diagnosis-{half}.jsonl"
    kept.write_text("\n".join(json.dumps(record, default=str) for record in records), encoding="utf-8")
    scale = f"Options: --cells {given.cells} --seeds {given.seeds} --clean-seeds {given.clean_seeds}."
    text = f"{scale}\n\n{answer(pd.DataFrame(records), half)}"
    print(f"{time.perf_counter() - start:.0f} s; cases in {kept}\n", flush=True)
    some = given.set or given.causes or given.data or given.models or given.only or given.costs
    if given.later:
        publish("diagnosis_later", "Diagnosis of clean fits", OF_LATER, text, only_print=some)
    else:
        publish("diagnosis", "Diagnosis", QUESTION, text, only_print=some)


if __name__ == "__main__":
    main()

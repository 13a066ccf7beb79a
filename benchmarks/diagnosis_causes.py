"""Causes that lie in the samples: wrong targets, leaks across the split, shifts, inputs."""

from typing import Any

import numpy as np
from diagnosis_data import Samples
from diagnosis_models import NETWORKS
from diagnosis_planting import (
    CLASSES,
    NOT_TABLES,
    add_noise,
    cause,
    main_direction,
    noisy,
    replanted,
    spread,
    thin,
    wrong,
)
from imblearn.over_sampling import SMOTE, RandomOverSampler
from scipy.ndimage import gaussian_filter1d, zoom
from sklearn.model_selection import train_test_split

Rng = np.random.Generator
SHIFTS = {"covariate_shift"}
SCALES = {"test_scale", "covariate_shift"}
COPIES = {"near_duplicates", "unmarked_groups", "duplicates"}
TEST_LABELS = {"test_labels", "concept_drift"}


def has_channels(samples: Samples) -> bool:
    return samples.X.ndim > 2 and samples.X.shape[-1] > 1


def some(n: int, share: float, rng: Rng) -> np.ndarray:
    return rng.permutation(n)[: max(1, round(share * n))]


# Targets of the training samples --------------------------------------------------------------------------------------


@cause("wrong labels", {"suspicious_labels"}, (0.1, 0.2, 0.35, 0.5), tasks=CLASSES, family="labels", curable=True)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.y = wrong(samples.y, some(len(samples.y), strength, rng), rng)


@cause("one class labelled as another", {"suspicious_labels"}, (0.3, 0.6, 0.9), tasks=CLASSES, family="labels")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = np.flatnonzero(samples.y == 0)
    samples.y = samples.y.copy()
    samples.y[rows[some(len(rows), strength, rng)]] = 1


@cause(
    "wrong labels of samples that are alike",
    {"suspicious_labels", "concept_drift", "test_labels"},
    (0.1, 0.2, 0.4),
    tasks=CLASSES,
    family="labels",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    place = main_direction(samples.X, samples.X)
    samples.y = wrong(samples.y, np.flatnonzero(place > np.quantile(place, 1 - strength)), rng)


@cause("shuffled training targets", {"no_signal", "suspicious_labels", "row_order"}, (0.5, 0.8, 1.0), family="labels")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y), strength, rng)
    samples.y = samples.y.copy()
    samples.y[rows] = samples.y[rng.permutation(rows)]


@cause(
    "equal samples, other labels",
    {"conflicting_labels", "suspicious_labels"},
    (0.2, 0.5, 1.0),
    tasks=CLASSES,
    family="labels",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y), strength, rng)
    samples.X = np.concatenate([samples.X, samples.X[rows]])
    samples.y = np.concatenate([samples.y, wrong(samples.y, rows, rng)[rows]])


@cause("outliers among training targets", {"target_outliers"}, (5, 20, 100, 1000), tasks=["regression"])
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y), 0.02, rng)
    samples.y = samples.y.copy()
    samples.y[rows] = samples.y.mean() + strength * samples.y.std()


@cause(
    "one-hot targets as labels",
    {"one_hot_target"},
    (1,),
    tasks=["multiclass"],
    on=["cnn", "custom", "forest", "mlp"],
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = np.eye(len(np.unique(samples.y)), dtype=int)
    samples.y, samples.y_test, samples.y_fresh = rows[samples.y], rows[samples.y_test], rows[samples.y_fresh]


# Targets of the test samples ------------------------------------------------------------------------------------------


@cause("wrong test targets", TEST_LABELS, (0.04, 0.08, 0.25), family="test labels")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.y_test = wrong(samples.y_test, some(len(samples.y_test), strength, rng), rng)


@cause("a class of the test samples labelled as another", TEST_LABELS, (0.2, 0.5, 0.9), tasks=CLASSES, family="drift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = np.flatnonzero(samples.y_test == 0)
    samples.y_test = samples.y_test.copy()
    samples.y_test[rows[some(len(rows), strength, rng)]] = 1


@cause("another rule in a region", {*TEST_LABELS, "target_unit"}, (0.05, 0.12, 0.3), family="drift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    place = main_direction(samples.X_test, samples.X)
    rows = np.flatnonzero(place > np.quantile(place, 1 - strength))
    samples.y_test = samples.y_test.copy()
    if samples.task == "regression":
        samples.y_test[rows] += 1.2 * samples.y.std()
    elif samples.task == "multilabel":
        samples.y_test[rows, 0] = 1 - samples.y_test[rows, 0]
    else:
        classes = np.unique(samples.y)
        samples.y_test[rows] = classes[(np.searchsorted(classes, samples.y_test[rows]) + 1) % len(classes)]


@cause("another rule after a time", TEST_LABELS, (0.05, 0.12, 0.3), tasks=CLASSES, family="drift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    n, n_test = len(samples.y), len(samples.y_test)
    samples.times, samples.times_test = np.arange(n), np.arange(n, n + n_test)
    late = np.arange(n_test) > n_test * (1 - strength)
    classes = np.unique(samples.y)
    after = classes[(np.searchsorted(classes, samples.y_test) + 1) % len(classes)]
    samples.y_test = np.where(late, after, samples.y_test)


@cause("test classes numbered in another order", {"label_encoding"}, (2, 3, 99), tasks=CLASSES, family="encoding")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    classes = np.unique(samples.y)
    order = np.arange(len(classes))
    moved = rng.permutation(order)[:strength]
    order[moved] = np.roll(moved, 1)
    samples.y_test = classes[order[np.searchsorted(classes, samples.y_test)]]


@cause("test labels in another order", {"label_encoding"}, (2, 3, 99), tasks=["multilabel"], family="encoding")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    order = np.arange(samples.y.shape[1])
    moved = rng.permutation(order)[:strength]
    order[moved] = np.roll(moved, 1)
    samples.y_test = samples.y_test[:, order]


@cause("test targets one row further", {"row_order", *TEST_LABELS}, (0.04, 0.15, 1.0), family="rows")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    first = round(len(samples.y_test) * (1 - strength))
    samples.y_test = np.concatenate([samples.y_test[:first], np.roll(samples.y_test[first:], 1, axis=0)])


@cause("shuffled test targets", {"row_order", *TEST_LABELS}, (0.05, 0.15, 1.0), family="rows")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), strength, rng)
    samples.y_test = samples.y_test.copy()
    samples.y_test[rows] = samples.y_test[rng.permutation(rows)]


@cause("test targets times a factor", {"target_unit"}, (1.15, 1.3, 2.54), tasks=["regression"], family="unit")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.y_test = samples.y_test * strength


@cause("test targets with an offset", {"target_unit"}, (0.15, 0.25, 0.5), tasks=["regression"], family="unit")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.y_test = samples.y_test + strength * samples.y.std()


@cause("test targets in logarithms", {"target_unit"}, (8.0, 3.0, 0.5), tasks=["regression"], family="unit")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    least = min(samples.y.min(), samples.y_test.min(), samples.y_fresh.min())
    samples.y, samples.y_test, samples.y_fresh = (
        y - least + strength for y in (samples.y, samples.y_test, samples.y_fresh)
    )
    # Of the order of the targets, as where thousands are logged: the more bent, the nearer they come to 0.
    samples.y_test = np.log(samples.y_test) * samples.y.mean() / np.log(samples.y).mean()


@cause("outliers among test targets", {"target_outliers"}, (3, 5, 20), tasks=["regression"])
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), 0.01, rng)
    samples.y_test = samples.y_test.copy()
    samples.y_test[rows] = samples.y.mean() + strength * samples.y.std()


# Leaks across the split -----------------------------------------------------------------------------------------------


def again(samples: Samples, share: float, rng: Rng, change: Any) -> None:
    """Replace a share of the test samples with changed copies of training samples."""
    n = min(round(share * len(samples.y_test)), len(samples.y))
    rows, places = rng.permutation(len(samples.y))[:n], rng.permutation(len(samples.y_test))[:n]
    samples.X_test, samples.y_test = samples.X_test.copy(), samples.y_test.copy()
    samples.X_test[places], samples.y_test[places] = change(samples.X[rows]), samples.y[rows]


@cause("duplicates across the split", {"duplicates"}, (0.1, 0.3, 0.8), leak=True, base=noisy, family="copies")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    again(samples, strength, rng, lambda X: X)


@cause(
    "near duplicates across the split",
    {"near_duplicates", "unmarked_groups"},
    (0.1, 0.3, 0.8),
    leak=True,
    base=noisy,
    family="copies",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    again(samples, strength, rng, lambda X: add_noise(X, 0.03, samples.X, rng))


@cause(
    "brightened copies across the split",
    {"near_duplicates", "unmarked_groups"},
    (0.1, 0.3, 0.8),
    kinds=NOT_TABLES,
    leak=True,
    base=noisy,
    family="copies",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    again(samples, strength, rng, lambda X: X * rng.uniform(0.9, 1.1, (len(X), *[1] * (X.ndim - 1))))


@cause("several samples of one subject", COPIES, (0.6, 0.3, 0.1), leak=True, base=noisy, family="groups")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    of = samples.X
    replanted(samples, lambda X, i: add_noise(X, strength, of, rng), 4, rng)
    samples.groups = samples.groups_test = None


@cause("windows that overlap", COPIES, (2, 4, 8), kinds=["series", "spectra"], leak=True, base=noisy, family="groups")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    replanted(samples, lambda X, i: np.roll(X, i, axis=1), strength, rng)
    samples.groups = samples.groups_test = None


@cause("augmented before the split", COPIES, (2, 4, 8), kinds=["images"], leak=True, base=noisy, family="groups")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    of = samples.X
    shifts = [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, -1), (1, -1)]
    replanted(samples, lambda X, i: add_noise(np.roll(X, shifts[i], axis=(1, 2)), 0.1, of, rng), strength, rng)
    samples.groups = samples.groups_test = None


@cause("groups on both sides", {"groups", *COPIES}, (0.6, 0.3, 0.1), leak=True, base=noisy, family="groups")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    of = samples.X
    replanted(samples, lambda X, i: add_noise(X, strength, of, rng), 4, rng)


@cause("times on both sides", {"times", *COPIES}, (0.6, 0.3, 0.1), leak=True, base=noisy, family="groups")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    of = samples.X
    replanted(samples, lambda X, i: add_noise(X, strength, of, rng), 4, rng)
    groups = samples.groups, samples.groups_test
    samples.times, samples.times_test = (part + rng.uniform(0, 0.9, len(part)) for part in groups)
    samples.groups = samples.groups_test = None


def sampled(samples: Samples, n_rare: int, rng: Rng, sampler: Any) -> None:
    X, y = thin(*samples.both(), n_rare, rng)
    made, labels = sampler.fit_resample(X.reshape(len(X), -1), y)
    split = train_test_split(made.reshape(-1, *X.shape[1:]), labels, random_state=n_rare, stratify=labels)
    samples.X, samples.X_test, samples.y, samples.y_test = split


@cause(
    "SMOTE before the split",
    {"sampler_before_split", "near_duplicates", "unmarked_groups"},
    (60, 25, 10),
    tasks=CLASSES,
    leak=True,
    base=noisy,
    family="sampler",
)
def _(samples: Samples, strength: int, rng: Rng) -> None:
    sampled(samples, strength, rng, SMOTE(k_neighbors=5, random_state=0))


@cause(
    "oversampling before the split",
    {"sampler_before_split", "duplicates"},
    (60, 25, 10),
    tasks=CLASSES,
    leak=True,
    base=noisy,
    family="sampler",
)
def _(samples: Samples, strength: int, rng: Rng) -> None:
    sampled(samples, strength, rng, RandomOverSampler(random_state=0))


def hint(y: np.ndarray, noise: float, rng: Rng) -> np.ndarray:
    """Return the target, standardised, under noise."""
    return (y - y.mean()) / y.std() + rng.normal(scale=noise, size=len(y))


def with_hint(X: np.ndarray, values: np.ndarray, of: np.ndarray, where: str) -> np.ndarray:
    """Write values as one more column, into the first step or pixel, or as one more channel."""
    if X.ndim == 2:
        return np.hstack([X, values[:, None]])
    if where == "channel":
        return np.concatenate([X, np.broadcast_to(values.reshape(-1, *[1] * (X.ndim - 1)), (*X.shape[:-1], 1))], -1)
    X = X.copy()
    X.reshape(len(X), -1)[:, 0] = of.mean() + 1.5 * values * of.std()
    return X


def leaking(samples: Samples, noise: float, rng: Rng, where: str, in_test: bool) -> None:
    of, n_test, n_fresh = samples.X, len(samples.y_test), len(samples.y_fresh)
    samples.X = with_hint(samples.X, hint(samples.y, noise, rng), of, where)
    told = hint(samples.y_test, noise, rng)
    samples.X_test = with_hint(samples.X_test, told if in_test else rng.permutation(told)[:n_test], of, where)
    untold = rng.permutation(hint(samples.y_fresh, noise, rng))[:n_fresh]
    samples.X_fresh = with_hint(samples.X_fresh, untold, of, where)


ONE = ("binary", "regression")


@cause("a column that leaks", {"leak_column"}, (0.6, 0.25, 0.05), kinds=["tables"], tasks=ONE, leak=True, base=noisy)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    leaking(samples, strength, rng, "pixel", in_test=True)


@cause(
    "a pixel or step that leaks",
    {"leak_column"},
    (0.6, 0.25, 0.05),
    kinds=NOT_TABLES,
    tasks=(*CLASSES, "regression"),
    leak=True,
    base=noisy,
    family="leak",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    leaking(samples, strength, rng, "pixel", in_test=True)


@cause(
    "a channel that leaks",
    {"leak_column"},
    (0.6, 0.25, 0.05),
    kinds=NOT_TABLES,
    tasks=(*CLASSES, "regression"),
    leak=True,
    base=noisy,
    family="leak",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    leaking(samples, strength, rng, "channel", in_test=True)


@cause(
    "a hint in the training samples alone",
    {"leak_column", *SHIFTS},
    (0.8, 0.4, 0.05),
    tasks=(*CLASSES, "regression"),
    base=noisy,
    family="leak",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    leaking(samples, strength, rng, "channel", in_test=False)


# Shares of classes ----------------------------------------------------------------------------------------------------


@cause("classes missing in training", {"missing_classes"}, (0.03, 0.08, 0.2), tasks=CLASSES)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), strength, rng)
    samples.y_test = samples.y_test.copy()
    samples.y_test[rows] = samples.y.max() + 1
    samples.X_test = samples.X_test.copy()
    samples.X_test[rows] = samples.X_test[rows][:, ::-1]


@cause("other class shares in the test samples", {"label_shift"}, (0.5, 0.2, 0.0), tasks=CLASSES, base=noisy)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    """Keep all of the class that training has least of, and fewer of the others; training has few of it."""
    rare = samples.y.max()
    samples.X, samples.y = thin(samples.X, samples.y, max(5, len(samples.y) // 30), rng)
    kept = (samples.y_test == rare) | (rng.uniform(size=len(samples.y_test)) < strength + 0.1)
    samples.X_test, samples.y_test = samples.X_test[kept], samples.y_test[kept]


@cause(
    "a thinned class",
    {"class_shares", "majority_collapse", "recall_spread", "threshold", "few_rows"},
    (30, 15, 6),
    tasks=CLASSES,
    base=noisy,
    curable=True,
)
def _(samples: Samples, strength: int, rng: Rng) -> None:
    samples.X, samples.y = thin(samples.X, samples.y, strength, rng)


# Shifts ---------------------------------------------------------------------------------------------------------------


@cause("test samples times a factor", SCALES, (1.2, 1.5, 2.0, 16.0), family="scale")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = samples.X_test * strength


@cause("test samples with an offset", SCALES, (0.2, 0.5, 1.0, 3.0), family="scale")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = samples.X_test + strength * spread(samples.X)


@cause("some columns in another unit", SCALES, (0.3, 0.6, 2.54), kinds=["tables"], family="scale")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    of = rng.permutation(samples.X.shape[1])[: max(1, samples.X.shape[1] // 3)]
    samples.X_test = samples.X_test.copy()
    samples.X_test[:, of] *= 1 + strength


@cause("half of the sample brighter", SCALES, (0.4, 0.8, 1.5, 3.0), kinds=NOT_TABLES, family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = samples.X_test.copy()
    samples.X_test[:, : samples.X.shape[1] // 2] += strength * spread(samples.X)


@cause("noise of another sensor", SHIFTS, (0.2, 0.4, 0.8, 1.5), family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = add_noise(samples.X_test, strength, samples.X, rng)


@cause("blurred test samples", SHIFTS, (0.5, 0.8, 1.3, 2.5), kinds=NOT_TABLES, family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    for axis in range(1, samples.X.ndim - 1):
        samples.X_test = gaussian_filter1d(samples.X_test, strength, axis=axis)


@cause("another interpolation", SHIFTS, (0.75, 0.5, 0.3), kinds=NOT_TABLES, family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    sizes = samples.X.shape[1:-1]
    small = zoom(samples.X_test, (1, *[round(n * strength) / n for n in sizes], 1), order=1)
    back = [n / m for n, m in zip(sizes, small.shape[1:-1], strict=True)]
    samples.X_test = zoom(small, (1, *back, 1), order=1)


@cause(
    "channels in another order in some",
    {*SHIFTS, "layout"},
    (0.15, 0.4, 1.0),
    kinds=["images", "series"],
    needs=has_channels,
    family="shift",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), strength, rng)
    samples.X_test = samples.X_test.copy()
    samples.X_test[rows] = samples.X_test[rows][..., ::-1]


@cause("another contrast", SCALES, (0.7, 0.5, 0.3, 0.1), kinds=["images", "spectra"], family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    middle = samples.X.mean()
    samples.X_test = middle + strength * (samples.X_test - middle)


@cause("a baseline", SCALES, (0.3, 0.8, 2.0, 5.0), kinds=["spectra", "series"], family="shift")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    slope = np.linspace(-1, 1, samples.X.shape[1])[:, None]
    samples.X_test = samples.X_test + strength * slope * spread(samples.X)


@cause("shifted along the axis", {*SHIFTS, "layout"}, (1, 3, 6), kinds=["spectra", "series"], family="shift")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    samples.X_test = np.roll(samples.X_test, strength, axis=1)


@cause(
    "sensors that fail in the test samples",
    {*SCALES, "constant_inputs", "sentinel_values"},
    (0.1, 0.25, 0.5),
    family="shift",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    flat = samples.X_test.reshape(len(samples.X_test), -1).copy()
    flat[:, : max(1, round(strength * flat.shape[1]))] = 0.0
    samples.X_test = flat.reshape(samples.X_test.shape)


@cause("test samples from one region", {*SHIFTS, "label_shift"}, (0.5, 0.3, 0.15), family="shift", base=noisy)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    """Train on one side, test on the other."""
    place, place_test = main_direction(samples.X, samples.X), main_direction(samples.X_test, samples.X)
    kept = place < np.quantile(place, 0.4 + strength)
    test = place_test > np.quantile(place_test, 0.6)
    if samples.classifies:  # each class stays
        kept |= rng.uniform(size=len(kept)) < 0.1
    samples.X, samples.y = samples.X[kept], samples.y[kept]
    samples.X_test, samples.y_test = samples.X_test[test], samples.y_test[test]


# Layout and inputs ----------------------------------------------------------------------------------------------------


@cause("transposed test images", {"layout", *SHIFTS}, (0.15, 0.4, 1.0), kinds=["images"], family="layout")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), strength, rng)
    samples.X_test = samples.X_test.copy()
    samples.X_test[rows] = samples.X_test[rows].swapaxes(1, 2)


@cause("test samples the other way round", {"layout", *SHIFTS}, (0.15, 0.4, 1.0), kinds=NOT_TABLES, family="layout")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    rows = some(len(samples.y_test), strength, rng)
    samples.X_test = samples.X_test.copy()
    samples.X_test[rows] = samples.X_test[rows][:, ::-1]


@cause(
    "test samples flattened in another order",
    {"layout", *SHIFTS},
    (1,),
    kinds=["images", "series"],
    needs=lambda samples: samples.X.ndim == 4 or has_channels(samples),
    family="layout",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    X = np.moveaxis(samples.X_test, -1, 1) if has_channels(samples) else samples.X_test.swapaxes(1, 2)
    samples.X_test = X.reshape(samples.X_test.shape)


@cause("columns in another order", {"layout", *SCALES}, (2, 4, 99), kinds=["tables"], family="layout")
def _(samples: Samples, strength: int, rng: Rng) -> None:
    order = np.arange(samples.X.shape[1])
    moved = rng.permutation(order)[:strength]
    order[moved] = np.roll(moved, 1)
    samples.X_test = samples.X_test[:, order]


@cause(
    "channels first",
    {"layout"},
    (1,),
    kinds=["images", "series"],
    on=NETWORKS,
    needs=has_channels,
    family="layout",
    base=noisy,
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.every(lambda X: np.moveaxis(X, -1, 1))


@cause(
    "images without a channel axis",
    {"layout"},
    (1,),
    kinds=["images"],
    on=NETWORKS,
    needs=lambda samples: samples.X.shape[-1] == 1,
    family="layout",
    base=noisy,
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.every(lambda X: X[..., 0])


def marked(X: np.ndarray, share: float, rng: Rng) -> np.ndarray:
    return np.where(rng.uniform(size=X.shape) < share, -999.0, X)


@cause(
    "-999 where values are missing",
    {"sentinel_values", "input_scale"},
    (0.02, 0.1, 0.3),
    kinds=["tables", "spectra", "series"],
    family="sentinel",
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.every(lambda X: marked(X, strength, rng))


@cause("-999 in the test samples", {"sentinel_values", *SCALES}, (0.002, 0.01, 0.1), family="sentinel")
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = marked(samples.X_test, strength, rng)


@cause(
    "values missing in the test samples",
    {"non_finite", *SHIFTS},
    (0.05, 0.15, 0.5),
    on=["boosting", "forest"],
    tasks=(*CLASSES, "regression"),
)
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X_test = np.where(rng.uniform(size=samples.X_test.shape) < strength, np.nan, samples.X_test)


@cause("inputs that were constant in training", {"constant_inputs", *SCALES}, (0.2, 0.5, 0.8))
def _(samples: Samples, strength: float, rng: Rng) -> None:
    flat = samples.X.reshape(len(samples.X), -1).copy()
    flat[:, : max(1, round(strength * flat.shape[1]))] = flat[0, 0]
    samples.X = flat.reshape(samples.X.shape)


@cause("absurd values among the training inputs", {"input_scale", "sentinel_values", *SCALES}, (30, 300, 3000))
def _(samples: Samples, strength: float, rng: Rng) -> None:
    samples.X = samples.X.copy()
    rows = some(len(samples.X), 0.01, rng)
    samples.X[rows] = samples.X[rows] * strength + strength * spread(samples.X)


@cause(
    "few training samples",
    {"few_rows", "gap"},
    (120, 50, 20),
    base=noisy,
    curable=True,
    family="few",
)
def _(samples: Samples, strength: int, rng: Rng) -> None:
    rows = rng.permutation(len(samples.y))
    if samples.classifies:  # two of each class at least
        first = [np.flatnonzero(samples.y[rows] == label)[:2] for label in np.unique(samples.y)]
        rows = np.concatenate([rows[np.concatenate(first)], np.delete(rows, np.concatenate(first))])
    kept = np.sort(rows[: max(strength, 2 * len(np.unique(samples.y)) if samples.classifies else 0)])
    samples.X, samples.y = samples.X[kept], samples.y[kept]


@cause("columns of noise", {"gap", "few_rows"}, (1, 5, 20), kinds=["tables"], family="few", curable=True)
def _(samples: Samples, strength: int, rng: Rng) -> None:
    n_more = strength * samples.X.shape[1]
    samples.every(lambda X: np.hstack([X, rng.normal(size=(len(X), n_more))]))

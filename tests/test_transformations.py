"""Augmentation and mixing against Keras' own layers, SciPy and formulas by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from skcnn._engine.transformations import _FUNCTIONS, _MOVES, _affine, _stream, augment, mix
from skcnn.augmentation import AUGMENTATIONS

SEED = tf.constant([3, 5])
N = 400


@pytest.fixture(scope="module")
def images():
    """Smooth images, so that two ways to interpolate agree."""
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(N, 3, 2, 1, 1, 2))
    y, x = np.mgrid[0:1:9j, 0:1:12j][..., None]
    return sum(np.sin(3 * a * x + 3 * b * y + i) for i, (a, b) in enumerate(waves.transpose(1, 2, 0, 3, 4, 5))).astype(
        "float32"
    )


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(1)
    steps = np.linspace(0, 1, 50)[:, None]
    return np.sin(6 * steps * rng.uniform(0.5, 1.5, (N, 1, 2)) + rng.uniform(0, 6, (N, 1, 2))).astype("float32")


def changed(X, name, strength=1.0, seed=SEED):
    return augment(tf.constant(X), [name], tf.constant(strength, X.dtype), seed).numpy()


def samples_for(name, images, series):
    return series if AUGMENTATIONS[name] == 1 else images


def test_every_name_has_its_transformation():
    assert set(_FUNCTIONS) | set(_MOVES) == set(AUGMENTATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_samples_change_each_in_its_own_way_and_by_the_seed_alone(name, dtype, images, series):
    X = samples_for(name, images, series).astype(dtype)
    out = changed(X, name)
    assert out.dtype == X.dtype
    assert out.shape == X.shape
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out, changed(X, name))
    assert not np.array_equal(out, changed(X, name, seed=SEED + 1))
    twins = np.repeat(X[:1], 50, axis=0)
    assert len(np.unique(changed(twins, name).reshape(50, -1), axis=0)) > (1 if "flip" in name else 40)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if "flip" not in name])
def test_strength_is_how_far_samples_go(name, images, series):
    X = samples_for(name, images, series)
    np.testing.assert_allclose(changed(X, name, 0.0), X, atol=2e-5)
    moved = [np.abs(changed(X, name, strength) - X).mean() for strength in (0.1, 0.5, 1.0)]
    assert moved == sorted(moved)
    assert moved[0] < 0.4 * moved[-1]


@pytest.mark.parametrize("name", ["flip", "vertical_flip"])
def test_half_of_the_images_are_flipped(name, images):
    out = changed(images, name)
    mirrored = images[:, :, ::-1] if name == "flip" else images[:, ::-1]
    is_flipped = np.abs(out - mirrored).max(axis=(1, 2, 3)) < 1e-5
    is_same = np.abs(out - images).max(axis=(1, 2, 3)) < 1e-5
    assert (is_flipped ^ is_same).all()
    assert abs(is_flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(N)


def fixed(name, matrix, shape):
    """Return Keras' layer that does for sure what has been drawn for one image."""
    a, _, dx, c, d, dy, *_ = matrix
    height, width = shape[:2]
    if name == "rotation":
        factor = np.arctan2(c, a) / (2 * np.pi)
        return keras.layers.RandomRotation((factor, factor), fill_mode="nearest")
    if name == "zoom":
        return keras.layers.RandomZoom((d - 1, d - 1), (a - 1, a - 1), fill_mode="nearest")
    # Keras moves the image, the matrix says where pixels come from.
    return keras.layers.RandomTranslation((-dy / height,) * 2, (-dx / width,) * 2, fill_mode="nearest")


@pytest.mark.parametrize("name", ["rotation", "zoom", "translation"])
def test_moves_equal_keras_layers(name, images):
    out = changed(images, name)
    matrices = _affine(tf.constant(images), [name], tf.constant(1.0), _stream(SEED, 0)).numpy()
    for i in range(5):
        # Keras refuses factors that are not a range, up to rounding.
        expected = fixed(name, matrices[i].astype(float), images.shape[1:])(images[i : i + 1], training=True)
        np.testing.assert_allclose(out[i : i + 1], expected, atol=2e-4)
    bounds = {"rotation": np.sin(2 * np.pi * 0.05), "zoom": 0.1, "translation": 1.2}
    drawn = {"rotation": matrices[:, 3], "zoom": matrices[:, 0] - 1, "translation": matrices[:, 2]}[name]
    assert bounds[name] * 0.9 < np.abs(drawn).max() <= bounds[name] * 1.001
    assert abs(drawn.mean()) < 4 * drawn.std() / np.sqrt(N)


def test_moves_are_interpolated_once(images):
    names = ["rotation", "zoom", "flip"]
    X = tf.constant(images)
    once = augment(X, names, tf.constant(1.0), SEED)
    matrices = _affine(X, names, tf.constant(1.0), _stream(SEED, 2))
    expected = keras.ops.image.affine_transform(X, matrices, "bilinear", "nearest", data_format="channels_last")
    np.testing.assert_array_equal(once, expected)


def test_contrast_and_brightness_by_hand(images):
    mean = images.mean(axis=(1, 2), keepdims=True)
    factors = (changed(images, "contrast") - mean) / (images - mean)
    inner = np.median(factors, axis=(1, 2, 3))
    np.testing.assert_allclose(
        changed(images, "contrast"), mean + inner[:, None, None, None] * (images - mean), atol=1e-4
    )
    assert stats.kstest(inner, stats.uniform(0.8, 0.4).cdf).pvalue > 1e-3
    added = (changed(images, "brightness") - images) / images.std(axis=(0, 1, 2))
    np.testing.assert_allclose(
        added, np.broadcast_to(added.mean(axis=(1, 2, 3), keepdims=True), added.shape), atol=1e-4
    )
    assert stats.kstest(added.mean(axis=(1, 2, 3)), stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["noise", "jitter"])
def test_noise_is_normal_in_units_of_the_data(name, images):
    drawn = ((changed(images, name) - images) / images.std(axis=(0, 1, 2))).ravel()[:5000]
    assert stats.kstest(drawn, stats.norm(0, 0.1).cdf).pvalue > 1e-3


def test_scaling_is_a_factor_for_each_channel(series):
    factors = (changed(series, "scaling") / series)[:, :, :]
    first = np.median(factors, axis=1)
    np.testing.assert_allclose(changed(series, "scaling"), series * first[:, None], atol=1e-4)
    assert stats.kstest(first.ravel(), stats.norm(1, 0.1).cdf).pvalue > 1e-3


def test_cutout_puts_the_mean_into_one_box(images):
    out = changed(images, "cutout")
    cut = (out != images).any(axis=-1)
    np.testing.assert_allclose(out[cut], np.broadcast_to(images.mean(axis=(0, 1, 2)), out.shape)[cut], rtol=1e-4)
    for mask in cut[:50]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns)
        assert rows.sum() <= np.ceil(0.3 * 9)
        assert columns.sum() <= np.ceil(0.3 * 12)
    assert 0.05 < cut.mean() < 0.09 * 1.1


def test_time_shift_and_window_slicing_equal_numpys_interpolation(series):
    steps = np.arange(50)
    shifted = changed(series, "time_shift")
    sliced = changed(series, "window_slicing")
    rising = np.repeat(np.arange(50, dtype="float32")[None, :, None], N, axis=0)  # a ramp tells the times themselves
    for name, out in (("time_shift", shifted), ("window_slicing", sliced)):
        times = changed(rising, name)[:, :, 0]
        for i in range(5):
            np.testing.assert_allclose(out[i, :, 0], np.interp(times[i], steps, series[i, :, 0]), atol=1e-4)
        if name == "time_shift":
            moved = times[:, 25] - 25
            assert stats.kstest(moved, stats.uniform(-5, 10).cdf).pvalue > 1e-3
        else:
            np.testing.assert_allclose(np.diff(times), 0.9, atol=1e-4)
            assert stats.kstest(times[:, 0], stats.uniform(0, 4.9).cdf).pvalue > 1e-3


def test_warping_follows_smooth_curves(series):
    ones = np.ones((N, 50, 1), "float32")
    curves = changed(ones, "magnitude_warping")[:, :, 0]
    assert stats.kstest(curves[:, 0], stats.norm(1, 0.2).cdf).pvalue > 1e-3  # a knot
    assert np.abs(np.diff(curves, n=2)).max() < 0.1  # of independent numbers it would be about 1.5
    rising = np.repeat(np.arange(50, dtype="float32")[None, :, None], N, axis=0)
    times = changed(rising, "time_warping")[:, :, 0]
    np.testing.assert_allclose(times[:, [0, -1]], [[0, 49]] * N, atol=1e-3)
    assert (np.diff(times) > 0).all()
    assert 0.5 < np.abs(times - np.arange(50)).max(axis=1).mean() < 10


@pytest.mark.parametrize("name", [name for name, rank in AUGMENTATIONS.items() if rank != 2])
def test_series_of_one_step(name):
    X = np.random.default_rng(0).normal(size=(6, 1, 2)).astype("float32")
    assert np.isfinite(changed(X, name)).all()


def test_one_row_and_volumes(images):
    for name in ("contrast", "brightness", "noise", "cutout", "scaling"):
        volume = np.random.default_rng(0).normal(size=(1, 4, 5, 6, 2)).astype("float32")
        out = changed(volume, name)
        assert out.shape == volume.shape
        assert np.isfinite(out).all()


# Mixing -------------------------------------------------------------------------------------------------------------


def mixed(X, **alphas):
    return [
        part.numpy() for part in mix(tf.constant(X), SEED, **{k: tf.constant(v, X.dtype) for k, v in alphas.items()})
    ]


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_mixup_is_the_weighted_sum_of_two_samples(alpha, images):
    X = np.tile(images, (5, 1, 1, 1))
    out, partner, share = mixed(X, mixup=alpha)
    assert sorted(partner) == list(range(len(X)))
    weight = share[:, :, None, None]
    np.testing.assert_allclose(out, weight * X + (1 - weight) * X[partner], atol=1e-5)
    assert np.isfinite(share).all()
    if alpha >= 0.2:  # below, the distribution has all but its whole mass on 0 and 1 to rounding
        assert stats.kstest(share[:, 0], stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    else:
        assert stats.binomtest(int((share > 0.5).sum()), len(X)).pvalue > 1e-3
        assert np.minimum(share, 1 - share).max() <= 0.5
        assert (np.minimum(share, 1 - share) < 0.01).mean() == pytest.approx(
            2 * stats.beta(alpha, alpha).cdf(0.01), abs=0.02
        )


@pytest.mark.parametrize("shape", [(50, 2), (9, 12, 2), (6, 5, 4, 1), (12, 1, 1)])
def test_cutmix_puts_a_box_of_another_row_into_each(shape):
    X = np.random.default_rng(0).normal(size=(2000, *shape)).astype("float32")
    out, partner, share = mixed(X, cutmix=1.0)
    own = (out == X).all(axis=-1)
    other = (out == X[partner]).all(axis=-1)
    assert (own | other).all()
    apart = partner != np.arange(len(X))
    np.testing.assert_allclose(own[apart].reshape(apart.sum(), -1).mean(axis=1), share[apart, 0], atol=1e-6)
    for mask in ~own[apart][:50]:
        box = np.ix_(*[mask.any(axis=tuple(j for j in range(mask.ndim) if j != i)) for i in range(mask.ndim)])
        expected = np.zeros_like(mask)
        expected[box] = True
        np.testing.assert_array_equal(mask, expected)
    # The box takes the share 1 - lambda, uniform for alpha 1, unless edges cut it off.
    assert 0.5 < share.mean() < 0.8


def test_with_both_each_row_is_mixed_in_one_way(images):
    X = np.tile(images, (5, 1, 1, 1))
    out, partner, share = mixed(X, mixup=1.0, cutmix=1.0)
    weight = share[:, :, None, None]
    blended = np.abs(out - (weight * X + (1 - weight) * X[partner])).max(axis=(1, 2, 3)) < 1e-5
    cut = ((out == X) | (out == X[partner])).all(axis=(1, 2, 3))
    assert (blended | cut).all()
    assert 0.4 < cut.mean() < 0.6


def test_positions_that_cannot_be_cut_stay():
    X = np.random.default_rng(0).normal(size=(20, 1, 3)).astype("float32")
    out, _, share = mixed(X, cutmix=1.0)
    np.testing.assert_array_equal(out, X)
    np.testing.assert_array_equal(share, 1)

"""Labels to network targets and back."""

import numpy as np
import pytest

from skcnn._fit.targets import ClassTarget, RegressionTarget


@pytest.mark.parametrize(
    "y",
    [
        np.array(["cat", "dog", "cat"]),
        np.array([True, False, True]),
        np.array([-1, 1, -1]),
        np.array(["b", "a", "b"], dtype=object),
        np.array([5, 2, 9]),
    ],
)
def test_labels_return(y):
    target = ClassTarget.of(y)
    encoded = target.encode(y)
    z = np.eye(len(target.classes))[encoded] if encoded.ndim == 1 else encoded - 0.5
    np.testing.assert_array_equal(target.decode(z), y)
    assert target.decode(z).dtype == y.dtype


def test_probabilities_and_their_logarithms_agree(rng):
    for kind, n_outputs in (("binary", 1), ("multiclass", 3), ("multilabel", 3)):
        target = ClassTarget(kind, np.arange(max(2, n_outputs)))
        z = rng.normal(scale=3, size=(30, n_outputs))
        p = target.probabilities(z)
        assert p.shape == (30, max(2, n_outputs))
        np.testing.assert_allclose(np.exp(target.log_probabilities(z)), p, rtol=1e-12)
        if kind != "multilabel":
            np.testing.assert_allclose(p.sum(axis=1), 1)
        extreme = np.full((1, n_outputs), -800.0)
        assert np.isfinite(target.log_probabilities(extreme)).all()


def test_refused_labels():
    with pytest.raises(ValueError, match="only one class is present: y holds only"):
        ClassTarget.of(np.zeros(5))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        ClassTarget.of(np.array([0.1, 0.5, 0.7]))
    with pytest.raises(ValueError, match="multiclass-multioutput targets are not supported"):
        ClassTarget.of(np.array([[0, 2], [1, 1]]))
    with pytest.raises(ValueError, match=r"not among the classes: \[7\]"):
        ClassTarget("multiclass", np.arange(3)).encode(np.array([0, 7]))


def test_regression_is_standardised_with_weights(rng):
    y = rng.normal(5, 3, size=(40, 2))
    weight = rng.integers(0, 4, 40)
    target = RegressionTarget.of(y)
    repeated = target.settled(np.repeat(y, weight, axis=0))
    weighted = target.settled(y, weight.astype(float))
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)
    np.testing.assert_allclose(weighted.decode(weighted.scaled(weighted.encode(y))), y)
    values = np.full(5, 1e6)
    constant = RegressionTarget.of(values)
    encoded = constant.encode(values)
    np.testing.assert_array_equal(constant.settled(encoded).scaled(encoded), np.zeros((5, 1)))


def test_a_robust_unit_is_median_and_deviation_with_weights(rng):
    y = rng.normal(5, 3, size=(41, 2))
    weight = rng.integers(0, 4, 41)
    target = RegressionTarget.of(y, robust=True)
    plain = target.settled(y)
    np.testing.assert_allclose(plain.mean, np.median(y, axis=0))
    np.testing.assert_allclose(plain.scale, 1.4826 * np.median(np.abs(y - np.median(y, axis=0)), axis=0))
    for n in (40, 41):  # an even and an odd number of targets
        repeated = target.settled(np.repeat(y[:n], weight[:n], axis=0))
        weighted = target.settled(y[:n], weight[:n].astype(float))
        np.testing.assert_allclose(weighted.mean, repeated.mean)
        np.testing.assert_allclose(weighted.scale, repeated.scale)
    wild = y.copy()
    wild[:2] = 1e6
    np.testing.assert_allclose(target.settled(wild).scale, plain.scale, rtol=0.3)
    mostly = np.array([[0.0]] * 9 + [[1.0]])  # no deviation to scale with
    assert RegressionTarget.of(mostly[:, 0], robust=True).settled(mostly).scale == pytest.approx(mostly.std())


def test_a_common_scale_is_that_of_all_columns(rng):
    y = rng.normal([0, 10, 20], 1, size=(30, 3))
    target = RegressionTarget.of(y, common=True).settled(y)
    np.testing.assert_allclose(target.mean, [y.mean()] * 3)
    np.testing.assert_allclose(target.scale, [y.std()] * 3)
    np.testing.assert_allclose(target.decode(target.scaled(y)), y)
    weight = rng.integers(1, 3, 30)
    np.testing.assert_allclose(
        RegressionTarget.of(y, common=True).settled(y, weight.astype(float)).scale,
        RegressionTarget.of(y, common=True).settled(np.repeat(y, weight, axis=0)).scale,
    )

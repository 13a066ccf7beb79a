"""Class and sample weights against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skcnn._fit.targets import ClassTarget
from skcnn._fit.weights import check_sample_weight, class_weights, combined_weights, prior_shift

LABELS = np.array(["a", "b", "a", "a", "c", "b"])


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 2.0, "c": 0.5}])
def test_samples_weigh_as_in_scikit_learn(class_weight):
    target = ClassTarget.of(LABELS)
    y = target.encode(LABELS)
    weights = combined_weights(target, class_weight, y, None, np.arange(len(y)))[:, 0]
    expected = compute_sample_weight(class_weight, LABELS)
    np.testing.assert_allclose(weights, expected / expected.mean())


@pytest.mark.parametrize(
    "class_weight",
    [{"a": 2, "b": 3, "c": 4, "d": 9}, {"a": 2}, {}, {"a": 2, "d": 1}, {"a": 1, "b": 2, "d": 3}, {"d": 1}],
)
def test_a_dict_means_what_it_means_in_scikit_learn(class_weight):
    target = ClassTarget.of(LABELS)
    try:
        expected = compute_class_weight(class_weight, classes=target.classes, y=LABELS)
    except ValueError:
        with pytest.raises(ValueError, match="and none for"):
            class_weights(class_weight, target, target.encode(LABELS), None)
    else:
        found = class_weights(class_weight, target, target.encode(LABELS), None)
        np.testing.assert_array_equal(found, expected)


def test_balanced_counts_sample_weights_as_repetitions(rng):
    weight = rng.integers(1, 5, len(LABELS))
    target = ClassTarget.of(LABELS)
    weighted = class_weights("balanced", target, target.encode(LABELS), weight.astype(float))
    repeated = np.repeat(LABELS, weight)
    np.testing.assert_allclose(weighted, compute_class_weight("balanced", classes=target.classes, y=repeated))


def test_multilabel_weighs_each_sample_and_label(rng):
    y = rng.integers(0, 2, (30, 3))
    target = ClassTarget.of(y)
    encoded = target.encode(y)
    per_label = [{0: 1.0, 1: 5.0}, {0: 1.0, 1: 1.0}, {0: 2.0, 1: 3.0}]
    weights = combined_weights(target, per_label, encoded, None, np.arange(30))
    columns = np.column_stack([compute_sample_weight(one, column) for one, column in zip(per_label, y.T, strict=True)])
    np.testing.assert_allclose(weights, columns / columns.mean())
    # The product over labels is what scikit-learn gives a sample.
    np.testing.assert_allclose(columns.prod(axis=1), compute_sample_weight(per_label, y))
    balanced = class_weights("balanced", target, encoded, None)
    np.testing.assert_allclose(balanced[1], compute_class_weight("balanced", classes=np.array([0, 1]), y=y[:, 1]))


def test_prior_shift_undoes_weights_by_bayes_rule(rng):
    shares, weights = np.array([0.7, 0.2, 0.1]), np.array([1.0, 3.0, 8.0])
    likelihood = rng.dirichlet(np.ones(3), 5)  # p(x | class) for five x, up to a factor
    weighted = likelihood * shares * weights
    posterior = likelihood * shares / (likelihood * shares).sum(axis=1, keepdims=True)
    trained = shares * weights / (shares * weights).sum()
    z = np.log(weighted) - prior_shift(trained, shares)
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), posterior)
    two = np.log(weighted[:, 1] / weighted[:, 0]) - prior_shift(trained[:2], shares[:2])
    expected = likelihood[:, 1] * shares[1] / (likelihood[:, :2] * shares[:2]).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-two)), expected)


def test_sample_weights_are_copied_and_checked():
    weight = np.array([1.0, 2.0, 0.0])
    checked = check_sample_weight(weight, 3)
    checked[:] = 9
    np.testing.assert_array_equal(weight, [1, 2, 0])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(2,\), expected \(3,\)"):
        check_sample_weight([1, 2], 3)
    with pytest.raises(ValueError, match="sample_weight holds -1"):
        check_sample_weight([1, -1, 1], 3)
    with pytest.raises(ValueError, match="sample_weight holds nan"):
        check_sample_weight([1, np.nan, 1], 3)
    with pytest.raises(ValueError, match="All entries of sample_weight are zero"):
        check_sample_weight([0, 0, 0], 3)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"a": 1, "d": 2}, r"weights for the classes \['d'\], which are not in y, and none for \['b', 'c'\]"),
        ({"a": -1}, r"class_weight\['a'\] is -1"),
        ({"a": np.inf}, "expected a finite weight"),
        ({"a": 0, "b": 0, "c": 0}, "gives every sample the weight 0"),
        ([{0: 1}], "expected None, 'balanced' or a dict"),
    ],
)
def test_refused_class_weights(class_weight, message):
    target = ClassTarget.of(LABELS)
    with pytest.raises(ValueError, match=message):
        class_weights(class_weight, target, target.encode(LABELS), None)


def test_refused_multilabel_weights():
    target = ClassTarget("multilabel", np.arange(2))
    with pytest.raises(ValueError, match="list of 2 dicts"):
        class_weights({0: 1, 1: 2}, target, np.eye(2), None)

"""Checks of inputs, layout, scale, resampling and shift: a cause on a planted fault, none on clean data."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_classification, make_friedman1
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skcnn import CNNClassifier
from skcnn.diagnosis import CHECKS
from skcnn.diagnosis._check import Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._layout import layouts
from skcnn.diagnosis.checks._mending import numbers, with_numbers
from skcnn.diagnosis.checks._resampling import made_samples
from skcnn.networks import Plain

CHECK_OF = {check.code: check for check in CHECKS}
EVERY = (
    *("non_finite", "sentinel_values", "constant_inputs", "input_scale", "scaler_outside", "layout", "test_scale"),
    *("sampler_before_split", "resampled_validation", "covariate_shift", "label_shift"),
)


def problem(seed=0, n=800, **settings):
    options = {"n_features": 10, "n_informative": 6, "n_redundant": 0, "class_sep": 1.0}
    X, y = make_classification(n, flip_y=0, random_state=seed, **{**options, **settings})
    return train_test_split(X, y, random_state=0, stratify=y)


def linear():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def look(code, model, X, y, X_test=None, y_test=None, refits=0, **settings):
    return CHECK_OF[code]().look(Observations(model, X, y, X_test, y_test, fast=True, refits=refits, **settings))


def cause(*args, **settings):
    found = look(*args, **settings)
    assert isinstance(found, Finding), found
    assert found.is_cause, (found.what, found.effect)
    assert found.measured
    return found


def no_cause(*args, **settings):
    found = look(*args, **settings)
    assert isinstance(found, str) or not found.is_cause, (found.what, found.effect)
    return found


@pytest.fixture(scope="module")
def data():
    return problem()


@pytest.fixture(scope="module")
def model(data):
    return linear().fit(data[0], data[2])


def clean_cases():
    rng = np.random.default_rng(0)
    answers = np.clip(np.round(rng.normal(3, 1, (400, 12))), 1, 5)
    yield "answers", answers, (answers[:, :3].sum(axis=1) + rng.normal(size=400) > 9).astype(int)
    counts = rng.poisson(0.2, (500, 30)).astype(float)
    yield "counts", counts, (counts[:, :6].sum(axis=1) + rng.normal(size=500) > 2).astype(int)
    tails = rng.standard_t(1.5, (500, 8))
    yield "tails", tails, (np.tanh(tails[:, 0]) + 0.5 * rng.normal(size=500) > 0).astype(int)
    yield "cancer", *load_breast_cancer(return_X_y=True)
    yield "rare", *make_classification(900, 10, n_informative=6, weights=[0.92], random_state=0)


@pytest.mark.parametrize(
    ("name", "X", "y"), list(clean_cases()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_clean_data_have_no_cause(name, X, y):
    X, X_test, y, y_test = train_test_split(X, y, random_state=1)
    fitted = RandomForestClassifier(30, random_state=0).fit(X, y)
    for code in EVERY:
        try:
            no_cause(code, fitted, X, y, X_test, y_test)
        except NotApplicable:
            continue


def test_without_a_test_set_nothing_breaks(data, model):
    X, _, y, _ = data
    for code in EVERY:
        try:
            no_cause(code, model, X, y)
        except NotApplicable:
            continue


# Values -----------------------------------------------------------------------------------------------------------


def test_missing_values_that_the_estimator_cannot_predict_count_as_wrong(data, model):
    X, X_test, y, y_test = data
    holes = X_test.copy()
    holes[:40, 2] = np.nan
    found = cause("non_finite", model, X, y, holes, y_test)
    assert found.effect.value == pytest.approx(model.score(X_test[40:], y_test[40:]) * 40 / len(y_test))
    assert len(found.mended.test.y) == len(y_test) - 40


def test_missing_values_that_the_estimator_knows_are_a_note(data):
    X, X_test, y, y_test = data
    X, holes = X.copy(), X_test.copy()
    X[::20, 9] = holes[::20, 9] = np.nan
    boosted = HistGradientBoostingClassifier(max_iter=20).fit(X, y)
    assert isinstance(no_cause("non_finite", boosted, X, y, holes, y_test), Finding)
    assert "finite" in no_cause("non_finite", boosted, X_test, y_test)
    # Other checks see the median in their place.
    assert np.isfinite(Observations(boosted, X, y, holes, y_test).test.flat).all()


def test_missing_values_in_nearly_all_test_samples(data, rng):
    X, X_test, y, y_test = data
    boosted = HistGradientBoostingClassifier(max_iter=20).fit(X, y)
    holes = np.where(rng.uniform(size=X_test.shape) < 0.4, np.nan, X_test)
    found = cause("non_finite", boosted, X, y, holes, y_test, refits=1)
    assert found.effect.value == pytest.approx(boosted.score(X_test, y_test) - boosted.score(holes, y_test), abs=0.06)
    assert isinstance(no_cause("non_finite", boosted, X, y, holes, y_test), Finding)


@pytest.mark.parametrize("both", [True, False])
def test_sentinel_values(data, rng, both):
    X, X_test, y, y_test = data
    X, holes = (np.where(rng.random(one.shape) < 0.05, -999, one) for one in (X, X_test))
    X = X if both else data[0]
    fitted = linear().fit(X, y)
    found = cause("sentinel_values", fitted, X, y, holes, y_test, refits=1)
    assert "-999" in found.what
    assert found.mended.test.score.value == pytest.approx(fitted.score(holes, y_test) + found.effect.value)


def test_sentinel_values_that_are_rare_in_each_of_many_columns(rng):
    y = np.arange(600) % 2
    X = rng.normal(size=(600, 60)) + 0.2 * y[:, np.newaxis]
    holes = np.where(rng.random(X.shape) < 0.003, -999, X)
    fitted = linear().fit(holes[:300], y[:300])
    found = cause("sentinel_values", fitted, holes[:300], y[:300], holes[300:], y[300:], refits=1)
    assert found.effect.value > 0.03
    no_cause("sentinel_values", linear().fit(X[:300], y[:300]), X[:300], y[:300], X[300:], y[300:])


def test_sentinel_values_that_the_pipeline_replaces(data, rng):
    X, X_test, y, y_test = data
    X, X_test = (np.where(rng.random(one.shape) < 0.05, -999, one) for one in (X, X_test))
    imputed = make_pipeline(SimpleImputer(missing_values=-999), LogisticRegression()).fit(X, y)
    assert "replaced" in no_cause("sentinel_values", imputed, X, y, X_test, y_test)
    forest = RandomForestClassifier(30, random_state=0).fit(X, y)
    assert isinstance(no_cause("sentinel_values", forest, X, y, X_test, y_test), Finding)


def test_inputs_that_die_or_wake(data):
    X, X_test, y, y_test = data
    dull = X.copy()
    dull[:, 0] = 1.0
    fitted = LogisticRegression().fit(dull, y)
    assert isinstance(no_cause("constant_inputs", fitted, dull, y), str)
    fitted.coef_[0, 0] = 10.0  # whatever the weight of a constant is
    fitted.intercept_ -= 10.0
    assert "change in the test" in cause("constant_inputs", fitted, dull, y, X_test, y_test).what
    fitted = linear().fit(X, y)
    broken = X_test.copy()
    broken[:, np.argsort(-np.abs(fitted[-1].coef_[0]))[:2]] = 0.0
    assert "2 columns" in cause("constant_inputs", fitted, X, y, broken, y_test).what


def test_input_scale(data):
    X, X_test, y, y_test = data
    mlp = MLPClassifier((20,), max_iter=60, random_state=0)
    with pytest.warns(match="converged"):
        far = clone(mlp).fit(X + 100, y)
    found = cause("input_scale", far, X + 100, y, X_test + 100, y_test, refits=1)
    assert found.mended.test.score.value > 0.8
    with pytest.warns(match="converged"):
        assert isinstance(no_cause("input_scale", clone(mlp).fit(X, y), X, y, X_test, y_test), str)
    with pytest.raises(NotApplicable, match="no network"):
        look("input_scale", LogisticRegression().fit(1000 * X, y), 1000 * X, y)


def test_a_keras_model_of_a_table_that_normalises_its_columns(data):
    import keras

    X, _, y, _ = data
    units = X * np.logspace(0, 4, X.shape[1])
    scale, model_of = keras.layers.Normalization(), keras.Sequential
    scale.adapt(units)
    after = [keras.layers.Reshape((X.shape[1], 1)), keras.layers.Conv1D(2, 3), keras.layers.Flatten()]
    for first, answer in ((scale, str), (keras.layers.Rescaling(0.1), Finding)):
        model = model_of([keras.Input(X.shape[1:]), first, *after, keras.layers.Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy")
        assert isinstance(look("input_scale", model, units, y), answer)
        with pytest.raises(NotApplicable, match="no axes"):
            look("receptive_field", model, units, y)


def test_scaler_outside_is_a_note(data):
    X, X_test, y, y_test = data
    scaled = StandardScaler().fit_transform(np.vstack([X, X_test]))
    before, before_test = scaled[: len(X)], scaled[len(X) :]
    fitted = LogisticRegression().fit(before, y)
    assert isinstance(no_cause("scaler_outside", fitted, before, y, before_test, y_test), Finding)
    scaler = StandardScaler().fit(X)
    right, right_test = scaler.transform(X), scaler.transform(X_test)
    assert isinstance(no_cause("scaler_outside", fitted, right, y, right_test, y_test), str)


# Layout and scale of the test set ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [lambda X: 1.5 * X + 1, lambda X: X + 0.8, lambda X: X * np.r_[10, 10, np.ones(8)], lambda X: X / 1000],
)
def test_test_scale(data, model, change):
    X, X_test, y, y_test = data
    found = cause("test_scale", model, X, y, change(X_test), y_test)
    lost = model.score(X_test, y_test) - model.score(change(X_test), y_test)
    assert found.effect.value == pytest.approx(lost, abs=0.05)
    assert isinstance(no_cause("test_scale", model, X, y, X_test, y_test), str)


def test_test_scale_of_a_frame_and_of_a_regression(data):
    pandas = pytest.importorskip("pandas")
    X, X_test, y, y_test = data
    frames = [pandas.DataFrame(one, columns=list("abcdefghij")) for one in (X, X_test)]
    fitted = linear().fit(frames[0], y)
    cause("test_scale", fitted, frames[0], y, frames[1].assign(a=frames[1].a * 100, b=frames[1].b * 100), y_test)
    X, y = make_friedman1(500, noise=0.5, random_state=0)
    ridge = Ridge().fit(X[:300], y[:300])
    cause("test_scale", ridge, X[:300], y[:300], 1.4 * X[300:], y[300:])
    no_cause("test_scale", ridge, X[:300], y[:300], X[300:], y[300:])


def test_numbers_return_to_their_container():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "text": ["x", "y"], "b": [0.5, 1.5]})
    again = with_numbers(frame, numbers(frame) * 2)
    assert again.to_dict("list") == {"a": [2, 4], "text": ["x", "y"], "b": [1.0, 3.0]}
    assert with_numbers(np.zeros(2, np.uint8), np.array([1.0, 255.0])).dtype == np.uint8
    assert with_numbers(np.zeros(2, np.uint8), np.array([1.0, 256.0])).dtype == np.float64


def test_series_moved_along_time(rng):
    y = np.arange(300) % 2
    series = 0.3 * np.cumsum(rng.normal(size=(300, 60)), axis=1)
    series[y == 1, 30:36] += 2
    fitted = linear().fit(series[:200], y[:200])
    found = cause("layout", fitted, series[:200], y[:200], np.roll(series[200:], 4, axis=1), y[200:])
    assert "moved by -4" in found.what
    assert found.mended.test.quality.mean() == fitted.score(series[200:], y[200:])
    no_cause("layout", fitted, series[:200], y[:200], series[200:], y[200:])


def test_layouts_of_a_shape():
    X = np.random.default_rng(0).normal(size=(5, 4, 4, 3))
    found = [way(X) for _, way in layouts((4, 4, 3))]
    assert all(one.shape == X.shape for one in found)
    for wrong in (X.swapaxes(1, 2), X[..., ::-1], np.moveaxis(X, -1, 1).reshape(X.shape)):
        assert any(np.array_equal(way(wrong), X) for _, way in layouts((4, 4, 3)))
    assert all(way(X.reshape(5, -1)).shape == (5, 48) for _, way in layouts((48,)))


def test_layout_of_the_test_set(data):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    fitted = LogisticRegression(max_iter=500).fit(X, y)
    turned = X_test.reshape(-1, 8, 8).swapaxes(1, 2).reshape(-1, 64)
    found = cause("layout", fitted, X, y, turned, y_test)
    assert "exchanged" in found.what
    assert found.mended.test.score.value == pytest.approx(fitted.score(X_test, y_test))
    assert isinstance(no_cause("layout", fitted, X, y, X_test, y_test), str)
    X, X_test, y, y_test = data
    units = np.arange(1, 11), 3 * np.arange(10)
    X, X_test = X * units[0] + units[1], X_test * units[0] + units[1]
    cause("layout", linear().fit(X, y), X, y, X_test[:, [3, 1, 2, 0, 4, 5, 9, 7, 8, 6]], y_test)


def test_channels_in_another_order_in_a_part_of_the_images(rng):
    y = rng.integers(0, 2, 600)
    X = rng.normal(size=(600, 6, 6, 3)) * 0.3 + np.array([2.0, 1.0, 0.0])
    X[:, 2:4, 2:4, 2] += y[:, None, None]
    mixed = X.copy()
    mixed[::3] = mixed[::3, ..., ::-1]
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    fitted = make_pipeline(flat, LogisticRegression()).fit(X[:300], y[:300])
    found = cause("layout", fitted, X[:300], y[:300], mixed[300:], y[300:])
    assert "in 33% of the samples" in found.what
    no_cause("layout", fitted, X[:300], y[:300], X[300:], y[300:])


@pytest.mark.filterwarnings("ignore::skcnn.exceptions.LayoutWarning")  # fit says so, too
def test_channels_first(rng):
    n, steps = 160, 32
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 2, steps)).astype("float32")
    X[np.arange(n), 0, rng.integers(0, steps - 4, n)] += np.where(y, 6, -6)
    cnn = CNNClassifier(Plain((8,)), epochs=15, random_state=0, early_stopping=False)
    fitted = clone(cnn).fit(X[:80], y[:80])
    found = look("layout", fitted, X[:80], y[:80], X[80:], y[80:], refits=1)
    assert "channels were first" in found.what
    assert found.effect is not None
    assert found.mended.train.inputs.shape == (80, steps, 2)
    series = np.moveaxis(X, 1, -1)
    assert isinstance(no_cause("layout", clone(cnn).set_params(epochs=1).fit(series, y), series, y), str)


def test_channels_first_of_smooth_series(rng):
    y = np.arange(240) % 2
    series = np.convolve(rng.normal(size=240 * 24 * 10), np.ones(5), "same").reshape(240, 10, 24).swapaxes(1, 2)
    series[np.arange(240), rng.integers(24, size=240)] += np.where(y, 6, -6)[:, np.newaxis] * np.ones(10)
    first = np.moveaxis(series, -1, 1)
    cnn = CNNClassifier(Plain((4,), pooling="avg"), epochs=10, random_state=0)
    found = look("layout", clone(cnn).fit(first[:80], y[:80]), first[:80], y[:80], first[80:], y[80:], refits=1)
    assert found.mended.train.inputs.shape == (80, 24, 10)
    fitted = clone(cnn).fit(series[:80], y[:80])
    assert isinstance(no_cause("layout", fitted, series[:80], y[:80], series[80:], y[80:]), str)


# Resampling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomOverSampler(random_state=0)])
def test_sampler_before_split(sampler):
    X, y = make_classification(1200, 10, n_informative=6, weights=[0.9], class_sep=0.7, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(*sampler.fit_resample(X, y), random_state=0)
    forest = RandomForestClassifier(30, random_state=0)
    found = cause("sampler_before_split", clone(forest).fit(X_train, y_train), X_train, y_train, X_test, y_test)
    assert "class 1" in found.what
    assert found.effect.value < -0.05
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    X_more, y_more = sampler.fit_resample(X_train, y_train)
    no_cause("sampler_before_split", clone(forest).fit(X_more, y_more), X_more, y_more, X_test, y_test)


def test_samples_that_smote_made_are_known():
    X, y = make_classification(400, 8, n_informative=6, weights=[0.8], flip_y=0, random_state=0)
    made, labels = SMOTE(random_state=0).fit_resample(X, y)
    found = made_samples(made, labels)
    assert found[: len(X)].mean() < 0.05
    assert found[len(X) :].mean() > 0.7


def test_resampled_validation_is_a_note():
    X, y = make_classification(600, 8, n_informative=6, weights=[0.8], random_state=0)
    mlp = MLPClassifier((4,), early_stopping=True, n_iter_no_change=2, max_iter=200, random_state=0)
    piped = make_resampling_pipeline(SMOTE(random_state=0), mlp).fit(X, y)
    assert "smote" in no_cause("resampled_validation", piped, X, y).what
    assert isinstance(no_cause("resampled_validation", clone(mlp).fit(X, y), X, y), str)
    made, labels = SMOTE(random_state=0).fit_resample(X, y)
    assert isinstance(no_cause("resampled_validation", clone(mlp).fit(made, labels), made, labels), Finding)


# Shift ------------------------------------------------------------------------------------------------------------


def test_label_shift():
    X, X_test, y, y_test = problem(n=3000, class_sep=0.5)
    rows = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:350]]
    fitted = linear().fit(X[rows], y[rows])
    found = cause("label_shift", fitted, X[rows], y[rows], X_test, y_test)
    assert found.facts["shares"] == pytest.approx(np.bincount(y_test) / len(y_test))
    assert found.mended.test.score.value == pytest.approx(fitted.score(X_test, y_test) + found.effect.value, abs=0.02)
    assert isinstance(no_cause("covariate_shift", fitted, X[rows], y[rows], X_test, y_test), str)
    whole = linear().fit(X, y)
    assert isinstance(no_cause("label_shift", whole, X, y, X_test, y_test), str)


def test_label_shift_of_a_regression(data):
    X, X_test, _, _ = data
    ridge = Ridge().fit(X, X[:, 0])
    assert isinstance(no_cause("label_shift", ridge, X, X[:, 0], X_test, X_test[:, 0]), str)
    cause("label_shift", ridge, X, X[:, 0], X_test, X_test[:, 0] + 5)


def test_covariate_shift(data, model):
    X, X_test, y, y_test = data
    noisy = X_test + 3 * np.random.default_rng(0).normal(size=X_test.shape)
    found = cause("covariate_shift", model, X, y, noisy, y_test, refits=1)
    assert found.effect.value == pytest.approx(model.score(X_test, y_test) - model.score(noisy, y_test), abs=0.08)
    cause("covariate_shift", model, X, y, noisy, y_test)
    assert isinstance(no_cause("covariate_shift", model, X, y, X_test, y_test), str)


def test_other_groups_are_no_shift(rng):
    groups = np.repeat(np.arange(40), 20)
    centres = rng.normal(size=(40, 6))
    X = centres[groups] + 0.5 * rng.normal(size=(800, 6))
    y = (X[:, 0] + 0.5 * rng.normal(size=800) > 0).astype(int)
    train = groups < 26
    fitted = linear().fit(X[train], y[train])
    args = fitted, X[train], y[train], X[~train], y[~train]
    no_cause("covariate_shift", *args, groups_train=groups[train], groups_test=groups[~train], refits=1)


def test_covariate_shift_looks_at_no_features_of_a_network(rng):
    """A network that has learned noise by heart tells its own samples by their features, without any shift."""
    n = 120
    X, y = rng.normal(size=(2 * n, 6, 6, 1)).astype("float32"), np.arange(2 * n) % 2
    cnn = CNNClassifier(Plain((16,)), epochs=40, random_state=0).fit(X[:n], y[:n])
    assert isinstance(no_cause("covariate_shift", cnn, X[:n], y[:n], X[n:], y[n:]), str)

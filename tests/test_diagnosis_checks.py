"""Every check fires on a planted cause and is silent on clean data."""

from types import SimpleNamespace

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcnn import CNNClassifier
from skcnn.diagnosis import CHECKS, LearningCurve, Memorises, diagnose
from skcnn.diagnosis._check import Finding, NotApplicable
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._inputs import made_samples
from skcnn.diagnosis.checks._labels import confident_errors
from skcnn.diagnosis.checks._probabilities import calibration_error
from skcnn.networks import Plain

CHECK_OF = {check.code: check for check in [*CHECKS, LearningCurve, Memorises]}


class Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are a function of X, with a history."""

    def __init__(self, of=None, history=None):
        self.of = of
        self.classes_ = np.array([0, 1])
        self.history_ = history or {}

    def predict_proba(self, X):
        positive = np.asarray(self.of(X), dtype=float)
        return np.stack([1 - positive, positive], axis=1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def problem(seed=0, n=800, **settings):
    options = {"n_features": 10, "n_informative": 6, "n_redundant": 0, "class_sep": 2.0, "n_clusters_per_class": 1}
    X, y = make_classification(n, flip_y=0, random_state=seed, **{**options, **settings})
    return train_test_split(X, y, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def data():
    return problem()


@pytest.fixture(scope="module")
def clean(data):
    """A good model, its data, and every check's answer."""
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    return model, diagnose(model, X, y, X_test, y_test)


def look(code, model, X, y, X_test=None, y_test=None, **settings):
    return CHECK_OF[code]().look(Observations(model, X, y, X_test, y_test, fast=True, **settings))


def fires(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, Finding), answer
    assert answer.what
    assert answer.why
    assert answer.do
    return answer


def silent(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, str), answer


def test_codes_are_unique_and_all_texts_there():
    assert len(CHECK_OF) == len(CHECKS) + 2
    for check in CHECK_OF.values():
        assert check.code
        assert check.title
        assert check.question.endswith("?")
        assert check.severity in (1, 2, 3)
        assert set(check.explains) <= set(CHECK_OF), check.code
        assert check.code not in check.explains


def test_no_two_findings_explain_each_other():
    def reached(code, path=()):
        for other in CHECK_OF[code].explains:
            assert other not in path, (*path, other)
            reached(other, (*path, other))

    for code in CHECK_OF:
        reached(code, (code,))


def test_nothing_is_found_on_clean_data(clean):
    assert clean[1].findings == []
    assert [outcome.text for outcome in clean[1].outcomes if outcome.state == "could not run"] == []


# Split ------------------------------------------------------------------------------------------------------------


def test_duplicates(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    mixed, labels = np.vstack([X_test[:100], X[:40]]), np.r_[y_test[:100], y[:40]]
    found = fires("duplicates", model, X, y, mixed, labels)
    assert found.evidence[0].value == pytest.approx(40 / 140)
    silent("duplicates", model, X, y, X_test, y_test)
    silent("near_duplicates", model, X, y, mixed, labels)


def test_near_duplicates(data, rng):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    copies = X[:40] + rng.normal(scale=0.01, size=(40, 10))
    fires("near_duplicates", model, X, y, np.vstack([X_test[:100], copies]), np.r_[y_test[:100], y[:40]])
    silent("near_duplicates", model, X, y, X_test, y_test)


def test_conflicting_labels(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    twice, labels = np.vstack([X, X[:30]]), np.r_[y, 1 - y[:30]]
    assert "60 of 830" in fires("conflicting_labels", model, twice, labels, X_test, y_test).what
    silent("conflicting_labels", model, np.vstack([X, X[:30]]), np.r_[y, y[:30]], X_test, y_test)


def test_groups_and_times(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    both = {"groups_train": np.arange(len(y)) // 4, "groups_test": np.arange(len(y_test))}
    fires("groups", model, X, y, X_test, y_test, **both)
    silent("groups", model, X, y, X_test, y_test, **{**both, "groups_test": -1 - np.arange(len(y_test))})
    mixed = {"times_train": np.arange(len(y)), "times_test": np.arange(len(y_test))}
    fires("times", model, X, y, X_test, y_test, **mixed)
    silent("times", model, X, y, X_test, y_test, **{**mixed, "times_test": len(y) + np.arange(len(y_test))})
    with pytest.raises(NotApplicable, match="no groups"):
        look("groups", model, X, y, X_test, y_test)


def test_missing_classes():
    X, X_test, y, y_test = problem(n_classes=3)
    known = y < 2
    model = LogisticRegression().fit(X[known], y[known])
    assert "label 2" in fires("missing_classes", model, X[known], y[known], X_test, y_test).what
    silent("missing_classes", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_small_test(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    fires("small_test", model, X, y, X_test[:12], y_test[:12])
    silent("small_test", model, X, y, X_test, y_test)


# Preprocessing ----------------------------------------------------------------------------------------------------


def test_non_finite(data):
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, X_test, y, y_test = data
    model = HistGradientBoostingClassifier(max_iter=3).fit(X, y)
    holes = X_test.copy()
    holes[3, 2] = np.nan
    assert "1 test samples" in fires("non_finite", model, X, y, holes, y_test).what
    silent("non_finite", model, X, y, X_test, y_test)


def test_constant_inputs(data, few_digits):
    X, X_test, y, y_test = data
    dull, dull_test = X.copy(), X_test.copy()
    dull[:, 0] = 1.0
    model = LogisticRegression().fit(dull, y)
    silent("constant_inputs", model, dull, y)
    assert fires("constant_inputs", model, dull, y, dull_test, y_test).severity == 3
    images, labels = few_digits
    channels = np.concatenate([images, np.zeros_like(images)], axis=3)
    cnn = CNNClassifier(Plain((2,)), epochs=1, random_state=0).fit(channels, labels)
    fires("constant_inputs", cnn, channels, labels)
    silent("constant_inputs", CNNClassifier(Plain((2,)), epochs=1).fit(images, labels), images, labels)


def test_input_scale(data):
    X, _, y, _ = data
    mlp = MLPClassifier((4,), max_iter=3, random_state=0)
    with pytest.warns(match="converged"):
        fires("input_scale", clone(mlp).fit(1000 * X, y), 1000 * X, y)
    with pytest.warns(match="converged"):
        silent("input_scale", clone(mlp).fit(X, y), X, y)
    with pytest.warns(match="converged"):
        silent("input_scale", make_pipeline(StandardScaler(), mlp).fit(1000 * X, y), 1000 * X, y)
    with pytest.raises(NotApplicable, match="no network"):
        look("input_scale", LogisticRegression().fit(1000 * X, y), 1000 * X, y)


def test_test_scale(data):
    X, X_test, y, y_test = data
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    fires("test_scale", model, X, y, X_test * 3, y_test)
    fires("test_scale", model, X, y, X_test + 5, y_test)
    silent("test_scale", model, X, y, X_test, y_test)


def test_scaler_outside(data):
    X, X_test, y, y_test = data
    scaled = StandardScaler().fit_transform(np.vstack([X, X_test]))
    before, before_test = scaled[: len(X)], scaled[len(X) :]
    fires("scaler_outside", LogisticRegression().fit(before, y), before, y, before_test, y_test)
    scaler = StandardScaler().fit(X)
    right, right_test = scaler.transform(X), scaler.transform(X_test)
    silent("scaler_outside", LogisticRegression().fit(right, y), right, y, right_test, y_test)


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomOverSampler(random_state=0)])
def test_sampler_before_split(sampler):
    X, y = make_classification(1500, 8, n_informative=6, weights=[0.9], random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(*sampler.fit_resample(X, y), random_state=0)
    model = LogisticRegression().fit(X_train, y_train)
    assert "class 1" in fires("sampler_before_split", model, X_train, y_train, X_test, y_test).what
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    X_more, y_more = sampler.fit_resample(X_train, y_train)
    silent("sampler_before_split", LogisticRegression().fit(X_more, y_more), X_more, y_more, X_test, y_test)


def test_rows_that_smote_made_are_known():
    X, y = make_classification(400, 8, n_informative=6, weights=[0.8], flip_y=0, random_state=0)
    made, labels = SMOTE(random_state=0).fit_resample(X, y)
    found = made_samples(made, labels)
    assert found[: len(X)].mean() < 0.05
    assert found[len(X) :].mean() > 0.7


def test_resampled_validation():
    X, y = make_classification(600, 8, n_informative=6, weights=[0.8], random_state=0)
    mlp = MLPClassifier((4,), early_stopping=True, n_iter_no_change=2, max_iter=200, random_state=0)
    piped = make_resampling_pipeline(SMOTE(random_state=0), mlp).fit(X, y)
    found = fires("resampled_validation", piped, X, y)
    assert "smote" in found.what
    silent("resampled_validation", clone(mlp).fit(X, y), X, y)
    made, labels = SMOTE(random_state=0).fit_resample(X, y)
    fires("resampled_validation", clone(mlp).fit(made, labels), made, labels)


# Labels and loss --------------------------------------------------------------------------------------------------


def test_no_signal(data, rng):
    X, X_test, y, y_test = data
    shuffled = rng.permutation(y)
    fires("no_signal", LogisticRegression().fit(X, shuffled), X, shuffled, X_test, y_test)
    silent("no_signal", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_suspicious_labels(data, rng):
    X, _, y, _ = data
    wrong = rng.choice(len(y), 100, replace=False)
    noisy = y.copy()
    noisy[wrong] = 1 - noisy[wrong]
    found = fires("suspicious_labels", LogisticRegression().fit(X, noisy), X, noisy)
    assert np.isin(found.facts["rows"], wrong).mean() > 0.9
    silent("suspicious_labels", LogisticRegression().fit(X, y), X, y)


def test_confident_errors_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.05, 0.95]])
    # Class 0 usually has (0.9 + 0.8 + 0.05) / 3 = 0.58, class 1 (0.9 + 0.7) / 2 = 0.8.
    assert confident_errors(np.array([0, 0, 1, 1, 0]), probabilities).tolist() == [False] * 4 + [True]


@pytest.fixture(scope="module")
def keras_model():
    import keras

    def make(units, ending, loss, X, y, epochs=0):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(units, activation=ending)]
        model = keras.Sequential([keras.Input(X.shape[1:]), *layers])
        model.compile("adam", loss)
        if epochs:
            model.fit(X, y, epochs=epochs, verbose=0)
        return model

    return make


# Keras itself warns of one of these since version 3.
@pytest.mark.filterwarnings("ignore:.*softmax over axis:UserWarning")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:keras.*")
def test_loss_mismatch(data, keras_model):
    import keras

    X, X_test, y, y_test = data
    found = fires("loss_mismatch", keras_model(1, "softmax", "binary_crossentropy", X, y), X, y, X_test, y_test)
    assert "softmax over one unit" in found.what
    twice = keras_model(1, "sigmoid", keras.losses.BinaryCrossentropy(from_logits=True), X, y)
    assert "applies it again" in fires("loss_mismatch", twice, X, y, X_test, y_test).what
    logits = keras_model(1, None, "binary_crossentropy", X, y)
    assert "takes them for probabilities" in fires("loss_mismatch", logits, X, y, X_test, y_test).what
    hot = np.eye(3)[np.arange(len(y)) % 3]
    per_class = keras_model(3, "softmax", "binary_crossentropy", X, hot)
    assert "question of its own" in fires("loss_mismatch", per_class, X, hot).what
    silent("loss_mismatch", keras_model(1, "sigmoid", "binary_crossentropy", X, y), X, y, X_test, y_test)
    silent("loss_mismatch", keras_model(2, "softmax", "sparse_categorical_crossentropy", X, y), X, y, X_test, y_test)
    with pytest.raises(NotApplicable, match="not a plain Keras model"):
        look("loss_mismatch", LogisticRegression().fit(X, y), X, y)


def test_a_keras_model_is_diagnosed_as_it_predicts(data, keras_model):
    X, X_test, y, y_test = data
    model = keras_model(1, "sigmoid", "binary_crossentropy", X, y, epochs=30)
    diagnosis = diagnose(model, X, y, X_test, y_test, fast=True)
    right = (model.predict(X_test, verbose=0)[:, 0] > 0.5) == y_test
    assert diagnosis.scores["test accuracy"].value == pytest.approx(right.mean())
    assert diagnosis.suggest().estimator is None
    assert [outcome.text for outcome in diagnosis.outcomes if outcome.state == "could not run"] == []


def squashing(input_shape, n_outputs):
    import keras

    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(n_outputs)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Rescaling(1.0)(keras.ops.sigmoid(x)))


def test_squashed_twice(few_digits):
    X, digits = few_digits
    y = (digits > 4).astype(int)
    fires("squashed_twice", CNNClassifier(squashing, epochs=2, random_state=0).fit(X, y), X, y)
    silent("squashed_twice", CNNClassifier(Plain((2,)), epochs=2, random_state=0).fit(X, y), X, y)


# Shift ------------------------------------------------------------------------------------------------------------


def test_label_shift(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    rows = np.r_[np.flatnonzero(y_test == 1), np.flatnonzero(y_test == 0)[:20]]
    found = fires("label_shift", model, X, y, X_test[rows], y_test[rows])
    assert found.facts["shares"] == pytest.approx(np.bincount(y_test[rows]) / len(rows))
    silent("label_shift", model, X, y, X_test, y_test)
    ridge = Ridge().fit(X, X[:, 0])
    fires("label_shift", ridge, X, X[:, 0], X_test, X_test[:, 0] + 5)
    silent("label_shift", ridge, X, X[:, 0], X_test, X_test[:, 0])


def test_covariate_shift(data):
    X, X_test, y, y_test = data
    model = LogisticRegression().fit(X, y)
    moved = X_test.copy()
    moved[:, :3] += 1.5
    fires("covariate_shift", model, X, y, moved, y_test)
    wider = X_test.copy()
    wider[:, :3] *= 3
    fires("covariate_shift", model, X, y, wider, y_test)
    silent("covariate_shift", model, X, y, X_test, y_test)


def test_covariate_shift_by_the_features_of_a_network_is_no_overfitting(rng):
    """A network that has learned noise by heart tells its own samples by their features, but not by what is left."""
    n = 120
    X, y = rng.normal(size=(2 * n, 6, 6, 1)).astype("float32"), np.arange(2 * n) % 2
    cnn = CNNClassifier(Plain((16,)), epochs=40, random_state=0).fit(X[:n], y[:n])
    assert cnn.score(X[:n], y[:n]) > 0.95
    silent("covariate_shift", cnn, X[:n], y[:n], X[n:], y[n:])
    found = fires("covariate_shift", cnn, X[:n], y[:n], X[n:] + np.r_[1, 1, 1, 0, 0, 0].reshape(6, 1, 1), y[n:])
    assert found.what.startswith("By the network's features")


def test_prediction_drift(data):
    X, X_test, y, y_test = data
    fires("prediction_drift", Given(lambda X: np.where(X[:, 0] > -9, 0.9, 0.1)), X, y, X_test, y_test)
    silent("prediction_drift", LogisticRegression().fit(X, y), X, y, X_test, y_test)


# Imbalance --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rare():
    """One class has 6% of the samples and is hard to see."""
    return problem(n=8000, weights=[0.94], class_sep=0.4)


def test_imbalance(rare, data):
    X, X_test, y, y_test = rare
    model = LogisticRegression().fit(X, y)
    assert fires("class_shares", model, X, y, X_test, y_test).facts["rare"] == 1
    assert "class 1" in fires("class_shares", model, X, y, X_test, y_test).what.lower()
    fires("recall_spread", model, X, y, X_test, y_test)
    fires("threshold", model, X, y, X_test, y_test)
    fires("majority_baseline", model, X, y, X_test, y_test)
    balanced = LogisticRegression(class_weight="balanced").fit(X, y)
    silent("class_shares", balanced, X, y, X_test, y_test)
    silent("threshold", balanced, X, y, X_test, y_test)
    silent("majority_baseline", balanced, X, y, X_test, y_test)
    X, X_test, y, y_test = data
    for code in ("class_shares", "recall_spread", "threshold", "majority_baseline"):
        silent(code, LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_majority_collapse(data):
    X, X_test, y, y_test = data
    fires("majority_collapse", Given(lambda X: np.full(len(X), 0.1)), X, y, X_test, y_test)
    fires("majority_collapse", Given(lambda X: np.full(len(X), 0.1)), X, y)
    silent("majority_collapse", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_metric_unfit(rare, data):
    X, X_test, y, y_test = rare
    grid = {"C": [0.1, 1.0]}
    fires("metric_unfit", GridSearchCV(LogisticRegression(), grid).fit(X, y), X, y, X_test, y_test)
    better = GridSearchCV(LogisticRegression(), grid, scoring="average_precision").fit(X, y)
    silent("metric_unfit", better, X, y, X_test, y_test)
    X, X_test, y, y_test = data
    silent("metric_unfit", GridSearchCV(LogisticRegression(), grid).fit(X, y), X, y, X_test, y_test)


def test_balanced_twice(rare):
    X, X_test, y, y_test = rare
    twice = make_resampling_pipeline(SMOTE(random_state=0), LogisticRegression(class_weight={0: 1, 1: 5})).fit(X, y)
    assert "smote and logisticregression__class_weight" in fires("balanced_twice", twice, X, y, X_test, y_test).what
    silent("balanced_twice", LogisticRegression(class_weight="balanced").fit(X, y), X, y, X_test, y_test)


# Fit and capacity -------------------------------------------------------------------------------------------------


FALLING = [1.0 - 0.08 * i for i in range(10)]
SETTLED = [0.5**i for i in range(10)]


def test_loss_curves(data):
    X, _, y, _ = data
    bad = Given(lambda X: np.full(len(X), 0.6), {"loss": [0.7, 0.71] * 5})
    fires("loss_never_fell", bad, X, y)
    silent("loss_never_fell", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)
    fires("loss_falling", Given(lambda X: np.full(len(X), 0.6), {"loss": FALLING}), X, y)
    silent("loss_falling", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)
    turned = {"loss": SETTLED, "val_loss": [1, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]}
    fires("val_turned", Given(lambda X: np.full(len(X), 0.6), turned), X, y)
    silent("val_turned", Given(lambda X: np.full(len(X), 0.6), {**turned, "val_loss": SETTLED}), X, y)
    kept = Given(lambda X: np.full(len(X), 0.6), turned)
    kept.best_iter_ = 3
    silent("val_turned", kept, X, y)
    with pytest.raises(NotApplicable, match="keeps no 'loss'"):
        look("loss_falling", LogisticRegression().fit(X, y), X, y)


def test_a_loss_that_blew_up(data):
    X, _, y, _ = data
    half = Given(lambda X: np.full(len(X), 0.6), {"loss": [5e3, 1.0, 0.9, 0.8, 0.7]})
    assert fires("loss_blew_up", half, X, y).severity == 3
    good = LogisticRegression().fit(X, y)
    good.history_ = {"loss": [5e3, 0.1, 0.05, 0.03, 0.02]}
    assert fires("loss_blew_up", good, X, y).severity == 2
    silent("loss_blew_up", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)


def test_dummy_baseline_underfit(data, rng):
    X, X_test, y, y_test = data
    nonsense = Given(lambda X: (np.abs(X).sum(axis=1) * 1000) % 1)
    good = LogisticRegression().fit(X, y)
    for code in ("dummy", "baseline", "underfit"):
        fires(code, nonsense, X, y, X_test, y_test)
        silent(code, good, X, y, X_test, y_test)
    backwards = Ridge().fit(X, -X[:, 0])
    straight = Ridge().fit(X, X[:, 0])
    for code in ("dummy", "baseline", "underfit"):
        fires(code, backwards, X, X[:, 0], X_test, X_test[:, 0])
        silent(code, straight, X, X[:, 0], X_test, X_test[:, 0])


def test_gap_memorises_learning_curve_few_rows():
    X, X_test, y, y_test = problem(n=8000, n_informative=9, class_sep=0.8, n_clusters_per_class=4)
    X, y = X[:900], y[:900]
    by_heart = SVC(gamma=100.0).fit(X, y)
    fires("gap", by_heart, X, y, X_test, y_test)
    fires("memorises", by_heart, X, y, X_test, y_test)
    smooth = SVC().fit(X, y)
    silent("gap", smooth, X, y, X_test, y_test)
    silent("memorises", LogisticRegression().fit(X, y), X, y, X_test, y_test)
    few = SVC().fit(X[:200], y[:200])
    fires("learning_curve", few, X[:200], y[:200], X_test, y_test)
    fires("few_rows", few, X[:12], y[:12], X_test, y_test)
    easy = problem(n_informative=2, n_features=4, class_sep=3.0)
    linear = LogisticRegression().fit(easy[0], easy[2])
    silent("learning_curve", linear, easy[0], easy[2], easy[1], easy[3])
    silent("few_rows", linear, easy[0], easy[2], easy[1], easy[3])


def test_parameters(rng):
    X, y = rng.normal(size=(60, 5)), np.arange(60) % 2
    X_test, y_test = rng.normal(size=(300, 5)), np.arange(300) % 2
    large = MLPClassifier((1200,), learning_rate_init=0.01, max_iter=400, random_state=0).fit(X, y)
    found = fires("parameters", large, X, y, X_test, y_test)
    assert found.evidence[0].value == pytest.approx((5 * 1200 + 1200 + 1201) / 60)
    small = MLPClassifier((3,), solver="lbfgs", max_iter=3000, random_state=0).fit(X, y)
    silent("parameters", small, X, y, X_test, y_test)


def test_receptive_field_and_dead_units(rng):
    n, steps = 240, 64
    X, y = rng.normal(scale=0.1, size=(n, steps, 1)).astype("float32"), np.arange(n) % 2
    X[:, 8, 0] += 2.0
    X[np.arange(n), np.where(y, 20, 50), 0] += 2.0
    blind = CNNClassifier(Plain((2,), pooling="avg"), epochs=5, random_state=0).fit(X, y)
    fires("receptive_field", blind, X, y)
    silent("receptive_field", CNNClassifier(Plain((2,)), epochs=5, random_state=0).fit(X, y), X, y)
    silent("dead_units", blind, X, y)
    killed = CNNClassifier(Plain((4,), normalization=None), learning_rate=30.0, optimizer="sgd", momentum=0.0, epochs=3)
    killed.set_params(clipnorm=1.0, random_state=0).fit(X + 3, y)
    fires("dead_units", killed, X + 3, y)


def test_saturated_and_calibration(data, rng):
    X, X_test, y, y_test = data
    sure = Given(lambda X: np.where(np.abs(X).sum(axis=1) * 1000 % 1 > 0.5, 1.0, 0.0))
    fires("saturated", sure, X, y, X_test, y_test)
    fires("calibration", sure, X, y, X_test, y_test)
    for code in ("saturated", "calibration"):
        silent(code, LogisticRegression().fit(X, y), X, y, X_test, y_test)


# Search -----------------------------------------------------------------------------------------------------------


def searched(scores, values):
    """Stand-in for a fitted search over one parameter, on which a good model was refitted."""
    scores = np.asarray(scores, dtype=float)
    best = int(scores.mean(axis=1).argmax())
    results = {f"split{fold}_test_score": column for fold, column in enumerate(scores.T)}
    return SimpleNamespace(
        cv_results_={"params": [{"C": value} for value in values], **results},
        best_index_=best,
        best_params_={"C": values[best]},
        n_splits_=scores.shape[1],
        refit=True,
        scoring=None,
        classes_=np.array([0, 1]),
    )


@pytest.mark.parametrize(
    ("code", "planted", "clean"),
    [
        ("edge", [[0.5, 0.51, 0.5], [0.7, 0.71, 0.72], [0.9, 0.92, 0.91]], [[0.5, 0.5, 0.5], [0.9] * 3, [0.7] * 3]),
        (
            "noise",
            [[0.7, 0.9, 0.8], [0.8, 0.7, 0.9], [0.9, 0.8, 0.72]],
            [[0.5, 0.51, 0.5], [0.7] * 3, [0.9, 0.92, 0.9]],
        ),
    ],
)
def test_search(data, code, planted, clean):
    X, _, y, _ = data
    fitted = LogisticRegression().fit(X, y)
    for scores, fire in ((planted, True), (clean, False)):
        search = searched(scores, [0.01, 0.1, 1.0])
        search.estimator, search.best_estimator_, search.predict = LogisticRegression(), fitted, fitted.predict
        (fires if fire else silent)(code, search, X, y)
    if code == "edge":
        assert fires("edge", _with(searched(planted, [0.01, 0.1, 1.0]), fitted), X, y).facts["further"] == 10


def _with(search, fitted):
    search.estimator, search.best_estimator_, search.predict = LogisticRegression(), fitted, fitted.predict
    return search


# Probabilities ----------------------------------------------------------------------------------------------------


def test_calibration_error_by_hand():
    confidence, right = np.repeat([0.6, 0.9], 50), np.r_[np.ones(25), np.zeros(25), np.ones(50)]
    assert calibration_error(confidence, right, n_bins=2) == pytest.approx((0.1 + 0.1) / 2)


def test_brier_decomposition_adds_up(data, rng):
    X, X_test, y, y_test = data
    levels = Given(lambda X: np.where(np.abs(X).sum(axis=1) * 1000 % 1 > 0.5, 0.95, 0.05))
    found = fires("calibration", levels, X, y, X_test, y_test)
    values = {one.name: one.value for one in found.evidence}
    whole = values["its reliability"] - values["its resolution"] + values["its uncertainty"]
    assert values["Brier score"] == pytest.approx(whole, abs=1e-9)
    assert values["Brier score"] == pytest.approx(brier_score_loss(y_test, levels.predict_proba(X_test)[:, 1]))

"""Checks of training, strengths, capacity, imbalance, probabilities, yardsticks and searches: causes and clean fits."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, brier_score_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skcnn import CNNClassifier
from skcnn._statistics import Estimate
from skcnn.diagnosis import CHECKS, LearningCurve, Memorises, NotApplicable
from skcnn.diagnosis._check import Finding
from skcnn.diagnosis._components import KerasModel
from skcnn.diagnosis._keras_refit import settings_of, trained_again
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis.checks._probabilities import calibration_error
from skcnn.diagnosis.checks._tuning import beyond
from skcnn.networks import Plain

CHECK_OF = {check.code: check for check in [*CHECKS, LearningCurve, Memorises]}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Given(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are a function of X, with a history; a fit changes nothing."""

    def __init__(self, of=None, history=None):
        self.of = of
        self.history = history
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
def rare():
    """One class has 6% of the samples and is hard to see."""
    return problem(n=8000, weights=[0.94], class_sep=0.4)


def look(code, model, X, y, X_test=None, y_test=None, refits=0):
    return CHECK_OF[code]().look(Observations(model, X, y, X_test, y_test, fast=True, refits=refits))


def found(*args, **settings):
    answer = look(*args, **settings)
    assert isinstance(answer, Finding), answer
    assert answer.what
    return answer


def cause(*args, **settings):
    answer = found(*args, **settings)
    assert answer.is_cause, (answer.what, answer.effect, answer.measured)
    assert answer.measured
    return answer


def note(*args, **settings):
    answer = found(*args, **settings)
    assert not answer.is_cause, answer.effect
    return answer


def silent(*args, **settings):
    try:
        answer = look(*args, **settings)
    except NotApplicable:  # "cannot tell" accuses nobody either
        return
    assert isinstance(answer, str), answer


def nonsense(X):
    return (np.abs(X).sum(axis=1) * 1000) % 1


# Batch statistics -------------------------------------------------------------------------------------------------


def shallow(momentum):
    import keras

    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.BatchNormalization(momentum=momentum)(layers.Conv2D(8, 3, use_bias=False)(inputs))
    x = layers.Dropout(0.1)(layers.Flatten()(layers.ReLU()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def test_batch_statistics_of_a_custom_network(digits):
    X, y = digits
    X = 5 + 10 * X

    def network(input_shape, n_outputs):
        return shallow(0.999)

    import keras

    keras.utils.set_random_seed(0)
    model = network(None, None)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X[:200], y[:200], epochs=8, verbose=0)
    before = [w.copy() for w in model.get_weights()]
    answer = cause("batch_statistics", model, X[:200], y[:200], X[200:900], y[200:900])
    assert answer.effect.value > 0.1
    assert answer.mended.test.score.value > 0.7
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_batch_statistics_of_a_pipeline(digits):
    X, y = digits
    flat = X.reshape(len(X), -1)
    net = Plain((4, 8), pooling=None)
    cnn = CNNClassifier(net, schedule="constant", standardize=None, input_shape=(8, 8, 1), epochs=25, random_state=0)
    pipe = make_pipeline(StandardScaler(), cnn).fit(flat[:200], y[:200])
    silent("batch_statistics", pipe, flat[:200], y[:200], flat[200:500], y[200:500])
    bare = CNNClassifier(Plain((2,), normalization=None), epochs=1).fit(X[:50], y[:50])
    with pytest.raises(NotApplicable, match="no batch normalisation"):
        look("batch_statistics", bare, X[:50], y[:50])
    # Statistics of nobody: the finding does not hang on how the engine takes them.
    from dataclasses import replace

    fitted = cnn._fitted
    names = [weight.path for weight in cnn.to_keras().weights]
    lost = [
        np.zeros_like(w) if "moving_mean" in n else np.ones_like(w) if "moving_variance" in n else w
        for n, w in zip(names, fitted.weights, strict=True)
    ]
    pipe.steps[-1] = ("cnn", cnn._as(replace(fitted, progress=replace(fitted.progress, weights=lost))))
    answer = cause("batch_statistics", pipe, flat[:200], y[:200], flat[200:500], y[200:500])
    assert answer.mended.train.score.value > 0.95


# Training ---------------------------------------------------------------------------------------------------------


FALLING = [1.0 - 0.08 * i for i in range(10)]
SETTLED = [0.5**i for i in range(10)]


def test_loss_curves(data):
    X, _, y, _ = data
    note("loss_never_fell", Given(lambda X: np.full(len(X), 0.6), {"loss": [0.7, 0.71] * 5}), X, y)
    silent("loss_never_fell", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)
    note("loss_falling", Given(lambda X: np.full(len(X), 0.6), {"loss": FALLING}), X, y)
    silent("loss_falling", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)
    turned = {"loss": SETTLED, "val_loss": [1, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]}
    note("val_turned", Given(lambda X: np.full(len(X), 0.6), turned), X, y)
    silent("val_turned", Given(lambda X: np.full(len(X), 0.6), {**turned, "val_loss": SETTLED}), X, y)
    kept = Given(lambda X: np.full(len(X), 0.6), turned)
    kept.best_iter_ = 3
    silent("val_turned", kept, X, y)
    note("loss_blew_up", Given(lambda X: np.full(len(X), 0.6), {"loss": [5e3, 1.0, 0.9, 0.8, 0.7]}), X, y)
    silent("loss_blew_up", Given(lambda X: np.full(len(X), 0.6), {"loss": SETTLED}), X, y)
    with pytest.raises(NotApplicable, match="keeps no 'loss'"):
        look("loss_falling", LogisticRegression().fit(X, y), X, y)


def test_too_short_a_training_costs_what_more_epochs_gain(data):
    X, X_test, y, y_test = data
    short = MLPClassifier((8,), learning_rate_init=1e-3, max_iter=4, random_state=0).fit(X, y)
    answer = cause("loss_falling", short, X, y, X_test, y_test, refits=1)
    assert answer.facts["params"] == {"max_iter": 16}
    longer = MLPClassifier((8,), learning_rate_init=1e-3, max_iter=16, random_state=0).fit(X, y)
    assert answer.effect.value == pytest.approx(longer.score(X_test, y_test) - short.score(X_test, y_test))
    by_lead = cause("loss_falling", short, X, y, X_test, y_test)  # not fitted again
    assert "within reach at least" in by_lead.measured
    assert by_lead.mended.test.score.value > 0.9


def test_a_learning_rate_too_high_or_too_low(data):
    X, X_test, y, y_test = data
    high = MLPClassifier((16,), solver="sgd", learning_rate_init=8.0, max_iter=20, random_state=0).fit(30 * X, y)
    answer = cause("loss_blew_up", high, 30 * X, y, 30 * X_test, y_test, refits=2)
    assert answer.facts["params"] == {"learning_rate_init": 0.001}
    low = MLPClassifier((16,), learning_rate_init=1e-7, max_iter=20, random_state=0).fit(X, y)
    answer = cause("overdone", low, X, y, X_test, y_test, refits=3)
    assert answer.facts["params"] == {"learning_rate_init": 0.001}


def test_no_class_weight_is_taken_for_a_loss_that_blew_up(rng):
    X, y = rng.normal(size=(600, 6, 6, 1)).astype("float32"), (np.arange(600) % 60 == 0).astype(int)
    X[y == 1] += 0.5
    cnn = CNNClassifier(Plain((2,)), epochs=3, class_weight="balanced", random_state=0).fit(X, y)
    silent("loss_blew_up", cnn, X, y)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (SVC(C=1e-4), "C"),
        (SVC(gamma=100.0), "gamma"),
        (KNeighborsClassifier(n_neighbors=500), "n_neighbors"),
        (RandomForestClassifier(30, min_samples_leaf=250, random_state=0), "min_samples_leaf"),
        (LogisticRegression(class_weight={0: 50.0, 1: 1.0}), "class_weight"),
        (MLPClassifier((8,), alpha=100.0, max_iter=60, random_state=0), "alpha"),
        (DecisionTreeClassifier(max_depth=1), "max_depth"),
    ],
)
def test_overdone(model, name):
    X, X_test, y, y_test = problem(n=1200, class_sep=1.0, n_clusters_per_class=2, weights=[0.55])
    answer = cause("overdone", model.fit(X, y), X, y, X_test, y_test, refits=4)
    assert set(answer.facts["params"]) == {name}
    usual = answer.mended.estimator.score(X_test, y_test)
    assert answer.effect.value == pytest.approx(usual - model.score(X_test, y_test))


def test_a_strength_that_costs_nothing_is_no_cause(data):
    X, X_test, y, y_test = data
    silent("overdone", LogisticRegression(C=1e-3).fit(X, y), X, y, X_test, y_test, refits=3)
    silent("overdone", LogisticRegression(C=1e6).fit(X, y), X, y, X_test, y_test, refits=3)
    note("overdone", LogisticRegression(C=1e-3).fit(X, y), X, y)


def test_dropout_of_a_network(digits):
    X, y = digits
    cnn = CNNClassifier(Plain((4,)), dropout=0.97, epochs=6, random_state=0).fit(X[:300], y[:300])
    answer = cause("overdone", cnn, X[:300], y[:300], X[300:800], y[300:800], refits=2)
    assert answer.facts["params"] == {"dropout": 0.0}


def test_settings_of_a_plain_keras_model(digits):
    import keras

    X, y = digits
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-6), "categorical_crossentropy")
    hot = np.eye(10)[y]
    model.fit(X[:300], hot[:300], epochs=15, batch_size=10, verbose=0)
    answer = cause("overdone", model, X[:300], hot[:300], X[300:800], hot[300:800], refits=2)
    assert answer.facts["params"] == {"learning_rate": 0.001}
    # The rate at the end of a schedule, or that a callback has lowered, is not what it was trained with.
    steps = 2 * 30
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, steps)), "categorical_crossentropy"
    )
    model.fit(X[:300], hot[:300], epochs=2, batch_size=10, verbose=0)
    assert settings_of(model, 300)[0] == {"epochs": 2, "batch_size": 10}
    longer = trained_again(KerasModel(model, y[:300]), {"epochs": 4}, X[:300], y[:300]).model
    assert longer.optimizer.get_config()["learning_rate"]["config"]["decay_steps"] == 2 * steps
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    lower = keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e6)
    model.fit(X[:300], hot[:300], epochs=5, batch_size=10, verbose=0, callbacks=[lower])
    assert settings_of(model, 300)[0]["learning_rate"] == pytest.approx(0.01)


# Overfitting, underfitting, samples -------------------------------------------------------------------------------


def test_gap_is_a_cause_only_where_regularisation_helps():
    X, X_test, y, y_test = problem(n=4000, class_sep=1.0)
    X, y = X[:800], y[:800].copy()
    y[::4] = 1 - y[::4]  # which it learns by heart
    loose = KNeighborsClassifier(n_neighbors=1).fit(X, y)
    answer = cause("gap", loose, X, y, X_test, y_test, refits=2)
    assert answer.facts["params"] == {"n_neighbors": 5}
    assert [replace(answer, effect=Estimate.around(gain, 0.01)).severity for gain in (0.04, 0.06, 0.12)] == [1, 2, 3]
    silent("gap", RandomForestClassifier(50, random_state=0).fit(X, y), X, y, X_test, y_test, refits=2)
    note("gap", loose, X, y, X_test, y_test)


def test_memorises_and_learning_curve():
    X, X_test, y, y_test = problem(n=8000, n_informative=9, class_sep=0.8, n_clusters_per_class=4)
    X, y = X[:900], y[:900]
    found("memorises", SVC(gamma=100.0).fit(X, y), X, y, X_test, y_test)
    silent("memorises", LogisticRegression().fit(X, y), X, y, X_test, y_test)
    found("learning_curve", SVC().fit(X[:200], y[:200]), X[:200], y[:200], X_test, y_test)
    easy = problem(n_informative=2, n_features=4, class_sep=3.0)
    silent("learning_curve", LogisticRegression().fit(easy[0], easy[2]), easy[0], easy[2], easy[1], easy[3])


def test_few_rows():
    X, X_test, y, y_test = problem(n=8000, n_informative=10, class_sep=1.0, n_clusters_per_class=2, n_classes=8)
    few = SVC().fit(X[:250], y[:250])
    answer = cause("few_rows", few, X[:250], y[:250], X_test, y_test)
    truth = SVC().fit(X[:500], y[:500]).score(X_test, y_test) - few.score(X_test, y_test)
    assert answer.effect.value == pytest.approx(truth, abs=0.06)
    silent("few_rows", SVC().fit(X[:3000], y[:3000]), X[:3000], y[:3000], X_test, y_test)
    easy = problem(n=300, n_informative=4, class_sep=2.0)
    silent("few_rows", LogisticRegression().fit(easy[0], easy[2]), easy[0], easy[2], easy[1], easy[3])
    note("few_rows", SVC().fit(X[:30], y[:30]), X[:30], y[:30], X_test, y_test)
    # More columns than the third of the samples that a learning curve begins with, and a linear model is the best.
    wide = np.random.default_rng(0).normal(size=(430, 150))
    labels = (wide[:, :20].sum(axis=1) > 0).astype(int)
    look("few_rows", SVC().fit(wide[:230], labels[:230]), wide[:230], labels[:230], wide[230:], labels[230:])


def test_few_images_begin_with_a_pretrained_network(digits):
    X, y = digits
    cnn = CNNClassifier(Plain(filters=(2,)), epochs=1, random_state=0).fit(X[:40], y[:40])
    assert "skcnn.networks.Backbone" in note("few_rows", cnn, X[:40], y[:40], X[40:400], y[40:400]).do
    flat = LogisticRegression().fit(X[:40].reshape(40, -1), y[:40])
    of_rows = note("few_rows", flat, X[:40].reshape(40, -1), y[:40], X[40:400].reshape(360, -1), y[40:400])
    assert of_rows.do == CHECK_OF["few_rows"].do


def test_symptoms_and_what_a_simple_model_has(data):
    X, X_test, y, y_test = data
    bad, good = Given(nonsense), LogisticRegression().fit(X, y)
    X_more, y_more = np.vstack([X_test] * 10), np.tile(y_test, 10)
    note("dummy", bad, X, y, X_more, y_more)
    network = Given(nonsense, {"loss": SETTLED})
    assert not note("baseline", bad, X, y, X_test, y_test).cures  # its owner has chosen its kind
    assert note("baseline", network, X, y, X_test, y_test).cures
    answer = cause("underfit", network, X, y, X_test, y_test)
    assert answer.effect.value == pytest.approx(good.score(X_test, y_test) - bad.score(X_test, y_test), abs=0.03)
    for code in ("dummy", "baseline", "underfit"):
        silent(code, good, X, y, X_test, y_test)


def test_regression_and_multilabel(data):
    X, X_test, _, _ = data
    backwards, straight = Ridge().fit(X, -X[:, 0]), Ridge().fit(X, X[:, 0])
    assert not found("underfit", backwards, X, X[:, 0], X_test, X_test[:, 0]).is_cause  # its kind was chosen on purpose
    for code in ("baseline", "underfit"):
        silent(code, straight, X, X[:, 0], X_test, X_test[:, 0])
    note("dummy", backwards, X, X[:, 0], X_test, X_test[:, 0])
    strong = Ridge(alpha=1e6).fit(X, X[:, 0])
    assert cause("overdone", strong, X, X[:, 0], X_test, X_test[:, 0], refits=2).effect.value > 0.9
    X, Y = make_multilabel_classification(600, 10, n_classes=4, random_state=0)
    for model in (RandomForestClassifier(30, random_state=0), RandomForestRegressor(30, random_state=0)):
        model.fit(X[:400], Y[:400])
        for code in ("gap", "few_rows", "baseline", "underfit", "overdone"):
            silent(code, model, X[:400], Y[:400], X[400:], Y[400:], refits=2)
    stump = DecisionTreeClassifier(min_samples_leaf=199, random_state=0).fit(X[:400], Y[:400])
    cause("overdone", stump, X[:400], Y[:400], X[400:], Y[400:], refits=2)


def test_receptive_field_and_dead_units(rng):
    n, steps = 240, 64
    X, y = rng.normal(scale=0.1, size=(n, steps, 1)).astype("float32"), np.arange(n) % 2
    X[:, 8, 0] += 2.0
    X[np.arange(n), np.where(y, 20, 50), 0] += 2.0
    blind = CNNClassifier(Plain((2,), pooling="avg"), schedule="constant", standardize=None, epochs=5, random_state=0)
    blind.fit(X[:160], y[:160])
    answer = cause("receptive_field", blind, X[:160], y[:160], X[160:], y[160:])
    assert answer.effect.value > 0.2
    seeing = CNNClassifier(Plain((2,), pooling=None), epochs=5, random_state=0).fit(X, y)
    silent("receptive_field", seeing, X, y)
    silent("dead_units", blind, X, y)
    killed = CNNClassifier(
        Plain((4,), normalization=None), standardize=None, learning_rate=30.0, optimizer="sgd", momentum=0.0, epochs=3
    )
    killed.set_params(clipnorm=1.0, random_state=0).fit(X + 3, y)
    note("dead_units", killed, X + 3, y)


def test_dead_units_are_counted_in_models_within_models(rng):
    import keras

    layers = keras.layers
    below = keras.initializers.Constant(-9)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu", bias_initializer=below)])
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, "relu"), inner, layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    X, y = rng.normal(size=(60, 4)).astype("float32"), np.arange(60) % 2
    assert "In layer ReLU 2 100% of the units are 0" in found("dead_units", model, X, y).what


# Imbalance and decisions ------------------------------------------------------------------------------------------


def test_a_rare_class_costs_what_another_threshold_gains(rare, data):
    X, X_test, y, y_test = rare
    model = LogisticRegression().fit(X, y)
    answer = cause("class_shares", model, X, y, X_test, y_test)
    assert answer.facts["rare"] == 1
    balanced = LogisticRegression(class_weight="balanced").fit(X, y)
    before, after = (balanced_accuracy_score(y_test, one.predict(X_test)) for one in (model, balanced))
    assert answer.effect.value == pytest.approx(after - before, abs=0.05)
    assert balanced_accuracy_score(y_test, answer.mended.test.predicted) == pytest.approx(
        before + answer.effect.value, abs=0.03
    )
    cause("threshold", model, X, y, X_test, y_test)
    note("majority_baseline", model, X, y, X_test, y_test)
    note("recall_spread", model, X, y, X_test, y_test)
    for code in ("class_shares", "threshold", "majority_baseline"):
        silent(code, balanced, X, y, X_test, y_test)
    for code in ("class_shares", "recall_spread", "threshold", "majority_baseline"):
        silent(code, LogisticRegression().fit(data[0], data[2]), *(data[i] for i in (0, 2, 1, 3)))


def test_the_rarest_class_is_one_that_has_samples(rare):
    import keras

    first = keras.layers.Dense(3, "softmax", kernel_initializer="zeros", bias_initializer="zeros")
    model = keras.Sequential([keras.Input((10,)), first])  # with an output to spare
    model.compile("sgd", "sparse_categorical_crossentropy")
    X, X_test, y, y_test = rare
    assert found("class_shares", model, X, y, X_test, y_test).facts["rare"] == 1


def test_threshold_of_scores_and_of_several_classes(rare):
    X, X_test, y, y_test = rare
    cause("threshold", SVC().fit(X[:2000], y[:2000]), X[:2000], y[:2000], X_test, y_test)
    X, X_test, y, y_test = problem(n=4000, n_classes=3, weights=[0.85, 0.1], class_sep=0.7)
    answer = cause("threshold", LogisticRegression().fit(X, y), X, y, X_test, y_test)
    assert "class shares" in answer.measured
    chance = Given(nonsense)
    X, X_test, y, y_test = rare
    with pytest.raises(NotApplicable, match="no better than chance"):
        look("threshold", chance, X, y, X_test, y_test)


def test_majority_collapse(data):
    X, X_test, y, y_test = data
    constant = Given(lambda X: np.full(len(X), 0.1))
    note("majority_collapse", constant, X, y, X_test, y_test)
    note("majority_collapse", constant, X, y)
    silent("majority_collapse", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_metric_unfit(rare, data):
    X, X_test, y, y_test = rare
    grid = {"C": [0.1, 1.0]}
    note("metric_unfit", GridSearchCV(LogisticRegression(), grid).fit(X, y), X, y, X_test, y_test)
    better = GridSearchCV(LogisticRegression(), grid, scoring="average_precision").fit(X, y)
    silent("metric_unfit", better, X, y, X_test, y_test)
    X, X_test, y, y_test = data
    silent("metric_unfit", GridSearchCV(LogisticRegression(), grid).fit(X, y), X, y, X_test, y_test)


def test_balanced_twice(rare):
    X, X_test, y, y_test = rare
    twice = make_resampling_pipeline(SMOTE(random_state=0), LogisticRegression(class_weight={0: 1, 1: 20})).fit(X, y)
    answer = cause("balanced_twice", twice, X, y, X_test, y_test, refits=1)
    assert "smote and logisticregression__class_weight" in answer.what
    harmless = make_resampling_pipeline(SMOTE(random_state=0), LogisticRegression(class_weight="balanced")).fit(X, y)
    note("balanced_twice", harmless, X, y, X_test, y_test, refits=1)
    silent("balanced_twice", LogisticRegression(class_weight="balanced").fit(X, y), X, y, X_test, y_test)


def test_calibration(data):
    X, X_test, y, y_test = data
    sure = Given(lambda X: np.where(nonsense(X) > 0.5, 1.0, 0.0))
    note("calibration", sure, X, y, X_test, y_test)
    silent("calibration", LogisticRegression().fit(X, y), X, y, X_test, y_test)


def test_calibration_error_by_hand():
    confidence, right = np.repeat([0.6, 0.9], 50), np.r_[np.ones(25), np.zeros(25), np.ones(50)]
    assert calibration_error(confidence, right, n_bins=2) == pytest.approx((0.1 + 0.1) / 2)


def test_brier_decomposition_adds_up(data):
    X, X_test, y, y_test = data
    levels = Given(lambda X: np.where(nonsense(X) > 0.5, 0.95, 0.05))
    values = {one.name: one.value for one in note("calibration", levels, X, y, X_test, y_test).evidence}
    whole = values["its reliability"] - values["its resolution"] + values["its uncertainty"]
    assert values["Brier score"] == pytest.approx(whole, abs=1e-9)
    assert values["Brier score"] == pytest.approx(brier_score_loss(y_test, levels.predict_proba(X_test)[:, 1]))


# Search -----------------------------------------------------------------------------------------------------------


def searched(scores, values, fitted):
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
        estimator=LogisticRegression(),
        best_estimator_=fitted,
        predict=fitted.predict,
    )


def test_edge_and_noise(data):
    X, _, y, _ = data
    fitted = LogisticRegression().fit(X, y)
    values = [0.01, 0.1, 1.0]
    rising = searched([[0.5, 0.51, 0.5], [0.7, 0.71, 0.72], [0.9, 0.92, 0.91]], values, fitted)
    assert note("edge", rising, X, y).facts["further"] == 10
    silent("edge", searched([[0.5, 0.5, 0.5], [0.9] * 3, [0.7] * 3], values, fitted), X, y)
    tiny = [[0.435, 0.43, 0.44], [0.435, 0.44, 0.43], [0.54, 0.5, 0.58]]
    assert note("edge", searched(tiny, [1e-6, 1e-5, 1e-4], fitted), X, y).facts["further"] == pytest.approx(1e-3)
    falling = searched([[0.9, 0.92, 0.91], [0.7, 0.71, 0.72], [0.5, 0.51, 0.5]], [1, 10, 100], fitted)
    assert note("edge", falling, X, y).facts["further"] == pytest.approx(0.1)
    note("noise", searched([[0.7, 0.9, 0.8], [0.8, 0.7, 0.9], [0.9, 0.8, 0.72]], values, fitted), X, y)
    silent("noise", searched([[0.5, 0.51, 0.5], [0.7] * 3, [0.9, 0.92, 0.9]], values, fitted), X, y)


def test_beyond_by_hand():
    assert beyond(1, 10, whole=False) == pytest.approx(0.1)
    assert beyond(100, 10, whole=True) == 1000
    assert beyond(1, 2, whole=True) is None
    assert beyond(1e-4, 1e-5, whole=False) == pytest.approx(1e-3)
    assert beyond(0.2, 0.0, whole=False) == pytest.approx(0.4)

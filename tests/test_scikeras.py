"""The bridge for users of scikeras: what is repaired, what stays, and what is carried over to skcnn's engine."""

import pickle
from fractions import Fraction

import keras
import numpy as np
import pytest
from common import printed_by
from scikeras import wrappers
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier, is_regressor
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, TunedThresholdClassifierCV, check_cv, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder
from sklearn.utils.estimator_checks import check_regressor_multioutput, estimator_checks_generator

from skcnn import CNNClassifier, CNNRegressor, check_grid
from skcnn._engine.blueprint import trace_count
from skcnn.exceptions import OneHotWarning
from skcnn.scikeras import KerasClassifier, KerasRegressor, convert

layers = keras.layers

# Model functions of the kinds that scikeras documents ----------------------------------------------------------------


def seeded(units, activation=None, seed=0, **settings):
    """Return a dense layer with weights that are the same in every model."""
    return layers.Dense(units, activation, kernel_initializer=keras.initializers.GlorotUniform(seed), **settings)


def get_clf_model(hidden_layer_dim, meta, compile_kwargs):
    """scikeras' first example: everything about the data comes from `meta`, and the model is compiled here."""
    kind = meta["target_type_"]
    model = keras.Sequential([keras.Input(meta["X_shape_"][1:]), seeded(hidden_layer_dim, "relu")])
    if kind == "multiclass":
        model.add(seeded(meta["n_classes_"], "softmax", seed=1))
        loss = "sparse_categorical_crossentropy"
    else:
        model.add(seeded(1 if kind == "binary" else meta["n_classes_"], "sigmoid", seed=1))
        loss = "binary_crossentropy"
    model.compile(loss=loss, optimizer=compile_kwargs["optimizer"], metrics=compile_kwargs["metrics"])
    return model


def binary_model(units=8):
    """Compiled by the function alone, without looking at the data."""
    model = keras.Sequential([keras.Input((4,)), seeded(units, "tanh"), seeded(1, "sigmoid", seed=1)])
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(0.1))
    return model


def two_units_model():
    """A binary model with a softmax over two units, not compiled."""
    return keras.Sequential([keras.Input((4,)), seeded(8, "relu"), seeded(2, seed=1), layers.Activation("softmax")])


def image_model(meta, filters=4):
    """Convolutions on images; functional, not compiled."""
    inputs = keras.Input(meta["X_shape_"][1:])
    initializer = keras.initializers.GlorotUniform(0)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer=initializer)(inputs)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Softmax()(seeded(meta["n_classes_"], seed=1)(x)))


def normalised_model(rate=0.0):
    """Batch normalisation and dropout; compiled by the estimator's parameters."""
    body = seeded(8, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(rate)
    return keras.Sequential([keras.Input((4,)), *body, seeded(3, "softmax", seed=1)])


def regression_model(meta):
    return keras.Sequential([keras.Input(meta["X_shape_"][1:]), seeded(8, "tanh"), seeded(meta["n_outputs_"], seed=1)])


def multilabel_model(meta):
    return keras.Sequential([keras.Input(meta["X_shape_"][1:]), seeded(meta["n_classes_"], "sigmoid")])


# Data ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    """Rows (60, 4) in three classes of 30, 20 and 10, the rows of a class side by side."""
    y = np.repeat([0, 1, 2], [30, 20, 10])
    return np.random.default_rng(0).normal(size=(60, 4)).astype("float32") + y[:, None], y


@pytest.fixture(scope="module")
def binary(rows):
    X, y = rows
    return X[:50], y[:50]


QUIET = {"verbose": 0, "random_state": 0}


def classifier(**params):
    defaults = {"optimizer": "adam", "optimizer__learning_rate": 0.05, "epochs": 2}
    return KerasClassifier(get_clf_model, hidden_layer_dim=8, **QUIET | defaults | params)


@pytest.fixture(scope="module")
def fitted(binary):
    return classifier(epochs=2, batch_size=5).fit(*binary)


# What is repaired ----------------------------------------------------------------------------------------------------


def test_scikit_learn_knows_what_they_are():
    assert is_classifier(KerasClassifier())
    assert is_regressor(KerasRegressor())
    assert not is_classifier(wrappers.KerasClassifier())  # scikeras
    assert KerasClassifier().__sklearn_tags__().input_tags.sparse
    assert KerasRegressor().__sklearn_tags__().target_tags.multi_output


def test_folds_are_stratified(rows):
    X, y = rows
    for estimator, shares in ((classifier(), {(6, 4, 2)}), (wrappers.KerasClassifier(), {(12, 0, 0), (0, 2, 10)})):
        folds = check_cv(5, y, classifier=is_classifier(estimator)).split(X, y)
        counts = {tuple(np.bincount(y[test], minlength=3).tolist()) for _, test in folds}
        assert shares <= counts


def test_scorers_and_ensembles_take_it_for_a_classifier(binary, fitted):
    X, y = binary
    clf = classifier(epochs=3, batch_size=5)
    assert cross_val_score(clf, X, y, scoring="roc_auc", cv=2).min() > 0.7
    voting = VotingClassifier([("net", clf), ("line", LogisticRegression())], voting="soft").fit(X, y)
    assert voting.score(X, y) > 0.6
    stacking = StackingClassifier([("net", fitted)], LogisticRegression(), cv="prefit").fit(X, y)
    assert stacking.predict_proba(X).shape == (50, 2)
    tuned = TunedThresholdClassifierCV(fitted, scoring="balanced_accuracy", cv="prefit", refit=False).fit(X, y)
    assert tuned.score(X, y) > 0.6


def test_class_weight_leaves_the_weights_of_the_caller_alone(rows):
    X, y = rows
    weight, own = np.ones(60), np.ones(60)
    weighted = classifier(class_weight={0: 1, 1: 2, 2: 5}).fit(X, y, sample_weight=weight)
    assert (weight == 1).all()
    wrappers.KerasClassifier(get_clf_model, hidden_layer_dim=8, class_weight={0: 1, 1: 2, 2: 5}, **QUIET).fit(X, y, own)
    assert (own != 1).any()  # scikeras
    by_hand = classifier().fit(X, y, sample_weight=np.array([1, 2, 5])[y])
    np.testing.assert_allclose(weighted.predict_proba(X), by_hand.predict_proba(X), atol=1e-6)


def test_one_row_has_probabilities_of_both_axes(fitted, rows, binary):
    X, y = rows
    assert fitted.predict_proba(binary[0][:1]).shape == (1, 2)
    three = classifier(epochs=1).fit(X, y)
    assert three.predict_proba(X[:1]).shape == (1, 3)
    np.testing.assert_allclose(three.predict_proba(X[:1]), three.predict_proba(X)[:1], atol=1e-6)
    assert three.predict(X[:1]).shape == (1,)


def test_each_draw_of_a_random_state_is_another_seed(binary):
    state = np.random.RandomState(0)
    seeds = [classifier(random_state=state).initialize(*binary)._random_state for _ in range(3)]
    assert len(set(seeds)) == 3
    again = classifier(random_state=np.random.RandomState(0)).initialize(*binary)
    assert again._random_state == seeds[0]
    theirs = wrappers.KerasClassifier(get_clf_model, hidden_layer_dim=8, random_state=np.random.RandomState(5))
    assert theirs.initialize(*binary)._random_state == 0  # scikeras


class Recorded(KerasClassifier):
    """Keeps what is given to Keras."""

    def _fit_keras_model(self, X, y, **kwargs):
        self.given_ = {"X": X, "y": y, **kwargs}
        super()._fit_keras_model(X, y, **kwargs)


def test_validation_rows_are_stratified_shuffled_and_weighted(rows):
    X, y = rows
    clf = Recorded(get_clf_model, hidden_layer_dim=8, validation_split=0.2, **QUIET)
    clf.fit(X, y, sample_weight=np.arange(1.0, 61.0))
    X_val, y_val, weight = clf.given_["validation_data"]
    assert np.bincount(y_val.ravel().astype(int)).tolist() == [6, 4, 2]
    assert "val_loss" in clf.history_
    places = weight.astype(int) - 1
    np.testing.assert_array_equal(X_val, X[places])
    assert set(places) != set(range(48, 60))  # Keras' last rows
    assert not set(places) & set(clf.given_["sample_weight"].astype(int) - 1)


def test_equal_rows_stay_on_one_side_of_the_validation_split(rows):
    X, y = rows
    clf = Recorded(get_clf_model, hidden_layer_dim=8, validation_split=0.2, **QUIET)
    clf.fit(np.repeat(X, 2, axis=0), np.repeat(y, 2))
    validation, training = (
        {row.tobytes() for row in part} for part in (clf.given_["validation_data"][0], clf.given_["X"])
    )
    assert validation
    assert not validation & training


def test_validation_split_may_be_routed_and_own_validation_data_are_kept(rows):
    X, y = rows
    routed = Recorded(get_clf_model, hidden_layer_dim=8, fit__validation_split=0.5, **QUIET).fit(X, y)
    assert len(routed.given_["X"]) == 30
    own = Recorded(get_clf_model, hidden_layer_dim=8, **QUIET).fit(X, y, validation_data=(X[:5], y[:5]))
    assert len(own.given_["X"]) == 60
    assert len(own.given_["validation_data"][0]) == 5


def test_regression_splits_along_its_targets():
    X = np.linspace(0, 1, 50, dtype="float32")[:, None]
    reg = KerasRegressor(regression_model, loss="mse", validation_split=0.2, **QUIET).fit(X, X[:, 0] * 100)
    assert reg.predict(X).shape == (50,)
    assert "val_loss" in reg.history_


def test_shape_and_names_of_rows_are_checked(binary):
    pd = pytest.importorskip("pandas")
    X, y = binary
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = classifier(epochs=1).fit(frame, y)
    assert clf.feature_names_in_.tolist() == list("abcd")
    assert clf.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("dcba")])
    with pytest.raises(ValueError, match="5 features"):
        classifier(epochs=1).fit(X, y).predict(np.ones((2, 5)))
    assert clf.score(frame, y, sample_weight=np.ones(50)) > 0  # scikeras cannot index a frame
    images = KerasClassifier(image_model, loss="sparse_categorical_crossentropy", **QUIET)
    images.fit(np.ones((6, 4, 4, 1)), np.arange(6) % 3)
    with pytest.raises(ValueError, match=r"samples of shape \(4, 5, 1\)"):
        images.predict(np.ones((2, 4, 5, 1)))


def test_sparse_rows_are_as_good_as_dense_ones(binary):
    X, y = binary
    dense = classifier().fit(X, y).predict_proba(X)
    sparse = classifier(validation_split=0.0).fit(csr_array(X), y)  # scikeras knows csr_matrix only
    np.testing.assert_allclose(sparse.predict_proba(csr_array(X)), dense, atol=1e-5)
    assert len(classifier(validation_split=0.2).fit(csr_array(X), y).history_["val_loss"]) == 2


def test_objects_reach_keras_in_its_own_precision(binary):
    pd = pytest.importorskip("pandas")
    X, y = binary
    mixed = pd.DataFrame(X, columns=list("abcd")).astype({"a": object})
    clf = Recorded(two_units_model, loss="sparse_categorical_crossentropy", run_eagerly=True, batch_size=-1, **QUIET)
    for given, dtype in (
        (X.astype(object), "float32"),
        (X.astype(object).tolist(), "float64"),  # numbers, as NumPy reads them
        ([[Fraction(value.item()) for value in row] for row in X], "float32"),
        (mixed, "float32"),
        (X.astype("float64"), "float64"),
        (X.astype("uint8"), "uint8"),
    ):
        clf.fit(given, y)
        assert (clf.given_["X"].dtype, clf.X_dtype_) == (dtype, dtype)
    np.testing.assert_array_equal(
        clf.fit(X, y).predict_proba(mixed.to_numpy()), clf.predict_proba(X), strict=True
    )  # also to predict
    with pytest.raises(ValueError, match="could not convert string to float"):
        clf.fit(np.full((50, 4), "a", dtype=object), y)


def test_numbers_in_float64_are_predicted_in_it():
    regressor = KerasRegressor(regression_model, loss="mse", **QUIET)
    check_regressor_multioutput("KerasRegressor", regressor)
    X = np.random.default_rng(0).normal(size=(20, 3))
    for y, dtype in ((X[:, 0], "float64"), (X[:, :2], "float32")):
        predicted = regressor.fit(X.astype(dtype), y).predict(X.astype(dtype))
        assert (predicted.shape, predicted.dtype) == (y.shape, dtype)


@pytest.mark.parametrize(
    ("X", "y", "weight", "match"),
    [
        (np.full((6, 4), np.nan), np.arange(6) % 2, None, "NaN"),
        (np.full((6, 4), "a"), np.arange(6) % 2, None, "Convert"),
        (np.ones((6, 4)), np.arange(5) % 2, None, "inconsistent numbers"),
        (np.ones((6, 4)), np.linspace(0, 1, 6), None, "continuous"),
        (np.ones((6, 4)), np.zeros(6), None, "only one class"),
        (np.ones((6, 4)), None, None, "requires y"),
        (np.ones((6, 4)), np.arange(6) % 2, np.zeros(6), "zero"),
        (np.ones((6, 4)), np.arange(6) % 2, -np.ones(6), "at least 0"),
        (np.ones((6, 4)), np.arange(6) % 2, np.ones((6, 2)), "one weight per sample"),
    ],
)
def test_bad_input_is_refused_before_training(X, y, weight, match):
    clf = classifier()
    with pytest.raises(ValueError, match=match):
        clf.fit(X, y, sample_weight=weight)
    assert not hasattr(clf, "model_")


def test_keras_is_left_as_it_was_unless_scikeras_came_first():
    code = """
import numpy as np, keras
FIRST
import skcnn.scikeras
classes = keras.Model, keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer
print(*["scikeras" in cls.__reduce__.__module__ for cls in classes], hasattr(keras.Model, "__deepcopy__"))
from LIBRARY import KerasRegressor
def model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
X, y = np.ones((4, 2)), np.arange(4.0)
KerasRegressor(model, loss="mse", random_state=0, verbose=0).fit(X, y)
try:
    KerasRegressor(model, loss="mse", verbose=0).fit(X, y)
    print("fine")
except RuntimeError:  # a seeded fit broke unseeded ones
    print("broken")
"""
    ours, theirs = code.replace("FIRST", ""), code.replace("FIRST", "import scikeras")
    assert printed_by(ours.replace("LIBRARY", "skcnn.scikeras")) == [*["False"] * 5, "fine"]
    assert printed_by(theirs.replace("LIBRARY", "scikeras.wrappers")) == [*["True"] * 5, "broken"]


# What stays as scikeras documents it ---------------------------------------------------------------------------------


def test_predictions_are_those_of_scikeras(binary):
    X, y = binary
    ours, theirs = classifier(epochs=3), wrappers.KerasClassifier(**classifier(epochs=3).get_params())
    np.testing.assert_array_equal(ours.fit(X, y).predict_proba(X), theirs.fit(X, y).predict_proba(X))


def test_labels_of_any_type_come_back(binary):
    X, y = binary
    labels = np.array(["no", "yes"])[y]
    clf = classifier(epochs=3, batch_size=5).fit(X, labels)
    assert clf.classes_.tolist() == ["no", "yes"]
    assert clf.score(X, labels) > 0.7
    one_hot = np.eye(2)[y]
    assert KerasClassifier(multilabel_model, loss="binary_crossentropy", **QUIET).fit(X, one_hot).predict(X).shape == (
        50,
        2,
    )


class Rate(keras.callbacks.Callback):
    def __init__(self, rate=0.5):
        super().__init__()
        self.rate = rate
        self.n_predictions = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.rate

    def on_predict_end(self, logs=None):
        self.n_predictions += 1


def test_parameters_are_routed(binary):
    X, y = binary
    clf = KerasClassifier(
        two_units_model,
        optimizer=keras.optimizers.SGD,
        optimizer__momentum=0.5,
        loss=keras.losses.SparseCategoricalCrossentropy,
        loss__from_logits=False,
        loss__name="own",
        callbacks=Rate,
        callbacks__rate=0.25,
        fit__epochs=3,
        fit__batch_size=50,
        predict__batch_size=7,
        metrics=["accuracy"],
        **QUIET,
    )
    clf.fit(X, y).predict(X)
    assert clf.model_.optimizer.momentum == 0.5
    assert float(clf.model_.optimizer.learning_rate) == 0.25
    assert clf.model_.loss.name == "own"
    assert len(clf.history_["accuracy"]) == 3
    assert int(clf.model_.optimizer.iterations) == 3
    assert clf._predict_callbacks[0].n_predictions == 1
    clf.set_params(callbacks__rate=0.125, model__units=3, epochs=1, model=binary_model, optimizer__momentum=0.0)
    assert clf.get_params()["model__units"] == 3
    assert clone(clf).set_params(loss=None).fit(X, y).model_.count_params() == 3 * 5 + 4


def test_search_over_routed_parameters(binary):
    grid = {"hidden_layer_dim": [2, 4], "optimizer__learning_rate": [0.01]}
    search = GridSearchCV(classifier(epochs=1), grid, cv=ShuffleSplit(1, random_state=0))
    assert search.fit(*binary).best_score_ > 0
    assert search.best_estimator_.model_.layers[0].units in (2, 4)


class TwoTargets(TransformerMixin, BaseEstimator):
    """scikeras' example of an encoder for two outputs: a binary and a multiclass one."""

    def fit(self, y):
        self.encoders_ = [LabelEncoder().fit(column) for column in y.T]
        self.classes_ = [encoder.classes_ for encoder in self.encoders_]
        self.n_outputs_ = self.n_outputs_expected_ = 2
        return self

    def transform(self, y):
        return [encoder.transform(column) for encoder, column in zip(self.encoders_, y.T, strict=True)]

    def inverse_transform(self, y, return_proba=False):
        if return_proba:
            return y
        codes = [(y[0].ravel() > 0.5).astype(int), y[1].argmax(axis=1)]
        return np.column_stack([e.inverse_transform(c) for e, c in zip(self.encoders_, codes, strict=True)])

    def get_metadata(self):
        return {name: getattr(self, name) for name in ("classes_", "n_outputs_", "n_outputs_expected_")}


class TwoOutputs(KerasClassifier):
    @property
    def target_encoder(self):
        return TwoTargets()

    @property
    def feature_encoder(self):
        return FunctionTransformer(lambda X: [X[:, :1], X[:, 1:]])

    @staticmethod
    def scorer(y_true, y_pred, **kwargs):
        return np.mean(y_true == y_pred)


def two_outputs_model():
    inputs = keras.Input((1,)), keras.Input((3,))
    x = layers.Dense(8, "relu")(layers.Concatenate()(inputs))
    outputs = layers.Dense(1, "sigmoid", name="one")(x), layers.Dense(3, "softmax", name="two")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss=["binary_crossentropy", "sparse_categorical_crossentropy"])
    return model


def test_several_inputs_and_outputs(rows):
    X, y = rows
    targets = np.column_stack([y > 0, y]).astype(int)
    clf = TwoOutputs(two_outputs_model, validation_split=0.2, epochs=2, **QUIET).fit(X, targets)
    assert clf.predict(X).shape == (60, 2)
    assert [part.shape for part in clf.predict_proba(X)] == [(60, 1), (60, 3)]
    assert 0 <= clf.score(X, targets) <= 1
    assert len(clf.history_["val_loss"]) == 2


def test_training_goes_on_with_partial_fit_and_warm_start(rows):
    X, y = rows
    clf = classifier(epochs=2, warm_start=True)
    clf.partial_fit(X[:30], y[:30], classes=[2, 1, 0]).partial_fit(X[30:], y[30:])
    assert clf.current_epoch == 2
    assert clf.predict_proba(X).shape == (60, 3)
    model = clf.model_
    assert clf.fit(X, y).model_ is model
    with pytest.raises(ValueError, match="dimensions"):
        clf.partial_fit(X, np.eye(3)[y])


def test_classes_stay_known_when_a_warm_start_goes_on(rows):
    X, y = rows
    clf = classifier(warm_start=True).fit(X, y).fit(X[:50], y[:50])  # of the third class there is nothing new
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.predict_proba(X).shape == (60, 3)
    assert clf.set_params(warm_start=False).fit(X[:50], y[:50]).classes_.tolist() == [0, 1]


def test_initialise_without_training(binary):
    clf = KerasClassifier(binary_model(), **QUIET).initialize(*binary)
    assert clf.predict_proba(binary[0]).shape == (50, 2)


def test_a_fitted_estimator_is_pickled_and_cloned(fitted, binary):
    X, _ = binary
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    copy = clone(KerasClassifier(two_units_model, optimizer=keras.optimizers.SGD(0.5, momentum=0.5), **QUIET))
    assert copy.optimizer.momentum == 0.5
    assert "KerasClassifier" in repr(fitted)
    assert "KerasClassifier" in fitted._repr_html_()


# Conversion ----------------------------------------------------------------------------------------------------------


def images(rows):
    _, y = rows
    return np.random.default_rng(1).normal(size=(60, 6, 6, 1)).astype("float32") + y[:, None, None, None], y


def targets(rows):
    X, _ = rows
    return X, X[:, 0] * 3 + np.sin(X[:, 1])


def two_targets(rows):
    X, y = targets(rows)
    return X, np.column_stack([y, X[:, 2]])


def pairs(rows):
    X, y = rows
    return X[:50], np.array(["no", "yes"])[y[:50]]


def indicators(rows):
    X, y = rows
    return X, np.column_stack([y > 0, y > 1, np.ones(60) - (y == 1)]).astype(int)


KINDS = {  # an estimator, but for its optimizer, and its data
    "meta and compile_kwargs, multiclass": (KerasClassifier(get_clf_model, hidden_layer_dim=8), lambda rows: rows),
    "meta, binary": (KerasClassifier(get_clf_model, hidden_layer_dim=8), pairs),
    "softmax over two units": (KerasClassifier(two_units_model, loss="sparse_categorical_crossentropy"), pairs),
    "convolutions, one-hot loss": (
        KerasClassifier(
            image_model, loss=keras.losses.CategoricalCrossentropy, loss__label_smoothing=0.1, model__filters=3
        ),
        images,
    ),
    "batch normalisation, balanced": (
        KerasClassifier(
            normalised_model,
            loss=keras.losses.SparseCategoricalCrossentropy(),
            class_weight="balanced",
            model__rate=0.0,
        ),
        lambda rows: rows,
    ),
    "multilabel": (KerasClassifier(multilabel_model, loss="binary_crossentropy"), indicators),
    "regression": (KerasRegressor(regression_model, loss="mse"), targets),
    "regression on two targets": (KerasRegressor(regression_model, loss=keras.losses.Huber()), two_targets),
    "scikeras' own class": (wrappers.KerasRegressor(regression_model, loss="mean_absolute_error"), targets),
}
SGD = {"optimizer": keras.optimizers.SGD, "optimizer__learning_rate": 0.05}
MOMENTUM = {"optimizer": keras.optimizers.SGD(0.02, momentum=0.9)}
NESTEROV = {"optimizer": keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True)}
ADAM = {"optimizer": "adam"}
RMSPROP = {"optimizer": keras.optimizers.RMSprop(clipnorm=1.0)}


def outputs(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def check_agreement(estimator, X, y, epochs):
    """Train both on the same batches, which skcnn draws from seed and epoch, and compare what they predict."""
    estimator = clone(estimator).set_params(batch_size=16, epochs=epochs, **QUIET)
    converted = convert(estimator).set_params(batch_statistics="moving").fit(X, y)  # Keras' own
    known = {"classes": np.unique(y)} if y.ndim == 1 and is_classifier(converted) else {}
    weight = np.ones(len(y))
    untrained = outputs(estimator.initialize(X, y), X)
    for epoch in range(epochs):
        order = np.random.default_rng([converted._fitted.seed, epoch]).permutation(len(y))
        estimator.partial_fit(X[order], y[order], sample_weight=weight, shuffle=False, **known)
    np.testing.assert_allclose(outputs(converted, X), outputs(estimator, X), atol=1e-5)
    assert np.abs(outputs(converted, X) - untrained).max() > 1e-3
    return estimator


@pytest.mark.parametrize("kind", KINDS)
def test_same_data_weights_and_order_give_the_same_predictions(kind, rows):
    estimator, data = KINDS[kind]
    X, y = data(rows)
    fitted = check_agreement(clone(estimator).set_params(**SGD), X, y, epochs=2)
    converted = convert(fitted)
    np.testing.assert_allclose(outputs(converted, X), outputs(fitted, X), atol=1e-6)
    np.testing.assert_array_equal(converted.predict(X[:1]).ravel(), converted.predict(X)[:1].ravel())
    assert isinstance(converted, CNNRegressor if is_regressor(converted) else CNNClassifier)
    assert converted.history_["loss"] == fitted.history_["loss"]
    again = pickle.loads(pickle.dumps(converted))
    np.testing.assert_array_equal(outputs(again, X), outputs(converted, X))


@pytest.mark.parametrize(("settings", "epochs"), [(MOMENTUM, 2), (NESTEROV, 2), (RMSPROP, 2), (ADAM, 1)])
def test_the_same_with_other_optimizers(settings, epochs, rows):
    check_agreement(KerasRegressor(regression_model, loss="mse", **settings), *targets(rows), epochs=epochs)


def test_an_optimizer_object_trains_nothing_itself(rows):
    X, y = targets(rows)
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    estimator = KerasRegressor(regression_model, loss="mse", optimizer=optimizer, epochs=2, **QUIET)
    first = estimator.fit(X, y).predict(X)
    assert estimator.optimizer is optimizer
    assert not optimizer.built
    assert estimator.model_.optimizer.iterations == 4
    np.testing.assert_array_equal(clone(estimator).fit(X, y).predict(X), first)
    np.testing.assert_array_equal(estimator.fit(X, y).predict(X), first)  # again, on a new model


def test_convert_of_an_estimator_of_scikeras_whose_optimizer_object_has_trained(rows, monkeypatch):
    for name in {"__reduce__", "__deepcopy__"} & vars(keras.optimizers.Optimizer).keys():
        monkeypatch.delattr(keras.optimizers.Optimizer, name)  # Keras copies it, as where skcnn imports scikeras
    X, y = targets(rows)
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    fitted = wrappers.KerasRegressor(regression_model, loss="mse", optimizer=optimizer, **QUIET).fit(X, y)
    assert optimizer.built
    np.testing.assert_allclose(convert(fitted).predict(X), fitted.predict(X), atol=1e-6)


def test_training_goes_on_from_the_weights_of_an_initialised_estimator(rows):
    def unseeded_model():
        return keras.Sequential([keras.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(1)])

    X, y = targets(rows)
    estimator = KerasRegressor(unseeded_model, loss="mse", batch_size=-1, warm_start=True, epochs=3, verbose=0, **SGD)
    converted = convert(estimator.initialize(X, y)).fit(X, y)
    np.testing.assert_allclose(converted.predict(X), estimator.fit(X, y).predict(X), atol=1e-5)


def test_a_prebuilt_model_trains_from_its_own_weights(rows):
    X, y = rows
    X, y = X[:50], y[:50]
    model = binary_model()
    model.set_weights([weight + 0.5 for weight in model.get_weights()])
    estimator = KerasClassifier(model, batch_size=-1, epochs=2, **QUIET)
    converted = convert(estimator).fit(X, y)
    np.testing.assert_allclose(converted.predict_proba(X), estimator.fit(X, y).predict_proba(X), atol=1e-5)


def test_what_the_estimator_says_is_carried():
    stop = keras.callbacks.EarlyStopping(patience=3, min_delta=0.01, restore_best_weights=True)
    estimator = KerasClassifier(
        two_units_model,
        loss=keras.losses.SparseCategoricalCrossentropy,
        optimizer="sgd",
        optimizer__learning_rate=0.3,
        optimizer__momentum=0.5,
        optimizer__nesterov=True,
        fit__epochs=7,
        batch_size=11,
        validation_split=0.25,
        callbacks=[stop, keras.callbacks.TerminateOnNaN()],
        class_weight={0: 2.0},
        metrics=["accuracy"],
        random_state=3,
    )
    params = convert(estimator).get_params(deep=False)
    expected = {
        "optimizer": "sgd",
        "learning_rate": 0.3,
        "momentum": 0.5,
        "nesterovs_momentum": True,
        "loss": "log_loss",
        "epochs": 7,
        "batch_size": 11,
        "early_stopping": True,
        "validation_fraction": 0.25,
        "n_iter_no_change": 3,
        "tol": 0.01,
        "scoring": "loss",
        "class_weight": {0: 2.0},
        "random_state": 3,
        "verbose": 2,
    }
    assert {name: params[name] for name in expected} == expected
    monitored = estimator.set_params(callbacks=keras.callbacks.EarlyStopping("val_accuracy", restore_best_weights=True))
    assert convert(monitored).scoring == "accuracy"
    assert convert(KerasClassifier(binary_model)).learning_rate == 0.1  # the function compiles with it


def test_early_stopping_stops_and_keeps_the_best(rows):
    X, y = rows
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    estimator = classifier(epochs=60, validation_split=0.25, callbacks=[stop], optimizer__learning_rate=1.0)
    converted = convert(estimator).fit(X, y)
    assert converted.n_iter_ < 60
    assert converted.n_iter_ - converted.best_iter_ == 2


def functional_with_two_inputs():
    inputs = keras.Input((2,)), keras.Input((2,))
    return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(inputs)))


def plateau():
    return keras.callbacks.ReduceLROnPlateau()


NOT_CARRIED = {
    "optimizer Nadam": {"optimizer": "nadam"},
    r"Adam\(beta_1=0.8\)": {"optimizer": "adam", "optimizer__beta_1": 0.8},
    r"Adam\(clipvalue=1.0\)": {"optimizer": keras.optimizers.Adam(clipvalue=1.0)},
    r"RMSprop\(centered=True\)": {"optimizer": keras.optimizers.RMSprop(centered=True)},
    "optimizer AdamW": {"optimizer": keras.optimizers.AdamW()},
    "learning_rate=CosineDecay": {"optimizer": keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10))},
    "loss 'log_cosh'": {"loss": "log_cosh"},
    "reduction='sum'": {"loss": keras.losses.MeanSquaredError(reduction="sum")},
    r"huber\(delta=2.0\)": {"loss": keras.losses.Huber(delta=2.0)},
    "loss='log_loss' in KerasRegressor": {"loss": "binary_crossentropy"},
    "shuffle=False": {"shuffle": False},
    "fit__initial_epoch=1": {"fit__initial_epoch": 1},
    "compile__loss_weights": {"compile__loss_weights": [1.0]},
    "callback ReduceLROnPlateau": {"callbacks": plateau()},
    "validation_split=0.2 with 0": {"validation_split": 0.2},
    "validation_split=0.0 with 1": {"callbacks": keras.callbacks.EarlyStopping(restore_best_weights=True)},
    "restore_best_weights=False": {"callbacks": keras.callbacks.EarlyStopping(), "validation_split": 0.2},
    "monitor='loss'": {"callbacks": keras.callbacks.EarlyStopping("loss"), "validation_split": 0.2},
    "start_from_epoch=3": {
        "callbacks": keras.callbacks.EarlyStopping(restore_best_weights=True, start_from_epoch=3),
        "validation_split": 0.2,
    },
    "2 inputs": {"model": functional_with_two_inputs},
}


@pytest.mark.parametrize("match", NOT_CARRIED)
def test_what_cannot_be_carried_is_named(match):
    estimator = KerasRegressor(regression_model, loss="mse").set_params(**NOT_CARRIED[match])
    with pytest.raises(ValueError, match=match + ".*cannot be carried"):
        convert(estimator)


def test_own_encoders_and_scorers_are_named():
    with pytest.raises(ValueError, match="target_encoder of TwoOutputs cannot be carried"):
        convert(TwoOutputs(two_outputs_model))


def test_convert_takes_nothing_else():
    with pytest.raises(TypeError, match="LogisticRegression; expected a KerasClassifier"):
        convert(LogisticRegression())


def compiles_otherwise(meta):
    model = regression_model(meta)
    model.compile(keras.optimizers.SGD(0.125), loss="mse")
    return model


def test_a_function_that_compiles_otherwise_is_refused_until_it_has_seen_data(rows):
    X, y = targets(rows)
    estimator = KerasRegressor(compiles_otherwise, optimizer="adam", verbose=0)
    with pytest.raises(ValueError, match=r"optimizer='sgd', but the estimator says optimizer='adam'.*initialize"):
        convert(estimator).fit(X, y)
    converted = convert(estimator.initialize(X, y))
    assert (converted.optimizer, converted.learning_rate) == ("sgd", 0.125)


def test_the_loss_must_be_that_of_the_targets(rows):
    X, y = rows
    one_hot = np.eye(3, dtype=int)[y]
    estimator = KerasClassifier(image_model, loss="categorical_crossentropy", **QUIET)
    pixels = np.zeros((60, 4, 4, 1))
    refused = pytest.raises(ValueError, match=r"for multilabel-indicator targets cannot be carried.*argmax")
    with pytest.warns(OneHotWarning), refused:
        convert(estimator).fit(pixels, one_hot)
    with pytest.raises(ValueError, match="argmax"):
        convert(estimator.fit(pixels, one_hot))
    logits = KerasClassifier(
        normalised_model, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **QUIET
    )
    with pytest.raises(ValueError, match=r"a model that ends in softmax cannot be carried: .* expects no activation"):
        convert(logits).fit(X, y)


def test_models_that_give_logits_stay_as_they_are(rows):
    def logits():
        return keras.Sequential([keras.Input((4,)), seeded(3)])

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    X, y = rows
    fitted = KerasClassifier(logits, loss=loss, **QUIET).fit(X, y)
    np.testing.assert_allclose(convert(fitted).predict_proba(X), softmax(fitted.predict_proba(X), axis=1), atol=1e-5)


def test_a_search_compiles_once_and_tunes_the_function(rows):
    X, y = rows
    converted = convert(classifier())
    search = GridSearchCV(converted, {"learning_rate": [0.01, 0.02], "class_weight": [None, "balanced"]}, cv=2)
    converted.fit(X, y)
    before = trace_count()
    search.fit(X, y)
    assert trace_count() - before <= 1  # predict, once
    units = GridSearchCV(converted, {"network__estimator__hidden_layer_dim": [3, 5]}, cv=2).fit(X, y)
    built = units.best_estimator_.to_keras()
    assert built.count_params() in (4 * 3 + 3 + 3 * 4, 4 * 5 + 5 + 3 * 6)


def test_a_kept_training_is_found_again(rows, tmp_path):
    X, y = rows
    converted = convert(classifier(epochs=2)).set_params(memory=str(tmp_path))
    first = converted.fit(X, y).predict_proba(X)
    n_kept = len(list(tmp_path.rglob("*.npz")))
    assert n_kept > 0
    np.testing.assert_array_equal(clone(converted).fit(X, y).predict_proba(X), first)
    assert len(list(tmp_path.rglob("*.npz"))) == n_kept


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("epochs", 7, "epochs"),
        ("fit__batch_size", 7, "batch_size"),
        ("class_weight", "balanced", "class_weight"),
        ("random_state", 7, "random_state"),
        ("optimizer", "sgd", "optimizer"),
        ("optimizer__learning_rate", 0.5, "learning_rate"),
        ("optimizer__nesterov", True, "nesterovs_momentum"),
        ("loss__label_smoothing", 0.1, "label_smoothing"),
        ("validation_split", 0.5, "validation_fraction"),
        ("callbacks__patience", 7, "n_iter_no_change"),
    ],
)
def test_parameters_of_the_source_that_nobody_reads_are_refused_with_those_that_count(name, value, counts):
    converted, name = convert(classifier()), f"network__estimator__{name}"
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}'.* did you mean '{counts}'"):
        converted.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"'cnn__{name}': no such parameter; did you mean 'cnn__{counts}'"):
        check_grid(GridSearchCV(Pipeline([("cnn", converted)]), {f"cnn__{name}": [value]}))
    with pytest.raises(ValueError, match=f"for ModelFunction, .* Set '{counts}' of the skcnn estimator"):
        converted.network.set_params(**{name.removeprefix("network__"): value})
    assert converted.get_params() == clone(converted).set_params(**converted.get_params()).get_params()


def test_a_parameter_of_the_source_without_an_equivalent_is_refused():
    name = "network__estimator__metrics"
    with pytest.raises(ValueError, match="does not read it, and there is no such parameter"):
        convert(classifier()).set_params(**{name: ["accuracy"]})
    with pytest.raises(ValueError, match=f"'{name}': Invalid parameter .* Leave it out"):
        check_grid(GridSearchCV(convert(classifier()), {name: [["accuracy"]]}))


def test_parameters_of_another_conversion_can_be_set():
    other = convert(classifier(epochs=9, optimizer__learning_rate=0.5))
    taken = convert(classifier()).set_params(**other.get_params())
    assert (taken.epochs, taken.learning_rate, taken.network.estimator.epochs) == (9, 0.5, 9)
    assert taken.set_params(network__estimator__hidden_layer_dim=4).network.estimator.hidden_layer_dim == 4


# scikit-learn's check suite ------------------------------------------------------------------------------------------

# In float64, with full batches and Adam without its epsilon, weights equal repetitions to 1e-7, so that one
# configuration passes all checks.
EXACT = {"batch_size": -1, **QUIET}
NOT_APPLICABLE = "check_classifiers_multilabel_output_format_decision_function"  # Keras models give probabilities
# Both wrappers read samples with the same code, and each of these checks trains ten times. Arrays are in other checks.
REPEATED = [(kind, "check_estimator_sparse_array") for kind in (KerasClassifier, KerasRegressor)]
REPEATED.append((KerasRegressor, "check_estimator_sparse_matrix"))


def exact_model(meta, rate, body):
    kind = meta["target_type_"] if "n_classes_" in meta else "continuous"
    units, activation, loss = {
        "binary": (1, "sigmoid", keras.losses.BinaryCrossentropy),
        "multilabel-indicator": (meta.get("n_classes_"), "sigmoid", keras.losses.BinaryCrossentropy),
        "multiclass": (meta.get("n_classes_"), "softmax", keras.losses.SparseCategoricalCrossentropy),
        "continuous": (meta["n_outputs_"], None, keras.losses.MeanSquaredError),
    }[kind]
    inputs = keras.Input(meta["X_shape_"][1:], dtype="float64")
    model = keras.Sequential([inputs, *body, layers.Dense(units, activation, dtype="float64")])
    optimizer = keras.optimizers.Adam(rate, epsilon=1e-30)
    model.compile(
        optimizer, loss(dtype="float64"), run_eagerly=True
    )  # these networks are too small to be worth a graph
    return model


def exact_mlp(meta):
    return exact_model(meta, 0.2, [layers.Dense(16, "relu", dtype="float64")])


def exact_cnn(meta):
    convolution = layers.Conv1D(8, 3, padding="same", activation="relu", dtype="float64")
    body = layers.Reshape((-1, 1), dtype="float64"), convolution, layers.Flatten(dtype="float64")
    return exact_model(meta, 0.1, body)


def name_of(check):
    while hasattr(check, "func"):
        check = check.func
    return check.__name__


def checks_of(*estimators):
    pairs = [pair for estimator in estimators for pair in estimator_checks_generator(estimator, mark=None)]
    return [
        (estimator, check)
        for estimator, check in pairs
        if name_of(check) != NOT_APPLICABLE and (type(estimator), name_of(check)) not in REPEATED
    ]


def needs_training(check):
    """Tell whether a check compares scores or weights; the others pass as well after one epoch."""
    return any(word in name_of(check) for word in ("_train", "equivalence"))


def converted_exactly(estimator):
    estimator.set_params(epochs=60, batch_size=-1, optimizer="adam", optimizer__learning_rate=0.02, **QUIET)
    return convert(estimator).set_params(dtype="float64")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("estimator", "check"),
    checks_of(
        KerasClassifier(exact_mlp, epochs=5, **EXACT),
        KerasRegressor(exact_cnn, epochs=8, **EXACT),
        converted_exactly(KerasClassifier(get_clf_model, hidden_layer_dim=16)),
        converted_exactly(KerasRegressor(regression_model, loss="mse")),
    ),
    ids=lambda value: name_of(value) if hasattr(value, "func") else None,
)
def test_check_suite(estimator, check):
    if hasattr(estimator, "model") and not needs_training(check):
        estimator = clone(estimator).set_params(epochs=1)
    check(estimator)


def test_an_unknown_parameter_is_told_those_that_there_are():
    with pytest.raises(ValueError, match=r"Invalid parameter 'epoch' .* Valid parameters are: \[.*'epochs'"):
        KerasClassifier(hidden=3).set_params(epoch=3)

"""`BaseWrapper`: what scikeras' users build on it that is neither its classifier nor its regressor."""

import pickle

import keras
import numpy as np
import pytest
from scikeras import wrappers
from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin, clone, is_regressor
from sklearn.datasets import load_digits
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import get_tags

from skcnn.scikeras import BaseWrapper, KerasClassifier, KerasRegressor, convert

layers = keras.layers
QUIET = {"verbose": 0, "random_state": 0}


class AutoEncoder(BaseWrapper, TransformerMixin):
    """As scikeras' guide builds it: two halves that share their layers with the whole, and the mixin on the right."""

    def _keras_build_fn(self, encoding_dim, meta):
        n_features = meta["n_features_in_"]
        encoder = keras.Sequential([keras.Input((n_features,)), layers.Dense(encoding_dim, "relu")])
        decoder = keras.Sequential([keras.Input((encoding_dim,)), layers.Dense(n_features, "sigmoid")])
        self.encoder_, self.decoder_ = BaseWrapper(encoder, verbose=0), BaseWrapper(decoder, verbose=0)
        return keras.Sequential([keras.Input((n_features,)), encoder, decoder])

    def _initialize(self, X, y=None):
        X, _ = super()._initialize(X, y)
        self.decoder_.initialize(self.encoder_.initialize(X).predict(X))
        return X, X

    def initialize(self, X):
        self._initialize(X, X)
        return self

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, X, sample_weight=sample_weight)

    def score(self, X, y=None):
        return 1 - mean_squared_error(self.predict(X), X)

    def transform(self, X):
        return self.encoder_.predict(X)

    def inverse_transform(self, X):
        return self.decoder_.predict(X)


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:600].astype("float32") / 16


def autoencoder(**params):
    return AutoEncoder(**{"loss": "binary_crossentropy", "optimizer": "adam", "encoding_dim": 16, **QUIET, **params})


def test_an_autoencoder_learns_and_transforms(digits):
    untrained = autoencoder().initialize(digits).score(digits)
    model = autoencoder(epochs=3, batch_size=16, optimizer__learning_rate=0.02, validation_split=0.2).fit(digits)
    codes = model.transform(digits)
    assert codes.shape == (600, 16)
    restored = model.inverse_transform(codes)
    np.testing.assert_allclose(restored, model.predict(digits), atol=1e-6)  # the halves were trained with the whole
    by_mean = mean_squared_error(np.broadcast_to(digits.mean(axis=0), digits.shape), digits)
    assert 1 - model.score(digits) < by_mean / 2 < 1 - untrained
    assert len(model.history_["val_loss"]) == 3
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(digits[:5]), model.transform(digits[:5]))
    with pytest.raises(ValueError, match="9 features"):
        model.predict(digits[:, :9])


def test_an_autoencoder_in_a_pipeline_and_in_a_search(digits):
    pipe = make_pipeline(MinMaxScaler(), autoencoder())
    assert pipe.fit_transform(digits).shape == (600, 16)
    grid = {"encoding_dim": [1, 32], "optimizer__learning_rate": [0.01]}
    search = GridSearchCV(autoencoder(), grid, cv=ShuffleSplit(1, random_state=0)).fit(digits)
    assert search.best_params_["encoding_dim"] == 32
    assert clone(search.best_estimator_).encoding_dim == 32


def test_bad_weights_are_refused_before_anything_is_built(digits):
    model = autoencoder()
    with pytest.raises(ValueError, match="one weight per sample"):
        model.fit(digits, sample_weight=np.ones(3))
    assert not hasattr(model, "model_")


def test_mixins_count_on_either_side():
    for mixin, kind in (
        (ClassifierMixin, "classifier"),
        (RegressorMixin, "regressor"),
        (TransformerMixin, None),
    ):
        right = type("Right", (BaseWrapper, mixin), {})()
        left = type("Left", (mixin, BaseWrapper), {})()
        assert get_tags(right) == get_tags(left)
        assert get_tags(right).estimator_type == kind
        assert (get_tags(right).transformer_tags is not None) == (kind is None)
        assert get_tags(right).input_tags.sparse
    assert get_tags(BaseWrapper()).estimator_type is None
    assert not is_regressor(type("Theirs", (wrappers.BaseWrapper, RegressorMixin), {})())  # scikeras


class Regressor(BaseWrapper, RegressorMixin):
    """A regressor on nothing but the base class, which tells its model how many outputs there are."""

    scorer = staticmethod(r2_score)

    def _initialize(self, X, y=None):
        self.n_outputs_ = 1 if np.ndim(y) == 1 else np.shape(y)[1]
        return super()._initialize(X, y)

    def _keras_build_fn(self, meta):
        return keras.Sequential([keras.Input(meta["X_shape_"][1:]), layers.Dense(meta["n_outputs_"])])

    def _fit_keras_model(self, X, y, **kwargs):
        self.given_ = {"X": X, "y": y, **kwargs}
        super()._fit_keras_model(X, y, **kwargs)


def test_a_regressor_on_the_base_class(digits):
    y = digits @ np.random.default_rng(0).normal(size=(64, 2))
    settings = {"loss": "mse", "optimizer": "adam", "optimizer__learning_rate": 0.1, "epochs": 3, "batch_size": 16}
    model = Regressor(**settings, validation_split=0.2, **QUIET)
    assert model.fit(digits, y, sample_weight=np.arange(600)).score(digits, y) > 0.8
    X_val, _, weight = model.given_["validation_data"]
    np.testing.assert_array_equal(X_val, digits[weight.astype(int)])  # shuffled, with their weights
    assert len(X_val) == pytest.approx(120, abs=2)
    assert model.given_["sample_weight"].all()  # the first sample weighs nothing
    column = model.set_params(epochs=1).fit(digits, y[:, :1]).predict(digits)
    assert column.shape == (600, 1)  # only labels are flattened


def test_both_estimators_are_wrappers_that_convert_knows():
    assert issubclass(KerasClassifier, BaseWrapper)
    assert issubclass(KerasRegressor, BaseWrapper)
    with pytest.raises(TypeError, match="AutoEncoder; expected a KerasClassifier or KerasRegressor"):
        convert(autoencoder())

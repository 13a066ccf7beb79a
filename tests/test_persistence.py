"""Saved estimators: small, plain, with a note of versions, and of known types."""

import pickle
from importlib import import_module

import numpy as np
import pytest
import skops.io
from common import run_python, weights_of
from imblearn.over_sampling import RandomOverSampler
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skcnn
from skcnn import CNNClassifier, CNNRegressor, _version
from skcnn.exceptions import InconsistentVersionWarning
from skcnn.networks import Plain
from skcnn.persistence import TRUSTED_TYPES
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler
from skcnn.scikeras import KerasClassifier

FITS = {
    "plain": CNNClassifier(),
    "strings": CNNClassifier(standardize="position", priors="train", class_weight="balanced", dropout=0.2),
    "stopped early": CNNClassifier(early_stopping=True, refit_full=True, scoring="accuracy", weight_decay=0.1),
    "float64": CNNRegressor(dtype="float64", standardize="channel", random_state=np.random.RandomState(0)),
    "pipeline": make_pipeline(NDTransformer(StandardScaler(), per="channel"), CNNClassifier(Plain(filters=(32, 64)))),
}


@pytest.fixture(scope="module", params=FITS)
def fitted(request, few_digits):
    X, y = few_digits
    model = FITS[request.param]
    cnn = model[-1] if hasattr(model, "steps") else model
    cnn.set_params(network=Plain(filters=(32, 64), pooling=None), epochs=1)
    return model.fit(X, y.astype(str) if request.param == "strings" else y)


def network_of(model):
    return model[-1] if hasattr(model, "steps") else model


def test_a_pickle_holds_the_weights_once_and_little_else(fitted, few_digits):
    X, _ = few_digits
    pickled = pickle.dumps(fitted)
    assert b"keras.src" not in pickled
    assert b"tensorflow" not in pickled
    n_bytes = sum(value.nbytes for value in weights_of(network_of(fitted)))
    assert n_bytes > 80_000
    assert len(pickled) < n_bytes + 8_100  # parameters by name, the layout, digests
    np.testing.assert_array_equal(pickle.loads(pickled).predict(X), fitted.predict(X))


def test_a_pickle_loads_without_tensorflow_until_it_predicts(few_digits, tmp_path):
    X, y = few_digits
    model = make_pipeline(StandardScaler(), CNNClassifier(Plain(filters=(4,)), input_shape=(8, 8, 1), epochs=1))
    X = X.reshape(len(X), -1)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model.fit(X, y)))
    np.save(tmp_path / "X.npy", X[:5])
    code = """
import pickle, sys, numpy as np
heavy = ("tensorflow", "keras", "scikeras")
model = pickle.load(open("model.pickle", "rb"))
repr(model), model[-1].get_params(), model[-1].history_
loaded = [name for name in heavy if name in sys.modules]
np.save("p.npy", model.predict_proba(np.load("X.npy")))
print(loaded, "tensorflow" in sys.modules)
"""
    assert run_python("-c", code, cwd=tmp_path).stdout.split() == ["[]", "True"]
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), model.predict_proba(X[:5]), atol=1e-6)


# Versions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "saved",
    [
        CNNClassifier(),
        CNNRegressor(),
        NDTransformer(StandardScaler()),
        NDSampler(RandomOverSampler()),
        KerasClassifier(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_another_version_of_skcnn_warns(saved, monkeypatch):
    same = pickle.loads(pickle.dumps(saved))  # without a warning, which would be an error
    assert vars(same).keys() == vars(saved).keys()
    with monkeypatch.context() as context:
        context.setattr(_version, "__version__", "0.0.1")
        pickled = pickle.dumps(saved)
    with pytest.warns(
        InconsistentVersionWarning, match=r"saved with skcnn 0\.0\.1.* or install skcnn==0\.0\.1"
    ) as caught:
        assert vars(pickle.loads(pickled)).keys() == vars(saved).keys()
    assert caught[0].message.estimator_name == type(saved).__name__
    assert caught[0].message.changed == [("skcnn", "0.0.1", skcnn.__version__)]


def test_another_version_of_keras_or_none_warns(monkeypatch):
    state = CNNClassifier().__getstate__()
    state["_saved_with"]["keras"] = "2.15.0"
    with pytest.warns(InconsistentVersionWarning, match=r"keras 2\.15\.0 \(now 3\."):
        CNNClassifier().__setstate__(state)
    del state["_saved_with"]
    with pytest.warns(InconsistentVersionWarning, match="skcnn unknown .*: fit it again. To use"):
        CNNClassifier().__setstate__(state)


# skops --------------------------------------------------------------------------------------------------------------


def test_skops_loads_what_is_declared_trusted(fitted, few_digits):
    X, _ = few_digits
    saved = skops.io.dumps(fitted)
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED_TYPES)
    loaded = skops.io.loads(saved, trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert network_of(loaded).history_ == network_of(fitted).history_


def test_skops_keeps_the_note_of_versions(monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(_version, "__version__", "0.0.1")
        saved = skops.io.dumps(NDSampler(NDTransformer(StandardScaler())))
    with pytest.warns(InconsistentVersionWarning) as caught:
        skops.io.loads(saved, trusted=TRUSTED_TYPES)
    assert {warning.message.estimator_name for warning in caught} == {"NDSampler", "NDTransformer"}


def test_every_trusted_type_is_one_of_skcnn():
    for name in TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        assert module.startswith("skcnn.")
        assert isinstance(getattr(import_module(module), kind), type)

"""A network that changed is another network, and one that did not is found again, in this process and in others."""

import copy
import functools
import importlib
import os
import pickle
import random
import sys
import textwrap
import threading
import time

import keras
import numpy as np
import pytest
from common import classifier, run_python, same_model, weights_of
from sklearn.base import clone

from skcnn import CNNClassifier, export
from skcnn._engine.behaviour import behaviour_of
from skcnn._engine.blueprint import building, trace_count
from skcnn._engine.fingerprint import object_key
from skcnn._engine.pool import pool
from skcnn.networks import Network, build_model, summary


@pytest.fixture(scope="module")
def few(few_digits):
    X, y = few_digits
    return X[:60], y[:60] % 3


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a user's module, import it, and edit it and import it again as in a notebook."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text, name="users_network"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        later = time.time() + len(text)  # the cache of compiled modules goes by size and second
        os.utime(path, (later, later))
        importlib.invalidate_caches()
        return importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)

    yield write
    for name in ("users_network", "users_helper"):
        sys.modules.pop(name, None)


# What is part of the key ----------------------------------------------------------------------------------------------


class Holding(Network):
    def __init__(self, part=None):
        self.part = part

    def features(self, x):
        return self.part(x)


def logging(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


def with_units(units):
    def network(input_shape, n_outputs):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units)])

    return network


def from_path(path):
    return lambda input_shape, n_outputs: keras.saving.load_model(path)


def with_scale(scale):
    network = Holding(with_units(3))
    network.scale = scale
    return network


class Base(Network):
    rate = 1

    def features(self, x):
        return super().features(x)


@pytest.mark.parametrize(
    "make",
    [
        with_units,
        lambda units: Holding(with_units(units)),
        lambda units: logging(with_units(units)),
        lambda units: functools.partial(build_model, with_units(3), n_outputs=units),
        lambda units: functools.lru_cache(with_units(units)),
        lambda units: Holding([{"a": (units, {units, 7}, np.arange(units))}]),
        lambda units: Holding(with_units(units).__get__(None, int)),
        lambda units: from_path("/data/" + 32 * f"{units}" + "/model.keras"),
        with_scale,
        lambda units: type("Twin", (Base,), {"rate": units}),
        lambda units: type("Twin", (Base,), {"build": property(with_units(units))})(),
        lambda units: keras.layers.Dense(units),
        lambda units: Holding(keras.initializers.RandomNormal(seed=units)),
    ],
    ids=lambda make: make.__name__,
)
def test_the_key_is_of_what_a_network_depends_on(make):
    assert isinstance(object_key(make(3)), str)
    assert object_key(make(3)) == object_key(make(3))
    assert object_key(make(3)) != object_key(make(4))
    copied = copy.deepcopy(make(3))
    assert object_key(copied) == object_key(make(3))


USERS = """
    import functools
    import keras
    import users_helper
    from users_helper import activation

    UNITS = {units}

    def decorated(function):
        @functools.wraps(function)
        def wrapper(*arguments):
            return function(*arguments)
        return wrapper

    def hidden(x):
        return keras.layers.Dense(UNITS, activation=activation)(x)

    class Part:
        def __call__(self, x):
            return users_helper.flat(hidden(x) if x.shape[1:] == () else x)

    @decorated
    def network(input_shape, n_outputs, part=Part()):
        import users_helper as late
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(hidden(late.flat(inputs))))
"""
HELPER = """
    import keras

    activation = "relu"

    def flat(x):
        return keras.layers.Flatten()(x){more}
"""


def test_helpers_constants_and_imports_are_part_of_the_key(module):
    keys = [
        object_key((module(HELPER.format(more=more), "users_helper"), module(USERS.format(units=units)))[1].network)
        for units, more in [(3, ""), (4, ""), (4, " * 2"), (3, ""), (3, ""), (4, " * 2")]
    ]
    assert len({*keys}) == 3
    assert keys[0] == keys[3] == keys[4]
    assert keys[2] == keys[5]


LATE = {  # ways to a helper that no global of the function names
    "closure": "def made():\n import users_helper as h\n return lambda s, n: h.flat(s)\nnetwork = made()",
    "default": "import users_helper\ndef network(s, n, h=users_helper): return h.flat(s)",
    "argument": "import users_helper\ndef of(h, s): return h.flat(s)\ndef network(s, n): return of(users_helper, s)",
    "attribute": "import users_helper\nclass N:\n def __call__(self, s, n): return self.h.flat(s)\n"
    "network = N()\nnetwork.h = users_helper",
    "by name": "import users_helper\nNAME = 'flat'\ndef network(s, n): return getattr(users_helper, NAME)(s)",
    "decorated": "import contextlib, users_helper\n@contextlib.contextmanager\n"
    "def network(s, n): yield users_helper.flat(s)",
}


@pytest.mark.parametrize("text", LATE.values(), ids=LATE)
def test_helpers_are_found_whichever_way_the_code_gets_them(text, module):
    keys = []
    for more in ("", " * 2", ""):
        module(HELPER.format(more=more), "users_helper")
        keys.append(object_key(module(text).network))
    assert keys[0] == keys[2] != keys[1]


def test_names_that_are_made_late_are_not_certain():
    made = [lambda s, n: globals()[f"{s}_{n}"], lambda s, n: getattr(keras.layers, s + n), lambda s, n: vars(n)[s]]
    assert not any(behaviour_of(one).certain for one in made)


def test_what_python_does_not_show_equals_only_itself():
    lock = threading.Lock()
    assert object_key(Holding(lock)) != object_key(Holding(lock))
    assert not isinstance(object_key(Holding(lock)), str)


KEYS = """
    import sys, functools
    from skcnn._engine.fingerprint import object_key
    from joblib.externals.loky.backend.reduction import dumps
    import numpy as np
    from skcnn.networks import Network, Plain
    import users_network

    SIZES = {"b": 3, "a": {"x", "y", "z"}}

    def helper(x, sizes=SIZES):
        return [np.zeros(sizes["b"]) for _ in range(2)] if "q" not in {"a", "b", "c"} else users_network.flat(x)

    class Mine(Network):
        def __init__(self, part=helper):
            self.part = part
        def features(self, x):
            return super().features(helper(x))

    def network(s, n):
        return Mine()(s, n)

    found = [Mine(), network, functools.partial(network, 3), users_network.flat, Mine(lambda x: helper(x)), Plain()]
    print(*map(object_key, found))
    open(sys.argv[1], "wb").write(dumps(found))
"""
LOADED = """
    import pickle, sys
    from skcnn._engine.fingerprint import object_key
    print(*map(object_key, pickle.load(open(sys.argv[1], "rb"))))
"""


def test_what_did_not_change_has_the_same_key_in_other_processes(module, tmp_path):
    module("def flat(x):\n    return x\n")
    found = set()
    # The second as a worker of joblib's, which gets the functions of a script by value.
    for seed, code in (("1", KEYS), ("2", LOADED)):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        found.add(run_python("-c", textwrap.dedent(code), str(tmp_path / "sent"), env=environment).stdout)
    assert len(found) == 1, found


# After an edit --------------------------------------------------------------------------------------------------------

EDITED = """
    import keras

    def activate(x):
        return keras.activations.{name}(x)

    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        x = activate(keras.layers.Dense(8)(keras.layers.Flatten()(inputs)))
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))
"""


def test_after_an_edit_the_network_is_trained_again_and_the_earlier_one_is_never_mixed(module, few, tmp_path):
    X, y = few
    old = classifier(network=module(EDITED.format(name="relu")).network, memory=tmp_path).fit(X, y)
    expected, saved = old.predict_proba(X), pickle.dumps(old)
    model = old.to_keras()
    new = classifier(network=module(EDITED.format(name="tanh")).network, memory=tmp_path).fit(X, y)
    fresh = clone(new).set_params(memory=None).fit(X, y)
    assert same_model(new, fresh)
    assert not same_model(new, old)
    np.testing.assert_array_equal(old.predict_proba(X), expected)  # its compiled network is still there
    for action in (old.to_keras, lambda: export(old, tmp_path / "old.keras")):
        with pytest.raises(ValueError, match=r"builds another model than when this estimator was fitted.* Fit again"):
            action()
    pool._idle.clear()  # as in another process
    for one in (old, pickle.loads(saved)):
        with pytest.raises(ValueError, match="builds another model"):
            one.predict_proba(X)
    module(EDITED.format(name="relu"))
    np.testing.assert_array_equal(pickle.loads(saved).predict_proba(X), expected)
    np.testing.assert_array_equal(old.to_keras()(X), model(X))


def test_an_unchanged_network_is_compiled_once_whatever_was_reloaded(module, few):
    first = classifier(network=module(EDITED.format(name="relu")).network).fit(*few)
    first.predict(few[0])
    traces = trace_count()
    again = classifier(network=module(EDITED.format(name="relu")).network).fit(*few)
    assert same_model(first, again)
    again.predict(few[0])
    assert trace_count() == traces


def reading(path):
    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        layer = keras.layers.Dense(5)
        x = layer(keras.layers.Flatten()(inputs))
        layer.set_weights(list(np.load(path).values()))
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))

    return network


def test_a_replaced_file_of_weights_is_read_again(few, tmp_path):
    X, y = few
    path = tmp_path / "weights.npz"

    def fitted():
        return classifier(network=reading(path), learning_rate=1e-9, memory=tmp_path).fit(X, y)

    def write(value):
        np.savez(path, np.full((64, 5), value, "float32"), np.zeros(5, "float32"))

    write(0.5)
    first, twin = fitted(), fitted()
    traces = trace_count()
    write(-0.25)
    second = fitted()
    np.testing.assert_allclose(weights_of(first)[0], 0.5, atol=1e-5)
    np.testing.assert_allclose(weights_of(second)[0], -0.25, atol=1e-5)
    assert same_model(first, twin)
    write(0.5)
    assert same_model(fitted(), first)
    assert trace_count() >= traces
    path.unlink()
    with pytest.raises(ValueError, match="could not be built"):
        fitted()


def test_a_structure_that_a_file_decides_is_read_again(few, tmp_path):
    X, y = few
    path = tmp_path / "units.txt"

    def network(input_shape, n_outputs):
        layers = [keras.layers.Dense(4, activation=path.read_text()), keras.layers.Dense(n_outputs)]
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), *layers])

    found = []
    for name in ("relu", "tanh", "relu"):
        path.write_text(name)
        found.append(classifier(network=network, memory=tmp_path).fit(X, y))
    assert same_model(found[0], found[2])
    assert not same_model(found[0], found[1])
    for one, name in zip(found, ("relu", "tanh", "relu"), strict=True):
        path.write_text(name)
        np.testing.assert_allclose(one.to_keras()(X), one.decision_function(X), atol=1e-5)


# Loaded weights and layers that the user made -------------------------------------------------------------------------


def test_weights_that_were_loaded_are_kept_whatever_seed_drew_them(few, tmp_path):
    X, y = few
    path = tmp_path / "pretrained.keras"

    def caching(input_shape, n_outputs):
        if not path.exists():
            layers = [keras.layers.Flatten(), keras.layers.Dense(6), keras.layers.Dense(n_outputs)]
            keras.Sequential([keras.Input(input_shape), *layers]).save(path)
        return keras.saving.load_model(path)

    def started(seed):
        return weights_of(CNNClassifier(caching, epochs=1, learning_rate=1e-12, random_state=seed).fit(X, y))

    state = random.getstate()
    for drawn_by_the_users_seed in (True, False):
        if drawn_by_the_users_seed:
            random.seed(0)  # as keras.utils.set_random_seed(0) does
            caching(X.shape[1:], 3)
            random.setstate(state)
        first, second = started(1), started(2)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        pool._idle.clear()
        path.unlink()


class Projection(keras.layers.Layer):
    """A custom layer that keeps its initializer in no attribute."""

    def __init__(self, initializer, **settings):
        super().__init__(**settings)
        self._make = lambda: initializer

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), initializer=self._make())

    def call(self, x):
        return x @ self.kernel


def doubled(shape, dtype):
    return 2 * keras.initializers.GlorotUniform()(shape, dtype)


def halved(layer):
    layer.build((None, 4))
    layer.kernel.assign(layer.kernel / 2)
    return layer


def normal(shape, dtype):
    return keras.random.normal(shape, dtype=dtype)


FOLLOWING = {
    "by name": lambda: Projection("glorot_uniform"),
    "frozen": lambda: Projection("he_normal", trainable=False),
    "of an initializer within": lambda: keras.layers.Dense(4, kernel_initializer=doubled),
    "changed after": lambda: halved(keras.layers.Dense(4)),
    "known": lambda: keras.layers.Dense(4),
}
KEPT = {
    "seeded": lambda: Projection(keras.initializers.GlorotUniform(seed=3)),
    "set": lambda: Projection(keras.initializers.Constant(0.3)),
}


@pytest.mark.parametrize("is_certain", [True, False])
def test_weights_drawn_in_any_way_follow_random_state(is_certain, few):
    X, y = few
    makers = FOLLOWING if is_certain else {"normal": lambda: keras.layers.Dense(4, kernel_initializer=normal)}

    def network(input_shape, n_outputs):
        inputs = keras.Input(input_shape)
        x = keras.layers.Flatten()(inputs)
        for make in [*makers.values(), *KEPT.values()]:
            x = make()(x)
        return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))

    def started(seed):
        model = CNNClassifier(network, epochs=1, learning_rate=1e-12, random_state=seed).fit(X, y)
        return [value for value in weights_of(model) if value.ndim > 1]

    assert behaviour_of(network).certain == is_certain
    traces = trace_count()
    first, second, again = started(1), started(2), started(1)
    assert trace_count() == traces + 1
    pool._idle.clear()
    built_anew = started(2)
    for i, name in enumerate([*makers, *KEPT]):
        np.testing.assert_array_equal(first[i], again[i], err_msg=name)
        np.testing.assert_array_equal(second[i], built_anew[i], err_msg=name)
        assert np.allclose(first[i], second[i], atol=1e-6) == (name in KEPT), name


def test_layers_that_the_user_made_once_are_never_changed(few):
    X, y = few
    base = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(6)])
    before = base.get_weights()

    def network(input_shape, n_outputs):
        return keras.Sequential([keras.Input(input_shape), base, keras.layers.Dense(n_outputs)])

    fits = [classifier(network=network, learning_rate=0.1).fit(X, y) for _ in range(2)]
    other = classifier(network=network, learning_rate=0.1, weight_decay=0.1).fit(X, y)
    assert same_model(*fits)
    models = [fits[0].to_keras(), other.to_keras()]
    for estimator, model in zip((fits[0], other), models, strict=True):
        np.testing.assert_allclose(model(X), estimator.decision_function(X), atol=1e-5)
    for old, now in zip(before, base.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


# Nothing global -------------------------------------------------------------------------------------------------------


def test_pythons_random_numbers_are_left_to_other_threads_and_to_the_user():
    state = random.getstate()
    with building("float32"):
        keras.layers.Dense(3).build((None, 2))
        assert random.getstate() == state
    drawn, stop = [], threading.Event()

    def draw():
        while not stop.is_set():
            drawn.extend(random.getrandbits(64) for _ in range(1000))
            time.sleep(0)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for units in range(2, 8):
            summary(with_units(units), (8, 8, 1), units)
    finally:
        stop.set()
        thread.join()
        random.setstate(state)
    assert len(set(drawn)) == len(drawn)


def test_keras_in_other_threads_draws_from_pythons_random():
    seeds = []

    def others():
        seeds.extend(keras.initializers.GlorotUniform().seed for _ in range(3))

    state = random.getstate()
    with building("float32"):
        thread = threading.Thread(target=others)
        random.seed(5)
        thread.start()
        thread.join()
        ours = keras.initializers.GlorotUniform().seed
    expected = random.Random(5)
    assert seeds == [expected.randint(1, int(1e9)) for _ in range(3)]
    assert ours not in seeds
    random.setstate(state)

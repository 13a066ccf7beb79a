"""What `import skcnn` costs and offers."""

import re
import warnings

import pytest
import tensorflow as tf
from common import printed_by, run_python

import skcnn
from skcnn._engine.threads import start_tensorflow
from skcnn.networks import build_model


def test_import_loads_nothing_heavy():
    heavy = ["tensorflow", "keras", "scikeras", "sklearn", "imblearn", "numpy"]
    assert printed_by(f"import sys, skcnn; print(*[name for name in {heavy} if name in sys.modules])") == []


def test_estimators_load_neither_tensorflow_nor_scikeras():
    code = "import sys; from skcnn import CNNClassifier; CNNClassifier(); import skcnn.networks"
    assert printed_by(code + "; print(*[n for n in ('tensorflow', 'keras', 'scikeras') if n in sys.modules])") == []


def test_public_names_resolve():
    assert set(skcnn.__all__) <= set(dir(skcnn))
    for name in skcnn.__all__:
        assert getattr(skcnn, name) is not None


# Threads and forks ----------------------------------------------------------------------------------------------------

STARTED_ONCE = """
import os, sys, traceback, warnings
import joblib, numpy as np
import keras, tensorflow
import skcnn
from skcnn import CNNClassifier
from skcnn.networks import Plain
def fit(n_features=4):
    X, y = np.random.default_rng(0).normal(size=(20, n_features)), np.arange(20) % 2
    CNNClassifier(Plain(filters=(2,)), epochs=1).fit(X, y)
    import tensorflow as tf
    return tf.config.threading.get_intra_op_parallelism_threads()
def fit_in_parallel(*config, n=2, **settings):
    with joblib.parallel_config(*config, n_jobs=2, **settings):
        print(*joblib.Parallel()(joblib.delayed(fit)(2000) for _ in range(n)))
def in_child(code):
    child = os.fork()
    if not child:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                exec(code, globals() | {"caught": caught})
        except RuntimeError as error:
            print(next((words for words in ("was forked", "already") if words in str(error)), error))
        except Exception:
            traceback.print_exc()
        sys.exit()
    os.waitpid(child, 0)
for code in sys.argv[1:]:
    print("code:", flush=True)
    in_child(code)
"""
WARNED = """
fit()
print(len(caught))
fit_in_parallel("threading")
fit_in_parallel("threading")
print(*[str(warning.message).partition(",")[0] for warning in caught])
"""
PRINTED = {  # by code that runs in a process of its own, which has imported TensorFlow and not started it
    "a fork before the first fit": ("print(fit())", "1"),
    "a fork after it": ("fit(); sys.stdout.flush(); in_child('fit()')", "was forked"),
    "threads are chosen once": (
        "skcnn.set_threads(1); tensorflow.constant(1); skcnn.set_threads(1)\n"
        "print(tensorflow.config.threading.get_intra_op_parallelism_threads()); skcnn.set_threads(2)",
        "1 already",
    ),
    "a joblib worker uses one": ("fit_in_parallel('threading')", "1 1"),
    "or what joblib grants": ("fit_in_parallel('loky', n=1, inner_max_num_threads=2)", "2"),
    "or the chosen number": ("skcnn.set_threads(2); fit_in_parallel('threading')", "2 2"),
    "small rows start with one": (
        "print(fit(256), fit(1000), len(caught), fit(1024), *[one.category.__name__ for one in caught])",
        "1 1 0 1 ThreadsWarning",
    ),
    "large rows start as TensorFlow does": ("print(fit(257))", "0"),
    # One thread between operations is warned of where several fits run at once.
    "one between operations by the environment": (
        "os.environ['TF_NUM_INTEROP_THREADS'] = '1'" + WARNED,
        "0 1 1 1 1 TF_NUM_INTEROP_THREADS=1",
    ),
    "one between operations": (
        "tensorflow.config.threading.set_inter_op_parallelism_threads(1)" + WARNED,
        "0 1 1 1 1 TF_NUM_INTEROP_THREADS=1",
    ),
}


@pytest.fixture(scope="module")
def printed():
    """What each code prints."""
    job = run_python("-c", STARTED_ONCE, *[code for code, _ in PRINTED.values()])
    found = [" ".join(part.split()) for part in job.stdout.split("code:\n")[1:]]
    return dict(zip(PRINTED, found, strict=True)), job.stderr


@pytest.mark.parametrize("name", PRINTED)
def test_threads_and_forks(name, printed):
    found, errors = printed
    assert found[name] == PRINTED[name][1], errors[-3000:]


# Where TensorFlow is not as it should be ------------------------------------------------------------------------------

MISSING = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
sys.modules["jax"] = None
import numpy as np
import skcnn
try:
    skcnn.CNNClassifier().fit(np.zeros((8, 4)), [0, 1] * 4)
except ImportError as error:
    print(error)
"""


def test_a_missing_backend_is_explained():
    out = run_python("-W", "ignore", "-c", MISSING).stdout
    assert re.search("cannot be imported .*jax.* with KERAS_BACKEND=jax.* pip install tensorflow.*=tensorflow", out)


def test_modes_of_tensorflow_that_are_not_used_are_explained():
    start_tensorflow()
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match=r"not in eager mode.* tf\.Graph"):
        start_tensorflow()
    for strategy in (tf.distribute.OneDeviceStrategy("/cpu:0"), tf.distribute.MirroredStrategy(["/cpu:0"])):
        with strategy.scope(), pytest.raises(RuntimeError, match=r"scope of a tf\.distribute\.Strategy"):
            start_tensorflow()
    tf.function(lambda: start_tensorflow() and None)()  # as while a graph is traced


def test_a_warning_that_is_made_an_error_is_not_blamed_on_the_network():
    def network(input_shape, n_outputs):
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match=r"^of a library$"):
            build_model(network, (4, 1), 2)

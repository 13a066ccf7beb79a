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


def test_threads_are_chosen_once():
    code = """
import skcnn
skcnn.set_threads(1)
import tensorflow as tf
tf.constant(1)
skcnn.set_threads(1)
try:
    skcnn.set_threads(2)
except RuntimeError as error:
    print("already" in str(error), tf.config.threading.get_intra_op_parallelism_threads())
"""
    assert printed_by(code) == ["True", "1"]


FIT = """
import joblib, numpy as np
from skcnn import CNNClassifier
from skcnn.networks import Plain
def fit(n_features=4):
    X, y = np.random.default_rng(0).normal(size=(20, n_features)), np.arange(20) % 2
    CNNClassifier(Plain(filters=(2,)), epochs=1).fit(X, y)
    import tensorflow as tf
    return tf.config.threading.get_intra_op_parallelism_threads()
def fit_in_parallel(*config, **settings):
    with joblib.parallel_config(*config, n_jobs=2, **settings):
        print(*joblib.Parallel()(joblib.delayed(fit)(2000) for _ in range(2)))
"""


def test_a_joblib_worker_uses_one_thread_or_what_joblib_grants_unless_chosen():
    assert printed_by(FIT + "fit_in_parallel('threading')") == ["1", "1"]
    assert printed_by(FIT + "fit_in_parallel('loky', inner_max_num_threads=2)") == ["2", "2"]
    assert printed_by("import skcnn; skcnn.set_threads(2)\n" + FIT + "fit_in_parallel('threading')") == ["2", "2"]


def test_small_rows_start_with_one_thread_and_large_rows_as_tensorflow_does():
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(fit(256), fit(1000), len(caught), fit(1024), *[warning.category.__name__ for warning in caught])
"""
    assert printed_by(FIT + code) == ["1", "1", "0", "1", "ThreadsWarning"]
    assert printed_by(FIT + "print(fit(257))") == ["0"]


@pytest.mark.parametrize("chosen", ["TF_NUM_INTEROP_THREADS", "tf.config"])
def test_one_thread_between_operations_is_warned_of_where_several_fits_run_at_once(chosen):
    by_environment = chosen != "tf.config"
    setting = (
        f"os.environ['{chosen}'] = '1'" if by_environment else "tf.config.threading.set_inter_op_parallelism_threads(1)"
    )
    code = f"""
import os, warnings
import tensorflow as tf
{setting}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fit()
    print(len(caught))
    fit_in_parallel("threading")
    fit_in_parallel("threading")
    print(*[str(warning.message).partition(",")[0] for warning in caught])
"""
    assert printed_by(FIT + code) == ["0", "1", "1", "1", "1", "TF_NUM_INTEROP_THREADS=1"]


def test_forking_after_tensorflow_has_started_is_an_error_instead_of_a_hang():
    code = """
import os
def in_child(action):
    child = os.fork()
    if not child:
        try:
            print(action(), flush=True)
        except RuntimeError as error:
            print("was_forked" if "was forked" in str(error) else "other", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
in_child(fit)
fit()
in_child(fit)
"""
    assert printed_by(FIT + code) == ["1", "was_forked"]


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

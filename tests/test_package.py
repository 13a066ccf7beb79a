"""What `import skcnn` costs and offers."""

import subprocess
import sys

import skcnn


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_loads_nothing_heavy():
    heavy = ["tensorflow", "keras", "scikeras", "sklearn", "imblearn", "numpy"]
    assert run(f"import sys, skcnn; print(*[name for name in {heavy} if name in sys.modules])") == []


def test_estimators_load_neither_tensorflow_nor_scikeras():
    code = "import sys; from skcnn import CNNClassifier; CNNClassifier(); import skcnn.networks"
    assert run(code + "; print(*[n for n in ('tensorflow', 'keras', 'scikeras') if n in sys.modules])") == []


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
    assert run(code) == ["True", "1"]


def test_a_joblib_worker_uses_one_thread_unless_chosen():
    code = """
import joblib, numpy as np
from skcnn import CNNClassifier
from skcnn.networks import Plain
X, y = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2
def fit():
    CNNClassifier(Plain(filters=(2,)), epochs=1).fit(X, y)
    import tensorflow as tf
    return tf.config.threading.get_intra_op_parallelism_threads()
with joblib.parallel_config(BACKEND, n_jobs=2):
    print(*joblib.Parallel()(joblib.delayed(fit)() for _ in range(2)))
"""
    assert run(code.replace("BACKEND", "'threading'")) == ["1", "1"]
    assert run(code.replace("BACKEND, n_jobs=2", "'sequential'")) == ["0", "0"]
    assert run("import skcnn; skcnn.set_threads(2)\n" + code.replace("BACKEND", "'threading'")) == ["2", "2"]

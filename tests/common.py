"""What several test files share: small networks, comparing fitted ones, and Python in a process of its own."""

import os
import subprocess
import sys

import keras
import numpy as np

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import Plain

# The environment without what conftest.py sets.
OURS = ("SCIPY_ARRAY_API", "MPLBACKEND", "TF_CPP_MIN_LOG_LEVEL")
USERS_ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in OURS}

# A constant rate, so that a fit may go on where another ended.
SMALL = {
    "network": Plain(filters=(4,)),
    "epochs": 3,
    "learning_rate": 0.01,
    "schedule": "constant",
    "standardize": None,
    "random_state": 0,
}
TINY = {"network": Plain(filters=(2,)), "epochs": 1, "schedule": "constant", "batch_size": 8, "random_state": 0}


def classifier(**parameters):
    return CNNClassifier(**SMALL | parameters)


def regressor(**parameters):
    return CNNRegressor(**SMALL | parameters)


def dropout_network(input_shape, n_outputs):
    """A custom network whose dropout keeps a random state of its own."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(n_outputs)(x))


def weights_of(estimator):
    """Return the arrays of a fitted network; no other test reads them where the estimator keeps them."""
    return estimator._fitted.weights


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(weights_of(a), weights_of(b), strict=True))


def same_model(a, b):
    """Whether two fitted networks are the same to the bit, and were trained in the same way."""
    told = [(model.history_, model.n_iter_, model.best_iter_) for model in (a, b)]
    return same_weights(a, b) and told[0] == told[1]


def run_python(*arguments, check=True, **options):
    """Run Python in a process of its own and return what came of it, by default only if it succeeded."""
    job = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)
    assert not check or job.returncode == 0, job.stderr[-3000:]
    return job


def printed_by(code):
    """Run code in a process of its own and return the words that it prints."""
    return run_python("-c", code).stdout.split()

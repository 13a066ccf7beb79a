"""Settings and shared data; the environment is set before SciPy and TensorFlow are imported."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # otherwise scikit-learn skips its array API checks
os.environ["MPLBACKEND"] = "Agg"  # figures without a screen
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import pytest
from sklearn.datasets import load_digits

import skcnn
from skcnn._engine.pool import pool

skcnn.set_threads(1)  # the networks of the tests are tiny


@pytest.fixture(scope="session")
def digits():
    """Images (1797, 8, 8, 1) in [0, 1] and their labels."""
    X, y = load_digits(return_X_y=True)
    return (X / 16).reshape(-1, 8, 8, 1).astype("float32"), y


@pytest.fixture(scope="session")
def few_digits(digits):
    """The first 200 images."""
    X, y = digits
    return X[:200], y[:200]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def programs_stay():
    """Keep every program of a file whose tests train the same topologies in turns, so that none is traced twice."""
    capacity, pool.capacity = pool.capacity, 128
    yield
    pool.capacity = capacity

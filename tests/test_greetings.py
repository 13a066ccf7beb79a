"""TensorFlow's messages: the main process shows its own, workers repeat none."""

import pytest
from common import USERS_ENVIRONMENT, run_python

SEARCH = """
import sys
import keras
import numpy as np
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV
from skcnn import CNNClassifier
from skcnn.scikeras import KerasClassifier

def network(input_shape, n_outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])

def model(meta):
    return keras.Sequential([keras.Input(meta["X_shape_"][1:]), keras.layers.Dense(1, "sigmoid")])

X, y = np.zeros((8, 3)), np.arange(8) % 2
for estimator, folds in (
    (CNNClassifier(network, epochs=1), 2),
    (KerasClassifier(model, loss="binary_crossentropy", verbose=0), [(np.arange(6), np.arange(6, 8))]),
):
    print("searching", file=sys.stderr, flush=True)
    search = GridSearchCV(estimator, {"batch_size": [4]}, cv=folds, n_jobs=2, refit=False).fit(X, y)
    print(np.isfinite(search.cv_results_["mean_test_score"]).all())
    get_reusable_executor().shutdown()
"""


# Both networks import Keras while they are unpickled, which is before the fit.
def test_workers_of_a_search_do_not_greet():
    job = run_python("-c", SEARCH, env=USERS_ENVIRONMENT)
    before, during, of_keras = job.stderr.split("searching\n")
    assert job.stdout == "True\nTrue\n"
    assert before  # the main process has imported TensorFlow
    advice, _, during = during.split("\n", 2)  # and the line of code: of two processes one says that threads are faster
    assert "ThreadsWarning: This search trains in processes" in advice
    assert 'with joblib.parallel_config("threading", n_jobs=2)' in advice
    assert during == of_keras == ""


@pytest.mark.parametrize(("level", "expected"), [(None, "False True True"), ("0", "False False False")])
def test_who_asks_for_all_messages_gets_those_of_workers(level, expected):
    code = """
from joblib import Parallel, delayed
from skcnn._engine.greetings import is_worker
print(is_worker(), *Parallel(n_jobs=2)(delayed(is_worker)() for _ in range(2)))
"""
    job = run_python("-c", code, env=USERS_ENVIRONMENT | ({"TF_CPP_MIN_LOG_LEVEL": level} if level else {}))
    assert job.stdout == f"{expected}\n"

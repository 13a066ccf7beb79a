"""Test scikit-learn's contracts for scikeras, its peers and skcnn, and time a fit.

    python benchmarks/contracts.py            # writes its section of RESULTS.md
    python benchmarks/contracts.py --quick    # only the multi-layer perceptron, fewer fits, prints only

Each library wraps the same two networks, a multi-layer perceptron and a small convolutional network, and runs in a
separate process. The table says if a library is not installed; skorch requires PyTorch.

Checks. scikit-learn's whole suite, with pandas and ``SCIPY_ARRAY_API=1``, on the configuration in which the most checks
can hold: float64, full batches, and for Keras' Adam no epsilon, so that weights equal repetitions to 1e-7. A check that
skips itself, for lack of a method, is counted separately.

Behaviours. Each is one small experiment whose outcome is yes, no, or the error that stopped it.

Costs. Digits, 600 samples, 10 epochs, batches of 32, in float32. The search is 4 learning rates x 3 folds and the final
fit, in a fresh process; the fit is one more after it. Time is processor time, which does not depend on what else runs.
Memory is what the process grows by per fit, over many fits of one network after some to warm up.
"""

import gc
import os
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, NamedTuple
from unittest import SkipTest

os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
import psutil
from contracts_libraries import COSTED, EXACT, FAST, LIBRARIES, NETWORKS, Library, Unsupported
from report import markdown_table, parse_quick, publish
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

QUESTION = "Which of scikit-learn's contracts hold for estimators that wrap a network, and what does a fit cost?"
RATES = [0.003, 0.01, 0.03, 0.1]
N_SAMPLES = 600
WARM_UP, GROWTH_FITS = 5, 15


# Checks --------------------------------------------------------------------------------------------------------------


def run_checks(library: Library, network: str) -> tuple[int, list[str], int]:
    """Return how many checks passed, which failed, and how many were skipped."""
    passed, skipped, failed = 0, 0, []
    for estimator, check in estimator_checks_generator(library.make(network, **EXACT, random_state=0), mark=None):
        try:
            check(estimator)
            passed += 1
        except SkipTest:
            skipped += 1
        except Exception:
            failed.append(name_of(check))
    return passed, failed, skipped


def name_of(check: Any) -> str:
    while hasattr(check, "func"):
        check = check.func
    return check.__name__


# Behaviours ----------------------------------------------------------------------------------------------------------


def sorted_samples() -> tuple[np.ndarray, np.ndarray]:
    """Return separable samples of three classes, sorted by class."""
    y = np.repeat([0, 1, 2], [40, 30, 20])
    return np.random.default_rng(0).normal(size=(90, 6)).astype("float32") + y[:, None], y


def binary_samples() -> tuple[np.ndarray, np.ndarray]:
    X, y = sorted_samples()
    return X[:70], y[:70]


class Behaviours:
    """Small experiments: each tells whether a library behaves as users expect."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def net(self, **settings: Any) -> Any:
        return self.library.make("MLP", **EXACT | {"random_state": 0} | settings)

    def folds_are_stratified(self) -> bool:
        return is_classifier(self.net())

    def roc_auc_is_a_number(self) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(np.isfinite(cross_val_score(self.net(), *binary_samples(), scoring="roc_auc", cv=2)).all())

    def one_sample_has_a_row_of_probabilities(self) -> bool:
        X, y = sorted_samples()
        return self.net().fit(X, y).predict_proba(X[:1]).shape[0] == 1

    def sample_weight_is_taken(self) -> bool:
        X, y = binary_samples()
        net = self.net().fit(X, y, sample_weight=np.where(y == 1, 100.0, 0.01))
        return bool(np.mean(np.asarray(net.predict(X)).ravel() == 1) > 0.8)

    def class_weight_leaves_the_weights_alone(self) -> bool:
        X, y = binary_samples()
        weight = np.ones(len(y))
        self.net(class_weight="balanced").fit(X, y, sample_weight=weight)
        return bool((weight == 1).all())

    def random_states_give_other_seeds(self) -> bool:
        X, y = binary_samples()
        state = np.random.RandomState(3)
        first, second = (self.net(random_state=state).fit(X, y).predict_proba(X) for _ in range(2))
        again = self.net(random_state=np.random.RandomState(3)).fit(X, y).predict_proba(X)
        return not np.allclose(first, second) and np.allclose(first, again)

    def string_labels_come_back(self) -> bool:
        X, y = binary_samples()
        labels = np.array(["no", "yes"])[y]
        return set(np.asarray(self.net().fit(X, labels).predict(X)).ravel()) <= {"no", "yes"}

    def clones_train_as_long(self) -> bool:
        X, y = binary_samples()
        return n_epochs(self.net().fit(X, y)) == n_epochs(clone(self.net()).fit(X, y))

    def voting_and_stacking_take_it(self) -> bool:
        X, y = binary_samples()
        VotingClassifier([("net", self.net()), ("line", LogisticRegression())], voting="soft").fit(X, y).predict(X)
        StackingClassifier([("net", self.net())], LogisticRegression(), cv=2).fit(X, y).predict(X)
        return True

    def thresholds_can_be_tuned(self) -> bool:
        X, y = binary_samples()
        TunedThresholdClassifierCV(self.net(), cv=2).fit(X, y).predict(X)
        return True

    def column_names_are_checked(self) -> bool:
        X, y = binary_samples()
        frame = pd.DataFrame(X, columns=list("abcdef"))
        net = self.net().fit(frame, y)
        try:
            net.predict(frame[list("fedcba")])
        except ValueError:
            return True
        return False

    def images_are_taken(self) -> bool:
        X, y = sorted_samples()
        images = np.repeat(X[:, :4], 4, axis=1).reshape(-1, 4, 4, 1)
        return len(self.net().fit(images, y).predict(images)) == len(y)

    def validation_samples_hold_every_class(self) -> bool:
        X, y = sorted_samples()
        return len(self.library.validation_labels(self.net(validation_split=0.2), X, y)) == 3

    def an_unseeded_fit_may_follow_a_seeded_one(self) -> bool:
        X, y = binary_samples()
        self.net(random_state=0).fit(X, y)
        self.net(random_state=None).fit(X, y)
        return True


def n_epochs(estimator: Any) -> int:
    history = estimator.history_
    return len(history) if isinstance(history, list) else len(getattr(history, "history", history)["loss"])


BEHAVIOURS = [name for name in vars(Behaviours) if not name.startswith("_") and name != "net"]


def outcome(behaviour: Callable[[], bool]) -> str:
    try:
        return "yes" if behaviour() else "no"
    except Unsupported:
        return "no such setting"
    except Exception as error:
        return type(error).__name__


# Costs ---------------------------------------------------------------------------------------------------------------


class Costs(NamedTuple):
    """Processor seconds of a fit and of a search, and MiB of growth per fit."""

    fit: float
    search: float
    growth: float


def measure_costs(library: Library, network: str, n_growth: int) -> Costs:
    X, y = load_digits(return_X_y=True)
    X, y = (X[:N_SAMPLES] / 16).astype("float32"), y[:N_SAMPLES]
    if network == "CNN" and library.takes_images:  # the other gets sequences
        X = X.reshape(-1, 8, 8, 1)
    net = library.make(network, **FAST, random_state=0)
    start = time.process_time()
    GridSearchCV(net, library.grid(net, RATES), cv=3, error_score="raise").fit(X, y)
    search = time.process_time() - start
    start = time.process_time()
    clone(net).fit(X, y)
    fit = time.process_time() - start
    process, sizes = psutil.Process(), []
    for i in range(WARM_UP + n_growth):
        clone(net).fit(X[:64], y[:64])
        gc.collect()
        if i >= WARM_UP - 1:
            sizes.append(process.memory_info().rss / 2**20)
    return Costs(fit, search, (sizes[-1] - sizes[0]) / n_growth)


# Report --------------------------------------------------------------------------------------------------------------


def in_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """Run in a fresh process, so that no library sees what another has done to Keras."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(function, *args).result()


def all_outcomes(library: Library) -> list[str]:
    behaviours = Behaviours(library)
    return [outcome(getattr(behaviours, name)) for name in BEHAVIOURS]


def installed(library: Library) -> bool:
    return find_spec(library.package) is not None and (library.package != "skorch" or find_spec("torch") is not None)


def checks_table(networks: tuple[str, ...]) -> tuple[str, str]:
    rows, failures = [], []
    for library in LIBRARIES:
        cells = []
        for network in networks:
            if not installed(library):
                cells.append("not installed")
                continue
            passed, failed, skipped = in_fresh_process(run_checks, library, network)
            cells.append(f"{passed} / {len(failed)} / {skipped}")
            if failed:
                names = ", ".join(f"`{name}`" for name in dict.fromkeys(failed))
                failures.append(f"- {library.title}, {network}: {names}.")
        rows.append([library.title, *cells])
    return markdown_table(["passed / failed / skipped", *networks], rows), "\n".join(failures) or "- None."


def behaviours_table() -> str:
    columns = [
        in_fresh_process(all_outcomes, library) if installed(library) else ["not installed"] * len(BEHAVIOURS)
        for library in LIBRARIES
    ]
    rows = [[name.replace("_", " "), *cells] for name, *cells in zip(BEHAVIOURS, *columns, strict=True)]
    return markdown_table(["", *(library.title for library in LIBRARIES)], rows)


def costs_table(networks: tuple[str, ...], n_growth: int) -> str:
    rows = []
    for network in networks:
        for library in COSTED:
            if not installed(library):
                rows.append([network, library.title, *["not installed"] * 3])
                continue
            costs = in_fresh_process(measure_costs, library, network, n_growth)
            rows.append([network, library.title, f"{costs.fit:.2f}", f"{costs.search:.1f}", f"{costs.growth:.1f}"])
    return markdown_table(["", "", "processor seconds of a fit", "of a search", "MiB per fit"], rows)


def answer(quick: bool) -> str:
    networks = NETWORKS[:1] if quick else NETWORKS
    table, failures = checks_table(networks)
    return f"""
The script's docstring says what is measured. "converted" is `skcnn.scikeras.convert` of the scikeras estimator.

### scikit-learn's check suite

{table}

Failed:

{failures}

### Behaviours

{behaviours_table()}

### Costs

Digits, {N_SAMPLES} samples, {FAST["epochs"]} epochs; the search is 13 fits and includes starting TensorFlow or PyTorch.

{costs_table(networks, 5 if quick else GROWTH_FITS)}
"""


def main() -> None:
    quick = parse_quick(__doc__)
    body = answer(quick)
    packages = ["skcnn", "scikit-learn", "tensorflow", "keras", "scikeras", "numpy", "pandas"]
    packages += [name for name in ("skorch", "torch") if find_spec(name) is not None]
    publish("contracts", "Contracts", QUESTION, body, only_print=quick, packages=packages)


if __name__ == "__main__":
    main()

"""What fits cost: steps of some networks are timed, those of others follow from their multiply-adds."""

import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import joblib
import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.under_sampling.base import BaseUnderSampler
from sklearn.base import clone

from skcnn._command.console import DataError, complain, one_line
from skcnn._command.progress import Forecast
from skcnn._command.tasks import Task
from skcnn._fit.parameters import epochs_for
from skcnn._sklearn.checks import resolve_input_shape
from skcnn.exceptions import ScaleWarning
from skcnn.networks import resolve_network, summary

__all__ = ["Costs"]

Params = Mapping[str, Any]

TIMED_SECONDS = 0.8  # of steps, about, that a network is timed by
TIMED_STEPS = 4  # at least
TIMED_BATCHES = 16  # of samples at most
# Processor seconds of comparison and diagnosis, from nine data sets of 120 to 1,300 samples of 20 to 12,288 values:
# 3.2 to 7.8 of tables, series and digits, 16 of larger images; this comes within 0.6 and 1.5 times of it.
AFTER, AFTER_VALUE, AFTER_SAMPLE = 3.5, 4e-6, 1.5e-3
DIAGNOSED = 1200  # samples, at most, that the diagnosis compares
# Parameters that change no graph, so that networks which differ in them alone are compiled once.
NO_GRAPH = ("l2", "class_weight", "epochs", "batch_size")


class Timed(NamedTuple):
    """Seconds that a network takes, of which as many are trained at a time as in the search.

    Attributes
    ----------
    build : float
        To build and compile it.
    fit : float
        Of each fit, whatever its steps.
    step : float
        Of each step.
    """

    build: float
    fit: float
    step: float


class Costs:
    """Expected times of fits.

    Parameters
    ----------
    task : Task
        What is learnt.
    pipe : Pipeline
        What candidates are set on.
    n_folds, jobs : int
        Folds, and fits at a time.

    Attributes
    ----------
    pace : float
        What to multiply all times by, as ended searches have shown.
    crowding : float
        How many times as long as alone on the machine a network took to build.
    """

    def __init__(self, task: Task, pipe: Any, n_folds: int, jobs: int) -> None:
        self.task, self.pipe, self.n_folds, self.jobs = task, pipe, n_folds, jobs
        self.pace = self.crowding = 1.0
        self._timed: dict[str, dict[float, Timed]] = {}  # by kind of network and multiply-adds
        self._sizes: dict[str, float] = {}
        self._built: set[str] = set()

    # Measuring ------------------------------------------------------------------------------------------------------

    def measure(self, candidates: Sequence[Params]) -> None:
        """Time steps of the smallest and the largest network of each kind, which a search then need not compile.

        Raises
        ------
        DataError
            If a network cannot be built for these samples.
        """
        kinds = defaultdict[str, dict[float, Any]](dict)
        for params in candidates:
            cnn = self._set(params)[-1]
            kinds[_kind(cnn)].setdefault(self._size(cnn), cnn)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for kind, networks in kinds.items():
                self._timed[kind] = {size: self._time(networks[size]) for size in {min(networks), max(networks)}}
        for text in dict.fromkeys(one_line(w.message) for w in caught if issubclass(w.category, ScaleWarning)):
            complain(text)

    def _time(self, of: Any) -> Timed:
        """Time the network of an estimator, as many at a time as in the search."""
        X, y = self.task.X_train, self.task.y_train
        # Parameters of the network alone; at this rate no training diverges.
        cnn = clone(self.pipe[-1]).set_params(network=of.network, input_shape=of.input_shape, learning_rate=1e-9)
        batch = n_least = cnn.batch_size
        if self.task.kind != "regression":  # which samples these are does not matter, but all classes must be there
            labels = np.unique(y)
            y, n_least = np.resize(labels, len(y)), max(batch, len(labels))

        def fits(n_batches: int, epochs: int) -> float:
            fit, n = clone(cnn).set_params(epochs=epochs).fit, max(n_least, n_batches * batch)
            parallel = joblib.Parallel(self.jobs)
            return _seconds(lambda: parallel(joblib.delayed(fit)(X[:n], y[:n]) for _ in range(self.jobs)))

        try:
            used = time.process_time()
            build = _seconds(lambda: cnn.set_params(epochs=1).fit(X[:n_least], y[:n_least]).predict(X[:1]))
            self.crowding = max(1.0, build / (time.process_time() - used))
            once = min(fits(1, 1) for _ in range(2))  # the first makes programs for all jobs
            n_once = ceil(min(len(X), n_least) / batch)
            wanted = n_once * max(TIMED_STEPS, round(TIMED_SECONDS / once))
            n_batches = min(ceil(len(X) / batch), TIMED_BATCHES, wanted)
            n_batches = max(n_batches, n_once)
            epochs = ceil(wanted / n_batches)
            many = fits(n_batches, epochs)
        except ValueError as error:
            raise DataError(one_line(error)) from error
        n_steps = epochs * n_batches
        step = max((many - once) / (n_steps - n_once), many / n_steps / 2)
        self._built.add(_graph(cnn))
        return Timed(max(0.0, build - once), max(0.0, once - n_once * step), step)

    def _set(self, params: Params) -> Any:
        return clone(self.pipe).set_params(**{name: clone(value, safe=False) for name, value in params.items()})

    def _size(self, cnn: Any) -> float:
        """Return the multiply-adds of a network for a sample."""
        key = repr((cnn.network, cnn.input_shape))
        if key not in self._sizes:
            shape = resolve_input_shape(cnn.input_shape, self.task.X_train.shape[1:])
            n_outputs = len(np.unique(self.task.y_train)) if self.task.kind == "multiclass" else 1
            try:
                self._sizes[key] = float(summary(cnn.network, shape, n_outputs).multiply_adds)
            except ValueError as error:
                raise DataError(one_line(error)) from error
        return self._sizes[key]

    # Expecting ------------------------------------------------------------------------------------------------------

    def forecast(self, candidates: Sequence[Params]) -> Forecast:
        """Return what a search over candidates is expected to take, the final fit being that of the slowest."""
        n = len(self.task.X_train)
        n_scored = n // self.n_folds
        built, seconds = set(self._built), []
        for params in candidates:
            pipe = self._set(params)
            build, folds = self._timed_like(pipe[-1]).build, [self._of(pipe, n - n_scored, n_scored)] * self.n_folds
            graph = _graph(pipe[-1])
            if graph not in built:  # all that begin meanwhile wait for it
                folds = [one + build * (i < self.jobs) for i, one in enumerate(folds)]
                built.add(graph)
            seconds.append([self.pace * one for one in folds])
        refit = max(self._of(self._set(params), n, 0) for params in candidates)
        return Forecast(seconds, self.pace * refit, self.jobs)

    def afterwards(self) -> float:
        """Return about how many seconds the comparison on held-out samples and the diagnosis take."""
        X, n_test = self.task.X_train, len(self.task.X_test)
        n = min(len(X), DIAGNOSED)
        return self.crowding * (AFTER + AFTER_VALUE * n * X[0].size + AFTER_SAMPLE * (n + n_test))

    def learn(self, candidates: Sequence[Params], forecast: Forecast) -> None:
        """Take note of a search that has ended: how fast it was, and what is compiled."""
        self.pace *= forecast.pace
        self._built.update(_graph(self._set(params)[-1]) for params in candidates)

    def _of(self, pipe: Any, n_samples: int, n_scored: int) -> float:
        """Return the seconds of a fit on so many samples, and of predicting others."""
        cnn = pipe[-1]
        n = round(n_samples * self._growth(pipe))
        timed = self._timed_like(cnn)
        # A step is a pass forwards and two backwards.
        steps = epochs_for(cnn, n) * ceil(n / cnn.batch_size) + n_scored / cnn.batch_size / 3
        return timed.fit + steps * timed.step * cnn.batch_size / self.pipe[-1].batch_size

    def _growth(self, pipe: Any) -> float:
        """Return how many times as many samples a sampler makes of them."""
        sampler = getattr(pipe.named_steps.get("balance"), "sampler", None)
        if not isinstance(sampler, (BaseOverSampler, BaseUnderSampler)):
            return 1.0
        counts = Counter(self.task.y_train.tolist()).values()
        each = max(counts) if isinstance(sampler, BaseOverSampler) else min(counts)
        return each * len(counts) / sum(counts)

    def _timed_like(self, cnn: Any) -> Timed:
        """Return the times of a network: on the line through the smallest and the largest of its kind."""
        timed = self._timed[_kind(cnn)]
        low, high = min(timed), max(timed)
        if low == high:
            return timed[low]
        size = np.clip(self._size(cnn), low, high)
        return Timed(*(float(np.interp(size, [low, high], pair)) for pair in zip(timed[low], timed[high], strict=True)))


def _kind(cnn: Any) -> str:
    network = resolve_network(cnn.network)
    return getattr(network, "__name__", type(network).__name__)


def _graph(cnn: Any) -> str:
    """Return what is the same for estimators that share a compiled network: numbers are on or off."""
    params = {name: value for name, value in cnn.get_params(deep=False).items() if name not in NO_GRAPH}
    return repr({name: bool(value) if isinstance(value, (int, float)) else value for name, value in params.items()})


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start

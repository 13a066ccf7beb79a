"""An interrupt at any line leaves every estimator whole: the interrupted one the old or the new, others as they were.

Signals are sent at lines of all modules that a fit or a prediction passes through, as Ctrl-C and timers send them.
"""

import dis
import pickle
import random
import signal
import sys
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from common import classifier, dropout_network, regressor, same_model
from sklearn.base import clone

import skcnn
from skcnn import CNNClassifier
from skcnn._engine import ahead
from skcnn._engine.pool import pool
from skcnn._engine.signals import signals_held, uninterrupted
from skcnn.datasets import LazySamples
from skcnn.networks import Plain

FOLDER = str(Path(skcnn.__file__).parent)
N_LINES = 12  # of all lines of an action that are interrupted


class Timeout(Exception):
    """What a handler of the user's raises."""


def raise_timeout(number, frame):
    raise Timeout


@pytest.fixture(scope="module")
def few(few_digits):
    X, y = few_digits
    return X[:60], y[:60] % 3


@pytest.fixture
def handlers():
    """Set the user's handlers, and check that they are there in the end."""
    with users_handlers():
        yield


@contextmanager
def users_handlers():
    old = signal.signal(signal.SIGUSR1, raise_timeout)
    of_ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background ignores
    yield
    assert signal.getsignal(signal.SIGUSR1) is raise_timeout
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signals_held._depth == 0
    signal.signal(signal.SIGUSR1, old)
    signal.signal(signal.SIGINT, of_ctrl_c)


@cache
def lines_of_with(code):
    """Return the lines on which a with statement enters or leaves; tracing can raise on leaving, and no signal can."""
    names = ("BEFORE_WITH", "LOAD_SPECIAL", "SETUP_WITH", "WITH_EXCEPT_START")
    return {one.positions.lineno for one in dis.get_instructions(code) if one.opname in names}


class Lines:
    """Counts the lines run in skcnn, and sends a signal at one of them."""

    def __init__(self, at=0, number=signal.SIGINT):
        self.at, self.number, self.places = at, number, []

    @property
    def where(self):
        return "{}:{}".format(*self.places[self.at - 1]) if self.at <= len(self.places) else "after the end"

    def _line(self, frame, event, arg):
        if event == "line" and frame.f_lineno not in lines_of_with(frame.f_code):
            self.places.append((frame.f_code.co_filename, frame.f_lineno))
            if len(self.places) == self.at:
                signal.raise_signal(self.number)
        return self._line

    def _call(self, frame, event, arg):
        return self._line if frame.f_code.co_filename.startswith(FOLDER) else None

    def __enter__(self):
        sys.settrace(self._call)
        return self

    def __exit__(self, *exception):
        sys.settrace(None)


def outputs_of(model, X):
    return np.asarray(model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X))


ACTIONS = {
    "fit": lambda model, X, y: model.fit(X[:40], y[:40]),
    "partial_fit": lambda model, X, y: model.partial_fit(X[:40], y[:40]),
    "predict": lambda model, X, y: model.predict(X),
    "to_keras": lambda model, X, y: model.to_keras(),
    "fit of lazy samples": lambda model, X, y: model.fit(LazySamples(X[:40]), y[:40]),
    "predict lazy samples": lambda model, X, y: model.predict(LazySamples(X)),
}
MODELS = {
    "classifier": classifier(epochs=2, early_stopping=True, batch_size=16),
    "averages": classifier(epochs=2, ema_momentum=0.5, early_stopping=True, scoring="accuracy", batch_size=16),
    "custom": classifier(network=dropout_network, epochs=2),
    "refit": regressor(epochs=2, early_stopping=True, refit_full=True),
}


PAIRS = [(name, "fit") for name in MODELS] + [("classifier", action) for action in ACTIONS if action != "fit"]
NUMBERS = {"Ctrl-C": signal.SIGINT, "own exception": signal.SIGUSR1}


def interrupt_at_lines(name, action, number, few, choose):
    """Interrupt an action at one line after the other, and check every estimator after each.

    Parameters
    ----------
    choose : callable
        Called with the file and line of each step that the action takes in skcnn; returns which to interrupt, from 1.

    Returns
    -------
    list of bool
        Whether the interrupt was raised, and not overtaken by the end of the action.
    """
    X, y = few
    model = clone(MODELS[name])
    if action == "partial_fit":
        model.set_params(early_stopping="auto")
    old = clone(model).set_params(random_state=7).fit(X, y)
    saved = pickle.dumps(old)
    bystanders = [clone(model).set_params(random_state=seed).fit(X, y) for seed in (1, 2)]  # of the same topology
    expected = [outputs_of(one, X) for one in (*bystanders, old)]
    act, policy, state = ACTIONS[action], keras.config.dtype_policy(), random.getstate()
    with Lines() as lines:
        act(pickle.loads(saved), X, y)
    raised = []
    for at in choose(lines.places):
        interrupted = pickle.loads(saved)
        try:
            with Lines(int(at), number) as here:
                act(interrupted, X, y)
            raised.append(False)
        except (KeyboardInterrupt, Timeout):
            raised.append(True)
        for one, outputs in zip(bystanders, expected, strict=False):
            np.testing.assert_array_equal(outputs_of(one, X), outputs, err_msg=here.where)
        copied = pickle.loads(pickle.dumps(interrupted))
        assert same_model(interrupted, copied), here.where
        np.testing.assert_array_equal(outputs_of(interrupted, X), outputs_of(copied, X), err_msg=here.where)
        if same_model(interrupted, old):
            np.testing.assert_array_equal(outputs_of(interrupted, X), expected[-1], err_msg=here.where)
        else:
            assert "fit" in action, here.where
        if name != "refit":  # whose history is that of the first training
            assert len(interrupted.history_.get("loss", [])) == interrupted.n_iter_
        assert keras.config.dtype_policy() is policy, here.where
        assert random.getstate() == state, here.where
        assert "skcnn-reader" not in [thread.name for thread in threading.enumerate()], here.where
    again, fresh = (pickle.loads(saved) for _ in range(2))
    act(again, X, y)
    pool._idle.clear()
    act(fresh, X, y)
    assert same_model(again, fresh)  # the programs serve the next fit as new ones would
    return raised


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize(("name", "action"), PAIRS)
def test_an_interrupt_at_any_line_leaves_every_estimator_whole(name, action, number, few, monkeypatch):
    """A sample of the lines; ``benchmarks/interrupts.py`` takes all."""
    monkeypatch.setattr(ahead, "BLOCK_BYTES", 5000)  # so that an epoch has several blocks

    def sample(places):
        rng = np.random.default_rng(len(name + action) + int(number))  # other lines for each case
        return np.unique(((np.arange(N_LINES) + rng.random(N_LINES)) * len(places) / N_LINES).astype(int) + 1)

    assert sum(interrupt_at_lines(name, action, number, few, sample)) > N_LINES // 3


@pytest.mark.usefixtures("handlers")
def test_interrupts_by_a_timer_while_predicting(few):
    X, y = few
    models = [classifier(random_state=seed).fit(X, y) for seed in (1, 2)]
    expected = [outputs_of(one, X) for one in models]
    old = signal.signal(signal.SIGALRM, raise_timeout)
    n_raised = 0
    try:
        for i in range(120):
            signal.setitimer(signal.ITIMER_REAL, 1e-4 + i * 2e-5)
            try:
                for one in models:
                    one.predict(X)
            except Timeout:
                n_raised += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except Timeout:  # came late
        n_raised += 1
    finally:
        signal.signal(signal.SIGALRM, old)
    assert n_raised > 10
    for one, outputs in zip(models, expected, strict=True):
        np.testing.assert_array_equal(outputs_of(one, X), outputs)


# Signals held back ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("handlers")
def test_signals_come_after_the_block_to_the_users_handlers():
    done = []

    @uninterrupted
    def work(number):
        signal.raise_signal(number)
        with signals_held():
            done.append("inner")
        done.append("outer")

    for number, error in [(signal.SIGUSR1, Timeout), (signal.SIGINT, KeyboardInterrupt)]:
        with pytest.raises(error):
            work(number)
    assert done == ["inner", "outer"] * 2


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_comes_again_after_a_while_is_not_held(monkeypatch):
    monkeypatch.setattr(signals_held, "PATIENCE", -1.0)
    done = []

    @uninterrupted
    def work():
        signal.raise_signal(signal.SIGUSR1)
        done.append("never")

    with pytest.raises(Timeout):
        work()
    assert done == []


@pytest.mark.usefixtures("handlers")
def test_a_handler_that_the_block_sets_stays():
    def other(number, frame):
        pass

    with signals_held():
        signal.signal(signal.SIGUSR1, other)
    assert signal.getsignal(signal.SIGUSR1) is other
    signal.signal(signal.SIGUSR1, raise_timeout)


# Threads --------------------------------------------------------------------------------------------------------------


def test_a_prediction_while_another_thread_refits_is_of_one_fit(few):
    """Two fits with other classes and other features: no answer mixes them."""
    X, y = few
    kinds = [(X, np.array(["a", "b", "c"])[y]), (X[:, :5], np.array(["d", "e", "f", "g"])[np.arange(60) % 4])]
    model = CNNClassifier(Plain(filters=(2,)), epochs=1, random_state=0)
    answers = []
    for features, labels in kinds:
        fitted = clone(model).fit(features, labels)
        answers.append((fitted.predict(features), fitted.predict_proba(features), fitted.decision_function(features)))
    model.fit(*kinds[0])
    stop, found, wrong = threading.Event(), [0, 0], []

    def predict():
        i = 0
        while not stop.is_set():
            i += 1
            features = kinds[i % 2][0]
            try:
                got = [model.predict, model.predict_proba, model.decision_function][i // 2 % 3](features)
            except ValueError as error:
                if "shape" not in str(error) and "features" not in str(error):
                    wrong.append(error)
                continue
            found[i % 2] += 1
            if not np.array_equal(got, answers[i % 2][i // 2 % 3]):
                wrong.append(got)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for one in threads:
        one.start()
    for i in range(1, 17):
        model.fit(*kinds[i % 2])
    stop.set()
    for one in threads:
        one.join()
    assert not wrong
    assert min(found) > 3

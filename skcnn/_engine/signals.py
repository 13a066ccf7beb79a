"""Signals wait while TensorFlow or Keras is at work, and are handled right after.

A handler that raises, as Python's own of Ctrl-C does, stops Python code wherever it is. TensorFlow calls Python from
compiled code, which then ends the process (``tf.constant(5)`` under a timer whose handler raises is enough), and a
network that is half built, or half loaded, is of no use to anybody.
"""

import signal
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

__all__ = ["signals_held", "uninterrupted"]

try:  # what is behind `signal`, whose functions make enumerations of what they return and take ten times as long
    from _signal import getsignal as _handler_of  # type: ignore[import-not-found]
    from _signal import signal as _set_handler
except ImportError:
    from signal import getsignal as _handler_of
    from signal import signal as _set_handler

_NUMBERS = tuple(sorted(map(int, signal.valid_signals())))


class signals_held:
    """Hold signals back inside a ``with`` block of the main thread; in other threads Python handles none.

    The handlers are the user's again after the block, and are then called for what has come. A signal that comes once
    more after two seconds is handled at once, so that nothing can hang.
    """

    PATIENCE: ClassVar[float] = 2.0
    _depth: ClassVar[int] = 0

    def __init__(self) -> None:
        self._replaced: dict[int, Any] = {}
        self._came: dict[int, tuple[float, Any]] = {}  # when first, and where
        self._is_outermost = False

    def __enter__(self) -> None:
        if threading.get_ident() != threading.main_thread().ident:
            return
        if signals_held._depth:
            return
        try:
            for number in _NUMBERS:
                handler = _handler_of(number)
                if callable(handler) and not isinstance(handler, int):
                    self._replaced[number] = handler
                    _set_handler(number, self._record)
            self._is_outermost, signals_held._depth = True, 1
        except BaseException:  # of a signal that came in between
            self._finish()
            raise

    def __exit__(self, *exception: object) -> None:
        if not self._is_outermost:
            return
        signals_held._depth = 0
        self._finish()

    def _finish(self) -> None:
        self._restore()
        while self._came:
            number, (_, frame) = self._came.popitem()
            self._replaced[number](number, frame)

    def _record(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        first, _ = self._came.setdefault(number, (now, frame))
        if now - first > self.PATIENCE:
            self._replaced[number](number, frame)

    def _restore(self) -> None:
        """Set the handlers of the user, although one that is set may raise while others are not yet."""
        raised: BaseException | None = None
        while True:
            try:
                for number, handler in self._replaced.items():
                    if _handler_of(number) == self._record:  # else the block has set another
                        _set_handler(number, handler)
                break
            except BaseException as error:  # raised by a handler, not by what is called here
                raised = error
        if raised is not None:
            raise raised


P = ParamSpec("P")
R = TypeVar("R")


def uninterrupted(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with signals held back while it runs."""

    @wraps(function)
    def held(*args: P.args, **kwargs: P.kwargs) -> R:
        with signals_held():
            return function(*args, **kwargs)

    return held

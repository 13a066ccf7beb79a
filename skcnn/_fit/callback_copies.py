"""Copies of Keras callbacks: state of their own, and the objects that it refers to."""

import copy
import os
import random
import re
import secrets
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import PurePath
from types import MethodType
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import forget_model, model_of

__all__ = ["copy_state", "new_fit_number"]

MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
SEQUENCES = (list, deque)
VALUES = (set, bytearray, np.ndarray)
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
PLACEHOLDER = re.compile(r"\{fit(?::([^{}]*))?\}")
FITS = 10**6  # that a process numbers before it could meet the numbers of another


def copy_state(callbacks: Any, fit: int | None = None) -> Any:
    """Return copies of Keras callbacks without their model, which share all objects but plain state.

    Plain state are lists, tuples, dicts, sets, arrays and random number generators, also within each other, and
    callbacks within a callback. All else is shared: a deep copy of a study, a queue or a connection is another one, to
    which nobody listens.

    Parameters
    ----------
    callbacks : list or tuple of keras.callbacks.Callback
        Whatever else it is, or has in it, is returned as it is.
    fit : int or None, default=None
        What to replace ``{fit}`` with in strings and paths of the callbacks; None leaves it.
    """
    return _Copier(fit).copied(callbacks) if callbacks else callbacks


class _Copier:
    """Copies what one fit, or one clone, gets; what is the same before is the same after."""

    def __init__(self, fit: int | None) -> None:
        import keras  # here, so that a clone of an estimator without callbacks does not import it

        self._kind = keras.callbacks.Callback
        self._fit = fit
        self._made: dict[int, Any] = {}

    def copied(self, value: Any) -> Any:
        """Return a copy of plain state, or the object itself."""
        if id(value) not in self._made:
            made = self._callback(value) if isinstance(value, self._kind) else self._plain(value)
            self._made[id(value)] = made
        return self._made[id(value)]

    def _callback(self, callback: Any) -> Any:
        self._made[id(model_of(callback))] = None
        if hasattr(callback, "__deepcopy__"):  # says itself how it is copied
            return callback.__deepcopy__(self._made)
        made = self._made[id(callback)] = object.__new__(type(callback))
        for name, value in vars(callback).items():
            vars(made)[name] = self._numbered(self.copied(value))
        forget_model(made)
        return made

    def _plain(self, value: Any) -> Any:
        kind = type(value)
        if kind in MAPPINGS or kind in SEQUENCES:
            made = self._made[id(value)] = copy.copy(value)  # before what is in it, which may refer to it
            for key, inner in value.items() if kind in MAPPINGS else enumerate(value):
                made[key] = self.copied(inner)
            return made
        if kind is tuple:
            return tuple(map(self.copied, value))
        if kind is MethodType:  # such as on_epoch_end of a LambdaCallback
            return MethodType(value.__func__, self.copied(value.__self__))
        if kind in VALUES:
            return copy.copy(value)
        return copy.deepcopy(value) if kind in GENERATORS else value

    def _numbered(self, value: Any) -> Any:
        """Return a string or path with the number of the fit in it."""
        if self._fit is None or not isinstance(value, (str, PurePath)):
            return value
        return type(value)(PLACEHOLDER.sub(lambda found: format(self._fit, found[1] or ""), str(value)))


@lru_cache(maxsize=1)
def _numbers(process: int) -> Iterator[int]:
    """Return the numbers of the fits of a process: consecutive, from a start that no other process has."""
    return count(secrets.randbelow(10**12) * FITS + 1)


def new_fit_number() -> int:
    """Return a number that no other fit has, in this process or another."""
    return next(_numbers(os.getpid()))  # another one after a fork

"""Digests that identify an object, or a training run, across processes."""

import inspect
import re
from collections.abc import Hashable
from types import CodeType
from typing import Any

import joblib
from joblib.externals.loky.backend.reduction import dumps

__all__ = ["fingerprint", "object_key"]

# cloudpickle numbers the classes of notebooks and scripts at random, differently in each process.
_RANDOM_NAME = re.compile(rb"[0-9a-f]{32}")


def fingerprint(*parts: Any) -> str:
    """Return a digest of plain values, arrays and dicts."""
    return str(joblib.hash([joblib.hash(part, coerce_mmap=True) for part in parts]))


def object_key(value: Any) -> Hashable:
    """Return what identifies this object; equal for copies made by clone, pickle, notebooks and restarts.

    The code of the user's functions and classes is part of it, so that an edited and reloaded definition is a new
    object. It is a string, or a tuple for an object that cannot be pickled and equals only itself.
    """
    has_parameters = hasattr(value, "get_params") and not inspect.isclass(value)
    kind: Any = type(value) if has_parameters else value
    try:
        if has_parameters:  # have Python write into the classes what it does when they are first pickled or inspected
            value.__reduce_ex__(2)  # __slotnames__
            for base in kind.__mro__:
                getattr(base, "__annotations__", None)
        pickled = bytes(dumps(kind))  # by value where pickle itself could not, as joblib sends it to workers
        parameters = fingerprint(value.get_params()) if has_parameters else None
    except Exception:  # whatever a user's object raises when pickled
        return ("object", id(value))
    functions = inspect.getmembers(kind, inspect.isfunction) if inspect.isclass(kind) else [("", kind)]
    code = [_code_values(function.__code__) for _, function in functions if hasattr(function, "__code__")]
    return fingerprint(_RANDOM_NAME.sub(b"", pickled), code, parameters)


def _code_values(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code_values(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts)
    return (code.co_code, code.co_names, constants)

"""Digests that identify an object, or a training run, across processes."""

from collections.abc import Hashable
from typing import Any

import joblib

from skcnn._engine.behaviour import behaviour_of

__all__ = ["fingerprint", "object_key"]


def fingerprint(*parts: Any) -> str:
    """Return a digest of plain values, arrays and dicts."""
    return str(joblib.hash([joblib.hash(part, coerce_mmap=True) for part in parts]))


def object_key(value: Any) -> Hashable:
    """Return what identifies this object; equal for copies made by clone, pickle, notebooks and restarts.

    What the user's functions and classes do is part of it, so that an edited definition is a new object, see
    `skcnn._engine.behaviour`. It is a string, or a tuple for an object that Python does not show and that equals only
    itself.
    """
    return behaviour_of(value).key or ("object", id(value))

"""What tests of hostile input share: how a case is judged and counted."""

import re
import signal
import traceback
import warnings
from contextlib import contextmanager
from functools import wraps
from hashlib import blake2b

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from hypothesis import HealthCheck, Phase, given, settings

MAX_WARNINGS = 5  # of one call
MAX_SECONDS = 300  # of one case, on a machine that does other things, too
FOREIGN = ("/tensorflow/", "/keras/", "/absl/")  # whose tracebacks nobody wants to read

N_CASES = {}  # of each property, by its name; each property asserts its own number


# Judging ------------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """Stands for an error that is as it should be."""


class Late(BaseException):
    """Goes past everything that catches exceptions."""


def judge(call, *names, given=(), diverges=False):
    """Run a case: return what it returns, or `Refused` for a good error, and fail for anything else.

    A good error is a ValueError or TypeError (of which NotFittedError is one), in whose text stands one of `names`, and
    in whose traceback are no lines of TensorFlow or Keras. Where values are near the end of their range, a fit may also
    diverge, which is a FloatingPointError that says what to do.
    """
    before = [digest(thing) for thing in given]
    with time_limit(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except (ValueError, TypeError) as error:
            check_error(error, names)
            result = Refused(error)
        except FloatingPointError as error:
            if not diverges:
                raise
            check_error(error, ["learning_rate"])
            result = Refused(error)
    assert len(caught) <= MAX_WARNINGS, [str(one.message) for one in caught]
    assert [digest(thing) for thing in given] == before, "an argument was changed"
    return result


def refused(result):
    return isinstance(result, Refused)


def check_error(error, names):
    text = str(error)
    named = [name for name in names if re.search(rf"(?<![\w.]){name}\b", text)]
    assert named, f"{text!r} names none of {names}"
    while error is not None:
        assert not type(error).__module__.startswith(("tensorflow", "keras")), type(error)
        files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
        assert not [file for file in files if any(name in file for name in FOREIGN)], files
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@contextmanager
def time_limit():
    def late(*_):
        raise Late(f"no answer after {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(MAX_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def digest(thing):
    """Return what changes if a thing does: its bytes, type and layout."""
    found = blake2b(digest_size=16)

    def add(one):
        if isinstance(one, np.ma.MaskedArray):
            add(one.data)
            add(np.ma.getmaskarray(one))
        elif isinstance(one, np.ndarray):
            found.update(repr((one.dtype, one.shape, one.strides, one.flags.writeable)).encode())
            as_text = one.dtype.hasobject or one.dtype.char == "g"  # whose padding is anything
            found.update(repr(one.tolist()).encode() if as_text else one.tobytes())
        elif isinstance(one, (list, tuple)):
            found.update(repr(one).encode())
        elif isinstance(one, dict):
            for key, value in one.items():
                found.update(repr(key).encode())
                add(value)
        elif sp.issparse(one):
            add(one.tocoo().data)
            add(one.toarray())
        elif isinstance(one, (pd.DataFrame, pd.Series)):
            found.update(repr((one.shape, list(getattr(one, "columns", [])), list(one.index))).encode())
            for _, column in one.items() if isinstance(one, pd.DataFrame) else [("", one)]:
                found.update(repr((column.dtype, column.tolist())).encode())
        elif isinstance(one, (pl.DataFrame, pl.Series)):
            found.update(
                repr((one.shape, one.to_dict(as_series=False) if hasattr(one, "columns") else one.to_list())).encode()
            )
        elif hasattr(one, "numpy"):
            add(np.asarray(one.numpy()))
        else:
            found.update(type(one).__name__.encode())

    add(thing)
    return found.hexdigest()


# Counting -----------------------------------------------------------------------------------------------------------


def cases(number, *, least=None, **drawn):
    """Make a property of a test: `number` different cases, or `least` where draws repeat, the same in every run.

    The test is given what is `drawn`, which is what tells one case from another.
    """
    least = least or number

    def decorate(test):
        seen = set()

        @settings(
            max_examples=number + number // 4,  # some draw the same by other ways
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(**drawn)
        def run(**values):
            test(**values)
            seen.add(repr(values))

        @wraps(test)
        def counted():
            run()
            assert len(seen) >= least, f"{len(seen)} of {least} cases were run"

        del counted.__wrapped__  # pytest would look for fixtures of the names that are drawn
        N_CASES[f"{test.__module__}.{test.__name__}"] = least
        return counted

    return decorate

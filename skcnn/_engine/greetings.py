"""Holding back the messages that TensorFlow's C++ part writes to standard error when it starts."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import current_process, parent_process
from threading import Lock

__all__ = ["held_stderr", "import_keras_in_workers", "is_worker", "quiet_start"]

# Lines of its log, as "I0000 00:00:1764000000.000000 42 port.cc:153] ..." or, before TensorFlow 2.19 or so, "2024-11-25
# 01:02:03.4: I tensorflow/...", and those that go with them.
_GREETING = re.compile(
    rb"^(?:[IWE]\d{4} [\d:.]+ +\d+ |[\d-]{10} [\d:.]+: [IWE] |WARNING: All log messages before|To enable the following)"
    rb".*\n?",
    re.MULTILINE,
)

_lock = Lock()
_quiet = False  # whether TensorFlow has been started here


def is_worker() -> bool:
    """Tell whether another process of Python has started this one, as joblib's workers, where greetings only repeat.

    The main process shows its own, as TensorFlow does in every program. ``TF_CPP_MIN_LOG_LEVEL=0``, by which users ask
    for all messages, makes every process a main one.
    """
    return parent_process() is not None and os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "0"


def import_keras_in_workers() -> None:
    """Import Keras without greetings, if this is a worker of joblib.

    To be called before an estimator is unpickled: what it holds, such as a custom network, may import Keras before the
    fit starts TensorFlow. Other processes import this package for other reasons, and are left alone.
    """
    if is_worker() and current_process().name.startswith("LokyProcess"):
        with suppress(ImportError), held_stderr():  # the fit says in words what is missing
            import keras  # noqa: F401


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start TensorFlow without its greetings; if that fails, all that was written is shown.

    Only the first block does so. What others write to standard error meanwhile is shown after it.
    """
    global _quiet
    with _lock:  # two blocks at a time would hold each other's standard error
        if not _quiet:
            with held_stderr():
                yield
                import tensorflow as tf

                tf.constant(0)  # starts the runtime, which has greetings of its own
            _quiet = True
            return
    yield


@contextmanager
def held_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, by compiled code too, then show it.

    Greetings are left out, unless the block fails.
    """
    try:
        kept = os.dup(2) if sys.stderr is not None else -1  # Python has none in a service or a windowed program
    except OSError:  # closed
        kept = -1
    if kept < 0:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        failed = True
        try:
            os.dup2(held.fileno(), 2)
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            held.seek(0)
            text = held.read()
            os.write(kept, text if failed else _GREETING.sub(b"", text))
            os.close(kept)

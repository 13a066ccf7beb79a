"""How many threads TensorFlow may use, and the check that it is Keras' backend.

TensorFlow sizes its thread pools once per process, when it starts. Small networks train fastest with one thread per
network and one network per core: handing an operation of some ten microseconds to a second thread takes longer than
doing it. So one thread is chosen inside a joblib worker, and where the first samples are small, unless the user or the
environment has chosen.
"""

import os
import sys
from multiprocessing import current_process, parent_process
from numbers import Integral
from threading import Lock
from typing import Any

from skcnn._engine.tensorflow_internals import has_started
from skcnn.exceptions import ThreadsWarning, warn

__all__ = ["n_threads", "set_threads", "start_tensorflow"]

# Positions of a sample (steps, pixels or voxels). With the default network a second thread cost time up to some 500 and
# paid above (2 cores; a step of 32 samples: 1.1 against 2.1 ms at 64, 2.6 against 3.6 at 256, 7.5 against 6.1 at 784).
SMALL_SAMPLE = 256
LARGE_SAMPLE = 1024

_lock = Lock()
_started = False
_small = False  # whether one thread was chosen for small samples
_advised = False  # whether this process was told what makes its searches slow
_forked = False  # whether TensorFlow ran in the process that this one was forked from


def _after_fork() -> None:
    global _forked, _lock
    _lock = Lock()
    _forked = _forked or (sys.modules.get("tensorflow") is not None and has_started())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_threads(n: int) -> None:
    """Choose how many threads one TensorFlow operation may use, before TensorFlow is used in this process.

    Parameters
    ----------
    n : int
        Number of threads of one operation (TensorFlow's intra-op threads), at least 1. One is fastest for searches
        over small networks with ``n_jobs`` equal to the number of cores; all cores for a single large network.

    Raises
    ------
    ValueError
        If `n` is not a positive integer.
    RuntimeError
        If TensorFlow has already started otherwise: its pools cannot be resized.

    Examples
    --------
    >>> import skcnn
    >>> skcnn.set_threads(1)
    """
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_threads got n={n!r}; expected the number of threads, an integer of at least 1.")
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() == n:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(int(n))
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow has already started and cannot change to {n} threads. Call skcnn.set_threads({n}) before the "
            "first fit or any other use of TensorFlow in this process."
        ) from error


def start_tensorflow(positions: int | None = None) -> Any:
    """Import and return TensorFlow and Keras, sizing the thread pools if nobody has.

    Parameters
    ----------
    positions : int, default=None
        Positions of the samples of a fit; few of them are given one thread.

    Raises
    ------
    RuntimeError
        If Keras runs on another backend than TensorFlow, or TensorFlow in a mode that skcnn does not use, or this
        process was forked from one that uses TensorFlow.
    ImportError
        If the backend of Keras is not installed.

    Warns
    -----
    ThreadsWarning
        If TensorFlow was started with one thread for small samples, and these are large; or, once in a process, where
        a search over them on several processes or threads would be faster otherwise.
    """
    global _advised, _started, _small
    if _forked:
        raise RuntimeError(
            "This process was forked from one in which TensorFlow had started, whose threads do not exist here. Use "
            "joblib's 'loky' or 'threading' backend, or set_start_method('spawn'), or fork before the first fit."
        )
    keras, tf = _imported()
    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras runs on the backend {keras.config.backend()!r}, skcnn needs 'tensorflow'. Set the environment "
            'variable KERAS_BACKEND=tensorflow (or "backend" in ~/.keras/keras.json) and restart Python.'
        )
    _check_mode(tf)
    is_small = positions is not None and positions <= SMALL_SAMPLE
    with _lock:
        if not _started and (_runs_in_worker() or is_small) and not _is_chosen(tf):
            _small = not _runs_in_worker()
            tf.config.threading.set_intra_op_parallelism_threads(1 if _small else _threads_of_worker())
        _started = True
    if _small and positions is not None and positions >= LARGE_SAMPLE and not _runs_in_worker():
        warn(
            ThreadsWarning(
                "TensorFlow runs with one thread, chosen for the small samples of the first fit; samples of "
                f"{positions} positions train faster with more. Call skcnn.set_threads(n) before the first fit."
            )
        )
    if positions is not None and not _advised and (advice := _advice(tf, is_small)):
        _advised = True
        warn(ThreadsWarning(advice))
    return tf, keras


def _advice(tf: Any, is_small: bool) -> str | None:
    """Return what would make the search around this fit faster; of joblib's processes the first speaks for all."""
    if is_small and current_process().name == "LokyProcess-1":
        return (
            "This search trains in processes, each of which starts TensorFlow and compiles for itself. A short search "
            'over small networks is faster on threads: with joblib.parallel_config("threading", n_jobs=2): '
            "search.fit(X, y), with as many jobs as there are cores."
        )
    between = tf.config.threading.get_inter_op_parallelism_threads() or os.environ.get("TF_NUM_INTEROP_THREADS", 0)
    if str(between) == "1" and parent_process() is None and _runs_in_worker():
        return (
            "TF_NUM_INTEROP_THREADS=1, or its counterpart in tf.config, makes several fits on threads wait for each "
            "other. Leave it unset; the threads of each fit are those of TF_NUM_INTRAOP_THREADS."
        )
    return None


def _imported() -> tuple[Any, Any]:
    """Import Keras and TensorFlow."""
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        chosen = os.environ.get("KERAS_BACKEND")
        setting = f"KERAS_BACKEND={chosen}" if chosen else '"backend" in ~/.keras/keras.json, if there is one'
        raise ImportError(
            f"Keras and TensorFlow cannot be imported ({error}), with {setting}. skcnn needs Keras on TensorFlow: pip "
            "install tensorflow, and set the environment variable KERAS_BACKEND=tensorflow."
        ) from error
    return keras, tf


def _check_mode(tf: Any) -> None:
    """Refuse to run where TensorFlow builds graphs for others, or spreads variables over devices."""
    if not tf.compat.v1.executing_eagerly_outside_functions():
        raise RuntimeError(
            "TensorFlow is not in eager mode: tf.compat.v1.disable_eager_execution() or disable_v2_behavior() was "
            "called, or this is inside a tf.Graph. Leave the graph, or do not call them in this process."
        )
    if tf.distribute.has_strategy():
        raise RuntimeError(
            "This is inside the scope of a tf.distribute.Strategy, and skcnn trains a network on one device. Leave "
            "the scope; to train several networks at once, use n_jobs of a search."
        )


def _threads_of_worker() -> int:
    """Return one, or in a separate process what joblib (``inner_max_num_threads``) or dask's nanny grants."""
    granted = os.environ.get("OMP_NUM_THREADS", "") if parent_process() is not None else ""
    return int(granted) if granted.isdecimal() and int(granted) else 1


def n_threads() -> int:
    """Return how many threads one TensorFlow operation uses in this process."""
    from joblib import cpu_count

    tf, _ = start_tensorflow()
    chosen = tf.config.threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS", 0)
    return int(chosen) or int(cpu_count())


def _runs_in_worker() -> bool:
    from joblib.parallel import get_active_backend

    if getattr(get_active_backend()[0], "nesting_level", 0):
        return True
    # joblib does not count a task of a dask worker as a level of nesting; where one runs, distributed is imported.
    distributed = sys.modules.get("distributed")
    try:
        return distributed is not None and distributed.get_worker() is not None
    except ValueError:
        return False


def _is_chosen(tf: Any) -> bool:
    """Tell whether the number of threads is settled: by the user, by the environment, or because TensorFlow runs."""
    by_user = tf.config.threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS")
    return bool(by_user) or has_started()

"""How many threads TensorFlow may use, and that it is Keras' backend.

TensorFlow sizes its thread pools once per process, when it starts. Small networks train fastest with one thread a
network and one network a core, so inside a joblib worker one thread is chosen unless user or environment chose.
"""

import os
from numbers import Integral
from threading import Lock
from typing import Any

__all__ = ["n_threads", "set_threads", "start_tensorflow"]

_lock = Lock()
_started = False


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


def start_tensorflow() -> Any:
    """Import TensorFlow and Keras, size the thread pools if nobody did, and return ``(tensorflow, keras)``.

    Raises
    ------
    RuntimeError
        If Keras runs on another backend than TensorFlow.
    """
    global _started
    import keras
    import tensorflow as tf

    if keras.config.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras runs on the backend {keras.config.backend()!r}, skcnn needs 'tensorflow'. Keras reads its backend "
            'once: set the environment variable KERAS_BACKEND=tensorflow (or "backend" in ~/.keras/keras.json) '
            "before Keras is first imported, and start Python anew."
        )
    with _lock:
        if not _started:
            if _runs_in_worker() and not _is_chosen(tf):
                tf.config.threading.set_intra_op_parallelism_threads(1)
            _started = True
    return tf, keras


def n_threads() -> int:
    """Return how many threads one TensorFlow operation uses in this process."""
    from joblib import cpu_count

    tf, _ = start_tensorflow()
    chosen = tf.config.threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS", 0)
    return int(chosen) or int(cpu_count())


def _runs_in_worker() -> bool:
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    return bool(getattr(backend, "nesting_level", 0))


def _is_chosen(tf: Any) -> bool:
    """Tell whether the number of threads is settled: by the user, by the environment, or because TensorFlow runs."""
    from tensorflow.python.eager import context

    by_user = tf.config.threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS")
    return bool(by_user) or context.context()._context_handle is not None

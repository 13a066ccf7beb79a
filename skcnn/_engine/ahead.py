"""Blocks of samples that a thread reads ahead of the device."""

from collections.abc import Callable, Generator
from math import prod
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

from skcnn._engine.signals import signals_held

__all__ = ["BLOCKS_HELD", "block_size", "read_ahead"]

T = TypeVar("T")

BLOCK_BYTES = 32 * 2**20
BLOCKS_AHEAD = 2  # read, or being read, while one is in use
BLOCKS_HELD = BLOCKS_AHEAD + 2  # in use, ahead, and a copy of the one that is read


def block_size(X: Any, multiple: int) -> int:
    """Return how many samples of X are read at once, as whole multiples."""
    return max(1, BLOCK_BYTES // (prod(X.shape[1:]) * X.dtype.itemsize * multiple)) * multiple


def read_ahead(read: Callable[[int], T], n: int) -> Generator[T]:
    """Yield ``read(0)`` to ``read(n - 1)``, which a thread reads before they are asked for.

    The thread ends with the iterator: use it inside ``contextlib.closing``, which waits for the read that is going on.
    What `read` raises is raised where the block is asked for.
    """
    # Queues in C, since an interrupt between two lines of Python may leave a lock of `threading` taken for ever.
    wanted: SimpleQueue[int | None] = SimpleQueue()
    came: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    closed = Event()

    def work() -> None:
        while (i := wanted.get()) is not None and not closed.is_set():
            try:
                came.put((read(i), None))
            except BaseException as error:
                came.put((None, error))

    thread = Thread(target=work, name="skcnn-reader", daemon=True)
    try:
        with signals_held():
            thread.start()
        for i in range(min(BLOCKS_AHEAD, n)):
            wanted.put(i)
        for i in range(n):
            block, error = came.get()
            if error is not None:
                raise error
            if i + BLOCKS_AHEAD < n:
                wanted.put(i + BLOCKS_AHEAD)
            yield block  # type: ignore[misc]
            del block
    finally:
        try:
            with signals_held():
                closed.set()
                wanted.put(None)
                if thread.is_alive():
                    thread.join()
        finally:  # after an interrupt before they were held
            closed.set()
            wanted.put(None)

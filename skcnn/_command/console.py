"""What is shown while a search runs: paragraphs and progress."""

import sys
import textwrap
import threading
import time
from collections.abc import Callable

__all__ = ["WIDTH", "DataError", "Progress", "duration", "number", "paragraph"]

WIDTH = 100


class DataError(ValueError):
    """What is wrong with data or options; each argument is a line to show, instead of a traceback."""


def paragraph(text: str) -> None:
    """Print a paragraph after an empty line."""
    print("\n" + textwrap.fill(text, WIDTH), flush=True)


class Progress:
    """Counts fits: on one line that is written anew on a terminal, elsewhere on a line per quarter.

    Parameters
    ----------
    title : str
        What is counted.
    total : int
        How many fits there will be.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title = title
        self.total = total
        self._done = 0
        self._over = False
        self._lock = threading.Lock()
        self._start = time.perf_counter()

    def __enter__(self) -> Callable[[], None]:
        print(f"\n{self.title}", flush=True)
        return self._tick

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._over = True  # after an interrupt threads may still end a fit
        if sys.stdout.isatty():
            print()

    def _tick(self) -> None:
        with self._lock:
            if self._over:
                return
            quarter = 4 * self._done // self.total
            self._done += 1
            took = time.perf_counter() - self._start
            line = f"  fit {self._done} of {self.total}, {duration(took)}"
            if self._done < self.total:
                line += f", about {duration(took / self._done * (self.total - self._done))} left"
            if sys.stdout.isatty():
                print(f"\r{line:60}", end="", flush=True)
            elif 4 * self._done // self.total > quarter:
                print(line, flush=True)


def number(value: float, sign: str = "") -> str:
    """Return three decimals of a score, four digits of what is larger; with ``sign="+"`` a sign always."""
    return f"{value:{sign}z.3f}" if abs(value) < 10 else f"{value:{sign}.4g}"


def duration(seconds: float) -> str:
    """Return a time as one says it: seconds up to two minutes, then minutes, then hours."""
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

"""How long a search still takes, and the line or bar that says so."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from heapq import heapreplace
from typing import Any

from skcnn._command.console import Output, duration

__all__ = ["Forecast", "Progress", "makespan"]


def makespan(seconds: Iterable[float], jobs: int) -> float:
    """Return how long fits take of which so many run at a time, started in this order."""
    free = [0.0] * jobs  # when each worker has done what it was given
    for one in seconds:
        heapreplace(free, free[0] + one)
    return max(free)


class Forecast:
    """How long a search takes: what its fits are expected to take, corrected by what those took that have ended.

    Parameters
    ----------
    seconds : sequence of sequence of float
        Expected time of the fits of each candidate, one per fold, in the order in which they run.
    refit : float
        Expected time of the final fit, which runs alone.
    jobs : int
        Fits at a time.

    Attributes
    ----------
    pace : float
        How many times as long as expected fits take. The expectation counts as much as a fit of mean length.
    """

    def __init__(self, seconds: Sequence[Sequence[float]], refit: float, jobs: int) -> None:
        self._left = [list(folds) for folds in seconds]
        self.refit = refit
        self.jobs = jobs
        fits = [one for folds in seconds for one in folds]
        self._expected = self._taken = max(sum(fits) / max(1, len(fits)), 1e-9)
        self._since = time.perf_counter()
        self._begun: dict[int, float] = {}  # by thread: when it began the fit that it is at
        self._lock = threading.Lock()

    @property
    def pace(self) -> float:
        return self._taken / self._expected

    def start(self) -> None:
        """Start the clock."""
        self._since, self._begun = time.perf_counter(), {}

    def end(self, candidate: int) -> None:
        """Note that the calling thread has ended a fit of a candidate; its next one begins."""
        now, thread = time.perf_counter(), threading.get_ident()
        with self._lock:
            if self._left[candidate]:
                self._expected += self._left[candidate].pop(0)
                self._taken += now - self._begun.get(thread, self._since)
            self._begun[thread] = now

    def left(self) -> float:
        """Return the seconds until the search is done."""
        now = time.perf_counter()
        with self._lock:
            fits = [self.pace * one for folds in self._left for one in folds]
            begun = list(self._begun.values())
        begun += [self._since] * (self.jobs - len(begun))
        for i, since in enumerate(begun[: len(fits)]):  # those that are under way
            fits[i] = max(0.0, fits[i] - (now - since))
        return makespan(fits, self.jobs) + self.pace * self.refit

    def of(self, candidates: Iterable[int]) -> float:
        """Return the seconds that all fits of some candidates take, none of which has begun."""
        with self._lock:
            return makespan((self.pace * one for i in candidates for one in self._left[i]), self.jobs)


class Progress:
    """Count fits: with rich's bar on a terminal, elsewhere or without rich with a line per quarter.

    Parameters
    ----------
    title : str
        What is counted.
    total : int
        How many fits there will be.
    forecast : Forecast
        How much time is left; told of each fit.
    """

    def __init__(self, title: str, total: int, forecast: Forecast) -> None:
        self.title = title
        self.total = total
        self.forecast = forecast
        self._done = 0
        self._over = self._ended = False
        self._lock = threading.Lock()
        self._start = time.perf_counter()

    def __enter__(self) -> Callable[[int | None], None]:
        print(f"\n{self.title} {self.total} fits, about {duration(self.forecast.left())}.", flush=True)
        self.forecast.start()
        self._bar = _rich_bar(self) if sys.stdout.isatty() else None
        return self._tick

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._over = True  # after an interrupt threads may still end a fit
        if self._bar is not None:
            self._bar.stop()

    def remaining(self) -> str:
        """Say how much time is left; nothing if all is done."""
        return "" if self._ended else f"about {duration(self.forecast.left())} left"

    def _tick(self, candidate: int | None) -> None:
        """Note that a fit of a candidate has ended; None is the final one."""
        if candidate is not None:
            self.forecast.end(candidate)
        with self._lock:
            if self._over:
                return
            quarter = 4 * self._done // self.total
            self._done += 1
            self._ended = candidate is None or self._done == self.total  # the final fit, maybe before some others
            if self._bar is not None:
                self._bar.advance(self._bar.task_ids[0])
            elif 4 * self._done // self.total > quarter:
                took, rest = duration(time.perf_counter() - self._start), self.remaining()
                print(f"  fit {self._done} of {self.total}, {took}{rest and ', '}{rest}", flush=True)


def _rich_bar(shown: Progress) -> Any:
    """Return a running progress bar, or None if rich is not installed."""
    try:
        from rich import console, progress
        from rich.text import Text
    except ImportError:
        return None

    class Remaining(progress.ProgressColumn):
        """Asked anew several times a second, so that it counts down between two fits."""

        def render(self, task: Any) -> Any:
            return Text(shown.remaining(), style="progress.remaining")

    terminal: Any = Output(getattr(sys.stdout, "stream", sys.stdout), raw=True)  # which its escapes are for
    columns = progress.BarColumn(), progress.TimeElapsedColumn(), Remaining()
    bar = progress.Progress("  fit {task.completed} of {task.total}", *columns, console=console.Console(file=terminal))
    bar.add_task("", total=shown.total)
    bar.start()
    return bar

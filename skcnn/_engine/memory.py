"""What memory a fit needs and what is free, so that one that is too large is an error which says what would fit.

NumPy and most of TensorFlow raise where they get no memory. But some of TensorFlow's kernels then crash, and a system
that has promised more memory than it has kills the process, so what is known in advance is checked before the work.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import floor, inf, log10
from pathlib import Path

__all__ = ["Need", "free_addresses", "free_bytes", "out_of_memory_in"]

KIB, MIB = 2**10, 2**20
CHECKED_BYTES = 32 * MIB  # what is smaller is not worth the look: the allocator has it, or the system has
ADDRESSES = 1.8  # bytes of addresses that TensorFlow takes at most for each byte that a step fills, as measured
SHARE = 0.4  # of what is free, that a suggestion takes
_TOLD = re.compile(r"OOM when allocating tensor with shape\[[\d,]*\] and type \w+|could not create a \w+")

# TensorFlow keeps what it has taken for a step, and a step of no more than that needs nothing new.
_largest_step = 0


@dataclass
class Need:
    """What a fit, or a prediction, takes of the memory, as far as it is known.

    Attributes
    ----------
    what : str
        "fit" or "prediction".
    n_rows : int
        Rows of X.
    sent_row_bytes : int
        Bytes of a row as the network takes it.
    converted_row_bytes : int
        Bytes of its copy in another type; 0 if it has the right one.
    batch_size : int
        Rows of a training step.
    step_row_bytes : int
        Bytes that a step takes for each of its rows; 0 while the network is not built. What the layers put out has to
        be there for the gradient; a step was measured to take 0.55 (deep residual networks) to 1.03 times as much.
    gradient_bytes : int
        Bytes of the gradient.
    """

    what: str
    n_rows: int
    sent_row_bytes: int
    converted_row_bytes: int = 0
    batch_size: int = 0
    step_row_bytes: int = 0
    gradient_bytes: int = 0

    def __post_init__(self) -> None:
        self._free: float = 0  # bytes, when it was last looked

    def check_rows(self) -> None:
        """Refuse rows of which the copies do not fit."""
        self._check(self._rows, 0)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Refuse steps that do not fit beside the rows, else train inside this block."""
        global _largest_step
        new = self._step - _largest_step
        if new > CHECKED_BYTES:
            self._check(self.n_rows * self.sent_row_bytes, new)
        yield
        _largest_step = max(_largest_step, self._step)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say what would fit where memory runs out inside this block."""
        try:
            yield
        except Exception as error:
            ran_out = out_of_memory_in(error)
            cause = str(ran_out)
            if ran_out is None or "What would fit" in cause:
                raise
            found = _TOLD.search(cause)
            told = found[0] if found else cause.split("\n")[0]
            self._free = self._free or min(free_bytes(), free_addresses())
            raise MemoryError(self._message("ran out of memory", f" ({told})" if told else "")) from error

    def _check(self, rows: int, step: int) -> None:
        if rows + step > CHECKED_BYTES:
            self._free = free_bytes()
            addresses = free_addresses()
            if rows + step > self._free or rows + ADDRESSES * step > addresses:
                self._free = min(self._free, addresses)
                raise MemoryError(self._message("would run out of memory"))

    @property
    def _row_bytes(self) -> int:
        return self.sent_row_bytes + self.converted_row_bytes

    @property
    def _rows(self) -> int:
        return self.n_rows * self._row_bytes

    @property
    def _step(self) -> int:
        return min(self.batch_size, self.n_rows) * self.step_row_bytes + self.gradient_bytes

    def _message(self, happened: str, cause: str = "") -> str:
        parts = [f"{_size(self._rows)} for copies of {self.n_rows:,} rows"] if self._rows else []
        if self.step_row_bytes:
            parts.append(f"{_size(self._step)} for steps of {min(self.batch_size, self.n_rows):,} rows")
        needs = f" It needs about {' and '.join(parts)}" if parts else ""
        if needs:
            needs += f"; {_size(self._free)} are free." if self._free < inf else "."
        return f"The {self.what} {happened}{cause}.{needs} What would fit: {self._what_fits()}."

    def _what_fits(self) -> str:
        """Suggest what takes half of what is free: fewer rows, or a smaller batch where that is enough."""
        if self.what == "prediction":
            n_rows = min(SHARE * self._free / self._row_bytes, self.n_rows / 2)
            return f"fewer rows at once, such as {max(1, _round_down(n_rows)):,}"
        room = SHARE * (self._free - self._rows) - self.gradient_bytes
        if 0 < self.step_row_bytes <= room < self._step - self.gradient_bytes:
            return f"batch_size={_round_down(room / self.step_row_bytes)}"
        if 0 < SHARE * self._free < self._rows:
            n_rows = _round_down(SHARE * self._free / self._row_bytes)
            return f"{n_rows:,} rows at once, and the others by partial_fit; uint8 takes a quarter of float32"
        if self._step > room:
            return "a smaller network"
        return (
            "a smaller network, or fewer rows at once. By this estimate there is enough, so the weights of a large "
            "network, rows that a sampler makes, or other processes have taken it"
        )


def free_bytes(root: Path = Path("/")) -> float:
    """Return how many bytes the system, or the control group of a container, has left; infinity where none tells.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are; they exist on Linux.
    """
    found = inf
    with suppress(OSError, ValueError, KeyError):
        lines = (line.split() for line in (root / "proc/meminfo").read_text().splitlines())
        system = {line[0]: int(line[1]) * KIB for line in lines}
        found = system["MemAvailable:"] + system["SwapFree:"]
    # Control groups, version 2 and 1: a limit, what is used, and the part of it that is files read once.
    for limit, used, unused in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        group = root / "sys/fs/cgroup"
        with suppress(OSError, ValueError, KeyError):
            most = int((group / limit).read_text())  # "max" is none
            stat = dict(line.split() for line in (group / limit).with_name("memory.stat").read_text().splitlines())
            found = min(found, most - int((group / used).read_text()) + int(stat[unused]))
    return max(0, found)


def free_addresses() -> float:
    """Return how many bytes the limits of this process (``ulimit``) leave it; infinity without limits."""
    found = inf
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = Path("/proc/self/statm").read_text().split()
        for kind, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            soft, _ = resource.getrlimit(kind)
            if soft != resource.RLIM_INFINITY:
                found = min(found, soft - int(used) * resource.getpagesize())
    return max(0, found)


def out_of_memory_in(error: BaseException | None) -> BaseException | None:
    """Return the error, or that among its causes, with which memory ran out; None if it did not.

    NumPy, Python, TensorFlow and oneDNN, whose status 1 it is, each say so in their own way.
    """
    while error is not None:
        name = type(error).__name__
        if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
            return error
        if name == "AbortedError" and "Status:1," in str(error):
            return error
        error = error.__cause__
    return None


def _round_down(value: float) -> int:
    """Return a whole number of two digits that is not larger."""
    if value < 1:
        return 0
    unit = 10 ** max(0, floor(log10(value)) - 1)
    return int(value // unit * unit)


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{max(1, round(n_bytes / MIB))} MiB"

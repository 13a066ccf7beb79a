"""What memory a fit needs and what is free, so that one that is too large is an error which says what would fit.

NumPy and most of TensorFlow raise where they get no memory. But some of TensorFlow's kernels then crash, and a system
that has promised more memory than it has kills the process, so what is known in advance is checked before the work.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path

import numpy as np

from skcnn._engine.ahead import BLOCKS_HELD, block_size
from skcnn._lazy import LazySamples

__all__ = ["Need", "free_addresses", "free_bytes", "out_of_memory_in"]

KIB, MIB = 2**10, 2**20
CHECKED_BYTES = 32 * MIB  # what is smaller is not worth the look: the allocator has it, or the system has
ADDRESSES = 1.8  # bytes of addresses that TensorFlow takes at most for each byte that a step fills, as measured
SHARE = 0.4  # of what is free, that a suggestion takes
_TOLD = re.compile(r"OOM when allocating tensor with shape\[[\d,]*\] and type \w+|could not create a \w+")

# TensorFlow keeps what it has taken for a step, and a step of no more than that needs nothing new.
_largest_step = 0


@dataclass(frozen=True)
class Need:
    """What a fit, or a prediction, takes of the memory, as far as it is known.

    Attributes
    ----------
    what : str
        "fit" or "prediction".
    n_samples : int
        Samples of X that are in memory together: of lazy ones some blocks.
    sent_bytes : int
        Bytes of a sample as the network takes it.
    converted_bytes : int
        Bytes of its copy in another type; 0 if it has the right one.
    batch_size : int
        Samples of a training step.
    step_bytes : int
        Bytes that a step takes for each of its samples; 0 while the network is not built. The outputs of the layers
        have to be there for the gradient; a step was measured to take 0.55 (deep residual networks) to 1.03 times as
        much.
    gradient_bytes : int
        Bytes of the gradient.
    """

    what: str
    n_samples: int
    sent_bytes: int
    converted_bytes: int = 0
    batch_size: int = 0
    step_bytes: int = 0
    gradient_bytes: int = 0

    @classmethod
    def of(cls, what: str, X: np.ndarray | LazySamples, dtype: str, batch_size: int = 0) -> "Need":
        """Return what is known before a network is built, of samples that it takes as `dtype`, or ``uint8`` as is."""
        sent = prod(X.shape[1:]) * np.dtype("uint8" if X.dtype == np.uint8 else dtype).itemsize
        n_samples = len(X)
        if isinstance(X, LazySamples):
            n_samples = min(n_samples, BLOCKS_HELD * block_size(X, max(1, batch_size)))
        return cls(what, n_samples, sent, 0 if X.dtype in (np.uint8, dtype) else sent, batch_size)

    def check_copies(self) -> None:
        """Refuse samples whose copies do not fit."""
        self._check(self._copies, 0)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Refuse steps that do not fit beside the samples, else train inside this block."""
        global _largest_step
        new = self._step - _largest_step
        if new > CHECKED_BYTES:
            self._check(self.n_samples * self.sent_bytes, new)
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
            raise MemoryError(self._message(f"ran out of memory ({told})" if told else "ran out of memory")) from error

    def _check(self, copies: int, step: int) -> None:
        needed = copies + step
        if needed > CHECKED_BYTES and (needed > free_bytes() or copies + ADDRESSES * step > free_addresses()):
            raise MemoryError(self._message("would run out of memory"))

    @property
    def _copies(self) -> int:
        return self.n_samples * (self.sent_bytes + self.converted_bytes)

    @property
    def _step(self) -> int:
        return min(self.batch_size, self.n_samples) * self.step_bytes + self.gradient_bytes

    def _message(self, happened: str) -> str:
        free = min(free_bytes(), free_addresses())
        needs = f"It needs about {_size(self._copies)} for copies of {self.n_samples:,} samples"
        if self.step_bytes:
            needs += f" and {_size(self._step)} for steps of {min(self.batch_size, self.n_samples):,} samples"
        if free < inf:
            needs += f"; {_size(free)} are free"
        return f"The {self.what} {happened}. {needs}. What would fit: {self._what_fits(free)}."

    def _what_fits(self, free: float) -> str:
        """Suggest what takes part of what is free: fewer samples, or a smaller batch where that is enough."""
        fitting = SHARE * free / max(1, self.sent_bytes + self.converted_bytes)
        if self.what == "prediction":
            return f"fewer samples at once, such as {max(1, _round_down(min(fitting, self.n_samples / 2))):,}"
        room = SHARE * (free - self._copies) - self.gradient_bytes
        if 0 < self.step_bytes <= room < self._step - self.gradient_bytes:
            return f"batch_size={_round_down(room / self.step_bytes)}"
        if 0 < fitting < self.n_samples:
            return f"{_round_down(fitting):,} samples at once, the others by partial_fit, or X as uint8"
        if self._step > room:
            return "a smaller network"
        # By this estimate there is enough: weights, samples that a sampler makes, or other processes have taken it.
        return "a smaller network, fewer samples at once, no sampler that makes samples, or fewer processes"


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
        of_onednn = name == "AbortedError" and "Status:1," in str(error)
        if isinstance(error, MemoryError) or name == "ResourceExhaustedError" or of_onednn:
            return error
        error = error.__cause__
    return None


def _round_down(value: float) -> int:
    """Return a whole number of two digits, and zeros, that is not larger."""
    unit = 10 ** max(0, len(str(int(value))) - 2)
    return max(0, int(value // unit * unit))


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{max(1, round(n_bytes / MIB))} MiB"

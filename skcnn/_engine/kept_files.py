"""Files that are written whole, and those that processes share: read if they can be, the oldest removed if too many."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from skcnn.exceptions import CheckpointWarning, warn

__all__ = ["in_place_of", "read_if_whole", "remove_oldest", "write_whole"]

T = TypeVar("T")


def read_if_whole(path: Path, read: Callable[[], T], what: str, instead: str) -> T | None:
    """Return what is read of a file, which then counts as used; None if that fails.

    A file that cannot be read is warned of, unless another process has removed it to keep the folder small.

    Parameters
    ----------
    path : Path
        Of the file.
    read : callable
        Reads and checks it.
    what, instead : str
        What the file is, and what is done without it, for the warning.
    """
    try:
        found = read()
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever reading bytes that anyone may have written can raise
        why = f"{type(error).__name__}: {error}"
        warn(CheckpointWarning(f"{what} {path} cannot be read ({why}); {instead}."))
        return None
    with suppress(OSError):  # in a folder that can only be read
        os.utime(path)
    return found


@contextmanager
def in_place_of(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Yield another name to write to, which takes the place of a file in the end, and goes away if anything is raised.

    It takes the place of a link, too: what that leads to is written by the path that `os.path.realpath` returns.
    """
    unfinished = path.with_name(f"{path.stem}-{uuid4().hex}{suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, **arrays: Any) -> None:
    """Write arrays to an .npz file by way of another name, so that whoever is killed, or reads, meets a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_place_of(path) as unfinished, open(unfinished, "xb") as file:
        np.savez(file, **arrays)


def remove_oldest(paths: Iterable[Path], max_bytes: int, keep: Path) -> None:
    """Remove the files used least recently until all of them together have at most so many bytes, but for one.

    Those of other users, and those that other processes remove, are left alone.
    """
    files = []
    for path in paths:
        with suppress(FileNotFoundError):
            files.append((path.stat(), path))
    excess = sum(stat.st_size for stat, _ in files) - max_bytes
    for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
        if excess > 0 and path != keep:
            with suppress(PermissionError, FileNotFoundError):
                path.unlink()
            excess -= stat.st_size

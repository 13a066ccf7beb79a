"""Files that keep where training stands, so that no epoch is trained twice."""

import json
import os
import platform
import re
import time
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np

from skcnn._engine.loop import Progress
from skcnn._engine.threads import n_threads, start_tensorflow
from skcnn._version import __version__
from skcnn.exceptions import CheckpointWarning, warn

__all__ = ["Checkpoints", "memory_folder", "surroundings"]

_ARRAYS = ("weights", "optimizer_state", "best_weights")
_NUMBERS = tuple(field.name for field in fields(Progress) if field.name not in _ARRAYS)
# Fingerprint, epoch, and whether the run goes on after it; no other file in the folder is ever touched.
_NAME = re.compile(r"([0-9a-f]{32})-(\d{6,})(-between)?(\.npz|-[0-9a-f]{32}\.tmp)")


def memory_folder(memory: Any) -> Path | None:
    """Return the folder for checkpoints inside `memory`, a path or a `joblib.Memory`; None if nothing is to be kept.

    Raises
    ------
    ValueError
        If the path is that of a file, or none.
    """
    location = getattr(memory, "location", memory)
    if location is None:
        return None
    try:
        folder = Path(os.fspath(location))
        fits = str(location) and "\0" not in str(location) and (folder.is_dir() or not folder.exists())
    except (OSError, TypeError):  # too long, or bytes
        fits = False
    if not fits:
        raise ValueError(
            f"memory={location!r} is a file or no path; give the path of a folder, which may not exist yet, '.' for "
            "the current one, or None."
        )
    return folder / "skcnn"


@cache
def surroundings() -> tuple[Any, ...]:
    """Return what else decides the bits of a result: versions of the libraries, processor and number of threads."""
    tf, keras = start_tensorflow()
    # By module where a distribution of another name may have brought it, such as tensorflow-cpu.
    modules = __version__, tf.__version__, keras.__version__, np.__version__
    return modules, version("scikit-learn"), version("imbalanced-learn"), _processor(), n_threads()


def _processor() -> tuple[str, ...]:
    """Name and instructions of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return (platform.machine(), platform.processor(), *told)


class Checkpoints:
    """The checkpoints of one run, whatever its number of epochs.

    A file holds the whole state at the end of an epoch. Files are written under another name and then renamed, so that
    processes that write the same one at once, or are killed, leave a whole file. A file that cannot be read is ignored
    with a warning, and so is a disk that takes no more.

    Parameters
    ----------
    folder : Path
        Where the files of all runs are.
    fingerprint : str
        What tells this run from all others.
    """

    # A run that takes long is kept in between so often that writing takes this share of its time, after a first second.
    WRITE_SHARE: ClassVar[float] = 0.02
    FIRST_SECONDS: ClassVar[float] = 1.0
    # The files used least recently are removed when all of them together have more bytes.
    MAX_BYTES: ClassVar[int] = 2 * 2**30

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._last = time.perf_counter()
        self._pause = self.FIRST_SECONDS
        self._between: Path | None = None  # written in between by this run, and to be replaced by what comes later
        self._broken = False

    def furthest(self, epochs: int, like: Progress) -> Progress | None:
        """Return the state of the latest epoch kept, up to `epochs`, with arrays of the shapes that `like` has."""
        files = self.folder.glob(f"{self.fingerprint}-*.npz")
        matches = [match for path in files if (match := _NAME.fullmatch(path.name)) and int(match[2]) <= epochs]
        for match in sorted(matches, key=lambda match: int(match[2]), reverse=True):
            epoch, path = int(match[2]), self.folder / match[0]
            try:
                progress = _read(path, self.fingerprint, epoch, like)
                os.utime(path)
            except FileNotFoundError:  # removed by another process to keep the folder small
                continue
            except Exception as error:  # whatever reading bytes that anyone may have written can raise
                why = f"{type(error).__name__}: {error}"
                warn(CheckpointWarning(f"The checkpoint {path} cannot be read ({why}); its epochs are trained again."))
                continue
            self._between = path if match[3] else None
            return progress
        return None

    def is_due(self, ended: bool) -> bool:
        """Tell whether to write at the end of this epoch: the run has ended, or enough time has passed."""
        return not self._broken and (ended or time.perf_counter() - self._last >= self._pause)

    def write(self, progress: Progress, ended: bool) -> None:
        """Write the state at the end of an epoch, in place of what this run has written in between."""
        start = time.perf_counter()
        # Named otherwise than where a run ends, so that no other process takes what it wrote itself for superseded.
        path = self.folder / f"{self.fingerprint}-{progress.epoch:06d}{'' if ended else '-between'}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(path, self.fingerprint, progress)
            if self._between is not None:
                self._between.unlink(missing_ok=True)
            self._between = None if ended else path
            self._remove_oldest(keep=path)
        except OSError as error:
            self._broken = True
            warn(CheckpointWarning(f"The checkpoint {path} cannot be written ({error}). Training goes on without."))
        self._last = time.perf_counter()
        self._pause = max(self.FIRST_SECONDS, (self._last - start) / self.WRITE_SHARE)

    def _remove_oldest(self, keep: Path) -> None:
        files = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process removes files, too
                if _NAME.fullmatch(path.name):
                    files.append((path.stat(), path))
        excess = sum(stat.st_size for stat, _ in files) - self.MAX_BYTES
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if excess > 0 and path != keep:
                path.unlink(missing_ok=True)
                excess -= stat.st_size


def _write(path: Path, fingerprint: str, progress: Progress) -> None:
    numbers = {name: getattr(progress, name) for name in _NUMBERS}
    about: Any = np.array(json.dumps({"fingerprint": fingerprint, **numbers}))
    arrays = {f"{name}-{i}": value for name in _ARRAYS for i, value in enumerate(getattr(progress, name) or ())}
    unfinished = path.with_name(f"{path.stem}-{uuid4().hex}.tmp")
    try:
        with open(unfinished, "xb") as file:
            np.savez(file, about=about, **arrays)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(path: Path, fingerprint: str, epoch: int, like: Progress) -> Progress:
    """Read a file; refuse a state that is not one of this run's network at this epoch."""
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        arrays: dict[str, Any] = {
            name: [file[key] for key in file.files if key.partition("-")[0] == name] for name in _ARRAYS
        }
    if about["fingerprint"] != fingerprint:
        raise ValueError("it is the checkpoint of another run")
    best = arrays.pop("best_weights") or None
    progress = Progress(best_weights=best, **arrays, **{name: about[name] for name in _NUMBERS})
    if _kinds(progress) != _kinds(like):
        raise ValueError("its arrays are not those of this network")
    numbers_fit = all(type(getattr(progress, name)) is type(getattr(like, name)) for name in _NUMBERS)
    if not numbers_fit or progress.epoch != epoch or any(len(values) != epoch for values in progress.history.values()):
        raise ValueError("its numbers are not those of this epoch")
    return progress


def _kinds(progress: Progress) -> list[list[Any]]:
    """Return shapes and types of all arrays; those of the weights stand for the best weights where there are none."""
    arrays = progress.weights, progress.optimizer_state, progress.best_weights or progress.weights
    return [[(value.shape, value.dtype) for value in values] for values in arrays]

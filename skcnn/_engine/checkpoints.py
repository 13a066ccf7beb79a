"""Files that keep where training stands, so that no epoch is trained twice."""

import json
import os
import platform
import re
import time
import warnings
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
from skcnn.exceptions import CheckpointWarning

__all__ = ["Checkpoints", "memory_folder", "surroundings"]

_ARRAYS = ("weights", "optimizer_state", "best_weights")
_NUMBERS = tuple(field.name for field in fields(Progress) if field.name not in _ARRAYS)


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
        is_file = folder.exists() and not folder.is_dir()
    except (OSError, TypeError) as error:
        raise ValueError(f"memory={location!r} is no path ({error}); give the path of a folder.") from error
    if is_file:
        raise ValueError(f"memory={str(folder)!r} is a file; give the path of a folder, which may not exist yet.")
    if not str(location) or "\0" in str(location):
        raise ValueError(
            f"memory={location!r} is no path; give the path of a folder, '.' for the current one, or None."
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
        pattern = re.compile(rf"{self.fingerprint}-(\d+)(-between)?\.npz")
        matches = [match for path in self.folder.glob("*.npz") if (match := pattern.fullmatch(path.name))]
        for match in sorted(matches, key=lambda match: int(match[1]), reverse=True):
            epoch, path = int(match[1]), self.folder / match[0]
            if epoch > epochs:
                continue
            try:
                progress = _read(path, self.fingerprint)
                _check_fits(progress, like, epoch)
                os.utime(path)
            except FileNotFoundError:  # removed by another process to keep the folder small
                continue
            except Exception as error:  # whatever reading bytes that anyone may have written can raise
                warnings.warn(
                    f"The checkpoint {path} cannot be read ({type(error).__name__}: {error}). It is ignored, and "
                    "what it held is trained again.",
                    CheckpointWarning,
                    stacklevel=2,
                )
                continue
            self._between = path if match[2] else None
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
            warnings.warn(
                f"The checkpoint {path} cannot be written ({error}). Training goes on without; what this fit trains "
                "will be trained again when it is needed.",
                CheckpointWarning,
                stacklevel=2,
            )
        self._last = time.perf_counter()
        self._pause = max(self.FIRST_SECONDS, (self._last - start) / self.WRITE_SHARE)

    def _remove_oldest(self, keep: Path) -> None:
        with os.scandir(self.folder) as entries:
            files = []
            for entry in entries:
                with suppress(FileNotFoundError):  # another process removes files, too
                    if entry.name.endswith((".npz", ".tmp")):
                        files.append((entry.stat(), entry.path))
        excess = sum(stat.st_size for stat, _ in files) - self.MAX_BYTES
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime):
            if excess <= 0:
                break
            if path != str(keep):
                Path(path).unlink(missing_ok=True)
                excess -= stat.st_size


def _write(path: Path, fingerprint: str, progress: Progress) -> None:
    numbers = {name: getattr(progress, name) for name in _NUMBERS}
    arrays: dict[str, Any] = {"about": np.array(json.dumps({"fingerprint": fingerprint, **numbers}))}
    for name in _ARRAYS:
        values = getattr(progress, name)
        if values is not None:
            arrays |= {f"{name}-{i}": value for i, value in enumerate(values)}
    unfinished = path.with_name(f"{path.stem}-{uuid4().hex}.tmp")
    try:
        with open(unfinished, "xb") as file:
            np.savez(file, **arrays)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _read(path: Path, fingerprint: str) -> Progress:
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        if about.pop("fingerprint") != fingerprint:
            raise ValueError("it is the checkpoint of another run")
        arrays: dict[str, Any] = {name: [] for name in _ARRAYS}
        for key in file.files:
            name, _, _ = key.partition("-")
            if name in arrays:
                arrays[name].append(file[key])
    best = arrays.pop("best_weights") or None
    return Progress(best_weights=best, **arrays, **{name: about[name] for name in _NUMBERS})


def _check_fits(progress: Progress, like: Progress, epoch: int) -> None:
    """Refuse a state that is not one of this run's network at this epoch."""
    arrays = [(progress.weights, like.weights), (progress.optimizer_state, like.optimizer_state)]
    if progress.best_weights is not None:
        arrays.append((progress.best_weights, like.weights))
    for kept, expected in arrays:
        if [(value.shape, value.dtype) for value in kept] != [(value.shape, value.dtype) for value in expected]:
            raise ValueError("its arrays are not those of this network")
    numbers_fit = all(type(getattr(progress, name)) is type(getattr(like, name)) for name in _NUMBERS)
    if not numbers_fit or progress.epoch != epoch or any(len(values) != epoch for values in progress.history.values()):
        raise ValueError("its numbers are not those of this epoch")

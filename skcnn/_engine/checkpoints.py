"""Files that keep where training stands, so that no epoch is trained twice."""

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from errno import EROFS
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from random import SystemRandom
from typing import Any, ClassVar

import numpy as np

from skcnn._engine.kept_files import read_if_whole, remove_oldest, write_whole
from skcnn._engine.loop import Progress
from skcnn._engine.signals import uninterrupted
from skcnn._engine.tensorflow_internals import ops_are_deterministic
from skcnn._engine.threads import n_threads, start_tensorflow
from skcnn._version import __version__
from skcnn.exceptions import CheckpointWarning, warn

__all__ = ["Checkpoints", "memory_folder", "surroundings"]

_ARRAYS = ("weights", "optimizer_state", "best_weights")
_NUMBERS = tuple(field.name for field in fields(Progress) if field.name not in _ARRAYS)
# Variables of the environment that choose kernels, and with them bits.
_SETTINGS = (
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
)
# Fingerprint, epoch, and whether the run goes on after it; no other file in the folder is ever touched.
_NAME = re.compile(r"([0-9a-f]{32})-(\d{6,})(-between)?(\.npz|-[0-9a-f]{32}\.tmp)")


def memory_folder(memory: Any) -> Path | None:
    """Return the folder for checkpoints inside `memory`, a path or a `joblib.Memory`; None if nothing is to be kept.

    Raises
    ------
    ValueError
        If the path is that of a file, or none, or may not be read.
    """
    location = getattr(memory, "location", memory)
    if location is None:
        return None
    try:
        folder = Path(os.fspath(location))
        fits = str(location) and "\0" not in str(location) and (folder.is_dir() or not folder.exists())
    except PermissionError as error:
        raise ValueError(
            f"memory={location!r} is in a folder that this user may not read; give a folder of your own, or None."
        ) from error
    except (OSError, TypeError):  # too long, or bytes
        fits = False
    if not fits:
        raise ValueError(
            f"memory={location!r} is a file or no path; give the path of a folder, which may not exist yet, '.' for "
            "the current one, or None."
        )
    return folder / "skcnn"


def surroundings() -> tuple[Any, ...]:
    """Return what else decides the bits of a result: versions of the libraries, devices and their settings, threads."""
    tf, _ = start_tensorflow()
    environment = [(name, os.environ.get(name, "")) for name in _SETTINGS]
    compiler = tf.config.optimizer.get_jit(), tf.config.optimizer.get_experimental_options()
    arithmetic = ops_are_deterministic(), tf.config.experimental.tensor_float_32_execution_enabled()
    return *_installation(), environment, compiler, arithmetic, n_threads()


@cache
def _installation() -> tuple[Any, ...]:
    tf, keras = start_tensorflow()
    # By module where a distribution of another name may have brought it, such as tensorflow-cpu.
    modules = __version__, tf.__version__, keras.__version__, np.__version__
    cards = tf.config.get_visible_devices("GPU")
    names = [tf.config.experimental.get_device_details(card).get("device_name", "") for card in cards]
    return modules, version("scikit-learn"), version("imbalanced-learn"), _processor(), names


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
    ASKED_EPOCHS: ClassVar[int] = 1000  # of more the folder is listed
    LOOK_SHARE: ClassVar[float] = 0.01  # of these bytes that are written between two looks

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._last = time.perf_counter()
        self._pause = self.FIRST_SECONDS
        self._between: Path | None = None  # written in between by this run, and to be replaced by what comes later
        self._broken = False

    def furthest(self, epochs: int, like: Progress) -> Progress | None:
        """Return the state of the latest epoch kept, up to `epochs`, with arrays of the shapes that `like` has."""
        for epoch, between, path in self._files(epochs):
            read = partial(_read, path, self.fingerprint, epoch, like)
            progress = read_if_whole(path, read, "The checkpoint", "its epochs are trained again")
            if progress is not None:
                self._between = path if between else None
                return progress
        return None

    def _files(self, epochs: int) -> Iterator[tuple[int, bool, Path]]:
        """Yield the files of this run, latest first: epoch, whether the run goes on after it, and path.

        They are asked for by name where that is quicker, since a folder may hold those of very many runs.
        """
        possible: Sequence[int] = range(epochs, 0, -1)
        if epochs > self.ASKED_EPOCHS:
            names = [_NAME.fullmatch(path.name) for path in self.folder.glob(f"{self.fingerprint}-*.npz")]
            possible = sorted({int(name[2]) for name in names if name and int(name[2]) <= epochs}, reverse=True)
        for epoch in possible:
            for between in (False, True):
                path = self._path(epoch, between)
                if os.path.exists(path):
                    yield epoch, between, path

    def _path(self, epoch: int, between: bool) -> Path:
        # Named otherwise than where a run ends, so that no other process takes what it wrote itself for superseded.
        return self.folder / f"{self.fingerprint}-{epoch:06d}{'-between' if between else ''}.npz"

    def is_due(self, ended: bool) -> bool:
        """Tell whether to write at the end of this epoch: the run has ended, or enough time has passed."""
        return not self._broken and (ended or time.perf_counter() - self._last >= self._pause)

    def write(self, progress: Progress, ended: bool) -> None:
        """Write the state at the end of an epoch, in place of what this run has written in between."""
        start = time.perf_counter()
        path = self._path(progress.epoch, between=not ended)
        try:
            _write(path, self.fingerprint, progress)
            if self._between is not None:
                self._between.unlink(missing_ok=True)
            self._between = None if ended else path
            self._remove_oldest(keep=path)
        except OSError as error:
            self._broken = True
            may = isinstance(error, PermissionError) or error.errno == EROFS
            why = "this user may only read there" if may else error
            warn(CheckpointWarning(f"The checkpoint {path} cannot be written ({why}). Training goes on without."))
        self._last = time.perf_counter()
        self._pause = max(self.FIRST_SECONDS, (self._last - start) / self.WRITE_SHARE)

    def _remove_oldest(self, keep: Path) -> None:
        """Remove files if there are too many; looked for by chance, so that many files are not counted at each write.

        The folder then grows by a hundredth more on average, whoever writes to it.
        """
        with suppress(PermissionError, FileNotFoundError):  # of files of others, and those that others removed
            if SystemRandom().random() * self.MAX_BYTES * self.LOOK_SHARE <= keep.stat().st_size:
                paths = (path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))
                remove_oldest(paths, self.MAX_BYTES, keep)


def _write(path: Path, fingerprint: str, progress: Progress) -> None:
    numbers = {name: getattr(progress, name) for name in _NUMBERS}
    about: Any = np.array(json.dumps({"fingerprint": fingerprint, **numbers}))
    arrays = {f"{name}-{i}": value for name in _ARRAYS for i, value in enumerate(getattr(progress, name) or ())}
    write_whole(path, about=about, **arrays)


@uninterrupted
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

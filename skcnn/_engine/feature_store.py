"""Features that the frozen part of a network has made of samples, kept so that no sample passes through it twice."""

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import SystemRandom
from threading import Lock
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np

from skcnn._engine.checkpoints import memory_folder, surroundings
from skcnn._engine.fingerprint import fingerprint
from skcnn._engine.kept_files import read_if_whole, remove_oldest, write_whole
from skcnn._engine.program import Program
from skcnn._engine.signals import signals_held
from skcnn._lazy import LazySamples, sample_digests
from skcnn.exceptions import CheckpointWarning, warn

__all__ = ["FeatureFiles", "FeatureStore", "features_for", "shared_folder", "store"]

FOLDER = "features"


def features_for(program: Program, X: np.ndarray | LazySamples, folder: Path | None) -> np.ndarray | LazySamples:
    """Return what to train and predict with in place of samples: their features, or X where nothing is kept of them.

    A sample's features are the same to the bit whoever asks for them, and among whichever samples.

    Parameters
    ----------
    program : Program
        Whose weights make the features.
    X : ndarray or LazySamples of shape (n, *input_shape)
        Samples; lazy ones are read in blocks.
    folder : Path or None
        Where processes share features; None for this process alone.

    Returns
    -------
    ndarray or LazySamples
        X itself if nothing is frozen, or if the features of all samples are more than the store holds.
    """
    frozen = program.blueprint.frozen
    if frozen is None or not store.holds(len(X), frozen.sample_bytes):
        return X
    kind = X.dtype.str, X.shape[1:], program.topology.dtype, program.topology.standardize
    key = fingerprint(surroundings(), frozen.key, program.frozen_digest(), kind)
    digests = X.digests() if isinstance(X, LazySamples) else sample_digests(X)
    out = np.empty((len(X), *frozen.shape), frozen.dtype)
    files = None if folder is None else FeatureFiles(folder, key, out[:0])
    store.fill(out, key, digests, lambda chosen: program.features(np.asarray(X[chosen])), files)
    return out


def shared_folder(memory: Any) -> Path | None:
    """Return the folder in which a fit has shared features; None if none has, or this user may not write there.

    A prediction makes no folders, since it may be far from where the estimator was fitted.
    """
    try:
        folder = memory_folder(memory)
    except ValueError:
        return None
    return folder if folder is not None and os.access(folder / FOLDER, os.W_OK) else None


class FeatureStore:
    """Features in memory, of the samples that were used last; safe under threads, which compute different samples."""

    MAX_BYTES: ClassVar[int] = 512 * 2**20
    ROW_BYTES: ClassVar[int] = 300  # of a row besides its values
    PART: ClassVar[int] = 120  # samples that are computed, and written, together

    def __init__(self) -> None:
        self._rows: OrderedDict[bytes, np.ndarray] = OrderedDict()  # least recently used first
        self._bytes = 0
        self._claimed: set[bytes] = set()  # what a thread computes now
        self._lock = Lock()

    def holds(self, n: int, sample_bytes: int) -> bool:
        """Tell whether the features of so many samples are kept together."""
        return n * (sample_bytes + self.ROW_BYTES) <= self.MAX_BYTES

    def fill(
        self,
        out: np.ndarray,
        key: str,
        digests: np.ndarray,
        compute: Callable[[list[int]], np.ndarray],
        files: "FeatureFiles | None",
    ) -> None:
        """Write the features of samples into `out`: kept ones, those in files, and for the others what is computed."""
        names = [key.encode() + digest for digest in digests.tolist()]
        places: dict[bytes, list[int]] = {}
        for i, name in enumerate(names):
            places.setdefault(name, []).append(i)
        left = self._take(places, out)
        if files is not None:  # in another order in each process, so that they compute different samples
            SystemRandom().shuffle(left)
        missing = deque(left)
        while missing:
            if files is not None:
                for name, row in files.read(set(missing)):
                    self._put(name, row)
            part: list[bytes] = []
            try:
                with signals_held():
                    part += self._claim(missing, places, out)
                if part:
                    rows = compute([places[name][0] for name in part])
                    with signals_held():
                        for name, row in zip(part, rows, strict=True):
                            out[places[name]] = row
                            self._put(name, row.copy())
                        if files is not None:
                            files.write(part, rows)
            finally:
                self._claimed.difference_update(part)
            if not part and missing:
                time.sleep(0.01)  # until other threads have computed what is left

    def _take(self, places: dict[bytes, list[int]], out: np.ndarray) -> list[bytes]:
        """Write the rows that are kept into `out`, and return the names of the others."""
        with self._lock:
            for name in places:
                if name in self._rows:
                    self._rows.move_to_end(name)
                    out[places[name]] = self._rows[name]
            return [name for name in places if name not in self._rows]

    def _claim(self, missing: deque[bytes], places: dict[bytes, list[int]], out: np.ndarray) -> list[bytes]:
        """Take what is kept by now out of `missing`, and some that nobody computes, which are returned."""
        part: list[bytes] = []
        with self._lock:
            for _ in range(len(missing)):
                name = missing.popleft()
                if name in self._rows:
                    out[places[name]] = self._rows[name]
                elif name in self._claimed:
                    missing.append(name)
                else:
                    part.append(name)
                if len(part) == self.PART:
                    break
            self._claimed.update(part)
        return part

    def _put(self, name: bytes, row: np.ndarray) -> None:
        with self._lock:
            if name not in self._rows:
                self._bytes += row.nbytes + self.ROW_BYTES
            self._rows[name] = row
            while self._bytes > self.MAX_BYTES:
                _, dropped = self._rows.popitem(last=False)
                self._bytes -= dropped.nbytes + self.ROW_BYTES


store = FeatureStore()


class FeatureFiles:
    """Features in files of some samples each, which processes share.

    Files are written under another name and then renamed. One that cannot be read is ignored with a warning, and so is
    a disk that takes no more.

    Parameters
    ----------
    folder : Path
        Where the files of all networks are.
    key : str
        What the features are of besides the samples.
    like : ndarray of shape (0, ...)
        Shape and type of the features.
    """

    # The files used least recently are removed when all of them together have more bytes.
    MAX_BYTES: ClassVar[int] = 2 * 2**30

    def __init__(self, folder: Path, key: str, like: np.ndarray) -> None:
        self.folder = folder / FOLDER
        self._key, self._like = key, like
        self._known: set[Path] = set()
        self._broken = False

    def read(self, wanted: set[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield what is wanted of the files that have come since the last call."""
        for path in sorted(set(self.folder.glob(f"{self._key}-*.npz")) - self._known):
            self._known.add(path)
            read = partial(self._read, path, wanted)
            yield from read_if_whole(path, read, "The features in", "they are computed again") or ()

    def _read(self, path: Path, wanted: set[bytes]) -> list[tuple[bytes, np.ndarray]]:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = [self._key.encode() + digest for digest in file["digests"].tolist()]
            found = [i for i, name in enumerate(names) if name in wanted]
            rows = file["features"] if found else self._like
        if (rows.shape[1:], rows.dtype) != (self._like.shape[1:], self._like.dtype):
            raise ValueError("it has features of another kind")
        return [(names[i], rows[i].copy()) for i in found]

    def write(self, names: list[bytes], rows: np.ndarray) -> None:
        """Write features, by the names of their samples."""
        if self._broken:
            return
        path = self.folder / f"{self._key}-{uuid4().hex}.npz"
        digests = np.array([name[len(self._key) :] for name in names], "S16")
        try:
            write_whole(path, digests=digests, features=rows)
            self._known.add(path)
            remove_oldest(self.folder.glob("*.npz"), self.MAX_BYTES, keep=path)
        except OSError as error:
            self._broken = True
            warn(CheckpointWarning(f"The features {path} cannot be written ({error}). Training goes on without."))

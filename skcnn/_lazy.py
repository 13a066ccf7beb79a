"""Samples that stay where they are until they are asked for, and how to go through them in blocks."""

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from math import prod
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LazySamples", "blocks", "largest", "sample_digests"]

BLOCK_BYTES = 16 * 2**20  # of samples that are looked at together


class LazySamples:
    """An array of samples that are read when they are asked for.

    Splitters and searches of scikit-learn divide it without reading any sample: indices, slices and masks give another
    view of the same source, and so do `astype` and `reshape`. What asks for an array, as `numpy.asarray` does, reads
    the samples of this view, all of them; `fit` and `predict` of the estimators read them in blocks. A pickle holds
    where the samples are and which, so that other processes open the file again; only an array that lies in memory
    travels whole.

    Parameters
    ----------
    source : str, PathLike, memory map, data set or sequence
        Where the samples are, along the first axis: the path of a .npy file; a NumPy memory map or array; a data set
        of h5py or zarr; or with `reader` a sequence of files, or of whatever else the reader takes.
    reader : callable, default=None
        Returns the sample of a file as an array, all of one shape and type.

    Attributes
    ----------
    shape : tuple of int
        Number of samples, and the shape of each.
    dtype : dtype
        Type of their values.

    Raises
    ------
    ValueError
        If the source has no samples, is no such source, or if a file was changed since or has a sample of another
        shape or type.
    IndexError
        If an index is out of range, or of another kind than an integer, a slice, or one axis of integers or Booleans.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn.datasets import LazySamples
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "cells.npy"), np.arange(80, dtype="uint8").reshape(20, 2, 2, 1))
    ...     train, test = train_test_split(LazySamples(Path(folder, "cells.npy")), shuffle=False)
    ...     first = np.asarray(test[:1])
    >>> train.shape, test.shape, first.ravel().tolist()
    ((15, 2, 2, 1), (5, 2, 2, 1), [60, 61, 62, 63])
    """

    def __init__(self, source: Any, reader: Callable[[Any], Any] | None = None) -> None:
        self._source = _source_of(source, reader)
        self._rows: np.ndarray | None = None  # all of the source
        self._sample_shape: tuple[int, ...] = tuple(self._source.shape[1:])
        self._types: tuple[np.dtype, ...] = ()  # to which values are cast when read, one after the other
        # Digests, and which are known; of all views while the file stays as it is, else for as long as a fit.
        self._digests: dict[Any, tuple[np.ndarray, np.ndarray]] | None = None if self._source.stamp is None else {}

    @property
    def shape(self) -> tuple[int, ...]:
        n = self._source.shape[0] if self._rows is None else len(self._rows)
        return (n, *self._sample_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return self._types[-1] if self._types else self._source.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Return a sample as an array for an integer, and for all else another view, which has not been read."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # as scikit-learn writes it
            key = key[0]
        is_one = isinstance(key, Integral) and not isinstance(key, bool)
        indices = _indices([key] if is_one else key, len(self))
        view = self._view(_rows=indices if self._rows is None else self._rows[indices])
        return np.asarray(view)[0] if is_one else view

    def astype(self, dtype: Any, copy: bool = True) -> "LazySamples":
        """Return a view of the samples as another type, to which they are cast when they are read."""
        return self if self.dtype == dtype else self._view(_types=(*self._types, np.dtype(dtype)))

    def reshape(self, n: int, *sample_shape: int) -> "LazySamples":
        """Return a view of the `n` samples, which are all, in another shape."""
        if n != len(self):
            raise ValueError(f"There are {len(self)} samples; expected them along the first axis, got {n}.")
        return self._view(_sample_shape=np.empty(self._sample_shape, bool).reshape(sample_shape).shape)

    def digests(self) -> np.ndarray:
        """Return a digest of 16 bytes for each sample; they are kept if the source tells when it changes."""
        rows = np.arange(len(self)) if self._rows is None else self._rows
        if self._digests is None:
            return sample_digests(self)
        n, key = self._source.shape[0], (self._types, self._source.current_stamp())
        known, values = self._digests.setdefault(key, (np.zeros(n, bool), np.empty(n, "S16")))
        missing = np.unique(rows[~known[rows]])
        if len(missing):
            values[missing] = sample_digests(self._view(_rows=missing))
            known[missing] = True
        return values[rows]

    def keeping_digests(self) -> "LazySamples":
        """Return a view whose digests, and those of its views, are kept, for as long as nothing is to change."""
        return self if self._digests is not None else self._view(_digests={})

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_digests": None if self._source.stamp is None else {}}

    def _view(self, **changes: Any) -> "LazySamples":
        view = object.__new__(LazySamples)
        view.__dict__ = self.__dict__ | changes
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all samples of this view."""
        if copy is False:
            raise ValueError("Lazy samples have to be read into a new array; expected copy=None or copy=True.")
        rows = np.arange(len(self)) if self._rows is None else self._rows
        source = self._source
        samples = source.read(rows) if len(rows) else np.empty((0, *source.shape[1:]), source.dtype)
        for one in self._types if dtype is None else (*self._types, dtype):
            samples = samples.astype(one, copy=False)
        return samples.reshape(self.shape)

    def __repr__(self) -> str:
        return f"<LazySamples {self.shape} of {self.dtype} in {self._source.place}>"


def blocks(X: Any) -> Iterator[np.ndarray]:
    """Yield the samples of an array, or lazy ones, some at a time."""
    size = max(1, BLOCK_BYTES // max(1, prod(X.shape[1:]) * X.dtype.itemsize))
    for start in range(0, len(X), size):
        yield np.asarray(X[start : start + size])


def largest(X: Any) -> float:
    """Return the largest magnitude of the values of an array, or of lazy samples."""
    return max(np.abs(block).max() for block in blocks(X))


def sample_digests(X: Any) -> np.ndarray:
    """Return a digest of 16 bytes for each sample, the same for exact duplicates."""
    samples = (sample.tobytes() for block in blocks(X) for sample in block)
    return np.array([blake2b(sample, digest_size=16).digest() for sample in samples], dtype="S16")


def _indices(key: Any, n: int) -> np.ndarray:
    """Return an index of the first axis as whole numbers from 0 on."""
    if isinstance(key, slice):
        return np.arange(n)[key]
    indices = None if isinstance(key, tuple) else np.asarray(key)
    if indices is not None and indices.ndim == 1:
        if indices.dtype == bool and len(indices) == n:
            return np.flatnonzero(indices)
        if indices.dtype == bool:
            raise IndexError(f"A mask has {len(indices)} entries, expected one for each of {n} samples.")
        if not len(indices):
            return np.empty(0, np.intp)
        if indices.dtype.kind in "iu":
            outside = indices[(indices < -n) | (indices >= n)]
            if len(outside):
                raise IndexError(f"Index {outside[0]} is out of range; there are {n} samples.")
            whole = indices.astype(np.intp)
            return np.where(whole < 0, whole + n, whole)
    raise IndexError(
        f"{key!r} is no index of samples; expected an integer, a slice, or integers or Booleans along one axis. "
        "numpy.asarray reads the samples, whose other axes may then be indexed."
    )


# Sources ----------------------------------------------------------------------------------------------------------
# Each has the shape and the type of all of its samples, a place to be named by, and reads some of them. A stamp is what
# tells one content from another, if there is anything that does.


def _source_of(source: Any, reader: Any) -> Any:
    is_path = isinstance(source, str | os.PathLike)
    if reader is not None:
        if is_path or not isinstance(source, Sequence | np.ndarray) or not callable(reader):
            raise ValueError(f"source={source!r}, reader={reader!r}; expected a list of files and a callable for each.")
        return _Files(list(source), reader)
    if is_path:
        return _Map.of_npy(Path(source))
    if not (hasattr(source, "shape") and hasattr(source, "dtype") and hasattr(source, "__getitem__")):
        raise ValueError(
            f"source is of type {type(source).__name__}; expected the path of a .npy file, a memory map, a data set of "
            "h5py or zarr, or a list of files with reader=, which returns the sample of one."
        )
    if not source.shape or not source.shape[0] or getattr(source.dtype, "kind", "") not in "biufc":
        raise ValueError(
            f"source has shape {source.shape} and holds {source.dtype}; expected numbers, with samples along the first "
            "axis."
        )
    if isinstance(source, np.memmap) and (same := _Map.of_array(source)) is not None:
        return same
    if isinstance(source, np.ndarray):
        return _Array(source)
    return _Hdf(source) if type(source).__module__.startswith("h5py.") else _DataSet(source)


class _Source:
    """What is common to them."""

    stamp: Any = None

    def current_stamp(self) -> Any:
        """Return the stamp that the source would have if it was opened now."""
        return None


class _Array(_Source):
    """An array in memory."""

    place = "memory"

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.array)[rows]


class _Map(_Source):
    """A part of a file, as an array: path, type, shape, order of its axes and where it begins."""

    def __init__(self, array: np.memmap, path: str, offset: int, is_checked: bool) -> None:
        self.place = path
        self.offset = offset
        self.shape, self.dtype = array.shape, array.dtype
        self.order = "C" if array.flags.c_contiguous else "F"
        # What is written through a map changes the file's time, some time later.
        self.stamp = self.current_stamp() if is_checked else None
        self.array: np.ndarray | None = array

    @classmethod
    def of_npy(cls, path: Path) -> Any:
        if path.suffix != ".npy":
            raise ValueError(
                f"source={str(path)!r}; expected the path of a .npy file, or a list of files and a reader."
            )
        array = np.lib.format.open_memmap(path, mode="r")
        if not array.shape or array.dtype.kind not in "biufc":
            raise ValueError(f"{str(path)!r} has shape {array.shape} and holds {array.dtype}; expected samples.")
        return cls(array, os.path.abspath(path), array.offset, is_checked=True)

    @classmethod
    def of_array(cls, array: np.memmap) -> Any:
        """Return where in its file a memory map lies; None if it lies in no file as it is."""
        root = array
        while isinstance(root.base, np.memmap):
            root = root.base
        is_whole = array.flags.c_contiguous or array.flags.f_contiguous
        if not isinstance(array.filename, str | Path) or array.mode == "c" or not is_whole:
            return None
        start, of_root = (one.__array_interface__["data"][0] for one in (array, root))
        offset = root.offset + start - of_root
        return cls(array, os.path.abspath(array.filename), offset, is_checked=array.mode == "r")

    def current_stamp(self) -> tuple[int, int]:
        told = os.stat(self.place)
        return told.st_size, told.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"array": None}

    def read(self, rows: np.ndarray) -> np.ndarray:
        if self.array is None:
            if self.stamp is not None and self.stamp != self.current_stamp():
                raise ValueError(f"{self.place!r} was changed since its samples were divided; do that again.")
            self.array = np.memmap(self.place, self.dtype, "r", self.offset, self.shape, self.order)  # type: ignore[call-overload]
        return np.asarray(self.array)[rows]


class _DataSet(_Source):
    """Whatever has a shape, a type and slices, such as a data set of zarr."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.place = str(getattr(data, "name", None) or type(data).__name__)
        self.shape, self.dtype = tuple(data.shape), np.dtype(data.dtype)

    def read(self, rows: np.ndarray) -> np.ndarray:
        data = self.opened()
        places, of_row = np.unique(rows, return_inverse=True)
        samples = np.empty((len(places), *self.shape[1:]), self.dtype)
        # Slices, since not all of them take indices, and those that do take them in rising order and slowly.
        ends = [0, *(np.flatnonzero(np.diff(places) > 1) + 1).tolist(), len(places)]
        for start, stop in pairwise(ends):
            samples[start:stop] = data[int(places[start]) : int(places[stop - 1]) + 1]
        return samples if np.array_equal(places, rows) else samples[of_row]

    def opened(self) -> Any:
        return self.data


class _Hdf(_DataSet):
    """A data set of h5py, which cannot be pickled but opened again by name."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.path, self.name = os.path.abspath(data.file.filename), data.name
        self.place = f"{self.path}{self.name}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"data": None}

    def opened(self) -> Any:
        if self.data is None:
            import h5py

            self.data = h5py.File(self.path, "r")[self.name]
        return self.data


class _Files(_Source):
    """A file for each sample."""

    def __init__(self, files: list[Any], reader: Callable[[Any], Any]) -> None:
        if not files:
            raise ValueError("source is an empty list; expected the files of the samples.")
        self.files, self.reader = files, reader
        first = np.asarray(reader(files[0]))
        self.shape, self.dtype = (len(files), *first.shape), first.dtype
        self.place = f"{files[0]}, ..."

    def read(self, rows: np.ndarray) -> np.ndarray:
        samples = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, row in enumerate(rows):
            sample = np.asarray(self.reader(self.files[row]))
            if (sample.shape, sample.dtype) != (self.shape[1:], self.dtype):
                raise ValueError(
                    f"{self.files[row]} has a sample of shape {sample.shape} and type {sample.dtype}, the first file "
                    f"{self.shape[1:]} and {self.dtype}; expected all alike."
                )
            samples[i] = sample
        return samples

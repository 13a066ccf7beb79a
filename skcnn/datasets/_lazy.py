"""Samples that stay where they are until they are asked for."""

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LazySamples"]


class LazySamples:
    """An array of samples that are read when they are asked for.

    Splitters and searches of scikit-learn divide it without reading any sample: indices, slices and masks give another
    view of the same source. What asks for an array, as `numpy.asarray` does, reads the samples of this view, all of
    them. A pickle holds where the samples are and which, so that other processes open the file again; only an array
    that lies in memory travels whole.

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

    @property
    def shape(self) -> tuple[int, ...]:
        n = self._source.shape[0] if self._rows is None else len(self._rows)
        return (n, *self._source.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self._source.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Return a sample as an array for an integer, and for all else another view, which has not been read."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # as scikit-learn writes it
            key = key[0]
        is_one = isinstance(key, Integral) and not isinstance(key, bool)
        indices = _indices([key] if is_one else key, len(self))
        view = object.__new__(LazySamples)
        view._source = self._source
        view._rows = indices if self._rows is None else self._rows[indices]
        return np.asarray(view)[0] if is_one else view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all samples of this view."""
        if copy is False:
            raise ValueError("Lazy samples have to be read into a new array; expected copy=None or copy=True.")
        rows = np.arange(len(self)) if self._rows is None else self._rows
        samples = self._source.read(rows) if len(rows) else np.empty(self.shape, self.dtype)
        return samples if dtype is None else samples.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"<LazySamples {self.shape} of {self.dtype} in {self._source.place}>"


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
# Each has the shape and the type of all of its samples, a place to be named by, and reads some of them.


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


class _Array:
    """An array in memory."""

    place = "memory"

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.array)[rows]


class _Map:
    """A part of a file, as an array: path, type, shape, order of its axes and where it begins."""

    def __init__(self, array: np.memmap, path: str, offset: int, is_checked: bool) -> None:
        self.place = path
        self.offset = offset
        self.shape, self.dtype = array.shape, array.dtype
        self.order = "C" if array.flags.c_contiguous else "F"
        # What is written through a map changes the file's time, some time later.
        self.stamp = self._stamp() if is_checked else None
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

    def _stamp(self) -> tuple[int, int]:
        told = os.stat(self.place)
        return told.st_size, told.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"array": None}

    def read(self, rows: np.ndarray) -> np.ndarray:
        if self.array is None:
            if self.stamp is not None and self.stamp != self._stamp():
                raise ValueError(f"{self.place!r} was changed since its samples were divided; do that again.")
            self.array = np.memmap(self.place, self.dtype, "r", self.offset, self.shape, self.order)  # type: ignore[call-overload]
        return np.asarray(self.array)[rows]


class _DataSet:
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


class _Files:
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

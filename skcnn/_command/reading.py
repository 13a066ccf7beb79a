"""Data from files, for the command line: an .npz, a CSV, or a folder of class-named folders of images."""

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._command.console import DataError
from skcnn._sklearn.checks import nearest
from skcnn.datasets import SizesDiffer, load_image_folder

__all__ = ["Data", "read"]

TARGETS = ("y", "target", "label", "class")  # columns that are taken without being asked for
N_NAMED = 3  # columns or files in a message
MISSING = {"", "?", "-", "na", "n/a", "nan", "none", "null"}


@dataclass(frozen=True)
class Data:
    """Rows as they were read.

    Attributes
    ----------
    X : ndarray of shape (n, features) or (n, ..., channels)
        Finite numbers.
    y : ndarray of shape (n,)
        Classes or quantities.
    groups : ndarray of shape (n,) or None
        Group of each row.
    columns : list of str or None
        Names of the features, if they have any.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    columns: list[str] | None = None


def read(
    path: str,
    *,
    target: str | None = None,
    groups: str | None = None,
    shape: tuple[int, ...] | None = None,
    like: Data | None = None,
) -> Data:
    """Read rows and targets.

    Parameters
    ----------
    path : str
        An .npz with arrays ``X`` and ``y``, a CSV with a header, or a folder with a folder of images per class.
    target : str, default=None
        Array or column to predict; None is "y", in a CSV also "target", "label" or "class".
    groups : str, default=None
        Array or column of groups; for images a CSV with the columns ``file``, relative to `path`, and ``group``.
    shape : tuple of int, default=None
        Shape of a row, channels last; images are brought to this height and width.
    like : Data, default=None
        Data whose columns and shape of a row these must have.

    Raises
    ------
    DataError
        If anything is not as expected.
    """
    place = Path(path)
    try:
        if not place.exists():
            raise DataError(f"There is no {path!r}. Expected an .npz, a CSV, or a folder that has a folder per class.")
        if place.is_dir():
            data = _read_folder(place, target, groups, shape, like)
        elif place.suffix.lower() == ".npz":
            data = _read_npz(place, target or "y", groups)
        elif place.suffix.lower() in (".csv", ".tsv", ".txt"):
            data = _read_csv(place, target, groups, like)
        else:
            raise DataError(f"{path} is no .npz, no .csv and no folder; save it as one of them.")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    data = _reshaped(data, shape, path)
    if like is not None and data.X.shape[1:] != like.X.shape[1:]:
        raise DataError(f"{path} has rows of shape {data.X.shape[1:]}, the data to learn from {like.X.shape[1:]}.")
    return data


def _reshaped(data: Data, shape: tuple[int, ...] | None, path: str) -> Data:
    X = data.X
    if shape is not None and X.shape[1:] != shape:
        if len(shape) == 2 and X.shape[1:-1] == shape:
            return data  # height and width of images, whose channels are known
        if int(np.prod(shape)) != int(np.prod(X.shape[1:])):
            row = " x ".join(map(str, X.shape[1:]))
            raise DataError(
                f"--shape {'x'.join(map(str, shape))} has {np.prod(shape)} values, but the rows of {path} have {row}."
            )
        X = X.reshape(len(X), *shape)
    if not 2 <= X.ndim <= 5:
        raise DataError(
            f"{path}: X has shape {X.shape}; expected (n, features), (n, steps, channels), (n, height, width, "
            "channels) or (n, depth, height, width, channels). --shape gives rows another shape, such as 28x28x1."
        )
    return Data(X, data.y, data.groups, data.columns)


# .npz -------------------------------------------------------------------------------------------------------------


def _read_npz(path: Path, target: str, groups: str | None) -> Data:
    for option, name in (("--target", target), ("--groups", groups)):
        if name == "X":
            raise DataError(f"{option} X: X holds the rows; expected the name of another array.")
    wanted = ["X", target, *([groups] if groups else [])]
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                hint = "" if missing[0] == "X" else " --target and --groups NAME choose others."
                raise DataError(f"{path} has no array {missing[0]!r}; it has {_listed(archive.files)}.{hint}")
            arrays = {name: _array(archive, name, path) for name in wanted}
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"{path} is not an .npz as numpy.savez writes it: {_one_line(error)}.") from error
    X, y = arrays["X"], arrays[target]
    if X.ndim < 2 or not X.size:
        raise DataError(f"{path}: X has shape {X.shape}; expected a row for each target.")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{path}: X holds {X.dtype}; expected real numbers.")
    for name, array in arrays.items():
        if name != "X" and array.shape == (len(X), 1):
            arrays[name] = array = array[:, 0]
        if name != "X" and array.shape != (len(X),):
            raise DataError(f"{path}: {name} has shape {array.shape}, expected ({len(X)},): one for each row of X.")
        if name != "X" and array.dtype.kind not in "biufU":
            raise DataError(f"{path}: {name} holds {array.dtype}; expected real numbers or texts.")
    _check_finite(X, f"{path}: X")
    y = arrays[target]
    if y.dtype.kind == "f":
        _check_finite(y, f"{path}: {target}")
    return Data(X, y, arrays.get(groups or ""))


def _array(archive: Any, name: str, path: Path) -> np.ndarray:
    try:
        array: np.ndarray = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {name} holds Python objects, which are not loaded, since they could run code. Save numbers or "
            "strings."
        ) from error
    return array


def _check_finite(values: np.ndarray, name: str) -> None:
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name} has missing or infinite values in {bad.sum()} of {len(values)} rows, first in row "
            f"{np.flatnonzero(bad)[0]}. Fill them in or leave these rows out."
        )


# CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, target: str | None, groups: str | None, like: Data | None) -> Data:
    header, rows = _cells(path)
    target = target or _target_of(header, path)
    for name in [target, *([groups] if groups else []), *(like.columns or [] if like else [])]:
        if name not in header:
            raise DataError(f"{path} has no column {name!r}{nearest(name, header)} It has {_listed(header)}.")
    columns = (like.columns if like else None) or [name for name in header if name not in (target, groups)]
    if not columns:
        raise DataError(f"{path} has no columns besides {target!r} to predict from.")
    places, y, kinds = [header.index(name) for name in columns], [], []
    X, faults = [], _Faults(path)
    for line, row in rows:
        faults.check(row[header.index(target)].strip().lower() not in MISSING, target, line, "")
        y.append(row[header.index(target)].strip())
        kinds.append(row[header.index(groups)].strip() if groups else "")
        X.append(_numbers([row[place] for place in places], columns, line, faults))
    faults.tell()
    if not X:
        raise DataError(f"{path} has a header and no rows.")
    labels = _typed(y)
    _check_finite(labels, f"{path}: {target!r}")
    return Data(np.array(X), labels, np.array(kinds) if groups else None, columns)


def _cells(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its rows with the numbers of their lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from error
    first = text.partition("\n")[0]
    lines = _lines(path, csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count)))
    header = [name.strip() for name in next(lines, (1, []))[1]]
    twice = [name for name in header if header.count(name) > 1]
    if not any(header):
        raise DataError(f"{path} is empty; expected a header and a row per line.")
    if twice:
        raise DataError(f"{path} has several columns {twice[0]!r}; name each of them once.")
    if all(_is_number(name) for name in header):
        raise DataError(f"{path} starts with numbers; expected a header with the names of the columns.")

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line, row in lines:
            if len(row) not in (0, len(header)):
                raise DataError(f"{path}: line {line} has {len(row)} cells, the header {len(header)}.")
            if row:
                yield line, row

    return header, rows()


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} cannot be read as a table: {error}.") from error


def _target_of(header: list[str], path: Path) -> str:
    found = [name for name in TARGETS if name in header]
    if len(found) == 1:
        return found[0]
    problem = f"several columns that could be it ({_listed(found)})" if found else f"no column {TARGETS[0]!r}"
    raise DataError(f"{path} has {problem}; --target NAME says which column to predict. It has {_listed(header)}.")


class _Faults:
    """Cells that are missing or no numbers: how many, and the first of each column."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.missing: dict[str, list[int]] = {}
        self.text: dict[str, tuple[int, str]] = {}

    def check(self, good: bool, column: str, line: int, cell: str) -> None:
        if not good and cell.strip().lower() in MISSING:
            self.missing.setdefault(column, []).append(line)
        elif not good:
            self.text.setdefault(column, (line, cell))

    def tell(self) -> None:
        lines = []
        if self.text:
            named = [f"{column!r} ({cell!r} in line {line})" for column, (line, cell) in self.text.items()]
            lines.append(f"{self.path}: not numbers: {_listed(named)}. Leave these columns out or encode them.")
        if self.missing:
            named = [f"{len(found)} in {column!r} (first in line {found[0]})" for column, found in self.missing.items()]
            lines.append(f"{self.path}: missing values: {_listed(named)}. Fill them in or leave these rows out.")
        if lines:
            raise DataError(*lines)


def _numbers(cells: list[str], columns: list[str], line: int, faults: _Faults) -> np.ndarray:
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        values = np.array([float(cell) if _is_number(cell) else np.nan for cell in cells])
    for i in np.flatnonzero(~np.isfinite(values)):
        faults.check(False, columns[i], line, cells[i])
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _typed(cells: list[str]) -> np.ndarray:
    """Return whole numbers, numbers or strings, whatever all cells are."""
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array(cells)
    return values.astype(int) if (values == np.trunc(values)).all() and np.abs(values).max() < 2**53 else values


# Folder of images -------------------------------------------------------------------------------------------------


def _read_folder(
    path: Path, target: str | None, groups: str | None, shape: tuple[int, ...] | None, like: Data | None
) -> Data:
    if target is not None:
        raise DataError(f"--target {target}: the target of images is the folder that they are in.")
    if shape is not None and len(shape) not in (2, 3):
        raise DataError(f"--shape {'x'.join(map(str, shape))}: expected height x width of images, such as 64x64.")
    if like is not None:
        if like.X.ndim != 4:
            raise DataError(f"{path} is a folder of images, but the data to learn from are rows of {like.X.shape[1:]}.")
        shape = shape or like.X.shape[1:]
    channels = like.X.shape[3] if like is not None else shape[2] if shape and len(shape) == 3 else None
    try:
        bunch = load_image_folder(path, size=shape[:2] if shape else None, channels=channels)  # type: ignore[arg-type]
    except SizesDiffer as error:
        height, width = error.common
        raise DataError(
            f"{path}: the images have {error.found}. --shape {height}x{width} brings all to one."
        ) from error
    except (ImportError, ValueError) as error:
        raise DataError(f"{path}: {_one_line(error)}") from error
    files = [str(Path(name).relative_to(path).as_posix()) for name in bunch.filenames]
    return Data(bunch.images, bunch.target_names[bunch.target], _groups_of(files, groups) if groups else None)


def _groups_of(files: list[str], path: str) -> np.ndarray:
    """Return the group of each file from a CSV with the columns ``file`` and ``group``."""
    if not os.path.isfile(path):
        raise DataError(f"--groups {path}: for images expected a CSV with the columns 'file' and 'group'.")
    header, rows = _cells(Path(path))
    if not {"file", "group"} <= set(header):
        raise DataError(f"{path} has the columns {_listed(header)}; expected 'file' and 'group'.")
    group_of = {row[header.index("file")].strip(): row[header.index("group")].strip() for _, row in rows}
    without = [file for file in files if file not in group_of]
    if without:
        raise DataError(f"{path} has no group for {len(without)} of {len(files)} images: {_listed(without)}.")
    return np.array([group_of[file] for file in files])


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(map(str, items[: 2 * N_NAMED]))
    return shown if len(items) <= 2 * N_NAMED else f"{shown} and {len(items) - 2 * N_NAMED} more"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())

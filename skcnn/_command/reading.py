"""Data from files, for the command line: an .npz, a CSV, or a folder of class-named folders of images."""

import csv
import io
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._command.console import DataError
from skcnn._sklearn.checks import nearest
from skcnn.datasets import SizesDiffer, load_image_folder

__all__ = ["Data", "listed", "read"]

TARGETS = ("y", "target", "label", "class")  # columns that are taken without being asked for
N_NAMED = 6  # columns, files or labels in a message
MISSING = {"", "?", "-", "na", "n/a", "nan", "none", "null"}


@dataclass(frozen=True)
class Data:
    """Samples as they were read.

    Attributes
    ----------
    X : ndarray of shape (n, features) or (n, ..., channels)
        Finite numbers.
    y : ndarray of shape (n,)
        Classes or quantities.
    groups : ndarray of shape (n,) or None
        Group of each sample.
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
    """Read samples and targets.

    Parameters
    ----------
    path : str
        An .npz with arrays ``X`` and ``y``, a CSV with a header, or a folder with a folder of images per class.
    target : str, default=None
        Array or column to predict; None is "y", in a CSV also "target", "label" or "class".
    groups : str, default=None
        Array or column of groups; for images a CSV with the columns ``file``, relative to `path`, and ``group``.
    shape : tuple of int, default=None
        Shape of a sample, channels last; images are brought to this height and width.
    like : Data, default=None
        Data whose columns and shape these must have.

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
    data = replace(data, X=_reshaped(data.X, shape, path), y=_whole(data.y))
    if like is not None and data.X.shape[1:] != like.X.shape[1:]:
        raise DataError(f"{path} has samples of shape {data.X.shape[1:]}, the training data {like.X.shape[1:]}.")
    return data


def _reshaped(X: np.ndarray, shape: tuple[int, ...] | None, path: str) -> np.ndarray:
    # height and width alone are for images, whose channels are known
    if shape is not None and shape not in (X.shape[1:], X.shape[1:-1] if X.ndim == 4 else None):
        if np.prod(shape, dtype=object) != np.prod(X.shape[1:], dtype=object):
            sizes = " x ".join(map(str, X.shape[1:]))
            raise DataError(
                f"--shape {_sizes(shape)} has {np.prod(shape)} values, but the samples of {path} have {sizes}."
            )
        X = X.reshape(len(X), *shape)
    if not 2 <= X.ndim <= 5:
        raise DataError(
            f"{path}: X has shape {X.shape}; expected (n, features), (n, steps, channels), (n, height, width, "
            "channels) or (n, depth, height, width, channels). --shape gives samples another shape, such as 28x28x1."
        )
    return X


def _whole(y: np.ndarray) -> np.ndarray:
    """Return targets as integers if they are whole numbers that floats hold exactly."""
    if y.dtype.kind == "f":
        y = y.astype(np.float64)
    whole = y.dtype.kind == "b" or (y.dtype.kind == "f" and (y == np.trunc(y)).all() and np.abs(y).max() < 2**53)
    return y.astype(int) if whole else y


# .npz -------------------------------------------------------------------------------------------------------------


def _read_npz(path: Path, target: str, groups: str | None) -> Data:
    for option, name in (("--target", target), ("--groups", groups)):
        if name == "X":
            raise DataError(f"{option} X: X holds the samples; expected the name of another array.")
    arrays = _arrays(path, ["X", target, *([groups] if groups else [])])
    X = arrays.pop("X")
    if X.ndim < 2 or not X.size:
        raise DataError(f"{path}: X has shape {X.shape}; expected a sample for each target.")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{path}: X holds {X.dtype}; expected real numbers.")
    for name, array in arrays.items():
        if array.shape not in ((len(X),), (len(X), 1)):
            raise DataError(f"{path}: {name} has shape {array.shape}, expected ({len(X)},): one for each sample of X.")
        if array.dtype.kind not in "biufU":
            raise DataError(f"{path}: {name} holds {array.dtype}; expected real numbers or texts.")
        arrays[name] = array.reshape(len(X))
    _check_finite(X, f"{path}: X")
    _check_finite(arrays[target], f"{path}: {target}")
    return Data(X, arrays[target], arrays.get(groups or ""))


def _arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                hint = "" if missing[0] == "X" else " --target and --groups NAME choose others."
                raise DataError(f"{path} has no array {missing[0]!r}; it has {listed(archive.files)}.{hint}")
            return {name: _array(archive, name, path) for name in names}
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DataError(f"{path} is not an .npz as numpy.savez writes it: {_one_line(error)}.") from error


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
            f"{name} has missing or infinite values in {bad.sum()} of {len(values)} samples, first in sample "
            f"{np.flatnonzero(bad)[0]}. Fill them in or leave these samples out."
        )


# CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, target: str | None, groups: str | None, like: Data | None) -> Data:
    header, rows = _table(path)
    target = target or _target_of(header, path)
    for name in [target, *([groups] if groups else []), *(like.columns or [] if like else [])]:
        if name not in header:
            raise DataError(f"{path} has no column {name!r}{nearest(name, header)} It has {listed(header)}.")
    columns = (like.columns if like else None) or [name for name in header if name not in (target, groups)]
    if not columns:
        raise DataError(f"{path} has no columns besides {target!r} to predict from.")
    places, X, y, kinds = [header.index(name) for name in columns], [], [], []
    missing, texts = defaultdict[str, list[int]](list), dict[str, str]()  # cells that are no numbers, by column
    for line, row in rows:
        X.append(_numbers([row[place] for place in places]))
        y.append(row[header.index(target)].strip())
        kinds.append(row[header.index(groups)].strip() if groups else "")
        bad = [columns[i] for i in np.flatnonzero(~np.isfinite(X[-1]))]
        if y[-1].lower() in MISSING:
            bad.append(target)
        for name in bad:
            cell = row[header.index(name)]
            if cell.strip().lower() in MISSING:
                missing[name].append(line)
            else:
                texts.setdefault(name, f"{name!r} ({cell!r} in line {line})")
    faults = []
    if texts:
        named = listed(list(texts.values()))
        faults.append(f"{path}: not numbers: {named}. Leave these columns out or encode them.")
    if missing:
        named = listed([f"{len(lines)} in {name!r} (first in line {lines[0]})" for name, lines in missing.items()])
        faults.append(f"{path}: missing values: {named}. Fill them in or leave these rows out.")
    if faults:
        raise DataError(*faults)
    if not X:
        raise DataError(f"{path} has a header and no rows.")
    labels = _numbers(y) if all(map(_is_number, y)) else np.array(y)
    _check_finite(labels, f"{path}: {target!r}")
    return Data(np.array(X), labels, np.array(kinds) if groups else None, columns)


def _table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its rows with the numbers of their lines."""
    # Not by pandas: it would tell neither the line of a cell nor rows that are too short.
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    twice = [name for name in header if header.count(name) > 1]
    if not any(header):
        raise DataError(f"{path} is empty; expected a header and a row per line.")
    if twice:
        raise DataError(f"{path} has several columns {twice[0]!r}; name each of them once.")
    if all(map(_is_number, header)):
        raise DataError(f"{path} starts with numbers; expected a header with the names of the columns.")
    return header, rows


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader, n_cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), None
    try:
        for row in reader:
            n_cells = len(row) if n_cells is None else n_cells
            if len(row) not in (0, n_cells):
                raise DataError(f"{path}: line {reader.line_num} has {len(row)} cells, the header {n_cells}.")
            if row or reader.line_num == 1:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} cannot be read as a table: {error}.") from error


def _target_of(header: list[str], path: Path) -> str:
    found = [name for name in TARGETS if name in header]
    if len(found) == 1:
        return found[0]
    problem = f"several columns that could be it ({listed(found)})" if found else f"no column {TARGETS[0]!r}"
    raise DataError(f"{path} has {problem}; --target NAME says which column to predict. It has {listed(header)}.")


def _numbers(cells: list[str]) -> np.ndarray:
    """Return the numbers in cells, and nan for what is none."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return np.array([float(cell) if _is_number(cell) else np.nan for cell in cells])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# Folder of images -------------------------------------------------------------------------------------------------


def _read_folder(
    path: Path, target: str | None, groups: str | None, shape: tuple[int, ...] | None, like: Data | None
) -> Data:
    if target is not None:
        raise DataError(f"--target {target}: the target of images is the folder that they are in.")
    if shape is not None and len(shape) not in (2, 3):
        raise DataError(f"--shape {_sizes(shape)}: expected height x width of images, such as 64x64.")
    if like is not None:
        if like.X.ndim != 4:
            raise DataError(f"{path} is a folder of images, but the training samples have shape {like.X.shape[1:]}.")
        shape = shape or like.X.shape[1:]
    channels = like.X.shape[3] if like is not None else shape[2] if shape and len(shape) == 3 else None
    try:
        bunch = load_image_folder(path, size=shape[:2] if shape else None, channels=channels)  # type: ignore[arg-type]
    except SizesDiffer as error:
        raise DataError(
            f"{path}: the images have {error.found}. --shape {_sizes(error.common)} brings all to one."
        ) from error
    except (ImportError, ValueError) as error:
        raise DataError(f"{path}: {_one_line(error)}") from error
    files = [str(Path(name).relative_to(path).as_posix()) for name in bunch.filenames]
    return Data(bunch.images, bunch.target_names[bunch.target], _groups_of(files, groups) if groups else None)


def _groups_of(files: list[str], path: str) -> np.ndarray:
    """Return the group of each file from a CSV with the columns ``file`` and ``group``."""
    if not os.path.isfile(path):
        raise DataError(f"--groups {path}: for images expected a CSV with the columns 'file' and 'group'.")
    header, rows = _table(Path(path))
    if not {"file", "group"} <= set(header):
        raise DataError(f"{path} has the columns {listed(header)}; expected 'file' and 'group'.")
    group_of = {row[header.index("file")].strip(): row[header.index("group")].strip() for _, row in rows}
    without = [file for file in files if file not in group_of]
    if without:
        raise DataError(f"{path} has no group for {len(without)} of {len(files)} images: {listed(without)}.")
    return np.array([group_of[file] for file in files])


def listed(items: Sequence[Any]) -> str:
    """Return the first few items, and how many there are more."""
    shown = ", ".join(map(str, items[:N_NAMED]))
    return shown if len(items) <= N_NAMED else f"{shown} and {len(items) - N_NAMED} more"


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _one_line(error: object) -> str:
    return " ".join(str(error).split())

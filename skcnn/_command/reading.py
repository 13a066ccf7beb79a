"""Data from files, for the command line: an .npz, a CSV, or a folder of class-named folders of images."""

import csv
import io
import os
import re
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._command.console import DataError, complain, one_line
from skcnn._sklearn.checks import nearest
from skcnn.datasets import load_image_folder
from skcnn.datasets._decoding import SizesDiffer, Unreadable
from skcnn.exceptions import ImageFolderWarning, listed

__all__ = ["GROUPS", "NO_GROUPS", "Data", "read"]

GROUPS = "groups"  # array of an .npz that is taken without being asked for
NO_GROUPS = "--groups '' leaves them aside, --groups NAME takes another array."
TARGETS = ("y", "target", "label", "class")  # columns that are taken without being asked for
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
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
    groups_found : bool
        Whether the file has groups without being asked for.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None
    columns: list[str] | None = None
    groups_found: bool = False


def read(
    path: str,
    *,
    target: str | None = None,
    groups: str | None = None,
    shape: tuple[int, ...] | None = None,
    like: Data | None = None,
    skip_unreadable: bool = False,
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
        None is the array "groups" of an .npz, if it has one and the data that it must be like have groups; "" is none.
    shape : tuple of int, default=None
        Shape of a sample, channels last; images are brought to this height and width.
    like : Data, default=None
        Data whose columns and shape these must have.
    skip_unreadable : bool, default=False
        Whether images that cannot be read are left out.

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
            if target is not None:
                raise DataError(f"--target {target}: the target of images is the folder that they are in.")
            bunch = _images(place, _shape_of_images(place, shape, like), skip_unreadable)
            files = [Path(name).relative_to(place).as_posix() for name in bunch.filenames]
            names = bunch.target_names[bunch.target]
            data = Data(bunch.images, names, _groups_of(files, groups) if groups else None)
        elif skip_unreadable:
            raise DataError(f"--skip-unreadable is for a folder of images; {path} is none.")
        elif not place.is_file():
            raise DataError(f"{path} is no regular file but a pipe or device; save the data to a file first.")
        elif place.suffix.lower() == ".npz":
            data = _read_npz(place, target or "y", groups, finds_groups=like is None or like.groups is not None)
        elif place.suffix.lower() in (".csv", ".tsv", ".txt"):
            data = _read_csv(place, target, groups, like)
        else:
            raise DataError(f"{path} is no .npz, no .csv and no folder; save it as one of them.")
    except MemoryError as error:
        known = f": {one_line(error)}" if place.is_dir() else ". Take fewer samples, or save images as uint8."
        raise DataError(f"{path} does not fit into the memory{known}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    data = replace(data, X=_reshaped(data.X, shape, path), y=_whole(data.y))
    if like is not None and data.X.shape[1:] != like.X.shape[1:]:
        raise DataError(f"{path} has samples of shape {data.X.shape[1:]}, the training data {like.X.shape[1:]}.")
    return data


def _reshaped(X: np.ndarray, shape: tuple[int, ...] | None, path: str) -> np.ndarray:
    # height and width alone are for images, whose channels are known
    if shape is not None and shape not in (X.shape[1:], X.shape[1:-1] if X.ndim == 4 else None):
        n_values, sizes = prod(shape), " x ".join(map(str, X.shape[1:]))
        if n_values != prod(X.shape[1:]):
            raise DataError(f"--shape {_sizes(shape)} has {n_values} values, but the samples of {path} have {sizes}.")
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


def _read_npz(path: Path, target: str, groups: str | None, *, finds_groups: bool) -> Data:
    names = ["X", target, *([groups] if groups else [])]
    if names.count("X") > 1:
        raise DataError("--target and --groups: X holds the samples; expected the names of other arrays.")
    optional = [GROUPS] if finds_groups and groups is None and target != GROUPS else []
    arrays = _arrays(path, names, optional)
    X, found = arrays.pop("X"), any(name in arrays for name in optional)
    if X.ndim < 2 or not X.size:
        raise DataError(f"{path}: X has shape {X.shape}; expected a sample for each target.")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{path}: X holds {X.dtype}; expected real numbers.")
    for name, array in arrays.items():
        if array.shape not in ((len(X),), (len(X), 1)):
            hint = f" {NO_GROUPS}" if name in optional else ""
            raise DataError(
                f"{path}: {name} has shape {array.shape}, expected ({len(X)},): one for each sample of X.{hint}"
            )
        if array.dtype.kind not in "biufU":
            raise DataError(f"{path}: {name} holds {array.dtype}; expected real numbers or texts.")
    for name, array in {"X": X, **arrays}.items():
        _check_finite(array, f"{path}: {name}")
    columns = {name: array.reshape(len(X)) for name, array in arrays.items()}
    return Data(X, columns[target], columns[groups or GROUPS] if found or groups else None, groups_found=found)


def _arrays(path: Path, names: list[str], optional: list[str]) -> dict[str, np.ndarray]:
    """Return arrays of an .npz by name, the optional ones if they are there."""
    name, arrays = "", {}
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with np.load(path, allow_pickle=False) as archive:
            found = archive.files
            for name in [*names, *optional]:
                if name in found:
                    arrays[name] = archive[name]
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever damaged, encrypted or crafted archives and headers raise
        if "Object arrays" in str(error):
            raise DataError(
                f"{path}: {name} holds Python objects, which are not loaded, since they could run code. Save numbers "
                "or strings."
            ) from error
        raise DataError(f"{path} is not an .npz as numpy.savez writes it: {one_line(error)}.") from error
    missing = [name for name in names if name not in found]
    if missing:
        hint = "" if missing[0] == "X" else " --target and --groups NAME choose others."
        raise DataError(f"{path} has no array {missing[0]!r}; it has {listed(found)}.{hint}")
    return arrays


def _check_finite(values: np.ndarray, name: str) -> None:
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name} has missing or infinite values in {bad.sum()} of {len(values)} samples, first in sample "
            f"{bad.argmax()}. Fill them in or leave these samples out."
        )


# CSV --------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, target: str | None, groups: str | None, like: Data | None) -> Data:
    header, rows = _table(path)
    target = target or _target_of(header, path)
    columns = (like.columns if like else None) or [name for name in header if name not in (target, groups)]
    known = set(header)
    for name in [target, *([groups] if groups else []), *columns]:
        if name not in known:
            raise DataError(f"{path} has no column {name!r}{nearest(name, header)} It has {listed(header)}.")
    if not columns:
        raise DataError(f"{path} has no columns besides {target!r} to predict from.")
    at = {name: i for i, name in enumerate(header)}
    places = [at[name] for name in columns]
    X, y, kinds = [], [], []
    missing, texts = defaultdict[str, list[int]](list), dict[str, str]()  # cells that are no numbers, by column
    for line, row in rows:
        X.append(_numbers([row[i] for i in places]))
        y.append(row[at[target]].strip())
        kinds.append(row[at[groups]].strip() if groups else "")
        for name in [*compress(columns, ~np.isfinite(X[-1])), target]:
            cell = row[at[name]]
            if cell.strip().lower() in MISSING:
                missing[name].append(line)
            elif name != target:
                texts.setdefault(name, f"{name!r} ({cell!r} in line {line})")
    gaps = [f"{len(lines)} in {name!r} (first in line {lines[0]})" for name, lines in missing.items()]
    faults = [
        *([f"not numbers: {listed(list(texts.values()))}. Leave these columns out or encode them."] if texts else []),
        *([f"missing values: {listed(gaps)}. Fill them in or leave these rows out."] if gaps else []),
        *(["a header and no rows."] if not X else []),
    ]
    if faults:
        raise DataError(*(f"{path}: {fault}" for fault in faults))
    labels = _labels(y)
    _check_finite(labels, f"{path}: {target!r}")
    return Data(np.array(X), labels, np.array(kinds) if groups else None, columns)


def _table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header of a CSV, and its rows with the numbers of their lines."""
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    twice = [name for name, n in Counter(header).items() if n > 1]
    if not any(header):
        raise DataError(f"{path} is empty; expected a header and a row per line.")
    if twice:
        raise DataError(f"{path} has several columns {twice[0]!r}; name each of them once.")
    if not np.isnan(_numbers(header)).any():
        raise DataError(f"{path} starts with numbers; expected a header with the names of the columns.")
    return header, rows


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Not by pandas: it would tell neither the line of a cell nor rows that are too short.
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader, n_cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 0
    try:
        for row in filter(None, reader):  # without empty lines
            n_cells = n_cells or len(row)
            if len(row) != n_cells:
                raise DataError(f"{path}: line {reader.line_num} has {len(row)} cells, the header {n_cells}.")
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
        numbers = np.array(cells, dtype=np.float64)
    except ValueError:
        return np.array([_number(cell) for cell in cells])
    numbers[["_" in cell for cell in cells]] = np.nan  # which Python takes for a separator of digits
    return numbers


def _labels(cells: list[str]) -> np.ndarray:
    """Return labels as numbers if all are written as such, and as they stand otherwise: 007 is not 7."""
    if all(map(_INTEGER.fullmatch, cells)):
        as_written = all(len(cell) < 20 and str(int(cell)) == cell and abs(int(cell)) < 2**63 for cell in cells)
        return np.array([int(cell) for cell in cells]) if as_written else np.array(cells)
    return _numbers(cells) if all(map(_NUMBER.fullmatch, cells)) else np.array(cells)


def _number(cell: str) -> float:
    try:
        return np.nan if "_" in cell else float(cell)
    except ValueError:
        return np.nan


# Folder of images -------------------------------------------------------------------------------------------------


def _shape_of_images(path: Path, shape: tuple[int, ...] | None, like: Data | None) -> tuple[int, ...] | None:
    """Return (height, width) or (height, width, channels) that images are brought to; None if as they are."""
    if shape is not None and len(shape) not in (2, 3):
        raise DataError(f"--shape {_sizes(shape)}: expected height x width of images, such as 64x64.")
    if like is not None:
        if like.X.ndim != 4:
            raise DataError(f"{path} is a folder of images, but the training samples have shape {like.X.shape[1:]}.")
        return (*(shape or like.X.shape[1:])[:2], like.X.shape[3])
    return shape


def _images(path: Path, shape: tuple[int, ...] | None, skip_unreadable: bool) -> Any:
    size, channels = (shape[:2], shape[2] if len(shape) == 3 else None) if shape else (None, None)
    options: dict[str, Any] = {"size": size, "channels": channels, "on_error": "skip" if skip_unreadable else "raise"}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImageFolderWarning)
            bunch = load_image_folder(path, **options)
    except SizesDiffer as error:
        raise DataError(
            f"{path}: the images have {error.found}. --shape {_sizes(error.proposal)} brings all to one."
        ) from error
    except Unreadable as error:
        raise DataError(
            f"{path}: {one_line(error.found)}. Repair them, take them out, or leave them out with --skip-unreadable."
        ) from error
    except (ImportError, ValueError) as error:
        raise DataError(f"{path}: {one_line(error)}") from error
    for warning in caught:
        complain(one_line(warning.message))
    return bunch


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


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

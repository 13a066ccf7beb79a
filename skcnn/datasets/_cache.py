"""Images that were decoded once, in a .npy file that knows what it was made from.

The file holds two arrays one after the other, which NumPy's format allows: the images, which is what `numpy.load`
returns, and as bytes a text in JSON of the options, the form, and each file with what was found in it. It is written
under another name, in the order of the files, and renamed when it is whole.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from errno import ENOSPC
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from skcnn.datasets._decoding import Form, Found, Unreadable, Wanted, decode, form_of, read_headers

__all__ = ["cached_images", "check_cache"]

FORMAT = "skcnn images 1"
SMALLER = "Give a path on another disk, or a smaller size."
SECONDS = 2.0  # between two moments from which an interrupted or killed call can go on


class Stamp(NamedTuple):
    """A file, and what tells whether it was changed."""

    name: str
    n_bytes: int
    modified: int


def check_cache(cache: Any) -> Path:
    """Return the path of a cache, or raise an error that says what is wrong with it."""
    path = Path(cache)
    if path.suffix != ".npy":
        raise ValueError(f"cache={str(cache)!r}; expected the path of a .npy file, such as 'cells.npy'.")
    if not path.parent.is_dir():
        raise ValueError(f"cache={str(cache)!r}: there is no folder {str(path.parent)!r}; create it first.")
    return path


def cached_images(
    path: Path, folder: Path, files: Sequence[Path], wanted: Wanted, on_error: str
) -> tuple[np.ndarray, list[Found]]:
    """Return the images that can be read, as a memory map, and what was found in each file.

    Raises
    ------
    ValueError
        If another file is there.
    Unreadable
        If there are images that cannot be read and `on_error` is "raise"; what was decoded is kept for the next call.
    OSError
        If the file cannot be written.
    """
    stamps = [_stamp(file, folder) for file in files]
    known = _known(path, wanted, stamps)
    if known is not None:
        return known
    headers, found = read_headers(files)
    form = form_of(files, headers, wanted)
    if form is None:
        return np.empty(0, np.uint8), found
    try:
        with _locked(_part_of(path)) as part:
            known = _known(path, wanted, stamps)  # of another process that was waited for
            if known is not None:
                _part_of(path).unlink()
                return known
            found = _Writing(part, path, wanted, form, stamps).write(files, found, on_error)
            return _mapped(path), found
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        raise OSError(
            ENOSPC, f"The disk became full, and what was written was removed. {SMALLER}", str(path)
        ) from error


def _part_of(path: Path) -> Path:
    return Path(f"{path}.part")


def _stamp(file: Path, folder: Path) -> Stamp:
    told = file.stat()
    return Stamp(file.relative_to(folder).as_posix(), told.st_size, told.st_mtime_ns)


# A finished file --------------------------------------------------------------------------------------------------


def _mapped(path: Path) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="r")


def _content(path: Path) -> dict[str, Any] | None:
    """Return what a file says that it was made from; None if it is no such file."""
    try:
        images = _mapped(path)
        with path.open("rb") as file:
            file.seek(images.offset + images.nbytes)
            content = json.loads(np.load(file, allow_pickle=False).tobytes())
    except (ValueError, EOFError):  # JSON's and Unicode's errors are ValueErrors
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def _known(path: Path, wanted: Wanted, stamps: Sequence[Stamp]) -> tuple[np.ndarray, list[Found]] | None:
    """Return images and findings if they were made from these files with these options."""
    if not path.exists():
        return None
    content = _content(path)
    if content is None:
        raise ValueError(
            f"cache={str(path)!r} exists and was not written by load_image_folder; give the path of another file."
        )
    if (content["wanted"], content["files"]) != (_plain(wanted), _plain(stamps)):
        return None
    return _mapped(path), [Found(*one) for one in content["found"]]


def _plain(value: Any) -> Any:
    """Return a value as it comes out of JSON."""
    return json.loads(json.dumps(value))


# Writing one ------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file that no other process writes, after waiting for one that does."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        with file:
            with suppress(ImportError):  # where there are no such locks
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(path, file):  # else it was renamed or removed while this waited
                yield file
                return


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _Writing:
    """Writes the images behind one another, and beside them line by line what was found, so that it can go on."""

    def __init__(self, part: BinaryIO, path: Path, wanted: Wanted, form: Form, stamps: Sequence[Stamp]) -> None:
        self.part = part
        self.path = path
        self.journal = Path(f"{path}.part.json")
        self.form = form
        self.stamps = stamps
        self.wanted = wanted
        self.head = [FORMAT, _plain(wanted), _plain(asdict(form))]
        self.start = self._write_header(0)  # as long for any number of images

    def write(self, files: Sequence[Path], found: Sequence[Found], on_error: str) -> list[Found]:
        """Write what is still to be written, and return what was found in all files."""
        try:
            done = self._done()
            self._check_disk(len(files) - len(done))
            self._append(files[len(done) :], found[len(done) :], done)
            if on_error == "raise" and any(one.reason is not None for one in done):
                raise Unreadable([stamp.name for stamp in self.stamps], done)
            self._finish(done)
        except Unreadable:
            raise
        except Exception:  # such as of a disk that is full, which has to get its space back
            self._remove()
            raise
        return done

    def _done(self) -> list[Found]:
        """Return what an earlier call found in the first files, and cut both files to what belongs to these."""
        n_rows = max(0, self.part.seek(0, os.SEEK_END) - self.start) // self.form.n_bytes
        done: list[Found] = []
        for stamp, (written, one) in zip(self.stamps, self._journalled(), strict=False):
            if stamp != written or (one.reason is None and not n_rows):
                break
            n_rows -= one.reason is None
            done.append(one)
        self.part.truncate(self.start + self._n_read(done) * self.form.n_bytes)
        self.part.seek(0, os.SEEK_END)
        with self.journal.open("w", encoding="utf-8") as journal:
            journal.writelines(map(_line, [self.head, *zip(self.stamps, done, strict=False)]))
        return done

    def _journalled(self) -> Iterator[tuple[Stamp, Found]]:
        with suppress(FileNotFoundError, ValueError), self.journal.open(encoding="utf-8") as lines:
            if json.loads(next(lines, "null")) != self.head:
                return
            for line in lines:
                stamp, one = json.loads(line)
                yield Stamp(*stamp), Found(*one)

    def _n_read(self, found: Sequence[Found]) -> int:
        return sum(one.reason is None for one in found)

    def _check_disk(self, n: int) -> None:
        needed, free = n * self.form.n_bytes, shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise OSError(
                f"cache={str(self.path)!r} takes {needed / 2**30:.1f} GiB more, and {free / 2**30:.1f} GiB are free on "
                f"its disk. {SMALLER}"
            )

    def _append(self, files: Sequence[Path], known: Sequence[Found], done: list[Found]) -> None:
        """Append images and findings, also to `done`, which has them of the files before."""
        n_kept, saved = len(done), monotonic()
        with (
            self.journal.open("a", encoding="utf-8") as journal,
            _progress(len(self.stamps), len(done)) as advance,
            closing(decode(files, known, self.form)) as results,
        ):
            try:
                for pixels, one in results:
                    if pixels is not None:
                        self.part.write(pixels.tobytes())
                    done.append(one)
                    advance()
                    if monotonic() - saved > SECONDS:
                        n_kept, saved = self._save(journal, done, n_kept), monotonic()
            finally:
                self._save(journal, done, n_kept)

    def _save(self, journal: Any, done: Sequence[Found], n_kept: int) -> int:
        """Bring images, and only then the lines that tell of them, to the disk."""
        self.part.flush()
        os.fsync(self.part.fileno())
        journal.writelines(map(_line, zip(self.stamps[n_kept : len(done)], done[n_kept:], strict=True)))
        journal.flush()
        return len(done)

    def _write_header(self, n: int) -> int:
        self.part.seek(0)
        shape = (n, *self.form.shape)
        description = np.lib.format.dtype_to_descr(np.dtype(self.form.dtype))
        header = {"descr": description, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.part, header)
        return self.part.tell()

    def _finish(self, done: Sequence[Found]) -> None:
        n_read = self._n_read(done)
        if not n_read:
            raise Unreadable([stamp.name for stamp in self.stamps], done)
        self._write_header(n_read)
        self.part.seek(0, os.SEEK_END)
        content = {"format": FORMAT, "wanted": self.wanted, "files": self.stamps, "found": done}
        np.save(self.part, np.frombuffer(json.dumps(content).encode(), np.uint8), allow_pickle=False)
        self.part.flush()
        os.fsync(self.part.fileno())
        os.replace(_part_of(self.path), self.path)
        self.journal.unlink(missing_ok=True)

    def _remove(self) -> None:
        for path in (_part_of(self.path), self.journal):
            with suppress(OSError):
                path.unlink()


def _line(value: Any) -> str:
    return json.dumps(value) + "\n"


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[], None]]:
    """Count images in a bar on the terminal, or in a notebook, if rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda: None
        return
    console = Console(stderr=True)
    is_seen = console.is_terminal or console.is_jupyter
    with Progress(console=console, disable=not is_seen, transient=True) as bar:
        task = bar.add_task("Images", total=total, completed=done)
        yield lambda: bar.advance(task)

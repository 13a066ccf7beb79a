"""A folder of images with a folder for each class."""

from collections.abc import Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.utils import Bunch

from skcnn._engine.memory import free_bytes
from skcnn.datasets._cache import cached_images, check_cache
from skcnn.datasets._decoding import Form, Found, Unreadable, Wanted, decode, form_of, read_headers
from skcnn.exceptions import ImageFolderWarning, listed, warn

__all__ = ["load_image_folder"]

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SPLIT_NAMES = {"test", "train", "training", "val", "valid", "validation"}


def load_image_folder(
    folder: str | PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: Literal[1, 3] | None = None,
    background: str = "white",
    on_error: Literal["raise", "skip"] = "raise",
    cache: str | PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Load images from a folder that has one folder per class, as :func:`sklearn.datasets.load_files` does texts.

    Sizes and types are read from the headers of all files before any image is decoded. Needs pillow (extra
    ``images``).

    Parameters
    ----------
    folder : str or PathLike
        Folder whose folders are named after the classes. Images may lie deeper in these; other files, and all whose
        name starts with a dot, are left out.
    size : tuple of int (height, width), default=None
        Size to which each image is brought, without keeping its proportions. With None all must have one size; the
        error proposes one.
    channels : {1, 3}, default=None
        1 for grey, 3 for colour. With None grey if all images are.
    background : str, default="white"
        Colour that shows where images are transparent, as pillow names it, such as "black" or "#808080".
    on_error : {"raise", "skip"}, default="raise"
        Whether images that cannot be read raise an error, which names all of them, or are left out with a warning.
    cache : str or PathLike, default=None
        Path of a .npy file, for images that do not fit into memory: they are decoded once, into this file, which
        later calls map into memory. It is written anew if `size`, `channels` or `background` are others, or if an
        image was added, removed or changed (which its size in bytes and its time of modification tell). An
        interrupted call leaves ``<cache>.part`` and ``<cache>.part.json``, from which the next one goes on. A bar on
        the terminal shows the progress if rich is installed.
    classes : sequence of str, default=None
        Names of the classes in the order of their numbers, such as the ``target_names`` of the training images. Some
        may have no folder here. With None the names of the folders, sorted.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch. These are the images, not the flat ``data``, since a
        network needs their shape.

    Returns
    -------
    Bunch
        ``images``: ndarray of uint8 of shape (n, height, width, channels), upright as the camera noted, or of uint16
        if all are grey with 16 bits; with `cache` a read-only memory map. ``data``: the same as flat samples, no copy;
        ``target``: ndarray of shape (n,), the place of each class in ``target_names``: ndarray of str;
        ``filenames``: ndarray of str, in the order of the samples.

    Raises
    ------
    ImportError
        If pillow is not installed.
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are fewer than two classes, a class without images, a folder that is not among `classes`, images that
        cannot be read or have 16 bits in colour, images with 16 and with 8 bits, or several sizes where `size` is
        None.
    MemoryError
        If the images do not fit into what is free of the memory.
    OSError
        If `cache` cannot be written, or does not fit on the disk.

    Warns
    -----
    ImageFolderWarning
        If images are left out, have transparent parts or several pages (of which the first is read), or if pillow
        warns of them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skcnn.datasets import load_image_folder
    >>> with TemporaryDirectory() as folder:
    ...     for kind, grey in [("dark", 20), ("light", 220)]:
    ...         Path(folder, kind).mkdir()
    ...         for i in range(3):
    ...             Image.fromarray(np.full((12, 16), grey + i, np.uint8)).save(Path(folder, kind, f"{i}.png"))
    ...     bunch = load_image_folder(folder, size=(8, 8))
    >>> bunch.images.shape, bunch.target, bunch.target_names
    ((6, 8, 8, 1), array([0, 0, 0, 1, 1, 1]), array(['dark', 'light'], dtype='<U5'))
    """
    wanted = _check_wanted(size, channels, background)
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}; expected "raise" or "skip".')
    by_class = _files_by_class(Path(folder), _check_classes(classes))
    files = [file for of_class in by_class.values() for file in of_class]
    numbers = np.repeat(np.arange(len(by_class)), [len(of_class) for of_class in by_class.values()])
    if cache is None:
        images, found = _images(files, wanted)
    else:
        images, found = cached_images(check_cache(cache), Path(folder), files, wanted, on_error)
    is_read = np.array([one.reason is None for one in found])
    names = [file.relative_to(folder).as_posix() for file in files]
    if not is_read.all() and (on_error == "raise" or not is_read.any()):
        raise Unreadable(names, found)
    target, target_names = numbers[is_read], np.array(list(by_class))
    empty = target_names[np.bincount(target, minlength=len(target_names)) == 0].tolist()
    if empty and classes is None:
        raise ValueError(f"No image of {listed(empty)} can be read: {Unreadable(names, found).found}.")
    _warn_of(names, found, wanted.background)
    if return_X_y:
        return images, target
    return Bunch(
        data=images.reshape(len(images), -1),
        target=target,
        target_names=target_names,
        images=images,
        filenames=np.array([str(file) for file in files])[is_read],
    )


# Options ----------------------------------------------------------------------------------------------------------


def _check_wanted(size: Any, channels: Any, background: Any) -> Wanted:
    if channels not in (None, 1, 3):
        raise ValueError(f"channels={channels!r}; expected 1 for grey, 3 for colour, or None.")
    is_pair = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
    if size is not None and not is_pair:
        raise ValueError(f"size={size!r}; expected (height, width) in pixels, such as (64, 64), or None.")
    try:
        from PIL import ImageColor
    except ImportError as error:
        raise ImportError('Reading images needs pillow: pip install "skcnn[images]", or pip install pillow.') from error
    try:
        colour = ImageColor.getrgb(background)
    except (AttributeError, TypeError, ValueError):
        colour = ()
    if len(colour) != 3:
        raise ValueError(f'background={background!r}; expected an opaque colour, such as "white" or "#808080".')
    return Wanted(None if size is None else (size[0], size[1]), channels, background)


def _check_classes(classes: Any) -> list[str] | None:
    if classes is None:
        return None
    names = [] if isinstance(classes, str) else [name for name in classes if isinstance(name, str)]
    if len(names) < max(2, len(classes)) or len(set(names)) < len(names):
        raise ValueError(f"classes={classes!r}; expected the names of two classes or more, each once.")
    return [str(name) for name in names]  # not NumPy's


# Files ------------------------------------------------------------------------------------------------------------


def _files_by_class(folder: Path, classes: list[str] | None) -> dict[str, list[Path]]:
    """Return the images of each class, classes as given or in the order of their names, as images are."""
    if not folder.is_dir():
        raise NotADirectoryError(f"There is no folder {str(folder)!r}; expected one that has a folder per class.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = [path.name for path in folders]
    if classes is None:
        _check_folders(folder, names)
    elif unknown := [name for name in names if name not in classes]:
        raise ValueError(
            f"The folders {listed(unknown)} of {str(folder)!r} are not among classes={classes}. Add them to classes, "
            "or take them out."
        )
    found_in = {path.name: _images_in(path) for path in folders}
    files = {name: found_in.get(name, []) for name in classes or names}
    empty = [name for name, found in files.items() if not found]
    if empty and (classes is None or len(empty) == len(files)):
        raise ValueError(
            f"No images in {listed(empty)} of {str(folder)!r}; expected files that end in "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    return files


def _check_folders(folder: Path, names: list[str]) -> None:
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise ValueError(
            f"Expected a folder per class in {str(folder)!r}, two at least; found {found}. Put the images of each "
            "class into a folder named after it."
        )
    if SPLIT_NAMES.issuperset(name.lower() for name in names):
        raise ValueError(
            f"The folders in {str(folder)!r} are {listed(names)}, parts of a split rather than classes. Load each "
            f"part by itself, such as {str(folder / names[0])!r}."
        )


def _images_in(folder: Path) -> list[Path]:
    """Return the images in a folder and in those within it, none that is hidden."""

    def is_image(path: Path) -> bool:
        hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
        return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()

    return sorted(filter(is_image, folder.rglob("*")))


# Images -----------------------------------------------------------------------------------------------------------


def _images(files: Sequence[Path], wanted: Wanted) -> tuple[np.ndarray, list[Found]]:
    """Return the images that can be read, as one array, and what was found in each file."""
    headers, known = read_headers(files)
    form = form_of(files, headers, wanted)
    if form is None:
        return np.empty(0, np.uint8), known
    n_known = sum(header is not None for header in headers)
    _check_memory(n_known, form)
    images, n_read, found = np.empty((n_known, *form.shape), form.dtype), 0, []
    with closing(decode(files, known, form)) as results:
        for pixels, one in results:
            if pixels is not None:
                images[n_read] = pixels
                n_read += 1
            found.append(one)
    return images[:n_read], found


def _check_memory(n: int, form: Form) -> None:
    needed, free = n * form.n_bytes, free_bytes()
    if needed > free:
        shape = "x".join(map(str, form.shape))
        raise MemoryError(
            f"{n} images of {shape} take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free. "
            "Bring them to a smaller size (size=), or decode them into a file (cache=)."
        )


def _warn_of(names: Sequence[str], found: Sequence[Found], background: str) -> None:
    """Warn of what is left out and of what does not show in the array."""
    pairs = list(zip(names, found, strict=True))
    n_read = sum(one.reason is None for one in found)
    if n_read < len(found):
        warn(ImageFolderWarning(f"{Unreadable(names, found).found}. They are left out."))
    if clear := [name for name, one in pairs if one.is_transparent]:
        warn(
            ImageFolderWarning(
                f"{len(clear)} of {n_read} images have transparent parts, where background={background!r} shows: "
                f"{listed(clear)}."
            )
        )
    if paged := [name for name, one in pairs if one.has_pages]:
        warn(
            ImageFolderWarning(
                f"{len(paged)} of {n_read} images have several pages or frames, of which the first is read: "
                f"{listed(paged)}."
            )
        )
    if odd := [f"{name} ({one.warning})" for name, one in pairs if one.warning and one.reason is None]:
        warn(ImageFolderWarning(f"Pillow warns of {len(odd)} of {n_read} images: {listed(odd)}."))

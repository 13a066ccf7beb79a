"""Data to learn from: a folder of images with a folder for each class, and digits of which one is rare."""

import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from skcnn._engine.signals import uninterrupted

__all__ = ["load_image_folder", "load_rare_digit"]

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # whatever a file's name says; others start programs
_WIDE = re.compile(r";(16|32)[BLNS]")  # 16 bits of a channel, as pillow names them
SPLIT_NAMES = {"test", "train", "training", "val", "valid", "validation"}


class SizesDiffer(ValueError):
    """Images come in several sizes.

    Attributes
    ----------
    found : str
        The sizes, most frequent first, and how many images have them.
    common : tuple of int
        Height and width of most of them.
    """

    def __init__(self, sizes: Counter[tuple[int, int]]) -> None:
        self.common = sizes.most_common(1)[0][0]
        each = [f"{height}x{width} ({n})" for (height, width), n in sizes.most_common()]
        self.found = f"{len(sizes)} sizes: {listed(each)}, height x width (number of images)"
        super().__init__(
            f"The images have {self.found}. A network takes one; bring all to it with size=(height, width), such as "
            f"size={self.common}."
        )


# Images -----------------------------------------------------------------------------------------------------------


def load_image_folder(
    folder: str | PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: Literal[1, 3] | None = None,
    return_X_y: bool = False,
) -> Any:
    """Load images from a folder that has one folder per class, as :func:`sklearn.datasets.load_files` does texts.

    Needs pillow (extra ``images``).

    Parameters
    ----------
    folder : str or PathLike
        Folder whose folders are named after the classes. Images may lie deeper in these; other files, and all whose
        name starts with a dot, are left out.
    size : tuple of int (height, width), default=None
        Size to which each image is brought, without keeping its proportions. With None all must have one size.
    channels : {1, 3}, default=None
        1 for grey, 3 for colour. With None grey if all images are. Transparency is dropped.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch. These are the images, not the flat ``data``, since a
        network needs their shape.

    Returns
    -------
    Bunch
        ``images``: ndarray of uint8 of shape (n, height, width, channels), upright as the camera noted;
        ``data``: the same as flat samples, no copy; ``target``: ndarray of shape (n,), the place of each class in
        ``target_names``: ndarray of str, sorted; ``filenames``: ndarray of str, in the order of the samples.

    Raises
    ------
    ImportError
        If pillow is not installed.
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are fewer than two classes, a class without images, an image that cannot be read or has 16 bits, or
        several sizes where `size` is None.

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
    if channels not in (None, 1, 3):
        raise ValueError(f"channels={channels!r}; expected 1 for grey, 3 for colour, or None.")
    files = _files_by_class(Path(folder))
    names = np.array(list(files))
    every = [file for of_class in files.values() for file in of_class]
    images = _read(every, _check_size(size), channels)
    target = np.repeat(np.arange(len(names)), [len(of_class) for of_class in files.values()])
    if return_X_y:
        return images, target
    return Bunch(
        data=images.reshape(len(images), -1),
        target=target,
        target_names=names,
        images=images,
        filenames=np.array([str(file) for file in every]),
    )


def _check_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    if not (isinstance(size, Sequence) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)):
        raise ValueError(f"size={size!r}; expected (height, width) in pixels, such as (64, 64), or None.")
    return size[0], size[1]


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    """Return the images of each class, classes and images in the order of their names."""
    if not folder.is_dir():
        raise NotADirectoryError(f"There is no folder {str(folder)!r}; expected one that has a folder per class.")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        found = f"only {classes[0].name!r}" if classes else "none"
        raise ValueError(
            f"Expected a folder per class in {str(folder)!r}, two at least; found {found}. Put the images of each "
            "class into a folder named after it."
        )
    names = [path.name for path in classes]
    if SPLIT_NAMES.issuperset(name.lower() for name in names):
        raise ValueError(
            f"The folders in {str(folder)!r} are {listed(names)}, parts of a split rather than classes. Load each "
            f"part by itself, such as {str(folder / names[0])!r}."
        )
    files = {path.name: sorted(filter(_is_image, path.rglob("*"))) for path in classes}
    empty = [name for name, found in files.items() if not found]
    if empty:
        raise ValueError(
            f"No images in {listed(empty)} of {str(folder)!r}; expected files that end in "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _read(files: list[Path], size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """Return all images as one array of uint8, or say which cannot be read or in which sizes they come."""
    try:
        import PIL.Image
    except ImportError as error:
        raise ImportError('Reading images needs pillow: pip install "skcnn[images]", or pip install pillow.') from error

    images, unreadable, sizes = [], [], Counter[tuple[int, int]]()
    for file in files:
        try:
            images.append(_opened(file, size, channels))
        except Exception as error:  # of a broken file pillow raises nearly any: OSError, SyntaxError, struct.error, ...
            reason = "of no known format" if isinstance(error, PIL.UnidentifiedImageError) else error
            unreadable.append(f"{file} ({reason})")
        else:
            sizes[images[-1].shape[:2]] += 1
    if unreadable:
        raise ValueError(
            f"{len(unreadable)} of {len(files)} images cannot be read: {listed(unreadable, 3)}. Repair them, or take "
            "them out of the folder."
        )
    if len(sizes) > 1:
        raise SizesDiffer(sizes)
    n_channels = channels or max(image.shape[2] for image in images)
    shape = (*next(iter(sizes)), n_channels)
    return np.stack([np.broadcast_to(image, shape) for image in images])  # grey among colour: equal channels


@uninterrupted
def _opened(file: Path, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    import PIL.Image

    with PIL.Image.open(file, formats=FORMATS) as image:
        return _pixels(image, size, channels)


def _pixels(image: Any, size: tuple[int, int] | None, channels: int | None) -> np.ndarray:
    """Return a pillow image as (height, width, channels) of uint8."""
    from PIL import Image, ImageOps

    if image.mode.startswith(("I", "F")) or _is_cut(image):
        raise ValueError(f"mode {image.mode} has more than 8 bits a channel; convert it, or load it as an array")
    upright = ImageOps.exif_transpose(image)
    grey = upright.mode in ("1", "L", "LA") if channels is None else channels == 1
    converted = upright.convert("L" if grey else "RGB")
    if size is not None:
        converted = converted.resize((size[1], size[0]), Image.Resampling.BILINEAR)  # smooths where it shrinks
    pixels = np.asarray(converted)
    return pixels[:, :, None] if grey else pixels


def _is_cut(image: Any) -> bool:
    """Tell whether pillow cuts channels of 16 bits to 8, as it does with colours and transparency."""
    return any(
        _WIDE.search(repr(tile[3])) or (tile[0].startswith("ppm") and isinstance(tile[3], tuple) and tile[3][1] > 255)
        for tile in image.tile
    )


def listed(items: Sequence[Any], n_shown: int = 6) -> str:
    """Return the first few items, and how many there are more."""
    shown = ", ".join(map(str, items[:n_shown]))
    return shown if len(items) <= n_shown else f"{shown} and {len(items) - n_shown} more"


# A rare digit -----------------------------------------------------------------------------------------------------


def load_rare_digit(digit: int = 8, *, share: float = 0.05, random_state: int = 0, return_X_y: bool = False) -> Any:
    """Load scikit-learn's digits as a binary problem with a rare class: one digit, thinned, against the rest.

    Parameters
    ----------
    digit : int, default=8
        The digit to find. Eights are among the hardest: they resemble ones, threes and nines.
    share : float, default=0.05
        Share of this digit in the samples that are kept, in (0, 0.1).
    random_state : int, default=0
        Seed of the thinning.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    Bunch
        ``images``: ndarray of shape (n, 8, 8, 1), grey values from 0 to 16; ``data``: the same as flat samples;
        ``target``: ndarray of shape (n,), 1 for the rare digit, else 0; ``target_names``: ndarray of str;
        ``digits``: ndarray of shape (n,), which digit each image shows.

    Raises
    ------
    ValueError
        If `digit` is none, or `share` more than there are.

    Examples
    --------
    >>> from skcnn.datasets import load_rare_digit
    >>> X, y = load_rare_digit(return_X_y=True)
    >>> X.shape, int(y.sum())
    ((1708, 8, 8, 1), 85)
    """
    X, digits = load_digits(return_X_y=True)
    rare, rest = np.flatnonzero(digits == digit), np.flatnonzero(digits != digit)
    n_rare = round(len(rest) * share / (1 - share)) if 0 < share < 1 else 0
    if not len(rare) or not 0 < n_rare <= len(rare):
        most = len(rare) / len(X) or 0.1
        raise ValueError(
            f"digit={digit!r}, share={share!r}; expected a digit from 0 to 9 and a share above 0, at most {most:.3f}."
        )
    kept = np.random.default_rng(random_state).choice(rare, n_rare, replace=False)
    X, digits = (array[np.sort(np.concatenate([kept, rest]))] for array in (X, digits))
    target, images = (digits == digit).astype(int), X.reshape(-1, 8, 8, 1)
    if return_X_y:
        return images, target
    names = np.array([f"not {digit}", str(digit)])
    return Bunch(data=X, target=target, target_names=names, images=images, digits=digits)

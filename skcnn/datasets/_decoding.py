"""Image files: what their headers say, in which form all of them can be brought, and their pixels in it."""

import os
import re
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from skcnn._engine.signals import uninterrupted
from skcnn.exceptions import listed

__all__ = ["Form", "Found", "Header", "SizesDiffer", "Unreadable", "Wanted", "decode", "form_of", "read_headers"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # whatever a file's name says; others start programs
_WIDE = re.compile(r";(16|32)[BLNS]")  # 16 bits of a channel, as pillow names them
_ORIENTATION = 0x0112  # tag of Exif
_QUARTER_TURNS = (5, 6, 7, 8)  # orientations whose width is the height of the file
_MOST_THREADS = 8  # from there on the disk decides

Item = TypeVar("Item")
Result = TypeVar("Result")


class Wanted(NamedTuple):
    """What the user asks of all images: size (height, width) and channels, if given, and what transparency shows."""

    size: tuple[int, int] | None
    channels: int | None
    background: str


class Header(NamedTuple):
    """What an image is, as far as its header tells: upright, and if wide with 16 bits a channel."""

    height: int
    width: int
    is_grey: bool
    is_wide: bool
    has_pages: bool


class Found(NamedTuple):
    """What was found in a file: why it cannot be read, if it cannot, and what of it does not show in the array."""

    reason: str | None = None
    is_transparent: bool = False
    has_pages: bool = False
    warning: str | None = None


@dataclass(frozen=True)
class Form:
    """How each image comes to be a sample: shape (height, width, channels), type, and what transparency shows."""

    shape: tuple[int, int, int]
    dtype: str
    background: str
    is_resized: bool

    @property
    def n_bytes(self) -> int:
        """Bytes of a sample."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


class SizesDiffer(ValueError):
    """Images come in several sizes.

    Attributes
    ----------
    found : str
        The sizes, most frequent first, and how many images have them.
    proposal : tuple of int
        Height and width to bring them to.
    """

    LARGEST_SIDE = 320  # larger images have networks train for hours where a first look is wanted
    ALMOST_SQUARE = 1.1  # longer side by shorter one

    def __init__(self, sizes: Counter[tuple[int, int]]) -> None:
        self.proposal = self._proposal(list(sizes.elements()))
        each = [f"{height}x{width} ({n})" for (height, width), n in sizes.most_common()]
        self.found = f"{len(sizes)} sizes: {listed(each)}, height x width (number of images)"
        super().__init__(
            f"The images have {self.found}. A network takes one; bring all to it with size=(height, width), such as "
            f"size={self.proposal}."
        )

    def _proposal(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        """Return the median, square if most images are, and smaller if it is too large; never a larger one."""
        height, width = (sorted(sides)[(len(sides) - 1) // 2] for sides in zip(*sizes, strict=True))
        n_square = sum(max(size) <= self.ALMOST_SQUARE * min(size) for size in sizes)
        if 2 * n_square > len(sizes):
            height = width = min(height, width)
        scale = min(1, self.LARGEST_SIDE / max(height, width))
        return max(1, round(scale * height)), max(1, round(scale * width))


class Unreadable(ValueError):
    """Some of the images cannot be read.

    Attributes
    ----------
    found : str
        How many, and for each its name in the folder and the reason.
    """

    def __init__(self, names: Sequence[str], found: Sequence[Found]) -> None:
        each = [f"{name} ({one.reason})" for name, one in zip(names, found, strict=True) if one.reason is not None]
        self.found = f"{len(each)} of {len(names)} images cannot be read: {', '.join(each)}"
        super().__init__(f'{self.found}. Repair them, take them out, or leave them out with on_error="skip".')


# Headers ----------------------------------------------------------------------------------------------------------


def read_headers(files: Sequence[Path]) -> tuple[list[Header | None], list[Found]]:
    """Return the header of each file, None where it cannot be read, and what was found."""
    headers: list[Header | None] = []
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # pillow's do not say of which file they are
        for file in files:
            caught.clear()
            header, reason = _header_or_reason(file)
            warning = "; ".join({str(one.message): None for one in caught}) or None
            headers.append(header)
            found.append(Found(reason, has_pages=header is not None and header.has_pages, warning=warning))
    return headers, found


@uninterrupted
def _header_or_reason(file: Path) -> tuple[Header | None, str | None]:
    try:
        with _opened(file) as image:
            return _header(image, file), None
    except MemoryError:
        raise
    except Exception as error:  # of a broken file pillow raises nearly any: OSError, SyntaxError, struct.error, ...
        return None, _reason(error)


def _opened(file: Path) -> Any:
    import PIL.Image

    return PIL.Image.open(file, formats=FORMATS)


def _reason(error: Exception) -> str:
    import PIL

    if isinstance(error, PIL.UnidentifiedImageError):
        return "of no known format"
    return " ".join(str(error).split()) or type(error).__name__


def _header(image: Any, file: Path) -> Header:
    is_wide = _is_wide_grey(image)
    if not is_wide and (image.mode.startswith(("I", "F")) or _is_cut(image)):
        raise ValueError(f"mode {image.mode} has more than 8 bits a channel; convert it, or load it as an array")
    # A photograph with a preview behind it is no picture of several pages.
    has_pages = image.format != "MPO" and getattr(image, "is_animated", False)
    if image.format == "PNG" and _has_late_notes(file):
        image.load()
    width, height = (image.tag_v2[256], image.tag_v2[257]) if image.format == "TIFF" else image.size
    if _orientation(image) in _QUARTER_TURNS:
        width, height = height, width
    return Header(height, width, is_wide or image.mode in ("1", "L", "LA", "La"), is_wide, has_pages)


def _orientation(image: Any) -> int:
    from PIL import Image

    # A PNG's own `getexif` would read all pixels before it says that there is none.
    return Image.Image.getexif(image).get(_ORIENTATION, 1)


def _has_late_notes(file: Path) -> bool:
    """Tell whether notes, among which may be the orientation, stand behind the pixels of a PNG."""
    with file.open("rb") as stream:
        stream.seek(8)
        was_pixels = False
        while len(head := stream.read(8)) == 8:
            kind = head[4:]
            if was_pixels and kind != b"IDAT":
                return kind != b"IEND"
            was_pixels = kind == b"IDAT"
            stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return False


def _is_wide_grey(image: Any) -> bool:
    """Tell whether an image is grey with 16 bits, none of which is below zero."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _is_cut(image: Any) -> bool:
    """Tell whether pillow cuts channels of 16 bits to 8, as it does with colours and transparency."""
    return any(
        _WIDE.search(repr(tile[3])) or (tile[0].startswith("ppm") and isinstance(tile[3], tuple) and tile[3][1] > 255)
        for tile in image.tile
    )


def form_of(files: Sequence[Path], headers: Sequence[Header | None], wanted: Wanted) -> Form | None:
    """Return the form that all images are brought to, or None if none can be read.

    Raises
    ------
    SizesDiffer
        If there are several sizes and none is asked for.
    ValueError
        If some have 16 bits a channel and others 8.
    """
    known = [header for header in headers if header is not None]
    if not known:
        return None
    sizes = Counter((header.height, header.width) for header in known)
    if wanted.size is None and len(sizes) > 1:
        raise SizesDiffer(sizes)
    wide = [file for file, header in zip(files, headers, strict=True) if header is not None and header.is_wide]
    if wide and len(wide) < len(known):
        raise ValueError(
            f"{len(wide)} of {len(known)} images have 16 bits a channel, the others 8: {listed(wide)}. What is white "
            "in one is nearly black in the other; convert either of them, so that all have the same."
        )
    channels = wanted.channels or (1 if all(header.is_grey for header in known) else 3)
    size = wanted.size or next(iter(sizes))
    return Form((*size, channels), "uint16" if wide else "uint8", wanted.background, wanted.size is not None)


# Pixels -----------------------------------------------------------------------------------------------------------


def decode(
    files: Sequence[Path], found: Sequence[Found], form: Form
) -> Generator[tuple[np.ndarray | None, Found], None, None]:
    """Yield the pixels of each image, None if it cannot be read, and what was found, in order.

    Threads decode ahead, by a few images alone, so that what lies in memory is bounded. Close it when done: warnings
    are silent until then.

    Parameters
    ----------
    files, found
        The images, and what their headers told.
    form : Form
        As `form_of` returns it.
    """

    def read(pair: tuple[Path, Found]) -> tuple[np.ndarray | None, Found]:
        file, known = pair
        if known.reason is not None:
            return None, known
        try:
            pixels, is_transparent = _pixels_of(file, form)
        except MemoryError:
            raise
        except Exception as error:
            return None, known._replace(reason=_reason(error))
        return pixels, known._replace(is_transparent=is_transparent)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the headers have had pillow say it
        yield from _in_order(read, zip(files, found, strict=True))


def _in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results in the order of the items; signals and their exceptions stay in the thread that waits."""
    n_threads = min(_MOST_THREADS, os.cpu_count() or 1)
    ahead: deque[Future[Result]] = deque()
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="skcnn-images")
    try:
        for item in items:
            ahead.append(executor.submit(function, item))
            if len(ahead) > 2 * n_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _pixels_of(file: Path, form: Form) -> tuple[np.ndarray, bool]:
    """Return an image as an array of this form, and whether parts of it were transparent."""
    from PIL import ImageOps

    with _opened(file) as image:
        is_wide = _is_wide_grey(image)
        if is_wide != (form.dtype == "uint16"):
            raise ValueError("it changed while it was read")
        image.load()
        grey = image.convert("I") if image.mode.startswith("I;16") else image
        upright = grey if image.format == "TIFF" else ImageOps.exif_transpose(grey)  # loading turns a TIFF
        height, width = form.shape[:2]
        if not form.is_resized and upright.size != (width, height):
            raise ValueError(f"{upright.size[1]}x{upright.size[0]} pixels, where its header said {height}x{width}")
        if is_wide:
            return _wide_pixels(upright, image.info.get("transparency"), form)
        return _narrow_pixels(upright, form)


def _narrow_pixels(image: Any, form: Form) -> tuple[np.ndarray, bool]:
    from PIL import Image

    is_transparent = False
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # pillow has no way from La to RGBA
        layers = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        is_transparent = layers.getextrema()[3][0] < 255
        if is_transparent:
            image = Image.alpha_composite(Image.new("RGBA", layers.size, form.background), layers)
    converted = image.convert("L" if form.shape[2] == 1 else "RGB")
    if form.is_resized:
        size = form.shape[1], form.shape[0]
        converted = converted.resize(size, Image.Resampling.BILINEAR)  # smooths where it shrinks
    return np.asarray(converted).reshape(form.shape), is_transparent


def _wide_pixels(image: Any, transparent: Any, form: Form) -> tuple[np.ndarray, bool]:
    from PIL import Image, ImageColor

    values = np.asarray(image).astype(np.float32)  # exact, and what pillow resizes
    shows_ground = values == transparent if isinstance(transparent, int) else np.zeros(values.shape, bool)
    values[shows_ground] = 257 * ImageColor.getcolor(form.background, "L")
    if form.is_resized:
        size = form.shape[1], form.shape[0]
        values = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
    pixels = np.rint(values).astype(np.uint16)
    return np.broadcast_to(pixels[:, :, None], form.shape), bool(shows_ground.any())

"""Folders of images and the rare digit."""

import builtins
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from skcnn.datasets import load_image_folder, load_rare_digit


def save(folder, name, pixels, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path, rng):
    """Grey images of 6x4 pixels: two cats, one of them deeper, and three dogs."""
    for name in ["dog/3.png", "dog/1.png", "dog/2.png", "cat/b/1.png", "cat/a.PNG"]:
        save(tmp_path, name, rng.integers(0, 256, (6, 4)))
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".hidden.png").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_a_folder_per_class_becomes_a_bunch(folder):
    bunch = load_image_folder(folder)
    assert bunch.images.shape == (5, 6, 4, 1)
    assert bunch.images.dtype == np.uint8
    assert bunch.target_names.tolist() == ["cat", "dog"]
    assert bunch.target.tolist() == [0, 0, 1, 1, 1]
    assert [name[len(str(folder)) + 1 :] for name in bunch.filenames] == [
        "cat/a.PNG", "cat/b/1.png", "dog/1.png", "dog/2.png", "dog/3.png",
    ]  # fmt: skip
    for pixels, name in zip(bunch.images, bunch.filenames, strict=True):
        np.testing.assert_array_equal(pixels[:, :, 0], np.asarray(Image.open(name)))
    assert bunch.data.shape == (5, 24)
    assert np.shares_memory(bunch.data, bunch.images)
    X, y = load_image_folder(str(folder), return_X_y=True)
    np.testing.assert_array_equal(X, bunch.images)
    np.testing.assert_array_equal(y, bunch.target)


def test_grey_only_if_all_are_or_as_asked(folder, rng):
    colours = rng.integers(0, 256, (6, 4, 3))
    save(folder, "dog/4.png", colours)
    images = load_image_folder(folder).images
    assert images.shape == (6, 6, 4, 3)
    np.testing.assert_array_equal(images[-1], colours)
    assert (images[0] == images[0][:, :, :1]).all()
    assert load_image_folder(folder, channels=1).images.shape == (6, 6, 4, 1)
    assert load_image_folder(folder, channels=3).images.shape == (6, 6, 4, 3)


def test_transparency_is_dropped_and_cameras_notes_are_followed(tmp_path):
    clear = np.zeros((3, 3, 4))
    clear[..., 0] = 200
    save(tmp_path, "a/clear.png", clear)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying = np.zeros((3, 3, 3))
    lying[:, 0] = 255  # the left edge, which turned to the right is the upper one
    save(tmp_path, "b/lying.png", lying, exif=exif)
    clear, lying = load_image_folder(tmp_path).images
    assert (clear == (200, 0, 0)).all()
    assert lying[0].min() == 255
    assert lying[1:].max() == 0


def test_sizes_that_differ_are_named_and_resizing_keeps_the_mean(folder):
    save(folder, "dog/4.png", np.full((60, 40), 77))
    with pytest.raises(ValueError, match=r"2 sizes: 6x4 \(5\), 60x40 \(1\).* such as size=\(6, 4\)\.$"):
        load_image_folder(folder)
    images = load_image_folder(folder, size=(12, 8)).images
    assert images.shape == (6, 12, 8, 1)
    assert (images[-1] == 77).all()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda cat: (cat / "a.PNG").write_bytes(b"nonsense"),
            r"^1 of 5 images cannot be read: .*a\.PNG \(of no known",
        ),
        (lambda cat: (cat / "a.PNG").write_bytes((cat / "a.PNG").read_bytes()[:50]), r"^1 of 5 images .*a\.PNG \("),
        (
            lambda cat: Image.fromarray(np.zeros((6, 4), np.uint16)).save(cat / "a.PNG"),
            "mode I;16 has more than 8",
        ),
        (lambda cat: (cat.parent / "bird").mkdir(), "^No images in bird of .* end in .bmp, .gif"),
    ],
)
def test_what_cannot_be_read_is_named(folder, break_it, message):
    break_it(folder / "cat")
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder)


def test_folders_that_are_no_classes(folder):
    with pytest.raises(ValueError, match=r"folder per class .* found only 'b'"):
        load_image_folder(folder / "cat")
    with pytest.raises(ValueError, match="found none"):
        load_image_folder(folder / "dog")
    with pytest.raises(NotADirectoryError, match="no folder"):
        load_image_folder(folder / "bird")
    (folder / "cat").rename(folder / "Train")
    (folder / "dog").rename(folder / "test")
    with pytest.raises(ValueError, match=r"are Train, test, parts of a split .* such as '.*Train'"):
        load_image_folder(folder)


@pytest.mark.parametrize(
    "options", [{"size": 8}, {"size": (8,)}, {"size": (8, 0)}, {"size": (8.0, 8.0)}, {"channels": 4}]
)
def test_options_are_checked(folder, options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}=.*; expected"):
        load_image_folder(folder, **options)


def test_without_pillow_the_message_says_what_to_install(folder, monkeypatch):
    original = builtins.__import__

    def without_pillow(name, *args, **kwargs):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(ImportError, match=r'pip install "skcnn\[images\]", or pip install pillow'):
        load_image_folder(folder)


def test_the_rare_digit_is_thinned_and_nothing_else():
    X, digits = load_digits(return_X_y=True)
    bunch = load_rare_digit(3, share=0.04)
    assert bunch.target.mean() == pytest.approx(0.04, abs=1e-3)
    assert ((bunch.digits == 3) == bunch.target).all()
    np.testing.assert_array_equal(bunch.data[bunch.target == 0], X[digits != 3])
    np.testing.assert_array_equal(bunch.images.reshape(-1, 64), bunch.data)
    assert bunch.target_names.tolist() == ["not 3", "3"]
    again, other = load_rare_digit(3, share=0.04), load_rare_digit(3, share=0.04, random_state=1)
    np.testing.assert_array_equal(again.data, bunch.data)
    assert not np.array_equal(other.data, bunch.data)


@pytest.mark.parametrize(("digit", "share"), [(10, 0.05), (8, 0), (8, 0.5), (8, 1.0), ("8", 0.05)])
def test_digits_that_are_not_there(digit, share):
    with pytest.raises(ValueError, match="expected a digit from 0 to 9 and a share above 0, at most 0"):
        load_rare_digit(digit, share=share)


def test_only_formats_of_images_are_opened_whatever_a_file_is_called(folder):
    (folder / "cat" / "a.PNG").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(ValueError, match=r"a\.PNG \(of no known format"):
        load_image_folder(folder)


def wide_png(colour_type, n_channels):
    """A PNG of 6 x 4 pixels with 16 bits a channel, which pillow itself does not write in colour."""

    def chunk(name, content):
        check = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + check

    header = (4).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, colour_type, 0, 0, 0])
    pixels = zlib.compress(6 * (b"\0" + 4 * n_channels * b"\1\2"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [wide_png(2, 3), wide_png(4, 2), wide_png(6, 4), b"P6 4 6 65535\n" + 72 * b"\1\2", b"P3 1 1 1000\n500 2 3\n"],
    ids=["RGB", "grey+alpha", "RGB+alpha", "ppm", "plain ppm"],
)
def test_channels_of_16_bits_are_not_cut_to_8(content, folder):
    (folder / "cat" / "a.PNG").write_bytes(content)
    with pytest.raises(ValueError, match="has more than 8 bits a channel"):
        load_image_folder(folder)

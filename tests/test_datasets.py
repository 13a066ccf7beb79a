"""Folders of images and the rare digit."""

import builtins
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile
from sklearn.datasets import load_digits

from skcnn.datasets import load_image_folder, load_rare_digit
from skcnn.exceptions import ImageFolderWarning


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
    save(tmp_path, "dog/.thumbs/1.png", np.zeros((2, 2)))
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


@pytest.mark.parametrize(("background", "shown"), [("white", 255), ("#204060", (0x20, 0x40, 0x60))])
def test_transparency_shows_the_background_and_is_counted(background, shown, tmp_path):
    line = np.zeros((4, 3, 4))  # a black line on transparent ground, whose colour is black, too
    line[1, :, 3] = 255
    half = np.full((4, 3, 4), (200, 0, 0, 128))
    opaque = np.full((4, 3, 4), (1, 2, 3, 255))
    for name, pixels in [("a/line.png", line), ("a/opaque.png", opaque), ("b/half.png", half)]:
        save(tmp_path, name, pixels)
    Image.new("P", (3, 4), 7).save(tmp_path / "b" / "palette.gif", transparency=7)
    message = (
        rf"^3 of 4 images have transparent parts, where background='{background}' shows: a/line.png, b/half.png, b/p"
    )
    with pytest.warns(ImageFolderWarning, match=message) as caught:
        of_line, of_opaque, of_half, palette = load_image_folder(tmp_path, background=background).images
    assert caught[0].filename == __file__
    assert (of_line[1] == 0).all()
    assert (of_line[[0, 2, 3]] == shown).all()
    assert (of_opaque == (1, 2, 3)).all()
    np.testing.assert_allclose(of_half, np.broadcast_to((np.array([200, 0, 0]) + shown) / 2, (4, 3, 3)), atol=1)
    assert (palette == shown).all()


def test_grey_images_with_transparency_stay_grey(tmp_path):
    for kind, value in [("a", 10), ("b", 90)]:
        save(tmp_path, f"{kind}/1.png", np.dstack([np.full((4, 3), value), np.full((4, 3), 255 * (kind == "a"))]))
    with pytest.warns(ImageFolderWarning, match="1 of 2 images"):
        images = load_image_folder(tmp_path, background="#0a0a0a").images
    assert images.shape == (2, 4, 3, 1)
    assert (images == 10).all()


def test_nothing_is_said_of_alpha_channels_that_are_opaque(tmp_path, rng):
    pixels = rng.integers(0, 256, (4, 3, 4))
    pixels[..., 3] = 255
    save(tmp_path, "a/1.png", pixels)
    save(tmp_path, "b/1.png", pixels)
    np.testing.assert_array_equal(load_image_folder(tmp_path).images[0], pixels[..., :3])


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("jpg", {"quality": 100}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("webp", {"lossless": True}),
    ],
)
def test_cameras_notes_are_followed(suffix, options, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying = np.zeros((16, 24, 3))
    lying[:, :8] = 255  # the left edge, which turned to the right is the upper one
    save(tmp_path, f"b/lying.{suffix}", lying, exif=exif, **options)
    save(tmp_path, "a/upright.png", np.zeros((24, 16)))
    lying = load_image_folder(tmp_path).images[1]
    assert lying[:8].min() > 250
    assert lying[8:].max() < 5
    assert load_image_folder(tmp_path, size=(12, 8)).images[1, :3].min() > 250


def test_notes_behind_the_pixels_of_a_png_are_followed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = save(tmp_path, "a/1.png", np.zeros((4, 6)), exif=exif).read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
    late = content[:start] + content[stop:-12] + content[start:stop] + content[-12:]
    (tmp_path / "a" / "1.png").write_bytes(late)
    save(tmp_path, "b/1.png", np.zeros((6, 4)))
    assert load_image_folder(tmp_path).images.shape == (2, 6, 4, 1)


def test_other_colours_are_as_pillow_converts_them(tmp_path, rng):
    colours = Image.fromarray(rng.integers(0, 256, (6, 4, 3)).astype(np.uint8))
    images = {"cmyk.jpg": colours.convert("CMYK"), "palette.png": colours.quantize(5), "1.png": colours.convert("1")}
    for kind, image in images.items():
        (tmp_path / kind[0]).mkdir()
        image.save(tmp_path / kind[0] / kind)
    bunch = load_image_folder(tmp_path)
    for pixels, name in zip(bunch.images, bunch.filenames, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(name).convert("RGB")))


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_of_several_pages_the_first_is_read_and_the_files_are_named(name, folder):
    first, second = Image.new("RGB", (4, 6), "#ffffff"), Image.new("RGB", (4, 6), "#000000")
    options = {"lossless": True} if name.endswith("webp") else {}
    first.save(folder / "dog" / name, save_all=True, append_images=[second], **options)
    with pytest.warns(ImageFolderWarning, match=rf"^1 of 6 images have several pages .* the first is read: dog/{name}"):
        bunch = load_image_folder(folder)
    (place,) = np.flatnonzero([path.endswith(f"dog/{name}") for path in bunch.filenames])
    assert (bunch.images[place] == 255).all()


def test_what_pillow_warns_of_is_told_with_the_file(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # those of 24 pixels are large, by half of which is refused
    with pytest.warns(
        ImageFolderWarning, match=r"^Pillow warns of 5 of 5 images: cat/a\.PNG \(Image size \(24 "
    ) as caught:
        assert load_image_folder(folder).images.shape == (5, 6, 4, 1)
    assert len(caught) == 1


def test_sizes_that_differ_are_named_and_resizing_keeps_the_mean(folder):
    save(folder, "dog/4.png", np.full((60, 40), 77))
    with pytest.raises(ValueError, match=r"2 sizes: 6x4 \(5\), 60x40 \(1\).* such as size=\(6, 4\)\.$"):
        load_image_folder(folder)
    images = load_image_folder(folder, size=(12, 8)).images
    assert images.shape == (6, 12, 8, 1)
    assert (images[-1] == 77).all()


def test_sizes_come_from_headers_alone(folder, monkeypatch):
    save(folder, "dog/4.png", np.full((60, 40), 77))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("an image was decoded"))
    with pytest.raises(ValueError, match="2 sizes"):
        load_image_folder(folder)


@pytest.mark.parametrize(
    ("sizes", "proposal"),
    [
        ([(30, 20), (40, 30), (50, 90)], (40, 30)),  # the median of each side
        ([(30, 20), (41, 40), (50, 50), (90, 90)], (40, 40)),  # square, as most are nearly
        ([(1123, 794)] * 3 + [(900, 700)], (320, 226)),  # no side above 320, with the same proportions
        ([(700, 700), (650, 651), (10, 10)], (320, 320)),
        ([(2, 900), (3, 900)], (1, 320)),
    ],
)
def test_the_size_that_is_proposed(sizes, proposal, tmp_path):
    for i, size in enumerate(sizes):
        for kind in "ab":
            save(tmp_path, f"{kind}/{i}.png", np.zeros(size))
    with pytest.raises(ValueError, match=rf"such as size=\({proposal[0]}, {proposal[1]}\)\.$"):
        load_image_folder(tmp_path)


def test_classes_keep_their_numbers_where_a_folder_lacks(folder, tmp_path):
    save(tmp_path, "cow/1.png", np.zeros((6, 4)))
    train = load_image_folder(tmp_path)
    assert train.target_names.tolist() == ["cat", "cow", "dog"]
    (tmp_path / "cow" / "1.png").unlink()  # a folder without images
    for _ in range(2):
        test = load_image_folder(tmp_path, classes=train.target_names)
        assert test.target.tolist() == [0, 0, 2, 2, 2]
        assert test.target_names.tolist() == ["cat", "cow", "dog"]
        if (tmp_path / "cow").exists():
            (tmp_path / "cow").rmdir()
    assert load_image_folder(tmp_path, classes=["dog", "cat"]).target.tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"folders cat of .* are not among classes=\['dog', 'cow'\]"):
        load_image_folder(tmp_path, classes=["dog", "cow"])
    for name in ("cat", "dog"):
        for path in (tmp_path / name).rglob("*.[pP]*"):
            path.unlink()
    with pytest.raises(ValueError, match="No images in cat, dog of"):
        load_image_folder(tmp_path, classes=["cat", "dog"])


def test_all_that_cannot_be_read_is_named_at_once_or_left_out(folder):
    whole = load_image_folder(folder).images
    (folder / "cat" / "a.PNG").write_bytes(b"nonsense")
    cut = folder / "dog" / "2.png"
    cut.write_bytes(cut.read_bytes()[:50])  # whose header is whole
    message = r"^2 of 5 images cannot be read: cat/a\.PNG \(of no known format\), dog/2\.png \(.+\)"
    with pytest.raises(ValueError, match=message + r"\. Repair them, .* on_error=\"skip\"\.$"):
        load_image_folder(folder)
    with pytest.warns(ImageFolderWarning, match=message + r"\. They are left out\.$"):
        bunch = load_image_folder(folder, on_error="skip")
    np.testing.assert_array_equal(bunch.images, whole[[1, 2, 4]])
    assert bunch.target.tolist() == [0, 1, 1]
    assert [name[len(str(folder)) + 1 :] for name in bunch.filenames] == ["cat/b/1.png", "dog/1.png", "dog/3.png"]
    assert bunch.data.shape == (3, 24)
    (folder / "cat" / "b" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^No image of cat can be read: 3 of 5"):
        load_image_folder(folder, on_error="skip")
    with pytest.warns(ImageFolderWarning, match="3 of 5"):
        assert load_image_folder(folder, on_error="skip", classes=["cat", "dog"]).target.tolist() == [1, 1]
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"^5 of 5 images cannot be read"):
        load_image_folder(folder, on_error="skip")


def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_decoded(folder, monkeypatch):
    monkeypatch.setattr("skcnn.datasets._folder.free_bytes", lambda: 5 * 24 * 100 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("an image was decoded"))
    with pytest.raises(MemoryError, match=r"^5 images of 60x40x1 take 0\.0 GiB.* smaller size .*cache="):
        load_image_folder(folder, size=(60, 40))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda cat: (cat / "a.PNG").write_bytes(b"nonsense"),
            r"^1 of 5 images cannot be read: .*a\.PNG \(of no known",
        ),
        (lambda cat: (cat / "a.PNG").write_bytes((cat / "a.PNG").read_bytes()[:50]), r"^1 of 5 images .*a\.PNG \("),
        (
            lambda cat: Image.fromarray(np.zeros((6, 4), np.uint16)).save(cat / "a.PNG", "png"),
            r"^1 of 5 images have 16 bits a channel, the others 8: .*a\.PNG\. .* convert either",
        ),
        (
            lambda cat: Image.fromarray(np.zeros((6, 4), np.int32)).save(cat / "a.PNG", "tiff"),
            r"a\.PNG \(mode I has more than 8",
        ),
        (
            lambda cat: Image.fromarray(np.zeros((6, 4), np.float32)).save(cat / "a.PNG", "tiff"),
            r"a\.PNG \(mode F has more than 8",
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
    "options",
    [
        {"size": 8},
        {"size": (8,)},
        {"size": (8, 0)},
        {"size": (8.0, 8.0)},
        {"channels": 4},
        {"background": "no colour"},
        {"background": (255, 255, 255)},
        {"background": "#ffffff00"},
        {"on_error": "ignore"},
        {"classes": "cat"},
        {"classes": ["cat"]},
        {"classes": ["cat", "dog", "cat"]},
        {"classes": ["cat", 3]},
        {"cache": "cells.npz"},
        {"cache": "no/such/folder/cells.npy"},
    ],
)
def test_options_are_checked(folder, options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}=.*(; expected|there is no folder)"):
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


def deep(name, pixels, endings=("1.png", "2.tif", "3.pgm")):
    """Grey images of 16 bits in all formats that have them; pillow writes no PGM of them."""
    name.mkdir()
    for ending in endings:
        if ending.endswith("pgm"):
            header = b"P5 %d %d 65535\n" % pixels.shape[::-1]
            (name / ending).write_bytes(header + pixels.astype(">u2").tobytes())
        else:
            Image.fromarray(pixels).save(name / ending)


def test_grey_of_16_bits_stays_as_it_is(tmp_path):
    pixels = np.arange(24, dtype=np.uint16).reshape(6, 4) * 2700 + 1
    for kind in "ab":
        deep(tmp_path / kind, pixels)
    images = load_image_folder(tmp_path).images
    assert images.shape == (6, 6, 4, 1)
    assert images.dtype == np.uint16
    assert (images[..., 0] == pixels).all()
    assert (load_image_folder(tmp_path, channels=3).images == pixels[:, :, None]).all()
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png", exif=exif)
    Image.fromarray(pixels).save(tmp_path / "b" / "2.tif", exif=exif)
    images = load_image_folder(tmp_path).images
    assert (images[[0, 4], :, :, 0] == pixels[::-1, ::-1]).all()
    assert (images[[1, 2, 3, 5], :, :, 0] == pixels).all()
    for kind, name in [("a", "1.png"), ("b", "2.tif")]:
        Image.fromarray(pixels).save(tmp_path / kind / name)
    means = load_image_folder(tmp_path, size=(3, 2)).images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, pixels.mean(), rtol=1e-2)


def test_of_16_bits_a_transparent_grey_shows_the_background(tmp_path):
    def transparent_png():
        content = wide_png(0, 1)
        chunk = b"tRNS" + b"\1\2"
        place = content.index(b"IDAT") - 4
        return content[:place] + b"\0\0\0\2" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + content[place:]

    for kind in "ab":
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "1.png").write_bytes(transparent_png() if kind == "a" else wide_png(0, 1))
    with pytest.warns(ImageFolderWarning, match="1 of 2 images have transparent parts"):
        images = load_image_folder(tmp_path).images
    assert (images[0] == 65535).all()
    assert (images[1] == 0x0102).all()

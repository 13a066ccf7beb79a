"""Folders of images that are decoded once, into a file."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from common import USERS_ENVIRONMENT, run_python
from PIL import Image, ImageFile

from skcnn.datasets import _cache, _decoding, load_image_folder
from skcnn.exceptions import ImageFolderWarning


@pytest.fixture
def folder(tmp_path, rng):
    """Two classes of ten grey images of 6x4 pixels."""
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (6, 4)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cells.npy"


def no_decoding(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("an image was decoded"))


def left_over(cache):
    return sorted(path.name for path in cache.parent.iterdir() if path.name.startswith(cache.name))


def test_images_are_decoded_once_into_a_plain_npy_file(folder, cache, monkeypatch):
    images = load_image_folder(folder).images
    first = load_image_folder(folder, cache=cache)
    no_decoding(monkeypatch)
    again = load_image_folder(folder, cache=str(cache))
    for bunch in (first, again):
        assert isinstance(bunch.images, np.memmap)
        assert not bunch.images.flags.writeable
        assert np.shares_memory(bunch.data, bunch.images)
        np.testing.assert_array_equal(bunch.images, images)
        assert bunch.target.tolist() == [0] * 10 + [1] * 10
    for loaded in (np.load(cache), np.load(cache, mmap_mode="r")):
        np.testing.assert_array_equal(loaded, images)
    assert left_over(cache) == ["cells.npy"]


@pytest.mark.parametrize("options", [{"size": (3, 2)}, {"channels": 3}, {"background": "black"}])
def test_other_options_decode_again(options, folder, cache):
    Image.new("LA", (4, 6)).save(folder / "cat" / "clear.png")
    for _ in range(2):
        for some in ({}, options):
            with pytest.warns(ImageFolderWarning, match="1 of 21 images have transparent parts"):  # also from the file
                cached = load_image_folder(folder, cache=cache, **some)
            with pytest.warns(ImageFolderWarning, match="1 of 21"):
                np.testing.assert_array_equal(cached.images, load_image_folder(folder, **some).images)


def changed(path):
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize(
    "change",
    [changed, lambda path: path.unlink(), lambda path: path.rename(path.with_name("x.png"))],
    ids=["changed", "removed", "renamed"],
)
def test_changed_files_are_noticed(change, folder, cache):
    before = load_image_folder(folder, cache=cache)
    pixels = before.images.copy()
    change(folder / "cat" / "3.png")
    after = load_image_folder(folder, cache=cache)
    whole = load_image_folder(folder)
    np.testing.assert_array_equal(after.images, whole.images)
    assert after.filenames.tolist() == whole.filenames.tolist()
    assert not np.array_equal(after.images, pixels)
    np.testing.assert_array_equal(before.images, pixels)  # a map of the file before keeps what it had


def test_what_cannot_be_read_is_kept_in_mind(folder, cache, monkeypatch):
    cut = folder / "cat" / "3.png"
    cut.write_bytes(cut.read_bytes()[:50])  # its header is whole
    message = r"^1 of 20 images cannot be read: cat/3\.png \("
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder, cache=cache)
    assert not cache.exists()
    with monkeypatch.context() as patch:
        no_decoding(patch)  # all that there is was written by the call that failed
        with pytest.warns(ImageFolderWarning, match=message):
            bunch = load_image_folder(folder, cache=cache, on_error="skip")
        with pytest.warns(ImageFolderWarning, match=message):
            load_image_folder(folder, cache=cache, on_error="skip")
        with pytest.raises(ValueError, match=message):
            load_image_folder(folder, cache=cache)
    with pytest.warns(ImageFolderWarning, match=message):
        whole = load_image_folder(folder, on_error="skip")
    np.testing.assert_array_equal(bunch.images, whole.images)
    assert bunch.filenames.tolist() == whole.filenames.tolist()
    assert left_over(cache) == ["cells.npy"]


def stopped_after(monkeypatch, n, error):
    """Have decoding raise an error after n images."""
    original = _cache.decode

    def decode(*arguments):
        for i, result in enumerate(original(*arguments)):
            if i == n:
                raise error
            yield result

    monkeypatch.setattr(_cache, "decode", decode)


def read_since(monkeypatch):
    """Return the list to which the paths of decoded files will be added."""
    paths, original = [], _decoding._pixels_of
    monkeypatch.setattr(_decoding, "_pixels_of", lambda file, form: paths.append(file.name) or original(file, form))
    return paths


@pytest.mark.parametrize("damage", [None, "torn", "changed", "other size", "no journal"])
def test_an_interrupted_call_is_continued(damage, folder, cache, monkeypatch):
    images = load_image_folder(folder).images
    with monkeypatch.context() as patch:
        stopped_after(patch, 12, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            load_image_folder(folder, cache=cache)
    assert left_over(cache) == ["cells.npy.part", "cells.npy.part.json"]
    part, journal, options, n_left = cache.with_name("cells.npy.part"), cache.with_name("cells.npy.part.json"), {}, 8
    if damage == "torn":  # as a killed process may leave them
        part.write_bytes(part.read_bytes()[:-30])
        journal.write_text(journal.read_text() + '["dog/')
        n_left = 10
    elif damage == "changed":
        changed(folder / "cat" / "5.png")
        images, n_left = load_image_folder(folder).images, 15
    elif damage == "other size":
        options, n_left = {"size": (3, 2)}, 20
        images = load_image_folder(folder, **options).images
    elif damage == "no journal":
        journal.unlink()
        n_left = 20
    paths = read_since(monkeypatch)
    np.testing.assert_array_equal(load_image_folder(folder, cache=cache, **options).images, images)
    assert len(paths) == n_left
    assert left_over(cache) == ["cells.npy"]


def test_a_full_disk_leaves_nothing_behind(folder, cache, monkeypatch):
    stopped_after(monkeypatch, 12, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match=r"disk became full, and what was written was removed.*cells\.npy"):
        load_image_folder(folder, cache=cache)
    assert left_over(cache) == []


def test_a_disk_that_fills_up_while_it_is_written_to(folder, cache):
    """With a limit on the size of files in place of the disk's end, which raises from the same calls."""
    code = f"""
import resource, signal
from skcnn.datasets import load_image_folder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    load_image_folder({str(folder)!r}, size=(200, 200), cache={str(cache)!r})
except OSError as error:
    print(error)
"""
    assert "File too large" in run_python("-c", code).stdout
    assert left_over(cache) == []


def test_a_disk_that_is_too_small_is_refused_before_anything_is_decoded(folder, cache, monkeypatch):
    no_decoding(monkeypatch)
    with pytest.raises(OSError, match=r"takes [\d.]+ GiB more, and [\d.]+ GiB are free on its disk\. Give a path"):
        load_image_folder(folder, size=(10**6, 10**6), cache=cache)
    assert left_over(cache) == []


@pytest.mark.parametrize("content", ["array", "text", "empty", "objects"])
def test_other_files_are_never_overwritten(content, folder, cache):
    if content in ("array", "objects"):
        np.save(cache, np.array([1, None]) if content == "objects" else np.arange(5))
    else:
        cache.write_text("mine" if content == "text" else "")
    before = cache.read_bytes()
    with pytest.raises(ValueError, match=r"cells\.npy' exists and was not written by load_image_folder"):
        load_image_folder(folder, cache=cache)
    assert cache.read_bytes() == before
    assert left_over(cache) == ["cells.npy"]


LOAD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which what a shell starts in the background ignores
from skcnn.datasets import load_image_folder
load_image_folder(sys.argv[1], size=(600, 600), cache=sys.argv[2])
"""


def started(folder, cache):
    command = [sys.executable, "-c", LOAD, str(folder), str(cache)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=USERS_ENVIRONMENT)


def test_ctrl_c_and_then_again(folder, cache):
    for kind in ("cat", "dog"):  # large enough for a call that lasts
        for i in range(100):
            Image.new("L", (1000, 1000), i).save(folder / kind / f"large{i}.png")
    job = started(folder, cache)
    part, start = cache.with_name("cells.npy.part"), time.monotonic()
    while not part.exists() or part.stat().st_size < 10 * 360_000:
        assert time.monotonic() - start < 300
        assert job.poll() is None
        time.sleep(0.01)
    job.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in job.communicate(timeout=300)[1]
    assert left_over(cache) == ["cells.npy.part", "cells.npy.part.json"]
    lines = cache.with_name("cells.npy.part.json").read_text().splitlines()
    assert 10 < len([json.loads(line) for line in lines]) < 200
    bunch = load_image_folder(folder, size=(600, 600), cache=cache)
    np.testing.assert_array_equal(bunch.images, load_image_folder(folder, size=(600, 600)).images)


def test_processes_that_write_the_same_file_wait_for_one_another(folder, cache):
    jobs = [started(folder, cache) for _ in range(3)]
    for job in jobs:
        assert (job.communicate(timeout=300), job.returncode)[1] == 0
    assert left_over(cache) == ["cells.npy"]
    np.testing.assert_array_equal(np.load(cache), load_image_folder(folder, size=(600, 600)).images)

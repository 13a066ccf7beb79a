"""``python -m skcnn DATA --pretrained NETWORK``."""

import re

import keras
import numpy as np
import pytest

from skcnn.__main__ import main, make_parser
from skcnn._command.console import DataError
from skcnn._command.jobs import prepare
from skcnn._command.pretrained import backbone
from skcnn._command.tasks import Task


@pytest.fixture
def spots(tmp_path, rng):
    """A file of 8x8 images, half of which have a spot somewhere, and a network that finds spots."""
    X = rng.integers(0, 50, (96, 8, 8, 1)).astype(np.uint8)
    y = np.arange(96) % 2
    for i, (row, column) in enumerate(rng.integers(0, 6, (96, 2))):
        X[i, row : row + 3, column : column + 3] += np.uint8(150 * y[i])
    np.savez(tmp_path / "spots.npz", X=X, y=y)
    inputs = keras.Input((8, 8, 1))
    maps = keras.layers.Conv2D(1, 3, use_bias=False, name="spot")(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(maps))
    model.get_layer("spot").set_weights([np.ones((3, 3, 1, 1))])
    model.save(tmp_path / "spots.keras")
    return tmp_path


def test_a_pretrained_network_is_tried_against_one_from_scratch(spots, capsys):
    data, network = str(spots / "spots.npz"), str(spots / "spots.keras")
    more = ["--epochs", "30", "--out", str(spots / "page.html"), "--grid", '{"cnn__learning_rate": [0.1, 0.01]}']
    assert main([data, "--pretrained", network, *more]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Without cures: which network has the best average_precision? 7 fits, about" in out
    rows = dict(re.findall(r"^[* ] (pretrained spots\.keras|Plain\(filters=\(8, 16\)\)) +([\d.]+) ±", out, re.M))
    assert float(rows["pretrained spots.keras"]) > 0.9
    assert len(rows) == 2
    assert f"network=Backbone(application='{network}')" in "".join(out.split()).replace("'Backbone", "Backbone")
    assert "With cures: is that better? 7 fits, about" in out


def task(*shape):
    X, y = np.zeros((8, *shape)), np.arange(8) % 2
    return Task(X, X, y, y, None, None, "binary")


@pytest.mark.parametrize(
    ("given", "shape", "message"),
    [
        ("", (8, 8, 3), "expected a file .keras, NAME or NAME=WEIGHTS"),
        ("MobileNet=", (8, 8, 3), "expected a file .keras, NAME or NAME=WEIGHTS"),
        ("none.keras", (8, 8, 3), "there is no file 'none.keras'"),
        ("MobileNet=none.h5", (8, 8, 3), "there is no file 'none.h5'"),
        ("MobileNet", (64,), r"is for images; the samples have shape \(64,\)\. --shape gives"),
        ("MobileNet", (20, 3), r"is for images; the samples have shape \(20, 3\)"),
        ("MobileNet", (32, 48, 1), r"takes images of 3 channels; these have 1\. --shape 32x48x3 reads"),
    ],
)
def test_what_cannot_be_is_told_without_keras(given, shape, message):
    with pytest.raises(DataError, match=f"^--pretrained.* {message}" if given else message):
        backbone(given, task(*shape))


def test_names_and_files_are_those_of_a_backbone(tmp_path):
    weights = tmp_path / "w=1_no_top.h5"
    weights.write_bytes(b"")
    found = backbone(f"MobileNet={weights}", task(32, 32, 3))
    assert (found.application, found.weights) == ("MobileNet", str(weights))
    assert backbone("MobileNet", task(32, 32, 3)).weights == "imagenet"
    model = tmp_path / "a=b.keras"
    model.write_bytes(b"")
    assert backbone(str(model), task(9, 9, 1)).application == str(model)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("spots.keras", "4x16x1", r"takes samples of shape \(8, 8, 1\); X has samples of shape \(4, 16, 1\)"),
        ("MobileNett=spots.npz", "8x8x1", "takes images of 3 channels"),
        ("spots.npz", "8x8x1", "takes images of 3 channels"),
    ],
)
def test_a_network_that_does_not_fit_is_a_line(spots, monkeypatch, capsys, network, shape, message):
    monkeypatch.chdir(spots)
    assert main(["spots.npz", "--shape", shape, "--pretrained", network, "--out", "page.html"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_a_name_that_keras_does_not_know_is_a_line(tmp_path, rng, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", X=rng.integers(0, 255, (24, 32, 32, 3)).astype(np.uint8), y=np.arange(24) % 2)
    assert main(["x.npz", "--pretrained", "MobileNett"]) == 2
    err = capsys.readouterr().err
    assert "'MobileNett' is no network in keras.applications; did you mean 'MobileNet'" in err
    assert err.count("\n") == 1


def test_quick_tries_the_pretrained_network_alone(spots, capsys):
    data, network = str(spots / "spots.npz"), str(spots / "spots.keras")
    job = prepare(make_parser().parse_args([data, "--pretrained", network, "--quick"]))
    assert [list(part["cnn__network"]) for part in job.networks] == [[job.pretrained]]
    assert "epochs instead of 60, the pretrained network alone, and no two" in " ".join(capsys.readouterr().out.split())

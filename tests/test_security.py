"""Files from others run no code, names from others are text on a page, and nothing is written where nobody asked."""

import io
import json
import os
import re
import zipfile
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import skops.io
from common import USERS_ENVIRONMENT, classifier, run_python
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

import skcnn
from skcnn import CNNClassifier, export
from skcnn.__main__ import main
from skcnn.diagnosis._charts import svg
from skcnn.diagnosis._check import Chart
from skcnn.displays import ClassScoresDisplay, ErrorsDisplay
from skcnn.exceptions import CheckpointWarning
from skcnn.persistence import TRUSTED_TYPES
from skcnn.persistence._export import _keras_answers
from skcnn.preprocessing import NDTransformer

EVIL = "<script>alert(1)</script>"
FOLDER = Path(skcnn.__file__).parent


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


# Crafted files ------------------------------------------------------------------------------------------------------


def test_nothing_is_told_to_trust_a_file():
    """What else would run code is banned in ruff's settings."""
    trusting = re.compile(
        r"\b(allow_pickle ?=(?! ?False)|safe_mode ?=(?! ?True)|unsafe_load)|(?<![.\w])(compile|__import__)\("
    )
    assert not [path for path in FOLDER.rglob("*.py") if trusting.search(path.read_text())]


@pytest.mark.parametrize("name", ["X", "y"])
def test_a_crafted_npz_is_refused(name, tmp_path, capsys):
    marker = tmp_path / "marker"
    arrays = {"X": np.zeros((4, 3)), "y": np.array([0, 1, 0, 1])}
    arrays[name] = np.array([Payload(marker)] * 4, dtype=object)
    np.savez(tmp_path / "data.npz", **arrays)
    assert main([str(tmp_path / "data.npz"), "--out", str(tmp_path / "page.html")]) == 2
    assert "Python objects, which are not loaded" in capsys.readouterr().err
    assert not marker.exists()


def test_a_crafted_checkpoint_is_left_alone(few_digits, tmp_path):
    X, y = few_digits
    marker = tmp_path / "marker"
    model = classifier(memory=tmp_path / "memory").fit(X, y)
    (kept,) = (tmp_path / "memory" / "skcnn").glob("*.npz")
    np.savez(kept, about=np.array([Payload(marker)], dtype=object), allow_pickle=True)
    with pytest.warns(CheckpointWarning, match="cannot be read"):
        again = classifier(memory=tmp_path / "memory").fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert not marker.exists()


def test_a_crafted_keras_file_runs_nothing(few_digits, tmp_path):
    X, y = few_digits
    marker = tmp_path / "marker"
    path = export(classifier().fit(X, y), tmp_path / "model.keras")
    place = str(marker)
    evil = keras.layers.Lambda(lambda x: [__import__("os").makedirs(place, exist_ok=True), x][1])
    inputs = keras.Input((8, 8, 1))
    crafted = keras.Model(inputs, evil(inputs))
    marker.rmdir()  # made while Keras traced the layer
    crafted.save(tmp_path / "crafted.keras")
    config = zipfile.ZipFile(tmp_path / "crafted.keras").read("config.json")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "evil.keras", "w") as file:
        for name in whole.namelist():
            file.writestr(name, config if name == "config.json" else whole.read(name))
    with pytest.raises(ValueError, match="Lambda"):
        _keras_answers(tmp_path / "evil.keras", X[:2])
    assert not marker.exists()


@pytest.mark.parametrize("crafted", [FunctionTransformer(os.mkdir), CNNClassifier(os.mkdir)], ids=["step", "network"])
def test_a_crafted_skops_file_is_refused(crafted):
    saved = skops.io.dumps(make_pipeline(NDTransformer(StandardScaler()), crafted))
    with pytest.raises(UntrustedTypesFoundException, match="mkdir"):
        skops.io.loads(saved, trusted=TRUSTED_TYPES)


# Pages and places ---------------------------------------------------------------------------------------------------


def test_names_are_text_in_the_html_of_estimators(rng):
    X = pd.DataFrame(rng.normal(size=(30, 3)), columns=[EVIL, "<img src=x onerror=alert(1)>", "plain"])
    y = np.where(X["plain"] > 0, EVIL, "no")
    model = make_pipeline(NDTransformer(StandardScaler()), classifier(class_weight={EVIL: 2, "no": 1})).fit(X, y)
    for html in (model._repr_html_(), model[-1]._repr_html_(), skcnn.diagnose(model, X, y, X, y, fast=True).to_html()):
        assert "<script>alert" not in html
        assert "<img" not in html
    assert "&lt;script&gt;alert" in html


class Tags(HTMLParser):
    """Collects the elements of a page, and attributes that run something."""

    def __init__(self, page):
        super().__init__()
        self.names, self.running = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.running += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]


EVIL_NAMES = [EVIL, "<img src=x onerror=alert(1)>", '"><iframe src="javascript:alert(1)">', "'><b onclick='x'>"]


def test_a_report_with_findings_has_no_element_of_a_name(rng):
    """Classes, columns and groups with such names, and faults in all of them, so that findings and charts name them."""
    y = np.repeat(EVIL_NAMES[:3], [120, 100, 8])
    X = pd.DataFrame(rng.normal(size=(len(y), 4)), columns=EVIL_NAMES)
    X[EVIL_NAMES[0]] += 2 * np.searchsorted(np.unique(y), y)
    test, y_test = X + rng.normal(size=X.shape), rng.permutation(y)
    test[EVIL_NAMES[1]] = 100 * test[EVIL_NAMES[1]] + 7
    model = LogisticRegression(max_iter=1000).fit(X, y)
    report = skcnn.diagnose(model, X, y, test, y_test, groups_train=y, groups_test=y_test, fast=True)
    assert len(report.findings) > 2
    for page in (report.to_html(), report._repr_html_()):
        assert all(escape(name) in page for name in EVIL_NAMES[:3])
        tags = Tags(page)
        assert not tags.running
        assert not tags.names & {"script", "img", "iframe", "b"}


def test_a_chart_has_no_element_of_a_name():
    chart = Chart("lines", EVIL, [0.0, 1.0], {name: [0.0, 1.0] for name in EVIL_NAMES}, EVIL_NAMES[2], EVIL)
    bars = Chart("bars", EVIL_NAMES[3], EVIL_NAMES, {EVIL: [1.0] * 4}, *EVIL_NAMES[:2])
    for tags in (Tags(svg(chart)), Tags(svg(bars))):
        assert not tags.running
        assert tags.names <= {"svg", "text", "line", "polyline", "rect", "title", "g", "circle"}


def test_names_are_text_in_the_pictures_of_displays(rng):
    y = rng.choice(EVIL_NAMES[:2], 60)
    drawn = [
        ClassScoresDisplay.from_predictions(y, rng.permutation(y)),
        ErrorsDisplay.from_predictions(rng.normal(size=(60, 4, 4, 1)), y, y[::-1], np.ones(60), n_shown=4),
    ]
    for display in drawn:
        picture = io.BytesIO()
        with plt.rc_context({"svg.fonttype": "none"}):  # letters, not their outlines
            display.figure_.savefig(picture, format="svg")
        plt.close(display.figure_)
        elements = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture.getvalue()).iter()]
        assert not {"script", "img", "iframe", "b"} & set(elements)
        assert b"&lt;script&gt;" in picture.getvalue()


WATCHED = """
import json, os, sys
written = []
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        mode, flags = args[1], args[2]
        if (mode and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(os.fsdecode(args[0]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"):
        written.append(os.fsdecode(args[0]))
sys.addaudithook(hook)
from skcnn.__main__ import main
code = main(sys.argv[1:])
print(json.dumps(written))
sys.exit(code)
"""


def test_the_command_writes_nowhere_but_out_and_its_page_is_text(rng, tmp_path):
    # Keras, and matplotlib which it imports, write their configuration where there is none; temporary files are gone in
    # the end.
    places = {"HOME": "home", "KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib", "TMPDIR": "temporary"}
    others = {name: tmp_path / place for name, place in places.items()}
    for folder in others.values():
        folder.mkdir()
    X = pd.DataFrame(rng.normal(size=(60, 4)), columns=[EVIL, "<img src=x onerror=alert(1)>", "a", "b"])
    name = "<script>alert(1).csv"
    X.assign(y=np.where(X["a"] > 0, EVIL, "<b>no</b>")).to_csv(tmp_path / name, index=False)
    arguments = [name, "--out", "page.html", "--epochs", "1", "--jobs", "1", "--grid", '{"cnn__l2": [0.0]}']
    environment = USERS_ENVIRONMENT | {name: str(folder) for name, folder in others.items()}
    job = run_python("-B", "-c", WATCHED, *arguments, cwd=tmp_path, env=environment)
    written = [Path(path) for path in json.loads(job.stdout.splitlines()[-1])]
    allowed = {others[name] for name in ("KERAS_HOME", "MPLCONFIGDIR", "TMPDIR")} | {Path("/dev/null")}
    ours = {path.name for path in written if not allowed & {path, *path.parents}}
    assert {re.sub(r"^page-\w{32}\.tmp$", "page.html", name) for name in ours} == {"page.html"}  # moved when whole
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "page.html", *places.values()])
    assert list(others["HOME"].iterdir()) == list(others["TMPDIR"].iterdir()) == []
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b>no" not in page

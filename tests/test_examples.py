"""Every example runs, and shows what it says that it shows."""

import ast
import importlib
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from common import printed_by
from PIL import Image

from skcnn import examples

FOLDER = Path(examples.__file__).parent
REPOSITORY = FOLDER.parents[1]
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
ONE_SCREEN = 50


def run(name):
    return importlib.import_module(f"skcnn.examples.{name}").main()


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_listed_short_and_say_how_to_run_them(name):
    assert f"``{name}``" in examples.__doc__
    text = (FOLDER / f"{name}.py").read_text()
    assert f"``python -m skcnn.examples.{name}" in ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= ONE_SCREEN


def test_examples_do_nothing_when_imported():
    code = "; ".join(f"import skcnn.examples.{name}" for name in NAMES if name != "custom_network")  # imports Keras
    assert printed_by(code + "; import sys; print('tensorflow' in sys.modules)") == ["False"]


def test_images(capsys):
    search = run("images")
    assert search.best_score_ > 0.9
    assert f"accuracy {search.best_score_:.3f} in cross-validation" in capsys.readouterr().out


def test_series():
    accuracy, at_tooth = run("series")
    assert accuracy > 0.9
    assert at_tooth > 0.8


def test_spectra():
    pls, without_scatter, network = run("spectra").values()
    assert network > max(pls, without_scatter) > 0.97


def test_imbalance():
    scores = run("imbalance")
    plain, priors = scores["as it comes"], scores["priors"]
    assert priors["recall"] > plain["recall"]
    assert priors["average_precision"] == plain["average_precision"]  # the same network, another threshold
    assert scores["weights, priors"]["average_precision"] == scores["class weights"]["average_precision"]
    assert scores["weights, priors"]["recall"] < scores["class weights"]["recall"]
    assert all(0.8 < one["average_precision"] <= 1 for one in scores.values())


def test_custom_network():
    accuracy, of_features = run("custom_network")
    assert accuracy > 0.9
    assert of_features > 0.9


def test_diagnosis():
    diagnosis, before, after = run("diagnosis")
    assert diagnosis.causes[0].code == "class_shares"
    assert after > before + 0.05


def test_cures():
    search = run("cures")
    assert search.best_score_ > 0.8
    assert len(search.cv_results_["params"]) == 8


def test_pictures_are_those_of_the_readme(tmp_path):
    drawn = runpy.run_path(str(REPOSITORY / "benchmarks" / "pictures.py"))["main"](tmp_path)
    kept = sorted(FOLDER.glob("*.png"))
    assert sorted(path.name for path in drawn) == [path.name for path in kept]
    for path in drawn:
        with Image.open(path) as ours, Image.open(FOLDER / path.name) as theirs:
            assert ours.size == pytest.approx(theirs.size, rel=0.1)  # fonts differ
            assert len(np.unique(np.asarray(ours.convert("L")))) > 50
    readme = (REPOSITORY / "README.md").read_text()
    assert sorted(re.findall(r"\(skcnn/examples/(.*\.png)\)", readme)) == [path.name for path in kept]

"""Every example runs, and shows what it says that it shows."""

import ast
import importlib
import re
import runpy
from contextlib import redirect_stdout
from io import StringIO
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
    """Run an example, and compare what it prints with the guide: every line there, but for the numbers."""
    with redirect_stdout(StringIO()) as printed:
        result = importlib.import_module(f"skcnn.examples.{name}").main()
    print(printed.getvalue())
    page = (REPOSITORY / "docs" / "examples.md").read_text()
    shown = re.search(r"```text\n(.*?)```", page.partition(f"\n## {name}\n")[2], re.DOTALL)[1]
    assert shown
    assert set(without_numbers(shown)) <= set(without_numbers(printed.getvalue()))
    return result


def without_numbers(text):
    """Lines without their numbers and chosen parameters, which depend on the processor."""
    return [" ".join(re.sub(r"\{.*\}|[+-]?\d+(\.\d+)?", "#", line).split()) for line in text.splitlines()]


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


def test_folder():
    search = run("folder")
    assert search.best_score_ > 0.95


def test_backbone():
    search = run("backbone")
    assert search.best_score_ > 0.85


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


def test_pictures_are_those_of_readme_and_guide(tmp_path):
    drawn = {
        path.name: path for path in runpy.run_path(str(REPOSITORY / "benchmarks" / "pictures.py"))["main"](tmp_path)
    }
    kept = REPOSITORY / "docs" / "pictures" / "cures.png"  # the build of the site draws the others
    with Image.open(drawn["cures.png"]) as ours, Image.open(kept) as theirs:
        assert ours.size == pytest.approx(theirs.size, rel=0.1)  # fonts differ
    for path in drawn.values():
        with Image.open(path) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert re.findall(r"\(docs/pictures/(.*\.png)\)", (REPOSITORY / "README.md").read_text()) == ["cures.png"]
    guide = "".join(path.read_text() for path in (REPOSITORY / "docs").rglob("*.md"))
    assert set(re.findall(r"pictures/(.*\.png)\)", guide)) == set(drawn)

"""The README and the docstrings do what they say."""

import ast
import doctest
import importlib
import inspect
import itertools
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from common import printed_by

from skcnn import CNNClassifier, CNNRegressor
from skcnn.diagnosis import CHECKS
from skcnn.networks import NETWORKS
from skcnn.preprocessing import NDTransformer

ROOT = Path(__file__).parents[1]
MODULES = [
    "skcnn.augmentation",
    "skcnn.datasets._digits",
    "skcnn.datasets._folder",
    "skcnn._lazy",
    "skcnn.diagnosis._check",
    "skcnn.diagnosis._report",
    "skcnn.diagnosis._diagnose",
    "skcnn.displays._errors",
    "skcnn.displays._history",
    "skcnn._show_versions",
    "skcnn._statistics",
    "skcnn.displays._reliability",
    "skcnn.displays._class_scores",
    "skcnn.displays._search",
    "skcnn.estimators",
    "skcnn.persistence._export",
    "skcnn.persistence._skl2onnx",
    "skcnn.model_selection",
    "skcnn.inspection",
    "skcnn.networks._backbone",
    "skcnn.networks._network",
    "skcnn.networks._fcn",
    "skcnn.networks._inception",
    "skcnn.networks._plain",
    "skcnn.networks._residual",
    "skcnn.networks._summary",
    "skcnn.preprocessing._channels_last",
    "skcnn.preprocessing._nd_transformer",
    "skcnn.preprocessing._network_features",
    "skcnn.preprocessing._standard_normal_variate",
    "skcnn.sampling",
    "skcnn.scikeras._conversion",
    "skcnn.scikeras._converted",
    "skcnn.scikeras._wrappers",
    "skcnn._engine.gpus",
    "skcnn._engine.pool",
    "skcnn._engine.threads",
]
PICTURES = ("cures", "augmentation", "displays")
PUBLIC = [
    "skcnn.datasets",
    "skcnn.diagnosis",
    "skcnn.estimators",
    "skcnn.displays",
    "skcnn.exceptions",
    "skcnn.inspection",
    "skcnn.networks",
    "skcnn.preprocessing",
    "skcnn.sampling",
    "skcnn.scikeras",
]


TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in TEXTS if ">>> " in path.read_text()], ids=name_of)
def test_pages_run(path):
    failures, tests = doctest.testfile(str(path), module_relative=False)
    assert tests > 5
    assert failures == 0


def test_readme_is_a_first_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def table_after(text, heading):
    """Rows of the first table after a heading, without its header."""
    lines = text.partition(heading)[2].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip(" *") for cell in row.strip("|").split("|")] for row in rows]


def test_readme_has_the_seconds_that_were_measured():
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    measured = {
        "digits, 8x8x1": "### digits 8x8x1",
        "28x28x1": "### digits zoomed",
        "32x32x3": "### photographs 32x32x3",
    }
    rows = table_after((ROOT / "README.md").read_text(), "## Measured")
    assert len(rows) == len(measured)
    for row, (name, heading) in zip(rows, measured.items(), strict=True):
        assert row[0].startswith(name)
        seconds = {}
        for library, way, value, *_ in table_after(results, heading):
            seconds.setdefault(library, {})[way] = float(value)
        expected = [seconds["skcnn"]["as it comes"], seconds["skcnn"]["threading, 2 jobs"]]
        for library in ("scikeras", "skorch"):
            expected += [seconds[library]["as it comes"], min(seconds[library].values())]
        assert [float(value) for value in row[1:]] == expected


def test_readme_has_the_defaults_that_were_measured():
    by_kind = {}
    for _, kind, *_, difference, _, _ in table_after((ROOT / "benchmarks" / "RESULTS.md").read_text(), "## Defaults"):
        by_kind.setdefault(kind, []).append(float(difference.split()[0]))
    rows = table_after((ROOT / "README.md").read_text(), "on sets that the defaults were not chosen on")
    for kind, n, near, farthest in rows:
        assert (len(by_kind[kind]), sum(one >= -0.02 for one in by_kind[kind])) == (int(n), int(near))
        worst = min(by_kind[kind])
        assert farthest == "none behind" if worst >= 0 else farthest.endswith(f"{-worst:.3f}")
    assert len(rows) == len(by_kind)


def test_readme_has_what_the_diagnosis_was_measured_to_name():
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    measured = {cost: [named, first] for cost, named, first, _ in table_after(results, "## Diagnosis\n")}
    *named, (_, accused, _), (_, later, _) = table_after((ROOT / "README.md").read_text(), "that set no threshold")
    assert [row[1:] for row in named] == [measured[cost] for cost in ("strong", "medium", "weak")]
    assert f"Accused with severity medium or high: {accused};" in results
    counts = [accused.split(" of ") for _, accused, _ in table_after(results, "## Diagnosis of clean fits")]
    assert later == " of ".join(str(sum(map(int, column))) for column in zip(*counts, strict=True))


@pytest.fixture
def catalogue(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    return importlib.import_module("catalogue")


def test_catalogue_has_every_check_with_its_texts(catalogue):
    page = catalogue.catalogue()
    for check in CHECKS:
        entry = page.partition(f".. _check-{check.code.replace('_', '-')}:")[2].partition(".. _check-")[0]
        assert f"``{check.code}``" in entry
        for line in inspect.getdoc(check).splitlines():
            assert line in entry
        for text in (check.title, check.question, check.why, check.do):
            assert text in entry.replace("\\", "")


def test_catalogue_has_the_rates_that_were_measured(catalogue):
    table = "| planted | named [95%] |\n|---|---|\n| `layout` | 80% [60%, 90%] of 20 |"
    results = f"<!-- begin diagnosis -->\n{table}\n<!-- end diagnosis -->"
    entry = catalogue.catalogue(results=results).partition("check-layout:")[2].partition(".. _check-")[0]
    assert "named [95%]: 80% [60%, 90%] of 20" in entry
    assert "has not been measured" not in catalogue.catalogue(results=results)
    assert "has not been measured" in catalogue.catalogue()


@pytest.mark.parametrize(
    "estimator", [CNNClassifier(), CNNRegressor(), NDTransformer(None), *(one() for one in NETWORKS.values())]
)
def test_diagram_links_to_a_page_of_the_reference(estimator):
    module, _, name = estimator._get_doc_link().removesuffix(".html").rpartition("/")[2].rpartition(".")
    reference = (ROOT / "docs" / "api.rst").read_text().partition(f".. currentmodule:: {module}\n")[2]
    assert f"\n   {name}\n" in reference.partition(".. currentmodule::")[0]


def test_check_of_links_finds_a_broken_one(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    (tmp_path / "a.html").write_text('<p id="x"></p><a href="#x">x</a><a href="b.html">b</a><a href="#y">y</a>')
    assert importlib.import_module("check_links").broken_links(tmp_path) == ["a.html: b.html", "a.html: #y"]


def test_versions_name_every_package_and_start_none():
    words = printed_by("import sys, skcnn; skcnn.show_versions(); print('tensorflow' in sys.modules)")
    assert words[-1] == "False"
    shown = {name.removesuffix(":"): value for name, value in itertools.pairwise(words) if name.endswith(":")}
    for package in ("scikit-learn", "tensorflow", "keras", "imbalanced-learn", "numpy"):
        assert shown[package] == version(package)
    assert shown["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert "ruff" not in shown


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    failures, tests = doctest.testmod(importlib.import_module(module))
    assert tests > 0
    assert failures == 0


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor, *NETWORKS.values(), NDTransformer])
def test_every_parameter_is_documented_with_its_default(estimator):
    documented = dict(
        re.findall(r"^    (\w+) : .*?default=(.+)$", inspect.getdoc(estimator).replace("\n", "\n    "), re.M)
    )
    signature = inspect.signature(estimator.__init__).parameters
    defaults = {name: p.default for name, p in signature.items() if p.default is not p.empty}
    assert list(documented) == list(defaults)
    for name, default in defaults.items():
        assert ast.literal_eval(documented[name]) == default, name


def section(doc, title):
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n[^\n]+\n---|\Z)", doc, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def public_classes():
    """Public classes with a constructor of their own."""
    found = set()
    for name in PUBLIC:
        module = importlib.import_module(name)
        found |= {one for one in map(vars(module).get, module.__all__) if isinstance(one, type)}
    owners = {cls: next(one for one in cls.__mro__ if "__init__" in vars(one)) for cls in found}
    return sorted((cls for cls, owner in owners.items() if owner is cls), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_every_public_class_documents_its_parameters_in_their_order(cls):
    """Plain values (dataclasses) may do so under Attributes, as what is passed is what they hold."""
    doc = inspect.getdoc(cls)
    described = section(doc, "Parameters") or section(doc, "Attributes")
    lines = re.findall(r"^([\w*][\w*, ]*?)(?: : .*)?$", described, re.MULTILINE)
    documented = [name for line in lines for name in line.split(", ")]
    signature = list(inspect.signature(cls.__init__).parameters.values())[1:]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    assert documented == [stars.get(one.kind, "") + one.name for one in signature]


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_readme_lists_every_parameter_once_by_what_it_is_for(estimator):
    section = (ROOT / "README.md").read_text().partition("## Which parameter for what")[2].partition("\n## ")[0]
    listed = re.findall(r"`(\w+)`", section)
    assert len(listed) == len(set(listed))
    assert set(estimator().get_params()) <= set(listed)
    assert set(listed) == set(CNNClassifier().get_params()) | set(CNNRegressor().get_params())


def headings(text):
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


MADE_BY_THE_BUILD = {ROOT / "docs" / "checks.rst", *(ROOT / "docs" / "pictures" / f"{name}.png" for name in PICTURES)}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_somewhere(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            file, _, place = target.partition("#")
            other = (path.parent / file).resolve() if file else path
            assert other.is_file() or other in MADE_BY_THE_BUILD, target
            assert not place or place in headings(other.read_text()), target


def test_readme_names_the_commands_that_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "pip install . && python -m skcnn" in readme
    assert 'pip install -e ".[test]" && pytest -n auto --dist loadfile' in readme
    assert 'pip install -e ".[test]" && pytest -n auto --dist loadfile' in ci

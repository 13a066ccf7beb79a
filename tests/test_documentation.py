"""The README and the docstrings do what they say."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

from skcnn import CNNClassifier, CNNRegressor
from skcnn.networks import NETWORKS
from skcnn.preprocessing import NDTransformer

ROOT = Path(__file__).parents[1]
MODULES = [
    "skcnn.augmentation",
    "skcnn.datasets._digits",
    "skcnn.datasets._folder",
    "skcnn.datasets._lazy",
    "skcnn.diagnosis._check",
    "skcnn.diagnosis._report",
    "skcnn.diagnosis._diagnose",
    "skcnn.displays._errors",
    "skcnn.displays._history",
    "skcnn._statistics",
    "skcnn.displays._reliability",
    "skcnn.displays._class_scores",
    "skcnn.displays._search",
    "skcnn.estimators",
    "skcnn.persistence",
    "skcnn.model_selection",
    "skcnn.inspection",
    "skcnn.networks._network",
    "skcnn.networks._fcn",
    "skcnn.networks._inception",
    "skcnn.networks._plain",
    "skcnn.networks._residual",
    "skcnn.networks._summary",
    "skcnn.preprocessing",
    "skcnn.sampling",
    "skcnn.scikeras._conversion",
    "skcnn.scikeras._converted",
    "skcnn.scikeras._wrappers",
    "skcnn._engine.gpus",
    "skcnn._engine.pool",
    "skcnn._engine.threads",
]
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


def test_readme_runs():
    failures, tests = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tests > 10
    assert failures == 0


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


def test_readme_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text()
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", readme, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        assert target.removeprefix("#") in headings if target.startswith("#") else (ROOT / target).is_file(), target


def test_readme_names_the_commands_that_ci_runs():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "pip install . && python -m skcnn" in readme
    assert 'pip install -e ".[test]" && pytest -n auto --dist loadfile' in readme
    assert 'pip install -e ".[test]" && pytest -n auto --dist loadfile' in ci

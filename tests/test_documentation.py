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
    "skcnn.datasets",
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

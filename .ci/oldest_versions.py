"""Print the oldest version of each package that pyproject.toml declares, as requirements of pip."""

import tomllib
from pathlib import Path

TOOLS = ("mypy", "pytest-xdist", "ruff")  # which tests do not import

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
declared = [*project["dependencies"], *extras["export"], *extras["test"]]
for requirement in declared:
    name, _, version = requirement.partition(">=")
    if name not in TOOLS and not name.startswith("skcnn["):
        print(f"{name}=={version}")

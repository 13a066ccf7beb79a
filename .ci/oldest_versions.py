"""Print the oldest version of each package that pyproject.toml declares, as requirements of pip."""

import tomllib
from pathlib import Path

TOOLS = ("mypy", "pytest-xdist", "ruff")  # which tests do not import

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = {name: declared for name, declared in project["optional-dependencies"].items() if name != "bench"}
for requirement in sorted({*project["dependencies"], *(one for declared in extras.values() for one in declared)}):
    name, _, version = requirement.partition(">=")
    if name not in TOOLS and not name.startswith("skcnn["):
        print(f"{name}=={version}")

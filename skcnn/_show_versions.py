"""`show_versions`, for reports of errors."""

import os
import platform
import re
import sys
from importlib import metadata

from skcnn._version import __version__

__all__ = ["show_versions"]

DEVELOPMENT = re.compile(r"extra == .(test|docs|integrations|bench[\w-]*).")


def show_versions() -> None:
    """Print the versions of Python, skcnn and what it works with, and what the machine is.

    Nothing is imported: TensorFlow is not started. Extras that are not installed are listed as such.

    Examples
    --------
    >>> import skcnn
    >>> skcnn.show_versions()  # doctest: +ELLIPSIS
    System
         python: 3...
    """
    system = {
        "python": sys.version.replace("\n", " "),
        "machine": platform.platform(),
        "cpus": f"{os.cpu_count()}, {os.environ.get('TF_NUM_INTRAOP_THREADS', 'no')} TF_NUM_INTRAOP_THREADS",
    }
    for title, lines in {"System": system, "Packages": {"skcnn": __version__} | _packages()}.items():
        print(title)
        width = max(map(len, lines))
        print(*(f"{name:>{max(width, 11)}}: {value}" for name, value in lines.items()), sep="\n")


def _packages() -> dict[str, str]:
    """Return by name the versions of what skcnn requires, then of its extras for users."""
    declared = sorted(metadata.requires("skcnn") or [], key=lambda requirement: "extra ==" in requirement)
    names = (re.match(r"[\w.-]+", one) for one in declared if not DEVELOPMENT.search(one))
    return {found[0]: _version(found[0]) for found in names if found and found[0] != "skcnn"}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"

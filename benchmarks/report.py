"""What all benchmarks share: command line, tables, and sections of ``RESULTS.md``."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["environment", "in_own_process", "markdown_table", "parse_quick", "write_section"]

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("skcnn", "scikit-learn", "imbalanced-learn", "tensorflow", "keras", "numpy", "joblib")
PREAMBLE = """# Benchmark results

Generated: each script in this directory replaces its own section when it is run without `--quick`, which only prints.
Change the scripts, not this file. Read ratios and differences, not seconds.
"""


def parse_quick(description: str | None) -> bool:
    """Read the command line, and return whether ``--quick`` is on it.

    Parameters
    ----------
    description : str or None
        What ``--help`` shows: the docstring of the script.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run that prints and leaves RESULTS.md as it is")
    return parser.parse_args().quick


def in_own_process(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run a script in a separate process and return the JSON that it prints last.

    Parameters
    ----------
    script : str
        Path of the script.
    *arguments : str
        Its command line.
    environment : mapping, default=None
        Environment variables to set besides those of this process.
    """
    command = [sys.executable, "-W", "ignore", script, *arguments]
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {})
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, to be read as text, too."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def environment(packages: Iterable[str] = PACKAGES) -> str:
    """Return processor, cores, and versions of Python and `packages`, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{_processor()}, {cores} cores, {platform.system()}; Python {platform.python_version()}; {versions}"


def write_section(
    name: str,
    title: str,
    question: str,
    body: str,
    *,
    packages: Iterable[str] = PACKAGES,
    path: Path = RESULTS,
) -> None:
    """Replace or append the section of one benchmark in the results.

    Parameters
    ----------
    name : str
        Name of the script without its ending; it marks where the section begins and ends.
    title, question, body : str
        Heading, question, and answer in Markdown.
    packages : iterable of str
        Distributions whose versions are stated.
    path : Path
        File of the results.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    lines = [begin, f"## {title}", question, f"`python benchmarks/{name}.py` on {environment(packages)}.", body, end]
    section = "\n\n".join(line.strip() for line in lines)
    text = path.read_text(encoding="utf-8") if path.exists() else PREAMBLE
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
    replaced, n_found = marked.subn(lambda _: section, text)
    path.write_text(replaced if n_found else f"{text.rstrip()}\n\n{section}\n", encoding="utf-8")


def _processor() -> str:
    """Return the model name of the processor, if the system provides it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    return platform.processor() or platform.machine()

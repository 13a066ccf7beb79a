"""What all benchmarks share: command line, processes, tables, and sections of ``RESULTS.md``."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread
from typing import Any

__all__ = [
    *("ONE_THREAD", "SINGLE_THREADED", "do_part", "half_width", "in_own_process", "markdown_table", "parse_quick"),
    *("publish", "rise"),
]

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("skcnn", "scikit-learn", "imbalanced-learn", "tensorflow", "keras", "numpy", "joblib")
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1"}  # of TensorFlow, within an operation
SINGLE_THREADED = ONE_THREAD | {"TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}  # also between them


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


def in_own_process(
    script: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    python: str = sys.executable,
    folder: Path | None = None,
) -> Any:
    """Run a script in a separate process and return the JSON that it prints last.

    Parameters
    ----------
    script : str
        Path of the script.
    *arguments : str
        Its command line.
    environment : mapping, default=None
        Environment variables to set besides those of this process.
    python : str, default=sys.executable
        Which Python.
    folder : Path, default=None
        Where it runs; None is the current folder.
    """
    command = [python, "-W", "ignore", script, *arguments]
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {})
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def do_part(**parts: Callable[..., Any]) -> None:
    """Do what `in_own_process` asks this process for, print the result in JSON and exit; return if it asks for nothing.

    ``--NAME A B`` asks for ``parts["NAME"]("A", "B")``.
    """
    name = sys.argv[1].removeprefix("--") if len(sys.argv) > 1 else ""
    if name in parts:
        print(json.dumps(parts[name](*sys.argv[2:])))
        sys.exit()


def half_width(values: Any) -> float:
    """Return half of the 95% interval (Student's t) of a mean over independent values."""
    from scipy.stats import t  # not at the top: startup.py times imports

    n = len(values)
    return float(t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)


def held() -> int:
    """Return bytes of resident memory that are not those of files, worker processes included (Linux)."""
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    own = sum(int(told[name].split()[0]) for name in ("RssAnon", "RssShmem"))
    for process in active_children():  # what they share with this one is not counted twice
        with suppress(OSError):  # it has ended
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            own += next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))
    return 1024 * own


def rise(act: Callable[[], Any]) -> float:
    """Return by how many MiB what is held rises while something is done, looked at every 5 ms."""
    before, stop, highest = held(), Event(), [0]

    def watch() -> None:
        while not stop.wait(0.005):
            highest.append(max(highest.pop(), held()))

    thread = Thread(target=watch)
    thread.start()
    try:
        act()
    finally:
        stop.set()
        thread.join()
    return (highest[0] - before) / 2**20


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, to be read as text, too."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def publish(
    name: str,
    title: str,
    question: str,
    body: str,
    *,
    only_print: bool = False,
    packages: Iterable[str] = PACKAGES,
) -> None:
    """Print the answer of one benchmark, and replace or append its section of the results.

    Parameters
    ----------
    name : str
        Marks where the section begins and ends.
    title, question, body : str
        Heading, question, and answer in Markdown.
    only_print : bool, default=False
        Whether the results stay as they are.
    packages : iterable of str
        Distributions whose versions are stated.
    """
    print(body, flush=True)
    if only_print:
        return
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    lines = [begin, f"## {title}", question, f"`{command}` on {_environment(packages)}.", body, end]
    section = "\n\n".join(line.strip() for line in lines)
    text = RESULTS.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
    replaced, n_found = marked.subn(lambda _: section, text)
    RESULTS.write_text(replaced if n_found else f"{text.rstrip()}\n\n{section}\n", encoding="utf-8")


def _environment(packages: Iterable[str]) -> str:
    """Return processor, cores, and versions of Python and `packages`, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{_processor()}, {cores} cores, {platform.system()}; Python {platform.python_version()}; {versions}"


def _processor() -> str:
    """Return the model name of the processor, if the system provides it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    return platform.processor() or platform.machine()

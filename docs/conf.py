"""Configuration of Sphinx; ``.ci/docs`` builds the site with warnings as errors."""

import inspect
import sys
from pathlib import Path
from typing import Any

import skcnn

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
sys.path[:0] = [str(HERE / "_ext"), str(BENCHMARKS)]

project = "skcnn"
author = "the skcnn developers"
copyright = f"2026, {author}"
release = version = skcnn.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser", "sphinx_copybutton"]
templates_path = ["_templates"]
default_role = "literal"  # as in scikit-learn: single backticks are parameters and code
autodoc_typehints = "none"  # types stand in the docstrings
numpydoc_show_class_members = False
nitpick_ignore_regex = [("py:.*", r"(sklearn|imblearn|keras|scikeras|matplotlib|numpy)\..*")]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # pages that begin with a file of the repository
copybutton_prompt_text = ">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True
exclude_patterns = ["_ext", "_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "skcnn"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_sidebars = {page: [] for page in ("index", "examples", "checks", "evidence")}
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}


def make_pages(app: Any) -> None:
    """Write what is made from the code: the catalogue of checks, and the pictures that the repository does not keep."""
    import pictures
    from catalogue import catalogue

    (HERE / "checks.rst").write_text(catalogue(results=(BENCHMARKS / "RESULTS.md").read_text()))
    missing = [name for name in pictures.PICTURES if not (HERE / "pictures" / f"{name}.png").exists()]
    pictures.main(HERE / "pictures", missing)


def signature_of(app: Any, what: str, name: str, one: Any, *_: Any) -> tuple[str, None] | None:
    """Show the parameters of ``__init__``, where `__new__` takes any to name the nearest of those that do not exist."""
    if what != "class" or one.__new__ is object.__new__:
        return None
    signature = inspect.signature(one.__init__)
    shown = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(inspect.Signature(shown[1:])), None


def without_last_line(app: Any, page: str, source: list[str]) -> None:
    """Show no empty line at the end of code, where doctest requires one."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app: Any) -> None:
    """Connect to Sphinx."""
    app.connect("source-read", without_last_line)
    app.connect("autodoc-process-signature", signature_of)
    app.connect("builder-inited", make_pages)

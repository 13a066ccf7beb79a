"""What is shown on the console: errors, paragraphs, numbers."""

import re
import sys
import textwrap
from typing import Any, TextIO

__all__ = ["DataError", "Output", "complain", "duration", "number", "one_line", "paragraph"]

WIDTH = 100


class DataError(ValueError):
    """What is wrong with data or options; each argument is a line to show instead of a traceback."""


# Control characters, lone surrogates, and what turns the direction of writing: none of them is for a terminal to obey.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Output:
    """A standard stream that takes any text, and goes on silently where the real one no longer can.

    Characters that it cannot encode are replaced, and control characters, which names in data may have, are shown as
    escapes. A closed pipe or a full disk must not end a job that has results to save.

    Parameters
    ----------
    stream : text stream or None
        The real one; Python has none where it was closed.
    raw : bool, default=False
        Whether control characters reach it, for text that names in data are no part of.

    Attributes
    ----------
    error : Exception or None
        What the real one raised first.
    """

    def __init__(self, stream: TextIO | None, raw: bool = False) -> None:
        self.stream = stream
        self.raw = raw
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write what can be written."""
        shown = text if self.raw else _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
        if self.stream is not None and self.error is None:
            try:
                try:
                    self.stream.write(shown)
                except UnicodeEncodeError:
                    encoding = self.stream.encoding
                    self.stream.write(shown.encode(encoding, "replace").decode(encoding))
            except (OSError, ValueError) as error:
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        if self.stream is not None and self.error is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    def isatty(self) -> bool:
        """Tell whether this is a terminal."""
        return self.stream is not None and self.error is None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def complain(text: str) -> None:
    """Print a line to standard error."""
    print(f"skcnn: {text}", file=sys.stderr, flush=True)


def one_line(error: object) -> str:
    """Return a message without its line breaks."""
    return " ".join(str(error).split())


def paragraph(text: str) -> None:
    """Print a paragraph after an empty line."""
    print("\n" + textwrap.fill(text, WIDTH), flush=True)


def number(value: float, sign: str = "") -> str:
    """Return three decimals of a score, four digits of what is larger; with ``sign="+"`` a sign always."""
    return f"{value:{sign}z.3f}" if abs(value) < 10 else f"{value:{sign}.4g}"


def duration(seconds: float) -> str:
    """Return a time as one says it: seconds up to two minutes, then minutes, then hours."""
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"

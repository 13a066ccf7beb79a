"""Interrupt fits and predictions at every line of skcnn that they run, and check all estimators after each.

    python benchmarks/interrupts.py            # writes its section of RESULTS.md
    python benchmarks/interrupts.py --quick    # 5 lines of each action and kind, prints only

Actions and checks are those of tests/test_interrupts.py, which takes a sample of the steps of each action; here each
action has the lines that those before it did not run, in turns by Ctrl-C and by a handler that raises an exception of
its own.
A line that runs many times is interrupted at one of them by chance. Lines with a ``with`` statement are left out, since
no signal can raise where tracing does on leaving the block.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from report import markdown_table, parse_quick, publish
from sklearn.datasets import load_digits

import skcnn
from skcnn._engine.pool import pool

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import test_interrupts as tests

QUESTION = "Does an interrupt at any line leave every estimator whole: the interrupted one the old or the new?"
N_QUICK = 5
Place = tuple[str, int]
COLD = "fit, not compiled"


class Steps:
    """Chooses a step of every other line that is not done yet, and goes on after one that failed."""

    def __init__(self, first: int, done: set[Place], n_lines: int | None) -> None:
        self.first = first
        self.done = done
        self.n_lines = n_lines
        self.lines: set[Place] = set()
        self.left: list[int] | None = None

    def __call__(self, places: list[Place]) -> Iterator[int]:
        if self.left is None:
            steps = np.random.default_rng(0).permutation(len(places))
            chosen = {places[step]: int(step) + 1 for step in steps if places[step] not in self.done}
            self.lines = {*sorted(chosen)[self.first :: 2][: self.n_lines]}
            self.left = sorted(chosen[line] for line in self.lines)
        while self.left:
            yield self.left.pop(0)


def interrupted(name: str, action: str, few: Any, done: set[Place], n_lines: int | None) -> tuple[list[str], list[str]]:
    """Return a row of the table, and the failures; lines are added to those done."""
    n_raised: list[int] = []
    failures: list[str] = []
    lines: set[Place] = set()
    for first, number in enumerate(tests.NUMBERS.values()):
        steps, n = Steps(first, done, n_lines), 0
        while steps.left is None or steps.left:
            try:
                n += sum(tests.interrupt_at_lines(name, action, number, few, steps))
            except AssertionError as error:
                failures.append(f"{action}, {name}, {number.name}: {error}")
        n_raised.append(n)
        lines |= steps.lines
    done |= lines
    counts = [len({file for file, _ in lines}), len(lines), *n_raised, len(failures)]
    return [f"{action}, {name}", *map(str, counts)], failures


def fit_cold(model: Any, X: np.ndarray, y: np.ndarray) -> None:
    pool._idle.clear()
    model.fit(X[:40], y[:40])


def main() -> None:
    quick = parse_quick(__doc__)
    skcnn.set_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background ignores
    X, y = load_digits(return_X_y=True)
    few = (X / 16).reshape(-1, 8, 8, 1).astype("float32")[:60], y[:60] % 3
    tests.ACTIONS[COLD] = fit_cold
    rows: list[list[str]] = []
    done: set[Place] = set()
    with tests.users_handlers():
        for name, action in [*tests.PAIRS, ("classifier", COLD)]:
            row, failures = interrupted(name, action, few, done, N_QUICK if quick else None)
            rows.append(row)
            print(*row, *failures, sep="\n", flush=True)
    body = f"""
After each interrupt two other fitted estimators of the same network predict as before, to the bit; the interrupted one
is the old fit or a whole new one, equal to its own pickled copy; the next fit is equal to one in a new process. An
interrupt while TensorFlow or Keras is at work arrives when they are done; at the last lines that is after the end.

{markdown_table(["", "modules", "more lines", "Ctrl-C raised", "own exception raised", "failures"], rows)}
"""
    publish("interrupts", "Interrupts", QUESTION, body, only_print=quick, packages=("skcnn", "tensorflow", "keras"))


if __name__ == "__main__":
    main()

"""``python -m skcnn``: the problem of the project on real data, the way that goes wrong and the right way."""

import argparse
import os
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["main"]

WIDTH = 100


def main(arguments: list[str] | None = None) -> int:
    """Run the main job and return the exit code.

    Parameters
    ----------
    arguments : list of str, default=None
        Command line; that of the process if None.

    Returns
    -------
    int
        0, or 130 after an interrupt.
    """
    parser = argparse.ArgumentParser(
        prog="python -m skcnn",
        description="Finds a rare digit among scikit-learn's digits with a convolutional network, the way that goes "
        "wrong and the right way, and compares both on images that neither has seen. Takes about half a minute.",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of thinning, split, folds and networks (default: 0)")
    parser.add_argument(
        "--out",
        default="skcnn-diagnosis.html",
        help="where the diagnosis of the wrong way is written to (default: %(default)s in the current folder)",
    )
    options = parser.parse_args(arguments)
    try:
        with quiet_start():
            import skcnn

            skcnn.set_threads(1)  # two networks side by side, one thread each
        run(options.seed, options.out)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start TensorFlow without its greetings, which its C++ part writes to standard error.

    If that fails, all that was written is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # later errors are shown
    with held_stderr():
        yield
        import tensorflow as tf

        tf.constant(0)  # starts the runtime, which has greetings of its own


@contextmanager
def held_stderr() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, by compiled code too, and show it only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def run(seed: int, out: str) -> None:
    """Search both ways, print grid, test scores and verdict, and diagnose the wrong way."""
    import joblib

    import skcnn
    from skcnn import demo

    start = time.perf_counter()
    problem = demo.rare_digit(random_state=seed)
    n_rare, n_test_rare = int(problem.y_train.sum()), int(problem.y_test.sum())
    paragraph(
        f"scikit-learn's digits, 8x8 pixels: is it an 8? {len(problem.y_train)} images to learn from, {n_rare} of them "
        f"8s; {len(problem.y_test)} held out, {n_test_rare} of them 8s."
    )
    wrong_fits, right_fits = demo.fit_counts()
    with joblib.parallel_config("threading", n_jobs=2):
        with Progress("The wrong way: no weights, no regularisation, chosen by accuracy", wrong_fits) as tick:
            wrong = demo.wrong_way(problem, tick, seed)
        filters = wrong.best_params_["network__filters"]
        with Progress(
            "The right way: balanced and regularised in a pipeline, by average precision", right_fits
        ) as tick:
            right = demo.right_way(problem, filters, tick, seed)

    losses = wrong.best_estimator_.history_["loss"]
    paragraph(
        f"The wrong way chose filters {filters}; its training loss went from {losses[0]:.2g} to {losses[-1]:.1g}. "
        "The grid of the right way, cross-validated on the training images:"
    )
    print_grid(right)
    of_wrong, of_right = (search.decision_function(problem.X_test) for search in (wrong, right))
    comparisons = demo.compare(problem.y_test, of_wrong, of_right, random_state=seed)
    paragraph("On the held-out images, with 95% bootstrap intervals (stratified, the same resamples for both):")
    print_scores(comparisons)
    paragraph(demo.verdict(comparisons, demo.effects(right), n_test_rare, len(problem.y_test)))
    paragraph(
        "The intervals are for the choice of test images alone. --seed N thins, splits and trains anew, which differs "
        "more: try some."
    )
    data = problem.X_train, problem.y_train, problem.X_test, problem.y_test
    print_diagnosis(skcnn.diagnose(wrong, *data, fast=True, random_state=seed), out)
    print(f"\n{time.perf_counter() - start:.0f} s")


def paragraph(text: str) -> None:
    """Print a paragraph after an empty line."""
    print("\n" + textwrap.fill(text, WIDTH))


def print_grid(search: Any) -> None:
    """Print the candidates of a search, best first."""
    from skcnn import demo

    results = search.cv_results_
    print(f"\n  {'balance':20}{'l2':>8}{'dropout':>9}{'average precision':>21}{'recall':>8}{'accuracy':>10}")
    for i in results["rank_test_average_precision"].argsort(kind="stable"):
        names = demo.settings(results["params"][i])
        mean, spread = results["mean_test_average_precision"][i], results["std_test_average_precision"][i]
        chosen = "*" if i == search.best_index_ else " "
        print(
            f"{chosen} {names['balance']:20}{names['l2']:>8}{names['dropout']:>9}{mean:>13.3f} ± {spread:.3f}"
            f"{results['mean_test_recall'][i]:>8.3f}{results['mean_test_accuracy'][i]:>10.3f}"
        )
    print("\n  * chosen; ± is the standard deviation over the folds")


def print_scores(comparisons: Any) -> None:
    """Print the scores of both ways on the test set, and their difference."""
    print(f"\n  {'':24}{'wrong way':>22}{'right way':>22}{'difference':>24}")
    for name, (wrong, right, difference) in comparisons.items():
        cells = [f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (wrong, right)]
        cells.append(f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]")
        print(f"  {name:24}{cells[0]:>22}{cells[1]:>22}{cells[2]:>26}")


def print_diagnosis(diagnosis: Any, out: str) -> None:
    """Print what is wrong with the network that went wrong, and write the page."""
    paragraph("Why did the wrong way go wrong? skcnn.diagnose(search, X, y, X_test, y_test) says:")
    print(f"\n{diagnosis}")
    diagnosis.to_html(out)
    print(f"\nThe same as a page, with charts (--out chooses another file):\n{os.path.abspath(out)}")


class Progress:
    """Counts fits: on one line that is written anew on a terminal, elsewhere on a line per quarter.

    Parameters
    ----------
    title : str
        What is counted.
    total : int
        How many fits there will be.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title = title
        self.total = total
        self._done = 0
        self._lock = threading.Lock()
        self._start = time.perf_counter()

    def __enter__(self) -> Callable[[], None]:
        print(f"\n{self.title}", flush=True)
        return self._tick

    def __exit__(self, *exception: object) -> None:
        if sys.stdout.isatty():
            print()

    def _tick(self) -> None:
        with self._lock:
            quarter = 4 * self._done // self.total
            self._done += 1
            line = f"  fit {self._done} of {self.total}, {time.perf_counter() - self._start:.0f} s"
            if sys.stdout.isatty():
                print(f"\r{line}", end="", flush=True)
            elif 4 * self._done // self.total > quarter:
                print(line, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # After an interrupt threads may still train; if one prints while Python takes itself down, that aborts the process.
    os._exit(code)

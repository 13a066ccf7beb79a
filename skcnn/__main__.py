"""``python -m skcnn``: a search without and with cures, on scikit-learn's digits or on the user's data."""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn

import skcnn
from skcnn._command.console import DataError, Output, complain, one_line
from skcnn._engine.greetings import quiet_start
from skcnn._version import GUIDE

__all__ = ["main"]

OUTPUT_ERROR, USAGE_ERROR, INTERRUPTED = 1, 2, 130
JOBS = 4  # at most, by default; each keeps its own compiled network
MAX_JOBS = 1024  # each is a thread
MAX_SEED = 2**32 - 1  # as in NumPy
OF_DATA = (  # options that the digits do not take
    *("target", "groups", "test", "shape", "skip-unreadable", "regression", "scoring", "grid", "pretrained", "epochs"),
)
EXPLAINED = f"--help explains, and {GUIDE}/guide/start.html"

DESCRIPTION = """\
Some samples are held out. On the others a first search chooses the size of the network, without any cure; a
second one tries cures for imbalance (class weights, oversampling, SMOTE) and for overfitting (L2, dropout), all
inside the folds of a cross-validation. The held-out samples show what the cures gain, and a diagnosis says what
is left to improve. How long it takes is estimated from a few timed steps before it starts, and from the fits that
have ended while it goes on; --quick and --budget shorten it. Without DATA the task is to find a rare digit among
scikit-learn's digits, and the diagnosis says why the first search goes wrong; this takes about a minute.

DATA is one of
  cells.npz      arrays X and y, as numpy.savez("cells.npz", X=X, y=y) writes them, and groups, if samples belong
                 to patients or films; X is (n, features), (n, steps, channels), (n, height, width, channels) or
                 (n, depth, height, width, channels)
  cells.csv      a header and a row per line; the column to predict is called y, target, label or class, or
                 named by --target, all others are numbers
  cells/         a folder that has a folder of images per class: cells/healthy/1.png, cells/sick/7.png
                 (needs pillow)
"""

EPILOG = f"""\
examples:
  python -m skcnn cells.npz
  python -m skcnn cells/ --shape 64x64 --groups patients.csv --budget 30
  python -m skcnn cells/ --shape 96x96x3 --pretrained MobileNetV2 --quick
  python -m skcnn train.csv --target diagnosis --test test.csv --scoring roc_auc --out report.html
  python -m skcnn digits.csv --shape 28x28x1 --grid '{{"cnn__l2": [0, 0.01], "cnn__dropout": [0, 0.3, 0.5]}}'

names in a grid:
  cnn__...          parameters of skcnn.CNNClassifier, such as cnn__l2, cnn__epochs, cnn__class_weight
  cnn__network__... of its network, such as cnn__network__filters: [[16, 32], [32, 64, 128]]
  balance           samplers of imbalanced-learn by name: ["passthrough", "SMOTE", "RandomUnderSampler"]

Targets with fractions are regression (--regression says so for whole numbers). Of two classes the rarer one is
to be found, or 1 if they are 0 and 1. Ctrl-C stops and reports the scores so far. Exit codes: 0 done, 1 done but
for a part that could not be written, 2 wrong data or options, 130 interrupted. Nothing is written but the page of
the diagnosis, to --out, which must not exist unless it is such a page.

The guide goes on where this ends: {GUIDE}/guide/start.html
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(USAGE_ERROR, f"skcnn: {message} ({EXPLAINED})\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    arguments : list of str, default=None
        Command line; that of the process if None.

    Returns
    -------
    int
        0, 1 if a part of the report could not be made or written, 2 if data or options are wrong, or 130 after an
        interrupt.
    """
    out, err = Output(sys.stdout), Output(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        code = _exit_code(make_parser().parse_args(arguments))
        out.flush()
        if out.error is not None:
            complain(f"standard output could not be written ({one_line(out.error)}); the job went on without it.")
            code = code or OUTPUT_ERROR
        err.flush()
    return code


def _exit_code(options: argparse.Namespace) -> int:
    try:
        return 0 if _run(options) else OUTPUT_ERROR
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except DataError as error:
        *lines, last = error.args
        for line in (*lines, f"{last} ({EXPLAINED})"):
            complain(line)
        return USAGE_ERROR


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="python -m skcnn",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", nargs="?", metavar="DATA", help="an .npz, a .csv or a folder; without it, digits")
    own = parser.add_argument_group("with DATA")
    own.add_argument("--target", metavar="NAME", help="the array or column to predict (default: y)")
    own.add_argument(
        "--groups",
        metavar="NAME",
        help="the array or column of groups (patients, films), which stay together in every split; for images a CSV "
        "with the columns file and group (default: the array groups of an .npz, if it has one; '' for none)",
    )
    own.add_argument(
        "--test",
        metavar="SHARE|DATA",
        type=_share_or_path,
        help="share of the samples to hold out (default: 0.25), or data of the same kind to test on",
    )
    own.add_argument(
        "--shape",
        metavar="HxWxC",
        type=_shape,
        help="shape of a sample, channels last: 28x28x1 for flat images, 64x64 to bring image files to one size",
    )
    own.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    own.add_argument(
        "--regression", action="store_true", help="the target is a quantity, even if all are whole numbers"
    )
    own.add_argument(
        "--scoring",
        metavar="NAME",
        help="scikit-learn's name of the score to choose by (default: average_precision for two classes, "
        "balanced_accuracy for more, r2 for regression)",
    )
    own.add_argument("--grid", metavar="JSON", help="another grid of cures, or a file that holds it; see below")
    own.add_argument(
        "--pretrained",
        metavar="NETWORK",
        help="for images: the features of a network that was trained before, with a new output layer, in place of the "
        "sizes of network; a Keras model FILE.keras, or a NAME in keras.applications (with the weights that Keras "
        "downloads), or NAME=WEIGHTS with those of a file ..._no_top.h5",
    )
    own.add_argument(
        "--epochs",
        metavar="N",
        type=_whole(1),
        help="passes over the samples (default: 60, fewer from 1,000 samples on)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a first answer in a fraction of the time: one network, each cure alone, 2 folds, half the epochs",
    )
    parser.add_argument(
        "--budget",
        metavar="MINUTES",
        type=_minutes,
        help="time for everything; as many networks and cures are tried as it has room for, the most usual first",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_whole(1, MAX_JOBS),
        default=min(JOBS, os.cpu_count() or 1),
        help="networks to train at a time, one thread each; does not change the result (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_whole(0, MAX_SEED),
        default=0,
        help="seed of split, folds, samplers and networks (default: 0)",
    )
    parser.set_defaults(started=time.perf_counter())  # before libraries are loaded, which is part of --budget
    parser.add_argument(
        "--out",
        metavar="FILE",
        default="skcnn-diagnosis.html",
        help="file for the page of the diagnosis (default: %(default)s in the current folder)",
    )
    return parser


def _whole(low: int, high: float = math.inf) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            upper = f"to {high}" if high < math.inf else "on"
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from {low} {upper}")
        return int(text)

    return number


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; expected minutes, such as 10 or 0.5")
    return minutes


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.lower().replace(",", "x").split("x")
    if not 2 <= len(sizes) <= 4 or not all(size.isdecimal() and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}; expected sizes with x between them, such as 28x28x1")
    return tuple(map(int, sizes))


def _share_or_path(text: str) -> float | str:
    try:
        share = float(text)
    except ValueError:
        return text
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a share between 0 and 1, or a file")
    return share


def _run(options: argparse.Namespace) -> bool:
    """Read and check everything, and only then start TensorFlow; return whether the report is complete."""
    for name in OF_DATA:
        if options.data is None and getattr(options, name.replace("-", "_")):
            raise DataError(f"--{name} needs DATA: python -m skcnn DATA --{name} ...")
    from skcnn._command import jobs, workflow  # not before the options are known: scikit-learn takes a while

    job = jobs.prepare(options)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # of TensorFlow's log errors alone, from then on
    with quiet_start():
        skcnn.set_threads(1)  # several networks side by side, one thread each
    return workflow.run(job)


def _without_gaps() -> None:
    """Open what was closed of the standard streams, or the next file would be written to by whoever means these."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free


if __name__ == "__main__":
    _without_gaps()
    code = main()
    # After an interrupt threads may still train; if one prints while Python takes itself down, that aborts the process.
    os._exit(code)

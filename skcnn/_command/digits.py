"""``python -m skcnn`` without data: the problem of the project, the way that goes wrong and the right way."""

import os
import time
from typing import Any

import joblib

import skcnn
from skcnn._command import demo
from skcnn._command.console import Progress, number, paragraph

__all__ = ["introduce", "print_diagnosis", "print_scores", "run"]


def introduce(seed: int) -> demo.Problem:
    """Draw the problem and say what it is, which takes no TensorFlow and so no waiting."""
    problem = demo.rare_digit(random_state=seed)
    n_rare, n_test_rare = int(problem.y_train.sum()), int(problem.y_test.sum())
    paragraph(
        f"scikit-learn's digits, 8x8 pixels: is it an 8? {len(problem.y_train)} images to learn from, {n_rare} of them "
        f"8s; {len(problem.y_test)} held out, {n_test_rare} of them 8s."
    )
    return problem


def run(problem: demo.Problem, seed: int, jobs: int, out: str) -> int:
    """Search both ways, print grid, test scores and verdict, and diagnose the wrong way; return the exit code."""
    start = time.perf_counter()
    wrong_fits, right_fits = demo.fit_counts()
    with joblib.parallel_config("threading", n_jobs=jobs):
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
    print_scores(comparisons, ("wrong way", "right way"))
    paragraph(demo.verdict(comparisons, demo.effects(right), int(problem.y_test.sum()), len(problem.y_test)))
    paragraph(
        "The intervals are for the choice of test images alone. --seed N thins, splits and trains anew, which differs "
        "more: try some."
    )
    data = problem.X_train, problem.y_train, problem.X_test, problem.y_test
    paragraph("Why did the wrong way go wrong? skcnn.diagnose(search, X, y, X_test, y_test) says:")
    print_diagnosis(skcnn.diagnose(wrong, *data, fast=True, random_state=seed), out)
    print(f"\n{time.perf_counter() - start:.0f} s. Your own data: python -m skcnn DATA, see --help.")
    return 0


def print_grid(search: Any) -> None:
    """Print the candidates of a search, best first."""
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


def print_scores(comparisons: Any, titles: tuple[str, str]) -> None:
    """Print the scores of both ways on the test set, and their difference."""
    rows = [["", *titles, "difference"]]
    for name, estimates in comparisons.items():
        cells = [
            f"{number(one.value, sign)} [{number(one.low, sign)}, {number(one.high, sign)}]"
            for one, sign in zip(estimates, ("", "", "+"), strict=True)
        ]
        rows.append([name, *cells])
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    print()
    for name, *cells in rows:
        print(f"  {name:{first}}" + "".join(f"{cell:>{width + 4}}" for cell, width in zip(cells, widths, strict=True)))


def print_diagnosis(diagnosis: Any, out: str) -> None:
    """Print a diagnosis, and write its page."""
    print(f"\n{diagnosis}")
    diagnosis.to_html(out)
    print(f"\nThe same as a page, with charts (--out chooses another file):\n{os.path.abspath(out)}")

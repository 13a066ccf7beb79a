"""`check_grid`: find what is wrong with the grid of a search before any fit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler

from skcnn._sklearn.checks import nearest
from skcnn._sklearn.internals import invalid_values

__all__ = ["check_grid"]

Search = TypeVar("Search")

N_DRAWN = 10  # of each distribution
UNKNOWN = "no such parameter"


def check_grid(search: Search) -> Search:
    """Find wrong names and invalid values in the grid of a search, without fitting.

    Each candidate is set on a clone of the estimator, and every estimator in it then checks its parameters as its own
    `fit` does first. What only the data can tell, such as an `input_shape` that does not fit, is left to `fit`.

    Parameters
    ----------
    search : GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV or HalvingRandomSearchCV
        Unfitted or fitted, over any scikit-learn estimator or pipeline. Every candidate of a grid is checked; where
        candidates are drawn, every value of each list, and 10 of each distribution. The least and the most of a
        ``resource`` that is a parameter, such as ``"epochs"``, are checked like values of a grid.

    Returns
    -------
    search : object
        The same search, so that ``check_grid(GridSearchCV(...)).fit(X, y)`` is one line.

    Raises
    ------
    ValueError
        If there are problems; the message lists each of them once, with the first candidate that has it.
    TypeError
        If `search` has no grid.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skcnn import CNNClassifier, check_grid
    >>> search = GridSearchCV(CNNClassifier(), [{"l1": [0.01, -1]}, {"droput": [0.5]}])
    >>> check_grid(search)
    Traceback (most recent call last):
        ...
    ValueError: 2 problems in the grid of GridSearchCV:
    - The 'l1' parameter of CNNClassifier must be a float in the range [0.0, inf). Got -1 instead. Candidate: {'l1': -1}
    - 'droput': no such parameter; did you mean 'dropout'?
    """
    problems: dict[str, str] = {}
    for candidate in _candidates(search):
        for problem in _problems(search.estimator, candidate):  # type: ignore[attr-defined]
            shown = "" if UNKNOWN in problem else f" Candidate: {candidate!r}"
            problems.setdefault(problem, f"- {problem}{shown}")
    problems |= {problem: f"- {problem}" for problem in _of_resource(search)}
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ValueError(f"{count} in the grid of {type(search).__name__}:\n" + "\n".join(problems.values()))
    return search


def _candidates(search: Any) -> Iterable[dict[str, Any]]:
    """Return every candidate of a grid, or some that together have every listed value."""
    has_grid = hasattr(search, "param_grid")
    if not hasattr(search, "estimator") or not (has_grid or hasattr(search, "param_distributions")):
        raise TypeError(
            f"check_grid got {type(search).__name__}; expected a search with a param_grid or param_distributions, such "
            "as GridSearchCV or RandomizedSearchCV."
        )
    if has_grid:
        return ParameterGrid(search.param_grid)
    sampler = ParameterSampler(search.param_distributions, 1)  # refuses what is neither a list nor a distribution
    return chain.from_iterable(map(_drawn, sampler.param_distributions))


def _of_resource(search: Any) -> list[str]:
    """Return what is wrong with the parameter whose value a halving search raises from step to step."""
    name, most = getattr(search, "resource", "n_samples"), getattr(search, "max_resources", "auto")
    if name == "n_samples":
        return []
    space = search.param_grid if hasattr(search, "param_grid") else search.param_distributions
    if any(name in one for one in ([space] if isinstance(space, Mapping) else space)):
        return [
            f"{name!r} is the resource, which the search itself sets, and stands in the grid too; take it out there."
        ]
    if most == "auto":
        return [f"max_resources='auto', with resource={name!r}; expected the largest value, such as max_resources=81."]
    least = 1 if isinstance(search.min_resources, str) else search.min_resources
    return _problems(search.estimator, {name: least}) + _problems(search.estimator, {name: most})


def _drawn(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    values = {
        name: [one.rvs(random_state=seed) for seed in range(N_DRAWN)] if hasattr(one, "rvs") else list(one)
        for name, one in space.items()
    }
    for i in range(max(map(len, values.values()), default=0)):
        yield {name: several[i % len(several)] for name, several in values.items()}


def _problems(estimator: Any, candidate: dict[str, Any]) -> list[str]:
    """Return what is wrong with one candidate: names first, then values."""
    estimator, found = clone(estimator), []
    for name in sorted(candidate, key=lambda name: name.count("__")):  # the whole before its parts
        try:
            estimator.set_params(**{name: clone(candidate[name], safe=False)})
        except (ValueError, AttributeError, TypeError) as error:
            found.append(_of_name(name, estimator, error))
    for path, part in {"": estimator, **estimator.get_params(deep=True)}.items():
        found += [f"{path}: {text}" if path else text for text in _refusals(part)]
    return found


def _of_name(name: str, estimator: Any, error: Exception) -> str:
    """Return what is wrong with a name, without scikit-learn's list of all valid ones."""
    known = re.search("'(.*?)'.* did you mean '(.*?)'", str(error), re.DOTALL)  # told by an estimator of skcnn inside
    if known:
        return f"{name!r}: {UNKNOWN}; did you mean {name.removesuffix(known[1]) + known[2]!r}?"
    names = estimator.get_params(deep=True)
    return f"{name!r}: {error}" if name in names else f"{name!r}: {UNKNOWN}{nearest(name, names)}"


def _refusals(part: Any) -> list[str]:
    """Return what is wrong with each parameter, if this is an estimator."""
    found = invalid_values(part)
    # What estimators of skcnn check beyond their constraints.
    if not found and hasattr(part, "_check_values") and not isinstance(part, type):
        try:
            part._check_values()
        except (ValueError, TypeError, FileNotFoundError) as error:
            found.append(str(error))
    return found

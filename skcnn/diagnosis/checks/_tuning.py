"""Checks of a search: whether the grid was wide enough, and whether its differences mean anything."""

import inspect
from numbers import Integral
from typing import Any

import numpy as np

from skcnn._statistics import resampled_difference
from skcnn.diagnosis._check import Chart, Check, Finding, NotApplicable
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations

__all__ = ["Edge", "Noise"]


def fold_scores(search: Any) -> np.ndarray:
    """Return the scores by which a search chose, (n_candidates, n_folds)."""
    results = search.cv_results_
    metric = search.refit if isinstance(search.refit, str) else "score"
    return np.column_stack([results[f"split{fold}_test_{metric}"] for fold in range(search.n_splits_)])


def _need_search(seen: Observations) -> Any:
    seen.need("search")
    search = seen.components.search
    if getattr(search, "n_splits_", 0) < 2 or not hasattr(search, "best_index_") or not hasattr(search, "cv_results_"):
        raise NotApplicable("the search has one fold, keeps no cv_results_, or did not choose")
    return search


class Edge(Check):
    """A best value at the edge of the grid, where scores still rise: a note, since what lies beyond was not tried.

    Threshold: the edge is better than the value next to it, averaged over all other settings, by more than one standard
    error (Nadeau and Bengio; the rule of one standard error is that of Breiman et al. 1984, section 3.4.3). Zero is no
    edge for a parameter that cannot be negative, nor is the smallest whole number for one that counts.
    """

    code, cause = "edge", "search"
    title = "The best value is at the edge of the grid"
    question = "Was the grid wide enough?"
    why = "The best value is probably outside."
    do = "Search on beyond the edge."
    ONE_ERROR = 0.68

    def look(self, seen: Observations) -> Finding | str:
        """Compare the edge with its neighbour, for each parameter."""
        search = _need_search(seen)
        candidates = search.cv_results_["params"]
        looked = []
        for name, best in search.best_params_.items():
            values = sorted({one.get(name) for one in candidates if is_number(one.get(name))})
            if len(values) < 3 or best not in values:
                continue
            looked.append(name)
            found = self._rising(search, name, best, values) if best in (values[0], values[-1]) and best != 0 else None
            if found is not None:
                return found
        if not looked:
            raise NotApplicable("no parameter of the grid has three numbers")
        return f"The best values of {', '.join(looked)} are not at an edge where scores still rise."

    def _rising(self, search: Any, name: str, best: Any, values: list[Any]) -> Finding | None:
        """Return the finding if the score still rises at the edge `best` of one parameter's values."""
        of = np.array([candidate.get(name) for candidate in search.cv_results_["params"]], dtype=object)
        scores = fold_scores(search)
        means = {value: scores[of == value].mean(axis=0) for value in values}
        beside = values[1] if best == values[0] else values[-2]
        rise = resampled_difference(means[best] - means[beside], 1 / (search.n_splits_ - 1), self.ONE_ERROR)
        further = beyond(best, beside, self._counts(search, name, values))
        if rise.low <= 0 or further is None:
            return None
        series = {"mean score": [float(means[value].mean()) for value in values]}
        end = "lowest" if best == values[0] else "highest"
        how = f"What {name}={further} would bring, only a search beyond the edge can tell."
        return self.finding(
            f"{name}={best} is the {end} value of the grid; the next has a score lower by {rise.value:.3g}.",
            {"edge minus the value beside it": rise},
            measured=how,
            chart=Chart("lines", f"Score over {name}", values, series, name, "score"),
            parameter=name,
            best=best,
            further=further,
        )

    @staticmethod
    def _counts(search: Any, name: str, values: list[Any]) -> bool:
        """Whether a parameter takes whole numbers alone: its values are whole, and its default is no fraction."""
        owner_name, _, last = name.rpartition("__")
        estimator = search.estimator
        owner = estimator.get_params().get(owner_name) if owner_name else estimator
        parameter = inspect.signature(type(owner)).parameters.get(last)
        whole = all(isinstance(value, Integral) for value in values)
        return whole and not isinstance(getattr(parameter, "default", None), float)


def beyond(best: Any, beside: Any, whole: bool) -> Any:
    """Return the next value beyond the edge, by the ratio or else the distance of the last two; None if there is none.

    Parameters
    ----------
    best, beside : number
        Value at the edge, and the one next to it.
    whole : bool
        Whether only whole numbers count.
    """
    further = best * best / beside if beside > 0 and best > 0 else best + (best - beside)
    further = round(further) if whole else float(f"{further:.3g}")
    if (further - best) * (best - beside) <= 0 or (whole and further < 1):
        return None
    return int(further) if isinstance(best, Integral) and further == int(further) else further


class Noise(Check):
    """Candidates that differ by less than the folds do.

    Threshold: the 95% interval (Nadeau and Bengio) of the best candidate minus the median of all others reaches 0.
    """

    code, cause = "noise", "search"
    title = "The search could not tell its candidates apart"
    question = "Do candidates differ by more than their noise?"
    why = "The choice was chance; the best score of many is too good, too."
    do = "Take the simplest candidate; use more folds or RepeatedStratifiedKFold, and a coarser grid."
    least_candidates = 3

    def look(self, seen: Observations) -> Finding | str:
        """Compare the best candidate with the middle of the others."""
        search = _need_search(seen)
        scores = fold_scores(search)
        if len(scores) < self.least_candidates:
            raise NotApplicable(f"{len(scores)} candidates")
        others = np.delete(scores, search.best_index_, axis=0)
        ahead = resampled_difference(scores[search.best_index_] - np.median(others, axis=0), 1 / (search.n_splits_ - 1))
        text = f"The best candidate is {ahead.value:.3g} ahead of the median of {len(others)} others."
        if ahead.low > 0 or np.isnan(ahead.value):
            return text
        how = "It says how far to trust the choice; another one may score the same."
        return self.finding(text, {"best minus median of the others (95% interval)": ahead}, measured=how)

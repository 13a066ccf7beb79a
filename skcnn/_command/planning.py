"""Which candidates are tried, and in which order: few for a first answer, or as many as there is time for."""

import time
from collections.abc import Mapping
from math import ceil, gcd
from typing import Any

from skcnn._command.console import DataError, duration
from skcnn._command.progress import Forecast
from skcnn._command.searching import Grid, settings_of
from skcnn._command.timing import Costs

__all__ = ["Budget", "as_grid", "by_worth", "one_by_one"]

Candidates = list[dict[str, Any]]


def by_worth(candidates: Candidates) -> Candidates:
    """Return candidates in order of worth: the first, those that change one setting of it, then two, and so on."""
    return sorted(candidates, key=_changes_from(candidates[0]))


def one_by_one(candidates: Candidates) -> Candidates:
    """Return the first candidate, and those that change one setting of it."""
    changes = _changes_from(candidates[0])
    return [one for one in candidates if changes(one) <= 1]


def _changes_from(first: Mapping[str, Any]) -> Any:
    usual = settings_of(first)
    return lambda params: sum(value != usual.get(name) for name, value in settings_of(params).items())


def as_grid(candidates: Candidates) -> Grid:
    """Return the grid of these candidates, in this order."""
    return [{name: [value] for name, value in params.items()} for params in candidates]


class Budget:
    """The time that there is, and what fits into it.

    Parameters
    ----------
    minutes : float
        For everything.
    started : float
        When it began, by `time.perf_counter`.
    after : float
        Seconds that are needed after the searches.
    """

    def __init__(self, minutes: float, started: float, after: float) -> None:
        self.minutes, self.started, self.after = minutes, started, after

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return self.started + 60 * self.minutes - time.perf_counter()

    @property
    def room(self) -> float:
        """Seconds left for searches."""
        return self.left - self.after

    def networks(self, candidates: Candidates, first_cures: Candidates, costs: Costs) -> Candidates:
        """Return the networks, in order of worth, to which half of the time goes, and one in any case.

        Parameters
        ----------
        candidates : list of dict
            Networks in order of worth.
        first_cures : list of dict
            For each of them the first candidate of its cures, for which time must be left.
        costs : Costs
            Expected times.

        Raises
        ------
        DataError
            If there is no time for one network and one candidate of the cures.
        """
        chosen: list[int] = []
        needs = []
        for i in range(len(candidates)):
            tried = [*chosen, i]
            need = costs.forecast([candidates[j] for j in tried]).left()
            needs.append(need + max(costs.forecast([first_cures[j]]).left() for j in tried))
            if needs[-1] <= self.room and (not chosen or need <= self.room / 2):
                chosen = tried
        if not chosen:
            least = 60 * self.minutes - self.left + min(needs) + self.after
            minutes = ceil(least / 6) / 10
            raise DataError(
                f"--budget {self.minutes:g}: the least, a search over one network and one candidate of the cures, "
                f"takes about {duration(least)} in all. Expected --budget {minutes:g} or more."
            )
        return [candidates[i] for i in chosen]

    def cures(self, candidates: Candidates, costs: Costs) -> Candidates:
        """Return as many candidates, in order of worth, as there is time for; one in any case."""
        n = 1
        while n < len(candidates) and costs.forecast(candidates[: n + 1]).left() <= self.room:
            n += 1
        return candidates[:n]

    def bound(self, search: Any, forecast: Forecast) -> None:
        """Have a `BoundedSearch` end before candidates for which there is no time left."""

        def goes_on(numbers: range) -> bool:
            forecast.start()
            return forecast.of(numbers) + forecast.pace * forecast.refit <= self.room

        search.goes_on = goes_on
        search.at_once = forecast.jobs // gcd(forecast.jobs, search.cv.n_splits)  # that leave no job without a fit

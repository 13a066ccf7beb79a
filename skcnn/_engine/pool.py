"""A bounded pool that lends compiled programs, one fit or prediction at a time each."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakValueDictionary

import numpy as np

from skcnn._engine.blueprint import BUILDING, Blueprint, Topology
from skcnn._engine.program import Program

__all__ = ["Pool", "pool"]


class Pool:
    """Keeps compiled programs for the next fit of the same topology; safe under threads.

    Parameters
    ----------
    capacity : int, default=8
        How many idle programs are kept at most; beyond that the one that has been idle longest is dropped.

    Examples
    --------
    >>> from skcnn._engine.pool import Pool
    >>> len(Pool(capacity=2))
    0
    """

    def __init__(self, capacity: int = 8) -> None:
        self.capacity = capacity
        self._idle: list[Program] = []  # longest idle first
        self._blueprints: WeakValueDictionary[Topology, Blueprint] = WeakValueDictionary()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._idle)

    @contextmanager
    def lend(self, topology: Topology, weights: list[np.ndarray] | None = None) -> Iterator[Program]:
        """Lend a program of `topology` for the length of a ``with`` block, building it if none is idle.

        Parameters
        ----------
        topology : Topology
            What the program must compute.
        weights : list of ndarray, default=None
            What the program is to hold. One that holds them already is preferred, and loads nothing.

        Raises
        ------
        ValueError
            If the topology is that of a fitted estimator, and its network now builds another model.
        """
        blueprint = None if topology.structure else self._current(topology)
        program = self._take(topology, blueprint, weights)
        if program is None:
            with BUILDING:  # on the blueprint of another program of the topology, if one is alive
                program = Program(topology, blueprint or self._blueprints.get(topology))
                self._blueprints[program.topology] = program.blueprint
        try:
            if weights is not None:
                program.load_weights(weights)
            yield program
        finally:
            with self._lock:
                self._idle.append(program)
                dropped = self._idle[: -self.capacity]
                del self._idle[: -self.capacity]
            del dropped  # freed outside of the lock

    def _current(self, topology: Topology) -> Blueprint:
        """Return the blueprint of what the network builds now, for which one that may change is built to compare."""
        known = self._blueprints.get(topology)
        if known is not None and topology.certain:
            return known
        with BUILDING:
            known = self._blueprints.get(topology)
            if known is None or not (topology.certain or known.is_current(topology.build)):
                known = self._blueprints[topology] = Blueprint(topology)
            return known

    def _take(self, topology: Topology, blueprint: Blueprint | None, weights: object) -> Program | None:
        """Take an idle program of the blueprint or else the topology, at best one that holds the weights."""
        with self._lock:
            fitting = [
                program
                for program in self._idle
                if (program.topology == topology if blueprint is None else program.blueprint is blueprint)
            ]
            fitting.sort(key=lambda program: weights is not None and program.loaded is weights)
            if fitting:
                self._idle.remove(fitting[-1])
            return fitting[-1] if fitting else None


pool = Pool()

"""A bounded number of fits of the estimator with other parameters, to measure what the present ones cost."""

import time
import warnings
from typing import Any

import numpy as np

from skcnn._sklearn.internals import safe_indexing
from skcnn.diagnosis._components import Components, KerasModel
from skcnn.diagnosis._keras_refit import trained_again

__all__ = ["Refits"]


class Refits:
    """Fits an estimator again with other parameters; never more often than allowed, never the same twice.

    Parameters
    ----------
    most : int
        How often.

    Attributes
    ----------
    left : int
        How often it may still be fitted.
    seconds : dict of str to float
        What was fitted, and how long it took.
    """

    def __init__(self, most: int) -> None:
        self.left = most
        self.seconds: dict[str, float] = {}
        self._fitted: dict[tuple[int, str, bytes], Any] = {}
        self._held: list[Components] = []  # so that no id is used twice

    def fit(
        self, components: Components, params: dict[str, Any], X: Any, y: Any, rows: np.ndarray | None = None
    ) -> Any:
        """Return the estimator fitted with other parameters of its final step, or None if that is not possible."""
        of_rows = b"" if rows is None else np.flatnonzero(rows).tobytes() if rows.dtype == bool else rows.tobytes()
        key = id(components), repr(sorted(params.items(), key=str)), of_rows
        if key not in self._fitted:
            self._held.append(components)
            if rows is not None:
                X, y = safe_indexing(X, np.flatnonzero(rows) if rows.dtype == bool else rows), y[rows]
            self._fitted[key] = self._fit(components, params, X, y)
        return self._fitted[key]

    def _fit(self, components: Components, params: dict[str, Any], X: Any, y: Any) -> Any:
        if self.left < 1 or not self._known(components, params):
            return None
        self.left -= 1
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a fit with odd parameters; its score says what it is worth
                if isinstance(components.final, KerasModel):
                    return trained_again(components.final, params, X, y)
                unfitted = components.unfitted
                unfitted.set_params(**{components.prefix + name: value for name, value in params.items()})
                return unfitted.fit(X, y)
        except Exception:  # parameters that do not fit together, or a fit that diverges
            return None
        finally:
            changed = ", ".join(f"{name}={value}" for name, value in params.items()) or "the same, on fewer samples"
            self.seconds[changed] = time.perf_counter() - start

    @staticmethod
    def _known(components: Components, params: dict[str, Any]) -> bool:
        names = components.params
        return all(name in names or (name.startswith("network__") and "network" in names) for name in params)

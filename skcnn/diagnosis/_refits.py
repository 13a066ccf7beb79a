"""A bounded number of fits of the estimator with other parameters, to measure what the present ones cost."""

import time
import warnings
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

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
        self._fitted: dict[tuple[Any, ...], Any] = {}
        self._held: list[Any] = []  # so that no id is used twice

    def fit(
        self,
        components: Components,
        params: dict[str, Any],
        X: Any,
        y: Any,
        rows: np.ndarray | None = None,
        before: Any = None,
    ) -> Any:
        """Return the estimator fitted with other parameters of its final step, or None if that is not possible.

        A transformer `before` is put before the final step.
        """
        of_rows = None if rows is None else rows.tobytes()
        key = id(components), repr(sorted(params.items(), key=str)), of_rows, id(X), repr(before)
        if key not in self._fitted:
            self._held += [components, X]
            if rows is not None:
                X, y = safe_indexing(X, rows), y[rows]
            self._fitted[key] = self._fit(components, params, X, y, before)
        return self._fitted[key]

    def _fit(self, components: Components, params: dict[str, Any], X: Any, y: Any, before: Any) -> Any:
        plain = isinstance(components.final, KerasModel)
        if self.left < 1 or not self._known(components, params) or (plain and before is not None):
            return None
        self.left -= 1
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a fit with odd parameters; its score says what it is worth
                if plain:
                    return trained_again(components.final, params, X, y)
                unfitted = components.unfitted
                unfitted.set_params(**{components.prefix + name: value for name, value in params.items()})
                if before is not None:
                    unfitted = with_step(unfitted, components, before)
                return unfitted.fit(X, y)
        except Exception:  # parameters that do not fit together, or a fit that diverges
            return None
        finally:
            changed = ", ".join(f"{name}={value}" for name, value in params.items()) or "the same, on other samples"
            changed += f", after {type(before).__name__}" if before is not None else ""
            self.seconds[changed] = time.perf_counter() - start

    @staticmethod
    def _known(components: Components, params: dict[str, Any]) -> bool:
        names = components.params
        return all(name in names or (name.startswith("network__") and "network" in names) for name in params)


def with_step(unfitted: Any, components: Components, step: Any) -> Any:
    """Put a transformer before the final step of an unfitted copy of what predicts."""
    *around, last = components.prefix.split("__")[:-1] or [""]
    if components.pipeline is not None:
        pipeline = unfitted.get_params()["__".join(around)] if around else unfitted
        pipeline.steps = [*pipeline.steps[:-1], ("put_before", step), pipeline.steps[-1]]
        return unfitted
    if not last:
        return make_pipeline(step, unfitted)
    final = unfitted.get_params()[components.prefix[:-2]]
    return unfitted.set_params(**{components.prefix[:-2]: make_pipeline(step, final)})

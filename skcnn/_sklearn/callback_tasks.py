"""scikit-learn's callbacks on a network: a task for the fit and one per epoch.

scikit-learn 1.9, the first version with callbacks, has no public way for an estimator of another package to begin
tasks, so that private names of its callback API are used here and nowhere else: `_init_callback_context`,
`_skl_callbacks`, `_children_map`. Before 1.9 none exists, and nothing here has an effect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._sklearn.internals import safe_indexing

if TYPE_CHECKING:
    from skcnn._engine.loop import Progress

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


__all__ = ["CallbackSupportMixin", "EpochTasks", "FitTasks", "fit_task", "follows_epochs", "shows_bars"]


def follows_epochs(estimator: Any) -> bool:
    """Tell whether callbacks may look at any epoch, as all but progress bars do."""
    return not all(_are_bars(estimator))


def shows_bars(estimator: Any) -> bool:
    """Tell whether a progress bar is set on an estimator or on what is around it."""
    return any(_are_bars(estimator))


def _are_bars(estimator: Any) -> list[bool]:
    callbacks = getattr(estimator, "_skl_callbacks", [])
    if not callbacks:
        return []
    from sklearn.callback import ProgressBar

    return [type(callback) is ProgressBar for callback in callbacks]


def _root_task(estimator: Any, max_subtasks: int | None) -> Any:
    """Return the task of a fit, which is still to begin; None before scikit-learn 1.9."""
    if not hasattr(estimator, "_init_callback_context"):
        return None
    return estimator._init_callback_context(max_subtasks=max_subtasks)


@contextmanager
def fit_task(estimator: Any, inner: Any = None, name: str = "") -> Iterator[None]:
    """Tell callbacks of a fit, and of the fit of one estimator inside.

    Parameters
    ----------
    estimator : estimator
        What is fitted in the ``with`` block.
    inner : estimator, default=None
        What is fitted there, too, and is passed the callbacks.
    name : str, default=""
        Name of that task.
    """
    root = _root_task(estimator, max_subtasks=int(inner is not None))
    if root is None:
        yield
        return
    root.call_on_fit_task_begin(estimator=estimator)
    if inner is None:
        yield
    else:
        task = root.subcontext(task_name=name)
        with task.propagate_callback_context(inner):
            task.call_on_fit_task_begin(estimator=estimator)
            yield
            task.call_on_fit_task_end(estimator=estimator)
    root.call_on_fit_task_end(estimator=estimator)


@dataclass(eq=False)
class FitTasks:
    """Tell scikit-learn's callbacks of one call of fit, which begins at once.

    Parameters
    ----------
    estimator : BaseCNN
        What is fitted.
    X : array-like
        Samples as they were given, since callbacks may predict for them.
    y : ndarray
        Targets.
    sample_weight : ndarray or None
        Checked weights.
    epochs : int
        Epochs of the first training, at most.
    trainings : int
        How often the network is trained. If more than once, each training is a task with its epochs in it.
    """

    estimator: Any
    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None
    epochs: int
    trainings: int

    def __post_init__(self) -> None:
        self._root = _root_task(self.estimator, max_subtasks=self.epochs if self.trainings == 1 else self.trainings)
        if self._root is not None:
            self._root.call_on_fit_task_begin(estimator=self.estimator, **self._data(None))

    def end(self) -> None:
        """End the task of the fit; the estimator is fitted."""
        if self._root is not None:
            self._root.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes={}, **self._data(None))

    def training(
        self, indices: np.ndarray, epochs: int, first: int, now: Callable[["Progress"], Any]
    ) -> list["EpochTasks"]:
        """Return what tells callbacks of the epochs of one training, if there are any.

        Parameters
        ----------
        indices : ndarray of int
            Training samples.
        epochs : int
            Epochs, at most.
        first : int
            Epochs that earlier calls of fit have trained.
        now : callable
            Returns the estimator as if fitted up to this moment.
        """
        if self._root is None or not getattr(self.estimator, "_skl_callbacks", []):
            return []
        context = self._root
        if self.trainings > 1:
            name = "train-on-all-samples" if context._children_map else "train"
            context = context.subcontext(task_name=name, max_subtasks=epochs)
        nested = context is not self._root
        return [EpochTasks(self.estimator, context, nested, self._data(indices), first, now)]

    def _data(self, indices: np.ndarray | None) -> dict[str, Any]:
        """Return training data of a task, each to be made when a callback asks for it."""

        def part(values: Any) -> Any:
            return values if indices is None else safe_indexing(values, indices)

        data: dict[str, Any] = {"X": lambda: part(self.X), "y": lambda: part(self.y)}
        if self.sample_weight is not None:
            data["metadata"] = lambda: {"sample_weight": part(self.sample_weight)}
        return data


@dataclass(eq=False)
class EpochTasks:
    """Tell callbacks of each epoch, and training to stop if one of them asks for it."""

    estimator: Any
    context: Any
    nested: bool
    data: dict[str, Any]
    first: int
    now: Callable[["Progress"], Any]
    _epoch: Any = None

    def start(self, progress: "Progress") -> None:
        """Begin a training that is one of several; end epochs found in ``memory=``."""
        if self.nested:
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        for _ in range(self.first, progress.epoch):
            self._begin_epoch()
            self._end_epoch()

    def begin(self, progress: "Progress") -> None:
        """Begin the task of an epoch."""
        self._begin_epoch(**self._at(progress))

    def end(self, progress: "Progress") -> bool:
        """End the task of an epoch, and return whether a callback wants to stop."""
        return self._end_epoch(**self._at(progress))

    def finish(self, progress: "Progress") -> None:
        """End what is open: the task of an interrupted epoch, and that of the training."""
        if self._epoch is not None:
            self._end_epoch()
        if self.nested:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)

    def _at(self, progress: "Progress") -> dict[str, Any]:
        return self.data | {"reconstruction_attributes": lambda: vars(self.now(progress))}

    def _begin_epoch(self, **told: Any) -> None:
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator, **told)

    def _end_epoch(self, **told: Any) -> bool:
        epoch, self._epoch = self._epoch, None
        return bool(epoch.call_on_fit_task_end(estimator=self.estimator, **told))

"""What ``verbose=`` prints during training."""

from time import perf_counter

from skcnn._engine.loop import Plan, Progress

__all__ = ["Printer"]


class Printer:
    """Print as `HistGradientBoostingClassifier` does: a summary, and each epoch.

    Parameters
    ----------
    verbose : int
        1 prints a summary of training, 2 also prints each epoch.
    plan : Plan
        How the network is trained.
    n_samples : int
        Number of training samples.
    """

    def __init__(self, verbose: int, plan: Plan, n_samples: int) -> None:
        self.verbose = verbose
        self.plan = plan
        self.n_samples = n_samples

    def start(self, progress: Progress) -> None:
        """Start timing the run."""
        self._first, self._start = progress.epoch, perf_counter()

    def begin(self, progress: Progress) -> None:
        """Start timing an epoch."""
        self._epoch_start = perf_counter()

    def end(self, progress: Progress) -> bool:
        """Print an epoch."""
        if self.verbose >= 2:
            values = ", ".join(f"{name}: {values[-1]:.5g}" for name, values in progress.history.items())
            print(f"[{progress.epoch}/{self.plan.epochs}] {values}, in {perf_counter() - self._epoch_start:.3f}s")
        return False

    def finish(self, progress: Progress) -> None:
        """Print the summary."""
        earlier = f" after {self._first} trained earlier" if self._first else ""
        n_epochs = progress.epoch - self._first
        print(
            f"Fit {n_epochs} epoch{'s' if n_epochs != 1 else ''}{earlier} on {self.n_samples} samples in "
            f"{perf_counter() - self._start:.3f} s, best epoch: {progress.best_epoch}"
        )

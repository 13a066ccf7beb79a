"""Warnings of skcnn, each of a class of its own so that it can be filtered."""

__all__ = ["CheckpointWarning", "DoubleBalancingWarning", "InnerSplitWarning", "ThreadsWarning"]


class CheckpointWarning(UserWarning):
    """What ``memory=`` keeps cannot be read or written; training goes on without."""


class DoubleBalancingWarning(UserWarning):
    """Classes are balanced twice, which favours the rare ones more than asked for."""


class InnerSplitWarning(UserWarning):
    """The inner validation split cannot hold what it should, such as a row of every class."""


class ThreadsWarning(UserWarning):
    """TensorFlow was started with fewer threads than a fit could use."""

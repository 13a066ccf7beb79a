"""Warnings of skcnn, each of a class of its own so that it can be filtered."""

__all__ = ["CheckpointWarning", "DoubleBalancingWarning", "InnerSplitWarning"]


class CheckpointWarning(UserWarning):
    """What ``memory=`` keeps cannot be read or written; training goes on without."""


class DoubleBalancingWarning(UserWarning):
    """Classes are balanced twice, which favours the rare ones more than asked for."""


class InnerSplitWarning(UserWarning):
    """The inner validation split cannot hold what it should, such as a row of every class."""

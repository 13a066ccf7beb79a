"""Displays in scikit-learn's style, drawn by matplotlib (extra ``plot``).

What is shown is computed first, drawn second. They work on any fitted scikit-learn classifier, alone, in a pipeline or
in a search; `HistoryDisplay` needs a `history_`.
"""

from skcnn.displays._class_scores import ClassScoresDisplay
from skcnn.displays._errors import ErrorsDisplay
from skcnn.displays._history import HistoryDisplay
from skcnn.displays._reliability import ReliabilityDisplay
from skcnn.displays._search import SearchDisplay

__all__ = ["ClassScoresDisplay", "ErrorsDisplay", "HistoryDisplay", "ReliabilityDisplay", "SearchDisplay"]

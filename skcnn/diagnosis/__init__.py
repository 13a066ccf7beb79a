"""Why does it fail on the test set? `diagnose` names the causes, with evidence, and the next grid to try.

Works on any fitted scikit-learn classifier, regressor, pipeline or search, and on plain Keras models; never imports
Keras.
"""

from skcnn.diagnosis._check import Chart, Check, Evidence, Finding, NotApplicable, Outcome
from skcnn.diagnosis._diagnose import diagnose
from skcnn.diagnosis._report import Diagnosis
from skcnn.diagnosis._suggestions import Suggestion
from skcnn.diagnosis.checks import CHECKS
from skcnn.diagnosis.checks._capacity import Memorises
from skcnn.diagnosis.checks._yardsticks import LearningCurve

__all__ = [
    "CHECKS",
    "Chart",
    "Check",
    "Diagnosis",
    "Evidence",
    "Finding",
    "LearningCurve",
    "Memorises",
    "NotApplicable",
    "Outcome",
    "Suggestion",
    "diagnose",
]

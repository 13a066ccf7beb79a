"""Why does it fail on the test set? `diagnose` names the causes, with evidence, and the next grid to try.

Works on any fitted scikit-learn classifier, regressor, pipeline or search, and on plain Keras models; never imports
Keras.
"""

from skcnn.diagnosis.capacity import Memorises
from skcnn.diagnosis.check import Chart, Check, Evidence, Finding, NotApplicable, Outcome
from skcnn.diagnosis.fit import LearningCurve
from skcnn.diagnosis.report import Diagnosis
from skcnn.diagnosis.run import CHECKS, diagnose
from skcnn.diagnosis.suggest import Suggestion

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

"""The checks: one class per question, a module per kind of cause."""

from skcnn.diagnosis._check import Check
from skcnn.diagnosis.checks._batches import BatchStatistics
from skcnn.diagnosis.checks._capacity import DeadUnits, ReceptiveField, Underfit
from skcnn.diagnosis.checks._copies import Duplicates, NearDuplicates, UnmarkedGroups
from skcnn.diagnosis.checks._drift import ConceptDrift, TestLabels
from skcnn.diagnosis.checks._imbalance import (
    BalancedTwice,
    ClassShares,
    MajorityBaseline,
    MajorityCollapse,
    MetricUnfit,
    RecallSpread,
)
from skcnn.diagnosis.checks._inputs import ConstantInputs, InputScale, NonFinite, ScalerOutside, SentinelValues
from skcnn.diagnosis.checks._labels import ConflictingLabels, NoSignal, SuspiciousLabels
from skcnn.diagnosis.checks._layout import Layout
from skcnn.diagnosis.checks._leaks import LeakColumn, SelectionBeforeSplit
from skcnn.diagnosis.checks._learning import LossBlewUp, LossFalling, LossNeverFell, ValidationTurned
from skcnn.diagnosis.checks._losses import LossMismatch, SquashedTwice
from skcnn.diagnosis.checks._probabilities import Calibration, Threshold
from skcnn.diagnosis.checks._resampling import ResampledValidation, SamplerBeforeSplit
from skcnn.diagnosis.checks._scale import TestScale
from skcnn.diagnosis.checks._shift import CovariateShift, LabelShift
from skcnn.diagnosis.checks._split import Groups, SmallTest, Times
from skcnn.diagnosis.checks._strengths import Gap, Overdone
from skcnn.diagnosis.checks._targets import MissingClasses, OneHotTarget, TargetOutliers
from skcnn.diagnosis.checks._test_labels import LabelEncoding, RowOrder, TargetUnit
from skcnn.diagnosis.checks._tuning import Edge, Noise
from skcnn.diagnosis.checks._yardsticks import Baseline, Dummy, FewRows

__all__ = ["CHECKS"]

# In the order in which causes are removed: first what predicts and how samples arrive, then the test set, leaks and
# labels, then what else the test set differs in, then settings, decisions, training, and last what follows from them.
CHECKS: list[type[Check]] = [
    *(NonFinite, LossMismatch, SquashedTwice, BatchStatistics),
    *(SentinelValues, OneHotTarget, Layout, TestScale, ConstantInputs, ScalerOutside),
    *(LeakColumn, SelectionBeforeSplit, LabelEncoding, RowOrder, MissingClasses, TargetUnit, TargetOutliers),
    *(SamplerBeforeSplit, ResampledValidation, Groups, Times, Duplicates, NearDuplicates, UnmarkedGroups),
    *(NoSignal, SuspiciousLabels, ConflictingLabels),
    *(CovariateShift, ConceptDrift, TestLabels),
    *(InputScale, Overdone, BalancedTwice, ClassShares, LabelShift, Threshold),
    *(LossBlewUp, LossNeverFell, LossFalling, ReceptiveField, Underfit, DeadUnits),
    *(ValidationTurned, Gap, FewRows, Dummy, MajorityCollapse, MajorityBaseline, RecallSpread, Baseline),
    *(Calibration, MetricUnfit, Edge, Noise, SmallTest),
]

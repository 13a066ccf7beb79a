"""The checks: one class per question, a module per kind of cause."""

from skcnn.diagnosis._check import Check
from skcnn.diagnosis.checks import (
    _batches,
    _capacity,
    _imbalance,
    _inputs,
    _labels,
    _layout,
    _learning,
    _probabilities,
    _resampling,
    _scale,
    _shift,
    _split,
    _tuning,
    _yardsticks,
)

__all__ = ["CHECKS"]

# In the order in which a sample travels: what goes wrong early explains what shows late.
MODULES = (
    _batches,
    _inputs,
    _scale,
    _layout,
    _resampling,
    _split,
    _labels,
    _shift,
    _learning,
    _capacity,
    _imbalance,
    _probabilities,
    _yardsticks,
    _tuning,
)
CHECKS: list[type[Check]] = [check for module in MODULES for check in module.CHECKS]

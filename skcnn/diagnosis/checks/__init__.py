"""The checks: one class per question, a module per kind of cause."""

from skcnn.diagnosis._check import Check
from skcnn.diagnosis.checks import (
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
)

__all__ = ["CHECKS"]

# In the order in which a sample travels: what goes wrong early explains what shows late.
MODULES = (
    _inputs,
    _layout,
    _scale,
    _resampling,
    _split,
    _labels,
    _shift,
    _imbalance,
    _learning,
    _capacity,
    _probabilities,
    _tuning,
)
CHECKS: list[type[Check]] = [check for module in MODULES for check in module.CHECKS]

"""The checks: one class per question, a module per kind of cause."""

from skcnn.diagnosis._check import Check
from skcnn.diagnosis.checks import (
    _capacity,
    _copies,
    _drift,
    _imbalance,
    _inputs,
    _labels,
    _leaks,
    _learning,
    _losses,
    _probabilities,
    _shift,
    _split,
    _targets,
    _test_labels,
    _tuning,
)

__all__ = ["CHECKS"]

# In the order in which a sample travels: what goes wrong early explains what shows late.
MODULES = (
    *(_inputs, _split, _copies, _leaks, _test_labels, _targets, _losses, _labels, _shift, _drift),
    *(_imbalance, _learning, _capacity, _probabilities, _tuning),
)
CHECKS: list[type[Check]] = [check for module in MODULES for check in module.CHECKS]

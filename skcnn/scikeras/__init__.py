"""For users of scikeras: its estimators repaired, and their conversion to skcnn's.

`KerasClassifier`, `KerasRegressor` and `BaseWrapper` replace those in ``scikeras.wrappers``: only the import changes.
`convert` returns a `CNNClassifier` or `CNNRegressor` that trains as such an estimator does.
"""

import skcnn.scikeras._original  # noqa: F401, before anything else imports scikeras
from skcnn.scikeras._conversion import convert
from skcnn.scikeras._converted import ConvertedClassifier, ConvertedRegressor, ModelFunction
from skcnn.scikeras._repaired import BaseWrapper
from skcnn.scikeras._wrappers import KerasClassifier, KerasRegressor

__all__ = [
    "BaseWrapper",
    "ConvertedClassifier",
    "ConvertedRegressor",
    "KerasClassifier",
    "KerasRegressor",
    "ModelFunction",
    "convert",
]

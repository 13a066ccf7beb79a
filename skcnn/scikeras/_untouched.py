"""Imports scikeras without what importing it does to the classes of Keras.

scikeras replaces how models, losses, metrics and optimizers are pickled and copied, for the whole process. Keras has
long pickled them itself, so its own way is put back, unless the user had imported scikeras already and may count on it.
"""

import sys

import keras

_PATCHED = (keras.Model, keras.losses.Loss, keras.metrics.Metric, keras.optimizers.Optimizer)
_NAMES = ("__reduce__", "__deepcopy__")


def _import_scikeras() -> None:
    own = [{name: vars(cls)[name] for name in _NAMES if name in vars(cls)} for cls in _PATCHED]
    import scikeras  # noqa: F401

    for cls, methods in zip(_PATCHED, own, strict=True):
        for name in _NAMES:
            if name in methods:
                setattr(cls, name, methods[name])
            elif name in vars(cls):
                delattr(cls, name)


if "scikeras" not in sys.modules:
    _import_scikeras()

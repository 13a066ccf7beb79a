"""``--pretrained``: a network that was trained on other images before."""

import os

from skcnn._command.console import DataError
from skcnn._command.tasks import Task
from skcnn.networks import Backbone

__all__ = ["backbone"]


def backbone(given: str, task: Task) -> Backbone:
    """Return the backbone that was asked for; what only Keras can tell of it, building it will.

    Parameters
    ----------
    given : str
        A file ``.keras``, or the name of a network in `keras.applications`, maybe with ``=`` and a file of weights.
    task : Task
        Whose samples it takes.

    Raises
    ------
    DataError
        If a file is not there, or the samples are no images that fit.
    """
    name, has_weights, weights = (given, "", "") if os.path.isfile(given) else given.partition("=")
    shape, of_model = task.X_train.shape[1:], name.endswith((".keras", ".h5"))
    if not name or (has_weights and not weights):
        raise DataError(f"--pretrained {given!r}: expected a file .keras, NAME or NAME=WEIGHTS.")
    for path in ([name] if of_model else []) + ([weights] if has_weights else []):
        if not os.path.isfile(path):
            raise DataError(f"--pretrained {given}: there is no file {path!r}.")
    if len(shape) != 3:
        raise DataError(
            f"--pretrained is for images; the samples have shape {shape}. --shape gives flat images another shape, "
            "such as 64x64x3."
        )
    if not of_model and shape[-1] != 3:
        size = "x".join(map(str, shape[:2]))
        raise DataError(
            f"--pretrained {name} takes images of 3 channels; these have {shape[-1]}. --shape {size}x3 reads image "
            "files so; in an .npz repeat the channel: np.repeat(X, 3, axis=-1)."
        )
    return Backbone(name, weights=weights or "imagenet")

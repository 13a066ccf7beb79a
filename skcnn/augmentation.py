"""Names for `augmentation=`, and `augment`, which shows what they do."""

import json
import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state

from skcnn._engine.fingerprint import object_key
from skcnn._sklearn.checks import nearest, resolve_input_shape

__all__ = ["AUGMENTATIONS", "augment", "check_augmentation", "layer_key", "listed"]

# Name, and the kind of samples that it is for, by their axes besides the channels; None is any kind.
AUGMENTATIONS: dict[str, int | None] = {
    **dict.fromkeys(("flip", "vertical_flip", "translation", "rotation", "zoom"), 2),
    **dict.fromkeys(("contrast", "brightness", "noise", "cutout", "jitter", "scaling"), None),
    **dict.fromkeys(("time_shift", "window_slicing", "magnitude_warping", "time_warping"), 1),
}
_KINDS: dict[int | None, str] = {1: "series (steps, channels)", 2: "images (height, width, channels)"}


def augment(X: Any, augmentation: Any, *, strength: float = 1.0, random_state: Any = None) -> np.ndarray:
    """Return samples augmented as in a step of training, to look at what a network will see.

    Parameters
    ----------
    X : array-like of shape (n, n_steps) or (n, ..., n_channels)
        Images, series or volumes, channels last.
    augmentation : str, keras.Layer, list of them or None
        As in `CNNClassifier`.
    strength : float, default=1.0
        As `augmentation_strength` in `CNNClassifier`.
    random_state : int, RandomState instance or None, default=None
        Seed of named augmentations; Keras layers have their own.

    Returns
    -------
    ndarray of the shape of X
        float64 for X in float64, else float32.

    Raises
    ------
    ValueError, TypeError
        If `augmentation` does not fit samples of this shape.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.augmentation import augment
    >>> images = load_digits().images[..., None]
    >>> augment(images, ["rotation", "noise"], strength=0.5, random_state=0).shape
    (1797, 8, 8, 1)
    """
    X = check_array(X, dtype=[np.float32, np.float64], allow_nd=True, input_name="X")
    shape = resolve_input_shape(None, X.shape[1:])
    several = check_augmentation(augmentation, shape)
    seed = check_random_state(random_state).randint(2**31 - 1)
    from skcnn._engine import transformations
    from skcnn._engine.threads import start_tensorflow

    tf, _ = start_tensorflow()
    samples = tf.constant(X.reshape(len(X), *shape))
    out = transformations.augment(samples, several, tf.constant(strength, samples.dtype), tf.constant([seed, 0]))
    return np.asarray(out).reshape(X.shape)


def listed(augmentation: Any) -> tuple[Any, ...]:
    """Return `augmentation` as a tuple; None is empty."""
    if augmentation is None:
        return ()
    return tuple(augmentation) if isinstance(augmentation, (list, tuple)) else (augmentation,)


def check_augmentation(augmentation: Any, input_shape: Sequence[int] | None = None) -> tuple[Any, ...]:
    """Return the names and Keras layers that `augmentation` asks for, none for None.

    Parameters
    ----------
    augmentation : str, keras.Layer, sequence of them or None
        As in `CNNClassifier`.
    input_shape : sequence of int, default=None
        Shape of a sample, channels last; None accepts samples of any.

    Raises
    ------
    ValueError
        If a name is unknown, or for samples of another kind.
    TypeError
        If anything but names and Keras layers is given.
    """
    keras = sys.modules.get("keras")  # whoever has a layer has imported Keras
    for one in listed(augmentation):
        if keras is not None and isinstance(one, keras.Layer):
            continue
        if not isinstance(one, str):
            raise TypeError(
                f"augmentation has {one!r}; expected names among {list(AUGMENTATIONS)} and Keras layers such as "
                "keras.layers.RandomRotation(0.1)."
            )
        if one not in AUGMENTATIONS:
            known = list(AUGMENTATIONS)
            raise ValueError(f"augmentation has the unknown name {one!r}{nearest(one, known)} Known are {known}.")
        rank = AUGMENTATIONS[one]
        if input_shape is not None and rank not in (None, len(input_shape) - 1):
            fitting = [name for name, its in AUGMENTATIONS.items() if its in (None, len(input_shape) - 1)]
            raise ValueError(
                f"augmentation={one!r} is for {_KINDS[rank]}, but the samples have shape {tuple(input_shape)}. Choose "
                f"from {fitting}, or set input_shape."
            )
    return listed(augmentation)


def layer_key(one: Any) -> Hashable:
    """Return what tells a name or a layer from others; layers with the same arguments are the same."""
    if isinstance(one, str):
        return one
    config = {key: value for key, value in one.get_config().items() if key != "name"}
    return object_key(type(one)), json.dumps(config, sort_keys=True, default=repr)

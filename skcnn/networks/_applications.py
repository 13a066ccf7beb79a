"""Networks of `keras.applications` without their classification layers, and other files of pretrained weights."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from inspect import signature
from typing import Any

import numpy as np

from skcnn._engine.keras_internals import download_folder
from skcnn._sklearn.checks import nearest

__all__ = ["MissingFileError", "application_on", "file_digest", "find_application", "load_weights", "saved_model"]

# What `preprocess_input` of each module does to values from 0 to 255: a factor and an offset, of each channel, and
# whether the channels are reversed first. Networks of other modules do it themselves.
_DEVIATIONS, _MEANS = np.array([0.229, 0.224, 0.225]), np.array([0.485, 0.456, 0.406])
_TO_ONE = (1 / 127.5, -1.0, False)
_CAFFE = (1.0, [-103.939, -116.779, -123.68], True)
PREPROCESSING: Mapping[str, tuple[Any, Any, bool]] = {
    "densenet": ((1 / 255 / _DEVIATIONS).tolist(), (-_MEANS / _DEVIATIONS).tolist(), False),
    "inception_resnet_v2": _TO_ONE,
    "inception_v3": _TO_ONE,
    "mobilenet": _TO_ONE,
    "mobilenet_v2": _TO_ONE,
    "nasnet": _TO_ONE,
    "resnet": _CAFFE,
    "resnet_v2": _TO_ONE,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "xception": _TO_ONE,
}
_URL = re.compile(r"https?://\S+/([^/\s]+?\.h5)")


class MissingFileError(FileNotFoundError):
    """A file of pretrained weights is not there; said as it is, while other errors are those of a network's code."""


def find_application(name: str) -> Any:
    """Return the function in `keras.applications` that builds a network.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    from keras import applications

    known = [one for one in dir(applications) if one[0].isupper()]
    if name not in known:
        raise ValueError(
            f"application={name!r} is no network in keras.applications{nearest(name, known)} Expected a name there, a "
            "keras.Model, or the path of a saved one, which ends in .keras."
        )
    return getattr(applications, name)


def application_on(x: Any, name: str, *, preprocess: bool, pretrained: bool, downloads: bool) -> tuple[Any, Any]:
    """Return a network for input like `x`, and `x` converted to what it takes.

    Parameters
    ----------
    x : keras.KerasTensor of shape (None, height, width, channels)
        The input of the whole network.
    name : str
        A network in `keras.applications`.
    preprocess : bool
        Whether `x` has values from 0 to 255, which are converted.
    pretrained : bool
        Whether it has, or will have, weights that were trained on images of three channels.
    downloads : bool
        Whether to load the weights that Keras has for it, else none.

    Raises
    ------
    ValueError
        If the network does not take samples of this shape.
    FileNotFoundError
        If the weights cannot be downloaded.
    """
    make, shape = find_application(name), tuple(x.shape[1:])
    module = make.__module__.rpartition(".")[2]
    has_switch = "include_preprocessing" in signature(make).parameters
    if len(shape) != 3:
        raise ValueError(f"{name} takes samples of shape (height, width, channels); got {shape}.")
    has_rgb = shape[-1] == 3
    if not has_rgb and (pretrained or (preprocess and isinstance(PREPROCESSING.get(module, _TO_ONE)[1], list))):
        raise ValueError(
            f"{name} takes 3 channels; got samples of shape {shape}. Grey images have three equal ones: "
            "np.repeat(X, 3, axis=-1)."
        )
    if not (preprocess or has_switch or module in PREPROCESSING):
        raise ValueError(f"{name} converts values from 0 to 255 itself; leave preprocess at True.")
    options = {"include_top": False, "input_shape": shape}
    if has_switch:
        options["include_preprocessing"] = preprocess
    base = _downloaded(make, options) if downloads else make(weights=None, **options)
    return base, preprocessed(x, module) if preprocess else x


def preprocessed(x: Any, module: str) -> Any:
    """Return values from 0 to 255 converted as by `preprocess_input` of a module."""
    from keras import layers, ops

    if module not in PREPROCESSING:
        return x
    factor, offset, is_reversed = PREPROCESSING[module]
    return layers.Rescaling(factor, offset, name="preprocess")(ops.flip(x, axis=-1) if is_reversed else x)


def _downloaded(make: Any, options: dict[str, Any]) -> Any:
    try:
        return make(weights="imagenet", **options)
    except Exception as error:  # a bare one, of Keras
        found = _URL.search(str(error))
        if found is None:
            raise
        raise MissingFileError(
            f"The weights of {make.__name__} cannot be downloaded ({error}). Put the file {found[1]} from {found[0]} "
            f"into the folder {download_folder()}, or pass its path as weights."
        ) from error


def load_weights(model: Any, path: str) -> None:
    """Load a file of weights into a model.

    Raises
    ------
    ValueError
        If it is not one of this model.
    """
    try:
        model.load_weights(path)
    except Warning:  # that the user has made an error
        raise
    except Exception as error:  # whatever Keras and h5py raise
        raise ValueError(
            f"weights={path!r} cannot be loaded into {model.name!r} ({type(error).__name__}: {error}). Expected those "
            "of this network without its classification layers: a file ..._no_top.h5 of Keras, or one written by "
            "model.save_weights."
        ) from error


# Files, read once for as long as they do not change -------------------------------------------------------------------


def saved_model(path: str | os.PathLike[str]) -> Any:
    """Return the Keras model in a file; shared by all who ask, so that it has to be copied."""
    return _saved_model(*_stamp(path))


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return a digest of what is in a file."""
    return _file_digest(*_stamp(path))


def _stamp(path: str | os.PathLike[str]) -> tuple[str, int, int, int]:
    """Return a path, and what is another if the file was written since."""
    stat = os.stat(path)
    return os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino


@lru_cache(maxsize=4)
def _saved_model(path: str, *stamp: int) -> Any:
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Warning:
        raise
    except Exception as error:
        raise ValueError(
            f"application={path!r} cannot be loaded as a Keras model ({type(error).__name__}: {error}). Expected a "
            "file written by model.save, whose custom layers are registered (keras.saving.register_keras_serializable)."
        ) from error


@lru_cache(maxsize=64)
def _file_digest(path: str, *stamp: int) -> str:
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()

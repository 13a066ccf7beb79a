"""`Backbone`: a network that was trained on other images before, and a new output layer."""

import copy
import os
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from skcnn._engine.keras_internals import all_layers, copy_of_layer, flat, laid_on
from skcnn._lazy import LazySamples, blocks
from skcnn._sklearn.internals import HasMethods, Interval, StrOptions
from skcnn.exceptions import ScaleWarning, warn
from skcnn.networks._applications import MissingFileError, application_on, file_digest, load_weights, saved_model
from skcnn.networks._network import Network

__all__ = ["Backbone"]

SAVED = (".keras", ".h5")


@dataclass(eq=False, repr=False)
class Backbone(Network):
    """Features of a pretrained network, and an output layer that is trained: for few images.

    Parameters
    ----------
    application : str, PathLike or keras.Model, default="EfficientNetV2B0"
        Name of a network in :mod:`keras.applications`, which is taken without its classification layers; or a Keras
        model whose outputs are the features, or the path of a saved one (``.keras``). A model is copied, never changed.
    weights : "imagenet", str, PathLike or None, default="imagenet"
        Weights of the application: those that Keras downloads and keeps; or a file of weights (``..._no_top.h5`` or
        ``.weights.h5``); or, with None, random ones. A model has weights already, which only a file replaces.
    pooling : {"avg", "max", None}, default="avg"
        What is made of the last feature map: the mean or the maximum of each channel, or with None all of it.
    trainable : bool or int, default=False
        Which layers are trained beside the output layer: none, all, or the last so many. Batch normalisation keeps
        what was loaded, statistics, scales and offsets: those of small batches undo what the network has learnt.
    preprocess : bool, default=True
        Whether an application is given values from 0 to 255, which are converted to what it was trained on. With False
        `X` has been converted before, as by its `preprocess_input`. A model is given the values as they are.

    Notes
    -----
    What is frozen runs once for each sample, whatever is searched: fits train on its features, which are kept in memory
    (512 MiB, the least recently used dropped first; for more samples it runs in each step, as with augmentation) and,
    shared by processes, in the folder of the estimator's `memory`. Its dropout drops nothing.

    Loaded weights are the same for every `random_state`, and a file with other contents is another network. The
    estimators do not standardise samples before a backbone, unless `standardize` says so.

    Examples
    --------
    >>> from skcnn.networks import Backbone
    >>> model = Backbone("MobileNet", weights=None)((32, 32, 3), 5)
    >>> len(model.trainable_weights), model.output_shape
    (2, (None, 5))
    """

    _parameter_constraints = {
        "application": [str, os.PathLike, HasMethods(["predict", "get_config"])],
        "weights": [str, os.PathLike, None],
        "pooling": [StrOptions({"avg", "max"}), None],
        "trainable": ["boolean", Interval(Integral, 1, None, closed="left")],
        "preprocess": ["boolean"],
    }

    application: Any = "EfficientNetV2B0"
    _: KW_ONLY
    weights: str | os.PathLike[str] | None = "imagenet"
    pooling: Literal["avg", "max"] | None = "avg"
    trainable: bool | int = False
    preprocess: bool = True

    _own_scale = True
    _reads_weights = True  # not in a fitted estimator, which has them

    def features(self, x: Any) -> Any:
        """Add the layers from the input to the features, see the class."""
        if self._reads_weights:
            self._check_values()
        base, x = self._base(x)
        self._freeze(base)
        return flat(laid_on(base, x), self.pooling)

    def _base(self, x: Any) -> tuple[Any, Any]:
        """Return a new pretrained model, and the input as it takes it."""
        import keras

        model, reads = self._model(), self._reads_weights
        if model is None:
            downloads = reads and self.weights == "imagenet"
            pretrained = self.weights is not None
            base, x = application_on(
                x, str(self.application), preprocess=self.preprocess, pretrained=pretrained, downloads=downloads
            )
        else:
            _check_takes(model, tuple(x.shape[1:]), keras.config.dtype_policy().compute_dtype)
            base = keras.models.clone_model(model, clone_function=copy_of_layer)
            if not base.built:
                base.build(model.input_shape)
            base.set_weights(model.get_weights())
        if reads and self._weights_path is not None:
            load_weights(base, self._weights_path)
        return base, x

    def _freeze(self, base: Any) -> None:
        """Settle which layers of the pretrained model are trained."""
        import keras

        n = len(base.layers) if self.trainable is True else int(self.trainable)
        for i, layer in enumerate(base.layers):
            layer.trainable = i >= len(base.layers) - n
        if self.weights is not None or not self._is_application:
            for layer in all_layers(base):
                layer.trainable = layer.trainable and not isinstance(layer, keras.layers.BatchNormalization)

    # What it is, and what it expects ------------------------------------------------------------------------------

    @property
    def _is_application(self) -> bool:
        return isinstance(self.application, (str, os.PathLike)) and Path(self.application).suffix not in SAVED

    @property
    def _weights_path(self) -> str | None:
        return None if self.weights is None or self.weights == "imagenet" else os.fspath(self.weights)

    def _model(self) -> Any:
        """Return the model that was given, or None for an application."""
        if self._is_application:
            return None
        return saved_model(self.application) if isinstance(self.application, (str, os.PathLike)) else self.application

    def _check_values(self) -> None:
        super()._check_values()
        path = self._weights_path
        if path is not None and not os.path.isfile(path):
            raise MissingFileError(
                f"weights={path!r} is no file (at {os.path.abspath(path)!r}); expected 'imagenet', None, or the path "
                "of a file of weights without the classification layers, such as ..._no_top.h5."
            )
        is_path = isinstance(self.application, (str, os.PathLike)) and not self._is_application
        if is_path and not os.path.isfile(self.application):
            raise MissingFileError(
                f"application={os.fspath(self.application)!r} is no file (at {os.path.abspath(self.application)!r}); "
                "expected the name of a network in keras.applications, a keras.Model, or the path of a saved one."
            )

    def _check_inputs(self, X: np.ndarray | LazySamples, standardize: str | None) -> None:
        if not (self.preprocess and self._is_application):
            return
        name = type(self).__name__
        if standardize is not None:
            raise ValueError(
                f"standardize={standardize!r} with {name}(preprocess=True), which expects values from 0 to 255. Set "
                "standardize to 'auto', which leaves the samples as they are, or preprocess=False."
            )
        if X.dtype == np.uint8:
            return
        lows, highs = zip(*((block.min(), block.max()) for block in blocks(X)), strict=True)  # in one pass over a file
        low, high = float(min(lows)), float(max(highs))
        if low < 0 or high <= 1:
            warn(
                ScaleWarning(
                    f"X holds values from {low:.3g} to {high:.3g}, but {name}(preprocess=True) expects values from 0 "
                    "to 255. Pass images as they are, or set preprocess=False if X has been converted before."
                )
            )

    def _identity(self) -> dict[str, Any]:
        from skcnn._engine.structure import structure_of

        found = self.get_params(deep=False)
        model = self._model()
        if model is not None:
            found["application"] = structure_of(model), model.get_weights()
        if self._weights_path is not None:
            found["weights"] = file_digest(self._weights_path)
        return found

    def _without_weights(self) -> Self:
        bare = copy.copy(self)
        bare._reads_weights = False
        bare.application = self.application if self._is_application else self._model()
        return bare

    def __sklearn_clone__(self) -> Self:
        bare = copy.copy(self)
        bare.application = None
        cloned: Self = super(Backbone, bare).__sklearn_clone__()
        cloned.application = self.application  # a model is copied where it is built
        return cloned

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy.copy(self)


def _check_takes(model: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Refuse samples that a model does not take."""
    if model.compute_dtype != dtype:
        raise ValueError(f"The model {model.name!r} is in {model.compute_dtype}, not in dtype={dtype!r}.")
    if not model.built or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"The model {model.name!r} has to have one input and one output; write it as keras.Model(inputs, outputs)."
        )
    expected = tuple(model.input_shape[1:])
    fits = len(expected) == len(shape)
    if not fits or any(size not in (None, given) for size, given in zip(expected, shape, strict=True)):
        sizes = ", ".join("any" if size is None else str(size) for size in expected)
        raise ValueError(f"The model {model.name!r} takes samples of shape ({sizes}); X has samples of shape {shape}.")

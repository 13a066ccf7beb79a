"""Saving fitted estimators: types that skops may load, and files that need neither skcnn nor scikit-learn."""

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from skcnn._engine.blueprint import building
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.estimator import BaseCNN
from skcnn._fit.targets import ClassTarget, Target
from skcnn._sklearn.steps import fitted_steps
from skcnn._version import __version__
from skcnn.networks import NETWORKS
from skcnn.preprocessing import NDTransformer, StandardNormalVariate

__all__ = ["TRUSTED_TYPES", "export"]

#: What a fitted estimator of skcnn holds beside arrays, numbers and scikit-learn's own objects, for
#: ``skops.io.load(file, trusted=TRUSTED_TYPES)``. None of them runs code of the file's choosing when it is loaded.
TRUSTED_TYPES = (
    "skcnn.estimators.CNNClassifier",
    "skcnn.estimators.CNNRegressor",
    "skcnn.networks._backbone.Backbone",
    "skcnn.networks._builder.NetworkBuilder",
    "skcnn.preprocessing._channels_last.ChannelsLast",
    "skcnn.preprocessing._nd_transformer.NDTransformer",
    "skcnn.preprocessing._network_features.NetworkFeatures",
    "skcnn.preprocessing._standard_normal_variate.StandardNormalVariate",
    "skcnn.sampling.NDSampler",
    "skcnn.sampling.Pipeline",
    "skcnn._fit.fitted.Fitted",
    "skcnn._fit.samples.Layout",
    "skcnn._fit.targets.ClassTarget",
    "skcnn._fit.targets.RegressionTarget",
    "skcnn._engine.blueprint.Topology",
    "skcnn._engine.loop.Progress",
    *(f"{network.__module__}.{network.__qualname__}" for network in NETWORKS.values()),
)

# Of outputs for a few made-up samples, which may lie far from those trained on.
CHECK_SAMPLES = 3
CHECK_TOLERANCE = 1e-4
SMALL_VARIANCE = 1e-12  # of a sample, below which `StandardNormalVariate` in a file takes it for constant

HINTS = {
    ".keras": "The network cannot be written so that it can be loaded again. Register custom layers with "
    "keras.saving.register_keras_serializable, replace a Lambda with a custom layer, or try .onnx.",
    ".onnx": "The network has an operation that has no counterpart in ONNX; try .keras.",
}


def export(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float32", "float64", "uint8"] | None = None,
) -> Path:
    """Write a fitted estimator, or a whole pipeline of scalers and network, to one file.

    The file takes any number of samples, of the shape that `fit` was given. For a classifier it returns the output of
    `predict_proba`, an ``.onnx`` file also the ``label``; for a regressor that of `predict`, with a column per target.
    Samplers, which only work in `fit`, are left out; `standardize`, `priors` and the unit of the target are part of the
    file. It is written under another name, loaded again, compared and then renamed, so that `path` never holds a
    damaged file.

    Parameters
    ----------
    estimator : fitted CNNClassifier or CNNRegressor
        Or a pipeline whose last step is one, or a search that found one. Steps before it may be `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`, alone or in an `NDTransformer`, and `StandardNormalVariate`.
    path : str or PathLike
        Ending in ``.keras``, for `keras.saving.load_model`, or in ``.onnx``, for onnxruntime and others (needs
        ``pip install "skcnn[export]"``).
    dtype : {"float32", "float64", "uint8"}, default=None
        Type of the samples that the file takes; None is that of its network. With "float64" scalers work in it, too,
        for features whose mean is large against their spread: float32 has seven digits. (Call the loaded Keras model,
        ``model(X)``; its `predict` converts `X` to float32.)

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    TypeError
        If `estimator` holds no network of skcnn, or a step that has no counterpart in the file.
    ValueError
        If `path` has another ending, its folder does not exist, `dtype` is another, or what was written cannot be
        loaded again or predicts otherwise, as a custom network with a Lambda layer does.
    ImportError
        If the packages for ``.onnx`` are missing.

    Notes
    -----
    The ``.keras`` file loads with Keras' safe mode, which runs no code from the file, and without skcnn; custom layers
    must be registered where it is loaded (`keras.saving.register_keras_serializable`). The network of an ``.onnx`` file
    and any network of volumes is in float32: for float64, ONNX runtimes have no convolution, and TensorFlow has no
    pooling of volumes.

    Classes, feature names and versions are stored, too: in an ``.onnx`` file as metadata of the model, in a
    ``.keras`` file, which is a zip file, as its member ``skcnn.json``.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import keras
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import skcnn
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = skcnn.CNNClassifier(input_shape=(8, 8, 1), epochs=1, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), cnn).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     model = keras.saving.load_model(skcnn.export(pipe, Path(folder) / "digits.keras"))
    >>> bool(abs(model(X[:9]) - pipe.predict_proba(X[:9])).numpy().max() < 1e-5)
    True
    """
    path = _checked_path(path)
    if dtype not in (None, "float32", "float64", "uint8"):
        raise ValueError(f"dtype={dtype!r}; expected 'float32', 'float64', 'uint8' or None.")
    steps, cnn = fitted_steps(estimator, BaseCNN)
    cnn = cnn._as(cnn._fitted)  # which another fit does not change
    if cnn._fitted.topology.dtype == "float64" and (path.suffix == ".onnx" or len(cnn.input_shape_) == 4):
        cnn.to_keras()  # raises if the network has changed, which cannot be seen of one in another type
        cnn = cnn._as(replace(cnn._fitted, topology=replace(cnn._fitted.topology, dtype="float32", structure="")))
    about = _about(estimator, cnn)
    target = Path(os.path.realpath(path))  # where a link leads, which stays a link
    unfinished = target.with_name(f"{target.stem}-{uuid4().hex}{path.suffix}")
    write, run = (_write_keras, _run_keras) if path.suffix == ".keras" else (_write_onnx, _run_onnx)

    def written_and_run(samples: np.ndarray) -> np.ndarray:
        write(unfinished, model, about, cnn._fitted.target)
        return run(unfinished, samples)

    with building(cnn._fitted.topology.dtype):
        model = _whole_model(steps, cnn, dtype or cnn._fitted.topology.dtype)
        try:
            _check(model, written_and_run, HINTS[path.suffix])
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix not in (".keras", ".onnx"):
        raise ValueError(f"path={str(path)!r}; expected a name that ends in .keras or .onnx.")
    if path.is_dir():
        raise ValueError(f"path={str(path)!r} is a folder; expected the name of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"path={str(path)!r} is in a folder that does not exist; create {str(path.parent)!r} first.")
    for needed in ("onnx", "onnxruntime", "tf2onnx") if path.suffix == ".onnx" else ():
        try:
            import_module(needed)
        except ImportError as error:
            raise ImportError(f'Writing .onnx needs {needed}; install it with pip install "skcnn[export]".') from error
    return path


def _about(estimator: Any, cnn: BaseCNN) -> dict[str, Any]:
    """Return what a user of the file may ask for, in JSON's types."""
    about = {"estimator": type(cnn).__name__, "skcnn": __version__, "task": cnn._fitted.target.kind}
    if hasattr(cnn, "classes_"):
        about["classes"] = cnn.classes_.tolist()
    fitted = getattr(estimator, "best_estimator_", estimator)
    if hasattr(fitted, "feature_names_in_"):
        about["features"] = fitted.feature_names_in_.tolist()
    return about


# From samples to predictions in Keras' layers -----------------------------------------------------------------------


def _whole_model(steps: list[Any], cnn: BaseCNN, dtype: str) -> Any:
    """Return the Keras model of scalers and network, from samples to logits and to probabilities or predictions."""
    _, keras = start_tensorflow()
    fitted = cnn._fitted
    wide = "float64" if dtype == "float64" else fitted.topology.dtype
    layers = [layer for step in steps for layer in _layers(step, wide, len(fitted.layout.sample_shape))]
    if dtype == "uint8":
        layers.insert(0, keras.layers.Rescaling(1.0))
    if tuple(fitted.layout.sample_shape) != cnn.input_shape_:
        layers.append(keras.layers.Reshape(cnn.input_shape_, dtype=wide))
    x = samples = keras.Input(fitted.layout.sample_shape, dtype=dtype, name="X")
    for layer in layers:
        x = layer(x)
    z = cnn.to_keras()(x)
    kind = fitted.target.kind
    if kind == "binary":
        sides = [keras.layers.Activation("sigmoid")(side) for side in (keras.layers.Rescaling(-1.0)(z), z)]
        outputs = keras.layers.Concatenate(name="probabilities")(sides)
    elif kind == "regression":
        outputs = keras.layers.Identity(name="prediction")(z)
    else:
        ending = {"multiclass": "softmax", "multilabel": "sigmoid"}[kind]
        outputs = keras.layers.Activation(ending, name="probabilities")(z)
    return keras.Model(samples, [z, outputs])


def _layers(step: Any, dtype: str, rank: int) -> list[Any]:
    """Return the layers that do what a fitted scaler does with samples of `rank` axes."""
    _, keras = start_tensorflow()
    kind = type(step)
    if kind is NDTransformer:
        inner = _layers(step.transformer_, dtype, 1)
        if step.per == "channel" or len(step.sample_shape_) == 1:  # layers work on the last axis
            return inner
        flat, back = (keras.layers.Reshape(shape, dtype=dtype) for shape in ((-1,), step.sample_shape_))
        return [flat, *inner, back]

    def wide(values: Any) -> np.ndarray:  # scalers that were fitted on float32 hold float32
        return np.asarray(values, np.float64)

    def plus(by: Any) -> Any:
        return keras.layers.Rescaling(1.0, by, dtype=dtype)

    def times(by: Any) -> Any:
        return keras.layers.Rescaling(by, 0.0, dtype=dtype)

    def clip(low: float, high: float) -> list[Any]:
        return [plus(-low), keras.layers.ReLU(max_value=high - low, dtype=dtype), plus(low)]

    # Center and factor are two layers: in one, their product would lose digits.
    if kind in (StandardScaler, RobustScaler):
        center = step.center_ if kind is RobustScaler else (step.mean_ if step.with_mean else None)
        layers = [] if center is None else [plus(-wide(center))]
        return layers if step.scale_ is None else [*layers, times(1 / wide(step.scale_))]
    if kind is MinMaxScaler:
        low, high = map(float, step.feature_range)
        layers = [plus(-wide(step.data_min_)), times(wide(step.scale_)), plus(low)]
        return [*layers, *clip(low, high)] if step.clip else layers
    if kind is MaxAbsScaler:
        layers = [times(1 / wide(step.scale_))]
        return [*layers, *clip(-1.0, 1.0)] if getattr(step, "clip", False) else layers
    if kind is StandardNormalVariate:
        axes = list(range(1, rank + 1))
        return [keras.layers.LayerNormalization(axes, epsilon=SMALL_VARIANCE, center=False, scale=False, dtype=dtype)]
    raise TypeError(
        f"The step {step!r} has no counterpart in an exported file. Expected StandardScaler, MinMaxScaler, "
        "MaxAbsScaler, RobustScaler, alone or in NDTransformer, or StandardNormalVariate. Export the network alone, "
        "pipeline[-1], and apply this step before it."
    )


# The two kinds of file ----------------------------------------------------------------------------------------------


def _write_keras(path: Path, model: Any, about: dict[str, Any], target: Target) -> None:
    _, keras = start_tensorflow()
    keras.Model(model.inputs[0], model.outputs[1]).save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("skcnn.json", json.dumps(about, default=str))


def _run_keras(path: Path, samples: np.ndarray) -> np.ndarray:
    _, keras = start_tensorflow()
    return np.asarray(keras.saving.load_model(path, compile=False, safe_mode=True)(samples))


def _write_onnx(path: Path, model: Any, about: dict[str, Any], target: Target) -> None:
    import onnx
    import tf2onnx

    tf, _ = start_tensorflow()

    def predict(samples: Any) -> dict[str, Any]:
        z, outputs = model(samples, training=False)
        if not isinstance(target, ClassTarget):
            return {"prediction": outputs}
        return {"label": _labels(z, target), "probabilities": outputs}

    samples = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    written, _ = tf2onnx.convert.from_function(tf.function(predict, autograph=False), [samples])
    written.graph.input[0].name, given = "X", written.graph.input[0].name
    for node in written.graph.node:
        node.input[:] = ["X" if name == given else name for name in node.input]
    for tensor in (*written.graph.input, *written.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    texts = {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in about.items()}
    onnx.helper.set_model_props(written, texts)
    onnx.save(written, path)


def _labels(z: Any, target: ClassTarget) -> Any:
    """Decode logits as `ClassTarget.decode` does, in TensorFlow."""
    tf, _ = start_tensorflow()
    if target.kind == "multilabel":
        return tf.cast(z > 0, tf.int64)
    codes = tf.cast(z[:, 0] > 0, tf.int64) if target.kind == "binary" else tf.argmax(z, axis=1)
    classes = target.classes
    return tf.gather(tf.constant(classes if classes.dtype.kind in "biuf" else [str(label) for label in classes]), codes)


def _run_onnx(path: Path, samples: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"X": samples})[-1])


def _check(model: Any, run: Callable[[np.ndarray], np.ndarray], hint: str) -> None:
    """Have the file written and run on a few made-up samples, and compare it with what is in memory."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(0, 3, size=(CHECK_SAMPLES, *model.input_shape[1:])).astype(model.inputs[0].dtype)
    expected = model(samples)[1].numpy()
    try:
        found = run(samples)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever Keras, tf2onnx, onnxruntime or a custom layer raises
        raise ValueError(f"{hint} Nothing was kept ({type(error).__name__}: {error}).") from error
    difference = np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(expected.dtype).tiny)
    if not difference <= CHECK_TOLERANCE:
        raise ValueError(
            f"What was written predicts otherwise than the estimator, by {difference:.2g} of the largest output, and "
            "was not kept. If a layer draws random numbers when it predicts, export a network without it."
        )

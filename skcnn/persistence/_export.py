"""`export`: a fitted estimator as one file, compared with the estimator before it is kept."""

import json
import os
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcnn._engine.blueprint import building
from skcnn._engine.kept_files import in_place_of
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.targets import ClassTarget
from skcnn._sklearn.checks import is_frame
from skcnn._version import __version__
from skcnn.persistence._comparison import attempt, check_answers, expected_answers, made_up_samples, task_of
from skcnn.persistence._layers import in_float32, known_steps, labels_of, whole_model
from skcnn.persistence._onnx import answers_of, graph_of
from skcnn.persistence._skl2onnx import as_inputs, holds_network, written_by_skl2onnx

__all__ = ["export"]

HINTS = {
    ".keras": "The network cannot be written so that it can be loaded again. Register custom layers with "
    "keras.saving.register_keras_serializable, replace a Lambda with a custom layer, or try .onnx.",
    ".onnx": "The network has an operation that has no counterpart in ONNX; try .keras.",
    "skl2onnx": "skl2onnx cannot write this estimator. Export what it knows of it, such as the network alone, and "
    "apply the rest before and after.",
}
ADVICE = {
    "layers": "If a layer draws random numbers when it predicts, export a network without it; if features lie far from "
    "0 against their spread, set dtype='float64'.",
    "skl2onnx": "skl2onnx converts some estimators wrongly, such as isotonic calibration. Export what is inside, and "
    "apply the rest to its output.",
}
WRITERS = ("onnx", "onnxruntime", "tf2onnx")


def export(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    X: Any = None,
    dtype: Literal["float32", "float64", "uint8"] | None = None,
) -> Path:
    """Write a fitted estimator, or a whole pipeline with a network in it, to one file.

    The file takes any number of samples, of the shape that `fit` was given. For a classifier it returns the output of
    `predict_proba`, an ``.onnx`` file also the ``label``; for a regressor that of `predict`, with a column per target.
    Samplers, which only work in `fit`, are left out; `standardize`, `priors` and the unit of the target are part of the
    file. It is written under another name, loaded again, compared and then renamed, so that `path` never holds a
    damaged file.

    Parameters
    ----------
    estimator : fitted estimator
        A `CNNClassifier` or `CNNRegressor`, a pipeline whose last step is one, or a search that found one. Steps before
        it may be `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`, alone or in an `NDTransformer`,
        `StandardNormalVariate` and `ChannelsLast`. In an ``.onnx`` file also whatever skl2onnx knows, with a network in
        it: other steps, `ColumnTransformer`, stacking, voting, sigmoid calibration, a decision threshold.
    path : str or PathLike
        Ending in ``.keras``, for `keras.saving.load_model`, or in ``.onnx``, for onnxruntime and others (needs
        ``pip install "skcnn[export]"``).
    X : array-like or data frame of shape (n, ...), default=None
        Samples, such as those of the test set, on which the file has to answer as the estimator does: all labels, and
        all probabilities or predictions. Required where skl2onnx writes the file, which is wrong for some estimators
        without a word; otherwise None compares a few made-up samples.
    dtype : {"float32", "float64", "uint8"}, default=None
        Type of the samples that the file takes; None is that of its network. With "float64" scalers work in it, too,
        for features whose mean is large against their spread: float32 has seven digits. (Call the loaded Keras model,
        ``model(X)``; its `predict` converts `X` to float32.) Where skl2onnx writes the file, samples are float32.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    TypeError
        If `estimator` holds no network of skcnn, or a step that has no counterpart in the file.
    ValueError
        If `path` has another ending, its folder does not exist, `dtype` is another, `X` is missing, or what was written
        cannot be loaded again or predicts otherwise, as a custom network with a Lambda layer does.
    ImportError
        If the packages for ``.onnx`` are missing.

    See Also
    --------
    skcnn.persistence.register_skl2onnx : The same converters, for ``skl2onnx.to_onnx``.

    Notes
    -----
    The ``.keras`` file loads with Keras' safe mode, which runs no code from the file, and without skcnn; custom layers
    must be registered where it is loaded (`keras.saving.register_keras_serializable`). The network of an ``.onnx`` file
    and any network of volumes is in float32: for float64, ONNX runtimes have no convolution, and TensorFlow has no
    pooling of volumes.

    A file takes one array ``X``. If its first step is a `ColumnTransformer` that was fitted on a data frame, or the
    frame has columns that are no numbers, it takes each column by its name, of shape (n, 1).

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
    X = X if X is None or is_frame(X) else np.asarray(X)
    try:
        steps, cnn = known_steps(estimator)
    except TypeError as error:
        if path.suffix == ".keras":
            raise
        return _export_by_skl2onnx(estimator, path, X, dtype, error)
    return _export_in_layers(estimator, steps, cnn, path, X, dtype)


def _export_in_layers(estimator: Any, steps: list[Any], cnn: Any, path: Path, X: Any, dtype: str | None) -> Path:
    """Write scalers and network as Keras' layers."""
    if cnn._fitted.topology.dtype == "float64" and (path.suffix == ".onnx" or len(cnn.input_shape_) == 4):
        cnn = in_float32(cnn)
    target = cnn._fitted.target
    about = _about(estimator, cnn, target.kind)
    expected = None if X is None else expected_answers(estimator, X)
    with building(cnn._fitted.topology.dtype), in_place_of(Path(os.path.realpath(path)), path.suffix) as unfinished:
        model = whole_model(steps, cnn, dtype or cnn._fitted.topology.dtype)
        if expected is None:
            samples, expected = made_up_samples(model)
        else:
            samples = np.asarray(X).astype(model.inputs[0].dtype)

        def answers() -> dict[str, np.ndarray]:
            if path.suffix == ".keras":
                _write_keras(unfinished, model, about)
                return _keras_answers(unfinished, samples)
            _write_onnx(unfinished, model, target, about)
            return answers_of(unfinished, {"X": samples})

        check_answers(expected, attempt(answers, HINTS[path.suffix]), ADVICE["layers"])
    return path


def _export_by_skl2onnx(estimator: Any, path: Path, X: Any, dtype: str | None, reason: TypeError) -> Path:
    """Write whatever skl2onnx knows, if its answers are those of the estimator."""
    name = type(estimator).__name__
    if not hasattr(estimator, "predict"):
        raise reason
    check_is_fitted(estimator)
    _import("skl2onnx", f"{name} as .onnx")
    if dtype not in (None, "float32"):
        raise ValueError(f"dtype={dtype!r}; expected 'float32' or None for {name}, which skl2onnx writes in float32.")
    if X is None:
        raise ValueError(
            f"X is None; {name} is written by skl2onnx, whose file is compared with the estimator before it is kept. "
            "Pass some samples to compare on, such as X=X_test."
        )
    expected = expected_answers(estimator, X)
    inputs = as_inputs(estimator, X)
    written = attempt(lambda: written_by_skl2onnx(estimator, inputs, list(expected)), HINTS["skl2onnx"])
    if not holds_network(written):
        raise reason
    with in_place_of(Path(os.path.realpath(path)), path.suffix) as unfinished:
        _save_onnx(unfinished, written, _about(estimator, estimator, task_of(estimator, expected)))
        found = attempt(lambda: answers_of(unfinished, inputs), HINTS["skl2onnx"])
        check_answers(expected, found, ADVICE["skl2onnx"])
    return path


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix not in (".keras", ".onnx"):
        raise ValueError(f"path={str(path)!r}; expected a name that ends in .keras or .onnx.")
    if path.is_dir():
        raise ValueError(f"path={str(path)!r} is a folder; expected the name of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"path={str(path)!r} is in a folder that does not exist; create {str(path.parent)!r} first.")
    for needed in WRITERS if path.suffix == ".onnx" else ():
        _import(needed, ".onnx")
    return path


def _import(needed: str, what: str) -> None:
    try:
        import_module(needed)
    except ImportError as error:
        raise ImportError(f'Writing {what} needs {needed}; install it with pip install "skcnn[export]".') from error


def _about(estimator: Any, predictor: Any, task: str) -> dict[str, Any]:
    """Return what a user of the file may ask for, in JSON's types."""
    about: dict[str, Any] = {"estimator": type(predictor).__name__, "skcnn": __version__, "task": task}
    if task != "regression":
        classes = predictor.classes_  # of several outputs, a list of arrays
        about["classes"] = [one.tolist() if hasattr(one, "tolist") else one for one in classes]
    fitted = getattr(estimator, "best_estimator_", estimator)
    if hasattr(fitted, "feature_names_in_"):
        about["features"] = fitted.feature_names_in_.tolist()
    return about


# The two kinds of file ----------------------------------------------------------------------------------------------


def _write_keras(path: Path, model: Any, about: dict[str, Any]) -> None:
    _, keras = start_tensorflow()
    keras.Model(model.inputs[0], model.outputs[1]).save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("skcnn.json", json.dumps(about, default=str))


def _keras_answers(path: Path, samples: np.ndarray) -> dict[str, np.ndarray]:
    _, keras = start_tensorflow()
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return {model.output_names[0]: np.asarray(model(samples))}


def _write_onnx(path: Path, model: Any, target: Any, about: dict[str, Any]) -> None:
    tf, _ = start_tensorflow()

    def predict(samples: Any) -> dict[str, Any]:
        z, outputs = model(samples, training=False)
        if not isinstance(target, ClassTarget):
            return {"prediction": outputs}
        return {"label": labels_of(z, target), "probabilities": outputs}

    written = graph_of(predict, tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype))
    written.graph.input[0].name, given = "X", written.graph.input[0].name
    for node in written.graph.node:
        node.input[:] = ["X" if name == given else name for name in node.input]
    _save_onnx(path, written, about)


def _save_onnx(path: Path, written: Any, about: dict[str, Any]) -> None:
    import onnx

    for tensor in (*written.graph.input, *written.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    texts = {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in about.items()}
    onnx.helper.set_model_props(written, texts)
    onnx.save(written, path)

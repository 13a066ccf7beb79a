"""skcnn's estimators and transformers in skl2onnx, so that whatever it knows is written with the network inside."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from skcnn._sklearn.checks import is_frame
from skcnn._sklearn.steps import flat_steps, unwrap
from skcnn.estimators import CNNClassifier, CNNRegressor
from skcnn.persistence import _converters as ours
from skcnn.preprocessing import ChannelsLast, NDTransformer, StandardNormalVariate

__all__ = ["as_inputs", "holds_network", "register_skl2onnx", "written_by_skl2onnx"]

FLAGS = [True, False]
OPTIONS = {"zipmap": [*FLAGS, "columns"], "nocl": FLAGS, "raw_scores": FLAGS, "output_class_labels": FLAGS}


def register_skl2onnx() -> None:
    """Register skcnn's estimators and transformers with skl2onnx.

    Then ``skl2onnx.to_onnx`` converts whatever it knows with a network of skcnn inside: pipelines, column transformers,
    searches, stacking, calibration. It registers `CNNClassifier` and `CNNRegressor` with all subclasses that are
    defined by then, such as those of `skcnn.scikeras`, skcnn's transformers, and pipelines with samplers, which are
    left out. `export` does all that by itself, and compares the file with the estimator.

    Raises
    ------
    ImportError
        If skl2onnx or tf2onnx is missing.

    See Also
    --------
    skcnn.export : Write a whole estimator to a file that was compared with it.

    Notes
    -----
    skl2onnx knows no `FrozenEstimator` and no `FixedThresholdClassifier`, and drops the threshold of
    `TunedThresholdClassifierCV`; these are registered, too. What else it converts wrongly, such as isotonic calibration
    and calibration around a pipeline, stays as it is: compare, or use `export`. Networks are in float32.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PowerTransformer
    >>> from skcnn import CNNClassifier
    >>> from skcnn.persistence import register_skl2onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> cnn = CNNClassifier(input_shape=(8, 8, 1), epochs=1, random_state=0)
    >>> pipe = make_pipeline(PowerTransformer(), cnn).fit(X, y)
    >>> register_skl2onnx()
    >>> model = skl2onnx.to_onnx(pipe, X[:1].astype("float32"), options={"zipmap": False})
    >>> [output.name for output in model.graph.output]
    ['label', 'probabilities']
    """
    try:
        import tf2onnx  # noqa: F401, which says now rather than in the middle of a conversion that it is missing
        from skl2onnx import update_registered_converter as register
        from skl2onnx._parse import update_registered_parser
    except ImportError as error:
        raise ImportError(f'{error}. Install what is needed with pip install "skcnn[export]".') from error
    from imblearn.pipeline import Pipeline as ImblearnPipeline

    from skcnn.sampling import Pipeline as SamplingPipeline

    for kind in _with_subclasses(CNNClassifier):
        register(kind, "SkcnnClassifier", ours.class_shapes, ours.convert_cnn, options=OPTIONS)
    for kind in _with_subclasses(CNNRegressor):
        register(kind, "SkcnnRegressor", ours.target_shapes, ours.convert_cnn)
    for transformer in (StandardNormalVariate, ChannelsLast):
        register(transformer, f"Skcnn{transformer.__name__}", ours.sample_shapes, ours.convert_transformer)
    register(ours.Reshape, "SkcnnReshape", ours.sample_shapes, ours.convert_reshape)
    update_registered_parser(NDTransformer, ours.parse_nd_transformer)
    for pipeline in (ImblearnPipeline, SamplingPipeline, FrozenEstimator):
        how: dict[str, Any] = {"parser": ours.parse_pipeline, "options": OPTIONS}
        register(pipeline, "SkcnnPipeline", ours.no_shapes, ours.convert_pipeline, **how)
    for wrapper in (FixedThresholdClassifier, TunedThresholdClassifierCV):
        how = {"overwrite": True, "options": {name: OPTIONS[name] for name in OPTIONS if name != "raw_scores"}}
        register(wrapper, f"Skcnn{wrapper.__name__}", ours.class_shapes, ours.convert_threshold, **how)


def _with_subclasses(kind: Any) -> list[Any]:
    """Return a class and its subclasses, which skl2onnx looks up one by one."""
    return [kind, *(one for child in kind.__subclasses__() for one in _with_subclasses(child))]


# Whole estimators ---------------------------------------------------------------------------------------------------


def as_inputs(estimator: Any, X: Any) -> dict[str, np.ndarray]:
    """Return samples as a file takes them: one array X, or columns where the estimator chooses them by name."""
    if not is_frame(X):
        return {"X": _plain(X)}
    columns = {str(name): _plain(np.asarray(X[name])[:, None]) for name in X.columns}
    first_steps = [step for _, one in unwrap(estimator) for step in flat_steps(one)[:1]]
    by_name = any(isinstance(step, ColumnTransformer) for step in first_steps)
    if by_name or any(column.dtype == object for column in columns.values()):
        return columns
    return {"X": np.hstack([*columns.values()])}


def _plain(values: np.ndarray) -> np.ndarray:
    """Return numbers in float32, in which alone skl2onnx writes all that it knows, and anything else as text."""
    return values.astype(np.float32) if values.dtype.kind in "biuf" else values.astype(str).astype(object)


def written_by_skl2onnx(estimator: Any, inputs: dict[str, np.ndarray], outputs: list[str]) -> Any:
    """Return an estimator as an ONNX model with these outputs, in this order; what else skl2onnx adds is left out."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    register_skl2onnx()
    kinds = {name: StringTensorType if one.dtype == object else FloatTensorType for name, one in inputs.items()}
    types = [(name, kinds[name]([None, *one.shape[1:]])) for name, one in inputs.items()]
    written = convert_sklearn(
        estimator,
        initial_types=types,
        options={id(estimator): {"zipmap": False}} if "label" in outputs else None,
        final_types=[(name, None) for name in (("label", "probabilities") if "label" in outputs else outputs)],
        custom_conversion_functions={Pipeline: ours.convert_pipeline},
    )
    del written.graph.output[len(outputs) :]
    return written


def holds_network(written: Any) -> bool:
    """Tell whether a network of skcnn is in an ONNX model."""
    return any(node.name.startswith(ours.NETWORK) for node in written.graph.node)

"""Converters of skl2onnx: what it asks for each of skcnn's classes, shapes and nodes."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator

from skcnn._engine.blueprint import building
from skcnn._engine.threads import start_tensorflow
from skcnn._fit.targets import ClassTarget
from skcnn._sklearn.internals import threshold_of
from skcnn._sklearn.steps import flat_steps, unwrap
from skcnn.estimators import CNNClassifier
from skcnn.persistence._layers import in_float32, labels_of, whole_model
from skcnn.persistence._onnx import graph_of
from skcnn.preprocessing import ChannelsLast

__all__ = [
    "NETWORK",
    "Reshape",
    "class_shapes",
    "convert_cnn",
    "convert_pipeline",
    "convert_reshape",
    "convert_threshold",
    "convert_transformer",
    "no_shapes",
    "parse_nd_transformer",
    "parse_pipeline",
    "sample_shapes",
    "target_shapes",
]

NETWORK, STEP = "skcnn_network", "skcnn_step"  # how names in their graphs begin
NEWEST_OPSET = 18  # that tf2onnx writes; it is valid in a file of a newer one, which skl2onnx asks for
TYPES = {
    "Float": "float32",
    "Double": "float64",
    "Int64": "int64",
    "Int32": "int32",
    "UInt8": "uint8",
    "Boolean": "bool",
}


# Networks -----------------------------------------------------------------------------------------------------------


def class_shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    model, n = operator.raw_operator, operator.inputs[0].get_first_dimension()
    label = Int64TensorType if model.classes_.dtype.kind in "biuf" else StringTensorType
    width = len(model.classes_)
    multilabel = isinstance(model, CNNClassifier) and model._fitted.target.kind == "multilabel"
    operator.outputs[0].set_type(label([n, width] if multilabel else [n]))
    operator.outputs[1].set_type(_floats(operator)([n, width]))


def target_shapes(operator: Any) -> None:
    n = operator.inputs[0].get_first_dimension()
    operator.outputs[0].set_type(_floats(operator)([n, operator.raw_operator.n_outputs_]))


def _floats(operator: Any) -> Any:
    """Return the type that skl2onnx has for numbers made of such inputs: double only for double."""
    from skl2onnx.common.data_types import guess_tensor_type

    return type(guess_tensor_type(operator.inputs[0].type))


def convert_cnn(scope: Any, operator: Any, container: Any) -> None:
    """Write a network: label and probabilities, or predictions."""
    tf, _ = start_tensorflow()
    cnn = in_float32(operator.raw_operator._as(operator.raw_operator._fitted))
    target = cnn._fitted.target
    wide = TYPES[_name_of_type(operator.outputs[-1])]
    options = {}
    if isinstance(target, ClassTarget):
        options = container.get_options(operator.raw_operator, {"raw_scores": False, "nocl": False})
    with building("float32"):
        model = whole_model([], cnn, "float32")

    def predict(samples: Any) -> list[Any]:
        z, outputs = model(tf.cast(samples, tf.float32), training=False)
        if not isinstance(target, ClassTarget):
            return [tf.cast(outputs, wide)]
        labels = labels_of(z, target, codes=options["nocl"])
        labels = labels if labels.dtype == tf.string else tf.cast(labels, tf.int64)
        if options["raw_scores"]:  # of two classes skl2onnx takes the second column
            outputs = tf.concat([-z, z], axis=1) if target.kind == "binary" else z
        return [labels, tf.cast(outputs, wide)]

    _add(predict, NETWORK, cnn._fitted.layout.sample_shape, scope, operator, container)


def _add(function: Any, prefix: str, sample_shape: Any, scope: Any, operator: Any, container: Any) -> None:
    """Add the graph of a function of TensorFlow to the file."""
    from onnx import compose, helper

    tf, _ = start_tensorflow()
    spec = tf.TensorSpec((None, *sample_shape), TYPES[_name_of_type(operator.inputs[0])], name="samples")
    written = graph_of(function, spec, min(NEWEST_OPSET, container.target_opset))
    _name_what_is_omitted(written.graph)
    # Not skl2onnx.helpers.add_onnx_graph, which does not look into Loop and If.
    graph = compose.add_prefix_graph(written.graph, scope.get_unique_operator_name(prefix) + "_")
    ends = [(operator.inputs[0].full_name, graph.input[0].name)]
    ends += [(inner.name, outer.full_name) for inner, outer in zip(graph.output, operator.outputs, strict=True)]
    container.nodes.extend([*graph.node, *(helper.make_node("Identity", [given], [name]) for given, name in ends)])
    container.initializers.extend(graph.initializer)
    for opset in written.opset_import:
        container.node_domain_version_pair_sets.add((opset.domain, opset.version))


def _name_what_is_omitted(graph: Any) -> None:
    """Give a value or a name to omitted inputs and outputs, whose name "" skl2onnx takes for that of a value."""
    from onnx import TensorProto, helper

    for node in list(graph.node):
        for i, name in enumerate(node.output):
            node.output[i] = name or f"{node.name}_unused_{i}"
        while node.input and not node.input[-1]:
            node.input.pop()
        if node.op_type in ("LSTM", "GRU", "RNN") and "" in node.input:  # lengths of the sequences, which are all alike
            steps, batch, rows, lengths = (f"{node.name}_{one}" for one in ("steps", "batch", "rows", "lengths"))
            graph.node.extend(
                [
                    helper.make_node("Shape", [node.input[0]], [steps], start=0, end=1),
                    helper.make_node("Shape", [node.input[0]], [batch], start=1, end=2),
                    helper.make_node("Cast", [steps], [rows], to=TensorProto.INT32),
                    helper.make_node("Expand", [rows, batch], [lengths]),
                ]
            )
            node.input[4] = lengths


def _name_of_type(variable: Any) -> str:
    """Return what skl2onnx calls the type of a variable: Float, Double, Int64."""
    return type(variable.type).__name__.removesuffix("TensorType")


# Transformers -------------------------------------------------------------------------------------------------------


def sample_shapes(operator: Any) -> None:
    """Say how many axes come out of a transformer of samples."""
    given, step = operator.inputs[0].type, operator.raw_operator
    shape = getattr(step, "shape_after", [None] * max(1, len(given.shape) - 1))
    operator.outputs[0].set_type(type(given)([operator.inputs[0].get_first_dimension(), *shape]))


def convert_transformer(scope: Any, operator: Any, container: Any) -> None:
    tf, _ = start_tensorflow()
    step = operator.raw_operator
    rank = len(operator.inputs[0].type.shape) or 2

    def moved(samples: Any) -> list[Any]:
        return [tf.transpose(samples, (0, *range(2, rank), 1))]

    def standardized(samples: Any) -> list[Any]:  # as `StandardNormalVariate.transform`
        values = tf.reshape(tf.cast(samples, tf.float32), (tf.shape(samples)[0], -1))
        mean = tf.reduce_mean(values, axis=1, keepdims=True)
        values -= mean
        largest = tf.reduce_max(tf.abs(values), axis=1, keepdims=True)
        constant = largest <= 10 * float(np.finfo(np.float32).eps) * tf.abs(mean)
        values = tf.where(constant, 0.0, values / tf.where(constant, 1.0, largest))
        scale = tf.sqrt(tf.reduce_mean(tf.square(values), axis=1, keepdims=True))
        return [tf.reshape(tf.where(scale > 0, values / tf.where(scale > 0, scale, 1.0), 0.0), tf.shape(samples))]

    function = moved if isinstance(step, ChannelsLast) else standardized
    _add(function, STEP, (None,) * (rank - 1), scope, operator, container)


@dataclass(frozen=True)
class Reshape:
    """A step that gives samples another shape."""

    shape_after: tuple[int, ...]


def convert_reshape(scope: Any, operator: Any, container: Any) -> None:
    from onnx import TensorProto

    shape = scope.get_unique_variable_name("shape")
    sizes = (-1, *operator.raw_operator.shape_after)
    container.add_initializer(shape, TensorProto.INT64, [len(sizes)], sizes)
    container.add_node(
        "Reshape",
        [operator.inputs[0].full_name, shape],
        operator.outputs[0].full_name,
        name=scope.get_unique_operator_name("Reshape"),
    )


def parse_nd_transformer(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Write an `NDTransformer` as its transformer between two changes of shape."""
    from skl2onnx._parse import _parse_sklearn

    shape = model.sample_shape_
    if len(shape) == 1:
        return _parse_sklearn(scope, model.transformer_, inputs, custom_parsers=custom_parsers)
    n_columns = shape[-1] if model.per == "channel" else prod(shape)
    n_after = model.transformer_.transform(np.ones((1, n_columns), np.float32)).shape[1]
    table = _parse_reshape(scope, inputs, (n_columns,))
    table = _parse_sklearn(scope, model.transformer_, table, custom_parsers=custom_parsers)
    if model.per == "channel":
        return _parse_reshape(scope, table, (*shape[:-1], n_after))
    return _parse_reshape(scope, table, shape) if n_after == n_columns else table


def _parse_reshape(scope: Any, inputs: Any, shape: tuple[int, ...]) -> Any:
    operator = scope.declare_local_operator("SkcnnReshape", Reshape(shape))
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("samples", type(inputs[0].type)([None, *shape])))
    return operator.outputs


# Pipelines and thresholds -------------------------------------------------------------------------------------------


def no_shapes(operator: Any) -> None:
    """Leave shapes to the steps, as skl2onnx does for pipelines."""


def _steps(model: Any) -> list[Any]:
    """Return what predicts in a pipeline or a frozen estimator."""
    return flat_steps(model.estimator if isinstance(model, FrozenEstimator) else model)


def parse_pipeline(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Write the steps of a pipeline one after the other, as skl2onnx does, without samplers."""
    from skl2onnx._parse import _parse_sklearn

    for step in _steps(model):
        if is_classifier(step) and (scope.options is None or id(step) not in scope.options):
            scope.add_options(id(step), scope.get_options(model, {"zipmap": True}))
        inputs = _parse_sklearn(scope, step, inputs, custom_parsers=custom_parsers)
    return inputs


def convert_pipeline(scope: Any, operator: Any, container: Any) -> None:
    """Write a pipeline that is part of another estimator.

    Unlike skl2onnx, which calibrates probabilities in their place, it returns raw scores where these are asked for.
    """
    from skl2onnx._parse import _parse_sklearn
    from skl2onnx.common.data_types import guess_proto_type

    inputs = operator.inputs
    asked = container.get_options(operator.raw_operator, {"raw_scores": False})
    for step in _steps(operator.raw_operator):
        if is_classifier(step):
            options = {"zipmap": False}
            if container.has_options(step, "raw_scores"):
                options["raw_scores"] = asked["raw_scores"]
            scope.add_options(id(step), options)
            container.add_options(id(step), options)
        inputs = _parse_sklearn(scope, step, inputs)
    for found, wanted in zip(inputs, operator.outputs, strict=True):
        same = isinstance(wanted.type, type(found.type)) or "String" in _name_of_type(found)
        how: tuple[str, dict[str, Any]] = ("Identity", {}) if same else ("Cast", {"to": guess_proto_type(wanted.type)})
        name = scope.get_unique_operator_name(how[0])
        container.add_node(how[0], found.full_name, wanted.full_name, name=name, **how[1])


def convert_threshold(scope: Any, operator: Any, container: Any) -> None:
    """Write a classifier with a decision threshold: probabilities as they are, labels by the threshold."""
    from onnx import TensorProto
    from skl2onnx import get_model_alias
    from skl2onnx.common.data_types import Int64TensorType, guess_proto_type

    model = operator.raw_operator
    method, threshold, positive = threshold_of(model)
    if method == "decision_function":
        if not isinstance(unwrap(model.estimator_)[-1][1], CNNClassifier):
            raise NotImplementedError("a threshold of decision_function is only known for networks of skcnn")
        threshold = float(expit(threshold))
    inner = scope.declare_local_operator(get_model_alias(type(model.estimator_)), model.estimator_)
    inner.inputs = operator.inputs
    label = scope.declare_local_variable("label", Int64TensorType())
    probabilities = scope.declare_local_variable("probabilities", type(operator.outputs[1].type)())
    inner.outputs.extend([label, probabilities])

    def added(kind: str, inputs: list[str], **attributes: Any) -> str:
        name = scope.get_unique_variable_name(kind.lower())
        container.add_node(kind, inputs, name, name=scope.get_unique_operator_name(kind), **attributes)
        return name

    def constant(kind: int, values: Any, shape: tuple[int, ...] = ()) -> str:
        name = scope.get_unique_variable_name("constant")
        container.add_initializer(name, kind, list(shape), values)
        return name

    score = added("Gather", [probabilities.full_name, constant(TensorProto.INT64, [positive])], axis=1)
    floats = guess_proto_type(operator.outputs[1].type)
    above = added("GreaterOrEqual", [score, constant(floats, [threshold])])
    classes = model.classes_[[1 - positive, positive]]
    numbers = classes.dtype.kind in "biuf"
    labels = [int(one) for one in classes] if numbers else [str(one).encode() for one in classes]
    classes = constant(TensorProto.INT64 if numbers else TensorProto.STRING, labels, (2,))
    chosen = added("Gather", [classes, added("Cast", [above], to=TensorProto.INT64)])
    for found, wanted in zip((chosen, probabilities.full_name), operator.outputs, strict=True):
        name = scope.get_unique_operator_name("Identity")
        container.add_node("Identity", found, wanted.full_name, name=name)

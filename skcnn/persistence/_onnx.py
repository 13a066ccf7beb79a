"""From functions of TensorFlow to graphs of ONNX, and their answers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skcnn._engine.threads import start_tensorflow

__all__ = ["answers_of", "graph_of"]


def graph_of(function: Callable[..., Any], spec: Any, opset: int | None = None) -> Any:
    """Return a function of one tensor as an ONNX model.

    Parameters
    ----------
    function : callable
        What takes and returns tensors of TensorFlow.
    spec : tensorflow.TensorSpec
        Shape and type of the tensor that it takes.
    opset : int, default=None
        Version of ONNX' operators; None is tf2onnx' default.
    """
    import tf2onnx

    tf, _ = start_tensorflow()
    traced = tf.function(function, autograph=False)
    written, _ = tf2onnx.convert.from_function(traced, [spec], opset=opset, custom_op_handlers={"Erfc": (_erfc, [])})
    return written


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Write Erfc, which exact gelu has, as 1 - Erf: ONNX has no Erfc, for which tf2onnx writes an invalid file."""
    inputs, outputs = node.input[:], node.output[:]
    shape, dtype = context.get_shape(outputs[0]), context.get_dtype(outputs[0])
    context.remove_node(node.name)
    one = context.make_const(f"{name}_one", np.ones((), np.float32))
    erf = context.make_node("Erf", inputs)
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=outputs, shapes=[shape], dtypes=[dtype])


def answers_of(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what onnxruntime says to samples, by the names of the file's outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised as well
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    names: Sequence[str] = [output.name for output in session.get_outputs()]
    return {name: np.asarray(value) for name, value in zip(names, session.run(names, dict(inputs)), strict=True)}

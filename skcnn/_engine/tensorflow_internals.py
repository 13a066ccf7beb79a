"""Private names of TensorFlow, in the one place that uses them. Seen in TensorFlow 2.18 to 2.21.

TensorFlow is imported when a function is called, not with this module.
"""

from typing import Any

__all__ = ["call_flat", "has_started", "ops_are_deterministic"]


def call_flat(concrete: Any, arguments: list[Any], captured: list[Any]) -> Any:
    """Call a concrete function with other variables than those it was traced with.

    `tf.raw_ops.StatefulPartitionedCall` does the same, but keeps 1.5 MiB of each graph that is no longer used.
    """
    return concrete._call_flat(arguments, captured)


def has_started() -> bool:
    """Tell whether TensorFlow has started its threads; every public question to the runtime starts it."""
    from tensorflow.python.eager import context

    return context.context()._context_handle is not None


def ops_are_deterministic() -> bool:
    """Tell whether `tf.config.experimental.enable_op_determinism` was called, which no public function tells."""
    from tensorflow.python.framework.config import is_op_determinism_enabled

    return bool(is_op_determinism_enabled())

"""Saving fitted estimators: types that skops may load, and files that need neither skcnn nor scikit-learn."""

from skcnn.persistence._export import export
from skcnn.persistence._skl2onnx import register_skl2onnx
from skcnn.persistence._trusted import TRUSTED_TYPES

__all__ = ["TRUSTED_TYPES", "export", "register_skl2onnx"]

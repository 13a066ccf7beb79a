"""Whether a file answers as the estimator does that it was written from."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

__all__ = ["attempt", "check_answers", "expected_answers", "made_up_samples", "task_of"]

TOLERANCE = 1e-4  # of the largest output
MADE_UP = 3  # samples, which may lie far from those trained on

Answers = dict[str, np.ndarray]
Result = TypeVar("Result")


def expected_answers(estimator: Any, X: Any) -> Answers:
    """Return labels and probabilities, or predictions, by the names of a file's outputs."""
    if len(X) == 0:
        raise ValueError("X has no samples; pass some to compare the file on, such as X=X_test.")
    predicted = np.asarray(estimator.predict(X))
    if not hasattr(estimator, "classes_"):
        return {"prediction": predicted.reshape(len(predicted), -1)}
    probabilities = getattr(estimator, "predict_proba", None)  # hard votes have none
    return {"label": predicted} | ({} if probabilities is None else {"probabilities": np.asarray(probabilities(X))})


def task_of(estimator: Any, expected: Answers) -> str:
    """Return the kind of target, as the estimators call it."""
    if "prediction" in expected:
        return "regression"
    if expected["label"].ndim > 1:
        return "multilabel"
    return "binary" if len(estimator.classes_) == 2 else "multiclass"


def made_up_samples(model: Any) -> tuple[np.ndarray, Answers]:
    """Return a few samples and what a Keras model of logits and outputs answers to them."""
    samples = np.random.default_rng(0).uniform(0, 3, size=(MADE_UP, *model.input_shape[1:]))
    samples = samples.astype(model.inputs[0].dtype)
    return samples, {model.output_names[1]: model(samples)[1].numpy()}


def attempt(step: Callable[[], Result], hint: str) -> Result:
    """Return what a step of writing or reading a file returns; its errors are explained."""
    try:
        return step()
    except (MemoryError, OSError):
        raise
    except Exception as error:  # whatever Keras, tf2onnx, skl2onnx, onnxruntime or a custom layer raises
        raise ValueError(f"{hint} Nothing was kept ({type(error).__name__}: {error}).") from error


def check_answers(expected: Answers, found: Answers, advice: str) -> None:
    """Compare a file's answers with those expected.

    Raises
    ------
    ValueError
        If they differ.
    """
    for name in [name for name in expected if name in found]:
        same_shape = found[name].shape == expected[name].shape
        difference = "in shape" if not same_shape else _difference(name, expected, found[name])
        if difference:
            raise ValueError(
                f"What was written predicts otherwise than the estimator, {difference}, and was not kept. {advice}"
            )


def _difference(name: str, expected: Answers, found: np.ndarray) -> str:
    """Return in words how answers differ, or nothing."""
    if name == "label":
        wrong = _different_labels(found, expected)
        return f"in {wrong.sum()} of {len(wrong)} labels" if wrong.any() else ""
    largest = np.abs(expected[name]).max(axis=0 if name == "prediction" else None)  # targets have units of their own
    difference = np.abs(found - expected[name]) / np.maximum(largest, np.finfo(np.float32).tiny)
    return "" if (difference <= TOLERANCE).all() else f"by {difference.max():.2g} of the largest output"


def _different_labels(found: np.ndarray, expected: Answers) -> np.ndarray:
    """Return which samples have another label, where rounding alone does not decide it."""
    labels = expected["label"]
    if found.dtype.kind not in "biuf" or labels.dtype.kind not in "biuf":
        found, labels = found.astype(str), labels.astype(str)
    different = found != labels
    p = expected.get("probabilities")
    if labels.ndim == 1 and p is not None:
        lower, upper = np.sort(p, axis=1)[:, -2:].T
        return different & (upper - lower > TOLERANCE)
    return different.any(axis=1) if different.ndim > 1 else different

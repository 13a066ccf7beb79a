"""Series: which shape is hidden in noise, and where did the network look? ``python -m skcnn.examples.series``."""

import numpy as np

from skcnn import CNNClassifier
from skcnn.inspection import saliency
from skcnn.networks import FCN


def hidden_shapes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw noise of 80 steps with a saw tooth that rises (class 1) or falls (class 0), and where it starts."""
    rng = np.random.default_rng(seed)
    X, y, start = rng.normal(size=(n, 80, 1)), rng.integers(2, size=n), rng.integers(70, size=n)
    tooth = np.linspace(-3, 3, 10)
    for steps, rises, begin in zip(X, y, start, strict=True):
        steps[begin : begin + 10, 0] += tooth if rises else -tooth
    return X, y, start


def main() -> tuple[float, float]:
    """Learn to tell the teeth apart wherever they are, and see whether the network looks at them."""
    X_train, y_train, _ = hidden_shapes(400, seed=0)
    X_test, y_test, start = hidden_shapes(200, seed=1)
    # FCN averages over the steps, so that the place of a shape does not matter.
    network = FCN(filters=(16, 32, 16), kernel_sizes=(8, 5, 3))
    cnn = CNNClassifier(network, epochs=20, random_state=0)
    cnn.fit(X_train, y_train)
    accuracy = cnn.score(X_test, y_test)
    print(f"Accuracy on 200 other series: {accuracy:.3f}.")

    looked_at = np.abs(saliency(cnn, X_test)).reshape(200, 80).argmax(axis=1)  # the step that matters most
    at_tooth = float(np.mean((looked_at >= start - 2) & (looked_at < start + 12)))
    print(f"In {at_tooth:.0%} of them what it looks at most lies at the tooth.")
    return accuracy, at_tooth


if __name__ == "__main__":
    main()

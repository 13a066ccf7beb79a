"""Compare the results of thirteen fits, to the bit, on two revisions of the package.

Each fit goes through another part of the training: networks, targets, schedules, balancing, resampling, augmentation,
early stopping with a scorer, refits, warm starts and callbacks. A digest covers predictions, weights and history.

    python benchmarks/exactness.py                  # print the digests of this checkout
    python benchmarks/exactness.py --against main   # and compare them with those of another revision

Digests depend on the processor and on the versions of the libraries, so both revisions run on the same machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def custom(input_shape, n_outputs):
    """Build a custom network with Keras' own layers."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(n_outputs),
        ]
    )


def fits():
    """Yield a name, a fitted estimator and samples to predict for."""
    import keras
    from imblearn.over_sampling import SMOTE
    from sklearn.datasets import load_diabetes, load_digits

    from skcnn import CNNClassifier, CNNRegressor
    from skcnn.networks import FCN, ImageResNet, Plain

    X, y = load_digits(return_X_y=True)
    X = (X / 16).reshape(-1, 8, 8, 1).astype("float32")[:400]
    y = y[:400]
    rare = (y == 8).astype(int)
    weight = np.random.default_rng(0).uniform(0, 2, len(X)).round(1)
    small = {"network": Plain(filters=(6, 8)), "epochs": 4, "random_state": 3}
    steps = X.reshape(len(X), 64, 1)

    yield "defaults", CNNClassifier(epochs=4, random_state=0).fit(X, y), X
    yield (
        "penalties",
        CNNClassifier(**small, l1=1e-4, l2=1e-3, dropout=0.3, spatial_dropout=0.1, weight_decay=1e-3).fit(X, y, weight),
        X,
    )
    yield (
        "uint8",
        CNNClassifier(**small, standardize="channel").fit((X * 255).astype("uint8"), y),
        (X * 255).astype("uint8"),
    )
    yield (
        "early",
        CNNClassifier(
            **small | {"epochs": 12}, early_stopping=True, scoring="accuracy", n_iter_no_change=2, refit_full=True
        ).fit(X, y, groups=np.arange(400) // 3),
        X,
    )
    yield (
        "balanced",
        CNNClassifier(**small, class_weight="balanced", early_stopping=True, priors="train", schedule="plateau").fit(
            X, rare, weight
        ),
        X,
    )
    yield "sampler", CNNClassifier(**small, sampler=SMOTE(), resample="epoch", priors=[0.8, 0.2]).fit(X, rare), X
    yield "batches", CNNClassifier(**small, balanced_batches=True, optimizer="sgd", momentum=0.8).fit(X, y), X
    multilabel = np.stack([y % 2, y > 4, y == 8], axis=1).astype(int)
    yield (
        "multilabel",
        CNNClassifier(**small, loss="focal", label_smoothing=0.1, ema_momentum=0.9, clipnorm=1.0).fit(X, multilabel),
        X,
    )
    varied = CNNClassifier(
        ImageResNet(8, filters=4),
        epochs=2,
        stochastic_depth=0.2,
        mixup=0.2,
        cutmix=1.0,
        augmentation=["flip", "rotation", "noise", keras.layers.RandomContrast(0.1, seed=1)],
        schedule="one_cycle",
        random_state=1,
    )
    yield "augmented", varied.fit(X, y), X
    warm = CNNRegressor(**small, warm_start=True, early_stopping=True, loss="huber", schedule="cosine")
    table, target = load_diabetes(return_X_y=True)
    yield "regressor", warm.fit(table, target).fit(table, target), table
    online = CNNClassifier(FCN((4, 4), kernel_sizes=(5, 3)), random_state=2, dtype="float64")
    for part in np.array_split(np.arange(400), 4):
        online.partial_fit(steps[part], y[part], classes=np.arange(10))
    yield "partial_fit", online, steps
    without = Plain(filters=(6, 8), normalization="layer")
    yield "without", CNNClassifier(without, epochs=6, early_stopping=True, dropout=0.2, random_state=4).fit(X, y), X
    lowering = keras.callbacks.LearningRateScheduler(lambda epoch: 0.003 * 0.5**epoch)
    yield (
        "callbacks",
        CNNClassifier(custom, epochs=4, callbacks=[lowering], random_state=5, schedule="constant").fit(
            X, y, X_val=X[:50], y_val=y[:50]
        ),
        X,
    )


def digest(estimator, X):
    """Return a digest of all that a fit has come to."""
    h = sha256()
    names = [name for name in ("predict", "decision_function", "predict_proba") if hasattr(estimator, name)]
    for values in [*(getattr(estimator, name)(X) for name in names), *estimator.to_keras().get_weights()]:
        h.update(np.ascontiguousarray(values).tobytes())
    h.update(repr((estimator.history_, estimator.n_iter_, estimator.best_iter_)).encode())
    return h.hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REVISION", help="compare with this revision of the repository")
    against = parser.parse_args().against
    here = {name: digest(estimator, X) for name, estimator, X in fits()}
    if against is None:
        for name, value in here.items():
            print(f"{name:<12} {value}")
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", against], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x", "-C", folder], input=archive, check=True)
        script = [sys.executable, str(Path(__file__).resolve())]
        out = subprocess.run(
            script, cwd=folder, env=os.environ | {"PYTHONPATH": folder}, check=True, capture_output=True
        )
    there = dict(line.split() for line in out.stdout.decode().splitlines())
    for name, value in here.items():
        print(f"{name:<12} {value} {there[name]} {'same' if value == there[name] else 'DIFFERENT'}")
    sys.exit(here != there)


if __name__ == "__main__":
    main()

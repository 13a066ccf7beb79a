"""The part of ``accuracy.py`` that runs where aeon is installed: data and fits.

python benchmarks/accuracy_aeon.py data FOLDER             # each set as FOLDER/NAME.npz
python benchmarks/accuracy_aeon.py time NPZ EPOCHS BATCH_SIZE
"""

import json
import sys
import time
from pathlib import Path

SETS = ("ItalyPowerDemand", "GunPoint", "ArrowHead", "OSULeaf", "ACSF1")
CLASSIFIERS = {"fcn": "FCNClassifier", "resnet": "ResNetClassifier", "inception": "IndividualInceptionClassifier"}


def write_data(folder: Path) -> None:
    """Write the series that come with aeon, (n, steps, channels), without downloading."""
    import aeon
    import numpy as np
    from aeon.datasets import load_from_ts_file

    root = Path(aeon.__file__).parent / "datasets" / "data"
    for name in SETS:
        parts = {}
        for part in ("train", "test"):
            X, y = load_from_ts_file(str(root / name / f"{name}_{part.upper()}.ts"))
            parts |= {f"X_{part}": X.transpose(0, 2, 1).astype("float32"), f"y_{part}": np.asarray(y, str)}
        np.savez(folder / f"{name}.npz", **parts)


def time_fits(path: str, epochs: int, batch_size: int) -> dict[str, float]:
    """Return the processor seconds of a fit of each network, including all it saves."""
    import numpy as np
    import tensorflow as tf
    from aeon.classification import deep_learning

    tf.zeros(1)  # starts TensorFlow
    data, seconds = np.load(path), {}
    X = data["X_train"].transpose(0, 2, 1)
    for network, kind in CLASSIFIERS.items():
        classifier = getattr(deep_learning, kind)(n_epochs=epochs, batch_size=batch_size, random_state=0)
        start = time.process_time()
        classifier.fit(X, data["y_train"])
        seconds[network] = time.process_time() - start
    return seconds


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(Path(sys.argv[2]))
    else:
        print(json.dumps(time_fits(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))

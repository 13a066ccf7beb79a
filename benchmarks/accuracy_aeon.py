"""The part of ``accuracy.py`` that runs where aeon is installed: its data, and its own fits to compare times with.

python benchmarks/accuracy_aeon.py data FOLDER             # each set as FOLDER/NAME.npz
python benchmarks/accuracy_aeon.py time NPZ NETWORK EPOCHS BATCH_SIZE
"""

import json
import os
import sys
import time
from pathlib import Path

SETS = ("ItalyPowerDemand", "GunPoint", "ArrowHead", "OSULeaf", "ACSF1")


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


def time_fit(path: str, network: str, epochs: int, batch_size: int) -> dict[str, float]:
    """Time one fit of aeon's network of that name, with all that it builds, compiles and saves."""
    import numpy as np
    import tensorflow as tf
    from aeon.classification import deep_learning

    assert tf.__version__
    data = np.load(path)
    kinds = {"fcn": "FCNClassifier", "resnet": "ResNetClassifier", "inception": "IndividualInceptionClassifier"}
    classifier = getattr(deep_learning, kinds[network])(n_epochs=epochs, batch_size=batch_size, random_state=0)
    X = data["X_train"].transpose(0, 2, 1)
    start, processor = time.perf_counter(), time.process_time()
    classifier.fit(X, data["y_train"])
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(Path(sys.argv[2]))
        print(json.dumps(SETS))
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        print(json.dumps(time_fit(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))

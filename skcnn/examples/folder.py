"""A folder of images that need not fit into memory, in a search. ``python -m skcnn.examples.folder``."""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skcnn import CNNClassifier
from skcnn.datasets import LazySamples, load_image_folder


def main() -> GridSearchCV:
    """Learn from files: decoded once, and then read in blocks, ahead of what trains."""
    with TemporaryDirectory() as place:
        folder, cache = write_images(Path(place, "digits")), Path(place, "digits.npy")

        # Decoded into one file; a later call finds it there, and decodes images that have changed.
        digits = load_image_folder(folder, cache=cache)
        X = LazySamples(cache)  # is split without being read; memory maps beyond 1 GiB are read so, too
        train, test = train_test_split(range(len(X)), train_size=600, stratify=digits.target, random_state=0)

        search = GridSearchCV(CNNClassifier(epochs=10, random_state=0), {"l2": [0.0, 1e-3]}, cv=3)
        search.fit(X[train], digits.target[train])
        print(f"{len(train)} of {len(X)} images, accuracy {search.best_score_:.3f} in cross-validation.")
        print(f"On {len(test)} other images: {search.score(X[test], digits.target[test]):.3f}.")
    return search


def write_images(folder: Path) -> Path:
    """Write scikit-learn's digits as files ``folder/class/number.png``, as people have them."""
    digits = load_digits()
    for i, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((15 * image).astype("uint8")).save(folder / str(label) / f"{i}.png")
    return folder


if __name__ == "__main__":
    main()

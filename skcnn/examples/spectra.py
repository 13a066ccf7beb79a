"""Spectra: scatter out of each, and a network beside partial least squares. ``python -m skcnn.examples.spectra``."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import CNNRegressor
from skcnn.networks import Plain
from skcnn.preprocessing import StandardNormalVariate


def make_spectra(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Absorbances (n, 150, 1) of mixtures of four substances, of the first of which the amount is asked.

    Light scatters in the grains, which stretches and lifts each spectrum, and some of it strays past the sample, so
    that strong bands saturate.
    """
    rng = np.random.default_rng(seed)
    x, amounts = np.arange(150), rng.uniform(0, 1, (n, 4))
    places, widths = np.random.default_rng(1).uniform((10, 4), (140, 10), (4, 5, 2)).T
    bands = np.exp(-(((x - places[..., None]) / widths[..., None]) ** 2)).sum(axis=0)
    absorbed = rng.uniform(0.7, 1.3, (n, 1)) * (amounts @ bands) + rng.uniform(0, 0.3, (n, 1))
    seen = -np.log10(10**-absorbed + 0.05) + rng.normal(scale=0.003, size=(n, 150))
    return seen[..., None], amounts[:, 0]


def main() -> dict[str, float]:
    """Predict the amount of a substance from 300 spectra, each by models that did not see it."""
    X, y = make_spectra(300, seed=0)
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    components = {"plsregression__n_components": range(2, 21, 2)}
    # Flattened, since in spectra a band is known by its place; narrow, since samples are few.
    cnn = CNNRegressor(Plain((16, 32), pooling=None), epochs=100, random_state=0)
    ways = {
        "partial least squares": GridSearchCV(make_pipeline(flat, PLSRegression()), components, cv=5),
        "the same, without scatter": GridSearchCV(
            make_pipeline(StandardNormalVariate(), flat, PLSRegression()), components, cv=5
        ),
        "network, without scatter": make_pipeline(StandardNormalVariate(), cnn),
    }
    errors = {}
    for name, estimator in ways.items():
        predicted = cross_val_predict(estimator, X, y, cv=3).ravel()
        errors[name] = float(np.sqrt(np.mean((predicted - y) ** 2)))
        print(f"{name:26} root mean squared error {errors[name]:.4f}")
    return errors


if __name__ == "__main__":
    main()

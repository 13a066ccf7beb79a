"""Series of aeon, sktime and mne, with channels first, before networks that expect them last."""

import imblearn.pipeline
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import CNNClassifier
from skcnn.networks import Plain
from skcnn.preprocessing import ChannelsLast, NDTransformer
from skcnn.sampling import Pipeline as SamplingPipeline

pytestmark = pytest.mark.filterwarnings("default")  # warnings of these packages are not ours


@pytest.fixture
def series(rng):
    """Two channels of 30 steps, one of which has another frequency in each class."""
    y = np.arange(90) % 2
    time = np.arange(30) + rng.uniform(0, 30, (90, 1))
    return np.stack([np.sin(time * (0.5 + 0.5 * y[:, None])), rng.normal(size=(90, 30))], axis=1), y


def scores(first, X, y, kind=Pipeline):
    cnn = CNNClassifier(Plain(filters=(16, 16)), epochs=60, random_state=0)
    scaler = NDTransformer(StandardScaler(), per="channel")
    pipe = kind([("first", first), ("last", ChannelsLast()), ("scale", scaler), ("cnn", cnn)])
    return cross_val_score(pipe, X, y, cv=3, error_score="raise")


def test_aeon_before_and_ours_after(series):
    from aeon.transformations.collection import Normalizer

    assert scores(Normalizer(), *series).min() > 0.85


@pytest.mark.parametrize("kind", [SamplingPipeline, imblearn.pipeline.Pipeline])
def test_sktime_before_and_ours_after(kind, series):
    from sktime.transformations.compose import FitInTransform
    from sktime.transformations.series.adapt import TabularToSeriesAdaptor

    # As it is, it asks for as many series in transform as in fit.
    assert scores(FitInTransform(TabularToSeriesAdaptor(StandardScaler())), *series, kind=kind).min() > 0.85


def test_mne_before_and_ours_after(series):
    import mne

    mne.set_log_level("ERROR")
    epochs = mne.EpochsArray(series[0], mne.create_info(["a", "b"], sfreq=30.0, ch_types="eeg"))
    scaler = mne.decoding.Scaler(epochs.info, scalings="mean")
    assert scores(scaler, epochs.get_data(copy=True), series[1]).min() > 0.85

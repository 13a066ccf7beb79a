"""NDSampler: both libraries' contracts, and equality with the sampler's own work on flattened rows."""

import pickle
import tracemalloc
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn import FunctionSampler
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.over_sampling import (
    ADASYN,
    SMOTE,
    SMOTENC,
    SVMSMOTE,
    BorderlineSMOTE,
    KMeansSMOTE,
    RandomOverSampler,
)
from imblearn.pipeline import Pipeline, make_pipeline
from imblearn.under_sampling import (
    AllKNN,
    ClusterCentroids,
    EditedNearestNeighbours,
    InstanceHardnessThreshold,
    NearMiss,
    NeighbourhoodCleaningRule,
    OneSidedSelection,
    RandomUnderSampler,
    RepeatedEditedNearestNeighbours,
    TomekLinks,
)
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, estimator_html_repr

from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler

SHAPE = (4, 3, 2)


def make_images(dtype=np.float64):
    """Images of three overlapping classes, in random order."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat([0, 1, 2], [40, 12, 22]))
    X = rng.normal(100 + 30 * codes.reshape(-1, 1, 1, 1), 45, size=(len(codes), *SHAPE))
    return np.clip(X, 0, 255).astype(dtype), np.array(["cat", "dog", "eel"])[codes]


def listed(parametrize_with_checks):
    """The suite's decorator with its checks in a list, as pytest wants them."""
    names, checks = parametrize_with_checks.args
    return pytest.mark.parametrize(names, list(checks), **parametrize_with_checks.kwargs)


SELECTING = [
    RandomUnderSampler(random_state=0),
    RandomUnderSampler(random_state=0, replacement=True, sampling_strategy={0: 30, 2: 22}),
    RandomOverSampler(random_state=0),
    RandomOverSampler(random_state=0, sampling_strategy="minority"),
    NearMiss(),
    NearMiss(version=3),
    TomekLinks(),
    EditedNearestNeighbours(),
    RepeatedEditedNearestNeighbours(),
    AllKNN(),
    OneSidedSelection(random_state=0),
    NeighbourhoodCleaningRule(),
    InstanceHardnessThreshold(estimator=RandomForestClassifier(n_estimators=3, random_state=0), cv=2, random_state=0),
]
SYNTHESISING = [
    SMOTE(random_state=0),
    SMOTE(random_state=0, k_neighbors=2, sampling_strategy="minority"),
    BorderlineSMOTE(random_state=0),
    SVMSMOTE(random_state=0),
    KMeansSMOTE(random_state=0, kmeans_estimator=KMeans(3, n_init=1, random_state=0), cluster_balance_threshold=0.1),
    ADASYN(random_state=0),
    RandomOverSampler(random_state=0, shrinkage=0.5),
    ClusterCentroids(estimator=KMeans(n_init=1, random_state=0), random_state=0, voting="soft"),
    SMOTEENN(random_state=0),
    SMOTETomek(random_state=0),
    make_pipeline(SMOTE(random_state=0), EditedNearestNeighbours()),
]

CHECKED = [
    NDSampler(sampler)
    for sampler in [
        *(SMOTE(random_state=0), SMOTEENN(random_state=0)),
        *(RandomOverSampler(random_state=0), RandomOverSampler(random_state=0, shrinkage=0.1)),
        *(RandomUnderSampler(random_state=0), NearMiss(), TomekLinks(), OneSidedSelection(random_state=0)),
    ]
]


@listed(estimator_checks.parametrize_with_checks(CHECKED))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# check_samplers_pandas_sparse makes frames that scikit-learn says it makes dense
@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns found:UserWarning")
@listed(imblearn_checks.parametrize_with_checks(CHECKED))
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


# imbalanced-learn runs these beside its suite.
@pytest.mark.parametrize(
    "check", [imblearn_checks.check_param_validation, imblearn_checks.check_dataframe_column_names_consistency]
)
@pytest.mark.parametrize("estimator", CHECKED, ids=str)
def test_imbalanced_learn_common_tests(estimator, check):
    check("NDSampler", estimator)


def assert_resampled(y, y_resampled):
    assert sorted(y_resampled) != sorted(y), "a sampler that resamples nothing would pass this test"


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("sampler", SELECTING, ids=str)
def test_selects_the_rows_that_the_sampler_selects(sampler, dtype):
    X, y = make_images(dtype)
    # InstanceHardnessThreshold and NeighbourhoodCleaningRule take integer labels alone
    y = np.unique(y, return_inverse=True)[1]
    own = clone(sampler)
    X_own, y_own = own.fit_resample(X.reshape(len(X), -1), y)
    ours = NDSampler(sampler)
    X_ours, y_ours = ours.fit_resample(X, y)

    assert_resampled(y, y_ours)
    np.testing.assert_array_equal(X_ours.reshape(len(X_ours), -1), X_own)
    np.testing.assert_array_equal(y_ours, y_own)
    np.testing.assert_array_equal(ours.sample_indices_, own.sample_indices_)
    np.testing.assert_array_equal(X_ours, X[own.sample_indices_])
    assert X_ours.dtype == dtype
    assert X_ours.shape[1:] == SHAPE
    assert ours.sampling_strategy_ == own.sampling_strategy_
    assert not hasattr(sampler, "sample_indices_")  # a clone was fitted


@pytest.mark.parametrize(
    "sampler", [NearMiss(), NearMiss(version=2), TomekLinks(), EditedNearestNeighbours(n_neighbors=5)], ids=str
)
def test_distances_between_bytes_do_not_wrap_around(sampler):
    X = np.random.default_rng(1).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
    y = np.repeat([0, 1], [20, 10])
    squares = [np.unique(((X - row.astype(float)) ** 2).sum(axis=(1, 2, 3))) for row in X]
    assert all(len(square) == len(X) for square in squares), "ties would be broken by chance"
    X_bytes, _ = NDSampler(sampler).fit_resample(X, y)
    X_floats, y_floats = NDSampler(sampler).fit_resample(X.astype(float), y)
    assert_resampled(y, y_floats)
    np.testing.assert_array_equal(X_bytes, X_floats)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("sampler", SYNTHESISING, ids=str)
def test_synthesises_the_rows_that_the_sampler_synthesises(sampler, dtype):
    X, y = make_images(dtype)
    # uint8 would wrap around in the sampler itself
    flat = X.reshape(len(X), -1).astype(np.float32 if dtype == np.uint8 else dtype)
    X_own, y_own = clone(sampler).fit_resample(flat, y)
    X_ours, y_ours = NDSampler(sampler).fit_resample(X, y)

    assert_resampled(y, y_ours)
    if dtype == np.uint8:
        X_own = np.clip(np.rint(X_own), 0, 255)
    np.testing.assert_array_equal(X_ours.reshape(len(X_ours), -1), X_own.astype(dtype))
    np.testing.assert_array_equal(y_ours, y_own)
    assert X_ours.dtype == dtype
    assert X_ours.shape[1:] == SHAPE


@pytest.mark.parametrize("shape", [(5,), (6, 2), (4, 3, 2), (3, 2, 2, 2)])
@pytest.mark.parametrize("sampler", [RandomUnderSampler(random_state=0), SMOTE(random_state=0)], ids=str)
def test_any_number_of_axes(sampler, shape):
    X, y = np.random.default_rng(0).normal(size=(30, *shape)), np.repeat([0, 1], [20, 10])
    ours = NDSampler(sampler)
    X_ours, y_ours = ours.fit_resample(X, y)
    X_own, y_own = clone(sampler).fit_resample(X.reshape(30, -1), y)
    np.testing.assert_array_equal(X_ours, X_own.reshape(-1, *shape))
    np.testing.assert_array_equal(y_ours, y_own)
    assert ours.sample_shape_ == shape
    assert ours.n_features_in_ == shape[0]


def test_synthetic_bytes_lie_between_their_class():
    X, y = make_images(np.uint8)
    X_ours, y_ours = NDSampler(SMOTE(random_state=0)).fit_resample(X, y)
    assert np.bincount(np.unique(y_ours, return_inverse=True)[1]).tolist() == [40, 40, 40]
    for label in np.unique(y):
        new = X_ours[len(X) :][y_ours[len(X) :] == label]
        assert (new >= X[y == label].min(axis=0)).all()
        assert (new <= X[y == label].max(axis=0)).all()


def add(X, y, amount):
    return X + amount, y


@pytest.mark.parametrize(
    ("dtype", "value", "amount", "expected"),
    [
        (np.uint8, 10, 0.6, 11),
        (np.uint8, 10, 0.4, 10),
        (np.uint8, 250, 10, 255),
        (np.uint8, 5, -10, 0),
        (np.int8, -120, -10.0, -128),
        (np.int8, -5, -0.6, -6),
        (np.uint16, 65535, 3, 65535),
        (np.int32, 2**31 - 2, 100, 2**31 - 1),
        (np.int64, 2**63 - 1, 1e6, 2**63 - 1024),  # the largest int64 that is a float64
        (np.uint64, 2**64 - 1, 1e6, 2**64 - 2048),
        (bool, False, 0.7, True),
        (bool, True, 0.7, True),
        (np.float32, 1.5, 0.25, 1.75),
        (np.float16, 1.5, 0.25, 1.75),
    ],
)
def test_rounds_and_clips_to_the_dtype(dtype, value, amount, expected):
    X = np.full((4, 2, 2, 1), value, dtype=dtype)
    sampler = NDSampler(FunctionSampler(func=add, kw_args={"amount": amount}))
    X_ours, _ = sampler.fit_resample(X, [0, 0, 1, 1])
    assert X_ours.dtype == dtype
    np.testing.assert_array_equal(X_ours, np.full(X.shape, expected, dtype=dtype))


@pytest.mark.parametrize("sampler", [RandomOverSampler(random_state=0), RandomUnderSampler(random_state=0)], ids=str)
def test_memory_is_that_of_the_selected_rows(sampler):
    X = np.zeros((2000, 32, 32, 3), dtype=np.uint8)  # 6 MB
    y = np.repeat([0, 1], [1900, 100])
    tracemalloc.start()
    try:
        X_ours, _ = NDSampler(sampler).fit_resample(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert X_ours.nbytes <= peak < X_ours.nbytes + 400_000


class SpySampler(RandomOverSampler):
    """An over-sampler that keeps what it was given. Being a child class, it may look at X."""

    seen: ClassVar[list] = []

    def _fit_resample(self, X, y):
        self.seen.append(X)
        return super()._fit_resample(X, y)


def test_selecting_samplers_see_the_rows_themselves():
    SpySampler.seen.clear()
    X, y = make_images(np.uint8)
    X_ours, _ = NDSampler(SpySampler(random_state=0)).fit_resample(X, y)
    assert np.shares_memory(SpySampler.seen[0], X)
    X_own, _ = RandomOverSampler(random_state=0).fit_resample(X.reshape(len(X), -1), y)
    np.testing.assert_array_equal(X_ours, X_own.reshape(X_ours.shape))


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomUnderSampler(random_state=0)], ids=str)
def test_changes_no_argument(sampler):
    X, y = make_images(np.uint8)
    X_before, y_before = X.copy(), y.copy()
    X_ours, _ = NDSampler(sampler).fit_resample(X, y)
    X_ours[:] = 0
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomUnderSampler(random_state=0)], ids=str)
def test_labels_of_any_kind(sampler):
    X, y = make_images()
    codes = np.unique(y, return_inverse=True)[1]
    flat = X.reshape(len(X), -1)
    for labels in (y, y.astype(object), codes, y.tolist(), pd.Series(y, name="animal"), pd.Series(y, dtype="category")):
        _, y_own = clone(sampler).fit_resample(flat, labels)
        _, y_ours = NDSampler(sampler).fit_resample(X, labels)
        assert type(y_ours) is type(y_own)
        np.testing.assert_array_equal(np.asarray(y_ours), np.asarray(y_own))
        if isinstance(labels, pd.Series):
            pd.testing.assert_series_equal(y_ours, y_own)
    _, one_hot = NDSampler(sampler).fit_resample(X, np.eye(3, dtype=int)[codes])
    np.testing.assert_array_equal(one_hot.argmax(axis=1), clone(sampler).fit_resample(flat, codes)[1])


@pytest.mark.parametrize(
    "sampler",
    [SMOTE(random_state=0), RandomUnderSampler(random_state=0), RandomOverSampler(random_state=0), TomekLinks()],
    ids=str,
)
def test_data_frames_stay_data_frames(sampler):
    X, y = make_images()
    frame = pd.DataFrame(X.reshape(len(X), -1)[:, :3], columns=["a", "b", "c"], index=np.arange(len(X)) + 100)
    labels = pd.Series(y, index=frame.index)
    X_own, y_own = clone(sampler).fit_resample(frame, labels)
    ours = NDSampler(sampler)
    X_ours, y_ours = ours.fit_resample(frame, labels)
    pd.testing.assert_frame_equal(X_ours, X_own)
    pd.testing.assert_series_equal(y_ours, y_own)
    assert ours.get_feature_names_out().tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("sampler", [SMOTE(random_state=0), RandomOverSampler(random_state=0, shrinkage=0.5)], ids=str)
def test_integer_columns_of_data_frames_are_rounded_not_wrapped(sampler):
    X, y = make_images(np.uint8)
    flat = X.reshape(len(X), -1)[:, :3]
    frame = pd.DataFrame(flat, columns=["a", "b", "c"])
    before = frame.copy()
    X_frame, _ = NDSampler(sampler).fit_resample(frame, y)
    X_array, _ = NDSampler(sampler).fit_resample(flat, y)
    pd.testing.assert_frame_equal(X_frame, pd.DataFrame(X_array, columns=["a", "b", "c"]))
    pd.testing.assert_frame_equal(frame, before)
    mixed, _ = NDSampler(sampler).fit_resample(frame.assign(d=np.linspace(0, 1, len(frame))), y)
    assert mixed.dtypes.tolist() == [np.uint8] * 3 + [np.float64]


def test_categorical_columns():
    X, y = make_images()
    frame = pd.DataFrame({"a": X[:, 0, 0, 0], "n": X[:, 0, 0, 1].astype(np.int64)})
    frame["kind"] = pd.Categorical(np.where(frame["a"] > 120, "hi", "lo"))
    X_ours, _ = NDSampler(SMOTENC(categorical_features="auto", random_state=0)).fit_resample(frame, y)
    assert X_ours.dtypes.tolist() == frame.dtypes.tolist()
    assert len(X_ours) == 120


def test_lists_stay_lists():
    X, y = make_images()
    X_list, y_list = NDSampler(SMOTE(random_state=0)).fit_resample(X.tolist(), y.tolist())
    X_array, y_array = NDSampler(SMOTE(random_state=0)).fit_resample(X, y)
    assert isinstance(X_list, list)
    assert isinstance(y_list, list)
    np.testing.assert_array_equal(X_list, X_array)
    np.testing.assert_array_equal(y_list, y_array)


def test_missing_values_where_the_sampler_takes_them():
    X, y = make_images()
    X[0, 0, 0, 0] = np.nan
    X_ours, _ = NDSampler(RandomOverSampler(random_state=0)).fit_resample(X, y)
    assert np.isnan(X_ours[0, 0, 0, 0])
    for sampler in (SMOTE(), TomekLinks(), RandomOverSampler(shrinkage=0.5)):
        with pytest.raises(ValueError, match="contains NaN"):
            NDSampler(sampler).fit_resample(X, y)


def test_seeds():
    X, y = make_images()
    first, again, other = (NDSampler(RandomUnderSampler(random_state=seed)).fit_resample(X, y)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_another_sampler_leaves_nothing_of_the_last_one():
    X, y = make_images()
    ours = NDSampler(RandomUnderSampler(random_state=0))
    assert not hasattr(ours, "sample_indices_")
    ours.fit(X, y)
    assert ours.sampling_strategy_ == {"cat": 12, "eel": 12}
    assert not hasattr(ours, "sample_indices_")  # nothing is resampled yet
    ours.fit_resample(X, y)
    assert len(ours.sample_indices_) == 36
    ours.set_params(sampler=SMOTE()).fit_resample(X, y)
    assert not hasattr(ours, "sample_indices_")
    restored = pickle.loads(pickle.dumps(ours))
    assert restored.sampling_strategy_ == ours.sampling_strategy_
    assert "SMOTE" in estimator_html_repr(ours)


class WeightedSampler(RandomUnderSampler):
    """Keep the heaviest row of each class."""

    def fit_resample(self, X, y, sample_weight=None):
        order = np.argsort(-np.asarray(sample_weight), kind="stable")
        labels = np.asarray(y)[order]
        self.sample_indices_ = order[np.unique(labels, return_index=True)[1]]
        return X[self.sample_indices_], np.asarray(y)[self.sample_indices_]


def test_metadata_reaches_the_sampler():
    X, y = make_images()
    weight = np.arange(len(y))
    expected = [np.flatnonzero(y == label).max() for label in np.unique(y)]
    ours = NDSampler(WeightedSampler())
    np.testing.assert_array_equal(ours.fit_resample(X, y, sample_weight=weight)[0], X[expected])
    with sklearn.config_context(enable_metadata_routing=True):
        ours = NDSampler(WeightedSampler().set_fit_resample_request(sample_weight=True))
        np.testing.assert_array_equal(ours.fit_resample(X, y, sample_weight=weight)[0], X[expected])
        with pytest.raises(TypeError, match="unexpected argument"):
            NDSampler(RandomUnderSampler()).fit_resample(X, y, sample_weight=weight)


def make_pipe(sampler, classifier):
    return Pipeline(
        [
            ("scale", NDTransformer(StandardScaler(), per="channel")),
            ("balance", NDSampler(sampler)),
            ("flat", NDTransformer(PCA(n_components=3))),
            ("classify", classifier),
        ]
    )


def test_nested_parameters_in_a_search():
    X, y = make_images(np.uint8)
    grid = [
        {
            "balance__sampler": [SMOTE(random_state=0)],
            "balance__sampler__k_neighbors": [2, 3],
            "scale__transformer__with_std": [True, False],
        },
        {"balance__sampler": [RandomUnderSampler(random_state=0)]},
    ]
    search = GridSearchCV(make_pipe(SMOTE(), GaussianNB()), grid, cv=3, error_score="raise").fit(X, y)
    for params in search.cv_results_["params"]:
        pipe = clone(search.estimator).set_params(**params).fit(X, y)
        scaler, sampler = pipe["scale"].transformer_, pipe["balance"].sampler_
        assert (scaler.scale_ is not None) is params.get("scale__transformer__with_std", True)
        assert type(sampler) is type(params["balance__sampler"])
        if isinstance(sampler, SMOTE):
            assert sampler.nn_k_.n_neighbors == params["balance__sampler__k_neighbors"] + 1


def test_minority_recall_moves():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1], [300, 30]))
    X = rng.normal(0.4 * y.reshape(-1, 1, 1, 1), 1, size=(330, *SHAPE))
    recalls = [
        recall_score(y, cross_val_predict(make_pipe(sampler, GaussianNB()), X, y, cv=3))
        for sampler in (FunctionSampler(), RandomOverSampler(random_state=0))
    ]
    assert recalls[0] + 0.2 < recalls[1]


class SpyClassifier(ClassifierMixin, BaseEstimator):
    """Record how many rows of each class it is fitted on, and how many rows it predicts."""

    counts: ClassVar[list] = []
    predicted: ClassVar[list] = []

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.counts.append(counts.tolist())
        return self

    def predict(self, X):
        self.predicted.append(len(X))
        return np.repeat(self.classes_[:1], len(X))


def test_sees_training_rows_of_the_fold_alone_and_never_those_of_predict():
    X, y = make_images(np.uint8)
    X[:, 0, 0, 0] = np.arange(len(X))
    for log in (SpySampler.seen, SpyClassifier.counts, SpyClassifier.predicted):
        log.clear()
    pipe = Pipeline(
        [
            ("balance", NDSampler(SpySampler(random_state=0))),
            ("flat", NDTransformer(PCA(n_components=3))),
            ("classify", SpyClassifier()),
        ]
    )
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    fitted = cross_validate(pipe, X, y, cv=cv, return_estimator=True, error_score="raise")["estimator"]
    folds = list(cv.split(X, y))
    assert [rows[:, 0].tolist() for rows in SpySampler.seen] == [train.tolist() for train, _ in folds]
    majority = [int((y[train] == "cat").sum()) for train, _ in folds]
    assert SpyClassifier.counts == [[count] * 3 for count in majority]
    assert SpyClassifier.predicted == [len(test) for _, test in folds]
    assert len(fitted[0].predict(X)) == len(X)
    assert len(SpySampler.seen) == 3


def first_columns(X, y):
    return X[:, :5], y


IMAGES, LABELS = make_images()


@pytest.mark.parametrize(
    ("sampler", "X", "y", "error", "message"),
    [
        (None, IMAGES, LABELS, ValueError, "implementing 'fit' and 'fit_resample'. Got None"),
        (StandardScaler(), IMAGES, LABELS, ValueError, r"'fit_resample'. Got StandardScaler\(\)"),
        (SMOTE, IMAGES, LABELS, TypeError, "instance of scikit-learn estimator instead of a class"),
        (SMOTE(), IMAGES, LABELS[1:], ValueError, r"inconsistent numbers of samples: \[74, 73\]"),
        (RandomUnderSampler(), IMAGES, LABELS[1:], ValueError, r"inconsistent numbers of samples: \[74, 73\]"),
        (RandomUnderSampler(), IMAGES, None, ValueError, "got None"),
        (RandomUnderSampler(), IMAGES, np.linspace(0, 1, 74), ValueError, "Unknown label type"),
        (RandomUnderSampler(), IMAGES, np.zeros(74), ValueError, "class"),
        (RandomUnderSampler(), IMAGES[:, :0], LABELS, ValueError, r"shape \(74, 0, 3, 2\) without any values"),
        (RandomUnderSampler(), LABELS, LABELS, ValueError, "Expected 2D array, got 1D array"),
        (RandomUnderSampler(), IMAGES + 1j, LABELS, ValueError, "Complex data not supported"),
        (SMOTE(), IMAGES.astype(str), LABELS, ValueError, "numeric|convert"),
        (SMOTE(k_neighbors=50), IMAGES, LABELS, ValueError, "n_neighbors"),
        (
            FunctionSampler(func=first_columns),
            IMAGES,
            LABELS,
            ValueError,
            r"FunctionSampler returned shape \(74, 5\) for a table of 24 columns.*keeps the number of columns",
        ),
    ],
)
def test_errors_say_what_to_do(sampler, X, y, error, message):
    with pytest.raises(error, match=message):
        NDSampler(sampler).fit_resample(X, y)


def test_images_have_no_feature_names():
    ours = NDSampler(RandomUnderSampler()).fit(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"samples of shape \(4, 3, 2\), which have no feature names"):
        ours.get_feature_names_out()

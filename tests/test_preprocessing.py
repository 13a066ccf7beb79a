"""NDTransformer: scikit-learn's contracts, and equality with the transformer's own work on the table."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline as ImbalancedPipeline
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import estimator_checks, estimator_html_repr, get_tags

from skcnn import CNNClassifier
from skcnn.networks import Plain
from skcnn.preprocessing import ChannelsLast, NDTransformer, StandardNormalVariate

SHAPES = [(5,), (7, 2), (4, 3, 2), (3, 2, 2, 2)]


def make_rows(shape, n=30, seed=0, dtype=np.float64):
    """Rows whose channels and positions all differ in mean and spread."""
    rng = np.random.default_rng(seed)
    scale = 1 + np.arange(np.prod(shape)).reshape(shape)
    return (rng.normal(size=(n, *shape)) * scale + scale**2).astype(dtype)


def listed(parametrize_with_checks):
    """The suite's decorator with its checks in a list, as pytest wants them."""
    names, checks = parametrize_with_checks.args
    return pytest.mark.parametrize(names, list(checks), **parametrize_with_checks.kwargs)


INNER = [
    StandardScaler(),
    FunctionTransformer(validate=True),
    MinMaxScaler(),
    OneHotEncoder(handle_unknown="ignore"),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    PCA(n_components=1),
    SelectKBest(k=1),
    SimpleImputer(add_indicator=True),
    make_pipeline(StandardScaler(), PCA(n_components=1)),
]
# The suite's data is 2-D, where per="channel" is the same; test_equals_the_transformer_on_the_table says so.
TRANSFORMERS = [NDTransformer(inner) for inner in INNER]


@listed(estimator_checks.parametrize_with_checks(TRANSFORMERS))
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# scikit-learn runs these on its own transformers alone. They go from arrays to frames and back on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_param_validation,
        estimator_checks.check_dataframe_column_names_consistency,
        estimator_checks.check_transformer_get_feature_names_out,
        estimator_checks.check_transformer_get_feature_names_out_pandas,
        estimator_checks.check_set_output_transform,
        estimator_checks.check_set_output_transform_pandas,
        estimator_checks.check_global_output_transform_pandas,
    ],
)
@pytest.mark.parametrize("estimator", [e for e in TRANSFORMERS if not isinstance(e.transformer, Pipeline)], ids=str)
def test_scikit_learn_checks_of_its_own_transformers(estimator, check):
    # scikit-learn's FunctionTransformer has names only if it is told how to make them.
    if isinstance(estimator.transformer, FunctionTransformer):
        estimator = clone(estimator).set_params(transformer__feature_names_out="one-to-one")
    check("NDTransformer", estimator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inner", [StandardScaler(), MinMaxScaler(), QuantileTransformer(n_quantiles=30)], ids=str)
@pytest.mark.parametrize("per", ["position", "channel"])
def test_equals_the_transformer_on_the_table(shape, inner, per):
    X, X_new = make_rows(shape), make_rows(shape, n=4, seed=1)
    n_columns = shape[-1] if per == "channel" else int(np.prod(shape))
    own = clone(inner).fit(X.reshape(-1, n_columns))
    expected = own.transform(X_new.reshape(-1, n_columns)).reshape(X_new.shape)

    ours = NDTransformer(inner, per=per)
    np.testing.assert_array_equal(ours.fit_transform(X), own.transform(X.reshape(-1, n_columns)).reshape(X.shape))
    np.testing.assert_array_equal(ours.fit(X).transform(X_new), expected)
    np.testing.assert_array_equal(
        ours.inverse_transform(expected),
        own.inverse_transform(expected.reshape(-1, n_columns)).reshape(X_new.shape),
    )
    assert ours.sample_shape_ == shape
    assert ours.n_features_in_ == shape[0]


def test_statistics_by_hand():
    X = make_rows((4, 3, 2))
    per_channel = NDTransformer(StandardScaler(), per="channel").fit_transform(X)
    np.testing.assert_allclose(per_channel, (X - X.mean(axis=(0, 1, 2))) / X.std(axis=(0, 1, 2)))
    per_position = NDTransformer(StandardScaler(), per="position").fit_transform(X)
    np.testing.assert_allclose(per_position, (X - X.mean(axis=0)) / X.std(axis=0))


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_is_fitted_as_a_clone_and_changes_no_argument(method):
    X = make_rows((4, 3, 2))
    before, inner = X.copy(), StandardScaler()
    ours = NDTransformer(inner)
    getattr(ours, method)(X)
    ours.transform(X)
    np.testing.assert_array_equal(X, before)
    assert not hasattr(inner, "mean_")
    assert ours.transformer_ is not inner


def test_a_changed_number_of_columns():
    X = make_rows((4, 3, 2))
    position = NDTransformer(PCA(n_components=3))
    assert position.fit_transform(X).shape == (30, 3)
    np.testing.assert_allclose(
        position.transform(X), PCA(n_components=3).fit(X.reshape(30, -1)).transform(X.reshape(30, -1))
    )
    assert position.inverse_transform(position.transform(X)).shape == X.shape

    channel = NDTransformer(PCA(n_components=1), per="channel")
    expected = PCA(n_components=1).fit_transform(X.reshape(-1, 2)).reshape(30, 4, 3, 1)
    np.testing.assert_allclose(channel.fit_transform(X), expected)
    assert channel.inverse_transform(expected).shape == X.shape


def test_all_components_give_the_rows_back():
    X = make_rows((4, 3, 2))
    ours = NDTransformer(PCA())
    assert ours.fit_transform(X).shape == X.shape
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X)


def test_one_hot_channels_are_dense_and_positions_stay_sparse():
    X = np.random.default_rng(0).integers(0, 3, (20, 4, 3, 1))
    channels = NDTransformer(OneHotEncoder(), per="channel").fit_transform(X)
    np.testing.assert_array_equal(channels, np.arange(3) == X)
    positions = NDTransformer(OneHotEncoder()).fit_transform(X)
    own = OneHotEncoder().fit_transform(X.reshape(20, -1))
    assert (positions != own).nnz == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_what_the_transformer_returns(dtype):
    X = make_rows((4, 3, 2), dtype=dtype)
    assert NDTransformer(StandardScaler()).fit_transform(X).dtype == dtype
    assert NDTransformer(FunctionTransformer()).fit_transform(X.astype(np.uint8)).dtype == np.uint8


@pytest.mark.parametrize("per", ["position", "channel"])
def test_the_table_is_a_view(per):
    X = make_rows((4, 3, 2), dtype=np.uint8)
    assert np.shares_memory(NDTransformer(FunctionTransformer(), per=per).fit_transform(X), X)


def test_targets_are_repeated_per_position():
    X = make_rows((4, 3, 2))
    y = np.repeat(["a", "b"], 15)
    X[y == "b", ..., 1] += 100
    ours = NDTransformer(SelectKBest(k=1), per="channel").fit(X, pd.Series(y))
    np.testing.assert_array_equal(ours.transform(X), X[..., 1:])
    own = SelectKBest(k=1).fit(X.reshape(-1, 2), np.repeat(y, 12))
    np.testing.assert_array_equal(ours.transformer_.scores_, own.scores_)


class MarksTrainingRows(TransformerMixin, BaseEstimator):
    """A transformer that, like a target encoder, treats training rows in its own way."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X

    def fit_transform(self, X, y=None):
        return self.fit(X).transform(X) + 1000


def test_fit_transform_is_the_transformers_own():
    X = make_rows((4, 3, 2))
    ours = NDTransformer(MarksTrainingRows())
    np.testing.assert_array_equal(ours.fit_transform(X), X + 1000)
    np.testing.assert_array_equal(ours.transform(X), X)


class Halver(BaseEstimator):
    """A transformer that has no fit_transform."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X / 2


def test_a_transformer_without_fit_transform():
    X = make_rows((4, 3, 2))
    np.testing.assert_array_equal(NDTransformer(Halver()).fit_transform(X), X / 2)


@pytest.mark.parametrize("per", ["position", "channel"])
def test_weight_two_is_the_row_twice(per):
    X = make_rows((4, 3, 2))
    weight = np.random.default_rng(0).integers(1, 4, 30)
    repeated = NDTransformer(StandardScaler(), per=per).fit(np.repeat(X, weight, axis=0)).transformer_
    for given in (weight, weight.tolist(), pd.Series(weight)):
        weighted = NDTransformer(StandardScaler(), per=per).fit(X, sample_weight=given).transformer_
        np.testing.assert_allclose(weighted.mean_, repeated.mean_)
        np.testing.assert_allclose(weighted.scale_, repeated.scale_)
    piped = Pipeline([("scale", NDTransformer(StandardScaler(), per=per))]).fit(X, scale__sample_weight=weight)
    np.testing.assert_allclose(piped["scale"].transformer_.mean_, repeated.mean_)
    assert not np.allclose(repeated.mean_, NDTransformer(StandardScaler(), per=per).fit(X).transformer_.mean_)


def test_metadata_routing():
    X, weight = make_rows((4, 3, 2)), np.arange(1.0, 31.0)
    expected = StandardScaler().fit(X.reshape(-1, 2), sample_weight=np.repeat(weight, 12)).mean_
    with sklearn.config_context(enable_metadata_routing=True):
        ours = NDTransformer(StandardScaler().set_fit_request(sample_weight=True), per="channel")
        np.testing.assert_allclose(ours.fit(X, sample_weight=weight).transformer_.mean_, expected)
        pipe = make_pipeline(ours, NDTransformer(PCA(n_components=2))).fit(X, sample_weight=weight)
        np.testing.assert_allclose(pipe[0].transformer_.mean_, expected)
        with pytest.raises(ValueError, match=r"\[sample_weight\] are passed but are not explicitly set"):
            NDTransformer(StandardScaler()).fit(X, sample_weight=weight)


def test_missing_values_are_the_transformers_business():
    X = make_rows((4, 3, 2))
    X[0, 0, 0, :] = np.nan
    filled = NDTransformer(SimpleImputer(), per="channel").fit_transform(X)
    np.testing.assert_allclose(filled[0, 0, 0], np.nanmean(X, axis=(0, 1, 2)))
    with pytest.raises(ValueError, match="PCA does not accept missing values"):
        NDTransformer(PCA()).fit(X)
    with pytest.raises(ValueError, match="infinity"):
        NDTransformer(StandardScaler()).fit(np.where(np.isnan(X), np.inf, X))


def test_data_frames_are_handed_on():
    X = pd.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 6.0]}, index=[7, 8, 9])
    inner = ColumnTransformer([("one", OneHotEncoder(sparse_output=False), ["a"]), ("scale", StandardScaler(), ["b"])])
    ours = NDTransformer(inner).set_output(transform="pandas")
    pd.testing.assert_frame_equal(ours.fit_transform(X), clone(ours.transformer).fit_transform(X))
    assert ours.get_feature_names_out().tolist() == ["one__a_x", "one__a_y", "scale__b"]
    assert ours.feature_names_in_.tolist() == ["a", "b"]


def test_containers_and_names_of_images():
    X = make_rows((4, 3, 2))
    scale, pca = NDTransformer(StandardScaler(), per="channel"), NDTransformer(PCA(n_components=2))
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(scale.fit_transform(X), np.ndarray)
        assert pca.fit_transform(X).columns.tolist() == ["pca0", "pca1"]
    pipe = make_pipeline(scale, NDTransformer(MinMaxScaler()), pca).set_output(transform="pandas").fit(X)
    assert pipe.transform(X).columns.tolist() == pipe.get_feature_names_out().tolist() == ["pca0", "pca1"]
    fitted = pca.set_output(transform="default").fit(X).set_output(transform="pandas")
    assert fitted.transform(X).columns.tolist() == ["pca0", "pca1"]
    fitted = scale.fit(X)
    assert isinstance(fitted.transform(X), np.ndarray)
    assert fitted.get_feature_names_out(["red", "green"]).tolist() == ["red", "green"]
    assert not hasattr(NDTransformer(Halver()), "set_output")
    assert not hasattr(NDTransformer(Halver()), "get_feature_names_out")


def test_tags_are_the_transformers():
    tags = get_tags(NDTransformer(NMF()))
    assert tags.input_tags.positive_only
    assert not tags.input_tags.allow_nan
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    assert get_tags(NDTransformer(TargetEncoder())).target_tags.required
    assert get_tags(NDTransformer(StandardScaler())).input_tags.allow_nan
    assert get_tags(NDTransformer(OneHotEncoder())).input_tags.categorical


def test_lists_and_repr():
    X = make_rows((4, 3, 2))
    ours = NDTransformer(StandardScaler())
    np.testing.assert_array_equal(ours.fit_transform(X.tolist()), ours.fit_transform(X))
    assert "StandardScaler" in estimator_html_repr(ours)


@pytest.mark.parametrize("kind", [Pipeline, ImbalancedPipeline])
def test_nested_parameters_in_a_search(kind):
    X, y = make_rows((4, 3, 2)), np.tile([0, 1], 15)
    X[y == 1] += 3
    pipe = kind(
        [
            ("scale", NDTransformer(StandardScaler())),
            ("flat", NDTransformer(PCA(n_components=2))),
            ("classify", GaussianNB()),
        ]
    )
    grid = {"scale__transformer__with_std": [True, False], "scale__per": ["position", "channel"]}
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    scaler = search.best_estimator_["scale"]
    assert (scaler.transformer_.scale_ is not None) is search.best_params_["scale__transformer__with_std"]
    n_columns = {"position": 24, "channel": 2}[search.best_params_["scale__per"]]
    assert scaler.transformer_.n_features_in_ == n_columns
    for with_std in (True, False):
        fitted = clone(pipe).set_params(scale__transformer__with_std=with_std).fit(X, y)
        assert (fitted["scale"].transformer_.scale_ is not None) is with_std


class SpyTransformer(TransformerMixin, BaseEstimator):
    """Record the first column, which names the row, of all that is seen."""

    fitted_on: ClassVar[list] = []
    transformed: ClassVar[list] = []

    def fit(self, X, y=None):
        self.fitted_on.append(X[:, 0].tolist())
        self.n_columns_ = X.shape[1]
        return self

    def transform(self, X):
        self.transformed.append(X[:, 0].tolist())
        return X


@pytest.mark.parametrize("kind", [Pipeline, ImbalancedPipeline])
def test_sees_training_rows_of_the_fold_alone(kind):
    SpyTransformer.fitted_on.clear()
    X, y = make_rows((4, 3, 2)), np.tile([0, 1], 15)
    X[:, 0, 0, 0] = np.arange(30)
    pipe = kind(
        [
            ("spy", NDTransformer(SpyTransformer())),
            ("flat", NDTransformer(PCA(n_components=2))),
            ("classify", GaussianNB()),
        ]
    )
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(pipe, {"flat__transformer__whiten": [True, False]}, cv=cv, error_score="raise").fit(X, y)
    expected = [train.tolist() for train, _ in cv.split(X, y)] * 2 + [list(range(30))]
    assert SpyTransformer.fitted_on == expected
    SpyTransformer.transformed.clear()
    search.predict(X[20:])
    assert SpyTransformer.transformed == [list(range(20, 30))]
    assert len(SpyTransformer.fitted_on) == len(expected)


def every_second(X):
    return X[::2]


def column_sums(X):
    return X.sum(axis=1)


IMAGES = make_rows((4, 3, 2))
SCALED = NDTransformer(StandardScaler()).fit(IMAGES)
CHANNELS = NDTransformer(StandardScaler(), per="channel").fit(IMAGES)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: NDTransformer(5).fit(IMAGES), ValueError, "implementing 'fit' and 'transform'. Got 5"),
        (lambda: NDTransformer(SMOTE()).fit(IMAGES), ValueError, r"'fit' and 'transform'. Got SMOTE\(\)"),
        (lambda: NDTransformer(LogisticRegression()).fit(IMAGES), ValueError, "Got LogisticRegression"),
        (lambda: NDTransformer(StandardScaler).fit(IMAGES), TypeError, "instance of scikit-learn estimator instead"),
        (lambda: NDTransformer(StandardScaler(), per="pixel").fit(IMAGES), ValueError, "'per' parameter .* 'pixel'"),
        (lambda: NDTransformer(StandardScaler()).transform(IMAGES), NotFittedError, "not fitted yet"),
        (
            lambda: SCALED.transform(IMAGES[:, :3]),
            ValueError,
            r"shape \(3, 3, 2\), but .* \(4, 3, 2\): .* \(n, 4, 3, 2\)",
        ),
        (
            lambda: SCALED.transform(IMAGES[..., :1]),
            ValueError,
            r"samples of shape \(4, 3, 1\), .* fitted on samples",
        ),
        (lambda: CHANNELS.transform(IMAGES[:, :, :2]), ValueError, r"samples of shape \(4, 2, 2\), but"),
        (lambda: SCALED.transform(IMAGES.reshape(30, -1)), ValueError, r"samples of shape \(24,\), but .* \(4, 3, 2\)"),
        (lambda: SCALED.transform(IMAGES[0]), ValueError, r"samples of shape \(3, 2\), but"),
        (
            lambda: NDTransformer(Halver()).fit(IMAGES[:, 0, 0]).transform(IMAGES),
            ValueError,
            r"fitted on samples of shape \(2,\)",
        ),
        (
            lambda: SCALED.inverse_transform(IMAGES[:, :3]),
            ValueError,
            r"X has shape \(30, 3, 3, 2\), but .* \(4, 3, 2\)",
        ),
        (lambda: CHANNELS.inverse_transform(IMAGES[:, :3]), ValueError, "that transform returned for such samples"),
        (
            lambda: SCALED.fit(IMAGES[:, :0]),
            ValueError,
            r"shape \(30, 0, 3, 2\) without any values.*Drop the empty axis",
        ),
        (lambda: SCALED.fit(IMAGES[:0]), ValueError, "0 sample"),
        (lambda: SCALED.fit(IMAGES.ravel()), ValueError, "Expected 2D array, got 1D array"),
        (lambda: CHANNELS.fit(IMAGES, np.ones(29)), ValueError, r"inconsistent numbers of samples: \[30, 29\]"),
        (
            lambda: CHANNELS.fit(IMAGES, sample_weight=np.ones(29)),
            ValueError,
            r"inconsistent numbers of samples: \[30, 29\]",
        ),
        (
            lambda: NDTransformer(FunctionTransformer(every_second), per="channel").fit_transform(IMAGES),
            ValueError,
            r"FunctionTransformer returned shape \(180, 2\) for a table of shape \(360, 2\).*keeps the number of rows",
        ),
        (
            lambda: NDTransformer(FunctionTransformer(every_second)).fit(IMAGES).transform(IMAGES),
            ValueError,
            "keeps the number of rows",
        ),
        (
            lambda: NDTransformer(FunctionTransformer(column_sums)).fit_transform(IMAGES),
            ValueError,
            r"returned shape \(30,\) for a table",
        ),
        (lambda: NDTransformer(Normalizer()).inverse_transform, AttributeError, "has no attribute 'inverse_transform'"),
    ],
)
def test_errors_say_what_to_do(act, error, message):
    with pytest.raises(error, match=message):
        act()


# StandardNormalVariate ----------------------------------------------------------------------------------------------


@estimator_checks.parametrize_with_checks([StandardNormalVariate()])
def test_variate_passes_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 2), (7, 4, 3, 2)])
def test_variate_by_hand(rng, shape, dtype):
    X = (rng.normal(100, 20, shape)).astype(dtype)
    out = StandardNormalVariate().fit_transform(X)
    axes = tuple(range(1, X.ndim))
    wide = X.astype(float)
    expected = (wide - wide.mean(axis=axes, keepdims=True)) / wide.std(axis=axes, keepdims=True)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    assert out.dtype == ("float64" if dtype == "uint8" else dtype)
    np.testing.assert_allclose(StandardNormalVariate().transform(3 * wide + 7), expected, rtol=1e-9, atol=1e-12)


def test_variate_of_constant_and_huge_samples():
    X = np.array([[0.1 + 0.2, 0.3, 0.3], [1e300, -1e300, 1e300], [0, 0, 0], [1e-300, 2e-300, 3e-300]])
    out = StandardNormalVariate().fit_transform(X)
    np.testing.assert_array_equal(out[[0, 2]], 0)
    np.testing.assert_allclose(out[[1, 3]].std(axis=1), 1)
    with pytest.raises(ValueError, match="5 features"):
        StandardNormalVariate().fit(X).transform(np.ones((2, 5)))


# ChannelsLast -------------------------------------------------------------------------------------------------------


@estimator_checks.parametrize_with_checks([ChannelsLast()])
def test_channels_last_passes_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool"])
def test_channels_are_moved_and_moved_back(rng, dtype):
    images = rng.integers(0, 2, (5, 3, 4, 6)).astype(dtype)
    moved = ChannelsLast().fit(images).transform(images)
    np.testing.assert_array_equal(moved, np.stack([images[:, i] for i in range(3)], axis=-1))
    assert moved.dtype == dtype
    assert np.shares_memory(moved, images)
    np.testing.assert_array_equal(ChannelsLast().fit(images).inverse_transform(moved), images)
    flat = images.reshape(5, -1)
    np.testing.assert_array_equal(ChannelsLast().fit_transform(flat), flat)
    padded = np.where(images, np.nan, 1.0)
    np.testing.assert_array_equal(ChannelsLast().fit_transform(padded)[..., 0], padded[:, 0])


def test_channels_first_are_trained_on_as_channels_last(rng):
    X, y = rng.normal(size=(24, 2, 9)).astype("float32"), np.arange(24) % 2
    cnn = CNNClassifier(Plain(filters=(2,)), epochs=2, random_state=0)
    scaler = NDTransformer(StandardScaler(), per="channel")
    pipe = make_pipeline(ChannelsLast(), scaler, cnn).fit(X, y)
    last = make_pipeline(scaler, cnn).fit(X.transpose(0, 2, 1), y)
    np.testing.assert_array_equal(pipe.predict_proba(X), last.predict_proba(X.transpose(0, 2, 1)))
    assert pipe[-1].input_shape_ == (9, 2)


def test_channels_last_refuses_other_shapes():
    fitted = ChannelsLast().fit(np.zeros((4, 3, 7)))
    with pytest.raises(ValueError, match=r"samples of shape \(7, 3\), but ChannelsLast was fitted on .* \(3, 7\)"):
        fitted.transform(np.zeros((4, 7, 3)))
    with pytest.raises(ValueError, match=r"which become \(7, 3\): pass an array of shape \(n, 7, 3\)"):
        fitted.inverse_transform(np.zeros((4, 3, 7)))
    with pytest.raises(NotFittedError):
        ChannelsLast().transform(np.zeros((4, 3, 7)))

"""`NDTransformer`, `NDSampler` and `diagnose` with anything: a right result, or an error that names the argument."""

import numpy as np
from hostile import cases, judge, refused
from hostile_things import JUNK_LABELS, arrays, things
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skcnn import diagnose
from skcnn.diagnosis import CHECKS
from skcnn.preprocessing import NDTransformer
from skcnn.sampling import NDSampler

X = np.random.default_rng(0).normal(size=(12, 6))
Y = np.arange(12) % 2


def table_of(rows, per):
    return rows.reshape(-1, rows.shape[-1]) if per == "channel" else rows.reshape(len(rows), -1)


def dense(output):
    return output.to_numpy() if hasattr(output, "to_numpy") else np.asarray(output)


@cases(
    420,
    thing=things(),
    transformer=st.sampled_from([StandardScaler(), MinMaxScaler(), SimpleImputer(keep_empty_features=True)]),
    per=st.sampled_from(["position", "channel"]),
)
def test_transformer(thing, transformer, per):
    """What comes out is what the transformer itself makes of the flattened numbers."""
    adapter = NDTransformer(transformer, per=per)
    names = "X", "transformer"
    result = judge(lambda: adapter.fit_transform(thing.value), *names, given=[thing.value])
    assert not refused(result) or not thing.is_good, result
    if refused(result) or thing.plain is None:
        return
    again = judge(lambda: adapter.transform(thing.value), *names, given=[thing.value])
    np.testing.assert_array_equal(dense(again), dense(result))
    if thing.is_good:
        expected = transformer.fit_transform(table_of(thing.plain, per)).reshape(thing.plain.shape)
        tolerance = 2e-2 if dense(result).dtype == np.float16 else 1e-4
        np.testing.assert_allclose(dense(result).astype(float), expected, atol=tolerance, rtol=tolerance)


SAMPLERS = [RandomOverSampler(random_state=0), RandomUnderSampler(random_state=0), SMOTE(k_neighbors=2, random_state=0)]


@cases(420, thing=things(), sampler=st.sampled_from(SAMPLERS))
def test_sampler(thing, sampler):
    """Rows that are selected are those that the sampler itself selects, and new ones those that it makes."""
    labels = np.arange(thing.n_rows) % 3 // 2
    adapter = NDSampler(sampler)
    result = judge(lambda: adapter.fit_resample(thing.value, labels), "X", "y", "sampler", given=[thing.value, labels])
    if refused(result) or thing.plain is None:
        bad = thing.how == "categories that are numbers" and type(sampler) is SMOTE  # nothing is between two categories
        assert not refused(result) or bad or not thing.is_good or thing.n_rows < 10, result
        return
    if thing.is_good:
        rows, made = sampler.fit_resample(table_of(thing.plain, "position"), labels)
        np.testing.assert_array_equal(result[1], made)
        got = dense(result[0] if not isinstance(result[0], list) else np.array(result[0])).astype(float)
        tolerance = 1.0 if thing.value_is_whole else 2e-2
        np.testing.assert_allclose(got, rows.reshape(-1, *thing.plain.shape[1:]), atol=tolerance)


@cases(
    160, kind=st.sampled_from(sorted(JUNK_LABELS)), n=st.sampled_from([12, 12, 10]), sampler=st.sampled_from(SAMPLERS)
)
def test_labels_to_sample(kind, n, sampler):
    labels = JUNK_LABELS[kind](n)
    result = judge(lambda: NDSampler(sampler).fit_resample(X, labels), "y", "sampler", given=[X, labels])
    assert refused(result) or n == 12


@cases(
    60,
    adapter=st.sampled_from([NDTransformer, NDSampler]),
    inner=st.sampled_from([None, "scale", 3, StandardScaler, SMOTE, len, np.zeros(3), LinearRegression(), [], {}]),
    per=st.sampled_from(["position", "pixel", None, 3]),
)
def test_what_is_adapted(adapter, inner, per):
    name = "transformer" if adapter is NDTransformer else "sampler"
    more = {"per": per} if adapter is NDTransformer else {}
    call = adapter(inner, **more)
    result = judge(lambda: getattr(call, "fit_resample", call.fit)(X, Y), name, "per", given=[X, Y])
    assert refused(result)


# diagnose -----------------------------------------------------------------------------------------------------------

QUICK = [check.code for check in CHECKS if check.code not in ("duplicates_across", "class_shares", "not_finite")]
MODEL = LogisticRegression().fit(X, Y)
LINE = LinearRegression().fit(X, Y)
GIVEN = {"X_train": X, "y_train": Y, "X_test": X[:8] + 0.1, "y_test": Y[:8]}
ROWS = ("X_train", "X_test")
OTHERS = ("y_train", "y_test", "groups_train", "groups_test", "times_train", "times_test")


def diagnosed(model, name, value, every=False):
    """Diagnose with one argument of another kind, and return the diagnosis, whose text is made, too."""
    given = GIVEN | {name: value}

    def call():
        diagnosis = diagnose(model, **given, fast=True, ignore=() if every else QUICK)
        assert str(diagnosis)
        return diagnosis

    names = (name, name.replace("X_", "y_")) if name in ROWS else (name, name.replace("y_", "X_"), "y_train")
    return judge(call, *names, given=list(given.values()))


@cases(320, thing=things(), name=st.sampled_from(ROWS), model=st.sampled_from([MODEL, LINE]))
def test_diagnose_rows(thing, name, model):
    result = diagnosed(model, name, thing.value)
    assert refused(result) or thing.plain is None or thing.plain.shape[1:] == (6,)


@cases(
    220,
    kind=st.sampled_from(sorted(JUNK_LABELS)),
    name=st.sampled_from(OTHERS),
    n=st.sampled_from([12, 12, 8, 8, 0, 5]),
    model=st.sampled_from([MODEL, LINE]),
)
def test_diagnose_targets(kind, name, n, model):
    try:
        value = JUNK_LABELS[kind](n)
    except (ValueError, IndexError):  # of no rows
        return
    result = diagnosed(model, name, value)
    assert refused(result) or kind == "nothing" or np.shape(value)[:1] in ((12,), (8,))


@cases(30, thing=arrays(dtypes=["f4", "f8", "i4", "u1"], rows=(12,)), name=st.sampled_from(ROWS))
def test_diagnose_with_every_check(thing, name):
    diagnosed(MODEL, name, thing.value, every=True)


@cases(
    45,
    name=st.sampled_from(["estimator", "checks", "ignore", "random_state"]),
    value=st.sampled_from(
        [None, "text", 3, -1, 2.5, [1], [None], {"a": 1}, len, int, LogisticRegression, LogisticRegression(), X]
    ),
)
def test_diagnose_options(name, value):
    given = {"estimator": MODEL, "ignore": QUICK} | {name: value}
    judge(lambda: diagnose(**given, **GIVEN), name, *(["fit", "predict"] if name == "estimator" else []))

"""Checks of what happens to the rows before the network: scale, channels, and what was done outside the pipeline."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from skcnn._statistics import Estimate, bootstrap, difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import layers_of
from skcnn.diagnosis._observations import Case

__all__ = [
    "CHECKS",
    "ConstantInputs",
    "InputScale",
    "NonFinite",
    "ResampledValidation",
    "SamplerBeforeSplit",
    "ScalerOutside",
    "TestScale",
]

MODEL_FAILS = (
    *("dummy", "baseline", "underfit", "majority_collapse", "majority_baseline", "recall_spread", "gap", "few_rows"),
    *("loss_blew_up", "loss_never_fell", "loss_falling", "val_turned", "parameters", "dead_units", "saturated"),
    *("prediction_drift", "calibration", "threshold", "suspicious_labels"),
)


class NonFinite(Check):
    """Missing or infinite values at the final step. No threshold."""

    code, cause, severity = "non_finite", "preprocessing", 3
    title = "Values that are not finite"
    question = "Are all inputs finite?"
    why = "One such value makes a network's loss, and then all of its weights, not a number."
    do = "Impute inside the pipeline (SimpleImputer, NDTransformer(SimpleImputer())), or remove the rows."
    cures = ("impute",)
    explains = MODEL_FAILS

    def look(self, case: Case) -> Finding | str:
        """Count them, in training and test rows."""
        parts = {"training": case.inputs_train, **({"test": case.inputs_test} if case.has_test else {})}
        counts = {
            name: int((~np.isfinite(X.reshape(len(X), -1).astype(np.float64))).any(axis=1).sum())
            for name, X in parts.items()
        }
        if not any(counts.values()):
            return "All inputs are finite."
        evidence = [
            Evidence(f"{name} rows with such values", count, n=len(parts[name])) for name, count in counts.items()
        ]
        where = " and ".join(f"{count} {name} rows" for name, count in counts.items() if count)
        return self.finding(f"{where} hold values that are not finite.", evidence)


class ConstantInputs(Check):
    """Channels, or most columns, that never change in training.

    Threshold: any channel of N-D rows; half of the columns of flat rows; or 5% of the columns if the test rows do
    change there (a column without spread in training is then noise to the model).
    """

    code, cause, severity = "constant_inputs", "preprocessing", 2
    title = "Inputs that never change"
    question = "Do all inputs vary over the training rows?"
    why = "A constant input carries nothing; scaled, or different in the test rows, it is noise."
    do = "Find out why (an empty file, a broken sensor, a mask); drop it with VarianceThreshold, in the pipeline."
    threshold = 0.5
    changes_in_test = 0.05

    def look(self, case: Case) -> Finding | str:
        """Look for channels and columns without spread."""
        X = case.inputs_train[case.rows_train]
        if X.ndim > 2 and X.shape[-1] > 1:
            table = X.reshape(-1, X.shape[-1])
            constant = (table == table[0]).all(axis=0)
            text = f"{constant.sum()} of {len(constant)} channels are constant."
            return (
                self.finding(text, [Evidence("constant channels", int(constant.sum()), n=len(X))])
                if constant.any()
                else text
            )
        flat = case.flat_train
        constant = (flat == flat[0]).all(axis=0)
        share = float(constant.mean())
        text = f"{constant.sum()} of {len(constant)} columns are constant."
        evidence = [Evidence("share of columns that are constant", share, n=len(flat))]
        if case.has_test and constant.any():
            changed = constant & (case.flat_test != flat[0]).any(axis=0)
            evidence.append(
                Evidence("of these, share that changes in the test rows", float(changed.sum() / constant.sum()))
            )
            # A rare pixel may be set in one test row; a column that woke up is set in many.
            awake = (case.flat_test != flat[0]).mean(axis=0)
            if (constant & (awake > 0.5)).mean() >= self.changes_in_test:
                return self.finding(text + " The test rows do change there.", evidence, severity=3)
        return self.finding(text, evidence) if share >= self.threshold else text


class InputScale(Check):
    """Inputs far from unit scale where the network meets them.

    Threshold: a root mean square above 10 or below 0.03, or columns of flat rows whose scales differ by more than 100
    times. Initial weights are made for inputs of unit variance (Glorot and Bengio 2010; LeCun et al. 1998, section 4.3,
    https://doi.org/10.1007/978-3-642-35289-8_3); a factor of ten is a hundred in the gradient's curvature. Passed if
    the network normalises within its first layers.
    """

    code, cause, severity = "input_scale", "preprocessing", 3
    title = "Inputs far from unit scale"
    question = "Do the inputs have about unit scale where the network meets them?"
    why = (
        "Learning rate, penalties and initial weights are made for inputs of unit scale; otherwise training "
        "crawls or blows up."
    )
    do = (
        "Put a scaler before the network, inside the pipeline: StandardScaler, or "
        "NDTransformer(StandardScaler(), per='channel')."
    )
    cures = ("scale",)
    explains = (*MODEL_FAILS, "edge")
    threshold = 10.0
    small = 0.03
    columns = 100.0
    NORMALISING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "Rescaling")

    def look(self, case: Case) -> Finding | str:
        """Measure root mean square and spread of scales."""
        if not case.parts.is_network:
            raise NotApplicable("the final step is no network")
        if case.parts.param("standardize"):
            return "The estimator standardises its inputs."
        X = case.flat_train
        rms = float(np.sqrt(np.mean(X**2)))
        scales = X.std(axis=0)
        scales = scales[scales > 0]
        flat_rows = len(case.row_shape) == 1
        spread = float(np.quantile(scales, 0.95) / np.quantile(scales, 0.05)) if flat_rows and len(scales) > 1 else 1.0
        text = f"The root mean square of the inputs is {rms:.3g}."
        far = rms > self.threshold or rms < self.small
        if not far and spread <= self.columns:
            return text
        if far and self._normalises(case):
            return f"{text} The network normalises within its first layers."
        if spread > self.columns:
            text += f" The scales of its columns differ by {spread:.3g} times."
        squares = np.mean(X**2, axis=1)
        evidence = [
            Evidence.of("root mean square", bootstrap(lambda rows: squares[rows].mean() ** 0.5, len(X), case.rng(12))),
            Evidence("largest scale of a column, times the smallest", spread, n=len(X)),
        ]
        return self.finding(text, evidence)

    def _normalises(self, case: Case) -> bool:
        try:
            layers = layers_of(case.keras_model)
        except NotApplicable:
            return False
        return any(layer.kind in self.NORMALISING for layer in layers[:4])


class TestScale(Check):
    """Test rows on another scale than the training rows: scaled by other numbers, or not at all.

    Threshold: over the columns that vary, the median ratio of standard deviations is beyond 1.5 times, or the median
    shift is beyond one standard deviation. A shift of the population moves some columns; another scale moves all.
    """

    __test__ = False  # not a test of pytest's
    code, cause, severity = "test_scale", "preprocessing", 3
    title = "Test rows are scaled differently"
    question = "Are training and test rows on the same scale?"
    why = "The model sees values that it was not trained on: the test score says nothing of the model."
    do = (
        "Put the scaler into the pipeline, so that it is fitted on the training rows and applied to both; "
        "give raw rows."
    )
    explains = (*MODEL_FAILS, "covariate_shift", "constant_inputs", "scaler_outside", "near_duplicates")
    threshold = 1.5
    shift = 1.0
    least_rows = 20
    most_columns = 300

    def look(self, case: Case) -> Finding | str:
        """Compare means and standard deviations column by column."""
        case.need_test()
        train, test = case.flat_train, case.flat_test
        if min(len(train), len(test)) < self.least_rows:
            raise NotApplicable(f"fewer than {self.least_rows} rows on one side")
        varies = np.flatnonzero(train.std(axis=0) > 1e-9)
        if not len(varies):
            raise NotApplicable("no column varies")
        if len(varies) > self.most_columns:
            varies = case.rng(4).choice(varies, self.most_columns, replace=False)
        train, test = train[:, varies], test[:, varies]
        mean, scale = train.mean(axis=0), train.std(axis=0)

        def ratio_of(rows: np.ndarray) -> float:
            return float(np.median(test[rows].std(axis=0) / scale))

        def shift_of(rows: np.ndarray) -> float:
            return float(np.median(np.abs(test[rows].mean(axis=0) - mean) / scale))

        everything = np.arange(len(test))
        ratio, shift = ratio_of(everything), shift_of(everything)
        text = (
            f"Standard deviations in the test rows are {ratio:.3g} times those in the training rows (median over "
            f"columns), means lie {shift:.2g} standard deviations apart."
        )
        if 1 / self.threshold < ratio < self.threshold and shift < self.shift:
            return text
        evidence = [
            Evidence.of("ratio of standard deviations, median over columns", self._interval(ratio_of, test, case)),
            Evidence.of(
                "distance of means in standard deviations, median over columns", self._interval(shift_of, test, case)
            ),
        ]
        return self.finding(text, evidence)

    @staticmethod
    def _interval(statistic: Callable[[np.ndarray], float], test: np.ndarray, case: Case) -> Estimate:
        return bootstrap(statistic, len(test), case.rng(13), n_resamples=50)


class ScalerOutside(Check):
    """Rows that were scaled before they were split, which shows in the numbers.

    Training and test rows together have mean 0 and standard deviation 1, or range from 0 to 1, in every column, to
    rounding, and the training rows alone do not. No threshold but the rounding of float32.
    """

    code, cause, severity = "scaler_outside", "preprocessing", 2
    title = "Scaled before the split"
    question = "Was the scaler fitted on training rows alone?"
    why = "The test rows have had a say in the scale: a leak, small for a scaler, large for anything that looks at y."
    do = "Give raw rows, and put the scaler into the pipeline."
    cures = ("scale",)
    tolerance = 2e-3
    least_columns = 4

    def look(self, case: Case) -> Finding | str:
        """Look at the columns of the rows as they were given."""
        case.need_test()
        X_train, X_test = np.asarray(case.X_train), np.asarray(case.X_test)
        if X_train.dtype.kind != "f":
            return "The rows are not scaled: they are integers."
        train, test = (X.reshape(len(X), -1).astype(np.float64) for X in (X_train, X_test))
        whole = np.concatenate([train, test])
        varies = whole.std(axis=0) > 1e-6
        if varies.sum() < self.least_columns:
            raise NotApplicable(f"{varies.sum()} columns vary; at least {self.least_columns} are needed to tell")
        train, whole = train[:, varies], whole[:, varies]
        for name, fits in (("mean 0 and standard deviation 1", self._standard), ("range 0 to 1", self._range)):
            if fits(whole) and not fits(train):
                evidence = [Evidence(f"columns with {name} over all rows", int(varies.sum()), n=len(whole))]
                return self.finding(f"Training and test rows together have {name} in every column.", evidence)
        return "The rows show no sign of it."

    def _standard(self, X: np.ndarray) -> bool:
        near = self.tolerance / np.sqrt(len(X))
        return bool((np.abs(X.mean(axis=0)) < near).all() and (np.abs(X.std(axis=0) - 1) < near).all())

    def _range(self, X: np.ndarray) -> bool:
        return bool((np.abs(X.min(axis=0)) < 1e-6).all() and (np.abs(X.max(axis=0) - 1) < 1e-6).all())


def made_rows(X: np.ndarray, codes: np.ndarray, n_neighbours: int = 20) -> np.ndarray:
    """Whether each row is a copy of another of its class, or lies exactly between two of them, as SMOTE's rows do.

    A row lies on the segment between two others if the directions to them are opposite (their cosine is -1); in four or
    more dimensions that does not happen by chance.
    """
    from sklearn.neighbors import NearestNeighbors

    found = np.zeros(len(X), dtype=bool)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 4:
            continue
        index = NearestNeighbors(n_neighbors=min(n_neighbours, len(rows) - 1)).fit(X[rows])
        distance, near = index.kneighbors()
        scale = max(np.median(distance), 1e-12)
        copied = distance[:, 0] <= 1e-6 * scale
        for start in range(0, len(rows), 256):
            part = slice(start, start + 256)
            towards = X[rows][near[part]] - X[rows][part][:, None, :]
            length = np.linalg.norm(towards, axis=2, keepdims=True)
            towards /= np.maximum(length, 1e-12)
            cosines = towards @ towards.transpose(0, 2, 1)
            found[rows[part]] = (cosines.min(axis=(1, 2)) < -0.9999) | copied[part]
    return found


def _made_class(made: np.ndarray, codes: np.ndarray, least: float) -> int | None:
    """Return the class of which surely a share of `least` is made, more than of some other class."""
    present = np.unique(codes[codes >= 0])
    shares = {code: proportion(made[codes == code]) for code in present}
    if len(shares) < 2:
        return None
    most = max(shares, key=lambda code: shares[code].low)
    others = min(shares.values(), key=lambda share: share.high)
    return int(most) if difference(shares[most], others).low > least else None


class SamplerBeforeSplit(Check):
    """Test rows made by a sampler: copies of rows of their class, or rows exactly between two of them (SMOTE).

    Threshold: of some class surely 10 percentage points more of the test rows than of another class. See Demircioğlu
    (2024, https://doi.org/10.1038/s41598-024-62585-z) for what it does to scores: up to 0.37 of balanced accuracy.
    """

    code, cause, severity = "sampler_before_split", "preprocessing", 3
    title = "Resampled before the split"
    question = "Were the test rows drawn from the data, and not made by a sampler?"
    why = (
        "The made rows of the test set lie next to, or on, training rows, and the rare class is far more frequent than "
        "it will be: the test score means nothing."
    )
    do = "Split first. Put the sampler into imbalanced-learn's Pipeline, or give it to the estimator as sampler=."
    explains: ClassVar[tuple[str, ...]] = (
        *("duplicates", "near_duplicates", "resampled_validation", "label_shift", "covariate_shift", "calibration"),
        *("conflicting_labels", "few_rows"),
    )
    threshold = 0.1

    def look(self, case: Case) -> Finding | str:
        """Look for rows between two others among all rows."""
        case.need_test()
        case.need_classes()
        self._check_columns(case)
        X = np.concatenate([case.flat_train, case.flat_test])
        codes = np.concatenate([case.codes_train[case.rows_train], case.codes_test[case.rows_test]])
        made = made_rows(X, codes)[len(case.flat_train) :]
        codes = codes[len(case.flat_train) :]
        found = _made_class(made, codes, self.threshold)
        if found is None:
            return f"{made.sum()} of {len(made)} test rows look made by a sampler."
        share = proportion(made[codes == found])
        label = case.classes[found]
        what = f"{share.value:.0%} of the test rows of class {label} are copies of others, or lie exactly between two."
        return self.finding(what, [Evidence.of(f"share of made rows in class {label}", share)])

    @staticmethod
    def _check_columns(case: Case) -> None:
        n_columns = int((case.flat_train.std(axis=0) > 0).sum())
        if n_columns < 4:
            raise NotApplicable(f"{n_columns} columns vary; at least 4 are needed to tell")


class ResampledValidation(SamplerBeforeSplit):
    """Made rows among those that validate: a sampler before early stopping's inner split or outside a search.

    Threshold: as for test rows, if the training rows were resampled outside; none for a sampler in the pipeline.
    """

    code, cause, severity = "resampled_validation", "preprocessing", 2
    title = "Resampled rows in the validation split"
    question = "Are the rows that early stopping or the search validates on free of made ones?"
    why = "Validated on copies and mixtures of training rows, a network seems to get better when it only remembers."
    do = (
        "Give the sampler to the estimator (sampler=...), which applies it after its inner split, to the training part."
    )
    cures = ("sampler_inside",)
    explains = ()

    def look(self, case: Case) -> Finding | str:
        """Look for a sampler before an inner split, and for made rows in the training data."""
        case.need_classes()
        inner = any(name.startswith("val_") for name in case.parts.history)
        if not inner and case.parts.search is None:
            raise NotApplicable("nothing is validated within the training rows")
        prefixed = [name for name, step in case.parts.steps if hasattr(step, "fit_resample")]
        if inner and prefixed:
            # Rows that are equal to the bit stay on one side of skcnn's inner split.
            if all(
                "RandomOver" in repr(step) or "RandomUnder" in repr(step)
                for name, step in case.parts.steps
                if name in prefixed
            ) and hasattr(case.parts.final, "to_keras"):
                return "The sampler before the network repeats rows, which the inner split keeps together."
            evidence = [Evidence("samplers before the inner split", len(prefixed))]
            return self.finding(
                f"The step {prefixed[0]!r} makes rows before the network splits validation rows off.", evidence
            )
        self._check_columns(case)
        codes = case.codes_train[case.rows_train]
        found = _made_class(made_rows(case.flat_train, codes), codes, self.threshold)
        if found is None:
            return "No training row looks made by a sampler."
        made = made_rows(case.flat_train[codes == found], codes[codes == found])
        share = proportion(made)
        label = case.classes[found]
        what = (
            f"{share.value:.0%} of the training rows of class {label} are copies of others, or lie between two of them."
        )
        return self.finding(what, [Evidence.of(f"share of made rows in class {label}", share)])


CHECKS = [SamplerBeforeSplit, NonFinite, TestScale, InputScale, ConstantInputs, ScalerOutside, ResampledValidation]

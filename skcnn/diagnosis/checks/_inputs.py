"""Checks of what happens to the samples before the network: scale, channels, and what was done outside the pipeline."""

from collections.abc import Callable

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skcnn._statistics import bootstrap, difference, proportion
from skcnn.diagnosis._check import Check, Evidence, Finding, NotApplicable
from skcnn.diagnosis._components import layers_of
from skcnn.diagnosis._observations import Observations

__all__ = ["CHECKS", "InputScale", "made_samples"]


class NonFinite(Check):
    """Missing or infinite values at the final step. No threshold."""

    code, cause = "non_finite", "preprocessing"
    title = "Values that are not finite"
    question = "Are all inputs finite?"
    why = "One such value makes a network's loss, and then all of its weights, not a number."
    do = "Impute inside the pipeline (SimpleImputer, NDTransformer(SimpleImputer())), or remove the samples."
    cures = ("impute",)

    def look(self, seen: Observations) -> Finding | str:
        """Count them, in training and test samples."""
        counts = {}
        for name, side in seen.sides.items():
            finite = np.isfinite(side.inputs.reshape(len(side.y), -1).astype(np.float64))
            counts[name] = int((~finite).any(axis=1).sum())
        if not any(counts.values()):
            return "All inputs are finite."
        where = " and ".join(f"{count} {name} samples" for name, count in counts.items() if count)
        evidence = [
            Evidence(f"{name} samples with such values", counts[name], n=len(side.y))
            for name, side in seen.sides.items()
        ]
        return self.finding(f"{where} hold values that are not finite.", evidence)


class ConstantInputs(Check):
    """Channels, or most columns, that never change in training.

    Threshold: any channel of N-D samples; half of the columns of flat samples; or 5% of the columns if the test samples
    do change there (a column without spread in training is then noise to the model).
    """

    code, cause = "constant_inputs", "preprocessing"
    title = "Inputs that never change"
    question = "Do all inputs vary over the training samples?"
    why = "A constant input carries nothing; scaled, or different in the test samples, it is noise."
    do = "Find out why (an empty file, a broken sensor, a mask); drop it with VarianceThreshold, in the pipeline."
    threshold = 0.5
    changes_in_test = 0.05

    def look(self, seen: Observations) -> Finding | str:
        """Look for channels and columns without spread."""
        X = seen.train.inputs[seen.train.chosen]
        if X.ndim > 2 and X.shape[-1] > 1:
            table = X.reshape(-1, X.shape[-1])
            constant = (table == table[0]).all(axis=0)
            text = f"{constant.sum()} of {len(constant)} channels are constant."
            evidence = [Evidence("constant channels", int(constant.sum()), n=len(X))]
            return self.finding(text, evidence) if constant.any() else text
        flat = seen.train.flat
        constant = (flat == flat[0]).all(axis=0)
        share = float(constant.mean())
        text = f"{constant.sum()} of {len(constant)} columns are constant."
        evidence = [Evidence("share of columns that are constant", share, n=len(flat))]
        if seen.has_test and constant.any():
            # A rare pixel may be set in one test sample; a column that woke up is set in many.
            awake = (seen.test.flat != flat[0]).mean(axis=0)
            changed = float((awake[constant] > 0).mean())
            evidence.append(Evidence("of these, share that changes in the test samples", changed))
            if (constant & (awake > 0.5)).mean() >= self.changes_in_test:
                return self.finding(text + " The test samples do change there.", evidence)
        return self.finding(text, evidence) if share >= self.threshold else text


class InputScale(Check):
    """Inputs far from unit scale where the network meets them.

    Threshold: a root mean square above 10 or below 0.03, or columns of flat samples whose scales differ by more than
    100 times. Initial weights are made for inputs of unit variance (Glorot and Bengio 2010; LeCun et al. 1998, section
    4.3, https://doi.org/10.1007/978-3-642-35289-8_3); a factor of ten is a hundred in the gradient's curvature. Passed
    if the network normalises within its first layers.
    """

    code, cause = "input_scale", "preprocessing"
    title = "Inputs far from unit scale"
    question = "Do the inputs have about unit scale where the network meets them?"
    why = "Rates, penalties and initial weights are made for unit scale; otherwise training crawls or blows up."
    do = "Scale inside the pipeline: StandardScaler, or NDTransformer(StandardScaler(), per='channel')."
    cures = ("scale",)
    threshold = 10.0
    small = 0.03
    columns = 100.0
    NORMALISING = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "Normalization", "Rescaling")

    def look(self, seen: Observations) -> Finding | str:
        """Measure root mean square and spread of scales."""
        if not seen.components.is_network:
            raise NotApplicable("the final step is no network")
        if seen.components.params.get("standardize"):
            return "The estimator standardises its inputs."
        X = seen.train.flat
        rms = float(np.sqrt(np.mean(X**2)))
        scales = X.std(axis=0)
        scales = scales[scales > 0]
        is_table = len(seen.sample_shape) == 1
        spread = float(np.quantile(scales, 0.95) / np.quantile(scales, 0.05)) if is_table and len(scales) > 1 else 1.0
        text = f"The root mean square of the inputs is {rms:.3g}."
        far = rms > self.threshold or rms < self.small
        if not far and spread <= self.columns:
            return text
        first_layers = layers_of(seen.components.keras_model)[:4]
        if far and any(layer.kind in self.NORMALISING for layer in first_layers):
            return f"{text} The network normalises within its first layers."
        if spread > self.columns:
            text += f" The scales of its columns differ by {spread:.3g} times."
        squares = np.mean(X**2, axis=1)
        evidence = [
            Evidence.of("root mean square", bootstrap(lambda rows: squares[rows].mean() ** 0.5, len(X), seen.rng(12))),
            Evidence("largest scale of a column, times the smallest", spread, n=len(X)),
        ]
        return self.finding(text, evidence)


class TestScale(Check):
    """Test samples on another scale than the training samples: scaled by other numbers, or not at all.

    Threshold: over the columns that vary, the median ratio of standard deviations is beyond 1.5 times, or the median
    shift is beyond one standard deviation. A shift of the population moves some columns; another scale moves all.
    """

    __test__ = False  # not a test of pytest's
    code, cause = "test_scale", "preprocessing"
    title = "Test samples are scaled differently"
    question = "Are training and test samples on the same scale?"
    why = "The model sees values that it was not trained on: the test score says nothing of the model."
    do = "Put the scaler into the pipeline, which fits it on training samples and applies it to both."
    threshold = 1.5
    shift = 1.0
    least_samples = 20
    most_columns = 300

    def look(self, seen: Observations) -> Finding | str:
        """Compare means and standard deviations column by column."""
        seen.need("test")
        train, test = seen.train.flat, seen.test.flat
        if min(len(train), len(test)) < self.least_samples:
            raise NotApplicable(f"fewer than {self.least_samples} samples on one side")
        varies = np.flatnonzero(train.std(axis=0) > 1e-9)
        if not len(varies):
            raise NotApplicable("no column varies")
        if len(varies) > self.most_columns:
            varies = seen.rng(4).choice(varies, self.most_columns, replace=False)
        train, test = train[:, varies], test[:, varies]
        mean, scale = train.mean(axis=0), train.std(axis=0)
        statistics: dict[str, Callable[[np.ndarray], float]] = {
            "ratio of standard deviations": lambda rows: np.median(test[rows].std(axis=0) / scale),
            "distance of means in standard deviations": lambda rows: np.median(
                np.abs(test[rows].mean(axis=0) - mean) / scale
            ),
        }
        ratio, shift = (statistic(np.arange(len(test))) for statistic in statistics.values())
        text = (
            f"Standard deviations in the test samples are {ratio:.3g} times those in the training samples (median over "
            f"columns), means lie {shift:.2g} standard deviations apart."
        )
        if 1 / self.threshold < ratio < self.threshold and shift < self.shift:
            return text
        evidence = {
            f"{name}, median over columns": bootstrap(statistic, len(test), seen.rng(13), 50)
            for name, statistic in statistics.items()
        }
        return self.finding(text, evidence)


class ScalerOutside(Check):
    """Samples that were scaled before they were split, which shows in the numbers.

    Training and test samples together have mean 0 and standard deviation 1, or range from 0 to 1, in every column, to
    rounding, and the training samples alone do not. No threshold but the rounding of float32.
    """

    code, cause = "scaler_outside", "preprocessing"
    title = "Scaled before the split"
    question = "Was the scaler fitted on training samples alone?"
    why = "Test samples have had a say in the scale: a leak, small for a scaler, large for anything that looks at y."
    do = "Give raw samples, and put the scaler into the pipeline."
    cures = ("scale",)
    tolerance = 2e-3
    least_columns = 4

    def look(self, seen: Observations) -> Finding | str:
        """Look at the columns of the samples as they were given."""
        seen.need("test")
        X_train, X_test = np.asarray(seen.train.X), np.asarray(seen.test.X)
        if X_train.dtype.kind != "f":
            return "The samples are not scaled: they are integers."
        train, test = (X.reshape(len(X), -1).astype(np.float64) for X in (X_train, X_test))
        whole = np.concatenate([train, test])
        varies = whole.std(axis=0) > 1e-6
        if varies.sum() < self.least_columns:
            raise NotApplicable(f"{varies.sum()} columns vary; at least {self.least_columns} are needed to tell")
        train, whole = train[:, varies], whole[:, varies]
        for name, fits in (("mean 0 and standard deviation 1", self._standard), ("range 0 to 1", self._range)):
            if fits(whole) and not fits(train):
                evidence = [Evidence(f"columns with {name} over all samples", int(varies.sum()), n=len(whole))]
                return self.finding(f"Training and test samples together have {name} in every column.", evidence)
        return "The samples show no sign of it."

    def _standard(self, X: np.ndarray) -> bool:
        near = self.tolerance / np.sqrt(len(X))
        return bool((np.abs(X.mean(axis=0)) < near).all() and (np.abs(X.std(axis=0) - 1) < near).all())

    def _range(self, X: np.ndarray) -> bool:
        return bool((np.abs(X.min(axis=0)) < 1e-6).all() and (np.abs(X.max(axis=0) - 1) < 1e-6).all())


def made_samples(X: np.ndarray, codes: np.ndarray, n_neighbours: int = 20) -> np.ndarray:
    """Return which samples are copies of others of their class, or lie between two, as those that SMOTE makes.

    A sample lies on the segment between two others if the directions to them are opposite (their cosine is -1); in four
    or more dimensions that does not happen by chance.
    """
    found = np.zeros(len(X), dtype=bool)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 4:
            continue
        index = NearestNeighbors(n_neighbors=min(n_neighbours, len(rows) - 1)).fit(X[rows])
        distance, near = index.kneighbors()
        scale = max(np.median(distance), 1e-12)
        copied = distance[:, 0] <= 1e-6 * scale
        for start in range(0, len(rows), 256):  # in blocks: directions take n_neighbours times the memory of X
            part = slice(start, start + 256)
            towards = X[rows][near[part]] - X[rows][part][:, None, :]
            length = np.linalg.norm(towards, axis=2, keepdims=True)
            towards /= np.maximum(length, 1e-12)
            cosines = towards @ towards.transpose(0, 2, 1)
            found[rows[part]] = (cosines.min(axis=(1, 2)) < -0.9999) | copied[part]
    return found


class MadeSamples(Check):
    """A finding if a larger share of some class is made by a sampler than of some other, significantly."""

    threshold = 0.1

    def judge(self, seen: Observations, made: np.ndarray, codes: np.ndarray, side: str) -> Finding | str:
        """Compare the shares of made samples between the classes.

        Parameters
        ----------
        seen : Observations
            What is diagnosed.
        made, codes : ndarray of shape (n,)
            Whether each sample is made, and its class.
        side : str
            "test" or "training".
        """
        shares = {code: proportion(made[codes == code]) for code in np.unique(codes[codes >= 0])}
        text = f"{made.sum()} of {len(made)} {side} samples look made by a sampler."
        if len(shares) < 2:
            return text
        most = max(shares, key=lambda code: shares[code].low)
        others = min(shares.values(), key=lambda share: share.high)
        if difference(shares[most], others).low <= self.threshold:
            return text
        what = f"class {seen.classes[most]} are copies of others, or lie exactly between two."
        evidence = {f"share of made samples in class {seen.classes[most]}": shares[most]}
        return self.finding(f"{shares[most].value:.0%} of the {side} samples of {what}", evidence)

    @staticmethod
    def need_columns(seen: Observations) -> None:
        """Raise NotApplicable where samples lie between two others by chance."""
        n_columns = int((seen.train.flat.std(axis=0) > 0).sum())
        if n_columns < 4:
            raise NotApplicable(f"{n_columns} columns vary; at least 4 are needed to tell")


class SamplerBeforeSplit(MadeSamples):
    """Test samples made by a sampler: copies of samples of their class, or samples exactly between two of them (SMOTE).

    Threshold: of some class significantly more of the test samples than of another, by 10 percentage points. See
    Demircioğlu (2024, https://doi.org/10.1038/s41598-024-62585-z) for what it does to scores: up to 0.37 of balanced
    accuracy.
    """

    code, cause = "sampler_before_split", "preprocessing"
    title = "Resampled before the split"
    question = "Were the test samples drawn from the data, and not made by a sampler?"
    why = (
        "Samples made for the test set lie next to, or on, training samples, and the rare class is far more frequent "
        "than it will be: the test score means nothing."
    )
    do = "Split first. Put the sampler into imbalanced-learn's Pipeline, or give it to the estimator as sampler=."

    def look(self, seen: Observations) -> Finding | str:
        """Look for samples between two others among all samples."""
        seen.need("test", "classes")
        self.need_columns(seen)
        X = np.concatenate([seen.train.flat, seen.test.flat])
        train, test = (side.codes[side.chosen] for side in (seen.train, seen.test))
        made = made_samples(X, np.concatenate([train, test]))[len(train) :]
        return self.judge(seen, made, test, "test")


class ResampledValidation(MadeSamples):
    """Made samples among those that validate: a sampler before early stopping's inner split or outside a search.

    Threshold: as for test samples, if the training samples were resampled outside; none for a sampler in the pipeline.
    """

    code, cause = "resampled_validation", "preprocessing"
    title = "Resampled data in the validation split"
    question = "Are the samples that early stopping or the search validates on free of made ones?"
    why = "Validated on copies and mixtures of training samples, a network seems to get better when it only remembers."
    do = "Pass the sampler to the estimator (sampler=...), which applies it to the training part of its inner split."
    cures = ("sampler_inside",)

    def look(self, seen: Observations) -> Finding | str:
        """Look for a sampler before an inner split, and for made samples in the training data."""
        seen.need("classes")
        inner = any(name.startswith("val_") for name in seen.components.history)
        if not inner and seen.components.search is None:
            raise NotApplicable("nothing is validated within the training samples")
        samplers = {name: repr(step) for name, step in seen.components.steps if hasattr(step, "fit_resample")}
        if inner and samplers:
            # Samples that are equal to the bit stay on one side of skcnn's inner split.
            repeats = all("RandomOver" in one or "RandomUnder" in one for one in samplers.values())
            if repeats and hasattr(seen.components.final, "to_keras"):
                return "The sampler before the network repeats samples, which the inner split keeps together."
            what = f"The step {next(iter(samplers))!r} makes samples before the network splits validation samples off."
            return self.finding(what, {"samplers before the inner split": len(samplers)})
        self.need_columns(seen)
        codes = seen.train.codes[seen.train.chosen]
        return self.judge(seen, made_samples(seen.train.flat, codes), codes, "training")


CHECKS = [SamplerBeforeSplit, NonFinite, TestScale, InputScale, ConstantInputs, ScalerOutside, ResampledValidation]

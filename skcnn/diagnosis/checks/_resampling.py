"""Checks of samples that a sampler made, where there should be none: in the test set, among those that validate."""

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from skcnn._statistics import EFFECT_LEVEL, Estimate, difference, proportion, weighted_mean
from skcnn.diagnosis._check import Check, Finding, NotApplicable
from skcnn.diagnosis._observations import Observations

__all__ = ["ResampledValidation", "SamplerBeforeSplit", "made_samples"]


def made_samples(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return which samples are copies of others of their class, or lie between two, as those that SMOTE makes.

    A sample lies on the segment between two others if the directions to them are opposite (their cosine is -1); in four
    or more dimensions that does not happen by chance.
    """
    found = np.zeros(len(X), dtype=bool)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 4:
            continue
        own = X[rows]
        distance, near = NearestNeighbors(n_neighbors=min(20, len(rows) - 1)).fit(own).kneighbors()
        scale = max(np.linalg.norm(own.std(axis=0)), np.median(distance), 1e-12)
        copied = distance[:, 0] <= 1e-6 * scale
        for start in range(0, len(rows), 256):  # in blocks: directions take twenty times the memory of X
            part = slice(start, start + 256)
            towards = own[near[part]] - own[part, None]
            length = np.linalg.norm(towards, axis=2, keepdims=True)
            towards /= np.maximum(length, 1e-12)
            cosines = towards @ towards.transpose(0, 2, 1)
            found[rows[part]] = (cosines.min(axis=(1, 2)) < -0.9999) | copied[part]
    return found


class MadeSamples(Check):
    """A pattern if a larger share of some class is made by a sampler than of the largest class, significantly."""

    threshold = 0.1
    by_nature = 0.2

    def made(self, seen: Observations, made: np.ndarray, codes: np.ndarray, side: str) -> tuple[str, int, Estimate]:
        """Compare the shares of made samples between the classes.

        Parameters
        ----------
        seen : Observations
            What is diagnosed.
        made, codes : ndarray of shape (n,)
            Whether each sample is made, and its class.
        side : str
            "test" or "training".

        Returns
        -------
        str, int, Estimate
            What was found, the class with most made samples, -1 if none has many, and their share.

        Raises
        ------
        NotApplicable
            If such samples are common by nature: frequent in the largest class, of which no sampler makes more.
        """
        natural = int(seen.counts(seen.train.codes).argmax())
        shares = {code: proportion(made[codes == code]) for code in np.unique(codes[codes >= 0])}
        text = f"{made.sum()} of {len(made)} {side} samples look made by a sampler."
        usual = shares.pop(natural, None)
        if usual is None or not shares:
            return text, -1, proportion(made)
        most = max(shares, key=lambda code: shares[code].low)
        if difference(shares[most], usual).low <= self.threshold:
            return text, -1, shares[most]
        if usual.value > self.by_nature:
            raise NotApplicable(f"{usual.value:.0%} of the largest class are copies or in-betweens by nature")
        what = f"class {seen.classes[most]} are copies of others, or lie exactly between two."
        return f"{shares[most].value:.0%} of the {side} samples of {what}", int(most), shares[most]

    @staticmethod
    def need_columns(seen: Observations) -> None:
        """Raise NotApplicable where samples lie between two others by chance."""
        n_columns = int((seen.train.flat.std(axis=0) > 0).sum())
        if n_columns < 4:
            raise NotApplicable(f"{n_columns} columns vary; at least 4 are needed to tell")


class SamplerBeforeSplit(MadeSamples):
    """Test samples made by a sampler: copies of samples of their class, or samples exactly between two of them (SMOTE).

    Pattern: of some class significantly more of the test samples than of the largest class, which samplers leave as it
    is, by 10 percentage points; where more than a fifth of that class are copies or in-betweens, they are so by nature,
    as in counts and questionnaires. What it costs is the score of a simple model out of fold on the samples that are
    not made, each copy once, less its score on the test set, both with the class shares of the test set. See
    Demircioğlu (2024, https://doi.org/10.1038/s41598-024-62585-z) for what it does to scores: up to 0.37 of balanced
    accuracy.
    """

    code, cause, sign = "sampler_before_split", "preprocessing", -1
    title = "Resampled before the split"
    question = "Were the test samples drawn from the data, and not made by a sampler?"
    why = (
        "Samples made for the test set lie next to, or on, training samples, and the rare class is far more frequent "
        "than it will be: the test score means nothing."
    )
    do = "Split first. Put the sampler into imbalanced-learn's Pipeline, or give it to the estimator as sampler=."

    n_splits = 3

    def look(self, seen: Observations) -> Finding | str:
        """Look for samples between two others among all samples."""
        seen.need("test", "classes")
        self.need_columns(seen)
        if len(seen.test.chosen) < len(seen.test.y):
            seen = seen.changed(keep=seen.test.chosen)
        X = np.concatenate([seen.train.flat, seen.test.flat])
        codes = np.concatenate([seen.train.codes[seen.train.chosen], seen.test.codes])
        made, test = made_samples(X, codes), seen.test.codes
        text, most, share = self.made(seen, made[-len(test) :], test, "test")
        if most < 0:
            return text
        return self.finding(
            text,
            {f"share of made samples in class {seen.classes[most]}": share},
            effect=self._honest(seen, X, codes, made),
            measured="The score of a simple model, out of fold on samples that are not made, less its test score.",
            mended=self._mended(seen, made[-len(test) :] & (test == most), test, most),
        )

    @staticmethod
    def _mended(seen: Observations, made: np.ndarray, test: np.ndarray, most: int) -> Observations | None:
        """Leave the made samples out, and as large a part of the other classes, so that the shares stay."""
        share = float((~made[test == most]).mean())
        keep = ~made & ((test == most) | (seen.rng(16).random(len(test)) < share))
        return seen.changed(keep=keep) if keep.sum() >= 20 else None

    def _honest(self, seen: Observations, X: np.ndarray, codes: np.ndarray, made: np.ndarray) -> Estimate:
        """Return the simple model's score on samples that are not made, of both parts, less that on the test set."""
        _, first, place, times = np.unique(
            X.astype(np.float32), axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        original = np.isin(np.arange(len(X)), first)
        rows = np.flatnonzero(np.where(times[place.ravel()] > 1, original, ~made) & (codes >= 0))
        test = seen.test.codes
        weight = seen.counts(test) / np.maximum(seen.counts(codes[rows]), 1)
        if seen.counts(codes[rows])[seen.counts(test) > 0].min() < 2 * self.n_splits:
            raise NotApplicable("too few samples of some class are not made to say what the test score is worth")
        folds = StratifiedKFold(self.n_splits, shuffle=True, random_state=0)
        predicted = cross_val_predict(clone(seen.reference.model), X[rows], codes[rows], cv=folds)
        return difference(
            weighted_mean(seen.quality(codes[rows], predicted), weight[codes[rows]], EFFECT_LEVEL),
            weighted_mean(seen.both.reference_quality, np.ones(len(test)), EFFECT_LEVEL),
        )


class ResampledValidation(MadeSamples):
    """Made samples among those that validate: a sampler before early stopping's inner split or outside a search.

    Pattern: as for test samples, if the training samples were resampled outside; none for a sampler in the pipeline. A
    note: it is the validation score that is too high, not the test score.
    """

    code, cause = "resampled_validation", "preprocessing"
    title = "Resampled data in the validation split"
    question = "Are the samples that early stopping or the search validates on free of made ones?"
    why = "Validated on copies and mixtures of training samples, a network seems to get better when it only remembers."
    do = "Pass the sampler to the estimator (sampler=...), which applies it to the training part of its inner split."
    cures = ("sampler_inside",)
    UNMEASURED = (
        "not measured: it is the validation score that is too high. What stopping late, or choosing by it, costs on "
        "the test set shows once the sampler is inside."
    )

    def look(self, seen: Observations) -> Finding | str:
        """Look for a sampler before an inner split, and for made samples in the training data."""
        seen.need("classes")
        inner = any(name.startswith("val_") for name in seen.components.history)
        if not inner and seen.components.search is None:
            raise NotApplicable("nothing is validated within the training samples")
        samplers = {name: repr(step) for name, step in seen.components.samplers}
        if inner and samplers:
            # Samples that are equal to the bit stay on one side of skcnn's inner split.
            repeats = all("RandomOver" in one or "RandomUnder" in one for one in samplers.values())
            if repeats and hasattr(seen.components.final, "to_keras"):
                return "The sampler before the network repeats samples, which the inner split keeps together."
            what = f"The step {next(iter(samplers))!r} makes samples before the network splits validation samples off."
            return self.finding(what, {"samplers before the inner split": len(samplers)}, measured=self.UNMEASURED)
        self.need_columns(seen)
        codes = seen.train.codes[seen.train.chosen]
        text, most, share = self.made(seen, made_samples(seen.train.flat, codes), codes, "training")
        if most < 0:
            return text
        name = f"share of made samples in class {seen.classes[most]}"
        return self.finding(text, {name: share}, measured=self.UNMEASURED)

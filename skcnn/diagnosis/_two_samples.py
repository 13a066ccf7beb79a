"""Two-sample test by nearest neighbours: whether the samples of a part stand among their own."""

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

__all__ = ["neighbours_of_own_part"]

N_NEIGHBORS = 10
N_PERMUTATIONS = 200


def neighbours_of_own_part(
    train: np.ndarray,
    test: np.ndarray,
    rng: np.random.Generator,
    groups: np.ndarray | None,
    strata: np.ndarray,
    n_jobs: int | None,
) -> float:
    """Return by how many standard deviations more neighbours stand in a sample's own part than under permutations.

    The share of each sample's ten nearest neighbours that stand in its own part, training or test (Schilling 1986,
    https://doi.org/10.1080/01621459.1986.10478337), against 200 permutations of the parts; by euclidean distance on
    standardised features and by cosine, whichever is larger. Labels and networks have no say in it.

    Parameters
    ----------
    train, test : ndarray of shape (n, n_features)
        Samples.
    rng : Generator
        Of the permutations.
    groups : ndarray of shape (n_train + n_test,) or None
        Group of each training and then each test sample; groups are permuted as a whole.
    strata : ndarray of shape (n_train + n_test,)
        Class of each sample; parts are permuted within classes, groups within the most frequent class of each.
    n_jobs : int or None
        For distances.
    """
    X = np.clip(StandardScaler().fit(train).transform(np.concatenate([train, test])), -1e6, 1e6)
    part = np.repeat([False, True], [len(train), len(test)])
    strata = np.unique(strata, return_inverse=True)[1]
    groups = np.arange(len(X)) if groups is None else groups
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), strata.max() + 1))
    np.add.at(counts, (place, strata), 1)
    of_group, usual = part[first], counts.argmax(axis=1)
    parts = np.stack([part, *(_permuted(of_group, usual, rng)[place] for _ in range(N_PERMUTATIONS))])
    n_neighbors = min(N_NEIGHBORS, len(X) - 1)
    largest = -np.inf
    for metric in ("euclidean", "cosine"):
        near = NearestNeighbors(n_neighbors=n_neighbors, metric=metric, n_jobs=n_jobs).fit(X)
        index = near.kneighbors(return_distance=False)
        shares = np.array([(one[index] == one[:, None]).mean() for one in parts])
        largest = max(largest, (shares[0] - shares[1:].mean()) / max(shares[1:].std(), 1e-9))
    return float(largest)


def _permuted(part: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute which part samples belong to, within strata."""
    order = np.argsort(strata, kind="stable")
    out = np.empty_like(part)
    out[order] = part[np.lexsort((rng.random(len(part)), strata))]
    return out

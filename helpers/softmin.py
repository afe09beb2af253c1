"""The blockwise softmin that every anomaly score stands on: X (n, d) data, z distances, gamma stiffness."""

import contextlib

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

LARGEST = 1e150  # whose square, summed over columns, is still finite
BLOCK = 2**17  # float64 numbers in one block of rows: 1 MiB, so that a pass over it stays in the cache


def finite_numbers(X, smallest=-np.inf, name="X", allowed="an (n, d) array of numbers"):
    """X as a float array; TypeError where it holds no numbers, ValueError for NaN, infinite, too small."""
    if np.ma.is_masked(X):
        raise ValueError(f"{name}: {np.ma.count_masked(X)} values are masked; fill them or leave out "
                         "their rows")
    X = X.detach() if hasattr(X, "detach") else X  # NumPy takes no tensor that requires a gradient
    try:
        array = np.asarray(X)
    except ValueError:
        raise TypeError(f"{name}: rows differ in length; allowed is {allowed}") from None
    if array.dtype == object and hasattr(X, "to_numpy"):  # pandas' types that can hold a missing value
        with contextlib.suppress(TypeError, ValueError):  # text: named below
            array = X.to_numpy(dtype=float, na_value=np.nan)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: type {array.dtype} is not numeric; allowed is {allowed}")
    right = np.isfinite(array) & (array >= smallest)
    if not right.all():  # only then are places sought, which takes longer than all the rest
        wrong = np.argwhere(~right)[0]
        place, least = ", ".join(str(i) for i in wrong), "" if smallest < 0 else f" of at least {smallest}"
        raise ValueError(f"{name}: value {array[tuple(wrong)]} at [{place}]; allowed are finite "
                         f"numbers{least}")
    return array.astype(float)


def one_each(name, values, count):
    """Names or groups as an array (count,); ValueError for another shape, one missing, mixed types."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: entries differ in length; give ({count},)") from None
    if array.shape != (count,):
        raise ValueError(f"{name}: shape {array.shape} is not allowed; give ({count},)")
    # as words np.asarray would write NaN "nan" and 1 "1"
    single = np.asarray(values, dtype=object) if array.dtype.kind in "OUS" else array
    missing = np.ma.getmaskarray(values) if np.ma.is_masked(values) else pd.isna(single)
    if missing.any():
        raise ValueError(f"{name}: {missing.sum()} are missing, the first at [{missing.argmax()}]; give a "
                         "name to each, or leave out their rows")
    if array.dtype.kind in "OUS":
        words = np.array([isinstance(one, str) for one in single], dtype=bool)
        if words.any() and not words.all():
            raise ValueError(f"{name}: {single[words][0]!r} and {single[~words][0]!r} differ in type; "
                             "give words alone or numbers alone")
    return array


def data_matrix(X):
    """X as a float array (n, d) of at least 2 rows and 1 feature; else TypeError or ValueError."""
    array = finite_numbers(X)
    if array.ndim != 2:
        raise ValueError(f"X: shape {array.shape} is not 2-D; allowed is (n rows, d features)")
    if array.shape[0] < 2 or array.shape[1] < 1:
        raise ValueError(f"X: shape {array.shape} is too small; allowed are at least 2 rows and 1 feature")
    if np.abs(array).max() > LARGEST:
        raise ValueError(f"X: the square of {array.flat[np.abs(array).argmax()]:.3g} is no float; allowed "
                         f"are values up to {LARGEST:g}: give them in a larger unit")
    return array


def positive(name, value):
    """The value as a float; ValueError naming the argument where it is not a finite number above 0."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value!r} is not allowed; give a finite number greater than 0")
    return float(value)


def at_least_one(name, value):
    """The value; ValueError where it is no whole number of at least 1 (runtime's, without torch)."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}: {value!r} is not allowed; give a whole number of at least 1")
    return value


def random_numbers(seed):
    """NumPy's generator; ValueError where the seed is none."""
    try:
        return np.random.default_rng(seed)
    except (ValueError, TypeError):  # below 0, a fraction, a word
        raise ValueError(f"seed: {seed!r} is not allowed; give a whole number of at least 0") from None


def row_blocks(n, copies=1, count=None):
    """Slices of `count` (or all) rows whose distances to all n rows fit the cache, of at least 8 rows."""
    size, count = max(8, BLOCK // (n * copies)), n if count is None else count
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def distances_to_others(X, rows, squared=True):
    """z (b, n) of a slice or list of rows to all rows; infinite to itself, so that a row drops out."""
    z = cdist(X[rows], X, "sqeuclidean" if squared else "euclidean")
    z[np.arange(len(z)), np.r_[rows]] = np.inf
    return z


def softmin(z, gamma, count):
    """(scores, weights): softmin of z over the last axis, relative to `count` rows, and softmax(-gamma z).

    The smallest z is taken out first, so that no exponential underflows.
    """
    shift = z.min(axis=-1, keepdims=True)
    weights = np.exp(gamma * (shift - z))
    total = weights.sum(axis=-1, keepdims=True)
    return shift[..., 0] - (np.log(total[..., 0]) - np.log(count)) / gamma, weights / total


def softmin_rows(X, rows, gamma, squared=True):
    """Softmin scores of a slice or list of rows of X, in float64 and by blocks that fit the cache."""
    rows, n = np.r_[rows], len(X)
    scores = [softmin(distances_to_others(X, rows[block], squared), gamma, n - 1)[0]
              for block in row_blocks(n, count=len(rows))]
    return np.concatenate(scores) if scores else np.empty(0)


def nearest_distances(X):
    """Euclidean distance (n,) of each row to its nearest other row, by a k-d tree: no (n, n) matrix.

    With 20 columns or more the tree may be slower than all distances. From 10,000 rows on it takes a thread
    for each core of the machine, whatever OMP_NUM_THREADS says.
    """
    tree, nearest = cKDTree(X), np.empty(len(X))
    order = tree.indices  # neighbours one after the other, so that the cache still holds what they need
    nearest[order] = tree.query(X[order], k=2, workers=1 if len(X) < 10_000 else -1)[0][:, 1]
    return nearest

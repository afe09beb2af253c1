"""The blockwise softmin that every anomaly score stands on: X (n, d) data, z distances, gamma stiffness."""

import os

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

BLOCK = 2**17  # float64 numbers in one block of rows: 1 MiB, so that a pass over it stays in the cache


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

    With 20 columns or more the tree may be slower than all distances. From 10,000 rows on it takes several
    threads: those of OMP_NUM_THREADS, as other libraries do, or one for each core.
    """
    tree, nearest = cKDTree(X), np.empty(len(X))
    order = tree.indices  # neighbours one after the other, so that the cache still holds what they need
    nearest[order] = tree.query(X[order], k=2, workers=_workers(len(X)))[0][:, 1]
    return nearest


def _workers(n):
    """Threads of a k-d tree with n rows: 1 below 10,000, else those of OMP_NUM_THREADS, -1 for each core."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    several = int(said) if said.isdecimal() and int(said) else -1
    return several if n >= 10_000 else 1

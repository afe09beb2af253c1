"""Kernels between molecules, and kernel ridge regression with them."""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.metrics.pairwise import rbf_kernel

from helpers.runtime import progress


def _checked_rows(X, Y, sigma):
    """X and Y (or X again) as floats; ValueError where widths differ or sigma is not a number above 0."""
    X = np.asarray(X, dtype=float)
    Y = X if Y is None else np.asarray(Y, dtype=float)
    if X.ndim != 2 or Y.ndim != 2 or X.shape[1] != Y.shape[1]:
        raise ValueError(f"Y: shape {Y.shape} does not match X {X.shape}; allowed are (n, d) and (m, d)")
    if not (np.isscalar(sigma) and not isinstance(sigma, str) and 0 < sigma < np.inf):
        raise ValueError(f"sigma: {sigma!r} is not allowed; give a finite number above 0")
    return X, Y


def city_block(X, Y=None):
    """Return (n, m) float32: sum_d |x_d - y_d| of the rows of X (n, d) and Y (m, d), or X with itself.

    exp(-city_block / sigma) is the Laplacian kernel. Raises ValueError for unlike widths.
    """
    same = Y is None
    X, Y = _checked_rows(X, Y, 1.0)
    if same:
        return squareform(pdist(X, "cityblock").astype(np.float32))
    return cdist(X, Y, "cityblock").astype(np.float32)


def compress(environments, size, axes_of=None):
    """Return (A, size): the features of environments on their leading principal axes, element by element.

    axes_of: the Environments whose means and axes are used, by default the same ones; for new molecules give
    those of the training set. Distances between atoms of the same element stay nearly the same; sigma and
    kernel need far less time. Raises ValueError for size not between 1 and the number of features, or for an
    element that axes_of does not hold.
    """
    features, known = environments.features, environments if axes_of is None else axes_of
    if not 1 <= size <= features.shape[1]:
        raise ValueError(f"size: {size!r} is not allowed; give 1 to {features.shape[1]}")
    scores = np.empty((len(features), size), np.float32)
    for element in np.unique(environments.element):
        basis = known.features[known.element == element]
        if not len(basis):
            raise ValueError(f"axes_of: holds no atom of element {element}; give a set that does")
        centered = basis - basis.mean(0)
        axes = np.linalg.eigh((centered.T @ centered).astype(float))[1]
        rows = np.flatnonzero(environments.element == element)
        scores[rows] = (features[rows] - basis.mean(0)) @ axes[:, ::-1][:, :size].astype(np.float32)
    return scores


def environment_kernel(features, molecule, element, n, sigma, block=32):
    """Return (n, n): sum over atom pairs of the same element of exp(-|x_i - x_j|^2 / (2 sigma^2)).

    features (A, d), molecule (A,) row from 0 to n - 1 and element (A,) of the atoms. So the prediction is a
    sum over atoms too. Source: Bartok et al., PRL 104, 136403 (2010). Raises ValueError for unlike lengths,
    molecule rows out of range or sigma not above 0.
    """
    features, molecule, element = np.asarray(features), np.asarray(molecule), np.asarray(element)
    _checked_rows(features, None, sigma)
    if not len(features) == len(molecule) == len(element):
        raise ValueError(f"molecule: lengths {len(features)}, {len(molecule)}, {len(element)} of features, "
                         "molecule and element differ; allowed are equal lengths")
    if molecule.size and not 0 <= molecule.min() <= molecule.max() < n:
        raise ValueError(f"molecule: {molecule.min()} to {molecule.max()} is not allowed; give 0 to {n - 1}")
    kernel = np.zeros((n, n))
    for kind in np.unique(element):
        rows = np.flatnonzero(element == kind)
        rows = rows[np.argsort(molecule[rows], kind="stable")]
        _add_atoms(kernel, features[rows].astype(float) / sigma, molecule[rows], block)
    return kernel


def kernel_between(new, known, sigma, block=32):
    """Return (n, m): `environment_kernel` between new molecules and known ones, which predicts the new.

    new, known: (features (A, d), molecule (A,), element (A,), number of molecules). Prediction is
    kernel_between(...) @ alpha, with alpha of `kernel_ridge`. Raises ValueError for unlike widths or sigma.
    """
    (features, molecule, element, n), (others, their_molecule, their_element, m) = new, known
    features, others = _checked_rows(features, others, sigma)
    kernel = np.zeros((n, m))
    for kind in np.intersect1d(element, their_element):
        rows, columns = np.flatnonzero(element == kind), np.flatnonzero(their_element == kind)
        rows, columns = (each[np.argsort(of[each], kind="stable")] for each, of in
                         ((rows, molecule), (columns, their_molecule)))
        present, starts = np.unique(their_molecule[columns], return_index=True)
        for some in np.array_split(rows, max(1, len(rows) // (8 * block))):
            similar = rbf_kernel(features[some], others[columns], 0.5 / sigma**2)
            sums = np.add.reduceat(similar, starts, axis=1)
            np.add.at(kernel, (molecule[some][:, None], present), sums)
    return kernel


def _add_atoms(kernel, x, molecule, block):
    """Add the atoms of one element, sorted by molecule, in blocks of molecules; mirror the upper half."""
    half, one = -0.5 * np.einsum("ad,ad->a", x, x)[:, None], np.ones((len(x), 1))
    left, right = np.hstack([x, half, one]), np.hstack([x, one, half])  # left @ right.T = -|x - x'|^2 / 2
    present, starts = np.unique(molecule, return_index=True)
    ends = np.append(starts[1:], len(x))
    for low in progress(range(0, len(present), block), "kernel"):
        high = min(low + block, len(present))
        begin = starts[low]
        similar = left[begin:ends[high - 1]] @ right[begin:].T
        np.exp(similar, out=similar)
        similar = np.add.reduceat(similar, starts[low:high] - begin, axis=0)
        similar = np.add.reduceat(similar, starts[low:] - begin, axis=1)
        kernel[np.ix_(present[low:high], present[low:])] += similar
        kernel[np.ix_(present[high:], present[low:high])] += similar[:, high - low:].T


def kernel_ridge(K, t, lam):
    """Return alpha (n,) = (K + lam I)^-1 t by Cholesky; predictions are K_new @ alpha.

    K (n, n) symmetric, float32 or float64, which decides the precision; t (n,) or (n, k). Raises ValueError
    for lam < 0, or where K + lam I is not positive definite.
    """
    if not (np.isscalar(lam) and 0 <= lam < np.inf):
        raise ValueError(f"lam: {lam!r} is not allowed; give a finite number of at least 0")
    matrix = np.array(K, dtype=np.result_type(K, np.float32), order="F")
    matrix[np.diag_indices_from(matrix)] += lam
    try:
        return cho_solve(cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False), t)
    except LinAlgError:
        problem = f"lam: {lam!r} leaves the matrix + lam I not positive definite; give a larger one"
        raise ValueError(problem) from None

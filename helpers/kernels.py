"""Kernels between molecules, and kernel ridge regression with them."""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lapack
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import euclidean_distances

from helpers.arguments import finite_numbers, not_negative, positive
from helpers.runtime import progress

ROWS = 256  # of both sides of a block of city-block distances, so that they stay in the cache


def _checked_rows(X, Y, sigma):
    """X and Y (or X again) as floats; ValueError where widths differ or sigma is not a number above 0."""
    X = finite_numbers(X, allowed="(n, d) numbers")
    Y = X if Y is None else finite_numbers(Y, name="Y", allowed="(m, d) numbers")
    if X.ndim != 2 or Y.ndim != 2 or X.shape[1] != Y.shape[1]:
        raise ValueError(f"Y: shape {Y.shape} does not match X {X.shape}; allowed are (n, d) and (m, d)")
    positive("sigma", sigma)
    return X, Y


def _checked_size(size, allowed, width):
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 1 <= size <= width:
        raise ValueError(f"size: {size!r} is not allowed; give 1 to {width}{allowed}")


def _checked_atoms(features, molecule, element, n):
    """Arrays of the atoms; ValueError for unlike lengths and rows that are not 0 to n - 1."""
    features, molecule, element = np.asarray(features), np.asarray(molecule), np.asarray(element)
    if not len(features) == len(molecule) == len(element):
        raise ValueError(f"molecule: lengths {len(features)}, {len(molecule)}, {len(element)} of features, "
                         "molecule and element differ; allowed are equal lengths")
    if molecule.size and not 0 <= molecule.min() <= molecule.max() < n:
        raise ValueError(f"molecule: {molecule.min()} to {molecule.max()} is not allowed; give 0 to {n - 1}")
    return features, molecule, element


def city_block(X, Y=None):
    """Return (n, m) float32: sum_d |x_d - y_d| of the rows of X (n, d) and Y (m, d), or X with itself.

    exp(-city_block / sigma) is the Laplacian kernel. Raises ValueError for unlike widths.
    """
    same = Y is None
    X, Y = _checked_rows(X, Y, 1.0)
    distances = np.empty((len(X), len(Y)), np.float32)
    for i in range(0, len(X), ROWS):
        for j in range(i if same else 0, len(Y), ROWS):
            part = cdist(X[i:i + ROWS], Y[j:j + ROWS], "cityblock")
            distances[i:i + ROWS, j:j + ROWS] = part
            if same:
                distances[j:j + ROWS, i:i + ROWS] = part.T
    return distances


def principal_axes(environments, size):
    """Return {element: (mean (d,), axes (d, size))} of the features of environments, element by element.

    Raises ValueError for size not between 1 and the number of features.
    """
    width, found = environments.features.shape[1], {}
    _checked_size(size, ", the number of features", width)
    for element in np.unique(environments.element):
        features = environments.features[environments.element == element]
        centered = features - features.mean(0)
        axes = np.linalg.eigh((centered.T @ centered).astype(float))[1]
        found[int(element)] = features.mean(0), axes[:, ::-1][:, :size].astype(np.float32)
    return found


def compress(environments, size, axes_of=None):
    """Return (A, size): the features of environments on their leading principal axes, element by element.

    axes_of: what gives means and axes, by default the same environments; for new molecules the Environments
    of the training set, or its `principal_axes`. Distances between atoms of the same element stay nearly the
    same; sigma and kernel need far less time. Raises ValueError like `principal_axes`, or for an element,
    more axes or other features than axes_of holds.
    """
    known = environments if axes_of is None else axes_of
    axes = known if isinstance(known, dict) else principal_axes(known, size)
    width = environments.features.shape[1]
    _checked_size(size, ", the axes of axes_of", min([len(a.T) for _, a in axes.values()], default=width))
    if other := [len(mean) for mean, _ in axes.values() if len(mean) != width]:
        raise ValueError(f"axes_of: it has {other[0]} features; allowed are {width}, as environments has")
    scores = np.empty((len(environments.features), size), np.float32)
    for element in np.unique(environments.element):
        if element not in axes:
            raise ValueError(f"axes_of: holds no atom of element {element}; give a set that does")
        mean, directions = axes[element]
        rows = np.flatnonzero(environments.element == element)
        scores[rows] = (environments.features[rows] - mean) @ directions[:, :size]
    return scores


def _matern(half):
    """(1 + r) e^-r of r = sqrt(3) |x - x'| / sigma, from half = -|x - x'|^2 / (2 sigma^2), in place."""
    np.minimum(half, 0, out=half)
    r = np.sqrt(np.multiply(half, -6, out=half), out=half)
    return (1 + r) * np.exp(-r)


SHAPES = {"gauss": lambda half: np.exp(half, out=half), "matern": _matern}


def _checked_shape(shape):
    if shape not in SHAPES:
        raise ValueError(f"shape: {shape!r} is not known; allowed are 'gauss' and 'matern'")
    return SHAPES[shape]


def environment_kernel(features, molecule, element, n, sigma, block=32, shape="gauss", single=False):
    """Return (n, n): sum over atom pairs of the same element of k(|x_i - x_j|).

    k: exp(-d^2 / (2 sigma^2)) for "gauss", (1 + r) e^-r with r = sqrt(3) d / sigma for "matern" (3/2).
    features (A, d), molecule (A,) row from 0 to n - 1 and element (A,) of the atoms; single: compare atoms in
    float32, which takes half the time. So the prediction is a sum over atoms too. Source: Bartok et al., PRL
    104, 136403 (2010). Raises ValueError for unlike lengths, molecule rows out of range, sigma not above 0 or
    another shape.
    """
    similarity, _ = _checked_shape(shape), _checked_rows(features, None, sigma)
    features, molecule, element = _checked_atoms(features, molecule, element, n)
    kernel, precision = np.zeros((n, n)), np.float32 if single else np.float64
    for kind in np.unique(element):
        rows = np.flatnonzero(element == kind)
        rows = rows[np.argsort(molecule[rows], kind="stable")]
        _add_atoms(kernel, features[rows].astype(precision) / precision(sigma), molecule[rows], block,
                   similarity)
    return kernel


def kernel_between(new, known, sigma, block=32, shape="gauss"):
    """Return (n, m): `environment_kernel` between new molecules and known ones, which predicts the new.

    new, known: (features (A, d), molecule (A,), element (A,), number of molecules). Prediction is
    kernel_between(...) @ alpha, with alpha of `kernel_ridge`. Raises ValueError for unlike widths, and like
    `environment_kernel`.
    """
    _, (features, others) = _checked_shape(shape), _checked_rows(new[0], known[0], sigma)
    (_, molecule, element), n = _checked_atoms(features, *new[1:]), new[3]
    (_, their_molecule, their_element), m = _checked_atoms(others, *known[1:]), known[3]
    new, known = (features, molecule, element, n), (others, their_molecule, their_element, m)
    return unchecked_between(new, known, sigma, block, shape)


def unchecked_between(new, known, sigma, block=32, shape="gauss"):
    """Return (n, m): `kernel_between` of arrays that fit, for a model that has checked what it knows before.

    With one new molecule, checking all known atoms again and turning them to float64 at once takes longer
    than their kernel with it.
    """
    similarity, kernel = SHAPES[shape], np.zeros((new[3], known[3]))
    (features, molecule, element, _), (others, their_molecule, their_element, _) = new, known
    for kind in np.intersect1d(element, their_element):
        rows, columns = np.flatnonzero(element == kind), np.flatnonzero(their_element == kind)
        rows, columns = (each[np.argsort(of[each], kind="stable")] for each, of in
                         ((rows, molecule), (columns, their_molecule)))
        present, starts = np.unique(their_molecule[columns], return_index=True)
        theirs = others[columns].astype(float)
        for some in np.array_split(rows, max(1, len(rows) // (8 * block))):
            squared = euclidean_distances(features[some].astype(float), theirs, squared=True)
            sums = np.add.reduceat(similarity(squared * (-0.5 / sigma**2)), starts, axis=1)
            np.add.at(kernel, (molecule[some][:, None], present), sums)
    return kernel


def _add_atoms(kernel, x, molecule, block, similarity):
    """Add the atoms of one element, sorted by molecule, in blocks of molecules; mirror the upper half."""
    half, one = -0.5 * np.einsum("ad,ad->a", x, x)[:, None], np.ones((len(x), 1), x.dtype)
    left, right = np.hstack([x, half, one]), np.hstack([x, one, half])  # left @ right.T = -|x - x'|^2 / 2
    present, starts = np.unique(molecule, return_index=True)
    starts = np.append(starts, len(x))
    ones, shape = np.ones(len(x), x.dtype), (len(present), len(x))
    sums = csr_array((ones, np.arange(len(x)), starts), shape)  # times atoms: added up for each molecule
    for low in progress(range(0, len(present), block), "kernel"):
        high = min(low + block, len(present))
        begin, end = starts[low], starts[high]
        similar = sums[low:high, begin:end] @ similarity(left[begin:end] @ right[begin:].T)
        similar = (sums[low:, begin:] @ similar.T).T
        kernel[np.ix_(present[low:high], present[low:])] += similar
        kernel[np.ix_(present[high:], present[low:high])] += similar[:, high - low:].T


def squared_distances(kernel, of_new, of_known):
    """Return (n, m): squared distance k(x, x) - 2 k(x, y) + k(y, y) of molecules in a kernel's own space.

    kernel (n, m); of_new (n,), of_known (m,): what a molecule's kernel with itself is. Never below 0.
    """
    return np.maximum(np.asarray(of_new)[:, None] + np.asarray(of_known) - 2 * np.asarray(kernel), 0)


def leave_one_out(K, t, lam, lower=None):
    """Return error and sd (n,): of each molecule by the model fitted without it, with no refit.

    The weights of the model on all are alpha = -error / sd^2. lower: `cholesky` of K and lam where it is
    known; it is left as it is. With G = (K + lam I)^-1 the error (prediction minus t) is -(G t)_n / G_nn, and
    1 / G_nn is the Gaussian process variance of t_n given the others, noise lam included. Source: Rasmussen
    and Williams, Gaussian Processes for Machine Learning (2006), eqs. 5.10 to 5.12. Raises ValueError like
    `kernel_ridge`.
    """
    _checked_targets(t, len(K))
    known, lower = lower is not None, cholesky(K, lam) if lower is None else lower
    alpha = cho_solve((lower, True), t)
    inverse, _ = lapack.dpotri(np.asfortranarray(lower, dtype=float), lower=1, overwrite_c=not known)
    return -alpha / np.diagonal(inverse), np.sqrt(1 / np.diagonal(inverse))


def _checked_targets(t, n):
    shape = finite_numbers(t, name="t", allowed=f"numbers ({n},) or ({n}, k)").shape
    if shape[:1] != (n,):
        raise ValueError(f"t: shape {shape} does not match K; allowed are ({n},) and ({n}, k)")


def _check_symmetric(K, compared=16):
    """ValueError where K differs from its transpose in one of `compared` rows, by more than rounding."""
    rows = np.linspace(0, len(K) - 1, min(len(K), compared)).astype(int)
    there, across = K[rows].astype(float), K[:, rows].T.astype(float)
    with np.errstate(invalid="ignore"):  # NaN and infinity are named later
        apart = np.abs(there - across) > 1e-4 * np.abs(there).max(initial=0)
    if apart.any():
        i, j = np.argwhere(apart)[0]
        raise ValueError(f"K: [{rows[i]}, {j}] is {there[i, j]:.6g} and [{j}, {rows[i]}] {across[i, j]:.6g}; "
                         "allowed is a symmetric matrix")


def cholesky(K, lam, overwrite=False):
    """Lower triangle L with L L^T = K + lam I, in the precision of K; above the diagonal stands anything.

    overwrite: L may take the place of K, which saves a copy. Raises ValueError like `kernel_ridge`.
    """
    not_negative("lam", lam)
    if np.ma.is_masked(K):
        raise ValueError(f"K: {np.ma.count_masked(K)} values are masked; leave out their rows and columns")
    K = np.asarray(K)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.dtype.kind not in "biuf":
        raise ValueError(f"K: type {K.dtype}, shape {K.shape} is not allowed; give numbers (n, n)")
    _check_symmetric(K)
    precision = np.result_type(K, np.float32)
    if overwrite:  # the transpose of a C-ordered matrix is Fortran-ordered, and K is symmetric: no copy
        matrix = np.asarray(K.T, dtype=precision, order="F")
    else:
        matrix = np.array(K, dtype=precision, order="F")
    matrix[np.diag_indices_from(matrix)] += lam
    finite = np.isfinite(np.diagonal(matrix)).all()
    try:
        lower = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)[0]
        if finite and np.isfinite(np.diagonal(lower)).all():  # NaN anywhere in K reaches it
            return lower
        raise ValueError("K: some values are NaN or infinite; allowed are finite numbers")
    except LinAlgError:
        if not np.isfinite(K).all():
            raise ValueError("K: some values are NaN or infinite; allowed are finite numbers") from None
        problem = f"lam: {lam!r} leaves the matrix + lam I not positive definite; give a larger one"
        raise ValueError(problem) from None


def kernel_ridge(K, t, lam, overwrite=False):
    """Return alpha (n,) = (K + lam I)^-1 t by Cholesky; predictions are K_new @ alpha.

    K (n, n) symmetric, float32 or float64, which decides the precision; t (n,) or (n, k); overwrite: K may be
    destroyed, which saves a copy. Raises ValueError for lam < 0, other shapes, values that are not finite, or
    where K is not symmetric (16 rows are compared with their columns) or K + lam I not positive definite.
    """
    _checked_targets(t, len(K))
    return cho_solve((cholesky(K, lam, overwrite), True), t)

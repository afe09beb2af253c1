"""Atoms, pairs and potentials: molecules as sums, distances in bohr, energies in kcal/mol.

Molecules are two padded arrays: coordinates (n, a, 3) and nuclear charges (n, a), where 0 means no atom.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

ELEMENTS = ("H", "C", "N", "O", "S")
CHARGES = np.array([1, 6, 7, 8, 16])
BOHR = 0.529177210903  # angstrom, CODATA 2018
# Single-bond covalent radii: Cordero et al., Dalton Trans. 2832 (2008), 0.31 0.76 0.71 0.66 1.05 angstrom.
RADII = np.array([0.31, 0.76, 0.71, 0.66, 1.05]) / BOHR
BOND_FACTOR = 1.2  # two atoms are bonded up to 1.2 times the sum of their covalent radii
FIRST, SECOND = np.triu_indices(len(ELEMENTS))
PAIRS = tuple(f"{ELEMENTS[j]}-H" if i == 0 else f"{ELEMENTS[i]}-{ELEMENTS[j]}"
              for i, j in zip(FIRST, SECOND, strict=True))
KIND = np.full((len(ELEMENTS), len(ELEMENTS)), -1)
KIND[FIRST, SECOND] = KIND[SECOND, FIRST] = np.arange(len(PAIRS))
BLOCK = 2**17  # numbers in one block of pairs x centers, so that it stays in the cache


@dataclass(frozen=True)
class Pairs:
    """All pairs of atoms, sorted by molecule, then kind: five arrays of equal length (m,).

    molecule: row; first, second: atoms in that row; kind: index into PAIRS; distance: bohr.
    `found[rows]` keeps the pairs chosen by a mask, slice or index array.
    """

    molecule: np.ndarray
    first: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    distance: np.ndarray

    def __getitem__(self, rows):
        return Pairs(self.molecule[rows], self.first[rows], self.second[rows], self.kind[rows],
                     self.distance[rows])


def elements(charges):
    """Return the index into ELEMENTS of each nuclear charge (same shape), -1 where there is no atom (0).

    Raises ValueError for a charge that is not 0, 1, 6, 7, 8 or 16.
    """
    charges = np.asarray(charges)
    index = np.select([charges == z for z in CHARGES], range(len(CHARGES)), -1)
    unknown = charges[(index < 0) & (charges != 0)]
    if unknown.size:
        raise ValueError(f"charges: {unknown.flat[0]} is not known; allowed are 0 (no atom), 1, 6, 7, 8, 16")
    return index


def composition(charges):
    """Return (n, 5) int: how many H, C, N, O, S atoms each molecule of charges (n, a) has; (5,) for (a,)."""
    return (elements(charges)[..., None] == np.arange(len(ELEMENTS))).sum(axis=-2)


def _checked(coordinates, charges):
    coordinates, charges = np.asarray(coordinates, dtype=float), np.asarray(charges)
    if coordinates.ndim != 3 or coordinates.shape[2] != 3:
        raise ValueError(f"coordinates: shape {coordinates.shape} is not allowed; give (molecules, atoms, 3)")
    if coordinates.shape[:2] != charges.shape:
        raise ValueError(f"charges: shape {charges.shape} does not match coordinates {coordinates.shape}; "
                         f"allowed is {coordinates.shape[:2]}, one charge per atom")
    atom = charges != 0
    if not np.isfinite(coordinates[atom]).all():
        raise ValueError("coordinates: NaN or infinite at an atom; allowed are finite numbers in bohr")
    return coordinates, charges


def pairs(coordinates, charges):
    """Return Pairs: every two atoms of every molecule once.

    coordinates (n, a, 3) bohr; charges (n, a). Raises ValueError for unlike lengths, an unknown element or
    two atoms at the same place.
    """
    coordinates, charges = _checked(coordinates, charges)
    element = elements(charges)
    i, j = np.triu_indices(charges.shape[1], 1)
    kind = np.where((element[:, i] < 0) | (element[:, j] < 0), -1, KIND[element[:, i], element[:, j]])
    molecule, pair = np.nonzero(kind >= 0)
    kind = kind[molecule, pair]
    order = np.argsort(molecule * len(PAIRS) + kind, kind="stable")
    molecule, first, second = molecule[order], i[pair[order]], j[pair[order]]
    distance = np.linalg.norm(coordinates[molecule, first] - coordinates[molecule, second], axis=1)
    overlap = np.flatnonzero(distance == 0)
    if overlap.size:
        m, a, b = (array[overlap[0]] for array in (molecule, first, second))
        raise ValueError(f"coordinates: atoms {a} and {b} of molecule {m} overlap; allowed are distances > 0")
    return Pairs(molecule, first, second, kind[order], distance)


def bonded(all_pairs, threshold=None):
    """Return a mask (m,) of the pairs closer than threshold bohr; None: 1.2 times the sum of covalent radii.

    Raises ValueError for a threshold that is not a number above 0.
    """
    if threshold is None:
        threshold = BOND_FACTOR * (RADII[FIRST] + RADII[SECOND])[all_pairs.kind]
    elif not (np.isscalar(threshold) and not isinstance(threshold, str) and 0 < threshold < np.inf):
        raise ValueError(f"threshold: {threshold!r} is not allowed; give bohr above 0 or None (covalent)")
    return all_pairs.distance < threshold


def bonds(coordinates, charges, threshold=None):
    """Return the bonds (b, 2) of one molecule as pairs of atom numbers, sorted.

    coordinates (a, 3) bohr; charges (a,); threshold as in `bonded`. Raises ValueError like `pairs`, `bonded`.
    """
    all_pairs = pairs(np.asarray(coordinates)[None], np.asarray(charges)[None])
    found = all_pairs[bonded(all_pairs, threshold)]
    return np.column_stack([found.first, found.second])[np.lexsort([found.second, found.first])]


def gaussians(distance, centers, width):
    """Return exp(-(d - c)^2 / (2 width^2)), (m, centers): soft intervals of distances d (m,), all in bohr."""
    centers = np.atleast_1d(np.asarray(centers, dtype=float))
    if not (np.isscalar(width) and 0 < width < np.inf):
        raise ValueError(f"width: {width!r} is not allowed; give bohr above 0")
    if centers.ndim != 1 or not centers.size or not np.isfinite(centers).all():
        raise ValueError(f"centers: shape {centers.shape} is not allowed; give a list of finite bohr")
    scaled = np.subtract.outer(np.asarray(distance, dtype=float), centers)
    scaled *= 1 / (width * np.sqrt(2))
    np.multiply(scaled, scaled, out=scaled)
    return np.exp(np.negative(scaled, out=scaled), out=scaled)


def pair_features(molecules, centers, width):
    """Return (n, 15 * centers): for each pair type (order of PAIRS) the sum over pairs of the soft intervals.

    molecules: has coordinates and charges; centers, width: bohr. Pairs beyond 8 widths from every center add
    nothing (below 1e-13) and are left out. Raises ValueError like `pairs`, and for a bad width or centers.
    """
    gaussians([], centers, width)
    centers = np.atleast_1d(np.asarray(centers, dtype=float))
    found = pairs(molecules.coordinates, molecules.charges)
    near = (found.distance > centers.min() - 8 * width) & (found.distance < centers.max() + 8 * width)
    found = found[near]
    features = np.zeros((len(molecules.charges) * len(PAIRS), len(centers)))
    rows, starts = np.unique(found.molecule * len(PAIRS) + found.kind, return_index=True)
    ends = np.append(starts[1:], len(found.distance))
    step = max(1, BLOCK // len(centers))
    low = 0
    while low < len(rows):  # whole sums per block: as many as fit
        high = max(low + 1, np.searchsorted(ends, starts[low] + step, side="right"))
        soft = gaussians(found.distance[starts[low]:ends[high - 1]], centers, width)
        features[rows[low:high]] = np.add.reduceat(soft, starts[low:high] - starts[low], axis=0)
        low = high
    return features.reshape(len(molecules.charges), -1)


def potentials(weights, centers, width, distance):
    """Return (15, m) kcal/mol: the learned energy of each pair type at the distances (m,) bohr.

    weights (15 * centers,) kcal/mol, in the order of `pair_features`.
    """
    return _per_type(weights, centers) @ gaussians(distance, centers, width).T


def pair_energies(all_pairs, weights, centers, width):
    """Return (m,) kcal/mol: what each pair adds to the prediction; they sum to features @ weights exactly."""
    table, energy = _per_type(weights, centers), np.empty(len(all_pairs.distance))
    for start in range(0, len(energy), step := max(1, BLOCK // table.shape[1])):
        part = slice(start, start + step)
        soft = gaussians(all_pairs.distance[part], centers, width)
        energy[part] = np.einsum("mc,mc->m", soft, table[all_pairs.kind[part]])
    return energy


def _per_type(weights, centers):
    weights, size = np.asarray(weights, dtype=float), len(PAIRS) * np.size(centers)
    if weights.shape != (size,):
        raise ValueError(f"weights: shape {weights.shape} is not allowed; give ({size},), 15 per center")
    return weights.reshape(len(PAIRS), -1)


def split(folds, k):
    """Return (train, test) molecule indices: fold k is the test set, the others together train.

    folds (5, m) indices. Raises ValueError for k that is not a whole number from 0 to 4.
    """
    folds = np.asarray(folds)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k < len(folds):
        raise ValueError(f"k: {k!r} is not a fold; allowed are the whole numbers 0 to {len(folds) - 1}")
    return np.delete(folds, k, axis=0).ravel().astype(int), folds[k].astype(int)


def fold_moments(X, t, folds):
    """Return S (5, d, d) and s (5, d), X^T X and X^T t of each fold: a training set's are sums over folds."""
    X, t = np.asarray(X, dtype=float), np.asarray(t, dtype=float)
    return np.stack([X[f].T @ X[f] for f in folds]), np.stack([X[f].T @ t[f] for f in folds])


def ridge(S, s, lam):
    """Return w (d,) = (S + lam I)^-1 s by Cholesky, for S = X^T X and s = X^T t (no intercept).

    Raises ValueError for lam < 0, or where S + lam I is singular.
    """
    if not (np.isscalar(lam) and 0 <= lam < np.inf):
        raise ValueError(f"lam: {lam!r} is not allowed; give a finite number of at least 0")
    matrix = np.array(S, dtype=float)
    matrix[np.diag_indices_from(matrix)] += lam
    try:
        return cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), s)
    except LinAlgError:
        raise ValueError(f"lam: {lam!r} leaves X^T X + lam I singular; give a larger one") from None

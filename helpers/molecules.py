"""Atoms, pairs and potentials: molecules as sums, distances in bohr, energies in kcal/mol.

Molecules are two padded arrays: coordinates (n, a, 3) and nuclear charges (n, a), where 0 means no atom.
"""

from dataclasses import dataclass
from itertools import product

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


TRIPLES = tuple(f"{ELEMENTS[a]}-{center}-{ELEMENTS[b]}" for center in ELEMENTS
                for a, b in zip(FIRST, SECOND, strict=True))
BOND = 2.5  # bohr; `fade` is near 1 for a leg as long as a usual bond


@dataclass(frozen=True)
class Triples:
    """All angles first-center-second, sorted by molecule, then center: arrays of equal length (m,).

    molecule: row; center, first, second: atoms in that row; kind: index into TRIPLES; cosine of the angle at
    center; legs (m, 2): the distances from center to first and second, bohr.
    """

    molecule: np.ndarray
    center: np.ndarray
    first: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    cosine: np.ndarray
    legs: np.ndarray


def _legs(coordinates, charges, cutoff):
    """Return molecule, center, end, length of all ordered pairs closer than cutoff, sorted."""
    if not (np.isscalar(cutoff) and not isinstance(cutoff, str) and 0 < cutoff < np.inf):
        raise ValueError(f"cutoff: {cutoff!r} is not allowed; give bohr above 0")
    found = pairs(coordinates, charges)
    found = found[found.distance < cutoff]
    molecule, length = np.tile(found.molecule, 2), np.tile(found.distance, 2)
    center, end = np.append(found.first, found.second), np.append(found.second, found.first)
    order = np.lexsort([end, center, molecule])
    return molecule[order], center[order], end[order], length[order]


def triples(coordinates, charges, cutoff):
    """Return Triples: every two legs shorter than cutoff (bohr) that start at the same atom, once.

    coordinates (n, a, 3) bohr; charges (n, a). Raises ValueError like `pairs`, and for a cutoff not above 0.
    """
    coordinates, charges = _checked(coordinates, charges)
    molecule, center, end, length = _legs(coordinates, charges, cutoff)
    element = elements(charges)
    direction = (coordinates[molecule, end] - coordinates[molecule, center]) / length[:, None]
    starts = np.flatnonzero(np.diff(molecule * charges.shape[1] + center, prepend=-1))
    count = np.diff(starts, append=len(molecule))
    first, second = np.triu_indices(count.max(initial=0), 1)
    site, pair = np.nonzero(second < count[:, None])  # all pairs of the legs of each center
    a, b = starts[site] + first[pair], starts[site] + second[pair]
    cosine = np.clip(np.einsum("mx,mx->m", direction[a], direction[b]), -1, 1)
    kind = element[molecule[a], center[a]] * len(PAIRS) + KIND[element[molecule[a], end[a]],
                                                               element[molecule[b], end[b]]]
    return Triples(molecule[a], center[a], end[a], end[b], kind, cosine, np.stack([length[a], length[b]], 1))


def fade(length, cutoff, power=1):
    """Return (1 - (r / cutoff)^2)^2 (BOND / r)^power for lengths r, all bohr; 0 from cutoff on."""
    length = np.asarray(length, dtype=float)
    return np.clip(1 - (length / cutoff) ** 2, 0, None) ** 2 * (BOND / length) ** power


def hats(values, knots):
    """Return index, share (m,): a value lies `share` of the way from knots[index] to knots[index + 1].

    Values beyond the ends count as the end. Raises ValueError unless knots are two or more, evenly rising.
    """
    knots = np.asarray(knots, dtype=float)
    steps = np.diff(knots)
    if knots.ndim != 1 or len(knots) < 2 or steps[0] <= 0 or not np.allclose(steps, steps[0]):
        raise ValueError(f"knots: {knots} is not allowed; give two or more numbers that rise in equal steps")
    place = np.clip((np.asarray(values, dtype=float) - knots[0]) / steps[0], 0, len(steps))
    index = np.minimum(place.astype(int), len(steps) - 1)
    return index, place - index


def _corners(row, shares, sizes, weight):
    """Yield flat index and weight of the 2^k table cells between which each row's values are shared."""
    for corner in product((0, 1), repeat=len(shares)):
        index, part = row, weight
        for (low, share), high, size in zip(shares, corner, sizes, strict=True):
            index, part = index * size + low + high, part * (share if high else 1 - share)
        yield index, part


def _spread(row, rows, values, knots, weight):
    """Sum weights (m,) into a (rows, knots...) table, each shared by the knots around its values."""
    sizes = [len(k) for k in knots]
    shares = [hats(v, k) for v, k in zip(values, knots, strict=True)]
    size = rows * int(np.prod(sizes))
    cells = _corners(row, shares, sizes, weight)
    table = sum(np.bincount(index, part, minlength=size) for index, part in cells)
    return table.reshape(rows, -1)


def triple_features(molecules, cosines, legs, cutoff):
    """Return (n, 75 * cosines * legs): sums over triples, by type (order of TRIPLES), cosine and mean leg.

    molecules: has coordinates and charges; cosines, legs (bohr): evenly rising knots of hat functions, so
    that a weight is the potential at its knot and between knots it is a straight line; cutoff: bohr. A triple
    counts fade(r1) fade(r2). Raises ValueError like `triples` and `hats`.
    """
    blocks = []
    for start in range(0, len(molecules.charges), 512):
        rows = slice(start, start + 512)
        found = triples(molecules.coordinates[rows], molecules.charges[rows], cutoff)
        blocks.append(_spread(found.molecule * len(TRIPLES) + found.kind,
                              len(molecules.charges[rows]) * len(TRIPLES), [found.cosine, found.legs.mean(1)],
                              [cosines, legs], fade(found.legs, cutoff).prod(1)))
    return np.concatenate(blocks).reshape(len(molecules.charges), -1)


def triple_energies(found, weights, cosines, legs, cutoff):
    """Return (m,) kcal/mol: what each triple adds to the prediction; they sum to features @ weights."""
    weights, size = np.asarray(weights, dtype=float), len(TRIPLES) * len(cosines) * len(legs)
    if weights.shape != (size,):
        raise ValueError(f"weights: shape {weights.shape} is not allowed; give ({size},), 75 per knot pair")
    shares = [hats(found.cosine, cosines), hats(found.legs.mean(1), legs)]
    corners = _corners(found.kind, shares, [len(cosines), len(legs)], fade(found.legs, cutoff).prod(1))
    return sum(weights[index] * part for index, part in corners)


@dataclass(frozen=True)
class Environments:
    """What each heavy atom sees: features (A, d), molecule (A,) row, atom (A,) in that row, element (A,)."""

    features: np.ndarray
    molecule: np.ndarray
    atom: np.ndarray
    element: np.ndarray


def environments(molecules, distances, cosines, legs, cutoffs=(8.0, 7.0)):
    """Return Environments of all atoms but H: neighbours by element and distance, angles by type.

    features (A, 5 * distances + 15 * cosines * legs) float32: hat functions as in `triple_features`, faded
    with power 2 towards the cutoffs (neighbours, angles; bohr). One row per heavy atom, in order.
    Raises ValueError like `triples` and `hats`.
    """
    blocks = []
    for start in range(0, len(molecules.charges), 512):
        coordinates, charges = molecules.coordinates[start:start + 512], molecules.charges[start:start + 512]
        element, atoms = elements(charges), charges.shape[1]
        row, center, end, length = _legs(coordinates, charges, cutoffs[0])
        near = _spread((row * atoms + center) * len(ELEMENTS) + element[row, end],
                       charges.size * len(ELEMENTS), [length], [distances], fade(length, cutoffs[0], 2))
        found = triples(coordinates, charges, cutoffs[1])
        angles = _spread((found.molecule * atoms + found.center) * len(PAIRS) + found.kind % len(PAIRS),
                         charges.size * len(PAIRS), [found.cosine, found.legs.mean(1)], [cosines, legs],
                         fade(found.legs, cutoffs[1], 2).prod(1))
        both = np.concatenate([near.reshape(charges.size, -1), angles.reshape(charges.size, -1)], 1)
        blocks.append(both[(element > 0).ravel()].astype(np.float32))
    molecule, atom = np.nonzero(elements(molecules.charges) > 0)
    return Environments(np.concatenate(blocks), molecule, atom, elements(molecules.charges)[molecule, atom])


def coulomb_matrices(molecules, form="sorted"):
    """Return Coulomb matrices (n, a, a): Z_i Z_j / |R_i - R_j|, 0.5 Z_i^2.4 on the diagonal, 0 for no atom.

    molecules: has coordinates (bohr) and charges. form: "plain" (atoms as they come), "sorted" (rows and
    columns by falling row norm) or "spectrum" (n, a), eigenvalues by falling size. Source: Rupp et al., PRL
    108, 058301 (2012), eq. 1. Raises ValueError like `pairs`, and for another form.
    """
    if form not in ("plain", "sorted", "spectrum"):
        raise ValueError(f"form: {form!r} is not known; allowed are 'plain', 'sorted' and 'spectrum'")
    charges = np.asarray(molecules.charges, dtype=float)
    found = pairs(molecules.coordinates, molecules.charges)
    matrices = np.zeros((*charges.shape, charges.shape[1]))
    row, i, j = found.molecule, found.first, found.second
    matrices[row, i, j] = matrices[row, j, i] = charges[row, i] * charges[row, j] / found.distance
    diagonal = np.arange(charges.shape[1])
    matrices[:, diagonal, diagonal] = 0.5 * charges**2.4
    if form == "plain":
        return matrices
    if form == "sorted":
        order = np.argsort(-np.linalg.norm(matrices, axis=2), axis=1, kind="stable")
        return np.take_along_axis(np.take_along_axis(matrices, order[:, :, None], 1), order[:, None, :], 2)
    values = np.linalg.eigvalsh(matrices)
    return np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), 1)


def bag_of_bonds(molecules):
    """Return (n, d): 0.5 Z^2.4 by element, then Z_i Z_j / r by pair type, each bag sorted, padded with 0.

    molecules: has coordinates (bohr) and charges; d follows from the largest bags in `molecules`. Source:
    Hansen et al., J. Phys. Chem. Lett. 6, 2326 (2015). Raises ValueError like `pairs`.
    """
    found, (row, atom) = pairs(molecules.coordinates, molecules.charges), np.nonzero(molecules.charges)
    charge = np.asarray(molecules.charges)
    bag = np.concatenate([elements(charge)[row, atom], len(ELEMENTS) + found.kind])
    value = np.concatenate([0.5 * charge[row, atom] ** 2.4, charge[found.molecule, found.first]
                            * charge[found.molecule, found.second] / found.distance])
    row = np.concatenate([row, found.molecule])
    order = np.lexsort([-value, bag, row])
    group = row[order] * (len(ELEMENTS) + len(PAIRS)) + bag[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    place = np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
    widest = np.zeros(len(ELEMENTS) + len(PAIRS), int)
    np.maximum.at(widest, bag[order], place + 1)
    features = np.zeros((len(charge), widest.sum()))
    features[row[order], (np.cumsum(widest) - widest)[bag[order]] + place] = value[order]
    return features

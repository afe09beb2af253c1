"""Atoms, pairs and potentials: molecules as sums, distances in bohr, energies in kcal/mol.

Molecules are two padded arrays: coordinates (n, a, 3) and nuclear charges (n, a), where 0 means no atom.
"""

from dataclasses import dataclass

import numpy as np

from helpers import basis
from helpers.basis import cutoff_function, gaussians, interpolated_sums
from helpers.kernels import kernel_ridge

ELEMENTS = ("H", "C", "N", "O", "S")
CHARGES = np.array([1, 6, 7, 8, 16])
BOHR = 0.529177210903  # angstrom, CODATA 2018
# Single-bond covalent radii: Cordero et al., Dalton Trans. 2832 (2008), 0.31 0.76 0.71 0.66 1.05 angstrom.
RADII = np.array([0.31, 0.76, 0.71, 0.66, 1.05]) / BOHR
BOND_FACTOR = 1.2  # two atoms are bonded up to 1.2 times the sum of their covalent radii
FIRST, SECOND = np.triu_indices(len(ELEMENTS))
PAIRS = tuple(f"{ELEMENTS[j]}-H" if i == 0 else f"{ELEMENTS[i]}-{ELEMENTS[j]}"
              for i, j in zip(FIRST, SECOND, strict=True))
KIND = np.zeros((len(ELEMENTS), len(ELEMENTS)), int)
KIND[FIRST, SECOND] = KIND[SECOND, FIRST] = np.arange(len(PAIRS))
SHORT = {3: 0.82, 2: 0.90, 1.5: 0.93}  # order of a bond shorter than this share of the covalent radii's sum
SHORTEST = 0.7  # covalent lengths to an atom's nearest; the triple bond of N2 has 0.77, angstrom 0.4 to 0.63
BLOCK = 2**17  # numbers in one block of pairs x centers, so that it stays in the cache


@dataclass(frozen=True)
class Pairs:
    """All pairs of atoms, sorted by molecule, then kind: five arrays of equal length (m,).

    molecule: row; first, second: atoms in that row; kind: index into PAIRS; distance: bohr.
    `all_pairs[rows]` keeps the pairs chosen by a mask, slice or index array.
    """

    molecule: np.ndarray
    first: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    distance: np.ndarray

    def __getitem__(self, rows):
        return Pairs(*(values[rows] for values in vars(self).values()))


def elements(charges):
    """Return the index into ELEMENTS of each nuclear charge (same shape), -1 where there is no atom (0).

    Raises ValueError for a charge that is not 0, 1, 6, 7, 8 or 16.
    """
    charges = np.asarray(charges)
    index = np.select([charges == z for z in CHARGES], range(len(CHARGES)), -1)
    if (unknown := charges[(index < 0) & (charges != 0)]).size:
        raise ValueError(f"charges: {unknown.flat[0]} is not known; allowed are 0 (no atom), 1, 6, 7, 8, 16")
    return index


def composition(charges):
    """Return (n, 5) int: how many H, C, N, O, S atoms each molecule of charges (n, a) has; (5,) for (a,)."""
    return (elements(charges)[..., None] == np.arange(len(ELEMENTS))).sum(axis=-2)


def _checked_arrays(coordinates, charges):
    """Both as arrays; ValueError for shapes that differ, masked values, an atom without a finite place."""
    for name, values in (("coordinates", coordinates), ("charges", charges)):
        if np.ma.is_masked(values):
            raise ValueError(f"{name}: some are masked; allowed are numbers, charge 0 where there is no atom")
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
    coordinates, charges = _checked_arrays(coordinates, charges)
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

    Raises ValueError for a threshold that is not a number above 0, and without one for lengths in angstrom.
    """
    if threshold is None:
        refuse_angstrom(all_pairs)
        threshold = BOND_FACTOR * (RADII[FIRST] + RADII[SECOND])[all_pairs.kind]
    elif not (np.isscalar(threshold) and not isinstance(threshold, str) and 0 < threshold < np.inf):
        raise ValueError(f"threshold: {threshold!r} is not allowed; give bohr above 0 or None (covalent)")
    return all_pairs.distance < threshold


def nearest_lengths(all_pairs, shape):
    """Return (n, a), the shape of charges: covalent lengths from each atom to its nearest, infinite if alone.

    all_pairs: Pairs in bohr. A covalent length is the sum of two covalent radii.
    """
    ratio = all_pairs.distance / (RADII[FIRST] + RADII[SECOND])[all_pairs.kind]
    nearest = np.full(shape, np.inf)
    for end in (all_pairs.first, all_pairs.second):
        np.minimum.at(nearest, (all_pairs.molecule, end), ratio)
    return nearest


def refuse_angstrom(all_pairs):
    """Raise ValueError where the median atom is nearer to another than 0.7 covalent lengths, as in angstrom.

    all_pairs: Pairs in bohr. No molecule of QM7 has an atom below 0.78; the median in angstrom is 0.53.
    """
    atoms = 1 + max(all_pairs.first.max(initial=0), all_pairs.second.max(initial=0))
    nearest = nearest_lengths(all_pairs, (1 + all_pairs.molecule.max(initial=0), atoms))
    nearest = nearest[np.isfinite(nearest)]
    if len(nearest) and np.median(nearest) < SHORTEST:
        apart = f"{np.median(nearest):.2f} covalent lengths apart"
        raise ValueError(f"coordinates: the nearest atoms are {apart}, as in angstrom; "
                         "allowed is bohr, 1 angstrom = 1.8897 bohr")


def bonds(coordinates, charges, threshold=None):
    """Return the bonds (b, 2) of one molecule as pairs of atom numbers, sorted.

    coordinates (a, 3) bohr; charges (a,); threshold as in `bonded`. Raises ValueError like `pairs`, `bonded`.
    """
    all_pairs = pairs(np.asarray(coordinates)[None], np.asarray(charges)[None])
    bonded_pairs = all_pairs[bonded(all_pairs, threshold)]
    first, second = bonded_pairs.first, bonded_pairs.second
    return np.column_stack([first, second])[np.lexsort([second, first])]


def bond_orders(bonds):
    """Return (m,) 1, 1.5, 2 or 3 for the bonds among Pairs, read from their lengths alone.

    SHORT says up to which share of the sum of the covalent radii a bond counts as triple, double or in
    between (aromatic or conjugated); bonds to H are single.
    """
    short = bonds.distance / (RADII[FIRST] + RADII[SECOND])[bonds.kind]
    order = np.select([short < limit for limit in SHORT.values()], list(SHORT), 1)
    return np.where(FIRST[bonds.kind] == 0, 1, order)


def pair_features(molecules, centers, width):
    """Return (n, 15 * centers): for each pair type (order of PAIRS) the sum over pairs of the soft intervals.

    molecules: has coordinates and charges; centers, width: bohr. Pairs beyond 8 widths from every center add
    nothing (below 1e-13) and are left out. Raises ValueError like `pairs`, for lengths in angstrom, and for a
    bad width or centers.
    """
    gaussians([], centers, width)
    centers = np.atleast_1d(np.asarray(centers, dtype=float))
    all_pairs, reach = pairs(molecules.coordinates, molecules.charges), 8 * width
    refuse_angstrom(all_pairs)
    near_pairs = all_pairs[(all_pairs.distance > centers.min() - reach)
                           & (all_pairs.distance < centers.max() + reach)]
    features = np.zeros((len(molecules.charges) * len(PAIRS), len(centers)))
    rows, starts = np.unique(near_pairs.molecule * len(PAIRS) + near_pairs.kind, return_index=True)
    ends = np.append(starts[1:], len(near_pairs.distance))
    step = max(1, BLOCK // len(centers))
    low = 0
    while low < len(rows):  # whole sums per block: as many as fit
        high = max(low + 1, np.searchsorted(ends, starts[low] + step, side="right"))
        soft = gaussians(near_pairs.distance[starts[low]:ends[high - 1]], centers, width)
        features[rows[low:high]] = np.add.reduceat(soft, starts[low:high] - starts[low], axis=0)
        low = high
    return features.reshape(len(molecules.charges), -1)


def potentials(weights, centers, width, distance):
    """Return (15, m) kcal/mol: the learned energy of each pair type at the distances (m,) bohr.

    weights (15 * centers,) kcal/mol, in the order of `pair_features`.
    """
    return _by_pair_type(weights, centers) @ gaussians(distance, centers, width).T


def pair_energies(all_pairs, weights, centers, width):
    """Return (m,) kcal/mol: what each pair adds to the prediction; they sum to features @ weights exactly."""
    table, energy = _by_pair_type(weights, centers), np.empty(len(all_pairs.distance))
    for start in range(0, len(energy), step := max(1, BLOCK // table.shape[1])):
        part = slice(start, start + step)
        soft = gaussians(all_pairs.distance[part], centers, width)
        energy[part] = np.einsum("mc,mc->m", soft, table[all_pairs.kind[part]])
    return energy


def _by_pair_type(weights, centers):
    """Weights (15 * centers,) as a table (15, centers)."""
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
    if X.ndim != 2 or t.shape != X.shape[:1]:
        raise ValueError(f"t: shape {t.shape} does not match X {X.shape}; allowed are (n, d) and (n,)")
    S, s = np.empty((len(folds), X.shape[1], X.shape[1])), np.empty((len(folds), X.shape[1]))
    for k, fold in enumerate(folds):
        part = X[fold]  # one array on both sides, so that BLAS computes only half of the symmetric product
        np.matmul(part.T, part, out=S[k])
        s[k] = part.T @ t[fold]
    return S, s


def ridge(S, s, lam):
    """Return w (d,) = (S + lam I)^-1 s, for S = X^T X and s = X^T t (no intercept).

    The same equation as `kernels.kernel_ridge`, which raises ValueError for lam < 0 or a singular S + lam I.
    """
    return kernel_ridge(np.asarray(S, dtype=float), s, lam)


TRIPLES = tuple(f"{ELEMENTS[a]}-{center}-{ELEMENTS[b]}" for center in ELEMENTS
                for a, b in zip(FIRST, SECOND, strict=True))


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


def neighbour_list(coordinates, charges, cutoff):
    """Return molecule, center, end, length of all ordered pairs closer than cutoff, sorted.

    Raises ValueError like `pairs`, for a cutoff not above 0, and for lengths in angstrom.
    """
    if not (np.isscalar(cutoff) and not isinstance(cutoff, str) and 0 < cutoff < np.inf):
        raise ValueError(f"cutoff: {cutoff!r} is not allowed; give bohr above 0")
    all_pairs = pairs(coordinates, charges)
    refuse_angstrom(all_pairs)
    close = all_pairs[all_pairs.distance < cutoff]
    molecule, length = np.tile(close.molecule, 2), np.tile(close.distance, 2)
    center, end = np.append(close.first, close.second), np.append(close.second, close.first)
    order = np.lexsort([end, center, molecule])
    return molecule[order], center[order], end[order], length[order]


def triples(coordinates, charges, cutoff):
    """Return Triples: every two legs shorter than cutoff (bohr) that start at the same atom, once.

    coordinates (n, a, 3) bohr; charges (n, a). Raises ValueError like `pairs`, and for a cutoff not above 0.
    """
    coordinates, charges = _checked_arrays(coordinates, charges)
    molecule, center, end, length = neighbour_list(coordinates, charges, cutoff)
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


def in_blocks(molecules, block=512):
    """Yield (coordinates, charges) of at most `block` molecules, so that their triples fit in memory."""
    for start in range(0, len(molecules.charges), block):
        rows = slice(start, start + block)
        yield molecules.coordinates[rows], molecules.charges[rows]


def triple_features(molecules, cosines, legs, cutoff):
    """Return (n, 75 * cosines * legs): sums over triples, by type (order of TRIPLES), cosine and mean leg.

    molecules: has coordinates and charges; cosines, legs (bohr): evenly rising knots of hat functions, so
    that a weight is the potential at its knot and between knots it is a straight line; cutoff: bohr. A triple
    counts cutoff_function(r1) cutoff_function(r2). Raises ValueError like `triples` and
    `interpolation_weights`.
    """
    sums = []
    for coordinates, charges in in_blocks(molecules):
        part = triples(coordinates, charges, cutoff)
        sums.append(triple_sums(part.molecule * len(TRIPLES) + part.kind, len(charges) * len(TRIPLES), part,
                                cosines, legs, cutoff))
    return np.concatenate(sums).reshape(len(molecules.charges), -1)


def triple_sums(row, rows, all_triples, cosines, legs, cutoff, power=1, weight=None):
    """Return (rows, cosines * legs): sums over the triples of each `row` (m,), on the knots around them.

    A triple counts `weight` (m,), or else the cutoff functions of its two legs, with this power. The knots
    are those of `triple_features`.
    """
    values = [all_triples.cosine, all_triples.legs.mean(1)]
    if weight is None:
        weight = cutoff_function(all_triples.legs, cutoff, power).prod(1)
    return interpolated_sums(row, rows, values, [cosines, legs], weight)


def triple_energies(all_triples, weights, cosines, legs, cutoff):
    """Return (m,) kcal/mol: what each triple adds to the prediction; they sum to features @ weights."""
    weights, size = np.asarray(weights, dtype=float), len(TRIPLES) * len(cosines) * len(legs)
    if weights.shape != (size,):
        raise ValueError(f"weights: shape {weights.shape} is not allowed; give ({size},), 75 per knot pair")
    shares = [basis.interpolation_weights(all_triples.cosine, cosines),
              basis.interpolation_weights(all_triples.legs.mean(1), legs)]
    counted = cutoff_function(all_triples.legs, cutoff).prod(1)
    cells = basis.interpolation_cells(all_triples.kind, shares, [len(cosines), len(legs)], counted)
    return sum(weights[index] * part for index, part in cells)

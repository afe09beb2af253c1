"""Descriptors of molecules that compare well: atomic environments, Coulomb matrices, bags of bonds.

Every function takes `molecules`, which has coordinates (n, a, 3) in bohr and charges (n, a), 0 for no atom.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.basis import BOND, cutoff_function, interpolated_sums
from helpers.molecules import (
    ELEMENTS,
    PAIRS,
    elements,
    in_blocks,
    neighbour_list,
    pairs,
    refuse_angstrom,
    triple_sums,
    triples,
)


@dataclass(frozen=True)
class Environments:
    """What atoms see: features (A, d), molecule (A,) row, atom (A,) in that row, element (A,)."""

    features: np.ndarray
    molecule: np.ndarray
    atom: np.ndarray
    element: np.ndarray


def environments(molecules, distances, cosines, legs, cutoffs=(8.0, 7.0), power=2, angle_weight=1.0,
                 hydrogens=False, three_body=None):
    """Return Environments of all atoms, H if asked: neighbours by element and distance, angles by type.

    features (A, 5 * distances + 15 * cosines * legs) float32: hat functions as in `triple_features`, faded
    with this power towards the cutoffs (neighbours, angles; bohr), angles times angle_weight; three_body:
    weigh angles by `axilrod_teller` with this power instead. One row per atom, in order.
    Raises ValueError like `triples` and `interpolation_weights`.
    """
    blocks, lightest = [], 0 if hydrogens else 1
    for coordinates, charges in in_blocks(molecules):
        element, atoms = elements(charges), charges.shape[1]
        row, center, end, length = neighbour_list(coordinates, charges, cutoffs[0])
        near = interpolated_sums((row * atoms + center) * len(ELEMENTS) + element[row, end],
                                 charges.size * len(ELEMENTS), [length], [distances],
                                 cutoff_function(length, cutoffs[0], power))
        part = triples(coordinates, charges, cutoffs[1])
        weight = None if three_body is None else axilrod_teller(part, cutoffs[1], three_body)
        angles = triple_sums((part.molecule * atoms + part.center) * len(PAIRS) + part.kind % len(PAIRS),
                             charges.size * len(PAIRS), part, cosines, legs, cutoffs[1], power, weight)
        angles = angle_weight * angles.reshape(charges.size, -1)
        both = np.concatenate([near.reshape(charges.size, -1), angles], 1)
        blocks.append(both[(element >= lightest).ravel()].astype(np.float32))
    molecule, atom = np.nonzero(elements(molecules.charges) >= lightest)
    return Environments(np.concatenate(blocks), molecule, atom, elements(molecules.charges)[molecule, atom])


def axilrod_teller(all_triples, cutoff, power):
    """Return (m,): (1 + 3 cos a cos b cos c) (BOND^3 / (r1 r2 r3))^power, legs faded to 0 at cutoff (bohr).

    a, b, c: the angles and r1, r2, r3 the sides of the triangle. Source: Axilrod and Teller, J. Chem. Phys.
    11, 299 (1943); as a weight of triples Christensen et al., J. Chem. Phys. 152, 044107 (2020).
    """
    (first, second), cosine = all_triples.legs.T, all_triples.cosine
    third = np.sqrt(first**2 + second**2 - 2 * first * second * cosine)
    others = (first - second * cosine) * (second - first * cosine) / third**2
    fading = cutoff_function(all_triples.legs, cutoff, power).prod(1)
    return (1 + 3 * cosine * others) * fading * (BOND / third) ** power


def coulomb_matrices(molecules, form="sorted"):
    """Return Coulomb matrices (n, a, a): Z_i Z_j / |R_i - R_j|, 0.5 Z_i^2.4 on the diagonal, 0 for no atom.

    molecules: has coordinates (bohr) and charges. form: "plain" (atoms as they come), "sorted" (rows and
    columns by falling row norm) or "spectrum" (n, a), eigenvalues by falling size. Source: Rupp et al., PRL
    108, 058301 (2012), eq. 1. Raises ValueError like `pairs`, for angstrom, and for another form.
    """
    if form not in ("plain", "sorted", "spectrum"):
        raise ValueError(f"form: {form!r} is not known; allowed are 'plain', 'sorted' and 'spectrum'")
    charges = np.asarray(molecules.charges, dtype=float)
    all_pairs = pairs(molecules.coordinates, molecules.charges)
    refuse_angstrom(all_pairs)
    matrices = np.zeros((*charges.shape, charges.shape[1]))
    row, i, j = all_pairs.molecule, all_pairs.first, all_pairs.second
    matrices[row, i, j] = matrices[row, j, i] = charges[row, i] * charges[row, j] / all_pairs.distance
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
    Hansen et al., J. Phys. Chem. Lett. 6, 2326 (2015). Raises ValueError like `pairs`, and for angstrom.
    """
    all_pairs, (row, atom) = pairs(molecules.coordinates, molecules.charges), np.nonzero(molecules.charges)
    refuse_angstrom(all_pairs)
    charge = np.asarray(molecules.charges)
    bag = np.concatenate([elements(charge)[row, atom], len(ELEMENTS) + all_pairs.kind])
    value = np.concatenate([0.5 * charge[row, atom] ** 2.4, charge[all_pairs.molecule, all_pairs.first]
                            * charge[all_pairs.molecule, all_pairs.second] / all_pairs.distance])
    row = np.concatenate([row, all_pairs.molecule])
    order = np.lexsort([-value, bag, row])
    row, bag, value = row[order], bag[order], value[order]
    place = pd.Series(value).groupby([row, bag]).cumcount().to_numpy()
    widest = np.zeros(len(ELEMENTS) + len(PAIRS), int)
    np.maximum.at(widest, bag, place + 1)
    features = np.zeros((len(charge), widest.sum()))
    features[row, (np.cumsum(widest) - widest)[bag] + place] = value
    return features

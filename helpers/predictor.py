"""A model one can use: atomization energies of new molecules, with an uncertainty and a refusal.

Trained on QM7, it knows molecules of H, C, N, O and S at geometries like those of a force field, and energies
in kcal/mol as PBE0 would give them. What lies outside is refused in one line instead of guessed.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from helpers import descriptors, kernels
from helpers.arguments import share
from helpers.datasets import XYZ_UNITS, check_molecules
from helpers.molecules import ELEMENTS, FIRST, PAIRS, RADII, SECOND, composition, pairs

KNOTS = np.linspace(1.5, 8, 24), np.linspace(-1, 1, 8), np.linspace(1.8, 7, 6)  # bohr, cosine, bohr
TOO_NEAR, TOO_FAR, APART = 0.7, 1.4, 1.6  # in covalent lengths: overlap, wrong unit, other molecule
MARGIN = 0.1  # bohr by which a pair may be shorter than any of its kind
NEAREST = 20  # leading axes in which the nearest training atom is sought
NOVEL = 3.0  # distance to the training atoms, in what 99 % of these have to each other
# Squared distance to the nearest, in the median of all: allowed share. 4000 of QM7 have 0 and 0.10, the same
# molecules again 1 and 1, copies with places that differ by 0.02 bohr 0 and 0.4 or more.
TWINS = {0.001: 0.05, 0.02: 0.25}


def checked_molecule(coordinates, charges, unit, largest=23, heavy=7):
    """Return coordinates (a, 3) in bohr and charges (a,) of one molecule that can be one.

    Raises ValueError for arrays that do not fit, an unknown element, no heavy atom, fewer than two or more
    than `largest` atoms, more than `heavy` atoms that are not H, an odd number of electrons, atoms on top of
    each other, several molecules, and lengths that look like the other unit.
    """
    if unit not in XYZ_UNITS:
        raise ValueError(f"unit: {unit!r} is not known; say 'bohr' or 'angstrom'")
    coordinates, charges = np.asarray(coordinates, dtype=float) / XYZ_UNITS[unit], np.asarray(charges)
    if charges.ndim != 1 or coordinates.shape != (len(charges), 3):
        raise ValueError(f"coordinates: shape {coordinates.shape} and charges {charges.shape} are not "
                         "allowed; give (a, 3) and (a,), one molecule without padding")
    if not 2 <= charges.size <= largest:
        raise ValueError(f"charges: {charges.size} atoms; the model knows molecules of 2 to {largest}")
    if not (composition(charges)[1:] > 0).any() or (charges == 0).any():
        raise ValueError("charges: no heavy atom, or padding; give the atoms of one molecule, not only H")
    if (charges > 1).sum() > heavy:
        raise ValueError(f"charges: {(charges > 1).sum()} heavy atoms (all but H); the model knows molecules "
                         f"of up to {heavy}")
    if charges.sum() % 2:
        raise ValueError(f"charges: {charges.sum()} electrons, an odd number, as in an ion, a radical or "
                         "where an atom is missing; the model knows neutral molecules, all electrons paired")
    _check_distances(coordinates, charges, unit)
    return coordinates, charges


def _check_distances(coordinates, charges, unit):
    """ValueError where a molecule's atoms stand as in another unit, on top of each other or in several."""
    found = pairs(coordinates[None], charges[None])
    ratio = found.distance / (RADII[FIRST] + RADII[SECOND])[found.kind]
    nearest = [ratio[(found.first == a) | (found.second == a)].min() for a in range(len(charges))]
    if np.median(nearest) < TOO_NEAR or min(nearest) > TOO_FAR:
        other = "angstrom" if unit == "bohr" else "bohr"
        right = (unit == "bohr") == (np.median(nearest) < TOO_NEAR)
        raise ValueError(f"unit: as {unit}, atoms stand {np.median(nearest):.2f} covalent lengths apart, "
                         f"which looks like {other if right else 'another unit'}; give the numbers' unit")
    if min(nearest) < TOO_NEAR:
        a, b = (int(end[ratio.argmin()]) for end in (found.first, found.second))
        raise ValueError(f"coordinates: atoms {a} and {b} are {found.distance[ratio.argmin()]:.2f} bohr "
                         "apart, on top of each other; move one")
    linked = found[ratio < APART]
    near = coo_array((linked.distance, (linked.first, linked.second)), shape=(len(charges),) * 2)
    if connected_components(near, directed=False)[0] > 1:
        raise ValueError("coordinates: the atoms form several molecules, or one lies apart; the model "
                         "knows one molecule at a time")


def _check_twins(squared):
    """ValueError where leaving a molecule out would leave its twin in; squared (n, n) distances."""
    nearest = np.array([np.partition(row, 1)[1] for row in squared]) / np.median(squared)
    for limit, allowed in TWINS.items():
        if (share := np.mean(nearest < limit)) > allowed:
            a, b = np.sort(np.argsort(squared[nearest.argmin()], kind="stable")[:2])
            raise ValueError(f"coordinates: {share:.0%} of the molecules nearly equal another one, as {a} "
                             f"and {b} do, so that the interval would be too narrow; give each once, allowed "
                             f"are {allowed:.0%}")


@dataclass
class EnergyModel:
    """Kernel model of atomization energies: `EnergyModel().fit(...)`, then `predict`.

    A Matern kernel between atomic environments, plus a Gaussian of the distance between whole molecules in
    that kernel; the energy of the element counts is fitted first and added again.
    """

    sigma: float = 4.0
    lam: float = 1e-4
    axes: int = 200
    level: float = 0.95

    def fit(self, coordinates, charges, energies):
        """Learn molecules (n, a, 3) bohr, (n, a), 0 for no atom, and energies (n,) kcal/mol; return self.

        Raises ValueError like `datasets.check_molecules`, for a level not between 0 and 1, and where
        molecules repeat (a file read twice, conformers): the interval would be that of known molecules.
        """
        share("level", self.level)
        check_molecules(coordinates, charges, energies)
        self.heavy = int((np.asarray(charges) > 1).sum(axis=1).max())  # a larger molecule is refused
        found, self.nearest = pairs(coordinates, charges), np.full(len(PAIRS), np.inf)
        np.minimum.at(self.nearest, found.kind, found.distance)
        around = self._around(coordinates, charges)
        self.directions = kernels.principal_axes(around, self.axes)
        short = kernels.compress(around, self.axes, self.directions)
        self.atoms = short, around.molecule, around.element, len(charges)
        K = kernels.environment_kernel(*self.atoms, self.sigma, shape="matern", single=True)
        self.own = np.diagonal(K).copy()
        squared = kernels.squared_distances(K, self.own, self.own)
        self.reach = 6 * np.median(squared)
        if not self.reach > 0:
            raise ValueError(f"coordinates: {len(charges)} molecules, all alike; allowed are two that differ")
        _check_twins(squared)
        return self._learn(K + np.exp(-squared / self.reach), charges, energies, around.molecule)

    def _learn(self, K, charges, energies, molecule):
        """Solve for the weights; calibrate sd and novelty with each molecule left out in turn."""
        counts = self._counts(charges)
        self.slopes = np.linalg.lstsq(counts, energies, rcond=None)[0]
        rest = energies - counts @ self.slopes
        self.lower = kernels.cholesky(K, self.lam)
        error, sd = kernels.leave_one_out(K, rest, self.lam, self.lower)
        self.factor = np.quantile(np.abs(error) / sd, self.level)  # half-width of the interval per sd
        self.alpha = -error / sd**2
        self.trees, self.usual = {}, {}
        short, _, element, _ = self.atoms
        for kind in np.unique(element):
            rows = np.flatnonzero(element == kind)
            self.trees[kind] = KDTree(short[rows][:, :NEAREST])
            some = rows[:: max(1, len(rows) // 500)]
            apart = self._novelty(short[some], molecule[some], kind, molecule[rows])
            self.usual[kind] = np.quantile(apart, 0.99) if np.isfinite(apart).all() else None
        return self

    def _novelty(self, features, molecule, kind, of_tree):
        """Distance (m,) of atoms to the nearest training atom of their element in another molecule."""
        most = 1 + np.bincount(of_tree).max()  # so that one of them is of another molecule
        apart, index = self.trees[kind].query(features[:, :NEAREST], k=1 + np.arange(min(most, len(of_tree))))
        return np.where(of_tree[index] == molecule[:, None], np.inf, apart).min(1)

    @staticmethod
    def _counts(charges):
        return np.column_stack([np.ones(len(charges)), composition(charges)])

    @staticmethod
    def _around(coordinates, charges):
        part = SimpleNamespace(coordinates=np.asarray(coordinates, dtype=float), charges=np.asarray(charges))
        return descriptors.environments(part, *KNOTS, power=3, angle_weight=1.5)

    def predict(self, coordinates, charges, unit):
        """Return energy and half-width of its 95 % interval, kcal/mol, of one molecule (a, 3), (a,).

        unit: "bohr" or "angstrom". Raises ValueError like `checked_molecule`, for more heavy atoms than any
        training molecule has, for an element or a short pair that they do not have, for an atom whose
        surroundings are like none of theirs, or of an element that one of them has alone; and before `fit`.
        """
        self._check_fitted()
        coordinates, charges = checked_molecule(coordinates, charges, unit, heavy=self.heavy)
        self._check_pairs(pairs(coordinates[None], charges[None]))
        around = self._around(coordinates[None], charges[None])
        short = kernels.compress(around, self.axes, self.directions)
        for row, kind, atom in zip(short, around.element, around.atom, strict=True):
            if self.usual[kind] is None:
                raise ValueError(f"charges: a single training molecule has {ELEMENTS[kind]}, so that nothing "
                                 "says which surroundings are usual; allowed are elements of two or more")
            far = self.trees[kind].query(row[:NEAREST])[0] / self.usual[kind]
            if far > NOVEL:
                raise ValueError(f"coordinates: the surroundings of atom {atom} ({ELEMENTS[kind]}) are like "
                                 f"none in the training molecules: {far:.1f} times the usual distance, "
                                 f"allowed is {NOVEL}")
        energy, half = self.predict_many(coordinates[None], charges[None])
        return float(energy[0]), float(half[0])

    def _check_fitted(self):
        if not hasattr(self, "alpha"):
            raise ValueError("model: it has learned nothing yet; call fit(coordinates, charges, energies)")

    def _check_pairs(self, found):
        """ValueError for two atoms that stand closer than their elements ever do in training."""
        short = np.flatnonzero(found.distance < self.nearest[found.kind] - MARGIN)
        if len(short):
            worst = short[(self.nearest[found.kind] - found.distance)[short].argmax()]
            seen = self.nearest[found.kind[worst]]
            limit = f"below {seen:.2f} bohr" if seen < np.inf else "at all"
            raise ValueError(f"coordinates: atoms {found.first[worst]} and {found.second[worst]} are "
                             f"{found.distance[worst]:.2f} bohr apart; the training molecules have no "
                             f"{PAIRS[found.kind[worst]]} pair {limit}")

    def predict_many(self, coordinates, charges):
        """Return energies and half-widths (n,), kcal/mol, of padded molecules in bohr, unchecked."""
        self._check_fitted()
        around, n = self._around(coordinates, charges), len(charges)
        short = kernels.compress(around, self.axes, self.directions)
        new = short, around.molecule, around.element, n
        own = np.array([self._own(short[around.molecule == m], around.element[around.molecule == m])
                        for m in range(n)])
        K = kernels.unchecked_between(new, self.atoms, self.sigma, shape="matern")
        K += np.exp(-kernels.squared_distances(K, own, self.own) / self.reach)
        explained = (solve_triangular(self.lower, K.T, lower=True) ** 2).sum(0)
        sd = np.sqrt(np.maximum(own + 1 - explained, 0) + self.lam)
        return K @ self.alpha + self._counts(charges) @ self.slopes, self.factor * sd

    def _own(self, short, element):
        """Kernel of one molecule with itself."""
        alone = short, np.zeros(len(short), int), element, 1
        return kernels.environment_kernel(*alone, self.sigma, shape="matern")[0, 0]

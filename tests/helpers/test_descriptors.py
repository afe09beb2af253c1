"""Triples, environments, Coulomb matrices and bags against plain loops, other libraries and symmetry."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.spatial.transform import Rotation

from helpers import basis, datasets, descriptors, files, kernels
from helpers import molecules as mol

COSINES, LEGS, CUTOFF = np.linspace(-1, 1, 5), np.linspace(1.5, 5, 4), 5.0
NEAR = np.linspace(1, 6, 7)
ORDER = {1: 0, 6: 1, 7: 2, 8: 3, 16: 4}


def random_molecules(n=50, atoms=8, seed=0):
    """Random atoms in a box; padding anywhere."""
    rng = np.random.default_rng(seed)
    charges = rng.choice([0, 1, 1, 6, 6, 7, 8, 16], size=(n, atoms))
    coordinates = rng.uniform(-3, 3, (n, atoms, 3)) * (charges > 0)[..., None]
    return SimpleNamespace(coordinates=coordinates, charges=charges)


def hat(value, knots):
    """Height of every hat function at one value."""
    return np.clip(1 - np.abs(np.clip(value, knots[0], knots[-1]) - knots) / (knots[1] - knots[0]), 0, None)


def smooth(r, cutoff, power):
    return (1 - (r / cutoff) ** 2) ** 2 * (2.5 / r) ** power if r < cutoff else 0.0


def plain_triples(R, Z, cutoff, power=1):
    """Loop over center, first, second: (center, name, table of hat products)."""
    for b in np.flatnonzero(Z):
        others = [a for a in np.flatnonzero(Z) if a != b and np.linalg.norm(R[a] - R[b]) < cutoff]
        for a, c in combinations(others, 2):
            u, v = R[a] - R[b], R[c] - R[b]
            p, q = np.linalg.norm(u), np.linalg.norm(v)
            x, z = sorted((ORDER[Z[a]], ORDER[Z[c]]))
            name = f"{mol.ELEMENTS[x]}-{mol.ELEMENTS[ORDER[Z[b]]]}-{mol.ELEMENTS[z]}"
            table = np.outer(hat(u @ v / (p * q), COSINES), hat((p + q) / 2, LEGS))
            yield b, name, smooth(p, cutoff, power) * smooth(q, cutoff, power) * table


def test_triple_features_equal_a_plain_triple_loop():
    molecules = random_molecules()
    expected = np.zeros((50, 75, len(COSINES), len(LEGS)))
    for m in range(50):
        for _, name, table in plain_triples(molecules.coordinates[m], molecules.charges[m], CUTOFF):
            expected[m, mol.TRIPLES.index(name)] += table
    found = mol.triple_features(molecules, COSINES, LEGS, CUTOFF)
    assert found.sum() > 100
    np.testing.assert_allclose(found, expected.reshape(50, -1), atol=1e-12)


def test_triple_features_of_the_first_50_molecules_equal_a_plain_loop():
    qm7 = datasets.load_qm7()
    some = SimpleNamespace(coordinates=qm7.coordinates[:50], charges=qm7.charges[:50])
    expected = np.zeros((50, 75, len(COSINES), len(LEGS)))
    for m in range(50):
        for _, name, table in plain_triples(some.coordinates[m], some.charges[m], CUTOFF):
            expected[m, mol.TRIPLES.index(name)] += table
    np.testing.assert_allclose(mol.triple_features(some, COSINES, LEGS, CUTOFF), expected.reshape(50, -1),
                               atol=1e-10)


def test_environments_equal_a_plain_loop():
    molecules = random_molecules(20, seed=1)
    found = descriptors.environments(molecules, NEAR, COSINES, LEGS, (6.0, CUTOFF))
    k = 0
    for m, (R, Z) in enumerate(zip(molecules.coordinates, molecules.charges, strict=True)):
        angles = list(plain_triples(R, Z, CUTOFF, power=2))
        for b in np.flatnonzero(Z > 1):
            near, table = np.zeros((5, len(NEAR))), np.zeros((15, len(COSINES), len(LEGS)))
            for a in set(np.flatnonzero(Z)) - {b}:
                r = np.linalg.norm(R[a] - R[b])
                near[ORDER[Z[a]]] += smooth(r, 6.0, 2) * hat(r, NEAR)
            for center, name, part in angles:
                if center == b:
                    table[mol.TRIPLES.index(name) % 15] += part
            assert (found.molecule[k], found.atom[k], found.element[k]) == (m, b, ORDER[Z[b]])
            np.testing.assert_allclose(found.features[k], np.append(near, table), rtol=1e-5, atol=1e-5)
            k += 1
    assert k == len(found.features)


@pytest.mark.parametrize("r", [6.5, 7.5, 7.9, 8.1])
def test_by_default_neighbours_fade_at_8_bohr_and_angles_at_7(r):
    """Two carbons r apart and a third beside the first: neighbours and angles by their formulas."""
    knots, angle = np.linspace(1, 9, 9), np.linspace(1.5, 9, 4)
    coordinates = np.array([[[0, 0, 0], [r, 0, 0], [0, 2.9, 0]]])
    some = SimpleNamespace(coordinates=coordinates, charges=np.array([[6, 6, 6]]))
    near, table = np.split(descriptors.environments(some, knots, COSINES, angle).features[0], [5 * 9])
    expected = smooth(r, 8.0, 2) * hat(r, knots) + smooth(2.9, 8.0, 2) * hat(2.9, knots)
    np.testing.assert_allclose(near.reshape(5, 9)[1], expected, rtol=1e-5, atol=1e-7)
    assert table.sum() == pytest.approx(smooth(r, 7.0, 2) * smooth(2.9, 7.0, 2), rel=1e-5)


def test_axilrod_teller_equals_the_formula_on_positions():
    molecules = random_molecules(20, seed=1)
    found = mol.triples(molecules.coordinates, molecules.charges, CUTOFF)
    atoms = found.center, found.first, found.second
    corners = [molecules.coordinates[found.molecule, atom] for atom in atoms]
    cosines, sides = np.ones(len(found.kind)), np.ones(len(found.kind))
    for a in range(3):
        one, two = corners[a - 1] - corners[a], corners[a - 2] - corners[a]
        cosines *= (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        sides *= np.linalg.norm(one, axis=1) / 2.5
    fading = [smooth(a, CUTOFF, 0) * smooth(b, CUTOFF, 0) for a, b in found.legs]
    np.testing.assert_allclose(descriptors.axilrod_teller(found, CUTOFF, 1.2),
                               (1 + 3 * cosines) * fading / sides**1.2, rtol=1e-7)


def spread(molecules):
    found = descriptors.environments(molecules, NEAR, COSINES, LEGS, (6.0, CUTOFF))
    return found.features, found.molecule, found.element


def moved(molecules, seed=3):
    """Rotated, shifted, atoms shuffled within each molecule, and two empty places more."""
    rng = np.random.default_rng(seed)
    n, atoms = molecules.charges.shape
    turn = Rotation.random(n, random_state=seed).as_matrix()
    coordinates = np.einsum("nij,naj->nai", turn, molecules.coordinates) + rng.normal(size=(n, 1, 3))
    order = rng.permuted(np.tile(np.arange(atoms + 2), (n, 1)), axis=1)
    wide = np.concatenate([coordinates, np.zeros((n, 2, 3))], 1)
    charges = np.concatenate([molecules.charges, np.zeros((n, 2), int)], 1)
    return SimpleNamespace(coordinates=np.take_along_axis(wide, order[..., None], 1),
                           charges=np.take_along_axis(charges, order, 1))


@pytest.mark.parametrize("feature", [
    lambda m: mol.triple_features(m, COSINES, LEGS, CUTOFF),
    lambda m: descriptors.bag_of_bonds(m),
    lambda m: descriptors.coulomb_matrices(m, "spectrum")[:, :8],
    lambda m: np.linalg.norm(descriptors.coulomb_matrices(m, "sorted"), axis=2)[:, :8],
    lambda m: kernels.environment_kernel(*spread(m), len(m.charges), 2.0),
])
def test_nothing_changes_under_rotation_shift_atom_order_and_padding(feature):
    molecules = random_molecules(30)
    np.testing.assert_allclose(feature(moved(molecules)), feature(molecules), rtol=1e-5, atol=1e-4)
    other = SimpleNamespace(coordinates=molecules.coordinates * 1.1, charges=molecules.charges)
    assert np.abs(feature(other) - feature(molecules)).max() > 1e-2  # the features do see the geometry


def test_mirror_images_cannot_be_told_apart():
    molecules = random_molecules(5)
    mirror = SimpleNamespace(coordinates=molecules.coordinates * [1, 1, -1], charges=molecules.charges)
    np.testing.assert_allclose(mol.triple_features(mirror, COSINES, LEGS, CUTOFF),
                               mol.triple_features(molecules, COSINES, LEGS, CUTOFF), atol=1e-12)


def test_methane_has_six_equal_angles():
    corner = 2.06 / np.sqrt(3) * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    found = mol.triples(corner[None], np.array([[6, 1, 1, 1, 1]]), 3.0)
    assert [mol.TRIPLES[k] for k in found.kind] == ["H-C-H"] * 6
    np.testing.assert_allclose(found.cosine, -1 / 3)
    np.testing.assert_allclose(found.legs, 2.06)


def test_a_triple_fades_at_the_cutoff_without_a_jump():
    place = lambda r: SimpleNamespace(coordinates=np.array([[[0, 0, 0], [2, 0, 0], [0, r, 0]]]),
                                      charges=np.array([[8, 1, 1]]))
    at = lambda r: mol.triple_features(place(r), COSINES, LEGS, CUTOFF).sum()
    assert at(4.0) > 0.01
    assert at(4.999) < 1e-5
    assert at(5.001) == 0


def test_triple_energies_sum_to_the_prediction():
    molecules = random_molecules()
    weights = np.random.default_rng(0).normal(size=75 * len(COSINES) * len(LEGS))
    found = mol.triples(molecules.coordinates, molecules.charges, CUTOFF)
    energies = mol.triple_energies(found, weights, COSINES, LEGS, CUTOFF)
    np.testing.assert_allclose(np.bincount(found.molecule, energies, minlength=50),
                               mol.triple_features(molecules, COSINES, LEGS, CUTOFF) @ weights, atol=1e-9)


def test_a_weight_is_the_potential_at_its_knot():
    weights = np.random.default_rng(0).normal(size=75 * len(COSINES) * len(LEGS))
    table = weights.reshape(75, len(COSINES), len(LEGS))
    one = mol.Triples(*[np.zeros(2, int)] * 4, np.array([7, 7]), COSINES[1:3], np.full((2, 2), LEGS[1]))
    expected = table[7, 1:3, 1] * basis.cutoff_function(LEGS[1], CUTOFF) ** 2
    np.testing.assert_allclose(mol.triple_energies(one, weights, COSINES, LEGS, CUTOFF), expected)


def test_bad_triples_are_refused():
    good = random_molecules(2)
    for cutoff in (0, -1, np.inf, "5"):
        with pytest.raises(ValueError, match="cutoff"):
            mol.triples(good.coordinates, good.charges, cutoff)
    for knots in ([1.0], [1, 2, 4], [3, 2, 1]):
        with pytest.raises(ValueError, match="knots"):
            mol.triple_features(good, knots, LEGS, CUTOFF)
    found = mol.triples(good.coordinates, good.charges, 5.0)
    with pytest.raises(ValueError, match="weights"):
        mol.triple_energies(found, np.ones(3), COSINES, LEGS, CUTOFF)
    with pytest.raises(ValueError, match="overlap"):
        mol.triples(np.zeros((1, 3, 3)), np.array([[6, 1, 1]]), 5.0)
    with pytest.raises(ValueError, match="form"):
        descriptors.coulomb_matrices(good, "random")


def test_coulomb_matrix_follows_its_formula():
    water = SimpleNamespace(coordinates=np.array([[[0, 0, 0], [0, 0, 2.0], [0, 4.0, 0]]]),
                            charges=np.array([[1, 8, 0]]))
    expected = np.array([[0.5, 4, 0], [4, 0.5 * 8**2.4, 0], [0, 0, 0]])
    np.testing.assert_allclose(descriptors.coulomb_matrices(water, "plain")[0], expected)
    by_norm = expected[[1, 0, 2]][:, [1, 0, 2]]
    np.testing.assert_allclose(descriptors.coulomb_matrices(water, "sorted")[0], by_norm)
    values = np.linalg.eigvalsh(expected)
    np.testing.assert_allclose(descriptors.coulomb_matrices(water, "spectrum")[0],
                               values[np.argsort(-np.abs(values), kind="stable")], atol=1e-12)


def test_coulomb_matrices_agree_with_the_matrices_of_the_file():
    qm7 = datasets.load_qm7()
    if qm7.source != "real":
        pytest.skip("the sample has no Coulomb matrices")
    theirs = np.linalg.eigvalsh(loadmat(files.real_paths(["qm7/qm7.mat"])[0])["X"][:300].astype(float))
    some = SimpleNamespace(coordinates=qm7.coordinates[:300], charges=qm7.charges[:300])
    ours = np.sort(descriptors.coulomb_matrices(some, "spectrum"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=0.02)


def test_bag_of_bonds_equals_a_plain_loop():
    molecules = random_molecules(30)
    bags = []
    for R, Z in zip(molecules.coordinates, molecules.charges, strict=True):
        own = {name: [] for name in (*mol.ELEMENTS, *mol.PAIRS)}
        for i in np.flatnonzero(Z):
            own[mol.ELEMENTS[ORDER[Z[i]]]].append(0.5 * Z[i] ** 2.4)
        for i, j in combinations(np.flatnonzero(Z), 2):
            x, y = sorted((ORDER[Z[i]], ORDER[Z[j]]))
            own[mol.PAIRS[mol.KIND[x, y]]].append(Z[i] * Z[j] / np.linalg.norm(R[i] - R[j]))
        bags.append(own)
    width = {name: max(len(own[name]) for own in bags) for name in bags[0]}
    expected = [[value for name in width for value in
                 sorted(own[name], reverse=True) + [0] * (width[name] - len(own[name]))] for own in bags]
    np.testing.assert_allclose(descriptors.bag_of_bonds(molecules), expected)


def test_molecules_of_several_blocks_are_what_each_is_alone():
    molecules = random_molecules(520, 4)
    part = lambda rows: SimpleNamespace(coordinates=molecules.coordinates[rows],
                                        charges=molecules.charges[rows])
    for feature in (lambda m: mol.triple_features(m, COSINES, LEGS, CUTOFF),
                    lambda m: descriptors.environments(m, NEAR, COSINES, LEGS, (6.0, CUTOFF)).features):
        both = np.concatenate([feature(part(slice(0, 300))), feature(part(slice(300, 520)))])
        np.testing.assert_array_equal(feature(molecules), both)


def test_the_cutoff_function_is_zero_from_the_cutoff_on():
    length = np.array([1.0, 2.5, 6.0, 6.5, 9.0, 30.0])
    expected = [smooth(r, 6.0, 1) for r in length]
    np.testing.assert_allclose(basis.cutoff_function(length, 6.0), expected, atol=1e-15)
    assert not basis.cutoff_function(length, 6.0)[2:].any()


def test_interpolation_weights_by_hand():
    index, share = basis.interpolation_weights([-9, 0, 0.5, 1, 1.75, 2, 9], [0.0, 1.0, 2.0])
    assert index.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert share.tolist() == [0, 0, 0.5, 0, 0.75, 1, 1]
    for knots in ([0.0], [0.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0], [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="^knots: .* two or more numbers that rise in equal steps"):
            basis.interpolation_weights([0.5], knots)

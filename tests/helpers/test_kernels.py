"""Triples, Coulomb matrices, bags and kernels against plain loops, other libraries and symmetry."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.spatial.transform import Rotation
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import manhattan_distances, rbf_kernel

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


def test_city_block_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(200, 6)), rng.normal(size=(9, 6))
    np.testing.assert_allclose(kernels.city_block(X, Y), manhattan_distances(X, Y), rtol=1e-6)
    np.testing.assert_allclose(kernels.city_block(X), manhattan_distances(X), rtol=1e-6)
    assert kernels.city_block(X).dtype == np.float32


def spread(molecules):
    found = descriptors.environments(molecules, NEAR, COSINES, LEGS, (6.0, CUTOFF))
    return found.features, found.molecule, found.element


@pytest.mark.parametrize("block", [1, 3, 32])
def test_environment_kernel_equals_a_plain_loop(block):
    x, molecule, element = spread(random_molecules(12, seed=5))
    expected = np.zeros((13, 13))
    for i in range(len(x)):
        for j in range(len(x)):
            if element[i] == element[j]:
                expected[molecule[i], molecule[j]] += np.exp(-((x[i] - x[j]) ** 2).sum() / (2 * 1.5**2))
    found = kernels.environment_kernel(x, molecule, element, 13, 1.5, block)  # the 13th has no atoms
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.linalg.eigvalsh(found).min() > -1e-6  # a sum of kernels is a kernel


def test_compress_keeps_the_distances_between_atoms_of_one_element():
    found = descriptors.environments(random_molecules(20), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    short = kernels.compress(found, found.features.shape[1])
    same = found.element == 1
    distance = lambda x: np.linalg.norm(x[same][:, None] - x[same], axis=-1)
    np.testing.assert_allclose(distance(short), distance(found.features), atol=2e-3)
    assert kernels.compress(found, 3).shape == (len(found.features), 3)
    np.testing.assert_allclose(kernels.compress(found, 1)[:, 0], kernels.compress(found, 3)[:, 0], rtol=1e-5)
    assert (distance(kernels.compress(found, 3)) <= distance(found.features) + 1e-3).all()


def test_compress_gives_the_leading_principal_components_of_each_element():
    found = descriptors.environments(random_molecules(20), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    short = kernels.compress(found, 3)
    for element in np.unique(found.element):
        rows = found.element == element
        theirs = PCA(3, svd_solver="full").fit_transform(found.features[rows].astype(float))
        signs = np.sign((short[rows] * theirs).sum(0))
        np.testing.assert_allclose(short[rows] * signs, theirs, atol=2e-3)


def test_kernel_ridge_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    X, t, new = rng.normal(size=(40, 3)), rng.normal(size=40), rng.normal(size=(5, 3))
    theirs = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5).fit(X, t).predict(new)
    alpha = kernels.kernel_ridge(rbf_kernel(X, gamma=0.5), t, 0.1)
    np.testing.assert_allclose(rbf_kernel(new, X, gamma=0.5) @ alpha, theirs, atol=1e-10)


def test_new_molecules_have_the_kernel_that_they_have_in_one_set_with_the_known():
    around = descriptors.environments(random_molecules(40), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    both = kernels.environment_kernel(around.features, around.molecule, around.element, 40, 1.7)
    old, late = around.molecule < 29, around.molecule >= 29
    new = around.features[late], around.molecule[late] - 29, around.element[late], 11
    known = around.features[old], around.molecule[old], around.element[old], 29
    for block in (1, 32):
        np.testing.assert_allclose(kernels.kernel_between(new, known, 1.7, block), both[29:, :29], rtol=1e-6)
    t = np.random.default_rng(0).normal(size=29)
    alpha = kernels.kernel_ridge(both[:29, :29], t, 0.5)
    theirs = KernelRidge(alpha=0.5, kernel="precomputed").fit(both[:29, :29], t).predict(both[29:, :29])
    np.testing.assert_allclose(kernels.kernel_between(new, known, 1.7) @ alpha, theirs, rtol=1e-5)


def test_new_molecules_are_compressed_on_the_axes_of_the_known():
    around = descriptors.environments(random_molecules(40), NEAR, COSINES, LEGS, (6.0, CUTOFF))
    part = lambda rows: SimpleNamespace(features=around.features[rows], element=around.element[rows])
    old, late = part(around.molecule < 29), part(around.molecule >= 29)
    np.testing.assert_array_equal(kernels.compress(old, 4, axes_of=old), kernels.compress(old, 4))
    found, element = kernels.compress(late, 4, axes_of=old), 1
    theirs = PCA(4, svd_solver="full").fit(old.features[old.element == element].astype(float))
    expected = theirs.transform(late.features[late.element == element].astype(float))
    signs = np.sign((found[late.element == element] * expected).sum(0))
    np.testing.assert_allclose(found[late.element == element] * signs, expected, atol=5e-3)
    with pytest.raises(ValueError, match="axes_of: holds no atom of element 4"):
        kernels.compress(SimpleNamespace(features=around.features[:1], element=np.array([4])), 2,
                         axes_of=part(around.element != 4))


def test_bad_kernels_are_refused():
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match="sigma"):
        kernels.environment_kernel(X, [0, 1, 2, 3], [1] * 4, 4, 0.0)
    with pytest.raises(ValueError, match="Y"):
        kernels.city_block(X, np.ones((4, 3)))
    with pytest.raises(ValueError, match="lam"):
        kernels.kernel_ridge(np.eye(3), np.ones(3), -1)
    with pytest.raises(ValueError, match="lam"):
        kernels.kernel_ridge(-np.eye(3), np.ones(3), 0.0)
    with pytest.raises(ValueError, match="molecule"):
        kernels.environment_kernel(X, [0, 1, 2, 9], [1] * 4, 4, 1.0)
    with pytest.raises(ValueError, match="equal lengths"):
        kernels.environment_kernel(X, [0, 1], [1] * 4, 4, 1.0)
    with pytest.raises(ValueError, match="size"):
        kernels.compress(SimpleNamespace(features=X, element=np.zeros(4)), 3)


def test_distances_in_a_kernels_own_space():
    """The distance of feature vectors, and zero where rounding would put it below."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    found = kernels.squared_distances(x @ y.T, (x * x).sum(1), (y * y).sum(1))
    np.testing.assert_allclose(found, ((x[:, None] - y) ** 2).sum(-1), rtol=1e-10)
    assert kernels.squared_distances([[1.0 + 1e-15]], [1.0], [1.0]) == 0

"""Composition, pairs, potentials and folds against plain loops and closed forms."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.linear_model import Ridge

from helpers import molecules as mol
from helpers import plots

CENTERS, WIDTH = np.linspace(0.5, 6, 12), 0.3
METHANE = 2.06 / np.sqrt(3) * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def random_molecules(n=50, atoms=9, seed=0):
    """Random atoms, 0 to 9 per row, padded in random places: nothing here relies on padding at the end."""
    rng = np.random.default_rng(seed)
    charges = rng.choice([0, 0, 1, 1, 6, 6, 7, 8, 16], size=(n, atoms))
    coordinates = rng.uniform(-4, 4, (n, atoms, 3)) * (charges > 0)[..., None]
    return SimpleNamespace(coordinates=coordinates, charges=charges)


def plain_features(molecules, centers, width):
    """The triple loop: molecules, pairs, centers."""
    order = {1: 0, 6: 1, 7: 2, 8: 3, 16: 4}
    names = [tuple(sorted(pair)) for pair in [(i, j) for i in range(5) for j in range(i, 5)]]
    features = np.zeros((len(molecules.charges), 15, len(centers)))
    for m, (R, Z) in enumerate(zip(molecules.coordinates, molecules.charges, strict=True)):
        for i, j in combinations(np.flatnonzero(Z), 2):
            kind = names.index(tuple(sorted((order[Z[i]], order[Z[j]]))))
            for c, center in enumerate(centers):
                d = np.sqrt(((R[i] - R[j]) ** 2).sum())
                features[m, kind, c] += np.exp(-((d - center) ** 2) / (2 * width**2))
    return features.reshape(len(features), -1)


def test_composition_counts_every_element_in_any_order():
    assert mol.composition([[6, 1, 1, 1, 1, 0, 0]]).tolist() == [[4, 1, 0, 0, 0]]
    assert mol.composition([16, 0, 8, 7, 7]).tolist() == [0, 0, 2, 1, 1]
    molecules = random_molecules()
    assert mol.composition(molecules.charges).sum() == np.count_nonzero(molecules.charges)


def test_pair_names_follow_the_kinds():
    assert mol.PAIRS[:6] == ("H-H", "C-H", "N-H", "O-H", "S-H", "C-C")
    assert len(mol.PAIRS) == 15
    found = mol.pairs([[[0, 0, 0], [0, 0, 2], [0, 0, 5]]], [[8, 1, 16]])
    assert {mol.PAIRS[k]: d for k, d in zip(found.kind, found.distance, strict=True)} == {
        "O-H": 2, "S-H": 3, "O-S": 5}


def test_methane_has_four_short_and_six_long_pairs():
    found = mol.pairs(METHANE[None], [[6, 1, 1, 1, 1]])
    ch, hh = (found.distance[found.kind == mol.PAIRS.index(name)] for name in ("C-H", "H-H"))
    np.testing.assert_allclose(ch, [2.06] * 4)
    np.testing.assert_allclose(hh, [2.06 * np.sqrt(8 / 3)] * 6)


def test_features_equal_the_plain_loop():
    molecules = random_molecules()
    np.testing.assert_allclose(mol.pair_features(molecules, CENTERS, WIDTH),
                               plain_features(molecules, CENTERS, WIDTH), atol=1e-12)


def test_features_do_not_depend_on_the_block_size(monkeypatch):
    molecules = random_molecules()
    expected = mol.pair_features(molecules, CENTERS, WIDTH)
    monkeypatch.setattr(mol, "BLOCK", 5 * len(CENTERS))
    np.testing.assert_allclose(mol.pair_features(molecules, CENTERS, WIDTH), expected, rtol=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16))
def test_features_ignore_rotation_translation_mirror_and_atom_order(seed):
    rng, molecules = np.random.default_rng(seed), random_molecules(5, seed=seed)
    order = rng.permutation(molecules.charges.shape[1])
    rotation = Rotation.random(random_state=seed).as_matrix()
    turned = molecules.coordinates @ rotation * [1, 1, -1] + rng.normal(size=3)
    moved = SimpleNamespace(coordinates=turned[:, order], charges=molecules.charges[:, order])
    np.testing.assert_allclose(mol.pair_features(moved, CENTERS, WIDTH),
                               mol.pair_features(molecules, CENTERS, WIDTH), atol=1e-10)


def test_features_of_one_atom_and_of_no_atom_are_zero():
    lone = SimpleNamespace(coordinates=np.zeros((2, 3, 3)), charges=np.array([[0, 6, 0], [0, 0, 0]]))
    assert mol.pair_features(lone, CENTERS, WIDTH).shape == (2, 180)
    assert not mol.pair_features(lone, CENTERS, WIDTH).any()


def test_bonds_by_threshold_and_by_covalent_radii():
    coordinates, charges = np.vstack([METHANE, [[50, 0, 0]]]), np.array([6, 1, 1, 1, 1, 0])
    star = [[0, 1], [0, 2], [0, 3], [0, 4]]
    assert mol.bonds(coordinates, charges).tolist() == star
    assert mol.bonds(coordinates, charges, 2.5).tolist() == star
    assert mol.bonds(coordinates, charges, 2.0).shape == (0, 2)
    assert len(mol.bonds(coordinates, charges, 3.5)) == 10
    sulfur = np.array([[0, 0, 0], [0, 0, 3.4]])  # a C-S single bond, too far for carbon and carbon
    assert mol.bonds(sulfur, [6, 16]).tolist() == [[0, 1]]
    assert mol.bonds(sulfur, [6, 8]).shape == (0, 2)


def test_pair_energies_sum_to_the_prediction_and_follow_the_potential():
    molecules, rng = random_molecules(), np.random.default_rng(1)
    weights = rng.normal(size=15 * len(CENTERS))
    found = mol.pairs(molecules.coordinates, molecules.charges)
    energy = mol.pair_energies(found, weights, CENTERS, WIDTH)
    total = np.bincount(found.molecule, energy, len(molecules.charges))
    np.testing.assert_allclose(total, mol.pair_features(molecules, CENTERS, WIDTH) @ weights, atol=1e-10)
    curves = mol.potentials(weights, CENTERS, WIDTH, found.distance)
    np.testing.assert_allclose(energy, curves[found.kind, np.arange(len(energy))], atol=1e-12)


def test_potential_of_one_weight_is_one_gaussian():
    weights = np.zeros((15, len(CENTERS)))
    weights[3, 4] = -7.0
    curve = mol.potentials(weights.ravel(), CENTERS, WIDTH, CENTERS[4] + np.array([0, WIDTH]))
    np.testing.assert_allclose(curve[3], [-7, -7 * np.exp(-0.5)])
    assert not np.delete(curve, 3, axis=0).any()


def test_split_gives_every_molecule_once():
    folds = np.random.default_rng(0).permutation(20).reshape(5, 4)
    for k in range(5):
        train, test = mol.split(folds, k)
        assert sorted([*train, *test]) == list(range(20))
        assert set(test) == set(folds[k])


def test_ridge_on_summed_moments_equals_scikit_learn():
    rng = np.random.default_rng(0)
    X, t, folds = rng.normal(size=(50, 7)), rng.normal(size=50), np.arange(50).reshape(5, 10)
    S, s = mol.fold_moments(X, t, folds)
    train, _ = mol.split(folds, 2)
    expected = Ridge(alpha=0.3, fit_intercept=False).fit(X[train], t[train]).coef_
    np.testing.assert_allclose(mol.ridge(S.sum(0) - S[2], s.sum(0) - s[2], 0.3), expected, rtol=1e-10)


CH = (np.array([[[0.0, 0, 0], [0, 0, 2]]]), np.array([[6, 1]]))
BAD = {
    "three charges, two atoms": (lambda: mol.pairs(CH[0], [[6, 1, 1]]), r"charges: shape \(1, 3\).*\(1, 2\)"),
    "flat coordinates": (lambda: mol.pairs([[0.0, 0, 0]], [6]), r"coordinates: shape \(1, 3\)"),
    "NaN": (lambda: mol.pairs(CH[0] * np.nan, CH[1]), "coordinates: NaN"),
    "unknown element": (lambda: mol.composition([[6, 9]]), "charges: 9 .*allowed are 0"),
    "unknown element in pairs": (lambda: mol.pairs(CH[0], [[6, -1]]), "charges: -1 "),
    "overlap": (lambda: mol.pairs(CH[0] * 0, CH[1]), "coordinates: atoms 0 and 1 of molecule 0 overlap"),
    "negative threshold": (lambda: mol.bonds(CH[0][0], CH[1][0], -1), "threshold: -1 .*above 0"),
    "word as threshold": (lambda: mol.bonds(CH[0][0], CH[1][0], "long"), "threshold: 'long'"),
    "zero width": (lambda: mol.gaussians([1.0], CENTERS, 0), "width: 0 .*above 0"),
    "no centers": (lambda: mol.gaussians([1.0], [], 1), "centers: shape"),
    "few weights": (lambda: mol.potentials(np.ones(3), CENTERS, WIDTH, [1]), r"weights: .*\(180,\)"),
    "fold 5": (lambda: mol.split(np.arange(10).reshape(5, 2), 5), "k: 5 .*0 to 4"),
    "fold -1": (lambda: mol.split(np.arange(10).reshape(5, 2), -1), "k: -1 .*0 to 4"),
    "two targets": (lambda: mol.fold_moments(np.eye(3), [1, 2], [[0], [1]]), r"t: shape \(2,\) does not"),
    "negative lambda": (lambda: mol.ridge(np.eye(2), np.ones(2), -1), "lam: -1 .*at least 0"),
    "singular": (lambda: mol.ridge(np.zeros((2, 2)), np.ones(2), 0), "lam: 0 .*larger"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_line_that_names_it(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_coordinates_in_angstrom_are_told_by_the_lengths_of_bonds():
    charges = np.array([[6, 1, 1, 1, 1]])
    mol.refuse_angstrom(mol.pairs(METHANE[None], charges))  # 2.06 bohr are 1.02 covalent lengths
    with pytest.raises(ValueError, match=r"nearest atoms are 0\.54 covalent lengths apart, as in angstrom"):
        mol.refuse_angstrom(mol.pairs(METHANE[None] * mol.BOHR, charges))


def test_pictures_show_every_atom_bond_and_value():
    charges, star = np.array([6, 1, 1, 1, 1]), mol.bonds(METHANE, [6, 1, 1, 1, 1])
    figure = plots.molecule_figure([(METHANE, charges, star)], ["methane"], values=[[-99.0, -98, -97, -96]])
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(shown) == sorted([*"CHHHH", "-99", "-98", "-97", "-96"])
    plots.plt.close(figure)
    page = plots.turnable_molecule(METHANE, charges, star, alt='a "star"').data
    assert page.count("#f4f4f4") == 4
    assert "http" not in page
    assert 'title="a &quot;star&quot;"' in page


@pytest.mark.parametrize(("angstrom", "order"), [(1.53, 1), (1.40, 1.5), (1.34, 2), (1.20, 3)])
def test_orders_of_carbon_bonds_follow_from_their_length(angstrom, order):
    places = np.array([[[0, 0, 0], [0, 0, angstrom / mol.BOHR]]])
    assert mol.bond_orders(mol.pairs(places, np.array([[6, 6]]))) == [order]


def test_a_short_bond_to_hydrogen_is_single_and_strands_are_drawn():
    places = np.array([[0.0, 0, 0], [0, 0, 1.0]])
    assert mol.bond_orders(mol.pairs(places[None], np.array([[6, 1]]))) == [1]
    for order, strands in ((1, 1), (1.5, 2), (2, 2), (3, 3)):
        figure = plots.molecule_figure([(places, [6, 6], [(0, 1)])], ["CC"], [[order]])
        assert len(figure.axes[0].lines) == 2 * strands  # a rim and a core each
        plots.plt.close(figure)

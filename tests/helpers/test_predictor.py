"""The model that predicts new molecules: against a plain solution, its interval, its refusals."""

import numpy as np
import pytest

from helpers import datasets, kernels, molecules
from helpers.molecules import BOHR
from helpers.predictor import EnergyModel


@pytest.fixture(scope="module")
def qm7():
    return datasets.load_qm7()


@pytest.fixture(scope="module")
def model(qm7):
    rows = molecules.split(qm7.folds, 0)[0][:600]
    return EnergyModel(axes=60).fit(qm7.coordinates[rows], qm7.charges[rows], qm7.energies[rows])


def one(qm7, m):
    atoms = qm7.charges[m] > 0
    return qm7.coordinates[m][atoms], qm7.charges[m][atoms]


def test_new_molecules_are_predicted_better_than_by_counts_and_the_interval_holds(qm7, model):
    rows = qm7.folds[0][:150]
    energy, half = model.predict_many(qm7.coordinates[rows], qm7.charges[rows])
    error = np.abs(energy - qm7.energies[rows])
    assert error.mean() < 8  # counts: above 15; the embedded sample has fewer molecules to learn from
    assert 0.88 <= np.mean(error <= half) <= 1  # 95 % of 150, four standard errors
    narrow = half < np.median(half)
    assert error[narrow].mean() < error[~narrow].mean()


def test_a_training_molecule_is_known_and_units_do_not_matter(qm7, model):
    m = molecules.split(qm7.folds, 0)[0][5]
    R, Z = one(qm7, m)
    energy, half = model.predict(R, Z, "bohr")
    assert abs(energy - qm7.energies[m]) < 0.1
    np.testing.assert_allclose(model.predict(R * BOHR, Z, "angstrom"), (energy, half), atol=1e-3)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    order = np.random.default_rng(1).permutation(len(Z))
    np.testing.assert_allclose(model.predict((R @ turn + 3)[order], Z[order], "bohr")[0], energy, atol=0.05)


def test_leaving_one_out_equals_fitting_without_it():
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(20, 2)), rng.normal(size=20)
    K = np.exp(-((X[:, None] - X) ** 2).sum(-1))
    error, sd = kernels.leave_one_out(K, t, 0.1)
    np.testing.assert_allclose(-error / sd**2, np.linalg.solve(K + 0.1 * np.eye(20), t))
    lower = kernels.cholesky(K, 0.1)
    kept = lower.copy()
    np.testing.assert_array_equal(kernels.leave_one_out(K, t, 0.1, lower), (error, sd))
    np.testing.assert_array_equal(lower, kept)
    for n in range(20):
        rest = np.arange(20) != n
        G = np.linalg.inv(K[np.ix_(rest, rest)] + 0.1 * np.eye(19))
        np.testing.assert_allclose(error[n], K[n, rest] @ G @ t[rest] - t[n])
        np.testing.assert_allclose(sd[n] ** 2, K[n, n] + 0.1 - K[n, rest] @ G @ K[rest, n])


ETHANE = np.array([[0, 0, 0.76], [0, 0, -0.76], [1.02, 0, 1.16], [-0.51, 0.88, 1.16], [-0.51, -0.88, 1.16],
                   [-1.02, 0, -1.16], [0.51, 0.88, -1.16], [0.51, -0.88, -1.16]])  # angstrom
CARBONS = np.array([6, 6, 1, 1, 1, 1, 1, 1])
PEROXIDE = np.array([[0, 1.34, -0.10], [0, -1.34, -0.10], [1.6, 1.66, 0.8], [-1.6, -1.66, 0.8]])  # bohr
CLOSE = ETHANE / BOHR
CLOSE[3] = CLOSE[0] + 0.05
BAD = {
    "one atom": ((ETHANE[:1], CARBONS[:1], "angstrom"), "charges: 1 atoms; .* 2 to 23"),
    "500 atoms": ((np.zeros((500, 3)), np.ones(500, int), "bohr"), "charges: 500 atoms"),
    "an element": ((ETHANE, np.where(CARBONS == 6, 9, 1), "angstrom"), "charges: 9 is not known"),
    "eight heavy atoms": ((1.5 * np.argwhere(np.ones((2, 2, 2))), np.full(8, 6), "angstrom"),
                          "charges: 8 heavy atoms .* up to 7"),
    "no heavy atom": ((ETHANE[:2], np.array([1, 1]), "angstrom"), "charges: no heavy atom"),
    "overlap": ((CLOSE, CARBONS, "bohr"), "coordinates: atoms 0 and 3 are 0.09 bohr apart"),
    "no unit": ((ETHANE, CARBONS, "nm"), "unit: 'nm' is not known; say 'bohr' or 'angstrom'"),
    "angstrom as bohr": ((ETHANE, CARBONS, "bohr"), "unit: as bohr, .* looks like angstrom"),
    "bohr as angstrom": ((ETHANE / BOHR, CARBONS, "angstrom"), "unit: as angstrom, .* looks like bohr"),
    "an unseen bond": ((PEROXIDE, np.array([8, 8, 1, 1]), "bohr"), "no O-O pair (below|at all)"),
    "an ion or a radical": ((ETHANE[:7], CARBONS[:7], "angstrom"), "charges: 17 electrons, an odd number"),
    "a batch": ((ETHANE[None], CARBONS[None], "angstrom"), r"coordinates: shape \(1, 8, 3\) and charges"),
    "an atom too many": ((ETHANE, CARBONS[:7], "angstrom"), r"coordinates: shape \(8, 3\) .* give \(a, 3\)"),
    "two molecules": ((np.vstack([ETHANE, ETHANE + [0, 0, 9]]), np.tile(CARBONS, 2), "angstrom"),
                      "coordinates: the atoms form several molecules"),
    "a stretched molecule": ((1.06 * ETHANE, CARBONS, "angstrom"), r"the surroundings of atom \d \(C\)"),
}


@pytest.mark.parametrize(("molecule", "message"), BAD.values(), ids=BAD)
def test_what_the_model_does_not_know_is_refused_in_one_line(model, molecule, message):
    with pytest.raises(ValueError, match=message) as error:
        model.predict(*molecule)
    assert "\n" not in str(error.value)


def test_a_file_in_angstrom_is_predicted_as_its_arrays(qm7, model, tmp_path):
    R, Z = one(qm7, molecules.split(qm7.folds, 0)[0][5])
    atoms = [f"{molecules.ELEMENTS[e]} {x:.6f} {y:.6f} {z:.6f}"
             for e, (x, y, z) in zip(molecules.elements(Z), R * BOHR, strict=True)]
    file = tmp_path / "new.xyz"
    file.write_text("\n".join([str(len(Z)), "new", *atoms]))
    new = datasets.load_xyz(file, "angstrom")
    found = model.predict(new.coordinates[0], new.charges[0], "bohr")
    np.testing.assert_allclose(found, model.predict(R, Z, "bohr"), atol=0.02)


def test_a_model_that_has_learned_nothing_says_so():
    for call in (lambda model: model.predict(ETHANE, CARBONS, "angstrom"),
                 lambda model: model.predict_many(ETHANE[None] / BOHR, CARBONS[None])):
        with pytest.raises(ValueError, match="^model: it has learned nothing yet; call fit"):
            call(EnergyModel())


def test_an_element_of_a_single_training_molecule_is_refused(qm7):
    has = (qm7.charges == 16).any(axis=1)
    without, sulfur = np.flatnonzero(~has)[:20], np.flatnonzero(has)
    for count, said in ((1, "^charges: a single training molecule has S, so that nothing says"), (2, None)):
        rows = np.append(without, sulfur[:count])
        model = EnergyModel(axes=20).fit(qm7.coordinates[rows], qm7.charges[rows], qm7.energies[rows])
        if said:
            with pytest.raises(ValueError, match=said):
                model.predict(*one(qm7, sulfur[0]), "bohr")
        else:
            assert np.isfinite(model.predict(*one(qm7, sulfur[0]), "bohr")).all()
        kinds = [kind for kind in model.usual if kind != 4]
        assert all(0 < model.usual[kind] < np.inf for kind in kinds)


@pytest.mark.parametrize(("change", "says"), [
    (lambda R, Z, t: (R, Z, t[:-1]), r"^energies: shape \(19,\); allowed is \(20,\)"),
    (lambda R, Z, t: (R, Z, np.where(np.arange(20) == 3, np.nan, t)), "^energies: molecule 3 has nan"),
    (lambda R, Z, t: (R, Z, 4.184 * t), r"^energies: .* look like kJ/mol\)"),
    (lambda R, Z, t: (R * np.where(np.arange(20) == 7, BOHR, 1)[:, None, None], Z, t),
     "^coordinates: the nearest atoms of molecule 7 are 0.[45].* as in angstrom"),
    (lambda R, Z, t: (R[:1], Z[:1], t[:1]), "^coordinates: 1 molecules, all alike"),
])
def test_what_cannot_be_learned_is_refused(qm7, change, says):
    with pytest.raises(ValueError, match=says):
        EnergyModel(axes=5).fit(*change(qm7.coordinates[:20], qm7.charges[:20], qm7.energies[:20]))
    with pytest.raises(ValueError, match="^level: 95 is not allowed; give a share between 0 and 1"):
        EnergyModel(level=95).fit(qm7.coordinates[:20], qm7.charges[:20], qm7.energies[:20])


@pytest.mark.parametrize(("rows", "moved"), [
    (np.r_[:60, :15], 0), (np.repeat(np.arange(25), 3), 0.02), (np.repeat(np.arange(30), 2), 0),
], ids=["some twice", "conformers", "all twice"])
def test_molecules_that_repeat_are_refused(qm7, rows, moved):
    R = qm7.coordinates[rows] + moved * np.random.default_rng(0).normal(size=qm7.coordinates[rows].shape)
    with pytest.raises(ValueError, match=r"^coordinates: \d+% of the molecules nearly equal another one, as"):
        EnergyModel(axes=20).fit(R, qm7.charges[rows], qm7.energies[rows])

"""Molecules and tables of one's own: .xyz files and their units, separators, decimal signs, encodings."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from helpers import datasets, descriptors, graphs
from helpers import molecules as chemistry
from helpers.tables import read_table


def customers(**columns):
    codes = {"Channel": [1, 2, 1], "Region": [3, 1, 2]}
    return pd.DataFrame(codes | dict.fromkeys(datasets.SPENDINGS, 10.0)).assign(**columns)


ETHANOL = """9
ethanol, angstrom
C -0.8883 0.1670 -0.0273
C 0.4658 -0.5116 -0.0368
O 1.4311 0.3229 0.5867
H -0.8487 1.1175 -0.5695
H -1.6471 -0.4704 -0.4896
H -1.1964 0.3978 0.9977
H 0.7920 -0.7224 -1.0597
H 0.4246 -1.4559 0.5138
H 1.4671 1.1550 0.0848
"""


def xyz(folder, text, name="own.xyz"):
    (folder / name).write_text(text)
    return folder / name


def test_xyz_files_of_one_and_many_molecules_are_read_in_bohr(tmp_path):
    water = "3\n\nO 0 0 0\n1 0.757 0.587 0\nh -0.757 0.587 0\n"
    found = datasets.load_xyz([xyz(tmp_path, ETHANOL), xyz(tmp_path, water + ETHANOL + "\n\n", "two.xyz")])
    assert found.charges.shape == (3, 9)
    assert found.charges[1].tolist() == [8, 1, 1, 0, 0, 0, 0, 0, 0]
    assert found.energies is found.folds is None
    np.testing.assert_allclose(found.coordinates[1, 1], np.array([0.757, 0.587, 0]) / 0.529177, rtol=1e-6)
    np.testing.assert_array_equal(found.coordinates[0], found.coordinates[2])
    assert len(chemistry.bonds(found.coordinates[0], found.charges[0])) == 8
    lengths = [f"{a} {x / 0.529177:.6f} {y / 0.529177:.6f} {z / 0.529177:.6f}" for a, x, y, z in
               ((line.split()[0], *map(float, line.split()[1:])) for line in ETHANOL.split("\n")[2:-1])]
    again = datasets.load_xyz(xyz(tmp_path, "9\n\n" + "\n".join(lengths), "bohr.xyz"), unit="bohr")
    np.testing.assert_allclose(again.coordinates[0], found.coordinates[0], atol=1e-4)


def test_files_as_other_programs_write_them(tmp_path):
    plain = datasets.load_xyz(xyz(tmp_path, ETHANOL)).coordinates[0]
    for text in ("\ufeff" + ETHANOL, ETHANOL + "\n\n" + ETHANOL + "\n \n", ETHANOL.replace("\n", "\r\n"),
                 ETHANOL.replace(" ", "\t"), ETHANOL.replace("C ", "6 "), ETHANOL.replace("H ", "h ")):
        (tmp_path / "own.xyz").write_bytes(text.encode())
        np.testing.assert_array_equal(datasets.load_xyz(tmp_path).coordinates[-1], plain)  # the folder's one
    (tmp_path / "own.xyz").write_bytes(ETHANOL.encode("utf-16"))
    with pytest.raises(ValueError, match="own.xyz' does not read as an .xyz file: it is no UTF-8; save it"):
        datasets.load_xyz(tmp_path)
    (tmp_path / "own.xyz").unlink()
    with pytest.raises(ValueError, match="^paths: .* holds no molecule"):
        datasets.load_xyz(tmp_path)
    for paths in (None, 5, [tmp_path, None]):
        with pytest.raises(ValueError, match="^paths: (None|5) is no path; give a string or"):
            datasets.load_xyz(paths)


@pytest.mark.parametrize(("text", "unit", "says"), [
    (ETHANOL.replace("O 1.4", "F 1.4"), "angstrom", "own.xyz', line 5: element 'F' is not known; allowed"),
    (ETHANOL.replace("O 1.4", "9 1.4"), "angstrom", "line 5: element '9' is not known"),
    (ETHANOL.replace("9\n", "10\n"), "angstrom", "line 12: '' is no atom; needed are element, x, y and z"),
    (ETHANOL.replace("9\n", "8\n"), "angstrom", "line 11: .* is no number .* of 8 atoms, right"),
    (ETHANOL.replace("-0.5116", "nan"), "angstrom", "coordinates: molecule 0 has nan"),
    (re.sub(r"\d\.\d+", lambda number: str(100 * float(number[0])), ETHANOL), "angstrom", "no molecule$"),
    (ETHANOL.replace("0.3229", "0,3229"), "angstrom", "line 5: .* is no atom"),
    ("", "angstrom", "own.xyz' holds no molecule; allowed are .xyz files of at least one"),
    ("1\nProperties=species:S:1:forces:R:3:pos:R:3\nC 0 0 1 0 0 0\n", "angstrom", "line 2: .* other columns"),
    ("1\n\n² 0 0 0\n", "angstrom", "line 3: element '²' is not known"),
    ("C 0 0 0\n", "angstrom", "line 1: 'C 0 0 0' is no number of atoms; allowed is an .xyz file"),
    (ETHANOL, "bohr", "own.xyz', unit: with 'bohr' an atom's nearest is 1.09 bohr .* try 'angstrom'$"),
    (ETHANOL, "nm", "^unit: 'nm' is not known; allowed are 'angstrom' and 'bohr'"),
])
def test_what_is_no_xyz_file_is_named(tmp_path, text, unit, says):
    with pytest.raises(ValueError, match=says) as caught:
        datasets.load_xyz(xyz(tmp_path, text), unit)
    assert "\n" not in str(caught.value)


def test_units_are_judged_by_each_molecules_own_atoms(tmp_path):
    nitrogen = "2\n\nN 0 0 0\nN 0 0 {}\n"  # with ethanol beside it, the table has seven empty places
    found = datasets.load_xyz(xyz(tmp_path, nitrogen.format(1.098) + ETHANOL))
    assert (found.charges > 0).sum(axis=1).tolist() == [2, 9]
    with pytest.raises(ValueError, match="own.xyz', unit: .* nearest is 3.92 bohr away .* try 'bohr'"):
        datasets.load_xyz(xyz(tmp_path, nitrogen.format(2.075)))
    assert datasets.load_xyz(xyz(tmp_path, "1\n\nC 0 0 0\n")).charges.tolist() == [[6]]


WATER = "3\nwater\nO 0 0 0.117\nH 0 0.757 -0.471\nH 0 -0.757 -0.471\n"


def in_bohr(text):
    number = lambda found: f"{float(found[0]) / 0.529177:.6f}"
    return re.sub(r"-?\d\.\d+", number, text)


@pytest.mark.parametrize(("unit", "one", "other", "says"), [
    ("angstrom", ETHANOL, in_bohr(WATER), "nearest is 3.42 bohr away in the median, .*; try 'bohr'"),
    ("bohr", in_bohr(ETHANOL), WATER, "nearest is 0.96 bohr away in the median, .*; try 'angstrom'"),
])
def test_one_file_among_many_in_another_unit_is_named(tmp_path, unit, one, other, says):
    for name in ("a.xyz", "b.xyz"):
        xyz(tmp_path, one, name)
    expected = datasets.load_xyz(tmp_path, unit)
    xyz(tmp_path, other, "c.XYZ")
    with pytest.raises(ValueError, match=rf"^path: '.*c.XYZ', unit: with '{unit}' an atom's {says}"):
        datasets.load_xyz(tmp_path, unit)
    mixed = xyz(tmp_path, one + other, "a.xyz")
    with pytest.raises(ValueError, match=r"^path: '.*a.xyz', molecule 1, unit: with"):
        datasets.load_xyz(mixed, unit)
    few = dataclasses.replace(expected, coordinates=expected.coordinates * [[[1]], [[0.529177]]])
    with pytest.raises(ValueError, match="^coordinates: the nearest atoms of molecule 1 are 0.5.* as in ang"):
        datasets.check_molecules(few.coordinates, few.charges)


RIGHT = {"H2": (1, 1, 0.741), "H2+": (1, 1, 1.057), "N2": (7, 7, 1.098), "S2": (16, 16, 1.889),
         "CO": (6, 8, 1.128), "OH-": (8, 1, 0.964), "C2": (6, 6, 1.243), "two C far apart": (6, 6, 6.0)}


@pytest.mark.parametrize("pair", RIGHT.values(), ids=RIGHT)
def test_unusual_molecules_are_not_taken_for_a_wrong_unit(tmp_path, pair):
    first, second, length = pair
    text = f"2\n\n{first} 0 0 0\n{second} 0 0 {length}\n"
    for unit, given in (("angstrom", text), ("bohr", in_bohr(text))):
        found = datasets.load_xyz(xyz(tmp_path, given), unit)
        np.testing.assert_allclose(found.coordinates[0, 1, 2], length / 0.529177, rtol=1e-5)
    if length < 6 and pair != RIGHT["H2+"]:
        with pytest.raises(ValueError, match="own.xyz', unit: with 'angstrom' .* try 'bohr'"):
            datasets.load_xyz(xyz(tmp_path, in_bohr(text)))
    with pytest.raises(ValueError, match="own.xyz', unit: with 'angstrom' .* no molecule$"):
        datasets.load_xyz(xyz(tmp_path, text.replace(str(length), str(100 * length))))


def test_dimers_and_the_way_to_dissociation_are_right_molecules(tmp_path):
    far = WATER.replace("3\n", "6\n") + "O 0 0 3.017\nH 0 0.757 2.429\nH 0 -0.757 2.429\n"
    sulfur = "8\n\n" + "".join(f"S {2.34 * np.cos(k * np.pi / 4):.4f} {2.34 * np.sin(k * np.pi / 4):.4f} "
                               f"{(-1) ** k / 2}\n" for k in range(8))
    path = "".join(f"2\n\nN 0 0 0\nN 0 0 {length}\n" for length in (0.7, 1.1, 1.8, 2.6))
    lone = "1\n\nN 0 0 0\n"
    found = datasets.load_xyz(xyz(tmp_path, far + sulfur + path + lone))
    assert (found.charges > 0).sum(axis=1).tolist() == [6, 8, 2, 2, 2, 2, 1]


def test_what_else_a_folder_holds_is_said(tmp_path):
    xyz(tmp_path, ETHANOL, "a.XYZ")
    (tmp_path / "more").mkdir()
    xyz(tmp_path, ETHANOL, ".hidden.xyz")
    xyz(tmp_path, "", "b.mol")
    with pytest.warns(UserWarning, match="has 2 folders or files that are not .xyz .* out: 'b.mol', 'more'$"):
        found = datasets.load_xyz([tmp_path, tmp_path / "a.XYZ"])
    assert found.charges.shape == (2, 9)


def test_a_file_in_bohr_read_as_angstrom_is_noticed(tmp_path):
    lines = [line.split() for line in ETHANOL.split("\n")[2:-1]]
    atoms = [" ".join([a, *(str(float(v) / 0.529177) for v in place)]) for a, *place in lines]
    text = "9\n\n" + "\n".join(atoms)
    with pytest.raises(ValueError, match="own.xyz', unit: with 'angstrom' an atom's .* 3.* try 'bohr'"):
        datasets.load_xyz(xyz(tmp_path, text))


def test_bonds_of_lengths_in_angstrom_are_refused_unless_a_threshold_is_given(tmp_path):
    found = datasets.load_xyz(xyz(tmp_path, ETHANOL))
    angstrom = found.coordinates[0] * 0.529177
    with pytest.raises(ValueError, match="^coordinates: the nearest atoms are 0.5.* as in angstrom; allowed"):
        chemistry.bonds(angstrom, found.charges[0])
    assert len(chemistry.bonds(angstrom, found.charges[0], threshold=1.7)) == 8


# --- tables of any make


def test_the_separator_is_found_and_said(tmp_path):
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        customers().to_csv(tmp_path / "own.csv", index=False, sep=separator)
        with pytest.warns(UserWarning, match=f"own.csv' is read as separated by {word}$"):
            frame = datasets.load_wholesale(tmp_path / "own.csv")
        assert frame["Fresh"].tolist() == [10.0] * 3


def test_decimal_commas_and_encodings_are_found(tmp_path):
    path = tmp_path / "own.csv"
    text = "Straße;Größe;Preis\nKöln;1,5;1.000\nMünchen;2,25;3\n"
    for encoding, said in (("cp1252", ", encoded as cp1252"), ("utf-8", ""), ("utf-8-sig", ""),
                           ("utf-16", ", encoded as utf-16")):
        path.write_bytes(text.encode(encoding))
        with pytest.warns(UserWarning, match=f"semicolons, decimal commas, thousands in 'Preis' .*{said}$"):
            frame = read_table(path)
        assert frame["Größe"].tolist() == [1.5, 2.25]
        assert frame["Preis"].tolist() == [1000, 3]
        assert frame["Straße"].tolist() == ["Köln", "München"]


def test_a_plain_table_is_read_without_a_word(tmp_path, recwarn):
    (tmp_path / "a.csv").write_text('name,size\n"a; b; c; d",1.5\n')
    assert read_table(tmp_path / "a.csv")["size"].tolist() == [1.5]
    assert not recwarn


def test_mixed_codes_and_doubled_columns_are_named():
    mixed = customers(Channel=["1", "Retail", "2"])
    with pytest.raises(ValueError, match=r"mine: Channel of row 0 is the text '1'; allowed are \[1, 2\] or"):
        datasets.check_wholesale(mixed, "mine")
    doubled = pd.concat([customers(), customers()[["Fresh"]]], axis=1)
    with pytest.raises(ValueError, match="mine: 2 columns are called 'Fresh'; allowed is one"):
        datasets.check_wholesale(doubled, "mine")


KNOTS = np.linspace(1.5, 6, 5), np.linspace(-1, 1, 4), np.linspace(1.8, 6, 3)


@pytest.mark.parametrize("describe", [
    lambda some: chemistry.pair_features(some, KNOTS[0], 0.5),
    lambda some: chemistry.triple_features(some, KNOTS[1], KNOTS[2], 6.0),
    lambda some: descriptors.environments(some, *KNOTS).features,
    lambda some: descriptors.coulomb_matrices(some),
    descriptors.bag_of_bonds,
    lambda some: graphs.tensors(some)[1].numpy(),
])
def test_every_description_of_a_molecule_refuses_angstrom(tmp_path, describe):
    found = datasets.load_xyz(xyz(tmp_path, ETHANOL))
    expected = describe(found)
    assert np.isfinite(expected).all()
    found.coordinates[0, 3:] = np.nan  # four of nine atoms taken away: what stands there does not count
    found.charges[0, 3:] = 0
    assert np.isfinite(describe(found)).all()
    found = datasets.load_xyz(tmp_path)
    angstrom = dataclasses.replace(found, coordinates=found.coordinates * 0.529177)
    with pytest.raises(ValueError, match="^coordinates: the nearest atoms are 0.5.* as in angstrom"):
        describe(angstrom)


def test_one_pair_on_top_of_each_other_is_no_unit(tmp_path):
    found = datasets.load_xyz(xyz(tmp_path, ETHANOL)).coordinates[0]
    found[-1] = found[-2] + 0.1
    assert len(chemistry.bonds(found, datasets.load_xyz(xyz(tmp_path, ETHANOL)).charges[0])) >= 8

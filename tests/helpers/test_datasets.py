"""helpers.datasets: what is loaded, and which tables and molecules are refused with which words."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from helpers import datasets, files, sources

# --- the real data


@pytest.fixture(scope="module")
def real():
    missing = [name for name in sources.SETS if files.shortfall(sources.members(name)[0])]
    if missing and os.environ.get("DATA") != "real":
        pytest.skip(f"neither cache nor mirror has: {', '.join(missing)}")


@pytest.mark.usefixtures("real")
class TestRealData:
    def test_wholesale_is_the_original(self):
        frame = datasets.load_wholesale()
        assert frame.attrs["source"] == "real"
        assert list(frame.columns) == ["Channel", "Region", *datasets.SPENDINGS]
        assert frame["Channel"].value_counts().to_dict() == {"Horeca": 298, "Retail": 142}
        assert frame["Region"].value_counts().to_dict() == {"Lisbon": 77, "Oporto": 47, "Other": 316}
        assert frame["Fresh"].mean() == pytest.approx(12000.30, abs=0.005)
        assert frame["Fresh"].std() == pytest.approx(12647.33, abs=0.005)
        assert frame.loc[338, "Grocery"] == 7021

    def test_qm7_has_its_shapes_units_and_folds(self):
        molecules = datasets.load_qm7()
        assert molecules.source == "real"
        assert molecules.coordinates.shape == (7165, 23, 3)
        assert molecules.charges.shape == (7165, 23)
        assert molecules.folds.shape == (5, 1433)
        assert set(np.unique(molecules.charges)) == {0, *datasets.ELEMENTS}
        assert molecules.energies.min() == pytest.approx(-2192, abs=0.01)
        assert molecules.energies.max() == pytest.approx(-404.88, abs=0.01)
        atoms = (molecules.charges > 0).sum(axis=1)
        assert (atoms.min(), atoms.max()) == (4, 23)
        assert not molecules.coordinates[molecules.charges == 0].any()

    @pytest.mark.parametrize("kind", ["color", "segmented"])
    def test_leaves_decode_and_match_their_label(self, kind):
        frame = datasets.load_leaves(kind)
        assert frame.attrs["source"] == "real"
        assert list(frame.columns) == ["path", "label", "leaf", "split", "session", "number"]
        assert len(frame) == 600
        for row in frame.iloc[::75].itertuples():
            assert files.LEAF_FOLDERS[row.label] in str(row.path)
            with Image.open(row.path) as image:
                assert (image.mode, image.size) == ("RGB", (256, 256))
                image.load()

    def test_photographs_and_cutouts_are_in_the_same_order(self):
        color, segmented = datasets.load_leaves("color"), datasets.load_leaves("segmented")
        pd.testing.assert_frame_equal(color.drop(columns="path"), segmented.drop(columns="path"))
        assert [p.stem + "_final_masked" for p in color["path"]] == [p.stem for p in segmented["path"]]

    def test_weights_are_found(self):
        assert datasets.network_weights("squeezenet1_1").stat().st_size == 3_002_560


@pytest.mark.parametrize("bad", [{"kind": "grey"}, {"splits": "train"}, {"splits": ["exam"]}, {"splits": []}])
def test_load_leaves_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        datasets.load_leaves(**bad)


def test_network_weights_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="'resnet' is not known; allowed are 'squeezenet1_1' and 'vgg16'"):
        datasets.network_weights("resnet")


# --- tables of customers


def customers(**columns):
    codes = {"Channel": [1, 2, 1], "Region": [3, 1, 2]}
    return pd.DataFrame(codes | dict.fromkeys(datasets.SPENDINGS, 10.0)).assign(**columns)


def test_own_table_is_loaded_and_labelled(tmp_path):
    customers(Extra="x").to_csv(tmp_path / "own.csv", index=False)
    frame = datasets.load_wholesale(tmp_path / "own.csv")
    assert frame.attrs["source"] == "own"
    assert list(frame["Channel"]) == ["Horeca", "Retail", "Horeca"]
    assert list(frame["Region"]) == ["Other", "Lisbon", "Oporto"]
    frame.to_csv(tmp_path / "labelled.csv", index=False)
    pd.testing.assert_frame_equal(datasets.load_wholesale(tmp_path / "labelled.csv"), frame)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (customers().drop(columns="Grocery"), "column 'Grocery' is missing; needed are Channel, Region"),
        (customers().rename(columns={"Delicassen": "Delicatessen"}), r"\(renamed to 'Delicatessen'\?\)"),
        (customers().rename(columns={"Milk": "milk "}), r"'Milk' is missing \(renamed to 'milk '\?\)"),
        (customers(Milk=[1, np.nan, 2]), "Milk of row 1 is nan; allowed are finite numbers of at least 0"),
        (customers(Milk=pd.array([1, None, 2], dtype="Int64")), "Milk of row 1 is <NA>"),
        (customers(Frozen=[1, 2, -3]), "Frozen of row 2 is -3"),
        (customers(Fresh=[np.inf, 2, 3]), "Fresh of row 0 is inf"),
        (customers(Fresh=["1", "2 EUR", "3"]), "Fresh of row 1 is 2 EUR"),
        (customers(Fresh=["1", "2", "3"]), "Fresh of row 0 is 1; allowed are numbers, not text"),
        (customers(Channel=[1, 3, 2]), r"Channel of row 1 is 3; allowed are \[1, 2\] or \['Horeca'"),
        (customers(Region=["Lisbon", "Porto", "Other"]), "Region of row 1 is Porto"),
        (customers(Channel=[1, np.nan, 2]), "Channel of row 1 is nan"),
        (customers().iloc[:0], "0 rows; allowed is at least one customer"),
    ],
)
def test_check_wholesale_refuses(frame, says):
    with pytest.raises(ValueError, match=f"^mine: .*{says}") as caught:
        datasets.check_wholesale(frame, "mine")
    assert "\n" not in str(caught.value)


def test_a_customer_may_buy_nothing_of_a_kind():
    datasets.check_wholesale(customers(Milk=[0, 0.5, 2]), "mine")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00junk", b'a,b\n1,2,3,4\n5,"6'])
def test_own_table_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(ValueError, match="own.csv") as caught:
        datasets.load_wholesale(tmp_path / "own.csv")
    assert "\n" not in str(caught.value)


# --- molecules: methane and water, in bohr and kcal/mol


def molecules(**changed):
    tetrahedron = 1.19 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    coordinates = np.zeros((2, 5, 3))
    coordinates[0, 1:] = tetrahedron
    coordinates[1, 1:3] = [[1.43, 1.11, 0], [-1.43, 1.11, 0]]
    charges = np.array([[6, 1, 1, 1, 1], [8, 1, 1, 0, 0]])
    return {"coordinates": coordinates, "charges": charges, "energies": np.array([-420.0, -232.0]),
            "folds": np.array([[0], [1]])} | changed


def at(name, index, value):
    array = molecules()[name].astype(float)
    array[index] = value
    return {name: array}


def test_check_molecules_takes_good_ones():
    datasets.check_molecules(**molecules())
    datasets.check_molecules(**molecules(energies=None, folds=None))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (at("charges", (1, 0), 9), r"charges: molecule 1 has 9.0; allowed are 0 \(no atom\), 1 \(H\)"),
        (at("charges", (1, 0), 6.5), "charges: molecule 1 has 6.5"),
        (at("charges", (1, 0), np.nan), "charges: molecule 1 has nan"),
        (at("charges", 1, 0), "charges: molecule 1 has 0.0; allowed are molecules of at least one atom"),
        ({"charges": np.array([6, 1, 1])}, r"charges: shape \(3,\); allowed is \(molecules, atoms\)"),
        ({"coordinates": np.zeros((2, 4, 3))}, r"coordinates: shape \(2, 4, 3\); allowed is \(2, 5, 3\)"),
        ({"charges": np.ma.masked_equal(molecules()["charges"], 8)}, "charges: some are masked"),
        ({"coordinates": np.ma.masked_less(molecules()["coordinates"], -1)}, "coordinates: some are masked"),
        ({"energies": np.ma.masked_less(molecules()["energies"], -300)}, "energies: molecule 0 has nan"),
        (at("coordinates", (0, 1, 2), np.nan), "coordinates: molecule 0 has nan; allowed are finite"),
        ({"coordinates": molecules()["coordinates"] * 0.529177}, "as in angstrom; allowed is bohr"),
        ({"energies": np.zeros(3)}, r"energies: shape \(3,\); allowed is \(2,\)"),
        (at("energies", 1, np.nan), "energies: molecule 1 has nan; allowed are atomization energies in"),
        (at("energies", 1, 232), "energies: molecule 1 has 232.0; allowed .* -200 to -15 for each atom"),
        ({"energies": -molecules()["energies"]}, "energies: molecule 0 has 420.0"),
        ({"energies": molecules()["energies"] * 4.184}, r"molecule 0 has -1757.* look like kJ/mol\)"),
        ({"energies": molecules()["energies"] / 23.06}, r"energies: molecule 0 has -18.2.* look like eV\)"),
        ({"energies": molecules()["energies"] / 627.5}, r"molecule 0 has -0.6.* look like Hartree\)"),
        ({"folds": np.array([[0], [0]])}, "folds: .* allowed are the numbers 0 to 1, each once"),
        ({"folds": np.array([[1], [2]])}, "folds: .* allowed are the numbers 0 to 1, each once"),
    ],
)
def test_check_molecules_refuses(changed, says):
    with pytest.raises(ValueError, match=says) as caught:
        datasets.check_molecules(**molecules(**changed))
    assert "\n" not in str(caught.value)


def qm7_file(path, **changed):
    arrays = {key: molecules(**changed)[name] for key, name in datasets.ARRAYS.items()}
    savemat(path, arrays | {"T": np.atleast_2d(arrays["T"]), "X": np.ones((2, 5, 5))})


def test_own_molecules_from_both_file_kinds(tmp_path):
    qm7_file(tmp_path / "own.mat")
    np.savez(tmp_path / "own.npz", **molecules())
    for name in ("own.mat", "own.npz"):
        loaded = datasets.load_qm7(tmp_path / name)
        assert loaded.source == "own"
        for array, expected in molecules().items():
            np.testing.assert_array_equal(getattr(loaded, array), expected)
        assert loaded.charges.dtype.kind == loaded.folds.dtype.kind == "i"


def test_own_molecules_with_a_missing_key_or_bad_charge_are_refused(tmp_path):
    savemat(tmp_path / "own.mat", {"R": 1, "T": 1, "P": 1})
    with pytest.raises(ValueError, match="own.mat' has no key 'Z'; needed are R, Z, and T, P where there"):
        datasets.load_qm7(tmp_path / "own.mat")
    qm7_file(tmp_path / "own.mat", **at("charges", (1, 0), 17))
    with pytest.raises(ValueError, match="molecule 1 has 17"):
        datasets.load_qm7(tmp_path / "own.mat")


def test_an_own_file_is_judged_as_it_stands(tmp_path):
    np.savez(tmp_path / "own.npz", **molecules(**at("charges", (1, 0), 8.5)))
    with pytest.raises(ValueError, match="charges: molecule 1 has 8.5"):  # not cut to 8
        datasets.load_qm7(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", **molecules())
    (tmp_path / "own.npz").rename(tmp_path / "OWN.NPZ")
    np.testing.assert_array_equal(datasets.load_qm7(tmp_path / "OWN.NPZ").charges, molecules()["charges"])
    np.savez(tmp_path / "own.npz", **molecules(charges=np.array([["C"], ["O"]])))
    with pytest.raises(ValueError, match="own.npz', charges: type <U1 is not numeric; needed are numbers"):
        datasets.load_qm7(tmp_path / "own.npz")


def test_own_molecules_need_neither_energies_nor_folds(tmp_path):
    few = {key: value for key, value in molecules().items() if key in ("coordinates", "charges")}
    np.savez(tmp_path / "own.npz", **few)
    savemat(tmp_path / "own.mat", {"R": few["coordinates"], "Z": few["charges"]})
    for name in ("own.npz", "own.mat"):
        loaded = datasets.load_qm7(tmp_path / name)
        np.testing.assert_array_equal(loaded.coordinates, few["coordinates"])
        assert loaded.energies is None
        assert loaded.folds is None


# --- masks and weights


def test_truth_of_a_mask_is_leaf_with_lesion_and_lesion_by_half_a_pixel(tmp_path):
    values = np.zeros((8, 8), np.uint8)
    values[2:, 2:] = 1
    values[4:, 4:7] = 2  # at half the size its last column is half a pixel of lesion
    Image.fromarray(values).save(tmp_path / "mask.png")
    leaf, lesion = datasets.leaf_truth([tmp_path / "mask.png"], 8)
    np.testing.assert_array_equal(leaf[0], values > 0)
    np.testing.assert_array_equal(lesion[0], values == 2)
    leaf, lesion = datasets.leaf_truth([tmp_path / "mask.png"], 1)
    assert (leaf.shape, leaf[0, 0, 0], lesion[0, 0, 0]) == ((1, 1, 1), True, False)
    Image.fromarray(values + 1).save(tmp_path / "bad.png")
    with pytest.raises(ValueError, match="bad.png' is no mask"):
        datasets.leaf_truth([tmp_path / "bad.png"])


def test_own_vgg16_weights_are_found_in_cache_and_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", "auto")
    for name in ("cache", "mirror"):
        monkeypatch.setenv({"cache": "COURSE_DATA", "mirror": "COURSE_MIRROR"}[name], str(tmp_path / name))
        (tmp_path / name / "networks").mkdir(parents=True)
    assert datasets.network_weights("vgg16") is None
    for place, ending in (("mirror", "pth"), ("cache", "pth"), ("mirror", "safetensors")):
        path = tmp_path / place / "networks" / f"vgg16_features.{ending}"
        path.write_bytes(b"")
        assert datasets.network_weights("vgg16") == path

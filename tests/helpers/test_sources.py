"""helpers.sources: one decision for a whole data set, the same everywhere, and what is missing by name."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from helpers import datasets, files, sources

REAL, DRAWN = b"real " * 300, b"drawn"


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """All 1,200 files of the leaves in the mirror, four rendered leaves in the sample, no network.

    The photographs are replaced by five bytes each, registered as such.
    """
    for name, value in (("COURSE_DATA", "cache"), ("COURSE_MIRROR", "mirror")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("DATA", "auto")
    monkeypatch.setattr(files, "PAUSES", ())
    names, known = sources.members("leaves")[0], dict(files.registry())
    for name in [*names, sources.QM7, sources.WHOLESALE, sources.SQUEEZENET]:
        known[name] = files.File(name, len(REAL), hashlib.sha256(REAL).hexdigest(), "http://127.0.0.1:9/none")
        put(tmp_path / "mirror", name, REAL)
    monkeypatch.setattr(files, "registry", lambda: known)
    folder, manifest = tmp_path / "data" / "sample", files.manifest()
    folder.mkdir(parents=True)
    few = manifest.groupby("split").head(2)
    drawn = few.assign(file=[f"{n}.webp" for n in range(len(few))]).drop(columns=["color", "segmented"])
    drawn[drawn["split"] != "unused"].to_csv(folder / "leaves.csv", index=False)
    stand_in = files.manifest(folder)
    for name in [*stand_in["color"], *stand_in["segmented"], "molecules.npz", sources.RENDERED_SQUEEZENET]:
        put(folder, name, DRAWN)
    monkeypatch.setattr(sources.files, "manifest", lambda at=None: manifest if at is None else stand_in)
    monkeypatch.setattr(files, "FOLDER", tmp_path / "data")
    return tmp_path


def test_whole_real_leaves_are_real_in_every_kind_and_split(place, caplog):
    for kind in ("color", "segmented"):
        frame = datasets.load_leaves(kind)
        assert frame.attrs["source"] == "real"
        assert len(frame) == 600
    every = [*sources.SPLITS, "unused"]
    assert datasets.load_leaves("color", every, rendered=True)["split"].nunique() == 3  # none is unused there
    assert not caplog.messages


@pytest.mark.parametrize("kind", ["color", "segmented"])
@pytest.mark.parametrize("split", sources.SPLITS)
def test_one_missing_photograph_of_1200_gives_the_whole_sample_throughout(place, kind, split, caplog):
    manifest = files.manifest()
    lost = manifest.loc[manifest["split"] == split, kind].iloc[-1]
    (place / "mirror" / lost).unlink()
    said = f"sample (1 missing of 1,200 files: '{lost}')"
    for other in ("color", "segmented"):
        for splits in (["train"], ["validation"], ["test"], sources.SPLITS):
            frame = datasets.load_leaves(other, splits)
            assert frame.attrs["source"] == said
            assert len(frame) == 2 * len(splits)
            assert all(path.is_relative_to(place / "data") for path in frame["path"])
    assert len(caplog.messages) == 1  # once, not once per call
    assert caplog.messages[0].startswith("SAMPLE, not the real data: leaves: 1 missing of 1,200 files")
    assert str(sources.decide("squeezenet1_1")) == "real"  # the other data sets stay what they are


def test_missing_and_wrong_files_are_counted_and_named(place):
    names = sources.members("leaves")[0]
    for name in names[:2]:
        (place / "mirror" / name).unlink()
    put(place / "mirror", names[5], REAL[::-1])
    put(place / "mirror", names[7], b"")
    reason = sources.decide("leaves").reason
    assert reason == f"2 missing, 2 wrong of 1,200 files: '{names[0]}', '{names[1]}', '{names[5]}', ..."
    assert files.shortfall(names[8:]) == ""
    assert files.shortfall(names[1:6]) == f"1 missing, 1 wrong of 5 files: '{names[1]}', '{names[5]}'"
    three = f"2 missing, 1 wrong of 6 files: '{names[0]}', '{names[1]}', '{names[5]}'"
    assert files.shortfall(names[:6]) == three


def test_real_leaves_with_a_missing_photograph_are_an_error_where_data_says_real(place, monkeypatch):
    monkeypatch.setenv("DATA", "real")
    lost = sources.members("leaves")[0][17]
    (place / "mirror" / lost).unlink()
    with pytest.raises(FileNotFoundError, match=f"'{lost}' cannot be had .*set COURSE_MIRROR") as caught:
        datasets.load_leaves("segmented", ["test"])
    assert "\n" not in str(caught.value)


def test_a_set_that_can_be_completed_is_completed(place, monkeypatch):
    lost = sources.members("leaves")[0][17]
    (place / "mirror" / lost).unlink()
    monkeypatch.setattr(files, "_download", lambda file: put(place / "cache", file.name, REAL))
    assert datasets.load_leaves().attrs["source"] == "real"
    assert list((place / "cache").rglob("*.JPG")) == [place / "cache" / lost]


def test_the_decision_holds_although_files_change_meanwhile(place):
    assert datasets.load_leaves().attrs["source"] == "real"
    lost = place / "mirror" / sources.members("leaves")[0][0]
    lost.unlink()
    with pytest.raises(FileNotFoundError, match="cannot be had"):  # said, and not mixed with the sample
        datasets.load_leaves()
    assert datasets.load_leaves("segmented").attrs["source"] == "real"


def test_a_decision_handed_on_is_taken_over_with_its_reason(place, monkeypatch, caplog):
    monkeypatch.setenv("DATA", "wholesale=real,qm7=real,leaves=sample,squeezenet1_1=real")
    assert datasets.load_leaves().attrs["source"] == "sample"
    assert "leaves: DATA=wholesale=real" in caplog.messages[0]
    lost = sources.members("leaves")[0][3]
    (place / "mirror" / lost).unlink()
    sources._decide.cache_clear()
    assert datasets.load_leaves().attrs["source"] == f"sample (1 missing of 1,200 files: '{lost}')"
    assert datasets.network_weights("squeezenet1_1") == place / "mirror" / sources.SQUEEZENET


def test_data_sample_takes_nothing_else_and_has_nothing_to_explain(place, monkeypatch, caplog):
    monkeypatch.setenv("DATA", "sample")
    assert datasets.load_leaves().attrs["source"] == "sample"
    assert datasets.network_weights("squeezenet1_1").name == "squeezenet1_1.safetensors"
    with pytest.raises(FileNotFoundError, match="data/sample has nothing for 'wholesale/Wholesale"):
        datasets.load_wholesale()
    with pytest.raises(FileNotFoundError, match="the sample has no weights of vgg16"):
        datasets.network_weights("vgg16")
    assert not caplog.messages


def test_without_rendered_leaves_the_sample_is_empty_and_said(place, monkeypatch):
    (place / "data" / "sample" / "leaves.csv").unlink()
    assert len(sources.leaf_tables(sources.SPLITS)["sample"]) == 0
    assert sources.members("leaves")[1] == []
    monkeypatch.setenv("DATA", "sample")
    with pytest.raises(FileNotFoundError, match="data/sample has nothing for 'leaves/color/"):
        datasets.load_leaves()
    with pytest.raises(FileNotFoundError, match="no 'color' of rendered leaves in"):
        datasets.load_leaves(rendered=True)


def test_without_a_stand_in_the_error_says_what_was_tried(place):
    (place / "mirror" / sources.WHOLESALE).unlink()
    with pytest.raises(FileNotFoundError, match=r"customers data.csv' cannot be had \(cache: not there"):
        datasets.load_wholesale()


def test_processes_at_once_agree(place):
    lost = sources.members("leaves")[0][1000]
    (place / "mirror" / lost).unlink()
    code = """
from helpers import datasets, files
files.PAUSES = ()
print(datasets.load_leaves("color").attrs["source"], len(datasets.load_leaves("segmented", ["test"])))
"""
    environment = os.environ | {"COURSE_MIRROR": str(place / "nowhere"), "https_proxy": "http://127.0.0.1:9"}
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=files.ROOT, env=environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    outputs = {run.communicate(timeout=200)[0] for run in runs}
    assert len(outputs) == 1
    assert outputs.pop().startswith("sample (1200 missing of 1,200 files: 'leaves/color/")


@pytest.mark.parametrize("value", ["fake", "leaves=fake", "apples=real", "real,leaves=sample", "leaves"])
def test_unknown_data_words_are_refused(monkeypatch, value):
    monkeypatch.setenv("DATA", value)
    with pytest.raises(ValueError, match=f"DATA: '{value}' is not known; allowed are 'auto', 'real'"):
        datasets.load_wholesale()


def test_each_data_set_may_have_a_word_of_its_own(monkeypatch):
    monkeypatch.setenv("DATA", "wholesale=real,qm7=sample,leaves=auto")
    assert [sources.mode(name) for name in sources.SETS] == ["real", "sample", "auto", "auto"]


# --- own files that are not what their name says

HTML = b"\n<!DOCTYPE html>\n<html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
HDF5 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon" + bytes(500)
NOT_DATA = {"empty": (b"", "it is empty"), "page": (HTML, "it holds a web page"),
            "lfs": (POINTER, "it is a pointer of Git LFS; run git lfs pull")}


@pytest.mark.parametrize("ending", ["csv", "mat", "npz"])
@pytest.mark.parametrize("case", NOT_DATA)
def test_own_files_in_disguise_are_named_with_what_to_do(tmp_path, ending, case):
    content, says = NOT_DATA[case]
    path = put(tmp_path, f"own.{ending}", content)
    with pytest.raises(ValueError, match=f"^path: '{path}' does not read as .*: {says}") as caught:
        (datasets.load_wholesale if ending == "csv" else datasets.load_qm7)(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("ending", ["mat", "npz"])
def test_own_files_cut_short_are_named(tmp_path, ending, share):
    from scipy.io import savemat

    rng, path = np.random.default_rng(0), tmp_path / f"own.{ending}"
    arrays = {key: rng.normal(size=(40, 9)) for key in ("R", "Z", "T", "P")}
    if ending == "mat":
        savemat(path, arrays, do_compression=True)
    else:
        np.savez_compressed(path, **{datasets.ARRAYS[key]: value for key, value in arrays.items()})
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"^path: '{path}' (does not read.* cut short|has no key)") as error:
        datasets.load_qm7(path)
    assert "\n" not in str(error.value)


def test_matlab_7_3_is_named(tmp_path):
    with pytest.raises(ValueError, match="MATLAB 7.3 .* save it with save"):
        datasets.load_qm7(put(tmp_path, "own.mat", HDF5))

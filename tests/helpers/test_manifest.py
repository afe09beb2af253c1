"""The manifest of the leaves and the registry: splits, sessions and groups as promised; no data needed."""

import sys

import numpy as np
import pandas as pd
import pytest

from helpers import files

# First photographs of the black-rot leaves in the authors' own list (leaf_grouping in their repository).
AUTHORS = [
    2729, 2738, 2748, 2757, 2771, 2782, 2794, 2813, 2834, 2848, 2859, 2870, 2885, 2895, 2909, 2921,
    2932, 2942, 2957, 2969, 2977, 2987, 2997, 3009, 3017, 3027, 3036, 3047, 3062, 3075, 3086,
    8569, 8574, 8579, 8590, 8595, 8600, 8605, 8611, 8617, 8623, 8629, 8635, 8641, 8647, 8653,
    8659, 8665, 8671, 8677, 8683, 8690, 8697, 8703, 8709, 8714, 8720, 8726, 8731, 8738, 8744, 8750,
    8757, 8763, 8768, 8774, 8780, 8786, 8791, 8796, 8802, 8809, 8815,
]
AUTHORS_TWICE = {8635: 8623, 8641: 8629}  # they count these as photographs of the same two leaves


@pytest.fixture(scope="module")
def manifest():
    return files.manifest()


def test_splits_are_as_large_as_promised(manifest):
    counts = pd.crosstab(manifest["label"], manifest["split"])
    assert counts.loc["black rot"].to_dict() == {"train": 200, "validation": 50, "test": 50, "unused": 321}
    assert counts.loc["healthy"].to_dict() == {"train": 200, "validation": 50, "test": 50, "unused": 1338}


def splits_per_leaf(frame, leaf):
    return frame[frame["split"] != "unused"].groupby(leaf)["split"].nunique()


def test_no_leaf_is_in_two_splits(manifest):
    assert splits_per_leaf(manifest, "leaf").max() == 1


def test_no_leaf_of_the_authors_grouping_is_in_two_splits(manifest):
    rot = manifest[manifest["label"] == "black rot"]
    starts = np.array(AUTHORS)[np.searchsorted(AUTHORS, rot["number"], side="right") - 1]
    rot = rot.assign(authors=[AUTHORS_TWICE.get(start, start) for start in starts])
    assert splits_per_leaf(rot, "authors").max() == 1


def test_healthy_blocks_of_different_splits_are_far_apart(manifest):
    used = manifest[(manifest["label"] == "healthy") & (manifest["split"] != "unused")].sort_values("number")
    step, change = used["number"].diff(), used["leaf"].ne(used["leaf"].shift())
    assert step[change].min() > 20  # a leaf was photographed about six times in a row
    assert used.groupby("leaf")["split"].nunique().max() == 1


def test_every_split_holds_photographs_of_the_large_sessions(manifest):
    used = manifest[manifest["split"] != "unused"]
    share = pd.crosstab(used["session"], used["split"], normalize="columns")
    large = manifest["session"].value_counts().loc[lambda n: n > 150].index
    assert (share.loc[large] > 0).all(axis=None)


def test_manifest_is_sorted_and_names_every_photograph_once(manifest):
    assert manifest[["label", "number"]].apply(tuple, axis=1).is_monotonic_increasing
    assert not manifest[["color", "segmented"]].stack().duplicated().any()
    assert not manifest["sha256"].duplicated().any()


def test_registry_entries_are_complete(manifest):
    known = files.registry()
    assert len(known) == 3 + 2 * len(manifest)
    for file in known.values():
        assert len(file.sha256) == 64
        assert file.bytes > 1000
        assert file.address.startswith("http")
        assert " " not in file.address
    quoted = manifest["file"].iloc[0].replace(" ", "%20")
    assert known[manifest["color"].iloc[0]].address.endswith(f"/master/raw/color/Apple___Black_rot/{quoted}")


def test_manifest_follows_from_its_script(manifest):
    sys.path.insert(0, str(files.FOLDER))
    try:
        import make_manifest
    finally:
        sys.path.pop(0)
    again = make_manifest.assign(manifest[["label", "number"]].copy())
    pd.testing.assert_frame_equal(again[["leaf", "session", "split"]], manifest[["leaf", "session", "split"]])

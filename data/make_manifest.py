"""Write leaves.csv from a full copy of the two apple folders: python data/make_manifest.py FOLDER.

FOLDER holds color/<class>/*.JPG and segmented/<class>/*_final_masked.jpg. README.md beside this file says
how the groups and splits were chosen.
"""

import hashlib
import re
import sys
from pathlib import Path

import pandas as pd

CLASSES = {"Apple___Black_rot": "black rot", "Apple___healthy": "healthy"}
# Number of the first photograph of each black-rot leaf, read off contact sheets.
LEAVES = [
    2729, 2738, 2748, 2758, 2771, 2782, 2794, 2813, 2834, 2848, 2859, 2870, 2885, 2895, 2909, 2920,
    2932, 2942, 2957, 2969, 2977, 2987, 2997, 3009, 3017, 3027, 3036, 3047, 3062, 3075, 3086,
    8569, 8574, 8579, 8584, 8590, 8595, 8600, 8605, 8611, 8617, 8623, 8629, 8635, 8641, 8647, 8653,
    8659, 8665, 8671, 8677, 8683, 8690, 8697, 8703, 8709, 8714, 8720, 8726, 8731, 8738, 8745, 8750,
    8757, 8763, 8768, 8774, 8780, 8786, 8791, 8796, 8802, 8809, 8815,
]
DOUBTFUL = {8623, 8629, 8635, 8641}  # their grouping is disputed: in no split
# First photograph after a change of place or light.
SESSIONS = [2729, 5639, 5888, 7240, 7475, 7638, 7739, 8569]
BLOCK = 27  # healthy photographs per block: the first PER_LEAF are used, the rest is the gap to the next
PER_LEAF = 5
CYCLE = {"black rot": ["train", "train", "validation", "train", "train", "test", "unused"],
         "healthy": ["train", "train", "validation", "train", "train", "test"]}


def last_at_most(starts, number):
    return max(start for start in starts if start <= number)


def photographs(folder):
    for name, label in CLASSES.items():
        for path in (folder / "color" / name).iterdir():
            cutout = folder / "segmented" / name / f"{path.stem}_final_masked.jpg"
            photograph, mask = path.read_bytes(), cutout.read_bytes()
            yield {"label": label, "number": int(re.search(r" (\d+)$", path.stem)[1]), "file": path.name,
                   "bytes": len(photograph), "sha256": hashlib.sha256(photograph).hexdigest(),
                   "cutout_bytes": len(mask), "cutout_sha256": hashlib.sha256(mask).hexdigest()}


def assign(frame):
    """Add leaf, session and split to a frame of label and number, sorted by both."""
    healthy = frame.loc[frame["label"] == "healthy", "number"].to_list()
    starts = {"black rot": LEAVES, "healthy": healthy[:len(healthy) // BLOCK * BLOCK:BLOCK]}
    pairs = list(zip(frame["label"], frame["number"], strict=True))
    frame.insert(2, "leaf", [last_at_most(starts[label], number) for label, number in pairs])
    frame.insert(3, "session", [last_at_most(SESSIONS, number) for _, number in pairs])
    split = {}
    for label, cycle in CYCLE.items():
        leaves = [leaf for leaf in starts[label] if leaf not in DOUBTFUL]
        split |= {leaf: cycle[index % len(cycle)] for index, leaf in enumerate(leaves)}
    position = frame.groupby("leaf").cumcount()
    frame.insert(4, "split", frame["leaf"].map(split).fillna("unused").where(position < PER_LEAF, "unused"))
    return frame


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1], "color").is_dir():
        sys.exit("FOLDER: holds PlantVillage's color/ and segmented/; python data/make_manifest.py FOLDER")
    frame = pd.DataFrame(photographs(Path(sys.argv[1]))).sort_values(["label", "number"], ignore_index=True)
    assign(frame).to_csv(Path(__file__).parent / "leaves.csv", index=False, lineterminator="\n")

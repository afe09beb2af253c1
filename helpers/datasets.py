"""Find, verify and load the data sets and the networks' weights."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

MIRROR = Path(os.environ.get("COURSE_MIRROR", Path(__file__).parents[2] / "shared" / "data"))
SPENDINGS = ["Fresh", "Milk", "Grocery", "Frozen", "Detergents_Paper", "Delicassen"]


def fetch(name):
    """Return the local path of a registered file, verified."""
    return MIRROR / name


def load_wholesale():
    """440 customers: Channel and Region as labelled categoricals, then six yearly spendings (monetary units)."""
    frame = pd.read_csv(fetch("wholesale/Wholesale customers data.csv"))
    frame["Channel"] = pd.Categorical.from_codes(frame["Channel"] - 1, ["Horeca", "Retail"])
    frame["Region"] = pd.Categorical.from_codes(frame["Region"] - 1, ["Lisbon", "Oporto", "Other"])
    frame.attrs["source"] = "real"
    return frame


@dataclass(frozen=True)
class Molecules:
    """coordinates (n,23,3) bohr, charges (n,23) with 0 = no atom, energies (n,) kcal/mol, folds (5,m)."""

    coordinates: np.ndarray
    charges: np.ndarray
    energies: np.ndarray
    folds: np.ndarray
    source: str


def load_qm7():
    """7,165 molecules of up to seven heavy atoms (C N O S) with their atomization energies."""
    from scipy.io import loadmat

    file = loadmat(fetch("qm7/qm7.mat"))
    return Molecules(file["R"].astype(float), file["Z"].astype(int), file["T"][0].astype(float),
                     file["P"].astype(int), "real")


def load_leaves(kind="color", splits=("train", "validation", "test")):
    """Photographs of apple leaves: path, label ("black rot" or "healthy"), leaf, split, session, number.

    kind: "color" for the photographs, "segmented" for the same leaves cut out on black, in the same order.
    splits: which splits to return; "unused" holds the remaining photographs.
    """
    frame = pd.read_csv(Path(__file__).parents[1] / "data" / "leaves.csv")
    frame = frame[frame["split"].isin(splits)].reset_index(drop=True)
    folders = {"black rot": "Apple___Black_rot", "healthy": "Apple___healthy"}
    ending = {"color": ".JPG", "segmented": "_final_masked.jpg"}[kind]
    frame["path"] = [MIRROR / "leaves" / kind / folders[label] / file.replace(".JPG", ending)
                     for label, file in zip(frame["label"], frame["file"], strict=True)]
    frame = frame[["path", "label", "leaf", "split", "session", "number"]]
    frame.attrs["source"] = "real"
    return frame

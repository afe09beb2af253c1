"""Load and check the data sets and the networks' weights; helpers.files finds and verifies the files."""

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import files

WHOLESALE, QM7 = "wholesale/Wholesale customers data.csv", "qm7/qm7.mat"
SQUEEZENET = "networks/squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
RENDERED_SQUEEZENET = "networks/squeezenet1_1.safetensors"  # of the sample, trained on rendered pictures
SPENDINGS = ["Fresh", "Milk", "Grocery", "Frozen", "Detergents_Paper", "Delicassen"]
CODES = {"Channel": ["Horeca", "Retail"], "Region": ["Lisbon", "Oporto", "Other"]}  # codes 1, 2, 3
ELEMENTS = {1: "H", 6: "C", 7: "N", 8: "O", 16: "S"}
ARRAYS = {"R": "coordinates", "Z": "charges", "T": "energies", "P": "folds"}  # qm7.mat's keys and ours
PER_ATOM = (-200, -15)  # atomization energies in kcal/mol; in eV, Hartree or kJ/mol they fall outside
UNITS = {"Hartree": 1 / 627.5, "eV": 1 / 23.06, "kJ/mol": 4.184}  # of one kcal/mol
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Molecules:
    """coordinates (n,23,3) bohr, charges (n,23) with 0 = no atom, energies (n,) kcal/mol, folds (5,m)."""

    coordinates: np.ndarray
    charges: np.ndarray
    energies: np.ndarray
    folds: np.ndarray
    source: str


def fetch(name):
    """Local path of a registered file, verified; KeyError or FileNotFoundError where it cannot be had."""
    return files.locate([name])[0][0]


def load_wholesale(path=None):
    """440 customers: Channel and Region as labelled categoricals, then six yearly spendings (monetary units).

    path: an own CSV file with the same columns instead. frame.attrs["source"] is "real", "sample" or "own".
    Raises ValueError for a table that check_wholesale refuses.
    """
    (path,), source = ([Path(path)], "own") if path else files.locate([WHOLESALE], ["customers.csv"])
    try:
        frame = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"path: '{path}' is no table of comma-separated values ({error})") from None
    check_wholesale(frame, path.name)
    for column, labels in CODES.items():
        frame[column] = pd.Categorical(frame[column].replace(dict(enumerate(labels, 1))), labels)
    frame.attrs["source"] = source
    return frame


def check_wholesale(frame, name="frame"):
    """Raise ValueError, naming column, row and value, where a DataFrame is no table of customers.

    Needed are Channel and Region, as codes from 1 or as labels (CODES), and the six SPENDINGS, finite numbers
    of at least 0. Other columns are left alone. name: what the message calls the frame.
    """
    needed = [*CODES, *SPENDINGS]
    for column in needed:
        if column not in frame:
            close = difflib.get_close_matches(column, map(str, frame.columns), 1, 0.5)
            hint = f" (renamed to {close[0]!r}?)" if close else ""
            raise ValueError(f"{name}: column {column!r} is missing{hint}; needed are {', '.join(needed)}")
    if frame.empty:
        raise ValueError(f"{name}: 0 rows; allowed is at least one customer")
    for column in needed:
        values = frame[column]
        if column in CODES:
            codes = list(range(1, len(CODES[column]) + 1))
            good, allowed = values.isin(codes) | values.isin(CODES[column]), f"{codes} or {CODES[column]}"
        else:
            numbers = pd.to_numeric(values, errors="coerce").astype(float)
            good, allowed = numbers.between(0, np.inf, inclusive="left"), "finite numbers of at least 0"
            if good.all() and not pd.api.types.is_numeric_dtype(values):
                good, allowed = ~good, "numbers, not text"
        if not good.all():
            row = int(np.argmin(good))
            raise ValueError(f"{name}: {column} of row {row} is {values.iloc[row]}; allowed are {allowed}")


def load_qm7(path=None):
    """7,165 molecules of up to seven heavy atoms (C N O S) with atomization energies, as Molecules.

    path: own molecules instead, a .mat file with the keys R, Z, T and P or an .npz file with the names of
    Molecules. X is not read: its rows are sorted, so they do not line up with R and Z.
    Raises ValueError for a missing key or arrays that check_molecules refuses.
    """
    from scipy.io import loadmat

    (path,), source = ([Path(path)], "own") if path else files.locate([QM7], ["molecules.npz"])
    keys = list(ARRAYS.values() if path.suffix == ".npz" else ARRAYS)
    file = np.load(path) if path.suffix == ".npz" else loadmat(path, variable_names=keys)
    missing = [key for key in keys if key not in file]
    if missing:
        raise ValueError(f"path: '{path}' has no key {missing[0]!r}; needed are {', '.join(keys)}")
    coordinates, charges, energies, folds = (file[key] for key in keys)
    molecules = Molecules(coordinates.astype(float), charges.astype(int), energies.ravel().astype(float),
                          folds.astype(int), source)
    check_molecules(molecules.coordinates, molecules.charges, molecules.energies, molecules.folds)
    return molecules


def check_molecules(coordinates, charges, energies=None, folds=None):
    """Raise ValueError, naming array, molecule and value, where arrays are not those of molecules.

    coordinates (n,a,3): finite, bohr; charges (n,a): of ELEMENTS, 0 = no atom; energies (n,): atomization
    energies in kcal/mol, negative; folds (k,m): the numbers 0 to n-1, each once.
    """
    coordinates, charges = np.asarray(coordinates), np.asarray(charges)
    if charges.ndim != 2 or not charges.size:
        raise ValueError(f"charges: shape {charges.shape}; allowed is (molecules, atoms)")
    if coordinates.shape != (*charges.shape, 3):
        raise ValueError(f"coordinates: shape {coordinates.shape}; allowed is {(*charges.shape, 3)}")
    known = ", ".join(f"{charge} ({element})" for charge, element in ELEMENTS.items())
    _refuse(~np.isin(charges, [0, *ELEMENTS]), "charges", charges, f"0 (no atom), {known}")
    atoms = (charges > 0).sum(axis=1)
    _refuse(atoms == 0, "charges", charges[:, 0], "molecules of at least one atom")
    _refuse(~np.isfinite(coordinates), "coordinates", coordinates, "finite numbers, in bohr")
    nearest = np.linalg.norm(coordinates[:, 1:] - coordinates[:, :1], axis=2)
    nearest = np.median(np.where(charges[:, 1:] > 0, nearest, np.inf).min(axis=1, initial=np.inf))
    if nearest < 1.35:
        raise ValueError(f"coordinates: the atom nearest to the first is {nearest:.2f} away in the median, "
                         "as in angstrom; allowed is bohr, 1 angstrom = 1.8897 bohr")
    if energies is not None:
        energies = np.asarray(energies)
        if energies.shape != charges.shape[:1]:
            raise ValueError(f"energies: shape {energies.shape}; allowed is {charges.shape[:1]}")
        each = energies / atoms
        guess = [unit for unit, factor in UNITS.items() if 60 < abs(np.median(each)) / factor < 150]
        _refuse(~((each >= PER_ATOM[0]) & (each <= PER_ATOM[1])), "energies", energies,
                f"atomization energies in kcal/mol, {PER_ATOM[0]} to {PER_ATOM[1]} for each atom"
                + (f" (these look like {guess[0]})" if guess else ""))
    if folds is not None and not np.array_equal(np.sort(np.ravel(folds)), np.arange(len(charges))):
        raise ValueError(f"folds: shape {np.shape(folds)} does not hold every molecule once; allowed are the "
                         f"numbers 0 to {len(charges) - 1}, each once")


def _refuse(bad, name, values, allowed):
    if bad.any():
        index = tuple(np.argwhere(bad)[0])
        raise ValueError(f"{name}: molecule {index[0]} has {values[index]}; allowed are {allowed}")


def load_leaves(kind="color", splits=SPLITS, rendered=False):
    """Photographs of apple leaves: path, label ("black rot" or "healthy"), leaf, split, session, number.

    kind: "color" for the photographs, "segmented" for the same leaves cut out on black, in the same order.
    splits: which of "train", "validation", "test" and "unused" to return. No leaf is in two splits.
    rendered: True for the sample's rendered leaves whatever DATA says; they, and only they, have "masks" too
    (see `leaf_truth`), so that kind always means them.
    leaf, session: number of the first photograph of the leaf (healthy: of the block of photographs) and of
    the stretch taken in one place and light. frame.attrs["source"] is "real" or "sample".
    """
    if kind not in files.RENDERED_ENDINGS:
        raise ValueError(f"kind: {kind!r} is not known; allowed are {list(files.RENDERED_ENDINGS)}")
    if isinstance(splits, str) or not splits or not {*SPLITS, "unused"} >= set(splits):
        raise ValueError(f"splits: {splits!r} is not allowed; give a list of some of {[*SPLITS, 'unused']}")
    frames, source = _leaves(splits), "sample"
    if rendered or kind == "masks":
        paths = files.sample(frames["sample"].get(kind, []))
        if paths is None:
            raise FileNotFoundError(f"kind: no {kind!r} of rendered leaves in {files.FOLDER / 'sample'}; "
                                    "make them with data/sample/make_leaves.py")
    else:
        paths, source = files.locate(*(frames[key][kind].to_list() for key in ("real", "sample")))
    frame = frames[source].assign(path=paths)[["path", "label", "leaf", "split", "session", "number"]]
    frame.attrs["source"] = source
    return frame


def leaf_truth(paths, size=224):
    """Exact masks of rendered leaves, from the paths of `load_leaves("masks")`: booleans (leaf, lesion).

    Each is (n, size, size), True where at least half of a pixel is leaf (with its lesions), or lesion.
    Raises ValueError for a file that is no mask.
    """
    from PIL import Image

    truth = np.zeros((2, len(paths), size, size), bool)
    for row, path in enumerate(paths):
        with Image.open(path) as image:
            values = np.asarray(image)
        if values.ndim != 2 or values.max(initial=0) > 2:
            raise ValueError(f"paths: '{path}' is no mask; allowed are files of load_leaves('masks')")
        for level in (1, 2):
            cover = Image.fromarray((values >= level).astype(np.float32)).resize((size, size), Image.BILINEAR)
            truth[level - 1, row] = np.asarray(cover) >= 0.5
    return truth[0], truth[1]


def _leaves(splits):
    """The real leaves and those of the sample (empty while there is none), the asked splits only."""
    real, folder = files.manifest(), files.FOLDER / "sample"
    stand_in = files.manifest(folder) if (folder / "leaves.csv").is_file() else real[:0]
    return {key: frame[frame["split"].isin(splits)].reset_index(drop=True)
            for key, frame in (("real", real), ("sample", stand_in))}


def network_weights(name):
    """Path of a network's weights, or None where torchvision has to download them (vgg16).

    name: "squeezenet1_1" (a verified Keras file, from ImageNet; of the sample a .safetensors file, trained on
    rendered pictures) or "vgg16" (a features-only file in cache or mirror).
    Raises FileNotFoundError where they cannot be had, which for vgg16 is so with DATA=sample.
    """
    if name == "squeezenet1_1":
        return files.locate([SQUEEZENET], [RENDERED_SQUEEZENET])[0][0]
    if name != "vgg16":
        raise ValueError(f"name: {name!r} is not known; allowed are 'squeezenet1_1' and 'vgg16'")
    if files.mode() == "sample":
        raise FileNotFoundError("DATA: 'sample' is set, and the sample has no weights of vgg16; allowed is "
                                "squeezenet1_1, or 'auto' and 'real' for DATA")
    paths = [folder / "networks" / f"vgg16_features.{ending}" for ending in ("safetensors", "pth")
             for folder in (files.cache_folder(), files.mirror_folder()) if folder]
    return next((path for path in paths if path.is_file()), None)


def describe():
    """One row per data set: where its files would come from now. Verifies what is here, downloads nothing."""
    frames, wanted, rows = _leaves(SPLITS), files.mode(), []
    parts = {"Wholesale customers": [[WHOLESALE], ["customers.csv"]], "QM7": [[QM7], ["molecules.npz"]],
             "SqueezeNet 1.1": [[SQUEEZENET], [RENDERED_SQUEEZENET]]}
    for title, kind in (("leaves, photographs", "color"), ("leaves, cut-outs", "segmented")):
        parts[title] = [frames[key][kind].to_list() for key in ("real", "sample")]
    for title, (names, stand_ins) in parts.items():
        looked = [files.look(files.registry()[name]) for name in names]
        places = Counter(place or "address" for _, place, _ in looked)
        if wanted == "sample":
            places = ["sample" if files.sample(stand_ins) else "missing"]
        wrong = [f"{place} of {name!r}: {what}" for name, (_, _, problems) in zip(names, looked, strict=True)
                 for place, what in problems.items() if what not in (None, "not there")]
        source = ", ".join(places if len(places) == 1 else [f"{n} {place}" for place, n in places.items()])
        size = sum(files.registry()[name].bytes for name in names) / 1e6
        rows.append((title, len(names), round(size, 2), source, "; ".join(wrong[:1])))
    weights = None if wanted == "sample" else network_weights("vgg16")
    place, note = ("missing", "") if wanted == "sample" else ("address", "only if asked for, by torchvision")
    if weights:
        place, note = "cache" if files.cache_folder() in weights.parents else "mirror", ""
    rows.append(("VGG-16", 1, 528.0, place, note))
    return pd.DataFrame(rows, columns=["data", "files", "MB", "source", "note"])

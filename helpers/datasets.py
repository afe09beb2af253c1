"""Load and check the data sets and the networks' weights; helpers.sources says which files they come from."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from helpers import files, sources
from helpers.reading import read_table
from helpers.sources import SPLITS

SPENDINGS = ["Fresh", "Milk", "Grocery", "Frozen", "Detergents_Paper", "Delicassen"]
CODES = {"Channel": ["Horeca", "Retail"], "Region": ["Lisbon", "Oporto", "Other"]}  # codes 1, 2, 3
ELEMENTS = {1: "H", 6: "C", 7: "N", 8: "O", 16: "S"}
ARRAYS = {"R": "coordinates", "Z": "charges", "T": "energies", "P": "folds"}  # qm7.mat's keys and ours
PER_ATOM = (-200, -15)  # atomization energies in kcal/mol; in eV, Hartree or kJ/mol they fall outside
XYZ_UNITS = {"angstrom": 0.529177210903, "bohr": 1.0}  # of one bohr
UNITS = {"Hartree": 1 / 627.5, "eV": 1 / 23.06, "kJ/mol": 4.184}  # of one kcal/mol


@dataclass(frozen=True)
class Molecules:
    """coordinates (n,23,3) bohr, charges (n,23) with 0 = no atom, energies (n,) kcal/mol, folds (5,m).

    energies and folds are None for molecules that come without, of a file of one's own.
    """

    coordinates: np.ndarray
    charges: np.ndarray
    energies: np.ndarray | None
    folds: np.ndarray | None
    source: str


def load_wholesale(path=None):
    """440 customers: Channel and Region as labelled categoricals, then six yearly spendings (monetary units).

    path: an own CSV file with the same columns instead. frame.attrs["source"] is "real", "own", "sample", or
    "sample (1 missing of 1 file: ...)" where that was not asked for.
    Raises ValueError for a table that check_wholesale refuses.
    """
    (path,), source = ([Path(path)], "own") if path else sources.locate("wholesale")
    frame = read_table(path)
    check_wholesale(frame, path.name)
    for column, labels in CODES.items():
        frame[column] = pd.Categorical(frame[column].replace(dict(enumerate(labels, 1))), labels)
    frame.attrs["source"] = str(source)
    return frame


def check_wholesale(frame, name="frame"):
    """Raise ValueError, naming column, row and value, where a DataFrame is no table of customers.

    Needed are Channel and Region, as codes from 1 or as labels (CODES), and the six SPENDINGS, finite numbers
    of at least 0. Other columns are left alone. name: what the message calls the frame.
    """
    needed = [*CODES, *SPENDINGS]
    for column in needed:
        if list(frame.columns).count(column) > 1:
            raise ValueError(f"{name}: {list(frame.columns).count(column)} columns are called {column!r}; "
                             "allowed is one")
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
            value = values.iloc[row]
            coded = column in CODES and isinstance(value, str) and value.isdigit()
            shown = f"the text {value!r}" if coded else value
            raise ValueError(f"{name}: {column} of row {row} is {shown}; allowed are {allowed}")


def load_qm7(path=None):
    """7,165 molecules of up to seven heavy atoms (C N O S) with atomization energies, as Molecules.

    path: own molecules instead, a .mat file with the keys R, Z, and T and P where there are energies and
    folds, or an .npz file with the names of Molecules; for .xyz files see load_xyz. X is not read: its rows
    are sorted, so they do not line up with R and Z.
    Raises ValueError for a missing key or arrays that check_molecules refuses.
    """
    (path,), source = ([Path(path)], "own") if path else sources.locate("qm7")
    coordinates, charges, energies, folds = _molecule_arrays(path)
    check_molecules(coordinates, charges, energies, folds)
    return Molecules(coordinates, charges, energies, folds, str(source))


def load_xyz(paths, unit="angstrom"):
    """Own molecules from .xyz files, as Molecules without energies and folds: one path or several.

    A file holds one molecule or many: number of atoms, a comment, then element and x, y, z for each atom;
    empty lines may stand between molecules. A folder stands for its .xyz files in the order of their names.
    unit: of the file's lengths, "angstrom" (the format's own) or "bohr"; coordinates come back in bohr.
    Raises ValueError naming file and line for anything else, for an element other than H, C, N, O and S, and
    for lengths that are not in that unit.
    """
    if unit not in XYZ_UNITS:
        raise ValueError(f"unit: {unit!r} is not known; allowed are 'angstrom' and 'bohr'")
    if isinstance(paths, (str, Path)):
        paths = sorted(Path(paths).glob("*.xyz")) if Path(paths).is_dir() else [paths]
    frames = [frame for path in paths for frame in _xyz_frames(Path(path))]
    if not frames:
        raise ValueError(f"paths: {', '.join(map(str, paths)) or 'nothing'} holds no molecule; allowed are "
                         ".xyz files of at least one")
    width = max(len(frame) for frame in frames)
    coordinates, charges = np.zeros((len(frames), width, 3)), np.zeros((len(frames), width), int)
    for row, frame in enumerate(frames):
        charges[row, :len(frame)] = [atom[0] for atom in frame]
        coordinates[row, :len(frame)] = [atom[1:] for atom in frame]
    coordinates /= XYZ_UNITS[unit]
    check_molecules(coordinates, charges)
    _check_lengths(coordinates, charges, unit)
    return Molecules(coordinates, charges, None, None, "own")


def _xyz_frames(path):
    """Yield [(charge, x, y, z), ...] of every molecule in a file, lengths as they stand there."""
    try:
        lines, start, count = path.read_text(encoding="utf-8-sig").rstrip().split("\n"), 0, 0
    except UnicodeDecodeError as error:
        raise files.unreadable(path, "an .xyz file", error) from None
    while lines != [""] and start < len(lines):
        if start and not lines[start].strip():
            start += 1
            continue
        if not re.fullmatch(r"\s*0*[1-9]\d*\s*", lines[start]):
            hint = f"; is the number before it, of {count} atoms, right?" if start else ""
            raise ValueError(f"path: '{path}', line {start + 1}: {lines[start]!r} is no number of atoms; "
                             f"allowed is an .xyz file{hint}")
        count = int(lines[start])
        rows = range(start + 2, start + 2 + count)
        yield [_xyz_atom(path, row + 1, lines[row] if row < len(lines) else "") for row in rows]
        start += 2 + count


def _xyz_atom(path, line, text):
    """(charge, x, y, z) of one line; ValueError naming file and line."""
    known, words = {symbol: charge for charge, symbol in ELEMENTS.items()}, text.split()
    try:
        x, y, z = map(float, words[1:4])
    except ValueError:
        raise ValueError(f"path: '{path}', line {line}: {text!r} is no atom; needed are element, x, y and z, "
                         "one line for each atom") from None
    charge = int(words[0]) if words[0].isdigit() else known.get(words[0].capitalize())
    if charge not in ELEMENTS:
        raise ValueError(f"path: '{path}', line {line}: element {words[0]!r} is not known; allowed are "
                         f"{', '.join(known)}, the elements of QM7")
    return charge, x, y, z


def _check_lengths(coordinates, charges, unit):
    """Refuse molecules whose usual nearest distances are those of another unit."""
    places = [each[charge > 0] for each, charge in zip(coordinates, charges, strict=True)]
    nearest = [np.median(cKDTree(atoms).query(atoms, k=2)[0][:, 1]) for atoms in places if len(atoms) > 1]
    if nearest and not 1.35 < np.median(nearest) < 3.2:
        other = "bohr" if unit == "angstrom" else "angstrom"
        factor = float(np.median(nearest) * XYZ_UNITS[unit] / XYZ_UNITS[other]) / 2  # of usual distances
        raise ValueError(f"unit: with {unit!r} an atom's nearest is {np.median(nearest):.2f} bohr away in "
                         "the median, as in no molecule" + f"; try {other!r}" * (0.7 < factor < 4))


def _molecule_arrays(path):
    """Coordinates, charges, energies, folds (or None) of a .mat or .npz file; ValueError naming the file."""
    from scipy.io import loadmat

    keys = list(ARRAYS.values() if path.suffix == ".npz" else ARRAYS)
    try:
        file = np.load(path) if path.suffix == ".npz" else loadmat(path, variable_names=keys)
        arrays = {key: file[key] for key in keys if key in file}
    except FileNotFoundError:
        raise
    except Exception as error:  # SciPy, zlib and zipfile have an error of their own for every way to be cut
        kind = "molecules in NumPy's .npz format" if path.suffix == ".npz" else "molecules in a .mat file"
        raise files.unreadable(path, kind, error) from None
    missing = [key for key in keys[:2] if key not in arrays]
    if missing:
        raise ValueError(f"path: '{path}' has no key {missing[0]!r}; needed are {', '.join(keys[:2])}, and "
                         f"{', '.join(keys[2:])} where there are energies and folds")
    coordinates, charges, energies, folds = (arrays.get(key) for key in keys)
    return (coordinates.astype(float), charges.astype(int), None if energies is None
            else energies.ravel().astype(float), None if folds is None else folds.astype(int))


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
    if nearest < 0.6:
        raise ValueError(f"coordinates: the atom nearest to the first is {nearest:.2f} bohr away in the "
                         "median, on top of it; allowed are molecules, in bohr")
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
    the stretch taken in one place and light. frame.attrs["source"], the same for all kinds and splits, is
    "real", "sample", or "sample (1 missing of 1,200 files: ...)" where that was not asked for.
    """
    if kind not in files.RENDERED_ENDINGS:
        raise ValueError(f"kind: {kind!r} is not known; allowed are {list(files.RENDERED_ENDINGS)}")
    if isinstance(splits, str) or not splits or not {*SPLITS, "unused"} >= set(splits):
        raise ValueError(f"splits: {splits!r} is not allowed; give a list of some of {[*SPLITS, 'unused']}")
    frames, source = sources.leaf_tables(splits), sources.Decision("sample")
    if not (rendered or kind == "masks"):
        source = sources.decide("leaves")
    frame = frames[source.source]
    names = frame.get(kind, pd.Series(dtype=str)).to_list()
    paths = files.real_paths(names) if source.source == "real" else files.sample_paths(names)
    if paths is None:
        raise FileNotFoundError(f"kind: no {kind!r} of rendered leaves in {files.FOLDER / 'sample'}; "
                                "make them with data/sample/make_leaves.py")
    frame = frame.assign(path=paths)[["path", "label", "leaf", "split", "session", "number"]]
    frame.attrs["source"] = str(source)
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


def network_weights(name):
    """Path of a network's weights, or None where torchvision has to download them (vgg16).

    name: "squeezenet1_1" (a verified Keras file, from ImageNet; of the sample a .safetensors file, trained on
    rendered pictures) or "vgg16" (a features-only file in cache or mirror).
    Raises FileNotFoundError where they cannot be had, which for vgg16 is so with DATA=sample.
    """
    if name == "squeezenet1_1":
        return sources.locate("squeezenet1_1")[0][0]
    if name != "vgg16":
        raise ValueError(f"name: {name!r} is not known; allowed are 'squeezenet1_1' and 'vgg16'")
    if os.environ.get("DATA") == "sample":
        raise FileNotFoundError("DATA: 'sample' is set, and the sample has no weights of vgg16; allowed is "
                                "squeezenet1_1, or 'auto' and 'real' for DATA")
    paths = [folder / "networks" / f"vgg16_features.{ending}" for ending in ("safetensors", "pth")
             for folder in (files.cache_folder(), files.mirror_folder()) if folder]
    return next((path for path in paths if path.is_file()), None)

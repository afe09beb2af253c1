"""Load and check the data sets and the networks' weights; helpers.sources says which files they come from."""

import difflib
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from helpers import files, sources, xyz
from helpers.arguments import file_path
from helpers.reading import read_table
from helpers.sources import SPLITS
from helpers.xyz import ELEMENTS

SPENDINGS = ["Fresh", "Milk", "Grocery", "Frozen", "Detergents_Paper", "Delicassen"]
CODES = {"Channel": ["Horeca", "Retail"], "Region": ["Lisbon", "Oporto", "Other"]}  # codes 1, 2, 3
ARRAYS = {"R": "coordinates", "Z": "charges", "T": "energies", "P": "folds"}  # qm7.mat's keys and ours
PER_ATOM = (-200, -15)  # atomization energies in kcal/mol; in eV, Hartree or kJ/mol they fall outside
LONGEST, LONGEST_H = 1.4, 2.0  # covalent lengths to an atom's nearest (N2 in bohr: 1.46); H alone (H2+: 1.71)
UNBOUND = (3.3, 20)  # where two lone atoms may stand, and no bond read in a wrong unit
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
    (path,), source = ([file_path("path", path)], "own") if path else sources.locate("wholesale")
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
    (path,), source = ([file_path("path", path)], "own") if path else sources.locate("qm7")
    coordinates, charges, energies, folds = _molecule_arrays(path)
    if str(source) != "real":  # whose bytes are verified
        check_molecules(coordinates, charges, energies, folds)
    return Molecules(coordinates.astype(float), charges.astype(int),
                     None if energies is None else energies.astype(float),
                     None if folds is None else folds.astype(int), str(source))


def load_xyz(paths, unit="angstrom"):
    """Own molecules from .xyz files, as Molecules without energies and folds: one path or several.

    A file holds one molecule or many: number of atoms, a comment, then element and x, y, z for each atom;
    empty lines may stand between molecules. A folder stands for its .xyz files in the order of their names.
    unit: of the file's lengths, "angstrom" (the format's own) or "bohr"; coordinates come back in bohr.
    Raises ValueError naming file and line for anything else, for an element other than H, C, N, O and S, and
    for a molecule whose lengths are not in that unit. What else a folder holds is said in a warning.
    """
    if unit not in XYZ_UNITS:
        raise ValueError(f"unit: {unit!r} is not known; allowed are 'angstrom' and 'bohr'")
    single = isinstance(paths, (str, os.PathLike)) or not np.iterable(paths)
    paths = [paths] if single else list(paths)
    found = [_checked_file(file, unit) for path in paths for file in xyz.files_of(file_path("paths", path))]
    if not found:
        raise ValueError(f"paths: {', '.join(map(str, paths)) or 'nothing'} holds no molecule; allowed are "
                         ".xyz files of at least one")
    width = max(charges.shape[1] for _, charges in found)
    gaps = [(0, 0), (0, width)], [(0, 0), (0, width), (0, 0)]
    charges = np.concatenate([np.pad(part, gaps[0])[:, :width] for _, part in found])
    coordinates = np.concatenate([np.pad(part, gaps[1])[:, :width] for part, _ in found])
    return Molecules(coordinates, charges, None, None, "own")


def _checked_file(path, unit):
    """Coordinates (n, a, 3) in bohr and charges (n, a) of an .xyz file; ValueError naming it."""
    coordinates, charges = xyz.molecules_of(path)
    try:
        _check_atoms(coordinates, charges)
        _check_lengths(coordinates / XYZ_UNITS[unit], charges, unit)
    except ValueError as error:
        raise ValueError(f"path: '{path}', {error}") from None
    return coordinates / XYZ_UNITS[unit], charges


def _check_lengths(coordinates, charges, unit=None):
    """Refuse a molecule whose median atom has its nearest where no atom has it, as in another unit.

    unit: the file's; None for arrays, of which those that look like angstrom are refused. Two atoms may stand
    anywhere where the same two stand right elsewhere, as on the way to dissociation.
    """
    from helpers.molecules import SHORTEST, nearest_lengths, pairs  # imports scikit-learn: seconds

    nearest = np.sort(nearest_lengths(pairs(coordinates, charges), charges.shape))
    count, two = (charges > 0).sum(axis=1), (charges > 0).sum(axis=1) == 2
    middle = np.stack([(count - 1) // 2, count // 2], axis=1)
    apart = np.take_along_axis(nearest, middle, 1).mean(1)  # the median over a molecule's atoms
    longest = np.where((charges > 1).any(axis=1), LONGEST, LONGEST_H)
    far = (apart > longest) & (count > 1) & ~(two & (apart > UNBOUND[0]) & (apart < UNBOUND[1]))
    wrong = (apart < SHORTEST) | (far & (unit is not None))
    for row in np.flatnonzero(wrong):
        same = (charges == charges[row]).all(axis=1)
        if two[row] and not wrong[same].all():
            continue
        if unit is None:
            raise ValueError(f"coordinates: the nearest atoms of molecule {row} are {apart[row]:.2f} "
                             "covalent lengths apart, as in angstrom; allowed is bohr, "
                             "1 angstrom = 1.8897 bohr")
        atoms, other = coordinates[row][charges[row] > 0], "bohr" if unit == "angstrom" else "angstrom"
        usual = np.median(cKDTree(atoms).query(atoms, k=2)[0][:, 1])
        there = apart[row] * XYZ_UNITS[unit] / XYZ_UNITS[other]
        which = f"molecule {row}, " if len(charges) > 1 else ""
        raise ValueError(f"{which}unit: with {unit!r} an atom's nearest is {usual:.2f} bohr away in the "
                         "median, as in no molecule"
                         + f"; try {other!r}" * bool(SHORTEST < there < longest[row]))


def _molecule_arrays(path):
    """Coordinates, charges, energies, folds (or None) of a .mat or .npz file; ValueError naming the file."""
    from scipy.io import loadmat

    numpys = path.suffix.lower() == ".npz"
    keys = list(ARRAYS.values() if numpys else ARRAYS)
    try:
        file = np.load(path) if numpys else loadmat(path, variable_names=keys)
        arrays = {key: file[key] for key in keys if key in file}
    except FileNotFoundError:
        raise
    except Exception as error:  # SciPy, zlib and zipfile have an error of their own for every way to be cut
        kind = "molecules in NumPy's .npz format" if numpys else "molecules in a .mat file"
        raise files.unreadable(path, kind, error) from None
    missing = [key for key in keys[:2] if key not in arrays]
    if missing:
        raise ValueError(f"path: '{path}' has no key {missing[0]!r}; needed are {', '.join(keys[:2])}, and "
                         f"{', '.join(keys[2:])} where there are energies and folds")
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"path: '{path}', {key}: type {array.dtype} is not numeric; needed are numbers")
    coordinates, charges, energies, folds = (arrays.get(key) for key in keys)
    return coordinates, charges, None if energies is None else energies.ravel(), folds


def check_molecules(coordinates, charges, energies=None, folds=None):
    """Raise ValueError, naming array, molecule and value, where arrays are not those of molecules.

    coordinates (n,a,3): of atoms finite, bohr, in each molecule; charges (n,a): of ELEMENTS, 0 = no atom;
    energies (n,): atomization energies in kcal/mol, negative; folds (k,m): the numbers 0 to n-1, each once.
    """
    atoms = _check_atoms(coordinates, charges)
    _check_lengths(np.asarray(coordinates), np.asarray(charges))
    if energies is not None:
        _check_energies(energies, atoms)
    if folds is not None and not np.array_equal(np.sort(np.ravel(folds)), np.arange(len(atoms))):
        raise ValueError(f"folds: shape {np.shape(folds)} does not hold every molecule once; allowed are the "
                         f"numbers 0 to {len(atoms) - 1}, each once")


def _check_energies(energies, atoms):
    """Refuse energies that are not those of molecules with so many atoms (n,)."""
    energies = np.ma.filled(np.ma.asarray(energies).astype(float), np.nan)
    if energies.shape != atoms.shape:
        raise ValueError(f"energies: shape {energies.shape}; allowed is {atoms.shape}")
    each = energies / atoms
    guess = [unit for unit, factor in UNITS.items() if 60 < abs(np.median(each)) / factor < 150]
    _refuse(~((each >= PER_ATOM[0]) & (each <= PER_ATOM[1])), "energies", energies,
            f"atomization energies in kcal/mol, {PER_ATOM[0]} to {PER_ATOM[1]} for each atom"
            + (f" (these look like {guess[0]})" if guess else ""))


def _check_atoms(coordinates, charges):
    """Number of atoms (n,) of each molecule; ValueError for shapes, masks, elements, places not finite."""
    for name, values in (("coordinates", coordinates), ("charges", charges)):
        if np.ma.is_masked(values):
            raise ValueError(f"{name}: some are masked; allowed are numbers, charge 0 where there is no atom")
    coordinates, charges = np.asarray(coordinates), np.asarray(charges)
    if charges.ndim != 2 or not charges.size:
        raise ValueError(f"charges: shape {charges.shape}; allowed is (molecules, atoms)")
    if coordinates.shape != (*charges.shape, 3):
        raise ValueError(f"coordinates: shape {coordinates.shape}; allowed is {(*charges.shape, 3)}")
    known = ", ".join(f"{charge} ({element})" for charge, element in ELEMENTS.items())
    _refuse(~np.isin(charges, [0, *ELEMENTS]), "charges", charges, f"0 (no atom), {known}")
    atoms = (charges > 0).sum(axis=1)
    _refuse(atoms == 0, "charges", charges[:, 0], "molecules of at least one atom")
    _refuse(~np.isfinite(coordinates) & (charges > 0)[:, :, None], "coordinates", coordinates,
            "finite numbers, in bohr")
    return atoms


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

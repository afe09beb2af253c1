"""The .xyz format: number of atoms, a comment, element and x, y, z of each atom; one molecule or many."""

import re
import warnings

import numpy as np

from helpers.files import unreadable

ELEMENTS = {1: "H", 6: "C", 7: "N", 8: "O", 16: "S"}


def files_of(path):
    """The path itself, or a folder's .xyz files in the order of their names; what else it holds is said."""
    if not path.is_dir():
        return [path]
    inside = [each for each in sorted(path.iterdir()) if not each.name.startswith(".")]
    chosen = [each for each in inside if each.suffix.lower() == ".xyz" and not each.is_dir()]
    others = [each.name for each in inside if each not in chosen]
    if others:
        more = ", ..." if len(others) > 3 else ""
        warnings.warn(f"paths: '{path}' has {len(others)} folders or files that are not .xyz and are left "
                      f"out: {', '.join(map(repr, others[:3]))}{more}", stacklevel=4)
    return chosen


def molecules_of(path):
    """Coordinates (n, a, 3), lengths as in the file, and charges (n, a); ValueError naming the file."""
    frames = list(_frames(path))
    if not frames:
        raise ValueError(f"path: '{path}' holds no molecule; allowed are .xyz files of at least one")
    width = max(len(frame) for frame in frames)
    coordinates, charges = np.zeros((len(frames), width, 3)), np.zeros((len(frames), width), int)
    for row, frame in enumerate(frames):
        charges[row, :len(frame)] = [atom[0] for atom in frame]
        coordinates[row, :len(frame)] = [atom[1:] for atom in frame]
    return coordinates, charges


def _frames(path):
    """Yield [(charge, x, y, z), ...] of every molecule in a file, lengths as they stand there."""
    try:
        lines, start, count = path.read_text(encoding="utf-8-sig").rstrip().split("\n"), 0, 0
    except UnicodeDecodeError as error:
        raise unreadable(path, "an .xyz file", error) from None
    while lines != [""] and start < len(lines):
        if start and not lines[start].strip():
            start += 1
            continue
        if not re.fullmatch(r"\s*0*[1-9]\d*\s*", lines[start]):
            hint = f"; is the number before it, of {count} atoms, right?" if start else ""
            raise ValueError(f"path: '{path}', line {start + 1}: {lines[start]!r} is no number of atoms; "
                             f"allowed is an .xyz file{hint}")
        count, comment = int(lines[start]), "".join(lines[start + 1:start + 2])
        if "Properties=" in comment and "Properties=species:S:1:pos:R:3" not in comment:
            raise ValueError(f"path: '{path}', line {start + 2}: {comment!r} has other columns; allowed are "
                             "species:S:1:pos:R:3 first")
        rows = range(start + 2, start + 2 + count)
        yield [_atom(path, row + 1, lines[row] if row < len(lines) else "") for row in rows]
        start += 2 + count


def _atom(path, line, text):
    """(charge, x, y, z) of one line; ValueError naming file and line."""
    known, words = {symbol: charge for charge, symbol in ELEMENTS.items()}, text.split()
    try:
        x, y, z = map(float, words[1:4])
    except ValueError:
        raise ValueError(f"path: '{path}', line {line}: {text!r} is no atom; needed are element, x, y and z, "
                         "one line for each atom") from None
    charge = int(words[0]) if words[0].isdecimal() else known.get(words[0].capitalize())
    if charge not in ELEMENTS:
        raise ValueError(f"path: '{path}', line {line}: element {words[0]!r} is not known; allowed are "
                         f"{', '.join(known)}, the elements of QM7")
    return charge, x, y, z

"""Where a student's copies live, and the one reader of them: for the start page, self_check and grade-mine.

A folder of copies (`work/`, or what an instructor hands out) holds `.course/`: the released copies, which
`self_check` compares with, and per notebook the points so far.
"""

import contextlib
import functools
import json
import os
from pathlib import Path

import nbformat

from course import contract
from course.learn.committed import changed, committed
from course.learn.copies import equipped
from course.notebooks import ROOT, all_notebooks

WORK = ROOT / "work"
RECORD = ".course"
RELEASED = "released"
OUTCOMES = (contract.CORRECT, contract.PARTLY, contract.INCORRECT, contract.MISSING)


class Unreadable(Exception):
    """A file that is no notebook; the message says in one line what is wrong with it."""


def read(path):
    """The notebook in a file; raises Unreadable."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from None
    if not content.strip():
        raise Unreadable("the file is empty")
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("the file is no text: it is damaged, or something else than a notebook") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the file is no notebook, or was cut off: {error}") from None
    if not isinstance(found, dict) or "nbformat" not in found:
        raise Unreadable("the file is no notebook: it has no nbformat")
    if found["nbformat"] != 4:
        raise Unreadable(f"the notebook has nbformat {found['nbformat']}; allowed is 4")
    cells = found.get("cells")
    known = isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)
    if not known or not all({"cell_type", "source", "metadata"} <= cell.keys() for cell in cells):
        raise Unreadable("the notebook is damaged: its cells are not there or not whole")
    try:
        return nbformat.reads(content.decode("utf-8-sig"), as_version=4)
    except Exception as error:
        raise Unreadable(f"the notebook is damaged: {str(error).splitlines()[0]}") from None


def record_folder():
    """The folder `.course` that belongs to the notebook at hand: the nearest one above it, or WORK's."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / RECORD).is_dir():
            return folder / RECORD
    return WORK / RECORD


@functools.cache
def pristine(number, record):
    """The copy with this number as it was released; made from the course's own where none was kept.

    record: the folder `.course` of the copies. Raises ValueError where the course has no such notebook.
    """
    for path in sorted(record.glob(f"{RELEASED}/*/{number}_*.ipynb")):
        with contextlib.suppress(Unreadable):
            return read(path)
    known = {path.name[:2]: path for path in all_notebooks()}
    if number not in known:
        raise ValueError(f"exercise: no notebook has the number {number!r}; allowed are {' '.join(known)}")
    return equipped(contract.student_copy(nbformat.read(known[number], 4)))


@functools.cache
def solutions(number):
    """{exercise: source of the reference's answer} of the course's own notebook, {} where it has none.

    As it is committed, where somebody has worked in the source.
    """
    for path in all_notebooks():
        with contextlib.suppress(Unreadable, ValueError):
            if path.name[:2] == number:
                book = (committed(path) if changed([path]) else None) or read(path)
                return {
                    one.id: one.source for one in contract.exercises(book) if contract.BEGIN in one.source
                }
    return {}


def points_file(number, record):
    """Where the points of a notebook are remembered."""
    return record / "points" / f"{number}.json"


def remembered(number, record):
    """{exercise: [points, outcome]} of a notebook; what is not of this form counts as not remembered."""
    try:
        found = json.loads(points_file(number, record).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    rows = found.items() if isinstance(found, dict) else ()
    return {name: row for name, row in rows if isinstance(row, list) and len(row) == 2
            and isinstance(row[0], (int, float)) and row[1] in OUTCOMES}  # fmt: skip


def remember(exercise, points, outcome, record):
    """Keep the points of an exercise beside the copies; a read-only folder costs only that."""
    number = exercise.partition(".")[0]
    path, kept = points_file(number, record), remembered(number, record)
    if outcome == contract.MISSING and exercise in kept:
        return  # not run since the kernel started is no worse than before
    kept[exercise] = [points, outcome]
    with contextlib.suppress(OSError):
        write(path, json.dumps(kept, indent=1, sort_keys=True) + "\n")


def write(path, text):
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.write_bytes(text.encode())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)

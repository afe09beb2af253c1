"""Where a student's copies live: the copy as it was released, and what is remembered beside it.

A folder of copies (`work/`, or what an instructor hands out) holds `.course/`: the released copies, which
`self_check` compares with, and per notebook the points so far.
"""

import functools
from pathlib import Path

import nbformat

from course import contract
from course.learn.copies import equipped
from course.notebooks import ROOT, all_notebooks

WORK = ROOT / "work"
RECORD = ".course"
RELEASED = "released"


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
    known = {path.name[:2]: path for path in all_notebooks()}
    if number not in known:
        raise ValueError(f"exercise: no notebook has the number {number!r}; allowed are {' '.join(known)}")
    found = sorted(record.glob(f"{RELEASED}/*/{number}_*.ipynb"))
    if found:
        return nbformat.read(found[0], 4)
    return equipped(contract.student_copy(nbformat.read(known[number], 4)))


def points_file(number, record):
    """Where the points of a notebook are remembered."""
    return record / "points" / f"{number}.json"

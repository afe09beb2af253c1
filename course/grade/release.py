"""Write the student copies: make student, or python -m course.grade.release [NUMBER...] [--to FOLDER].

Beside the copies, FOLDER/.course/released holds them as they were given out: `self_check` compares with
these. A copy in which only outputs changed is replaced by a newer one; one that somebody has worked in is
kept without --force. One notebook gives the same bytes every time.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from course import contract
from course.learn.copies import equipped
from course.learn.work import RECORD, RELEASED
from course.notebooks import BUILD, NOTEBOOKS, all_checked

STUDENT = BUILD / "student"
ADDED, UPDATED, CURRENT, KEPT, BEHIND = "added", "updated", "unchanged", "kept", "kept, a newer one is there"


def copy_text(path):
    """The text of a notebook's student copy."""
    book = equipped(contract.student_copy(nbformat.read(path, 4)))
    return nbformat.writes(book, version=4) + "\n"


def release(paths, folder, force=False):
    """Write the student copies of notebooks below a folder; returns {name: what was done}."""
    done = {}
    for path in paths:
        name = Path(path.parent.name, path.name).as_posix()
        target, given = folder / name, folder / RECORD / RELEASED / name
        text = copy_text(path)
        old = given.read_text(encoding="utf-8") if given.exists() else None
        now = target.read_text(encoding="utf-8", errors="replace") if target.exists() else None
        done[name] = what = ADDED if now is None else UPDATED if force else standing(now, text, old)
        if what in (ADDED, UPDATED):
            write(target, text)
        if what in (ADDED, UPDATED, CURRENT):
            write(given, text)
    return done


def standing(now, text, old):
    """How a copy stands to the new text and to the one given out before, which may be None."""
    written, new = sources(now), sources(text)
    if written == new:
        return CURRENT
    before = sources(old) if old else None
    if written == before:
        return UPDATED
    return KEPT if before == new else BEHIND


def sources(text):
    """What is written in a notebook: types and sources of its cells; the text itself where it is none."""
    try:
        return [(cell.cell_type, cell.source) for cell in nbformat.reads(text, as_version=4).cells]
    except Exception:  # a file that is no notebook is somebody's work too
        return text


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def changed_since(path, folder):
    """The exercises of a source notebook that are not those of the copy given out from a folder.

    Whoever works in the source by mistake changes what answers are compared with. [] where nothing was given
    out.
    """
    given = folder / RECORD / RELEASED / path.parent.name / path.name
    if not given.exists():
        return []
    theirs = exercise_cells(nbformat.read(given, 4))
    ours = exercise_cells(nbformat.reads(copy_text(path), as_version=4))
    return sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))


def exercise_cells(book):
    """{exercise id: [(source, what it printed), ...]} of its cell and its visible checks."""
    found = {}
    for cell in book.cells:
        about = contract.course(cell)
        if about:
            name = about.get("for") or about.get("id")
            found.setdefault(name, []).append((cell.source, contract.printed(cell)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", help="notebooks, such as 12 22; all where none is given")
    parser.add_argument("--to", type=Path, default=STUDENT)
    parser.add_argument("--force", action="store_true", help="overwrite copies that were worked in")
    arguments = parser.parse_args()
    known = all_checked()
    paths = [path for path in known if not arguments.numbers or path.name[:2] in arguments.numbers]
    if not paths:
        allowed = " ".join(path.name[:2] for path in known)
        sys.exit(f"NB={' '.join(arguments.numbers)}: no notebook of {NOTEBOOKS.name}/; allowed are {allowed}")
    done = release(paths, arguments.to, arguments.force)
    folder = arguments.to.relative_to(Path.cwd()) if arguments.to.is_relative_to(Path.cwd()) else arguments.to
    kept = [name for name, what in done.items() if what in (KEPT, BEHIND)]
    print(f"{len(done) - len(kept)} student copies in {folder}")
    for name in kept:
        print(f"  kept, because somebody has worked in it: {name} (make student FORCE=1 overwrites it)")


if __name__ == "__main__":
    main()

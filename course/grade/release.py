"""Write the student copies: make student, or python -m course.grade.release [NUMBER...] [--to FOLDER].

Beside the copies, FOLDER/.course/released holds them as they were given out: `self_check` compares with
these. A copy in which only outputs changed is replaced by a newer one; one that somebody has worked in is
kept without --force. One notebook gives the same bytes every time.
"""

import argparse
import json
import sys
from pathlib import Path

import nbformat

from course import contract
from course.learn.committed import changed, committed, differing
from course.learn.copies import equipped
from course.learn.work import RECORD, RELEASED, Unreadable, read, write
from course.notebooks import BUILD, NOTEBOOKS, ROOT, all_checked

STUDENT = BUILD / "student"
LOOKED_UP = ("glossary.md", "references.md")  # beside the copies, because JupyterLab shows nothing above them
ADDED, UPDATED, CURRENT, KEPT, BEHIND = "added", "updated", "unchanged", "kept", "kept, a newer one is there"


def copy_text(book):
    """The text of a notebook's student copy; raises ValueError where its exercises are not whole."""
    return nbformat.writes(equipped(contract.student_copy(book)), version=4) + "\n"


def record_text(text):
    """What is kept of a released copy: all of it but the outputs that nothing is compared with."""
    book = nbformat.reads(text, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code" and "for" not in contract.course(cell):
            cell.outputs = []
    return nbformat.writes(book, version=4) + "\n"


def not_yet_run(text):
    """A student copy whose checks show no output yet: it would look like the student's own."""
    book = nbformat.reads(text, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code" and "for" in contract.course(cell):
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(book, version=4) + "\n"


def student_text(path, edited, safe):
    """(the text of the student copy, or None where there can be none; what has to be said, or "").

    edited: somebody has changed the source since it was committed. safe: what a copy shows (stubs, checks,
    wanted outputs) is then taken as it is committed: a student may have worked in the source by mistake.
    """
    before = committed(source_of(path)) if edited else None
    name = Path(path.parent.name, path.name).as_posix()
    try:
        ours = copy_text(read(path))
    except (Unreadable, ValueError) as error:
        if path != source_of(path) or before is None:
            return None, f"{name}: left out: {error}; git stash puts a source back"
        return copy_text(before), f"{name}: the copy is as committed, for the source is damaged: {error}"
    theirs = copy_text(before) if before else ours
    found = differing(*(nbformat.reads(text, as_version=4) for text in (ours, theirs))) if before else []
    if not found:
        return ours, ""
    said = f"{name}: {', '.join(found)} in {NOTEBOOKS.name}/ differ from what is committed"
    if not safe:
        return ours, f"{said}; they are released as they are now"
    if path != source_of(path):  # what is committed has no outputs of the sample
        return None, f"{said}; left out: git stash puts the source back, then make all NB={path.name[:2]}"
    return theirs, f"{said}; the copy is as committed. git stash puts the source back and keeps your text"


def source_of(path):
    """The notebook in notebooks/ that a path stands for, which may be its executed copy in build/."""
    return NOTEBOOKS / path.relative_to(BUILD) if path.is_relative_to(BUILD) else path


def release(paths, folder, force=False, safe=False):
    """Write the student copies of notebooks below a folder.

    Returns ({name: what was done}, [what has to be said]). safe: as `student_text` says;
    then the copies are for whoever calls, and what is compared with stands in RECORD alone.
    """
    done, said = {}, []
    edited = set(changed([source_of(path) for path in paths]))
    for path in paths:
        name = Path(path.parent.name, path.name).as_posix()
        target, given = folder / name, folder / RECORD / RELEASED / name
        text, note = student_text(path, source_of(path) in edited, safe)
        said += [note] if note else []
        if text is None:
            continue
        old = given.read_text(encoding="utf-8", errors="replace") if given.exists() else None
        now = target.read_text(encoding="utf-8", errors="replace") if target.exists() else None
        done[name] = what = ADDED if now is None else UPDATED if force else standing(now, text, old)
        if what in (ADDED, UPDATED):
            write(target, not_yet_run(text) if safe else text)
        if what in (ADDED, UPDATED, CURRENT):
            write(given, record_text(text))
    for name in LOOKED_UP if done else ():
        write(folder / name, looked_up(name))
    return done, said


def looked_up(name):
    """A page of LOOKED_UP for JupyterLab, which knows no lists of definitions."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8").replace("\n: ", ": ")


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
        return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    except Exception:  # a file that is no notebook is somebody's work too
        return text


def changed_since(path, folder):
    """The exercises of a source notebook that are not those of the copy given out from a folder.

    [] where nothing was given out, or nothing that can be read.
    """
    try:
        given = read(folder / RECORD / RELEASED / path.parent.name / path.name)
        return differing(given, nbformat.reads(copy_text(read(path)), as_version=4))
    except (Unreadable, ValueError):
        return []


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
    done, said = release(paths, arguments.to, arguments.force)
    folder = arguments.to.relative_to(Path.cwd()) if arguments.to.is_relative_to(Path.cwd()) else arguments.to
    kept = [name for name, what in done.items() if what in (KEPT, BEHIND)]
    print(f"{len(done) - len(kept)} student copies in {folder}")
    for line in said:
        print(f"  {line}")
    for name in kept:
        print(f"  kept, because somebody has worked in it: {name} (make student FORCE=1 overwrites it)")


if __name__ == "__main__":
    main()

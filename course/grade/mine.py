"""Tell a student how their own copy of a notebook stands: make grade-mine NB=22 [FILE=my copy.ipynb].

Looks in work/ and build/student unless a file is named. The reference is the notebook of this number in
notebooks/ as it is committed, on the sample the executed one in build/; where that is a student copy itself
(a release without solutions), only the visible checks are known.
"""

import sys
import time
from pathlib import Path

import nbformat

from course import contract
from course.grade import batch, report, submission
from course.grade.release import STUDENT, changed_since, source_of, sources
from course.learn import verdict
from course.learn.committed import changed, committed, differing
from course.learn.work import RECORD, RELEASED, WORK, Unreadable, read
from course.notebooks import ROOT, find_checked

BACK = "git stash puts that file back and keeps your text"
EITHER = "put the file back if it was edited; if the course is newer, rename your copy and make learn"


def lines(rows):
    """What to print: per exercise its outcome, and for each failed check its message."""
    for row in rows:
        share = f"{row['points']:g} of {row['possible']:g}"
        yield f"{row['exercise']:6} {contract.MARKS[row['outcome']]} {row['outcome']:14} {share}"
        if row["note"]:
            yield f"         {row['note']}"
        for check in row["checks"]:
            for said in report.remarks(check):
                yield f"         {'(hidden check) ' if check['hidden'] else ''}{said}"
            if check["expected"]:
                told = [verdict.differs(check["expected"], check["got"])]
                told += verdict.beside(check["expected"], check["got"])
                yield from (f"         {line}" for line in told if line)


def own_copy(number, given):
    """(the student's file, its sisters that are not looked at); SystemExit says where it was looked for.

    A file in which somebody has written comes first; then the one of the name that was given out, not one
    that JupyterLab calls `-Copy1`.
    """
    if given:
        if not Path(given).is_file():
            raise SystemExit(f"FILE={given}: there is no such file")
        return Path(given), []
    name = find_checked(number).name
    for folder in (WORK, STUDENT):
        order = lambda path, folder=folder: (untouched(path, name, folder), path.name != name, path.name)
        found = sorted(folder.glob(f"*/{number}_*.ipynb"), key=order)
        if found:
            return found[0], found[1:]
    raise SystemExit(f"NB={number}: no copy in work/ or build/student; run make learn, or give FILE=")


def untouched(path, name, folder):
    """Whether nobody has written in a copy since it was given out from a folder."""
    given = folder / RECORD / RELEASED / path.parent.name / name
    return given.exists() and sources(given.read_text("utf-8")) == sources(path.read_text("utf-8", "replace"))


def reference(number):
    """(the notebook to compare with, what has to be said about it); SystemExit where there is none.

    Whoever works in notebooks/ by mistake changes what answers are compared with: then what is committed is
    taken. A copy that is older than the course is compared with the newer text.
    """
    path = find_checked(number)
    source = source_of(path)
    before = committed(source) if changed([source]) else None
    try:
        now = read(path)
        contract.exercises(now)
        found = differing(now, before, hidden=True) if before else []
        wrong = f"{', '.join(found)} differ from what is committed" if found else ""
    except (Unreadable, ValueError) as error:
        wrong = str(error)
    if wrong and before and path == source:
        return before, [f"{named(source)}: {wrong}, which is taken here; {BACK}"]
    if wrong:
        raise SystemExit(f"{named(path)}: {wrong}; {BACK}")
    older = sorted({one for folder in (WORK, STUDENT) for one in changed_since(path, folder)})
    if older and committed(source) is None:  # no git here that could tell which of the two is new
        raise SystemExit(f"{named(path)}: {', '.join(older)} not as in your copy: {EITHER}")
    return now, [f"the course is newer than your copy: {', '.join(older)} changed since"] if older else []


def named(path):
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def ago(seconds):
    """A span of time in the words of somebody who just saved."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' * (number > 1)} ago"
    return "just now"


def advice(status, rows):
    """What to do next."""
    if status == "other notebook":
        return "Is this the file of another lesson? FILE=... says which one is checked."
    if status != "graded":
        return (
            "Open the file in JupyterLab and save it again (Ctrl+S); for a new one, rename it and make learn."
        )
    order = (contract.PARTLY, contract.INCORRECT, contract.MISSING)
    open_ones = [row for row in rows if row["outcome"] in order]
    if not open_ones:
        return "All is correct. Hand in this file; start.ipynb has the next lesson."
    attempted = [row for row in open_ones if row["outcome"] != contract.MISSING]
    row = (attempted or open_ones)[0]
    what = "mend" if attempted else "answer"
    return f"Next: {what} {row['exercise']}, run its cell, save (Ctrl+S), and run this again."


def in_turn(content, book, limits):
    """Grade one exercise after another and print each as it comes; returns (status, rows)."""
    reference, rows, told = nbformat.writes(book, version=4).encode(), [], set()
    for exercise in contract.exercises(book):
        result = submission.grade(content, reference, limits, only=(exercise.id,))
        status = result["status"]
        notes = [note for note in result["notes"] if note not in told]
        told.update(notes)
        if status in ("unreadable", "other notebook"):
            print("\n".join([status, *notes]))
            return status, rows
        print("\n".join([*notes, *lines(result["exercises"])]), flush=True)
        rows += result["exercises"]
    return status, rows


def main():
    number = sys.argv[1]
    book, said = reference(number)
    if not contract.exercises(book):
        sys.exit(f"NB={number}: this lesson has no exercises")
    path, others = own_copy(number, sys.argv[2] if len(sys.argv) > 2 else None)
    print(f"checking {named(path)}, saved {ago(time.time() - path.stat().st_mtime)} ...", flush=True)
    for other in others:
        said.append(f"not looked at: {other.name} (FILE={named(other)} checks it)")
    print("\n".join(said), end="\n" * bool(said), flush=True)
    limits = {**(batch.remembered(find_checked(number).stem) or {}), "lean": True}
    status, rows = in_turn(path.read_bytes(), book, limits)
    points, possible = (sum(row[key] for row in rows) for key in ("points", "possible"))
    print(f"{points:g} of {possible:g} points. " * bool(rows) + advice(status, rows))
    if not any(check.hidden for exercise in contract.exercises(book) for check in exercise.checks):
        print("Only the visible checks are known here; the grader has more.")


if __name__ == "__main__":
    main()

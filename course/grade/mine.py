"""Tell a student how their own copy of a notebook stands: make grade-mine NB=22 [FILE=my copy.ipynb].

Looks in work/ and build/student unless a file is named. The reference is the notebook of this number in
notebooks/, on the sample the executed one in build/; where that is a student copy itself (a release
without solutions), only the visible checks are known.
"""

import sys
from pathlib import Path

import nbformat

from course import contract
from course.grade import batch, report, submission
from course.grade.release import STUDENT, changed_since
from course.learn.work import WORK
from course.notebooks import ROOT, find, find_checked


def lines(result):
    """What to print: per exercise its outcome, and for each failed check its message."""
    for row in result["exercises"]:
        share = f"{row['points']:g} of {row['possible']:g}"
        yield f"{row['exercise']:6} {contract.MARKS[row['outcome']]} {row['outcome']:14} {share}"
        if row["note"]:
            yield f"         {row['note']}"
        for check in row["checks"]:
            for said in report.remarks(check):
                yield f"         {'(hidden check) ' if check['hidden'] else ''}{said}"
            if check["expected"]:
                text = report.difference(check["expected"], check["got"])
                yield from (f"           {line}" for line in text.splitlines())


def own_copy(number, given):
    """The student's file; raises SystemExit that says where it was looked for."""
    if given:
        if not Path(given).is_file():
            raise SystemExit(f"FILE={given}: there is no such file")
        return Path(given)
    found = [path for folder in (WORK, STUDENT) for path in sorted(folder.glob(f"*/{number}_*.ipynb"))]
    if not found:
        raise SystemExit(f"NB={number}: no copy in work/ or build/student; run make learn, or give FILE=")
    return found[0]


def refuse_changed(number):
    """Raise SystemExit where the source is not what was given out: somebody has worked in it by mistake."""
    source = find(number)
    for folder in (WORK, STUDENT):
        if changed := changed_since(source, folder):
            what = f"{', '.join(changed)} differ from {folder.relative_to(ROOT)}/"
            where = f"{source.relative_to(ROOT)}: {what}"
            raise SystemExit(f"{where}; git stash puts the source back, make learn updates copies")


def main():
    number = sys.argv[1]
    refuse_changed(number)
    reference = find_checked(number)
    path = own_copy(number, sys.argv[2] if len(sys.argv) > 2 else None)
    content = reference.read_bytes()
    print(f"checking {path.name} ...", flush=True)
    limits = batch.remembered(reference.stem) or submission.Limits()
    result = submission.grade(path.read_bytes(), content, limits)
    if result["status"] != "graded":
        print(result["status"])
    print("\n".join([*result["notes"], *lines(result)]))
    print(f"{result['points']:g} of {result['possible']:g} points")
    book = nbformat.reads(content.decode(), as_version=4)
    if not any(check.hidden for exercise in contract.exercises(book) for check in exercise.checks):
        print("Only the visible checks are known here; the grader has more.")


if __name__ == "__main__":
    main()

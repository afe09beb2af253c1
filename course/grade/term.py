"""Play a term through: make term. Release, thirty synthetic submissions, grading, grades.csv.

Works in build/term and leaves everything there to look at: the student copies, the submissions, the reports.
The class answers one notebook (12 unless --notebook says otherwise): fourteen students are right, eight
partly, eight hostile or helpless. At the end the points are compared with what each student should have got.
"""

import argparse
import json
import os
import shutil
import sys

import nbformat

from course import contract
from course.grade import batch, release, report
from course.notebooks import BUILD, find_checked

TERM = BUILD / "term"
HOSTILE = {
    "loops": "while True:\n    pass",
    "exits": "import os\nos._exit(0)",
    "allocates": "huge = bytearray(10 * 2**30)",
    "forks": "import os, time\nfor _ in range(1000):\n    if os.fork() == 0:\n        time.sleep(60)",
    "overwrites": "import builtins, numpy\nnumpy.allclose = lambda *a: True\nbuiltins.print = lambda *a: 0",
    "floods": "print('x' * 50_000_000)\nraise ValueError('x' * 50_000_000)",
}


def answered(reference, sources):
    """The text of a student copy with these {exercise id: source}."""
    book = contract.student_copy(reference)
    for cell in book.cells:
        cell.source = sources.get(contract.course(cell).get("id"), cell.source)
    return json.dumps(book)


def synthetic(reference):
    """{student: (text of the notebook, points expected)}: thirty of them."""
    exercises = contract.exercises(reference)
    right = {one.id: contract.SOLUTION.sub(lambda found: plain(found[0]), one.source) for one in exercises}
    full = sum(one.points for one in exercises)
    students = {f"right {number:02d}": (answered(reference, right), full) for number in range(1, 15)}
    for number in range(1, 9):  # the first exercises only
        kept = exercises[: 1 + number % (len(exercises) - 1)]
        text = answered(reference, {one.id: right[one.id] for one in kept})
        students[f"partly {number:02d}"] = text, sum(one.points for one in kept)
    first = exercises[0]
    for name, source in HOSTILE.items():  # everything right but the first, which does its worst
        students[f"hostile {name}"] = answered(reference, {**right, first.id: source}), full - first.points
    students["helpless broken file"] = answered(reference, right)[:-60], 0
    students["helpless empty file"] = "", 0
    return students


def plain(block):
    """A solution without its markers."""
    marks = (contract.BEGIN, contract.END)
    return "\n".join(line for line in block.splitlines() if line.strip() not in marks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", "--jobs", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--notebook", default="12")
    arguments = parser.parse_args()
    path = find_checked(arguments.notebook)
    shutil.rmtree(TERM, ignore_errors=True)
    done, _ = release.release([path], TERM / "student")
    print(f"released {' '.join(done)}")
    expected = {}
    for name, (text, points) in synthetic(nbformat.read(path, 4)).items():
        target = TERM / "submissions" / name / path.name
        target.parent.mkdir(parents=True)
        target.write_text(text, encoding="utf-8")
        expected[name] = points
    print(f"collected {len(expected)} submissions, grading with {arguments.jobs} at a time", flush=True)
    reports = TERM / "reports"
    students, seconds = batch.grade_class(
        TERM / "submissions", reports, [arguments.notebook], arguments.jobs, paths=[path]
    )
    wrong = 0
    for name, results in students.items():
        points, possible = report.total(results)
        status = ", ".join({result["status"] for result in results.values()})
        wrong += points != expected[name]
        remark = "" if points == expected[name] else f"   EXPECTED {expected[name]:g}"
        print(f"  {name:22} {points:4g} of {possible:g}  {status}{remark}")
    count = sum(len(results) for results in students.values())
    print(f"{count} submissions in {seconds:.0f} s: {60 * count / seconds:.1f} per minute")
    print(f"grades: {(reports / 'grades.csv').relative_to(BUILD.parent)}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

"""Play a term through: make term. Release, more than eighty synthetic submissions, grading, tables.

Works in build/term and leaves everything there to look at: the student copies, the submissions, the reports.
The class (course.grade.synthetic) answers one notebook, 12 unless --notebook says otherwise. At the end the
points are compared with what each student should have got.
"""

import argparse
import math
import os
import shutil
import sys

import nbformat

from course import machine
from course.grade import batch, release, report, synthetic
from course.notebooks import BUILD, find_checked

TERM = BUILD / "term"


def hand_in(folder, files):
    """Write one student's files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if content is None:
            os.mkfifo(folder / name)
        elif isinstance(content, str):
            (folder / name).symlink_to(content)
        else:
            (folder / name).write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", "--jobs", type=batch.count, default=machine.cores())
    parser.add_argument("--notebook", default="12")
    arguments = parser.parse_args()
    path = find_checked(arguments.notebook)
    shutil.rmtree(TERM, ignore_errors=True)
    done, _ = release.release([path], TERM / "student")
    print(f"released {' '.join(done)}")
    students = synthetic.of(nbformat.read(path, 4))
    for name, (files, _) in students.items():
        hand_in(TERM / "submissions" / name, files)
    print(f"collected {len(students)} submissions, grading with {arguments.jobs} at a time", flush=True)
    options = batch.Options(notebooks=(arguments.notebook,), jobs=arguments.jobs)
    graded, seconds, _ = batch.grade_class(TERM / "submissions", TERM / "reports", options, paths=[path])
    wrong = 0
    for name, (_, expected) in students.items():
        results = graded.get(name, {})  # nobody may be missing
        points, possible = report.total(results) if results else (math.nan, math.nan)
        status = ", ".join({result["status"] for result in results.values()})
        wrong += points != expected
        remark = "" if points == expected else f"   EXPECTED {expected:g}"
        print(f"  {report.readable(name):40} {points:4g} of {possible:g}  {status}{remark}")
    print(f"{len(graded)} submissions in {seconds:.0f} s: {60 * len(graded) / seconds:.1f} per minute")
    print(f"{wrong or 'none'} with other points than they should have")
    print(f"grades: {(TERM / 'reports' / 'grades.csv').relative_to(BUILD.parent)}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

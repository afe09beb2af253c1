"""Run nbval over notebooks and pytest over the tests: make test, make unit, make check NB=22.

The stored outputs are those of the real data. Where a notebook's data are the sample, its executed copy takes
their place: it is brought up to date first, and nbval runs it once more and compares. With the tests, nbval
takes two thirds of what `make all` has just executed as it is (course.check.recorded).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys

from course import machine
from course.check import comparison
from course.check.recorded import recorded_runs
from course.commands import NBVAL
from course.notebooks import BUILD, NOTEBOOKS, ROOT, all_notebooks, checked, find
from course.run import all as executing

CHECKED = BUILD / "checked"  # the notebooks that did not pass, as they came out


def notebooks(numbers, jobs):
    """The paths to check: in notebooks/, or for a notebook whose data are the sample its executed copy."""
    wanted = [find(number) for number in numbers] or all_notebooks()
    copies = [path for path in wanted if checked(path) != path]
    if copies and executing.run(copies, [], jobs):
        sys.exit(130)  # stopped by a signal
    return [checked(path) for path in wanted if checked(path).exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, help="so many at once; without it tests take every core")
    parser.add_argument("--tests", action="store_true", help="the project's tests")
    parser.add_argument(
        "--notebooks", nargs="*", default=None, metavar="NUMBER", help="nbval on these, or on all"
    )
    parser.add_argument("--verbose", action="store_true", help="a line for every cell")
    arguments = parser.parse_args()
    command, several = [sys.executable, "-m", "pytest", "-v" if arguments.verbose else "-q"], arguments.tests
    if several:
        workers = arguments.jobs or machine.cores()
        command += ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    threads = machine.within(machine.idle())
    environment = {**machine.EVERYWHERE, **threads, **os.environ, "COURSE_CHECKED": str(CHECKED)}
    if arguments.notebooks is not None:
        paths = notebooks(arguments.notebooks, arguments.jobs or 1)
        command += [*NBVAL, *(str(path.relative_to(ROOT)) for path in paths)]
        if several and not arguments.notebooks:
            recorded = recorded_runs([path for path in paths if path.is_relative_to(NOTEBOOKS)])
            print(f"nbval: {len(recorded)} notebooks as make all has just executed them, "
                  f"{len(paths) - len(recorded)} executed now", flush=True)  # fmt: skip
            environment["COURSE_RECORDED"] = json.dumps({str(key): str(run) for key, run in recorded.items()})
    if arguments.tests:
        command.append("tests")
    shutil.rmtree(CHECKED, ignore_errors=True)
    environment |= machine.counts(1) if several else {}  # many processes at once, one core each
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    if code and CHECKED.exists():  # notebooks that gave something else than what is stored
        found = sorted(path.relative_to(CHECKED) for path in CHECKED.rglob("*.ipynb"))
        if ours := [path for path in found if (NOTEBOOKS / path).exists()]:  # tests have some of their own
            comparison.write(NOTEBOOKS, CHECKED, ours)
    sys.exit(code)


if __name__ == "__main__":
    main()

"""Run nbval over notebooks and pytest over the tests: make test, make unit, make check NB=22.

The stored outputs are those of the real data. Where a notebook's data are the sample, its executed copy takes
their place: it is brought up to date first, and nbval runs it once more and compares.
"""

import argparse
import os
import subprocess
import sys

from course.commands import NBVAL
from course.notebooks import ROOT, all_notebooks, checked, find
from course.run import all as executing

# many processes at once: one thread each, or they wait for each other
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def notebooks(numbers, jobs):
    """The paths to check: in notebooks/, or for a notebook whose data are the sample its executed copy."""
    wanted = [find(number) for number in numbers] or all_notebooks()
    copies = [path for path in wanted if checked(path) != path]
    if copies:
        executing.run(copies, [], jobs)
    return [checked(path) for path in wanted if checked(path).exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tests", action="store_true", help="the project's tests")
    parser.add_argument(
        "--notebooks", nargs="*", default=None, metavar="NUMBER", help="nbval on these, or on all"
    )
    parser.add_argument("--verbose", action="store_true", help="a line for every cell")
    arguments = parser.parse_args()
    command, several = [sys.executable, "-m", "pytest", "-v" if arguments.verbose else "-q"], arguments.tests
    if several:
        workers = max(arguments.jobs, os.cpu_count() or 1)
        command += ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    if arguments.notebooks is not None:
        command += [
            *NBVAL,
            *(str(path.relative_to(ROOT)) for path in notebooks(arguments.notebooks, arguments.jobs)),
        ]
    if arguments.tests:
        command.append("tests")
    environment = {**os.environ, **(dict.fromkeys(THREADS, "1") if several else {})}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment).returncode)


if __name__ == "__main__":
    main()

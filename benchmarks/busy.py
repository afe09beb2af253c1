"""Seconds of a notebook on a quiet machine, and beside as many computing neighbours as there are cores.

The neighbours have the same priority. Threads that wait for each other by spinning show here: they cost
many times their share. NOTEBOOKS=25,36 chooses others than the one in each series that computes most.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from course.notebooks import ROOT, find

NEIGHBOUR = "while True: pass"


def run():
    rows = []
    for number in os.environ.get("NOTEBOOKS", "17,25,27,36").split(","):
        quiet = seconds(number)
        with neighbours(os.cpu_count() or 1):
            busy = seconds(number)
        rows.append({"notebook": number, "quiet s": quiet, "busy s": busy, "times": round(busy / quiet, 1)})
    return rows


def seconds(number):
    """How long papermill takes for a notebook in a process of its own; RuntimeError where that fails."""
    path = find(number)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, path.name)
        command = [sys.executable, "-m", "course.run.execute", str(path), str(target)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{path.name}: {done.stdout[-300:]}{done.stderr[-300:]}")
        return nbformat.read(target, 4).metadata["run"]["seconds"]


@contextlib.contextmanager
def neighbours(count):
    """So many processes that do nothing but compute.

    Each in a session of its own, as those of other people and terminals are: Linux shares the cores among
    sessions first, and a kernel has one, so that neighbours in a common one would leave it a core to itself.
    """
    command = [sys.executable, "-c", NEIGHBOUR]
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()

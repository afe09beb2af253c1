"""A pytest plug-in: nbval with the course's comparison (course.check.compare), `-p course.check.tolerance`.

nbval compares strings; with this plug-in it compares as the course does, figures by their description too.
It also notices a dead kernel within a second (nbval alone waits for the whole timeout), starts the notebooks
with the largest time budget first, and makes kernels import the `helpers` of the folder they stand in.
"""

import json
import math
import os
import time
from pathlib import Path
from queue import Empty

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from course.check.compare import BadTolerance, agree, rules_of
from course.check.recorded import RecordedKernel
from course.notebooks import ROOT

os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


RECORDED = json.loads(os.environ.get("COURSE_RECORDED", "{}"))  # {notebook: executed copy to compare with it}


class TolerantText(str):
    """A string whose equality is `agree`; nbval puts the reference on the left."""

    __hash__ = str.__hash__

    def __new__(cls, text, rules):
        self = super().__new__(cls, text)
        self.rules = rules
        return self

    def __eq__(self, other):
        return agree(self, other, self.rules) if isinstance(other, str) else NotImplemented

    def __ne__(self, other):
        return not self == other if isinstance(other, str) else NotImplemented


def pytest_itemcollected(item):
    """Make the cell's sanitized outputs tolerant."""
    if isinstance(item, IPyNbCell):
        try:
            rules, sanitize = rules_of(item.cell.metadata), item.sanitize
        except BadTolerance as error:
            raise pytest.UsageError(f"cell {item.cell.get('id')}: {error}") from None

        def tolerant(value):
            value = sanitize(value)
            if isinstance(value, dict):  # a figure's description
                value = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
            return TolerantText(value, rules) if isinstance(value, str) else value

        item.sanitize = tolerant
        if str(item.parent.path) in RECORDED:
            item.parent.setup = lambda book=item.parent: read_out(book)


def read_out(book):
    """What nbval does before a notebook's first cell, with a recorded run in place of a kernel."""
    book.kernel = RecordedKernel(RECORDED[str(book.path)])
    book.setup_sanitize_files()


GOT = {}  # {notebook: {cell id: (outputs, whether the cell passed)}}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what each cell gave, so that a page can show it beside what is stored."""
    outcome = yield
    if isinstance(item, IPyNbCell) and call.when == "call":
        passed = outcome.get_result().outcome == "passed"
        GOT.setdefault(item.parent.path, {})[item.cell.get("id")] = (item.test_outputs or [], passed)


def pytest_sessionfinish():
    """Write the notebooks with a failed cell, as they came out, where COURSE_CHECKED says."""
    if not os.environ.get("COURSE_CHECKED"):
        return
    for path, cells in GOT.items():
        if all(passed for _, passed in cells.values()):
            continue
        book = nbformat.read(path, 4)
        for cell in book.cells:
            if cell.cell_type == "code" and cell.id in cells:
                cell.outputs = [nbformat.from_dict(output) for output in cells[cell.id][0]]
        target = Path(os.environ["COURSE_CHECKED"], path.parent.name, path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, target)


def pytest_collection_modifyitems(items):
    """Start the notebooks with the largest time budget first: no worker ends long after the others."""

    def budget(item):
        if not isinstance(item, IPyNbCell):
            return 0
        return -item.parent.nb.metadata.get("budget", {}).get("seconds", 60)

    items.sort(key=budget)


REDRAWN = ("clear_output", "update_display_data")  # nbval passes these over, so it would compare what is gone


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item):
    """Wait for a kernel's messages in slices of a second; stop when it is dead or an output is redrawn."""
    if not isinstance(item.parent, IPyNbFile):
        return
    kernel, wait = item.parent.kernel, item.parent.kernel.get_message
    kernel.compares = "nbval-ignore-output" not in item.cell.metadata.get("tags", [])  # else it may redraw
    if hasattr(kernel, "fails_when_dead"):
        return

    def get_message(stream, timeout=None):
        end = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            remaining = end - time.monotonic()
            try:
                message = wait(stream, timeout=max(0, min(1, remaining)))
                kind = message["msg_type"]
                if kind in REDRAWN and kernel.compares:
                    raise RuntimeError(f"{kind}: an output is redrawn; show its last state once")
                return message
            except Empty:
                if not kernel.is_alive():
                    raise RuntimeError("the kernel died while it ran this cell") from None
                if remaining <= 0:
                    raise

    kernel.get_message, kernel.fails_when_dead = get_message, True

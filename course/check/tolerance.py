"""A pytest plug-in that gives nbval's comparison of outputs a numeric tolerance.

nbval compares strings. With `-p course.check.tolerance` words and integers must still match, and a float may
differ by one unit of the last digit that the notebook stores. A cell widens that with its metadata, such as
`tolerance: {"rtol": 0.05, "atol": 0}`, for training on other hardware. Runs of blanks count as one, because
tables are aligned to the width of their numbers.

The plug-in also notices a dead kernel within a second (nbval alone waits for the whole cell timeout) and
starts the notebooks with the largest time budget first.
"""

import math
import re
import time
from queue import Empty

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

# A number is not part of a word (fire9), of a version (1.2.3) or of an address (0x7f). Without a point and an
# exponent it is an integer, and integers are compared as words.
NUMBER = re.compile(r"(?<![\w.])[-+]?(?>\d+\.\d*|\.\d+|\d+)(?>[eE][-+]?\d+)?(?!\w|\.\d)")


def split_numbers(text):
    """Split a text into its words (blanks collapsed, floats replaced by a mark) and its floats."""
    floats = []

    def mark(match):
        if re.fullmatch(r"[-+]?\d+", match[0]):
            return match[0]
        floats.append(match[0])
        return "\0"

    return " ".join(NUMBER.sub(mark, text).split()), floats


def last_unit(number):
    """One unit of the last digit that is written: 0.01 for '3.14', 1e-7 for '1.23e-05'."""
    mantissa, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def agree(reference, text, rtol=0.0, atol=0.0):
    """Whether a text says the same as the reference, floats within one unit of the reference's last digit."""
    words, floats = split_numbers(reference)
    other_words, other_floats = split_numbers(text)
    if words != other_words:
        return False
    for expected, found in zip(floats, other_floats, strict=True):
        allowed = max(last_unit(expected), atol + rtol * abs(float(expected)))
        # the products above are rounded, so one unit must not fail by a rounding error of its own
        if not math.isclose(float(expected), float(found), rel_tol=1e-12, abs_tol=allowed * (1 + 1e-6)):
            return False
    return True


class TolerantText(str):
    """A string whose equality is `agree`; nbval puts the reference on the left."""

    __hash__ = str.__hash__

    def __new__(cls, text, tolerance):
        self = super().__new__(cls, text)
        self.tolerance = tolerance
        return self

    def __eq__(self, other):
        return agree(self, other, **self.tolerance) if isinstance(other, str) else NotImplemented

    def __ne__(self, other):
        return not self == other if isinstance(other, str) else NotImplemented


def checked_tolerance(cell):
    """The cell's tolerance metadata, or an error that names what is allowed."""
    tolerance = cell.metadata.get("tolerance", {})
    good = (
        isinstance(tolerance, dict)
        and set(tolerance) <= {"rtol", "atol"}
        and all(isinstance(value, (int, float)) and 0 <= value < math.inf for value in tolerance.values())
    )
    if not good:
        raise pytest.UsageError(
            f"tolerance: {tolerance!r} in cell {cell.get('id')} is not allowed; "
            "give {'rtol': number >= 0, 'atol': number >= 0}"
        )
    return dict(tolerance)


def pytest_itemcollected(item):
    """Make the cell's sanitized outputs tolerant."""
    if isinstance(item, IPyNbCell):
        tolerance, sanitize = checked_tolerance(item.cell), item.sanitize

        def tolerant(value):
            value = sanitize(value)
            return TolerantText(value, tolerance) if isinstance(value, str) else value

        item.sanitize = tolerant


def pytest_collection_modifyitems(items):
    """Start the notebooks with the largest time budget first: no worker ends long after the others."""

    def budget(item):
        if not isinstance(item, IPyNbCell):
            return 0
        return -item.parent.nb.metadata.get("budget", {}).get("seconds", 60)

    items.sort(key=budget)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item):
    """Wait for a kernel's messages in slices of a second and stop when it is dead."""
    if not isinstance(item.parent, IPyNbFile) or hasattr(item.parent.kernel, "fails_when_dead"):
        return
    kernel, wait = item.parent.kernel, item.parent.kernel.get_message

    def get_message(stream, timeout=None):
        end = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            remaining = end - time.monotonic()
            try:
                return wait(stream, timeout=max(0, min(1, remaining)))
            except Empty:
                if not kernel.is_alive():
                    raise RuntimeError("the kernel died while it ran this cell") from None
                if remaining <= 0:
                    raise

    kernel.get_message, kernel.fails_when_dead = get_message, True

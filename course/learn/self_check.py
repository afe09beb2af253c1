"""The answer to an attempt, in the notebook itself: `self_check("12.1")` below an exercise.

It runs the visible checks as they were released, on the functions that stand in the kernel, and compares what
they print with what is wanted, by the comparison that the grader uses. Nothing leaves the machine, nothing in
the notebook is changed.
"""

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from IPython import get_ipython
from IPython.display import display

from course import contract
from course.learn import history, verdict
from course.learn.judge import SECONDS, judged
from course.learn.odd import Saved
from course.learn.work import Unreadable, pristine, read, record_folder, remember, remembered, solutions

# a kernel of another environment finds the course by PYTHONPATH too, but not what every lesson needs
if missing := [name for name in ("matplotlib", "numpy", "scipy", "torch") if find_spec(name) is None]:
    raise ImportError(f"this kernel lacks {', '.join(missing)}")

BEGUN = """\
{exercise}: checking ... If this line stays for more than {seconds} seconds, your code hangs in a library: \
choose Kernel, Restart Kernel, then look at your loop."""


def briefly(shell, kind, error, trace, tb_offset=None):
    """Tell an exercise without an answer in one line; every other error as ever."""
    if str(error).endswith(contract.UNTOUCHED):
        print(f"{error}; write your answer where it says YOUR CODE HERE", file=sys.stderr)
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


if shell := get_ipython():
    history.watch(shell)
    shell.set_custom_exc((NotImplementedError,), briefly)


class UnknownExercise(ValueError):
    """A number that the course does not have; a notebook shows the message alone."""

    def _render_traceback_(self):
        return [str(self)]


def self_check(exercise):
    """Say how the answer to an exercise stands: correct, partly, incorrect or not attempted.

    exercise: its number, "12.1". Shows the verdict, and per failed check the message and what was wanted
    beside what came. A notebook's number alone, "12", shows the points so far, as found last.
    Raises UnknownExercise for a number that the course does not have.
    """
    exercise = str(exercise).strip()
    number, record = exercise.partition(".")[0], record_folder()
    try:
        book = pristine(number, record)
    except ValueError as error:
        raise UnknownExercise(str(error)) from None
    if number == exercise:
        rows = verdict.standing(book, remembered(number, record))
        display(both(verdict.standing_text(rows), verdict.standing_page(rows)), raw=True)
        return
    known = {one.id: one for one in contract.exercises(book)}
    if exercise not in known:
        raise UnknownExercise(
            f"exercise: {exercise!r} is not in this notebook; allowed are {' '.join(known)}"
        )
    begun = BEGUN.format(exercise=exercise, seconds=SECONDS)
    shown = display(both(begun, f"<p>{begun}</p>"), raw=True, display_id=True)
    sys.stdout.flush()  # in a kernel this waits until the line has left
    solution = solutions(number).get(exercise, "")
    found = judged(book, known[exercise], user_namespace(), saved_notebook(), solution)
    if not found["stale"]:
        remember(exercise, found["points"], found["outcome"], record)
    answer = both(verdict.text(found), verdict.page(found))
    shown.update(answer, raw=True) if shell else display(answer, raw=True)


def user_namespace():
    """The variables of the notebook."""
    return get_ipython().user_ns


def saved_notebook():
    """The notebook that this kernel belongs to, as it was saved last; None where that cannot be known."""
    path = Path.cwd() / Path(os.environ.get("JPY_SESSION_NAME", "")).name
    with contextlib.suppress(Unreadable, OSError):
        return Saved(read(path), path.stat().st_mtime) if path.suffix == ".ipynb" else None
    return None


def both(text, page):
    """Plain text and the same as a page; a viewer takes what it can."""
    return {"text/plain": text, "text/html": page}

"""The answer to an attempt, in the notebook itself: `self_check("12.1")` below an exercise.

It runs the visible checks as they were released, on the functions that stand in the kernel, and compares what
they print with what is wanted, by the comparison that the grader uses. Nothing leaves the machine, nothing in
the notebook is changed.
"""

import _thread
import builtins
import contextlib
import io
import json
import os
import re
import threading
import traceback
from pathlib import Path

import nbformat
from IPython import get_ipython
from IPython.display import display

from course import contract
from course.check import compare
from course.learn import verdict
from course.learn.work import points_file, pristine, record_folder

SECONDS = 20  # after these a check is stopped: there is a loop that does not end
RAN = {}  # {cell id: source} of the cells that ran in this kernel


def note_cell(info):
    """Before a cell runs: remember what is in it, because the saved file may be older."""
    if info.cell_id:
        RAN[info.cell_id] = info.raw_cell


if shell := get_ipython():
    shell.events.register("pre_run_cell", note_cell)


class Discarded(io.TextIOBase):
    """Takes what a student's function prints, which counts for nothing."""

    def writable(self):
        return True

    def write(self, text):
        return len(text)


def self_check(exercise):
    """Say how the answer to an exercise stands: correct, partly, incorrect or not attempted.

    exercise: its number as text, "12.1". Shows the verdict, and per failed check the message and what was
    wanted beside what came. A notebook's number alone, "12", shows the points so far, as found last.
    Raises ValueError for a number that the course does not have.
    """
    number, record = str(exercise).partition(".")[0], record_folder()
    book = pristine(number, record)
    if number == str(exercise):
        rows = verdict.standing(book, remembered(number, record))
        return show(verdict.standing_text(rows), verdict.standing_page(rows))
    known = {one.id: one for one in contract.exercises(book)}
    if exercise not in known:
        raise ValueError(f"exercise: {exercise!r} is not in this notebook; allowed are {' '.join(known)}")
    saved = saved_notebook()
    found = judged(book, known[exercise], user_namespace(), saved)
    remember(exercise, found, record)
    show(verdict.text(found), verdict.page(found))


def judged(book, exercise, namespace, saved):
    """How an exercise stands: {exercise, outcome, points, possible, checks, notes, hidden}."""
    cells = {cell.id: cell for cell in book.cells}
    visible = [check for check in exercise.checks if not check.hidden]
    missing = [name for name in sorted(set(contract.defined(exercise.source))) if name not in namespace]
    checks = []
    surroundings = dict(namespace)  # one for all checks: a later one may use what an earlier one sets
    for check in visible:
        if missing:
            result = contract.Verdict(False, unfinished=True)
        else:
            result = run(cells[check.cell], surroundings, saved)
        checks.append({"points": check.points, "message": check.message, "verdict": result})
    points = sum(check["points"] for check in checks if check["verdict"].passed)
    possible = sum(check["points"] for check in checks)
    said = notes(book, exercise, missing, saved)
    if checks and all(check["verdict"].unfinished for check in checks):
        renamed = any(note.startswith("the exercise asks for") for note in said)
        outcome = contract.INCORRECT if renamed else contract.MISSING
    elif points == possible:
        outcome = contract.CORRECT
    else:
        outcome = contract.PARTLY if points else contract.INCORRECT
    return {
        "exercise": exercise.id,
        "outcome": outcome,
        "points": points,
        "possible": possible,
        "checks": checks,
        "notes": said,
        "hidden": contract.course(cells[exercise.cell]).get("hidden", []),
    }


def run(cell, namespace, saved):
    """Run one check cell in a copy of the notebook's namespace; returns a contract.Verdict.

    Only what the check itself prints counts: its `print` is another one than that of the functions it calls.
    """
    printed = io.StringIO()

    def to_check(*values, **options):
        print(*values, **{**options, "file": options.get("file") or printed})

    namespace.update({"print": to_check, "__builtins__": builtins})
    late = threading.Event()
    timer = threading.Timer(SECONDS, lambda: (late.set(), _thread.interrupt_main()))
    timer.daemon = True
    expected = contract.printed(cell)
    try:
        timer.start()
        with contextlib.redirect_stdout(Discarded()), contextlib.redirect_stderr(Discarded()):
            exec(compile(cell.source, f"<{cell.id}>", "exec"), namespace)
    except NotImplementedError as error:
        unfinished = str(error).endswith(contract.UNTOUCHED)
        return contract.Verdict(False, "" if unfinished else explained(error, saved), unfinished=unfinished)
    except KeyboardInterrupt:
        after = f"it was still running after {SECONDS} seconds: is there a loop that does not end?"
        return contract.Verdict(False, after if late.is_set() else "you stopped it")
    except BaseException as error:
        return contract.Verdict(False, explained(error, saved))
    finally:
        timer.cancel()
    passed = compare.agree(expected, printed.getvalue(), compare.rules_of(cell.metadata))
    return contract.Verdict(passed, "", expected, printed.getvalue())


def explained(error, saved):
    """What an exception says, in one line: where in the student's code, and what to do about a NameError."""
    said = f"{type(error).__name__}: {str(error)[:300]}" if str(error) else type(error).__name__
    if isinstance(error, NameError) and getattr(error, "name", None):
        return f"{said}. {whereabouts(error.name, saved)}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipykernel" in frame.filename]
    where = f", in line {own[-1].lineno} of its cell: {own[-1].line}" if own and own[-1].line else ""
    return said + where


def whereabouts(name, saved):
    """Where a missing name is defined in the notebook as it is saved."""
    code = [cell for cell in saved.cells if cell.cell_type == "code"] if saved else []
    if any(re.search(rf"^(?:import|from) .*\b{re.escape(name)}\b", cell.source, re.M) for cell in code):
        return f"A cell of this notebook imports {name} and has not been run since the kernel started: run it"
    for place, cell in enumerate(code, 1):
        if name in contract.defined(cell.source):
            return f"Code cell {place} defines {name} and has not been run since the kernel started: run it"
    return f"No cell of the saved notebook defines {name}: is it spelt right?"


def notes(book, exercise, missing, saved):
    """What is odd about the copy: a renamed function, a changed or lost check, two cells for one answer."""
    own = {cell.get("id"): cell for cell in saved.cells} if saved else {}
    said = []
    if missing:
        names = ", ".join(missing)
        written = RAN.get(exercise.cell) or own.get(exercise.cell, {}).get("source", "")
        others = contract.defined(written)
        here = set(others) & set(missing)
        said.append(f"{names}: not defined here yet; run your exercise's cell first" if here or not others
                    else f"the exercise asks for {names}; your cell defines {', '.join(others)}")  # fmt: skip
    if saved is None:
        return said
    note = contract.answers(book, saved)[exercise.id].note
    said += [note] if note else []
    for cell in book.cells:
        if contract.course(cell).get("for") == exercise.id:
            now = own.get(cell.id)
            if now is None or not contract.same_code(now.source, cell.source):
                state = "is missing in" if now is None else "was changed in"
                said.append(f"a check {state} your copy; the released one was run: {cell.source.strip()}")
    return said


def user_namespace():
    """The variables of the notebook."""
    return get_ipython().user_ns


def saved_notebook():
    """The notebook that this kernel belongs to, as it was saved last; None where that cannot be known."""
    name = os.environ.get("JPY_SESSION_NAME", "")
    path = Path.cwd() / Path(name).name
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return nbformat.read(path, 4) if path.suffix == ".ipynb" else None
    return None


def remember(exercise, found, record):
    """Keep the points of an exercise beside the copies; a read-only folder costs only that."""
    number = exercise.partition(".")[0]
    path, kept = points_file(number, record), remembered(number, record)
    if found["outcome"] == contract.MISSING and exercise in kept:
        return  # not run since the kernel started is no worse than before
    kept[exercise] = [found["points"], found["outcome"]]
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        new.replace(path)


def remembered(number, record):
    """{exercise: [points, outcome]} of a notebook, {} where nothing is remembered or can be read."""
    try:
        found = json.loads(points_file(number, record).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def show(text, page):
    """Show plain text and the same as a page; a viewer takes what it can."""
    display({"text/plain": text, "text/html": page}, raw=True)

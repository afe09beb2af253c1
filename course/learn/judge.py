"""How an exercise stands with what is in the kernel: its visible checks, run as they were released."""

import builtins
import contextlib
import io
import time
import traceback
from unittest import mock

from IPython import get_ipython

from course import contract
from course.check import compare
from course.grade import slicing
from course.grade.conform import WrongForm
from course.grade.remote import overwrite
from course.learn import odd
from course.learn.forms import as_graded
from course.learn.stopping import OutOfTime, within

CHANGES = "{name} changes what it is given, which others may use: begin with a copy of it."
SECONDS = 20  # for all checks of one exercise; the slowest of the course's solutions takes one


def no_exit():
    raise SystemExit("quit() and exit() end the notebook's kernel: leave them out")


def undisturbed():
    """While this lasts, an answer neither waits for a person nor ends the kernel that it runs in."""
    held = contextlib.ExitStack()
    held.enter_context(mock.patch.object(builtins, "input", contract.no_input))
    held.enter_context(mock.patch.object(get_ipython() or builtins, "ask_exit", no_exit, create=True))
    return held


class Discarded(io.TextIOBase):
    """Takes what a student's function prints, which counts for nothing."""

    def writable(self):
        return True

    def write(self, text):
        return len(text)


def judged(book, exercise, namespace, saved, solution=""):
    """How an exercise stands: exercise, outcome, points, possible, checks, notes, hidden, stale, ran, advice.

    saved: the notebook as it was saved last, a `odd.Saved` or None. stale: why the verdict is about
    another source than the one that stands in the cell, "" where it is not; ran: the number of the run that
    it is about, "" if unknown. solution: the source of the reference's answer, "" where it is not known.
    advice: a key of verdict.NEXT.
    """
    cells = {cell.id: cell for cell in book.cells}
    asked = names_asked(book, exercise)
    missing = set(asked) - namespace.keys()
    surroundings = dict(namespace)  # one for all checks: a later one may use what an earlier one sets
    end = time.monotonic() + SECONDS
    changed, checks = [], []
    form = lambda: surroundings.update(as_graded(set(asked) - missing, namespace, solution, changed))
    failed = attempted(form, end, saved)
    for check in (one for one in exercise.checks if not one.hidden):
        if missing & slicing.names(cells[check.cell].source).loads:
            result = contract.Verdict(False, unfinished=True)
        else:
            result = failed or run(cells[check.cell], surroundings, saved, end)
        checks.append({"points": check.points, "message": check.message, "verdict": result})
    notes = [CHANGES.format(name=name) for name in undone(changed)]
    points = sum(check["points"] for check in checks if check["verdict"].passed)
    possible = sum(check["points"] for check in checks)
    said = odd.about(book, exercise, namespace, saved, asked, checks)
    outcome = outcome_of(checks, said.tried)
    mends_itself = outcome in (contract.PARTLY, contract.INCORRECT)  # the messages say what to do
    return {
        "exercise": exercise.id,
        "outcome": outcome,
        "points": points,
        "possible": possible,
        "checks": checks,
        "notes": said.notes + notes,
        "stale": said.stale,
        "ran": said.ran,
        "advice": "stale" if said.stale else outcome if mends_itself else said.advice or outcome,
        "hidden": contract.course(cells[exercise.cell]).get("hidden", []),
    }


def undone(changed):
    """The names of functions that changed their arguments, which are now again what they were."""
    for _, argument, was in reversed(changed):
        with contextlib.suppress(Exception):
            overwrite(argument, was)
    return sorted({name for name, *_ in changed} - {""})


def outcome_of(checks, tried):
    """The outcome of [{points, verdict}]; tried: whether an answer that defines nothing asked was one."""
    if checks and all(check["verdict"].unfinished for check in checks):
        return contract.INCORRECT if tried else contract.MISSING
    if all(check["verdict"].passed or not check["points"] for check in checks):
        return contract.CORRECT
    earned = any(check["verdict"].passed and check["points"] for check in checks)
    return contract.PARTLY if earned else contract.INCORRECT


def names_asked(book, exercise):
    """What an answer has to define: what its cell begins, and what its checks take that no cell gives."""
    given = set().union(
        *(slicing.names(cell.source).binds for cell in book.cells if cell.cell_type == "code")
    )
    checks = {check.cell for check in exercise.checks}
    taken = set().union(*(slicing.names(cell.source).loads for cell in book.cells if cell.id in checks))
    return sorted({*contract.defined(exercise.source), *(taken - given - set(dir(builtins)))})


def run(cell, namespace, saved, end):
    """Run one check cell in a copy of the notebook's namespace until `end`; returns a contract.Verdict.

    Only what the check itself prints counts: its `print` is another one than that of the functions it calls.
    """
    printed = io.StringIO()

    def to_check(*values, **options):
        print(*values, **{**options, "file": options.get("file") or printed})

    namespace.update({"print": to_check, "__builtins__": builtins})
    code = compile(cell.source, f"<{cell.id}>", "exec")
    if failed := attempted(lambda: exec(code, namespace), end, saved):
        return failed
    expected = contract.printed(cell)
    passed = compare.agree(expected, printed.getvalue(), compare.rules_of(cell.metadata))
    return contract.Verdict(passed, "", expected, printed.getvalue())


def attempted(work, end, saved):
    """Do work until `end`, with nothing shown; returns the Verdict on what it raised, None if nothing."""
    late = f"stopped after {SECONDS:g} seconds for this exercise: is there a loop that does not end?"
    left = end - time.monotonic()
    if left <= 0:
        return contract.Verdict(False, late)
    try:
        with contextlib.redirect_stdout(Discarded()), contextlib.redirect_stderr(Discarded()), undisturbed():
            within(left, work)
    except NotImplementedError as error:
        unfinished = str(error).endswith(contract.UNTOUCHED)
        return contract.Verdict(False, "" if unfinished else explained(error, saved), unfinished=unfinished)
    except OutOfTime:
        return contract.Verdict(False, late)
    except KeyboardInterrupt:
        return contract.Verdict(False, "you stopped it")
    except BaseException as error:
        return contract.Verdict(False, explained(error, saved))
    return None


def explained(error, saved):
    """What an exception says, in one line: where in the student's code, and what to do about a NameError."""
    if isinstance(error, WrongForm):  # not raised by the student's code
        return str(error)[:1].upper() + str(error)[1:]
    said = f"{type(error).__name__}: {str(error)[:300]}" if str(error) else type(error).__name__
    if isinstance(error, NameError) and getattr(error, "name", None):
        return f"{said}. {odd.whereabouts(error.name, saved)}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "ipykernel" in frame.filename]
    where = f", in line {own[-1].lineno} of its cell: {own[-1].line}" if own and own[-1].line else ""
    return said + where

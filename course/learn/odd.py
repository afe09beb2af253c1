"""What is odd about a copy, in words: what was not run, what was changed, what the grader would not find."""

import difflib
from dataclasses import dataclass, field

import nbformat
from nbformat import NotebookNode

from course import contract
from course.grade import slicing
from course.learn import history

EDITED = """\
Your cell was changed after it ran at {run}. This verdict is about what ran: run your cell, then this one."""
FAILED = """\
Your cell ended with an error at {last}, before it defined {names}. This verdict is about what ran at {run}: \
mend the error first."""
BELOW = """\
The line `raise NotImplementedError(...)` still stands in your cell, and nothing below it runs: delete that \
line, run the cell again."""
OPEN = """\
Your cell stopped at the line `raise NotImplementedError(...)` that still stands in it: that part is open."""
RENAMED = """\
Your cell defined no {names} when it ran at {last}, and the exercise asks for that name. This verdict is \
about what ran at {run}, which is gone when the kernel restarts."""
CHANGED = """\
{name} is no longer what the lesson made of it: your cell at {run} changed it. Run {again} again, and take \
another name."""


@dataclass(frozen=True)
class Saved:
    """A notebook as it was saved last, and when."""

    book: NotebookNode
    when: float


@dataclass
class Found:
    """What to say; stale and ran: as course.learn.judge tells them.

    tried: an answer was run, and its name is not there; advice: a key of verdict.NEXT, where what to do next
    does not follow from the outcome.
    """

    notes: list = field(default_factory=list)
    stale: str = ""
    ran: str = ""
    tried: bool = False
    advice: str = ""


def about(book, exercise, namespace, saved, asked, checks):
    """The Found about an exercise, whose checks have run. asked: the names that an answer defines."""
    found, missing = Found(), [name for name in asked if name not in namespace]
    latest = history.last(exercise.cell)
    own = {cell.get("id"): cell for cell in saved.book.cells} if saved else {}
    stands = own[exercise.cell].source if exercise.cell in own else None
    written = latest.source if latest else stands or ""
    if missing:
        not_there(found, exercise, missing, written, latest)
    if len(missing) < len(asked):
        where_from(found, exercise, sorted(set(asked) - set(missing)), namespace, latest)
        edited = stands is not None and latest and not contract.same_code(stands, latest.source)
        if edited and saved.when > latest.when:
            found.stale = "not run since you changed it"
            found.notes.append(EDITED.format(run=latest))
    unfinished = any(check["verdict"].unfinished for check in checks)
    if not missing and unfinished and not contract.same_code(written or exercise.source, exercise.source):
        found.notes.append(BELOW)
    if not missing and not unfinished and latest and not latest.good and contract.UNTOUCHED in latest.source:
        found.advice = "open"
        found.notes.append(OPEN)
    if not missing and not unfinished:  # a wrong answer may be right on a changed lesson
        found.notes += overwritten(book, exercise)
    if saved:
        found.notes += handed_in(book, exercise, saved, asked, namespace, found)
        found.notes += changed_checks(book, exercise, own)
    return found


def not_there(found, exercise, missing, written, latest):
    """The exercise's function is not in the kernel: not run, stopped by an error, or under another name."""
    names, others = ", ".join(missing), contract.defined(written)
    if not written or contract.same_code(written, exercise.source):
        if latest is None:
            found.notes.append(f"{names}: not defined here yet; run your exercise's cell first")
    elif latest and not latest.good:
        found.tried = True
        found.notes.append(f"Your cell ended with an error at {latest}, before it defined {names}.")
    elif others and not set(others) & set(missing):
        found.tried = True
        found.notes.append(f"the exercise asks for {names}; your cell defines {', '.join(others)}")
    elif written.lstrip().startswith("%%timeit"):
        found.tried = True
        found.notes.append(f"%%timeit keeps {names} to itself: delete that line, and run the cell again.")
    else:
        found.advice = "not run"
        found.notes.append(f"{names}: your cell has not run since the kernel started.")


def where_from(found, exercise, asked, namespace, latest):
    """Which run the verdict is about, and whether that is the last one of the exercise's cell."""
    sources = {name: run for name in asked if (run := history.origin(name, namespace))}
    if not sources:
        return
    run = max(sources.values(), key=lambda run: run.when)
    found.ran = str(run)
    if run.cell and run.cell != exercise.cell:
        found.notes.append(f"{', '.join(asked)}: taken from a cell of your own, run at {run}")
    elif latest and latest is not run and not contract.same_code(latest.source, run.source):
        found.stale = "not in your cell as it ran last" if latest.good else "your cell ended with an error"
        said = RENAMED if latest.good else FAILED
        found.notes.append(said.format(last=latest, names=", ".join(asked), run=run))


def overwritten(book, exercise):
    """One line per name of the lesson that the checks need and that something else has changed."""
    lesson = {cell.id: cell.source for cell in book.cells if cell.cell_type == "code" and "for" not in
              contract.course(cell) and "exercise" not in contract.tags(cell)}  # fmt: skip
    known = {identifier: slicing.names(source) for identifier, source in lesson.items()}
    cells = {cell.id: cell for cell in book.cells}
    sources = [cells[check.cell].source for check in exercise.checks] + [exercise.source]
    needed = set().union(*(slicing.names(source).loads for source in sources))
    while more := set().union(*(one.later for one in known.values() if one.binds & needed)) - needed:
        needed |= more
    of_lesson = set().union(*(one.binds for one in known.values())) - set(contract.defined(exercise.source))
    for name, run in history.changers(needed & of_lesson, lesson.values()).items():
        home = next(cell for cell in book.cells if cell.id in lesson and name in known[cell.id].binds)
        again = history.called(home.source, history.heading_above(book, home))
        yield CHANGED.format(name=name, run=run, again=again)


def handed_in(book, exercise, saved, asked, namespace, found):
    """What the grader would take from the saved file, where that is something else than what ran."""
    try:
        from course.grade import reading
    except ImportError:  # grading needs what Windows lacks
        return
    content = nbformat.writes(saved.book, version=4).encode()
    given = reading.answers(content, book)["given"][exercise.id]
    if given["note"]:
        yield given["note"]
    runs = list(filter(None, (history.origin(name, namespace) for name in asked)))
    if not runs or found.stale or saved.when <= runs[0].when:
        return
    if contract.same_code(runs[0].source, exercise.source):  # as it was given out
        return
    run, readings = runs[0], given["readings"]
    holding = next((parts for parts in readings if any(run.source.strip() in part for part in parts)), None)
    if not readings:
        lost = ["In the saved file no cell has an answer to this exercise."]
    elif holding is None:
        begins = history.called(readings[0][-1])
        lost = [f"This verdict is about what ran at {run}; in the saved file another one counts: {begins}."]
    else:
        lost = list(lost_helpers(book, run, holding, namespace))
    found.advice = "lost" if lost else found.advice
    yield from lost


def lost_helpers(book, run, parts, namespace):
    """What an answer uses and a cell gave that is not in the file any more, or only changed."""
    lesson = [cell.source for cell in book.cells if cell.cell_type == "code"]
    for name in sorted(slicing.names(run.source).loads):
        helper = history.origin(name, namespace)
        if helper and not any(helper.source.strip() in part for part in (*parts, *lesson)):
            yield f"{name} comes from what ran at {helper}; the saved file has no such cell and will miss it."


def changed_checks(book, exercise, own):
    """Checks that were edited or deleted; the released ones were run in any case."""
    for cell in book.cells:
        if contract.course(cell).get("for") == exercise.id:
            now = own.get(cell.id)
            if now is None or not contract.same_code(now.source, cell.source):
                state = "is missing in" if now is None else "was changed in"
                yield f"a check {state} your copy; the released one was run: {cell.source.strip()}"


def whereabouts(name, saved):
    """What to do about a missing name: which cell to run, or which other name may be meant."""
    code = [cell for cell in saved.book.cells if cell.cell_type == "code"] if saved else []
    imports, known = {}, set()
    for cell in code:
        imported, defined = history.imported(cell.source), history.names_of(cell.source)
        imports.update(imported)
        known |= defined
        if name not in defined:
            continue
        where = history.called(cell.source, history.heading_above(saved.book, cell))
        what = f"it {'imports' if name in imported else 'defines'} {name} and"
        ran = history.last(cell.id)
        if ran is None or not contract.same_code(ran.source, cell.source):
            return f"Run {where}: {what} has not been run since the kernel started"
        return f"Run {where} again: {what} {'was undone since' if ran.good else 'ended with an error'}"
    short = next((short for short, what in imports.items() if what == name), None)
    meant = [short] if short else difflib.get_close_matches(name, known, 1)
    if meant:
        return f"Is {meant[0]} meant?"
    return f"No cell of the saved notebook defines {name}: is it spelt right?"

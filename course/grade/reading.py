"""Find the answers in what a student handed in: parsed in a process with limits, because anybody wrote it.

Everything that works in JupyterLab counts. An answer is a cell that claims an exercise by its id or metadata,
whatever its type is now, or any other cell that defines what the exercise asks for; what it uses is looked up
in the student's other cells. Where several readings are possible all of them come back, and grading takes
the one that earns most.
"""

import atexit
import contextlib
import functools
import io
import json
import math
import re
import signal
import socket
import sys
import threading
import time
import zipfile
import zlib

from nbformat import NotebookNode

from course import contract
from course.grade import lesson, pair, plan, sandbox, slicing
from course.grade.likely import (
    BUILTINS,
    asked_values,
    candidates,
    claimed,
    imported,
    names,
    pruned,
    readings,
    wanted,
)  # fmt: skip
from course.grade.wire import hand, receive, send
from course.learn import copies

LARGEST_NOTEBOOK, LONGEST_CELL, MOST_CELLS = 64 * 2**20, 100_000, 5_000
TOO_LONG = "a cell of"
SECONDS, MEMORY = 20, 1500
MOST_ZIPPED = 2_000  # in a zip


CHECKED = re.compile(r"^[ \t]*self_check\([ \t]*['\"]?(\d\d(?:\.\d+)?)['\"]?[ \t]*\)", re.MULTILINE)


class Unreadable(Exception):
    """A submission that is no notebook."""


def read_cells(content):
    """The cells of a notebook of any format, as far as grading looks at them; raises Unreadable."""
    if not content.strip():
        raise Unreadable("the file is empty, or no ordinary file")
    if len(content) > LARGEST_NOTEBOOK:
        raise Unreadable(f"the file has more than {LARGEST_NOTEBOOK >> 20} MB")
    try:
        book = json.loads(decoded(content))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the file is not a notebook: {type(error).__name__}: {str(error)[:200]}") from None
    sheets = book.get("worksheets") if isinstance(book, dict) else None
    holders = [book, *(sheets if isinstance(sheets, list) else [])]
    found = [holder["cells"] for holder in holders if isinstance(holder, dict) and "cells" in holder]
    if not found or not all(isinstance(cells, list) for cells in found):
        raise Unreadable("the file is not a notebook: it has no cells")
    if (count := sum(map(len, found))) > MOST_CELLS:
        raise Unreadable(f"the file has {count} cells; allowed are {MOST_CELLS}")
    return [read_cell(cell) for part in found for cell in part if isinstance(cell, dict)]


def decoded(content):
    """The text of a file: UTF-8, or what an editor may have made of it."""
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_cell(cell):
    source = cell.get("source", cell.get("input", ""))
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    source = source if len(source) <= LONGEST_CELL else f"# {TOO_LONG} {len(source)} characters is not read"
    metadata = cell.get("metadata")
    return NotebookNode({
        "cell_type": cell.get("cell_type"),
        "id": cell.get("id"),
        "metadata": metadata if isinstance(metadata, dict) else {},
        "source": source.encode("utf-8", "replace").decode(),  # JSON may hold half of a surrogate pair
    })  # fmt: skip


def exercise_ids(content):
    """The exercises that a notebook claims to answer; [] of a file that is none."""
    try:
        cells = read_cells(content)
    except Unreadable:
        return []
    return [name for name in map(claimed, cells) if name] or checked_in(cells)


def checked_in(cells):
    """The exercises that calls of self_check name: they tell where ids and metadata are both lost."""
    return [name for cell in cells for name in CHECKED.findall(cell.source)]


def answers(content, reference):
    """{status, notes, defined, used, given: {exercise: {note, readings: [[source, ...], ...]}}}.

    defined, used: names that the student's cells bind, and that the readings need.
    A reading is the sources of cells that are run one after another; the last of them is the answer.
    """
    exercises = contract.exercises(reference)
    result = {"status": "graded", "notes": [], "given": {}, "used": set()}
    try:
        cells = read_cells(content)
    except Unreadable as error:
        result.update(status="unreadable", notes=[str(error)])
        cells = []
    code = [cell for cell in cells if cell.cell_type == "code" or claimed(cell)]
    code = [NotebookNode({**cell, "cell_type": "code"}) for cell in code]
    cut = [re.fullmatch(f"# ({TOO_LONG} \\d+ characters is not read)", cell.source) for cell in code]
    result["notes"] += [found[1] for found in cut if found]
    own = own_cells(code, reference, exercises)
    result["notes"] += newer_syntax(own, content)
    first = contract.answers(reference, NotebookNode(cells=code))
    lesson_cells = [cell.source for cell in reference.cells if not contract.course(cell)]
    lesson_names = BUILTINS.union(*(names(source).binds for source in lesson_cells))
    asked_by = {one.id: set(contract.defined(one.source)) for one in exercises}
    for one in exercises:
        asked, last = wanted(one, reference), bool(asked_values(one, reference))
        found = candidates(one, first[one.id], own, asked_by, last)
        elsewhere = found and not first[one.id].attempted
        note = "the answer stands in another cell" if elsewhere else first[one.id].note
        result["given"][one.id] = {"note": note, "readings": readings(found, own, lesson_names, asked)}
        used = [names(part) for each in result["given"][one.id]["readings"] for part in pruned(each, asked)]
        result["used"] |= set().union(*(part.loads for part in used))
    claims, given = {*map(claimed, cells), *checked_in(cells)}, result["given"].values()
    nothing = not claims & set(first) and not any(one["readings"] for one in given)
    if result["status"] == "graded" and nothing:
        result.update(status="other notebook", notes=["no exercise of this notebook is in the file"])
    defined = set().union(*(names(cell.source).binds for cell in code))
    theirs = set().union(*(names(cell.source).binds for cell in own))  # not asked of the lesson any more
    used = result["used"] - theirs | loaded_again(result["given"].values(), lesson_cells)
    return {**result, "used": sorted(used), "defined": sorted(defined)}


def loaded_again(given, lesson_cells):
    """Names that the lesson imports from packages that the likeliest answers import as well.

    With them the package is there before the copies are made: each would need the time for it anew.
    """
    first = [source for one in given for reading in one["readings"][:1] for source in reading]
    packages = {package for source in first for _, package in imported(source)}
    packages -= sys.stdlib_module_names
    return {name for source in lesson_cells for name, package in imported(source) if package in packages}


def newer_syntax(cells, content):
    """A note on cells that this Python cannot compile, where the notebook was written with a newer one."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        version = json.loads(decoded(content))["metadata"]["language_info"]["version"]
        written = tuple(map(int, re.match(r"(\d)\.(\d{1,2})", version).groups()))
        newer = written > sys.version_info[:2]
        if lost := newer and sum(not slicing.compiles(cell.source) for cell in cells):
            theirs, here = (f"{one[0]}.{one[1]}" for one in (written, sys.version_info))
            return [f"cells that do not compile with Python {here}, which grades here: {lost}; the notebook "
                    f"was written with {theirs}; if they are in its syntax, grade with it"]  # fmt: skip
    return []


def own_cells(code, reference, exercises):
    """The cells that a student wrote or changed: no check, no cell of the lesson or of the copy, no stub."""
    lesson = [cell.source for cell in reference.cells if "exercise" not in contract.tags(cell)]
    known = [copies.START, *(contract.stub(one.source, one.id) for one in exercises), *lesson]
    return [cell for cell in code if is_own(cell, known)]


def is_own(cell, known):
    """Whether a cell is none of the known sources and no call of self_check."""
    called = CHECKED.fullmatch(cell.source.strip())
    return not called and not any(contract.same_code(cell.source, source) for source in known)


def hidden(name):
    """Whether a path leads to what no student wrote: JupyterLab's checkpoints, what macOS adds."""
    parts = [part for part in re.split(r"[\\/]", name) if part not in (".", "..")]
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def unzipped(content, connection, left=None, deep=True):
    """Send name and content of each notebook in a zip, and in a zip in it; returns whether a limit ended it.

    left: [bytes, files] that may still come out of it, those of inner zips and of what is in them together.
    What is no notebook, or hidden, costs nothing: a .git or .venv beside the work must not crowd it out.
    """
    left = [LARGEST_NOTEBOOK, MOST_ZIPPED] if left is None else left
    with contextlib.suppress(zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
        file = zipfile.ZipFile(io.BytesIO(content))
        for info in file.infolist():
            name, inner = info.filename, info.filename.lower().endswith(".zip")
            wanted = deep if inner else re.search(r"\.ipynb(\.txt|\.json)?$", name, re.IGNORECASE)
            if not wanted or hidden(name):
                continue
            left[1] -= 1
            if min(left) <= 0:
                return True
            with file.open(info) as part:
                found = part.read(left[0])
            left[0] -= len(found)
            if inner:
                unzipped(found, connection, left, deep=False)
            else:
                send(connection, json.dumps(name[:500]).encode())
                send(connection, found)
    return min(left) <= 0


# the process with limits, and the way to it


def work(message, sockets):
    """Answer one question in a copy of this process."""
    job = json.loads(message)
    lesson.limit_memory(MEMORY)
    lesson.limit_time(SECONDS)  # whatever a busy machine may add to the seconds below
    signal.alarm(job["seconds"])
    content = receive(sockets[0])
    if job["what"] == "files":
        found = unzipped(content, sockets[0])
    elif job["what"] == "exercises":
        found = exercise_ids(content)
    else:
        found = answers(content, plan.opened(job["reference"].encode()))
    send(sockets[0], json.dumps(found).encode())


def prepare(message):
    """Look at the reference before the copy is made: all later copies know it. It is the grader's own."""
    if reference := json.loads(message)["reference"]:
        known(reference)


@functools.lru_cache(maxsize=32)
def known(reference):
    """Analyse the cells of a reference, which `names` and `opened` remember."""
    with contextlib.suppress(ValueError):
        book = plan.opened(reference.encode())
        answers(reference.encode(), book)


def main():
    control = socket.socket(fileno=int(sys.argv[-1]))
    receive(control)
    lesson.quiet()
    lesson.copies(control, work, prepare)


LOCK = threading.Lock()


@functools.cache
def side():
    """The warm process that reads."""
    found = pair.Side("course.grade.reading", [], sandbox.available())
    atexit.register(found.close)
    return found


def connection(message):
    """A socket to a copy of the process that reads; a process that is gone is started again."""
    near, far = socket.socketpair()
    with far, LOCK:
        try:
            hand(side().control, message, [far])
        except OSError:
            side.cache_clear()
            hand(side().control, message, [far])
    return near


def asked(what, content, reference=b"", seconds=SECONDS):
    """Yield the messages of the answer to one question; raises Unreadable where reading takes too much."""
    seconds = math.ceil(seconds * plan.crowding())
    end = time.monotonic() + seconds + 5
    job = {"what": what, "seconds": seconds, "reference": reference.decode()}
    with connection(json.dumps(job).encode()) as near:
        near.settimeout(seconds)
        try:
            send(near, content)
            while True:
                yield receive(near, end)
        except (OSError, EOFError):
            raise Unreadable("reading the file takes more time or memory than a notebook may") from None


def one(what, content, reference=b""):
    """The only message of an answer; asked twice, because a process may have been ended by the machine."""
    begin = time.monotonic()
    try:
        return json.loads(next(asked(what, content, reference)))
    except Unreadable:
        if time.monotonic() - begin > SECONDS * plan.crowding():
            raise
        return json.loads(next(asked(what, content, reference)))


def read(content, reference):
    """What `answers` finds, or that the file cannot be read."""
    try:
        return one("answers", content, reference)
    except Unreadable as error:
        book = plan.opened(reference)
        given = {one.id: {"note": "", "readings": []} for one in contract.exercises(book)}
        return {"status": "unreadable", "notes": [str(error)], "defined": [], "used": [], "given": given}


def claims(content):
    """What `exercise_ids` finds."""
    try:
        return one("exercises", content)
    except Unreadable:
        return []


def files(content, seconds=60):
    """([(name, content)] of the notebooks in a zip, whether a limit left some out); raises Unreadable."""
    found, messages = [], asked("files", content, seconds=seconds)
    while isinstance(name := json.loads(next(messages)), str):
        found.append((name, next(messages)))
    return found, name


if __name__ == "__main__":
    main()

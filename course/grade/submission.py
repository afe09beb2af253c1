"""Grade one submitted notebook: find its answers, have each examined by a pair of processes, count points.

`grade` takes and returns plain data, so that it runs as well in a thread here as on a worker elsewhere. The
student's code runs in course.grade.student alone, the checks in course.grade.checker; see course.grade.pair.
"""

import builtins
import functools
import hashlib
import json
import time
from dataclasses import asdict, dataclass

import nbformat
from nbformat import NotebookNode

from course import contract
from course.grade import pair, plan, sandbox, slicing

LARGEST_NOTEBOOK = 64 * 2**20
SHOWN = 4_000


@dataclass(frozen=True)
class Limits:
    """What one run may use. seconds: for one check; memory in MB: of one process, and of all together."""

    seconds: float = 30
    run_seconds: float = 900
    memory: int = 4000
    run_memory: int = 6000
    disk: int = 300
    isolated: bool = True  # use namespaces where the machine has them
    whole: bool = False  # run every cell, not only those that the checks need


class Unreadable(Exception):
    """A submission that is no notebook."""


def read_cells(content):
    """The cells of a notebook of any format, as far as grading looks at them; raises Unreadable."""
    if not content.strip():
        raise Unreadable("the file is empty, or no ordinary file")
    if len(content) > LARGEST_NOTEBOOK:
        raise Unreadable(f"the file has {len(content) / 2**20:.0f} MB; allowed are {LARGEST_NOTEBOOK >> 20}")
    try:
        book = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the file is not a notebook: {type(error).__name__}: {str(error)[:200]}") from None
    sheets = book.get("worksheets") if isinstance(book, dict) else None
    holders = [book, *(sheets if isinstance(sheets, list) else [])]
    found = [holder["cells"] for holder in holders if isinstance(holder, dict) and "cells" in holder]
    if not found or not all(isinstance(cells, list) for cells in found):
        raise Unreadable("the file is not a notebook: it has no cells")
    cells = []
    for cell in (cell for part in found for cell in part if isinstance(cell, dict)):
        source = cell.get("source", cell.get("input", ""))
        source = "".join(map(str, source)) if isinstance(source, list) else str(source)
        metadata = cell.get("metadata")
        cells.append({
            "cell_type": cell.get("cell_type"),
            "id": cell.get("id"),
            "metadata": metadata if isinstance(metadata, dict) else {},
            "source": source.encode("utf-8", "replace").decode(),  # JSON may hold half of a surrogate pair
        })  # fmt: skip
    return NotebookNode(cells=[NotebookNode(cell) for cell in cells])


def exercise_ids(cells):
    """The exercise ids that a submission's cells claim, by cell id or metadata."""
    for cell in cells:
        identifier = contract.course(cell).get("id")
        if str(cell.get("id")).startswith("exercise-"):
            yield str(cell["id"]).removeprefix("exercise-").replace("-", ".")
        elif isinstance(identifier, str):
            yield identifier


def earlier(exercise, attempted, given):
    """The exercises above whose answers this answer uses: students may build on what they wrote before."""
    chosen, wanted = [], slicing.names(given[exercise.id].source).loads
    for one in reversed(attempted[: attempted.index(exercise)]):
        names = slicing.names(given[one.id].source)
        if names.binds & wanted:
            chosen.insert(0, one)
            wanted = (wanted - names.binds) | names.loads
    return chosen


def verdict(record, check, book):
    """The Verdict on one check from its record; of a hidden check no more than the kind of error."""
    if record["passed"]:
        return contract.Verdict(True)
    cell = next(cell for cell in book.cells if cell.get("id") == check.cell)
    error, text = record["error"], record["text"]
    unfinished = error == "NotImplementedError" and text.endswith(contract.UNTOUCHED)
    if error in ("", "AssertionError"):
        detail = ""
    elif check.hidden:
        known = isinstance(getattr(builtins, error, None), type)
        detail = f"raised {error if known else 'an exception'}"
    else:
        detail = f"raised {error}: {text}"[:500]
    if check.hidden or error:
        return contract.Verdict(False, detail, unfinished=unfinished)
    expected = "".join(output.get("text", "") for output in cell.outputs if output.get("name") != "stderr")
    return contract.Verdict(False, detail, expected[:SHOWN], record["got"][:2000])


def opened(content, reference, result):
    """The submitted notebook, an empty one where it cannot be read; what is wrong goes into the result."""
    try:
        submission = read_cells(content)
    except Unreadable as error:
        result["status"] = "unreadable"
        result["notes"].append(str(error))
        return NotebookNode(cells=[])
    expected = {exercise.id for exercise in contract.exercises(reference)}
    if not expected & set(exercise_ids(submission.cells)):
        result["status"] = "other notebook"
        result["notes"].append("no exercise of this notebook is in the file")
    return submission


def grade(content, reference, limits=None):
    """Grade the bytes of a submitted notebook against those of the reference; returns plain data.

    The result has status "graded", "unreadable" (no notebook), "other notebook" (no exercise of this one) or
    "not graded" (a side of grading failed or was killed twice: look at it), and points.
    """
    limits = limits if isinstance(limits, Limits) else Limits(**(limits or {}))
    begin = time.monotonic()
    book = nbformat.reads(reference.decode(), as_version=4)
    result = {"status": "graded", "notes": [], "seconds": 0.0, "cells": []}
    given = contract.answers(book, opened(content, book, result))
    checks = {check.cell: check for one in contract.exercises(book) for check in one.checks}
    verdicts = {}
    if any(answer.attempted for answer in given.values()):
        records = examined(book, reference, given, limits, result)
        verdicts = {one["check"]: verdict(one, checks[one["check"]], book) for one in records}
        result["cells"] = [{"cell": one["check"], "seconds": one["seconds"]} for one in records]
    result.update(contract.score(book, given, verdicts))
    result["seconds"] = round(time.monotonic() - begin, 1)
    result["isolation"] = "namespaces" if limits.isolated and sandbox.available() else "limits only"
    return result


@functools.lru_cache(maxsize=32)
def lesson_names(reference):
    return plan.lesson_names(nbformat.reads(reference.decode(), as_version=4))


def examined(book, reference, given, limits, result):
    """The records of all checks of the attempted exercises; what went wrong here goes into the result."""
    attempted = [exercise for exercise in contract.exercises(book) if given[exercise.id].attempted]
    used = set().union(*(slicing.names(given[one.id].source).loads for one in attempted))
    bound, kept = lesson_names(reference)
    extra = () if limits.whole else tuple(sorted(used & (bound - kept)))
    key = (hashlib.sha256(reference).hexdigest(), limits.whole, limits.isolated, extra)
    for trial in (1, 2):
        records, end = [], time.monotonic() + limits.run_seconds
        try:
            make = lambda: pair.Pair(book, limits.whole, limits.isolated, limits.run_seconds, extra)
            with pair.borrowed(key, make) as both:
                for exercise in attempted:
                    if time.monotonic() > end:
                        result["notes"].append(f"stopped after {limits.run_seconds:g} seconds")
                        break
                    cells = [given[one.id].source for one in earlier(exercise, attempted, given)]
                    found, killed = both.examine(exercise.id, [*cells, given[exercise.id].source], limits)
                    records += found
                    if killed:
                        result["status"] = "not graded"
                        note = f"exercise {exercise.id}: its process was killed twice; look at it"
                        result["notes"].append(note)
            return records
        except pair.Broken as error:
            if trial == 2:
                result["status"] = "not graded"
                result["notes"].append(str(error)[:300])
    return records


def limits_for(seconds, **more):
    """Limits from what the reference took: five times as long, but at least ten seconds a check."""
    return asdict(Limits(**more, seconds=max(10.0, 5 * seconds)))

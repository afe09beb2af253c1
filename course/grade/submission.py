"""Grade one submitted notebook: find its answers, have each examined by a pair of processes, count points.

`grade` takes and returns plain data, so that it runs as well in a thread here as on a worker elsewhere. The
student's code runs in course.grade.student alone, the checks in course.grade.checker; see course.grade.pair.
"""

import functools
import hashlib
import re
import time
from dataclasses import asdict, dataclass, replace

from course import contract
from course.grade import pair, plan, reading, sandbox
from course.grade.likely import asked_values, names

SHOWN = 4_000
SELF_KILLED = "its process was killed twice while memory was free, so by its own code: no points; look at it"
NO_HINT = re.compile(r"raised (Name|Import|ModuleNotFound|Syntax|Indentation|Timeout|Memory|EOF|Runtime)E")
STANDS = "the stub's line `raise NotImplementedError(...)` still stands in the code and ends it: delete it"
MISSING = re.compile(r"name '(\w+)' is not defined")


@dataclass(frozen=True)
class Limits:
    """What one run may use. seconds: for one check; memory in MB: of one process, and of all together."""

    seconds: float = 30
    run_seconds: float = 900
    patience: float = 1.0  # times so long where the machine is busy with other things
    memory: int = 4000
    run_memory: int = 6000
    disk: int = 300
    isolated: bool = True  # use namespaces where the machine has them
    whole: bool = False  # run every cell, not only those that the checks need
    lean: bool = False  # one hand-in alone: import only what it needs; see plan.ways


def verdict(record, check, book, defined=()):
    """The Verdict on one check from its record; of a hidden check no more than that something was raised.

    Even the kind of error would be words in which the code tells what it was given.
    """
    if record["passed"]:
        return contract.Verdict(True)
    cell = next(cell for cell in book.cells if cell.get("id") == check.cell)
    error, text = record["error"], record["text"]
    unfinished = error == "NotImplementedError" and text.endswith(contract.UNTOUCHED)
    if not error or (error == "AssertionError" and not record.get("own")):
        detail = ""
    elif check.hidden:
        detail = "raised an error"
    else:
        # what the checker says about a form (course.grade.conform) was not raised by the student's code
        detail = text if text.startswith("the result ") else f"raised {error}: {text}"[:500]
        name = error == "NameError" and MISSING.search(text)
        if name and name[1] not in defined:
            detail += f"; no cell of the notebook defines {name[1]}"
    if check.hidden or error:
        return contract.Verdict(False, detail, unfinished=unfinished)
    expected = "".join(output.get("text", "") for output in cell.outputs if output.get("name") != "stderr")
    return contract.Verdict(False, detail, expected[:SHOWN], record["got"][:2000])


def grade(content, reference, limits=None, only=()):
    """Grade the bytes of a submitted notebook against those of the reference; returns plain data.

    only: these exercises, all where it is empty. The result has status "graded", "unreadable" (no notebook),
    "other notebook" (no exercise of this one) or "not graded" (a side of grading failed or was killed twice:
    look at it), and points.
    """
    limits = limits if isinstance(limits, Limits) else Limits(**(limits or {}))
    begin, book = time.monotonic(), plan.opened(reference)
    found = reading.read(content, reference)
    result = {"status": found["status"], "notes": found["notes"], "seconds": 0.0, "chosen": {}}
    readings = {name: one["readings"] for name, one in found["given"].items() if not only or name in only}
    used = found["used"]
    records = examined(book, reference, readings, used, limits, result) if any(readings.values()) else []
    checks = {check.cell: check for one in contract.exercises(book) for check in one.checks}
    verdicts = {one["check"]: verdict(one, checks[one["check"]], book, found["defined"]) for one in records}
    result["cells"] = [{"cell": one["check"], "seconds": one["seconds"]} for one in records]
    chosen, given = result.pop("chosen"), {}
    for name, one in found["given"].items():
        note = "; ".join(part for part in (one["note"], chosen.get(name)) if part)
        given[name] = contract.Answer("", bool(readings.get(name)), note)
    result.update(contract.score(book, given, verdicts))
    result["exercises"] = [row for row in result["exercises"] if not only or row["exercise"] in only]
    for row in result["exercises"]:
        fit(row)
    result["seconds"] = round(time.monotonic() - begin, 1)
    result["isolation"] = "namespaces" if limits.isolated and sandbox.available() else "limits only"
    return result


def fit(row):
    """Take out of an exercise's row the hints about the subject that do not fit, and say what does."""
    unfinished = row["outcome"] == contract.MISSING and any(check["detail"] for check in row["checks"])
    if unfinished:
        row["note"] = "; ".join([*filter(None, [row["note"]]), STANDS])
    # what a hidden check raised is not told, by leaving out its hint neither
    shown = [check for check in row["checks"] if NO_HINT.match(check["detail"])]
    for check in row["checks"]:
        if unfinished or check in shown or (shown and check["hidden"]):
            check["message"] = ""


def examined(book, reference, readings, used, limits, result):
    """The records of all checks of the attempted exercises; what went wrong here goes into the result."""
    attempted = [one for one in contract.exercises(book) if readings.get(one.id)]
    patience = plan.crowding()
    limits = replace(limits, patience=patience, run_seconds=patience * limits.run_seconds)
    half, records, found = time.monotonic() + limits.run_seconds / 2, [], None
    for lean, extra in plan.ways(reference, used, limits):
        key = (hashlib.sha256(reference).hexdigest(), limits.whole, limits.isolated, lean, extra)
        make = functools.partial(
            pair.Pair, book, limits.whole, limits.isolated, limits.run_seconds, extra, lean
        )
        before, found = (records, found), {"status": result["status"], "notes": [], "chosen": {}}
        records = by_a_pair(key, make, (attempted, readings, limits, found), reference)
        if found["status"] == "not graded" and before[1] and before[1]["status"] != "not graded":
            records, found = before  # a name was missing, and that was all
        missed = found["status"] == "not graded" or any(plan.may_lack(reference, one) for one in records)
        if not missed or time.monotonic() > half:
            break
    result["notes"] += found["notes"]
    result |= {"status": found["status"], "chosen": found["chosen"]}
    return records


def by_a_pair(key, make, work, reference):
    """The records that a pair gives, with a new one where the first breaks."""
    found = work[-1]
    for trial in (1, 2):
        records = []
        try:
            with pair.borrowed(key, make) as both:
                one_by_one(both, *work, records, guessable(reference))
            break
        except pair.Broken as error:
            if trial == 2:
                found["status"] = "not graded"
                found["notes"].append(str(error)[:300])
    return records


def one_by_one(both, attempted, readings, limits, result, records, blind):
    """Add the records of each attempted exercise to `records`."""
    begin, own = time.monotonic(), 0.0
    for exercise in attempted:
        if time.monotonic() > begin + limits.run_seconds:
            result["notes"].append(f"stopped after {limits.run_seconds:g} seconds")
            break
        if failed := both.rehearsal[exercise.id]["failed"]:
            result["status"] = "not graded"
            note = f"exercise {exercise.id}: the reference itself fails here: {failed[0]}"
            result["notes"].append(note[:300])
            continue
        # no exercise takes the time of those below it
        own += time_for_checks(exercise, limits)
        until = begin + min(own, limits.run_seconds)
        found, killed, note = likeliest(both, exercise, readings[exercise.id], limits, until, blind)
        records += found
        result["chosen"][exercise.id] = note
        if killed == pair.BY_MACHINE:
            result["status"] = "not graded"
            result["notes"].append(f"exercise {exercise.id}: its process was killed twice; look at it")
        elif killed:
            result["notes"].append(f"exercise {exercise.id}: {SELF_KILLED}")


def time_for_checks(exercise, limits):
    """Seconds within which another reading may begin: just under those that the checks may take."""
    return 0.9 * len(exercise.checks) * limits.seconds * limits.patience


def likeliest(both, exercise, readings, limits, end, blind=()):
    """(records of the reading that earns most, who killed its process twice or "", a note if not the first).

    The first reading may take what its checks may take; no other one is tried after `end` (time.monotonic()).
    blind: checks that do not decide which reading counts.
    """
    worth = {check.cell: check.points for check in exercise.checks if check.cell not in blind}
    best, end = None, min(end, time.monotonic() + time_for_checks(exercise, limits))
    for place, sources in enumerate(readings, 1):
        records, killed = both.examine(exercise.id, sources, limits)
        points = sum(worth.get(one["check"], 0) for one in records if one["passed"])
        if best is None or points > best[0]:
            note = f"of {len(readings)} possible answers number {place} counts" if place > 1 else ""
            best = points, records, killed, note
        if killed or points == sum(worth.values()) or time.monotonic() > end:
            break
    return best[1:]


@functools.lru_cache(maxsize=64)
def guessable(reference):
    """The hidden checks, in a reference's bytes, of values with few possible answers: a verdict, a choice.

    They do not decide which of several readings or files counts: otherwise one could try all answers.
    """
    book, found = plan.opened(reference), set()
    sources = {cell.get("id"): cell.source for cell in book.cells}
    for exercise in contract.exercises(book):
        values, hidden = asked_values(exercise, book), [one.cell for one in exercise.checks if one.hidden]
        found |= {check for check in hidden if names(sources[check]).loads & values}
    return found


def worth(result, reference):
    """The points of a result that decide which of several files counts."""
    blind, rows = guessable(reference), result["exercises"]
    return sum(check["points"] for row in rows for check in row["checks"] if check["check"] not in blind)


def limits_for(seconds, **more):
    """Limits from what the reference took: five times as long, but at least ten seconds a check."""
    return asdict(Limits(**more, seconds=max(10.0, 5 * seconds)))

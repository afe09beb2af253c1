"""Grade a class: make grade SUBMISSIONS=folder, or python -m course.grade.batch folder [--reports FOLDER] ...

SUBMISSIONS is what a learning platform gives (course.grade.collect); a notebook is recognised by its
exercises, not by its name. Each is graded on its own (course.grade.submission); the reports appear as results
come in: REPORTS/STUDENT/report.html, .md and .json, and the tables at the end. What stands in REPORTS from
earlier weeks stays. With --scheduler ADDRESS the same work goes to the workers of a Dask cluster.
"""

import argparse
import contextlib
import hashlib
import json
import math
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import psutil
from tqdm.auto import tqdm

from course import contract, machine
from course.grade import collect, due, exchange, gradebook, plan, reading, report, sandbox, submission
from course.notebooks import BUILD, ROOT, all_checked, lessons, surroundings

REPORTS, TRIALS = BUILD / "reports", BUILD / "trials"
LEAST = 3_500  # MB for one submission at a time: both sides and what they compute
MOST_COPIES = 5  # of one student's files for one notebook
IN_TIME = gradebook.Lateness()


@dataclass(frozen=True)
class Options:
    """How a class is graded. deadline: seconds since 1970; late_percent: of the points, for a day."""

    notebooks: tuple = ()
    jobs: int = 1
    scheduler: str | None = None
    roster: exchange.Roster | None = None
    column: str = ""
    exercises: tuple = ()  # only these
    anonymous: bool = False
    deadline: float | None = None
    late_percent: float = 0.0
    late_free: int = 0


def references(paths):
    """{number: (name, bytes)} of the reference notebooks that have exercises."""
    found = {path.name[:2]: (path.stem, path.read_bytes()) for path in paths}
    return {number: one for number, one in found.items() if contract.exercises(plan.opened(one[1]))}


def assign(student, known):
    """{number: [File, ...]} of a student's files that answer a notebook; what is none becomes a note."""
    found = {}
    for file in student.files:
        claimed = [name.partition(".")[0] for name in reading.claims(file.content)]
        claimed = [number for number in claimed if number in known]
        by_name = file.stem[:2] if file.stem[:2] in known else None
        number = max(sorted(set(claimed)), key=claimed.count) if claimed else by_name
        if others := sorted(set(claimed) - {number}):
            said = f"{file.shown} also holds exercises of {', '.join(others)}: it counts for {number} alone"
            student.notes.append(said)
        if number:
            found.setdefault(number, []).append(file)
        else:
            student.notes.append(f"no notebook of this course: {file.shown}")
    return {number: looked_at(files, *known[number], student) for number, files in found.items()}


def looked_at(files, name, reference, student):
    """The files for one notebook that are graded, in order; what is left out becomes a note."""
    # the file of the right name first, then the last one: of two that earn the same it counts
    files = sorted(reversed(files), key=lambda file: file.stem != name)
    if len(files) > MOST_COPIES:  # untouched copies must not keep out the one with the answers
        files = sorted(files, key=lambda file: not due.attempted([file], reference))
        left = [file.shown for file in files[MOST_COPIES:]]
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        said = f"of a notebook's files {MOST_COPIES} are looked at, those with answers first; not looked at: "
        student.notes.append(f"{said}{', '.join(left[:10])}{more}")
    return files[:MOST_COPIES]


def state_of(content):
    """A digest of a reference and of all that a trial depends on: code, data, Python and libraries here."""
    code = b"".join(path.read_bytes() for path in sorted((ROOT / "course").rglob("*.py")))
    return hashlib.sha256(content + code + "\0".join(surroundings()).encode()).hexdigest()


def remembered(name, state=None):
    """The limits that a trial of this reference gave before, or None; with a state only if still the same."""
    record = TRIALS / f"{name}.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    return known.get("limits") if state in (None, known.get("state")) else None


def verified(number, name, content, fresh=False):
    """What grading the reference itself took: the limits for its submissions, once per version of the course.

    The reference has to earn all points, through the slice of cells that its checks need or, where that is
    not enough, with all cells. Raises SystemExit where it does neither: then the machine or the notebook is
    not right.
    """
    book = nbformat.reads(content.decode(), as_version=4)
    checks = sum(len(exercise.checks) for exercise in contract.exercises(book))
    if contract.BEGIN not in content.decode():  # a student copy: there is nothing to run
        return submission.limits_for(6, run_seconds=900.0)
    state = state_of(content)
    if (known := remembered(name, state)) and not fresh:
        return known
    for whole in (False, True):
        trial = submission.Limits(seconds=300, run_seconds=1800, whole=whole)
        result = submission.grade(content, content, trial)
        if result["status"] == "graded" and result["points"] == result["possible"]:
            slowest = max((cell["seconds"] for cell in result["cells"]), default=6)
            limits = submission.limits_for(slowest, whole=whole)
            limits["run_seconds"] = 60 + 3 * result["seconds"] + checks * limits["seconds"]
            TRIALS.mkdir(parents=True, exist_ok=True)
            record = json.dumps({"state": state, "limits": limits}, indent=1)
            (TRIALS / f"{name}.json").write_text(record + "\n")
            return limits
    failed = [check["check"] for row in result["exercises"] for check in row["checks"] if not check["passed"]]
    said = "; ".join([*failed, *result["notes"]])
    raise SystemExit(f"NB={number}: the reference itself does not earn all points here: {said}")


def best(files, name, reference, limits, only=(), how=IN_TIME, before=""):
    """The result of the file that earns most of a student's files for one notebook; stops at nothing.

    What remains after the late days' cost decides, of equal files the earlier. before: the file that counted
    in an earlier run; with `only` it alone counts, for the other exercises are from it. All files together
    may take twice what one may take; those for which nothing is left are named.
    """
    chosen, end, late = None, time.monotonic() + 2 * plan.crowding() * limits["run_seconds"], []
    for file in (only and [file for file in files if file.shown == before]) or files:
        if chosen and time.monotonic() > end:
            late.append(file.shown)
            continue
        result = safely(file.content, reference, limits, only, end)
        attempts = sum(row["outcome"] != contract.MISSING for row in result["exercises"])
        left = submission.worth(result, reference) * how.share(file.time)
        key = left, attempts, result["status"] == "graded", -how.days(file.time)
        if chosen is None or key > chosen[0]:
            chosen = key, result, file
    _, result, file = chosen
    others = ", ".join(one.shown for one in files if one is not file)
    if others:
        result["notes"].insert(0, f"of several files {file.shown} counts; not counted: {others}")
    elif file.stem != name:
        result["notes"].insert(0, f"found in {file.shown}")
    if late:
        result["notes"].insert(0, f"no time was left for {', '.join(late)}: the others took it")
    result.update(handed_in=file.time, file=file.shown)
    return result


def safely(content, reference, limits, only=(), end=math.inf):
    """grade, which must never stop the batch; again, before `end`, if it was not the student's fault."""
    for _ in range(2):
        try:
            result = submission.grade(content, reference, limits, only)
        except Exception as error:  # whatever a submission can do to us must not reach the others
            result = gradebook.nothing(reference, "not graded", f"{type(error).__name__}: {str(error)[:300]}")
        if result["status"] != "not graded" or time.monotonic() > end:
            break
    return result


@dataclass
class Sent:
    """A file on its way to a worker elsewhere: with its content."""

    content: bytes
    stem: str
    shown: str
    time: float


def results_of(tasks, jobs, scheduler=None):
    """Yield (key, result) of {key: arguments of best} as they are done, here or on a cluster."""
    if scheduler:
        from distributed import Client
        from distributed import as_completed as completed

        try:
            client = Client(scheduler)
        except OSError as error:
            raise SystemExit(f"SCHEDULER={scheduler}: no Dask scheduler answers: {error}") from None
        with client:
            # a worker that dies is no reason to lose a task: Dask hands it to another one
            futures = {}
            for place, (key, (files, *task)) in enumerate(tasks.items()):
                sent = [Sent(file.content, file.stem, file.shown, file.time) for file in files]
                future = client.submit(best, sent, *task, key=f"grade-{time.time_ns()}-{place}", retries=2)
                futures[future] = key
            for future in completed(futures):
                try:
                    result = future.result()
                except (ImportError, RuntimeError) as error:  # of Dask itself: `best` raises nothing
                    said = str(error).splitlines()[0]
                    raise SystemExit(f"SCHEDULER={scheduler}: start scheduler and workers with the course's "
                                     f"folder on PYTHONPATH: {said}") from None  # fmt: skip
                yield futures[future], result
    else:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(best, *task): key for key, task in tasks.items()}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:  # after Ctrl-C what has not begun does not begin
                pool.shutdown(wait=False, cancel_futures=True)


def fitted(jobs, limits):
    """(jobs, limits) that fit into the free memory together, a container's too; says so where it matters."""
    free = psutil.virtual_memory().available
    free = min(free, (machine.memory() or (free, free))[1]) / 2**20
    fit = max(1, min(jobs, int(free // LEAST)))
    if fit < jobs:
        print(f"JOBS={jobs}: the free memory, {free:.0f} MB, is enough for {fit} at once", flush=True)
    most = int(max(LEAST, free / fit) - 1000)  # the rest is for the checker
    smaller = lambda one: {**one, "run_memory": min(most, one.get("run_memory", most))}
    return fit, {number: smaller(one) for number, one in limits.items()}


def enrolled(students, roster):
    """The students under the roster's names, and those who handed in nothing."""
    students, unknown = exchange.renamed(students, roster)
    for key in unknown:
        students[key].notes.append("not in the roster")
    for name in filter(None, map(roster.identifier, roster.rows)):
        students.setdefault(name, collect.Student(name))
    return students


def grade_class(submissions, reports, options=None, paths=None, limits=None):
    """Grade all submissions and write all reports; returns ({student: {notebook: result}}, seconds, count).

    paths: the reference notebooks (the course's); limits: skip the trial run of each reference and use these.
    """
    options, known = options or Options(), references(paths or lessons(all_checked()))
    exchange.checked_column(options.roster, options.column)
    with tempfile.TemporaryDirectory(prefix="course-zips-") as unpacked:
        students = collect.collect(submissions, Path(unpacked))
        students = enrolled(students, options.roster) if options.roster else students
        with ThreadPoolExecutor(options.jobs) as pool:
            found = pool.map(lambda one: assign(one, known), students.values())
            assigned = dict(zip(students, found, strict=True))
        book = gradebook.Book(reports, students, options)
        counted, everybody = due.notebooks(assigned, known, options)
        trial = lambda number: limits or verified(number, *known[number])
        is_named = bool(options.notebooks or options.exercises)
        jobs, limit = fitted(options.jobs, due.trials(counted, students, trial, is_named))
        tasks = {}
        pairs = ((one, number) for number in limit for one in assigned if one in counted[number])
        for student, number in pairs:
            how = book.how(student, known[number][0])
            tasks[student, number] = (assigned[student][number], *known[number], limit[number], *how)
        begin = time.monotonic()
        for student, number in ((one, number) for one in book.results for number in everybody & set(limit)):
            if number not in assigned.get(student, ()):
                book.missing(student, *known[number])
        # the longest first: no worker ends long after the others
        tasks = dict(sorted(tasks.items(), key=lambda task: -task[1][3]["run_seconds"]))
        bar = tqdm(total=len(tasks), desc="grading", unit="notebook", disable=not sys.stderr.isatty())
        with contextlib.closing(results_of(tasks, jobs, options.scheduler)) as results, bar:
            for (student, number), result in results:
                book.add(student, known[number][0], result)
                bar.update()
    graded = book.close(due.of_each(book.results, counted, everybody, set(limit)))
    return graded, time.monotonic() - begin, len(tasks)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", type=Path, help="folder, zip or notebook")
    parser.add_argument("--reports", type=Path, default=REPORTS)
    parser.add_argument("--notebooks", nargs="*", default=[], help="grade only these, such as 12 22")
    parser.add_argument("--exercises", nargs="*", default=[], help="grade only these again, such as 12.3")
    parser.add_argument("-j", "--jobs", type=count, default=machine.cores())
    parser.add_argument("--scheduler", help="address of a Dask scheduler, such as tcp://host:8786")
    parser.add_argument("--roster", type=exchange.read, help="the platform's own table of the class, a CSV")
    parser.add_argument("--column", default="", help="Canvas's assignment, such as 'Week 2 (4711)'")
    parser.add_argument("--anonymous", action="store_true", help="names that tell nothing, kept in names.csv")
    parser.add_argument("--deadline", type=seconds, help="date and time here, such as 2026-11-30T23:59")
    parser.add_argument("--late-percent", type=float, default=0.0, help="of the points, for each day late")
    parser.add_argument("--late-free", type=int, default=0, help="days late that cost nothing, in all")
    return parser.parse_args()


def count(text):
    """How many at once, of a command line."""
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


def seconds(text):
    """Seconds since 1970 of a date and time here; a date alone counts to its end."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return (datetime.fromisoformat(text) + timedelta(days=1)).timestamp()
    return datetime.fromisoformat(text).timestamp()


def main():
    given = arguments()
    if not sandbox.available():
        print("grade: no namespaces here: files and network are NOT shut off from submitted code", flush=True)
    if given.deadline and (found := collect.clones(given.submissions)):
        named = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        raise SystemExit(f"DEADLINE: the files of clones have the time of the clone ({named}); "
                         "check out what was pushed by then (git rev-list -1 --before=...) "
                         "and leave DEADLINE out")  # fmt: skip
    options = Options(**{key: value for key, value in vars(given).items() if key in Options.__annotations__})
    students, passed, count = grade_class(given.submissions.resolve(), given.reports.resolve(), options)
    for student, results in sorted(students.items()):
        points, possible = report.total(results)
        said = {result["status"] for result in results.values()} - {"graded"}
        remark = f" ({', '.join(sorted(said))})" if said else ""
        print(f"{report.readable(student)}: {points:g} of {possible:g}{remark}")
    print(f"{count} notebooks in {passed:.0f} s, {60 * count / max(passed, 1e-9):.1f} per minute")
    print(f"reports: {given.reports}")
    if not count:
        raise SystemExit(f"SUBMISSIONS={given.submissions}: no notebook of the course in it, nothing graded")


if __name__ == "__main__":
    main()

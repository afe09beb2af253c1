"""Grade a class: make grade SUBMISSIONS=folder, or python -m course.grade.batch folder [--reports FOLDER] ...

SUBMISSIONS holds one notebook or one folder per student; a notebook is recognised by its exercises, not by
its name. Each submitted notebook is graded on its own (course.grade.submission); the reports appear as
results come in: REPORTS/STUDENT/report.html, .md and .json, and REPORTS/grades.csv at the end. With
--scheduler ADDRESS the same work goes to the workers of a Dask cluster.
"""

import argparse
import hashlib
import json
import os
import re
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from tqdm.auto import tqdm

from course import contract
from course.grade import reading, report, sandbox, submission
from course.notebooks import BUILD, ROOT, all_checked

REPORTS, TRIALS = BUILD / "reports", BUILD / "trials"
UNKNOWN = "not recognised"
ENDING = re.compile(r"\.(ipynb|zip)(\.(txt|json))?$", re.IGNORECASE)


def collect(folder):
    """{student: [(path, content)]} of the notebooks below a folder, or of a single file.

    Links are not followed: a submission must not point at somebody else's files.
    """
    if folder.is_file():
        return {folder.stem: [(folder, read(folder))]}
    if not folder.is_dir():
        raise SystemExit(f"SUBMISSIONS={folder}: no such folder; give one with a notebook per student")
    students = {}
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if path.is_symlink():
            continue
        if not path.is_dir() and ENDING.search(path.name):
            students.setdefault(stem(path), []).append((path, read(path)))
        elif path.is_dir():
            found = students.setdefault(path.name, [])
            for place, folders, files in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                notebooks = [Path(place, name) for name in sorted(files) if ENDING.search(name)]
                found += [(file, read(file)) for file in notebooks if not file.is_symlink()]
    if not students:
        raise SystemExit(f"SUBMISSIONS={folder}: no submission in it; give a notebook or folder per student")
    return students


def stem(path):
    """A file's name without its ending, also where a browser added one or made it capital."""
    return ENDING.sub("", path.name)


def read(path):
    """A file's bytes, no more than grading accepts; nothing where it cannot be read or is no ordinary file.

    A named pipe would keep the whole class waiting, and a device has no end: neither is opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            return file.read(reading.LARGEST_NOTEBOOK + 1)
    except OSError:
        return b""


def references(paths):
    """{number: (name, bytes)} of the reference notebooks."""
    return {path.name[:2]: (path.stem, path.read_bytes()) for path in paths}


def recognise(path, content, known):
    """The number of the notebook that a submitted file answers: by its exercises, else its name, or None."""
    found = [name.partition(".")[0] for name in reading.claims(content)]
    found = [number for number in found if number in known]
    if found:
        return max(sorted(set(found)), key=found.count)
    return path.name[:2] if path.name[:2] in known else None


def assign(students, known):
    """{student: {number: (content, notes)}}: which file counts for which notebook."""
    assigned = {}
    for student, files in students.items():
        found = {}
        for path, content in files:
            found.setdefault(recognise(path, content, known) or UNKNOWN, []).append((path, content))
        assigned[student] = {number: best(number, given, known) for number, given in found.items()}
    return assigned


def best(number, files, known):
    """(content, notes) of the file that counts among a student's files for one notebook.

    A copy without any attempt never counts before one with attempts; else the last one of the right name.
    """
    if number == UNKNOWN:
        unpack = lambda path: "; unpack it" if path.suffix.lower() == ".zip" else ""
        return b"", [f"no notebook of this course: {shown(path)}{unpack(path)}" for path, _ in files]
    name, reference = known[number]
    notes, (path, content) = [], files[0]
    if len(files) > 1:
        keys = [(worked_on(content, reference), stem(path) == name) for path, content in files]
        place = max(range(len(files)), key=lambda i: (keys[i], i if keys[i][1] else -i))
        path, content = files[place]
        others = ", ".join(shown(other) for i, (other, _) in enumerate(files) if i != place)
        notes.append(f"of several files {shown(path)} counts; not counted: {others}")
    elif stem(path) != name:
        notes.append(f"found in {shown(path)}")
    return content, notes


def shown(path):
    """A submitted file's name for reports and terminals."""
    return report.readable(path.name)


def worked_on(content, reference):
    """Whether a submitted notebook holds an attempt at any exercise."""
    return any(one["readings"] for one in reading.read(content, reference)["given"].values())


def state_of(content):
    """A digest of a reference and of the code that its checks and the grader use."""
    sources = [*sorted((ROOT / "helpers").glob("*.py")), *sorted((ROOT / "course").rglob("*.py"))]
    return hashlib.sha256(content + b"".join(path.read_bytes() for path in sources)).hexdigest()


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
    said = "; ".join([*result["notes"], *failed])
    raise SystemExit(f"NB={number}: the reference itself does not earn all points here: {said}")


def safely(content, reference, limits):
    """grade, which must never stop the batch; once more where it was not the student's fault."""
    for _ in range(2):
        try:
            result = submission.grade(content, reference, limits)
        except Exception as error:  # whatever a submission can do to us must not reach the others
            text = f"{type(error).__name__}: {str(error)[:300]}"
            result = {"status": "not graded", "notes": [text], "seconds": 0.0, "isolation": ""}
            book = nbformat.reads(reference.decode(), as_version=4)
            empty = contract.answers(book, nbformat.NotebookNode(cells=[]))
            result.update(contract.score(book, empty, {}))
        if result["status"] != "not graded":
            break
    return result


def results_of(tasks, jobs, scheduler=None):
    """Yield (key, result) of {key: (content, reference, limits)} as they are done, here or on a cluster."""
    if scheduler:
        from distributed import Client
        from distributed import as_completed as completed

        with Client(scheduler) as client:
            # a worker that dies is no reason to lose a task: Dask hands it to another one
            futures = {
                client.submit(safely, *task, key=f"grade-{time.time_ns()}-{place}", retries=2): key
                for place, (key, task) in enumerate(tasks.items())
            }
            for future in completed(futures):
                yield futures[future], future.result()
    else:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(safely, *task): key for key, task in tasks.items()}
            for future in as_completed(futures):
                yield futures[future], future.result()


def grade_class(submissions, reports, numbers=(), jobs=1, scheduler=None, paths=None, limits=None):
    """Grade all submissions and write all reports; returns ({student: {notebook: result}}, seconds).

    paths: the reference notebooks (the course's); limits: skip the trial run of each reference and use these.
    """
    known = references(paths or all_checked())
    assigned = assign(collect(submissions), known)
    wanted = {number for files in assigned.values() for number in files} - {UNKNOWN}
    wanted = {number for number in wanted if not numbers or number in numbers} | set(numbers)
    if missing := wanted - set(known):
        allowed = " ".join(sorted(known))
        raise SystemExit(f"NB={' '.join(sorted(missing))}: no such notebook; allowed are {allowed}")
    limit = {number: limits or verified(number, *known[number]) for number in sorted(wanted)}
    tasks = {
        (student, number): (files.get(number, (b"", []))[0], known[number][1], limit[number])
        for student, files in assigned.items()
        for number in sorted(wanted)
    }
    # the longest first: no worker ends long after the others
    tasks = dict(sorted(tasks.items(), key=lambda task: -task[1][2]["run_seconds"]))
    begin, students = time.monotonic(), {student: {} for student in assigned}
    bar = tqdm(total=len(tasks), desc="grading", unit="notebook", disable=not sys.stderr.isatty())
    for (student, number), result in results_of(tasks, jobs, scheduler):
        submitted = assigned[student]
        if number not in submitted:
            result.update(status="not submitted", notes=[])
        else:
            result["notes"] = [*submitted[number][1], *result["notes"]]
        if UNKNOWN in submitted:
            result["notes"] += submitted[UNKNOWN][1]
        students[student][known[number][0]] = result
        report.write_student(reports, student, students[student])
        bar.update()
    bar.close()
    report.write_class(reports, students)
    return students, time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", type=Path)
    parser.add_argument("--reports", type=Path, default=REPORTS)
    parser.add_argument("--notebooks", nargs="*", default=[], help="grade only these, such as 12 22")
    parser.add_argument("-j", "--jobs", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--scheduler", help="address of a Dask scheduler, such as tcp://host:8786")
    arguments = parser.parse_args()
    if not sandbox.available():
        print("grade: no namespaces here: files and network are NOT shut off from submitted code", flush=True)
    students, seconds = grade_class(
        arguments.submissions.resolve(),
        arguments.reports.resolve(),
        arguments.notebooks,
        arguments.jobs,
        arguments.scheduler,
    )
    count = sum(len(results) for results in students.values())
    for student, results in sorted(students.items()):
        points, possible = report.total(results)
        said = {result["status"] for result in results.values()} - {"graded"}
        remark = f" ({', '.join(sorted(said))})" if said else ""
        print(f"{report.readable(student)}: {points:g} of {possible:g}{remark}")
    print(f"{count} notebooks in {seconds:.0f} s, {60 * count / max(seconds, 1e-9):.1f} per minute")
    print(f"reports: {arguments.reports}")


if __name__ == "__main__":
    main()

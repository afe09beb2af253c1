"""Submissions a minute: this grader beside nbgrader and otter-grader on equivalent notebooks, two at a time.

RIVALS=path names the Python of an environment that has both and what notebook 12 imports; they are no part
of the course's. All get the same cells of the lesson, the same right answers and the same twelve checks, and
each grades two submissions at a time. nbgrader runs as two processes of half the class each, otter without
its containers (`otter run`), which are slower still. The course's grader gets a class, because it runs the
lesson once for all of it; the rivals get a few, because they start anew for each.
"""

import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from course import contract
from course.grade import batch, plan
from course.notebooks import ROOT, find_checked

CLASS, FEW = 60, 6
PRINTED = "import contextlib as _c, io as _i\nwith _c.redirect_stdout(_i.StringIO()) as _out:\n"

OPEN = {"hidden": False, "locked": False}


def run():
    python, rows = os.environ.get("RIVALS"), []
    if python and not Path(python).is_file():
        raise SystemExit(f"RIVALS={python}: there is no such Python; give that of an environment with both")
    reference = find_checked("12")
    steps = plan.steps(plan.opened(reference.read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        graders = {"course.grade": lambda: ours(Path(folder, "ours"), reference)}
        if python:
            graders["nbgrader"] = lambda: nbgrader(Path(folder, "nbgrader"), Path(python), steps)
            graders["otter-grader"] = lambda: otter(Path(folder, "otter"), Path(python), steps)
        for name, grade in graders.items():
            seconds, number = grade(), CLASS if name == "course.grade" else FEW
            rows.append({"grader": name, "submissions": number, "seconds": round(seconds, 1),
                         "per minute": round(60 * number / seconds, 1)})  # fmt: skip
    for row in rows:
        row["times slower"] = round(rows[0]["per minute"] / row["per minute"], 1)
    return rows


def call(python, folder, *command):
    """Run a rival's command in a folder; raises RuntimeError with what it said last."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{python.parent}:{os.environ['PATH']}"}
    given = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run([python.parent / command[0], *command[1:]], **given)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:] or done.stdout[-500:]}")


def ours(folder, reference):
    book = contract.student_copy(nbformat.read(reference, 4))
    sources = {one.id: one.source for one in contract.exercises(nbformat.read(reference, 4))}
    for cell in book.cells:
        cell.source = sources.get(contract.course(cell).get("id"), cell.source)
    for student in range(CLASS):
        target = folder / "in" / f"student{student}" / reference.name
        target.parent.mkdir(parents=True)
        nbformat.write(book, target)
    batch.verified("12", reference.stem, reference.read_bytes())  # once a term, not once a class
    begin = time.monotonic()
    options = batch.Options(notebooks=("12",), jobs=2)
    graded, *_ = batch.grade_class(folder / "in", folder / "out", options, paths=[reference])
    seconds = time.monotonic() - begin
    assert all(result["points"] == 12 for results in graded.values() for result in results.values())
    return seconds


def cell(source, name, **about):
    """A code cell as nbgrader wants it."""
    found = nbformat.v4.new_code_cell(source, id=name)
    if about:
        settings = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
        found.metadata["nbgrader"] = {**settings, "grade_id": name, **about}
    return found


def notebook(steps):
    """Lesson, right answers and checks in one notebook, the visible checks as assertions."""
    book = nbformat.v4.new_notebook()
    for place, step in enumerate(steps):
        about = {"solution": True} if "checks" in step else {}
        book.cells.append(cell(step["source"], f"cell-{place}", **about))
        for check in step.get("checks", ()):
            source, expected = check["source"], check["expected"]
            if expected is not None:
                body = "".join(f"    {line}\n" for line in source.splitlines())
                source = f"{PRINTED}{body}assert _out.getvalue() == {expected!r}"
            book.cells.append(cell(source, check["check"], grade=True, locked=True, points=1))
    return book


def nbgrader(folder, python, steps):
    """Seconds of `nbgrader autograde`, two courses side by side."""
    courses = [folder / "a", folder / "b"]
    for course in courses:
        (course / "source" / "week").mkdir(parents=True)
        nbformat.write(notebook(steps), course / "source" / "week" / "exam.ipynb")
        call(python, course, "nbgrader", "generate_assignment", "week")
        for student in range(FEW // 2):
            target = course / "submitted" / f"student{student}" / "week"
            target.mkdir(parents=True)
            nbformat.write(notebook(steps), target / "exam.ipynb")
    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda course: call(python, course, "nbgrader", "autograde", "week"), courses))
    return time.monotonic() - begin


def otter(folder, python, steps):
    """Seconds of `otter run`, two at a time."""
    (folder / "tests").mkdir(parents=True)
    for step in [step for step in steps if "checks" in step]:
        # one case an exercise: a later check may use what an earlier one sets
        lines = [f">>> exec({check['source']!r})\n{check['expected'] or ''}" for check in step["checks"]]
        cases = [{"code": "\n".join(lines), "points": len(lines), **OPEN}]
        name = "q" + step["exercise"].replace(".", "_")
        test = {"name": name, "points": None, "suites": [
            {"cases": cases, "scored": True, "setup": "", "teardown": "", "type": "doctest"}]}  # fmt: skip
        (folder / "tests" / f"{name}.py").write_text(f"OK_FORMAT = True\ntest = {test!r}\n")
    call(python, folder, "otter", "generate", "-t", "tests", "-o", "grader.zip", "--no-environment")
    book = notebook([{key: value for key, value in step.items() if key != "checks"} for step in steps])
    nbformat.write(book, folder / "exam.ipynb")

    def one(student):
        (folder / f"out{student}").mkdir()
        call(python, folder, "otter", "run", "-a", "grader.zip", "-o", f"out{student}", "exam.ipynb")
        found = json.loads((folder / f"out{student}" / "results.json").read_text())
        assert sum(test.get("score", 0) for test in found["tests"]) == 12, found

    begin = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(FEW)))
    return time.monotonic() - begin

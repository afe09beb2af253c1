"""The exercise contract of a notebook: read it, make student copies, find answers, count points.

An exercise cell has the tag `exercise` and the metadata `course: {id, points}`; its checks have
`course: {for: id, points, message}`, and the tag `hidden` where students must not see them. Notebooks go in
and out as nbformat 4 objects and are never changed in place.
"""

import copy
import re
from dataclasses import dataclass

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SOLUTION = re.compile(rf"^([ \t]*){BEGIN}[ \t]*\n.*?^[ \t]*{END}[ \t]*$", re.MULTILINE | re.DOTALL)
DEFINED = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)
UNTOUCHED = ": not attempted"
NOT_ATTEMPTED = "exercise {id}" + UNTOUCHED
STUB = '# YOUR CODE HERE\nraise NotImplementedError("' + NOT_ATTEMPTED + '")'
CORRECT, PARTLY, INCORRECT, MISSING = "correct", "partly", "incorrect", "not attempted"
MARKS = {CORRECT: "✔", PARTLY: "◐", INCORRECT: "✘", MISSING: "–"}
# what a lesson needs and takes, in one line of its first cell
NEEDS = re.compile(r"\*Before:\* (.+)\. \*Time:\* (\d+) minutes, .+ of computing\. \*Data:\* ")


@dataclass(frozen=True)
class Check:
    """One check cell: its cell id, points, the message for whoever fails it, and whether it is hidden."""

    cell: str
    points: float
    message: str
    hidden: bool


@dataclass(frozen=True)
class Exercise:
    """One exercise: its id ("12.1"), points, cell id, source, and checks in order."""

    id: str
    points: float
    cell: str
    source: str
    checks: tuple


@dataclass(frozen=True)
class Answer:
    """What a submission holds for one exercise: the cell's source, and a note where something was odd."""

    source: str
    attempted: bool
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """How one check went. detail: what the student's code raised; expected, got: visible checks only."""

    passed: bool
    detail: str = ""
    expected: str = ""
    got: str = ""
    unfinished: bool = False  # the stub is still there


def no_input(prompt=""):
    """What input() is while answers are looked at: there is nobody to ask."""
    raise EOFError("input() has nobody to ask here: take what you need as arguments")


def tags(cell):
    """The tags of a cell, whatever stands in its metadata."""
    found = cell.get("metadata", {}).get("tags", [])
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def course(cell):
    """The course metadata of a cell, {} where there is none or it is not a mapping."""
    found = cell.get("metadata", {}).get("course", {})
    return found if isinstance(found, dict) else {}


def defined(source):
    """The names that a cell's source defines at its top level, in order."""
    return [function or variable for function, variable in DEFINED.findall(source)]


def printed(cell):
    """What a code cell has printed, as it is stored."""
    return "".join(output.get("text", "") for output in cell.outputs if output.get("name") == "stdout")


def exercises(notebook):
    """The exercises of a notebook, each with its checks, in the order of the notebook.

    Raises ValueError where markers do not pair up, an id occurs twice, a check belongs to no exercise, or (in
    a notebook with hidden checks) points do not add up.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    owners, found = [], []
    for cell in code:
        if "exercise" in tags(cell):
            owners.append(course(cell).get("id"))
            if not (cell.source.count(BEGIN) == cell.source.count(END) == len(SOLUTION.findall(cell.source))):
                raise ValueError(f"exercise {owners[-1]}: each {BEGIN!r} needs an {END!r} below it")
        elif "for" in course(cell) and course(cell)["for"] not in owners:
            raise ValueError(f"check {cell.get('id')}: no exercise {course(cell)['for']!r} stands above it")
    for cell in code:
        if "exercise" not in tags(cell):
            continue
        name, points = course(cell).get("id"), course(cell).get("points")
        if owners.count(name) > 1:
            raise ValueError(f"exercise {name}: {owners.count(name)} cells have this id; allowed is one")
        checks = tuple(
            Check(cell.id, course(cell)["points"], course(cell).get("message", ""), "hidden" in tags(cell))
            for cell in code
            if course(cell).get("for") == name
        )
        total = sum(check.points for check in checks)
        if total != points and (total > points or any(check.hidden for check in checks)):
            raise ValueError(f"exercise {name}: its checks give {total} points; allowed are {points}")
        found.append(Exercise(name, points, cell.id, cell.source, checks))
    return found


def stub(source, identifier):
    """The source of an exercise cell, every solution replaced by a line that raises NotImplementedError."""
    lines = STUB.format(id=identifier).split("\n")
    return SOLUTION.sub(lambda found: "\n".join(found[1] + line for line in lines), source)


def student_copy(notebook):
    """The notebook as students get it; a copy of a student copy is the same again.

    Solutions become stubs, hidden checks are gone, exercise cells have no outputs, visible checks keep theirs
    as the target. Exercises and checks get the standard tag `raises-exception`, so that Run All in JupyterLab
    and nbclient go on to the end. What a hidden check says to whoever fails it stays, as `course.hidden` of
    the exercise: students may know what is looked at.
    """
    known = {exercise.id: exercise for exercise in exercises(notebook)}
    result = copy.deepcopy(notebook)
    result.cells = [cell for cell in result.cells if "hidden" not in tags(cell)]
    result.metadata.pop("run", None)
    for cell in result.cells:
        cell.metadata.pop("quotes", None)  # where the numbers of a text come from: for authors
        if "exercise" in tags(cell):
            cell.source = stub(cell.source, course(cell)["id"])
            cell.outputs, cell.execution_count = [], None
            hidden = [check for check in known[course(cell)["id"]].checks if check.hidden]
            if hidden:
                said = [{"points": check.points, "message": check.message} for check in hidden]
                cell.metadata.course = {**cell.metadata.course, "hidden": said}
        elif "for" not in course(cell):
            continue
        cell.metadata.tags = sorted({*tags(cell), "raises-exception"})
    return result


def same_code(first, second):
    """Whether two cell sources are equal up to blanks at the ends of lines and blank lines."""
    return [line.rstrip() for line in first.splitlines() if line.strip()] == [
        line.rstrip() for line in second.splitlines() if line.strip()
    ]


def answers(reference, submission):
    """{exercise id: Answer} of a submitted notebook, for every exercise of the reference.

    A student's cell is found by its cell id, wherever it stands, or by its course metadata where an editor or
    an older format lost the ids. `chosen` says which counts of several. Nothing else is looked at.
    """
    found = {}
    for exercise in exercises(reference):
        code = [cell for cell in submission.cells if cell.get("cell_type") == "code"]
        same_id = [cell for cell in code if cell.get("id") == exercise.cell]
        same_course = [
            cell for cell in code if course(cell).get("id") == exercise.id and "for" not in course(cell)
        ]
        empty = stub(exercise.source, exercise.id)
        claims = [cell for cell in code if any(cell is one for one in (*same_id, *same_course))]
        worked = [cell for cell in claims if cell.get("source", "") and not same_code(cell["source"], empty)]
        worked = [cell for cell in worked if cell["source"].strip()]
        count = len(claims)
        note = "" if same_id or not same_course else "found by its metadata: the cell's id is lost"
        if not claims:
            note = "the exercise's cell is missing"
        elif count > 1:
            note = f"{count} cells claim this exercise; the one that earns most counts"
        source = chosen(worked, same_id, empty) if worked else empty
        found[exercise.id] = Answer(source, bool(worked), note)
    return found


def chosen(worked, originals, empty):
    """The source that counts of several cells for one exercise, none of them an untouched stub.

    The first cell with the original id that defines what the exercise asks for, else the last cell that
    does. The cells above it that define nothing of that belong to it: an exercise cell that was split. Where
    no cell defines all that is asked, the original counts, else the last one.
    """
    asked = set(defined(empty))
    given = [asked.intersection(defined(cell["source"])) for cell in worked]
    original = [any(cell is one for one in originals) for cell in worked]
    places = range(len(worked))
    order = [*(i for i in places if original[i]), *(i for i in reversed(places) if not original[i])]
    best = next((i for i in order if given[i] == asked), order[0])
    above = [i for i in range(best) if asked and not given[i]]
    return "\n".join(worked[i]["source"] for i in (*above, best))


def score(reference, given, verdicts):
    """Points and outcomes as plain data, from the answers and {check's cell id: Verdict}.

    A check without a verdict did not run and earns nothing. Returns {points, possible, exercises: [...]}.
    """
    rows = []
    for exercise in exercises(reference):
        answer, checks = given[exercise.id], []
        for check in exercise.checks:
            verdict = verdicts.get(check.cell, Verdict(False, "" if not answer.attempted else "did not run"))
            passed = verdict.passed and answer.attempted
            checks.append({
                "check": check.cell,
                "hidden": check.hidden,
                "passed": passed,
                "points": check.points * passed,
                "possible": check.points,
                "message": "" if passed or not answer.attempted else check.message,
                "detail": verdict.detail if answer.attempted and not passed else "",
                "expected": "" if passed or check.hidden or not answer.attempted else verdict.expected,
                "got": "" if passed or check.hidden or not answer.attempted else verdict.got,
            })  # fmt: skip
        unfinished = not answer.attempted or all(
            verdicts.get(check.cell, Verdict(False)).unfinished for check in exercise.checks
        )
        points, correct = sum(check["points"] for check in checks), all(check["passed"] for check in checks)
        outcome = CORRECT if correct else PARTLY if points else MISSING if unfinished else INCORRECT
        rows.append({
            "exercise": exercise.id,
            "outcome": outcome if answer.attempted else MISSING,
            "points": points,
            "possible": sum(check["possible"] for check in checks),
            "note": answer.note,
            "checks": checks,
        })  # fmt: skip
    return {
        "points": sum(row["points"] for row in rows),
        "possible": sum(row["possible"] for row in rows),
        "exercises": rows,
    }

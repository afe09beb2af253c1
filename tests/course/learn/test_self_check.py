"""What self_check says to right, half right, wrong, missing and odd answers, here and in a real kernel."""

import subprocess
import sys

import nbclient
import nbformat
import pytest

from course import contract
from course.learn import self_check, verdict, work
from course.learn.copies import equipped
from course.notebooks import all_notebooks, find

RIGHT = "def halve(x):\n    return x / 2"


def code(source, identifier, tags=(), printed="", **course):
    metadata = {"tags": list(tags), **({"course": course} if course else {})}
    cell = nbformat.v4.new_code_cell(source, id=identifier, metadata=metadata)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return cell


@pytest.fixture
def book():
    """A copy with one exercise of two visible points and a hidden one."""
    made = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# 99 Example", id="text-99-01"),
        code("def halve(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION",
             "exercise-99-1", ["exercise"], id="99.1", points=3),
        code("print(f'{halve(5.0):.2f}')\nprint('good')", "check-99-1-01", ["nbval-check-output"],
             "2.50\ngood\n", **{"for": "99.1", "points": 1, "message": "Half of five."}),
        code("first = halve(value)\nprint(f'{first:.1f}')", "check-99-1-02", ["nbval-check-output"], "4.0\n",
             **{"for": "99.1", "points": 1, "message": "Half of the value."}),
        code("assert halve(0) == 0", "check-99-1-03", ["hidden"],
             **{"for": "99.1", "points": 1, "message": "Zero too."}),
    ])  # fmt: skip
    return equipped(contract.student_copy(made))


def judged(book, source, saved=None, **namespace):
    """How an answer stands: its source is run as its cell would be."""
    namespace = {"value": 8.0, **namespace}
    exec(source, namespace)
    return self_check.judged(book, contract.exercises(book)[0], namespace, saved)


@pytest.mark.parametrize(("source", "outcome", "points"), [
    (RIGHT, "correct", 2),
    ("def halve(x):\n    print('try-out')\n    return x / 2", "correct", 2),
    ("import numpy as np\ndef halve(x):\n    return np.float32(x) / 2", "correct", 2),
    ("def halve(x):\n    return 2.5", "partly", 1),
    ("def halve(x):\n    return x", "incorrect", 0),
    ("def halve(x):\n    return None", "incorrect", 0),
    ("def halve(x):\n    raise SystemExit", "incorrect", 0),
    ("def halve(x):\n    raise NotImplementedError('exercise 99.1: not attempted')", "not attempted", 0),
    ("", "not attempted", 0),
])  # fmt: skip
def test_four_outcomes(book, source, outcome, points):
    found = judged(book, source)
    assert (found["outcome"], found["points"], found["possible"]) == (outcome, points, 2)
    assert outcome in verdict.text(found)
    assert outcome in verdict.page(found)


def test_a_check_changes_nothing_in_the_notebook(book):
    namespace = {"value": 8.0}
    exec(RIGHT, namespace)
    before = set(namespace)
    self_check.judged(book, contract.exercises(book)[0], namespace, None)
    assert set(namespace) == before


def test_it_tells_what_differs_and_what_hidden_checks_look_at(book):
    text = verdict.text(judged(book, "def halve(x):\n    return x / 2 + 0.5 * (x > 6)"))
    assert "Half of the value." in text
    assert "Here 4.0 is wanted, 4.5 came, 0.5 away." in text
    assert "1 point: Zero too." in text
    assert "Half of five." not in text


def test_an_error_is_one_line_without_the_hint_about_mathematics(book):
    text = verdict.text(judged(book, "def halve(x):\n    return x / None"))
    assert text.count("TypeError: unsupported operand") == 1
    assert "Half of" not in text


def test_a_missing_helper_is_found_in_the_cell_that_was_not_run(book):
    saved = nbformat.from_dict(book)
    saved.cells.append(code("def helper(x):\n    return x", "mine"))
    place = len([cell for cell in saved.cells if cell.cell_type == "code"])
    text = verdict.text(judged(book, "def halve(x):\n    return helper(x)", saved))
    assert f"Code cell {place} defines helper and has not been run" in text
    text = verdict.text(judged(book, "def halve(x):\n    return hepler(x)", saved))
    assert "No cell of the saved notebook defines hepler: is it spelt right?" in text


def test_odd_copies_are_named(book):
    def told(change, source=RIGHT):
        saved = nbformat.from_dict(book)
        change(saved)
        return " ".join(judged(book, source, saved)["notes"])

    cells = {cell.id: place for place, cell in enumerate(book.cells)}

    def rename(saved):
        saved.cells[cells["exercise-99-1"]].source = "def half(x):\n    return x / 2"

    def edit(saved):
        saved.cells[cells["check-99-1-01"]].source = "print('2.50')\nprint('good')"

    def double(saved):
        saved.cells[cells["exercise-99-1"]].source = RIGHT
        saved.cells.append(nbformat.from_dict(saved.cells[cells["exercise-99-1"]]))

    assert told(lambda saved: None) == ""
    assert "asks for halve; your cell defines half" in told(rename, "")
    assert "a check was changed in your copy; the released one was run" in told(edit)
    assert "a check is missing in your copy" in told(lambda saved: saved.cells.pop(cells["check-99-1-02"]))
    assert "2 cells claim this exercise" in told(double)


def test_an_endless_loop_is_stopped(book, monkeypatch):
    monkeypatch.setattr(self_check, "SECONDS", 0.5)
    found = judged(book, "def halve(x):\n    while True:\n        pass")
    assert "is there a loop that does not end?" in verdict.text(found)
    assert found["outcome"] == "incorrect"


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match=r"'12\.9' is not in this notebook; allowed are 12\.1 12\.2"):
        self_check.self_check("12.9")
    with pytest.raises(ValueError, match="no notebook has the number '77'"):
        self_check.self_check("77.1")


def test_points_are_remembered_beside_the_copies(tmp_path, book):
    record = tmp_path / work.RECORD
    self_check.remember("99.1", judged(book, "def halve(x):\n    return 2.5"), record)
    assert self_check.remembered("99", record) == {"99.1": [1, "partly"]}
    rows = verdict.standing(book, self_check.remembered("99", record))
    assert "1 of 2 points of the visible checks. Next: exercise 99.1" in verdict.standing_text(rows)
    work.points_file("99", record).write_text("not JSON")
    assert self_check.remembered("99", record) == {}


@pytest.mark.parametrize("number", ["12", "22", "31"])
def test_solutions_are_correct_in_a_kernel_and_stubs_not_attempted(number, tmp_path, monkeypatch):
    """The whole copy runs to its end; one exercise is left open."""
    source = nbformat.read(find(number), 4)
    solutions = {cell.id: cell.source for cell in source.cells}
    copy = equipped(contract.student_copy(source))
    exercises = contract.exercises(source)
    for exercise in exercises[1:]:
        next(cell for cell in copy.cells if cell.id == exercise.cell).source = solutions[exercise.cell]
    path = tmp_path / find(number).name
    nbformat.write(copy, path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    (tmp_path / work.RECORD).mkdir()
    client = nbclient.NotebookClient(copy, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    said = {cell.id: cell.outputs[0].data["text/plain"] for cell in copy.cells
            if cell.id.startswith(("self-check", "points-so-far"))}  # fmt: skip
    for exercise in exercises:
        wanted = "– not attempted" if exercise is exercises[0] else "✔ correct"
        assert said[f"self-check-{exercise.id.replace('.', '-')}"].startswith(f"{exercise.id} {wanted}")
    assert f"Next: exercise {exercises[0].id}" in said["points-so-far"]


def test_a_kernel_without_the_course_says_how_to_start(tmp_path):
    start = next(cell.source for cell in equipped(contract.student_copy(nbformat.read(find("12"), 4))).cells
                 if cell.id == "start")  # fmt: skip
    result = subprocess.run([sys.executable, "-I", "-c", start], capture_output=True, text=True)
    assert "this kernel does not know the course" in result.stderr
    assert "make learn" in result.stderr


def test_equipping_twice_changes_nothing_and_hides_nothing():
    for path in all_notebooks():
        once = equipped(contract.student_copy(nbformat.read(path, 4)))
        assert equipped(contract.student_copy(once)) == once
        ids = [cell.id for cell in once.cells]
        assert len(ids) == len(set(ids))
        assert ids[1:3] == ["rules", "start"]
        for exercise in contract.exercises(once):
            assert f"self-check-{exercise.id.replace('.', '-')}" in ids

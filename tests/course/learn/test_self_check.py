"""What self_check says to right, half right, wrong, missing and odd answers, here and in a real kernel."""

import builtins
import os
import signal
import time

import nbclient
import nbformat
import numpy as np
import pytest
import torch

from course import contract
from course.learn import judge, odd, self_check, stopping, verdict, work
from course.learn.copies import equipped
from course.notebooks import all_notebooks, find
from tests.course.learn.conftest import RIGHT, code
from tests.turns import share


def judged(book, source, saved=None, solution="", **namespace):
    """How an answer stands: its source is run as its cell would be."""
    namespace = {"value": 8.0, **namespace}
    exec(source, namespace)
    saved = saved and odd.Saved(saved, 0.0)
    return judge.judged(book, contract.exercises(book)[0], namespace, saved, solution)


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
    judge.judged(book, contract.exercises(book)[0], namespace, None)
    assert set(namespace) == before


@pytest.mark.parametrize("value", [np.array(8.0), torch.tensor(8.0).double()])
def test_an_answer_that_changes_its_argument_is_told_and_changes_nothing_for_the_next_time(book, value):
    source = "def halve(x):\n    x /= 2\n    return float(x)"
    for solution in ("", RIGHT, RIGHT, source):  # not known; leaves its argument alone; changes it as well
        found = judged(book, source, solution=solution, value=value)
        assert (found["outcome"], value.item()) == ("correct", 4.0 if solution == source else 8.0)
        assert ("halve changes what it is given" in verdict.text(found)) is (solution == RIGHT)


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
    text = verdict.text(judged(book, "def halve(x):\n    return helper(x)", saved))
    assert (
        "Run the cell under “1 The value” that begins `def helper(x):`: it defines helper and has not" in text
    )
    for name, told in (("hepler", "Is helper meant?"), ("numpy", "Is np meant?"),
                       ("zzz", "No cell of the saved notebook defines zzz: is it spelt right?")):  # fmt: skip
        saved.cells[0] = code("import numpy as np", "code-99-00")
        text = verdict.text(judged(book, f"def halve(x):\n    return {name}.array(x)", saved))
        assert told in text


def test_nobody_is_asked_while_a_check_runs(book):
    text = verdict.text(judged(book, "def halve(x):\n    return float(input('x?'))"))
    assert "EOFError: input() has nobody to ask here: take what you need as arguments" in text
    assert builtins.input.__name__ != "no_input"


@pytest.mark.parametrize(("body", "told"), [
    ("print(x / 2)", "The result is None (is a `return` missing?); asked is one number"),
    ("return [x, x]", "The result is an array of the shape (2,); asked is one number"),
    ("return halve", "The result is of the kind function; asked is float"),
])  # fmt: skip
def test_another_form_is_told_in_words(book, body, told):
    namespace = {"value": 8.0}
    exec(f"def halve(x):\n    {body}", namespace)
    found = judge.judged(book, contract.exercises(book)[0], namespace, None, RIGHT)
    assert told in verdict.text(found).splitlines()


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


ENDLESS = [
    "while True: pass",
    "while True:\n        try: x = 1\n        except: pass",
    "while True:\n        try:\n            while True: x = 1\n        except: continue",
    "while True:\n        try: time.sleep(100)\n        except BaseException: pass",
    "time.sleep(100)",
    "return [one for one in iter(lambda: 0, 1) if one]",
]


def test_an_endless_loop_is_stopped(book, monkeypatch):
    """That this test ends is half of what it shows."""
    monkeypatch.setattr(judge, "SECONDS", 0.5)
    before = signal.getsignal(signal.SIGINT)
    for body in ENDLESS:
        found = judged(book, f"import time\ndef halve(x):\n    {body}")
        text = verdict.text(found)
        assert text.count("is there a loop that does not end?") == 1, body
        assert found["outcome"] == "incorrect"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loop_that_begins_when_its_time_is_over_is_stopped_as_well():
    """The signal may come at any place, also before the work has begun."""

    def endless():
        while True:
            pass

    before = signal.getsignal(signal.SIGALRM)
    for _ in range(2000):
        with pytest.raises(stopping.OutOfTime):
            stopping.within(0, endless)
        assert signal.getsignal(signal.SIGALRM) is before


def test_all_checks_of_an_exercise_share_one_time(book, monkeypatch):
    monkeypatch.setattr(judge, "SECONDS", 0.5)
    called = []
    found = judged(book, "def halve(x):\n    called.append(x)\n    while True: pass", called=called)
    assert called == [5.0]  # the second check did not begin
    assert [check["verdict"].passed for check in found["checks"]] == [False, False]


def test_a_person_can_stop_a_check(book):
    def halve(x):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    found = judge.judged(book, contract.exercises(book)[0], {"halve": halve, "value": 8.0}, None)
    assert "you stopped it" in verdict.text(found)


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match=r"'12\.9' is not in this notebook; allowed are 12\.1 12\.2"):
        self_check.self_check("12.9")
    for number in ("77.1", 77, None, [12], "", "12.1.1", object):
        with pytest.raises(ValueError, match="allowed are") as refused:
            self_check.self_check(number)
        assert refused.value._render_traceback_() == [str(refused.value)]
        assert "\n" not in str(refused.value)


def test_a_number_may_be_given_as_one(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / work.RECORD).mkdir()
    monkeypatch.setattr(self_check, "user_namespace", dict)
    self_check.self_check(12.1)
    self_check.self_check(12)
    shown = capsys.readouterr().out
    assert "12.1 – not attempted" in shown
    assert "0 of 8 points" in shown


def test_points_are_remembered_beside_the_copies(tmp_path, book):
    record = tmp_path / work.RECORD
    work.remember("99.1", 1, "partly", record)
    assert work.remembered("99", record) == {"99.1": [1, "partly"]}
    work.remember("99.1", 0, "not attempted", record)  # only not run since the kernel started
    assert work.remembered("99", record) == {"99.1": [1, "partly"]}
    rows = verdict.standing(book, work.remembered("99", record))
    assert "1 of 2 points of the visible checks. Next: exercise 99.1" in verdict.standing_text(rows)


@pytest.mark.parametrize("content", [
    "", "not JSON", "[]", "[" * 100_000, '{"99.1": 1}', '{"99.1": ["a", "correct"]}', '{"99.1": [1]}',
    '{"99.1": [1, "marvellous"]}', '{"99.1": {"points": 1}}', '{"99.1": null}', "\udcff",
])  # fmt: skip
def test_points_that_somebody_damaged_count_as_not_remembered(tmp_path, content, book):
    path = work.points_file("99", tmp_path)
    path.parent.mkdir()
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert work.remembered("99", tmp_path) == {}
    assert "0 of 2 points" in verdict.standing_text(verdict.standing(book, work.remembered("99", tmp_path)))
    work.remember("99.1", 1, "partly", tmp_path)
    assert work.remembered("99", tmp_path) == {"99.1": [1, "partly"]}


@pytest.mark.parametrize("number", share(["12", "22", "31"], 3))
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


def test_equipping_twice_changes_nothing_and_hides_nothing():
    for path in all_notebooks():
        once = equipped(contract.student_copy(nbformat.read(path, 4)))
        assert equipped(contract.student_copy(once)) == once
        ids = [cell.id for cell in once.cells]
        assert len(ids) == len(set(ids))
        assert (ids[1:3] == ["rules", "start"]) == bool(contract.exercises(once))
        for exercise in contract.exercises(once):
            assert f"self-check-{exercise.id.replace('.', '-')}" in ids


FORMS = [
    "return x / 2", "return np.float32(x) / 2", "return [x / 2]", "return (x / 2,)", "return np.array(x / 2)",
    "return np.array([[x / 2]])", "return np.matrix([[x / 2]])", "return (y / 2 for y in [x])", "yield x / 2",
    "return map(float, [x / 2])", "return np.ma.array(x / 2)", "return str(x / 2)", "return [x / 2, x / 2]",
    "return None", "return {}", "return x", "return 2.5", "return np.nan", "return helper(x)",
    "raise ValueError('no')", "import sys; sys.exit()", "return np.array([])", "print(x); return x / 2",
]  # fmt: skip


@pytest.fixture(scope="module")
def reference():
    """A notebook with a solution whose results the visible checks format, index and sum."""
    made = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# 99 Example", id="text-99-01"),
        code("import numpy as np\nvalue = 8.0", "code-99-01"),
        code("def halve(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION",
             "exercise-99-1", ["exercise"], id="99.1", points=3),
        code("print(f'{halve(5.0):.2f}')", "check-99-1-01", ["nbval-check-output"], "2.50\n",
             **{"for": "99.1", "points": 1, "message": "Half of five."}),
        code("print(f'{np.sum(halve(value)):.1f}')", "check-99-1-02", ["nbval-check-output"], "4.0\n",
             **{"for": "99.1", "points": 1, "message": "Half of the value."}),
        code("assert halve(0) == 0", "check-99-1-03", ["hidden"],
             **{"for": "99.1", "points": 1, "message": "Zero too."}),
    ])  # fmt: skip
    return made


@pytest.mark.parametrize("body", FORMS)
def test_self_check_and_the_grader_say_the_same(reference, body):
    """Whatever comes back, each visible check passes here exactly where it passes there."""
    from course.grade import submission

    copy = equipped(contract.student_copy(reference))
    answer, helper = f"def halve(x):\n    {body}", "def helper(x):\n    return x / 2"
    at = next(place for place, cell in enumerate(copy.cells) if cell.id == "exercise-99-1")
    copy.cells[at].source = answer
    copy.cells.insert(at, code(helper, "mine"))
    content = nbformat.writes(copy, version=4).encode()
    row = submission.grade(content, nbformat.writes(reference, version=4).encode())["exercises"][0]
    there = {check["check"]: check["passed"] for check in row["checks"] if not check["hidden"]}
    namespace = {}
    exec(f"import numpy as np\nvalue = 8.0\n{helper}\n{answer}", namespace)
    exercise = contract.exercises(reference)[0]
    found = judge.judged(copy, contract.exercises(copy)[0], namespace, None, exercise.source)
    here = [check["verdict"].passed for check in found["checks"]]
    assert here == list(there.values())

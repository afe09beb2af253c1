"""What self_check says to right, half right, wrong, missing and odd answers, here and in a real kernel."""

import os
import signal
import time

import nbclient
import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course import contract
from course.learn import history, judge, odd, self_check, verdict, work
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
    saved = saved and odd.Saved(saved, 0.0)
    return judge.judged(book, contract.exercises(book)[0], namespace, saved)


@pytest.fixture
def shell(monkeypatch):
    """An IPython whose cells are remembered, as in a student's kernel; run(source, cell id) runs one."""
    monkeypatch.setattr(history, "RAN", [])
    made = InteractiveShell(user_ns={"value": 8.0})
    made.history_manager.enabled = False
    history.watch(made)
    made.run = lambda source, cell: made.run_cell(source, store_history=True, cell_id=cell)
    return made


def stands(book, shell, saved=None, after=1.0):
    """How the exercise of a shell stands; after: seconds from now at which the notebook was saved."""
    saved = saved and odd.Saved(saved, time.time() + after)
    return judge.judged(book, contract.exercises(book)[0], shell.user_ns, saved)


def saved_with(book, **sources):
    """The copy as it is saved, with other sources: exercise_99_1="..." stands for the cell exercise-99-1."""
    made = nbformat.from_dict(book)
    for name, source in sources.items():
        next(cell for cell in made.cells if cell.id == name.replace("_", "-")).source = source
    return made


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
        "Run the cell under “99 Example” that begins `def helper(x):`: it defines helper and has not" in text
    )
    text = verdict.text(judged(book, "def halve(x):\n    return hepler(x)", saved))
    assert "No cell of the saved notebook defines hepler: is it spelt right?" in text


def test_a_verdict_says_which_run_it_belongs_to(book, shell):
    shell.run("1 + 1", "other")
    shell.run(RIGHT, "exercise-99-1")
    saved = saved_with(book, exercise_99_1=RIGHT)
    found = stands(book, shell, saved)
    assert verdict.text(found).startswith(
        "99.1 ✔ correct: 2 of 2 points of the visible checks, as your cell ran at [2]"
    )
    assert (found["notes"], found["stale"]) == ([], False)
    edited = saved_with(book, exercise_99_1="def halve(x):\n    return x")
    found = stands(book, shell, edited)  # changed and saved, but not run
    assert found["stale"]
    assert "Your cell was changed after it ran at [2]" in verdict.text(found)
    assert verdict.text(found).startswith("99.1 – not run since you changed it; before, ✔ correct: 2 of 2")
    assert verdict.COLOURS["correct"] not in verdict.page(found)
    assert "Run your cell, then this one again." in verdict.page(found)
    assert not stands(book, shell, edited, after=-5)[
        "stale"
    ]  # saved before the run: that is no change after it
    shell.run("def halve(x):\n    return x", "exercise-99-1")
    assert stands(book, shell, edited)["outcome"] == "incorrect"


@pytest.mark.parametrize("broken", ["def halve(x)\n    return x", "1 / 0\ndef halve(x):\n    return x"])
def test_a_cell_that_failed_leaves_the_run_before(book, shell, broken, capsys):
    shell.run(RIGHT, "exercise-99-1")
    shell.run(broken, "exercise-99-1")
    found = stands(book, shell)
    assert found["stale"]
    assert "ended with an error at [2], before it defined halve. This verdict is about what ran at [1]" in (
        verdict.text(found))  # fmt: skip


def test_an_answer_below_the_line_that_raises_is_told_so(book, shell):
    stub = contract.exercises(book)[0].source
    shell.run(f"{stub}\n    return x / 2", "exercise-99-1")
    text = verdict.text(stands(book, shell))
    assert "still stands in your cell, and nothing below it runs: delete that line" in text
    shell.run(stub, "exercise-99-1")
    assert "delete that line" not in verdict.text(stands(book, shell))


def test_two_cells_for_one_answer(book, shell):
    """A duplicated exercise cell: the grader takes what earns most, and the verdict is about what ran."""
    wrong = "def halve(x):\n    return 2.5"
    saved = saved_with(book, exercise_99_1=RIGHT)
    twin = nbformat.from_dict(next(cell for cell in saved.cells if cell.id == "exercise-99-1"))
    twin.id, twin.source = "twin", wrong
    saved.cells.append(twin)
    shell.run(RIGHT, "exercise-99-1")
    shell.run(wrong, "twin")
    text = verdict.text(stands(book, shell, saved))
    assert text.startswith("99.1 ◐ partly: 1 of 2 points of the visible checks, as your cell ran at [2]")
    assert "2 cells claim this exercise" in text
    assert "taken from a cell of your own, run at [2]" in text


def test_what_ran_and_is_no_longer_in_the_file_is_named(book, shell):
    shell.run(RIGHT, "mine")
    saved = saved_with(book)
    assert "In the saved file no cell has an answer" in verdict.text(stands(book, shell, saved))
    not_saved_since = stands(book, shell, saved, after=-5)
    assert "no cell has an answer" not in verdict.text(not_saved_since)
    saved.cells.append(code(RIGHT, "mine"))
    text = verdict.text(stands(book, shell, saved))
    assert "the answer stands in a cell of its own" in text
    assert "no cell has an answer" not in text
    saved = saved_with(book, exercise_99_1="def halve(x):\n    return 2.5")
    text = verdict.text(stands(book, shell, saved))
    assert "about what ran at [1]; in the saved file another one counts: the cell that begins `def" in text


def test_a_helper_that_is_no_longer_in_the_file_is_named(book, shell):
    answer = "def halve(x):\n    return helper(x)"
    shell.run("def helper(x):\n    return x / 2", "mine")
    shell.run(answer, "exercise-99-1")
    saved = saved_with(book, exercise_99_1=answer)
    text = verdict.text(stands(book, shell, saved))
    assert text.startswith("99.1 ✔ correct")
    assert "helper comes from what ran at [1]; the saved file has no such cell and will miss it" in text
    saved.cells.append(code("def helper(x):\n    return x / 2", "mine"))
    assert "will miss it" not in verdict.text(stands(book, shell, saved))


@pytest.mark.parametrize(("cell", "told"), [
    ("value = 3.0", True), ("value += 1", True), ("for value in range(3):\n    pass", True),
    ("def own(value):\n    value = 3\n    return value", False), ("print(value)", False),
])  # fmt: skip
def test_a_name_of_the_lesson_that_was_overwritten_is_named(book, shell, cell, told):
    book.cells.insert(2, code("value = 8.0", "code-99-01"))
    book.cells.insert(2, nbformat.v4.new_markdown_cell("## 1 The value", id="text-99-02"))
    shell.run("value = 8.0", "code-99-01")
    shell.run("def halve(x):\n    return x / 2 + (x > 6)", "exercise-99-1")
    shell.run(cell, "mine")
    text = verdict.text(stands(book, shell))
    wanted = ("value is no longer what the lesson made of it: your cell at [3] changed it. "
              "Run the cell under “1 The value” that begins `value = 8.0` again")  # fmt: skip
    assert (wanted in text) == told
    shell.run("value = 8.0", "code-99-01")
    assert "no longer what the lesson made" not in verdict.text(stands(book, shell))


def test_an_editor_with_other_cell_ids_raises_no_false_alarm(book, shell):
    book.cells.insert(2, code("value = 8.0", "code-99-01"))
    shell.run("value = 8.0", "vscode-notebook-cell:/99.ipynb#W0")
    shell.run("def halve(x):\n    return x", "vscode-notebook-cell:/99.ipynb#W1")
    saved = saved_with(book, exercise_99_1="def halve(x):\n    return x")
    found = stands(book, shell, saved)
    assert (found["notes"], found["ran"], found["stale"]) == ([], "[2]", False)


def test_an_array_of_the_lesson_that_was_written_into_is_named(book, shell):
    book.cells.insert(2, code("value = np.array([8.0])", "code-99-01"))
    shell.user_ns["np"] = np
    shell.run("value = np.array([8.0])", "code-99-01")
    shell.run("def halve(x):\n    return x", "exercise-99-1")
    shell.run("value[0] = 1", "mine")
    assert "value is no longer what the lesson made" in verdict.text(stands(book, shell))


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
    monkeypatch.setattr(judge, "SECONDS", 0.5)
    before = signal.getsignal(signal.SIGINT)
    for body in ENDLESS:
        begin = time.monotonic()
        found = judged(book, f"import time\ndef halve(x):\n    {body}")
        text = verdict.text(found)
        assert text.count("is there a loop that does not end?") == 1, body
        assert found["outcome"] == "incorrect"
        assert time.monotonic() - begin < 60  # a safety net: without the limit it would not come back
    assert signal.getsignal(signal.SIGINT) is before


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


def test_an_open_exercise_is_one_line_and_other_errors_are_whole(book, shell, capsys):
    shell.set_custom_exc((NotImplementedError,), self_check.briefly)
    shell.run(contract.exercises(book)[0].source, "exercise-99-1")
    shell.run("halve(1)", "check")
    shown = capsys.readouterr()
    assert shown.err == "exercise 99.1: not attempted; write your answer where it says YOUR CODE HERE\n"
    assert "Traceback" not in shown.out
    assert not history.RAN[-1].good
    shell.run("raise NotImplementedError('later')", "mine")
    assert "Traceback" in capsys.readouterr().out


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

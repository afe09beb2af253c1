"""Which run a verdict is about, and what ran and is no longer there."""

import nbformat
import numpy as np
import pytest

from course import contract
from course.learn import history, judge, self_check, verdict
from tests.course.learn.conftest import RIGHT, code, saved_with, stands


def test_a_verdict_says_which_run_it_belongs_to(book, shell):
    shell.run("1 + 1", "other")
    shell.run(RIGHT, "exercise-99-1")
    saved = saved_with(book, exercise_99_1=RIGHT)
    found = stands(book, shell, saved)
    assert verdict.text(found).startswith(
        "99.1 ✔ correct: 2 of 2 points of the visible checks, as your cell ran at [2]"
    )
    assert (found["notes"], found["stale"]) == ([], "")
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


def test_a_cell_that_does_not_define_it_any_more_is_named(book, shell):
    shell.run("def halve(x):\n    return 3.0", "exercise-99-1")
    shell.run("def Halve(x):\n    return x / 2", "exercise-99-1")
    text = verdict.text(stands(book, shell))
    assert text.startswith("99.1 – not in your cell as it ran last; before, ✘ incorrect")
    assert "defined no halve when it ran at [2], and the exercise asks for that name" in text
    assert "wanted" not in text  # what the run before printed is no help
    saved = saved_with(book, exercise_99_1="")
    shell.run(RIGHT, "exercise-99-1")
    assert verdict.text(stands(book, shell, saved)).startswith(
        "99.1 – not run since you changed it; before, ✔"
    )


def test_a_run_below_a_cell_magic_is_known(book, shell):
    shell.run(f"%%time\n{RIGHT}", "exercise-99-1")
    assert stands(book, shell)["ran"] == "[1]"


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
    text = verdict.text(stands(book, shell, saved))
    assert "In the saved file no cell has an answer" in text
    assert "Put what is missing into a cell of this notebook and save" in text
    assert "Go on" not in text
    not_saved_since = stands(book, shell, saved, after=-5)
    assert "no cell has an answer" not in verdict.text(not_saved_since)
    saved.cells.append(code(RIGHT, "mine"))
    text = verdict.text(stands(book, shell, saved))
    assert "the answer stands in another cell" in text
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
    shell.run("value = 8.0", "vscode-notebook-cell:/99.ipynb#W0")
    shell.run("def halve(x):\n    return x", "vscode-notebook-cell:/99.ipynb#W1")
    saved = saved_with(book, exercise_99_1="def halve(x):\n    return x")
    found = stands(book, shell, saved)
    assert (found["notes"], found["ran"], found["stale"]) == ([], "[2]", "")


def test_an_array_of_the_lesson_that_was_written_into_is_named(book, shell):
    next(cell for cell in book.cells if cell.id == "code-99-01").source = "value = np.array([8.0])"
    shell.user_ns["np"] = np
    shell.run("value = np.array([8.0])", "code-99-01")
    shell.run("def halve(x):\n    return x", "exercise-99-1")
    shell.run("value[0] = 1", "mine")
    assert "value is no longer what the lesson made" in verdict.text(stands(book, shell))


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


@pytest.mark.parametrize(("ran", "outcome", "told"), [
    ("", "not attempted", "halve: your cell has not run since the kernel started.\nRun it; after a restart"),
    ("def halve(x)\n    return x", "incorrect", "ended with an error at [1], before it defined halve."),
    ("def half(x):\n    return x / 2", "incorrect", "asks for halve; your cell defines half"),
])  # fmt: skip
def test_a_function_that_is_not_there_has_a_reason(book, shell, ran, outcome, told):
    shell.run(ran, "exercise-99-1")
    found = stands(book, shell, saved_with(book, exercise_99_1=ran or RIGHT))
    assert found["outcome"] == outcome
    assert told in verdict.text(found)


def test_an_exercise_of_two_parts(book, shell):
    """A function and a judgement: what is there is judged, and the other part is open."""
    cells = {cell.id: cell for cell in book.cells}
    stub = cells["exercise-99-1"].source
    cells["exercise-99-1"].source = f"{stub}\n\n\n{stub.splitlines()[-1].strip()}"
    cells["check-99-1-02"].source = "print(f'{expected:.1f}')"
    shell.run(cells["exercise-99-1"].source, "exercise-99-1")
    found = stands(book, shell, saved_with(book))
    assert (found["outcome"], found["notes"]) == ("not attempted", [])
    shell.run(f"{RIGHT}\n\n\n{stub.splitlines()[-1].strip()}", "exercise-99-1")
    text = verdict.text(stands(book, shell))
    assert text.startswith("99.1 ◐ partly: 1 of 2")
    assert "Your cell ended with an error at [2], before it defined expected." in text
    assert "This part is not attempted yet." in text
    shell.user_ns["expected"] = 4.0
    shell.run(cells["exercise-99-1"].source, "exercise-99-1")
    assert "part is open" not in verdict.text(stands(book, shell))  # nothing is answered yet
    shell.run(
        f"{RIGHT}\n\n\n{stub.splitlines()[-1].strip()}", "exercise-99-1"
    )  # as where no visible check takes it
    text = verdict.text(stands(book, shell))
    assert text.startswith("99.1 ✔ correct")
    assert "that still stands in it: that part is open" in text
    assert "Answer the open part as well" in text
    shell.run(f"{RIGHT}\nexpected = 4.0", "exercise-99-1")
    assert verdict.text(stands(book, shell)).splitlines()[1] == "Go on."
    assert stands(book, shell)["outcome"] == "correct"


def test_an_answer_that_ends_the_kernel_is_no_answer(book, shell, monkeypatch):
    """`quit` of a notebook only asks the kernel to end when the cell has: the check went on to "correct"."""
    ended = []
    monkeypatch.setattr(judge, "get_ipython", lambda: shell)
    shell.ask_exit = lambda: ended.append(True)
    shell.run("def halve(x):\n    quit()\n    return x / 2", "exercise-99-1")
    text = verdict.text(stands(book, shell))
    assert "SystemExit: quit() and exit() end the notebook's kernel: leave them out" in text
    assert ended == []
    shell.ask_exit()
    assert ended == [True]


def test_a_wrong_answer_that_is_right_on_a_changed_lesson_is_told_so(book, shell):
    """The grader runs the lesson as it was given and gives such an answer nothing."""
    shell.run("value = 4.0", "mine")
    shell.run("def halve(x):\n    return 2.5 if x == 5 else x", "exercise-99-1")
    found = stands(book, shell)
    assert found["outcome"] == "correct"
    assert "value is no longer what the lesson made of it" in verdict.text(found)

"""A released notebook, a repository with it, a student's copy and a shell, and ways to change them."""

import os
import subprocess
import time

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from course import contract
from course.learn import history, judge, odd
from course.learn.copies import equipped
from tests.course.test_contract import example

NAME = "1_series/99_example.ipynb"
RIGHT = "def halve(x):\n    return x / 2"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "notebooks" / NAME
    path.parent.mkdir(parents=True)
    nbformat.write(example(), path)
    return path


@pytest.fixture
def repository(source, tmp_path):
    """The source in a repository, committed."""
    commit(tmp_path / "notebooks", "init", "-q")
    commit(tmp_path / "notebooks", "add", ".")
    commit(tmp_path / "notebooks", "commit", "-qm", "The course")
    return source


def commit(folder, *arguments):
    author = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, *arguments], check=True, env={**os.environ, **author})


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
        nbformat.v4.new_markdown_cell("## 1 The value", id="text-99-02"),
        code("value = 8.0", "code-99-01"),
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


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def answer_in(source):
    """Work in the source by mistake: an answer, and a wanted output that Run All replaced."""
    book = nbformat.read(source, 4)
    next(cell for cell in book.cells if cell.id == "exercise-99-2").source = "answer = 41"
    next(cell for cell in book.cells if cell.id == "check-99-1-01").outputs[0].text = "7\n"
    nbformat.write(book, source)

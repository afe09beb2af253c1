"""For self_check every solution of the course is correct, and what is given out is not attempted.

The lessons take turns, another third than those whose references the tests of the grader see.
"""

import builtins
import contextlib

import matplotlib
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell

from course import contract
from course.grade import plan
from course.learn import history, judge
from course.learn.copies import equipped
from course.notebooks import all_notebooks
from tests.turns import share

WITH_EXERCISES = [path for path in all_notebooks() if contract.exercises(nbformat.read(path, 4))]


@pytest.mark.parametrize("path", share(WITH_EXERCISES, 3, later=1), ids=lambda path: path.name[:2])
def test_every_solution_is_correct(path, monkeypatch, plain_shell):
    """Of the lesson, what its checks need; the answers stand in the order of the lesson."""
    monkeypatch.setattr(history, "RAN", [])
    source = nbformat.read(path, 4)
    copy = equipped(contract.student_copy(source))
    given = {exercise.id: exercise for exercise in contract.exercises(copy)}
    solved = {exercise.id: exercise.source for exercise in contract.exercises(source)}
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    for step in plan.steps(source):
        if "exercise" not in step:
            exec(step["source"], namespace)
            continue
        name = step["exercise"]
        for text, outcome in ((given[name].source, contract.MISSING), (solved[name], contract.CORRECT)):
            answered(text, namespace)
            found = judge.judged(copy, given[name], namespace, None, solved[name])
            assert (name, found["outcome"]) == (name, outcome)


def answered(text, namespace):
    """Run an exercise's cell; one without a function raises as it is given out."""
    with contextlib.suppress(NotImplementedError):
        exec(TransformerManager().transform_cell(text), namespace)


@pytest.fixture
def plain_shell():
    """IPython for the lesson's magics and display, without a terminal or pictures."""
    matplotlib.use("agg")
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()

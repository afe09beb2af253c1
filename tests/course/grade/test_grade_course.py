"""Every exercise of every notebook is gradable: the reference earns all, wrong answers what they deserve.

The lessons take turns with both (tests.turns), in different weeks.

The wrong answers stand in wrong_answers beside this file, with the points that each check gives them. All of
it goes the way that a submission goes: merged, cut to what the checks need, run by nbval in the sandbox.
"""

import json

import nbformat
import pytest

from course import contract
from course.grade import slicing, submission
from course.notebooks import NOTEBOOKS, find_checked, lessons
from tests.course.grade.wrong import rounds, wrong_answers
from tests.turns import share

LIMITS = {"seconds": 120, "run_seconds": 900}
NUMBERS = [path.name[:2] for path in lessons()]
each_lesson = pytest.mark.parametrize("number", NUMBERS)


def grade(number, answers):
    """Grade a student copy of a notebook with these {exercise id: source}."""
    content = find_checked(number).read_bytes()
    reference = nbformat.reads(content.decode(), as_version=4)
    book = contract.student_copy(reference)
    cells = {exercise.cell: answers.get(exercise.id) for exercise in contract.exercises(reference)}
    for cell in book.cells:
        cell.source = cells.get(cell.id) or cell.source
    result = submission.grade(json.dumps(book).encode(), content, LIMITS)
    assert (result["status"], result["notes"]) == ("graded", [])
    return {row["exercise"]: row for row in result["exercises"]}


@pytest.mark.parametrize("number", share(NUMBERS, 3, later=2))
def test_the_reference_earns_everything_through_the_slice(number):
    reference = nbformat.read(find_checked(number), 4)
    for exercise, row in grade(number, {one.id: one.source for one in contract.exercises(reference)}).items():
        assert row["outcome"] == "correct", (exercise, row["checks"])
        assert row["points"] == row["possible"]


@each_lesson
def test_stubs_earn_nothing(number):
    for row in grade(number, {}).values():
        assert (row["points"], row["outcome"]) == (0, "not attempted")


@each_lesson
def test_the_checks_of_an_exercise_need_nothing_of_another(number):
    """A student may answer one exercise alone, and then the cells of the others do not run."""
    reference = nbformat.read(find_checked(number), 4)
    code = [cell for cell in reference.cells if cell.cell_type == "code"]
    names = {cell.id: slicing.names(cell.source) for cell in code}
    for exercise in contract.exercises(reference):
        own = {exercise.cell, *(check.cell for check in exercise.checks)}
        for place, cell in enumerate(code):
            if cell.id in own:
                above = [other for other in code[:place] if other.id in own or not contract.course(other)]
                known = set().union(*(names[other.id].binds for other in above))
                others = [other for other in code if contract.course(other) and other.id not in own]
                theirs = set().union(*(names[other.id].binds for other in others))
                assert not (names[cell.id].loads & theirs) - known, f"{cell.id} needs another exercise"


@each_lesson
def test_every_exercise_has_two_wrong_answers_and_every_hidden_check_one_that_fails_it(number):
    for exercise in contract.exercises(nbformat.read(find_checked(number), 4)):
        known = [answer.points for answer in wrong_answers(number) if answer.exercise == exercise.id]
        assert len(known) >= 2, f"{exercise.id}: add to wrong_answers/{number}.txt"
        for place, check in enumerate(exercise.checks):
            failed = any(points[place] == 0 for points in known)
            assert failed or not check.hidden, f"{check.cell}: add an answer that earns nothing there"


@pytest.mark.parametrize("number", share(NUMBERS, 3))
def test_wrong_answers_earn_what_they_deserve(number):
    for chosen in rounds(number):
        rows = grade(number, {answer.exercise: answer.source for answer in chosen})
        for answer in chosen:
            earns_what_it_deserves(answer, rows[answer.exercise], number)


def earns_what_it_deserves(answer, row, number):
    """Assert that a wrong answer's row has the points, the outcome and the messages that it should have."""
    exercises = contract.exercises(nbformat.read(find_checked(number), 4))
    messages = {check.cell: check.message for exercise in exercises for check in exercise.checks}
    earned = tuple(check["points"] for check in row["checks"])
    if find_checked(number).is_relative_to(NOTEBOOKS):  # the sample may be kinder to a mistake
        assert earned == answer.points, (answer.exercise, answer.why, row["checks"])
    assert row["outcome"] == ("partly" if any(earned) else "incorrect")
    for check in row["checks"]:
        assert check["message"] == ("" if check["passed"] else messages[check["check"]])
        assert not (check["hidden"] and (check["got"] or check["expected"]))

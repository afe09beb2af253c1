"""Every check of the course takes a right answer in any harmless form, and no empty or wrongly shaped one.

Each exercise's reference goes through ten disguises and has to keep all points; then answers without content
take its place and have to earn none, and guesses, which may pass no hidden check. In one run each exercise of
a third of the lessons gets one disguise and one empty answer, other ones each week (tests.turns).
"""

import json
import math

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from course import contract
from course.grade import plan, slicing, submission
from course.grade.conform import conform
from course.learn import judge
from course.notebooks import find_checked, lessons
from tests.turns import each_in_turn, share

LIMITS = {"seconds": 60, "run_seconds": 900}
each_lesson = pytest.mark.parametrize("number", share([path.name[:2] for path in lessons()], 3))
EACH = """
def _each(value, change):
    if isinstance(value, (dict, set, slice)):  # has no other form
        return value
    if type(value) in (tuple, list) and any(hasattr(one, "__len__") for one in value):
        return type(value)(_each(one, change) for one in value)
    return change(value)

def _array(value):
    numpy = __import__("numpy")  # as no cell imports it: that would ask for other processes
    return value.detach().numpy() if hasattr(value, "detach") else numpy.asarray(value)

def _tuple(value):
    return tuple(map(_tuple, value)) if isinstance(value, list) else value

def _disguised(function, change):
    import functools
    if not callable(function):
        return _each(function, change)
    return functools.wraps(function)(lambda *args, **kwargs: _each(function(*args, **kwargs), change))
"""
DISGUISES = {
    "float32": "lambda v: _array(v).astype('float32')[()] if _array(v).dtype.kind == 'f' else v",
    # not of pictures: as so many Python numbers they are more than is sent
    "list": "lambda v: _array(v).tolist() if _array(v).size < 10**5 else v",
    "tuple": "lambda v: _tuple(_array(v).tolist()) if _array(v).size < 10**5 else v",
    "tensor": "lambda v: __import__('torch').tensor(_array(v)) if _array(v).dtype.kind in 'fib' else v",
    "numpy_integer": "lambda v: _array(v).astype('int32')[()] if _array(v).dtype.kind == 'i' else v",
    "series": "lambda v: __import__('pandas').Series(_array(v)) if _array(v).ndim == 1 else v",
    "generator": "lambda v: (one for one in _array(v)) if _array(v).ndim else v",
    "float64": "lambda v: _array(v).astype('float64')[()] if _array(v).dtype.kind in 'fi' else v",
    "extra_dimension": "lambda v: _array(v)[None]",
    "fortran": "lambda v: __import__('numpy').array(_array(v), order='F')",
}
NOTHING = {
    "empty": "__import__('numpy').empty((0, 1, 1))",
    "empty_list": "[]",
    "none": "None",
    "zero_dimensions": "__import__('numpy').array(-7.25)",
    "wrong_shape": "__import__('numpy').ones((7, 3, 2))",
    "empty_table": "__import__('pandas').DataFrame()",
}
GUESSES = {"zero": "0.0", "first_argument": "args[0] if args else 0"}  # may be what a visible check shows


def test_in_time_each_lesson_meets_each_kind():
    """A third of the lessons each week, and one of the kinds: no common divisor keeps them apart."""
    assert math.gcd(len(DISGUISES), 3) == math.gcd(len(NOTHING | GUESSES), 3) == 1


def hand_ins(number, kinds, change):
    """({exercise: name of the kind}, {exercise: row}) of each hand-in whose turn it is.

    change(source of the reference, names that it defines, the kind's value) gives an exercise's answer.
    """
    content = find_checked(number).read_bytes()
    reference = nbformat.reads(content.decode(), as_version=4)
    exercises = {one.id: one for one in contract.exercises(reference)}
    for chosen in each_in_turn(exercises, kinds):
        book = contract.student_copy(reference)
        for name, one in exercises.items():
            names = sorted(slicing.names(one.source).binds - slicing.names(one.source).imports)
            answer = change(one.source, names, kinds[chosen[name]])
            next(cell for cell in book.cells if cell.id == one.cell).source = answer
        result = submission.grade(json.dumps(book).encode(), content, LIMITS)
        assert (result["status"], result["notes"]) == ("graded", [])
        yield chosen, {row["exercise"]: row for row in result["exercises"]}


def disguised(source, names, change):
    return "\n".join([source, EACH, *(f"{name} = _disguised({name}, {change})" for name in names)])


def without_content(source, names, value):
    return "\n".join(f"def {name}(*args, **kwargs):\n    return {value}" for name in names)


@each_lesson
def test_a_right_answer_counts_in_every_form(number):
    for forms, rows in hand_ins(number, DISGUISES, disguised):
        for exercise, row in rows.items():
            assert row["points"] == row["possible"], (forms[exercise], exercise, row["checks"])


@pytest.mark.parametrize("number", ["11", "12", "22"])
def test_in_the_students_notebook_the_same_forms_count(number):
    """What self_check says of the visible checks is what the grader says of them, in every form."""
    content = find_checked(number).read_bytes()
    copied = contract.student_copy(nbformat.reads(content.decode(), as_version=4))
    asked = {one.id: one for one in contract.exercises(copied)}
    namespace = {"__name__": "__main__"}
    for step in plan.steps(plan.opened(content)):
        exec(step["source"], namespace)
        names = slicing.names(step["source"]).binds - slicing.names(step["source"]).imports
        for form, change in DISGUISES.items() if "exercise" in step else ():
            changed = "\n".join(f"{name} = _disguised({name}, {change})" for name in sorted(names))
            exec(EACH + changed, own := dict(namespace))
            found = judge.judged(copied, asked[step["exercise"]], own, None, step["source"])
            assert found["outcome"] == contract.CORRECT, (step["exercise"], form, found["checks"])


@each_lesson
def test_an_answer_without_content_earns_nothing(number):
    for forms, rows in hand_ins(number, NOTHING | GUESSES, without_content):
        for exercise, row in rows.items():
            form = forms[exercise]
            looked_at = [check for check in row["checks"] if form in NOTHING or check["hidden"]]
            assert not any(check["passed"] for check in looked_at), (form, exercise, row["checks"])


@pytest.mark.parametrize(
    ("value", "like", "wanted"),
    [
        (np.int64(2), 2, 2),
        (2.0, 2, 2),
        (2.5, 2, 2.5),
        ([3.0], 1.5, 3.0),
        (torch.tensor(0.5), 0.25, 0.5),
        (np.float32(0.1), 0.1, 0.1),
        (np.float32(0.1001), 0.1, float(np.float32(0.1001))),
        (np.bool_(True), True, True),
        ([1, 2], (1, 2), (1, 2)),
        (np.array([[1, 2]]), [5, 6], [1, 2]),
        (pd.Series([1.0, 2.0]), np.zeros(2), np.array([1.0, 2.0])),
        ([[1.0], [2.0]], torch.zeros(2), torch.tensor([1.0, 2.0])),
        ({"a": np.int64(1)}, {"a": 3}, {"a": 1}),
        ([2, 1], {1, 2}, {1, 2}),
        ((torch.tensor([1.0]), 2), (np.zeros(1), 0.5), (np.array([1.0]), 2.0)),
        ("text", None, "text"),
        (np.str_("a"), "b", "a"),
        (np.array(["C", "H"]), ["N", "O"], ["C", "H"]),
    ],
)
def test_a_result_takes_the_form_of_the_references(value, like, wanted):
    found = conform(value, like)
    assert type(found) is type(wanted)
    if isinstance(wanted, (np.ndarray, torch.Tensor)):
        assert found.tolist() == wanted.tolist()
        assert found.dtype == like.dtype
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("value", "like"),
    [
        (np.empty((0, 1, 1)), 0.5),
        (np.empty((0, 1, 1)), np.zeros(3)),
        ([], 1),
        (None, 1),
        (None, np.zeros(3)),
        ("1", 1.0),
        (np.zeros((3, 2)), np.zeros((2, 3))),
        (np.zeros(4), np.zeros(3)),
        ([1, 2, 3], (1, 2)),
        ([1, None], (1.0, 2.0)),
        ({}, {"a": 1}),
        (pd.DataFrame(), pd.DataFrame({"a": [1]})),
        (5, {1, 2}),
        (1, "text"),
    ],
)
def test_another_shape_is_no_answer(value, like):
    with pytest.raises(ValueError, match="the result"):
        conform(value, like)

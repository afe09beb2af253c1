"""The trial of a reference, and ways of grading beside the ordinary one."""

import json

import nbformat
import pytest

from course import contract, notebooks
from course.grade import batch, submission
from tests.course.grade.attacks import HOSTILE, OVERWRITE
from tests.course.grade.exam import LIMITS, RIGHT, answered, by_id, points, reference


def test_an_answer_may_use_what_the_checks_do_not():
    """The lesson's cells that no check needs run for who uses their names."""
    book = reference()
    book.cells[4].source = "factors = [1, 2]\nprint(undefined_below_this)"
    content = json.dumps(book).encode()
    used = answered("def twice(x):\n    return factors[1] * x")
    assert points(submission.grade(json.dumps(used).encode(), content, LIMITS)) == [3, 2]


def test_without_namespaces_the_points_are_the_same():
    path = json.dumps(reference()).encode()
    for source, expected in ((RIGHT, [3, 2]), (OVERWRITE, [0, 2]), (HOSTILE["exits-hard"], [0, 2])):
        result = submission.grade(json.dumps(answered(source)).encode(), path, {**LIMITS, "isolated": False})
        assert result["isolation"] == "limits only"
        assert points(result) == expected


def test_the_trial_takes_the_whole_notebook_where_the_slice_is_not_enough(tmp_path, monkeypatch):
    book = reference()
    book.cells[4].source = "def fill(box):\n    box.append(21)\n    return True\n\nbox = []\ndone = fill(box)"
    by_id(book)["check-98-1-02"].source += "\nassert twice(box[0]) == 42"
    monkeypatch.setattr(batch, "TRIALS", tmp_path)
    limits = batch.verified("98", "98_exam", json.dumps(book).encode())
    assert limits["whole"]
    assert limits["seconds"] == 10
    assert batch.remembered("98_exam") == limits
    assert batch.remembered("98_exam", "another state") is None


@pytest.mark.parametrize(("name", "other"), [("version", lambda name: "99.0"), ("data_digest", lambda: "x")])
def test_a_trial_is_made_again_after_an_upgrade_or_with_other_data(name, other, monkeypatch):
    before = batch.state_of(b"reference")
    assert batch.state_of(b"reference") == before
    monkeypatch.setattr(notebooks, name, other)
    assert batch.state_of(b"reference") != before


def test_a_reference_that_fails_here_is_not_graded_by(tmp_path, monkeypatch):
    book = reference()
    by_id(book)["check-98-1-01"].outputs[0].text = "7\n"
    by_id(book)["code-98-04"].source = ""
    monkeypatch.setattr(batch, "TRIALS", tmp_path)
    with pytest.raises(SystemExit, match="the reference itself does not earn all points here: check-98-1-01"):
        batch.verified("98", "98_exam", json.dumps(book).encode())
    content = json.dumps(answered(RIGHT)).encode()
    result = submission.grade(content, json.dumps(book).encode(), LIMITS)  # nor is a student told so
    assert result["status"] == "not graded"
    assert "exercise 98.1: the reference itself fails here" in result["notes"][0]
    assert points(result) == [0, 2]


def test_a_release_without_solutions_grades_by_its_visible_checks():
    copied = nbformat.writes(contract.student_copy(reference()), version=4).encode()
    result = submission.grade(json.dumps(answered(RIGHT)).encode(), copied, LIMITS)
    assert (points(result), result["possible"]) == ([2, 1], 3)
    assert [row["outcome"] for row in result["exercises"]] == ["correct", "correct"]

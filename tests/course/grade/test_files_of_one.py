"""Which of a student's files counts: late ones, copies, parts that are graded again, two lessons in one."""

import argparse
import json
import time

import pytest

from course.grade import batch, collect, gradebook
from tests.course.grade.exam import RIGHT, answered, reference

DAY, DEADLINE = 86400, 1_000_000_000
EXAM = json.dumps(reference())
KNOWN = {number: (f"{number}_exam", EXAM.replace("98", number).encode()) for number in ("97", "98")}
LIMITS = {"run_seconds": 60}


def files(**times):
    """Files of these names with the days that they are late."""
    return [batch.Sent(name.encode(), name, name, DEADLINE + days * DAY - 1) for name, days in times.items()]


@pytest.fixture
def worth(monkeypatch):
    """Let a file earn what this says of its name, and note which were graded."""
    points, seen = {}, []

    def grade(content, reference, limits, only=()):
        seen.append(content.decode())
        rows = [{"outcome": "correct", "checks": [{"check": "x", "points": points[content.decode()]}]}]
        return {"status": "graded", "notes": [], "exercises": rows}

    monkeypatch.setattr(batch.submission, "grade", grade)
    return points, seen


@pytest.mark.parametrize(
    ("earned", "late", "free", "counts"),
    [
        ({"a": 3, "b": 5}, {"a": 0, "b": 4}, 0, "a"),  # 5 less 80 percent
        ({"a": 3, "b": 5}, {"a": 0, "b": 4}, 4, "b"),
        ({"a": 3, "b": 5}, {"a": 0, "b": 1}, 0, "b"),
        ({"a": 5, "b": 5}, {"a": 4, "b": 0}, 4, "b"),  # of equal files the earlier
        ({"a": 5, "b": 5}, {"a": 0, "b": 0}, 0, "a"),
        ({"a": 0, "b": 0}, {"a": 9, "b": 0}, 0, "b"),
    ],
)
def test_a_better_late_file_does_not_destroy_what_was_in_time(worth, earned, late, free, counts):
    worth[0].update(earned)
    how = gradebook.Lateness(DEADLINE, 20.0, free)
    found = batch.best(files(**late), "a", KNOWN["98"][1], LIMITS, (), how)
    assert found["file"] == counts
    assert found["notes"][0].startswith(f"of several files {counts} counts")


def test_what_is_graded_again_is_of_the_file_that_counted(worth):
    points, seen = worth
    points.update(a=3, b=5)
    found = batch.best(files(a=0, b=0), "a", KNOWN["98"][1], LIMITS, ("98.1",), batch.IN_TIME, "a")
    assert (found["file"], seen) == ("a", ["a"])
    found = batch.best(files(b=0), "a", KNOWN["98"][1], LIMITS, ("98.1",), batch.IN_TIME, "a")
    assert found["file"] == "b"  # that one is not there any more


def test_who_was_not_graded_before_is_graded_whole_and_free_days_are_counted_once(tmp_path):
    students = {name: collect.Student(name) for name in ("ada", "alan")}
    options = batch.Options(exercises=("98.1",), deadline=1.0, late_free=3)
    book = gradebook.Book(tmp_path, students, options)
    book.results["ada"] = {"97_exam": {"late_days": 2}, "98_exam": {"status": "graded", "file": "x.ipynb"}}
    only, late, before = book.how("ada", "98_exam")
    assert (only, late.free, before) == (("98.1",), 1, "x.ipynb")
    assert book.how("alan", "98_exam")[0] == ()


def student(tmp_path, **books):
    found = collect.Student("ada")
    for name, book in books.items():
        path = tmp_path / f"{name}.ipynb"
        path.write_text(json.dumps(book))
        found.files.append(collect.file_at(path))
    return found


def test_untouched_copies_do_not_crowd_out_the_answers(tmp_path):
    copies = {f"98_exam-Copy{place}": answered(None, None) for place in range(2, 7)}
    ada = student(tmp_path, **{"98_exam": answered(None, None), "98_exam-Copy1": answered(RIGHT), **copies})
    chosen = batch.assign(ada, KNOWN)["98"]
    assert len(chosen) == batch.MOST_COPIES
    assert chosen[0].stem == "98_exam-Copy1"
    (note,) = ada.notes
    assert "not looked at: 98_exam-Copy3.ipynb, 98_exam-Copy2.ipynb" in note


def test_a_file_with_two_lessons_says_for_which_it_counts(tmp_path):
    both = answered(RIGHT)
    both.cells += json.loads(json.dumps(answered(RIGHT)).replace("98", "97"))["cells"][:6]
    ada = student(tmp_path, both=both)
    assert list(batch.assign(ada, KNOWN)) == ["98"]
    assert ada.notes == ["both.ipynb also holds exercises of 97: it counts for 98 alone"]


def test_what_has_not_begun_does_not_begin_after_an_interrupt(monkeypatch):
    begun = []
    monkeypatch.setattr(batch, "best", lambda name: begun.append(name) or time.sleep(0.2))
    results = batch.results_of({name: (name,) for name in range(20)}, 1)
    next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert len(begun) <= 3
    time.sleep(0.5)
    assert len(begun) <= 3


@pytest.mark.parametrize("text", ["0", "-1", "x", ""])
def test_no_job_at_once_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a whole number from 1 on"):
        batch.count(text)

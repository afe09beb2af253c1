"""What a later run does to what an earlier one found: columns, deadlines, chosen files, names, memory."""

import csv
import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from course.grade import batch, due, exchange, gradebook, report
from tests.course.grade.exam import LIMITS, RIGHT, answered, reference

DEADLINE = datetime(2026, 1, 1, 12).timestamp()
DAY = 86400
GOOD, HALF = json.dumps(answered(RIGHT)), json.dumps(answered("def twice(x):\n    return 3 * x"))
CANVAS = "Student,ID,SIS User ID,SIS Login ID,Section,Week 1 (4710),Week 2 (4711)\n"
CANVAS += '    Points Possible,,,,,5,5\n"Lovelace, Ada",12345,u1,ada,S,,\n'
MOODLE = "Identifier,Full name,Email address,ID number,Grade,Maximum Grade\nParticipant 1,Ada,a@x,u1,,10\n"


def put(path, content, days=None):
    """Write a file; days: how long after the deadline it was handed in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    if days is not None:
        os.utime(path, (DEADLINE + days * DAY - 1,) * 2)
    return path


def grade(folder, **options):
    """{student: result} of what lies in folder/in, against the small exam."""
    path = put(folder / "98_exam.ipynb", json.dumps(reference()))
    chosen = batch.Options(**{"notebooks": ("98",), **options})
    found, *_ = batch.grade_class(folder / "in", folder / "out", chosen, paths=[path], limits=LIMITS)
    return {who: each["98_exam"] for who, each in found.items()}


def result(points, row="98.1", **more):
    earned = {"points": points, "possible": 5}
    rows = [{"exercise": row, **earned, "outcome": "correct", "note": "", "checks": []}]
    start = {"status": "graded", "notes": [], **earned, "exercises": rows}
    return {**start, **more}


@pytest.mark.parametrize(("text", "column", "written"), [(CANVAS, "Week 2 (4711)", "0"), (MOODLE, "", "0")])
def test_the_platforms_column_gets_the_points_of_this_run(tmp_path, text, column, written):
    """Week 1 has 5 of 5 points, week 2 has 0: 5 of 10 would stand in week 2's column."""
    roster = exchange.read(put(tmp_path / "roster.csv", text))
    weeks = {"u1": {"97_more": result(0, "97.1"), "98_exam": result(5)}}
    numbers = due.of_each(weeks, {"97": {"u1"}, "96": {"u2"}, "95": {"u1"}}, {"97"}, {"96", "97"})
    assert numbers == {"u1": {"97"}}
    gradebook.write(tmp_path / "out", weeks, {}, roster, column, numbers)
    with open(tmp_path / "out" / f"{roster.kind}.csv", newline="") as file:
        row = next(row for row in csv.DictReader(file) if roster.identifier(row) == "u1")
    assert row[column or "Grade"] == written
    assert report.total(weeks["u1"]) == (5, 10)


def test_a_column_that_the_roster_does_not_have_is_refused(tmp_path):
    roster = exchange.read(put(tmp_path / "roster.csv", CANVAS))
    with pytest.raises(SystemExit, match="COLUMN=Week 3: not in the roster; allowed are Week 1"):
        grade(tmp_path, roster=roster, column="Week 3")


def test_who_was_graded_under_another_name_than_the_rosters_is_told(tmp_path, capsys):
    roster = exchange.read(put(tmp_path / "roster.csv", CANVAS))
    gradebook.write_one(tmp_path, "ada", {"98_exam": result(5)}, {})
    for options, told in ((batch.Options(), False), (batch.Options(roster=roster), True)):
        gradebook.Book(tmp_path, {"u1": None}, options)
        assert ("graded before and not in the roster: ada;" in capsys.readouterr().out) is told


NAMES = ["2021/17", "\u0958" * 80, "x" * 251 + ".csv", "grades.csv", "\udcff bytes", ".a%2F"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_same_in_the_next_run_whatever_its_folder_is_called(tmp_path, name):
    gradebook.write_one(tmp_path, name, {"98_exam": result(5)}, {})
    (folder,) = (path.parent for path in tmp_path.glob("*/report.json"))
    assert len(os.fsencode(folder.name)) < 256
    assert gradebook.earlier(tmp_path, {}) == {name: {"98_exam": result(5)}}


def test_two_long_names_have_two_folders(tmp_path):
    assert gradebook.folder_of(tmp_path, "x" * 250 + "a") != gradebook.folder_of(tmp_path, "x" * 250 + "b")


def test_a_report_from_before_names_had_a_key_is_its_folders(tmp_path):
    put(tmp_path / "grades.csv_" / "report.json", '{"notebooks": {"98_exam": {}}}')
    assert gradebook.earlier(tmp_path, {}) == {"grades.csv": {"98_exam": {}}}


@pytest.mark.parametrize("text", ['{"notebooks": {"98', "[]", '{"notebooks": 3}', ""])
def test_a_damaged_memory_stops_the_run_and_is_named(tmp_path, text):
    """Without it, earlier weeks would be gone from all tables without a word."""
    path = put(tmp_path / "ada" / "report.json", text)
    with pytest.raises(SystemExit, match="ada/report.json: is damaged"):
        gradebook.earlier(tmp_path, {})
    assert path.read_text() == text


def test_a_report_that_could_not_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    gradebook.write_one(tmp_path, "ada", {"98_exam": result(5)}, {})
    before = (tmp_path / "ada" / "report.json").read_text()
    half = lambda path, text, **_: path.write_bytes(text.encode()[:40]) and 1 / 0
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(ZeroDivisionError):
        gradebook.write_one(tmp_path, "ada", {"98_exam": result(0)}, {}, {})
    assert (tmp_path / "ada" / "report.json").read_text() == before


def test_a_date_alone_counts_to_its_end():
    assert batch.seconds("2026-11-30") == batch.seconds("2026-12-01T00:00")
    assert batch.seconds("2026-11-30T00:00") == batch.seconds("2026-11-30") - DAY


LATE = {"late_days": 2, "late_percent": 20.0, "late_free": 0}


@pytest.mark.parametrize(
    ("before", "deadline", "days"), [(LATE, 7, 0), ({}, 0, 2), (LATE, None, 2), ({}, None, 0), (LATE, 1, 1)]
)
def test_an_exercise_that_is_graded_again_has_the_deadline_of_this_run(before, deadline, days):
    """deadline: by how many days it is later now; the file came 2 days late at first."""
    moved = None if deadline is None else DEADLINE + deadline * DAY
    options = batch.Options(deadline=moved, late_percent=20.0)
    late = gradebook.lateness(before, DEADLINE + 2 * DAY - 1, False, options)
    found = gradebook.added({"98_exam": result(5, **before)}, "98_exam", result(5, **late), ("98.1",))
    assert found["98_exam"].get("late_days", 0) == days
    assert gradebook.adjusted(found, {})["98_exam"]["points"] == 5 - days


def test_a_file_that_comes_back_without_late_is_not_late_any_more():
    first = gradebook.lateness({}, None, True, batch.Options(late_percent=20.0))
    assert first["late_days"] == 1
    assert gradebook.lateness(first, None, False, batch.Options()) == {}


BY_HAND = "student;exercise;points;comment\r\nada ; 98.1;2,5;nearly\r\nAda;98.1;1;\r\nada;98.7;1;\r\n;;;\r\n"


def test_points_by_hand_come_from_any_spreadsheet_and_what_changes_nothing_is_said(tmp_path, capsys):
    put(tmp_path / "manual.csv", BY_HAND)
    found = gradebook.write(tmp_path, {"ada": {"98_exam": result(5)}}, {})
    assert found["ada"]["98_exam"]["points"] == 2.5
    said = capsys.readouterr().out.splitlines()
    assert said == ["manual.csv: ada, 98.7: changes nothing, was not graded for this student",
                    "manual.csv: Ada, 98.1: changes nothing, nobody is called so"]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("student,exercise,points,comment\nJürgen,98.1,2,\n".encode("cp1252"), "save it as CSV in UTF-8"),
        (b"student,exercise,points,comment\nada,98.1,nan,\n", "line 2: points 'nan'; allowed is a number"),
        (b"student,exercise,points,comment\nada,98.1,two,\n", "line 2: points 'two'; allowed is a number"),
        (b"name,exercise,points\nada,98.1,2\n", "no column student; its first line must be student,exercise"),
        (b"", "no column exercise, points, student"),
    ],
)
def test_points_by_hand_that_cannot_be_read_are_refused(tmp_path, content, said):
    (tmp_path / "manual.csv").write_bytes(content)
    with pytest.raises(SystemExit, match=said):
        gradebook.by_hand(tmp_path)


def test_anonymous_names_stay_whatever_the_students_name_begins_with(tmp_path):
    students = ["'Ndrangheta", "=cmd", "\udcff bytes", "ada", "''x"]
    first = gradebook.names_of(tmp_path, students, True)
    assert set(first) == set(students)
    assert gradebook.names_of(tmp_path, students, True) == first

"""What learning platforms give and take: folders, flat names, zips, clones, rosters, tables, weeks."""

import csv
import json
import os
import unicodedata
from datetime import datetime
from pathlib import Path

import pytest

from course.grade import batch, collect, exchange, gradebook, reading
from course.grade.synthetic import zipped
from tests.course.grade.exam import LIMITS, RIGHT, answered, reference

GOOD, HALF = json.dumps(answered(RIGHT)), json.dumps(answered("def twice(x):\n    return 3 * x"))
NOTHING = json.dumps(answered(None, None))
MOODLE = "Identifier,Full name,Email address,ID number,Status,Grade,Maximum Grade,Feedback comments\n"
MOODLE += "Participant 12345,Ada Lovelace,ada@x.org,u1,Submitted,,10.00,\n"
MOODLE += "Participant 12346,Alan Turing,alan@x.org,u2,,,10.00,\n"
CANVAS = "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Week 2 (4711)\n    Points Possible,,,,,5\n"
CANVAS += '"Lovelace, Ada",12345,u1,ada,S,\n"Turing, Alan",12346,u2,alan,S,\n'
GITHUB = '"identifier","github_username","github_id","name"\n"u1","ada-l","1",""\n'


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def names(folder, tmp_path, count=0):
    unpacked = tmp_path / f"unpacked{count}"
    unpacked.mkdir()
    return {key: [file.shown for file in one.files] for key, one in collect.collect(folder, unpacked).items()}


def test_moodle_in_folders_and_flat(tmp_path):
    inbox = tmp_path / "in"
    put(inbox, "Lovelace Ada_12345_assignsubmission_file_/12_x.ipynb", GOOD)
    put(inbox, "Turing Alan_12346_assignsubmission_file_12_x.ipynb", GOOD)
    put(inbox, "O_Hara_12347_assignsubmission_file/deep/12_x.ipynb", GOOD)
    found = names(inbox, tmp_path)
    assert found == {"Lovelace Ada_12345": ["12_x.ipynb"], "Turing Alan_12346": ["12_x.ipynb"],
                     "O_Hara_12347": ["12_x.ipynb"]}  # fmt: skip


def test_canvas_in_one_folder_is_one_student_with_several_files(tmp_path):
    inbox = tmp_path / "in"
    for name in ("lovelaceada_12345_678901_12_x-1.ipynb", "lovelaceada_LATE_12345_678902_22_y.ipynb"):
        put(inbox, name, GOOD)
    put(inbox, "turingalan_12346_678903_work.zip", zipped({"a/12_x.ipynb": GOOD}))
    found = names(inbox, tmp_path)
    assert found == {"lovelaceada_12345": ["12_x-1.ipynb", "22_y.ipynb"], "turingalan_12346": ["12_x.ipynb"]}


def test_the_attempts_of_blackboard_are_one_student(tmp_path):
    for moment, name in (("2026-11-26-09-00-00", "12_x.ipynb"), ("2026-11-27-10-30-00", "x.zip")):
        content = zipped({"a/12_x.ipynb": GOOD}) if name == "x.zip" else GOOD
        put(tmp_path / "in", f"Week 2_Part_ada_attempt_{moment}_{name}", content)
        put(tmp_path / "in", f"Week 2_Part_ada_attempt_{moment}.txt", "Name: Ada")
    put(tmp_path / "in", "x_bob_attempt_2026-11-27-10-30-00_ada_attempt_2026-11-27-10-30-00_12_x.ipynb", GOOD)
    found = names(tmp_path / "in", tmp_path)
    long = "ada_attempt_2026-11-27-10-30-00_12_x.ipynb"  # what bob called it
    assert found == {"ada": ["12_x.ipynb", "12_x.ipynb"], "bob": [long]}


def test_a_file_that_is_named_like_somebody_elses_is_its_owners(tmp_path):
    inbox = tmp_path / "in"
    put(inbox, "turingalan_12346_678903_x_12345_assignsubmission_file_98_exam.ipynb", GOOD)
    put(inbox, "Turing Alan_12346_assignsubmission_file_x_12345_assignsubmission_file_98_exam.ipynb", GOOD)
    assert set(names(inbox, tmp_path)) == {"turingalan_12346", "Turing Alan_12346"}


def test_a_class_in_a_zip_goes_on_after_what_cannot_be_unpacked(tmp_path, capsys):
    odd = ("ü" * 200 + ".ipynb", "a.ipynb", "a.ipynb/b.ipynb", "f/" * 3000 + "x.ipynb")
    files = dict.fromkeys((*odd, "ada/12_x.ipynb"), GOOD)
    found = names(put(tmp_path, "class.zip", zipped(files)), tmp_path)
    assert found["ada"] == ["12_x.ipynb"]
    assert capsys.readouterr().err.count("not unpacked") == 3


def test_a_student_has_so_many_notebooks_and_bytes_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "MOST_FILES", 3)
    monkeypatch.setattr(collect, "MOST_UNPACKED", 10)
    for number in range(5):
        put(tmp_path / "in", f"ada/{number}.ipynb", GOOD)
        put(tmp_path / "in", f"alan/{number}.zip", zipped({"x.ipynb": GOOD}))
    (tmp_path / "unpacked").mkdir()
    found = collect.collect(tmp_path / "in", tmp_path / "unpacked")
    assert [len(found[name].files) for name in ("ada", "alan")] == [3, 1]
    assert found["ada"].notes == ["more than 3 notebooks: the rest is not looked at"]
    assert found["alan"].notes == ["more than 0 MB in zips: the rest is not looked at"]


def test_zips_of_a_student_may_take_so_many_seconds_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "MOST_SECONDS", 0)
    put(tmp_path / "in", "ada.zip", zipped({"x.ipynb": GOOD}))
    (tmp_path / "unpacked").mkdir()
    (found,) = collect.collect(tmp_path / "in", tmp_path / "unpacked").values()
    assert (found.files, found.notes) == ([], ["more than 0 seconds for zips: the rest is not looked at"])


def test_zips_in_a_zip_count_with_their_bytes_and_files(monkeypatch):
    opened, plain, many = [], reading.zipfile.ZipFile, {f"{i}.zip": b"\0" * 10**5 for i in range(300)}
    content, inner = zipped(many), zipped({f"{i}.ipynb": "{}" for i in range(20)})
    nested = zipped({f"{i}.zip": inner for i in range(20)})
    monkeypatch.setattr(reading.zipfile, "ZipFile", lambda file: opened.append(1) or plain(file))
    monkeypatch.setattr(reading, "LARGEST_NOTEBOOK", 10**6)
    reading.unzipped(content, None)
    assert len(opened) == 11  # the zip itself, and ten times 100 kB
    monkeypatch.setattr(reading, "MOST_ZIPPED", 50)
    sent = []
    monkeypatch.setattr(reading, "send", lambda connection, content: sent.append(content))
    reading.unzipped(nested, None)
    assert len(sent) == 2 * 46  # name and content; the zips themselves are files as well


def test_checkpoints_and_what_macos_adds_are_no_hand_in(tmp_path):
    names_in = ["hw/.ipynb_checkpoints/98_exam-checkpoint.ipynb", "__MACOSX/hw/._98_exam.ipynb",
                "hw/._98_exam.ipynb", "hw\\.ipynb_checkpoints\\x.ipynb", "./hw/98_exam.ipynb"]  # fmt: skip
    put(tmp_path / "in", "ada.zip", zipped(dict.fromkeys(names_in, GOOD)))
    for name in names_in:
        put(tmp_path / "in", f"alan/{name}", GOOD)
    assert {tuple(shown) for shown in names(tmp_path / "in", tmp_path).values()} == {("98_exam.ipynb",)}


def test_what_is_no_notebook_is_named_and_has_a_row(tmp_path):
    for name in ("pat.html", "tess.tar.gz", "eve/98_exam.html", "both/98_exam.ipynb", "both/98_exam.py"):
        put(tmp_path / "in", name, GOOD if name.endswith("ipynb") else "x")
    put(tmp_path / "in", "grades.csv", "x")
    (tmp_path / "unpacked").mkdir()
    found = collect.collect(tmp_path / "in", tmp_path / "unpacked")
    notes = {name: one.notes for name, one in found.items()}
    said = "neither a notebook nor a zip: "
    assert notes == {"pat": [f"{said}pat.html"], "tess": [f"{said}tess.tar.gz"],
                     "eve": [f"{said}98_exam.html"], "both": []}  # fmt: skip


def classmates(tmp_path, folders, users):
    """{identifier: names of files} and those who are in no row, of clones and a roster of GitHub names."""
    for name in folders:
        put(tmp_path / "in", f"{name}/.git/config", "")
        put(tmp_path / "in", f"{name}/12_x.ipynb", GOOD)
    rows = "".join(f"u-{user},{user},1,\n" for user in users)
    roster = exchange.read(put(tmp_path, "roster.csv", f"identifier,github_username,github_id,name\n{rows}"))
    (tmp_path / "unpacked").mkdir()
    found, unknown = exchange.renamed(collect.collect(tmp_path / "in", tmp_path / "unpacked"), roster)
    return set(found) - set(unknown), len(unknown)


@pytest.mark.parametrize(
    ("folders", "users", "found"),
    [
        ("week-2-tum-ada week-2-tum-bob", "tum-ada tum-bob", "u-tum-ada u-tum-bob"),
        ("week-2-tum-ada week-2-tum-bob", "tum-ada tum-bob ada", "u-tum-ada u-tum-bob"),
        ("week-2-ada-l", "ada-l alan", "u-ada-l"),
        ("week-2-ada-l week-2-alan", "ada-l alan l", "u-ada-l u-alan"),
        ("week-2-ada-l week-2-alan", "alan l", "u-alan"),  # l is somebody else
    ],
)
def test_a_clone_is_known_by_how_its_name_ends(tmp_path, folders, users, found):
    folders = folders.split()
    named, unknown = classmates(tmp_path, folders, users.split())
    assert named == set(found.split())
    assert unknown == len(folders) - len(named)


def test_names_are_the_same_however_a_system_writes_their_signs(tmp_path):
    name = "Jürgen Müller"
    for form, place in (("NFD", "a"), ("NFC", "b")):
        put(tmp_path / place, f"in/{unicodedata.normalize(form, name)}/12_x.ipynb", GOOD)
        other = unicodedata.normalize({"NFD": "NFC", "NFC": "NFD"}[form], name)
        roster = exchange.read(put(tmp_path, "roster.csv", f"submission,id\n{other},u1\n"))
        (tmp_path / place / "unpacked").mkdir()
        students = collect.collect(tmp_path / place / "in", tmp_path / place / "unpacked")
        assert list(students) == [unicodedata.normalize("NFC", name)]
        assert list(exchange.renamed(students, roster)[0]) == ["u1"]


def test_clones_lose_what_they_share(tmp_path):
    for name in ("week-2-ada-l", "week-2-alan"):
        put(tmp_path / "in", f"{name}/.git/config", "")
        put(tmp_path / "in", f"{name}/notebooks/12_x.ipynb", GOOD)
    assert set(names(tmp_path / "in", tmp_path)) == {"ada-l", "alan"}


def test_a_class_in_a_zip_stays_in_its_folder(tmp_path):
    content = zipped({
        "week/Lovelace Ada_12345_assignsubmission_file_/12_x.ipynb": GOOD,
        "week/Turing Alan_12346_assignsubmission_file_/mine.zip": zipped({"12_x.ipynb": GOOD}),
        "week/../../../outside.ipynb": GOOD,
    })
    put(tmp_path, "class.zip", content)
    found = names(tmp_path / "class.zip", tmp_path)
    assert ["12_x.ipynb"] in found.values()
    assert not (tmp_path / "outside.ipynb").exists()
    assert not (tmp_path.parent / "outside.ipynb").exists()


def bomb():
    """Fifty zips in a zip, each a hundred megabytes of nothing."""
    one = zipped({f"{i}.ipynb": b"\0" * 10**7 for i in range(10)})
    return zipped({f"{i}.zip": one for i in range(50)})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no zip", lambda: b"PK\x03\x04 and nothing"),
        ("bomb", bomb),
        ("nested", lambda: zipped({"a.zip": zipped({"b.zip": zipped({"c.ipynb": "{}"})})})),
        ("names", lambda: zipped({f"{i}.txt": "" for i in range(30_000)})),
        ("dots", lambda: zipped({"../../etc/x.ipynb": "{}", "/etc/y.ipynb": "{}"})),
    ],
)
def test_a_zip_of_a_student_harms_nobody(tmp_path, name, content):
    inbox, unpacked = tmp_path / "in", tmp_path / "unpacked"
    unpacked.mkdir()
    put(inbox, "ada.zip", content())
    (student,) = collect.collect(inbox, unpacked).values()
    size = sum(path.stat().st_size for path in unpacked.rglob("*"))
    assert size <= reading.LARGEST_NOTEBOOK
    assert {path.parent for path in unpacked.rglob("*")} <= {unpacked}
    assert bool(student.files) == (name in ("bomb", "dots")) or student.notes


def grade(tmp_path, **options):
    path = put(tmp_path, "98_exam.ipynb", json.dumps(reference()))
    chosen = batch.Options(notebooks=("98",), **options)
    inbox, reports = tmp_path / "in", tmp_path / "out"
    students, _, count = batch.grade_class(inbox, reports, chosen, paths=[path], limits=LIMITS)
    return {name: results["98_exam"] for name, results in students.items()}, count


@pytest.mark.parametrize(
    ("text", "files", "column", "written"),
    [
        (MOODLE, ("Lovelace Ada_12345_assignsubmission_file_/98_exam.ipynb",), "", ("Grade", "10")),
        (CANVAS, ("lovelaceada_12345_678901_98_exam.ipynb",), "Week 2 (4711)", ("Week 2 (4711)", "5")),
        (GITHUB, ("exam-ada-l/98_exam.ipynb", "exam-alan/98_exam.ipynb"), "", ("points", "5")),
        ("submission;id\nada;u1\n", ("ada/98_exam.ipynb",), "", ("points", "5")),
    ],
)
def test_a_platform_gets_its_own_table_back(tmp_path, text, files, column, written):
    for name in files:
        put(tmp_path / "in", name, GOOD)
        put(tmp_path / "in", f"{name.partition('/')[0]}/.git/config", "") if "exam-" in name else None
    roster = exchange.read(put(tmp_path, "roster.csv", text))
    results, _ = grade(tmp_path, roster=roster, column=column)
    assert results["u1"]["points"] == 5
    with open(tmp_path / "out" / f"{roster.kind}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row[written[0]] for row in rows if roster.identifier(row) == "u1"] == [written[1]]
    assert len(rows) == len(roster.rows)
    if "u2" in text:
        assert results["u2"]["status"] == "not submitted"
    if len(files) > 1:
        assert "not in the roster" in results["alan"]["notes"]


def test_lessons_without_exercises_are_nothing_to_grade(tmp_path):
    bare = put(tmp_path, "97_bare.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    assert batch.references([bare, put(tmp_path, "98_exam.ipynb", json.dumps(reference()))]).keys() == {"98"}


def test_a_roster_without_the_columns_says_which(tmp_path):
    with pytest.raises(SystemExit, match="allowed are"):
        exchange.read(put(tmp_path, "roster.csv", "a,b\n1,2\n"))


def test_gradescope_gets_a_test_for_each_check(tmp_path):
    put(tmp_path / "in", "ada/98_exam.ipynb", HALF)
    grade(tmp_path)
    found = json.loads((tmp_path / "out" / "ada" / "results.json").read_text())
    assert found["score"] == 2
    assert sum(test["score"] for test in found["tests"]) == 2
    assert sum(test["max_score"] for test in found["tests"]) == 5
    assert {test["visibility"] for test in found["tests"]} == {"visible", "after_published"}


def test_of_several_files_the_one_that_earns_most_counts(tmp_path):
    for name, text in (("98_exam", NOTHING), ("98_exam (1)", HALF), ("98_exam-Copy1", GOOD)):
        put(tmp_path / "in", f"ada/{name}.ipynb", text)
    results, _ = grade(tmp_path)
    assert results["ada"]["points"] == 5
    assert "98_exam-Copy1.ipynb counts" in results["ada"]["notes"][0]


def test_what_is_given_by_hand_survives_and_weeks_add_up(tmp_path):
    for student, text in (("ada", HALF), ("alan", GOOD)):
        put(tmp_path / "in", f"{student}/98_exam.ipynb", text)
    results, _ = grade(tmp_path)
    assert [results[name]["points"] for name in ("ada", "alan")] == [2, 5]
    by_hand = "student,exercise,points,comment\nada,98.1,1.5,a good idea\nada,98,0.5,\n"
    put(tmp_path, "out/manual.csv", by_hand)
    (tmp_path / "in" / "alan" / "98_exam.ipynb").unlink()  # the next week: only one hands in
    results, count = grade(tmp_path)
    assert (results["ada"]["points"], results["alan"]["points"], count) == (4, 5, 1)
    assert (tmp_path / "out" / "manual.csv").read_text() == by_hand
    report = (tmp_path / "out" / "ada" / "report.md").read_text()
    assert "a good idea" in report
    assert "4 of 5 points" in report
    put(tmp_path / "in", "ada/98_exam.ipynb", GOOD)
    results, _ = grade(tmp_path, exercises=("98.1",))
    raw = gradebook.earlier(tmp_path / "out", {})["ada"]["98_exam"]
    assert [row["points"] for row in raw["exercises"]] == [3, 2]
    assert results["ada"]["points"] == 4  # by hand it stays 1.5


def test_late_days_cost_what_is_said(tmp_path):
    deadline = datetime(2026, 1, 1, 12).timestamp()
    for student, days in (("ada", 0), ("alan", 1.5)):
        path = put(tmp_path / "in", f"{student}/98_exam.ipynb", GOOD)
        os.utime(path, (deadline + days * 86400 - 1,) * 2)
    results, _ = grade(tmp_path, deadline=deadline, late_percent=20.0, late_free=1)
    assert [results[name]["points"] for name in ("ada", "alan")] == [5, 4]
    assert "2 days late, 1 of them free: -1 points" in results["alan"]["notes"]
    (tmp_path / "in" / "alan" / "98_exam.ipynb").unlink()  # the date inside a zip is the student's word
    path = put(tmp_path / "in", "alan/work.zip", zipped({"98_exam.ipynb": GOOD}))
    for days, earned in ((1.5, 4), (0, 5)):
        os.utime(path, (deadline + days * 86400 - 1,) * 2)
        results, _ = grade(tmp_path, deadline=deadline, late_percent=20.0, late_free=1)
        assert results["alan"]["points"] == earned
    os.utime(path, (deadline + 1.5 * 86400 - 1,) * 2)
    grade(tmp_path, deadline=deadline, late_percent=20.0, late_free=1)
    results, _ = grade(tmp_path)  # graded again without a word about the deadline
    assert results["alan"]["points"] == 4


def test_anonymous_names_stay_the_same_and_tell_nothing(tmp_path):
    put(tmp_path / "in", "ada/98_exam.ipynb", GOOD)
    first, _ = grade(tmp_path, anonymous=True)
    again, _ = grade(tmp_path)
    assert set(first) == set(again) != {"ada"}
    told = [path for path in Path(tmp_path, "out").rglob("*") if path.is_file() and path.name != "names.csv"]
    assert not [path for path in told if "ada" in path.read_text()]


def test_the_page_of_statistics_has_a_picture_and_the_common_failure(tmp_path):
    for place, text in enumerate((GOOD, HALF, HALF, NOTHING)):
        put(tmp_path / "in", f"s{place}/98_exam.ipynb", text)
    grade(tmp_path)
    page = (tmp_path / "out" / "statistics.html").read_text()
    assert "98.1 25 % right" in page
    assert "2 of 4: Two times x." in page
    assert "data:image/png;base64," in page

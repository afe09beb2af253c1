"""Grading: partial credit, and a class in which some submissions do their worst.

The hostile class is graded once, two at a time, by the same function that `make grade` calls; each test then
looks at one student. Every submission answers the second exercise correctly: what goes wrong in the first
must not reach it.
"""

import copy
import csv
import json
import os
import re
import socket
import threading

import nbformat
import pytest

from course import contract
from course.grade import batch, sandbox
from course.notebooks import ROOT
from tests.course.grade.attacks import HOSTILE
from tests.course.grade.exam import LIMITS, RIGHT, answered, check, inside, isolated, points, reference, told

HABITS = f"!ls\n%matplotlib inline\n{RIGHT}\nnumber = input('a number? ')\nprint(twice(undefined))"


def moved(book):
    book.cells.reverse()


def duplicated(book):
    book.cells += [copy.deepcopy(one) for one in book.cells if "exercise" in contract.tags(one)]


def deleted(book):
    book.cells = [one for one in book.cells if one.id == "exercise-98-2"]


def edited(book):
    for one in book.cells:
        if one.id.startswith("check"):
            one.source, one.metadata["course"]["points"] = "pass", 100
            one.outputs = []
    book.cells.append(check("98.1", 7, "pass", 50, "free points"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("class")


@pytest.fixture(scope="module")
def server():
    """A port that listens, and the list of those who called."""
    callers, listener = [], socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                callers.append(listener.accept())
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    yield listener.getsockname()[1], callers
    listener.close()


def reaching_out(outside, port):
    """{name: code} of those who write where they must not, call somebody, or fill the disk."""
    write = f"""for name in ({str(outside)!r}, "/usr/x", {str(ROOT / "helpers" / "x.py")!r}, "/etc/passwd"):
    try: open(name, "w").write("broken")
    except OSError: pass"""
    call = f"""import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_INET, ("1.1.1.1", 53))):
    try: socket.socket(family, socket.SOCK_STREAM).connect(address)
    except OSError: pass"""
    fill = """data = b"0" * 2**20
for number in range(20):
    try:
        with open(f"/tmp/{number}", "wb") as file:
            for _ in range(60): file.write(data)
    except OSError: pass"""
    return {"writes": inside(write), "calls": inside(call), "fills": inside(fill)}


def changed(change):
    """A right hand-in after something was done to its cells."""
    book = answered(RIGHT)
    change(book)
    return book


def books():
    """{path: notebook} of hand-ins that notebook programs read."""
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    changes = {f"{change.__name__}/98_exam.ipynb": changed(change)
               for change in (moved, duplicated, deleted, edited)}  # fmt: skip
    right = ["good-first/98_exam.ipynb", "renamed/homework (final).ipynb", "=cmd|calc.ipynb",
             "Żółć & Ærø  O'Neill/98_exam.ipynb", "browser.ipynb.txt", "UPPER.IPYNB", "chrome.ipynb.json",
             "copied/98_exam (1).ipynb", "good-last/98_exam.ipynb"]  # fmt: skip
    return {
        **changes, **{path: answered(RIGHT) for path in right},
        "stubs/98_exam.ipynb": answered(None, None), "copied/98_exam.ipynb": answered(None, None),
        "other/98_exam.ipynb": other, "foreign/report.ipynb": other,
        "habits/98_exam.ipynb": answered(HABITS),
        "input/98_exam.ipynb": answered("number = input('a number? ')"),
    }  # fmt: skip


def odd_files():
    """{path: bytes} of hand-ins that no notebook program wrote, or one of long ago."""
    old = answered(RIGHT)
    for one in old.cells:
        del one["id"]
    old.nbformat_minor = 4
    sheet = [{"cell_type": "code", "input": one.source, "metadata": one.metadata, "outputs": []}
             for one in old.cells if one.cell_type == "code"]  # fmt: skip
    odd = [7, {"cell_type": "code", "id": ["x"], "metadata": 3, "source": None},
           {"cell_type": "code", "metadata": {"course": {"id": ["98.1"]}, "tags": 5}, "source": {}},
           {"cell_type": "code", "metadata": {"course": {"id": "98.1"}}, "source": RIGHT.splitlines(True)}]
    text = {
        "surrogate/98_exam.ipynb": answered("raise ValueError('\ud800')"),
        "odd/98_exam.ipynb": {"nbformat": 4, "cells": odd},
        "old-4/98_exam.ipynb": old, "old-3/98_exam.ipynb": {"nbformat": 3, "worksheets": [{"cells": sheet}]},
    }  # fmt: skip
    empty = [os.fsdecode(b"\xff bytes/98_exam.ipynb"), "grades.csv/98_exam.ipynb", "empty/98_exam.ipynb",
             "escape\x1b[2J/98_exam.ipynb"]  # fmt: skip
    return {
        **{path: json.dumps(content).encode() for path, content in text.items()}, **dict.fromkeys(empty, b""),
        "broken/98_exam.ipynb": json.dumps(answered(RIGHT)).encode()[:-40],
        "no-notebook/98_exam.ipynb": b'{"a": [1, 2]}', "deep/98_exam.ipynb": b"[" * 100_000,
        "zipped.zip": b"PK\x03\x04",
    }  # fmt: skip


def put_no_files(inbox, path):
    """Pipes, on which a reader would wait for ever, and a link to the reference."""
    for name in ("pipe", "links"):
        (inbox / name).mkdir()
    os.mkfifo(inbox / "pipe" / "98_exam.ipynb")
    os.mkfifo(inbox / "98_pipe.ipynb")
    (inbox / "links" / "98_exam.ipynb").symlink_to(path)


@pytest.fixture(scope="module")
def graded(folder, server):
    """{student: result} of the hostile class, and the folder of its reports."""
    path, inbox, reports = folder / "98_exam.ipynb", folder / "inbox", folder / "reports"
    nbformat.write(reference(), path)
    outside = folder / "outside.txt"
    outside.write_text("untouched")
    hostile = {**HOSTILE, **reaching_out(outside, server[0])}
    hand_ins = {f"{name}/98_exam.ipynb": answered(source) for name, source in hostile.items()}
    hand_ins |= {**books(), **odd_files()}
    for name, content in hand_ins.items():
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        # as JSON, for nbformat would repair duplicated ids
        (inbox / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    put_no_files(inbox, path)
    options = batch.Options(("98",), 2)
    students, *_ = batch.grade_class(inbox, reports, options, paths=[path], limits=LIMITS)
    return {name: results["98_exam"] for name, results in students.items()}, reports


@pytest.mark.parametrize("name", ["good-first", "good-last", "Żółć & Ærø  O'Neill", "renamed", "=cmd|calc",
                                  "habits", "browser", "UPPER", "chrome", "copied"])  # fmt: skip
def test_right_answers_earn_everything_whoever_sits_beside(graded, name):
    result = graded[0][name]
    assert result["status"] == "graded"
    assert points(result) == [3, 2]
    assert [row["outcome"] for row in result["exercises"]] == ["correct", "correct"]


def test_work_that_asks_for_input_is_not_called_unattempted(graded):
    result = graded[0]["input"]
    assert points(result) == [0, 2]
    assert result["exercises"][0]["outcome"] == "incorrect"
    assert "input" in told(result)[0]


def test_names_reach_no_terminal_as_commands(graded):
    assert "\x1b" not in (graded[1] / "grades.csv").read_text()


def test_stubs_earn_nothing(graded):
    result = graded[0]["stubs"]
    assert points(result) == [0, 0]
    assert [row["outcome"] for row in result["exercises"]] == ["not attempted", "not attempted"]


@pytest.mark.parametrize(
    ("name", "earned", "saying"),
    [
        ("loops", 0, "no result after 4 seconds"),
        ("loops-at-once", 0, "no result after 4 seconds"),
        ("allocates", 0, "MemoryError"),
        ("exits-hard", 0, "ended its own process (exit code 0)"),
        ("exits", 0, "SystemExit: 0"),
        ("exits-at-once", 0, "SystemExit"),
        ("restarts", 0, ""),
        ("overwrites", 0, ""),
        ("equals", 0, ""),
        ("prints", 3, ""),
        ("returns-much", 0, "more than 1000000 characters"),
        ("returns-deep", 0, "is deeper than"),
        ("warns", 3, ""),
        ("hard-codes", 2, ""),
        ("syntax", 0, "SyntaxError"),
        ("wrong", 0, ""),
        ("tells", 0, "ValueError: it was [0. 1. 2.]"),
        ("counts", 2, ""),
        ("recurses", 0, "RecursionError"),
        ("threads", 3, ""),
        ("surrogate", 0, "ValueError: ?"),
        ("fills", 3, ""),
    ],
)
def test_what_each_attack_leads_to(graded, name, earned, saying):
    result = graded[0][name]
    assert result["status"] == "graded", result["notes"]
    assert points(result) == [earned, 2], (result["notes"], result["exercises"][0])
    assert saying in told(result)[0]


@isolated
def test_killing_the_process_that_checks_does_not_work(graded):
    assert points(graded[0]["kills"]) == [0, 2]
    assert "signal 9" in told(graded[0]["kills"])[0]


def test_a_fork_bomb_ends_with_its_check(graded):
    result = graded[0]["forks"]
    assert points(result)[1] == 2, result
    if sandbox.available():
        assert points(result)[0] == 0
        assert re.search("BlockingIOError|no result after|256 processes", told(result)[0])


@isolated
def test_messages_to_the_grader_cannot_be_forged(graded):
    result = graded[0]["forges"]
    assert points(result) == [0, 2]
    assert "raised" in told(result)[0]
    assert "found [" not in told(result)[0].replace("found []", "")


@isolated
def test_the_reference_cannot_be_found(graded):
    assert points(graded[0]["looks"]) == [0, 2]
    assert told(graded[0]["looks"])[0] == "raised ValueError: found []"


@isolated
def test_nothing_is_written_outside(graded, folder):
    assert points(graded[0]["writes"]) == [3, 2]
    assert (folder / "outside.txt").read_text() == "untouched"
    assert not (ROOT / "helpers" / "x.py").exists()


@isolated
def test_nobody_is_called(graded, server):
    assert points(graded[0]["calls"]) == [3, 2]
    assert server[1] == []
    socket.create_connection(("127.0.0.1", server[0])).close()  # the server would have noticed


@pytest.mark.parametrize(
    ("name", "expected", "note"),
    [
        ("moved", [3, 2], ""),
        ("duplicated", [3, 2], "2 cells claim this exercise"),
        ("deleted", [0, 2], "the exercise's cell is missing"),
        ("edited", [3, 2], ""),
        ("odd", [3, 0], "found by its metadata"),
        ("old-4", [3, 2], "found by its metadata"),
        ("old-3", [3, 2], "found by its metadata"),
    ],
)
def test_cells_may_be_anywhere(graded, name, expected, note):
    result = graded[0][name]
    assert points(result) == expected
    assert result["possible"] == 5
    assert note in result["exercises"][0]["note"]


@pytest.mark.parametrize(
    ("name", "status", "note"),
    [
        ("broken", "unreadable", "the file is not a notebook: JSONDecodeError"),
        ("empty", "unreadable", "the file is empty"),
        ("grades.csv", "unreadable", "the file is empty"),
        (os.fsdecode(b"\xff bytes"), "unreadable", "the file is empty"),
        ("no-notebook", "unreadable", "it has no cells"),
        ("pipe", "unreadable", "no ordinary file"),
        ("98_pipe", "unreadable", "no ordinary file"),
        ("zipped", "not submitted", "no notebook in zipped.zip"),
        ("deep", "unreadable", "RecursionError"),
        ("other", "other notebook", "no exercise of this notebook"),
        ("foreign", "not submitted", "no notebook of this course: report.ipynb"),
        ("links", "not submitted", "a link, which is not opened: 98_exam.ipynb"),
    ],
)
def test_what_is_no_submission_is_named(graded, name, status, note):
    result = graded[0][name]
    assert (result["status"], result["points"], result["possible"]) == (status, 0, 5)
    assert note in " ".join(result["notes"])


def test_reports_tell_everything_but_the_hidden_tests(graded):
    results, reports = graded
    names = {"grades.csv_" if name == "grades.csv" else name for name in results}
    tables = {"grades.csv", "manual.csv", "statistics.html"}
    assert {path.name for path in reports.iterdir()} == names | tables
    for name in names:
        for kind in ("json", "md", "html"):
            text = (reports / name / f"report.{kind}").read_text()
            assert "secret" not in text, name  # only the hidden check knows this word and the number
            assert "271.828" not in text, name
    page = (reports / "hard-codes" / "report.html").read_text()
    assert "Other arguments than those shown." in page
    assert "4 of 5 points" in page
    assert "Two times x." in (reports / "equals" / "report.md").read_text()
    data = json.loads((reports / "wrong" / "report.json").read_text())
    shown = data["notebooks"]["98_exam"]["exercises"][0]["checks"][0]
    assert (shown["expected"], shown["got"]) == ("[0. 2. 4.]\n0.5\n", "[0. 3. 6.]\n0.75\n")


def test_the_class_has_one_table(graded):
    results, reports = graded
    with open(reports / "grades.csv", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(results)
    assert rows["good-last"]["percent"] == "100.0"
    assert [rows["hard-codes"][column] for column in ("98.1", "98.2", "points")] == ["2", "2", "4"]
    assert "unreadable" in rows["broken"]["remarks"]
    assert "'=cmd|calc" in rows  # no formula for the instructor's spreadsheet

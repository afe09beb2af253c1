"""What counts as an answer, and what a file can do to whoever reads it."""

import copy
import json
import sys

import pytest

from course import contract
from course.grade import batch, reading, submission, synthetic
from course.grade.term import hand_in
from tests.course.grade.exam import LIMITS, RIGHT, answered, by_id, cell, inside, points, reference, told

CONTENT = json.dumps(reference()).encode()
ADD = "def add(a, b):\n    return a + b"
USES = "def twice(x):\n    return add(x, x)"


def grade(book, **more):
    return submission.grade(json.dumps(book).encode(), CONTENT, LIMITS, **more)


def with_cells(first, *sources, place=None):
    """A copy with more cells, at the end or at a place."""
    book = answered(first)
    for number, source in enumerate(sources):
        book.cells.insert(len(book.cells) if place is None else place, cell(source, f"own-{number}"))
    return book


@pytest.mark.parametrize(
    "book",
    [
        with_cells(USES, ADD, place=3),
        with_cells(USES, ADD),
        with_cells("def twice(x):\n    return reduce(max, [x + x])", "from functools import reduce"),
        with_cells("def twice(x):\n    return op.add(x, x)", "import operator as op", place=2),
        with_cells(USES, "def add(a, b):\n    return plus(a, b)", "def plus(a, b):\n    return a + b"),
        with_cells("def twice(x):\n    return values(x)", "def values(x):\n    return 2 * x"),
        with_cells(None, RIGHT),
        with_cells(None, RIGHT, "print(twice(3))"),
        with_cells("def twice(x):\n    return 7", "def twice(x):\n    return 8", RIGHT),
        with_cells(RIGHT, "def twice(x):\n    return 7"),
        with_cells(RIGHT, "values = 'an experiment'"),
        with_cells(RIGHT, "while True: pass"),
        with_cells(f"{RIGHT}\nwhile True: pass"),
        with_cells("while True: pass", RIGHT),
        with_cells("def twice(x):\n    return add(x, x)", "if np.pi > 3:\n    add = lambda a, b: a + b"),
        with_cells(RIGHT, "self_check('98.1')", "self_check('98')"),
    ],
    ids=range(16),
)
def test_what_stands_in_other_cells_counts(book):
    assert points(grade(book)) == [3, 2]


@pytest.mark.parametrize(("version", "notes"), [
    ("3.99.1", ["cells that do not compile with Python {}, which grades here: 1; the notebook was written "
                "with 3.99; if they are in its syntax, grade with it"]),
    (sys.version, []), ("3.9.1", []), (None, []),
])  # fmt: skip
def test_syntax_of_a_newer_python_is_named(version, notes):
    book = with_cells(RIGHT, "def later[T := 1](x): pass")
    book.metadata["language_info"] = {"version": version}
    result = grade(book)
    assert result["notes"] == [note.format(f"3.{sys.version_info[1]}") for note in notes]
    assert points(result) == [3, 2]


HELPED = ("def twice(x):\n    return helper(x, x)", "def half(x):\n    return helper(x)")
FACTORS = ("def twice(x):\n    return FACTOR * x", "def half(x):\n    return FACTOR * x")


def above_each(answers, first, second):
    """A copy with a cell of the student's above each exercise."""
    book = answered(*answers)
    for name, source in (("exercise-98-1", first), ("exercise-98-2", second)):
        book.cells.insert(book.cells.index(by_id(book)[name]), cell(source, f"own-{name}"))
    return book


@pytest.mark.parametrize(
    "book",
    [
        above_each(HELPED, "def helper(a, b):\n    return a + b", "def helper(a):\n    return a / 2"),
        above_each(FACTORS, "FACTOR = 2", "FACTOR = 0.5"),
        above_each(FACTORS, "FACTOR = TWO", "TWO, FACTOR = 2, 0.5"),  # the second cell has run as well
        with_cells(HELPED[0], "def helper(a, b):\n    return 0", "def helper(a, b):\n    return a + b"),
        with_cells("def twice(x):\n    return max([x + x, x + x]) if np.ndim(x) == 0 else x + x",
                   "max = 0\nfor v in values:\n    max = max + v\nprint(max)"),
        answered("def twice(x):\n    return max([x + x, x + x]) if np.ndim(x) == 0 else x + x",
                 "max = 3\ndef half(x):\n    return x / 2"),
        answered("def half(x):\n    return x / 2", RIGHT),
        answered(f"{RIGHT}\n\ndef half(x):\n    return x / 2", None),
    ],
    ids=["helper", "constant", "constant from below", "mended below", "Python's", "Python's in an answer",
         "swapped", "both in one"],
)  # fmt: skip
def test_a_name_that_is_used_twice_costs_neither_exercise(book):
    assert points(grade(book)) == [3, 2]


@pytest.mark.parametrize(
    ("first", "below"),
    [
        ("table = {}\n\ndef twice(x):\n    return table['k'] * x", "table['k'] = 2"),
        ("def twice(x):\n    return twice.k * x", "twice.k = 2"),
        ("from functools import singledispatch\n\n@singledispatch\ndef twice(x):\n    return None",
         "@twice.register(object)\ndef any_kind(x):\n    return x + x"),
        ("class M:\n    pass\n\ndef twice(x):\n    return M.k * x", "M.k = 2"),
    ],
    ids=["entry", "attribute", "registered", "class"],
)  # fmt: skip
def test_a_cell_below_may_complete_what_the_answer_creates(first, below):
    """Run as the student ran them, top to bottom: the answer's cell once more would create it anew."""
    assert points(grade(with_cells(first, below))) == [3, 2]


def test_an_answer_in_another_exercises_cell_is_said_to_stand_there():
    book = answered(f"{RIGHT}\n\ndef half(x):\n    return x / 2", None)
    book.cells.remove(by_id(book)["exercise-98-2"])
    result = grade(book)
    assert points(result) == [3, 2]
    assert result["exercises"][1]["note"] == "the answer stands in another cell"


def test_an_answer_to_an_exercise_that_asks_for_the_same_name_is_not_taken():
    book, given = reference(), answered(None, RIGHT)
    by_id(book)["exercise-98-2"].source = by_id(book)["exercise-98-1"].source
    by_id(book)["check-98-2-01"].source = "print(twice(0.75))"
    by_id(book)["check-98-2-02"].source = "assert twice(9) == 18"
    result = submission.grade(json.dumps(given).encode(), json.dumps(book).encode(), LIMITS)
    assert [row["outcome"] for row in result["exercises"]] == ["not attempted", "correct"]


def in_a_check(first, source, identifier="check-98-1-01"):
    """A copy with a check's cell that begins with, or where the id is another one is, a source."""
    book = answered(first)
    check = by_id(book)["check-98-1-01"]
    if identifier == "check-98-1-01":
        check.source = f"{source}\n{check.source}"
    else:
        again = copy.deepcopy(check)
        again.id, again.source = identifier, source
        book.cells.insert(5, again)
    return book


@pytest.mark.parametrize(
    ("book", "earned"),
    [
        (in_a_check(None, RIGHT), 3),
        (in_a_check("def twice(x):\n    return op.add(x, x)", "import operator as op"), 3),
        (in_a_check(USES, ADD, "a-copy-of-it"), 3),
        (in_a_check("def twice(x):\n    return 3 * x", "twice = lambda x: 'in vain'"), 0),
        (in_a_check("def twice(x):\n    return 3 * x", "print = assert_ = None"), 0),
    ],
    ids=["answer", "import", "helper", "wrong both", "no check"],
)
def test_what_is_written_in_a_checks_cell_is_the_students_and_no_check(book, earned):
    assert points(grade(book)) == [earned, 2]


def test_a_cell_may_wait_at_its_top_level_as_in_jupyter():
    lines = "import asyncio\nasync def get():\n    return 2\nk = await get()\nlock = asyncio.Lock()\n"
    lines += "async with lock:\n    k = await asyncio.sleep(0, k)"
    assert points(grade(with_cells("def twice(x):\n    return k * x", lines, place=3))) == [3, 2]


def test_a_cell_of_another_type_counts():
    for kind in ("markdown", "raw"):
        book = answered(RIGHT)
        by_id(book)["exercise-98-1"].cell_type = kind
        assert points(grade(book)) == [3, 2]


def test_of_several_readings_the_one_that_earns_most_counts():
    book = answered("def twice(x):\n    return 3 * x")
    for source in ("def twice(x):\n    return 4 * x", RIGHT, "def twice(x):\n    return 5 * x"):
        again = copy.deepcopy(by_id(book)["exercise-98-1"])
        again.id, again.source = f"copy-{len(book.cells)}", source
        book.cells.append(again)
    result = grade(book)
    assert points(result) == [3, 2]
    assert "possible answers number" in result["exercises"][0]["note"]


@pytest.mark.parametrize(
    ("first", "second", "renamed"),
    [
        ("def add(a, b):\n    return a + b", "def twice(x):\n    return add(x, x)", True),
        ("def twice(x):", "    return x + x", True),
        (RIGHT, "def twice(x):\n    return x  # an experiment", False),
        (RIGHT, "def twice(x):\n    return x  # an experiment", True),
    ],
    ids=["split", "split inside", "same id", "same metadata"],
)
def test_a_cell_that_an_editor_split_or_copied_counts_as_it_was_meant(first, second, renamed):
    """JupyterLab splits with the metadata and a new id; VS Code has pasted a cell with the same id."""
    book = answered(first)
    again = copy.deepcopy(by_id(book)["exercise-98-1"])
    again.id, again.source = "9f1e2d3c" if renamed else again.id, second
    book.cells.insert(book.cells.index(by_id(book)["exercise-98-1"]) + 1, again)
    assert points(grade(book)) == [3, 2]


def test_what_another_cell_changes_counts_as_if_all_had_been_run():
    book = with_cells(
        "def twice(x):\n    return box[0] * x", "box = [1]", "def fill(b):\n    b[0] = 2\n\nfill(box)"
    )
    assert points(grade(book)) == [3, 2]


def test_the_time_of_all_files_of_a_student_is_bounded(monkeypatch):
    monkeypatch.setattr(batch.plan, "crowding", lambda: 1.0)
    slow = json.dumps(answered("def twice(x):\n    while True: pass")).encode()
    files = [batch.Sent(slow, f"98_{place}", f"98_{place}.ipynb", 0.0) for place in range(5)]
    result = batch.best(files, "98_exam", CONTENT, {**LIMITS, "seconds": 1, "run_seconds": 3})
    assert points(result)[0] == 0
    assert "no time was left for 98_" in result["notes"][0]


def judged():
    """The small notebook, whose first exercise asks for a verdict as well."""
    book = reference()
    by_id(book)["exercise-98-1"].source += "\n\n\n### BEGIN SOLUTION\nverdict = 'more'\n### END SOLUTION"
    by_id(book)["check-98-1-01"].source += "\nassert verdict in ('more', 'less', 'equal')"
    by_id(book)["check-98-1-02"].source = "assert verdict == 'more'"
    return json.dumps(book).encode()


@pytest.mark.parametrize(("order", "earned"), [("more less equal", 2), ("less equal more", 3)])
def test_a_verdict_cannot_be_found_out_by_giving_all(order, earned):
    """Where several answers pass the visible checks, the last one counts, whatever the hidden check says."""
    answers = [f"{RIGHT}\nverdict = {word!r}" for word in order.split()]
    book = with_cells(answers[0], *answers[1:])
    assert points(submission.grade(json.dumps(book).encode(), judged(), LIMITS)) == [earned, 2]


def test_a_verdict_cannot_be_found_out_by_many_files():
    names = {"98_exam": "less", "98_exam (1)": "more", "98_exam (2)": "equal"}
    files = [
        batch.Sent(json.dumps(answered(f"{RIGHT}\nverdict = {word!r}")).encode(), name, name, 0.0)
        for name, word in names.items()
    ]
    assert points(batch.best(files, "98_exam", judged(), {**LIMITS, "run_seconds": 60})) == [2, 2]


def test_one_exercise_can_be_graded_alone():
    result = grade(answered(RIGHT), only=("98.2",))
    assert [row["exercise"] for row in result["exercises"]] == ["98.2"]


def test_the_message_fits_the_failure():
    result = grade(answered("def twice(x):\n    return add(x, x)"))
    wanted = "raised NameError: name 'add' is not defined; no cell of the notebook defines add"
    assert told(result) == [wanted, "raised an error"]
    assert [check["message"] for check in result["exercises"][0]["checks"]] == ["", ""]
    result = grade(answered("def twice(x):\n    return 3 * x"))
    assert result["exercises"][0]["checks"][0]["message"] == "Two times x."
    result = grade(answered(inside("assert isinstance(x, float), 'give a float'")))
    assert told(result) == ["raised AssertionError: give a float", "raised an error"]
    result = grade(answered(inside(contract.STUB.format(id="98.1"))))
    row = result["exercises"][0]
    assert (row["outcome"], row["points"]) == ("not attempted", 0)
    assert "still stands in the code" in row["note"]
    assert not any(check["message"] for check in row["checks"])


@pytest.mark.parametrize("kind", ["KeyError", "ZeroDivisionError", "NameError", "AssertionError"])
def test_a_hidden_check_does_not_tell_what_was_raised(kind):
    """Neither by a name nor by a hint that is missing."""
    lines = f"def twice(x):\n    if isinstance(x, str) or np.min(x) < 0: raise {kind}(x)\n    return 2 * x"
    hidden = grade(answered(lines))["exercises"][0]["checks"][1]
    assert (hidden["detail"], hidden["message"]) == ("raised an error", "Other arguments than those shown.")


@pytest.mark.parametrize(
    ("source", "earned"),
    [
        ("x = [" + "1," * 400_000 + "]\n" + RIGHT, 0),
        ("(" * 90_000 + RIGHT, 0),
        ("x = " + "-" * 90_000 + "1\n" + RIGHT, 0),
        ("x = " + "+".join(["1"] * 45_000) + "\n" + RIGHT, 0),
        ("\x00" + RIGHT, 0),
        ("# coding: utf-7\n" + RIGHT, 3),
    ],
    ids=["long", "parentheses", "minus", "plus", "null", "coding"],
)
def test_a_monstrous_cell_costs_its_exercise_alone(source, earned):
    assert points(grade(answered(source))) == [earned, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 10**7,
        b'{"cells": [' + b'{"cell_type": "code", "source": ""},' * 500_000 + b"{}]}",
        b'{"cells": [' + b"1" * 10**6 + b"]}",
        b'{"cells": ["' + b"x" * 7 * 10**7 + b'"]}',
        b'{"cells": [[[' + b"[]," * 10**6 + b"[]]]]}",
        b"\xff\xfe\x00",
    ],
    ids=["deep", "cells", "digits", "long", "lists", "utf-16"],
)
def test_a_monstrous_file_is_a_row_in_the_table(content):
    result = submission.grade(content, CONTENT, LIMITS)
    assert result["status"] in ("unreadable", "other notebook")
    assert (result["points"], result["possible"]) == (0, 5)


def test_whoever_reads_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(reading, "SECONDS", 1)
    many = {"cells": [{"cell_type": "code", "source": f"x{i} = [{'(1, 2), ' * 9_000}]"} for i in range(200)]}
    with pytest.raises(reading.Unreadable, match="more time or memory"):
        next(reading.asked("answers", json.dumps(many).encode(), CONTENT, seconds=1))
    assert points(grade(answered(RIGHT))) == [3, 2]  # and the next one is read


def test_a_reader_that_the_machine_killed_is_started_again():
    assert points(grade(answered(RIGHT))) == [3, 2]
    reading.side().close()
    assert points(grade(answered(RIGHT))) == [3, 2]


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """The class of `make term` on the small notebook, without those who only take time."""
    folder = tmp_path_factory.mktemp("term")
    path = folder / "98_exam.ipynb"
    path.write_bytes(CONTENT)
    students = {
        name: given
        for name, given in synthetic.of(reference()).items()
        if not any(word in name for word in ("loops", "forks", "allocates"))
    }
    for name, (files, _) in students.items():
        hand_in(folder / "in" / name, files)
    options = batch.Options(notebooks=("98",), jobs=2)
    limits = {**LIMITS, "seconds": 20, "memory": 4000}  # some import torch
    graded, *_ = batch.grade_class(folder / "in", folder / "out", options, paths=[path], limits=limits)
    return {name: given[1] for name, given in students.items()}, graded


def test_the_class_comes_out_as_it_should(term):
    expected, graded = term
    assert {name: results["98_exam"]["points"] for name, results in graded.items()} == expected
    kinds = [name.split()[0] for name in expected]
    assert kinds.count("right") == 44
    assert kinds.count("hostile") + kinds.count("helpless") == 28

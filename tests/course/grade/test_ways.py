"""Which imports a hand-in finds in its processes: few where that is enough, else all of the lesson's."""

import json

import pytest

from course.grade import plan, reading, submission
from tests.course.grade.exam import LIMITS, RIGHT, answered, by_id, cell, points, reference

FEW, ALL = (True, ()), (False, ())
IMPORTS = "import json\nimport sklearn.svm\nfrom scipy.special import erf\n\nfrom course import contract"


def lesson():
    """The small notebook with imports that no check needs."""
    book = reference()
    book.cells.insert(2, cell(IMPORTS, "code-98-09"))
    return book


@pytest.mark.parametrize(
    ("source", "ways"),
    [
        (RIGHT, [FEW, ALL]),
        (
            f"import json, random\nimport numpy as np\n{RIGHT}",
            [FEW, ALL],
        ),  # quick, there, or not the lesson's
        ("def twice(x):\n    return x + x + erf(0)", [ALL]),
        (f"from sklearn import svm\n{RIGHT}", [ALL]),
        ("def twice(x):\n    import scipy.stats as st\n    return x + x", [ALL]),
    ],
)
def test_what_an_answer_imports_with_the_lesson_is_there_before_its_copies_are_made(source, ways):
    """Otherwise each copy imports it anew: 36 seconds a check for shap, where the trial took one."""
    content = json.dumps(lesson()).encode()
    found = reading.answers(json.dumps(answered(source)).encode(), lesson())
    assert plan.ways(content, found["used"], submission.Limits()) == ways


@pytest.mark.parametrize(
    "line",
    [
        "eval('erf')",
        "globals()['erf']",
        "sys.modules['scipy.special']",
        "__import__('sklearn').svm",
    ],
)
def test_a_name_that_nobody_sees_is_found_in_the_second_way(line):
    first = f"import sys\ndef twice(x):\n    {line}\n    return x + x"
    content = json.dumps(lesson()).encode()
    assert points(submission.grade(json.dumps(answered(first)).encode(), content, LIMITS)) == [3, 2]


def test_what_a_reference_imports_is_there_for_all():
    book = lesson()
    change = "### BEGIN SOLUTION", "### BEGIN SOLUTION\n    from scipy.special import gamma"
    by_id(book)["exercise-98-1"].source = by_id(book)["exercise-98-1"].source.replace(*change)
    content = json.dumps(book).encode()
    found = reading.answers(json.dumps(answered(f"from scipy.special import erf\n{RIGHT}")).encode(), book)
    assert plan.ways(content, found["used"], submission.Limits()) == [FEW, ALL]


@pytest.mark.parametrize("line", ["nobody(x)", "None.shape", "{}['x']", "sys.modules['this']"])
def test_what_no_lesson_has_is_not_looked_for_with_all_imports(line, monkeypatch):
    """An ordinary mistake costs no second pair of processes."""
    made, pair = [], submission.pair.Pair
    monkeypatch.setattr(submission.pair, "Pair", lambda *args: made.append(args) or pair(*args))
    first = f"import sys\ndef twice(x):\n    {line}\n    return x + x"
    content = json.dumps({**lesson(), "metadata": {"line": line}}).encode()
    assert points(submission.grade(json.dumps(answered(first)).encode(), content, LIMITS)) == [0, 2]
    assert len(made) == 1


def test_where_the_second_way_fails_the_first_counts(monkeypatch):
    """A student's NameError is no reason to lose the points of the other exercises to the machine."""

    def by_a_pair(key, make, work, reference):
        lean, found = key[3], work[-1]
        found["status"] = "graded" if lean else "not graded"
        error = {"check": "check-98-1-01", "passed": False, "error": "NameError", "text": "", "got": ""}
        right = {"check": "check-98-2-01", "passed": True, "error": "", "text": "", "got": ""}
        return [{**one, "seconds": 0.0} for one in (error, right)] if lean else []

    monkeypatch.setattr(submission, "by_a_pair", by_a_pair)
    content, book = json.dumps(lesson()).encode(), answered("def twice(x):\n    return nobody(x)")
    result = submission.grade(json.dumps(book).encode(), content, LIMITS)
    assert (result["status"], points(result)) == ("graded", [0, 1])


def test_the_process_that_reads_runs_nothing_of_what_it_reads():
    """It holds the reference, and only parses a hand-in: whatever of this ran there would end it."""
    lines = [
        "import os; os._exit(3)",
        "!kill -9 $PPID",
        "%run -m this",
        "get_ipython().system('kill -9 $PPID')",
    ]
    book = answered("\n".join([*lines, RIGHT]))
    by_id(book)["code-98-02"].source += "\nimport os\nos._exit(3)"
    found = reading.read(json.dumps(book).encode(), json.dumps(lesson()).encode())
    assert (found["status"], found["notes"]) == ("graded", [])
    assert [bool(one["readings"]) for one in found["given"].values()] == [True, True]

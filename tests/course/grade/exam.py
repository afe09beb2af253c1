"""A small notebook with two exercises, answers to it, and what a result says: for the tests of grading."""

import json

import nbformat
import pytest

from course import contract
from course.grade import sandbox, submission

LIMITS = {"seconds": 4, "memory": 1500, "run_seconds": 120, "disk": 100}

isolated = pytest.mark.skipif(not sandbox.available(), reason="this machine has no namespaces")

RIGHT = "def twice(x):\n    return x + x"


def cell(source, identifier, tags=(), output=None, **metadata):
    new = nbformat.v4.new_code_cell(source, id=identifier, metadata={"tags": list(tags), **metadata})
    new.execution_count = 1
    new.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)] if output else []
    return new


def exercise(identifier, source, points):
    name = identifier.replace(".", "-")
    return cell(source, f"exercise-{name}", ["exercise"], course={"id": identifier, "points": points})


def check(identifier, place, source, points, message, output=None):
    name = f"check-{identifier.replace('.', '-')}-{place:02d}"
    about = {"for": identifier, "points": points, "message": message}
    return cell(source, name, ["nbval-check-output" if output else "hidden"], output, course=about)


def reference():
    """Two exercises of 3 and 2 points; the first has a visible check of 2 points and a hidden one of 1."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [
        nbformat.v4.new_markdown_cell("# 98 Exam", id="text-98-01"),
        cell("SEED = 0", "code-98-01", ["parameters"]),
        cell("import numpy as np\n\nfrom course import contract", "code-98-02"),
        cell("values = np.arange(3.0)\nprint(values)", "code-98-03", ["nbval-check-output"], "[0. 1. 2.]\n"),
        cell("raise SystemError('needed by no check, must not run')", "code-98-04"),
        exercise("98.1", "def twice(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", 3),
        check("98.1", 1, "print(twice(values))\nprint(twice(0.25))", 2, "Two times x.", "[0. 2. 4.]\n0.5\n"),
        check(
            "98.1", 2, "assert np.allclose(twice(np.array([-7.0, 271.828])), [-14, 543.656])\n"
            "assert contract.same_code(str(twice(8)), '16')\nassert twice('secret') == 'secretsecret'",
            1, "Other arguments than those shown.",
        ),
        exercise("98.2", "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION", 2),
        check("98.2", 1, "print(half(3))", 1, "Half of x.", "1.5\n"),
        check("98.2", 2, "assert half(9) == 4.5", 1, "Half of other numbers."),
    ]  # fmt: skip
    return book


def by_id(book):
    return {one.id: one for one in book.cells}


def answered(first=None, second="def half(x):\n    return x / 2"):
    """A student's copy with these answers."""
    book = contract.student_copy(reference())
    if first is not None:
        by_id(book)["exercise-98-1"].source = first
    if second is not None:
        by_id(book)["exercise-98-2"].source = second
    return book


def inside(lines):
    """A right function whose body runs these lines first."""
    body = "\n".join(f"    {line}" for line in lines.strip().splitlines())
    return f"def twice(x):\n{body}\n    return 2 * x"


def points(result):
    return [row["points"] for row in result["exercises"]]


def told(result):
    """What the first exercise's checks say, visible then hidden."""
    return [check["detail"] for check in result["exercises"][0]["checks"]]


def grade(first, book=None, second="def half(x):\n    return x / 2", **limits):
    """The result for these answers to the small notebook, or to a changed one."""
    content = json.dumps(book or reference()).encode()
    return submission.grade(json.dumps(answered(first, second)).encode(), content, {**LIMITS, **limits})

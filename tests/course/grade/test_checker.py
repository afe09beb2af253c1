"""What the checker of a hand-in can be made to do by it: one test for each line in docs/instructors.md.

The student's code here is right in the second exercise and attacks in the first.
"""

import copy
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from course.contract import course, tags
from course.grade import conform, remote
from course.notebooks import ROOT
from tests.course.grade.exam import by_id, grade, inside, isolated, points, reference, told


@isolated
@pytest.mark.parametrize("place", ["/tmp", ".", "~"])
def test_the_checker_imports_nothing_that_was_written_there(place):
    """Modules of the names that the checker imports late, with an answer for everything."""
    forged = f"""import os, pathlib
place = pathlib.Path({place!r}).expanduser()
for name in ("pandas", "torch", "scipy", "numpy", "matplotlib", "sitecustomize", "course", "json"):
    try: (place / (name + ".py")).write_text("import os\\nos._exit(0)")
    except OSError: pass
import pandas
def twice(x):
    return pandas.Series([1.0, 2.0])"""
    assert points(grade(forged)) == [0, 2]


def test_the_checker_is_isolated_from_places_that_change():
    book = reference()
    by_id(book)["check-98-1-02"].source = (
        "import os, sys\nassert twice(1) == 2\nassert sys.flags.no_user_site and sys.flags.safe_path\n"
        "assert [name for name in os.environ if name.startswith('PYTHON')] in ([], ['PYTHONMALLOC'])\n"
        "found = [p for p in sys.path if p in ('', '.') or p.startswith('/tmp')]\n"
        f"assert not [p for p in found if not p.startswith({str(ROOT)!r})], sys.path"  # a course below /tmp
    )
    assert points(grade("def twice(x):\n    return 2 * x", book)) == [3, 2]


NAN = "def twice(x):\n    return np.full(np.shape(x), np.nan) if not isinstance(x, str) else x"
ANYTHING = """class Anything:
    def yes(self, *args, **kwargs): return True
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __call__ = yes
    def __len__(self): return LENGTH
    def __getitem__(self, key): return Anything()
    def __iter__(self): return iter([0.0] * LENGTH)
    def __getattr__(self, name): return Anything()
    def __array__(self, *args, **kwargs): return np.empty(0)
def twice(x):
    return Anything()"""
LENIENT = """result = twice(np.array([1.0, 2.0]))
assert not (np.abs(np.asarray(result) - 7) > 1e-9).any()
assert len(np.asarray(result)) != 3
if twice(3.0): pass
assert not max(np.ravel(twice(2.0))) > 1"""


@pytest.mark.parametrize("source", [NAN, ANYTHING.replace("LENGTH", "0"), ANYTHING.replace("LENGTH", "1")])
def test_what_is_no_data_earns_nothing_even_in_a_careless_check(source):
    book = reference()
    by_id(book)["check-98-1-02"].source = LENIENT
    by_id(book)["exercise-98-1"].source = (
        "def twice(x):\n    ### BEGIN SOLUTION\n    return 7 + 0 * np.array(x) if np.ndim(x) else x / 2\n"
        "    ### END SOLUTION"
    )
    by_id(book)["check-98-1-01"].outputs[0].text = "[7. 7. 7.]\n0.125\n"
    right = "def twice(x):\n    return np.full(np.shape(x), 7.0) if np.ndim(x) else x / 2"
    assert points(grade(right, book)) == [3, 2]
    assert points(grade(source, book)) == [0, 2]


def frame(values, **labels):
    return pd.DataFrame(np.reshape(values, (-1, 1)), **labels)


def series(*index):
    return pd.Series([1.0, 2.0], index=index)


@pytest.mark.parametrize(
    ("value", "like", "said"),
    [
        (frame([np.nan, 1.0]), frame([2.0, 1.0]), "holds NaN"),
        (frame([1.0, 2.0], index=["y", "z"]), frame([1.0, 2.0], index=["a", "b"]), "has the labels y, z"),
        (frame([1.0, 2.0], columns=["y"]), frame([1.0, 2.0], columns=["a"]), "the labels y; asked are a"),
        (series("y", "z"), series("a", "b"), "has the labels y, z; asked are a, b"),
        (series("1", "2"), series(1, 2), "has the labels 1, 2"),
        ({np.nan}, {10.0}, "holds NaN"),
        ({1.0, np.nan}, {10.0}, "holds NaN"),
    ],
)
def test_what_would_content_a_careless_check_has_not_the_form(value, like, said):
    with pytest.raises(conform.WrongForm, match=said):
        conform.conform(value, like)


def test_labels_in_another_order_or_none_are_the_same_answer():
    like = pd.Series([1.0, 2.0], index=["a", "b"])
    swapped = pd.Series([2.0, 1.0], index=["b", "a"])
    assert conform.conform(swapped, like).equals(swapped)
    assert conform.conform(pd.Series([1.0, 2.0]), like).equals(like)
    left_over = frame([1.0, 2.0], index=[3, 7])
    assert conform.conform(left_over, frame([1.0, 2.0])).equals(frame([1.0, 2.0]))
    assert list(left_over.index) == [3, 7]
    gaps = frame([np.nan, 2.0])
    assert conform.conform(gaps, gaps).equals(gaps)
    assert conform.conform({np.nan, 1.0}, {np.nan, 2.0}) != {2.0}


ERASES = "def twice(x):\n    if not isinstance(x, (str, float, int)): x[...] = 0\n    return x"


def careless():
    """A hidden check that computes what it expects after the call, from the same argument."""
    book = reference()
    by_id(book)["check-98-1-02"].source = "x = np.array([1.0, 2.0])\ny = twice(x)\nassert all(y == 2 * x)"
    return book


def test_an_answer_that_changes_the_question_earns_nothing():
    assert points(grade(ERASES, careless())) == [0, 2]
    assert points(grade("def twice(x):\n    return 2 * x", careless())) == [3, 2]


def test_an_answer_that_should_change_its_argument_may():
    book = careless()
    by_id(book)["check-98-1-01"].source = "x = values.copy()\ntwice(x)\nprint(x)\nprint(0.5)"
    by_id(book)["check-98-1-02"].source = "x = np.array([1.0, 2.0])\ntwice(x)\nassert x.tolist() == [2, 4]"
    by_id(book)["exercise-98-1"].source = (
        "def twice(x):\n    ### BEGIN SOLUTION\n    x *= 2\n    ### END SOLUTION"
    )
    assert points(grade("def twice(x):\n    x += x", book)) == [3, 2]
    assert points(grade("def twice(x):\n    return 2 * x", book)) == [0, 2]


def test_what_it_says_is_one_line_without_signs_that_a_terminal_obeys():
    result = grade(inside("raise ValueError('a\\x1b[2Jb\\x07c')"))
    assert told(result)[0] == "raised ValueError: a\ufffd[2Jb\ufffdc"


def test_what_is_changed_inside_of_an_argument_is_changed_back_in_place():
    inner, tensor, frame = np.ones(2), torch.ones(2), pd.DataFrame({"a": [1, 2]})
    target = [inner, (tensor, 3), {"frame": frame, "gone": 1}, {4}]
    before = copy.deepcopy(target)
    inner[0], tensor[1], frame["b"] = 5, 6, 7
    target[2]["new"] = target[2].pop("gone")
    target[3].add(5)
    target.append(8)
    assert remote.overwrite(target, before) is target
    assert target[0] is inner
    assert target[1][0] is tensor
    assert target[2]["frame"] is frame
    assert (inner.tolist(), tensor.tolist(), [*frame]) == ([1, 1], [1, 1], ["a"])
    assert ([*target[2]], target[3], len(target)) == (["frame", "gone"], {4}, 4)


def test_a_variable_of_the_lesson_that_a_hand_in_changes_is_as_it_was_when_the_check_runs_again():
    book = reference()
    hidden = next(one for one in book.cells if course(one).get("for") == "98.1" and "hidden" in tags(one))
    hidden.source = "assert np.allclose(twice(values), 2 * values)"
    zeros = "def twice(x):\n    if np.ndim(x):\n        x[...] = 0\n    return 2 * x"
    result = grade(zeros, book)
    assert points(result) == [0, 2]


def test_a_check_loops_to_its_end_whatever_the_code_raises():
    book = reference()
    by_id(book)["check-98-1-02"].source = "for one in map(twice, [1, 2]):\n    assert one in (2, 4)"
    for kind in ("StopIteration", "StopAsyncIteration", "GeneratorExit", "SystemExit"):
        source = f"def twice(x):\n    if isinstance(x, int): raise {kind}\n    return 2 * x"
        assert points(grade(source, book)) == [2, 2]


def test_a_library_that_a_check_uses_is_never_the_students():
    book = reference()
    one = by_id(book)["exercise-98-1"]
    one.source = f"import numpy as np\nimport math\n\n\n{one.source}"
    by_id(book)["check-98-1-02"].source = "assert np.allclose(twice(7), 14) and math.isclose(twice(2), 4)"
    yes = "class Yes:\n    isclose = allclose = staticmethod(lambda *given: True)\n\n\nnp = math = Yes\n"
    source = f"{yes}def twice(x):\n    return 2 * x if not isinstance(x, int) else 1"
    assert points(grade(source, book)) == [2, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited on Linux")
def test_the_checker_takes_no_more_memory_than_it_may():
    """A check that makes something as large as an answer says: 2 GB may be asked for, 5 GB may not."""
    book = reference()
    by_id(book)["check-98-1-02"].source = "assert len(bytes(twice(1))) == 2"
    for size, said in ((2 * 2**30, ""), (5 * 2**30, "raised an error")):
        result = grade(f"def twice(x):\n    return {size} if type(x) is int else 2 * x", book)
        assert (points(result), told(result)) == ([2, 2], ["", said])

"""Which statements of a notebook its checks need."""

import pytest

from course.grade import slicing


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (["a = 1", "b = 2", "f(a)"], [0, 2]),
        (["a = []", "a.append(1)", "b = []", "print(b)", "f(a)"], [0, 1, 4]),
        (["a = 1", "a = 2", "f(a)"], [1, 2]),
        (["a = 1", "if x:\n    a = 2", "f(a)"], [0, 1, 2]),
        (["import numpy as np", "z = np.ones(3)", "np.fill_diagonal(z, 0)", "f(z)"], [0, 1, 2, 3]),
        (["def g(x):\n    return x + b", "b = 2", "f(g)"], [0, 1, 2]),
        (["def g(x):\n    return h(x)", "i = 2", "def h(x):\n    return i", "f(g)"], [0, 1, 2, 3]),
        (["import numpy as np", "z = np.ones(3)", "np.fill_diagonal(z, 0)", "f(np)"], [0, 3]),
        (["import numpy as np", "np.seterr(all='raise')", "f(np)"], [0, 1, 2]),
        (["x = [1]", "y = [2]", "x.extend(y)", "f(x)"], [0, 1, 2, 3]),
        (["import scipy.stats", "import scipy.special", "f(scipy.stats)"], [0, 1, 2]),
        (["a = {}", "a['x'] = 1", "for a_key in a: print(a_key)", "f(a)"], [0, 1, 3]),
        (["t = 5", "for t in range(3):\n    s = t", "f(s)"], [1, 2]),
        (["a = 1", "b = [a for a in range(3)]", "f(b)"], [1, 2]),
        (["a = 1", "b = lambda: a", "c = b()", "f(c)"], [0, 1, 2, 3]),
        (["a = 1", "a += 1", "f(a)"], [0, 1, 2]),
        (["%magic", "a = 1", "f(a)"], [1, 2]),
        (["a = 1", "%%time\nb = a", "f(b)"], [0, 1, 2]),
        (["a = 1", "def g():\n    global a\n    a += 1", "f(g)"], [0, 1, 2]),
        (["a = 1", "b = [a for c in range(3)]", "c = 2", "f(b)"], [0, 1, 3]),
        (["for a in range(3): print(a)", "def g():\n    a = [1]\n    a[0] = 2", "f(g)"], [1, 2]),
        (["a = [1]", "def g():\n    a[0] = 2", "f(g)"], [0, 1, 2]),
        (["a = [1]", "a[0] = 2", "f(a)"], [0, 1, 2]),
    ],
)
def test_the_slice_keeps_what_the_last_part_needs(parts, kept):
    assert slicing.needed(parts, {len(parts) - 1}) == kept


def test_a_call_of_a_function_need_not_count_as_a_change_of_it():
    parts = ["def g(x):\n    return x", "g(1)", "print(g(1))", "f(g)"]
    assert slicing.needed(parts, {3}) == [0, 1, 3]
    assert slicing.needed(parts, {3}, calls=False) == [0, 3]

"""What crosses between the two sides, and what is refused."""

import struct

import numpy as np
import pytest

from course.grade import codec
from tests.course.grade.exam import grade, inside, points

FRAMES = {
    "pickle": b"cos\nsystem\n(S'true'\ntR.",
    "deep": b"[" * 10**6,
    "list": b'[["value", 1, []]]',
    "code": b'{"remote": ["__import__", 1]}',
    "unknown": b'{"module": ["os"]}',
    "twice": b'{"tuple": [{"array": 0}, {"array": 0}, null]}',
    "two kinds": b'{"list": [], "tuple": []}',
    "text": b"\xff\xfe",
}
HEADER = np.lib.format.magic(1, 0)


def framed(*parts):
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def npy(header):
    text = header.encode().ljust(117) + b"\n"
    return HEADER + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("name", FRAMES)
def test_a_message_that_is_none_raises_a_value_error(name):
    array = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }")
    with pytest.raises(ValueError):  # noqa: PT011 (many ways to be wrong, one kind of error)
        codec.decode(framed(FRAMES[name], array), None)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000), }",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (1000000,), }",
        "__import__('os').system('true')",
    ],
)
def test_an_array_that_lies_about_itself_is_refused(header):
    with pytest.raises(ValueError):  # noqa: PT011
        codec.decode(framed(b'{"array": 0}', npy(header)), None)


@pytest.mark.parametrize(
    "frame", [b"x" * 8, b"\xff" * 8, struct.pack("<Q", 2**40), struct.pack("<Q", 100) + b"{", framed(b"null")]
)
def test_raw_bytes_on_the_socket_cost_nobody_else(frame):
    lines = f"""import os, time
for number in range(3, 64):
    try: os.write(number, {frame!r})
    except OSError: pass
time.sleep(1)"""
    result = grade(inside(lines), seconds=3)
    assert result["status"] == "graded"
    assert points(result) == [0, 2]


@pytest.mark.parametrize(
    "value",
    ["range(10**9)", "iter(int, 1)", "[0] * 10**8", "np.zeros(10**9)", "10**10**6", "shared", "endless",
     "np.broadcast_to(np.zeros(1), (10**10,))", "dict.fromkeys(range(10**6))"],
)  # fmt: skip
def test_a_huge_result_is_refused_before_it_is_sent(value):
    source = f"""import numpy as np
shared = [0]
for _ in range(60): shared = [shared, shared]
endless = []
endless.append(endless)
def twice(x):
    return {value}"""
    result = grade(source, memory=1500)
    assert points(result) == [0, 2]


def test_what_is_sent_comes_back_the_same():
    import pandas as pd
    import torch

    values = [None, True, 3, 2.5, "ä", 1 + 2j, [1, (2, {3})], {"a": [1.5] * 100}, np.arange(6).reshape(2, 3),
              np.float32(0.5), np.array(["a", "b"]), float("inf"), 10**100, slice(9)]  # fmt: skip
    for value in values:
        found = codec.decode(codec.encode(value, id), None)
        assert type(found) is type(value)
        assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["r", "s"])
    assert codec.decode(codec.encode(frame, id), None).equals(frame)
    assert torch.equal(codec.decode(codec.encode(torch.eye(3), id), None), torch.eye(3))
    assert codec.decode(codec.encode(map(str, [1, 2]), id), None) == ["1", "2"]


def test_harmless_subclasses_cross_as_what_they_are():
    import collections
    import enum
    import itertools

    pair, colour = collections.namedtuple("Pair", "a b"), enum.IntEnum("Colour", {"RED": 1})
    masked = np.ma.masked_array([1.0, 2.0])
    for value, wanted in (
        (pair(1, 2.5), (1, 2.5)),
        (colour.RED, 1),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (itertools.chain([1], [2]), [1, 2]),
        (collections.deque([1, 2]), [1, 2]),
        (np.matrix([[1.0, 2.0]]).tolist(), [[1.0, 2.0]]),
        (masked.tolist(), [1.0, 2.0]),
    ):
        assert codec.decode(codec.encode(value, id), None) == wanted
    for value in (np.matrix([[1.0, 2.0]]), masked, np.arange(3).view(np.recarray)):
        assert type(codec.decode(codec.encode(value, id), None)) is np.ndarray

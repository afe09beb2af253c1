"""What comes back from a student's code: plain data in one bounded message, JSON with npy arrays beside it.

A message is `<length of all><length of the JSON><JSON><length of an array><npy>...`. A reader knows the sizes
before it reads, refuses what is too large, and evaluates nothing. Numbers, texts and None are themselves; any
other value is `{kind: content}`. What is no plain data stays where it is and crosses as a number (`remote`).
"""

import builtins
import collections.abc
import io
import itertools
import json
import math
import numbers
import struct

import numpy as np

LONGEST_TEXT = 10**6
LARGEST_MESSAGE, LARGEST_TREE = 64 * 2**20, 4 * 2**20  # bytes of all, and of the JSON in it
MOST_PARTS, DEEPEST, MANY = 200_000, 40, 64
LONGEST_SIDE = 10**8
BASES = (bool, int, float, complex, str, list, tuple, set, frozenset, dict)  # a subclass crosses as its base
ENDING = (StopIteration, StopAsyncIteration)  # would end a check's loop over map(f, ...) in silence
LAZY = (collections.abc.Iterator, collections.abc.MappingView, collections.deque, range)


class TooMuch(ValueError):
    """A value that is larger or deeper than what may cross."""


class Message:
    """Collects one value; keep(object) -> number is called for what must stay."""

    def __init__(self, keep):
        self.keep, self.parts, self.arrays, self.size = keep, 0, [], 0

    def node(self, value, depth=0):
        """The JSON of a value."""
        self.parts += 1
        if self.parts > MOST_PARTS or depth > DEEPEST:
            raise TooMuch(f"the result has more than {MOST_PARTS} parts, or is deeper than {DEEPEST}")
        again = lambda part: self.node(part, depth + 1)
        kind = next((one for one in BASES if isinstance(value, one)), None)
        if kind is None or isinstance(value, np.generic):  # a NumPy float is a float as well
            return None if value is None else self.from_library(value, type(value), again)
        if kind in (bool, int, float):
            return kind(value)
        if kind is str:
            if len(value) > LONGEST_TEXT:
                raise TooMuch(f"the result holds a text of more than {LONGEST_TEXT} characters")
            return printable(str(value))
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is dict:
            return {"dict": [[again(key), again(item)] for key, item in value.items()]}
        if kind in (list, tuple) and len(value) > MANY and {type(one) for one in value} in ({float}, {bool}):
            return {"numbers": [kind.__name__, self.array(np.array(value))]}
        return {kind.__name__: [again(item) for item in value]}

    def from_library(self, value, kind, again):
        """The JSON of other containers, of what NumPy, torch, pandas or SciPy made, and of all that stays."""
        root = kind.__module__.partition(".")[0]
        if isinstance(value, (np.ndarray, np.generic)):
            if value.dtype.hasobject:
                return {"objects": [list(value.shape), [again(item) for item in value.flat]]}
            plain = np.asarray(value)
            return {"array" if isinstance(value, np.ndarray) else "scalar": self.array(plain)}
        if kind is slice:
            return {"slice": [again(part) for part in (value.start, value.stop, value.step)]}
        if isinstance(value, LAZY):
            return {"list": [again(item) for item in itertools.islice(value, MOST_PARTS)]}
        if isinstance(value, np.dtype) and not value.hasobject:
            return {"dtype": value.str}
        if kind is np.random.Generator:
            return {"generator": [type(value.bit_generator).__name__, again(value.bit_generator.state)]}
        if root == "torch" and kind.__name__ in ("Tensor", "Parameter"):
            return {"tensor": self.array(value.detach().cpu().numpy())}
        if root == "pandas" and kind.__name__ == "DataFrame":
            columns = [again(value.iloc[:, i].to_numpy()) for i in range(value.shape[1])]
            return {"frame": [again(value.columns.tolist()), again(value.index.to_numpy()), columns]}
        if root == "pandas" and kind.__name__ == "Series":
            return {"series": [again(value.to_numpy()), again(value.index.to_numpy()), again(value.name)]}
        if root == "pandas" and hasattr(value, "to_numpy"):
            return again(value.to_numpy())
        if root == "scipy" and hasattr(value, "toarray") and math.prod(value.shape) < LARGEST_MESSAGE // 16:
            return again(value.toarray())
        if isinstance(value, numbers.Number):  # Fraction, Decimal, SymPy's
            return again(int(value) if isinstance(value, numbers.Integral) else float(value))
        return {"remote": [self.keep(value), kind.__name__[:80]]}

    def array(self, value):
        self.size += value.nbytes
        if self.size > LARGEST_MESSAGE - LARGEST_TREE:
            raise TooMuch(f"the result has more than {LARGEST_MESSAGE >> 20} MB")
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(value).reshape(value.shape), allow_pickle=False)
        self.arrays.append(buffer.getvalue())
        return len(self.arrays) - 1


def encode(value, keep):
    """The bytes of a message that holds a value."""
    message = Message(keep)
    tree = json.dumps(message.node(value)).encode()
    if len(tree) > LARGEST_TREE:
        raise TooMuch(f"the result has more than {LARGEST_TREE >> 20} MB of text and numbers")
    parts = [tree, *message.arrays]
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def decode(content, remote):
    """The value of a message. remote(number, kind) makes the stand-in for what stayed on the other side.

    Raises ValueError for anything that `encode` does not write.
    """
    parts, place = [], 0
    while place < len(content) and len(parts) <= MOST_PARTS:
        (length,) = struct.unpack_from("<Q", content, place)
        parts.append(content[place + 8 : place + 8 + length])
        place += 8 + length
    if place != len(content) or not parts or len(parts[0]) > LARGEST_TREE:
        raise ValueError("the result is no message")
    try:
        return Reader(parts[1:], remote).value(json.loads(parts[0]))
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"the result is no message: {type(error).__name__}") from None


class Reader:
    """Turns the JSON of a message into a value."""

    def __init__(self, arrays, remote):
        self.arrays, self.remote, self.unread = arrays, remote, set(range(len(arrays)))

    def value(self, node, depth=0):
        if depth > 2 * DEEPEST:
            raise ValueError("the result is too deep")
        if not isinstance(node, dict):
            if isinstance(node, list):
                raise ValueError("the result is no message")
            return node
        (kind, content), again = *node.items(), lambda part: self.value(part, depth + 1)
        if kind in ("list", "tuple", "set", "frozenset"):
            return getattr(builtins, kind)(again(item) for item in content)
        if kind == "numbers":
            return {"list": list, "tuple": tuple}[content[0]](self.array(content[1]).tolist())
        if kind == "dict":
            return {again(key): again(item) for key, item in content}
        if kind == "slice":
            return slice(*(again(part) for part in content))
        if kind == "complex":
            return complex(*map(float, content))
        if kind in ("array", "scalar"):
            return self.array(content) if kind == "array" else self.array(content)[()]
        if kind == "objects":
            array = np.empty(len(content[1]), dtype=object)
            array[:] = [again(item) for item in content[1]]
            return array.reshape(content[0])
        if kind == "dtype":
            return np.dtype(str(content))
        if kind == "remote":
            return self.remote(int(content[0]), str(content[1])[:80])
        return self.of_library(kind, content, again)

    def of_library(self, kind, content, again):
        if kind == "generator" and content[0] in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
            bits = getattr(np.random, content[0])()
            bits.state = again(content[1])
            return np.random.Generator(bits)
        if kind == "tensor":
            import torch

            return torch.from_numpy(self.array(content))
        import pandas as pd

        if kind == "frame":
            columns = dict(enumerate(again(column) for column in content[2]))
            frame = pd.DataFrame(columns, index=again(content[1]))
            frame.columns = again(content[0])
            return frame
        if kind == "series":
            return pd.Series(again(content[0]), index=again(content[1]), name=again(content[2]))
        raise ValueError(f"a result of the kind {str(kind)[:40]!r} cannot be brought back")

    def array(self, place):
        """One array, each no more than once: a message never grows while it is read."""
        self.unread.remove(place)
        file = io.BytesIO(self.arrays[place])
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header[version](file, max_header_size=10_000)
        plain = not dtype.hasobject and dtype.kind in "?biufcUSmM" and dtype.itemsize
        if not plain or max(shape, default=0) > LONGEST_SIDE:
            raise ValueError(f"an array of {dtype.str[:20]} cannot be brought back")
        if math.prod(shape) * dtype.itemsize != len(self.arrays[place]) - file.tell():
            raise ValueError("an array is longer or shorter than it says")
        flat = np.frombuffer(self.arrays[place], dtype, offset=file.tell())
        return flat.reshape(shape, order="F" if fortran else "C").copy()


def describe(error):
    """(name of the nearest built-in exception, one-line text) of an exception."""
    kinds = [kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    return kinds[0].__name__, readable(text.splitlines()[0][:300]) if text else ""


def failure(name, text):
    """The exception to raise here for one that was raised on the other side."""
    name, text = readable(str(name)[:40]), readable(str(text)[:300])
    kind = getattr(builtins, name, None)
    try:
        good = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ENDING)
        return kind(text) if good else RuntimeError(f"{name}: {text}")
    except Exception:  # UnicodeDecodeError and its like want other arguments
        return RuntimeError(f"{name}: {text}")


def printable(text):
    """A text that can be sent on: half of a surrogate pair would stop a message or a file."""
    return text.encode("utf-8", "replace").decode()


def readable(text):
    """One line for people: no control characters, which a terminal would obey and a table would break at."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in printable(text))

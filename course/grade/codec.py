"""What crosses between a check and a student's code: a tree of plain data, nothing that runs.

Anything that is no plain data stays where it is and is used from afar (`Remote`).
"""

import builtins
import pickle

import numpy as np

LONGEST_TEXT = 10**6
PLAIN = (type(None), bool, int, float, complex, str, bytes)


def encode(value, keep):
    """Plain data for a value; keep(object) -> number is called for what must stay in the child."""
    kind = type(value)
    if kind in PLAIN:
        return ("plain", value)
    if kind.__name__ == "Size" and isinstance(value, tuple):  # of torch
        return encode(tuple(value), keep)
    if kind in (list, tuple, set, frozenset):
        return (kind.__name__, [encode(item, keep) for item in value])
    if kind is dict or (isinstance(value, dict) and kind.__module__ == "collections"):
        return ("dict", [(encode(key, keep), encode(item, keep)) for key, item in value.items()])
    if kind in (slice, range):
        return (kind.__name__, [encode(part, keep) for part in (value.start, value.stop, value.step)])
    if kind is np.ndarray or isinstance(value, np.generic):
        return _encode_array(value, keep)
    if isinstance(value, np.dtype) and not value.hasobject:
        return ("dtype", np.lib.format.dtype_to_descr(value))
    if kind is np.random.Generator:
        return ("generator", type(value.bit_generator).__name__, encode(value.bit_generator.state, keep))
    root = kind.__module__.partition(".")[0]
    if root == "torch" and kind.__name__ in ("Tensor", "Parameter"):
        return ("tensor", _encode_array(value.detach().cpu().numpy(), keep), bool(value.requires_grad))
    if root == "pandas":
        return _encode_pandas(value, keep)
    if root == "scipy" and hasattr(value, "tocoo"):
        coo = value.tocoo()
        parts = [encode(np.asarray(part), keep) for part in (coo.data, coo.row, coo.col)]
        return ("sparse", kind.__name__, parts, tuple(coo.shape))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ("namedtuple", kind.__name__, list(value._fields), [encode(item, keep) for item in value])
    if isinstance(value, BaseException):
        return ("exception", *describe(value))
    return ("remote", keep(value), kind.__name__)


def _encode_array(value, keep):
    if value.dtype.hasobject:
        return ("objects", tuple(value.shape), [encode(item, keep) for item in np.asarray(value).flat])
    array = np.ascontiguousarray(value)
    kind = "array" if isinstance(value, np.ndarray) else "scalar"
    return (kind, np.lib.format.dtype_to_descr(array.dtype), tuple(np.shape(value)), array.tobytes())


def _encode_pandas(value, keep):
    name = type(value).__name__
    if name == "DataFrame":
        columns = [_encode_pandas(value.iloc[:, i].array, keep) for i in range(value.shape[1])]
        return ("DataFrame", _encode_pandas(value.columns, keep), _encode_pandas(value.index, keep), columns)
    if name == "Series":
        parts = _encode_pandas(value.array, keep), _encode_pandas(value.index, keep)
        return ("Series", *parts, encode(value.name, keep))
    if name == "RangeIndex":
        return ("RangeIndex", value.start, value.stop, value.step, encode(value.name, keep))
    if name == "MultiIndex":
        return ("MultiIndex", encode(value.tolist(), keep), encode(list(value.names), keep))
    if name.endswith("Index"):
        return ("Index", _encode_pandas(value.array, keep), encode(value.name, keep))
    if name == "Categorical":
        codes, kinds = encode(np.asarray(value.codes), keep), _encode_pandas(value.categories, keep)
        return ("Categorical", codes, kinds, bool(value.ordered))
    if name in ("NAType", "NaTType"):
        return (name,)
    if name == "Timestamp" or name == "Timedelta":
        return (name, value.isoformat())
    if hasattr(value, "to_numpy") and hasattr(value, "dtype"):
        return ("column", str(value.dtype), encode(value.to_numpy(), keep))
    return ("remote", keep(value), name)


def decode(tree, remote):
    """The value for a tree. remote(number, kind) makes the stand-in for what stayed in the child."""
    tag, *rest = tree
    again = lambda part: decode(part, remote)
    if tag == "plain":
        value = rest[0]
        if type(value) not in PLAIN or (isinstance(value, (str, bytes)) and len(value) > LONGEST_TEXT):
            raise ValueError(f"the result holds a text of more than {LONGEST_TEXT} characters")
        return printable(value) if type(value) is str else value
    if tag in ("list", "tuple", "set", "frozenset"):
        return getattr(builtins, tag)(again(item) for item in rest[0])
    if tag == "dict":
        return {again(key): again(item) for key, item in rest[0]}
    if tag in ("slice", "range"):
        return getattr(builtins, tag)(*(again(part) for part in rest[0]))
    if tag in ("array", "scalar"):
        array = np.frombuffer(rest[2], dtype=_dtype(rest[0])).reshape(rest[1]).copy()
        return array if tag == "array" else array[()]
    if tag == "objects":
        array = np.empty(rest[0], dtype=object)
        array.reshape(-1)[:] = [again(item) for item in rest[1]] or []
        return array
    if tag == "dtype":
        return _dtype(rest[0])
    if tag in ("generator", "tensor", "sparse"):
        return _decode_library(tag, rest, again)
    if tag == "namedtuple":
        import collections

        return collections.namedtuple(rest[0], rest[1])(*(again(item) for item in rest[2]))
    if tag == "exception":
        return failure(*rest)
    if tag == "remote":
        return remote(int(rest[0]), str(rest[1])[:80])
    return _decode_pandas(tag, rest, again)


def _decode_library(tag, rest, again):
    """A random generator, a tensor or a sparse array for its tree."""
    if tag == "generator":
        if rest[0] not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
            raise ValueError(f"generator: {rest[0]!r} is not known")
        bits = getattr(np.random, rest[0])()
        bits.state = again(rest[1])
        return np.random.Generator(bits)
    if tag == "tensor":
        import torch

        return torch.from_numpy(np.array(again(rest[0]))).requires_grad_(rest[1])
    import scipy.sparse

    data, row, column = (again(part) for part in rest[1])
    kind = "coo_array" if str(rest[0]).endswith("array") else "coo_matrix"
    sparse = getattr(scipy.sparse, kind)((data, (row, column)), shape=rest[2])
    return sparse.asformat(str(rest[0])[:3])


def _dtype(description):
    dtype = np.lib.format.descr_to_dtype(description)
    if dtype.hasobject:
        raise ValueError("an array of objects cannot come as bytes")
    return dtype


def _decode_pandas(tag, rest, again):
    import pandas as pd

    if tag == "DataFrame":
        index = again(rest[1])
        columns = {i: pd.Series(again(column), index=index) for i, column in enumerate(rest[2])}
        frame = pd.DataFrame(columns, index=index)
        frame.columns = again(rest[0])
        return frame
    if tag == "Series":
        return pd.Series(again(rest[0]), index=again(rest[1]), name=again(rest[2]))
    if tag == "RangeIndex":
        return pd.RangeIndex(*(int(part) for part in rest[:3]), name=again(rest[3]))
    if tag == "MultiIndex":
        return pd.MultiIndex.from_tuples(again(rest[0]), names=again(rest[1]))
    if tag == "Index":
        return pd.Index(again(rest[0]), name=again(rest[1]))
    if tag == "Categorical":
        return pd.Categorical.from_codes(again(rest[0]), again(rest[1]), ordered=bool(rest[2]))
    if tag == "column":
        return pd.array(again(rest[1]), dtype=str(rest[0]))
    if tag in ("NAType", "NaTType"):
        return pd.NA if tag == "NAType" else pd.NaT
    if tag in ("Timestamp", "Timedelta"):
        return getattr(pd, tag)(str(rest[0]))
    raise ValueError(f"a result of the kind {tag!r} cannot be brought back")


def describe(error):
    """(name of the nearest built-in exception, one-line text) of an exception."""
    kinds = [kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    return kinds[0].__name__, text.splitlines()[0][:300] if text else ""


def printable(text):
    """A text that can be sent on: half of a surrogate pair would stop a message or a file."""
    return text.encode("utf-8", "replace").decode()


def failure(name, text):
    """The exception to raise here for one that was raised in the child."""
    name, text = printable(str(name)), printable(str(text))
    kind = getattr(builtins, str(name), None)
    good = isinstance(kind, type) and issubclass(kind, Exception)
    try:
        return kind(str(text)[:300]) if good else RuntimeError(f"{str(name)[:40]}: {str(text)[:300]}")
    except Exception:  # UnicodeDecodeError and its like want other arguments
        return RuntimeError(f"{str(name)[:40]}: {str(text)[:300]}")


class Unpickler(pickle.Unpickler):
    """Reads plain data only: no class, no function, nothing that could run."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError("only plain data may come back")


class Remote:
    """A stand-in for something in the student's process: call it, index it, ask for its attributes."""

    def __init__(self, child, number, kind):
        self.__dict__.update(_child=child, _number=number, _kind=kind, __name__=kind)

    def __call__(self, *args, **kwargs):
        return self._child.request("call", self, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._child.request("getattr", self, name)

    def __getitem__(self, key):
        return self._child.request("getitem", self, key)

    def __len__(self):
        length = self._child.request("len", self)
        return length if type(length) is int else 0

    def __iter__(self):
        return iter(self._child.request("iter", self))

    def __repr__(self):
        return f"<{self._kind} of the student's code>"

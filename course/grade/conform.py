"""Bring what a student's function returned into the form of what the reference returns for the same call.

A list for an array, a tensor, a Series, float32, a NumPy integer, one dimension of length 1 more: all of that
is the same answer. Another shape, an empty array or None is none: ValueError, before a check looks at it.
"""

import numbers
import sys

import numpy as np

SINGLE = 1e-5  # relative error of an answer that was computed in single precision


BLANK = "the result holds NaN (not a number) where a number is asked"


class WrongForm(ValueError):
    """A result in another form than what is asked; the message says which came and which is wanted."""


def conform(value, like):
    """`value` in the form of `like`; raises WrongForm where its shape or length is another."""
    if like is None or not plain(like):
        return value
    if isinstance(like, (str, np.str_)):
        return text(value)
    if isinstance(like, dict):
        return mapping(value, like)
    if isinstance(like, (set, frozenset)):
        items = sequence(value, asked := f"a set of {len(like)}")
        if bool(items) != bool(like):
            raise WrongForm(f"the result has {len(items)} items; asked is {asked}")
        if any(one != one for one in items if isinstance(one, float)) and not any(one != one for one in like):
            raise WrongForm(BLANK)
        return type(like)(items)
    if is_frame(like):
        return table(value, like)
    wanted = array_of(like)
    if wanted is None:
        return elements(value, like)
    found = array_of(value)
    if found is None or (found.dtype.kind in "USmM") != (wanted.dtype.kind in "USmM"):
        raise WrongForm(f"the result is {kind(value)}; asked is {shape_of(wanted)}")
    if squeezed(found) != squeezed(wanted):
        raise WrongForm(f"the result is {shape_of(found)}; asked is {shape_of(wanted)}")
    if (blank(found.reshape(wanted.shape)) & ~blank(wanted)).any():
        raise WrongForm(BLANK)
    if is_series(like) and is_series(value):
        like = type(like)(wanted, index=labels(value.index, like.index), name=like.name)
    return rebuilt(same_kind(found.reshape(wanted.shape), wanted), like)


def plain(like):
    """Whether a reference's result is data whose form can be told."""
    known = (str, numbers.Number, np.generic, np.ndarray, list, tuple, dict, set, frozenset)
    return isinstance(like, known) or is_tensor(like) or is_frame(like) or is_series(like)


def of(library, name, value):
    module = sys.modules.get(library)
    return module is not None and isinstance(value, getattr(module, name))


def is_tensor(value):
    return of("torch", "Tensor", value)


def is_frame(value):
    return of("pandas", "DataFrame", value)


def is_series(value):
    return of("pandas", "Series", value)


def no_stand_in(kind, like):
    """Refuse something that is no data, a function, say, where the reference has data."""
    if like is not None and plain(like):
        raise WrongForm(f"the result is of the kind {kind}; asked is {type(like).__name__}")


def kind(value):
    return "None (is a `return` missing?)" if value is None else f"of the kind {type(value).__name__}"


def array_of(value):
    """The value as an array of numbers, truth values or texts; None where it is none."""
    if is_tensor(value):
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, (dict, set, frozenset, str, bytes)):
        return None if not isinstance(value, str) else np.asarray(value)
    try:
        found = np.asarray(value)
        if found.dtype == object and found.size and all(isinstance(one, str) for one in found.flat):
            found = found.astype(str)
        if found.dtype == object:  # such as a list of tensors
            found = np.array([array_of(one) for one in value])
    except Exception:  # ragged, a stand-in, or something that only looks like a sequence
        return None
    return found if found.dtype.kind in "?biufcUSmM" and "O" not in found.dtype.str else None


def blank(array):
    """Where an array holds no number although it could."""
    return np.isnan(array) if array.dtype.kind in "fc" else np.zeros(array.shape, bool)


def squeezed(array):
    """The shape without dimensions of length 1."""
    return tuple(side for side in array.shape if side != 1)


def shape_of(array):
    one = "a text" if array.dtype.kind == "U" else "one number"
    return f"an array of the shape {array.shape}" if array.ndim else one


def same_kind(found, wanted):
    """Numbers of the wanted type where that loses nothing; single precision counts as right to its digits."""
    if found.dtype == wanted.dtype or wanted.dtype.kind not in "?biufc" or found.dtype.kind not in "?biufc":
        return found
    if found.dtype.kind == "c" and wanted.dtype.kind != "c":
        if found.imag.any():
            return found
        found = found.real
    with np.errstate(all="ignore"):
        if found.dtype == np.float32 and wanted.dtype == np.float64:
            scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
            close = np.isclose(found, wanted, rtol=SINGLE, atol=1e-7 * scale, equal_nan=True)
            return np.where(close, wanted, found.astype(float))
        cast = found.astype(wanted.dtype)
    lossless = wanted.dtype.kind in "fc" or np.array_equal(cast, found)
    return cast if lossless else found


def rebuilt(array, like):
    """An array as list, tuple, tensor, Series or number, as the reference has it."""
    if is_tensor(like):
        return sys.modules["torch"].from_numpy(np.array(array))
    if is_series(like):
        return sys.modules["pandas"].Series(array, index=like.index, name=like.name)
    if isinstance(like, (list, tuple)):
        parts = [rebuilt(part, one) for part, one in zip(array, like, strict=True)]
        return type(like)(parts) if not hasattr(like, "_fields") else type(like)(*parts)
    if isinstance(like, np.ndarray):
        return array
    number = np.asarray(array)[()]
    return number if isinstance(like, np.generic) or not isinstance(number, np.generic) else number.item()


def text(value):
    found = array_of(value)
    if found is None or found.size != 1 or found.dtype.kind != "U":
        raise WrongForm(f"the result is {kind(value)}; asked is a text")
    return str(found.reshape(())[()])


def sequence(value, asked):
    """The items of a list-like value."""
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise WrongForm(f"the result is {kind(value)}; asked is {asked}")
    return value.tolist() if hasattr(value, "tolist") else list(value)


def elements(value, like):
    """A list or tuple whose items have different forms, item by item."""
    if not isinstance(like, (list, tuple)):
        return value
    asked = f"{len(like)} results"
    items = list(value) if isinstance(value, (list, tuple)) else sequence(value, asked)
    if len(items) != len(like):
        raise WrongForm(f"the result has {len(items)} items; asked is {asked}")
    parts = [conform(item, one) for item, one in zip(items, like, strict=True)]
    return type(like)(parts) if not hasattr(like, "_fields") else type(like)(*parts)


def mapping(value, like):
    if not isinstance(value, dict):
        value = dict(value.items()) if is_series(value) else value
    if not isinstance(value, dict) or set(value) != set(like):
        came = f"a dictionary of {len(value)}" if isinstance(value, dict) else kind(value)
        raise WrongForm(f"the result is {came}; asked is a dictionary with the {len(like)} keys as told")
    return {key: conform(value[key], one) for key, one in like.items()}


def table(value, like):
    """A DataFrame of the reference's shape."""
    if not is_frame(value):
        found = array_of(value)
        if found is None or found.shape != like.shape:
            raise WrongForm(f"the result is {kind(value)}; asked is a table of the shape {like.shape}")
        return type(like)(found, index=like.index, columns=like.columns)
    if value.shape != like.shape:
        raise WrongForm(f"the result is a table of the shape {value.shape}; asked is {like.shape}")
    if value.isna().sum().sum() > like.isna().sum().sum():
        raise WrongForm(BLANK)
    rows, columns = labels(value.index, like.index), labels(value.columns, like.columns)
    return value.set_axis(rows, axis=0).set_axis(columns, axis=1)


def labels(found, wanted):
    """The labels of an answer: part of it, in any order; where one side only counts, those that are wanted.

    With other labels a difference would be "not a number" all over, and a careless check content.
    """
    if not found.difference(wanted, sort=False).size and not wanted.difference(found, sort=False).size:
        return found
    numbered = sys.modules["pandas"].RangeIndex(len(wanted))
    if numbered.equals(found) or numbered.equals(wanted):
        return wanted
    raise WrongForm(f"the result has the labels {few(found)}; asked are {few(wanted)}")


def few(index):
    return ", ".join(map(str, index[:5])) + ", ..." * (len(index) > 5)

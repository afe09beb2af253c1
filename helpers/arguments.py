"""What an argument may be: each function returns the value, or raises one line that names argument, value and
what is allowed. Without torch, so that a table of one's own needs none."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pandas as pd

LARGEST = 1e150  # whose square, summed over columns, is still finite


def finite_numbers(X, smallest=-np.inf, name="X", allowed="an (n, d) array of numbers"):
    """X as a float array; TypeError where it holds no numbers, ValueError for NaN, infinite, too small."""
    if np.ma.is_masked(X):
        raise ValueError(f"{name}: {np.ma.count_masked(X)} values are masked; fill them or leave out "
                         "their rows")
    X = X.detach() if hasattr(X, "detach") else X  # NumPy takes no tensor that requires a gradient
    try:
        array = np.asarray(X)
    except ValueError:
        raise TypeError(f"{name}: rows differ in length; allowed is {allowed}") from None
    if array.dtype == object and hasattr(X, "to_numpy"):  # pandas' types that can hold a missing value
        with contextlib.suppress(TypeError, ValueError):  # text: named below
            array = X.to_numpy(dtype=float, na_value=np.nan)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: type {array.dtype} is not numeric; allowed is {allowed}")
    right = np.isfinite(array) & (array >= smallest)
    if not right.all():  # only then are places sought, which takes longer than all the rest
        wrong = np.argwhere(~right)[0]
        place, least = ", ".join(str(i) for i in wrong), "" if smallest < 0 else f" of at least {smallest}"
        raise ValueError(f"{name}: value {array[tuple(wrong)]} at [{place}]; allowed are finite "
                         f"numbers{least}")
    return array.astype(float)


def one_each(name, values, count):
    """Names or groups as an array (count,); ValueError for another shape, one missing, mixed types."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name}: entries differ in length; give ({count},)") from None
    if array.shape != (count,):
        raise ValueError(f"{name}: shape {array.shape} is not allowed; give ({count},)")
    # as words np.asarray would write NaN "nan" and 1 "1"
    single = np.asarray(values, dtype=object) if array.dtype.kind in "OUS" else array
    missing = np.ma.getmaskarray(values) if np.ma.is_masked(values) else pd.isna(single)
    if missing.any():
        raise ValueError(f"{name}: {missing.sum()} are missing, the first at [{missing.argmax()}]; give a "
                         "name to each, or leave out their rows")
    if array.dtype.kind in "OUS":
        words = np.array([isinstance(one, str) for one in single], dtype=bool)
        if words.any() and not words.all():
            raise ValueError(f"{name}: {single[words][0]!r} and {single[~words][0]!r} differ in type; "
                             "give words alone or numbers alone")
    return array


def data_matrix(X):
    """X as a float array (n, d) of at least 2 rows and 1 feature; else TypeError or ValueError."""
    array = finite_numbers(X)
    if array.ndim != 2:
        raise ValueError(f"X: shape {array.shape} is not 2-D; allowed is (n rows, d features)")
    if array.shape[0] < 2 or array.shape[1] < 1:
        raise ValueError(f"X: shape {array.shape} is too small; allowed are at least 2 rows and 1 feature")
    if np.abs(array).max() > LARGEST:
        raise ValueError(f"X: the square of {array.flat[np.abs(array).argmax()]:.3g} is no float; allowed "
                         f"are values up to {LARGEST:g}: give them in a larger unit")
    return array


def positive(name, value):
    """The value as a float; ValueError naming the argument where it is not a finite number above 0."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and value > 0):
        raise ValueError(f"{name}: {value!r} is not allowed; give a finite number greater than 0")
    return float(value)


def not_negative(name, value):
    """The value; ValueError naming the argument where it is not a finite number of at least 0."""
    try:
        allowed = not isinstance(value, str) and 0 <= float(value) < float("inf")
    except (TypeError, ValueError):
        allowed = False
    if not allowed:
        raise ValueError(f"{name}: {value!r} is not allowed; give a finite number of at least 0")
    return value


def whole_number(name, value, least=1):
    """The value; ValueError naming the argument where it is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: {value!r} is not allowed; give a whole number of at least {least}")
    return value


def share(name, value):
    """The value; ValueError naming the argument where it is not a number between 0 and 1."""
    if not (isinstance(value, (int, float, np.number)) and 0 < value < 1):
        raise ValueError(f"{name}: {value!r} is not allowed; give a share between 0 and 1, such as 0.95")
    return value


def file_path(name, value):
    """The value as a pathlib.Path; ValueError naming the argument where it is no path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name}: {value!r} is no path; give a string or a pathlib.Path")
    return Path(value)


def torch_module(name, value):
    """The value; ValueError naming the argument where it is no network."""
    if not hasattr(value, "named_modules"):
        raise ValueError(f"{name}: {type(value).__name__} is not allowed; give a torch.nn.Module")
    return value


def random_numbers(seed):
    """NumPy's generator; ValueError where the seed is none."""
    try:
        return np.random.default_rng(seed)
    except (ValueError, TypeError):  # below 0, a fraction, a word
        raise ValueError(f"seed: {seed!r} is not allowed; give a whole number of at least 0") from None

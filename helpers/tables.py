"""Read a table of one's own: separator, decimal sign and encoding found, and said where they are unusual."""

import warnings
from pathlib import Path

import pandas as pd

from helpers import files

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")


def read_table(path):
    """A DataFrame of a text file with a header line, whatever separates its columns.

    The separator is the one of , ; tab and | that splits the header most often; numbers with a decimal comma
    (and points between thousands) are read as numbers where the separator is another sign; text is UTF-8,
    else UTF-16 (with its mark), else Windows-1252. What is no comma-separated table in UTF-8 is said in a
    warning.
    Raises ValueError naming the file where it is empty, a web page, or a row has too many columns.
    """
    text, encoding = _decoded(path)
    header = text.lstrip("\n").partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    try:
        if files.disguise(path):
            raise pd.errors.ParserError
        frames = [pd.read_csv(path, sep=separator, encoding=encoding)]
        if separator != ",":
            frames.append(pd.read_csv(path, sep=separator, encoding=encoding, decimal=",", thousands="."))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise files.unreadable(path, "a table of values", error) from None
    numeric = [len(frame.select_dtypes("number").columns) for frame in frames]
    comma = len(frames) > 1 and numeric[1] > numeric[0]
    unusual = [f"separated by {SEPARATORS[separator]}"] * (separator != ",") + ["decimal commas"] * comma
    unusual += [f"encoded as {encoding}"] * (encoding != ENCODINGS[0])
    if unusual:
        warnings.warn(f"path: '{path}' is read as {', '.join(unusual)}", stacklevel=2)
    return frames[comma]


def _decoded(path):
    """(text, encoding) of a file by the first of ENCODINGS that fits; UTF-16 only where its mark is there."""
    content = Path(path).read_bytes()
    for encoding in ENCODINGS:
        if encoding == "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        try:
            return content.decode(encoding), encoding
        except UnicodeError:
            continue
    raise files.unreadable(path, "a table of values", ValueError("bytes that are no text"))

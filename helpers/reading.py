"""Read a table of one's own from a text file: separator, decimal sign, encoding, names."""

import io
import re
import warnings
from pathlib import Path

import pandas as pd

from helpers import files

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", r"\s+": "spaces"}
ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")
BINARY = {b"PK\x03\x04": "an Excel or zip file; save the sheet as CSV",
          b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
          b"PAR1": "a Parquet file; save it as CSV",
          b"%PDF": "a PDF; copy its table into a CSV file", b"\x1f\x8b": "compressed; unpack it first",
          b"[{": "JSON; save it as CSV", b'{"': "JSON; save it as CSV"}
MISSING_WORDS = ["-", "--", "?", ".", "n.a.", "k.A.", "missing", "#N/V",
                 "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"]
NUMBER = (r"[$€£¥]?\s?((?:-?(?!0)\d{{1,3}}(?:[{group}\s'’]\d{{3}})+|[-+]?\d*)(?:[{point}]\d+)?)"
          r"\s?(%|[$€£¥]|[^\W\d_]{{1,5}}[²³]?)?")


def read_table(path):
    """A DataFrame of a text file whose first line names the columns, whatever separates these.

    The separator is the one of , ; tab and | that splits the header most often, else spaces, or what Excel's
    "sep=;" says; decimal commas, signs between thousands, and %, a currency or a unit that a whole column
    carries are read as numbers; usual signs for a missing value (MISSING_WORDS) as missing; text is UTF-8,
    else UTF-16 (with its mark), else Windows-1252. Whatever is not plain is said in a warning.
    Raises ValueError naming the file where it is no file, empty, a web page, an Excel file or the like, where
    the first line does not name the columns, or a row has too many values.
    """
    if not Path(path).is_file():
        raise ValueError(f"path: '{path}' is not a file; allowed is a text file with a header line")
    text, encoding = _decoded(path)
    marked = re.match(r"\s*sep=(.)\r?\n", text)
    text = text[marked.end():] if marked else text.lstrip("\n")
    header, second, *_ = [*text.splitlines()[:2], "", ""]
    separator = marked[1] if marked else max(",;\t|", key=header.count)
    if not re.search(r"[,;\t|]", text) and len(header.split()) == len(second.split()) > 1:
        separator = r"\s+"
    plain = _parsed(path, text, separator)
    commas = plain if separator == "," else _parsed(path, text, separator, decimal=",")
    (points, found), (commas, signs) = _numbers(plain, ",", "."), _numbers(commas, ".", ",")
    comma = len(commas.select_dtypes("number").columns) > len(points.select_dtypes("number").columns)
    frame = commas if comma else points
    unusual = [f"separated by {SEPARATORS.get(separator, separator)}"] * (separator != ",")
    unusual += ["decimal commas"] * comma + (signs if comma else found) + _doubtful_names(frame)
    unusual += [f"encoded as {encoding}"] * (encoding != ENCODINGS[0])
    if unusual:
        warnings.warn(f"path: '{path}' is read as {', '.join(unusual)}", stacklevel=2)
    return frame


def _parsed(path, text, separator, **how):
    """A frame of the text; ValueError naming the file, and what is wrong with its first lines."""
    try:
        if files.disguise(path):
            raise pd.errors.ParserError
        frame = pd.read_csv(io.StringIO(text), sep=separator, na_values=MISSING_WORDS, **how)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        if more := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            raise ValueError(f"path: '{path}' names {more[1]} columns in its first line and has {more[3]} "
                             f"values in line {more[2]}; delete lines above the names, or mend that line"
                             ) from None
        raise files.unreadable(path, "a table of values", error) from None
    frame.columns = frame.columns.astype(str).str.strip()
    _check_first_lines(path, frame)
    return frame


def _check_first_lines(path, frame):
    """ValueError where the first line does not name the columns, or the second holds their units."""
    names, begin = frame.columns, f"path: '{path}'"
    if pd.to_numeric(pd.Series(names), errors="coerce").notna().all():
        raise ValueError(f"{begin} begins with numbers; needed is a first line that names the columns")
    named = (~names.str.startswith("Unnamed: ")).sum()
    if 2 * named < len(names):
        raise ValueError(f"{begin} names {named} of {len(names)} columns in its first line; delete the lines "
                         "above the names")
    first = frame.iloc[:1].dropna(axis=1)
    rest = frame[first.columns].iloc[1:].apply(pd.to_numeric, errors="coerce")
    units = [name for name in first if rest[name].notna().mean() > 0.5]
    if units and all(re.match(r"[^\W\d]|[%°\[(]", str(first[name].iloc[0])) for name in first):
        unit = first[units[0]].iloc[0]
        raise ValueError(f"{begin} has units in line 2 ({unit!r}); write them into the names, such as "
                         f"{units[0]} [{unit}], and delete that line")


def _numbers(frame, group, point):
    """(frame with texts such as 1.234,5 or $1,234.50 or 12 % as numbers, what signs they had).

    Dates such as 01.02.2024 stay what they are: between thousands stand groups of three.
    """
    frame, signs = frame.copy(), []
    for name in frame.select_dtypes(exclude=["number", "bool"]):
        texts = frame[name].dropna().astype(str).str.replace("−", "-").str.strip()
        parts = texts.str.extract(f"^{NUMBER.format(group=group, point=point)}$")
        one_sign = parts[1].nunique(dropna=False) == 1
        if one_sign and parts[0].str.contains(r"\d", na=False).all():
            digits = parts[0].str.replace(rf"[{group}\s'’]", "", regex=True)
            frame[name] = pd.to_numeric(digits.str.replace(point, ".")).reindex(frame.index)
            mark = re.sub(r"[\d\s.,'’+-]", "", texts.iloc[0])
            signs += [f"numbers of {mark!r} in {name!r}"] * bool(mark)
    return frame, signs


def _doubtful_names(frame):
    """What to say of names that are numbers with a fraction, or that pandas numbered because they repeat."""
    numbers = [name for name in frame.select_dtypes("number") if re.fullmatch(r"-?\d+[.,]\d+", name)]
    again = [name for name in frame if re.search(r"\.\d+$", name) and name.rpartition(".")[0] in frame]
    return ([f"a table whose first line names columns, {name!r} too" for name in numbers[:1]]
            + [f"columns of one name, the second as {name!r}" for name in again[:1]])


def _decoded(path):
    """(text, encoding) of a file by the first of ENCODINGS that fits; UTF-16 only where its mark is there."""
    content = Path(path).read_bytes()
    if kind := next((kind for mark, kind in BINARY.items() if content.startswith(mark)), ""):
        raise ValueError(f"path: '{path}' is {kind}")
    mark = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if not mark and 4 * content.count(0) > len(content) > 0:
        raise ValueError(f"path: '{path}' is full of zero bytes, as UTF-16 without its mark; save it as "
                         "UTF-8")
    for encoding in ENCODINGS[:1] + ENCODINGS[1:2] * mark + ENCODINGS[2:]:
        try:
            return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), encoding
        except UnicodeError:
            continue
    raise files.unreadable(path, "a table of values", ValueError("bytes that are no text"))

"""Read a table of one's own from a text file: separator, decimal sign, encoding, names."""

import io
import re
import warnings
from functools import partial
from pathlib import Path

import pandas as pd

from helpers import files
from helpers.arguments import file_path

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", r"\s+": "spaces"}
ALONE = "\x1f"  # between the columns of a file that has one: it occurs in no text
ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")
BINARY = {b"PK\x03\x04": "an Excel or zip file; save the sheet as CSV",
          b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
          b"<?xml": "XML; save it as CSV", b"PAR1": "a Parquet file; save it as CSV",
          b"%PDF": "a PDF; copy its table into a CSV file", b"\x1f\x8b": "compressed; unpack it first",
          b"[{": "JSON; save it as CSV", b'{"': "JSON; save it as CSV"}
MISSING_WORDS = ["-", "--", "?", ".", "n.a.", "k.A.", "missing", "#N/V",
                 "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"]
QUOTED = re.compile(  # may hold separators and line breaks
    r'(?:(?<![^\n,;\t|])|(?<=[,;|] ))"(?:[^"]|"")*+"(?=[,;\t|\n]|$)')
NUMBER = (r"([$€£¥]?)\s?((?:-?(?!0)\d{{1,3}}(?:[{group}\s'’]\d{{3}})+"
          r"|\+(?!0)\d{{1,3}}(?:[{group}'’]\d{{3}}){{1,2}}|[-+]?\d*)(?:[{point}]\d+)?)"  # +49 221 591 dials
          r"\s?(%|[$€£¥]|[^\W\d_]{{1,5}}[²³]?)?")
EITHER = r"[1-9]\d{0,2}[.,]\d{3}"  # a fraction, or thousands
FEW = 1000  # values of a column that are looked at before all of them are


def read_table(path):
    """A DataFrame of a text file whose first line names the columns, whatever separates these.

    The separator is the one of ; tab | and , that splits the rows as it splits the header (where several do,
    not the comma: "length, mm;width, mm"), else spaces, or what Excel's "sep=;" says; decimal commas, signs
    between thousands, and %, a currency or a unit that a whole column carries are read as numbers; usual
    signs for a missing value (MISSING_WORDS) as missing; text is UTF-8, else UTF-16 (with its mark), else
    Windows-1252. Whatever is not plain is said in a warning. Where nothing in the file settles whether 1,250
    is 1.25 or 1250, the comma is decimal between semicolons and in a file of one column, else the point is;
    that is said with an example. Every text is looked at: 20,000 rows of 36 columns with decimal commas take
    some three seconds.
    Raises ValueError naming the file where it is no file, empty, a web page, an Excel file or the like, where
    the first line does not name the columns, or a row has too many values.
    """
    if not file_path("path", path).is_file():
        raise ValueError(f"path: '{path}' is not a file; allowed is a text file with a header line")
    text, encoding = _decoded(path)
    marked = re.match(r"\s*sep=(.)\r?\n", text)
    text = text[marked.end():] if marked else text.lstrip("\n")
    separator = marked[1] if marked else _separator(text)
    plain, unusual = _parsed(path, text, separator)
    commas = plain if separator == "," else _parsed(path, text, separator, decimal=",")[0]
    frame, signs = _with_decimal_sign(plain, commas, separator in (";", ALONE))
    if separator not in (",", ALONE):
        unusual = [f"separated by {SEPARATORS.get(separator, separator)}", *unusual]
    unusual += signs + _doubtful_names(frame) + [f"encoded as {encoding}"] * (encoding != ENCODINGS[0])
    if unusual:
        warnings.warn(f"path: '{path}' is read as {', '.join(unusual)}", stacklevel=2)
    return frame


def _separator(text):
    """What separates the columns, by the header; what stands in quotes does not count."""
    bare = QUOTED.sub("q", text[:2**16])
    header, second, *_ = [*bare.splitlines()[:2], "", ""]
    if not re.search(r"[,;\t|]", text) and len(header.split()) == len(second.split()) > 1:
        return r"\s+"
    if not re.search(r"[,;\t|]", header):
        lines = [line for line in QUOTED.sub("q", text).splitlines()[1:] if "," in line]
        numbers = [NUMBER.format(group=group, point=point) for group, point in (",.", ".,")]
        if lines and all(any(re.fullmatch(number, line.strip()) for number in numbers) for line in lines):
            return ALONE
    rows = [line for line in bare.splitlines()[1:] if line]
    return _most_regular(header, rows[:-1] or rows)  # the last one may be cut


def _most_regular(header, rows):
    """The sign that splits most rows as it splits the header; of equals not a comma, which names hold too.

    A row may end with one separator more. Where none fits, the header's commonest sign that rows have.
    """
    def fitting(sign):
        more = [(row.count(sign) - header.count(sign), row.endswith(sign)) for row in rows]
        return sum(extra == 0 or (extra == 1 and ends) for extra, ends in more)

    signs = [sign for sign in ";\t|," if sign in header] or [","]
    fits = {sign: fitting(sign) for sign in signs}
    return max(signs, key=lambda sign: (fits[sign], fits[sign] > 0 and sign != ",",
                                        any(sign in row for row in rows), header.count(sign)))


def _parsed(path, text, separator, **how):
    """(frame of the text, what was put right); ValueError naming the file, and what is wrong with its lines.

    Each column is read in one piece, so that a code is not 1 here and "1" there.
    """
    read = partial(pd.read_csv, sep=separator, na_values=MISSING_WORDS, low_memory=False,
                   skipinitialspace=True, **how)
    try:
        if files.disguise(path):
            raise pd.errors.ParserError
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = read(io.StringIO(text), index_col=False)  # else pandas may take the first column as names
    except pd.errors.ParserWarning:
        frame = read(io.StringIO(text))
        named, values = frame.shape[1], frame.shape[1] + frame.index.nlevels
        raise ValueError(f"path: '{path}' names {named} columns in its first line and has {values} values in "
                         "the row below; name each column, or delete the lines above the names") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        if more := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            raise ValueError(f"path: '{path}' names {more[1]} columns in its first line and has {more[3]} "
                             f"values in line {more[2]}; delete lines above the names, or mend that line"
                             ) from None
        raise files.unreadable(path, "a table of values", error) from None
    frame.columns = _unique(frame.columns)
    counts = [line.count(separator) for line in QUOTED.sub("q", text[:2**16]).splitlines() if line][:2]
    ends = ["rows without their last separator"] * (len(counts) == 2 and counts[1] > counts[0])
    _check_first_lines(path, frame)
    return frame, ends


def texts(values):
    """A column (n,) or an index as Python's strings.

    In pandas' own, where pyarrow is installed, patterns know no space but ASCII's and no accents.
    """
    return values.astype(str).astype(object)


def _unique(names):
    """Names without space around them and line breaks, made different as pandas does: kg, kg.1."""
    found = []
    for name in texts(names).str.strip().str.replace(r"\s*\n\s*", " ", regex=True):
        again = (f"{name}.{count}" for count in range(1, 2 * len(names) + 1))
        found.append(next(new for new in again if new not in {*found, *names}) if name in found else name)
    return found


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


def _with_decimal_sign(plain, commas, customary):
    """(frame, what to say) of the decimal sign that makes numbers of more columns, else that more need.

    plain, commas: the table read with decimal points and commas. customary: commas, where nothing settles it.
    """
    points, others = _numbers(plain, ",", "."), _numbers(commas, ".", ",")
    more = others[0].select_dtypes("number").shape[1] - points[0].select_dtypes("number").shape[1]
    needed, doubtful = _signs_needed(plain, commas, {*points[0].select_dtypes("number"),
                                                     *others[0].select_dtypes("number")})
    settled = any(needed.values())
    comma = more > 0 or more == 0 and (needed[","] > needed["."] if settled else customary and bool(doubtful))
    frame, notes, thousands = others if comma else points
    notes = ["decimal commas"] * (comma and needed[","] > 0) + notes
    doubtful = {} if settled else doubtful
    taken = [f"{name!r} ({text} as {number:.15g})" for name, (text, number) in thousands.items()
             if name not in doubtful]
    notes += [f"thousands in {', '.join(taken)}"] * bool(taken)
    for name, text in doubtful.items():
        fraction, whole = float(text.replace(",", ".")), int(re.sub("[.,]", "", text))
        read, other = (fraction, whole) if ("," in text) == comma else (whole, fraction)
        notes.append(f"{text} in {name!r} as {read:.15g}, though it may be {other:.15g}")
    return frame, notes


def _signs_needed(plain, commas, numbers):
    """({sign: how many columns need it as decimal sign}, {column: a number of those that may be either}).

    numbers: the columns that count. 1,250 may be either; 0,250, 1250,000, 1,25 and 1.250,5 need the comma as
    decimal sign, 1,250,000 the point.
    """
    needed, doubtful = {".": 0, ",": 0}, {}
    for name in plain:
        column = next((one[name] for one in (commas, plain) if one[name].dtype.kind not in "biuf"), None)
        if name not in numbers or column is None:  # numbers in both: without a sign, or all with points
            values = plain[name].dropna() if name in numbers else pd.Series(dtype=int)
            needed["."] += bool((values % 1 != 0).any())
            continue
        words = texts(column.dropna())
        digits = _digits(words.iloc[:FEW])  # what a number needs, the others of its column need too
        if digits.str.fullmatch(EITHER).all():
            digits = _digits(words)
        either = digits.str.fullmatch(EITHER)
        last = digits[~either].str.extract(r"([.,])[^.,]*$")[0]
        once = [text.count(sign) == 1 for text, sign in zip(digits[~either], last, strict=True)]
        for sign in set(last.where(once, last.map({".": ",", ",": "."}))):
            needed[sign] += 1
        if either.any() and either.all():
            doubtful[name] = digits.iloc[0]
    return needed, doubtful


def _digits(words):
    """The digits and signs of the numbers that have a point or a comma."""
    digits = words.str.replace(r"[eE][+-]?\d+$", "0000", regex=True)  # settles it
    digits = digits.str.replace(r"[^\d.,'’\s]", "", regex=True).str.strip()
    return digits[digits.str.contains("[.,]")]


def _numbers(frame, group, point):
    """(frame with texts such as 1.234,5 or $1,234.50 or 12 % as numbers, what units they had, thousands).

    thousands: {column: (text, number)} of a text with signs between thousands. Dates such as 01.02.2024 stay
    what they are: between thousands stand groups of three.
    """
    frame, notes, thousands = frame.copy(), [], {}
    for name in frame.select_dtypes(exclude=["number", "bool"]):
        column = frame[name].dropna()
        for some in (column.iloc[:FEW], column):
            found = texts(some).str.replace("−", "-").str.strip()
            parts = found.str.extract(f"^{NUMBER.format(group=group, point=point)}$")
            if not (numbers := parts[1].str.contains(r"\d", na=False).all()):
                break
        if not numbers:
            continue
        units = parts[0].fillna("") + parts[2].fillna("")
        if units.nunique() == 1:
            digits = parts[1].str.replace(rf"[{group}\s'’]", "", regex=True)
            frame[name] = pd.to_numeric(digits.str.replace(point, ".")).reindex(frame.index)
            notes += [f"numbers of {units.iloc[0]!r} in {name!r}"] * bool(units.iloc[0])
            if (grouped := digits != parts[1]).any():
                thousands[name] = found[grouped].iloc[0], frame[name][grouped.idxmax()]
        elif len(found):
            two = found[~units.duplicated()].iloc[:2]
            notes.append(f"text in {name!r}, whose numbers have several units ({', '.join(two)})")
    return frame, notes, thousands


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

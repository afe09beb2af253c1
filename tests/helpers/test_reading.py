"""A table of one's own from a text file: what is found, what is said, what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest

from helpers import tables

ROWS = "kg,town,age\n3.5,Köln,30\n4.25,Bonn,41\n2.0,Köln,28\n"


@pytest.mark.parametrize(("content", "says"), [
    (b"PK\x03\x04rest", "is an Excel or zip file; save the sheet as CSV"),
    (b"1.5,2\n3,4\n", "begins with numbers; needed is a first line that names the columns"),
])
def test_no_text_table_is_one_line(tmp_path, content, says):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        tables.read_table(tmp_path / "own.csv")


def test_grouped_thousands_are_numbers_and_dates_are_not(tmp_path):
    rows = "sum;day;price\n1.234.567;01.02.2024;1,5\n12;28.12.2024;1.000,25\n"
    (tmp_path / "own.csv").write_text(rows)
    with pytest.warns(UserWarning, match="decimal commas"):
        frame = tables.read_table(tmp_path / "own.csv")
    assert frame["sum"].tolist() == [1234567, 12]
    assert frame["day"].tolist() == ["01.02.2024", "28.12.2024"]
    assert frame["price"].tolist() == [1.5, 1000.25]


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match="is not a file; allowed is a text file with a header line"):
        tables.read_table(tmp_path)


def read(folder, content, encoding="utf-8"):
    """(frame, what was said) of a file with this content."""
    (folder / "own.csv").write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frame = tables.read_table(folder / "own.csv")
    return frame, "".join(str(one.message) for one in said)


@pytest.mark.parametrize(("separator", "texts", "numbers", "says"), [
    (",", ['"2,345.05"', "17.5"], [2345.05, 17.5], ""),
    (",", ['"71,5"', '"1234,25"'], [71.5, 1234.25], "decimal commas"),
    (";", ["6\u00a0856,10", "12,5"], [6856.1, 12.5], "decimal commas"),
    (",", ["8'049", "1'234'567"], [8049, 1234567], "thousands in 'x' (8'049 as 8049)"),
    (",", ["\u22123.5", "2"], [-3.5, 2], ""),
    (",", ["42.7%", "3.1%"], [42.7, 3.1], "numbers of '%' in 'x'"),
    (",", ['"$1,104.64"', "$9.00"], [1104.64, 9], "numbers of '$' in 'x'"),
    (",", ["3.5 kg", "12 kg"], [3.5, 12], "numbers of 'kg' in 'x'"),
    (",", ["3.5", "-"], [3.5, np.nan], ""),
    (",", ["#DIV/0!", "k.A."], [np.nan, np.nan], ""),
    (",", ["3 kg", "3 lb"], None, "text in 'x', whose numbers have several units (3 kg, 3 lb)"),
    (",", ["$5.00", "€7.00"], None, "several units ($5.00, €7.00)"),
    (",", ["$5.00", "3.00"], None, "several units ($5.00, 3.00)"),
    (",", ["1-2", "3-4"], None, ""),
    (",", ["+49 221 591 173", "+49 30 123 456"], None, ""),  # telephones
    (",", ["030 123 456", "0221 591 173"], None, ""),
    (",", ["+3.5", "-2"], [3.5, -2], ""),
    (";", ["+1.231,50", "-1.231,50"], [1231.5, -1231.5], "decimal commas"),
    (",", ["+49.221.591.173", "+49.30.123.456"], None, ""),
    (",", ["-.5 %", "2 %"], [-0.5, 2], "numbers of '%' in 'x'"),
])
def test_numbers_as_people_write_them(tmp_path, separator, texts, numbers, says):
    rows = [f"{text}{separator}word" for text in texts]
    frame, said = read(tmp_path, "\n".join([f"x{separator}y", *rows]))
    assert says in said
    if numbers is None:
        assert frame["x"].tolist() == texts
    else:
        np.testing.assert_array_equal(frame["x"], numbers)


@pytest.mark.parametrize(("content", "says"), [
    ("Report\nof May\n\n" + ROWS, "names 1 columns in its first line and has 3 values in line 4; delete"),
    ("Report,,\nof May,,\n" + ROWS, "names 1 of 3 columns in its first line; delete the lines above"),
    (ROWS + "1,2,3,4\n", "names 3 columns in its first line and has 4 values in line 5"),
    (ROWS.replace("\n", "\nkg,,years\n", 1), "units in line 2 .'kg'.; write them .* as kg .kg."),
    ("Kunden\nname,ort\nA,Bonn\n", "names 1 columns in its first line and has 2 values in the row below"),
    (ROWS.replace(",age", ""), "names 2 columns in its first line and has 3 values in the row below"),
    ("a;b\n0;1;\n1;2;3\n", "names 2 columns in its first line and has 3 values in the row below"),
    ("a;b, c, d\n1;2;3\n", "names 2 columns in its first line and has 3 values in the row below"),
    ("note\nwind, rain\nsun\n", "names 1 columns in its first line and has 2 values in the row below"),
    ('<?xml version="1.0"?>\n<Workbook>\n', "is XML; save it as CSV"),
    ('[{"a": 1}]', "is JSON; save it as CSV"),
    (ROWS.encode("utf-16-le"), "full of zero bytes, as UTF-16 without its mark; save it as UTF-8"),
    (b"\xd0\xcf\x11\xe0rest", "is an old Excel file; save the sheet as CSV"),
])
def test_what_stands_above_the_table_is_refused(tmp_path, content, says):
    with pytest.raises(ValueError, match=says) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "says"), [
    (ROWS.replace("kg", " kg "), ""),
    ("sep=,\n" + ROWS, ""),
    (ROWS.replace(",", "\t"), "separated by tabs"),
    (ROWS.replace(",", "  "), "separated by spaces"),
    (ROWS.replace("\n", "\r"), ""),
    (ROWS.encode("cp1252"), "encoded as cp1252"),
    (ROWS.encode("utf-16"), "encoded as utf-16"),
])
def test_the_same_table_comes_back(tmp_path, content, says):
    plain, _ = read(tmp_path, ROWS)
    frame, said = read(tmp_path, content)
    pd.testing.assert_frame_equal(frame, plain)
    assert said.endswith(says)


def test_doubtful_names_are_said(tmp_path):
    assert "the second as 'a.1'" in read(tmp_path, "a,a\n1,2\n")[1]
    assert "names columns, '21.39' too" in read(tmp_path, "21.39,Köln\n3.5,Bonn\n")[1]
    assert not read(tmp_path, "town,2019,2020\nKöln,3,4\n")[1]


def test_half_of_the_columns_may_be_without_a_name(tmp_path):
    frame, _ = read(tmp_path, "a,\n1,2\n3,4\n")
    assert frame.shape == (2, 2)
    assert frame["a"].tolist() == [1, 3]


@pytest.mark.parametrize("rows", [["1;2;3;", "4;5;6;"], ["0;2;3;", "1;5;6;"], ["1;2;3;", "4;5;6"]])
def test_a_last_separator_of_rows_is_left_out_and_said(tmp_path, rows):
    frame, said = read(tmp_path, "\n".join(["a;b;c", *rows]))
    assert frame.to_numpy().tolist() == [[int(one) for one in row.split(";")[:3]] for row in rows]
    assert said.endswith("separated by semicolons, rows without their last separator")


@pytest.mark.parametrize(("texts", "numbers", "says"), [
    (["1,5", "2,5", "3,25"], [1.5, 2.5, 3.25], "decimal commas"),
    (["1,500", "2,250"], [1.5, 2.25], "1,500 in 'kg' as 1.5, though it may be 1500"),
    (["1,234,500", "2,250"], [1234500, 2250], "thousands in 'kg' (1,234,500 as 1234500)"),
    (["1,5 kg", "-", "3 kg"], [1.5, np.nan, 3], "decimal commas, numbers of 'kg' in 'kg'"),
    (["1.5", "2.5"], [1.5, 2.5], ""),
])
def test_a_single_column_has_no_separator(tmp_path, texts, numbers, says):
    for name in ("kg", '"kg"'):
        frame, said = read(tmp_path, "\n".join([name, *texts]))
        np.testing.assert_array_equal(frame["kg"], numbers)
        assert said.partition(" is read as ")[2] == says


@pytest.mark.parametrize(("separator", "columns", "numbers", "says"), [
    (";", [["1,250", "2,375"]], [[1.25, 2.375]], "1,250 in 'a' as 1.25, though it may be 1250"),
    (";", [["1.250", "987"]], [[1250, 987]], "1.250 in 'a' as 1250, though it may be 1.25"),
    (";", [["12,500 %", "3,125 %"]], [[12.5, 3.125]],
     "numbers of '%' in 'a', 12,500 in 'a' as 12.5, though it may be 12500"),
    ("\t", [["1.250", "2.375"]], [[1.25, 2.375]], "1.250 in 'a' as 1.25, though it may be 1250"),
    (",", [['"1,250"', '"2,375"']], [[1250, 2375]], "1,250 in 'a' as 1250, though it may be 1.25"),
    (",", [['"1,250"', '"2,375"'], ["2.5", "3"]], [[1250, 2375], [2.5, 3]],
     "thousands in 'a' (1,250 as 1250)"),
    (",", [["1.250", "2.375"]], [[1.25, 2.375]], ""),
    (";", [["1.250", "0.375"]], [[1.25, 0.375]], ""),
    (";", [["1,250", "0,375"]], [[1.25, 0.375]], "decimal commas"),
    (";", [["-1250,000", "1,375"]], [[-1250, 1.375]], "decimal commas"),
    (";", [["1,250E+03", "2,375E+03"]], [[1250, 2375]], "decimal commas"),
    (";", [["52.520", "48.137"], ["1,5", "2,5"]], [[52520, 48137], [1.5, 2.5]],
     "decimal commas, thousands in 'a' (52.520 as 52520)"),
    (";", [["1.250.000", "7"], ["1,250", "2,375"]], [[1250000, 7], [1.25, 2.375]],
     "decimal commas, thousands in 'a' (1.250.000 as 1250000)"),
    (";", [["1,250", "2,375"], ["0.5", "2.5"]], [[1250, 2375], [0.5, 2.5]],
     "thousands in 'a' (1,250 as 1250)"),
])
def test_a_sign_before_three_digits_is_settled_or_said(tmp_path, separator, columns, numbers, says):
    names = ["a", "b"][: len(columns)]
    rows = [separator.join([*row, "word"]) for row in zip(*columns, strict=True)]
    frame, said = read(tmp_path, "\n".join([separator.join([*names, "c"]), *rows]))
    np.testing.assert_array_equal(frame[names].T, numbers)
    said = said.partition(" is read as ")[2]
    assert said.removeprefix("separated by semicolons").removeprefix("separated by tabs").lstrip(", ") == says


def test_what_stands_in_quotes_is_no_separator(tmp_path):
    for comma, line in (("1,5;8,2", "Größe, cm"), ("170;80", "Größe\nin cm"), ("1,5;8,2", "Größe\n in cm")):
        frame, said = read(tmp_path, f'"{line}";"Gewicht, kg"\n{comma}\n')
        assert frame.columns.tolist() == [line.replace("\n", " ").replace("  ", " "), "Gewicht, kg"]
        assert frame.iloc[0].tolist() == [float(one.replace(",", ".")) for one in comma.split(";")]
        assert "separated by semicolons" in said
    assert read(tmp_path, 'name;inch\npipe 5";3\nbar 6";4\n')[0]["name"].tolist() == ['pipe 5"', 'bar 6"']


@pytest.mark.parametrize(("content", "columns", "first"), [
    ("Länge, mm;Breite, mm;Höhe, mm\n5,13;4,87;5,46\n5,2;4,9;5\n", ["Länge, mm", "Breite, mm", "Höhe, mm"],
     [5.13, 4.87, 5.46]),
    ("Länge, mm;Breite, mm\n5,13;4,87;\n5,20;4,91;\n", ["Länge, mm", "Breite, mm"], [5.13, 4.87]),
    ("id;note (a, b, c)\n0;0\n1;1\n", ["id", "note (a, b, c)"], [0, 0]),
    ("id|note, a, b\n0|0\n", ["id", "note, a, b"], [0, 0]),
    ("id,note;a;b;c\n0,1\n2,3\n", ["id", "note;a;b;c"], [0, 1]),
    ("a, b;c\n" + 20_000 * "1,5;2\n", ["a, b", "c"], [1.5, 2]),  # more than is looked at, and cut in a row
])
def test_units_after_a_comma_are_no_columns(tmp_path, content, columns, first):
    frame, _ = read(tmp_path, content)
    assert frame.columns.tolist() == columns
    assert frame.iloc[0].tolist() == first


def test_spaces_after_separators_are_no_part_of_a_value(tmp_path):
    frame, said = read(tmp_path, 'age, work, note\n39, ?, "a, b"\n50, State, c\n')
    assert frame["work"].isna().tolist() == [True, False]
    assert frame["note"].tolist() == ["a, b", "c"]
    assert frame["work"][1] == "State"
    assert not said
    assert read(tmp_path, "a\tb\n\t2\n1\t3\n")[0].iloc[0].tolist()[1] == 2


def test_names_that_are_equal_without_spaces_are_told_apart(tmp_path):
    frame, said = read(tmp_path, "kg,kg ,kg.1, kg\n1,2,3,4\n")
    assert frame.columns.tolist() == ["kg", "kg.3", "kg.1", "kg.2"]
    assert frame.iloc[0].tolist() == [1, 2, 3, 4]
    assert "columns of one name, the second as 'kg.3'" in said


def test_a_long_column_is_of_one_type(tmp_path):
    codes = ["1", "", *["2"] * 400_000, "k"]
    frame, said = read(tmp_path, "\n".join(["code,x", *(f"{code},0" for code in codes)]))
    assert frame["code"].dropna().tolist() == [code for code in codes if code]
    assert not said

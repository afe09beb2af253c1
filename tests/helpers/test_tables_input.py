"""helpers.tables: columns that look like measurements and are none, and arguments that fit no table."""

import numpy as np
import pandas as pd
import pytest

from helpers import tables

DIFFERENT = np.random.default_rng(0).permutation(60) * 7


@pytest.mark.parametrize(("name", "values", "reason"), [
    ("Unnamed: 0", DIFFERENT, "names the rows"),  # pandas' own index after a sample, filter or sort
    ("Unnamed: 0", np.r_[DIFFERENT[:30], DIFFERENT[:30]], "names what several rows belong to"),
    ("Unnamed: 0.1", DIFFERENT, "names the rows"),
    ("Unnamed: 3", DIFFERENT, "names the rows"),
    ("Unnamed: 3", DIFFERENT % 5, ""),
    ("customer_no", DIFFERENT, "names the rows"),
    ("customerNumber", DIFFERENT, "names the rows"),
    ("Kundennummer", DIFFERENT, "names the rows"),
    ("order num", DIFFERENT, "names the rows"),
    ("casino", DIFFERENT, ""),
    ("NO", DIFFERENT, ""),  # nitric oxide
    ("room_number", DIFFERENT % 5, ""),
    ("day", ["2024-01-15", "2024-01-16", "2024-02-01"] * 20, "a date"),
    ("day", ["15 Jan 2024", "16 Jan 2024"] * 30, "a date"),
    ("month", ["2024-01", "2024-02"] * 30, "a date"),
    ("age", ["5-10", "10-20"] * 30, ""),
    ("weekday", ["Mon", "Tue", "May"] * 20, ""),
    ("year", ["2019", "2020"] * 30, ""),
])
def test_what_names_rows_and_days_is_left_out(name, values, reason):
    frame = pd.DataFrame({"kept": np.random.default_rng(5).normal(size=60), name: values})
    assert tables.prepare(frame).left_out["reason"].tolist() == ([reason] if reason else [])


@pytest.mark.parametrize("codes", [(-9999, -999), (-999, 999), (-99, -9, -1)])
def test_several_numbers_for_missing_are_all_named(codes):
    frame = pd.DataFrame({"age": np.random.default_rng(6).uniform(20, 21, 90)})
    for place, code in enumerate(codes):
        frame.loc[3 * place:3 * place + 2, "age"] = code
    said = ", ".join(f"{code} occurs 3 times" for code in codes)
    assert f"; {said}: missing? then leave those cells" in tables.prepare(frame).steps["step"][0]


FRAME = pd.DataFrame({"a": np.random.default_rng(7).normal(size=40), "town": ["Rome", "Bonn"] * 20})
PREPARED = tables.prepare(FRAME)
OTHER = r"^frame: its rows are not those of prepared, or in another order; give the frame that prepare took"


@pytest.mark.parametrize("other", [
    FRAME.sort_values("a"), FRAME.sort_values("a", ignore_index=True), FRAME[:39], FRAME[["a"]], FRAME * 2])
def test_another_frame_than_was_prepared_is_refused(other):
    with pytest.raises(ValueError, match=OTHER):
        tables.explain(other, PREPARED, 1.0, 3)
    assert len(tables.explain(FRAME.assign(more=1), PREPARED, 1.0, 3)) == 2


@pytest.mark.parametrize("row", [-1, 40, 3.0, "3", True])
def test_what_is_no_row_is_refused(row):
    for call in (lambda: tables.explain(FRAME, PREPARED, 1.0, row),
                 lambda: tables.first_column_stability(PREPARED, 1.0, row)):
        with pytest.raises(ValueError, match=f"^row: {row!r} is not allowed; give a row number .* 0 to 39$"):
            call()


@pytest.mark.parametrize(("call", "says"), [
    (lambda: tables.explain(FRAME, PREPARED, 1.0, 3, nearest=0), "^nearest: 0 is not allowed; give a whole"),
    (lambda: tables.explain(FRAME, PREPARED, 1.0, 3, nearest=-1), "^nearest: -1 is not allowed"),
    (lambda: tables.explain(FRAME, PREPARED, 1.0, 3, top=0), "^top: 0 is not allowed"),
    (lambda: tables.first_column_stability(PREPARED, 1.0, 3, resamples=0), "^resamples: 0 is not allowed"),
    (lambda: tables.first_column_stability(PREPARED, 1.0, 3, seed=-1), "^seed: -1 is not allowed; give"),
    (lambda: tables.prepare(FRAME, most_rows=20, seed=-1), "^seed: -1 is not allowed; give a whole number"),
    (lambda: tables.row_relevance(np.ones(3), np.ones((5, 2)), 1.0), r"^x: shape \(3,\) .* \(5, 2\)"),
])
def test_counts_are_whole_numbers(call, says):
    with pytest.raises(ValueError, match=says):
        call()

"""A table of one's own as numbers, and what is unusual about a row in its own columns and units."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, yeojohnson, yeojohnson_normmax
from sklearn.datasets import load_wine
from sklearn.preprocessing import PowerTransformer, RobustScaler

from helpers import anomalies, tables
from helpers.datasets import SPENDINGS, load_wholesale

MANY = "60 different texts such as '%s': no number and no category"
MIXED = np.random.default_rng(0).permutation(60) * 7


def messy(n=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "id": np.arange(100, 100 + n), "name": [f"customer {i}" for i in range(n)],
        "day": pd.date_range("2024-01-01", periods=n).strftime("%d %b %Y"), "height": rng.normal(170, 8, n),
        "income": rng.lognormal(8, 2, n), "town": rng.choice(["Lisbon", "Porto"], n), "one": 1,
        "empty": np.nan, "member": rng.random(n) > 0.5})
    frame.loc[3, ["height", "town"]] = np.nan, None
    frame.loc[4, "height"] = np.inf
    return frame


def test_the_recipe_says_what_it_did_and_what_it_left_out():
    found = tables.prepare(messy(), leave_out=["member"])
    reasons = found.left_out.set_index("what")["reason"].to_dict()
    assert reasons.pop("values of height") == "infinite, taken as missing"
    assert reasons == {"column id": "counts the rows", "column name": MANY % "customer 0",
                       "column day": "a date", "column one": "one value", "column member": "asked for",
                       "column empty": "60 of 60 values are missing"}
    assert list(found.owner) == ["height", "height", "income", "town", "town", "town"]
    assert found.X[[3, 4], 1].tolist() == [1, 1]
    assert found.X[:, 1].sum() == 2
    present = np.delete(messy()["height"].to_numpy(), [3, 4])
    filled = np.insert(present, [3, 3], np.median(present))
    low, middle, high = np.quantile(filled, [0.25, 0.5, 0.75])
    sd = (high - low) / (norm.ppf(0.75) - norm.ppf(0.25))
    np.testing.assert_allclose(found.X[:, 0], (filled - middle) / sd, atol=1e-12)
    assert found.X[3, 3:].sum() == 1
    assert abs(pd.Series(found.X[:, 2]).skew()) < 0.5
    steps = found.steps.set_index("column")["step"]
    assert steps["height"] == "standardised; 2 missing, median and a 0/1 column"
    assert steps["income"] == "skewed: Yeo-Johnson, standardised"
    assert steps["town"] == "3 words, a 0/1 column each; 1 missing, a word of its own"


def test_rows_beyond_the_most_and_rows_with_nothing_are_counted():
    frame = pd.DataFrame({"a": np.random.default_rng(1).normal(size=100)})
    frame.loc[[7, 8]] = np.nan
    found = tables.prepare(frame, most_rows=50)
    assert len(found.X) == len(found.rows) == 50
    assert not {7, 8} & set(found.rows)
    assert found.left_out["count"].tolist() == [2, 48]


@pytest.mark.parametrize(("frame", "options", "says"), [
    (messy(), {"leave_out": ["age"]}, "leave_out: 'age' is no column; allowed are id, name"),
    (messy(), {"leave_out": "ab"}, "leave_out: 'ab' is no column; allowed are id, name"),
    (messy(), {"most_rows": 0}, "most_rows: 0 is not allowed; give a whole number of at least 20"),
    (messy(12), {}, "columns and 12 rows are left; needed are at least 1 column and 20 rows"),
    (pd.DataFrame(np.ones((30, 2)), columns=["a", "a"]), {}, "frame: two columns are called 'a'; allowed"),
    (messy()[["height"]].astype(pd.SparseDtype(float)), {}, "some columns are sparse; give frame.sparse.to"),
    (messy()[["height"]].rename(columns={"height": None}), {}, "names of several levels, or none"),
    (pd.concat({"a": messy()}, axis=1), {}, "names of several levels, or none; give each one name"),
    (messy()[["one", "id"]], {}, "0 columns .*column one: one value; column id: counts the rows"),
])
def test_too_little_is_one_line(frame, options, says):
    with pytest.raises(ValueError, match=says) as error:
        tables.prepare(frame, **options)
    assert "\n" not in str(error.value)


def test_one_row_gets_the_relevance_that_all_rows_get():
    X = np.random.default_rng(2).normal(size=(30, 4))
    X[5] = X[6]
    for gamma in (0.1, 1.0, 30.0):
        R = anomalies.feature_relevance(X, gamma)
        for row in (0, 5):
            one = tables.row_relevance(X[row], np.delete(X, row, axis=0), gamma)
            np.testing.assert_allclose(one, R[row], atol=1e-12)


def test_the_stiffness_is_one_over_the_median_squared_distance():
    assert tables.stiffness(np.array([[0.0], [2.0], [4.0], [6.0]])) == 0.25
    assert tables.stiffness(np.array([[0.0], [0.0], [3.0]])) == pytest.approx(1 / 9)
    assert tables.stiffness(np.ones((3, 2))) == 1


def test_an_unusual_row_is_explained_in_the_users_words():
    frame = pd.DataFrame({"Frozen": np.random.default_rng(3).normal(3000, 100, 80), "town": ["Lisbon"] * 80})
    frame.loc[:9, "town"] = "Porto"
    frame.loc[40, "Frozen"] = 36534
    prepared = tables.prepare(frame)
    gamma = tables.stiffness(prepared.X)
    found = tables.explain(frame, prepared, gamma, 40)
    assert found["column"].tolist() == ["Frozen", "town"]
    assert found["words"][0].startswith("Frozen 36,534 against 3,1")
    assert found["share"].sum() == pytest.approx(1)
    assert tables.first_column_stability(prepared, gamma, 40) == ("Frozen", 1.0)


@pytest.mark.parametrize("usual", ["normal", "lognormal"])
def test_one_extreme_value_is_neither_hidden_nor_shrinks_the_others(usual):
    rng = np.random.default_rng(8)
    values = rng.normal(1700, 80, 60) if usual == "normal" else rng.lognormal(7, 1, 60)
    frame = pd.DataFrame({"a": values, "b": rng.normal(size=60)})
    before = tables.prepare(frame).X
    frame.loc[7, "a"] = 900_000
    after = tables.prepare(frame).X
    np.testing.assert_allclose(np.delete(after, 7, 0).std(0), np.delete(before, 7, 0).std(0), rtol=0.15)
    assert anomalies.softmin_scores(after, tables.stiffness(after)).argmax() == 7


FAR_FROM_ZERO = {"year": lambda rng: 1990 + rng.exponential(8, 200).astype(int),
                 "pH": lambda rng: 7 + rng.exponential(0.1, 200),
                 "hPa": lambda rng: 1013 - rng.exponential(3, 200),
                 "K": lambda rng: 293 + rng.exponential(2, 200)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unit", FAR_FROM_ZERO)
def test_skewed_columns_far_from_zero_keep_their_values_apart(unit, seed):
    values = FAR_FROM_ZERO[unit](np.random.default_rng(seed))
    column = tables.prepare(pd.DataFrame({unit: values})).X[:, 0]
    order = np.argsort(values)
    different = np.diff(values[order]) > 0
    assert (np.diff(column[order])[different] > 1e-7).all()
    assert (np.diff(column[order])[~different] == 0).all()
    np.testing.assert_allclose(np.diff(np.quantile(column, [0.25, 0.75])), 2 * norm.ppf(0.75))


@pytest.mark.parametrize("outlier", [2150, 1800, -1e9, 1e300])
def test_a_far_value_of_a_skewed_column_stands_out_and_stays_a_number(outlier):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kg": rng.normal(70, 8, 200), "year": 1990 + rng.exponential(8, 200).round()})
    frame.loc[7, "year"] = outlier
    prepared = tables.prepare(frame)
    assert 5 < abs(prepared.X[7, 1]) < 10 * abs(outlier)
    assert anomalies.softmin_scores(prepared.X, tables.stiffness(prepared.X)).argmax() == 7
    assert ("1 beyond 1e+150, taken as that" in prepared.steps["step"][1]) == (outlier == 1e300)


def test_beyond_the_quantiles_a_far_value_goes_straight_on():
    years = 1990 + np.random.default_rng(2).lognormal(2, 1, 200).round()
    years[:2] = 2150, 1800
    low, middle, high = np.quantile(years, [0.05, 0.5, 0.95])
    unit, beyond = ((part - middle) / (high - low) for part in (np.clip(years, low, high), years))
    power = yeojohnson_normmax(unit)
    slope = (yeojohnson(unit + 1e-6, power) - yeojohnson(unit - 1e-6, power)) / 2e-6
    bent = yeojohnson(unit, power) + slope * (beyond - unit)
    quarter, median, rest = np.quantile(bent, [0.25, 0.5, 0.75])
    expected = (bent - median) / (rest - quarter) * 2 * norm.ppf(0.75)
    prepared = tables.prepare(pd.DataFrame({"year": years}))
    assert prepared.steps["step"][0] == "skewed: Yeo-Johnson from 5 % to 95 %, standardised"
    np.testing.assert_allclose(prepared.X[:, 0], expected, rtol=1e-4)


def test_a_column_without_far_values_is_bent_as_it_is():
    acid = load_wine(as_frame=True).data[["malic_acid"]]
    bend = PowerTransformer(standardize=False).fit(acid.clip(*np.quantile(acid, [0.05, 0.95])).to_numpy())
    expected = RobustScaler(unit_variance=True).fit_transform(bend.transform(acid.to_numpy()))
    np.testing.assert_array_equal(tables.prepare(acid).X, expected)


def test_the_unit_of_a_column_does_not_matter():
    masses = np.random.default_rng(0).normal(20, 2, 60)
    expected = tables.prepare(pd.DataFrame({"u": masses})).X
    for unit in (1.66e-27, 1e-300, 1e140):
        np.testing.assert_allclose(tables.prepare(pd.DataFrame({"kg": masses * unit})).X, expected, atol=1e-9)
    assert tables.prepare(pd.DataFrame({"u": masses, "kg": masses * 1e160})).left_out["reason"].tolist() == [
        "numbers beyond 1e+150; give them in a larger unit"]


@pytest.mark.parametrize("same", [70, 95])
def test_an_extreme_value_does_not_shrink_a_column_that_is_mostly_the_same(same):
    values = np.r_[np.full(same, 3.0), np.random.default_rng(0).uniform(1, 5, 100 - same)].round(1)
    frames = [pd.DataFrame({"a": np.r_[values[:-1], last]}) for last in (5, 1e9)]
    before, after = (tables.prepare(frame).X[:-1] for frame in frames)
    assert after.std() > before.std() / 2


def test_missing_values_and_words_are_named():
    frame = messy()
    prepared = tables.prepare(frame)
    found = tables.explain(frame, prepared, tables.stiffness(prepared.X), 3, top=9).set_index("column")
    assert found.loc["height", "value"] == found.loc["town", "value"] == "missing"
    assert found.loc["town", "nearest"] in ("Lisbon", "Porto")


def test_the_table_of_the_course_needs_no_hand():
    customers = load_wholesale()
    prepared = tables.prepare(customers)
    assert set(prepared.owner) == {"Channel", "Region", *SPENDINGS}
    assert prepared.left_out.empty


@pytest.mark.parametrize(("name", "values", "reason"), [
    ("customer_id", [7, 3, 9, 21] * 5 + list(range(100, 140)), "names what several rows belong to"),
    ("CustomerID", MIXED, "names the rows"),
    ("paid", MIXED, ""),  # a name that says nothing of the kind
    ("parts", [[i] for i in range(60)], "complex numbers, lists or the like"),
    ("wave", MIXED * 1j, "complex numbers, lists or the like"),
    ("day", [20240101 + i % 28 for i in range(60)], "a date"),
    ("price", ["12.5", "3", "<5"] * 20, "numbers mixed with text such as '<5'; leave such cells empty"),
    ("price", ["$5.00", "€7.00", "3.00"] * 20, "numbers in several units such as '$5.00' and '€7.00'"),
    ("share", ["10 %", "20 %", "30 %"] * 20, ""),
    ("price", [f"{i} EUR" for i in range(60)], MANY % "0 EUR"),  # read_table would have made numbers of it
    ("weight", [f"{i}.5" for i in range(60)], "numbers stored as text such as '0.5'; pandas.to_numeric makes "
                                              "numbers of them"),
    ("zip", MIXED + 10000, "names the rows"),
])
def test_columns_that_look_like_something_else(name, values, reason):
    frame = pd.DataFrame({"kept": np.random.default_rng(5).normal(size=60), name: values})
    left_out = tables.prepare(frame).left_out
    assert left_out["reason"].tolist() == ([reason] if reason else [])


def test_one_name_may_be_left_out_without_a_list():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=["a", "b", "ab"])
    assert tables.prepare(frame, leave_out="ab").owner.tolist() == ["a", "b"]
    frame.columns = [1, 2, 3]
    assert tables.prepare(frame, leave_out=2).owner.tolist() == [1, 3]


def test_a_column_that_says_the_same_as_another_counts_once():
    kilograms = np.random.default_rng(4).normal(70, 9, 60)
    found = tables.prepare(pd.DataFrame({"kg": kilograms, "g": 1000 * kilograms, "cm": kilograms[::-1]}))
    assert found.left_out.to_numpy().tolist() == [["column g", 1, "says the same as kg"]]
    assert found.owner.tolist() == found.steps["column"].tolist() == ["kg", "cm"]


def test_very_large_numbers_are_written_short():
    frame = pd.DataFrame({"mass": np.random.default_rng(9).normal(5, 1, 40) * 1e30})
    prepared = tables.prepare(frame)
    words = tables.explain(frame, prepared, 1.0, 0)["words"][0]
    assert len(words) < 60
    assert "e+30" in words


def test_a_number_that_stands_for_missing_is_named():
    frame = pd.DataFrame({"age": np.random.default_rng(6).integers(20, 60, 60).astype(float)})
    assert tables.prepare(frame).steps["step"].tolist() == ["standardised"]
    frame.loc[:3, "age"] = -999
    assert "-999 occurs 4 times: missing? then leave those" in tables.prepare(frame).steps["step"][0]


@pytest.mark.parametrize("code", [-1, -9, -99, -999, -9999, 99, 999, 9999, 99999])
def test_every_usual_number_for_missing_is_known(code):
    frame = pd.DataFrame({"age": np.random.default_rng(6).uniform(2, 3, 60)})
    frame.loc[:3, "age"] = code
    assert f"{code} occurs 4 times: missing?" in tables.prepare(frame).steps["step"][0]


def test_a_word_is_explained_by_how_many_neighbours_share_it():
    frame = pd.DataFrame({"a": np.random.default_rng(7).normal(size=40), "town": ["Lisbon"] * 39 + ["Porto"]})
    prepared = tables.prepare(frame)
    found = tables.explain(frame, prepared, tables.stiffness(prepared.X), 39)
    assert "town Porto, as 0 of its 10 nearest rows" in found["words"].tolist()


def test_an_array_is_no_frame():
    with pytest.raises(TypeError, match="^frame: ndarray is not allowed; give a pandas.DataFrame"):
        tables.prepare(np.ones((30, 2)))


def test_stability_asks_random_halves_of_the_other_rows_for_the_leader_among_all(monkeypatch):
    prepared = tables.prepare(pd.DataFrame(np.random.default_rng(0).normal(size=(41, 2)), columns=["a", "b"]))
    asked = []

    def relevance(x, others, gamma):
        asked.append(others)
        return np.array([0.0, 1.0] if len(asked) % 4 == 1 else [1.0, 0.0])  # all and every fourth half: b

    monkeypatch.setattr(tables, "row_relevance", relevance)
    assert tables.first_column_stability(prepared, 1.0, 7) == ("b", 0.25)
    every, *halves = asked
    assert np.array_equal(every, np.delete(prepared.X, 7, axis=0))
    assert len(halves) == 100
    for half in halves:
        assert len(np.unique(half, axis=0)) == len(half) == 20
        assert not (half == prepared.X[7]).all(axis=1).any()
    assert len({half.tobytes() for half in halves}) == 100


def test_stability_names_the_column_that_explain_names_first():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    prepared = tables.prepare(frame)
    gamma = tables.stiffness(prepared.X)
    found = [tables.first_column_stability(prepared, gamma, row, 20) for row in range(60)]
    explained = [tables.explain(frame, prepared, gamma, row)["column"][0] for row in range(60)]
    assert [name for name, _ in found] == explained
    assert min(share for _, share in found) < 0.5 < max(share for _, share in found)

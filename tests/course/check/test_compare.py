"""The one comparison of outputs, in both directions, against what each pair of texts should give."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.check.compare import BadTolerance, agree, last_unit, rules_of

SAME = [
    ("AUC 0.99", "AUC 1.00"),
    ("ratio 1.00", "ratio 1.01"),
    ("AUC 0.993", "AUC 0.994"),
    ("AUC 0.993", "AUC 0.992"),
    ("0.119", "0.120"),
    ("15.70 +/- 0.21", "15.69 +/- 0.22"),
    ("-0.00", "0.00"),
    ("0.3", "0.30000000000000004"),
    ("1.23e-05", "1.24e-05"),
    (".50", ".51"),
    ("94.1 %", "94.2 %"),
    ("94.1%", "94.0%"),
    ("nan inf", "nan inf"),
    ("  9.99 a", " 10.00 a"),
    ("<td>0.25</td><td>x</td>", "<td>0.26</td><td>x</td>"),
    ("[1.0, 2.5]", "[1.1, 2.4]"),
    ("(0.5)", "(0.5)"),
    ("end 1.25.", "end 1.26."),
    ("2.5kcal", "2.5kcal"),
    ("-68.8", "-68.9"),
    ("a=0.10", "a=0.11"),
]
DIFFERENT = [
    ("2.", "3."),
    ("[0. 1. 0.]", "[1. 0. 1.]"),
    ("[[0. 1.]]", "[[1. 0.]]"),
    ("1. hook", "2. hook"),
    ("51. %", "50. %"),
    ("1.0", "0.95"),
    ("0.95", "1.0"),
    ("AUC 1.00", "AUC 1.01"),
    ("correlation -1.00", "correlation -1.01"),
    ("mean 0.50 ± 0.00", "mean 0.50 ± -0.01"),
    ("AUC 0.00", "AUC -0.01"),
    ("0.03", "-0.03"),
    ("rank 1", "rank 2"),
    ("AUC 0.993", "AUC 0.983"),
    ("AUC 0.993", "AUC 0.995"),
    ("top 338 75", "top 338 154"),
    ("n 440", "n 441"),
    ("Frozen 0.5", "Fresh 0.5"),
    ("nan", "0.0"),
    ("0.0", "nan"),
    ("inf", "1.0"),
    ("94 %", "95 %"),
    ("94.1 %", "94.1"),
    ("94.1%", "94.3%"),
    ("1.23e-05", "1.23e-04"),
    ("1.23e-05", "1.25e-05"),
    ("version 1.2.3", "version 1.2.4"),
    ("fire9", "fire8"),
    ("0x7f", "0x7e"),
    ("<td>0.25</td>", "<th>0.25</th>"),
    ("<td>0.25</td>", "<td>0.27</td>"),
    ("0.5", "0.5 0.5"),
    ("3", "3.0"),
    ("3.0", "3"),
    ("a b", "ab"),
    ("True", "False"),
    ("-0.50", "0.50"),
    ("1.0", ""),
    ("", "1.0"),
    ("x1.5", "x1.6"),
    ("2026-11-21", "2026-11-22"),
    ("[1, 2]", "[2, 1]"),
]


@pytest.mark.parametrize(("reference", "text"), SAME)
def test_texts_that_agree(reference, text):
    assert agree(reference, text)


@pytest.mark.parametrize(("reference", "text"), DIFFERENT)
def test_texts_that_differ(reference, text):
    assert not agree(reference, text)


@given(st.integers(-(10**6), 10**6), st.integers(1, 6), st.sampled_from([-1, 0, 1]))
def test_one_unit_of_the_last_digit_passes_and_two_fail(digits, decimals, step):
    def write(value):
        return f"{value / 10**decimals:.{decimals}f}"

    assert agree(write(digits), write(digits + step))
    assert not agree(write(digits), write(digits + 2))
    assert not agree(write(digits), write(digits - 10))


@given(st.text())
def test_a_text_agrees_with_itself(text):
    assert agree(text, text)


def rules(**one):
    return rules_of({"tolerance": [{"because": "a training run", "after": "", **one}]})


def test_a_rule_widens_floats_only():
    assert agree("MAE 2.50", "MAE 2.60", rules(rtol=0.05))
    assert not agree("MAE 2.50", "MAE 2.70", rules(rtol=0.05))
    assert agree("0.00", "0.05", rules(atol=0.05))
    assert not agree("epochs 40", "epochs 41", rules(rtol=0.5))


def test_a_rule_holds_for_the_numbers_after_its_place_only():
    rule = rules(after="MAE", atol=0.5)
    assert agree("rate 0.10 MAE 2.0", "rate 0.10 MAE 2.4", rule)
    assert not agree("rate 0.10 MAE 2.0", "rate 0.30 MAE 2.0", rule)
    assert not agree("RMSE 2.0", "RMSE 2.4", rule)
    assert agree("a 1.0\nMAE 2.0\nb 1.0", "a 1.1\nMAE 2.4\nb 1.0", rule)
    assert not agree("a 1.0\nMAE 2.0\nb 1.0", "a 1.0\nMAE 2.4\nb 1.4", rule)


def test_a_rule_does_not_lift_the_bounds_of_nature():
    assert agree("AUC 0.95", "AUC 0.99", rules(atol=0.1))
    assert not agree("AUC 0.95", "AUC 1.02", rules(atol=0.1))
    assert not agree("error 0.95 +/- 0.02", "error 0.95 +/- -0.02", rules(atol=0.1))
    assert agree("correlation 0.02", "correlation -0.02", rules(atol=0.1))


def test_a_heading_says_what_the_lines_below_it_are():
    table = "AUC on photographs:\nnetwork  {}\ncolour   0.90\nseconds:\nnetwork  {}"
    assert agree(table.format("0.99", "1.00"), table.format("1.00", "1.01"))
    assert not agree(table.format("1.00", "1.00"), table.format("1.01", "1.00"))


def test_a_title_holds_until_another_quantity_is_named():
    table = "AUC, mean +/- sd over subsets\nphotographs\n  alone {}\ncut-outs\n  alone 0.90"
    assert not agree(table.format("1.00 +/- 0.00"), table.format("1.01 +/- 0.00"))
    table = table.replace("photographs", "ratio of errors")
    assert agree(table.format("1.00 +/- 0.00"), table.format("1.01 +/- 0.00"))


def test_a_rule_may_say_what_nature_allows():
    rule = rules(after="network", within=[0, 1])
    assert agree("network 0.99", "network 1.00", rule)
    assert not agree("network 1.00", "network 1.01", rule)
    assert agree("colours 1.00", "colours 1.01", rule)


def test_a_difference_of_two_aucs_may_change_its_sign():
    rule = rules(atol=0.06)
    assert agree("AUC 0.93, minus it 0.00 [-0.09, 0.06]", "AUC 0.95, minus it -0.02 [-0.10, 0.04]", rule)
    assert not agree("head AUC 0.98, recipe minus it 0.00", "head AUC 1.01, recipe minus it 0.00", rule)
    assert not agree("AUC minus chance 0.98", "AUC minus chance 1.01", rule)


def test_no_rule_is_wider_than_the_printed_spread():
    rule = rules(atol=0.1)
    assert agree("MAE 0.90 ± 0.05", "MAE 0.94 ± 0.05", rule)
    assert not agree("MAE 0.90 ± 0.05", "MAE 0.96 ± 0.05", rule)
    assert agree("MAE 0.90 +/- 0.00", "MAE 0.91 +/- 0.01", rule)
    assert not agree("MAE 0.90 +/- 0.00", "MAE 0.92 +/- 0.00", rule)
    assert agree("MAE 0.90 +/- 0.02", "MAE 0.90 +/- 0.06", rule)  # three runs on a GPU and on a CPU
    assert not agree("MAE 0.90 +/- 0.02", "MAE 0.90 +/- 0.08", rule)
    assert not agree("MAE 0.90 +/- 0.02", "MAE 0.90 +/- 0.12", rule)  # a second-last digit
    assert not agree("MAE 0.90 +/- 0.02", "MAE 0.90 +/- 0.05", rules(atol=0.01))
    assert agree("MAE 0.90 +/- 0.10", "MAE 0.90 +/- 0.14", rule)  # the spread of a spread is smaller
    assert not agree("MAE 0.90 +/- 0.10", "MAE 0.90 +/- 0.18", rule)
    assert agree("MAE 0.90 [0.80, 0.95]", "MAE 0.98 [0.87, 1.00]", rule)


def test_a_value_stays_in_its_interval():
    rule = rules(atol=0.05)
    line = "share 0.44 [0.41, 0.47]"
    assert agree(line, "share 0.46 [0.42, 0.49]", rule)
    assert not agree(line, "share 0.48 [0.41, 0.47]", rule)
    assert not agree(line, "share 0.44 [0.45, 0.47]", rule)
    assert not agree("gain 0.00 [-0.01, 0.02]", "gain 0.00 [0.01, 0.02]", rule)
    assert not agree("gain 0.00 [\u22120.01, 0.02]", "gain 0.00 [0.01, 0.02]", rule)
    assert not agree("seeds 0.2, [0.10, 0.12]", "seeds 0.2, [0.12, 0.10]", rule)
    assert agree("of all 0.52 [0.41, 0.47]", "of all 0.53 [0.41, 0.47]", rule)  # it never was inside


@pytest.mark.parametrize(
    "given",
    [
        [{"after": "x", "within": [1, 0], "because": "y"}],
        [{"after": "x", "within": 1, "because": "y"}],
        [{"after": "x", "atol": 0.1}],
        [{"after": "x", "atol": -0.1, "because": "y"}],
        [{"after": "x", "atol": math.inf, "because": "y"}],
        [{"after": "(", "atol": 0.1, "because": "y"}],
        [{"atol": 0.1, "because": "y"}],
        [{"after": "x", "within": [0], "because": "y"}],
        [{"after": "x", "tol": 0.1, "because": "y"}],
        [{"after": "x", "atol": "0.1", "because": "y"}],
        "0.1",
        [0.1],
    ],
)
def test_an_impossible_tolerance_says_what_is_allowed(given):
    with pytest.raises(BadTolerance, match="is not allowed; give .*because"):
        rules_of({"tolerance": given})


def test_the_bytes_of_a_picture_do_not_count_but_its_text_does():
    one, two = (f'<img alt="a b" src="data:image/png;base64,{code}">' for code in ("Ab+/=", "Cd"))
    assert agree(one, two)
    assert not agree(one, two.replace("a b", "a c"))


def test_last_unit():
    assert last_unit("3.14") == pytest.approx(0.01)
    assert last_unit("1.23e-05") == pytest.approx(1e-7)
    assert last_unit("-2.") == 1


@pytest.mark.parametrize("got", ["0.10 [1e-05, 0.20]", "0.10 [0.00,  0.20]", "0.1 [.0, 0.2]"])
def test_an_interval_may_be_written_otherwise(got):
    assert agree("0.10 [0.00, 0.20]", got)
    assert not agree("0.10 [0.00, 0.10]", got.replace("0.2", "0.0"))  # 0.1 has left it


STRANGER = [
    ("roc_auc 1.00", "roc_auc 1.01"),
    ("random forest, AUC 0.00", "random forest, AUC -0.01"),
    ("MAE 1.00 ± 1.0e-03", "MAE 1.90 ± 1.0e-03"),
]


@pytest.mark.parametrize(("reference", "text"), STRANGER)
def test_what_a_stranger_got_through(reference, text):
    assert agree(reference, reference, rules(atol=1))
    assert not agree(reference, text, rules(atol=1))


def test_a_spread_with_a_typographic_minus_is_compared():
    assert agree("MAE 0.50 ± \u22120.01", "MAE 0.50 ± \u22120.01")

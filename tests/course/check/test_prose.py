"""Numbers in prose, as digits and as words, are read as a reader does and tied to the line they mean."""

import nbformat
import pytest

from course.check import mutate, prose
from course.check.quoted import quoted
from helpers.figures import MIME


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("an error of 0.23 (0.19)", ["0.23", "0.19"]),
        (r"at $\gamma = 1.5$ and $x^{2.5} + y$", ["1.5"]),
        ("in notebook 12, in 2013, about 15 minutes, 95 % of 440", ["440"]),
        ("three of the four seeds, a two-layer network, one of 9", ["three", "four"]),
        ("3 % of 9, 5 percent, 8 bohr and 8 rows, four per cent", ["3", "5", "8", "four"]),
        ("## 11 What must 338 change?\n### Exercise 13.2 (3 points)", ["338"]),
        (r"$\gamma \approx 1.5$, $1/e \approx 0.37$, $p = 63\,\%$", ["1.5", "63"]),
        ("a fall of \u22120.92 and `0.5` in code", ["-0.92"]),
        ("convolution (27) | 27 seeds", ["27"]),
        ("| MAE | 2.81 |\n[x](http://a.b/0.77) doi:10.24432/C5", ["2.81"]),
    ],
)
def test_what_counts_as_a_number(text, expected):
    assert [quote.text for quote in quoted(text)] == expected


def test_a_number_knows_its_spread_and_interval():
    assert [quote.beside for quote in quoted("0.26 [0.11, 0.41], 3.1 ± 0.2")] == [
        ("0.11", "0.41"), ("0.26", "0.41"), ("0.26", "0.11"), ("0.2",), ("3.1",)]  # fmt: skip
    assert [quote.beside for quote in quoted("is cheating. [0.82, 0.96] is")] == [("0.96",), ("0.82",)]


def book(*cells):
    """A notebook of text (str) and of code ((source, what it prints))."""
    made = nbformat.v4.new_notebook()
    for count, cell in enumerate(["# Title", *cells, "The end"]):
        if isinstance(cell, str):
            one = nbformat.v4.new_markdown_cell(cell)
        else:
            one = nbformat.v4.new_code_cell(cell[0], metadata={"tags": ["nbval-check-output"]})
            one.outputs = [nbformat.v4.new_output("stream", name="stdout", text=cell[1])]
        one.id = f"cell-{count}"
        made.cells.append(one)
    return made


def tied(made, cell="cell-3"):
    return [found[:1] for one, _, found in prose.sources(made) if one.id == cell]


def test_of_two_cells_the_one_about_the_same_words_is_meant():
    made = book(("f()", "spread of the score 0.21"), ("g()", "accuracy 0.21"), "The spread is 0.21.")
    assert tied(made) == [["cell-1"]]
    made = book(("f()", "spread 0.21"), ("g()", "accuracy 0.21"), "It reaches 0.21.")
    assert tied(made) == [["cell-2"]]  # no word in common: the nearest


def test_an_interval_stands_on_one_line():
    lines = ("f()", "gain 0.26 [0.11, 0.41]"), ("g()", "area 0.41\nloss 0.11")
    made = book(*lines, "The loss: 0.26 [0.11, 0.41].")
    assert tied(made) == [["cell-1"]] * 3


def test_a_word_is_a_count_where_a_line_says_so():
    lines = ("SEEDS = [0, 1, 2]", "ahead of chance in 2 of 3 folds")
    made = book(lines, "x", "Two folds of three seeds, for two reasons.")
    assert tied(made) == [["cell-1"], ["cell-1"]]
    prose.tie(made)
    assert made.cells[3].metadata["quotes"] == ["two cell-1", "three cell-1"]
    assert list(prose.untied(made)) == []
    made.cells[3].source = "Two folds of four seeds, for two reasons."
    assert [cell for cell, _ in prose.untied(made)] == ["cell-3"]
    made.cells[3].source = "Two folds of three seeds, for two reasons."
    made.cells[1].source = "SEEDS = [0, 1]"
    assert [cell for cell, _ in prose.untied(made)] == ["cell-3"]


def test_a_lost_percent_sign_is_noticed():
    made = book(("f()", "7 of 15, 15 %"), "x", "That is 15 % of them.")
    prose.tie(made)
    assert made.cells[3].metadata["quotes"] == ["15% cell-1"]
    made.cells[3].source = "That is 15 of them."
    assert [cell for cell, _ in prose.untied(made)] == ["cell-3"]


def test_a_unit_is_one_that_the_cell_names():
    made = book(("# energies in kcal/mol\nf()", "MAE 2.81 every level"), "x", "An MAE of 2.81 kcal/mol.")
    assert tied(made) == [["cell-1"]]
    made.cells[3].source = "An MAE of 2.81 eV."
    assert prose.unsupported(made) == [("cell-3", "2.81")]


@pytest.mark.parametrize("left", ["An MAE of 2.81.", "An MAE of 2.81 bohr."])
def test_a_dropped_unit_is_noticed(left):
    made = book(("# energies in kcal/mol, lengths in bohr\nf()", "MAE 2.81"), "x", "An MAE of 2.81 kcal/mol.")
    prose.tie(made)
    assert made.cells[3].metadata["quotes"] == ["2.81kcal/mol cell-1"]
    made.cells[3].source = left
    assert [cell for cell, _ in prose.untied(made)] == ["cell-3"]
    changed = {kind: new for kind, _, new in mutate.changes("An MAE of 2.81 kcal/mol.")}
    assert changed["unit dropped in prose"] == "An MAE of 2.81."


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two scores that can:\n\n- gap\n- Dunn\n", 2),
        ("Two steps:\n1. draw;\n   then look\n2. count\n\nNext - not this", 2),
        ("Three methods:\n\n| name | MAE |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n| c | 3 |\n", 3),
        ("Two traps: here - and there", 0),
        ("Two things.\n\n- gap\n- Dunn\n- more", 0),
    ],
)
def test_a_word_counts_the_list_or_table_that_its_sentence_announces(text, count):
    assert quoted(text)[0].listed == count


def test_a_dropped_point_of_an_announced_list_is_noticed():
    made = book(("f()", "x"), "Three scores that can:\n\n- gap\n- Dunn\n- silhouette")
    prose.tie(made)
    assert made.cells[2].metadata["quotes"] == ["three cell-2"]
    made.cells[2].source = "Three scores that can:\n\n- gap\n- Dunn"
    assert [cell for cell, _ in prose.untied(made)] == ["cell-2"]


def test_the_rows_of_a_printed_table_and_the_lists_of_helpers_are_counted():
    made = book(("from helpers.datasets import SPENDINGS", "method  Rand\nk-means 0.4\nDBSCAN  0.3\n"),
                "Two methods for six spendings, five in all.")  # fmt: skip
    assert [quote.text for cell, quote, _ in prose.sources(made) if cell.id == "cell-2"] == ["two", "six"]


def test_an_alternative_text_counts_what_is_drawn():
    drawn = "figure '': 3 axes\naxes 0 line 'a' 9 points\naxes 0 line 'b' 9 points\naxes 0 4 patch"
    made = figure("Three panels, four bars, two curves, seven friends", drawn + "\naxes 1 x ticks ['a', 'b']")
    prose.tie(made)
    assert made.cells[1].metadata["quotes"] == ["three cell-1", "four cell-1", "two cell-1"]


def test_the_first_and_last_cell_are_held_where_a_number_is_also_a_notebooks():
    made = book(("f()", "15 of 440"), "x")
    made.cells[-1].source = "Off by more than 15 of 440. *Before:* notebooks 14 and 18. *Time:* 9"
    assert [quote.text for cell, quote, _ in prose.sources(made) if cell is made.cells[-1]] == ["15", "440"]


def figure(alt, drawn):
    made = book(("show(figure, alt='0.95')", "AUC 0.81"))
    data = {"text/html": f'<img alt="{alt}" src="x">', "text/plain": alt, MIME: drawn}
    made.cells[1].outputs.append(nbformat.v4.new_output("display_data", data=data))
    return made


def test_where_a_text_stands_and_how_an_image_is_turned_supports_no_number():
    drawn = "axes 0 image 6 points; value 0.5; rows 0.123; columns -0.456\naxes 0 texts at (0.70, 0.80)"
    assert prose.drawn_numbers(drawn) == (0, 6, 0.5)


@pytest.mark.parametrize(
    ("alt", "left"), [("falls to 0.81", []), ("a line at 0.7", []), ("up to 0.95", ["0.95"])]
)
def test_an_alternative_text_says_what_is_printed_or_drawn(alt, left):
    made = figure(alt, "axes 0 line 2 points; y 7.00e-01 1.00e+00")
    assert [number for _, number in prose.unsupported(made)] == left


def test_a_changed_number_in_an_alternative_text_is_noticed():
    made = figure("from 0.7 to 0.81", "axes 0 line 2 points; y 7.00e-01 1.00e+00")
    prose.tie(made)
    data = made.cells[1].outputs[1].data
    data["text/html"] = data["text/html"].replace("0.7 ", "1.00 ")
    assert [cell for cell, _ in prose.untied(made)] == ["cell-1"]

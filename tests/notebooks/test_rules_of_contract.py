"""The contract tests can fail: each breaks on a notebook that is broken in just the way it guards against."""

import re

import nbformat
import pytest

from course.check import rules
from course.notebooks import ROOT, find


@pytest.fixture
def broken(tmp_path):
    """A function that breaks a copy of notebook 12 and returns it as the contract tests read it."""

    def make(change):
        book = nbformat.read(find("12"), 4)
        change(book)
        path = tmp_path / find("12").relative_to(ROOT / "notebooks")
        path.parent.mkdir()
        nbformat.write(book, path)
        return rules.Book(path)

    return make


def cell(book, tag, **course):
    """The first code cell with this tag and this course metadata."""
    for found in book.cells:
        if (
            tag in found.metadata.get("tags", [])
            and course.items() <= found.metadata.get("course", {}).items()
        ):
            return found
    raise LookupError(tag)


def add(book, source, index=-1, kind="code", tags=(), outputs=()):
    """Insert a cell that counts as executed, and number the code cells again."""
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    added = make(source, metadata={"tags": list(tags)} if tags else {})
    book.cells.insert(index, added)
    if kind == "code":
        added.outputs = list(outputs)
        for count, other in enumerate((c for c in book.cells if c.cell_type == "code"), 1):
            other.execution_count = count


def printed(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def picture(**metadata):
    return nbformat.v4.new_output("display_data", data={"image/png": "aGk="}, metadata=metadata)


def unexecuted(book):
    cell(book, "nbval-check-output").execution_count = None


def drop_messages(book):
    for found in book.cells:
        found.metadata.get("course", {}).pop("message", None)


def more_points(book):
    cell(book, "exercise")["metadata"]["course"]["points"] += 1


def unhide(book):
    for found in book.cells:
        if "hidden" in found.metadata.get("tags", []):
            found.metadata.tags = ["nbval-check-output"]


def swap_numbers(book):
    for found in book.cells:
        course = found.metadata.get("course", {})
        for key in {"id", "for"} & set(course):
            course[key] = {"12.1": "12.2", "12.2": "12.1"}.get(course[key], course[key])


def use_exercise(book):
    name = next(iter(rules.defined(cell(book, "exercise").source)))
    add(book, f"copy = {name}")


def rewrite_hints(pattern, new):
    """A change of a book: in the first exercise's task, what a pattern finds becomes something else."""

    def change(book):
        found = next(one for one in book.cells if "<details>" in one.source)
        found.source, count = re.subn(pattern, new, found.source, flags=re.DOTALL)
        assert count

    return change


def quote_the_answer(book):
    """A line of the solution of 12.1 as its second hint."""
    line = cell(book, "exercise").source.partition("### BEGIN SOLUTION\n")[2].splitlines()[0].strip()
    rewrite_hints("Hint 2</summary>", rf"\g<0>\n\n`{line}`")(book)


def drop_aim(book):
    book.cells[0].source = book.cells[0].source.replace("**Aim:**", "We")


def section_out_of_turn(book):
    book.cells.insert(1, nbformat.v4.new_markdown_cell("## 2 Other"))


def drop_last(book):
    del book.cells[-1]


def negative_zero(book):
    cell(book, "nbval-check-output").outputs = [printed("rise by paint  -0\n")]


def bare_number(book):
    add(book, "1", tags=["nbval-check-output"], outputs=[printed("[0. 1. 0.]\n")])


def loose(book):
    cell(book, "nbval-check-output").metadata.tolerance = {"rtol": 0.1}


def unreasoned(book):
    cell(book, "nbval-check-output").metadata.tolerance = [{"after": "x", "atol": 0.1}]


def a_path(book):
    add(book, "1", tags=["nbval-check-output"], outputs=[printed("see /home/me/x\n")])


def change_a_number(book):
    """440 customers become 95, a number that the notebook prints in other places."""
    found = next(one for one in book.cells if "440 " in " ".join(one.metadata.get("quotes", [])) + " ")
    found.source = found.source.replace("440", "95", 1)


def print_another_number(book):
    quoted = next(one for one in book.cells if one.metadata.get("quotes"))
    number, _, _ = quoted.metadata["quotes"][0].partition(" ")
    quoted.metadata["quotes"][0] = f"{number} code-12-01"


def no_time(book):
    book.cells[0].source = book.cells[0].source.replace("*Time:*", "Time")


def nothing_printed(book):
    for found in book.cells:
        if "outputs" in found:
            found.outputs = []


def tolerance(**rule):
    return lambda book: cell(book, "nbval-check-output").metadata.update(tolerance=[{"atol": 0.1, **rule}])


def ignore(book, **why):
    add(book, "1", tags=["nbval-ignore-output"], outputs=[printed("3 s\n")])
    book.cells[-2].metadata.update(why)


def hide(book, **metadata):
    book.cells[2].metadata.update(metadata)


def hidden_check(source):
    return lambda book: cell(book, "hidden").update(source=source)


CHECKED = ["nbval-check-output"]
def set_course(**given):
    def change(book):
        for found in book.cells:
            if "exercise" in found.metadata.get("tags", []):
                found.metadata.course.update(given)

    return change


def markers_turned(book):
    found = cell(book, "exercise")
    begun = found.source.replace("BEGIN SOL", "X").replace("END SOL", "BEGIN SOL")
    found.source = begun.replace("### X", "### END SOL")


BREAKS = [
    (rules.executed, unexecuted, "was executed as None, is cell"),
    (rules.clean_outputs, lambda b: add(b, "1", outputs=[printed("oh", "stderr")]), "a warning is stored"),
    (rules.tagged, lambda b: add(b, "print(1)", outputs=[printed("1\n")]), "its output is not tagged"),
    (rules.tagged, lambda b: add(b, "1", tags=["nbval_check_output"]), "unknown tag 'nbval_check_output'"),
    (rules.checked_says_something, lambda b: add(b, "1", tags=CHECKED), "is checked and prints nothing"),
    (rules.plain_numbers, bare_number, "prints '0.', a number without decimals"),
    (rules.plain_numbers, negative_zero, "prints '-0', a sign of rounding"),
    (rules.tolerances, loose, "a tolerance for the whole cell; give rules with"),
    (rules.tolerances, unreasoned, "is not allowed; give"),
    (rules.parameters, lambda b: cell(b, "parameters").metadata.tags.remove("parameters"), "0 cells tagged"),
    (rules.well_formed, lambda b: b.metadata.pop("budget"), 'add "budget"'),
    (rules.metadata, lambda b: b.metadata.update(papermill={"input_path": "x"}), "hold papermill"),
    (rules.well_formed, lambda b: add(b, "!false"), "a magic or shell line"),
    (rules.well_formed, lambda b: add(b, "%typo"), "a magic or shell line"),
    (rules.plain_python, lambda b: add(b, "x = 1;"), "ends with ';'"),
    (rules.plain_python, lambda b: add(b, "import sys\nsys.exit(0)"), "ends the kernel"),
    (rules.plain_python, lambda b: add(b, "quit()"), "ends the kernel"),
    (rules.short_functions, lambda b: add(b, "def f():\n" + "    a = 1\n" * 25), "f has 26 lines"),
    (rules.figures, lambda b: add(b, "1", outputs=[picture()]), "a picture without a description"),
    (rules.skeleton, drop_aim, "has no `**Aim:**`"),
    (rules.skeleton, section_out_of_turn, "write `## 1`"),
    (rules.frame, drop_last, "the last cell does not say what we found"),
    (rules.frame, lambda b: add(b, "word " * 140, kind="markdown"), "140 words, at most 130"),
    (rules.exercises, more_points, "its checks give 3 points, it has 4"),
    (rules.exercises, swap_numbers, "exercise 12.2 stands where 12.1 is read"),
    (rules.exercises, unhide, "no hidden check"),
    (rules.exercises, drop_messages, "no message; say in a sentence"),
    (rules.tasks, rewrite_hints("<details>", ""), "0 hints; end with Hint 1, 2 and 3"),
    (rules.tasks, rewrite_hints("<details><summary>Hint 3.*?</details>", ""), "2 hints; end with"),
    (rules.tasks, rewrite_hints("</details>$", ""), "3 hints; end with Hint 1, 2 and 3, each inside"),
    (rules.tasks, rewrite_hints("Hint 3", "Hint 4"), "3 hints; end with Hint 1, 2 and 3"),
    (rules.tasks, rewrite_hints(r"(?<=Hint 1</summary>\n\n).*?\n", "Think.\n"), "hint 1 is 'Think.'; say"),
    (rules.tasks, quote_the_answer, "which stands in the solution"),
    (rules.independent, use_exercise, "of exercise 12.1, where a student copy would stop"),
    (rules.no_machine, a_path, "prints '/home/'"),
    (rules.prose_held, lambda b: add(b, "The AUC is 0.98765.", kind="markdown"), "0.98765 stands in no"),
    (rules.formulas, lambda b: add(b, r"At $\\gamma = 1$.", kind="markdown"), r"\\gamma in a formula breaks"),
    (rules.plain_python, lambda b: add(b, "clear_output(wait=True)"), "redraws an output"),
    (rules.plain_python, lambda b: add(b, "h = display(1, display_id=True)"), "redraws an output"),
    (rules.prose_held, change_a_number, "is stored; if the text is right"),
    (rules.prose_held, print_another_number, "is no longer what code-12-01 says; if the text is right"),
    (rules.frame, no_time, "must say `*Before:* X. *Time:* N minutes"),
    (rules.says_its_data, nothing_printed, "no checked cell prints"),
    (rules.well_formed, lambda b: add(b, "def f(:"), "line 1 is no Python (invalid syntax)"),
    (rules.well_formed, lambda b: b.metadata.update(budget={"seconds": "60", "memory_mb": 1}), "no budget"),
    (rules.well_formed, lambda b: b.cells.clear(), "no cell"),
    (rules.well_formed, set_course(points="two"), "'two' points; give a number"),
    (rules.well_formed, set_course(message=5), "the message is 5; write a sentence"),
    (rules.well_formed, set_course(id=None), "exercises have the id None; give each its own"),
    (rules.well_formed, lambda b: cell(b, "exercise").metadata.pop("course"), "without id or points"),
    (rules.tolerances, tolerance(after="x*", because="three training runs move"), "after 'x*', which is"),
    (rules.tolerances, tolerance(after="AUC", because="runs move"), "because 'runs move'; say in three"),
    (rules.tagged, ignore, "its output is ignored; say in three words why"),
    (rules.tagged, lambda b: ignore(b, ignored="it differs"), "its output is ignored; say in three words"),
    (rules.metadata, lambda b: hide(b, jupyter={"source_hidden": True}), "is source_hidden, so that readers"),
    (rules.metadata, lambda b: hide(b, jupyter={"outputs_hidden": True}), "is outputs_hidden, so that"),
    (rules.metadata, lambda b: hide(b, collapsed=True), "is collapsed, so that readers do not see it"),
    (rules.metadata, lambda b: b.cells.insert(3, nbformat.v4.new_raw_cell("x")), "a raw cell, which nobody"),
    (rules.tasks, rewrite_hints(r"\(\d points\)", "(7 points)"), "says 'Exercise 12.1 (7 points)'; write"),
    (rules.tasks, rewrite_hints(r" \(\d points\)", ""), "says 'Exercise 12.1'; write `(3 points)`"),
    (rules.exercises, hidden_check("assert True, 'x'"), "prints or asserts nothing computed; assert"),
    (rules.exercises, hidden_check("x = 1  # assert x"), "prints or asserts nothing computed; assert"),
    (rules.exercises, hidden_check("assert (x == 1, 'one')"), "prints or asserts nothing computed; assert"),
    (rules.exercises, markers_turned, "1 times BEGIN SOLUTION, 1 times END"),
]


@pytest.mark.parametrize(
    ("rule", "change", "said"), BREAKS, ids=[f"{k}-{rule.__name__}" for k, (rule, *_) in enumerate(BREAKS)]
)
def test_a_broken_notebook_is_told_what_to_do_in_one_line(broken, rule, change, said):
    lines = list(rule(broken(change)))
    assert any(said in line for line in lines), lines
    assert not any("\n" in line for line in lines)
    assert all(";" in line for line in lines)  # what was found; what to do


def test_the_unbroken_notebook_passes(broken):
    book = broken(lambda _: None)
    assert [line for rule in rules.RULES for line in rule(book)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no notebook (Notebook does not appear to be JSON: ''); take the file from git again"),
        ('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "no cell; take"),
        ('{"cells": [{"cell_type": "markdown", "metadata": {}, "source": "x"}], "metadata": {},'
         ' "nbformat": 4, "nbformat_minor": 4}', "cells without an id (format 4.4); open and save it"),
    ],
)  # fmt: skip
def test_a_file_that_no_rule_can_read_is_one_line(tmp_path, text, said):
    path = tmp_path / "12_x.ipynb"
    path.write_text(text, encoding="utf-8")
    (line,) = rules.faults(path)
    assert line.startswith(f"12_x: {said}")


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (rules.exercises, hidden_check("import numpy as np\nnp.testing.assert_allclose(f(1), 2)")),
        (rules.exercises, hidden_check("for x in range(3):\n    assert f(x)")),
        (rules.tagged, lambda b: ignore(b, ignored="seconds of a run")),
        (rules.tolerances, tolerance(after="", atol=0.0, within=[-1, 1], because="correlations")),
        (rules.metadata, lambda b: hide(b, collapsed=False, jupyter={"source_hidden": False})),
    ],
)
def test_what_is_allowed_is_not_refused(broken, rule, change):
    assert list(rule(broken(change))) == []


@pytest.mark.parametrize("source", ["SEED, DEVICE = 0, 1", "SEED = 0\nDEVICE: str = 0\nx = {}\nx[1] = 2"])
def test_parameters_may_be_assigned_in_every_way(broken, source):
    change = lambda book: cell(book, "parameters").update(source=source)  # noqa: E731
    assert list(rules.parameters(broken(change))) == []

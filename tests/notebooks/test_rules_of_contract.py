"""The contract tests can fail: each breaks on a notebook that is broken in just the way it guards against."""

import nbformat
import pytest

from course.notebooks import find
from tests.notebooks import test_notebooks as contract


@pytest.fixture
def broken(tmp_path):
    """A function that breaks a copy of notebook 12 and returns it as the contract tests read it."""

    def make(change):
        book = nbformat.read(find("12"), 4)
        change(book)
        path = tmp_path / find("12").relative_to(contract.ROOT / "notebooks")
        path.parent.mkdir()
        nbformat.write(book, path)
        return contract.Book(path)

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


def use_exercise(book):
    name = next(iter(contract.defined(cell(book, "exercise").source)))
    add(book, f"copy = {name}")


def drop_hints(book):
    for found in book.cells:
        found.source = found.source.replace("<details>", "")


def drop_last(book):
    del book.cells[-1]


BREAKS = [
    (contract.test_every_code_cell_was_executed_in_order, unexecuted),
    (
        contract.test_no_error_or_stderr_is_stored,
        lambda b: add(b, "1", outputs=[printed("warning", "stderr")]),
    ),
    (
        contract.test_an_output_is_either_checked_or_ignored,
        lambda b: add(b, "print(1)", outputs=[printed("1\n")]),
    ),
    (
        contract.test_an_output_is_either_checked_or_ignored,
        lambda b: add(b, "1", tags=["nbval_check_output"]),
    ),
    (
        contract.test_a_checked_output_is_text_that_was_printed,
        lambda b: add(b, "1", tags=["nbval-check-output"]),
    ),
    (contract.test_parameters, lambda b: cell(b, "parameters").metadata.tags.remove("parameters")),
    (contract.test_budget_and_kernel, lambda b: b.metadata.pop("budget")),
    (contract.test_budget_and_kernel, lambda b: b.metadata.update(papermill={"input_path": "x"})),
    (contract.test_the_code_is_plain_python, lambda b: add(b, "!false")),
    (contract.test_the_code_is_plain_python, lambda b: add(b, "%typo")),
    (contract.test_the_code_is_plain_python, lambda b: add(b, "x = 1;")),
    (contract.test_functions_are_short, lambda b: add(b, "def f():\n" + "    a = 1\n" * 25)),
    (contract.test_every_picture_has_alt_text_and_a_sane_size, lambda b: add(b, "1", outputs=[picture()])),
    (contract.test_first_and_last_cell, drop_last),
    (contract.test_first_and_last_cell, lambda b: add(b, "word " * 140, kind="markdown")),
    (contract.test_exercises, more_points),
    (contract.test_exercises, unhide),
    (contract.test_exercises, drop_messages),
    (contract.test_every_exercise_has_a_task_and_hints, drop_hints),
    (contract.test_nothing_but_its_checks_depends_on_an_exercise, use_exercise),
    (
        contract.test_no_path_timing_or_address_in_a_checked_output,
        lambda b: add(b, "1", tags=["nbval-check-output"], outputs=[printed("see /home/me/x\n")]),
    ),
    (
        contract.test_every_decimal_in_the_prose_stands_in_a_checked_output_or_in_code_above,
        lambda b: add(b, "The AUC is 0.98765.", kind="markdown"),
    ),
    (
        contract.test_it_says_which_data_it_ran_on,
        lambda b: [found.update(outputs=[]) for found in b.cells if "outputs" in found],
    ),
]


@pytest.mark.parametrize(
    ("test", "change"), BREAKS, ids=[f"{k}-{test.__name__}" for k, (test, _) in enumerate(BREAKS)]
)
def test_a_broken_notebook_fails(broken, test, change):
    with pytest.raises((AssertionError, KeyError, StopIteration)):
        test(broken(change))


def test_the_unbroken_notebook_passes(broken):
    book = broken(lambda _: None)
    for test, _ in BREAKS:
        test(book)

"""A changed cell of a notebook is caught where a checked output behind it changes, and only there."""

import os
from multiprocessing import Array

import nbformat
import pytest

from course.check import mutate_notebooks

CELLS = ["a, unused = 2, 7", "b = a * 3", "print('b is', b)"]
STORED = ["", "", "b is 6\n"]


@pytest.fixture
def book(tmp_path, monkeypatch):
    made = nbformat.v4.new_notebook()
    for place, (source, text) in enumerate(zip(CELLS, STORED, strict=True)):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{place}")
        if text:
            cell.metadata["tags"] = ["nbval-check-output"]
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        made.cells.append(cell)
    nbformat.write(made, tmp_path / "99_made.ipynb")
    monkeypatch.setattr(mutate_notebooks, "find", lambda number: tmp_path / "99_made.ipynb")
    monkeypatch.chdir(tmp_path)
    return mutate_notebooks.mutants("99")


def test_every_kind_of_change_is_one_of_the_lesson(book):
    assert {"2 -> 3", "7 -> 8", "a * 3 -> a / 3", "3 -> 4"} <= {one.change.partition("  ")[0] for one in book}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_what_changes_a_checked_output_is_caught(book, capfd):
    wanted = {"2 -> 3": "caught", "7 -> 8": "survived", "a * 3 -> a / 3": "caught", "3 -> 2": "caught"}
    chosen = [one for one in book if one.change.partition("  ")[0] in wanted]
    counts = Array("i", 2)
    assert mutate_notebooks.forked(lambda: mutate_notebooks.judge("99", chosen, counts))
    assert list(counts) == [3, 1]
    said = capfd.readouterr().out.splitlines()
    assert sum(line.startswith("survived 99 cell-0  constant: 7 -> 8") for line in said) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_a_notebook_that_differs_as_it_is_says_so(book, capfd, monkeypatch):
    monkeypatch.setattr(mutate_notebooks, "agree", lambda *_: False)
    assert not mutate_notebooks.forked(lambda: mutate_notebooks.judge("99", [], Array("i", 2)))
    assert "99 cell-2: differs without any change" in capfd.readouterr().out

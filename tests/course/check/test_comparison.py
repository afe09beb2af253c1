"""The page of two builds shows what differs, beside each other, and nothing else."""

import nbformat

from course.check import comparison


def build(folder, *texts):
    book = nbformat.v4.new_notebook()
    for k, text in enumerate(texts):
        cell = nbformat.v4.new_code_cell("1", id=f"c{k}", metadata={"tags": ["nbval-check-output"]})
        cell.outputs = [nbformat.v4.new_output("stream", text=text)]
        book.cells.append(cell)
    folder.mkdir()
    nbformat.write(book, folder / "11_a.ipynb")
    return folder


def test_only_what_differs_is_shown(tmp_path):
    a = build(tmp_path / "a", "mean 0.50", "count 3", "<b>same</b>")
    b = build(tmp_path / "b", "mean 0.51", "count 4", "<b>same</b>")
    text, count = comparison.page(a, b, [comparison.Path("11_a.ipynb")])
    assert count == 1
    assert "count 3" in text
    assert "count 4" in text
    assert "0.50" not in text
    assert "<b>same" not in text


def test_a_cell_that_one_build_lacks_is_shown(tmp_path):
    a, b = build(tmp_path / "a", "x", "<i>"), build(tmp_path / "b", "x")
    text, count = comparison.page(a, b, [comparison.Path("11_a.ipynb")])
    assert count == 1
    assert "no such cell" in text
    assert "&lt;i&gt;" in text


def test_the_same_builds_do_not_differ(tmp_path):
    a, b = build(tmp_path / "a", "x"), build(tmp_path / "b", "x")
    text, count = comparison.page(a, b, [comparison.Path("11_a.ipynb"), comparison.Path("12_b.ipynb")])
    assert count == 0
    assert "the same" in text
    assert "12_b" in text

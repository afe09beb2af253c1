"""The page of two builds shows what differs, beside each other, and nothing else."""

import nbformat
import pytest

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
    text, said = comparison.page(a, b, [comparison.Path("11_a.ipynb")])
    assert said == "1 cells of 1 notebooks differ"
    assert "<mark>count 3</mark>" in text
    assert "count 4" in text
    assert "0.50" not in text
    assert "<b>same" not in text


def test_a_cell_that_one_build_lacks_is_shown(tmp_path):
    a, b = build(tmp_path / "a", "x", "<i>"), build(tmp_path / "b", "x")
    text, said = comparison.page(a, b, [comparison.Path("11_a.ipynb")])
    assert said == "1 cells of 1 notebooks differ"
    assert "no such cell" in text
    assert "&lt;i&gt;" in text
    assert comparison.page(b, a, [comparison.Path("11_a.ipynb")])[1] == said  # from either side


def test_the_same_builds_do_not_differ(tmp_path):
    a, b = build(tmp_path / "a", "x"), build(tmp_path / "b", "x")
    text, said = comparison.page(a, b, [comparison.Path("11_a.ipynb"), comparison.Path("12_b.ipynb")])
    assert said == "0 cells of 1 notebooks differ; not in both: 12_b"
    assert "the same" in text


def test_a_cell_that_ended_with_an_error_shows_the_error_and_its_section(tmp_path):
    a, b = build(tmp_path / "a", "x"), build(tmp_path / "b", "x")
    book = nbformat.read(b / "11_a.ipynb", 4)
    book.cells[0].outputs = [nbformat.v4.new_output("error", ename="KeyError", evalue="'Fresh'")]
    nbformat.write(book, b / "11_a.ipynb")
    book = nbformat.read(a / "11_a.ipynb", 4)
    book.cells.insert(0, nbformat.v4.new_markdown_cell("## 2 Logarithms\n\nText."))
    nbformat.write(book, a / "11_a.ipynb")
    text, _ = comparison.page(a, b, [comparison.Path("11_a.ipynb")])
    assert "KeyError: &#x27;Fresh&#x27;" in text
    assert "2 Logarithms, cell c0" in text


def test_a_folder_without_notebooks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit, match="holds no notebook such as 1_wholesale/11_customers"):
        comparison.main()

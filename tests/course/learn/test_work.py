"""Copies in work/: added, updated while nobody has written in them, never overwritten."""

import nbformat
import pytest

from course.grade import release
from course.learn import start, work
from tests.course.test_contract import example

NAME = "1_series/99_example.ipynb"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "notebooks" / NAME
    path.parent.mkdir(parents=True)
    nbformat.write(example(), path)
    return path


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_releasing_is_deterministic(source, tmp_path):
    folder = tmp_path / "student"
    assert release.release([source], folder) == {NAME: release.ADDED}
    first = (folder / NAME).read_bytes()
    assert release.release([source], folder) == {NAME: release.CURRENT}
    assert (folder / NAME).read_bytes() == first == release.copy_text(source).encode()


def test_work_is_never_overwritten(source, tmp_path):
    folder = tmp_path / "work"
    release.release([source], folder)
    change(folder / NAME, "YOUR CODE HERE", "my code")
    assert release.release([source], folder) == {NAME: release.KEPT}
    change(source, "# 99 Example", "# 99 A better example")
    assert release.release([source], folder) == {NAME: release.BEHIND}
    assert "my code" in (folder / NAME).read_text()
    # what self_check compares with stays the release that the work began from
    assert "A better example" not in (folder / work.RECORD / work.RELEASED / NAME).read_text()
    assert release.release([source], folder, force=True) == {NAME: release.UPDATED}
    assert "my code" not in (folder / NAME).read_text()


def test_a_copy_that_only_ran_is_updated(source, tmp_path):
    folder = tmp_path / "work"
    release.release([source], folder)
    ran = nbformat.read(folder / NAME, 4)
    ran.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="an output\n")]
    ran.metadata.language_info = {"name": "python", "version": "3.12.1"}
    nbformat.write(ran, folder / NAME)
    assert release.release([source], folder) == {NAME: release.CURRENT}
    assert "an output" in (folder / NAME).read_text()
    change(source, "# 99 Example", "# 99 A better example")
    assert release.release([source], folder) == {NAME: release.UPDATED}
    assert "A better example" in (folder / NAME).read_text()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"no notebook"])
def test_a_file_that_is_no_notebook_is_kept(source, tmp_path, content):
    folder = tmp_path / "work"
    release.release([source], folder)
    (folder / NAME).write_bytes(content)
    assert release.release([source], folder)[NAME] in (release.KEPT, release.BEHIND)
    assert (folder / NAME).read_bytes() == content


def test_work_in_the_source_is_noticed(source, tmp_path):
    folder = tmp_path / "work"
    assert release.changed_since(source, folder) == []
    release.release([source], folder)
    assert release.changed_since(source, folder) == []
    book = nbformat.read(source, 4)
    next(cell for cell in book.cells if cell.id == "exercise-99-2").source = "answer = 41"
    nbformat.write(book, source)
    assert release.changed_since(source, folder) == ["99.2"]
    next(cell for cell in book.cells if cell.id == "check-99-1-01").outputs[0].text = "7\n"
    nbformat.write(book, source)
    assert release.changed_since(source, folder) == ["99.1", "99.2"]


def test_the_start_page_lists_every_lesson_with_its_points(tmp_path):
    (tmp_path / work.RECORD / "points").mkdir(parents=True)
    (tmp_path / work.RECORD / "points" / "12.json").write_text('{"12.1": [2, "correct"]}')
    start.start_page(tmp_path)
    book = nbformat.read(tmp_path / start.START, 4)
    nbformat.validate(book)
    table = book.cells[1].outputs[0].data["text/markdown"]
    rows = [line for line in table.splitlines() if ".ipynb" in line]
    assert len(rows) == len(start.all_notebooks())
    assert all(row.split("|")[2].strip().isdigit() and row.split("|")[3].strip() for row in rows), table
    assert next(row for row in rows if "12_anomalies" in row).split("|")[4].strip() == "2 of 8"

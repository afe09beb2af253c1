"""Copies in work/: added, updated while nobody has written in them, never overwritten."""

import subprocess
import sys

import nbformat
import pytest

from course import contract
from course.grade import release
from course.learn import start, work
from course.learn.copies import equipped
from course.notebooks import ROOT, find
from tests.course.learn.conftest import NAME, answer_in, change, commit
from tests.course.test_contract import example


def released(paths, folder, **options):
    """What was done, where nothing has to be said."""
    done, said = release.release(paths, folder, **options)
    assert said == []
    return done


def test_releasing_is_deterministic(source, tmp_path):
    folder = tmp_path / "student"
    assert released([source], folder) == {NAME: release.ADDED}
    first = (folder / NAME).read_bytes()
    assert released([source], folder) == {NAME: release.CURRENT}
    assert (folder / NAME).read_bytes() == first == release.copy_text(example()).encode()


def test_work_is_never_overwritten(source, tmp_path):
    folder = tmp_path / "work"
    release.release([source], folder)
    change(folder / NAME, "YOUR CODE HERE", "my code")
    assert released([source], folder) == {NAME: release.KEPT}
    change(source, "# 99 Example", "# 99 A better example")
    assert released([source], folder) == {NAME: release.BEHIND}
    assert "my code" in (folder / NAME).read_text()
    # what self_check compares with stays the release that the work began from
    assert "A better example" not in (folder / work.RECORD / work.RELEASED / NAME).read_text()
    assert released([source], folder, force=True) == {NAME: release.UPDATED}
    assert "my code" not in (folder / NAME).read_text()


def test_a_copy_that_only_ran_is_updated(source, tmp_path):
    folder = tmp_path / "work"
    release.release([source], folder)
    ran = nbformat.read(folder / NAME, 4)
    ran.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="an output\n")]
    ran.metadata.language_info = {"name": "python", "version": "3.12.1"}
    nbformat.write(ran, folder / NAME)
    assert released([source], folder) == {NAME: release.CURRENT}
    assert "an output" in (folder / NAME).read_text()
    change(source, "# 99 Example", "# 99 A better example")
    assert released([source], folder) == {NAME: release.UPDATED}
    assert "A better example" in (folder / NAME).read_text()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"no notebook"])
def test_a_file_that_is_no_notebook_is_kept(source, tmp_path, content):
    folder = tmp_path / "work"
    release.release([source], folder)
    (folder / NAME).write_bytes(content)
    assert released([source], folder)[NAME] in (release.KEPT, release.BEHIND)
    assert (folder / NAME).read_bytes() == content


def test_work_in_the_source_before_the_first_release_is_not_released(repository, tmp_path):
    folder, clean = tmp_path / "work", release.not_yet_run(release.copy_text(example()))
    answer_in(repository)
    done, said = release.release([repository], folder, safe=True)
    assert done == {NAME: release.ADDED}
    assert (folder / NAME).read_text() == clean
    assert len(said) == 1
    assert said[0].startswith(
        f"{NAME}: 99.1, 99.2 in notebooks/ differ from what is committed; the copy is as"
    )
    assert "41" in repository.read_text()  # nothing is lost
    done, said = release.release([repository], tmp_path / "handout")  # an author may mean it
    assert "41" in (tmp_path / "handout" / NAME).read_text()
    assert said[0].endswith("they are released as they are now")
    commit(repository.parent, "checkout", "-q", ".")
    assert released([repository], folder, safe=True) == {NAME: release.CURRENT}


def test_an_edit_elsewhere_in_the_source_is_the_authors_business(repository, tmp_path):
    change(repository, "# 99 Example", "# 99 A better example")
    assert released([repository], tmp_path / "work", safe=True) == {NAME: release.ADDED}
    assert "A better example" in (tmp_path / "work" / NAME).read_text()


@pytest.mark.parametrize("damage", [
    lambda text: text.replace(contract.END, "# gone", 1),
    lambda text: "",
    lambda text: text[: len(text) // 2],
], ids=["a lost marker", "empty", "cut off"])  # fmt: skip
def test_a_damaged_source_costs_itself_alone(repository, tmp_path, damage):
    sound = repository.with_name("98_sound.ipynb")
    sound.write_bytes(repository.read_bytes())
    repository.write_text(damage(repository.read_text()))
    done, said = release.release([repository, sound], tmp_path / "work", safe=True)
    assert list(done) == [NAME, "1_series/98_sound.ipynb"]
    assert (tmp_path / "work" / NAME).read_text() == release.not_yet_run(release.copy_text(example()))
    assert len(said) == 1
    assert said[0].startswith(f"{NAME}: the copy is as committed, for the source is damaged")
    subprocess.run(["rm", "-rf", repository.parents[1] / ".git"], check=True)  # a download without git
    done, said = release.release([repository, sound], tmp_path / "other", safe=True)
    assert list(done) == ["1_series/98_sound.ipynb"]
    assert len(said) == 1
    assert said[0].startswith(f"{NAME}: left out: ")


@pytest.mark.parametrize(("content", "said"), [
    (b"", "the file is empty"), (b"{", "was cut off"), (b"\xff\xfe\x00", "the file is no text"),
    (b"[]", "it has no nbformat"), (b'{"nbformat": 3, "worksheets": []}', "nbformat 3; allowed is 4"),
    (b'{"nbformat": 4, "cells": [1]}', "its cells are not there"), (b"[" * 100_000, "no notebook"),
    (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}', "not whole"),
])  # fmt: skip
def test_a_damaged_copy_is_named_and_the_others_go_on(source, tmp_path, monkeypatch, content, said):
    sound = source.with_name("98_sound.ipynb")
    sound.write_bytes(source.read_bytes())
    monkeypatch.setattr(start, "all_notebooks", lambda: [sound, source])
    monkeypatch.setattr(start, "all_checked", lambda: [sound, source])
    folder = tmp_path / "work"
    assert list(start.prepare(folder)) == ["work/: 2 added"]
    (folder / NAME).write_bytes(content)
    (folder / work.RECORD / work.RELEASED / NAME).write_bytes(b"damaged too")
    lines = [line for line in start.prepare(folder) if line.startswith("  ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"  work/{NAME}: ")
    assert said in lines[0]
    assert "it is kept" in lines[0]
    assert (folder / NAME).read_bytes() == content
    assert "98_sound" in (folder / start.START).read_text()


def test_it_says_what_a_newer_version_changed(source, tmp_path, monkeypatch):
    other = source.with_name("98_other.ipynb")
    other.write_bytes(source.read_bytes())
    monkeypatch.setattr(start, "all_notebooks", lambda: [other, source])
    monkeypatch.setattr(start, "all_checked", lambda: [other, source])
    folder = tmp_path / "work"
    list(start.prepare(folder))
    change(folder / NAME, "YOUR CODE HERE", "my code")
    for path in (source, other):
        change(path, '"6\\n"', '"six\\n"')
    assert list(start.prepare(folder)) == [
        "work/: 1 updated, 1 kept, a newer one is there",
        "  newer, and you had written nothing in them: 98_other",
        f"  {NAME}: yours is kept, exercises 99.1 are newer in the course; rename yours to get that one too",
    ]
    assert "my code" in (folder / NAME).read_text()


def test_the_sample_on_a_fresh_clone_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "all_checked", lambda: [])
    lines = list(start.prepare(tmp_path / "work"))
    assert "have not run on it yet: 11 12" in lines[0]
    assert "make all DATA=sample NB=" in lines[1]
    assert lines[2:] == ["work/: no lesson added"]
    table = nbformat.read(tmp_path / "work" / start.START, 4).cells[1].outputs[0].data["text/markdown"]
    assert "not here yet: make all NB=12" in table
    assert "](1_wholesale" not in table  # no link that leads nowhere


def test_what_is_remembered_of_a_release_has_no_pictures(tmp_path):
    book = example()
    book.cells.append(nbformat.v4.new_code_cell("plot()", outputs=[
        nbformat.v4.new_output("display_data", data={"image/png": "A" * 1000})]))  # fmt: skip
    text = release.copy_text(book)
    kept = release.record_text(text)
    assert "A" * 1000 in text
    assert "A" * 1000 not in kept
    assert release.sources(kept) == release.sources(text)
    for check in (cell for cell in nbformat.reads(text, 4).cells if "for" in contract.course(cell)):
        same = next(cell for cell in nbformat.reads(kept, 4).cells if cell.id == check.id)
        assert same.outputs == check.outputs


def test_the_start_page_is_renewed_until_somebody_writes_into_it(tmp_path, monkeypatch):
    start.start_page(tmp_path)
    monkeypatch.setattr(start, "WELCOME", "# A newer welcome")
    start.start_page(tmp_path)
    page = tmp_path / start.START
    assert "A newer welcome" in page.read_text()
    change(page, "A newer welcome", "My notes")
    monkeypatch.setattr(start, "WELCOME", "# The newest welcome")
    start.start_page(tmp_path)
    assert "My notes" in page.read_text()


def test_the_start_page_lists_every_lesson_with_its_points(tmp_path):
    (tmp_path / work.RECORD / "points").mkdir(parents=True)
    (tmp_path / work.RECORD / "points" / "12.json").write_text('{"12.1": [2, "correct"]}')
    for path in start.all_notebooks():
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).touch()
    start.start_page(tmp_path)
    book = nbformat.read(tmp_path / start.START, 4)
    nbformat.validate(book)
    table = book.cells[1].outputs[0].data["text/markdown"]
    rows = [line for line in table.splitlines() if ".ipynb" in line]
    assert len(rows) == len(start.all_notebooks())
    assert all(row.split("|")[2].strip().isdigit() and row.split("|")[3].strip() for row in rows), table
    assert next(row for row in rows if "12_anomalies" in row).split("|")[4].strip() == "2 of 8"


def test_nothing_that_no_notebook_needs_is_built_at_the_start():
    """The grammar of addresses takes a second, and stays importable for whoever wants it."""
    lines = "import course.learn.self_check, course.grade.mine, sys; assert 'lark' not in sys.modules; "
    lines += "import importlib.util; assert importlib.util.find_spec('rfc3987_syntax')"
    subprocess.run([sys.executable, "-c", lines], check=True, cwd=work.ROOT)


def test_a_check_shows_what_a_student_printed_and_nothing_before(source, tmp_path):
    """What is wanted stands in the text above it, and in the record that self_check compares with."""
    release.release([source], tmp_path / "work", safe=True)
    release.release([source], tmp_path / "handed out")
    check = lambda folder: {cell.id: cell for cell in nbformat.read(folder / NAME, 4).cells}["check-99-1-01"]
    own, handed_out = check(tmp_path / "work"), check(tmp_path / "handed out")
    kept = check(tmp_path / "work" / work.RECORD / work.RELEASED)
    assert (own.outputs, own.execution_count) == ([], None)
    assert contract.printed(kept) == contract.printed(handed_out) == "6\n"
    assert release.release([source], tmp_path / "work", safe=True)[0] == {NAME: "unchanged"}


@pytest.mark.parametrize("lesson", ["with exercises", "without"])
@pytest.mark.parametrize("lacking", ["matplotlib", "torch", "course", "helpers", "nothing"])
def test_a_copy_in_the_wrong_kernel_says_so_before_its_imports_fail(source, lesson, lacking):
    """PYTHONPATH lets any kernel find the course; a lesson without exercises needs `helpers` of it alone."""
    book = nbformat.read(source if lesson == "with exercises" else find("41"), 4)
    copy = equipped(contract.student_copy(book))
    first = next(cell for cell in copy.cells if cell.cell_type == "code")
    assert first.id == "start"
    script = f"import sys\nsys.modules[{lacking!r}] = None\n{first.source}"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    if lacking in ("nothing", "helpers" if lesson == "with exercises" else "course"):
        assert result.stdout == ""
    else:
        assert "has no course beside the notebook, or lacks its libraries. In its folder" in result.stdout
        assert "menu Kernel, Change Kernel" in result.stdout

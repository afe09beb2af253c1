"""Copies in work/: added, updated while nobody has written in them, never overwritten."""

import os
import subprocess
import sys
import time

import nbformat
import pytest

from course import contract
from course.grade import mine, plan, release, submission
from course.learn import start, work
from tests.course.test_contract import example

NAME = "1_series/99_example.ipynb"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "notebooks" / NAME
    path.parent.mkdir(parents=True)
    nbformat.write(example(), path)
    return path


def released(paths, folder, **options):
    """What was done, where nothing has to be said."""
    done, said = release.release(paths, folder, **options)
    assert said == []
    return done


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


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


@pytest.fixture
def repository(source, tmp_path):
    """The source in a repository, committed."""
    commit(tmp_path / "notebooks", "init", "-q")
    commit(tmp_path / "notebooks", "add", ".")
    commit(tmp_path / "notebooks", "commit", "-qm", "The course")
    return source


def commit(folder, *arguments):
    author = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, *arguments], check=True, env={**os.environ, **author})


def answer_in(source):
    """Work in the source by mistake: an answer, and a wanted output that Run All replaced."""
    book = nbformat.read(source, 4)
    next(cell for cell in book.cells if cell.id == "exercise-99-2").source = "answer = 41"
    next(cell for cell in book.cells if cell.id == "check-99-1-01").outputs[0].text = "7\n"
    nbformat.write(book, source)


def test_work_in_the_source_before_the_first_release_is_not_released(repository, tmp_path):
    folder, clean = tmp_path / "work", release.copy_text(example())
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
    assert (tmp_path / "work" / NAME).read_text() == release.copy_text(example())
    assert len(said) == 1
    assert said[0].startswith(f"{NAME}: the copy is as committed, for the source is damaged")
    subprocess.run(["rm", "-rf", repository.parents[1] / ".git"], check=True)  # a download without git
    done, said = release.release([repository, sound], tmp_path / "other", safe=True)
    assert list(done) == ["1_series/98_sound.ipynb"]
    assert len(said) == 1
    assert said[0].startswith(f"{NAME}: left out: ")


def test_grade_mine_compares_with_what_is_committed(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(mine, "find_checked", lambda number: repository)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    release.release([repository], tmp_path / "work", safe=True)
    assert mine.reference("99") == (example(), [])
    answer_in(repository)
    book, said = mine.reference("99")
    assert book == example()
    assert said[0].startswith(f"{repository}: 99.1, 99.2 differ from what is committed, which is taken here")
    change(repository, contract.END, "# gone")
    assert mine.reference("99")[0] == example()
    commit(repository.parent, "checkout", "-q", ".")
    change(repository, '"6\\n"', '"six\\n"')  # a newer release of the course
    commit(repository.parent, "commit", "-qam", "Six in words")
    book, said = mine.reference("99")
    assert said == ["the course is newer than your copy: 99.1 changed since"]
    subprocess.run(["rm", "-rf", repository.parents[1] / ".git"], check=True)
    with pytest.raises(SystemExit, match=r"99\.1 not as in your copy: put the file back if it was edited"):
        mine.reference("99")
    repository.write_text(repository.read_text().replace(contract.END, "# gone"))
    with pytest.raises(SystemExit, match="needs an"):
        mine.reference("99")


def test_grade_mine_takes_the_file_as_it_was_given_out(source, tmp_path, monkeypatch):
    monkeypatch.setattr(mine, "find_checked", lambda number: source)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    with pytest.raises(SystemExit, match="no copy in work/ or build/student; run make learn"):
        mine.own_copy("99", None)
    release.release([source], tmp_path / "work")
    own = tmp_path / "work" / NAME
    copies = [own.with_name("99_example-Copy1.ipynb"), own.with_name("99_example (1).ipynb")]
    for path in copies:
        path.write_bytes(own.read_bytes())
    assert mine.own_copy("99", None) == (own, sorted(copies))
    own.unlink()
    assert mine.own_copy("99", None)[0] in copies  # renamed is found too
    assert mine.own_copy("99", str(copies[0])) == (copies[0], [])


@pytest.mark.parametrize(("body", "imported"), [
    ("2 * x", []), ("2 * x + decimal.Decimal(0)", ["decimal"]),
    ("eval('decimal').Decimal(2 * x)", ["decimal", "fractions"]),  # a name that nobody sees: then all of them
])  # fmt: skip
def test_grade_mine_imports_what_is_needed(monkeypatch, capsys, body, imported):
    book, asked, steps = example(), [], plan.steps
    imports = "import decimal\nimport fractions"
    book.cells.insert(2, nbformat.v4.new_code_cell(imports, id="imports", metadata={"body": body}))
    mine_own = nbformat.from_dict(book)
    source = f"def twice(x):\n    return int({body})"
    next(cell for cell in mine_own.cells if cell.id == "exercise-99-1").source = source

    def noted(*given, **named):
        asked.append(steps(*given, **named))
        return asked[-1]

    monkeypatch.setattr(plan, "steps", noted)
    mine.in_turn(nbformat.writes(mine_own).encode(), book, {"lean": True})
    assert "99.1   ✔ correct        3 of 3" in capsys.readouterr().out
    there = "".join(step["source"] for step in asked[-1] if step["cell"] == "imports")
    assert there.replace("import ", "").split() == imported


def test_grade_mine_says_when_it_was_saved_and_what_comes_next(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mine, "find_checked", lambda number: source)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    monkeypatch.setattr("sys.argv", ["mine", "99"])
    release.release([source], tmp_path / "work")
    rows = {name: {"exercise": name, "points": 1, "possible": 2, "note": "", "checks": [], "outcome": outcome}
            for name, outcome in (("99.1", "correct"), ("99.2", "incorrect"))}  # fmt: skip
    result = {"status": "graded", "notes": ["a note"]}

    def grade(content, reference, limits, only):
        return {**result, "exercises": [rows[name] for name in only]}

    monkeypatch.setattr(submission, "grade", grade)
    os.utime(tmp_path / "work" / NAME, (time.time() - 130,) * 2)
    mine.main()
    shown = capsys.readouterr().out
    assert "99_example.ipynb, saved 2 minutes ago ..." in shown
    assert shown.count("a note") == 1
    assert "2 of 4 points. Next: mend 99.2, run its cell, save (Ctrl+S), and run this again." in shown
    check = {
        "passed": False,
        "hidden": False,
        "message": "Half.",
        "detail": "",
        "expected": "2.5\n",
        "got": "5.0\n",
    }
    rows["99.2"]["checks"] = [check]
    mine.main()
    assert "Here 2.5 is wanted, 5.0 came, 2.5 away." in capsys.readouterr().out
    rows["99.2"].update(outcome="correct", checks=[])
    mine.main()
    assert "All is correct. Hand in this file" in capsys.readouterr().out
    result["status"] = "unreadable"
    mine.main()
    assert "0 of 0 points. Open the file in JupyterLab and save it again" in capsys.readouterr().out


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

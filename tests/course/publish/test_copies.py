"""The copies that a reader of the website takes: they work where the course is, and hold no solution."""

import os
import subprocess
import sys
import zipfile

import nbformat

from course import contract
from course.grade import release
from course.notebooks import NOTEBOOKS, find
from course.publish import copies


def test_the_branch_of_the_launch_buttons_sets_itself_up(tmp_path, monkeypatch):
    copies.write_student_branch(tmp_path / "branch", [find("11")], "owner/name")
    book = nbformat.read(tmp_path / "branch" / "1_wholesale" / find("11").name, 4)
    assert contract.BEGIN not in nbformat.writes(book)
    assert (tmp_path / "branch" / "data" / "registry.toml").exists()
    assert not (tmp_path / "branch" / "data" / "raw").exists()
    called = []
    monkeypatch.setattr(sys, "path", [*sys.path])  # the cell adds to it
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))
    exec(book.cells[1].source, {})  # helpers are here: nothing is fetched
    assert called == []
    monkeypatch.setitem(sys.modules, "helpers", None)
    exec(book.cells[1].source, {})
    assert called[0][-1] == "open-the-black-box[course] @ git+https://github.com/owner/name"
    assert called[0][1:4] == ["-m", "pip", "install"]


def test_self_check_answers_on_the_branch_and_says_so_where_the_course_is_not(tmp_path):
    branch = tmp_path / "branch"
    copies.write_student_branch(branch, [find("11")], "owner/name")
    book = nbformat.read(branch / "1_wholesale" / find("11").name, 4)
    cells = {cell.id: cell.source for cell in book.cells}
    setup, begin = cells["setup"].partition("try:")[0], cells["start"]

    def printed(folder, *sources):
        command = [sys.executable, "-I", "-c", "\n".join([*sources, 'self_check("11")'])]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout

    assert "11.1   – not attempted" in printed(branch / "1_wholesale", setup, begin)
    alone = printed(tmp_path, begin)  # a copy that was downloaded by itself
    assert "This kernel has no course beside the notebook" in alone
    assert "make learn" in alone


def test_the_zip_of_the_course_is_learned_from_without_a_solution_in_it(tmp_path):
    for name in ("a", "b"):
        copies.write_course(tmp_path / name / copies.ZIP, [find("11"), find("41")])
    assert (tmp_path / "a" / copies.ZIP).read_bytes() == (tmp_path / "b" / copies.ZIP).read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / copies.ZIP) as file:
        file.extractall(tmp_path)
    folder = tmp_path / copies.ZIP.removesuffix(".zip")
    assert not (folder / "data" / "raw").exists()
    for path in folder.rglob("*.ipynb"):
        assert contract.BEGIN not in path.read_text(encoding="utf-8")
    command = [sys.executable, "-m", "course.learn.start", "--no-lab"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert "work/: 2 added" in done.stdout
    for path in (find("11"), find("41")):  # the same copies as a clone's
        copy = folder / "work" / path.relative_to(NOTEBOOKS)
        released = release.not_yet_run(release.copy_text(nbformat.read(path, 4)))
        assert copy.read_text(encoding="utf-8") == released
    page = (folder / "work" / "start.ipynb").read_text(encoding="utf-8")
    assert "11 Meet the customers" in page

"""What `make all` runs again, with how many threads, and how its runs end."""

import os

import nbformat
import pytest

from course import notebooks
from course.run import all as executing
from course.run import summary


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The paths of two notebooks of a course that is nothing else, both just executed."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    for module in (notebooks, executing, summary):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    monkeypatch.setattr(executing, "DIGESTS", tmp_path / "build" / "digests.json")
    paths = [tmp_path / "notebooks" / "1_wholesale" / name for name in ("11_a.ipynb", "12_b.ipynb")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("SIZE = 3")]), path)
        came_out(notebooks.executed_copy(path), "passed", time=1000)
    for path, digest in executing.stale(paths, []).items():
        executing.remember(path.stem, digest)
    assert not executing.stale(paths, [])
    return paths


def came_out(target, status, time, **record):
    """A copy as a run leaves it."""
    book = nbformat.v4.new_notebook()
    book.metadata["run"] = {"status": status, "message": "", "seconds": 1.0, "data": "real", **record}
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, target)
    os.utime(target, (time, time))


def test_a_failed_run_is_run_again_when_its_cause_is_gone(course):
    path = course[0]
    came_out(notebooks.failed_copy(path), "failed", time=2000)  # with PROFILE=full, say
    assert summary.row(path)["status"] == "failed"
    assert list(executing.stale(course, [])) == [path]

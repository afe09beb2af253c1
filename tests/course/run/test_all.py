"""What `make all` runs again, with how many threads, and how its runs end."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
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


def test_a_run_whose_memory_nobody_measured_has_its_row(course):
    came_out(notebooks.executed_copy(course[0]), "passed", time=2000, peak_memory_mb=None)  # on Windows
    row = summary.row(course[0])
    assert (row["status"], row["peak_memory_mb"], row["message"]) == ("passed", "", "")
    assert "None" not in summary.markdown([row])


@pytest.mark.parametrize(("changed", "jobs", "share"), [(1, 2, 1), (2, 2, 2), (2, 8, 2), (2, 1, 1)])
def test_cores_are_shared_by_those_that_run_and_not_by_those_that_might(
    course, monkeypatch, changed, jobs, share
):
    shares = []
    monkeypatch.setattr(executing, "execute", lambda *given: shares.append(given[3]))
    for path in course[:changed]:
        notebooks.executed_copy(path).unlink()
    executing.run(course, [], jobs)
    assert shares == [share] * changed


def rewritten(path, change):
    """Change the notebook's only cell by a function."""
    book = nbformat.read(path, 4)
    change(book.cells[0])
    nbformat.write(book, path)


@pytest.mark.parametrize("change", [
    lambda cell: cell.update(source="SIZE = 4"),
    lambda cell: (cell.update(cell_type="markdown"), cell.pop("outputs"), cell.pop("execution_count")),
    lambda cell: cell.metadata.update(tags=["parameters"]),
])  # fmt: skip
def test_a_notebook_runs_again_when_what_its_cells_do_has_changed(course, change):
    rewritten(course[1], change)
    assert list(executing.stale(course, [])) == [course[1]]


def test_outputs_are_none_of_what_a_result_depends_on(course):
    rewritten(course[1], lambda cell: cell.update(execution_count=7))
    assert not executing.stale(course, [])


@pytest.mark.parametrize("changed", ["a library", "the data", "the device", "the machinery"])
def test_everything_runs_again_when_what_all_depend_on_has_changed(course, monkeypatch, changed):
    if changed == "a library":
        monkeypatch.setattr(notebooks, "version", lambda name: "99.0")
    elif changed == "the data":
        monkeypatch.setattr(notebooks, "data_digest", lambda: "another")
    elif changed == "the device":
        monkeypatch.setenv("DEVICE", "cuda")
    else:
        assert "course/notebooks.py" in executing.MACHINERY  # it says what of a run is kept
        monkeypatch.setattr(executing, "MACHINERY", executing.MACHINERY[1:])
    assert list(executing.stale(course, [])) == course


def test_the_data_are_all_committed_files_by_their_content_and_none_in_raw(tmp_path):
    def digest():
        notebooks.data_digest.cache_clear()
        return notebooks.data_digest(tmp_path)

    for name in ("registry.toml", "README.md", "sample/leaves/1.png", "raw/leaves/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    seen = [digest()]
    for name, counts in (("registry.toml", 1), ("sample/leaves/1.png", 1), ("README.md", 0),
                         ("raw/leaves/1.png", 0), ("raw/new.csv", 0), ("sample/new.csv", 1)):  # fmt: skip
        (tmp_path / name).write_text("after!")
        seen.append(digest())
        assert (seen[-1] != seen[-2]) == counts, name


STARTED = """
import pathlib, sys
from course import notebooks
from course.run import all as executing
path = pathlib.Path(sys.argv[1])
executing.stale = lambda paths, parameters: {path: ""}
executing.executed_copy = lambda path: path.with_suffix(".out.ipynb")
executing.ROOT = path.parent
executing.run([path], [], 1)
print("ended", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
@pytest.mark.parametrize(("ignored", "ends"), [(False, True), (True, False)])
def test_a_terminal_that_closes_ends_the_runs_unless_they_are_to_go_on(tmp_path, ignored, ends):
    """Runs have sessions of their own: the signal reaches who started them alone."""
    path, pid = tmp_path / "11_a.ipynb", tmp_path / "pid"
    cell = f"import os, time\nwith open({str(pid)!r}, 'w') as f: f.write(str(os.getpid()))\ntime.sleep(60)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), path)
    surroundings = {**os.environ, "PYTHONPATH": str(notebooks.ROOT)}
    heard = signal.SIG_IGN if ignored else signal.SIG_DFL  # nohup has it ignored
    with subprocess.Popen([sys.executable, "-c", STARTED, path], env=surroundings, start_new_session=True,
                          stdout=subprocess.PIPE, text=True, cwd=tmp_path,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, heard)) as process:  # fmt: skip
        until(lambda: pid.exists() and pid.read_text())
        kernel = psutil.Process(int(pid.read_text()))
        process.send_signal(signal.SIGHUP)
        if ends:
            said, _ = process.communicate(timeout=60)
            assert said.endswith("ended\n")
            kernel.wait(20)
        else:
            time.sleep(2)
            assert kernel.is_running()
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            kernel.wait(20)


def until(done, seconds=60):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)

"""The pipeline around the notebooks, on small courses made here: execute, refresh, Make, versions."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from course.notebooks import all_notebooks, clean, find, merge_streams, take_outputs
from course.run import environment, summary
from course.run.execute import execute as in_this_process

ROOT = Path(__file__).parents[3]
VENV = Path(sys.executable).parents[1]
GOOD = "print('data source: real')\nSIZE = SIZE + 1\nprint(SIZE)"


def write(path, *sources):
    """Write an unexecuted notebook whose first code cell is its parameters cell."""
    book = nbformat.v4.new_notebook()
    book.metadata.budget = {"seconds": 60, "memory_mb": 3000}
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [nbformat.v4.new_code_cell("SIZE = 3", metadata={"tags": ["parameters"]})]
    book.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def call(*command, cwd=ROOT, **variables):
    """Run a command without the settings of an outer make."""
    outer = ("DATA", "DEVICE")
    clean = {key: value for key, value in os.environ.items() if key not in outer}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def execute(*arguments, **variables):
    return call(sys.executable, "-m", "course.run.execute", *arguments, **variables)


def test_an_executed_notebook_records_its_run(tmp_path):
    path, target = write(tmp_path / "11_good.ipynb", GOOD), tmp_path / "build" / "11_good.ipynb"
    result = execute(path, target, "SIZE=5", "OTHER=1", "EMPTY=")
    assert result.returncode == 0, result.stderr
    book = nbformat.read(target, 4)
    run = book.metadata["run"]
    assert run["status"] == "passed"
    assert run["data"] == "real"
    assert run["device"] == "cpu"
    assert run["seconds"] > 0
    assert 20 < run["peak_memory_mb"] < 3000
    assert book.cells[-1].outputs[0].text.endswith("6\n")
    assert "papermill" not in book.metadata
    assert sorted(file.name for file in tmp_path.iterdir()) == ["11_good.ipynb", "build"]
    assert "11_good.ipynb  passed" in result.stdout


def test_the_record_names_the_device_that_the_notebook_chose(tmp_path):
    chosen = "import torch; torch.cuda.is_available = lambda: True\nfrom helpers.runtime import device\n"
    path, target = write(tmp_path / "11_gpu.ipynb", chosen + "device('cuda')"), tmp_path / "11.ipynb"
    result = execute(path, target)
    assert result.returncode == 0, result.stderr
    assert nbformat.read(target, 4).metadata["run"]["device"] == "cuda"


def test_make_jobs_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    path, target = (
        write(tmp_path / "11_threads.ipynb", "import os\nprint(os.environ['OMP_WAIT_POLICY'])"),
        tmp_path / "t.ipynb",
    )
    execute(path, target, COURSE_SHARE=str(os.cpu_count()), OMP_NUM_THREADS="")
    shared = nbformat.read(target, 4)
    assert shared.cells[-1].outputs[0].text == "passive\n"
    execute(path, target, THREADS="7")
    asked = nbformat.read(target, 4)
    assert shared.metadata["run"]["threads"] == 1
    assert asked.metadata["run"]["threads"] == 7


def test_a_run_leaves_the_environment_as_it_was(tmp_path):
    path = write(tmp_path / "11_good.ipynb", "import os\nprint('COURSE_DEVICE_USED' in os.environ)")
    before = dict(os.environ)
    book, record = in_this_process(path, tmp_path / "executed.ipynb", {})
    assert record["status"] == "passed"
    assert "True" in json.dumps(book.cells[-1])
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ValueError('gamma: -1 is not allowed')", "ValueError: gamma: -1 is not allowed"),
        ("import os; os._exit(3)", "DeadKernelError: Kernel died in cell 1: import os; os._exit(3)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "Kernel died in cell 1: import os"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("quit()", "ends the notebook: quit()"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_failing_cell_is_reported_and_leaves_no_result(tmp_path, source, message):
    path, target = write(tmp_path / "11_bad.ipynb", source, "1 + 1"), tmp_path / "build" / "11_bad.ipynb"
    result = execute(path, target)
    assert result.returncode == 1, result.stdout
    assert message in result.stdout
    assert not target.exists()
    run = nbformat.read(target.with_suffix(".failed.ipynb"), 4).metadata["run"]
    assert run["status"] == "failed"
    assert message in run["message"]


def test_what_ran_before_a_kernel_died_is_kept_and_nothing_older(tmp_path):
    path = write(tmp_path / "11_bad.ipynb", "print('before')", "import os; os._exit(3)", "1 + 1")
    book = nbformat.read(path, 4)
    for cell in book.cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="of another day")]
    nbformat.write(book, path)
    target = tmp_path / "older.ipynb"
    nbformat.write(book, target)
    left, record = in_this_process(path, target, {"SIZE": 5})
    assert "Kernel died in cell 3: import os" in record["message"]
    assert nbformat.read(target, 4) == left
    assert [cell.source for cell in left.cells][1:] == ["# Parameters\nSIZE = 5\n", *(
        cell.source for cell in book.cells[1:])]  # fmt: skip
    printed = [[output.text for output in cell.outputs] for cell in left.cells]
    assert printed == [[], [], ["before\n"], [], []]


@pytest.mark.skipif(sys.platform == "win32", reason="TMPDIR means nothing there")
def test_a_long_folder_for_temporary_files_is_no_obstacle(tmp_path):
    """The path of a kernel's socket has 107 characters at most."""
    long = tmp_path / ("t" * 150)
    long.mkdir()
    path, target = write(tmp_path / "11_good.ipynb", GOOD), tmp_path / "build" / "11_good.ipynb"
    result = execute(path, target, TMPDIR=str(long))
    assert result.returncode == 0, result.stdout + result.stderr
    assert nbformat.read(target, 4).metadata["run"]["status"] == "passed"


def test_refresh_stores_outputs_and_nothing_of_papermill(tmp_path):
    path = write(tmp_path / "11_good.ipynb", GOOD)
    before = nbformat.read(path, 4)
    assert execute("--refresh", path).returncode == 0
    after = nbformat.read(path, 4)
    assert [cell.execution_count for cell in after.cells] == [1, 2]
    assert after.cells[1].outputs[0].text == "data source: real\n4\n"
    assert str(tmp_path) not in path.read_text()
    for cell in after.cells:
        cell.outputs, cell.execution_count = [], None
    assert after == before


def test_a_failed_refresh_keeps_the_notebook(tmp_path):
    path = write(tmp_path / "11_bad.ipynb", "1 / 0")
    before = path.read_bytes()
    assert execute("--refresh", path).returncode == 1
    assert path.read_bytes() == before


def test_pieces_of_a_stream_are_joined():
    pieces = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d"))
    ]
    assert [(piece.name, piece.text) for piece in merge_streams(pieces)] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


def test_take_outputs_drops_widget_models(tmp_path):
    source = nbformat.read(write(tmp_path / "a.ipynb", "slider"), 4)
    executed = nbformat.from_dict(json.loads(json.dumps(source)))
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "slider"}
    executed.cells[1].outputs = [nbformat.v4.new_output("display_data", data=data)]
    executed.metadata.widgets = {"state": {}}
    source.cells[1].metadata.execution = {"iopub.status.busy": "2000-01-01"}  # as JupyterLab leaves it
    stored = take_outputs(source, clean(executed))
    assert "widgets" not in executed.metadata
    assert "execution" not in stored.cells[1].metadata
    assert stored.cells[1].outputs[0].data == {"text/plain": "slider"}
    assert "widgets" not in stored.metadata


FIND_DATA = """
import os, pathlib
pathlib.Path("build").mkdir(exist_ok=True)
pathlib.Path("build/source").write_text(os.environ["DATA"].replace("auto", "real"))
"""


@pytest.fixture
def course(tmp_path):
    """A copy of the course's frame with three small notebooks, one of which fails."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    for name in ("course", "helpers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "course" / "run" / "data.py").write_text(FIND_DATA)
    (tmp_path / ".venv").symlink_to(VENV)
    for name, source in (("11_a", GOOD), ("12_b", GOOD), ("13_c", "raise RuntimeError('no such customer')")):
        write(tmp_path / "notebooks" / "1_wholesale" / f"{name}.ipynb", source)
    return tmp_path


def test_make_goes_on_after_a_failure_and_runs_only_what_changed(course):
    def make(*arguments):
        result = call("make", *arguments, cwd=course)
        return result, re.findall(r"(\d\d)_\w+\.ipynb  (passed|failed)", result.stdout)

    result, ran = make("-j2", "all")
    assert result.returncode != 0
    assert sorted(ran) == [("11", "passed"), ("12", "passed"), ("13", "failed")], (
        result.stdout + result.stderr
    )
    assert "RuntimeError: no such customer" in result.stdout
    assert "2 of 3 notebooks passed" in result.stdout
    summary = json.loads((course / "build" / "summary.json").read_text())
    assert [row["status"] for row in summary] == ["passed", "passed", "failed"]
    assert "no such customer" in (course / "build" / "summary.md").read_text()

    write(course / "notebooks" / "1_wholesale" / "13_c.ipynb", GOOD)
    result, ran = make("all")
    assert result.returncode == 0, result.stdout + result.stderr
    assert ran == [("13", "passed")]
    result, ran = make("all")
    assert (result.returncode, ran) == (0, [])

    write(course / "notebooks" / "1_wholesale" / "12_b.ipynb", GOOD, "SIZE")
    assert make("all")[1] == [("12", "passed")]
    assert not make("all", "DATA=real")[1]
    assert len(make("all", "DATA=sample")[1]) == 3
    assert not make("all", "DATA=sample")[1]
    assert not call("git", "status", "--short", "notebooks", cwd=ROOT).stdout.count("11_a")


def test_on_the_sample_two_runs_are_compared(course):
    """Stored outputs belong to the real data; nothing of the sample gets into them."""
    source = "import os\nprint('data source:', os.environ['DATA'])"
    path = write(course / "notebooks" / "1_wholesale" / "11_a.ipynb", source)
    book = nbformat.read(path, 4)
    book.cells[1].metadata.tags = ["nbval-check-output"]
    nbformat.write(book, path)

    def make(*arguments):
        return call("make", *arguments, "NB=11", cwd=course)

    assert make("refresh").returncode == 0
    stored = path.read_bytes()
    assert make("check").returncode == 0
    sample = make("check", "DATA=sample")
    assert sample.returncode == 0, sample.stdout
    assert "build/1_wholesale/11_a" in sample.stdout
    refused = make("refresh", "DATA=sample")
    assert refused.returncode != 0
    assert "the stored outputs are those of the real data" in refused.stderr
    assert path.read_bytes() == stored
    command = [sys.executable, "-m", "pytest", path]
    command += ["--nbval", "--nbval-current-env", "-p", "course.check.tolerance"]
    assert call(*command, cwd=course, DATA="real").returncode == 0
    assert call(*command, cwd=course, DATA="sample").returncode == 1  # so the comparison can fail


def test_find_names_the_allowed_numbers():
    with pytest.raises(SystemExit, match=r"NB=99: no notebook has this number; allowed are 1"):
        find("99")
    assert find("12").stem == "12_anomalies"


def test_the_lock_pins_every_direct_dependency_and_holds_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--" not in text
    for python in ("3.11", "3.12", "3.13"):
        versions = environment.locked_versions(python)
        assert set(environment.direct_dependencies()) <= set(versions)
        assert all(re.fullmatch(r"[\w.+!]+", version) for version in versions.values())


def test_conda_users_get_the_locked_versions():
    text = (ROOT / "environment.yml").read_text()
    pins = [line for line in yaml.safe_load(text)["dependencies"][-1]["pip"] if "==" in line]
    versions = environment.locked_versions("3.11")
    assert dict(line.split("==") for line in pins) == {
        name: versions[name] for name in environment.direct_dependencies()
    }
    assert text == environment.conda()


def test_an_unsupported_python_is_refused_with_what_is_allowed(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    with pytest.raises(environment.NotPossible, match="allowed are 3.11, 3.12 and 3.13"):
        environment.ensure(folder=tmp_path / "venv")
    assert not (tmp_path / "venv").exists()


def test_the_doctor_names_each_problem_and_what_to_do():
    result = call(sys.executable, "-S", ROOT / "course" / "run" / "doctor.py")
    assert "Python" in result.stdout
    assert "run `make env`" in result.stdout
    assert result.returncode == 0, result.stderr


def test_readme_takes_its_seconds_from_a_run_on_the_real_data():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [{"notebook": path.stem, "status": "passed", "data": "real", "seconds": 900.4 + count}
            for count, path in enumerate(all_notebooks())]  # fmt: skip
    found = summary.with_seconds(text, rows)
    assert re.findall(r" \((9\d\d) s\)", found) == [str(900 + count) for count in range(len(rows))]
    assert re.sub(r"\(\d+ s\)", "", found) == re.sub(r"\(\d+ s\)", "", text)
    for wrong, says in (({"status": "failed"}, "failed"), ({"data": "sample"}, "data sample")):
        with pytest.raises(ValueError, match=f"11_customers: .*{says}.*; needed is a run that"):
            summary.with_seconds(text, [rows[0] | wrong])
    with pytest.raises(ValueError, match=r"README.md: 0 lines link to 99_none"):
        summary.with_seconds(text, [rows[0] | {"notebook": "99_none"}])


def test_clean_forgets_results_and_keeps_what_people_wrote(tmp_path):
    shutil.copytree(ROOT / "course", tmp_path / "course", ignore=shutil.ignore_patterns("__pycache__"))
    kept = ["work/1_wholesale/12_anomalies.ipynb", "build/reports/manual.csv", "build/student/12.ipynb"]
    for name in (*kept, "build/1_wholesale/12_anomalies.ipynb", "build/summary.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    assert call(sys.executable, "-m", "course.run.clean", cwd=tmp_path, PYTHONPATH="").returncode == 0
    left = [str(path.relative_to(tmp_path)) for folder in ("build", "work")
            for path in (tmp_path / folder).rglob("*") if path.is_file()]  # fmt: skip
    assert sorted(left) == sorted(kept)

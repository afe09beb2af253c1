"""nbval with the course's comparison, as `make check` runs it."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course.run.execute import execute

ROOT = Path(__file__).parents[3]

def notebook(path, *cells):
    """Write a notebook of (source, stored output, metadata) cells that counts as executed."""
    book = nbformat.v4.new_notebook()
    for count, (source, output, metadata) in enumerate(cells, 1):
        cell = nbformat.v4.new_code_cell(source, execution_count=count, metadata=metadata)
        if output:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output + "\n")]
        book.cells.append(cell)
    nbformat.write(book, path)
    return path


def nbval(*paths, **variables):
    """Run nbval with the plug-in as `make check` does: exit code, outcome letters, output."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "course.check.tolerance",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--nbval-cell-timeout",
        "60",
        "-v",
        "--rootdir",
        str(paths[0].parent),
        *map(str, paths),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    result = subprocess.run(
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, timeout=300
    )
    lines = [line for line in result.stdout.splitlines() if "::" in line and "%]" in line]
    outcomes = ["P" if " PASSED" in line else "F" for line in lines]
    return result.returncode, "".join(outcomes), result.stdout + result.stderr


def test_nbval_uses_the_tolerance_of_each_cell(tmp_path):
    table = "from IPython.display import HTML, display\ndisplay(HTML('<b>0.26</b>'))"
    path = notebook(
        tmp_path / "drift.ipynb",
        ("print('mean', 0.124)", "mean 0.123", {}),
        ("print('mean', 0.133)", "mean 0.123", {}),
        ("print('mean', 0.133)", "mean 0.123", {"tolerance": {"rtol": 0.1}}),
        ("print('mean', 0.133)", "mean 0.123", {}),
        ("print('median', 0.123)", "mean 0.123", {}),
        ("print(441)", "440", {"tolerance": {"rtol": 0.5}}),
        (table, "", {}),
    )
    book = nbformat.read(path, 4)
    book.cells[-1].outputs = [
        nbformat.v4.new_output(
            "display_data",
            data={"text/html": "<b>0.25</b>", "text/plain": "<IPython.core.display.HTML object>"},
        )
    ]
    nbformat.write(book, path)
    code, outcomes, output = nbval(path)
    assert (code, outcomes) == (1, "PFPFFFP"), output


def test_a_dead_kernel_fails_at_once_and_only_its_notebook(tmp_path):
    dead = notebook(tmp_path / "a_dead.ipynb", ("import os; os._exit(1)", "", {}), ("print(1)", "1", {}))
    alive = notebook(tmp_path / "b_alive.ipynb", ("print(1)", "1", {}))
    code, outcomes, output = nbval(dead, alive)
    assert (code, outcomes) == (1, "FFP"), output
    assert "the kernel died" in output
    assert "Timeout of" not in output  # without the plug-in the cell waits for its whole timeout


@pytest.mark.parametrize("tolerance", [{"rtoll": 1}, {"rtol": -1}, {"rtol": "big"}, 0.1])
def test_a_misspelt_tolerance_is_an_error_that_names_it(tmp_path, tolerance):
    path = notebook(tmp_path / "typo.ipynb", ("print(0.1)", "0.1", {"tolerance": tolerance}))
    code, _, output = nbval(path)
    assert code != 0
    assert "tolerance:" in output
    assert "is not allowed" in output


CLEARED = "from IPython.display import clear_output\nprint('a')\nclear_output()\nprint('{}')"
UPDATED = "shown = display('{}', display_id=True)\nshown.update('{}')"


@pytest.mark.parametrize("source", [CLEARED.format("b"), UPDATED.format("a", "b"), UPDATED.format("b", "c")])
def test_a_redrawn_output_never_passes_by_accident(tmp_path, source):
    """Papermill stores the last state; nbval alone sees the first, and would pass where that is stored."""
    write, target = notebook(tmp_path / "drawn.ipynb", (source, "", {})), tmp_path / "executed.ipynb"
    executed, record = execute(write, target, {})
    last = {"text": "", **executed.cells[0].outputs[-1]}
    assert len(executed.cells[0].outputs) == 1
    assert record["status"] == "passed"
    assert last["text"] + last.get("data", {}).get("text/plain", "") in ("b\n", "'b'", "'c'")
    for stored in (executed, first_state(executed)):
        nbformat.write(stored, target)
        code, outcomes, output = nbval(target)
        assert (code, outcomes) == (1, "F"), output
        assert "an output is redrawn; show its last state once" in output


def test_an_output_that_nothing_compares_may_be_redrawn(tmp_path):
    """As a slider does, which draws its first state in the cell that makes it."""
    slider = CLEARED.format("b"), "", {"tags": ["nbval-ignore-output"]}
    code, outcomes, output = nbval(notebook(tmp_path / "slider.ipynb", slider, ("print(1)", "1", {})))
    assert (code, outcomes) == (0, "PP"), output


def first_state(executed):
    """The notebook as it would be stored by a tool that knows no updates."""
    for output in executed.cells[0].outputs:
        if "data" in output:
            output.data["text/plain"] = "'b'"
    return executed

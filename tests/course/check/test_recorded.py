"""nbval over a run that `make all` has recorded: the verdicts of a run of its own, without one."""

import json

import nbformat
import pytest

from course.check import recorded
from course.notebooks import all_notebooks
from tests.course.check.test_tolerance import nbval, notebook

STREAM = {"output_type": "stream", "name": "stdout"}


def compare(folder, *cells, sources=None):
    """Outcome letters for (stored, recorded output) of cells that would fail if they were run."""
    sources = sources or ["raise SystemExit"] * len(cells)
    path = notebook(folder / "11_a.ipynb", *(("raise SystemExit", stored, {}) for stored, _ in cells))
    run = nbformat.read(path, 4)
    for cell, source, (_, outputs) in zip(run.cells, sources, cells, strict=True):
        cell.source, cell.outputs = source, [nbformat.from_dict(output) for output in outputs]
    (folder / "build").mkdir()
    nbformat.write(run, folder / "build" / path.name)
    return nbval(path, COURSE_RECORDED=json.dumps({str(path): str(folder / "build" / path.name)}))


def test_a_recorded_run_is_compared_and_nothing_runs(tmp_path):
    def said(text):
        return [{**STREAM, "text": text + "\n"}]

    warned = [*said("mean 0.12"), {"output_type": "stream", "name": "stderr", "text": "careful"}]
    result = [{"output_type": "display_data", "metadata": {}, "data": {"text/plain": "1"}}]
    error = [{"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["no"]}]
    code, letters, output = compare(
        tmp_path,
        ("mean 0.12", said("mean 0.12")), ("mean 0.12", said("mean 0.13")), ("mean 0.12", said("mean 0.19")),
        ("mean 0.12", []), ("", said("mean 0.12")), ("mean 0.12", warned), ("", result), ("", error),
    )  # fmt: skip
    assert (code, letters) == (1, "PPFFFFFF"), output


def test_a_recorded_run_of_other_code_is_no_reference(tmp_path):
    code, letters, output = compare(tmp_path, ("", []), sources=["1 + 1"])
    assert (code, letters) == (1, "F")
    assert "the recorded run has another cell here: ['1 + 1']" in output


@pytest.mark.parametrize("sample", [False, True])
def test_each_notebook_is_executed_again_within_three_weeks(sample, monkeypatch):
    paths = all_notebooks()
    monkeypatch.delenv("TURNS", raising=False)
    monkeypatch.setattr(recorded.executing, "stale", lambda paths, parameters: {paths[0]: "digest"})
    monkeypatch.setattr(recorded, "checked", lambda path: path.with_suffix(".copy") if sample else path)
    kept = [set(recorded.recorded_runs(paths, week)) for week in (7, 8, 9)]
    assert not set.intersection(*kept)
    assert set.union(*kept) == (set() if sample else set(paths[1:]))
    monkeypatch.setenv("TURNS", "all")
    assert recorded.recorded_runs(paths) == {}

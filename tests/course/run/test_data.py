"""course.run.data and what follows from it: one decision per data set, checked against the right outputs."""

import json
import os
import subprocess
import sys

import pytest

from course import notebooks
from course.run import data
from helpers import sources


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A build folder of its own; returns a function that runs course.run.data with DATA."""
    monkeypatch.setattr(notebooks, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(data, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(data, "DECISIONS", tmp_path / "data.json")

    def run(value):
        monkeypatch.setenv("DATA", value)
        data.main()
        return (tmp_path / "source").read_text().strip(), json.loads((tmp_path / "data.json").read_text())

    return run


def test_sample_asked_for_is_one_word(said):
    source, decided = said("sample")
    assert source == "sample"
    assert decided == {name: {"source": "sample", "reason": ""} for name in sources.SETS}


def test_one_data_set_on_the_sample_leaves_the_others_checked(said, capsys):
    source, decided = said("leaves=sample,wholesale=sample,qm7=sample,squeezenet1_1=sample")
    assert source == "wholesale=sample,qm7=sample,leaves=sample,squeezenet1_1=sample"
    assert "*** SAMPLE, not the real data: Wholesale customers: sample" in capsys.readouterr().out
    notebooks.SOURCE.write_text("wholesale=real,qm7=sample,leaves=real,squeezenet1_1=real\n")
    for path in notebooks.all_notebooks():
        copied = notebooks.checked(path).is_relative_to(notebooks.BUILD)
        assert copied == ("qm7" in notebooks.data_sets(path)), path


def test_every_notebook_loads_what_its_folder_says():
    expected = {"1_wholesale": {"wholesale"}, "2_qm7": {"qm7"}, "3_leaves": {"leaves", "squeezenet1_1"}}
    for path in notebooks.all_notebooks():
        if path.parent.name in expected:
            assert set(notebooks.data_sets(path)) <= expected[path.parent.name]
            assert expected[path.parent.name] & set(notebooks.data_sets(path))


@pytest.mark.parametrize("value", ["fake", "apples=real"])
def test_an_unknown_word_is_one_line(value):
    run = subprocess.run([sys.executable, "-m", "course.run.data"], cwd=notebooks.ROOT, text=True,
                         env=os.environ | {"DATA": value}, capture_output=True)
    assert run.returncode == 1
    assert run.stderr.startswith(f"DATA: '{value}' is not known; allowed are 'auto'")
    assert len(run.stderr.splitlines()) == 1

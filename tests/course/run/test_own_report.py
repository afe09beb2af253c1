"""make own: a report on a file of one's own, or one line that says why there is none."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from course.commands import COMMANDS
from course.notebooks import ROOT, all_notebooks, find
from course.run import own
from course.run.parameters import Refused, parse


@pytest.fixture
def table(tmp_path):
    """A table as people have it: ids, names, a date, gaps, one value, a word, semicolons, decimal commas."""
    rng, n = np.random.default_rng(0), 60
    frame = pd.DataFrame({
        "id": np.arange(n), "Name": [f"Kunde {i}" for i in range(n)], "fest": 1,
        "Stadt": rng.choice(["Köln", "Bonn"], n), "Größe cm": rng.normal(170, 8, n),
        "Tag": pd.date_range("2024-01-01", periods=n).strftime("%d.%m.%Y")})
    frame["Umsatz EUR"] = 10 * frame["Größe cm"] + rng.normal(0, 5, n)
    frame.loc[7, "Umsatz EUR"], frame.loc[3:5, "Größe cm"] = 9000, np.nan
    frame.to_csv(tmp_path / "Kunden.csv", sep=";", decimal=",", index=False, encoding="cp1252")
    return tmp_path / "Kunden.csv"


@pytest.fixture
def build(monkeypatch, tmp_path):
    monkeypatch.setattr(own, "BUILD", tmp_path / "build")


def test_a_table_gives_a_report_of_one_file(table, build):
    page = own.report("41", table, ["TARGET=Stadt"]).read_text(encoding="utf-8")
    assert "<h1>A table of your own: Kunden.csv</h1>" in page
    for said in ("data source: own", "semicolons, decimal commas, encoded as cp1252", "counts the rows",
                 "a date", "60 different texts such as", "one value", "3 missing, median", "row 8,",
                 "ranges from the median of their column: 1", "row 8: Umsatz EUR 9,000, half of all from",
                 "Umsatz EUR 9,000 against", "balanced accuracy", ">Limits<"):
        assert said in page, said
    for left in ("wines", "cultivar", "What we found", 'href="http', 'src="http', "<script", "import numpy"):
        assert left not in page, left
    assert page.count("<img alt=") == 2


def test_classes_may_be_numbers(table, build):
    """A forest that balances classes takes no numbers in the form of text."""
    frame = pd.read_csv(table, sep=";", decimal=",", encoding="cp1252")
    frame.assign(churned=frame.index % 2).to_csv(table, sep=";", decimal=",", index=False, encoding="cp1252")
    page = own.report("41", table, ["TARGET=churned"]).read_text(encoding="utf-8")
    assert "churned: classes, 60 rows" in page
    assert "forest: balanced accuracy" in page


@pytest.mark.parametrize(("number", "parameters", "says"), [
    ("12", [], "^NB=12: works on the course's data alone; allowed are the numbers from 41 on$"),
    ("41", ["MOST=many"], "^MOST=many: must be a number$"),
    ("41", ["CLASS=a"], "^CLASS: notebook 41 has no such parameter; allowed are .*, MOST, SEED, TARGET$"),
    ("42", ["KNOWN=-5"], "^KNOWN: -5 is not allowed; give a whole number of at least 500$"),
    ("42", ["UNIT=Angstrom"], "^UNIT: 'Angstrom' is not known; allowed are 'angstrom' and 'bohr'$"),
])
def test_what_cannot_be_asked_is_one_line(number, parameters, says, table, build):
    with pytest.raises(SystemExit, match=says):
        own.report(number, table, parameters)


@pytest.mark.parametrize("number", ["41", "42", "43"])
def test_what_the_report_takes_the_command_takes(number):
    known = set(papermill.inspect_notebook(str(find(number))))
    assert known <= set(COMMANDS["own"].parameters)
    words = ["own", f"NB={number}", f"PATH={find(number)}", "SEED=7", "DEVICE=cpu"]
    _, given, _ = parse(words, COMMANDS)
    pairs = [f"{name}={given[name]}" for name in ("SEED", "DEVICE")]
    assert own.chosen_parameters(find(number), pairs) == {"SEED": 7, "DEVICE": "cpu"}
    with pytest.raises(Refused, match="^SEED=1.5: must be a whole number from 0 on$"):
        parse([*words, "SEED=1.5"], COMMANDS)


def test_a_refused_file_is_one_line_and_an_older_report_stays(table, build, tmp_path):
    older = own.BUILD / "own" / "41_your_own_table-Kunden.html"
    older.parent.mkdir(parents=True)
    older.write_text("older")
    table.write_text("a;b\n1;2\n")
    with pytest.raises(SystemExit, match="1 rows are left; needed are at least 1 column and 20") as error:
        own.report("41", table)
    assert "\n" not in str(error.value)
    assert older.read_text() == "older"


def test_text_stays_text_and_numbers_are_numbers(tmp_path):
    chosen = own.chosen_parameters(find("41"), ["TARGET=1", "MOST=50"])
    assert chosen == {"TARGET": "1", "MOST": 50}


def test_every_notebook_of_the_series_can_do_it():
    numbers = [path.name[:2] for path in all_notebooks() if path.parent.name == "4_own"]
    assert numbers
    for number in numbers:
        book = nbformat.read(find(number), 4)
        left = own.for_report(book).cells
        assert re.search(r'^PATH = ""', book.cells[1].source, re.MULTILINE)
        assert any("Limits" in cell.source for cell in left)
        assert not any("What we found" in cell.source for cell in left)


@pytest.mark.skipif(not shutil.which("make") or sys.platform == "win32", reason="needs make")
def test_make_keeps_the_path_to_programs(tmp_path):
    """PATH=file says which file, whatever it is called, and programs are found as before."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "course").mkdir()
    told = "import os, sys\nprint(sys.argv[1:])\nprint(os.environ['PATH'])\n"
    (tmp_path / "course" / "__init__.py").touch()
    (tmp_path / "course" / "__main__.py").write_text(told)
    given = ["make", "-C", tmp_path, "own", "NB=41", "PATH=my table.csv", f"PYTHON={sys.executable}"]
    run = subprocess.run(given, capture_output=True, text=True, check=True, env=os.environ)
    arguments, path = [line for line in run.stdout.splitlines() if not line.startswith("make")]
    assert eval(arguments) == ["own", "NB=41", "PATH=my table.csv"]
    assert path == os.environ["PATH"]

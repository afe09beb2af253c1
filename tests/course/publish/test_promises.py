"""What README, guides, copies and workflows promise in passing, each held to what it is about."""

import ast
import importlib
import re
import runpy
import shutil
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from course.commands import COMMANDS
from course.grade import batch, checker, codec, due, reading, sandbox, submission
from course.learn import judge
from course.notebooks import ROOT, find
from course.publish import copies, series
from course.run import environment
from course.run.parameters import Refused, parse

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")

README = (ROOT / "README.md").read_text(encoding="utf-8")


def dead_links(folder, paths):
    """[(file, address)] of the relative links that lead to nothing."""
    return [(path.relative_to(folder).as_posix(), address) for path in paths
            for address in LINK.findall(path.read_text(encoding="utf-8"))
            if not (path.parent / address).exists()]  # fmt: skip


def printed(number):
    """The numbers in the stored outputs of a notebook, as text."""
    outputs = [output for cell in nbformat.read(find(number), 4).cells for output in cell.get("outputs", [])]
    shown = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    found = {one.replace(",", "") for text in shown for one in NUMBER.findall(text)}
    return found | {one.lstrip("-") for one in found}  # "filters beat attention by 1.1" of a printed -1.1


def test_the_results_in_the_table_of_the_readme_are_printed_or_round_what_is_printed():
    seen = 0
    for number, row in re.findall(r"^\| \[(\d\d) .*?\(\d+ s\)\. \*(.+)\* \|$", README, re.MULTILINE):
        known = printed(number)
        for said in NUMBER.findall(row):
            said, digits = said.strip(",").replace(",", ""), len(said.partition(".")[2])
            if digits or len(said) > 2:
                rounded = {f"{float(one):.{digits}f}" for one in known if digits < len(one.partition(".")[2])}
                assert said in known | rounded, f"{number}: README says {said}"
                seen += 1
    assert seen > 25


def test_the_guides_example_of_a_report_is_what_41_and_42_print():
    guide = (ROOT / "docs" / "practitioners.md").read_text(encoding="utf-8")
    block, answers = re.search(r"```text\n(.*?)```\n\n(.*?)\n\n", guide, re.DOTALL).groups()
    for number, text in (("41", block), ("42", answers.partition(" 43 ")[0])):
        said = {one.replace(",", "") for one in NUMBER.findall(text)} - {"42"}
        assert len(said) >= 5
        assert said <= printed(number), f"{number}: {said - printed(number)}"


def test_every_test_that_a_guide_names_is_there():
    sources = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        sources[path.name] = sources.get(path.name, "") + path.read_text(encoding="utf-8")
    guide, file, named = (ROOT / "docs" / "practitioners.md").read_text(encoding="utf-8"), "", 0
    for last in re.findall(r"^\|.*\| ([^|]*) \|$", guide, re.MULTILINE):  # `test_lrp: half_precision`
        for place, test in re.findall(r"`(?:(?:[\w/]+/)?(test_\w+)(?:: )?)?(\w*)`", last):
            file = f"{place}.py" if place else file
            assert test in sources.get(file, "nothing"), f"practitioners.md: {file}: {test}"
            named += 1
    assert named > 40
    guide = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(test_\w+\.py)`", guide)) <= set(sources)


def test_each_readme_and_card_that_travels_links_what_travels_with_it(tmp_path):
    copies.write_course(tmp_path / copies.ZIP, [find("11")])
    shutil.unpack_archive(tmp_path / copies.ZIP, tmp_path)
    whole = tmp_path / copies.ZIP.removesuffix(".zip")
    linked = {f"notebooks/{part}" for part in ("1_", "2_", "3_", "4_")}  # 11 alone was packed here
    dead = dead_links(whole, [*whole.glob("*.md"), *whole.glob("notebooks/*/*.ipynb")])
    assert [one for one in dead if not one[1].startswith(tuple(linked))] == []
    branch = tmp_path / "branch"
    copies.write_student_branch(branch, [find("11")], "owner/name")
    assert dead_links(branch, [branch / "README.md", branch / "data" / "README.md"]) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("22", "22: no such command; a notebook's number is given as NB=22; allowed are"),
        ("check 22", "22: not understood; give PARAMETER=VALUE, or -j N; a notebook's number is"),
        ("data DATA=none", "DATA=none: not known; allowed are auto real sample, or one for each data set"),
        ("own NB=42 PATH=. UNIT=furlong", "UNIT=furlong: not known; allowed are angstrom bohr"),
        ("grade SUBMISSIONS=. REPORTS=README.md", "REPORTS=README.md: is a file; give a folder"),
        ("drift SHARE=9/7", "SHARE=9/7: K must be below N"),
        ("grade SUBMISSIONS=. COLUMN=x", "COLUMN=x: is a column of your platform's table; give ROSTER too"),
    ],
)
def test_what_would_do_something_else_is_refused(line, said):
    with pytest.raises(Refused, match=re.escape(said)):
        parse(line.split(), COMMANDS)


def test_settings_that_the_data_card_shows_are_taken(monkeypatch):
    for name in ("DATA", "DEVICE", "THREADS"):
        monkeypatch.delenv(name, raising=False)
    card = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"`(DATA=[^`]+)`", card))
    assert len(shown) >= 4
    for setting in [*shown, "DATA=leaves=auto"]:
        assert parse(["data", setting], COMMANDS)[1] == {"DATA": setting.removeprefix("DATA=")}
    monkeypatch.setenv("THREADS", "x")
    with pytest.raises(Refused, match="THREADS=x: must be a whole number"):
        parse(["all"], COMMANDS)


@pytest.mark.parametrize("module", ["course.learn.start", "course.run.lab"])
def test_jupyterlab_opens_for_root_too(module, monkeypatch, tmp_path):
    """In a container there is nobody else; JupyterLab would end with a word about an option."""
    from jupyterlab.labapp import LabApp

    said = []
    monkeypatch.setattr("os.geteuid", lambda: 0, raising=False)
    monkeypatch.setattr("os.chdir", said.append)
    monkeypatch.setattr(LabApp, "launch_instance", lambda arguments: said.extend(arguments))
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: said.extend(command) or nobody())
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["lab"])
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    nobody = lambda: SimpleNamespace(wait=lambda: 0)
    run = importlib.import_module(module)
    run.lab(tmp_path, []) if hasattr(run, "lab") else run.main()
    assert "--allow-root" in said
    if module == "course.learn.start":  # in WSL and in a container one opens the address that is printed
        assert "--LabApp.default_url=/lab/tree/start.ipynb" in said


def test_an_exercise_that_is_not_there_is_named_with_those_that_are():
    known = {"11": (find("11").stem, find("11").read_bytes())}
    for exercise in ("11.9", "11.33"):
        with pytest.raises(SystemExit, match=f"^EXERCISES={exercise}: no such .* are 11.1 11.2 11.3"):
            due.named(known, batch.Options(exercises=("11.1", exercise)))
    with pytest.raises(SystemExit, match="^NB=41: no such notebook; allowed are 11$"):
        due.named(known, batch.Options(exercises=("41.1",)))
    assert due.named(known, batch.Options(exercises=("11.1",))) == {"11"}
    assert due.notebooks({"ada": {"11": []}}, known, batch.Options()) == ({"11": {"ada"}}, {"11"})


def test_a_deadline_is_refused_for_clones(tmp_path, monkeypatch):
    (tmp_path / "week-2-ada" / ".git").mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["batch", str(tmp_path), "--deadline", "2026-11-30T23:59"])
    with pytest.raises(SystemExit, match="^DEADLINE: the files of clones have the time of the clone"):
        batch.main()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_refuses_a_wrong_word_before_the_right_one_begins():
    command = ["make", f"PYTHON={sys.executable}", "check", "22"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("22: no such command; a notebook's number is given as NB=22")


def test_a_newer_python_is_refused_until_an_environment_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.version_info", (3, 14, 0, "final", 0))
    with pytest.raises(environment.NotPossible, match="^PYTHON: .* allowed are 3.11, 3.12 and 3.13"):
        environment.check_python(tmp_path)
    monkeypatch.setattr(environment, "works", lambda folder: True)
    environment.check_python(tmp_path)
    monkeypatch.setattr("sys.version_info", (3, 10, 4, "final", 0))  # it cannot read pyproject.toml
    with pytest.raises(environment.NotPossible):
        environment.check_python(tmp_path)


def test_a_mac_that_the_lock_holds_nothing_for_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(environment.NotPossible, match="^PYTHON: this one is for Intel Macs"):
        environment.announce("", tmp_path)
    held = {"sys_platform": "darwin", "platform_machine": "x86_64"}
    lines = environment.LOCK.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if (mark := Requirement(line).marker) is None or mark.evaluate(held)]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_hands_on_what_was_typed(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "__init__.py").touch()  # else the real one on PYTHONPATH goes before it
    (tmp_path / "course" / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\n")
    odd = """it's "so", `echo no` for $HOME & $(5); \\n"""
    command = ["make", "-C", tmp_path, "new", f"TITLE={odd}", f"PATH={odd}", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = next(line for line in done.stdout.splitlines() if line.startswith("["))
    assert ast.literal_eval(said) == ["new", f"TITLE={odd}", f"PATH={odd}"]


def test_a_cluster_that_is_not_there_is_one_line():
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    with dask.config.set({"distributed.comm.timeouts.connect": "100ms"}), pytest.raises(SystemExit) as error:
        list(batch.results_of({}, 1, "tcp://127.0.0.1:9"))
    assert str(error.value).startswith("SCHEDULER=tcp://127.0.0.1:9: no Dask scheduler answers")
    assert "\n" not in str(error.value)


def test_the_limits_that_the_guides_state_are_those_of_the_code():
    guide, students = (" ".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").split())
                       for name in ("instructors", "students"))  # fmt: skip
    limits = submission.Limits()
    for said in (
        f"{sandbox.PROCESSES} at most",
        f"{limits.disk} MB in `/tmp`, 64 MB in `/dev/shm`",
        f"{checker.MEMORY / 1000:g} GB beside the lesson; a message has {codec.LARGEST_MESSAGE >> 20} MB",
        f"{codec.MOST_PARTS:,} parts, depth {codec.DEEPEST}".replace(",", " ", 1),
        f"{reading.MEMORY / 1000:g} GB, {reading.SECONDS} seconds, {reading.MOST_CELLS:,} cells",
        f"{reading.LONGEST_CELL:,} characters a cell",
        f"one level deep: {reading.LARGEST_NOTEBOOK >> 20} MB and {reading.MOST_ZIPPED:,} files each",
        f"{['', 'one', 'two', 'three', 'four', 'five', 'six'][batch.MOST_COPIES]} are looked at",
    ):
        assert said in guide, said
    assert [submission.limits_for(took)["seconds"] for took in (1, 4)] == [10, 20]
    assert "five times as long, at least ten seconds a check" in guide
    assert f"is stopped after {judge.SECONDS} seconds" in students


def test_the_cluster_of_the_guide_finds_the_course():
    guide = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
    lines = re.findall(r"^.*\bdask (?:scheduler|worker).*$", guide, re.MULTILINE)
    assert len(lines) == 2
    assert all(line.startswith("PYTHONPATH=$PWD .venv/bin/dask ") for line in lines)


def test_the_readme_says_how_large_the_sample_is():
    said = float(re.search(r"network of our own, ([\d.]+) MB", README)[1])
    files = [path for path in (ROOT / "data" / "sample").rglob("*")
             if path.is_file() and path.suffix not in (".py", ".pyc", ".txt")]  # fmt: skip
    assert said == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, abs=0.05)


def test_the_card_says_how_many_customers_of_the_sample_are_real():
    real = runpy.run_path(str(ROOT / "data" / "sample" / "make_customers.py"))["PRINTED"]
    rows = (ROOT / "data" / "sample" / "customers.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert all(rows[number] == ",".join(map(str, values)) for number, values in real.items())
    assert (len(real), len(rows)) == (10, 440)
    card = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    assert "440 customers with the published statistics: 430 synthetic, ten real" in card
    assert "ten of the sample's customers are\nreal ones of UCI's, CC BY 4.0" in README


def test_the_picture_of_the_readme_is_what_the_notebooks_show():
    kept, now = (np.asarray(one.convert("L"), float) for one in (Image.open(series.TARGET), series.picture()))
    assert kept.shape == now.shape
    off = (np.abs(kept - now) > 64).mean()  # a line that moves by a pixel is less, another title more
    assert off < 0.001, "a figure has changed: python -m course.publish.series makes the picture again"


def test_workflows_that_run_the_sandbox_allow_it():
    """On Ubuntu a sandbox needs a setting; without it the tests of isolation would be skipped in silence."""
    jobs = 0
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            runs = [step.get("run", "") for step in job["steps"]]
            wanted = [place for place, run in enumerate(runs)
                      if re.search(r"\.ci/run|make\b.* (?:test|unit|term|grade)\b", run)]  # fmt: skip
            if wanted:
                allowed = [place for place, run in enumerate(runs) if "unprivileged_userns=0" in run]
                assert allowed, f"{path.name}: {name}"
                assert min(allowed) < min(wanted), f"{path.name}: {name}"
                jobs += 1
    assert jobs >= 4

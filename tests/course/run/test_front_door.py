"""The front door: what is refused before anything starts, what is mended, and a new notebook's whole way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from course import contract
from course.__main__ import variables
from course.check import rules
from course.commands import COMMANDS
from course.notebooks import ROOT
from course.run import environment, new, parameters
from course.run.parameters import Refused, parse


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gradd", "gradd: no such command; allowed are all test"),
        ("check NB=99", "NB=99: no notebook has this number; allowed are 11 12"),
        ("check NB=12 NB=99", "NB=99: no notebook has this number"),
        ("all PROFILE=foo", "PROFILE=foo: not known; allowed are fast full"),
        ("all NETWORK=foo", "NETWORK=foo: not known; allowed are squeezenet1_1 vgg16"),
        ("all DATA=foo", "DATA=foo: not known; allowed are auto real sample"),
        ("all DEVICE=gpu", "DEVICE=gpu: not known; allowed are auto cpu cuda"),
        ("all FOO=1", "FOO: all has no such parameter; allowed are NB DATA"),
        ("all 12", "12: not understood; give PARAMETER=VALUE, or -j N"),
        ("lab NB=12", "NB: lab has no such parameter; allowed are none"),
        ("refresh", "NB: refresh needs it, for example refresh NB=22"),
        ("refresh NB=11", ""),
        ("grade SUBMISSIONS=/no/such/folder", "SUBMISSIONS=/no/such/folder: there is no such file or folder"),
        ("drift SHARE=7", "SHARE=7: must be K/N, for example 0/7"),
        ("check NB=", "NB=: is empty; leave it out, or give some of 11 12"),
        ("all DEVICE=", "DEVICE=: is empty; leave it out, or give auto cpu cuda"),
        ("grade SUBMISSIONS=. DEADLINE=", "DEADLINE=: is empty; leave it out, or give a value"),
        ("student FORCE=no", "FORCE=no: not known; allowed are 1"),
        ("bench BENCH=foo", "BENCH=foo: no such benchmark; allowed are anomalies busy"),
        ("site COURSE_HUB=foo", "COURSE_HUB=foo: must be an address"),
        ("grade SUBMISSIONS=. DEADLINE=tomorrow", "DEADLINE=tomorrow: must be a date and time"),
        ("grade SUBMISSIONS=. LATE_PERCENT=abc", "LATE_PERCENT=abc: must be a number from 0 to 100"),
        ("grade SUBMISSIONS=. LATE_FREE=-1", "LATE_FREE=-1: must be a whole number of days"),
        ("grade SUBMISSIONS=. SCHEDULER=foo", "SCHEDULER=foo: must be an address"),
        ("grade SUBMISSIONS=. ROSTER=/no/such", "ROSTER=/no/such: there is no such file or folder"),
        ("grade SUBMISSIONS=. EXERCISES=3", "EXERCISES=3: must be ids of exercises"),
        ("grade SUBMISSIONS=. EXERCISES=99.1", "NB=99: no notebook has this number"),
    ],
)
def test_a_command_line_is_refused_in_one_line(line, said, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    if not said:
        assert parse(line.split(), COMMANDS)[1] == {"NB": "11"}
        return
    with pytest.raises(Refused) as caught:
        parse(line.split(), COMMANDS)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_settings_from_outside_are_checked_too(monkeypatch):
    monkeypatch.setenv("DATA", "reel")
    with pytest.raises(Refused, match="DATA=reel: not known; allowed are auto real sample"):
        parse(["all"], COMMANDS)


def test_several_numbers_and_jobs_are_read(monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    _, given, jobs = parse(["check", "NB=12 22", "-j3"], COMMANDS)
    assert (given["NB"], jobs) == ("12 22", 3)
    monkeypatch.setenv("MAKEFLAGS", " -j5 --jobserver-auth=3,4")
    assert parse(["all"], COMMANDS)[2] == 5


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", b"? correct"), ("utf-8", "✔ correct".encode())])
def test_a_terminal_without_the_signs_shows_the_words(encoding, printed, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    command = [sys.executable, "-c", "print('\u2714 correct')"]
    done = subprocess.run(command, env=variables({}), capture_output=True, check=True)
    assert done.stdout.strip() == printed


def test_a_read_only_checkout_is_refused(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Refused, match="this folder is read-only"):
        parameters.check_checkout(ROOT)


@pytest.fixture
def read_only(tmp_path):
    """A copy of the front door that may only be read, and how a person without rights starts a command."""
    folder = tmp_path / "course copy"
    for name in ("course", "helpers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name in (".venv", "data", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "sitecustomize.py").write_text(  # root may write anywhere; what others would be told
        "import os; os.access = lambda path, mode, **_: mode != os.W_OK")
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path / "stub"), "DATA": "sample"}
    return lambda *words: subprocess.run([sys.executable, "-m", "course", *words], cwd=folder, text=True,
                                         capture_output=True, env=surroundings)


def test_what_only_reads_works_in_a_read_only_checkout(read_only):
    for words in (["help"], ["--help"], ["check", "--help"]):
        done = read_only(*words)
        assert (done.returncode, done.stderr) == (0, "")
    doctor = read_only("doctor")
    assert doctor.returncode == 0
    assert re.search(r"this folder +read-only +-> copy it elsewhere: nothing can be run", doctor.stdout)
    assert "\nverdict: this folder: copy it" in doctor.stdout
    refused = read_only("check", "NB=12")
    assert refused.returncode == 2
    assert refused.stderr.endswith("copy it elsewhere (help and doctor work here)\n")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["make", "help"], ["make", "doctor"]])
def test_who_reads_one_line_alone_gets_it_and_nothing_else(words):
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_every_command_has_one_line_of_help_and_every_make_target_is_one():
    makefile = (ROOT / "Makefile").read_text()
    names = makefile.split("NAMES :=")[1].split(".PHONY")[0].replace("\\", " ").split()
    assert set(names) == set(COMMANDS)
    unknown = subprocess.run(["make", "gradd"], cwd=ROOT, capture_output=True, text=True)
    assert unknown.stderr.startswith("gradd: no such command; allowed are all test")
    assert all(command.help and "\n" not in command.help for command in COMMANDS.values())


# --- the environment


def test_a_sound_environment_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "works", lambda folder=None: True)
    monkeypatch.setattr(environment, "missing", lambda folder: [])
    monkeypatch.setattr(environment, "install", lambda *_: pytest.fail("nothing to install"))
    (tmp_path / "installed").write_text(environment.wanted() + "\n")
    environment.ensure(folder=tmp_path)


@pytest.mark.parametrize("state", ["python gone", "no pip", "half installed", "link to nowhere", "a file"])
def test_a_broken_environment_is_made_again(state, tmp_path, monkeypatch, capsys):
    folder, made = tmp_path / ".venv", []
    if state == "link to nowhere":
        folder.symlink_to(tmp_path / "gone")
    elif state == "a file":
        folder.touch()
    else:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    if state == "python gone":
        for path in (folder / "bin").glob("python*"):
            path.unlink()
        environment.python(folder).symlink_to("/usr/bin/python3.99")
    if state == "half installed":
        (folder / "installed").write_text("older\n")
    monkeypatch.setattr(environment, "complete_here", lambda: False)
    monkeypatch.setattr(environment, "install", lambda uv, torch, folder: made.append(torch))
    empty = lambda folder, sound: sound or environment.make(folder, pip=False)  # noqa: E731
    monkeypatch.setattr(environment, "uv_of", empty)
    environment.ensure(folder=folder)
    assert made == [""]
    assert environment.works(folder)
    assert environment.installed(folder) == environment.wanted()
    assert "fetches up to" in capsys.readouterr().out
    monkeypatch.setattr(environment, "missing", lambda folder: [])
    environment.ensure(folder=folder)
    assert made == [""]


def test_packages_that_are_gone_are_noticed_and_installed_again(tmp_path, monkeypatch, capsys):
    folder, made = tmp_path / ".venv", []
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "installed").write_text(environment.wanted() + "\n")
    assert environment.missing(folder) == environment.direct_dependencies()
    assert environment.missing(Path(sys.prefix)) == []
    monkeypatch.setattr(environment, "uv_of", lambda folder, sound: "uv")
    monkeypatch.setattr(environment, "install", lambda uv, torch, folder: made.append(torch))
    environment.ensure(folder=folder)
    assert made == [""]
    assert "lacks axe-playwright-python, captum, " in capsys.readouterr().out


def test_a_link_to_somebody_elses_environment_is_never_written_to(tmp_path, monkeypatch):
    theirs, link = tmp_path / "theirs", tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", theirs], check=True)
    (theirs / "installed").write_text("older\n")
    link.symlink_to(theirs)
    monkeypatch.setattr(environment, "install", lambda *_: pytest.fail("wrote into a linked environment"))
    for force in (False, True):
        with pytest.raises(environment.NotPossible, match="remove the link"):
            environment.ensure(folder=link, force=force)
    (theirs / "installed").write_text(environment.wanted() + "\n")
    monkeypatch.setattr(environment, "missing", lambda folder: ["torch"])
    with pytest.raises(environment.NotPossible, match=r"requirements.lock \(no torch\); remove the link"):
        environment.ensure(folder=link)
    monkeypatch.setattr(environment, "missing", lambda folder: [])
    environment.ensure(folder=link)
    assert environment.works(theirs)


def test_make_env_installs_again_where_packages_may_be_gone(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(environment, "works", lambda folder=None: True)
    monkeypatch.setattr(environment, "missing", lambda folder: [])
    monkeypatch.setattr(environment, "uv_of", lambda folder, sound: "uv")
    monkeypatch.setattr(environment, "install", lambda uv, torch, folder: made.append(torch))
    (tmp_path / "installed").write_text(environment.wanted() + "\n")
    environment.ensure(folder=tmp_path)
    assert made == []
    environment.ensure(folder=tmp_path, force=True)
    assert made == [""]


def test_a_python_without_venv_is_named(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Error: ensurepip is not available")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(environment.NotPossible, match="apt install python3-venv"):
        environment.make(tmp_path / "venv", pip=True)


def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**30})())
    with pytest.raises(environment.NotPossible, match=r"GB of disk are needed and 1.0 GB are free"):
        environment.announce("", tmp_path / ".venv")


# --- a checkout of its own


@pytest.fixture
def copy(tmp_path):
    """A copy of the checkout, with blanks in its path, that uses this environment through a link."""
    folder = tmp_path / "a copy of it" / "main"
    ignored = shutil.ignore_patterns("__pycache__", ".git", ".venv", "build", "raw", "*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=ignored)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def call(folder, *arguments, **variables):
    outer = ("DATA", "DEVICE", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if key not in outer}
    mirror = {"COURSE_MIRROR": os.environ.get("COURSE_MIRROR", str(ROOT.parent / "shared" / "data"))}
    command = [sys.executable, "-m", "course", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400,
                          env={**kept, **mirror, **variables})  # fmt: skip


def test_a_copied_checkout_uses_its_own_helpers(copy):
    with open(copy / "helpers" / "datasets.py", "a") as file:
        file.write("\n\ndef load_wholesale(*_):\n    raise RuntimeError('broken on purpose')\n")
    path = copy / "notebooks" / "1_wholesale" / "11_customers.ipynb"
    book = nbformat.v4.new_notebook(metadata={"budget": {"seconds": 60, "memory_mb": 3000}})
    book.cells = [nbformat.v4.new_code_cell("SEED = 0", metadata={"tags": ["parameters"]}),
                  nbformat.v4.new_code_cell("from helpers.datasets import load_wholesale\nload_wholesale()")]
    nbformat.write(book, path)
    result = call(copy, "refresh", "NB=11", DATA="sample")
    assert result.returncode != 0
    assert "broken on purpose" in result.stdout + result.stderr


def test_a_new_notebook_runs_is_checked_and_can_be_graded(copy):
    assert call(copy, "new", "NB=10", 'TITLE=Means & "spreads"').returncode == 0
    (path,) = copy.glob("notebooks/1_wholesale/10_means_spreads.ipynb")
    assert nbformat.read(path, 4).cells[0].source.startswith('# 10 Means & "spreads"')
    again = call(copy, "new", "NB=10", "TITLE=Other")
    assert "NB=10: there is a notebook with this number already" in again.stderr
    surroundings = {**os.environ, "PYTHONPATH": str(copy), "DATA": "sample"}
    command = [sys.executable, "-c", STORE_OUTPUTS, path]
    done = subprocess.run(command, cwd=copy, env=surroundings, capture_output=True)
    assert done.returncode == 0, done.stderr
    nbval = [sys.executable, "-m", "pytest", "-q", *COMMANDS_NBVAL, str(path)]
    checked = subprocess.run(nbval, cwd=copy, env=surroundings, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    on_the_sample = "data source: real"  # what this run, unlike an author's, does not print
    assert [fault for fault in rules.faults(path) if on_the_sample not in fault] == []
    book = nbformat.read(path, 4)
    assert len(contract.exercises(book)) == 3
    copied = contract.student_copy(book)
    assert contract.BEGIN not in json.dumps(copied)
    given = contract.answers(book, book)
    assert all(answer.attempted for answer in given.values())


STORE_OUTPUTS = """
import sys
from pathlib import Path
import nbformat
from course.notebooks import take_outputs
from course.run.execute import execute
path = Path(sys.argv[1])
book, record = execute(path, path.parent / "x.ipynb", {})
assert record["status"] == "passed", record
nbformat.write(take_outputs(nbformat.read(path, 4), book), path)
"""
COMMANDS_NBVAL = ["--nbval", "--nbval-current-env", "-p", "course.check.tolerance"]


@pytest.mark.parametrize("number", ["1", "55", "100", "ab"])
def test_a_new_notebook_needs_a_number_of_a_series(number, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["new", number, "A title"])
    with pytest.raises(SystemExit, match=f"NB={number}: must be two digits"):
        new.main()


@pytest.mark.parametrize("send", ["killpg", "kill"])  # Ctrl-C goes to all, SIGTERM to the front door alone
def test_a_run_that_is_stopped_says_one_line_and_leaves_nothing_half_written(copy, send):
    shutil.rmtree(copy / "notebooks")
    for name in ("11_a", "12_b"):
        path = copy / "notebooks" / "1_wholesale" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        book = nbformat.v4.new_notebook(metadata={"budget": {"seconds": 60, "memory_mb": 3000}})
        book.cells = [nbformat.v4.new_code_cell("SEED = 0", metadata={"tags": ["parameters"]}),
                      nbformat.v4.new_code_cell("import time\nopen('begun', 'w')\ntime.sleep(60)")]
        nbformat.write(book, path)
    process = subprocess.Popen([sys.executable, "-m", "course", "all", "-j2", "DATA=sample"], cwd=copy,
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True,
                               # a shell's background job ignores SIGINT, and hands that on
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    end = time.monotonic() + 120
    while not (copy / "notebooks/1_wholesale/begun").exists() and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(1)
    getattr(os, send)(process.pid, signal.SIGINT if send == "killpg" else signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert sorted(line for line in said.splitlines() if line.endswith("stopped")) == [
        "notebooks/1_wholesale/11_a.ipynb  stopped", "notebooks/1_wholesale/12_b.ipynb  stopped"]
    assert not list(copy.glob("build/1_wholesale/*"))

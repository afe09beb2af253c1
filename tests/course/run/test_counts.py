"""How many threads and how many things at once: what is refused, and what is taken where nothing is said."""

import subprocess
import sys

import pytest

from course import machine
from course.check import run as checking
from course.commands import COMMANDS
from course.run import parameters
from course.run.parameters import Refused, parse


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in ("THREADS", "MAKEFLAGS", "DATA", "DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("line", [
    "all THREADS=0", "check THREADS=9999", "grade SUBMISSIONS=. JOBS=0", "grade SUBMISSIONS=. JOBS=999999999",
    "all -j x", "all -j", "all -j 0", "test -j 999", "unit -j9999",
])  # fmt: skip
def test_a_count_that_no_machine_has_is_refused_in_one_line(line, monkeypatch):
    monkeypatch.setattr(parameters, "MOST", 16)
    with pytest.raises(Refused, match=r"^(THREADS=|JOBS=|-j )\w*: must be a whole number from 1 to 16$"):
        parse(line.split(), COMMANDS)


def test_so_many_as_the_machine_may_need_are_taken():
    assert 4 * machine.cores() <= parameters.MOST
    assert parse(["all", "-j", str(parameters.MOST)], COMMANDS)[2] == parameters.MOST


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("threads", ["0", "-3", "9999", "two"])
def test_threads_of_the_environment_are_checked_for_every_command(name, threads, monkeypatch):
    """They count for every command, so bench and learn take none that all refuses."""
    monkeypatch.setenv("THREADS", threads)
    needed = [f"{key}=." for key in COMMANDS[name].needs]
    with pytest.raises(Refused, match=f"^THREADS={threads}: must be a whole number from 1 to"):
        parse([name, *needed], COMMANDS)


def test_make_says_it_with_its_flags_and_is_refused_like_others(monkeypatch):
    assert parse(["all"], COMMANDS)[2] is None
    monkeypatch.setenv("MAKEFLAGS", " -j5 --jobserver-auth=3,4")
    assert parse(["all"], COMMANDS)[2] == 5
    monkeypatch.setenv("MAKEFLAGS", " -j5000 --jobserver-auth=3,4")
    with pytest.raises(Refused, match="^-j 5000: must be a whole number from 1 to"):
        parse(["all"], COMMANDS)


@pytest.mark.parametrize("name", ["test", "unit"])
@pytest.mark.parametrize(("given", "workers"), [([], "8"), (["-j2"], "2"), (["-j12"], "12")])
def test_tests_take_every_core_unless_told_how_many(name, given, workers, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(checking.machine, "cores", lambda: 8)
    monkeypatch.setattr(checking, "CHECKED", tmp_path / "checked")
    monkeypatch.setattr(checking, "notebooks", lambda numbers, jobs: [])
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(checking.subprocess, "run", lambda command, **_: started.append(command) or done)
    command, chosen, jobs = parse([name, *given], COMMANDS)
    (*_, step) = command.steps(chosen, jobs)
    monkeypatch.setattr(sys, "argv", step[1:])
    with pytest.raises(SystemExit):
        checking.main()
    assert started[0][started[0].index("-n") + 1] == workers


@pytest.mark.parametrize(("line", "said"), [
    ("all", []), ("all -j3", ["--jobs", "3"]), ("term", ["--jobs", "1"]), ("term JOBS=2", ["--jobs", "2"]),
    ("term -j3", ["--jobs", "3"]),
])  # fmt: skip
def test_other_commands_hand_on_how_many_at_once(line, said):
    command, chosen, jobs = parse(line.split(), COMMANDS)
    assert [str(word) for word in command.steps(chosen, jobs)[-1][2:]] == said


SHOWN = "import os\nfrom course.run import execute\nprint(execute.THREADS, os.environ['NUMBA_NUM_THREADS'])"


@pytest.mark.parametrize(("variable", "said", "shown"), [
    ("OMP_NUM_THREADS", "0", "1 1\n"),  # numba's import ends with an error where there are to be none
    ("NUMBA_NUM_THREADS", "0", "1 1\n"),
    ("OMP_NUM_THREADS", "3,2", "3 3\n"),
])  # fmt: skip
def test_a_run_has_at_least_one_thread(variable, said, shown, monkeypatch):
    for name in machine.COUNTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_SHARE", "9999")
    monkeypatch.setenv(variable, said)
    assert subprocess.check_output([sys.executable, "-c", SHOWN], text=True) == shown

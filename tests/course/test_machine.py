"""Threads and how they wait: the same in all that the course starts."""

import sys
from types import SimpleNamespace

import pytest

from course import __main__ as front_door
from course import machine
from course.__main__ import variables
from course.grade import plan, student
from course.run import doctor, environment


@pytest.fixture
def control(tmp_path, monkeypatch):
    """A function that writes the files in which Linux says what a container may use."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, "CONTROL", tmp_path)

    return write


def test_how_libraries_use_the_machine_is_the_same_in_all_that_is_started(monkeypatch):
    for name in (*machine.EVERYWHERE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name in machine.EVERYWHERE:
        assert variables({})[name] == plan.environment(True)[name] == machine.EVERYWHERE[name]
    assert "OMP_NUM_THREADS" not in variables({})
    assert {variables({"THREADS": "3"})[name] for name in machine.COUNTS} == {"3"}
    monkeypatch.setenv("THREADS", "2")
    assert {variables({})[name] for name in machine.COUNTS} == {"2"}
    assert {plan.environment(True)[name] for name in machine.COUNTS} == {"1"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # whoever knows better
    assert variables({"THREADS": "3"})["OMP_WAIT_POLICY"] == "active"


@pytest.mark.parametrize(("files", "quota"), [
    ({"cpu.max": "150000 100000\n"}, 2),
    ({"cpu.max": "50000 100000\n"}, 1),
    ({"cpu.max": "max 100000\n"}, None),
    ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ({"cpu.max": "\n"}, None),
    ({}, None),
])  # fmt: skip
def test_what_a_container_may_use_counts_and_not_what_the_machine_has(files, quota, control, monkeypatch):
    control(files)
    monkeypatch.setattr(machine, "allowed", lambda: 64)
    assert machine.quota() == quota
    assert machine.cores() == (quota or 64)
    assert machine.within() == (machine.counts(quota) if quota else {})
    monkeypatch.setattr(machine, "allowed", lambda: 1)  # as a job of a cluster is given one core of them
    assert (machine.cores(), machine.within()) == (1, {})


@pytest.mark.parametrize(("files", "memory"), [
    ({"memory.max": "4000\n", "memory.current": "3000\n", "memory.stat": "anon 5\ninactive_file 500\n"},
     (4000, 1500)),
    ({"memory.max": "4000\n", "memory.current": "4100\n", "memory.stat": "anon 5\n"}, (4000, 0)),
    ({"memory.max": "max\n", "memory.current": "3000\n", "memory.stat": "anon 5\n"}, None),
    ({"memory/memory.limit_in_bytes": "4000\n", "memory/memory.usage_in_bytes": "3000\n",
      "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n"}, (4000, 1500)),
    ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "3000\n",
      "memory/memory.stat": "cache 1\n"}, None),
    ({}, None),
])  # fmt: skip
def test_what_a_container_may_hold_counts_and_not_what_the_machine_has(files, memory, control):
    control(files)
    assert machine.memory() == memory


def test_the_doctor_says_the_memory_of_the_container(monkeypatch):
    monkeypatch.setattr(doctor, "memory", lambda: None)
    whole = doctor.memory_gb()
    monkeypatch.setattr(doctor, "memory", lambda: (2**30, 2**29))
    assert doctor.memory_gb() == 1 < whole


@pytest.mark.parametrize(("there", "system", "free", "advice"), [
    (False, "linux", 5, "the environment needs 6.8 GB: free some space"),
    (False, "win32", 5, ""),
    (False, "darwin", 1, "the environment needs 2.0 GB: free some space"),
    (True, "linux", 5, ""),
])  # fmt: skip
def test_the_doctor_asks_for_the_disk_that_is_still_to_be_filled(
    there, system, free, advice, tmp_path, monkeypatch
):
    if there:
        (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free * 2**30))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)  # Python's own asks Windows from 3.12 on
    monkeypatch.setattr(sys, "platform", system)
    said = {what: (finding, then) for what, finding, then in doctor.machine()}
    assert said["free disk"] == (f"{free} GB", advice)


@pytest.mark.parametrize(("system", "said"), [("win32", "fetches up to 0.6 GB, takes 2.0"),
                                              ("darwin", "fetches up to 0.6 GB, takes 2.0")])  # fmt: skip
def test_where_the_index_gives_the_cpu_build_its_size_is_said(system, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(environment.sys, "platform", system)
    monkeypatch.setattr(environment.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**30))
    environment.announce("", tmp_path / ".venv")
    printed = capsys.readouterr().out
    assert said in printed
    assert "TORCH=cpu" not in printed


def test_on_a_container_s_few_cores_things_take_longer_than_on_all_of_the_machine(monkeypatch):
    monkeypatch.setattr(plan.os, "getloadavg", lambda: (8.0, 8.0, 8.0))
    monkeypatch.setattr(plan.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    assert plan.crowding() == 4
    assert student.overdue(8, 25, seconds=10, patience=1)  # two cores compute 20 seconds in ten


@pytest.mark.parametrize(("given", "threads"), [({}, "2"), ({"OMP_NUM_THREADS": "5"}, "5")])
def test_benchmarks_start_no_more_threads_than_the_container_has_cores(given, threads, monkeypatch):
    started = []
    for name in (*machine.COUNTS, "THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "allowed", lambda: 64)
    monkeypatch.setattr(machine, "quota", lambda: 2)
    monkeypatch.setattr(front_door.environment, "ensure", lambda *_, **__: None)
    monkeypatch.setattr(front_door, "run", lambda command, surroundings, prints: started.append(surroundings))
    assert front_door.main(["bench", "BENCH=busy"]) == 0
    assert started[0]["OMP_NUM_THREADS"] == threads


@pytest.mark.parametrize(("load", "cores", "idle"), [
    ("0.00 0.01 0.05 1/312 4711\n", 4, 4),
    ("9.00 9.00 9.00 1/312 4711\n", 4, 4),  # what has ended does not count
    ("0.00 0.01 0.05 3/312 4711\n", 4, 2),
    ("0.00 0.01 0.05 9/312 4711\n", 4, 1),
    ("0.00 0.01 0.05 3/312 4711\n", 1, 1),  # a container's share of four cores of which two are free
    ("\n", 4, 4),
    (None, 4, 4),
])  # fmt: skip
def test_a_run_beside_neighbours_takes_only_the_cores_they_leave(load, cores, idle, tmp_path, monkeypatch):
    if load is not None:
        (tmp_path / "loadavg").write_text(load)
    monkeypatch.setattr(machine, "LOAD", tmp_path / "loadavg")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(machine, "allowed", lambda: 4)
    monkeypatch.setattr(machine, "quota", lambda: cores)
    assert machine.idle() == idle


def test_what_computes_for_a_moment_is_no_neighbour(monkeypatch):
    seen = iter([3, 3, 1, 2, 3])
    monkeypatch.setattr(machine, "running", lambda: next(seen))
    assert machine.idle() == machine.cores()

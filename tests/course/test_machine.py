"""Threads and how they wait: the same in all that the course starts."""

from course import machine
from course.__main__ import variables
from course.grade import plan


def test_how_libraries_use_the_machine_is_the_same_in_all_that_is_started(monkeypatch):
    for name in (*machine.EVERYWHERE, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name in machine.EVERYWHERE:
        assert variables({})[name] == plan.environment()[name] == machine.EVERYWHERE[name]
    assert "OMP_NUM_THREADS" not in variables({})
    assert {variables({"THREADS": "3"})[name] for name in machine.COUNTS} == {"3"}
    monkeypatch.setenv("THREADS", "2")
    assert {variables({})[name] for name in machine.COUNTS} == {"2"}
    assert {plan.environment()[name] for name in machine.COUNTS} == {"1"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # whoever knows better
    assert variables({"THREADS": "3"})["OMP_WAIT_POLICY"] == "active"

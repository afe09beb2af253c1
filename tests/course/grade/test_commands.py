"""The commands around grading: make, a cluster of workers, the workflow."""

import json
import os
import signal
import subprocess

import nbformat
import pytest
import yaml

from course import contract
from course.grade import batch
from course.notebooks import ROOT, find
from tests.course.grade.exam import LIMITS, answered, by_id, inside, points, reference
from tests.course.grade.wrong import wrong_answers


def make(*arguments):
    command = ["make", "-s", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_the_commands_say_what_they_need():
    assert "SUBMISSIONS: grade needs it" in make("grade").stderr
    assert "there is no such file or folder" in make("grade", "SUBMISSIONS=/nowhere").stderr
    assert "NB: grade-mine needs it" in make("grade-mine").stderr
    assert "FILE=nowhere: there is no such file" in make("grade-mine", "NB=12", "FILE=nowhere").stderr


def test_make_grade_and_grade_mine_on_a_notebook_of_the_course(tmp_path):
    book = contract.student_copy(nbformat.read(find("12"), 4))
    first = wrong_answers("12")[1]
    by_id(book)["exercise-12-1"].source = first.source
    target = tmp_path / "submissions" / "Ada L" / "12.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(book, target)
    result = make("grade", f"SUBMISSIONS={target.parents[1]}", f"REPORTS={tmp_path / 'reports'}", "JOBS=1")
    assert result.returncode == 0, result.stderr
    assert "Ada L: 2 of 12" in result.stdout
    assert "per minute" in result.stdout
    assert "Ada L,2,0,0,0,2,12,16.7" in (tmp_path / "reports" / "grades.csv").read_text()
    result = make("grade-mine", "NB=12", f"FILE={target}")
    assert result.returncode == 0, result.stderr
    assert "12.1   ◐ partly         2 of 3" in result.stdout
    assert "(hidden check) On other data" in result.stdout
    assert "12.2   – not attempted  0 of 3" in result.stdout
    assert "assert" not in result.stdout


def test_a_worker_that_dies_loses_nothing():
    """The same work on a Dask cluster of two workers, one of which is killed while it grades."""
    distributed = pytest.importorskip("distributed")
    path = json.dumps(reference()).encode()
    slow = json.dumps(answered(inside("import time\ntime.sleep(0.2)"))).encode()
    files = [batch.Sent(slow, "98_exam", "98_exam.ipynb", 0.0)]
    tasks = {number: (files, "98_exam", path, {**LIMITS, "seconds": 20}) for number in range(4)}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        results, victims = {}, client.run(os.getpid)
        for number, result in batch.results_of(tasks, 1, cluster.scheduler_address):
            if not results:
                os.kill(next(iter(victims.values())), signal.SIGKILL)
            results[number] = result
        assert set(client.run(os.getpid).values()) != set(victims.values())  # one was killed, and replaced
    assert sorted(results) == list(range(4))
    assert all(points(result) == [3, 2] for result in results.values())


def test_the_workflow_grades_with_the_courses_own_grader():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "grade.yml").read_text())
    assert flow["permissions"] == {"contents": "read"}
    steps = flow["jobs"]["grade"]["steps"]
    graded = next(step["run"] for step in steps if " grade " in step.get("run", ""))
    assert graded.startswith("make -C course grade ")
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in steps)
    checkouts = [step["with"] for step in steps if "checkout" in step.get("uses", "")]
    assert [options["persist-credentials"] for options in checkouts] == [False, False]

"""A class over weeks, and on one machine: lessons that follow each other, a mended check, files, memory."""

import json
import tracemalloc
from types import SimpleNamespace

import pytest

from course.grade import batch, collect, due
from tests.course.grade.exam import LIMITS, RIGHT, answered, by_id, reference

NUMBERS = "def half(x):\n    return x / 2 if x < 5 else 1"  # right for small numbers only


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def grade(folder, lessons, **options):
    """Grade what lies in folder/in against these {name: notebook}; returns {student: {lesson: points}}."""
    paths = [put(folder / f"{name}.ipynb", json.dumps(book)) for name, book in lessons.items()]
    chosen = batch.Options(**{"notebooks": tuple(name[:2] for name in lessons), **options})
    found, *_ = batch.grade_class(folder / "in", folder / "out", chosen, paths=paths, limits=LIMITS)
    return {who: {name: result["points"] for name, result in each.items()} for who, each in found.items()}


def test_the_next_weeks_lesson_comes_beside_the_first(tmp_path):
    put(tmp_path / "in/ada/98_exam.ipynb", json.dumps(answered(RIGHT)))
    assert grade(tmp_path, {"98_exam": reference()}) == {"ada": {"98_exam": 5}}
    (tmp_path / "in/ada/98_exam.ipynb").unlink()
    for who, first in (("ada", None), ("alan", RIGHT)):
        put(tmp_path / f"in/{who}/97_more.ipynb", json.dumps(other(answered(first))))
    found = grade(tmp_path, {"97_more": other(reference())})
    assert found == {"ada": {"98_exam": 5, "97_more": 2}, "alan": {"97_more": 5}}
    assert "7 of 10 points" in (tmp_path / "out/ada/report.md").read_text()
    heads = (tmp_path / "out/grades.csv").read_text().splitlines()[0].split(",")
    assert {"97.1", "97.2", "98.1", "98.2"} < set(heads)


def other(book):
    """The same notebook under the number 97."""
    return json.loads(json.dumps(book).replace("98", "97"))


STRAY = {"cells": [{"cell_type": "code", "id": "exercise-97-1", "metadata": {}, "source": "x"}]}
LESSONS = {"98_exam": reference(), "97_more": other(reference())}


def test_a_stray_notebook_costs_nobody_else(tmp_path, capsys):
    """Ada and Alan hand in 98; Alan's notes look like 97, Eve packs untouched copies of all."""
    for who in ("ada", "alan", "eve"):
        put(tmp_path / f"in/{who}/98_exam.ipynb", json.dumps(answered(RIGHT if who != "eve" else None)))
    put(tmp_path / "in/alan/notes.ipynb", json.dumps(STRAY))
    put(tmp_path / "in/eve/97_more.ipynb", json.dumps(other(answered(None, None))))
    found = grade(tmp_path, LESSONS, notebooks=())
    assert found == {"ada": {"98_exam": 5}, "alan": {"98_exam": 5, "97_more": 0}, "eve": {"98_exam": 2}}
    said = capsys.readouterr().out
    assert "notebooks in which students have worked: 97 (1 of 3), 98 (3 of 3)" in said
    assert 'have worked in 97: counts only for who did; NB="97 98" makes all of them count' in said
    assert "ada,,,3,2,5,5,100.0" in (tmp_path / "out/grades.csv").read_text()
    assert grade(tmp_path, LESSONS)["ada"] == {"98_exam": 5, "97_more": 0}  # named, it counts for all


def test_copies_that_came_along_are_not_graded(tmp_path):
    put(tmp_path / "in/ada/98_exam.ipynb", json.dumps(answered(RIGHT)))
    put(tmp_path / "in/ada/97_more.ipynb", json.dumps(other(answered(None, None))))
    assert grade(tmp_path, LESSONS, notebooks=()) == {"ada": {"98_exam": 5}}


def test_a_reference_that_fails_and_that_nobody_named_stops_nobody(capsys):
    students = {"ada": collect.Student("ada"), "alan": collect.Student("alan")}

    def trial(number):
        if number == "97":
            raise SystemExit("NB=97: the reference itself does not earn all points here")
        return LIMITS

    counted = {"97": {"alan"}, "98": {"ada", "alan"}}
    assert due.trials(counted, students, trial, False) == {"98": LIMITS}
    assert "NB=97: the reference itself does not earn all points here; left out" in capsys.readouterr().err
    assert (students["ada"].notes, len(students["alan"].notes)) == ([], 1)
    for several, is_named in ((counted, True), ({"97": {"alan"}}, False)):
        with pytest.raises(SystemExit, match="NB=97: the reference itself"):
            due.trials(several, students, trial, is_named)


def test_a_mended_check_changes_its_exercise_alone(tmp_path):
    """One exercise is graded again; points by hand, and those of the other exercise, stay."""
    put(tmp_path / "in/ada/98_exam.ipynb", json.dumps(answered("def twice(x):\n    return 3 * x", NUMBERS)))
    put(tmp_path / "in/alan/98_exam.ipynb", json.dumps(answered(RIGHT)))
    book = reference()
    by_id(book)["check-98-2-02"].source = "assert half(9)"
    assert grade(tmp_path, {"98_exam": book}) == {"ada": {"98_exam": 2}, "alan": {"98_exam": 5}}
    by_hand = "student,exercise,points,comment\nada,98.1,2.5,nearly\nalan,98.2,1.5,copied from the board\n"
    put(tmp_path / "out/manual.csv", by_hand)
    put(tmp_path / "in/alan/98_exam.ipynb", json.dumps(answered(None)))  # graded again, 98.1 would be 0
    found = grade(tmp_path, {"98_exam": reference()}, exercises=("98.2",))
    assert found == {"ada": {"98_exam": 3.5}, "alan": {"98_exam": 4.5}}
    assert (tmp_path / "out/manual.csv").read_text() == by_hand


def test_a_report_tells_no_seconds(tmp_path):
    """In those of a hidden check the code may tell what it was given."""
    put(tmp_path / "in/ada/98_exam.ipynb", json.dumps(answered(RIGHT)))
    grade(tmp_path, {"98_exam": reference()})
    (result,) = json.loads((tmp_path / "out/ada/report.json").read_text())["notebooks"].values()
    assert result["points"] == 5
    assert "seconds" not in json.dumps(result)


def test_of_the_files_of_a_class_one_at_a_time_is_in_memory(tmp_path):
    for place in range(20):
        put(tmp_path / f"in/s{place}/98_exam.ipynb", " " * 2**20)
    tracemalloc.start()
    students = collect.collect(tmp_path / "in", tmp_path)
    sizes = [len(file.content) for student in students.values() for file in student.files]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [2**20] * 20
    assert most < 4 * 2**20


@pytest.mark.parametrize(
    ("free", "jobs", "fit", "memory"), [(64_000, 8, 8, 6000), (16_000, 8, 4, 3000), (2_000, 8, 1, 2500)]
)
@pytest.mark.parametrize("container", [False, True])
def test_all_jobs_together_fit_the_free_memory(monkeypatch, capsys, free, jobs, fit, memory, container):
    """free: MB, of the machine or of a container on a larger one.

    Each job has at least 3,500 MB, of which 1,000 are the checker's, and asks for 6,000."""
    now = SimpleNamespace(available=2**40 if container else free * 2**20)
    monkeypatch.setattr(batch.machine, "memory", lambda: (2**40, free * 2**20) if container else None)
    monkeypatch.setattr(batch.psutil, "virtual_memory", lambda: now)
    found, limits = batch.fitted(jobs, {"12": {"run_memory": 6000}, "22": {"run_memory": 100}})
    assert (found, limits["12"]["run_memory"], limits["22"]["run_memory"]) == (fit, memory, 100)
    assert ("is enough for" in capsys.readouterr().out) == (fit < jobs)

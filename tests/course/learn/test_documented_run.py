"""What docs/instructors.md shows of `make grade-mine` and of a report is what a run of them says."""

import re

import nbformat
import pytest

from course import contract
from course.grade import mine, release, report
from course.notebooks import ROOT, checked, find
from tests.course.grade.wrong import wrong_answers

TEXT = (ROOT / "docs" / "instructors.md").read_text(encoding="utf-8")
LESSON = find("12")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """(what is printed, rows of the verdict) for a copy of 12 with right, open and wrong answers."""
    if checked(LESSON) != LESSON:
        pytest.skip("the document shows numbers of the real data, and these are the sample")
    given = {exercise.id: exercise.source for exercise in contract.exercises(nbformat.read(LESSON, 4))}
    answers = {
        "12.1": given["12.1"],
        "12.3": next(one.source for one in wrong_answers("12") if one.why == "does not rescale the old sum"),
        "12.4": given["12.4"],
    }
    release.release([LESSON], tmp_path)
    own = tmp_path / LESSON.parent.name / LESSON.name
    book = nbformat.read(own, 4)
    for cell in book.cells:
        if "exercise" in contract.tags(cell):
            cell.source = answers.get(contract.course(cell)["id"], cell.source)
    nbformat.write(book, own)
    found, in_turn = [], mine.in_turn
    monkeypatch.setattr(mine, "WORK", tmp_path)
    monkeypatch.setattr(mine, "in_turn", lambda *given: found.append(in_turn(*given)) or found[0])
    monkeypatch.setattr("sys.argv", ["mine", "12"])
    mine.main()
    return capsys.readouterr().out, found[0][1]


def test_the_example_of_grade_mine_and_of_a_report_are_of_one_run(run):
    printed, rows = run
    shown = re.search(r"^\$ make grade-mine NB=12\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[1]
    lines = printed.splitlines()[1:]  # the first names the file
    for line, said in zip(shown.splitlines(), lines, strict=True):
        assert said == line or line.endswith(" ...") and said.startswith(line.removesuffix("...")), said
    quoted = re.search(r"^> \*\*12\.3, check:\*\*.*?(?=^[^>])", TEXT, re.DOTALL | re.MULTILINE)[0]
    told = {"status": "graded", "notes": [], "points": 0, "possible": 0, "exercises": rows}
    written = report.markdown("A name", {LESSON.stem: told})
    assert flowing(re.sub(r"^> ?", "", quoted, flags=re.MULTILINE)) in flowing(written)


def flowing(text):
    return " ".join(text.split())

"""make grade-mine: which file and which reference, what is said, and how little is computed."""

import os
import subprocess
import time

import nbformat
import pytest

from course import contract
from course.grade import mine, plan, release, submission
from tests.course.learn.conftest import NAME, answer_in, change, commit
from tests.course.test_contract import example


def test_grade_mine_compares_with_what_is_committed(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(mine, "find_checked", lambda number: repository)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    release.release([repository], tmp_path / "work", safe=True)
    assert mine.reference("99") == (example(), [])
    answer_in(repository)
    book, said = mine.reference("99")
    assert book == example()
    assert said[0].startswith(f"{repository}: 99.1, 99.2 differ from what is committed, which is taken here")
    change(repository, contract.END, "# gone")
    assert mine.reference("99")[0] == example()
    commit(repository.parent, "checkout", "-q", ".")
    change(repository, '"6\\n"', '"six\\n"')  # a newer release of the course
    commit(repository.parent, "commit", "-qam", "Six in words")
    book, said = mine.reference("99")
    assert said == ["the course is newer than your copy: 99.1 changed since"]
    subprocess.run(["rm", "-rf", repository.parents[1] / ".git"], check=True)
    with pytest.raises(SystemExit, match=r"99\.1 not as in your copy: put the file back if it was edited"):
        mine.reference("99")
    repository.write_text(repository.read_text().replace(contract.END, "# gone"))
    with pytest.raises(SystemExit, match="needs an"):
        mine.reference("99")


def test_grade_mine_takes_the_file_as_it_was_given_out(source, tmp_path, monkeypatch):
    monkeypatch.setattr(mine, "find_checked", lambda number: source)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    with pytest.raises(SystemExit, match="no copy in work/ or build/student; run make learn"):
        mine.own_copy("99", None)
    release.release([source], tmp_path / "work")
    own = tmp_path / "work" / NAME
    copies = [own.with_name("99_example-Copy1.ipynb"), own.with_name("99_example (1).ipynb")]
    for path in copies:
        path.write_bytes(own.read_bytes())
    assert mine.own_copy("99", None) == (own, sorted(copies))
    change(copies[0], "YOUR CODE HERE", "my code")  # the work stands in a copy: that one is looked at
    assert mine.own_copy("99", None) == (copies[0], [own, copies[1]])
    change(own, "YOUR CODE HERE", "my code too")
    assert mine.own_copy("99", None) == (own, [copies[0], copies[1]])
    own.unlink()
    assert mine.own_copy("99", None)[0] in copies  # renamed is found too
    assert mine.own_copy("99", str(copies[0])) == (copies[0], [])


@pytest.mark.parametrize(("body", "imported"), [
    ("2 * x", []), ("2 * x + decimal.Decimal(0)", ["decimal"]),
    ("eval('decimal').Decimal(2 * x)", ["decimal", "fractions"]),  # a name that nobody sees: then all of them
])  # fmt: skip
def test_what_an_answer_needs_is_imported_even_where_nobody_sees_it(monkeypatch, capsys, body, imported):
    book, asked, steps = example(), [], plan.steps
    imports = "import decimal\nimport fractions"
    book.cells.insert(2, nbformat.v4.new_code_cell(imports, id="imports", metadata={"body": body}))
    mine_own = nbformat.from_dict(book)
    source = f"def twice(x):\n    return int({body})"
    next(cell for cell in mine_own.cells if cell.id == "exercise-99-1").source = source

    def noted(*given, **named):
        asked.append(steps(*given, **named))
        return asked[-1]

    monkeypatch.setattr(plan, "steps", noted)
    mine.in_turn(nbformat.writes(mine_own).encode(), book, {"lean": True})
    assert "99.1   ✔ correct        3 of 3" in capsys.readouterr().out
    there = "".join(step["source"] for step in asked[-1] if step["cell"] == "imports")
    assert there.replace("import ", "").split() == imported
    in_a_class = submission.grade(nbformat.writes(mine_own).encode(), nbformat.writes(book).encode())
    assert in_a_class["exercises"][0]["outcome"] == "correct"


def test_grade_mine_says_when_it_was_saved_and_what_comes_next(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mine, "find_checked", lambda number: source)
    monkeypatch.setattr(mine, "WORK", tmp_path / "work")
    monkeypatch.setattr(mine, "STUDENT", tmp_path / "none")
    monkeypatch.setattr("sys.argv", ["mine", "99"])
    release.release([source], tmp_path / "work")
    rows = {name: {"exercise": name, "points": 1, "possible": 2, "note": "", "checks": [], "outcome": outcome}
            for name, outcome in (("99.1", "correct"), ("99.2", "incorrect"))}  # fmt: skip
    result = {"status": "graded", "notes": ["a note"]}

    def grade(content, reference, limits, only):
        return {**result, "exercises": [rows[name] for name in only]}

    monkeypatch.setattr(submission, "grade", grade)
    os.utime(tmp_path / "work" / NAME, (time.time() - 130,) * 2)
    mine.main()
    shown = capsys.readouterr().out
    assert "99_example.ipynb, saved 2 minutes ago ..." in shown
    assert shown.count("a note") == 1
    assert "2 of 4 points. Next: mend 99.2, run its cell, save (Ctrl+S), and run this again." in shown
    check = {
        "passed": False,
        "hidden": False,
        "message": "Half.",
        "detail": "",
        "expected": "2.5\n",
        "got": "5.0\n",
    }
    rows["99.2"]["checks"] = [check]
    mine.main()
    assert "Here 2.5 is wanted, 5.0 came, 2.5 away." in capsys.readouterr().out
    rows["99.2"].update(outcome="correct", checks=[])
    mine.main()
    assert "All is correct. Hand in this file" in capsys.readouterr().out
    result["status"] = "unreadable"
    mine.main()
    assert "Open the file in JupyterLab and save it again" in capsys.readouterr().out

"""What comes with the work: a whole folder in a zip, files that are too large, other files alone, a .git."""

import zipfile

import pytest

from course.grade import collect, reading
from course.grade.synthetic import zipped

LARGE = reading.LARGEST_NOTEBOOK + 1


def put(path, content=b"{}"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def collected(folder, tmp_path):
    (tmp_path / "unpacked").mkdir()
    return collect.collect(folder, tmp_path / "unpacked")


def zip_with(path, **sizes):
    """A zip with a notebook for Ada and files of zeros of these sizes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Lovelace Ada_1_assignsubmission_file_/98_exam.ipynb", "{}")
        for name, size in sizes.items():
            file.writestr(name, b"\0" * size)
    return path


def sent(content, monkeypatch):
    """(names of notebooks that come out of a zip, whether a limit ended it)."""
    told = []
    monkeypatch.setattr(reading, "send", lambda connection, content: told.append(content))
    ended = reading.unzipped(content, None)
    return [name.decode() for name in told[::2]], ended


def test_what_lies_beside_the_work_does_not_crowd_it_out(monkeypatch):
    monkeypatch.setattr(reading, "MOST_ZIPPED", 5)
    kinds = (".git/objects/{}", ".venv/{}.ipynb", "data/{}.csv")
    beside = {f"hw/{kind.format(place)}": "{}" for kind in kinds for place in range(20)}
    found = sent(zipped(beside | {"hw/98_exam.ipynb": "{}"}), monkeypatch)
    assert found == (['"hw/98_exam.ipynb"'], False)


def test_a_limit_that_ends_a_zip_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ZIPPED", 5)
    names, ended = sent(zipped({f"{i}.ipynb": "{}" for i in range(20)}), monkeypatch)
    assert (len(names), ended) == (4, True)
    monkeypatch.setattr(reading, "files", lambda content, seconds: ([("98_exam.ipynb", b"{}")], True))
    put(tmp_path / "in" / "ada.zip")
    (ada,) = collected(tmp_path / "in", tmp_path).values()
    assert ada.notes == ["ada.zip: more than 64 MB or 5 notebooks in it: the rest is not looked at"]


@pytest.mark.parametrize(
    ("name", "who", "note"),
    [
        ("Turing Alan_2_assignsubmission_file_/98_exam.ipynb", "Turing Alan_2", ""),
        ("Turing Alan_2_assignsubmission_file_/work.zip", "Turing Alan_2", "work.zip has more than 64 MB"),
        ("alan_345_6789_work.zip", "alan_345", "work.zip has more than 64 MB"),
        ("../../alan.zip", "alan", "alan.zip has more than 64 MB"),
    ],
)
def test_a_file_that_is_too_large_has_a_row(tmp_path, name, who, note):
    found = collected(zip_with(tmp_path / "class.zip", **{name: LARGE}), tmp_path)
    assert set(found) == {"Lovelace Ada_1", who}
    assert note in " ".join(found[who].notes)
    for file in found[who].files:
        with pytest.raises(reading.Unreadable, match="more than 64 MB"):
            reading.read_cells(file.content)
    assert bool(found[who].files) == (not note)
    assert {path.parent for path in tmp_path.iterdir()} == {tmp_path}
    disk = sum(512 * path.stat().st_blocks for path in (tmp_path / "unpacked").rglob("*"))
    assert disk < 10**6


def test_a_folder_without_a_notebook_has_a_row_and_a_note(tmp_path):
    name = "Turing Alan_2_assignsubmission_file_/notes.txt"
    found = collected(zip_with(tmp_path / "class.zip", **{name: 3}), tmp_path)
    assert found["Turing Alan_2"].notes == ["no notebook in the folder"]


def test_one_students_git_makes_no_class_of_clones(tmp_path):
    for name in ("exam-ada", "exam-alan", "exam-eve", "bob", "tom"):
        put(tmp_path / "in" / name / "98_exam.ipynb")
    for name in ("exam-ada", "exam-alan"):
        put(tmp_path / "in" / name / ".git" / "config")
    assert collect.clones(tmp_path / "in") == []
    assert set(collected(tmp_path / "in", tmp_path)) == {"exam-ada", "exam-alan", "exam-eve", "bob", "tom"}
    put(tmp_path / "in" / "exam-eve" / ".git" / "config")
    assert collect.clones(tmp_path / "in") == ["exam-ada", "exam-alan", "exam-eve"]

"""Copies without solutions, for readers of the website: single files, the whole course as a zip, a branch."""

import shutil
import zipfile

import nbformat

from course.grade import release
from course.notebooks import NOTEBOOKS, ROOT

ZIP = "open-the-black-box.zip"
# what a student's copies need; with tests and solutions it would be the repository
FOLDERS = ("helpers", "course", "data", "docs")
FILES = ("pyproject.toml", "requirements.lock", "environment.yml", "Makefile", "LICENSE", "CITATION.cff",
         "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md")  # fmt: skip
FIRST = """\
> This is the course as its website gives it: `notebooks/` holds copies without solutions, and tests
> are not here. Begin with `make learn` in this folder, without make with `python -m course learn`.

"""


BRANCH = """\
# Open the black box: copies without solutions

The launch buttons of the course's website open these notebooks; each fetches what it needs. The course,
with its README, is at <https://github.com/{repository}>: in a clone of it `make learn` gives the same copies.
Code: BSD 3-Clause ([LICENSE](LICENSE)); text and figures: CC BY 4.0; data: [data/README.md](data/README.md).
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_student_copies(target, notebooks):
    """Put the student copies below `target`, for download."""
    for path in notebooks:
        write(target / path.relative_to(NOTEBOOKS), release.copy_text(nbformat.read(path, 4)))
    for name in release.LOOKED_UP:
        write(target / name, release.looked_up(name))


def write_course(target, notebooks):
    """Write the course without solutions as one zip to `target`; the same sources give the same bytes.

    Its notebooks/ are the student copies, so that `make learn` works in the unpacked folder as in a clone.
    """
    texts = {f"notebooks/{path.relative_to(NOTEBOOKS).as_posix()}": release.copy_text(nbformat.read(path, 4))
             for path in notebooks}  # fmt: skip
    texts |= {f"notebooks/{name}": release.looked_up(name) for name in release.LOOKED_UP}
    texts["README.md"] = FIRST + (ROOT / "README.md").read_text(encoding="utf-8")
    found = [ROOT / name for name in FILES]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and kept(path)]
    members = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}
    members |= {name: text.encode() for name, text in texts.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(members):
            file.writestr(zipfile.ZipInfo(f"{target.stem}/{name}"), members[name], zipfile.ZIP_DEFLATED)


def offer(repository, size):
    """The start page's sentence on where to get the course; size: of the zip, in bytes."""
    clone = f"`git clone https://github.com/{repository}`, or " if repository else ""
    return (
        f'**Get it**: {clone}<a href="student/{ZIP}" download>the course as one zip</a>, without solutions '
        f"({size / 1e6:.0f} MB). In its folder type `make learn`, without make `python -m course learn`: "
        "that fetches what it needs and opens your copies."
    )


def kept(path):
    """Whether a file is the course's, and no cache of it: data/raw, compiled code."""
    return not {"__pycache__", "raw"} & set(path.relative_to(ROOT).parts)


SETUP = """\
# where the course is not installed (Colab): fetch it; the data follow when they are first used
import sys

sys.path.append("..")  # self_check, where the folder of the course is there
try:
    import helpers
except ModuleNotFoundError:
    import subprocess

    address = "open-the-black-box[course] @ git+https://github.com/{repository}"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", address], check=True)"""


def write_student_branch(target, notebooks, repository):
    """Write what the branch `student` holds: copies with a set-up cell, helpers, course, Binder's files."""
    shutil.rmtree(target, ignore_errors=True)
    release.release(notebooks, target)
    for path in notebooks:
        copy = nbformat.read(target / path.relative_to(NOTEBOOKS), 4)
        setup = nbformat.v4.new_code_cell(SETUP.format(repository=repository), id="setup")
        copy.cells.insert(1, setup)
        write(target / path.relative_to(NOTEBOOKS), nbformat.writes(copy, version=4) + "\n")
    for name in ("helpers", "course", ".binder", "data"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "raw"))
    for name in ("pyproject.toml", "requirements.lock", "LICENSE"):
        shutil.copy(ROOT / name, target)
    write(target / "README.md", BRANCH.format(repository=repository))

"""The course's notebooks as they were committed, where somebody has worked in notebooks/ by mistake."""

import subprocess
from pathlib import Path

import nbformat

from course import contract


def git(folder, *arguments):
    """What a git command prints, as bytes; None where there is no git, no repository or no such thing."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def changed(paths):
    """Those of some files of one repository that differ from what is committed; [] where there is no git."""
    top = git(paths[0].parent, "rev-parse", "--show-toplevel") if paths else None
    if top is None:
        return []
    top = Path(top.decode().rstrip("\n"))
    said = git(top, "diff", "--name-only", "-z", "--no-ext-diff", "HEAD", "--", *map(str, paths)) or b""
    names = {(top / name.decode()).resolve() for name in said.split(b"\0") if name}
    return [path for path in paths if path.resolve() in names]


def committed(path):
    """The notebook in a file as it is committed, None where that is not known."""
    content = git(path.parent, "show", f"HEAD:./{path.name}")
    return nbformat.reads(content.decode(), as_version=4) if content else None


def exercise_cells(book, hidden):
    """{exercise id: [(source, what it printed), ...]} of its cell and its checks, hidden ones if asked."""
    found = {}
    for cell in book.cells:
        about = contract.course(cell)
        if cell.cell_type == "code" and about and (hidden or "hidden" not in contract.tags(cell)):
            name = about.get("for") or about.get("id")
            found.setdefault(name, []).append((cell.source, contract.printed(cell)))
    return found


def differing(first, second, hidden=False):
    """The exercises in which two notebooks differ, in order."""
    one, other = exercise_cells(first, hidden), exercise_cells(second, hidden)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))

"""Write the student copies: make student, or python -m course.grade.release [NUMBER...] [--to FOLDER].

A copy that somebody has worked in is kept: what was written is remembered in FOLDER/.released.json, and a
file that differs from it is not written again without --force. One notebook gives the same bytes every time.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import nbformat

from course import contract
from course.notebooks import BUILD, NOTEBOOKS, all_checked

STUDENT = BUILD / "student"
RELEASED = ".released.json"


def copy_text(path):
    """The text of a notebook's student copy."""
    return nbformat.writes(contract.student_copy(nbformat.read(path, 4)), version=4) + "\n"


def release(paths, folder, force=False):
    """Write the student copies of notebooks below a folder; returns (written, kept)."""
    record = folder / RELEASED
    known = json.loads(record.read_text()) if record.exists() else {}
    written, kept = [], []
    for path in paths:
        name = Path(path.parent.name, path.name).as_posix()
        text, target = copy_text(path), folder / name
        before = target.read_bytes() if target.exists() else None
        untouched = before is None or digest(before) in (known.get(name), digest(text.encode()))
        if not untouched and not force:
            kept.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        known[name] = digest(text.encode())
        written.append(name)
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return written, kept


def digest(content):
    return hashlib.sha256(content).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", help="notebooks, such as 12 22; all where none is given")
    parser.add_argument("--to", type=Path, default=STUDENT)
    parser.add_argument("--force", action="store_true", help="overwrite copies that were worked in")
    arguments = parser.parse_args()
    known = all_checked()
    paths = [path for path in known if not arguments.numbers or path.name[:2] in arguments.numbers]
    if not paths:
        allowed = " ".join(path.name[:2] for path in known)
        sys.exit(f"NB={' '.join(arguments.numbers)}: no notebook of {NOTEBOOKS.name}/; allowed are {allowed}")
    written, kept = release(paths, arguments.to, arguments.force)
    folder = arguments.to.relative_to(Path.cwd()) if arguments.to.is_relative_to(Path.cwd()) else arguments.to
    print(f"{len(written)} student copies in {folder}")
    for name in kept:
        print(f"  kept, because somebody has worked in it: {name} (make student FORCE=1 overwrites it)")


if __name__ == "__main__":
    main()

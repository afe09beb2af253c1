"""A student's own copies in work/, a start page, and JupyterLab on it: make learn.

Copies are added, and replaced by newer ones where nobody has written in them; work is never overwritten.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
from IPython.display import Markdown, display
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course import contract, machine
from course.grade import release
from course.learn import verdict
from course.learn.work import RECORD, WORK, Unreadable, pristine, read, record_folder, remembered, write
from course.notebooks import ROOT, all_checked, all_notebooks

LAB = ROOT / "course" / "learn" / "lab"
START = "start.ipynb"
SERIES = {
    "1": "**1 Wholesale customers:** find unusual customers, explain them, group and map them.",
    "2": "**2 QM7 chemistry:** the energy of a molecule, and what a model has learned about it.",
    "3": "**3 Leaf images:** tell black rot from healthy, then ask what the network looked at.",
    "4": "**4 Your own data:** the same, on what you bring.",
}
WELCOME = """\
# Open the black box: your copies

Begin with 11, 21 or 31: the series stand side by side, each builds up from its first lesson. A click on a
title opens the lesson. Read, run each cell with Shift+Enter, look at a figure before you read the sentence
below it.

**Exercises.** Write where it says `# YOUR CODE HERE`, run the cell, then run `self_check(...)` below it: it
says correct, partly, incorrect or not attempted, what was wanted and what came. Open one hint at a time.

**Your work is safe.** A newer version of the course adds lessons and never overwrites what you wrote. Save
before you hand in. Words and symbols: the [glossary](glossary.md); works that are cited: the
[references](references.md)."""
# the file browser is as wide as the lessons' names are long
LAYOUT = {
    "data": {"layout-restorer:data": {
        "left": {"collapsed": False, "visible": True, "current": "filebrowser", "widgets": ["filebrowser"]},
        "right": {"collapsed": True, "visible": True, "widgets": []},
        "relativeSizes": [0.25, 0.75, 0],
    }},
    "metadata": {"id": "default"},
}  # fmt: skip
CELL = "from course.learn.start import overview\n\noverview()  # run this cell again to see your points"


def first_cell(book):
    """(title, minutes to read, what to know before) of a notebook, "" where it does not say."""
    text = book.cells[0].source
    needs = contract.NEEDS.search(text)
    before, minutes = needs.groups() if needs else ("", "")
    return text.splitlines()[0].lstrip("# "), minutes, before


def table(record):
    """The lessons as a Markdown table: title, minutes, what to know before, points of the visible checks."""
    lines = ["| lesson | minutes | before | points |", "| --- | --- | --- | --- |"]
    series = ""
    for path in all_notebooks():
        if path.parent.name[0] != series:
            series = path.parent.name[0]
            lines.append(f"| {SERIES.get(series, path.parent.name)} | | | |")
        number, name = path.name[:2], f"{path.parent.name}/{path.name}"
        there = (record.parent / name).exists()
        try:
            book = pristine(number, record)
        except ValueError:  # a source that is damaged, and no copy yet
            continue
        title, minutes, before = first_cell(book)
        rows = verdict.standing(book, remembered(number, record))
        points, possible = (sum(row[place] for row in rows) for place in (2, 3))
        done = " ✔" if points == possible else ""
        share = f"{points:g} of {possible:g}{done}" if rows else "no exercises"
        lesson, share = (
            (f"[{title}]({name})", share) if there else (title, f"not here yet: make all NB={number}")
        )
        lines.append(f"| {lesson} | {minutes} | {before} | {share} |")
    return "\n".join(lines)


def overview():
    """Show the lessons with the points so far."""
    display(Markdown(table(record_folder())))


def start_page(folder):
    """Write the start page: the table is in it, so that it can be read before anything runs."""
    lessons = {"text/markdown": table(folder / RECORD), "text/plain": "the lessons"}
    shown = new_output("display_data", data=lessons)
    cell = new_code_cell(CELL, id="overview", execution_count=1, outputs=[shown])
    book = new_notebook(cells=[new_markdown_cell(WELCOME, id="welcome"), cell])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    page, given = folder / START, folder / RECORD / START
    text = nbformat.writes(book, version=4) + "\n"
    # notes that somebody wrote into the start page are work too
    read = lambda path: path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    now, before = read(page), read(given)
    if not now or release.sources(now) in (release.sources(before), release.sources(text)):
        write(page, text)
        write(given, text)


def prepare(folder=WORK):
    """Bring the folder of copies up to date; yields what to print."""
    known = all_checked()
    have = {path.name for path in known}
    if missing := " ".join(path.name[:2] for path in all_notebooks() if path.name not in have):
        yield f"the data are the sample, and these lessons have not run on it yet: {missing}"
        yield f"  to run the first: make all DATA=sample NB={missing[:2]}; then make learn DATA=sample again"
    done, said = release.release(known, folder, safe=True)
    paths = {Path(path.parent.name, path.name).as_posix(): path for path in known}
    count = {what: sum(one == what for one in done.values()) for what in done.values()}
    yield f"{folder.name}/: " + (", ".join(f"{n} {what}" for what, n in count.items()) or "no lesson added")
    if release.UPDATED in count:
        names = [Path(name).stem for name, what in done.items() if what == release.UPDATED]
        yield f"  newer, and you had written nothing in them: {', '.join(names)}"
    yield from (f"  {line}" for line in said)
    for name, what in done.items():
        try:
            read(folder / name)
        except Unreadable as error:
            yield f"  {folder.name}/{name}: {error}; it is kept. Rename it and run this again for a new one"
        else:
            if what == release.BEHIND:
                found = release.changed_since(paths[name], folder)
                new = f"exercises {', '.join(found)} are" if found else "text is"
                yield f"  {name}: yours is kept, {new} newer in the course; rename yours to get that one too"
    start_page(folder)


def lab(folder, options):
    """Run JupyterLab on a folder of copies with the start page open; returns its exit code.

    JUPYTER_CONFIG_PATH adds defaults: no request for news, room for the lessons' names. A user's own settings
    come first.
    """
    # slow to import, and a kernel's overview() needs it not
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    room = folder / RECORD / "workspaces"
    if not room.exists():  # afterwards JupyterLab keeps there how somebody left it
        WorkspacesManager(str(room)).save("default", json.dumps(LAYOUT))
    paths = [str(LAB), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    environment = {**machine.within(), **os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}
    places = [f"--ServerApp.root_dir={folder}", f"--LabApp.workspaces_dir={room}"]
    places.append(f"--LabApp.default_url=/lab/tree/{START}")  # the address that it prints leads there, too
    if getattr(os, "geteuid", lambda: 1)() == 0:  # a container has nobody else, and JupyterLab would end
        places.append("--allow-root")
    command = [sys.executable, "-m", "jupyterlab", *places, *options]
    process = subprocess.Popen(command, cwd=folder, env=environment)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # else JupyterLab outlives its caller
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # JupyterLab asks for itself whether to stop
            continue


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=WORK, help="the folder of the copies")
    parser.add_argument("--no-lab", action="store_true", help="only bring the copies up to date")
    arguments, options = parser.parse_known_args()
    for line in prepare(arguments.to):
        print(line)
    if arguments.no_lab:
        print(f"start page: {arguments.to / START}")
        return 0
    return lab(arguments.to, options)


if __name__ == "__main__":
    sys.exit(main())

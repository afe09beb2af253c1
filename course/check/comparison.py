"""A page that shows two builds side by side: make compare A=folder B=folder, for example A=notebooks B=build.

Notebook by notebook the cells whose checked outputs or figures differ, numbers beside numbers and figure
beside figure. Written to build/compared/index.html; nothing is run.
"""

import argparse
import html
import sys
from pathlib import Path

import nbformat

from course.check.compare import PICTURE, agree, rules_of
from course.contract import tags
from course.notebooks import BUILD, ROOT, all_notebooks
from helpers.figures import MIME

PAGE = BUILD / "compared" / "index.html"
STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;table-layout:fixed}td,th{border:1px solid #999;padding:.4rem;
vertical-align:top;text-align:left}pre{white-space:pre-wrap;margin:0}img{max-width:100%}"""


def texts(cell):
    """[text] of a cell's outputs: printed text, tables, descriptions of figures."""
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        found.append(data.get(MIME) or output.get("text") or data.get("text/plain", ""))
    return found


def pictures(cell):
    return [output["data"]["text/html"] for output in cell.get("outputs", [])
            if PICTURE.search(output.get("data", {}).get("text/html", ""))]  # fmt: skip


def differing(first, second):
    """[(cell id, its two cells)] of the checked cells of two notebooks whose outputs do not agree."""
    others = {cell.get("id"): cell for cell in second.cells}
    found = []
    for cell in first.cells:
        if "nbval-check-output" not in tags(cell):
            continue
        other, rules = others.get(cell.id), rules_of(cell.metadata)
        mine, theirs = texts(cell), texts(other) if other else []
        same = len(mine) == len(theirs) and all(map(lambda a, b: agree(a, b, rules), mine, theirs))
        if not same:
            found.append((cell.id, cell, other))
    return found


def row(name, first, second):
    """A row of the table: both outputs of one cell."""
    columns = "".join(
        f"<td><pre>{html.escape(chr(10).join(texts(cell)) if cell else 'no such cell')}</pre>"
        f"{''.join(pictures(cell)) if cell else ''}</td>"
        for cell in (first, second)
    )
    return f"<tr><th scope=row>{html.escape(name)}</th>{columns}</tr>"


def page(a, b, paths):
    """(HTML, how many cells differ) of two folders that hold notebooks of these relative paths."""
    parts, count = [], 0
    for path in paths:
        files = [folder / path for folder in (a, b)]
        missing = [file for file in files if not file.exists()]
        if missing:
            parts.append(f"<h2>{path.stem}</h2><p>not in {html.escape(missing[0].parents[1].name)}</p>")
            continue
        rows = differing(*(nbformat.read(file, 4) for file in files))
        count += len(rows)
        table = "".join(row(*one) for one in rows)
        head = f"<tr><th>cell</th><th>{html.escape(a.name)}</th><th>{html.escape(b.name)}</th></tr>"
        shown = f"<table>{head}{table}</table>" if rows else "<p>the same</p>"
        parts.append(f"<h2>{path.stem}</h2>{shown}")
    title = f"{count} cells differ between {html.escape(a.name)} and {html.escape(b.name)}"
    head = f"<meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{title}</h1>{''.join(parts)}", count


def write(a, b, paths):
    """Write the page of two folders and say where it is."""
    text, count = page(a, b, paths)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{count} cells differ: {PAGE.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs=2, type=Path)
    a, b = (folder if folder.is_absolute() else ROOT / folder for folder in parser.parse_args().folders)
    for folder in (a, b):
        if not folder.is_dir():
            sys.exit(f"{folder}: there is no such folder; give two that hold executed notebooks")
    write(a, b, [path.relative_to(ROOT / "notebooks") for path in all_notebooks()])


if __name__ == "__main__":
    main()

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
vertical-align:top;text-align:left}th:first-child{width:10rem}pre{white-space:pre-wrap;margin:0}
img{max-width:100%;height:auto}mark{background:#ffe08a}"""


def texts(cell):
    """[text] of a cell's outputs: printed text, tables, descriptions of figures, errors."""
    found = []
    for output in cell.get("outputs", []):
        data, error = output.get("data", {}), f"{output.get('ename')}: {output.get('evalue')}"
        plain = error if output.output_type == "error" else data.get("text/plain", "")
        found.append(data.get(MIME) or output.get("text") or plain)
    return found


def pictures(cell):
    return [output["data"]["text/html"] for output in cell.get("outputs", [])
            if PICTURE.search(output.get("data", {}).get("text/html", ""))]  # fmt: skip


def differing(first, second):
    """[(section and cell id, its two cells)] of the checked cells of two notebooks that do not agree.

    One that only one of them has stands beside None.
    """
    mine, theirs = checked_cells(first), checked_cells(second)
    found = []
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        section, _ = mine.get(name) or theirs[name]
        one, other = (cells[name][1] if name in cells else None for cells in (mine, theirs))
        if not (one and other and same(one, other)):
            found.append((f"{section}, cell {name}", one, other))
    return found


def same(one, other):
    """Whether the outputs of two cells agree, by the rules of the first."""
    ours, others, rules = texts(one), texts(other), rules_of(one.metadata)
    return len(ours) == len(others) and all(map(lambda a, b: agree(a, b, rules), ours, others))


def checked_cells(book):
    """{cell id: (heading above it, cell)} of the checked cells of a notebook."""
    found, heading = {}, ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            above = [line.lstrip("# ") for line in cell.source.splitlines() if line[:1] == "#"]
            heading = above[-1] if above else heading
        elif "nbval-check-output" in tags(cell):
            found[cell.get("id")] = heading, cell
    return found


def row(name, first, second):
    """A row of the table: both outputs of one cell, with the lines marked that the other has not."""
    lines = ["\n".join(texts(cell)).splitlines() if cell else ["no such cell"] for cell in (first, second)]
    columns = "".join(
        f"<td><pre>{marked(ours, others)}</pre>{''.join(pictures(cell)) if cell else ''}</td>"
        for cell, ours, others in ((first, *lines), (second, *lines[::-1]))
    )
    return f"<tr><th scope=row>{html.escape(name)}</th>{columns}</tr>"


def marked(ours, others):
    shown = [html.escape(line) for line in ours]
    return "\n".join(f"<mark>{text}</mark>" if line.strip() and line not in others else text
                     for line, text in zip(ours, shown, strict=True))  # fmt: skip


def page(a, b, paths):
    """(HTML, what to say) of two folders that hold notebooks of these relative paths."""
    parts, count, missing = [], 0, []
    for path in paths:
        lacking = [folder for folder in (a, b) if not (folder / path).exists()]
        if lacking:
            missing.append(path.stem)
            said = " nor in ".join(html.escape(str(folder)) for folder in lacking)
            parts.append(f"<h2>{path.stem}</h2><p>not in {said}</p>")
            continue
        rows = differing(*(nbformat.read(folder / path, 4) for folder in (a, b)))
        count += len(rows)
        table = "".join(row(*one) for one in rows)
        columns = "".join(f"<th scope=col>{html.escape(str(name))}</th>" for name in ("section", a, b))
        shown = f"<table><tr>{columns}</tr>{table}</table>" if rows else "<p>the same</p>"
        parts.append(f"<h2>{path.stem}</h2>{shown}")
    said = f"{count} cells of {len(paths) - len(missing)} notebooks differ"
    said += f"; not in both: {' '.join(missing)}" if missing else ""
    head = f"<meta charset=utf-8><title>Two builds compared</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{html.escape(said)}</h1>{''.join(parts)}", said


def write(a, b, paths):
    """Write the page of two folders and say where it is."""
    text, said = page(a, b, paths)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{said}: {PAGE.relative_to(ROOT)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs=2, type=Path)
    a, b = (folder if folder.is_absolute() else ROOT / folder for folder in parser.parse_args().folders)
    for folder in (a, b):
        if not folder.is_dir():
            sys.exit(f"{folder}: there is no such folder; give two that hold executed notebooks")
        if not all_notebooks(folder):
            sys.exit(f"{folder}: holds no notebook such as 1_wholesale/11_customers.ipynb; give a build")
    write(a, b, [path.relative_to(ROOT / "notebooks") for path in all_notebooks()])


if __name__ == "__main__":
    main()

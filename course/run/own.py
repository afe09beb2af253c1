"""Run a notebook of series 4 on a file or folder of your own and write a report: make own NB=41 PATH=my.csv.

    python -m course.run.own 41 /data/my.csv [NAME=VALUE ...]

The report is one HTML file in build/own without code, exercises and what the text says of the course's data;
it needs no network. Where the notebook refuses the file, its one line is printed and an older report stays.
"""

import copy
import logging
import re
import sys
import tempfile
from html import escape
from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter

from course.contract import course, tags
from course.notebooks import BUILD, ROOT, find
from course.run.execute import execute, sockets_folder, typed

STYLE = """body {max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif}
table {border-collapse: collapse} td, th {padding: .2rem .7rem; text-align: right} img {max-width: 100%}
pre {white-space: pre-wrap} .anchor-link, .jp-InputPrompt, .jp-OutputPrompt, .prompt {display: none}"""


def for_report(notebook):
    """The notebook without exercises, their tasks and checks, and text about the course's own data."""
    result = copy.deepcopy(notebook)
    result.cells = [cell for cell in notebook.cells if not course(cell) and "default-data" not in tags(cell)
                    and not re.match(r"#+ Exercise", cell.source)]
    for cell in result.cells:
        if cell.cell_type == "markdown":  # sections are left out, so that their numbers would have gaps
            cell.source = re.sub(r"^(#+) \d+ ", r"\1 ", cell.source)
    return result


def page(notebook, title):
    """The executed notebook as one HTML page without code and without anything from a network."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n")


def title_of(path):
    """The title of a notebook, without its number."""
    return nbformat.read(path, 4).cells[0].source.splitlines()[0].lstrip("# 0123456789")


def chosen_parameters(path, pairs):
    """{name: value} of NAME=VALUE pairs, text where the notebook has text; SystemExit for another name."""
    known = papermill.inspect_notebook(str(path))
    chosen = dict(pair.split("=", 1) for pair in pairs)
    for name in chosen:
        if name not in known:
            raise SystemExit(f"{name}: notebook {path.stem[:2]} has no such parameter; allowed are "
                             f"{', '.join(sorted(set(known) - {'PATH'}))}")
    is_text = {name: found["default"][:1] in ("'", '"') for name, found in known.items()}
    typed_ones = {name: value if is_text[name] else typed(value) for name, value in chosen.items()}
    for name, value in typed_ones.items():
        if not is_text[name] and not isinstance(value, (int, float)):
            raise SystemExit(f"{name}={value}: must be a number")
    return typed_ones


def report(number, given, parameters=()):
    """Execute a notebook on `given` and return the path of the report.

    Raises SystemExit with one line: for a notebook of another series, and for what the notebook refuses.
    """
    path = find(number)
    if path.parent.name != "4_own":
        raise SystemExit(f"NB={number}: works on the course's data alone; allowed are the numbers from 41 on")
    source = for_report(nbformat.read(path, 4))
    with tempfile.TemporaryDirectory() as folder, sockets_folder() as sockets:
        file = Path(folder, path.name)
        nbformat.write(source, file)
        chosen = chosen_parameters(file, parameters) | {"PATH": str(given)}
        notebook, record = execute(file, Path(folder, "executed.ipynb"), chosen, Path(sockets))
    if record["status"] == "failed":
        raise SystemExit(re.sub(r"^cell \d+: \w+: ", "", record["message"]))
    target = BUILD / "own" / f"{path.stem}-{Path(given).stem}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    scratch.write_text(page(notebook, f"{title_of(path)}: {Path(given).name}"), encoding="utf-8")
    return scratch.replace(target)


def main():
    logging.getLogger("papermill").setLevel(logging.ERROR)
    number, given, *parameters = sys.argv[1:]
    print(f"report: {report(number, Path(given).resolve(), parameters).relative_to(ROOT).as_posix()}")


if __name__ == "__main__":
    main()

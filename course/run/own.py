"""Run a notebook of series 4 on a file or folder of your own and write a report: make own NB=41 PATH=my.csv.

    python -m course.run.own 41 /data/my.csv [NAME=VALUE ...]

The report is one HTML file in build/own without code, exercises and what the text says of the course's data;
it needs no network. Where the notebook refuses the file, its one line is printed and an older report stays.
"""

import copy
import re
import sys
import tempfile
from html import escape
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from course.contract import course, tags
from course.notebooks import BUILD, ROOT, find
from course.run.execute import accepted_parameters, execute

STYLE = """body {max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 sans-serif}
table {border-collapse: collapse} td, th {padding: .2rem .7rem; text-align: right} img {max-width: 100%}
pre {white-space: pre-wrap} .anchor-link, .jp-InputPrompt, .jp-OutputPrompt, .prompt {display: none}"""


def for_report(notebook):
    """The notebook without exercises, their tasks and checks, and text about the course's own data."""
    result = copy.deepcopy(notebook)
    result.cells = [cell for cell in notebook.cells if not course(cell) and "default-data" not in tags(cell)
                    and not re.match(r"#+ Exercise", cell.source)]
    return result


def page(notebook, title):
    """The executed notebook as one HTML page without code and without anything from a network."""
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n")


def report(number, given, parameters=()):
    """Execute a notebook on `given` and return the path of the report; SystemExit with one line otherwise."""
    path = find(number)
    if path.parent.name != "4_own":
        raise SystemExit(f"NB={number}: works on the course's data alone; allowed are the numbers from 41 on")
    source = for_report(nbformat.read(path, 4))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.name)
        nbformat.write(source, file)
        chosen = accepted_parameters(file, parameters) | {"PATH": str(given)}
        notebook, record = execute(file, Path(folder, "executed.ipynb"), chosen)
    if record["status"] == "failed":
        raise SystemExit(re.sub(r"^cell \d+: \w+: ", "", record["message"]))
    target = BUILD / "own" / f"{path.stem}-{Path(given).stem}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    scratch.write_text(page(notebook, f"{path.stem}: {Path(given).name}"), encoding="utf-8")
    return scratch.replace(target)


def main():
    number, given, *parameters = sys.argv[1:]
    print(f"report: {report(number, Path(given).resolve(), parameters).relative_to(ROOT).as_posix()}")


if __name__ == "__main__":
    main()

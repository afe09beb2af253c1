"""What a notebook must be before the rules of its contract can be asked: a line per fault, in their form."""

import ast
from collections import Counter
from numbers import Real

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from course.contract import course, tags


def opened(path):
    """The notebook of a file; raises ValueError, with one line, where the file holds none."""
    try:
        return nbformat.read(path, 4)
    except Exception as error:  # whatever JSON, its encoding or its version make nbformat raise
        said = (str(error).splitlines() or [""])[0][:80]
        raise ValueError(f"no notebook ({said}); take the file from git again, or make new") from None


def faults(notebook):
    """["cell: what was found; what to do"]; while there are any, no other rule makes sense."""
    return list(shape(notebook)) or [*python(notebook), *metadata(notebook)]


def shape(notebook):
    if not notebook.cells:
        yield "no cell; take the file from git again, or make new"
    elif not all(cell.get("id") for cell in notebook.cells):
        yield f"cells without an id (format 4.{notebook.nbformat_minor}); open and save it in JupyterLab"
    else:
        try:
            nbformat.validate(notebook)
        except nbformat.ValidationError as error:
            yield f"not a valid notebook ({str(error).splitlines()[0]}); open and save it in JupyterLab"


def python(notebook):
    manager = TransformerManager()
    for cell in (one for one in notebook.cells if one.cell_type == "code"):
        source = manager.transform_cell(cell.source)
        if source.rstrip("\n") != cell.source.rstrip("\n") or "get_ipython" in cell.source:
            yield f"{cell.id}: a magic or shell line; papermill and nbval treat them differently: use Python"
            continue
        try:
            ast.parse(source)
        except (SyntaxError, ValueError) as error:  # ValueError: a null character
            line = getattr(error, "lineno", None) or 1
            yield f"{cell.id}: line {line} is no Python ({getattr(error, 'msg', error)}); mend it"


def metadata(notebook):
    budget = notebook.metadata.get("budget")
    if not (isinstance(budget, dict) and set(budget) == {"seconds", "memory_mb"} and
            all(isinstance(value, Real) and value > 0 for value in budget.values())):  # fmt: skip
        yield 'the metadata have no budget; add "budget": {"seconds": 60, "memory_mb": 3000}'
    for cell in notebook.cells:
        found = course(cell)
        if "exercise" in tags(cell) and not {"id", "points"} <= set(found):
            yield f'{cell.id}: an exercise without id or points; add "course": {{"id": "12.1", "points": 2}}'
        if ("exercise" in tags(cell) or "for" in found) and not isinstance(found.get("points", 0), Real):
            yield f"{cell.id}: {found['points']!r} points; give a number"
        if not isinstance(found.get("message", ""), str):
            yield f"{cell.id}: the message is {found['message']!r}; write a sentence"
    ids = Counter(course(cell).get("id") for cell in notebook.cells if "exercise" in tags(cell))
    for name in [name for name, count in ids.items() if count > 1]:
        yield f"{ids[name]} exercises have the id {name}; give each its own"

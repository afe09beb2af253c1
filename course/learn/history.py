"""What ran in this kernel: so that a verdict can say which source it belongs to."""

import ast
import contextlib
import functools
import re
import time
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

from course import contract
from course.grade import slicing

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
names_in = functools.cache(slicing.names)  # a student runs the same sources again and again
RAN = []  # the Runs of this kernel, in order


@dataclass(frozen=True)
class Run:
    """One run of a cell: its id, its source, the number that JupyterLab shows beside it, and how it ended."""

    cell: str
    source: str
    number: int
    good: bool
    when: float
    file: str = ""  # what Python calls the source, in the code of its functions

    def __str__(self):
        return f"[{self.number}]"


def watch(shell):
    """Remember each cell that runs from now on."""

    def note(result):
        info = result.info
        if info and info.raw_cell:
            number = result.execution_count or 0
            code = shell.transform_cell(info.raw_cell)
            name = shell.compile.get_code_name(info.raw_cell, code, number)
            # VS Code gives cells addresses of its own: then only what ran is known, not where it stands
            cell = "" if ":" in (info.cell_id or ":") else info.cell_id
            RAN.append(Run(cell, info.raw_cell, number, result.success, time.time(), name))

    shell.events.register("post_run_cell", note)


def last(cell):
    """The last Run of a cell, or None."""
    return next((run for run in reversed(RAN) if run.cell == cell), None)


def origin(name, namespace):
    """The Run that gave a name its value, None where that is not known."""
    code = getattr(namespace.get(name), "__code__", None)
    at_home = (run for run in reversed(RAN) if code and run.file and code.co_filename == run.file)
    if code and (found := next(at_home, None)):
        return found
    # no function, or one that a cell magic (%%time) made
    return next((run for run in reversed(RAN) if run.good and name in names_of(run.source)), None)


def names_of(source):
    """The names that a cell defines; by their looks where it is not whole, or begins with a magic."""
    return names_in(source).binds | set(contract.defined(source))


def changers(names, lesson):
    """{name: Run} of names of the lesson that something else has changed since the lesson set them.

    lesson: the sources of the lesson's own cells. A run of such a cell as it was given sets its names.
    """
    found = {}
    for run in RAN:
        given = any(contract.same_code(run.source, source) for source in lesson)
        for name in names & set_by(run.source):
            if not given:
                found[name] = run
            elif name in names_in(run.source).binds:
                found.pop(name, None)
    return found


@functools.cache
def set_by(source):
    """Names that a source binds, or writes into (`X[0] = 1`), outside functions."""
    found = set(names_in(source).binds)
    for statement in slicing.statements(TransformerManager().transform_cell(source)):
        with contextlib.suppress(SyntaxError, ValueError):
            body = [node for node in ast.parse(statement).body if not isinstance(node, DEFINITIONS)]
            for part in ast.walk(ast.Module(body, [])):
                if isinstance(getattr(part, "ctx", None), (ast.Store, ast.Del)):
                    found.add(root(part))
    return found - {None}


def root(node):
    """The name at the root of a.b[c], None where it begins with something else."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def called(source, headings=""):
    """A cell in words, for somebody who sees no cell ids: the heading above it and how it begins."""
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    begins = first if len(first) <= 60 else first[:57] + "..."
    return f"the cell{f' under “{headings}”' if headings else ''} that begins `{begins}`"


def imported(source):
    """{name: what it stands for} of the imports of a source, such as {"np": "numpy"}."""
    found = {}
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                home = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                found |= {one.asname or one.name: home + one.name for one in node.names}
    return found


def heading_above(book, cell):
    """The text of the nearest heading above a cell of a notebook, "" where there is none."""
    found = ""
    for one in book.cells:
        if one is cell:
            break
        if one.cell_type == "markdown":
            titles = re.findall(r"^#+ +(.+)$", one.source, re.MULTILINE)
            found = titles[-1] if titles else found
    return found

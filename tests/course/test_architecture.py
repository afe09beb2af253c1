"""The house as docs/architecture.md describes it: rooms that exist, and imports that do not."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course.notebooks import ROOT, all_notebooks

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("helpers", "course", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
BESIDE = {str(path.relative_to(ROOT)): path for folder in ("tests", "data")
          for path in sorted((ROOT / folder).rglob("*.py"))}  # fmt: skip


def imports(path, text=None):
    """The modules of this repository that a file imports, also inside its functions, relative or by name."""
    found, package = set(), path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(text or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found |= {name.value for name in node.args if isinstance(name, ast.Constant)}
    return {name for name in found if name in MODULES}


@pytest.mark.parametrize(
    "line",
    ["from course import contract", "import course.contract as c", "from ..course import contract",
     "from course.contract import tags", "def f():\n    import course.contract",
     "importlib.import_module('course.contract')", "__import__('course.contract')"],
)  # fmt: skip
def test_a_forbidden_import_is_seen_in_every_form(line):
    assert "course.contract" in imports(ROOT / "helpers" / "x.py", line)
    assert imports(ROOT / "helpers" / "x.py", "from . import anomalies") == {"helpers", "helpers.anomalies"}


def rooms():
    """{room: words for what its modules may import} of the document's table, code alone."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for names, allowed in re.findall(r"^\| (`.+?`) \| .+? \| (.+) \|$", text, re.MULTILINE):
        for name in re.findall(r"`(helpers|benchmarks|course)/(\w*)", names):
            yield name[1] or name[0], set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", allowed)))


def room(name):
    """The room of a module, by its last folder: helpers, benchmarks, run ...; "" for the front door's."""
    first, *rest = name.split(".")
    return first if first != "course" else rest[0] if rest else ""


def test_each_room_imports_what_the_document_says():
    allowed = dict(rooms())
    assert {"helpers", "contract", "notebooks", "run", "check", "learn", "grade", "publish"} < set(allowed)
    for name, path in MODULES.items():
        if room(name) in allowed:
            there = {room(other) for other in imports(path)} - {room(name), ""}
            assert there <= allowed[room(name)], f"{name}: {sorted(there - allowed[room(name)])}"


def test_the_rooms_that_the_document_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    names = [name for room in rooms for name in re.findall(r"`([\w./]+)`", room)]
    assert len(names) >= 10
    for name in names:
        assert (ROOT / name).exists(), name


def test_helpers_import_nothing_of_the_machinery():
    for name, path in MODULES.items():
        if name.startswith("helpers"):
            assert not [other for other in imports(path) if not other.startswith("helpers")], name


def test_what_made_the_sample_imports_helpers_alone():
    for name, path in BESIDE.items():
        if name.startswith("data"):
            assert not [other for other in imports(path) if not other.startswith("helpers")], name


def test_lessons_import_nothing_of_the_machinery():
    for path in all_notebooks():
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                found = re.findall(r"^\s*(?:from|import) (course[\w.]*)", cell.source, re.MULTILINE)
                assert not found, f"{path.stem} {cell.id}: {found}"


def test_no_module_imports_itself_over_others():
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    # a package is imported with each of its modules; what counts is what its __init__ imports
    state = {}

    def visit(name, way):
        assert state.get(name) != "open", " -> ".join([*way, name])
        if name in state:
            return
        state[name] = "open"
        for other in sorted(graph[name]):
            visit(other, [*way, name])
        state[name] = "done"

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("name", [*MODULES, *BESIDE])
def test_files_and_functions_fit_on_a_screen(name):
    text = {**MODULES, **BESIDE}[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350, f"{name} has {len(text.splitlines())} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 40, f"{name}.{node.name} has {lines} lines"


BLOCKED = """
import sys
for name in ("resource", "fcntl", "termios", "pwd", "grp"):
    sys.modules[name] = None
import os
for name in ("fork", "killpg", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_running_checking_and_reading_need_nothing_that_windows_lacks():
    grading = ("course.grade", "benchmarks", "course.__main__")
    names = [name for name in MODULES if not name.startswith(grading)]
    result = subprocess.run([sys.executable, "-c", BLOCKED, *names], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_the_front_door_opens_without_any_package():
    command = [sys.executable, "-S", "-I", str(ROOT / "course" / "__main__.py"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "grade-mine" in result.stdout
    assert Path(ROOT, "Makefile").read_text().count("\n\t@") == 3  # targets are one line each

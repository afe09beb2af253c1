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


def imports(path):
    """The modules of this repository that a file imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in found if name in MODULES}


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


def test_test_files_fit_on_a_screen():
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
               for path in (ROOT / "tests").rglob("*.py")}  # fmt: skip
    assert not {path: lines for path, lines in lengths.items() if lines > 350}


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("benchmarks")])
def test_files_and_functions_fit_on_a_screen(name):
    text = MODULES[name].read_text(encoding="utf-8")
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

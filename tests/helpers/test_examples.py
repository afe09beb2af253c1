"""docs/examples.md: the examples run, and no public function is without one."""

import ast
import doctest
import re
from pathlib import Path

import pytest

from helpers.files import ROOT

PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## helpers\.(\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
OWN = {"files", "sources", "figures", "softmin_tasks", "weights", "xyz"}  # serve the course, as the page says
MODULES = {path.stem for path in (ROOT / "helpers").glob("[a-z]*.py")} - OWN


def public(module):
    tree = ast.parse((ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}


@pytest.mark.parametrize("module", sorted(SECTIONS))
def test_the_examples_run(module):
    test = doctest.DocTestParser().get_doctest(SECTIONS[module], {}, module, "docs/examples.md", 0)
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert test.examples
    assert not said, "".join(said)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_public_function_has_one(module):
    missing = {name for name in public(module) if not re.search(rf"\.{name}\(", SECTIONS.get(module, ""))}
    assert not missing


def test_every_test_that_the_assumptions_name_exists():
    """The last column of the table: `file: part of a test's name`, or further names of the same file."""
    text = (ROOT / "docs" / "practitioners.md").read_text(encoding="utf-8")
    rows = text[text.index("| assumption |"):].split("\n\n")[0].splitlines()[2:]
    named = [name for row in rows for name in re.findall("`(.+?)`", row.split("|")[-2])]
    assert len(named) > 50
    for name in named:
        if ": " in name or name.startswith("test_"):
            file, _, name = name.partition(": ")
            paths = list((ROOT / "tests").rglob(Path(file).name + ".py"))
        found = [re.search(rf"def test_\w*{name}", path.read_text(encoding="utf-8")) for path in paths]
        assert any(found), (file, name)

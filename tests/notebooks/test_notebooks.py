"""The notebook contract holds in every notebook, and README lists them all."""

from pathlib import Path

import pytest

from course.check import rules
from course.notebooks import ROOT, all_notebooks

NOTEBOOKS = all_notebooks()


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def book(request):
    return rules.Book(request.param)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_contract_holds(book, rule):
    assert list(rule(book)) == []


def test_there_are_notebooks_with_different_numbers():
    assert NOTEBOOKS
    assert len({path.name[:2] for path in NOTEBOOKS}) == len(NOTEBOOKS)


def test_the_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert Path("notebooks", path.parent.name, path.name).as_posix() in readme

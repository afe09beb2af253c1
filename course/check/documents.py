"""Numbers that README and the docs repeat of a notebook: printed there, and said or about the same words.

    python -m course.check.documents        lists the numbers that their notebook does not support

Looked at is every line of a table or list that links to one notebook, durations left out, and each block of
output that a page shows as a notebook's ("41 says, ...:").
"""

import re
import sys

import nbformat

from course.check import prose
from course.check.quoted import quoted
from course.notebooks import ROOT, find

PAGES = ["README.md", "docs/practitioners.md"]
LINK = re.compile(r"\[[^\]]*\]\(\S*notebooks/\w+/(\d\d)_\w+\.ipynb\)")
SECONDS = re.compile(r" \(\d+ s\)")
SHOWN = re.compile(r"\b(\d\d) says[^`]*:\n\n```text\n(.*?)```", re.DOTALL)


def claims(page):
    """(number of a notebook, what a page says of it) for each row, point or shown line."""
    for line in page.splitlines():
        links = LINK.findall(line)
        if len(links) == 1 and re.match(r"\s*[|*-]", line):
            yield links[0], SECONDS.sub("", LINK.sub("", line))
    for number, block in SHOWN.findall(page):
        for line in block.splitlines():
            yield number, line


def unsupported(number, said):
    """The numbers of a claim that the notebook does not print, or neither says nor prints about its words."""
    book = nbformat.read(find(number), 4)
    facts = prose.Facts(book)
    printed = [(line, facts.units[cell.id]) for cell in facts.code for line in facts.printed[cell.id]]
    told = {one.partition(" ")[0] for cell in book.cells for one in cell.metadata.get("quotes", [])}
    for quote in quoted(said):
        alike = [prose.likeness(quote, *line) for line, units in printed
                 if prose.supported(quote, line[0]) and (not quote.unit or quote.unit in units)]  # fmt: skip
        if quote.named:  # "two networks": a count only where a line says so
            continue
        beside, shared = any(one[0] for one in alike), any(one[1] for one in alike)
        if not alike or not (beside if quote.beside else shared or quote.label in told):
            yield quote.text


def problems():
    """[(page, notebook, number, what is said)] of all pages."""
    return [(name, number, wrong, said) for name in PAGES
            for number, said in claims((ROOT / name).read_text("utf-8"))
            for wrong in unsupported(number, said)]  # fmt: skip


def main():
    found = problems()
    for name, number, wrong, said in found:
        print(f"{name}: notebook {number} does not print {wrong}: {said.strip()[:100]}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

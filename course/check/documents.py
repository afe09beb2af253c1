"""Numbers that README and the docs repeat of a notebook: printed there, about the same words, in their order.

A decimal stands in a sentence of the notebook, or in a line that it prints, which shares two words with the
clause; a whole number shares one, and so does a number word, which must be said or printed there as a count.

    python -m course.check.documents        lists the numbers that their notebook does not support

Looked at is every line of a table or list that links to one notebook, durations left out, and each block of
output that a page shows as a notebook's ("41 says, ...:").
"""

import re
import sys
from functools import lru_cache

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


@lru_cache(None)
def of_notebook(number):
    """([(printed line, units of its cell)], [quotes of each text]) of a notebook."""
    book = nbformat.read(find(number), 4)
    facts = prose.Facts(book)
    printed = [(line, facts.units[cell.id]) for cell in facts.code for line in facts.printed[cell.id]]
    return printed, [quoted(text) for cell in book.cells for text in prose.texts(cell)]


def unsupported(number, said):
    """The numbers of a claim that the notebook does not print, or neither says nor prints about its words."""
    printed, told = of_notebook(number)
    clauses = [[one.value for one in text if one.stems == stems] for text in told
               for stems in {one.stems for one in text}]  # fmt: skip
    together, before = [line[0] for line, _ in printed] + clauses, None
    for quote in quoted(said):
        alike = [prose.likeness(quote, *line)[:2] for line, units in printed
                 if prose.supported(quote, line[0]) and (not quote.unit or quote.unit in units)]  # fmt: skip
        same = [len(one.stems & quote.stems) for text in told for one in text if says(quote, one)]
        needed = min(1 if quote.whole else 2, len(quote.stems))  # words of its clause
        if quote.beside:  # with its spread or the ends of its interval, on one line
            good = any(beside == len(quote.beside) for beside, _ in alike)
        else:
            shared = max([*same, *(shared for _, shared in alike)], default=0)
            good = shared >= needed and (alike or quote.named)
        if not good or turned(before, quote, together):
            yield quote.text
        before = quote


def says(quote, other):
    """Whether two quotes are the same number: with the percent sign, and the unit where both have one."""
    units = {quote.unit, other.unit} - {""}
    return (quote.text, quote.percent) == (other.text, other.percent) and len(units) < 2


def turned(first, second, together):
    """Whether two decimals of a clause stand together somewhere, and nowhere in this order."""
    if not first or first.stems != second.stems or first.whole or second.whole:
        return False
    places = [[{k for k, value in enumerate(values) if prose.supported(one, [value])}
               for one in (first, second)] for values in together]  # fmt: skip
    both = [(here, there) for here, there in places if here and there and here != there]
    return bool(both) and all(min(here) > max(there) for here, there in both)


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

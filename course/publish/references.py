"""The works that notebooks cite: docs/references.md has each once, with a link; last cells name them."""

import re
from dataclasses import dataclass
from functools import cache

import nbformat

from course.notebooks import ROOT

ENTRY = re.compile(r"^- (.+?)$(?=\n(?:- |#|\n)|\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((https://[^)\s]+)\)")
PARAGRAPH = re.compile(r"^\*\*References[.:]\*\*:?\s*(.+?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
# a new citation begins with initials and a name, "L. van der Maaten, ", but not within "Int. J. Game Theory"
NEXT = re.compile(
    r"(?<=\.)(?<!\b[A-ZÀ-Þ]\.)\s+(?=(?:[A-ZÀ-Þ]\.[- ]?)+(?:van der |von )?[A-ZÀ-Þ][\w-]+(?:,| and | et al\.))"
)
NAME = re.compile(r"(?:[A-ZÀ-Þ]\.[- ]?)*((?:van der |von )?[^\W\d_][\w-]+)")
PLACE = re.compile(r"arXiv:\d{4}\.\d{4,5}|\b\d+:[Pe]?\d+|\b(?:18|19|20)\d\d\b")


@dataclass(frozen=True)
class Work:
    """An entry of the list: its text, the first author's surname, where it is printed, and its address."""

    text: str
    name: str
    places: frozenset
    address: str


def works(text):
    """The entries of the list, from its Markdown. Raises ValueError for one without a link."""
    found = []
    for entry in ENTRY.findall(text):
        link = LINK.search(entry)
        if not link:
            raise ValueError(f"references: no link to {entry[:60]!r}")
        bare = LINK.sub("]", entry)
        found.append(Work(entry, surname(bare), frozenset(PLACE.findall(bare)), link[1]))
    return found


@cache
def known():
    """The works of the course's list."""
    return works((ROOT / "docs" / "references.md").read_text(encoding="utf-8"))


def citations(markdown):
    """The citations of a cell's paragraph of references, in order; none where it has no such paragraph."""
    paragraph = PARAGRAPH.search(markdown)
    return NEXT.split(paragraph[1].strip()) if paragraph else []


def surname(text):
    """The first author's surname, or the first word; empty where there is none."""
    found = NAME.match(text)
    return found[1] if found else ""


def cited(citation, entries):
    """The works that a citation can mean: same first author, and the most telling place that both name."""
    places, title = set(PLACE.findall(citation)), re.search(r"\*(.+?)\*", citation)
    named = [work for work in entries if work.name == surname(citation)]
    same = [work for work in named if work.places & places]
    telling = [work for work in same if any(":" in place for place in work.places & places)]
    entitled = [work for work in named if title and title[1].lower() in " ".join(work.text.split()).lower()]
    return telling or same or entitled


def linked(markdown, entries):
    """A cell's Markdown in which each citation is a link to its work."""

    def link(citation):
        found = cited(citation, entries)
        return f"[{citation.rstrip('.')}]({found[0].address})." if len(found) == 1 else citation

    for citation in citations(markdown):
        markdown = markdown.replace(citation, link(citation), 1)
    return markdown


def cited_in(path, entries):
    """The works that a notebook cites, by the citations of its cells."""
    cells = (cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    return [work for source in cells for citation in citations(source) for work in cited(citation, entries)]


def with_notebooks(text, notebooks, places):
    """The list's Markdown in which each work says where it is cited; places: {number: link to a notebook}."""
    found = {path.name[:2]: cited_in(path, known()) for path in notebooks}
    for work in known():
        links = [f"[{number}]({places[number]})" for number, cites in found.items() if work in cites]
        text = text.replace(work.text, f"{work.text} Cited in {', '.join(links)}." if links else work.text)
    return text


def numbers_linked(text, places):
    """The glossary's Markdown in which the numbers behind a word lead to the notebooks."""

    def link(found):
        numbers = found[2].split(", ")
        linked = (f"[{number}]({places[number]})" if number in places else number for number in numbers)
        return f"{found[1]} ({', '.join(linked)})"

    return re.sub(r"^(\*\*.+?\*\*) \((\d\d(?:, \d\d)*)\)$", link, text, flags=re.MULTILINE)

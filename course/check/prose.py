"""Every number in a notebook's text stands in a checked output, a parameter or the code of its section.

    python -m course.check.prose 12 22        lists the numbers that nothing supports
    python -m course.check.prose --tie 12     stores which cell each number comes from (make refresh does it)

A section begins with a heading `## `. Decimals and percentages must stand in their own section or the one
before; whole numbers, which also name rows, in any checked output; the first and last cell quote the whole
notebook. A quoted number must be a rounding of a printed one, with its sign where it has one, times 100 only
before a percent sign. The alternative text of a figure is held in the same way, by what the figure draws too.
A number that is a word ("three of the four spendings") must be what a line prints or counts that shares a
word with what stands behind it, the length of the list or table that its sentence announces, or in an
alternative text how many things the figure draws; where nothing is, it is no count and stays free.

Each text keeps where its numbers come from: `metadata.quotes`, a list of "15.70kcal/mol code-22-07" (or
"97% ...") in
the order of the text: of several cells one with a line about the same words, then the nearest. So a changed
number is noticed even where its section prints the new value as well, and so is a cell that no longer prints
what is quoted.
"""

import ast
import html
import re
import sys
from functools import lru_cache

import nbformat

from course.check.quoted import Quote, quoted, stems, units
from course.contract import tags
from course.notebooks import ROOT, all_notebooks, find
from helpers.figures import MIME

PRINTED = re.compile(r"[-+\u2212]?\d+\.?\d*(?:[eE][-+]?\d+)?")
ALT = re.compile(r'<img alt="([^"]*)"')


@lru_cache(None)
def numbers(text):
    """All numbers of a printed text or of code, as floats."""
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text).replace("\u2212", "-")
    found = []
    for match in PRINTED.finditer(text):
        # a minus behind a word or digit is a dash: C-C, 5-10
        glued = match.start() > 0 and match[0][0] in "-+" and (text[match.start() - 1].isalnum())
        found.append(float(match[0][1:] if glued else match[0]))
    return tuple(found)


def supported(quote, available):
    """Whether a quoted number is a rounding of an available one: with its sign, in percent where said."""
    half = 0 if quote.named else 0.5001 * 10.0 ** -len(quote.text.partition(".")[2])
    value, signs = quote.value, (1,) if quote.text[0] in "-+" else (1, -1)
    for scale in (1, 100) if quote.percent else (1,):
        for sign in signs:
            if any(abs(sign * printed * scale - value) <= half for printed in available):
                return True
    return False


def shown(cell):
    """What a checked cell prints, pictures left out."""
    if "nbval-check-output" not in tags(cell):
        return ""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        if "<img" not in data.get("text/html", "") and "image/png" not in data:
            parts.append(output.get("text", "") or data.get("text/plain", ""))
            parts.append(re.sub(r"<[^>]+>", " ", data.get("text/html", "")))
    return "\n".join(parts)


def pictures(cell):
    """[(alternative text, description of what is drawn)] of a code cell's figures."""
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    alts = [(ALT.search(one.get("text/html", "")), one.get(MIME, "")) for one in data]
    return [(html.unescape(alt[1]), description) for alt, description in alts if alt]


def texts(cell):
    """What a cell says to its reader that may quote numbers: its prose, or what stands for its figures."""
    if cell.cell_type == "markdown":
        return [cell.source]
    return [alt for alt, _ in pictures(cell)]


def said(cell):
    """[(numbers, stems)] of each line that a checked cell prints, a heading's words for what follows it."""
    found, heading, rows = [], "", 0
    for line in [*shown(cell).splitlines(), ""]:
        here = numbers(line)
        if not here and rows:  # a table counts what its heading names
            found.append(((float(rows),), stems(heading)))
        heading, rows = (heading, rows + 1) if here else (line, 0)
        found.append((here, stems(f"{heading} {line}")))
    return found


def parsed(source):
    """(nodes, [lines]) of code, the lines of alternative texts left empty: they say nothing of themselves."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        nodes = []
    alts = {line for node in nodes if isinstance(node, ast.keyword) and node.arg == "alt"
            for line in range(node.value.lineno, node.value.end_lineno + 1)}  # fmt: skip
    return nodes, ["" if n in alts else line for n, line in enumerate(source.splitlines(), 1)]


@lru_cache(None)
def written(source):
    """[(numbers, stems)] of each line of code, with the lengths of its lists."""
    nodes, lines = parsed(source)
    found = [(numbers(line), stems(line)) for line in lines]
    for node in nodes:
        items = getattr(node, "elts", None) or getattr(node, "keys", None)
        if items:
            here = lines[node.lineno - 1 : node.end_lineno]
            found.append(((float(len(items)),), stems(" ".join(here))))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers."):
            known, names = lengths(node.module), [one.name for one in node.names]
            found += [((known[name],), stems(name.lower())) for name in names if name in known]
    return found


@lru_cache(None)
def lengths(module):
    """{name: length} of the lists that stand in a module of helpers: the six SPENDINGS."""
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8"))
    return {node.targets[0].id: float(len(node.value.elts)) for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, (ast.List, ast.Tuple))}  # fmt: skip


def drawn_numbers(description):
    """The numbers of what a figure draws: no places of texts, no correlations with rows and columns."""
    return numbers(re.sub(r"^axes \d+ texts at .*|; rows \S+; columns [-\d.]+", "", description, flags=re.M))


def drawn_counts(description):
    """How many axes, lines, bars, points, images, ticks and names a figure has, from its description."""
    found = [float(number) for number in re.findall(r"(\d+) (?:axes|patch|points|texts)\b", description)]
    kinds = re.findall(r"^axes (\d+) (line|image|\w*Collection)\b", description, re.MULTILINE)
    found += [float(kinds.count(one)) for one in set(kinds)]
    found += [float(sum(kind == one for _, kind in kinds)) for one in {kind for _, kind in kinds}]
    for names in re.findall(r"(?:ticks|texts|legend '.*':) (\[.*\])$", description, re.MULTILINE):
        found.append(float(len(ast.literal_eval(names))))
    return found


def sections(book):
    """[(cells of a section)]: each begins with a heading of the second level."""
    found = [[]]
    for cell in book.cells:
        if cell.cell_type == "markdown" and re.match(r"## ", cell.source):
            found.append([])
        found[-1].append(cell)
    return found


class Facts:
    """What the code cells of a notebook print and write, and which of them support a quoted number.

    units: those that a cell names; a unit that follows a number in the text must be one of them.
    """

    def __init__(self, book):
        self.code = [cell for cell in book.cells if cell.cell_type == "code" and "hidden" not in tags(cell)]
        self.place = {cell.id: number for number, cell in enumerate(book.cells)}
        self.printed = {cell.id: said(cell) for cell in self.code}
        self.written = {cell.id: written(cell.source) for cell in self.code}
        drawn = {cell.id: [description for _, description in pictures(cell)] for cell in self.code}
        self.units = {cell.id: units(f"{parsed(cell.source)[1]} {shown(cell)} {drawn[cell.id]}")
                      for cell in self.code}  # fmt: skip

    def nearest(self, cells, cell):
        """The code cells among these, those close above a text first, then those below it."""

        def distance(one):
            away = self.place[cell.id] - self.place[one.id]
            return away if away > 0 else len(self.place) - away

        return sorted((one for one in cells if one.id in self.printed), key=distance)

    def support(self, quote, parts, outside):
        """The cells that support a quote, the likeliest first; parts: the cells of each section that may."""
        ranked = []
        for tier, (facts, cells) in enumerate([(self.printed, part) for part in parts]
                                              + [(self.written, part) for part in parts[:3]]):  # fmt: skip
            for order, cell in enumerate(cells):
                alike = [likeness(quote, *line) for line in facts[cell.id] if supported(quote, line[0])]
                if alike and not (quote.named and not any(meant for _, _, meant in alike)):
                    beside, shared, _ = max(alike)
                    far = tier >= len(parts) if outside else tier
                    ranked.append((-beside, not shared, far, -shared * outside, order, cell.id))
        return list(dict.fromkeys(one[-1] for one in sorted(ranked)))


def likeness(quote, here, words):
    """How much a line speaks of what a quote does: numbers beside it, shared words, whether behind it too."""
    beside = sum(supported(Quote(text, quote.percent, frozenset()), here) for text in quote.beside)
    return beside, len(words & quote.stems), bool(words & quote.behind)


def sources(book, only=None):
    """[(cell, Quote, cells that support it, the likeliest first)] of every quoted number, or of one cell's.

    Likely is what is printed in the same section close above the text, then below it, then in the section
    before and in the first one, then what stands in code; and before all that, a line about the same words.
    """
    facts = Facts(book)
    first, *others = sections(book)
    before = []
    for cells in (first, *others):
        for cell in cells if only is None else [one for one in cells if one.id == only]:
            outside = cell in (book.cells[0], book.cells[-1])
            parts = (book.cells,) if outside else (cells, before, first)
            near = [facts.nearest(part, cell) for part in parts]
            drawn = [value for _, description in pictures(cell) for value in drawn_numbers(description)]
            counts = [count for _, description in pictures(cell) for count in drawn_counts(description)]
            for quote in (one for text in texts(cell) for one in quoted(text)):
                # whole numbers, which also name rows, may be printed anywhere
                anywhere = [facts.nearest(facts.code, cell)] if quote.whole and not outside else []
                found = facts.support(quote, near + anywhere, outside)
                counted = [float(quote.listed)] * bool(quote.listed) + counts if quote.named else drawn
                found += [cell.id] * supported(quote, counted)
                found = [one for one in found if quote.unit in facts.units[one]] if quote.unit else found
                if found or not quote.named:
                    yield cell, quote, found
        before = cells  # a section may take up what the one before it found


def unsupported(book):
    """[(cell id, number)] that nothing in the notebook supports."""
    return [(cell.id, quote.text) for cell, quote, found in sources(book) if not found]


def by_cell(book, only=None):
    """{cell's id: [(number, cells that support it)]}, the numbers in the order of the text."""
    found = {}
    for cell, quote, cells in sources(book, only):
        found.setdefault(cell.id, []).append((quote.label, cells))
    return found


def tie(book):
    """Store in each cell where the numbers of its text come from."""
    found = by_cell(book)
    for cell in book.cells:
        cell.metadata.pop("quotes", None)
        if cell.id in found:
            cell.metadata["quotes"] = [f"{text} {(cells or ['-'])[0]}" for text, cells in found[cell.id]]


def untied(book):
    """[(cell id, what differs)] of the texts whose numbers are not those that were stored with them."""
    now = by_cell(book)
    return [(cell.id, what) for cell in book.cells for what in differences(cell, now.get(cell.id, []))]


def differences(cell, here):
    """What differs between the numbers stored with a cell and [(number, cells that support it)]."""
    stored = cell.metadata.get("quotes", [])
    if [one.partition(" ")[0] for one in stored] != [text for text, _ in here]:
        yield f"quotes {' '.join(text for text, _ in here) or 'nothing'}, and {stored} is stored"
        return
    for one, (text, found) in zip(stored, here, strict=True):
        if found and one.partition(" ")[2] not in found:
            yield f"{text} is no longer what {one.partition(' ')[2]} says"


def main():
    chosen = [argument for argument in sys.argv[1:] if argument != "--tie"]
    paths = [find(number) for number in chosen] or all_notebooks()
    if "--tie" in sys.argv:
        for path in paths:
            book = nbformat.read(path, 4)
            tie(book)
            nbformat.write(book, path)
        return
    count = 0
    for path in paths:
        for cell, number in unsupported(nbformat.read(path, 4)):
            count += 1
            print(f"{path.stem} {cell}: {number} stands in no checked output or code of its section")
    sys.exit(bool(count))


if __name__ == "__main__":
    main()

"""Every number in a notebook's text stands in a checked output, a parameter or the code of its section.

    python -m course.check.prose 12 22        lists the numbers that nothing supports
    python -m course.check.prose --tie 12     stores which cell each number comes from (make refresh does it)

A section begins with a heading `## `. Decimals and percentages must stand in their own section or the one
before; whole numbers, which also name rows, in any checked output; the first and last cell quote the whole
notebook. A quoted number must be a rounding of a printed one, with its sign where it has one, times 100 only
before a percent sign. Not looked at: formulas, code, links, references, durations, sizes, years, notebooks,
the 95 % of an interval.

Each text cell keeps where its numbers come from: `metadata.quotes`, a list of "15.70 code-22-07" in the
order of the text. So a changed number in the text is noticed even where its section prints the new value as
well, in another place; and so is a cell that no longer prints what is quoted from it.
"""

import re
import sys

import nbformat

from course.contract import tags
from course.notebooks import all_notebooks, find

LIST = r"\d+(?:\.\d+)?(?:(?:,| and| to|–) \d+(?:\.\d+)?)*"
# what is not prose: formulas, code, links and addresses, references, names of notebooks and sections
SKIPPED = [
    re.compile(r"\$\$.*?\$\$|```.*?```", re.DOTALL),
    re.compile(r"\$[^$\n]*\$|`[^`\n]*`|<code>.*?</code>"),
    re.compile(r"\]\([^)]*\)|https?://\S+|arXiv:\S+|doi:\S+|10\.\d{4,}/\S+"),
    re.compile(r"\*\*References\b.*|^#+ References.*|^References:.*", re.DOTALL | re.MULTILINE),
    re.compile(r"\*\*(?:Leads? on|Going on|Exercises that lead on)\b.*|^Where to go on.*", re.DOTALL | re.M),
    re.compile(r"^#+ (?:\d+(?:\.\d+)? |Exercise \d+\.\d+).*$", re.MULTILINE),
    re.compile(r"\b(?:[Nn]otebooks?|[Ss]ections?|[Ee]xercises?|[Ss]eries)\s+" + LIST),
    re.compile(r"\b\d+(?: to \d+)? (?:minutes?|hours?|seconds?|kB|MB|GB)\b"),
    re.compile(r"\b95 ?(?:%|percent)"),  # the level of every interval
    re.compile(r"\b\d+(?:st|nd|rd|th)\b"),  # ordinals: the 95th percentile, the 20th neighbour
    re.compile(r"<(?!details|summary)[^>]*>"),
]
NUMBER = re.compile(r"(?<![\w.^/:-])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w.]*\d)(?!\))")
PRINTED = re.compile(r"[-+\u2212]?\d+\.?\d*(?:[eE][-+]?\d+)?")
YEAR = re.compile(r"(?:19|20)\d\d")
SMALL = 12  # integers up to a dozen are counts that a sentence makes itself


def quoted(markdown):
    """[(number as it is written, whether a percent sign follows)] of a markdown cell's prose."""
    for pattern in SKIPPED:
        markdown = pattern.sub(" ", markdown)
    found = []
    for match in NUMBER.finditer(markdown):
        text = match[0].replace("\u2212", "-")
        whole = "." not in text
        if whole and (YEAR.fullmatch(text) or abs(int(text.replace(",", ""))) <= SMALL):
            continue
        found.append((text, bool(re.match(r"\s*(?:%|percent)", markdown[match.end() :]))))
    return found


def numbers(text):
    """All numbers of a printed text or of code, as floats."""
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text).replace("\u2212", "-")
    found = []
    for match in PRINTED.finditer(text):
        # a minus behind a word or digit is a dash: C-C, 5-10
        glued = match.start() > 0 and match[0][0] in "-+" and (text[match.start() - 1].isalnum())
        found.append(float(match[0][1:] if glued else match[0]))
    return found


def supported(text, percent, available):
    """Whether a quoted number is a rounding of an available one: with its sign, in percent where said."""
    value = float(text.replace(",", ""))
    half = 0.5001 * 10.0 ** -len(text.partition(".")[2])
    signed = text[0] in "-+"
    for printed in available:
        for scale in (1, 100) if percent else (1,):
            if abs(printed * scale - value) <= half or (not signed and abs(-printed * scale - value) <= half):
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
    return " ".join(parts)


def sections(book):
    """[(cells of a section)]: each begins with a heading of the second level."""
    found = [[]]
    for cell in book.cells:
        if cell.cell_type == "markdown" and re.match(r"## ", cell.source):
            found.append([])
        found[-1].append(cell)
    return found


def sources(book):
    """[(text cell, number, the cells that support it, the likeliest first)] of every quoted number.

    Likely is what is printed in the same section close above the text, then below it, then in the section
    before and in the first one, then what stands in code.
    """
    known = {path.name[:2] for path in all_notebooks()}
    code = [cell for cell in book.cells if cell.cell_type == "code" and "hidden" not in tags(cell)]
    place = {cell.id: number for number, cell in enumerate(book.cells)}
    printed = {cell.id: numbers(shown(cell)) for cell in code}
    written = {cell.id: numbers(cell.source) for cell in code}
    first, *others = sections(book)
    before = []
    for cells in (first, *others):
        for cell in (one for one in cells if one.cell_type == "markdown"):
            outside = cell in (book.cells[0], book.cells[-1])

            def distance(one, cell=cell):
                away = place[cell.id] - place[one.id]
                return away if away > 0 else len(place) - away

            near = [sorted((one for one in part if one.id in printed), key=distance) for part in
                    ((book.cells,) if outside else (cells, before, first))]  # fmt: skip
            near = [one for part in near for one in part]
            for text, percent in quoted(cell.source):
                if outside and text in known:  # which notebook comes before or next
                    continue
                whole = "." not in text and not percent
                found = [one.id for one in near if supported(text, percent, printed[one.id])]
                found += [one.id for one in near if supported(text, percent, written[one.id])]
                if whole and not outside:  # whole numbers, which also name rows, may be printed anywhere
                    found += [one.id for one in sorted(code, key=distance)
                              if supported(text, percent, printed[one.id])]  # fmt: skip
                yield cell, text, found
        before = cells  # a section may take up what the one before it found


def unsupported(book):
    """[(cell id, number)] that nothing in the notebook supports."""
    return [(cell.id, text) for cell, text, found in sources(book) if not found]


def by_cell(book):
    """{text cell's id: [(number, cells that support it)]}, the numbers in the order of the text."""
    found = {}
    for cell, text, cells in sources(book):
        found.setdefault(cell.id, []).append((text, cells))
    return found


def tie(book):
    """Store in each text cell where its numbers come from."""
    found = by_cell(book)
    for cell in book.cells:
        cell.metadata.pop("quotes", None)
        if cell.id in found:
            cell.metadata["quotes"] = [f"{text} {(cells or ['-'])[0]}" for text, cells in found[cell.id]]


def untied(book):
    """[(cell id, what differs)] of the texts whose numbers are not those that were stored with them."""
    now = by_cell(book)
    for cell in book.cells:
        stored, here = cell.metadata.get("quotes", []), now.get(cell.id, [])
        if [one.partition(" ")[0] for one in stored] != [text for text, _ in here]:
            yield cell.id, f"quotes {' '.join(text for text, _ in here) or 'nothing'}, and {stored} is stored"
            continue
        for one, (text, found) in zip(stored, here, strict=True):
            if found and one.partition(" ")[2] not in found:
                yield cell.id, f"{text} is no longer what {one.partition(' ')[2]} says"


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

"""How tight the net is: change one thing at a time in what is stored, and see whether the comparison notices.

    python -m course mutate                 outputs, figures and prose of every notebook; nothing is executed
    python -m course.check.mutate --write   the same, and puts the table into docs/net.md

Prints one table with the share that is caught, and which notebook catches least. Sampled with a fixed seed.
"""

import html
import json
import random
import re
import sys
from collections import defaultdict
from contextlib import contextmanager

import nbformat

from course.check import prose
from course.check.compare import EXACT, NUMBER, agree, last_unit, rules_of
from course.check.quoted import DIGITS, UNIT, WORDS, quoted
from course.contract import tags
from course.notebooks import ROOT, all_notebooks
from helpers.figures import MIME

SEED, PER_CELL = 0, 6  # mutants of each kind that are tried in a cell at most
REQUIRED = {  # the share that must be caught: in all, in every notebook
    "word": (0.995, 0), "line dropped": (0.995, 0), "lines swapped": (0.995, 0), "integer +1": (0.995, 0),
    "second-last digit +1": (0.99, 0.95), "sign": (0.99, 0.95), "float +10 %": (0.95, 0),
    "figure": (0.95, 0), "decimal in prose": (0.95, 0), "integer in prose": (0.90, 0),
    "number word in prose": (0.50, 0), "unit in prose": (0.95, 0),
    "unit dropped in prose": (0.95, 0),
}  # fmt: skip
HEADING = "| change | tried | caught | least in | there | enough |"


def words(text, draw):
    for match in re.finditer(r"[A-Za-z]{3,}", text):
        yield text[: match.start()] + match[0][::-1].swapcase() + text[match.end() :]


def dropped_lines(text, draw):
    lines = text.splitlines()
    for k, line in enumerate(lines):
        if line.strip():
            yield "\n".join(lines[:k] + lines[k + 1 :])


def swapped_lines(text, draw):
    lines = text.splitlines()
    for k in range(len(lines) - 1):
        if lines[k].split() != lines[k + 1].split():
            yield "\n".join([*lines[:k], lines[k + 1], lines[k], *lines[k + 2 :]])


def with_number(text, wanted, change):
    """Texts in which one number that `wanted` accepts is written as `change` writes it."""
    for match in NUMBER.finditer(text):
        if wanted(match[0]):
            new = change(match[0])
            if new is not None and new != match[0]:
                yield text[: match.start()] + new + text[match.end() :]


def is_float(number):
    return not EXACT.fullmatch(number)


def plus(number, step):
    """A number with `step` added, written with as many decimals; None for one with an exponent."""
    if "e" in number.lower():
        return None
    decimals = len(number.partition(".")[2])
    return f"{float(number.replace(chr(0x2212), '-')) + step:.{decimals}f}"


def integers(text, draw):
    whole = re.compile(r"[-+]?\d+")
    return with_number(text, whole.fullmatch, lambda number: plus(number, 1))


def second_last_digits(text, draw):
    def change(number):
        decimals = len(number.partition(".")[2])
        return plus(number, 10.0 ** (1 - decimals))

    return with_number(text, is_float, change)


def signs(text, draw):
    def change(number):
        return None if float(number.replace("\u2212", "-")) == 0 else plus(number, -2 * float(number))

    return with_number(text, is_float, change)


def tenths(text, draw):
    def change(number):
        value = float(number.replace("\u2212", "-"))
        # one unit of the last digit is free by design, and a tenth of 0.12 is no more
        return plus(number, 0.1 * value) if abs(0.1 * value) > 1.5 * last_unit(number) else None

    return with_number(text, is_float, change)


OUTPUTS = {"word": words, "line dropped": dropped_lines, "lines swapped": swapped_lines,
           "integer +1": integers, "second-last digit +1": second_last_digits, "sign": signs,
           "float +10 %": tenths}  # fmt: skip


def texts(cell):
    """(text, is it a figure's description) of a checked cell's outputs."""
    for output in cell.outputs:
        data = output.get("data", {})
        if MIME in data:
            yield data[MIME], True
        elif output.get("text") or data.get("text/plain"):
            yield output.get("text") or data["text/plain"], False


def figure_mutants(description, draw):
    """A dropped line or other thing drawn, another name, other data (every number of a line by a tenth)."""
    yield from dropped_lines(description, draw)
    yield from words(description, draw)
    for line in description.splitlines():
        bigger = NUMBER.sub(lambda m: f"{1.1 * float(m[0]):.2e}" if "e" in m[0].lower() else m[0], line)
        if bigger != line:
            yield description.replace(line, bigger, 1)


def sample(mutants, draw, count):
    mutants = list(mutants)
    return draw.sample(mutants, min(count, len(mutants)))


def outputs_caught(book, draw):
    """{kind: [caught or not]} of the checked outputs of a notebook; survivors as (kind, cell id, line)."""
    found, survivors = defaultdict(list), []
    for cell in book.cells:
        if "nbval-check-output" not in tags(cell):
            continue
        rules = rules_of(cell.metadata)
        for text, figure in texts(cell):
            kinds = {"figure": figure_mutants} if figure else OUTPUTS
            for kind, mutate in kinds.items():
                for mutant in sample(mutate(text, draw), draw, PER_CELL * (1 + figure)):
                    caught = not agree(text, mutant, rules)
                    found[kind].append(caught)
                    if not caught:
                        survivors.append((kind, cell.id))
    return found, survivors


def faults(book, cell):
    """How many numbers of a cell's text nothing supports, or differ from those that are stored with it."""
    found = prose.by_cell(book, cell.id).get(cell.id, [])
    return sum(not cells for _, cells in found) + len(list(prose.differences(cell, found)))


def changed(quote):
    """(kind, another number in a quote's place): three more in the last digit, seven more, the next word."""
    if quote.named:
        return "number word in prose", list(WORDS)[(list(WORDS).index(quote.text) + 1) % len(WORDS)]
    number, whole = quote.text.replace(",", ""), "." not in quote.text
    step = 7 if whole else 3 * 10.0 ** -len(quote.text.partition(".")[2])
    return ("integer" if whole else "decimal") + " in prose", plus(number, step)


def changes(text):
    """(kind, what is changed, the text with another number or unit there) of what a text quotes."""
    for number, quote in {quote.text: quote for quote in quoted(text)}.items():
        kind, new = changed(quote)
        pattern = rf"(?<![\w.,]){re.escape(number)}(?![\w,]*\d|\.\d)(?!\w)"
        yield kind, f"{number} -> {new}", re.sub(pattern, new, text, count=1, flags=re.IGNORECASE)
    for match in re.finditer(f"{DIGITS}{UNIT.pattern}", text):
        new = "eV" if match[1] != "eV" else "bohr"
        yield "unit in prose", f"{match[0]} in {new}", text[: match.start(1)] + new + text[match.end(1) :]
        left = text[: match.start(1)].rstrip(" -") + text[match.end() :]
        yield "unit dropped in prose", f"{match[0]} without", left


def prose_caught(book, draw):
    """{kind: [caught or not]} for the numbers in text cells and in alternative texts."""
    found, survivors = defaultdict(list), []
    for cell in book.cells:
        before = faults(book, cell)
        for text in prose.texts(cell):
            for kind, change, new in changes(text):
                with replaced(cell, text, new) as done:
                    if done:
                        found[kind].append(faults(book, cell) > before)
                        if not found[kind][-1]:
                            survivors.append((kind, f"{cell.id} {change}"))
    return found, survivors


@contextmanager
def replaced(cell, old, new):
    """Another text in a cell, or alternative text of its figure, for a while; whether anything changed."""
    before = cell.copy()
    if cell.cell_type == "markdown":
        cell.source = new
    else:
        here, there = (json.dumps(html.escape(one))[1:-1] for one in (old, new))
        cell.outputs = json.loads(json.dumps(cell.outputs).replace(here, there))
    yield old != new
    cell.update(before)


def measure(paths):
    """({kind: {notebook: [caught or not]}}, survivors)."""
    table, survivors = defaultdict(dict), []
    for path in paths:
        book, draw = nbformat.read(path, 4), random.Random(SEED)
        for caught, left in (outputs_caught(book, draw), prose_caught(book, draw)):
            for kind, values in caught.items():
                table[kind][path.name[:2]] = values
            survivors += [(path.name[:2], *one) for one in left]
    return table, survivors


def rows(table):
    """(kind, how many, share caught, the notebook that catches least, its share, whether that is enough)."""
    for kind, (all_of_it, each) in REQUIRED.items():
        if not table[kind]:
            yield kind, 0, 0.0, "-", 0.0, False
            continue
        by_notebook = {name: sum(values) / len(values) for name, values in table[kind].items() if values}
        every = [value for values in table[kind].values() for value in values]
        least = min(by_notebook, key=by_notebook.get)
        share = sum(every) / len(every)
        good = share >= all_of_it and by_notebook[least] >= each
        yield kind, len(every), share, least, by_notebook[least], good


def main():
    table, survivors = measure(all_notebooks())
    lines, failed = [HEADING, "| --- | ---: | ---: | --- | ---: | --- |"], False
    for kind, count, share, least, there, good in rows(table):
        failed |= not good
        shares = f"{100 * share:.1f} % | {least} | {100 * there:.0f} %"
        lines.append(f"| {kind} | {count} | {shares} | {'yes' if good else 'NO'} |")
    print(*lines, sep="\n")
    if "--write" in sys.argv:
        page = (ROOT / "docs" / "net.md").read_text("utf-8")
        before, _, after = page.partition(HEADING)
        after = after[after.index("\n\n") :]
        (ROOT / "docs" / "net.md").write_text(before + "\n".join(lines) + after, "utf-8")
    if "--survivors" in sys.argv:
        for one in survivors:
            print(*one)
    sys.exit(failed)


if __name__ == "__main__":
    main()

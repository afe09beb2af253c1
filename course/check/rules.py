"""The notebook contract as rules: what nbval alone would let pass in silence is said here, a line per fault.

    python -m course.check.rules 12 22        every line names the cell, what was found and what to do
"""

import ast
import re
import sys

from course.check import form, hints, prose
from course.check.compare import BadTolerance, rules_of
from course.check.names import asserts, defined, names_in
from course.contract import NEEDS, SOLUTION, course, tags
from course.notebooks import all_notebooks, find
from helpers.figures import MIME

TAGS = {"parameters", "exercise", "hidden", "nbval-check-output", "nbval-ignore-output"}
LONGEST_FUNCTION, LONGEST_TEXT = 20, 130  # lines with docstring; words
LARGEST_NOTEBOOK, LARGEST_PICTURE = 3_000_000, 500_000  # bytes
PICTURE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)">')


class Book:
    """A notebook with what the rules look at: cells, code cells, exercises by id."""

    def __init__(self, path):
        self.path, self.number = path, path.name[:2]
        self.notebook = form.opened(path)
        self.cells, self.metadata = self.notebook.cells, self.notebook.metadata
        self.code = [cell for cell in self.cells if cell.cell_type == "code"]
        self.exercises = {course(cell).get("id"): cell for cell in self.code if "exercise" in tags(cell)}
        self.checked = [cell for cell in self.code if "nbval-check-output" in tags(cell)]

    def checks(self, exercise):
        return [cell for cell in self.code if course(cell).get("for") == exercise]


def text_of(output):
    """What an output shows as text."""
    data = output.get("data", {})
    html = re.sub(r"<[^>]+>", " ", PICTURE.sub(" ", data.get("text/html", "")))
    return output.get("text", "") + data.get("text/plain", "") + html


def said(cell):
    return "".join(text_of(output) for output in cell.outputs)


def well_formed(book):
    yield from form.faults(book.notebook)


def small(book):
    size = book.path.stat().st_size
    if size >= LARGEST_NOTEBOOK:
        yield f"{size} bytes; keep it below {LARGEST_NOTEBOOK}: fewer or smaller figures"
    ids = [cell.id for cell in book.cells]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"{name}: two cells have this id; give one of them another"


def executed(book):
    for count, cell in enumerate(book.code, 1):
        if cell.execution_count != count:
            ran = cell.execution_count
            yield f"{cell.id}: was executed as {ran}, is cell {count}; make refresh NB={book.number}"


def clean_outputs(book):
    for cell in book.code:
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{cell.id}: an error is stored ({output.ename}); mend the cell and refresh"
            if output.get("name") == "stderr":
                yield f"{cell.id}: a warning is stored ({output.text.strip()[:60]!r}); mend what causes it"


def tagged(book):
    for cell in book.code:
        for tag in sorted(set(tags(cell)) - TAGS):
            yield f"{cell.id}: unknown tag {tag!r}; allowed are {' '.join(sorted(TAGS))}"
        marks = {"nbval-check-output", "nbval-ignore-output"} & set(tags(cell))
        if "nbval-ignore-output" in marks and len(str(cell.metadata.get("ignored", "")).split()) < 3:
            yield f'{cell.id}: its output is ignored; say in three words why: "ignored": "seconds of a run"'
        if cell.outputs and "exercise" not in tags(cell) and len(marks) != 1:
            yield f"{cell.id}: its output is not tagged; tag it nbval-check-output (or nbval-ignore-output)"
    if len(book.checked) < 3:
        yield f"{len(book.checked)} checked cells; tag at least 3 that print few rounded facts"


def checked_says_something(book):
    for cell in book.checked:
        if not said(cell).strip():
            yield f"{cell.id}: is checked and prints nothing; print a fact or drop the tag"


def plain_numbers(book):
    for cell in book.checked:
        found = re.search(r"(?<![\w.])-?\d+\.(?=[\s,\])%]|$)(?!\s+[a-zA-Z])", prose.shown(cell))
        if found:
            yield f"{cell.id}: prints {found[0]!r}, a number without decimals; use a format or fixed(x, 2)"
        if re.search(r"(?<![\w.])-0(?![\w.])", prose.shown(cell)):
            yield f"{cell.id}: prints '-0', a sign of rounding; use the format 'z', as in f'{{x:z.0f}}'"


def tolerances(book):
    for cell in book.code:
        if isinstance(cell.metadata.get("tolerance"), dict):
            yield f"{cell.id}: a tolerance for the whole cell; give rules with after, atol or rtol, because"
        try:
            found = [rule for rule in rules_of(cell.metadata) if rule.atol or rule.rtol]
        except BadTolerance as error:
            yield f"{cell.id}: {error}"
            continue
        for rule in found:
            if re.search(rule.after, ""):
                yield f"{cell.id}: a tolerance after {rule.after!r}, which is everywhere; name words"
            if len(rule.because.split()) < 3:
                yield f"{cell.id}: a tolerance because {rule.because!r}; say in three words what moves"


def parameters(book):
    cells = [cell for cell in book.code if "parameters" in tags(cell)]
    if len(cells) != 1 or cells[0] is not book.code[0]:
        yield f"{len(cells)} cells tagged parameters; the first code cell, and no other, has this tag"
        return
    needed = {"SEED", "DEVICE"} | ({"NETWORK"} if book.path.parent.name == "3_leaves" else set())
    for name in sorted(needed - defined(cells[0].source)):
        yield f"{cells[0].id}: the parameters have no {name}; add it"


def metadata(book):
    if book.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3; choose it in JupyterLab and save"
    for key in sorted({"papermill", "widgets"} & set(book.metadata)):
        yield f"the metadata hold {key}, which belongs to one run; make refresh NB={book.number}"
    for cell in book.cells:
        for key in sorted({"papermill", "execution"} & set(cell.metadata)):
            yield f"{cell.id}: its metadata hold {key}, which belongs to one run; refresh"
        folded = ["collapsed"] * bool(cell.metadata.get("collapsed"))
        for key in folded + [key for key, on in cell.metadata.get("jupyter", {}).items() if on]:
            yield f"{cell.id}: is {key}, so that readers do not see it; unfold it in JupyterLab and save"
        if cell.cell_type == "raw":
            yield f"{cell.id}: a raw cell, which nobody runs, checks or reads; make it text or code"


def says_its_data(book):
    if not any(re.search(r"^data source: real", said(cell), re.MULTILINE) for cell in book.checked):
        yield "no checked cell prints `data source: real`; print the source of the data it loads"
    if "numbers in the text are those of the real data" not in book.cells[0].source:
        yield f"{book.cells[0].id}: does not say whose numbers the text quotes; see notebook 11"


def plain_python(book):
    for cell in book.code:
        if cell.source.rstrip().endswith(";"):
            yield f"{cell.id}: ends with ';', which hides nothing under nbval; end with show(...)"
        if re.search(r"\bclear_output\(|\bdisplay_id\s*=|\bupdate_display\(", cell.source):
            yield f"{cell.id}: redraws an output, of which nbval sees the first state; show the last one once"
        if "NBVAL" in cell.source:
            yield f"{cell.id}: an nbval comment; use a tag"
        if re.search(r"^\s*(?:quit|exit|sys\.exit|os\._exit)\(", cell.source, re.MULTILINE):
            yield f"{cell.id}: ends the kernel, and what follows never runs; raise an error or drop the line"


def short_functions(book):
    for cell in book.code:
        longest = LONGEST_FUNCTION + 4 * ("### BEGIN SOLUTION" in cell.source)
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef) and (lines := node.end_lineno - node.lineno + 1) > longest:
                yield f"{cell.id}: {node.name} has {lines} lines, at most {longest}; split or move it"


def figures(book):
    for cell in book.code:
        for output in cell.outputs:
            data = output.get("data", {})
            if set(data) & {"image/png", "image/svg+xml", "image/jpeg"}:
                yield f"{cell.id}: a picture without a description; draw it with show(figure, alt=...)"
            for alt, encoded in PICTURE.findall(data.get("text/html", "")):
                if len(alt.split()) < 5 or MIME not in data:
                    yield f"{cell.id}: a picture that says nothing; draw it with show(figure, alt=...)"
                if len(encoded) >= LARGEST_PICTURE:
                    yield f"{cell.id}: a picture of {len(encoded)} bytes; draw it smaller"
            if MIME in data and "nbval-ignore-output" in tags(cell):
                yield f"{cell.id}: its figure is not compared; tag it nbval-check-output"


def frame(book):
    first, last = book.cells[0], book.cells[-1]
    if not re.match(rf"# {book.number} \S", first.source):
        yield f"{first.id}: must begin with `# {book.number} ` and a title"
    if not NEEDS.search(first.source):
        yield f"{first.id}: must say `*Before:* X. *Time:* N minutes, Y of computing. *Data:* Z.`; one line"
    for word, wanted in (("found", "say what we found"), ("references", "give references")):
        if last.cell_type != "markdown" or not re.search(word, last.source, re.IGNORECASE):
            yield f"{last.id}: the last cell does not {wanted}; end with a section `What we found`"
    for cell in book.cells[1:-1]:
        if cell.cell_type == "markdown" and "<details>" not in cell.source:
            words = len(re.sub(r"\$[^$]+\$|\|.*\||`[^`]+`", " ", cell.source).split())
            if words > LONGEST_TEXT:
                yield f"{cell.id}: {words} words, at most {LONGEST_TEXT}; one idea per cell: split it"


def exercises(book):
    # series 4 runs on data of the reader's own, which have no answer that could be checked beforehand
    allowed, wanted = ((0,), "none") if book.path.parent.name == "4_own" else ((3, 4, 5), "three to five")
    if len(book.exercises) not in allowed:
        yield f"{len(book.exercises)} exercises; give {wanted}"
    for name, cell in book.exercises.items():
        if not re.fullmatch(rf"{book.number}\.\d", str(name)):
            yield f"{cell.id}: the exercise's id is {name!r}; it must be {book.number}.1 and so on"
        elif name != (place := f"{book.number}.{list(book.exercises).index(name) + 1}"):
            yield f"{cell.id}: exercise {name} stands where {place} is read; number them in reading order"
        begins, ends = (cell.source.count(f"### {word} SOLUTION") for word in ("BEGIN", "END"))
        if not begins == ends == len(SOLUTION.findall(cell.source)) or not begins:
            yield f"{cell.id}: {begins} times BEGIN SOLUTION, {ends} times END; put both around it, in order"
        yield from checks_of(book, name, cell)
    for cell in book.code:
        if "for" in course(cell) and course(cell)["for"] not in book.exercises:
            yield f"{cell.id}: checks exercise {course(cell)['for']}, which does not exist; mend its `for`"


def checks_of(book, name, cell):
    """The faults of one exercise's checks."""
    checks, order = book.checks(name), [one.id for one in book.cells]
    points, wanted = sum(course(check).get("points", 0) for check in checks), course(cell).get("points")
    if points != wanted:
        yield f"{cell.id}: its checks give {points} points, it has {wanted}; make them equal"
    if not any("hidden" in tags(check) for check in checks):
        yield f"{cell.id}: no hidden check, so a printed target could be copied; add one on other inputs"
    if not any("nbval-check-output" in tags(check) for check in checks):
        yield f"{cell.id}: no visible check; add one that prints what is wanted"
    for check in checks:
        if order.index(check.id) < order.index(cell.id):
            yield f"{check.id}: stands above exercise {name}; move it below"
        if len(course(check).get("message", "").split()) < 4:
            yield f"{check.id}: no message; say in a sentence what is wrong for whoever fails it"
        if "hidden" in tags(check) and (check.outputs or not asserts(check.source)):
            yield f"{check.id}: a hidden check prints or asserts nothing computed; assert, and print nothing"


def tasks(book):
    for index, cell in enumerate(book.cells):
        if cell.cell_type == "code" and "exercise" in tags(cell):
            task, name = book.cells[index - 1], course(cell).get("id")
            named = re.search(rf"Exercise {re.escape(str(name))}\b", task.source)
            if task.cell_type != "markdown" or not named:
                yield f"{cell.id}: no task above it; write a text cell with `Exercise {name}`"
            points = re.search(rf"Exercise {re.escape(str(name))} \(([\d.]+) points?\)", task.source)
            if named and (not points or float(points[1]) != course(cell).get("points")):
                said = points[0] if points else named[0]
                yield f"{task.id}: says {said!r}; write `({course(cell).get('points')} points)`"
            yield from (f"{task.id}: {line}" for line in hints.faults(task.source, cell.source))


def independent(book):
    for name, exercise in book.exercises.items():
        bound = defined(exercise.source)
        for cell in book.code:
            if cell is exercise or course(cell).get("for") == name:
                continue
            shared = (bound & names_in(cell.source, ast.Load)) - defined(cell.source)
            for one in sorted(shared):
                yield f"{cell.id}: uses {one} of exercise {name}, where a student copy would stop; do without"


def skeleton(book):
    first = book.cells[0]
    for wanted in ("**Aim:** ", "After this notebook you can"):
        if wanted not in first.source:
            yield f"{first.id}: has no `{wanted.strip()}`; every lesson begins in the same way"
    titles = [(cell.id, line[3:]) for cell in book.cells if cell.cell_type == "markdown"
              for line in cell.source.splitlines() if line.startswith("## ")]  # fmt: skip
    for count, (name, title) in enumerate(titles, 1):
        start = f"{count} " if count < len(titles) else "What we found"
        if not title.startswith(start):
            yield f"{name}: the section is `## {title}`; write `## {start.strip()}` and what follows"


def no_machine(book):
    for cell in book.checked:
        found = re.search(r" at 0x[0-9a-f]+|(?<![\w./])/(root|home|tmp|work|usr)/", said(cell))
        if found:
            yield f"{cell.id}: prints {found[0].strip()!r} of one machine or run; print something else"
    text = re.sub(r"base64,[\w+/=]+", "", book.path.read_text(encoding="utf-8"))
    found = re.search(r"(?<![\w./])/(root|home|tmp|work)/\w+", text)
    if found:
        yield f"the file holds {found[0]!r}, a path of one machine; take it out"


def formulas(book):
    for cell in (one for one in book.cells if one.cell_type == "markdown"):
        for part in re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", cell.source, re.DOTALL):
            if found := re.search(r"\\\\[a-zA-Z]{2,}", part):
                yield f"{cell.id}: {found[0]!s} in a formula breaks the line; write {found[0][1:]}"


def prose_held(book):
    for cell, number in prose.unsupported(book.notebook):
        yield f"{cell}: {number} stands in no checked output or code of its section; print it or drop it"
    for cell, what in prose.untied(book.notebook):
        yield f"{cell}: {what}; if the text is right: python -m course.check.prose --tie {book.number}"


RULES = [well_formed, small, executed, clean_outputs, tagged, checked_says_something, plain_numbers,
         tolerances, parameters, metadata, says_its_data, plain_python, short_functions, figures, frame,
         exercises, tasks, independent, skeleton, no_machine, formulas, prose_held]  # fmt: skip


def faults(path):
    """["notebook: cell: what was found; what to do"] of a notebook."""
    try:
        book = Book(path)
    except ValueError as error:
        return [f"{path.stem}: {error}"]
    lines = list(well_formed(book)) or [line for rule in RULES[1:] for line in rule(book)]
    return [f"{path.stem}: {line}" for line in lines]


def main():
    lines = [line for path in [find(n) for n in sys.argv[1:]] or all_notebooks() for line in faults(path)]
    print("\n".join(lines) or "the contract holds")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()

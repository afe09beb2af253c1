"""The notebook contract, on every notebook: what nbval alone would let pass in silence fails here."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from course.notebooks import ROOT, all_notebooks

NOTEBOOKS = all_notebooks()
TAGS = {"parameters", "exercise", "hidden", "nbval-check-output", "nbval-ignore-output"}
LONGEST_FUNCTION = 20  # lines, docstring included
LARGEST_NOTEBOOK = 3_000_000  # bytes


def tags(cell):
    return set(cell.metadata.get("tags", []))


def course(cell):
    return cell.metadata.get("course", {})


def text_of(output):
    """What an output shows as text."""
    data = output.get("data", {})
    return (
        output.get("text", "")
        + data.get("text/plain", "")
        + re.sub(r"<[^>]+>", " ", data.get("text/html", ""))
    )


class Book:
    """A notebook with its code cells at hand."""

    def __init__(self, path):
        self.path, self.number = path, path.name[:2]
        self.cells = nbformat.read(path, 4).cells
        self.metadata = nbformat.read(path, 4).metadata
        self.code = [cell for cell in self.cells if cell.cell_type == "code"]
        self.exercises = {course(cell)["id"]: cell for cell in self.code if "exercise" in tags(cell)}

    def checks(self, exercise):
        return [cell for cell in self.code if course(cell).get("for") == exercise]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def book(request):
    return Book(request.param)


def test_there_are_notebooks():
    assert NOTEBOOKS
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)


def test_it_is_a_valid_notebook_of_a_sane_size(book):
    nbformat.validate(nbformat.read(book.path, 4))
    assert book.path.stat().st_size < LARGEST_NOTEBOOK
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)


def test_every_code_cell_was_executed_in_order(book):
    assert [cell.execution_count for cell in book.code] == list(range(1, len(book.code) + 1))


def test_no_error_or_stderr_is_stored(book):
    for cell in book.code:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


def test_an_output_is_either_checked_or_ignored(book):
    for cell in book.code:
        unknown = tags(cell) - TAGS
        assert not unknown, f"unknown tags {unknown} in {cell.id}"
        marks = {"nbval-check-output", "nbval-ignore-output"} & tags(cell)
        if cell.outputs and "exercise" not in tags(cell):
            assert len(marks) == 1, f"{cell.id}: tag the output as checked or ignored\n{cell.source}"
    assert sum("nbval-check-output" in tags(cell) for cell in book.code) >= 3


def test_a_checked_output_is_text_that_was_printed(book):
    for cell in book.code:
        if "nbval-check-output" in tags(cell):
            assert "".join(text_of(output) for output in cell.outputs).strip(), f"{cell.id} checks nothing"


def test_parameters(book):
    cells = [cell for cell in book.code if "parameters" in tags(cell)]
    assert len(cells) == 1
    assert cells[0] is book.code[0]
    names = {
        target.id
        for node in ast.parse(cells[0].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    assert {"SEED", "DEVICE"} <= names
    assert book.path.parent.name != "3_leaves" or "NETWORK" in names


def test_budget_and_kernel(book):
    assert set(book.metadata["budget"]) == {"seconds", "memory_mb"}
    assert book.metadata["kernelspec"]["name"] == "python3"
    assert "papermill" not in book.metadata
    assert "widgets" not in book.metadata
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in book.cells)


def test_it_says_which_data_it_ran_on(book):
    printed = [
        text_of(output) for cell in book.code if "nbval-check-output" in tags(cell) for output in cell.outputs
    ]
    assert any(re.search(r"^data source: real", text, re.MULTILINE) for text in printed)


def test_the_code_is_plain_python(book):
    manager = TransformerManager()
    for cell in book.code:
        assert manager.transform_cell(cell.source).rstrip("\n") == cell.source.rstrip("\n"), (
            f"magic in {cell.id}"
        )
        assert "get_ipython" not in cell.source, f"{cell.id}: nbval and papermill treat magics differently"
        assert not cell.source.rstrip().endswith(";"), (
            f"{cell.id}: nbval runs without history, ';' hides nothing"
        )
        assert "NBVAL" not in cell.source, f"{cell.id}: use tags, not comments"


def test_functions_are_short(book):
    for cell in book.code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                solution = "### BEGIN SOLUTION" in cell.source
                assert lines <= LONGEST_FUNCTION + 4 * solution, f"{cell.id}: {node.name} has {lines} lines"


def test_every_picture_has_alt_text_and_a_sane_size(book):
    for cell in book.code:
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/svg+xml" not in data, f"{cell.id}: PNG only, nbval compares SVG"
            if "image/png" in data:
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt.split()) >= 5, f"{cell.id}: alt text"
                assert len(data["image/png"]) < 400_000, f"{cell.id}: {len(data['image/png'])} bytes"


def test_first_and_last_cell(book):
    first, last = book.cells[0], book.cells[-1]
    assert first.cell_type == last.cell_type == "markdown"
    assert re.match(rf"# {book.number} \S", first.source)
    assert re.search(r"found", last.source, re.IGNORECASE)
    assert re.search(r"references", last.source, re.IGNORECASE)
    for cell in book.cells[1:-1]:
        if cell.cell_type == "markdown" and "<details>" not in cell.source:
            words = len(re.sub(r"\$[^$]+\$|\|.*\||`[^`]+`", " ", cell.source).split())
            assert words <= 130, f"{cell.id} has {words} words: one idea per cell"


def test_exercises(book):
    assert 3 <= len(book.exercises) <= 5
    position = {cell.id: index for index, cell in enumerate(book.cells)}
    for name, cell in book.exercises.items():
        assert re.fullmatch(rf"{book.number}\.\d", name)
        assert cell.source.count("### BEGIN SOLUTION") == cell.source.count("### END SOLUTION") >= 1
        checks = book.checks(name)
        assert len(checks) >= 2
        assert sum(course(check)["points"] for check in checks) == course(cell)["points"]
        hidden = [check for check in checks if "hidden" in tags(check)]
        assert hidden, f"{name}: a printed target could be copied, add a hidden check on other inputs"
        assert [check for check in checks if "nbval-check-output" in tags(check)], f"{name}: no visible check"
        for check in checks:
            assert position[check.id] > position[cell.id]
            assert len(course(check)["message"].split()) >= 4
            if "hidden" in tags(check):
                assert not check.outputs, f"{name}: a hidden check prints nothing"
                assert "assert" in check.source, f"{name}: a hidden check that cannot fail"
    for cell in book.code:
        assert course(cell).get("for", next(iter(book.exercises))) in book.exercises


def test_every_exercise_has_a_task_and_hints(book):
    for index, cell in enumerate(book.cells):
        if cell.cell_type == "code" and "exercise" in tags(cell):
            task = book.cells[index - 1]
            assert task.cell_type == "markdown"
            assert re.search(rf"Exercise {re.escape(course(cell)['id'])}\b", task.source)
            assert task.source.count("<details>") == task.source.count("</details>") >= 1


def names_in(source, context):
    return {
        node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }


def defined(source):
    """Names that a cell binds at its top level."""
    tree = ast.parse(source)
    found = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            found |= {
                name.id
                for name in ast.walk(node)
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            }
    return found


def test_nothing_but_its_checks_depends_on_an_exercise(book):
    for name, exercise in book.exercises.items():
        bound = defined(exercise.source)
        for cell in book.code:
            if cell is exercise or course(cell).get("for") == name:
                continue
            shared = (bound & names_in(cell.source, ast.Load)) - defined(cell.source)
            assert not shared, f"{cell.id} uses {shared} of exercise {name}: a student copy would stop there"


def test_no_path_timing_or_address_in_a_checked_output(book):
    for cell in book.code:
        if "nbval-check-output" in tags(cell):
            text = "".join(text_of(output) for output in cell.outputs)
            assert not re.search(r" at 0x[0-9a-f]+|(?<![\w./])/(root|home|tmp|work|usr)/", text), (
                f"{cell.id}\n{text}"
            )
    assert not re.search(r"(?<![\w./])/(root|home|tmp|work)/\w", book.path.read_text())


NUMBER = re.compile(r"(?<![\w.^])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w.]*\d)")


def quoted_numbers(markdown):
    """The decimals that a markdown cell's prose quotes: not those in formulas, code, links or hints."""
    prose = re.sub(
        r"\$\$.*?\$\$|\$[^$\n]*\$|```.*?```|`[^`]*`|<details>.*?</details>", " ", markdown, flags=re.DOTALL
    )
    prose = re.sub(r"\]\([^)]*\)|https?://\S+|arXiv:\S+|doi:\S+|^#.*$", " ", prose, flags=re.MULTILINE)
    prose = re.split(r"\*\*References\*\*|#+ References", prose)[0]
    return [number.replace("\u2212", "-") for number in NUMBER.findall(prose) if "." in number]


def printed_numbers(text):
    """The absolute values of all numbers in a printed text."""
    return [abs(float(number)) for number in re.findall(r"\d+\.?\d*(?:[eE][-+]?\d+)?", text.replace(",", ""))]


def supported(number, available):
    """Whether a quoted number is a rounding of a printed one, or of it in percent."""
    value = abs(float(number.replace(",", "")))
    half = 0.5001 * 10.0 ** -len(number.partition(".")[2])
    return any(abs(printed * scale - value) <= half for printed in available for scale in (1, 100))


def test_every_decimal_in_the_prose_stands_in_a_checked_output_or_in_code_above(book):
    """Published figures that ours are compared with stand in the code or in a check too."""
    available, missing = [], []
    for cell in book.cells:
        if cell.cell_type == "code":
            available += printed_numbers(cell.source)
            if "nbval-check-output" in tags(cell):
                available += printed_numbers("".join(text_of(output) for output in cell.outputs))
        elif cell is not book.cells[0]:
            missing += [
                (cell.id, number)
                for number in quoted_numbers(cell.source)
                if not supported(number, available)
            ]
    assert not missing


def test_the_first_cell_says_whose_numbers_the_text_quotes(book):
    """On the sample the outputs differ from the text, and the reader has to know."""
    assert "numbers in the text are those of the real data" in book.cells[0].source
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert any("data source: " in text_of(output) for output in outputs)


def test_the_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text()
    for path in NOTEBOOKS:
        assert Path("notebooks", path.parent.name, path.name).as_posix() in readme

"""The exercise contract: student copies, merging, counting; on a small notebook and on all of the course."""

import copy
import json

import nbclient
import nbformat
import papermill
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course import contract
from course.grade import release as student
from course.notebooks import all_notebooks

KERNEL = "python3"
SOLUTION = '''def twice(x):
    """Two times x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION'''


def code(source, identifier, tags=(), output=None, count=1, **metadata):
    cell = nbformat.v4.new_code_cell(source, id=identifier, metadata={"tags": list(tags), **metadata})
    cell.execution_count = count
    if output is not None:
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)]
    return cell


def example():
    """A notebook with two exercises: 3 points with a hidden check, 1 point without one."""
    kernel = {"name": KERNEL, "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    message = "It should be twice the argument."
    book.cells = [
        nbformat.v4.new_markdown_cell("# 99 Example", id="text-99-01"),
        code("SEED = 0\nSIZE = 3", "code-99-01", ["parameters"]),
        code("values = [*range(SIZE)]\nprint(values)", "code-99-02", ["nbval-check-output"], "[0, 1, 2]\n"),
        nbformat.v4.new_markdown_cell("<details><summary>Hint 1</summary>Add.</details>", id="text-99-02"),
        code(SOLUTION, "exercise-99-1", ["exercise"], "noise", course={"id": "99.1", "points": 3}),
        code("print(twice(3))", "check-99-1-01", ["nbval-check-output"], "6\n",
             course={"for": "99.1", "points": 2, "message": message}),
        code("assert twice(10**6) == 2_000_000", "check-99-1-02", ["hidden"],
             course={"for": "99.1", "points": 1, "message": "Large numbers too."}),
        code("### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION", "exercise-99-2", ["exercise"],
             course={"id": "99.2", "points": 1}),
        code("print(answer)", "check-99-2-01", ["nbval-check-output"], "42\n",
             course={"for": "99.2", "points": 1, "message": "Ask again."}),
        code("print(sum(values))", "code-99-03", ["nbval-check-output"], "3\n"),
    ]  # fmt: skip
    return book


def by_id(book):
    return {cell.id: cell for cell in book.cells}


def test_exercises_are_read_with_their_checks():
    first, second = contract.exercises(example())
    assert (first.id, first.points, first.cell) == ("99.1", 3, "exercise-99-1")
    assert [(check.points, check.hidden) for check in first.checks] == [(2, False), (1, True)]
    assert first.checks[0].message == "It should be twice the argument."
    assert [check.cell for check in second.checks] == ["check-99-2-01"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells[4].update(source=cells[4].source.replace("END", "end")), "each '### BEGIN"),
        (lambda cells: cells[5].metadata["course"].update(points=1), "checks give 2 points; allowed are 3"),
        (lambda cells: cells.append(cells[4]), "2 cells have this id"),
        (lambda cells: cells[8].metadata["course"].update({"for": "99.7"}), "no exercise '99.7' stands"),
        (lambda cells: cells.insert(0, cells.pop(5)), "no exercise '99.1' stands above"),
    ],
)
def test_a_broken_contract_is_named(change, message):
    book = example()
    change(book.cells)
    with pytest.raises(ValueError, match=message):
        contract.exercises(book)


def test_the_student_copy_has_stubs_and_no_hidden_check():
    book = example()
    before = copy.deepcopy(book)
    cells = by_id(contract.student_copy(book))
    assert book == before
    assert cells["exercise-99-1"].source == (
        'def twice(x):\n    """Two times x."""\n    # YOUR CODE HERE\n'
        '    raise NotImplementedError("exercise 99.1: not attempted")'
    )
    assert cells["exercise-99-1"].outputs == []
    said = [{"points": 1, "message": "Large numbers too."}]
    assert cells["exercise-99-1"].metadata.course == {"id": "99.1", "points": 3, "hidden": said}
    assert cells["check-99-1-01"].outputs[0].text == "6\n"
    assert cells["check-99-1-01"].metadata.tags == ["nbval-check-output", "raises-exception"]
    assert "check-99-1-02" not in cells
    for untouched in ("text-99-01", "code-99-01", "code-99-02", "text-99-02", "code-99-03"):
        assert cells[untouched] == by_id(book)[untouched]


def test_a_student_copy_of_a_student_copy_is_the_same():
    once = contract.student_copy(example())
    assert contract.student_copy(once) == once


def test_the_student_copy_runs_to_the_end():
    book = nbclient.NotebookClient(contract.student_copy(example()), kernel_name=KERNEL).execute()
    errors = [output for cell in book.cells for output in cell.get("outputs", []) if "ename" in output]
    assert [error.evalue for error in errors] == [
        "exercise 99.1: not attempted",
        "exercise 99.2: not attempted",
        "name 'answer' is not defined",
    ]
    assert book.cells[-1].outputs[0].text == "3\n"


def test_papermill_parameters_reach_a_student_copy(tmp_path):
    path = tmp_path / "99_example.ipynb"
    nbformat.write(contract.student_copy(example()), path)
    assert papermill.inspect_notebook(str(path))["SIZE"]["default"] == "3"
    with pytest.raises(papermill.PapermillExecutionError):  # said after the last cell
        papermill.execute_notebook(str(path), str(path), {"SIZE": 4}, progress_bar=False, kernel_name=KERNEL)
    shown = nbformat.read(path, 4).cells[-1].outputs
    assert "".join(output.get("text", "") for output in shown) == "6\n"  # a busy machine sends it in pieces


@given(st.text("ab #\n\t", max_size=30), st.sampled_from(["", "    ", "\t"]), st.integers(1, 3))
def test_every_solution_is_replaced_at_its_indentation(inside, indent, blocks):
    solution = f"{indent}### BEGIN SOLUTION\nSECRET = 1\n{inside}\n{indent}### END SOLUTION"
    source = contract.stub("\nx = 1\n".join([solution] * blocks), "1.1")
    assert "SECRET" not in source
    assert source.count("raise NotImplementedError") == blocks
    assert all(
        line.startswith(indent + "raise") for line in source.splitlines() if line.lstrip().startswith("raise")
    )


def submitted(change=None):
    """A student copy with the right answer to the first exercise."""
    book = contract.student_copy(example())
    by_id(book)["exercise-99-1"].source = "def twice(x):\n    return x + x"
    if change:
        change(book)
    return book


def worked(book):
    answers = contract.answers(example(), book)
    return {name: (answer.attempted, answer.note) for name, answer in answers.items()}


def test_answers_are_found_by_cell_id_wherever_they_stand():
    assert worked(submitted()) == {"99.1": (True, ""), "99.2": (False, "")}
    assert worked(submitted(lambda book: book.cells.reverse())) == {"99.1": (True, ""), "99.2": (False, "")}


def test_without_ids_the_metadata_finds_them():
    def forget(book):
        for number, cell in enumerate(book.cells):
            cell.id = f"new-{number}"

    assert worked(submitted(forget))["99.1"] == (True, "found by its metadata: the cell's id is lost")


def test_a_missing_cell_is_not_attempted():
    found = contract.answers(example(), submitted(lambda book: book.cells.pop(4)))["99.1"]
    assert (found.attempted, found.note) == (False, "the exercise's cell is missing")
    assert "NotImplementedError" in found.source


def test_of_two_cells_the_original_counts_unless_it_is_empty():
    def copied(book):
        book.cells.append(copy.deepcopy(book.cells[4]))
        book.cells[-1].update(id="copied", source="def twice(x):\n    return 7")

    assert "x + x" in contract.answers(example(), submitted(copied))["99.1"].source

    def moved(book):
        copied(book)
        book.cells[4].source = contract.stub(SOLUTION, "99.1") + "\n\n"

    found = contract.answers(example(), submitted(moved))["99.1"]
    assert "return 7" in found.source
    assert "2 cells claim this exercise" in found.note


def test_a_pasted_cell_with_the_same_id_does_not_replace_the_original():
    def pasted(book):
        book.cells.insert(5, copy.deepcopy(book.cells[4]))
        book.cells[5].source = "def twice(x):\n    return 7"

    assert "x + x" in contract.answers(example(), submitted(pasted))["99.1"].source


def test_the_parts_of_a_split_cell_are_joined():
    def split(book):
        book.cells.insert(5, copy.deepcopy(book.cells[4]))
        book.cells[5].update(id="second", source="def twice(x):\n    return add(x, x)")
        book.cells[4].source = "def add(a, b):\n    return a + b"

    found = contract.answers(example(), submitted(split))["99.1"].source
    assert found == "def add(a, b):\n    return a + b\ndef twice(x):\n    return add(x, x)"


def scored(verdicts, book=None):
    reference = example()
    result = contract.score(reference, contract.answers(reference, book or submitted()), verdicts)
    return result["points"], [row["outcome"] for row in result["exercises"]], result


def test_points_are_counted_per_check():
    good, bad = contract.Verdict(True), contract.Verdict(False, "", "6", "7")
    hidden = contract.Verdict(False, "raised ValueError", "secret", "secret")
    assert scored({"check-99-1-01": good, "check-99-1-02": good})[:2] == (3, ["correct", "not attempted"])
    points, outcomes, result = scored({"check-99-1-01": bad, "check-99-1-02": good})
    assert (points, outcomes[0], result["possible"]) == (1, "partly", 4)
    first = result["exercises"][0]["checks"][0]
    assert first["message"] == "It should be twice the argument."
    assert (first["expected"], first["got"]) == ("6", "7")
    points, outcomes, result = scored({"check-99-1-01": good, "check-99-1-02": hidden})
    assert (points, outcomes[0]) == (2, "partly")
    second = result["exercises"][0]["checks"][1]
    assert (second["message"], second["detail"]) == ("Large numbers too.", "raised ValueError")
    assert "secret" not in json.dumps(result)


def test_a_check_that_did_not_run_earns_nothing():
    points, outcomes, result = scored({"check-99-1-01": contract.Verdict(True)})
    assert (points, outcomes[0]) == (2, "partly")
    assert result["exercises"][0]["checks"][1]["detail"] == "did not run"


def test_what_was_not_attempted_earns_nothing_whatever_the_checks_say():
    checks = [check.cell for one in contract.exercises(example()) for check in one.checks]
    everything = dict.fromkeys(checks, contract.Verdict(True))
    points, outcomes, _ = scored(everything, contract.student_copy(example()))
    assert (points, outcomes) == (0, ["not attempted", "not attempted"])
    stub = {name: contract.Verdict(False, unfinished=True) for name in everything}
    assert scored(stub)[1][0] == "not attempted"  # edited, but the stub's line is still there


@pytest.mark.parametrize("path", all_notebooks(), ids=lambda path: path.stem)
def test_student_copies_of_the_course(path):
    reference = nbformat.read(path, 4)
    text = student.copy_text(reference)
    assert text == student.copy_text(reference)
    copied = nbformat.reads(text, as_version=4)
    nbformat.validate(copied)
    assert contract.BEGIN not in text
    assert contract.END not in text
    cells, originals = by_id(copied), by_id(reference)
    for exercise in contract.exercises(reference):
        stub = cells[exercise.cell]
        assert "not attempted" in stub.source
        assert not contract.answers(reference, copied)[exercise.id].attempted
        compile(stub.source, exercise.id, "exec")
        for check in exercise.checks:
            assert (check.cell in cells) != check.hidden
            if check.hidden:
                lines = originals[check.cell].source.splitlines()
                assert not any(line.strip() in text for line in lines if "assert " in line)
            else:
                assert cells[check.cell].outputs == originals[check.cell].outputs
                printed = originals[check.cell].outputs[0].text.rstrip("\n")
                assert printed in cells[f"wanted-{check.cell}"].source
    parameters = [cell for cell in copied.cells if "parameters" in contract.tags(cell)]
    assert len(parameters) == 1
    assert parameters[0] == originals[parameters[0].id]

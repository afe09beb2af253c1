"""The mutation sampler makes the changes it says, and its list of equivalent ones is not stale."""

import ast

import pytest

from course.check import mutant_runs, mutate_helpers
from course.check.equivalent_mutants import EQUIVALENT

SOURCE = '''"""Doc 1."""
BLOCK = 4


def f(x, seed=3):
    """Doc 2."""
    if x < 2 and not x.sum(axis=1) == -x:
        raise ValueError(f"{x + 1}")
    return x[1:] * 2.0
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "some.py").write_text(SOURCE)
    monkeypatch.setattr(mutate_helpers, "ROOT", tmp_path)
    monkeypatch.setattr(mutate_helpers, "SPEED_ALONE", {("some", "BLOCK")})
    return mutate_helpers.mutants("some")


def test_every_kind_of_change_is_made_once_and_one_at_a_time(module):
    changes = {mutant.change for mutant in module}
    for expected in ("2 -> 3", "2 -> 1", "x < 2 -> x <= 2", "axis=1 -> axis=0", "-x -> +x", "1 -> 0",
                     "2.0 -> 3.0", "x.sum(axis=1) == -x -> x.sum(axis=1) != -x", "x[1:] * 2.0 -> x[1:] / 2.0",
                     "return x[1:] * 2.0 -> return None"):
        assert expected in changes
    assert any(" and " in change and " or " in change for change in changes)
    assert any(change.startswith("not x.sum") for change in changes)
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in module:
        lines = mutant.source().splitlines()
        assert sum(one != other for one, other in zip(whole, lines, strict=True)) == 1, mutant


def test_messages_docstrings_seeds_and_block_sizes_are_left_alone(module):
    assert {mutant.line for mutant in module} == {7, 9}


def test_the_table_counts_what_was_killed():
    make = lambda name: mutate_helpers.Mutant(name, 1, "", "", "")
    results = [(make("a"), "killed")] * 3 + [(make("a"), "survived"), (make("b"), "equivalent")] + [
        (make("b"), "timed out")] * 2
    text, share = mutate_helpers.table(results)
    assert text.splitlines()[2:] == ["| a | 4 | 3 | 0 | 1 | 75 |", "| b | 3 | 2 | 1 | 0 | 100 |",
                                     "| all | 7 | 5 | 1 | 1 | 83 |"]
    assert share == pytest.approx(100 * 5 / 6)


def test_every_equivalent_change_is_still_one_that_can_be_made():
    for module in {key[0] for key in EQUIVALENT}:
        possible = {(module, mutant.text, mutant.change) for mutant in mutate_helpers.mutants(module)}
        assert {key for key in EQUIVALENT if key[0] == module} <= possible


def test_every_module_of_helpers_has_tests_that_answer_for_it():
    modules = {path.stem for path in (mutate_helpers.ROOT / "helpers").glob("*.py")}
    assert modules - {"__init__"} == set(mutate_helpers.TESTS)
    for names in mutate_helpers.TESTS.values():
        assert all((mutate_helpers.ROOT / "tests" / "helpers" / f"test_{name}.py").exists() for name in names)


def test_a_mutant_gets_the_tests_that_execute_its_statement_the_quickest_first():
    source = "LIMIT = 3\n\n\ndef f(x):\n    y = (x +\n         1)\n    return y\n"
    record = {"slow": [2.0, [5, 6, 7]], "quick": [0.1, [5, 7]], "other": [0.5, [9]]}
    assert mutant_runs.touching(record, source, 6) == ["quick", "slow"]
    assert mutant_runs.touching(record, source, 7) == ["quick", "slow"]
    assert mutant_runs.touching(record, source, 1) == ["quick", "other", "slow"]  # executed by the import


@pytest.mark.skipif(not hasattr(mutant_runs.os, "fork"), reason="no os.fork here")
def test_a_changed_module_fails_its_tests_and_the_unchanged_one_passes(tmp_path, monkeypatch):
    """A checkout of one module with two tests stands for the course's."""
    root = tmp_path / "checkout"
    for name in ("helpers", "tests/helpers", "course", "data", "notebooks"):
        (root / name).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (root / "helpers" / "__init__.py").write_text("")
    (root / "tests" / "conftest.py").write_text("")
    code = "def f(x):\n    return x + 1\n\n\ndef g(x):\n    return x * 1\n"
    (root / "helpers" / "some.py").write_text(code)
    tests = "import helpers.some as some\n\n\ndef test_f():\n    assert some.f(1) == 2\n\n\n"
    (root / "tests" / "helpers" / "test_some.py").write_text(tests + "def test_g():\n    some.g(0)\n")
    for module in (mutant_runs, mutate_helpers):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(mutate_helpers, "TESTS", {"some": ["some"]})
    records = mutate_helpers.recorded(["some"], 1, tmp_path)
    assert {test.split("::")[1]: lines for test, (_, lines) in records["some"].items()} == {
        "test_f": [2], "test_g": [6]}  # fmt: skip
    chosen = [mutant for mutant in mutate_helpers.mutants("some") if mutant.kind == "arithmetic"]
    outcomes = {mutant.line: outcome for mutant, outcome in mutate_helpers.judge(chosen, 1, records)}
    assert outcomes == {2: "killed", 6: "survived"}
    kept = mutate_helpers.Kept(tmp_path)
    kept.add(chosen[0], "killed")
    assert [mutate_helpers.Kept(tmp_path)[mutant] for mutant in chosen] == ["killed", None]

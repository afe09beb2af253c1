"""Would nbval notice? Change a notebook's code in one small place at a time and compare its outputs.

    python -m course.check.mutate_notebooks                     # 40 mutants of the quick notebooks, seed 0
    python -m course.check.mutate_notebooks 12 22 --count 10 --seed 3

A notebook runs once, in a process of its own. Before each cell it forks for the changes of that cell: the
fork runs the changed cell and those behind it, up to the first checked output that does not agree with the
stored one, by the comparison that nbval uses. Needs os.fork, which Windows lacks.

Constants, operators, comparisons, axes, signs, the order of a sort, what a function returns: the changes of
course.check.mutate_helpers, in the cells of the lesson. Exercises have checks of their own, of which wrong
answers are the test (tests/course/grade/wrong_answers). Left alone: what a figure looks like, texts, seeds.
"""

import argparse
import ast
import copy
import os
import random
import sys
import traceback
from dataclasses import dataclass
from multiprocessing import Array

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course.check.compare import agree, rules_of
from course.check.equivalent_mutants import LOOKS
from course.check.mutate_helpers import changes
from course.contract import course, tags
from course.notebooks import find
from helpers.figures import MIME

QUICK = ["11", "12", "13", "14", "15", "16", "19", "21", "22", "24", "41", "42", "43"]  # 20 s or less
LIMIT = 300  # seconds of the processor; what takes longer is noticed


@dataclass(frozen=True)
class Mutant:
    """One change of a notebook's cell: its number, the cell's id and new source, kind, before and after."""

    number: str
    cell: str
    source: str
    kind: str
    change: str

    def __str__(self):
        return f"{self.number} {self.cell}  {self.kind}: {self.change}"


def left_alone(tree):
    """Nodes that word something or say what it looks like."""
    found = set()
    for node in ast.walk(tree):
        looks = isinstance(node, ast.keyword) and node.arg in LOOKS
        # "{x:7.2f}" holds its format as a text; a raised error words something
        if looks or isinstance(node, ast.Raise):
            found |= {id(inner) for inner in ast.walk(node)}
    return found


def mutants(number):
    """Every Mutant of a notebook's lesson cells."""
    found = []
    for cell in nbformat.read(find(number), 4).cells:
        lesson = cell.cell_type == "code" and not {"parameters", "exercise", "hidden"} & set(tags(cell))
        if not lesson or "for" in course(cell):
            continue
        tree = ast.parse(cell.source)
        alone = left_alone(tree)
        for place, node in enumerate(ast.walk(tree)):
            if id(node) in alone:
                continue
            for count, (kind, _) in enumerate(changes(node)):
                changed = copy.deepcopy(tree)
                target = list(ast.walk(changed))[place]
                changes(target)[count][1](target)
                line = cell.source.splitlines()[getattr(node, "lineno", 1) - 1].strip()
                change = f"{ast.unparse(node)[:60]} -> {ast.unparse(target)[:60]}    | {line}"
                found.append(Mutant(number, cell.id, ast.unparse(changed), kind, change))
    return found


def told(outputs):
    """What a cell's outputs say: printed text, then each display, a figure by its description."""
    printed = "".join(one.get("text", "") for one in outputs if one.get("name") == "stdout")
    data = [one["data"] for one in outputs if "data" in one]
    return [printed, *(str(one.get(MIME) or one.get("text/plain", "")) for one in data)]


def run(source):
    """(outputs, whether it ended without an error) of code in this process."""
    with capture_output() as captured:
        result = InteractiveShell.instance().run_cell(source)
    displays = [{"data": one.data} for one in captured.outputs]
    return [{"name": "stdout", "text": captured.stdout}, *displays], result.success


def agrees(cell, source):
    """Whether a cell's code, run here, gives what is stored with the cell, where that is checked."""
    outputs, good = run(source)
    if not good or "nbval-check-output" not in tags(cell):
        return good or "raises-exception" in tags(cell)
    stored, found = told(cell.outputs), told(outputs)
    rules = rules_of(cell.metadata)
    return len(stored) == len(found) and all(agree(*pair, rules) for pair in zip(stored, found, strict=True))


def forked(work):
    """Run work() in a fork: True where it returned True, False otherwise, or where it took too long."""
    import resource  # not on Windows

    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
        code = 1
        try:
            code = 0 if work() else 1
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def judge(number, chosen, counts):
    """Print for each mutant of a notebook whether it is caught; counts: [caught, survived], shared.

    True where the unchanged notebook agrees too; it says so and stops where it does not.
    """
    os.chdir(find(number).parent)
    cells = [cell for cell in nbformat.read(find(number), 4).cells if cell.cell_type == "code"]
    for place, cell in enumerate(cells):
        for mutant in (one for one in chosen if one.cell == cell.id):
            changed = [mutant.source, *(one.source for one in cells[place + 1 :])]
            missed = forked(lambda: all(map(agrees, cells[place:], changed)))  # noqa: B023 (runs at once)
            counts[missed] += 1
            print("survived" if missed else "caught  ", mutant, flush=True)
        if not agrees(cell, cell.source):
            print(f"{number} {cell.id}: differs without any change", flush=True)
            return False
    return True


def sample(every, count, seed):
    """About `count` mutants, as many of each kind: most are constants, and few are a sign or an axis."""
    draw, kinds = random.Random(seed), sorted({mutant.kind for mutant in every})
    chosen = []
    for kind in kinds:
        these = [mutant for mutant in every if mutant.kind == kind]
        chosen += draw.sample(these, min(len(these), -(-count // len(kinds))))
    return draw.sample(chosen, len(chosen))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", default=QUICK)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("mutate_notebooks: this system has no os.fork; run it on Linux or macOS")
    every = [mutant for number in arguments.numbers for mutant in mutants(number)]
    chosen = sample(every, arguments.count, arguments.seed)
    os.environ["MPLBACKEND"] = "agg"
    counts = Array("i", 2)
    for number in arguments.numbers:
        mine = [mutant for mutant in chosen if mutant.number == number]
        if mine:
            forked(lambda: judge(number, mine, counts))  # noqa: B023 (runs at once)
    print(f"{counts[0]} of {sum(counts)} caught, of {len(every)} possible")


if __name__ == "__main__":
    main()

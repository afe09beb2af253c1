"""Would nbval notice? Change a notebook's code in one small place at a time and compare its outputs.

    python -m course.check.mutate_notebooks                     # 40 mutants of the quick notebooks, seed 0
    python -m course.check.mutate_notebooks 12 22 --count 10 --seed 3

Constants, operators, comparisons, axes, signs, the order of a sort, what a function returns: the changes of
course.check.mutate_helpers, in the cells of the lesson. Exercises have checks of their own, of which wrong
answers are the test (tests/course/grade/wrong_answers). Left alone: what a figure looks like, texts, seeds.
"""

import argparse
import ast
import copy
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course.check.equivalent_mutants import LOOKS
from course.check.mutate_helpers import changes
from course.commands import NBVAL
from course.contract import course, tags
from course.notebooks import ROOT, find

QUICK = ["11", "12", "13", "14", "15", "16", "19", "21", "22", "24", "41", "42", "43"]  # 20 s or less
LIMIT = 300  # seconds; a notebook that takes longer is noticed


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


def caught(mutant):
    """Whether nbval fails on the notebook with the change."""
    book = nbformat.read(find(mutant.number), 4)
    next(cell for cell in book.cells if cell.id == mutant.cell).source = mutant.source
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, find(mutant.number).name)
        nbformat.write(book, path)
        alone = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", *alone, *NBVAL, str(path)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return True
    return done.returncode != 0


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
    parser.add_argument("--share", default="0/1", help="K/N: every Nth of the sample, from the Kth on")
    arguments = parser.parse_args()
    every = [mutant for number in arguments.numbers for mutant in mutants(number)]
    chosen = sample(every, arguments.count, arguments.seed)
    place, _, of = arguments.share.partition("/")
    results = Counter()
    for mutant in chosen[int(place) :: int(of)]:
        found = caught(mutant)
        results[found] += 1
        print("caught  " if found else "survived", mutant, flush=True)
    print(f"{results[True]} of {results.total()} caught, of {len(every)} possible")


if __name__ == "__main__":
    main()

"""Would the tests notice? Change the helpers in one small place at a time and run that module's own tests.

    python -m course.check.mutate_helpers                     # 200 mutants over all modules, seed 0
    python -m course.check.mutate_helpers --modules heatmaps --count 40 --seed 3

Prints a table and every mutant that survived. The exit code is 1 where fewer than 95 % were killed, those of
EQUIVALENT, which change nothing or speed alone, left out. Outcomes are kept in build/mutants, so a run that
was stopped goes on. Nothing in the checkout is changed: each mutant is a copy in a temporary folder. Needs
os.fork, which Windows lacks; the tests themselves run there.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from course.check.equivalent_mutants import ANY_VALUE, EQUIVALENT, LOOKS, SPEED_ALONE
from course.check.mutant_runs import ROOT, preload, side_by_side, start, touching
from course.notebooks import BUILD

TESTS = {  # module: the test files that answer for it, the quickest first
    "anomalies": ["anomalies", "planted"], "arguments": ["anomalies_input", "scoring_input", "tables_input"],
    "basis": ["descriptors", "molecules"],
    "datasets": ["datasets", "own", "sources"], "descriptors": ["descriptors"],
    "faithfulness": ["faithfulness"], "figures": ["figures"], "files": ["files", "sources", "manifest"],
    "graphs": ["graphs", "gpu_paths"], "heatmaps": ["heatmaps", "lrp", "gpu_paths"],
    "images": ["images", "networks"], "kernels": ["kernels", "descriptors", "predictor"],
    "lrp": ["lrp", "lrp_gamma", "composite"], "molecules": ["molecules", "descriptors"],
    "networks": ["networks", "torchvision"], "plots": ["plots", "figures", "molecules"],
    "predictor": ["predictor"], "reading": ["reading", "tables"],
    "runtime": ["runtime", "umap_cache"],
    "scoring": ["scoring", "scoring_input"], "softmin": ["anomalies", "softmin_tasks"],
    "softmin_tasks": ["softmin_tasks", "gpu_paths"], "sources": ["sources"], "tables": ["own", "tables"],
    "training": ["training", "gpu_paths"], "weights": ["networks"], "xyz": ["own"],
}
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub,
    ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
    ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change: module, line and its text, kind, before and after; place: node and edit, None for none."""

    module: str
    line: int
    text: str
    kind: str
    change: str
    place: tuple | None = None

    def __str__(self):
        return f"helpers/{self.module}.py:{self.line}  {self.kind}: {self.change}    | {self.text}"

    def source(self):
        """The module's text with the change."""
        text = (ROOT / "helpers" / f"{self.module}.py").read_text("utf-8")
        if self.place is None:
            return text
        tree = ast.parse(text)
        node = list(ast.walk(tree))[self.place[0]]
        changes(node)[self.place[1]][1](node)
        return ast.unparse(tree)


def changes(node):
    """[(kind, edit)] for an AST node: each edit(copy of the node) makes one small change in place."""
    found = []
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        number = node.value
        steps = [number + 1, number - 1] if isinstance(number, int) else [number * 1.5 if number else 1.0]
        found += [("constant", lambda n, v=step: setattr(n, "value", v)) for step in steps]
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        found.append(("boolean", lambda n: setattr(n, "value", not n.value)))
    if isinstance(node, ast.keyword) and node.arg in ("axis", "dim") and isinstance(node.value, ast.Constant):
        found.append(("axis", lambda n: setattr(n.value, "value", 0 if n.value.value else 1)))
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            other = SWAPS[type(op)]
            found.append(("comparison", lambda n, k=place, new=other: n.ops.__setitem__(k, new())))
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in SWAPS:
        found.append(("arithmetic", lambda n: setattr(n, "op", SWAPS[type(n.op)]())))
    if isinstance(node, ast.BoolOp):
        found.append(("boolean", lambda n: setattr(n, "op", SWAPS[type(n.op)]())))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not, ast.Invert)):
        found.append(("sign", lambda n: setattr(n, "op", ast.UAdd() if isinstance(n.op, ast.USub) else
                                               _doubled(n))))
    if isinstance(node, ast.Return) and ast.unparse(node) not in ("return", "return None"):
        found.append(("return", lambda n: setattr(n, "value", ast.Constant(None))))
    return found


def _doubled(node):
    """`not x` twice is bool(x): the negation is gone."""
    node.operand = ast.UnaryOp(copy.copy(node.op), node.operand)
    return node.op


def _in_messages(tree, free=ANY_VALUE):
    """Nodes that only word a message, and arguments that may have any value (`free`)."""
    wording = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.AnnAssign)):
            wording |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.keyword) and node.arg in free:
            wording |= {id(node), id(node.value)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reshape":
            wording |= {id(size.operand) for size in node.args if isinstance(size, ast.UnaryOp)}  # -2 is -1
        if isinstance(node, ast.arguments):
            arguments = node.args[len(node.args) - len(node.defaults):]
            wording |= {id(default) for argument, default in zip(arguments, node.defaults, strict=True)
                        if argument.arg in free}
    return wording


def mutants(module):
    """Every Mutant of a module, in the order of its lines."""
    text = (ROOT / "helpers" / f"{module}.py").read_text("utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    wording, found = _in_messages(tree, ANY_VALUE | (LOOKS if module == "plots" else set())), []
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in wording or _speed_alone(module, node, tree):
            continue
        for number, (kind, edit) in enumerate(changes(node)):
            target = copy.deepcopy(node)
            edit(target)
            line = getattr(node, "lineno", getattr(getattr(node, "value", None), "lineno", 0))
            change = f"{ast.unparse(node)[:60]} -> {ast.unparse(target)[:60]}"
            found.append(Mutant(module, line, lines[line - 1].strip(), kind, change, (index, number)))
    return sorted(found, key=lambda mutant: mutant.line)


def _speed_alone(module, node, tree):
    """True inside the assignment of a module's constant that sets speed or patience and no result."""
    return any(isinstance(statement, ast.Assign) and statement.targets[0].__class__ is ast.Name
               and (module, statement.targets[0].id) in SPEED_ALONE
               and statement.lineno <= getattr(node, "lineno", 0) <= statement.end_lineno
               for statement in tree.body)


def sample(modules, count, seed):
    """`count` mutants over the modules, each in proportion to its length and with at least five.

    A module draws for itself, so that a change of one leaves the samples of the others as they were.
    """
    chosen = []
    every = {module: mutants(module) for module in modules}
    total = sum(map(len, every.values()))
    for module, found in every.items():
        wanted = min(len(found), max(5, round(count * len(found) / total)))
        drawn = random.Random(f"{seed} {module}").sample(found, len(found))[:wanted]
        chosen += sorted(drawn, key=lambda mutant: mutant.line)
    return chosen


def judge(chosen, jobs, records):
    """Yield (mutant, "killed", "survived" or "timed out"), `jobs` mutants at a time, as they end."""

    def begin(mutant):
        source = (ROOT / "helpers" / f"{mutant.module}.py").read_text("utf-8")
        tests = touching(records[mutant.module], source, mutant.line)
        return start(mutant.module, mutant.source(), tests)

    yield from side_by_side(chosen, begin, jobs)


def recorded(modules, jobs, folder):
    """{module: {test: [seconds, lines]}} of the unchanged modules; exits where a test fails without a change.

    What stands in the folder already is read where module and tests are what they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {module: folder / f"{module}-{_digest(module)}.json" for module in modules}

    def begin(module):
        text = (ROOT / "helpers" / f"{module}.py").read_text("utf-8")
        tests = [f"tests/helpers/test_{name}.py" for name in TESTS[module]]
        return start(module, text, tests, places[module])

    missing = [module for module in modules if not places[module].exists()]
    outcomes = list(side_by_side(missing, begin, jobs))
    broken = [module for module, outcome in outcomes if outcome != "survived"]
    if broken:
        sys.exit(f"mutate_helpers: tests of {', '.join(broken)} fail without any change")
    return {module: json.loads(place.read_text()) for module, place in places.items()}


class Kept:
    """The outcomes of earlier mutants, as long as module and tests are what they were."""

    def __init__(self, folder):
        self.file = folder / "outcomes.txt"
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        self.known = dict(line.split("\t", 1)[::-1] for line in lines)

    def __getitem__(self, mutant):
        return self.known.get(f"{_digest(mutant.module)} {mutant.place} {mutant}")

    def add(self, mutant, outcome):
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{outcome}\t{_digest(mutant.module)} {mutant.place} {mutant}\n")


@lru_cache(None)
def _digest(module):
    """A short digest of a module and its tests."""
    files = [ROOT / "helpers" / f"{module}.py"]
    files += [ROOT / "tests" / "helpers" / f"test_{name}.py" for name in TESTS[module]]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def table(results):
    """Markdown: per module how many mutants, killed, equivalent, survived and the share that was killed."""
    lines = ["| module | mutants | killed | equivalent | survived | killed, % |", "| --- |" + " ---: |" * 5]
    counts = {}
    for mutant, outcome in results:
        counts.setdefault(mutant.module, Counter())[outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    for module, found in counts.items():
        killed = found["killed"] + found["timed out"]
        rest = max(1, found.total() - found["equivalent"])
        share = f"{100 * killed / rest:.0f}"
        row = module, found.total(), killed, found["equivalent"], found["survived"], share
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines), 100 * killed / rest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", nargs="*", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if not hasattr(os, "fork"):
        sys.exit("mutate_helpers: this system has no os.fork; run it on Linux or macOS")
    preload()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no test goes on alone
    records = recorded(arguments.modules, arguments.jobs, BUILD / "mutants")
    chosen = sample(arguments.modules, arguments.count, arguments.seed)
    equivalent = [mutant for mutant in chosen if (mutant.module, mutant.text, mutant.change) in EQUIVALENT]
    results = [(mutant, "equivalent") for mutant in equivalent]
    kept = Kept(BUILD / "mutants")
    results += [(mutant, kept[mutant]) for mutant in chosen if kept[mutant]]
    tried = [mutant for mutant in chosen if mutant not in equivalent and not kept[mutant]]
    for mutant, outcome in judge(tried, arguments.jobs, records):
        kept.add(mutant, outcome)
        results.append((mutant, outcome))
    for mutant, outcome in results:
        if outcome in ("survived", "timed out"):
            print(f"{outcome}: {mutant}")
    text, share = table(results)
    print(text)
    sys.exit(share < 95)


if __name__ == "__main__":
    main()

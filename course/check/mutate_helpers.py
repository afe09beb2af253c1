"""Would the tests notice? Change the helpers in one small place at a time and run that module's own tests.

    python -m course.check.mutate_helpers                     # 200 mutants over all modules, seed 0
    python -m course.check.mutate_helpers --modules heatmaps --count 40 --seed 3

Prints a table and every mutant that survived. The exit code is 1 where fewer than 95 % were killed, those of
EQUIVALENT, which change nothing or speed alone, left out. Nothing in the checkout is changed: each mutant
is a copy in a temporary folder. Needs os.fork, which Windows lacks; the tests themselves run there.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from course.check.equivalent_mutants import ANY_VALUE, EQUIVALENT, SPEED_ALONE

ROOT = Path(__file__).resolve().parents[2]
TESTS = {  # module: the test files that answer for it, the quickest first
    "anomalies": ["anomalies", "planted"], "basis": ["descriptors", "molecules"],
    "datasets": ["datasets", "own", "sources"], "descriptors": ["descriptors"],
    "faithfulness": ["faithfulness"], "files": ["files", "sources", "manifest"],
    "graphs": ["graphs", "gpu_paths"], "heatmaps": ["lrp_gamma", "heatmaps", "gpu_paths"],
    "images": ["images", "networks"], "kernels": ["kernels", "descriptors", "predictor"],
    "lrp": ["lrp", "lrp_gamma", "composite"], "molecules": ["molecules", "descriptors"],
    "networks": ["networks", "torchvision"], "predictor": ["predictor"], "reading": ["reading", "tables"],
    "runtime": ["runtime", "umap_cache"],
    "scoring": ["scoring"], "softmin": ["anomalies", "softmin_tasks"],
    "softmin_tasks": ["softmin_tasks", "gpu_paths"], "sources": ["sources"], "tables": ["own", "tables"],
    "training": ["training", "gpu_paths"],
}
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub,
    ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
    ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
}
LIMIT = 300  # seconds for the tests of one mutant; longer means that they never end, which a person notices


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


def _in_messages(tree):
    """Nodes that only word a message, and arguments that may have any value (ANY_VALUE)."""
    wording = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.AnnAssign)):
            wording |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.keyword) and node.arg in ANY_VALUE:
            wording |= {id(node), id(node.value)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "reshape":
            wording |= {id(size.operand) for size in node.args if isinstance(size, ast.UnaryOp)}  # -2 is -1
        if isinstance(node, ast.arguments):
            arguments = node.args[len(node.args) - len(node.defaults):]
            wording |= {id(default) for argument, default in zip(arguments, node.defaults, strict=True)
                        if argument.arg in ANY_VALUE}
    return wording


def mutants(module):
    """Every Mutant of a module, in the order of its lines."""
    text = (ROOT / "helpers" / f"{module}.py").read_text("utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    wording, found = _in_messages(tree), []
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
    """`count` mutants over the modules, each in proportion to its length and with at least eight."""
    rng, chosen = random.Random(seed), []
    every = {module: mutants(module) for module in modules}
    total = sum(map(len, every.values()))
    for found in every.values():
        wanted = min(len(found), max(8, round(count * len(found) / total)))
        chosen += sorted(rng.sample(found, wanted), key=lambda mutant: mutant.line)
    return chosen


def checkout(folder):
    """A copy of what the tests need, with the data linked."""
    for name in ("helpers", "tests/helpers", "course"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("data", "notebooks"):
        (folder / name).symlink_to(ROOT / name)


def start(mutant):
    """Start the module's tests on a copy with the mutant, in a fork that has the libraries loaded."""
    folder = Path(tempfile.mkdtemp(prefix="mutant")) / "course"
    folder.mkdir()
    checkout(folder)
    (folder / "helpers" / f"{mutant.module}.py").write_text(mutant.source(), "utf-8")
    child = os.fork()
    if child == 0:
        _test_in_child(folder, TESTS[mutant.module])
    return child, folder.parent, time.monotonic()


def judge(chosen, jobs):
    """Yield (mutant, "killed", "survived" or "timed out"), `jobs` mutants at a time, as they end."""
    waiting, running = list(chosen), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop(0)
            running[mutant] = start(mutant)
        for mutant, (child, folder, begin) in list(running.items()):
            ended, state = os.waitpid(child, os.WNOHANG)
            late = not ended and time.monotonic() - begin > LIMIT
            if late:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
            if ended or late:
                del running[mutant]
                shutil.rmtree(folder, ignore_errors=True)
                yield mutant, "timed out" if late else "survived" if state == 0 else "killed"
        time.sleep(0.1)


def _test_in_child(folder, names):
    """Run pytest on the copy and leave with 0 where every test passed; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        mirror = os.environ.get("COURSE_MIRROR") or str(ROOT.parent / "shared" / "data")
        os.environ |= {"COURSE_MIRROR": mirror, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path[:] = [str(folder), *[path for path in sys.path if Path(path or ".").resolve() != ROOT]]
        for loaded in [name for name in sys.modules if name.partition(".")[0] in ("helpers", "course")]:
            del sys.modules[loaded]
        import pytest

        files = [f"tests/helpers/test_{name}.py" for name in names]
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files])
    finally:
        os._exit(0 if code == 0 else 1)


def preload():
    """Import what tests need, once, so that every fork has it."""
    for name in ("captum.attr", "hypothesis", "pandas", "scipy.io", "sklearn.metrics", "torchvision.models",
                 "zennit.composites", "pooch", "requests", "h5py"):
        __import__(name)


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
    whole = [Mutant(module, 0, "", "", "") for module in arguments.modules]
    broken = [mutant.module for mutant, outcome in judge(whole, arguments.jobs) if outcome != "survived"]
    if broken:
        sys.exit(f"mutate_helpers: tests of {', '.join(broken)} fail without any change")
    chosen = sample(arguments.modules, arguments.count, arguments.seed)
    equivalent = [mutant for mutant in chosen if (mutant.module, mutant.text, mutant.change) in EQUIVALENT]
    results = [(mutant, "equivalent") for mutant in equivalent]
    for mutant, outcome in judge([mutant for mutant in chosen if mutant not in equivalent], arguments.jobs):
        results.append((mutant, outcome))
        if outcome != "killed":
            print(f"{outcome}: {mutant}", flush=True)
    text, share = table(results)
    print(text)
    sys.exit(share < 95)


if __name__ == "__main__":
    main()

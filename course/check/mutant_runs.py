"""Run the tests of one changed module in a copy of the checkout; which tests touch which line of it.

The unchanged module's tests run once under coverage.py, each test a context of its own. A mutant then gets
the tests that execute its statement, the quickest first, and stops at the first that fails; a line that only
the import executes (constants, signatures) gets all of them.
"""

import ast
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300  # seconds of the processor for the tests of one mutant; longer means that they never end
WAIT = 900  # seconds in all: a mutant may wait for something that never comes


def preload():
    """Import what tests need, once, so that every fork has it."""
    for name in ("captum.attr", "hypothesis", "pandas", "scipy.io", "sklearn.metrics", "torchvision.models",
                 "zennit.composites", "pooch", "requests", "h5py", "coverage", "pytest",
                 "seaborn"):  # fmt: skip
        __import__(name)


def checkout(folder):
    """A copy of what the tests need, with the data linked."""
    for name in ("helpers", "tests/helpers", "course"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("data", "notebooks"):
        (folder / name).symlink_to(ROOT / name)


def start(module, source, tests, record=None):
    """Start tests on a copy in which a module has another source, in a fork: (process, folder, when).

    record: a file for the time and the lines of each test, where the module is as it was.
    """
    folder = Path(tempfile.mkdtemp(prefix="mutant")) / "course"
    folder.mkdir()
    checkout(folder)
    (folder / "helpers" / f"{module}.py").write_text(source, "utf-8")
    child = os.fork()
    if child == 0:
        _test_in_child(folder, module, tests, record)
    return child, folder.parent, time.monotonic()


def ended(running):
    """(outcome, seconds) of a started run, or None while it goes on; its folder is removed then."""
    child, folder, begin = running
    over, state = os.waitpid(child, os.WNOHANG)
    late = not over and time.monotonic() - begin > WAIT
    if late:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not over and not late:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    late |= os.WIFSIGNALED(state) and os.WTERMSIG(state) == signal.SIGXCPU
    return "timed out" if late else "survived" if state == 0 else "killed"


def side_by_side(waiting, begin, jobs):
    """Yield (what, its outcome) for what `begin` starts, `jobs` at a time; stops them when it is stopped."""
    waiting, running = list(waiting), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                one = waiting.pop(0)
                running[one] = begin(one)
            for one, started in list(running.items()):
                if outcome := ended(started):
                    del running[one]
                    yield one, outcome
            time.sleep(0.1)
    finally:
        for child, folder, _ in running.values():
            os.killpg(child, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


class Recorder:
    """A pytest plug-in: the seconds of each test, and its name as the context of coverage."""

    def __init__(self, cover):
        self.cover, self.seconds = cover, {}

    def pytest_runtest_logstart(self, nodeid, location):
        self.cover.switch_context(nodeid)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def _test_in_child(folder, module, tests, record):
    """Run pytest on the copy and leave with 0 where every test passed; never returns."""
    import resource  # not on Windows

    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 1))
        os.chdir(folder)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        mirror = os.environ.get("COURSE_MIRROR") or str(ROOT.parent / "shared" / "data")
        os.environ |= {"COURSE_MIRROR": mirror, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path[:] = [str(folder), *[path for path in sys.path if Path(path or ".").resolve() != ROOT]]
        for loaded in [name for name in sys.modules if name.partition(".")[0] in ("helpers", "course")]:
            del sys.modules[loaded]
        lean = [f"-pno:{name}" for name in ("cacheprovider", "xdist", "nbval", "anyio")]
        arguments = ["-x", "-q", "--assert=plain", *lean, *tests]
        path = folder / "helpers" / f"{module}.py"
        code = _recorded(path, arguments, record) if record else _pytest(arguments)
    finally:
        os._exit(0 if code == 0 else 1)


def _pytest(arguments, plugins=()):
    import pytest

    return pytest.main(arguments, plugins=list(plugins))


def _recorded(path, arguments, record):
    """Run pytest, and write {test: [seconds, [lines of the file that it executes]]}."""
    import coverage

    cover = coverage.Coverage(data_file=None, include=[str(path)], config_file=False)
    cover.start()
    recorder = Recorder(cover)
    code = _pytest(arguments, [recorder])
    cover.stop()
    lines = {test: [] for test in recorder.seconds}
    for line, contexts in cover.get_data().contexts_by_lineno(str(path)).items():
        for test in set(contexts) & set(lines):
            lines[test].append(line)
    if code == 0:
        Path(record).write_text(json.dumps({test: [recorder.seconds[test], lines[test]] for test in lines}))
    return code


def touching(record, source, line):
    """The tests of a record that execute the statement around a line, the quickest first; else all."""
    record = sorted(record.items(), key=lambda one: one[1][0])
    spans = [range(node.lineno, node.end_lineno + 1) for node in ast.walk(ast.parse(source))
             if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno]  # fmt: skip
    span = min(spans, key=len, default=range(line, line + 1))
    return [test for test, (_, lines) in record if set(lines) & set(span)] or [test for test, _ in record]

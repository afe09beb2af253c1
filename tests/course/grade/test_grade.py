"""Grading: partial credit, and a class in which some submissions do their worst.

The hostile class is graded once, two at a time, by the same function that `make grade` calls; each test then
looks at one student. Every submission answers the second exercise correctly: what goes wrong in the first
must not reach it.
"""

import copy
import csv
import json
import os
import re
import signal
import socket
import subprocess
import threading

import nbformat
import pytest
import yaml

from course import contract
from course.grade import batch, sandbox, slicing, submission
from course.notebooks import ROOT, find
from tests.course.grade.wrong import wrong_answers

LIMITS = {"seconds": 4, "memory": 1500, "run_seconds": 120, "disk": 100}
isolated = pytest.mark.skipif(not sandbox.available(), reason="this machine has no namespaces")


def cell(source, identifier, tags=(), output=None, **metadata):
    new = nbformat.v4.new_code_cell(source, id=identifier, metadata={"tags": list(tags), **metadata})
    new.execution_count = 1
    new.outputs = [nbformat.v4.new_output("stream", name="stdout", text=output)] if output else []
    return new


def exercise(identifier, source, points):
    name = identifier.replace(".", "-")
    return cell(source, f"exercise-{name}", ["exercise"], course={"id": identifier, "points": points})


def check(identifier, place, source, points, message, output=None):
    name = f"check-{identifier.replace('.', '-')}-{place:02d}"
    about = {"for": identifier, "points": points, "message": message}
    return cell(source, name, ["nbval-check-output" if output else "hidden"], output, course=about)


def reference():
    """Two exercises of 3 and 2 points; the first has a visible check of 2 points and a hidden one of 1."""
    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    book.cells = [
        nbformat.v4.new_markdown_cell("# 98 Exam", id="text-98-01"),
        cell("SEED = 0", "code-98-01", ["parameters"]),
        cell("import numpy as np\n\nfrom course import contract", "code-98-02"),
        cell("values = np.arange(3.0)\nprint(values)", "code-98-03", ["nbval-check-output"], "[0. 1. 2.]\n"),
        cell("raise SystemError('needed by no check, must not run')", "code-98-04"),
        exercise("98.1", "def twice(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", 3),
        check("98.1", 1, "print(twice(values))\nprint(twice(0.25))", 2, "Two times x.", "[0. 2. 4.]\n0.5\n"),
        check(
            "98.1", 2, "assert np.allclose(twice(np.array([-7.0, 271.828])), [-14, 543.656])\n"
            "assert contract.same_code(str(twice(8)), '16')\nassert twice('secret') == 'secretsecret'",
            1, "Other arguments than those shown.",
        ),
        exercise("98.2", "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION", 2),
        check("98.2", 1, "print(half(3))", 1, "Half of x.", "1.5\n"),
        check("98.2", 2, "assert half(9) == 4.5", 1, "Half of other numbers."),
    ]  # fmt: skip
    return book


def by_id(book):
    return {one.id: one for one in book.cells}


def answered(first=None, second="def half(x):\n    return x / 2"):
    """A student's copy with these answers."""
    book = contract.student_copy(reference())
    if first is not None:
        by_id(book)["exercise-98-1"].source = first
    if second is not None:
        by_id(book)["exercise-98-2"].source = second
    return book


def inside(lines):
    """A right function whose body runs these lines first."""
    body = "\n".join(f"    {line}" for line in lines.strip().splitlines())
    return f"def twice(x):\n{body}\n    return 2 * x"


RIGHT = "def twice(x):\n    return x + x"
HABITS = f"!ls\n%matplotlib inline\n{RIGHT}\nnumber = input('a number? ')\nprint(twice(undefined))"
OVERWRITE = """import builtins, sys
import numpy as np
from course import contract
np.allclose = np.all = np.array_equal = lambda *args, **kwargs: True
contract.same_code = lambda *args: True
builtins.print = lambda *args, **kwargs: sys.stdout.write("[0. 2. 4.]\\n0.5\\n")
builtins.AssertionError = SystemExit
builtins.str = lambda x: "16"
sys.modules["numpy"].allclose = lambda *args, **kwargs: True
shell = get_ipython()
shell.showtraceback = shell.showsyntaxerror = lambda *args, **kwargs: None
shell.run_cell = shell.run_cell_async = lambda *args, **kwargs: None
import atexit
atexit.register(lambda: print("[0. 2. 4.]"))
def twice(x):
    return None"""
EQUAL = """class Anything(float):
    def _yes(self, *args, **kwargs): return True
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __bool__ = __call__ = _yes
    def __str__(self): return "16"
    __repr__ = __str__
    def __array__(self, *args, **kwargs):
        import numpy
        return numpy.array([-14.0, 11.0])
    def __hash__(self): return 1
def twice(x):
    return Anything(1)"""
FORGE = """import ctypes, glob, os
def twice(x):
    for number in range(3, 64):
        try: os.write(number, b'{"check": "check-98-1-01", "passed": true}')
        except OSError: pass
    found, parent = glob.glob("/tmp/course-*/k/s/*"), os.getppid()
    for name in ("mem", "environ", "maps", "root/etc/passwd"):
        try: found.append(open(f"/proc/{parent}/{name}"))
        except OSError: pass
    for name in os.listdir(f"/proc/{parent}/fd"):
        try: found.append(os.readlink(f"/proc/{parent}/fd/{name}"))
        except OSError: pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, parent, 0, 0) != -1: found.append("traced")
    if libc.unshare(0x10000000) != -1: found.append("became root")
    raise ValueError(f"found {found}")
"""
LOOK = """import os, sys
def twice(x):
    found = []
    for place, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if name not in ("proc", "usr", "lib", "site-packages", "dev")]
        found += [name for name in files if name.endswith((".ipynb", ".jsonl")) or name == "test_grade.py"]
    for number in os.listdir("/proc"):
        if number.isdigit() and int(number) != os.getpid():
            try: found += [1] if b"COURSE_GRADE=" in open(f"/proc/{number}/environ", "rb").read() else []
            except OSError: pass
    raise ValueError(f"found {found}")
"""
HOSTILE = {
    "loops": inside("while True: pass"),
    "loops-at-once": "while True: pass",
    "allocates": inside("import numpy\nhuge = numpy.ones(10 * 2**27)"),
    "forks": inside("import os, time\nfor _ in range(2000):\n    if os.fork() == 0: time.sleep(60)"),
    "exits-hard": inside("import os\nos._exit(0)"),
    "exits": inside("import sys\nsys.exit(0)"),
    "exits-at-once": "import sys\nsys.exit()",
    "kills": inside("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(os.getpid(), 9)"),
    "restarts": inside("get_ipython().kernel.do_shutdown(True)\nimport os\nos._exit(1)"),
    "overwrites": OVERWRITE,
    "equals": EQUAL,
    "forges": FORGE,
    "looks": LOOK,
    "prints": inside("print('x' * 50_000_000)"),
    "returns-much": "def twice(x):\n    return 'x' * 50_000_000",
    "returns-deep": "def twice(x):\n    for _ in range(100_000): x = [x]\n    return x",
    "warns": inside("import warnings, sys\nwarnings.warn('careful')\nprint('noise')\nsys.stderr.write('no')"),
    "hard-codes": "def twice(x):\n    return 0.5 if isinstance(x, float) else np.array([0., 2, 4])",
    "wrong": "def twice(x):\n    return 3 * x",
    "syntax": "def twice(x)\n    return 2 * x",
    "tells": "def twice(x):\n    raise ValueError(f'it was {x}')",
    "counts": "calls = []\ndef twice(x):\n    calls.append(x)\n    return 2 * x if len(calls) < 3 else None",
    "recurses": "def twice(x):\n    return twice(x)",
    "threads": inside("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()"),
}  # fmt: skip


def moved(book):
    book.cells.reverse()


def duplicated(book):
    book.cells += [copy.deepcopy(one) for one in book.cells if "exercise" in contract.tags(one)]


def deleted(book):
    book.cells = [one for one in book.cells if one.id == "exercise-98-2"]


def edited(book):
    for one in book.cells:
        if one.id.startswith("check"):
            one.source, one.metadata["course"]["points"] = "pass", 100
            one.outputs = []
    book.cells.append(check("98.1", 7, "pass", 50, "free points"))


def test_a_worker_that_dies_loses_nothing():
    """The same work on a Dask cluster of two workers, one of which is killed while it grades."""
    distributed = pytest.importorskip("distributed")
    path = json.dumps(reference()).encode()
    slow = json.dumps(answered(inside("import time\ntime.sleep(0.2)"))).encode()
    files = [batch.Sent(slow, "98_exam", "98_exam.ipynb", 0.0)]
    tasks = {number: (files, "98_exam", path, {**LIMITS, "seconds": 20}) for number in range(4)}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        results, victims = {}, client.run(os.getpid)
        for number, result in batch.results_of(tasks, 1, cluster.scheduler_address):
            if not results:
                os.kill(next(iter(victims.values())), signal.SIGKILL)
            results[number] = result
        assert set(client.run(os.getpid).values()) != set(victims.values())  # one was killed, and replaced
    assert sorted(results) == list(range(4))
    assert all(points(result) == [3, 2] for result in results.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("class")


@pytest.fixture(scope="module")
def server():
    """A port that listens, and the list of those who called."""
    callers, listener = [], socket.create_server(("127.0.0.1", 0))

    def listen():
        while True:
            try:
                callers.append(listener.accept())
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    yield listener.getsockname()[1], callers
    listener.close()


@pytest.fixture(scope="module")
def graded(folder, server):
    """{student: result} of the hostile class, and the folder of its reports."""
    path, inbox, reports = folder / "98_exam.ipynb", folder / "inbox", folder / "reports"
    nbformat.write(reference(), path)
    outside = folder / "outside.txt"
    outside.write_text("untouched")
    write = f"""for name in ({str(outside)!r}, "/usr/x", {str(ROOT / "helpers" / "x.py")!r}, "/etc/passwd"):
    try: open(name, "w").write("broken")
    except OSError: pass"""
    call = f"""import socket
for family, address in ((socket.AF_INET, ("127.0.0.1", {server[0]})), (socket.AF_INET, ("1.1.1.1", 53))):
    try: socket.socket(family, socket.SOCK_STREAM).connect(address)
    except OSError: pass"""
    fill = """data = b"0" * 2**20
for number in range(20):
    try:
        with open(f"/tmp/{number}", "wb") as file:
            for _ in range(60): file.write(data)
    except OSError: pass"""
    hostile = {**HOSTILE, "writes": inside(write), "calls": inside(call), "fills": inside(fill)}

    def put(name, book):
        target = inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(book, bytes):
            target.write_bytes(book)
        else:
            target.write_text(json.dumps(book))  # nbformat would repair duplicated ids

    put("good-first/98_exam.ipynb", answered(RIGHT))
    for name, source in hostile.items():
        put(f"{name}/98_exam.ipynb", answered(source))
    for change in (moved, duplicated, deleted, edited):
        book = answered(RIGHT)
        change(book)
        put(f"{change.__name__}/98_exam.ipynb", book)
    put("stubs/98_exam.ipynb", answered(None, None))
    put("renamed/homework (final).ipynb", answered(RIGHT))
    put("Żółć & Ærø  O'Neill/98_exam.ipynb", answered(RIGHT))
    put("=cmd|calc.ipynb", answered(RIGHT))
    put("surrogate/98_exam.ipynb", json.dumps(answered("raise ValueError('\ud800')")).encode())
    put(os.fsdecode(b"\xff bytes/98_exam.ipynb"), b"")
    put("grades.csv/98_exam.ipynb", b"")
    put("broken/98_exam.ipynb", json.dumps(answered(RIGHT)).encode()[:-40])
    put("empty/98_exam.ipynb", b"")
    put("no-notebook/98_exam.ipynb", b'{"a": [1, 2]}')
    put("deep/98_exam.ipynb", b"[" * 100_000)
    put("other/98_exam.ipynb", nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
    put("foreign/report.ipynb", nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
    put("odd/98_exam.ipynb", json.dumps({"nbformat": 4, "cells": [
        7, {"cell_type": "code", "id": ["x"], "metadata": 3, "source": None},
        {"cell_type": "code", "metadata": {"course": {"id": ["98.1"]}, "tags": 5}, "source": {}},
        {"cell_type": "code", "metadata": {"course": {"id": "98.1"}}, "source": RIGHT.splitlines(True)},
    ]}).encode())  # fmt: skip
    old = answered(RIGHT)
    for one in old.cells:
        del one["id"]
    old.nbformat_minor = 4
    put("old-4/98_exam.ipynb", json.dumps(old).encode())
    sheet = [{"cell_type": "code", "input": one.source, "metadata": one.metadata, "outputs": []}
             for one in old.cells if one.cell_type == "code"]  # fmt: skip
    put("old-3/98_exam.ipynb", json.dumps({"nbformat": 3, "worksheets": [{"cells": sheet}]}).encode())
    put("habits/98_exam.ipynb", answered(HABITS))
    put("input/98_exam.ipynb", answered("number = input('a number? ')"))
    put("escape\x1b[2J/98_exam.ipynb", b"")
    put("browser.ipynb.txt", answered(RIGHT))
    put("UPPER.IPYNB", answered(RIGHT))
    put("zipped.zip", b"PK\x03\x04")
    put("copied/98_exam.ipynb", answered(None, None))
    put("copied/98_exam (1).ipynb", answered(RIGHT))
    (inbox / "pipe").mkdir()
    os.mkfifo(inbox / "pipe" / "98_exam.ipynb")
    os.mkfifo(inbox / "98_pipe.ipynb")
    (inbox / "links").mkdir()
    (inbox / "links" / "98_exam.ipynb").symlink_to(path)
    put("good-last/98_exam.ipynb", answered(RIGHT))
    options = batch.Options(("98",), 2)
    students, *_ = batch.grade_class(inbox, reports, options, paths=[path], limits=LIMITS)
    return {name: results["98_exam"] for name, results in students.items()}, reports


def points(result):
    return [row["points"] for row in result["exercises"]]


def told(result):
    """What the first exercise's checks say, visible then hidden."""
    return [check["detail"] for check in result["exercises"][0]["checks"]]


@pytest.mark.parametrize("name", ["good-first", "good-last", "Żółć & Ærø  O'Neill", "renamed", "=cmd|calc",
                                  "habits", "browser", "UPPER", "copied"])  # fmt: skip
def test_right_answers_earn_everything_whoever_sits_beside(graded, name):
    result = graded[0][name]
    assert result["status"] == "graded"
    assert points(result) == [3, 2]
    assert [row["outcome"] for row in result["exercises"]] == ["correct", "correct"]


def test_work_that_asks_for_input_is_not_called_unattempted(graded):
    result = graded[0]["input"]
    assert points(result) == [0, 2]
    assert result["exercises"][0]["outcome"] == "incorrect"
    assert "input" in told(result)[0]


def test_names_reach_no_terminal_as_commands(graded):
    assert "\x1b" not in (graded[1] / "grades.csv").read_text()


def test_stubs_earn_nothing(graded):
    result = graded[0]["stubs"]
    assert points(result) == [0, 0]
    assert [row["outcome"] for row in result["exercises"]] == ["not attempted", "not attempted"]


@pytest.mark.parametrize(
    ("name", "earned", "saying"),
    [
        ("loops", 0, "no result after 4 seconds"),
        ("loops-at-once", 0, "no result after 4 seconds"),
        ("allocates", 0, "MemoryError"),
        ("exits-hard", 0, "ended its own process (exit code 0)"),
        ("exits", 0, "SystemExit: 0"),
        ("exits-at-once", 0, "SystemExit"),
        ("restarts", 0, ""),
        ("overwrites", 0, ""),
        ("equals", 0, ""),
        ("prints", 3, ""),
        ("returns-much", 0, "more than 1000000 characters"),
        ("returns-deep", 0, "is deeper than"),
        ("warns", 3, ""),
        ("hard-codes", 2, ""),
        ("syntax", 0, "SyntaxError"),
        ("wrong", 0, ""),
        ("tells", 0, "ValueError: it was [0. 1. 2.]"),
        ("counts", 2, ""),
        ("recurses", 0, "RecursionError"),
        ("threads", 3, ""),
        ("surrogate", 0, "ValueError: ?"),
        ("fills", 3, ""),
    ],
)
def test_what_each_attack_leads_to(graded, name, earned, saying):
    result = graded[0][name]
    assert result["status"] == "graded", result["notes"]
    assert points(result) == [earned, 2], (result["notes"], result["exercises"][0])
    assert saying in told(result)[0]


@isolated
def test_killing_the_process_that_checks_does_not_work(graded):
    assert points(graded[0]["kills"]) == [0, 2]
    assert "signal 9" in told(graded[0]["kills"])[0]


def test_a_fork_bomb_ends_with_its_check(graded):
    result = graded[0]["forks"]
    assert points(result)[1] == 2, result
    if sandbox.available():
        assert points(result)[0] == 0
        assert re.search("BlockingIOError|no result after|256 processes", told(result)[0])


@isolated
def test_messages_to_the_grader_cannot_be_forged(graded):
    result = graded[0]["forges"]
    assert points(result) == [0, 2]
    assert "raised" in told(result)[0]
    assert "found [" not in told(result)[0].replace("found []", "")


@isolated
def test_the_reference_cannot_be_found(graded):
    assert points(graded[0]["looks"]) == [0, 2]
    assert told(graded[0]["looks"])[0] == "raised ValueError: found []"


@isolated
def test_nothing_is_written_outside(graded, folder):
    assert points(graded[0]["writes"]) == [3, 2]
    assert (folder / "outside.txt").read_text() == "untouched"
    assert not (ROOT / "helpers" / "x.py").exists()


@isolated
def test_nobody_is_called(graded, server):
    assert points(graded[0]["calls"]) == [3, 2]
    assert server[1] == []
    socket.create_connection(("127.0.0.1", server[0])).close()  # the server would have noticed


@pytest.mark.parametrize(
    ("name", "expected", "note"),
    [
        ("moved", [3, 2], ""),
        ("duplicated", [3, 2], "2 cells claim this exercise"),
        ("deleted", [0, 2], "the exercise's cell is missing"),
        ("edited", [3, 2], ""),
        ("odd", [3, 0], "found by its metadata"),
        ("old-4", [3, 2], "found by its metadata"),
        ("old-3", [3, 2], "found by its metadata"),
    ],
)
def test_cells_may_be_anywhere(graded, name, expected, note):
    result = graded[0][name]
    assert points(result) == expected
    assert result["possible"] == 5
    assert note in result["exercises"][0]["note"]


@pytest.mark.parametrize(
    ("name", "status", "note"),
    [
        ("broken", "unreadable", "the file is not a notebook: JSONDecodeError"),
        ("empty", "unreadable", "the file is empty"),
        ("grades.csv", "unreadable", "the file is empty"),
        (os.fsdecode(b"\xff bytes"), "unreadable", "the file is empty"),
        ("no-notebook", "unreadable", "it has no cells"),
        ("pipe", "unreadable", "no ordinary file"),
        ("98_pipe", "unreadable", "no ordinary file"),
        ("zipped", "not submitted", "no notebook in zipped.zip"),
        ("deep", "unreadable", "RecursionError"),
        ("other", "other notebook", "no exercise of this notebook"),
        ("foreign", "not submitted", "no notebook of this course: report.ipynb"),
        ("links", "not submitted", ""),
    ],
)
def test_what_is_no_submission_is_named(graded, name, status, note):
    result = graded[0][name]
    assert (result["status"], result["points"], result["possible"]) == (status, 0, 5)
    assert note in " ".join(result["notes"])


def test_reports_tell_everything_but_the_hidden_tests(graded):
    results, reports = graded
    names = {"grades.csv_" if name == "grades.csv" else name for name in results}
    tables = {"grades.csv", "manual.csv", "statistics.html"}
    assert {path.name for path in reports.iterdir()} == names | tables
    for name in names:
        for kind in ("json", "md", "html"):
            text = (reports / name / f"report.{kind}").read_text()
            assert "secret" not in text, name  # only the hidden check knows this word and the number
            assert "271.828" not in text, name
    page = (reports / "hard-codes" / "report.html").read_text()
    assert "Other arguments than those shown." in page
    assert "4 of 5 points" in page
    assert "Two times x." in (reports / "equals" / "report.md").read_text()
    data = json.loads((reports / "wrong" / "report.json").read_text())
    shown = data["notebooks"]["98_exam"]["exercises"][0]["checks"][0]
    assert (shown["expected"], shown["got"]) == ("[0. 2. 4.]\n0.5\n", "[0. 3. 6.]\n0.75\n")


def test_the_class_has_one_table(graded):
    results, reports = graded
    with open(reports / "grades.csv", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(results)
    assert rows["good-last"]["percent"] == "100.0"
    assert [rows["hard-codes"][column] for column in ("98.1", "98.2", "points")] == ["2", "2", "4"]
    assert "unreadable" in rows["broken"]["remarks"]
    assert "'=cmd|calc" in rows  # no formula for the instructor's spreadsheet


def test_an_answer_may_use_what_the_checks_do_not():
    """The lesson's cells that no check needs run for who uses their names."""
    book = reference()
    book.cells[4].source = "factors = [1, 2]\nprint(undefined_below_this)"
    content = json.dumps(book).encode()
    used = answered("def twice(x):\n    return factors[1] * x")
    assert points(submission.grade(json.dumps(used).encode(), content, LIMITS)) == [3, 2]


def test_without_namespaces_the_points_are_the_same():
    path = json.dumps(reference()).encode()
    for source, expected in ((RIGHT, [3, 2]), (OVERWRITE, [0, 2]), (HOSTILE["exits-hard"], [0, 2])):
        result = submission.grade(json.dumps(answered(source)).encode(), path, {**LIMITS, "isolated": False})
        assert result["isolation"] == "limits only"
        assert points(result) == expected


def test_the_trial_takes_the_whole_notebook_where_the_slice_is_not_enough(tmp_path, monkeypatch):
    book = reference()
    book.cells[4].source = "def fill(box):\n    box.append(21)\n    return True\n\nbox = []\ndone = fill(box)"
    by_id(book)["check-98-1-02"].source += "\nassert twice(box[0]) == 42"
    monkeypatch.setattr(batch, "TRIALS", tmp_path)
    limits = batch.verified("98", "98_exam", json.dumps(book).encode())
    assert limits["whole"]
    assert limits["seconds"] == 10
    assert batch.remembered("98_exam") == limits
    assert batch.remembered("98_exam", "another state") is None


def test_a_reference_that_fails_here_is_not_graded_by(tmp_path, monkeypatch):
    book = reference()
    by_id(book)["check-98-1-01"].outputs[0].text = "7\n"
    by_id(book)["code-98-04"].source = ""
    monkeypatch.setattr(batch, "TRIALS", tmp_path)
    with pytest.raises(SystemExit, match="the reference itself does not earn all points here: check-98-1-01"):
        batch.verified("98", "98_exam", json.dumps(book).encode())
    content = json.dumps(answered(RIGHT)).encode()
    result = submission.grade(content, json.dumps(book).encode(), LIMITS)  # nor is a student told so
    assert result["status"] == "not graded"
    assert "exercise 98.1: the reference itself fails here" in result["notes"][0]
    assert points(result) == [0, 2]


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (["a = 1", "b = 2", "f(a)"], [0, 2]),
        (["a = []", "a.append(1)", "b = []", "print(b)", "f(a)"], [0, 1, 4]),
        (["a = 1", "a = 2", "f(a)"], [1, 2]),
        (["a = 1", "if x:\n    a = 2", "f(a)"], [0, 1, 2]),
        (["import numpy as np", "z = np.ones(3)", "np.fill_diagonal(z, 0)", "f(z)"], [0, 1, 2, 3]),
        (["def g(x):\n    return x + b", "b = 2", "f(g)"], [0, 1, 2]),
        (["def g(x):\n    return h(x)", "i = 2", "def h(x):\n    return i", "f(g)"], [0, 1, 2, 3]),
        (["import numpy as np", "z = np.ones(3)", "np.fill_diagonal(z, 0)", "f(np)"], [0, 3]),
        (["import numpy as np", "np.seterr(all='raise')", "f(np)"], [0, 1, 2]),
        (["x = [1]", "y = [2]", "x.extend(y)", "f(x)"], [0, 1, 2, 3]),
        (["import scipy.stats", "import scipy.special", "f(scipy.stats)"], [0, 1, 2]),
        (["a = {}", "a['x'] = 1", "for a_key in a: print(a_key)", "f(a)"], [0, 1, 3]),
        (["t = 5", "for t in range(3):\n    s = t", "f(s)"], [1, 2]),
        (["a = 1", "b = [a for a in range(3)]", "f(b)"], [1, 2]),
        (["a = 1", "b = lambda: a", "c = b()", "f(c)"], [0, 1, 2, 3]),
        (["a = 1", "a += 1", "f(a)"], [0, 1, 2]),
        (["%magic", "a = 1", "f(a)"], [1, 2]),
    ],
)
def test_the_slice_keeps_what_the_last_part_needs(parts, kept):
    assert slicing.needed(parts, {len(parts) - 1}) == kept


def make(*arguments):
    """Run make without the settings of an outer make."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    clean = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", "-s", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=600)


def test_the_commands_say_what_they_need():
    assert "SUBMISSIONS: grade needs it" in make("grade").stderr
    assert "there is no such file or folder" in make("grade", "SUBMISSIONS=/nowhere").stderr
    assert "NB: grade-mine needs it" in make("grade-mine").stderr
    assert "FILE=nowhere: there is no such file" in make("grade-mine", "NB=12", "FILE=nowhere").stderr


def test_make_grade_and_grade_mine_on_a_notebook_of_the_course(tmp_path):
    book = contract.student_copy(nbformat.read(find("12"), 4))
    first = wrong_answers("12")[1]
    by_id(book)["exercise-12-1"].source = first.source
    target = tmp_path / "submissions" / "Ada L" / "12.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(book, target)
    result = make("grade", f"SUBMISSIONS={target.parents[1]}", f"REPORTS={tmp_path / 'reports'}", "JOBS=1")
    assert result.returncode == 0, result.stderr
    assert "Ada L: 2 of 12" in result.stdout
    assert "per minute" in result.stdout
    assert "Ada L,2,0,0,0,2,12,16.7" in (tmp_path / "reports" / "grades.csv").read_text()
    result = make("grade-mine", "NB=12", f"FILE={target}")
    assert result.returncode == 0, result.stderr
    assert "12.1   ◐ partly         2 of 3" in result.stdout
    assert "(hidden check) On other data" in result.stdout
    assert "12.2   – not attempted  0 of 3" in result.stdout
    assert "assert" not in result.stdout


def test_a_release_without_solutions_grades_by_its_visible_checks():
    copied = nbformat.writes(contract.student_copy(reference()), version=4).encode()
    result = submission.grade(json.dumps(answered(RIGHT)).encode(), copied, LIMITS)
    assert (points(result), result["possible"]) == ([2, 1], 3)
    assert [row["outcome"] for row in result["exercises"]] == ["correct", "correct"]


def test_the_workflow_grades_with_the_courses_own_grader():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "grade.yml").read_text())
    assert flow["permissions"] == {"contents": "read"}
    steps = flow["jobs"]["grade"]["steps"]
    graded = next(step["run"] for step in steps if " grade " in step.get("run", ""))
    assert graded.startswith("make -C course grade ")
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in steps)
    checkouts = [step["with"] for step in steps if "checkout" in step.get("uses", "")]
    assert [options["persist-credentials"] for options in checkouts] == [False, False]

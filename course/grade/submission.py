"""Grade one submitted notebook: merge its answers into the reference, run nbval on that, count points.

`grade` takes and returns plain data, so that it runs as well in a thread here as on a worker elsewhere. The
student's code runs only in the kernel that nbval starts, inside course.grade.sandbox, and there only in child
processes (course.grade.remote). nbval, which holds the reference outputs, runs outside.
"""

import ast
import builtins
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course import contract
from course.grade import sandbox, slicing
from course.grade.watching import watch
from course.notebooks import ROOT

LARGEST_NOTEBOOK = 64 * 2**20
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
START = "from course.grade import remote as _grading\n_grading.protect()"


@dataclass(frozen=True)
class Limits:
    """What one run may use. seconds: for one check; memory in MB: of one process, and of all together."""

    seconds: float = 30
    run_seconds: float = 900
    memory: int = 4000
    run_memory: int = 12000
    disk: int = 300
    isolated: bool = True  # use namespaces where the machine has them
    whole: bool = False  # run every cell, not only those that the checks need


class Unreadable(Exception):
    """A submission that is no notebook."""


def read_cells(content):
    """The cells of a notebook of any format, as far as grading looks at them; raises Unreadable."""
    if not content.strip():
        raise Unreadable("the file is empty, or no ordinary file")
    if len(content) > LARGEST_NOTEBOOK:
        raise Unreadable(f"the file has {len(content) / 2**20:.0f} MB; allowed are {LARGEST_NOTEBOOK >> 20}")
    try:
        book = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the file is not a notebook: {type(error).__name__}: {str(error)[:200]}") from None
    sheets = book.get("worksheets") if isinstance(book, dict) else None
    holders = [book, *(sheets if isinstance(sheets, list) else [])]
    found = [holder["cells"] for holder in holders if isinstance(holder, dict) and "cells" in holder]
    if not found or not all(isinstance(cells, list) for cells in found):
        raise Unreadable("the file is not a notebook: it has no cells")
    cells = []
    for cell in (cell for part in found for cell in part if isinstance(cell, dict)):
        source = cell.get("source", cell.get("input", ""))
        source = "".join(map(str, source)) if isinstance(source, list) else str(source)
        metadata = cell.get("metadata")
        cells.append({
            "cell_type": cell.get("cell_type"),
            "id": cell.get("id"),
            "metadata": metadata if isinstance(metadata, dict) else {},
            "source": source.encode("utf-8", "replace").decode(),  # JSON may hold half of a surrogate pair
        })  # fmt: skip
    return NotebookNode(cells=[NotebookNode(cell) for cell in cells])


def exercise_ids(cells):
    """The exercise ids that a submission's cells claim, by cell id or metadata."""
    for cell in cells:
        identifier = contract.course(cell).get("id")
        if str(cell.get("id")).startswith("exercise-"):
            yield str(cell["id"]).removeprefix("exercise-").replace("-", ".")
        elif isinstance(identifier, str):
            yield identifier


def prepared(reference, given, whole=False):
    """The notebook that nbval runs: the merged one, cut to what the attempted exercises need.

    Exercise cells become calls of course.grade.remote, so that the student's source never runs in the kernel.
    """
    merged = contract.merge(reference, given)
    for cell in merged.cells:
        if "nbval-check-output" in contract.tags(cell) and not cell.outputs:
            raise ValueError(f"the reference's {cell.id} has no stored output: make refresh")
    code = [cell for cell in merged.cells if cell.cell_type == "code"]
    position = {cell.id: index for index, cell in enumerate(code)}
    attempted = [exercise for exercise in contract.exercises(reference) if given[exercise.id].attempted]
    wanted = {position[one.cell] for one in attempted}
    wanted |= {position[check.cell] for one in attempted for check in one.checks}
    others = {index for index, cell in enumerate(code) if contract.course(cell)} - wanted
    sources = [cell.source for cell in code]
    if not whole:
        cut(code, wanted)
    keep = {index for index, cell in enumerate(code) if cell.source.strip()} - others
    known = {name for index, source in enumerate(sources) for name in slicing.names(source).binds}
    for exercise in attempted:
        checks = [position[check.cell] for check in exercise.checks]
        own = slicing.names(exercise.source).binds
        asked = set().union(*(slicing.names(sources[index]).loads for index in checks))
        names = sorted((asked & own) | (asked - known - set(dir(builtins))))
        cells = [given[one.id].source for one in earlier(exercise, attempted, given)]
        cell = code[position[exercise.cell]]
        call = f"_grading.exercise({exercise.id!r}, {[*cells, cell.source]!r}, {names!r})"
        cell.source = "\n".join([*imports(exercise.source), call])
        for index in checks:
            code[index].source = f"_grading.begin({exercise.id!r}, globals())\n{code[index].source}"
    start = nbformat.v4.new_code_cell(START, id="grading-start", metadata={"tags": ["nbval-ignore-output"]})
    merged.cells = [start, *(cell for index, cell in enumerate(code) if index in keep)]
    merged.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return merged


def cut(code, wanted):
    """Leave in the code cells only the statements that the wanted ones need; those themselves stay whole."""
    parts = [
        (index, part)
        for index, cell in enumerate(code)
        for part in ([cell.source] if contract.course(cell) else slicing.statements(cell.source))
    ]
    chosen = {place for place, (index, _) in enumerate(parts) if index in wanted}
    kept = slicing.needed([part for _, part in parts], chosen)
    for index, cell in enumerate(code):
        cell.source = "\n".join(parts[place][1] for place in kept if parts[place][0] == index)


def earlier(exercise, attempted, given):
    """The exercises above whose answers this answer uses: students may build on what they wrote before."""
    chosen, wanted = [], slicing.names(given[exercise.id].source).loads
    for one in reversed(attempted[: attempted.index(exercise)]):
        names = slicing.names(given[one.id].source)
        if names.binds & wanted:
            chosen.insert(0, one)
            wanted = (wanted - names.binds) | names.loads
    return chosen


def imports(source):
    """The import lines at the top level of an exercise cell: its checks may rely on them."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return []
    return [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]


def visible_paths():
    """What the sandbox shows: Python, the environment, the helpers, this pipeline's code and the data."""
    from helpers import files

    paths = [sys.base_prefix, sys.exec_prefix, sys.prefix, files.cache_folder(), files.mirror_folder()]
    paths += [ROOT / name for name in ("helpers", "course", "pyproject.toml", "data")]
    given = [Path(path) for path in paths if path is not None]
    # an environment or data folder may be a link, and what it points to must be there as well
    return list(dict.fromkeys([*given, *(path.resolve() for path in given)]))


def clean_environment(private, limits):
    """The kernel's environment: nothing of the caller's but where things are and what the course is told."""
    from helpers import files

    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "DATA", "TZ") if name in os.environ}
    return {
        **kept,
        **dict.fromkeys(THREADS, "1"),
        "HOME": "/tmp" if sandbox.available() and limits.isolated else str(private),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "DEVICE": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "COURSE_DATA": str(files.cache_folder()),
        **({"COURSE_MIRROR": str(files.mirror_folder())} if files.mirror_folder() else {}),
        "MPLCONFIGDIR": str(private / "matplotlib"),
        "COURSE_GRADE_SECONDS": str(limits.seconds),
        "COURSE_GRADE_MEMORY": str(limits.memory),
        "COURSE_GRADE_SOCKETS": str(private / "s"),
    }


def run(notebook, limits):
    """Run nbval on a prepared notebook in a private folder; returns (records of cells, note)."""
    folder = Path(tempfile.mkdtemp(prefix="course-"))
    private, result = folder / "k", folder / "result.jsonl"
    try:
        (private / "s").mkdir(parents=True)
        (private / "matplotlib").mkdir()
        fonts = Path(os.environ.get("MPLCONFIGDIR") or Path.home() / ".cache" / "matplotlib")
        for cache in fonts.glob("fontlist-*.json"):  # else every kernel would search the fonts again
            shutil.copy2(cache, private / "matplotlib")
        nbformat.write(nbformat.from_dict(notebook), folder / "merged.ipynb", version=4)
        kernel = [sys.executable, "-m", "ipykernel_launcher", "--HistoryManager.enabled=False"]
        namespaces = limits.isolated and sandbox.available()
        settings = {
            "command": sandbox.wrapped(
                kernel, private, visible_paths(), namespaces, limits.run_seconds
            ),
            "sockets": str(private / "s"),
            "environment": clean_environment(private, limits),
            "result": str(result),
        }
        with open(folder / "log", "w") as log:
            process = start_nbval(folder, settings, limits, log)
            note = watch(process, folder, limits)
        records = [json.loads(line) for line in result.read_text().splitlines()] if result.exists() else []
        if not records and not note:
            note = f"nbval did not start: {(folder / 'log').read_text()[-500:]}"
        return records, note
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_nbval(folder, settings, limits, log):
    """Start nbval on folder/merged.ipynb with the grading plug-in, in a session of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", str(folder), "-p", "course.grade.nbval_plugin"]
    command += ["-p", "nbval.plugin", "-p", "course.check.tolerance", "--nbval", "--nbval-current-env"]
    command += ["--nbval-cell-timeout", str(limits.run_seconds), str(folder / "merged.ipynb")]
    variables = {"COURSE_GRADE": json.dumps(settings), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **variables, **dict.fromkeys(THREADS, "1")},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def verdict(record, check):
    """The Verdict on one check from what nbval saw; of a hidden check no more than the kind of error."""
    if record["passed"]:
        return contract.Verdict(True)
    error, text = record["error"], record["text"]
    unfinished = error == "NotImplementedError" and text.endswith(contract.UNTOUCHED)
    if error in ("", "AssertionError"):
        detail = "" if error or record["got"] or record["alive"] else "the process died"
    elif check.hidden:
        known = isinstance(getattr(builtins, error, None), type)
        detail = f"raised {error if known else 'an exception'}"
    else:
        detail = f"raised {error}: {text}"[:500]
    if check.hidden or error:
        return contract.Verdict(False, detail, unfinished=unfinished)
    return contract.Verdict(False, detail, record["expected"], record["got"][:2000])


def opened(content, reference, result):
    """The submitted notebook, an empty one where it cannot be read; what is wrong goes into the result."""
    try:
        submission = read_cells(content)
    except Unreadable as error:
        result["status"] = "unreadable"
        result["notes"].append(str(error))
        return NotebookNode(cells=[])
    expected = {exercise.id for exercise in contract.exercises(reference)}
    if not expected & set(exercise_ids(submission.cells)):
        result["status"] = "other notebook"
        result["notes"].append("no exercise of this notebook is in the file")
    return submission


def grade(content, reference, limits=None):
    """Grade the bytes of a submitted notebook against those of the reference; returns plain data.

    The result has status "graded", "unreadable" (no notebook), "other notebook" (no exercise of this one) or
    "not graded" (a cell of the reference failed: the machine's fault, not the student's), and points.
    """
    limits = limits if isinstance(limits, Limits) else Limits(**(limits or {}))
    begin = time.monotonic()
    reference = nbformat.reads(reference.decode(), as_version=4)
    result = {"status": "graded", "notes": [], "seconds": 0.0}
    given = contract.answers(reference, opened(content, reference, result))
    verdicts = {}
    if any(answer.attempted for answer in given.values()):
        records, note = run(prepared(reference, given, limits.whole), limits)
        checks = {check.cell: check for one in contract.exercises(reference) for check in one.checks}
        verdicts = {
            record["cell"]: verdict(record, checks[record["cell"]])
            for record in records
            if record["cell"] in checks
        }
        result["notes"] += [note] if note else []
        broken = [record for record in records if record["cell"] not in checks and not record["passed"]]
        if not records or any(record["alive"] for record in broken):
            result["status"] = "not graded"
            for one in broken:
                result["notes"].append(f"cell {one['cell']} failed: {one['error']}: {one['text'][:200]}")
        elif broken or not records[-1]["alive"]:
            result["notes"].append("the process that ran the notebook died")
        result["cells"] = [{"cell": one["cell"], "seconds": one["seconds"]} for one in records]
    result.update(contract.score(reference, given, verdicts))
    result["seconds"] = round(time.monotonic() - begin, 1)
    result["isolation"] = "namespaces" if limits.isolated and sandbox.available() else "limits only"
    return result


def limits_for(seconds, **more):
    """Limits from what the reference took: five times as long, but at least ten seconds a check."""
    return asdict(Limits(**more, seconds=max(10.0, 5 * seconds)))

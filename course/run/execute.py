"""Execute one notebook with papermill and record what it took.

    python -m course.run.execute notebooks/2_qm7/22_atoms.ipynb build/2_qm7/22_atoms.ipynb NETWORK=vgg16
    python -m course.run.execute --refresh 22

The first form writes the executed copy, with seconds, peak memory, device and data source in its metadata
(`run`). Where a cell fails, the copy goes to `*.failed.ipynb`, so that Make sees no result, and the exit code
is 1. The second form stores the new outputs in the notebook itself.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from course import machine

# One notebook alone gets all idle cores; several at once share all. Set before NumPy or torch are imported.
AT_ONCE = int(os.environ.get("COURSE_SHARE") or 1)
SHARE = machine.idle() if AT_ONCE == 1 else max(1, machine.cores() // AT_ONCE)
ASKED = os.environ.get("THREADS") or os.environ.get("OMP_NUM_THREADS") or ""  # OpenMP knows "4,2" as well
THREADS = max(1, int(ASKED.partition(",")[0])) if ASKED.partition(",")[0].isdigit() else SHARE
for variable, value in {**machine.EVERYWHERE, **machine.counts(THREADS)}.items():
    said = os.environ.get(variable, "")
    os.environ[variable] = value if said in ("", "0") else said  # no threads at all: numba ends with an error

FALLEN_BACK = "SAMPLE, not the real data"  # what helpers.files warns with
ENDS = "ends the notebook"

import nbformat  # noqa: E402
import papermill  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402
from traitlets.config import Config  # noqa: E402

from course.notebooks import ROOT, clean, data_sets, find, printed, take_outputs  # noqa: E402
from helpers import sources  # noqa: E402


def accepted_parameters(path, given):
    """Those of the given NAME=VALUE pairs that the notebook's parameters cell defines, typed as in JSON."""
    known = {name: value for name, value in (pair.split("=", 1) for pair in given) if value}
    names = papermill.inspect_notebook(str(path)) if known else {}
    return {name: typed(value) for name, value in known.items() if name in names}


def typed(text):
    """A number, true, false or null where the text is one in JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def execute(path, target, parameters, sockets=None):
    """Run the notebook, write it to target with a `run` record and return (notebook, record)."""
    begin, message, started = time.monotonic(), "", []
    target.unlink(missing_ok=True)
    with used_device(target.with_suffix(".device")) as device:
        try:
            papermill.execute_notebook(
                str(path),
                str(target),
                parameters=parameters,
                cwd=str(path.parent),
                progress_bar=False,
                kernel_name="python3",
                config=kernel_config(sockets),
                on_notebook_start=lambda notebook: started.append(notebook),  # with its outputs, as they come
                request_save_on_cell_execute=False,  # each cell would write the whole notebook twice
                shutdown_kernel="immediate",  # a kernel takes two seconds to take its libraries down
            )
        except PapermillExecutionError as error:
            message = f"cell {error.exec_count}: {error.ename}: {error.evalue}".splitlines()[0]
        except Exception as error:  # a dead kernel, a notebook that cannot be read
            message = f"{type(error).__name__}: {error}".splitlines()[0] + in_cell(*started)
    notebook = clean(nbformat.read(target, 4) if target.exists() else (*started, empty(path))[0])
    message = reason(message, incomplete(notebook))
    fell_back = FALLEN_BACK in json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    chosen = {data_set: sources.mode(data_set) for data_set in data_sets(path)}
    sample = fell_back or "sample" in chosen.values()
    record = {
        "status": "failed" if message else "passed",
        "message": message,
        "seconds": round(time.monotonic() - begin, 1),
        "peak_memory_mb": peak_memory_mb(),
        "threads": THREADS,
        "device": device["name"],
        "data": "sample" if sample else printed(notebook, "data source") or "unknown",
        "data_sets": chosen,
    }
    notebook.metadata["run"] = record
    nbformat.write(notebook, target)
    return notebook, record


@contextlib.contextmanager
def used_device(file):
    """Yields a dict whose "name" is in the end the device that helpers.runtime.device chose in the kernel."""
    device = {"name": "cpu"}  # where the notebook asks for none
    file.write_text(device["name"], encoding="utf-8")
    os.environ["COURSE_DEVICE_USED"] = str(file)  # for the kernel, not for whoever imports this module
    try:
        yield device
    finally:
        del os.environ["COURSE_DEVICE_USED"]
        device["name"] = file.read_text(encoding="utf-8")
        file.unlink()


def sockets_folder():
    """A folder for a kernel's sockets: their path has 107 characters at most, so no long TMPDIR is used."""
    short = "/tmp" if len(tempfile.gettempdir()) > 60 and sys.platform != "win32" else None
    return tempfile.TemporaryDirectory(prefix="k", dir=short)


def in_cell(notebook=None):
    """Where a run without a report of its own ended: the last cell that papermill started, else "".

    A cell's execution_count does not tell: a kernel that dies may or may not have sent it before.
    """
    for number, cell in reversed(list(enumerate(notebook.cells if notebook else []))):
        begun = cell.metadata.get("papermill", {}).get("start_time")
        if cell.cell_type == "code" and cell.source.strip() and begun:
            return f" in cell {number}: {cell.source.strip().splitlines()[0]}"
    return ""


def empty(path):
    """The notebook without outputs, as it is where no kernel ever started."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def kernel_config(folder):
    """How to talk to the kernel: files instead of TCP ports, so that nobody else can listen.

    folder: where the files go; without one, and on Windows, ports are used.
    """
    if folder is None or sys.platform == "win32":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder, "k"))}})


def reason(said, ended):
    """Which of two counts: a kernel that is told to quit may answer once more, or be dead by then."""
    return ended if ENDS in ended and "DeadKernel" in said else said or ended


def incomplete(notebook):
    """Why a run without an error is none: a cell ended the notebook, or one never ran; else ""."""
    ran = 0
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if re.search(r"^\s*(quit|exit)\(", cell.source, re.MULTILINE):
            return f"cell {number} {ENDS}: {cell.source.strip().splitlines()[0]}"
        for output in cell.outputs:
            if output.output_type == "error":
                return f"cell {number}: {output.ename}: {output.evalue}".splitlines()[0]
        if cell.execution_count is None:
            return f"cell {ran} ended the notebook: cell {number} and what follows never ran"
        ran = number
    return ""


def peak_memory_mb():
    """The largest memory of the kernel, the only large child of this process; None where nothing says it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    kilobytes = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / kilobytes)


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        sys.exit(130)


def run():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--refresh", action="store_true", help="store the new outputs in the notebook itself")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    path = find(arguments.notebook.name) if arguments.notebook.suffix == "" else arguments.notebook.resolve()
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    with tempfile.TemporaryDirectory() as folder, sockets_folder() as sockets:
        scratch = Path(folder) / path.name
        given = accepted_parameters(path, arguments.parameters)
        notebook, record = execute(path, scratch, given, Path(sockets))
        failed = record["status"] == "failed"
        if arguments.refresh and record["data"] == "sample":
            sys.exit(f"{name}: not refreshed, for the stored outputs are those of the real data")
        if arguments.refresh and not failed:
            nbformat.write(take_outputs(nbformat.read(path, 4), notebook), path)
        elif not arguments.refresh:
            target = arguments.target.resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            failure = target.with_suffix(".failed.ipynb")
            failure.unlink(missing_ok=True)
            nbformat.write(notebook, failure if failed else target)
    memory = record["peak_memory_mb"] or "unknown"
    facts = f"{record['seconds']} s  {memory} MB  {record['device']}  data: {record['data']}"
    print(
        f"{name}  {record['status']}  {facts}" + (f"\n    {record['message']}" if failed else ""), flush=True
    )
    sys.exit(failed)


if __name__ == "__main__":
    main()

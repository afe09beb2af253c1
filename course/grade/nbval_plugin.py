"""A pytest plug-in for grading: nbval's kernel in the sandbox, and one line per cell about how it went.

pytest and nbval run outside the sandbox and hold the reference outputs; the kernel inside knows none of them.
Settings come as JSON in the environment variable COURSE_GRADE, see course.grade.submission.
"""

import ctypes
import functools
import json
import os
import signal
import sys
import time

# nbformat's validator loads this to check addresses that no notebook has, which takes a second of every run
sys.modules.setdefault("rfc3987_syntax", None)

import nbval.kernel  # noqa: E402
import pytest  # noqa: E402
from jupyter_client.kernelspec import KernelSpec  # noqa: E402
from jupyter_client.manager import KernelManager  # noqa: E402
from nbval.plugin import IPyNbCell  # noqa: E402

SETTINGS = json.loads(os.environ["COURSE_GRADE"])
LONGEST_OUTPUT, SHOWN = 200_000, 4_000


def start_new_kernel(startup_timeout=60, kernel_name="python", **kwargs):
    """nbval's function of this name, but in the sandbox, over local sockets and with a clean environment."""
    folder = SETTINGS["sockets"]
    manager = KernelManager(
        kernel_name="python3",
        transport="ipc",
        ip=os.path.join(folder, "s"),
        connection_file=os.path.join(folder, "connection.json"),
    )
    command = [*SETTINGS["command"], "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=command, language="python")
    manager.start_kernel(env=SETTINGS["environment"], stderr=kwargs.get("stderr"), cwd=folder)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=startup_timeout)
    return manager, client


nbval.kernel.start_new_kernel = start_new_kernel
if sys.platform == "linux" and "sockets" in SETTINGS:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: no nbval without its grader


def text_of(outputs, longest=SHOWN):
    """What a cell showed, as text."""
    shown = (out.get("text", "") or str(out.get("data", {}).get("text/plain", "")) for out in outputs)
    return "".join(shown)[:longest]


def pytest_itemcollected(item):
    """Compare without stderr (a warning costs nothing) and without explaining differences at length."""
    if not isinstance(item, IPyNbCell):
        return
    compare = item.compare_outputs

    def compare_outputs(test, reference, skip_compare=None):
        test, reference = ([out for out in outs if out.get("name") != "stderr"] for outs in (test, reference))
        if sum(len(str(out)) for out in test) > LONGEST_OUTPUT:
            item.comparison_traceback = ["the output is too long"]
            return False
        return compare(test, reference, skip_compare)

    item.compare_outputs = compare_outputs
    item.format_output_compare = functools.partial(lambda *args: None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Append what happened to a cell to the result file, at once: a run may be stopped at any time."""
    outcome = yield
    if call.when != "call" and not (call.when == "setup" and call.excinfo):
        return
    outputs = item.test_outputs or []
    error = next((output for output in outputs if output.get("output_type") == "error"), {})
    record = {
        "cell": item.cell.get("id"),
        "passed": outcome.get_result().outcome == "passed",
        "seconds": round(call.duration, 3),
        "error": error.get("ename", ""),
        "text": error.get("evalue", "")[:SHOWN],
        "alive": item.parent.kernel is not None and item.parent.kernel.is_alive(),
        "expected": text_of([out for out in item.cell.outputs if out.get("name") != "stderr"]),
        "got": text_of([out for out in outputs if out.get("name") != "stderr"]),
        "failure": str(call.excinfo.value)[:SHOWN] if call.excinfo else "",
        "time": time.time(),
    }
    with open(SETTINGS["result"], "a") as file:
        file.write(json.dumps(record) + "\n")

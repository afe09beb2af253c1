"""Execute every notebook whose inputs changed, so many at once, and go on after a failure.

    python -m course.run.all [--jobs N] [NUMBER ...] [NAME=VALUE ...]

What a result depends on (the notebook's cells, helpers, data, Python and library versions, the settings) is
kept as a digest in build/digests.json; a notebook with the same digest is not run again.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from course.notebooks import (
    BUILD,
    ROOT,
    all_notebooks,
    executed_copy,
    failed_copy,
    find,
    surroundings,
    unchecked,
)
from course.run import summary

DIGESTS = BUILD / "digests.json"
MACHINERY = ("course/notebooks.py", "course/run/execute.py", "course/machine.py")
LOCK = threading.Lock()


def digest(path, parameters, around):
    """A digest of everything that a notebook's result depends on; around: one of what all have in common."""
    cells = [
        [cell["cell_type"], cell["metadata"].get("tags", []), "".join(cell["source"])]
        for cell in unchecked(path)["cells"]
    ]
    depends = [cells, parameters, os.environ.get("DEVICE", ""), around]
    return hashlib.sha256(json.dumps(depends).encode()).hexdigest()


def stale(paths, parameters):
    """{path: digest} of the notebooks that must run.

    A failed copy is of a run after the one that passed, so the summary would show it for ever.
    """
    known = json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.exists() else {}
    machinery = ((ROOT / name).read_text(encoding="utf-8") for name in MACHINERY)
    around = hashlib.sha256("\0".join([*surroundings(), *machinery]).encode()).hexdigest()
    now = {path: digest(path, parameters, around) for path in paths}
    return {
        path: value
        for path, value in now.items()
        if known.get(path.stem) != value
        or not executed_copy(path).exists()
        or failed_copy(path).exists()
    }


def remember(name, value):
    with LOCK:
        known = json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.exists() else {}
        known[name] = value
        scratch = DIGESTS.with_suffix(".new")
        scratch.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        scratch.replace(DIGESTS)


def execute(path, value, parameters, share, running, stopped):
    """Run one notebook in a process of its own; its result counts only where it passed."""
    if stopped.is_set():
        return
    target = executed_copy(path)
    command = [sys.executable, "-m", "course.run.execute", str(path), str(target), *parameters]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "COURSE_SHARE": str(share)},
                               start_new_session=True, stderr=subprocess.PIPE, text=True)  # fmt: skip
    running[path] = process
    _, said = process.communicate()
    running.pop(path, None)
    if process.returncode == 0:
        remember(path.stem, value)
    elif stopped.is_set():  # what a kernel says while it is stopped helps nobody
        print(f"{path.relative_to(ROOT)}  stopped", flush=True)
    else:
        print(said, end="", file=sys.stderr, flush=True)


def run(paths, parameters, jobs):
    """Execute the notebooks that need it, the longest first; returns whether a signal stopped them."""
    todo = stale(paths, parameters)
    order = sorted(todo, key=lambda path: -budget(path))
    running, stopped = {}, threading.Event()
    share = max(1, min(jobs, len(todo)))  # a single one gets all cores, whatever -j says
    BUILD.mkdir(exist_ok=True)
    with ended_like_ctrl_c(), ThreadPoolExecutor(share) as pool:
        waiting = [
            pool.submit(execute, path, todo[path], parameters, share, running, stopped) for path in order
        ]
        try:
            for future in waiting:
                future.result()
        except KeyboardInterrupt:
            stopped.set()
            for process in list(running.values()):
                stop(process)
    return stopped.is_set()


@contextlib.contextmanager
def ended_like_ctrl_c():
    """SIGTERM and a terminal that closes raise KeyboardInterrupt, for runs (own sessions) hear neither.

    Whoever ignores a signal, as nohup does, goes on ignoring it.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def stop(process):
    """End a run with its kernel: asked first, then made to."""
    for send in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, send) if hasattr(os, "killpg") else process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            return


def budget(path):
    return unchecked(path)["metadata"].get("budget", {}).get("seconds", 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("given", nargs="*", metavar="NUMBER or NAME=VALUE")
    arguments = parser.parse_args()
    parameters = sorted(text for text in arguments.given if "=" in text)
    paths = [find(text) for text in arguments.given if "=" not in text] or all_notebooks()
    if run(paths, parameters, arguments.jobs):
        sys.exit(130)
    summary.main(paths)


if __name__ == "__main__":
    main()

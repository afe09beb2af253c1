"""A student's side and a checker for one notebook, both warm, and the examination of one answer by them.

Each side is a process tree of its own in a sandbox of its own; `Pair` starts both and hands each check one
socket that joins them. The student's side is told the lesson's cells and the student's; the checker alone is
told the checks, the reference's answers and the targets.
"""

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from course.grade import plan, sandbox
from course.grade.wire import hand, receive, send
from course.notebooks import ROOT

BOOT = "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).main()"
GRACE = 15  # seconds for the checker beyond a check's own
BY_MACHINE, BY_ITSELF = "by the machine", "by itself"
MOST_PAIRS = 2  # warm at once: a lesson with the imports that it needs, and with all
ENOUGH = 6 * 2**30  # bytes free, or those that nobody uses end


class Broken(RuntimeError):
    """One of the two sides is gone or never came up: the machine's fault, or the reference's."""


class Side:
    """One process tree: a socket to its first process, and one to the process that waits at each exercise."""

    def __init__(self, module, steps, isolated):
        self.folder = tempfile.mkdtemp(prefix="course-")
        self.control, there = socket.socketpair()
        self.sockets, self.locks, passed = {}, {}, [there]
        for step in steps:
            if "exercise" in step:
                self.sockets[step["exercise"]], end = socket.socketpair()
                self.locks[step["exercise"]] = threading.Lock()
                step["socket"] = end.fileno()
                passed.append(end)
        command = [sys.executable, "-sPB", "-c", BOOT, str(ROOT), module, str(there.fileno())]
        visible, hidden = plan.visible_paths(), plan.hidden_paths()
        with open(f"{self.folder}/log", "w") as log:
            os.mkdir(f"{self.folder}/root")
            self.process = subprocess.Popen(
                sandbox.wrapped(command, f"{self.folder}/root", visible, isolated, hidden),
                cwd=self.folder,
                env=plan.environment(isolated),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[one.fileno() for one in passed],
                start_new_session=True,
            )
        for one in passed:
            one.close()
        with contextlib.suppress(OSError):
            send(self.control, json.dumps({"steps": steps}).encode())

    def ready(self, end):
        """{exercise: what its process says} once the lesson has run; raises Broken."""
        try:
            if failed := receive(self.control, end).decode():
                raise Broken(f"cell {failed}")
            return {name: json.loads(receive(one, end)) for name, one in self.sockets.items()}
        except (EOFError, OSError, TimeoutError, ValueError) as error:
            with open(f"{self.folder}/log") as log:
                said = log.read()[-300:].strip().splitlines()
            text = said[-1] if said else type(error).__name__
            raise Broken(f"the process that runs the lesson's cells ended: {text}") from None

    def close(self):
        for one in (self.control, *self.sockets.values()):
            one.close()
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pair:
    """Both sides of one notebook."""

    def __init__(self, reference, whole, isolated, run_seconds, extra=(), lean=False):
        end = time.monotonic() + run_seconds
        steps = plan.steps(reference, whole, extra, lean)
        self.isolated, self.users, self.closed = isolated and sandbox.available(), 0, False
        self.checks = {
            step["exercise"]: [check["check"] for check in step["checks"]]
            for step in steps
            if "exercise" in step
        }
        self.student = Side("course.grade.student", plan.for_student(steps), self.isolated)
        self.checker = None
        try:
            self.checker = Side("course.grade.checker", steps, self.isolated)
            self.student.ready(end)
            self.rehearsal = self.checker.ready(end)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.closed = True
        for side in (self.student, self.checker):
            if side is not None:
                side.close()

    def examine(self, exercise, sources, limits):
        """([record of each check] for a student's cells, who killed a process twice or "")."""
        for _ in range(2):
            before = kills()
            records, broken = self.examine_once(exercise, sources, limits)
            if not broken and not any(record.get("killed") for record in records):
                return records, ""
        # nobody else can kill a process in name spaces of its own, but the kernel where memory is short
        alone = self.isolated and not broken and before is not None and kills() == before
        return records, BY_ITSELF if alone else BY_MACHINE

    def examine_once(self, exercise, sources, limits):
        job = {
            "sources": sources,
            "isolated": self.isolated,
            "seconds": limits.seconds,
            "patience": limits.patience,
            "memory": limits.memory,
            "run_memory": limits.run_memory,
            "disk": limits.disk,
        }
        message, records, run, killed = json.dumps(job).encode(), [], None, False
        # an answer that changes the check's own numbers must be right without that as well
        asked = [(check, changing) for check in self.checks[exercise] for changing in (True, False)]
        try:
            for check, changing in asked:
                if not changing and not (records[-1]["passed"] and records[-1].get("changed")):
                    continue
                begin = time.monotonic()
                try:
                    run = run or self.open(self.checker, exercise, b"run")
                    record = self.ask(run, exercise, message, (check, changing), limits)
                except (EOFError, TimeoutError, OSError):
                    early = time.monotonic() - begin < limits.seconds * limits.patience
                    killed = killed or early
                    run = run and run.close()
                    text = f"the result could not be examined in {limits.seconds:g} seconds"
                    record = record_of(check, "TimeoutError", "" if early else text)
                records[len(records) - (not changing) :] = [record]
                if killed:
                    break
        finally:
            if run is not None:
                run.close()
        return records, killed

    def ask(self, run, exercise, message, asked, limits):
        """The record of one check; raises EOFError, OSError or TimeoutError where the checker gives none."""
        near, far = socket.socketpair()
        with near, far:
            self.give(self.student, exercise, message, near)
            job = {"check": asked[0], "changing": asked[1]}
            job |= {"seconds": limits.seconds, "patience": limits.patience}
            hand(run, json.dumps(job).encode(), [far])
        return json.loads(receive(run, time.monotonic() + limits.seconds * limits.patience + GRACE))

    def open(self, side, exercise, message):
        near, far = socket.socketpair()
        self.give(side, exercise, message, far)
        far.close()
        return near

    def give(self, side, exercise, message, end):
        try:
            with side.locks[exercise]:
                hand(side.sockets[exercise], message, [end])
        except OSError:
            raise Broken("the process that waits at the exercise is gone") from None


def kills():
    """How many processes this kernel has killed for want of memory; None where it does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/vmstat").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))


def record_of(check, error, text):
    """The record of a check that gave none."""
    return {"check": check, "passed": False, "error": error, "text": text, "got": "", "seconds": 0.0}


POOL, POOL_LOCK, KEY_LOCKS = {}, threading.Lock(), {}


@contextlib.contextmanager
def borrowed(key, make):
    """The warm pair for a key, made where there is none; not closed while somebody uses it."""
    with POOL_LOCK:
        lock = KEY_LOCKS.setdefault(key, threading.Lock())
    with lock:
        with POOL_LOCK:
            pair = POOL.pop(key, None)
        if pair is None or pair.closed:
            pair = make()
        with POOL_LOCK:
            pair.users += 1
            POOL[key] = pair  # the last used stands last
            idle = [name for name, one in POOL.items() if not one.users]
            kept = MOST_PAIRS if psutil.virtual_memory().available > ENOUGH else 0
            for name in idle[: max(0, len(POOL) - kept)]:
                POOL.pop(name).close()
    try:
        yield pair
    except Broken:
        with POOL_LOCK:
            if POOL.get(key) is pair:
                del POOL[key]
        pair.close()
        raise
    finally:
        with POOL_LOCK:
            pair.users -= 1


@atexit.register
def close_all():
    with POOL_LOCK:
        for pair in POOL.values():
            pair.close()
        POOL.clear()

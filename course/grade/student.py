"""The student's side: a process that holds the lesson's variables and copies itself for every check.

It is started before anything of a check exists in a process that it stems from by a fork, and learns
nothing but the student's cells, the names that are asked for and the arguments of calls. Each copy runs in
name spaces of its own (processes, files, network, System V memory) that end with the check.
"""

import ast
import asyncio
import builtins
import codeop
import contextlib
import hashlib
import inspect
import io
import json
import os
import pickle
import random
import resource
import select
import signal
import sys
import time
import types

import numpy as np
import psutil

from course import contract, machine
from course.grade import lesson, sandbox
from course.grade.codec import describe, encode
from course.grade.wire import receive, send

PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range, types.FunctionType)
TICK = 0.2


def serve(step, namespace, control):
    """Stand ready at an exercise: a message brings the student's cells, limits and a way to the checker."""
    send(control, b"{}")
    lesson.copies(control, lambda message, sockets: supervise(sockets[0], json.loads(message), namespace))


def supervise(connection, job, namespace):
    """Start the student's process, wait, end it and all that it started, and say how it ended."""
    begin = time.monotonic()
    os.setsid()
    apart = job["isolated"] and sandbox.unshare()
    first = os.fork()
    if first == 0:
        start(connection, job, namespace, apart)
    reason = watch(first, connection, begin, job)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(first, signal.SIGKILL)
    with contextlib.suppress(OSError):
        _, status, used = os.wait4(first, 0)
        if used.ru_utime + used.ru_stime > job["seconds"]:  # ended for the time that it computed
            reason = reason or f"no result after {job['seconds']:g} seconds"
        reason = reason or said(os.waitstatus_to_exitcode(status))
    with contextlib.suppress(OSError):
        connection.settimeout(1)
        send(connection, encode(("ended", reason, ""), id))
    os._exit(0)


def said(code):
    """How a process ended, in words; the first process of the name space tells signals as 128 + number."""
    return f"exit code {code}" if 0 <= code < 128 else f"signal {code - 128 if code > 0 else -code}"


def start(connection, job, namespace, apart):
    """The first process of the name space: give up all power, start the student's, end when that ends."""
    with contextlib.suppress(BaseException):
        lesson.die_with_parent()
        os.setsid()
        if apart:
            sandbox.private_view(job["disk"])
        lesson.quiet()  # anew: what copies share, a lock on it, say, would carry words from one to another
        lesson.traceable(False)
        worker = os.fork()
        if worker == 0:
            try:
                Server(connection, job["sources"], job["isolated"]).run(namespace, job)
            finally:
                os._exit(1)
        connection.close()
        while True:  # also what its parents left behind ends here
            pid, status = os.wait()
            if pid == worker:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
    os._exit(1)


def watch(first, connection, begin, job):
    """Wait until the student's process ends, nobody listens any more or a limit is passed; returns which."""
    computed = 0.0
    gone = getattr(select, "POLLRDHUP", 0)
    wait = select.poll()
    wait.register(connection, gone)
    if hasattr(os, "pidfd_open"):
        wait.register(os.pidfd_open(first), select.POLLIN)
    while not overdue(time.monotonic() - begin, computed, job["seconds"], job["patience"]):
        if wait.poll(1000 * TICK):
            return ""
        if os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return ""
        held, computed, count = usage(first, job["run_memory"])
        if count > sandbox.PROCESSES:  # before the memory: pages that they share are counted once in few
            return f"more than {sandbox.PROCESSES} processes"
        if held > job["run_memory"]:
            return f"more than {job['run_memory']} MB of memory"
    return f"no result after {job['seconds']:g} seconds"


def overdue(passed, computed, seconds, patience):
    """Whether processes take too long: who computes on a busy machine may take `patience` times the seconds.

    passed: seconds since the beginning; computed: of all processes together. Who waits (for the check's work
    or for nothing) may not take so much longer, and who computes on all cores no more than alone.
    """
    waited = passed - patience * computed
    most = seconds * machine.cores()
    return passed > seconds * patience + 1 or waited > seconds * (1 + patience / 4) + 1 or computed > most + 1


def usage(pid, enough):
    """(memory in MB, seconds computed, count) of all processes below one.

    What they share of the memory counts once where it matters.
    """
    started = []
    with contextlib.suppress(psutil.Error):
        started = psutil.Process(pid).children(recursive=True)
    total = sum(measured(process, "memory_info", "rss") for process in started)
    if total > enough and len(started) <= sandbox.PROCESSES:
        total = sum(measured(process, "memory_full_info", "pss") for process in started)
    return total, sum(map(computing, started)), len(started)


def computing(process):
    """The seconds that a process and its ended children have computed."""
    with contextlib.suppress(psutil.Error, OSError):
        return sum(process.cpu_times()[:4])
    return 0.0


def measured(process, method, name):
    with contextlib.suppress(psutil.Error, AttributeError, OSError):
        return getattr(getattr(process, method)(), name) / 2**20
    return 0


class ArgumentUnpickler(pickle.Unpickler):
    """Reads the checker's arguments: ("kept", 3) is an object that stayed here, ("call", 1) a way back."""

    def __init__(self, file, server):
        super().__init__(file)
        self.server = server

    def persistent_load(self, name):
        kind, number = name
        if kind == "kept":
            return self.server.kept[number]
        return lambda *args, **kwargs: self.server.call_back(number, args, kwargs)


def adopt(state):
    """Set the global random states, so that a seed in a check counts for the answer too."""
    python, numpy, torch = state
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    if torch is not None and "torch" in sys.modules:
        library = sys.modules["torch"]
        library.set_rng_state(library.from_numpy(np.array(torch)))


class Server:
    """Runs the cells, then answers requests until the socket closes."""

    def __init__(self, connection, sources, isolated):
        self.connection, self.sources, self.isolated, self.kept = connection, sources, isolated, []
        self.loop = None  # of the cells' own `await`
        self.failed = None  # the first statement of the student's cells that raised

    def keep(self, value):
        self.kept.append(value)
        return len(self.kept) - 1

    def run(self, namespace, job):
        self.namespace = namespace
        lesson.traceable(True)
        self.shed(job)
        try:
            self.read()  # the check begins: now the clock of the student's cells may run
            self.answer(self.execute)
            while True:
                what, target, details, state = self.read()
                if state is not None:
                    adopt(state)
                self.answer(lambda: self.work(what, target, *details))  # noqa: B023 (called at once)
        except (EOFError, OSError):
            os._exit(0)

    def read(self):
        return ArgumentUnpickler(io.BytesIO(receive(self.connection, largest=2**40)), self).load()

    def shed(self, job):
        """Keep one descriptor, the socket to the checker; then set the limits."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        kept = self.connection.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
        with contextlib.suppress(OSError):
            os.chdir("/tmp")
        if self.isolated:  # a module that a cell has written; without isolation anybody's
            sys.path.append("/tmp")
        lesson.limit_memory(job["memory"])
        lesson.limit_time(job["seconds"])
        lesson.limit(resource.RLIMIT_NOFILE, 256)
        lesson.limit(resource.RLIMIT_FSIZE, sandbox.LARGEST_FILE)
        lesson.limit(resource.RLIMIT_CORE, 0)
        if self.isolated and sandbox.namespaced_processes():
            lesson.limit(resource.RLIMIT_NPROC, sandbox.PROCESSES)

    def execute(self):
        from IPython import get_ipython

        builtins.input = contract.no_input
        compiled = codeop.Compile()  # remembers `from __future__ import ...` for what follows
        compiled.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as a notebook does
        for source in self.sources:
            tree = ast.parse(get_ipython().transform_cell(source))
            for statement in tree.body:  # a failing try-out beside a right function costs nothing
                try:
                    code = compiled(ast.Module([statement], []), "<exercise>", "exec")
                    waits = eval(code, self.namespace)
                    if code.co_flags & inspect.CO_COROUTINE:
                        self.loop = self.loop or asyncio.Runner()
                        self.loop.run(waits)
                except (Exception, SystemExit) as error:  # exit() leaves a notebook's functions there
                    self.failed = self.failed or error

    def work(self, what, target, *details):
        if what == "name":
            present = target in self.namespace
            if not present and self.failed:
                raise self.failed  # the reason why the name is missing
            return [present, self.namespace.get(target)], []
        if what == "getattr":
            return getattr(target, details[0]), []
        if what == "getitem":
            return target[details[0]], []
        if what == "len":
            return len(target), []
        if what == "iter":
            return list(target), []
        args, kwargs = details
        arguments = [*args, *kwargs.values()]
        before = [fingerprint(argument) for argument in arguments]
        value = target(*args, **kwargs)
        changed = [[i, one] for i, one in enumerate(arguments) if fingerprint(one) != before[i]]
        return value, changed

    def call_back(self, number, args, kwargs):
        """Ask the checker for the value of a function that was an argument."""
        torch = sys.modules.get("torch")
        how = [list(args), dict(kwargs), torch is None or torch.is_grad_enabled()]
        send(self.connection, encode(("call", number, how), self.keep))
        good, value = self.read()
        if not good:
            raise RuntimeError(value)
        return value

    def answer(self, work):
        try:
            value, changed = work() or (None, [])
            message = encode(("value", value, changed), self.keep)
        except BaseException as error:  # SystemExit and KeyboardInterrupt as well
            message = encode(("error", *describe(error)), self.keep)
        send(self.connection, message)


def fingerprint(argument):
    """A digest that changes when a mutable argument changes; None for what cannot change or be told."""
    if isinstance(argument, PLAIN) or callable(argument):
        return None
    with contextlib.suppress(Exception):
        return hashlib.blake2b(pickle.dumps(argument, protocol=5)).digest()
    return None


def main():
    lesson.main(serve)

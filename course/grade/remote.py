"""Run a student's code in a process of its own, and let the checks call it as if it stood in the notebook.

This module is imported by the kernel that runs a merged notebook. There the exercise's cell is replaced by
`exercise(...)`, and every check begins with `begin(...)`: the kernel forks, and the child, which inherits all
variables of the notebook as copies, runs the student's cell. The names that the exercise defines become
stand-ins in the kernel: calling one sends the arguments to the child and brings the result back.

So the checks, NumPy, the helpers and everything else that decides about points live in a process that never
runs a line of the student's code. Only plain data comes back: numbers, texts, containers, arrays, tensors,
tables, random generators. Anything else stays in the child and is used from afar (`Remote`), so an object
that says it is equal to everything decides nothing. Each check has a child of its own, bounded in time and
memory.
"""

import contextlib
import ctypes
import io
import os
import signal
import socket
import sys
import time

import cloudpickle
import numpy as np

from course.grade.codec import Remote, Unpickler, decode, failure
from course.grade.student import SECONDS, RandomState, Server, receive, send

LONGEST_PRINT = 10**6
EXERCISES, CHILD = {}, None


class Pickler(cloudpickle.Pickler):
    """Sends arguments; a stand-in travels as its number."""

    def persistent_id(self, value):
        return value._number if type(value) is Remote else None


class Child:
    """A forked process that has run the student's cells and now answers requests."""

    def __init__(self, sources, namespace):
        here, there = socket.socketpair()
        self.end, self.socket, self.others = time.monotonic() + SECONDS, here, processes()
        self.random = RandomState()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            Server(there).run(sources, namespace)  # never returns
        there.close()
        try:
            self.receive()
        except BaseException:
            self.close()
            raise

    def request(self, what, target, *details):
        if CHILD is not self:
            raise RuntimeError("this belongs to an earlier check")
        buffer = io.BytesIO()
        Pickler(buffer, protocol=5).dump((what, target, details, self.random.news()))
        try:
            self.socket.settimeout(max(0.01, self.end - time.monotonic()))
            send(self.socket, buffer.getvalue())
        except OSError:
            self.stop()
        changed, value, state = self.receive()
        arguments = [*details[0], *details[1].values()] if what == "call" else []
        for position, new in changed:
            with contextlib.suppress(Exception):
                overwrite(arguments[position], new)
        self.random.adopt(state)
        return value

    def receive(self):
        try:
            message = receive(self.socket, self.end)
        except (OSError, EOFError, TimeoutError):
            self.stop()
        tree = Unpickler(io.BytesIO(message)).load()
        if tree[0] == "error":
            raise failure(*tree[1:3])
        return decode(tree[1], lambda number, kind: Remote(self, number, kind))

    def stop(self):
        """Say why there is no answer."""
        late = time.monotonic() >= self.end
        status = self.close(grace=0 if late else 1)
        if late:
            raise TimeoutError(f"no result after {SECONDS:g} seconds") from None
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        how = f"exit code {code}" if code is not None and code >= 0 else f"signal {-(code or -9)}"
        raise RuntimeError(f"the code ended its own process ({how})") from None

    def close(self, grace=0):
        """End the process (it leads its own group) and return its wait status."""
        self.socket.close()
        end, status = time.monotonic() + grace, None
        while self.pid and status is None:
            if time.monotonic() >= end:
                for kill in (os.killpg, os.kill):
                    with contextlib.suppress(OSError):
                        kill(self.pid, signal.SIGKILL)
            pid, found = os.waitpid(self.pid, os.WNOHANG)
            status = found if pid else None
            time.sleep(0 if pid else 0.005)
        self.pid = 0
        sweep(self.others)
        return status


def processes():
    """The processes of this sandbox; None outside of one, where they are not ours to judge."""
    if os.getpid() != 1:
        return None
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def sweep(kept):
    """End what the student's code left running; only the first process of a sandbox knows what that is."""
    while kept is not None and (left := processes() - kept):
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.005)


def overwrite(target, new):
    """Change a mutable argument in place as the student's code changed its copy."""
    if isinstance(target, np.ndarray):
        target[...] = new
    elif isinstance(target, list):
        target[:] = new
    elif isinstance(target, (dict, set)):
        target.clear()
        target.update(new)
    elif isinstance(target, np.random.Generator):
        target.bit_generator.state = new.bit_generator.state
    elif hasattr(target, "load_state_dict"):
        target.load_state_dict(new)
    elif hasattr(target, "_update_inplace"):
        target._update_inplace(new)
    elif hasattr(target, "detach"):
        target.detach().copy_(new)


def exercise(identifier, sources, names):
    """Remember the cells that make up a student's answer and the names that its checks may use."""
    EXERCISES[identifier] = (sources, names)


def begin(identifier, namespace):
    """Start a check: a new process runs the student's cells, its stand-ins enter the namespace."""
    global CHILD
    end()
    limit_printing()
    sources, names = EXERCISES[identifier]
    for name in [name for name, value in namespace.items() if type(value) is Remote]:
        del namespace[name]
    CHILD = Child(sources, namespace)
    for name in names:
        found = CHILD.request("name", name)
        if found != ("missing",):
            namespace[name] = found[1]


def end():
    """End the process of the check before."""
    global CHILD
    if CHILD is not None:
        CHILD.close()
        CHILD = None


def limit_printing(stream=None):
    """Let a check print no more than LONGEST_PRINT characters: a result may be huge."""
    stream, left = stream or sys.stdout, LONGEST_PRINT
    write = type(stream).write

    def limited(text):
        nonlocal left
        left -= len(text)
        if left < 0:
            raise ValueError(f"the output is longer than {LONGEST_PRINT} characters")
        return write(stream, text)

    stream.write = limited


def protect():
    """Hide this process from its children, and its sockets from everybody; called before any student code.

    nbval is connected by now; without their names nobody else can connect. A process that is not dumpable can
    be neither traced nor read by others of the same user.
    """
    folder = os.environ.get("COURSE_GRADE_SOCKETS")
    for name in os.listdir(folder) if folder else ():
        os.unlink(os.path.join(folder, name))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE

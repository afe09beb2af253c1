"""Run a lesson's own cells once, and keep a process ready at each exercise: so both sides of grading begin.

Each side runs this in a process tree of its own. A process that waits at an exercise holds the lesson's
variables as they are there, and makes copies of itself (forks) for each hand-in.
"""

import contextlib
import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import time
import types
from pathlib import Path

from course.grade.codec import describe
from course.grade.wire import receive, send, take


def main(serve):
    """Read the steps from the socket named last on the command line, run them, stand ready until it closes.

    serve(step, namespace, take) is called in a process of its own at each exercise.
    """
    import json

    control = socket.socket(fileno=int(sys.argv[-1]))
    job = json.loads(receive(control))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    quiet()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = module.__dict__
    start_shell(module)
    try:
        for step in job["steps"]:
            if "exercise" in step:
                stand_ready(step, namespace, serve, control)
            else:
                exec(compile(step["source"], f"<{step['cell']}>", "exec"), namespace)
    except BaseException as error:
        name, text = describe(error)
        send(control, f"{step.get('cell', 'exercise')} failed: {name}: {text}".encode())
        os._exit(1)
    send(control, b"")
    with contextlib.suppress(EOFError, OSError):
        receive(control)
    os._exit(0)


def quiet():
    """What a lesson prints goes nowhere, and nothing can be read."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")


def start_shell(module):
    """IPython without a terminal, so that magics and display work as in a notebook."""
    import matplotlib
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    matplotlib.use("agg")
    settings = Config()
    settings.HistoryManager.enabled = False
    InteractiveShell.instance(user_module=module, user_ns=module.__dict__, config=settings)
    sys.modules["__main__"] = module


def stand_ready(step, namespace, serve, control):
    """Fork the process that waits at an exercise."""
    own = socket.socket(fileno=step["socket"])
    if os.fork() == 0:
        die_with_parent()
        control.close()
        try:
            serve(step, namespace, own)
        except (EOFError, OSError):
            os._exit(0)
        except BaseException as error:
            with contextlib.suppress(OSError):
                send(own, repr(describe(error)).encode())
        os._exit(1)
    own.close()


def copies(control, work, prepare=None):
    """Fork work(message, sockets) for every message that comes, until nobody is left who could send one.

    prepare(message) runs before the fork, once for all copies: it must know the message to be harmless.
    """
    gc.freeze()  # no copy looks through what all share, and copies its pages by that
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, sockets = take(control)
        if prepare:
            prepare(message)
        if os.fork() == 0:
            die_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            try:
                work(message, sockets)
            finally:
                os._exit(1)
        for one in sockets:
            one.close()


def die_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def traceable(allowed):
    """Whether processes of the same user may look into this one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, int(allowed), 0, 0, 0)  # PR_SET_DUMPABLE


def limit_memory(megabytes):
    """Let this process take so much on top of what the lesson holds."""
    if sys.platform == "linux":
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit(resource.RLIMIT_AS, held + megabytes * 2**20)


def limit_time(seconds):
    limit(resource.RLIMIT_CPU, int(time.process_time() + seconds) + 2)


def limit(kind, value):
    """Lower a resource limit, for good."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))

"""The student's side: a forked process that runs the student's cells and answers requests over a socket."""

import ast
import codeop
import contextlib
import ctypes
import io
import os
import pickle
import random
import resource
import select
import signal
import struct
import sys
import time
import types
from pathlib import Path

import numpy as np

from course.grade.codec import PLAIN, Remote, describe, encode

SECONDS = float(os.environ.get("COURSE_GRADE_SECONDS", 30))  # for one check
MEMORY = int(os.environ.get("COURSE_GRADE_MEMORY", 4000)) * 2**20  # on top of what the notebook itself holds
LARGEST_MESSAGE = 2**29


class ArgumentUnpickler(pickle.Unpickler):
    """Reads what Pickler wrote; a stand-in's number becomes the object that was kept under it."""

    def __init__(self, file, kept):
        super().__init__(file)
        self.kept = kept

    def persistent_load(self, number):
        return self.kept[number]


class RandomState:
    """The global random states, which both sides share: what one draws, the other must not draw again."""

    def __init__(self):
        self.known = self.now()

    def now(self):
        name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global state is what students may use)
        torch = sys.modules.get("torch")
        return (
            random.getstate(),
            (name, keys.tobytes(), *rest),
            torch.get_rng_state().numpy().tobytes() if torch else None,
        )

    def news(self):
        """What changed since the two sides last agreed; None for no change."""
        before, self.known = self.known, self.now()
        return tuple(new if new != old else None for new, old in zip(self.known, before, strict=True))

    def adopt(self, news):
        with contextlib.suppress(Exception):
            python, numpy, torch = news
            if python is not None:
                random.setstate(python)
            if numpy is not None:
                name, keys, *rest = numpy
                np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))  # noqa: NPY002
            if torch is not None:
                import torch as library

                library.set_rng_state(library.frombuffer(bytearray(torch), dtype=library.uint8))
        self.known = self.now()


def send(connection, message):
    connection.sendall(struct.pack("<Q", len(message)) + message)


def receive(connection, end=None):
    """One message; raises EOFError where the other side is gone, TimeoutError after `end`."""

    def exactly(count):
        parts = []
        while count:
            left = None if end is None else end - time.monotonic()
            if left is not None and (left <= 0 or not select.select([connection], [], [], left)[0]):
                raise TimeoutError
            part = connection.recv(min(count, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    length = struct.unpack("<Q", exactly(8))[0]
    if length > LARGEST_MESSAGE:
        raise EOFError
    return exactly(length)


class Server:
    """What the forked child does: run the cells, then answer requests until the socket closes."""

    def __init__(self, connection):
        self.connection, self.kept, self.random = connection, [], RandomState()
        self.failed = None  # the first statement of the student's cells that raised

    def keep(self, value):
        self.kept.append(value)
        return len(self.kept) - 1

    def run(self, sources, namespace):
        try:
            self.shed()
            self.namespace = namespace
            self.answer(lambda: self.execute(sources))
            while True:
                message = io.BytesIO(receive(self.connection))
                what, target, details, state = ArgumentUnpickler(message, self.kept).load()
                self.random.adopt(state)
                self.answer(lambda: self.work(what, target, *details))  # noqa: B023 (called at once)
        except BaseException:
            os._exit(1)
        finally:
            os._exit(0)

    def shed(self):
        """Drop every way back into the kernel: descriptors, streams, displays; then the limits."""
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        kept = self.connection.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limit(resource.RLIMIT_AS, held + MEMORY)
        limit(resource.RLIMIT_CPU, int(time.process_time() + SECONDS) + 5)
        limit(resource.RLIMIT_NOFILE, 256)
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is not None:
            shell.display_pub.publish = lambda *args, **kwargs: None

    def execute(self, sources):
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        compiled = codeop.Compile()  # remembers `from __future__ import ...` for what follows
        for source in sources:
            tree = ast.parse(shell.transform_cell(source) if shell is not None else source)
            for statement in tree.body:  # a failing try-out beside a right function costs nothing
                try:
                    exec(compiled(ast.Module([statement], []), "<exercise>", "exec"), self.namespace)
                except Exception as error:
                    self.failed = self.failed or error

    def work(self, what, target, *details):
        if what == "name":
            present = target in self.namespace
            if not present and self.failed:
                raise self.failed  # the reason why the name is missing
            return [], ("found", self.namespace[target]) if present else ("missing",)
        if what == "getattr":
            return [], getattr(target, details[0])
        if what == "getitem":
            return [], target[details[0]]
        if what == "len":
            return [], len(target)
        if what == "iter":
            return [], list(target)
        args, kwargs = details
        arguments = [*args, *kwargs.values()]
        before = [self.fingerprint(argument) for argument in arguments]
        value = target(*args, **kwargs)
        if isinstance(value, types.GeneratorType):
            value = list(value)
        after = [self.fingerprint(argument) for argument in arguments]
        pairs = enumerate(zip(before, after, strict=True))
        return [(i, self.state(arguments[i])) for i, (old, new) in pairs if old != new], value

    def state(self, argument):
        return argument.state_dict() if hasattr(argument, "state_dict") else argument

    def fingerprint(self, argument):
        """Bytes that change when a mutable argument changes; None for what cannot change."""
        if isinstance(argument, (*PLAIN, tuple, frozenset, Remote, types.FunctionType)):
            return None
        if hasattr(argument, "state_dict"):
            argument = dict(argument.state_dict())
        return pickle.dumps(encode(argument, id))

    def answer(self, work):
        try:
            result = ("value", encode((*(work() or ([], None)), self.random.news()), self.keep))
            message = pickle.dumps(result, protocol=5)
        except BaseException as error:  # SystemExit and KeyboardInterrupt as well
            message = pickle.dumps(("error", *describe(error)), protocol=5)
        send(self.connection, message)


def limit(kind, value):
    """Lower a resource limit, for good."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))

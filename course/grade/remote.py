"""The checker's way to a student's code: stand-ins for its names, whose results are plain data.

A stand-in is called, indexed and asked for attributes as if the student's object stood in the notebook. The
arguments are sent, what comes back is decoded (course.grade.codec) and brought into the reference's form
(course.grade.conform). Nothing that comes back is evaluated, and an object that stays on the other side
decides nothing: it may say it equals everything, nobody asks it.
"""

import contextlib
import hashlib
import io
import pickle
import random
import re
import sys
import time
import types

import numpy as np

from course.grade.codec import decode, failure
from course.grade.conform import conform, no_stand_in
from course.grade.wire import receive, send

KILLED = "(signal 9)"
ENDINGS = re.compile(
    r"(exit code|signal) \d+|more than \d+ (processes|MB of memory)|no result after [\d.]+ seconds"
)


class Ended(RuntimeError):
    """The student's process is gone."""


class Unknown(Exception):
    """What the reference would return is not known."""


class Pickler(pickle.Pickler):
    """Arguments on their way out: a stand-in goes as its number, a check's function stays and is called."""

    def __init__(self, file, lesson, functions, kept=None):
        super().__init__(file, protocol=5)
        self.lesson, self.functions, self.kept = lesson, functions, {} if kept is None else kept

    def persistent_id(self, value):
        if type(value) is Remote:
            self.kept[value._number] = value._like
            return "kept", value._number
        if type(value) is not types.FunctionType or value.__module__ not in ("__main__", None):
            return None
        if self.lesson.get(value.__qualname__) is value:
            return None
        self.functions.append(value)
        return "call", len(self.functions) - 1


class Unpickler(pickle.Unpickler):
    """A second copy of arguments, for the reference."""

    def __init__(self, file, functions, kept):
        super().__init__(file)
        self.functions, self.kept = functions, kept

    def persistent_load(self, name):
        known = self.functions[name[1]] if name[0] == "call" else self.kept[name[1]]
        if known is None:
            raise Unknown
        return known


class Reference:
    """What the reference's names give; `results`: known from the rehearsal, by digest of the call."""

    def __init__(self, lesson, names=None, results=None):
        """lesson: its names; names: the reference's answer; results: (value, changed) by digest of a call."""
        self.lesson, self.names, self.results = lesson, names or {}, {} if results is None else results

    def packed(self, args, kwargs):
        """(bytes of the arguments, the functions among them that stay here, what the stand-ins are like)."""
        file, functions, kept = io.BytesIO(), [], {}
        Pickler(file, self.lesson, functions, kept).dump((args, kwargs))
        return file.getvalue(), functions, kept

    def copied(self, packed, functions, kept):
        """(args, kwargs) as they were when they were packed."""
        return Unpickler(io.BytesIO(packed), functions, kept).load()

    def of_call(self, name, like, packed, functions, kept):
        """(result, places of the arguments that are changed) of the reference's call; raises Unknown."""
        key = hashlib.blake2b(name.encode() + packed).digest()
        if not functions and key in self.results:
            return pickle.loads(self.results[key])
        if like is None:
            raise Unknown
        state = random_state()
        try:
            args, kwargs = self.copied(packed, functions, kept)
            with contextlib.redirect_stdout(io.StringIO()):
                return self.called(like, args, kwargs)
        except Exception:
            raise Unknown from None
        finally:
            restore(state)

    def called(self, function, args, kwargs):
        """(value, places of the arguments that it changes) of a reference's function."""
        arguments = [*args, *kwargs.values()]
        before = [self.packed(one, {})[0] for one in arguments]
        value = function(*args, **kwargs)
        value = list(value) if isinstance(value, types.GeneratorType) else value
        return value, [i for i, one in enumerate(arguments) if self.packed(one, {})[0] != before[i]]

    def recorded(self, name, function):
        """A reference function that remembers what it returned: for the rehearsal."""

        def call(*args, **kwargs):
            try:
                packed, functions, _ = self.packed(args, kwargs)
            except Exception:  # an argument that cannot be sent
                return function(*args, **kwargs)
            value, changed = self.called(function, args, kwargs)
            with contextlib.suppress(Exception):
                if not functions:
                    key = hashlib.blake2b(name.encode() + packed).digest()
                    self.results[key] = pickle.dumps((value, changed), protocol=5)
            return value

        return call


def random_state():
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), torch.get_rng_state().numpy() if torch else None  # noqa: NPY002


def restore(state):
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    if state[2] is not None:
        sys.modules["torch"].set_rng_state(sys.modules["torch"].from_numpy(state[2]))


class Session:
    """One check's connection to the student's process, with an end."""

    def __init__(self, connection, limits, reference, changing=True):
        """limits: seconds, and how many times so long it may take here.

        changing: let the student's functions change arguments that the reference leaves alone.
        """
        self.connection, self.seconds, self.reference = connection, limits[0], reference
        self.changing, self.changed = changing, False
        self.end, self.state, self.functions = time.monotonic() + limits[0] * limits[1], None, []

    def start(self):
        """Let the student's cells run."""
        self.exchange(b"N.")

    def name(self, name):
        """(whether the student's cells define a name, its value or stand-in)."""
        like = self.reference.names.get(name)
        (present, value), _ = self.request("name", name)
        return present, self.adopted(value, like, name) if present else None

    def request(self, what, target, *details):
        state = pickle.dumps(random_state())
        news, self.state = (random_state() if state != self.state else None), state
        file, self.functions = io.BytesIO(), []
        Pickler(file, self.reference.lesson, self.functions).dump((what, target, details, news))
        return self.exchange(file.getvalue())

    def exchange(self, content):
        """Send one message, answer what is asked meanwhile, return (value, [[place, changed argument]])."""
        while True:
            try:
                self.connection.settimeout(max(0.01, self.end - time.monotonic()))
                send(self.connection, content)
            except OSError:
                pass  # why it is gone stands in what can be read
            tag, first, second = self.read()
            if tag == "ended":
                how = f" ({first})" if ENDINGS.fullmatch(str(first)) else ""  # not in the student's words
                raise Ended(f"the code ended its own process{how}")
            if tag == "error":
                error = failure(first, second)
                error.of_hand_in = True
                raise error
            if tag != "call":
                return first, second if isinstance(second, list) else []
            content = self.called(first, *second)

    def read(self):
        try:
            content = receive(self.connection, self.end)
        except TimeoutError:
            raise TimeoutError(f"no result after {self.seconds:g} seconds") from None
        except (EOFError, OSError):
            raise Ended("the code ended its own process") from None
        message = decode(content, lambda number, kind: Remote(self, number, kind))
        if not isinstance(message, tuple) or len(message) != 3:
            raise Ended("the code ended its own process")
        return message

    def called(self, number, args, kwargs, gradients=True):
        """The bytes of the value of a check's function that the student's code calls."""
        torch = sys.modules.get("torch")
        try:
            with torch.set_grad_enabled(gradients is True) if torch else contextlib.nullcontext():
                answer = True, self.functions[number](*args, **kwargs)
        except Exception as error:
            answer = False, str(error)[:200]
        file, functions = io.BytesIO(), self.functions
        Pickler(file, self.reference.lesson, functions).dump(answer)
        return file.getvalue()

    def call(self, target, args, kwargs):
        packed = self.reference.packed(args, kwargs)
        value, changed = self.request("call", target, args, kwargs)
        try:
            like, allowed = self.reference.of_call(target._path, target._like, *packed)
        except Unknown:
            like, allowed = None, range(len(args) + len(kwargs))
        arguments = [*args, *kwargs.values()]
        for place, new in changed:
            self.changed = self.changed or place not in allowed
            if self.changing or place in allowed:
                with contextlib.suppress(Exception):
                    overwrite(arguments[place], new)
        return self.adopted(value, like, f"{target._path}()")

    def adopted(self, value, like, path):
        """A value in the form of the reference's; a stand-in learns what the reference has in its place."""
        if type(value) is not Remote:
            return conform(value, like)
        no_stand_in(value._kind, like)
        value.__dict__.update(_like=like, _path=path)
        return value


class Remote:
    """A stand-in for something in the student's process."""

    def __init__(self, session, number, kind):
        names = {"_session": session, "_number": number, "_kind": kind, "__name__": kind}
        self.__dict__.update(names, _like=None, _path=kind)

    def __call__(self, *args, **kwargs):
        return self._session.call(self, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value, _ = self._session.request("getattr", self, name)
        return self._session.adopted(value, getattr(self._like, name, None), f"{self._path}.{name}")

    def __getitem__(self, key):
        value, _ = self._session.request("getitem", self, key)
        like = None
        with contextlib.suppress(Exception):
            like = self._like[key]
        return self._session.adopted(value, like, f"{self._path}[]")

    def __len__(self):
        length = self._session.request("len", self)[0]
        return length if type(length) is int else 0

    def __iter__(self):
        value, like = self._session.request("iter", self)[0], None
        with contextlib.suppress(Exception):
            like = list(self._like)
        return iter(self._session.adopted(value, like, f"{self._path}[]"))

    def __repr__(self):
        return f"<{self._kind} of the student's code>"


def overwrite(target, new):
    """Change a mutable argument in place, as a copy of it was; returns what has to stand in its place."""
    if type(target) is not type(new):
        return new
    if isinstance(target, np.ndarray) and target.shape == new.shape:
        target[...] = new
    elif isinstance(target, list):
        target[:] = [*map(overwrite, target, new), *new[len(target) :]]
    elif isinstance(target, tuple):
        for one, other in zip(target, new, strict=False):
            overwrite(one, other)
    elif isinstance(target, dict):
        news = {key: overwrite(target[key], value) if key in target else value for key, value in new.items()}
        target.clear()
        target.update(news)
    elif isinstance(target, set):
        target.clear()
        target.update(new)
    elif isinstance(target, np.random.Generator):
        target.bit_generator.state = new.bit_generator.state
    elif hasattr(target, "_update_inplace"):
        target._update_inplace(new)
    elif hasattr(target, "detach") and target.shape == new.shape:
        target.detach().copy_(new)
    else:
        return new
    return target

"""A server of our own that answers as badly as one likes, and folders for what helpers.files finds there."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from helpers import files

NAME = "wholesale/a file.bin"
GOOD = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Answers every request with the next of `answers` (the last one for ever): functions of the handler."""

    daemon_threads = True

    def __init__(self):
        self.answers, self.requests = [whole], []
        self.release, self.lock = threading.Event(), threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with self.server.lock:
            answer = self.server.answers[min(len(self.server.requests), len(self.server.answers) - 1)]
            self.server.requests.append(self.path)
        answer(self)

    def log_message(self, *_):
        pass


def reply(handler, body, announced=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if announced is None else announced))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler):
    reply(handler, GOOD)


def truncated(handler):
    reply(handler, GOOD[:1000], len(GOOD))


def short(handler):
    reply(handler, GOOD[:1000])


def wrong(handler):
    reply(handler, GOOD[::-1])


def longer(handler):
    reply(handler, GOOD + b"x")


def stalled(handler):
    reply(handler, GOOD[:1000], len(GOOD))
    handler.server.release.wait(20)


def silent(handler):
    handler.server.release.wait(20)


def status(code):
    return lambda handler: handler.send_error(code)


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def place(tmp_path, monkeypatch, server):
    """An empty cache, an empty mirror, no sample, and NAME registered at the server's address."""
    for name, value in (("COURSE_DATA", "cache"), ("COURSE_MIRROR", "mirror")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("DATA", "auto")
    address = f"http://127.0.0.1:{server.server_port}/a%20file.bin"
    file = files.File(NAME, len(GOOD), hashlib.sha256(GOOD).hexdigest(), address)
    monkeypatch.setitem(files.registry(), NAME, file)
    monkeypatch.setattr(files, "FOLDER", tmp_path / "data")
    monkeypatch.setattr(files, "PAUSES", (0.01, 0.02))
    return tmp_path


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(files, "TIMEOUT", 0.5)


def put(folder, content, name=NAME):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_over(place):
    return [path.name for path in place.rglob("*.part")]


def fetch(name=NAME):
    return files.real_paths([name])[0]


def failure(name=NAME):
    """The message of the FileNotFoundError that looking for a file ends in; it has one line."""
    with pytest.raises(FileNotFoundError) as caught:
        fetch(name)
    message = str(caught.value)
    assert "\n" not in message
    return message

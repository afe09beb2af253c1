"""helpers.files: every way in which finding and downloading a file can fail, against a server of our own."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from helpers import files
from tests.helpers.conftest import (
    GOOD,
    NAME,
    failure,
    fetch,
    left_over,
    longer,
    put,
    short,
    silent,
    stalled,
    status,
    truncated,
    whole,
    wrong,
)


def test_download_lands_in_the_cache_and_is_used_from_there(place, server):
    path = fetch()
    assert path == place / "cache" / NAME
    assert path.read_bytes() == GOOD
    assert fetch() == path
    assert len(server.requests) == 1
    assert not left_over(place)


def test_cache_comes_before_mirror_before_address(place, server):
    mirrored = put(place / "mirror", GOOD)
    assert fetch() == mirrored
    cached = put(place / "cache", GOOD)
    assert fetch() == cached
    assert not server.requests


def test_mirror_path_is_relative_to_the_repository(monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", "../elsewhere")
    assert files.mirror_folder() == files.ROOT.parent / "elsewhere"


@pytest.mark.parametrize(
    ("answer", "attempts", "says"),
    [
        (truncated, 3, "connection failed"),
        (short, 3, "1000 bytes instead of 300000"),
        (longer, 1, "300001 bytes instead of 300000"),
        (wrong, 1, "sha256 .* instead of"),
        (status(404), 1, "HTTP 404"),
        (status(403), 1, "HTTP 403"),
        (status(500), 3, "HTTP 500"),
        (status(429), 3, "HTTP 429"),
        (stalled, 3, "no byte for 0.5 s"),
        (silent, 3, "no byte for 0.5 s"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_failed_download_leaves_nothing_and_says_why(place, server, answer, attempts, says):
    server.answers = [answer]
    with pytest.raises(FileNotFoundError, match=says) as caught:
        fetch()
    message = str(caught.value)
    for part in (f"'{NAME}'", "cache: not there", "mirror: not there", "COURSE_MIRROR", "go online",
                 str(place / "cache" / NAME), f"127.0.0.1:{server.server_port}"):
        assert part in message
    assert "\n" not in message
    assert len(server.requests) == attempts
    assert not [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("first", [truncated, short, status(500), status(503), stalled, silent])
def test_second_attempt_recovers(place, server, first):
    server.answers = [first, whole]
    assert fetch().read_bytes() == GOOD
    assert len(server.requests) == 2
    assert not left_over(place)


def test_refused_connection_is_one_line(place, server, monkeypatch):
    file = files.registry()[NAME]
    monkeypatch.setitem(files.registry(), NAME, files.File(NAME, file.bytes, file.sha256, "http://127.0.0.1:9/x"))
    assert "connection failed (ConnectionError)" in failure()


@pytest.mark.parametrize("content", [b"", GOOD[:1000], GOOD[::-1]])
def test_corrupted_cache_file_is_replaced_and_said(place, server, content, caplog):
    path = put(place / "cache", content)
    assert fetch() == path
    (said,) = caplog.messages
    assert f"cache file '{NAME}' is wrong" in said
    assert "(deleted); it comes from the address instead" in said
    assert path.read_bytes() == GOOD
    assert len(server.requests) == 1


def test_corrupted_cache_file_is_deleted_and_named_where_nothing_replaces_it(place, server):
    server.answers = [status(404)]
    path = put(place / "cache", GOOD[:5])
    assert "cache: 5 bytes instead of 300000 (deleted)" in failure()
    assert not path.exists()


def test_file_that_is_spoilt_after_it_was_found_good_is_noticed(place, server):
    fetch()
    path = fetch()
    path.write_bytes(GOOD[::-1])
    assert fetch().read_bytes() == GOOD
    assert len(server.requests) == 2


def test_corrupted_mirror_file_is_passed_over_and_stays(place, server):
    mirrored = put(place / "mirror", GOOD[::-1])
    assert fetch() == place / "cache" / NAME
    assert mirrored.read_bytes() == GOOD[::-1]
    (place / "cache" / NAME).unlink()
    server.answers = [status(404)]
    assert "mirror: sha256" in failure()
    assert mirrored.exists()


def test_cache_that_is_a_file_gives_a_clear_error(place):
    (place / "cache").write_text("in the way")
    message = failure()
    assert "cache: not there" in message
    assert "cannot be written" in message
    assert "set COURSE_DATA" in message


def test_read_only_cache_gives_a_clear_error_or_uses_the_mirror(place, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    put(place / "cache", b"spoilt")
    monkeypatch.setattr(files.pooch, "HTTPDownloader", lambda **_: refuse)
    monkeypatch.setattr(files.Path, "unlink", refuse)
    message = failure()
    assert "cannot be written, Read-only file system; set COURSE_DATA" in message
    assert "(deleted)" not in message
    mirrored = put(place / "mirror", GOOD)
    assert fetch() == mirrored


def test_full_disk_gives_a_clear_error_and_leaves_nothing(place, monkeypatch):
    def write(_, path, __):
        path.write_bytes(GOOD[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.pooch, "HTTPDownloader", lambda **_: write)
    assert "cannot be written, No space left on device; set COURSE_DATA" in failure()
    assert not [path for path in place.rglob("*") if path.is_file()]


def process(place, before="", **options):
    """Another Python that fetches NAME from the same place and prints whether it is right."""
    file = files.registry()[NAME]
    code = f"""{before}
from helpers import files
files.PAUSES = (0.01, 0.02)
files.registry()[{NAME!r}] = files.File({NAME!r}, {file.bytes}, {file.sha256!r}, {file.address!r})
try:
    print(len(files.real_paths([{NAME!r}])[0].read_bytes()))
except FileNotFoundError as error:
    print(error)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=files.ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def test_file_appears_under_its_name_only_by_renaming(place, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files.os, "replace", refuse)
    assert "cannot be written, Input/output error" in failure()
    assert not [path for path in place.rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
def test_write_that_the_system_cuts_off_leaves_nothing(place):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    out, _ = process(place, limit).communicate(timeout=60)
    assert "cannot be written, File too large; set COURSE_DATA" in out
    assert not [path for path in place.rglob("*") if path.is_file()]


def test_killed_download_leaves_no_file_and_the_next_run_recovers(place, server):
    server.answers = [stalled, whole]
    running = process(place)
    deadline = time.monotonic() + 60
    while not left_over(place) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    running.communicate()
    assert left_over(place)
    assert not (place / "cache" / NAME).exists()
    for path in place.rglob("*.part"):
        os.utime(path, (0, 0))
    assert fetch().read_bytes() == GOOD
    assert not left_over(place)


def test_running_download_of_another_process_is_left_alone(place):
    other = put(place / "cache", b"half", NAME.replace("a file", ".b file.1234") + ".part")
    fetch()
    assert other.exists()


def test_two_processes_at_once_both_succeed(place, server):
    both = threading.Barrier(2)

    def together(handler):
        both.wait(60)
        whole(handler)

    server.answers = [together]
    runs = [process(place) for _ in range(2)]
    for run in runs:
        out, error = run.communicate(timeout=90)
        assert out.strip() == str(len(GOOD)), error
    assert len(server.requests) == 2
    assert (place / "cache" / NAME).read_bytes() == GOOD
    assert not left_over(place)


def register_many(monkeypatch, count):
    file = files.registry()[NAME]
    names = [f"leaves/{index}.bin" for index in range(count)]
    for name in names:
        monkeypatch.setitem(files.registry(), name, files.File(name, file.bytes, file.sha256, file.address))
    return names


def test_many_files_arrive_in_order_and_a_broken_run_goes_on_where_it_stopped(place, server, monkeypatch):
    names = register_many(monkeypatch, 20)
    server.answers = [whole] * 10 + [status(404)]
    with pytest.raises(FileNotFoundError, match=r"'leaves/\d+.bin' and up to 19 more cannot be had"):
        files.real_paths(names)
    arrived = len(list((place / "cache" / "leaves").iterdir()))
    assert arrived == 10
    assert len(server.requests) < 10 + 2 * files.THREADS
    server.answers, server.requests = [whole], []
    paths = files.real_paths(names)
    assert paths == [place / "cache" / name for name in names]
    assert len(server.requests) == 20 - arrived


def test_unknown_name_is_refused():
    with pytest.raises(KeyError, match="'wholesale.csv' is not registered"):
        files.real_paths(["wholesale.csv"])


def test_package_without_repository_keeps_its_cache_with_the_user(monkeypatch):
    monkeypatch.setattr(files, "CHECKOUT", False)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.delenv("COURSE_MIRROR", raising=False)
    assert files.cache_folder().name == "open-the-black-box"
    assert files.ROOT not in files.cache_folder().parents
    assert files.mirror_folder() is None



def test_package_carries_registry_and_manifest(tmp_path):
    for name in ("registry.toml", "leaves.csv"):
        (tmp_path / "helpers" / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(files.FOLDER / name, tmp_path / "helpers" / "data" / name)
    for path in (files.ROOT / "helpers").glob("*.py"):
        shutil.copy(path, tmp_path / "helpers")
    code = "from helpers import files; print(files.CHECKOUT, len(files.registry()), files.FOLDER)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True,
                         text=True, check=True)
    assert run.stdout.split()[:2] == ["False", str(len(files.registry()))]
    assert run.stdout.split()[2].startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("error", "said"),
    [(OSError(errno.EIO, "Input/output error"), "Input/output error"), (OSError(), "OSError"),
     (FileNotFoundError(), "not there")],
)  # fmt: skip
def test_what_the_system_says_of_a_file_is_the_problem(monkeypatch, tmp_path, error, said):
    def fail(path):
        raise error

    monkeypatch.setattr(files.os, "stat", fail)
    assert files.problem(tmp_path / "x", SimpleNamespace(bytes=1, sha256="0")) == said

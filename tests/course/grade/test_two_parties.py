"""What the student's side of grading can read, write and know: one test for each line in docs/instructors.md.

The student's code here is right in the second exercise and attacks in the first; nothing of that may give a
point, reach the other side or outlive its check.
"""

import ctypes
import errno
import os
import platform

import pytest

from course.grade import pair, plan, student
from course.notebooks import ROOT
from tests.course.grade.exam import by_id, grade, inside, isolated, points, reference, told


def seen(lines, **limits):
    """What a student's function finds when it runs these lines, which set `found`."""
    result = grade(inside(f"{lines}\nraise ValueError(f'found {{found}}')"), **limits)
    assert points(result) == [0, 2]
    return told(result)[0].removeprefix("raised ValueError: found ")


@isolated
def test_it_reads_only_python_helpers_course_and_data():
    lines = f"""import os, sys
root, found = {str(ROOT)!r}, []
found += sorted(set(os.listdir(root)) - {{"helpers", "course", "data", "pyproject.toml", ".venv"}})
found += [name for name in ("/home", "/var", "/root/.ssh", "/root/.bash_history") if os.path.exists(name)]
shown = {{name for *_, names in os.walk("/sys") for name in names}}  # whether there are huge pages
found += sorted(shown - {{"enabled", "hpage_pmd_size"}})"""
    assert seen(lines) == "[]"


@isolated
def test_the_notebooks_are_hidden_where_the_course_lies_inside_a_visible_folder(monkeypatch):
    monkeypatch.setattr(plan, "visible_paths", lambda seen=plan.visible_paths: [*seen(), ROOT])
    book = reference()
    by_id(book)["code-98-01"].source = "SEED = 12345"  # another pair of processes than for the other tests
    hidden = [name for name in ("notebooks", "tests", "build") if (ROOT / name).is_dir()]  # build/ comes late
    lines = f"""import os
found = [name for name in {hidden} if os.listdir(os.path.join({str(ROOT)!r}, name))]
found += [] if os.path.exists(os.path.join({str(ROOT)!r}, "README.md")) else ["not visible at all"]
raise ValueError(f"found {{found}}")"""
    assert told(grade(inside(lines), book))[0] == "raised ValueError: found []"


@isolated
def test_what_is_shown_below_tmp_is_there_and_cannot_be_written(monkeypatch, tmp_path):
    place, shown = tmp_path / "with a blank", plan.visible_paths
    place.mkdir()
    (place / "note.txt").write_text("for all")
    monkeypatch.setattr(plan, "visible_paths", lambda: [*shown(), place])
    lines = f"""place, found = {str(place)!r}, []
found.append(open(f"{{place}}/note.txt").read())
for path in (f"{{place}}/other.txt", f"{{place}}/../other.txt", "/tmp/other.txt"):
    try: open(path, "w")
    except OSError: found.append("refused")"""
    book = reference()
    book.cells[0].source = "a notebook of its own, so that no warm process serves"
    assert seen(lines, book=book) == "['for all', 'refused', 'refused']"


@isolated
def test_it_cannot_open_a_setting_of_the_kernel_for_writing():
    lines = """import os
found = []
for folder, _, names in os.walk("/proc/sys/kernel"):
    for name in names:
        try:
            os.close(os.open(os.path.join(folder, name), os.O_WRONLY))
            found.append(name)
        except OSError:
            pass"""
    assert seen(lines) == "[]"


@isolated
def test_a_lock_that_one_copy_sets_is_not_seen_by_another():
    """Locks on an open file stay for as long as anybody has it open; all copies had the same /dev/null."""
    lines = """import fcntl, os, struct
found = []
asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 77, 1, 0)
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        kind = struct.unpack("hhqqi4x", fcntl.fcntl(again, 36, asked))[0]  # F_OFD_GETLK
        found += [fd] if kind != fcntl.F_UNLCK else []
        fcntl.fcntl(fd, 37, asked)  # F_OFD_SETLK
    except OSError:
        pass
found = found[:1]  # what follows sees its own lock"""
    assert seen(lines) == seen(lines)


@isolated
def test_it_sees_no_shared_memory_of_the_system():
    """System V memory belongs to a namespace: a segment made here cannot be found there by its key."""
    libc, key = ctypes.CDLL(None, use_errno=True), 0x0B1ACB0
    segment = libc.shmget(key, 4096, 0o1600)  # IPC_CREAT, for this user alone
    try:
        assert libc.shmget(key, 0, 0) == segment >= 0
        assert seen(f"import ctypes\nfound = ctypes.CDLL(None).shmget({key}, 0, 0)") == "-1"
    finally:
        libc.shmctl(segment, 0, None)  # IPC_RMID


@isolated
def test_it_changes_no_device_of_the_machine():
    """Whoever is root here owns the devices; their times would carry words to the next hand-in."""
    before = os.stat("/dev/full")
    lines = """import os
found = []
for change in (lambda: os.utime("/dev/full", (1, 1)), lambda: os.chmod("/dev/full", 0o600)):
    try: change(); found.append("changed")
    except OSError as error: found.append(error.errno)"""
    try:
        assert seen(lines) == str([errno.EROFS] * 2)
        after = os.stat("/dev/full")
        assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)
    finally:  # of whom it may be: root alone
        if os.geteuid() == 0:
            os.chmod("/dev/full", before.st_mode & 0o7777)
            os.utime("/dev/full", ns=(before.st_atime_ns, before.st_mtime_ns))


@isolated
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the system calls are x86-64's")
def test_a_key_that_one_copy_leaves_is_not_found_by_another():
    """In no keyring: neither in the session's, which a login gives to all its processes, nor in a user's."""
    libc = ctypes.CDLL(None)
    if libc.syscall(250, 1, None) < 0:  # as a login does: a session keyring for all that comes after
        pytest.skip("the kernel has no keys here")
    book = reference()
    book.cells[0].source = "a notebook of its own, so that no process from before the login serves"
    lines = """import ctypes
libc, buffer = ctypes.CDLL(None), ctypes.create_string_buffer(99)
key = libc.syscall(249, b"user", b"word", None, 0)
found = [buffer.raw[:libc.syscall(250, 11, key, buffer, 99)]] if key > 0 else []
for ring in (-3, -4, -5, libc.syscall(250, 22, -1, -4)):  # session, user, user session, persistent
    libc.syscall(248, b"user", b"word", b"hidden", 6, ring)"""
    assert [seen(lines, book=book) for _ in range(2)] == ["[]", "[]"]


@isolated
def test_its_environment_tells_nothing(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "1")
    book = reference()
    by_id(book)["code-98-01"].source = "SEED = 54321"
    lines = "import os\nraise ValueError(f\"found {[name for name in os.environ if 'SECRET' in name]}\")"
    assert told(grade(inside(lines), book))[0] == "raised ValueError: found []"


@isolated
def test_it_writes_only_into_its_own_tmp():
    lines = """import os
found = []
folders = ("/", "/usr", "/etc", "/sys/kernel/mm", os.path.dirname(os.__file__), "/dev")
files = ("/proc/sys/kernel/pid_max", "/sys/kernel/mm/transparent_hugepage/enabled", os.__file__)
for place in (*files, *(f"{folder}/x.py" for folder in folders)):
    try: os.open(place, os.O_WRONLY | os.O_CREAT); found.append(place)
    except OSError: pass
open("/tmp/x", "w")"""
    assert seen(lines) == "[]"


@isolated
def test_what_it_wrote_ends_with_the_check():
    lines = f"""import os, pathlib
found = [path.name for path in pathlib.Path("/tmp").rglob("x*") if not path.is_relative_to({str(ROOT)!r})]
found += os.listdir("/dev/shm")
pathlib.Path("/tmp/x.py").write_text("1"); pathlib.Path("/dev/shm/x").write_text("1")"""
    assert seen(lines) == "[]"
    assert seen(lines) == "[]"


SEARCH = r"""import re
pattern, found = re.compile(PATTERN), 0
for line in open("/proc/self/maps"):
    span, access, *_ = line.split()
    low, high = (int(part, 16) for part in span.split("-"))
    try:
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(low)
            while "r" in access and low < high:
                block = memory.read(min(2**24, high - low))
                low += len(block)
                found += len(pattern.findall(block))
    except (OSError, ValueError, OverflowError): pass
found = found > 0"""


@isolated
@pytest.mark.parametrize(
    ("pattern", "there"),
    [
        (rb"[l]ines of its own", True),  # its own source, so that the search is known to find
        (rb"[5]43[.]656", False),  # a target
        (rb"[s]ecretsecret", False),  # what a hidden check asks for
        (rb"[O]ther arguments than", False),  # a check's message
        (rb"[2]71[.]828", False),  # an argument of a later call
        (rb"[T]wo times x", False),
    ],
)
def test_no_check_target_or_message_is_in_its_memory(pattern, there):
    """Searched where it would lie: in all memory that the process can read."""
    lines = SEARCH.replace("PATTERN", repr(pattern)) + '\nword = "lines of its own"'
    assert seen(lines, seconds=60) == str(there)


def test_it_learns_names_and_arguments_and_nothing_that_runs():
    """A function that a check passes stays with the checker, and is only called from here."""
    book = reference()
    check = by_id(book)["check-98-1-02"]
    check.source = "def secret(x):\n    return x + 1\nassert twice(secret) == 'called 42'"
    by_id(book)["exercise-98-1"].source = (
        "def twice(x):\n    ### BEGIN SOLUTION\n    return f'called {x(41)}' if callable(x) else 2 * x\n"
        "    ### END SOLUTION"
    )
    right = "def twice(f):\n    return f'called {f(41)}' if callable(f) else 2 * f"
    assert points(grade(right, book)) == [3, 2]
    spy = "def twice(f):\n    return f'called {f.__code__.co_names}' if callable(f) else 2 * f"
    assert points(grade(spy, book)) == [2, 2]
    inspect = "import inspect\ndef twice(f):\n    raise ValueError(inspect.getsource(f))"
    assert points(grade(inspect, book)) == [0, 2]


@isolated
def test_it_sees_no_process_but_its_own():
    assert seen("import os\nfound = len([name for name in os.listdir('/proc') if name.isdigit()])") == "2"


@isolated
def test_it_has_no_power_and_gets_none():
    lines = """import ctypes, os
libc, found = ctypes.CDLL(None), []
for flag in (0x10000000, 0x20000, 0x20000000):
    found += [flag] if libc.unshare(flag) == 0 else []
found += ["mount"] if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0 else []
found += [line for line in open("/proc/self/status") if line.startswith("Cap") and int(line.split()[1], 16)]
found += ["trace"] if libc.ptrace(16, 1, 0, 0) == 0 else []
try: os.kill(1, 9); os.stat("/proc/1") and None
except OSError: pass"""
    assert seen(lines) == "[]"


@pytest.mark.parametrize(
    ("passed", "computed", "patience", "expected"),
    [(9, 9, 1, False), (12, 0, 1, True), (60, 6, 10, False), (60, 0, 10, True), (30, 0, 10, False),
     (60, 10_000, 10, True), (102, 10, 10, True)],
)  # fmt: skip
def test_a_busy_machine_gives_time_to_who_computes_not_to_who_sleeps(passed, computed, patience, expected):
    assert student.overdue(passed, computed, 10, patience) == expected


@isolated
@pytest.mark.parametrize("line", ["os.kill(os.getpid(), 9)", "os._exit(137)"])
def test_whoever_kills_his_own_process_gets_no_point_and_a_remark(line):
    result = grade(inside(f"import os\n{line}"))
    assert (result["status"], points(result)) == ("graded", [0, 2])
    assert "killed twice while memory was free" in result["notes"][0]


@isolated
def test_a_process_that_the_kernel_killed_for_memory_is_the_machines_fault(monkeypatch):
    monkeypatch.setattr(pair, "kills", iter(range(10)).__next__)
    assert grade(inside("import os\nos.kill(os.getpid(), 9)"))["status"] == "not graded"


def test_words_of_an_error_are_no_signal():
    result = grade(inside("raise RuntimeError('the code ended its own process (signal 9)')"))
    assert (result["status"], result["notes"], points(result)) == ("graded", [], [0, 2])


def test_its_time_is_bounded_whatever_it_does():
    result = grade(inside("import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n"
                          "while True: time.sleep(1)"), seconds=2)  # fmt: skip
    assert points(result) == [0, 2]


@isolated
def test_the_memory_of_all_its_processes_is_bounded():
    lines = """import os, time
for _ in range(6):
    if os.fork() == 0:
        block = bytearray(3 * 10**8)
        block[::4096] = b"1" * len(block[::4096])
        time.sleep(9)
time.sleep(9)"""
    result = grade(inside(lines), run_memory=900, seconds=15)
    assert points(result) == [0, 2]
    assert "more than 900 MB" in told(result)[0]

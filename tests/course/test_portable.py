"""Windows and macOS cannot run here, so what would stop them is looked for in the code: all but the grading,
which needs Linux or macOS and says so. (What modules import is tried in test_architecture.)"""

import ast

import pytest

import course.__main__ as front
from course.commands import COMMANDS
from tests.course.test_architecture import MODULES

ONLY_POSIX = {
    "os": {"chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid",
           "getuid", "killpg", "mkfifo", "mknod", "nice", "pidfd_open", "sched_getaffinity", "setgid",
           "setsid", "setuid", "uname", "WNOHANG"},
    "signal": {"SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1", "SIGUSR2",
               "alarm", "pthread_sigmask", "setitimer", "sigwait"},
    "time": {"tzset"},
}  # fmt: skip
# grading, benchmarks and mutants (course.check.mutate..., mutant_runs) are for who maintains or teaches
LAPTOP = sorted(
    name for name in MODULES if not name.startswith(("course.grade", "benchmarks", "course.check.muta"))
)


def parsed(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def at_the_top(tree):
    """Names of the modules that are imported before any function is called."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def needed(names):
    """The modules of this repository that importing these loads."""
    seen, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in seen:
            seen.add(name)
            waiting += at_the_top(parsed(name))
    return seen


def unguarded(tree):
    """Attributes that only POSIX has, in functions that do not ask for them or for the system first."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] + [tree]:
        text = ast.unparse(function)
        if "hasattr(" in text or "sys.platform" in text:
            continue
        whole = [function] if function is not tree else [top for top in tree.body if not inner(top)]
        for node in (node for part in whole for node in ast.walk(part)):
            if isinstance(node, ast.Attribute) and node.attr in ONLY_POSIX.get(ast.unparse(node.value), ()):
                yield ast.unparse(node)


def inner(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def texts_without_encoding(tree):
    """Calls that read or write text as the system likes, not as UTF-8."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(key.arg == "encoding" for key in node.keywords):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        words = [word.value for word in node.args if isinstance(word, ast.Constant)]
        if name in ("read_text", "write_text") and "utf-8" not in words:
            yield f"line {node.lineno}: {name}"
        elif name == "open" and isinstance(node.func, ast.Name) and "b" not in str(words[-1:]):
            yield f"line {node.lineno}: open"


@pytest.mark.parametrize("name", LAPTOP)
def test_nothing_that_only_posix_has_is_used_unasked_and_text_is_utf8(name):
    tree = parsed(name)
    assert list(unguarded(tree)) == []
    assert list(texts_without_encoding(tree)) == []


def test_these_rules_see_what_they_are_for():
    bad = ast.parse("def f(p):\n    os.killpg(1, 2)\n    open('x')\n    p.read_text()\nos.fork()\n")
    assert set(unguarded(bad)) == {"os.killpg", "os.fork"}
    assert len(list(texts_without_encoding(bad))) == 2
    good = "def f(p):\n    hasattr(os, 'k') and os.killpg(1)\n    open(p, 'rb')\n    p.read_text('utf-8')"
    good = ast.parse(good)
    assert list(unguarded(good)) + list(texts_without_encoding(good)) == []
    assert "resource" in set(at_the_top(parsed("course.grade.lesson")))


def test_a_command_that_windows_cannot_run_is_refused_there_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(front.sys, "platform", "win32")
    assert front.main(["grade-mine", "NB=12"]) == 2
    assert capsys.readouterr().err.startswith("grade-mine: needs Linux or macOS; on Windows type it in WSL")
    graders = {
        name for name, command in COMMANDS.items() if "course.grade.lesson" in needed(started(command))
    }
    assert graders == {name for name, command in COMMANDS.items() if not command.windows}


def started(command):
    """The modules that a command starts."""
    given = dict.fromkeys(("NB", "TITLE", "PATH", "SUBMISSIONS", "A", "B"), "22")
    return [step[1] for step in command.steps(given, 1) if step[0] == "-m"]

"""Start a command in a sandbox: python sandbox.py '{"visible": [...], ...}' command...

With namespaces (Linux, started through `unshare`, see `wrapped`): a file system that holds nothing but the
paths that are named, read-only apart from one private folder and a small /tmp; no network, not even loopback;
its own process numbers, so that everything inside dies with it; no privileges. Without namespaces only the
resource limits are set.
Needs nothing but the standard library, because it runs before everything else.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store")
SETTINGS = ("ld.so.cache", "passwd", "group", "nsswitch.conf", "localtime", "fonts", "alternatives")
DEVICES = ("null", "zero", "full", "random", "urandom")
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
UNSHARE += ["--kill-child", "--propagation", "private"]
PROCESSES = 256
LARGEST_FILE = 50 * 2**20


@cache
def available():
    """Whether this machine lets us make a sandbox, tried once."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder, "k")
        private.mkdir()
        command = wrapped(["true"], private, [sys.base_prefix, sys.prefix], True, 20)
        return subprocess.run(command, capture_output=True).returncode == 0


def wrapped(command, private, visible, namespaces, seconds):
    """The command line that runs `command` in a sandbox with one private folder that may be written to.

    seconds: when to end in any case, also where nobody is left who would do it.
    """
    root = Path(private).parent / "root"
    root.mkdir(exist_ok=True)
    settings = {
        "root": str(root) if namespaces else None,
        "private": str(private),
        "visible": [str(path) for path in visible],
    }
    start = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), json.dumps(settings)]
    end = ["timeout", "--foreground", "--signal=KILL", str(int(seconds) + 1)]
    return [*(end if shutil.which("timeout") else []), *(UNSHARE if namespaces else []), *start, *command]


def mount(source, target, kind, flags, data=None):
    libc = ctypes.CDLL(None, use_errno=True)
    encoded = [None if text is None else str(text).encode() for text in (source, target, kind)]
    if libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() if data else None):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def show(path, root, writable=False):
    """Make a path visible below the new root, at the same place."""
    path, target = Path(path), Path(f"{root}{path}")
    if path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(os.readlink(path))
        return
    if not path.exists() or target.exists():
        return
    if path.is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(path, target, None, BIND | REC)
    if not writable:
        # a mount that came from outside keeps its own restrictions
        held = os.statvfs(target).f_flag & (NOSUID | NODEV | NOEXEC)
        mount(None, target, None, BIND | REMOUNT | RDONLY | NOSUID | held)


def enter(settings):
    """Build the new root and move into it."""
    root = settings["root"]
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=256m,mode=755")
    Path(root, "tmp").mkdir()
    for path in (*SYSTEM, *(f"/etc/{name}" for name in SETTINGS)):
        show(path, root)
    for name in DEVICES:
        target = Path(root, "dev", name)
        target.parent.mkdir(exist_ok=True)
        target.touch()
        mount(f"/dev/{name}", target, None, BIND)
    for name, link in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(root, "dev", name).symlink_to(link)
    Path(root, "dev", "shm").mkdir(mode=0o777)
    # the longest first: a folder inside a visible one is visible with it
    for path in sorted(settings["visible"], key=len):
        show(path, root)
    show(settings["private"], root, writable=True)
    Path(root, "proc").mkdir()
    mount("proc", Path(root, "proc"), "proc", NOSUID | NODEV | NOEXEC)
    with contextlib.suppress(OSError):  # since Linux 6.14 each process namespace has its own limit
        Path(root, "proc/sys/kernel/pid_max").write_text(str(2 * PROCESSES))
    os.chroot(root)
    os.chdir("/tmp")


def give_up_privileges():
    """No capability for this process and its children, ever again."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT, clear all
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def main():
    settings, command = json.loads(sys.argv[1]), sys.argv[2:]
    if settings["root"]:
        enter(settings)
        give_up_privileges()
    else:
        os.chdir(settings["private"])
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        # counted per namespace since Linux 5.14; before, all processes of the user would count
        if settings["root"] and tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 14):
            resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
